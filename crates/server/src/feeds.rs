//! Feeds of vulnerabilities as files: those of the folder `vulns` of the data folder, and those that
//! somebody names.
//!
//! A feed that is taken into the folder becomes a kept one (`scan::vulns::stored`), which is opened
//! in milliseconds. It is written beside the one of its name and put in its place when it is whole
//! and on disk: who dies in between leaves the old one, and who reads goes on with what they opened.

use model::error::Fault;
use rustix::fs::{FlockOperation, flock};
use scan::vulns::{
    Source,
    stored::{ReadAt, Shelf, Stored, keep},
};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// How a kept feed's file is called behind the feed's name.
const KEPT: &str = ".vulns";
/// What is being written.
const PART: &str = ".part";
/// Held while the folder changes.
const LOCK: &str = ".lock";
/// Longest name of a feed, in bytes; its file is a path of a backup, whose names have 128.
const NAME: usize = 120;

/// A file that is read here and there.
struct OnDisk(File);

impl ReadAt for OnDisk {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, at)
    }
}

/// Whether a file of this name is taken for a feed.
pub(crate) fn is_feed(name: &str) -> bool {
    let known = [".json", ".ndjson", ".csv", ".tsv", ".gz"];
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let plain = name.bytes().all(letter) && !name.starts_with('.') && name.len() <= NAME;
    plain && known.iter().any(|end| name.ends_with(end))
}

