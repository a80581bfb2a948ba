//! Device rows, made for a million of them in one product.

use super::{Sql, Trouble, damaged, int, limit, recent::Voids, secret, uint};
use crate::fault::aside;
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    device::{Device, DeviceCount},
    error::Fault,
    id::{AccountId, DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::{Change, DeviceFilter, Devices, Insert, NewDevice, SecretId, Seen},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashSet;

/// What a device is made of, as `device` reads it.
macro_rules! columns {
    () => {
        "iot_id, product, name, account, nickname, created, activated, disabled,
         online, offline, address, firmware, tags, credential, version"
    };
}
pub(super) use columns;

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM device ", $rest)
    };
}

#[async_trait]
impl Devices for Sql {
    async fn insert(&self, devices: Vec<NewDevice>, quota: u64) -> Result<Insert, Fault> {
        let Some(first) = devices.first() else {
            return Ok(Insert::Done);
        };
        let product = first.device.key.product.clone();
        if devices.iter().any(|new| new.device.key.product != product) {
            return Err(Fault::lasting("devices of two products in one insertion"));
        }
        self.write(move |c| insert(c, &product, &devices, quota))
            .await
    }

    async fn find(&self, key: &DeviceKey) -> Result<Option<Device>, Fault> {
        let found = self.recent.find(key, || {
            self.read(|c| {
                c.prepare_cached(select!("WHERE product = ? AND name = ?"))?
                    .query_row((key.product.as_str(), key.name.as_str()), device)
                    .optional()
            })
        })?;
        Ok(found.map(|device| self.whole(device)))
    }

    async fn find_id(&self, id: &IotId) -> Result<Option<Device>, Fault> {
        let found = self.recent.find_id(id, || {
            self.read(|c| {
                c.prepare_cached(select!("WHERE iot_id = ?"))?
                    .query_row([id.as_str()], device)
                    .optional()
            })
        })?;
        Ok(found.map(|device| self.whole(device)))
    }

    async fn taken(
        &self,
        product: &ProductKey,
        names: &[DeviceName],
    ) -> Result<Vec<DeviceName>, Fault> {
        let (product, names) = (product.clone(), names.to_vec());
        self.read_many(move |c| taken(c, &product, names.iter()))
            .await
    }

    async fn change(&self, device: &Device) -> Result<Change, Fault> {
        let device = device.clone();
        let voids = Voids::Device(device.iot_id.clone());
        let done = self.write_over_unless_refused(voids, move |c| change(c, &device));
        Ok(done.await?.unwrap_or(Change::Conflict))
    }

    async fn change_secret(&self, device: &Device, secret: Bytes) -> Result<Change, Fault> {
        let device = device.clone();
        let voids = Voids::Device(device.iot_id.clone());
        let done = self.write_over_unless_refused(voids, move |c| {
            let done = change(c, &device)?;
            secret::keep(c, &SecretId::Device(device.iot_id), &secret)?;
            Ok(done)
        });
        Ok(done.await?.unwrap_or(Change::Conflict))
    }

    async fn seen(&self, seen: Vec<Seen>) -> Result<(), Fault> {
        // One that only went may be gone: its last fact is that its connection was closed.
        let mut there = HashSet::new();
        for one in seen.iter().filter(|seen| seen.online.is_none()) {
            let id = one.iot_id.as_str();
            let found = self.read(|c| {
                c.prepare_cached("SELECT 1 FROM device WHERE iot_id = ?")?
                    .exists([id])
            })?;
            if found {
                there.insert(one.iot_id.clone());
            }
        }
        let sightings = self.sightings.clone();
        aside(move || {
            let known = |seen: &Seen| seen.online.is_some() || there.contains(&seen.iot_id);
            sightings.note(seen.into_iter().filter(known))
        })
        .await
    }

