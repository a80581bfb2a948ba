//! Devices at the gate: proofs, registration, sessions.

mod register;
mod session;

use crate::{
    Hub,
    edge::{Peer, Session},
};
use credential::{
    Evidence, Want,
    token::{self, Claims, TokenError},
};
use model::{
    account::AuditEntry,
    device::Device,
    error::{AdmitError, Fault},
    id::{DeviceKey, IotId},
    port::SecretId,
    product::Product,
};
use std::sync::Arc;

/// How often a change is tried again when somebody else changed the row.
const TRIES: u32 = 16;
/// The scheme under which tokens are counted.
const TOKEN: &str = "token";

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
    /// Checks a claim: product and device exist, proof right, not disabled, channel as the product
    /// wants it; who has no proof learns no more than whether the device exists. A failure is
    /// counted and audited. Changes nothing.
    ///
    /// # Errors
    /// `AdmitError`.
    pub async fn device_prove(&self, claim: Claim) -> Result<(Device, Arc<Product>), AdmitError> {
        let result = self.prove(&claim).await;
        self.admitted("device.prove", &claim, &result).await;
        result
    }

    /// Checks a claim and opens a session: activates the device at its first time, tells a former
    /// connection to leave, journals that it is online ([AL-2.2], [AL-3.4]).
    ///
    /// # Errors
    /// `AdmitError`.
    pub async fn device_admit(&self, claim: Claim, marks: u32) -> Result<Session, AdmitError> {
        let result = match self.prove(&claim).await {
            Ok((device, product)) => {
                self.session_open(device, product, claim.peer, marks, None)
                    .await
            }
            Err(error) => Err(error),
        };
        self.admitted("device.login", &claim, &result).await;
        result
    }

    /// Opens a session for a token that `device_token` gave ([AL-3.3]).
    ///
    /// # Errors
    /// `TokenUnknown`, `TokenExpired`, and the state gate of `device_admit`.
    pub async fn device_admit_token(
        &self,
        id: &str,
        token: &str,
        peer: Peer,
        marks: u32,
    ) -> Result<Session, AdmitError> {
        let result = match self.token_prove(id, token).await {
            Ok((device, product)) => self.session_open(device, product, peer, marks, None).await,
            Err(error) => Err(error),
        };
        // A name that was not proven may be anything of any length.
        let name = IotId::parse(id).map_or("?".to_owned(), |id| id.to_string());
        self.gate("device.login", TOKEN, &peer, &name, result.as_ref().err())
            .await;
        result
    }

    /// Checks a claim and gives a token for a later connection.
    ///
    /// # Errors
    /// `AdmitError`.
    pub async fn device_token(&self, claim: Claim) -> Result<(Device, String), AdmitError> {
        let result = self.prove(&claim).await.map(|(device, _)| {
            let expires = self.now().plus(self.limits.token_life);
            let token = token::mint(
                &self.token_key,
                &Claims {
                    iot_id: device.iot_id.to_string(),
                    expires_ms: u64::try_from(expires.0).unwrap_or(0),
                    generation: device.credential,
                },
            );
            (device, token)
        });
        self.admitted("device.token", &claim, &result).await;
        result
    }

    pub(crate) async fn prove(&self, claim: &Claim) -> Result<(Device, Arc<Product>), AdmitError> {
        let Some(product) = self.shelf_product(&claim.device.product).await? else {
            return Err(self.refuse_unknown(claim, AdmitError::NoSuchProduct)?);
        };
        let Some(device) = self.ports.devices.find(&claim.device).await? else {
            return Err(self.refuse_unknown(claim, AdmitError::NoSuchDevice)?);
        };
        let secret = SecretId::Device(device.iot_id.clone());
        self.evidence_check(claim, Want::DeviceSecret, secret)
            .await?;
        if device.disabled {
            return Err(AdmitError::Disabled);
        }
        channel_fits(claim, &product)?;
        Ok((device, product))
    }

    async fn token_prove(
        &self,
        id: &str,
        token: &str,
    ) -> Result<(Device, Arc<Product>), AdmitError> {
        let now = u64::try_from(self.now().0).unwrap_or(0);
        let checked = token::check(&self.token_key, token, now);
        self.metrics.proof(TOKEN, checked.is_ok());
        let claims = checked.map_err(|error| match error {
            TokenError::Malformed | TokenError::Forged => AdmitError::TokenUnknown,
            TokenError::Expired => AdmitError::TokenExpired,
        })?;
        if claims.iot_id != id {
            return Err(AdmitError::TokenUnknown);
        }
        let id = IotId::parse(id).map_err(|_| AdmitError::TokenUnknown)?;
        let Some(device) = self.ports.devices.find_id(&id).await? else {
            return Err(AdmitError::Deleted);
        };
        if device.credential != claims.generation {
            return Err(AdmitError::TokenUnknown);
        }
        if device.disabled {
            return Err(AdmitError::Disabled);
        }
        let product = self.shelf_product(&device.key.product).await?;
        Ok((device, product.ok_or(AdmitError::NoSuchProduct)?))
    }

    /// Compares the evidence with the one secret that it may rest on here: a product's secret must
    /// not let a device in, nor a device's register another.
    async fn evidence_check(
        &self,
        claim: &Claim,
        want: Want,
        secret: SecretId,
    ) -> Result<(), AdmitError> {
        if !claim.evidence.wants().contains(&want) {
            return Err(AdmitError::WrongScheme);
        }
        let right = match self.secret_open(&secret).await? {
            Some(secret) => claim.evidence.check(&secret),
            None => false,
        };
        self.metrics.proof(claim.evidence.scheme(), right);
        if right {
            Ok(())
        } else {
            Err(AdmitError::BadProof)
        }
    }

    /// Does the work of a wrong proof for somebody who does not exist.
    fn refuse_unknown(&self, claim: &Claim, error: AdmitError) -> Result<AdmitError, Fault> {
        let _ = claim.evidence.check(&self.vault.decoy()?);
        Ok(error)
    }

    pub(crate) async fn admitted<T: Sync>(
        &self,
        action: &str,
        claim: &Claim,
        result: &Result<T, AdmitError>,
    ) {
        let name = claim.device.to_string();
        let scheme = claim.evidence.scheme();
        self.gate(action, scheme, &claim.peer, &name, result.as_ref().err())
            .await;
    }

    /// Counts what became of a claim, and audits a failure.
    async fn gate(
        &self,
        action: &str,
        scheme: &'static str,
        peer: &Peer,
        name: &str,
        error: Option<&AdmitError>,
    ) {
        let outcome = error.map_or("ok", outcome);
        self.metrics.login(peer.channel.name(), scheme, outcome);
        let Some(error) = error else { return };
        if let AdmitError::Fault(fault) = error {
            tracing::error!(%fault, device = name, action, "a device was refused for our own trouble");
        }
        self.audit_failure(AuditEntry {
            at: self.now(),
            who: "?".to_owned(),
            address: peer.address.to_string(),
            action: action.to_owned(),
            resource: name.to_owned(),
            outcome: outcome.to_owned(),
            detail: format!("{} {scheme}", peer.channel.name()),
        })
        .await;
    }
}

