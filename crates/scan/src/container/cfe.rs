//! The tag of Broadcom's boot loader CFE for DSL and fibre chips: 256 bytes of text about what follows
//! (OpenWrt, `bcm63xx-cfe`; every number is decimal text, padded with zeros).

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, cut, tail},
};

const TAG: usize = 256;

pub(crate) static FORMAT: Format = Format {
    name: "cfe",
    class: Class::Container,
    magics: &[Magic(4, b"Broadcom Corporatio"), Magic(4, b"BRCM Corp")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let mut opened = Opened::default();
    for (name, at, size) in [("chip", 38, 6), ("board", 44, 16)] {
        let text = view.text(at, size)?;
        if !text.is_empty() {
            opened.fact(name, text);
        }
    }
    let size = view.text(62, 10)?;
    let size: usize = size
        .trim()
        .parse()
        .map_err(|_| Fault::Malformed("cfe tag"))?;
    view.slice(TAG, 1)?;
    let whole = cut(bytes, TAG, size).unwrap_or_else(|fault| {
        opened.faults.push(fault);
        tail(bytes, TAG)
    });
    opened.used = TAG + whole.len();
    opened.entries.push(Entry::part("image", whole));
    Ok(opened)
}
