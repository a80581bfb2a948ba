//! ISO 9660 with Rock Ridge names, modes and links, or Joliet names.

use std::collections::HashSet;

use bytes::Bytes;

use super::FOLDERS;
use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{View, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "iso9660",
    class: Class::Filesystem,
    magics: &[Magic(0x8001, b"CD001")],
    carved: true,
    open,
};

const SECTOR: usize = 2048;

/// What the system-use fields of a record say (Rock Ridge).
#[derive(Default)]
struct Ridge {
    name: Option<Vec<u8>>,
    mode: Option<(u32, u32, u32)>,
    link: Option<String>,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let (mut primary, mut joliet) = (None, None);
    for index in 0..32 {
        let at = 16 * SECTOR + index * SECTOR;
        if view.slice(at + 1, 5).is_ok_and(|m| m != b"CD001") {
            break;
        }
        match view.u8(at)? {
            1 => primary = primary.or(Some(at)),
            2 if matches!(view.slice(at + 88, 3)?, b"%/@" | b"%/C" | b"%/E") => {
                joliet = joliet.or(Some(at));
            }
            255 => break,
            _ => {}
        }
    }
    let head = primary.ok_or(Fault::Malformed("iso without primary descriptor"))?;
    let block = usize::from(view.u16(head + 128)?);
    if !matches!(block, 512 | 1024 | 2048) {
        return Err(Fault::Malformed("iso block size"));
    }
    let whole = view.at32(head + 80)?.saturating_mul(block);
    let mut opened = Opened {
        used: whole.min(bytes.len()),
        ..Opened::default()
    };
    if whole > bytes.len() {
        opened.faults.push(Fault::Truncated("iso"));
    }
    opened.fact("name", view.text(head + 40, 32)?.trim().to_owned());
    let start = view.at32(head + 156 + 2)?.saturating_mul(block);
    let ridged = view.u8(start).is_ok_and(|length| {
        view.slice(start + 34, usize::from(length).saturating_sub(34))
            .is_ok_and(|fields| fields.starts_with(b"SP"))
    });
    let (root, wide) = match joliet {
        Some(other) if !ridged => (other + 156, true),
        _ => (head + 156, false),
    };
    let mut line = vec![(
        String::new(),
        view.at32(root + 2)?.saturating_mul(block),
        view.at32(root + 10)?,
        0,
    )];
    let mut seen = HashSet::new();
    while let Some((folder, start, size, depth)) = line.pop() {
        if !seen.insert(start) || depth > FOLDERS {
            opened.faults.push(Fault::Malformed("a folder in itself"));
            continue;
        }
        let data = match cut(bytes, start, size) {
            Ok(data) => data,
            Err(fault) if depth == 0 => return Err(fault),
            Err(fault) => {
                opened.faults.push(fault);
                continue;
            }
        };
        let mut at = 0;
        // A file larger than an extent goes on in the next record.
        let mut begun: Option<Vec<u8>> = None;
        while at < data.len() {
            let length = usize::from(data[at]);
            if length == 0 {
                // Records do not cross sectors.
                at = (at / SECTOR + 1) * SECTOR;
                continue;
            }
            budget.entry()?;
            let Ok(record) = View::little(&data).part(at, length) else {
                break;
            };
            at += length;
            let Ok(raw) = record.u8(32).and_then(|n| record.slice(33, usize::from(n))) else {
                opened.faults.push(Fault::Malformed("iso record"));
                continue;
            };
            if raw == b"\0" || raw == b"\x01" {
                continue;
            }
            let fields = 33 + raw.len() + usize::from(raw.len().is_multiple_of(2));
            let mut ridge = Ridge::default();
            if ridged && fields < length {
                let fields = record.slice(fields, length - fields)?;
                read_ridge(view, fields, block, &mut ridge, 0);
            }
            let (extent, size, flags) = (
                record.at32(2)?.saturating_mul(block),
                record.at32(10)?,
                record.u8(25)?,
            );
            let name = name(raw, wide, ridge.name.take());
            if name.is_empty() || name == ".." || name == "." || name.contains('/') {
                opened.faults.push(Fault::Malformed("iso name"));
                continue;
            }
            let path = format!("{folder}/{name}");
            let (mode, uid, gid) = ridge.mode.unwrap_or((0, 0, 0));
            let kind = if let Some(target) = ridge.link {
                Kind::Link(target)
            } else if flags & 2 != 0 {
                line.push((path.clone(), extent, size, depth + 1));
                Kind::Folder
            } else if let Some(kind) = super::special(mode) {
                kind
            } else {
                let part = match cut(bytes, extent, size) {
                    Ok(part) => part,
                    Err(fault) => {
                        opened.faults.push(fault);
                        continue;
                    }
                };
                match begun.take() {
                    None if flags & 0x80 == 0 => Kind::File(part),
                    known => {
                        let mut whole = known.unwrap_or_default();
                        budget.hold(part.len())?;
                        whole.extend_from_slice(&part);
                        if flags & 0x80 != 0 {
                            begun = Some(whole);
                            continue;
                        }
                        Kind::File(whole.into())
                    }
                }
            };
            let usual = if kind == Kind::Folder { 0o755 } else { 0o644 };
            opened.entries.push(Entry {
                path,
                kind,
                mode: if mode == 0 { usual } else { mode & 0o7777 },
                uid,
                gid,
            });
        }
    }
    Ok(opened)
}

