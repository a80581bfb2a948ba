//! Documents that people edit.

use super::{Sql, Trouble, int, limit, recent::Voids, uint};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    error::Fault,
    port::{Catalog, Change, Entry, Expect, Put},
};
use rusqlite::{Connection, OptionalExtension, Row};

#[async_trait]
impl Catalog for Sql {
    async fn get(&self, kind: &'static str, key: &str) -> Result<Option<Entry>, Fault> {
        let read = |c: &Connection| {
            c.prepare_cached("SELECT key, value, version FROM entry WHERE kind = ? AND key = ?")?
                .query_row((kind, key), entry)
                .optional()
        };
        self.entries.find(kind, key, || self.read(read))
    }

    async fn put(&self, puts: Vec<Put>) -> Result<Change, Fault> {
        let keys = puts.iter().map(|put| (put.kind, put.key.clone()));
        let voids = Voids::Entries(keys.collect());
        let done = self.write_over_unless_refused(voids, move |c| {
            let mut version = 0;
            for put in &puts {
                version = change(c, put)?;
            }
            Ok(Change::Done(version))
        });
        Ok(done.await?.unwrap_or(Change::Conflict))
    }

    async fn list(
        &self,
        kind: &'static str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let (from, to) = (prefix.to_owned(), after_all(prefix));
        let after = after.map(str::to_owned);
        self.read_many(move |c| {
            c.prepare_cached(
                "SELECT key, value, version FROM entry
                 WHERE kind = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
                   AND (?4 IS NULL OR key > ?4)
                 ORDER BY key LIMIT ?5",
            )?
            .query_map((kind, from, to, after, limit(most)), entry)?
            .collect()
        })
        .await
    }

    async fn count(&self, kind: &'static str, prefix: &str) -> Result<u64, Fault> {
        let (from, to) = (prefix.to_owned(), after_all(prefix));
        self.read_many(move |c| {
            c.prepare_cached(
                "SELECT count(*) FROM entry
                 WHERE kind = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)",
            )?
            .query_row((kind, from, to), |row| row.get(0))
            .map(uint)
        })
        .await
    }

    async fn next(&self, sequence: &'static str) -> Result<u64, Fault> {
        self.write(move |c| {
            let next = c
                .prepare_cached(
                    "INSERT INTO sequence (name, last) VALUES (?, 1)
                     ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last",
                )?
                .query_row([sequence], |row| row.get(0))
                .map(uint)?;
            Ok(next)
        })
        .await
    }
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        version: uint(row.get(2)?),
    })
}

fn change(c: &Connection, put: &Put) -> Result<u64, Trouble> {
    let version = c
        .prepare_cached("SELECT version FROM entry WHERE kind = ? AND key = ?")?
        .query_row((put.kind, &put.key), |row| row.get(0).map(uint))
        .optional()?;
    let holds = match put.expect {
        Expect::Anything => true,
        Expect::Absent => version.is_none(),
        Expect::Version(expected) => version == Some(expected),
    };
    if !holds {
        return Err(Trouble::Refused);
    }
    match &put.value {
        None => {
            c.prepare_cached("DELETE FROM entry WHERE kind = ? AND key = ?")?
                .execute((put.kind, &put.key))?;
            Ok(0)
        }
        Some(value) => {
            let version = version.unwrap_or(0) + 1;
            c.prepare_cached(
                "INSERT INTO entry (kind, key, value, version) VALUES (?, ?, ?, ?)
                 ON CONFLICT (kind, key)
                 DO UPDATE SET value = excluded.value, version = excluded.version",
            )?
            .execute((put.kind, &put.key, value.as_ref(), int(version)))?;
            Ok(version)
        }
    }
}

/// The least text that is greater than every text that starts with `prefix`; none when there is no
/// such text. SQLite compares UTF-8 bytes, which is the order of code points.
fn after_all(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_just_past_it() {
        assert_eq!(after_all("ab").as_deref(), Some("ac"));
        assert_eq!(after_all("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_all("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_all("\u{10ffff}"), None);
        assert_eq!(after_all(""), None);
    }
}
