//! The embedded engine keeps the contract of every port.
#![allow(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use model::{
    contract::{self, Engine, Make},
    id::NodeId,
};
use store::{Options, Store};
use tempfile::TempDir;

struct Embedded;

impl Embedded {
    fn open(folder: TempDir) -> Engine {
        let options = Options {
            // Small, so that the suites see several segments.
            segment_bytes: 8 << 10,
            journal_queue_bytes: 1 << 20,
            write_queue: 16,
            ..Options::of(NodeId::parse("node-1").unwrap())
        };
        let store = Store::open(folder.path(), &options).unwrap();
        Engine {
            catalog: store.catalog,
            devices: store.devices,
            secrets: store.secrets,
            series: store.series,
            nonces: store.nonces,
            commands: store.commands,
            presence: store.presence,
            journal: store.journal,
            bus: store.bus,
            audit: store.audit,
            log: store.sessions,
            archive: store.archive,
            data: Box::new(folder),
        }
    }
}

#[async_trait]
impl Make for Embedded {
    async fn fresh(&self) -> Engine {
        Self::open(tempfile::tempdir().unwrap())
    }

    async fn reopen(&self, mut engine: Engine) -> Engine {
        let data = std::mem::replace(&mut engine.data, Box::new(()));
        drop(engine);
        Self::open(*data.downcast().unwrap())
    }
}

macro_rules! suites {
    ($($port:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $port() {
            contract::$port::all(&Embedded).await;
        }
    )*};
}

suites! { archive audit bus catalog commands devices journal log nonces presence secrets series }
