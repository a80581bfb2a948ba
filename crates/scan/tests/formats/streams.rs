use crate::source::{Source, Thing, inside, noise, opened, prose};

/// Each compressor's own program at its ends of strength, over text, noise, zeros and nothing.
#[test]
fn streams_come_out_as_they_went_in() {
    let source = Source::new();
    let contents = [
        ("text", prose(700_000)),
        ("noise", noise(200_000, 9)),
        ("zeros", vec![0; 1_000_000]),
        ("short", b"a".to_vec()),
    ];
    for (what, content) in &contents {
        std::fs::write(source.path("in"), content).unwrap();
        for (format, line) in [
            ("gzip", "gzip -1 -c in > image"),
            ("gzip", "gzip -9 -n -c in > image"),
            ("bzip2", "bzip2 -1 -c in > image"),
            ("bzip2", "bzip2 -9 -c in > image"),
            ("xz", "xz -0 -c in > image"),
            ("xz", "xz -9 --check=sha256 --arm --lzma2 -c in > image"),
            ("lzma", "xz --format=lzma -c in > image"),
            ("lzma", "xz --format=lzma -9 -c < in > image"),
            ("zstd", "zstd -q -1 -c in > image"),
            ("zstd", "zstd -q --ultra -22 -c in > image"),
            ("lz4", "lz4 -q -9 -c in > image"),
            ("lz4", "lz4 -q -BD --content-size -c in > image"),
            ("lz4", "lz4 -q -l -c in > image"),
            ("lzop", "lzop -q -1 -c in > image"),
            ("lzop", "lzop -q -9 -c in > image"),
        ] {
            let packed = source.image(line, "image");
            let size = packed.len();
            let found = opened(packed);
            assert_eq!(found.faults, [], "{line}");
            let got: Vec<_> = inside(&found, format).into_values().collect();
            assert!(got == [Thing::File(content.clone())], "{what}: {line}");
            assert_eq!(found.volumes[0].size, size, "{what}: {line}: its length");
        }
    }
}

/// Streams stand anywhere in an image, between bytes that are nothing.
#[test]
fn streams_are_found_between_other_bytes() {
    let source = Source::new();
    std::fs::write(source.path("in"), prose(100_000)).unwrap();
    source.sh(
        "gzip -n -c in > a; bzip2 -c in > b; xz -c in > c; xz --format=lzma -c in > d; \
               zstd -q -c in > e; lz4 -q -c in > f; lzop -q -c in > g",
    );
    let mut image = Vec::new();
    for (seed, part) in ["a", "b", "c", "d", "e", "f", "g"].iter().enumerate() {
        image.extend(noise(5_000, seed as u32 + 1));
        image.extend(std::fs::read(source.path(part)).unwrap());
    }
    image.extend(noise(999, 77));
    let found = opened(image);
    for format in ["gzip", "bzip2", "xz", "lzma", "zstd", "lz4", "lzop"] {
        let got: Vec<_> = inside(&found, format).into_values().collect();
        assert!(got == [Thing::File(prose(100_000))], "{format}");
    }
    assert_eq!(found.regions.len(), 8);
    assert!(found.regions.iter().all(|r| r.entropy > 7.0));
}
