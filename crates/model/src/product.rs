//! Products: what the devices of one kind have in common.

use crate::id::{AccountId, ProductKey, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a product's devices are in the topology (seed 001 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// Connects by itself and has no sub-devices.
    Device,
    /// Connects by itself and brings in sub-devices.
    Gateway,
    /// Connects through a gateway.
    SubDevice,
}

/// What a device's payloads are (seed 001 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataFormat {
    /// Alink JSON, checked against the thing model.
    Alink,
    /// Bytes of the product's own, translated by its script.
    Passthrough,
}

/// Whether a product is still being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductState {
    /// May change.
    Development,
    /// Frozen: its thing model and topics no longer change.
    Released,
}

/// How devices without a secret of their own may get one (seed 001 §2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DynamicRegistration {
    /// Not at all; the default.
    #[default]
    Off,
    /// Device names are registered beforehand.
    Registered,
    /// Names that nobody registered are taken as well ("no white list").
    Open,
}

/// What a custom topic class lets its devices do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicRight {
    /// Devices publish.
    Publish,
    /// Devices subscribe.
    Subscribe,
    /// Both.
    Both,
}

/// A custom topic class: every device of the product has the topic `/{product}/{device}/{suffix}`
/// (seed 001 §3.1; [AL-3.12]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicClass {
    /// Number, unlike that of any other topic class of the server.
    pub id: u64,
    /// What follows product and device, such as `user/update`; may end in a wildcard level where
    /// devices only subscribe.
    pub suffix: String,
    /// What devices may do with it.
    pub right: TopicRight,
    /// For people.
    pub description: String,
}

/// What the devices of a product may use of MQTT on its custom topics; nothing of it by default,
/// as seed 001 §3.1 has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttExtras {
    /// QoS 2.
    pub exactly_once: bool,
    /// Retained messages.
    pub retain: bool,
    /// A will.
    pub will: bool,
}

/// A product. Its secret is kept apart (`port::Secrets`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its key.
    pub key: ProductKey,
    /// Who owns it.
    pub account: AccountId,
    /// For people; unlike any other of the account.
    pub name: String,
    /// For people.
    pub description: String,
    /// Place in the topology.
    pub node: NodeKind,
    /// Form of payloads.
    pub format: DataFormat,
    /// Whether it has a thing model at all.
    pub modelled: bool,
    /// State of work.
    pub state: ProductState,
    /// The dynamic-registration switch.
    pub registration: DynamicRegistration,
    /// Refuse a device whose login claims another kind of channel than it uses.
    pub strict_channel: bool,
    /// What its devices may use of MQTT on custom topics, beyond what the vendor's cloud offers.
    #[serde(default)]
    pub mqtt: MqttExtras,
    /// When it was made.
    pub created: Time,
    /// What the maker of an API call said of it and only wants to read again
    /// (network type, authentication type, category …), by the caller's name for it.
    pub labels: BTreeMap<String, String>,
    /// The custom topic classes, in the order in which they were made.
    pub topics: Vec<TopicClass>,
    /// Tags, by key.
    pub tags: BTreeMap<String, String>,
}
