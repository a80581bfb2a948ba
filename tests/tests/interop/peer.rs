//! Real clients that take the same orders.

use serde_json::{Value, json};
use std::process::Command;
use tests::{Client, Server, program};

/// Which client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Paho1,
    Paho2,
    Gmqtt,
    Aiomqtt,
    Npm,
    Rumqtt,
}

impl Kind {
    /// The protocol levels it speaks.
    pub(crate) fn versions(self) -> &'static [u8] {
        match self {
            Self::Paho1 | Self::Paho2 | Self::Aiomqtt | Self::Npm => &[3, 4, 5],
            Self::Gmqtt | Self::Rumqtt => &[4, 5],
        }
    }

    /// How it can reach a server beside TCP in clear: over TLS, and over WebSocket.
    pub(crate) fn roads(self) -> &'static [(bool, bool)] {
        match self {
            Self::Paho1 | Self::Paho2 | Self::Aiomqtt | Self::Npm => {
                &[(true, false), (false, true), (true, true)]
            }
            Self::Gmqtt => &[(true, false)],
            Self::Rumqtt => &[],
        }
    }

    fn start(self) -> Client {
        match self {
            Self::Paho1 => Client::python_of("venv", "plain_paho.py"),
            Self::Paho2 => Client::python_of("venv-mqtt", "plain_paho.py"),
            Self::Gmqtt => Client::python_of("venv-mqtt", "plain_gmqtt.py"),
            Self::Aiomqtt => Client::python_of("venv-mqtt", "plain_aiomqtt.py"),
            Self::Npm => Client::node("plain.js", None),
            Self::Rumqtt => Client::start("rumqtt", Command::new(program("rumqtt"))),
        }
    }
}

/// A server with a plain listener, and the client that tries it.
pub(crate) struct Trial<'a> {
    pub(crate) server: &'a Server,
    pub(crate) kind: Kind,
    pub(crate) version: u8,
}

impl Trial<'_> {
    /// A name that no other client of this trial has.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{:?}-{}", self.kind, self.version)
    }

    pub(crate) fn five(&self) -> bool {
        self.version == 5
    }

    /// Connects with these fields beside the usual ones; also what the server said.
    pub(crate) fn connect(&self, name: &str, clean: bool, extra: Value) -> (Peer, Value) {
        let address = self.server.address("plain");
        let mut order = json!({
            "do": "connect", "host": address.ip().to_string(), "port": address.port(),
            "version": self.version, "client_id": self.name(name), "clean": clean,
        });
        if !clean && self.five() {
            order["expiry"] = json!(600);
        }
        let fields = order.as_object_mut().expect("an object");
        fields.extend(extra.as_object().cloned().unwrap_or_default());
        let mut client = self.kind.start();
        client.order(&order);
        let told = client.wait("connect");
        assert_eq!(told["code"], 0, "{:?} {order}: {told}", self.kind);
        (Peer { client }, told)
    }

    /// Connects with a new session.
    pub(crate) fn fresh(&self, name: &str) -> Peer {
        self.connect(name, true, Value::Null).0
    }
}

/// A connected client. Dropped, it is killed: its connection breaks without a word.
pub(crate) struct Peer {
    client: Client,
}

impl Peer {
    /// Subscribes, and gives back what was granted.
    pub(crate) fn subscribe(&mut self, topic: &str, qos: u8, extra: Value) -> Value {
        let mut order = json!({"do": "subscribe", "topic": topic, "qos": qos});
        let fields = order.as_object_mut().expect("an object");
        fields.extend(extra.as_object().cloned().unwrap_or_default());
        self.client.order(&order);
        self.client.wait("subscribed")["granted"][0].take()
    }

    pub(crate) fn unsubscribe(&mut self, topic: &str) {
        self.client
            .order(&json!({"do": "unsubscribe", "topic": topic}));
        self.client.wait("unsubscribed");
    }

    /// Publishes and waits until the client says that it is done.
    pub(crate) fn publish(&mut self, topic: &str, qos: u8, extra: Value) {
        let mut order = json!({"do": "publish", "topic": topic, "qos": qos});
        let fields = order.as_object_mut().expect("an object");
        fields.extend(extra.as_object().cloned().unwrap_or_default());
        self.client.order(&order);
        self.client.wait("published");
    }

    /// Publishes the numbers below `count` as fast as it can.
    pub(crate) fn publish_many(&mut self, topic: &str, qos: u8, count: usize) {
        self.client
            .order(&json!({"do": "many", "topic": topic, "qos": qos, "count": count}));
    }

    /// The next message on a topic.
    pub(crate) fn message(&mut self, topic: &str) -> Value {
        self.client
            .wait_for(topic, |e| e["event"] == "message" && e["topic"] == topic)
    }

    /// The texts of all messages on a topic that came and were not asked for.
    pub(crate) fn seen(&mut self, topic: &str) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(told) = self
            .client
            .seen(|e| e["event"] == "message" && e["topic"] == topic)
        {
            texts.push(told["text"].as_str().unwrap_or_default().to_owned());
        }
        texts
    }

    pub(crate) fn end(mut self) {
        self.client.order(&json!({"do": "end"}));
        self.client.wait("ended");
    }
}
