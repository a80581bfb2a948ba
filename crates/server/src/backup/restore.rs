//! The way back: a data folder made of a backup, whole or not at all.

use super::{
    KEYS,
    keep::{Manifest, copy_checked, sync_folders},
};
use crate::first_start::private_folder;
use model::id::{NodeId, Position};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use store::{
    Options,
    backup::{Cut, HISTORIES, Until, cut_journal, restore_histories},
};

/// What was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    /// What the backup told of itself.
    pub(crate) manifest: Manifest,
    /// The journal's end, when it was cut.
    pub(crate) cut: Option<Cut>,
    /// Points of histories.
    pub(crate) points: u64,
}

/// Makes the data folder `data` of the backup in `from`, with the journal up to `until`. `show` is
/// told what is done.
///
/// # Errors
/// In words. The folder is then as it was.
pub(crate) fn restore(
    from: &Path,
    data: &Path,
    until: Option<Until>,
    show: &mut dyn FnMut(&str),
) -> Result<Restored, String> {
    let manifest = Manifest::of(from)?;
    let owner = vacant(data)?;
    let half = beside(data)?;
    let said = |error: io::Error| format!("{}: {error}", half.display());
    if half.exists() {
        fs::remove_dir_all(&half).map_err(said)?;
    }
    private_folder(&half).map_err(said)?;
    let made = fill(from, &half, &manifest, until, show).and_then(|(cut, points)| {
        let set = || {
            if let Some((uid, gid)) = owner {
                give_to(&half, uid, gid)?;
            }
            sync_folders(&half)?;
            // In place of an empty folder, which is what `data` may be.
            fs::rename(&half, data)
        };
        set().map_err(|error| format!("{}: {error}", data.display()))?;
        Ok((cut, points))
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&half);
    }
    let (cut, points) = made?;
    Ok(Restored {
        manifest,
        cut,
        points,
    })
}

fn fill(
    from: &Path,
    to: &Path,
    manifest: &Manifest,
    until: Option<Until>,
    show: &mut dyn FnMut(&str),
) -> Result<(Option<Cut>, u64), String> {
    let mut histories = None;
    for entry in &manifest.files {
        let source = from.join(&entry.file);
        let wrong = |why: String| format!("{}: {why}", source.display());
        let file = File::open(&source).map_err(|error| wrong(error.to_string()))?;
        show(&entry.path);
        if entry.path == HISTORIES {
            copy_checked(file, entry, &mut io::sink()).map_err(wrong)?;
            histories = Some(source);
            continue;
        }
        let path = entry.path.strip_prefix(KEYS).unwrap_or(&entry.path);
        let target = to.join(path);
        let make = || {
            private_folder(target.parent().unwrap_or(to))?;
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&target)
        };
        let mut target = make().map_err(|error| format!("{}: {error}", target.display()))?;
        copy_checked(file, entry, &mut target).map_err(wrong)?;
        target.sync_all().map_err(|error| error.to_string())?;
    }
    let cut = match until {
        Some(until) => {
            show("cutting the journal");
            Some(cut_journal(to, until).map_err(|fault| fault.context)?)
        }
        None => None,
    };
    let mut points = 0;
    if let Some(histories) = histories {
        show("histories");
        let node = NodeId::parse(&manifest.about.node).map_err(|bad| format!("node: {bad}"))?;
        let lines = File::open(&histories).map_err(|error| error.to_string())?;
        let until: Option<Position> = cut.map(|cut| cut.position);
        points = restore_histories(to, &Options::of(node), BufReader::new(lines), until)
            .map_err(|fault| fault.context)?;
    }
    Ok((cut, points))
}

/// Refuses a folder with something in it. Gives back whose an empty one is, when it is not ours.
fn vacant(data: &Path) -> Result<Option<(u32, u32)>, String> {
    let about = match fs::metadata(data) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", data.display())),
    };
    let mut names = fs::read_dir(data).map_err(|error| format!("{}: {error}", data.display()))?;
    if names.next().is_some() {
        return Err(format!(
            "{} is not empty; name a new folder with --data, or move this one away",
            data.display()
        ));
    }
    let us = rustix::process::geteuid().as_raw();
    Ok((about.uid() != us).then(|| (about.uid(), about.gid())))
}

/// A folder beside `data`, for what is not finished.
fn beside(data: &Path) -> Result<PathBuf, String> {
    let name = data
        .file_name()
        .ok_or_else(|| format!("{} is no name of a folder", data.display()))?;
    let parent = match data.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    Ok(parent.join(format!(".{}.restoring", name.to_string_lossy())))
}

fn give_to(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let (owner, group) = (
        rustix::process::Uid::from_raw(uid),
        rustix::process::Gid::from_raw(gid),
    );
    rustix::fs::chown(path, Some(owner), Some(group))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}
