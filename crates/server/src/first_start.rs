//! What a server makes for itself at its first start: master key, certificate authority, server
//! certificate; and what it tells its owner once.

use crate::config::{Config, MinVersion};
use access::tls::{Pair, TlsSettings, authority::Authority};
use credential::Secret;
use model::{
    id::Time,
    port::{Ports, Random},
};
use openssl::{asn1::Asn1Time, ssl::SslVersion, x509::X509};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

/// How long the authority's certificate holds: as long as a device that trusts it may live.
const AUTHORITY_DAYS: u32 = 20 * 365;
/// How long a server certificate holds; it is renewed by itself.
const SERVER_DAYS: u32 = 825;
/// A server certificate is renewed when it holds no longer than this.
const RENEW_DAYS: u32 = 60;

/// What the owner is told once, at the first start.
pub struct FirstStart {
    /// Where applications reach the server.
    pub url: String,
    /// The certificate that devices and applications must trust; none when the operator brought
    /// certificates of their own.
    pub ca: Option<PathBuf>,
    /// The account's access key.
    pub access_key_id: String,
    /// Its secret; it is not kept in a form that can be shown again.
    pub access_key_secret: String,
    /// The data folder.
    pub data: PathBuf,
}

impl FirstStart {
    /// What is printed.
    pub fn text(&self) -> String {
        let Self {
            url,
            ca,
            access_key_id,
            access_key_secret,
            data,
        } = self;
        let ca = ca.as_ref().map_or(String::new(), |ca| {
            format!("  CA certificate     {}\n", ca.display())
        });
        let data = if *data == Config::default().data {
            String::new()
        } else {
            format!(" --data {}", data.display())
        };
        format!(
            "\nThis is the first start. The secret below is shown this once; keep it.\n\n  \
             API                {url}\n{ca}  \
             AccessKey ID       {access_key_id}\n  \
             AccessKey secret   {access_key_secret}\n\n\
             In another terminal, type next:\n\n  \
             muster product create thermometer --model examples/thermometer.json{data}\n\n"
        )
    }
}

/// Makes a folder that only this user may enter.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes a file in one step, so that a reader sees the old content or the new, and a crash leaves
/// one of the two.
pub(crate) fn write_file(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let half = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&half);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, path)?;
        fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&half);
    }
    written
}

/// Where the master key is when the configuration names neither file nor variable.
pub(crate) fn master_key_path(config: &Config) -> PathBuf {
    config
        .master_key
        .file
        .clone()
        .unwrap_or_else(|| config.data.join("master.key"))
}

