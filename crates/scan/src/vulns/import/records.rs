//! The shapes of records, with only what is used. Unknown keys are left alone: feeds grow.

use serde::Deserialize;

use crate::vulns::{Advisory, Bound, Criterion, Reference, Score, Severity, cpe::Cpe};

const MOST_REFERENCES: usize = 12;

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    lang: String,
    #[serde(default)]
    value: String,
}

fn english(texts: &[Text]) -> Box<str> {
    texts
        .iter()
        .find(|t| t.lang.starts_with("en"))
        .or(texts.first())
        .map_or_else(Box::default, |t| in_one_line(&t.value))
}

/// Descriptions of the kernel's hold whole logs.
fn in_one_line(text: &str) -> Box<str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").into()
}

/// Whether it is the number of a commit, in full or as the kernel's records cut it: such order by no
/// rule of versions.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 12 | 40) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// An entry of the catalogue of exploited vulnerabilities.
#[derive(Deserialize)]
pub(super) struct Exploited {
    #[serde(rename = "cveID")]
    pub(super) id: String,
    #[serde(rename = "dateAdded", default)]
    pub(super) since: String,
}

/// A record of NVD 2.0: alone, in a feed, or as an override that has only configurations.
#[derive(Deserialize)]
pub(super) struct Nvd2 {
    /// Overrides carry the id outside.
    #[serde(default)]
    id: Option<String>,
    cve: Nvd2Cve,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nvd2Cve {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    published: String,
    #[serde(default)]
    vuln_status: String,
    #[serde(default)]
    descriptions: Vec<Text>,
    #[serde(default)]
    metrics: Metrics,
    #[serde(default)]
    weaknesses: Vec<Weakness>,
    #[serde(default)]
    configurations: Vec<Configuration>,
    #[serde(default)]
    references: Vec<Link>,
    #[serde(default)]
    vendor_severity: Option<String>,
}

#[derive(Deserialize, Default)]
struct Metrics {
    #[serde(rename = "cvssMetricV31", default)]
    v31: Vec<Metric>,
    #[serde(rename = "cvssMetricV30", default)]
    v30: Vec<Metric>,
    #[serde(rename = "cvssMetricV40", default)]
    v40: Vec<Metric>,
    #[serde(rename = "cvssMetricV2", default)]
    v2: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(rename = "cvssData")]
    data: Cvss,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cvss {
    #[serde(default)]
    version: String,
    #[serde(default)]
    vector_string: String,
    base_score: f32,
}

impl Cvss {
    fn score(&self) -> Score {
        Score {
            version: self.version.as_str().into(),
            vector: self.vector_string.as_str().into(),
            base: self.base_score,
        }
    }
}

#[derive(Deserialize)]
struct Weakness {
    #[serde(default)]
    description: Vec<Text>,
}

fn weaknesses<'a>(texts: impl Iterator<Item = &'a str>) -> Box<str> {
    let mut numbers: Vec<&str> = texts
        // NVD-CWE-noinfo and NVD-CWE-Other are not numbers.
        .filter(|t| t.starts_with("CWE-"))
        .map(|t| t.split([' ', ':']).next().unwrap_or(t))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.join(",").into()
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    operator: Option<String>,
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    negate: bool,
    #[serde(rename = "cpeMatch", default)]
    matches: Vec<Match>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    #[serde(default)]
    vulnerable: bool,
    #[serde(alias = "cpe23Uri")]
    criteria: String,
    #[serde(default)]
    version_start_including: Option<String>,
    #[serde(default)]
    version_start_excluding: Option<String>,
    #[serde(default)]
    version_end_including: Option<String>,
    #[serde(default)]
    version_end_excluding: Option<String>,
}

impl Match {
    fn criterion(self, conditional: bool) -> Option<Criterion> {
        let cpe = Cpe::parse(&self.criteria).filter(|c| c.part != 'h' && self.vulnerable)?;
        let bound = |including: Option<String>, excluding: Option<String>| {
            let side = |version: String, including| Bound {
                version: version.into(),
                including,
            };
            including
                .map(|v| side(v, true))
                .or_else(|| excluding.map(|v| side(v, false)))
        };
        let from = bound(self.version_start_including, self.version_start_excluding);
        let to = bound(self.version_end_including, self.version_end_excluding);
        let commits = [&from, &to].into_iter().flatten();
        let commits = commits.into_iter().any(|end| is_commit(&end.version));
        if commits || cpe.no_version && from.is_none() && to.is_none() {
            return None;
        }
        Some(Criterion {
            vendor: cpe.vendor,
            product: cpe.product,
            exact: cpe.version,
            from,
            to,
            conditional,
        })
    }
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    url: String,
    #[serde(default, alias = "refsource", alias = "name")]
    source: String,
    #[serde(default)]
    tags: Vec<String>,
}

