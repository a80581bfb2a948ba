//! The report, exactly as document 000, 1.2.9 lays it out.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use bytes::Bytes;
use credential::crypto::digest::Hash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Limits, Unpacked,
    elf::Elf,
    identify::{Component, identify},
    risks::{self, Finding, RISKS, Risk},
    rules::{self, Level, Verdict},
    unpack::unpack,
    vulns::{Criterion, Database, FixedVersion, Known, Severity, Source, fixed},
    yara::Yara,
};

/// What to scan for and by.
pub struct Options<'a> {
    /// Bounds of the unpacking.
    pub limits: Limits,
    /// Known vulnerabilities; an empty database finds none.
    pub database: &'a dyn Known,
    /// Level of graded protection, if it is to be judged.
    pub level: Option<Level>,
    /// Milliseconds since 1970: the time of the report, by which certificates are judged too.
    pub now: i64,
    /// Rules of an operator's, where there are any.
    pub yara: Option<&'a Yara>,
}

/// All that one scan found.
pub struct Scan {
    /// What was unpacked.
    pub image: Unpacked,
    /// What software it holds.
    pub components: Vec<Component>,
    /// What is wrong with it beside known vulnerabilities.
    pub findings: Vec<Finding>,
    /// The report.
    pub report: Report,
    /// What vulnerabilities it was held against.
    pub against: Against,
}

/// What vulnerabilities an image was held against.
#[derive(Debug, Clone)]
pub struct Against {
    /// How many were known.
    pub known: usize,
    /// The feeds they came from, with their dates.
    pub sources: Vec<Source>,
    /// Feeds of which something could not be read, and why.
    pub faults: Vec<(String, String)>,
    /// Those of the report's CVEs that are known to be exploited.
    pub exploited: BTreeSet<String>,
}

impl Against {
    fn of(report: &Report, database: &Database) -> Against {
        Against {
            known: database.len(),
            sources: database.sources.clone(),
            faults: database.faults.clone(),
            exploited: report
                .risks
                .iter()
                .flat_map(|group| &group.vuln_infos)
                .filter_map(|info| info.cve.as_ref())
                .filter(|cve| database.is_exploited(&cve.cve_id))
                .map(|cve| cve.cve_id.clone())
                .collect(),
        }
    }
}

/// What of a scan is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything that opens is open.
    Unpacked,
    /// Components are known.
    Identified,
    /// Files were looked at.
    Looked,
}

impl Step {
    /// All, in their order.
    pub const ALL: [Step; 3] = [Step::Unpacked, Step::Identified, Step::Looked];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Unpacked => "unpacked",
            Step::Identified => "identified",
            Step::Looked => "looked",
        }
    }
}

/// Scans an image. `stop` is asked often and ends the unpacking when it says yes.
#[must_use]
pub fn scan(name: &str, bytes: Bytes, options: &Options<'_>, stop: &dyn Fn() -> bool) -> Scan {
    scan_told(name, bytes, options, stop, &|_| {})
}

/// The same, and `told` hears how far it is.
#[must_use]
pub fn scan_told(
    name: &str,
    bytes: Bytes,
    options: &Options<'_>,
    stop: &dyn Fn() -> bool,
    told: &dyn Fn(Step),
) -> Scan {
    let (size, sha256) = (bytes.len(), Hash::Sha256.hex(&bytes));
    let image = unpack(name, bytes, &options.limits, stop);
    told(Step::Unpacked);
    let components = identify(&image);
    told(Step::Identified);
    let mut findings = risks::look(&image, &components, options.now / 1000);
    if let Some(yara) = options.yara {
        yara.look(&image, stop, &mut findings);
        risks::sort(&mut findings);
    }
    told(Step::Looked);
    let database = options.database.about(&components);
    let report = report(
        size,
        sha256,
        &image,
        &components,
        &findings,
        options,
        &database,
    );
    Scan {
        against: Against::of(&report, &database),
        image,
        components,
        findings,
        report,
    }
}

/// The whole report. Its fields are written in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// About the file.
    pub fw_basic_info: BasicInfo,
    /// Counts.
    pub risk_statistics: Statistics,
    /// What was found, by kind.
    pub risks: Vec<RiskGroup>,
    /// Verdicts of graded protection; empty for the basic check.
    pub detection_rule_result: Vec<Verdict>,
}

