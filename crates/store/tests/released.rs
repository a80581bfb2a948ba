//! Registries that released versions wrote are read by this one, and what was in them is there.
//!
//! `tests/schema/N.sql` is a registry as the first release with tables of version N left it. A
//! release that adds a step adds its file here; the files never change.
#![allow(clippy::unwrap_used, reason = "tests")]

use model::{
    archive::Row,
    id::{DeviceKey, IotId, NodeId, ProductKey, Time},
    port::{Burnt, SecretId, Taken},
};
use rusqlite::Connection;
use std::path::Path;
use store::{Options, Store};
use tokio::sync::mpsc;

/// Each released version of the tables, with a registry of its time.
const RELEASED: &[(i64, &str)] = &[(1, include_str!("schema/1.sql"))];

/// What the registry of version 1 holds.
const DEVICE: &str = "bBLOSgWszgHJsGTIilSQVDJAluWOVZ";
const PRODUCT: &str = "a1TsjDk4Zx8";

fn make(folder: &Path, registry: &str) {
    let connection = Connection::open(folder.join("registry.sqlite")).unwrap();
    connection.execute_batch(registry).unwrap();
}

fn open(folder: &Path) -> Store {
    Store::open(folder, &Options::of(NodeId::parse("muster").unwrap())).unwrap()
}

/// The version of the tables and what makes them, as SQLite tells it.
fn tables(folder: &Path) -> (i64, Vec<String>) {
    let connection = Connection::open(folder.join("registry.sqlite")).unwrap();
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let all = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY name";
    let mut statement = connection.prepare(all).unwrap();
    let texts = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let words = texts.map(|text| {
        text.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    });
    (version.unwrap(), words.collect())
}

/// However old it was, a registry ends up with the tables that a new one has.
#[test]
fn every_released_registry_gets_the_tables_of_a_new_one() {
    let new = tempfile::tempdir().unwrap();
    drop(open(new.path()));
    for (version, registry) in RELEASED {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), registry);
        assert_eq!(tables(folder.path()).0, *version);
        drop(open(folder.path()));
        assert_eq!(tables(folder.path()), tables(new.path()), "from {version}");
        drop(open(folder.path()));
    }
}

/// A registry of version 1: rows, counts, secrets, commands, the audit log, and numbers that are
/// not given twice.
#[tokio::test]
async fn what_was_in_a_registry_of_version_1_is_there() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), RELEASED[0].1);
    let store = open(folder.path());
    let (send, mut receive) = mpsc::channel(1_000);
    store.archive.dump(send).await.unwrap();
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
    assert_eq!(store.devices.find(&key).await.unwrap().unwrap().iot_id, id);
    let count = store
        .devices
        .count(&ProductKey::parse(PRODUCT).unwrap())
        .await;
    assert_eq!(count.unwrap().registered, 2);
    let secret = store.secrets.find(&SecretId::Device(id.clone())).await;
    assert!(secret.unwrap().is_some());
    let waiting = store.commands.waiting(&id, Time(0), 9).await.unwrap();
    assert_eq!(waiting[0].id.0, 1);
    let last = waiting[0].clone();
    let next = store
        .commands
        .push(&key, &id, &last.order, last.created, last.until, 9);
    assert_eq!(next.await.unwrap().unwrap().id.0, 2);
    assert_eq!(store.catalog.next("topic").await.unwrap(), 4);
    assert_eq!(store.audit.last().await.unwrap().unwrap().seq, 13);
}

/// Single-use tokens that a registry of version 1 kept in tables count on.
#[tokio::test]
async fn what_was_used_up_in_a_registry_of_version_1_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), RELEASED[0].1);
    let old = Connection::open(folder.path().join("registry.sqlite")).unwrap();
    let rows = "DELETE FROM challenge; INSERT INTO challenge VALUES ('o', 'c', 50);
         DELETE FROM burnt; INSERT INTO burnt VALUES ('o', 'b', 60)";
    old.execute_batch(rows).unwrap();
    drop(old);
    for taken in [Taken::Yes, Taken::No] {
        let store = open(folder.path());
        let nonces = &store.nonces;
        let burnt = nonces.burn("b", "o", Time(1), Time(60)).await;
        assert_eq!(burnt.unwrap(), Burnt::Seen);
        assert_eq!(nonces.take("c", "o", Time(1)).await.unwrap(), taken);
    }
}
