//! Devices at the gate: proofs, registration, sessions.

use crate::{
    Hub,
    edge::{Peer, Session},
};
use credential::Evidence;
use model::{
    device::Device,
    error::{AdmitError, Fault},
    id::DeviceKey,
    port::CloseReason,
    product::Product,
};
use std::sync::Arc;

/// What a device says of itself, and why we should believe it.
pub struct Claim {
    /// Who it says it is.
    pub device: DeviceKey,
    /// The proof.
    pub evidence: Box<dyn Evidence>,
    /// Whether it believes its channel to be secure; `None` when it does not say.
    pub says_secure: Option<bool>,
    /// From where.
    pub peer: Peer,
}

/// How a device registers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Under a name that was registered beforehand.
    Known,
    /// Under any name, where the product is open ("no white list").
    Open,
}

/// Credentials that a device gets once.
pub struct Registered {
    /// The row.
    pub device: Device,
    /// Its secret.
    pub secret: String,
}

impl Hub {
    /// Checks a claim: product and device exist, not disabled, channel as the product wants it,
    /// proof right. A failure is counted and audited. Changes nothing.
    ///
    /// # Errors
    /// `AdmitError`.
    pub async fn device_prove(&self, _claim: Claim) -> Result<(Device, Arc<Product>), AdmitError> {
        todo!()
    }

    /// Checks a claim and opens a session: activates the device at its first time, tells a former
    /// connection to leave, journals that it is online ([AL-2.2], [AL-3.4]).
    ///
    /// # Errors
    /// `AdmitError`.
    pub async fn device_admit(&self, _claim: Claim, _marks: u32) -> Result<Session, AdmitError> {
        todo!()
    }

    /// Opens a session for a token that `device_token` gave ([AL-3.3]).
    ///
    /// # Errors
    /// `TokenUnknown`, `TokenExpired`, and the state gate of `device_admit`.
    pub async fn device_admit_token(
        &self,
        _id: &str,
        _token: &str,
        _peer: Peer,
        _marks: u32,
    ) -> Result<Session, AdmitError> {
        todo!()
    }

    /// Checks a claim and gives a token for a later connection: (id, token).
    ///
    /// # Errors
    /// `AdmitError`.
    pub async fn device_token(&self, _claim: Claim) -> Result<(Device, String), AdmitError> {
        todo!()
    }

    /// Checks a claim signed with the product's secret, and gives the device a new secret of its
    /// own ([AL-2.3]).
    ///
    /// # Errors
    /// `RegistrationOff`, `AlreadyActive`, `NoSuchDevice`, `TooMany`, and what a wrong proof gives.
    pub async fn device_register_self(
        &self,
        _claim: Claim,
        _how: Registration,
    ) -> Result<Registered, AdmitError> {
        todo!()
    }

    /// Notes that the session ended. A session that another one took over is not "offline".
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn session_close(&self, _session: &Session, _reason: &str) -> Result<(), Fault> {
        todo!()
    }

    /// Tells the connection of a device to end, wherever it is.
    pub(crate) async fn session_end(
        &self,
        _device: &Device,
        _reason: CloseReason,
    ) -> Result<(), Fault> {
        todo!()
    }

    /// The product as it is now, if a device of it connected to this process before.
    pub fn product_now(&self, _key: &model::id::ProductKey) -> Option<Arc<Product>> {
        todo!()
    }
}
