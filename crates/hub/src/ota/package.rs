//! Packages: files with the version that they bring.

use super::{campaign::CampaignState, is_name, task::OPEN, upload::UPLOAD};
use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
};
use model::{
    account::Resource,
    error::{Fault, OtaError},
    firmware::{FirmwareFile, SignMethod, WHOLE},
    id::{AccountId, ProductKey, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};

pub(super) const PACKAGE: &str = "firmware";
/// Names that are taken: `account/product/name`.
const NAMED: &str = "firmware-name";
/// Files of one package (spec/cloud-api.md §2).
const FILES: usize = 20;
const DESCRIPTION: usize = 1_024;
const UDI: usize = 2_048;

/// Whether a package was tried on chosen devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// It needs not be.
    NotNeeded,
    /// Not yet.
    No,
    /// It is being tried.
    Running,
    /// A chosen device reported its version.
    Yes,
    /// No chosen device did.
    Failed,
}

/// A firmware package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its id.
    pub id: String,
    /// The same as a number, for devices that fetch over MQTT.
    pub number: u64,
    /// Whose it is.
    pub account: AccountId,
    /// The product that it is for; none for any.
    pub product: Option<ProductKey>,
    /// For people; unlike any other of the product.
    pub name: String,
    /// For people.
    pub description: String,
    /// The module; `WHOLE` for the device.
    pub module: String,
    /// The version that a device has afterwards.
    pub version: String,
    /// The version that a difference is to; empty for whole packages.
    pub from: String,
    /// Whether it is a difference.
    pub differential: bool,
    /// How devices check it.
    pub method: SignMethod,
    /// One file, or several.
    pub files: Vec<FirmwareFile>,
    /// Handed to devices along with it; empty for nothing.
    pub udi: String,
    /// Whether it was tried.
    pub verified: Verified,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub modified: Time,
}

/// A package that is to be made.
#[derive(Clone, Debug, Default)]
pub struct NewPackage {
    /// The product that it is for; none for any.
    pub product: Option<ProductKey>,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// The module; none for the device.
    pub module: Option<String>,
    /// The version that a device has afterwards.
    pub version: String,
    /// The version that a difference is to.
    pub from: String,
    /// Whether it is a difference.
    pub differential: bool,
    /// How devices check it.
    pub method: SignMethod,
    /// Its files.
    pub files: Vec<NewFile>,
    /// Handed to devices along with it.
    pub udi: String,
    /// Whether it must be tried on chosen devices before campaigns.
    pub verify: bool,
}

/// A file that was handed in and becomes part of a package.
#[derive(Clone, Debug, Default)]
pub struct NewFile {
    /// The key of its ticket, or its name among `Blobs`.
    pub upload: String,
    /// As its owner calls it; none for the name that it was handed in with.
    pub name: Option<String>,
    /// Its digest by the package's method, which must hold.
    pub sign: Option<String>,
    /// Its size, which must hold.
    pub size: Option<u64>,
}

