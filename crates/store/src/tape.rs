//! Records in a log of segment files, on disk before anybody is told so.
//!
//! A `Pen` writes what it is given with one call and syncs once. Records are never moved again:
//! old segments are removed whole. A log of our own and no LSM tree, because every acknowledgement
//! hangs on it: a record is written once instead of several times, a full disk ends when there is
//! room again, and damage is told from an unfinished write.

pub(crate) mod segment;
mod walk;

pub(crate) use walk::Facts;

use crate::{fault::of_io, home};
use model::error::Fault;
use parking_lot::Mutex;
use segment::{Batches, Stop};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

/// The index of a segment has an entry for about so many bytes.
const INDEX_STEP: u64 = 16 << 10;
/// Holds the first position that is not trimmed.
const TRIMMED: &str = "trimmed";

/// The log's files and what may be read in them.
pub(crate) struct Tape {
    /// What an operator knows it as.
    name: &'static str,
    folder: PathBuf,
    head: watch::Sender<u64>,
    segments: Mutex<Segments>,
}

/// The files, by the first position of each.
struct Segments {
    /// Facts before this position are forgotten.
    first: u64,
    files: Vec<Segment>,
}

struct Segment {
    first: u64,
    /// Positions and where their batches begin; none until somebody reads there.
    index: Option<Index>,
}

type Index = Vec<(u64, u64)>;

/// Where to read on.
struct Place {
    file: File,
    /// The first position of the file.
    segment: u64,
    /// The last position to read in it.
    until: u64,
    /// Entries around the position, if the segment has an index.
    index: Option<Index>,
}

impl Tape {
    /// Opens the log in `folder`, and makes the folder when there is none. Reads the last segment
    /// to find the head and cuts off a write that was not finished.
    pub(crate) fn open(
        name: &'static str,
        folder: PathBuf,
        segment_bytes: u64,
    ) -> Result<(Arc<Self>, Pen), Fault> {
        home::make(&folder)?;
        let (segments, last) = recover(name, &folder)?;
        let tape = Arc::new(Self {
            name,
            head: watch::Sender::new(last.next - 1),
            segments: Mutex::new(segments),
            folder,
        });
        let pen = Pen {
            tape: tape.clone(),
            segment_bytes,
            file: last.file,
            length: last.length,
            next: last.next,
        };
        Ok((tape, pen))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last position that is on disk.
    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Hears of every new head.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        let segments = self.segments.lock();
        let bytes = |segment: &Segment| {
            std::fs::metadata(self.path(segment.first)).map_or(0, |file| file.len())
        };
        segments.files.iter().map(bytes).sum()
    }

    fn path(&self, first: u64) -> PathBuf {
        path_of(&self.folder, first)
    }

    /// Shows `visit` the records after `after` with their positions, in order, until it is told to
    /// stop by `false`, or there are no more.
    pub(crate) fn read(
        &self,
        after: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let head = self.head();
        let mut next = after.saturating_add(1);
        while let Some(place) = self.find(&mut next, head)? {
            let (segment, until) = (place.segment, place.until);
            let index = match place.index {
                Some(index) => index,
                None => self.index(&place.file, segment)?,
            };
            let start = index.partition_point(|(position, _)| *position <= next);
            let (position, offset) = match start.checked_sub(1) {
                Some(entry) => index[entry],
                None => (segment, segment::HEADER),
            };
            let damaged = |stop: Stop| self.damaged(segment, stop);
            let mut batches = Batches::new(place.file, offset, position).map_err(damaged)?;
            while next <= until {
                let batch = batches.next_from(next).map_err(damaged)?;
                for (position, text) in batch.facts(next) {
                    if position > until {
                        break;
                    }
                    if !visit(position, text)? {
                        return Ok(());
                    }
                    next = position + 1;
                }
            }
        }
        Ok(())
    }

    /// Opens the segment that holds `next`, which is moved on to the first fact that is kept.
    fn find(&self, next: &mut u64, head: u64) -> Result<Option<Place>, Fault> {
        let segments = self.segments.lock();
        *next = (*next).max(segments.first);
        if *next > head {
            return Ok(None);
        }
        let after = segments.files.partition_point(|file| file.first <= *next);
        let Some(segment) = after.checked_sub(1).map(|i| &segments.files[i]) else {
            return Err(Fault::lasting(format!(
                "{} lacks the file with position {next}",
                self.folder.display()
            )));
        };
        let until = segments
            .files
            .get(after)
            .map_or(head, |file| file.first - 1);
        // A few entries around the place are enough.
        let index = segment.index.as_ref().map(|index| {
            let after = index.partition_point(|(position, _)| *position <= *next);
            index[after.saturating_sub(1)..after].to_vec()
        });
        let path = self.path(segment.first);
        // Opened while the list is locked, so that no trim removes it first.
        let file = File::open(&path).map_err(|e| of_io("opening", &path, &e))?;
        Ok(Some(Place {
            file,
            segment: segment.first,
            until: until.min(head),
            index,
        }))
    }

