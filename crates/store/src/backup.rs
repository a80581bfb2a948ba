//! A copy of everything on this node as of one moment, made while the server goes on; and the way
//! back.
//!
//! The moment is taken first and costs nothing: a view of the histories, the open files of the
//! logs with their lengths, and a read transaction of the registry, in this order, so that no
//! history holds more than the journal and no fact speaks of a row that is missing. What is read
//! afterwards, however slowly, is as it was then. Histories are copied as points and not as files:
//! those of an LSM tree move all the time, and a copy that is cut at a position must leave points
//! out.

mod cut;
mod dump;

pub use cut::{Cut, Until, cut_journal};
#[cfg(any(test, fuzzing))]
pub(crate) use dump::fuzz;
pub use dump::restore_histories;

use crate::{
    fault::{of_io, of_sql},
    home::Home,
    journal::Log,
    lsm::Lsm,
};
use dump::Dump;
use model::{error::Fault, id::Position, port::Journal};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

/// Where a backup has the histories.
pub const HISTORIES: &str = "series.jsonl";
/// The registry's file.
const REGISTRY: &str = "registry.sqlite";
/// The registry's copy, for as long as it is made.
const COPY: &str = "backup.part";
/// Pages of the registry that are copied at once.
const PAGES: i32 = 256;
/// Pages of SQLite have so many bytes.
const PAGE: u64 = 4096;
/// Folders that a copy leaves to others: histories come as points, keys only when asked for.
const LEFT_OUT: [&str; 2] = ["series", "tls"];
/// Logs whose files are opened at once are looked for again when one was removed meanwhile.
const TRIES: usize = 10;

/// Takes copies of an open engine.
pub struct Copier {
    home: Arc<Home>,
    log: Arc<Log>,
    lsm: Arc<Lsm>,
}

/// What there is to copy, as of one moment.
pub struct Moment {
    /// The last fact that is in it for certain.
    pub position: Position,
    /// The files that make up the copy.
    pub parts: Vec<Part>,
}

/// One file of a copy.
pub struct Part {
    /// Where it belongs in a data folder (or `HISTORIES`).
    pub path: String,
    /// Its length, where that is known before it is read.
    pub bytes: Option<u64>,
    /// Whether it never changes any more, so that a former copy of it will do.
    pub sealed: bool,
    source: Source,
}

enum Source {
    File(File, u64),
    Registry(Connection, Arc<Home>),
    Histories(Box<Dump>),
}

impl Copier {
    pub(crate) fn new(home: &Arc<Home>, log: Arc<Log>, lsm: Arc<Lsm>) -> Self {
        Self {
            home: home.clone(),
            log,
            lsm,
        }
    }

    /// Takes the moment; does not wait for the disk for long, but does wait.
    ///
    /// # Errors
    /// When files cannot be opened or the registry cannot be read.
    pub fn moment(&self) -> Result<Moment, Fault> {
        let histories = Dump::of(&self.lsm)?;
        let mut parts = Vec::new();
        let folder = self.home.join("");
        for entry in read_folder(&folder)? {
            if entry.1 && !LEFT_OUT.iter().any(|name| entry.0.starts_with(name)) {
                parts.extend(files_of(&folder, &entry.0)?);
            }
        }
        let position = self.log.head();
        let registry = self.home.join(REGISTRY);
        if registry.exists() {
            parts.push(Part {
                path: REGISTRY.to_owned(),
                bytes: None,
                sealed: false,
                source: Source::Registry(hold(&registry)?, self.home.clone()),
            });
        }
        parts.extend(part(&folder, "format", false)?);
        parts.push(Part {
            path: HISTORIES.to_owned(),
            bytes: None,
            sealed: false,
            source: Source::Histories(Box::new(histories)),
        });
        Ok(Moment { position, parts })
    }
}

