//! What an operator may choose.

use crate::{listen::HttpService, tls::Tls};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// All of it.
pub struct Settings {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// Who serves requests that are no WebSocket upgrade; without one they are turned away.
    pub http: Option<HttpService>,
    /// The bounds.
    pub bounds: Bounds,
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
}

impl Security {
    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Self::Clear => None,
            Self::Either(tls) | Self::Encrypted(tls) => Some(tls),
        }
    }

    pub(crate) fn allows_clear(&self) -> bool {
        !matches!(self, Self::Encrypted(_))
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
    /// Bytes that wait to be written to one connection. What does not fit is dropped (QoS 0) or
    /// queued (QoS 1).
    pub outgoing: usize,
    /// How long a client may leave those bytes unread.
    pub stall: Duration,
    /// QoS 1 messages that wait for one session's acknowledgement or return; the oldest goes first.
    pub queue: usize,
    /// Bytes of payload that wait for one session's return.
    pub queue_bytes: usize,
    /// Sessions kept for clients that are away; the one longest away goes first.
    pub sessions: usize,
    /// How long a session is kept for a client that is away.
    pub session_life: Duration,
    /// Topic filters of one session.
    pub filters: usize,
    /// How long a device that only came to fetch something may take to read it.
    pub visit: Duration,
    /// How many logins that fail one device may try from one address, a minute; further ones are
    /// answered late.
    pub failures: u32,
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
            stall: Duration::from_secs(30),
            queue: 100,
            queue_bytes: 1024 * 1024,
            sessions: 100_000,
            session_life: Duration::from_secs(24 * 60 * 60),
            filters: 500,
            visit: Duration::from_secs(10),
            failures: 30,
            stop: Duration::from_secs(10),
        }
    }
}
