//! The sample data is imported, and components meet the advisories that concern them.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::{fs::File, io::Cursor, path::PathBuf, sync::LazyLock};

use scan::{
    Limits,
    identify::{Component, Confidence},
    unpack,
    vulns::{
        Database, Known, Severity, fixed,
        stored::{Shelf, Stored, keep},
    },
};

fn data(name: &str) -> File {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vulns");
    File::open(folder.join(name)).unwrap()
}

/// Everything, imported once for all tests that only ask.
static ALL: LazyLock<Database> = LazyLock::new(all);

fn all() -> Database {
    let mut database = Database::default();
    for name in [
        "nvd20-firmware-subset.json.gz",
        "nvd20-api-page.json.gz",
        "nvd11-firmware-subset.json.gz",
        "cve5-firmware-subset.ndjson.gz",
        "nvd-overrides-subset.ndjson.gz",
        "openssl-cna.ndjson.gz",
        "curl-vulns.tsv.gz",
        "kev.json.gz",
        "epss-subset.csv.gz",
    ] {
        let records = database.import(name, data(name)).unwrap();
        assert!(records > 0);
    }
    database
}

/// [FS-5] Kept, the sample feeds answer for real components as they do in memory.
#[test]
fn kept_samples_answer_alike() {
    let mut shelf = Shelf::default();
    for source in &ALL.sources {
        let mut kept = Vec::new();
        keep(&source.name, data(&source.name), &mut kept).unwrap();
        shelf.push(Stored::open(kept).unwrap());
    }
    assert_eq!(shelf.sources(), ALL.sources);
    assert_eq!(shelf.known(), ALL.len());
    for (package, version) in [
        ("openssl", "1.0.2k"),
        ("busybox", "1.24.1"),
        ("dnsmasq", "2.75"),
        ("curl", "7.50.0"),
        ("nginx", "1.10.0"),
        ("kernel", "4.4.60"),
    ] {
        let component = component(package, version);
        let about = shelf.about(std::slice::from_ref(&component));
        let (kept, whole) = (about.matching(&component), ALL.matching(&component));
        assert_eq!(kept.len(), whole.len(), "{package}");
        for (kept, whole) in kept.iter().zip(&whole) {
            assert_eq!(kept.advisory, whole.advisory, "{package}");
            let id = &kept.advisory.id;
            assert_eq!(about.is_exploited(id), ALL.is_exploited(id));
            assert_eq!(about.probability(id), ALL.probability(id));
        }
        assert_eq!(about.faults, []);
    }
}

/// A component as it comes out of a package database.
fn component(package: &str, version: &str) -> Component {
    let status =
        format!("Package: {package}\nVersion: {version}\nStatus: install ok installed\n\n");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(status.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "usr/lib/opkg/status", status.as_bytes())
        .unwrap();
    let image = unpack(
        "i",
        tar.into_inner().unwrap().into(),
        &Limits::default(),
        &|| false,
    );
    scan::identify(&image).pop().unwrap()
}

fn ids(database: &Database, package: &str, version: &str) -> Vec<String> {
    database
        .matching(&component(package, version))
        .iter()
        .map(|h| h.advisory.id.to_string())
        .collect()
}

#[test]
fn the_sample_feeds_are_read_whole() {
    let mut database = Database::default();
    let count = |database: &mut Database, name| database.import(name, data(name)).unwrap();
    assert_eq!(count(&mut database, "nvd20-firmware-subset.json.gz"), 1513);
    assert_eq!(count(&mut database, "nvd11-firmware-subset.json.gz"), 119);
    assert_eq!(count(&mut database, "cve5-firmware-subset.ndjson.gz"), 195);
    assert_eq!(count(&mut database, "openssl-cna.ndjson.gz"), 272);
    assert_eq!(count(&mut database, "nvd-overrides-subset.ndjson.gz"), 905);
    assert_eq!(count(&mut database, "kev.json.gz"), 1404);
    assert_eq!(count(&mut database, "epss-subset.csv.gz"), 1510);
    assert_eq!(database.sources.len(), 7);
    assert_eq!(database.sources[5].date, "2025.08.25");
}

/// Importing twice changes nothing.
#[test]
fn an_import_may_be_repeated() {
    let mut database = all();
    let (before, ids_before) = (database.len(), ids(&database, "openssl", "1.0.2k"));
    database
        .import("again", data("nvd20-firmware-subset.json.gz"))
        .unwrap();
    database
        .import("again", data("openssl-cna.ndjson.gz"))
        .unwrap();
    assert_eq!(database.len(), before);
    assert_eq!(ids(&database, "openssl", "1.0.2k"), ids_before);
}

