//! Where the database is: a URL as every PostgreSQL client writes it.

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use std::{fmt, time::Duration};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// Where the database is and how to get in. It holds a password: it is shown without.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    config: Config,
    check: Check,
    root: Option<String>,
    /// What was said of TLS, to be shown.
    tls: String,
}

/// What of the server's certificate is checked, as libpq's `sslmode` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

/// A text that is no address of a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress(String);

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadAddress {}

impl Address {
    /// Reads `postgres://user[:password]@host[:port]/database[?sslmode=…&sslrootcert=…]`. The
    /// modes are libpq's: `disable`, `prefer` (the default), `require` (with a root certificate the
    /// same as `verify-ca`), `verify-ca`, `verify-full` (PostgreSQL documentation, libpq, "SSL Mode
    /// Descriptions"). A socket's folder stands in place of the host with its slashes as `%2F`.
    ///
    /// # Errors
    /// `BadAddress` in words for an operator, without the password.
    pub fn parse(url: &str) -> Result<Self, BadAddress> {
        if !is_address(url) {
            return Err(BadAddress(
                "does not begin with postgres:// or postgresql://".into(),
            ));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut check, mut root) = (SslMode::Prefer, Check::Nothing, None);
        let (mut rest, mut tls) = (String::new(), String::new());
        let also = |text: &mut String, pair: &str| {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(pair);
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("sslmode", value) => {
                    (mode, check) = match value {
                        "disable" => (SslMode::Disable, Check::Nothing),
                        "allow" | "prefer" => (SslMode::Prefer, Check::Nothing),
                        "require" => (SslMode::Require, Check::Nothing),
                        "verify-ca" => (SslMode::Require, Check::Chain),
                        "verify-full" => (SslMode::Require, Check::ChainAndName),
                        _ => {
                            return Err(BadAddress(
                                "has an sslmode that is none of disable, prefer, require, verify-ca and verify-full"
                                    .into(),
                            ));
                        }
                    };
                    also(&mut tls, pair);
                }
                ("sslrootcert", value) => {
                    root = Some(value.replace("%2F", "/"));
                    also(&mut tls, pair);
                }
                _ => also(&mut rest, pair),
            }
        }
        if mode == SslMode::Require && check == Check::Nothing && root.is_some() {
            check = Check::Chain;
        }
        // What the parser says may hold what it was given: the password, too.
        let mut config: Config = format!("{base}{rest}").parse().map_err(|_| {
            BadAddress(
                "cannot be read; it is written postgres://user@host:5432/database, with special letters as %XX"
                    .into(),
            )
        })?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none_or(str::is_empty) {
            return Err(BadAddress("names no host or no database".into()));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(BadAddress("names no user".into()));
        }
        config.ssl_mode(mode);
        config.application_name("muster");
        config.keepalives_idle(Duration::from_secs(30));
        Ok(Self {
            config,
            check,
            root,
            tls,
        })
    }

    /// The same with a password that was kept elsewhere.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        self.config.password(password);
        self
    }

    /// Whether it has a password already.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    pub(crate) fn config(&self, patience: Duration) -> Config {
        let mut config = self.config.clone();
        config.connect_timeout(patience);
        config.tcp_user_timeout(patience);
        config
    }

    pub(crate) fn tls(&self) -> Result<MakeTlsConnector, BadAddress> {
        let bad = |e: openssl::error::ErrorStack| BadAddress(format!("TLS: {e}"));
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(bad)?;
        if self.check == Check::Nothing {
            builder.set_verify(SslVerifyMode::NONE);
        }
        if let Some(root) = &self.root {
            builder
                .set_ca_file(root)
                .map_err(|e| BadAddress(format!("names the root certificate {root}: {e}")))?;
        }
        let mut connector = MakeTlsConnector::new(builder.build());
        let check_name = self.check == Check::ChainAndName;
        connector.set_callback(move |configuration, _| {
            configuration.set_verify_hostname(check_name);
            Ok(())
        });
        Ok(connector)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.config.get_user().unwrap_or("?"))?;
        let ports = self.config.get_ports();
        for (i, host) in self.config.get_hosts().iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                Host::Unix(path) => f.write_str(&path.display().to_string().replace('/', "%2F"))?,
            }
            if let Some(port) = ports.get(i).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(
            f,
            "/{}{}",
            self.config.get_dbname().unwrap_or("?"),
            self.tls
        )
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether the text means to be an address of a PostgreSQL database.
fn is_address(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            (
                "postgres://muster:hu%40sh@db.example:6432/iot?sslmode=verify-full",
                "postgres://muster@db.example:6432/iot?sslmode=verify-full",
            ),
            (
                "postgresql://muster@%2Frun%2Fpg/iot?password=hush",
                "postgres://muster@%2Frun%2Fpg:5432/iot",
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(format!("{address} {address:?}"), format!("{shown} {shown}"));
            assert!(address.has_password());
            address.tls().unwrap();
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_telling_the_password() {
        for bad in [
            "",
            "mysql://hush@h/d",
            "postgres://",
            "postgres://u:hush@h:port/d",
            "postgres://u:hush@h",
            "postgres://h/d",
            "postgres://u:hush@h/d?sslmode=hush",
            "postgres://u:hush@h/d?hush=1",
        ] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{bad}: {error}");
        }
    }
}
