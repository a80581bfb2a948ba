//! SEAMA, also met under the name DLOB: an outer seal with words about the device, then entities of
//! words, digest and image. Numbers are big-endian.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    path,
    view::{View, cut, tail},
};

const MAGIC: &[u8] = b"\x5e\xa3\xa4\x17";

pub(crate) static FORMAT: Format = Format {
    name: "seama",
    class: Class::Container,
    magics: &[Magic(0, MAGIC)],
    carved: true,
    open,
};

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let mut opened = Opened::default();
    let mut at = 0;
    while view.slice(at, 4).is_ok_and(|m| m == MAGIC) {
        budget.entry()?;
        let (meta, size) = (usize::from(view.u16(at + 6)?), view.at32(at + 8)?);
        // A seal has no image and so no digest.
        let words = at + 12 + if size > 0 { 16 } else { 0 };
        for word in view.slice(words, meta)?.split(|b| *b == 0) {
            if !word.is_empty() && opened.facts.len() < 64 {
                opened.fact("meta", path::printable(word));
            }
        }
        at = words + meta;
        if size > 0 {
            let image = cut(bytes, at, size).unwrap_or_else(|fault| {
                opened.faults.push(fault);
                tail(bytes, at)
            });
            at += image.len();
            let name = format!("image{}", opened.entries.len());
            opened.entries.push(Entry::part(&name, image));
        }
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a seama without image"));
    }
    opened.used = at;
    Ok(opened)
}
