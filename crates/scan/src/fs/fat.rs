//! FAT12, FAT16 and FAT32 with long names.

use std::collections::HashSet;

use bytes::Bytes;

use super::FOLDERS;
use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "fat",
    class: Class::Filesystem,
    magics: &[
        Magic(54, b"FAT12   "),
        Magic(54, b"FAT16   "),
        Magic(82, b"FAT32   "),
        Magic(54, b"FAT     "),
    ],
    carved: true,
    open,
};

struct Fat<'a, 'b, 'c> {
    bytes: &'a Bytes,
    bits: u32,
    /// Offsets of the table and of the first cluster; size of a cluster; how many there are.
    table: usize,
    data: usize,
    cluster: usize,
    count: u32,
    budget: &'b mut Budget<'c>,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let (sector, per_cluster) = (usize::from(view.u16(11)?), usize::from(view.u8(13)?));
    let (reserved, tables) = (usize::from(view.u16(14)?), usize::from(view.u8(16)?));
    let roots = usize::from(view.u16(17)?);
    let total = match view.u16(19)? {
        0 => view.at32(32)?,
        small => usize::from(small),
    };
    let table_size = match view.u16(22)? {
        0 => view.at32(36)?,
        small => usize::from(small),
    };
    let sane = matches!(sector, 512 | 1024 | 2048 | 4096)
        && per_cluster.is_power_of_two()
        && reserved > 0
        && (1..=4).contains(&tables)
        && table_size > 0
        && table_size < 1 << 24;
    if !sane {
        return Err(Fault::Malformed("fat boot sector"));
    }
    let root_size = (roots * 32).div_ceil(sector);
    let data = reserved + tables * table_size + root_size;
    let count = total
        .checked_sub(data)
        .ok_or(Fault::Malformed("fat sizes"))?
        / per_cluster;
    let bits = match count {
        0..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    let whole = total.saturating_mul(sector);
    let mut opened = Opened {
        used: whole.min(bytes.len()),
        ..Opened::default()
    };
    if whole > bytes.len() {
        opened.faults.push(Fault::Truncated("fat"));
    }
    opened.fact("bits", bits.to_string());
    let mut fat = Fat {
        bytes,
        bits,
        table: reserved * sector,
        data: data * sector,
        cluster: per_cluster * sector,
        count: count as u32,
        budget,
    };
    let root = if bits == 32 {
        let first = view.u32(44)?;
        fat.chain(first, usize::MAX)?
    } else {
        cut(bytes, (reserved + tables * table_size) * sector, roots * 32)?
    };
    fat.walk(&root, &mut opened)?;
    Ok(opened)
}

impl Fat<'_, '_, '_> {
    fn next(&self, cluster: u32) -> Result<u32, Fault> {
        let view = View::little(self.bytes);
        let n = cluster as usize;
        Ok(match self.bits {
            12 => {
                let pair = u32::from(view.u16(self.table + n + n / 2)?);
                let value = if n % 2 == 1 { pair >> 4 } else { pair & 0xfff };
                if value >= 0xff8 { u32::MAX } else { value }
            }
            16 => match view.u16(self.table + n * 2)? {
                0xfff8.. => u32::MAX,
                value => u32::from(value),
            },
            _ => match view.u32(self.table + n * 4)? & 0x0fff_ffff {
                0x0fff_fff8.. => u32::MAX,
                value => value,
            },
        })
    }

    /// The bytes of a chain of clusters, at most `most`.
    fn chain(&mut self, first: u32, most: usize) -> Result<Bytes, Fault> {
        let mut out = Vec::new();
        let (mut cluster, mut steps) = (first, 0);
        while cluster != u32::MAX && out.len() < most {
            if cluster < 2 || cluster - 2 >= self.count || steps > self.count {
                return Err(Fault::Malformed("fat chain"));
            }
            let at = self.data + (cluster - 2) as usize * self.cluster;
            let length = self.cluster.min(most - out.len());
            let part = cut(self.bytes, at, length)?;
            self.budget.hold(length)?;
            out.extend_from_slice(&part);
            cluster = self.next(cluster)?;
            steps += 1;
        }
        Ok(out.into())
    }

    fn walk(&mut self, root: &Bytes, opened: &mut Opened) -> Result<(), Fault> {
        let mut line = vec![(String::new(), root.clone(), 0)];
        let mut seen = HashSet::new();
        while let Some((folder, data, depth)) = line.pop() {
            let mut long: Vec<u16> = Vec::new();
            for raw in data.chunks_exact(32) {
                let view = View::little(raw);
                let attributes = view.u8(11)?;
                match raw[0] {
                    0 => break,
                    0xe5 => {
                        long.clear();
                        continue;
                    }
                    _ => {}
                }
                if attributes & 0x3f == 0x0f {
                    // Parts of a long name stand last first.
                    let mut part = Vec::with_capacity(13);
                    for at in [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] {
                        part.push(view.u16(at)?);
                    }
                    if long.len() < 260 {
                        part.append(&mut long);
                        long = part;
                    }
                    continue;
                }
                let name = name(raw, &std::mem::take(&mut long));
                if attributes & 8 != 0 || name == "." || name == ".." || name.is_empty() {
                    continue;
                }
                self.budget.entry()?;
                let first = u32::from(view.u16(26)?) | u32::from(view.u16(20)?) << 16;
                let first = if self.bits == 32 {
                    first
                } else {
                    first & 0xffff
                };
                let size = view.at32(28)?;
                let path = format!("{folder}/{name}");
                let kind = if attributes & 0x10 != 0 {
                    if depth < FOLDERS && seen.insert(first) {
                        match self.chain(first, 1 << 24) {
                            Ok(data) => line.push((path.clone(), data, depth + 1)),
                            Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                            Err(fault) => opened.faults.push(fault),
                        }
                    } else {
                        opened.faults.push(Fault::Malformed("a folder in itself"));
                    }
                    Kind::Folder
                } else if size == 0 {
                    Kind::File(Bytes::new())
                } else {
                    match self.chain(first, size) {
                        Ok(data) => {
                            if data.len() < size {
                                opened.faults.push(Fault::Truncated("fat file"));
                            }
                            Kind::File(data)
                        }
                        Err(fault) if Budget::exhausted(&fault) => return Err(fault),
                        Err(fault) => {
                            opened.faults.push(fault);
                            continue;
                        }
                    }
                };
                opened.entries.push(Entry {
                    path,
                    mode: if kind == Kind::Folder { 0o755 } else { 0o644 },
                    kind,
                    uid: 0,
                    gid: 0,
                });
            }
        }
        Ok(())
    }
}

fn name(raw: &[u8], long: &[u16]) -> String {
    if !long.is_empty() {
        let end = long.iter().position(|c| *c == 0).unwrap_or(long.len());
        let text = String::from_utf16_lossy(&long[..end]);
        return path::printable(text.as_bytes()).replace('/', "_");
    }
    let mut base = raw[..8].trim_ascii_end().to_vec();
    if base.first() == Some(&0x05) {
        base[0] = 0xe5;
    }
    let mut end = raw[8..11].trim_ascii_end().to_vec();
    // Windows notes in two bits that the short name is meant in small letters.
    if raw[12] & 0x08 != 0 {
        base.make_ascii_lowercase();
    }
    if raw[12] & 0x10 != 0 {
        end.make_ascii_lowercase();
    }
    if !end.is_empty() {
        base.push(b'.');
        base.extend_from_slice(&end);
    }
    path::printable(&base).replace('/', "_")
}
