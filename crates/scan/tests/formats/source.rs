//! A folder to pack, the tools to pack it with, and the comparison of what came out.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use scan::{Class, Limits, Unpacked, unpack, unpack::Kind};
use tempfile::TempDir;

pub(crate) struct Source {
    pub(crate) home: TempDir,
}

/// What a path of the source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    File(Vec<u8>),
    Folder,
    Link(String),
}

/// Bytes that no compressor makes smaller.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    })
    .take(length)
    .collect()
}

/// Text that every compressor likes.
pub(crate) fn prose(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| format!("line {n} of a file that repeats itself\n").into_bytes())
        .take(length)
        .collect()
}

impl Source {
    pub(crate) fn new() -> Source {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        for folder in ["bin", "etc/init.d", "usr/share/deep/er/and/deeper", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut mixed = prose(70_000);
        mixed.extend(noise(90_000, 7));
        mixed.extend(vec![0; 300_000]);
        mixed.extend(prose(33_333));
        let files: &[(&str, Vec<u8>)] = &[
            ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n".to_vec()),
            ("etc/empty", Vec::new()),
            ("etc/init.d/rcS", b"#!/bin/sh\necho up\n".to_vec()),
            ("bin/mixed", mixed),
            ("usr/share/prose", prose(250_001)),
            ("usr/share/noise", noise(131_072, 3)),
            ("usr/share/deep/er/and/deeper/leaf", prose(4096)),
            ("usr/share/a name with spaces", b"spaces".to_vec()),
            ("usr/share/\u{56fa}\u{4ef6}.txt", "\u{4f60}\u{597d}".into()),
        ];
        for (path, bytes) in files {
            fs::write(root.join(path), bytes).unwrap();
        }
        for n in 0..300 {
            let path = root.join(format!("usr/share/deep/many-{n:03}"));
            fs::write(path, prose(n * 3)).unwrap();
        }
        let mode = |path: &str, mode| {
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("bin/mixed", 0o4755);
        mode("etc/init.d/rcS", 0o755);
        mode("etc/passwd", 0o644);
        symlink("mixed", root.join("bin/sh")).unwrap();
        symlink("/etc/passwd", root.join("etc/link")).unwrap();
        Source { home }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs a shell line in the home folder, where the source is `root`.
    pub(crate) fn sh(&self, line: &str) {
        let out = Command::new("sh")
            .args(["-ec", line])
            .current_dir(self.home.path())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "`{line}` failed (`tools/setup scan` installs the tools): {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr),
        );
    }

    /// The image that a line makes.
    pub(crate) fn image(&self, line: &str, name: &str) -> Vec<u8> {
        self.sh(line);
        fs::read(self.path(name)).unwrap()
    }

    /// Everything below `root`.
    pub(crate) fn things(&self) -> BTreeMap<String, Thing> {
        let mut things = BTreeMap::new();
        gather(&self.path("root"), "", &mut things);
        things
    }
}

fn gather(folder: &Path, path: &str, things: &mut BTreeMap<String, Thing>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        let thing = if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            Thing::Link(target.to_string_lossy().into_owned())
        } else if kind.is_dir() {
            gather(&entry.path(), &path, things);
            Thing::Folder
        } else {
            Thing::File(fs::read(entry.path()).unwrap())
        };
        things.insert(path, thing);
    }
}

pub(crate) fn opened(image: Vec<u8>) -> Unpacked {
    unpack("image", image.into(), &Limits::default(), &|| false)
}

/// The entries of the first volume of that format.
pub(crate) fn inside(found: &Unpacked, format: &str) -> BTreeMap<String, Thing> {
    let volume = found
        .volumes
        .iter()
        .position(|v| v.format == format)
        .unwrap_or_else(|| panic!("no {format} in {:?} {:?}", chains(found), found.faults));
    found
        .files
        .iter()
        .filter(|f| f.volume == volume && f.path != "/")
        .map(|f| {
            let thing = match &f.kind {
                Kind::File(bytes) => Thing::File(bytes.to_vec()),
                Kind::Folder => Thing::Folder,
                Kind::Link(target) => Thing::Link(target.clone()),
                Kind::Special => panic!("{} is special", f.path),
            };
            (f.path.clone(), thing)
        })
        .collect()
}

pub(crate) fn chains(found: &Unpacked) -> Vec<&str> {
    found.volumes.iter().map(|v| v.chain.as_str()).collect()
}

/// Compares without printing megabytes.
pub(crate) fn same(got: &BTreeMap<String, Thing>, want: &BTreeMap<String, Thing>, what: &str) {
    let names = |things: &BTreeMap<String, Thing>| things.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(want), "{what}: names");
    for (path, thing) in want {
        assert!(got[path] == *thing, "{what}: {path} differs");
    }
}

/// Packs with the line and expects the source to come out of `format`, without a fault.
pub(crate) fn round(source: &Source, line: &str, format: &str) -> Unpacked {
    let found = opened(source.image(line, "image"));
    assert_eq!(found.faults, [], "{line}");
    assert_eq!(found.stopped, None);
    let mut got = inside(&found, format);
    got.retain(|path, _| !path.starts_with("/lost+found"));
    same(&got, &source.things(), line);
    found
}

pub(crate) fn is_filesystem(found: &Unpacked) {
    assert_eq!(found.volumes[0].class, Class::Filesystem);
}