/// About the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BasicInfo {
    /// Bytes.
    pub fw_file_size: usize,
    /// Machine of most programs.
    pub arch: String,
    /// Digest of the file.
    pub fw_sha256: String,
    /// Names of the file systems, comma between.
    pub filesystem: String,
    /// Milliseconds since 1970.
    pub scan_start_time: i64,
}

/// Counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Always all five severities, the worst first.
    pub severity_statistics: Vec<Count>,
    /// The same by kind.
    pub risk_brief: Vec<Brief>,
}

/// How many of a severity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Count {
    /// Severity.
    pub name: Severity,
    /// How many.
    pub count: usize,
}

/// Kinds of risk of one severity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Brief {
    /// The kinds.
    pub risks: Vec<BriefRisk>,
    /// Severity.
    pub name: Severity,
    /// How many in all.
    pub count: usize,
}

/// One kind of risk in the brief.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BriefRisk {
    /// Name.
    pub risk_type: Cow<'static, str>,
    /// How urgent its repair is.
    pub suggestion: Cow<'static, str>,
    /// How many.
    pub count: usize,
    /// What it is.
    pub description: Cow<'static, str>,
}

/// All findings of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskGroup {
    /// Chinese name.
    pub name: Cow<'static, str>,
    /// Code.
    pub code: Cow<'static, str>,
    /// English name of the group.
    pub en_category: Cow<'static, str>,
    /// Chinese name of the group.
    pub category: Cow<'static, str>,
    /// What it is.
    pub description: Cow<'static, str>,
    /// What to do.
    pub suggestion: Cow<'static, str>,
    /// Where.
    pub vuln_infos: Vec<VulnInfo>,
}

/// One finding.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VulnInfo {
    /// How bad.
    pub severity: Severity,
    /// The chain of names down to the file.
    pub filename: String,
    /// Details of what is no CVE.
    pub detail: Vec<NamedValues>,
    /// The CVE; an empty object for what is none.
    #[serde(serialize_with = "or_empty", deserialize_with = "from_empty")]
    pub cve: Option<Cve>,
}

/// A detail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedValues {
    /// Chinese name.
    pub cn_name: Cow<'static, str>,
    /// English name.
    pub en_name: Cow<'static, str>,
    /// Values.
    pub value: Vec<String>,
}

/// A known vulnerability.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cve {
    /// `CVE-…`.
    pub cve_id: String,
    /// `CWE-…`, or nothing.
    pub cwe_id: String,
    /// How bad.
    pub impact: Impact,
    /// What software.
    pub cpe: CpeInfo,
    /// What it is about.
    pub description: String,
    /// Where to read more.
    pub references: Vec<ReferenceInfo>,
}

/// How bad a vulnerability is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// CVSS vector; nothing where it has no score.
    pub vector_string: String,
    /// Severity.
    pub severity: Severity,
    /// 0 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_score: Option<f64>,
    /// Of the standard, or "unscored".
    pub version: String,
}

/// What software, and what repairs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CpeInfo {
    /// CPE 2.3 name.
    pub cpe_name: String,
    /// `a` application, `o` operating system.
    pub cpe_type: Cow<'static, str>,
    /// Repairs everything that is known.
    pub all_fixed_version: FixedVersion,
    /// Repairs what is critical or high.
    pub high_critical_fixed_version: FixedVersion,
}

/// Where to read more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceInfo {
    /// Patch, advisory, exploit.
    pub reference_type: String,
    /// Who named it.
    pub reference_source: String,
    /// Address.
    pub reference_url: String,
}

fn or_empty<S: Serializer>(cve: &Option<Cve>, serializer: S) -> Result<S::Ok, S::Error> {
    match cve {
        Some(cve) => cve.serialize(serializer),
        None => BTreeMap::<&str, &str>::new().serialize(serializer),
    }
}

fn from_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cve>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Some(Box<Cve>),
        None {},
    }
    Ok(match Either::deserialize(from)? {
        Either::Some(cve) => Some(*cve),
        Either::None {} => None,
    })
}

/// How urgent the repair of a severity is.
fn urgency(severity: Severity, exploited: bool) -> &'static str {
    match severity {
        _ if exploited => "已有在野利用，立即修复",
        Severity::Critical => "立即修复",
        Severity::High => "尽快修复",
        Severity::Medium => "计划修复",
        Severity::Low => "择机修复",
        Severity::Notice => "关注",
    }
}

