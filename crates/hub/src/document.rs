//! Documents of the catalog as values: JSON on the way in and out.

use crate::Hub;
use bytes::Bytes;
use model::{
    error::Fault,
    port::{Change, Entry, Expect, Put},
};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, sync::Arc};

/// Entries that are listed at once.
const PAGE: usize = 500;

/// Documents of one kind that are remembered as they were understood.
const READINGS: usize = 1 << 14;

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

/// What documents of a kind said when they were read lately, so that one that every call reads is
/// not taken apart each time. Nothing can be out of date here: a reading counts only for the very
/// bytes that it is of, which the engine is asked for every time.
pub(crate) struct Readings<T>(Mutex<HashMap<String, Reading<T>>>);

/// A document's bytes, and what they say.
type Reading<T> = (Bytes, Arc<T>);

impl<T> Default for Readings<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + DeserializeOwned> Readings<T> {
    fn read(&self, kind: &'static str, entry: Entry) -> Result<Document<T>, Fault> {
        let version = entry.version;
        let known = match self.0.lock().get(&entry.key) {
            Some((bytes, value)) if *bytes == entry.value => Some(value.clone()),
            _ => None,
        };
        if let Some(value) = known {
            let value = T::clone(&value);
            return Ok(Document { value, version });
        }
        let found: Document<T> = read(kind, &entry)?;
        let mut readings = self.0.lock();
        if readings.len() >= READINGS {
            readings.clear();
        }
        let reading = (entry.value, Arc::new(found.value.clone()));
        readings.insert(entry.key, reading);
        Ok(found)
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

    /// As `document`, of a kind of which most calls read one.
    pub(crate) async fn document_again<T: Clone + DeserializeOwned>(
        &self,
        readings: &Readings<T>,
        kind: &'static str,
        key: &str,
    ) -> Result<Option<Document<T>>, Fault> {
        let entry = self.ports.catalog.get(kind, key).await?;
        entry.map(|entry| readings.read(kind, entry)).transpose()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(readings: &Readings<u32>, key: &str, text: &str, version: u64) -> (u32, u64) {
        let entry = Entry {
            key: key.into(),
            value: text.to_owned().into(),
            version,
        };
        let found = readings.read("number", entry).unwrap();
        (found.value, found.version)
    }

    /// A document is understood anew when its bytes are others, whatever its version says: another
    /// node may have written it, or an import.
    #[test]
    fn a_reading_counts_for_the_bytes_that_it_is_of() {
        let readings = Readings::default();
        assert_eq!(said(&readings, "a", "1", 1), (1, 1));
        assert_eq!(said(&readings, "a", "2", 1), (2, 1));
        assert_eq!(said(&readings, "a", "2", 3), (2, 3));
        assert_eq!(said(&readings, "b", "1", 1), (1, 1));
        for number in 0..3 * READINGS {
            said(&readings, &number.to_string(), "7", 1);
            assert!(readings.0.lock().len() <= READINGS);
        }
        let wrong = Entry {
            key: "a".into(),
            value: "no number".into(),
            version: 1,
        };
        assert!(readings.read("number", wrong).is_err());
    }
}
