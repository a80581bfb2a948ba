//! SquashFS 4, and 3 in both byte orders, with every compression that was ever put into them.
//!
//! Layouts follow the Linux kernel's documentation ("Squashfs 4.0 Filesystem") and, for version 3,
//! its published header file. Vendors changed magics and put LZMA into version 3 and 4, so where an image
//! says gzip, or nothing, the compression is found by trying.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::FOLDERS;
use crate::{
    Class, Fault,
    codec::{self, Codec},
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "squashfs",
    class: Class::Filesystem,
    magics: &[
        Magic(0, b"hsqs"),
        Magic(0, b"sqsh"),
        Magic(0, b"shsq"),
        Magic(0, b"qshs"),
        Magic(0, b"tqsh"),
        Magic(0, b"hsqt"),
        Magic(0, b"sqlz"),
        Magic(0, b"zlqs"),
    ],
    carved: true,
    open,
};

const META: usize = 8192;
const STORED: u32 = 1 << 24;
const NONE: u32 = u32::MAX;

/// What the superblock says, in the words of version 4.
struct Super {
    big: bool,
    major: u16,
    codecs: &'static [Codec],
    block: usize,
    fragments: usize,
    root: u64,
    used: u64,
    inodes: usize,
    folders: usize,
    fragment_table: usize,
    ids: Vec<u32>,
    groups: Vec<u32>,
    /// Version 3 may put a mark behind the length of each metadata block.
    marked: bool,
}

struct Reader<'a, 'b, 'c> {
    bytes: &'a Bytes,
    head: Super,
    budget: &'b mut Budget<'c>,
    meta: HashMap<usize, (Bytes, usize)>,
    fragments: HashMap<usize, Bytes>,
}

/// An inode as both versions have it.
struct Inode {
    kind: u16,
    mode: u32,
    uid: u32,
    gid: u32,
    body: Body,
}

enum Body {
    Folder {
        block: usize,
        offset: usize,
        size: usize,
    },
    File {
        start: u64,
        size: u64,
        fragment: u32,
        offset: usize,
        blocks: Vec<u32>,
    },
    Link(Vec<u8>),
    Other,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut opened = Opened::default();
    let head = superblock(bytes, budget)?;
    opened.used = usize::try_from(head.used)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    if (opened.used as u64) < head.used {
        opened.faults.push(Fault::Truncated("squashfs"));
    }
    // Images are padded to 4 KiB.
    let padded = crate::view::align(opened.used, 4096).min(bytes.len());
    if bytes[opened.used..padded].iter().all(|b| *b == 0) {
        opened.used = padded;
    }
    opened.fact("version", head.major.to_string());
    opened.fact("block", head.block.to_string());
    let root = head.root;
    let mut reader = Reader {
        bytes,
        head,
        budget,
        meta: HashMap::new(),
        fragments: HashMap::new(),
    };
    let root = reader.inode(root)?;
    reader.walk(root, &mut opened)?;
    if let [codec] = reader.head.codecs {
        opened.fact("compression", format!("{codec:?}").to_lowercase());
    }
    Ok(opened)
}