    async fn remove(&self, id: &IotId) -> Result<bool, Fault> {
        let (sightings, seen) = (self.sightings.clone(), id.clone());
        let id = id.clone();
        let removed = self.write_over(Voids::Device(seen.clone()), move |c| {
            let gone = c
                .prepare_cached("DELETE FROM device WHERE iot_id = ? RETURNING product, class")?
                .query_row([id.as_str()], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
                })
                .optional()?;
            let Some((product, class)) = gone else {
                return Ok(false);
            };
            add_to_count(c, &product, class, -1)?;
            secret::forget(c, &SecretId::Device(id))?;
            Ok(true)
        });
        let removed = removed.await?;
        if removed {
            // What stays behind is of an id that is never given again.
            if let Err(fault) = aside(move || sightings.forget(&seen)).await {
                tracing::debug!(%fault, "when a device was last seen was not forgotten");
            }
        }
        Ok(removed)
    }

    async fn page(
        &self,
        product: &ProductKey,
        filter: &DeviceFilter,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Device>, u64), Fault> {
        let (product, filter) = (product.clone(), filter.clone());
        let sightings = self.sightings.clone();
        self.read_many(move |c| {
            let counts = counts(c, &product)?;
            // A class that is not wanted becomes NULL, which equals nothing.
            let class = |class: u8| matches(&filter, class).then_some(class);
            let classes = [class(0), class(1), class(2), class(3)];
            let total = counts.iter().zip(classes);
            let total = total.map(|(n, class)| class.map_or(0, |_| *n)).sum();
            if most == 0 || skip >= total {
                return Ok((Vec::new(), total));
            }
            // The inner query walks the index alone, which is several times faster than walking
            // the rows that are skipped.
            let [a, b, c_, d] = classes;
            let mut page: Vec<Device> = c
                .prepare_cached(select!(
                    "WHERE id IN (SELECT id FROM device INDEXED BY device_page
                                  WHERE product = ? AND class IN (?, ?, ?, ?)
                                  ORDER BY id DESC LIMIT ? OFFSET ?)
                     ORDER BY id DESC"
                ))?
                .query_map(
                    params![product.as_str(), a, b, c_, d, limit(most), int(skip)],
                    device,
                )?
                .collect::<rusqlite::Result<_>>()?;
            page.iter_mut()
                .for_each(|device| sightings.lay_over(device));
            Ok((page, total))
        })
        .await
    }

    async fn count(&self, product: &ProductKey) -> Result<DeviceCount, Fault> {
        let counts = self.read(|c| counts(c, product))?;
        Ok(DeviceCount {
            registered: counts.iter().sum(),
            activated: counts[2] + counts[3],
        })
    }
}

impl Sql {
    /// The device with what was seen of it.
    fn whole(&self, mut device: Device) -> Device {
        self.sightings.lay_over(&mut device);
        device
    }
}

fn insert(
    c: &Connection,
    product: &ProductKey,
    devices: &[NewDevice],
    quota: u64,
) -> Result<Insert, Trouble> {
    let mut names: Vec<_> = devices.iter().map(|new| &new.device.key.name).collect();
    names.sort_unstable();
    let mut taken = taken(c, product, names.iter().copied())?;
    let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
    taken.extend(twice.map(|pair| pair[0].clone()));
    if !taken.is_empty() {
        return Ok(Insert::Taken(taken));
    }
    let registered: u64 = counts(c, product)?.iter().sum();
    if registered.saturating_add(devices.len() as u64) > quota {
        return Ok(Insert::QuotaUsedUp);
    }
    for NewDevice { device, secret } in devices {
        enter(c, device, 1)?;
        secret::keep(c, &SecretId::Device(device.iot_id.clone()), secret)?;
    }
    Ok(Insert::Done)
}

