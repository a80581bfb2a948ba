//! Modules of a product whose firmware goes its own way, and the versions that devices reported.

use super::is_name;
use crate::{
    Hub,
    account::Permit,
    document::{put, remove},
};
use model::{
    error::{Fault, OtaError},
    firmware::WHOLE,
    id::{DeviceKey, IotId, ProductKey, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};

const MODULE: &str = "firmware-module";
/// Versions that devices reported, by `iot_id/module`.
const VERSION: &str = "firmware-version";
/// The same by module and version: `digest/device`.
const RUNS: &str = "firmware-runs";
/// Whether that was made for what was said before there was such an index.
const RUNS_MADE: &str = "firmware-runs-made";
/// Modules of a product, and of a device.
const MOST: u64 = 50;

/// A module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// As devices call it.
    pub name: String,
    /// As people do.
    pub alias: String,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub modified: Time,
}

/// What a device said of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleVersion {
    /// The module; `WHOLE` for the device.
    pub module: String,
    /// Its version.
    pub version: String,
    /// When that was first said.
    pub since: Time,
}

impl Hub {
    /// Removes the modules of a product that is deleted.
    pub(super) async fn modules_gone(&self, product: &ProductKey) -> Result<(), Fault> {
        let modules: Vec<Module> = self.documents(MODULE, &format!("{product}/")).await?;
        let puts = modules.iter().map(|module| {
            let key = format!("{product}/{}", module.name);
            remove(MODULE, key, Expect::Anything)
        });
        self.document_put(puts.collect()).await?;
        Ok(())
    }

    /// Makes a module, or changes what people call it (`exists`).
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadRequest`, `Taken`, `NotFound`, `TooMany`.
    pub async fn module_put(
        &self,
        permit: &Permit,
        product: &ProductKey,
        name: &str,
        words: (Option<&str>, Option<&str>),
        exists: bool,
    ) -> Result<Module, OtaError> {
        self.module_product(permit, product).await?;
        let (alias, description) = words;
        if !is_name(name) || name == WHOLE {
            let text = "a module's name has 1 to 64 characters, none of them / \" or \\, and is not default";
            return Err(OtaError::BadRequest(text.into()));
        }
        if alias.is_some_and(|text| text.len() > 256)
            || description.is_some_and(|text| text.len() > 1_024)
        {
            let text = "an alias has at most 256 bytes, a description 1024";
            return Err(OtaError::BadRequest(text.into()));
        }
        let key = format!("{product}/{name}");
        let found = self.document::<Module>(MODULE, &key).await?;
        let expect = found
            .as_ref()
            .map_or(Expect::Absent, |found| found.expect());
        let mut module = match (found, exists) {
            (Some(found), true) => found.value,
            (Some(_), false) => return Err(OtaError::Taken("module")),
            (None, true) => return Err(OtaError::NotFound("module")),
            (None, false) => {
                let all = format!("{product}/");
                if self.ports.catalog.count(MODULE, &all).await? >= MOST {
                    return Err(OtaError::TooMany("modules"));
                }
                Module {
                    name: name.to_owned(),
                    alias: String::new(),
                    description: String::new(),
                    created: self.now(),
                    modified: self.now(),
                }
            }
        };
        let set = |to: &mut String, what: Option<&str>| {
            if let Some(what) = what {
                what.clone_into(to);
            }
        };
        set(&mut module.alias, alias);
        set(&mut module.description, description);
        module.modified = self.now();
        let puts = vec![put(MODULE, key, &module, expect)?];
        match self.document_put(puts).await? {
            true => Ok(module),
            false => Err(OtaError::Taken("module")),
        }
    }

    /// Removes a module.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotFound`.
    pub async fn module_delete(
        &self,
        permit: &Permit,
        product: &ProductKey,
        name: &str,
    ) -> Result<(), OtaError> {
        self.module_product(permit, product).await?;
        let key = format!("{product}/{name}");
        let found = self.document::<Module>(MODULE, &key).await?;
        let found = found.ok_or(OtaError::NotFound("module"))?;
        let puts = vec![remove(MODULE, key, found.expect())];
        self.document_put(puts).await?;
        Ok(())
    }

