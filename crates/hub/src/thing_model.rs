//! Thing models of products: a draft that people edit, and published versions that devices are
//! held to ([AL-6.12]).

use crate::{
    Hub,
    account::Permit,
    document::{Document, TRIES, busy, put, remove},
    edge::Session,
};
use model::{
    error::{Fault, ProductError},
    id::{ProductKey, Time},
    port::{Change, Expect, Put},
    product::{Product, ProductState},
    thing::{
        BlockRef, EditError, Functions, Pick, PublishedAs, Removal, Tsl, TslFault, from_model_json,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Kind of the documents that are drafts, by product.
const DRAFT: &str = "model-draft";
/// Kind of the documents that list the published versions, by product.
const HEAD: &str = "model-head";
/// Kind of the documents that are published models, by product/version.
const MODEL: &str = "model";
/// Published versions that are kept for each product; publishing more forgets the oldest.
const VERSIONS: usize = 100;
const VERSION_CHARS: usize = 32;
const DESCRIPTION_CHARS: usize = 1_024;
/// Mistakes of a document that are told at once.
const TOLD: usize = 10;

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Its name: the caller's, or the time of publication in milliseconds.
    pub version: String,
    /// For people.
    pub description: String,
    /// When it was published.
    pub created: Time,
}

/// Which model is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The draft.
    Draft,
    /// The version published last.
    Published,
    /// A published version by name.
    Version(String),
}

/// An edit of the draft.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Replace the whole draft by a TSL document; where a block is named, only that block, by the
    /// document's own functions.
    Import(Value),
    /// Add the functions of a model document (the other JSON form: `ThingModelJson`), into a
    /// block where one is named.
    Add(Value),
    /// Replace one function.
    Replace {
        /// Which.
        identifier: String,
        /// By the only function of this model document.
        with: Value,
    },
    /// Remove functions; all when every list is empty (a named block goes with them).
    Remove {
        /// Properties.
        properties: Vec<String>,
        /// Services.
        services: Vec<String>,
        /// Events.
        events: Vec<String>,
    },
    /// Give the block another name.
    NameBlock {
        /// Its name.
        name: String,
    },
}

/// The published versions of a product, newest first.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Head {
    versions: Vec<ModelVersion>,
}

/// A published model as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Published {
    /// Under which name.
    pub(crate) version: ModelVersion,
    /// What.
    pub(crate) tsl: Tsl,
}

impl Hub {
    /// Changes the draft, in the named block or the default one.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `Released`, `BadModel`, `NoSuchPart`, `PartTaken`.
    pub async fn model_edit(
        &self,
        permit: &Permit,
        key: &ProductKey,
        block: Option<&str>,
        edit: Edit,
    ) -> Result<(), ProductError> {
        let edit = Ready::from(edit)?;
        for _ in 0..TRIES {
            editable(&self.model_product(permit, key).await?)?;
            let (draft, expect) = self.model_draft(key).await?;
            let edited = edit.apply(&draft, block)?;
            let puts = vec![put(DRAFT, key.to_string(), &edited, expect)?];
            if let Change::Done(_) = self.ports.catalog.put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(MODEL).into())
    }

    /// Makes the draft the model that devices are held to from now on.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `Released`, `BadRequest`, `PartTaken` for a version name used
    /// before.
    pub async fn model_publish(
        &self,
        permit: &Permit,
        key: &ProductKey,
        version: Option<&str>,
        description: &str,
    ) -> Result<ModelVersion, ProductError> {
        check_version(version, description)?;
        for _ in 0..TRIES {
            editable(&self.model_product(permit, key).await?)?;
            let (tsl, _) = self.model_draft(key).await?;
            let (mut head, expect) = match self.model_head(key).await? {
                None => (Head::default(), Expect::Absent),
                Some(head) => {
                    let expect = head.expect();
                    (head.value, expect)
                }
            };
            let now = self.now();
            let used = |name: &str| head.versions.iter().any(|v| v.version == name);
            let name = match version {
                Some(name) if used(name) => return Err(ProductError::PartTaken("version")),
                Some(name) => name.to_owned(),
                // Two publications within one millisecond are told apart.
                None => (now.0..)
                    .map(|time| time.to_string())
                    .find(|name| !used(name))
                    .unwrap_or_default(),
            };
            let version = ModelVersion {
                version: name,
                description: description.to_owned(),
                created: now,
            };
            head.versions.insert(0, version.clone());
            let old = head.versions.split_off(head.versions.len().min(VERSIONS));
            let mut puts: Vec<Put> = old
                .iter()
                .map(|old| remove(MODEL, model_key(key, &old.version), Expect::Anything))
                .collect();
            let place = model_key(key, &version.version);
            let published = Published { version, tsl };
            puts.push(put(MODEL, place, &published, Expect::Anything)?);
            puts.push(put(HEAD, key.to_string(), &head, expect)?);
            let _changing = self.shelf.changing(key);
            if let Change::Done(_) = self.ports.catalog.put(puts).await? {
                return Ok(published.version);
            }
        }
        Err(busy(MODEL).into())
    }

