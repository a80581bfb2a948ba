//! Feeds as they are kept: one file for each, written while the feed is read and never changed, so
//! that a newer one of the same name takes its place as a whole and whoever reads goes on with the
//! old one.
//!
//! A file holds the records, each compressed by itself, and behind them what finds them: the
//! records' ids and the products that they name as sorted numbers, a checksum over that, and where
//! it begins. Opening a file reads this index; a question reads the records that it is about.

mod index;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use super::{
    Advisory, Database, Known, Source,
    import::{ImportFault, Sink, import},
};
use crate::identify::Component;
use index::{Index, Making, number};

/// How a file begins and ends; another layout gets another number.
const MAGIC: &[u8; 16] = b"muster-vulns-1\n\0";
/// Where the index begins, how long it is, its checksum, and the magic.
const FOOT: u64 = 8 + 8 + 4 + 16;
/// Bytes of an index at most: some sixty for each of millions of records.
const INDEX: u64 = 1 << 30;
/// Bytes of one record at most.
const RECORD: u64 = 16 << 20;

/// Why a kept feed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoredFault {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is none, or was damaged.
    #[error("damaged, or no kept feed; import it anew")]
    Damaged,
}

/// Bytes that are read here and there, such as a file's.
pub trait ReadAt: Send + Sync {
    /// How many there are.
    ///
    /// # Errors
    /// When that cannot be told.
    fn length(&self) -> io::Result<u64>;

    /// Fills `into` with what stands at `at`.
    ///
    /// # Errors
    /// When it ends before, or cannot be read.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let part = self.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Reads the feed `reader` and writes it to `to` as it is kept. However large the feed is, only its
/// index is held.
///
/// # Errors
/// When the feed cannot be read to its end, or `to` not be written; what was written is no kept feed
/// then.
pub fn keep(name: &str, reader: impl Read, to: impl Write) -> Result<Source, ImportFault> {
    let mut keeper = Keeper {
        to,
        at: 0,
        making: Making::default(),
        failed: None,
    };
    keeper.put(MAGIC);
    let source = import(&mut keeper, name, reader)?;
    keeper.end(&source)?;
    Ok(source)
}

/// Writes records as they come.
struct Keeper<W> {
    to: W,
    at: u64,
    making: Making,
    /// What went wrong first; from then on nothing is written.
    failed: Option<io::Error>,
}

impl<W: Write> Keeper<W> {
    fn put(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.to.write_all(bytes).err();
            self.at += bytes.len() as u64;
        }
    }

    fn end(mut self, source: &Source) -> io::Result<()> {
        let (from, index) = (self.at, self.making.bytes(self.at, source)?);
        let mut check = flate2::Crc::new();
        check.update(&index);
        self.put(&index);
        self.put(&from.to_le_bytes());
        self.put(&(index.len() as u64).to_le_bytes());
        self.put(&check.sum().to_le_bytes());
        self.put(MAGIC);
        match self.failed {
            Some(error) => Err(error),
            None => self.to.flush(),
        }
    }
}

impl<W: Write> Sink for Keeper<W> {
    fn add(&mut self, advisory: Advisory) {
        if self.failed.is_some() {
            return;
        }
        self.making.record(self.at, &advisory);
        let mut packed = ZlibEncoder::new(Vec::with_capacity(1024), Compression::new(6));
        let written = serde_json::to_writer(&mut packed, &advisory).map_err(io::Error::other);
        match written.and_then(|()| packed.finish()) {
            Ok(bytes) => self.put(&bytes),
            Err(error) => self.failed = Some(error),
        }
    }

    fn exploited(&mut self, id: &str, _since: &str) {
        self.making.exploited(id);
    }

    fn probable(&mut self, id: &str, probability: f32) {
        self.making.probable(id, probability);
    }
}

/// A kept feed that is open.
pub struct Stored {
    bytes: Box<dyn ReadAt>,
    index: Index,
    check: u32,
}

