//! A labelled set: binaries out of Debian packages of several releases and machines, with traps and
//! weaknesses among them, packed by the real tools. What the scanner says of it is held against what
//! is in it. `make test` does so with some; `make labelled` (`MUSTER_LABELLED=all`) with hundreds,
//! and prints precision and recall beside those of `cve-bin-tool` and `unblob`;
//! `MUSTER_LABELLED=alone` goes without those two.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod set;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use scan::{
    Limits,
    report::{Options, scan},
    vulns::Database,
};
use set::{Label, PACKERS, TRAPS, WEAK, fill, gather, packages, sh};

/// Packages in one image.
const IN_ONE: usize = 8;

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    name: String,
    version: String,
    /// From the root.
    path: String,
}

#[derive(Default)]
struct Score {
    /// Copies that were found, and that could be.
    found: usize,
    readable: usize,
    /// What was said, and what of it is so.
    said: usize,
    right: usize,
    missed: Vec<String>,
    spurious: Vec<String>,
}

impl Score {
    fn add(&mut self, image: &str, labels: &[Label], said: &BTreeSet<Said>) {
        let meets = |label: &Label, said: &Said| {
            said.path == label.path && label.names.contains(&said.name.as_str())
        };
        let same = |label: &Label, said: &Said| meets(label, said) && said.version == label.version;
        for label in labels.iter().filter(|label| label.readable) {
            self.readable += 1;
            match said.iter().any(|said| same(label, said)) {
                true => self.found += 1,
                false => self.missed.push(format!(
                    "{image}: {} {} {}",
                    label.names[0], label.version, label.path
                )),
            }
        }
        // What is said of a copy whose label nobody can read in it is not judged: Debian may number it
        // otherwise than its project.
        let unread = |said: &Said| {
            labels
                .iter()
                .any(|label| !label.readable && meets(label, said))
        };
        for said in said.iter().filter(|said| !unread(said)) {
            self.said += 1;
            match labels.iter().any(|label| same(label, said)) || is_other(labels, said) {
                true => self.right += 1,
                false => self.spurious.push(format!("{image}: {said:?}")),
            }
        }
    }

    fn line(&self, who: &str) -> String {
        let share = |a: usize, b: usize| 100.0 * a as f64 / b.max(1) as f64;
        format!(
            "{who:<14} recall {:6.2} % ({} of {} readable copies)   precision {:6.2} % ({} of {} said)",
            share(self.found, self.readable),
            self.found,
            self.readable,
            share(self.right, self.said),
            self.right,
            self.said
        )
    }
}

/// What is so of files that the table does not list: another program or library of the same package
/// says the same of itself.
fn is_other(labels: &[Label], said: &Said) -> bool {
    let listed = labels.iter().any(|label| label.path == said.path);
    !listed
        && labels.iter().any(|label| {
            label.with.contains(&said.path)
                && label.names.contains(&said.name.as_str())
                && label.version == said.version
        })
}

/// How many files were packed, and how many came out as they were.
#[derive(Default)]
struct Files {
    packed: usize,
    same: usize,
    took: f64,
}

fn digests(bytes: impl Iterator<Item = Vec<u8>>) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for bytes in bytes {
        let digest = credential::crypto::digest::Hash::Sha256.hex(&bytes);
        *all.entry(digest).or_default() += 1;
    }
    all
}

fn overlap(want: &BTreeMap<String, usize>, got: &BTreeMap<String, usize>) -> usize {
    let both = want
        .iter()
        .map(|(digest, n)| n.min(got.get(digest).unwrap_or(&0)));
    both.sum()
}

fn read_all(folder: &Path) -> BTreeMap<String, usize> {
    let mut files = Vec::new();
    gather(folder, "", &mut files);
    digests(
        files
            .iter()
            .filter_map(|f| fs::read(folder.join(&f[1..])).ok()),
    )
}

/// What is measured of somebody else.
struct Peers {
    python: PathBuf,
    unblob: PathBuf,
}

impl Peers {
    /// In environments of their own, which `tools/setup labelled` makes.
    fn find() -> Peers {
        let tools = std::env::var_os("MUSTER_TOOLS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools"),
            PathBuf::from,
        );
        Peers {
            python: tools.join("venv-cve-bin-tool/bin/python"),
            unblob: tools.join("venv-unblob/bin/unblob"),
        }
    }

    /// cve-bin-tool unpacks few formats: it gets the folder as it was before it was packed.
    fn cve_bin_tool(&self, root: &Path) -> BTreeSet<Said> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/labelled/peer.py");
        let out = Command::new(&self.python)
            .arg(script)
            .arg(root)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "cve-bin-tool (`tools/setup labelled`)"
        );
        let text = String::from_utf8_lossy(&out.stdout);
        let home = root.to_string_lossy();
        let rows = text.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let path = word("file");
            Said {
                name: word("product"),
                version: word("version"),
                path: path.strip_prefix(&*home).unwrap_or(&path).to_owned(),
            }
        });
        rows.filter(|said| said.version != "UNKNOWN").collect()
    }

    fn unblob(&self, home: &Path, want: &BTreeMap<String, usize>, files: &mut Files) {
        let out = home.join("unblob");
        let begun = Instant::now();
        let bin = self.unblob.parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let done = Command::new(&self.unblob)
            .env("PATH", format!("{bin}:{path}"))
            .args(["-p", "1", "-e"])
            .arg(&out)
            .arg(home.join("image"))
            .current_dir(home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        done.expect("unblob (`tools/setup labelled`)");
        files.took += begun.elapsed().as_secs_f64();
        files.packed += want.values().sum::<usize>();
        let got = match out.is_dir() {
            true => read_all(&out),
            false => BTreeMap::new(),
        };
        files.same += overlap(want, &got);
    }
}

