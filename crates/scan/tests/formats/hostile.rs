use std::{
    fs,
    time::{Duration, Instant},
};

use scan::{Fault, Limits, limits::Limit, unpack};

use crate::{
    containers, handmade,
    source::{Source, noise, opened, prose},
};

const SMALL: Limits = Limits {
    total: 32 << 20,
    work: 128 << 20,
    file: 8 << 20,
    entries: 5_000,
    depth: 8,
    ratio: 200,
    ratio_free: 8 << 20,
};

/// One image of each format, as the real tools make them, small.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let source = Source::new();
    source.sh("rm -rf root/usr/share/deep root/bin/mixed root/usr/share/noise; head -c 9000 root/usr/share/prose > p; mv p root/usr/share/prose; gzip -c root/usr/share/prose > k.gz");
    fs::write(
        source.path("u.ini"),
        "[a]\nmode=ubi\nimage=fs.ubifs\nvol_id=0\nvol_type=dynamic\nvol_name=rootfs\nvol_size=1MiB\n",
    )
    .unwrap();
    fs::write(
        source.path("x.its"),
        "/dts-v1/;\n/ { description = \"d\"; images { k { data = /incbin/(\"k.gz\"); type = \"kernel\"; arch = \"arm\"; os = \"linux\"; compression = \"gzip\"; }; }; };\n",
    )
    .unwrap();
    [
        ("gzip", "gzip -c root/usr/share/prose > image"),
        ("bzip2", "bzip2 -c root/usr/share/prose > image"),
        ("xz", "xz -c root/usr/share/prose > image"),
        ("lzma", "xz --format=lzma -c root/usr/share/prose > image"),
        ("zstd", "zstd -q -c root/usr/share/prose > image"),
        ("lz4", "lz4 -q -c root/usr/share/prose > image"),
        ("lz4", "lz4 -q -l -c root/usr/share/prose > image"),
        ("lzop", "lzop -q -c root/usr/share/prose > image"),
        ("tar", "tar -C root -cf image ."),
        ("cpio", "cd root; find . | cpio --quiet -o -H newc > ../image"),
        ("cpio", "cd root; find . | cpio --quiet -o -H bin > ../image"),
        ("zip", "cd root; zip -q -y -r ../i.zip .; mv ../i.zip ../image"),
        ("ar", "ar rc i.a root/etc/passwd root/usr/share/prose; mv i.a image"),
        ("squashfs", "mksquashfs root image -quiet -noappend -no-progress -comp gzip >/dev/null"),
        ("squashfs", "mksquashfs root image -quiet -noappend -no-progress -comp lzo -b 4096 >/dev/null"),
        ("jffs2", "mkfs.jffs2 -l -r root -o image"),
        ("jffs2", "mkfs.jffs2 -b -n -x zlib -r root -o image"),
        ("ubifs", "mkfs.ubifs -r root -m 512 -e 15872 -c 100 -o image"),
        ("ubi", "mkfs.ubifs -r root -m 512 -e 15360 -c 100 -o fs.ubifs; ubinize -m 512 -s 512 -p 16KiB -o image u.ini"),
        ("cramfs", "mkfs.cramfs root image"),
        ("romfs", "genromfs -d root -f image"),
        ("ext", "rm -f image; mke2fs -q -t ext4 -d root image 1M >/dev/null 2>&1"),
        ("ext", "genext2fs -d root -b 128 image"),
        ("fat", "find root -type l -delete; rm -f image; truncate -s 64K image; mkfs.fat -F 12 image >/dev/null; LC_ALL=C.UTF-8 mcopy -s -i image root/* ::/"),
        ("iso9660", "xorriso -as mkisofs -quiet -R -o image root 2>/dev/null"),
        ("uimage", "mkimage -A arm -O linux -T multi -C none -n m -d k.gz:k.gz image >/dev/null"),
        ("fit", "mkimage -f x.its image >/dev/null"),
        ("hex", "objcopy -I binary -O ihex root/usr/share/prose image"),
        ("hex", "objcopy -I binary -O srec root/usr/share/prose image"),
        ("android-sparse", "rm -f e; mke2fs -q -t ext2 -d root e 256K >/dev/null 2>&1; img2simg e image"),
        ("rpm", "printf 'Name: a\\nVersion: 1\\nRelease: 1\\nSummary: s\\nLicense: MIT\\nBuildArch: noarch\\n%%description\\nd\\n%%install\\nmkdir -p %%{buildroot}/etc\\necho a > %%{buildroot}/etc/a\\n%%files\\n/etc/a\\n' > a.spec; \
            rpmbuild -bb --quiet --define \"_topdir $PWD/b\" a.spec >log 2>&1; cp b/RPMS/noarch/*.rpm image"),
    ]
    .into_iter()
    .map(|(format, line)| (format, source.image(line, "image")))
    .chain(handmade(&prose(3_000), &prose(1_024)))
    .collect()
}

