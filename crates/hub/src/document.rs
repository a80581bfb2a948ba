//! Documents of the catalog as values: JSON on the way in and out.

use crate::Hub;
use model::{
    error::Fault,
    port::{Change, Entry, Expect, Put},
};
use serde::{Serialize, de::DeserializeOwned};

/// Entries that are listed at once.
const PAGE: usize = 500;

/// How often a change is tried again when another one came first.
pub(crate) const TRIES: u32 = 32;

/// A value with the version under which it was read.
pub(crate) struct Document<T> {
    pub(crate) value: T,
    pub(crate) version: u64,
}

impl<T> Document<T> {
    /// What must hold for a change that rests on this reading.
    pub(crate) fn expect(&self) -> Expect {
        Expect::Version(self.version)
    }
}

/// A change that writes `value`.
pub(crate) fn put<T: Serialize>(
    kind: &'static str,
    key: String,
    value: &T,
    expect: Expect,
) -> Result<Put, Fault> {
    let text = serde_json::to_vec(value)
        .map_err(|error| Fault::lasting(format!("{kind} {key} as JSON: {error}")))?;
    Ok(Put {
        kind,
        key,
        value: Some(text.into()),
        expect,
    })
}

/// A change that removes.
pub(crate) fn remove(kind: &'static str, key: String, expect: Expect) -> Put {
    Put {
        kind,
        key,
        value: None,
        expect,
    }
}

impl Hub {
    /// The document, if there is one.
    pub(crate) async fn document<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        key: &str,
    ) -> Result<Option<Document<T>>, Fault> {
        let entry = self.ports.catalog.get(kind, key).await?;
        entry.map(|entry| read(kind, &entry)).transpose()
    }

    /// Changes a document as often as needed for the change to be of what it is; gives back what
    /// it is now, and none when there is none.
    pub(crate) async fn document_change<T: Serialize + DeserializeOwned>(
        &self,
        kind: &'static str,
        key: &str,
        change: impl Fn(&mut T) + Send + Sync,
    ) -> Result<Option<T>, Fault> {
        for _ in 0..TRIES {
            let Some(mut found) = self.document::<T>(kind, key).await? else {
                return Ok(None);
            };
            let expect = found.expect();
            change(&mut found.value);
            let puts = vec![put(kind, key.to_owned(), &found.value, expect)?];
            if self.document_put(puts).await? {
                return Ok(Some(found.value));
            }
        }
        Err(busy(kind))
    }

    /// Makes all changes, or none (`false`) when one condition does not hold.
    pub(crate) async fn document_put(&self, puts: Vec<Put>) -> Result<bool, Fault> {
        match self.ports.catalog.put(puts).await? {
            Change::Done(_) => Ok(true),
            Change::Conflict => Ok(false),
        }
    }

    /// All documents whose keys start with `prefix`, in key order. For kinds that a limit keeps
    /// small.
    pub(crate) async fn documents<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        prefix: &str,
    ) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let catalog = &self.ports.catalog;
            let page = catalog.list(kind, prefix, after.as_deref(), PAGE).await?;
            for entry in &page {
                all.push(read(kind, entry)?.value);
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(all),
            }
        }
    }
}

/// Others were faster every time.
pub(crate) fn busy(kind: &str) -> Fault {
    Fault::passing(format!("{kind}: too many changes at once"))
}

fn read<T: DeserializeOwned>(kind: &'static str, entry: &Entry) -> Result<Document<T>, Fault> {
    let value = serde_json::from_slice(&entry.value)
        .map_err(|error| Fault::lasting(format!("{kind} {} cannot be read: {error}", entry.key)))?;
    Ok(Document {
        value,
        version: entry.version,
    })
}