/// [FS-6] The whole of it.
#[test]
fn what_is_in_images_is_said_and_nothing_else() {
    let what = std::env::var("MUSTER_LABELLED").unwrap_or_default();
    let peers = (what == "all").then(Peers::find);
    let all = matches!(what.as_str(), "all" | "alone");
    let (mut ours, mut theirs) = (Score::default(), Score::default());
    let (mut files, mut unblob) = (Files::default(), Files::default());
    let (mut binaries, mut images, mut unreadable) = (0, 0, 0);
    let (mut weak, mut weak_found, mut weak_said) = (0, 0, Vec::new());
    for (machine, found) in packages(if all { "all" } else { "few" }) {
        for some in found.chunks(IN_ONE) {
            let home = tempfile::tempdir().unwrap();
            let root = home.path().join("root");
            let labels = fill(&root, some);
            fs::create_dir(home.path().join("traps")).unwrap();
            sh(&home.path().join("traps"), TRAPS[images % TRAPS.len()]);
            // Every other image is left without weaknesses.
            let planted = (images % 2 == 0).then(|| WEAK[images / 2 % WEAK.len()]);
            if let Some((_, line)) = planted {
                sh(home.path(), line);
            }
            let (packer, line) = PACKERS[images % PACKERS.len()];
            sh(home.path(), line);
            let image = format!("{machine} {images} ({packer})");
            let bytes = fs::read(home.path().join("image")).unwrap();

            let begun = Instant::now();
            let database = Database::default();
            let options = Options {
                limits: Limits::default(),
                database: &database,
                level: None,
                now: 1_700_000_000_000,
                yara: None,
            };
            let told = scan("image", bytes.into(), &options, &|| false);
            files.took += begun.elapsed().as_secs_f64();
            let want = read_all(&root);
            let got = told.image.files.iter().filter_map(|f| f.bytes());
            let same = overlap(&want, &digests(got.map(|b| b.to_vec())));
            let packed: usize = want.values().sum();
            assert_eq!(same, packed, "{image}: {:?}", told.image.faults);
            files.same += same;
            files.packed += packed;

            let mut said = BTreeSet::new();
            for component in &told.components {
                for evidence in &component.evidence {
                    said.insert(Said {
                        name: component.name.clone(),
                        version: component.version.clone().unwrap_or_default(),
                        path: inside(&evidence.file),
                    });
                }
            }
            said.retain(|said| !said.version.is_empty());
            ours.add(&image, &labels, &said);
            let codes: BTreeSet<&str> = told.report.risks.iter().map(|g| &*g.code).collect();
            for (code, _) in WEAK {
                let is = codes.contains(code);
                match planted.is_some_and(|(planted, _)| planted == *code) {
                    true => {
                        weak += 1;
                        weak_found += usize::from(is);
                        assert!(is, "{image}: {code} is not found");
                    }
                    false if is => {
                        let groups = told.report.risks.iter().filter(|g| g.code == *code);
                        let files = groups.flat_map(|g| g.vuln_infos.iter().map(|i| &i.filename));
                        weak_said.push(format!("{code} {:?}", files.collect::<Vec<_>>()));
                    }
                    false => {}
                }
            }
            if let Some(peers) = &peers {
                theirs.add(&image, &labels, &peers.cve_bin_tool(&root));
                peers.unblob(home.path(), &want, &mut unblob);
            }
            if all {
                println!("{image}: {} of {} copies so far", ours.found, ours.readable);
            }
            binaries += labels.len();
            unreadable += labels.iter().filter(|label| !label.readable).count();
            images += 1;
        }
    }
    println!(
        "{images} images with {binaries} labelled binaries, {unreadable} of them without a readable version"
    );
    println!("{}", ours.line("muster"));
    println!(
        "{:<14} files   {} of {} byte-identical, {:.0} s",
        "muster", files.same, files.packed, files.took
    );
    println!("weaknesses     {weak_found} of {weak} planted found");
    for said in weak_said {
        println!("also said {said}");
    }
    for missed in &ours.missed {
        println!("missed    {missed}");
    }
    for spurious in &ours.spurious {
        println!("spurious  {spurious}");
    }
    if all {
        assert!(binaries >= 200, "{binaries}");
    }
    if peers.is_some() {
        println!("{}", theirs.line("cve-bin-tool"));
        println!(
            "{:<14} files   {} of {} byte-identical, {:.0} s",
            "unblob", unblob.same, unblob.packed, unblob.took
        );
    }
    assert!(binaries > 0);
    assert!(
        ours.found * 100 >= ours.readable * 95,
        "{}",
        ours.line("muster")
    );
    assert!(ours.spurious.is_empty(), "{:?}", ours.spurious);
}

/// The path within the innermost file system of `image@…/fs@0x0/usr/bin/x`.
fn inside(chain: &str) -> String {
    let at = chain.rfind('@').map_or(0, |at| at + 1);
    let rest = &chain[at..];
    rest.find('/')
        .map_or_else(String::new, |at| rest[at..].to_owned())
}
