//! Formats whose writers no distribution packages, laid out by hand as their descriptions say.

use std::{fs, io::Write};

use scan::{Limits, unpack};

use crate::source::{Source, Thing, inside, noise, opened, prose};

/// Numbers in one byte order.
struct Out {
    bytes: Vec<u8>,
    big: bool,
}

impl Out {
    fn new(big: bool) -> Out {
        Out {
            bytes: Vec::new(),
            big,
        }
    }

    fn number(&mut self, value: u64, width: usize) -> &mut Out {
        let little = value.to_le_bytes();
        let mut part = little[..width].to_vec();
        if self.big {
            part.reverse();
        }
        self.bytes.extend(part);
        self
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Out {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// A stored metadata block.
fn metadata(big: bool, content: &[u8]) -> Vec<u8> {
    let mut out = Out::new(big);
    out.number(content.len() as u64 | 0x8000, 2).raw(content);
    out.bytes
}

/// Version 3 with one file in the root and one below, which the real `unsquashfs` reads too.
pub(crate) fn squashfs3(big: bool, content: &[u8]) -> Vec<u8> {
    const HEAD: u64 = 119;
    let bits = |word_big: u64, word_little: u64| if big { word_big } else { word_little };
    let mut data = Vec::new();
    let mut sizes = Vec::new();
    for block in content.chunks(4096) {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(block).unwrap();
        let packed = packed.finish().unwrap();
        sizes.push(packed.len() as u64);
        data.extend(packed);
    }
    let mut inodes = Out::new(big);
    let base = |out: &mut Out, kind: u64, mode: u64, number: u64| {
        out.number(bits(kind << 12 | mode, kind | mode << 4), 2);
        out.number(0, 1)
            .number(255, 1)
            .number(0, 4)
            .number(number, 4);
    };
    // Both names lead to one file; then the folder below, then the root.
    base(&mut inodes, 2, 0o755, 1);
    inodes
        .number(HEAD, 8)
        .number(u64::from(u32::MAX), 4)
        .number(0, 4)
        .number(content.len() as u64, 4);
    for size in &sizes {
        inodes.number(*size, 4);
    }
    let mut folders = Out::new(big);
    let list = |out: &mut Out, entries: &[(u64, u64, &str)]| {
        let start = out.bytes.len() as u64;
        out.number(entries.len() as u64 - 1, 1)
            .number(0, 4)
            .number(1, 4);
        for (offset, kind, name) in entries {
            out.number(bits(offset << 3 | kind, offset | kind << 13), 2)
                .number(name.len() as u64 - 1, 1)
                .number(0, 2)
                .raw(name.as_bytes());
        }
        (start, out.bytes.len() as u64 - start + 3)
    };
    let folder = |out: &mut Out, (start, size): (u64, u64), number: u64, parent: u64| {
        let place = out.bytes.len() as u64;
        base(out, 1, 0o755, number);
        out.number(2, 4)
            .number(bits(size << 13 | start, size | start << 19), 4)
            .number(0, 4)
            .number(parent, 4);
        place
    };
    let below = list(&mut folders, &[(0, 2, "twin")]);
    let below = folder(&mut inodes, below, 2, 3);
    let root = list(&mut folders, &[(0, 2, "file"), (below, 1, "sub")]);
    let root = folder(&mut inodes, root, 3, 4);
    let inodes = metadata(big, &inodes.bytes);
    let folders = metadata(big, &folders.bytes);
    let inode_table = HEAD + data.len() as u64;
    let folder_table = inode_table + inodes.len() as u64;
    let uids = folder_table + folders.len() as u64;
    let groups = uids + 4;
    let end = groups + 4;
    let mut out = Out::new(big);
    out.raw(if big { b"sqsh" } else { b"hsqs" })
        .number(3, 4)
        .number(0, 4)
        .raw(&[0; 16])
        .number(3, 2)
        .number(1, 2)
        .number(4096, 2)
        .number(12, 2)
        .number(0, 1)
        .number(1, 1)
        .number(1, 1)
        .number(0, 4)
        .number(root, 8)
        .number(4096, 4)
        .number(0, 4)
        .number(0, 4)
        .number(end, 8)
        .number(uids, 8)
        .number(groups, 8)
        .number(inode_table, 8)
        .number(folder_table, 8)
        .number(uids, 8)
        .number(u64::MAX, 8);
    assert_eq!(out.bytes.len() as u64, HEAD);
    out.raw(&data)
        .raw(&inodes)
        .raw(&folders)
        .number(0, 4)
        .number(0, 4);
    out.bytes.resize(out.bytes.len().div_ceil(4096) * 4096, 0);
    out.bytes
}

#[test]
fn squashfs_3_in_both_orders() {
    let source = Source::new();
    let content = prose(10_000);
    for big in [false, true] {
        let image = squashfs3(big, &content);
        fs::write(source.path("image"), &image).unwrap();
        source.sh("rm -rf out; unsquashfs -quiet -no-progress -d out image >/dev/null");
        assert!(
            fs::read(source.path("out/sub/twin")).unwrap() == content,
            "the sample is one"
        );
        let found = opened(image);
        assert_eq!(found.faults, []);
        let got = inside(&found, "squashfs");
        assert_eq!(
            got.keys().collect::<Vec<_>>(),
            ["/file", "/sub", "/sub/twin"]
        );
        assert!(got["/file"] == Thing::File(content.clone()));
        assert!(got["/sub/twin"] == Thing::File(content.clone()));
        assert_eq!(found.files[0].mode, 0o755);
    }
}

/// Chunks of 2048 bytes with 64 spare ones, as mkyaffs2image lays them.
pub(crate) fn yaffs2(content: &[u8]) -> Vec<u8> {
    let mut image = Vec::new();
    let mut chunk = |data: &[u8], object: u32, number: u32, count: u32| {
        let mut page = data.to_vec();
        page.resize(2048, 0xff);
        for word in [0x1000, object, number, count] {
            page.extend(u32::to_le_bytes(word));
        }
        page.resize(2048 + 64, 0xff);
        image.extend(page);
    };
    let head = |kind: u32, parent: u32, name: &str, mode: u32, size: u32, alias: &str| {
        let mut head = Vec::new();
        head.extend(kind.to_le_bytes());
        head.extend(parent.to_le_bytes());
        head.extend([0xff, 0xff]);
        head.extend(name.as_bytes());
        head.resize(268, 0);
        for word in [mode, 7, 8, 0, 0, 0, size, u32::MAX] {
            head.extend(u32::to_le_bytes(word));
        }
        head.extend(alias.as_bytes());
        head.resize(512, 0);
        head
    };
    chunk(&head(3, 1, "etc", 0o40755, 0, ""), 257, 0, 0xffff);
    chunk(
        &head(1, 257, "passwd", 0o100_640, content.len() as u32, ""),
        258,
        0,
        0xffff,
    );
    for (n, part) in content.chunks(2048).enumerate() {
        chunk(part, 258, n as u32 + 1, part.len() as u32);
    }
    chunk(
        &head(2, 1, "link", 0o120_777, 0, "etc/passwd"),
        259,
        0,
        0xffff,
    );
    image
}

#[test]
fn yaffs2_by_its_tags() {
    let content = prose(5_000);
    let image = yaffs2(&content);
    let found = opened(image);
    assert_eq!(found.faults, []);
    let got = inside(&found, "yaffs2");
    assert!(got["/etc/passwd"] == Thing::File(content));
    assert!(got["/link"] == Thing::Link("etc/passwd".into()));
    let file = found
        .files
        .iter()
        .find(|f| f.path == "/etc/passwd")
        .unwrap();
    assert_eq!((file.mode, file.uid, file.gid), (0o640, 7, 8));
}

/// A seal, then an image with its digest.
pub(crate) fn seama(kernel: &[u8]) -> Vec<u8> {
    let mut seama = Out::new(true);
    let words = b"signature=wrgg19\0\0\0\0";
    seama
        .raw(b"\x5e\xa3\xa4\x17")
        .number(0, 2)
        .number(words.len() as u64, 2)
        .number(0, 4)
        .raw(words);
    seama
        .raw(b"\x5e\xa3\xa4\x17")
        .number(0, 2)
        .number(0, 2)
        .number(kernel.len() as u64, 4)
        .raw(&[0; 16])
        .raw(kernel);
    seama.bytes
}

/// TP-Link: places of the parts at 128.
pub(crate) fn tplink(kernel: &[u8]) -> Vec<u8> {
    let mut tplink = Out::new(true);
    tplink
        .number(0x0100_0000, 4)
        .raw(b"TP-LINK Technologies")
        .raw(&[0; 4])
        .raw(b"ver. 1.0")
        .raw(&[0; 28]);
    tplink
        .number(0x0841_0001, 4)
        .raw(&[0; 60])
        .number(512, 4)
        .number(kernel.len() as u64, 4)
        .raw(&[0; 16]);
    tplink.bytes.resize(512, 0);
    tplink.raw(kernel);
    tplink.bytes
}

/// Letters, two addresses, a length.
pub(crate) fn realtek(kernel: &[u8]) -> Vec<u8> {
    let mut realtek = Out::new(true);
    realtek
        .raw(b"cs6c")
        .number(0x8050_0000, 4)
        .number(0x3_0000, 4)
        .number(kernel.len() as u64, 4)
        .raw(kernel);
    realtek.bytes
}

#[test]
fn vendors_headers() {
    let kernel = prose(3_000);
    let found = opened(seama(&kernel));
    assert!(inside(&found, "seama")["/image0"] == Thing::File(kernel.clone()));
    assert!(
        found.volumes[0]
            .facts
            .contains(&("meta", "signature=wrgg19".into()))
    );
    let found = opened(tplink(&kernel));
    assert!(inside(&found, "tplink")["/kernel"] == Thing::File(kernel.clone()));
    assert!(
        found.volumes[0]
            .facts
            .contains(&("version", "ver. 1.0".into()))
    );
    assert!(
        inside(&opened(realtek(&kernel)), "realtek")["/section"] == Thing::File(kernel.clone())
    );
}

/// A tag of Broadcom's boot loader before what it starts.
pub(crate) fn cfe(content: &[u8]) -> Vec<u8> {
    let mut tag = vec![0; 256];
    let length = content.len().to_string();
    for (at, text) in [
        (0, "6"),
        (4, "Broadcom Corporatio"),
        (24, "ver. 2.0"),
        (38, "6362"),
        (44, "96362ADVN2xh"),
        (60, "1"),
        (62, &length),
    ] {
        tag[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    tag.extend(content);
    tag
}

/// What nobody can read behind D-Link's mark.
pub(crate) fn sealed() -> Vec<u8> {
    let mut image = b"SHRS\0\0\x20\0".to_vec();
    image.extend(noise(8_192, 5));
    image
}

/// An archive whose first letters Dahua's packer changes.
pub(crate) fn dahua() -> Vec<u8> {
    let source = Source::new();
    let mut image = source.image(
        "cd root; zip -q ../i.zip etc/passwd; mv ../i.zip ../image",
        "image",
    );
    image[..2].copy_from_slice(b"DH");
    image
}

#[test]
fn vendors_seals_and_disguises() {
    let kernel = prose(3_000);
    let found = opened(cfe(&kernel));
    assert!(inside(&found, "cfe")["/image"] == Thing::File(kernel));
    assert!(
        found.volumes[0]
            .facts
            .contains(&("board", "96362ADVN2xh".into()))
    );
    let found = opened(sealed());
    let told = (
        found.volumes[0].format,
        found.volumes[0].facts[0].1.as_str(),
    );
    assert_eq!(told, ("sealed", "SHRS"));
    // A text that begins like one is none.
    let mut text = b"SHRS ".to_vec();
    text.extend(prose(3_000));
    let found = unpack("image", text.into(), &Limits::default(), &|| false);
    assert!(found.volumes.is_empty());
    let found = opened(dahua());
    assert!(matches!(
        &inside(&found, "zip")["/etc/passwd"],
        Thing::File(_)
    ));
}

/// Of version 0 and of version 3.
pub(crate) fn android(kernel: &[u8], ramdisk: &[u8]) -> [Vec<u8>; 2] {
    let (first, second) = (kernel.len() as u64, ramdisk.len() as u64);
    let pad = |bytes: &mut Vec<u8>, page: usize| bytes.resize(bytes.len().div_ceil(page) * page, 0);
    let mut old = Out::new(false);
    old.raw(b"ANDROID!")
        .number(first, 4)
        .number(0, 4)
        .number(second, 4)
        .number(0, 4);
    old.number(0, 4)
        .number(0, 4)
        .number(0, 4)
        .number(2048, 4)
        .number(0, 4)
        .number(0, 4)
        .raw(b"board");
    pad(&mut old.bytes, 2048);
    let mut new = Out::new(false);
    new.raw(b"ANDROID!")
        .number(first, 4)
        .number(second, 4)
        .number(0, 4)
        .number(1580, 4)
        .raw(&[0; 16])
        .number(3, 4);
    new.raw(b"console=ttyS0");
    pad(&mut new.bytes, 4096);
    [(old.bytes, 2048), (new.bytes, 4096)].map(|(mut image, page)| {
        image.extend(kernel);
        pad(&mut image, page);
        image.extend(ramdisk);
        pad(&mut image, page);
        image
    })
}

#[test]
fn android_boot_images() {
    let (kernel, ramdisk) = (prose(3_000), prose(5_000));
    for image in android(&kernel, &ramdisk) {
        let found = opened(image);
        assert_eq!(found.faults, []);
        let got = inside(&found, "android-boot");
        assert!(got["/kernel"] == Thing::File(kernel.clone()));
        assert!(got["/ramdisk"] == Thing::File(ramdisk.clone()));
    }
}

/// One partition of two blocks.
pub(crate) fn gpt(part: &[u8]) -> Vec<u8> {
    let mut entry = Out::new(false);
    entry
        .raw(&[7; 16])
        .raw(&[8; 16])
        .number(34, 8)
        .number(35, 8)
        .number(0, 8);
    for letter in "rootfs".encode_utf16() {
        entry.number(u64::from(letter), 2);
    }
    entry.bytes.resize(128 * 128, 0);
    let mut head = Out::new(false);
    head.raw(b"EFI PART")
        .number(0x1_0000, 4)
        .number(92, 4)
        .number(0, 4)
        .number(0, 4);
    head.number(1, 8)
        .number(0, 8)
        .number(34, 8)
        .number(35, 8)
        .raw(&[9; 16])
        .number(2, 8);
    head.number(128, 4).number(128, 4).number(0, 4);
    let mut crc = flate2::Crc::new();
    crc.update(&head.bytes);
    head.bytes[16..20].copy_from_slice(&crc.sum().to_le_bytes());
    let mut disk = vec![0; 512];
    disk.extend(head.bytes);
    disk.resize(1024, 0);
    disk.extend(entry.bytes);
    disk.extend(part);
    disk
}

#[test]
fn guid_partition_tables() {
    let part = prose(1024);
    let found = opened(gpt(&part));
    assert_eq!(found.faults, []);
    assert!(inside(&found, "gpt")["/1-rootfs"] == Thing::File(part));
}
