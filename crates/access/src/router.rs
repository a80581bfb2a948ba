//! Who sits where, and who gets what.
//!
//! Devices and the guests of each plain listener have a router of their own, so that no message
//! passes from the ones to the others. Seats of devices are found by the device's id, never by the
//! client id, which a device makes up; those of guests by the client id. Locks are taken in this
//! order: a turn of the ledger, a shard, a seat, the tree of filters, the list of those away, the
//! wills; a publisher looks its receivers up first and takes their seats' locks one by one
//! afterwards.

mod hand;
mod kept;
mod retained;
mod view;
mod vows;

pub(crate) use hand::{Legacy, Tally};
pub(crate) use kept::epoch;
pub use view::{SessionView, Totals};

use crate::{
    desk::Desk,
    ledger::{Ledger, Turn, change::Change},
    seat::{Arrival, Closing, Common, Owner, Seat, State},
    settings::{Bounds, Terms},
    will::Vow,
};
use model::{
    id::{IotId, SessionId},
    port::CloseReason,
};
use parking_lot::{Mutex, RwLock};
use retained::Retained;
use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::RandomState},
    hash::{BuildHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use wire::mqtt::{
    Delivery, Expiry, Link, Millis, QoS, ReasonCode, Rest, Subscribe, Subscriptions, TopicFilter,
    Unsubscribe,
};

const SHARDS: usize = 64;
/// How long a word to close a connection is remembered for one that is just coming in.
const MEMORY: Duration = Duration::from_secs(60);
/// How many such words are remembered.
const WORDS: usize = 10_000;

/// The registry of seats.
pub(crate) struct Router {
    started: Instant,
    shards: [Mutex<HashMap<Arc<str>, Arc<Seat>>>; SHARDS],
    hasher: RandomState,
    routes: RwLock<Subscriptions<Route, ()>>,
    away: Mutex<BTreeMap<(Millis, u64), Arc<Seat>>>,
    numbers: AtomicU64,
    turns: AtomicUsize,
    closed: Mutex<VecDeque<Closed>>,
    stopping: AtomicBool,
    retained: Mutex<Retained>,
    common: Arc<Common>,
    /// Wills that are written down, by their number.
    vows: Mutex<BTreeMap<u64, Arc<Vow>>>,
    /// What the ledger calls this router.
    hall: Box<str>,
    /// The wall clock's time when `started` was, so that what is written down is understood later.
    epoch: Millis,
}

/// A word to close a connection that was not there.
struct Closed {
    at: Instant,
    iot_id: IotId,
    session: Option<SessionId>,
    reason: CloseReason,
}

/// A subscriber of a filter, and the group in which it shares.
struct Route {
    seat: Arc<Seat>,
    group: Option<Box<str>>,
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seat, &other.seat) && self.group == other.group
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.seat).hash(state);
        self.group.hash(state);
    }
}

impl Route {
    fn new(seat: &Arc<Seat>, filter: &TopicFilter) -> Self {
        Self {
            seat: seat.clone(),
            group: filter.shared().map(|shared| shared.group.into()),
        }
    }
}

/// A client that sat down.
pub(crate) struct Seated {
    pub(crate) seat: Arc<Seat>,
    /// Whether its former session goes on.
    pub(crate) present: bool,
    pub(crate) implicit: bool,
    /// What it vowed.
    pub(crate) vow: Option<Arc<Vow>>,
}

/// What becomes of a session whose connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing: it is over.
    Not,
    /// It is kept so long.
    Until(Millis),
    /// Another connection goes on with it.
    TakenOver,
}

/// Where a router writes down what has to last.
#[derive(Clone, Default)]
pub(crate) struct Keeping {
    pub(crate) ledger: Option<Arc<Ledger>>,
    pub(crate) hall: Box<str>,
    pub(crate) epoch: Millis,
}