    /// Modules of a product.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn module_list(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<Vec<Module>, OtaError> {
        self.module_product(permit, product).await?;
        Ok(self.documents(MODULE, &format!("{product}/")).await?)
    }

    /// The versions that a device reported, by module.
    ///
    /// # Errors
    /// `NoSuchDevice`.
    pub async fn module_versions(
        &self,
        permit: &Permit,
        key: &DeviceKey,
    ) -> Result<Vec<ModuleVersion>, OtaError> {
        let device = self.device_owned(permit, key).await;
        let device = device.map_err(|_| OtaError::NoSuchDevice(key.to_string()))?;
        Ok(self
            .documents(VERSION, &format!("{}/", device.iot_id))
            .await?)
    }

    /// Devices whose last word on a package's module was its version: how many, and the first
    /// `most` of them.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn version_runs(
        &self,
        package: &super::Package,
        most: usize,
    ) -> Result<(u64, Vec<DeviceKey>), Fault> {
        let (mut count, mut names) = (0, Vec::new());
        let mut after: Option<String> = None;
        loop {
            let (devices, next) = self.version_page(package, after.as_deref()).await?;
            count += devices.len() as u64;
            let room = most.saturating_sub(names.len());
            names.extend(devices.into_iter().take(room).map(|(key, _)| key));
            match next {
                Some(next) => after = Some(next),
                None => return Ok((count, names)),
            }
        }
    }

    /// Some of those devices, and from where to ask on.
    pub(crate) async fn version_page(
        &self,
        package: &super::Package,
        after: Option<&str>,
    ) -> Result<(Vec<(DeviceKey, IotId)>, Option<String>), Fault> {
        const PAGE: usize = 1_000;
        let prefix = runs(&package.module, &package.version, "");
        let catalog = &self.ports.catalog;
        let page = catalog.list(RUNS, &prefix, after, PAGE).await?;
        let mut devices = Vec::with_capacity(page.len());
        for entry in &page {
            let id = entry.key.trim_start_matches(&prefix);
            let Ok(id) = IotId::parse(id) else { continue };
            let Some(device) = self.ports.devices.find_id(&id).await? else {
                continue;
            };
            let other = package.product.as_ref();
            if device.account == package.account
                && other.is_none_or(|product| *product == device.key.product)
            {
                devices.push((device.key, id));
            }
        }
        Ok((devices, page.into_iter().last().map(|last| last.key)))
    }

    /// Makes the index of versions for what devices said before there was one; does nothing once
    /// that is done.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn version_index(&self) -> Result<(), Fault> {
        let catalog = &self.ports.catalog;
        if catalog.get(RUNS_MADE, "all").await?.is_some() {
            return Ok(());
        }
        let mut after: Option<String> = None;
        loop {
            let page = catalog.list(VERSION, "", after.as_deref(), 500).await?;
            let mut puts = Vec::with_capacity(page.len());
            for entry in &page {
                let Some((id, _)) = entry.key.split_once('/') else {
                    continue;
                };
                let said: ModuleVersion = serde_json::from_slice(&entry.value)
                    .map_err(|error| Fault::lasting(format!("{VERSION} {}: {error}", entry.key)))?;
                let key = runs(&said.module, &said.version, id);
                puts.push(put(RUNS, key, &(), Expect::Anything)?);
            }
            if !puts.is_empty() {
                self.document_put(puts).await?;
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => break,
            }
        }
        let made = vec![put(RUNS_MADE, "all".into(), &(), Expect::Anything)?];
        self.document_put(made).await?;
        Ok(())
    }

    /// The version that a device last reported of a module; empty when it never did.
    pub(super) async fn version_of(&self, id: &IotId, module: &str) -> Result<String, Fault> {
        let key = format!("{id}/{module}");
        let found = self.document::<ModuleVersion>(VERSION, &key);
        Ok(found
            .await?
            .map_or_else(String::new, |found| found.value.version))
    }

    /// Keeps the version of a module; false when it was kept already. A device that names more
    /// modules than there can be is not heard.
    pub(super) async fn version_note(
        &self,
        id: &IotId,
        module: &str,
        version: &str,
    ) -> Result<bool, Fault> {
        let key = format!("{id}/{module}");
        let found = self.document::<ModuleVersion>(VERSION, &key).await?;
        let mut puts = Vec::new();
        match found {
            Some(found) if found.value.version == version => return Ok(false),
            Some(found) => {
                let old = runs(module, &found.value.version, id.as_str());
                puts.push(remove(RUNS, old, Expect::Anything));
            }
            None => {
                let all = format!("{id}/");
                if self.ports.catalog.count(VERSION, &all).await? > MOST {
                    return Ok(false);
                }
            }
        }
        let said = ModuleVersion {
            module: module.to_owned(),
            version: version.to_owned(),
            since: self.now(),
        };
        // A device speaks on one connection at a time; the last word counts.
        puts.push(put(VERSION, key, &said, Expect::Anything)?);
        let key = runs(module, version, id.as_str());
        puts.push(put(RUNS, key, &(), Expect::Anything)?);
        self.document_put(puts).await?;
        Ok(true)
    }

    /// Forgets what a device that is deleted said.
    pub(super) async fn versions_forget(&self, id: &IotId) -> Result<(), Fault> {
        let prefix = format!("{id}/");
        loop {
            let catalog = &self.ports.catalog;
            let page = catalog.list(VERSION, &prefix, None, 100).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut away = Vec::with_capacity(page.len() * 2);
            for entry in page {
                if let Ok(said) = serde_json::from_slice::<ModuleVersion>(&entry.value) {
                    let key = runs(&said.module, &said.version, id.as_str());
                    away.push(remove(RUNS, key, Expect::Anything));
                }
                away.push(remove(VERSION, entry.key, Expect::Anything));
            }
            self.document_put(away).await?;
        }
    }

    async fn module_product(&self, permit: &Permit, product: &ProductKey) -> Result<(), OtaError> {
        let owned = self.product_owned(permit, product).await?;
        owned.map(|_| ()).ok_or(OtaError::NoSuchProduct)
    }
}

/// Where the index of versions has a device. Names of modules and versions may have any letter.
fn runs(module: &str, version: &str, id: &str) -> String {
    let text = format!("{module}\0{version}");
    let mut digest = credential::crypto::digest::Hash::Sha256.hex(text.as_bytes());
    digest.truncate(24);
    format!("{digest}/{id}")
}
