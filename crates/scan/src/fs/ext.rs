//! ext2, ext3 and ext4, read only and without the journal. Ours, because the crate for it refuses
//! file systems without the type in their names, which small writers make.

use std::collections::HashSet;

use bytes::Bytes;

use super::{FOLDERS, special};
use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::{Budget, Limit},
    path,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "ext",
    class: Class::Filesystem,
    magics: &[Magic(1080, b"\x53\xef")],
    carved: true,
    open,
};

const ROOT: u32 = 2;
const EXTENTS: u32 = 0x8_0000;
const INLINE: u32 = 0x1000_0000;
/// Features whose layout this reader does not know: compression, a journal elsewhere, meta block
/// groups, encryption.
const FOREIGN: u32 = 0x1 | 0x8 | 0x10 | 0x1_0000;

struct Ext<'a, 'b, 'c> {
    bytes: &'a Bytes,
    block: usize,
    per_group: u32,
    inodes: u32,
    inode_size: usize,
    group_size: usize,
    groups: usize,
    budget: &'b mut Budget<'c>,
}

struct Inode {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    flags: u32,
    blocks: u32,
    /// The sixty bytes of places.
    place: usize,
    at: usize,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let head = View::little(bytes).part(1024, 1024)?;
    let shift = head.u32(24)?;
    let (inodes, per_group) = (head.u32(0)?, head.u32(40)?);
    if shift > 6 || per_group == 0 || inodes == 0 || head.u32(20)? > 1 {
        return Err(Fault::Malformed("ext superblock"));
    }
    let block = 1024_usize << shift;
    let modern = head.u32(76)? > 0;
    let features = if modern { head.u32(96)? } else { 0 };
    let wide = features & 0x80 != 0;
    if features & FOREIGN != 0 {
        return Err(Fault::Unsupported("ext feature"));
    }
    let count = u64::from(head.u32(4)?)
        | if wide {
            u64::from(head.u32(336)?) << 32
        } else {
            0
        };
    let whole = count.saturating_mul(block as u64);
    let inode_size = if modern {
        usize::from(head.u16(88)?)
    } else {
        128
    };
    let group_size = if wide {
        usize::from(head.u16(254)?)
    } else {
        32
    };
    if !(128..=block).contains(&inode_size) || !(32..=1024).contains(&group_size) {
        return Err(Fault::Malformed("ext superblock"));
    }
    let mut opened = Opened {
        used: usize::try_from(whole)
            .unwrap_or(usize::MAX)
            .min(bytes.len()),
        ..Opened::default()
    };
    if (opened.used as u64) < whole {
        opened.faults.push(Fault::Truncated("ext"));
    }
    opened.fact("name", head.text(120, 16)?);
    let version = if features & 0x40 != 0 {
        "ext4"
    } else if head.u32(92)? & 4 != 0 {
        "ext3"
    } else {
        "ext2"
    };
    opened.fact("version", version);
    if features & 4 != 0 {
        opened.fact("journal", "not played back");
    }
    let mut ext = Ext {
        bytes,
        block,
        per_group,
        inodes,
        inode_size,
        group_size,
        groups: if block == 1024 { 2048 } else { block },
        budget,
    };
    ext.walk(&mut opened)?;
    Ok(opened)
}