impl Router {
    pub(crate) fn new(
        bounds: &Bounds,
        terms: Terms,
        keeping: Keeping,
        desk: Arc<dyn Desk>,
    ) -> Self {
        let Keeping {
            ledger,
            hall,
            epoch,
        } = keeping;
        Self {
            hall,
            epoch,
            started: Instant::now(),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            routes: RwLock::default(),
            away: Mutex::default(),
            numbers: AtomicU64::new(0),
            turns: AtomicUsize::new(0),
            closed: Mutex::default(),
            stopping: AtomicBool::new(false),
            vows: Mutex::default(),
            retained: Mutex::new(Retained::new(bounds.retained, bounds.retained_bytes)),
            common: Arc::new(Common {
                bounds: bounds.clone(),
                terms: Arc::new(terms),
                ledger,
                desk,
            }),
        }
    }

    /// What the connections of those who meet here may use of MQTT.
    pub(crate) fn terms(&self) -> &Arc<Terms> {
        &self.common.terms
    }

    /// A number that no other guest's connection has.
    pub(crate) fn number(&self) -> SessionId {
        SessionId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Milliseconds on a clock that never goes back; it began with the wall clock's time.
    pub(crate) fn now(&self) -> Millis {
        self.epoch.saturating_add(millis(self.started.elapsed()))
    }

    /// A turn of the ledger, if there is one. Taken before any lock.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        self.common.ledger.as_ref().map(|ledger| ledger.turn())
    }

    /// Whether a client cannot be let in now because its session could not be written down.
    pub(crate) fn refuses(&self, link: &Link, promises: bool) -> bool {
        (promises || link.expiry != Expiry::WithConnection) && self.is_troubled()
    }

    /// Whether the disk refuses what has to last.
    pub(crate) fn is_troubled(&self) -> bool {
        let ledger = self.common.ledger.as_ref();
        ledger.is_some_and(|own| own.is_troubled())
    }

    /// Returns when the ledger is on disk up to `position`.
    pub(crate) async fn on_disk(&self, position: u64) {
        if let Some(ledger) = &self.common.ledger {
            ledger.on_disk(position).await;
        }
    }

    fn shard(&self, name: &str) -> &Mutex<HashMap<Arc<str>, Arc<Seat>>> {
        let at = usize::try_from(self.hasher.hash_one(name) % SHARDS as u64).unwrap_or(0);
        &self.shards[at]
    }

    fn find(&self, name: &str) -> Option<Arc<Seat>> {
        self.shard(name).lock().get(name).cloned()
    }