/// The master key. At the first start it is made, unless the operator named a place for it; when
/// the data are `sealed` it is never made, because they were sealed with another one.
///
/// # Errors
/// In words, with how to mend it.
pub(crate) fn master_key(
    config: &Config,
    sealed: bool,
    random: &dyn Random,
) -> Result<Secret, String> {
    if let Some(name) = &config.master_key.env {
        let text = std::env::var(name).map_err(|_| {
            format!("there is no environment variable {name}; set it to the 64 hex digits of the master key")
        })?;
        return decode(&text)
            .ok_or_else(|| format!("the environment variable {name} does not hold 64 hex digits"));
    }
    let path = master_key_path(config);
    let shown = path.display();
    match fs::read_to_string(&path) {
        Ok(text) => decode(&text).ok_or_else(|| {
            format!("{shown} does not hold 64 hex digits; restore the file from your backup")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !sealed => {
            let mut bytes = vec![0; 32];
            random.fill(&mut bytes);
            let key = Secret::new(bytes);
            let text = Secret::new(format!("{}\n", hex::encode(key.expose())).into_bytes());
            write_file(&path, 0o600, text.expose())
                .map_err(|error| format!("{shown} cannot be written: {error}"))?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
            "{shown} is missing, and without it no secret in the data folder can be opened; \
             restore it from your backup"
        )),
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
    }
}

/// The master key's file itself, where what is configured leads to it.
fn real_path(config: &Config) -> PathBuf {
    let path = master_key_path(config);
    fs::canonicalize(&path).unwrap_or(path)
}

/// Where the next master key lies while the data keys are wrapped for it.
fn next_path(config: &Config) -> PathBuf {
    let mut path = real_path(config).into_os_string();
    path.push(".next");
    path.into()
}

/// The master key for what is kept in `ports`; where its renewal was cut short, that is brought to
/// its end first.
///
/// # Errors
/// In words, with how to mend it.
pub(crate) async fn settled_master_key(
    config: &Config,
    sealed: bool,
    ports: &Ports,
) -> Result<Secret, String> {
    let key = master_key(config, sealed, &*ports.random)?;
    let next = next_path(config);
    if config.master_key.env.is_some() || !next.exists() {
        return Ok(key);
    }
    tracing::info!("a renewal of the master key was cut short, and is brought to its end");
    renewed(config, ports, &key, &next).await
}

/// Puts a new master key in place of the old one. It waits in a file beside it until every data key
/// is wrapped for it, so that what is there opens with one of two files, wherever this is cut short.
///
/// # Errors
/// In words, with how to mend it.
pub(crate) async fn renew_master_key(config: &Config, ports: &Ports) -> Result<(), String> {
    if let Some(name) = &config.master_key.env {
        return Err(format!(
            "it comes from the environment variable {name}, where nothing can be written; \
             put it into a file (`master_key.file`) first"
        ));
    }
    let old = master_key(config, true, &*ports.random)?;
    let (path, next) = (real_path(config), next_path(config));
    let unwritten = |error: io::Error| format!("{} cannot be written: {error}", next.display());
    let about = fs::metadata(&path).map_err(unwritten)?;
    if !next.exists() {
        let mut bytes = vec![0; 32];
        ports.random.fill(&mut bytes);
        let fresh = Secret::new(bytes);
        let text = Secret::new(format!("{}\n", hex::encode(fresh.expose())).into_bytes());
        write_file(&next, about.mode() & 0o777, text.expose()).map_err(unwritten)?;
    }
    // Whoever reads the old one reads the new one: another user may run the command.
    chown(&next, Some(about.uid()), Some(about.gid())).map_err(unwritten)?;
    renewed(config, ports, &old, &next).await.map(drop)
}

async fn renewed(
    config: &Config,
    ports: &Ports,
    old: &Secret,
    next: &Path,
) -> Result<Secret, String> {
    let shown = next.display();
    let text = fs::read_to_string(next).map_err(|error| format!("{shown}: {error}"))?;
    let text = Secret::new(text.into_bytes());
    let key = str::from_utf8(text.expose()).ok().and_then(decode);
    let key = key.ok_or_else(|| format!("{shown} does not hold 64 hex digits"))?;
    hub::vault::renew(ports, old, &key)
        .await
        .map_err(|error| error.to_string())?;
    let path = real_path(config);
    let moved = fs::rename(next, &path).and_then(|()| {
        let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    });
    moved.map_err(|error| format!("{} cannot be replaced: {error}", path.display()))?;
    Ok(key)
}

fn decode(text: &str) -> Option<Secret> {
    let bytes = hex::decode(text.trim()).ok()?;
    (bytes.len() == 32).then(|| Secret::new(bytes))
}

/// What the TLS context is made of, without a look at the files.
pub(crate) fn tls_settings(config: &Config) -> TlsSettings {
    let pair = |chain: &Option<PathBuf>, key: &Option<PathBuf>| {
        Some(Pair {
            chain: chain.clone()?,
            key: key.clone()?,
        })
    };
    let folder = tls_folder(config);
    TlsSettings {
        rsa: pair(&config.tls.certificate, &config.tls.key).unwrap_or(Pair {
            chain: folder.join("server.pem"),
            key: folder.join("server.key"),
        }),
        ecdsa: pair(&config.tls.ecdsa_certificate, &config.tls.ecdsa_key),
        oldest: match config.tls.min_version {
            MinVersion::V1_0 => SslVersion::TLS1,
            MinVersion::V1_1 => SslVersion::TLS1_1,
            MinVersion::V1_2 => SslVersion::TLS1_2,
        },
    }
}

/// What the TLS context is made of; certificates of our own are made or renewed where needed.
/// Says whether any was.
///
/// # Errors
/// In words, with how to mend it.
pub(crate) fn tls(config: &Config, now: Time) -> Result<(TlsSettings, bool), String> {
    let made = if config.tls.certificate.is_none() {
        let folder = tls_folder(config);
        own(&folder, &names(config), now)
            .map_err(|error| format!("certificates in {}: {error}", folder.display()))?
    } else {
        false
    };
    Ok((tls_settings(config), made))
}

pub(crate) fn tls_folder(config: &Config) -> PathBuf {
    config.data.join("tls")
}

/// The authority's certificate, when the server made one.
pub(crate) fn ca(config: &Config) -> Option<PathBuf> {
    config
        .tls
        .certificate
        .is_none()
        .then(|| tls_folder(config).join("ca.pem"))
}

/// What the server's certificate is to be good for, the name that devices look at first.
pub(crate) fn names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config.public.host.iter().cloned().collect();
    names.extend(config.tls.names.iter().cloned());
    names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    names.extend(machine_name());
    for (_, socket) in config.listen.all() {
        let ip = socket.address.ip();
        if !ip.is_unspecified() {
            names.push(ip.to_string());
        }
    }
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// Where devices fetch files: as configured, or at the HTTPS listener, or else at the HTTP one.
pub(crate) fn download_url(
    config: &Config,
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
) -> String {
    if let Some(url) = &config.public.download_url {
        return url.clone();
    }
    let (scheme, address, port) = match (https, http) {
        (Some(address), _) => ("https", address, config.public.https_port),
        (None, Some(address)) => ("http", address, config.public.http_port),
        (None, None) => return String::new(),
    };
    let host = match (&config.public.host, address.ip()) {
        (Some(host), _) => host.clone(),
        (None, ip) if ip.is_unspecified() => machine_name().unwrap_or_else(|| "localhost".into()),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        (None, IpAddr::V4(ip)) => ip.to_string(),
    };
    format!("{scheme}://{host}:{}", port.unwrap_or(address.port()))
}

/// The name that this machine gives itself.
pub(crate) fn machine_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok()?.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (!name.is_empty() && name != "(none)" && name.bytes().all(plain)).then(|| name.into())
}

