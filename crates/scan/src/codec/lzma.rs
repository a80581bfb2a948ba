//! The .lzma format ("LZMA alone"): a byte of properties, the dictionary's size, the content's.

use std::io::Read;

use bytes::Bytes;

use super::drain;
use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::Budget,
    view::View,
};

pub(crate) static FORMAT: Format = Format {
    name: "lzma",
    class: Class::Compression,
    // lc 3, lp 0, pb 2 is what everybody uses; the dictionary is never below 64 KiB then.
    magics: &[
        Magic(0, b"\x5d\0\0"),
        Magic(0, b"\x6d\0\0"),
        Magic(0, b"\x5e\0\0"),
    ],
    carved: true,
    open,
};

/// Sizes of dictionaries are 2^n or 2^n + 2^(n-1).
fn is_dictionary(size: u32) -> bool {
    let top = size.checked_ilog2().map_or(0, |n| 1_u32 << n);
    (1 << 12..=1 << 28).contains(&size) && (size == top || size == top + top / 2)
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let head = View::little(bytes);
    let size = head.u64(5)?;
    let plausible = is_dictionary(head.u32(1)?)
        && (size == u64::MAX || (size > 0 && size <= budget.limits.file))
        // The range coder's first byte is zero.
        && head.u8(13)? == 0;
    if !plausible {
        return Err(Fault::Malformed("lzma header"));
    }
    let mut reader = lzma_rust2::LzmaReader::new_mem_limit(&bytes[..], super::xz::MEMORY_KB, None)
        .map_err(|_| Fault::Malformed("lzma header"))?;
    let out = drain(&mut reader, bytes.len(), budget, "lzma stream")?;
    if out.is_empty() || (size != u64::MAX && out.len() as u64 != size) {
        return Err(Fault::Truncated("lzma stream"));
    }
    let (rest, unread) = reader.into_parts();
    let used = bytes.len() - rest.len() - unread.len();
    Ok(Opened::stream(used, "data", out))
}

/// A block with its header. Old squashfs writers leave the size as unknown or wrong, so it is not
/// believed beyond the bound.
pub(crate) fn block(packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut reader = lzma_rust2::LzmaReader::new_mem_limit(packed, super::xz::MEMORY_KB, None)
        .map_err(|_| Fault::Malformed("lzma block"))?;
    let mut out = Vec::new();
    let mut chunk = [0; 16 << 10];
    while out.len() < most {
        let want = chunk.len().min(most - out.len());
        match reader.read(&mut chunk[..want]) {
            Ok(0) => break,
            Ok(read) => out.extend_from_slice(&chunk[..read]),
            Err(_) => return Err(Fault::Malformed("lzma block")),
        }
    }
    Ok(out)
}

/// A stream without header: properties and size come from elsewhere.
pub(crate) fn raw(
    props: u8,
    dictionary: u32,
    packed: &[u8],
    size: usize,
) -> Result<Vec<u8>, Fault> {
    let mut header = vec![props];
    header.extend_from_slice(&dictionary.to_le_bytes());
    header.extend_from_slice(&(size as u64).to_le_bytes());
    let whole = header.chain(packed);
    let mut reader = lzma_rust2::LzmaReader::new_mem_limit(whole, super::xz::MEMORY_KB, None)
        .map_err(|_| Fault::Malformed("lzma properties"))?;
    let mut out = Vec::new();
    Read::take(&mut reader, size as u64)
        .read_to_end(&mut out)
        .map_err(|_| Fault::Malformed("lzma stream"))?;
    Ok(out)
}
