//! Known vulnerabilities: what was imported, which of them a component has, and what repairs them.
//!
//! [`import`] reads the feeds; [`stored`] is how they are kept; [`Database::matching`] answers for
//! one component; [`fixed`] computes the versions to go to. Nothing here needs a network.

pub mod cpe;
pub mod fixed;
pub mod import;
pub mod severity;
pub mod stored;

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use serde::{Deserialize, Serialize};

pub use fixed::{FixedVersion, fixed};
pub use severity::{Score, Severity};

use crate::{
    identify::{Component, Confidence},
    version::{compare, packaged::Manager},
};

/// One end of a range of versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The version.
    pub version: Box<str>,
    /// Whether it belongs to the range.
    pub including: bool,
}

/// Versions of one product that an advisory names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// Vendor of the CPE name.
    pub vendor: Box<str>,
    /// Product of the CPE name.
    pub product: Box<str>,
    /// Exactly this version; with none, the range counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Box<str>>,
    /// The lower end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Bound>,
    /// The upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Bound>,
    /// Whether something else, such as a platform, must be there too, which an image cannot show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditional: bool,
}

impl Criterion {
    /// Whether `version` is among those named.
    #[must_use]
    pub fn holds(&self, version: &str) -> bool {
        if let Some(exact) = &self.exact {
            return compare(version, exact) == Ordering::Equal || is_update_of(version, exact);
        }
        let above = self
            .from
            .as_ref()
            .is_none_or(|from| match compare(version, &from.version) {
                Ordering::Greater => true,
                Ordering::Equal => from.including,
                Ordering::Less => false,
            });
        let below = self
            .to
            .as_ref()
            .is_none_or(|to| match compare(version, &to.version) {
                Ordering::Less => true,
                Ordering::Equal => to.including,
                Ordering::Greater => false,
            });
        above && below
    }
}

/// 8.5p1 is an update of 8.5, which a CPE name without update means too.
fn is_update_of(version: &str, base: &str) -> bool {
    version.strip_prefix(base).is_some_and(|rest| {
        rest.strip_prefix('p')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Where to read more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Address.
    pub url: Box<str>,
    /// Who named it.
    pub source: Box<str>,
    /// What it is: patch, advisory, exploit.
    pub kind: Box<str>,
}

/// One vulnerability.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Advisory {
    /// `CVE-…`.
    pub id: Box<str>,
    /// CWE numbers, comma between.
    pub cwe: Box<str>,
    /// What it is about, in English.
    pub description: Box<str>,
    /// Day of publication as the feed writes it.
    pub published: Box<str>,
    /// How bad it is by CVSS.
    pub score: Option<Score>,
    /// How bad its vendor calls it, where there is no score.
    pub word: Option<Severity>,
    /// What it concerns.
    pub criteria: Vec<Criterion>,
    /// Where to read more.
    pub references: Vec<Reference>,
    /// Whether its number was taken back: it is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

impl Advisory {
    /// That the number `id` was taken back.
    #[must_use]
    pub fn withdrawn(id: &str) -> Advisory {
        Advisory {
            id: id.into(),
            withdrawn: true,
            ..Advisory::default()
        }
    }

    /// Its severity, with what is known of its exploitation.
    #[must_use]
    pub fn severity(&self, exploited: bool) -> Severity {
        match &self.score {
            Some(score) => score.severity(exploited),
            None => self.word.unwrap_or(Severity::Notice),
        }
    }
}

/// A feed that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name.
    pub name: String,
    /// The date that it bears.
    pub date: String,
    /// How many records it brought.
    pub records: usize,
}

/// Where vulnerabilities are known: a database in memory, or kept feeds.
pub trait Known {
    /// What is known of the products of these components.
    fn about(&self, components: &[Component]) -> Cow<'_, Database>;
}

impl Known for Database {
    fn about(&self, _components: &[Component]) -> Cow<'_, Database> {
        Cow::Borrowed(self)
    }
}

/// All that is known of vulnerabilities, or all that concerns somebody.
#[derive(Debug, Clone, Default)]
pub struct Database {
    advisories: Vec<Advisory>,
    by_id: HashMap<Box<str>, u32>,
    by_product: HashMap<Box<str>, Vec<u32>>,
    /// CVEs that are exploited, with the day since when.
    exploited: HashMap<Box<str>, Box<str>>,
    /// Probability of exploitation within thirty days.
    probability: HashMap<Box<str>, f32>,
    /// How many are known where this is only what concerns somebody.
    known: Option<usize>,
    /// Where it all comes from.
    pub sources: Vec<Source>,
    /// Feeds of which something could not be read, and why.
    pub faults: Vec<(String, String)>,
}

/// A vulnerability that a component has.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// The vulnerability.
    pub advisory: &'a Advisory,
    /// What of it names the component's version.
    pub criterion: &'a Criterion,
    /// How sure.
    pub confidence: Confidence,
    /// Whether a distribution may have repaired it without a new version.
    pub maybe_repaired: bool,
}

