//! The report of an image with planted weaknesses has its shape, and each of them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use scan::{
    Limits,
    report::{Options, Scan, scan},
    rules::{self, Level},
    vulns::Database,
};
use serde_json::Value;

fn sh(home: &Path, line: &str) {
    let out = Command::new("sh")
        .args(["-ec", line])
        .current_dir(home)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

fn image(line: &str) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("root/etc/init.d")).unwrap();
    fs::create_dir_all(home.path().join("root/bin")).unwrap();
    sh(home.path(), line);
    sh(
        home.path(),
        "mksquashfs root image -quiet -noappend -no-progress -all-root >/dev/null",
    );
    fs::read(home.path().join("image")).unwrap()
}

const NOW: i64 = 1_795_000_000_000;

fn database() -> Database {
    let mut database = Database::default();
    for name in [
        "nvd20-firmware-subset.json.gz",
        "kev.json.gz",
        "epss-subset.csv.gz",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/vulns")
            .join(name);
        database
            .import(name, fs::File::open(path).unwrap())
            .unwrap();
    }
    database
}

fn scanned(line: &str, level: Option<Level>, database: &Database) -> Scan {
    let options = Options {
        limits: Limits::default(),
        database,
        level,
        now: NOW,
        yara: None,
    };
    scan("image.bin", image(line).into(), &options, &|| false)
}

const WEAK: &str = r#"
    printf 'root:$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a.:0:0:root:/root:/bin/sh\nadmin::0:0::/:/bin/sh\nnobody:*:99:99::/:/bin/false\n' > root/etc/passwd
    printf '#!/bin/sh\n# telnetd is off\nkillall tftpd\ntelnetd -l /bin/sh &\n' > root/etc/init.d/rcS; chmod 777 root/etc/init.d/rcS
    printf '::sysinit:/etc/init.d/rcS\n::askfirst:-/bin/sh\n' > root/etc/inittab
    printf 'rwcommunity private\nrocommunity public\n' > root/etc/snmpd.conf
    printf 'PermitRootLogin yes\nPermitEmptyPasswords no\n' > root/etc/sshd_config
    printf 'wifi_password=Sup3rSecret1\nshow_password=true\nurl=http://update.vendor-x.cn/firmware/new.bin\n' > root/etc/app.conf
    printf 'key LTAI4FzYxWvUtSrQpOn1 end\n' > root/etc/cloud.conf
    openssl genrsa -out root/etc/server.key 2048 2>/dev/null
    openssl req -x509 -newkey rsa:1024 -nodes -keyout /dev/null -subj /CN=device -days 30 -set_serial 7 -out root/etc/cert.pem 2>/dev/null
    echo 'ssh-rsa AAAAB3Nza maker@factory' > root/etc/authorized_keys
    echo x > root/etc/app.conf.bak
    printf 'int main(int c,char**v){char b[9];__builtin_strcpy(b,v[0]);return b[0];}' > a.c
    gcc -O0 -fno-builtin -fno-stack-protector -no-pie -z execstack -z norelro -Wl,-rpath,lib -o root/bin/busybox a.c 2>/dev/null; chmod 4755 root/bin/busybox
    mkdir -p root/usr/lib/opkg; printf 'Package: libopenssl1.0\nVersion: 1.0.1f\nStatus: install ok installed\n\nPackage: boa\nVersion: 0.94.13-2\nStatus: install ok installed\n\n' > root/usr/lib/opkg/status
"#;

const WANTED: &[(&str, &str)] = &[
    ("CveVuln", "高危"),
    ("EolComponent", "低危"),
    ("HardcodedPassword", "高危"),
    ("WeakPassword", "严重"),
    ("EmptyPassword", "严重"),
    ("WeakHash", "中危"),
    ("ExtraRootUid", "高危"),
    ("PrivateKeyLeak", "高危"),
    ("WeakKey", "高危"),
    ("AuthorizedKeys", "高危"),
    ("TokenLeak", "高危"),
    ("BackupLeak", "低危"),
    ("DebugSymbol", "通告"),
    ("NoNx", "中危"),
    ("NoPie", "低危"),
    ("NoRelro", "低危"),
    ("NoCanary", "中危"),
    ("RpathRisk", "中危"),
    ("UnsafeFunc", "低危"),
    ("SuidBinary", "高危"),
    ("WorldWritable", "高危"),
    ("TelnetEnabled", "高危"),
    ("DebugShell", "高危"),
    ("SnmpDefaultCommunity", "高危"),
    ("SnmpDefaultCommunity", "中危"),
    ("SshdWeakConfig", "中危"),
    ("UpdateInsecure", "中危"),
    ("CertSelfSigned", "通告"),
];

