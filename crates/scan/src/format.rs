//! What a format is to the scanner, and the table of those that it reads.

use bytes::Bytes;

use crate::{Fault, archive, codec, container, fs, limits::Budget};

/// What kind of thing holds the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A file system: paths, owners and modes are the device's.
    Filesystem,
    /// An archive or a package.
    Archive,
    /// One compressed stream.
    Compression,
    /// A header or a table of parts: boot images, partitions, vendors' update files.
    Container,
}

/// One format.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    /// Byte strings, one of which stands at its offset.
    pub(crate) magics: &'static [Magic],
    /// Whether it may be looked for inside unknown regions; weak magics are only tried at the start.
    pub(crate) carved: bool,
    /// Reads what begins at the first byte; may end before the last one.
    pub(crate) open: fn(&Bytes, &mut Budget<'_>) -> Result<Opened, Fault>,
}

/// A byte string at an offset from the format's start.
pub(crate) struct Magic(pub(crate) usize, pub(crate) &'static [u8]);

/// What came out of one container.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// How many bytes from the start belong to it.
    pub(crate) used: usize,
    pub(crate) entries: Vec<Entry>,
    /// Words of its header, such as a name, a version, an architecture.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// What of it could not be read.
    pub(crate) faults: Vec<Fault>,
}

/// A file, folder, link or device of a volume.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// From the volume's root, cleaned.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with its bytes.
    File(Bytes),
    /// A folder.
    Folder,
    /// A symbolic link with its target as it stands in the image.
    Link(String),
    /// A device node, pipe or socket; never made anywhere.
    Special,
}

impl Entry {
    /// A part of a container, which has no owner and no mode.
    pub(crate) fn part(name: &str, bytes: Bytes) -> Entry {
        Entry {
            path: crate::path::clean(name.as_bytes()),
            kind: Kind::File(bytes),
            mode: 0o644,
            uid: 0,
            gid: 0,
        }
    }
}

impl Opened {
    /// One stream that was decompressed.
    pub(crate) fn stream(used: usize, name: &str, data: Vec<u8>) -> Opened {
        Opened {
            used,
            entries: vec![Entry::part(name, data.into())],
            ..Opened::default()
        }
    }

    pub(crate) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push((name, value.into()));
    }
}

impl Format {
    /// Whether one of the magics stands where it should.
    pub(crate) fn greets(&self, bytes: &[u8]) -> bool {
        self.magics
            .iter()
            .any(|Magic(at, magic)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic)))
    }
}

/// Every format, most telling magic first: the first that opens wins.
pub(crate) static FORMATS: &[&Format] = &[
    &fs::squashfs::FORMAT,
    &fs::ubi::FORMAT,
    &fs::ubifs::FORMAT,
    &fs::cramfs::FORMAT,
    &fs::romfs::FORMAT,
    &fs::iso::FORMAT,
    &container::sparse::FORMAT,
    &container::bootimg::FORMAT,
    &container::uimage::FORMAT,
    &container::fit::FORMAT,
    &container::trx::FORMAT,
    &container::seama::FORMAT,
    &container::tplink::FORMAT,
    &container::realtek::FORMAT,
    &container::chk::FORMAT,
    &container::cfe::FORMAT,
    &container::uefi::FORMAT,
    &archive::rpm::FORMAT,
    &archive::ar::FORMAT,
    &archive::zip::FORMAT,
    &archive::tar::FORMAT,
    &archive::cpio::FORMAT,
    &codec::gzip::FORMAT,
    &codec::bzip2::FORMAT,
    &codec::xz::FORMAT,
    &codec::zstd::FORMAT,
    &codec::lz4::FORMAT,
    &codec::lzo::FORMAT,
    &codec::lzma::FORMAT,
    &fs::ext::FORMAT,
    &container::gpt::FORMAT,
    &fs::fat::FORMAT,
    &container::mbr::FORMAT,
    &fs::jffs2::FORMAT,
    &fs::yaffs2::FORMAT,
    &container::hex::FORMAT,
    &container::sealed::FORMAT,
];

/// Names of all formats that are read.
pub fn formats() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|format| format.name)
}

/// The format of that name.
#[cfg(any(test, fuzzing))]
pub(crate) fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|f| f.name == name)
}
