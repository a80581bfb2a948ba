//! Devices that ask for a secret of their own, with the secret of their product ([AL-2.3]).

use super::{Claim, Registered, Registration, TRIES, channel_fits};
use crate::{
    Hub,
    device::{Made, NamedDevice},
    vault::shown,
};
use credential::{Want, text};
use model::{
    account::AuditEntry,
    device::Device,
    error::{AdmitError, Fault},
    fact::What,
    id::IotId,
    port::{Change, CloseReason, SecretId},
    product::{DynamicRegistration, Product},
};
use std::sync::Arc;

impl Hub {
    /// Checks a claim signed with the product's secret, and gives the device a new secret of its
    /// own ([AL-2.3]).
    ///
    /// # Errors
    /// `RegistrationOff`, `AlreadyActive`, `NoSuchDevice`, `TooMany`, and what a wrong proof gives.
    pub async fn device_register_self(
        &self,
        claim: Claim,
        how: Registration,
    ) -> Result<Registered, AdmitError> {
        let result = self.register(&claim, how).await;
        self.admitted("device.register", &claim, &result).await;
        result
    }

    async fn register(&self, claim: &Claim, how: Registration) -> Result<Registered, AdmitError> {
        let Some(product) = self.shelf_product(&claim.device.product).await? else {
            return Err(self.refuse_unknown(claim, AdmitError::NoSuchProduct)?);
        };
        self.evidence_check(
            claim,
            Want::ProductSecret,
            SecretId::Product(product.key.clone()),
        )
        .await?;
        channel_fits(claim, &product)?;
        match (product.registration, how) {
            (DynamicRegistration::Off, _)
            | (DynamicRegistration::Registered, Registration::Open) => {
                return Err(AdmitError::RegistrationOff);
            }
            (DynamicRegistration::Registered | DynamicRegistration::Open, _) => {}
        }
        for _ in 0..TRIES {
            let done = match self.ports.devices.find(&claim.device).await? {
                Some(device) => self.register_known(claim, device).await?,
                None if how == Registration::Open => self.register_new(claim, &product).await?,
                None => return Err(AdmitError::NoSuchDevice),
            };
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(Fault::passing("the device's row changed all the time").into())
    }

    /// Gives a device that is not active yet another secret; none when its row changed meanwhile,
    /// so that of two racing calls the last one's secret holds, and each is told only of one that
    /// held.
    async fn register_known(
        &self,
        claim: &Claim,
        mut device: Device,
    ) -> Result<Option<Registered>, AdmitError> {
        if device.disabled {
            return Err(AdmitError::Disabled);
        }
        let active = device.activated.is_some();
        if active && !self.reset_allows(&device.iot_id).await? {
            return Err(AdmitError::AlreadyActive);
        }
        let secret = text::device_secret(&self.seed());
        let sealed = self.secret_seal(&SecretId::Device(device.iot_id.clone()), &secret)?;
        device.credential += 1;
        self.register_note(claim, &device.iot_id).await?;
        match self.ports.devices.change_secret(&device, sealed).await? {
            Change::Conflict => return Ok(None),
            Change::Done(version) => device.version = version,
        }
        if active {
            self.reset_used(&device.iot_id).await?;
            // Its session was let in by a secret that is void now.
            self.session_end(&device, CloseReason::CredentialReset)
                .await?;
        }
        self.fact(&device.key, &device.iot_id, What::CredentialReset)
            .await?;
        Ok(Some(Registered {
            device,
            secret: shown(&secret)?,
        }))
    }

    async fn register_new(
        &self,
        claim: &Claim,
        product: &Arc<Product>,
    ) -> Result<Option<Registered>, AdmitError> {
        let wanted = NamedDevice {
            name: claim.device.name.clone(),
            nickname: String::new(),
            iot_id: self.device_new_id()?,
        };
        self.register_note(claim, &wanted.iot_id).await?;
        match self.devices_make(product, &[wanted]).await? {
            Made::All(made) => {
                let Some((device, secret)) = made.into_iter().next() else {
                    return Ok(None);
                };
                // Its version is the engine's.
                let found = self.ports.devices.find_id(&device.iot_id).await?;
                Ok(Some(Registered {
                    device: found.ok_or(AdmitError::Deleted)?,
                    secret: shown(&secret)?,
                }))
            }
            Made::Taken(_) => Ok(None),
            Made::TooMany => Err(AdmitError::TooMany),
            Made::NoProduct => Err(AdmitError::NoSuchProduct),
        }
    }

    async fn register_note(&self, claim: &Claim, id: &IotId) -> Result<(), Fault> {
        self.audit_note(AuditEntry {
            at: self.now(),
            who: format!("device {}", claim.device),
            address: claim.peer.address.to_string(),
            action: "device.register".to_owned(),
            resource: id.to_string(),
            outcome: "ok".to_owned(),
            detail: claim.evidence.scheme().to_owned(),
        })
        .await
    }
}
