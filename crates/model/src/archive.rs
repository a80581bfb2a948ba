//! Rows as an engine keeps them: how a registry moves from one engine to another.

use crate::{
    account::AuditRecord,
    command::Command,
    device::Device,
    error::Fault,
    id::{CommandId, Time},
    port::SecretId,
};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

/// One row of what the row-keeping ports keep. Histories are not among them: they are asked of
/// `Series`.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A document of the catalog.
    Entry {
        /// Its kind.
        kind: String,
        /// Its key.
        key: String,
        /// JSON text.
        value: Bytes,
        /// Its version.
        version: u64,
    },
    /// The last number of a sequence of the catalog.
    Sequence {
        /// Its name.
        name: String,
        /// The number given last.
        last: u64,
    },
    /// A device; in order of creation.
    Device(Device),
    /// A sealed secret.
    Secret {
        /// Whose.
        id: SecretId,
        /// As it is kept.
        sealed: Bytes,
    },
    /// A challenge handed out.
    Challenge(Token),
    /// A token seen already.
    Burnt(Token),
    /// The number of a command that was given last.
    CommandNumber(CommandId),
    /// A command that waits for a device or for its answer; in order of creation.
    Command(Command),
    /// A line of the audit log, in order.
    Audit(AuditRecord),
}

/// A single-use thing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose.
    pub owner: String,
    /// The thing.
    pub token: String,
    /// Until when it counts.
    pub until: Time,
}

/// Everything that the row-keeping ports keep, as rows.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Sends all rows as of one moment, in the order in which `Row` names them, each kind in the
    /// order of its key or number. Waits for a receiver that is slow, and ends early when it is
    /// gone.
    async fn dump(&self, rows: mpsc::Sender<Row>) -> Result<(), Fault>;
    /// Whether nothing is kept.
    async fn is_empty(&self) -> Result<bool, Fault>;
    /// Removes all rows. Histories stay.
    async fn clear(&self) -> Result<(), Fault>;
    /// Enters the rows as they are, all or none; where one is there already it fails. Devices and
    /// commands are to come in the order in which they were dumped.
    async fn restore(&self, rows: Vec<Row>) -> Result<(), Fault>;
}
