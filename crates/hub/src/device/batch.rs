//! Devices made in batches: names are checked, applied for, and made (spec/cloud-api.md §2).
//!
//! An application is kept with the ids that its devices are to have, so that work which was cut
//! short (by a crash, or a caller who went away) goes on at the next call that asks for it, and
//! tells devices that it made before from devices that somebody else made.

use super::{DeviceView, Made, NamedDevice, WantedName, check_nickname, too_many_names};
use crate::{
    Hub,
    account::Permit,
    document::{Document, put, remove},
};
use model::{
    device::Device,
    error::{DeviceError, Fault},
    id::{AccountId, DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::{Change, Expect, Put},
    product::Product,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, sync::Arc};

/// Kind of the documents that say where an application stands, by number.
const STATE: &str = "batch";
/// Kind of the documents that hold an application's names, by number.
const NAMES: &str = "batch-names";
/// Kind of the documents that order a product's applications: product/number.
const OF_PRODUCT: &str = "batch-of";
/// Devices made in one step.
const STEP: usize = 500;
/// How long nobody else goes on with an application after its last step, in milliseconds.
const LEASE: i64 = 10_000;
/// Applications that are kept for each product; a new one forgets the oldest.
const KEPT: usize = 100;

/// Where an application for a batch of devices stands (spec/cloud-api.md §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Where an application stands, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Standing {
    id: u64,
    product: ProductKey,
    account: AccountId,
    state: BatchState,
    /// How many of the valid names were worked on.
    done: usize,
    /// Which of those could not be made.
    failed: Vec<usize>,
    /// Until when nobody else goes on with it.
    lease: Time,
}

/// The names of an application, as they are kept.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Names {
    valid: Vec<WantedName>,
    /// The ids that the devices are to have, once they are applied for.
    ids: Vec<IotId>,
    invalid: Vec<WantedName>,
    invalid_nicknames: Vec<WantedName>,
    repeated: Vec<String>,
}

impl Hub {
    /// Checks names for a batch; gives the application back, checked.
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadRequest` without a name, `TooMuch`.
    pub async fn batch_check(
        &self,
        permit: &Permit,
        product: &ProductKey,
        names: Vec<WantedName>,
    ) -> Result<Batch, DeviceError> {
        let product = self.device_product(permit, product).await?;
        if names.is_empty() {
            return Err(DeviceError::BadRequest("no device name is given".into()));
        }
        if names.len() > self.limits.batch_names {
            return Err(too_many_names(self.limits.batch_names));
        }
        let names = self.batch_sort(&product.key, names).await?;
        let good = names.invalid.is_empty()
            && names.invalid_nicknames.is_empty()
            && names.repeated.is_empty();
        let state = match good {
            true => BatchState::Checked,
            false => BatchState::CheckFailed,
        };
        let standing = self.batch_enter(&product, state, &names).await?;
        Ok(batch(&standing, names))
    }

    /// Applies for `count` devices with made-up names, and makes them.
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadRequest` for none at all, `TooMuch`, `TooMany`.
    pub async fn batch_create(
        &self,
        permit: &Permit,
        product: &ProductKey,
        count: u64,
    ) -> Result<Batch, DeviceError> {
        let product = self.device_product(permit, product).await?;
        if count == 0 {
            return Err(DeviceError::BadRequest("no device is asked for".into()));
        }
        if count > self.limits.batch_names as u64 {
            return Err(too_many_names(self.limits.batch_names));
        }
        self.batch_room(&product.key, count).await?;
        let mut names = Names::default();
        for _ in 0..count {
            names.valid.push(WantedName {
                name: self.device_made_up_name(),
                nickname: String::new(),
            });
            names.ids.push(self.device_new_id()?);
        }
        let standing = self
            .batch_enter(&product, BatchState::Creating, &names)
            .await?;
        let standing = Document {
            value: standing,
            version: 1,
        };
        self.batch_make(standing, names).await
    }

