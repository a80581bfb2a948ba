//! cpio: new ASCII with and without checksum, old ASCII, and the two binary forms.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{View, align, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "cpio",
    class: Class::Archive,
    magics: &[
        Magic(0, b"070701"),
        Magic(0, b"070702"),
        Magic(0, b"070707"),
        Magic(0, b"\xc7\x71"),
        Magic(0, b"\x71\xc7"),
    ],
    carved: true,
    open,
};

struct Head {
    inode: (u64, u64),
    mode: u32,
    uid: u32,
    gid: u32,
    links: u64,
    size: usize,
    name: usize,
    /// Length of the header, and what names and data are padded to.
    length: usize,
    pad: usize,
}

const BAD: Fault = Fault::Malformed("cpio header");

fn digits(raw: &[u8], radix: u32) -> Result<u64, Fault> {
    let text = std::str::from_utf8(raw).map_err(|_| BAD)?;
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(BAD);
    }
    u64::from_str_radix(text, radix).map_err(|_| BAD)
}

fn head(bytes: &[u8]) -> Result<Head, Fault> {
    let view = View::little(bytes);
    let magic = view.slice(0, 6)?;
    match magic {
        b"070701" | b"070702" => {
            let field = |n: usize| digits(view.slice(6 + n * 8, 8)?, 16);
            Ok(Head {
                inode: (field(7)? << 32 | field(8)?, field(0)?),
                mode: field(1)? as u32,
                uid: field(2)? as u32,
                gid: field(3)? as u32,
                links: field(4)?,
                size: field(6)? as usize,
                name: field(11)? as usize,
                length: 110,
                pad: 4,
            })
        }
        b"070707" => {
            let field = |at: usize, len: usize| digits(view.slice(at, len)?, 8);
            Ok(Head {
                inode: (field(6, 6)?, field(12, 6)?),
                mode: field(18, 6)? as u32,
                uid: field(24, 6)? as u32,
                gid: field(30, 6)? as u32,
                links: field(36, 6)?,
                name: field(59, 6)? as usize,
                size: field(65, 11)? as usize,
                length: 76,
                pad: 1,
            })
        }
        _ => {
            let view = View::ordered(bytes, magic.starts_with(b"\x71\xc7"));
            if view.u16(0)? != 0x71c7 {
                return Err(BAD);
            }
            let long = |at: usize| -> Result<usize, Fault> {
                Ok(usize::from(view.u16(at)?) << 16 | usize::from(view.u16(at + 2)?))
            };
            Ok(Head {
                inode: (u64::from(view.u16(2)?), u64::from(view.u16(4)?)),
                mode: u32::from(view.u16(6)?),
                uid: u32::from(view.u16(8)?),
                gid: u32::from(view.u16(10)?),
                links: u64::from(view.u16(12)?),
                name: usize::from(view.u16(20)?),
                size: long(22)?,
                length: 26,
                pad: 2,
            })
        }
    }
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut opened = Opened::default();
    let mut at = 0;
    let mut ended = false;
    // Hard links: the data stands with one of the names, in the new form with the last.
    let mut data_of: HashMap<(u64, u64), Bytes> = HashMap::new();
    let mut linked: Vec<(usize, (u64, u64))> = Vec::new();
    while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
        let head = match head(rest) {
            Ok(head) => head,
            Err(fault) if opened.entries.is_empty() => return Err(fault),
            Err(_) => break,
        };
        budget.entry()?;
        if head.name == 0 || head.name > 4096 {
            return Err(BAD);
        }
        let raw = View::little(rest).slice(head.length, head.name)?;
        let (&zero, name) = raw.split_last().ok_or(BAD)?;
        if zero != 0 {
            return Err(BAD);
        }
        let start = at + align(head.length + head.name, head.pad);
        if name == b"TRAILER!!!" {
            at = start;
            ended = true;
            break;
        }
        let data = match cut(bytes, start, head.size) {
            Ok(data) => data,
            Err(fault) if opened.entries.is_empty() => return Err(fault),
            Err(fault) => {
                opened.faults.push(fault);
                at = bytes.len();
                ended = true;
                break;
            }
        };
        at = start + align(head.size, head.pad);
        if path::climbs(name) {
            opened
                .faults
                .push(Fault::Malformed("a name that climbs out"));
        }
        let kind = match head.mode & 0o170_000 {
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Link(path::printable(&data)),
            0o100_000 => {
                if head.links > 1 {
                    linked.push((opened.entries.len(), head.inode));
                    if !data.is_empty() {
                        data_of.insert(head.inode, data.clone());
                    }
                }
                Kind::File(data)
            }
            _ => Kind::Special,
        };
        opened.entries.push(Entry {
            path: path::clean(name),
            kind,
            mode: head.mode & 0o7777,
            uid: head.uid,
            gid: head.gid,
        });
    }
    for (entry, inode) in linked {
        if let Some(data) = data_of.get(&inode) {
            opened.entries[entry].kind = Kind::File(data.clone());
        }
    }
    if !ended {
        opened.faults.push(Fault::Truncated("cpio without its end"));
        if opened.entries.len() < 2 {
            return Err(Fault::Truncated("cpio without its end"));
        }
    }
    // Archives are padded to blocks of 512 bytes with zeros.
    let block = align(at, 512).min(bytes.len());
    let padded = bytes
        .get(at..block)
        .is_some_and(|p| p.iter().all(|b| *b == 0));
    opened.used = if padded { block } else { at };
    Ok(opened)
}