impl Stored {
    /// Opens a kept feed: its index is read and checked.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn open(bytes: impl ReadAt + 'static) -> Result<Stored, StoredFault> {
        let length = bytes.length()?;
        let end = length.checked_sub(FOOT).ok_or(StoredFault::Damaged)?;
        let mut foot = [0; FOOT as usize];
        bytes.read_at(end, &mut foot)?;
        let (numbers, magic) = foot.split_at(20);
        let word = |at: usize| numbers[at..at + 8].try_into().map(u64::from_le_bytes);
        let (Ok(from), Ok(size)) = (word(0), word(8)) else {
            return Err(StoredFault::Damaged);
        };
        if magic != MAGIC || size > INDEX || from.checked_add(size) != Some(end) {
            return Err(StoredFault::Damaged);
        }
        let mut index = vec![0; usize::try_from(size).map_err(|_| StoredFault::Damaged)?];
        bytes.read_at(from, &mut index)?;
        let mut check = flate2::Crc::new();
        check.update(&index);
        if numbers[16..] != check.sum().to_le_bytes() {
            return Err(StoredFault::Damaged);
        }
        Ok(Stored {
            index: Index::read(&index, from).ok_or(StoredFault::Damaged)?,
            check: check.sum(),
            bytes: Box::new(bytes),
        })
    }

    /// Makes the checksum of what may be a kept feed fit, so that a fuzzer comes behind it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn mend(bytes: &mut [u8]) {
        let Some(end) = bytes.len().checked_sub(FOOT as usize) else {
            return;
        };
        let from = bytes[end..end + 8].try_into().map(u64::from_le_bytes);
        let from = usize::try_from(from.unwrap_or_default()).unwrap_or(usize::MAX);
        let mut check = flate2::Crc::new();
        check.update(bytes.get(from..end).unwrap_or_default());
        bytes[end + 16..end + 20].copy_from_slice(&check.sum().to_le_bytes());
    }

    /// What the feed is.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.index.source
    }

    fn record(&self, number: u32) -> Result<Advisory, StoredFault> {
        let span = self.index.span(number).ok_or(StoredFault::Damaged)?;
        let size = span.end - span.start;
        if size > RECORD {
            return Err(StoredFault::Damaged);
        }
        let mut packed = vec![0; size as usize];
        self.bytes.read_at(span.start, &mut packed)?;
        let mut text = Vec::with_capacity(packed.len() * 3);
        let plain = ZlibDecoder::new(&packed[..])
            .take(RECORD)
            .read_to_end(&mut text);
        plain.map_err(|_| StoredFault::Damaged)?;
        serde_json::from_slice(&text).map_err(|_| StoredFault::Damaged)
    }
}

/// Kept feeds together: of one CVE, what a later one says counts.
#[derive(Default)]
pub struct Shelf {
    feeds: Vec<Stored>,
}

impl Shelf {
    /// Puts a feed behind those that are there.
    pub fn push(&mut self, feed: Stored) {
        self.feeds.push(feed);
    }

    /// The feeds.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        self.feeds.iter().map(|f| f.source().clone()).collect()
    }

    /// What changes whenever the feeds do: it tells whether something was matched with these.
    #[must_use]
    pub fn stamp(&self) -> String {
        let mut text = String::new();
        for feed in &self.feeds {
            let name = &feed.source().name;
            text.push_str(&format!("{name}\0{:08x}\0", feed.check));
        }
        let mut stamp = credential::crypto::digest::Hash::Sha256.hex(text.as_bytes());
        stamp.truncate(32);
        stamp
    }

    /// How many vulnerabilities are known, of whatever product.
    #[must_use]
    pub fn known(&self) -> usize {
        let mut all: Vec<u64> = Vec::new();
        for feed in &self.feeds {
            all.extend(feed.index.ids());
        }
        all.sort_unstable();
        all.dedup();
        let withdrawn: BTreeSet<u64> = self
            .feeds
            .iter()
            .flat_map(|f| f.index.withdrawn.iter().copied())
            .collect();
        all.len()
            - withdrawn
                .iter()
                .filter(|id| all.binary_search(id).is_ok())
                .count()
    }

    /// What is known of the vulnerabilities of these ids, as a database of its own.
    fn of(&self, ids: &BTreeSet<u64>) -> Database {
        let mut database = Database::default();
        let mut names: BTreeMap<u64, Box<str>> = BTreeMap::new();
        for feed in &self.feeds {
            for id in ids {
                for number in feed.index.records_of(*id) {
                    match feed.record(number) {
                        Ok(advisory) => {
                            names.insert(*id, advisory.id.clone());
                            database.add(advisory);
                        }
                        Err(fault) => {
                            let name = feed.source().name.clone();
                            database.faults.push((name, fault.to_string()));
                        }
                    }
                }
            }
        }
        database.faults.dedup();
        for feed in &self.feeds {
            for (id, name) in &names {
                if feed.index.is_exploited(*id) {
                    database.exploited(name, "");
                }
                if let Some(probability) = feed.index.probability(*id) {
                    database.probable(name, probability);
                }
            }
        }
        database.sources = self.sources();
        database.known = Some(self.known());
        database
    }

    /// The vulnerability of that id, with all that the feeds say of it.
    #[must_use]
    pub fn get(&self, id: &str) -> Database {
        self.of(&BTreeSet::from([number(id)]))
    }
}

impl Known for Shelf {
    fn about(&self, components: &[Component]) -> Cow<'_, Database> {
        let products: BTreeSet<u64> = components
            .iter()
            .filter(|component| component.version.is_some())
            .flat_map(|component| &component.cpes)
            .map(|(vendor, product)| number(&super::key(vendor, product)))
            .collect();
        let mut ids = BTreeSet::new();
        for feed in &self.feeds {
            for product in &products {
                ids.extend(feed.index.naming(*product));
            }
        }
        Cow::Owned(self.of(&ids))
    }
}
