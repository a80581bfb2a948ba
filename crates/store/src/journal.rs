//! The journal: facts in a log of segment files, on disk before they are acknowledged.
//!
//! One thread takes all facts that wait, writes them with one call, syncs once, and answers all.
//! Facts are never moved again: old segments are removed whole. A log of our own and no LSM tree,
//! because every acknowledgement hangs on it: a fact is written once instead of several times, a
//! full disk ends when there is room again, and damage is told from an unfinished write.

mod segment;
mod walk;

pub(crate) use walk::Facts;

use crate::{
    Options,
    fault::{aside, of_io, stopped},
    home::{self, Home},
    lsm::Lsm,
    queue::Queue,
};
use async_trait::async_trait;
use model::{error::Fault, fact::Fact, id::Position, port::Journal};
use parking_lot::Mutex;
use segment::{Batches, Stop};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};
use tokio::sync::{oneshot, watch};

/// The longest fact, in bytes of JSON.
const LONGEST_FACT: usize = 8 << 20;
/// A read ends early when its facts have so many bytes of JSON.
const LONGEST_READ: usize = 8 << 20;
/// The index of a segment has an entry for about so many bytes.
const INDEX_STEP: u64 = 16 << 10;
/// Holds the first position that is not trimmed.
const TRIMMED: &str = "trimmed";

pub(crate) struct Log {
    shared: Arc<Shared>,
    lsm: Arc<Lsm>,
    trimming: Arc<Mutex<()>>,
    writer: Option<JoinHandle<()>>,
    _home: Arc<Home>,
}

struct Shared {
    folder: PathBuf,
    queue: Queue<Waiting>,
    head: watch::Sender<u64>,
    segments: Mutex<Segments>,
}

