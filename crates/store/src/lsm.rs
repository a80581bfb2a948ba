//! The LSM tree below the histories, and how it comes back after trouble.
//!
//! After a write that failed, fjall takes no more writes until it is opened again, because it
//! cannot know what reached the disk. So the tree is let go on the first failure, and opened again
//! by the next call, once nobody uses the old one and the disk takes a probe.
//!
//! A tree that cannot be opened because it is damaged is no reason to stand still: histories are
//! made from the journal. First its write-ahead log is set aside, which costs what was written
//! since the last flush, then the whole tree. Both times the readers of the journal begin at its
//! start again, and until they know, nobody is told what may be half of a history.

use crate::{
    Options,
    fault::{of_io, of_lsm},
    home::{self, Home},
};
use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, PersistMode, compaction::Leveled,
    config::PinningPolicy,
};
use model::{error::Fault, id::Position};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{ErrorKind, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

/// Writes of so many bytes must go through before the tree is opened again.
const PROBE: usize = 1 << 20;
/// Files that are kept open; the connections of devices need the rest of what the system allows.
const FILES: usize = 100;
/// How long a write waits for room in memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);
/// Memtables on their way to disk, and tables not yet merged, of one keyspace, beyond which a write
/// waits. fjall itself waits at 4 and 30, without an end when its own threads died meanwhile.
const MEMTABLES: usize = 3;
const TABLES: usize = 25;
/// What a keyspace gathers in memory before it becomes a table. fjall counts keys and values; the
/// nodes of its skip list take as much again. More would make a server grow for hours that has
/// little to do, and spare a busy one few merges.
const MEMTABLE_BYTES: u64 = 2 << 20;
/// How large a table grows. A merge holds a hash of each key of the one that it writes, and keeps a
/// thread that tables are made by, so that with large ones what is in memory waits for long.
const TABLE_BYTES: u64 = 8 << 20;
/// A file in a tree whose log was set aside, until the readers' positions are forgotten.
const LOGLESS: &str = "log-set-aside";

pub(crate) struct Lsm {
    folder: PathBuf,
    cache_bytes: u64,
    state: Mutex<State>,
    /// The tree was begun anew, and the readers of the journal do not know yet.
    anew: AtomicBool,
    _home: Arc<Home>,
}

enum State {
    Open(Arc<Trees>),
    /// Let go after a failure; somebody may still be reading.
    Failed {
        former: Weak<Trees>,
        /// What was read for the write is damaged, so that it would fail again.
        damaged: bool,
    },
}

/// An open database. All its keyspaces share one write-ahead log, so that after a crash what was
/// written earlier is there if anything later is.
pub(crate) struct Trees {
    pub(crate) db: Database,
    /// Points by device, and the ways to find them by time.
    pub(crate) points: Keyspace,
    /// The latest point of each property.
    pub(crate) latest: Keyspace,
    /// Points by age, for expiry.
    pub(crate) ages: Keyspace,
    /// When devices were last seen.
    pub(crate) sightings: Keyspace,
    /// Positions of the journal's readers.
    pub(crate) readers: Keyspace,
}

impl Lsm {
    pub(crate) fn open(home: &Arc<Home>, options: &Options) -> Result<Self, Fault> {
        let folder = home.join("series");
        let (trees, anew) = open(&folder, options.series_cache_bytes)?;
        Ok(Self {
            folder,
            cache_bytes: options.series_cache_bytes,
            state: Mutex::new(State::Open(Arc::new(trees))),
            anew: AtomicBool::new(anew),
            _home: home.clone(),
        })
    }

    /// Reads histories, which may wait for the disk.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, fjall::Error>,
    ) -> Result<T, Fault> {
        let trees = self.whole()?;
        work(&trees).map_err(|e| of_lsm(&e))
    }

    /// Writes, which may wait for the disk.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, fjall::Error>,
    ) -> Result<T, Fault> {
        let trees = self.whole()?;
        let done = match trees.wait_for_room() {
            Ok(true) => work(&trees),
            Ok(false) => return Err(Fault::passing("histories: the disk is too slow")),
            Err(error) => Err(error),
        };
        done.map_err(|error| {
            let mut state = self.state.lock();
            if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, &trees)) {
                tracing::error!(%error, "histories could not be written; opening them anew");
                *state = State::Failed {
                    former: Arc::downgrade(&trees),
                    damaged: is_damage(&error),
                };
            }
            of_lsm(&error)
        })
    }

    /// The tree, when its readers know how old it is.
    fn whole(&self) -> Result<Arc<Trees>, Fault> {
        let trees = self.trees()?;
        if self.anew.load(Ordering::Acquire) {
            return Err(Fault::passing(
                "histories: being made anew from the journal",
            ));
        }
        Ok(trees)
    }

    /// The tree as it is open now.
    pub(crate) fn trees(&self) -> Result<Arc<Trees>, Fault> {
        let mut state = self.state.lock();
        match &*state {
            State::Open(trees) => Ok(trees.clone()),
            State::Failed { former, .. } if former.strong_count() > 0 => {
                Err(Fault::passing("histories: being opened anew"))
            }
            State::Failed { damaged, .. } => {
                probe(&self.folder)?;
                let (trees, anew) = match damaged {
                    false => open(&self.folder, self.cache_bytes)?,
                    true => (begin_anew(&self.folder, self.cache_bytes)?, true),
                };
                let trees = Arc::new(trees);
                self.anew.fetch_or(anew, Ordering::AcqRel);
                *state = State::Open(trees.clone());
                tracing::info!("histories can be written again");
                Ok(trees)
            }
        }
    }

    /// Keeps a reader's position. It is not synced, but all that was written before it is there
    /// whenever it is.
    pub(crate) fn keep(&self, reader: &str, position: Position) -> Result<(), Fault> {
        self.write(|trees| trees.readers.insert(reader, position.0.to_be_bytes()))
    }

    /// Waits until all that was written is on disk.
    pub(crate) fn settle(&self) -> Result<(), Fault> {
        self.write(|trees| trees.db.persist(PersistMode::SyncAll))
    }

    /// Where a reader goes on; that of a tree that was begun anew is the journal's beginning.
    pub(crate) fn kept(&self, reader: &str) -> Result<Position, Fault> {
        let trees = self.trees()?;
        let kept = trees.readers.get(reader).map_err(|e| of_lsm(&e))?;
        let kept = match kept.as_deref().map(<[u8; 8]>::try_from) {
            None => Position(0),
            Some(Ok(bytes)) => Position(u64::from_be_bytes(bytes)),
            Some(Err(_)) => return Err(Fault::lasting("histories: a damaged reader position")),
        };
        self.anew.store(false, Ordering::Release);
        Ok(kept)
    }
}

