//! Partition tables of the old kind. The signature is weak, so every number must make sense.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "mbr",
    class: Class::Container,
    magics: &[Magic(510, b"\x55\xaa")],
    carved: false,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let mut opened = Opened {
        used: bytes.len(),
        ..Opened::default()
    };
    let mut end = 512;
    for index in 0..4 {
        let at = 446 + index * 16;
        let (flag, kind) = (view.u8(at)?, view.u8(at + 4)?);
        let (first, count) = (view.at32(at + 8)?, view.at32(at + 12)?);
        if kind == 0 || count == 0 {
            continue;
        }
        let (start, size) = (first.saturating_mul(512), count.saturating_mul(512));
        if flag & 0x7f != 0 || start < end {
            return Err(Fault::Malformed("partition table"));
        }
        end = start.saturating_add(size);
        match cut(bytes, start, size.min(bytes.len().saturating_sub(start))) {
            Ok(part) if !part.is_empty() => opened
                .entries
                .push(Entry::part(&format!("{}-type{kind:02x}", index + 1), part)),
            _ => return Err(Fault::Truncated("partition")),
        }
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a table without partitions"));
    }
    Ok(opened)
}
