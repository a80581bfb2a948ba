//! When devices were last seen to come and go.
//!
//! It changes with every connection, so it is not written into the devices' rows: among a million
//! of them nearly each change would be a page of its own in SQLite, and each commit voids what
//! readers have cached of all the others. It lies over the rows, in the LSM tree, and is as
//! durable as the facts that it is made from.

use crate::lsm::{Lsm, Trees};
use fjall::Readable;
use model::{
    device::Device,
    error::Fault,
    id::{IotId, Time},
    port::Seen,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// Rows that are removed in one step.
const STEP: usize = 4096;

/// What is known of one device. The later time stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sighting {
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offline: Option<Time>,
    /// Where it came from at `online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

impl Sighting {
    fn add(&mut self, seen: Self) {
        if seen.online.is_some() && seen.online >= self.online {
            self.online = seen.online;
            self.address = seen.address.or(self.address.take());
        }
        self.offline = self.offline.max(seen.offline);
    }

    fn lay_over(self, device: &mut Device) {
        if self.online.is_some() && self.online >= device.online {
            device.online = self.online;
            if let Some(address) = self.address {
                device.address = address;
            }
        }
        device.offline = device.offline.max(self.offline);
    }

    /// Both times, the least number for none, and then the address.
    fn bytes(&self) -> Vec<u8> {
        let time = |time: Option<Time>| time.map_or(i64::MIN, |time| time.0).to_be_bytes();
        let address = self.address.as_deref().unwrap_or_default().as_bytes();
        [&time(self.online)[..], &time(self.offline), address].concat()
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (online, rest) = bytes.split_first_chunk()?;
        let (offline, address) = rest.split_first_chunk()?;
        let time = |bytes: &[u8; 8]| Some(i64::from_be_bytes(*bytes)).filter(|t| *t != i64::MIN);
        let address = std::str::from_utf8(address).ok()?;
        Some(Self {
            online: time(online).map(Time),
            offline: time(offline).map(Time),
            address: (!address.is_empty()).then(|| address.to_owned()),
        })
    }
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Sightings {
    lsm: Arc<Lsm>,
    /// One change at a time: what is there is read and then written.
    changing: Arc<Mutex<()>>,
}

impl Sightings {
    pub(crate) fn new(lsm: Arc<Lsm>) -> Self {
        Self {
            lsm,
            changing: Arc::default(),
        }
    }

    /// Puts what is known into the row. While the tree cannot be read, the row stays as it is:
    /// nobody is kept out for the want of a date.
    pub(crate) fn lay_over(&self, device: &mut Device) {
        let found = self
            .lsm
            .read(|trees| trees.sightings.get(device.iot_id.as_str()));
        match found {
            Ok(Some(bytes)) => {
                if let Some(sighting) = Sighting::read(&bytes) {
                    sighting.lay_over(device);
                }
            }
            Ok(None) => {}
            Err(fault) => tracing::debug!(%fault, "a device's last connection is not known"),
        }
    }

    /// Adds what was seen. Blocks.
    pub(crate) fn note(&self, seen: impl Iterator<Item = Seen>) -> Result<(), Fault> {
        let seen = seen.map(|seen| {
            let sighting = Sighting {
                online: seen.online,
                offline: seen.offline,
                address: seen.address,
            };
            (seen.iot_id, sighting)
        });
        self.put(seen)
    }

    /// Adds what a backup has. Blocks.
    pub(crate) fn put(&self, seen: impl Iterator<Item = (IotId, Sighting)>) -> Result<(), Fault> {
        let _alone = self.changing.lock();
        let mut sum: HashMap<IotId, Sighting> = HashMap::new();
        for (id, sighting) in seen {
            sum.entry(id).or_default().add(sighting);
        }
        self.lsm.write(|trees| {
            let mut batch = trees.db.batch();
            for (id, new) in sum {
                let known = trees.sightings.get(id.as_str())?;
                let mut known = known.and_then(|bytes| Sighting::read(&bytes));
                let known = known.get_or_insert_default();
                known.add(new);
                batch.insert(&trees.sightings, id.as_str(), known.bytes());
            }
            Trees::commit(batch)
        })
    }

    /// Forgets a device. Blocks.
    pub(crate) fn forget(&self, id: &IotId) -> Result<(), Fault> {
        let _alone = self.changing.lock();
        self.lsm.write(|trees| trees.sightings.remove(id.as_str()))
    }

    /// Forgets all. Blocks.
    pub(crate) fn clear(&self) -> Result<(), Fault> {
        let _alone = self.changing.lock();
        loop {
            let more = self.lsm.write(|trees| {
                let mut batch = trees.db.batch();
                let mut some = false;
                for row in trees.db.snapshot().iter(&trees.sightings).take(STEP) {
                    batch.remove(&trees.sightings, row.key()?);
                    some = true;
                }
                Trees::commit(batch).map(|()| some)
            })?;
            if !more {
                return Ok(());
            }
        }
    }
}
