//! Certificates, the clock that they are judged by, and what the oldest devices can shake hands
//! on.

use super::{Patient, Report};
use crate::{
    config::MinVersion,
    first_start,
    token::{Place, Token, TokenError},
};
use access::tls::Tls;
use openssl::{
    asn1::Asn1Time,
    ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion},
    x509::X509,
};
use std::{
    fs,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

/// A certificate that holds no longer than this is told of.
const DAYS_WARN: i32 = 30;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the vendor's C SDK offers at its best (spec/stack.md, TLS).
const OLD_SUITE: &str = "AES256-SHA256";
/// What devices before TLS 1.2 offer, at the security level that lets us.
const OLD_SUITES: &str = "AES256-SHA:AES128-SHA:@SECLEVEL=0";
/// How far a file's time may be ahead of the clock, in seconds.
const AHEAD: u64 = 120;

fn chain_path(patient: &Patient) -> PathBuf {
    let own = || first_start::tls_folder(&patient.config).join("server.pem");
    patient.config.tls.certificate.clone().unwrap_or_else(own)
}

fn certificate_of(patient: &Patient) -> Option<Result<X509, String>> {
    let path = chain_path(patient);
    match fs::read(&path) {
        Ok(pem) => Some(
            X509::from_pem(&pem)
                .map_err(|_| format!("{} holds no PEM certificate", path.display())),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(format!("{}: {error}", path.display()))),
    }
}

pub(super) fn certificate(patient: &Patient, report: &mut Report) {
    let own = patient.config.tls.certificate.is_none();
    let renew = if own {
        "delete server.pem and server.key in its folder and start the server again: it makes new ones"
    } else {
        "fetch a new certificate and set tls.certificate and tls.key"
    };
    let certificate = match certificate_of(patient) {
        None if own => {
            report.ok("certificate", "is made at the first start");
            return;
        }
        None => {
            report.fail("certificate", "is not there", renew);
            return;
        }
        Some(Err(error)) => {
            report.fail("certificate", error, renew);
            return;
        }
        Some(Ok(certificate)) => certificate,
    };
    let left = Asn1Time::from_unix(patient.now.0 / 1000)
        .and_then(|now| now.diff(certificate.not_after()))
        .map_or(0, |left| left.days);
    let missing: Vec<String> = {
        let known = first_start::alternative_names(&certificate);
        let wanted = if own {
            first_start::names(&patient.config)
        } else {
            patient.config.public.host.iter().cloned().collect()
        };
        wanted
            .into_iter()
            .filter(|name| !covers(&known, name))
            .collect()
    };
    if left <= 0 {
        report.fail("certificate", "has expired", renew);
    } else if left < DAYS_WARN {
        report.warn("certificate", format!("expires in {left} days"), renew);
    } else if !missing.is_empty() {
        report.warn(
            "certificate",
            format!("does not bear the name {}", missing.join(", ")),
            if own {
                "restart the server: it makes a certificate with these names"
            } else {
                "fetch a certificate with that name, because clients check it"
            },
        );
    } else {
        report.ok("certificate", format!("holds for {left} more days"));
    }
    let settings = first_start::tls_settings(&patient.config);
    match Tls::new(&settings) {
        Ok(_) => report.ok("key", "fits to the certificate"),
        Err(error) => report.fail("key", error.to_string(), renew),
    }
}

/// Whether a certificate with these names is good for `wanted`, wildcards included (RFC 6125 §6.4).
fn covers(known: &[String], wanted: &str) -> bool {
    known.iter().any(|name| {
        name.eq_ignore_ascii_case(wanted)
            || name.strip_prefix("*.").is_some_and(|rest| {
                wanted
                    .split_once('.')
                    .is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(rest))
            })
    })
}

/// Whether private keys can be read by us and by nobody else.
pub(super) fn keys(patient: &Patient, report: &mut Report) {
    let settings = first_start::tls_settings(&patient.config);
    let mut paths = vec![settings.rsa.key];
    paths.extend(settings.ecdsa.map(|pair| pair.key));
    paths.push(first_start::tls_folder(&patient.config).join("ca.key"));
    let mut looked = 0;
    for path in paths {
        let shown = path.display();
        let Ok(about) = fs::metadata(&path) else {
            // One that is missing is told by the check of its certificate.
            continue;
        };
        looked += 1;
        let mode = about.permissions().mode() & 0o777;
        if let Err(error) = fs::File::open(&path) {
            let mend = "let the user that the server runs as read it: chown and chmod 600, or chgrp and chmod 640";
            report.fail("private keys", format!("{shown}: {error}"), mend);
        } else if mode & 0o027 != 0 {
            report.warn(
                "private keys",
                format!("{shown} is open to other users (mode {mode:o})"),
                format!("chmod 600 {shown}"),
            );
        } else {
            continue;
        }
        return;
    }
    if looked > 0 {
        report.ok("private keys", "are for their owner");
    }
}

/// Whether keys of identities can be used in the token that the configuration names.
pub(super) fn token(patient: &Patient, report: &mut Report) {
    let Some(place) = Place::of(&patient.config.pkcs11) else {
        return;
    };
    let Some(file) = &patient.config.pkcs11.pin_file else {
        return;
    };
    if let Err(error) = Token::new(place).probe() {
        let mend = match error {
            TokenError::Library { .. } => "set pkcs11.module to the library of the token's maker",
            TokenError::NoToken(_) => {
                "plug the token in, or set pkcs11.token to a label that `pkcs11-tool -L` shows"
            }
            TokenError::PinFile { .. } => "let the user that the server runs as read it: chmod 600",
            TokenError::Pin => {
                "write the PIN of the token's user into pkcs11.pin_file; tokens lock after a few wrong ones"
            }
            TokenError::Mechanism => {
                "use a token that can wrap keys with AES and padding (RFC 5649)"
            }
            TokenError::Away | TokenError::Says(_) => {
                "look whether the token and what drives it work, with the tools of its maker"
            }
        };
        report.fail("token", error.to_string(), mend);
        return;
    }
    let mode = fs::metadata(file).map_or(0, |about| about.permissions().mode() & 0o777);
    if mode & 0o027 != 0 {
        report.warn(
            "token",
            format!("{} is open to other users (mode {mode:o})", file.display()),
            format!("chmod 600 {}", file.display()),
        );
    } else {
        report.ok("token", "opens with its PIN, and wraps keys");
    }
}

