//! The place of one client, a device or a guest, among those who send and receive: its MQTT session, which may outlive
//! its connection, and the bytes that wait to be written to that connection.
//!
//! Whoever has a message for the device appends it here, already encoded, under a short lock, and
//! wakes the connection only if nothing waited before; the connection takes all that waits at once.

use crate::{
    ledger::{Ledger, Turn, change::Change},
    settings::{Bounds, Terms},
};
use bytes::BytesMut;
use hub::edge::Outbound;
use model::{
    id::{ProductKey, SessionId},
    port::CloseReason,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::sync::oneshot;
use wire::mqtt::{
    ConnAck, Delivery, Effect, EncodeError, Limits, Link, Message, Millis, Note, Offer, Packet,
    PacketId, Properties, Property, Publish, QoS, ReasonCode, Rest, Session, Stage, Subscription,
    Text, Ticket, TopicFilter, TopicName, Transmit, Version, encode, encode_publish, publish_size,
};

/// QoS 1 messages on their way to one device at once.
const INFLIGHT: NonZeroU16 = NonZeroU16::new(32).expect("not zero");
/// Topic aliases of ours on one connection at most.
const ALIASES: u16 = 32;
/// A connection with so many times `Bounds::outgoing` waiting is cut.
const OVERDUE: usize = 4;

/// A client's place.
pub(crate) struct Seat {
    /// The id of a device, or the client id of a guest.
    pub(crate) name: Arc<str>,
    pub(crate) owner: Owner,
    ledger: Option<Arc<Ledger>>,
    /// The number under which the session is written down; 0 when it ends with its connection.
    pub(crate) session: u64,
    state: Mutex<State>,
}

/// Whose a seat is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A device of this product.
    Device(ProductKey),
    /// A guest who came under this user name.
    Guest(Option<Box<str>>),
}

impl Owner {
    /// Whether it is a device of that product.
    pub(crate) fn is_of(&self, product: &ProductKey) -> bool {
        matches!(self, Self::Device(own) if own == product)
    }
}

/// What is behind the lock.
pub(crate) struct State {
    pub(crate) mqtt: Session,
    live: Option<Live>,
    /// Whether system topics come without a subscription.
    implicit: bool,
    /// Filters of implicit subscriptions that the device switched off.
    off: Vec<TopicFilter>,
    ledger: Option<Arc<Ledger>>,
    session: u64,
    /// The position of what was last written down of it and must not be seen outside before.
    depends: u64,
    /// Bytes of its messages that the ledger counted.
    counted: usize,
    queue_bytes: usize,
    outgoing: usize,
    filters: usize,
    /// When it is to be forgotten, while its device is away.
    pub(crate) until: Option<Millis>,
    /// A word here makes a will that waits void; without one it is published when this goes.
    will: Option<oneshot::Sender<()>>,
}

/// The connection that sits here.
struct Live {
    session: SessionId,
    version: Version,
    out: BytesMut,
    /// Whether it wants to read what was wrong (MQTT 5 §3.1.2.11.7).
    explains: bool,
    /// There only if the client takes any.
    aliases: Option<Box<Aliases>>,
    /// What must not leave before the ledger is on disk up to a position.
    #[expect(clippy::box_collection, reason = "most connections have none")]
    held: Option<Box<VecDeque<(u64, BytesMut)>>>,
    /// Whether anything has been written.
    greeted: bool,
    waker: Option<Waker>,
    closing: Option<Closing>,
    commands_wait: bool,
}

/// Topic aliases of ours on one connection (MQTT 5 §3.3.2.3.4): the first topics get one each.
struct Aliases {
    most: u16,
    /// The longest packet that the client takes.
    packet: Option<NonZeroU32>,
    known: HashMap<TopicName, NonZeroU16>,
}

