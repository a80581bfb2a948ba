//! Sub-devices whose secrets their gateway fetches ([AL-2.4]).

use super::{few, gateway_only};
use crate::{
    Hub,
    admit::{Claim, Registration},
    device::{Made, NamedDevice},
    edge::Session,
    vault::shown,
};
use model::{
    account::AuditEntry,
    device::Device,
    error::{Fault, TopoError},
    id::DeviceKey,
    port::{Change, SecretId},
    product::{DynamicRegistration, NodeKind, Product},
};
use std::sync::Arc;

/// How often a row that others change meanwhile is tried.
const TRIES: usize = 8;

/// A sub-device with its secret.
pub struct SubRegistered {
    /// The row.
    pub device: Device,
    /// The secret.
    pub secret: String,
}

/// What became of one of several that were to be registered with their product's secret.
pub struct Proxied {
    /// Which.
    pub device: DeviceKey,
    /// Its secret, or why it has none.
    pub outcome: Result<String, TopoError>,
}

impl Hub {
    /// Gives a gateway the secrets of sub-devices, if their products let devices register: of
    /// those that were never online, and of those that are bound to this gateway, which may ask
    /// as often as it lost them. All or none.
    ///
    /// # Errors
    /// `TopoError`.
    pub async fn sub_register(
        &self,
        gateway: &Session,
        devices: &[DeviceKey],
    ) -> Result<Vec<SubRegistered>, TopoError> {
        gateway_only(gateway)?;
        few(devices.len())?;
        let mut checked = Vec::with_capacity(devices.len());
        for device in devices {
            if *device == gateway.device {
                return Err(TopoError::BySelf);
            }
            let product = self.sub_product(gateway, device).await?;
            let row = self.ports.devices.find(device).await?;
            match &row {
                Some(row) => self.sub_may_register(gateway, row).await?,
                None if product.registration == DynamicRegistration::Open => {}
                None => return Err(TopoError::NoSuchDevice),
            }
            checked.push((device, product, row));
        }
        let mut registered = Vec::with_capacity(devices.len());
        for (device, product, row) in checked {
            let done = match row {
                Some(row) => self.sub_secret(row).await?,
                None => self.sub_new(device, &product).await?,
            };
            self.audit_note(AuditEntry {
                at: self.now(),
                who: format!("device {}", gateway.device),
                address: gateway.peer.address.to_string(),
                action: "device.register".to_owned(),
                resource: done.device.iot_id.to_string(),
                outcome: "ok".to_owned(),
                detail: "for a sub-device".to_owned(),
            })
            .await?;
            registered.push(done);
        }
        Ok(registered)
    }

    /// Registers sub-devices with a proof of their product's secret, each for itself.
    ///
    /// # Errors
    /// `NotGateway`, `BadRequest` for too many.
    pub async fn sub_register_proven(
        &self,
        gateway: &Session,
        claims: Vec<Claim>,
    ) -> Result<Vec<Proxied>, TopoError> {
        gateway_only(gateway)?;
        few(claims.len())?;
        let mut all = Vec::with_capacity(claims.len());
        for claim in claims {
            let device = claim.device.clone();
            let outcome = match self.sub_product(gateway, &device).await {
                Ok(product) => {
                    let how = match product.registration {
                        DynamicRegistration::Open => Registration::Open,
                        DynamicRegistration::Off | DynamicRegistration::Registered => {
                            Registration::Known
                        }
                    };
                    let done = self.device_register_self(claim, how).await;
                    done.map(|done| done.secret).map_err(TopoError::from)
                }
                Err(error) => Err(error),
            };
            all.push(Proxied { device, outcome });
        }
        Ok(all)
    }

