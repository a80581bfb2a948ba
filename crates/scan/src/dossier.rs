//! All of a scan that is kept: the report of document 000 and what stands beside it. Everything that
//! people and programs are shown is made of it, so that nothing need be unpacked again.

pub(crate) mod statements;

use std::collections::{BTreeMap, BTreeSet};

use credential::crypto::digest::Hash;
use serde::{Deserialize, Serialize};

use crate::{
    identify::Component,
    report::{self, Report, RiskGroup, Scan, VulnInfo},
    rules::{self, Level},
    vulns::{Known, Source},
};

/// What is kept of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dossier {
    /// The image's name.
    pub name: String,
    /// The report.
    pub report: Report,
    /// What software the image holds.
    pub components: Vec<Component>,
    /// How many containers were opened.
    pub volumes: usize,
    /// How many files came out of them.
    pub files: usize,
    /// How many bytes nothing claimed.
    pub unclaimed: usize,
    /// Where something could not be read, and why.
    pub faults: Vec<(String, String)>,
    /// The limit that ended the unpacking before everything was seen.
    pub stopped: Option<String>,
    /// How many vulnerabilities were known.
    pub known: usize,
    /// The feeds they came from, with their dates.
    pub sources: Vec<Source>,
    /// Code and name of control points that an image cannot decide.
    pub undecided: Vec<(String, String)>,
    /// Those of the report's CVEs that are known to be exploited.
    pub exploited: BTreeSet<String>,
    /// What people judged of findings, by [`mark`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judgements: BTreeMap<String, Judgement>,
}

/// What somebody found out about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What it comes to.
    pub status: Status,
    /// Why, in the words of the one who judged.
    pub note: String,
    /// Who judged.
    pub by: String,
    /// When, milliseconds since 1970.
    pub at: i64,
}

/// What a judgement comes to; the words of OpenVEX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is there but does no harm here.
    NotAffected,
    /// It is there and harms.
    Affected,
    /// It was repaired without a new version.
    Fixed,
    /// Somebody looks into it.
    UnderInvestigation,
}

impl Status {
    /// Its name in OpenVEX.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::NotAffected => "not_affected",
            Status::Affected => "affected",
            Status::Fixed => "fixed",
            Status::UnderInvestigation => "under_investigation",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Status> {
        [
            Status::NotAffected,
            Status::Affected,
            Status::Fixed,
            Status::UnderInvestigation,
        ]
        .into_iter()
        .find(|status| status.name() == name)
    }

    /// Whether a finding so judged need not hold anything up any more.
    #[must_use]
    pub fn settles(self) -> bool {
        matches!(self, Status::NotAffected | Status::Fixed)
    }
}

impl Dossier {
    /// What is to be kept of `scan`, made of the image `name` and judged by `level`.
    #[must_use]
    pub fn of(name: &str, scan: &Scan, level: Option<Level>) -> Dossier {
        let (image, against) = (&scan.image, &scan.against);
        Dossier {
            name: name.to_owned(),
            components: scan.components.clone(),
            volumes: image.volumes.len(),
            files: image.files.len(),
            unclaimed: image.regions.iter().map(|r| r.bytes.len()).sum(),
            faults: image
                .faults
                .iter()
                .map(|(place, why)| (place.clone(), why.to_string()))
                .chain(against.faults.clone())
                .collect(),
            stopped: image.stopped.map(|limit| limit.to_string()),
            known: against.known,
            sources: against.sources.clone(),
            undecided: level
                .map(|level| rules::undecided(level, &scan.report.detection_rule_result))
                .unwrap_or_default()
                .into_iter()
                .map(|(code, unit)| (code.to_owned(), unit.to_owned()))
                .collect(),
            exploited: against.exploited.clone(),
            judgements: BTreeMap::new(),
            report: scan.report.clone(),
        }
    }

    /// The same image against other feeds, without unpacking anything: known vulnerabilities are
    /// looked up anew for the components that were found, and all that follows from them.
    #[must_use]
    pub fn matched(mut self, known: &dyn Known) -> Dossier {
        let against = report::rematch(&mut self.report, &self.components, known);
        self.known = against.known;
        let before: Vec<&str> = self.sources.iter().map(|s| s.name.as_str()).collect();
        self.faults.retain(|(at, _)| !before.contains(&at.as_str()));
        self.faults.extend(against.faults);
        self.sources = against.sources;
        self.exploited = against.exploited;
        self
    }

    /// Every finding with its group, in the order of the report.
    pub fn findings(&self) -> impl Iterator<Item = (&RiskGroup, &VulnInfo)> {
        self.report
            .risks
            .iter()
            .flat_map(|group| group.vuln_infos.iter().map(move |info| (group, info)))
    }

    /// What was judged of a finding.
    #[must_use]
    pub fn judgement(&self, group: &RiskGroup, info: &VulnInfo) -> Option<&Judgement> {
        self.judgements.get(&mark(group, info))
    }

    /// Number and component that a known vulnerability was found in.
    #[must_use]
    pub fn component_of(&self, info: &VulnInfo) -> Option<(usize, &Component)> {
        let cve = info.cve.as_ref()?;
        self.components.iter().enumerate().find(|(_, component)| {
            component
                .evidence
                .first()
                .is_some_and(|e| e.file == info.filename)
                && component.cpe_name() == cve.cpe.cpe_name
        })
    }
}

/// What a finding is known by in every scan of the same thing, so that a judgement stays.
#[must_use]
pub fn mark(group: &RiskGroup, info: &VulnInfo) -> String {
    let own = info
        .detail
        .iter()
        .find(|d| d.en_name == "fingerprint")
        .and_then(|d| d.value.first());
    match (own, &info.cve) {
        (Some(own), _) => own.clone(),
        (None, Some(cve)) => {
            let text = format!("{}\0{}\0{}", group.code, cve.cve_id, cve.cpe.cpe_name);
            let mut digest = Hash::Sha256.hex(text.as_bytes());
            digest.truncate(32);
            digest
        }
        (None, None) => String::new(),
    }
}
