//! Devices as applications see them ([AL-2.1], [AL-2.6]).

mod batch;
mod forget;
mod reset;

pub use batch::{Batch, BatchState};

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy},
    vault::shown,
};
use credential::{Secret, text};
use model::{
    device::{Device, DeviceCount, DeviceState},
    error::{DeviceError, Fault},
    fact::What,
    id::{DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::{Change, CloseReason, DeviceFilter, Insert, NewDevice, SecretId},
    product::Product,
    topo::Turn,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Rows on one page, and names in one look-up, whatever a caller asks for.
const PAGE: usize = 1_000;
/// Characters of a made-up name.
const MADE_UP: usize = 20;
const NICKNAME_WIDTH: usize = 4;
const NICKNAME_CHARS: usize = 64;

/// A device with what people want to see beside it.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// The row.
    pub device: Device,
    /// Where it stands.
    pub state: DeviceState,
    /// Since when it is connected, when it is.
    pub connected: Option<Time>,
}

/// A name that is to be registered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WantedName {
    /// As the caller wrote it.
    pub name: String,
    /// Empty for none.
    pub nickname: String,
}

/// A name that keeps its rule, with the id that its device is to have.
pub(crate) struct NamedDevice {
    pub(crate) name: DeviceName,
    pub(crate) nickname: String,
    pub(crate) iot_id: IotId,
}

/// What became of devices that were to be made.
pub(crate) enum Made {
    /// All are in, in the order asked for.
    All(Vec<(Device, Secret)>),
    /// These names are taken; none was made.
    Taken(Vec<DeviceName>),
    /// The product may not have so many; none was made.
    TooMany,
    /// The product was deleted meanwhile; none stays.
    NoProduct,
}

impl Hub {
    /// Registers one device; a name is made up when none is given. Gives the secret back.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NameTaken`, `BadName`, `BadRequest` for the nickname, `TooMany`.
    pub async fn device_register(
        &self,
        permit: &Permit,
        product: &ProductKey,
        name: Option<&str>,
        nickname: Option<&str>,
    ) -> Result<(Device, String), DeviceError> {
        let wanted = WantedName {
            name: match name {
                Some(name) => name.to_owned(),
                None => self.device_made_up_name(),
            },
            nickname: nickname.unwrap_or_default().to_owned(),
        };
        let mut made = self
            .device_register_many(permit, product, vec![wanted])
            .await?;
        made.pop()
            .ok_or_else(|| Fault::lasting("one device was to be made, none was").into())
    }

    /// Registers many devices of one product, or none; for callers who know the names are good.
    ///
    /// # Errors
    /// As `device_register`; `TooMuch` for more names than a batch may have.
    pub async fn device_register_many(
        &self,
        permit: &Permit,
        product: &ProductKey,
        names: Vec<WantedName>,
    ) -> Result<Vec<(Device, String)>, DeviceError> {
        let product = self.device_product(permit, product).await?;
        if names.len() > self.limits.batch_names {
            return Err(too_many_names(self.limits.batch_names));
        }
        let mut seen = HashSet::new();
        let mut wanted = Vec::with_capacity(names.len());
        for name in names {
            let parsed = DeviceName::parse(&name.name)
                .map_err(|error| DeviceError::BadName(error.to_string()))?;
            check_nickname(&name.nickname)?;
            if !seen.insert(parsed.clone()) {
                return Err(DeviceError::NameTaken);
            }
            wanted.push(NamedDevice {
                name: parsed,
                nickname: name.nickname,
                iot_id: self.device_new_id()?,
            });
        }
        match self.devices_make(&product, &wanted).await? {
            Made::All(made) => made
                .into_iter()
                .map(|(device, secret)| Ok((device, shown(&secret)?)))
                .collect(),
            Made::Taken(_) => Err(DeviceError::NameTaken),
            Made::TooMany => Err(DeviceError::TooMany),
            Made::NoProduct => Err(DeviceError::NoSuchProduct),
        }
    }

