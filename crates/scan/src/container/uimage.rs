//! U-Boot's legacy image (`image.h` of U-Boot): a header of 64 bytes, one or more parts.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, align, crc32, cut, tail},
};

pub(crate) static FORMAT: Format = Format {
    name: "uimage",
    class: Class::Container,
    magics: &[Magic(0, b"\x27\x05\x19\x56")],
    carved: true,
    open,
};

const HEAD: usize = 64;
const SYSTEMS: &[(u8, &str)] = &[
    (2, "netbsd"),
    (4, "4.4bsd"),
    (5, "linux"),
    (14, "vxworks"),
    (16, "qnx"),
    (17, "u-boot"),
    (18, "rtems"),
];
const ARCHS: &[(u8, &str)] = &[
    (2, "arm"),
    (3, "x86"),
    (5, "mips"),
    (6, "mips64"),
    (7, "ppc"),
    (9, "sh"),
    (10, "sparc"),
    (12, "m68k"),
    (14, "microblaze"),
    (15, "nios2"),
    (17, "avr32"),
    (22, "arm64"),
    (23, "arc"),
    (24, "x86_64"),
    (25, "xtensa"),
    (26, "riscv"),
];
const TYPES: &[(u8, &str)] = &[
    (1, "standalone"),
    (2, "kernel"),
    (3, "ramdisk"),
    (4, "multi"),
    (5, "firmware"),
    (6, "script"),
    (7, "filesystem"),
    (8, "flat_dt"),
];
const PACKINGS: &[(u8, &str)] = &[
    (0, "none"),
    (1, "gzip"),
    (2, "bzip2"),
    (3, "lzma"),
    (4, "lzo"),
    (5, "lz4"),
    (6, "zstd"),
];

fn word(table: &[(u8, &'static str)], number: u8) -> String {
    table
        .iter()
        .find(|(n, _)| *n == number)
        .map_or_else(|| number.to_string(), |(_, word)| (*word).to_owned())
}

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let mut head = view.slice(0, HEAD)?.to_vec();
    head[4..8].fill(0);
    if crc32(&head) != view.u32(4)? {
        return Err(Fault::Checksum("uImage header"));
    }
    let size = view.at32(12)?;
    let mut opened = Opened::default();
    let (kind, packing) = (word(TYPES, view.u8(30)?), word(PACKINGS, view.u8(31)?));
    opened.fact("name", view.text(32, 32)?);
    opened.fact("os", word(SYSTEMS, view.u8(28)?));
    opened.fact("arch", word(ARCHS, view.u8(29)?));
    opened.fact("type", kind.clone());
    opened.fact("compression", packing);
    let data = match cut(bytes, HEAD, size) {
        Ok(data) => {
            if crc32(&data) != view.u32(24)? {
                opened.faults.push(Fault::Checksum("uImage data"));
            }
            data
        }
        Err(fault) => {
            opened.faults.push(fault);
            tail(bytes, HEAD)
        }
    };
    opened.used = HEAD + data.len();
    if kind == "multi" || kind == "script" {
        parts(&data, &mut opened)?;
    } else {
        opened.entries.push(Entry::part(&kind, data));
    }
    Ok(opened)
}

/// A list of sizes that ends with zero, then the parts, each padded to four bytes.
fn parts(data: &Bytes, opened: &mut Opened) -> Result<(), Fault> {
    let view = View::big(data);
    let mut sizes = Vec::new();
    loop {
        match view.at32(sizes.len() * 4)? {
            0 => break,
            size => sizes.push(size),
        }
        if sizes.len() > 64 {
            return Err(Fault::Malformed("uImage parts"));
        }
    }
    let mut at = (sizes.len() + 1) * 4;
    for (index, size) in sizes.into_iter().enumerate() {
        match cut(data, at, size) {
            Ok(part) => opened
                .entries
                .push(Entry::part(&format!("part{index}"), part)),
            Err(fault) => opened.faults.push(fault),
        }
        at = at.saturating_add(align(size, 4));
    }
    Ok(())
}
