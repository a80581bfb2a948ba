//! The fifteen control packets as values (MQTT 3.1.1 §3, MQTT 5 §3).

use std::num::NonZeroU16;

use bytes::Bytes;

use super::property::Properties;
use super::reason::ReasonCode;
use super::text::{Binary, Secret, Text};
use super::topic::{TopicFilter, TopicName};

/// A packet identifier; zero is none [MQTT-2.2.1-3].
pub type PacketId = NonZeroU16;

/// The versions of the protocol we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1 (2010): protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// MQTT 5: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// Protocol name of the CONNECT packet.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V31 => "MQIsdp",
            Self::V311 | Self::V5 => "MQTT",
        }
    }

    /// Protocol level byte of the CONNECT packet.
    pub const fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// Whether this is MQTT 5, which has properties and reason codes.
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// Quality of service: how often a message may arrive (MQTT 5 §4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level for its two bits; 3 is no level [MQTT-3.3.1-4].
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The two bits of the level.
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// The kind of a packet: the upper four bits of its first byte (MQTT 5 §2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the ones of the standard")]
pub enum PacketType {
    Connect = 1,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    Auth,
}

impl PacketType {
    /// The kind named by a first byte; 0 is reserved.
    pub const fn from_first_byte(byte: u8) -> Option<Self> {
        Some(match byte >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The lower four bits that every packet but PUBLISH must carry [MQTT-2.1.3-1].
    pub const fn reserved_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

/// A control packet.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    /// Client asks for a session.
    Connect(Box<Connect>),
    /// Server answers CONNECT.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish),
    /// Answer to QoS 1.
    PubAck(Ack),
    /// QoS 2, first answer.
    PubRec(Ack),
    /// QoS 2, release.
    PubRel(Ack),
    /// QoS 2, last answer.
    PubComp(Ack),
    /// Client asks for topics.
    Subscribe(Subscribe),
    /// Server answers SUBSCRIBE.
    SubAck(SubAck),
    /// Client gives topics back.
    Unsubscribe(Unsubscribe),
    /// Server answers UNSUBSCRIBE.
    UnsubAck(UnsubAck),
    /// Client asks whether we are there.
    PingReq,
    /// We are.
    PingResp,
    /// The last packet of a connection.
    Disconnect(Disconnect),
    /// Enhanced authentication, MQTT 5 only.
    Auth(Auth),
}

impl Packet {
    /// The kind of this packet.
    pub const fn kind(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// CONNECT (MQTT 3.1.1 §3.1, MQTT 5 §3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Connect {
    /// The version asked for.
    pub version: Version,
    /// Clean Session of 3.x, Clean Start of 5: forget what is stored.
    pub clean_start: bool,
    /// Longest silence of the client, seconds; 0 turns the check off.
    pub keep_alive: u16,
    /// The client's name; may be empty where [`super::DecodeError::ClientId`] does not apply.
    pub client_id: Text,
    /// Message to publish when the client goes without DISCONNECT.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Secret>,
    /// Properties (MQTT 5 §3.1.2.11).
    pub properties: Properties,
}

impl Connect {
    /// Whether the client id must not be empty: always in 3.1, without clean session in 3.1.1 [MQTT-3.1.3-7], never
    /// in MQTT 5.
    pub const fn needs_client_id(&self) -> bool {
        match self.version {
            Version::V31 => true,
            Version::V311 => !self.clean_start,
            Version::V5 => false,
        }
    }
}

/// The will of a CONNECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Will {
    /// Where to publish it.
    pub topic: TopicName,
    /// The message.
    pub payload: Binary,
    /// At which level.
    pub qos: QoS,
    /// Whether to retain it.
    pub retain: bool,
    /// Properties (MQTT 5 §3.1.3.2).
    pub properties: Properties,
}

/// CONNACK (MQTT 3.1.1 §3.2, MQTT 5 §3.2).
#[derive(Debug, Clone, PartialEq)]
pub struct ConnAck {
    /// Whether the server still had a session of this client. Never sent with an error, nor to MQTT 3.1.
    pub session_present: bool,
    /// The verdict; 3.x has a byte for some of them only, see [`ReasonCode::connect_return`].
    pub reason: ReasonCode,
    /// Properties (MQTT 5 §3.2.2.3).
    pub properties: Properties,
}

/// PUBLISH (MQTT 3.1.1 §3.3, MQTT 5 §3.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Sent before, as far as the sender knows; never with QoS 0.
    pub dup: bool,
    /// Level of this delivery.
    pub qos: QoS,
    /// To be kept as the topic's last message, or sent because it was.
    pub retain: bool,
    /// The topic. The [`super::Decoder`] has already replaced a topic alias by the name it stands for.
    pub topic: TopicName,
    /// Present exactly when `qos` is 1 or 2.
    pub packet_id: Option<PacketId>,
    /// Properties (MQTT 5 §3.3.2.3), without the topic alias.
    pub properties: Properties,
    /// The message.
    pub payload: Bytes,
}

impl Publish {
    /// A QoS 0 message without properties.
    pub fn new(topic: TopicName, payload: impl Into<Bytes>) -> Self {
        Self {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: Properties::new(),
            payload: payload.into(),
        }
    }

