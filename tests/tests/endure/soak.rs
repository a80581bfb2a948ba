//! Memory over time: a crowd that talks, comes and goes, and the server's own memory beside it.

use crate::{chance::Chance, number, report};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::Result,
    net::SocketAddr,
    num::NonZeroU16,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};
use tests::{
    Server,
    line::{Line, hello},
    mqtt::{Login, Mqtt},
};
use wire::mqtt::{
    Ack, Connect, Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe,
    SubscribeFilter, SubscribeOptions, TopicFilter, TopicName, Version,
};

/// Clients of the plain listener, threads that play them, and devices.
const CROWD: usize = 240;
const WORKERS: usize = 4;
const DEVICES: usize = 20;
/// How many of the crowd leave in a minute, in percent; and how many when there is less than a
/// minute.
const CHURN: u64 = 5;
const HASTE: u64 = 300;
/// How many members hear what one of them says.
const GROUP: usize = 10;

/// What all of them did.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    published: AtomicU64,
    delivered: AtomicU64,
    posted: AtomicU64,
    churned: AtomicU64,
    /// Connections that the server closed, or did not let come up.
    lost: AtomicU64,
}

/// One of the crowd.
struct Member {
    number: usize,
    /// Counts up when it comes back as somebody else.
    life: u64,
    version: Version,
    /// Whether its session outlives its connections.
    keep: bool,
    line: Option<Line>,
    next_id: u16,
    open: BTreeMap<NonZeroU16, QoS>,
}

impl Member {
    fn new(number: usize) -> Self {
        Self {
            number,
            life: 0,
            version: [Version::V311, Version::V5, Version::V31][number % 3],
            keep: number.is_multiple_of(2),
            line: None,
            next_id: 0,
            open: BTreeMap::new(),
        }
    }

    fn hello(&self) -> Connect {
        let name = format!("member-{}-{}", self.number, self.life);
        let mut hello = hello(&name, self.version, self.keep);
        if self.version == Version::V5 && self.keep {
            // Those who never come back are to be forgotten within the test.
            hello.properties = Properties::new().with(Property::SessionExpiryInterval(20));
        }
        hello
    }

    fn id(&mut self) -> NonZeroU16 {
        loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            let id = NonZeroU16::new(self.next_id).expect("from 1");
            if !self.open.contains_key(&id) {
                return id;
            }
        }
    }

    fn connect(&mut self, address: SocketAddr) -> Result<()> {
        let (mut line, verdict) = Line::open(address, self.hello())?;
        if !verdict.session_present {
            self.open.clear();
        }
        // Messages of QoS 1 that nobody acknowledged are given up; exchanges of QoS 2 are ended.
        self.open.retain(|_, qos| *qos == QoS::ExactlyOnce);
        for id in self.open.keys() {
            line.send(&Packet::PubRel(Ack::new(*id, ReasonCode::Success)))?;
        }
        let group = self.number / GROUP;
        line.send(&Packet::Subscribe(Subscribe {
            packet_id: NonZeroU16::MAX,
            filters: vec![SubscribeFilter {
                filter: TopicFilter::new(format!("soak/{group}/#")).expect("a filter"),
                options: SubscribeOptions::at(QoS::ExactlyOnce),
            }],
            properties: Properties::new(),
        }))?;
        self.line = Some(line);
        Ok(())
    }

    /// Takes what came, and says something from time to time.
    fn step(&mut self, chance: &mut Chance, tally: &Tally) -> Result<()> {
        let Some(mut line) = self.line.take() else {
            return Ok(());
        };
        while let Some(packet) = line.receive(Duration::from_millis(1))? {
            match packet {
                Packet::Publish(message) => {
                    tally.delivered.fetch_add(1, Relaxed);
                    if let Some(id) = message.packet_id {
                        let ack = Ack::new(id, ReasonCode::Success);
                        line.send(&match message.qos {
                            QoS::ExactlyOnce => Packet::PubRec(ack),
                            _ => Packet::PubAck(ack),
                        })?;
                    }
                }
                Packet::PubAck(ack) | Packet::PubComp(ack) => {
                    self.open.remove(&ack.packet_id);
                }
                Packet::PubRec(ack) if ack.reason.is_error() => {
                    self.open.remove(&ack.packet_id);
                }
                Packet::PubRec(ack) => {
                    line.send(&Packet::PubRel(Ack::new(
                        ack.packet_id,
                        ReasonCode::Success,
                    )))?;
                }
                Packet::PubRel(ack) => {
                    line.send(&Packet::PubComp(Ack::new(
                        ack.packet_id,
                        ReasonCode::Success,
                    )))?;
                }
                _ => {}
            }
        }
        if chance.below(8) == 0 && self.open.len() < 10 {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][chance.below(3)];
            let group = self.number / GROUP;
            let topic = format!("soak/{group}/{}/{}", self.number, chance.below(3));
            let payload = vec![b'x'; chance.below(400)];
            let topic = TopicName::new(topic).expect("a topic");
            let mut message = Publish::new(topic, payload);
            message.qos = qos;
            message.retain = chance.below(10) == 0;
            if qos != QoS::AtMostOnce {
                let id = self.id();
                message.packet_id = Some(id);
                self.open.insert(id, qos);
            }
            line.send(&Packet::Publish(message))?;
            tally.published.fetch_add(1, Relaxed);
        }
        self.line = Some(line);
        Ok(())
    }

    /// Loses its connection, takes its leave, or is replaced by somebody new.
    fn leave(&mut self, chance: &mut Chance) {
        let Some(mut line) = self.line.take() else {
            return;
        };
        match chance.below(3) {
            0 => line.break_off(),
            which => {
                _ = line.send(&Packet::Disconnect(Disconnect {
                    reason: ReasonCode::Success,
                    properties: Properties::new(),
                }));
                // A kept session of 3.x is kept for a day, so its owner comes back.
                if which == 1 && (self.version == Version::V5 || !self.keep) {
                    self.life += 1;
                    self.open.clear();
                }
            }
        }
    }
}

