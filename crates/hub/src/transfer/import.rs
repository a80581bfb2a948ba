//! Reading a file.

use super::{
    line::{FORMAT, Head, Line},
    lock::{Lock, LockError},
};
use crate::vault::{Vault, VaultError};
use credential::{Secret, crypto::secret::same};
use model::{
    archive::Row,
    error::Fault,
    port::{Point, Ports},
};
use std::io::{self, BufRead, Read};
use tokio::sync::mpsc;

/// Longest line that is read, in bytes: larger than any document that may be kept.
const LINE: u64 = 16 * 1024 * 1024;
/// Rows that are entered at once.
const ROWS: usize = 1_000;

/// Why a file is not entered.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {why}")]
    Malformed {
        /// Which, from 1.
        line: u64,
        /// Why.
        why: String,
    },
    /// Its secrets cannot be opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The registry holds something.
    #[error("the registry is not empty")]
    NotEmpty,
    /// The master key of the registry is not the one that was given.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Engine trouble.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// A file that is whole.
pub struct Checked {
    lock: Lock,
    /// How many lines it has.
    pub lines: u64,
}

/// What was entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows of the registry.
    pub rows: u64,
    /// Of those, devices.
    pub devices: u64,
    /// Points of histories.
    pub points: u64,
}

/// Reads the whole file and finds out whether it can be entered: every line is one, nothing is
/// missing or changed, and the secrets open.
///
/// # Errors
/// `ImportError`; nothing was entered.
pub fn check(
    file: impl BufRead,
    passphrase: Option<&Secret>,
    key: Option<Secret>,
) -> Result<Checked, ImportError> {
    let mut lines = Lines::new(file);
    let first = lines
        .next()?
        .ok_or_else(|| lines.wrong("the file is empty"))?;
    let Line::Muster(Head {
        format, secrets, ..
    }) = lines.read(&first)?
    else {
        return Err(lines.wrong("this is no export of Muster"));
    };
    if format > FORMAT {
        let why = format!("format {format} is newer than this program, which knows {FORMAT}");
        return Err(lines.wrong(why));
    }
    let lock = Lock::again(&secrets, passphrase, key)?;
    let mut seal = lock.mark(&[], &first);
    while let Some(text) = lines.next()? {
        match lines.read(&text)? {
            Line::Muster(_) => return Err(lines.wrong("a second head")),
            Line::End {
                lines: many,
                seal: told,
            } => {
                if many != lines.number - 1 || !same(&told, &seal) {
                    return Err(lines.wrong("the lines before were changed"));
                }
                if lines.next()?.is_some() {
                    return Err(lines.wrong("something stands behind the end"));
                }
                return Ok(Checked { lock, lines: many });
            }
            Line::Secret { of, text } => {
                let opened = lock.reveal(&of.text(), &text);
                opened.map_err(|fault| lines.wrong(fault.context))?;
            }
            Line::Entry { .. }
            | Line::Sequence { .. }
            | Line::Device(_)
            | Line::Challenge(_)
            | Line::Burnt(_)
            | Line::CommandNumber(_)
            | Line::Command(_)
            | Line::Audit(_)
            | Line::Point(_) => {}
        }
        seal = lock.mark(&seal, &text);
    }
    Err(lines.wrong("the file breaks off: its last line is missing"))
}

/// Enters a file that was checked into a registry. One that is not empty is refused, or emptied
/// first when `replace` says so. Nothing else may use the registry meanwhile. `progress` is told
/// how many lines are done.
///
/// # Errors
/// `ImportError`. After `Fault` in the midst of it the registry holds a part, and is to be replaced
/// by another try.
pub async fn import(
    ports: &Ports,
    master: Secret,
    file: impl BufRead,
    checked: &Checked,
    replace: bool,
    mut progress: impl FnMut(u64),
) -> Result<Imported, ImportError> {
    if !ports.archive.is_empty().await? {
        if !replace {
            return Err(ImportError::NotEmpty);
        }
        empty(ports).await?;
    }
    let vault = Vault::unlock(ports, master).await?;
    let mut lines = Lines::new(file);
    let mut imported = Imported::default();
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    while let Some(text) = lines.next()? {
        match lines.read(&text)? {
            Line::Secret { of, text } => {
                let id = of.id();
                let secret = checked.lock.reveal(&of.text(), &text)?;
                let sealed = vault.seal(&id, &*ports.random, &secret)?;
                rows.push(Row::Secret { id, sealed });
            }
            Line::Point(point) => points.push(point),
            other => {
                imported.devices += u64::from(matches!(other, Line::Device(_)));
                rows.extend(other.row());
            }
        }
        if rows.len() + points.len() >= ROWS {
            enter(ports, &mut rows, &mut points, &mut imported).await?;
            progress(lines.number);
        }
    }
    enter(ports, &mut rows, &mut points, &mut imported).await?;
    progress(lines.number);
    Ok(imported)
}

async fn enter(
    ports: &Ports,
    rows: &mut Vec<Row>,
    points: &mut Vec<Point>,
    imported: &mut Imported,
) -> Result<(), Fault> {
    imported.rows += rows.len() as u64;
    imported.points += points.len() as u64;
    if !rows.is_empty() {
        ports.archive.restore(std::mem::take(rows)).await?;
    }
    if !points.is_empty() {
        ports.series.append(std::mem::take(points)).await?;
    }
    Ok(())
}

/// Removes everything, the histories of the devices too.
async fn empty(ports: &Ports) -> Result<(), Fault> {
    let (send, mut rows) = mpsc::channel(ROWS);
    let (dumped, forgotten) = tokio::join!(ports.archive.dump(send), async {
        let forgotten = async {
            while let Some(row) = rows.recv().await {
                if let Row::Device(device) = row {
                    ports.series.forget(&device.iot_id).await?;
                }
            }
            Ok::<_, Fault>(())
        }
        .await;
        rows.close();
        forgotten
    });
    forgotten?;
    dumped?;
    ports.archive.clear().await
}

/// The lines of a file, with the number of the last one.
struct Lines<R> {
    file: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(file: R) -> Self {
        Self { file, number: 0 }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        let mut text = Vec::new();
        let read = self.file.by_ref().take(LINE).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if text.pop() != Some(b'\n') {
            return Err(self.wrong("the line is too long, or the file breaks off in it"));
        }
        Ok(Some(text))
    }

    fn read(&self, text: &[u8]) -> Result<Line, ImportError> {
        // What the parser says may repeat a value.
        serde_json::from_slice(text).map_err(|error| {
            let why = format!("not what it should be, at its letter {}", error.column());
            self.wrong(why)
        })
    }

    fn wrong(&self, why: impl Into<String>) -> ImportError {
        ImportError::Malformed {
            line: self.number,
            why: why.into(),
        }
    }
}

/// Bytes as a file of an export. Whatever they are: no panic, and what is not whole is refused.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    let _ = check(bytes, None, None);
    let _ = check(bytes, None, Some(Secret::new(vec![7; 32])));
}
