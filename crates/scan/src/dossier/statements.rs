//! Judgements that come from elsewhere: statements of an OpenVEX document (0.2.0).

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Dossier, Judgement, Status, mark};
use crate::render::purl;

/// What of a document counts.
#[derive(Deserialize)]
struct Document {
    author: String,
    timestamp: String,
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    vulnerability: Name,
    status: Status,
    timestamp: Option<String>,
    #[serde(default)]
    products: Vec<Product>,
    justification: Option<String>,
    impact_statement: Option<String>,
    action_statement: Option<String>,
    status_notes: Option<String>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Product {
    #[serde(default)]
    subcomponents: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "@id")]
    id: Option<String>,
}

/// Bytes of a note at most.
const NOTE: usize = 2_048;

impl Statement {
    /// Whether it speaks of the component of this package URL: one that names no component speaks of
    /// all.
    fn about(&self, purl: Option<&str>) -> bool {
        let mut parts = self
            .products
            .iter()
            .flat_map(|p| &p.subcomponents)
            .peekable();
        parts.peek().is_none() || parts.any(|part| part.id.as_deref() == purl)
    }

    fn judgement(&self, document: &Document) -> Judgement {
        let told = [
            &self.impact_statement,
            &self.action_statement,
            &self.status_notes,
            &self.justification,
        ];
        let mut note = told
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default();
        let end = (0..=NOTE.min(note.len()))
            .rev()
            .find(|n| note.is_char_boundary(*n));
        note.truncate(end.unwrap_or_default());
        let at = self.timestamp.as_ref().unwrap_or(&document.timestamp);
        let at = OffsetDateTime::parse(at, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Judgement {
            status: self.status,
            note,
            by: document.author.chars().take(256).collect(),
            at: at.unix_timestamp() * 1000,
        }
    }
}

impl Dossier {
    /// Takes the statements of an OpenVEX document as judgements of the findings that they speak of;
    /// how many findings were judged. What says no more than that nobody looked yet judges nothing.
    ///
    /// # Errors
    /// When it is no such document.
    pub fn judge(&mut self, vex: &[u8]) -> Result<usize, String> {
        let document: Document = serde_json::from_slice(vex)
            .map_err(|error| format!("not an OpenVEX document: {error}"))?;
        let mut judgements = Vec::new();
        for (group, info) in self.findings() {
            let Some(cve) = &info.cve else { continue };
            let purl = self
                .component_of(info)
                .map(|(_, component)| purl(component));
            let told = document.statements.iter().rev().find(|statement| {
                statement.vulnerability.name == cve.cve_id && statement.about(purl.as_deref())
            });
            let Some(told) = told else { continue };
            let judgement = told.judgement(&document);
            if judgement.status != Status::UnderInvestigation || !judgement.note.is_empty() {
                judgements.push((mark(group, info), judgement));
            }
        }
        let count = judgements.len();
        self.judgements.extend(judgements);
        Ok(count)
    }
}

/// Reads `data` as an OpenVEX document.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(document) = serde_json::from_slice::<Document>(data) {
        for statement in &document.statements {
            let judgement = statement.judgement(&document);
            assert!(judgement.note.len() <= NOTE);
            statement.about(Some("pkg:generic/a@1"));
        }
    }
}
