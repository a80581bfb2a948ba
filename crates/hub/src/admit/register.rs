//! Devices that ask for a secret of their own, with the secret of their product ([AL-2.3]).

use super::{Claim, Registered, Registration, TRIES, channel_fits};
use crate::Hub;
use credential::{Secret, Want, text};
use model::{
    account::AuditEntry,
    device::Device,
    error::{AdmitError, Fault},
    fact::{Fact, What},
    id::{DeviceKey, IotId},
    port::{Change, Insert, NewDevice, SecretId},
    product::{DynamicRegistration, Product},
};
use std::collections::BTreeMap;

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
        if device.activated.is_some() {
            return Err(AdmitError::AlreadyActive);
        }
        let (secret, sealed) = self.device_secret_new(&device.iot_id)?;
        device.credential += 1;
        self.register_note(claim, &device).await?;
        match self.ports.devices.change_secret(&device, sealed).await? {
            Change::Conflict => return Ok(None),
            Change::Done(version) => device.version = version,
        }
        self.register_fact(&device, What::CredentialReset, "credential_reset")
            .await?;
        Ok(Some(Registered {
            device,
            secret: shown(&secret),
        }))
    }

    async fn register_new(
        &self,
        claim: &Claim,
        product: &Product,
    ) -> Result<Option<Registered>, AdmitError> {
        let iot_id = IotId::parse(&text::iot_id(&self.seed()))
            .map_err(|bad| Fault::lasting(bad.to_string()))?;
        let device = blank(&claim.device, iot_id, product, self.now());
        let (secret, sealed) = self.device_secret_new(&device.iot_id)?;
        self.register_note(claim, &device).await?;
        let new = NewDevice {
            device: device.clone(),
            secret: sealed,
        };
        match self
            .ports
            .devices
            .insert(vec![new], self.limits.devices)
            .await?
        {
            Insert::Done => {}
            Insert::Taken(_) => return Ok(None),
            Insert::QuotaUsedUp => return Err(AdmitError::TooMany),
        }
        // Its version is the engine's.
        let found = self.ports.devices.find_id(&device.iot_id).await?;
        let device = found.ok_or(AdmitError::Deleted)?;
        self.register_fact(&device, What::Registered, "registered")
            .await?;
        Ok(Some(Registered {
            device,
            secret: shown(&secret),
        }))
    }

    fn device_secret_new(&self, id: &IotId) -> Result<(Secret, bytes::Bytes), Fault> {
        let secret = text::device_secret(&self.seed());
        let sealed = self.secret_seal(&SecretId::Device(id.clone()), &secret)?;
        Ok((secret, sealed))
    }

    async fn register_note(&self, claim: &Claim, device: &Device) -> Result<(), Fault> {
        self.audit_note(AuditEntry {
            at: self.now(),
            who: format!("device {}", device.key),
            address: claim.peer.address.to_string(),
            action: "device.register".to_owned(),
            resource: device.iot_id.to_string(),
            outcome: "ok".to_owned(),
            detail: claim.evidence.scheme().to_owned(),
        })
        .await
    }

    async fn register_fact(
        &self,
        device: &Device,
        what: What,
        kind: &'static str,
    ) -> Result<(), Fault> {
        let fact = Fact {
            at: self.now(),
            device: device.key.clone(),
            iot_id: device.iot_id.clone(),
            what,
        };
        self.ports.journal.append(fact).await?;
        self.metrics.fact(kind);
        Ok(())
    }
}

fn blank(key: &DeviceKey, iot_id: IotId, product: &Product, now: model::id::Time) -> Device {
    Device {
        key: key.clone(),
        iot_id,
        account: product.account.clone(),
        nickname: String::new(),
        created: now,
        activated: None,
        disabled: false,
        online: None,
        offline: None,
        address: String::new(),
        firmware: String::new(),
        tags: BTreeMap::new(),
        credential: 1,
        version: 0,
    }
}

/// The one time that a secret is shown.
fn shown(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}