/// Where people reach the HTTPS listener, or the HTTP one when that is off.
pub(crate) fn url(config: &Config, https: Option<SocketAddr>, http: Option<SocketAddr>) -> String {
    let (scheme, address, port) = match (https, http) {
        (Some(address), _) => ("https", address, config.public.https_port),
        (None, Some(address)) => ("http", address, config.public.http_port),
        (None, None) => return "(no HTTP listener is on)".into(),
    };
    let host = match (&config.public.host, address.ip()) {
        (Some(host), _) => host.clone(),
        (None, ip) if ip.is_unspecified() => "localhost".into(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        (None, IpAddr::V4(ip)) => ip.to_string(),
    };
    format!("{scheme}://{host}:{}", port.unwrap_or(address.port()))
}

fn own(folder: &Path, names: &[String], now: Time) -> Result<bool, Box<dyn std::error::Error>> {
    private_folder(folder)?;
    let [ca_pem, ca_key, server_pem, server_key] =
        ["ca.pem", "ca.key", "server.pem", "server.key"].map(|name| folder.join(name));
    if server_key.exists() && fits(&ca_pem, &server_pem, names, now).unwrap_or(false) {
        return Ok(false);
    }
    let authority = match (ca_pem.exists(), ca_key.exists()) {
        (true, true) => Authority::load(&fs::read(&ca_pem)?, &fs::read(&ca_key)?)?,
        // A key alone was left by a first start that was cut short: no device knows it.
        (false, alone) if !alone || !server_pem.exists() => {
            let name = machine_name().unwrap_or_else(|| "server".into());
            let made = Authority::create(&format!("Muster CA of {name}"), now, AUTHORITY_DAYS)?;
            write_file(&ca_key, 0o600, &made.key_pem()?)?;
            write_file(&ca_pem, 0o644, &made.certificate_pem()?)?;
            made
        }
        (true, false) => {
            return Err(
                "the server certificate must be renewed, but ca.key is not there; put it \
                        back for this start, or set tls.certificate and tls.key"
                    .into(),
            );
        }
        (false, _) => {
            return Err(
                "ca.key is there but ca.pem is not; restore it from your backup, because \
                        devices trust that certificate"
                    .into(),
            );
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let issued = authority.issue(&names, now, SERVER_DAYS)?;
    write_file(&server_key, 0o600, &issued.key_pem)?;
    write_file(&server_pem, 0o644, &issued.chain_pem)?;
    Ok(true)
}

/// Whether the server certificate is the authority's, bears all names, and holds long enough.
fn fits(
    ca: &Path,
    server: &Path,
    names: &[String],
    now: Time,
) -> Result<bool, Box<dyn std::error::Error>> {
    let ca = X509::from_pem(&fs::read(ca)?)?;
    let server = X509::from_pem(&fs::read(server)?)?;
    let until = now.plus(i64::from(RENEW_DAYS) * 24 * 60 * 60 * 1000);
    let until = Asn1Time::from_unix(until.0 / 1000)?;
    let known = alternative_names(&server);
    Ok(server.verify(&*ca.public_key()?)?
        && server.not_after() > until
        && names.iter().all(|name| known.contains(name)))
}

/// Host names and addresses that a certificate is good for.
pub(crate) fn alternative_names(certificate: &X509) -> Vec<String> {
    let Some(names) = certificate.subject_alt_names() else {
        return Vec::new();
    };
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    names
        .iter()
        .filter_map(|name| {
            name.dnsname()
                .map(String::from)
                .or_else(|| address(name.ipaddress()?).map(|ip| ip.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{SystemRandom, WallClock};
    use model::port::Clock;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_master_key_is_made_once_and_never_for_data_that_exist() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::on_free_ports(folder.path());
        let made = master_key(&config, false, &SystemRandom).unwrap();
        let path = folder.path().join("master.key");
        assert_eq!(mode(&path), 0o600);
        let read = master_key(&config, true, &SystemRandom).unwrap();
        assert!(read.matches(made.expose()));
        fs::write(&path, "not hex").unwrap();
        let refused = |sealed| master_key(&config, sealed, &SystemRandom).err();
        assert!(refused(true).unwrap().contains("64 hex digits"));
        fs::remove_file(&path).unwrap();
        assert!(
            refused(true)
                .unwrap()
                .contains("restore it from your backup")
        );
        assert!(!path.exists());
    }

    /// The certificate follows the configured names; the authority stays, because devices trust it.
    #[test]
    fn certificates_are_renewed_and_the_authority_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::on_free_ports(folder.path());
        let now = WallClock.now();
        assert!(tls(&config, now).unwrap().1);
        let ca = fs::read(folder.path().join("tls/ca.pem")).unwrap();
        assert_eq!(mode(&folder.path().join("tls")), 0o700);
        assert_eq!(mode(&folder.path().join("tls/ca.key")), 0o600);
        assert_eq!(mode(&folder.path().join("tls/server.key")), 0o600);
        assert!(!tls(&config, now).unwrap().1, "nothing to renew");
        config.tls.names = vec!["iot.example".into()];
        assert!(tls(&config, now).unwrap().1, "another name");
        let later = now.plus(i64::from(SERVER_DAYS - RENEW_DAYS + 1) * 24 * 60 * 60 * 1000);
        assert!(tls(&config, later).unwrap().1, "nearly over");
        assert_eq!(fs::read(folder.path().join("tls/ca.pem")).unwrap(), ca);
        fs::remove_file(folder.path().join("tls/ca.key")).unwrap();
        assert!(!tls(&config, later).unwrap().1, "it is not needed now");
        config.tls.names.push("other.example".into());
        assert!(tls(&config, later).unwrap_err().contains("ca.key"));
    }

    /// Whatever a first start wrote before it was cut short, the next one goes on.
    #[test]
    fn a_first_start_may_be_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::on_free_ports(folder.path());
        let now = WallClock.now();
        let file = |name: &str| folder.path().join("tls").join(name);
        tls(&config, now).unwrap();
        for left in [
            &["ca.key"][..],
            &["ca.key", "ca.pem"],
            &["ca.key", "ca.pem", "server.key"],
        ] {
            for name in ["ca.key", "ca.pem", "server.key", "server.pem"] {
                if !left.contains(&name) {
                    fs::remove_file(file(name)).unwrap();
                }
            }
            assert!(tls(&config, now).unwrap().1, "{left:?}");
        }
        fs::remove_file(file("ca.pem")).unwrap();
        assert!(tls(&config, now).unwrap_err().contains("restore it"));
    }

    #[test]
    fn the_owner_is_told_all_that_the_next_step_needs() {
        let text = FirstStart {
            url: "https://localhost:8443".into(),
            ca: Some("/d/tls/ca.pem".into()),
            access_key_id: "LTAI".into(),
            access_key_secret: "hush".into(),
            data: "/d".into(),
        }
        .text();
        for wanted in [
            "https://localhost:8443",
            "/d/tls/ca.pem",
            "LTAI",
            "hush",
            "muster product create",
            "--data /d",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
    }
}
