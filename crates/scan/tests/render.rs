//! The documents made of a scan: their shape, that they say the same each time, and that nothing in
//! an image becomes more than text in them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, fs, path::Path};

use scan::{
    Limits,
    dossier::{Dossier, Judgement, Status, mark},
    render::{Format, Language, render},
    report::{Options, scan},
    rules::Level,
    vulns::Database,
};
use serde_json::Value;

const HOSTILE: &str = "etc/<script>alert(1)</script>\"'&=\u{202e}cod.sh";

fn image() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    put("etc/passwd", 0o644, b"root::0:0:root:/root:/bin/sh\n");
    put(
        HOSTILE,
        0o4777,
        b"#!/bin/sh\nwifi_password=</td><script>alert(2)</script>\n",
    );
    put("=HYPERLINK(\"http:,1\")", 0o666, b"x");
    put(
        "usr/lib/opkg/status",
        0o644,
        b"Package: libopenssl1.0\nVersion: 1.0.1f\nLicense: <b>OpenSSL</b>\nStatus: install ok installed\n\nPackage: \"><img src=x onerror=alert(3)>\nVersion: =1+1\nStatus: install ok installed\n\n",
    );
    tar.into_inner().unwrap()
}

fn database() -> Database {
    let mut database = Database::default();
    for name in ["nvd20-firmware-subset.json.gz", "kev.json.gz"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/vulns")
            .join(name);
        database
            .import(name, fs::File::open(path).unwrap())
            .unwrap();
    }
    database
}

fn dossier(database: &Database, now: i64) -> Dossier {
    let options = Options {
        limits: Limits::default(),
        database,
        level: Some(Level::Two),
        now,
    };
    let name = "image \"1\"<i>.tar";
    let found = scan(name, image().into(), &options, &|| false);
    Dossier::of(name, &found, options.level)
}

const NOW: i64 = 1_795_000_000_000;

fn text(dossier: &Dossier, format: Format) -> String {
    render(dossier, format, Language::English).unwrap()
}