impl Aliases {
    fn encode(&mut self, transmit: &Transmit, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut parts = transmit.parts();
        let topic = &transmit.delivery.message.topic;
        if let Some(alias) = self.known.get(topic) {
            parts.topic = "";
            parts.alias = Some(*alias);
            return encode_publish(&parts, Version::V5, out);
        }
        let next = u16::try_from(self.known.len() + 1).unwrap_or(u16::MAX);
        parts.alias = NonZeroU16::new(next).filter(|next| next.get() <= self.most);
        let size = publish_size(&parts, Version::V5) as u64;
        if self.packet.is_some_and(|most| size > most.get().into()) {
            parts.alias = None;
        }
        encode_publish(&parts, Version::V5, out)?;
        if let Some(alias) = parts.alias {
            self.known.insert(topic.detached(), alias);
        }
        Ok(())
    }
}

/// Answers that a connection may have held back before no more of its packets are taken.
const HELD: usize = 64;

/// Why the connection at a seat has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The server says so.
    Told(CloseReason),
    /// It left too much unread.
    Slow,
    /// It broke the protocol.
    Broken(ReasonCode),
    /// What it waits for cannot be written down.
    Failed,
}

/// How a device takes a seat.
pub(crate) struct Arrival {
    pub(crate) session: SessionId,
    pub(crate) link: Link,
    pub(crate) implicit: bool,
    pub(crate) connack: ConnAck,
    /// Topic aliases that the client takes.
    pub(crate) aliases: u16,
    /// Whether the client wants to read what was wrong.
    pub(crate) explains: bool,
}

/// What the connection sees when it looks.
pub(crate) enum Outgoing {
    /// Write these bytes.
    Bytes(BytesMut),
    /// Commands wait for the device.
    CommandsWait,
    /// End.
    Close(Closing),
}

/// What became of a message for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    /// On its way, or kept for its return.
    On,
    /// The device does not want it.
    Unwanted,
    /// Dropped: no connection, or too much waits.
    Dropped,
}

impl Seat {
    /// A seat for a session with this number, and with what another one left.
    pub(crate) fn new(
        name: Arc<str>,
        owner: Owner,
        bounds: &Bounds,
        terms: &Terms,
        ledger: Option<Arc<Ledger>>,
        session: u64,
        rest: Rest,
    ) -> Self {
        let limits = Limits {
            inflight: INFLIGHT,
            receive_maximum: terms.receive_maximum,
            queued: bounds.queue,
            queued_bytes: bounds.queue_bytes,
            overflow: bounds.overflow,
            subscriptions: bounds.filters,
            durable: session != 0,
        };
        let mut state = State {
            mqtt: Session::restored(limits, rest),
            ledger: ledger.clone(),
            session,
            depends: 0,
            counted: 0,
            queue_bytes: bounds.queue_bytes,
            live: None,
            implicit: false,
            off: Vec::new(),
            outgoing: bounds.outgoing,
            filters: bounds.filters,
            until: None,
            will: None,
        };
        state.count();
        Self {
            name,
            owner,
            ledger,
            session,
            state: Mutex::new(state),
        }
    }

