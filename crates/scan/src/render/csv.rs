//! Findings as comma-separated values (RFC 4180), for a spreadsheet.

use super::{evidence, shown};
use crate::dossier::{Dossier, mark};

const COLUMNS: [&str; 15] = [
    "severity",
    "code",
    "kind",
    "种类",
    "file",
    "cve",
    "cwe",
    "score",
    "exploited",
    "component",
    "repaired",
    "high_repaired",
    "evidence",
    "judgement",
    "fingerprint",
];

pub(super) fn sheet(dossier: &Dossier) -> String {
    // The mark at the start tells spreadsheets that this is UTF-8.
    let mut text = String::from("\u{feff}");
    line(&mut text, &COLUMNS.map(str::to_owned));
    for (group, info) in dossier.findings() {
        let english = crate::risks::RISKS
            .iter()
            .find(|risk| risk.code == group.code)
            .map_or("", |risk| risk.en);
        let cve = info.cve.as_ref();
        let repaired = |fixed: &crate::vulns::FixedVersion| {
            format!("{} {}", fixed.expression, fixed.version)
                .trim()
                .to_owned()
        };
        let told: Vec<String> = evidence(info)
            .map(|d| format!("{}: {}", d.en_name, d.value.join(", ")))
            .collect();
        line(
            &mut text,
            &[
                info.severity.english().to_owned(),
                group.code.to_string(),
                english.to_owned(),
                group.name.to_string(),
                info.filename.clone(),
                cve.map(|c| c.cve_id.clone()).unwrap_or_default(),
                cve.map(|c| c.cwe_id.clone()).unwrap_or_default(),
                cve.and_then(|c| c.impact.base_score)
                    .map(|score| format!("{score:.1}"))
                    .unwrap_or_default(),
                cve.map(|c| {
                    if dossier.exploited.contains(&c.cve_id) {
                        "yes"
                    } else {
                        ""
                    }
                })
                .unwrap_or_default()
                .to_owned(),
                cve.map(|c| c.cpe.cpe_name.clone()).unwrap_or_default(),
                cve.map(|c| repaired(&c.cpe.all_fixed_version))
                    .unwrap_or_default(),
                cve.map(|c| repaired(&c.cpe.high_critical_fixed_version))
                    .unwrap_or_default(),
                told.join("; "),
                dossier
                    .judgement(group, info)
                    .map(|j| j.status.name())
                    .unwrap_or_default()
                    .to_owned(),
                mark(group, info),
            ],
        );
    }
    text
}

fn line<const N: usize>(text: &mut String, cells: &[String; N]) {
    for (n, cell) in cells.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(&guarded(cell));
    }
    text.push_str("\r\n");
}

/// A cell that no spreadsheet takes for a formula. A leading `>` of a repair is none.
fn guarded(cell: &str) -> String {
    let cell = shown(cell);
    let starts = cell.trim_start().chars().next();
    let formula = starts.is_some_and(|c| "=+-@＝＋－＠".contains(c));
    let cell = if formula { format!("'{cell}") } else { cell };
    if cell.contains(['"', ',', ';', '\'']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(guarded("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        assert_eq!(guarded(" +1"), "\"' +1\"");
        assert_eq!(guarded("\t@x"), "\\u{9}@x");
        assert_eq!(guarded("＝1"), "\"'＝1\"");
        assert_eq!(guarded("a,\"b\"\nc"), "\"a,\"\"b\"\"\\u{a}c\"");
        assert_eq!(guarded(">= 1.2"), ">= 1.2");
    }
}
