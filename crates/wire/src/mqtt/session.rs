//! What is in flight between a server and one client, without a socket and without a clock.

mod incoming;
mod keep_alive;
mod message;
mod outgoing;

use std::num::{NonZeroU16, NonZeroU32};

pub use incoming::Ticket;
pub use keep_alive::KeepAlive;
pub use message::{Delivery, Message, Transmit};
pub use outgoing::{Counts, Offer, Overflow};

use super::packet::{
    Auth, Connect, Disconnect, Packet, PacketId, Publish, SubAck, Subscribe, SubscribeOptions,
    UnsubAck, Unsubscribe, Version,
};
use super::property::{Properties, SubscriptionId};
use super::reason::ReasonCode;
use super::topic::TopicFilter;
use incoming::Incoming;
use outgoing::Outgoing;

/// A moment in milliseconds of a clock that never goes back; the caller passes it in.
pub type Millis = u64;

/// Bounds of a session; with them a session has a largest size, whatever its client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// QoS 1 and 2 messages on their way to the client at once. A smaller Receive Maximum of an MQTT 5 client wins.
    pub inflight: NonZeroU16,
    /// QoS 1 and 2 messages of the client that may be unanswered at once: the Receive Maximum to announce in CONNACK.
    pub receive_maximum: NonZeroU16,
    /// Messages that wait for a place in flight, or for the client to come back.
    pub queued: usize,
    /// Bytes of these messages, topics and properties included.
    pub queued_bytes: usize,
    /// What happens to a message when the queue is full.
    pub overflow: Overflow,
    /// Subscriptions of the session.
    pub subscriptions: usize,
    /// Whether the session is written down to outlive the process: it tells what changes by [`Effect::Note`].
    pub durable: bool,
}

impl Default for Limits {
    fn default() -> Self {
        const INFLIGHT: NonZeroU16 = NonZeroU16::new(64).expect("64 is not zero");
        Self {
            inflight: INFLIGHT,
            receive_maximum: INFLIGHT,
            queued: 1_000,
            queued_bytes: 1 << 20,
            overflow: Overflow::DropOldest,
            subscriptions: 200,
            durable: false,
        }
    }
}

/// What a CONNECT says about the connection that a session is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Version of the connection.
    pub version: Version,
    /// Messages the client takes at once (MQTT 5 §3.1.2.11.3).
    pub receive_maximum: NonZeroU16,
    /// Longest packet the client takes, in bytes (MQTT 5 §3.1.2.11.4).
    pub maximum_packet_size: Option<NonZeroU32>,
    /// How long the session outlives the connection.
    pub expiry: Expiry,
}

impl Link {
    /// Reads it from a CONNECT.
    pub fn of(connect: &Connect) -> Self {
        let properties = &connect.properties;
        let expiry = if connect.version.is_v5() {
            Expiry::from_seconds(properties.session_expiry_interval().copied().unwrap_or(0))
        } else if connect.clean_start {
            Expiry::WithConnection
        } else {
            Expiry::Never
        };
        Self {
            version: connect.version,
            receive_maximum: properties
                .receive_maximum()
                .copied()
                .unwrap_or(NonZeroU16::MAX),
            maximum_packet_size: properties.maximum_packet_size().copied(),
            expiry,
        }
    }
}

/// How long a session outlives its connection: Clean Session of 3.x, Session Expiry Interval of MQTT 5 §3.1.2.11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Not at all.
    WithConnection,
    /// So many seconds.
    After(NonZeroU32),
    /// Until it is taken up again, or the server forgets it.
    Never,
}

impl Expiry {
    /// The meaning of a Session Expiry Interval.
    pub const fn from_seconds(seconds: u32) -> Self {
        match NonZeroU32::new(seconds) {
            None => Self::WithConnection,
            Some(NonZeroU32::MAX) => Self::Never,
            Some(seconds) => Self::After(seconds),
        }
    }

