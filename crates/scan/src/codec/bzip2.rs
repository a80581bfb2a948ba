//! bzip2. Ours, because the maintained crate's licence is not among those that the house takes and
//! the other ones do not tell where a stream ends.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::{Budget, Limit},
};

pub(crate) static FORMAT: Format = Format {
    name: "bzip2",
    class: Class::Compression,
    magics: &[Magic(0, b"BZh")],
    carved: true,
    open,
};

const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
const BAD: Fault = Fault::Malformed("bzip2 block");

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut used = 0;
    let mut out = Vec::new();
    let most = budget.grown(bytes.len());
    while used == 0 || bytes[used..].starts_with(b"BZh") {
        let kept = out.len();
        match stream(&bytes[used..], &mut out, most, budget) {
            Ok(length) => used += length,
            Err(fault) if used == 0 || Budget::exhausted(&fault) => return Err(fault),
            Err(_) => {
                out.truncate(kept);
                break;
            }
        }
    }
    Ok(Opened::stream(used, "data", out))
}

/// One stream; its length in bytes.
pub(crate) fn stream(
    packed: &[u8],
    out: &mut Vec<u8>,
    most: u64,
    budget: &mut Budget<'_>,
) -> Result<usize, Fault> {
    let level = match packed.get(3) {
        Some(digit @ b'1'..=b'9') => usize::from(digit - b'0'),
        _ => return Err(Fault::Malformed("bzip2 header")),
    };
    let mut bits = Bits {
        bytes: packed,
        at: 4,
        held: 0,
        count: 0,
    };
    let mut whole = 0_u32;
    loop {
        let magic = u64::from(bits.take(24)?) << 24 | u64::from(bits.take(24)?);
        let crc = bits.take(16)? << 16 | bits.take(16)?;
        if magic == END {
            if crc != whole {
                return Err(Fault::Checksum("bzip2 stream"));
            }
            return Ok(bits.position());
        }
        if magic != BLOCK {
            return Err(Fault::Malformed("bzip2 block header"));
        }
        let from = out.len();
        block(&mut bits, level * 100_000, out, most, budget)?;
        let sum = checksum(&out[from..]);
        if sum != crc {
            return Err(Fault::Checksum("bzip2 block"));
        }
        whole = whole.rotate_left(1) ^ sum;
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// The next `n` bits, at most 24.
    fn take(&mut self, n: u32) -> Result<u32, Fault> {
        while self.count < n {
            let byte = *self
                .bytes
                .get(self.at)
                .ok_or(Fault::Truncated("bzip2 stream"))?;
            self.at += 1;
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
        self.count -= n;
        let value = (self.held >> self.count) & ((1 << n) - 1);
        Ok(value as u32)
    }

    /// Bytes read, a begun one included.
    fn position(&self) -> usize {
        self.at - (self.count / 8) as usize
    }
}

/// Canonical Huffman codes of one table.
struct Codes {
    /// By length: the largest code, and what to subtract for an index.
    largest: [i32; 21],
    base: [i32; 21],
    symbols: Vec<u16>,
    shortest: u32,
}

impl Codes {
    fn new(lengths: &[u8]) -> Codes {
        let mut symbols = Vec::with_capacity(lengths.len());
        let (mut largest, mut base) = ([-1; 21], [0; 21]);
        let mut code = 0_i32;
        for length in 1..=20_u8 {
            base[usize::from(length)] = code - symbols.len() as i32;
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
                symbols.push(symbol as u16);
                code += 1;
            }
            largest[usize::from(length)] = code - 1;
            code <<= 1;
        }
        let shortest = lengths.iter().copied().min().unwrap_or(1);
        Codes {
            largest,
            base,
            symbols,
            shortest: u32::from(shortest),
        }
    }

    fn next(&self, bits: &mut Bits<'_>) -> Result<u16, Fault> {
        let mut length = self.shortest;
        let mut code = bits.take(length)? as i32;
        loop {
            let l = length as usize;
            if code <= self.largest[l] {
                let index = usize::try_from(code - self.base[l]).map_err(|_| BAD)?;
                return self.symbols.get(index).copied().ok_or(BAD);
            }
            length += 1;
            if length > 20 {
                return Err(BAD);
            }
            code = code << 1 | bits.take(1)? as i32;
        }
    }
}

fn block(
    bits: &mut Bits<'_>,
    size: usize,
    out: &mut Vec<u8>,
    most: u64,
    budget: &mut Budget<'_>,
) -> Result<(), Fault> {
    if bits.take(1)? == 1 {
        return Err(Fault::Unsupported("randomised bzip2 block"));
    }
    let origin = bits.take(24)? as usize;
    let mut used = Vec::new();
    let groups = bits.take(16)?;
    for group in 0..16_u32 {
        if groups & (0x8000 >> group) != 0 {
            let members = bits.take(16)?;
            for member in 0..16_u32 {
                if members & (0x8000 >> member) != 0 {
                    used.push((group * 16 + member) as u8);
                }
            }
        }
    }
    if used.is_empty() {
        return Err(BAD);
    }
    let tables = bits.take(3)? as usize;
    let selectors = bits.take(15)? as usize;
    if !(2..=6).contains(&tables) || selectors == 0 {
        return Err(BAD);
    }
    let mut order: Vec<u8> = (0..tables as u8).collect();
    let mut chosen = Vec::with_capacity(selectors);
    for _ in 0..selectors {
        let mut place = 0;
        while bits.take(1)? == 1 {
            place += 1;
            if place >= tables {
                return Err(BAD);
            }
        }
        let table = order.remove(place);
        order.insert(0, table);
        chosen.push(usize::from(table));
    }
    let alphabet = used.len() + 2;
    let mut codes = Vec::with_capacity(tables);
    for _ in 0..tables {
        let mut length = bits.take(5)?;
        let mut lengths = Vec::with_capacity(alphabet);
        for _ in 0..alphabet {
            loop {
                if !(1..=20).contains(&length) {
                    return Err(BAD);
                }
                if bits.take(1)? == 0 {
                    break;
                }
                length = if bits.take(1)? == 0 {
                    length + 1
                } else {
                    length - 1
                };
            }
            lengths.push(length as u8);
        }
        codes.push(Codes::new(&lengths));
    }
    let mut last = symbols(bits, &chosen, &codes, used, size)?;
    spread(&mut last, origin, out, most, budget)
}

/// Undoes Huffman, move-to-front and the runs of zeros: the last column of the sorted rotations.
fn symbols(
    bits: &mut Bits<'_>,
    chosen: &[usize],
    codes: &[Codes],
    mut front: Vec<u8>,
    size: usize,
) -> Result<Vec<u32>, Fault> {
    let end = front.len() as u16 + 1;
    let mut last: Vec<u32> = Vec::with_capacity(size.min(1 << 20));
    let (mut run, mut weight) = (0_usize, 1_usize);
    for &table in chosen {
        for _ in 0..50 {
            let symbol = codes[table].next(bits)?;
            if symbol <= 1 {
                if weight > size {
                    return Err(BAD);
                }
                run += weight << symbol;
                weight <<= 1;
                continue;
            }
            if run > 0 {
                if last.len() + run > size {
                    return Err(BAD);
                }
                last.resize(last.len() + run, u32::from(front[0]));
                (run, weight) = (0, 1);
            }
            if symbol == end {
                return Ok(last);
            }
            let byte = front.remove(usize::from(symbol) - 1);
            front.insert(0, byte);
            if last.len() >= size {
                return Err(BAD);
            }
            last.push(u32::from(byte));
        }
    }
    Err(BAD)
}

/// Undoes the sorting and the first stage's runs: four equal bytes are followed by a count.
fn spread(
    last: &mut [u32],
    origin: usize,
    out: &mut Vec<u8>,
    most: u64,
    budget: &mut Budget<'_>,
) -> Result<(), Fault> {
    if origin >= last.len() {
        return Err(BAD);
    }
    let mut starts = [0_usize; 256];
    for &byte in last.iter() {
        starts[(byte & 0xff) as usize] += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += std::mem::replace(start, sum);
    }
    for at in 0..last.len() {
        let byte = (last[at] & 0xff) as usize;
        last[starts[byte]] |= (at as u32) << 8;
        starts[byte] += 1;
    }
    let mut next = (last[origin] >> 8) as usize;
    let (mut equal, mut before) = (0, None);
    let mut charged = out.len();
    for _ in 0..last.len() {
        let word = last[next];
        next = (word >> 8) as usize;
        let byte = (word & 0xff) as u8;
        if equal == 4 {
            out.resize(out.len() + usize::from(byte), before.unwrap_or(0));
            (equal, before) = (0, None);
        } else {
            equal = if before == Some(byte) { equal + 1 } else { 1 };
            before = Some(byte);
            out.push(byte);
        }
        if out.len() - charged > 1 << 16 {
            budget.hold(out.len() - charged)?;
            charged = out.len();
            if out.len() as u64 > most {
                return Err(Limit::Ratio.into());
            }
        }
    }
    budget.hold(out.len() - charged)
}

/// CRC-32 with the most significant bit first.
fn checksum(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut value = (n as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 0x8000_0000 != 0 {
                    value << 1 ^ 0x04c1_1db7
                } else {
                    value << 1
                };
                bit += 1;
            }
            table[n] = value;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        crc << 8 ^ TABLE[((crc >> 24) as u8 ^ byte) as usize]
    })
}