    /// Builds the index of a segment that was there before this process.
    fn index(&self, file: &File, first: u64) -> Result<Index, Fault> {
        let damaged = |stop: Stop| self.damaged(first, stop);
        let file = file
            .try_clone()
            .map_err(|e| of_io("reading", &self.path(first), &e))?;
        let mut batches = Batches::new(file, segment::HEADER, first).map_err(damaged)?;
        let mut index = Index::new();
        // Sealed segments may end in a write that failed; readers do not go there.
        while let Ok(Some((position, offset))) = batches.skip() {
            note(&mut index, position, offset);
        }
        let mut segments = self.segments.lock();
        let at = segments.files.binary_search_by_key(&first, |s| s.first);
        if let Some(segment) = at.ok().map(|i| &mut segments.files[i]) {
            segment.index.get_or_insert_with(|| index.clone());
        }
        Ok(index)
    }

    fn damaged(&self, segment: u64, stop: Stop) -> Fault {
        let path = self.path(segment);
        match stop {
            Stop::Io(e) => of_io("reading", &path, &e),
            Stop::Bad { offset, why } => Fault::lasting(format!(
                "the {} is damaged: {} at byte {offset}: {why}",
                self.name,
                path.display()
            )),
        }
    }

    /// Forgets records up to `until`, at most `most`; gives back how many it was.
    pub(crate) fn trim(&self, until: u64, most: u64) -> Result<u64, Fault> {
        let head = *self.head.borrow();
        let former = self.segments.lock().first;
        let first = until.min(head).saturating_add(1);
        let first = first.min(former.saturating_add(most));
        if first <= former {
            return Ok(0);
        }
        home::write_whole(&self.folder, TRIMMED, first.to_string().as_bytes())?;
        let mut segments = self.segments.lock();
        segments.first = first;
        // The last segment stays: its name keeps the position.
        while segments
            .files
            .get(1)
            .is_some_and(|next| next.first <= first)
        {
            let path = self.path(segments.files[0].first);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %e, "a trimmed segment stays");
                    break;
                }
                _ => segments.files.remove(0),
            };
        }
        Ok(first - former)
    }
}

/// Adds an entry when the last one is far enough behind.
fn note(index: &mut Index, position: u64, offset: u64) {
    if index
        .last()
        .is_none_or(|(_, last)| offset - last >= INDEX_STEP)
    {
        index.push((position, offset));
    }
}

pub(crate) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// Writes to a log; there is one for each.
pub(crate) struct Pen {
    tape: Arc<Tape>,
    segment_bytes: u64,
    /// The open segment; none when a new one is due.
    file: Option<File>,
    /// How far the open segment is written and synced.
    length: u64,
    /// The position of the next record.
    next: u64,
}

impl Pen {
    /// Writes records and syncs them; gives back the position of the first. When it fails none of
    /// them is kept, and the next write goes to a new segment, which says where its records begin
    /// and thereby that nothing at the end of the former one counts.
    pub(crate) fn write<'a>(
        &mut self,
        records: impl ExactSizeIterator<Item = &'a [u8]>,
        buffer: &mut Buffer,
    ) -> Result<u64, Fault> {
        let Buffer { bytes, starts } = buffer;
        bytes.clear();
        starts.clear();
        let (first, count) = (self.next, records.len() as u64);
        segment::encode(first, records, bytes, starts);
        if let Err(fault) = self.put(bytes) {
            // What is in the file behind `length` is unknown now.
            self.file = None;
            return Err(fault);
        }
        self.written(starts, bytes.len() as u64, count);
        bytes.shrink_to(1 << 20);
        Ok(first)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = begin(&self.tape, self.next)?;
                self.length = segment::HEADER;
                none.insert(file)
            }
        };
        let write = || {
            file.write_all_at(bytes, self.length)?;
            file.sync_data()
        };
        write().map_err(|e| of_io("writing", &self.tape.folder, &e))
    }

    /// Shows readers what is on disk.
    fn written(&mut self, starts: &[(u64, u64)], bytes: u64, count: u64) {
        {
            let mut segments = self.tape.segments.lock();
            let index = segments.files.last_mut().and_then(|s| s.index.as_mut());
            if let Some(index) = index {
                for (position, offset) in starts {
                    note(index, *position, self.length + offset);
                }
            }
        }
        self.length += bytes;
        self.next += count;
        self.tape.head.send_replace(self.next - 1);
        if self.length >= self.segment_bytes {
            self.file = None;
        }
    }
}

/// Memory that a writer uses again.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    starts: Vec<(u64, u64)>,
}

