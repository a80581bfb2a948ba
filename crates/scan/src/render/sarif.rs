//! SARIF 2.1.0 (OASIS): findings for programs that collect those of code scanners.

use serde_json::{Map, Value, json};

use super::{VERSION, evidence, percent, shown};
use crate::{
    dossier::{Dossier, Judgement, Status, mark},
    report::{RiskGroup, VulnInfo},
    risks::RISKS,
    vulns::Severity,
};

pub(super) fn log(dossier: &Dossier) -> Value {
    let rules: Vec<Value> = dossier.report.risks.iter().map(rule).collect();
    let results: Vec<Value> = dossier
        .report
        .risks
        .iter()
        .enumerate()
        .flat_map(|(index, group)| {
            group
                .vuln_infos
                .iter()
                .map(move |info| result(index, group, info, dossier.judgement(group, info)))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "muster", "version": VERSION, "rules": rules}},
            "artifacts": [{
                "location": {"uri": percent(&dossier.name)},
                "length": dossier.report.fw_basic_info.fw_file_size,
                "hashes": {"sha-256": dossier.report.fw_basic_info.fw_sha256},
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Notice => "note",
    }
}

fn rule(group: &RiskGroup) -> Value {
    let known = RISKS.iter().find(|risk| risk.code == group.code);
    let (name, description, help) = known.map_or(
        (&*group.name, &*group.description, &*group.suggestion),
        |risk| (risk.en, risk.description.1, risk.suggestion.1),
    );
    let worst = group.vuln_infos.iter().map(|i| i.severity).min();
    json!({
        "id": group.code,
        "name": group.code,
        "shortDescription": {"text": name},
        "fullDescription": {"text": description},
        "help": {"text": help},
        "defaultConfiguration": {"level": level(worst.unwrap_or(Severity::Notice))},
        "properties": {"category": group.en_category, "tags": ["security"]},
    })
}

fn result(index: usize, group: &RiskGroup, info: &VulnInfo, judged: Option<&Judgement>) -> Value {
    let told: Vec<String> = match &info.cve {
        Some(cve) => vec![cve.cve_id.clone(), cve.cpe.cpe_name.clone()],
        None => evidence(info)
            .map(|d| format!("{}: {}", d.en_name, d.value.join(", ")))
            .collect(),
    };
    let name = RISKS
        .iter()
        .find(|risk| risk.code == group.code)
        .map_or(&*group.name, |risk| risk.en);
    let uri: Vec<String> = info.filename.split('/').map(percent).collect();
    let mut properties = Map::from_iter([("severity".to_owned(), json!(info.severity.english()))]);
    if let Some(score) = info.cve.as_ref().and_then(|c| c.impact.base_score) {
        properties.insert("security-severity".into(), json!(format!("{score:.1}")));
    }
    let mut result = json!({
        "ruleId": group.code,
        "ruleIndex": index,
        "level": level(info.severity),
        "message": {"text": shown(&format!("{name}: {}", told.join("; ")))},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri.join("/")}}}],
        "partialFingerprints": {"muster/v1": mark(group, info)},
        "properties": properties,
    });
    if let Some(judged) = judged {
        let status = match judged.status {
            Status::NotAffected | Status::Fixed => "accepted",
            Status::Affected => "rejected",
            Status::UnderInvestigation => "underReview",
        };
        result["suppressions"] =
            json!([{"kind": "external", "status": status, "justification": judged.note}]);
    }
    result
}
