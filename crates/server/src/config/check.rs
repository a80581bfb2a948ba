//! Whether a configuration can work; every message says what to write instead.

use super::{Config, MailTls, source::Choices, source::Loaded};
use crate::plain::PasswordFile;
use model::id::NodeId;
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which key.
    pub key: String,
    /// Where its value comes from.
    pub source: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            source,
            wrong,
            instead,
        } = self;
        write!(f, "{key} ({source}): {wrong}\n    → {instead}")
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// All keys, such as `listen.mqtt.address`.
pub(super) fn keys() -> Vec<String> {
    fn walk(
        table: &serde_json::Map<String, serde_json::Value>,
        prefix: &str,
        keys: &mut Vec<String>,
    ) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                serde_json::Value::Object(inner) => walk(inner, &format!("{key}."), keys),
                _ => keys.push(key),
            }
        }
    }
    let mut keys = Vec::new();
    if let Ok(serde_json::Value::Object(table)) = serde_json::to_value(Config::default()) {
        walk(&table, "", &mut keys);
    }
    keys
}

/// Whether the value of a key is a list.
pub(super) fn is_list(key: &str) -> bool {
    matches!(key, "tls.names" | "listen.plain.refuse")
}

/// The key that `wrong` was probably meant to be.
pub(super) fn nearest(wrong: &str) -> Option<String> {
    keys()
        .into_iter()
        .map(|key| (strsim::jaro_winkler(&key, wrong), key))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}

/// What a good value of `key` looks like.
pub(super) fn advice(key: &str) -> &'static str {
    match key {
        "data" => "write a folder, such as data = \"/var/lib/muster\"",
        "store" => {
            "write \"embedded\", or an address such as \"postgres://muster@db.example:5432/muster\""
        }
        "postgres.password_env" => {
            "write the name of an environment variable that holds the password"
        }
        "postgres.password_file" => "write the path of a file that holds the password, in quotes",
        "postgres.timeout" => "write at least 100 milliseconds, such as 10000",
        "bucket.url" => {
            "write scheme, host and bucket, such as \"https://s3.example.com/firmware\""
        }
        "bucket.region" | "bucket.key_id" => "write a name, in quotes",
        "bucket.secret_file" => "write the path of a file that holds the key's secret, in quotes",
        "bucket.timeout" => "write at least 100 milliseconds, such as 30000",
        "node" => "write a name of 1 to 64 letters, digits, '_' or '-', in quotes",
        "tls.min_version" => {
            "write \"1.2\", or \"1.0\" or \"1.1\" for devices that know nothing newer, in quotes"
        }
        "tls.names" => "write a list, such as names = [\"iot.example.com\", \"192.0.2.1\"]",
        "public.host" => {
            "write a host name or an address without scheme and port, such as \"iot.example.com\""
        }
        "public.download_url" => {
            "write scheme, host and port without a path, such as \"https://iot.example.com:8443\""
        }
        "sockets.overflow" => "write \"refuse\", \"drop-oldest\" or \"drop-newest\"",
        "log.format" => "write \"text\" or \"json\"",
        "log.level" => {
            "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or by room: \"info,access=debug\""
        }
        "pkcs11.module" => {
            "write the path of the token's library, such as \"/usr/lib/softhsm/libsofthsm2.so\""
        }
        "pkcs11.token" => "write the token's label, 1 to 32 characters in quotes",
        "pkcs11.pin_file" => "write the path of a file that holds the PIN, in quotes",
        "master_key.env" => "write the name of an environment variable that holds 64 hex digits",
        "listen.plain.tls" => "write \"off\", \"on\" or \"recognised\"",
        "listen.plain.refuse" => "write topic filters, such as refuse = [\"secret/#\"]",
        "listen.plain.password_file" => "write the path of a file, in quotes",
        "listen.plain.maximum_qos" => "write 0, 1 or 2",
        "listen.plain.receive_maximum" => "write a number from 1 to 65535",
        "listen.plain.maximum_packet_size" => "write a number of bytes from 128 to 268435460",
        "listen.plain.topic_alias_maximum" | "listen.plain.server_keep_alive" => {
            "write a number from 0 to 65535"
        }
        "listen.plain.session_expiry_maximum" => "write a number of seconds from 0 to 4294967295",
        "listen.plain.response_information" => "write a topic, such as \"answers\", in quotes",
        key if key.ends_with(".address") => {
            "write an address and a port, such as \"0.0.0.0:1883\" or \"[::]:1883\""
        }
        key if key.ends_with(".off")
            || key == "tls.on_mqtt_port"
            || key.starts_with("security.")
            || key.starts_with("listen.plain.") =>
        {
            "write true or false"
        }
        key if key.ends_with("_port") => "write a port from 1 to 65535",
        key if key.starts_with("tls.") || key == "master_key.file" => {
            "write the path of a file, in quotes"
        }
        key if key.starts_with("postgres.") => "write a whole number greater than 0",
        key if key.starts_with("limits.") || key.starts_with("sockets.") => {
            "write a whole number greater than 0; times are in milliseconds"
        }
        "api.json_scalars" => "write \"native\" or \"string\"",
        "ready.drain" => "write milliseconds, such as 5000; 0 stops at once",
        "ready.room" => "write bytes, such as 268435456",
        "ready.behind" => "write a number of facts, such as 1000000",
        "metrics.to" => "write \"everybody\", \"loopback\", \"keys\" or \"local\"",
        "mail.tls" => "write \"starttls\", \"implicit\" or \"none\"",
        "mail.language" => "write \"zh\" or \"en\"",
        "mail.server" => {
            "write a host name or an address without a port, such as \"mail.example.com\""
        }
        "mail.port" => "write a port from 1 to 65535",
        "mail.from" => {
            "write who mail is from, such as \"muster@example.com\" or \"Muster <muster@example.com>\""
        }
        "mail.user" => "write the user's name, in quotes",
        "mail.password_file" | "mail.ca" => "write the path of a file, in quotes",
        "mail.retry" => "write milliseconds from 100 on, such as 60000",
        _ => "`muster config print` shows how it is written",
    }
}

