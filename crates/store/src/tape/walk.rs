//! The facts of a journal that nobody writes to: walked over from first to last, and cut.

use super::{
    Segments, path_of, recover,
    segment::{self, Batches, Stop},
};
use crate::fault::of_io;
use model::error::Fault;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Is shown facts with their positions.
type Show<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Fault> + 'a;

/// A journal in a folder that the caller holds.
pub(crate) struct Facts {
    folder: PathBuf,
    segments: Segments,
    head: u64,
}

impl Facts {
    /// Finds the end, and cuts off a write that was not finished.
    pub(crate) fn open(folder: &Path) -> Result<Self, Fault> {
        let (segments, last) = recover("journal", folder)?;
        Ok(Self {
            folder: folder.into(),
            segments,
            head: last.next - 1,
        })
    }

    /// The first fact that is kept.
    pub(crate) fn first(&self) -> u64 {
        self.segments.first
    }

    /// The last fact.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Shows every fact with its position.
    pub(crate) fn each(
        &self,
        mut show: impl FnMut(u64, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for (at, segment) in self.segments.files.iter().enumerate() {
            // Behind the first position of the next file, a file may hold a write that failed.
            let after = self.segments.files.get(at + 1);
            let end = after.map_or(self.head + 1, |next| next.first);
            let from = segment.first.max(self.segments.first);
            self.walk(segment.first, from, end, &mut show)?;
        }
        Ok(())
    }

    /// Shows the facts of one file from `from` on, up to `end` and without it.
    fn walk(&self, first: u64, mut from: u64, end: u64, show: &mut Show<'_>) -> Result<(), Fault> {
        if from >= end {
            return Ok(());
        }
        let path = path_of(&self.folder, first);
        let damaged = |stop: Stop| match stop {
            Stop::Io(error) => of_io("reading", &path, &error),
            Stop::Bad { offset, why } => Fault::lasting(format!(
                "the journal is damaged: {} at byte {offset}: {why}",
                path.display()
            )),
        };
        let file = File::open(&path).map_err(|error| of_io("opening", &path, &error))?;
        let mut batches = Batches::new(file, segment::HEADER, first).map_err(damaged)?;
        while from < end {
            let batch = batches.next_from(from).map_err(damaged)?;
            for (position, text) in batch.facts(from).take_while(|(at, _)| *at < end) {
                show(position, text)?;
                from = position + 1;
            }
        }
        Ok(())
    }

    /// Forgets all facts after `last`, which is one of them or the one before the first.
    pub(crate) fn cut(self, last: u64) -> Result<(), Fault> {
        let mut files = self.segments.files.iter().map(|segment| segment.first);
        let Some(mut open) = files.next() else {
            return Ok(());
        };
        for first in files {
            if first <= last {
                open = first;
                continue;
            }
            let path = path_of(&self.folder, first);
            fs::remove_file(&path).map_err(|error| of_io("removing", &path, &error))?;
        }
        let mut texts = Vec::new();
        self.walk(open, open, last + 1, &mut |_, text| {
            texts.push(text.to_vec());
            Ok(())
        })?;
        let mut bytes = segment::header(open).to_vec();
        let texts = texts.iter().map(Vec::as_slice);
        segment::encode(open, texts, &mut bytes, &mut Vec::new());
        let path = path_of(&self.folder, open);
        let half = path.with_extension("new");
        let write = || -> io::Result<()> {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&half)?;
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
            fs::rename(&half, &path)?;
            crate::home::sync_folder(&self.folder)
        };
        write().map_err(|error| of_io("writing", &path, &error))
    }
}
