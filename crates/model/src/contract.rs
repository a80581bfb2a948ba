//! What every engine must do, as tests that run against any engine (feature `contract`).
//!
//! Each suite is a module named for its port. Its functions prove one guarantee each, which they
//! quote; `all` runs them one after the other, each on an engine of its own.
#![allow(clippy::unwrap_used, reason = "suites are tests")]

pub mod archive;
pub mod audit;
pub mod bus;
pub mod catalog;
pub mod commands;
pub mod devices;
pub mod journal;
pub mod log;
pub mod nonces;
pub mod presence;
pub mod secrets;
pub mod series;

use crate::{
    archive::Archive,
    id::{DeviceKey, IotId, ProductKey},
    port::{
        Audit, Bus, Catalog, Commands, Devices, Journal, Log, Nonces, Presence, Secrets, Series,
    },
};
use async_trait::async_trait;
use std::{any::Any, future::Future, sync::Arc};

/// An engine under test.
pub struct Engine {
    /// What people edit.
    pub catalog: Arc<dyn Catalog>,
    /// Device rows.
    pub devices: Arc<dyn Devices>,
    /// Sealed secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Histories.
    pub series: Arc<dyn Series>,
    /// Single-use things.
    pub nonces: Arc<dyn Nonces>,
    /// Commands that wait for a device.
    pub commands: Arc<dyn Commands>,
    /// Who is connected where.
    pub presence: Arc<dyn Presence>,
    /// Facts.
    pub journal: Arc<dyn Journal>,
    /// Between the nodes.
    pub bus: Arc<dyn Bus>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// Opaque records.
    pub log: Arc<dyn Log>,
    /// All that the row-keeping ports keep, as rows.
    pub archive: Arc<dyn Archive>,
    /// Whatever the maker needs to open the engine again. Held while the engine is used.
    pub data: Box<dyn Any + Send + Sync>,
}

/// Makes engines for the suites.
#[async_trait]
pub trait Make: Send + Sync {
    /// An engine in which nothing is.
    async fn fresh(&self) -> Engine;
    /// Ends the engine and starts it again on what it left on disk. Suites hold no other handle
    /// to it when they call this.
    async fn reopen(&self, engine: Engine) -> Engine;
}

/// Runs `task` `many` times at once, and gives back what each found, by its number.
async fn race<F>(many: usize, task: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = (0..many).map(|i| tokio::spawn(task(i))).collect();
    let mut results = Vec::with_capacity(many);
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

fn product(text: &str) -> ProductKey {
    ProductKey::parse(text).unwrap()
}

fn iot_id(text: &str) -> IotId {
    IotId::parse(text).unwrap()
}

fn device_key(product: &str, name: &str) -> DeviceKey {
    DeviceKey::parse(product, name).unwrap()
}
