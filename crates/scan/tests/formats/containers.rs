use std::fs;

use crate::source::{Source, Thing, inside, noise, opened, prose, round};

#[test]
fn uimage_single_and_multi() {
    let source = Source::new();
    source.sh("mksquashfs root fs.img -quiet -noappend -no-progress >/dev/null; gzip -c root/usr/share/prose > k.gz");
    let image = source.image(
        "mkimage -A mips -O linux -T kernel -C gzip -n 'MIPS Linux-3.10.14' -d k.gz image >/dev/null",
        "image",
    );
    let found = opened(image);
    assert_eq!(found.faults, []);
    let facts = &found.volumes[0].facts;
    assert!(
        facts.contains(&("name", "MIPS Linux-3.10.14".into()))
            && facts.contains(&("arch", "mips".into()))
    );
    assert_eq!(inside(&found, "gzip").len(), 1);
    let found = round(
        &source,
        "mkimage -A arm -O linux -T multi -C none -n multi -d k.gz:fs.img image >/dev/null",
        "squashfs",
    );
    assert_eq!(found.volumes[0].format, "uimage");
}

#[test]
fn fit_with_data_inside_and_outside() {
    let source = Source::new();
    fs::write(
        source.path("x.its"),
        "/dts-v1/;\n/ { description = \"planted fit\"; images {\n\
         kernel-1 { data = /incbin/(\"k.gz\"); type = \"kernel\"; arch = \"arm64\"; os = \"linux\"; \
         compression = \"gzip\"; load = <0x80000>; entry = <0x80000>; hash-1 { algo = \"sha1\"; }; };\n\
         rootfs { data = /incbin/(\"fs.img\"); type = \"ramdisk\"; arch = \"arm64\"; os = \"linux\"; compression = \"none\"; };\n\
         }; configurations { default = \"c\"; c { kernel = \"kernel-1\"; }; }; };\n",
    )
    .unwrap();
    source.sh("mksquashfs root fs.img -quiet -noappend -no-progress >/dev/null; gzip -c root/usr/share/prose > k.gz");
    for extra in ["", "-E", "-E -p 0x100000"] {
        let found = round(
            &source,
            &format!("mkimage {extra} -f x.its image >/dev/null"),
            "squashfs",
        );
        assert_eq!(found.volumes[0].format, "fit");
        assert!(
            found.volumes[0].facts.contains(&("signed", "no".into())),
            "{extra}"
        );
        assert_eq!(inside(&found, "gzip").len(), 1);
    }
}

/// A TRX of version 1 around a kernel and a root file system, behind a header of a vendor.
pub(crate) fn trx_in_chk(kernel: &[u8], root: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0_u16.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    for offset in [28, 28 + kernel.len() as u32, 0] {
        body.extend(offset.to_le_bytes());
    }
    body.extend(kernel);
    body.extend(root);
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let mut trx = b"HDR0".to_vec();
    trx.extend((body.len() as u32 + 12).to_le_bytes());
    trx.extend((!crc.sum()).to_le_bytes());
    trx.extend(&body);
    let mut chk = b"*#$^".to_vec();
    chk.extend(58_u32.to_be_bytes());
    chk.extend([0; 16]);
    chk.extend((trx.len() as u32).to_be_bytes());
    chk.extend([0; 12]);
    chk.extend(b"U12H127T00_NETGEAR");
    chk.extend(&trx);
    chk
}

#[test]
fn trx_behind_a_chk_header() {
    let source = Source::new();
    source.sh(
        "mksquashfs root fs.img -quiet -noappend -no-progress -comp xz >/dev/null; \
               xz --format=lzma -c root/usr/share/prose > k.lzma",
    );
    let (kernel, root) = (
        fs::read(source.path("k.lzma")).unwrap(),
        fs::read(source.path("fs.img")).unwrap(),
    );
    let found = opened(trx_in_chk(&kernel, &root));
    assert_eq!(found.faults, []);
    let formats: Vec<_> = found.volumes.iter().map(|v| v.format).collect();
    assert_eq!(formats, ["chk", "trx", "lzma", "squashfs"]);
    assert!(
        found.volumes[0]
            .facts
            .contains(&("board", "U12H127T00_NETGEAR".into()))
    );
    crate::source::same(&inside(&found, "squashfs"), &source.things(), "trx");
}

