//! cramfs in both byte orders.

use bytes::Bytes;

use super::{FOLDERS, special};
use crate::{
    Class, Fault,
    codec::{self, Codec},
    format::{Entry, Format, Kind, Magic, Opened},
    limits::{Budget, Limit},
    path,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "cramfs",
    class: Class::Filesystem,
    magics: &[Magic(16, b"Compressed ROMFS")],
    carved: true,
    open,
};

const BLOCK: usize = 4096;
/// Flags of a superblock whose block pointers are as simple as this reader takes them.
const KNOWN_FLAGS: u32 = 0x7ff;
const STORED: u32 = 1 << 31;

struct Inode {
    mode: u32,
    uid: u32,
    gid: u32,
    size: usize,
    name: usize,
    at: usize,
}

fn inode(view: View<'_>, at: usize, big: bool) -> Result<Inode, Fault> {
    let (a, b, c) = (view.u32(at)?, view.u32(at + 4)?, view.u32(at + 8)?);
    Ok(if big {
        Inode {
            mode: a >> 16,
            uid: a & 0xffff,
            size: (b >> 8) as usize,
            gid: b & 0xff,
            name: (c >> 26) as usize * 4,
            at: (c & 0x3ff_ffff) as usize * 4,
        }
    } else {
        Inode {
            mode: a & 0xffff,
            uid: a >> 16,
            size: (b & 0xff_ffff) as usize,
            gid: b >> 24,
            name: (c & 0x3f) as usize * 4,
            at: (c >> 6) as usize * 4,
        }
    })
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let big = match bytes.get(..4) {
        Some(b"\x45\x3d\xcd\x28") => false,
        Some(b"\x28\xcd\x3d\x45") => true,
        _ => return Err(Fault::Malformed("cramfs magic")),
    };
    let view = View::ordered(bytes, big);
    let (size, flags) = (view.at32(4)?, view.u32(8)?);
    if flags & !KNOWN_FLAGS & !0x800 != 0 {
        return Err(Fault::Unsupported("cramfs flags"));
    }
    let mut opened = Opened {
        used: size.min(bytes.len()),
        ..Opened::default()
    };
    if size > bytes.len() {
        opened.faults.push(Fault::Truncated("cramfs"));
    }
    opened.fact("name", view.text(48, 16)?);
    let root = inode(view, 64, big)?;
    let mut line = vec![(String::new(), root.at, root.size, 0)];
    while let Some((folder, start, length, depth)) = line.pop() {
        if depth > FOLDERS {
            opened.faults.push(Fault::Malformed("a folder in itself"));
            continue;
        }
        let mut at = start;
        let end = start.saturating_add(length);
        while at < end {
            budget.entry()?;
            let Ok(inode) = inode(view, at, big) else {
                opened.faults.push(Fault::Truncated("cramfs folder"));
                break;
            };
            let Ok(name) = view.text(at + 12, inode.name) else {
                opened.faults.push(Fault::Truncated("cramfs name"));
                break;
            };
            at += 12 + inode.name;
            if name.is_empty() || name.contains('/') || name == ".." || name == "." {
                opened.faults.push(Fault::Malformed("cramfs name"));
                continue;
            }
            let path = format!("{folder}/{name}");
            let kind = match special(inode.mode) {
                Some(kind) => kind,
                None => match file(bytes, view, &inode, budget) {
                    Ok(data) if inode.mode & 0o170_000 == 0o120_000 => {
                        Kind::Link(path::printable(&data))
                    }
                    Ok(data) => Kind::File(data),
                    Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                    Err(fault) => {
                        opened.faults.push(fault);
                        continue;
                    }
                },
            };
            if kind == Kind::Folder && inode.size > 0 {
                line.push((path.clone(), inode.at, inode.size, depth + 1));
            }
            opened.entries.push(Entry {
                path,
                kind,
                mode: inode.mode & 0o7777,
                uid: inode.uid,
                gid: inode.gid,
            });
        }
    }
    Ok(opened)
}

/// Pointers to the end of each block, then the blocks, each zlib on its own.
fn file(
    bytes: &Bytes,
    view: View<'_>,
    inode: &Inode,
    budget: &mut Budget<'_>,
) -> Result<Bytes, Fault> {
    if inode.size == 0 {
        return Ok(Bytes::new());
    }
    let count = inode.size.div_ceil(BLOCK);
    if inode.size as u64 > budget.grown(bytes.len()) {
        return Err(Limit::Ratio.into());
    }
    view.slice(inode.at, count * 4)?;
    budget.hold(inode.size)?;
    let mut start = inode.at + count * 4;
    let mut out = Vec::with_capacity(inode.size);
    for index in 0..count {
        let most = BLOCK.min(inode.size - out.len());
        let pointer = view.u32(inode.at + index * 4)?;
        let end = (pointer & 0x3fff_ffff) as usize;
        if pointer & (1 << 30) != 0 {
            return Err(Fault::Unsupported("cramfs direct pointer"));
        }
        let packed = cut(
            bytes,
            start,
            end.checked_sub(start)
                .ok_or(Fault::Malformed("cramfs pointer"))?,
        )?;
        start = end;
        if packed.is_empty() {
            out.resize(out.len() + most, 0);
        } else if pointer & STORED != 0 {
            out.extend_from_slice(&packed[..packed.len().min(most)]);
        } else {
            let block = codec::block(Codec::Zlib, &packed, BLOCK)?;
            out.extend_from_slice(&block[..block.len().min(most)]);
        }
    }
    if out.len() != inode.size {
        return Err(Fault::Malformed("cramfs file"));
    }
    Ok(out.into())
}