impl Hub {
    /// Makes a package of files that were handed in.
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadRequest`, `NotFound` for a file, `Taken` for the name, `TooMany`.
    pub async fn firmware_create(
        &self,
        permit: &Permit,
        new: NewPackage,
    ) -> Result<Package, OtaError> {
        let account = permit.account();
        check(&new)?;
        if let Some(product) = &new.product {
            let owned = self.product_owned(permit, product).await?;
            owned.ok_or(OtaError::NoSuchProduct)?;
        }
        let names = format!("{account}/");
        if self.ports.catalog.count(NAMED, &names).await? >= self.limits.firmwares {
            return Err(OtaError::TooMany("firmware packages"));
        }
        let mut files = Vec::with_capacity(new.files.len());
        let mut puts = Vec::with_capacity(new.files.len() + 2);
        for wanted in &new.files {
            let (mut file, taken) = self.upload_take(account, &wanted.upload).await?;
            if let Some(name) = &wanted.name {
                file.name.clone_from(name);
            }
            if wanted.size.is_some_and(|size| size != file.size) {
                let text = format!("{} has {} bytes", file.name, file.size);
                return Err(OtaError::BadRequest(text));
            }
            if let Some(sign) = &wanted.sign
                && !sign.eq_ignore_ascii_case(new.method.of(&file))
            {
                let text = format!("the digest of {} is not the one given", file.name);
                return Err(OtaError::BadRequest(text));
            }
            files.push(file);
            puts.push(taken);
        }
        let number = self.ports.catalog.next("ota").await?;
        let now = self.now();
        let package = Package {
            id: id_of(number),
            number,
            account: account.clone(),
            product: new.product,
            name: new.name,
            description: new.description,
            module: new.module.unwrap_or_else(|| WHOLE.into()),
            version: new.version,
            from: new.from,
            differential: new.differential,
            method: new.method,
            files,
            udi: new.udi,
            verified: match new.verify {
                true => Verified::No,
                false => Verified::NotNeeded,
            },
            created: now,
            modified: now,
        };
        puts.push(put(NAMED, named(&package), &package.id, Expect::Absent)?);
        puts.push(put(PACKAGE, package.id.clone(), &package, Expect::Absent)?);
        if !self.document_put(puts).await? {
            return Err(OtaError::Taken("firmware package of this name"));
        }
        // The package is made, whatever becomes of its scan; a policy holds what was not scanned.
        if let Err(fault) = self.package_scan(&package).await {
            tracing::warn!(%fault, firmware = package.id, "a package is not scanned");
        }
        Ok(package)
    }

    /// A package of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn firmware_find(&self, permit: &Permit, id: &str) -> Result<Package, OtaError> {
        let found = self.package(id).await?;
        found
            .filter(|package| package.account == *permit.account())
            .ok_or(OtaError::NotFound("firmware package"))
    }

    /// What a policy is asked about for a package, of whatever account: its product.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn firmware_resource(&self, id: &str) -> Result<Resource, OtaError> {
        let product = self.package(id).await?.and_then(|package| package.product);
        Ok(product.map_or(Resource::Any, Resource::Product))
    }

    /// Packages of the caller's account, newest first: of a product, and of a version, where these
    /// are given.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn firmware_list(
        &self,
        permit: &Permit,
        product: Option<&ProductKey>,
        version: Option<&str>,
    ) -> Result<Vec<Package>, OtaError> {
        let mut all: Vec<Package> = self.documents(PACKAGE, "").await?;
        all.retain(|package| {
            package.account == *permit.account()
                && product.is_none_or(|product| package.product.as_ref() == Some(product))
                && version.is_none_or(|version| package.version == version)
        });
        all.reverse();
        Ok(all)
    }

    /// Gives a package another name, description or hand-along, where these are given.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`, `Taken`.
    pub async fn firmware_change(
        &self,
        permit: &Permit,
        id: &str,
        name: Option<&str>,
        description: Option<&str>,
        udi: Option<&str>,
    ) -> Result<Package, OtaError> {
        check_text(name.unwrap_or("x"), description.unwrap_or_default())?;
        if udi.is_some_and(|udi| udi.len() > UDI) {
            return Err(too_long("the UDI", UDI));
        }
        for _ in 0..TRIES {
            let before = self.firmware_find(permit, id).await?;
            let Some(found) = self.document::<Package>(PACKAGE, id).await? else {
                return Err(OtaError::NotFound("firmware package"));
            };
            let expect = found.expect();
            let mut package = found.value;
            let set = |to: &mut String, what: Option<&str>| {
                if let Some(what) = what {
                    what.clone_into(to);
                }
            };
            set(&mut package.name, name);
            set(&mut package.description, description);
            set(&mut package.udi, udi);
            package.modified = self.now();
            let mut puts = Vec::new();
            if named(&package) != named(&before) {
                puts.push(remove(NAMED, named(&before), Expect::Anything));
                let taken = self.ports.catalog.get(NAMED, &named(&package)).await?;
                if taken.is_some() {
                    return Err(OtaError::Taken("firmware package of this name"));
                }
                puts.push(put(NAMED, named(&package), &package.id, Expect::Absent)?);
            }
            puts.push(put(PACKAGE, package.id.clone(), &package, expect)?);
            if self.document_put(puts).await? {
                return Ok(package);
            }
        }
        Err(busy(PACKAGE).into())
    }

    /// Removes a package with its files. Campaigns that are over stay to be looked at.
    ///
    /// # Errors
    /// `NotFound`, `InUse` while a campaign is not over.
    pub async fn firmware_delete(&self, permit: &Permit, id: &str) -> Result<(), OtaError> {
        let package = self.firmware_find(permit, id).await?;
        for campaign in self.campaigns_of(id).await? {
            if campaign.state.is_live() {
                let text = format!("campaign {} still uses it; cancel it first", campaign.id);
                return Err(OtaError::InUse(text));
            }
        }
        Ok(self.package_remove(&package).await?)
    }

