//! Broadcom's TRX: a header with the offsets of three or four parts.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, crc32_from, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "trx",
    class: Class::Container,
    magics: &[Magic(0, b"HDR0")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let (length, crc, version) = (view.at32(4)?, view.u32(8)?, view.u16(14)?);
    let count = match version {
        1 => 3,
        2 => 4,
        _ => return Err(Fault::Unsupported("trx version")),
    };
    let mut opened = Opened::default();
    let head = 16 + count * 4;
    if length < head {
        return Err(Fault::Malformed("trx length"));
    }
    let whole = cut(bytes, 0, length.min(bytes.len()))?;
    if whole.len() < length {
        opened.faults.push(Fault::Truncated("trx"));
    } else if crc32_from(u32::MAX, &whole[12..]) != crc {
        opened.faults.push(Fault::Checksum("trx"));
    }
    let mut starts = Vec::new();
    for index in 0..count {
        match view.at32(16 + index * 4)? {
            0 => {}
            at if at < head || at > length || starts.last().is_some_and(|l| *l >= at) => {
                return Err(Fault::Malformed("trx offsets"));
            }
            at => starts.push(at),
        }
    }
    for (index, &at) in starts.iter().enumerate() {
        let end = starts
            .get(index + 1)
            .copied()
            .unwrap_or(length)
            .min(whole.len());
        if at < end {
            let part = whole.slice(at..end);
            opened
                .entries
                .push(Entry::part(&format!("part{index}"), part));
        }
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a trx without parts"));
    }
    opened.fact("version", version.to_string());
    opened.used = whole.len();
    Ok(opened)
}
