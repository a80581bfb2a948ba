//! Single-use things: which count still in memory (`table`), what became of each in a log.
//!
//! A call is decided in memory, under one lock and at once, and noted in the log in the same order;
//! its answer waits until the log is on disk up to there, together with all others that wait. A row
//! in SQLite for each, as it was before, cost a commit, and voided what readers had cached of all
//! other tables.
//!
//! While the disk refuses, calls that wait are refused, and so are new ones; what was noted is
//! tried again, and stays used up. A log that is damaged keeps the store from opening, as the
//! journal's does: without it, what was used once could be used again. Its owner may move the
//! folder away; whatever was used in the last minutes could then be shown once more.
//!
//! The log is forgotten from its front, by then too old; the little that still counts where most
//! does not is noted anew.

mod table;

use crate::{
    Options,
    fault::aside,
    home::Home,
    log::Records,
    tape::{Buffer, Tape},
};
use async_trait::async_trait;
use model::{
    archive::Token,
    error::Fault,
    id::{Position, Time},
    port::{Burnt, Log, Nonces, Taken},
};
use parking_lot::Mutex;
use std::{collections::VecDeque, hash::RandomState, sync::Arc};
use table::{Print, Table};

/// Its folder in the data folder.
const FOLDER: &str = "tokens";
/// So many may count at a time; more are refused. They take about 20 bytes of memory each. With two
/// to a call and 15 minutes for each it takes 4,600 calls a second, all the time, to get there.
const MOST: usize = 8 << 20;
/// About the bytes of a record.
const RECORD: u64 = 128;

/// All of them.
pub(crate) struct Tokens {
    state: Mutex<State>,
    log: Arc<Records>,
    key: RandomState,
    most: usize,
    /// Records of a chunk.
    chunk: u64,
    /// Held by whoever moves the front of the log, or needs it to stay.
    front: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    challenges: Table,
    burnt: Table,
    /// What the log holds, oldest first.
    chunks: VecDeque<Chunk>,
}

/// Records that follow each other.
struct Chunk {
    /// The position of the last.
    last: u64,
    many: u64,
    /// Until when one of them counts at most.
    until: Time,
}

/// What happened to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Minted,
    Taken,
    Burnt,
    /// All were forgotten.
    Cleared,
}

/// What the log holds.
#[derive(Debug, PartialEq, Eq)]
struct Record<'a> {
    what: What,
    until: Time,
    owner: &'a str,
    token: &'a str,
}

impl<'a> Record<'a> {
    fn of(what: What, token: &'a Token) -> Self {
        Self {
            what,
            until: token.until,
            owner: &token.owner,
            token: &token.token,
        }
    }

