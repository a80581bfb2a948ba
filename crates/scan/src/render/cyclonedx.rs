//! CycloneDX 1.6 (ECMA-424): components with where they were seen, and their vulnerabilities.

use serde_json::{Map, Value, json};

use super::{VERSION, began, purl, uuid};
use crate::{
    dossier::{Dossier, Judgement, Status},
    identify::{Component, Confidence, Method},
    report::{Cve, VulnInfo},
    vulns::Severity,
};

pub(super) fn bom(dossier: &Dossier) -> Value {
    let refs: Vec<String> = (0..dossier.components.len()).map(reference).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(dossier)),
        "version": 1,
        "metadata": {
            "timestamp": began(dossier),
            "tools": {"components": [{"type": "application", "name": "muster", "version": VERSION}]},
            "component": {
                "type": "firmware",
                "bom-ref": "image",
                "name": dossier.name,
                "hashes": [{"alg": "SHA-256", "content": dossier.report.fw_basic_info.fw_sha256}],
            },
        },
        "components": dossier.components.iter().enumerate()
            .map(|(n, component)| part(n, component)).collect::<Vec<_>>(),
        "dependencies": [{"ref": "image", "dependsOn": refs}],
        "vulnerabilities": dossier.findings()
            .filter_map(|(group, info)| {
                let cve = info.cve.as_ref()?;
                Some(vulnerability(dossier, info, cve, dossier.judgement(group, info)))
            })
            .collect::<Vec<_>>(),
    })
}

fn reference(number: usize) -> String {
    format!("component-{}", number + 1)
}

fn sure(confidence: Confidence) -> f64 {
    match confidence {
        Confidence::High => 0.9,
        Confidence::Medium => 0.6,
        Confidence::Low => 0.3,
    }
}

fn part(number: usize, component: &Component) -> Value {
    let technique = match component.method {
        Method::Package => "manifest-analysis",
        Method::Banner | Method::Module | Method::Header | Method::Symbol => "binary-analysis",
        Method::Soname => "filename",
    };
    let first = component.evidence.first().map_or("", |e| e.text.as_str());
    let mut part = Map::new();
    let kind = if component.name == "linux" {
        "operating-system"
    } else {
        "library"
    };
    part.insert("type".into(), json!(kind));
    part.insert("bom-ref".into(), json!(reference(number)));
    part.insert("name".into(), json!(component.name));
    if let Some(version) = &component.version {
        part.insert("version".into(), json!(version));
    }
    let cpe = component.cpe_name();
    if !cpe.is_empty() {
        part.insert("cpe".into(), json!(cpe));
    }
    part.insert("purl".into(), json!(purl(component)));
    if let Some(licence) = &component.licence {
        part.insert("licenses".into(), json!([{"license": {"name": licence}}]));
    }
    part.insert(
        "evidence".into(),
        json!({
            "identity": [{
                "field": if component.version.is_some() { "version" } else { "name" },
                "confidence": sure(component.confidence),
                "methods": [{"technique": technique, "confidence": sure(component.confidence), "value": first}],
            }],
            "occurrences": component.evidence.iter().map(|e| json!({
                "location": e.file, "offset": e.offset, "additionalContext": e.text,
            })).collect::<Vec<_>>(),
        }),
    );
    Value::Object(part)
}

fn vulnerability(
    dossier: &Dossier,
    info: &VulnInfo,
    cve: &Cve,
    judgement: Option<&Judgement>,
) -> Value {
    let mut entry = Map::new();
    entry.insert("id".into(), json!(cve.cve_id));
    entry.insert(
        "source".into(),
        json!({"name": "NVD", "url": format!("https://nvd.nist.gov/vuln/detail/{}", cve.cve_id)}),
    );
    let mut rating = Map::new();
    if let Some(score) = cve.impact.base_score {
        rating.insert("score".into(), json!(score));
        let method = match cve.impact.version.as_str() {
            v if v.starts_with('4') => "CVSSv4",
            "3.1" => "CVSSv31",
            v if v.starts_with('3') => "CVSSv3",
            v if v.starts_with('2') => "CVSSv2",
            _ => "other",
        };
        rating.insert("method".into(), json!(method));
        if !cve.impact.vector_string.is_empty() {
            rating.insert("vector".into(), json!(cve.impact.vector_string));
        }
    }
    let severity = match info.severity {
        Severity::Notice if cve.impact.base_score.is_none() => "unknown",
        Severity::Notice => "info",
        other => other.english(),
    };
    rating.insert("severity".into(), json!(severity));
    entry.insert("ratings".into(), json!([rating]));
    let cwes: Vec<u64> = cve
        .cwe_id
        .split(',')
        .filter_map(|c| c.trim().strip_prefix("CWE-")?.parse().ok())
        .filter(|n| *n > 0)
        .collect();
    if !cwes.is_empty() {
        entry.insert("cwes".into(), json!(cwes));
    }
    entry.insert("description".into(), json!(cve.description));
    let fixed = &cve.cpe.all_fixed_version;
    if !fixed.version.is_empty() {
        let to = format!("Go to a version {} {}.", fixed.expression, fixed.version);
        entry.insert("recommendation".into(), json!(to));
    }
    let advisories: Vec<Value> = cve
        .references
        .iter()
        .filter(|r| r.reference_url.starts_with("http"))
        .map(|r| json!({"url": r.reference_url}))
        .collect();
    if !advisories.is_empty() {
        entry.insert("advisories".into(), json!(advisories));
    }
    let (state, detail) = match judgement {
        None => ("in_triage", None),
        Some(judgement) => (
            match judgement.status {
                Status::NotAffected => "not_affected",
                Status::Affected => "exploitable",
                Status::Fixed => "resolved",
                Status::UnderInvestigation => "in_triage",
            },
            Some(format!("{} ({})", judgement.note, judgement.by)),
        ),
    };
    let mut analysis = Map::from_iter([("state".to_owned(), json!(state))]);
    if let Some(detail) = detail {
        analysis.insert("detail".into(), json!(detail));
    }
    entry.insert("analysis".into(), Value::Object(analysis));
    if let Some((number, component)) = dossier.component_of(info) {
        let version = component.version.as_deref().unwrap_or_default();
        entry.insert(
            "affects".into(),
            json!([{"ref": reference(number), "versions": [{"version": version, "status": "affected"}]}]),
        );
    }
    if dossier.exploited.contains(&cve.cve_id) {
        entry.insert(
            "properties".into(),
            json!([{"name": "muster:exploited", "value": "true"}]),
        );
    }
    Value::Object(entry)
}
