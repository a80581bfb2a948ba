//! Facts: what happened. A fact is journalled before it is acknowledged to anybody.

use crate::{
    id::{CommandId, DeviceKey, IotId, Time},
    thing::EventKind,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened to one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// When the server saw it.
    pub at: Time,
    /// The device.
    pub device: DeviceKey,
    /// Its id, so that facts of a device that was deleted and made again stay apart.
    pub iot_id: IotId,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A device was entered into the registry.
    Registered,
    /// A device connected for the first time.
    Activated,
    /// A connection was accepted.
    Online {
        /// The address it came from.
        address: String,
    },
    /// The connection ended.
    Offline {
        /// Why, in words for an operator.
        reason: String,
    },
    /// A device was kept from connecting.
    Disabled,
    /// A device may connect again.
    Enabled,
    /// A device was removed from the registry.
    Deleted,
    /// A credential was made anew.
    CredentialReset,
    /// The device begins anew.
    Reset {
        /// Its user set it back; else an application lets it register itself once more.
        by_device: bool,
    },
    /// Properties that fit the thing model.
    PropertiesPosted {
        /// Identifier, value, and the time that the value is of.
        values: Vec<(String, Value, Time)>,
    },
    /// An event that fits the thing model.
    EventPosted {
        /// Identifier.
        identifier: String,
        /// Kind.
        kind: EventKind,
        /// The output parameters.
        output: Value,
        /// The time that the event is of.
        time: Time,
    },
    /// A command was stored for the device.
    CommandSent {
        /// The command.
        command: CommandId,
        /// What was asked.
        order: crate::command::Order,
    },
    /// The device answered a command.
    CommandAnswered {
        /// The command.
        command: CommandId,
        /// What was asked.
        order: crate::command::Order,
        /// The answer.
        answer: crate::command::Answer,
    },
    /// A campaign moved the device, or the device moved in a campaign.
    UpgradeMoved {
        /// The campaign.
        campaign: String,
        /// The module; `firmware::WHOLE` for the device.
        module: String,
        /// The version that it is to become.
        version: String,
        /// Where it stands now: `notified`, `in-progress`, `succeeded`, `failed`, `canceled`.
        state: String,
        /// Percent, or the negative number that the device gave for why it failed.
        step: i64,
        /// In words; empty when there are none.
        why: String,
    },
    /// Vulnerabilities became known of the firmware that the device runs.
    Exposed {
        /// The package.
        firmware: String,
        /// The module; `firmware::WHOLE` for the device.
        module: String,
        /// The version that the device reported.
        version: String,
        /// The worst of them.
        vulnerabilities: Vec<String>,
        /// How many there are in all.
        count: u64,
    },
    /// The device published on a topic of its own.
    MessagePublished {
        /// The topic.
        topic: String,
        /// The payload.
        #[serde(with = "as_base64")]
        payload: Bytes,
    },
    /// Sub-devices were bound to the gateway.
    TopologyAdded {
        /// Which.
        subs: Vec<DeviceKey>,
    },
    /// Sub-devices are not bound to the gateway any more.
    TopologyRemoved {
        /// Which.
        subs: Vec<DeviceKey>,
    },
    /// The gateway found devices around it, and asks whether to bring them in.
    DevicesFound {
        /// Which.
        devices: Vec<DeviceKey>,
    },
}

/// Payload bytes are kept as base64 text, a third larger, not as a list of numbers.
pub(crate) mod as_base64 {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(d)?;
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(D::Error::custom)
    }
}
