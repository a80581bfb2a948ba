//! Netgear's CHK: lengths of kernel and root file system behind a header with the board's name.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "chk",
    class: Class::Container,
    magics: &[Magic(0, b"*#$^")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let (head, kernel, root) = (view.at32(4)?, view.at32(24)?, view.at32(28)?);
    if !(40..=1024).contains(&head) {
        return Err(Fault::Malformed("chk header"));
    }
    let mut opened = Opened::default();
    opened.fact("board", view.text(40, head - 40)?);
    let mut at = head;
    for (name, size) in [("kernel", kernel), ("rootfs", root)] {
        if size > 0 {
            opened
                .entries
                .push(Entry::part(name, cut(bytes, at, size)?));
            at += size;
        }
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a chk without parts"));
    }
    opened.used = at;
    Ok(opened)
}
