//! Commands: what the server asks of a device, and what the device answers.

use crate::firmware::Upgrade;
use crate::id::{CommandId, DeviceKey, IotId, Time};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Set these properties.
    SetProperties(Map<String, Value>),
    /// Tell the values of these properties; of all when none is named.
    GetProperties(Vec<String>),
    /// Run a service of the thing model.
    Invoke {
        /// The service.
        identifier: String,
        /// Its input parameters.
        input: Map<String, Value>,
        /// Whether the caller waits for the answer on its own call.
        sync: bool,
    },
    /// Fetch this document as the remote configuration.
    Configure(Box<Configuration>),
    /// Send the device's own log, or no more.
    SendLog(bool),
    /// Fetch this firmware and become its version.
    Upgrade(Box<Upgrade>),
    /// Bind these sub-devices: a gateway is to send a request with their proofs.
    BindSubs(Vec<DeviceKey>),
    /// Fetch this document, which says how to reach sub-devices.
    Wire(Box<Configuration>),
    /// Nothing but hear this: a message that waits for a sub-device.
    Hear(Box<Letter>),
}

/// A message at QoS 1 as it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its topic.
    pub topic: String,
    /// What it says.
    #[serde(with = "crate::fact::as_base64")]
    pub payload: Bytes,
    /// Whether implicit subscriptions cover it.
    pub system: bool,
}

/// A document that devices fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its name.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The file among `Blobs`.
    pub blob: String,
}

/// A command as it is kept until it is answered or too old.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Given by the store.
    pub id: CommandId,
    /// For whom.
    pub device: DeviceKey,
    /// For whom.
    pub iot_id: IotId,
    /// What.
    pub order: Order,
    /// When it was asked.
    pub created: Time,
    /// After this time it is not sent any more.
    pub until: Time,
    /// Where it stands.
    pub state: CommandState,
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandState {
    /// Not yet handed to the device.
    Waiting,
    /// Handed to the device, which has not answered.
    Sent,
}

/// What the device said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// 200 when the device did it; else a device code of seed 001 §6.13.
    pub code: i64,
    /// Output parameters, or whatever the device sent.
    pub data: Value,
    /// The device's words; empty when it sent none.
    pub message: String,
}
