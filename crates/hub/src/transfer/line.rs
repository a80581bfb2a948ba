//! A line of a file: one JSON object with one key, which says what it is.

use bytes::Bytes;
use model::{
    account::AuditRecord,
    archive::{Row, Token},
    command::Command,
    device::Device,
    error::Fault,
    id::{AccessKeyId, CommandId, IotId, ProductKey, Time},
    port::{Point, SecretId},
};
use serde::{Deserialize, Serialize};

/// The version of the format. A reader refuses a newer one.
pub(super) const FORMAT: u32 = 1;

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// The first one.
    Muster(Head),
    /// A document of the catalog; the value is JSON text, byte for byte.
    Entry {
        kind: String,
        key: String,
        version: u64,
        value: String,
    },
    /// A sequence of the catalog, with its last number.
    Sequence { name: String, last: u64 },
    /// A device.
    Device(Device),
    /// A secret, closed as the head says.
    Secret {
        of: Owner,
        #[serde(with = "as_hex")]
        text: Vec<u8>,
    },
    /// A challenge handed out.
    Challenge(Token),
    /// A token seen already.
    Burnt(Token),
    /// The last command's number.
    CommandNumber(CommandId),
    /// A command that waits for a device or for its answer.
    Command(Command),
    /// A line of the audit log.
    Audit(AuditRecord),
    /// A point of a history.
    Point(Point),
    /// The last one: how many lines there were before it, and the seal over them.
    End {
        lines: u64,
        #[serde(with = "as_hex")]
        seal: Vec<u8>,
    },
}

/// What the file is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// `FORMAT` of the program that wrote it.
    pub(super) format: u32,
    /// When it was begun.
    pub(super) made: Time,
    /// Whether histories are in it.
    pub(super) histories: bool,
    /// How secrets are closed.
    pub(super) secrets: Closing,
}

/// How secrets are closed in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Closing {
    /// Not at all.
    Open,
    /// With a key that somebody keeps elsewhere.
    Key {
        #[serde(with = "as_hex")]
        probe: Vec<u8>,
    },
    /// With a passphrase, by PBKDF2 with HMAC-SHA-512.
    Passphrase {
        #[serde(with = "as_hex")]
        salt: Vec<u8>,
        rounds: u32,
        #[serde(with = "as_hex")]
        probe: Vec<u8>,
    },
}

/// Whose secret it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Owner {
    Device(IotId),
    Product(ProductKey),
    AccessKey(AccessKeyId),
    Server(String),
}

impl Owner {
    pub(super) fn of(id: &SecretId) -> Self {
        match id {
            SecretId::Device(id) => Self::Device(id.clone()),
            SecretId::Product(key) => Self::Product(key.clone()),
            SecretId::AccessKey(id) => Self::AccessKey(id.clone()),
            SecretId::Server(name) => Self::Server(name.clone()),
        }
    }

    pub(super) fn id(&self) -> SecretId {
        match self {
            Self::Device(id) => SecretId::Device(id.clone()),
            Self::Product(key) => SecretId::Product(key.clone()),
            Self::AccessKey(id) => SecretId::AccessKey(id.clone()),
            Self::Server(name) => SecretId::Server(name.clone()),
        }
    }

    /// What the secret is bound to in the file.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Device(id) => format!("device/{id}"),
            Self::Product(key) => format!("product/{key}"),
            Self::AccessKey(id) => format!("access-key/{id}"),
            Self::Server(name) => format!("server/{name}"),
        }
    }
}

impl Line {
    /// The line for a row; a secret needs a lock and is none of these.
    pub(super) fn of(row: Row) -> Result<Option<Self>, Fault> {
        Ok(Some(match row {
            Row::Entry {
                kind,
                key,
                value,
                version,
            } => Self::Entry {
                value: String::from_utf8(value.to_vec())
                    .map_err(|_| Fault::lasting(format!("{kind} {key} is not text")))?,
                kind,
                key,
                version,
            },
            Row::Sequence { name, last } => Self::Sequence { name, last },
            Row::Device(device) => Self::Device(device),
            Row::Secret { .. } => return Ok(None),
            Row::Challenge(token) => Self::Challenge(token),
            Row::Burnt(token) => Self::Burnt(token),
            Row::CommandNumber(number) => Self::CommandNumber(number),
            Row::Command(command) => Self::Command(command),
            Row::Audit(record) => Self::Audit(record),
        }))
    }

    /// The row of a line; head, end, points and secrets have none.
    pub(super) fn row(self) -> Option<Row> {
        Some(match self {
            Self::Entry {
                kind,
                key,
                version,
                value,
            } => Row::Entry {
                kind,
                key,
                value: Bytes::from(value),
                version,
            },
            Self::Sequence { name, last } => Row::Sequence { name, last },
            Self::Device(device) => Row::Device(device),
            Self::Challenge(token) => Row::Challenge(token),
            Self::Burnt(token) => Row::Burnt(token),
            Self::CommandNumber(number) => Row::CommandNumber(number),
            Self::Command(command) => Row::Command(command),
            Self::Audit(record) => Row::Audit(record),
            Self::Muster(_) | Self::Secret { .. } | Self::Point(_) | Self::End { .. } => {
                return None;
            }
        })
    }
}

mod as_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Write;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        s.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        });
        pairs
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("an even number of hex digits is wanted"))
    }
}
