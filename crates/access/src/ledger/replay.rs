//! What is left of sessions and retained messages after all that was written down.

use super::change::{Change, Unreadable};
use crate::seat::Owner;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use wire::mqtt::{
    Delivery, Due, Expiry, Message, Millis, PacketId, Rest, Stage, Subscription, TopicFilter,
};

/// The state that a log tells of.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    sessions: HashMap<u64, Kept>,
    /// The number of the session that a client has.
    clients: HashMap<(Box<str>, Box<str>), u64>,
    retained: HashMap<Box<str>, BTreeMap<String, Arc<Message>>>,
    vows: BTreeMap<u64, KeptVow>,
    newest: u64,
}

/// A session.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) session: u64,
    pub(crate) hall: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) owner: Owner,
    pub(crate) expiry: Expiry,
    pub(crate) implicit: bool,
    /// When it ends; none while a client is connected to it.
    pub(crate) until: Option<Millis>,
    pub(crate) off: Vec<TopicFilter>,
    subscriptions: Vec<Subscription>,
    /// In their order.
    due: BTreeMap<u64, Due>,
    places: HashMap<PacketId, u64>,
    next: u64,
    receipts: Vec<PacketId>,
}

/// A will that is neither published nor void.
#[derive(Debug, PartialEq)]
pub(crate) struct KeptVow {
    pub(crate) will: u64,
    pub(crate) session: u64,
    pub(crate) hall: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) owner: Owner,
    pub(crate) message: Arc<Message>,
    pub(crate) delay: u32,
    pub(crate) dialect: Box<str>,
    pub(crate) marks: u32,
    /// When it is due; none while its client is connected.
    pub(crate) until: Option<Millis>,
}

impl Kept {
    /// For the session machine.
    pub(crate) fn rest(&mut self) -> Rest {
        Rest {
            subscriptions: std::mem::take(&mut self.subscriptions),
            due: std::mem::take(&mut self.due).into_values().collect(),
            receipts: std::mem::take(&mut self.receipts),
        }
    }

    /// Messages that were on their way may have been seen by the client.
    fn sent(&mut self) {
        for due in self.due.values_mut() {
            if due.stage == Stage::Waiting {
                due.stage = Stage::Sent;
            }
        }
    }

    fn due(&mut self, mut due: Due) {
        if due.stage == Stage::Waiting && self.until.is_none() {
            due.stage = Stage::Sent;
        }
        if let Some(former) = self.places.insert(due.id, self.next) {
            self.due.remove(&former);
        }
        self.due.insert(self.next, due);
        self.next += 1;
    }
}

impl Replay {
    /// Goes on with the next record: all of it, or nothing.
    pub(crate) fn apply(&mut self, mut record: &[u8]) -> Result<(), Unreadable> {
        let mut changes = Vec::new();
        while !record.is_empty() {
            changes.push(Change::decode(&mut record)?);
        }
        let mut said = None;
        for change in changes {
            self.change(change, &mut said);
        }
        Ok(())
    }

    /// The number of the newest session or will.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// All sessions.
    pub(crate) fn sessions(&mut self) -> impl Iterator<Item = Kept> {
        self.clients.clear();
        std::mem::take(&mut self.sessions).into_values()
    }

    /// All wills.
    pub(crate) fn vows(&mut self) -> impl Iterator<Item = KeptVow> {
        std::mem::take(&mut self.vows).into_values()
    }

    /// All retained messages of a hall.
    pub(crate) fn retained(&mut self, hall: &str) -> impl Iterator<Item = Arc<Message>> {
        let found = self.retained.remove(hall).unwrap_or_default();
        found.into_values()
    }

