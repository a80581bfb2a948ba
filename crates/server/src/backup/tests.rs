//! A backup between a server and a folder, and what comes of each way to break it.

use super::*;
use stream::Begin;

fn about() -> About {
    About {
        format: FORMAT,
        program: "0".into(),
        node: "one".into(),
        made: "2026-01-01T00:00:00Z".into(),
        position: 7,
        keys: false,
        outside: Vec::new(),
    }
}

fn begin(path: &str, sealed: bool) -> Frame {
    Frame::Begin(Begin {
        path: path.into(),
        bytes: None,
        sealed,
    })
}

fn fill(kept: &mut Kept, files: &[(&str, &str, bool)]) -> Option<Manifest> {
    for (path, text, sealed) in files {
        kept.take(begin(path, *sealed)).unwrap();
        kept.take(Frame::Data(text.as_bytes().to_vec())).unwrap();
    }
    kept.take(Frame::End(about())).unwrap()
}

/// A second run copies only what changed; one that breaks off leaves the former backup whole.
#[test]
fn a_run_that_breaks_off_leaves_the_former_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    let mut kept = Kept::open(&path).unwrap();
    let made = fill(
        &mut kept,
        &[("journal/1.log", "sealed", true), ("format", "1", false)],
    );
    let first = made.unwrap();
    drop(kept);

    let mut kept = Kept::open(&path).unwrap();
    assert!(Kept::open(&path).is_err(), "one at a time");
    let [had] = kept.have().try_into().unwrap();
    assert_eq!((had.path.as_str(), had.bytes), ("journal/1.log", 6));
    kept.take(begin("format", false)).unwrap();
    kept.take(Frame::Data(b"2".to_vec())).unwrap();
    drop(kept);
    assert_eq!(Manifest::of(&path).unwrap(), first);
    let look = |path: &std::path::Path| {
        let mut wrong = Vec::new();
        verify(path, &mut |entry, why| {
            wrong.extend(why.map(|why| format!("{}: {why}", entry.path)));
        })
        .unwrap();
        wrong
    };
    assert!(look(&path).is_empty());

    let mut kept = Kept::open(&path).unwrap();
    kept.take(Frame::Have(had)).unwrap();
    let second = fill(&mut kept, &[("format", "2", false)]).unwrap();
    assert_eq!((kept.reused, kept.written), (6, 1));
    drop(kept);
    assert_eq!(second.files[0].file, "g1/journal/1.log");
    assert!(look(&path).is_empty());
    assert!(!path.join("g1/format").exists() && !path.join("g2").exists());

    std::fs::write(path.join("g1/journal/1.log"), "seale?").unwrap();
    assert_eq!(
        look(&path),
        ["journal/1.log: does not match its checksum".to_owned()]
    );
    std::fs::write(path.join("g1/journal/1.log"), "seal").unwrap();
    assert_eq!(
        look(&path),
        ["journal/1.log: has 4 bytes instead of 6".to_owned()]
    );
    std::fs::remove_file(path.join("g1/journal/1.log")).unwrap();
    assert_eq!(look(&path).len(), 1);
    let mut kept = Kept::open(&path).unwrap();
    assert!(kept.have().is_empty(), "what is gone is sent again");
    assert!(
        kept.take(Frame::Failed("no room".into()))
            .unwrap_err()
            .contains("no room")
    );
}

#[test]
fn a_folder_with_other_things_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious"), "").unwrap();
    let why = Kept::open(folder.path()).err().unwrap();
    assert!(why.contains("precious"), "{why}");
    let why = Manifest::of(folder.path()).unwrap_err();
    assert!(why.contains("holds no backup"), "{why}");
}

/// A stream or a manifest is bytes from outside: no path leads out of the folder.
#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in [
        "../x",
        "/etc/x",
        "a/../b",
        "",
        "a//b",
        ".ssh",
        "a/.b",
        "a\0",
        "a/b/c/d/e",
    ] {
        let mut frames = Frames::default();
        frames.push(&begin(path, false).encode());
        assert!(frames.next().is_err(), "{path:?}");
        let manifest = serde_json::json!({"about": about(), "files": [
            {"path": path, "file": "g1/x", "bytes": 0, "sha256": "", "sealed": false}]});
        let bytes = serde_json::to_vec(&manifest).unwrap();
        assert!(Manifest::parse(&bytes).is_err(), "{path:?}");
    }
    let mut newer = about();
    newer.format = 2;
    let bytes = serde_json::to_vec(&serde_json::json!({"about": newer, "files": 1})).unwrap();
    assert!(Manifest::parse(&bytes).unwrap_err().contains("newer"));
}

#[test]
fn frames_survive_any_bytes() {
    let sample: Vec<u8> = [
        begin("journal/1.log", true),
        Frame::Data(b"bytes".to_vec()),
        Frame::Wait,
        Frame::End(about()),
        Frame::Failed("why".into()),
    ]
    .iter()
    .flat_map(Frame::encode)
    .collect();
    fuzz(&sample);
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..5_000 {
        let mut bytes = sample.clone();
        for _ in 0..3 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let at = chance as usize % bytes.len();
            bytes[at] = (chance >> 32) as u8;
        }
        fuzz(&bytes);
    }
}