/// A fact that waits to be written.
struct Waiting {
    text: Vec<u8>,
    answer: oneshot::Sender<Result<Position, Fault>>,
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

impl Log {
    pub(crate) fn open(home: &Arc<Home>, lsm: Arc<Lsm>, options: &Options) -> Result<Self, Fault> {
        let folder = home.join("journal");
        home::make(&folder)?;
        let (segments, last) = recover(&folder)?;
        let next = last.next;
        let shared = Arc::new(Shared {
            queue: Queue::new(options.journal_queue_bytes),
            head: watch::Sender::new(next - 1),
            segments: Mutex::new(segments),
            folder,
        });
        let mut writer = Writer {
            shared: shared.clone(),
            segment_bytes: options.segment_bytes,
            file: last.file,
            length: last.length,
            next,
        };
        let thread = std::thread::Builder::new().name("journal".into());
        let thread = thread.spawn(move || writer.run());
        Ok(Self {
            writer: Some(thread.map_err(|e| of_io("starting the writer of", &shared.folder, &e))?),
            shared,
            lsm,
            trimming: Arc::default(),
            _home: home.clone(),
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Journal for Log {
    async fn append(&self, fact: Fact) -> Result<Position, Fault> {
        let text = serde_json::to_vec(&fact);
        let text = text.map_err(|e| Fault::lasting(format!("a fact: {e}")))?;
        drop(fact);
        if text.len() > LONGEST_FACT {
            return Err(Fault::lasting("a fact is too long for the journal"));
        }
        let (answer, answered) = oneshot::channel();
        let weight = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let waiting = Waiting { text, answer };
        self.shared.queue.push(weight, waiting).await?;
        answered.await.map_err(|_| stopped())?
    }

    async fn read(&self, after: Position, most: usize) -> Result<Vec<(Position, Fact)>, Fault> {
        if self.head() <= after {
            return Ok(Vec::new());
        }
        let shared = self.shared.clone();
        aside(move || shared.read(after.0, most)).await
    }

    fn head(&self) -> Position {
        Position(*self.shared.head.borrow())
    }

    async fn grown(&self, after: Position) {
        let mut head = self.shared.head.subscribe();
        // The sender lives as long as `self`.
        let _ = head.wait_for(|head| *head > after.0).await;
    }

    async fn keep(&self, reader: &str, position: Position) -> Result<(), Fault> {
        let (lsm, reader) = (self.lsm.clone(), reader.to_owned());
        aside(move || lsm.keep(&reader, position)).await
    }

    async fn kept(&self, reader: &str) -> Result<Position, Fault> {
        let (lsm, reader) = (self.lsm.clone(), reader.to_owned());
        aside(move || lsm.kept(&reader)).await
    }

    async fn trim(&self, until: Position, most: usize) -> Result<u64, Fault> {
        let (shared, trimming) = (self.shared.clone(), self.trimming.clone());
        aside(move || {
            let _one_at_a_time = trimming.lock();
            shared.trim(until.0, most as u64)
        })
        .await
    }
}

impl Shared {
    fn path(&self, first: u64) -> PathBuf {
        path_of(&self.folder, first)
    }

    fn read(&self, after: u64, most: usize) -> Result<Vec<(Position, Fact)>, Fault> {
        let head = *self.head.borrow();
        let mut facts = Vec::new();
        let mut bytes = 0;
        let mut next = after.saturating_add(1);
        while facts.len() < most && bytes < LONGEST_READ {
            let Some(place) = self.find(&mut next, head)? else {
                break;
            };
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
            while next <= until && facts.len() < most && bytes < LONGEST_READ {
                let batch = batches.next_from(next).map_err(damaged)?;
                for (position, text) in batch.facts(next) {
                    if facts.len() == most || position > until {
                        break;
                    }
                    let fact = serde_json::from_slice(text).map_err(|e| {
                        Fault::lasting(format!("the fact at {position} cannot be read: {e}"))
                    })?;
                    facts.push((Position(position), fact));
                    bytes += text.len();
                    next = position + 1;
                }
            }
        }
        Ok(facts)
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
                "{} lacks the file with the fact at {next}",
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
                "the journal is damaged: {} at byte {offset}: {why}",
                path.display()
            )),
        }
    }

    fn trim(&self, until: u64, most: u64) -> Result<u64, Fault> {
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

fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    segment_bytes: u64,
    /// The open segment; none when a new one is due.
    file: Option<File>,
    /// How far the open segment is written and synced.
    length: u64,
    /// The position of the next fact.
    next: u64,
}

impl Writer {
    fn run(&mut self) {
        let mut waiting = Vec::new();
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        while let Some(weight) = self.shared.queue.take(&mut waiting) {
            bytes.clear();
            starts.clear();
            let texts = waiting.iter().map(|(_, waiting)| waiting.text.as_slice());
            segment::encode(self.next, texts, &mut bytes, &mut starts);
            let result = self.write(&bytes);
            if let Err(fault) = &result {
                // What is in the file behind `length` is unknown now. A new segment says where
                // its facts begin, and thereby that nothing there counts.
                self.file = None;
                tracing::error!(%fault, facts = waiting.len(), "facts could not be journalled");
            }
            if result.is_ok() {
                self.written(&starts, bytes.len(), waiting.len());
            }
            let first = self.next
                - if result.is_ok() {
                    waiting.len() as u64
                } else {
                    0
                };
            for (position, (_, waiting)) in (first..).zip(waiting.drain(..)) {
                let answer = result.clone().map(|()| Position(position));
                let _ = waiting.answer.send(answer);
            }
            self.shared.queue.free(weight);
            bytes.shrink_to(1 << 20);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = begin(&self.shared, self.next)?;
                self.length = segment::HEADER;
                none.insert(file)
            }
        };
        let write = || {
            file.write_all_at(bytes, self.length)?;
            file.sync_data()
        };
        write().map_err(|e| of_io("writing", &self.shared.folder, &e))
    }

    /// Shows readers what is on disk.
    fn written(&mut self, starts: &[(u64, u64)], bytes: usize, facts: usize) {
        {
            let mut segments = self.shared.segments.lock();
            let index = segments.files.last_mut().and_then(|s| s.index.as_mut());
            if let Some(index) = index {
                for (position, offset) in starts {
                    note(index, *position, self.length + offset);
                }
            }
        }
        self.length += bytes as u64;
        self.next += facts as u64;
        self.shared.head.send_replace(self.next - 1);
        if self.length >= self.segment_bytes {
            self.file = None;
        }
    }
}

/// Makes the segment that begins with position `first`, in place of one that never held a fact.
fn begin(shared: &Shared, first: u64) -> Result<File, Fault> {
    let path = shared.path(first);
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
        home::sync_folder(&shared.folder)?;
        Ok(file)
    };
    let file = make().map_err(|e: std::io::Error| of_io("making", &path, &e))?;
    let mut segments = shared.segments.lock();
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
fn recover(folder: &Path) -> Result<(Segments, Last), Fault> {
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
        let found = recover_last(&path, first)?;
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
            "{} lacks the file with the fact at {first}",
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
fn recover_last(path: &Path, first: u64) -> Result<Option<(Last, Index)>, Fault> {
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
                "the journal is damaged: {} at byte {length}: {why}, and facts follow it",
                path.display()
            )));
        }
        if !whole {
            return Ok(None);
        }
        tracing::warn!(
            path = %path.display(),
            bytes = bytes - length,
            "cutting off facts that were being written when the server ended"
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

#[cfg(test)]
mod tests;