    /// Seats a client; whoever sat there under the same name is told to leave ([AL-3.4],
    /// [MQTT-3.1.4-3]). `since` is when it began to be admitted: a word to close it that came after
    /// that holds. What a guest left behind is not given to another user.
    pub(crate) fn arrive(
        &self,
        name: &Arc<str>,
        owner: Owner,
        clean: bool,
        since: Instant,
        mut arrival: Arrival,
    ) -> Seated {
        let now = self.now();
        let implicit = arrival.implicit;
        let (id, link) = (arrival.session, arrival.link);
        let lasts = link.expiry != Expiry::WithConnection;
        let promise = arrival.promise.take();
        let noted = lasts || promise.is_some();
        let mut book = if noted { self.turn() } else { None };
        let mut shard = self.shard(name).lock();
        if book.is_none() && shard.get(name).is_some_and(|seat| seat.is_durable()) {
            drop(shard);
            book = self.turn();
            shard = self.shard(name).lock();
        }
        let mut legacies = Vec::new();
        // What the device has of a session that ends here must not be given to it again.
        let mut former = None;
        let kept = match shard.get(name) {
            Some(seat) => {
                let mut state = seat.lock();
                // A session whose time is over has ended, swept or not [MQTT-4.1.0-2].
                let over = state.until.is_some_and(|until| until <= now);
                if clean || over || seat.owner != owner || state.is_fleeting(now) {
                    former = state.leave_orders();
                    state.evict();
                    let until = state.until.take();
                    legacies = self.vacate(seat, &mut state, until, &mut book);
                    None
                } else {
                    if let Some(until) = state.until.take() {
                        self.forget_away(until, seat);
                    }
                    Some(seat.clone())
                }
            }
            None => None,
        };
        let present = kept.is_some();
        let seat = if let Some(seat) = kept {
            if let Some(turn) = book.as_mut().filter(|_| seat.is_durable()) {
                turn.note(&Change::Attached {
                    session: seat.session,
                    expiry: link.expiry,
                    implicit,
                });
            }
            seat
        } else {
            let mut session = 0;
            if let Some(turn) = book.as_mut().filter(|_| lasts) {
                session = turn.generation();
                turn.note(&Change::Opened {
                    session,
                    hall: self.hall.clone(),
                    name: (&**name).into(),
                    owner: owner.clone(),
                    expiry: link.expiry,
                    implicit,
                });
            }
            let seat = Arc::new(self.seat(name.clone(), owner, session, Rest::default()));
            shard.insert(name.clone(), seat.clone());
            seat
        };
        arrival.connack.session_present = present;
        let vow = promise.map(|promise| self.vow(promise, &seat, &mut book));
        let mut state = seat.lock();
        if former.is_some() {
            state.inherit(former);
        }
        if let Some(void) = state.arrive(arrival, now, &mut book) {
            self.end_vow(&void, &mut book);
        }
        state.count();
        if let Some(reason) = self.closed_since(name, id, since) {
            state.close_live(Closing::Told(reason));
        }
        drop(state);
        drop(shard);
        self.bequeath(legacies, book);
        Seated {
            seat,
            present,
            implicit,
            vow,
        }
    }

    fn seat(&self, name: Arc<str>, owner: Owner, session: u64, rest: Rest) -> Seat {
        Seat::new(name, owner, self.common.clone(), session, rest)
    }

    /// The connection of a seat is gone.
    pub(crate) fn leave(&self, seat: &Arc<Seat>, session: SessionId, forget: bool) -> Kept {
        let now = self.now();
        let mut book = seat.turn();
        let mut shard = self.shard(&seat.name).lock();
        let mut state = seat.lock();
        if state.live_session() != Some(session) {
            let same = shard
                .get(&seat.name)
                .is_some_and(|other| Arc::ptr_eq(other, seat));
            return if same { Kept::TakenOver } else { Kept::Not };
        }
        let longest = now.saturating_add(millis(self.common.terms.session_life));
        let until = state.leave(now).map_or(longest, |until| until.min(longest));
        let mut legacies = Vec::new();
        let kept = if forget || until <= now {
            legacies = self.vacate(seat, &mut state, None, &mut book);
            drop(state);
            remove(&mut shard, seat);
            Kept::Not
        } else {
            state.until = Some(until);
            if let Some(turn) = &mut book {
                let session = seat.session;
                turn.note(&Change::Detached { session, until });
            }
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            drop(state);
            self.away.lock().insert((until, number), seat.clone());
            Kept::Until(until)
        };
        drop(shard);
        self.bequeath(legacies, book);
        self.sweep();
        kept
    }

    /// Forgets sessions whose time is over, and those next to it when there are too many.
    pub(crate) fn sweep(&self) {
        let now = self.now();
        loop {
            let seat = {
                let mut away = self.away.lock();
                let due = away
                    .first_key_value()
                    .is_some_and(|((until, _), _)| *until <= now);
                if !due && away.len() <= self.common.bounds.sessions {
                    return;
                }
                away.pop_first()
            };
            let Some(((until, _), seat)) = seat else {
                return;
            };
            let mut book = seat.turn();
            let mut shard = self.shard(&seat.name).lock();
            let mut state = seat.lock();
            if state.until == Some(until) {
                state.until = None;
                let legacies = self.vacate(&seat, &mut state, None, &mut book);
                drop(state);
                remove(&mut shard, &seat);
                drop(shard);
                self.bequeath(legacies, book);
            }
        }
    }

