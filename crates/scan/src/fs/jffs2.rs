//! JFFS2 in both byte orders: a log of nodes, of which the newest version counts.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::{FOLDERS, special};
use crate::{
    Class, Fault,
    codec::{self, Codec, lzma},
    format::{Entry, Format, Kind, Magic, Opened},
    limits::{Budget, Limit},
    path,
    view::{View, align, crc32_from, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "jffs2",
    class: Class::Filesystem,
    magics: &[
        Magic(0, b"\x85\x19\x03\x20"),
        Magic(0, b"\x85\x19\x01\xe0"),
        Magic(0, b"\x85\x19\x02\xe0"),
        Magic(0, b"\x19\x85\x20\x03"),
        Magic(0, b"\x19\x85\xe0\x01"),
        Magic(0, b"\x19\x85\xe0\x02"),
    ],
    carved: true,
    open,
};

const ROOT: u32 = 1;
/// Bytes without a node after which the file system is over.
const GAP: usize = 1 << 20;

/// A piece of a file.
struct Piece {
    mode: u32,
    uid: u32,
    gid: u32,
    size: usize,
    offset: usize,
    length: usize,
    codec: u8,
    packed: Bytes,
}

#[derive(Default)]
struct Nodes {
    pieces: HashMap<u32, BTreeMap<u32, Piece>>,
    /// Names of a folder with version and inode, zero for "removed".
    names: HashMap<u32, BTreeMap<String, (u32, u32)>>,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let big = bytes.first() == Some(&0x19);
    let view = View::ordered(bytes, big);
    let mut nodes = Nodes::default();
    let mut opened = Opened::default();
    let (mut at, mut end, mut count) = (0, 0, 0);
    while at + 12 <= bytes.len() && at - end < GAP {
        match header(view, at) {
            Some((kind, length)) => {
                budget.work(length)?;
                let whole = view.len() - at >= length;
                if !whole {
                    opened.faults.push(Fault::Truncated("jffs2 node"));
                }
                if nodes.take(bytes, view, at, kind, length).is_err() && count == 0 {
                    return Err(Fault::Malformed("jffs2 node"));
                }
                count += 1;
                at = align(at + length.max(12), 4).min(bytes.len());
                end = at;
            }
            None if count == 0 => return Err(Fault::Checksum("jffs2 node")),
            None => at += 4,
        }
    }
    // What is blank behind the last node belongs to its erase block.
    let blank = bytes[end..].iter().take_while(|b| **b == 0xff).count();
    opened.used = end + blank;
    nodes.walk(&mut opened, budget)?;
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a jffs2 without files"));
    }
    opened.fact("order", if big { "big" } else { "little" });
    Ok(opened)
}

/// Kind and length of a node.
fn header(view: View<'_>, at: usize) -> Option<(u16, usize)> {
    if view.u16(at).ok()? != 0x1985 {
        return None;
    }
    (crc32_from(0, view.slice(at, 8).ok()?) == view.u32(at + 8).ok()?)
        .then_some((view.u16(at + 2).ok()?, view.at32(at + 4).ok()?))
}

impl Nodes {
    fn take(
        &mut self,
        bytes: &Bytes,
        view: View<'_>,
        at: usize,
        kind: u16,
        length: usize,
    ) -> Result<(), Fault> {
        match kind {
            0xe001 => {
                let node = view.part(at, length)?;
                if crc32_from(0, node.slice(0, 32)?) != node.u32(32)? {
                    return Err(Fault::Checksum("jffs2 name"));
                }
                let raw = node.slice(40, usize::from(node.u8(28)?))?;
                if raw.contains(&b'/') || raw == b"." || raw == b".." || raw.is_empty() {
                    return Err(Fault::Malformed("jffs2 name"));
                }
                let (version, inode) = (node.u32(16)?, node.u32(20)?);
                let names = self.names.entry(node.u32(12)?).or_default();
                let known = names.entry(path::printable(raw)).or_insert((0, 0));
                if known.0 <= version {
                    *known = (version, inode);
                }
            }
            0xe002 => {
                let node = view.part(at, length)?;
                if crc32_from(0, node.slice(0, 60)?) != node.u32(64)? {
                    return Err(Fault::Checksum("jffs2 inode"));
                }
                let packed = node.slice(68, node.at32(48)?)?;
                if crc32_from(0, packed) != node.u32(60)? {
                    return Err(Fault::Checksum("jffs2 data"));
                }
                let piece = Piece {
                    mode: node.u32(20)?,
                    uid: u32::from(node.u16(24)?),
                    gid: u32::from(node.u16(26)?),
                    size: node.at32(28)?,
                    offset: node.at32(44)?,
                    length: node.at32(52)?,
                    codec: node.u8(56)?,
                    packed: cut(bytes, at + 68, packed.len())?,
                };
                let pieces = self.pieces.entry(node.u32(12)?).or_default();
                pieces.insert(node.u32(16)?, piece);
            }
            _ => {}
        }
        Ok(())
    }

