//! The tables, and how an older registry becomes a newer one.

use crate::fault::of_sql;
use model::{archive::Token, error::Fault, id::Time};
use rusqlite::Connection;
use std::path::Path;

/// Each step makes version n + 1 out of version n. A step that was released never changes.
const STEPS: &[&str] = &[
    "
    CREATE TABLE entry (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT;

    CREATE TABLE sequence (
        name TEXT PRIMARY KEY,
        last INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- class: 2 when activated, plus 1 when disabled.
    CREATE TABLE device (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        iot_id TEXT NOT NULL UNIQUE,
        product TEXT NOT NULL,
        name TEXT NOT NULL,
        account TEXT NOT NULL,
        nickname TEXT NOT NULL,
        created INTEGER NOT NULL,
        activated INTEGER,
        disabled INTEGER NOT NULL,
        online INTEGER,
        offline INTEGER,
        address TEXT NOT NULL,
        firmware TEXT NOT NULL,
        tags TEXT NOT NULL,
        credential INTEGER NOT NULL,
        version INTEGER NOT NULL,
        class INTEGER NOT NULL AS ((activated IS NOT NULL) * 2 + disabled) VIRTUAL,
        UNIQUE (product, name)
    ) STRICT;
    CREATE INDEX device_page ON device (product, id, class);

    CREATE TABLE device_count (
        product TEXT NOT NULL,
        class INTEGER NOT NULL,
        devices INTEGER NOT NULL CHECK (devices >= 0),
        PRIMARY KEY (product, class)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE secret (
        class INTEGER NOT NULL,
        id TEXT NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (class, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE challenge (
        owner TEXT NOT NULL,
        token TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (owner, token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX challenge_until ON challenge (until);

    CREATE TABLE burnt (
        owner TEXT NOT NULL,
        token TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (owner, token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX burnt_until ON burnt (until);

    CREATE TABLE command (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id INTEGER NOT NULL UNIQUE,
        iot_id TEXT NOT NULL,
        product TEXT NOT NULL,
        name TEXT NOT NULL,
        task TEXT NOT NULL,
        created INTEGER NOT NULL,
        until INTEGER NOT NULL,
        sent INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX command_waiting ON command (iot_id, sent, number);
    CREATE INDEX command_until ON command (until);

    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        entry TEXT NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
",
    "
    -- Single-use tokens are in a log of their own.
    DROP TABLE challenge;
    DROP TABLE burnt;
",
];

/// The version of the tables that has single-use tokens.
const TOKENS: usize = 1;

/// Brings the tables up to this program's version. What older tables had of challenges and of
/// burnt tokens is given to `take_over` before they go, again when it is cut short.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    mut take_over: impl FnMut(&[Token], &[Token]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let version: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .map(|version| usize::try_from(version).unwrap_or(usize::MAX))
        .map_err(|e| of_sql(&e))?;
    if version > STEPS.len() {
        return Err(Fault::lasting(format!(
            "{} has schema version {version}, and this program knows versions up to {}: {}",
            path.display(),
            STEPS.len(),
            "it was written by a newer version of the program; use that one"
        )));
    }
    for (step, sql) in STEPS.iter().enumerate().skip(version) {
        if step == TOKENS {
            let tokens = |table| tokens(connection, table).map_err(|e| of_sql(&e));
            take_over(&tokens("challenge")?, &tokens("burnt")?)?;
        }
        let mut migrate = || {
            let transaction = connection.transaction()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", step as i64 + 1)?;
            transaction.commit()
        };
        migrate().map_err(|e| of_sql(&e))?;
        tracing::debug!(version = step + 1, "the registry has a new schema version");
    }
    Ok(())
}

fn tokens(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Token>> {
    let mut statement = connection.prepare(&format!("SELECT owner, token, until FROM {table}"))?;
    let tokens = statement.query_map([], |row| {
        Ok(Token {
            owner: row.get(0)?,
            token: row.get(1)?,
            until: Time(row.get(2)?),
        })
    })?;
    tokens.collect()
}
