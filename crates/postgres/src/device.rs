//! Device rows, made for a million of them in one product.

use crate::{Registry, fault::damaged, int, lease::Alone, limit, uint};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    device::{Device, DeviceCount},
    error::Fault,
    id::{AccountId, DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::{Change, DeviceFilter, Devices, Insert, NewDevice, Seen},
};
use std::collections::BTreeMap;
use tokio_postgres::Row;

/// What a device is made of, as `device` reads it.
macro_rules! columns {
    () => {
        "iot_id, product, name, account, nickname, created, activated, disabled,
         online, offline, address, firmware, tags, credential, version"
    };
}
pub(crate) use columns;

/// Adds to the counts of a product: one of 16 parts, so that connections seldom wait for each
/// other; in the order of classes, so that two never wait for each other in a ring.
macro_rules! count {
    ($from:literal) => {
        concat!(
            "INSERT INTO device_count AS c (product, class, part, devices)
             SELECT product, class, pg_backend_pid() % 16, sum(many) ",
            $from,
            " GROUP BY product, class ORDER BY class
             ON CONFLICT (product, class, part)
             DO UPDATE SET devices = c.devices + excluded.devices"
        )
    };
}

/// Enters rows, secrets and counts in one statement.
pub(crate) const INSERT: &str = concat!(
    "WITH given AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
            $6::int8[], $7::int8[], $8::bool[], $9::int8[], $10::int8[], $11::text[],
            $12::text[], $13::text[], $14::int8[], $15::int8[], $16::bytea[])
        WITH ORDINALITY AS given(iot_id, product, name, account, nickname, created, activated,
            disabled, online, offline, address, firmware, tags, credential, version, sealed, place)
    ), entered AS (
        INSERT INTO device (",
    columns!(),
    ") SELECT ",
    columns!(),
    " FROM given ORDER BY place
        RETURNING product, class, 1 AS many
    ), kept AS (
        INSERT INTO secret (class, id, sealed) SELECT 1, iot_id, sealed FROM given
        WHERE sealed IS NOT NULL
        ON CONFLICT (class, id) DO UPDATE SET sealed = excluded.sealed
    ) ",
    count!("FROM entered")
);

/// Replaces the row when it still has the version, and the secret when one is given.
const CHANGE: &str = concat!(
    "WITH former AS (
        SELECT id, class FROM device
        WHERE iot_id = $1 AND version = $2 AND product = $3 AND name = $4 FOR UPDATE
    ), done AS (
        UPDATE device d SET account = $5, nickname = $6, created = $7, activated = $8,
            disabled = $9, online = $10, offline = $11, address = $12, firmware = $13,
            tags = $14, credential = $15, version = version + 1
        FROM former WHERE d.id = former.id
        RETURNING d.product, former.class AS former, d.class AS class
    ), kept AS (
        INSERT INTO secret (class, id, sealed) SELECT 1, $1, $16::bytea FROM done
        WHERE $16::bytea IS NOT NULL
        ON CONFLICT (class, id) DO UPDATE SET sealed = excluded.sealed
    ), counted AS (",
    count!(
        "FROM (SELECT product, former AS class, -1 AS many FROM done WHERE former <> class
               UNION ALL SELECT product, class, 1 FROM done WHERE former <> class) AS moved"
    ),
    ") SELECT 1 FROM done"
);

const REMOVE: &str = concat!(
    "WITH gone AS (
        DELETE FROM device WHERE iot_id = $1 RETURNING product, class, -1 AS many
    ), forgotten AS (
        DELETE FROM secret WHERE class = 1 AND id = $1 AND EXISTS (SELECT 1 FROM gone)
    ), counted AS (",
    count!("FROM gone"),
    ") SELECT 1 FROM gone"
);

