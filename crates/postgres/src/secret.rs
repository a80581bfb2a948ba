//! Sealed secrets.

use crate::Registry;
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    error::Fault,
    port::{SecretId, Secrets},
};

#[async_trait]
impl Secrets for Registry {
    async fn put(&self, id: &SecretId, sealed: Bytes) -> Result<(), Fault> {
        let (class, id) = key(id);
        let put = "INSERT INTO secret (class, id, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (class, id) DO UPDATE SET sealed = excluded.sealed";
        self.rows(put, &[&class, &id, &sealed.as_ref()]).await?;
        Ok(())
    }

    async fn put_new(&self, id: &SecretId, sealed: Bytes) -> Result<Bytes, Fault> {
        let (class, key) = key(id);
        let put = "INSERT INTO secret (class, id, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (class, id) DO NOTHING RETURNING 1";
        loop {
            let mine = self.row(put, &[&class, &key, &sealed.as_ref()]).await?;
            if mine.is_some() {
                return Ok(sealed);
            }
            // None when it was removed meanwhile.
            if let Some(there) = self.find(id).await? {
                return Ok(there);
            }
        }
    }

    async fn find(&self, id: &SecretId) -> Result<Option<Bytes>, Fault> {
        let (class, id) = key(id);
        let find = "SELECT sealed FROM secret WHERE class = $1 AND id = $2";
        let row = self.row(find, &[&class, &id]).await?;
        Ok(row.map(|row| Bytes::copy_from_slice(row.get(0))))
    }

    async fn remove(&self, id: &SecretId) -> Result<(), Fault> {
        let (class, id) = key(id);
        let remove = "DELETE FROM secret WHERE class = $1 AND id = $2";
        self.rows(remove, &[&class, &id]).await?;
        Ok(())
    }
}

pub(crate) fn key(id: &SecretId) -> (i16, &str) {
    match id {
        SecretId::Device(id) => (1, id.as_str()),
        SecretId::Product(key) => (2, key.as_str()),
        SecretId::AccessKey(id) => (3, id.as_str()),
        SecretId::Server(name) => (4, name),
    }
}
