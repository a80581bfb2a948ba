//! What the machine gives: a disk that keeps what it says, memory, and a folder that is ours.

use super::{Patient, Report};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Writes that are timed.
const SYNCS: usize = 15;
/// Above this, every acknowledgement is felt.
const SLOW: Duration = Duration::from_millis(50);
/// Above this, devices give up before they are answered.
const TOO_SLOW: Duration = Duration::from_millis(1_000);
/// What a connection costs at most while it is idle over TLS, in bytes, and what the rest needs.
const CONNECTION: u64 = 24 << 10;
const REST: u64 = 256 << 20;
/// Fewer free inodes than this will be used up soon.
const INODES: u64 = 1_000;
/// The file that is written to measure the disk.
const PROBE: &str = "doctor.probe";

/// Whether the folder and all that lies in it can be written by us.
pub(super) fn owners(patient: &Patient, report: &mut Report) {
    let data = &patient.config.data;
    let Ok(about) = fs::metadata(data) else {
        return;
    };
    let shown = data.display();
    if let Ok(disk) = rustix::fs::statvfs(data) {
        if disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            let mend = "mount the disk for writing (`mount -o remount,rw …`), and look into the kernel's log for why it is not";
            report.fail(
                "data folder",
                format!("{shown} is on a read-only disk"),
                mend,
            );
            return;
        }
        match (disk.f_files, disk.f_favail) {
            (0, _) => {}
            (_, free @ ..INODES) => report.warn(
                "inodes",
                format!("{free} free"),
                "remove small files from that disk, or move the data folder",
            ),
            (_, free) => report.ok("inodes", format!("{free} free")),
        }
    }
    let us = rustix::process::geteuid().as_raw();
    let foreign = strangers(data, about.uid());
    if let Some(path) = foreign {
        report.fail(
            "owner",
            format!("{} belongs to another user than {shown}", path.display()),
            format!("chown -R {}:{} {shown}", about.uid(), about.gid()),
        );
    } else if us != 0 && us != about.uid() {
        report.fail(
            "owner",
            format!(
                "{shown} belongs to user {}, and this is user {us}",
                about.uid()
            ),
            "run the server, and this, as the user that the folder belongs to",
        );
    } else {
        report.ok(
            "owner",
            format!("all in {shown} belongs to user {}", about.uid()),
        );
    }
}

/// Something in the folder that belongs to somebody else.
fn strangers(folder: &Path, owner: u32) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let about = entry.metadata().ok()?;
        if about.uid() != owner {
            return Some(entry.path());
        }
        if about.is_dir()
            && let Some(found) = strangers(&entry.path(), owner)
        {
            return Some(found);
        }
    }
    None
}

/// How long the disk takes to keep a few bytes: every acknowledgement waits for that.
pub(super) fn syncs(patient: &Patient, report: &mut Report) {
    let data = &patient.config.data;
    if !data.is_dir() {
        return;
    }
    match measure(data) {
        Ok(median) => judge_syncs(median, report),
        Err(error) => report.fail(
            "fsync",
            format!("{} takes no bytes: {error}", data.display()),
            "make room, or give this user the right to write there",
        ),
    }
}

fn judge_syncs(median: Duration, report: &mut Report) {
    let found = format!(
        "a write is kept within {:.1} ms",
        median.as_secs_f64() * 1e3
    );
    let mend = "put the data folder on a local SSD; network disks and SD cards are too slow for many devices";
    match median {
        _ if median >= TOO_SLOW => report.fail("fsync", found, mend),
        _ if median >= SLOW => report.warn("fsync", found, mend),
        _ => report.ok("fsync", found),
    }
}

fn measure(data: &Path) -> io::Result<Duration> {
    let path = data.join(PROBE);
    let timed = || -> io::Result<Vec<Duration>> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        (0..SYNCS)
            .map(|_| {
                let begun = Instant::now();
                file.write_all(&[0x55; 4096])?;
                file.sync_data()?;
                Ok(begun.elapsed())
            })
            .collect()
    };
    let times = timed();
    let _ = fs::remove_file(&path);
    let mut times = times?;
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

