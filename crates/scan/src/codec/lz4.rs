//! LZ4 in its frame, and in the older frame of the Linux kernel.

use bytes::Bytes;

use super::drain;
use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::{Budget, Limit},
    view::View,
};

const LEGACY: &[u8] = b"\x02\x21\x4c\x18";

pub(crate) static FORMAT: Format = Format {
    name: "lz4",
    class: Class::Compression,
    magics: &[Magic(0, b"\x04\x22\x4d\x18"), Magic(0, LEGACY)],
    carved: true,
    open,
};

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    if bytes.starts_with(LEGACY) {
        return legacy(bytes, budget);
    }
    // Version 1, the reserved bit zero.
    if View::little(bytes).u8(4)? & 0xc2 != 0x40 {
        return Err(Fault::Malformed("lz4 flags"));
    }
    let mut reader = lz4_flex::frame::FrameDecoder::new(&bytes[..]);
    let out = drain(&mut reader, bytes.len(), budget, "lz4 frame")?;
    let rest = reader.into_inner();
    Ok(Opened::stream(bytes.len() - rest.len(), "data", out))
}

/// Blocks of 8 MiB, each behind its packed size; the stream ends where no block follows.
fn legacy(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    const BLOCK: usize = 8 << 20;
    let view = View::little(bytes);
    let most = budget.grown(bytes.len());
    let mut at = 4;
    let mut out = Vec::new();
    while let Ok(size) = view.at32(at) {
        if size == 0 || size > BLOCK + BLOCK / 255 + 64 {
            break;
        }
        let Ok(packed) = view.slice(at + 4, size) else {
            return Err(Fault::Truncated("lz4 block"));
        };
        // A small packed block cannot hold 8 MiB: one byte stands for at most 255.
        let room = BLOCK.min(size.saturating_mul(256));
        let block =
            lz4_flex::block::decompress(packed, room).map_err(|_| Fault::Malformed("lz4 block"))?;
        if (out.len() + block.len()) as u64 > most {
            return Err(Limit::Ratio.into());
        }
        budget.hold(block.len())?;
        out.extend_from_slice(&block);
        at += 4 + size;
        if block.len() < BLOCK {
            break;
        }
    }
    if out.is_empty() {
        return Err(Fault::Malformed("lz4 block"));
    }
    Ok(Opened::stream(at, "data", out))
}
