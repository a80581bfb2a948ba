//! YAFFS2 as mkyaffs2image writes it: chunks of 2, 4 or 8 KiB, each with spare bytes behind it that
//! tell the object and the place. There is no superblock; the first object's header stands in.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::FOLDERS;
use crate::{
    Class, Fault,
    format::{Entry, Format, Kind, Magic, Opened},
    limits::Budget,
    path,
    view::View,
};

pub(crate) static FORMAT: Format = Format {
    name: "yaffs2",
    class: Class::Filesystem,
    magics: &[
        Magic(0, b"\x03\0\0\0\x01\0\0\0\xff\xff"),
        Magic(0, b"\x01\0\0\0\x01\0\0\0\xff\xff"),
        Magic(0, b"\x02\0\0\0\x01\0\0\0\xff\xff"),
        Magic(0, b"\0\0\0\x03\0\0\0\x01\xff\xff"),
        Magic(0, b"\0\0\0\x01\0\0\0\x01\xff\xff"),
    ],
    carved: true,
    open,
};

const ROOT: u32 = 1;

struct Object {
    kind: u32,
    parent: u32,
    name: String,
    mode: u32,
    uid: u32,
    gid: u32,
    size: usize,
    twin: u32,
    alias: String,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let big = bytes.first() == Some(&0);
    // The geometry is not written down: the one whose spare bytes make sense is it.
    [
        (2048, 64),
        (4096, 128),
        (2048, 128),
        (8192, 256),
        (4096, 224),
    ]
    .into_iter()
    .flat_map(|(chunk, spare)| [(chunk, spare, 0), (chunk, spare, 2)])
    .find(|&(chunk, spare, skip)| plausible(bytes, big, chunk, spare, skip))
    .ok_or(Fault::Malformed("yaffs2 tags"))
    .and_then(|(chunk, spare, skip)| read(bytes, big, chunk, spare, skip, budget))
}

/// Object, chunk and count of bytes out of the spare bytes.
fn tags(view: View<'_>, at: usize) -> Result<(u32, u32, usize), Fault> {
    Ok((view.u32(at + 4)?, view.u32(at + 8)?, view.at32(at + 12)?))
}

fn plausible(bytes: &[u8], big: bool, chunk: usize, spare: usize, skip: usize) -> bool {
    let view = View::ordered(bytes, big);
    let first = tags(view, chunk + skip);
    let second = tags(view, chunk * 2 + spare + skip);
    matches!(first, Ok((object, 0, _)) if (1..1 << 18).contains(&object))
        && match second {
            Ok((object, number, count)) => {
                (1..1 << 18).contains(&object) && number < 1 << 20 && count <= 0xffff
                    || object == u32::MAX
            }
            Err(_) => bytes.len() < (chunk + spare) * 2,
        }
}

fn read(
    bytes: &Bytes,
    big: bool,
    chunk: usize,
    spare: usize,
    skip: usize,
    budget: &mut Budget<'_>,
) -> Result<Opened, Fault> {
    let view = View::ordered(bytes, big);
    let mut objects: BTreeMap<u32, Object> = BTreeMap::new();
    let mut chunks: BTreeMap<(u32, u32), (usize, usize)> = BTreeMap::new();
    let mut at = 0;
    while let Ok((object, number, count)) = tags(view, at + chunk + skip) {
        budget.entry()?;
        if object == u32::MAX {
            // A chunk that was never written.
            at += chunk + spare;
            continue;
        }
        if number == 0 {
            match header(view, at) {
                Ok(head) => _ = objects.insert(object, head),
                Err(_) => break,
            }
        } else if count <= chunk {
            chunks.insert((object, number), (at, count));
        } else {
            break;
        }
        at += chunk + spare;
    }
    let mut opened = Opened {
        used: at.min(bytes.len()),
        ..Opened::default()
    };
    for (number, object) in &objects {
        let Some(path) = full(&objects, *number) else {
            continue;
        };
        let kind = match object.kind {
            1 => Kind::File(file(bytes, &chunks, *number, object.size, chunk, budget)?),
            2 => Kind::Link(object.alias.clone()),
            3 => Kind::Folder,
            4 => match objects.get(&object.twin) {
                Some(twin) => {
                    Kind::File(file(bytes, &chunks, object.twin, twin.size, chunk, budget)?)
                }
                None => continue,
            },
            _ => Kind::Special,
        };
        opened.entries.push(Entry {
            path,
            kind,
            mode: object.mode & 0o7777,
            uid: object.uid,
            gid: object.gid,
        });
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a yaffs2 without files"));
    }
    Ok(opened)
}

fn header(view: View<'_>, at: usize) -> Result<Object, Fault> {
    let kind = view.u32(at)?;
    let name = view.text(at + 10, 255)?;
    if !(1..=5).contains(&kind) || name.contains('/') {
        return Err(Fault::Malformed("yaffs2 object"));
    }
    Ok(Object {
        kind,
        parent: view.u32(at + 4)?,
        name,
        mode: view.u32(at + 268)?,
        uid: view.u32(at + 272)?,
        gid: view.u32(at + 276)?,
        size: view.at32(at + 292)?,
        twin: view.u32(at + 296)?,
        alias: view.text(at + 300, 160)?,
    })
}

/// The path of an object; none where its folders do not lead to the root.
fn full(objects: &BTreeMap<u32, Object>, number: u32) -> Option<String> {
    let mut parts = Vec::new();
    let mut at = number;
    while at != ROOT {
        let object = objects.get(&at)?;
        if object.name.is_empty() || object.name == ".." || parts.len() > FOLDERS {
            return None;
        }
        parts.push(object.name.as_str());
        at = object.parent;
    }
    if parts.is_empty() {
        return None;
    }
    parts.reverse();
    Some(path::clean(parts.join("/").as_bytes()))
}

fn file(
    bytes: &Bytes,
    chunks: &BTreeMap<(u32, u32), (usize, usize)>,
    object: u32,
    size: usize,
    chunk: usize,
    budget: &mut Budget<'_>,
) -> Result<Bytes, Fault> {
    let mine = chunks.range((object, 0)..=(object, u32::MAX));
    let room = mine.clone().count() * chunk;
    let size = budget.file(size as u64)?;
    if size as u64 > budget.grown(room) {
        return Err(crate::limits::Limit::Ratio.into());
    }
    budget.hold(size)?;
    let mut out = Vec::with_capacity(size.min(room));
    for (&(_, number), &(at, count)) in mine {
        let start = (number as usize - 1).saturating_mul(chunk);
        if start >= size {
            break;
        }
        out.resize(start, 0);
        out.extend_from_slice(&bytes[at..at + count]);
    }
    out.resize(size, 0);
    Ok(out.into())
}
