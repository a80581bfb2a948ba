//! Messages on topics of the product's own ([AL-3.12]).

use crate::{Hub, account::Permit, edge::Session};
use bytes::Bytes;
use model::{
    command::Letter,
    error::{DeviceError, Fault, PostError},
    fact::What,
    id::{DeviceKey, IotId, ProductKey},
    port::{Audience, Signal},
};

impl Hub {
    /// Keeps a message that a device published on a topic of its own.
    ///
    /// # Errors
    /// `BadRequest` for a payload over the limit, `Fault`.
    pub async fn message_post(
        &self,
        session: &Session,
        topic: &str,
        payload: Bytes,
    ) -> Result<(), PostError> {
        if payload.len() > self.limits.payload {
            let text = format!("a payload has at most {} bytes", self.limits.payload);
            return Err(PostError::BadRequest(text));
        }
        let what = What::MessagePublished {
            topic: topic.to_owned(),
            payload,
        };
        self.fact(&session.device, &session.iot_id, what).await?;
        Ok(())
    }

    /// Hands a message to one device, if it is connected and subscribes to the topic, or leaves it
    /// at QoS 1 where it waits: in a session that lasts, or for a sub-device that is away. Gives a
    /// number that names the message. Whether the topic is the device's is the dialect's to check.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for a QoS over 1, `TooMuch` for a payload over the limit.
    pub async fn message_send(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        topic: &str,
        payload: Bytes,
        qos: u8,
    ) -> Result<u64, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.check_payload(&payload)?;
        if qos > 1 {
            return Err(DeviceError::BadRequest("QoS is 0 or 1".into()));
        }
        let number = self.message_number().await?;
        self.publish(&device.iot_id, topic, payload, qos, false)
            .await?;
        Ok(number)
    }

    /// Tells a device something of the server's own: a message that its implicit subscription
    /// covers. A device that is away hears it at QoS 1 if its session waits for it.
    ///
    /// # Errors
    /// `NotFound`, `TooMuch` for a payload over the limit.
    pub async fn message_tell(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        topic: &str,
        payload: Bytes,
        qos: u8,
    ) -> Result<(), DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.check_payload(&payload)?;
        Ok(self.tell(&device.iot_id, topic, payload, qos).await?)
    }

    /// See `message_tell`.
    pub(crate) async fn tell(
        &self,
        device: &IotId,
        topic: &str,
        payload: Bytes,
        qos: u8,
    ) -> Result<(), Fault> {
        self.publish(device, topic, payload, qos.min(1), true).await
    }

    async fn publish(
        &self,
        device: &IotId,
        topic: &str,
        payload: Bytes,
        qos: u8,
        system: bool,
    ) -> Result<(), Fault> {
        if qos > 0 && self.letter_waits(device).await? {
            let letter = Letter {
                topic: topic.to_owned(),
                payload,
                system,
            };
            return self.letter_keep(device, letter).await;
        }
        let signal = Signal::Publish {
            to: Audience::Device(device.clone()),
            topic: topic.to_owned(),
            payload,
            qos,
            system,
        };
        // Of a device that is away, any node may hold a session that waits for it.
        let place = self.ports.presence.find(device).await?;
        let node = place.as_ref().map(|place| &place.node);
        match (qos, node) {
            (0, Some(node)) => self.ports.bus.send(node, signal).await,
            (0, None) => self.ports.bus.send_all(signal).await,
            // Whoever is told that it is done may rely on it.
            (_, node) => self.ports.bus.send_and_wait(node, signal).await,
        }
    }

    /// Hands a message to all connected devices of a product that subscribe to `topic`, at QoS 0.
    ///
    /// # Errors
    /// `NoSuchProduct`, `TooMuch`.
    pub async fn message_broadcast(
        &self,
        permit: &Permit,
        product: &ProductKey,
        topic: &str,
        payload: Bytes,
    ) -> Result<u64, DeviceError> {
        let product = self.product_owned(permit, product).await?;
        let product = product.ok_or(DeviceError::NoSuchProduct)?;
        self.check_payload(&payload)?;
        let number = self.message_number().await?;
        let signal = Signal::Publish {
            to: Audience::Product(product.key.clone()),
            topic: topic.to_owned(),
            payload,
            qos: 0,
            system: false,
        };
        self.ports.bus.send_all(signal).await?;
        Ok(number)
    }

    /// A number for a message that is about to be named in a topic.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn message_number(&self) -> Result<u64, DeviceError> {
        Ok(self.ports.catalog.next("message").await?)
    }

    pub(crate) fn check_payload(&self, payload: &Bytes) -> Result<(), DeviceError> {
        match payload.len() > self.limits.payload {
            true => Err(DeviceError::TooMuch(format!(
                "a payload has at most {} bytes",
                self.limits.payload
            ))),
            false => Ok(()),
        }
    }
}
