//! The form of a segment file.
//!
//! ```text
//! segment = "musterJ1", position of its first fact (8), batch*
//! batch   = mark (4), length of body (4), facts in it (4), position of the first (8),
//!           XXH3 of all that and the body (8), body
//! body    = (length (4), JSON)*
//! ```
//!
//! Numbers are big-endian. A batch is what one write holds, or a part of it; it counts when it is
//! whole, its hash is right, and its position follows the batch before it.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};
use xxhash_rust::xxh3::Xxh3;

/// Bytes before the first batch.
pub(crate) const HEADER: u64 = 16;
const MAGIC: &[u8; 8] = b"musterJ1";
const MARK: [u8; 4] = [0xb7, b'm', b'J', 0x1d];
/// Bytes of a batch before its body.
const HEAD: usize = 28;
/// A batch is closed when its body has so many bytes, so that readers can seek.
const BODY: usize = 64 << 10;
/// No body has more bytes: what says so is damaged.
const LONGEST_BODY: usize = 256 << 20;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The disk failed.
    Io(io::Error),
    /// What is there is no batch, or not the next one.
    Bad {
        /// Where.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) fn header(first: u64) -> [u8; HEADER as usize] {
    let mut header = [0; HEADER as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&first.to_be_bytes());
    header
}

pub(crate) fn has_header(file: &File, first: u64) -> io::Result<bool> {
    let mut found = [0; HEADER as usize];
    match file.read_exact_at(&mut found, 0) {
        Ok(()) => Ok(found == header(first)),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Appends batches with these facts to `bytes`, the first fact at `position`. Notes in `starts`
/// where each batch begins.
pub(crate) fn encode<'a>(
    mut position: u64,
    texts: impl Iterator<Item = &'a [u8]>,
    bytes: &mut Vec<u8>,
    starts: &mut Vec<(u64, u64)>,
) {
    let mut texts = texts.peekable();
    while texts.peek().is_some() {
        let start = bytes.len();
        starts.push((position, start as u64));
        bytes.resize(start + HEAD, 0);
        let mut count = 0_u32;
        while let Some(text) = texts.next_if(|_| bytes.len() - start < BODY) {
            let length = u32::try_from(text.len()).expect("longer facts are refused before");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text);
            count += 1;
        }
        let (head, body) = bytes[start..].split_at_mut(HEAD);
        let length = u32::try_from(body.len()).expect("a body ends after BODY and one fact");
        head[..4].copy_from_slice(&MARK);
        head[4..8].copy_from_slice(&length.to_be_bytes());
        head[8..12].copy_from_slice(&count.to_be_bytes());
        head[12..20].copy_from_slice(&position.to_be_bytes());
        let hash = hash(&head[..20], body);
        head[20..].copy_from_slice(&hash.to_be_bytes());
        position += u64::from(count);
    }
}

fn hash(head: &[u8], body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(head);
    hash.update(body);
    hash.digest()
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: [u8; HEAD],
    body: usize,
    count: u32,
    first: u64,
    hash: u64,
}

impl Head {
    fn read(bytes: [u8; HEAD]) -> Option<Self> {
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let body = word(4) as usize;
        let head = Self {
            bytes,
            body,
            count: word(8),
            first: long(12),
            hash: long(20),
        };
        let sound = bytes[..4] == MARK
            && body <= LONGEST_BODY
            && head.count > 0
            && head.count as usize <= body / 4
            && head.first.checked_add(u64::from(head.count)).is_some();
        sound.then_some(head)
    }

    fn owns(&self, body: &[u8]) -> bool {
        hash(&self.bytes[..20], body) == self.hash
    }
}

/// The facts of one batch.
pub(crate) struct Batch<'a> {
    first: u64,
    body: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The facts from `position` on, each with its position.
    pub(crate) fn facts(&self, position: u64) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let mut body = self.body;
        let texts = std::iter::from_fn(move || {
            let (length, rest) = body.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            body = rest;
            Some(text)
        });
        (self.first..)
            .zip(texts)
            .skip_while(move |(at, _)| *at < position)
    }
}