fn report(
    size: usize,
    sha256: String,
    image: &Unpacked,
    components: &[Component],
    findings: &[Finding],
    options: &Options<'_>,
    database: &Database,
) -> Report {
    let mut groups = known(components, database);
    for finding in findings {
        groups.entry(finding.code).or_default().push(info(finding));
    }
    let verdicts = options.level.map(|level| {
        let known = groups.get("CveVuln").map(Vec::as_slice).unwrap_or_default();
        rules::verdicts(level, findings, known, &|id| database.is_exploited(id))
    });
    let risks: Vec<RiskGroup> = RISKS
        .iter()
        .filter_map(|risk| group(risk, groups.remove(risk.code)?))
        .collect();
    Report {
        fw_basic_info: BasicInfo {
            fw_file_size: size,
            arch: arch(image),
            fw_sha256: sha256,
            filesystem: image.filesystems().join(","),
            scan_start_time: options.now,
        },
        risk_statistics: statistics(&risks, database),
        risks,
        detection_rule_result: verdicts.unwrap_or_default(),
    }
}

/// Known vulnerabilities of all components, by the code of their group.
fn known(components: &[Component], database: &Database) -> HashMap<&'static str, Vec<VulnInfo>> {
    let mut groups: HashMap<&str, Vec<VulnInfo>> = HashMap::new();
    for component in components {
        let code = if component.name == "linux" {
            "CveKernel"
        } else {
            "CveVuln"
        };
        groups
            .entry(code)
            .or_default()
            .extend(vulnerabilities(component, database));
    }
    // A kernel has thousands: within a severity those come first that somebody uses, or soon may.
    for infos in groups.values_mut() {
        infos.sort_by(|a, b| rank(a, database).total_cmp(&rank(b, database)));
    }
    groups
}

/// The smaller, the sooner it should be looked at.
fn rank(info: &VulnInfo, database: &Database) -> f32 {
    let Some(cve) = &info.cve else { return 0.0 };
    match database.is_exploited(&cve.cve_id) {
        true => -2.0,
        false => -database.probability(&cve.cve_id).unwrap_or_default(),
    }
}

fn group(risk: &Risk, mut infos: Vec<VulnInfo>) -> Option<RiskGroup> {
    if infos.is_empty() {
        return None;
    }
    infos.sort_by_key(|i| i.severity);
    Some(RiskGroup {
        name: risk.cn.into(),
        code: risk.code.into(),
        en_category: risk.category.1.into(),
        category: risk.category.0.into(),
        description: risk.description.0.into(),
        suggestion: risk.suggestion.0.into(),
        vuln_infos: infos,
    })
}

/// Replaces what of a report follows from known vulnerabilities by what `database` says.
pub(crate) fn rematch(
    report: &mut Report,
    components: &[Component],
    known_of: &dyn Known,
) -> Against {
    let database = &*known_of.about(components);
    let mut groups = known(components, database);
    let infos = groups.get("CveVuln").map(Vec::as_slice).unwrap_or_default();
    let level = report
        .detection_rule_result
        .first()
        .and_then(|verdict| Level::of_code(&verdict.classification));
    if let Some(level) = level {
        let judged = rules::verdicts(level, &[], infos, &|id| database.is_exploited(id));
        for verdict in judged {
            // The one rule about them; the others were judged by findings that stay as they are.
            if verdict.category_code == rules::KNOWN {
                let mut rows = report.detection_rule_result.iter_mut();
                if let Some(row) = rows.find(|row| row.category_code == rules::KNOWN) {
                    *row = verdict;
                }
            }
        }
    }
    let old = std::mem::take(&mut report.risks);
    let mut old: HashMap<String, RiskGroup> = old
        .into_iter()
        .map(|group| (group.code.to_string(), group))
        .collect();
    report.risks = RISKS
        .iter()
        .filter_map(|risk| match risk.code {
            "CveVuln" | "CveKernel" => group(risk, groups.remove(risk.code)?),
            code => old.remove(code),
        })
        .collect();
    report.risk_statistics = statistics(&report.risks, database);
    Against::of(report, database)
}

