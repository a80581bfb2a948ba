//! Who is connected, in memory.

use async_trait::async_trait;
use model::{
    error::Fault,
    id::{IotId, ProductKey, SessionId},
    port::{Place, Presence},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

const SHARDS: usize = 64;

/// Places of devices, in shards that lock apart.
pub(crate) struct Places {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    places: HashMap<IotId, (ProductKey, Place)>,
    online: HashMap<ProductKey, u64>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Places {
    fn shard(&self, id: &IotId) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(id);
        &self.shards[hash as usize % SHARDS]
    }
}

impl Shard {
    fn discount(&mut self, product: &ProductKey) {
        if let Some(online) = self.online.get_mut(product) {
            *online -= 1;
            if *online == 0 {
                self.online.remove(product);
            }
        }
    }
}

#[async_trait]
impl Presence for Places {
    async fn arrive(
        &self,
        id: &IotId,
        product: &ProductKey,
        place: Place,
    ) -> Result<Option<Place>, Fault> {
        let mut shard = self.shard(id).lock();
        *shard.online.entry(product.clone()).or_default() += 1;
        let former = shard.places.insert(id.clone(), (product.clone(), place));
        Ok(former.map(|(product, place)| {
            shard.discount(&product);
            place
        }))
    }

    async fn leave(&self, id: &IotId, session: SessionId) -> Result<bool, Fault> {
        let mut shard = self.shard(id).lock();
        match shard.places.get(id) {
            Some((_, place)) if place.session == session => {}
            _ => return Ok(false),
        }
        if let Some((product, _)) = shard.places.remove(id) {
            shard.discount(&product);
        }
        Ok(true)
    }

    async fn find(&self, id: &IotId) -> Result<Option<Place>, Fault> {
        let shard = self.shard(id).lock();
        Ok(shard.places.get(id).map(|(_, place)| place.clone()))
    }

    async fn online(&self, product: &ProductKey) -> Result<u64, Fault> {
        let count = |shard: &Mutex<Shard>| shard.lock().online.get(product).copied();
        Ok(self.shards.iter().filter_map(count).sum())
    }
}