    /// The TSL document of a model.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `NoSuchPart` when nothing was published or no such version or
    /// block.
    pub async fn model_tsl(
        &self,
        permit: &Permit,
        key: &ProductKey,
        which: &Which,
        block: Option<&str>,
        simple: bool,
    ) -> Result<Value, ProductError> {
        let (tsl, version) = self.model_read(permit, key, which).await?;
        let version = version.as_ref().map(|v| v.version.as_str());
        match block {
            None => Ok(tsl.to_document(key.as_str(), version, simple)),
            Some(block) => tsl
                .to_block_document(block, key.as_str(), version, simple)
                .ok_or(ProductError::NoSuchPart("block")),
        }
    }

    /// The model document (`ThingModelJson`) of a model.
    ///
    /// # Errors
    /// As `model_tsl`.
    pub async fn model_json(
        &self,
        permit: &Permit,
        key: &ProductKey,
        which: &Which,
        block: Option<&str>,
    ) -> Result<Value, ProductError> {
        let (tsl, version) = self.model_read(permit, key, which).await?;
        let published = version.as_ref().map(|version| PublishedAs {
            version: &version.version,
            description: &version.description,
        });
        tsl.to_model_json(key.as_str(), block, published, Pick::All)
            .ok_or(ProductError::NoSuchPart("block"))
    }

    /// Published versions, newest first; the last hundred.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`.
    pub async fn model_versions(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<Vec<ModelVersion>, ProductError> {
        self.model_product(permit, key).await?;
        let head = self.model_head(key).await?;
        Ok(head.map(|head| head.value.versions).unwrap_or_default())
    }

    /// The published TSL document, for a device of the product (seed 001 §6.10).
    ///
    /// # Errors
    /// `NotModelled`, `NoSuchPart` when nothing was published.
    pub async fn model_for_device(&self, session: &Session) -> Result<Value, ProductError> {
        let key = &session.device.product;
        let product = self.shelf_product(key).await?;
        if !product.ok_or(ProductError::NotFound)?.modelled {
            return Err(ProductError::NotModelled);
        }
        let model = self.shelf_model(key).await?;
        let model = model.ok_or(ProductError::NoSuchPart("published version"))?;
        let version = Some(model.version.as_str());
        Ok(model.tsl.to_document(key.as_str(), version, false))
    }

    /// The list of versions with its entry's version.
    pub(crate) async fn model_head(
        &self,
        key: &ProductKey,
    ) -> Result<Option<Document<Head>>, Fault> {
        self.document(HEAD, key.as_str()).await
    }

    /// The model that was published last.
    pub(crate) async fn model_newest(
        &self,
        key: &ProductKey,
        head: &Head,
    ) -> Result<Option<Published>, Fault> {
        match head.versions.first() {
            None => Ok(None),
            Some(newest) => self.model_version(key, &newest.version).await,
        }
    }

    /// What removes all models of a product.
    pub(crate) async fn model_gone(&self, key: &ProductKey) -> Result<Vec<Put>, Fault> {
        let away = |kind, key| remove(kind, key, Expect::Anything);
        let mut puts = vec![away(DRAFT, key.to_string()), away(HEAD, key.to_string())];
        if let Some(head) = self.model_head(key).await? {
            let versions = head.value.versions.iter();
            puts.extend(versions.map(|v| away(MODEL, model_key(key, &v.version))));
        }
        Ok(puts)
    }

    async fn model_version(
        &self,
        key: &ProductKey,
        name: &str,
    ) -> Result<Option<Published>, Fault> {
        let model = self.document(MODEL, &model_key(key, name)).await?;
        Ok(model.map(|model| model.value))
    }

    async fn model_product(
        &self,
        permit: &Permit,
        key: &ProductKey,
    ) -> Result<Product, ProductError> {
        let (product, _) = self.product_read(permit, key).await?;
        if product.modelled {
            Ok(product)
        } else {
            Err(ProductError::NotModelled)
        }
    }

    async fn model_draft(&self, key: &ProductKey) -> Result<(Tsl, Expect), Fault> {
        match self.document::<Tsl>(DRAFT, key.as_str()).await? {
            None => Ok((Tsl::default(), Expect::Absent)),
            Some(draft) => {
                let expect = draft.expect();
                Ok((draft.value, expect))
            }
        }
    }

    async fn model_read(
        &self,
        permit: &Permit,
        key: &ProductKey,
        which: &Which,
    ) -> Result<(Tsl, Option<ModelVersion>), ProductError> {
        self.model_product(permit, key).await?;
        let published = match which {
            Which::Draft => return Ok((self.model_draft(key).await?.0, None)),
            Which::Published => match self.model_head(key).await? {
                None => None,
                Some(head) => self.model_newest(key, &head.value).await?,
            },
            Which::Version(name) => self.model_version(key, name).await?,
        };
        let published = published.ok_or(ProductError::NoSuchPart("published version"))?;
        Ok((published.tsl, Some(published.version)))
    }
}

/// An edit whose documents have been read.
enum Ready {
    Import(Tsl),
    Add(Functions),
    Replace(String, Functions),
    Remove {
        properties: Vec<String>,
        services: Vec<String>,
        events: Vec<String>,
    },
    NameBlock(String),
}

impl Ready {
    fn from(edit: Edit) -> Result<Self, ProductError> {
        let functions = |document: &Value| from_model_json(&document.to_string());
        Ok(match edit {
            Edit::Import(document) => Self::Import(Tsl::parse(&document).map_err(|f| bad(&f))?),
            Edit::Add(document) => Self::Add(functions(&document).map_err(|f| bad(&f))?),
            Edit::Replace { identifier, with } => {
                Self::Replace(identifier, functions(&with).map_err(|f| bad(&f))?)
            }
            Edit::Remove {
                properties,
                services,
                events,
            } => Self::Remove {
                properties,
                services,
                events,
            },
            Edit::NameBlock { name } => Self::NameBlock(name),
        })
    }

