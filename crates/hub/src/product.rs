//! Products and their topic classes ([AL-2.1], [AL-3.12]).

mod topic;

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    vault::shown,
    wiring,
};
use credential::text;
use model::{
    error::{Fault, ProductError},
    id::{AccountId, ProductKey, Time},
    port::{Change, Expect, Put, SecretId},
    product::{DataFormat, DynamicRegistration, MqttExtras, NodeKind, Product, ProductState},
};
use std::{collections::BTreeMap, sync::Arc};

/// Kind of the documents that are products, by key.
pub(crate) const PRODUCT: &str = "product";
/// Kind of the documents that keep names unique: account/name, of a key.
const NAME: &str = "product-name";
/// Kind of the documents that order an account's products, newest first: account/time/key.
const OF_ACCOUNT: &str = "product-of";

const NAME_CHARS: usize = 64;
const DESCRIPTION_CHARS: usize = 1_024;
const LABELS: usize = 64;
const LABEL_CHARS: usize = 256;
const TAGS: usize = 100;
const TAG_KEY_CHARS: usize = 64;
const TAG_VALUE_CHARS: usize = 128;

/// What a new product is to be.
#[derive(Clone, Debug)]
pub struct NewProduct {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Place in the topology.
    pub node: NodeKind,
    /// Form of payloads.
    pub format: DataFormat,
    /// Whether it has a thing model.
    pub modelled: bool,
    /// See `Product::labels`.
    pub labels: BTreeMap<String, String>,
}

/// A product with what people want to see beside it.
#[derive(Clone, Debug)]
pub struct ProductView {
    /// The product.
    pub product: Arc<Product>,
    /// Registered devices.
    pub devices: u64,
}

impl Hub {
    /// Makes a product with a key and a secret and the three default topic classes.
    ///
    /// # Errors
    /// `NameTaken`, `BadRequest`, `TooMany`.
    pub async fn product_create(
        &self,
        permit: &Permit,
        new: NewProduct,
    ) -> Result<(Arc<Product>, String), ProductError> {
        check_name(&new.name)?;
        check_description(&new.description)?;
        check_labels(&new.labels)?;
        let account = permit.account();
        let place = of_account(account);
        let had = self.ports.catalog.count(OF_ACCOUNT, &place).await?;
        if had >= self.limits.products {
            return Err(ProductError::TooMany);
        }
        let mut product = Product {
            key: self.product_key()?,
            account: account.clone(),
            name: new.name,
            description: new.description,
            node: new.node,
            format: new.format,
            modelled: new.modelled,
            state: ProductState::Development,
            registration: DynamicRegistration::Off,
            strict_channel: false,
            mqtt: MqttExtras::default(),
            created: self.now(),
            labels: new.labels,
            topics: self.topics_default().await?,
            tags: BTreeMap::new(),
        };
        for _ in 0..TRIES {
            if self.name_taken(&product).await? {
                return Err(ProductError::NameTaken);
            }
            let secret = text::product_secret(&self.seed());
            let id = SecretId::Product(product.key.clone());
            // The secret first: a product without one could not be mended, a secret without a
            // product harms nobody.
            let sealed = self.secret_seal(&id, &secret)?;
            self.ports.secrets.put(&id, sealed).await?;
            match self.ports.catalog.put(entered(&product)?).await? {
                Change::Done(_) => return Ok((Arc::new(product), shown(&secret)?)),
                Change::Conflict => {
                    self.ports.secrets.remove(&id).await?;
                    product.key = self.product_key()?;
                }
            }
        }
        Err(busy(PRODUCT).into())
    }

