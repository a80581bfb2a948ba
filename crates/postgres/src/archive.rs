//! Everything as rows, to move to another engine.

use crate::{
    Registry, audit, command,
    device::{self, columns},
    fault::damaged,
    int,
    lease::Lease,
    secret, uint,
};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    account::AuditRecord,
    archive::{Archive, Row, Token},
    command::{Command, CommandState},
    device::Device,
    error::Fault,
    id::{AccessKeyId, CommandId, IotId, ProductKey, Time},
    port::SecretId,
};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio_postgres::types::ToSql;

/// A dump takes as long as its receiver does, and a restore as long as its rows take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Rows that are fetched at once.
const FETCH: &str = "FETCH 1000 FROM every";

/// The tables that hold rows; counts are made anew with their devices.
const TABLES: &str =
    "entry, sequence, device, device_count, secret, challenge, burnt, command, audit";

#[async_trait]
impl Archive for Registry {
    async fn dump(&self, rows: Sender<Row>) -> Result<(), Fault> {
        let mut lease = self.lease_for(PATIENCE).await?;
        lease
            .begin("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await?;
        lease
            .run("SET LOCAL idle_in_transaction_session_timeout = 0")
            .await?;
        let entries = "SELECT kind, key, value, version FROM entry ORDER BY kind, key";
        every(&mut lease, &rows, entries, |row| {
            Ok(Row::Entry {
                kind: row.get(0),
                key: row.get(1),
                value: Bytes::copy_from_slice(row.get(2)),
                version: uint(row.get(3)),
            })
        })
        .await?;
        let sequences = "SELECT name, last FROM sequence ORDER BY name";
        every(&mut lease, &rows, sequences, |row| {
            Ok(Row::Sequence {
                name: row.get(0),
                last: uint(row.get(1)),
            })
        })
        .await?;
        let devices = concat!("SELECT ", columns!(), " FROM device ORDER BY id");
        every(&mut lease, &rows, devices, |row| {
            device::device(row).map(Row::Device)
        })
        .await?;
        let secrets = "SELECT class, id, sealed FROM secret ORDER BY class, id";
        every(&mut lease, &rows, secrets, |row| {
            Ok(Row::Secret {
                id: secret_id(row)?,
                sealed: Bytes::copy_from_slice(row.get(2)),
            })
        })
        .await?;
        let challenges = "SELECT owner, token, until FROM challenge ORDER BY owner, token";
        every(&mut lease, &rows, challenges, |row| {
            token(row).map(Row::Challenge)
        })
        .await?;
        let burnt = "SELECT owner, token, until FROM burnt ORDER BY owner, token";
        every(&mut lease, &rows, burnt, |row| token(row).map(Row::Burnt)).await?;
        // A sequence is not of one moment; a number that was given since does no harm.
        let number = "SELECT last_value FROM command_id WHERE is_called";
        if let Some(row) = lease.row(number, &[]).await? {
            let _ = rows
                .send(Row::CommandNumber(command::command_id(row.get(0))?))
                .await;
        }
        let commands = concat!(
            "SELECT ",
            command::columns!(),
            " FROM command ORDER BY number"
        );
        every(&mut lease, &rows, commands, |row| {
            command::command(row).map(Row::Command)
        })
        .await?;
        let lines = "SELECT seq, entry, hash FROM audit ORDER BY seq";
        every(&mut lease, &rows, lines, |row| {
            audit::record(row).map(Row::Audit)
        })
        .await?;
        Ok(lease.undo().await?)
    }

    async fn is_empty(&self) -> Result<bool, Fault> {
        let empty = "SELECT NOT (EXISTS (SELECT 1 FROM entry) OR EXISTS (SELECT 1 FROM sequence)
            OR EXISTS (SELECT 1 FROM device) OR EXISTS (SELECT 1 FROM secret)
            OR EXISTS (SELECT 1 FROM challenge) OR EXISTS (SELECT 1 FROM burnt)
            OR EXISTS (SELECT 1 FROM command) OR EXISTS (SELECT 1 FROM audit))";
        let row = self.row(empty, &[]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    async fn clear(&self) -> Result<(), Fault> {
        let mut lease = self.lease().await?;
        lease.begin("BEGIN").await?;
        lease
            .run(&format!(
                "TRUNCATE {TABLES} RESTART IDENTITY;
                 SELECT setval('command_id', 1, false)"
            ))
            .await?;
        Ok(lease.commit().await?)
    }

    async fn restore(&self, rows: Vec<Row>) -> Result<(), Fault> {
        let parts = Parts::of(&rows);
        let mut lease = self.lease_for(PATIENCE).await?;
        lease.begin("BEGIN").await?;
        parts.enter(&mut lease).await?;
        Ok(lease.commit().await?)
    }
}

/// Sends what the question finds, until nobody listens any more.
async fn every(
    lease: &mut Lease,
    rows: &Sender<Row>,
    question: &str,
    read: fn(&tokio_postgres::Row) -> Result<Row, Fault>,
) -> Result<(), Fault> {
    lease
        .run(&format!("DECLARE every CURSOR FOR {question}"))
        .await?;
    loop {
        // Not kept prepared: the same words fetch other columns each time.
        let found = lease.once(FETCH).await?;
        if found.is_empty() || rows.is_closed() {
            break;
        }
        for row in &found {
            if rows.send(read(row)?).await.is_err() {
                break;
            }
        }
    }
    Ok(lease.run("CLOSE every").await?)
}

fn token(row: &tokio_postgres::Row) -> Result<Token, Fault> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|e| damaged("single-use thing", e))
    };
    Ok(Token {
        owner: text(row.get(0))?,
        token: text(row.get(1))?,
        until: Time(row.get(2)),
    })
}

