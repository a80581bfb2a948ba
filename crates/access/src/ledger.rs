//! What sessions go through, written down so that it outlives the process.
//!
//! Whoever changes a session that outlives its connection, or a retained message, takes a turn,
//! before any other lock. The changes of a turn become one record of the log when the turn ends:
//! all of them are there after a crash, or none. Turns follow each other as records do, so that the
//! log, read from its beginning, tells exactly what memory went through. Nothing is waited for: the
//! record's position is known from the start, and bytes that tell of a change are held back at the
//! seat until the log is on disk up to there.

pub(crate) mod change;
pub(crate) mod replay;

use change::Change;
use model::{error::Fault, id::Position, port::Log};
use parking_lot::{Mutex, MutexGuard};
use replay::Replay;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};
use tokio::time::timeout;
use tracing::info;
use wire::mqtt::Message;

/// How often those who wait for a disk that refuses are told so.
const IMPATIENCE: Duration = Duration::from_secs(1);
/// With so many bytes on their way to the disk, publishers are slowed down.
const CONGESTION: u64 = 32 << 20;
/// With so many bytes on their way, nothing is written down that can be left out.
const OVERRUN: u64 = 64 << 20;

/// The book of all sessions of this node.
pub(crate) struct Ledger {
    log: Arc<dyn Log>,
    book: Mutex<Book>,
    synced: AtomicU64,
    /// Connections that wait for a position, by that and a number of their own.
    waiting: Mutex<BTreeMap<(u64, usize), Waker>>,
    /// Bytes of what was alive when the log was last written anew.
    live: AtomicU64,
    /// Bytes of older records that were not freed with that, as only whole files are.
    waste: AtomicU64,
    /// Bytes of all messages that wait for sessions.
    bytes: AtomicUsize,
    /// The bound of those.
    most: usize,
    /// A log of fewer bytes is not worth writing anew.
    small: u64,
}

struct Book {
    /// The changes of the turn.
    record: Vec<u8>,
    /// The position that the record of the turn will have.
    next: u64,
    /// The number of the newest session.
    generation: u64,
    /// The message that the record speaks of.
    said: Option<Arc<Message>>,
}

/// Where the log stood when a renewal began.
pub(crate) struct Renewal {
    first: Position,
    bytes: u64,
}

/// The right to change sessions; what changed is written down when it ends.
pub(crate) struct Turn<'a> {
    ledger: &'a Ledger,
    book: MutexGuard<'a, Book>,
}

impl Ledger {
    /// Reads the log and gives back what there is of sessions and retained messages. Blocks. `most`
    /// is the bound of bytes that wait for all sessions, and a log of fewer than `small` bytes is
    /// left to grow.
    pub(crate) fn open(
        log: Arc<dyn Log>,
        most: usize,
        small: u64,
    ) -> Result<(Self, Replay), Fault> {
        let mut replay = Replay::default();
        log.replay(&mut |position, record| {
            replay.apply(record).map_err(|error| {
                Fault::lasting(format!(
                    "the log of sessions cannot be read at {}: {error}",
                    position.0
                ))
            })
        })?;
        let book = Book {
            record: Vec::new(),
            next: log.head().0 + 1,
            generation: replay.newest(),
            said: None,
        };
        let ledger = Self {
            synced: AtomicU64::new(log.synced().0),
            book: Mutex::new(book),
            waiting: Mutex::default(),
            // Not known before the log is written anew, which a long one is soon.
            live: AtomicU64::new(0),
            waste: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            most,
            small,
            log,
        };
        Ok((ledger, replay))
    }

