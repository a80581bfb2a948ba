//! OpenVEX 0.2.0: for each vulnerability whether the image is affected, as far as somebody judged.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{VERSION, began, percent, purl, uuid};
use crate::dossier::{Dossier, Status};

pub(super) fn document(dossier: &Dossier) -> Value {
    let image = format!(
        "pkg:generic/{}?checksum=sha256:{}",
        percent(&dossier.name),
        dossier.report.fw_basic_info.fw_sha256
    );
    let mut statements: Vec<Value> = dossier
        .findings()
        .filter_map(|(group, info)| {
            let cve = info.cve.as_ref()?;
            let judgement = dossier.judgement(group, info);
            let status = judgement.map_or(Status::UnderInvestigation, |j| j.status);
            let mut statement = Map::from_iter([
                ("vulnerability".to_owned(), json!({"name": cve.cve_id})),
                ("status".to_owned(), json!(status.name())),
            ]);
            let part = dossier.component_of(info).map(|(_, c)| purl(c));
            let parts: Vec<Value> = part
                .into_iter()
                .map(|id| json!({"@id": id, "identifiers": {"purl": id}}))
                .collect();
            statement.insert(
                "products".into(),
                json!([{"@id": image, "subcomponents": parts}]),
            );
            if let Some(judgement) = judgement {
                // Which field a status demands is the format's.
                let field = match status {
                    Status::NotAffected => "impact_statement",
                    Status::Affected => "action_statement",
                    Status::Fixed | Status::UnderInvestigation => "status_notes",
                };
                statement.insert(field.into(), json!(judgement.note));
                let at = OffsetDateTime::from_unix_timestamp(judgement.at / 1000)
                    .unwrap_or(OffsetDateTime::UNIX_EPOCH);
                let at = at.format(&Rfc3339).unwrap_or_default();
                statement.insert("timestamp".into(), json!(at));
            }
            Some(Value::Object(statement))
        })
        .collect();
    // Two copies of a component are one here; the format wants nothing said twice.
    let mut said = BTreeSet::new();
    statements.retain(|statement| said.insert(statement.to_string()));
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("urn:uuid:{}", uuid(dossier)),
        "author": "muster",
        "timestamp": began(dossier),
        "version": 1,
        "tooling": format!("muster {VERSION}"),
        "statements": statements,
    })
}
