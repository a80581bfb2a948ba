//! The log of sessions tells what memory went through, wherever it ends.

use super::*;
use crate::{
    ledger::{Ledger, replay::Replay},
    router::{Keeping, Router},
    seat::{Arrival, Owner, Seat},
    will::Promise,
};
use model::{
    id::Position,
    port::{Log, Visit},
};
use tokio::time::Instant;
use wire::mqtt::{Binary, ConnAck, Expiry, Link, Message as Said, Rest, Stage, SubscriptionId};

/// A log in memory, which is always on disk.
#[derive(Default)]
struct Paper {
    records: Mutex<Vec<Vec<u8>>>,
    backlog: AtomicU64,
}

#[async_trait]
impl Log for Paper {
    fn append(&self, record: Vec<u8>) -> Position {
        let mut records = self.records.lock();
        records.push(record);
        Position(records.len() as u64)
    }

    fn head(&self) -> Position {
        Position(self.records.lock().len() as u64)
    }

    fn synced(&self) -> Position {
        self.head()
    }

    async fn reached(&self, _: Position) {}

    fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::SeqCst)
    }

    fn trouble(&self) -> Option<Fault> {
        None
    }

    fn replay(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        for (at, record) in self.records.lock().iter().enumerate() {
            visit(Position(at as u64 + 1), record)?;
        }
        Ok(())
    }

    async fn forget_before(&self, _: Position) -> Result<(), Fault> {
        Ok(())
    }

    fn size(&self) -> u64 {
        self.records.lock().iter().map(|r| r.len() as u64).sum()
    }
}

/// A session: its number, whether its client is away, what it subscribes to, what is due to it (the
/// identifier, whether it was received, and the text until then), and QoS 2 identifiers.
type Shown = (
    u64,
    bool,
    Vec<(String, u8, Option<SubscriptionId>)>,
    Vec<(u16, bool, String)>,
    Vec<u16>,
);

/// All of it: sessions by name, retained messages by topic, wills by number.
#[derive(Debug, Default, PartialEq)]
struct State {
    sessions: BTreeMap<String, Shown>,
    retained: BTreeMap<String, Bytes>,
    wills: BTreeMap<u64, (String, Option<u64>)>,
}

fn shown(session: u64, away: bool, rest: Rest) -> Shown {
    let mut subscriptions: Vec<_> = rest
        .subscriptions
        .into_iter()
        .map(|own| (own.filter.to_string(), own.options.qos.bits(), own.id))
        .collect();
    subscriptions.sort();
    let due = rest.due.into_iter().map(|due| {
        let text = due.delivery.map(|delivery| text(&delivery.message));
        let released = due.stage == Stage::Released;
        (due.id.get(), released, text.unwrap_or_default())
    });
    let mut receipts: Vec<_> = rest.receipts.into_iter().map(PacketId::get).collect();
    receipts.sort_unstable();
    (session, away, subscriptions, due.collect(), receipts)
}

fn text(message: &Said) -> String {
    let payload = String::from_utf8_lossy(&message.payload);
    format!("{} {payload}", &*message.topic)
}

/// What a log says that has these records.
fn told(records: &[Vec<u8>]) -> State {
    let mut replay = Replay::default();
    for record in records {
        replay.apply(record).unwrap();
    }
    let retained = replay.retained("hall");
    let retained = retained.map(|message| (message.topic.to_string(), message.payload.clone()));
    let retained = retained.collect();
    let wills = replay.vows();
    let wills = wills.map(|vow| (vow.will, (text(&vow.message), vow.until)));
    let wills = wills.collect();
    let sessions = replay.sessions().map(|mut kept| {
        let (session, away) = (kept.session, kept.until.is_some());
        (kept.name.to_string(), shown(session, away, kept.rest()))
    });
    State {
        sessions: sessions.collect(),
        retained,
        wills,
    }
}

/// A router, a log, and some clients that do what they like.
struct Play {
    log: Arc<Paper>,
    ledger: Arc<Ledger>,
    router: Arc<Router>,
    notes: Arc<Notes>,
    seats: BTreeMap<usize, (Arc<Seat>, Option<SessionId>)>,
    chance: u64,
    said: u64,
}

