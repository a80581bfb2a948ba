//! UBIFS. Instead of its index all nodes are read and the newest of each key counts, so that images
//! that were not unmounted, and cut ones, give what they hold.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::{FOLDERS, special};
use crate::{
    Class, Fault,
    codec::{self, Codec},
    format::{Entry, Format, Kind, Magic, Opened},
    limits::{Budget, Limit},
    path,
    view::{View, align, crc32_from, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "ubifs",
    class: Class::Filesystem,
    magics: &[Magic(0, b"\x31\x18\x10\x06")],
    carved: true,
    open,
};

const BLOCK: usize = 4096;
const ROOT: u32 = 1;

struct Inode {
    sequence: u64,
    size: u64,
    links: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    inline: Bytes,
}

struct Data {
    sequence: u64,
    size: usize,
    codec: u16,
    packed: Bytes,
}

#[derive(Default)]
struct Nodes {
    inodes: HashMap<u32, Inode>,
    data: HashMap<u32, BTreeMap<u32, Data>>,
    /// Names of a folder: the inode, zero for "removed".
    names: HashMap<u32, BTreeMap<String, (u64, u32)>>,
    cuts: Vec<(u64, u32, u64)>,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    node(view, 0)
        .filter(|(kind, _)| *kind == 6)
        .ok_or(Fault::Malformed("ubifs superblock"))?;
    let (logical, count) = (view.at32(36)?, view.at32(40)?);
    if !(1 << 12..=1 << 24).contains(&logical) {
        return Err(Fault::Malformed("ubifs block size"));
    }
    let whole = logical.saturating_mul(count);
    let mut opened = Opened {
        used: whole.min(bytes.len()),
        ..Opened::default()
    };
    if whole > bytes.len() {
        opened.faults.push(Fault::Truncated("ubifs"));
    }
    let mut nodes = Nodes::default();
    for start in (0..opened.used).step_by(logical) {
        let end = (start + logical).min(opened.used);
        let mut at = start;
        while at + 24 <= end {
            match node(view, at) {
                Some((kind, length)) => {
                    budget.work(length)?;
                    // A node that lies is left out; the others tell what there is.
                    _ = nodes.take(bytes, at, kind, length);
                    at = align(at + length, 8);
                }
                None if view.u32(at)? == u32::MAX => {
                    // Blank up to the next write unit.
                    let rest = &bytes[at..end];
                    at += rest.iter().position(|b| *b != 0xff).unwrap_or(rest.len()) / 8 * 8;
                    if bytes
                        .get(at..at + 4)
                        .is_some_and(|w| w == b"\xff\xff\xff\xff")
                    {
                        at += 8;
                    }
                }
                None => at += 8,
            }
        }
    }
    nodes.truncate();
    nodes.walk(&mut opened, budget)?;
    Ok(opened)
}

/// Kind and length of a whole node at `at`.
fn node(view: View<'_>, at: usize) -> Option<(u8, usize)> {
    if view.u32(at).ok()? != 0x0610_1831 {
        return None;
    }
    let length = view.at32(at + 16).ok()?;
    if length < 24 {
        return None;
    }
    let body = view.slice(at + 8, length - 8).ok()?;
    (crc32_from(u32::MAX, body) == view.u32(at + 4).ok()?)
        .then_some((view.u8(at + 20).ok()?, length))
}

impl Nodes {
    fn take(&mut self, bytes: &Bytes, at: usize, kind: u8, length: usize) -> Result<(), Fault> {
        let node = View::little(bytes).part(at, length)?;
        let sequence = node.u64(8)?;
        match kind {
            0 => {
                let inode = Inode {
                    sequence,
                    size: node.u64(48)?,
                    links: node.u32(92)?,
                    uid: node.u32(96)?,
                    gid: node.u32(100)?,
                    mode: node.u32(104)?,
                    inline: cut(bytes, at + 160, node.at32(112)?)?,
                };
                let key = node.u32(24)?;
                if self.inodes.get(&key).is_none_or(|i| i.sequence < sequence) {
                    self.inodes.insert(key, inode);
                }
            }
            1 => {
                let block = node.u32(28)? & 0x1fff_ffff;
                let data = Data {
                    sequence,
                    size: node.at32(40)?,
                    codec: node.u16(44)?,
                    packed: cut(bytes, at + 48, length.saturating_sub(48))?,
                };
                let blocks = self.data.entry(node.u32(24)?).or_default();
                if blocks.get(&block).is_none_or(|d| d.sequence < sequence) {
                    blocks.insert(block, data);
                }
            }
            2 => {
                let length = usize::from(node.u16(50)?);
                let raw = node.slice(56, length)?;
                if raw.contains(&b'/') || raw == b"." || raw == b".." || raw.is_empty() {
                    return Err(Fault::Malformed("ubifs name"));
                }
                let inode = u32::try_from(node.u64(40)?)
                    .map_err(|_| Fault::Malformed("ubifs inode number"))?;
                let names = self.names.entry(node.u32(24)?).or_default();
                let known = names.entry(path::printable(raw)).or_insert((0, 0));
                if known.0 <= sequence {
                    *known = (sequence, inode);
                }
            }
            4 => {
                let inode = node.u32(24)?;
                self.cuts.push((sequence, inode, node.u64(48)?));
            }
            _ => {}
        }
        Ok(())
    }

    /// Blocks behind the new end of a file that was made shorter must not come back.
    fn truncate(&mut self) {
        for (sequence, inode, size) in &self.cuts {
            if let Some(blocks) = self.data.get_mut(inode) {
                blocks.retain(|number, data| {
                    data.sequence > *sequence || u64::from(*number) * (BLOCK as u64) < *size
                });
            }
        }
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
                let Some(inode) = self.inodes.get(&number) else {
                    opened.faults.push(Fault::Malformed("a name without inode"));
                    continue;
                };
                if inode.links == 0 {
                    continue;
                }
                let path = format!("{path}/{name}");
                let kind = match special(inode.mode) {
                    Some(kind) => kind,
                    None if inode.mode & 0o170_000 == 0o120_000 => {
                        Kind::Link(path::printable(&inode.inline))
                    }
                    None => match self.file(number, inode, budget) {
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
                    mode: inode.mode & 0o7777,
                    uid: inode.uid,
                    gid: inode.gid,
                });
            }
        }
        Ok(())
    }

    fn file(&self, number: u32, inode: &Inode, budget: &mut Budget<'_>) -> Result<Bytes, Fault> {
        let size = budget.file(inode.size)?;
        let blocks = self.data.get(&number);
        let packed: usize = blocks.map_or(0, |b| b.values().map(|d| d.packed.len()).sum());
        if size as u64 > budget.grown(packed) {
            return Err(Limit::Ratio.into());
        }
        budget.hold(size)?;
        let mut out = Vec::with_capacity(size);
        for (&number, data) in blocks.into_iter().flatten() {
            let start = number as usize * BLOCK;
            if start >= size {
                break;
            }
            out.resize(start, 0);
            let most = data.size.min(BLOCK);
            match data.codec {
                0 => out.extend_from_slice(&data.packed[..data.packed.len().min(most)]),
                1 => out.extend_from_slice(&codec::block(Codec::Lzo, &data.packed, most)?),
                2 => out.extend_from_slice(&codec::block(Codec::Deflate, &data.packed, most)?),
                3 => out.extend_from_slice(&codec::block(Codec::Zstd, &data.packed, most)?),
                _ => return Err(Fault::Unsupported("ubifs compression")),
            }
        }
        out.resize(size, 0);
        Ok(out.into())
    }
}