fn references(links: Vec<Link>) -> Vec<Reference> {
    links
        .into_iter()
        .take(MOST_REFERENCES)
        .map(|link| Reference {
            url: link.url.into(),
            source: link.source.into(),
            kind: link.tags.join(",").into(),
        })
        .collect()
}

impl Nvd2 {
    pub(super) fn advisory(self) -> Option<Advisory> {
        let cve = self.cve;
        let id = cve.id.or(self.id)?;
        if cve.vuln_status == "Rejected" {
            return Some(Advisory::withdrawn(&id));
        }
        let metrics = &cve.metrics;
        let score = [&metrics.v31, &metrics.v30, &metrics.v40, &metrics.v2]
            .into_iter()
            .find_map(|list| best(list));
        let mut criteria = Vec::new();
        for configuration in cve.configurations {
            let all = configuration.operator.as_deref() == Some("AND");
            // Beside the vulnerable there may be what it must run on.
            let platform = configuration
                .nodes
                .iter()
                .any(|n| !n.matches.iter().any(|m| m.vulnerable));
            for node in configuration.nodes.into_iter().filter(|n| !n.negate) {
                criteria.extend(
                    node.matches
                        .into_iter()
                        .filter_map(|m| m.criterion(all && platform)),
                );
            }
        }
        Some(Advisory {
            id: id.into(),
            cwe: weaknesses(
                cve.weaknesses
                    .iter()
                    .flat_map(|w| &w.description)
                    .map(|t| t.value.as_str()),
            ),
            description: english(&cve.descriptions),
            published: cve.published.into(),
            score,
            word: cve.vendor_severity.as_deref().and_then(Severity::of_word),
            criteria,
            references: references(cve.references),
            withdrawn: false,
        })
    }
}

/// The primary metric, or the highest of the others.
fn best(list: &[Metric]) -> Option<Score> {
    list.iter()
        .max_by(|a, b| {
            let rank = |m: &Metric| m.kind == "Primary";
            rank(a)
                .cmp(&rank(b))
                .then(a.data.base_score.total_cmp(&b.data.base_score))
        })
        .map(|m| m.data.score())
}

/// A record of the retired NVD 1.1.
#[derive(Deserialize)]
pub(super) struct Nvd1 {
    cve: Nvd1Cve,
    #[serde(default)]
    configurations: Nvd1Configurations,
    #[serde(default)]
    impact: Nvd1Impact,
    #[serde(rename = "publishedDate", default)]
    published: String,
}

#[derive(Deserialize)]
struct Nvd1Cve {
    #[serde(rename = "CVE_data_meta")]
    meta: Nvd1Meta,
    #[serde(default)]
    problemtype: Nvd1Problems,
    #[serde(default)]
    references: Nvd1References,
    #[serde(default)]
    description: Nvd1Description,
}

#[derive(Deserialize)]
struct Nvd1Meta {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize, Default)]
struct Nvd1Problems {
    #[serde(rename = "problemtype_data", default)]
    list: Vec<Weakness>,
}

#[derive(Deserialize, Default)]
struct Nvd1References {
    #[serde(rename = "reference_data", default)]
    list: Vec<Nvd1Link>,
}