struct Check<'a> {
    loaded: &'a Loaded,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, key: &str, wrong: impl Into<String>) {
        self.mend(key, wrong, advice(key));
    }

    fn mend(&mut self, key: &str, wrong: impl Into<String>, instead: impl Into<String>) {
        self.problems.push(Problem {
            key: key.into(),
            source: self.loaded.source(key),
            wrong: wrong.into(),
            instead: instead.into(),
        });
    }

    fn file(&mut self, key: &str, path: &Path) {
        if let Err(error) = readable(path) {
            self.mend(
                key,
                format!("{} cannot be read: {error}", path.display()),
                "name a file that this user may read",
            );
        }
    }
}

pub(super) fn check(loaded: &Loaded, choices: &Choices) -> Vec<Problem> {
    let mut check = Check {
        loaded,
        problems: Vec::new(),
    };
    let config = &loaded.config;
    if config.data.as_os_str().is_empty() {
        check.wrong("data", "is empty");
    } else if config.data.exists() && !config.data.is_dir() {
        check.wrong("data", format!("{} is not a folder", config.data.display()));
    }
    if let Err(bad) = NodeId::parse(&config.node) {
        check.wrong("node", format!("{:?}: it {}", config.node, bad.rule));
    }
    listeners(&mut check);
    plain(&mut check);
    tls(&mut check);
    public(&mut check);
    master_key(&mut check, choices);
    pkcs11(&mut check);
    database(&mut check, choices);
    bucket(&mut check);
    limits(&mut check);
    mail(&mut check);
    if config.ready.drain > 600_000 {
        check.mend(
            "ready.drain",
            format!(
                "{} ms is longer than anybody waits for a stop",
                config.ready.drain
            ),
            "write at most 600000, ten minutes",
        );
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        check.wrong("log.level", format!("{:?}: {error}", config.log.level));
    }
    check.problems
}

