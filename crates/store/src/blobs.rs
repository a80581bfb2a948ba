//! Files, each under its name in a folder of their own. A file gets its name when it is whole and
//! on disk, and never changes after that.

use crate::{
    fault::of_io,
    home::{Home, make, sync_folder},
};
use async_trait::async_trait;
use bytes::Bytes;
use model::{
    error::Fault,
    port::{BlobWriter, Blobs},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The folder in the data folder.
pub(crate) const FOLDER: &str = "blobs";
/// The end of names of files that are not whole.
const PART: &str = ".new";
/// Longest name.
const NAME_MOST: usize = 64;

/// Keeps files in the data folder.
pub(crate) struct Files {
    folder: PathBuf,
    /// So that two writers of one name do not write into one file.
    writers: AtomicU64,
    _home: Arc<Home>,
}

impl Files {
    /// Opens the folder, and throws away what was never finished.
    pub(crate) fn open(home: &Arc<Home>) -> Result<Self, Fault> {
        let folder = home.join(FOLDER);
        make(&folder)?;
        let tidy = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.to_string_lossy().ends_with(PART) {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        tidy().map_err(|error| of_io("tidying", &folder, &error))?;
        Ok(Self {
            folder,
            writers: AtomicU64::new(0),
            _home: home.clone(),
        })
    }

    fn path(&self, name: &str) -> Result<PathBuf, Fault> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > NAME_MOST || !name.bytes().all(plain) {
            return Err(Fault::lasting(format!("{name:?} is no name of a file")));
        }
        Ok(self.folder.join(name))
    }
}

/// Does what blocks on a thread that may, and tells what went wrong with which file.
async fn on_disk<T: Send + 'static>(
    doing: &'static str,
    path: PathBuf,
    work: impl FnOnce(&PathBuf) -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(move || {
        work(&path).map_err(|error| of_io(doing, &path, &error))
    });
    done.await
        .map_err(|error| Fault::passing(format!("{doing} a file: {error}")))?
}

#[async_trait]
impl Blobs for Files {
    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, Fault> {
        let path = self.path(name)?;
        let number = self.writers.fetch_add(1, Ordering::Relaxed);
        let part = self.folder.join(format!("{name}.{number}{PART}"));
        let file = on_disk("making", part.clone(), |part| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(part)
        });
        Ok(Box::new(Writing {
            file: Some(file.await?),
            folder: self.folder.clone(),
            part: Part(part),
            path,
        }))
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, Fault> {
        let path = self.path(name)?;
        on_disk("looking at", path, |path| match fs::metadata(path) {
            Ok(there) => Ok(Some(there.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn read(&self, name: &str, from: u64, most: usize) -> Result<Bytes, Fault> {
        let path = self.path(name)?;
        on_disk("reading", path, move |path| {
            let file = File::open(path)?;
            let rest = file.metadata()?.len().saturating_sub(from);
            let many = usize::try_from(rest).unwrap_or(usize::MAX).min(most);
            let mut bytes = vec![0; many];
            file.read_exact_at(&mut bytes, from)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        let folder = self.folder.clone();
        on_disk(
            "removing",
            self.path(name)?,
            move |path| match fs::remove_file(path) {
                Ok(()) => sync_folder(&folder).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            },
        )
        .await
    }
}

/// A file that is removed when it did not become another one.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // It is not there any more once it has its name.
        let _ = fs::remove_file(&self.0);
    }
}

struct Writing {
    file: Option<File>,
    folder: PathBuf,
    part: Part,
    path: PathBuf,
}

#[async_trait]
impl BlobWriter for Writing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Fault> {
        let file = self.file.take();
        let mut file =
            file.ok_or_else(|| Fault::lasting("a file that could not be written to goes on"))?;
        let file = on_disk("writing", self.part.0.clone(), move |_| {
            file.write_all(&bytes)?;
            Ok(file)
        });
        self.file = Some(file.await?);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), Fault> {
        let Self {
            file,
            folder,
            part,
            path,
        } = *self;
        let file = file.ok_or_else(|| Fault::lasting("a file that broke off is finished"))?;
        on_disk("writing", path, move |path| {
            file.sync_all()?;
            fs::rename(&part.0, path)?;
            sync_folder(&folder)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &std::path::Path) -> Files {
        Files::open(&Arc::new(Home::open(folder).unwrap())).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_there_when_it_is_whole_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = files(folder.path());
        let mut writer = blobs.create("one").await.unwrap();
        writer.write(Bytes::from_static(b"hello ")).await.unwrap();
        assert_eq!(blobs.size("one").await.unwrap(), None);
        writer.write(Bytes::from_static(b"world")).await.unwrap();
        writer.finish().await.unwrap();
        let mut left = blobs.create("two").await.unwrap();
        left.write(Bytes::from_static(b"half")).await.unwrap();
        std::mem::forget(left);
        drop(blobs);

        let blobs = files(folder.path());
        assert_eq!(blobs.size("one").await.unwrap(), Some(11));
        assert_eq!(blobs.size("two").await.unwrap(), None);
        let names = fs::read_dir(folder.path().join(FOLDER)).unwrap();
        assert_eq!(names.count(), 1, "the half file is thrown away");
        assert_eq!(&blobs.read("one", 6, 3).await.unwrap()[..], b"wor");
        assert_eq!(&blobs.read("one", 6, 100).await.unwrap()[..], b"world");
        assert_eq!(&blobs.read("one", 100, 1).await.unwrap()[..], b"");
        assert!(blobs.remove("one").await.unwrap());
        assert!(!blobs.remove("one").await.unwrap());
        assert!(blobs.read("one", 0, 1).await.is_err());
    }

    #[tokio::test]
    async fn a_writer_that_goes_away_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = files(folder.path());
        let mut writer = blobs.create("one").await.unwrap();
        writer.write(Bytes::from_static(b"half")).await.unwrap();
        drop(writer);
        let names = fs::read_dir(folder.path().join(FOLDER)).unwrap();
        assert_eq!(names.count(), 0);
    }

    #[tokio::test]
    async fn names_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = files(folder.path());
        for name in [
            "",
            "..",
            "a/b",
            "/etc/passwd",
            "A",
            "a.new",
            &"a".repeat(65),
        ] {
            assert!(blobs.create(name).await.is_err(), "{name}");
            assert!(blobs.size(name).await.is_err(), "{name}");
            assert!(blobs.read(name, 0, 1).await.is_err(), "{name}");
            assert!(blobs.remove(name).await.is_err(), "{name}");
        }
    }
}