/// Where the product is strict, a device must not be mistaken about its channel.
fn channel_fits(claim: &Claim, product: &Product) -> Result<(), AdmitError> {
    let mistaken = claim
        .says_secure
        .is_some_and(|says| says != claim.peer.channel.secure());
    if product.strict_channel && mistaken {
        return Err(AdmitError::WrongScheme);
    }
    Ok(())
}

/// The name of an error, for counters and audit lines.
fn outcome(error: &AdmitError) -> &'static str {
    match error {
        AdmitError::BadProof => "BadProof",
        AdmitError::BadRequest(_) => "BadRequest",
        AdmitError::Deleted => "Deleted",
        AdmitError::Disabled => "Disabled",
        AdmitError::NoSuchDevice => "NoSuchDevice",
        AdmitError::NoSuchProduct => "NoSuchProduct",
        AdmitError::AlreadyActive => "AlreadyActive",
        AdmitError::RegistrationOff => "RegistrationOff",
        AdmitError::TokenUnknown => "TokenUnknown",
        AdmitError::TokenExpired => "TokenExpired",
        AdmitError::TooMany => "TooMany",
        AdmitError::TooOften => "TooOften",
        AdmitError::WrongScheme => "WrongScheme",
        AdmitError::Fault(_) => "Fault",
    }
}

#[cfg(test)]
mod tests;