    /// What happened (1), until (8), length of the owner (4), owner, token.
    fn bytes(&self) -> Vec<u8> {
        let what: u8 = match self.what {
            What::Minted => 1,
            What::Taken => 2,
            What::Burnt => 3,
            What::Cleared => 4,
        };
        let owner = u32::try_from(self.owner.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(13 + self.owner.len() + self.token.len());
        bytes.push(what);
        bytes.extend(self.until.0.to_be_bytes());
        bytes.extend(owner.to_be_bytes());
        bytes.extend(self.owner.as_bytes());
        bytes.extend(self.token.as_bytes());
        bytes
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (what, rest) = bytes.split_first()?;
        let what = match what {
            1 => What::Minted,
            2 => What::Taken,
            3 => What::Burnt,
            4 => What::Cleared,
            _ => return None,
        };
        let (until, rest) = rest.split_first_chunk()?;
        let (owner, rest) = rest.split_first_chunk()?;
        let owner = usize::try_from(u32::from_be_bytes(*owner)).ok()?;
        let (owner, token) = rest.split_at_checked(owner)?;
        Some(Self {
            what,
            until: Time(i64::from_be_bytes(*until)),
            owner: std::str::from_utf8(owner).ok()?,
            token: std::str::from_utf8(token).ok()?,
        })
    }

    fn kept(position: u64, bytes: &'a [u8]) -> Result<Self, Fault> {
        let read = Self::read(bytes);
        read.ok_or_else(|| Fault::lasting(format!("tokens: the record at {position} is damaged")))
    }
}

/// Writes what an older registry kept into the log, and returns when it is on disk. What is there
/// already is written again, which changes nothing. Blocks.
pub(crate) fn take_over(
    home: &Home,
    options: &Options,
    challenges: &[Token],
    burnt: &[Token],
) -> Result<(), Fault> {
    let minted = challenges
        .iter()
        .map(|token| Record::of(What::Minted, token));
    let burnt = burnt.iter().map(|token| Record::of(What::Burnt, token));
    let records: Vec<_> = minted.chain(burnt).map(|record| record.bytes()).collect();
    if records.is_empty() {
        return Ok(());
    }
    let (_tape, mut pen) = Tape::open(FOLDER, home.join(FOLDER), options.segment_bytes)?;
    pen.write(records.iter().map(Vec::as_slice), &mut Buffer::default())?;
    tracing::info!(many = records.len(), "single-use tokens were taken over");
    Ok(())
}

impl Tokens {
    pub(crate) fn open(home: &Arc<Home>, options: &Options) -> Result<Self, Fault> {
        let log = Arc::new(Records::open(home, FOLDER, options)?);
        let tokens = Self {
            state: Mutex::default(),
            log,
            key: RandomState::new(),
            most: MOST,
            chunk: (options.segment_bytes / RECORD).clamp(16, 1 << 17),
            front: tokio::sync::Mutex::default(),
        };
        let mut state = tokens.state.lock();
        tokens.log.replay(&mut |position, bytes| {
            let record = Record::kept(position.0, bytes)?;
            let print = Print::of(&tokens.key, record.owner, record.token);
            match record.what {
                What::Minted => state.challenges.put(print, record.until),
                What::Taken => drop(state.challenges.remove(print)),
                What::Burnt => state.burnt.put(print, record.until),
                What::Cleared => {
                    state.challenges = Table::default();
                    state.burnt = Table::default();
                }
            }
            state.grow(position, record.until, tokens.chunk);
            Ok(())
        })?;
        drop(state);
        Ok(tokens)
    }

    fn print(&self, owner: &str, token: &str) -> Print {
        Print::of(&self.key, owner, token)
    }

    /// Forgets what is too old, and refuses while there is trouble or no room.
    fn ready(&self, state: &mut State, now: Time) -> Result<(), Fault> {
        if let Some(fault) = self.log.trouble() {
            return Err(fault);
        }
        state.challenges.forget(now);
        state.burnt.forget(now);
        if state.challenges.len() + state.burnt.len() >= self.most {
            return Err(Fault::passing("tokens: too many count at a time"));
        }
        Ok(())
    }

    /// Notes a record; true when something is to be done about the log's front.
    fn note(&self, state: &mut State, until: Time, bytes: Vec<u8>, now: Time) -> (Position, bool) {
        let position = self.log.append(bytes);
        state.grow(position, until, self.chunk);
        (position, state.old(now, self.chunk).is_some())
    }

    /// Waits until what was noted is on disk.
    async fn settle(&self, (position, old): (Position, bool), now: Time) -> Result<(), Fault> {
        self.log.settled(position).await?;
        if old && let Err(fault) = self.shorten(now).await {
            tracing::warn!(%fault, "the log of single-use tokens could not be shortened");
        }
        Ok(())
    }

    /// Forgets the log's front, or notes anew what counts there, unless somebody is at it.
    async fn shorten(&self, now: Time) -> Result<(), Fault> {
        let Ok(_alone) = self.front.try_lock() else {
            return Ok(());
        };
        let old = self.state.lock().old(now, self.chunk);
        let last = match old {
            None => return Ok(()),
            Some(Old::Past(last)) => last,
            Some(Old::Sparse(last)) => {
                self.carry(last).await?;
                last
            }
        };
        self.log.forget_before(Position(last + 1)).await?;
        let mut state = self.state.lock();
        while state.chunks.front().is_some_and(|chunk| chunk.last <= last) {
            state.chunks.pop_front();
        }
        Ok(())
    }