    /// Makes the devices of a checked application. Asking again for one that was made gives it
    /// back as it is.
    ///
    /// # Errors
    /// `NoSuchBatch`, `BatchBusy`, `BadRequest` where the check found unfit names, `TooMany`.
    pub async fn batch_apply(
        &self,
        permit: &Permit,
        product: &ProductKey,
        batch_id: u64,
    ) -> Result<Batch, DeviceError> {
        let (standing, mut names) = self.batch_read(permit, batch_id).await?;
        if standing.value.product != *product {
            return Err(DeviceError::NoSuchBatch);
        }
        match standing.value.state {
            BatchState::Created | BatchState::CreateFailed => {
                return Ok(batch(&standing.value, names));
            }
            BatchState::CheckFailed => {
                return Err(DeviceError::BadRequest(
                    "some names of the application are not fit".into(),
                ));
            }
            BatchState::Checking => return Err(DeviceError::BatchBusy),
            BatchState::Creating if self.batch_leased(&standing.value) => {
                return Err(DeviceError::BatchBusy);
            }
            BatchState::Creating => return self.batch_resume(standing, names).await,
            BatchState::Checked => {}
        }
        self.batch_room(product, names.valid.len() as u64).await?;
        for _ in &names.valid {
            names.ids.push(self.device_new_id()?);
        }
        let next = Standing {
            state: BatchState::Creating,
            lease: self.now().plus(LEASE),
            ..standing.value.clone()
        };
        let key = number(batch_id);
        let puts = vec![
            put(NAMES, key.clone(), &names, Expect::Anything)?,
            put(STATE, key, &next, standing.expect())?,
        ];
        match self.ports.catalog.put(puts).await? {
            Change::Conflict => Err(DeviceError::BatchBusy),
            Change::Done(version) => {
                let standing = Document {
                    value: next,
                    version,
                };
                self.batch_make(standing, names).await
            }
        }
    }

    /// An application. One whose work was cut short is completed first.
    ///
    /// # Errors
    /// `NoSuchBatch`.
    pub async fn batch_find(&self, permit: &Permit, batch_id: u64) -> Result<Batch, DeviceError> {
        let (standing, names) = self.batch_read(permit, batch_id).await?;
        let cut_short =
            standing.value.state == BatchState::Creating && !self.batch_leased(&standing.value);
        if cut_short {
            return self.batch_resume(standing, names).await;
        }
        Ok(batch(&standing.value, names))
    }

    /// The product that an application is for, of whatever account: what a policy is asked about.
    ///
    /// # Errors
    /// `NoSuchBatch`.
    pub async fn batch_product(&self, batch_id: u64) -> Result<ProductKey, DeviceError> {
        let standing = self.document::<Standing>(STATE, &number(batch_id)).await?;
        Ok(standing.ok_or(DeviceError::NoSuchBatch)?.value.product)
    }

    /// Devices made by an application, from the `skip`th on, and how many there are. A device that
    /// was deleted since is left out of its page.
    ///
    /// # Errors
    /// `NoSuchBatch`.
    pub async fn batch_page(
        &self,
        permit: &Permit,
        batch_id: u64,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<DeviceView>, u64), DeviceError> {
        let (standing, names) = self.batch_read(permit, batch_id).await?;
        let made = made(&standing.value, &names);
        let total = made.len() as u64;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut views = Vec::new();
        for index in made.into_iter().skip(skip).take(most) {
            let Some(id) = names.ids.get(index) else {
                continue;
            };
            if let Some(device) = self.ports.devices.find_id(id).await? {
                views.push(self.device_view(device).await?);
            }
        }
        Ok((views, total))
    }

    /// What removes all applications of a product.
    pub(crate) async fn batches_gone(&self, product: &ProductKey) -> Result<Vec<Put>, Fault> {
        let ids: Vec<u64> = self.documents(OF_PRODUCT, &format!("{product}/")).await?;
        Ok(ids.iter().flat_map(|id| gone(product, *id)).collect())
    }

    /// Sorts names into those that are fit and those that are not.
    async fn batch_sort(
        &self,
        product: &ProductKey,
        wanted: Vec<WantedName>,
    ) -> Result<Names, Fault> {
        let mut names = Names::default();
        let (mut seen, mut told) = (HashSet::new(), HashSet::new());
        let mut parsed = Vec::new();
        for wanted in wanted {
            let Ok(name) = DeviceName::parse(&wanted.name) else {
                names.invalid.push(wanted);
                continue;
            };
            if !seen.insert(name.clone()) {
                if told.insert(name) {
                    names.repeated.push(wanted.name);
                }
            } else if check_nickname(&wanted.nickname).is_err() {
                names.invalid_nicknames.push(wanted);
            } else {
                parsed.push(name);
                names.valid.push(wanted);
            }
        }
        let mut taken = HashSet::new();
        for chunk in parsed.chunks(STEP) {
            taken.extend(self.ports.devices.taken(product, chunk).await?);
        }
        let (bad, good) = std::mem::take(&mut names.valid)
            .into_iter()
            .zip(&parsed)
            .partition::<Vec<_>, _>(|(_, name)| taken.contains(*name));
        names.valid = good.into_iter().map(|(wanted, _)| wanted).collect();
        names
            .invalid
            .extend(bad.into_iter().map(|(wanted, _)| wanted));
        Ok(names)
    }

