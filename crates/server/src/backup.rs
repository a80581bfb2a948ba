//! Backups: what a running server gives away, the folder that keeps it, and the way back.
//!
//! The server sends frames (`stream`) over the admin API: `give` makes them on a thread of its own
//! at a pace, so that the devices notice nothing. The command line writes them down (`keep`) and
//! makes a data folder of them again (`restore`). A backup folder is complete by its manifest:
//! whatever is cut short leaves the former one in force.

mod give;
mod keep;
mod restore;
mod stream;

pub(crate) use give::{Order, Source, give};
pub(crate) use keep::{Kept, Manifest, verify};
pub(crate) use restore::{Restored, restore};
pub(crate) use stream::{Frame, Frames};

use openssl::sha::Sha256;
use serde::{Deserialize, Serialize};

/// The version of the manifest and of the frames.
pub(crate) const FORMAT: u32 = 1;
/// Where a backup has key material; below it are names as in a data folder.
pub(crate) const KEYS: &str = "keys/";

/// What a backup tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// The version of the form.
    pub(crate) format: u32,
    /// The version of the program that made it.
    pub(crate) program: String,
    /// The server's name.
    pub(crate) node: String,
    /// The moment that it shows.
    pub(crate) made: String,
    /// The last fact of the journal that is in it for certain.
    pub(crate) position: u64,
    /// Whether keys and certificates are in it.
    pub(crate) keys: bool,
    /// What a restored server needs and is not in it.
    pub(crate) outside: Vec<String>,
}

/// A file that whoever asks has already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Have {
    /// Its path in a data folder.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// The SHA-256 of its content, in hex.
    pub(crate) sha256: String,
}

/// Whether a path of a backup stays in its folder: a few plain names.
fn plain(path: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty()
            && name.len() <= 128
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    path.split('/').count() <= 4 && path.split('/').all(name)
}

fn hex_of(hash: Sha256) -> String {
    hex::encode(hash.finish())
}

/// Frames that may be anything, and a manifest.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    stream::fuzz(bytes);
    let _ = Manifest::parse(bytes);
}

#[cfg(test)]
mod tests;