fn secret_id(row: &tokio_postgres::Row) -> Result<SecretId, Fault> {
    let text: &str = row.get(1);
    let bad = |e: model::id::BadId| damaged("secret's owner", e);
    Ok(match row.get::<_, i16>(0) {
        1 => SecretId::Device(IotId::parse(text).map_err(bad)?),
        2 => SecretId::Product(ProductKey::parse(text).map_err(bad)?),
        3 => SecretId::AccessKey(AccessKeyId::parse(text).map_err(bad)?),
        4 => SecretId::Server(text.into()),
        other => return Err(damaged("secret", format!("class {other}"))),
    })
}

/// Rows by kind, so that each kind is entered by one statement.
#[derive(Default)]
struct Parts<'a> {
    entries: Entries<'a>,
    sequences: (Vec<&'a str>, Vec<i64>),
    devices: Vec<&'a Device>,
    secrets: (Vec<i16>, Vec<&'a str>, Vec<&'a [u8]>),
    challenges: Tokens<'a>,
    burnt: Tokens<'a>,
    number: Option<CommandId>,
    commands: Vec<&'a Command>,
    lines: Vec<AuditRecord>,
}

type Entries<'a> = (Vec<&'a str>, Vec<&'a str>, Vec<&'a [u8]>, Vec<i64>);
type Tokens<'a> = (Vec<&'a [u8]>, Vec<&'a [u8]>, Vec<i64>);