    fn apply(&self, draft: &Tsl, block: Option<&str>) -> Result<Tsl, ProductError> {
        let there = block.map(|id| BlockRef { id, name: None });
        match self {
            Self::Import(tsl) if block.is_none() => Ok(tsl.clone()),
            Self::Import(tsl) => draft
                .with_imported(there, tsl.main.clone())
                .map_err(refused),
            Self::Add(functions) => draft.with_added(there, functions).map_err(refused),
            Self::Replace(identifier, by) => {
                draft.with_replaced(block, identifier, by).map_err(refused)
            }
            Self::Remove {
                properties,
                services,
                events,
            } => without(draft, block, properties, services, events),
            Self::NameBlock(name) => {
                let block = block.ok_or(ProductError::NoSuchPart("block"))?;
                draft.with_block_named(block, name).map_err(refused)
            }
        }
    }
}

fn without(
    draft: &Tsl,
    block: Option<&str>,
    properties: &[String],
    services: &[String],
    events: &[String],
) -> Result<Tsl, ProductError> {
    if properties.is_empty() && services.is_empty() && events.is_empty() {
        return match block {
            Some(block) => draft.without_block(block).map_err(refused),
            None => Ok(Tsl {
                main: Functions::default(),
                ..draft.clone()
            }),
        };
    }
    let properties: Vec<&str> = properties.iter().map(String::as_str).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let removal = Removal {
        properties: &properties,
        events: &events,
        services: &services,
    };
    draft.with_removed(block, removal).map_err(refused)
}

fn refused(error: EditError) -> ProductError {
    match error {
        EditError::UnknownBlock(_) => ProductError::NoSuchPart("block"),
        EditError::UnknownFunction(_) => ProductError::NoSuchPart("function"),
        EditError::AlreadyThere(_) => ProductError::PartTaken("function"),
        EditError::Invalid(faults) => bad(&faults),
        EditError::NoFunction | EditError::NotOneFunction(_) | EditError::KindChanged(_) => {
            ProductError::BadModel(error.to_string())
        }
    }
}

fn bad(faults: &[TslFault]) -> ProductError {
    let told: Vec<String> = faults.iter().take(TOLD).map(ToString::to_string).collect();
    let mut text = told.join("; ");
    if faults.len() > TOLD {
        text.push_str("; …");
    }
    ProductError::BadModel(text)
}

fn editable(product: &Product) -> Result<(), ProductError> {
    match product.state {
        ProductState::Released => Err(ProductError::Released),
        ProductState::Development => Ok(()),
    }
}

fn check_version(version: Option<&str>, description: &str) -> Result<(), ProductError> {
    if description.chars().count() > DESCRIPTION_CHARS {
        let text = format!("a description has at most {DESCRIPTION_CHARS} characters");
        return Err(ProductError::BadRequest(text));
    }
    let fit = |name: &str| {
        (1..=VERSION_CHARS).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if version.is_none_or(fit) {
        return Ok(());
    }
    Err(ProductError::BadRequest(format!(
        "a version has 1 to {VERSION_CHARS} characters, each a letter, a digit or one of . _ -"
    )))
}

fn model_key(key: &ProductKey, version: &str) -> String {
    format!("{key}/{version}")
}

#[cfg(test)]
mod tests;
