//! `Devices`: rows of the registry, with their secrets.

use super::{Engine, Make, device_key, iot_id, product, race};
use crate::{
    device::{Device, DeviceCount},
    id::{AccountId, DeviceName, Time},
    port::{Change, DeviceFilter, Devices, Insert, NewDevice, SecretId, Seen},
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    what_is_inserted_is_found(make).await;
    all_are_entered_or_none(make).await;
    of_many_racing_for_a_name_one_gets_it(make).await;
    the_quota_holds_whatever_races(make).await;
    a_change_needs_the_version_that_is_there(make).await;
    a_secret_changes_with_its_row(make).await;
    connections_are_noted_without_a_new_version(make).await;
    what_is_removed_is_gone_with_its_secret(make).await;
    pages_go_from_the_newest_on(make).await;
    counts_follow_every_change(make).await;
    what_is_done_survives_a_restart(make).await;
}

fn device(name: &str) -> Device {
    Device {
        key: device_key("pk", name),
        iot_id: iot_id(&format!("id-{name}")),
        account: AccountId::parse("1").unwrap(),
        nickname: "a lamp \u{1f4a1}".into(),
        created: Time(1_000),
        activated: None,
        disabled: false,
        online: None,
        offline: None,
        address: String::new(),
        firmware: String::new(),
        tags: BTreeMap::from([("room".into(), "it's \"4\"".into())]),
        credential: 0,
        version: 1,
    }
}

fn new(name: &str) -> NewDevice {
    NewDevice {
        device: device(name),
        secret: Bytes::copy_from_slice(name.as_bytes()),
    }
}

async fn insert(devices: &dyn Devices, names: &[&str]) {
    let new = names.iter().map(|name| new(name)).collect();
    assert_eq!(devices.insert(new, 1_000_000).await.unwrap(), Insert::Done);
}

fn name(text: &str) -> DeviceName {
    DeviceName::parse(text).unwrap()
}

async fn find(devices: &dyn Devices, name: &str) -> Option<Device> {
    devices.find(&device_key("pk", name)).await.unwrap()
}

/// A row is found by product and name, and by id, with all that was put in.
pub async fn what_is_inserted_is_found(make: &dyn Make) {
    let Engine {
        devices,
        data: _data,
        ..
    } = make.fresh().await;
    let full = Device {
        activated: Some(Time(2_000)),
        disabled: true,
        online: Some(Time(3_000)),
        offline: Some(Time(-1)),
        address: "2001:db8::1".into(),
        firmware: "1.0.2".into(),
        credential: 7,
        version: 99,
        ..device("lamp")
    };
    let new = NewDevice {
        device: full.clone(),
        secret: Bytes::new(),
    };
    assert_eq!(devices.insert(vec![new], 1).await.unwrap(), Insert::Done);
    let kept = Device { version: 1, ..full };
    assert_eq!(find(&*devices, "lamp").await, Some(kept.clone()));
    assert_eq!(devices.find_id(&kept.iot_id).await.unwrap(), Some(kept));
    assert_eq!(find(&*devices, "Lamp").await, None);
    assert_eq!(
        devices.find(&device_key("pk2", "lamp")).await.unwrap(),
        None
    );
    assert_eq!(devices.find_id(&iot_id("id-else")).await.unwrap(), None);
    assert_eq!(devices.insert(Vec::new(), 0).await.unwrap(), Insert::Done);
}

/// "Enters all devices of one product with their secrets, or none."
pub async fn all_are_entered_or_none(make: &dyn Make) {
    let Engine {
        devices,
        secrets,
        data: _data,
        ..
    } = make.fresh().await;
    insert(&*devices, &["lamp1", "lamp2"]).await;
    let mixed = vec![new("lamp3"), new("lamp2"), new("lamp4"), new("lamp1")];
    let Insert::Taken(mut taken) = devices.insert(mixed, 1_000).await.unwrap() else {
        panic!("two names are taken");
    };
    taken.sort();
    assert_eq!(taken, [name("lamp1"), name("lamp2")]);
    let twice = vec![new("lamp5"), new("lamp5")];
    let twice = devices.insert(twice, 1_000).await.unwrap();
    assert_eq!(twice, Insert::Taken(vec![name("lamp5")]));
    for missing in ["lamp3", "lamp4", "lamp5"] {
        assert_eq!(find(&*devices, missing).await, None);
        let id = SecretId::Device(iot_id(&format!("id-{missing}")));
        assert_eq!(secrets.find(&id).await.unwrap(), None);
    }
    let id = SecretId::Device(iot_id("id-lamp1"));
    assert_eq!(secrets.find(&id).await.unwrap(), Some(Bytes::from("lamp1")));
    let names = ["lamp0", "lamp1", "lamp2", "lamp3"].map(name);
    let mut taken = devices.taken(&product("pk"), &names).await.unwrap();
    taken.sort();
    assert_eq!(taken, [name("lamp1"), name("lamp2")]);
    assert!(
        devices
            .taken(&product("pk2"), &names)
            .await
            .unwrap()
            .is_empty()
    );
}

