//! A message on its way from a publisher to its receivers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Millis, Subscription};
use crate::mqtt::encode::{EncodeError, PublishParts, encode_publish, publish_size};
use crate::mqtt::packet::{PacketId, Publish, QoS, Version};
use crate::mqtt::property::{Properties, SubscriptionId};
use crate::mqtt::topic::TopicName;

/// A message as it was published, shared by all who get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where it was published.
    pub topic: TopicName,
    /// What it says.
    pub payload: Bytes,
    /// The level it was published at.
    pub qos: QoS,
    /// Its retain flag.
    pub retain: bool,
    /// Its properties.
    pub properties: Properties,
    /// When it is worth nothing any more.
    pub expires: Option<Millis>,
}

impl Message {
    /// The message of a PUBLISH that came `now`. It is still a slice of the read buffer: [`Publish::detached`] first
    /// where messages may wait for long.
    pub fn new(publish: Publish, now: Millis) -> Self {
        let lifetime = publish.properties.message_expiry_interval();
        let expires = lifetime.map(|&seconds| now.saturating_add(Millis::from(seconds) * 1_000));
        let Publish {
            qos,
            retain,
            topic,
            properties,
            payload,
            ..
        } = publish;
        Self {
            topic,
            payload,
            qos,
            retain,
            properties,
            expires,
        }
    }

    /// Whether its time is over.
    pub const fn is_expired(&self, now: Millis) -> bool {
        matches!(self.expires, Some(expires) if expires <= now)
    }

    /// Bytes that a queue counts for it.
    pub fn weight(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD + self.topic.len() + self.payload.len() + self.properties.body_size()
    }
}

/// A message and how one session gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Level of the delivery: the lower of the published and the granted one [MQTT-3.8.4-8].
    pub qos: QoS,
    /// Retain flag of the delivery.
    pub retain: bool,
    /// The subscriptions it is for, as far as they have identifiers.
    pub subscription_ids: Vec<SubscriptionId>,
    /// The caller's own mark, given back with the PUBLISH: such as until when it has to be held back.
    pub mark: u64,
}

impl Delivery {
    /// How a subscription gets a message that was just published: the retain flag goes with it only where that was
    /// asked for [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    pub fn new(message: Arc<Message>, subscription: &Subscription) -> Self {
        let retain = message.retain && subscription.options.retain_as_published;
        Self::with(message, subscription, retain)
    }

    /// How a new subscription gets a retained message: with the retain flag [MQTT-3.3.1-8] of 3.1.1.
    pub fn retained(message: Arc<Message>, subscription: &Subscription) -> Self {
        Self::with(message, subscription, true)
    }

    fn with(message: Arc<Message>, subscription: &Subscription, retain: bool) -> Self {
        Self {
            qos: message.qos.min(subscription.options.qos),
            retain,
            subscription_ids: subscription.id.into_iter().collect(),
            message,
            mark: 0,
        }
    }

    /// The same message once for another matching subscription too: the highest level wins and the identifiers add up
    /// [MQTT-3.3.4-2], [MQTT-3.3.4-4].
    pub fn also(&mut self, subscription: &Subscription) {
        self.qos = self.qos.max(self.message.qos.min(subscription.options.qos));
        self.retain |= self.message.retain && subscription.options.retain_as_published;
        self.subscription_ids.extend(subscription.id);
    }

    /// The PUBLISH for it.
    pub(super) fn transmit(self, packet_id: Option<PacketId>, dup: bool, now: Millis) -> Transmit {
        let left = |expires: Millis| {
            u32::try_from(expires.saturating_sub(now).div_ceil(1_000)).unwrap_or(u32::MAX)
        };
        Transmit {
            expiry: self.message.expires.map(left),
            delivery: self,
            packet_id,
            dup,
        }
    }
}

/// A PUBLISH to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Transmit {
    /// What to send.
    pub delivery: Delivery,
    /// Its packet identifier; none at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Whether it was sent before.
    pub dup: bool,
    /// Seconds left of its life.
    pub expiry: Option<u32>,
}

impl Transmit {
    /// The parts to encode.
    pub fn parts(&self) -> PublishParts<'_> {
        let message = &*self.delivery.message;
        PublishParts {
            topic: &message.topic,
            alias: None,
            payload: &message.payload,
            qos: self.delivery.qos,
            packet_id: self.packet_id,
            dup: self.dup,
            retain: self.delivery.retain,
            properties: &message.properties,
            expiry: self.expiry,
            subscription_ids: &self.delivery.subscription_ids,
        }
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// [`EncodeError::Property`] or [`EncodeError::TooLong`] for a message that no PUBLISH can carry; one that was
    /// decoded can.
    pub fn encode(&self, version: Version, buf: &mut BytesMut) -> Result<(), EncodeError> {
        encode_publish(&self.parts(), version, buf)
    }

    /// Bytes of the packet.
    pub fn size(&self, version: Version) -> usize {
        publish_size(&self.parts(), version)
    }
}