fn listeners(check: &mut Check<'_>) {
    let config = &check.loaded.config;
    let open: Vec<(&str, SocketAddr)> = config
        .listen
        .all()
        .into_iter()
        .filter(|(_, socket)| !socket.off)
        .map(|(name, socket)| (name, socket.address))
        .collect();
    if open.is_empty() {
        check.mend(
            "listen",
            "every listener is off, so nobody could connect",
            "leave at least one on: write off = false in [listen.mqtts] or another",
        );
    }
    for (n, (name, address)) in open.iter().enumerate() {
        for (other, taken) in &open[..n] {
            if collide(*address, *taken) {
                check.mend(
                    &format!("listen.{name}.address"),
                    format!("{address} is taken by listen.{other}.address"),
                    format!(
                        "give it a port of its own, such as {}, or write off = true for one of the two",
                        SocketAddr::new(address.ip(), free_port(&open, address.port()))
                    ),
                );
            }
        }
    }
}

fn plain(check: &mut Check<'_>) {
    let plain = check.loaded.config.listen.plain.clone();
    for filter in &plain.refuse {
        if let Err(error) = wire::mqtt::TopicFilter::try_from(filter.as_str()) {
            check.wrong("listen.plain.refuse", format!("{filter:?}: {error}"));
        }
    }
    if plain.maximum_qos > 2 {
        check.wrong(
            "listen.plain.maximum_qos",
            format!("{} is no QoS", plain.maximum_qos),
        );
    }
    if !(128..=268_435_460).contains(&plain.maximum_packet_size) {
        check.wrong(
            "listen.plain.maximum_packet_size",
            format!("{} bytes", plain.maximum_packet_size),
        );
    }
    if let Some(told) = &plain.response_information
        && let Err(error) = wire::mqtt::TopicName::try_from(told.as_str())
    {
        check.wrong(
            "listen.plain.response_information",
            format!("{told:?}: {error}"),
        );
    }
    if plain.off {
        return;
    }
    match &plain.password_file {
        None if !plain.anonymous => check.mend(
            "listen.plain.password_file",
            "is not set, so nobody could enter the plain listener",
            "make one with `muster plain passwd FILE USER` and name it here, or write \
             anonymous = true in [listen.plain] to let everybody in",
        ),
        None => {}
        Some(file) => {
            if let Err(error) = PasswordFile::open(file) {
                check.mend(
                    "listen.plain.password_file",
                    error,
                    "make its lines with `muster plain passwd FILE USER`",
                );
            }
        }
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// A port that no listener of the configuration has.
fn free_port(open: &[(&str, SocketAddr)], mut port: u16) -> u16 {
    while open.iter().any(|(_, address)| address.port() == port) {
        port = port.checked_add(1).unwrap_or(1024);
    }
    port
}

fn tls(check: &mut Check<'_>) {
    let tls = check.loaded.config.tls.clone();
    for (certificate, key, names) in [
        (&tls.certificate, &tls.key, ["tls.certificate", "tls.key"]),
        (
            &tls.ecdsa_certificate,
            &tls.ecdsa_key,
            ["tls.ecdsa_certificate", "tls.ecdsa_key"],
        ),
    ] {
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                check.file(names[0], certificate);
                check.file(names[1], key);
            }
            (None, None) => {}
            (Some(_), None) => check.mend(
                names[1],
                format!("is missing, but {} is set", names[0]),
                "name the key file too, or leave both out",
            ),
            (None, Some(_)) => check.mend(
                names[0],
                format!("is missing, but {} is set", names[1]),
                "name the certificate file too, or leave both out",
            ),
        }
    }
    if tls.ecdsa_certificate.is_some() && tls.certificate.is_none() {
        check.mend(
            "tls.ecdsa_certificate",
            "stands alone, but devices with RSA key exchange need an RSA certificate",
            "set tls.certificate and tls.key (RSA, at least 2048 bits) too",
        );
    }
    for name in &tls.names {
        if !is_host(name) {
            check.wrong(
                "tls.names",
                format!("{name:?} is no host name and no address"),
            );
        }
    }
}

