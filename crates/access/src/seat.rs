//! The place of one client, a device or a guest, among those who send and receive: its MQTT session,
//! which may outlive its connection, and the bytes that wait to be written to that connection.
//! `state` is what its lock guards, `live` the connection.
//!
//! Whoever has a message for the device appends it here, already encoded, under a short lock, and
//! wakes the connection only if nothing waited before; the connection takes all that waits at once.

mod live;
mod order;
mod state;

pub(crate) use live::Closing;
pub(crate) use state::State;

use crate::{
    desk::Desk,
    ledger::{Ledger, Turn},
    orders::{Orders, Room},
    settings::{Bounds, Terms},
    will::Promise,
};
use bytes::BytesMut;
use hub::edge::Outbound;
use live::HELD;
use model::{
    id::{CommandId, ProductKey, SessionId},
    port::CloseReason,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    future::poll_fn,
    num::NonZeroU16,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use wire::mqtt::{
    ConnAck, Delivery, Effect, Limits, Link, Message, Millis, Packet, PacketId, Properties,
    Publish, QoS, ReasonCode, Rest, Subscription, Ticket, TopicName,
};

/// QoS 1 messages on their way to one device at once.
const INFLIGHT: NonZeroU16 = NonZeroU16::new(32).expect("not zero");

/// What all seats of a router have in common.
pub(crate) struct Common {
    pub(crate) bounds: Bounds,
    pub(crate) terms: Arc<Terms>,
    /// Where what has to last is written down.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Who counts what is dropped.
    pub(crate) desk: Arc<dyn Desk>,
}

/// A client's place.
pub(crate) struct Seat {
    /// The id of a device, or the client id of a guest.
    pub(crate) name: Arc<str>,
    pub(crate) owner: Owner,
    common: Arc<Common>,
    /// The number under which the session is written down; 0 when it ends with its connection.
    pub(crate) session: u64,
    /// Held by whoever takes a message in, until it is handed out: a client that came back sends
    /// again what it has no answer for, and what it sent behind that on its new connection must not
    /// overtake what its former one is still at work on [MQTT-4.6.0-2].
    entrance: Mutex<()>,
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
    /// Its will.
    pub(crate) promise: Option<Promise>,
}

/// What the connection sees when it looks.
pub(crate) enum Outgoing {
    /// Write these bytes.
    Bytes(BytesMut),
    /// Commands wait for the device.
    CommandsWait,
    /// The device has commands that are not marked so.
    CommandsTaken,
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

/// What became of an order for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gave {
    /// It was handed over.
    Handed(Handed),
    /// The device has it, or its session does.
    Known,
    /// The device does not listen to it now.
    Unwanted,
    /// Too much waits to be written.
    NoRoom,
    /// There is another connection, or none.
    NoConnection,
}

impl Seat {
    /// A seat for a session with this number, and with what another one left.
    pub(crate) fn new(
        name: Arc<str>,
        owner: Owner,
        common: Arc<Common>,
        session: u64,
        rest: Rest,
    ) -> Self {
        let bounds = &common.bounds;
        let limits = Limits {
            inflight: INFLIGHT,
            receive_maximum: common.terms.receive_maximum,
            queued: bounds.queue,
            queued_bytes: bounds.queue_bytes,
            overflow: bounds.overflow,
            subscriptions: bounds.filters,
            durable: session != 0,
        };
        let takes_orders = matches!(owner, Owner::Device(_));
        let state = State::new(common.clone(), session, takes_orders, limits, rest);
        Self {
            name,
            owner,
            common,
            session,
            entrance: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    /// Whether its session outlives the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.session != 0
    }

    /// A turn to change it, if changes have to be written down. Taken before any lock.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        let ledger = self.common.ledger.as_ref().filter(|_| self.is_durable());
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
        if let Some(ledger) = &self.common.ledger {
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
        if std::mem::take(&mut live.orders_taken) {
            return Poll::Ready(Outgoing::CommandsTaken);
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
        let Some(ledger) = &self.common.ledger else {
            return;
        };
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
        if let Some(ledger) = &self.common.ledger {
            live.let_go(ledger.synced());
        }
        let greeted = live.greeted || !live.out.is_empty();
        (std::mem::take(&mut live.out), greeted)
    }

    /// Whether so much waits to be written that nothing more should be read.
    pub(crate) fn is_full(&self, session: SessionId) -> bool {
        let mut state = self.lock();
        let outgoing = self.common.bounds.outgoing;
        let saturated = state.mqtt.is_saturated();
        let Some(live) = state.live_of(session) else {
            return true;
        };
        let held = live.held.as_ref().map_or(0, |held| held.len());
        // Whoever waits is woken when the disk has caught up.
        let behind = held >= HELD
            || held > 0
                && self
                    .common
                    .ledger
                    .as_ref()
                    .is_some_and(|own| own.is_congested());
        saturated || behind || live.out.len() > outgoing
    }

    /// Whether so many bytes wait for the client that it gets no further message at QoS 0.
    pub(crate) fn is_clogged(&self, session: SessionId) -> bool {
        let outgoing = self.common.bounds.outgoing;
        let mut state = self.lock();
        state
            .live_of(session)
            .is_some_and(|live| live.out.len() > outgoing)
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
            self.common.desk.dropped("bad topic", 1);
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

    /// Hands over a message to a connection that is told to end.
    pub(crate) fn last_words(
        &self,
        session: SessionId,
        outbound: Outbound,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) {
        let Some(message) = message(outbound.topic, outbound.payload, outbound.qos) else {
            return;
        };
        let mut state = self.lock();
        let Some(closing) = state.live_of(session).map(|live| live.closing.take()) else {
            return;
        };
        state.deliver(&Arc::new(message), outbound.system, None, now, book);
        if let Some(live) = state.live_of(session) {
            live.closing = closing;
        }
    }

    /// Hands over a message of the server's own.
    pub(crate) fn send(
        &self,
        message: &Arc<Message>,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        self.lock().deliver(message, true, None, now, book)
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

    /// Held while a message is taken in and handed out. Taken before any other lock, and before a
    /// turn.
    pub(crate) fn entrance(&self) -> MutexGuard<'_, ()> {
        self.entrance.lock()
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
        state.heard(&packet);
        let mut effects = Vec::new();
        let before = *state.mqtt.counts();
        state.mqtt.receive(packet, now, &mut effects);
        state.tell_dropped(before);
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
        state.has_place(message.weight())
    }

    /// Whether a message of its own client comes back to it.
    pub(crate) fn hears_itself(&self, message: &Message) -> bool {
        let state = self.lock();
        let wanted =
            |own: &Subscription| !own.options.no_local && own.filter.matches(&message.topic);
        state.mqtt.subscriptions().iter().any(wanted)
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

    /// Hands over an order, unless the device has it or will have it anyhow.
    pub(crate) fn give(
        &self,
        session: SessionId,
        id: CommandId,
        messages: Vec<Outbound>,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Gave {
        let mut state = self.lock();
        let live = state.live_of(session);
        if live.is_none_or(|live| live.closing.is_some()) {
            return Gave::NoConnection;
        }
        state.give(id, messages, now, book)
    }

    /// All orders that wait were looked at.
    pub(crate) fn looked(&self, session: SessionId) {
        self.with_orders(session, Orders::looked);
    }

    /// What the connection was given to write has left. Tells whether an order has room by that;
    /// `None` while there is more to write.
    pub(crate) fn flushed(&self, session: SessionId) -> Option<bool> {
        let mut state = self.lock();
        let live = state.live_of(session);
        if live.is_some_and(|live| !live.out.is_empty() || live.held.is_some()) {
            return None;
        }
        Some(state.orders.as_mut().is_some_and(|orders| {
            orders.flushed();
            orders.make(Room::Flush)
        }))
    }

    /// Orders that the device of this connection has, and that are not marked so.
    pub(crate) fn taken(&self, session: SessionId) -> Vec<CommandId> {
        let mut taken = Vec::new();
        self.with_orders(session, |orders| taken = orders.taken());
        taken
    }

    /// An order was marked.
    pub(crate) fn marked(&self, session: SessionId, id: CommandId) {
        self.with_orders(session, |orders| orders.forget(id));
    }

    fn with_orders(&self, session: SessionId, act: impl FnOnce(&mut Orders)) {
        let mut state = self.lock();
        if state.live_of(session).is_none() {
            return;
        }
        if let Some(orders) = &mut state.orders {
            act(orders);
            if orders.is_empty() {
                state.orders = None;
            }
        }
    }

    /// Tells the connection at this seat that commands wait.
    pub(crate) fn commands_wait(&self) {
        if let Some(live) = &mut self.lock().live {
            live.commands_wait = true;
            live.wake();
        }
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
