//! Instructions, counted by valgrind: what an auth code costs with each kind of key, and that a wrong
//! one is refused with the same number of them wherever its first wrong byte stands, on the server's
//! side and on the device's. Counts do not depend on how busy the machine is.
//!
//! Where valgrind is not installed the test says so; `MUSTER_CARRIERS=1`, which `make test` sets,
//! makes that a fault.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Instructions of a code with a symmetric key.
const BUDGET: u64 = 200_000;

/// The example program, at full speed: what the compiler makes of a comparison there is what counts.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("count");
    let done = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "device",
        ])
        .args(["--example", "count", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs the tests");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    target.join("release/examples/count")
}

/// The instructions of each call of `counted`, by name.
fn counts(program: &Path) -> BTreeMap<String, Vec<u64>> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=count::counted"])
        .arg("--dump-after=count::counted")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .output()
        .expect("it is installed");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let names = String::from_utf8(done.stdout).expect("text");
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (number, name) in (1..).zip(names.lines()) {
        let text = fs::read_to_string(format!("{}.{number}", out.display()));
        let text = text.unwrap_or_else(|error| panic!("{number} {name}: {error}"));
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let total = total.and_then(|total| total.trim().parse().ok());
        let total = total.unwrap_or_else(|| panic!("{number} {name}: {text}"));
        counts.entry(name.into()).or_default().push(total);
    }
    counts
}

/// [ID-1] [ID-4] [ID-6]
#[test]
fn a_wrong_byte_costs_the_same_wherever_it_stands() {
    if !Path::new("/usr/bin/valgrind").exists() {
        assert!(
            env::var_os("MUSTER_CARRIERS").is_none(),
            "tools/setup device installs valgrind"
        );
        eprintln!("not run: no valgrind (tools/setup device)");
        return;
    }
    let counts = counts(&program());
    let spread = |counts: &[u64]| {
        let (least, most) = (counts.iter().min(), counts.iter().max());
        most.zip(least).map_or(0, |(most, least)| most - least)
    };
    for (name, counts) in &counts {
        println!(
            "{name}: {} instructions, spread {}",
            counts[0],
            spread(counts)
        );
    }
    for (name, places) in [
        ("server Plain", 48),
        ("server Hardened", 48),
        ("server Keyed", 32),
        ("device Plain", 48),
        ("device Keyed", 32),
    ] {
        assert_eq!(counts[name].len(), places, "{name}");
        assert_eq!(spread(&counts[name]), 0, "{name}: {:?}", counts[name]);
    }
    assert!(spread(&counts["careless"]) > 0, "nothing is seen");
    let codes = counts.iter().filter(|(name, _)| name.starts_with("code "));
    assert_eq!(codes.clone().count(), 10);
    for (name, counts) in codes {
        let symmetric = ["aes", "3des", "sm4"]
            .iter()
            .any(|kind| name.contains(kind));
        assert!(!symmetric || counts[0] < BUDGET, "{name}: {}", counts[0]);
    }
}
