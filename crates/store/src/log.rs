//! Opaque records of one appender, on disk in their order.
//!
//! One thread writes all that waits with one call and syncs once. What the disk refuses it tries
//! again until the disk takes it: the appender has changed its memory already, so there is no way
//! back, and nobody is told of a record that is not on disk.

use crate::{
    Options,
    fault::{aside, of_io, stopped},
    home::Home,
    tape::{Buffer, Pen, Tape},
};
use async_trait::async_trait;
use model::{
    error::Fault,
    id::Position,
    port::{Log, Visit},
};
use parking_lot::{Condvar, Mutex};
use std::{sync::Arc, thread::JoinHandle, time::Duration};
use tokio::sync::oneshot;

/// A new segment file is begun when one has this many bytes; small, as whole segments are
/// forgotten.
const SEGMENT: u64 = 16 << 20;
/// How long the writer waits before it tries again what the disk refused.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it tries when the process is about to end.
const LAST_TRIES: u32 = 5;

pub(crate) struct Records {
    shared: Arc<Shared>,
    tape: Arc<Tape>,
    writer: Option<JoinHandle<()>>,
    _home: Arc<Home>,
}

struct Shared {
    name: &'static str,
    tape: Arc<Tape>,
    line: Mutex<Line>,
    filled: Condvar,
}

#[derive(Default)]
struct Line {
    waiting: Vec<Vec<u8>>,
    /// The last position that was given.
    head: u64,
    /// Bytes that are not on disk.
    backlog: u64,
    trouble: Option<Fault>,
    closed: bool,
    /// The writer sleeps; only then must it be woken.
    idle: bool,
    /// Who waits for a position to be on disk, or for trouble.
    waiters: Vec<Waiter>,
}

struct Waiter {
    position: u64,
    answer: oneshot::Sender<Result<(), Fault>>,
}

impl Records {
    pub(crate) fn open(
        home: &Arc<Home>,
        name: &'static str,
        options: &Options,
    ) -> Result<Self, Fault> {
        let segment = options.segment_bytes.min(SEGMENT);
        let (tape, pen) = Tape::open(name, home.join(name), segment)?;
        let shared = Arc::new(Shared {
            name,
            tape: tape.clone(),
            line: Mutex::default(),
            filled: Condvar::new(),
        });
        shared.line.lock().head = tape.head();
        let thread = std::thread::Builder::new().name(name.into());
        let its = shared.clone();
        let thread = thread.spawn(move || its.write(pen));
        Ok(Self {
            writer: Some(thread.map_err(|e| of_io("starting the writer of", tape.folder(), &e))?),
            shared,
            tape,
            _home: home.clone(),
        })
    }

    /// Returns when all up to `position` is on disk, or with the trouble that keeps it from there.
    /// What was appended is tried again all the same.
    pub(crate) async fn settled(&self, position: Position) -> Result<(), Fault> {
        let answered = {
            let mut line = self.shared.line.lock();
            if self.tape.head() >= position.0 {
                return Ok(());
            }
            if let Some(fault) = &line.trouble {
                return Err(fault.clone());
            }
            let (answer, answered) = oneshot::channel();
            line.waiters.push(Waiter {
                position: position.0,
                answer,
            });
            answered
        };
        answered.await.map_err(|_| stopped())?
    }

