//! Numbers and texts out of untrusted bytes, by offset and in either byte order.

use bytes::Bytes;

use crate::Fault;

/// Bytes with the order in which their numbers are read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    bytes: &'a [u8],
    big: bool,
}

const SHORT: Fault = Fault::Truncated("a field lies behind the end");

impl<'a> View<'a> {
    pub(crate) fn little(bytes: &'a [u8]) -> Self {
        View { bytes, big: false }
    }

    pub(crate) fn big(bytes: &'a [u8]) -> Self {
        View { bytes, big: true }
    }

    pub(crate) fn ordered(bytes: &'a [u8], big: bool) -> Self {
        View { bytes, big }
    }

    pub(crate) fn len(self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn slice(self, at: usize, len: usize) -> Result<&'a [u8], Fault> {
        let end = at.checked_add(len).ok_or(SHORT)?;
        self.bytes.get(at..end).ok_or(SHORT)
    }

    /// The same order over a part.
    pub(crate) fn part(self, at: usize, len: usize) -> Result<View<'a>, Fault> {
        Ok(View {
            bytes: self.slice(at, len)?,
            big: self.big,
        })
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Fault> {
        self.slice(at, N)?.try_into().map_err(|_| SHORT)
    }

    pub(crate) fn u8(self, at: usize) -> Result<u8, Fault> {
        self.bytes.get(at).copied().ok_or(SHORT)
    }

    pub(crate) fn u16(self, at: usize) -> Result<u16, Fault> {
        let raw = self.array(at)?;
        Ok(if self.big {
            u16::from_be_bytes(raw)
        } else {
            u16::from_le_bytes(raw)
        })
    }

    pub(crate) fn u32(self, at: usize) -> Result<u32, Fault> {
        let raw = self.array(at)?;
        Ok(if self.big {
            u32::from_be_bytes(raw)
        } else {
            u32::from_le_bytes(raw)
        })
    }

    pub(crate) fn u64(self, at: usize) -> Result<u64, Fault> {
        let raw = self.array(at)?;
        Ok(if self.big {
            u64::from_be_bytes(raw)
        } else {
            u64::from_le_bytes(raw)
        })
    }

    /// A `u32` as an offset or a length.
    pub(crate) fn at32(self, at: usize) -> Result<usize, Fault> {
        usize::try_from(self.u32(at)?).map_err(|_| SHORT)
    }

    /// The text at `at`, at most `len` bytes, up to a NUL.
    pub(crate) fn text(self, at: usize, len: usize) -> Result<String, Fault> {
        let raw = self.slice(at, len)?;
        let end = memchr::memchr(0, raw).unwrap_or(raw.len());
        Ok(crate::path::printable(&raw[..end]))
    }
}

/// A part of `bytes` without a copy.
pub(crate) fn cut(bytes: &Bytes, at: usize, len: usize) -> Result<Bytes, Fault> {
    let end = at.checked_add(len).ok_or(SHORT)?;
    if end > bytes.len() {
        return Err(SHORT);
    }
    Ok(bytes.slice(at..end))
}

/// What is left of `bytes` from `at` on, without a copy.
pub(crate) fn tail(bytes: &Bytes, at: usize) -> Bytes {
    bytes.slice(at.min(bytes.len())..)
}

/// `value` rounded up to a multiple of `to`.
pub(crate) fn align(value: usize, to: usize) -> usize {
    value.div_ceil(to.max(1)).saturating_mul(to.max(1))
}

/// CRC-32 as of IEEE 802.3, which most headers carry.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// CRC-32 with a start value and without the final inversion, as flash file systems use it.
pub(crate) fn crc32_from(start: u32, bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut value = n as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 {
                    value >> 1 ^ 0xedb8_8320
                } else {
                    value >> 1
                };
                bit += 1;
            }
            table[n] = value;
            n += 1;
        }
        table
    };
    bytes.iter().fold(start, |crc, &byte| {
        crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize]
    })
}
