//! One connection and who is behind it: a device, or a gateway with its sub-devices. It comes and
//! goes, hands messages to those whom they are for, and does what is due.

use crate::{
    Party, Stage,
    body::{Body, Deed, PIECE_WAITS},
    chance::Chance,
    fate::Lot,
    fetch::Told,
    link::{KEEP_ALIVE, Link, NoLink, Sent},
    login::Key,
};
use credential::Secret;
use serde_json::{Value, json};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    io::Write,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use wire::mqtt::{Packet, Publish};

/// How long it waits at first before it connects again, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long a device that left stays away, in parts of how long it stayed.
const AWAY: u32 = 4;
/// When sub-devices that were refused try again.
const SUBS: Duration = Duration::from_secs(20);
/// How long the answer to a registration may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// News of downloads that wait for the line.
const NEWS: usize = 16;

/// Milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a device has a clock of its own, which no test of a server moves"
)]
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Post(usize),
    Event(usize),
    Piece(usize),
    /// A sub-device has installed what it fetched.
    Installed(usize),
    Ping,
    /// Sub-devices that were refused try again.
    Subs,
    /// It leaves for a while.
    Leave,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Lost,
    /// By a planted fault.
    Dropped,
    /// For a while.
    Left,
    /// To install what was fetched.
    Installs,
    /// For good.
    Stopped,
}

pub(crate) struct Line {
    pub(crate) stage: Arc<Stage>,
    /// The device or gateway first.
    pub(crate) bodies: Vec<Body>,
    /// Where a sub-device is among them, by `product/name`.
    names: HashMap<String, usize>,
    chance: Chance,
    agenda: BinaryHeap<Reverse<(Instant, Due)>>,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    /// Sub-devices are bound to the gateway.
    pub(crate) bound: bool,
    /// Sub-devices that are away are to be logged in now.
    subs_due: bool,
}

impl Line {
    pub(crate) fn new(
        stage: Arc<Stage>,
        party: Party,
        lots: Vec<Lot>,
        versions: &BTreeMap<String, String>,
        (seed, at): (u64, u64),
    ) -> Self {
        let mut chance = Chance::new(seed, at);
        let devices = std::iter::once(party.device).chain(party.subs);
        let bodies: Vec<Body> = devices
            .zip(lots)
            .map(|(device, lot)| Body::new(device, lot, versions, Chance::new(chance.next(), 0)))
            .collect();
        let names = bodies.iter().enumerate().map(|(at, body)| {
            let name = format!("{}/{}", body.device.product, body.device.name);
            (name, at)
        });
        let names = names.collect();
        let (tell, told) = mpsc::channel(NEWS);
        Self {
            stage,
            bodies,
            names,
            chance,
            agenda: BinaryHeap::new(),
            tell,
            told,
            bound: false,
            subs_due: false,
        }
    }

    /// Plays until the stage closes.
    pub(crate) async fn run(mut self, first: Instant) {
        let mut next = first;
        let mut pause = AGAIN.0;
        loop {
            if self.waits(next).await {
                return;
            }
            let end = match Box::pin(self.connect()).await {
                Ok(link) => {
                    pause = AGAIN.0;
                    let began = Instant::now();
                    let end = Box::pin(self.plays(link)).await;
                    self.leaves();
                    (end, began.elapsed())
                }
                Err(why) => {
                    if let NoLink::Refused(why) = &why {
                        let why = format!("login: {why}");
                        self.stage.board.note(|tally| tally.refuses(why));
                    }
                    (End::Lost, Duration::ZERO)
                }
            };
            let rest = match end {
                (End::Stopped, _) => return,
                (End::Installs, _) => self.stage.install,
                (End::Left, stayed) => self.chance.around(stayed / AWAY),
                (End::Dropped, _) => self.chance.around(AGAIN.0),
                (End::Lost, _) => {
                    let rest = self.chance.around(pause);
                    pause = (pause * 2).min(AGAIN.1);
                    rest
                }
            };
            self.stage.board.note(|tally| match end.0 {
                End::Lost if !end.1.is_zero() => tally.connections.lost += 1,
                End::Left => tally.connections.left += 1,
                _ => {}
            });
            next = Instant::now() + rest;
            if end.0 == End::Installs {
                if self.waits(next).await {
                    return;
                }
                self.bodies[0].starts_again(&self.stage);
            }
        }
    }