/// Plays some of the crowd until told to stop.
fn work(
    address: SocketAddr,
    mut members: Vec<Member>,
    churn: u64,
    mut chance: Chance,
    tally: &Tally,
) {
    let mut last = Instant::now();
    // Members that are due to leave.
    let mut due = 0.0;
    while !tally.stop.load(Relaxed) {
        let passed = last.elapsed();
        last = Instant::now();
        due += passed.as_secs_f64() / 60.0 * churn as f64 / 100.0 * members.len() as f64;
        while due >= 1.0 {
            due -= 1.0;
            let at = chance.below(members.len());
            members[at].leave(&mut chance);
            tally.churned.fetch_add(1, Relaxed);
        }
        for member in &mut members {
            let done = match member.line {
                None => member.connect(address),
                Some(_) => member.step(&mut chance, tally),
            };
            if done.is_err() {
                member.line = None;
                tally.lost.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Devices that post once in a while.
fn devices(server: &Server, product: &str, secrets: &[String], tally: &Tally) {
    let mut devices: Vec<_> = secrets
        .iter()
        .enumerate()
        .map(|(number, secret)| {
            let name = format!("device-{number}");
            let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
            let login = Login::signed(product, &name, secret, ",_ss=1");
            assert_eq!(
                device.connect(&login, true, 600).reason,
                ReasonCode::Success
            );
            let topic = format!("/sys/{product}/{name}/thing/event/property/post");
            (device, topic)
        })
        .collect();
    let mut round = 0_u64;
    while !tally.stop.load(Relaxed) {
        round += 1;
        for (device, topic) in &mut devices {
            let body = json!({
                "id": round.to_string(), "version": "1.0", "method": "thing.event.property.post",
                "params": {"target": 5 + round % 30},
            });
            device.publish_acknowledged(topic, body.to_string().as_bytes());
            let reply = device.message(&format!("{topic}_reply"));
            let reply = String::from_utf8_lossy(&reply);
            assert!(reply.contains("\"code\":200"), "{reply}");
            tally.posted.fetch_add(1, Relaxed);
            if tally.stop.load(Relaxed) {
                return;
            }
        }
    }
}

/// Resident memory of a process in KiB, without the pages of files: of its program's text more is
/// read in the longer it runs, and the kernel takes that back when it likes.
fn own_memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.expect("RssAnon")
}

/// The slope of the line that fits best.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
    let (x, y) = (x / count, y / count);
    let over: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let under: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    over / under
}

#[test]
fn a_slope_is_a_slope() {
    let points: Vec<_> = (0..10)
        .map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x)))
        .collect();
    assert!((slope(&points) - 2.0).abs() < 1e-9);
}