    /// Product and name of a device by its id, of whatever account: what a policy is asked about.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_key(&self, id: &IotId) -> Result<DeviceKey, DeviceError> {
        let device = self.ports.devices.find_id(id).await?;
        Ok(device.ok_or(DeviceError::NotFound)?.key)
    }

    /// A device of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_find(
        &self,
        permit: &Permit,
        key: &DeviceKey,
    ) -> Result<DeviceView, DeviceError> {
        let device = self.device_owned(permit, key).await?;
        Ok(self.device_view(device).await?)
    }

    /// Devices of one product by name; names that are not there are left out.
    ///
    /// # Errors
    /// `NoSuchProduct`, `TooMuch` for more than a thousand names.
    pub async fn device_find_many(
        &self,
        permit: &Permit,
        product: &ProductKey,
        names: &[DeviceName],
    ) -> Result<Vec<DeviceView>, DeviceError> {
        self.device_product(permit, product).await?;
        if names.len() > PAGE {
            return Err(too_many_names(PAGE));
        }
        let mut views = Vec::with_capacity(names.len());
        for name in names {
            let key = DeviceKey {
                product: product.clone(),
                name: name.clone(),
            };
            match self.device_find(permit, &key).await {
                Ok(view) => views.push(view),
                Err(DeviceError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(views)
    }

    /// A device's secret; the read is audited.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_secret(
        &self,
        permit: &Permit,
        key: &DeviceKey,
    ) -> Result<String, DeviceError> {
        let device = self.device_owned(permit, key).await?;
        let secret = self.device_secret_of(&device).await?;
        let secret = secret.ok_or(DeviceError::NotFound)?;
        self.secret_read(permit, &format!("device/{key}"), "device secret")
            .await?;
        Ok(secret)
    }

    /// Secrets of devices that were found before, in their order; the read is audited in one
    /// line. The secret of a device that is gone, or is another account's, is empty.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn device_secrets(
        &self,
        permit: &Permit,
        devices: &[DeviceView],
    ) -> Result<Vec<String>, DeviceError> {
        let mut secrets = Vec::with_capacity(devices.len());
        for view in devices {
            let own = view.device.account == *permit.account();
            let secret = match own {
                true => self.device_secret_of(&view.device).await?,
                false => None,
            };
            secrets.push(secret.unwrap_or_default());
        }
        if let Some(first) = devices.first() {
            let resource = format!("product/{}", first.device.key.product);
            let detail = format!("device secrets: {}", names_of(devices));
            self.secret_read(permit, &resource, &detail).await?;
        }
        Ok(secrets)
    }

    /// Gives a device a new secret, ends its session, and voids its tokens. The new secret is
    /// given back, which is audited.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_reset_secret(
        &self,
        permit: &Permit,
        key: &DeviceKey,
    ) -> Result<String, DeviceError> {
        for _ in 0..TRIES {
            let mut device = self.device_owned(permit, key).await?;
            let secret = text::device_secret(&self.seed());
            let sealed = self.secret_seal(&SecretId::Device(device.iot_id.clone()), &secret)?;
            device.credential += 1;
            match self.ports.devices.change_secret(&device, sealed).await? {
                Change::Conflict => {}
                Change::Done(_) => {
                    // First what protects, then what tells of it.
                    self.session_end(&device, CloseReason::CredentialReset)
                        .await?;
                    self.fact(&device.key, &device.iot_id, What::CredentialReset)
                        .await?;
                    self.secret_read(permit, &format!("device/{key}"), "new device secret")
                        .await?;
                    return Ok(shown(&secret)?);
                }
            }
        }
        Err(busy("device").into())
    }

    /// Devices of a product, newest first, from the `skip`th on, and how many there are; at most
    /// a thousand at once.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn device_page(
        &self,
        permit: &Permit,
        product: &ProductKey,
        filter: &DeviceFilter,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<DeviceView>, u64), DeviceError> {
        self.device_product(permit, product).await?;
        let most = most.min(PAGE);
        let rows = self.ports.devices.page(product, filter, skip, most);
        let (rows, total) = rows.await?;
        let mut views = Vec::with_capacity(rows.len());
        for device in rows {
            views.push(self.device_view(device).await?);
        }
        Ok((views, total))
    }

    /// How many devices a product has, and how many are connected; of all of the account's
    /// products when none is named.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn device_count(
        &self,
        permit: &Permit,
        product: Option<&ProductKey>,
    ) -> Result<(DeviceCount, u64), DeviceError> {
        let products = match product {
            Some(product) => vec![self.device_product(permit, product).await?.key.clone()],
            None => self.products_of(permit.account()).await?,
        };
        let mut all = DeviceCount::default();
        let mut online = 0;
        for product in &products {
            let count = self.ports.devices.count(product).await?;
            all.registered += count.registered;
            all.activated += count.activated;
            online += self.ports.presence.online(product).await?;
        }
        Ok((all, online))
    }

    /// Gives a device another nickname, or none.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn device_nickname(
        &self,
        permit: &Permit,
        key: &DeviceKey,
        nickname: &str,
    ) -> Result<Device, DeviceError> {
        check_nickname(nickname)?;
        self.device_change(permit, key, |device| {
            nickname.clone_into(&mut device.nickname);
        })
        .await
    }

    /// Keeps a device from connecting and ends its session within a second, or lets it in again.
    /// Says also whether that was another state than before: of several calls one does it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_disable(
        &self,
        permit: &Permit,
        key: &DeviceKey,
        disabled: bool,
    ) -> Result<(Device, bool), DeviceError> {
        let (device, turned) = self.device_turn(permit, key, disabled).await?;
        // Also when it was so before: the call that did it may have been cut short.
        if disabled {
            self.session_end(&device, CloseReason::Disabled).await?;
        }
        if turned {
            let what = match disabled {
                true => What::Disabled,
                false => What::Enabled,
            };
            self.fact(&device.key, &device.iot_id, what).await?;
            let turn = match disabled {
                true => Turn::Disabled,
                false => Turn::Enabled,
            };
            self.topo_tell(&device, turn).await?;
        }
        Ok((device, turned))
    }

    async fn device_turn(
        &self,
        permit: &Permit,
        key: &DeviceKey,
        disabled: bool,
    ) -> Result<(Device, bool), DeviceError> {
        for _ in 0..TRIES {
            let mut device = self.device_owned(permit, key).await?;
            if device.disabled == disabled {
                return Ok((device, false));
            }
            device.disabled = disabled;
            if let Change::Done(version) = self.ports.devices.change(&device).await? {
                device.version = version;
                return Ok((device, true));
            }
        }
        Err(busy("device").into())
    }

    /// Removes a device, its secret, its commands and its history, and ends its session. The
    /// history goes in the background, and cannot be asked for from now on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_delete(&self, permit: &Permit, key: &DeviceKey) -> Result<(), DeviceError> {
        let device = self.device_owned(permit, key).await?;
        // Before, so that a crash leaves nothing of a device that nobody can delete again; and
        // after, for what a connection that was still open made meanwhile.
        self.ota_forget(&device.iot_id).await?;
        let gateway = self.topo_forget(&device).await?;
        if !self.ports.devices.remove(&device.iot_id).await? {
            return Err(DeviceError::NotFound);
        }
        self.session_end(&device, CloseReason::Deleted).await?;
        self.ota_forget(&device.iot_id).await?;
        self.device_forget(&device).await?;
        if let Some(gateway) = gateway {
            self.topo_news(&gateway, Turn::Deleted, vec![device.key.clone()])
                .await?;
        }
        self.fact(&device.key, &device.iot_id, What::Deleted)
            .await?;
        Ok(())
    }

    /// The row of a device of the caller's account.
    pub(crate) async fn device_owned(
        &self,
        permit: &Permit,
        key: &DeviceKey,
    ) -> Result<Device, DeviceError> {
        let device = self.ports.devices.find(key).await?;
        device
            .filter(|device| device.account == *permit.account())
            .ok_or(DeviceError::NotFound)
    }

    /// Makes devices with new secrets, all or none, and journals them.
    pub(crate) async fn devices_make(
        &self,
        product: &Arc<Product>,
        wanted: &[NamedDevice],
    ) -> Result<Made, Fault> {
        if wanted.is_empty() {
            return Ok(Made::All(Vec::new()));
        }
        let created = self.now();
        let mut made = Vec::with_capacity(wanted.len());
        let mut rows = Vec::with_capacity(wanted.len());
        for device in wanted {
            let secret = text::device_secret(&self.seed());
            let sealed = self.secret_seal(&SecretId::Device(device.iot_id.clone()), &secret)?;
            let row = row(product, device, created);
            rows.push(NewDevice {
                device: row.clone(),
                secret: sealed,
            });
            made.push((row, secret));
        }
        match self.ports.devices.insert(rows, self.limits.devices).await? {
            Insert::Taken(names) => return Ok(Made::Taken(names)),
            Insert::QuotaUsedUp => return Ok(Made::TooMany),
            Insert::Done => {}
        }
        // See `product_delete`: one of the two sees the other.
        let kept = self
            .ports
            .catalog
            .get(crate::product::PRODUCT, product.key.as_str())
            .await?;
        if kept.is_none() {
            for (device, _) in &made {
                self.ports.devices.remove(&device.iot_id).await?;
            }
            return Ok(Made::NoProduct);
        }
        let devices = made.iter().map(|(device, _)| device);
        self.facts_registered(devices).await?;
        Ok(Made::All(made))
    }

    /// The product of the caller's account that a device is to be of.
    async fn device_product(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<Arc<Product>, DeviceError> {
        let product = self.product_owned(permit, product).await?;
        product.ok_or(DeviceError::NoSuchProduct)
    }

    async fn device_view(&self, device: Device) -> Result<DeviceView, Fault> {
        let place = self.ports.presence.find(&device.iot_id).await?;
        Ok(DeviceView {
            state: device.state(place.is_some()),
            device,
            connected: place.map(|place| place.since),
        })
    }

    async fn device_change(
        &self,
        permit: &Permit,
        key: &DeviceKey,
        change: impl Fn(&mut Device) + Send + Sync,
    ) -> Result<Device, DeviceError> {
        for _ in 0..TRIES {
            let mut device = self.device_owned(permit, key).await?;
            change(&mut device);
            if let Change::Done(version) = self.ports.devices.change(&device).await? {
                device.version = version;
                return Ok(device);
            }
        }
        Err(busy("device").into())
    }

    async fn device_secret_of(&self, device: &Device) -> Result<Option<String>, Fault> {
        let id = SecretId::Device(device.iot_id.clone());
        let secret = self.secret_open(&id).await?;
        secret.as_ref().map(shown).transpose()
    }

    pub(crate) fn device_new_id(&self) -> Result<IotId, Fault> {
        IotId::parse(&text::iot_id(&self.seed())).map_err(|error| Fault::lasting(error.to_string()))
    }

    /// A name that nobody is going to have.
    fn device_made_up_name(&self) -> String {
        let mut name = text::iot_id(&self.seed());
        name.truncate(MADE_UP);
        name
    }
}