/// Whether the clock can be right: signatures and certificates are judged by it.
pub(super) fn clock(patient: &Patient, report: &mut Report) {
    let now = u64::try_from(patient.now.0 / 1000).unwrap_or_default();
    let mend = "set the clock (`timedatectl set-ntp true`), because signatures and certificates are judged by it";
    let starts = certificate_of(patient)
        .and_then(Result::ok)
        .and_then(|certificate| {
            let epoch = Asn1Time::from_unix(0).ok()?;
            let from = epoch.diff(certificate.not_before()).ok()?;
            u64::try_from(i64::from(from.days) * 86_400 + i64::from(from.secs)).ok()
        });
    if starts.is_some_and(|starts| now < starts) {
        report.fail("clock", "is before the first day of our certificate", mend);
        return;
    }
    let newest = ["", "journal"]
        .into_iter()
        .filter_map(|name| fs::read_dir(patient.config.data.join(name)).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .filter_map(|at| at.duration_since(UNIX_EPOCH).ok())
        .map(|at| at.as_secs())
        .max();
    match newest {
        Some(newest) if newest > now + AHEAD => report.fail(
            "clock",
            format!(
                "is {} seconds behind files that were written before",
                newest - now
            ),
            mend,
        ),
        _ => report.ok("clock", crate::admin::time(patient.now)),
    }
}

/// Whether a device that knows only RSA key exchange with CBC gets through ([AL-3.5]).
pub(super) fn old_device(patient: &Patient, report: &mut Report) {
    let Some(address) = &patient.tls_at else {
        return;
    };
    match shake(address, SslVersion::TLS1_2, OLD_SUITE) {
        Ok(suite) => report.ok("old device", format!("shakes hands with {suite} over TLS 1.2")),
        Err(error) => report.fail(
            "old device",
            format!("with {OLD_SUITE} alone gets no connection at {address}: {error}"),
            "use an RSA certificate, and let no proxy in front of the server end TLS with other suites",
        ),
    }
}

/// Whether a device that knows no newer version than TLS 1.0 or 1.1 gets what the configuration
/// says that it gets ([AL-3.5]).
pub(super) fn versions(patient: &Patient, report: &mut Report) {
    let Some(address) = &patient.tls_at else {
        return;
    };
    let oldest = patient.config.tls.min_version;
    let mut refused = Vec::new();
    for (version, name, wanted) in [
        (SslVersion::TLS1, "1.0", oldest == MinVersion::V1_0),
        (SslVersion::TLS1_1, "1.1", oldest != MinVersion::V1_2),
    ] {
        match (shake(address, version, OLD_SUITES), wanted) {
            (Ok(_), true) => {}
            (Err(_), false) => refused.push(name),
            (Err(error), true) => {
                report.fail(
                    "old TLS",
                    format!("TLS {name} is on and gets no connection at {address}: {error}"),
                    "restart the server if tls.min_version was changed; the system's OpenSSL policy (openssl.cnf, MinProtocol) may forbid it too",
                );
                return;
            }
            (Ok(_), false) => {
                report.warn(
                    "old TLS",
                    format!("TLS {name} gets a connection at {address}, though it is off"),
                    "restart the server: tls.min_version was changed since",
                );
                return;
            }
        }
    }
    report.ok(
        "old TLS",
        match refused.is_empty() {
            true => "TLS 1.0 and 1.1 get through, as tls.min_version says".to_owned(),
            false => format!(
                "devices that know only TLS {} are turned away; set tls.min_version = \"{}\" if you have such",
                refused.join(" and "),
                refused[0]
            ),
        },
    );
}

/// Where a listener on all addresses is reached from this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn shake(address: &str, newest: SslVersion, suites: &str) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(|error| text(&error))?;
    // Names and authority are looked at in other checks; here only the suite matters.
    builder.set_verify(SslVerifyMode::NONE);
    builder
        .set_min_proto_version(Some(newest))
        .and_then(|()| builder.set_max_proto_version(Some(newest)))
        .and_then(|()| builder.set_cipher_list(suites))
        .map_err(|error| text(&error))?;
    let mut known = address.to_socket_addrs().map_err(|error| text(&error))?;
    let address = known.next().ok_or("the name has no address")?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| text(&error))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(|error| text(&error))?;
    let ssl = Ssl::new(&builder.build()).map_err(|error| text(&error))?;
    let stream = ssl.connect(stream).map_err(|error| text(&error))?;
    let suite = stream.ssl().current_cipher().map(|suite| suite.name());
    Ok(suite.unwrap_or("no suite").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let known = ["*.example.com".to_owned(), "iot.test".to_owned()];
        for (name, good) in [
            ("a.example.com", true),
            ("A.Example.com", true),
            ("example.com", false),
            ("b.a.example.com", false),
            ("iot.test", true),
            ("x.iot.test", false),
        ] {
            assert_eq!(covers(&known, name), good, "{name}");
        }
    }
}
