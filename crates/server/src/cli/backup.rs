//! `muster backup …` and `muster restore …`

use super::{Desk, Failure, REFUSED, USAGE, ask::Progress};
use crate::{
    admin::parse_time,
    backup::{Frame, Frames, Kept, Manifest, Restored, restore, verify},
};
use clap::{Args, Subcommand};
use model::id::Position;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use store::backup::Until;

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  muster backup /backups/muster                 while the server runs
  muster backup /backups/muster --with-keys     keys and certificates too: keep it locked away
  muster backup verify /backups/muster
  muster restore /backups/muster --data /var/lib/muster

A second backup into the same folder copies only what changed; the former one stays in force until
the new one is whole."
)]
pub(super) struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The folder that keeps the backup; made when it is not there.
    #[arg(value_name = "FOLDER", required = true)]
    folder: Option<PathBuf>,
    /// Put the master key and the certificates with their keys into it. Whoever has such a backup
    /// has every secret.
    #[arg(long)]
    with_keys: bool,
    /// Read at most so many MiB a second.
    #[arg(long, value_name = "MIB", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Read a backup and compare every file with its checksum.
    Verify {
        /// The backup's folder.
        folder: PathBuf,
    },
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  muster restore /backups/muster --data /var/lib/muster
  muster restore /backups/muster --data ./look --until 2026-11-22T12:00:00Z
  muster restore /backups/muster --data ./look --until 184467

With --until, the journal and the histories end there. The registry (products, devices, accounts,
secrets) is always as it was when the backup was made.")]
pub(super) struct Restore {
    /// The backup's folder.
    backup: PathBuf,
    /// Leave out what the journal got after this time (RFC 3339) or position.
    #[arg(long, value_name = "TIME|POSITION")]
    until: Option<String>,
}