impl Ext<'_, '_, '_> {
    fn inode(&self, number: u32) -> Result<Inode, Fault> {
        if number == 0 || number > self.inodes {
            return Err(Fault::Malformed("ext inode number"));
        }
        let view = View::little(self.bytes);
        let (group, index) = ((number - 1) / self.per_group, (number - 1) % self.per_group);
        let entry = self.groups + group as usize * self.group_size;
        let mut table = u64::from(view.u32(entry + 8)?);
        if self.group_size >= 64 {
            table |= u64::from(view.u32(entry + 40)?) << 32;
        }
        let at = usize::try_from(table)
            .ok()
            .and_then(|t| t.checked_mul(self.block))
            .and_then(|t| t.checked_add(index as usize * self.inode_size))
            .ok_or(Fault::Malformed("ext inode table"))?;
        let node = view.part(at, 128)?;
        Ok(Inode {
            mode: u32::from(node.u16(0)?),
            uid: u32::from(node.u16(2)?) | u32::from(node.u16(120)?) << 16,
            gid: u32::from(node.u16(24)?) | u32::from(node.u16(122)?) << 16,
            size: u64::from(node.u32(4)?) | u64::from(node.u32(108)?) << 32,
            flags: node.u32(32)?,
            blocks: node.u32(28)?,
            place: at + 40,
            at,
        })
    }

    /// A file's bytes; holes are zeros.
    fn content(&mut self, inode: &Inode) -> Result<Bytes, Fault> {
        let size = self.budget.file(inode.size)?;
        if inode.flags & INLINE != 0 {
            return self.inline(inode, size);
        }
        if size as u64 > self.budget.grown(self.bytes.len()) {
            return Err(Limit::Ratio.into());
        }
        let mut runs = Vec::new();
        if inode.flags & EXTENTS != 0 {
            self.extents(inode.place, 60, 0, &mut runs)?;
        } else {
            self.pointers(inode.place, size.div_ceil(self.block), &mut runs)?;
        }
        runs.sort_unstable();
        // One run that covers all needs no copy.
        if let [(0, start, count)] = runs[..]
            && count * self.block >= size
        {
            return cut(self.bytes, start, size);
        }
        self.budget.hold(size)?;
        let mut out = Vec::with_capacity(size);
        for (number, start, count) in runs {
            let from = number.saturating_mul(self.block);
            if from >= size {
                break;
            }
            if from < out.len() {
                return Err(Fault::Malformed("ext blocks overlap"));
            }
            out.resize(from, 0);
            let length = (count * self.block).min(size - from);
            out.extend_from_slice(&cut(self.bytes, start, length)?);
        }
        out.resize(size, 0);
        Ok(out.into())
    }

    /// Content inside the inode: sixty bytes, then an attribute named "data".
    fn inline(&self, inode: &Inode, size: usize) -> Result<Bytes, Fault> {
        let mut out = cut(self.bytes, inode.place, size.min(60))?.to_vec();
        if size > 60 {
            let view = View::little(self.bytes).part(inode.at, self.inode_size)?;
            let start = 128 + usize::from(view.u16(128)?);
            if view.u32(start)? != 0xea02_0000 {
                return Err(Fault::Malformed("ext inline data"));
            }
            let mut at = start + 4;
            loop {
                let (length, index) = (usize::from(view.u8(at)?), view.u8(at + 1)?);
                if length == 0 && index == 0 {
                    return Err(Fault::Malformed("ext inline data"));
                }
                if index == 7 && view.slice(at + 16, length)? == b"data" {
                    let value = start + 4 + usize::from(view.u16(at + 2)?);
                    let rest = view.at32(at + 8)?.min(size - 60);
                    out.extend_from_slice(view.slice(value, rest)?);
                    break;
                }
                at += (16 + length).div_ceil(4) * 4;
            }
        }
        out.resize(size, 0);
        Ok(out.into())
    }

    /// Runs of blocks of an extent tree: number in the file, offset in the image, count.
    fn extents(
        &mut self,
        at: usize,
        room: usize,
        depth: usize,
        runs: &mut Vec<(usize, usize, usize)>,
    ) -> Result<(), Fault> {
        let node = View::little(self.bytes).part(at, room)?;
        if node.u16(0)? != 0xf30a || depth > 5 {
            return Err(Fault::Malformed("ext extents"));
        }
        let (count, level) = (usize::from(node.u16(2)?), node.u16(6)?);
        for index in 0..count {
            self.budget.work(12)?;
            let entry = 12 + index * 12;
            if level == 0 {
                let length = usize::from(node.u16(entry + 4)?);
                // Longer ones are reserved but not written: they read as zeros.
                if length > 32768 || length == 0 {
                    continue;
                }
                let start = u64::from(node.u16(entry + 6)?) << 32 | u64::from(node.u32(entry + 8)?);
                let start = self.offset(start)?;
                runs.push((node.at32(entry)?, start, length));
            } else {
                let leaf = u64::from(node.u16(entry + 8)?) << 32 | u64::from(node.u32(entry + 4)?);
                let leaf = self.offset(leaf)?;
                self.extents(leaf, self.block, depth + 1, runs)?;
            }
            if runs.len() > 1 << 20 {
                return Err(Fault::Malformed("ext extents"));
            }
        }
        Ok(())
    }

    fn offset(&self, block: u64) -> Result<usize, Fault> {
        usize::try_from(block)
            .ok()
            .and_then(|b| b.checked_mul(self.block))
            .ok_or(Fault::Malformed("ext block"))
    }

    /// The old scheme: twelve blocks, then one, two and three levels of tables.
    fn pointers(
        &mut self,
        place: usize,
        count: usize,
        runs: &mut Vec<(usize, usize, usize)>,
    ) -> Result<(), Fault> {
        let view = View::little(self.bytes);
        let mut number = 0;
        for index in 0..12 {
            if number >= count {
                return Ok(());
            }
            self.put(view.u32(place + index * 4)?, number, runs)?;
            number += 1;
        }
        for level in 1..=3_u32 {
            let table = view.u32(place + (11 + level as usize) * 4)?;
            self.table(table, level, &mut number, count, runs)?;
        }
        Ok(())
    }

    fn put(
        &self,
        block: u32,
        number: usize,
        runs: &mut Vec<(usize, usize, usize)>,
    ) -> Result<(), Fault> {
        if block == 0 {
            return Ok(());
        }
        let start = self.offset(u64::from(block))?;
        if let Some((first, at, length)) = runs.last_mut()
            && *first + *length == number
            && *at + *length * self.block == start
        {
            *length += 1;
            return Ok(());
        }
        runs.push((number, start, 1));
        Ok(())
    }

    fn table(
        &mut self,
        table: u32,
        level: u32,
        number: &mut usize,
        count: usize,
        runs: &mut Vec<(usize, usize, usize)>,
    ) -> Result<(), Fault> {
        let width = self.block / 4;
        if *number >= count {
            return Ok(());
        }
        if table == 0 {
            *number += width.pow(level);
            return Ok(());
        }
        self.budget.work(self.block)?;
        let at = self.offset(u64::from(table))?;
        let view = View::little(self.bytes).part(at, self.block)?;
        for index in 0..width {
            if *number >= count {
                break;
            }
            let block = view.u32(index * 4)?;
            if level == 1 {
                self.put(block, *number, runs)?;
                *number += 1;
            } else {
                self.table(block, level - 1, number, count, runs)?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, opened: &mut Opened) -> Result<(), Fault> {
        let root = self.inode(ROOT)?;
        if root.mode & 0o170_000 != 0o040_000 {
            return Err(Fault::Malformed("ext root"));
        }
        let mut line = vec![(String::new(), root, 0)];
        let mut seen = HashSet::from([ROOT]);
        while let Some((folder, inode, depth)) = line.pop() {
            let names = match self.names(&inode) {
                Ok(names) => names,
                Err(fault) if Budget::exhausted(&fault) || depth == 0 => return Err(fault),
                Err(fault) => {
                    opened.faults.push(fault);
                    continue;
                }
            };
            for (name, number) in names {
                self.budget.entry()?;
                let path = format!("{folder}/{name}");
                match self.entry(&path, number) {
                    Ok((entry, inode)) => {
                        if entry.kind == Kind::Folder {
                            if depth < FOLDERS && seen.insert(number) {
                                line.push((path, inode, depth + 1));
                            } else {
                                opened.faults.push(Fault::Malformed("a folder in itself"));
                            }
                        }
                        opened.entries.push(entry);
                    }
                    Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                    Err(fault) => opened.faults.push(fault),
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, number: u32) -> Result<(Entry, Inode), Fault> {
        let inode = self.inode(number)?;
        let kind = match special(inode.mode) {
            Some(kind) => kind,
            None if inode.mode & 0o170_000 == 0o120_000 => {
                let fast = inode.size < 60 && inode.flags & (EXTENTS | INLINE) == 0
                    || inode.size < 60 && inode.blocks == 0 && inode.flags & EXTENTS == 0;
                let target = if fast {
                    cut(self.bytes, inode.place, inode.size as usize)?
                } else {
                    self.content(&inode)?
                };
                Kind::Link(path::printable(&target[..target.len().min(4096)]))
            }
            None => Kind::File(self.content(&inode)?),
        };
        let entry = Entry {
            path: path.to_owned(),
            kind,
            mode: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
        };
        Ok((entry, inode))
    }

    fn names(&mut self, inode: &Inode) -> Result<Vec<(String, u32)>, Fault> {
        let data = self.content(inode)?;
        let view = View::little(&data);
        // An inline folder begins with the number of its parent.
        let mut at = if inode.flags & INLINE != 0 { 4 } else { 0 };
        let mut names = Vec::new();
        while at + 8 <= data.len() {
            let (number, length) = (view.u32(at)?, usize::from(view.u16(at + 4)?));
            if length < 8 {
                break;
            }
            let raw = view.slice(at + 8, usize::from(view.u8(at + 6)?))?;
            // The high byte of the length is the type in newer ones; zero in old ones.
            if number != 0 && !raw.is_empty() && raw != b"." && raw != b".." && !raw.contains(&b'/')
            {
                names.push((path::printable(raw), number));
            }
            self.budget.work(length)?;
            at += length;
        }
        Ok(names)
    }
}