    /// A product of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_find(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<ProductView, ProductError> {
        let (product, _) = self.product_read(permit, key).await?;
        self.product_view(product).await.map_err(Into::into)
    }

    /// A product's secret; the read is audited.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_secret(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<String, ProductError> {
        self.product_read(permit, key).await?;
        let id = SecretId::Product(key.clone());
        let secret = self.secret_open(&id).await?;
        let secret =
            secret.ok_or_else(|| Fault::lasting(format!("product {key} has no secret")))?;
        self.secret_read(permit, &format!("product/{key}"), "product secret")
            .await?;
        Ok(shown(&secret)?)
    }

    /// The account's products, newest first, from the `skip`th on, and how many there are.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn product_page(
        &self,
        permit: &Permit,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<ProductView>, u64), ProductError> {
        let keys = self.products_of(permit.account()).await?;
        let total = keys.len() as u64;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut views = Vec::new();
        for key in keys.iter().skip(skip).take(most) {
            // One that is deleted meanwhile is left out.
            if let Some(product) = self.document(PRODUCT, key.as_str()).await? {
                views.push(self.product_view(product.value).await?);
            }
        }
        Ok((views, total))
    }

    /// Gives a product another name or description.
    ///
    /// # Errors
    /// `NotFound`, `NameTaken`, `BadRequest`.
    pub async fn product_update(
        &self,
        permit: &Permit,
        key: &ProductKey,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<Arc<Product>, ProductError> {
        if let Some(name) = name {
            check_name(name)?;
        }
        if let Some(description) = description {
            check_description(description)?;
        }
        for _ in 0..TRIES {
            let (mut product, version) = self.product_read(permit, key).await?;
            let mut puts = Vec::new();
            if let Some(name) = name
                && name != product.name
            {
                puts.push(remove(NAME, name_key(&product), Expect::Anything));
                name.clone_into(&mut product.name);
                if self.name_taken(&product).await? {
                    return Err(ProductError::NameTaken);
                }
                puts.push(put(NAME, name_key(&product), &product.key, Expect::Absent)?);
            }
            if let Some(description) = description {
                description.clone_into(&mut product.description);
            }
            if let Some(product) = self.product_put(product, version, puts).await? {
                return Ok(product);
            }
        }
        Err(busy(PRODUCT).into())
    }

    /// Freezes a product, or lets it change again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_release(
        &self,
        permit: &Permit,
        key: &ProductKey,
        released: bool,
    ) -> Result<Arc<Product>, ProductError> {
        self.product_change(permit, key, |product| {
            product.state = if released {
                ProductState::Released
            } else {
                ProductState::Development
            };
            Ok(())
        })
        .await
    }

    /// Removes a product without devices, with its secret, models, topic classes and batch
    /// applications.
    ///
    /// # Errors
    /// `NotFound`, `HasDevices`, `Released`.
    pub async fn product_delete(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<(), ProductError> {
        for _ in 0..TRIES {
            let (product, version) = self.product_read(permit, key).await?;
            if product.state == ProductState::Released {
                return Err(ProductError::Released);
            }
            if self.ports.devices.count(key).await?.registered > 0 {
                return Err(ProductError::HasDevices);
            }
            let _changing = self.shelf.changing(key);
            // All by which it is found goes with it, so that a crash leaves no name taken.
            let mut away = gone(&product);
            away.push(remove(PRODUCT, key.to_string(), Expect::Version(version)));
            if self.ports.catalog.put(away).await? == Change::Conflict {
                continue;
            }
            // A device may have been registered between the count and the removal; whoever
            // registers one looks for the product afterwards, so one of the two sees the other.
            if self.ports.devices.count(key).await?.registered > 0 {
                self.product_restore(product).await?;
                return Err(ProductError::HasDevices);
            }
            return self.product_clear(key).await.map_err(Into::into);
        }
        Err(busy(PRODUCT).into())
    }

    /// Turns the dynamic-registration switch; turning it on needs `confirmed` ([AL-2.3]).
    ///
    /// # Errors
    /// `NotFound`, `Unconfirmed`.
    pub async fn product_registration(
        &self,
        permit: &Permit,
        key: &ProductKey,
        to: DynamicRegistration,
        confirmed: bool,
    ) -> Result<Arc<Product>, ProductError> {
        self.product_change(permit, key, |product| {
            if openness(to) > openness(product.registration) && !confirmed {
                return Err(ProductError::Unconfirmed);
            }
            product.registration = to;
            Ok(())
        })
        .await
    }

    /// Sets whether a login must say truly whether its channel is secure.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_strict_channel(
        &self,
        permit: &Permit,
        key: &ProductKey,
        strict: bool,
    ) -> Result<Arc<Product>, ProductError> {
        self.product_change(permit, key, |product| {
            product.strict_channel = strict;
            Ok(())
        })
        .await
    }

    /// Sets what devices may use of MQTT on custom topics, from their next login on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_mqtt(
        &self,
        permit: &Permit,
        key: &ProductKey,
        extras: MqttExtras,
    ) -> Result<Arc<Product>, ProductError> {
        self.product_change(permit, key, |product| {
            product.mqtt = extras;
            Ok(())
        })
        .await
    }

    /// What devices of a product may use of MQTT; none where there is no such product. For those who
    /// have not proven yet who they are.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn product_extras(&self, key: &ProductKey) -> Result<Option<MqttExtras>, Fault> {
        let product = self.shelf_product(key).await?;
        Ok(product.map(|product| product.mqtt))
    }

    /// Sets tags (`Some`) and removes tags (`None`).
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn product_tag(
        &self,
        permit: &Permit,
        key: &ProductKey,
        tags: BTreeMap<String, Option<String>>,
    ) -> Result<Arc<Product>, ProductError> {
        for (tag, value) in &tags {
            check_text("a tag key", tag, 1, TAG_KEY_CHARS)?;
            if let Some(value) = value {
                check_text("a tag value", value, 0, TAG_VALUE_CHARS)?;
            }
        }
        self.product_change(permit, key, |product| {
            for (tag, value) in &tags {
                match value {
                    Some(value) => product.tags.insert(tag.clone(), value.clone()),
                    None => product.tags.remove(tag),
                };
            }
            if product.tags.len() > TAGS {
                let text = format!("a product has at most {TAGS} tags");
                return Err(ProductError::BadRequest(text));
            }
            Ok(())
        })
        .await
    }

    /// The product of the caller's account as devices see it; `None` when there is none there.
    pub(crate) async fn product_owned(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<Option<Arc<Product>>, Fault> {
        let product = self.shelf_product(key).await?;
        Ok(product.filter(|product| product.account == *permit.account()))
    }

    /// The product of the caller's account as the catalog has it, with the entry's version.
    pub(crate) async fn product_read(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<(Product, u64), ProductError> {
        let product = self.document::<Product>(PRODUCT, key.as_str()).await?;
        let product = product.filter(|product| product.value.account == *permit.account());
        let product = product.ok_or(ProductError::NotFound)?;
        Ok((product.value, product.version))
    }

    /// Keys of all products of an account, newest first.
    pub(crate) async fn products_of(&self, account: &AccountId) -> Result<Vec<ProductKey>, Fault> {
        self.documents(OF_ACCOUNT, &of_account(account)).await
    }

    async fn product_view(&self, product: Product) -> Result<ProductView, Fault> {
        let devices = self.ports.devices.count(&product.key).await?.registered;
        Ok(ProductView {
            product: Arc::new(product),
            devices,
        })
    }

    async fn product_change(
        &self,
        permit: &Permit,
        key: &ProductKey,
        change: impl Fn(&mut Product) -> Result<(), ProductError> + Send + Sync,
    ) -> Result<Arc<Product>, ProductError> {
        for _ in 0..TRIES {
            let (mut product, version) = self.product_read(permit, key).await?;
            change(&mut product)?;
            if let Some(product) = self.product_put(product, version, Vec::new()).await? {
                return Ok(product);
            }
        }
        Err(busy(PRODUCT).into())
    }

    /// Replaces the product that has this version, together with `more`; `None` when it has
    /// changed meanwhile.
    async fn product_put(
        &self,
        product: Product,
        version: u64,
        more: Vec<Put>,
    ) -> Result<Option<Arc<Product>>, Fault> {
        let changing = self.shelf.changing(&product.key);
        let mut puts = more;
        let expect = Expect::Version(version);
        puts.push(put(PRODUCT, product.key.to_string(), &product, expect)?);
        Ok(match self.ports.catalog.put(puts).await? {
            Change::Conflict => None,
            Change::Done(version) => {
                let shared = Arc::new(product.clone());
                changing.product(&shared, version);
                Some(shared)
            }
        })
    }

    /// Puts back a product that was removed a moment ago.
    async fn product_restore(&self, mut product: Product) -> Result<(), Fault> {
        if self.ports.catalog.put(entered(&product)?).await? == Change::Conflict {
            // Somebody has taken its name meanwhile; its key is nobody else's name.
            product.name = product.key.to_string();
            self.ports.catalog.put(entered(&product)?).await?;
        }
        Ok(())
    }

    /// Removes what nobody finds any more once a product is gone.
    async fn product_clear(&self, key: &ProductKey) -> Result<(), Fault> {
        let mut puts = self.model_gone(key).await?;
        puts.extend(self.batches_gone(key).await?);
        puts.push(self.configuration_gone(key).await?);
        puts.push(wiring::mapping_gone(key));
        self.ports.catalog.put(puts).await?;
        self.id2_gone(key).await?;
        self.ota_product_gone(key).await?;
        self.ports
            .secrets
            .remove(&SecretId::Product(key.clone()))
            .await
    }

    async fn name_taken(&self, product: &Product) -> Result<bool, Fault> {
        let entry = self.ports.catalog.get(NAME, &name_key(product)).await?;
        Ok(entry.is_some())
    }

    fn product_key(&self) -> Result<ProductKey, Fault> {
        ProductKey::parse(&text::product_key(&self.seed()))
            .map_err(|error| Fault::lasting(error.to_string()))
    }

    /// Notes that somebody reads secrets, before they are given out.
    pub(crate) async fn secret_read(
        &self,
        permit: &Permit,
        resource: &str,
        detail: &str,
    ) -> Result<(), Fault> {
        let mut entry = self.audit_entry(permit.caller(), permit.action(), resource);
        detail.clone_into(&mut entry.detail);
        self.audit_note(entry).await
    }
}

/// What makes a product, with the entries that lead to it.
fn entered(product: &Product) -> Result<Vec<Put>, Fault> {
    let key = &product.key;
    let mut puts = topic::links(key, &product.topics)?;
    puts.push(put(NAME, name_key(product), key, Expect::Absent)?);
    puts.push(put(OF_ACCOUNT, place(product), key, Expect::Absent)?);
    puts.push(put(PRODUCT, key.to_string(), product, Expect::Absent)?);
    Ok(puts)
}

/// What removes the entries that lead to a product.
fn gone(product: &Product) -> Vec<Put> {
    let topics = product.topics.iter();
    let mut puts: Vec<Put> = topics.map(|class| topic::link_gone(class.id)).collect();
    puts.push(remove(NAME, name_key(product), Expect::Anything));
    puts.push(remove(OF_ACCOUNT, place(product), Expect::Anything));
    puts
}

/// Where a product stands among those of its account.
fn place(product: &Product) -> String {
    let Time(created) = product.created;
    let reversed = i64::MAX - created.max(0);
    format!(
        "{}{reversed:020}/{}",
        of_account(&product.account),
        product.key
    )
}

fn name_key(product: &Product) -> String {
    format!("{}/{}", product.account, product.name)
}

fn of_account(account: &AccountId) -> String {
    format!("{account}/")
}

fn openness(registration: DynamicRegistration) -> u8 {
    match registration {
        DynamicRegistration::Off => 0,
        DynamicRegistration::Registered => 1,
        DynamicRegistration::Open => 2,
    }
}

fn check_name(name: &str) -> Result<(), ProductError> {
    if name.trim() != name {
        let text = "a product name does not begin or end with a space";
        return Err(ProductError::BadRequest(text.into()));
    }
    check_text("a product name", name, 1, NAME_CHARS)
}

fn check_description(description: &str) -> Result<(), ProductError> {
    if description.chars().count() > DESCRIPTION_CHARS {
        let text = format!("a description has at most {DESCRIPTION_CHARS} characters");
        return Err(ProductError::BadRequest(text));
    }
    Ok(())
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), ProductError> {
    if labels.len() > LABELS {
        let text = format!("a product has at most {LABELS} labels");
        return Err(ProductError::BadRequest(text));
    }
    labels.iter().try_for_each(|(label, value)| {
        check_text("a label", label, 1, LABEL_CHARS)?;
        check_text("a label's value", value, 0, LABEL_CHARS)
    })
}

/// A text for people: so many characters, none of them a control character.
fn check_text(what: &str, text: &str, least: usize, most: usize) -> Result<(), ProductError> {
    if (least..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ProductError::BadRequest(format!(
        "{what} has {least} to {most} characters, none of them a control character"
    )))
}

#[cfg(test)]
mod tests;
