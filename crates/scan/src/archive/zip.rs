//! ZIP by its central directory, with every method that firmware uses.

use bytes::Bytes;
use memchr::memmem;

use crate::{
    Class, Fault,
    codec::{bzip2, drain, lzma},
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{View, crc32, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "zip",
    class: Class::Archive,
    // Dahua's updates are archives whose first letters were changed.
    magics: &[Magic(0, b"PK\x03\x04"), Magic(0, DAHUA)],
    carved: true,
    open,
};

const DAHUA: &[u8] = b"DH\x03\x04";

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let (directory, count, used) = directory(bytes)?;
    let mut opened = Opened {
        used,
        ..Opened::default()
    };
    let mut at = directory;
    for _ in 0..count {
        if view.slice(at, 4)? != b"PK\x01\x02" {
            opened.faults.push(Fault::Malformed("zip directory"));
            break;
        }
        budget.entry()?;
        let (names, extra, comment) = (
            usize::from(view.u16(at + 28)?),
            usize::from(view.u16(at + 30)?),
            usize::from(view.u16(at + 32)?),
        );
        let raw = view.slice(at + 46, names)?;
        let unix = view.u8(at + 5)? == 3;
        let attributes = view.u32(at + 38)? >> 16;
        let mode = if unix { attributes } else { 0o100_644 };
        if path::climbs(raw) || raw.starts_with(b"/") {
            opened
                .faults
                .push(Fault::Malformed("a name that climbs out"));
        }
        let kind = if raw.ends_with(b"/") {
            Some(Kind::Folder)
        } else {
            match member(bytes, view, at, budget) {
                Ok(data) if mode & 0o170_000 == 0o120_000 => {
                    Some(Kind::Link(path::printable(&data[..data.len().min(4096)])))
                }
                Ok(data) => Some(Kind::File(data)),
                Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                Err(fault) => {
                    opened.faults.push(fault);
                    None
                }
            }
        };
        if let Some(kind) = kind {
            opened.entries.push(Entry {
                path: path::clean(raw),
                kind,
                mode: mode & 0o7777,
                uid: 0,
                gid: 0,
            });
        }
        at += 46 + names + extra + comment;
    }
    if opened.entries.is_empty() {
        return Err(opened
            .faults
            .pop()
            .unwrap_or(Fault::Malformed("a zip without members")));
    }
    Ok(opened)
}

/// Where the directory stands, how many members it has, and where the archive ends. In a larger
/// blob the first end record whose numbers fit is ours.
fn directory(bytes: &[u8]) -> Result<(usize, usize, usize), Fault> {
    let view = View::little(bytes);
    for at in memmem::find_iter(bytes, b"PK\x05\x06").take(1000) {
        let (Ok(count), Ok(size), Ok(offset), Ok(comment)) = (
            view.u16(at + 10),
            view.at32(at + 12),
            view.at32(at + 16),
            view.u16(at + 20),
        ) else {
            continue;
        };
        let fits = offset.checked_add(size) == Some(at);
        if fits && view.slice(offset, 4).is_ok_and(|m| m == b"PK\x01\x02") {
            let end = (at + 22 + usize::from(comment)).min(bytes.len());
            return Ok((offset, usize::from(count), end));
        }
    }
    Err(Fault::Truncated("zip without its directory"))
}

fn member(
    bytes: &Bytes,
    view: View<'_>,
    at: usize,
    budget: &mut Budget<'_>,
) -> Result<Bytes, Fault> {
    let (flags, method) = (view.u16(at + 8)?, view.u16(at + 10)?);
    let (crc, packed, size) = (
        view.u32(at + 16)?,
        view.at32(at + 20)?,
        budget.file(u64::from(view.u32(at + 24)?))?,
    );
    let local = view.at32(at + 42)?;
    if flags & 1 != 0 {
        return Err(Fault::Unsupported("encrypted zip member"));
    }
    let mark = view.slice(local, 4)?;
    if mark != b"PK\x03\x04" && (local, mark) != (0, DAHUA) {
        return Err(Fault::Malformed("zip member"));
    }
    let start =
        local + 30 + usize::from(view.u16(local + 26)?) + usize::from(view.u16(local + 28)?);
    let data = cut(bytes, start, packed)?;
    let most = budget.grown(packed);
    if size as u64 > most {
        return Err(crate::limits::Limit::Ratio.into());
    }
    let what = "zip member";
    let out: Bytes = match method {
        0 => data,
        8 => drain(
            &mut flate2::bufread::DeflateDecoder::new(&data[..]),
            packed,
            budget,
            what,
        )?
        .into(),
        12 => {
            let mut out = Vec::new();
            bzip2::stream(&data, &mut out, most, budget)?;
            out.into()
        }
        14 => {
            let head = View::little(&data);
            let skip = 4 + usize::from(head.u16(2)?);
            budget.hold(size)?;
            lzma::raw(
                head.u8(4)?,
                head.u32(5)?,
                data.get(skip..).ok_or(Fault::Truncated(what))?,
                size,
            )?
            .into()
        }
        93 => {
            budget.hold(size)?;
            crate::codec::block(crate::codec::Codec::Zstd, &data, size)?.into()
        }
        95 => {
            budget.hold(size)?;
            crate::codec::block(crate::codec::Codec::Xz, &data, size)?.into()
        }
        _ => return Err(Fault::Unsupported("zip method")),
    };
    if crc32(&out) != crc {
        return Err(Fault::Checksum("zip member"));
    }
    Ok(out)
}