/// [FS-5]
#[test]
fn planted_weaknesses_are_found_and_their_secrets_hidden() {
    let database = database();
    let scan = scanned(WEAK, None, &database);
    let text = serde_json::to_string(&scan.report).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let mut found = BTreeSet::new();
    for group in report["risks"].as_array().unwrap() {
        for info in group["vulnInfos"].as_array().unwrap() {
            found.insert((
                group["code"].as_str().unwrap(),
                info["severity"].as_str().unwrap(),
            ));
        }
    }
    for wanted in WANTED {
        assert!(found.contains(wanted), "{wanted:?} is not in {found:?}");
    }
    for absent in [
        "TftpEnabled",
        "FtpEnabled",
        "CertExpired",
        "Malware",
        "BackdoorPattern",
    ] {
        assert!(!found.iter().any(|f| f.0 == absent), "{absent}");
    }
    for secret in [
        "Sup3rSecret1",
        "LTAI4FzYxWvUtSrQpOn1",
        "BEGIN PRIVATE",
        "UYCIxa628",
    ] {
        assert!(!text.contains(secret), "{secret} is told");
    }
    let hardcoded = report["risks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["code"] == "HardcodedPassword")
        .unwrap();
    assert_eq!(
        hardcoded["vulnInfos"].as_array().unwrap().len(),
        1,
        "a switch is no password: {hardcoded}"
    );
}

/// [FS-5] Keys in the document's order, five severities, no CVE beside details.
#[test]
fn the_report_has_the_documents_shape() {
    let database = database();
    let scan = scanned(WEAK, Some(Level::Three), &database);
    let text = serde_json::to_string(&scan.report).unwrap();
    let place = |key: &str| text.find(&format!("\"{key}\":")).unwrap();
    let keys = [
        "fwBasicInfo",
        "fwFileSize",
        "arch",
        "fwSha256",
        "filesystem",
        "scanStartTime",
        "riskStatistics",
        "severityStatistics",
        "riskBrief",
        "risks\":[{\"name",
        "detectionRuleResult",
    ];
    let places: Vec<_> = keys
        .iter()
        .filter(|k| !k.contains('['))
        .map(|k| place(k))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let basic = &report["fwBasicInfo"];
    assert_eq!(basic["filesystem"], "squashfs");
    assert_eq!(basic["scanStartTime"], NOW);
    assert!(basic["arch"].as_str().unwrap().contains("-64-little"));
    assert_eq!(basic["fwSha256"].as_str().unwrap().len(), 64);
    let counts = report["riskStatistics"]["severityStatistics"]
        .as_array()
        .unwrap();
    let names: Vec<_> = counts.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["严重", "高危", "中危", "低危", "通告"]);
    let total: u64 = counts.iter().map(|c| c["count"].as_u64().unwrap()).sum();
    let infos: usize = report["risks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["vulnInfos"].as_array().unwrap().len())
        .sum();
    assert_eq!(total as usize, infos);
    for group in report["risks"].as_array().unwrap() {
        for info in group["vulnInfos"].as_array().unwrap() {
            let cve = info["cve"].as_object().unwrap();
            let known = group["enCategory"] == "CveVuln";
            assert_eq!(cve.is_empty(), !known);
            assert_eq!(info["detail"].as_array().unwrap().is_empty(), known);
            if known {
                for key in [
                    "cveId",
                    "cweId",
                    "impact",
                    "cpe",
                    "description",
                    "references",
                ] {
                    assert!(cve.contains_key(key), "{key}");
                }
                for key in ["allFixedVersion", "highCriticalFixedVersion"] {
                    let fixed = &cve["cpe"][key];
                    assert_eq!(fixed["version"] == "", fixed["expression"] == "");
                }
            }
        }
    }
    // What the document calls a string is one, and holds a list.
    for row in report["detectionRuleResult"].as_array().unwrap() {
        let detail: Value = serde_json::from_str(row["detail"].as_str().unwrap()).unwrap();
        let broken = !detail.as_array().unwrap().is_empty();
        assert_eq!(row["status"], if broken { "0" } else { "1" });
        assert_eq!(row["classification"], "CPoC2_3");
    }
}

/// [FS-6] What cannot be decided is not passed, and level 3 asks for more than level 2.
#[test]
fn graded_protection_judges_only_what_it_sees() {
    let database = Database::default();
    let clean = "printf 'root:*:0:0:root:/root:/bin/sh\\n' > root/etc/passwd";
    let two = scanned(clean, Some(Level::Two), &database);
    let verdicts = &two.report.detection_rule_result;
    assert!(verdicts.iter().all(|v| v.status == "1"), "{verdicts:?}");
    let codes: Vec<_> = verdicts.iter().map(|v| &*v.category_code).collect();
    assert_eq!(codes, ["IA-1", "IA-3", "AC-1", "IP-1", "IP-3", "MC-1"]);
    let open = rules::undecided(Level::Two, verdicts);
    assert!(
        open.iter().any(|(code, _)| *code == "AU-1")
            && open.iter().any(|(code, _)| *code == "TV-1")
    );
    let three = scanned(clean, Some(Level::Three), &database);
    assert!(
        three
            .report
            .detection_rule_result
            .iter()
            .any(|v| v.category_code == "DC-1")
    );
    let weak = scanned(WEAK, Some(Level::Two), &database);
    let broken: Vec<_> = weak
        .report
        .detection_rule_result
        .iter()
        .filter(|v| v.status == "0")
        .map(|v| &*v.category_code)
        .collect();
    for code in ["IA-1", "IA-3", "AC-1", "IP-1", "MC-1", "DI-1"] {
        assert!(broken.contains(&code), "{code} in {broken:?}");
    }
    assert!(
        scanned(WEAK, None, &database)
            .report
            .detection_rule_result
            .is_empty()
    );
}

/// The same image and the same database give the same bytes.
#[test]
fn a_rescan_says_the_same() {
    let database = database();
    let bytes = image(WEAK);
    let once = || {
        let options = Options {
            limits: Limits::default(),
            database: &database,
            level: Some(Level::Three),
            now: NOW,
            yara: None,
        };
        serde_json::to_string(&scan("image.bin", bytes.clone().into(), &options, &|| false).report)
            .unwrap()
    };
    assert_eq!(once(), once());
}

/// An encrypted image is a finding, not a failure.
#[test]
fn what_cannot_be_unpacked_is_said() {
    let database = Database::default();
    let mut state = 88_172_645_463_325_252_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as u8
    })
    .take(400_000)
    .collect();
    let options = Options {
        limits: Limits::default(),
        database: &database,
        level: None,
        now: NOW,
        yara: None,
    };
    let scan = scan("image.bin", noise.into(), &options, &|| false);
    assert_eq!(scan.report.risks.len(), 1);
    assert_eq!(scan.report.risks[0].code, "Unreadable");
}

