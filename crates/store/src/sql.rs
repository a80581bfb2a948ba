//! SQLite: one thread writes, in groups that share a commit; readers read beside it.
//!
//! A write is a closure. It runs in a savepoint, so that one that fails undoes only itself, and is
//! answered after the commit, so that what is answered is on disk and every reader sees it.

mod archive;
mod audit;
mod catalog;
mod command;
mod device;
mod entries;
mod recent;
mod schema;
mod secret;

use crate::{
    Options,
    fault::{aside, of_io, of_sql, stopped},
    home::Home,
    nonce::Tokens,
    queue::Queue,
    sightings::Sightings,
};
use entries::Entries;
use model::error::Fault;
use parking_lot::Mutex;
use recent::{Recent, Voids};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};
use tokio::sync::{Semaphore, oneshot};

/// Its file in the data folder.
const FILE: &str = "registry.sqlite";
/// At most so many writes share a commit, so that the first does not wait long for the last.
const GROUP: usize = 512;
/// Readers that answer a question about one row; they never hold a connection for long.
const QUICK_READERS: usize = 4;
/// Readers of pages and counts.
const SLOW_READERS: usize = 2;

/// The registry.
pub(crate) struct Sql {
    queue: Arc<Queue<Job>>,
    quick: Readers,
    slow: Arc<Readers>,
    slow_turns: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    recent: Arc<Recent>,
    entries: Arc<Entries>,
    sightings: Sightings,
    tokens: Arc<Tokens>,
    home: Arc<Home>,
}

/// Why a write is undone.
pub(crate) enum Trouble {
    /// Our own trouble.
    Fault(Fault),
    /// A condition of the caller does not hold.
    Refused,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(of_sql(&error))
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A write that waits for its turn.
struct Job {
    /// Runs in the transaction, or learns that there is none.
    run: Box<Run>,
    voids: Voids,
}

type Run = dyn FnOnce(Result<&Connection, Fault>) -> Ran + Send;

/// A write that ran and waits for the commit.
struct Ran {
    /// Whether what it did is to be committed.
    keep: bool,
    /// Tells the caller, given what became of the commit.
    answer: Box<dyn FnOnce(Result<(), Fault>) + Send>,
}

impl Sql {
    pub(crate) fn open(
        home: &Arc<Home>,
        sightings: Sightings,
        options: &Options,
    ) -> Result<Self, Fault> {
        let path = home.join(FILE);
        let mut writer = open_writer(&path)?;
        schema::migrate(&mut writer, &path, |challenges, burnt| {
            crate::nonce::take_over(home, options, challenges, burnt)
        })?;
        let tokens = Arc::new(Tokens::open(home, options)?);
        let queue = Arc::new(Queue::new(options.write_queue));
        let recent = Arc::new(Recent::default());
        let entries = Arc::new(Entries::default());
        let thread = std::thread::Builder::new().name("registry".into()).spawn({
            let queue = queue.clone();
            let kept = Kept {
                recent: recent.clone(),
                entries: entries.clone(),
            };
            move || write_all(&writer, &queue, &kept)
        });
        Ok(Self {
            queue,
            quick: Readers::open(&path, QUICK_READERS)?,
            slow: Arc::new(Readers::open(&path, SLOW_READERS)?),
            slow_turns: Arc::new(Semaphore::new(SLOW_READERS)),
            writer: Some(thread.map_err(|e| of_io("starting the writer of", &path, &e))?),
            recent,
            entries,
            sightings,
            tokens,
            home: home.clone(),
        })
    }

    /// Single-use things, which `archive` gives and takes along.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        self.tokens.clone()
    }

    /// Opens a registry with a tree of its own beside it.
    #[cfg(test)]
    fn open_alone(folder: &Path, options: &Options) -> Result<Self, Fault> {
        let home = Arc::new(Home::open(folder)?);
        let lsm = Arc::new(crate::lsm::Lsm::open(&home, options)?);
        Self::open(&home, Sightings::new(lsm), options)
    }

