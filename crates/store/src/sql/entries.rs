//! Small documents that were read lately, so that what every call looks at costs no look into the
//! file. True for the reason for which `recent` is: one process and one writer, which removes what
//! it changed between the commit and its answer.

use model::{error::Fault, port::Entry};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Bytes of the documents of one generation, keys and about the table's own included; two are kept.
const GENERATION: usize = 8 << 20;
/// Longer ones are read anew each time, as they would drive out many others.
const LONGEST: usize = 4 << 10;
/// About what an entry takes besides its texts.
const BESIDES: usize = 160;

/// The documents.
#[derive(Default)]
pub(crate) struct Entries {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows with every removal.
    epoch: u64,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    by_kind: HashMap<&'static str, HashMap<String, Entry>>,
    bytes: usize,
}

impl Entries {
    /// The document: from here, or as `read` finds it.
    pub(super) fn find(
        &self,
        kind: &'static str,
        key: &str,
        read: impl FnOnce() -> Result<Option<Entry>, Fault>,
    ) -> Result<Option<Entry>, Fault> {
        let epoch = {
            let mut state = self.state.lock();
            if let Some(entry) = state.look(kind, key) {
                return Ok(Some(entry));
            }
            state.epoch
        };
        let found = read()?;
        if let Some(entry) = &found
            && entry.value.len() <= LONGEST
        {
            let mut state = self.state.lock();
            if state.epoch == epoch {
                state.put(kind, entry.clone());
            }
        }
        Ok(found)
    }

    /// Removes documents that a write may have changed. To be called between its commit and its
    /// answer.
    pub(super) fn void<'a>(&self, keys: impl Iterator<Item = &'a (&'static str, String)>) {
        let mut keys = keys.peekable();
        if keys.peek().is_none() {
            return;
        }
        let mut state = self.state.lock();
        state.epoch += 1;
        for (kind, key) in keys {
            state.young.remove(kind, key);
            state.old.remove(kind, key);
        }
    }

    /// Removes all.
    pub(super) fn void_all(&self) {
        let mut state = self.state.lock();
        state.epoch += 1;
        state.young = Generation::default();
        state.old = Generation::default();
    }
}

impl State {
    /// The document, which is young again from now on.
    fn look(&mut self, kind: &'static str, key: &str) -> Option<Entry> {
        let young = self.young.by_kind.get(kind);
        if let Some(entry) = young.and_then(|keys| keys.get(key)) {
            return Some(entry.clone());
        }
        let entry = self.old.remove(kind, key)?;
        self.put(kind, entry.clone());
        Some(entry)
    }

    fn put(&mut self, kind: &'static str, entry: Entry) {
        let bytes = weight(&entry);
        if self.young.bytes + bytes > GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        let keys = self.young.by_kind.entry(kind).or_default();
        if let Some(former) = keys.insert(entry.key.clone(), entry) {
            self.young.bytes -= weight(&former);
        }
        self.young.bytes += bytes;
    }
}

impl Generation {
    fn remove(&mut self, kind: &str, key: &str) -> Option<Entry> {
        let entry = self.by_kind.get_mut(kind)?.remove(key)?;
        self.bytes -= weight(&entry);
        Some(entry)
    }
}

fn weight(entry: &Entry) -> usize {
    BESIDES + 2 * entry.key.len() + entry.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, version: u64) -> Entry {
        Entry {
            key: key.into(),
            value: vec![b'x'; 1_000].into(),
            version,
        }
    }

    fn read(entries: &Entries, kind: &'static str, key: &str, version: u64) -> u64 {
        let found = entries.find(kind, key, || Ok(Some(entry(key, version))));
        found.unwrap().unwrap().version
    }

    /// What was read is given again until a write may have changed it, and no other document with
    /// it.
    #[test]
    fn a_document_is_kept_until_it_may_have_changed() {
        let entries = Entries::default();
        assert_eq!(read(&entries, "a", "1", 1), 1);
        assert_eq!(read(&entries, "a", "1", 2), 1);
        assert_eq!(read(&entries, "b", "1", 2), 2);
        entries.void([("b", "1".into()), ("a", "2".into())].iter());
        assert_eq!(read(&entries, "a", "1", 2), 1);
        assert_eq!(read(&entries, "b", "1", 3), 3);
        entries.void([("a", "1".into())].iter());
        assert_eq!(entries.find("a", "1", || Ok(None)).unwrap(), None);
        assert_eq!(read(&entries, "a", "1", 2), 2);
        entries.void_all();
        assert_eq!(read(&entries, "a", "1", 3), 3);
    }

    /// A reader that began before a write does not put back what the write changed.
    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let entries = Entries::default();
        let late = entries.find("a", "1", || {
            entries.void([("a", "1".into())].iter());
            Ok(Some(entry("1", 1)))
        });
        assert_eq!(late.unwrap().unwrap().version, 1);
        assert_eq!(read(&entries, "a", "1", 2), 2);
        let late = entries.find("a", "2", || {
            entries.void_all();
            Ok(Some(entry("2", 1)))
        });
        assert_eq!(late.unwrap().unwrap().version, 1);
        assert_eq!(read(&entries, "a", "2", 2), 2);
    }

    /// However many documents come by, a bounded number of bytes is kept: of those that came last,
    /// and of none that is long.
    #[test]
    fn the_bytes_are_bounded() {
        let entries = Entries::default();
        for number in 0..5 * GENERATION / 1_000 {
            read(&entries, "a", &number.to_string(), 1);
            // One that comes again and again stays.
            assert_eq!(read(&entries, "a", "0", 2), 1);
        }
        let long = || {
            Ok(Some(Entry {
                value: vec![b'x'; LONGEST + 1].into(),
                ..entry("long", 1)
            }))
        };
        entries.find("a", "long", long).unwrap();
        assert_eq!(read(&entries, "a", "long", 2), 2);
        let state = entries.state.lock();
        for generation in [&state.young, &state.old] {
            let all = generation.by_kind.values().flat_map(HashMap::values);
            assert_eq!(all.map(weight).sum::<usize>(), generation.bytes);
            assert!((1..=GENERATION).contains(&generation.bytes));
        }
    }
}