#[test]
fn well_known_vulnerabilities_meet_their_versions() {
    let database = &*ALL;
    let has = |package: &str, version: &str, id: &str| {
        ids(database, package, version).iter().any(|i| i == id)
    };
    // Heartbleed: 1.0.1 up to 1.0.1f.
    assert!(has("openssl", "1.0.1f", "CVE-2014-0160"));
    assert!(!has("openssl", "1.0.1g", "CVE-2014-0160"));
    assert!(!has("openssl", "1.0.0t", "CVE-2014-0160"));
    // Letters beyond z.
    assert!(has("openssl", "1.0.2n", "CVE-2018-0739"));
    assert!(!has("openssl", "1.0.2zd", "CVE-2018-0739"));
    // libupnp's SSDP overflow.
    assert!(
        has("libupnp", "1.6.17", "CVE-2012-5958") && !has("libupnp", "1.6.18", "CVE-2012-5958")
    );
    // The same CVE under two vendors counts once.
    let nginx = ids(database, "nginx", "1.10.0");
    let mut once = nginx.clone();
    once.dedup();
    assert!(!nginx.is_empty() && nginx == once);
}

#[test]
fn severities_follow_the_scores() {
    let database = &*ALL;
    let heartbleed = database.get("CVE-2014-0160").unwrap();
    assert_eq!(heartbleed.severity(true), Severity::High);
    assert!(database.is_exploited("CVE-2014-0160"));
    let upnp = database.get("CVE-2012-5958").unwrap();
    // 10.0 of the old standard: critical only where it is exploited.
    assert_eq!(upnp.severity(false), Severity::High);
    assert_eq!(upnp.severity(true), Severity::Critical);
}

/// [FS-5] The repair of everything is never below the repair of the worst.
#[test]
fn repairs_lead_out_of_every_range() {
    let database = &*ALL;
    for (package, version) in [
        ("openssl", "1.0.2k"),
        ("busybox", "1.24.1"),
        ("dropbear", "2017.75"),
        ("dnsmasq", "2.75"),
        ("curl", "7.50.0"),
        ("nginx", "1.10.0"),
    ] {
        let component = component(package, version);
        let hits = database.matching(&component);
        assert!(!hits.is_empty(), "{package} {version}");
        let criteria: Vec<_> = hits
            .iter()
            .flat_map(|h| h.advisory.criteria.iter())
            .filter(|c| {
                component
                    .cpes
                    .iter()
                    .any(|(v, p)| **v == *c.vendor && **p == *c.product)
            })
            .collect();
        let all = fixed(version, &criteria);
        println!("{package} {version}: {} hits, {all:?}", hits.len());
        if all.expression == ">=" {
            assert!(criteria.iter().all(|c| !c.holds(&all.version)), "{package}");
        }
    }
}

/// A backport cannot be seen in the version; the doubt is said.
#[test]
fn a_distributions_revision_raises_doubt() {
    let database = &*ALL;
    let hits_of = |version: &str| {
        let component = component("dropbear", version);
        database
            .matching(&component)
            .iter()
            .map(|h| h.maybe_repaired)
            .collect::<Vec<_>>()
    };
    assert!(hits_of("2017.75").iter().all(|m| !m));
    assert!(hits_of("2017.75-9.1").iter().all(|m| *m));
}

/// Commits order by no rule of versions, whether a record says that they are commits or not; and a
/// description is one line.
#[test]
fn commits_are_no_versions() {
    let record = |kind: &str, text: &str| {
        format!(
            r#"{{"dataType":"CVE_RECORD","cveMetadata":{{"cveId":"CVE-2099-7"}},"containers":{{"cna":{{"descriptions":[{{"lang":"en","value":"{text}"}}],
            "affected":[{{"vendor":"linux","product":"linux_kernel","versions":[
            {{"status":"affected","version":"1da177e4c3f4","lessThan":"876673364161","versionType":"{kind}"}},
            {{"status":"affected","version":"5.4","lessThan":"5.10","versionType":"custom"}}]}}]}}}}}}"#
        )
    };
    for kind in ["git", "custom"] {
        let mut database = Database::default();
        let feed = record(kind, r"a log:\n\tline");
        assert_eq!(database.import("cve5", Cursor::new(feed)).unwrap(), 1);
        let told = database.get("CVE-2099-7").unwrap();
        assert_eq!(&*told.description, "a log: line");
        assert_eq!(told.criteria.len(), 1, "{kind}");
        let end = told.criteria[0].to.as_ref().unwrap();
        assert_eq!(&*end.version, "5.10");
    }
    // Neither may the NVD take them over.
    let record = |end: &str| {
        format!(
            r#"{{"vulnerabilities":[{{"cve":{{"id":"CVE-2099-8","configurations":[{{"nodes":[{{"operator":"OR","cpeMatch":[{{"vulnerable":true,"criteria":"cpe:2.3:o:linux:linux_kernel:*:*:*:*:*:*:*:*","versionEndExcluding":"{end}"}}]}}]}}]}}}}]}}"#
        )
    };
    for (end, criteria) in [("6.1.5", 1), ("876673364161", 0)] {
        let mut database = Database::default();
        database.import("nvd", Cursor::new(record(end))).unwrap();
        assert_eq!(database.get("CVE-2099-8").unwrap().criteria.len(), criteria);
    }
}

