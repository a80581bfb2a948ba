//! Which tokens count still, in little memory: a fingerprint and the end of each, by age.

use model::id::Time;
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
};

/// Tokens whose ends agree but for so many bits (of milliseconds) are forgotten together, every
/// 4.4 minutes. What is looked for is looked for in each age.
const AGE: u32 = 18;

/// What is known of a token: 64 bits under a key that only this process knows, so that nobody can
/// look for two tokens with the same one. Among eight million the chance that a new token is taken
/// for one of them is 1 in 2,000,000,000,000.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Print([u8; 8]);

impl Print {
    pub(super) fn of(key: &RandomState, owner: &str, token: &str) -> Self {
        Self(key.hash_one((owner, token)).to_ne_bytes())
    }
}

impl Hash for Print {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_ne_bytes(self.0));
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Ends = HashMap<Print, u32, BuildHasherDefault<AsIs>>;

/// Tokens, each once.
#[derive(Clone, Default)]
pub(super) struct Table {
    ages: BTreeMap<i64, Ends>,
    len: usize,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Until when it counts.
    pub(super) fn end(&self, print: Print) -> Option<Time> {
        let found = |(age, ends): (&i64, &Ends)| ends.get(&print).map(|rest| end(*age, *rest));
        self.ages.iter().find_map(found)
    }

    /// Enters it, in place of what was known of it.
    pub(super) fn put(&mut self, print: Print, until: Time) {
        self.remove(print);
        let rest = u32::try_from(until.0 & ((1 << AGE) - 1)).unwrap_or_default();
        let age = self.ages.entry(until.0 >> AGE).or_default();
        age.insert(print, rest);
        self.len += 1;
    }

    /// Takes it out; gives back until when it counted.
    pub(super) fn remove(&mut self, print: Print) -> Option<Time> {
        let removed =
            |(age, ends): (&i64, &mut Ends)| ends.remove(&print).map(|rest| end(*age, rest));
        let removed = self.ages.iter_mut().find_map(removed)?;
        self.len -= 1;
        Some(removed)
    }

    /// Forgets what is too old, an age at a time.
    pub(super) fn forget(&mut self, now: Time) {
        while let Some(first) = self.ages.first_entry()
            && *first.key() < now.0 >> AGE
        {
            self.len -= first.remove().len();
        }
    }
}

fn end(age: i64, rest: u32) -> Time {
    Time(age << AGE | i64::from(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token is known by its owner and itself, until its end, whatever else is of its age.
    #[test]
    fn a_table_knows_each_token_once_and_forgets_by_age() {
        let key = RandomState::new();
        let print = |number: i64| Print::of(&key, "a", &number.to_string());
        let mut table = Table::default();
        for number in -500..500 {
            table.put(print(number), Time(number * 10_000));
        }
        assert_eq!(table.len(), 1_000);
        for number in -500..500 {
            assert_eq!(table.end(print(number)), Some(Time(number * 10_000)));
        }
        assert!(Print::of(&key, "a1", "") != Print::of(&key, "a", "1"));
        table.put(print(7), Time(i64::MAX));
        assert_eq!(
            (table.len(), table.end(print(7))),
            (1_000, Some(Time(i64::MAX)))
        );
        assert_eq!(table.remove(print(7)), Some(Time(i64::MAX)));
        assert_eq!((table.len(), table.remove(print(7))), (999, None));
        table.forget(Time(1_000_000));
        for number in 100..500 {
            assert_eq!(table.end(print(number)), Some(Time(number * 10_000)));
        }
        assert!(table.len() < 400 + 27, "{}", table.len());
        table.forget(Time(i64::MAX));
        assert_eq!(table.len(), 0);
    }
}
