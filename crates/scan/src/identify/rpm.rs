//! Databases of rpm: SQLite (`rpmdb.sqlite`), ndb (`Packages.db`) and Berkeley DB (`Packages`). Of each
//! only as much is read as it takes to come to the packages' headers, which all three hold as rpm
//! makes them (rpm's lib/header.c).

use std::collections::BTreeSet;

use super::{
    Component,
    packages::{Package, package},
};
use crate::{Fault, view::View};

/// Packages of one database at most.
const PACKAGES: usize = 100_000;
/// Bytes of one header at most, as in rpm.
const HEADER: usize = 256 << 20;
const TORN: Fault = Fault::Malformed("rpm database");

/// Reads `bytes` if the file at `path` is such a database.
pub(super) fn read(path: &str, chain: &str, bytes: &[u8], found: &mut Vec<Component>) {
    if !path.contains("/rpm/") {
        return;
    }
    let mut each = |header: &[u8]| header_of(chain, header, found);
    // What was read before something broken stays.
    let _ = match path.rsplit('/').next() {
        Some("rpmdb.sqlite") => sqlite(bytes, &mut each),
        Some("Packages.db") => ndb(bytes, &mut each),
        Some("Packages") => berkeley(bytes, &mut each),
        _ => Ok(()),
    };
}

/// A header without its magic: how many entries, how many bytes they lead into, both.
fn header_of(chain: &str, bytes: &[u8], found: &mut Vec<Component>) {
    let read = || -> Result<Option<Component>, Fault> {
        let view = View::big(bytes);
        let (count, size) = (view.at32(0)?, view.at32(4)?);
        if count > 1 << 16 || size > HEADER {
            return Err(TORN);
        }
        let store = 8 + count * 16;
        let (mut name, mut version, mut release) = (None, None, None);
        let (mut epoch, mut licence, mut source) = (None, None, None);
        for entry in (0..count).map(|n| 8 + n * 16) {
            let (tag, kind) = (view.u32(entry)?, view.u32(entry + 4)?);
            let offset = view.at32(entry + 8)?;
            let text = || {
                let room = size.saturating_sub(offset).min(512);
                view.text(
                    store + offset,
                    room.min(bytes.len().saturating_sub(store + offset)),
                )
            };
            match (tag, kind) {
                (1000, 6) => name = Some(text()?),
                (1001, 6) => version = Some(text()?),
                (1002, 6) => release = Some(text()?),
                (1003, 4) => epoch = Some(view.u32(store + offset)?),
                (1014, 6) => licence = Some(text()?),
                (1044, 6) => source = Some(text()?),
                _ => {}
            }
        }
        let (Some(name), Some(version)) = (name, version) else {
            return Ok(None);
        };
        // Keys that packages are signed with stand among them.
        if name == "gpg-pubkey" {
            return Ok(None);
        }
        let mut full = version;
        if let Some(release) = release {
            full = format!("{full}-{release}");
        }
        if let Some(epoch) = epoch.filter(|epoch| *epoch > 0) {
            full = format!("{epoch}:{full}");
        }
        // name-version-release.src.rpm
        let source = source.as_deref().and_then(|file| {
            let (rest, _) = file.rsplit_once('-')?;
            rest.rsplit_once('-').map(|(name, _)| name)
        });
        Ok(Some(package(
            chain,
            &Package {
                offset: 0,
                name: &name,
                source,
                full: &full,
                licence: licence.as_deref(),
                manager: "rpm",
            },
        )))
    };
    if let Ok(Some(component)) = read() {
        found.push(component);
    }
}

/// SQLite's file format (sqlite.org/fileformat2.html): the table `Packages (hnum, blob)`.
fn sqlite(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    let view = View::big(bytes);
    if view.slice(0, 16)? != b"SQLite format 3\0" {
        return Err(TORN);
    }
    let page = match view.u16(16)? {
        1 => 65_536,
        size => usize::from(size),
    };
    let book = Book {
        view,
        page,
        usable: page.saturating_sub(usize::from(view.u8(20)?)),
    };
    if book.page < 512 || book.usable < 480 {
        return Err(TORN);
    }
    let mut root = None;
    book.rows(1, &mut |row| {
        // type, name, tbl_name, rootpage, sql
        let cells = cells(row)?;
        if let [kind, name, _, at, ..] = cells[..]
            && (kind, name) == (b"table", b"Packages")
        {
            root = Some(at.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)));
        }
        Ok(())
    })?;
    book.rows(root.ok_or(TORN)?, &mut |row| {
        if let [_, blob, ..] = cells(row)?[..] {
            each(blob);
        }
        Ok(())
    })
}

struct Book<'a> {
    view: View<'a>,
    page: usize,
    usable: usize,
}