impl Part {
    /// Reads a file that is sealed before it is decided whether it is wanted; none for others.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn look(&self) -> Result<Option<Box<dyn Read + Send>>, Fault> {
        let Source::File(file, length) = &self.source else {
            return Ok(None);
        };
        let again = file.try_clone();
        let again = again.map_err(|error| of_io("reading", Path::new(&self.path), &error))?;
        from_start(again, &self.path, *length).map(Some)
    }

    /// Begins to read it. `pace` is told of bytes that were moved before there is anything to
    /// read, may take its time over them, and ends the work with an error.
    ///
    /// # Errors
    /// When the disk refuses, or `pace` does.
    pub fn open(
        self,
        pace: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<Box<dyn Read + Send>, Fault> {
        match self.source {
            Source::File(file, length) => from_start(file, &self.path, length),
            Source::Histories(dump) => Ok(dump),
            Source::Registry(connection, home) => {
                let path = home.join(COPY);
                let copied = copy_registry(&connection, &path, pace);
                // Gone by name at once; it lives for as long as it is read.
                let _ = fs::remove_file(&path);
                Ok(Box::new(copied?))
            }
        }
    }
}

/// The first `length` bytes of a file.
fn from_start(mut file: File, path: &str, length: u64) -> Result<Box<dyn Read + Send>, Fault> {
    file.rewind()
        .map_err(|error| of_io("reading", Path::new(path), &error))?;
    Ok(Box::new(file.take(length)))
}

/// Begins to see the registry as it is now.
fn hold(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch("BEGIN")?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|error| of_sql(&error))
}

/// Copies what `from` sees into a file, and gives back the open file.
fn copy_registry(
    from: &Connection,
    path: &Path,
    pace: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<File, Fault> {
    let io_fault = |error: io::Error| of_io("copying the registry to", path, &error);
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_fault)?;
    let sql = |error: rusqlite::Error| of_sql(&error);
    let mut to = Connection::open(path).map_err(sql)?;
    // A copy that a crash cuts short is thrown away.
    to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        .map_err(sql)?;
    let backup = Backup::new(from, &mut to).map_err(sql)?;
    loop {
        let step = backup.step(PAGES).map_err(sql)?;
        match step {
            StepResult::Done => break,
            StepResult::More => pace(u64::from(PAGES.unsigned_abs()) * PAGE).map_err(io_fault)?,
            // Nobody else has the copy, and what we read is our own view.
            _ => {
                return Err(Fault::passing(
                    "the registry could not be copied: it is locked",
                ));
            }
        }
    }
    drop(backup);
    drop(to);
    Ok(file)
}

/// Names in a folder, and whether each is a folder.
fn read_folder(folder: &Path) -> Result<Vec<(String, bool)>, Fault> {
    let fault = |error: io::Error| of_io("reading", folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let is_folder = entry.file_type().map_err(fault)?.is_dir();
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, is_folder));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Opens all files of a folder that only grow or go. Each is opened before any is read, so that
/// what is removed later is still ours.
fn files_of(data: &Path, folder: &str) -> Result<Vec<Part>, Fault> {
    let path = data.join(folder);
    for _ in 0..TRIES {
        let names = read_folder(&path)?;
        let last = names.iter().rfind(|(name, _)| name.ends_with(".log"));
        let mut parts = Vec::with_capacity(names.len());
        let mut whole = true;
        for (name, is_folder) in &names {
            // Locks, and what is still being written.
            let unfinished = [".new", ".part"].iter().any(|end| name.ends_with(end));
            if *is_folder || unfinished || name.starts_with('.') {
                continue;
            }
            let grown = name.ends_with(".log") && last.is_some_and(|(last, _)| last != name);
            // A blob never changes once it has its name; a kept feed of vulnerabilities is replaced
            // as a whole, which its checksum tells.
            let sealed = grown || folder == crate::blobs::FOLDER || name.ends_with(".vulns");
            match part(data, &format!("{folder}/{name}"), sealed)? {
                Some(part) => parts.push(part),
                None => whole = false,
            }
        }
        if whole {
            return Ok(parts);
        }
    }
    Err(Fault::passing(format!(
        "{} changes faster than it can be read",
        path.display()
    )))
}

/// A file as long as it is now; none when it is gone.
fn part(data: &Path, path: &str, sealed: bool) -> Result<Option<Part>, Fault> {
    let full = data.join(path);
    let open = || {
        let file = File::open(&full)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>((file, length))
    };
    match open() {
        Ok((file, length)) => Ok(Some(Part {
            path: path.to_owned(),
            bytes: Some(length),
            sealed,
            source: Source::File(file, length),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of_io("opening", &full, &error)),
    }
}

#[cfg(test)]
mod tests;
