//! Intel HEX and Motorola S-records: lines of addresses and bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
};

pub(crate) static FORMAT: Format = Format {
    name: "hex",
    class: Class::Container,
    magics: &[
        Magic(0, b":0"),
        Magic(0, b":1"),
        Magic(0, b":2"),
        Magic(0, b"S0"),
        Magic(0, b"S1"),
        Magic(0, b"S2"),
        Magic(0, b"S3"),
    ],
    carved: false,
    open,
};

const BAD: Fault = Fault::Malformed("record");

/// Stretches by their first address; those that touch are one.
#[derive(Default)]
struct Memory {
    parts: BTreeMap<u64, Vec<u8>>,
    last: u64,
}

impl Memory {
    fn put(&mut self, address: u64, data: &[u8]) {
        if let Some(part) = self.parts.get_mut(&self.last)
            && self.last + part.len() as u64 == address
        {
            part.extend_from_slice(data);
            return;
        }
        self.parts.insert(address, data.to_vec());
        self.last = address;
    }
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut memory = Memory::default();
    let (mut base, mut used, mut ended) = (0_u64, 0, false);
    budget.hold(bytes.len() / 2)?;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.trim_ascii();
        used += line.len();
        if text.is_empty() {
            continue;
        }
        budget.work(text.len())?;
        ended = match text[0] {
            b':' => intel(text, &mut base, &mut memory)?,
            b'S' => motorola(text, &mut memory)?,
            _ => return Err(BAD),
        };
        if ended {
            break;
        }
    }
    let mut opened = Opened {
        used,
        ..Opened::default()
    };
    if !ended {
        opened
            .faults
            .push(Fault::Truncated("records without an end"));
    }
    for (address, data) in memory.parts {
        budget.entry()?;
        opened
            .entries
            .push(Entry::part(&format!("{address:#010x}"), data.into()));
    }
    if opened.entries.is_empty() {
        return Err(BAD);
    }
    Ok(opened)
}

/// One record; whether it was the last.
fn intel(text: &[u8], base: &mut u64, memory: &mut Memory) -> Result<bool, Fault> {
    let raw = ::hex::decode(&text[1..]).map_err(|_| BAD)?;
    if raw.len() < 5 || raw.len() != 5 + usize::from(raw[0]) {
        return Err(BAD);
    }
    if raw.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b)) != 0 {
        return Err(Fault::Checksum("record"));
    }
    let address = u64::from(u16::from_be_bytes([raw[1], raw[2]]));
    let data = &raw[4..raw.len() - 1];
    let word = || match data {
        [high, low] => Ok(u64::from(u16::from_be_bytes([*high, *low]))),
        _ => Err(BAD),
    };
    match raw[3] {
        0 => memory.put(*base + address, data),
        1 => return Ok(true),
        2 => *base = word()? << 4,
        4 => *base = word()? << 16,
        3 | 5 => {}
        _ => return Err(BAD),
    }
    Ok(false)
}

fn motorola(text: &[u8], memory: &mut Memory) -> Result<bool, Fault> {
    let raw = ::hex::decode(text.get(2..).ok_or(BAD)?).map_err(|_| BAD)?;
    if raw.is_empty() || raw.len() != 1 + usize::from(raw[0]) {
        return Err(BAD);
    }
    if raw.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b)) != 0xff {
        return Err(Fault::Checksum("record"));
    }
    let width = match text[1] {
        b'1' => 2,
        b'2' => 3,
        b'3' => 4,
        b'0' | b'5' | b'6' => return Ok(false),
        b'7'..=b'9' => return Ok(true),
        _ => return Err(BAD),
    };
    let body = raw.get(1..raw.len() - 1).ok_or(BAD)?;
    if body.len() < width {
        return Err(BAD);
    }
    let (address, data) = body.split_at(width);
    let address = address.iter().fold(0_u64, |a, b| a << 8 | u64::from(*b));
    memory.put(address, data);
    Ok(false)
}