impl Play {
    fn new(seed: u64) -> Self {
        let log = Arc::new(Paper::default());
        let (ledger, _) = Ledger::open(log.clone(), 1 << 30, u64::MAX).unwrap();
        let (ledger, notes) = (Arc::new(ledger), Arc::new(Notes::default()));
        let bounds = Bounds {
            queue: 6,
            ..Bounds::default()
        };
        let keeping = Keeping {
            ledger: Some(ledger.clone()),
            hall: "hall".into(),
            epoch: 1,
        };
        let router = Router::new(&bounds, Terms::of(&bounds), keeping, notes.clone());
        Self {
            log,
            ledger,
            router: Arc::new(router),
            notes,
            seats: BTreeMap::new(),
            chance: seed | 1,
            said: 0,
        }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % most
    }

    /// What memory says.
    fn state(&self) -> State {
        let mut state = State::default();
        for (seat, connected) in self.seats.values() {
            let own = seat.lock();
            let name = seat.name.to_string();
            let shown = shown(seat.session, connected.is_none(), own.mqtt.rest());
            state.sessions.insert(name, shown);
        }
        for message in self.router.all_retained() {
            let topic = message.topic.to_string();
            state.retained.insert(topic, message.payload.clone());
        }
        for vow in self.router.all_vows() {
            let promised = text(&vow.promise.message);
            state.wills.insert(vow.number, (promised, vow.until()));
        }
        state
    }

    fn message(&mut self, topic: u64, qos: QoS, retain: bool, empty: bool) -> Arc<Said> {
        self.said += 1;
        let payload = if empty {
            String::new()
        } else {
            self.said.to_string()
        };
        let mut publish = Publish::new(
            TopicName::new(format!("t/{topic}")).unwrap(),
            payload.into_bytes(),
        );
        (publish.qos, publish.retain) = (qos, retain);
        Arc::new(Said::new(publish, 1))
    }

    /// One thing that a client does, and at most one record of the log.
    fn step(&mut self) {
        let who = usize::try_from(self.below(4)).unwrap();
        let now = self.router.now();
        match (self.below(10), self.seats.get(&who).cloned()) {
            (0, _) | (_, None) => self.arrive(who),
            (1, Some((seat, Some(id)))) => {
                self.router.leave(&seat, id, false);
                self.seats.insert(who, (seat, None));
            }
            (2, Some((seat, Some(id)))) => {
                let request = Subscribe {
                    packet_id: super::id(9),
                    filters: vec![SubscribeFilter {
                        filter: TopicFilter::new(format!("t/{}", self.below(3))).unwrap(),
                        options: SubscribeOptions::at(QoS::ExactlyOnce),
                    }],
                    properties: Properties::new(),
                };
                let verdicts = [[ReasonCode::GrantedQoS1], [ReasonCode::GrantedQoS2]];
                let verdicts = verdicts[usize::try_from(self.below(2)).unwrap()];
                self.router.subscribe(&seat, id, &request, &verdicts);
            }
            (3, Some((seat, Some(id)))) if self.below(3) == 0 => {
                let request = Unsubscribe {
                    packet_id: super::id(9),
                    filters: vec![TopicFilter::new(format!("t/{}", self.below(3))).unwrap()],
                    properties: Properties::new(),
                };
                self.router.unsubscribe(&seat, id, &request);
            }
            (4..=6, Some((seat, Some(id)))) => {
                // It answers any of the messages that it has.
                let due = seat.lock().mqtt.rest().due;
                let sent: Vec<_> = due.iter().filter(|d| d.stage != Stage::Waiting).collect();
                if sent.is_empty() {
                    return;
                }
                let due = sent[usize::try_from(self.below(sent.len() as u64)).unwrap()];
                let ack = Ack::new(due.id, ReasonCode::Success);
                let packet = match &due.delivery {
                    None => Packet::PubComp(ack),
                    Some(delivery) if delivery.qos == QoS::AtLeastOnce => Packet::PubAck(ack),
                    Some(_) => Packet::PubRec(ack),
                };
                seat.receive(id, packet, now);
            }
            _ => {
                let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce];
                let qos = qos[usize::try_from(self.below(2)).unwrap()];
                let (retain, empty) = (self.below(4) == 0, self.below(8) == 0);
                let topic = self.below(3);
                let message = self.message(topic, qos, retain, empty);
                self.publish(&message);
            }
        }
    }

    fn publish(&self, message: &Arc<Said>) -> crate::router::Tally {
        let receivers = self.router.receivers(message, None);
        let mut book = self.router.turn();
        let tally = self.router.hand_round(message, None, receivers, &mut book);
        if message.retain {
            self.router.retain(message, &mut book);
        }
        tally
    }

    fn arrive(&mut self, who: usize) {
        let name: Arc<str> = format!("client {who}").into();
        let promise = (self.below(2) == 0).then(|| {
            let will = Will {
                topic: TopicName::new("t/will".to_owned()).unwrap(),
                payload: Binary::new("gone").unwrap(),
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Properties::new().with(Property::WillDelayInterval(9)),
            };
            Promise::new(will, Owner::Guest(None), Default::default())
        });
        let id = self.router.number();
        let arrival = Arrival {
            session: id,
            link: Link {
                version: Version::V311,
                receive_maximum: NonZeroU16::MAX,
                maximum_packet_size: None,
                expiry: Expiry::Never,
            },
            implicit: false,
            connack: ConnAck {
                session_present: false,
                reason: ReasonCode::Success,
                properties: Properties::new(),
            },
            aliases: 0,
            explains: false,
            promise,
        };
        let clean = self.below(6) == 0;
        let owner = Owner::Guest(None);
        let seated = self
            .router
            .arrive(&name, owner, clean, Instant::now(), arrival);
        // Nobody would ever look what its acknowledgements are for.
        assert!(!seated.seat.lock().remembers_orders(), "it is a guest");
        self.seats.insert(who, (seated.seat, Some(id)));
    }
}