/// Whether the connections that are configured fit into the memory that we may have.
pub(super) fn memory(patient: &Patient, report: &mut Report) {
    let sockets = &patient.config.sockets;
    let connections = sockets.connections as u64;
    let wanted = connections * CONNECTION + REST;
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = [
        cgroup_limit(&Path::new("/sys").join("fs/cgroup"), &cgroup)
            .map(|most| ("the control group", most)),
        rustix::process::getrlimit(rustix::process::Resource::As)
            .current
            .map(|most| ("the limit of this user (ulimit -v)", most)),
        physical().map(|most| ("the machine's memory", most)),
    ];
    judge_memory(
        limits.into_iter().flatten().min_by_key(|(_, most)| *most),
        connections,
        wanted,
        report,
    );
}

fn judge_memory(
    least: Option<(&'static str, u64)>,
    connections: u64,
    wanted: u64,
    report: &mut Report,
) {
    match least {
        Some((whose, most)) if most < wanted => report.warn(
            "memory",
            format!(
                "{} MiB is {whose}, and {connections} connections may need {} MiB",
                most >> 20,
                wanted >> 20
            ),
            "raise it (MemoryMax= in the service unit, --memory of the container), or lower sockets.connections",
        ),
        Some((_, most)) => report.ok("memory", format!("{} MiB", most >> 20)),
        None => report.ok("memory", "no limit"),
    }
}

/// The least limit of the control group and those above it (cgroups(7), version 2).
fn cgroup_limit(root: &Path, cgroup: &str) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = root.join(path);
    let mut least = None;
    loop {
        let limit = fs::read_to_string(folder.join("memory.max"))
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok());
        least = match (least, limit) {
            (Some(one), Some(other)) => Some(u64::min(one, other)),
            (one, other) => one.or(other),
        };
        if folder == root || !folder.pop() {
            return least;
        }
    }
}

fn physical() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn report() -> Report {
        Report {
            findings: Vec::new(),
        }
    }

    fn verdict(report: &Report) -> Verdict {
        report.findings.last().unwrap().verdict
    }

    #[test]
    fn a_slow_disk_is_told_with_its_cure() {
        for (millis, wanted) in [
            (1, Verdict::Ok),
            (60, Verdict::Warn),
            (3_000, Verdict::Fail),
        ] {
            let mut report = report();
            judge_syncs(Duration::from_millis(millis), &mut report);
            assert_eq!(verdict(&report), wanted, "{millis} ms");
            assert_eq!(report.text(false).contains('→'), wanted != Verdict::Ok);
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(measure(folder.path()).unwrap() > Duration::ZERO);
        assert!(!folder.path().join(PROBE).exists());
        assert!(measure(&folder.path().join("nowhere")).is_err());
    }

    /// The limit of any group above counts, and `max` is none.
    #[test]
    fn the_least_memory_limit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("system.slice/muster.service");
        fs::create_dir_all(&inner).unwrap();
        let text = "0::/system.slice/muster.service\n";
        assert_eq!(cgroup_limit(folder.path(), text), None);
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(cgroup_limit(folder.path(), text), None);
        fs::write(folder.path().join("system.slice/memory.max"), "536870912\n").unwrap();
        assert_eq!(cgroup_limit(folder.path(), text), Some(512 << 20));
        fs::write(inner.join("memory.max"), "1048576\n").unwrap();
        assert_eq!(cgroup_limit(folder.path(), text), Some(1 << 20));
        let mut report = report();
        judge_memory(Some(("it", 1 << 20)), 100_000, 2 << 30, &mut report);
        assert_eq!(verdict(&report), Verdict::Warn);
        judge_memory(Some(("it", 4 << 30)), 100_000, 2 << 30, &mut report);
        assert_eq!(verdict(&report), Verdict::Ok);
    }

    #[test]
    fn a_file_of_another_user_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("journal")).unwrap();
        let file = folder.path().join("journal/1.log");
        fs::write(&file, "").unwrap();
        let us = fs::metadata(&file).unwrap().uid();
        assert_eq!(strangers(folder.path(), us), None);
        assert!(strangers(folder.path(), us + 1).is_some());
    }
}