    async fn package_remove(&self, package: &Package) -> Result<(), Fault> {
        self.package_unscan(&package.id).await?;
        let mut puts = self.upload_left(&package.account, &package.files)?;
        puts.push(remove(NAMED, named(package), Expect::Anything));
        puts.push(remove(PACKAGE, package.id.clone(), Expect::Anything));
        self.document_put(puts).await?;
        // A campaign that was made meanwhile finds no package and stops.
        for file in &package.files {
            self.ports.blobs.remove(&file.blob).await?;
            let left = remove(UPLOAD, file.blob.clone(), Expect::Anything);
            self.document_put(vec![left]).await?;
        }
        Ok(())
    }

    /// Removes what there is for a product that is deleted: its packages, modules and campaigns.
    /// Campaigns that brought it a package of all products are called off and stay.
    pub(crate) async fn ota_product_gone(&self, product: &ProductKey) -> Result<(), Fault> {
        for package in self.documents::<Package>(PACKAGE, "").await? {
            let own = package.product.as_ref() == Some(product);
            for campaign in self.campaigns_of(&package.id).await? {
                if own {
                    self.campaign_remove(&campaign).await?;
                } else if campaign.product == *product && campaign.state.is_live() {
                    let all = OPEN.into_iter().collect();
                    self.campaign_over(&campaign.id, CampaignState::Canceled, all)
                        .await?;
                }
            }
            if own {
                self.package_remove(&package).await?;
            }
        }
        self.modules_gone(product).await
    }

    /// A package of whatever account.
    pub(crate) async fn package(&self, id: &str) -> Result<Option<Package>, Fault> {
        let found = self.document::<Package>(PACKAGE, id).await?;
        Ok(found.map(|found| found.value))
    }

    pub(super) async fn package_verified(&self, id: &str, to: Verified) -> Result<(), Fault> {
        let now = self.now();
        self.document_change::<Package>(PACKAGE, id, |package| {
            // Once it was seen to work, it works.
            if package.verified != Verified::Yes || to == Verified::Yes {
                package.verified = to;
                package.modified = now;
            }
        })
        .await?;
        Ok(())
    }
}

/// Ids sort as they were given.
pub(super) fn id_of(number: u64) -> String {
    format!("{number:012}")
}

fn named(package: &Package) -> String {
    let product = package.product.as_ref().map_or("", ProductKey::as_str);
    format!("{}/{product}/{}", package.account, package.name)
}

fn too_long(what: &str, most: usize) -> OtaError {
    OtaError::BadRequest(format!("{what} has at most {most} bytes"))
}

fn check_text(name: &str, description: &str) -> Result<(), OtaError> {
    if !is_name(name) {
        let text = "a package's name has 1 to 64 characters, none of them / \" or \\";
        return Err(OtaError::BadRequest(text.into()));
    }
    if description.len() > DESCRIPTION {
        return Err(too_long("the description", DESCRIPTION));
    }
    Ok(())
}

fn check(new: &NewPackage) -> Result<(), OtaError> {
    let bad = |text: &str| Err(OtaError::BadRequest(text.into()));
    check_text(&new.name, &new.description)?;
    if !is_name(&new.version) {
        return bad("a version has 1 to 64 characters, none of them / \" or \\");
    }
    if new.module.as_ref().is_some_and(|module| !is_name(module)) {
        return bad("a module's name has 1 to 64 characters, none of them / \" or \\");
    }
    if new.differential && !is_name(&new.from) {
        return bad("a difference needs the version that it is to");
    }
    if new.from == new.version {
        return bad("the package brings the version that it is to");
    }
    if new.udi.len() > UDI {
        return Err(too_long("the UDI", UDI));
    }
    if new.files.is_empty() || new.files.len() > FILES {
        return bad("a package has 1 to 20 files");
    }
    let names = new.files.iter().filter_map(|file| file.name.as_ref());
    if names.clone().any(|name| !is_name(name)) {
        return bad("a file's name has 1 to 64 characters, none of them / \" or \\");
    }
    let mut uploads: Vec<_> = new.files.iter().map(|file| &file.upload).collect();
    uploads.sort_unstable();
    uploads.dedup();
    if uploads.len() < new.files.len() {
        return bad("a file is named twice");
    }
    Ok(())
}
