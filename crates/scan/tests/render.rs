//! The documents made of a scan: their shape, that they say the same each time, and that nothing in
//! an image becomes more than text in them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

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
        yara: None,
    };
    let name = "image \"1\"<i>.tar";
    let found = scan(name, image().into(), &options, &|| false);
    Dossier::of(name, &found, options.level)
}

const NOW: i64 = 1_795_000_000_000;

fn text(dossier: &Dossier, format: Format) -> String {
    let bytes = render(dossier, format, Language::English).unwrap();
    String::from_utf8(bytes).unwrap()
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
            purl.starts_with("pkg:opkg/") && !purl.contains([' ', '"', '<']),
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
    let folder = tempfile::tempdir().unwrap();
    let made = |dossier: &Dossier, format| render(dossier, format, Language::English).unwrap();
    for format in Format::ALL {
        assert!(made(&first, format) == made(&again, format), "{format:?}");
        let strip = |dossier: &Dossier| {
            let mut document = match format {
                Format::Pdf => words_of(&made(dossier, format), folder.path()),
                _ => text(dossier, format),
            };
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
        if format == Format::Pdf {
            let sizes = [made(&first, format).len(), made(&later, format).len()];
            assert!(sizes[0].abs_diff(sizes[1]) < 200, "{sizes:?}");
        }
    }
    // What was kept as JSON is what it was.
    let kept: Dossier = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    for format in Format::ALL {
        assert!(made(&first, format) == made(&kept, format), "{format:?}");
    }
}

/// The words of a PDF in the order in which they are written, without the spaces between.
fn words_of(pdf: &[u8], folder: &Path) -> String {
    let path = folder.join("report.pdf");
    fs::write(&path, pdf).unwrap();
    let out = Command::new("pdftotext")
        .args(["-raw", "-enc", "UTF-8"])
        .args([path.as_os_str(), "-".as_ref()])
        .output()
        .expect("pdftotext is there: tools/setup clients");
    assert!(out.status.success(), "{out:?}");
    bare(&String::from_utf8(out.stdout).unwrap())
}

fn bare(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Every text between tags of a page that a reader of `tongue` sees, controls apart.
fn texts_of(page: &str, tongue: &str) -> Vec<String> {
    let body = &page[page.find("<main>").unwrap()..];
    let (mut texts, mut hidden, mut control) = (Vec::new(), false, false);
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        if let Some(rest) = tag.strip_prefix("span lang=\"") {
            hidden = !rest.starts_with(tongue);
        } else if tag == "/span" {
            hidden = false;
        }
        control = match tag {
            "label" | "thead" => true,
            "/label" | "/thead" => false,
            _ => control,
        };
        let text = ["&lt;<", "&gt;>", "&quot;\"", "&#39;'", "&amp;&"]
            .iter()
            .fold(text.to_owned(), |text, pair| {
                let (name, letter) = pair.split_at(pair.len() - 1);
                text.replace(name, letter)
            });
        if !hidden && !control {
            texts.push(bare(&text));
        }
    }
    texts.retain(|text| !text.is_empty() && text != "–");
    texts
}

/// [FS-3] The PDF says all that the page says, in the language that is asked for, as text, on a
/// number of pages that follows from the findings; its typeface is in it.
#[test]
fn a_pdf_says_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let dossier = dossier(&database(), NOW);
    let page = text(&dossier, Format::Html);
    for (language, tongue) in [(Language::Chinese, "zh-CN"), (Language::English, "en")] {
        let pdf = render(&dossier, Format::Pdf, language).unwrap();
        assert!(
            pdf.starts_with(b"%PDF-") && pdf.len() < 1 << 20,
            "{}",
            pdf.len()
        );
        let words = words_of(&pdf, folder.path());
        let texts = texts_of(&page, tongue);
        assert!(texts.len() > 3 * dossier.findings().count());
        for text in texts {
            assert!(
                words.contains(&text),
                "{tongue}: {text:?} is not in {words}"
            );
        }
        let path = folder.path().join("report.pdf");
        let told = |program: &str| {
            let out = Command::new(program).arg(&path).output().unwrap();
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        let about = told("pdfinfo");
        let pages = about
            .lines()
            .find_map(|l| l.strip_prefix("Pages:"))
            .unwrap();
        let pages: usize = pages.trim().parse().unwrap();
        assert!(pages <= 3 + dossier.findings().count() / 4, "{about}");
        assert!(about.contains("JavaScript:      no"), "{about}");
        for font in told("pdffonts").lines().skip(2) {
            assert!(
                font.contains(" yes yes yes "),
                "embedded, cut down, with its letters: {font}"
            );
        }
    }
}

/// [FS-3] Nothing of an image acts in a PDF: its only addresses are those of the NVD, and there is no
/// script, file, form or action that starts by itself.
#[test]
fn a_pdf_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut dossier = dossier(&database(), NOW);
    // What a feed may have named.
    let forged = dossier
        .report
        .risks
        .iter_mut()
        .flat_map(|group| &mut group.vuln_infos);
    let forged = forged.filter_map(|info| info.cve.as_mut()).next().unwrap();
    forged.cve_id = "CVE-1) /S /JavaScript /JS (app.alert(1)".into();
    let pdf = render(&dossier, Format::Pdf, Language::English).unwrap();
    let path = folder.path().join("a.pdf");
    fs::write(&path, &pdf).unwrap();
    let plain = folder.path().join("plain.pdf");
    let out = Command::new("qpdf")
        .args(["--qdf", "--object-streams=disable"])
        .args([&path, &plain])
        .output()
        .expect("qpdf is there: tools/setup clients");
    assert!(out.status.success(), "{out:?}");
    let text = String::from_utf8_lossy(&fs::read(&plain).unwrap()).into_owned();
    let mut links = 0;
    for line in text.lines().filter(|line| line.contains("/URI (")) {
        assert!(
            line.contains("/URI (https://nvd.nist.gov/vuln/detail/CVE-"),
            "{line}"
        );
        assert!(!line.contains("JavaScript"), "{line}");
        links += 1;
    }
    assert!(links > 10, "{links}");
    for bad in [
        "/JavaScript",
        "/JS",
        "/Launch",
        "/OpenAction",
        "/AA",
        "/EmbeddedFile",
        "/AcroForm",
        "/RichMedia",
    ] {
        let found = text.lines().any(|line| line.trim_start().starts_with(bad));
        assert!(!found, "{bad}");
    }
}

/// [FS-3] Letters of every kind are told; a name of a megabyte makes a document of some pages.
#[test]
fn a_pdf_bears_any_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut dossier = dossier(&Database::default(), NOW);
    let info = &mut dossier.report.risks[0].vuln_infos[0];
    info.filename = "𠜎한국어/עברית\u{202e}\u{0}😀/摄像头/Привет".into();
    dossier.name = "x".repeat(100_000);
    dossier
        .faults
        .push(("y z/".repeat(20_000), "\r\n\t".into()));
    let pdf = render(&dossier, Format::Pdf, Language::Chinese).unwrap();
    let words = words_of(&pdf, folder.path());
    for part in [
        "\\u{2070e}\\u{d55c}",
        "\\u{202e}\\u{0}\\u{1f600}/摄像头/Привет",
    ] {
        assert!(words.contains(part), "{part}");
    }
    assert!(words.matches("yz/").count() >= 20_000);
    assert!(pdf.len() < 4 << 20, "{}", pdf.len());
}