fn json(dossier: &Dossier, format: Format) -> Value {
    serde_json::from_str(&text(dossier, format)).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// [FS-3] No tag, no handler and no address of an image gets into the page, which has no script and
/// loads nothing.
#[test]
fn a_page_shows_whatever_an_image_holds_as_text() {
    let dossier = dossier(&database(), NOW);
    let page = text(&dossier, Format::Html);
    let tags: BTreeSet<&str> = page
        .split('<')
        .skip(1)
        .map(|rest| rest.split([' ', '>', '\n']).next().unwrap())
        .collect();
    let known = [
        "!doctype", "html", "head", "meta", "title", "style", "body", "main", "div", "label",
        "input", "h1", "h2", "span", "dl", "dt", "dd", "p", "b", "i", "details", "summary",
        "table", "thead", "tbody", "tr", "th", "td", "a", "ul", "li", "br",
    ];
    for tag in tags {
        let name = tag.trim_start_matches('/');
        assert!(known.contains(&name), "a stranger's tag: {tag}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;=\\u{202e}cod.sh"));
    assert!(!page.contains('\u{202e}') && !page.contains("onerror=alert(3)>"));
    assert!(page.contains("default-src 'none'"));
    for address in page.split("href=\"").skip(1) {
        assert!(
            address.starts_with("https://nvd.nist.gov/vuln/detail/CVE-"),
            "{address:.60}"
        );
    }
    assert!(!page.contains("src=\""), "it loads something");
    // Both languages, every finding, the verdicts and what nobody can decide from an image.
    assert!(page.contains("空口令") && page.contains("Empty password"));
    assert!(page.contains("Anybody can log in to the account without a password."));
    assert!(page.contains("需现场测评") && page.contains("Physical protection of nodes"));
    let rows = page.matches("<tr class=\"").count();
    assert_eq!(rows, dossier.findings().count());
}

/// [FS-3] Cells that a spreadsheet would take for a formula are not.
#[test]
fn a_sheet_has_a_line_for_each_finding_and_no_formula() {
    let dossier = dossier(&database(), NOW);
    let sheet = text(&dossier, Format::Csv);
    let lines: Vec<&str> = sheet.trim_end().split("\r\n").collect();
    assert_eq!(lines.len(), dossier.findings().count() + 1);
    assert!(lines[0].starts_with("\u{feff}severity,code,"));
    for line in &lines[1..] {
        let mut quoted = false;
        let mut start = true;
        for c in line.chars() {
            assert!(!(start && "=+-@".contains(c)), "{line}");
            start = c == '"' && start || c == ',' && !quoted;
            quoted ^= c == '"';
        }
        assert!(!quoted, "{line}");
    }
    assert!(
        sheet.contains("CVE-2014-0160"),
        "Heartbleed is in OpenSSL 1.0.1f"
    );
}

/// [FS-3] CycloneDX 1.6: what its schema demands, and links that lead somewhere.
#[test]
fn a_bill_of_materials_for_cyclonedx_holds_together() {
    let dossier = dossier(&database(), NOW);
    let bom = json(&dossier, Format::CycloneDx);
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"]),
        (&"CycloneDX".into(), &"1.6".into())
    );
    let serial = bom["serialNumber"]
        .as_str()
        .unwrap()
        .strip_prefix("urn:uuid:")
        .unwrap();
    let groups: Vec<usize> = serial.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(bom["metadata"]["timestamp"], "2026-11-18T11:06:40Z");
    let refs: BTreeSet<&str> = list(&bom["components"])
        .iter()
        .map(|c| c["bom-ref"].as_str().unwrap())
        .collect();
    assert_eq!(refs.len(), dossier.components.len(), "each has its own");
    for component in list(&bom["components"]) {
        assert!(component["name"].as_str().is_some_and(|n| !n.is_empty()));
        let purl = component["purl"].as_str().unwrap();
        assert!(
            purl.starts_with("pkg:generic/") && !purl.contains([' ', '"', '<']),
            "{purl}"
        );
        assert!(!list(&component["evidence"]["occurrences"]).is_empty());
    }
    let vulnerabilities = list(&bom["vulnerabilities"]);
    let cves = dossier.findings().filter(|(_, i)| i.cve.is_some()).count();
    assert!(cves > 0 && vulnerabilities.len() == cves);
    for one in vulnerabilities {
        assert!(
            refs.contains(one["affects"][0]["ref"].as_str().unwrap()),
            "{one}"
        );
        let severity = one["ratings"][0]["severity"].as_str().unwrap();
        assert!(["critical", "high", "medium", "low", "info", "unknown"].contains(&severity));
    }
    let heartbleed = vulnerabilities
        .iter()
        .find(|v| v["id"] == "CVE-2014-0160")
        .unwrap();
    assert_eq!(heartbleed["properties"][0]["name"], "muster:exploited");
    assert_eq!(heartbleed["cwes"][0], 125);
}

/// [FS-3] SPDX 2.3: identifiers that the format allows, every component contained in the image.
#[test]
fn a_bill_of_materials_for_spdx_holds_together() {
    let dossier = dossier(&database(), NOW);
    let spdx = json(&dossier, Format::Spdx);
    assert_eq!(
        (&spdx["spdxVersion"], &spdx["dataLicense"]),
        (&"SPDX-2.3".into(), &"CC0-1.0".into())
    );
    let ids: BTreeSet<&str> = list(&spdx["packages"])
        .iter()
        .map(|p| p["SPDXID"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), dossier.components.len() + 1);
    for id in &ids {
        let rest = id.strip_prefix("SPDXRef-").unwrap();
        assert!(
            rest.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        );
    }
    let contained: BTreeSet<&str> = list(&spdx["relationships"])
        .iter()
        .filter(|r| r["relationshipType"] == "CONTAINS" && r["spdxElementId"] == "SPDXRef-image")
        .map(|r| r["relatedSpdxElement"].as_str().unwrap())
        .collect();
    assert_eq!(contained.len(), dossier.components.len());
    assert!(contained.is_subset(&ids));
}