fn public(check: &mut Check<'_>) {
    let public = check.loaded.config.public.clone();
    if let Some(url) = &public.download_url {
        let host = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@\"'<>\\".contains(c);
        if host.is_none_or(|host| host.is_empty() || host.contains(odd)) {
            check.wrong("public.download_url", format!("{url:?} is no such address"));
        }
    }
    if let Some(host) = &public.host
        && !is_host(host)
    {
        check.wrong(
            "public.host",
            format!("{host:?} is no host name and no address"),
        );
    }
    for (key, port) in [
        ("public.mqtt_port", public.mqtt_port),
        ("public.mqtts_port", public.mqtts_port),
        ("public.http_port", public.http_port),
        ("public.https_port", public.https_port),
    ] {
        if port == Some(0) {
            check.wrong(key, "0 is not a port that anybody can connect to");
        }
    }
}

/// A host name (RFC 1123, letters case-blind, a wildcard in front allowed) or an IP address.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.parse::<IpAddr>().is_ok()
        || (name.len() <= 253 && !name.is_empty() && name.split('.').all(label))
}

fn master_key(check: &mut Check<'_>, choices: &Choices) {
    let key = check.loaded.config.master_key.clone();
    let hex = |text: &str| {
        let text = text.trim();
        text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    match (&key.file, &key.env) {
        (Some(_), Some(_)) => check.mend(
            "master_key.env",
            "is set, and master_key.file too",
            "leave one of the two out",
        ),
        (Some(file), None) => check.file("master_key.file", file),
        (None, Some(name)) => match choices.variable(name) {
            None => check.mend(
                "master_key.env",
                format!("there is no environment variable {name}"),
                format!("set {name} to 64 hex digits, such as `openssl rand -hex 32` gives"),
            ),
            Some(text) if !hex(text) => check.mend(
                "master_key.env",
                format!("{name} does not hold 64 hex digits"),
                format!("set {name} to what `openssl rand -hex 32` gives"),
            ),
            Some(_) => {}
        },
        (None, None) => {}
    }
}

fn pkcs11(check: &mut Check<'_>) {
    let pkcs11 = check.loaded.config.pkcs11.clone();
    let set = [
        ("pkcs11.module", pkcs11.module.is_some()),
        ("pkcs11.token", pkcs11.token.is_some()),
        ("pkcs11.pin_file", pkcs11.pin_file.is_some()),
    ];
    if let Some((there, _)) = set.iter().find(|(_, is)| *is) {
        for (missing, _) in set.iter().filter(|(_, is)| !is) {
            check.wrong(missing, format!("is missing, but {there} is set"));
        }
    }
    if let Some(module) = &pkcs11.module {
        check.file("pkcs11.module", module);
    }
    if let Some(file) = &pkcs11.pin_file {
        check.file("pkcs11.pin_file", file);
    }
    if pkcs11
        .token
        .is_some_and(|label| label.is_empty() || label.len() > 32)
    {
        check.wrong("pkcs11.token", "is no label");
    }
}

fn database(check: &mut Check<'_>, choices: &Choices) {
    let postgres = check.loaded.config.postgres.clone();
    match (&postgres.password_file, &postgres.password_env) {
        (Some(_), Some(_)) => check.mend(
            "postgres.password_env",
            "is set, and postgres.password_file too",
            "leave one of the two out",
        ),
        (Some(file), None) => check.file("postgres.password_file", file),
        (None, Some(name)) if choices.variable(name).is_none() => check.mend(
            "postgres.password_env",
            format!("there is no environment variable {name}"),
            format!("set {name} to the password of the database's user"),
        ),
        (None, _) => {}
    }
    if postgres.connections == 0 {
        check.wrong("postgres.connections", "is 0, so nothing could be asked");
    }
    if postgres.timeout < 100 {
        check.wrong("postgres.timeout", "is less than at least 100 milliseconds");
    }
}

fn bucket(check: &mut Check<'_>) {
    let bucket = check.loaded.config.bucket.clone();
    if bucket.timeout < 100 {
        check.wrong("bucket.timeout", "is less than at least 100 milliseconds");
    }
    if let Some(file) = &bucket.secret_file {
        check.file("bucket.secret_file", file);
    }
    let Some(url) = &bucket.url else { return };
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else {
        check.wrong("bucket.url", "does not begin with http:// or https://");
        return;
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    let named = rest.split_once('/').is_some_and(|(host, path)| {
        let path = path.trim_end_matches('/');
        !host.is_empty() && !path.is_empty() && path.bytes().all(plain)
    });
    if !named || url.parse::<hyper::Uri>().is_err() {
        check.wrong(
            "bucket.url",
            "names no bucket, of letters, digits, '-', '.' and '_'",
        );
    }
    if bucket.key_id.as_deref().is_none_or(str::is_empty) {
        check.wrong("bucket.key_id", "is not set, and bucket.url is");
    }
    if bucket.secret_file.is_none() {
        check.wrong("bucket.secret_file", "is not set, and bucket.url is");
    }
}

fn mail(check: &mut Check<'_>) {
    let mail = check.loaded.config.mail.clone();
    if mail.port == Some(0) {
        check.wrong("mail.port", "0 is not a port that anybody can connect to");
    }
    if mail.retry < 100 {
        check.wrong("mail.retry", format!("is {} milliseconds", mail.retry));
    }
    for (key, file) in [
        ("mail.password_file", &mail.password_file),
        ("mail.ca", &mail.ca),
    ] {
        if let Some(file) = file {
            check.file(key, file);
        }
    }
    if mail.user.is_some() != mail.password_file.is_some() {
        check.mend(
            "mail.password_file",
            "a user and a password belong together",
            "set both mail.user and mail.password_file, or none of them",
        );
    }
    let Some(server) = &mail.server else { return };
    if !is_host(server) || server.contains('*') {
        check.wrong(
            "mail.server",
            format!("{server:?} is no host name and no address"),
        );
    }
    match &mail.from {
        None => check.wrong("mail.from", "is not set, but mail.server is"),
        Some(from) if from.parse::<lettre::message::Mailbox>().is_err() => {
            check.wrong("mail.from", format!("{from:?} is no mail address"));
        }
        Some(_) => {}
    }
    let near = server.eq_ignore_ascii_case("localhost")
        || server.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if mail.tls == MailTls::None && mail.user.is_some() && !near {
        check.mend(
            "mail.tls",
            "the password would go to another machine in clear",
            "write \"starttls\" or \"implicit\", or leave mail.user and mail.password_file out",
        );
    }
}

fn limits(check: &mut Check<'_>) {
    let config = check.loaded.config.clone();
    let numbers: BTreeMap<String, i128> = [
        ("limits", serde_json::to_value(&config.limits)),
        ("sockets", serde_json::to_value(&config.sockets)),
    ]
    .into_iter()
    .filter_map(|(section, value)| Some((section, value.ok()?.as_object()?.clone())))
    .flat_map(|(section, table)| {
        table.into_iter().filter_map(move |(name, value)| {
            let number = value
                .as_i64()
                .map(i128::from)
                .or_else(|| value.as_u64().map(i128::from))?;
            Some((format!("{section}.{name}"), number))
        })
    })
    .collect();
    for (key, number) in &numbers {
        if *number <= 0 {
            check.wrong(key, format!("{number} would let nothing through"));
        }
    }
    let limits = &config.limits;
    if limits.keep_alive_least > limits.keep_alive_most {
        check.mend(
            "limits.keep_alive_least",
            format!(
                "{} is above limits.keep_alive_most, which is {}",
                limits.keep_alive_least, limits.keep_alive_most
            ),
            "write seconds with least ≤ most; the documents say 30 and 1200",
        );
    }
    // A message that waits has a packet identifier; those in flight need some, too.
    if config.sockets.queue > 65_500 {
        check.mend(
            "sockets.queue",
            format!(
                "{} messages for one session are more than MQTT has packet identifiers for",
                config.sockets.queue
            ),
            "write at most 65500",
        );
    }
    // MQTT's remaining length ends at 256 MiB; long before that one message starves the others.
    if limits.payload > 16 * 1024 * 1024 {
        check.mend(
            "limits.payload",
            format!(
                "{} bytes in one message is more than a device link bears",
                limits.payload
            ),
            "write at most 16777216 (16 MiB); the documents say 262144",
        );
    }
    if limits.history_page > 1_000 {
        check.mend(
            "limits.history_page",
            format!("{} points on one page", limits.history_page),
            "write at most 1000; the documents say 50",
        );
    }
    if limits.batch_names > 100_000 {
        check.mend(
            "limits.batch_names",
            format!("{} names in one application", limits.batch_names),
            "write at most 100000; the documents say 10000",
        );
    }
}

fn readable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder",
        ));
    }
    fs::File::open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `muster config check` says of a file.
    fn verdict(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("muster.toml"), text).unwrap();
        let choices = Choices {
            folder: folder.path().into(),
            ..Choices::default()
        };
        match Config::load(&choices) {
            Ok(_) => "fine".into(),
            Err(problems) => problems
                .to_string()
                .replace(&folder.path().display().to_string(), "F"),
        }
    }

    #[test]
    fn an_empty_file_is_fine() {
        assert_eq!(verdict(""), "fine");
    }

    #[test]
    fn an_unknown_key_names_the_one_that_was_meant() {
        assert_eq!(
            verdict("[listen.mqtt]\nadress = \"0.0.0.0:1\"\n"),
            "listen.mqtt.adress (F/muster.toml line 2): there is no such key\n    \
             → did you mean `listen.mqtt.address`? `muster config print` lists all keys"
        );
        let text = verdict("colour = \"red\"\n");
        assert!(
            text.starts_with("colour (F/muster.toml line 1): there is no such key"),
            "{text}"
        );
    }

    #[test]
    fn a_bad_address_says_how_one_looks() {
        let text = verdict("[listen.mqtt]\naddress = \"everywhere\"\n");
        assert!(
            text.starts_with("listen.mqtt.address (F/muster.toml line 2): "),
            "{text}"
        );
        assert!(
            text.ends_with(
                "→ write an address and a port, such as \"0.0.0.0:1883\" or \"[::]:1883\""
            ),
            "{text}"
        );
    }

    #[test]
    fn two_listeners_on_one_port_are_named_both() {
        assert_eq!(
            verdict("[listen.https]\naddress = \"127.0.0.1:8080\"\n"),
            "listen.https.address (F/muster.toml line 2): 127.0.0.1:8080 is taken by \
             listen.http.address\n    → give it a port of its own, such as 127.0.0.1:8081, or \
             write off = true for one of the two"
        );
        assert_eq!(
            verdict("[listen.https]\naddress = \"127.0.0.1:8080\"\noff = true\n"),
            "fine"
        );
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        let text = verdict("[tls]\ncertificate = \"/nowhere/a.pem\"\nkey = \"/nowhere/a.key\"\n");
        assert!(
            text.contains("tls.certificate (F/muster.toml line 2): /nowhere/a.pem cannot be read"),
            "{text}"
        );
        assert!(
            text.contains("tls.key (F/muster.toml line 3): /nowhere/a.key cannot be read"),
            "{text}"
        );
        let text = verdict("[tls]\nkey = \"/etc/hostname\"\n");
        assert!(
            text.contains("tls.certificate (default): is missing, but tls.key is set"),
            "{text}"
        );
    }

    #[test]
    fn impossible_limits_are_refused() {
        for (text, wants) in [
            ("[limits]\nproducts = 0\n", "limits.products"),
            (
                "[limits]\nkeep_alive_least = 2000\n",
                "is above limits.keep_alive_most",
            ),
            ("[limits]\npayload = 999999999\n", "16777216"),
            ("[limits]\ntoken_life = -1\n", "limits.token_life"),
            ("[sockets]\nconnections = 0\n", "sockets.connections"),
            ("[sockets]\nqueue = 65501\n", "write at most 65500"),
            ("[limits]\nproducts = \"many\"\n", "write a whole number"),
        ] {
            let verdict = verdict(text);
            assert!(verdict.contains(wants), "{text} gave {verdict}");
        }
    }

    #[test]
    fn other_mistakes_are_told_with_their_cure() {
        for (text, wants) in [
            ("node = \"a b\"\n", "letters, digits, '_' or '-'"),
            ("[tls]\nmin_version = \"0.9\"\n", "write \"1.2\""),
            (
                "[tls]\nnames = [\"not a host\"]\n",
                "\"not a host\" is no host name",
            ),
            (
                "[public]\nhost = \"https://x\"\n",
                "without scheme and port",
            ),
            ("[public]\nmqtt_port = 0\n", "from 1 to 65535"),
            ("[log]\nlevel = \"a=b=c\"\n", "\"info\""),
            ("[log]\nformat = \"xml\"\n", "\"text\" or \"json\""),
            ("[metrics]\nto = \"all\"\n", "\"loopback\""),
            ("[ready]\ndrain = 3600000\n", "at most 600000"),
            ("[ready]\nroom = -1\n", "write bytes"),
            ("[master_key]\nenv = \"NO_SUCH\"\n", "openssl rand -hex 32"),
            (
                "[pkcs11]\ntoken = \"bench\"\n",
                "pkcs11.module (default): is missing, but pkcs11.token is set",
            ),
            (
                "[pkcs11]\npin_file = \"/nowhere/pin\"\n",
                "/nowhere/pin cannot be read",
            ),
            ("[pkcs11]\ntoken = \"\"\n", "1 to 32 characters"),
            ("[listen\n", "is not TOML"),
            (
                "[listen.plain]\noff = false\n",
                "nobody could enter the plain listener",
            ),
            (
                "[listen.plain]\noff = false\npassword_file = \"/nowhere/users\"\n",
                "/nowhere/users cannot be read",
            ),
            (
                "[listen.plain]\noff = false\npassword_file = \"/etc/hostname\"\n",
                "/etc/hostname line 1: is not written as user:hash",
            ),
            (
                "[mail]\nserver = \"a b\"\nfrom = \"a@b.cn\"\n",
                "no host name",
            ),
            ("[mail]\nserver = \"m.example\"\n", "but mail.server is"),
            (
                "[mail]\nserver = \"m.example\"\nfrom = \"nobody\"\n",
                "no mail address",
            ),
            ("[mail]\nuser = \"a\"\n", "belong together"),
            ("[mail]\ntls = \"ssl\"\n", "\"implicit\""),
            ("[mail]\nretry = 1\n", "from 100 on"),
            (
                "[mail]\nserver = \"m.example\"\nfrom = \"a@b.cn\"\ntls = \"none\"\nuser = \"a\"\npassword_file = \"/etc/hostname\"\n",
                "in clear",
            ),
            ("[listen.plain]\nrefuse = [\"a#\"]\n", "\"a#\""),
            ("[listen.plain]\nmaximum_qos = 3\n", "write 0, 1 or 2"),
            ("[listen.plain]\nmaximum_packet_size = 5\n", "128"),
            ("[listen.plain]\ntls = \"maybe\"\n", "\"recognised\""),
            (
                "[listen.mqtt]\noff = true\n[listen.mqtts]\noff = true\n[listen.http]\noff = true\n[listen.https]\noff = true\n",
                "nobody could connect",
            ),
        ] {
            let verdict = verdict(text);
            assert!(verdict.contains(wants), "{text} gave {verdict}");
        }
    }

    #[test]
    fn a_variable_with_single_underscores_is_not_passed_over() {
        let choices = Choices {
            environment: vec![("MUSTER_LISTEN_MQTT_ADDRESS".into(), "0.0.0.0:1".into())],
            folder: "/nowhere".into(),
            ..Choices::default()
        };
        let text = Config::load(&choices).unwrap_err().to_string();
        assert!(
            text.contains("write MUSTER_LISTEN__MQTT__ADDRESS"),
            "{text}"
        );
    }
}