fn superblock(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Super, Fault> {
    let big = View::little(bytes).u16(28)? > 255;
    let view = View::ordered(bytes, big);
    let place = |at: usize| -> Result<usize, Fault> {
        let raw = view.u64(at)?;
        usize::try_from(raw)
            .ok()
            .filter(|at| *at < 1 << 40)
            .ok_or(Fault::Malformed("squashfs table"))
    };
    let major = view.u16(28)?;
    let mut head = match major {
        4 => Super {
            big,
            major,
            codecs: match view.u16(20)? {
                1 => &[Codec::Zlib, Codec::Lzma, Codec::Xz],
                2 => &[Codec::Lzma],
                3 => &[Codec::Lzo],
                4 => &[Codec::Xz],
                5 => &[Codec::Lz4],
                6 => &[Codec::Zstd],
                _ => return Err(Fault::Unsupported("squashfs compression")),
            },
            block: view.at32(12)?,
            fragments: view.at32(16)?,
            root: view.u64(32)?,
            used: view.u64(40)?,
            inodes: place(64)?,
            folders: place(72)?,
            fragment_table: place(80)?,
            ids: Vec::new(),
            groups: Vec::new(),
            marked: false,
        },
        3 => Super {
            big,
            major,
            codecs: &[Codec::Zlib, Codec::Lzma, Codec::Xz],
            block: view.at32(51)?,
            fragments: view.at32(55)?,
            root: view.u64(43)?,
            used: view.u64(63)?,
            inodes: place(87)?,
            folders: place(95)?,
            fragment_table: place(103)?,
            ids: Vec::new(),
            groups: Vec::new(),
            marked: view.u8(36)? & 4 != 0,
        },
        _ => return Err(Fault::Unsupported("squashfs version")),
    };
    if !head.block.is_power_of_two() || !(4096..=1 << 20).contains(&head.block) {
        return Err(Fault::Malformed("squashfs block size"));
    }
    if major == 3 {
        let list = |at: usize, count: usize| -> Result<Vec<u32>, Fault> {
            (0..count).map(|n| view.u32(at + n * 4)).collect()
        };
        head.ids = list(place(71)?, usize::from(view.u8(37)?)).unwrap_or_default();
        head.groups = list(place(79)?, usize::from(view.u8(38)?)).unwrap_or_default();
        return Ok(head);
    }
    let (count, table) = (usize::from(view.u16(26)?), place(48)?);
    let mut reader = Reader {
        bytes,
        head,
        budget,
        meta: HashMap::new(),
        fragments: HashMap::new(),
    };
    // A cut image has lost its tables of owners first; its files may still be there.
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let Ok(block) = view.u64(table + n / 2048 * 8) else {
            break;
        };
        let Ok(block) = usize::try_from(block) else {
            break;
        };
        match reader.read(&mut (block, n % 2048 * 4), 4) {
            Ok(raw) => ids.push(View::ordered(&raw, big).u32(0)?),
            Err(_) => break,
        }
    }
    let mut head = reader.head;
    head.ids = ids;
    Ok(head)
}

