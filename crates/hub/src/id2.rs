//! Identities that need no connection ([ID-1]..[ID-9]; seed 000 chapter 1.1): devices that prove
//! themselves by a code which any server program may hand on.
//!
//! `setting` is what a product says of its identities, `proof` judges codes, `issue` gives
//! identities out on demand and `batch` to a production line, `row` is what is kept of one, `keep`
//! where its key is. `shake` judges a device, or gives it an identity, in the handshake of its own
//! connection.
//!
//! An identity, the number by which its product counts and the fingerprint of its device are
//! entered together or not at all, and each under a condition; so no identity is given out twice,
//! whatever races or crashes.

mod batch;
mod examine;
mod issue;
mod keep;
mod proof;
mod row;
mod setting;
mod shake;
#[cfg(test)]
mod tests;

pub use batch::{Batch, BatchState, Import};
pub use credential::id2::{
    Id, KeyType,
    keep::{Keeper, Name},
};
pub use examine::Step;
pub use issue::Provision;
pub use keep::Keys;
pub use proof::{ServerProof, Shown};
pub use row::{Origin, Row, State, StateFilter};
pub use setting::{Change, Codes, Licence, OnRepeat, Setting};
pub use shake::{Greeting, Shaken, Shows};

use crate::document::Readings;
use model::{error::Fault, id::Time};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

/// Challenges of one identity that are good at a time; the oldest goes first.
const CHALLENGES: usize = 16;
/// Identities of which something is remembered before what is old is swept.
const REMEMBERED: usize = 65_536;
const MINUTE: i64 = 60_000;

/// What is remembered between calls; a restart forgets it, and nothing rests on it but bounds.
#[derive(Default)]
pub(crate) struct Desk {
    /// Whoever counts: conditions would refuse all but one of those who do it at once.
    turn: tokio::sync::Mutex<()>,
    /// The server's token, where it has one.
    keeper: OnceLock<Arc<dyn Keeper>>,
    recent: Mutex<HashMap<Id, Recent>>,
    settings: Readings<Setting>,
    rows: Readings<Row>,
}

/// What was lately asked about one identity.
#[derive(Default)]
struct Recent {
    minute: i64,
    calls: u32,
    challenges: VecDeque<(String, Time)>,
}

impl Desk {
    /// Counts a call; false when there were too many in this minute.
    fn call(&self, id: &Id, now: Time, most: u32) -> bool {
        let mut recent = self.recent.lock();
        let one = entry(&mut recent, id, now);
        let minute = now.0.div_euclid(MINUTE);
        if one.minute != minute {
            (one.minute, one.calls) = (minute, 0);
        }
        one.calls = one.calls.saturating_add(1);
        one.calls <= most
    }

    /// Remembers a challenge; gives back the one that has to go for it.
    fn challenge(&self, id: &Id, text: &str, now: Time, until: Time) -> Option<String> {
        let mut recent = self.recent.lock();
        let one = entry(&mut recent, id, now);
        one.challenges.retain(|(_, until)| *until >= now);
        one.challenges.push_back((text.to_owned(), until));
        let over = one.challenges.len() > CHALLENGES;
        over.then(|| one.challenges.pop_front())
            .flatten()
            .map(|(text, _)| text)
    }
}

fn entry<'a>(recent: &'a mut HashMap<Id, Recent>, id: &Id, now: Time) -> &'a mut Recent {
    if recent.len() >= REMEMBERED && !recent.contains_key(id) {
        let minute = now.0.div_euclid(MINUTE);
        recent.retain(|_, one| {
            one.minute == minute || one.challenges.iter().any(|(_, until)| *until >= now)
        });
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
    }
    recent.entry(*id).or_default()
}

/// Sealed bytes as they stand in a document.
mod as_base64 {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => s.serialize_some(&STANDARD.encode(bytes)),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| STANDARD.decode(text).map_err(D::Error::custom))
            .transpose()
    }
}

/// Kinds of keys by their names.
mod as_name {
    use credential::id2::KeyType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(super) fn serialize<S: Serializer>(kind: &KeyType, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(kind.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<KeyType, D::Error> {
        let name = String::deserialize(d)?;
        KeyType::parse(&name).ok_or_else(|| D::Error::custom("no kind of key"))
    }
}

fn key_trouble(what: &str) -> Fault {
    Fault::lasting(format!("the key of an identity: {what}"))
}