impl<'a> Parts<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut parts = Self::default();
        let add = |tokens: &mut Tokens<'a>, token: &'a Token| {
            tokens.0.push(token.owner.as_bytes());
            tokens.1.push(token.token.as_bytes());
            tokens.2.push(token.until.0);
        };
        for row in rows {
            match row {
                Row::Entry {
                    kind,
                    key,
                    value,
                    version,
                } => {
                    parts.entries.0.push(kind);
                    parts.entries.1.push(key);
                    parts.entries.2.push(value);
                    parts.entries.3.push(int(*version));
                }
                Row::Sequence { name, last } => {
                    parts.sequences.0.push(name);
                    parts.sequences.1.push(int(*last));
                }
                Row::Device(device) => parts.devices.push(device),
                Row::Secret { id, sealed } => {
                    let (class, id) = secret::key(id);
                    parts.secrets.0.push(class);
                    parts.secrets.1.push(id);
                    parts.secrets.2.push(sealed);
                }
                Row::Challenge(token) => add(&mut parts.challenges, token),
                Row::Burnt(token) => add(&mut parts.burnt, token),
                Row::CommandNumber(number) => parts.number = Some(*number),
                Row::Command(command) => parts.commands.push(command),
                Row::Audit(record) => parts.lines.push(record.clone()),
            }
        }
        parts
    }

    async fn enter(&self, lease: &mut Lease) -> Result<(), Fault> {
        let (kinds, keys, values, versions) = &self.entries;
        let entries = "INSERT INTO entry (kind, key, value, version)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int8[])";
        enter(
            lease,
            kinds.len(),
            entries,
            &[kinds, keys, values, versions],
        )
        .await?;

        let (names, lasts) = &self.sequences;
        let sequences = "INSERT INTO sequence (name, last)
            SELECT * FROM unnest($1::text[], $2::int8[])";
        enter(lease, names.len(), sequences, &[names, lasts]).await?;

        let devices = self.devices.iter();
        let devices = devices.map(|device| (*device, device.version, None));
        let columns = device::Columns::of(devices)?;
        enter(lease, self.devices.len(), device::INSERT, &columns.given()).await?;

        let (classes, ids, sealed) = &self.secrets;
        let secrets = "INSERT INTO secret (class, id, sealed)
            SELECT * FROM unnest($1::int2[], $2::text[], $3::bytea[])";
        enter(lease, ids.len(), secrets, &[classes, ids, sealed]).await?;

        let (owners, tokens, untils) = &self.challenges;
        let challenges = "INSERT INTO challenge (owner, token, until)
            SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[])";
        enter(lease, owners.len(), challenges, &[owners, tokens, untils]).await?;

        let (owners, tokens, untils) = &self.burnt;
        let burnt = "INSERT INTO burnt (owner, token, until)
            SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[])";
        enter(lease, owners.len(), burnt, &[owners, tokens, untils]).await?;

        if let Some(number) = self.number {
            let set = "SELECT setval('command_id', $1::int8)";
            lease.rows(set, &[&i64::from(number.0)]).await?;
        }
        self.enter_commands(lease).await?;
        let audit::Columns { seq, entry, hash } = audit::Columns::of(&self.lines)?;
        let lines = "INSERT INTO audit (seq, entry, hash)
            SELECT * FROM unnest($1::int8[], $2::text[], $3::text[])";
        enter(lease, seq.len(), lines, &[&seq, &entry, &hash]).await
    }

    async fn enter_commands(&self, lease: &mut Lease) -> Result<(), Fault> {
        let commands = "INSERT INTO command
                (id, iot_id, product, name, task, created, until, sent)
            SELECT id, iot_id, product, name, task, created, until, sent
            FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[],
                $7::int8[], $8::bool[])
            WITH ORDINALITY AS given(id, iot_id, product, name, task, created, until, sent, place)
            ORDER BY place";
        let all = &self.commands;
        let ids: Vec<_> = all.iter().map(|c| i64::from(c.id.0)).collect();
        let iot_ids: Vec<_> = all.iter().map(|c| c.iot_id.as_str()).collect();
        let products: Vec<_> = all.iter().map(|c| c.device.product.as_str()).collect();
        let names: Vec<_> = all.iter().map(|c| c.device.name.as_str()).collect();
        let tasks: Result<Vec<_>, _> = all.iter().map(|c| command::task(&c.order)).collect();
        let created: Vec<_> = all.iter().map(|c| c.created.0).collect();
        let until: Vec<_> = all.iter().map(|c| c.until.0).collect();
        let sent: Vec<_> = all.iter().map(|c| c.state == CommandState::Sent).collect();
        enter(
            lease,
            all.len(),
            commands,
            &[
                &ids, &iot_ids, &products, &names, &tasks?, &created, &until, &sent,
            ],
        )
        .await
    }
}

async fn enter(
    lease: &mut Lease,
    many: usize,
    statement: &str,
    given: &[&(dyn ToSql + Sync)],
) -> Result<(), Fault> {
    if many > 0 {
        lease.rows(statement, given).await?;
    }
    Ok(())
}