impl Reader<'_, '_, '_> {
    fn unpack(&mut self, packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        let mut fault = Fault::Malformed("squashfs block");
        for (index, codec) in self.head.codecs.iter().enumerate() {
            match codec::block(*codec, packed, most) {
                Ok(out) => {
                    // What worked once is what the whole image uses.
                    self.head.codecs = &self.head.codecs[index..=index];
                    self.budget.work(out.len())?;
                    return Ok(out);
                }
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    /// The metadata block at `at`, and where the next one begins.
    fn block(&mut self, at: usize) -> Result<(Bytes, usize), Fault> {
        if let Some(known) = self.meta.get(&at) {
            return Ok(known.clone());
        }
        let word = View::ordered(self.bytes, self.head.big).u16(at)?;
        let stored = word & 0x8000 != 0;
        let size = match usize::from(word & 0x7fff) {
            0 => 0x8000,
            size => size,
        };
        let start = at
            .checked_add(if self.head.marked { 3 } else { 2 })
            .ok_or(Fault::Malformed("squashfs metadata"))?;
        let packed = cut(self.bytes, start, size)?;
        let data = if stored {
            packed
        } else {
            self.unpack(&packed, META)?.into()
        };
        if data.is_empty() {
            return Err(Fault::Malformed("squashfs metadata"));
        }
        self.budget.hold(data.len())?;
        self.meta.insert(at, (data.clone(), start + size));
        Ok((data, start + size))
    }

    /// `length` bytes of metadata from a place, which moves behind them.
    fn read(&mut self, place: &mut (usize, usize), length: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(length.min(1 << 16));
        while out.len() < length {
            let (data, next) = self.block(place.0)?;
            if place.1 >= data.len() {
                *place = (next, place.1 - data.len());
                continue;
            }
            let end = data.len().min(place.1 + length - out.len());
            out.extend_from_slice(&data[place.1..end]);
            place.1 = end;
        }
        Ok(out)
    }

    fn inode(&mut self, reference: u64) -> Result<Inode, Fault> {
        let start = self.head.inodes + ((reference >> 16) & 0xffff_ffff) as usize;
        let mut place = (start, (reference & 0xffff) as usize);
        if self.head.major == 3 {
            self.inode3(&mut place)
        } else {
            self.inode4(&mut place)
        }
    }

    fn inode4(&mut self, place: &mut (usize, usize)) -> Result<Inode, Fault> {
        let big = self.head.big;
        let raw = self.read(place, 16)?;
        let view = View::ordered(&raw, big);
        let kind = view.u16(0)?;
        let owner = |ids: &[u32], n: u16| ids.get(usize::from(n)).copied().unwrap_or(0);
        let (uid, gid) = (
            owner(&self.head.ids, view.u16(4)?),
            owner(&self.head.ids, view.u16(6)?),
        );
        let mode = u32::from(view.u16(2)?);
        let body = match kind {
            1 => {
                let raw = self.read(place, 16)?;
                let view = View::ordered(&raw, big);
                Body::Folder {
                    block: view.at32(0)?,
                    size: usize::from(view.u16(8)?),
                    offset: usize::from(view.u16(10)?),
                }
            }
            8 => {
                let raw = self.read(place, 24)?;
                let view = View::ordered(&raw, big);
                Body::Folder {
                    size: view.at32(4)?,
                    block: view.at32(8)?,
                    offset: usize::from(view.u16(18)?),
                }
            }
            2 => {
                let raw = self.read(place, 16)?;
                let view = View::ordered(&raw, big);
                let size = u64::from(view.u32(12)?);
                let fragment = view.u32(4)?;
                Body::File {
                    start: u64::from(view.u32(0)?),
                    size,
                    fragment,
                    offset: view.at32(8)?,
                    blocks: self.blocks(place, size, fragment)?,
                }
            }
            9 => {
                let raw = self.read(place, 40)?;
                let view = View::ordered(&raw, big);
                let size = view.u64(8)?;
                let fragment = view.u32(28)?;
                Body::File {
                    start: view.u64(0)?,
                    size,
                    fragment,
                    offset: view.at32(32)?,
                    blocks: self.blocks(place, size, fragment)?,
                }
            }
            3 | 10 => {
                let raw = self.read(place, 8)?;
                let size = View::ordered(&raw, big).at32(4)?;
                self.link(place, size)?
            }
            4..=7 | 11..=14 => Body::Other,
            _ => return Err(Fault::Malformed("squashfs inode")),
        };
        Ok(Inode {
            kind: if kind > 7 { kind - 7 } else { kind },
            mode,
            uid,
            gid,
            body,
        })
    }

    fn inode3(&mut self, place: &mut (usize, usize)) -> Result<Inode, Fault> {
        let big = self.head.big;
        let raw = self.read(place, 12)?;
        let view = View::ordered(&raw, big);
        let word = view.u16(0)?;
        let (kind, mode) = if big {
            (word >> 12, word & 0xfff)
        } else {
            (word & 0xf, word >> 4)
        };
        let uid = self
            .head
            .ids
            .get(usize::from(view.u8(2)?))
            .copied()
            .unwrap_or(0);
        // A group of 255 stands for the owner's.
        let gid = self
            .head
            .groups
            .get(usize::from(view.u8(3)?))
            .copied()
            .unwrap_or(uid);
        let body = match kind {
            1 => {
                let raw = self.read(place, 16)?;
                let view = View::ordered(&raw, big);
                let word = view.u32(4)?;
                let (size, offset) = if big {
                    (word >> 13, word & 0x1fff)
                } else {
                    (word & 0x7_ffff, word >> 19)
                };
                Body::Folder {
                    block: view.at32(8)?,
                    size: size as usize,
                    offset: offset as usize,
                }
            }
            8 => {
                let raw = self.read(place, 19)?;
                let bits = raw[4..9].iter();
                let (size, offset) = if big {
                    let word = bits.fold(0_u64, |w, b| w << 8 | u64::from(*b));
                    (word >> 13, word & 0x1fff)
                } else {
                    let word = bits.rev().fold(0_u64, |w, b| w << 8 | u64::from(*b));
                    (word & 0x7ff_ffff, word >> 27)
                };
                Body::Folder {
                    block: View::ordered(&raw, big).at32(9)?,
                    size: size as usize,
                    offset: offset as usize,
                }
            }
            2 => {
                let raw = self.read(place, 20)?;
                let view = View::ordered(&raw, big);
                let (fragment, size) = (view.u32(8)?, u64::from(view.u32(16)?));
                Body::File {
                    start: view.u64(0)?,
                    size,
                    fragment,
                    offset: view.at32(12)?,
                    blocks: self.blocks(place, size, fragment)?,
                }
            }
            9 => {
                let raw = self.read(place, 28)?;
                let view = View::ordered(&raw, big);
                let (fragment, size) = (view.u32(12)?, view.u64(20)?);
                Body::File {
                    start: view.u64(4)?,
                    size,
                    fragment,
                    offset: view.at32(16)?,
                    blocks: self.blocks(place, size, fragment)?,
                }
            }
            3 => {
                let raw = self.read(place, 6)?;
                let size = usize::from(View::ordered(&raw, big).u16(4)?);
                self.link(place, size)?
            }
            4..=7 => Body::Other,
            _ => return Err(Fault::Malformed("squashfs inode")),
        };
        Ok(Inode {
            kind: if kind > 7 { kind - 7 } else { kind },
            mode: u32::from(mode),
            uid,
            gid,
            body,
        })
    }

    fn link(&mut self, place: &mut (usize, usize), size: usize) -> Result<Body, Fault> {
        if size > 65536 {
            return Err(Fault::Malformed("squashfs link"));
        }
        Ok(Body::Link(self.read(place, size)?))
    }

    fn blocks(
        &mut self,
        place: &mut (usize, usize),
        size: u64,
        fragment: u32,
    ) -> Result<Vec<u32>, Fault> {
        let size = self.budget.file(size)?;
        let count = if fragment == NONE {
            size.div_ceil(self.head.block)
        } else {
            size / self.head.block
        };
        let raw = self.read(place, count * 4)?;
        let view = View::ordered(&raw, self.head.big);
        (0..count).map(|n| view.u32(n * 4)).collect()
    }

    /// The packed or stored bytes that a size word tells of.
    fn data(&mut self, at: usize, word: u32, most: usize) -> Result<Bytes, Fault> {
        let size = (word & !STORED) as usize;
        if size > self.head.block + 1024 {
            return Err(Fault::Malformed("squashfs block size"));
        }
        let packed = cut(self.bytes, at, size)?;
        if word & STORED != 0 {
            return Ok(packed);
        }
        Ok(self.unpack(&packed, most)?.into())
    }

    fn fragment(&mut self, index: usize) -> Result<Bytes, Fault> {
        if let Some(known) = self.fragments.get(&index) {
            return Ok(known.clone());
        }
        if index >= self.head.fragments {
            return Err(Fault::Malformed("squashfs fragment"));
        }
        let view = View::ordered(self.bytes, self.head.big);
        let at = self
            .head
            .fragment_table
            .checked_add(index / 512 * 8)
            .ok_or(Fault::Malformed("squashfs fragment"))?;
        let block =
            usize::try_from(view.u64(at)?).map_err(|_| Fault::Malformed("squashfs fragment"))?;
        let raw = self.read(&mut (block, index % 512 * 16), 16)?;
        let view = View::ordered(&raw, self.head.big);
        let at =
            usize::try_from(view.u64(0)?).map_err(|_| Fault::Malformed("squashfs fragment"))?;
        let data = self.data(at, view.u32(8)?, self.head.block)?;
        self.budget.hold(data.len())?;
        self.fragments.insert(index, data.clone());
        Ok(data)
    }

    fn file(
        &mut self,
        start: u64,
        size: u64,
        fragment: u32,
        offset: usize,
        blocks: &[u32],
    ) -> Result<Bytes, Fault> {
        let size = self.budget.file(size)?;
        let tail = if fragment == NONE {
            Bytes::new()
        } else {
            let length = size % self.head.block;
            let data = self.fragment(fragment as usize)?;
            cut(&data, offset, length)?
        };
        if blocks.is_empty() {
            return Ok(tail);
        }
        self.budget.hold(size)?;
        let mut out = Vec::new();
        let mut at = usize::try_from(start).map_err(|_| Fault::Malformed("squashfs block"))?;
        for &word in blocks {
            let most = self.head.block.min(size - out.len().min(size));
            if word == 0 {
                out.resize(out.len() + most, 0);
                continue;
            }
            let data = self.data(at, word, self.head.block)?;
            at += (word & !STORED) as usize;
            out.extend_from_slice(&data[..data.len().min(most)]);
            if data.len() < most {
                out.resize(out.len() + most - data.len(), 0);
            }
        }
        out.extend_from_slice(&tail);
        if out.len() != size {
            return Err(Fault::Malformed("squashfs file"));
        }
        Ok(out.into())
    }

    /// All entries below the root, folders depth first.
    fn walk(&mut self, root: Inode, opened: &mut Opened) -> Result<(), Fault> {
        let mut line = vec![(String::new(), root, 0)];
        let mut seen = HashSet::new();
        while let Some((folder, inode, depth)) = line.pop() {
            let Body::Folder {
                block,
                offset,
                size,
            } = inode.body
            else {
                return Err(Fault::Malformed("squashfs root"));
            };
            if !seen.insert((block, offset)) && size > 3 {
                opened.faults.push(Fault::Malformed("a folder in itself"));
                continue;
            }
            let names = match self.names(block, offset, size) {
                Ok(names) => names,
                Err(fault) if Budget::exhausted(&fault) || depth == 0 => return Err(fault),
                Err(fault) => {
                    opened.faults.push(fault);
                    continue;
                }
            };
            for (name, reference) in names {
                self.budget.entry()?;
                let path = format!("{folder}/{name}");
                let inode = match self.inode(reference) {
                    Ok(inode) => inode,
                    Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                    Err(fault) => {
                        opened.faults.push(fault);
                        continue;
                    }
                };
                let kind = match &inode.body {
                    Body::Folder { .. } => Kind::Folder,
                    Body::Link(target) => Kind::Link(path::printable(target)),
                    Body::Other => Kind::Special,
                    Body::File {
                        start,
                        size,
                        fragment,
                        offset,
                        blocks,
                    } => match self.file(*start, *size, *fragment, *offset, blocks) {
                        Ok(data) => Kind::File(data),
                        Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                        Err(fault) => {
                            opened.faults.push(fault);
                            continue;
                        }
                    },
                };
                opened.entries.push(Entry {
                    path: path.clone(),
                    kind,
                    mode: inode.mode & 0o7777,
                    uid: inode.uid,
                    gid: inode.gid,
                });
                if inode.kind == 1 && depth < FOLDERS {
                    line.push((path, inode, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// Names of a folder with the references of their inodes.
    fn names(
        &mut self,
        block: usize,
        offset: usize,
        size: usize,
    ) -> Result<Vec<(String, u64)>, Fault> {
        // The size counts "." and ".." as three bytes although they are not there.
        let Some(mut left) = size.checked_sub(3) else {
            return Ok(Vec::new());
        };
        let start = self
            .head
            .folders
            .checked_add(block)
            .ok_or(Fault::Malformed("squashfs folder"))?;
        let mut place = (start, offset);
        let mut names = Vec::new();
        let (big, old) = (self.head.big, self.head.major == 3);
        while left > 0 {
            let length = if old { 9 } else { 12 };
            let raw = self.read(&mut place, length)?;
            let view = View::ordered(&raw, big);
            let (count, inodes) = if old {
                (usize::from(view.u8(0)?), view.u32(1)?)
            } else {
                (view.at32(0)?, view.u32(4)?)
            };
            left = left.saturating_sub(length);
            if count > 256 {
                return Err(Fault::Malformed("squashfs folder"));
            }
            for _ in 0..=count {
                let length = if old { 5 } else { 8 };
                let raw = self.read(&mut place, length)?;
                let view = View::ordered(&raw, big);
                let (offset, size) = if old {
                    let word = view.u16(0)?;
                    let offset = if big { word >> 3 } else { word & 0x1fff };
                    (offset, usize::from(view.u8(2)?))
                } else {
                    (view.u16(0)?, usize::from(view.u16(6)?))
                };
                if size > 255 {
                    return Err(Fault::Malformed("squashfs name"));
                }
                let name = self.read(&mut place, size + 1)?;
                left = left.saturating_sub(length + size + 1);
                if name == b"." || name == b".." || name.contains(&b'/') {
                    return Err(Fault::Malformed("squashfs name"));
                }
                names.push((
                    path::printable(&name),
                    u64::from(inodes) << 16 | u64::from(offset),
                ));
                self.budget.work(64)?;
            }
        }
        Ok(names)
    }
}