impl Trees {
    fn open(folder: &Path, cache_bytes: u64) -> Result<Self, Broken> {
        let open = || -> Result<Self, fjall::Error> {
            let db = Database::builder(folder)
                .cache_size(cache_bytes)
                .max_journaling_size(64 << 20)
                .worker_threads(2)
                .max_cached_files(Some(FILES))
                .open()?;
            let keyspace = |name, memory: u64| {
                let merging = Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES));
                // Where rows and filters lie is kept in the cache, which has a bound, and not with
                // each open table.
                let options = || {
                    KeyspaceCreateOptions::default()
                        .max_memtable_size(memory)
                        .compaction_strategy(merging.clone())
                        .index_block_pinning_policy(PinningPolicy::all(false))
                        .filter_block_pinning_policy(PinningPolicy::all(false))
                };
                db.keyspace(name, options)
            };
            Ok(Self {
                points: keyspace("points", 2 * MEMTABLE_BYTES)?,
                latest: keyspace("latest", MEMTABLE_BYTES)?,
                ages: keyspace("ages", MEMTABLE_BYTES)?,
                sightings: keyspace("sightings", MEMTABLE_BYTES)?,
                readers: keyspace("readers", 1 << 20)?,
                db,
            })
        };
        let fault = |fault: Fault| Fault {
            context: format!("opening {}: {}", folder.display(), fault.context),
            ..fault
        };
        // It panics over some damage, and it is only dropped after that.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(trees)) => Ok(trees),
            Ok(Err(error)) => Err(Broken {
                damaged: is_damage(&error),
                fault: fault(of_lsm(&error)),
            }),
            Err(_) => Err(Broken {
                damaged: true,
                fault: fault(Fault::lasting("histories: their recovery failed")),
            }),
        }
    }

    /// Waits until there is room in memory; false when there was none for too long.
    fn wait_for_room(&self) -> Result<bool, fjall::Error> {
        let keyspaces = [
            &self.points,
            &self.latest,
            &self.ages,
            &self.sightings,
            &self.readers,
        ];
        let full = || {
            keyspaces
                .iter()
                .any(|k| k.sealed_memtable_count() >= MEMTABLES || k.l0_table_count() >= TABLES)
        };
        let until = Instant::now() + PATIENCE;
        while full() {
            // Fails when the threads that make room died of a failed write.
            self.db.persist(PersistMode::Buffer)?;
            if Instant::now() > until {
                return Ok(false);
            }
            sleep(LOOK);
        }
        Ok(true)
    }

    /// Lets all that is in memory only go into tables, so that the loss of the write-ahead log
    /// costs no more than what is still in the journal.
    pub(crate) fn flush(&self) -> Result<(), fjall::Error> {
        for keyspace in [&self.points, &self.latest, &self.ages, &self.sightings] {
            keyspace.rotate_memtable()?;
        }
        Ok(())
    }

    /// Sends all readers back to the journal's beginning, on disk before anything else is written.
    fn forget_readers(&self) -> Result<(), fjall::Error> {
        let mut batch = self.db.batch();
        for row in self.readers.iter() {
            batch.remove(&self.readers, row.key()?);
        }
        Self::commit(batch)
    }

    /// Commits the batch to disk.
    pub(crate) fn commit(batch: fjall::OwnedWriteBatch) -> Result<(), fjall::Error> {
        batch.durability(Some(PersistMode::SyncData)).commit()
    }
}

