//! Realtek's sections: four letters, two addresses and a length before each.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "realtek",
    class: Class::Container,
    magics: &[
        Magic(0, b"cs6c"),
        Magic(0, b"cr6c"),
        Magic(0, b"cs6b"),
        Magic(0, b"r6cr"),
    ],
    carved: true,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let size = view.at32(12)?;
    if size < 64 {
        return Err(Fault::Malformed("section length"));
    }
    let mut opened = Opened {
        used: 16 + size,
        ..Opened::default()
    };
    opened.fact("load", format!("{:#x}", view.u32(4)?));
    opened
        .entries
        .push(Entry::part("section", cut(bytes, 16, size)?));
    Ok(opened)
}
