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

/// Imports `data` as a feed of vulnerabilities, and asks for a component with what was read.
pub fn scan_feed(data: &[u8]) {
    let mut database = crate::vulns::Database::default();
    _ = database.import("fuzz", data);
    _ = database.get("CVE-2000-1");
}

/// Opens `data` as a kept feed, with a checksum that fits, and asks it.
pub fn scan_stored(data: &[u8]) {
    use crate::vulns::stored::{Shelf, Stored};
    let mut bytes = data.to_vec();
    Stored::mend(&mut bytes);
    if let Ok(feed) = Stored::open(bytes) {
        let mut shelf = Shelf::default();
        shelf.push(feed);
        _ = shelf.get("CVE-1-1");
        _ = shelf.stamp();
    }
}

/// Reads `data` as an ELF file and as a binary with banners.
pub fn scan_elf(data: &[u8]) {
    _ = crate::elf::Elf::read(data);
}

/// Orders two versions both ways.
pub fn scan_version(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (one, two) = text.split_once('\n').unwrap_or((&text, ""));
    let order = crate::version::compare(one, two);
    assert_eq!(
        order.reverse(),
        crate::version::compare(two, one),
        "an order"
    );
    _ = crate::version::upstream(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real programs and feeds, with bytes changed at random.
    #[test]
    fn damaged_programs_and_feeds() {
        let mut state = 0x1234_5678_u32;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below.max(1)
        };
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let feed = br#"{"timestamp":"t","vulnerabilities":[{"cve":{"id":"CVE-1-1","metrics":{"cvssMetricV2":[{"type":"Primary","cvssData":{"baseScore":1.0}}]},"configurations":[{"nodes":[{"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:a:b:*:*:*:*:*:*:*:*","versionEndExcluding":"1"}]}]}]}}]}"#;
        let mut kept = Vec::new();
        crate::vulns::stored::keep("f", &feed[..], &mut kept).unwrap();
        for _ in 0..200 {
            let mut bad = program[..program.len().min(1 << 20)].to_vec();
            for _ in 0..4 {
                let near = if random(2) == 0 { 1024 } else { bad.len() };
                let at = random(near);
                bad[at] = random(256) as u8;
            }
            scan_elf(&bad);
            let mut bad = feed.to_vec();
            let at = random(bad.len());
            bad[at] = random(256) as u8;
            bad.truncate(random(feed.len() * 2));
            scan_feed(&bad);
            let mut bad = kept.clone();
            let at = random(bad.len());
            bad[at] = random(256) as u8;
            bad.truncate(kept.len() - random(3) * random(kept.len()) / 2);
            scan_stored(&bad);
        }
        for text in [
            "1.2\n1.2.0",
            "1.0.2zd\n1.0.2n",
            "~\n",
            "a\n1",
            "1rc\n1~",
            "\u{665}\n5",
        ] {
            scan_version(text.as_bytes());
        }
    }

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
