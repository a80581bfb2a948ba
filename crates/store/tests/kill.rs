//! What was acknowledged is there after the process was killed, and a disk that is full for a
//! while costs nothing that was acknowledged.
//!
//! Each test starts this test program again as a child, which runs one of the ignored tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use model::{
    device::Device,
    fact::{Fact, What},
    id::{AccountId, DeviceKey, IotId, NodeId, Position, Time},
    port::{Expect, Insert, NewDevice, Point, Put, Range, Stream},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};
use store::{Options, Store};

/// Names the data folder to the child.
const FOLDER: &str = "STORE_TEST_FOLDER";

fn open(folder: &Path) -> Store {
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::of(NodeId::parse("node-1").unwrap())
    };
    Store::open(folder, &options).unwrap()
}

fn child(test: &str, folder: &Path, before: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{before} exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(FOLDER, folder);
    command
}

fn fact(text: &str) -> Fact {
    Fact {
        at: Time(0),
        device: DeviceKey::parse("pk", "lamp").unwrap(),
        iot_id: IotId::parse("lamp").unwrap(),
        what: What::Offline {
            reason: text.into(),
        },
    }
}

fn device(name: &str) -> NewDevice {
    NewDevice {
        device: Device {
            key: DeviceKey::parse("pk", name).unwrap(),
            iot_id: IotId::parse(name).unwrap(),
            account: AccountId::parse("1").unwrap(),
            nickname: String::new(),
            created: Time(0),
            activated: None,
            disabled: false,
            online: None,
            offline: None,
            address: String::new(),
            firmware: String::new(),
            tags: BTreeMap::new(),
            credential: 0,
            version: 1,
        },
        secret: Bytes::from_static(b"sealed"),
    }
}

fn point(position: u64) -> Point {
    Point {
        iot_id: IotId::parse("lamp").unwrap(),
        stream: Stream::Property,
        identifier: "Power".into(),
        kind: None,
        at: Time(position.cast_signed()),
        position: Position(position),
        value: json!(position),
    }
}

async fn facts(store: &Store) -> BTreeMap<u64, String> {
    let mut facts = BTreeMap::new();
    let mut after = Position(0);
    loop {
        let read = store.journal.read(after, 1_000).await.unwrap();
        let Some((last, _)) = read.last() else {
            assert_eq!(store.journal.head(), after);
            return facts;
        };
        after = *last;
        for (position, fact) in read {
            let What::Offline { reason } = fact.what else {
                panic!("another fact");
            };
            facts.insert(position.0, reason);
        }
    }
}

async fn points(store: &Store) -> Vec<u64> {
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
    let points = store.series.range(&range).await.unwrap();
    points.iter().map(|point| point.position.0).collect()
}