/// Of the formats whose writers no distribution packages.
fn handmade(kernel: &[u8], part: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let trx = containers::trx_in_chk(kernel, part);
    let [old, new] = handmade::android(kernel, part);
    vec![
        ("squashfs", handmade::squashfs3(true, kernel)),
        ("yaffs2", handmade::yaffs2(kernel)),
        ("seama", handmade::seama(kernel)),
        ("tplink", handmade::tplink(kernel)),
        ("realtek", handmade::realtek(kernel)),
        ("cfe", handmade::cfe(kernel)),
        ("sealed", handmade::sealed()),
        ("zip", handmade::dahua()),
        ("android-boot", old),
        ("android-boot", new),
        ("gpt", handmade::gpt(part)),
        ("mbr", containers::mbr(part)),
        ("uefi-fv", containers::uefi(kernel)),
        ("trx", trx[58..].to_vec()),
        ("chk", trx),
    ]
}

/// Whoever writes a reader of a format puts an image of it into the table above.
#[test]
fn every_format_has_a_sample() {
    let samples = samples();
    for name in scan::formats() {
        assert!(samples.iter().any(|(format, _)| *format == name), "{name}");
    }
}

/// Cut at many places, with bytes flipped, with numbers made huge: always an answer, and soon.
#[test]
fn damaged_images_do_no_harm() {
    let mut state = 0x2545_f491_u32;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below.max(1)
    };
    for (format, image) in samples() {
        let whole = unpack("image", image.clone().into(), &SMALL, &|| false);
        assert!(
            whole.volumes.iter().any(|v| v.format == format),
            "{format}: {:?}",
            whole.faults
        );
        let rounds = if image.len() > 100_000 { 40 } else { 150 };
        for turn in 0..rounds {
            let mut bad = image.clone();
            if turn % 3 == 0 {
                bad.truncate(random(bad.len()));
            }
            // Structures stand at the front and at the end more than in between.
            let near = [bad.len(), 128.min(bad.len()), 2048.min(bad.len())][turn % 3];
            for _ in 0..=random(6) {
                if bad.is_empty() {
                    break;
                }
                let at = if random(4) == 0 {
                    bad.len() - 1 - random(near.min(bad.len()))
                } else {
                    random(near)
                };
                match random(4) {
                    0 => bad[at] ^= 1 << random(8),
                    1 => bad[at] = random(256) as u8,
                    2 => {
                        let end = (at + 4).min(bad.len());
                        bad[at..end].fill(0xff);
                    }
                    _ => {
                        let end = (at + 4).min(bad.len());
                        bad[at..end].fill(0);
                    }
                }
            }
            let started = Instant::now();
            _ = unpack("image", bad.into(), &SMALL, &|| {
                started.elapsed() > Duration::from_secs(60)
            });
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{format}: too long"
            );
        }
    }
}

#[test]
fn bombs_meet_a_limit() {
    let source = Source::new();
    // A gigabyte of zeros in a megabyte, and five layers of it.
    for line in [
        "head -c 300000000 /dev/zero | gzip -9 > image",
        "head -c 300000000 /dev/zero | xz -0 > image",
        "head -c 300000000 /dev/zero | bzip2 -9 > image",
        "head -c 300000000 /dev/zero | gzip -9 | gzip -9 | gzip -9 > image",
    ] {
        let image = source.image(line, "image");
        let found = unpack("image", image.into(), &SMALL, &|| false);
        let met = found
            .faults
            .iter()
            .any(|(_, f)| matches!(f, Fault::Limit(_)));
        assert!(met, "{line}: {:?}", found.faults);
    }
}

#[test]
fn a_container_in_itself_too_deep_ends() {
    let source = Source::new();
    source.sh("cp root/etc/passwd x; for n in 1 2 3 4 5 6 7 8 9 10 11 12; do tar -cf y x; mv y x; done; mv x image");
    let found = unpack(
        "image",
        fs::read(source.path("image")).unwrap().into(),
        &SMALL,
        &|| false,
    );
    assert!(
        found
            .faults
            .iter()
            .any(|(_, f)| *f == Fault::Limit(Limit::Depth))
    );
}

/// The same container twice is opened once.
#[test]
fn a_copy_is_opened_once() {
    let source = Source::new();
    let found = opened(source.image(
        "gzip -n -c root/usr/share/prose > a.gz; cp a.gz b.gz; tar -cf image a.gz b.gz",
        "image",
    ));
    assert_eq!(
        found.volumes.iter().filter(|v| v.format == "gzip").count(),
        1
    );
}

