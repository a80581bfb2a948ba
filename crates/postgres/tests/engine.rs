//! What the contract suites do not show: trouble with the database, large batches, refusals.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use model::{
    command::Order,
    device::Device,
    error::Fault,
    id::{AccountId, DeviceKey, IotId, Position, Time},
    port::{
        Audit, Catalog, Commands, DeviceFilter, Devices, Expect, Insert, NewDevice, Nonces, Point,
        Put, Range, Secrets, Seen, Series, Stream,
    },
};
use postgres::{Address, Options, Registry, cluster::Cluster};
use serde_json::{Map, json};
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

const OPTIONS: Options = Options {
    connections: 8,
    patience: Duration::from_secs(60),
};

async fn open(address: &str, options: &Options) -> Result<Arc<Registry>, Fault> {
    Registry::open(&Address::parse(address).unwrap(), options).await
}

fn database(address: &str) -> &str {
    address.rsplit('/').next().unwrap()
}

fn product(key: &str) -> Put {
    Put {
        kind: "product",
        key: key.into(),
        value: Some(Bytes::from("{}")),
        expect: Expect::Anything,
    }
}

fn device(number: usize) -> Device {
    Device {
        key: DeviceKey::parse("pk", &format!("lamp-{number}")).unwrap(),
        iot_id: IotId::parse(&format!("id-{number}")).unwrap(),
        account: AccountId::parse("1").unwrap(),
        nickname: String::new(),
        created: Time(1_000),
        activated: None,
        disabled: false,
        online: None,
        offline: None,
        address: String::new(),
        firmware: String::new(),
        tags: Default::default(),
        credential: 0,
        version: 1,
    }
}

async fn register(registry: &Registry, many: usize) {
    let new = (0..many).map(|number| NewDevice {
        device: device(number),
        secret: Bytes::from("sealed"),
    });
    let done = registry.insert(new.collect(), u64::MAX).await.unwrap();
    assert_eq!(done, Insert::Done);
}

/// A database that is gone is told within the time of a call; when it is back, everything goes on,
/// and what was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_is_used_again() {
    // Its own, since others would miss it.
    let cluster = Cluster::start();
    let patience = Duration::from_secs(2);
    let options = Options {
        patience,
        ..OPTIONS
    };
    let registry = open(&cluster.database(), &options).await.unwrap();
    Catalog::put(&*registry, vec![product("before")])
        .await
        .unwrap();
    cluster.stop();
    for _ in 0..20 {
        let began = Instant::now();
        let fault = Catalog::put(&*registry, vec![product("while")])
            .await
            .unwrap_err();
        assert!(fault.retry, "{fault}");
        let fault = registry.last().await.unwrap_err();
        assert!(fault.retry, "{fault}");
        assert!(began.elapsed() < 2 * patience + patience);
    }
    cluster.resume();
    // The first calls may still find connections that are dead and not known to be.
    let mut tries = 0;
    while Catalog::put(&*registry, vec![product("after")])
        .await
        .is_err()
    {
        tries += 1;
        assert!(tries <= OPTIONS.connections, "it does not go on");
    }
    let entries = registry.list("product", "", None, 10).await.unwrap();
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["after", "before"]);
}

/// A call that the database does not answer ends when its time is over, and its connection is not
/// given to the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_ends_in_time() {
    let address = CLUSTER.database();
    let patience = Duration::from_millis(500);
    let options = Options {
        connections: 2,
        patience,
    };
    let patient = open(&address, &OPTIONS).await.unwrap();
    let registry = open(&address, &options).await.unwrap();
    Catalog::put(&*registry, vec![product("one")])
        .await
        .unwrap();
    let database = database(&address).to_owned();
    // Somebody holds the table for three seconds.
    let holder = tokio::task::spawn_blocking(move || {
        CLUSTER.sql(
            &database,
            "BEGIN; LOCK TABLE entry; NOTIFY held; SELECT pg_sleep(3); COMMIT;",
        )
    });
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
        AND relation = 'entry'::regclass";
    while CLUSTER.sql(self::database(&address), held) != "1" {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let began = Instant::now();
        let fault = Catalog::put(&*registry, vec![product("two")])
            .await
            .unwrap_err();
        assert!(fault.retry, "{fault}");
        assert!(began.elapsed() < 2 * patience, "{:?}", began.elapsed());
    }
    // Other tables are not touched by it.
    registry.last().await.unwrap();
    holder.await.unwrap();
    Catalog::put(&*registry, vec![product("three")])
        .await
        .unwrap();
    assert_eq!(Catalog::count(&*patient, "product", "").await.unwrap(), 2);
}

