//! Histories that are damaged on disk are set aside and made anew, and never given out by halves.
#![allow(clippy::unwrap_used, reason = "tests")]

use model::{
    id::{IotId, NodeId, Position, Time},
    port::{Point, Range, Stream},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use store::{Options, Store};

const READER: &str = "history";

fn open(folder: &Path) -> Store {
    Store::open(folder, &Options::of(NodeId::parse("node-1").unwrap())).unwrap()
}

fn point(position: u64) -> Point {
    Point {
        iot_id: IotId::parse("lamp").unwrap(),
        stream: Stream::Property,
        identifier: "Power".into(),
        kind: None,
        at: Time(position.cast_signed()),
        position: Position(position),
        // Longer than what an unfinished write may lack, so that damage falls into a value.
        value: json!(format!("{position:0>1000}")),
    }
}

async fn write(store: &Store, positions: std::ops::RangeInclusive<u64>) {
    for position in positions {
        store.series.append(vec![point(position)]).await.unwrap();
        let kept = store.journal.keep(READER, Position(position)).await;
        kept.unwrap();
    }
}

async fn points(store: &Store) -> Result<Vec<u64>, model::error::Fault> {
    let range = Range {
        iot_id: IotId::parse("lamp").unwrap(),
        stream: Stream::Property,
        identifier: Some("Power".into()),
        kind: None,
        from: Time(i64::MIN),
        to: Time(i64::MAX),
        oldest_first: true,
        most: usize::MAX,
    };
    let points = store.series.range(&range).await?;
    Ok(points.iter().map(|point| point.position.0).collect())
}

/// Turns bytes of a file, those of the first value that is found in it.
fn spoil(path: &Path, value: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(value.len()).position(|seen| seen == value);
    let at = at.expect("the value is in the file");
    bytes[at..at + value.len()].fill(b'#');
    fs::write(path, bytes).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn log(folder: &Path) -> PathBuf {
    let logs = files(folder);
    let mut logs = logs
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "jnl"));
    logs.next().unwrap().clone()
}

/// After power was lost, the write-ahead log may hold a page that never reached the disk: its
/// tree refuses to open. What is in tables stays, the rest comes from the journal again.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_log_is_set_aside_and_the_reader_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, 1..=20).await;
    // Sends what is in memory to tables.
    store.series.expire(Time(0), 1).await.unwrap();
    write(&store, 21..=40).await;
    drop(store);
    let series = folder.path().join("series");
    spoil(&log(&series), &[b'0'; 900]);

    let store = open(folder.path());
    let aside = folder.path().join("series.damaged-1");
    assert!(log(&aside).exists(), "what is damaged is kept");
    let fault = points(&store).await.unwrap_err();
    assert!(fault.retry, "half a history is given to nobody: {fault}");
    let fault = store.series.append(vec![point(41)]).await.unwrap_err();
    assert!(fault.retry, "{fault}");
    assert_eq!(store.journal.kept(READER).await.unwrap(), Position(0));
    let kept = points(&store).await.unwrap();
    assert!(kept.starts_with(&(1..=20).collect::<Vec<_>>()), "{kept:?}");
    write(&store, 1..=40).await;
    assert_eq!(points(&store).await.unwrap(), (1..=40).collect::<Vec<_>>());
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.journal.kept(READER).await.unwrap(), Position(40));
    assert_eq!(points(&store).await.unwrap(), (1..=40).collect::<Vec<_>>());
    assert!(!folder.path().join("series.damaged-2").exists());
}

/// Killed between the log's removal and the readers' return, the next start sends them back.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_lost_its_log_is_known_as_such_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, 1..=3).await;
    drop(store);
    fs::write(folder.path().join("series/log-set-aside"), "").unwrap();
    for _ in 0..2 {
        let store = open(folder.path());
        assert_eq!(store.journal.kept(READER).await.unwrap(), Position(0));
    }
    assert!(!folder.path().join("series/log-set-aside").exists());
}

/// A tree of which tables are damaged is set aside whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_cannot_be_opened_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, 1..=20).await;
    drop(store);
    for file in files(&folder.path().join("series/keyspaces")) {
        fs::write(file, "damaged").unwrap();
    }
    let store = open(folder.path());
    assert_eq!(store.journal.kept(READER).await.unwrap(), Position(0));
    assert!(points(&store).await.unwrap().is_empty());
    assert!(folder.path().join("series.damaged-2/keyspaces").exists());
    write(&store, 1..=20).await;
    assert!(points(&store).await.unwrap().into_iter().eq(1..=20));
}

/// A tree of another version of the library is its owner's to decide over.
#[test]
fn a_tree_of_another_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let version = folder.path().join("series/version");
    let mut bytes = fs::read(&version).unwrap();
    *bytes.last_mut().unwrap() = 99;
    fs::write(&version, bytes).unwrap();
    let options = Options::of(NodeId::parse("node-1").unwrap());
    assert!(Store::open(folder.path(), &options).is_err());
    assert!(!folder.path().join("series.damaged-1").exists());
}
