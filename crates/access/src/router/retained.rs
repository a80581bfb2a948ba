//! The last message of each topic that was to be kept (MQTT 5 §3.3.1.3).

use super::Router;
use crate::ledger::{Turn, change::Change};
use std::{collections::BTreeMap, sync::Arc};
use wire::mqtt::{Grant, Message, RetainHandling, Subscription, TopicFilter};

/// All of a hall.
pub(super) struct Retained {
    pub(super) messages: BTreeMap<String, Arc<Message>>,
    bytes: usize,
    /// The bounds of both.
    most: (usize, usize),
}

impl Router {
    /// Keeps a message as the last one of its topic; an empty one takes it away (MQTT 5
    /// §3.3.1.3). False when there is no room.
    pub(crate) fn retain(&self, message: &Arc<Message>, book: &mut Option<Turn<'_>>) -> bool {
        let mut retained = self.retained.lock();
        let kept = retained.put(message.clone());
        if let Some(turn) = book {
            if !kept {
                // The former one is gone all the same.
                let mut nothing = (**message).clone();
                nothing.payload = bytes::Bytes::new();
                turn.say(&Arc::new(nothing));
            } else {
                turn.say(message);
            }
            let hall = self.hall.clone();
            turn.note(&Change::Retained { hall });
        }
        kept
    }

    pub(super) fn retained_for(&self, grant: &Grant) -> Vec<Arc<Message>> {
        let Subscription {
            filter, options, ..
        } = &grant.subscription;
        let asked = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => !grant.replaced,
            RetainHandling::Never => false,
        };
        if !asked || filter.shared().is_some() {
            return Vec::new();
        }
        self.retained.lock().matching(filter)
    }
}

impl Retained {
    pub(super) const fn new(messages: usize, bytes: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            bytes: 0,
            most: (messages, bytes),
        }
    }

    pub(super) fn has_place(&self, message: &Message) -> bool {
        let former = self.messages.get(&*message.topic);
        let (messages, bytes) = match former {
            Some(former) => (self.messages.len() - 1, self.bytes - weight(former)),
            None => (self.messages.len(), self.bytes),
        };
        message.payload.is_empty()
            || messages < self.most.0 && bytes + weight(message) <= self.most.1
    }

    pub(super) fn put(&mut self, message: Arc<Message>) -> bool {
        let topic = message.topic.to_string();
        if let Some(former) = self.messages.remove(&topic) {
            self.bytes -= weight(&former);
        }
        if message.payload.is_empty() {
            return true;
        }
        let weight = weight(&message);
        if self.messages.len() >= self.most.0 || self.bytes + weight > self.most.1 {
            return false;
        }
        self.bytes += weight;
        self.messages.insert(topic, message);
        true
    }

    fn matching(&self, filter: &TopicFilter) -> Vec<Arc<Message>> {
        if !filter.has_wildcard() {
            return self
                .messages
                .get(filter.pattern())
                .cloned()
                .into_iter()
                .collect();
        }
        self.messages
            .values()
            .filter(|message| filter.matches(&message.topic))
            .cloned()
            .collect()
    }
}

fn weight(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}