fn statistics(risks: &[RiskGroup], database: &Database) -> Statistics {
    let brief: Vec<Brief> = Severity::ALL
        .into_iter()
        .map(|severity| {
            let kinds: Vec<BriefRisk> = risks
                .iter()
                .filter_map(|group| {
                    let of = || group.vuln_infos.iter().filter(|i| i.severity == severity);
                    // Exploitation raises the urgency, not the name.
                    let exploited = of().filter_map(|i| i.cve.as_ref()).any(|c| {
                        database.is_exploited(&c.cve_id)
                            || database.probability(&c.cve_id).is_some_and(|p| p >= 0.5)
                    });
                    let count = of().count();
                    (count > 0).then(|| BriefRisk {
                        risk_type: group.name.clone(),
                        suggestion: urgency(severity, exploited).into(),
                        count,
                        description: group.description.clone(),
                    })
                })
                .collect();
            Brief {
                name: severity,
                count: kinds.iter().map(|k| k.count).sum(),
                risks: kinds,
            }
        })
        .collect();
    Statistics {
        severity_statistics: brief
            .iter()
            .map(|b| Count {
                name: b.name,
                count: b.count,
            })
            .collect(),
        risk_brief: brief,
    }
}

fn info(finding: &Finding) -> VulnInfo {
    let mut detail: Vec<NamedValues> = finding
        .details
        .iter()
        .map(|d| NamedValues {
            cn_name: d.cn.into(),
            en_name: d.en.into(),
            value: d.values.clone(),
        })
        .collect();
    let sure = serde_json::to_value(finding.confidence)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default();
    detail.push(NamedValues {
        cn_name: "可信度".into(),
        en_name: "confidence".into(),
        value: vec![sure],
    });
    detail.push(NamedValues {
        cn_name: "指纹".into(),
        en_name: "fingerprint".into(),
        value: vec![finding.fingerprint()],
    });
    VulnInfo {
        severity: finding.severity,
        filename: finding.file.clone(),
        detail,
        cve: None,
    }
}

fn vulnerabilities(component: &Component, database: &Database) -> Vec<VulnInfo> {
    let hits = database.matching(component);
    let version = component.version.as_deref().unwrap_or_default();
    let mine = |c: &&Criterion| {
        component
            .cpes
            .iter()
            .any(|(v, p)| **v == *c.vendor && **p == *c.product)
    };
    let severity =
        |advisory: &crate::vulns::Advisory| advisory.severity(database.is_exploited(&advisory.id));
    let repair = |worst: Severity| {
        let criteria: Vec<&Criterion> = hits
            .iter()
            .filter(|h| severity(h.advisory) <= worst)
            .flat_map(|h| h.advisory.criteria.iter().filter(mine))
            .collect();
        fixed(version, &criteria)
    };
    let (all, worst) = (repair(Severity::Notice), repair(Severity::High));
    let (name, kind) = (
        component.cpe_name(),
        if component.name == "linux" { "o" } else { "a" },
    );
    hits.iter()
        .map(|hit| {
            let advisory = hit.advisory;
            let mut description = advisory.description.to_string();
            if hit.maybe_repaired {
                description.push_str(" [possibly repaired by the distribution's revision ");
                description.push_str(component.revision.as_deref().unwrap_or_default());
                description.push(']');
            }
            let score = advisory.score.as_ref();
            VulnInfo {
                severity: severity(advisory),
                filename: component.evidence[0].file.clone(),
                detail: Vec::new(),
                cve: Some(Cve {
                    cve_id: advisory.id.to_string(),
                    cwe_id: advisory.cwe.to_string(),
                    impact: Impact {
                        vector_string: score.map(|s| s.vector.to_string()).unwrap_or_default(),
                        severity: severity(advisory),
                        // One digit, as CVSS has it.
                        base_score: score.map(|s| (f64::from(s.base) * 10.0).round() / 10.0),
                        version: score.map_or_else(|| "unscored".into(), |s| s.version.to_string()),
                    },
                    cpe: CpeInfo {
                        cpe_name: name.clone(),
                        cpe_type: kind.into(),
                        all_fixed_version: all.clone(),
                        high_critical_fixed_version: worst.clone(),
                    },
                    description,
                    references: advisory
                        .references
                        .iter()
                        .map(|r| ReferenceInfo {
                            reference_type: r.kind.to_string(),
                            reference_source: r.source.to_string(),
                            reference_url: r.url.to_string(),
                        })
                        .collect(),
                }),
            }
        })
        .collect()
}

/// The machine of most programs; without programs, what a boot header says.
fn arch(image: &Unpacked) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for bytes in image.files.iter().filter_map(|f| f.bytes()) {
        if let Ok(elf) = Elf::read(bytes) {
            *counts.entry(elf.arch).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(arch, _)| arch)
        .or_else(|| {
            let mut facts = image.volumes.iter().flat_map(|v| &v.facts);
            facts.find(|(k, _)| *k == "arch").map(|(_, v)| v.clone())
        })
        .unwrap_or_default()
}