    /// The same packet with topic and payload in memory of their own: a decoded packet is a slice of the read buffer
    /// and keeps all of it alive, which a message that waits for long should not.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.topic = self.topic.detached();
        self.payload = Bytes::copy_from_slice(&self.payload);
        self
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP, which look alike (MQTT 5 §3.4 to §3.7).
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    /// The packet answered.
    pub packet_id: PacketId,
    /// The verdict; 3.x knows success only.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties,
}

impl Ack {
    /// An answer without properties.
    pub const fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self {
            packet_id,
            reason,
            properties: Properties::new(),
        }
    }
}

/// SUBSCRIBE (MQTT 3.1.1 §3.8, MQTT 5 §3.8).
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    /// To be repeated in the SUBACK.
    pub packet_id: PacketId,
    /// At least one filter [MQTT-3.8.3-2].
    pub filters: Vec<SubscribeFilter>,
    /// Properties (MQTT 5 §3.8.2.1).
    pub properties: Properties,
}

/// One line of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// Which topics.
    pub filter: TopicFilter,
    /// How to deliver.
    pub options: SubscribeOptions,
}

/// Subscription options (MQTT 5 §3.8.3.1); 3.x has the level only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Highest level the client wants.
    pub qos: QoS,
    /// Do not send back what this client published.
    pub no_local: bool,
    /// Forward the retain flag as it was published.
    pub retain_as_published: bool,
    /// What to do with retained messages now.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// Options of a 3.x subscription.
    pub const fn at(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }
}

/// When a subscription brings retained messages (MQTT 5 §3.8.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    Send = 0,
    /// Only if the subscription is new.
    SendIfNew = 1,
    /// Never.
    Never = 2,
}

/// SUBACK (MQTT 3.1.1 §3.9, MQTT 5 §3.9).
#[derive(Debug, Clone, PartialEq)]
pub struct SubAck {
    /// The SUBSCRIBE answered.
    pub packet_id: PacketId,
    /// One verdict a filter, in order; 3.x has 0x80 for every refusal.
    pub reasons: Vec<ReasonCode>,
    /// Properties.
    pub properties: Properties,
}

/// UNSUBSCRIBE (MQTT 3.1.1 §3.10, MQTT 5 §3.10).
#[derive(Debug, Clone, PartialEq)]
pub struct Unsubscribe {
    /// To be repeated in the UNSUBACK.
    pub packet_id: PacketId,
    /// At least one filter [MQTT-3.10.3-2].
    pub filters: Vec<TopicFilter>,
    /// Properties.
    pub properties: Properties,
}

/// UNSUBACK (MQTT 3.1.1 §3.11, MQTT 5 §3.11).
#[derive(Debug, Clone, PartialEq)]
pub struct UnsubAck {
    /// The UNSUBSCRIBE answered.
    pub packet_id: PacketId,
    /// One verdict a filter, in order; 3.x sends none.
    pub reasons: Vec<ReasonCode>,
    /// Properties.
    pub properties: Properties,
}

/// DISCONNECT (MQTT 3.1.1 §3.14, MQTT 5 §3.14). Only MQTT 5 servers send it.
#[derive(Debug, Clone, PartialEq)]
pub struct Disconnect {
    /// Why; 3.x knows [`ReasonCode::Success`] only.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties,
}

/// AUTH (MQTT 5 §3.15).
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// Which step.
    pub reason: ReasonCode,
    /// Properties; the authentication method is among them unless the packet is a bare success.
    pub properties: Properties,
}
