//! Who gets a message, and how it comes to them.

use super::Router;
use crate::{
    ledger::Turn,
    seat::{Handed, Seat, message},
};
use bytes::Bytes;
use model::{
    id::{IotId, ProductKey},
    port::Audience,
};
use std::{
    collections::HashMap,
    ops::AddAssign,
    sync::{Arc, atomic::Ordering},
};
use wire::mqtt::{Message, Millis, Overflow, QoS, ReasonCode, Subscription, TopicName};

/// How many messages were handed on, and how many were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) on: u64,
    pub(crate) dropped: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, handed: Handed) {
        match handed {
            Handed::On => self.on += 1,
            Handed::Dropped => self.dropped += 1,
            Handed::Unwanted => {}
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.on += other.on;
        self.dropped += other.dropped;
    }
}

/// Who subscribes to a topic.
#[derive(Default)]
pub(crate) struct Receivers {
    seats: Vec<Arc<Seat>>,
    groups: HashMap<Box<str>, Vec<Arc<Seat>>>,
}

/// A message that a session left to those who share a subscription with it.
pub(crate) struct Legacy {
    pub(crate) group: Box<str>,
    pub(crate) message: Arc<Message>,
}

/// The member of a group that gets a message.
struct Choice<'a> {
    seat: &'a Arc<Seat>,
    subscription: Subscription,
    /// Whether the message finds a place there without harm to another one.
    place: bool,
}

impl Receivers {
    fn all(&self) -> impl Iterator<Item = &Arc<Seat>> {
        self.seats.iter().chain(self.groups.values().flatten())
    }

    /// Whether the message may have to wait for one of them beyond the end of the process.
    pub(crate) fn last_for(&self, message: &Message) -> bool {
        message.qos > QoS::AtMostOnce && self.all().any(|seat| seat.is_durable())
    }

    /// Whether somebody hears the message that `from` has published, be it `from` alone.
    pub(crate) fn some_for(&self, message: &Message, from: &Arc<Seat>) -> bool {
        let own = |seat: &Arc<Seat>| Arc::ptr_eq(seat, from);
        match &self.seats[..] {
            [] => false,
            [only] if own(only) => from.hears_itself(message),
            _ => true,
        }
    }
}

impl Router {
    /// Who subscribes to the topic of a message, of one product or of any. Gateways that carry
    /// devices of the product listen for these.
    pub(crate) fn receivers(&self, message: &Message, product: Option<&ProductKey>) -> Receivers {
        let mut seats: Vec<Arc<Seat>> = Vec::new();
        let mut groups: HashMap<Box<str>, Vec<Arc<Seat>>> = HashMap::new();
        let carriers = product.map(|product| self.common.desk.carriers(product));
        let carries = |seat: &Seat| {
            let id = IotId::parse(&seat.name);
            id.is_ok_and(|id| carriers.as_ref().is_some_and(|ids| ids.contains(&id)))
        };
        self.routes.read().matching(&message.topic, |route, ()| {
            let seat = &route.seat;
            if product.is_some_and(|product| !seat.owner.is_of(product)) && !carries(seat) {
                return;
            }
            match &route.group {
                None => seats.push(route.seat.clone()),
                Some(group) => groups
                    .entry(group.clone())
                    .or_default()
                    .push(route.seat.clone()),
            }
        });
        // A seat under several matching filters is there as often.
        if seats.len() > 1 {
            seats.sort_unstable_by_key(Arc::as_ptr);
            seats.dedup_by(|one, other| Arc::ptr_eq(one, other));
        }
        Receivers { seats, groups }
    }

    /// Why a message that has to last cannot be taken now, in a turn in which it would be.
    pub(crate) fn objection(
        &self,
        message: Option<&Arc<Message>>,
        receivers: &Receivers,
    ) -> Option<ReasonCode> {
        if self.is_troubled() {
            return Some(ReasonCode::UnspecifiedError);
        }
        let message = message.filter(|_| self.common.bounds.overflow == Overflow::Refuse)?;
        let full = |seat: &Arc<Seat>| seat.is_durable() && !seat.has_place(message);
        let turn = self.turns.load(Ordering::Relaxed);
        let crowded = |group: &str, members: &[Arc<Seat>]| {
            choose(message, group, members, turn).is_some_and(|chosen| !chosen.place)
                && members.iter().any(|member| member.is_durable())
        };
        let mut groups = receivers.groups.iter();
        let full = receivers.seats.iter().any(full)
            || groups.any(|(group, members)| crowded(group, members));
        let unkept = message.retain && !self.retained.lock().has_place(message);
        (full || unkept).then_some(ReasonCode::QuotaExceeded)
    }

