//! A test's place: a running server, and names of its own.

use super::{Connect, Raw, V311};
use crate::Server;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

/// Servers by their settings, shared by the tests that run at the same time. They are held by
/// those tests alone, so that none is left behind.
static SERVERS: Mutex<Option<HashMap<Vec<String>, Weak<Server>>>> = Mutex::new(None);
static CASES: AtomicU32 = AtomicU32::new(0);

/// What the plain listener of every test is set to: anybody may come, any topic is free but one.
const SETTINGS: [&str; 3] = [
    "listen.plain.off=false",
    "listen.plain.anonymous=true",
    "listen.plain.refuse=[\"test/nosubscribe\"]",
];

/// A test's place.
pub struct Case {
    server: Arc<Server>,
    version: u8,
    number: u32,
}

impl Case {
    /// A place on a server whose plain listener takes anybody.
    pub fn new(version: u8) -> Self {
        Self::with(version, &[])
    }

    /// A place on a server with more settings.
    pub fn with(version: u8, more: &[&str]) -> Self {
        let settings: Vec<_> = SETTINGS
            .iter()
            .chain(more)
            .map(ToString::to_string)
            .collect();
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = servers
            .get_or_insert_default()
            .entry(settings.clone())
            .or_default();
        let server = slot.upgrade().unwrap_or_else(|| {
            let settings: Vec<_> = settings.iter().map(String::as_str).collect();
            let server = Arc::new(Server::start_with(&settings));
            *slot = Arc::downgrade(&server);
            server
        });
        drop(servers);
        Self {
            server,
            version,
            number: CASES.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A connection that said nothing yet.
    pub fn open(&self) -> Raw {
        self.open_as(self.version)
    }

    /// A connection of another version.
    pub fn open_as(&self, version: u8) -> Raw {
        Raw {
            _server: Some(Arc::clone(&self.server)),
            ..Raw::open(self.server.address("plain"), version)
        }
    }

    /// A client with a clean session.
    pub fn client(&self, name: &str) -> Raw {
        let mut client = self.open();
        client.login(&self.connect(name));
        client
    }

    /// A CONNECT of a clean session.
    pub fn connect(&self, name: &str) -> Connect {
        Connect::new(self.id(name))
    }

    /// A CONNECT of a session that outlives its connection and is taken up again.
    pub fn lasting(&self, name: &str) -> Connect {
        let connect = self.connect(name).resume();
        if self.version > V311 {
            connect.expiry(600)
        } else {
            connect
        }
    }

    /// A client id.
    pub fn id(&self, name: &str) -> String {
        format!("c{}{name}", self.number)
    }

    /// A topic.
    pub fn topic(&self, name: &str) -> String {
        format!("c{}/{name}", self.number)
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }
}