    /// Whether its session outlives the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.session != 0
    }

    /// A turn to change it, if changes have to be written down. Taken before any lock.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        let ledger = self.ledger.as_ref().filter(|_| self.is_durable());
        ledger.map(|ledger| ledger.turn())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What the connection has to do now, or a wake-up later when there is nothing. While it is
    /// `busy` writing it gets no more bytes, but still learns that it has to end.
    pub(crate) fn poll(&self, session: SessionId, busy: bool, cx: &Context<'_>) -> Poll<Outgoing> {
        let mut state = self.lock();
        let Some(live) = state.live_of(session) else {
            return Poll::Ready(Outgoing::Close(Closing::Told(CloseReason::TakenOver)));
        };
        if let Some(ledger) = &self.ledger {
            live.let_go(ledger.synced());
            if let Some(position) = live.first_held() {
                if ledger.is_troubled() {
                    live.closing.get_or_insert(Closing::Failed);
                }
                // Woken at once if the disk was faster.
                ledger.wake_at(position, std::ptr::from_ref(self).addr(), cx.waker());
            }
        }
        // What was put here before the end, such as the answer to a message, goes out before it.
        if !busy && !live.out.is_empty() {
            live.greeted = true;
            return Poll::Ready(Outgoing::Bytes(std::mem::take(&mut live.out)));
        }
        if let Some(closing) = live.closing {
            return Poll::Ready(Outgoing::Close(closing));
        }
        if std::mem::take(&mut live.commands_wait) {
            return Poll::Ready(Outgoing::CommandsWait);
        }
        let same = |waker: &Waker| waker.will_wake(cx.waker());
        if !live.waker.as_ref().is_some_and(same) {
            live.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Returns when nothing that a connection was to be told by now is held back any more, or cannot
    /// be told for trouble with the disk.
    pub(crate) async fn settled(&self, session: SessionId) {
        let Some(ledger) = &self.ledger else { return };
        let last = {
            let mut state = self.lock();
            state.live_of(session).and_then(|live| live.last_held())
        };
        let Some(last) = last else { return };
        let number = std::ptr::from_ref(self).addr();
        poll_fn(|cx| {
            if ledger.synced() >= last || ledger.is_troubled() {
                return Poll::Ready(());
            }
            ledger.wake_at(last, number, cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// What waits to be written, for a connection that ends and will not poll again; and whether
    /// its client has had, or has with that, its CONNACK.
    pub(crate) fn rest(&self, session: SessionId) -> (BytesMut, bool) {
        let mut state = self.lock();
        let Some(live) = state.live_of(session) else {
            return (BytesMut::new(), true);
        };
        if let Some(ledger) = &self.ledger {
            live.let_go(ledger.synced());
        }
        let greeted = live.greeted || !live.out.is_empty();
        (std::mem::take(&mut live.out), greeted)
    }

    /// Whether so much waits to be written that nothing more should be read.
    pub(crate) fn is_full(&self, session: SessionId) -> bool {
        let mut state = self.lock();
        let outgoing = state.outgoing;
        let saturated = state.mqtt.is_saturated();
        let Some(live) = state.live_of(session) else {
            return true;
        };
        let held = live.held.as_ref().map_or(0, |held| held.len());
        // Whoever waits is woken when the disk has caught up.
        let behind =
            held >= HELD || held > 0 && self.ledger.as_ref().is_some_and(|own| own.is_congested());
        saturated || behind || live.out.len() > outgoing
    }

    /// Hands over a message that a dialect made for this device. An explicit subscription counts
    /// before an implicit one, so that nothing comes twice (spec/alink-wire.md §7).
    pub(crate) fn deliver(
        &self,
        outbound: Outbound,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        let Some(message) = message(outbound.topic, outbound.payload, outbound.qos) else {
            return Handed::Dropped;
        };
        self.lock()
            .deliver(&Arc::new(message), outbound.system, None, now, book)
    }

    /// Hands over a message that was published, if the device subscribes to it.
    pub(crate) fn publish(
        &self,
        message: &Arc<Message>,
        from: Option<&Self>,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        let own = from.is_some_and(|from| std::ptr::eq(from, self));
        self.lock().deliver(message, false, Some(own), now, book)
    }

    /// Hands over a message by this one subscription.
    pub(crate) fn publish_by(
        &self,
        message: &Arc<Message>,
        subscription: &Subscription,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        let delivery = Delivery::new(message.clone(), subscription);
        self.lock().hand(delivery, now, book)
    }

    /// Whether a message would reach the device now.
    pub(crate) fn wants(&self, session: SessionId, outbound: &Outbound) -> bool {
        let mut state = self.lock();
        if state
            .live_of(session)
            .is_none_or(|live| live.closing.is_some())
        {
            return false;
        }
        TopicName::try_from(&*outbound.topic)
            .is_ok_and(|topic| state.wants(&topic, outbound.system))
    }

    /// Does what the protocol says about a packet; gives back what is not of the protocol alone.
    pub(crate) fn receive(&self, session: SessionId, packet: Packet, now: Millis) -> Vec<Effect> {
        // Only what a client acknowledges changes what is due to it.
        let mut book = match &packet {
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
                self.turn()
            }
            _ => None,
        };
        let mut state = self.lock();
        if state.live_of(session).is_none() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        state.mqtt.receive(packet, now, &mut effects);
        effects.retain_mut(|effect| !state.settle(effect, &mut book));
        state.count();
        effects
    }

    /// Answers a message of the client, be it of a connection that is gone; the answer leaves when
    /// the ledger is on disk up to `position`.
    pub(crate) fn acknowledge(&self, ticket: Ticket, reason: ReasonCode, position: u64) {
        let mut state = self.lock();
        let mut effects = Vec::new();
        state.mqtt.acknowledge(ticket, reason, &mut effects);
        let former = state.depends;
        state.depends = former.max(position);
        state.carry_out(effects, &mut None);
        if !self.is_durable() {
            state.depends = former;
        }
    }

    /// The number of the session, and the QoS 2 identifier of its client that the ticket stands for,
    /// if both outlive the process.
    pub(crate) fn awaited(&self, ticket: Ticket) -> Option<(u64, PacketId)> {
        let id = self
            .is_durable()
            .then(|| self.lock().mqtt.awaited(ticket))?;
        id.map(|id| (self.session, id))
    }

    /// Whether a message finds its place here without harm to another one, or is not for here.
    pub(crate) fn has_place(&self, message: &Message) -> bool {
        let mut state = self.lock();
        let wanted = |own: &Subscription| {
            own.options.qos > QoS::AtMostOnce && own.filter.matches(&message.topic)
        };
        if !state.mqtt.subscriptions().iter().any(wanted) {
            return true;
        }
        state.bound();
        state.mqtt.has_place(message.weight())
    }

    /// Tells the connection at this seat to end; false when it is another one, or none.
    pub(crate) fn close(&self, session: Option<SessionId>, closing: Closing) -> bool {
        let mut state = self.lock();
        let Some(live) = &mut state.live else {
            return false;
        };
        if session.is_some_and(|session| session != live.session) {
            return false;
        }
        live.closing.get_or_insert(closing);
        live.wake();
        true
    }

    /// Tells the connection at this seat that commands wait.
    pub(crate) fn commands_wait(&self) {
        if let Some(live) = &mut self.lock().live {
            live.commands_wait = true;
            live.wake();
        }
    }
}

impl Live {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn close(&mut self, closing: Closing) {
        self.closing.get_or_insert(closing);
        self.wake();
    }

    /// Where bytes go that may leave when the ledger is on disk up to `position`, and not before
    /// those that were there first.
    fn buffer(&mut self, position: u64) -> &mut BytesMut {
        if position == 0 && self.held.is_none() {
            return &mut self.out;
        }
        let held = self.held.get_or_insert_default();
        if held.back().is_none_or(|(last, _)| *last < position) {
            held.push_back((position, BytesMut::new()));
        }
        let (_, bytes) = held.back_mut().expect("one was pushed if there was none");
        bytes
    }

    fn first_held(&self) -> Option<u64> {
        let (position, _) = self.held.as_ref()?.front()?;
        Some(*position)
    }

    fn last_held(&self) -> Option<u64> {
        let (position, _) = self.held.as_ref()?.back()?;
        Some(*position)
    }

    /// Lets go of what the disk has caught up with.
    fn let_go(&mut self, synced: u64) {
        let Some(held) = &mut self.held else { return };
        while let Some((_, bytes)) = held.pop_front_if(|(position, _)| *position <= synced) {
            if self.out.is_empty() {
                self.out = bytes;
            } else {
                self.out.extend_from_slice(&bytes);
            }
        }
        if held.is_empty() {
            self.held = None;
        }
    }
}

impl State {
    fn live_of(&mut self, session: SessionId) -> Option<&mut Live> {
        self.live.as_mut().filter(|live| live.session == session)
    }

    pub(crate) fn live_session(&self) -> Option<SessionId> {
        self.live.as_ref().map(|live| live.session)
    }

    /// Seats a connection; the former one is told to leave. CONNACK goes out before anything else.
    pub(crate) fn arrive(&mut self, arrival: Arrival, now: Millis, book: &mut Option<Turn<'_>>) {
        self.evict();
        self.depends = self.depends.max(book.as_ref().map_or(0, Turn::reach));
        let version = arrival.link.version;
        let aliases = (version.is_v5() && arrival.aliases > 0).then(|| {
            Box::new(Aliases {
                most: arrival.aliases.min(ALIASES),
                packet: arrival.link.maximum_packet_size,
                known: HashMap::new(),
            })
        });
        let mut live = Live {
            session: arrival.session,
            version,
            explains: version.is_v5() && arrival.explains,
            out: BytesMut::new(),
            held: None,
            greeted: false,
            aliases,
            waker: None,
            closing: None,
            commands_wait: false,
        };
        // A CONNACK of ours is of the right version and has no foreign properties.
        let connack = Packet::ConnAck(arrival.connack);
        let _ = encode(&connack, version, live.buffer(self.depends));
        self.live = Some(live);
        self.implicit = arrival.implicit;
        self.until = None;
        if let Some(will) = self.will.take() {
            // It may have been published just now.
            let _ = will.send(());
        }
        let mut effects = Vec::new();
        self.mqtt.attach(arrival.link, now, &mut effects);
        self.carry_out(effects, book);
    }

    /// Takes the seat from its connection, which sees that when it looks next.
    pub(crate) fn evict(&mut self) {
        if let Some(mut live) = self.live.take() {
            live.wake();
        }
    }

    /// The connection leaves; gives back when the session ends (`None` for never).
    pub(crate) fn leave(&mut self, now: Millis) -> Option<Millis> {
        self.live = None;
        self.mqtt.detach(now)
    }

    /// Keeps the means to make a will void; false when the client is back already.
    pub(crate) fn await_will(&mut self, void: oneshot::Sender<()>) -> bool {
        if self.live.is_some() {
            return false;
        }
        // A session that ended meanwhile is nobody's to come back to.
        self.will = self.until.is_some().then_some(void);
        true
    }

    /// The session ends, and what its will waited for with it.
    pub(crate) fn end_wait(&mut self) {
        self.will = None;
    }

    /// Whether the session ends with its connection.
    pub(crate) fn is_fleeting(&self, now: Millis) -> bool {
        self.mqtt
            .link()
            .is_some_and(|link| link.expiry.deadline(now).is_some_and(|end| end <= now))
    }

    /// The reason why the connection has to end already.
    pub(crate) fn close_live(&mut self, closing: Closing) {
        if let Some(live) = &mut self.live {
            live.close(closing);
        }
    }

    /// Notes that the device wants implicit messages under these filters no more, or again.
    pub(crate) fn switch(&mut self, filter: &TopicFilter, on: bool, book: &mut Option<Turn<'_>>) {
        let at = self.off.iter().position(|off| off == filter);
        match (at, on) {
            (Some(at), true) => {
                self.off.swap_remove(at);
                self.note_switch(filter, on, book);
            }
            (None, false) if self.implicit => {
                if self.off.len() >= self.filters.max(1) {
                    let oldest = self.off.remove(0);
                    self.note_switch(&oldest, true, book);
                }
                self.off.push(filter.detached());
                self.note_switch(filter, on, book);
            }
            (Some(_), false) | (None, _) => {}
        }
    }

    fn note_switch(&self, filter: &TopicFilter, on: bool, book: &mut Option<Turn<'_>>) {
        if let Some(turn) = book {
            turn.note(&Change::Switched {
                session: self.session,
                filter: filter.clone(),
                on,
            });
        }
    }

    /// Filters of implicit subscriptions that the device switched off.
    pub(crate) fn off(&self) -> &[TopicFilter] {
        &self.off
    }

    /// Whether system topics come without a subscription.
    pub(crate) fn is_implicit(&self) -> bool {
        self.implicit
    }

    /// Takes over what was so before the process.
    pub(crate) fn restore(&mut self, implicit: bool, off: Vec<TopicFilter>, until: Millis) {
        (self.implicit, self.off, self.until) = (implicit, off, Some(until));
    }

    fn wants(&self, topic: &TopicName, system: bool) -> bool {
        self.mqtt
            .subscriptions()
            .iter()
            .any(|subscription| subscription.filter.matches(topic))
            || (system && self.wants_implicitly(topic))
    }

    fn wants_implicitly(&self, topic: &TopicName) -> bool {
        self.implicit && self.live.is_some() && !self.off.iter().any(|off| off.matches(topic))
    }

    /// `published` tells a message that was published, by this device itself or not, from one made
    /// for this device alone; shared subscriptions get the former elsewhere.
    fn deliver(
        &mut self,
        message: &Arc<Message>,
        system: bool,
        published: Option<bool>,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        let mut delivery: Option<Delivery> = None;
        for subscription in self.mqtt.subscriptions() {
            let apart = match published {
                Some(own) => {
                    subscription.filter.shared().is_some() || own && subscription.options.no_local
                }
                None => false,
            };
            if apart || !subscription.filter.matches(&message.topic) {
                continue;
            }
            match &mut delivery {
                Some(delivery) => delivery.also(subscription),
                None => delivery = Some(Delivery::new(message.clone(), subscription)),
            }
        }
        if delivery.is_none() && system && self.wants_implicitly(&message.topic) {
            delivery = Some(Delivery {
                message: message.clone(),
                // A device that subscribed itself chose its QoS and can acknowledge; this one
                // did not choose. The vendor's Python SDK (1.2.13) acknowledges from one thread
                // while it answers an order from another, and breaks its own TLS stream.
                qos: QoS::AtMostOnce,
                retain: false,
                subscription_ids: Vec::new(),
                mark: 0,
            });
        }
        match delivery {
            Some(delivery) => self.hand(delivery, now, book),
            None => Handed::Unwanted,
        }
    }

    pub(crate) fn hand(
        &mut self,
        mut delivery: Delivery,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        if let Some(live) = &mut self.live {
            if live.closing.is_some() && delivery.qos == QoS::AtMostOnce {
                return Handed::Dropped;
            }
            let waiting = live.out.len();
            if delivery.qos == QoS::AtMostOnce && waiting > self.outgoing {
                return Handed::Dropped;
            }
            if waiting > self.outgoing.saturating_mul(OVERDUE) {
                live.close(Closing::Slow);
            }
        }
        let mut written = None;
        if self.session != 0 && delivery.qos != QoS::AtMostOnce {
            let Some(turn) = book else {
                // Whoever hands over looks who of the receivers is durable.
                tracing::error!("a message for a durable session came without a turn");
                return Handed::Dropped;
            };
            delivery.mark = turn.position();
            self.bound();
            written = Some(delivery.clone());
        }
        let mut effects = Vec::new();
        let offer = self.mqtt.publish(delivery, now, &mut effects);
        for effect in &effects {
            if let (Effect::Note(Note::Taken(id)), Some(turn), Some(delivery)) =
                (effect, &mut *book, &written)
            {
                turn.say(&delivery.message);
                turn.note(&Change::Due {
                    session: self.session,
                    id: *id,
                    stage: Stage::Waiting,
                    qos: delivery.qos,
                    retain: delivery.retain,
                    subscription_ids: delivery.subscription_ids.clone(),
                });
            }
        }
        self.carry_out(effects, book);
        self.count();
        match offer {
            Offer::Sent | Offer::Queued => Handed::On,
            // It is kept, at the expense of an older one.
            Offer::Displaced(_) => Handed::On,
            Offer::Dropped | Offer::Refused => Handed::Dropped,
        }
    }

    /// Leaves its queue as much room as it has, and all sessions together have.
    fn bound(&mut self) {
        if let Some(ledger) = &self.ledger {
            let own = self.mqtt.bytes();
            let most = self.queue_bytes.min(own + ledger.room());
            self.mqtt.set_queued_bytes(most);
        }
    }

    /// Tells the ledger how many bytes wait here.
    pub(crate) fn count(&mut self) {
        let bytes = self.mqtt.bytes();
        if bytes != self.counted
            && let Some(ledger) = &self.ledger
        {
            ledger.count(self.counted, bytes);
            self.counted = bytes;
        }
    }

    /// Does what needs no more than this seat.
    pub(crate) fn carry_out(&mut self, effects: Vec<Effect>, book: &mut Option<Turn<'_>>) {
        for mut effect in effects {
            if !self.settle(&mut effect, book)
                && let Effect::Close(reason) = effect
            {
                self.close_live(Closing::Broken(reason));
            }
        }
    }

    /// Writes an effect that is a packet, and writes down one that is a note; false for any other.
    fn settle(&mut self, effect: &mut Effect, book: &mut Option<Turn<'_>>) -> bool {
        if let Effect::Note(note) = effect {
            if let Some(turn) = book {
                self.note(*note, turn);
            }
            return true;
        }
        let position = match effect {
            Effect::Publish(transmit) => transmit.delivery.mark,
            Effect::Send(Packet::PingResp) => 0,
            _ => self.depends,
        };
        let Some(live) = &mut self.live else {
            return matches!(effect, Effect::Send(_) | Effect::Publish(_));
        };
        let version = live.version;
        // What cannot be encoded cannot be sent: a message whose topic has become too long.
        let _ = match effect {
            Effect::Send(packet) => {
                let most = self.mqtt.link().and_then(|link| link.maximum_packet_size);
                if live.explains {
                    explain(packet, most);
                }
                encode(packet, version, live.buffer(position))
            }
            Effect::Publish(transmit) => {
                let mut aliases = live.aliases.take();
                let out = live.buffer(position);
                let written = match &mut aliases {
                    Some(aliases) => aliases.encode(transmit, out),
                    None => transmit.encode(version, out),
                };
                live.aliases = aliases;
                written
            }
            Effect::Deliver(..)
            | Effect::Subscribe(_)
            | Effect::Unsubscribe(_)
            | Effect::Auth(_)
            | Effect::Disconnected(_)
            | Effect::Note(_)
            | Effect::Close(_) => return false,
        };
        live.wake();
        true
    }

    fn note(&mut self, note: Note, turn: &mut Turn<'_>) {
        let session = self.session;
        let change = match note {
            // Whoever handed it over has written it down, with what it is.
            Note::Taken(_) => return,
            Note::Released(id) => {
                self.depends = turn.position();
                Change::Released { session, id }
            }
            // PUBCOMP must not tell before: the client's next message has the same identifier.
            Note::Forgotten(id) => {
                self.depends = turn.position();
                Change::Forgotten { session, id }
            }
            // At worst the message comes again.
            Note::Done(id) => Change::Done { session, id },
        };
        turn.note(&change);
    }

    /// Answers wait for what is written down in this turn.
    pub(crate) fn depend(&mut self, book: &Option<Turn<'_>>) {
        self.depends = self.depends.max(book.as_ref().map_or(0, Turn::reach));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.count(self.counted, 0);
        }
    }
}

/// Adds to an answer that tells of a failure what it means, as far as the client takes packets of
/// that size [MQTT-3.4.2-2].
fn explain(packet: &mut Packet, most: Option<NonZeroU32>) {
    /// Of an answer without words to one filter, at most, and of words with their frame.
    const FRAME: usize = 16;
    let failed = |reason: &&ReasonCode| reason.is_error();
    let (reason, size, properties) = match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) => {
            (Some(&ack.reason).filter(failed), 0, &mut ack.properties)
        }
        Packet::SubAck(ack) => {
            let size = ack.reasons.len();
            (ack.reasons.iter().find(failed), size, &mut ack.properties)
        }
        _ => return,
    };
    let Some(words) = reason.map(|reason| reason.words()) else {
        return;
    };
    if most.is_some_and(|most| FRAME + size + words.len() > most.get() as usize) {
        return;
    }
    if let Ok(words) = Text::try_from(words) {
        properties.push(Property::ReasonString(words));
    }
}

/// A message of the server's own; `None` when nobody could subscribe to its topic.
pub(crate) fn message(topic: String, payload: bytes::Bytes, qos: u8) -> Option<Message> {
    Some(Message {
        topic: TopicName::new(topic).ok()?,
        payload,
        qos: QoS::from_bits(qos).unwrap_or(QoS::AtLeastOnce),
        retain: false,
        properties: Properties::new(),
        expires: None,
    })
}

/// A message of a device, in memory of its own if it may have to wait.
pub(crate) fn published(publish: Publish, now: Millis) -> Arc<Message> {
    let publish = if publish.qos == QoS::AtMostOnce && !publish.retain {
        publish
    } else {
        publish.detached()
    };
    Arc::new(Message::new(publish, now))
}