    /// Takes all that a seat subscribes to out of the tree; the seat is locked, and its session is
    /// over. What comes back is for `bequeath`.
    fn vacate(
        &self,
        seat: &Arc<Seat>,
        state: &mut State,
        until: Option<Millis>,
        book: &mut Option<Turn<'_>>,
    ) -> Vec<Legacy> {
        if let Some(turn) = book.as_mut().filter(|_| seat.is_durable()) {
            let session = seat.session;
            turn.note(&Change::Ended { session });
        }
        state.end_wait();
        let legacies = state.legacies();
        let mqtt = &state.mqtt;
        if !mqtt.subscriptions().is_empty() {
            let mut routes = self.routes.write();
            for subscription in mqtt.subscriptions() {
                routes.remove(
                    &subscription.filter,
                    &Route::new(seat, &subscription.filter),
                );
            }
        }
        if let Some(until) = until {
            self.forget_away(until, seat);
        }
        legacies
    }

    fn forget_away(&self, until: Millis, seat: &Arc<Seat>) {
        let mut away = self.away.lock();
        let at = away
            .range((until, 0)..=(until, u64::MAX))
            .find(|(_, other)| Arc::ptr_eq(other, seat))
            .map(|(key, _)| *key);
        if let Some(at) = at {
            away.remove(&at);
        }
    }

    /// Answers a SUBSCRIBE with these verdicts, and hands out retained messages.
    pub(crate) fn subscribe(
        &self,
        seat: &Arc<Seat>,
        session: SessionId,
        request: &Subscribe,
        verdicts: &[ReasonCode],
    ) {
        let now = self.now();
        let mut book = seat.turn();
        let mut state = seat.lock();
        if state.live_session() != Some(session) {
            return;
        }
        let mut effects = Vec::new();
        let refused;
        let mut verdicts = verdicts;
        if book.is_some() && self.is_troubled() {
            refused = vec![ReasonCode::UnspecifiedError; verdicts.len()];
            verdicts = &refused;
        }
        let grants = state.mqtt.subscribe(request, verdicts, &mut effects);
        if let Some(turn) = &mut book {
            for grant in &grants {
                turn.note(&Change::Subscribed {
                    session: seat.session,
                    subscription: grant.subscription.clone(),
                });
            }
        }
        {
            let mut routes = self.routes.write();
            for grant in &grants {
                let filter = &grant.subscription.filter;
                routes.insert(filter, Route::new(seat, filter), ());
            }
        }
        for grant in &grants {
            state.switch(&grant.subscription.filter, true, &mut book);
        }
        state.depend(&book);
        state.carry_out(effects, &mut book);
        for grant in &grants {
            for message in self.retained_for(grant) {
                let delivery = Delivery::retained(message, &grant.subscription);
                state.hand(delivery, now, &mut book);
            }
        }
    }

    /// Answers an UNSUBSCRIBE; filters of implicit subscriptions are switched off with it.
    pub(crate) fn unsubscribe(&self, seat: &Arc<Seat>, session: SessionId, request: &Unsubscribe) {
        let mut book = seat.turn();
        let mut state = seat.lock();
        if state.live_session() != Some(session) {
            return;
        }
        let mut effects = Vec::new();
        let gone = state.mqtt.unsubscribe(request, &mut effects);
        if !gone.is_empty() {
            let mut routes = self.routes.write();
            for subscription in &gone {
                let filter = &subscription.filter;
                routes.remove(filter, &Route::new(seat, filter));
            }
        }
        if let Some(turn) = &mut book {
            for subscription in &gone {
                turn.note(&Change::Unsubscribed {
                    session: seat.session,
                    filter: subscription.filter.clone(),
                });
            }
        }
        for filter in &request.filters {
            state.switch(filter, false, &mut book);
        }
        state.depend(&book);
        state.carry_out(effects, &mut book);
    }

