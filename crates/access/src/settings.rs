//! What an operator may choose.

use crate::{
    listen::{BoxedStream, HttpService},
    tls::Tls,
};
use async_trait::async_trait;
use hub::{edge::Peer, id2::Shaken};
use model::port::{Clock, Log, Random};
use std::{net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};
use wire::mqtt::Overflow;

/// All of it.
pub struct Settings {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// Who serves requests that are no WebSocket upgrade; without one they are turned away.
    pub http: Option<HttpService>,
    /// The bounds.
    pub bounds: Bounds,
    /// Where sessions are written down; without it they end with the process.
    pub keep: Option<Keep>,
}

/// Where sessions are written down that outlive the process.
#[derive(Clone)]
pub struct Keep {
    /// A log that nobody else appends to.
    pub log: Arc<dyn Log>,
    /// The clock by which times in the log are meant.
    pub clock: Arc<dyn Clock>,
    /// Bytes of the log from which on it is written anew, once less than half of it is alive.
    pub renew: u64,
}

/// One listening socket.
#[derive(Clone)]
pub struct Listener {
    /// Where; port 0 takes a free one. An IPv6 address takes IPv4 as well.
    pub address: SocketAddr,
    /// In clear or not.
    pub security: Security,
    /// What may be spoken.
    pub speaks: Speaks,
    /// Whether it is a plain listener, whose clients are no devices.
    pub plain: Option<Plain>,
}

/// A listener for MQTT clients that are no devices. They have a topic tree of their own, from which
/// no way leads to the topics of devices, and may use any topic in it.
#[derive(Clone)]
pub struct Plain {
    /// The name of the listener, under which its clients' sessions are written down.
    pub name: Box<str>,
    /// Whether a client may come without a user name.
    pub anonymous: bool,
    /// Who knows user names and passwords. Without one, user names mean nothing.
    pub porter: Option<Arc<dyn Porter>>,
    /// Topic filters whose topics nobody may publish or subscribe to.
    pub refuse: Vec<String>,
    /// Highest QoS.
    pub qos: u8,
    /// Whether messages may be retained.
    pub retain: bool,
    /// What its connections may use of MQTT.
    pub terms: Terms,
    /// For the client ids that we assign.
    pub random: Arc<dyn Random>,
}

/// Knows user names and passwords.
#[async_trait]
pub trait Porter: Send + Sync {
    /// Whether this is the password of that user.
    async fn admits(&self, user: &str, password: &[u8]) -> bool;
}

/// What a connection may use of MQTT, and is told in CONNACK where the version has words for it
/// (MQTT 5 §3.2.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// QoS 1 and 2 messages of a client that may be unanswered at once. Clients of 3.x know no such
    /// bound; their messages are left on the line instead.
    pub receive_maximum: NonZeroU16,
    /// Bytes of a packet other than CONNECT.
    pub packet: usize,
    /// Topic aliases that a client may use.
    pub topic_aliases: u16,
    /// The longest keep alive in seconds; 0 takes what clients of MQTT 5 ask for.
    pub keep_alive: u16,
    /// How long a session is kept for a client that is away.
    pub session_life: Duration,
    /// Whether a client may come without a client id and gets one.
    pub assign_ids: bool,
    /// What a client that asks for Response Information is told: a topic under which it may have
    /// its answers.
    pub response_information: Option<String>,
    /// Whether subscriptions may have wildcards.
    pub wildcards: bool,
    /// Whether subscriptions may have identifiers.
    pub identifiers: bool,
    /// Whether subscriptions may be shared.
    pub shared: bool,
}

impl Terms {
    /// Those of devices, within these bounds.
    pub fn of(bounds: &Bounds) -> Self {
        const RECEIVE_MAXIMUM: NonZeroU16 = NonZeroU16::new(256).expect("not zero");
        Self {
            receive_maximum: RECEIVE_MAXIMUM,
            packet: bounds.packet,
            topic_aliases: 0,
            keep_alive: 0,
            session_life: bounds.session_life,
            assign_ids: true,
            response_information: None,
            wildcards: true,
            identifiers: true,
            shared: true,
        }
    }
}

/// Whether a listener speaks TLS. What a client wants is seen from its first byte
/// (spec/alink-wire.md §1, item 10).
#[derive(Clone)]
pub enum Security {
    /// In clear only.
    Clear,
    /// As the client likes.
    Either(Arc<Tls>),
    /// TLS only.
    Encrypted(Arc<Tls>),
    /// An encryption of a vendor's own, in whose handshake devices prove themselves.
    Own(Arc<dyn Wrap>),
}

