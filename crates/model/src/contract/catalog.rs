//! `Catalog`: documents that people edit.

use super::{Engine, Make, race};
use crate::port::{Catalog, Change, Entry, Expect, Put};
use bytes::Bytes;

const KIND: &str = "product";

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    what_is_put_is_there_with_a_growing_version(make).await;
    conditions_hold(make).await;
    all_changes_happen_or_none(make).await;
    of_many_racing_for_a_version_one_wins(make).await;
    pages_are_in_key_order_within_a_prefix(make).await;
    sequences_never_give_a_number_twice(make).await;
    what_is_done_survives_a_restart(make).await;
}

fn put(key: &str, value: &str, expect: Expect) -> Put {
    Put {
        kind: KIND,
        key: key.into(),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        expect,
    }
}

fn remove(key: &str, expect: Expect) -> Put {
    Put {
        value: None,
        ..put(key, "", expect)
    }
}

fn entry(key: &str, value: &str, version: u64) -> Entry {
    Entry {
        key: key.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        version,
    }
}

async fn keys(
    catalog: &dyn Catalog,
    prefix: &str,
    after: Option<&str>,
    most: usize,
) -> Vec<String> {
    let entries = catalog.list(KIND, prefix, after, most).await.unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

/// "The version grows with every put, from 1", and kinds are apart.
pub async fn what_is_put_is_there_with_a_growing_version(make: &dyn Make) {
    let Engine {
        catalog,
        data: _data,
        ..
    } = make.fresh().await;
    assert_eq!(catalog.get(KIND, "a").await.unwrap(), None);
    for (version, value) in [(1, "{}"), (2, "{\"x\":1}"), (3, "{\"x\":1}")] {
        let change = catalog.put(vec![put("a", value, Expect::Anything)]).await;
        assert_eq!(change.unwrap(), Change::Done(version));
        let found = catalog.get(KIND, "a").await.unwrap();
        assert_eq!(found, Some(entry("a", value, version)));
    }
    assert_eq!(catalog.get("account", "a").await.unwrap(), None);
    assert_eq!(catalog.count("account", "").await.unwrap(), 0);
    let gone = catalog.put(vec![remove("a", Expect::Anything)]).await;
    assert_eq!(gone.unwrap(), Change::Done(0));
    assert_eq!(catalog.get(KIND, "a").await.unwrap(), None);
    assert_eq!(catalog.put(Vec::new()).await.unwrap(), Change::Done(0));
}

/// "What must be true for a `put` or a `remove` to happen."
pub async fn conditions_hold(make: &dyn Make) {
    let Engine {
        catalog,
        data: _data,
        ..
    } = make.fresh().await;
    let one = async |put: Put| catalog.put(vec![put]).await.unwrap();
    assert_eq!(
        one(put("a", "1", Expect::Version(1))).await,
        Change::Conflict
    );
    assert_eq!(one(remove("a", Expect::Version(1))).await, Change::Conflict);
    assert_eq!(one(put("a", "1", Expect::Absent)).await, Change::Done(1));
    assert_eq!(one(put("a", "2", Expect::Absent)).await, Change::Conflict);
    assert_eq!(
        one(put("a", "2", Expect::Version(2))).await,
        Change::Conflict
    );
    assert_eq!(
        one(put("a", "2", Expect::Version(1))).await,
        Change::Done(2)
    );
    assert_eq!(one(remove("a", Expect::Version(1))).await, Change::Conflict);
    let found = catalog.get(KIND, "a").await.unwrap();
    assert_eq!(found, Some(entry("a", "2", 2)));
    assert_eq!(one(remove("a", Expect::Version(2))).await, Change::Done(0));
}

/// "Makes all changes in turn, or none when one condition does not hold."
pub async fn all_changes_happen_or_none(make: &dyn Make) {
    let Engine {
        catalog,
        data: _data,
        ..
    } = make.fresh().await;
    let first = vec![
        put("a", "1", Expect::Absent),
        put("b", "1", Expect::Absent),
        put("a", "2", Expect::Version(1)),
    ];
    assert_eq!(catalog.put(first).await.unwrap(), Change::Done(2));
    let second = vec![
        put("c", "1", Expect::Absent),
        remove("a", Expect::Anything),
        put("b", "2", Expect::Version(7)),
    ];
    assert_eq!(catalog.put(second).await.unwrap(), Change::Conflict);
    assert_eq!(keys(&*catalog, "", None, 9).await, ["a", "b"]);
    let found = catalog.get(KIND, "a").await.unwrap();
    assert_eq!(found, Some(entry("a", "2", 2)));
}

/// Of many that change the same version at once, one succeeds.
pub async fn of_many_racing_for_a_version_one_wins(make: &dyn Make) {
    let Engine {
        catalog,
        data: _data,
        ..
    } = make.fresh().await;
    for (round, expect) in [Expect::Absent, Expect::Version(1), Expect::Version(2)]
        .into_iter()
        .enumerate()
    {
        let results = race(32, |i| {
            let catalog = catalog.clone();
            async move {
                let put = put("a", &i.to_string(), expect);
                catalog.put(vec![put]).await.unwrap() != Change::Conflict
            }
        })
        .await;
        let winners: Vec<_> = (0..32).filter(|i| results[*i]).collect();
        assert_eq!(winners.len(), 1);
        let found = catalog.get(KIND, "a").await.unwrap().unwrap();
        let expected = entry("a", &winners[0].to_string(), round as u64 + 1);
        assert_eq!(found, expected);
    }
}

/// "Entries whose keys start with `prefix` and are greater than `after`, in key order."
pub async fn pages_are_in_key_order_within_a_prefix(make: &dyn Make) {
    let Engine {
        catalog,
        data: _data,
        ..
    } = make.fresh().await;
    let all = [
        "a",
        "a/",
        "a/1",
        "a/10",
        "a/2",
        "a/é",
        "a/\u{10ffff}",
        "a0",
        "b/1",
        "B/1",
    ];
    let puts = all.iter().rev().map(|key| put(key, "{}", Expect::Absent));
    catalog.put(puts.collect()).await.unwrap();
    let within = ["a/", "a/1", "a/10", "a/2", "a/é", "a/\u{10ffff}"];
    assert_eq!(keys(&*catalog, "a/", None, 99).await, within);
    assert_eq!(keys(&*catalog, "a/", None, 2).await, within[..2]);
    assert_eq!(keys(&*catalog, "a/", Some("a/1"), 2).await, within[2..4]);
    assert_eq!(keys(&*catalog, "a/", Some("a"), 99).await, within);
    assert_eq!(keys(&*catalog, "a/", Some("b"), 99).await, [""; 0]);
    assert_eq!(keys(&*catalog, "a/", None, 0).await, [""; 0]);
    assert_eq!(keys(&*catalog, "%", None, 9).await, [""; 0]);
    assert_eq!(keys(&*catalog, "", None, 99).await.len(), all.len());
    assert_eq!(catalog.count(KIND, "a/").await.unwrap(), 6);
    assert_eq!(catalog.count(KIND, "").await.unwrap(), all.len() as u64);
    assert_eq!(catalog.count(KIND, "x").await.unwrap(), 0);
}

/// "The next number of a sequence, from 1, never given twice."
pub async fn sequences_never_give_a_number_twice(make: &dyn Make) {
    let engine = make.fresh().await;
    let mut numbers = race(64, |_| {
        let catalog = engine.catalog.clone();
        async move { catalog.next("topic").await.unwrap() }
    })
    .await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
    assert_eq!(engine.catalog.next("other").await.unwrap(), 1);
    let engine = make.reopen(engine).await;
    assert_eq!(engine.catalog.next("topic").await.unwrap(), 65);
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    let puts = vec![
        put("a", "1", Expect::Absent),
        put("b", "1", Expect::Absent),
        put("a", "2", Expect::Anything),
        remove("b", Expect::Anything),
    ];
    engine.catalog.put(puts).await.unwrap();
    let engine = make.reopen(engine).await;
    let found = engine.catalog.get(KIND, "a").await.unwrap();
    assert_eq!(found, Some(entry("a", "2", 2)));
    assert_eq!(engine.catalog.get(KIND, "b").await.unwrap(), None);
}
