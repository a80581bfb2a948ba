//! The LSM tree below the histories, and how it comes back after a full disk.
//!
//! After a write that failed, fjall takes no more writes until it is opened again, because it
//! cannot know what reached the disk. So the tree is let go on the first failure, and opened again
//! by the next call, once nobody uses the old one and the disk takes a probe.

use crate::{
    Options,
    fault::{of_io, of_lsm},
    home::Home,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use model::{error::Fault, id::Position};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

/// Writes of so many bytes must go through before the tree is opened again.
const PROBE: usize = 1 << 20;

pub(crate) struct Lsm {
    folder: PathBuf,
    cache_bytes: u64,
    state: Mutex<State>,
    _home: Arc<Home>,
}

enum State {
    Open(Arc<Trees>),
    /// Let go after a failure; somebody may still be reading.
    Failed(Weak<Trees>),
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
    /// Positions of the journal's readers.
    pub(crate) readers: Keyspace,
}

impl Lsm {
    pub(crate) fn open(home: &Arc<Home>, options: &Options) -> Result<Self, Fault> {
        let folder = home.join("series");
        let trees = Trees::open(&folder, options.series_cache_bytes)?;
        Ok(Self {
            folder,
            cache_bytes: options.series_cache_bytes,
            state: Mutex::new(State::Open(Arc::new(trees))),
            _home: home.clone(),
        })
    }

    /// Reads, which may wait for the disk.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, fjall::Error>,
    ) -> Result<T, Fault> {
        work(&*self.trees()?).map_err(|e| of_lsm(&e))
    }

    /// Writes, which may wait for the disk.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, fjall::Error>,
    ) -> Result<T, Fault> {
        let trees = self.trees()?;
        work(&trees).map_err(|error| {
            let mut state = self.state.lock();
            if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, &trees)) {
                tracing::error!(%error, "histories could not be written; opening them anew");
                *state = State::Failed(Arc::downgrade(&trees));
            }
            of_lsm(&error)
        })
    }

    /// The tree as it is open now.
    pub(crate) fn trees(&self) -> Result<Arc<Trees>, Fault> {
        let mut state = self.state.lock();
        match &*state {
            State::Open(trees) => Ok(trees.clone()),
            State::Failed(former) if former.strong_count() > 0 => {
                Err(Fault::passing("histories: being opened anew"))
            }
            State::Failed(_) => {
                probe(&self.folder)?;
                let trees = Arc::new(Trees::open(&self.folder, self.cache_bytes)?);
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

    pub(crate) fn kept(&self, reader: &str) -> Result<Position, Fault> {
        let kept = self.read(|trees| trees.readers.get(reader))?;
        let Some(kept) = kept else {
            return Ok(Position(0));
        };
        match kept.as_ref().try_into() {
            Ok(bytes) => Ok(Position(u64::from_be_bytes(bytes))),
            Err(_) => Err(Fault::lasting("histories: a damaged reader position")),
        }
    }
}

impl Trees {
    fn open(folder: &Path, cache_bytes: u64) -> Result<Self, Fault> {
        let open = || -> Result<Self, fjall::Error> {
            let db = Database::builder(folder)
                .cache_size(cache_bytes)
                .max_journaling_size(64 << 20)
                .worker_threads(2)
                .open()?;
            let keyspace = |name, memory: u64| {
                let options = || KeyspaceCreateOptions::default().max_memtable_size(memory);
                db.keyspace(name, options)
            };
            Ok(Self {
                points: keyspace("points", 32 << 20)?,
                latest: keyspace("latest", 16 << 20)?,
                ages: keyspace("ages", 16 << 20)?,
                readers: keyspace("readers", 1 << 20)?,
                db,
            })
        };
        open().map_err(|error| {
            let fault = of_lsm(&error);
            Fault {
                context: format!("opening {}: {}", folder.display(), fault.context),
                ..fault
            }
        })
    }

    /// Commits the batch to disk.
    pub(crate) fn commit(batch: fjall::OwnedWriteBatch) -> Result<(), fjall::Error> {
        batch.durability(Some(PersistMode::SyncData)).commit()
    }
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