/// Makes the segment that begins with position `first`, in place of one that never held a fact.
fn begin(tape: &Tape, first: u64) -> Result<File, Fault> {
    let path = tape.path(first);
    let make = || {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all_at(&segment::header(first), 0)?;
        file.sync_all()?;
        home::sync_folder(&tape.folder)?;
        Ok(file)
    };
    let file = make().map_err(|e: std::io::Error| of_io("making", &path, &e))?;
    let mut segments = tape.segments.lock();
    segments.files.retain(|segment| segment.first < first);
    segments.files.push(Segment {
        first,
        index: Some(Index::new()),
    });
    Ok(file)
}

/// Where the writer goes on.
struct Last {
    file: Option<File>,
    length: u64,
    next: u64,
}

/// Reads the names of the segments, and the last segment to find the head.
fn recover(name: &'static str, folder: &Path) -> Result<(Segments, Last), Fault> {
    let mut firsts = Vec::new();
    let fault = |e: std::io::Error| of_io("reading", folder, &e);
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".log"));
        if let Some(first) = first.and_then(|first| first.parse::<u64>().ok()) {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();

    let mut last = Last {
        file: None,
        length: 0,
        next: 1,
    };
    let mut index = None;
    while let Some(first) = firsts.pop() {
        let path = path_of(folder, first);
        let found = recover_last(name, &path, first)?;
        if let Some((recovered, entries)) = found {
            last = recovered;
            index = Some(entries);
            firsts.push(first);
            break;
        }
        // It was begun when the process ended, and never held a fact.
        std::fs::remove_file(&path).map_err(|e| of_io("removing", &path, &e))?;
        last.next = first.max(1);
    }
    if firsts.is_empty() && last.next > 1 {
        // Without any whole segment nothing tells whether facts were here.
        return Err(Fault::lasting(format!(
            "{} lacks the files with the facts before {}",
            folder.display(),
            last.next
        )));
    }

    let trimmed = folder.join(TRIMMED);
    let first = match std::fs::read_to_string(&trimmed) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Fault::lasting(format!("{} does not hold a position", trimmed.display()))
        })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => 1,
        Err(e) => return Err(of_io("reading", &trimmed, &e)),
    };
    let files: Vec<_> = firsts
        .iter()
        .map(|first| Segment {
            first: *first,
            index: None,
        })
        .collect();
    let missing = files.first().map_or(last.next, |file| file.first) > first;
    if missing || first > last.next {
        return Err(Fault::lasting(format!(
            "{} lacks the file with position {first}",
            folder.display()
        )));
    }
    let mut segments = Segments { first, files };
    if let Some(segment) = segments.files.last_mut() {
        segment.index = index;
    }
    Ok((segments, last))
}

/// Finds the end of the last segment and cuts off a write that was not finished; `None` when not
/// even the segment's header was.
fn recover_last(
    name: &'static str,
    path: &Path,
    first: u64,
) -> Result<Option<(Last, Index)>, Fault> {
    let fault = |e: std::io::Error| of_io("reading", path, &e);
    let open = || OpenOptions::new().read(true).write(true).open(path);
    let file = open().map_err(fault)?;
    let bytes = file.metadata().map_err(fault)?.len();
    let whole = segment::has_header(&file, first).map_err(fault)?;
    let mut index = Index::new();
    let (mut next, mut length) = (first, segment::HEADER);
    let mut why = "a bad header";
    if whole {
        let again = file.try_clone().map_err(fault)?;
        let mut batches = Batches::new(again, length, first).map_err(|stop| match stop {
            Stop::Io(e) => fault(e),
            Stop::Bad { why, .. } => Fault::lasting(why),
        })?;
        loop {
            match batches.next_whole() {
                Ok(Some((position, offset))) => note(&mut index, position, offset),
                Ok(None) => break,
                Err(Stop::Bad { why: reason, .. }) => {
                    why = reason;
                    break;
                }
                Err(Stop::Io(e)) => return Err(fault(e)),
            }
        }
        (next, length) = (batches.position(), batches.offset());
    }
    if length < bytes || !whole {
        // An unfinished write is the last thing in the file. With whole facts behind it, it was
        // finished once and is damaged now.
        if segment::any_after(&file, if whole { length } else { 0 }, next).map_err(fault)? {
            return Err(Fault::lasting(format!(
                "the {name} is damaged: {} at byte {length}: {why}, and more follows it",
                path.display()
            )));
        }
        if !whole {
            return Ok(None);
        }
        tracing::warn!(
            path = %path.display(),
            bytes = bytes - length,
            "cutting off what was being written when the server ended"
        );
        file.set_len(length).map_err(fault)?;
        file.sync_all().map_err(fault)?;
    }
    let last = Last {
        file: Some(file),
        length,
        next,
    };
    Ok(Some((last, index)))
}
