//! What is behind the lock of a seat: the session with its messages, and the connection to it.

use super::{
    Arrival, Common, Handed,
    live::{Aliases, Closing, Live, explain},
};
use crate::{
    ledger::{Turn, change::Change},
    orders::Orders,
    router::Legacy,
    will::Vow,
};
use model::id::SessionId;
use std::sync::Arc;
use tokio::sync::oneshot;
use wire::mqtt::{
    Counts, Delivery, Due, Effect, Limits, Message, Millis, Note, Offer, Packet, QoS, Rest,
    Session, Stage, TopicFilter, TopicName, encode,
};

/// A connection with so many times `Bounds::outgoing` waiting is cut.
const OVERDUE: usize = 4;

/// What is behind the lock.
pub(crate) struct State {
    pub(crate) mqtt: Session,
    pub(super) live: Option<Live>,
    /// Whether system topics come without a subscription.
    implicit: bool,
    /// Filters of implicit subscriptions that the device switched off.
    off: Vec<TopicFilter>,
    pub(super) common: Arc<Common>,
    session: u64,
    /// The position of what was last written down of it and must not be seen outside before.
    pub(super) depends: u64,
    /// Bytes of its messages that the ledger counted.
    counted: usize,
    /// When it is to be forgotten, while its device is away.
    pub(crate) until: Option<Millis>,
    /// A word here makes a will that waits void; without one it is published when this goes.
    pub(crate) will: Option<(Arc<Vow>, oneshot::Sender<()>)>,
    /// Orders on their way; there only while there are any.
    pub(super) orders: Option<Box<Orders>>,
    /// Whether it is a device: nobody looks for orders of a guest.
    takes_orders: bool,
}

impl State {
    pub(super) fn new(
        common: Arc<Common>,
        session: u64,
        takes_orders: bool,
        limits: Limits,
        rest: Rest,
    ) -> Self {
        let mut state = Self {
            mqtt: Session::restored(limits, rest),
            live: None,
            implicit: false,
            off: Vec::new(),
            common,
            session,
            depends: 0,
            counted: 0,
            until: None,
            will: None,
            orders: None,
            takes_orders,
        };
        state.count();
        state
    }

    pub(super) fn live_of(&mut self, session: SessionId) -> Option<&mut Live> {
        self.live.as_mut().filter(|live| live.session == session)
    }

    pub(crate) fn live_session(&self) -> Option<SessionId> {
        self.live.as_ref().map(|live| live.session)
    }