#[derive(Deserialize)]
struct Nvd1Link {
    #[serde(default)]
    url: String,
    #[serde(default)]
    refsource: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Nvd1Description {
    #[serde(rename = "description_data", default)]
    list: Vec<Text>,
}

#[derive(Deserialize, Default)]
struct Nvd1Configurations {
    #[serde(default)]
    nodes: Vec<Nvd1Node>,
}

#[derive(Deserialize)]
struct Nvd1Node {
    #[serde(default)]
    operator: String,
    #[serde(default)]
    children: Vec<Nvd1Node>,
    #[serde(default)]
    cpe_match: Vec<Match>,
}

impl Nvd1Node {
    fn gather(self, conditional: bool, criteria: &mut Vec<Criterion>) {
        let conditional = conditional || self.operator == "AND";
        criteria.extend(
            self.cpe_match
                .into_iter()
                .filter_map(|m| m.criterion(conditional)),
        );
        for child in self.children {
            child.gather(conditional, criteria);
        }
    }
}

#[derive(Deserialize, Default)]
struct Nvd1Impact {
    #[serde(rename = "baseMetricV3", default)]
    v3: Option<Nvd1Metric>,
    #[serde(rename = "baseMetricV2", default)]
    v2: Option<Nvd1Metric>,
}

#[derive(Deserialize)]
struct Nvd1Metric {
    #[serde(alias = "cvssV3", alias = "cvssV2")]
    cvss: Cvss,
}

impl Nvd1 {
    pub(super) fn advisory(self) -> Option<Advisory> {
        let description = english(&self.cve.description.list);
        if description.starts_with("** REJECT **") {
            return Some(Advisory::withdrawn(&self.cve.meta.id));
        }
        let mut criteria = Vec::new();
        for node in self.configurations.nodes {
            node.gather(false, &mut criteria);
        }
        Some(Advisory {
            id: self.cve.meta.id.into(),
            cwe: weaknesses(
                self.cve
                    .problemtype
                    .list
                    .iter()
                    .flat_map(|w| &w.description)
                    .map(|t| t.value.as_str()),
            ),
            description,
            published: self.published.into(),
            score: self.impact.v3.or(self.impact.v2).map(|m| m.cvss.score()),
            word: None,
            criteria,
            references: references(
                self.cve
                    .references
                    .list
                    .into_iter()
                    .map(|l| Link {
                        url: l.url,
                        source: l.refsource,
                        tags: l.tags,
                    })
                    .collect(),
            ),
            withdrawn: false,
        })
    }
}

/// A record of the CVE programme, format 5.
#[derive(Deserialize)]
pub(super) struct Cve5 {
    #[serde(rename = "cveMetadata")]
    meta: Cve5Meta,
    containers: Cve5Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve5Meta {
    cve_id: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    date_published: String,
}

#[derive(Deserialize)]
struct Cve5Containers {
    cna: Cve5Container,
    #[serde(default)]
    adp: Vec<Cve5Container>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Cve5Container {
    #[serde(default)]
    affected: Vec<Cve5Affected>,
    #[serde(default)]
    descriptions: Vec<Text>,
    #[serde(default)]
    metrics: Vec<Cve5Metric>,
    #[serde(default)]
    problem_types: Vec<Cve5Problem>,
    #[serde(default)]
    references: Vec<Link>,
}

#[derive(Deserialize)]
struct Cve5Metric {
    #[serde(rename = "cvssV3_1", default)]
    v31: Option<Cvss>,
    #[serde(rename = "cvssV3_0", default)]
    v30: Option<Cvss>,
    #[serde(rename = "cvssV4_0", default)]
    v40: Option<Cvss>,
    #[serde(default)]
    other: Option<Cve5Other>,
}

#[derive(Deserialize)]
struct Cve5Other {
    #[serde(default)]
    content: serde_json::Value,
}

#[derive(Deserialize)]
struct Cve5Problem {
    #[serde(default)]
    descriptions: Vec<Cve5Weakness>,
}

#[derive(Deserialize)]
struct Cve5Weakness {
    #[serde(rename = "cweId", default)]
    cwe: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve5Affected {
    #[serde(default)]
    vendor: String,
    #[serde(default)]
    product: String,
    #[serde(default)]
    cpes: Vec<String>,
    #[serde(default)]
    versions: Vec<Cve5Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve5Version {
    version: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    version_type: String,
    #[serde(default)]
    less_than: Option<String>,
    #[serde(default)]
    less_than_or_equal: Option<String>,
}

impl Cve5Affected {
    fn gather(&self, criteria: &mut Vec<Criterion>) {
        let name = |text: &str| -> Box<str> { text.to_lowercase().replace(' ', "_").into() };
        // The CPE names say better than free text who is meant.
        let named: Vec<(Box<str>, Box<str>)> = self
            .cpes
            .iter()
            .filter_map(|c| Cpe::parse(c))
            .filter(|c| c.part != 'h')
            .map(|c| (c.vendor, c.product))
            .collect();
        let mut names = if named.is_empty() {
            vec![(name(&self.vendor), name(&self.product))]
        } else {
            named
        };
        names.dedup();
        for version in &self.versions {
            let ends = [&version.less_than, &version.less_than_or_equal];
            // Not all who name commits say so.
            let commits = version.version_type == "git"
                || is_commit(&version.version)
                || ends.into_iter().flatten().any(|end| is_commit(end));
            if version.status != "affected" || commits {
                continue;
            }
            let start = version.version.as_str();
            if !start.starts_with(|c: char| c.is_ascii_digit())
                && start != "*"
                && start != "unspecified"
            {
                continue;
            }
            let any = matches!(start, "0" | "*" | "unspecified");
            let bound = |version: &str, including| Bound {
                version: version.into(),
                including,
            };
            let to = match (&version.less_than, &version.less_than_or_equal) {
                (Some(end), _) if end != "*" => Some(bound(end, false)),
                (_, Some(end)) if end != "*" => Some(bound(end, true)),
                _ => None,
            };
            let open = version.less_than.is_some() || version.less_than_or_equal.is_some();
            for (vendor, product) in &names {
                criteria.push(Criterion {
                    vendor: vendor.clone(),
                    product: product.clone(),
                    exact: (!open && !any).then(|| start.into()),
                    from: (open && !any).then(|| bound(start, true)),
                    to: to.clone(),
                    conditional: false,
                });
            }
        }
    }
}

impl Cve5 {
    pub(super) fn advisory(self) -> Option<Advisory> {
        if self.meta.state == "REJECTED" {
            return Some(Advisory::withdrawn(&self.meta.cve_id));
        }
        let all = || std::iter::once(&self.containers.cna).chain(&self.containers.adp);
        let metrics = || all().flat_map(|c| &c.metrics);
        let score = metrics()
            .find_map(|m| m.v31.as_ref().or(m.v30.as_ref()))
            .or_else(|| metrics().find_map(|m| m.v40.as_ref()))
            .map(Cvss::score);
        let word = metrics()
            .filter_map(|m| m.other.as_ref())
            .filter_map(|o| o.content.get("text")?.as_str())
            .find_map(Severity::of_word);
        let mut criteria = Vec::new();
        for container in all() {
            let mut own = Vec::new();
            for affected in &container.affected {
                affected.gather(&mut own);
            }
            // Who is responsible has the first word; the others add what they leave out.
            own.retain(|c| {
                !criteria
                    .iter()
                    .any(|k: &Criterion| k.vendor == c.vendor && k.product == c.product)
            });
            criteria.extend(own);
        }
        let cwe = weaknesses(
            all()
                .flat_map(|c| &c.problem_types)
                .flat_map(|p| &p.descriptions)
                .map(|w| w.cwe.as_str()),
        );
        Some(Advisory {
            id: self.meta.cve_id.as_str().into(),
            cwe,
            description: english(&self.containers.cna.descriptions),
            published: self.meta.date_published.as_str().into(),
            score,
            word,
            criteria,
            references: references(self.containers.cna.references),
            withdrawn: false,
        })
    }
}

/// A record of the Open Source Vulnerability format.
#[derive(Deserialize)]
pub(super) struct Osv {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    details: String,
    #[serde(default)]
    published: String,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    affected: Vec<OsvAffected>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
    #[serde(default)]
    database_specific: OsvOwn,
}

#[derive(Deserialize)]
struct OsvAffected {
    #[serde(default)]
    package: Option<OsvPackage>,
    #[serde(default)]
    ranges: Vec<OsvRange>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct OsvPackage {
    #[serde(default)]
    ecosystem: String,
    #[serde(default)]
    name: String,
}

impl OsvPackage {
    /// The vendor and product under which components of the ecosystem look for advisories. Where
    /// nobody is meant in particular, the product's name stands for both, as for packages whose vendor
    /// nobody knows.
    fn names(&self) -> (Box<str>, Box<str>) {
        let name = self.name.to_lowercase();
        let release = |known: &str| self.ecosystem.strip_prefix(known)?.strip_prefix(':');
        let (vendor, product) = match self.ecosystem.as_str() {
            "PyPI" => ("pypi".into(), crate::identify::language::pep_503(&name)),
            // Paths of modules and names of artifacts tell large letters from small ones.
            "Go" => ("go".into(), self.name.clone()),
            "Maven" => ("maven".into(), self.name.clone()),
            "Linux" => ("linux".into(), "linux_kernel".into()),
            "" | "OSS-Fuzz" | "GIT" => (name.clone(), name),
            _ => match (release("Alpine"), release("Debian")) {
                (Some(release), _) => (format!("alpine:{release}"), name),
                (_, Some(number)) => {
                    let named = crate::identify::debian(number).unwrap_or(number);
                    (format!("debian:{named}"), name)
                }
                _ => (self.ecosystem.to_lowercase(), name),
            },
        };
        (vendor.into(), product.into())
    }
}

#[derive(Deserialize)]
struct OsvSeverity {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    score: String,
}

#[derive(Deserialize, Default)]
struct OsvOwn {
    #[serde(default)]
    severity: serde_json::Value,
}

/// The best known score of those that a record has as vectors alone.
fn scored(all: &[OsvSeverity]) -> Option<Score> {
    let of = |kind: &str| {
        let vector = &all.iter().find(|s| s.kind == kind)?.score;
        let parsed: cvss::Cvss = vector.parse().ok()?;
        Some(Score {
            version: vector[5..].chars().take(3).collect::<String>().into(),
            vector: vector.as_str().into(),
            base: parsed.score() as f32,
        })
    };
    of("CVSS_V3").or_else(|| of("CVSS_V4"))
}

#[derive(Deserialize)]
struct OsvRange {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    events: Vec<OsvEvent>,
}

#[derive(Deserialize)]
struct OsvEvent {
    #[serde(default)]
    introduced: Option<String>,
    #[serde(default)]
    fixed: Option<String>,
    #[serde(default)]
    last_affected: Option<String>,
}

impl Osv {
    pub(super) fn advisory(self) -> Option<Advisory> {
        let id = self
            .aliases
            .iter()
            .find(|a| a.starts_with("CVE-"))
            .unwrap_or(&self.id);
        if self.withdrawn.is_some() {
            // The number stays, where it is another's: this is only one who spoke of it.
            return (id == &self.id).then(|| Advisory::withdrawn(id));
        }
        let mut criteria = Vec::new();
        for affected in &self.affected {
            let Some(package) = &affected.package else {
                continue;
            };
            let (vendor, product) = package.names();
            let criterion =
                |exact: Option<&str>, from: Option<Bound>, to: Option<Bound>| Criterion {
                    vendor: vendor.clone(),
                    product: product.clone(),
                    exact: exact.map(Into::into),
                    from,
                    to,
                    conditional: false,
                };
            let bound = |version: &str, including| Bound {
                version: version.into(),
                including,
            };
            for range in affected.ranges.iter().filter(|r| r.kind != "GIT") {
                let mut from: Option<Option<Bound>> = None;
                for event in &range.events {
                    if let Some(start) = &event.introduced {
                        from = Some((start != "0").then(|| bound(start, true)));
                    }
                    let end = event
                        .fixed
                        .as_ref()
                        .map(|v| bound(v, false))
                        .or_else(|| event.last_affected.as_ref().map(|v| bound(v, true)));
                    if let (Some(end), Some(start)) = (end, from.clone()) {
                        criteria.push(criterion(None, start, Some(end)));
                        from = None;
                    }
                }
                if let Some(start) = from {
                    criteria.push(criterion(None, start, None));
                }
            }
            if affected.ranges.iter().all(|r| r.kind == "GIT") {
                criteria.extend(
                    affected
                        .versions
                        .iter()
                        .take(1000)
                        .map(|v| criterion(Some(v), None, None)),
                );
            }
        }
        let text = if self.details.is_empty() {
            &self.summary
        } else {
            &self.details
        };
        Some(Advisory {
            id: id.as_str().into(),
            cwe: Box::default(),
            description: in_one_line(text),
            published: self.published.as_str().into(),
            score: scored(&self.severity),
            word: self
                .database_specific
                .severity
                .as_str()
                .and_then(Severity::of_word),
            criteria,
            references: Vec::new(),
            withdrawn: false,
        })
    }
}