/// Encrypts connections in a vendor's own way.
#[async_trait]
pub trait Wrap: Send + Sync {
    /// Shakes hands with a client that has just connected. May be given up at any point.
    async fn wrap(&self, stream: BoxedStream, peer: Peer) -> Result<Wrapped, Unwrapped>;
}

/// A connection after its handshake.
pub struct Wrapped {
    /// What the two ends say from now on.
    pub stream: BoxedStream,
    /// Who the client is.
    pub shaken: Shaken,
}

/// A connection whose handshake failed.
pub struct Unwrapped {
    /// The connection.
    pub stream: BoxedStream,
    /// What the client is told before it is left; empty for nothing.
    pub words: Vec<u8>,
    /// Who it said it is, of any length.
    pub who: String,
    /// For the log.
    pub why: String,
}

impl Security {
    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Self::Clear | Self::Own(_) => None,
            Self::Either(tls) | Self::Encrypted(tls) => Some(tls),
        }
    }

    pub(crate) fn allows_clear(&self) -> bool {
        !matches!(self, Self::Encrypted(_) | Self::Own(_))
    }
}

/// Protocols of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaks {
    /// MQTT straight on the socket.
    pub mqtt: bool,
    /// MQTT in WebSocket, at `/mqtt` and at `/`.
    pub websocket: bool,
    /// HTTP, by `Settings::http`.
    pub http: bool,
}

/// Bounds that keep one client from harming the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sockets open at once; further ones are told that the server is busy.
    pub connections: usize,
    /// From the accepted socket to a complete CONNECT or HTTP request head.
    pub hello: Duration,
    /// Bytes of a CONNECT packet.
    pub hello_packet: usize,
    /// Bytes of any other packet.
    pub packet: usize,
    /// Messages of one connection that the dialect works on at once; no more are read meanwhile.
    pub window: usize,
    /// Bytes that wait to be written to one connection. What others publish and does not fit is
    /// dropped (QoS 0) or queued (QoS 1); answers to the client itself wait, and no more of it is
    /// read meanwhile.
    pub outgoing: usize,
    /// Bytes of messages that all connections together may hold while they read, work on and write
    /// them. Beyond it new clients are told that the server is busy, and who would hold more is cut
    /// off.
    pub memory: usize,
    /// How long a client may leave those bytes unread, or a long packet half sent.
    pub stall: Duration,
    /// QoS 1 messages that wait for one session's acknowledgement or return; the oldest goes first.
    pub queue: usize,
    /// Bytes of payload that wait for one session's return.
    pub queue_bytes: usize,
    /// What happens to a message that finds the queue full. Under `Refuse` its publisher is told so,
    /// and nobody gets it, as far as the session outlives its connection.
    pub overflow: Overflow,
    /// Bytes of messages that wait for all sessions together.
    pub sessions_bytes: usize,
    /// Retained messages.
    pub retained: usize,
    /// Their bytes.
    pub retained_bytes: usize,
    /// Sessions kept for clients that are away; the one longest away goes first.
    pub sessions: usize,
    /// How long a session is kept for a client that is away.
    pub session_life: Duration,
    /// Topic filters of one session.
    pub filters: usize,
    /// How long a device that only came to fetch something may take to read it.
    pub visit: Duration,
    /// How many logins under one identity may fail in a minute, wherever they come from; further
    /// ones that fail are answered late.
    pub failures: u32,
    /// How many logins from one address may fail in a minute, whoever they claim to be; further
    /// ones that fail are answered late.
    pub address_failures: u32,
    /// How long a stop waits for connections to end.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 100_000,
            hello: Duration::from_secs(10),
            hello_packet: 16 * 1024,
            packet: 320 * 1024,
            window: 64,
            outgoing: 1024 * 1024,
            memory: 512 * 1024 * 1024,
            stall: Duration::from_secs(30),
            queue: 1_000,
            queue_bytes: 1024 * 1024,
            overflow: Overflow::DropOldest,
            sessions_bytes: 1024 * 1024 * 1024,
            retained: 10_000,
            retained_bytes: 64 * 1024 * 1024,
            sessions: 100_000,
            session_life: Duration::from_secs(24 * 60 * 60),
            filters: 500,
            visit: Duration::from_secs(10),
            failures: 30,
            address_failures: 300,
            stop: Duration::from_secs(10),
        }
    }
}