    /// Notes anew what counts of the records up to `last`.
    async fn carry(&self, last: u64) -> Result<(), Fault> {
        let log = self.log.clone();
        let records = aside(move || {
            let mut records = Vec::new();
            log.read(|position, bytes| {
                records.push(bytes.to_vec());
                Ok(position < last)
            })?;
            Ok(records)
        });
        let records = records.await?;
        let position = {
            let mut state = self.state.lock();
            for bytes in records {
                let record = Record::kept(last, &bytes)?;
                let print = self.print(record.owner, record.token);
                let end = match record.what {
                    What::Minted => state.challenges.end(print),
                    What::Burnt => state.burnt.end(print),
                    What::Taken | What::Cleared => None,
                };
                if end == Some(record.until) {
                    let until = record.until;
                    let position = self.log.append(bytes);
                    state.grow(position, until, self.chunk);
                }
            }
            self.log.head()
        };
        self.log.settled(position).await
    }

    /// All challenges and all that is burnt, each in the order of owner and token.
    pub(crate) async fn all(&self) -> Result<(Vec<Token>, Vec<Token>), Fault> {
        let _still = self.front.lock().await;
        let (mut challenges, mut burnt, head) = {
            let state = self.state.lock();
            (
                state.challenges.clone(),
                state.burnt.clone(),
                self.log.head(),
            )
        };
        self.log.settled(head).await?;
        let (log, key) = (self.log.clone(), self.key.clone());
        aside(move || {
            let mut found = (Vec::new(), Vec::new());
            log.read(|position, bytes| {
                let record = Record::kept(position, bytes)?;
                let print = Print::of(&key, record.owner, record.token);
                let (table, list) = match record.what {
                    What::Minted => (&mut challenges, &mut found.0),
                    What::Burnt => (&mut burnt, &mut found.1),
                    What::Taken | What::Cleared => return Ok(true),
                };
                if table.end(print) == Some(record.until) {
                    table.remove(print);
                    list.push(Token {
                        owner: record.owner.to_owned(),
                        token: record.token.to_owned(),
                        until: record.until,
                    });
                }
                Ok(position < head.0)
            })?;
            if challenges.len() + burnt.len() > 0 {
                return Err(Fault::lasting("tokens: the log lacks some that count"));
            }
            for list in [&mut found.0, &mut found.1] {
                list.sort_unstable_by(|a, b| (&a.owner, &a.token).cmp(&(&b.owner, &b.token)));
            }
            Ok(found)
        })
        .await
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.challenges.len() + state.burnt.len() == 0
    }

    /// Forgets all.
    pub(crate) async fn clear(&self) -> Result<(), Fault> {
        let position = {
            let mut state = self.state.lock();
            state.challenges = Table::default();
            state.burnt = Table::default();
            let record = Record {
                what: What::Cleared,
                until: Time(i64::MIN),
                owner: "",
                token: "",
            };
            let position = self.log.append(record.bytes());
            state.grow(position, record.until, self.chunk);
            position
        };
        self.log.settled(position).await
    }

    /// Whether one of these is there.
    pub(crate) fn has_any(&self, challenges: &[Token], burnt: &[Token]) -> bool {
        let state = self.state.lock();
        let has = |table: &Table, tokens: &[Token]| {
            tokens
                .iter()
                .any(|token| table.end(self.print(&token.owner, &token.token)).is_some())
        };
        has(&state.challenges, challenges) || has(&state.burnt, burnt)
    }