/// "Of two racing insertions of a name one sees `Taken`."
pub async fn of_many_racing_for_a_name_one_gets_it(make: &dyn Make) {
    let Engine {
        devices,
        data: _data,
        ..
    } = make.fresh().await;
    let results = race(32, |i| {
        let devices = devices.clone();
        async move {
            let mut new = new("lamp");
            new.device.iot_id = iot_id(&format!("id-{i}"));
            devices.insert(vec![new], 1_000).await.unwrap()
        }
    })
    .await;
    let done = results.iter().filter(|r| **r == Insert::Done).count();
    let taken = Insert::Taken(vec![name("lamp")]);
    assert_eq!(done, 1);
    assert_eq!(results.iter().filter(|r| **r == taken).count(), 31);
    let winner = results.iter().position(|r| *r == Insert::Done).unwrap();
    let found = find(&*devices, "lamp").await.unwrap();
    assert_eq!(found.iot_id, iot_id(&format!("id-{winner}")));
}

/// "The quota holds whatever races."
pub async fn the_quota_holds_whatever_races(make: &dyn Make) {
    let Engine {
        devices,
        data: _data,
        ..
    } = make.fresh().await;
    let results = race(20, |i| {
        let devices = devices.clone();
        async move {
            let names = (0..3).map(|j| new(&format!("lamp-{i}-{j}")));
            devices.insert(names.collect(), 10).await.unwrap()
        }
    })
    .await;
    assert_eq!(results.iter().filter(|r| **r == Insert::Done).count(), 3);
    let refused = results.iter().filter(|r| **r == Insert::QuotaUsedUp);
    assert_eq!(refused.count(), 17);
    assert_eq!(devices.count(&product("pk")).await.unwrap().registered, 9);
    let last = devices.insert(vec![new("lamp-last")], 10).await.unwrap();
    assert_eq!(last, Insert::Done);
    let over = devices.insert(vec![new("lamp-over")], 10).await.unwrap();
    assert_eq!(over, Insert::QuotaUsedUp);
    devices.remove(&iot_id("id-lamp-last")).await.unwrap();
    let again = devices.insert(vec![new("lamp-over")], 10).await.unwrap();
    assert_eq!(again, Insert::Done);
}

/// "Replaces the row when it still has `device.version`."
pub async fn a_change_needs_the_version_that_is_there(make: &dyn Make) {
    let Engine {
        devices,
        data: _data,
        ..
    } = make.fresh().await;
    insert(&*devices, &["lamp"]).await;
    let mut row = find(&*devices, "lamp").await.unwrap();
    row.nickname = "changed".into();
    row.activated = Some(Time(5));
    row.disabled = true;
    row.online = Some(Time(6));
    row.offline = Some(Time(7));
    row.address = "192.0.2.1".into();
    row.firmware = "2".into();
    row.tags.clear();
    row.credential = 3;
    assert_eq!(devices.change(&row).await.unwrap(), Change::Done(2));
    assert_eq!(devices.change(&row).await.unwrap(), Change::Conflict);
    row.version = 2;
    assert_eq!(find(&*devices, "lamp").await.unwrap(), row);
    let missing = device("none");
    assert_eq!(devices.change(&missing).await.unwrap(), Change::Conflict);

    let results = race(16, |i| {
        let (devices, mut row) = (devices.clone(), row.clone());
        async move {
            row.nickname = i.to_string();
            devices.change(&row).await.unwrap()
        }
    })
    .await;
    let done = results.iter().filter(|r| **r == Change::Done(3)).count();
    assert_eq!(done, 1);
}