impl Book<'_> {
    /// Gives every row of the table whose tree begins on page `root`.
    fn rows(
        &self,
        root: usize,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut open, mut seen, mut count) = (vec![root], BTreeSet::new(), 0);
        while let Some(number) = open.pop() {
            if number == 0 || !seen.insert(number) {
                return Err(TORN);
            }
            let start = (number - 1).checked_mul(self.page).ok_or(TORN)?;
            let page = self.view.part(start, self.page)?;
            let head = if number == 1 { 100 } else { 0 };
            let many = usize::from(page.u16(head + 3)?);
            match page.u8(head)? {
                5 => {
                    open.push(page.at32(head + 8)?);
                    for n in (0..many).rev() {
                        let cell = usize::from(page.u16(head + 12 + n * 2)?);
                        open.push(page.at32(cell)?);
                    }
                }
                13 => {
                    for n in 0..many {
                        count += 1;
                        if count > PACKAGES {
                            return Ok(());
                        }
                        let cell = usize::from(page.u16(head + 8 + n * 2)?);
                        let (size, at) = number_of(page, cell)?;
                        let (_, at) = number_of(page, at)?;
                        each(&self.payload(page, at, size)?)?;
                    }
                }
                _ => return Err(TORN),
            }
        }
        Ok(())
    }

    /// A row's bytes, from its page and those that it overflows to.
    fn payload(&self, page: View<'_>, at: usize, size: usize) -> Result<Vec<u8>, Fault> {
        if size > HEADER || size > self.view.len() {
            return Err(TORN);
        }
        let most = self.usable - 35;
        let least = (self.usable - 12) * 32 / 255 - 23;
        let here = if size <= most {
            size
        } else {
            let rest = least + (size - least) % (self.usable - 4);
            if rest <= most { rest } else { least }
        };
        let mut bytes = page.slice(at, here)?.to_vec();
        let mut next = if here < size {
            page.at32(at + here)?
        } else {
            0
        };
        while bytes.len() < size {
            if next == 0 {
                return Err(TORN);
            }
            let start = (next - 1).checked_mul(self.page).ok_or(TORN)?;
            let part = (size - bytes.len()).min(self.usable - 4);
            bytes.extend_from_slice(self.view.slice(start + 4, part)?);
            next = self.view.at32(start)?;
        }
        Ok(bytes)
    }
}

/// A variable-length number, and where it ends.
fn number_of(view: View<'_>, at: usize) -> Result<(usize, usize), Fault> {
    let mut value = 0_usize;
    for n in 0..8 {
        let byte = view.u8(at + n)?;
        value = value << 7 | usize::from(byte & 0x7f);
        if byte < 0x80 {
            return Ok((value, at + n + 1));
        }
    }
    Err(TORN)
}

/// The values of a row.
fn cells(row: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    let view = View::big(row);
    let (head, mut at) = number_of(view, 0)?;
    let (mut cells, mut value) = (Vec::new(), head);
    while at < head && cells.len() < 16 {
        let (kind, next) = number_of(view, at)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            _ => (kind.checked_sub(12).ok_or(TORN)?) / 2,
        };
        cells.push(view.slice(value, size)?);
        (at, value) = (next, value + size);
    }
    Ok(cells)
}

/// rpm's own ndb (lib/backend/ndb/rpmpkg.c): slots that say where each header lies.
fn ndb(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    const BLOCK: usize = 16;
    let view = View::little(bytes);
    if view.slice(0, 4)? != b"RpmP" {
        return Err(TORN);
    }
    let pages = view.at32(12)?;
    let slots = pages.checked_mul(4096).ok_or(TORN)?.min(bytes.len());
    let mut count = 0;
    for slot in (32..slots).step_by(16) {
        if view.slice(slot, 4)? != b"Slot" {
            return Err(TORN);
        }
        let (package, block) = (view.u32(slot + 4)?, view.at32(slot + 8)?);
        if package == 0 || block == 0 {
            continue;
        }
        count += 1;
        if count > PACKAGES {
            return Ok(());
        }
        let at = block.checked_mul(BLOCK).ok_or(TORN)?;
        if view.slice(at, 4)? != b"BlbS" || view.u32(at + 4)? != package {
            return Err(TORN);
        }
        each(view.slice(at + 16, view.at32(at + 12)?)?);
    }
    Ok(())
}

