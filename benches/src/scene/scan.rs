//! Firmware scanning: a full-size import of vulnerabilities, what a question to them costs, and each
//! sample image end to end, beside what only unpacks.

use crate::report::{Report, Row};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tests::program;

/// Records of a full-size import; `BENCH_RECORDS` makes it another.
const RECORDS: usize = 300_000;
/// How often is looked what a process takes.
const LOOK: Duration = Duration::from_millis(10);

/// What a process took.
struct Took {
    seconds: f64,
    /// MiB of it and its children at the most.
    memory: f64,
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Took {
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a program that starts");
    let mut memory: f64 = 0.0;
    let status = loop {
        memory = memory.max(peak(child.id()));
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    assert!(status.success(), "{command:?}: {status}");
    Took {
        seconds: begun.elapsed().as_secs_f64(),
        memory,
    }
}

/// The most that a process and its children have held so far, in MiB.
fn peak(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let own = own.and_then(|text| {
        text.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let below = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    own.unwrap_or_default() / 1024.0 + below.map(peak).sum::<f64>()
}

fn muster(data: &Path) -> Command {
    let mut command = Command::new(program("muster"));
    command.arg("--data").arg(data);
    command
}

/// The import, then what is asked of a small image with that much behind it.
pub(crate) fn vulns(report: &mut Report) {
    let records = std::env::var("BENCH_RECORDS").ok();
    let records = records.map(|n| n.parse().expect("BENCH_RECORDS is a number"));
    let records = records.unwrap_or(RECORDS);
    let home = tempfile::tempdir().expect("a folder");
    let feed = home.path().join("nvd-generated.json");
    generate(&feed, records).expect("room for a feed");
    let size = fs::metadata(&feed).expect("a feed").len() as f64 / 1048576.0;
    let data = home.path().join("data");
    let import = run(muster(&data).args(["vulns", "import"]).arg(&feed));
    fs::remove_file(&feed).expect("a feed");
    let name = format!("vulnerabilities: import of {records} records ({size:.0} MiB)");
    report.add(Row::new(&name, import.seconds, "s").at_most(120.0));
    report.add(Row::new("the same: most memory", import.memory, "MiB").at_most(500.0));
    let kept = fs::metadata(data.join("vulns/nvd-generated.json.vulns")).expect("a kept feed");
    let kept = kept.len() as f64 / 1048576.0;
    report.add(Row::new("the same: kept on disk", kept, "MiB"));
    let list = run(muster(&data).args(["vulns", "list"]));
    report.add(Row::new(
        "the same: opened and listed",
        list.seconds * 1e3,
        "ms",
    ));

    let image = home.path().join("small.tar");
    let folder = home.path().join("usr/lib/opkg");
    fs::create_dir_all(&folder).expect("a folder");
    let status = "Package: product-5\nVersion: 1.0\nStatus: install ok installed\n\n";
    fs::write(folder.join("status"), status).expect("a file");
    let mut tar = Command::new("tar");
    tar.arg("-cf")
        .arg(&image)
        .arg("-C")
        .arg(home.path())
        .arg("usr");
    run(&mut tar);
    let without = run(muster(&home.path().join("none")).arg("scan").arg(&image));
    let with = run(muster(&data).arg("scan").arg(&image));
    let row = Row::new("scan of a small image with them", with.seconds * 1e3, "ms");
    report.add(row.beside("with none", without.seconds * 1e3));
    report
        .add(Row::new("the same: memory", with.memory, "MiB").beside("with none", without.memory));
}

/// A feed of the shape and about the size per record of the NVD's.
fn generate(path: &Path, records: usize) -> std::io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 20, File::create(path)?);
    write!(
        to,
        r#"{{"timestamp":"2026-11-01T00:00:00","vulnerabilities":["#
    )?;
    let words = [
        "overflow",
        "in the",
        "parser of",
        "allows",
        "remote",
        "attackers to",
        "read",
    ];
    for n in 0..records {
        let text: Vec<&str> = (0..40)
            .map(|i| words[(n / 7 + i * (n % 5 + 1)) % 7])
            .collect();
        let (text, product) = (text.join(" "), n % 20_011);
        let comma = if n == 0 { "" } else { "," };
        write!(
            to,
            r#"{comma}{{"cve":{{"id":"CVE-{}-{:05}","sourceIdentifier":"cve@example.org","published":"2020-01-01T00:00:00.000","lastModified":"2024-11-21T00:00:00.000","vulnStatus":"Modified","descriptions":[{{"lang":"en","value":"{n}: {text}"}},{{"lang":"es","value":"{text}"}}],"metrics":{{"cvssMetricV31":[{{"source":"nvd@nist.gov","type":"Primary","cvssData":{{"version":"3.1","vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","baseScore":{}.{},"baseSeverity":"HIGH"}},"exploitabilityScore":3.9,"impactScore":5.9}}]}},"weaknesses":[{{"source":"nvd@nist.gov","type":"Primary","description":[{{"lang":"en","value":"CWE-{}"}}]}}],"configurations":["#,
            2000 + n / 20_000,
            n % 20_000,
            n % 9 + 1,
            n % 10,
            n % 900 + 1
        )?;
        for i in 0..2 {
            let comma = if i == 0 { "" } else { "," };
            write!(
                to,
                r#"{comma}{{"nodes":[{{"operator":"OR","negate":false,"cpeMatch":[{{"vulnerable":true,"criteria":"cpe:2.3:a:vendor{}:product-{}:*:*:*:*:*:*:*:*","versionStartIncluding":"{i}.0","versionEndExcluding":"{}.{}","matchCriteriaId":"{n:032x}"}},{{"vulnerable":true,"criteria":"cpe:2.3:a:product-{product}:product-{product}:{i}.{}:*:*:*:*:*:*:*","matchCriteriaId":"{n:032X}"}}]}}]}}"#,
                product % 997,
                product + i,
                i + 1,
                n % 30,
                n % 50
            )?;
        }
        write!(to, r#"],"references":["#)?;
        for i in 0..6 {
            let comma = if i == 0 { "" } else { "," };
            write!(
                to,
                r#"{comma}{{"url":"https://example.org/advisories/{n}/{i}","source":"cve@example.org","tags":["Third Party Advisory","Patch"]}}"#
            )?;
        }
        write!(to, "]}}}}")?;
    }
    write!(to, "]}}")?;
    to.flush()
}

/// A sample: its name, and lines of shell that make `image` of `root`.
const SAMPLES: [(&str, &str); 5] = [
    (
        "squashfs (xz)",
        "mksquashfs root image -quiet -noappend -no-progress -comp xz >/dev/null",
    ),
    (
        "UBI with UBIFS",
        "mkfs.ubifs -r root -m 2048 -e 126976 -c 4000 -o v.ubifs
         printf '[v]\nmode=ubi\nimage=v.ubifs\nvol_id=0\nvol_type=dynamic\nvol_name=r\nvol_flags=autoresize\n' > u.ini
         ubinize -o image -m 2048 -p 128KiB u.ini",
    ),
    (
        "JFFS2",
        "mkfs.jffs2 -r root -o image -l -e 128KiB -n",
    ),
    (
        "cpio in gzip in uImage",
        "(cd root && find . | cpio -o -H newc --quiet) | gzip -9 > i.gz
         mkimage -A arm -T ramdisk -C gzip -d i.gz image >/dev/null",
    ),
    (
        "ext4",
        "mke2fs -q -t ext4 -d root image $(($(du -sk root | cut -f1) * 2 + 8192))k",
    ),
];

/// Each sample from its file to its report, beside unblob and binwalk where they are installed.
pub(crate) fn scan(report: &mut Report) {
    let tools = std::env::var_os("MUSTER_TOOLS");
    let tools = tools.map_or_else(|| tests::root().join(".tools"), PathBuf::from);
    let home = tempfile::tempdir().expect("a folder");
    let data = home.path().join("data");
    let feeds = tests::root().join("crates/scan/tests/vulns");
    for name in [
        "nvd20-firmware-subset.json.gz",
        "kev.json.gz",
        "openssl-cna.ndjson.gz",
    ] {
        run(muster(&data)
            .args(["vulns", "import"])
            .arg(feeds.join(name)));
    }
    let sh = |line: &str| {
        let mut bash = Command::new("bash");
        let bash = bash.args(["-ec", line]).current_dir(home.path());
        let done = bash.stdout(Stdio::null()).status().expect("bash");
        assert!(done.success(), "{line}");
    };
    // `tools/labelled few` fetches them.
    let debs = tools.join("labelled/few");
    sh(&format!(
        "mkdir root; for d in {}/*/*.deb; do dpkg-deb -x $d root; done; rm -rf root/usr/share/locale",
        debs.display()
    ));
    let path = format!(
        "{}:{}",
        tools.join("venv-unblob/bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for (name, line) in SAMPLES {
        sh(line);
        let image = home.path().join("image");
        let size = fs::metadata(&image).expect("an image").len() as f64 / 1048576.0;
        let took = run(muster(&data).args(["--json", "scan"]).arg(&image));
        let mut row = Row::new(
            format!("scan of {name}, {size:.1} MiB, end to end"),
            took.seconds,
            "s",
        )
        .at_most(10.0);
        for (peer, words) in [("unblob", ["-e", "out"]), ("binwalk", ["-eqC", "out"])] {
            let mut command = Command::new(peer);
            command
                .args(words)
                .arg(&image)
                .current_dir(home.path())
                .env("PATH", &path);
            let there = Command::new("sh")
                .args(["-c", &format!("command -v {peer}")])
                .env("PATH", &path)
                .stdout(Stdio::null())
                .status();
            if there.is_ok_and(|status| status.success()) {
                let begun = Instant::now();
                // What it cannot open is its own affair; the time counts.
                let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
                quiet.status().expect("a peer that starts");
                row = row.beside(peer, begun.elapsed().as_secs_f64());
            }
            sh("rm -rf out");
        }
        report.add(row);
        report.add(Row::new("the same: most memory", took.memory, "MiB").at_most(400.0));
        sh("rm -f image v.ubifs u.ini i.gz");
    }
}
