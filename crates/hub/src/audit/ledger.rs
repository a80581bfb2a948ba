//! The one who writes: takes all lines that wait, chains them, and appends them in one go.

use super::chain::{Head, Link};
use crate::metrics::Metrics;
use credential::Secret;
use model::{
    account::{AuditEntry, AuditRecord},
    error::Fault,
    id::Time,
    port::{Audit, Catalog, Change, Expect, Put},
};
use parking_lot::Mutex;
use std::{mem, sync::Arc};
use tokio::sync::{Semaphore, oneshot};

/// Lines that may wait to be written; more callers wait before the queue.
const WAITING: usize = 4_096;
/// How often a batch is tried again when another node wrote in between.
const TRIES: u32 = 32;

const KIND: &str = "audit";
const HEAD: &str = "head";

/// The writer is a task of its own, so that a caller who is dropped while he waits leaves neither
/// a half-written batch nor a chain whose end nobody knows.
pub struct Ledger {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) key: Secret,
    pub(super) audit: Arc<dyn Audit>,
    catalog: Arc<dyn Catalog>,
    metrics: Arc<Metrics>,
    room: Semaphore,
    queue: Mutex<Queue>,
    last: Mutex<Option<Link>>,
    pub(super) throttle: Mutex<Throttle>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    busy: bool,
}

struct Waiting {
    entry: AuditEntry,
    done: oneshot::Sender<Result<(), Fault>>,
}

/// How the log stands against the head that was noted.
pub(super) enum Standing {
    /// Nothing was ever written.
    Empty,
    /// The head is in the log.
    Whole,
    /// It is not.
    Broken(u64, String),
}

impl Ledger {
    pub(crate) fn new(
        key: Secret,
        audit: Arc<dyn Audit>,
        catalog: Arc<dyn Catalog>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                key,
                audit,
                catalog,
                metrics,
                room: Semaphore::new(WAITING),
                queue: Mutex::default(),
                last: Mutex::default(),
                throttle: Mutex::default(),
            }),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Appends the line and returns once it is on disk.
    pub(super) async fn append(&self, entry: AuditEntry) -> Result<(), Fault> {
        let shared = &self.shared;
        let _room = shared
            .room
            .acquire()
            .await
            .map_err(|_| Fault::passing("the audit log is closed"))?;
        let (done, written) = oneshot::channel();
        let idle = {
            let mut queue = shared.queue.lock();
            queue.waiting.push(Waiting { entry, done });
            !mem::replace(&mut queue.busy, true)
        };
        if idle {
            tokio::spawn(write_all(shared.clone()));
        }
        written
            .await
            .unwrap_or_else(|_| Err(Fault::passing("the audit log was not written")))
    }
}

/// Lets the next caller start a writer should this one end in a panic.
struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().busy = false;
    }
}

async fn write_all(shared: Arc<Shared>) {
    let busy = Busy(&shared);
    loop {
        let batch = {
            let mut queue = shared.queue.lock();
            if queue.waiting.is_empty() {
                // Under the same lock as the look at the queue: who comes now starts a writer.
                queue.busy = false;
                mem::forget(busy);
                return;
            }
            mem::take(&mut queue.waiting)
        };
        let (entries, done): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|line| (line.entry, line.done))
            .unzip();
        let count = entries.len() as u64;
        let result = shared.write(&entries).await;
        match &result {
            Ok(_) => shared.metrics.audit_lines(count),
            Err(fault) => tracing::error!(%fault, lines = count, "the audit log was not written"),
        }
        for done in done {
            // Nobody there any more is no trouble.
            let _ = done.send(result.as_ref().map(|_| ()).map_err(Clone::clone));
        }
        if let Ok(link) = result
            && let Err(fault) = shared.note_head(&link).await
        {
            // The lines are on disk; the head is noted with the next ones.
            tracing::warn!(%fault, "the head of the audit log was not noted");
        }
    }
}

impl Shared {
    async fn write(&self, entries: &[AuditEntry]) -> Result<Link, Fault> {
        for _ in 0..TRIES {
            // Unknown while an append is under way: it may fail after the engine did it.
            let known = self.last.lock().take();
            let from = match known {
                Some(link) => link,
                None => self.last_line().await?,
            };
            let mut link = from;
            let mut records = Vec::with_capacity(entries.len());
            for entry in entries {
                let record = link.bind(&self.key, entry.clone())?;
                link = Link::of(&record);
                records.push(record);
            }
            match self.audit.append(records).await? {
                Change::Done(_) => {
                    *self.last.lock() = Some(link.clone());
                    return Ok(link);
                }
                Change::Conflict => {}
            }
        }
        Err(Fault::passing("other nodes kept writing to the audit log"))
    }

