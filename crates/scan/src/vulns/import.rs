//! Reads feeds: NVD 2.0 pages and yearly files, NVD 1.1, CVE 5 records, OSV, KEV, EPSS, curl's table,
//! and what distributions say of their packages.
//!
//! Feeds are recognised by what they hold, gzip or not. Large ones are read record by record: an
//! import holds one record beside the database.

mod distro;
mod records;

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Advisory, Bound, Criterion, Database, Severity, Source};
use distro::{Alpine, Debian};
use records::{Cve5, Exploited, Nvd1, Nvd2, Osv};

/// Why a feed could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportFault {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is JSON that is not as it should be.
    #[error("not as a feed should be: {0}")]
    Json(#[from] serde_json::Error),
    /// Nothing of it is known.
    #[error("not a feed of a known kind")]
    Unknown,
}

/// What takes the records of a feed, one after the other.
pub trait Sink {
    /// A vulnerability.
    fn add(&mut self, advisory: Advisory);
    /// That one is being exploited, since that day.
    fn exploited(&mut self, id: &str, since: &str);
    /// How probable one's exploitation is.
    fn probable(&mut self, id: &str, probability: f32);
}

impl Sink for Database {
    fn add(&mut self, advisory: Advisory) {
        Database::add(self, advisory);
    }

    fn exploited(&mut self, id: &str, since: &str) {
        Database::exploited(self, id, since);
    }

    fn probable(&mut self, id: &str, probability: f32) {
        Database::probable(self, id, probability);
    }
}

impl Database {
    /// Adds the feed `reader`; how many records it brought.
    ///
    /// # Errors
    /// When it cannot be read to its end; what came before stays.
    pub fn import(&mut self, name: &str, reader: impl Read) -> Result<usize, ImportFault> {
        let source = import(self, name, reader)?;
        let records = source.records;
        self.sources.push(source);
        Ok(records)
    }
}

/// Gives the feed `reader` to `sink`; what it is and how many records it brought.
///
/// # Errors
/// When it cannot be read to its end; what came before was given.
pub fn import(sink: &mut impl Sink, name: &str, reader: impl Read) -> Result<Source, ImportFault> {
    let mut reader = BufReader::with_capacity(256 << 10, reader);
    if reader.fill_buf()?.starts_with(b"\x1f\x8b") {
        let reader = flate2::bufread::MultiGzDecoder::new(reader);
        return plain(sink, name, &mut BufReader::with_capacity(256 << 10, reader));
    }
    plain(sink, name, &mut reader)
}

fn plain(
    sink: &mut dyn Sink,
    name: &str,
    reader: &mut impl BufRead,
) -> Result<Source, ImportFault> {
    let start = reader.fill_buf()?;
    let first = start.iter().find(|b| !b.is_ascii_whitespace()).copied();
    let mut feed = Feed {
        sink,
        records: 0,
        date: String::new(),
        release: String::new(),
    };
    match first {
        Some(b'{' | b'[') => {
            let mut json = serde_json::Deserializer::from_reader(reader);
            // One document, or one after the other.
            loop {
                match feed.document(&mut json) {
                    Ok(()) => {}
                    Err(error) if error.is_eof() && feed.records > 0 && error.column() == 0 => {
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
                if json.end().is_ok() {
                    break;
                }
            }
        }
        Some(b'-') => feed.yaml(reader)?,
        Some(_) => feed.table(reader)?,
        None => return Err(ImportFault::Unknown),
    }
    if feed.records == 0 {
        return Err(ImportFault::Unknown);
    }
    Ok(Source {
        name: name.to_owned(),
        date: feed.date,
        records: feed.records,
    })
}

struct Feed<'a> {
    sink: &'a mut dyn Sink,
    records: usize,
    date: String,
    /// Of which distribution it is, when it says so.
    release: String,
}

impl Feed<'_> {
    fn document<'de, R>(&mut self, json: &mut serde_json::Deserializer<R>) -> serde_json::Result<()>
    where
        R: serde_json::de::Read<'de>,
    {
        json.deserialize_any(Document(self))
    }

    fn add(&mut self, advisory: Option<Advisory>) {
        if let Some(advisory) = advisory {
            self.sink.add(advisory);
        }
        // What was rejected was read all the same.
        self.records += 1;
    }

    /// Alpine's secdb as it was once written.
    fn yaml(&mut self, reader: &mut impl BufRead) -> Result<(), ImportFault> {
        let release = distro::yaml(reader, |advisory| self.add(Some(advisory)))?;
        self.date = release.ok_or(ImportFault::Unknown)?;
        Ok(())
    }

    /// EPSS, with comma or semicolon, and curl's table with tabs.
    fn table(&mut self, reader: &mut impl BufRead) -> Result<(), ImportFault> {
        let mut columns: Vec<String> = Vec::new();
        for line in reader.take(1 << 30).lines() {
            let line = line?;
            if let Some(comment) = line.strip_prefix('#') {
                if let Some((_, date)) = comment.split_once("score_date:") {
                    date.clone_into(&mut self.date);
                }
                continue;
            }
            let mark = ['\t', ',', ';'].into_iter().find(|m| line.contains(*m));
            let Some(mark) = mark else { continue };
            let cells: Vec<&str> = line.split(mark).collect();
            if cells.contains(&"cve") {
                columns = cells.iter().map(|c| (*c).to_owned()).collect();
                continue;
            }
            if mark == '\t' && columns.iter().any(|c| c == "last_affected") {
                let cell = |name: &str| {
                    let at = columns.iter().position(|c| c == name)?;
                    cells.get(at).copied()
                };
                self.add(curl(&cell));
            } else if let [id, probability, ..] = cells[..]
                && id.starts_with("CVE-")
                && let Ok(probability) = probability.parse()
            {
                self.sink.probable(id, probability);
                self.records += 1;
            } else {
                return Err(ImportFault::Unknown);
            }
        }
        Ok(())
    }
}