fn row(product: &Product, device: &NamedDevice, created: Time) -> Device {
    Device {
        key: DeviceKey {
            product: product.key.clone(),
            name: device.name.clone(),
        },
        iot_id: device.iot_id.clone(),
        account: product.account.clone(),
        nickname: device.nickname.clone(),
        created,
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

fn names_of(devices: &[DeviceView]) -> String {
    let names: Vec<&str> = devices
        .iter()
        .map(|view| view.device.key.name.as_str())
        .collect();
    names.join(" ")
}

/// A nickname has 4 to 64 characters (spec/cloud-api.md §2); a character outside ASCII counts as
/// two of the least, so that two Chinese characters are enough. Empty stands for none.
fn check_nickname(nickname: &str) -> Result<(), DeviceError> {
    let width = nickname.chars().map(|c| if c.is_ascii() { 1 } else { 2 });
    let fit = width.sum::<usize>() >= NICKNAME_WIDTH
        && nickname.chars().count() <= NICKNAME_CHARS
        && !nickname.chars().any(char::is_control);
    if fit || nickname.is_empty() {
        return Ok(());
    }
    Err(DeviceError::BadRequest(
        "a nickname has 4 to 64 characters, none of them a control character".into(),
    ))
}

fn too_many_names(most: usize) -> DeviceError {
    DeviceError::TooMuch(format!("more than {most} device names at once"))
}

#[cfg(test)]
mod tests;
