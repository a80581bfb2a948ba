//! Thing models of products: a draft that people edit, and published versions that devices are
//! held to ([AL-6.12]).

use crate::{Hub, account::Permit};
use model::{
    error::ProductError,
    id::{ProductKey, Time},
};
use serde_json::Value;

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// Replace the whole draft by a TSL document.
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
    /// Remove functions; all when every list is empty.
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

impl Hub {
    /// Changes the draft, in the named block or the default one.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `Released`, `BadModel`, `NoSuchPart`, `PartTaken`.
    pub async fn model_edit(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _block: Option<&str>,
        _edit: Edit,
    ) -> Result<(), ProductError> {
        todo!()
    }

    /// Makes the draft the model that devices are held to from now on.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `Released`, `PartTaken` for a version name used before.
    pub async fn model_publish(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _version: Option<&str>,
        _description: &str,
    ) -> Result<ModelVersion, ProductError> {
        todo!()
    }

    /// The TSL document of a model.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `NoSuchPart` when nothing was published or no such version.
    pub async fn model_tsl(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _which: &Which,
        _block: Option<&str>,
        _simple: bool,
    ) -> Result<Value, ProductError> {
        todo!()
    }

    /// The model document (`ThingModelJson`) of a model.
    ///
    /// # Errors
    /// As `model_tsl`.
    pub async fn model_json(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _which: &Which,
        _block: Option<&str>,
    ) -> Result<Value, ProductError> {
        todo!()
    }

    /// Published versions, newest first.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`.
    pub async fn model_versions(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
    ) -> Result<Vec<ModelVersion>, ProductError> {
        todo!()
    }

    /// The published TSL document, for a device of the product (seed 001 §6.10).
    ///
    /// # Errors
    /// `NotModelled`, `NoSuchPart` when nothing was published.
    pub async fn model_for_device(
        &self,
        _session: &crate::edge::Session,
    ) -> Result<Value, ProductError> {
        todo!()
    }
}
