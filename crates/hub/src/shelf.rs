//! Products and models as devices need them at every message, kept in memory.

use crate::{Hub, product::PRODUCT, thing_model::Published};
use model::{
    error::Fault,
    id::{ProductKey, Time},
    product::Product,
    thing::Tsl,
};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc};

/// Products kept at once; beyond that one makes room for another.
const MOST: usize = 10_000;
/// How old an entry may be before it is read again, in milliseconds. A change in this process is
/// seen at once; this bounds how long a change made by another process of a cluster stays unseen.
const FRESH: i64 = 5_000;

/// Products with their published thing models, by key; replaced when they change.
#[derive(Default)]
pub struct Shelf {
    places: RwLock<Places>,
}

#[derive(Default)]
struct Places {
    by_key: HashMap<ProductKey, Shelved>,
    /// Grows whenever something is taken off, so that a reader that began before that does not
    /// put it back.
    epoch: u64,
}

#[derive(Clone)]
struct Shelved {
    product: Arc<Product>,
    product_version: u64,
    model: Option<Arc<ShelvedModel>>,
    model_version: u64,
    read: Time,
}

/// The model that devices of a product are held to.
pub(crate) struct ShelvedModel {
    /// Its version name.
    pub(crate) version: String,
    /// The model.
    pub(crate) tsl: Tsl,
}

enum Look {
    Fresh(Shelved),
    /// Too old, and this caller is the one to read it again.
    Stale(Shelved),
    Missing,
}

impl Shelf {
    /// The product, if it is on the shelf; however old the entry is.
    pub fn product(&self, key: &ProductKey) -> Option<Arc<Product>> {
        let places = self.places.read();
        Some(Arc::clone(&places.by_key.get(key)?.product))
    }

    fn look(&self, key: &ProductKey, now: Time) -> Look {
        let fresh = |place: &Shelved| (0..FRESH).contains(&now.since(place.read));
        {
            let places = self.places.read();
            match places.by_key.get(key) {
                None => return Look::Missing,
                Some(place) if fresh(place) => return Look::Fresh(place.clone()),
                Some(_) => {}
            }
        }
        match self.places.write().by_key.get_mut(key) {
            None => Look::Missing,
            Some(place) if fresh(place) => Look::Fresh(place.clone()),
            Some(place) => {
                place.read = now;
                Look::Stale(place.clone())
            }
        }
    }

    fn epoch(&self) -> u64 {
        self.places.read().epoch
    }

    /// Puts what was read since `epoch`, unless something newer is there.
    fn fill(&self, key: &ProductKey, read: &Shelved, epoch: u64) {
        let mut places = self.places.write();
        if places.epoch != epoch {
            return;
        }
        if let Some(place) = places.by_key.get_mut(key) {
            if read.product_version >= place.product_version {
                place.product = Arc::clone(&read.product);
                place.product_version = read.product_version;
            }
            if read.model_version >= place.model_version {
                place.model.clone_from(&read.model);
                place.model_version = read.model_version;
            }
            place.read = read.read;
            return;
        }
        if places.by_key.len() >= MOST
            && let Some(any) = places.by_key.keys().next().cloned()
        {
            places.by_key.remove(&any);
        }
        places.by_key.insert(key.clone(), read.clone());
    }

    /// Replaces the product where it is on the shelf.
    fn set_product(&self, product: &Arc<Product>, version: u64) {
        let mut places = self.places.write();
        if let Some(place) = places.by_key.get_mut(&product.key)
            && version >= place.product_version
        {
            place.product = Arc::clone(product);
            place.product_version = version;
        }
    }

    /// The catalog has no such product. Logins with made-up keys end here, and must not keep
    /// other entries from being filled in.
    fn missed(&self, key: &ProductKey) {
        if self.product(key).is_some() {
            self.take_off(key);
        }
    }

    fn take_off(&self, key: &ProductKey) {
        let mut places = self.places.write();
        places.by_key.remove(key);
        places.epoch += 1;
    }

    /// To be held while a product or its model is changed in the catalog. Unless the change is
    /// told with `product`, the entry is taken off when this goes out of scope; a caller that is
    /// dropped half-way leaves no stale entry behind.
    pub(crate) fn changing<'a>(&'a self, key: &'a ProductKey) -> Changing<'a> {
        Changing {
            shelf: self,
            key,
            told: false,
        }
    }
}

/// See `Shelf::changing`.
pub(crate) struct Changing<'a> {
    shelf: &'a Shelf,
    key: &'a ProductKey,
    told: bool,
}

impl Changing<'_> {
    /// The product has become this, and nothing else has changed.
    pub(crate) fn product(mut self, product: &Arc<Product>, version: u64) {
        self.shelf.set_product(product, version);
        self.told = true;
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.shelf.take_off(self.key);
        }
    }
}

impl Hub {
    /// The product; `None` when there is none.
    pub(crate) async fn shelf_product(
        &self,
        key: &ProductKey,
    ) -> Result<Option<Arc<Product>>, Fault> {
        Ok(self.shelf_find(key).await?.map(|place| place.product))
    }

    /// The published model of a product that has one.
    pub(crate) async fn shelf_model(
        &self,
        key: &ProductKey,
    ) -> Result<Option<Arc<ShelvedModel>>, Fault> {
        let place = self.shelf_find(key).await?;
        Ok(place.and_then(|place| place.model))
    }

    async fn shelf_find(&self, key: &ProductKey) -> Result<Option<Shelved>, Fault> {
        let now = self.now();
        match self.shelf.look(key, now) {
            Look::Fresh(place) => Ok(Some(place)),
            Look::Stale(place) => self.shelf_read(key, Some(place)).await,
            Look::Missing => self.shelf_read(key, None).await,
        }
    }

    async fn shelf_read(
        &self,
        key: &ProductKey,
        known: Option<Shelved>,
    ) -> Result<Option<Shelved>, Fault> {
        let epoch = self.shelf.epoch();
        let entry = self.document::<Product>(PRODUCT, key.as_str()).await?;
        let Some(entry) = entry else {
            self.shelf.missed(key);
            return Ok(None);
        };
        let (model, model_version) = match self.model_head(key).await? {
            None => (None, 0),
            Some(head)
                if known
                    .as_ref()
                    .is_some_and(|k| k.model_version == head.version) =>
            {
                (known.and_then(|known| known.model), head.version)
            }
            Some(head) => {
                let model = self.model_newest(key, &head.value).await?;
                (model.map(|m| Arc::new(shelved(m))), head.version)
            }
        };
        let place = Shelved {
            model: model.filter(|_| entry.value.modelled),
            product: Arc::new(entry.value),
            product_version: entry.version,
            model_version,
            read: self.now(),
        };
        self.shelf.fill(key, &place, epoch);
        Ok(Some(place))
    }
}

fn shelved(model: Published) -> ShelvedModel {
    ShelvedModel {
        version: model.version.version,
        tsl: model.tsl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Stage;
    use model::product::DynamicRegistration;

    /// Whoever makes up product keys does not keep others from being put on the shelf.
    #[tokio::test]
    async fn a_look_for_nothing_disturbs_nobody() {
        let stage = Stage::set().await;
        let shelf = &stage.hub.shelf;
        let none = ProductKey::parse("none").unwrap();
        let epoch = shelf.epoch();
        assert!(stage.hub.shelf_product(&none).await.unwrap().is_none());
        assert_eq!(shelf.epoch(), epoch);
        let (product, _) = stage.product(DynamicRegistration::Off).await;
        let found = stage.hub.shelf_product(&product.key).await.unwrap();
        assert!(found.is_some() && shelf.product(&product.key).is_some());
    }
}
