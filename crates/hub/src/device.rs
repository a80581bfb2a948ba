//! Devices as applications see them ([AL-2.1], [AL-2.6]).

use crate::{Hub, account::Permit};
use model::{
    device::{Device, DeviceCount, DeviceState},
    error::DeviceError,
    id::{DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::DeviceFilter,
};

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

/// Where an application for a batch of devices stands (spec/cloud-api.md §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum BatchState {
    /// Names are being checked.
    Checking,
    /// All names are fit.
    Checked,
    /// Some names are not fit.
    CheckFailed,
    /// Devices are being made.
    Creating,
    /// All were made.
    Created,
    /// Some could not be made.
    CreateFailed,
}

/// An application for a batch of devices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Batch {
    /// Its number.
    pub id: u64,
    /// For which product.
    pub product: ProductKey,
    /// Where it stands.
    pub state: BatchState,
    /// Names that are fit, or devices that were made.
    pub valid: Vec<WantedName>,
    /// Names that break the rule for names, or that exist.
    pub invalid: Vec<WantedName>,
    /// Nicknames that break their rule.
    pub invalid_nicknames: Vec<WantedName>,
    /// Names that were given twice.
    pub repeated: Vec<String>,
}

impl Hub {
    /// Registers one device; a name is made up when none is given. Gives the secret back.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NameTaken`, `BadName`, `TooMany`.
    pub async fn device_register(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _name: Option<&str>,
        _nickname: Option<&str>,
    ) -> Result<(Device, String), DeviceError> {
        todo!()
    }

    /// Registers many devices of one product, or none; for callers who know the names are good.
    ///
    /// # Errors
    /// As `device_register`.
    pub async fn device_register_many(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _names: Vec<WantedName>,
    ) -> Result<Vec<(Device, String)>, DeviceError> {
        todo!()
    }

    /// Checks names for a batch; gives the application back, checked.
    ///
    /// # Errors
    /// `NoSuchProduct`, `TooMuch`.
    pub async fn batch_check(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _names: Vec<WantedName>,
    ) -> Result<Batch, DeviceError> {
        todo!()
    }

    /// Applies for `count` devices with made-up names, and makes them.
    ///
    /// # Errors
    /// `NoSuchProduct`, `TooMuch`, `TooMany`.
    pub async fn batch_create(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _count: u64,
    ) -> Result<Batch, DeviceError> {
        todo!()
    }

    /// Makes the devices of a checked application.
    ///
    /// # Errors
    /// `NoSuchBatch`, `BatchBusy`, `TooMany`.
    pub async fn batch_apply(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _batch: u64,
    ) -> Result<Batch, DeviceError> {
        todo!()
    }

    /// An application.
    ///
    /// # Errors
    /// `NoSuchBatch`.
    pub async fn batch_find(&self, _permit: &Permit, _batch: u64) -> Result<Batch, DeviceError> {
        todo!()
    }

    /// Devices made by an application with their secrets (the read is audited), from the `skip`th
    /// on, and how many there are.
    ///
    /// # Errors
    /// `NoSuchBatch`.
    pub async fn batch_page(
        &self,
        _permit: &Permit,
        _batch: u64,
        _skip: u64,
        _most: usize,
    ) -> Result<(Vec<(Device, String)>, u64), DeviceError> {
        todo!()
    }

    /// Product and name of a device by its id, of whatever account: what a policy is asked about.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_key(&self, _id: &IotId) -> Result<DeviceKey, DeviceError> {
        todo!()
    }

    /// A device of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_find(
        &self,
        _permit: &Permit,
        _key: &DeviceKey,
    ) -> Result<DeviceView, DeviceError> {
        todo!()
    }

    /// Devices of one product by name; names that are not there are left out.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn device_find_many(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _names: &[DeviceName],
    ) -> Result<Vec<DeviceView>, DeviceError> {
        todo!()
    }

    /// A device's secret; the read is audited.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_secret(
        &self,
        _permit: &Permit,
        _key: &DeviceKey,
    ) -> Result<String, DeviceError> {
        todo!()
    }

    /// Gives a device a new secret, ends its session, and voids its tokens.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_reset_secret(
        &self,
        _permit: &Permit,
        _key: &DeviceKey,
    ) -> Result<String, DeviceError> {
        todo!()
    }

    /// Devices of a product, newest first, from the `skip`th on, and how many there are.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn device_page(
        &self,
        _permit: &Permit,
        _product: &ProductKey,
        _filter: &DeviceFilter,
        _skip: u64,
        _most: usize,
    ) -> Result<(Vec<DeviceView>, u64), DeviceError> {
        todo!()
    }

    /// How many devices a product has, and how many are connected; of all of the account's
    /// products when none is named.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn device_count(
        &self,
        _permit: &Permit,
        _product: Option<&ProductKey>,
    ) -> Result<(DeviceCount, u64), DeviceError> {
        todo!()
    }

    /// Gives a device another nickname.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn device_nickname(
        &self,
        _permit: &Permit,
        _key: &DeviceKey,
        _nickname: &str,
    ) -> Result<Device, DeviceError> {
        todo!()
    }

    /// Keeps a device from connecting and ends its session within a second, or lets it in again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_disable(
        &self,
        _permit: &Permit,
        _key: &DeviceKey,
        _disabled: bool,
    ) -> Result<Device, DeviceError> {
        todo!()
    }

    /// Removes a device, its secret, its commands and its history, and ends its session.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_delete(
        &self,
        _permit: &Permit,
        _key: &DeviceKey,
    ) -> Result<(), DeviceError> {
        todo!()
    }
}