/// [FS-3] SARIF 2.1.0: results name rules that are there, and have marks of their own.
#[test]
fn a_log_of_findings_holds_together() {
    let dossier = dossier(&database(), NOW);
    let log = json(&dossier, Format::Sarif);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = list(&run["tool"]["driver"]["rules"]);
    let mut marks = BTreeSet::new();
    for result in list(&run["results"]) {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            .as_str()
            .unwrap();
        assert!(uri.is_ascii() && !uri.contains([' ', '<', '"']), "{uri}");
        assert!(marks.insert(result["partialFingerprints"]["muster/v1"].as_str().unwrap()));
    }
    assert_eq!(marks.len(), dossier.findings().count());
}

/// [FS-3] A judgement is in every document that has a place for one, and what is not judged is said
/// to be open.
#[test]
fn judgements_are_told() {
    let mut dossier = dossier(&database(), NOW);
    let marks: Vec<String> = dossier
        .findings()
        .filter(|(_, info)| {
            info.cve
                .as_ref()
                .is_some_and(|c| c.cve_id == "CVE-2014-0160")
        })
        .map(|(group, info)| mark(group, info))
        .collect();
    let judgement = Judgement {
        status: Status::NotAffected,
        note: "heartbeats are <off>".into(),
        by: "li".into(),
        at: NOW,
    };
    dossier.judgements.insert(marks[0].clone(), judgement);
    let vex = json(&dossier, Format::Vex);
    assert_eq!(vex["@context"], "https://openvex.dev/ns/v0.2.0");
    let mut open = 0;
    for statement in list(&vex["statements"]) {
        assert!(
            statement["products"][0]["@id"]
                .as_str()
                .unwrap()
                .starts_with("pkg:generic/")
        );
        if statement["vulnerability"]["name"] == "CVE-2014-0160" {
            assert_eq!(statement["status"], "not_affected");
            assert_eq!(statement["impact_statement"], "heartbeats are <off>");
        } else {
            assert_eq!(statement["status"], "under_investigation");
            open += 1;
        }
    }
    assert!(open > 0);
    let bom = json(&dossier, Format::CycloneDx);
    let one = list(&bom["vulnerabilities"])
        .iter()
        .find(|v| v["id"] == "CVE-2014-0160")
        .unwrap();
    assert_eq!(one["analysis"]["state"], "not_affected");
    assert!(text(&dossier, Format::Html).contains("heartbeats are &lt;off&gt; (li)"));
    assert!(text(&dossier, Format::Sarif).contains("\"accepted\""));
    assert!(text(&dossier, Format::Csv).contains(",not_affected,"));
}

/// [FS-3] The same image and feeds give the same documents; a later scan differs in times and ids.
#[test]
fn documents_of_a_rescan_differ_in_times_and_ids_alone() {
    let database = database();
    let (first, again) = (dossier(&database, NOW), dossier(&database, NOW));
    let later = dossier(&database, NOW + 5000);
    for format in Format::ALL {
        assert_eq!(text(&first, format), text(&again, format), "{format:?}");
        let strip = |dossier: &Dossier| {
            let mut document = text(dossier, format);
            let bom = json(dossier, Format::CycloneDx);
            let id = bom["serialNumber"].as_str().unwrap().to_owned();
            for volatile in [
                id.as_str(),
                bom["metadata"]["timestamp"].as_str().unwrap(),
                &dossier.report.fw_basic_info.scan_start_time.to_string(),
            ] {
                document = document.replace(volatile, "");
            }
            document
        };
        assert_eq!(strip(&first), strip(&later), "{format:?}");
    }
    // What was kept as JSON is what it was.
    let kept: Dossier = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    for format in Format::ALL {
        assert_eq!(text(&first, format), text(&kept, format), "{format:?}");
    }
}