    /// Waits until then; true when the stage closes first.
    async fn waits(&self, until: Instant) -> bool {
        let mut stop = self.stage.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            () = sleep_until(until) => false,
        }
    }

    async fn connect(&mut self) -> Result<Link, NoLink> {
        let stage = self.stage.clone();
        let secure = stage.door.tls.is_some();
        let gateway = self.bodies.len() > 1;
        let device = &mut self.bodies[0].device;
        if let Some(login) = device.registration(&mut self.chance) {
            let mut link = Link::open(&stage.door, &login).await?;
            let secret = timeout(PATIENCE, registered(&mut link)).await;
            let secret = secret.ok().flatten();
            let secret = secret.ok_or(NoLink::Refused("no secret was given".into()))?;
            if let Some(keep) = &stage.keep {
                let line = json!({
                    "product_key": device.product, "device_name": device.name,
                    "device_secret": secret,
                });
                let mut keep = keep.lock();
                let kept = writeln!(keep, "{line}").and_then(|()| keep.flush());
                kept.map_err(|error| NoLink::Refused(format!("a secret is lost: {error}")))?;
            }
            device.key = Key::Secret(Secret::new(secret.into_bytes()));
            stage.board.note(|tally| tally.connections.registered += 1);
            link.leave().await;
        }
        let login = device.login(secure, gateway);
        let login = login.ok_or(NoLink::Refused("no secret".into()))?;
        let link = Link::open(&stage.door, &login).await?;
        stage.board.note(|tally| tally.connections.opened += 1);
        Ok(link)
    }

    /// Somebody is logged in.
    pub(crate) fn arrives(&mut self, at: usize) {
        let body = &mut self.bodies[at];
        if !body.online {
            body.online = true;
            self.stage.board.note(|tally| {
                tally.arrives();
                tally.connections.subs += u64::from(at > 0);
            });
        }
    }

    /// All who are behind the connection are away.
    fn leaves(&mut self) {
        let mut many = 0;
        for body in &mut self.bodies {
            many += u64::from(std::mem::take(&mut body.online));
        }
        self.stage.board.note(|tally| tally.online -= many);
    }

    async fn plays(&mut self, mut link: Link) -> End {
        self.arrives(0);
        self.bodies[0].greet(0, &mut link);
        if self.bodies.len() > 1 && !self.bring_subs(&mut link).await {
            return End::Lost;
        }
        self.plan_connection();
        self.plan_subs();
        let mut stop = self.stage.stop.clone();
        let end = loop {
            while let Some(packet) = link.kept.pop_front() {
                if let Some(end) = self.packet(packet, &mut link) {
                    return self.finish(end, link).await;
                }
            }
            if let Some(end) = self.due(&mut link) {
                break end;
            }
            if std::mem::take(&mut self.subs_due) {
                if !self.bring_subs(&mut link).await {
                    return End::Lost;
                }
                self.plan_subs();
                continue;
            }
            if link.flush().await.is_err() {
                return End::Lost;
            }
            let wake = self.agenda.peek().map(|Reverse((at, _))| *at);
            let wake = wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            let end = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Some(End::Stopped),
                packet = link.next() => match packet {
                    Some(packet) => self.packets(packet, &mut link),
                    None => return End::Lost,
                },
                Some(told) = self.told.recv() => {
                    let at = told.body;
                    let deed = self.bodies[at].fetched(told, &self.stage, &mut link);
                    self.does(at, deed)
                }
                () = sleep_until(wake) => None,
            };
            if let Some(end) = end {
                break end;
            }
        };
        self.finish(end, link).await
    }

    async fn finish(&mut self, end: End, mut link: Link) -> End {
        match end {
            End::Stopped | End::Left | End::Installs => link.leave().await,
            End::Dropped | End::Lost => _ = link.flush().await,
        }
        end
    }

    /// What is due on every connection; installations of sub-devices go on over connections.
    fn plan_connection(&mut self) {
        let now = Instant::now();
        self.agenda
            .retain(|Reverse((_, due))| matches!(due, Due::Installed(_) | Due::Piece(_)));
        let mut plan = |at: Instant, due| self.agenda.push(Reverse((at, due)));
        plan(now + Duration::from_secs(KEEP_ALIVE.into()) / 2, Due::Ping);
        if let Some(churn) = self.stage.churn {
            plan(now + self.chance.around(churn), Due::Leave);
        }
        for at in 0..self.bodies.len() {
            for (often, due) in [
                (self.stage.every, Due::Post(at)),
                (self.stage.events, Due::Event(at)),
            ] {
                if let Some(often) = often {
                    plan(now + often.mul_f64(self.chance.share()), due);
                }
            }
        }
    }

    fn plan_subs(&mut self) {
        if self.bodies.iter().any(|body| !body.online) {
            let again = Instant::now() + self.chance.around(SUBS);
            self.agenda.push(Reverse((again, Due::Subs)));
        }
    }

    /// Does what is due.
    fn due(&mut self, link: &mut Link) -> Option<End> {
        let now = Instant::now();
        while let Some(Reverse((at, due))) = self.agenda.peek().copied()
            && at <= now
        {
            self.agenda.pop();
            let mut again = |next: Instant| self.agenda.push(Reverse((next, due)));
            match due {
                Due::Ping => {
                    link.ping();
                    again(now + Duration::from_secs(KEEP_ALIVE.into()) / 2);
                }
                Due::Post(who) => {
                    // Late posts are not made up for.
                    let often = self.stage.every.unwrap_or(Duration::MAX);
                    again((at + often).max(now));
                    if self.bodies[who].online {
                        self.bodies[who].post(&self.stage, link);
                    }
                }
                Due::Event(who) => {
                    let often = self.stage.events.unwrap_or(Duration::MAX);
                    again((at + often).max(now));
                    if self.bodies[who].online {
                        self.bodies[who].post_event(&self.stage, link);
                    }
                }
                Due::Piece(who) => {
                    let deed = self.bodies[who].piece_late(who, &self.stage, link);
                    if let Some(end) = self.does(who, deed) {
                        return Some(end);
                    }
                }
                Due::Installed(who) => {
                    self.bodies[who].starts_again(&self.stage);
                    if self.bodies[who].online {
                        self.bodies[who].greet(who, link);
                    }
                }
                Due::Subs => self.subs_due = true,
                Due::Leave => return Some(End::Left),
            }
        }
        None
    }

    /// This packet, and those that came with it.
    fn packets(&mut self, packet: Packet, link: &mut Link) -> Option<End> {
        let mut next = Some(packet);
        while let Some(packet) = next {
            if let Some(end) = self.packet(packet, link) {
                return Some(end);
            }
            next = match link.ready() {
                Ok(next) => next,
                Err(()) => return Some(End::Lost),
            };
        }
        None
    }

    fn packet(&mut self, packet: Packet, link: &mut Link) -> Option<End> {
        match packet {
            Packet::PubAck(ack) => {
                match link.acknowledged(&ack) {
                    Some(Sent::Post) => {
                        self.stage.board.note(|tally| tally.posts.acknowledged += 1);
                    }
                    Some(Sent::Failure(at)) => self.bodies[at].failure_heard(),
                    Some(Sent::Other) | None => {}
                }
                None
            }
            Packet::Publish(message) => self.message(message, link),
            _ => None,
        }
    }

    fn message(&mut self, message: Publish, link: &mut Link) -> Option<End> {
        let topic: &str = &message.topic;
        if topic.starts_with("/ext/rrpc/") {
            let topic = topic.to_owned();
            self.bodies[0].echo(&topic, message.payload, &self.stage, link);
            return None;
        }
        if let Some(rest) = topic.strip_prefix("/ext/error/") {
            let told: Value = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
            self.sent_off(rest, &told);
            return None;
        }
        let at = self.whose(topic)?;
        let with = (&self.stage, &self.tell);
        let deed = self.bodies[at].hears(at, topic, &message.payload, with, link);
        self.does(at, deed)
    }

    /// A sub-device may not speak any more (seed 001 §5).
    fn sent_off(&mut self, _gateway: &str, told: &Value) {
        let data = &told["data"];
        let names = data["productKey"].as_str().zip(data["deviceName"].as_str());
        let Some((product, name)) = names else {
            return;
        };
        let at = self.names.get(&format!("{product}/{name}")).copied();
        if let Some(at) = at.filter(|at| *at > 0)
            && std::mem::take(&mut self.bodies[at].online)
        {
            self.stage.board.note(|tally| tally.online -= 1);
            self.plan_subs();
        }
    }

    /// Whom a topic names.
    fn whose(&self, topic: &str) -> Option<usize> {
        let rest = topic
            .strip_prefix("/sys/")
            .or_else(|| topic.strip_prefix("/ota/device/upgrade/"))?;
        let end = rest
            .match_indices('/')
            .nth(1)
            .map_or(rest.len(), |(at, _)| at);
        self.names.get(&rest[..end]).copied()
    }

    fn does(&mut self, at: usize, deed: Deed) -> Option<End> {
        let mut plan = |after: Duration, due| {
            self.agenda.push(Reverse((Instant::now() + after, due)));
        };
        match deed {
            Deed::Nothing => None,
            Deed::AwaitPiece => {
                plan(PIECE_WAITS, Due::Piece(at));
                None
            }
            // Who has a connection of its own starts again with it.
            Deed::Install if at == 0 => Some(End::Installs),
            Deed::Install => {
                plan(self.stage.install, Due::Installed(at));
                None
            }
            Deed::Drop => Some(End::Dropped),
        }
    }
}

/// The secret that a registration brings.
async fn registered(link: &mut Link) -> Option<String> {
    loop {
        if let Packet::Publish(message) = link.next().await? {
            let told: Value = serde_json::from_slice(&message.payload).ok()?;
            if let Some(secret) = told["deviceSecret"].as_str() {
                return Some(secret.to_owned());
            }
        }
    }
}
