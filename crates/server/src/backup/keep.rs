//! The folder that keeps a backup: a manifest, and the files of each run in a folder of their own.
//!
//! A run writes into a new folder (`g1`, `g2`, …) what it got, takes over what did not change, puts
//! the manifest in place of the former one, and removes what nobody names any more. So a run that
//! is cut short leaves the former backup whole.

use super::{
    About, FORMAT, Have, hex_of, plain,
    stream::{Begin, Frame},
};
use crate::first_start::{private_folder, write_file};
use openssl::sha::Sha256;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const MANIFEST: &str = "manifest.json";
const LOCK: &str = "lock";
/// The longest manifest that is read, in bytes.
const MANIFEST_MOST: u64 = 64 << 20;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// What it tells of itself.
    pub(crate) about: About,
    /// Its files.
    pub(crate) files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where it belongs in a data folder.
    pub(crate) path: String,
    /// Where it is in the backup's folder.
    pub(crate) file: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// The SHA-256 of its content, in hex.
    pub(crate) sha256: String,
    /// Whether it never changes any more.
    pub(crate) sealed: bool,
}

impl Manifest {
    /// Reads the manifest of the backup in `folder`.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn of(folder: &Path) -> Result<Self, String> {
        let path = folder.join(MANIFEST);
        let read = || {
            let mut bytes = Vec::new();
            File::open(&path)?
                .take(MANIFEST_MOST)
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!(
                "{} holds no backup: there is no {MANIFEST} in it",
                folder.display()
            ),
            _ => format!("{}: {error}", path.display()),
        })?;
        Self::parse(&bytes).map_err(|why| format!("{}: {why}", path.display()))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        /// To tell a newer form from nonsense.
        #[derive(Deserialize)]
        struct Form {
            about: FormOf,
        }
        #[derive(Deserialize)]
        struct FormOf {
            format: u32,
        }
        let no_manifest = |error: serde_json::Error| format!("is no manifest: {error}");
        let form: Form = serde_json::from_slice(bytes).map_err(no_manifest)?;
        if form.about.format != FORMAT {
            return Err(format!(
                "has the form {} and this program knows {FORMAT}: use a newer one",
                form.about.format
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(no_manifest)?;
        let mut paths = HashSet::new();
        for entry in &manifest.files {
            if !plain(&entry.path) || !plain(&entry.file) || !paths.insert(&entry.path) {
                return Err(format!("names {:?}, which cannot be", entry.path));
            }
        }
        Ok(manifest)
    }
}

/// Checks every file of the backup in `folder`; `look` is shown each with what is wrong with it.
///
/// # Errors
/// When there is no manifest to go by.
pub(crate) fn verify(
    folder: &Path,
    look: &mut dyn FnMut(&Entry, Option<String>),
) -> Result<Manifest, String> {
    let manifest = Manifest::of(folder)?;
    for entry in &manifest.files {
        let checked = File::open(folder.join(&entry.file))
            .map_err(|error| error.to_string())
            .and_then(|file| copy_checked(file, entry, &mut io::sink()));
        look(entry, checked.err());
    }
    Ok(manifest)
}

/// Copies a file of a backup and looks whether it is what the manifest says.
pub(super) fn copy_checked(
    file: impl Read,
    entry: &Entry,
    to: &mut dyn Write,
) -> Result<(), String> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    // One byte more, to see that there is none.
    let mut file = file.take(entry.bytes.saturating_add(1));
    let mut chunk = vec![0; 256 << 10];
    loop {
        let many = file.read(&mut chunk).map_err(|error| error.to_string())?;
        if many == 0 {
            break;
        }
        bytes += many as u64;
        hash.update(&chunk[..many]);
        to.write_all(&chunk[..many])
            .map_err(|error| error.to_string())?;
    }
    if bytes < entry.bytes {
        return Err(format!("has {bytes} bytes instead of {}", entry.bytes));
    }
    if bytes > entry.bytes {
        return Err(format!("is longer than {} bytes", entry.bytes));
    }
    if hex_of(hash) != entry.sha256 {
        return Err("does not match its checksum".into());
    }
    Ok(())
}

/// A backup folder that is being written.
pub(crate) struct Kept {
    folder: PathBuf,
    run: String,
    former: Option<Manifest>,
    files: Vec<Entry>,
    open: Option<Open>,
    /// What was taken over and what was written, in bytes.
    pub(crate) reused: u64,
    /// See `reused`.
    pub(crate) written: u64,
    _lock: File,
}

