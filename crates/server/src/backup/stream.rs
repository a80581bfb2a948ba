//! A backup on its way: frames of a kind, a length (4 bytes, big-endian) and so many bytes.

use super::{About, Have, plain};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The longest frame, in bytes.
pub(super) const LONGEST: usize = 1 << 20;
const HEAD: usize = 5;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The server works and has nothing to send yet.
    Wait,
    /// A file begins.
    Begin(Begin),
    /// Bytes of it.
    Data(Vec<u8>),
    /// A file that the caller has already.
    Have(Have),
    /// All is sent.
    End(About),
    /// The backup cannot be made.
    Failed(String),
}

/// A file that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// Its path in a data folder.
    pub(crate) path: String,
    /// Its length, where that is known.
    pub(crate) bytes: Option<u64>,
    /// Whether it never changes any more.
    pub(crate) sealed: bool,
}

impl Frame {
    /// The frame as it is sent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
        let (kind, body) = match self {
            Self::Wait => (b'W', Vec::new()),
            Self::Begin(begin) => (b'F', json(serde_json::to_vec(begin))),
            Self::Data(bytes) => (b'D', bytes.clone()),
            Self::Have(have) => (b'H', json(serde_json::to_vec(have))),
            Self::End(about) => (b'E', json(serde_json::to_vec(about))),
            Self::Failed(why) => (b'X', why.clone().into_bytes()),
        };
        let mut frame = Vec::with_capacity(HEAD + body.len());
        frame.push(kind);
        let length = u32::try_from(body.len()).expect("a frame is at most LONGEST");
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend(body);
        frame
    }
}

/// Takes frames out of the bytes of a stream.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: VecDeque<u8>,
}

impl Frames {
    /// Adds what arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next frame that is whole.
    ///
    /// # Errors
    /// What is wrong with the stream; nothing after that makes sense.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, String> {
        if self.bytes.len() < HEAD {
            return Ok(None);
        }
        let kind = self.bytes[0];
        let length = u32::from_be_bytes([1, 2, 3, 4].map(|at| self.bytes[at])) as usize;
        if length > LONGEST {
            return Err(format!("a frame of {length} bytes"));
        }
        if self.bytes.len() < HEAD + length {
            return Ok(None);
        }
        self.bytes.drain(..HEAD);
        let body: Vec<u8> = self.bytes.drain(..length).collect();
        read(kind, body).map(Some)
    }
}

fn read(kind: u8, body: Vec<u8>) -> Result<Frame, String> {
    let bad = |error: serde_json::Error| format!("a frame of kind {kind}: {error}");
    let path = |path: &str| match plain(path) {
        true => Ok(()),
        false => Err(format!("{path:?} is no path of a backup")),
    };
    Ok(match kind {
        b'W' => Frame::Wait,
        b'D' => Frame::Data(body),
        b'F' => {
            let begin: Begin = serde_json::from_slice(&body).map_err(bad)?;
            path(&begin.path)?;
            Frame::Begin(begin)
        }
        b'H' => {
            let have: Have = serde_json::from_slice(&body).map_err(bad)?;
            path(&have.path)?;
            Frame::Have(have)
        }
        b'E' => Frame::End(serde_json::from_slice(&body).map_err(bad)?),
        b'X' => Frame::Failed(String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned()),
        _ => return Err(format!("a frame of kind {kind}")),
    })
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) {
    let mut frames = Frames::default();
    for piece in bytes.chunks(7) {
        frames.push(piece);
        while let Ok(Some(frame)) = frames.next() {
            let mut again = Frames::default();
            again.push(&frame.encode());
            assert_eq!(again.next(), Ok(Some(frame)));
        }
    }
}
