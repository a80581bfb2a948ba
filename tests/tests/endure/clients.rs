//! Clients that lose their connections and never their sessions: what MQTT calls session state is
//! kept here through every reconnection, as a device would keep it on flash.

use crate::chance::Chance;
use crate::ledger::{Ledger, Mark, qos_of};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Error, Result},
    net::SocketAddr,
    num::NonZeroU16,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tests::line::{Line, hello};
use wire::mqtt::{
    Ack, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscribeOptions, TopicFilter, TopicName, Version,
};

/// How long a client waits for a packet before it looks whether it is done.
const TICK: Duration = Duration::from_millis(20);
/// Unacknowledged messages of a publisher.
const IN_FLIGHT: usize = 16;

/// What clients and their conductor share.
pub(crate) struct Stage {
    address: Mutex<Option<SocketAddr>>,
    moved: Condvar,
    ledger: Mutex<Ledger>,
    progress: Condvar,
    /// How many messages each publisher may have sent by now.
    pub(crate) allowed: AtomicU64,
    /// Publishers finish what is in flight; they are waited for before the subscribers.
    pub(crate) last_messages: AtomicBool,
    pub(crate) curtain: AtomicBool,
    /// One client in so many packets loses its connection; 0 for none.
    pub(crate) mishaps: AtomicU64,
    /// Subscribers that are to be away.
    pub(crate) asleep: AtomicBool,
}

impl Stage {
    pub(crate) fn new(mishaps: u64) -> Self {
        Self {
            address: Mutex::default(),
            moved: Condvar::new(),
            ledger: Mutex::default(),
            progress: Condvar::new(),
            allowed: AtomicU64::new(0),
            last_messages: AtomicBool::new(false),
            curtain: AtomicBool::new(false),
            mishaps: AtomicU64::new(mishaps),
            asleep: AtomicBool::new(false),
        }
    }

    /// Tells where the server is, or that it is gone.
    pub(crate) fn server_is_at(&self, address: Option<SocketAddr>) {
        *self.address.lock().expect("nobody panicked") = address;
        self.moved.notify_all();
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }

    /// Waits until `done`, which is asked after each thing that happens; whether it was in time.
    pub(crate) fn wait(&self, patience: Duration, done: impl Fn(&Ledger) -> bool) -> bool {
        let (_ledger, late) = self
            .progress
            .wait_timeout_while(self.ledger(), patience, |ledger| !done(ledger))
            .expect("nobody panicked");
        !late.timed_out()
    }

    fn note(&self, what: impl FnOnce(&mut Ledger)) {
        what(&mut self.ledger());
        self.progress.notify_all();
    }

    /// The server's address; `None` when the play is over, or nobody told for a while.
    fn address(&self) -> Option<SocketAddr> {
        let guard = self.address.lock().expect("nobody panicked");
        let gone = |address: &mut Option<SocketAddr>| address.is_none();
        let waited = self.moved.wait_timeout_while(guard, TICK, gone);
        *waited.expect("nobody panicked").0
    }

    /// Waits a little before a refused connection is tried again.
    fn pause(&self) {
        let guard = self.address.lock().expect("nobody panicked");
        drop(
            self.moved
                .wait_timeout(guard, TICK)
                .expect("nobody panicked"),
        );
    }

    fn mishap(&self, chance: &mut Chance) -> Result<()> {
        match self.mishaps.load(SeqCst) {
            0 => Ok(()),
            odds if chance.below(odds as usize) == 0 => Err(Error::other("a mishap")),
            _ => Ok(()),
        }
    }
}

/// Opens a connection to a session that must be there if it was there before.
fn resume(stage: &Stage, name: &str, version: Version, known: &mut bool) -> Option<Line> {
    let address = stage.address()?;
    let mut connect = hello(name, version, true);
    if version == Version::V5 {
        let few = NonZeroU16::new(8).expect("not 0");
        connect.properties.push(Property::ReceiveMaximum(few));
    }
    let Ok((line, verdict)) = Line::open(address, connect) else {
        stage.pause();
        return None;
    };
    if verdict.reason != ReasonCode::Success {
        stage.note(|ledger| ledger.broken(format!("{name} is refused: {:?}", verdict.reason)));
        stage.pause();
        return None;
    }
    // Version 3.1 does not say whether it is there.
    if *known && version != Version::V31 && !verdict.session_present {
        stage.note(|ledger| ledger.broken(format!("the session of {name} is lost")));
    }
    *known = true;
    Some(line)
}

