//! Documents that people edit.

use crate::{
    Registry,
    fault::Trouble,
    int,
    lease::{Alone, Lease},
    limit, uint,
};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    error::Fault,
    port::{Catalog, Change, Entry, Expect, Put},
};
use tokio_postgres::Row;

#[async_trait]
impl Catalog for Registry {
    async fn get(&self, kind: &'static str, key: &str) -> Result<Option<Entry>, Fault> {
        if !is_text(key) {
            return Ok(None);
        }
        let get = "SELECT key, value, version FROM entry WHERE kind = $1 AND key = $2";
        let row = self.row(get, &[&kind, &key]).await?;
        Ok(row.as_ref().map(entry))
    }

    async fn put(&self, puts: Vec<Put>) -> Result<Change, Fault> {
        if puts.is_empty() {
            return Ok(Change::Done(0));
        }
        if puts.iter().any(|put| !is_text(&put.key)) {
            return Err(Fault::lasting("a key of the catalog holds a NUL"));
        }
        let mut lease = self.lease().await?;
        if let [put] = &*puts {
            let version = change(&mut lease, put).await?;
            return Ok(version.map_or(Change::Conflict, Change::Done));
        }
        // One after the other: two that change the same keys in another order would wait for each
        // other for ever.
        lease.begin_alone(Alone::Catalog, "").await?;
        let mut last = 0;
        for put in &puts {
            let Some(version) = change(&mut lease, put).await? else {
                lease.undo().await?;
                return Ok(Change::Conflict);
            };
            last = version;
        }
        lease.commit().await?;
        Ok(Change::Done(last))
    }

    async fn list(
        &self,
        kind: &'static str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Entry>, Fault> {
        if !is_text(prefix) || after.is_some_and(|after| !is_text(after)) {
            return Ok(Vec::new());
        }
        let list = "SELECT key, value, version FROM entry
             WHERE kind = $1 AND key >= $2 AND ($3::text IS NULL OR key < $3)
               AND ($4::text IS NULL OR key > $4)
             ORDER BY key LIMIT $5";
        let to = after_all(prefix);
        let rows = self
            .rows(list, &[&kind, &prefix, &to, &after, &limit(most)])
            .await?;
        Ok(rows.iter().map(entry).collect())
    }

    async fn count(&self, kind: &'static str, prefix: &str) -> Result<u64, Fault> {
        if !is_text(prefix) {
            return Ok(0);
        }
        let count = "SELECT count(*) FROM entry
             WHERE kind = $1 AND key >= $2 AND ($3::text IS NULL OR key < $3)";
        let row = self
            .row(count, &[&kind, &prefix, &after_all(prefix)])
            .await?;
        Ok(row.map_or(0, |row| uint(row.get(0))))
    }

    async fn next(&self, sequence: &'static str) -> Result<u64, Fault> {
        let next = "INSERT INTO sequence (name, last) VALUES ($1, 1)
             ON CONFLICT (name) DO UPDATE SET last = sequence.last + 1 RETURNING last";
        let row = self.row(next, &[&sequence]).await?;
        row.map(|row| uint(row.get(0)))
            .ok_or_else(|| Fault::lasting("a sequence gave no number"))
    }
}

/// PostgreSQL keeps no NUL in a text. No key of ours has one; what is asked for may.
fn is_text(text: &str) -> bool {
    !text.contains('\0')
}

fn entry(row: &Row) -> Entry {
    Entry {
        key: row.get(0),
        value: Bytes::copy_from_slice(row.get(1)),
        version: uint(row.get(2)),
    }
}

/// The entry's new version, 0 when it was removed, or none when what was expected is not so. Each
/// case is one statement, so that nobody comes between the look and the change.
async fn change(lease: &mut Lease, put: &Put) -> Result<Option<u64>, Trouble> {
    let (kind, key) = (put.kind, put.key.as_str());
    let row = match (&put.value, put.expect) {
        (Some(value), Expect::Anything) => {
            let sql = "INSERT INTO entry (kind, key, value, version) VALUES ($1, $2, $3, 1)
                 ON CONFLICT (kind, key)
                 DO UPDATE SET value = excluded.value, version = entry.version + 1
                 RETURNING version";
            lease.row(sql, &[&kind, &key, &value.as_ref()]).await?
        }
        (Some(value), Expect::Absent) => {
            let sql = "INSERT INTO entry (kind, key, value, version) VALUES ($1, $2, $3, 1)
                 ON CONFLICT (kind, key) DO NOTHING RETURNING version";
            lease.row(sql, &[&kind, &key, &value.as_ref()]).await?
        }
        (Some(value), Expect::Version(version)) => {
            let sql = "UPDATE entry SET value = $3, version = version + 1
                 WHERE kind = $1 AND key = $2 AND version = $4 RETURNING version";
            let version = int(version);
            lease
                .row(sql, &[&kind, &key, &value.as_ref(), &version])
                .await?
        }
        (None, Expect::Anything) => {
            let sql = "DELETE FROM entry WHERE kind = $1 AND key = $2";
            lease.row(sql, &[&kind, &key]).await?;
            return Ok(Some(0));
        }
        (None, Expect::Absent) => {
            let sql = "SELECT 1 FROM entry WHERE kind = $1 AND key = $2";
            let there = lease.row(sql, &[&kind, &key]).await?;
            return Ok(there.is_none().then_some(0));
        }
        (None, Expect::Version(version)) => {
            let sql = "DELETE FROM entry WHERE kind = $1 AND key = $2 AND version = $3
                 RETURNING 0::int8";
            lease.row(sql, &[&kind, &key, &int(version)]).await?
        }
    };
    Ok(row.map(|row| uint(row.get(0))))
}

/// The least text that is greater than every text that starts with `prefix`; none when there is no
/// such text. The collation "C" compares UTF-8 bytes, which is the order of code points.
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
        assert_eq!(after_all(""), None);
    }
}
