//! Measures the engine roughly: `cargo run --release -p store --example measure [part]...`, where
//! a part is `journal`, `nonces`, `history` or `devices`; all of them when none is named.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use bytes::Bytes;
use model::{
    device::Device,
    fact::{Fact, What},
    id::{AccountId, DeviceKey, IotId, NodeId, Position, Time},
    port::{Burnt, DeviceFilter, NewDevice, Point, Stream},
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path, time::Instant};
use store::{Options, Store};

const CALLERS: u64 = 64;
const DEVICES: u64 = 1_000_000;

#[tokio::main]
async fn main() {
    let parts: Vec<_> = std::env::args().skip(1).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let folder = tempfile::tempdir().unwrap();
    let options = Options::of(NodeId::parse("one").unwrap());
    let open = || Store::open(folder.path(), &options).unwrap();
    let store = open();
    if wanted("journal") {
        journal(&store).await;
    }
    if wanted("nonces") {
        nonces(&store).await;
    }
    if wanted("history") {
        history(&store).await;
    }
    if wanted("devices") {
        devices(&store).await;
    }
    drop(store);
    let start = Instant::now();
    drop(open());
    println!("opened again in {:?}", start.elapsed());
}

/// CPU time of this process so far, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc/self/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|f| f.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

fn report(what: &str, many: u64, start: Instant, cpu_before: f64) {
    let seconds = start.elapsed().as_secs_f64();
    let each = (cpu() - cpu_before) * 1e6 / many as f64;
    let rate = many as f64 / seconds;
    println!("{what}: {rate:.0}/s, {each:.1} µs of CPU each ({many} in {seconds:.2} s)");
}

fn fact() -> Fact {
    Fact {
        at: Time(1_700_000_000_000),
        device: DeviceKey::parse("a1B2c3D4e5F", "lamp-000001").unwrap(),
        iot_id: IotId::parse("Xa1b2c3d4e5f6g7h8i9j0").unwrap(),
        what: What::PropertiesPosted {
            values: vec![("Temperature".into(), json!(21.5), Time(1_700_000_000_000))],
        },
    }
}

async fn journal(store: &Store) {
    let bytes = serde_json::to_vec(&fact()).unwrap().len();
    for callers in [1, CALLERS, 1024] {
        let each = 400_000 / callers / if callers == 1 { 20 } else { 1 };
        let (start, before) = (Instant::now(), cpu());
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let journal = store.journal.clone();
                tokio::spawn(async move {
                    for _ in 0..each {
                        journal.append(fact()).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let what = format!("journal, {callers} callers, {bytes} B");
        report(&what, callers * each, start, before);
    }
    let (start, before) = (Instant::now(), cpu());
    let mut after = Position(0);
    while let Some((last, _)) = store.journal.read(after, 500).await.unwrap().last() {
        after = *last;
    }
    report("journal, read by 500", after.0, start, before);
}

async fn nonces(store: &Store) {
    let (start, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let nonces = store.nonces.clone();
            tokio::spawn(async move {
                for number in 0..500 {
                    let token = format!("{caller}-{number}");
                    let burnt = nonces.burn(&token, "key", Time(0), Time(1)).await;
                    assert_eq!(burnt.unwrap(), Burnt::New);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    report("nonces burnt, 64 callers", CALLERS * 500, start, before);
}

async fn history(store: &Store) {
    let (start, before) = (Instant::now(), cpu());
    let batches = 600;
    for batch in 0..batches {
        let points = (0..500).map(|i| Point {
            iot_id: IotId::parse(&format!("Xa1b2c3d4e5f6g7h8-{}", i % 200)).unwrap(),
            stream: Stream::Property,
            identifier: "Temperature".into(),
            kind: None,
            at: Time(1_700_000_000_000 + batch * 500 + i),
            position: Position((batch * 500 + i).cast_unsigned()),
            value: json!(21.5),
        });
        store.series.append(points.collect()).await.unwrap();
    }
    report(
        "history, points by 500",
        500 * batches.cast_unsigned(),
        start,
        before,
    );
}

async fn devices(store: &Store) {
    let product = DeviceKey::parse("a1B2c3D4e5F", "lamp").unwrap().product;
    let (start, before) = (Instant::now(), cpu());
    for batch in 0..DEVICES / 1000 {
        let new = (0..1000).map(|i| {
            let name = format!("lamp-{:07}", batch * 1000 + i);
            NewDevice {
                device: Device {
                    iot_id: IotId::parse(&format!(
                        "X{:020x}",
                        (batch * 1000 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    ))
                    .unwrap(),
                    key: DeviceKey::parse(product.as_str(), &name).unwrap(),
                    account: AccountId::parse("1").unwrap(),
                    nickname: String::new(),
                    created: Time(0),
                    activated: (i % 2 == 0).then_some(Time(0)),
                    disabled: i == 0,
                    online: None,
                    offline: None,
                    address: String::new(),
                    firmware: String::new(),
                    tags: BTreeMap::new(),
                    credential: 0,
                    version: 1,
                },
                secret: Bytes::from_static(&[0; 60]),
            }
        });
        store.devices.insert(new.collect(), u64::MAX).await.unwrap();
    }
    report("devices inserted by 1000", DEVICES, start, before);

    let (start, before) = (Instant::now(), cpu());
    for i in 0..100_000_u64 {
        let name = format!("lamp-{:07}", i * 7919 % DEVICES);
        let key = DeviceKey::parse(product.as_str(), &name).unwrap();
        assert!(store.devices.find(&key).await.unwrap().is_some());
    }
    report("devices found among a million", 100_000, start, before);

    for (what, skip, disabled) in [
        ("first page", 0, None),
        ("page at 500000", 500_000, None),
        ("last page", DEVICES - 10, None),
        ("last page of the disabled", 990, Some(true)),
    ] {
        let filter = DeviceFilter {
            activated: None,
            disabled,
        };
        let start = Instant::now();
        let (page, total) = store
            .devices
            .page(&product, &filter, skip, 10)
            .await
            .unwrap();
        assert_eq!(page.len(), 10);
        println!("{what} of {total}: {:?}", start.elapsed());
    }
    let start = Instant::now();
    store.devices.count(&product).await.unwrap();
    println!("count: {:?}", start.elapsed());
}