    /// Enters tokens as they are.
    pub(crate) async fn enter(&self, challenges: &[Token], burnt: &[Token]) -> Result<(), Fault> {
        let position = {
            let mut state = self.state.lock();
            for (what, tokens) in [(What::Minted, challenges), (What::Burnt, burnt)] {
                for token in tokens {
                    let print = self.print(&token.owner, &token.token);
                    match what {
                        What::Minted => state.challenges.put(print, token.until),
                        _ => state.burnt.put(print, token.until),
                    }
                    let position = self.log.append(Record::of(what, token).bytes());
                    state.grow(position, token.until, self.chunk);
                }
            }
            self.log.head()
        };
        self.log.settled(position).await
    }
}

/// What is to be done about records up to a position, inclusive.
enum Old {
    /// None of them counts.
    Past(u64),
    /// The log is much longer than what counts.
    Sparse(u64),
}

impl State {
    /// Counts a record of the log.
    fn grow(&mut self, position: Position, until: Time, most: u64) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.many < most => {
                chunk.last = position.0;
                chunk.many += 1;
                chunk.until = chunk.until.max(until);
            }
            _ => self.chunks.push_back(Chunk {
                last: position.0,
                many: 1,
                until,
            }),
        }
    }

    /// What may go from the log's front; never its last chunk, which is being written.
    fn old(&self, now: Time, chunk: u64) -> Option<Old> {
        let (front, back) = (self.chunks.front()?, self.chunks.back()?);
        if front.last == back.last {
            return None;
        }
        if front.until < now {
            return Some(Old::Past(front.last));
        }
        let counting = (self.challenges.len() + self.burnt.len()) as u64;
        let records = self.chunks.len() as u64 * chunk;
        (records > 2 * counting + 8 * chunk).then_some(Old::Sparse(front.last))
    }
}

#[async_trait]
impl Nonces for Tokens {
    async fn mint(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<(), Fault> {
        let record = Record {
            what: What::Minted,
            until,
            owner,
            token,
        };
        let (print, bytes) = (self.print(owner, token), record.bytes());
        let noted = {
            let mut state = self.state.lock();
            self.ready(&mut state, now)?;
            state.challenges.put(print, until);
            self.note(&mut state, until, bytes, now)
        };
        self.settle(noted, now).await
    }

    async fn take(&self, token: &str, owner: &str, now: Time) -> Result<Taken, Fault> {
        let record = Record {
            what: What::Taken,
            until: Time(i64::MIN),
            owner,
            token,
        };
        let (print, bytes) = (self.print(owner, token), record.bytes());
        let noted = {
            let mut state = self.state.lock();
            self.ready(&mut state, now)?;
            match state.challenges.remove(print) {
                Some(until) if until >= now => self.note(&mut state, record.until, bytes, now),
                // One that is too old is gone for good; its record says until when it counted.
                _ => return Ok(Taken::No),
            }
        };
        self.settle(noted, now).await?;
        Ok(Taken::Yes)
    }

    async fn burn(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<Burnt, Fault> {
        let (burnt, mark) = self.burn_ahead(token, owner, now, until).await?;
        if burnt == Burnt::New {
            self.settled(mark, now).await?;
        }
        Ok(burnt)
    }

    async fn burn_ahead(
        &self,
        token: &str,
        owner: &str,
        now: Time,
        until: Time,
    ) -> Result<(Burnt, Position), Fault> {
        let record = Record {
            what: What::Burnt,
            until,
            owner,
            token,
        };
        let (print, bytes) = (self.print(owner, token), record.bytes());
        let mut state = self.state.lock();
        self.ready(&mut state, now)?;
        if let Some(seen) = state.burnt.end(print)
            && seen >= now
        {
            return Ok((Burnt::Seen, Position(0)));
        }
        state.burnt.put(print, until);
        let position = self.log.append(bytes);
        state.grow(position, until, self.chunk);
        Ok((Burnt::New, position))
    }

    async fn settled(&self, mark: Position, now: Time) -> Result<(), Fault> {
        let old = self.state.lock().old(now, self.chunk).is_some();
        self.settle((mark, old), now).await
    }
}

#[cfg(test)]
mod tests;
