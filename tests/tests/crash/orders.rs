//! Promise 1 for what the server is to tell: an order that the application was promised reaches its
//! device, and is not told to it again once the device has it.

use crate::{random, seed};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    num::NonZeroU16,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tests::{
    PATIENCE, Server,
    http::try_rpc,
    mqtt::{Login, Mqtt},
    server::Key,
};
use wire::mqtt::{Ack, Packet, Publish, QoS, ReasonCode, Version};

const KILLS: usize = 4;
/// Orders that are promised before each kill.
const PROMISED: u64 = 60;

/// Where the server is, and the how manieth one it is; nowhere while it is killed.
struct Place {
    at: Mutex<Option<(SocketAddr, SocketAddr, u64)>>,
    promised: AtomicU64,
    enough: AtomicBool,
}

impl Place {
    fn set(&self, server: &Server, life: u64) {
        let at = (server.address("mqtt"), server.address("http"), life);
        *self.at.lock().expect("a lock") = Some(at);
    }

    fn get(&self) -> Option<(SocketAddr, SocketAddr, u64)> {
        *self.at.lock().expect("a lock")
    }

    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::SeqCst)
    }
}

/// A device that connects all the time, and what it knows of its orders by their numbers.
struct Device {
    name: &'static str,
    login: Login,
    topic: String,
    /// Whether its session lasts; else it listens without subscribing.
    lasts: bool,
    /// Those that it has, with their words.
    had: BTreeMap<String, Value>,
    /// Those of which the server knows so, in which of its lives.
    sure: BTreeMap<String, u64>,
    /// Those that it answered, and the answer was acknowledged.
    answered: BTreeSet<String>,
    again: u64,
    connections: u64,
    chance: u64,
}

/// How a connection goes on.
enum Then {
    Stay,
    Drop,
}

/// What is not known on a connection yet.
#[derive(Default)]
struct Open {
    /// Acknowledged, and not asked since.
    said: Vec<String>,
    /// An answer came since; the next one is to something that was said after that.
    asked: Vec<String>,
    /// Answers to be sent, and on which topic.
    answers: VecDeque<(String, String)>,
    sent: BTreeMap<NonZeroU16, String>,
}

impl Device {
    fn new(server: &Server, product: &str, name: &'static str, lasts: bool, chance: u64) -> Self {
        let secret = server.device(product, name);
        let extra = if lasts { "" } else { ",_ss=1" };
        let mut device = Self {
            name,
            login: Login::signed(product, name, &secret, extra),
            topic: format!("/sys/{product}/{name}/thing/service/"),
            lasts,
            had: BTreeMap::new(),
            sure: BTreeMap::new(),
            answered: BTreeSet::new(),
            again: 0,
            connections: 0,
            chance,
        };
        if lasts {
            let mut line = device.connect(server.address("mqtt")).expect("a server");
            let filter = format!("{}#", device.topic);
            assert!(!line.subscribe(&filter).is_error());
        }
        device
    }

    /// What the newest order says.
    fn newest(&self) -> Option<&Value> {
        let mut had = self.had.iter();
        let first = had.next()?;
        let number = |(id, _): &(&String, &Value)| id.parse::<u64>().unwrap_or_default();
        let newest = had.fold(first, |one, other| match number(&other) > number(&one) {
            true => other,
            false => one,
        });
        Some(&newest.1["params"])
    }

    fn connect(&mut self, at: SocketAddr) -> Option<Mqtt> {
        let mut line = Mqtt::try_open(at, Version::V311)?;
        line.hello(&self.login, !self.lasts, 60);
        match line.receive()? {
            Packet::ConnAck(verdict) if verdict.reason == ReasonCode::Success => Some(line),
            _ => None,
        }
    }

    /// Connects until it is enough, and takes some of what comes each time.
    fn run(&mut self, place: &Place) {
        while !place.is_enough() {
            let Some((mqtt, _, life)) = place.get() else {
                std::thread::yield_now();
                continue;
            };
            if let Some(mut line) = self.connect(mqtt) {
                self.connections += 1;
                let pings = random(&mut self.chance) % 4 + 1;
                self.serve(&mut line, life, pings, false);
            }
        }
    }

