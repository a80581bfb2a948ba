//! `muster scan` as its user runs it.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in what carries the tests is a failure of the test"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

fn scan(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["--data", "data", "scan"])
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a packed root file system.
fn folder() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("etc/init.d")).unwrap();
    fs::create_dir_all(root.join("usr/lib/opkg")).unwrap();
    fs::write(root.join("etc/passwd"), "root::0:0::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/init.d/rcS"), "#!/bin/sh\ntelnetd\n").unwrap();
    fs::write(
        root.join("usr/lib/opkg/status"),
        "Package: libopenssl1.0\nVersion: 1.0.1f\nStatus: install ok installed\n\n",
    )
    .unwrap();
    let packed = Command::new("tar")
        .args(["-C", "root", "-czf", "image.bin", "."])
        .current_dir(home.path())
        .status()
        .unwrap();
    assert!(packed.success());
    home
}

const FEED: &str = r#"{"format":"NVD_CVE","version":"2.0","timestamp":"2026-11-22","vulnerabilities":[{"cve":{"id":"CVE-2014-0160",
"descriptions":[{"lang":"en","value":"heartbeat"}],
"metrics":{"cvssMetricV31":[{"type":"Primary","cvssData":{"version":"3.1","vectorString":"CVSS:3.1/AV:N","baseScore":7.5}}]},
"configurations":[{"nodes":[{"operator":"OR","negate":false,"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*","versionStartIncluding":"1.0.1","versionEndExcluding":"1.0.1g"}]}]}]}}]}"#;