/// [FS-5] What is known of a kernel stands in a group of its own; in every group, of one severity,
/// what is exploited comes first and then what soon may be. Where a distribution may have repaired
/// something, each finding says so.
#[test]
fn a_kernel_does_not_drown_the_rest() {
    let database = database();
    let line = r"mkdir -p root/usr/lib/opkg
        printf 'Package: kernel\nVersion: 2.6.9-1\nStatus: install ok installed\n\nPackage: libopenssl1.0\nVersion: 1.0.1f-2\nStatus: install ok installed\n\n' > root/usr/lib/opkg/status";
    let scan = scanned(line, None, &database);
    for (code, product) in [("CveKernel", ":linux_kernel:"), ("CveVuln", ":openssl:")] {
        let group = scan.report.risks.iter().find(|group| group.code == code);
        let infos = &group.unwrap().vuln_infos;
        assert!(infos.len() > 2, "{code}: {}", infos.len());
        let ranks = infos.iter().map(|info| {
            let cve = info.cve.as_ref().unwrap();
            assert!(cve.cpe.cpe_name.contains(product), "{}", cve.cpe.cpe_name);
            assert!(
                cve.description.contains("possibly repaired"),
                "{}",
                cve.cve_id
            );
            let probable = database.probability(&cve.cve_id).unwrap_or_default();
            let rank = match database.is_exploited(&cve.cve_id) {
                true => 2.0,
                false => probable,
            };
            (info.severity, -rank)
        });
        let ranks: Vec<_> = ranks.collect();
        assert!(ranks.is_sorted_by(|a, b| a <= b), "{code}: {ranks:?}");
    }
}