    /// Stays until it has all that it should, and hears whether any of it comes again.
    fn drain(&mut self, place: &Place, lacks: impl Fn(&Self) -> Vec<String>) {
        let until = Instant::now() + PATIENCE;
        let (mqtt, _, life) = place.get().expect("it runs");
        let mut line = self.connect(mqtt).expect("it runs");
        while !lacks(self).is_empty() {
            self.serve(&mut line, life, 1, true);
            let (name, lacks) = (self.name, lacks(self));
            assert!(Instant::now() < until, "{name}: {lacks:?} did not come");
        }
        // All is acknowledged and asked for: whatever comes on another connection comes again.
        self.serve(&mut line, life, 2, true);
        drop(line);
        let mut line = self.connect(mqtt).expect("it runs");
        self.serve(&mut line, life, 50, true);
    }

    /// Takes what comes until the answers to so many pings. It says one thing after the other, and
    /// waits for the server's answer to each: with QoS 0 that is what tells the server that it has
    /// what was sent before (`Orders`).
    fn serve(&mut self, line: &mut Mqtt, life: u64, mut pings: u64, calm: bool) {
        let mut open = Open::default();
        line.send(&Packet::PingReq);
        while let Some(packet) = line.receive() {
            match packet {
                Packet::Publish(publish) => {
                    if let Then::Drop = self.take(line, &publish, life, &mut open, calm) {
                        return;
                    }
                    continue;
                }
                Packet::PubAck(ack) => {
                    self.answered.extend(open.sent.remove(&ack.packet_id));
                }
                Packet::PingResp => {
                    for id in open.asked.drain(..) {
                        self.sure.insert(id, life);
                    }
                    open.asked.append(&mut open.said);
                    pings = pings.saturating_sub(1);
                }
                other => panic!("{other:?}"),
            }
            if let Some((topic, id)) = open.answers.pop_front() {
                let answer = json!({"id": id, "code": 200, "data": {}}).to_string();
                let packet = line.publish(&topic, answer.as_bytes());
                open.sent.insert(packet, id);
            } else if pings > 0 {
                line.send(&Packet::PingReq);
            } else {
                return;
            }
        }
    }

    fn take(
        &mut self,
        line: &mut Mqtt,
        publish: &Publish,
        life: u64,
        open: &mut Open,
        calm: bool,
    ) -> Then {
        let order: Value = serde_json::from_slice(&publish.payload).expect("JSON");
        let id = order["id"].as_str().expect("a number").to_owned();
        let name = self.name;
        assert!(!self.answered.contains(&id), "{name}: {id} was answered");
        assert_ne!(self.sure.get(&id), Some(&life), "{name}: {id} comes again");
        let chance = if calm {
            9
        } else {
            random(&mut self.chance) % 10
        };
        let acknowledges = publish.qos == QoS::AtLeastOnce;
        assert_eq!(acknowledges, self.lasts);
        if acknowledges && chance == 0 {
            // As if it had not come.
            return Then::Drop;
        }
        let former = self.had.insert(id.clone(), order.clone());
        if let Some(former) = former {
            assert_eq!(former, order, "{name}: another one under its number");
            self.again += 1;
        }
        if let Some(packet) = publish.packet_id {
            line.send(&Packet::PubAck(Ack::new(packet, ReasonCode::Success)));
        }
        open.said.push(id.clone());
        match chance {
            0 | 1 => Then::Drop,
            2..=5 => Then::Stay,
            _ => {
                let topic = format!("{}_reply", &*publish.topic);
                open.answers.push_back((topic, id));
                Then::Stay
            }
        }
    }
}