    /// Shows `visit` every record that is kept and on disk, in order, until it says `false`. Blocks.
    pub(crate) fn read(
        &self,
        visit: impl FnMut(u64, &[u8]) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        self.tape.read(0, visit)
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.shared.line.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Log for Records {
    fn append(&self, record: Vec<u8>) -> Position {
        let mut line = self.shared.line.lock();
        line.head += 1;
        line.backlog += record.len() as u64;
        line.waiting.push(record);
        if std::mem::take(&mut line.idle) {
            self.shared.filled.notify_one();
        }
        Position(line.head)
    }

    fn head(&self) -> Position {
        Position(self.shared.line.lock().head)
    }

    fn synced(&self) -> Position {
        Position(self.tape.head())
    }

    async fn reached(&self, position: Position) {
        let mut head = self.tape.watch();
        // The sender lives as long as `self`.
        let _ = head.wait_for(|head| *head >= position.0).await;
    }

    fn backlog(&self) -> u64 {
        self.shared.line.lock().backlog
    }

    fn trouble(&self) -> Option<Fault> {
        self.shared.line.lock().trouble.clone()
    }

    fn replay(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.tape.read(0, |position, record| {
            visit(Position(position), record)?;
            Ok(true)
        })
    }

    async fn forget_before(&self, position: Position) -> Result<(), Fault> {
        let tape = self.tape.clone();
        aside(move || {
            tape.trim(position.0.saturating_sub(1), u64::MAX)?;
            Ok(())
        })
        .await
    }

    fn size(&self) -> u64 {
        self.tape.size()
    }
}

impl Shared {
    /// The thread that writes.
    fn write(&self, mut pen: Pen) {
        let mut records = Vec::new();
        let mut buffer = Buffer::default();
        while self.take(&mut records) {
            let mut tries = 0;
            loop {
                let texts = records.iter().map(Vec::as_slice);
                let Err(fault) = pen.write(texts, &mut buffer) else {
                    break;
                };
                tries += 1;
                if tries == 1 {
                    tracing::error!(
                        %fault,
                        "{} cannot be written down; it is tried again",
                        self.name
                    );
                }
                if self.fail(fault) && tries >= LAST_TRIES {
                    let many = records.len();
                    tracing::error!(many, "{} are not written down", self.name);
                    return;
                }
            }
            if tries > 0 {
                tracing::info!("{} are written down again", self.name);
            }
            let bytes: u64 = records.iter().map(|record| record.len() as u64).sum();
            records.clear();
            let mut line = self.line.lock();
            line.backlog -= bytes;
            line.trouble = None;
            let head = self.tape.head();
            let (settled, waiters) = std::mem::take(&mut line.waiters)
                .into_iter()
                .partition(|waiter| waiter.position <= head);
            line.waiters = waiters;
            drop(line);
            answer(settled, &Ok(()));
        }
    }

    /// Moves all that waits into `records`; false when there is nothing and will be nothing more.
    fn take(&self, records: &mut Vec<Vec<u8>>) -> bool {
        let mut line = self.line.lock();
        while line.waiting.is_empty() {
            if line.closed {
                return false;
            }
            line.idle = true;
            self.filled.wait(&mut line);
        }
        line.idle = false;
        std::mem::swap(records, &mut line.waiting);
        true
    }

    /// Notes the trouble and waits a little; true when the process is about to end.
    fn fail(&self, fault: Fault) -> bool {
        let mut line = self.line.lock();
        line.trouble = Some(fault.clone());
        let waiters = std::mem::take(&mut line.waiters);
        drop(line);
        answer(waiters, &Err(fault));
        let mut line = self.line.lock();
        // Appends do not notify meanwhile, as the line is not idle; the end does.
        self.filled.wait_for(&mut line, PAUSE);
        line.closed
    }
}

fn answer(waiters: Vec<Waiter>, result: &Result<(), Fault>) {
    for waiter in waiters {
        let _ = waiter.answer.send(result.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::NodeId;

    fn options() -> Options {
        Options::of(NodeId::parse("one").unwrap())
    }

    fn shown(log: &Records) -> Vec<u64> {
        let mut found = Vec::new();
        log.replay(&mut |position, record| {
            assert_eq!(record, position.0.to_be_bytes());
            found.push(position.0);
            Ok(())
        })
        .unwrap();
        found
    }

    /// While the disk refuses, nothing is said to be synced; once it takes writes again, all that
    /// waited is written in its order, without a restart.
    #[tokio::test]
    async fn what_the_disk_refused_is_written_when_it_takes_writes_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open(folder.path()).unwrap());
        let log = Records::open(&home, "sessions", &options()).unwrap();
        // A folder in the way of the first segment is a trouble that root has as well.
        let blocked = crate::tape::path_of(&folder.path().join("sessions"), 1);
        std::fs::create_dir(&blocked).unwrap();
        for number in 1..=10_u64 {
            assert_eq!(log.append(number.to_be_bytes().to_vec()), Position(number));
        }
        while log.trouble().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(log.synced(), Position(0));
        assert_eq!(log.backlog(), 80);
        std::fs::remove_dir(&blocked).unwrap();
        log.reached(Position(10)).await;
        log.append(11_u64.to_be_bytes().to_vec());
        log.reached(Position(11)).await;
        while log.backlog() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(log.trouble().is_none());
        assert!(shown(&log).into_iter().eq(1..=11));
        drop(log);
        let log = Records::open(&home, "sessions", &options()).unwrap();
        assert!(shown(&log).into_iter().eq(1..=11));
    }

    /// A write that was cut short costs the records in it and no other.
    #[tokio::test]
    async fn an_unfinished_write_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open(folder.path()).unwrap());
        let log = Records::open(&home, "sessions", &options()).unwrap();
        for number in 1..=20_u64 {
            log.append(number.to_be_bytes().to_vec());
            log.reached(Position(number)).await;
        }
        drop(log);
        let path = crate::tape::path_of(&folder.path().join("sessions"), 1);
        let whole = std::fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(11).rev() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let log = Records::open(&home, "sessions", &options()).unwrap();
            let head = log.head().0;
            assert!(shown(&log).into_iter().eq(1..=head), "cut at {length}");
            assert_eq!(log.synced(), log.head());
        }
    }
}