/// Opens feeds, and folders of them in the order of their names; what is no kept feed is read whole.
///
/// # Errors
/// In words that name the file.
pub(crate) fn open(paths: &[PathBuf]) -> Result<Shelf, String> {
    let mut shelf = Shelf::default();
    for path in paths {
        for file in files(path)? {
            let opened = one(&file).map_err(|why| format!("{}: {why}", file.display()))?;
            shelf.push(opened);
        }
    }
    Ok(shelf)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let feed = name.strip_suffix(KEPT).unwrap_or(&name);
        if entry.path().is_file() && is_feed(feed) {
            found.push((feed.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

fn one(path: &Path) -> Result<Stored, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if name.ends_with(KEPT) {
        return Stored::open(OnDisk(file)).map_err(|fault| fault.to_string());
    }
    let mut bytes = Vec::new();
    keep(&name, file, &mut bytes).map_err(|fault| fault.to_string())?;
    Stored::open(bytes).map_err(|fault| fault.to_string())
}

/// Takes the feed `reader` into a folder; one of the same name is replaced.
///
/// # Errors
/// In words; the folder is as it was then.
pub(crate) fn take(folder: &Path, name: &str, reader: impl Read) -> Result<Source, String> {
    if !is_feed(name) {
        return Err(
            "a feed's name has letters, digits and ._- and ends with .json, .ndjson, .csv, .tsv or .gz"
                .into(),
        );
    }
    let _lock = lock(folder).map_err(|error| error.to_string())?;
    let part = folder.join(format!("{name}{PART}"));
    let taken = write(folder, name, &part, reader);
    if taken.is_err() {
        // What is left of it goes with the next import at the latest.
        let _ = fs::remove_file(&part);
    }
    taken
}

fn write(folder: &Path, name: &str, part: &Path, reader: impl Read) -> Result<Source, String> {
    let wrong = |error: io::Error| error.to_string();
    let file = File::create(part).map_err(wrong)?;
    let mut to = BufWriter::with_capacity(1 << 20, file);
    let source = keep(name, reader, &mut to).map_err(|fault| fault.to_string())?;
    let file = to.into_inner().map_err(|error| wrong(error.into_error()))?;
    file.sync_all().map_err(wrong)?;
    fs::rename(part, folder.join(format!("{name}{KEPT}"))).map_err(wrong)?;
    // As it came, from a version that kept it so.
    let _ = fs::remove_file(folder.join(name));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(wrong)?;
    Ok(source)
}

/// Removes a feed from a folder; false when it is not there.
///
/// # Errors
/// In words.
pub(crate) fn remove(folder: &Path, name: &str) -> Result<bool, String> {
    if !is_feed(name) || !folder.is_dir() {
        return Ok(false);
    }
    let _lock = lock(folder).map_err(|error| error.to_string())?;
    let mut removed = false;
    for file in [format!("{name}{KEPT}"), name.to_owned()] {
        match fs::remove_file(folder.join(file)) {
            Ok(()) => removed = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(removed)
}

/// Keeps everybody else from changing the folder, and takes away what somebody who died left.
fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join(LOCK))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().ends_with(PART) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(lock)
}

/// What changes whenever a file of the folder does: cheap enough to be asked every few seconds.
pub(crate) fn look(folder: &Path) -> Vec<(PathBuf, u64, u64, i64)> {
    let of = |path: PathBuf| {
        let about = fs::metadata(&path).ok()?;
        let time = about.mtime().wrapping_mul(1_000_000_000) + about.mtime_nsec();
        Some((path, about.ino(), about.len(), time))
    };
    let found = folder.is_dir().then(|| files(folder).unwrap_or_default());
    found.into_iter().flatten().filter_map(of).collect()
}

/// The stamp of the feeds of a folder (`Shelf::stamp`).
///
/// # Errors
/// As a fault that names the file.
pub(crate) fn stamp(folder: &Path) -> Result<String, Fault> {
    let folders = folder.is_dir().then(|| folder.to_path_buf());
    let paths: Vec<PathBuf> = folders.into_iter().collect();
    Ok(open(&paths).map_err(Fault::lasting)?.stamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(version: u32) -> String {
        format!(
            r#"{{"timestamp":"{version}","vulnerabilities":[{{"cve":{{"id":"CVE-2026-{version}"}}}}]}}"#
        )
    }

    /// [FS-5] A feed takes the place of the one of its name when it is whole, and not before; what
    /// somebody who died left is taken away.
    #[test]
    fn a_feed_replaces_the_one_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let all = || open(&[folder.to_path_buf()]).unwrap();
        take(folder, "b.json", feed(1).as_bytes()).unwrap();
        take(folder, "a.json", feed(2).as_bytes()).unwrap();
        let (old, stamp_before, seen) = (all(), stamp(folder).unwrap(), look(folder));
        assert_eq!(old.known(), 2);
        let names: Vec<String> = old.sources().into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["a.json", "b.json"]);

        for bad in [
            "",
            "{",
            r#"{"vulnerabilities":[{"cve":{"id":"CVE-1-1"}}"#,
            "x",
        ] {
            take(folder, "b.json", bad.as_bytes()).unwrap_err();
        }
        assert_eq!(stamp(folder).unwrap(), stamp_before);
        fs::write(folder.join("c.json.part"), "half").unwrap();
        assert_eq!(look(folder), seen);
        let told = take(folder, "b.json", feed(3).as_bytes()).unwrap();
        assert_eq!((told.date.as_str(), told.records), ("3", 1));
        assert!(!folder.join("c.json.part").exists());
        assert_ne!(stamp(folder).unwrap(), stamp_before);
        assert_ne!(look(folder), seen);
        assert!(all().get("CVE-2026-1").get("CVE-2026-1").is_none());
        assert!(all().get("CVE-2026-3").get("CVE-2026-3").is_some());
        // Who opened the old one reads it to the end.
        assert!(old.get("CVE-2026-1").get("CVE-2026-1").is_some());

        assert!(remove(folder, "b.json").unwrap() && !remove(folder, "b.json").unwrap());
        assert_eq!(all().known(), 1);
        for name in ["../x.json", "x", ".x.json", "/etc/x.json", "a b.json", ""] {
            take(folder, name, feed(1).as_bytes()).unwrap_err();
            assert!(!remove(folder, name).unwrap());
        }
    }

    /// A feed that lies there as it came is read as well.
    #[test]
    fn a_feed_as_it_came_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), feed(7)).unwrap();
        let all = || open(&[folder.path().to_path_buf()]).unwrap();
        assert_eq!(all().known(), 1);
        take(folder.path(), "a.json", feed(8).as_bytes()).unwrap();
        assert_eq!(all().known(), 1);
        fs::write(folder.path().join("b.json.vulns"), "rubbish").unwrap();
        let told = open(&[folder.path().to_path_buf()]).err().unwrap();
        assert!(told.contains("b.json.vulns"), "{told}");
    }
}