#[test]
fn names_do_not_climb() {
    let source = Source::new();
    let image = source.image(
        "mkdir -p a/b; cp root/etc/passwd evil; cd a/b; tar -P -cf ../../image ../../evil /etc/hostname; cd ../..",
        "image",
    );
    let found = opened(image);
    let paths: Vec<_> = found.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["/evil", "/etc/hostname"]);
    assert!(!found.faults.is_empty(), "and that they tried is said");
}

#[test]
fn time_up_ends_the_work_with_what_there_is() {
    let source = Source::new();
    let image = source.image(
        "mksquashfs root image -quiet -noappend -no-progress >/dev/null",
        "image",
    );
    let asked = std::cell::Cell::new(0);
    let found = unpack("image", image.into(), &Limits::default(), &|| {
        asked.set(asked.get() + 1);
        asked.get() > 20
    });
    assert_eq!(found.stopped, Some(Limit::Time));
}

/// Bytes that are nothing are a region with its entropy, not an error.
#[test]
fn an_encrypted_image_is_a_region() {
    let found = opened(noise(300_000, 2));
    assert!(found.volumes.is_empty() && found.faults.is_empty());
    assert_eq!(found.regions.len(), 1);
    assert!(found.regions[0].entropy > 7.9);
}

/// Cut at every structure: in steps through what stands at the front, and at many places behind.
#[test]
fn truncated_images_are_said_to_be() {
    for (format, image) in samples() {
        let front = (0..image.len().min(2048)).step_by(48);
        let behind = (0..image.len()).step_by((image.len() / 24).max(1));
        for cut in front.chain(behind) {
            let begun = Instant::now();
            let found = unpack("image", image[..cut].to_vec().into(), &SMALL, &|| false);
            let files: u64 = found
                .files
                .iter()
                .filter_map(|file| file.bytes())
                .map(|bytes| bytes.len() as u64)
                .sum();
            assert!(files <= SMALL.total, "{format} cut at {cut}");
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{format} cut at {cut}"
            );
            // What is left is opened, or told of as a fault or as bytes that nothing claims; scraps
            // and padding are not worth a word.
            let told = !found.faults.is_empty() || !found.regions.is_empty();
            let opened = !found.volumes.is_empty();
            let nothing = cut < 64 || image[..cut].iter().all(|b| *b == image[0]);
            assert!(told || opened || nothing, "{format} cut at {cut}");
        }
    }
}

/// A zip archive whose entries all lie over the same bytes, and a file system whose files share
/// blocks and claim to be huge: a limit ends them.
#[test]
fn pieces_that_overlap_meet_a_limit() {
    let source = Source::new();
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![0; 4 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    let mut check = flate2::Crc::new();
    check.update(&vec![0; 4 << 20]);
    let sizes = [check.sum(), packed.len() as u32, 4 << 20]
        .map(u32::to_le_bytes)
        .concat();
    let mut zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    zip.extend(&sizes);
    zip.extend(b"\x01\0\0\0a");
    zip.extend(&packed);
    let start = zip.len();
    for _ in 0..2_000 {
        zip.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0");
        zip.extend(&sizes);
        zip.extend(b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a");
    }
    let size = (zip.len() - start) as u32;
    zip.extend(b"PK\x05\x06\0\0\0\0\xd0\x07\xd0\x07");
    zip.extend(size.to_le_bytes());
    zip.extend((start as u32).to_le_bytes());
    zip.extend(b"\0\0");
    let ext = "rm -f image; mke2fs -q -t ext2 -d root image 8M >/dev/null 2>&1
        for n in 0 1 2 3 4 5 6 7 8 9 10 11; do debugfs -w -R \"sif /usr/share/prose block[$n] 3\" image 2>/dev/null; done
        debugfs -w -R 'sif /usr/share/prose size 1000000000000' image 2>/dev/null
        debugfs -w -R 'sif /usr/share/noise size 900000000' image 2>/dev/null";
    for (name, image) in [("zip", zip), ("ext", source.image(ext, "image"))] {
        let begun = Instant::now();
        let found = unpack("image", image.into(), &SMALL, &|| false);
        let met = |(_, fault): &(String, Fault)| matches!(fault, Fault::Limit(_));
        let met = found.stopped.is_some() || found.faults.iter().any(met);
        assert!(met, "{name}: {:?}", found.faults);
        let bytes: usize = found
            .files
            .iter()
            .filter_map(|f| f.bytes())
            .map(|b| b.len())
            .sum();
        assert!(bytes as u64 <= SMALL.total, "{name}: {bytes}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{name}");
    }
}