/// Rows are locked in one order, so that two batches never wait for each other in a ring.
const SEEN: &str = "WITH given AS (
        SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[])
            AS given(iot_id, online, offline, address)
    ), locked AS MATERIALIZED (
        SELECT id, iot_id FROM device WHERE iot_id = ANY ($1) ORDER BY id FOR UPDATE
    )
    UPDATE device d SET
        online = CASE WHEN d.online > g.online THEN d.online
                 ELSE coalesce(g.online, d.online) END,
        address = CASE WHEN g.online IS NULL OR d.online > g.online THEN d.address
                  ELSE coalesce(g.address, d.address) END,
        offline = greatest(d.offline, g.offline)
    FROM given g, locked WHERE d.id = locked.id AND g.iot_id = locked.iot_id";

#[async_trait]
impl Devices for Registry {
    async fn insert(&self, devices: Vec<NewDevice>, quota: u64) -> Result<Insert, Fault> {
        let Some(first) = devices.first() else {
            return Ok(Insert::Done);
        };
        let product = &first.device.key.product;
        if devices.iter().any(|new| new.device.key.product != *product) {
            return Err(Fault::lasting("devices of two products in one insertion"));
        }
        let mut names: Vec<_> = devices.iter().map(|new| &new.device.key.name).collect();
        names.sort_unstable();
        let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
        let twice: Vec<_> = twice.map(|pair| pair[0].clone()).collect();
        let names: Vec<_> = names.into_iter().map(DeviceName::as_str).collect();

        let mut lease = self.lease().await?;
        lease.begin_alone(Alone::Devices, product.as_str()).await?;
        let taken = lease.rows(TAKEN, &[&product.as_str(), &names]).await?;
        let mut taken = read_names(&taken)?;
        taken.extend(twice);
        if !taken.is_empty() {
            lease.undo().await?;
            return Ok(Insert::Taken(taken));
        }
        let counts = lease.rows(COUNTS, &[&product.as_str()]).await?;
        let registered: u64 = read_counts(&counts).iter().sum();
        if registered.saturating_add(devices.len() as u64) > quota {
            lease.undo().await?;
            return Ok(Insert::QuotaUsedUp);
        }
        let rows = devices
            .iter()
            .map(|NewDevice { device, secret }| (device, 1, Some(secret)));
        let columns = Columns::of(rows)?;
        lease.rows(INSERT, &columns.given()).await?;
        lease.commit().await?;
        Ok(Insert::Done)
    }

    async fn find(&self, key: &DeviceKey) -> Result<Option<Device>, Fault> {
        let find = concat!(
            "SELECT ",
            columns!(),
            " FROM device WHERE product = $1 AND name = $2"
        );
        let row = self
            .row(find, &[&key.product.as_str(), &key.name.as_str()])
            .await?;
        row.as_ref().map(device).transpose()
    }

    async fn find_id(&self, id: &IotId) -> Result<Option<Device>, Fault> {
        let find = concat!("SELECT ", columns!(), " FROM device WHERE iot_id = $1");
        let row = self.row(find, &[&id.as_str()]).await?;
        row.as_ref().map(device).transpose()
    }

    async fn taken(
        &self,
        product: &ProductKey,
        names: &[DeviceName],
    ) -> Result<Vec<DeviceName>, Fault> {
        let names: Vec<_> = names.iter().map(DeviceName::as_str).collect();
        read_names(&self.rows(TAKEN, &[&product.as_str(), &names]).await?)
    }

    async fn change(&self, device: &Device) -> Result<Change, Fault> {
        self.change_both(device, None).await
    }

    async fn change_secret(&self, device: &Device, secret: Bytes) -> Result<Change, Fault> {
        self.change_both(device, Some(&secret)).await
    }