#[test]
fn osv_and_rubbish() {
    let mut database = Database::default();
    let osv = r#"{"id":"X-1","aliases":["CVE-2099-1"],"affected":[{"package":{"ecosystem":"OSS-Fuzz","name":"strange"},
        "ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2"},{"introduced":"2.0"},{"last_affected":"2.3"}]}]}]}"#;
    assert_eq!(database.import("osv", Cursor::new(osv)).unwrap(), 1);
    for (version, hit) in [("1.1", true), ("1.2", false), ("2.3", true), ("2.4", false)] {
        assert_eq!(
            !ids(&database, "strange", version).is_empty(),
            hit,
            "{version}"
        );
    }
    assert_eq!(
        database.matching(&component("strange", "1.1"))[0].confidence,
        Confidence::High
    );
    // A package of a language, and one of a distribution, by their ecosystems; and how bad it is, by
    // vector or by word.
    let of = |ecosystem: &str, name: &str, more: &str| {
        format!(
            r#"{{"id":"GHSA-1","aliases":["CVE-2099-2"],"affected":[{{"package":{{"ecosystem":"{ecosystem}","name":"{name}"}},
            "ranges":[{{"type":"ECOSYSTEM","events":[{{"introduced":"0"}},{{"fixed":"1.2-r3"}}]}}]}}]{more}}}"#
        )
    };
    for (ecosystem, name, vendor, product) in [
        ("PyPI", "Strange.Thing", "pypi", "strange-thing"),
        ("npm", "@a/strange", "npm", "@a/strange"),
        ("Go", "example.com/Strange", "go", "example.com/Strange"),
        ("Maven", "org.X:strange", "maven", "org.X:strange"),
        ("crates.io", "strange", "crates.io", "strange"),
        ("Alpine:v3.19", "strange", "alpine:v3.19", "strange"),
        ("Debian:12", "strange", "debian:bookworm", "strange"),
        ("Linux", "Kernel", "linux", "linux_kernel"),
    ] {
        let mut database = Database::default();
        database
            .import("osv", Cursor::new(of(ecosystem, name, "")))
            .unwrap();
        let told = database.get("CVE-2099-2").unwrap();
        let names = (&*told.criteria[0].vendor, &*told.criteria[0].product);
        assert_eq!(names, (vendor, product));
    }
    for (more, severity) in [
        (
            r#","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]"#,
            Severity::Critical,
        ),
        (
            r#","severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}]"#,
            Severity::Medium,
        ),
        (
            r#","severity":[{"type":"CVSS_V3","score":"rubbish"}],"database_specific":{"severity":"MODERATE"}"#,
            Severity::Medium,
        ),
        ("", Severity::Notice),
    ] {
        let mut database = Database::default();
        database
            .import("osv", Cursor::new(of("npm", "a", more)))
            .unwrap();
        assert_eq!(
            database.get("CVE-2099-2").unwrap().severity(false),
            severity,
            "{more}"
        );
    }
    for rubbish in [
        "",
        "   ",
        "{",
        "[]",
        "{}",
        "{\"vulnerabilities\": 3}",
        "a,b\n1,2\n",
        "\x1f\u{8b}",
        "---\nx: 1\n",
    ] {
        assert!(
            database.import("r", Cursor::new(rubbish)).is_err(),
            "{rubbish:?}"
        );
    }
}