/// Orders a device until it is enough: the numbers that were promised.
fn order(place: &Place, key: &Key, product: &str, device: &str) -> BTreeSet<String> {
    let mut promised = BTreeSet::new();
    let mut turn = 0;
    while !place.is_enough() {
        let Some((_, http, _)) = place.get() else {
            std::thread::yield_now();
            continue;
        };
        turn += 1;
        let about = [("ProductKey", product), ("DeviceName", device)];
        let (items, args) = (
            json!({"target": 5 + turn % 30}).to_string(),
            json!({"delay": turn % 60}).to_string(),
        );
        let told = match turn % 2 {
            0 => {
                let params = [about[0], about[1], ("Items", items.as_str())];
                try_rpc(http, key, "SetDeviceProperty", &params)
            }
            _ => {
                let what = [("Identifier", "reboot"), ("Args", args.as_str())];
                let params = [about[0], about[1], what[0], what[1]];
                try_rpc(http, key, "InvokeThingService", &params)
            }
        };
        let Some(told) = told.filter(|told| told["Success"] == true) else {
            continue;
        };
        let id = told["Data"]["MessageId"].as_str().expect("a number");
        assert!(promised.insert(id.to_owned()), "{id} was given twice");
        place.promised.fetch_add(1, Ordering::SeqCst);
    }
    promised
}

/// Wants values of a device until it is enough and the last one is promised.
fn want(place: &Place, key: &Key, product: &str, device: &str) -> i64 {
    let mut turn = 0;
    loop {
        let Some((_, http, _)) = place.get() else {
            std::thread::yield_now();
            continue;
        };
        turn += 1;
        let value = 5 + turn % 30;
        let (items, about) = (
            json!({"target": value}).to_string(),
            [("ProductKey", product), ("DeviceName", device)],
        );
        let more = [("Items", items.as_str()), ("Versions", "{}")];
        let params = [about[0], about[1], more[0], more[1]];
        let told = try_rpc(http, key, "SetDeviceDesiredProperty", &params);
        if told.is_some_and(|told| told["Success"] == true) {
            place.promised.fetch_add(1, Ordering::SeqCst);
            if place.is_enough() {
                return value;
            }
        }
    }
}

/// [AL-6.5] [AL-6.8] Three devices connect and drop all the time, at QoS 1 with a session that lasts
/// and at QoS 0, while applications order and want things of them and the server is killed: every
/// order that was answered with success comes, none comes again once the device has answered it, or
/// acknowledged it to a server that still lives, and the last value that is wanted comes.
#[test]
fn no_promised_order_is_lost_or_told_twice_when_the_server_is_killed() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let key = server.key();
    let mut chance = seed();
    let mut device = |name, lasts| {
        let chance = random(&mut chance);
        Device::new(&server, &product, name, lasts, chance)
    };
    let mut devices = [
        device("lasting", true),
        device("fleeting", false),
        device("wanted", false),
    ];
    let place = Place {
        at: Mutex::new(None),
        promised: AtomicU64::new(0),
        enough: AtomicBool::new(false),
    };
    place.set(&server, 0);
    let (place, key, product) = (&place, &key, &*product);
    let (promised, wanted) = std::thread::scope(|scope| {
        let orders = ["lasting", "fleeting"]
            .map(|name| scope.spawn(move || order(place, key, product, name)));
        let wish = scope.spawn(move || want(place, key, product, "wanted"));
        for device in &mut devices {
            scope.spawn(move || device.run(place));
        }
        for life in 1..=KILLS as u64 {
            let until = Instant::now() + PATIENCE;
            while place.promised.load(Ordering::SeqCst) < life * PROMISED {
                assert!(Instant::now() < until, "nothing is promised any more");
                std::thread::yield_now();
            }
            *place.at.lock().expect("a lock") = None;
            server.kill();
            server.resume();
            place.set(&server, life);
        }
        place.enough.store(true, Ordering::SeqCst);
        let promised = orders.map(|order| order.join().expect("an application"));
        (promised, wish.join().expect("an application"))
    });
    let none = BTreeSet::new();
    for (device, promised) in devices.iter_mut().zip(promised.iter().chain([&none])) {
        device.drain(place, |device| {
            let want = json!({"target": wanted});
            let lacks = promised.iter().filter(|id| !device.had.contains_key(*id));
            match promised.is_empty() && device.newest() != Some(&want) {
                true => vec![want.to_string()],
                false => lacks.cloned().collect(),
            }
        });
        println!(
            "{}: {} connections, {} promised, {} had, {} of them again before the server knew",
            device.name,
            device.connections,
            promised.len(),
            device.had.len(),
            device.again
        );
    }
}
