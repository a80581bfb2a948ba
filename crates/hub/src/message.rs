//! Messages on topics of the product's own ([AL-3.12]).

use crate::{Hub, account::Permit, edge::Session};
use bytes::Bytes;
use model::{
    error::{DeviceError, PostError},
    id::{DeviceKey, ProductKey},
};

impl Hub {
    /// Keeps a message that a device published on a topic of its own.
    ///
    /// # Errors
    /// `Fault`.
    pub async fn message_post(
        &self,
        _session: &Session,
        _topic: &str,
        _payload: Bytes,
    ) -> Result<(), PostError> {
        todo!()
    }

    /// Hands a message to one device, if it is connected and subscribes to the topic. Gives a
    /// number that names the message. Whether the topic is the device's is the dialect's to check.
    ///
    /// # Errors
    /// `NotFound`, `TooMuch` for a payload over the limit.
    pub async fn message_send(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _topic: &str,
        _payload: Bytes,
        _qos: u8,
    ) -> Result<u64, DeviceError> {
        todo!()
    }

    /// Hands a message to all connected devices of a product that subscribe to `topic`.
    ///
    /// # Errors
    /// `NoSuchProduct`, `TooMuch`.
    pub async fn message_broadcast(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _topic: &str,
        _payload: Bytes,
    ) -> Result<u64, DeviceError> {
        todo!()
    }

    /// A number for a message that is about to be named in a topic.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn message_number(&self) -> Result<u64, DeviceError> {
        todo!()
    }
}
