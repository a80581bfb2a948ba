//! The journal of a folder that nobody has open, cut at a position or a time.

use crate::{home::Home, tape::Facts};
use model::{
    error::Fault,
    id::{Position, Time},
};
use serde::Deserialize;
use std::path::Path;

/// How far a clock may go back between two facts without anybody being told, in milliseconds:
/// facts that are journalled at once need not stand in the order of their times.
const WOBBLE: i64 = 5_000;

/// Where to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Behind this fact.
    Position(Position),
    /// Behind the last fact that is not later than this.
    Time(Time),
}

/// What was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The last fact that is left.
    pub position: Position,
    /// How many facts are gone.
    pub gone: u64,
    /// The clock was set back by so many milliseconds among the facts, so that a time may not say
    /// which are meant.
    pub set_back: Option<i64>,
}

/// All that matters here of a fact.
#[derive(Deserialize)]
struct At {
    at: Time,
}

/// Cuts the journal in `folder`.
///
/// # Errors
/// When the folder is in use, when the place is not in the journal, or when the disk refuses.
pub fn cut_journal(folder: &Path, until: Until) -> Result<Cut, Fault> {
    let home = Home::open(folder)?;
    let path = home.join("journal");
    let facts = Facts::open(&path)?;
    let (first, head) = (facts.first(), facts.head());
    let mut set_back = None;
    let position = match until {
        Until::Position(position) => position.0,
        Until::Time(time) => {
            let (mut last, mut newest) = (first - 1, Time(i64::MIN));
            facts.each(|position, text| {
                let At { at } = serde_json::from_slice(text).map_err(|error| {
                    Fault::lasting(format!("the fact at {position} cannot be read: {error}"))
                })?;
                if at <= time {
                    last = position;
                }
                let back = newest.since(at);
                if newest.0 != i64::MIN && back > WOBBLE {
                    set_back = Some(set_back.unwrap_or(0).max(back));
                }
                newest = newest.max(at);
                Ok(())
            })?;
            last
        }
    };
    if position + 1 < first || position > head {
        return Err(Fault::lasting(format!(
            "the journal holds the facts {first} to {head}, and {position} is not among them"
        )));
    }
    if position < head {
        facts.cut(position)?;
    }
    Ok(Cut {
        position: Position(position),
        gone: head - position,
        set_back,
    })
}
