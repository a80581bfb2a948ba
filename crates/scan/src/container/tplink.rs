//! TP-Link's first header: 512 bytes with the places of boot loader, kernel and root file system.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "tplink",
    class: Class::Container,
    magics: &[
        Magic(0, b"\x01\0\0\0TP-LINK Technologies"),
        Magic(0, b"\x01\0\0\0TP-LINK Corporation"),
    ],
    carved: true,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let mut opened = Opened {
        used: 512,
        ..Opened::default()
    };
    opened.fact("vendor", view.text(4, 24)?);
    opened.fact("version", view.text(28, 36)?);
    opened.fact("hardware", format!("{:08x}", view.u32(64)?));
    for (name, at) in [("kernel", 128), ("rootfs", 136), ("boot", 144)] {
        let (place, size) = (view.at32(at)?, view.at32(at + 4)?);
        if size == 0 {
            continue;
        }
        match cut(bytes, place, size) {
            Ok(part) => {
                opened.used = opened.used.max(place + size);
                opened.entries.push(Entry::part(name, part));
            }
            Err(fault) => opened.faults.push(fault),
        }
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a header without parts"));
    }
    Ok(opened)
}
