//! What a backup owes: all that was acknowledged before it began, none of what a cut leaves out.

use super::*;
use crate::{Options, Store};
use model::{
    device::Device,
    fact::{Fact, What},
    id::{AccountId, DeviceKey, IotId, NodeId, Time},
    port::{NewDevice, Point, Put, Range, Seen, Stream},
};
use serde_json::json;
use std::io::{BufReader, Write};

const READER: &str = "history";

fn options() -> Options {
    Options {
        segment_bytes: 2_000,
        ..Options::of(NodeId::parse("one").unwrap())
    }
}

fn fact(number: u64) -> Fact {
    Fact {
        at: Time(number.cast_signed() * 1_000),
        device: DeviceKey::parse("pk", "lamp").unwrap(),
        iot_id: IotId::parse("id").unwrap(),
        what: What::PropertiesPosted {
            values: vec![(
                "level".into(),
                json!(number),
                Time(number.cast_signed() * 1_000),
            )],
        },
    }
}

fn device() -> NewDevice {
    NewDevice {
        device: Device {
            key: DeviceKey::parse("pk", "lamp").unwrap(),
            iot_id: IotId::parse("id").unwrap(),
            account: AccountId::parse("1").unwrap(),
            nickname: String::new(),
            created: Time(1),
            activated: None,
            disabled: false,
            online: None,
            offline: None,
            address: String::new(),
            firmware: String::new(),
            tags: std::collections::BTreeMap::new(),
            credential: 0,
            version: 1,
        },
        secret: b"sealed".as_slice().into(),
    }
}

fn point(number: u64) -> Point {
    Point {
        iot_id: IotId::parse("id").unwrap(),
        stream: Stream::Property,
        identifier: "level".into(),
        kind: None,
        at: Time(number.cast_signed() * 1_000),
        position: Position(number),
        value: json!(number),
    }
}

/// Journals facts, and keeps the histories of all but the last `behind` of them.
async fn post(store: &Store, numbers: std::ops::RangeInclusive<u64>, behind: u64) {
    let end = *numbers.end();
    for number in numbers {
        let at = store.journal.append(fact(number)).await.unwrap();
        assert_eq!(at, Position(number));
        if number + behind <= end {
            store.series.append(vec![point(number)]).await.unwrap();
            store.journal.keep(READER, at).await.unwrap();
        }
    }
}

async fn name(store: &Store, key: &str) {
    let put = Put {
        kind: "thing",
        key: key.into(),
        value: Some(b"value".as_slice().into()),
        expect: model::port::Expect::Absent,
    };
    store.catalog.put(vec![put]).await.unwrap();
}

/// Copies a moment into a folder, histories beside it.
fn copy(moment: Moment, folder: &Path) -> Vec<(String, bool, usize)> {
    let mut copied = Vec::new();
    for part in moment.parts {
        let (path, sealed, known) = (part.path.clone(), part.sealed, part.bytes);
        let mut bytes = Vec::new();
        let mut read = part.open(&mut |_| Ok(())).unwrap();
        read.read_to_end(&mut bytes).unwrap();
        assert!(known.is_none_or(|known| known == bytes.len() as u64));
        let to = folder.join(&path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        File::create(&to).unwrap().write_all(&bytes).unwrap();
        copied.push((path, sealed, bytes.len()));
    }
    copied
}

fn back(folder: &Path, until: Option<Position>) -> u64 {
    let lines = BufReader::new(File::open(folder.join(HISTORIES)).unwrap());
    restore_histories(folder, &options(), lines, until).unwrap()
}

async fn levels(store: &Store) -> Vec<u64> {
    let range = Range {
        iot_id: IotId::parse("id").unwrap(),
        stream: Stream::Property,
        identifier: Some("level".into()),
        kind: None,
        from: Time(0),
        to: Time(i64::MAX),
        oldest_first: true,
        most: 10_000,
    };
    let points = store.series.range(&range).await.unwrap();
    points.iter().map(|point| point.position.0).collect()
}

/// When a device was last seen comes with the copy, and lies over its row.
#[tokio::test]
async fn a_copy_knows_when_devices_were_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data"), &options()).unwrap();
    let seen = |online: Option<i64>, offline: Option<i64>, address: Option<&str>| Seen {
        iot_id: IotId::parse("id").unwrap(),
        online: online.map(Time),
        offline: offline.map(Time),
        address: address.map(str::to_owned),
    };
    store.devices.insert(vec![device()], 10).await.unwrap();
    let first = seen(Some(5), Some(7), Some("192.0.2.1"));
    store.devices.seen(vec![first]).await.unwrap();
    let moment = store.copier.moment().unwrap();
    let later = seen(Some(9), None, Some("192.0.2.2"));
    store.devices.seen(vec![later]).await.unwrap();
    let to = folder.path().join("copy");
    copy(moment, &to);
    back(&to, None);
    drop(store);
    let store = Store::open(&to, &options()).unwrap();
    let key = device().device.key;
    let found = store.devices.find(&key).await.unwrap().unwrap();
    assert_eq!(
        (found.online, found.offline, found.address.as_str()),
        (Some(Time(5)), Some(Time(7)), "192.0.2.1")
    );
}

