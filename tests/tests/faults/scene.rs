//! A server with devices, and what they were told is stored.

use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};
use tests::{
    Server, eventually,
    http::{Reply, request, rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::Key,
};
use wire::mqtt::{Packet, ReasonCode, Version};

/// A device that is connected.
pub struct Device {
    pub name: String,
    pub line: Mqtt,
}

/// What became of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// PUBACK, and the reply says that it was stored.
    Stored,
    /// No PUBACK: the connection was ended, with this reason where the version has one.
    Refused(Option<ReasonCode>),
}

/// A server, its devices, and their posts.
pub struct Scene {
    pub server: Server,
    pub product: String,
    pub key: Key,
    secrets: BTreeMap<String, String>,
    started: i64,
    sent: i64,
    stored: BTreeMap<String, BTreeSet<i64>>,
}

impl Scene {
    /// With a server that runs: registers the devices.
    pub fn open(mut server: Server, devices: &[&str]) -> Self {
        let (product, _) = server.product("thermometer");
        let secrets = devices
            .iter()
            .map(|name| (name.to_string(), server.device(&product, name)))
            .collect();
        let key = server.key();
        let started = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        Self {
            server,
            product,
            key,
            secrets,
            started: started.as_millis() as i64,
            sent: 0,
            stored: BTreeMap::new(),
        }
    }

    /// What a device shows.
    pub fn secret_login(&self, name: &str) -> Login {
        Login::signed(&self.product, name, &self.secrets[name], "")
    }

    /// Sends a CONNECT; `None` when the connection ended without an answer.
    pub fn try_connect(&self, name: &str, version: Version) -> Result<Device, Option<ReasonCode>> {
        let mut line = Mqtt::open(self.server.address("mqtt"), None, version);
        line.hello(&self.secret_login(name), true, 60);
        match line.receive() {
            Some(Packet::ConnAck(verdict)) if !verdict.reason.is_error() => Ok(Device {
                name: name.into(),
                line,
            }),
            Some(Packet::ConnAck(verdict)) => Err(Some(verdict.reason)),
            None => Err(None),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    /// Connects, which must work.
    pub fn connect(&self, name: &str, version: Version) -> Device {
        let come = self.try_connect(name, version);
        come.unwrap_or_else(|reason| panic!("{name} is refused: {reason:?}"))
    }

    /// Posts a value at a time of its own, by which it is found again.
    pub fn post(&mut self, device: &mut Device) -> Post {
        let topic = self.topic(&device.name);
        let (number, post) = self.next_post();
        let id = device.line.publish(&topic, &post);
        loop {
            match device.line.receive() {
                Some(Packet::PubAck(ack)) if ack.packet_id == id => {
                    assert!(!ack.reason.is_error(), "{:?}", ack.reason);
                    break;
                }
                Some(Packet::Disconnect(end)) => return Post::Refused(Some(end.reason)),
                Some(_) => {}
                None => return Post::Refused(None),
            }
        }
        self.is_stored(&device.name, number);
        Post::Stored
    }

    /// Where a device posts.
    pub fn topic(&self, name: &str) -> String {
        format!("/sys/{}/{name}/thing/event/property/post", self.product)
    }

    /// The number of the next post, and the post.
    pub fn next_post(&mut self) -> (i64, Vec<u8>) {
        let number = self.sent;
        self.sent += 1;
        let post = json!({
            "id": number.to_string(), "version": "1.0",
            "method": "thing.event.property.post",
            "params": {"target": {"value": 5 + number % 30, "time": self.started + number}},
        });
        (number, post.to_string().into_bytes())
    }

    /// A post was acknowledged.
    pub fn is_stored(&mut self, name: &str, number: i64) {
        let stored = self.stored.entry(name.into()).or_default();
        stored.insert(number);
    }

    /// Posts so often, and each must be stored.
    pub fn post_all(&mut self, device: &mut Device, many: usize) {
        for _ in 0..many {
            assert_eq!(self.post(device), Post::Stored);
        }
    }

    /// Connects and posts until that works.
    pub fn recovers(&mut self, name: &str) -> Device {
        let mut device = eventually("the device's login", || {
            self.try_connect(name, Version::V311).ok()
        });
        self.post_all(&mut device, 10);
        device
    }

    /// All that was acknowledged is in the histories, and nothing else but what was sent.
    pub fn nothing_is_lost(&self) {
        for (name, stored) in &self.stored {
            let kept = self.kept(name);
            let lost: Vec<_> = stored.difference(&kept).collect();
            assert!(lost.is_empty(), "{name}: acknowledged and lost: {lost:?}");
            assert!(kept.iter().all(|number| (0..self.sent).contains(number)));
        }
    }

    fn kept(&self, name: &str) -> BTreeSet<i64> {
        let mut kept = BTreeSet::new();
        let mut from = self.started;
        let to = (self.started + self.sent).to_string();
        loop {
            let begin = from.to_string();
            let params = [
                ("ProductKey", self.product.as_str()),
                ("DeviceName", name),
                ("Identifier", "target"),
                ("StartTime", &begin),
                ("EndTime", &to),
                ("Asc", "1"),
                ("PageSize", "50"),
            ];
            // The reader may still be behind when trouble has just gone.
            let data = eventually("a page of the history", || {
                let answer = self.call("QueryDevicePropertyData", &params).json();
                (answer["Success"] == true).then(|| answer["Data"].clone())
            });
            for point in data["List"]["PropertyInfo"].as_array().expect("a list") {
                kept.insert(number(&point["Time"]) - self.started);
            }
            if data["NextValid"] != true {
                return kept;
            }
            from = number(&data["NextTime"]);
        }
    }

    /// Calls the application API.
    pub fn call(&self, action: &str, params: &[(&str, &str)]) -> Reply {
        let call = rpc_call(&self.key, "POST", action, params);
        send_rpc(self.server.address("http"), "POST", &call)
    }

    /// What is wrong by `/readyz`; `None` when the server is ready.
    pub fn unready(&self) -> Option<String> {
        let told = request(self.server.address("http"), "GET", "/readyz", &[], b"");
        let shown = told.json();
        assert_eq!(shown["ready"], told.status == 200, "{told:?}");
        match told.status {
            200 => None,
            503 => Some(told.text("why")),
            _ => panic!("neither ready nor not: {told:?}"),
        }
    }

    /// Waits until the server is ready.
    pub fn is_ready_again(&self) {
        eventually("readiness", || self.unready().is_none().then_some(()));
    }

    /// The server never broke, and ran through.
    pub fn nothing_broke(&self, pid: u32) {
        assert_eq!(self.server.pid(), pid);
        let log = self.server.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("no number: {value}"))
}
