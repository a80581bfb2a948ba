//! `Archive`: everything that the row-keeping ports keep, as rows.

use super::{Engine, Make, device_key, iot_id, product};
use crate::{
    account::{AuditEntry, AuditRecord},
    archive::{Archive, Row},
    command::Order,
    device::Device,
    id::{AccountId, Time},
    port::{Burnt, Change, Expect, Insert, NewDevice, Put, SecretId, Taken},
};
use bytes::Bytes;
use serde_json::Map;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    what_is_dumped_and_restored_is_the_same(make).await;
    what_was_restored_goes_on(make).await;
    all_rows_are_restored_or_none(make).await;
    a_dump_is_of_one_moment(make).await;
}

fn device(name: &str, activated: Option<i64>) -> Device {
    Device {
        key: device_key("pk", name),
        iot_id: iot_id(&format!("id-{name}")),
        account: AccountId::parse("1").unwrap(),
        nickname: "ü".into(),
        created: Time(1_000),
        activated: activated.map(Time),
        disabled: false,
        online: Some(Time(-5)),
        offline: None,
        address: "192.0.2.1".into(),
        firmware: "1.0".into(),
        tags: BTreeMap::from([("a".into(), "b".into())]),
        credential: 3,
        version: 1,
    }
}

/// Puts something of each kind into the engine.
async fn fill(engine: &Engine) {
    for (kind, key) in [("product", "b"), ("product", "a"), ("account", "z")] {
        let put = Put {
            kind,
            key: key.into(),
            value: Some(Bytes::from(format!("{{\"key\": \"{key}\"}}"))),
            expect: Expect::Anything,
        };
        engine.catalog.put(vec![put.clone()]).await.unwrap();
        engine.catalog.put(vec![put]).await.unwrap();
    }
    for _ in 0..3 {
        engine.catalog.next("account").await.unwrap();
    }
    // Not in the order of their names, and with a hole.
    for (name, activated) in [("zeta", None), ("gone", None), ("alfa", Some(7))] {
        let new = NewDevice {
            device: device(name, activated),
            secret: Bytes::from(format!("sealed {name}")),
        };
        let done = engine.devices.insert(vec![new], 10).await.unwrap();
        assert_eq!(done, Insert::Done);
    }
    assert!(engine.devices.remove(&iot_id("id-gone")).await.unwrap());
    let mut row = device("zeta", None);
    row.nickname.clear();
    row.offline = Some(Time(9));
    assert_eq!(engine.devices.change(&row).await.unwrap(), Change::Done(2));
    let server = SecretId::Server("audit-key".into());
    engine
        .secrets
        .put(&server, Bytes::from("\0\u{1}"))
        .await
        .unwrap();
    let of_product = SecretId::Product(product("pk"));
    engine
        .secrets
        .put(&of_product, Bytes::from("p"))
        .await
        .unwrap();
    engine
        .nonces
        .mint("c", "o", Time(0), Time(50))
        .await
        .unwrap();
    engine
        .nonces
        .burn("b", "o", Time(0), Time(60))
        .await
        .unwrap();
    for number in 0..3 {
        push(engine).await;
        if number == 1 {
            let first = engine
                .commands
                .waiting(&iot_id("id-alfa"), Time(0), 1)
                .await;
            let id = first.unwrap()[0].id;
            assert!(engine.commands.sent(&iot_id("id-alfa"), id).await.unwrap());
        }
    }
    engine.audit.append(vec![line(1), line(2)]).await.unwrap();
}

async fn push(engine: &Engine) -> u32 {
    let order = Order::SetProperties(Map::new());
    let (key, id) = (device_key("pk", "alfa"), iot_id("id-alfa"));
    let pushed = engine
        .commands
        .push(&key, &id, &order, Time(1), Time(99), 10);
    pushed.await.unwrap().unwrap().id.0
}

fn line(seq: u64) -> AuditRecord {
    AuditRecord {
        seq,
        entry: AuditEntry {
            at: Time(5),
            who: "1".into(),
            address: "local".into(),
            action: "a".into(),
            resource: "\"\\".into(),
            outcome: "ok".into(),
            detail: String::new(),
        },
        hash: "cd".repeat(32),
    }
}

async fn dump(archive: &dyn Archive) -> Vec<Row> {
    let (send, mut receive) = mpsc::channel(1);
    let gather = async {
        let mut rows = Vec::new();
        while let Some(row) = receive.recv().await {
            rows.push(row);
        }
        rows
    };
    let (done, rows) = tokio::join!(archive.dump(send), gather);
    done.unwrap();
    rows
}