    /// Changes of sessions that are over, or were never opened, are passed over.
    fn change(&mut self, change: Change, said: &mut Option<Arc<Message>>) {
        match change {
            Change::Opened {
                session,
                hall,
                name,
                owner,
                expiry,
                implicit,
            } => {
                self.newest = self.newest.max(session);
                let client = (hall.clone(), name.clone());
                if let Some(former) = self.clients.insert(client, session) {
                    self.sessions.remove(&former);
                }
                let kept = Kept {
                    session,
                    hall,
                    name,
                    owner,
                    expiry,
                    implicit,
                    until: None,
                    off: Vec::new(),
                    subscriptions: Vec::new(),
                    due: BTreeMap::new(),
                    places: HashMap::new(),
                    next: 0,
                    receipts: Vec::new(),
                };
                self.sessions.insert(session, kept);
            }
            Change::Ended { session } => {
                if let Some(kept) = self.sessions.remove(&session) {
                    self.clients.remove(&(kept.hall, kept.name));
                }
            }
            Change::Said(message) => *said = Some(message),
            Change::Retained { hall } => {
                if let Some(message) = said {
                    let retained = self.retained.entry(hall).or_default();
                    let topic = message.topic.to_string();
                    if message.payload.is_empty() {
                        retained.remove(&topic);
                    } else {
                        retained.insert(topic, message.clone());
                    }
                }
            }
            Change::Vowed {
                will,
                session,
                hall,
                name,
                owner,
                delay,
                dialect,
                marks,
            } => {
                self.newest = self.newest.max(will);
                if let Some(message) = said {
                    let vow = KeptVow {
                        will,
                        session,
                        hall,
                        name,
                        owner,
                        message: message.clone(),
                        delay,
                        dialect,
                        marks,
                        until: None,
                    };
                    self.vows.insert(will, vow);
                }
            }
            Change::Deferred { will, until } => {
                if let Some(vow) = self.vows.get_mut(&will) {
                    vow.until = Some(until);
                }
            }
            Change::Unvowed { will } => {
                self.vows.remove(&will);
            }
            Change::Attached { session, .. }
            | Change::Detached { session, .. }
            | Change::Subscribed { session, .. }
            | Change::Unsubscribed { session, .. }
            | Change::Switched { session, .. }
            | Change::Due { session, .. }
            | Change::Released { session, .. }
            | Change::Done { session, .. }
            | Change::Receipt { session, .. }
            | Change::Forgotten { session, .. } => {
                if let Some(kept) = self.sessions.get_mut(&session) {
                    kept.change(change, said.as_ref());
                }
            }
        }
    }
}

impl Kept {
    fn change(&mut self, change: Change, said: Option<&Arc<Message>>) {
        match change {
            Change::Attached {
                expiry, implicit, ..
            } => {
                (self.expiry, self.implicit, self.until) = (expiry, implicit, None);
                self.sent();
            }
            Change::Detached { until, .. } => self.until = Some(until),
            Change::Subscribed { subscription, .. } => {
                let same = |own: &&mut Subscription| own.filter == subscription.filter;
                match self.subscriptions.iter_mut().find(same) {
                    Some(own) => *own = subscription,
                    None => self.subscriptions.push(subscription),
                }
            }
            Change::Unsubscribed { filter, .. } => {
                self.subscriptions.retain(|own| own.filter != filter);
            }
            Change::Switched { filter, on, .. } => {
                self.off.retain(|off| *off != filter);
                if !on {
                    self.off.push(filter);
                }
            }
            Change::Due {
                id,
                stage,
                qos,
                retain,
                subscription_ids,
                ..
            } => {
                let delivery = said.map(|message| Delivery {
                    message: message.clone(),
                    qos,
                    retain,
                    subscription_ids,
                    mark: 0,
                });
                let delivery = delivery.filter(|_| stage != Stage::Released);
                self.due(Due {
                    id,
                    stage,
                    delivery,
                });
            }
            Change::Released { id, .. } => {
                let place = self.places.get(&id);
                if let Some(due) = place.and_then(|place| self.due.get_mut(place)) {
                    (due.stage, due.delivery) = (Stage::Released, None);
                }
            }
            Change::Done { id, .. } => {
                if let Some(place) = self.places.remove(&id) {
                    self.due.remove(&place);
                }
            }
            Change::Receipt { id, .. } => {
                if !self.receipts.contains(&id) {
                    self.receipts.push(id);
                }
            }
            Change::Forgotten { id, .. } => self.receipts.retain(|own| *own != id),
            // Of no single session.
            Change::Opened { .. }
            | Change::Ended { .. }
            | Change::Said(_)
            | Change::Vowed { .. }
            | Change::Deferred { .. }
            | Change::Unvowed { .. }
            | Change::Retained { .. } => {}
        }
    }
}
