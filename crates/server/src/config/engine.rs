//! Which engine keeps the registry and the histories: one line of the configuration.

use postgres::Address;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// What `store` says.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Engine {
    /// `embedded`: in the data folder.
    Embedded,
    /// `postgres://…`: in a PostgreSQL database.
    Postgres(Box<Address>),
}

impl TryFrom<String> for Engine {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.trim() {
            "embedded" => Ok(Self::Embedded),
            // What is wrong is told without the text, which may hold a password.
            other => Address::parse(other)
                .map(|address| Self::Postgres(Box::new(address)))
                .map_err(|bad| format!("it {bad}")),
        }
    }
}

impl From<Engine> for String {
    fn from(engine: Engine) -> Self {
        engine.to_string()
    }
}

/// Shows no password.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How a PostgreSQL database is used, when `store` names one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// A file that holds the password; a line end behind it does not count.
    pub password_file: Option<PathBuf>,
    /// The name of an environment variable that holds the password.
    pub password_env: Option<String>,
    /// Connections that are open at most.
    pub connections: usize,
    /// How long one call may take, in milliseconds.
    pub timeout: u64,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            password_file: None,
            password_env: None,
            connections: 16,
            timeout: 10_000,
        }
    }
}

/// An object store of the S3 kind that keeps files instead of the data folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Its address with the bucket, and what the names of all files begin with:
    /// `https://s3.example/bucket/folder`. Files are in the data folder when it is not set.
    pub url: Option<String>,
    /// The region that signatures name.
    pub region: String,
    /// The id of the access key.
    pub key_id: Option<String>,
    /// A file that holds the key's secret; a line end behind it does not count.
    pub secret_file: Option<PathBuf>,
    /// How long one call may take, in milliseconds.
    pub timeout: u64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            url: None,
            region: "us-east-1".into(),
            key_id: None,
            secret_file: None,
            timeout: 30_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Choices, Config};

    #[test]
    fn a_bucket_needs_an_address_and_a_key() {
        for (sets, told) in [
            (&["bucket.url=s3://files"][..], "http:// or https://"),
            (&["bucket.url=https://s3.example"], "names no bucket"),
            (&["bucket.url=https://s3.example/a?b"], "names no bucket"),
            (&["bucket.url=https://s3.example/a"], "bucket.key_id"),
            (
                &["bucket.url=https://s3.example/a", "bucket.key_id=me"],
                "bucket.secret_file",
            ),
            (&["bucket.secret_file=/nowhere"], "cannot be read"),
            (&["bucket.timeout=5"], "bucket.timeout"),
        ] {
            let mut choices = Choices::default();
            for set in sets {
                choices.set(set).unwrap();
            }
            let problems = Config::load(&choices).unwrap_err().to_string();
            assert!(problems.contains(told), "{sets:?}: {problems}");
        }
    }

    /// One line takes the other engine; its password is shown nowhere.
    #[test]
    fn a_database_is_one_line_and_its_password_is_not_shown() {
        let mut choices = Choices::default();
        choices
            .set("store=postgres://muster:hu%20sh@db.example/iot?sslmode=require")
            .unwrap();
        let loaded = Config::load(&choices).unwrap();
        let shown = "postgres://muster@db.example:5432/iot?sslmode=require";
        assert_eq!(loaded.config.store.to_string(), shown);
        let page = loaded.print();
        assert!(page.contains(&format!("store = \"{shown}\"")), "{page}");
        assert!(
            !format!("{page}{:?}", loaded.config).contains("hu"),
            "{page}"
        );

        choices.flags.clear();
        choices.environment = vec![("MUSTER_STORE".into(), "embedded".into())];
        let loaded = Config::load(&choices).unwrap();
        assert_eq!(loaded.source("store"), "environment MUSTER_STORE");
        assert!(loaded.print().contains("store = \"embedded\""));
    }

    #[test]
    fn what_is_wrong_with_it_is_told_without_the_password() {
        for (set, told) in [
            (
                "store=postgres://muster:hush@db.example",
                "names no host or no database",
            ),
            (
                "store=mysql://muster:hush@db.example/iot",
                "does not begin with",
            ),
            ("store=hush", "does not begin with"),
            ("postgres.connections=0", "postgres.connections"),
            ("postgres.timeout=5", "at least 100"),
            ("postgres.password_file=/nowhere", "cannot be read"),
            (
                "postgres.password_env=NOBODY_SET_THIS",
                "no environment variable",
            ),
        ] {
            let mut choices = Choices::default();
            choices.set(set).unwrap();
            let problems = Config::load(&choices).unwrap_err().to_string();
            assert!(problems.contains(told), "{set}: {problems}");
            assert!(!problems.contains("hush"), "{set}: {problems}");
        }
    }
}
