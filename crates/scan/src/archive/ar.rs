//! ar, as static libraries and Debian packages are.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{cut, tail},
};

const MAGIC: &[u8] = b"!<arch>\n";

pub(crate) static FORMAT: Format = Format {
    name: "ar",
    class: Class::Archive,
    magics: &[Magic(0, MAGIC)],
    carved: true,
    open,
};

fn number(field: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim();
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, radix).ok()
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut opened = Opened::default();
    let mut at = MAGIC.len();
    let mut long = Bytes::new();
    while let Ok(head) = cut(bytes, at, 60) {
        if &head[58..60] != b"`\n" {
            break;
        }
        budget.entry()?;
        let size = number(&head[48..58], 10)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(Fault::Malformed("ar size"))?;
        at += 60;
        let (data, whole) = match cut(bytes, at, size) {
            Ok(data) => (data, true),
            Err(fault) => {
                opened.faults.push(fault);
                (tail(bytes, at), false)
            }
        };
        let name = head[..16].trim_ascii_end();
        if name == b"//" {
            long = data;
        } else if name != b"/" && name != b"/SYM64/" {
            let (name, data) = named(name, &long, data);
            opened.entries.push(Entry {
                path: path::clean(&name),
                kind: Kind::File(data),
                mode: number(&head[40..48], 8).unwrap_or(0o644) as u32 & 0o7777,
                uid: number(&head[28..34], 10).unwrap_or(0) as u32,
                gid: number(&head[34..40], 10).unwrap_or(0) as u32,
            });
        }
        at = at.saturating_add(size).saturating_add(size % 2);
        if !whole {
            break;
        }
    }
    opened.used = at.min(bytes.len());
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("an ar without members"));
    }
    Ok(opened)
}

/// GNU keeps long names in a member of their own, BSD in front of the data.
fn named(name: &[u8], long: &Bytes, data: Bytes) -> (Vec<u8>, Bytes) {
    let count = |digits: &[u8]| number(digits, 10).and_then(|n| usize::try_from(n).ok());
    if let Some(offset) = name.strip_prefix(b"/").and_then(count) {
        let rest = tail(long, offset);
        let end = memchr::memchr2(b'\n', 0, &rest).unwrap_or(rest.len());
        let name = rest[..end].trim_ascii_end();
        return (name.strip_suffix(b"/").unwrap_or(name).to_vec(), data);
    }
    if let Some(length) = name.strip_prefix(b"#1/").and_then(count)
        && length <= data.len()
    {
        let own = &data[..length];
        let end = memchr::memchr(0, own).unwrap_or(length);
        return (own[..end].to_vec(), data.slice(length..));
    }
    (name.strip_suffix(b"/").unwrap_or(name).to_vec(), data)
}