enum Step {
    Publish(Publish, Mark),
    Release,
}

/// Publishes QoS 1 and 2 in turn, and brings each message to its end.
pub(crate) struct Publisher<'a> {
    stage: &'a Stage,
    number: usize,
    version: Version,
    chance: Chance,
    next: u64,
    next_id: u16,
    /// What is in flight, in the order in which it was sent first.
    open: BTreeMap<u64, (NonZeroU16, Step)>,
    known: bool,
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(stage: &'a Stage, number: usize, version: Version, chance: Chance) -> Self {
        Self {
            stage,
            number,
            version,
            chance,
            next: 0,
            next_id: 0,
            open: BTreeMap::new(),
            known: false,
        }
    }

    pub(crate) fn run(mut self) {
        while !self.stage.curtain.load(SeqCst) {
            let name = format!("publisher-{}", self.number);
            let Some(mut line) = resume(self.stage, &name, self.version, &mut self.known) else {
                continue;
            };
            match self.play(&mut line) {
                Ok(()) => return,
                Err(_) => line.break_off(),
            }
        }
    }

    fn play(&mut self, line: &mut Line) -> Result<()> {
        // What is not finished is sent again, with its identifier [MQTT-4.4.0-1].
        for (id, step) in self.open.values_mut() {
            match step {
                Step::Publish(message, _) => {
                    message.dup = true;
                    line.send(&Packet::Publish(message.clone()))?;
                }
                Step::Release => {
                    line.send(&Packet::PubRel(Ack::new(*id, ReasonCode::Success)))?;
                }
            }
        }
        loop {
            while self.open.len() < IN_FLIGHT && self.next < self.stage.allowed.load(SeqCst) {
                self.publish(line)?;
            }
            if self.open.is_empty() && self.stage.last_messages.load(SeqCst) {
                return Ok(());
            }
            if self.stage.curtain.load(SeqCst) {
                return Ok(());
            }
            if let Some(packet) = line.receive(TICK)? {
                self.take(line, packet)?;
            }
        }
    }

    fn publish(&mut self, line: &mut Line) -> Result<()> {
        let mark = (self.number, self.next);
        let id = loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            let id = NonZeroU16::new(self.next_id).expect("from 1");
            if self.open.values().all(|(open, _)| *open != id) {
                break id;
            }
        };
        let qos = qos_of(self.next);
        let topic = format!("load/{}/{}", self.number, qos as u8);
        let padding = "x".repeat(self.chance.below(300));
        let payload = format!("{} {} {padding}", self.number, self.next);
        let topic = TopicName::new(topic).expect("a topic");
        let mut message = Publish::new(topic, payload.into_bytes());
        (message.qos, message.packet_id) = (qos, Some(id));
        self.open
            .insert(self.next, (id, Step::Publish(message.clone(), mark)));
        self.next += 1;
        self.stage.note(|ledger| ledger.sent(mark));
        self.stage.mishap(&mut self.chance)?;
        line.send(&Packet::Publish(message))
    }

    /// The open message of an identifier.
    fn of(&self, id: NonZeroU16) -> Option<u64> {
        let found = self.open.iter().find(|(_, (open, _))| *open == id);
        found.map(|(number, _)| *number)
    }

    fn take(&mut self, line: &mut Line, packet: Packet) -> Result<()> {
        match packet {
            Packet::PubAck(ack) => {
                if let Some(number) = self.of(ack.packet_id)
                    && let Some((_, Step::Publish(_, mark))) = self.open.remove(&number)
                    && !ack.reason.is_error()
                {
                    self.stage.note(|ledger| ledger.acknowledged(mark));
                }
            }
            Packet::PubRec(ack) => {
                let Some(number) = self.of(ack.packet_id) else {
                    return line.send(&Packet::PubRel(Ack::new(
                        ack.packet_id,
                        ReasonCode::Success,
                    )));
                };
                if ack.reason.is_error() {
                    self.open.remove(&number);
                    return Ok(());
                }
                let was = self.open.insert(number, (ack.packet_id, Step::Release));
                if let Some((_, Step::Publish(_, mark))) = was {
                    self.stage.note(|ledger| ledger.acknowledged(mark));
                }
                self.stage.mishap(&mut self.chance)?;
                line.send(&Packet::PubRel(Ack::new(
                    ack.packet_id,
                    ReasonCode::Success,
                )))?;
            }
            Packet::PubComp(ack) => {
                if let Some(number) = self.of(ack.packet_id) {
                    self.open.remove(&number);
                }
            }
            _ => {}
        }
        self.stage.mishap(&mut self.chance)
    }
}

