//! What the fuzzers run: each format opened on anything. A panic, or work without bound, is a finding.

use bytes::Bytes;

use crate::{
    Limits, format,
    limits::Budget,
    unpack::{Unpacked, unpack},
};

/// Bounds small enough that a fuzzer's inputs stay quick.
const SMALL: Limits = Limits {
    total: 8 << 20,
    work: 64 << 20,
    file: 4 << 20,
    entries: 5_000,
    depth: 6,
    ratio: 200,
    ratio_free: 1 << 20,
};

/// Opens `data` as the format of that name.
pub fn one(name: &str, data: &[u8]) {
    let format = format::named(name).expect("a format of the table");
    let mut budget = Budget::new(&SMALL, &|| false);
    if let Ok(opened) = (format.open)(&Bytes::copy_from_slice(data), &mut budget) {
        for entry in opened.entries {
            assert!(entry.path.starts_with('/'), "a path is from the root");
            assert!(
                entry.path.split('/').all(|part| part != ".."),
                "no path climbs"
            );
        }
    }
}

/// Unpacks `data` as a whole image.
pub fn scan_unpack(data: &[u8]) {
    let found: Unpacked = unpack("fuzz", Bytes::copy_from_slice(data), &SMALL, &|| false);
    for file in &found.files {
        assert!(file.volume < found.volumes.len());
    }
}

/// Opens the bytes behind the first as the format that the first one picks.
pub fn scan_format(data: &[u8]) {
    if let Some((pick, rest)) = data.split_first() {
        let format = format::FORMATS[usize::from(*pick) % format::FORMATS.len()];
        one(format.name, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_noise_are_no_image() {
        let mut state = 0x9e37_79b9_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4096)
        .collect();
        for format in format::FORMATS {
            one(format.name, b"");
            one(format.name, &noise);
            // Right magics with nothing sensible behind them, at every length.
            for format::Magic(at, magic) in format.magics {
                let mut sample = vec![0; at + magic.len() + 512];
                sample[*at..at + magic.len()].copy_from_slice(magic);
                for cut in (0..sample.len()).step_by(7) {
                    one(format.name, &sample[..cut]);
                }
                sample.extend_from_slice(&noise);
                one(format.name, &sample);
                sample
                    .iter_mut()
                    .skip(at + magic.len())
                    .for_each(|b| *b = 0xff);
                one(format.name, &sample);
                scan_unpack(&sample);
            }
        }
    }
}