    /// When a session whose connection ends `now` ends; `None` is never.
    pub const fn deadline(self, now: Millis) -> Option<Millis> {
        match self {
            Self::WithConnection => Some(now),
            Self::After(seconds) => Some(now.saturating_add(seconds.get() as u64 * 1_000)),
            Self::Never => None,
        }
    }
}

/// A subscription of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Which topics.
    pub filter: TopicFilter,
    /// How to deliver; the level is the granted one.
    pub options: SubscribeOptions,
    /// What the client calls it.
    pub id: Option<SubscriptionId>,
}

/// A subscription that [`Session::subscribe`] took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The subscription.
    pub subscription: Subscription,
    /// Whether it took the place of one with the same filter, see [`super::RetainHandling::SendIfNew`].
    pub replaced: bool,
}

/// What the caller has to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Write this packet.
    Send(Packet),
    /// Write this message: [`Transmit::encode`].
    Publish(Transmit),
    /// The client published. With a ticket, say [`Session::acknowledge`] once it is stored, and in any case exactly
    /// once.
    Deliver(Publish, Option<Ticket>),
    /// Decide on these, then say [`Session::subscribe`].
    Subscribe(Subscribe),
    /// Say [`Session::unsubscribe`].
    Unsubscribe(Unsubscribe),
    /// A step of enhanced authentication.
    Auth(Auth),
    /// The client leaves; if the reason is [`ReasonCode::Success`], its will is void.
    Disconnected(Disconnect),
    /// A durable session changed: write it down, before the effects that follow are seen outside.
    Note(Note),
    /// The client broke the protocol: tell MQTT 5 clients by DISCONNECT, and close.
    Close(ReasonCode),
}

/// What changed in a durable session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A message to the client at QoS 1 or 2 was taken, under this identifier.
    Taken(PacketId),
    /// PUBREC came for it.
    Released(PacketId),
    /// The session has it no more: it was answered, or dropped.
    Done(PacketId),
    /// The client released a QoS 2 identifier of its own; under it comes another message next.
    Forgotten(PacketId),
}

/// A message at QoS 1 or 2 that a session has to deliver.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Its packet identifier.
    pub id: PacketId,
    /// How far it is.
    pub stage: Stage,
    /// The message, until PUBREC came.
    pub delivery: Option<Delivery>,
}

/// How far a message to the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It was not sent.
    Waiting,
    /// It was sent, or may have been; it is sent again with DUP.
    Sent,
    /// PUBREC came; PUBREL is sent again.
    Released,
}

/// What of a session outlives its connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rest {
    /// Its subscriptions, oldest first.
    pub subscriptions: Vec<Subscription>,
    /// Messages to the client, in their order.
    pub due: Vec<Due>,
    /// Identifiers of QoS 2 messages of the client that are stored and not released.
    pub receipts: Vec<PacketId>,
}

