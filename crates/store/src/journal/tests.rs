//! What a log must survive: unfinished writes, damage, a disk that fails for a while.

use super::*;
use crate::tape::{path_of, segment};
use model::{
    fact::What,
    id::{DeviceKey, IotId, NodeId, Time},
};
use std::path::PathBuf;

/// A folder whose log is opened again and again.
struct Place {
    folder: tempfile::TempDir,
    home: Arc<Home>,
    lsm: Arc<Lsm>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open(folder.path()).unwrap());
        let lsm = Arc::new(Lsm::open(&home, &options(0)).unwrap());
        Self { folder, home, lsm }
    }

    fn open(&self, segment_bytes: u64) -> Result<Log, Fault> {
        Log::open(&self.home, self.lsm.clone(), &options(segment_bytes))
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("journal")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut logs: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
            .collect();
        logs.sort();
        logs
    }
}

fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        ..Options::of(NodeId::parse("one").unwrap())
    }
}

fn fact(number: u64) -> Fact {
    Fact {
        at: Time(number.cast_signed()),
        device: DeviceKey::parse("pk", "lamp").unwrap(),
        iot_id: IotId::parse("id").unwrap(),
        what: What::Offline {
            reason: "x".repeat(number as usize % 100),
        },
    }
}

async fn append(log: &Log, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let position = log.append(fact(number)).await.unwrap();
        assert_eq!(position, Position(number));
    }
}

async fn read_all(log: &Log) -> Result<Vec<u64>, Fault> {
    let mut found = Vec::new();
    let mut after = Position(0);
    loop {
        let facts = log.read(after, 7).await?;
        let Some((last, _)) = facts.last() else {
            return Ok(found);
        };
        after = *last;
        for (position, read) in facts {
            assert_eq!(read, fact(position.0));
            found.push(position.0);
        }
    }
}

/// A write that was cut at any byte, or left garbage of any kind, costs the facts in it and no
/// other, and the log goes on behind what is left.
#[tokio::test]
async fn an_unfinished_write_is_cut_off() {
    let place = Place::new();
    let log = place.open(1 << 20).unwrap();
    append(&log, 1..=20).await;
    drop(log);
    let path = place.files().pop().unwrap();
    let whole = std::fs::read(&path).unwrap();

    let mut ends = Vec::new();
    for length in (0..whole.len()).step_by(13).rev() {
        for garbage in [&b""[..], b"\0\0\0\0\0\0\0\0", b"\xb7mJ\x1d\0\0\0\x10"] {
            std::fs::write(&path, [&whole[..length], garbage].concat()).unwrap();
            let log = place.open(1 << 20).unwrap();
            let found = read_all(&log).await.unwrap();
            let head = log.head().0;
            assert_eq!(found, (1..=head).collect::<Vec<_>>(), "cut at {length}");
            append(&log, head + 1..=head + 1).await;
            drop(log);
            let log = place.open(1 << 20).unwrap();
            assert_eq!(log.head().0, head + 1);
            ends.push(head);
        }
    }
    assert!(ends.is_sorted_by(|a, b| a >= b) && ends[0] >= 18 && ends.last() == Some(&0));
}

/// Damage before facts that were acknowledged is told to the operator, and nothing is cut off.
#[tokio::test]
async fn damage_is_no_unfinished_write() {
    let place = Place::new();
    let log = place.open(1 << 20).unwrap();
    append(&log, 1..=20).await;
    drop(log);
    let path = place.files().pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len() / 2).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        let fault = place.open(1 << 20).err().unwrap();
        assert!(!fault.retry && fault.context.contains("damaged"), "{fault}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    std::fs::write(&path, &whole).unwrap();
    let log = place.open(1 << 20).unwrap();
    assert_eq!(read_all(&log).await.unwrap().len(), 20);
}

