use super::*;
use crate::identify::{Evidence, Method};

fn component(product: &str, version: &str) -> Component {
    let cpes = [("v", product)];
    let seen = Evidence::new("/bin/x", 0, "x");
    Component::new(product, Some(version), &cpes, Method::Banner, seen)
}

fn record(id: &str, product: &str, end: &str) -> String {
    format!(
        r#"{{"cve":{{"id":"{id}","descriptions":[{{"lang":"en","value":"of {product}"}}],"configurations":[{{"nodes":[{{"cpeMatch":[{{"vulnerable":true,"criteria":"cpe:2.3:a:v:{product}:*:*:*:*:*:*:*:*","versionEndExcluding":"{end}"}}]}}]}}]}}}}"#
    )
}

fn feed(records: &[String]) -> String {
    let records = records.join(",");
    format!(r#"{{"timestamp":"2026-11-01","vulnerabilities":[{records}]}}"#)
}

fn stored(name: &str, text: &str) -> Stored {
    let mut bytes = Vec::new();
    keep(name, text.as_bytes(), &mut bytes).unwrap();
    Stored::open(bytes).unwrap()
}

fn shelf(feeds: &[(&str, String)]) -> Shelf {
    let mut shelf = Shelf::default();
    for (name, text) in feeds {
        shelf.push(stored(name, text));
    }
    shelf
}

fn ids(shelf: &Shelf, product: &str, version: &str) -> Vec<String> {
    let components = [component(product, version)];
    let database = shelf.about(&components);
    let hits = database.matching(&components[0]);
    hits.iter().map(|hit| hit.advisory.id.to_string()).collect()
}

/// [FS-5] Kept feeds answer as a database in memory does, for what is asked, and say how many
/// vulnerabilities they know and of which day they are.
#[test]
fn kept_feeds_answer_as_the_database_does() {
    let nvd = feed(&[
        record("CVE-2026-1", "one", "2.0"),
        record("CVE-2026-2", "one", "1.0"),
        record("CVE-2026-3", "two", "9"),
    ]);
    let kev = r#"{"catalogVersion":"2026.11.02","vulnerabilities":[{"cveID":"CVE-2026-1","dateAdded":"d"}]}"#;
    let epss = "#model_version:v,score_date:2026-11-03\ncve,epss,percentile\nCVE-2026-1,0.75,0.9\n";
    let all = shelf(&[("nvd", nvd), ("kev", kev.into()), ("epss", epss.into())]);
    assert_eq!(ids(&all, "one", "0.5"), ["CVE-2026-1", "CVE-2026-2"]);
    assert_eq!(ids(&all, "one", "1.5"), ["CVE-2026-1"]);
    assert!(ids(&all, "three", "1").is_empty());
    let components = [component("one", "1.5")];
    let database = all.about(&components);
    assert_eq!(database.len(), 3);
    assert!(database.is_exploited("CVE-2026-1") && !database.is_exploited("CVE-2026-2"));
    assert_eq!(database.probability("CVE-2026-1"), Some(0.75));
    let dates: Vec<&str> = database.sources.iter().map(|s| s.date.as_str()).collect();
    assert_eq!(dates, ["2026-11-01", "2026.11.02", "2026-11-03"]);
    let of = all.get("CVE-2026-3");
    assert_eq!(&*of.get("CVE-2026-3").unwrap().description, "of two");
}

/// Of one CVE the later feed counts, for the products that it names; one that was withdrawn is gone,
/// and comes back with a later word.
#[test]
fn a_later_feed_counts() {
    let old = feed(&[
        record("CVE-2026-1", "one", "2.0"),
        record("CVE-2026-2", "one", "2.0"),
    ]);
    let new = feed(&[record("CVE-2026-1", "one", "1.0")]);
    let gone = feed(&[r#"{"cve":{"id":"CVE-2026-2","vulnStatus":"Rejected"}}"#.to_owned()]);
    let before = shelf(&[("a", old.clone())]);
    let both = shelf(&[("a", old.clone()), ("b", new)]);
    assert_eq!(ids(&both, "one", "1.5"), ["CVE-2026-2"]);
    assert_eq!(both.known(), 2);
    assert_ne!(before.stamp(), both.stamp());
    assert_eq!(before.stamp(), shelf(&[("a", old.clone())]).stamp());
    let without = shelf(&[("a", old.clone()), ("b", gone.clone())]);
    assert_eq!(ids(&without, "one", "1.5"), ["CVE-2026-1"]);
    assert_eq!(without.known(), 1);
    let again = shelf(&[("a", gone), ("b", old)]);
    assert_eq!(ids(&again, "one", "1.5"), ["CVE-2026-1", "CVE-2026-2"]);
}

/// A file of which anything is changed or missing is refused, or says what of it cannot be read.
#[test]
fn a_damaged_file_is_told() {
    let mut bytes = Vec::new();
    let text = feed(&[record("CVE-2026-1", "one", "2.0")]);
    keep("f", text.as_bytes(), &mut bytes).unwrap();
    for cut in 0..bytes.len() {
        assert!(Stored::open(bytes[..cut].to_vec()).is_err(), "{cut}");
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x55;
        let Ok(feed) = Stored::open(bad) else {
            continue;
        };
        let mut shelf = Shelf::default();
        shelf.push(feed);
        let components = [component("one", "1.0")];
        let database = shelf.about(&components);
        // The magic at the start is only for people; a record is guarded by its own checksum.
        let told = !database.faults.is_empty();
        assert_eq!(told, at >= MAGIC.len(), "byte {at}");
        assert_ne!(told, database.get("CVE-2026-1").is_some(), "byte {at}");
    }
}

/// A disk that takes no more ends the import with its error.
#[test]
fn a_full_disk_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let text = feed(&[record("CVE-2026-1", "one", "2.0")]);
    let mut whole = Vec::new();
    keep("f", text.as_bytes(), &mut whole).unwrap();
    for room in 0..whole.len() {
        let kept = keep("f", text.as_bytes(), Full(room));
        assert!(matches!(kept, Err(ImportFault::Io(_))), "{room}");
    }
}