fn name(raw: &[u8], wide: bool, ridge: Option<Vec<u8>>) -> String {
    if let Some(name) = ridge {
        return path::printable(&name);
    }
    let text = if wide {
        let units: Vec<u16> = raw
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        path::printable(String::from_utf16_lossy(&units).as_bytes())
    } else {
        path::printable(raw)
    };
    // The version behind the semicolon, and the dot of a name without an ending.
    let text = text.split(';').next().unwrap_or_default();
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

fn read_ridge(view: View<'_>, fields: &[u8], block: usize, ridge: &mut Ridge, depth: usize) {
    let own = View::little(fields);
    let mut at = 0;
    while let Ok(length) = own.u8(at + 2).map(usize::from) {
        let Ok(field) = own.part(at, length) else {
            return;
        };
        if length < 4 {
            return;
        }
        at += length;
        let Ok(sign) = field.slice(0, 2) else { return };
        match sign {
            b"NM" if length >= 5 => {
                if let Ok(part) = field.slice(5, length - 5) {
                    ridge.name.get_or_insert_default().extend_from_slice(part);
                }
            }
            b"PX" => {
                if let (Ok(mode), Ok(uid), Ok(gid)) = (field.u32(4), field.u32(20), field.u32(28)) {
                    ridge.mode = Some((mode, uid, gid));
                }
            }
            b"SL" if length >= 5 => {
                if let Ok(parts) = field.slice(5, length - 5) {
                    link(parts, ridge.link.get_or_insert_default());
                }
            }
            b"CE" if depth < 8 => {
                if let (Ok(at), Ok(offset), Ok(size)) =
                    (field.at32(4), field.at32(12), field.at32(20))
                    && let Ok(more) = view.slice(
                        at.saturating_mul(block).saturating_add(offset),
                        size.min(SECTOR),
                    )
                {
                    read_ridge(view, more, block, ridge, depth + 1);
                }
            }
            b"ST" => return,
            _ => {}
        }
    }
}

/// Components of a link: flags, length, text.
fn link(parts: &[u8], target: &mut String) {
    let mut rest = parts;
    while let [flags, length, tail @ ..] = rest {
        let Some((text, next)) = tail.split_at_checked(usize::from(*length)) else {
            return;
        };
        if !target.is_empty() && !target.ends_with('/') {
            target.push('/');
        }
        match flags & 0x0e {
            2 => target.push('.'),
            4 => target.push_str(".."),
            8 => target.push('/'),
            _ => target.push_str(&path::printable(text)),
        }
        rest = next;
    }
}