/// However much of the log there is, and however often it was written anew in between, it tells the
/// state that memory was in when its last record was written: no message that was taken is missing,
/// and none that is done comes back.
#[tokio::test]
async fn any_prefix_of_the_log_is_what_memory_went_through() {
    for seed in 1..=6 {
        let mut play = Play::new(seed * 0x9e37_79b9);
        // What memory was at each length of the log.
        let mut states = vec![play.state()];
        let mut renewed = 0;
        for step in 1..=240 {
            play.step();
            let records = play.log.records.lock().len();
            assert!(records <= states.len(), "one step, one record");
            states.truncate(records);
            states.resize_with(records, || unreachable!("at most one"));
            states.push(play.state());
            if step % 60 == 0 {
                renewed = records;
                play.router.renew(&play.ledger).await;
                let records = play.log.records.lock().len();
                while states.len() <= records {
                    states.push(play.state());
                }
            }
        }
        let records = play.log.records.lock().clone();
        for (length, state) in states.iter().enumerate() {
            assert_eq!(&told(&records[..length]), state, "{seed}: {length} records");
        }
        // All that there was before the log was last written anew may be forgotten.
        assert_eq!(told(&records[renewed..]), play.state(), "{seed}");
        assert!(records.len() > 150, "{} records", records.len());
    }
}

/// The log grows without a bound neither in memory nor on disk: it is long once it has grown by
/// what the operator says, or by as much as is alive, since it was written anew.
#[tokio::test]
async fn a_log_is_long_when_half_of_it_is_dead() {
    let mut play = Play::new(1);
    play.arrive(0);
    let (ledger, _) = Ledger::open(play.log.clone(), 1 << 30, 4_000).unwrap();
    let grow = |bytes: usize| play.log.append(vec![0; bytes]);
    assert!(!ledger.is_long());
    grow(4_000);
    assert!(ledger.is_long());
    let renewal = ledger.begin_renewal();
    grow(5_000);
    ledger.end_renewal(renewal).await.unwrap();
    // `Paper` frees nothing: the older records are no reason to begin again at once.
    assert!(!ledger.is_long());
    grow(4_900);
    assert!(!ledger.is_long());
    grow(200);
    assert!(ledger.is_long());
}

/// What nobody slows down is dropped, and counted, when too much waits for the disk.
#[tokio::test]
async fn what_waits_for_the_disk_is_bounded() {
    let mut play = Play::new(1);
    play.arrive(0);
    let (seat, id) = play.seats[&0].clone();
    let request = Subscribe {
        packet_id: super::id(9),
        filters: vec![SubscribeFilter {
            filter: TopicFilter::new("t/1".to_owned()).unwrap(),
            options: SubscribeOptions::at(QoS::AtLeastOnce),
        }],
        properties: Properties::new(),
    };
    let verdicts = [ReasonCode::GrantedQoS1];
    play.router
        .subscribe(&seat, id.unwrap(), &request, &verdicts);
    let message = play.message(1, QoS::AtLeastOnce, false, false);
    assert_eq!(play.publish(&message).on, 1);
    let before = play.log.head();
    play.log.backlog.store(65 << 20, Ordering::SeqCst);
    assert_eq!(play.publish(&message).dropped, 1);
    assert_eq!(play.log.head(), before);
    assert_eq!(play.notes.dropped.load(Ordering::SeqCst), 1);
    play.log.backlog.store(0, Ordering::SeqCst);
    assert_eq!(play.publish(&message).on, 1);
}
