//! File systems.

pub(crate) mod cramfs;
pub(crate) mod ext;
pub(crate) mod fat;
pub(crate) mod iso;
pub(crate) mod jffs2;
pub(crate) mod romfs;
pub(crate) mod squashfs;
pub(crate) mod ubi;
pub(crate) mod ubifs;
pub(crate) mod yaffs2;

use crate::format::Kind;

/// What a Unix mode says an entry is that has no bytes of its own.
pub(crate) fn special(mode: u32) -> Option<Kind> {
    match mode & 0o170_000 {
        0o040_000 => Some(Kind::Folder),
        0o010_000 | 0o020_000 | 0o060_000 | 0o140_000 => Some(Kind::Special),
        _ => None,
    }
}

/// How deep folders may nest: what is deeper is a loop or an attack.
pub(crate) const FOLDERS: usize = 64;
