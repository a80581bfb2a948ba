//! Everything as rows, to move to another engine.

use super::{
    Sql, Trouble, audit, catalog, command, damaged,
    device::{self, columns},
    int,
    recent::Voids,
    secret, uint,
};
use crate::{
    fault::{aside, of_sql},
    sightings::Sightings,
};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    archive::{Archive, Row},
    error::Fault,
    id::{AccessKeyId, CommandId, IotId, ProductKey},
    port::SecretId,
};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc::Sender;

#[async_trait]
impl Archive for Sql {
    async fn dump(&self, rows: Sender<Row>) -> Result<(), Fault> {
        let path = self.home.join(super::FILE);
        let (sightings, tokens) = (self.sightings.clone(), self.tokens.clone());
        let runtime = tokio::runtime::Handle::current();
        aside(move || {
            // A connection of its own: its transaction sees one moment, for as long as it takes.
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags).map_err(|e| of_sql(&e))?;
            let begin = || {
                let moment = connection.unchecked_transaction()?;
                moment.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
                Ok(moment)
            };
            let moment = begin().map_err(|e: rusqlite::Error| of_sql(&e))?;
            // After the rows, so that none is without the tokens that it cost.
            let (challenges, burnt) = runtime.block_on(tokens.all())?;
            let tokens = challenges.into_iter().map(Row::Challenge);
            let tokens = tokens.chain(burnt.into_iter().map(Row::Burnt));
            dump(&moment, &sightings, tokens, &rows).map_err(|e| of_sql(&e))
        })
        .await
    }

    async fn is_empty(&self) -> Result<bool, Fault> {
        if !self.tokens.is_empty() {
            return Ok(false);
        }
        self.read(|c| {
            // Counts of devices that are gone stay, as zeros.
            let tables = TABLES.iter().filter(|table| **table != "device_count");
            let some = tables.map(|table| format!("EXISTS (SELECT 1 FROM {table})"));
            let some = some.collect::<Vec<_>>();
            let empty = format!("SELECT NOT ({})", some.join(" OR "));
            c.query_row(&empty, [], |row| row.get(0))
        })
    }

    async fn clear(&self) -> Result<(), Fault> {
        self.write_over(Voids::All, |c| {
            for table in TABLES {
                c.execute(&format!("DELETE FROM {table}"), [])?;
            }
            Ok(())
        })
        .await?;
        self.tokens.clear().await?;
        let sightings = self.sightings.clone();
        aside(move || sightings.clear()).await
    }

    async fn restore(&self, rows: Vec<Row>) -> Result<(), Fault> {
        let (mut challenges, mut burnt) = (Vec::new(), Vec::new());
        for row in &rows {
            match row {
                Row::Challenge(token) => challenges.push(token.clone()),
                Row::Burnt(token) => burnt.push(token.clone()),
                _ => {}
            }
        }
        if self.tokens.has_any(&challenges, &burnt) {
            return Err(Fault::lasting("a single-use token is there already"));
        }
        self.write_over(Voids::All, move |c| {
            rows.iter().try_for_each(|row| restore(c, row))
        })
        .await?;
        self.tokens.enter(&challenges, &burnt).await
    }
}

/// The tables that hold rows.
const TABLES: [&str; 7] = [
    "entry",
    "sequence",
    "device",
    "device_count",
    "secret",
    "command",
    "audit",
];

fn dump(
    c: &Connection,
    sightings: &Sightings,
    tokens: impl Iterator<Item = Row>,
    rows: &Sender<Row>,
) -> rusqlite::Result<()> {
    every(
        c,
        rows,
        "SELECT key, value, version, kind FROM entry ORDER BY kind, key",
        |row| {
            let entry = catalog::entry(row)?;
            Ok(Row::Entry {
                kind: row.get(3)?,
                key: entry.key,
                value: entry.value,
                version: entry.version,
            })
        },
    )?;
    let sequences = "SELECT name, last FROM sequence WHERE name <> ' command' ORDER BY name";
    every(c, rows, sequences, |row| {
        Ok(Row::Sequence {
            name: row.get(0)?,
            last: uint(row.get(1)?),
        })
    })?;
    let devices = concat!("SELECT ", columns!(), " FROM device ORDER BY id");
    every(c, rows, devices, |row| {
        let mut device = device::device(row)?;
        sightings.lay_over(&mut device);
        Ok(Row::Device(device))
    })?;
    every(
        c,
        rows,
        "SELECT class, id, sealed FROM secret ORDER BY class, id",
        |row| {
            Ok(Row::Secret {
                id: secret_id(row)?,
                sealed: Bytes::from(row.get::<_, Vec<u8>>(2)?),
            })
        },
    )?;
    for token in tokens {
        if rows.blocking_send(token).is_err() {
            break;
        }
    }
    let number = command::last_id(c)?;
    if let Some(number) = number {
        let _ = rows.blocking_send(Row::CommandNumber(CommandId(number)));
    }
    let commands = concat!(
        "SELECT ",
        command::columns!(),
        " FROM command ORDER BY number"
    );
    every(c, rows, commands, |row| {
        command::command(row).map(Row::Command)
    })?;
    every(
        c,
        rows,
        "SELECT seq, entry, hash FROM audit ORDER BY seq",
        |row| audit::record(row).map(Row::Audit),
    )
}

/// Sends what the question finds, until nobody listens any more.
fn every(
    c: &Connection,
    rows: &Sender<Row>,
    question: &str,
    read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Row>,
) -> rusqlite::Result<()> {
    let mut statement = c.prepare(question)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if rows.blocking_send(read(row)?).is_err() {
            break;
        }
    }
    Ok(())
}

fn secret_id(row: &rusqlite::Row<'_>) -> rusqlite::Result<SecretId> {
    let text: String = row.get(1)?;
    let bad = |e: model::id::BadId| damaged(1, e);
    Ok(match row.get::<_, i64>(0)? {
        1 => SecretId::Device(IotId::parse(&text).map_err(bad)?),
        2 => SecretId::Product(ProductKey::parse(&text).map_err(bad)?),
        3 => SecretId::AccessKey(AccessKeyId::parse(&text).map_err(bad)?),
        4 => SecretId::Server(text),
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    })
}

fn restore(c: &Connection, row: &Row) -> Result<(), Trouble> {
    match row {
        Row::Entry {
            kind,
            key,
            value,
            version,
        } => {
            c.prepare_cached("INSERT INTO entry (kind, key, value, version) VALUES (?, ?, ?, ?)")?
                .execute((kind, key, value.as_ref(), int(*version)))?;
        }
        Row::Sequence { name, last } => {
            c.prepare_cached("INSERT INTO sequence (name, last) VALUES (?, ?)")?
                .execute((name, int(*last)))?;
        }
        Row::Device(device) => device::enter(c, device, device.version)?,
        Row::Secret { id, sealed } => secret::enter(c, id, sealed)?,
        // In a log of their own.
        Row::Challenge(_) | Row::Burnt(_) => {}
        Row::CommandNumber(number) => command::keep_last_id(c, number.0)?,
        Row::Command(command) => command::enter(c, command)?,
        Row::Audit(record) => audit::keep(c, record)?,
    }
    Ok(())
}