/// Writes until it is killed, and prints what was acknowledged.
#[test]
#[ignore = "a child of the test below"]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder));
        let round = store.journal.head().0;
        let tasks: Vec<_> = (0..16)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for number in 0.. {
                        let text = format!("{round}-{writer}-{number}");
                        let position = store.journal.append(fact(&text)).await.unwrap().0;
                        println!("\n+ fact {position} {text} .");
                        if number % 10 == 0 {
                            store.series.append(vec![point(position)]).await.unwrap();
                            println!("\n+ point {position} - .");
                            let inserted = store.devices.insert(vec![device(&text)], u64::MAX);
                            assert_eq!(inserted.await.unwrap(), Insert::Done);
                            println!("\n+ device {position} {text} .");
                        }
                        if number % 50 == 0 && writer == 0 {
                            let kept = store.journal.keep("reader", Position(position)).await;
                            kept.unwrap();
                            println!("\n+ kept {position} - .");
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// "Acknowledged means stored": killed in the midst of writing, again and again on the same
/// folder, nothing that was acknowledged is missing.
#[tokio::test]
async fn nothing_acknowledged_is_missing_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=4 {
        let mut child = child("writes_until_it_is_killed", folder.path(), "")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines {
            let line = line.unwrap();
            // The test program prints lines of its own, and the last line may be cut.
            let words: Vec<_> = line.split(' ').collect();
            if let ["+", what, position, text, "."] = words[..] {
                let position: u64 = position.parse().unwrap();
                acknowledged.push((what.to_owned(), position, text.to_owned()));
                seen += 1;
                if seen == 700 * round {
                    child.kill().unwrap();
                }
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(seen >= 700 * round, "the child ended by itself");

        let store = open(folder.path());
        let facts = facts(&store).await;
        let points = points(&store).await;
        let kept = store.journal.kept("reader").await.unwrap().0;
        assert!(kept <= store.journal.head().0);
        assert!(facts.keys().copied().eq(1..=store.journal.head().0));
        let mut count = 0;
        for (what, position, text) in &acknowledged {
            match what.as_str() {
                "fact" => assert_eq!(facts.get(position), Some(text)),
                "point" => assert!(points.binary_search(position).is_ok(), "{position}"),
                "kept" => assert!(kept >= *position),
                "device" => {
                    let key = DeviceKey::parse("pk", text).unwrap();
                    assert!(store.devices.find(&key).await.unwrap().is_some(), "{text}");
                    count += 1;
                }
                other => panic!("{other}"),
            }
        }
        let product = DeviceKey::parse("pk", "lamp").unwrap().product;
        let counted = store.devices.count(&product).await.unwrap().registered;
        assert!(counted >= count);
    }
}

/// Sees the disk refuse and take writes again. A limit of file sizes stands for a full disk.
#[test]
#[ignore = "a child of the test below"]
fn meets_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let limit = |bytes: &str| {
        let status = Command::new("prlimit")
            .args(["--pid", &std::process::id().to_string()])
            .arg(format!("--fsize={bytes}:unlimited"))
            .status();
        assert!(status.unwrap().success());
    };
    let put = |number: u64| {
        let put = Put {
            kind: "product",
            key: number.to_string(),
            value: Some(Bytes::from_static(b"{}")),
            expect: Expect::Absent,
        };
        vec![put]
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder));
        let mut next = 1;
        for _ in 0..3 {
            for _ in 0..20 {
                let appended = store.journal.append(fact(&next.to_string())).await;
                assert_eq!(appended.unwrap(), Position(next));
                store.series.append(vec![point(next)]).await.unwrap();
                store.catalog.put(put(next)).await.unwrap();
                next += 1;
            }
            limit("0");
            for _ in 0..3 {
                let fault = store.journal.append(fact("lost")).await.unwrap_err();
                assert!(fault.retry, "{fault}");
                let fault = store.series.append(vec![point(next)]).await.unwrap_err();
                assert!(fault.retry, "{fault}");
                let fault = store.catalog.put(put(next)).await.unwrap_err();
                assert!(fault.retry, "{fault}");
            }
            assert_eq!(store.journal.head(), Position(next - 1));
            assert_eq!(facts(&store).await.len() as u64, next - 1);
            assert!(store.catalog.get("product", "1").await.unwrap().is_some());
            limit("unlimited");
        }
    });
}

/// A full disk is a fault that passes: when there is room again, everything goes on, and nothing
/// that was acknowledged is missing.
#[tokio::test]
async fn a_full_disk_costs_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let ended = child("meets_a_full_disk", folder.path(), "trap '' XFSZ;")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{told}");

    let store = open(folder.path());
    let facts = facts(&store).await;
    assert!(facts.keys().copied().eq(1..=60));
    for (position, text) in &facts {
        assert_eq!(*text, position.to_string());
        let entry = store.catalog.get("product", text).await.unwrap();
        assert!(entry.is_some());
    }
    let points = points(&store).await;
    assert_eq!(points, (1..=60).collect::<Vec<_>>());
}
