//! Products and models as devices need them at every message, kept in memory.

use crate::Hub;
use model::{error::Fault, id::ProductKey, product::Product};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc};

/// Products with their published thing models, by key; dropped when they change.
#[derive(Default)]
pub struct Shelf {
    places: RwLock<HashMap<ProductKey, Arc<Product>>>,
}

impl Shelf {
    /// The product, if it is on the shelf.
    pub fn product(&self, key: &ProductKey) -> Option<Arc<Product>> {
        self.places.read().get(key).cloned()
    }
}

impl Hub {
    /// The product; `None` when there is none.
    pub(crate) async fn shelf_product(
        &self,
        key: &ProductKey,
    ) -> Result<Option<Arc<Product>>, Fault> {
        let found = self.document::<Product>("product", key.as_str()).await?;
        let product = found.map(|found| Arc::new(found.value));
        if let Some(product) = &product {
            self.shelf
                .places
                .write()
                .insert(key.clone(), product.clone());
        }
        Ok(product)
    }
}