/// "Replaces the row when it still has `device.version`, and its secret with it."
pub async fn a_secret_changes_with_its_row(make: &dyn Make) {
    let Engine {
        devices,
        secrets,
        data: _data,
        ..
    } = make.fresh().await;
    insert(&*devices, &["lamp"]).await;
    let mut row = find(&*devices, "lamp").await.unwrap();
    let id = SecretId::Device(row.iot_id.clone());
    row.credential = 1;
    let done = devices.change_secret(&row, Bytes::from("new")).await;
    assert_eq!(done.unwrap(), Change::Done(2));
    assert_eq!(secrets.find(&id).await.unwrap(), Some(Bytes::from("new")));
    let late = devices.change_secret(&row, Bytes::from("late")).await;
    assert_eq!(late.unwrap(), Change::Conflict);
    assert_eq!(secrets.find(&id).await.unwrap(), Some(Bytes::from("new")));
}

/// "Notes connections in the rows, without a new version; the later time stays, and devices that
/// are gone are passed over."
pub async fn connections_are_noted_without_a_new_version(make: &dyn Make) {
    let Engine {
        devices,
        data: _data,
        ..
    } = make.fresh().await;
    insert(&*devices, &["lamp", "fan1"]).await;
    let seen =
        |name: &str, online: Option<i64>, offline: Option<i64>, address: Option<&str>| Seen {
            iot_id: iot_id(&format!("id-{name}")),
            online: online.map(Time),
            offline: offline.map(Time),
            address: address.map(str::to_owned),
        };
    let first = vec![
        seen("gone", Some(9), None, Some("gone")),
        seen("lamp", Some(10), None, Some("192.0.2.1")),
        seen("fan1", None, Some(8), None),
    ];
    devices.seen(first).await.unwrap();
    let second = vec![
        seen("lamp", Some(5), Some(20), Some("192.0.2.2")),
        seen("lamp", None, Some(15), None),
    ];
    devices.seen(second).await.unwrap();
    let all = DeviceFilter::default();
    let (page, _) = devices.page(&product("pk"), &all, 0, 9).await.unwrap();
    let paged = page
        .iter()
        .find(|device| device.key.name.as_str() == "lamp");
    let lamp = find(&*devices, "lamp").await.unwrap();
    assert_eq!(paged, Some(&lamp));
    let by_id = devices.find_id(&iot_id("id-lamp")).await.unwrap();
    assert_eq!(by_id.as_ref(), Some(&lamp));
    let expected = Device {
        online: Some(Time(10)),
        offline: Some(Time(20)),
        address: "192.0.2.1".into(),
        ..device("lamp")
    };
    assert_eq!(lamp, expected);
    let fan = find(&*devices, "fan1").await.unwrap();
    assert_eq!((fan.online, fan.offline), (None, Some(Time(8))));
    assert_eq!(
        devices.change(&device("lamp")).await.unwrap(),
        Change::Done(2)
    );
}

/// "Removes the row and its secrets; false when there was none."
pub async fn what_is_removed_is_gone_with_its_secret(make: &dyn Make) {
    let Engine {
        devices,
        secrets,
        data: _data,
        ..
    } = make.fresh().await;
    insert(&*devices, &["lamp", "fan1"]).await;
    let id = iot_id("id-lamp");
    let results = race(8, |_| {
        let (devices, id) = (devices.clone(), id.clone());
        async move { devices.remove(&id).await.unwrap() }
    })
    .await;
    assert_eq!(results.iter().filter(|removed| **removed).count(), 1);
    assert_eq!(find(&*devices, "lamp").await, None);
    assert_eq!(secrets.find(&SecretId::Device(id)).await.unwrap(), None);
    assert!(find(&*devices, "fan1").await.is_some());

    let mut again = new("lamp");
    again.device.iot_id = iot_id("id-second");
    assert_eq!(devices.insert(vec![again], 9).await.unwrap(), Insert::Done);
    let found = find(&*devices, "lamp").await.unwrap();
    assert_eq!(found.iot_id, iot_id("id-second"));
}