    async fn seen(&self, seen: Vec<Seen>) -> Result<(), Fault> {
        let mut latest: BTreeMap<&str, Latest<'_>> = BTreeMap::new();
        for seen in &seen {
            latest.entry(seen.iot_id.as_str()).or_default().note(seen);
        }
        let ids: Vec<_> = latest.keys().copied().collect();
        let online: Vec<_> = latest.values().map(|latest| latest.online).collect();
        let offline: Vec<_> = latest.values().map(|latest| latest.offline).collect();
        let address: Vec<_> = latest.values().map(|latest| latest.address).collect();
        self.rows(SEEN, &[&ids, &online, &offline, &address])
            .await?;
        Ok(())
    }

    async fn remove(&self, id: &IotId) -> Result<bool, Fault> {
        Ok(self.row(REMOVE, &[&id.as_str()]).await?.is_some())
    }

    async fn page(
        &self,
        product: &ProductKey,
        filter: &DeviceFilter,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Device>, u64), Fault> {
        // The inner query walks the index alone, which is several times faster than walking the
        // rows that are skipped.
        let page = concat!(
            "SELECT ",
            columns!(),
            " FROM device WHERE id = ANY (ARRAY(
                 SELECT id FROM device WHERE product = $1 AND class = ANY ($2::int2[])
                 ORDER BY id DESC LIMIT $3 OFFSET $4))
              ORDER BY id DESC"
        );
        let classes: Vec<i16> = (0..4).filter(|class| matches(filter, *class)).collect();
        let mut lease = self.lease().await?;
        lease
            .begin("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await?;
        let counts = lease.rows(COUNTS, &[&product.as_str()]).await?;
        let counts = (0..).zip(read_counts(&counts));
        let wanted = counts.filter(|(class, _)| classes.contains(class));
        let total = wanted.map(|(_, many)| many).sum();
        let mut rows = Vec::new();
        if most > 0 && skip < total {
            let (most, skip) = (limit(most), int(skip));
            rows = lease
                .rows(page, &[&product.as_str(), &classes, &most, &skip])
                .await?;
        }
        lease.undo().await?;
        let devices: Result<_, _> = rows.iter().map(device).collect();
        Ok((devices?, total))
    }

    async fn count(&self, product: &ProductKey) -> Result<DeviceCount, Fault> {
        let counts = read_counts(&self.rows(COUNTS, &[&product.as_str()]).await?);
        Ok(DeviceCount {
            registered: counts.iter().sum(),
            activated: counts[2] + counts[3],
        })
    }
}

impl Registry {
    async fn change_both(&self, device: &Device, secret: Option<&Bytes>) -> Result<Change, Fault> {
        let row = self
            .row(
                CHANGE,
                &[
                    &device.iot_id.as_str(),
                    &int(device.version),
                    &device.key.product.as_str(),
                    &device.key.name.as_str(),
                    &device.account.as_str(),
                    &device.nickname,
                    &device.created.0,
                    &device.activated.map(|time| time.0),
                    &device.disabled,
                    &device.online.map(|time| time.0),
                    &device.offline.map(|time| time.0),
                    &device.address,
                    &device.firmware,
                    &tags(device)?,
                    &int(device.credential),
                    &secret.map(AsRef::as_ref),
                ],
            )
            .await?;
        Ok(row.map_or(Change::Conflict, |_| Change::Done(device.version + 1)))
    }
}

const TAKEN: &str = "SELECT name FROM device WHERE product = $1 AND name = ANY ($2::text[])";
const COUNTS: &str = "SELECT class, sum(devices)::int8 FROM device_count WHERE product = $1
    GROUP BY class";

fn read_names(rows: &[Row]) -> Result<Vec<DeviceName>, Fault> {
    rows.iter()
        .map(|row| DeviceName::parse(row.get(0)).map_err(|e| damaged("device's name", e)))
        .collect()
}

/// How many devices of a product there are in each class.
fn read_counts(rows: &[Row]) -> [u64; 4] {
    let mut counts = [0; 4];
    for row in rows {
        let class = usize::try_from(row.get::<_, i16>(0)).ok();
        if let Some(count) = class.and_then(|class| counts.get_mut(class)) {
            *count = uint(row.get(1));
        }
    }
    counts
}