/// What keeps a server from starting is said in words that help, without the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_plainly() {
    let address = CLUSTER.database();
    let name = database(&address).to_owned();
    CLUSTER.sql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'hush-hush'");
    CLUSTER.sql(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1",
    );
    CLUSTER.sql(
        "postgres",
        &format!("GRANT ALL ON DATABASE {name} TO guarded"),
    );
    let guarded = CLUSTER.address("guarded", &name);
    let wrong = guarded.replace("guarded@", "guarded:wrong-hush@");
    for (address, told) in [
        (CLUSTER.address("muster", "nowhere"), "is not there"),
        (CLUSTER.address("nobody", &name), "nobody"),
        (CLUSTER.address("muster", "latin"), "keeps texts as LATIN1"),
        (guarded.clone(), "none is given"),
        (wrong, "does not take the password"),
        (
            format!("postgres://muster@%2Fnowhere/{name}"),
            "cannot be reached",
        ),
        (
            "postgres://muster@127.0.0.1:1/iot".into(),
            "cannot be reached",
        ),
        (format!("{address}?sslmode=require"), "cannot be reached"),
        // In PostgreSQL 15 and newer only the owner may make tables.
        (
            guarded.replace("guarded@", "guarded:hush-hush@"),
            "cannot be made",
        ),
    ] {
        let fault = open(&address, &OPTIONS).await.err().unwrap().to_string();
        assert!(fault.contains(told), "{address}: {fault}");
        assert!(!fault.contains("hush"), "{fault}");
    }
    let right = Address::parse(&guarded)
        .unwrap()
        .with_password(b"hush-hush");
    CLUSTER.sql(&name, "GRANT ALL ON SCHEMA public TO guarded");
    Registry::open(&right, &OPTIONS).await.unwrap();
}

/// One server at a time has the database; when it is gone, however it went, the next one gets it,
/// and one whose connection broke keeps others out again.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_does_not_take_the_database() {
    let address = CLUSTER.database();
    let parsed = Address::parse(&address).unwrap();
    let first = Registry::open_alone(&parsed, &OPTIONS).await.unwrap();
    let second = Registry::open_alone(&parsed, &OPTIONS).await.err().unwrap();
    assert!(second.context.contains("in use"), "{second}");
    let database = database(&address);
    let lock = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = 5
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    CLUSTER.sql(database, cut);
    while CLUSTER.sql(database, lock) != "1" {
        tokio::task::yield_now().await;
    }
    let second = Registry::open_alone(&parsed, &OPTIONS).await;
    assert!(second.is_err());
    drop(first);
    Registry::open_alone(&parsed, &OPTIONS).await.unwrap();
}

/// Of several servers that start at once on a new database one makes the tables; a database that a
/// newer version wrote is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_once_and_newer_ones_are_left_alone() {
    let address = CLUSTER.database();
    let starts = (0..6).map(|_| {
        let address = address.clone();
        tokio::spawn(async move { open(&address, &OPTIONS).await.map(drop) })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    let versions = "SELECT version FROM muster_schema";
    assert_eq!(CLUSTER.sql(database(&address), versions), "1");
    CLUSTER.sql(database(&address), "UPDATE muster_schema SET version = 999");
    let fault = open(&address, &OPTIONS).await.err().unwrap();
    assert!(!fault.retry && fault.context.contains("999"), "{fault}");
}

/// Ids fit 32 bits, come round after the last one, and pass over what is kept.
#[tokio::test(flavor = "multi_thread")]
async fn ids_come_round_and_pass_over_commands_that_are_kept() {
    let address = CLUSTER.database();
    let registry = open(&address, &OPTIONS).await.unwrap();
    let device = device(1);
    let order = Order::SetProperties(Map::new());
    let push = async || {
        let pushed = registry.push(&device.key, &device.iot_id, &order, Time(0), Time(9), 10);
        pushed.await.unwrap().unwrap().id.0
    };
    assert_eq!(push().await, 1);
    assert_eq!(push().await, 2);
    let set = format!("SELECT setval('command_id', {})", u32::MAX - 1);
    CLUSTER.sql(database(&address), &set);
    assert_eq!(push().await, u32::MAX);
    assert_eq!(push().await, 3);
}

/// What is too old is forgotten in passing, so that a flood of challenges does not stay.
#[tokio::test(flavor = "multi_thread")]
async fn old_rows_go_while_new_ones_come() {
    let address = CLUSTER.database();
    let registry = open(&address, &OPTIONS).await.unwrap();
    for (tokens, now, until) in [(0..40, Time(0), Time(10)), (40..50, Time(11), Time(20))] {
        for i in tokens.map(|i: i32| format!("\0{i}")) {
            registry.mint(&i, "a\0", now, until).await.unwrap();
            registry.burn(&i, "a\0", now, until).await.unwrap();
        }
    }
    for table in ["challenge", "burnt"] {
        let rows = CLUSTER.sql(database(&address), &format!("SELECT count(*) FROM {table}"));
        assert_eq!(rows, "10", "{table}");
    }
}

/// What is asked for may hold any character; nobody but the database's driver ever knew.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_nul_is_nowhere() {
    let registry = open(&CLUSTER.database(), &OPTIONS).await.unwrap();
    assert_eq!(registry.get("product", "a\0b").await.unwrap(), None);
    assert!(
        registry
            .list("product", "\0", None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    let fault = Catalog::put(&*registry, vec![product("a\0b")])
        .await
        .unwrap_err();
    assert!(!fault.retry);
}

/// Ten thousand devices are entered in one statement, and a page far behind is found.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_devices_are_one_batch() {
    let registry = open(&CLUSTER.database(), &OPTIONS).await.unwrap();
    register(&registry, 10_000).await;
    let pk = device(0).key.product;
    assert_eq!(
        Devices::count(&*registry, &pk).await.unwrap().registered,
        10_000
    );
    let (page, total) = Devices::page(&*registry, &pk, &DeviceFilter::default(), 9_998, 10)
        .await
        .unwrap();
    let names: Vec<_> = page.iter().map(|row| row.key.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), total),
        (&["lamp-1", "lamp-0"][..], 10_000)
    );
    let last = model::port::SecretId::Device(device(9_999).iot_id);
    assert!(Secrets::find(&*registry, &last).await.unwrap().is_some());
}

