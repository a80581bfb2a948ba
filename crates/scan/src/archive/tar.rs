//! tar: ustar, GNU and pax.

use std::{collections::HashMap, io::Read};

use bytes::Bytes;
use tar::{Archive, EntryType};

use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::{align, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "tar",
    class: Class::Archive,
    magics: &[Magic(257, b"ustar\0"), Magic(257, b"ustar  \0")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let mut opened = Opened::default();
    let mut archive = Archive::new(&bytes[..]);
    let entries = archive.entries().map_err(|_| Fault::Malformed("tar"))?;
    let mut end = 0;
    let mut by_path: HashMap<String, Bytes> = HashMap::new();
    for entry in entries {
        budget.entry()?;
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(_) if opened.entries.is_empty() => return Err(Fault::Malformed("tar header")),
            Err(_) => {
                opened.faults.push(Fault::Malformed("tar header"));
                break;
            }
        };
        let raw = entry.path_bytes().into_owned();
        let header = entry.header();
        let number = |n: std::io::Result<u64>| n.unwrap_or(0) as u32;
        let (mode, uid, gid) = (
            header.mode().unwrap_or(0o644) & 0o7777,
            number(header.uid()),
            number(header.gid()),
        );
        let kind = header.entry_type();
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let at = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX);
        let size = budget.file(entry.size())?;
        let path = path::clean(&raw);
        let (kind, stored) = match kind {
            EntryType::Regular | EntryType::Continuous => (Kind::File(cut(bytes, at, size)?), size),
            EntryType::GNUSparse => {
                let packed = entry.header().entry_size().unwrap_or(0) as usize;
                let mut data = Vec::new();
                budget.hold(size)?;
                entry
                    .read_to_end(&mut data)
                    .map_err(|_| Fault::Malformed("sparse tar member"))?;
                (Kind::File(data.into()), packed)
            }
            EntryType::Directory => (Kind::Folder, 0),
            EntryType::Symlink => (Kind::Link(path::printable(&target.unwrap_or_default())), 0),
            EntryType::Link => {
                let to = path::clean(&target.unwrap_or_default());
                match by_path.get(&to) {
                    Some(data) => (Kind::File(data.clone()), 0),
                    None => (Kind::Link(to), 0),
                }
            }
            EntryType::XGlobalHeader => {
                end = end.max(at.saturating_add(align(size, 512)));
                continue;
            }
            _ => (Kind::Special, 0),
        };
        end = end.max(at.saturating_add(align(stored, 512)));
        if path::climbs(&raw) || raw.starts_with(b"/") {
            opened
                .faults
                .push(Fault::Malformed("a name that climbs out"));
        }
        if let Kind::File(data) = &kind {
            by_path.insert(path.clone(), data.clone());
        }
        opened.entries.push(Entry {
            path,
            kind,
            mode,
            uid,
            gid,
        });
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a tar without members"));
    }
    // Two blocks of zeros end it, more fill up the record.
    let zeros = bytes.get(end..).unwrap_or_default();
    let zeros = zeros.iter().position(|b| *b != 0).unwrap_or(zeros.len());
    opened.used = end.saturating_add(zeros / 512 * 512).min(bytes.len());
    Ok(opened)
}