#[test]
fn records_of_both_kinds() {
    let source = Source::new();
    let code = noise(70_000, 5);
    fs::write(source.path("code.bin"), &code).unwrap();
    for line in [
        "objcopy -I binary -O ihex --change-addresses 0x08000000 code.bin image",
        "objcopy -I binary -O srec --change-addresses 0x08000000 code.bin image",
        "srec_cat code.bin -binary -offset 0x8000000 -o image -Intel",
    ] {
        let found = opened(source.image(line, "image"));
        assert_eq!(found.faults, [], "{line}");
        let got = inside(&found, "hex");
        assert!(got["/0x08000000"] == Thing::File(code.clone()), "{line}");
        assert_eq!(got.len(), 1);
    }
}

#[test]
fn android_sparse_around_ext4() {
    let source = Source::new();
    let found = round(
        &source,
        "rm -f fs.img; mke2fs -q -t ext4 -d root fs.img 16M >/dev/null 2>&1; img2simg fs.img image",
        "ext",
    );
    assert_eq!(found.volumes[0].format, "android-sparse");
}

/// One partition.
pub(crate) fn mbr(part: &[u8]) -> Vec<u8> {
    let mut disk = vec![0; 512 * 8];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk[450] = 0x83;
    disk[454..458].copy_from_slice(&8_u32.to_le_bytes());
    disk[458..462].copy_from_slice(&(part.len() as u32 / 512).to_le_bytes());
    disk.extend(part);
    disk
}

#[test]
fn partitions_and_their_file_systems() {
    let source = Source::new();
    source.sh("rm -f e.img; mke2fs -q -t ext2 -d root e.img 4M >/dev/null 2>&1");
    let part = fs::read(source.path("e.img")).unwrap();
    fs::write(source.path("image"), mbr(&part)).unwrap();
    let found = round(&source, "true", "ext");
    assert_eq!(found.volumes[0].format, "mbr");
}

/// A firmware volume as the specification lays it out, with one file in it.
pub(crate) fn uefi(content: &[u8]) -> Vec<u8> {
    let mut file = vec![0x11; 16];
    file.extend([0, 0, 7, 0]);
    let size = 24 + content.len() as u32;
    file.extend(&size.to_le_bytes()[..3]);
    file.push(0xf8);
    file.extend(content);
    let length = 4096_u64;
    let mut head = vec![0; 16];
    head.extend([
        0x78, 0xe5, 0x8c, 0x8c, 0x3d, 0x8a, 0x1c, 0x4f, 0x99, 0x35, 0x89, 0x61, 0x85, 0xc3, 0x2d,
        0xd3,
    ]);
    head.extend(length.to_le_bytes());
    head.extend(b"_FVH");
    head.extend([0; 4]);
    head.extend(72_u16.to_le_bytes());
    head.extend([0, 0, 0, 0, 0, 2]);
    head.extend([1, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let sum = head.chunks(2).fold(0_u16, |s, p| {
        s.wrapping_add(u16::from_le_bytes([p[0], p[1]]))
    });
    head[50..52].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    head.extend(file);
    head.resize(length as usize, 0xff);
    head
}

#[test]
fn uefi_volumes_are_listed() {
    let content = prose(1000);
    let found = opened(uefi(&content));
    assert_eq!(found.faults, []);
    let got = inside(&found, "uefi-fv");
    assert!(got["/11111111-1111-1111-1111-111111111111"] == Thing::File(content));
}
