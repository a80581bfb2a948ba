//! romfs (Linux kernel documentation, "ROMFS - ROM File System").

use std::collections::HashSet;

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{View, align, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "romfs",
    class: Class::Filesystem,
    magics: &[Magic(0, b"-rom1fs-")],
    carved: true,
    open,
};

/// Length of a NUL-ended name with its padding to 16 bytes.
fn padded(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Fault> {
    let rest = bytes.get(at..).ok_or(Fault::Truncated("romfs name"))?;
    let end =
        memchr::memchr(0, &rest[..rest.len().min(1024)]).ok_or(Fault::Malformed("romfs name"))?;
    Ok((&rest[..end], align(end + 1, 16)))
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let size = view.at32(8)?;
    let head = view.slice(0, size.min(512).min(bytes.len()))?;
    let sum = head.chunks_exact(4).fold(0_u32, |sum, word| {
        sum.wrapping_add(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
    });
    if size < 32 || (sum != 0 && size <= bytes.len()) {
        return Err(Fault::Checksum("romfs"));
    }
    let (name, length) = padded(bytes, 16)?;
    let mut opened = Opened {
        used: align(size, 1024).min(bytes.len()),
        ..Opened::default()
    };
    if size > bytes.len() {
        opened.faults.push(Fault::Truncated("romfs"));
    }
    opened.fact("name", path::printable(name));
    let mut line = vec![(16 + length, String::new())];
    let mut seen = HashSet::new();
    while let Some((mut at, folder)) = line.pop() {
        while at != 0 {
            if !seen.insert(at) {
                // The entries "." and ".." lead back, and so may an attack.
                break;
            }
            budget.entry()?;
            let (Ok(word), Ok(info), Ok(length)) =
                (view.u32(at), view.at32(at + 4), view.at32(at + 8))
            else {
                opened.faults.push(Fault::Truncated("romfs entry"));
                break;
            };
            let Ok((raw, name_length)) = padded(bytes, at + 16) else {
                opened.faults.push(Fault::Malformed("romfs name"));
                break;
            };
            let (kind, runs) = (word & 7, word & 8 != 0);
            let data = at + 16 + name_length;
            let here = at;
            at = (word & !15) as usize;
            if raw == b"." || raw == b".." || raw.contains(&b'/') || raw.is_empty() {
                continue;
            }
            let path = format!("{folder}/{}", path::printable(raw));
            let kind = match kind {
                1 => {
                    if info != here {
                        line.push((info, path.clone()));
                    }
                    Ok(Kind::Folder)
                }
                2 => cut(bytes, data, length).map(Kind::File),
                3 => cut(bytes, data, length.min(65536)).map(|t| Kind::Link(path::printable(&t))),
                0 => linked(bytes, view, info).map(Kind::File),
                _ => Ok(Kind::Special),
            };
            match kind {
                Ok(kind) => opened.entries.push(Entry {
                    mode: if runs || kind == Kind::Folder {
                        0o755
                    } else {
                        0o644
                    },
                    path,
                    kind,
                    uid: 0,
                    gid: 0,
                }),
                Err(fault) => opened.faults.push(fault),
            }
        }
    }
    Ok(opened)
}

/// The content of the file whose header is at `at`.
fn linked(bytes: &Bytes, view: View<'_>, at: usize) -> Result<Bytes, Fault> {
    if view.u32(at)? & 7 != 2 {
        return Err(Fault::Malformed("romfs link"));
    }
    let (_, length) = padded(bytes, at + 16)?;
    cut(bytes, at + 16 + length, view.at32(at + 8)?)
}