    /// Keeps a new application.
    async fn batch_enter(
        &self,
        product: &Product,
        state: BatchState,
        names: &Names,
    ) -> Result<Standing, Fault> {
        let id = self.ports.catalog.next(STATE).await?;
        let standing = Standing {
            id,
            product: product.key.clone(),
            account: product.account.clone(),
            state,
            done: 0,
            failed: Vec::new(),
            lease: self.now().plus(LEASE),
        };
        let key = number(id);
        let place = format!("{}/{key}", product.key);
        let had: Vec<u64> = self
            .documents(OF_PRODUCT, &format!("{}/", product.key))
            .await?;
        let old = had.iter().take((had.len() + 1).saturating_sub(KEPT));
        let mut puts: Vec<Put> = old.flat_map(|old| gone(&product.key, *old)).collect();
        puts.push(put(OF_PRODUCT, place, &id, Expect::Absent)?);
        puts.push(put(NAMES, key.clone(), names, Expect::Absent)?);
        puts.push(put(STATE, key, &standing, Expect::Absent)?);
        match self.ports.catalog.put(puts).await? {
            Change::Done(_) => Ok(standing),
            Change::Conflict => Err(Fault::lasting(format!("batch {id} exists already"))),
        }
    }

    async fn batch_read(
        &self,
        permit: &Permit,
        batch_id: u64,
    ) -> Result<(Document<Standing>, Names), DeviceError> {
        let key = number(batch_id);
        let standing = self.document::<Standing>(STATE, &key).await?;
        let standing = standing
            .filter(|standing| standing.value.account == *permit.account())
            .ok_or(DeviceError::NoSuchBatch)?;
        let names = self.document(NAMES, &key).await?;
        let names = names.ok_or(DeviceError::NoSuchBatch)?;
        Ok((standing, names.value))
    }

    /// Whether somebody works on it, or did so just now. A lease further away than any that is
    /// given comes from a clock that was set back, and does not count.
    fn batch_leased(&self, standing: &Standing) -> bool {
        (1..=LEASE).contains(&standing.lease.since(self.now()))
    }

    async fn batch_room(&self, product: &ProductKey, count: u64) -> Result<(), DeviceError> {
        let had = self.ports.devices.count(product).await?.registered;
        match had.saturating_add(count) > self.limits.devices {
            true => Err(DeviceError::TooMany),
            false => Ok(()),
        }
    }

    /// Takes over an application that nobody works on.
    async fn batch_resume(
        &self,
        standing: Document<Standing>,
        names: Names,
    ) -> Result<Batch, DeviceError> {
        let mut next = standing.value.clone();
        match self.batch_step(&mut next, standing.version).await? {
            Some(version) => {
                let standing = Document {
                    value: next,
                    version,
                };
                self.batch_make(standing, names).await
            }
            // Somebody else was faster.
            None => Ok(batch(&standing.value, names)),
        }
    }

    /// Keeps how far the work is, and the lease; `None` when somebody else took it over.
    async fn batch_step(&self, next: &mut Standing, version: u64) -> Result<Option<u64>, Fault> {
        next.lease = self.now().plus(LEASE);
        let expect = Expect::Version(version);
        let puts = vec![put(STATE, number(next.id), next, expect)?];
        Ok(match self.ports.catalog.put(puts).await? {
            Change::Done(version) => Some(version),
            Change::Conflict => None,
        })
    }