/// Berkeley DB's hash access method: every key with its value, large ones on pages of their own.
fn berkeley(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    const MAGIC: u32 = 0x0006_1561;
    let big = View::big(bytes);
    let view = if big.u32(12)? == MAGIC {
        big
    } else {
        View::little(bytes)
    };
    let size = view.at32(20)?;
    if view.u32(12)? != MAGIC || !(512..=65_536).contains(&size) {
        return Err(TORN);
    }
    let mut count = 0;
    for start in (size..bytes.len()).step_by(size) {
        let page = view.part(start, size.min(bytes.len() - start))?;
        // Hash pages, sorted and not.
        if !matches!(page.u8(25)?, 2 | 13) {
            continue;
        }
        for n in (1..usize::from(page.u16(20)?)).step_by(2) {
            count += 1;
            if count > PACKAGES {
                return Ok(());
            }
            let at = usize::from(page.u16(26 + n * 2)?);
            match page.u8(at)? {
                1 => {
                    // Items lie from the page's end to its start; the one before ends this.
                    let end = usize::from(page.u16(26 + (n - 1) * 2)?);
                    let size = end.checked_sub(at + 1).ok_or(TORN)?;
                    each(page.slice(at + 1, size)?);
                }
                3 => each(&overflow(
                    view,
                    size,
                    page.at32(at + 4)?,
                    page.at32(at + 8)?,
                )?),
                _ => {}
            }
        }
    }
    Ok(())
}

fn overflow(view: View<'_>, page: usize, first: usize, size: usize) -> Result<Vec<u8>, Fault> {
    if size > HEADER || size > view.len() {
        return Err(TORN);
    }
    let (mut bytes, mut next) = (Vec::with_capacity(size), first);
    while bytes.len() < size {
        let start = next
            .checked_mul(page)
            .filter(|start| *start > 0)
            .ok_or(TORN)?;
        let (kind, used) = (view.u8(start + 25)?, usize::from(view.u16(start + 22)?));
        if kind != 7 || used == 0 {
            return Err(TORN);
        }
        bytes.extend_from_slice(view.slice(start + 26, used.min(page - 26))?);
        next = view.at32(start + 16)?;
    }
    bytes.truncate(size);
    Ok(bytes)
}

#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut found = Vec::new();
    for name in ["rpmdb.sqlite", "Packages.db", "Packages"] {
        read(&format!("/var/lib/rpm/{name}"), "fuzz", bytes, &mut found);
    }
    header_of("fuzz", bytes, &mut found);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as rpm keeps it, of these tags.
    fn header(tags: &[(u32, &str)]) -> Vec<u8> {
        let (mut entries, mut store) = (Vec::new(), Vec::new());
        for (tag, text) in tags {
            for word in [*tag, 6, store.len() as u32, 1] {
                entries.extend_from_slice(&word.to_be_bytes());
            }
            store.extend_from_slice(text.as_bytes());
            store.push(0);
        }
        let mut bytes = (tags.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&(store.len() as u32).to_be_bytes());
        bytes.extend(entries);
        bytes.extend(store);
        bytes
    }

    /// ndb, which Debian's rpm cannot write: slots on the first page, headers behind it; an empty slot
    /// and the keys that packages are signed with are no packages.
    #[test]
    fn ndb_gives_its_packages() {
        let zlib = [
            (1000, "zlib"),
            (1001, "1.2.11"),
            (1002, "40.el9"),
            (1044, "zlib-1.2.11-40.el9.src.rpm"),
        ];
        let headers = [
            header(&zlib),
            header(&[(1000, "gpg-pubkey"), (1001, "8483c65d")]),
            header(&[
                (1000, "bash-doc"),
                (1001, "5.1.8"),
                (1044, "bash-5.1.8-9.src.rpm"),
            ]),
        ];
        let mut bytes = vec![0; 4096];
        bytes[..4].copy_from_slice(b"RpmP");
        bytes[12] = 1;
        for slot in (32..4096).step_by(16) {
            bytes[slot..slot + 4].copy_from_slice(b"Slot");
        }
        for (n, header) in (1_u32..).zip(&headers) {
            let slot = 32 + 32 * n as usize;
            let block = (bytes.len() / 16) as u32;
            bytes[slot + 4..slot + 8].copy_from_slice(&n.to_le_bytes());
            bytes[slot + 8..slot + 12].copy_from_slice(&block.to_le_bytes());
            bytes.extend_from_slice(b"BlbS");
            for word in [n, 7, header.len() as u32] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.extend_from_slice(header);
            bytes.resize(bytes.len().next_multiple_of(16), 0);
        }
        let mut found = Vec::new();
        read(
            "/usr/lib/sysimage/rpm/Packages.db",
            "image/Packages.db",
            &bytes,
            &mut found,
        );
        let told: Vec<_> = found
            .iter()
            .map(|c| {
                (
                    c.packaged.as_ref().unwrap().name.as_str(),
                    c.version.as_deref().unwrap(),
                )
            })
            .collect();
        assert_eq!(told, [("zlib", "1.2.11"), ("bash", "5.1.8")]);
        assert_eq!(found[0].revision.as_deref(), Some("40.el9"));
        read("/etc/Packages.db", "", &bytes, &mut found);
        assert_eq!(found.len(), 2, "only where rpm keeps it");
    }
}
