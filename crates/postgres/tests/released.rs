//! Databases that released versions wrote are read by this one, and what was in them is there.
//!
//! `tests/schema/N.sql` is a database as the first release with tables of version N left it. A
//! release that adds a step adds its file here; the files never change.
#![allow(clippy::unwrap_used, reason = "tests")]

use model::{
    archive::{Archive, Row},
    id::{DeviceKey, IotId, ProductKey, Time},
    port::{Audit, Catalog, Commands, Devices, SecretId, Secrets},
};
use postgres::{Address, Options, Registry, cluster::Cluster};
use std::sync::{Arc, LazyLock};
use tokio::sync::mpsc;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// Each released version of the tables, with a database of its time.
const RELEASED: &[(&str, &str)] = &[("1", include_str!("schema/1.sql"))];

/// What the database of version 1 holds.
const DEVICE: &str = "5vUFU6El5sxi24f9GBSEqHRH7h36NY";
const PRODUCT: &str = "a1SjJuMXTxz";

fn name(address: &str) -> &str {
    address.rsplit('/').next().unwrap()
}

fn make(database: &str) -> String {
    let address = CLUSTER.database();
    CLUSTER.sql(name(&address), database);
    address
}

async fn open(address: &str) -> Arc<Registry> {
    let address = Address::parse(address).unwrap();
    Registry::open(&address, &Options::default()).await.unwrap()
}

/// Columns, indexes and sequences, as PostgreSQL tells them.
fn tables(address: &str) -> String {
    let all = "SELECT table_name, column_name, data_type, is_nullable, collation_name,
            column_default, is_identity, generation_expression
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2;
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1;
        SELECT relname, reloptions FROM pg_class
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1;
        SELECT sequencename, min_value, max_value, cycle FROM pg_sequences ORDER BY 1";
    CLUSTER.sql(name(address), all)
}

/// However old it was, a database ends up with the tables that a new one has.
#[tokio::test(flavor = "multi_thread")]
async fn every_released_database_gets_the_tables_of_a_new_one() {
    let new = CLUSTER.database();
    open(&new).await;
    let versions = "SELECT version FROM muster_schema";
    for (version, database) in RELEASED {
        let address = make(database);
        assert_eq!(CLUSTER.sql(name(&address), versions), *version);
        open(&address).await;
        let same = CLUSTER.sql(name(&address), versions) == CLUSTER.sql(name(&new), versions);
        assert!(same, "from {version}");
        assert_eq!(tables(&address), tables(&new), "from {version}");
    }
}

/// A database of version 1: rows, counts, secrets, commands, the audit log, and numbers that are
/// not given twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_a_database_of_version_1_is_there() {
    let registry = open(&make(RELEASED[0].1)).await;
    let (send, mut receive) = mpsc::channel(1_000);
    registry.dump(send).await.unwrap();
    let mut rows = Vec::new();
    while let Some(row) = receive.recv().await {
        rows.push(row);
    }
    let many = |kind: fn(&Row) -> bool| rows.iter().filter(|row| kind(row)).count();
    assert_eq!(many(|row| matches!(row, Row::Entry { .. })), 22);
    assert_eq!(many(|row| matches!(row, Row::Device(_))), 2);
    assert_eq!(many(|row| matches!(row, Row::Secret { .. })), 12);
    assert_eq!(many(|row| matches!(row, Row::Command(_))), 1);
    assert_eq!(many(|row| matches!(row, Row::Audit(_))), 13);

    let key = DeviceKey::parse(PRODUCT, "kitchen").unwrap();
    let id = IotId::parse(DEVICE).unwrap();
    let found = Devices::find(&*registry, &key).await.unwrap();
    assert_eq!(found.unwrap().iot_id, id);
    let count = Devices::count(&*registry, &ProductKey::parse(PRODUCT).unwrap()).await;
    assert_eq!(count.unwrap().registered, 2);
    let secret = Secrets::find(&*registry, &SecretId::Device(id.clone())).await;
    assert!(secret.unwrap().is_some());
    let waiting = registry.waiting(&id, Time(0), 9).await.unwrap();
    assert_eq!(waiting[0].id.0, 1);
    let last = waiting[0].clone();
    let next = registry.push(&key, &id, &last.order, last.created, last.until, 9);
    assert_eq!(next.await.unwrap().unwrap().id.0, 2);
    assert_eq!(registry.next("topic").await.unwrap(), 4);
    assert_eq!(registry.last().await.unwrap().unwrap().seq, 13);
}