    /// Makes what is left to be made, step by step.
    async fn batch_make(
        &self,
        standing: Document<Standing>,
        names: Names,
    ) -> Result<Batch, DeviceError> {
        let mut version = standing.version;
        let mut standing = standing.value;
        while standing.state == BatchState::Creating {
            let product = self.shelf_product(&standing.product).await?;
            let product = product.ok_or(DeviceError::NoSuchBatch)?;
            let end = names.valid.len().min(standing.done + STEP);
            let failed = self
                .batch_make_some(&product, &names, standing.done..end)
                .await?;
            standing.failed.extend(failed);
            standing.done = end;
            if end == names.valid.len() {
                standing.state = match standing.failed.is_empty() {
                    true => BatchState::Created,
                    false => BatchState::CreateFailed,
                };
            }
            match self.batch_step(&mut standing, version).await? {
                Some(next) => version = next,
                None => return Err(DeviceError::BatchBusy),
            }
        }
        Ok(batch(&standing, names))
    }

    /// Makes the devices of one step; gives back which could not be made.
    async fn batch_make_some(
        &self,
        product: &Arc<Product>,
        names: &Names,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<usize>, DeviceError> {
        let mut failed = Vec::new();
        let mut todo: Vec<(usize, NamedDevice)> = Vec::new();
        for index in range {
            match planned(names, index) {
                Some(device) => todo.push((index, device)),
                None => failed.push(index),
            }
        }
        // Each turn takes at least one name out, so it ends.
        while !todo.is_empty() {
            let (indices, wanted): (Vec<_>, Vec<_>) = todo.into_iter().unzip();
            let taken = match self.devices_make(product, &wanted).await? {
                Made::All(_) => break,
                Made::NoProduct => return Err(DeviceError::NoSuchBatch),
                Made::TooMany => {
                    failed.extend(indices);
                    break;
                }
                Made::Taken(taken) => taken.into_iter().collect::<HashSet<_>>(),
            };
            if taken.is_empty() {
                return Err(Fault::lasting("names are taken, but none of them is told").into());
            }
            todo = Vec::new();
            for (index, device) in indices.into_iter().zip(wanted) {
                if !taken.contains(&device.name) {
                    todo.push((index, device));
                } else if let Some(own) = self.batch_own(product, &device).await? {
                    // Made before the work was cut short; whether it was journalled nobody knows.
                    self.facts_registered(std::iter::once(&own)).await?;
                } else {
                    failed.push(index);
                }
            }
        }
        Ok(failed)
    }

    /// The device of that name, if it is the one that this application made.
    async fn batch_own(
        &self,
        product: &Product,
        device: &NamedDevice,
    ) -> Result<Option<Device>, Fault> {
        let key = DeviceKey {
            product: product.key.clone(),
            name: device.name.clone(),
        };
        let found = self.ports.devices.find(&key).await?;
        Ok(found.filter(|found| found.iot_id == device.iot_id))
    }
}

fn planned(names: &Names, index: usize) -> Option<NamedDevice> {
    let wanted = names.valid.get(index)?;
    Some(NamedDevice {
        name: DeviceName::parse(&wanted.name).ok()?,
        nickname: wanted.nickname.clone(),
        iot_id: names.ids.get(index)?.clone(),
    })
}

/// Which of the valid names became devices.
fn made(standing: &Standing, names: &Names) -> Vec<usize> {
    let failed: HashSet<usize> = standing.failed.iter().copied().collect();
    let done = standing.done.min(names.valid.len());
    (0..done).filter(|index| !failed.contains(index)).collect()
}

/// An application as callers see it.
fn batch(standing: &Standing, names: Names) -> Batch {
    let failed: HashSet<usize> = standing.failed.iter().copied().collect();
    let mut valid = Vec::with_capacity(names.valid.len());
    let mut invalid = names.invalid;
    for (index, name) in names.valid.into_iter().enumerate() {
        match failed.contains(&index) {
            true => invalid.push(name),
            false => valid.push(name),
        }
    }
    Batch {
        id: standing.id,
        product: standing.product.clone(),
        state: standing.state,
        valid,
        invalid,
        invalid_nicknames: names.invalid_nicknames,
        repeated: names.repeated,
    }
}

fn number(id: u64) -> String {
    format!("{id:020}")
}

fn gone(product: &ProductKey, id: u64) -> [Put; 3] {
    let key = number(id);
    [
        remove(OF_PRODUCT, format!("{product}/{key}"), Expect::Anything),
        remove(NAMES, key.clone(), Expect::Anything),
        remove(STATE, key, Expect::Anything),
    ]
}
