//! Messages to the client: which wait, which are in flight, and what was answered (MQTT 5 §4.3, §4.4, §4.6, §4.9).
//!
//! A message gets its packet identifier when it is taken, not when it is sent, so that the identifier is its name for
//! as long as the session has it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::message::{Delivery, Message, Transmit};
use super::{Due, Effect, Limits, Link, Millis, Note, Stage};
use crate::mqtt::packet::{Ack, Packet, PacketId, QoS, Version};
use crate::mqtt::reason::ReasonCode;

/// What happens to a message that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is given back as [`Offer::Refused`] and the sender waits.
    Refuse,
    /// The messages that wait longest make room for it.
    DropOldest,
    /// It is dropped.
    DropNewest,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Offer {
    /// It is among the effects.
    Sent,
    /// It waits.
    Queued,
    /// It waits, and so many that waited before it were dropped for it.
    Displaced(usize),
    /// It was dropped; [`Counts`] tells why.
    Dropped,
    /// It was not taken, by [`Overflow::Refuse`].
    Refused,
}

/// Messages that a session did not deliver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// By [`Overflow`].
    pub overflowed: u64,
    /// At QoS 0 while there was no connection.
    pub offline: u64,
    /// Their Message Expiry Interval passed [MQTT-3.3.2-5].
    pub expired: u64,
    /// Larger than the Maximum Packet Size of the client [MQTT-3.1.2-25].
    pub oversized: u64,
}

/// Messages among which an identifier is looked for one at a time.
const FEW: usize = 64;
/// Free identifiers that are looked for at once.
const SPARE: usize = 256;

#[derive(Debug)]
struct Slot {
    id: PacketId,
    state: State,
}

#[derive(Debug)]
enum State {
    /// PUBLISH is sent; PUBACK or PUBREC shall come.
    Published(Delivery),
    /// PUBREL is sent; PUBCOMP shall come.
    Released,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    /// In flight, in the order they were first sent.
    slots: VecDeque<Slot>,
    /// How many of `slots`, from the front, were sent on this connection.
    sent: usize,
    queue: VecDeque<(PacketId, Delivery)>,
    queue_bytes: usize,
    /// Bytes of the messages in flight; counted only for durable sessions.
    slot_bytes: usize,
    last_id: u16,
    /// How many identifiers behind `last_id` are known to be free.
    free_ids: u16,
    /// Free identifiers that a search among many messages found, the next one last.
    spare_ids: Vec<PacketId>,
    counts: Counts,
}