/// A crowd with 5 % churn a minute, for `MINUTES` (`make soak`: 30; here a third of one): after a
/// third of the time the server's own memory does not grow by more than a twentieth, or 6 MiB.
#[test]
fn memory_is_flat_while_a_crowd_talks_comes_and_goes() {
    let (seconds, churn) = match number("MINUTES", 0) {
        0 => (20, HASTE),
        minutes => (minutes * 60, CHURN),
    };
    let server = Server::start_with(&["listen.plain.off=false", "listen.plain.anonymous=true"]);
    let (product, _) = server.product("thermometer");
    let secrets: Vec<_> = (0..DEVICES)
        .map(|number| server.device(&product, &format!("device-{number}")))
        .collect();
    let address = server.address("plain");
    let tally = Tally::default();
    let mut chance = Chance::told();
    let began = Instant::now();
    let mut samples = Vec::new();
    let ready = Barrier::new(WORKERS + 1);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let mut members: Vec<_> = (worker * CROWD / WORKERS..(worker + 1) * CROWD / WORKERS)
                .map(Member::new)
                .collect();
            let (chance, tally, ready) = (chance.fork(), &tally, &ready);
            scope.spawn(move || {
                for member in &mut members {
                    member.connect(address).expect("the server takes everybody");
                }
                ready.wait();
                work(address, members, churn, chance, tally);
            });
        }
        scope.spawn(|| devices(&server, &product, &secrets, &tally));
        ready.wait();
        // Nobody ever sends: what is waited for is the time.
        let (_keep, tick) = sync_channel::<()>(1);
        while began.elapsed().as_secs() < seconds {
            let second = tick.recv_timeout(Duration::from_secs(1));
            assert_eq!(second, Err(RecvTimeoutError::Timeout));
            let minutes = began.elapsed().as_secs_f64() / 60.0;
            samples.push((minutes, own_memory(server.pid())));
        }
        tally.stop.store(true, Relaxed);
    });
    let settled = &samples[samples.len() / 3..];
    let mean = settled.iter().map(|p| p.1).sum::<f64>() / settled.len() as f64;
    let slope = slope(settled);
    let over = settled[settled.len() - 1].0 - settled[0].0;
    let growth = slope * over;
    // Seconds are too short to tell a leak from the histories' write buffers, which take about 40 MiB
    // and fill from the start.
    let most = match number("MINUTES", 0) {
        0 => 64.0 * 1024.0,
        _ => (mean / 20.0).max(6.0 * 1024.0),
    };
    let of = |counter: &AtomicU64| counter.load(Relaxed);
    let told = json!({
        "seconds": seconds, "clients": CROWD, "devices": DEVICES, "churn_percent_a_minute": churn,
        "churned": of(&tally.churned), "published": of(&tally.published),
        "delivered": of(&tally.delivered), "posted": of(&tally.posted), "lost": of(&tally.lost),
        "memory_kib": mean.round(), "slope_kib_a_minute": (slope * 10.0).round() / 10.0,
        "growth_kib": growth.round(), "growth_allowed_kib": most.round(),
        "first_kib": samples[0].1, "last_kib": samples[samples.len() - 1].1,
    });
    println!("soak: {told:#}");
    report("soak", told.clone());
    assert_eq!(of(&tally.lost), 0, "the server put somebody out: {told}");
    assert!(of(&tally.churned) > 0, "nobody left: {told}");
    assert!(of(&tally.delivered) > of(&tally.published), "{told}");
    assert!(growth < most, "memory grows: {told}");
    assert!(!server.log().contains("panic"), "{}", server.log());
}