/// "The rows of a product in order of creation, newest first, from the `skip`th on, and how many
/// there are in all."
pub async fn pages_go_from_the_newest_on(make: &dyn Make) {
    let Engine {
        devices,
        data: _data,
        ..
    } = make.fresh().await;
    let mut all: Vec<_> = (0..30).map(|i| format!("lamp-{}", (i * 7) % 30)).collect();
    for part in all.chunks(10) {
        let mut batch: Vec<_> = part.iter().map(|name| new(name)).collect();
        for (i, new) in batch.iter_mut().enumerate() {
            new.device.activated = (i % 2 == 0).then_some(Time(1));
            new.device.disabled = i % 5 == 0;
        }
        assert_eq!(devices.insert(batch, 100).await.unwrap(), Insert::Done);
    }
    let mut other = new("lamp-other");
    other.device.key = device_key("pk2", "lamp-other");
    assert_eq!(devices.insert(vec![other], 9).await.unwrap(), Insert::Done);
    all.reverse();

    let page = async |activated, disabled, skip, most| {
        let filter = DeviceFilter {
            activated,
            disabled,
        };
        let page = devices.page(&product("pk"), &filter, skip, most).await;
        let (rows, total) = page.unwrap();
        let names = rows.into_iter().map(|row| row.key.name.to_string());
        (names.collect::<Vec<_>>(), total)
    };
    assert_eq!(page(None, None, 0, 100).await, (all.clone(), 30));
    assert_eq!(page(None, None, 0, 7).await, (all[..7].to_vec(), 30));
    assert_eq!(page(None, None, 25, 7).await, (all[25..].to_vec(), 30));
    assert_eq!(page(None, None, 30, 7).await, (Vec::new(), 30));
    assert_eq!(page(None, None, u64::MAX, 7).await, (Vec::new(), 30));
    assert_eq!(page(None, None, 0, 0).await, (Vec::new(), 30));
    // In a batch of ten: 0 2 4 6 8 are activated, 0 5 are disabled.
    let those = |wanted: &[usize]| {
        let is_wanted = |(i, _): &(usize, &String)| wanted.contains(&(9 - i % 10));
        let names = all.iter().enumerate().filter(is_wanted);
        names.map(|(_, name)| name.clone()).collect::<Vec<_>>()
    };
    let activated = those(&[0, 2, 4, 6, 8]);
    assert_eq!(page(Some(true), None, 0, 99).await, (activated.clone(), 15));
    assert_eq!(
        page(Some(true), None, 3, 5).await,
        (activated[3..8].to_vec(), 15)
    );
    assert_eq!(
        page(Some(false), None, 0, 99).await,
        (those(&[1, 3, 5, 7, 9]), 15)
    );
    assert_eq!(page(None, Some(true), 0, 99).await, (those(&[0, 5]), 6));
    assert_eq!(page(Some(true), Some(true), 0, 99).await, (those(&[0]), 3));
    assert_eq!(
        page(Some(false), Some(false), 0, 99).await,
        (those(&[1, 3, 7, 9]), 12)
    );
}

/// "How many devices there are": registered, and of those activated, after every kind of change.
pub async fn counts_follow_every_change(make: &dyn Make) {
    let engine = make.fresh().await;
    let devices = &engine.devices;
    let count = async |devices: &dyn Devices| {
        let count = devices.count(&product("pk")).await.unwrap();
        (count.registered, count.activated)
    };
    assert_eq!(count(&**devices).await, (0, 0));
    insert(&**devices, &["lamp1", "lamp2", "lamp3"]).await;
    assert_eq!(count(&**devices).await, (3, 0));
    for name in ["lamp1", "lamp2"] {
        let mut row = find(&**devices, name).await.unwrap();
        row.activated = Some(Time(1));
        devices.change(&row).await.unwrap();
        // Too late a change counts nothing.
        devices.change(&row).await.unwrap();
    }
    assert_eq!(count(&**devices).await, (3, 2));
    let mut row = find(&**devices, "lamp3").await.unwrap();
    row.disabled = true;
    devices.change(&row).await.unwrap();
    assert_eq!(count(&**devices).await, (3, 2));
    for _ in 0..2 {
        devices.remove(&iot_id("id-lamp1")).await.unwrap();
        devices.remove(&iot_id("id-lamp3")).await.unwrap();
    }
    assert_eq!(count(&**devices).await, (1, 1));
    let none = devices.count(&product("pk2")).await.unwrap();
    assert_eq!(none, DeviceCount::default());
    let engine = make.reopen(engine).await;
    assert_eq!(count(&*engine.devices).await, (1, 1));
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    insert(&*engine.devices, &["lamp1", "lamp2"]).await;
    let mut row = find(&*engine.devices, "lamp1").await.unwrap();
    row.disabled = true;
    let change = engine.devices.change_secret(&row, Bytes::from("new")).await;
    assert_eq!(change.unwrap(), Change::Done(2));
    engine.devices.remove(&iot_id("id-lamp2")).await.unwrap();
    let engine = make.reopen(engine).await;
    row.version = 2;
    assert_eq!(find(&*engine.devices, "lamp1").await, Some(row.clone()));
    assert_eq!(find(&*engine.devices, "lamp2").await, None);
    let secret = engine.secrets.find(&SecretId::Device(row.iot_id)).await;
    assert_eq!(secret.unwrap(), Some(Bytes::from("new")));
}
