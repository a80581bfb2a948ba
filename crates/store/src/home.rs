//! The data folder: who may read it, which version wrote it, and that only one process has it.

use crate::fault::of_io;
use model::error::Fault;
use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The version of the folder's layout. Forms inside SQLite have a version of their own.
const FORMAT: u32 = 1;

/// A folder that this process holds.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    /// Locked until it is closed.
    _lock: File,
}

impl Home {
    /// Makes the folder if there is none, keeps others out of it, and checks its version.
    pub(crate) fn open(folder: &Path) -> Result<Self, Fault> {
        let mut path = folder.to_path_buf();
        if path.as_os_str().is_empty() {
            path.push(".");
        }
        make(&path)?;
        let lock = take(&path)?;
        let home = Self {
            folder: path,
            _lock: lock,
        };
        home.check_format()?;
        Ok(home)
    }

    /// A path in the folder.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn check_format(&self) -> Result<(), Fault> {
        let path = self.join("format");
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(FORMAT) => Ok(()),
                Ok(other) => Err(Fault::lasting(format!(
                    "{} has data format {other}, and this program knows format {FORMAT}: {}",
                    self.folder.display(),
                    "use the version of the program that wrote it, or a newer one"
                ))),
                Err(_) => Err(Fault::lasting(format!(
                    "{} does not hold a format number",
                    path.display()
                ))),
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                write_whole(&self.folder, "format", format!("{FORMAT}\n").as_bytes())
            }
            Err(e) => Err(of_io("reading", &path, &e)),
        }
    }
}

/// Makes a folder that only its owner can look into; narrows the rights of one that is there.
pub(crate) fn make(folder: &Path) -> Result<(), Fault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| of_io("making the folder", folder, &e))?;
    let mode = std::fs::metadata(folder)
        .map_err(|e| of_io("looking at", folder, &e))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "closing the data folder to other users");
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))
            .map_err(|e| of_io("narrowing the rights of", folder, &e))?;
    }
    Ok(())
}

fn take(folder: &Path) -> Result<File, Fault> {
    let path = folder.join("lock");
    let fault = |e: std::io::Error| of_io("locking", &path, &e);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fault)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            return Err(Fault::lasting(format!(
                "the data folder {} is in use by process {}; stop it, or choose another folder",
                folder.display(),
                match owner.trim() {
                    "" => "?",
                    owner => owner,
                },
            )));
        }
        Err(TryLockError::Error(e)) => return Err(fault(e)),
    }
    file.set_len(0).map_err(fault)?;
    writeln!(file, "{}", std::process::id()).map_err(fault)?;
    Ok(file)
}

/// Writes a small file so that after a crash it is there with all of its bytes, or as before.
pub(crate) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    let path = folder.join(name);
    let new = folder.join(format!("{name}.new"));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        sync_folder(folder)
    };
    write().map_err(|e| of_io("writing", &path, &e))
}

/// Makes names that were added to a folder, or removed, stay so after a crash.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_closed_to_others_and_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let home = Home::open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let second = Home::open(&path).unwrap_err();
        assert!(!second.retry);
        assert!(second.context.contains(&path.display().to_string()));
        assert!(second.context.contains(&std::process::id().to_string()));

        drop(home);
        Home::open(&path).unwrap();
    }

    #[test]
    fn a_folder_of_another_format_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(Home::open(folder.path()).unwrap());
        std::fs::write(folder.path().join("format"), "2\n").unwrap();
        let fault = Home::open(folder.path()).unwrap_err();
        assert!(fault.context.contains("format 2"), "{fault}");
        std::fs::write(folder.path().join("format"), "\0\0").unwrap();
        assert!(Home::open(folder.path()).is_err());
    }
}