/// Why a tree could not be opened.
struct Broken {
    /// What is on disk is wrong, and no later try finds it otherwise.
    damaged: bool,
    fault: Fault,
}

/// Whether what is on disk is wrong. Another version of the format is not: its owner must decide.
fn is_damage(error: &fjall::Error) -> bool {
    let io = |error: &std::io::Error| {
        matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::UnexpectedEof
        )
    };
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => io(error),
        fjall::Error::InvalidVersion(_)
        | fjall::Error::Storage(fjall::LsmError::InvalidVersion(_))
        | fjall::Error::Poisoned
        | fjall::Error::KeyspaceDeleted
        | fjall::Error::Locked => false,
        fjall::Error::Storage(_)
        | fjall::Error::JournalRecovery(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable => true,
        // Kinds of later versions of the library.
        _ => false,
    }
}

/// Opens the tree. What is damaged is kept beside it; true when the tree was begun anew then.
fn open(folder: &Path, cache_bytes: u64) -> Result<(Trees, bool), Fault> {
    let first = match reopen(folder, cache_bytes) {
        Ok(opened) => return Ok(opened),
        Err(broken) if broken.damaged => broken.fault,
        Err(broken) => return Err(broken.fault),
    };
    let aside = beside(folder);
    tracing::error!(
        fault = %first,
        kept = %aside.display(),
        "histories are damaged; their write-ahead log is set aside"
    );
    set_logs_aside(folder, &aside).map_err(|e| of_io("setting aside", folder, &e))?;
    match reopen(folder, cache_bytes) {
        Ok(opened) => Ok(opened),
        Err(broken) if broken.damaged => Ok((begin_anew(folder, cache_bytes)?, true)),
        Err(broken) => Err(broken.fault),
    }
}

/// Opens the tree, and sends the readers back when its log was set aside, by this process or by
/// one that was killed over it.
fn reopen(folder: &Path, cache_bytes: u64) -> Result<(Trees, bool), Broken> {
    let trees = Trees::open(folder, cache_bytes)?;
    let mark = folder.join(LOGLESS);
    if !mark.exists() {
        return Ok((trees, false));
    }
    let passing = |fault| Broken {
        damaged: false,
        fault,
    };
    trees.forget_readers().map_err(|e| passing(of_lsm(&e)))?;
    std::fs::remove_file(&mark).map_err(|e| passing(of_io("removing", &mark, &e)))?;
    Ok((trees, true))
}

/// Sets the whole tree aside and begins an empty one.
fn begin_anew(folder: &Path, cache_bytes: u64) -> Result<Trees, Fault> {
    let aside = beside(folder);
    tracing::error!(
        kept = %aside.display(),
        "histories are damaged beyond their log; all are set aside, and those of the journal's \
         time are made anew"
    );
    std::fs::rename(folder, &aside).map_err(|e| of_io("setting aside", folder, &e))?;
    Trees::open(folder, cache_bytes).map_err(|broken| broken.fault)
}

/// A path beside the folder that nothing has.
fn beside(folder: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let path = folder.with_extension(format!("damaged-{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}

fn set_logs_aside(folder: &Path, aside: &Path) -> std::io::Result<()> {
    let other = |fault: Fault| std::io::Error::other(fault.context);
    home::make(aside).map_err(other)?;
    home::write_whole(folder, LOGLESS, b"").map_err(other)?;
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            logs.push(path);
        }
    }
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let last = logs.iter().filter_map(number).max().unwrap_or(0);
    // Without any log, fjall would begin to count its writes from one again, and take new rows for
    // older than those in tables.
    File::create_new(folder.join(format!("{}.jnl", last + 1)))?.sync_all()?;
    for log in logs {
        if let Some(name) = log.file_name() {
            std::fs::rename(&log, aside.join(name))?;
        }
    }
    home::sync_folder(aside)?;
    home::sync_folder(folder)
}

/// Whether the disk takes writes. Opening the tree reads its whole log, which is not worth while
/// before.
fn probe(folder: &Path) -> Result<(), Fault> {
    let path = folder.join("probe");
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(&vec![0x55; PROBE])?;
        file.sync_all()
    };
    let written = write();
    let _ = std::fs::remove_file(&path);
    written.map_err(|e| of_io("probing", &path, &e))
}
