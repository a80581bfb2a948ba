//! Sealed secrets.

use super::{Sql, Trouble, recent::Voids};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    error::Fault,
    port::{SecretId, Secrets},
};
use rusqlite::{Connection, OptionalExtension};

#[async_trait]
impl Secrets for Sql {
    async fn put(&self, id: &SecretId, sealed: Bytes) -> Result<(), Fault> {
        let id = id.clone();
        self.write_over(voids(&id), move |c| keep(c, &id, &sealed))
            .await
    }

    async fn put_new(&self, id: &SecretId, sealed: Bytes) -> Result<Bytes, Fault> {
        let id = id.clone();
        self.write_over(voids(&id), move |c| {
            if let Some(there) = find(c, &id)? {
                return Ok(there);
            }
            keep(c, &id, &sealed)?;
            Ok(sealed)
        })
        .await
    }

    async fn find(&self, id: &SecretId) -> Result<Option<Bytes>, Fault> {
        let read = || self.read(|c| find(c, id));
        match id {
            SecretId::Device(device) => self.recent.secret(device, read),
            _ => read(),
        }
    }

    async fn remove(&self, id: &SecretId) -> Result<(), Fault> {
        let id = id.clone();
        self.write_over(voids(&id), move |c| forget(c, &id)).await
    }
}

fn voids(id: &SecretId) -> Voids {
    match id {
        SecretId::Device(id) => Voids::Device(id.clone()),
        _ => Voids::Nothing,
    }
}

fn key(id: &SecretId) -> (i64, &str) {
    match id {
        SecretId::Device(id) => (1, id.as_str()),
        SecretId::Product(key) => (2, key.as_str()),
        SecretId::AccessKey(id) => (3, id.as_str()),
        SecretId::Server(name) => (4, name),
    }
}

fn find(c: &Connection, id: &SecretId) -> rusqlite::Result<Option<Bytes>> {
    c.prepare_cached("SELECT sealed FROM secret WHERE class = ? AND id = ?")?
        .query_row(key(id), |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))
        .optional()
}

pub(super) fn keep(c: &Connection, id: &SecretId, sealed: &[u8]) -> Result<(), Trouble> {
    let (class, id) = key(id);
    c.prepare_cached("INSERT OR REPLACE INTO secret (class, id, sealed) VALUES (?, ?, ?)")?
        .execute((class, id, sealed))?;
    Ok(())
}

/// As `keep`, where nothing is yet.
pub(super) fn enter(c: &Connection, id: &SecretId, sealed: &[u8]) -> Result<(), Trouble> {
    let (class, id) = key(id);
    c.prepare_cached("INSERT INTO secret (class, id, sealed) VALUES (?, ?, ?)")?
        .execute((class, id, sealed))?;
    Ok(())
}

pub(super) fn forget(c: &Connection, id: &SecretId) -> Result<(), Trouble> {
    c.prepare_cached("DELETE FROM secret WHERE class = ? AND id = ?")?
        .execute(key(id))?;
    Ok(())
}
