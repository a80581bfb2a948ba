//! What a dialect is: the words of one vendor between a device's messages and the hub's verbs.

use crate::id2::Shaken;
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    command::Command,
    error::Fault,
    id::{DeviceKey, IotId, SessionId},
    port::CloseReason,
    product::Product,
    topo::Notice,
};
use std::{net::IpAddr, sync::Arc};

/// The way a device's bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// MQTT over TCP, in clear.
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket, in clear.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
    /// A request over HTTP, in clear.
    Http,
    /// A request over HTTPS.
    Https,
    /// MQTT over the vendor's own encryption, in whose handshake the device has proven its identity.
    Itls,
}

impl Channel {
    /// Whether nobody on the way can read or change it.
    pub fn secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Https | Self::Itls)
    }

    /// For logs, metrics and audit lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
            Self::Itls => "itls",
        }
    }
}

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end.
    pub address: IpAddr,
    /// The way.
    pub channel: Channel,
}

/// How a device opens an MQTT connection.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Client id, as sent.
    pub client_id: String,
    /// User name, as sent.
    pub user: Option<String>,
    /// Password, as sent.
    pub password: Option<Bytes>,
    /// 3 for MQTT 3.1, 4 for 3.1.1, 5.
    pub level: u8,
    /// Whether former session state is to be dropped.
    pub clean: bool,
    /// Seconds; 0 for none.
    pub keep_alive: u16,
    /// Whether a will is left.
    pub will: bool,
    /// From where.
    pub peer: Peer,
    /// What the device has proven of itself before it said anything.
    pub shaken: Option<Shaken>,
}

/// What a dialect makes of a hello.
pub enum Greeting {
    /// Another dialect's; ask the next one.
    NotMine,
    /// Come in.
    Welcome(Box<Welcome>),
    /// Accept, hand these over, and close: the device came to fetch something (seed 001 §2.3).
    Visit(Vec<Outbound>),
    /// Stay out.
    Refuse(Refusal),
}

/// A device that is let in.
pub struct Welcome {
    /// Who it is.
    pub session: Session,
    /// Whether it gets the vendor's own downward topics without subscribing, at QoS 0
    /// (spec/alink-wire.md §7).
    pub implicit: bool,
    /// What its connection may use.
    pub profile: Profile,
}

/// What the devices of a product may use of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Highest QoS; above 1 it holds as `Dialect::extras` says.
    pub qos: u8,
    /// Whether messages may be retained.
    pub retain: bool,
    /// Whether a will may be left.
    pub will: bool,
    /// Whether a publish without a right is acknowledged (and dropped and counted) rather than
    /// the connection closed.
    pub lenient: bool,
}

/// Why a connection is refused, in the terms of MQTT 3.1.1 §3.2.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// 2: the client id is not accepted.
    ClientId,
    /// 3: not available (and a bad token: seed 001 §3.2).
    Unavailable,
    /// 4: malformed user name or password.
    Credentials,
    /// 5: not authorised.
    NotAuthorised,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the device.
    pub code: RefusalCode,
    /// For the log, and for MQTT 5's reason string.
    pub reason: String,
}

/// A device that proved itself, on one connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// The connection.
    pub id: SessionId,
    /// The device.
    pub device: DeviceKey,
    /// The device.
    pub iot_id: IotId,
    /// Its product as it was at login; `Hub::product_now` has the current one.
    pub product: Arc<Product>,
    /// From where.
    pub peer: Peer,
    /// What the dialect wants to remember of the login.
    pub marks: u32,
    /// Whose connection it uses, when it is a sub-device.
    pub via: Option<Via>,
}

/// The gateway whose connection a sub-device uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The gateway's connection.
    pub session: SessionId,
    /// The gateway.
    pub device: DeviceKey,
    /// The gateway.
    pub iot_id: IotId,
    /// Whether messages at QoS 1 wait until the sub-device has them.
    pub keeps: bool,
}

/// What a device wants with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Publish to a topic name.
    Publish,
    /// Subscribe to a topic filter.
    Subscribe,
}

/// A message from a device.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS at which it was sent.
    pub qos: u8,
}

/// A message to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Highest QoS at which to send it.
    pub qos: u8,
    /// Whether an implicit subscription covers it.
    pub system: bool,
}

/// What became of a message from a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uplink {
    /// To the same device.
    pub replies: Vec<Outbound>,
    /// Whether the message itself goes to those who subscribe to its topic.
    pub fan_out: bool,
    /// Whether somebody came in through it, for whom commands may wait.
    pub came: bool,
}

/// One vendor's way to speak with devices.
#[async_trait]
pub trait Dialect: Send + Sync {
    /// For logs.
    fn name(&self) -> &'static str;
    /// Reads a hello and proves it. A wrong proof is a refusal, never "not mine", so that it does
    /// not fall through to the next dialect.
    async fn greet(&self, hello: &Hello) -> Greeting;
    /// Topic rights ([AL-3.12]).
    fn may(&self, session: &Session, verb: Verb, topic: &str) -> bool;
    /// Whether what `Profile` allows beyond QoS 1 (QoS 2, retained messages, a will) holds for a
    /// topic: not for the vendor's own ones.
    fn extras(&self, session: &Session, topic: &str) -> bool;
    /// Turns a message into verbs. When it returns `Ok`, what must be kept is on disk and the
    /// message may be acknowledged; on a fault it must not be.
    async fn uplink(&self, session: &Session, inbound: Inbound) -> Result<Uplink, Fault>;
    /// What a device is told before the server ends its connection for this reason.
    fn farewell(&self, _session: &Session, _reason: CloseReason) -> Vec<Outbound> {
        Vec::new()
    }
    /// A command in this vendor's words.
    fn downlink(&self, session: &Session, command: &Command) -> Vec<Outbound>;
    /// The sub-device, connected through this session, whose topic or filter it is.
    fn rider(&self, _session: &Session, _topic: &str) -> Option<Arc<Session>> {
        None
    }
    /// What a gateway is told when the session of a sub-device ends against its will.
    fn parted(&self, _gateway: &Session, _sub: &Session, _reason: CloseReason) -> Vec<Outbound> {
        Vec::new()
    }
    /// What a gateway is told of what became of its sub-devices.
    fn notice(&self, _gateway: &Session, _notice: &Notice) -> Vec<Outbound> {
        Vec::new()
    }
}