pub(super) fn run(desk: &mut Desk, command: Backup) -> Result<ExitCode, Failure> {
    match (command.command, command.folder) {
        (Some(BackupCommand::Verify { folder }), _) => check(desk, &folder),
        (None, Some(folder)) => {
            make(desk, &folder, command.with_keys, command.rate)?;
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => Err(Failure::new(
            USAGE,
            "no folder is named",
            "muster backup FOLDER",
        )),
    }
}

fn make(desk: &mut Desk, folder: &Path, keys: bool, rate: u64) -> Result<(), Failure> {
    let client = desk.client()?;
    let wrong = |why: String| {
        Failure::new(
            REFUSED,
            format!("no backup was made: {why}"),
            "a former backup in that folder is still whole",
        )
    };
    let mut kept = Kept::open(folder).map_err(wrong)?;
    let order = json!({"have": kept.have(), "keys": keys, "rate": rate << 20});
    let mut frames = Frames::default();
    let mut made = None;
    let mut progress = Progress::new(desk);
    client.stream(&["backup"], &order, &mut |bytes| {
        frames.push(bytes);
        while let Some(frame) = frames.next().map_err(wrong)? {
            if let Frame::Begin(begin) = &frame {
                progress.show(&begin.path);
            }
            made = kept.take(frame).map_err(wrong)?;
        }
        Ok(())
    })?;
    progress.end();
    let manifest = made.ok_or_else(|| wrong("it broke off".into()))?;
    let mut told = tell(&manifest);
    told["bytes"] = json!(kept.written);
    told["reused_bytes"] = json!(kept.reused);
    desk.show(&told, |_| {
        let mut text = format!(
            "The backup is whole: {}, journal up to {}.\n{} written, {} not copied again.\n",
            manifest.about.made,
            manifest.about.position,
            size(kept.written),
            size(kept.reused),
        );
        text.push_str(&outside(&manifest));
        text
    })
}

fn tell(manifest: &Manifest) -> Value {
    json!({
        "made": manifest.about.made,
        "node": manifest.about.node,
        "position": manifest.about.position,
        "keys": manifest.about.keys,
        "outside": manifest.about.outside,
        "files": manifest.files.len(),
    })
}

/// What must be kept beside the backup.
fn outside(manifest: &Manifest) -> String {
    let outside = &manifest.about.outside;
    let mut text = String::new();
    if !outside.is_empty() {
        text.push_str("Not in it, and needed to start from it; keep safe elsewhere:\n");
        for what in outside {
            text.push_str(&format!("  {what}\n"));
        }
    }
    if manifest.about.keys {
        text.push_str("It holds the master key: whoever has it has every secret.\n");
    }
    text
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn check(desk: &mut Desk, folder: &Path) -> Result<ExitCode, Failure> {
    let mut wrong = Vec::new();
    let mut progress = Progress::new(desk);
    let manifest = verify(folder, &mut |entry, why| {
        progress.show(&entry.path);
        if let Some(why) = why {
            wrong.push(json!({"file": entry.file, "why": why}));
        }
    });
    progress.end();
    let manifest = manifest.map_err(|why| Failure::new(REFUSED, why, "name a backup's folder"))?;
    let mut told = tell(&manifest);
    told["whole"] = json!(wrong.is_empty());
    told["wrong"] = json!(wrong);
    desk.show(&told, |_| {
        let about = &manifest.about;
        if wrong.is_empty() {
            return format!(
                "The backup of {} is whole: {} files, journal up to {}.\n{}",
                about.made,
                manifest.files.len(),
                about.position,
                outside(&manifest)
            );
        }
        let lines = wrong.iter().map(|wrong| {
            let text = |name: &str| wrong[name].as_str().unwrap_or_default().to_owned();
            format!("BROKEN {} {}\n", text("file"), text("why"))
        });
        lines.collect()
    })?;
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
}

pub(super) fn run_restore(desk: &mut Desk, command: &Restore) -> Result<(), Failure> {
    let data = desk.loaded()?.config.data;
    let until = command.until.as_deref().map(until).transpose()?;
    let mut progress = Progress::new(desk);
    let restored = restore(&command.backup, &data, until, &mut |what| {
        progress.show(what);
    });
    progress.end();
    let restored = restored.map_err(|why| {
        Failure::new(
            REFUSED,
            format!("nothing was restored: {why}"),
            "`muster backup verify FOLDER` looks whether the backup is whole",
        )
    })?;
    let mut told = tell(&restored.manifest);
    told["data"] = json!(data);
    told["points"] = json!(restored.points);
    if let Some(cut) = restored.cut {
        told["position"] = json!(cut.position.0);
        told["cut"] = json!(cut.gone);
        told["clock_set_back_ms"] = json!(cut.set_back);
    }
    desk.show(&told, |_| summary(&restored, &data))
}

fn summary(restored: &Restored, data: &Path) -> String {
    let about = &restored.manifest.about;
    let shown = data.display();
    let mut text = format!(
        "{shown} is as {} was at {}, with {} points of histories.\n",
        about.node, about.made, restored.points
    );
    if let Some(cut) = restored.cut {
        text.push_str(&format!(
            "The journal ends at {}; {} later facts were left out.\n",
            cut.position.0, cut.gone
        ));
        if let Some(back) = cut.set_back {
            text.push_str(&format!(
                "The server's clock was set back by {} seconds meanwhile, so that a time may mean other facts than you think; a position is exact.\n",
                back / 1000
            ));
        }
    }
    if !about.outside.is_empty() {
        text.push_str("Before you start it, put back what is not in the backup:\n");
        for what in &about.outside {
            text.push_str(&format!("  {what}\n"));
        }
    }
    text.push_str(&format!("Then: muster serve --data {shown}\n"));
    text
}

fn until(text: &str) -> Result<Until, Failure> {
    if let Ok(position) = text.parse() {
        return Ok(Until::Position(Position(position)));
    }
    parse_time(text).map(Until::Time).ok_or_else(|| {
        Failure::new(
            USAGE,
            format!("--until {text}: that is neither a time nor a position"),
            "write a time such as 2026-11-22T12:00:00Z, or the number of a fact",
        )
    })
}