/// A row of curl's own table.
fn curl<'a>(cell: &dyn Fn(&str) -> Option<&'a str>) -> Option<Advisory> {
    let id = cell("cve").filter(|id| id.starts_with("CVE-"))?;
    let bound = |version: &str| {
        Some(Bound {
            version: version.into(),
            including: true,
        })
    };
    let products: &[&str] = match cell("tool_lib") {
        Some("lib") => &["libcurl"],
        Some("tool") => &["curl"],
        _ => &["curl", "libcurl"],
    };
    let cwe = cell("cwe").and_then(|c| c.split(':').next()).unwrap_or("");
    Some(Advisory {
        id: id.into(),
        cwe: cwe.into(),
        description: cell("name").unwrap_or("").into(),
        published: cell("announced").unwrap_or("").into(),
        score: None,
        word: cell("severity").and_then(Severity::of_word),
        criteria: products
            .iter()
            .map(|product| Criterion {
                vendor: "haxx".into(),
                product: (*product).into(),
                exact: None,
                from: cell("first_affected").and_then(bound),
                to: cell("last_affected").and_then(bound),
                conditional: false,
            })
            .collect(),
        references: Vec::new(),
        withdrawn: false,
    })
}

/// The outermost value of a feed.
struct Document<'a, 'b>(&'a mut Feed<'b>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a feed of vulnerabilities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Record(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let feed = self.0;
        // A document that is one record is small enough to be held.
        let mut single = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "distroversion" => {
                    feed.release = map.next_value()?;
                    feed.date.clone_from(&feed.release);
                }
                "vulnerabilities" | "CVE_Items" | "packages" => {
                    map.next_value_seed(Records(feed))?;
                }
                "timestamp" | "catalogVersion" | "CVE_data_timestamp" => {
                    feed.date = map.next_value()?;
                }
                "id" | "aliases" | "affected" | "severity" | "summary" | "details"
                | "published" | "withdrawn" | "containers" | "cveMetadata" | "cve"
                | "references" | "database_specific" | "impact" | "configurations"
                | "publishedDate" => {
                    single.insert(key, map.next_value()?);
                }
                package => map.next_value_seed(Debian {
                    package,
                    each: |advisory| feed.add(Some(advisory)),
                })?,
            }
        }
        if !single.is_empty() {
            take(feed, single.into()).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

/// The list of records in a feed.
struct Records<'a, 'b>(&'a mut Feed<'b>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Document(self.0))
    }
}

/// One record.
struct Record<'a, 'b>(&'a mut Feed<'b>);

impl<'de> DeserializeSeed<'de> for Record<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let value = serde::Deserialize::deserialize(deserializer)?;
        take(self.0, value).map_err(serde::de::Error::custom)
    }
}

/// Reads one record, whichever kind it is.
fn take(feed: &mut Feed<'_>, value: serde_json::Value) -> serde_json::Result<()> {
    let has = |key: &str| value.get(key).is_some();
    if has("cveID") {
        let record: Exploited = serde_json::from_value(value)?;
        feed.sink.exploited(&record.id, &record.since);
        feed.records += 1;
    } else if has("containers") {
        feed.add(serde_json::from_value::<Cve5>(value)?.advisory());
    } else if value.pointer("/cve/CVE_data_meta").is_some() {
        feed.add(serde_json::from_value::<Nvd1>(value)?.advisory());
    } else if has("cve") {
        feed.add(serde_json::from_value::<Nvd2>(value)?.advisory());
    } else if has("pkg") {
        let package: Alpine = serde_json::from_value(value)?;
        for advisory in package.advisories(&feed.release) {
            feed.add(Some(advisory));
        }
    } else if has("affected") && has("id") {
        feed.add(serde_json::from_value::<Osv>(value)?.advisory());
    }
    Ok(())
}