    fn walk(&self, opened: &mut Opened, budget: &mut Budget<'_>) -> Result<(), Fault> {
        let mut line = vec![(ROOT, String::new(), 0)];
        let mut seen = HashSet::new();
        while let Some((folder, path, depth)) = line.pop() {
            if !seen.insert(folder) || depth > FOLDERS {
                opened.faults.push(Fault::Malformed("a folder in itself"));
                continue;
            }
            let names = self.names.get(&folder);
            for (name, &(_, number)) in names.into_iter().flatten().filter(|(_, n)| n.1 != 0) {
                budget.entry()?;
                let pieces = self.pieces.get(&number);
                let Some(last) = pieces.and_then(|p| p.values().next_back()) else {
                    opened.faults.push(Fault::Malformed("a name without inode"));
                    continue;
                };
                let path = format!("{path}/{name}");
                let kind = match special(last.mode) {
                    Some(kind) => kind,
                    None => match file(pieces, last, budget) {
                        Ok(data) if last.mode & 0o170_000 == 0o120_000 => {
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
                if kind == Kind::Folder {
                    line.push((number, path.clone(), depth + 1));
                }
                opened.entries.push(Entry {
                    path,
                    kind,
                    mode: last.mode & 0o7777,
                    uid: last.uid,
                    gid: last.gid,
                });
            }
        }
        Ok(())
    }
}

/// Writes all pieces over each other in the order of their versions.
fn file(
    pieces: Option<&BTreeMap<u32, Piece>>,
    last: &Piece,
    budget: &mut Budget<'_>,
) -> Result<Bytes, Fault> {
    // A link's size is not always told, its data is.
    let size = budget.file(last.size.max(if last.mode & 0o170_000 == 0o120_000 {
        last.length
    } else {
        0
    }) as u64)?;
    let all = || pieces.into_iter().flat_map(BTreeMap::values);
    let packed: usize = all().map(|p| p.packed.len()).sum();
    if size as u64 > budget.grown(packed) {
        return Err(Limit::Ratio.into());
    }
    budget.hold(size)?;
    let mut out = vec![0; size];
    for piece in all() {
        if piece.length == 0 {
            continue;
        }
        // A piece covers at most one page of the machine that wrote it.
        if piece.length > 64 << 10 {
            return Err(Fault::Malformed("jffs2 piece"));
        }
        budget.work(piece.length)?;
        let data = unpacked(piece)?;
        let end = piece.offset.saturating_add(data.len()).min(size);
        if let Some(room) = out.get_mut(piece.offset..end) {
            room.copy_from_slice(&data[..room.len()]);
        }
    }
    Ok(out.into())
}

fn unpacked(piece: &Piece) -> Result<Vec<u8>, Fault> {
    let (packed, size) = (&piece.packed[..], piece.length);
    let data = match piece.codec {
        0 => packed.to_vec(),
        1 => vec![0; size],
        2 => rtime(packed, size)?,
        6 => codec::block(Codec::Zlib, packed, size)?,
        7 => codec::block(Codec::Lzo, packed, size)?,
        // OpenWrt's: a bare stream with fixed properties.
        8 => lzma::raw(0, 0x2000, packed, size)?,
        _ => return Err(Fault::Unsupported("jffs2 compression")),
    };
    if data.len() != size {
        return Err(Fault::Malformed("jffs2 piece"));
    }
    Ok(data)
}

/// "rtime": after each byte a count of bytes to repeat from behind its last occurrence.
fn rtime(packed: &[u8], size: usize) -> Result<Vec<u8>, Fault> {
    let mut last = [0; 256];
    let mut out: Vec<u8> = Vec::with_capacity(size);
    for pair in packed.chunks(2) {
        if out.len() >= size {
            break;
        }
        let &[value, count] = pair else {
            return Err(Fault::Truncated("rtime"));
        };
        out.push(value);
        let from = std::mem::replace(&mut last[usize::from(value)], out.len());
        for at in from..from + usize::from(count) {
            let byte = *out.get(at).ok_or(Fault::Malformed("rtime"))?;
            out.push(byte);
        }
    }
    out.truncate(size);
    Ok(out)
}