/// Takes everything, and acknowledges it as its QoS says.
pub(crate) struct Subscriber<'a> {
    stage: &'a Stage,
    number: usize,
    version: Version,
    qos: QoS,
    /// Whether it is away when the stage says so.
    sleeper: bool,
    chance: Chance,
    subscribed: bool,
    known: bool,
    /// Identifiers of QoS 2 messages that were taken and not yet released.
    taken: BTreeSet<NonZeroU16>,
}

impl<'a> Subscriber<'a> {
    pub(crate) fn new(
        stage: &'a Stage,
        number: usize,
        version: Version,
        qos: QoS,
        sleeper: bool,
        chance: Chance,
    ) -> Self {
        stage.ledger().subscriber(number, qos);
        Self {
            stage,
            number,
            version,
            qos,
            sleeper,
            chance,
            subscribed: false,
            known: false,
            taken: BTreeSet::new(),
        }
    }

    /// `ready` is called once the subscription stands.
    pub(crate) fn run(mut self, ready: impl Fn()) {
        while !self.stage.curtain.load(SeqCst) {
            if self.away() {
                self.stage.pause();
                continue;
            }
            let name = format!("subscriber-{}", self.number);
            let Some(mut line) = resume(self.stage, &name, self.version, &mut self.known) else {
                continue;
            };
            if self.play(&mut line, &ready).is_err() {
                line.break_off();
            }
        }
    }

    fn away(&self) -> bool {
        self.sleeper && self.subscribed && self.stage.asleep.load(SeqCst)
    }

    fn play(&mut self, line: &mut Line, ready: &impl Fn()) -> Result<()> {
        if !self.subscribed {
            line.send(&Packet::Subscribe(Subscribe {
                packet_id: NonZeroU16::MIN,
                filters: vec![SubscribeFilter {
                    filter: TopicFilter::new("load/#".to_owned()).expect("a filter"),
                    options: SubscribeOptions::at(self.qos),
                }],
                properties: Properties::new(),
            }))?;
        }
        while !self.stage.curtain.load(SeqCst) {
            if self.away() {
                return Err(Error::other("asleep"));
            }
            let Some(packet) = line.receive(TICK)? else {
                continue;
            };
            match packet {
                Packet::SubAck(_) => {
                    self.subscribed = true;
                    ready();
                }
                Packet::Publish(message) => self.message(line, &message)?,
                Packet::PubRel(ack) => {
                    self.taken.remove(&ack.packet_id);
                    self.stage.mishap(&mut self.chance)?;
                    let done = Ack::new(ack.packet_id, ReasonCode::Success);
                    line.send(&Packet::PubComp(done))?;
                }
                _ => {}
            }
            self.stage.mishap(&mut self.chance)?;
        }
        Ok(())
    }

    fn message(&mut self, line: &mut Line, message: &Publish) -> Result<()> {
        let text = String::from_utf8_lossy(&message.payload);
        let mut words = text.split(' ').map(str::parse);
        let (Some(Ok(publisher)), Some(Ok(number))) = (words.next(), words.next()) else {
            panic!("a strange message: {text}");
        };
        let (number, mark): (u64, Mark) = (number, (publisher as usize, number));
        assert_eq!(message.qos, self.qos.min(qos_of(number)), "granted is held");
        let id = message.packet_id.expect("it is above QoS 0");
        let fresh = message.qos == QoS::AtLeastOnce || self.taken.insert(id);
        if fresh {
            self.stage.note(|ledger| ledger.taken(self.number, mark));
        }
        self.stage.mishap(&mut self.chance)?;
        let ack = Ack::new(id, ReasonCode::Success);
        line.send(&match message.qos {
            QoS::ExactlyOnce => Packet::PubRec(ack),
            _ => Packet::PubAck(ack),
        })
    }
}
