//! The audit log.

use super::{Sql, Trouble, damaged, int, limit, uint};
use async_trait::async_trait;
use model::{
    account::AuditRecord,
    error::Fault,
    port::{Audit, Change},
};
use rusqlite::{Connection, OptionalExtension, Row};

#[async_trait]
impl Audit for Sql {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<Change, Fault> {
        let done = self.write_unless_refused(move |c| {
            let mut last = uint(
                c.prepare_cached("SELECT coalesce(max(seq), 0) FROM audit")?
                    .query_row([], |row| row.get(0))?,
            );
            for record in &records {
                if record.seq != last + 1 {
                    return Err(Trouble::Refused);
                }
                keep(c, record)?;
                last = record.seq;
            }
            Ok(Change::Done(last))
        });
        Ok(done.await?.unwrap_or(Change::Conflict))
    }

    async fn last(&self) -> Result<Option<AuditRecord>, Fault> {
        self.read(|c| {
            c.prepare_cached("SELECT seq, entry, hash FROM audit ORDER BY seq DESC LIMIT 1")?
                .query_row([], record)
                .optional()
        })
    }

    async fn page(&self, after: u64, most: usize) -> Result<Vec<AuditRecord>, Fault> {
        self.read_many(move |c| {
            c.prepare_cached(
                "SELECT seq, entry, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
            )?
            .query_map((int(after), limit(most)), record)?
            .collect()
        })
        .await
    }
}

pub(super) fn keep(c: &Connection, record: &AuditRecord) -> Result<(), Trouble> {
    let entry = serde_json::to_string(&record.entry);
    let entry = entry.map_err(|e| Fault::lasting(format!("an audit line: {e}")))?;
    c.prepare_cached("INSERT INTO audit (seq, entry, hash) VALUES (?, ?, ?)")?
        .execute((int(record.seq), entry, &record.hash))?;
    Ok(())
}

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    let entry: String = row.get(1)?;
    Ok(AuditRecord {
        seq: uint(row.get(0)?),
        entry: serde_json::from_str(&entry).map_err(|e| damaged(1, e))?,
        hash: row.get(2)?,
    })
}
