//! Devices: rows of the registry.

use crate::id::{AccountId, DeviceKey, IotId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A device as the registry keeps it. Its secret is kept apart (`port::Secrets`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Product and name.
    pub key: DeviceKey,
    /// Its id.
    pub iot_id: IotId,
    /// The account that owns its product.
    pub account: AccountId,
    /// For people; empty when none was given.
    pub nickname: String,
    /// When it was registered.
    pub created: Time,
    /// When it connected for the first time.
    pub activated: Option<Time>,
    /// Whether it is kept from connecting.
    pub disabled: bool,
    /// When it last came online.
    pub online: Option<Time>,
    /// When it last went offline.
    pub offline: Option<Time>,
    /// Where it last connected from, as text without the port.
    pub address: String,
    /// The firmware version that it last reported; empty when it never did.
    pub firmware: String,
    /// Tags, by key.
    pub tags: BTreeMap<String, String>,
    /// Grows whenever a credential is reset, so that tokens made before are void.
    pub credential: u64,
    /// Grows with every change; see `port::Devices::change`.
    pub version: u64,
}

/// Where a device stands, as people see it (seed 001 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeviceState {
    /// Never connected.
    Unactivated,
    /// Connected now.
    Online,
    /// Was connected before.
    Offline,
    /// Kept from connecting.
    Disabled,
}

impl Device {
    /// The state, given whether a connection of the device is open now.
    pub fn state(&self, connected: bool) -> DeviceState {
        match (self.disabled, connected, self.activated) {
            (true, _, _) => DeviceState::Disabled,
            (false, true, _) => DeviceState::Online,
            (false, false, Some(_)) => DeviceState::Offline,
            (false, false, None) => DeviceState::Unactivated,
        }
    }
}

/// How many devices there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCount {
    /// Registered.
    pub registered: u64,
    /// Of those, the ones that connected at least once.
    pub activated: u64,
}
