//! Single-use things.

use super::{Sql, Trouble};
use async_trait::async_trait;
use model::{
    archive::Token,
    error::Fault,
    id::Time,
    port::{Burnt, Nonces, Taken},
};
use rusqlite::Connection;

/// Every call forgets up to so many that are too old. A call adds one row at most, so tables
/// shrink again after a flood.
const FORGET: i64 = 8;

#[async_trait]
impl Nonces for Sql {
    async fn mint(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<(), Fault> {
        let (token, owner) = (token.to_owned(), owner.to_owned());
        self.write(move |c| {
            forget_some(c, FORGET_CHALLENGES, now)?;
            c.prepare_cached(
                "INSERT OR REPLACE INTO challenge (owner, token, until) VALUES (?, ?, ?)",
            )?
            .execute((owner, token, until.0))?;
            Ok(())
        })
        .await
    }

    async fn take(&self, token: &str, owner: &str, now: Time) -> Result<Taken, Fault> {
        let (token, owner) = (token.to_owned(), owner.to_owned());
        self.write(move |c| {
            forget_some(c, FORGET_CHALLENGES, now)?;
            let taken = c
                .prepare_cached(
                    "DELETE FROM challenge WHERE owner = ? AND token = ? AND until >= ?",
                )?
                .execute((owner, token, now.0))?;
            Ok(if taken == 0 { Taken::No } else { Taken::Yes })
        })
        .await
    }

    async fn burn(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<Burnt, Fault> {
        let (token, owner) = (token.to_owned(), owner.to_owned());
        self.write(move |c| {
            forget_some(c, FORGET_BURNT, now)?;
            let marked = c
                .prepare_cached(
                    "INSERT INTO burnt (owner, token, until) VALUES (?1, ?2, ?3)
                     ON CONFLICT (owner, token)
                     DO UPDATE SET until = excluded.until WHERE until < ?4",
                )?
                .execute((owner, token, until.0, now.0))?;
            Ok(if marked == 0 { Burnt::Seen } else { Burnt::New })
        })
        .await
    }
}

const FORGET_CHALLENGES: &str = "DELETE FROM challenge WHERE (owner, token) IN
    (SELECT owner, token FROM challenge WHERE until < ? ORDER BY until LIMIT ?)";
const FORGET_BURNT: &str = "DELETE FROM burnt WHERE (owner, token) IN
    (SELECT owner, token FROM burnt WHERE until < ? ORDER BY until LIMIT ?)";

fn forget_some(c: &Connection, sql: &str, now: Time) -> Result<(), Trouble> {
    c.prepare_cached(sql)?.execute((now.0, FORGET))?;
    Ok(())
}

/// Enters a row of a table that holds none of the kind.
pub(super) fn enter(c: &Connection, table: &'static str, token: &Token) -> Result<(), Trouble> {
    let sql = format!("INSERT INTO {table} (owner, token, until) VALUES (?, ?, ?)");
    c.prepare_cached(&sql)?
        .execute((&token.owner, &token.token, token.until.0))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use model::id::NodeId;

    /// What is too old is forgotten in passing, so that a flood of challenges does not stay.
    #[tokio::test]
    async fn old_rows_go_while_new_ones_come() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::of(NodeId::parse("one").unwrap());
        let sql = Sql::open_alone(folder.path(), &options).unwrap();
        for i in 0..100 {
            sql.mint(&i.to_string(), "a", Time(0), Time(10))
                .await
                .unwrap();
            sql.burn(&i.to_string(), "a", Time(0), Time(10))
                .await
                .unwrap();
        }
        for i in 100..120 {
            sql.mint(&i.to_string(), "a", Time(11), Time(20))
                .await
                .unwrap();
            sql.burn(&i.to_string(), "a", Time(11), Time(20))
                .await
                .unwrap();
        }
        for table in ["challenge", "burnt"] {
            let count = format!("SELECT count(*) FROM {table}");
            let rows: i64 = sql
                .read(|c| c.query_row(&count, [], |row| row.get(0)))
                .unwrap();
            assert_eq!(rows, 20, "{table}");
        }
    }
}
