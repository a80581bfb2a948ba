//! The embedded engine: all ports in one process and one data folder.
//!
//! Start with `Store::open`. What people and races edit is in SQLite (`sql`), facts are in a log
//! of segment files (`journal`), what MQTT sessions go through in another (`log`), single-use tokens
//! in a third and in memory (`nonce`), histories are in an LSM tree (`series`), and who is connected is in memory (`presence`). This room knows no rule
//! of the product and no vendor.

pub mod backup;
mod blobs;
mod bus;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod home;
mod journal;
mod log;
mod lsm;
mod nonce;
mod presence;
mod queue;
mod series;
mod sightings;
mod sql;
mod tape;

use model::{
    archive::Archive,
    error::Fault,
    id::NodeId,
    port::{
        Audit, Blobs, Bus, Catalog, Commands, Devices, Journal, Log, Nonces, Presence, Secrets,
        Series,
    },
};
use std::{path::Path, sync::Arc};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of this node.
    pub node: NodeId,
    /// A new segment file of the journal is begun when one has this many bytes.
    pub segment_bytes: u64,
    /// Memory for blocks of histories that were read, in bytes.
    pub series_cache_bytes: u64,
    /// How many facts, counted in bytes of their JSON, may wait to be written.
    pub journal_queue_bytes: u32,
    /// How many changes of the registry may wait to be written.
    pub write_queue: u32,
    /// How many words to this node may wait.
    pub bus_queue: usize,
}

impl Options {
    /// What suits a server of its own on a small machine.
    pub fn of(node: NodeId) -> Self {
        Self {
            node,
            segment_bytes: 64 << 20,
            series_cache_bytes: 8 << 20,
            journal_queue_bytes: 32 << 20,
            write_queue: 4096,
            bus_queue: 4096,
        }
    }
}

/// An open engine, one object for each port and one for backups. The folder is let go when the last of them is.
#[derive(Clone)]
pub struct Store {
    /// What people edit.
    pub catalog: Arc<dyn Catalog>,
    /// Device rows.
    pub devices: Arc<dyn Devices>,
    /// Sealed secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Histories.
    pub series: Arc<dyn Series>,
    /// Single-use things.
    pub nonces: Arc<dyn Nonces>,
    /// Commands that wait for a device.
    pub commands: Arc<dyn Commands>,
    /// Who is connected; forgotten when the process ends, as connections are.
    pub presence: Arc<dyn Presence>,
    /// Facts.
    pub journal: Arc<dyn Journal>,
    /// Words to this node.
    pub bus: Arc<dyn Bus>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// All of these as rows, to move to another engine.
    pub archive: Arc<dyn Archive>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// Takes copies of the folder while it is in use.
    pub copier: Arc<backup::Copier>,
    /// What MQTT sessions went through.
    pub sessions: Arc<dyn Log>,
}

/// The ports behind which another engine may stand in place of the embedded one.
pub struct Rows {
    /// What people edit.
    pub catalog: Arc<dyn Catalog>,
    /// Device rows.
    pub devices: Arc<dyn Devices>,
    /// Sealed secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Histories.
    pub series: Arc<dyn Series>,
    /// Single-use things.
    pub nonces: Arc<dyn Nonces>,
    /// Commands that wait for a device.
    pub commands: Arc<dyn Commands>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// All of these as rows, to move to another engine.
    pub archive: Arc<dyn Archive>,
}

impl Store {
    /// Opens the engine in `folder`, and makes the folder when there is none. Blocks for as long
    /// as the recovery takes, which is bounded by the size of a journal segment and of the write
    /// ahead logs.
    ///
    /// # Errors
    /// When another process has the folder open, when it was written by a newer version, when the
    /// disk refuses, or when what is there is damaged; the context names the place.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, Fault> {
        let home = Arc::new(home::Home::open(folder)?);
        let lsm = Arc::new(lsm::Lsm::open(&home, options)?);
        let sightings = sightings::Sightings::new(lsm.clone());
        let sql = Arc::new(sql::Sql::open(&home, sightings, options)?);
        let rows = Rows {
            catalog: sql.clone(),
            devices: sql.clone(),
            secrets: sql.clone(),
            series: Arc::new(series::Histories::new(lsm.clone())),
            nonces: sql.tokens(),
            commands: sql.clone(),
            audit: sql.clone(),
            archive: sql,
        };
        Self::assemble(&home, lsm, rows, options)
    }

    /// As `open`, for what belongs to the node alone: journal, presence and bus. `rows` are kept by
    /// another engine; a registry in the folder is left as it is.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_beside(rows: Rows, folder: &Path, options: &Options) -> Result<Self, Fault> {
        let home = Arc::new(home::Home::open(folder)?);
        let lsm = Arc::new(lsm::Lsm::open(&home, options)?);
        Self::assemble(&home, lsm, rows, options)
    }

    fn assemble(
        home: &Arc<home::Home>,
        lsm: Arc<lsm::Lsm>,
        rows: Rows,
        options: &Options,
    ) -> Result<Self, Fault> {
        let log = Arc::new(journal::Log::open(home, lsm.clone(), options)?);
        let copier = backup::Copier::new(home, log.clone(), lsm);
        Ok(Self {
            catalog: rows.catalog,
            devices: rows.devices,
            secrets: rows.secrets,
            series: rows.series,
            nonces: rows.nonces,
            commands: rows.commands,
            audit: rows.audit,
            archive: rows.archive,
            journal: log,
            presence: Arc::new(presence::Places::default()),
            bus: Arc::new(bus::Loop::new(options)),
            blobs: Arc::new(blobs::Files::open(home)?),
            copier: Arc::new(copier),
            sessions: Arc::new(log::Records::open(home, "sessions", options)?),
        })
    }
}
