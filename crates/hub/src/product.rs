//! Products and their topic classes ([AL-2.1], [AL-3.12]).

use crate::{Hub, account::Permit};
use model::{
    error::ProductError,
    id::ProductKey,
    product::{DataFormat, DynamicRegistration, NodeKind, Product, TopicClass, TopicRight},
};
use std::{collections::BTreeMap, sync::Arc};

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
        _permit: &Permit,
        _new: NewProduct,
    ) -> Result<(Arc<Product>, String), ProductError> {
        todo!()
    }

    /// A product of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_find(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
    ) -> Result<ProductView, ProductError> {
        todo!()
    }

    /// A product's secret; the read is audited.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_secret(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
    ) -> Result<String, ProductError> {
        todo!()
    }

    /// The account's products, newest first, from the `skip`th on, and how many there are.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn product_page(
        &self,
        _permit: &Permit,
        _skip: u64,
        _most: usize,
    ) -> Result<(Vec<ProductView>, u64), ProductError> {
        todo!()
    }

    /// Gives a product another name or description.
    ///
    /// # Errors
    /// `NotFound`, `NameTaken`, `BadRequest`.
    pub async fn product_update(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _name: Option<&str>,
        _description: Option<&str>,
    ) -> Result<Arc<Product>, ProductError> {
        todo!()
    }

    /// Freezes a product, or lets it change again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_release(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _released: bool,
    ) -> Result<Arc<Product>, ProductError> {
        todo!()
    }

    /// Removes a product without devices, with its secret, models and topic classes.
    ///
    /// # Errors
    /// `NotFound`, `HasDevices`, `Released`.
    pub async fn product_delete(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
    ) -> Result<(), ProductError> {
        todo!()
    }

    /// Turns the dynamic-registration switch; turning it on needs `confirmed` ([AL-2.3]).
    ///
    /// # Errors
    /// `NotFound`, `Unconfirmed`.
    pub async fn product_registration(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _to: DynamicRegistration,
        _confirmed: bool,
    ) -> Result<Arc<Product>, ProductError> {
        todo!()
    }

    /// Sets whether a login must say truly whether its channel is secure.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn product_strict_channel(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _strict: bool,
    ) -> Result<Arc<Product>, ProductError> {
        todo!()
    }

    /// Sets tags (`Some`) and removes tags (`None`).
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn product_tag(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _tags: BTreeMap<String, Option<String>>,
    ) -> Result<Arc<Product>, ProductError> {
        todo!()
    }

    /// Makes a topic class.
    ///
    /// # Errors
    /// `NotFound`, `PartTaken`, `TooManyParts`, `BadRequest`.
    pub async fn topic_create(
        &self,
        _permit: &Permit,
        _key: &ProductKey,
        _suffix: &str,
        _right: TopicRight,
        _description: &str,
    ) -> Result<TopicClass, ProductError> {
        todo!()
    }

    /// Changes a topic class, which is found by its number.
    ///
    /// # Errors
    /// `NoSuchPart`, `PartTaken`, `BadRequest`.
    pub async fn topic_update(
        &self,
        _permit: &Permit,
        _id: u64,
        _suffix: &str,
        _right: TopicRight,
        _description: Option<&str>,
    ) -> Result<TopicClass, ProductError> {
        todo!()
    }

    /// Removes a topic class.
    ///
    /// # Errors
    /// `NoSuchPart`.
    pub async fn topic_delete(&self, _permit: &Permit, _id: u64) -> Result<(), ProductError> {
        todo!()
    }
}
