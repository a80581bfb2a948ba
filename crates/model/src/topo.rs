//! Topology: which sub-devices a gateway speaks for.

use crate::id::{DeviceKey, IotId, Time};
use serde::{Deserialize, Serialize};

/// That a sub-device is bound to a gateway. A sub-device has one gateway at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Who speaks.
    pub gateway: DeviceKey,
    /// The same by its id.
    pub gateway_id: IotId,
    /// For whom.
    pub sub: DeviceKey,
    /// The same by its id.
    pub sub_id: IotId,
    /// Since when.
    pub since: Time,
}

/// What became of sub-devices of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// They were bound to it.
    Bound,
    /// They are not bound to it any more.
    Unbound,
    /// They were kept from connecting.
    Disabled,
    /// They may connect again.
    Enabled,
    /// They were removed from the registry.
    Deleted,
}

/// News for a gateway that is connected; one that is away asks when it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What became of them.
    pub turn: Turn,
    /// Of whom.
    pub subs: Vec<DeviceKey>,
}
