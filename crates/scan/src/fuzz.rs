//! What the fuzzers run: each format opened on anything. A panic, or work without bound, is a finding.

use bytes::Bytes;

use crate::{
    Class, Limits, format,
    limits::Budget,
    risks::{self, Finding},
    unpack::{File, Kind, Unpacked, Volume, unpack},
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

/// The format that the first byte picks, and the bytes behind the second with one of its magics in
/// place, or as they are where the second says so: what a fuzzer would hardly come upon by itself.
fn dressed(data: &[u8]) -> Option<(&'static format::Format, Vec<u8>)> {
    let [pick, which, rest @ ..] = data else {
        return None;
    };
    let format = format::FORMATS[usize::from(*pick) % format::FORMATS.len()];
    let mut bytes = rest.to_vec();
    let which = usize::from(*which);
    if let Some(format::Magic(at, magic)) = format.magics.get(which % (format.magics.len() + 1)) {
        bytes.resize(bytes.len().max(at + magic.len()), 0);
        bytes[*at..at + magic.len()].copy_from_slice(magic);
    }
    Some((format, bytes))
}

/// Unpacks `data` as a whole image that begins with some format.
pub fn scan_unpack(data: &[u8]) {
    let Some((_, bytes)) = dressed(data) else {
        return;
    };
    let found: Unpacked = unpack("fuzz", bytes.into(), &SMALL, &|| false);
    for file in &found.files {
        assert!(file.volume < found.volumes.len());
    }
}

/// Opens `data` as the format that its first byte picks.
pub fn scan_format(data: &[u8]) {
    if let Some((format, bytes)) = dressed(data) {
        one(format.name, &bytes);
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

/// Reads `data` as a database of rpm, of each kind.
pub fn scan_rpm(data: &[u8]) {
    crate::identify::rpm::fuzz(data);
}

/// Looks for risks in the bytes behind the first as in the file that the first one names.
pub fn scan_risks(data: &[u8]) {
    _ = findings(data);
}

/// Files of accounts are left out: trying their hashes has a budget of its own, and is slow.
const NAMES: [&str; 8] = [
    "/etc/server.key",
    "/etc/device.der",
    "/etc/init.d/rcS",
    "/etc/inittab",
    "/etc/sshd_config",
    "/etc/httpd.conf",
    "/etc/snmpd.conf",
    "/bin/tool",
];

/// Looks for components in the bytes behind the first as in the record that the first one names.
pub fn scan_packages(data: &[u8]) {
    let Some((pick, rest)) = data.split_first() else {
        return;
    };
    _ = crate::identify(&holding(RECORDS[usize::from(*pick) % RECORDS.len()], rest));
}

/// Where package managers and languages keep what they installed.
const RECORDS: [&str; 12] = [
    "/usr/lib/opkg/status",
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/etc/os-release",
    "/usr/lib/python3/a-1.dist-info/METADATA",
    "/opt/node_modules/a/package.json",
    "/opt/node_modules/@a/b/package.json",
    "/META-INF/maven/a/b/pom.properties",
    "/usr/lib/luarocks/a.rockspec",
    "/lib/modules/5.4.0/a.ko",
    "/usr/lib/libc.so.6",
    "/bin/tool",
];

fn findings(data: &[u8]) -> Vec<Finding> {
    let Some((pick, rest)) = data.split_first() else {
        return Vec::new();
    };
    let image = holding(NAMES[usize::from(*pick) % NAMES.len()], rest);
    let components = crate::identify(&image);
    risks::look(&image, &components, 1_700_000_000)
}

/// An image with that one file.
fn holding(path: &str, bytes: &[u8]) -> Unpacked {
    let volume = Volume {
        chain: "fuzz".into(),
        format: "tar",
        class: Class::Archive,
        offset: 0,
        size: bytes.len(),
        facts: Vec::new(),
    };
    let file = File {
        volume: 0,
        path: path.into(),
        kind: Kind::File(Bytes::copy_from_slice(bytes)),
        mode: 0o777,
        uid: 0,
        gid: 0,
        opened: false,
    };
    Unpacked {
        volumes: vec![volume],
        files: vec![file],
        ..Unpacked::default()
    }
}

/// Reads `data` as an OpenVEX document.
pub fn scan_vex(data: &[u8]) {
    crate::dossier::statements::fuzz(data);
}

/// Reads `data` as what follows ELF's magic.
pub fn scan_elf(data: &[u8]) {
    let bytes = [b"\x7fELF", data].concat();
    _ = crate::elf::Elf::read(&bytes);
    _ = crate::elf::section(&bytes, ".dep-v0");
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
            scan_elf(&bad[4..]);
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

    /// A database of rpm's and a document of judgements, with bytes changed at random.
    #[test]
    fn damaged_databases_and_judgements() {
        let mut state = 0x1234_5678_u32;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below.max(1)
        };
        // One page of SQLite whose only row is the table's own, and another with a header of rpm.
        let mut header = vec![
            0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 0xe8, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1,
        ];
        header.extend_from_slice(b"a\0");
        let mut sqlite = vec![0; 1024];
        sqlite[..18].copy_from_slice(b"SQLite format 3\0\x02\0");
        sqlite[100..112].copy_from_slice(&[13, 0, 0, 0, 1, 1, 0xc8, 0, 1, 0xc8, 0, 0]);
        let row = b"\x19\x01\x06\x17\x1d\x1d\x01\x0dtablePackagesPackages\x02";
        sqlite[456..456 + row.len()].copy_from_slice(row);
        sqlite[512..522].copy_from_slice(&[13, 0, 0, 0, 1, 1, 0xc0, 0, 1, 0xc0]);
        sqlite[960..965].copy_from_slice(&[29, 1, 3, 0, 64]);
        sqlite[965..991].copy_from_slice(&header);
        let mut berkeley = vec![0; 1536];
        berkeley[12..16].copy_from_slice(&0x0006_1561_u32.to_le_bytes());
        berkeley[20..24].copy_from_slice(&512_u32.to_le_bytes());
        berkeley[512 + 20] = 2;
        berkeley[512 + 25] = 13;
        berkeley[512 + 26..512 + 30].copy_from_slice(&[0xf0, 1, 0xe0, 1]);
        berkeley[512 + 0x1e0] = 3;
        berkeley[512 + 0x1e4] = 2;
        berkeley[512 + 0x1e8] = 26;
        berkeley[1024 + 22] = 26;
        berkeley[1024 + 25] = 7;
        berkeley[1050..1076].copy_from_slice(&header);
        let mut ndb = vec![0; 4096 + 64];
        ndb[..4].copy_from_slice(b"RpmP");
        ndb[12] = 1;
        for slot in (32..4096).step_by(16) {
            ndb[slot..slot + 4].copy_from_slice(b"Slot");
        }
        ndb[36] = 1;
        ndb[40..42].copy_from_slice(&256_u16.to_le_bytes());
        ndb[4096..4101].copy_from_slice(b"BlbS\x01");
        ndb[4108] = 26;
        ndb[4112..4138].copy_from_slice(&header);
        let vex = br#"{"author":"a","timestamp":"2026-01-01T00:00:00Z","statements":[{"vulnerability":{"name":"CVE-1-1"},"status":"fixed","products":[{"subcomponents":[{"@id":"pkg:generic/a@1"}]}]}]}"#;
        let alpine = b"---\ndistroversion: v3.11\npackages:\n  - pkg:\n      name: a\n      secfixes:\n        1-r0:\n          - CVE-1-1\n";
        let tracker =
            br#"{"a":{"CVE-1-1":{"releases":{"sid":{"status":"open","urgency":"low"}}}}}"#;
        for _ in 0..2_000 {
            for sample in [&sqlite, &berkeley, &ndb, &header] {
                let mut bad = sample.clone();
                for _ in 0..3 {
                    let at = random(bad.len());
                    bad[at] = random(256) as u8;
                }
                if random(4) == 0 {
                    bad.truncate(random(sample.len()));
                }
                scan_rpm(&bad);
            }
            for (sample, read) in [
                (&vex[..], scan_vex as fn(&[u8])),
                (&alpine[..], scan_feed),
                (&tracker[..], scan_feed),
            ] {
                let mut bad = sample.to_vec();
                let at = random(bad.len());
                bad[at] = random(256) as u8;
                bad.truncate(random(sample.len() * 2));
                read(&bad);
            }
        }
    }

    /// Keys and settings, with bytes changed at random.
    #[test]
    fn damaged_keys_and_settings() {
        let mut state = 0x1234_5678_u32;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below.max(1)
        };
        // A version, a modulus of 512 bits, and zero for the rest.
        let mut key = b"\x30\x47\x02\x01\0\x02\x40".to_vec();
        key.extend([0x5a; 64]);
        key.extend(b"\x02\0");
        let pem = |key: &[u8]| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            let text = STANDARD.encode(key);
            format!("\0-----BEGIN RSA PRIVATE KEY-----\n{text}\n-----END RSA PRIVATE KEY-----\n")
                .into_bytes()
        };
        let whole = findings(&pem(&key));
        assert!(whole.iter().any(|f| f.code == "WeakKey"), "{whole:?}");
        let settings =
            b"\x05/cgi-bin:admin:admin\nlisten 80;\nrtsp://a:bcd@h\0bootdelay=3\0bootcmd=x\0";
        for _ in 0..500 {
            let mut bad = key.clone();
            for _ in 0..2 {
                let at = random(bad.len());
                bad[at] = random(256) as u8;
            }
            bad.truncate(32 + random(key.len()));
            scan_risks(&pem(&bad));
            let mut bad = settings.to_vec();
            let at = random(bad.len());
            bad[at] = random(256) as u8;
            bad.truncate(random(settings.len() * 2));
            scan_risks(&bad);
        }
    }

    /// Records of packages, and the lists that Go and Rust link in, with bytes changed at random.
    #[test]
    fn damaged_records_of_packages() {
        use std::io::Write;
        let mut state = 0x1234_5678_u32;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below.max(1)
        };
        let mut go = b"\x7fELF\x02\x01\x01\xff Go buildinf:\x08\x02".to_vec();
        go.extend([0; 16]);
        go.extend(b"\x08go1.20.3\x30");
        go.extend([0; 16]);
        go.extend(b"dep\ta/b\tv1.4.0\n");
        go.extend([0; 16]);
        // Two sections: the names, and the list.
        let mut list = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        list.write_all(br#"{"packages":[{"name":"a","version":"1"}]}"#)
            .unwrap();
        let list = list.finish().unwrap();
        let mut rust = vec![0; 64];
        rust[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        rust[16] = 2;
        rust[40] = 64;
        rust[58..64].copy_from_slice(&[64, 0, 2, 0, 0, 0]);
        rust.resize(192, 0);
        rust[88] = 192;
        rust[96] = 9;
        rust[128] = 1;
        rust[152] = 201;
        rust[160] = list.len() as u8;
        rust.extend(b"\0.dep-v0\0");
        rust.extend(&list);
        let samples: Vec<(u8, Vec<u8>)> = vec![
            (
                0,
                b"Package: a\nVersion: 1:1-1\nStatus: install ok installed\n\n".to_vec(),
            ),
            (2, b"P:a\nV:1-r0\no:a\n\n".to_vec()),
            (3, b"ID=alpine\nVERSION_ID=3.19.1\n".to_vec()),
            (4, b"Name: a\nVersion: 1\nLicense: MIT\n\n".to_vec()),
            (5, br#"{"name":"a","version":"1","license":"MIT"}"#.to_vec()),
            (7, b"version=1\ngroupId=a\nartifactId=b\n".to_vec()),
            (8, b"package = \"a\"\nversion = \"1-1\"\n".to_vec()),
            (
                9,
                b"\x7fELF\0license=a\0version=1\0vermagic=5.4.0 SMP\0".to_vec(),
            ),
            (11, go),
            (11, rust),
        ];
        for (pick, sample) in samples {
            for _ in 0..300 {
                let mut bad = sample.clone();
                for _ in 0..2 {
                    let at = random(bad.len());
                    bad[at] = random(256) as u8;
                }
                bad.truncate(random(sample.len() * 2));
                bad.insert(0, pick);
                scan_packages(&bad);
            }
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
        for (index, format) in format::FORMATS.iter().enumerate() {
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
                // As it is: the byte picks no magic.
                let head = [index as u8, format.magics.len() as u8];
                scan_unpack(&[&head[..], &sample].concat());
            }
        }
    }
}