/// Many first connections and notes of connections at once: nobody waits in a ring, and every
/// count is right afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn racing_changes_of_one_product_count_right() {
    let registry = open(&CLUSTER.database(), &OPTIONS).await.unwrap();
    register(&registry, 100).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let registry = registry.clone();
        tasks.spawn(async move {
            let mut row = device(number);
            row.activated = Some(Time(5));
            registry.change(&row).await.unwrap();
            let numbers: Vec<usize> = if number % 2 == 0 {
                (0..100).collect()
            } else {
                (0..100).rev().collect()
            };
            let seen = numbers.into_iter().map(|other| Seen {
                iot_id: device(other).iot_id,
                online: Some(Time(number as i64)),
                offline: None,
                address: Some(number.to_string()),
            });
            registry.seen(seen.collect()).await.unwrap();
            if number % 4 == 0 {
                assert!(Devices::remove(&*registry, &row.iot_id).await.unwrap());
            }
        });
    }
    tasks.join_all().await;
    let count = Devices::count(&*registry, &device(0).key.product)
        .await
        .unwrap();
    assert_eq!((count.registered, count.activated), (75, 75));
    let row = registry.find_id(&device(1).iot_id).await.unwrap().unwrap();
    assert_eq!((row.online, row.address.as_str()), (Some(Time(99)), "99"));
}

fn point(identifier: &str, at: i64) -> Point {
    Point {
        iot_id: device(1).iot_id,
        stream: Stream::Property,
        identifier: identifier.into(),
        kind: None,
        at: Time(at),
        position: Position(at.cast_unsigned()),
        value: json!("\0"),
    }
}

/// A device that is forgotten while its last points come in leaves none that nobody can find.
#[tokio::test(flavor = "multi_thread")]
async fn forgetting_leaves_no_point_without_its_history() {
    let address = CLUSTER.database();
    let registry = open(&address, &OPTIONS).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..40 {
        let registry = registry.clone();
        tasks.spawn(async move {
            if i % 4 == 0 {
                registry.forget(&device(1).iot_id).await.unwrap();
            } else {
                let points = (0..50).map(|j| point(["a", "b"][j % 2], i * 100 + j as i64));
                Series::append(&*registry, points.collect()).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let orphans = "SELECT count(*) FROM point WHERE history NOT IN (SELECT id FROM history)";
    assert_eq!(CLUSTER.sql(database(&address), orphans), "0");
    registry.forget(&device(1).iot_id).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM point) + (SELECT count(*) FROM history)";
    assert_eq!(CLUSTER.sql(database(&address), left), "0");
}

/// A history as long as one step of forgetting, and one point more, goes wholly.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_forgotten_in_steps() {
    let registry = open(&CLUSTER.database(), &OPTIONS).await.unwrap();
    let points = (0..10_001).map(|at| point("a", at));
    Series::append(&*registry, points.collect()).await.unwrap();
    registry.forget(&device(1).iot_id).await.unwrap();
    let range = Range {
        iot_id: device(1).iot_id,
        stream: Stream::Property,
        identifier: Some("a".into()),
        kind: None,
        from: Time(0),
        to: Time(i64::MAX),
        oldest_first: true,
        most: usize::MAX,
    };
    assert!(registry.range(&range).await.unwrap().is_empty());
}
