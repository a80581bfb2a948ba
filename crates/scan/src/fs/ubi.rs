//! UBI: erase blocks with headers, put together into volumes. Numbers are big-endian.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::{Budget, Limit},
    view::{View, crc32_from, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "ubi",
    class: Class::Container,
    magics: &[Magic(0, b"UBI#\x01")],
    carved: true,
    open,
};

/// The number of the volume that holds the table of volumes.
const TABLE: u32 = 0x7fff_efff;
const RECORD: usize = 172;

/// Where one logical block of a volume stands.
#[derive(Clone, Copy)]
struct Block {
    sequence: u64,
    at: usize,
    size: usize,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let erase = erase_size(bytes)?;
    let view = View::big(bytes);
    let mut volumes: BTreeMap<u32, BTreeMap<u32, Block>> = BTreeMap::new();
    let mut at = 0;
    while at < bytes.len() {
        budget.entry()?;
        let end = bytes.len().min(at + erase);
        if header(bytes, at).is_err() {
            // A block that was never used is blank; anything else is behind the end.
            if bytes[at..end].iter().any(|b| *b != 0xff) {
                break;
            }
            at = end;
            continue;
        }
        if let Some((volume, number, block)) = mapped(view, at, end) {
            let blocks = volumes.entry(volume).or_default();
            if blocks
                .get(&number)
                .is_none_or(|known| known.sequence <= block.sequence)
            {
                blocks.insert(number, block);
            }
        }
        at = end;
    }
    let mut opened = Opened {
        used: at,
        ..Opened::default()
    };
    opened.fact("erase-block", erase.to_string());
    let names = volumes
        .get(&TABLE)
        .and_then(|table| table.values().next())
        .map(|block| names(bytes, *block))
        .unwrap_or_default();
    for (volume, blocks) in volumes.iter().filter(|(id, _)| **id != TABLE) {
        let data = assemble(bytes, blocks, budget)?;
        let name = names
            .get(volume)
            .cloned()
            .unwrap_or_else(|| format!("volume{volume}"));
        opened.entries.push(Entry::part(&name, data));
    }
    if opened.entries.is_empty() {
        opened.fact("empty", "yes");
    }
    Ok(opened)
}

/// Checks the header of an erase block; offsets of the second header and of the data.
fn header(bytes: &[u8], at: usize) -> Result<(usize, usize), Fault> {
    let view = View::big(bytes).part(at, 64)?;
    if view.slice(0, 4)? != b"UBI#" || crc32_from(u32::MAX, view.slice(0, 60)?) != view.u32(60)? {
        return Err(Fault::Malformed("erase block header"));
    }
    Ok((view.at32(16)?, view.at32(20)?))
}

/// The distance from the first header to the second; a single block is the whole.
fn erase_size(bytes: &[u8]) -> Result<usize, Fault> {
    header(bytes, 0)?;
    (10..=23)
        .map(|power| 1 << power)
        .find(|size| header(bytes, *size).is_ok())
        .or(Some(bytes.len()))
        .filter(|size| *size >= 1024)
        .ok_or(Fault::Truncated("erase block"))
}

fn mapped(view: View<'_>, at: usize, end: usize) -> Option<(u32, u32, Block)> {
    let (second, data) = header(view.slice(0, view.len()).ok()?, at).ok()?;
    let head = view.part(at.checked_add(second)?, 64).ok()?;
    let whole = head.slice(0, 4).ok()? == b"UBI!"
        && crc32_from(u32::MAX, head.slice(0, 60).ok()?) == head.u32(60).ok()?;
    if !whole {
        return None;
    }
    let fixed = head.u8(5).ok()? == 2;
    let (used, padding) = (head.at32(20).ok()?, head.at32(28).ok()?);
    let start = at.checked_add(data).filter(|start| *start < end)?;
    let room = (end - start).checked_sub(padding)?;
    // A static volume says how many bytes of a block count.
    let size = if fixed { used.min(room) } else { room };
    Some((
        head.u32(8).ok()?,
        head.u32(12).ok()?,
        Block {
            sequence: head.u64(40).ok()?,
            at: start,
            size,
        },
    ))
}

fn names(bytes: &[u8], table: Block) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for index in 0..128_usize {
        let Ok(record) = View::big(bytes).part(table.at + index * RECORD, RECORD) else {
            break;
        };
        let (Ok(reserved), Ok(length)) = (record.u32(0), record.u16(14)) else {
            break;
        };
        if reserved > 0
            && (1..=127).contains(&length)
            && let Ok(name) = record.text(16, usize::from(length))
        {
            names.insert(index as u32, name.replace('/', "_"));
        }
    }
    names
}

fn assemble(
    bytes: &Bytes,
    blocks: &BTreeMap<u32, Block>,
    budget: &mut Budget<'_>,
) -> Result<Bytes, Fault> {
    let logical = blocks.values().map(|b| b.size).max().unwrap_or(0);
    let last = blocks.keys().next_back().copied().unwrap_or(0) as usize;
    let total = (last as u64 + 1) * logical as u64;
    if total > budget.grown(blocks.len() * logical) {
        return Err(Limit::Ratio.into());
    }
    budget.hold(budget.file(total)?)?;
    let mut out = Vec::with_capacity(total as usize);
    for (&number, block) in blocks {
        // Blocks that are not mapped read as blank.
        out.resize(number as usize * logical, 0xff);
        out.extend_from_slice(&cut(bytes, block.at, block.size)?);
    }
    Ok(out.into())
}