/// What is dumped says all, in the order that is promised; restored in parts it dumps the same.
pub async fn what_is_dumped_and_restored_is_the_same(make: &dyn Make) {
    let engine = make.fresh().await;
    assert!(engine.archive.is_empty().await.unwrap());
    assert!(dump(&*engine.archive).await.is_empty());
    fill(&engine).await;
    assert!(!engine.archive.is_empty().await.unwrap());
    let rows = dump(&*engine.archive).await;
    let kinds: Vec<_> = rows
        .iter()
        .map(|row| match row {
            Row::Entry { key, .. } => format!("entry {key}"),
            Row::Sequence { name, last } => format!("sequence {name} {last}"),
            Row::Device(device) => format!("device {}", device.key.name),
            Row::Secret { id, .. } => format!("{id:?}"),
            Row::Challenge(token) | Row::Burnt(token) => format!("token {}", token.token),
            Row::CommandNumber(number) => format!("number {number}"),
            Row::Command(command) => format!("command {} {:?}", command.id, command.state),
            Row::Audit(record) => format!("line {}", record.seq),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "entry z",
            "entry a",
            "entry b",
            "sequence account 3",
            "device zeta",
            "device alfa",
            "Device(id-alfa)",
            "Device(id-zeta)",
            "Product(pk)",
            "Server(\"audit-key\")",
            "token c",
            "token b",
            "number 3",
            "command 1 Sent",
            "command 2 Waiting",
            "command 3 Waiting",
            "line 1",
            "line 2",
        ]
    );

    let other = make.fresh().await;
    for part in rows.chunks(4) {
        other.archive.restore(part.to_vec()).await.unwrap();
    }
    assert_eq!(dump(&*other.archive).await, rows);
    let other = make.reopen(other).await;
    assert_eq!(dump(&*other.archive).await, rows);
    other.archive.clear().await.unwrap();
    assert!(other.archive.is_empty().await.unwrap());
    assert!(dump(&*other.archive).await.is_empty());
    other.archive.restore(rows.clone()).await.unwrap();
    assert_eq!(dump(&*other.archive).await, rows);
}

/// After a restore the ports say and count what they did before, and give no number twice.
pub async fn what_was_restored_goes_on(make: &dyn Make) {
    let engine = make.fresh().await;
    fill(&engine).await;
    let rows = dump(&*engine.archive).await;
    let other = make.fresh().await;
    other.archive.restore(rows).await.unwrap();

    let count = other.devices.count(&product("pk")).await.unwrap();
    assert_eq!((count.registered, count.activated), (2, 1));
    let new = |name| NewDevice {
        device: device(name, None),
        secret: Bytes::new(),
    };
    let over = other.devices.insert(vec![new("more")], 2).await.unwrap();
    assert_eq!(over, Insert::QuotaUsedUp);
    let done = other.devices.insert(vec![new("more")], 3).await.unwrap();
    assert_eq!(done, Insert::Done);
    let (page, total) = other
        .devices
        .page(&product("pk"), &Default::default(), 0, 9)
        .await
        .unwrap();
    let names: Vec<_> = page.iter().map(|row| row.key.name.to_string()).collect();
    assert_eq!(
        (names, total),
        (vec!["more".into(), "alfa".into(), "zeta".into()], 3)
    );
    let mut zeta = page[2].clone();
    zeta.activated = Some(Time(1));
    assert_eq!(other.devices.change(&zeta).await.unwrap(), Change::Done(3));
    assert_eq!(
        other.devices.count(&product("pk")).await.unwrap().activated,
        2
    );
    assert_eq!(other.catalog.next("account").await.unwrap(), 4);
    assert_eq!(push(&other).await, 4);
    let nonces = &other.nonces;
    assert_eq!(nonces.take("c", "o", Time(1)).await.unwrap(), Taken::Yes);
    let burnt = nonces.burn("b", "o", Time(1), Time(60)).await.unwrap();
    assert_eq!(burnt, Burnt::Seen);
    let next = other.audit.append(vec![line(3)]).await.unwrap();
    assert_eq!(next, Change::Done(3));
}

/// "All or none; where one is there already it fails."
pub async fn all_rows_are_restored_or_none(make: &dyn Make) {
    let engine = make.fresh().await;
    let row = |name| Row::Device(device(name, None));
    engine.archive.restore(vec![row("alfa")]).await.unwrap();
    let twice = vec![row("beta"), row("alfa")];
    assert!(engine.archive.restore(twice).await.is_err());
    assert_eq!(dump(&*engine.archive).await, [row("alfa")]);
    assert_eq!(
        engine
            .devices
            .count(&product("pk"))
            .await
            .unwrap()
            .registered,
        1
    );
}

/// "All rows as of one moment": what changes while a slow receiver reads is not seen.
pub async fn a_dump_is_of_one_moment(make: &dyn Make) {
    let engine = make.fresh().await;
    fill(&engine).await;
    let before = dump(&*engine.archive).await;
    let (send, mut receive) = mpsc::channel(1);
    let archive = engine.archive.clone();
    let dumping = tokio::spawn(async move { archive.dump(send).await });
    let mut rows = vec![receive.recv().await.unwrap()];
    engine.audit.append(vec![line(3)]).await.unwrap();
    assert!(engine.devices.remove(&iot_id("id-alfa")).await.unwrap());
    while let Some(row) = receive.recv().await {
        rows.push(row);
    }
    dumping.await.unwrap().unwrap();
    assert_eq!(rows, before);

    // A receiver that goes away ends it.
    let (send, receive) = mpsc::channel(1);
    drop(receive);
    engine.archive.dump(send).await.unwrap();
}