/// What comes after the moment is not in the copy, though it is written before the copy is read;
/// what came before is, and sealed files say that they are.
#[tokio::test]
async fn a_copy_is_as_of_its_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data"), &options()).unwrap();
    name(&store, "before").await;
    post(&store, 1..=100, 3).await;
    let moment = store.copier.moment().unwrap();
    assert_eq!(moment.position, Position(100));
    name(&store, "after").await;
    post(&store, 101..=150, 0).await;
    store.journal.trim(Position(60), 1_000).await.unwrap();

    let to = folder.path().join("copy");
    let copied = copy(moment, &to);
    let logs: Vec<_> = copied
        .iter()
        .filter(|(path, ..)| path.ends_with(".log"))
        .collect();
    assert!(logs.len() > 3, "{copied:?}");
    assert!(logs.iter().rev().skip(1).all(|(_, sealed, _)| *sealed));
    assert!(!logs.last().unwrap().1, "the last one grows");
    assert!(!folder.path().join("data").join(COPY).exists());
    assert_eq!(back(&to, None), 97);

    let store = Store::open(&to, &options()).unwrap();
    assert!(
        store
            .catalog
            .get("thing", "before")
            .await
            .unwrap()
            .is_some()
    );
    assert!(store.catalog.get("thing", "after").await.unwrap().is_none());
    let facts = store.journal.read(Position(0), 1_000).await.unwrap();
    assert_eq!(facts.len(), 100);
    assert_eq!(facts[99], (Position(100), fact(100)));
    assert_eq!(store.journal.kept(READER).await.unwrap(), Position(97));
    assert_eq!(levels(&store).await, (1..=97).collect::<Vec<_>>());
    let latest = store.series.latest(&IotId::parse("id").unwrap()).await;
    assert_eq!(latest.unwrap(), [point(97)]);
    assert_eq!(
        store.journal.append(fact(101)).await.unwrap(),
        Position(101)
    );
}

/// A latest value stays when its point is too old to be kept.
#[tokio::test]
async fn a_latest_value_outlives_its_point() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data"), &options()).unwrap();
    post(&store, 1..=5, 0).await;
    assert_eq!(store.series.expire(Time(9_000), 100).await.unwrap(), 5);
    let to = folder.path().join("copy");
    copy(store.copier.moment().unwrap(), &to);
    assert_eq!(back(&to, None), 0);
    let store = Store::open(&to, &options()).unwrap();
    let latest = store.series.latest(&IotId::parse("id").unwrap()).await;
    assert_eq!(latest.unwrap(), [point(5)]);
}

/// Wherever the journal is cut, the facts up to there are left, the histories have no others, and
/// the next fact follows.
#[tokio::test]
async fn a_cut_leaves_what_was_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data"), &options()).unwrap();
    post(&store, 1..=60, 5).await;
    store.journal.trim(Position(10), 1_000).await.unwrap();
    for (n, until, left) in [
        (0, Until::Position(Position(60)), 60),
        (1, Until::Position(Position(33)), 33),
        (2, Until::Time(Time(41_999)), 41),
        (3, Until::Position(Position(10)), 10),
        (4, Until::Time(Time(10_000_000)), 60),
    ] {
        let to = folder.path().join(format!("copy{n}"));
        copy(store.copier.moment().unwrap(), &to);
        let cut = cut_journal(&to, until).unwrap();
        assert_eq!(cut.position, Position(left), "{until:?}");
        assert_eq!((cut.gone, cut.set_back), (60 - left, None));
        back(&to, Some(cut.position));
        let store = Store::open(&to, &options()).unwrap();
        let facts = store.journal.read(Position(0), 1_000).await.unwrap();
        let positions: Vec<u64> = facts.iter().map(|(at, _)| at.0).collect();
        assert_eq!(positions, (11..=left).collect::<Vec<_>>(), "{until:?}");
        let kept = store.journal.kept(READER).await.unwrap();
        assert_eq!(kept.0, left.min(55), "{until:?}");
        assert_eq!(levels(&store).await, (1..=left.min(55)).collect::<Vec<_>>());
        let latest = store.series.latest(&IotId::parse("id").unwrap()).await;
        assert_eq!(latest.unwrap(), [point(left.min(55))], "{until:?}");
        let next = store.journal.append(fact(left + 1)).await.unwrap();
        assert_eq!(next, Position(left + 1));
    }
    let to = folder.path().join("copy9");
    copy(store.copier.moment().unwrap(), &to);
    for outside in [Position(9), Position(61)] {
        let fault = cut_journal(&to, Until::Position(outside)).unwrap_err();
        assert!(fault.context.contains("11 to 60"), "{fault}");
    }
}

/// A clock that was set back is told of, because a time then does not say what is meant.
#[tokio::test]
async fn a_clock_that_went_back_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &options()).unwrap();
    for number in [90_000, 90_001, 50] {
        store.journal.append(fact(number)).await.unwrap();
    }
    drop(store);
    let cut = cut_journal(folder.path(), Until::Time(Time(60_000))).unwrap();
    assert_eq!(cut.set_back, Some(89_951_000));
    assert_eq!(cut.position, Position(3), "rather more than less");
}

/// A backup is bytes from outside: what is no line of it is refused with its number.
#[tokio::test]
async fn a_line_that_is_none_is_refused() {
    for (text, why) in [
        ("{\"reader\":[\"history\",1]}\nnonsense\n", "line 2"),
        ("{\"reader\":[\"\",1]}\n", "reader's name"),
        ("{\"point\":{}}\n", "missing field"),
        ("{\"reader\":[\"history\",1", "line 1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let put = restore_histories(folder.path(), &options(), text.as_bytes(), None);
        let fault = put.unwrap_err();
        assert!(fault.context.contains(why), "{text}: {fault}");
    }
    let sample = serde_json::to_vec(&json!({"point": point(7)})).unwrap();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut bytes = sample.clone();
        for _ in 0..3 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let at = chance as usize % bytes.len();
            bytes[at] = (chance >> 32) as u8;
        }
        crate::fuzz::backup_line(&bytes);
    }
}