/// Enters the row and counts it.
pub(super) fn enter(c: &Connection, device: &Device, version: u64) -> Result<(), Trouble> {
    c.prepare_cached(concat!(
        "INSERT INTO device (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?
    .execute(params![
        device.iot_id.as_str(),
        device.key.product.as_str(),
        device.key.name.as_str(),
        device.account.as_str(),
        device.nickname,
        device.created.0,
        device.activated.map(|time| time.0),
        device.disabled,
        device.online.map(|time| time.0),
        device.offline.map(|time| time.0),
        device.address,
        device.firmware,
        tags(device)?,
        int(device.credential),
        int(version),
    ])?;
    add_to_count(c, device.key.product.as_str(), class(device) as i64, 1)
}

fn taken<'a>(
    c: &Connection,
    product: &ProductKey,
    names: impl Iterator<Item = &'a DeviceName>,
) -> rusqlite::Result<Vec<DeviceName>> {
    let mut there = c.prepare_cached("SELECT 1 FROM device WHERE product = ? AND name = ?")?;
    let mut taken = Vec::new();
    for name in names {
        if there.exists((product.as_str(), name.as_str()))? {
            taken.push(name.clone());
        }
    }
    Ok(taken)
}

fn change(c: &Connection, device: &Device) -> Result<Change, Trouble> {
    let former: i64 = c
        .prepare_cached(
            "SELECT class FROM device
             WHERE iot_id = ? AND version = ? AND product = ? AND name = ?",
        )?
        .query_row(
            (
                device.iot_id.as_str(),
                int(device.version),
                device.key.product.as_str(),
                device.key.name.as_str(),
            ),
            |row| row.get(0),
        )
        .optional()?
        .ok_or(Trouble::Refused)?;
    c.prepare_cached(
        "UPDATE device SET account = ?, nickname = ?, created = ?, activated = ?, disabled = ?,
                online = ?, offline = ?, address = ?, firmware = ?, tags = ?, credential = ?,
                version = version + 1
         WHERE iot_id = ?",
    )?
    .execute(params![
        device.account.as_str(),
        device.nickname,
        device.created.0,
        device.activated.map(|time| time.0),
        device.disabled,
        device.online.map(|time| time.0),
        device.offline.map(|time| time.0),
        device.address,
        device.firmware,
        tags(device)?,
        int(device.credential),
        device.iot_id.as_str(),
    ])?;
    let class = class(device) as i64;
    if class != former {
        add_to_count(c, device.key.product.as_str(), former, -1)?;
        add_to_count(c, device.key.product.as_str(), class, 1)?;
    }
    Ok(Change::Done(device.version + 1))
}

/// As the column of that name: 2 when activated, plus 1 when disabled.
fn class(device: &Device) -> usize {
    usize::from(device.activated.is_some()) * 2 + usize::from(device.disabled)
}

fn matches(filter: &DeviceFilter, class: u8) -> bool {
    filter.activated.is_none_or(|wanted| wanted == (class >= 2))
        && filter
            .disabled
            .is_none_or(|wanted| wanted == (class % 2 == 1))
}

/// How many devices of the product there are in each class.
fn counts(c: &Connection, product: &ProductKey) -> rusqlite::Result<[u64; 4]> {
    let mut counts = [0; 4];
    let mut statement =
        c.prepare_cached("SELECT class, devices FROM device_count WHERE product = ?")?;
    let mut rows = statement.query([product.as_str()])?;
    while let Some(row) = rows.next()? {
        if let Some(count) = counts.get_mut(row.get::<_, u8>(0)? as usize) {
            *count = uint(row.get(1)?);
        }
    }
    Ok(counts)
}

fn add_to_count(c: &Connection, product: &str, class: i64, many: i64) -> Result<(), Trouble> {
    let mut update = c.prepare_cached(
        "UPDATE device_count SET devices = devices + ? WHERE product = ? AND class = ?",
    )?;
    if update.execute((many, product, class))? == 0 {
        c.prepare_cached("INSERT INTO device_count (product, class, devices) VALUES (?, ?, ?)")?
            .execute((product, class, many))?;
    }
    Ok(())
}

fn tags(device: &Device) -> Result<String, Fault> {
    serde_json::to_string(&device.tags).map_err(|e| Fault::lasting(format!("tags: {e}")))
}

pub(super) fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    let text = |column| {
        row.get_ref(column)?
            .as_str()
            .map_err(|e| damaged(column, e))
    };
    let time = |column| row.get::<_, Option<i64>>(column).map(|time| time.map(Time));
    Ok(Device {
        iot_id: IotId::parse(text(0)?).map_err(|e| damaged(0, e))?,
        key: DeviceKey::parse(text(1)?, text(2)?).map_err(|e| damaged(1, e))?,
        account: AccountId::parse(text(3)?).map_err(|e| damaged(3, e))?,
        nickname: row.get(4)?,
        created: Time(row.get(5)?),
        activated: time(6)?,
        disabled: row.get(7)?,
        online: time(8)?,
        offline: time(9)?,
        address: row.get(10)?,
        firmware: row.get(11)?,
        tags: serde_json::from_str(text(12)?).map_err(|e| damaged(12, e))?,
        credential: uint(row.get(13)?),
        version: uint(row.get(14)?),
    })
}