#[test]
fn people_see_what_is_in_an_image_and_what_is_wrong() {
    let home = folder();
    let plain = scan(home.path(), &["image.bin"]);
    assert!(plain.status.success(), "{}", text(&plain.stderr));
    let said = text(&plain.stdout);
    for part in [
        "openssl",
        "1.0.1f",
        "EmptyPassword",
        "TelnetEnabled",
        "there was no feed",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Feeds are found in the data folder too.
    fs::create_dir_all(home.path().join("data/vulns")).unwrap();
    fs::write(home.path().join("data/vulns/nvd.json"), FEED).unwrap();
    let said = text(&scan(home.path(), &["image.bin", "--level", "3"]).stdout);
    for part in ["CVE-2014-0160", ">= 1.0.1g", "IA-1", "Not decidable"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

const RULES: &str = r#"
import "elf"
rule starts_telnet : service { meta: description = "starts telnet" strings: $a = "telnetd" fullword condition: $a and filesize < 1KB }
rule way_in : BACKDOOR { strings: $a = /root::[0-9]:/ condition: $a at 0 }
rule large { condition: filesize > 10MB or elf.number_of_sections > 500 }
"#;

/// YARA rules of files that are named, or of the data folder: what they are about is found inside,
/// with its place; a rule that is none is said with its line.
#[test]
fn rules_of_yara_are_about_what_is_inside() {
    let home = folder();
    let file = home.path().join("own.yar");
    fs::write(&file, RULES).unwrap();
    let found = |words: &[&str]| {
        let out = scan(home.path(), words);
        assert!(out.status.success(), "{}", text(&out.stderr));
        let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let mut all = Vec::new();
        for risk in report["risks"].as_array().unwrap() {
            let of = |code: &str| risk["code"] == code;
            if of("Malware") || of("BackdoorPattern") {
                for info in risk["vulnInfos"].as_array().unwrap() {
                    let file = info["filename"].as_str().unwrap();
                    all.push(format!("{} {file} {}", risk["code"], info["detail"]));
                }
            }
        }
        all
    };
    assert!(found(&["image.bin", "--json"]).is_empty());
    let told = found(&["image.bin", "--json", "--yara", "own.yar"]);
    assert_eq!(told.len(), 2, "{told:?}");
    let backdoor = told
        .iter()
        .find(|line| line.contains("own.yar:way_in"))
        .unwrap();
    assert!(
        backdoor.contains("BackdoorPattern") && backdoor.contains("/etc/passwd"),
        "{backdoor}"
    );
    let telnet = told
        .iter()
        .find(|line| line.contains("own.yar:starts_telnet"))
        .unwrap();
    for part in ["Malware", "/etc/init.d/rcS", "0xa telnetd", "starts telnet"] {
        assert!(telnet.contains(part), "{part}: {telnet}");
    }
    fs::create_dir_all(home.path().join("data/yara")).unwrap();
    fs::rename(&file, home.path().join("data/yara/own.yar")).unwrap();
    fs::write(home.path().join("data/yara/README"), "no rule").unwrap();
    assert_eq!(found(&["image.bin", "--json"]), told);

    for bad in ["rule a { condition: x }", "include \"own.yar\"", "\0"] {
        fs::write(home.path().join("bad.yar"), format!("// one\n{bad}\n")).unwrap();
        let out = scan(home.path(), &["image.bin", "--yara", "bad.yar"]);
        let said = text(&out.stderr);
        assert!(!out.status.success() && said.contains("bad.yar"), "{said}");
    }
}

/// Once it has read the image, the process that works on it can open no file and no connection, write
/// nothing, and take no more memory than it may. A rule that never ends holds it there.
#[test]
fn a_worker_can_open_nothing() {
    let home = folder();
    let rule = "rule slow { condition: for all i in (0..0x7fffffff) : (i >= 0) }";
    fs::write(home.path().join("slow.yar"), rule).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["scan", "--worker", "--memory", "256"])
        .args(["--yara", "slow.yar", "image.bin"])
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = format!("/proc/{}/limits", worker.id());
    let limit = |name: &str| {
        let all = fs::read_to_string(&file).unwrap();
        let line = all.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next().map(str::to_owned))
    };
    let begun = Instant::now();
    while limit("Max open files").as_deref() != Some("3") {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it never comes to it"
        );
        thread::yield_now();
    }
    assert_eq!(limit("Max file size").as_deref(), Some("0"));
    assert_eq!(limit("Max address space").as_deref(), Some("268435456"));
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// [FS-5]
#[test]
fn programs_get_the_report() {
    let home = folder();
    fs::write(home.path().join("nvd.json"), FEED).unwrap();
    let out = scan(home.path(), &["image.bin", "--vulns", "nvd.json", "--json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let said = text(&out.stdout);
    assert!(
        said.starts_with("{\"fwBasicInfo\":{\"fwFileSize\":"),
        "{said}"
    );
    let report: Value = serde_json::from_str(&said).unwrap();
    let cve = &report["risks"][0]["vulnInfos"][0]["cve"];
    assert_eq!(cve["cveId"], "CVE-2014-0160");
    assert_eq!(cve["cpe"]["allFixedVersion"]["expression"], ">=");
}

#[test]
fn what_cannot_be_scanned_is_said() {
    let home = folder();
    fs::write(home.path().join("empty"), "").unwrap();
    fs::write(home.path().join("bad.json"), "{\"x\":").unwrap();
    for (words, part) in [
        (&["nowhere.bin"][..], "nowhere.bin"),
        (&["empty"], "empty"),
        (&["."], "not a file"),
        (&["image.bin", "--vulns", "bad.json"], "bad.json"),
    ] {
        let out = scan(home.path(), words);
        assert_eq!(out.status.code(), Some(1), "{words:?}");
        assert!(
            text(&out.stderr).contains(part),
            "{words:?}: {}",
            text(&out.stderr)
        );
        assert!(out.stdout.is_empty());
    }
}

/// An image that would fill the machine fills its worker, and the answer says so or stays bounded.
#[test]
fn a_bomb_costs_one_scan() {
    let home = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .args(["-c", "head -c 900000000 /dev/zero | gzip -9 > a; tar -cf image.bin a; cp a b; tar -rf image.bin b"])
        .current_dir(home.path())
        .status()
        .unwrap();
    assert!(made.success());
    let out = scan(
        home.path(),
        &["image.bin", "--memory", "192", "--timeout", "60"],
    );
    let said = text(&out.stdout) + &text(&out.stderr);
    assert!(said.contains("limit") || said.contains("memory"), "{said}");
}

/// A worker that stands still is ended when its time and the time for its answer are over, and the
/// one who waits for it is told so.
#[test]
fn a_hang_costs_one_scan() {
    let home = folder();
    // It is stopped while it is at this.
    let rule = "rule slow { condition: for all i in (0..0x7fffffff) : (i >= 0) }";
    fs::write(home.path().join("slow.yar"), rule).unwrap();
    let scan = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["scan", "image.bin", "--yara", "slow.yar", "--timeout", "1"])
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let threads = format!("/proc/{}/task", scan.id());
    let begun = Instant::now();
    let worker = loop {
        let threads = fs::read_dir(&threads).unwrap().flatten();
        let children = threads.filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
        let children: String = children.collect();
        if let Some(worker) = children.split_whitespace().next() {
            break worker.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no worker");
        thread::yield_now();
    };
    let stopped = Command::new("kill").args(["-STOP", &worker]).status();
    assert!(stopped.unwrap().success());
    let out = scan.wait_with_output().unwrap();
    let said = text(&out.stderr);
    assert!(!out.status.success(), "{said}");
    assert!(said.contains("did not end in its time"), "{said}");
    assert!(!Path::new(&format!("/proc/{worker}")).exists(), "it stays");
}