/// Walks over the batches of a segment.
pub(crate) struct Batches {
    file: BufReader<File>,
    offset: u64,
    position: u64,
    body: Vec<u8>,
}

impl Batches {
    /// Starts at a batch that is known to begin at `offset` with `position`.
    pub(crate) fn new(file: File, offset: u64, position: u64) -> Result<Self, Stop> {
        let mut file = BufReader::with_capacity(64 << 10, file);
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            file,
            offset,
            position,
            body: Vec::new(),
        })
    }

    /// Where the next batch begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position of the next fact.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Goes to the batch that holds `position`.
    pub(crate) fn next_from(&mut self, position: u64) -> Result<Batch<'_>, Stop> {
        loop {
            let Some(head) = self.head()? else {
                return Err(self.bad("it ends before its last fact"));
            };
            if head.first + u64::from(head.count) > position {
                self.body(&head)?;
                return Ok(Batch {
                    first: head.first,
                    body: &self.body,
                });
            }
            self.pass(&head)?;
        }
    }

    /// Passes over a batch without looking into it; gives back its position and place.
    pub(crate) fn skip(&mut self) -> Result<Option<(u64, u64)>, Stop> {
        let place = (self.position, self.offset);
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        self.pass(&head)?;
        Ok(Some(place))
    }

    /// Reads a batch and checks it; gives back its position and place.
    pub(crate) fn next_whole(&mut self) -> Result<Option<(u64, u64)>, Stop> {
        let place = (self.position, self.offset);
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        self.body(&head)?;
        Ok(Some(place))
    }

    /// `None` at the end of the file.
    fn head(&mut self) -> Result<Option<Head>, Stop> {
        let mut bytes = [0; HEAD];
        let mut filled = 0;
        while filled < HEAD {
            match self.file.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.bad("a batch ends in its head")),
                Ok(many) => filled += many,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        let head = Head::read(bytes).ok_or_else(|| self.bad("this is no batch"))?;
        if head.first != self.position {
            return Err(self.bad("a batch has another position than it should"));
        }
        Ok(Some(head))
    }

    fn body(&mut self, head: &Head) -> Result<(), Stop> {
        self.body.resize(head.body, 0);
        match self.file.read_exact(&mut self.body) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err(self.bad("a batch ends in its body"));
            }
            Err(e) => return Err(e.into()),
        }
        if !head.owns(&self.body) {
            return Err(self.bad("a batch does not match its hash"));
        }
        self.advance(head);
        Ok(())
    }

    fn pass(&mut self, head: &Head) -> Result<(), Stop> {
        self.file.seek_relative(head.body as i64)?;
        self.advance(head);
        Ok(())
    }

    fn advance(&mut self, head: &Head) {
        self.offset += (HEAD + head.body) as u64;
        self.position += u64::from(head.count);
    }

    fn bad(&self, why: &'static str) -> Stop {
        Stop::Bad {
            offset: self.offset,
            why,
        }
    }
}

/// Whether a whole batch with `position` or a later one begins anywhere behind `offset`.
pub(crate) fn any_after(file: &File, offset: u64, position: u64) -> io::Result<bool> {
    let mut rest = Vec::new();
    let mut reader = file;
    reader.seek(SeekFrom::Start(offset))?;
    reader.read_to_end(&mut rest)?;
    let mut at = 0;
    while let Some(found) = rest[at..].windows(4).position(|bytes| bytes == MARK) {
        let start = at + found;
        let head = rest[start..].first_chunk::<HEAD>();
        if let Some(head) = head.and_then(|bytes| Head::read(*bytes))
            && let Some(body) = rest[start + HEAD..].get(..head.body)
            && head.first >= position
            && head.owns(body)
        {
            return Ok(true);
        }
        at = start + 1;
    }
    Ok(false)
}