    /// Waits for others to end their turns.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn {
            ledger: self,
            book: self.book.lock(),
        }
    }

    /// The position up to which all is on disk.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether the disk refuses what is written to it.
    pub(crate) fn is_troubled(&self) -> bool {
        self.log.trouble().is_some()
    }

    /// Whether so much waits for the disk that publishers should be slowed down.
    pub(crate) fn is_congested(&self) -> bool {
        self.log.backlog() > CONGESTION
    }

    /// Whether so much waits for the disk that messages for sessions that last are dropped: those
    /// that come by a way on which nobody is slowed down, while the disk refuses.
    pub(crate) fn is_overrun(&self) -> bool {
        self.log.backlog() > OVERRUN
    }

    /// Counts the bytes of one session's messages, `before` and `after`.
    pub(crate) fn count(&self, before: usize, after: usize) {
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Bytes that may be added to what waits for all sessions.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.bytes.load(Ordering::Relaxed))
    }

    /// Wakes this waker when the log is on disk up to `position`. `number` is the caller's own; a
    /// second word under it takes the place of the first.
    pub(crate) fn wake_at(&self, position: u64, number: usize, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        waiting.insert((position, number), waker.clone());
        drop(waiting);
        if self.synced() >= position {
            waker.wake_by_ref();
        }
    }

    /// Passes on what the disk has, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let next = Position(self.synced() + 1);
            if timeout(IMPATIENCE, self.log.reached(next)).await.is_err() {
                if self.is_troubled() {
                    self.wake(u64::MAX);
                }
                continue;
            }
            let synced = self.log.synced().0;
            self.synced.store(synced, Ordering::Release);
            self.wake(synced);
        }
    }

    /// Returns when the log is on disk up to `position`.
    pub(crate) async fn on_disk(&self, position: u64) {
        self.log.reached(Position(position)).await;
    }

    fn wake(&self, until: u64) {
        let due = {
            let mut waiting = self.waiting.lock();
            let later = match until.checked_add(1) {
                Some(next) => waiting.split_off(&(next, 0)),
                None => BTreeMap::new(),
            };
            std::mem::replace(&mut *waiting, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Whether the log has grown so far that writing all that is alive anew pays.
    pub(crate) fn is_long(&self) -> bool {
        let live = self.live.load(Ordering::Relaxed);
        let waste = self.waste.load(Ordering::Relaxed);
        self.log.size() > live.saturating_mul(2).max(self.small).saturating_add(waste)
    }

    /// Begins to write down anew all that is alive; what comes back is for `end_renewal`.
    pub(crate) fn begin_renewal(&self) -> Renewal {
        Renewal {
            first: Position(self.turn().position()),
            bytes: self.log.size(),
        }
    }

    /// All that is alive has been written down since: forgets what was there before.
    pub(crate) async fn end_renewal(&self, renewal: Renewal) -> Result<(), Fault> {
        let last = Position(self.turn().position() - 1);
        self.log.reached(last).await;
        let live = self.log.size().saturating_sub(renewal.bytes);
        self.log.forget_before(renewal.first).await?;
        let bytes = self.log.size();
        self.live.store(live, Ordering::Relaxed);
        self.waste
            .store(bytes.saturating_sub(live), Ordering::Relaxed);
        info!(live, bytes, "the log of sessions is written anew");
        Ok(())
    }

    /// Returns when little waits for the disk.
    pub(crate) async fn breathe(&self) {
        while self.log.backlog() > CONGESTION / 4 {
            self.log.reached(Position(self.synced() + 1)).await;
            tokio::task::yield_now().await;
        }
    }
}

impl Turn<'_> {
    /// The position that the record of this turn will have.
    pub(crate) fn position(&self) -> u64 {
        self.book.next
    }

    /// Until when what tells of this turn is to be held back; 0 when nothing was written down.
    pub(crate) fn reach(&self) -> u64 {
        if self.book.record.is_empty() {
            0
        } else {
            self.book.next
        }
    }

    /// A number that no session had.
    pub(crate) fn generation(&mut self) -> u64 {
        self.book.generation += 1;
        self.book.generation
    }

    /// Writes down a change.
    pub(crate) fn note(&mut self, change: &Change) {
        change.encode(&mut self.book.record);
    }

    /// Names the message that the changes to come speak of.
    pub(crate) fn say(&mut self, message: &Arc<Message>) {
        let said = &self.book.said;
        if !said.as_ref().is_some_and(|said| Arc::ptr_eq(said, message)) {
            self.note(&Change::Said(message.clone()));
            self.book.said = Some(message.clone());
        }
    }

    /// Ends the record here; what follows is the next one.
    pub(crate) fn end(&mut self) {
        self.book.said = None;
        if !self.book.record.is_empty() {
            let record = std::mem::take(&mut self.book.record);
            let position = self.ledger.log.append(record);
            self.book.next = position.0 + 1;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