impl Outgoing {
    pub(super) const fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            sent: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            slot_bytes: 0,
            last_id: 0,
            free_ids: u16::MAX,
            spare_ids: Vec::new(),
            counts: Counts {
                overflowed: 0,
                offline: 0,
                expired: 0,
                oversized: 0,
            },
        }
    }

    pub(super) fn inflight(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of all messages: those that wait, and of a durable session those in flight too.
    pub(super) const fn bytes(&self) -> usize {
        self.queue_bytes + self.slot_bytes
    }

    /// Whether a message of this weight would be taken without harm to another.
    pub(super) fn has_place(&self, weight: usize, link: Option<&Link>, limits: &Limits) -> bool {
        link.is_some_and(|link| self.queue.is_empty() && self.has_room(link, limits))
            || self.fits(weight, limits)
    }

    /// All messages, in their order.
    pub(super) fn due(&self) -> impl Iterator<Item = Due> {
        let slots = self.slots.iter().map(|slot| match &slot.state {
            State::Published(delivery) => Due {
                id: slot.id,
                stage: Stage::Sent,
                delivery: Some(delivery.clone()),
            },
            State::Released => Due {
                id: slot.id,
                stage: Stage::Released,
                delivery: None,
            },
        });
        let queue = self.queue.iter().map(|(id, delivery)| Due {
            id: *id,
            stage: Stage::Waiting,
            delivery: Some(delivery.clone()),
        });
        slots.chain(queue)
    }

    /// Takes back what `due` gave.
    pub(super) fn restore(&mut self, due: Due) {
        let Due {
            id,
            stage,
            delivery,
        } = due;
        match (stage, delivery) {
            (Stage::Released, _) => self.slots.push_back(Slot {
                id,
                state: State::Released,
            }),
            (Stage::Sent, Some(delivery)) => {
                self.slot_bytes += delivery.message.weight();
                self.slots.push_back(Slot {
                    id,
                    state: State::Published(delivery),
                });
            }
            (Stage::Waiting, Some(delivery)) => {
                self.queue_bytes += delivery.message.weight();
                self.queue.push_back((id, delivery));
            }
            (Stage::Sent | Stage::Waiting, None) => return,
        }
        // New identifiers begin behind the last one that was given.
        self.last_id = id.get();
        self.free_ids = 0;
        self.spare_ids = Vec::new();
    }

    pub(super) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The connection is gone: all in flight has to be sent again.
    pub(super) const fn cut(&mut self) {
        self.sent = 0;
    }

    pub(super) fn offer(
        &mut self,
        delivery: Delivery,
        link: Option<&Link>,
        limits: &Limits,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> Offer {
        match link {
            _ if delivery.message.is_expired(now) => {
                self.counts.expired += 1;
                Offer::Dropped
            }
            None if delivery.qos == QoS::AtMostOnce => {
                self.counts.offline += 1;
                Offer::Dropped
            }
            Some(link) if delivery.qos == QoS::AtMostOnce => {
                self.launch(delivery.transmit(None, false, now), link, out)
            }
            Some(link) if self.queue.is_empty() && self.has_room(link, limits) => {
                let id = self.next_id();
                let taken = out.len();
                let offer = self.start(id, delivery, link, limits, now, out);
                if limits.durable && offer == Offer::Sent {
                    out.insert(taken, Effect::Note(Note::Taken(id)));
                }
                offer
            }
            _ => self.enqueue(delivery, limits, out),
        }
    }

    /// Sends again what is in flight, then what waits, as far as the window goes.
    pub(super) fn pump(
        &mut self,
        link: &Link,
        limits: &Limits,
        now: Millis,
        out: &mut Vec<Effect>,
    ) {
        while self.sent < self.slots.len().min(window(link, limits)) {
            let slot = &self.slots[self.sent];
            let again = match &slot.state {
                State::Released => Some(release(slot.id, ReasonCode::Success)),
                State::Published(delivery) => {
                    let transmit = delivery.clone().transmit(Some(slot.id), true, now);
                    is_taken(&transmit, link).then_some(Effect::Publish(transmit))
                }
            };
            if let Some(effect) = again {
                out.push(effect);
                self.sent += 1;
            } else {
                self.counts.oversized += 1;
                let id = slot.id;
                self.take_out(self.sent, limits);
                done(id, limits, out);
            }
        }
        while self.has_room(link, limits)
            && let Some((id, delivery)) = self.dequeue()
        {
            let gone = if delivery.message.is_expired(now) {
                self.counts.expired += 1;
                true
            } else {
                self.start(id, delivery, link, limits, now, out) != Offer::Sent
            };
            if gone {
                done(id, limits, out);
            }
        }
    }

    /// Whether another message may be in flight, and all that are were sent on this connection.
    fn has_room(&self, link: &Link, limits: &Limits) -> bool {
        self.sent == self.slots.len() && self.slots.len() < window(link, limits)
    }

    /// Puts a message in flight.
    fn start(
        &mut self,
        id: PacketId,
        delivery: Delivery,
        link: &Link,
        limits: &Limits,
        now: Millis,
        out: &mut Vec<Effect>,
    ) -> Offer {
        let offer = self.launch(delivery.clone().transmit(Some(id), false, now), link, out);
        if offer == Offer::Sent {
            if limits.durable {
                self.slot_bytes += delivery.message.weight();
            }
            self.slots.push_back(Slot {
                id,
                state: State::Published(delivery),
            });
            self.sent += 1;
        }
        offer
    }

    fn launch(&mut self, transmit: Transmit, link: &Link, out: &mut Vec<Effect>) -> Offer {
        if !is_taken(&transmit, link) {
            self.counts.oversized += 1;
            return Offer::Dropped;
        }
        out.push(Effect::Publish(transmit));
        Offer::Sent
    }

    fn fits(&self, weight: usize, limits: &Limits) -> bool {
        self.queue.len() < limits.queued
            && self.queue_bytes + weight <= limits.queued_bytes
            // One identifier stays free, as one is looked for before the room for it.
            && self.slots.len() + self.queue.len() < usize::from(u16::MAX) - 1
    }

    fn enqueue(&mut self, delivery: Delivery, limits: &Limits, out: &mut Vec<Effect>) -> Offer {
        let weight = delivery.message.weight();
        let mut displaced = 0;
        while !self.fits(weight, limits) {
            match limits.overflow {
                Overflow::Refuse => return Offer::Refused,
                Overflow::DropOldest
                    if weight <= limits.queued_bytes
                        && let Some((id, _)) = self.dequeue() =>
                {
                    done(id, limits, out);
                    displaced += 1;
                    self.counts.overflowed += 1;
                }
                Overflow::DropOldest | Overflow::DropNewest => {
                    self.counts.overflowed += 1;
                    return Offer::Dropped;
                }
            }
        }
        let id = self.next_id();
        self.queue_bytes += weight;
        self.queue.push_back((id, delivery));
        if limits.durable {
            out.push(Effect::Note(Note::Taken(id)));
        }
        if displaced == 0 {
            Offer::Queued
        } else {
            Offer::Displaced(displaced)
        }
    }

    fn dequeue(&mut self) -> Option<(PacketId, Delivery)> {
        let (id, delivery) = self.queue.pop_front()?;
        self.queue_bytes -= delivery.message.weight();
        Some((id, delivery))
    }

    /// An identifier that no message of the session has [MQTT-2.2.1-4]; there is one, since the bounds are smaller than
    /// their number. The messages are searched only when the free ones found before are used up.
    fn next_id(&mut self) -> PacketId {
        if self.spare_ids.is_empty() && self.slots.len() + self.queue.len() > FEW {
            self.search_ids();
        }
        if let Some(id) = self.spare_ids.pop() {
            return id;
        }
        // Of few messages an idle session should not pay for more than two numbers.
        loop {
            if self.free_ids == 0 {
                let before = |id: PacketId| id.get().wrapping_sub(self.last_id).wrapping_sub(1);
                self.free_ids = self.ids().map(before).min().unwrap_or(u16::MAX);
            }
            self.last_id = self.last_id.wrapping_add(1);
            if self.free_ids == 0 {
                continue;
            }
            self.free_ids -= 1;
            if let Some(id) = PacketId::new(self.last_id) {
                return id;
            }
        }
    }

    /// The identifiers that messages have.
    fn ids(&self) -> impl Iterator<Item = PacketId> {
        let slots = self.slots.iter().map(|slot| slot.id);
        slots.chain(self.queue.iter().map(|(id, _)| *id))
    }

    /// Finds the next free identifiers all at once, as one search costs as much as there are messages.
    fn search_ids(&mut self) {
        let mut taken = [0_u64; 1024];
        for id in self.ids() {
            taken[usize::from(id.get()) / 64] |= 1 << (id.get() % 64);
        }
        let mut spare = Vec::with_capacity(SPARE);
        let mut at = self.last_id;
        for _ in 0..u16::MAX {
            at = at.checked_add(1).unwrap_or(1);
            let free = taken[usize::from(at) / 64] & (1 << (at % 64)) == 0;
            if let Some(id) = PacketId::new(at).filter(|_| free) {
                spare.push(id);
            }
            if spare.len() == SPARE {
                break;
            }
        }
        spare.reverse();
        (self.last_id, self.free_ids, self.spare_ids) = (at, 0, spare);
    }

    fn find(&self, id: PacketId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id)
    }

    /// Ends a message in flight.
    fn remove(&mut self, at: usize, limits: &Limits, out: &mut Vec<Effect>) {
        let id = self.slots[at].id;
        self.take_out(at, limits);
        self.sent -= usize::from(at < self.sent);
        done(id, limits, out);
    }

    fn take_out(&mut self, at: usize, limits: &Limits) {
        let slot = self.slots.remove(at);
        if let Some(State::Published(delivery)) = slot.map(|slot| slot.state) {
            self.uncount(&delivery, limits);
        }
    }

    fn uncount(&mut self, delivery: &Delivery, limits: &Limits) {
        if limits.durable {
            self.slot_bytes -= delivery.message.weight();
        }
    }

    pub(super) fn in_flight_as(&self, id: PacketId) -> Option<&Arc<Message>> {
        let at = self.find(id)?;
        match &self.slots[at].state {
            State::Published(delivery) => Some(&delivery.message),
            State::Released => None,
        }
    }

    /// The messages in flight, and those that wait.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        let slots = self.slots.iter().filter_map(|slot| match &slot.state {
            State::Published(delivery) => Some(&delivery.message),
            State::Released => None,
        });
        slots.chain(self.queue.iter().map(|(_, delivery)| &delivery.message))
    }

    /// PUBACK. One for nothing in flight may be late and is ignored.
    pub(super) fn acknowledged(&mut self, id: PacketId, limits: &Limits, out: &mut Vec<Effect>) {
        let Some(at) = self.find(id) else { return };
        match &self.slots[at].state {
            State::Published(delivery) if delivery.qos == QoS::AtLeastOnce => {
                self.remove(at, limits, out);
            }
            _ => mismatch(out),
        }
    }

    /// PUBREC, which is always answered, lest the client wait for ever.
    pub(super) fn received(
        &mut self,
        id: PacketId,
        reason: ReasonCode,
        version: Version,
        limits: &Limits,
        out: &mut Vec<Effect>,
    ) {
        let Some(at) = self.find(id) else {
            let unknown = ReasonCode::PacketIdNotFound;
            let reason = if version.is_v5() {
                unknown
            } else {
                ReasonCode::Success
            };
            return out.push(release(id, reason));
        };
        let slot = &mut self.slots[at];
        match &slot.state {
            State::Published(delivery) if delivery.qos != QoS::ExactlyOnce => {
                mismatch(out);
            }
            _ if reason.is_error() => self.remove(at, limits, out),
            _ => {
                let former = std::mem::replace(&mut slot.state, State::Released);
                if let State::Published(delivery) = former {
                    self.uncount(&delivery, limits);
                    if limits.durable {
                        out.push(Effect::Note(Note::Released(id)));
                    }
                }
                out.push(release(id, ReasonCode::Success));
            }
        }
    }

    /// PUBCOMP. One for nothing in flight may be late and is ignored.
    pub(super) fn completed(&mut self, id: PacketId, limits: &Limits, out: &mut Vec<Effect>) {
        let Some(at) = self.find(id) else { return };
        match self.slots[at].state {
            State::Released => self.remove(at, limits, out),
            State::Published(_) => mismatch(out),
        }
    }
}

/// Whether the client takes a packet of this size [MQTT-3.1.2-24].
fn is_taken(transmit: &Transmit, link: &Link) -> bool {
    link.maximum_packet_size
        .is_none_or(|most| transmit.size(link.version) as u64 <= u64::from(most.get()))
}

/// Messages that may be in flight at once.
fn window(link: &Link, limits: &Limits) -> usize {
    limits.inflight.min(link.receive_maximum).get().into()
}

fn release(id: PacketId, reason: ReasonCode) -> Effect {
    Effect::Send(Packet::PubRel(Ack::new(id, reason)))
}

/// Tells that the session has a message no more, whatever became of it.
fn done(id: PacketId, limits: &Limits, out: &mut Vec<Effect>) {
    if limits.durable {
        out.push(Effect::Note(Note::Done(id)));
    }
}

/// An answer of the wrong kind to what is in flight breaks the protocol [MQTT-4.8.0-1].
fn mismatch(out: &mut Vec<Effect>) {
    out.push(Effect::Close(ReasonCode::ProtocolError));
}