/// The server's side of an MQTT session (MQTT 3.1.1 §3.1.2.4 and §4.3 to §4.6, MQTT 5 §4.1 and §4.3 to §4.6).
///
/// A session is a value. It lives through connections: [`Session::attach`] ties it to one and sends again what was not
/// acknowledged, [`Session::detach`] ends that. In between, the caller passes in what the client sent
/// ([`Session::receive`]) and what it shall get ([`Session::publish`]), and does the [`Effect`]s that come out. CONNECT
/// and CONNACK, topic rights, retained messages and wills are the caller's.
///
/// ```
/// use wire::mqtt::{Decoder, Effect, Limits, Link, Packet, Publish, QoS, ReasonCode, Session, TopicName, Version};
///
/// # let hello = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d";
/// # let mut line = bytes::BytesMut::from(&hello[..]);
/// # let Ok(Some(Packet::Connect(connect))) = Decoder::server(1024).decode(&mut line) else { panic!() };
/// let mut session = Session::new(Limits::default());
/// let mut effects = Vec::new();
/// session.attach(Link::of(&connect), 0, &mut effects); // after CONNACK was written
///
/// // A device posts at QoS 1: it is handed out with a ticket and not answered yet.
/// let mut publish = Publish::new(TopicName::try_from("a/b")?, "hi");
/// (publish.qos, publish.packet_id) = (QoS::AtLeastOnce, Some(7.try_into()?));
/// session.receive(Packet::Publish(publish), 10, &mut effects);
/// let Some(Effect::Deliver(publish, Some(ticket))) = effects.pop() else { panic!() };
///
/// // Now it is stored, and PUBACK goes out, in order of arrival.
/// session.acknowledge(ticket, ReasonCode::Success, &mut effects);
/// assert!(matches!(&effects[..], [Effect::Send(Packet::PubAck(ack))] if ack.packet_id.get() == 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    link: Option<Link>,
    subscriptions: Vec<Subscription>,
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Session {
    /// A session that knows nothing yet and is attached to nothing.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            link: None,
            subscriptions: Vec::new(),
            outgoing: Outgoing::new(),
            incoming: Incoming::new(),
        }
    }

    /// A session with what another one left; bounds hold for what comes from now on.
    pub fn restored(limits: Limits, rest: Rest) -> Self {
        let mut session = Self::new(limits);
        session.subscriptions = rest.subscriptions;
        for due in rest.due {
            session.outgoing.restore(due);
        }
        for receipt in rest.receipts {
            session.incoming.restore(receipt);
        }
        session
    }

    /// What of it outlives its connection.
    pub fn rest(&self) -> Rest {
        Rest {
            subscriptions: self.subscriptions.clone(),
            due: self.outgoing.due().collect(),
            receipts: self.incoming.receipts().collect(),
        }
    }

    /// Ties the session to a connection whose CONNACK was written: sends again, in their order and with DUP, what the
    /// client did not acknowledge [MQTT-4.4.0-1], and then what waited. Of a former connection nothing is left.
    pub fn attach(&mut self, link: Link, now: Millis, out: &mut Vec<Effect>) {
        self.cut();
        self.link = Some(link);
        self.pump(now, out);
    }

    /// Ends the connection; gives back when the session ends, `None` for never.
    pub fn detach(&mut self, now: Millis) -> Option<Millis> {
        let expiry = self.link.map_or(Expiry::WithConnection, |link| link.expiry);
        self.cut();
        expiry.deadline(now)
    }

    fn cut(&mut self) {
        self.link = None;
        self.outgoing.cut();
        self.incoming.cut();
    }

    /// The connection, while there is one.
    pub const fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// Takes a packet of the client. Without a connection it is dropped.
    pub fn receive(&mut self, packet: Packet, now: Millis, out: &mut Vec<Effect>) {
        let Some(link) = self.link else { return };
        match packet {
            Packet::Publish(publish) => {
                self.incoming.publish(publish, self.receive_maximum(), out);
            }
            Packet::PubRel(ack) => {
                let durable = self.limits.durable;
                self.incoming
                    .release(ack.packet_id, link.version, durable, out);
            }
            Packet::PubAck(ack) => {
                let limits = &self.limits;
                self.outgoing.acknowledged(ack.packet_id, limits, out);
                self.pump(now, out);
            }
            Packet::PubRec(ack) => {
                let limits = &self.limits;
                self.outgoing
                    .received(ack.packet_id, ack.reason, link.version, limits, out);
                self.pump(now, out);
            }
            Packet::PubComp(ack) => {
                let limits = &self.limits;
                self.outgoing.completed(ack.packet_id, limits, out);
                self.pump(now, out);
            }
            Packet::Subscribe(subscribe) => out.push(Effect::Subscribe(subscribe)),
            Packet::Unsubscribe(unsubscribe) => out.push(Effect::Unsubscribe(unsubscribe)),
            Packet::PingReq => out.push(Effect::Send(Packet::PingResp)),
            Packet::Disconnect(disconnect) => self.disconnected(link, disconnect, out),
            Packet::Auth(auth) => out.push(Effect::Auth(auth)),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => out.push(Effect::Close(ReasonCode::ProtocolError)),
        }
    }

    /// A DISCONNECT may change the expiry, but not give one to a session that had none (MQTT 5 §3.14.2.2.2).
    fn disconnected(&mut self, mut link: Link, disconnect: Disconnect, out: &mut Vec<Effect>) {
        if let Some(&seconds) = disconnect.properties.session_expiry_interval() {
            if link.expiry == Expiry::WithConnection && seconds != 0 {
                out.push(Effect::Close(ReasonCode::ProtocolError));
                return;
            }
            link.expiry = Expiry::from_seconds(seconds);
            self.link = Some(link);
        }
        out.push(Effect::Disconnected(disconnect));
    }

    /// Answers a message that was handed out with a ticket. Answers leave in the order the messages came
    /// [MQTT-4.6.0-2], so one may wait for the messages before it.
    ///
    /// A failure is told to an MQTT 5 client; 3.x has no word for it, so the connection closes and the client sends the
    /// message again. A ticket of a former connection is remembered where it matters (QoS 2) and otherwise ignored.
    pub fn acknowledge(&mut self, ticket: Ticket, reason: ReasonCode, out: &mut Vec<Effect>) {
        self.incoming
            .acknowledge(ticket, reason, self.link.map(|link| link.version), out);
    }

    /// Whether the next packet should be left on the line until a ticket is answered: the client has as many messages
    /// with us as it may, and one more would be [`ReasonCode::ReceiveMaximumExceeded`], for which a 3.x client is not to
    /// blame.
    pub fn is_saturated(&self) -> bool {
        self.incoming
            .is_saturated(self.limits.receive_maximum, self.receive_maximum())
    }

    /// How many messages of the client may be unfinished. 3.x knows of no such bound, so its clients may begin as many
    /// exchanges of QoS 2 as there are identifiers before they end one.
    fn receive_maximum(&self) -> NonZeroU16 {
        match self.link {
            Some(link) if !link.version.is_v5() => NonZeroU16::MAX,
            _ => self.limits.receive_maximum,
        }
    }

    /// Sends a message to the client, now or when there is room, or says why not.
    pub fn publish(&mut self, delivery: Delivery, now: Millis, out: &mut Vec<Effect>) -> Offer {
        self.outgoing
            .offer(delivery, self.link.as_ref(), &self.limits, now, out)
    }

    fn pump(&mut self, now: Millis, out: &mut Vec<Effect>) {
        if let Some(link) = &self.link {
            self.outgoing.pump(link, &self.limits, now, out);
        }
    }

    /// Answers a SUBSCRIBE: `verdicts` has a code for each filter, the granted level or an error. Gives back the
    /// subscriptions that the session now has; a filter over the bound of the session is refused
    /// ([`ReasonCode::QuotaExceeded`]), one without verdict as well.
    pub fn subscribe(
        &mut self,
        request: &Subscribe,
        verdicts: &[ReasonCode],
        out: &mut Vec<Effect>,
    ) -> Vec<Grant> {
        let id = request.properties.subscription_identifier().copied();
        let mut verdicts = verdicts.iter().copied();
        let mut reasons = Vec::with_capacity(request.filters.len());
        let mut grants = Vec::new();
        for line in &request.filters {
            let verdict = verdicts.next().unwrap_or(ReasonCode::UnspecifiedError);
            let Some(qos) = verdict.granted_qos() else {
                reasons.push(verdict);
                continue;
            };
            let options = SubscribeOptions {
                qos,
                ..line.options
            };
            let subscription = Subscription {
                filter: line.filter.detached(),
                options,
                id,
            };
            match self.record(subscription.clone()) {
                Some(replaced) => {
                    reasons.push(verdict);
                    grants.push(Grant {
                        subscription,
                        replaced,
                    });
                }
                None => reasons.push(ReasonCode::QuotaExceeded),
            }
        }
        let properties = Properties::new();
        let answer = SubAck {
            packet_id: request.packet_id,
            reasons,
            properties,
        };
        out.push(Effect::Send(Packet::SubAck(answer)));
        grants
    }

    /// Whether the subscription took the place of another; `None` when there is no room for it.
    fn record(&mut self, subscription: Subscription) -> Option<bool> {
        let same = self
            .subscriptions
            .iter_mut()
            .find(|other| other.filter == subscription.filter);
        if let Some(former) = same {
            *former = subscription;
            return Some(true);
        }
        if self.subscriptions.len() >= self.limits.subscriptions {
            return None;
        }
        if self.subscriptions.is_empty() {
            // Most sessions have one.
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(subscription);
        Some(false)
    }

    /// Answers an UNSUBSCRIBE. Gives back the subscriptions that the session no longer has.
    pub fn unsubscribe(
        &mut self,
        request: &Unsubscribe,
        out: &mut Vec<Effect>,
    ) -> Vec<Subscription> {
        let mut gone = Vec::new();
        let mut reasons = Vec::with_capacity(request.filters.len());
        for filter in &request.filters {
            match self
                .subscriptions
                .iter()
                .position(|own| own.filter == *filter)
            {
                Some(at) => {
                    gone.push(self.subscriptions.remove(at));
                    reasons.push(ReasonCode::Success);
                }
                None => reasons.push(ReasonCode::NoSubscriptionExisted),
            }
        }
        let properties = Properties::new();
        let answer = UnsubAck {
            packet_id: request.packet_id,
            reasons,
            properties,
        };
        out.push(Effect::Send(Packet::UnsubAck(answer)));
        gone
    }

    /// Ends subscriptions without being asked to; gives back those that were there.
    pub fn revoke(&mut self, filters: &[TopicFilter]) -> Vec<Subscription> {
        let lost = |own: &mut Subscription| filters.contains(&own.filter);
        self.subscriptions.extract_if(.., lost).collect()
    }

    /// The subscriptions, oldest first.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// The QoS 2 identifier that a ticket stands for, until it is answered.
    pub fn awaited(&self, ticket: Ticket) -> Option<PacketId> {
        self.incoming.awaited(ticket)
    }

    /// Whether a message of this weight finds a place without harm to another, see [`Overflow`].
    pub fn has_place(&self, weight: usize) -> bool {
        self.outgoing
            .has_place(weight, self.link.as_ref(), &self.limits)
    }

    /// Sets how many bytes may wait, where a bound over all sessions leaves less or more room than before.
    pub const fn set_queued_bytes(&mut self, bytes: usize) {
        self.limits.queued_bytes = bytes;
    }

    /// Bytes of the messages that wait, and of a durable session of those in flight too.
    pub const fn bytes(&self) -> usize {
        self.outgoing.bytes()
    }

    /// The message that is in flight to the client under this identifier, before it is acknowledged.
    pub fn in_flight_as(&self, id: PacketId) -> Option<&std::sync::Arc<Message>> {
        self.outgoing.in_flight_as(id)
    }

    /// How many messages for which this holds wait, or are in flight.
    pub fn holds(&self, is: impl Fn(&Message) -> bool) -> usize {
        let messages = self.outgoing.messages();
        messages.filter(|message| is(message)).count()
    }

    /// Messages in flight to the client.
    pub fn inflight(&self) -> usize {
        self.outgoing.inflight()
    }

    /// Messages waiting to be in flight.
    pub fn queued(&self) -> usize {
        self.outgoing.queued()
    }

    /// Messages that were not delivered, by reason.
    pub const fn counts(&self) -> &Counts {
        self.outgoing.counts()
    }
}

#[cfg(test)]
mod tests;
