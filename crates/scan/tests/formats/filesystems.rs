use std::fs;

use crate::source::{Source, Thing, inside, is_filesystem, noise, opened, prose, round, same};

#[test]
fn squashfs_with_every_compression() {
    let source = Source::new();
    for extra in [
        "-comp gzip",
        "-comp xz",
        "-comp xz -Xbcj arm,x86",
        "-comp lzma",
        "-comp lzo",
        "-comp lz4",
        "-comp lz4 -Xhc",
        "-comp zstd",
        "-comp gzip -b 4096",
        "-comp xz -b 1M",
        "-no-fragments",
        "-always-use-fragments",
        "-noI -noD -noF",
        "-no-xattrs -all-root",
    ] {
        let found = round(
            &source,
            &format!("mksquashfs root image -quiet -noappend -no-progress {extra} >/dev/null"),
            "squashfs",
        );
        is_filesystem(&found);
        let mixed = found.files.iter().find(|f| f.path == "/bin/mixed").unwrap();
        assert_eq!(mixed.mode, 0o4755, "{extra}");
    }
}

/// Vendors changed the magic, and put LZMA where the header says gzip.
#[test]
fn squashfs_as_vendors_bend_it() {
    let source = Source::new();
    let plain = source.image(
        "mksquashfs root image -quiet -noappend -no-progress -comp lzma >/dev/null",
        "image",
    );
    for magic in [b"hsqs", b"shsq", b"hsqt", b"zlqs"] {
        let mut bent = plain.clone();
        bent[..4].copy_from_slice(magic);
        bent[20..22].copy_from_slice(&1_u16.to_le_bytes());
        let found = opened(bent);
        same(&inside(&found, "squashfs"), &source.things(), "bent");
    }
}

/// The root file system is found behind a kernel of unknown bytes, wherever it begins.
#[test]
fn squashfs_is_found_in_a_flash_dump() {
    let source = Source::new();
    let fs = source.image(
        "mksquashfs root fs -quiet -noappend -no-progress >/dev/null",
        "fs",
    );
    let mut image = noise(123_457, 4);
    image.extend(&fs);
    image.extend(vec![0xff; 70_000]);
    let found = opened(image);
    assert_eq!(found.volumes[0].offset, 123_457);
    same(&inside(&found, "squashfs"), &source.things(), "carved");
}

#[test]
fn jffs2_in_both_orders() {
    let source = Source::new();
    for extra in [
        "-l",
        "-b",
        "-l -n",
        "-l -e 128KiB -p",
        "-b -x zlib",
        "-l -x lzo",
        "-l -x zlib -x rtime -x lzo",
        "-l -m size",
        "-l -m priority -X lzo",
    ] {
        let found = round(
            &source,
            &format!("mkfs.jffs2 -r root -o image {extra}"),
            "jffs2",
        );
        is_filesystem(&found);
    }
}

#[test]
fn ubifs_bare_and_in_ubi() {
    let source = Source::new();
    for packing in ["lzo", "zlib", "zstd", "none", "favor_lzo"] {
        round(
            &source,
            &format!("mkfs.ubifs -r root -m 2048 -e 126976 -c 200 -x {packing} -o image"),
            "ubifs",
        );
    }
    fs::write(
        source.path("u.ini"),
        "[a]\nmode=ubi\nimage=fs.ubifs\nvol_id=0\nvol_type=dynamic\nvol_name=rootfs\nvol_size=20MiB\nvol_flags=autoresize\n\
         [b]\nmode=ubi\nimage=kernel\nvol_id=1\nvol_type=static\nvol_name=kernel\nvol_size=1MiB\n",
    )
    .unwrap();
    fs::write(source.path("kernel"), prose(300_000)).unwrap();
    let found = round(
        &source,
        "mkfs.ubifs -r root -m 2048 -e 126976 -c 200 -o fs.ubifs; ubinize -m 2048 -p 128KiB -o image u.ini",
        "ubifs",
    );
    let ubi = inside(&found, "ubi");
    assert!(
        ubi["/kernel"] == Thing::File(prose(300_000)),
        "a static volume has its length"
    );
    // NOR flash: no sub-pages, small blocks.
    round(
        &source,
        "mkfs.ubifs -r root -m 1 -e 65408 -c 200 -o fs.ubifs; ubinize -m 1 -p 64KiB -o image u.ini",
        "ubifs",
    );
}

#[test]
fn cramfs_in_both_orders() {
    let source = Source::new();
    for extra in ["-N little", "-N big"] {
        let found = round(
            &source,
            &format!("mkfs.cramfs {extra} root image"),
            "cramfs",
        );
        is_filesystem(&found);
    }
}

#[test]
fn romfs() {
    let source = Source::new();
    is_filesystem(&round(&source, "genromfs -d root -f image", "romfs"));
}

#[test]
fn ext_in_its_generations() {
    let source = Source::new();
    for line in [
        "rm -f image; mke2fs -q -t ext2 -d root image 8M",
        "rm -f image; mke2fs -q -t ext3 -d root image 16M",
        "rm -f image; mke2fs -q -t ext4 -d root image 16M",
        "rm -f image; mke2fs -q -t ext4 -b 4096 -O 64bit,inline_data -I 256 -d root image 16M",
        "rm -f image; mke2fs -q -t ext4 -O ^extents,^64bit -d root image 16M",
        "genext2fs -d root -b 8192 image",
        "genext2fs -B 4096 -d root -b 2048 image",
    ] {
        is_filesystem(&round(&source, &format!("{line} >/dev/null 2>&1"), "ext"));
    }
}

/// FAT knows no links.
#[test]
fn fat_of_three_widths() {
    let source = Source::new();
    source.sh("find root -type l -delete");
    for (width, size) in [(12, 2), (16, 16), (32, 40)] {
        let found = round(
            &source,
            &format!(
                "rm -f image; truncate -s {size}M image; mkfs.fat -F {width} {} image >/dev/null; \
                      LC_ALL=C.UTF-8 mcopy -s -i image root/* ::/",
                if width == 32 { "-s 1" } else { "" }
            ),
            "fat",
        );
        assert!(
            found.volumes[0]
                .facts
                .contains(&("bits", width.to_string()))
        );
    }
}

#[test]
fn iso_with_rock_ridge_or_joliet() {
    let source = Source::new();
    is_filesystem(&round(
        &source,
        "xorriso -as mkisofs -quiet -R -o image root 2>/dev/null",
        "iso9660",
    ));
    source.sh("find root -type l -delete");
    round(
        &source,
        "xorriso -as mkisofs -quiet -J -joliet-long --norock -o image root 2>/dev/null",
        "iso9660",
    );
}

/// Removed and overwritten files stay removed in a log-structured file system.
#[test]
fn the_newest_version_counts() {
    let source = Source::new();
    let first = source.image("mkfs.jffs2 -l -r root -o a", "a");
    fs::write(
        source.path("root/etc/passwd"),
        b"root:x:0:0:newer:/:/bin/sh\n",
    )
    .unwrap();
    let found = opened(first);
    assert!(
        matches!(&inside(&found, "jffs2")["/etc/passwd"], Thing::File(b) if b.starts_with(b"root:x:0:0:root"))
    );
}
