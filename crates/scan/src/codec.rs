//! Compressions: whole streams as formats of their own, and single blocks for file systems.

pub(crate) mod bzip2;
pub(crate) mod gzip;
pub(crate) mod lz4;
pub(crate) mod lzma;
pub(crate) mod lzo;
pub(crate) mod xz;
pub(crate) mod zstd;

use std::io::Read;

use crate::{
    Fault,
    limits::{Budget, Limit},
};

/// The compressions that file systems use for their blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Zlib,
    /// Raw deflate, as UBIFS calls it zlib.
    Deflate,
    Lzma,
    Lzo,
    Xz,
    Lz4,
    Zstd,
}

/// Everything that `reader` gives, charged as it comes; `packed` is the size of its input.
pub(crate) fn drain(
    reader: &mut impl Read,
    packed: usize,
    budget: &mut Budget<'_>,
    what: &'static str,
) -> Result<Vec<u8>, Fault> {
    let most = budget.grown(packed);
    let mut out = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Fault::Truncated(what));
            }
            Err(_) => return Err(Fault::Malformed(what)),
        };
        if (out.len() + read) as u64 > most {
            return Err(Limit::Ratio.into());
        }
        budget.hold(read)?;
        out.extend_from_slice(&chunk[..read]);
    }
}

/// One block of at most `most` bytes.
pub(crate) fn block(codec: Codec, packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let bounded = |reader: &mut dyn Read, what| {
        let mut out = Vec::with_capacity(most.min(1 << 20));
        reader
            .take(most as u64 + 1)
            .read_to_end(&mut out)
            .map_err(|_| Fault::Malformed(what))?;
        if out.len() > most {
            return Err(Fault::Malformed("a block is larger than it may be"));
        }
        Ok(out)
    };
    match codec {
        Codec::Zlib => bounded(&mut flate2::bufread::ZlibDecoder::new(packed), "zlib block"),
        Codec::Deflate => bounded(
            &mut flate2::bufread::DeflateDecoder::new(packed),
            "deflate block",
        ),
        Codec::Xz => bounded(
            &mut lzma_rust2::XzReader::new_mem_limit(packed, false, xz::MEMORY_KB),
            "xz block",
        ),
        Codec::Lzma => lzma::block(packed, most),
        Codec::Lzo => lzo::block(packed, most),
        Codec::Lz4 => {
            lz4_flex::block::decompress(packed, most).map_err(|_| Fault::Malformed("lz4 block"))
        }
        Codec::Zstd => zstd::block(packed, most),
    }
}
