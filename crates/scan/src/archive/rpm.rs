//! RPM packages: lead, signature, header; the payload is an archive of its own.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, align, tail},
};

pub(crate) static FORMAT: Format = Format {
    name: "rpm",
    class: Class::Archive,
    magics: &[Magic(0, b"\xed\xab\xee\xdb")],
    carved: true,
    open,
};

/// Tags whose strings say what the package is.
const TAGS: &[(u32, &str)] = &[
    (1000, "name"),
    (1001, "version"),
    (1002, "release"),
    (1014, "licence"),
    (1022, "arch"),
    (1044, "source"),
];

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let mut opened = Opened::default();
    let signature = header(view, 96, &mut Vec::new())?;
    let mut facts = Vec::new();
    let end = header(view, align(signature, 8), &mut facts)?;
    opened.facts = facts;
    let payload = tail(bytes, end);
    if payload.is_empty() {
        return Err(Fault::Truncated("rpm payload"));
    }
    opened.entries.push(Entry::part("payload", payload));
    opened.used = bytes.len();
    Ok(opened)
}

/// Reads one header structure; where it ends.
fn header(
    view: View<'_>,
    at: usize,
    facts: &mut Vec<(&'static str, String)>,
) -> Result<usize, Fault> {
    if view.slice(at, 3)? != b"\x8e\xad\xe8" {
        return Err(Fault::Malformed("rpm header"));
    }
    let (count, size) = (view.at32(at + 8)?, view.at32(at + 12)?);
    if count > 1 << 16 || size > 256 << 20 {
        return Err(Fault::Malformed("rpm header"));
    }
    let store = at + 16 + count * 16;
    for index in 0..count {
        let entry = at + 16 + index * 16;
        let (tag, kind) = (view.u32(entry)?, view.u32(entry + 4)?);
        if let Some((_, name)) = TAGS.iter().find(|(t, _)| *t == tag)
            && matches!(kind, 6 | 9)
        {
            let offset = view.at32(entry + 8)?;
            let room = size.saturating_sub(offset).min(256);
            facts.push((name, view.text(store + offset, room)?));
        }
    }
    view.slice(store, size)?;
    Ok(store + size)
}