    /// Seats a connection; the former one is told to leave. CONNACK goes out before anything else.
    /// Gives back a will that waited, and is void with that.
    pub(crate) fn arrive(
        &mut self,
        arrival: Arrival,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Option<Arc<Vow>> {
        self.evict();
        self.depends = self.depends.max(book.as_ref().map_or(0, Turn::reach));
        let version = arrival.link.version;
        let aliases = (version.is_v5() && arrival.aliases > 0).then(|| {
            let most = arrival.link.maximum_packet_size;
            Box::new(Aliases::new(arrival.aliases, most))
        });
        let explains = version.is_v5() && arrival.explains;
        let mut live = Live::new(arrival.session, version, explains, aliases);
        // A CONNACK of ours is of the right version and has no foreign properties.
        let connack = Packet::ConnAck(arrival.connack);
        let _ = encode(&connack, version, live.buffer(self.depends));
        if self.session == 0 {
            // Nothing else of it is written down.
            self.depends = 0;
        }
        self.live = Some(live);
        let holds = self.takes_orders && self.mqtt.inflight() + self.mqtt.queued() > 0;
        self.orders = Orders::new(holds, self.orders.take());
        self.implicit = arrival.implicit;
        self.until = None;
        // It may have been published just now.
        let will = self.will.take();
        let void = will.and_then(|(vow, void)| void.send(()).is_ok().then_some(vow));
        let mut effects = Vec::new();
        let before = *self.mqtt.counts();
        self.mqtt.attach(arrival.link, now, &mut effects);
        self.tell_dropped(before);
        self.carry_out(effects, book);
        void
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
                if self.off.len() >= self.common.bounds.filters.max(1) {
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

    pub(super) fn wants(&self, topic: &TopicName, system: bool) -> bool {
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
    pub(super) fn deliver(
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
            let outgoing = self.common.bounds.outgoing;
            let (waiting, fleeting) = (live.out.len(), delivery.qos == QoS::AtMostOnce);
            if fleeting && (live.closing.is_some() || waiting > outgoing) {
                return self.drop_one("slow");
            }
            if waiting > outgoing.saturating_mul(OVERDUE) {
                live.close(Closing::Slow);
            }
        }
        let mut written = None;
        if self.session != 0 && delivery.qos != QoS::AtMostOnce {
            let Some(turn) = book else {
                // Whoever hands over looks who of the receivers is durable.
                tracing::error!("a message for a durable session came without a turn");
                return self.drop_one("no turn");
            };
            if self
                .common
                .ledger
                .as_ref()
                .is_some_and(|own| own.is_overrun())
            {
                return self.drop_one("disk");
            }
            delivery.mark = turn.position();
            self.bound();
            written = Some(delivery.clone());
        }
        let mut effects = Vec::new();
        let before = *self.mqtt.counts();
        let offer = self.mqtt.publish(delivery, now, &mut effects);
        self.tell_dropped(before);
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
            Offer::Dropped => Handed::Dropped,
            Offer::Refused => self.drop_one("refused"),
        }
    }

    fn drop_one(&self, reason: &'static str) -> Handed {
        self.common.desk.dropped(reason, 1);
        Handed::Dropped
    }

    /// Tells which messages the session has dropped since it counted so.
    pub(super) fn tell_dropped(&self, before: Counts) {
        let now = self.mqtt.counts();
        for (reason, before, now) in [
            ("queue full", before.overflowed, now.overflowed),
            ("away", before.offline, now.offline),
            ("expired", before.expired, now.expired),
            ("too large", before.oversized, now.oversized),
        ] {
            if now > before {
                self.common.desk.dropped(reason, now - before);
            }
        }
    }

    /// Whether a message of this weight finds a place without harm to another one.
    pub(crate) fn has_place(&mut self, weight: usize) -> bool {
        self.bound();
        self.mqtt.has_place(weight)
    }

    /// What of a session that is over others should get who share a subscription with it: what its
    /// client was not sent, and what it did not acknowledge at QoS 1 (MQTT 5 §4.8.2). One that the
    /// client also subscribed to for itself, or in two groups, may have come to it by that way, and
    /// goes to nobody.
    pub(crate) fn legacies(&self) -> Vec<Legacy> {
        let subscriptions = self.mqtt.subscriptions();
        if !subscriptions
            .iter()
            .any(|own| own.filter.shared().is_some())
        {
            return Vec::new();
        }
        let left = |due: Due| {
            let delivery = due.delivery?;
            if due.stage != Stage::Waiting && delivery.qos == QoS::ExactlyOnce {
                return None;
            }
            let message = delivery.message;
            let mut ways = subscriptions
                .iter()
                .filter(|own| own.filter.matches(&message.topic));
            let (way, other) = (ways.next()?, ways.next());
            let shared = way.filter.shared().filter(|_| other.is_none())?;
            let group = shared.group.into();
            Some(Legacy { group, message })
        };
        self.mqtt.rest().due.into_iter().filter_map(left).collect()
    }

    /// Leaves its queue as much room as it has, and all sessions together have.
    fn bound(&mut self) {
        if let Some(ledger) = &self.common.ledger {
            let own = self.mqtt.bytes();
            let most = self.common.bounds.queue_bytes.min(own + ledger.room());
            self.mqtt.set_queued_bytes(most);
        }
    }

    /// Tells the ledger how many bytes wait here.
    pub(crate) fn count(&mut self) {
        let bytes = self.mqtt.bytes();
        if bytes != self.counted
            && let Some(ledger) = &self.common.ledger
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
    pub(super) fn settle(&mut self, effect: &mut Effect, book: &mut Option<Turn<'_>>) -> bool {
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
        if let Some(ledger) = &self.common.ledger {
            ledger.count(self.counted, 0);
        }
    }
}