    /// Undoes registrations: the sub-devices are unbound, and count as never online, so that they
    /// may be registered anew, be it by another gateway.
    ///
    /// # Errors
    /// `NoSuchDevice`, `BoundElsewhere`, with nothing changed.
    pub async fn sub_unregister(
        &self,
        gateway: &Session,
        devices: &[DeviceKey],
    ) -> Result<(), TopoError> {
        gateway_only(gateway)?;
        few(devices.len())?;
        let mut rows = Vec::with_capacity(devices.len());
        for device in devices {
            let row = self.ports.devices.find(device).await?;
            let row = row.ok_or(TopoError::NoSuchDevice)?;
            match self.topo_of(&row.iot_id).await? {
                Some(relation) if relation.gateway_id == gateway.iot_id => {}
                Some(_) => return Err(TopoError::BoundElsewhere),
                None => return Err(TopoError::NotBound),
            }
            rows.push(row);
        }
        self.topo_delete(gateway, devices).await?;
        for row in rows {
            self.sub_deactivate(row).await?;
        }
        Ok(())
    }

    async fn sub_product(
        &self,
        gateway: &Session,
        device: &DeviceKey,
    ) -> Result<Arc<Product>, TopoError> {
        let product = self.shelf_product(&device.product).await?;
        let product = product.ok_or(TopoError::NoSuchProduct)?;
        if product.account != gateway.product.account {
            return Err(TopoError::NoSuchProduct);
        }
        if product.node == NodeKind::Gateway {
            return Err(TopoError::NotSub);
        }
        match product.registration {
            DynamicRegistration::Off => Err(TopoError::RegistrationOff),
            DynamicRegistration::Registered | DynamicRegistration::Open => Ok(product),
        }
    }

    async fn sub_may_register(&self, gateway: &Session, row: &Device) -> Result<(), TopoError> {
        if row.disabled {
            return Err(TopoError::Disabled);
        }
        match self.topo_of(&row.iot_id).await? {
            Some(relation) if relation.gateway_id == gateway.iot_id => Ok(()),
            Some(_) => Err(TopoError::BoundElsewhere),
            None if row.activated.is_some() && !self.reset_allows(&row.iot_id).await? => {
                Err(TopoError::AlreadyActive)
            }
            None => Ok(()),
        }
    }

    async fn sub_secret(&self, device: Device) -> Result<SubRegistered, TopoError> {
        let id = SecretId::Device(device.iot_id.clone());
        let secret = self.secret_open(&id).await?;
        let secret = secret.ok_or(TopoError::NoSuchDevice)?;
        if device.activated.is_some() {
            self.reset_used(&device.iot_id).await?;
        }
        Ok(SubRegistered {
            secret: shown(&secret)?,
            device,
        })
    }

    async fn sub_new(
        &self,
        device: &DeviceKey,
        product: &Arc<Product>,
    ) -> Result<SubRegistered, TopoError> {
        let wanted = NamedDevice {
            name: device.name.clone(),
            nickname: String::new(),
            iot_id: self.device_new_id()?,
        };
        match self.devices_make(product, &[wanted]).await? {
            Made::All(made) => {
                let made = made.into_iter().next();
                let (device, secret) =
                    made.ok_or_else(|| Fault::lasting("one device was to be made, none was"))?;
                Ok(SubRegistered {
                    secret: shown(&secret)?,
                    device,
                })
            }
            Made::Taken(_) => Err(Fault::passing("the name was taken just now").into()),
            Made::TooMany => Err(TopoError::TooMany),
            Made::NoProduct => Err(TopoError::NoSuchProduct),
        }
    }

    async fn sub_deactivate(&self, device: Device) -> Result<(), TopoError> {
        let mut device = device;
        for _ in 0..TRIES {
            device.activated = None;
            if let Change::Done(_) = self.ports.devices.change(&device).await? {
                return Ok(());
            }
            match self.ports.devices.find_id(&device.iot_id).await? {
                Some(row) => device = row,
                None => return Ok(()),
            }
        }
        Err(Fault::passing("the device's row changed all the time").into())
    }
}