/// Damage in a segment that is not the last one is found by whoever reads it.
#[tokio::test]
async fn damage_in_an_old_segment_is_a_fault_for_its_reader() {
    let place = Place::new();
    let log = place.open(600).unwrap();
    append(&log, 1..=40).await;
    drop(log);
    let paths = place.files();
    assert!(paths.len() > 3);
    let mut bytes = std::fs::read(&paths[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&paths[1], bytes).unwrap();
    let log = place.open(600).unwrap();
    assert!(
        read_all(&log)
            .await
            .unwrap_err()
            .context
            .contains("damaged")
    );

    std::fs::remove_file(&paths[1]).unwrap();
    drop(log);
    let log = place.open(600).unwrap();
    assert!(read_all(&log).await.is_err());
    drop(log);
    std::fs::remove_file(&paths[0]).unwrap();
    assert!(place.open(600).is_err());
}

#[tokio::test]
async fn trimmed_segments_leave_the_disk_and_the_head_stays() {
    let place = Place::new();
    let log = place.open(600).unwrap();
    append(&log, 1..=40).await;
    let before = place.files().len();
    assert_eq!(log.trim(Position(20), 5).await.unwrap(), 5);
    assert_eq!(log.trim(Position(20), 100).await.unwrap(), 15);
    assert_eq!(log.trim(Position(20), 100).await.unwrap(), 0);
    assert!(place.files().len() < before);
    assert_eq!(read_all(&log).await.unwrap(), (21..=40).collect::<Vec<_>>());
    assert_eq!(log.trim(Position(u64::MAX), 100).await.unwrap(), 20);
    assert_eq!(place.files().len(), 1);
    assert!(read_all(&log).await.unwrap().is_empty());
    drop(log);
    let log = place.open(600).unwrap();
    assert!(read_all(&log).await.unwrap().is_empty());
    append(&log, 41..=42).await;
    assert_eq!(read_all(&log).await.unwrap(), [41, 42]);
}

/// While the disk refuses, callers get a fault; once it takes writes again, so does the journal,
/// without a gap.
#[tokio::test]
async fn a_failed_write_loses_nothing_and_passes() {
    let place = Place::new();
    let log = place.open(300).unwrap();
    append(&log, 1..=10).await;
    // A folder in the way of the next segment is a trouble that root has as well.
    let next = |log: &Log| path_of(&place.folder.path().join("journal"), log.head().0 + 1);
    let mut failed = 0;
    for _ in 0..10 {
        let blocked = next(&log);
        if blocked.exists() {
            append(&log, log.head().0 + 1..=log.head().0 + 1).await;
            continue;
        }
        std::fs::create_dir(&blocked).unwrap();
        let head = log.head();
        if log.append(fact(head.0 + 1)).await.is_err() {
            assert_eq!(log.head(), head);
            failed += 1;
        }
        std::fs::remove_dir(&blocked).unwrap();
        append(&log, log.head().0 + 1..=log.head().0 + 1).await;
    }
    assert!(failed > 0);
    let head = log.head().0;
    assert_eq!(
        read_all(&log).await.unwrap(),
        (1..=head).collect::<Vec<_>>()
    );
    drop(log);
    let log = place.open(300).unwrap();
    assert_eq!(
        read_all(&log).await.unwrap(),
        (1..=head).collect::<Vec<_>>()
    );
}

/// What a failed write left in a segment does not count once a later segment says where its own
/// facts begin.
#[tokio::test]
async fn what_a_failed_write_left_behind_is_passed_over() {
    let place = Place::new();
    let log = place.open(600).unwrap();
    append(&log, 1..=30).await;
    drop(log);
    let paths = place.files();
    let mut bytes = std::fs::read(&paths[0]).unwrap();
    let first_of_next: u64 = paths[1]
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let text = serde_json::to_vec(&fact(99)).unwrap();
    segment::encode(
        first_of_next,
        [&text[..]].into_iter(),
        &mut bytes,
        &mut Vec::new(),
    );
    bytes.extend_from_slice(b"\xb7mJ and then nothing");
    std::fs::write(&paths[0], bytes).unwrap();
    let log = place.open(600).unwrap();
    assert_eq!(read_all(&log).await.unwrap(), (1..=30).collect::<Vec<_>>());
}
