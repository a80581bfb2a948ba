//! The audit log.

use crate::{Registry, fault::damaged, int, limit, uint};
use async_trait::async_trait;
use model::{
    account::AuditRecord,
    error::Fault,
    port::{Audit, Change},
};
use tokio_postgres::Row;

/// Appends when the last line is the one before. Of two that race, the later finds its first
/// number taken, and nothing of it is kept.
const APPEND: &str = "INSERT INTO audit (seq, entry, hash)
    SELECT * FROM unnest($2::int8[], $3::text[], $4::text[])
    WHERE (SELECT coalesce(max(seq), 0) FROM audit) = $1::int8 - 1
    RETURNING seq";

#[async_trait]
impl Audit for Registry {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<Change, Fault> {
        let Some(first) = records.first() else {
            let last = "SELECT coalesce(max(seq), 0) FROM audit";
            let last = self.row(last, &[]).await?;
            return Ok(Change::Done(last.map_or(0, |row| uint(row.get(0)))));
        };
        if records.windows(2).any(|w| w[1].seq != w[0].seq + 1) {
            return Ok(Change::Conflict);
        }
        let columns = Columns::of(&records)?;
        let Columns { seq, entry, hash } = &columns;
        match self
            .rows(APPEND, &[&int(first.seq), seq, entry, hash])
            .await
        {
            Ok(rows) if rows.is_empty() => Ok(Change::Conflict),
            Ok(_) => Ok(Change::Done(records.last().map_or(0, |last| last.seq))),
            Err(trouble) if trouble.is_taken() => Ok(Change::Conflict),
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn last(&self) -> Result<Option<AuditRecord>, Fault> {
        let last = "SELECT seq, entry, hash FROM audit ORDER BY seq DESC LIMIT 1";
        self.row(last, &[]).await?.as_ref().map(record).transpose()
    }

    async fn page(&self, after: u64, most: usize) -> Result<Vec<AuditRecord>, Fault> {
        let page = "SELECT seq, entry, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = self.rows(page, &[&int(after), &limit(most)]).await?;
        rows.iter().map(record).collect()
    }
}

/// Lines as columns of a table.
pub(crate) struct Columns<'a> {
    pub(crate) seq: Vec<i64>,
    pub(crate) entry: Vec<String>,
    pub(crate) hash: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(records: &'a [AuditRecord]) -> Result<Self, Fault> {
        let entry: Result<_, _> = records
            .iter()
            .map(|record| serde_json::to_string(&record.entry))
            .collect();
        Ok(Self {
            seq: records.iter().map(|record| int(record.seq)).collect(),
            entry: entry.map_err(|e| Fault::lasting(format!("an audit line: {e}")))?,
            hash: records.iter().map(|record| record.hash.as_str()).collect(),
        })
    }
}

pub(crate) fn record(row: &Row) -> Result<AuditRecord, Fault> {
    Ok(AuditRecord {
        seq: uint(row.get(0)),
        entry: serde_json::from_str(row.get(1)).map_err(|e| damaged("audit line", e))?,
        hash: row.get(2),
    })
}