/// A large feed is read record by record.
#[test]
fn generated_records_stream_through() {
    let mut page = String::from(r#"{"timestamp":"2026-01-01","vulnerabilities":["#);
    for n in 0..20_000 {
        if n > 0 {
            page.push(',');
        }
        page.push_str(&format!(
            r#"{{"cve":{{"id":"CVE-2030-{n}","descriptions":[{{"lang":"en","value":"generated"}}],"configurations":[{{"nodes":[{{"operator":"OR","cpeMatch":[{{"vulnerable":true,"criteria":"cpe:2.3:a:v{}:p{}:*:*:*:*:*:*:*:*","versionEndExcluding":"{}.0"}}]}}]}}]}}}}"#,
            n % 97, n % 1009, n % 13
        ));
    }
    page.push_str("]}");
    let mut database = Database::default();
    assert_eq!(
        database.import("generated", Cursor::new(&page)).unwrap(),
        20_000
    );
    assert_eq!(database.len(), 20_000);

    // Kept, it is smaller even where records are tiny, and a question reads what it is about.
    let mut kept = Vec::new();
    let source = keep("generated", Cursor::new(&page), &mut kept).unwrap();
    assert_eq!(
        (source.records, source.date.as_str()),
        (20_000, "2026-01-01")
    );
    assert!(kept.len() < page.len());
    let mut shelf = Shelf::default();
    shelf.push(Stored::open(kept).unwrap());
    assert_eq!(shelf.known(), 20_000);
    let mut component = component("p5", "0.1");
    component.cpes = vec![("v5".into(), "p5".into())];
    let hits = |database: &Database| -> Vec<String> {
        let hits = database.matching(&component);
        hits.iter().map(|hit| hit.advisory.id.to_string()).collect()
    };
    let about = shelf.about(std::slice::from_ref(&component));
    assert!(!hits(&about).is_empty());
    assert_eq!(hits(&about), hits(&database));
}

/// An image of a distribution with one package, and what is known of it with a feed.
fn of_distribution(system: &str, database: &str, record: &str, feeds: &[&str]) -> Vec<String> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in [("etc/os-release", system), (database, record)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let bytes = tar.into_inner().unwrap();
    let image = unpack("i", bytes.into(), &Limits::default(), &|| false);
    let mut known = Database::default();
    for (n, feed) in feeds.iter().enumerate() {
        known.import(&n.to_string(), Cursor::new(feed)).unwrap();
    }
    let found = scan::identify(&image);
    let hits = found.iter().flat_map(|component| known.matching(component));
    hits.map(|hit| {
        format!(
            "{} {:?} {}",
            hit.advisory.id, hit.confidence, hit.maybe_repaired
        )
    })
    .collect()
}

/// What the NVD says of OpenSSL before 1.1.1z.
const NVD: &str = r#"{"vulnerabilities":[
  {"cve":{"id":"CVE-2020-1967","configurations":[{"nodes":[{"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*","versionEndExcluding":"1.1.1z"}]}]}]}},
  {"cve":{"id":"CVE-2019-1551","configurations":[{"nodes":[{"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*","versionEndExcluding":"1.1.1z"}]}]}]}},
  {"cve":{"id":"CVE-2021-3449","configurations":[{"nodes":[{"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*","versionEndExcluding":"1.1.1z"}]}]}]}}]}"#;

/// Alpine's own word counts by apk's order: what a revision repaired is repaired, whatever upstream's
/// version says; what Alpine does not speak of stays in doubt.
#[test]
fn alpine_says_what_its_packages_repaired() {
    let yaml = "---\ndistroversion: v3.11\nreponame: main\npackages:\n  - pkg:\n      name: openssl\n      secfixes:\n        1.1.1d-r3:\n          - CVE-2020-1967\n        \"1.1.1d-r2\":\n          - CVE-2019-1551 (+ more)\n        0:\n          - CVE-2020-0000\n";
    let json = r#"{"distroversion":"v3.11","packages":[{"pkg":{"name":"openssl","secfixes":{"1.1.1d-r3":["CVE-2020-1967"],"1.1.1d-r2":["CVE-2019-1551"],"0":["CVE-2020-0000"]}}}]}"#;
    for feed in [yaml, json] {
        for feeds in [[NVD, feed], [feed, NVD]] {
            let known = |version: &str, system: &str| {
                let record = format!("P:libssl1.1\nV:{version}\no:openssl\n\n");
                of_distribution(system, "lib/apk/db/installed", &record, &feeds)
            };
            let system = "ID=alpine\nVERSION_ID=3.11.6\n";
            let doubt = "CVE-2021-3449 High true";
            assert_eq!(
                known("1.1.1d-r2", system),
                ["CVE-2020-1967 High false", doubt]
            );
            assert_eq!(known("1.1.1d-r10", system), [doubt]);
            assert_eq!(known("1.1.1d-r0", system).len(), 3);
            // Another release is another distribution; its packages are judged by upstream's version.
            assert_eq!(
                known("1.1.1d-r10", "ID=alpine\nVERSION_ID=3.12.0\n").len(),
                3
            );
            assert_eq!(known("1.1.1d-r10", "").len(), 3);
        }
    }
}

