//! The second engine keeps the contract of every port that it stands behind.
#![allow(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use model::{
    contract::{self, Engine, Make},
    id::NodeId,
};
use postgres::{Address, Options, Registry, cluster::Cluster};
use std::{
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};
use store::Store;
use tempfile::TempDir;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

struct Database;

impl Database {
    async fn open(address: String, folder: TempDir) -> Engine {
        let options = Options {
            connections: 8,
            patience: Duration::from_secs(60),
        };
        let registry = Registry::open(&Address::parse(&address).unwrap(), &options).await;
        let registry = registry.unwrap();
        let node = store::Options::of(NodeId::parse("node-1").unwrap());
        let store = Store::open(folder.path(), &node).unwrap();
        Engine {
            catalog: registry.clone(),
            devices: registry.clone(),
            secrets: registry.clone(),
            series: registry.clone(),
            nonces: registry.clone(),
            commands: registry.clone(),
            presence: store.presence,
            journal: store.journal,
            bus: store.bus,
            data: Box::new((address, folder, Arc::downgrade(&registry))),
            archive: registry.clone(),
            audit: registry,
            log: store.sessions,
        }
    }
}

#[async_trait]
impl Make for Database {
    async fn fresh(&self) -> Engine {
        Self::open(CLUSTER.database(), tempfile::tempdir().unwrap()).await
    }

    async fn reopen(&self, mut engine: Engine) -> Engine {
        let data = std::mem::replace(&mut engine.data, Box::new(()));
        drop(engine);
        let data = data.downcast::<(String, TempDir, Weak<Registry>)>();
        let (address, folder, registry) = *data.unwrap();
        assert!(registry.upgrade().is_none(), "somebody still holds it");
        Self::open(address, folder).await
    }
}

macro_rules! suites {
    ($($port:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $port() {
            contract::$port::all(&Database).await;
        }
    )*};
}

suites! { archive audit catalog commands devices nonces secrets series }