    /// Ends subscriptions of a connection that it may not have any more.
    pub(crate) fn review(
        &self,
        seat: &Arc<Seat>,
        session: SessionId,
        may: &(dyn Fn(&str) -> bool + Sync),
    ) {
        let mut book = seat.turn();
        let mut state = seat.lock();
        if state.live_session() != Some(session) {
            return;
        }
        let held = state.mqtt.subscriptions().iter();
        let lost: Vec<TopicFilter> = held
            .map(|subscription| &subscription.filter)
            .filter(|filter| !may(filter.pattern()))
            .cloned()
            .collect();
        if lost.is_empty() {
            return;
        }
        let gone = state.mqtt.revoke(&lost);
        let mut routes = self.routes.write();
        for subscription in &gone {
            let filter = &subscription.filter;
            routes.remove(filter, &Route::new(seat, filter));
        }
        drop(routes);
        if let Some(turn) = &mut book {
            for subscription in &gone {
                turn.note(&Change::Unsubscribed {
                    session: seat.session,
                    filter: subscription.filter.clone(),
                });
            }
        }
    }

    /// Ends the connection of a device. One that is just being admitted finds the word when it
    /// arrives, so it is written down before we look.
    pub(crate) fn close(&self, iot_id: &IotId, session: Option<SessionId>, reason: CloseReason) {
        self.write_down(iot_id, session, reason);
        let Some(seat) = self.find(iot_id.as_str()) else {
            return;
        };
        if seat.close(session, Closing::Told(reason)) || reason != CloseReason::Deleted {
            return;
        }
        let mut book = seat.turn();
        let mut shard = self.shard(iot_id.as_str()).lock();
        let mut state = seat.lock();
        if state.live_session().is_none() {
            let until = state.until.take();
            let legacies = self.vacate(&seat, &mut state, until, &mut book);
            drop(state);
            remove(&mut shard, &seat);
            drop(shard);
            self.bequeath(legacies, book);
        }
    }

    fn write_down(&self, iot_id: &IotId, session: Option<SessionId>, reason: CloseReason) {
        let at = Instant::now();
        let old = |word: &Closed| at.duration_since(word.at) > MEMORY;
        let mut closed = self.closed.lock();
        while closed.len() >= WORDS || closed.front().is_some_and(old) {
            closed.pop_front();
        }
        let iot_id = iot_id.clone();
        closed.push_back(Closed {
            at,
            iot_id,
            session,
            reason,
        });
    }

    fn closed_since(&self, name: &str, session: SessionId, since: Instant) -> Option<CloseReason> {
        if self.stopping.load(Ordering::Acquire) {
            return Some(CloseReason::Stopping);
        }
        let closed = self.closed.lock();
        closed
            .iter()
            .rev()
            .take_while(|word| word.at >= since)
            .find(|word| {
                word.iot_id.as_str() == name && word.session.is_none_or(|named| named == session)
            })
            .map(|word| word.reason)
    }

    /// Commands wait for a device.
    pub(crate) fn commands_wait(&self, iot_id: &IotId) {
        if let Some(seat) = self.find(iot_id.as_str()) {
            seat.commands_wait();
        }
    }

    /// Ends all connections, and those that still come in.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for shard in &self.shards {
            for seat in shard.lock().values() {
                seat.close(None, Closing::Told(CloseReason::Stopping));
            }
        }
    }
}

fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// Takes a seat out of its shard, unless another one has its place.
fn remove(shard: &mut HashMap<Arc<str>, Arc<Seat>>, seat: &Arc<Seat>) {
    if shard
        .get(&seat.name)
        .is_some_and(|other| Arc::ptr_eq(other, seat))
    {
        shard.remove(&seat.name);
    }
}

/// The level that a subscription gets.
pub(crate) fn granted(asked: QoS, most: QoS) -> ReasonCode {
    ReasonCode::granted(asked.min(most))
}