impl Database {
    /// Adds what one feed says; what is there already of the same CVE is completed.
    pub fn add(&mut self, mut advisory: Advisory) {
        let Some(&known) = self.by_id.get(&advisory.id) else {
            if advisory.withdrawn {
                return;
            }
            let index = self.advisories.len() as u32;
            self.by_id.insert(advisory.id.clone(), index);
            self.list(&advisory, index);
            advisory.criteria.shrink_to_fit();
            self.advisories.push(advisory);
            return;
        };
        self.list(&advisory, known);
        let there = &mut self.advisories[known as usize];
        if advisory.withdrawn {
            *there = advisory;
            return;
        }
        there.withdrawn = false;
        // Whoever speaks of a product last replaces what was said of it before; a newer feed, or the
        // vendor after the NVD.
        let names = |c: &Criterion| (c.vendor.clone(), c.product.clone());
        let told: Vec<_> = advisory.criteria.iter().map(names).collect();
        there.criteria.retain(|c| !told.contains(&names(c)));
        there.criteria.append(&mut advisory.criteria);
        there.score = advisory.score.or(there.score.take());
        there.word = advisory.word.or(there.word);
        for (old, new) in [
            (&mut there.description, advisory.description),
            (&mut there.cwe, advisory.cwe),
            (&mut there.published, advisory.published),
        ] {
            if !new.is_empty() {
                *old = new;
            }
        }
        if there.references.is_empty() {
            there.references = advisory.references;
        }
    }

    fn list(&mut self, advisory: &Advisory, index: u32) {
        for criterion in &advisory.criteria {
            let key = key(&criterion.vendor, &criterion.product);
            let list = self.by_product.entry(key.into()).or_default();
            if !list.contains(&index) {
                list.push(index);
            }
        }
    }

    /// Notes that a CVE is exploited.
    pub fn exploited(&mut self, id: &str, since: &str) {
        self.exploited.insert(id.into(), since.into());
    }

    /// Notes how probable a CVE's exploitation is.
    pub fn probable(&mut self, id: &str, probability: f32) {
        self.probability.insert(id.into(), probability);
    }

    /// Whether a CVE is known to be exploited.
    #[must_use]
    pub fn is_exploited(&self, id: &str) -> bool {
        self.exploited.contains_key(id)
    }

    /// Probability of a CVE's exploitation within thirty days (EPSS).
    #[must_use]
    pub fn probability(&self, id: &str) -> Option<f32> {
        self.probability.get(id).copied()
    }

    /// How many vulnerabilities are known.
    #[must_use]
    pub fn len(&self) -> usize {
        let here = || self.advisories.iter().filter(|a| !a.withdrawn).count();
        self.known.unwrap_or_else(here)
    }

    /// Whether nothing was imported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vulnerability of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Advisory> {
        self.by_id
            .get(id)
            .map(|index| &self.advisories[*index as usize])
            .filter(|advisory| !advisory.withdrawn)
    }

    /// Every vulnerability of a component, each once whatever names its product goes by, sorted by
    /// id. A component without version has none: nothing could be said of them.
    #[must_use]
    pub fn matching(&self, component: &Component) -> Vec<Hit<'_>> {
        let Some(version) = &component.version else {
            return Vec::new();
        };
        let mut hits: Vec<Hit<'_>> = Vec::new();
        for (vendor, product) in &component.cpes {
            let list = self.by_product.get(key(vendor, product).as_str());
            for &index in list.into_iter().flatten() {
                let advisory = &self.advisories[index as usize];
                if hits.iter().any(|h| h.advisory.id == advisory.id) {
                    continue;
                }
                // What its distribution says of the package itself counts before all else.
                if let Some((criterion, holds)) = told_by_distribution(component, advisory) {
                    if holds {
                        hits.push(Hit {
                            advisory,
                            criterion,
                            confidence: Confidence::High,
                            maybe_repaired: false,
                        });
                    }
                    continue;
                }
                let criterion = advisory
                    .criteria
                    .iter()
                    .filter(|c| *c.vendor == **vendor && *c.product == **product)
                    .filter(|c| c.holds(version))
                    // An unconditional one, and one that tells the end, say more.
                    .min_by_key(|c| (c.conditional, c.to.is_none()));
                if let Some(criterion) = criterion {
                    let confidence = if criterion.conditional || product == "linux_kernel" {
                        Confidence::Low
                    } else {
                        component.confidence
                    };
                    hits.push(Hit {
                        advisory,
                        criterion,
                        confidence,
                        maybe_repaired: component.revision.is_some(),
                    });
                }
            }
        }
        hits.sort_by(|a, b| a.advisory.id.cmp(&b.advisory.id));
        hits
    }
}

/// What the distribution of a package says of an advisory, and whether the package has it: by the
/// order of its manager, whatever upstream's version says.
fn told_by_distribution<'a>(
    component: &Component,
    advisory: &'a Advisory,
) -> Option<(&'a Criterion, bool)> {
    let packaged = component.packaged.as_ref()?;
    let release = packaged.release.as_deref()?;
    let manager = match packaged.manager.as_str() {
        "apk" => Manager::Apk,
        "dpkg" => Manager::Dpkg,
        _ => return None,
    };
    let told = |c: &&Criterion| *c.vendor == *release && *c.product == *packaged.name;
    // A feed may tell of one CVE several times: it is repaired where the last of them is.
    let mut all = advisory.criteria.iter().filter(told);
    let first = all.next()?;
    let order = |one: &Bound, two: &Bound| manager.compare(&one.version, &two.version);
    let last = all.fold(first, |last, next| match (&last.to, &next.to) {
        (Some(one), Some(two)) if order(one, two).is_lt() => next,
        (Some(_), None) => next,
        _ => last,
    });
    let holds = match &last.to {
        Some(to) => manager.compare(&packaged.version, &to.version).is_lt(),
        None => true,
    };
    Some((last, holds))
}

fn key(vendor: &str, product: &str) -> String {
    format!("{vendor}\0{product}")
}
