//! How mail is sent: over one server, by SMTP.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The mail server, and who we are to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Its host name or address; without it, no mail is sent.
    pub server: Option<String>,
    /// Its port; without it, 587 for STARTTLS, 465 for TLS from the start, 25 for none.
    pub port: Option<u16>,
    /// How the way to it is guarded.
    pub tls: MailTls,
    /// PEM file with the authority that its certificate is checked with, beside the machine's own.
    pub ca: Option<PathBuf>,
    /// Whom we log in as; without it, we do not.
    pub user: Option<String>,
    /// A file that holds the user's password; a line end behind it does not count.
    pub password_file: Option<PathBuf>,
    /// Who mail is from.
    pub from: Option<String>,
    /// What it is written in.
    pub language: MailLanguage,
    /// How long a letter that could not be handed over rests, in milliseconds; each time twice as
    /// long, up to an hour, for three days.
    pub retry: u64,
}

/// How the way to a mail server is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS is begun after the greeting (RFC 3207); a server without it gets no mail.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// Not at all.
    None,
}

/// What mail is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailLanguage {
    /// Simplified Chinese.
    Zh,
    /// English.
    En,
}

impl Mail {
    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            MailTls::StartTls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        })
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            server: None,
            port: None,
            tls: MailTls::StartTls,
            ca: None,
            user: None,
            password_file: None,
            from: None,
            language: MailLanguage::Zh,
            retry: 60_000,
        }
    }
}