struct Open {
    begin: Begin,
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Kept {
    /// Opens the folder for a run. It is made when it is not there; one with other things in it
    /// is left alone.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let said = |error: io::Error| format!("{}: {error}", folder.display());
        private_folder(folder).map_err(said)?;
        let mut last = 0;
        for entry in fs::read_dir(folder).map_err(said)? {
            let name = entry.map_err(said)?.file_name();
            let name = name.to_string_lossy();
            if let Some(number) = run_number(&name) {
                last = last.max(number);
            } else if name != MANIFEST && name != LOCK && !name.starts_with(".manifest") {
                return Err(format!(
                    "{} holds other things than a backup ({name}); name a new folder",
                    folder.display()
                ));
            }
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK))
            .map_err(said)?;
        if lock.try_lock().is_err() {
            return Err(format!(
                "another backup is being written to {}",
                folder.display()
            ));
        }
        let former = match folder.join(MANIFEST).exists() {
            true => Some(Manifest::of(folder)?),
            false => None,
        };
        let run = format!("g{}", last + 1);
        private_folder(&folder.join(&run)).map_err(said)?;
        Ok(Self {
            folder: folder.into(),
            run,
            former,
            files: Vec::new(),
            open: None,
            reused: 0,
            written: 0,
            _lock: lock,
        })
    }

    /// What need not be sent again.
    pub(crate) fn have(&self) -> Vec<Have> {
        let files = self.former.iter().flat_map(|former| &former.files);
        files
            .filter(|entry| entry.sealed)
            .filter(|entry| {
                let there = fs::metadata(self.folder.join(&entry.file));
                there.is_ok_and(|there| there.len() == entry.bytes)
            })
            .map(|entry| Have {
                path: entry.path.clone(),
                bytes: entry.bytes,
                sha256: entry.sha256.clone(),
            })
            .collect()
    }

    /// Takes the next frame; gives back the manifest once the backup is whole and on disk.
    ///
    /// # Errors
    /// In words; the former backup, if there was one, is as it was.
    pub(crate) fn take(&mut self, frame: Frame) -> Result<Option<Manifest>, String> {
        match frame {
            Frame::Wait => {}
            Frame::Begin(begin) => {
                self.close()?;
                let path = self.folder.join(&self.run).join(&begin.path);
                let make = || {
                    private_folder(path.parent().unwrap_or(&self.folder))?;
                    OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(&path)
                };
                let file = make().map_err(|error| format!("{}: {error}", path.display()))?;
                self.open = Some(Open {
                    begin,
                    file,
                    hash: Sha256::new(),
                    bytes: 0,
                });
            }
            Frame::Data(data) => {
                let open = self.open.as_mut().ok_or("bytes without a file")?;
                open.hash.update(&data);
                open.bytes += data.len() as u64;
                open.file
                    .write_all(&data)
                    .map_err(|error| format!("writing {}: {error}", open.begin.path))?;
            }
            Frame::Have(have) => {
                self.close()?;
                let files = self.former.iter().flat_map(|former| &former.files);
                let known = files.clone().find(|entry| {
                    entry.path == have.path && entry.sha256 == have.sha256 && entry.sealed
                });
                let known = known.ok_or_else(|| format!("{} was never here", have.path))?;
                self.reused += known.bytes;
                let known = known.clone();
                self.files.push(known);
            }
            Frame::End(about) => {
                self.close()?;
                return self.finish(about).map(Some);
            }
            Frame::Failed(why) => return Err(format!("the server says: {why}")),
        }
        Ok(None)
    }

    /// Ends the file that is open.
    fn close(&mut self) -> Result<(), String> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let path = open.begin.path;
        open.file
            .sync_all()
            .map_err(|error| format!("writing {path}: {error}"))?;
        if open.begin.bytes.is_some_and(|bytes| bytes != open.bytes) {
            return Err(format!("{path} broke off"));
        }
        self.written += open.bytes;
        self.files.push(Entry {
            file: format!("{}/{path}", self.run),
            path,
            bytes: open.bytes,
            sha256: hex_of(open.hash),
            sealed: open.begin.sealed,
        });
        Ok(())
    }

    fn finish(&mut self, about: About) -> Result<Manifest, String> {
        let said = |error: io::Error| format!("{}: {error}", self.folder.display());
        let manifest = Manifest {
            about,
            files: std::mem::take(&mut self.files),
        };
        sync_folders(&self.folder.join(&self.run)).map_err(said)?;
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| error.to_string())?;
        write_file(&self.folder.join(MANIFEST), 0o600, &text).map_err(said)?;
        // What is left over costs room and nothing else.
        let _ = self.tidy(&manifest);
        Ok(manifest)
    }

    /// Removes what the manifest does not name.
    fn tidy(&self, manifest: &Manifest) -> io::Result<()> {
        let named: HashSet<&str> = manifest.files.iter().map(|f| f.file.as_str()).collect();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if run_number(&name).is_some() {
                tidy(&self.folder, &name, &named)?;
            }
        }
        Ok(())
    }
}

fn run_number(name: &str) -> Option<u64> {
    name.strip_prefix('g')?.parse().ok()
}

fn tidy(folder: &Path, path: &str, named: &HashSet<&str>) -> io::Result<()> {
    let full = folder.join(path);
    if !full.is_dir() {
        if !named.contains(path) {
            fs::remove_file(full)?;
        }
        return Ok(());
    }
    for entry in fs::read_dir(&full)? {
        let name = entry?.file_name();
        tidy(folder, &format!("{path}/{}", name.to_string_lossy()), named)?;
    }
    // Refused while something is in it.
    let _ = fs::remove_dir(full);
    Ok(())
}

/// Makes names stay after a crash.
pub(super) fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    File::open(folder)?.sync_all()
}