/// Whether devices of the class (2 when activated, plus 1 when disabled) are asked for.
fn matches(filter: &DeviceFilter, class: i16) -> bool {
    filter.activated.is_none_or(|wanted| wanted == (class >= 2))
        && filter
            .disabled
            .is_none_or(|wanted| wanted == (class % 2 == 1))
}

/// What several notes of one device's connections come to.
#[derive(Default)]
struct Latest<'a> {
    online: Option<i64>,
    offline: Option<i64>,
    address: Option<&'a str>,
}

impl<'a> Latest<'a> {
    fn note(&mut self, seen: &'a Seen) {
        if let Some(Time(online)) = seen.online
            && self.online.is_none_or(|before| before <= online)
        {
            self.online = Some(online);
            self.address = seen.address.as_deref().or(self.address);
        }
        self.offline = self.offline.max(seen.offline.map(|time| time.0));
    }
}

/// Devices as columns of a table, with the version and the secret that they are to have.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    iot_id: Vec<&'a str>,
    product: Vec<&'a str>,
    name: Vec<&'a str>,
    account: Vec<&'a str>,
    nickname: Vec<&'a str>,
    created: Vec<i64>,
    activated: Vec<Option<i64>>,
    disabled: Vec<bool>,
    online: Vec<Option<i64>>,
    offline: Vec<Option<i64>>,
    address: Vec<&'a str>,
    firmware: Vec<&'a str>,
    tags: Vec<String>,
    credential: Vec<i64>,
    version: Vec<i64>,
    sealed: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(
        devices: impl Iterator<Item = (&'a Device, u64, Option<&'a Bytes>)>,
    ) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (device, version, sealed) in devices {
            columns.iot_id.push(device.iot_id.as_str());
            columns.product.push(device.key.product.as_str());
            columns.name.push(device.key.name.as_str());
            columns.account.push(device.account.as_str());
            columns.nickname.push(&device.nickname);
            columns.created.push(device.created.0);
            columns.activated.push(device.activated.map(|time| time.0));
            columns.disabled.push(device.disabled);
            columns.online.push(device.online.map(|time| time.0));
            columns.offline.push(device.offline.map(|time| time.0));
            columns.address.push(&device.address);
            columns.firmware.push(&device.firmware);
            columns.tags.push(tags(device)?);
            columns.credential.push(int(device.credential));
            columns.version.push(int(version));
            columns.sealed.push(sealed.map(AsRef::as_ref));
        }
        Ok(columns)
    }

    pub(crate) fn given(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 16] {
        [
            &self.iot_id,
            &self.product,
            &self.name,
            &self.account,
            &self.nickname,
            &self.created,
            &self.activated,
            &self.disabled,
            &self.online,
            &self.offline,
            &self.address,
            &self.firmware,
            &self.tags,
            &self.credential,
            &self.version,
            &self.sealed,
        ]
    }
}

fn tags(device: &Device) -> Result<String, Fault> {
    serde_json::to_string(&device.tags).map_err(|e| Fault::lasting(format!("tags: {e}")))
}

pub(crate) fn device(row: &Row) -> Result<Device, Fault> {
    let bad = |e: &dyn std::fmt::Display| damaged("device", e);
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(Time);
    Ok(Device {
        iot_id: IotId::parse(row.get(0)).map_err(|e| bad(&e))?,
        key: DeviceKey::parse(row.get(1), row.get(2)).map_err(|e| bad(&e))?,
        account: AccountId::parse(row.get(3)).map_err(|e| bad(&e))?,
        nickname: row.get(4),
        created: Time(row.get(5)),
        activated: time(6),
        disabled: row.get(7),
        online: time(8),
        offline: time(9),
        address: row.get(10),
        firmware: row.get(11),
        tags: serde_json::from_str(row.get(12)).map_err(|e| bad(&e))?,
        credential: uint(row.get(13)),
        version: uint(row.get(14)),
    })
}