/// Debian's tracker, by dpkg's order: resolved, open, and never there.
#[test]
fn debian_says_what_its_packages_repaired() {
    let tracker = r#"{"openssl":{
      "CVE-2020-1967":{"description":"one","releases":{"bookworm":{"status":"resolved","fixed_version":"1.1.1n-0+deb12u2","urgency":"high"},"buster":{"status":"open","urgency":"low"}}},
      "CVE-2019-1551":{"releases":{"bookworm":{"status":"resolved","fixed_version":"0","urgency":"unimportant"}}},
      "CVE-2021-3449":{"releases":{"bookworm":{"status":"open","urgency":"medium**"}}},
      "TEMP-0-1":{"releases":{}}},
     "other":{"CVE-2000-1":{"releases":{"bookworm":{"status":"undetermined","urgency":"x"}}}}}"#;
    let known = |version: &str| {
        let record = format!(
            "Package: libssl1.1\nSource: openssl (1.1.1n)\nVersion: {version}\nStatus: install ok installed\n\n"
        );
        let system = "ID=debian\nVERSION_ID=\"12\"\n";
        of_distribution(system, "var/lib/dpkg/status", &record, &[NVD, tracker])
    };
    let open = "CVE-2021-3449 High false";
    assert_eq!(
        known("1.1.1n-0+deb12u1"),
        ["CVE-2020-1967 High false", open]
    );
    assert_eq!(known("1.1.1n-0+deb12u2"), [open]);
    assert_eq!(known("1.1.1n-0+deb12u10"), [open]);
    let mut database = Database::default();
    let told = database.import("tracker", Cursor::new(tracker)).unwrap();
    assert_eq!(told, 3);
    let words = ["CVE-2020-1967", "CVE-2021-3449"].map(|id| database.get(id).unwrap().word);
    assert_eq!(words, [Some(Severity::High), Some(Severity::Medium)]);
}

/// Every feed of the sample data that lies beside the repository (`MUSTER_SHARED`, or the nearest
/// folder `shared` on the way up), with how many records it has and the date that it bears.
#[test]
fn every_sample_feed_is_imported() {
    let folder = std::env::var_os("MUSTER_SHARED").map(PathBuf::from);
    let folder = folder.or_else(|| {
        let up = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        up.ancestors()
            .map(|folder| folder.join("shared"))
            .find(|folder| folder.join("data/vulns").is_dir())
    });
    let folder = folder.expect("data/vulns of a folder `shared`; set MUSTER_SHARED to that folder");
    let feeds = [
        ("alpine-secdb-v3.10-main.yaml.gz", 1169, "v3.10"),
        ("alpine-secdb-v3.11-main.yaml.gz", 1191, "v3.11"),
        ("curl-vulns.tsv.gz", 206, ""),
        ("cve5-firmware-subset.ndjson.gz", 195, ""),
        ("epss-subset.csv.gz", 1510, ""),
        ("kev.json.gz", 1404, "2025.08.25"),
        ("nvd-overrides-subset.ndjson.gz", 905, ""),
        ("nvd11-firmware-subset.json.gz", 119, ""),
        ("nvd20-api-page.json.gz", 38, "2023-10-18T18:04:18.493"),
        (
            "nvd20-firmware-subset.json.gz",
            1513,
            "2026-11-22T00:00:00.000",
        ),
        ("openssl-cna.ndjson.gz", 272, ""),
    ];
    let mut database = Database::default();
    for (name, records, date) in feeds {
        let file = File::open(folder.join("data/vulns").join(name)).unwrap();
        assert_eq!(database.import(name, file).unwrap(), records, "{name}");
        assert_eq!(database.sources.last().unwrap().date, date, "{name}");
    }
    // What lies there beside feeds tells where records come from, and is none.
    let there = std::fs::read_dir(folder.join("data/vulns")).unwrap();
    let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut others: Vec<String> = there.collect();
    others.retain(|name| !feeds.iter().any(|(feed, ..)| feed == name));
    others.sort();
    assert_eq!(
        others,
        ["README.md", "nvd20-firmware-subset.provenance.tsv.gz"]
    );
    let fixed = database.get("CVE-2019-14904").unwrap();
    let alpine = |c: &&scan::vulns::Criterion| &*c.vendor == "alpine:v3.11";
    let told = fixed.criteria.iter().find(alpine).unwrap();
    assert_eq!(&*told.to.as_ref().unwrap().version, "2.9.3-r0");
}
