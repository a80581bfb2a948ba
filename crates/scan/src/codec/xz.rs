//! The .xz format with its filters.

use bytes::Bytes;

use super::drain;
use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::Budget,
};

/// The largest dictionary that a stream may ask for: xz -9 asks for 64 MiB.
pub(crate) const MEMORY_KB: u32 = 130 << 10;

const MAGIC: &[u8] = b"\xfd7zXZ\0";

pub(crate) static FORMAT: Format = Format {
    name: "xz",
    class: Class::Compression,
    magics: &[Magic(0, MAGIC)],
    carved: true,
    open,
};

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut rest: &[u8] = bytes;
    let mut out = Vec::new();
    let mut first = true;
    while first || rest.starts_with(MAGIC) {
        let mut stream = lzma_rust2::XzReader::new_mem_limit(rest, false, MEMORY_KB);
        match drain(&mut stream, rest.len(), budget, "xz stream") {
            Ok(part) => out.extend_from_slice(&part),
            Err(fault) if first => return Err(fault),
            Err(_) => break,
        }
        rest = stream.into_inner();
        first = false;
    }
    Ok(Opened::stream(bytes.len() - rest.len(), "data", out))
}
