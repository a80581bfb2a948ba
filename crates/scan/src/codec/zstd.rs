//! Zstandard (RFC 8878).

use std::io::Read;

use bytes::Bytes;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::drain;
use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::Budget,
};

/// The largest window that a frame may ask for: `zstd --ultra -22` asks for 128 MiB.
const WINDOW: u64 = 130 << 20;

const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

pub(crate) static FORMAT: Format = Format {
    name: "zstd",
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
        let before = rest;
        match frame(&mut rest, budget) {
            Ok(part) => out.extend_from_slice(&part),
            Err(fault) if first => return Err(fault),
            Err(_) => {
                rest = before;
                break;
            }
        }
        first = false;
    }
    Ok(Opened::stream(bytes.len() - rest.len(), "data", out))
}

fn frame(rest: &mut &[u8], budget: &mut Budget<'_>) -> Result<Vec<u8>, Fault> {
    let packed = rest.len();
    let mut reader = StreamingDecoder::new_with_max_window_size(&mut *rest, WINDOW)
        .map_err(|_| Fault::Malformed("zstd header"))?;
    let out = drain(&mut reader, packed, budget, "zstd frame")?;
    let decoder: FrameDecoder = reader.into_frame_decoder();
    if !decoder.is_finished() {
        return Err(Fault::Truncated("zstd frame"));
    }
    Ok(out)
}

pub(crate) fn block(packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    StreamingDecoder::new_with_max_window_size(packed, WINDOW)
        .map_err(|_| Fault::Malformed("zstd block"))?
        .take(most as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|_| Fault::Malformed("zstd block"))?;
    if out.len() > most {
        return Err(Fault::Malformed("a block is larger than it may be"));
    }
    Ok(out)
}