    /// Runs `work` and gives back what it found out once it is on disk.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Fault> {
        self.write_over(Voids::Nothing, work).await
    }

    /// As `write`, for rows of which copies may be at hand.
    async fn write_over<T: Send + 'static>(
        &self,
        voids: Voids,
        work: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Fault> {
        let done = self.write_over_unless_refused(voids, work).await?;
        done.ok_or_else(|| Fault::lasting("a write was refused that sets no condition"))
    }

    /// As `write`; `None` when `work` refused, and nothing changed.
    async fn write_unless_refused<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<Option<T>, Fault> {
        self.write_over_unless_refused(Voids::Nothing, work).await
    }

    /// As `write_unless_refused`, for rows of which copies may be at hand.
    async fn write_over_unless_refused<T: Send + 'static>(
        &self,
        voids: Voids,
        work: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<Option<T>, Fault> {
        let (sender, receiver) = oneshot::channel();
        let run = Box::new(move |transaction: Result<&Connection, Fault>| {
            let result = transaction.map_err(Trouble::Fault).and_then(|connection| {
                catch_unwind(AssertUnwindSafe(|| work(connection)))
                    .unwrap_or_else(|_| Err(Fault::lasting("a write to the registry broke").into()))
            });
            Ran {
                keep: result.is_ok(),
                answer: Box::new(move |committed| {
                    let _ = sender.send(match result {
                        Ok(value) => committed.map(|()| Some(value)),
                        Err(Trouble::Refused) => Ok(None),
                        Err(Trouble::Fault(fault)) => Err(fault),
                    });
                }),
            }
        });
        self.queue.push(1, Job { run, voids }).await?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Answers a question about a few rows that are found by an index. Runs where the caller runs:
    /// it takes less time than handing it to another thread would.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        self.quick.with(work).map_err(|e| of_sql(&e))
    }

    /// Answers a question about many rows, seen at one moment.
    async fn read_many<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = self.slow_turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| stopped())?;
        let readers = self.slow.clone();
        aside(move || {
            let _turn = turn;
            let read = |connection: &Connection| {
                let moment = connection.unchecked_transaction()?;
                let found = work(&moment)?;
                moment.commit()?;
                Ok(found)
            };
            readers.with(read).map_err(|e| of_sql(&e))
        })
        .await
    }
}

impl Drop for Sql {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Copies of rows, for readers.
struct Kept {
    recent: Arc<Recent>,
    entries: Arc<Entries>,
}

impl Kept {
    /// Removes what writes may have changed.
    fn void(&self, voids: &[Voids]) {
        self.recent.void(voids);
        if voids.iter().any(|voids| matches!(voids, Voids::All)) {
            self.entries.void_all();
            return;
        }
        let entries = voids.iter().filter_map(|voids| match voids {
            Voids::Entries(keys) => Some(keys),
            Voids::Nothing | Voids::Device(_) | Voids::All => None,
        });
        self.entries.void(entries.flatten());
    }
}

/// The writer's thread: takes all that waits, and commits it together.
fn write_all(connection: &Connection, queue: &Queue<Job>, kept: &Kept) {
    let mut waiting = Vec::new();
    while let Some(weight) = queue.take(&mut waiting) {
        let mut jobs = waiting.drain(..).map(|(_, job)| job).peekable();
        while jobs.peek().is_some() {
            write_group(connection, &mut jobs, kept);
        }
        drop(jobs);
        queue.free(weight);
    }
}

fn write_group(connection: &Connection, jobs: &mut impl Iterator<Item = Job>, kept: &Kept) {
    let run = |sql: &str| -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(sql).map_err(|e| of_sql(&e))?;
        statement.execute([]).map_err(|e| of_sql(&e))?;
        Ok(())
    };
    let begun = run("BEGIN IMMEDIATE");
    let mut answers = Vec::new();
    let mut voids = Vec::new();
    let mut result = begun.clone();
    for job in jobs.take(GROUP) {
        let transaction = begun.clone().and_then(|()| run("SAVEPOINT job"));
        voids.push(job.voids);
        let ran = (job.run)(transaction.map(|()| connection));
        if begun.is_ok() {
            let end = if ran.keep {
                run("RELEASE job")
            } else {
                run("ROLLBACK TO job").and_then(|()| run("RELEASE job"))
            };
            if let Err(fault) = end {
                result = Err(fault);
            }
        }
        answers.push(ran.answer);
        // SQLite ends the transaction by itself when the disk is full or fails: what ran so far
        // is undone, and the rest gets a transaction of its own.
        if result.is_err() || connection.is_autocommit() {
            break;
        }
    }
    if connection.is_autocommit() {
        let undone = || Fault::passing("registry: the transaction was undone");
        result = result.and_then(|()| Err(undone()));
    } else {
        result = result.and_then(|()| run("COMMIT"));
        if result.is_err() && !connection.is_autocommit() {
            let _ = run("ROLLBACK");
        }
    }
    if let Err(fault) = &result {
        tracing::error!(%fault, writes = answers.len(), "the registry could not be written");
    }
    kept.void(&voids);
    for answer in answers {
        answer(result.clone());
    }
}

