//! What distributions say of their own packages: Alpine's secdb (JSON, and YAML as it was once written)
//! and Debian's security tracker. An advisory names the release as vendor and the source package as
//! product, and its versions are the packages' own.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufRead},
};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::vulns::{Advisory, Bound, Criterion, Severity};

/// Bytes of a line of YAML at most.
const LINE: u64 = 64 << 10;

/// A package of Alpine with what each version of it repaired.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Alpine {
    pkg: AlpinePackage,
}

#[derive(Debug, Default, serde::Deserialize)]
struct AlpinePackage {
    name: String,
    #[serde(default)]
    secfixes: BTreeMap<String, Vec<String>>,
}

impl Alpine {
    /// Its advisories in `release`, such as `v3.11`. A version of 0 says that no package ever had it.
    pub(super) fn advisories(self, release: &str) -> Vec<Advisory> {
        let name = &self.pkg.name;
        let fixes = self.pkg.secfixes.iter();
        let each = fixes.flat_map(|(version, ids)| ids.iter().map(move |id| (version, id)));
        each.filter_map(|(version, id)| {
            // Some bear a note, or another number behind theirs.
            let mut words = id.split([' ', ',', '(', ')']);
            let id = words.find(|word| word.starts_with("CVE-"))?;
            Some(advisory(
                id,
                &format!("alpine:{release}"),
                name,
                Some(version),
            ))
        })
        .collect()
    }
}

/// That packages of `release` before `fixed` have `id`; without a version, all have.
fn advisory(id: &str, release: &str, package: &str, fixed: Option<&str>) -> Advisory {
    Advisory {
        id: id.into(),
        criteria: vec![Criterion {
            vendor: release.into(),
            product: package.into(),
            exact: None,
            from: None,
            to: fixed.map(|version| Bound {
                version: version.into(),
                including: false,
            }),
            conditional: false,
        }],
        ..Advisory::default()
    }
}

/// Reads Alpine's YAML: of its form there are only keys that end with a colon, and lists of texts.
pub(super) fn yaml(
    reader: &mut impl BufRead,
    mut each: impl FnMut(Advisory),
) -> io::Result<Option<String>> {
    let (mut release, mut package, mut version) = (None::<String>, None::<Alpine>, String::new());
    let mut text = String::new();
    loop {
        text.clear();
        if io::Read::take(&mut *reader, LINE).read_line(&mut text)? == 0 {
            break;
        }
        let line = text.trim_end();
        let depth = line.len() - line.trim_start().len();
        let line = line.trim().trim_matches('"');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(told) = line.strip_prefix("distroversion:").filter(|_| depth == 0) {
            release = Some(told.trim().to_owned());
        } else if line.strip_prefix("- ").unwrap_or(line) == "pkg:" {
            if let (Some(done), Some(release)) = (package.replace(Alpine::default()), &release) {
                done.advisories(release).into_iter().for_each(&mut each);
            }
            version.clear();
        } else if let Some(Alpine { pkg }) = &mut package {
            if let Some(name) = line.strip_prefix("name:") {
                name.trim().clone_into(&mut pkg.name);
            } else if let Some(id) = line.strip_prefix("- ") {
                let fixes = pkg.secfixes.entry(version.clone()).or_default();
                fixes.push(id.trim_matches(['"', '\'', ' ']).to_owned());
            } else if let Some(key) = line.strip_suffix(':') {
                key.trim_matches(['"', '\'']).clone_into(&mut version);
            }
        }
    }
    if let (Some(done), Some(release)) = (package, &release) {
        done.advisories(release).into_iter().for_each(&mut each);
    }
    Ok(release)
}

/// A package of Debian's tracker: under its name, each CVE with what it comes to in each release. What
/// is none is passed over.
pub(super) struct Debian<'a, F> {
    pub(super) package: &'a str,
    pub(super) each: F,
}

#[derive(serde::Deserialize)]
struct Tracked {
    #[serde(default)]
    description: String,
    releases: BTreeMap<String, Release>,
}

#[derive(serde::Deserialize)]
struct Release {
    status: String,
    fixed_version: Option<String>,
    #[serde(default)]
    urgency: String,
}

impl Tracked {
    fn advisory(self, id: &str, package: &str) -> Option<Advisory> {
        let mut all = Advisory {
            id: id.into(),
            description: self.description.into(),
            ..Advisory::default()
        };
        for (name, release) in self.releases {
            let fixed = match (release.status.as_str(), &release.fixed_version) {
                ("resolved", Some(version)) => Some(version.as_str()),
                // Without a version, nothing had to be repaired.
                ("resolved", None) => Some("0"),
                ("open", _) => None,
                // "undetermined": nobody knows.
                _ => continue,
            };
            all.word = all.word.or(match release.urgency.trim_end_matches('*') {
                "high" => Some(Severity::High),
                "medium" => Some(Severity::Medium),
                "low" => Some(Severity::Low),
                _ => None,
            });
            let one = advisory(id, &format!("debian:{name}"), package, fixed);
            all.criteria.extend(one.criteria);
        }
        (!all.criteria.is_empty()).then_some(all)
    }
}

impl<'de, F: FnMut(Advisory)> DeserializeSeed<'de> for Debian<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Advisory)> Visitor<'de> for Debian<'_, F> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(id) = map.next_key::<String>()? {
            if !id.starts_with("CVE-") {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let tracked: Tracked = map.next_value()?;
            tracked.advisory(&id, self.package).map(&mut self.each);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
