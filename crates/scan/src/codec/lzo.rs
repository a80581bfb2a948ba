//! LZO1X blocks, and lzop files. The stream's instructions are described in the Linux kernel's
//! documentation, "LZO stream format as understood by Linux's LZO decompressor".

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::{Budget, Limit},
    view::View,
};

pub(crate) static FORMAT: Format = Format {
    name: "lzop",
    class: Class::Compression,
    magics: &[Magic(0, b"\x89LZO\0\r\n\x1a\n")],
    carved: true,
    open,
};

const BAD: Fault = Fault::Malformed("lzo block");

/// The bytes of one block, at most `most`.
pub(crate) fn block(packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut block = Block {
        packed,
        at: 0,
        out: Vec::with_capacity(most.min(1 << 20)),
        most,
    };
    block.run()?;
    Ok(block.out)
}

struct Block<'a> {
    packed: &'a [u8],
    at: usize,
    out: Vec<u8>,
    most: usize,
}

impl Block<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        // How many literals the last instruction brought, 4 standing for "a run of them".
        let mut state = 0;
        if let Some(&first) = self.packed.first()
            && first > 17
        {
            self.at = 1;
            let count = usize::from(first) - 17;
            self.literals(count)?;
            state = count.min(4);
        }
        loop {
            let t = usize::from(self.byte()?);
            let (distance, length, after) = match t {
                0..16 if state == 0 => {
                    let count = self.length(t, 15)? + 3;
                    self.literals(count)?;
                    state = 4;
                    continue;
                }
                0..16 => {
                    let high = usize::from(self.byte()?) << 2;
                    if state == 4 {
                        (high + (t >> 2) + 2049, 3, t & 3)
                    } else {
                        (high + (t >> 2) + 1, 2, t & 3)
                    }
                }
                16..32 => {
                    let length = self.length(t & 7, 7)? + 2;
                    let word = self.word()?;
                    let distance = ((t & 8) << 11) + (word >> 2);
                    if distance == 0 {
                        return Ok(());
                    }
                    (distance + 16384, length, word & 3)
                }
                32..64 => {
                    let length = self.length(t & 31, 31)? + 2;
                    let word = self.word()?;
                    ((word >> 2) + 1, length, word & 3)
                }
                _ => {
                    let high = usize::from(self.byte()?) << 3;
                    (high + ((t >> 2) & 7) + 1, (t >> 5) + 1, t & 3)
                }
            };
            self.copy(distance, length)?;
            self.literals(after)?;
            state = after;
        }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.packed.get(self.at).ok_or(BAD)?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<usize, Fault> {
        Ok(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length whose first part is zero goes on in bytes: each zero stands for 255.
    fn length(&mut self, short: usize, base: usize) -> Result<usize, Fault> {
        if short != 0 {
            return Ok(short);
        }
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + usize::from(last)),
            }
            if length > self.most {
                return Err(BAD);
            }
        }
    }

    fn literals(&mut self, count: usize) -> Result<(), Fault> {
        let from = self.packed.get(self.at..self.at + count).ok_or(BAD)?;
        if self.out.len() + count > self.most {
            return Err(BAD);
        }
        self.out.extend_from_slice(from);
        self.at += count;
        Ok(())
    }

    fn copy(&mut self, distance: usize, length: usize) -> Result<(), Fault> {
        let start = self.out.len().checked_sub(distance).ok_or(BAD)?;
        if self.out.len() + length > self.most {
            return Err(BAD);
        }
        for at in start..start + length {
            self.out.push(self.out[at]);
        }
        Ok(())
    }
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    const ADLER: [u32; 2] = [0x1, 0x2];
    const CRC: [u32; 2] = [0x100, 0x200];
    let view = View::big(bytes);
    let version = view.u16(9)?;
    let (mut at, newer) = if version >= 0x940 {
        (15, true)
    } else {
        (13, false)
    };
    let method = view.u8(at)?;
    at += if newer { 2 } else { 1 };
    if !(1..=3).contains(&method) {
        return Err(Fault::Unsupported("lzop method"));
    }
    let flags = view.u32(at)?;
    at += 4 + if flags & 0x800 != 0 { 4 } else { 0 };
    at += if newer { 12 } else { 8 };
    let length = usize::from(view.u8(at)?);
    let name = view.text(at + 1, length)?.replace('/', "_");
    at += 1 + length + 4;
    if flags & 0x40 != 0 {
        at += 8 + view.at32(at)?;
    }
    let most = budget.grown(bytes.len());
    let mut out = Vec::new();
    loop {
        let size = view.at32(at)?;
        at += 4;
        if size == 0 {
            break;
        }
        let packed = view.at32(at)?;
        at += 4;
        if size > 64 << 20 || packed > size {
            return Err(Fault::Malformed("lzop block"));
        }
        let sums = |which: usize| {
            4 * (usize::from(flags & ADLER[which] != 0) + usize::from(flags & CRC[which] != 0))
        };
        at += sums(0) + if packed < size { sums(1) } else { 0 };
        if (out.len() + size) as u64 > most {
            return Err(Limit::Ratio.into());
        }
        let data = view.slice(at, packed)?;
        budget.hold(size)?;
        if packed == size {
            out.extend_from_slice(data);
        } else {
            let block = block(data, size)?;
            if block.len() != size {
                return Err(Fault::Malformed("lzop block"));
            }
            out.extend_from_slice(&block);
        }
        at += packed;
    }
    let name = if name.is_empty() { "data" } else { &name };
    Ok(Opened::stream(at, name, out))
}