    /// Hands a message to those who subscribe to it.
    pub(crate) fn hand_round(
        &self,
        message: &Arc<Message>,
        from: Option<&Arc<Seat>>,
        receivers: Receivers,
        book: &mut Option<Turn<'_>>,
    ) -> Tally {
        let now = self.now();
        let from = from.map(|seat| &**seat);
        let mut tally = Tally::default();
        for seat in receivers.seats {
            tally.add(seat.publish(message, from, now, book));
        }
        for (group, members) in receivers.groups {
            tally.add(self.share(message, &group, &members, now, book));
        }
        tally
    }

    /// One member of a group gets the message, in turn.
    fn share(
        &self,
        message: &Arc<Message>,
        group: &str,
        members: &[Arc<Seat>],
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Handed {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        match choose(message, group, members, turn) {
            Some(Choice {
                seat, subscription, ..
            }) => seat.publish_by(message, &subscription, now, book),
            None => Handed::Unwanted,
        }
    }

    /// Hands a message to one device on the first of these topics to which it listens.
    pub(crate) fn call(&self, iot_id: &IotId, topics: Vec<String>, payload: &Bytes) -> Tally {
        let mut tally = Tally::default();
        let Some(seat) = self.find(iot_id.as_str()) else {
            return tally;
        };
        for topic in topics {
            let Some(message) = message(topic, payload.clone(), 0) else {
                continue;
            };
            let handed = seat.send(&Arc::new(message), self.now(), &mut None);
            if handed != Handed::Unwanted {
                tally.add(handed);
                break;
            }
        }
        tally
    }

    /// Hands to others of their groups what sessions that are over left to them. No lock is held,
    /// but the turn in which these ended, if there was one.
    pub(crate) fn bequeath<'a>(&'a self, legacies: Vec<Legacy>, mut book: Option<Turn<'a>>) {
        let now = self.now();
        for Legacy { group, message } in legacies {
            let mut receivers = self.receivers(&message, None);
            receivers.seats.clear();
            receivers.groups.retain(|name, _| *name == group);
            if book.is_none() && receivers.last_for(&message) {
                book = self.turn();
            }
            for (group, members) in receivers.groups {
                self.share(&message, &group, &members, now, &mut book);
            }
        }
    }

    /// Hands a message that another node or an application published to its audience; with `system`
    /// to those too who subscribe to such messages implicitly, if it is for one device. Gives back
    /// up to which position the ledger has to be on disk before anybody is told that it is done.
    ///
    /// `Err` when nobody gets it, as it cannot be written down or finds no place.
    pub(crate) fn announce(
        &self,
        to: &Audience,
        message: &Arc<Message>,
        system: bool,
    ) -> Result<(Tally, u64), ReasonCode> {
        let receivers = match to {
            Audience::Device(id) => Receivers {
                seats: self.find(id.as_str()).into_iter().collect(),
                groups: HashMap::new(),
            },
            Audience::Product(product) => self.receivers(message, Some(product)),
        };
        let lasts = receivers.last_for(message);
        let mut book = if lasts { self.turn() } else { None };
        if book.is_some()
            && let Some(reason) = self.objection(Some(message), &receivers)
        {
            self.common.desk.dropped("refused", 1);
            return Err(reason);
        }
        let tally = if system {
            let (now, mut tally) = (self.now(), Tally::default());
            for seat in receivers.seats {
                tally.add(seat.send(message, now, &mut book));
            }
            tally
        } else {
            self.hand_round(message, None, receivers, &mut book)
        };
        Ok((tally, book.as_ref().map_or(0, Turn::reach)))
    }
}

/// Chooses among the members of a group, beginning with another one each `turn`: who is connected
/// and has a place for the message comes first, then who has a place, then who is connected.
fn choose<'a>(
    message: &Message,
    group: &str,
    members: &'a [Arc<Seat>],
    turn: usize,
) -> Option<Choice<'a>> {
    let mut best: Option<(u8, Choice<'a>)> = None;
    for step in 0..members.len() {
        let seat = &members[turn.wrapping_add(step) % members.len()];
        let mut state = seat.lock();
        let subscriptions = state.mqtt.subscriptions();
        let Some(subscription) = shared(subscriptions, group, &message.topic) else {
            continue;
        };
        let connected = state.live_session().is_some();
        let place = match message.qos.min(subscription.options.qos) {
            QoS::AtMostOnce => connected,
            QoS::AtLeastOnce | QoS::ExactlyOnce => state.has_place(message.weight()),
        };
        let rank = u8::from(place) << 1 | u8::from(connected);
        if best.as_ref().is_none_or(|(other, _)| rank > *other) {
            let choice = Choice {
                seat,
                subscription,
                place,
            };
            best = Some((rank, choice));
        }
        if rank == 0b11 {
            break;
        }
    }
    best.map(|(_, choice)| choice)
}

/// The subscription by which a session shares a topic in a group.
fn shared(subscriptions: &[Subscription], group: &str, topic: &TopicName) -> Option<Subscription> {
    subscriptions
        .iter()
        .find(|subscription| {
            let filter = &subscription.filter;
            filter.shared().is_some_and(|shared| shared.group == group) && filter.matches(topic)
        })
        .cloned()
}