fn open_writer(path: &Path) -> Result<Connection, Fault> {
    // Made here and not by SQLite, so that nobody else may ever read it.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| of_io("opening", path, &e))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        steady(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    };
    open().map_err(|e| of_sql(&e))
}

/// Makes plans independent of the values that are asked for. Otherwise SQLite, as it is built here
/// (STAT4), plans a prepared query again for every other value of a range or a bound.
fn steady(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// Connections that only read.
struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    fn open(path: &Path, many: usize) -> Result<Self, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            steady(&connection)?;
            connection.pragma_update(None, "cache_size", -8_000)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(Mutex::new(connection))
        };
        let connections: rusqlite::Result<_> = (0..many).map(|_| open()).collect();
        Ok(Self {
            connections: connections.map_err(|e| of_sql(&e))?,
            next: AtomicUsize::new(0),
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let many = self.connections.len();
        let free = (0..many).find_map(|i| self.connections[(first + i) % many].try_lock());
        match free {
            Some(connection) => work(&connection),
            None => work(&self.connections[first % many].lock()),
        }
    }
}

/// SQLite's integers have a sign.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A bound of a page as SQLite takes it.
fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// What is kept in column `column` cannot be what was written there.
fn damaged(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::NodeId;

    fn open(folder: &Path) -> Result<Sql, Fault> {
        let options = Options::of(NodeId::parse("one").unwrap());
        Sql::open_alone(folder, &options)
    }

    fn count(sql: &Sql) -> i64 {
        let count = "SELECT count(*) FROM sequence";
        sql.read(|c| c.query_row(count, [], |row| row.get(0)))
            .unwrap()
    }

    /// One failing job must not fail the others that share its commit.
    #[tokio::test]
    async fn a_failing_write_undoes_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let sql = Arc::new(open(folder.path()).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..200 {
            let sql = sql.clone();
            tasks.spawn(async move {
                sql.write_unless_refused(move |c| {
                    let insert = "INSERT INTO sequence VALUES (?, 0)";
                    c.execute(insert, [i.to_string()])?;
                    match i % 4 {
                        0 => Ok(()),
                        1 => Err(Trouble::Refused),
                        2 => Ok(c.execute_batch("INSERT INTO nowhere VALUES (1)")?),
                        _ => panic!("a bug in a write"),
                    }
                })
                .await
            });
        }
        let results = tasks.join_all().await;
        assert_eq!(
            results.iter().filter(|r| matches!(r, Ok(Some(())))).count(),
            50
        );
        assert_eq!(results.iter().filter(|r| matches!(r, Ok(None))).count(), 50);
        assert_eq!(results.iter().filter(|r| r.is_err()).count(), 100);
        assert_eq!(count(&sql), 50);
    }

    /// A write that ends the transaction of its group, as a full disk does, costs its neighbours
    /// an honest fault at most.
    #[tokio::test]
    async fn what_is_answered_well_is_there_even_when_a_transaction_breaks() {
        let folder = tempfile::tempdir().unwrap();
        let sql = Arc::new(open(folder.path()).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..100 {
            let sql = sql.clone();
            tasks.spawn(async move {
                sql.write(move |c| {
                    c.execute("INSERT INTO sequence VALUES (?, 0)", [i.to_string()])?;
                    if i % 10 == 5 {
                        c.execute_batch("ROLLBACK")?;
                    }
                    Ok(())
                })
                .await
            });
        }
        let done = tasks.join_all().await.iter().filter(|r| r.is_ok()).count();
        assert_eq!(count(&sql), i64::try_from(done).unwrap());
        let after = |c: &Connection| Ok(c.execute("INSERT INTO sequence VALUES ('x', 0)", [])?);
        assert_eq!(sql.write(after).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_registry_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        drop(open(folder.path()).unwrap());
        let path = folder.path().join("registry.sqlite");
        let other = Connection::open(&path).unwrap();
        other.pragma_update(None, "user_version", 999).unwrap();
        drop(other);
        let fault = open(folder.path()).err().unwrap();
        assert!(!fault.retry && fault.context.contains("999"), "{fault}");
    }
}