    pub(super) async fn last_line(&self) -> Result<Link, Fault> {
        let last = self.audit.last().await?;
        Ok(last.as_ref().map_or_else(Link::root, Link::of))
    }

    /// Notes the end of the log apart from it. The first note is made before the first line, so
    /// that a note that is missing beside lines was removed.
    pub(super) async fn note_head(&self, link: &Link) -> Result<(), Fault> {
        let head = serde_json::to_vec(&Head::of(&self.key, link))
            .map_err(|error| Fault::lasting(format!("the head of the audit log: {error}")))?;
        self.catalog
            .put(vec![Put {
                kind: KIND,
                key: HEAD.to_owned(),
                value: Some(head.into()),
                expect: Expect::Anything,
            }])
            .await
            .map(|_| ())
    }

    /// Compares the log with the head that was noted. Lines newer than the head are a crash
    /// between the two steps, or another node at work; a head that is not in the log is a cut.
    pub(super) async fn standing(&self) -> Result<Standing, Fault> {
        // The head first: what is appended in between can only make the log longer.
        let mut noted = self.catalog.get(KIND, HEAD).await?;
        if noted.is_none() {
            if self.last_line().await?.seq == 0 {
                return Ok(Standing::Empty);
            }
            // Another node may have begun the log since.
            noted = self.catalog.get(KIND, HEAD).await?;
        }
        let Some(entry) = noted else {
            return Ok(Standing::Broken(0, "the noted head was removed".to_owned()));
        };
        let head: Option<Head> = serde_json::from_slice(&entry.value).ok();
        let Some(head) = head.and_then(|head| head.link(&self.key)) else {
            return Ok(Standing::Broken(0, "the noted head was altered".to_owned()));
        };
        if head.seq == 0 {
            return Ok(Standing::Whole);
        }
        match self.line(head.seq).await? {
            Some(record) if Link::of(&record) == head => Ok(Standing::Whole),
            Some(_) => Ok(Standing::Broken(
                head.seq,
                "the line is not the one that was noted as the last".to_owned(),
            )),
            None => Ok(Standing::Broken(
                head.seq,
                format!("the log was cut: it once had {} lines", head.seq),
            )),
        }
    }

    pub(super) async fn line(&self, seq: u64) -> Result<Option<AuditRecord>, Fault> {
        let Some(former) = seq.checked_sub(1) else {
            return Ok(None);
        };
        let page = self.audit.page(former, 1).await?;
        Ok(page.into_iter().find(|record| record.seq == seq))
    }
}

/// Holds failures back when there are more a second than the log should bear.
#[derive(Default)]
pub(super) struct Throttle {
    second: i64,
    used: u32,
    held: u64,
    since: Time,
}

/// What to do with a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// Write it.
    pub(super) pass: bool,
    /// Before, write a line that so many were held back since then.
    pub(super) held: Option<(u64, Time)>,
}

impl Throttle {
    pub(super) fn ask(&mut self, now: Time, most: u32) -> Passage {
        let held = self.settle(now);
        if self.used < most {
            self.used += 1;
            return Passage { pass: true, held };
        }
        if self.held == 0 {
            self.since = now;
        }
        self.held += 1;
        Passage { pass: false, held }
    }

    /// Begins a new second when it is one; gives back what was held in the former.
    pub(super) fn settle(&mut self, now: Time) -> Option<(u64, Time)> {
        let second = now.0.div_euclid(1_000);
        if second == self.second {
            return None;
        }
        self.second = second;
        self.used = 0;
        let held = mem::take(&mut self.held);
        (held > 0).then_some((held, self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_the_limit_are_counted_and_told_later() {
        let mut throttle = Throttle::default();
        let pass = |pass, held| Passage { pass, held };
        for _ in 0..3 {
            assert_eq!(throttle.ask(Time(5_000), 3), pass(true, None));
        }
        for _ in 0..10 {
            assert_eq!(throttle.ask(Time(5_900), 3), pass(false, None));
        }
        assert_eq!(
            throttle.ask(Time(6_000), 3),
            pass(true, Some((10, Time(5_900))))
        );
        assert_eq!(throttle.settle(Time(6_500)), None);
        assert_eq!(throttle.settle(Time(7_000)), None);
    }

    #[test]
    fn a_limit_of_nothing_holds_everything_back() {
        let mut throttle = Throttle::default();
        assert!(!throttle.ask(Time(1), 0).pass);
        assert_eq!(throttle.settle(Time(2_000)), Some((1, Time(1))));
    }
}
