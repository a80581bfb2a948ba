//! One page for a browser, in Chinese and English. It has no script and loads nothing, and says so
//! to the browser, so that whatever an image holds can only be text. Filters and the choice of the
//! language are rules of the style sheet.

use std::collections::BTreeMap;

use super::{Language, VERSION, address, began, evidence, method, shown};
use crate::{
    dossier::Dossier,
    report::{Cve, RiskGroup, VulnInfo},
    risks::RISKS,
    rules,
    vulns::{FixedVersion, Severity},
};

const STYLE: &str = include_str!("html.css");

pub(super) fn page(dossier: &Dossier, language: Language) -> String {
    let (chinese, english) = match language {
        Language::Chinese => (" checked", ""),
        Language::English => ("", " checked"),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"referrer\" content=\"no-referrer\"><title>{}</title><style>{STYLE}</style></head><body><main>\n",
        if language == Language::Chinese {
            "zh-CN"
        } else {
            "en"
        },
        escaped(&dossier.name),
    );
    page += &format!(
        "<div class=\"tongue\"><label><input type=\"radio\" name=\"tongue\" id=\"zh\"{chinese}> 中文</label> \
         <label><input type=\"radio\" name=\"tongue\" id=\"en\"{english}> English</label></div>\n"
    );
    head(&mut page, dossier);
    tiles(&mut page, dossier);
    bars(&mut page, dossier);
    filters(&mut page);
    for group in &dossier.report.risks {
        risk(&mut page, dossier, group);
    }
    components(&mut page, dossier);
    protection(&mut page, dossier);
    rest(&mut page, dossier);
    page += &format!("<p class=\"soft\">muster {VERSION}</p>\n</main></body></html>\n");
    page
}

/// Text of a stranger, as it may stand between tags and in quoted attributes.
fn escaped(text: &str) -> String {
    let text = shown(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The same in both languages, of which the style shows one.
fn both(chinese: &str, english: &str) -> String {
    format!(
        "<span lang=\"zh-CN\">{}</span><span lang=\"en\">{}</span>",
        escaped(chinese),
        escaped(english)
    )
}

fn title(page: &mut String, chinese: &str, english: &str) {
    *page += &format!("<h2>{}</h2>\n", both(chinese, english));
}

fn badge(severity: Severity) -> String {
    format!(
        "<span class=\"badge {}\">{}</span>",
        severity.english(),
        both(severity.name(), severity.english())
    )
}

fn head(page: &mut String, dossier: &Dossier) {
    let basic = &dossier.report.fw_basic_info;
    *page += &format!(
        "<h1>{} — <span class=\"name\">{}</span></h1>\n<div class=\"card\"><dl>",
        both("固件安全检测报告", "Firmware security report"),
        escaped(&dossier.name)
    );
    let unknown = |text: &str| {
        if text.is_empty() {
            both("未知", "unknown")
        } else {
            escaped(text)
        }
    };
    let rows = [
        (
            both("文件大小", "Size"),
            format!("{} B", basic.fw_file_size),
        ),
        (
            "SHA-256".to_owned(),
            format!("<span class=\"name\">{}</span>", escaped(&basic.fw_sha256)),
        ),
        (both("处理器架构", "Machine"), unknown(&basic.arch)),
        (both("文件系统", "File systems"), unknown(&basic.filesystem)),
        (both("检测时间", "Scanned"), escaped(&began(dossier))),
        (
            both("内容", "Content"),
            both(
                &format!(
                    "{} 个容器，{} 个文件，{} 个组件",
                    dossier.volumes,
                    dossier.files,
                    dossier.components.len()
                ),
                &format!(
                    "{} containers, {} files, {} components",
                    dossier.volumes,
                    dossier.files,
                    dossier.components.len()
                ),
            ),
        ),
    ];
    for (name, value) in rows {
        *page += &format!("<dt>{name}</dt><dd>{value}</dd>");
    }
    *page += "</dl>";
    if let Some(limit) = &dossier.stopped {
        *page += &format!(
            "<p class=\"broken\">{}</p>",
            both(
                &format!("注意：达到限制（{limit}），并非全部内容都已检测。"),
                &format!("Not everything was seen: the limit of {limit} was reached."),
            )
        );
    }
    *page += "</div>\n";
}

fn tiles(page: &mut String, dossier: &Dossier) {
    *page += "<div class=\"tiles\">";
    for count in &dossier.report.risk_statistics.severity_statistics {
        *page += &format!(
            "<div class=\"tile {}\"><b>{}</b>{}</div>",
            count.name.english(),
            count.count,
            both(count.name.name(), count.name.english())
        );
    }
    *page += "</div>\n";
}

/// How many of each severity in each group of risks, as bars to one scale.
fn bars(page: &mut String, dossier: &Dossier) {
    let mut groups: BTreeMap<(&str, &str), [usize; 5]> = BTreeMap::new();
    for (group, info) in dossier.findings() {
        let counts = groups
            .entry((&group.en_category, &group.category))
            .or_default();
        counts[info.severity as usize] += 1;
    }
    let most = groups.values().map(|c| c.iter().sum::<usize>()).max();
    let Some(most) = most.filter(|most| *most > 0) else {
        *page += &format!(
            "<p class=\"card\">{}</p>\n",
            both("未发现风险。", "No risk was found.")
        );
        return;
    };
    title(page, "风险分布", "Where the risks lie");
    *page += "<div class=\"card bars\">";
    for ((english, chinese), counts) in groups {
        *page += &format!(
            "<span>{}</span><span class=\"bar\">",
            both(chinese, super::group_name(english))
        );
        for (severity, count) in Severity::ALL.into_iter().zip(counts) {
            if count > 0 {
                let share = count as f64 * 100.0 / most as f64;
                *page += &format!(
                    "<i class=\"{}\" style=\"width:{share:.2}%\" title=\"{count}\"></i>",
                    severity.english()
                );
            }
        }
        *page += &format!("</span><span>{}</span>", counts.iter().sum::<usize>());
    }
    *page += "</div>\n";
}

fn filters(page: &mut String) {
    title(page, "风险详情", "Findings");
    *page += "<div class=\"tools\">";
    for severity in Severity::ALL {
        *page += &format!(
            "<label><input type=\"checkbox\" id=\"f-{}\" checked> {}</label>",
            severity.english(),
            badge(severity)
        );
    }
    *page += &format!(
        "<label><input type=\"checkbox\" id=\"f-exploited\"> {}</label><label><input type=\"checkbox\" id=\"f-judged\"> {}</label></div>\n",
        both("仅在野利用", "exploited only"),
        both("隐藏已研判", "hide what is settled")
    );
}

fn risk(page: &mut String, dossier: &Dossier, group: &RiskGroup) {
    let known = RISKS.iter().find(|risk| risk.code == group.code);
    let (name, description, suggestion) = known.map_or(
        (&*group.name, &*group.description, &*group.suggestion),
        |risk| (risk.en, risk.description.1, risk.suggestion.1),
    );
    // Kernels have hundreds, which would hide the rest.
    let open = if group.code == "CveKernel" {
        ""
    } else {
        " open"
    };
    *page += &format!(
        "<details{open}><summary>{} ({})</summary><div class=\"in\"><p>{}</p><p>{}{}</p><table><thead><tr><th>{}</th><th>{}</th><th>{}</th></tr></thead><tbody class=\"found\">\n",
        both(&group.name, name),
        group.vuln_infos.len(),
        both(&group.description, description),
        both("建议：", "What to do: "),
        both(&group.suggestion, suggestion),
        both("等级", "Severity"),
        both("发现", "Finding"),
        both("位置", "Where"),
    );
    for info in &group.vuln_infos {
        finding(page, dossier, group, info);
    }
    *page += "</tbody></table></div></details>\n";
}

fn finding(page: &mut String, dossier: &Dossier, group: &RiskGroup, info: &VulnInfo) {
    let judgement = dossier.judgement(group, info);
    let exploited = info
        .cve
        .as_ref()
        .is_some_and(|cve| dossier.exploited.contains(&cve.cve_id));
    let settled = judgement.is_some_and(|j| j.status.settles());
    let mut told = match &info.cve {
        Some(cve) => known(cve, exploited),
        None => evidence(info)
            .map(|d| {
                format!(
                    "<div>{}: <span class=\"name\">{}</span></div>",
                    both(&d.cn_name, &d.en_name),
                    escaped(&d.value.join(", "))
                )
            })
            .collect(),
    };
    if let Some(judgement) = judgement {
        told += &format!(
            "<div class=\"soft\">{}: {} — {} ({})</div>",
            both("研判", "Judged"),
            judgement.status.name(),
            escaped(&judgement.note),
            escaped(&judgement.by)
        );
    }
    *page += &format!(
        "<tr class=\"{}{}{}\"><td>{}</td><td>{told}</td><td class=\"name\">{}</td></tr>\n",
        info.severity.english(),
        if exploited { " exploited" } else { "" },
        if settled { " judged" } else { "" },
        badge(info.severity),
        escaped(&info.filename)
    );
}

fn known(cve: &Cve, exploited: bool) -> String {
    let mut told = String::from("<div><b>");
    let id = escaped(&cve.cve_id);
    told += &match address(&cve.cve_id) {
        Some(to) => format!("<a rel=\"noreferrer\" href=\"{to}\">{id}</a>"),
        None => id,
    };
    told += "</b> ";
    match cve.impact.base_score {
        Some(score) => {
            told += &format!("CVSS {} {score:.1} ", escaped(&cve.impact.version));
        }
        None => told += &both("未评分 ", "unscored "),
    }
    if exploited {
        told += &format!(
            "<span class=\"flag\">{}</span> ",
            both("在野利用", "exploited")
        );
    }
    told += &format!("<span class=\"soft\">{}</span></div>", escaped(&cve.cwe_id));
    told += &format!("<div class=\"name\">{}</div>", escaped(&cve.cpe.cpe_name));
    told += &format!("<div lang=\"\">{}</div>", escaped(&cve.description));
    let to = |fixed: &FixedVersion, chinese: &str, english: &str| {
        if fixed.version.is_empty() {
            return String::new();
        }
        format!(
            "<div>{} <b>{} {}</b></div>",
            both(chinese, english),
            escaped(&fixed.expression),
            escaped(&fixed.version)
        )
    };
    told += &to(
        &cve.cpe.all_fixed_version,
        "修复全部漏洞的版本：",
        "Repairs everything known:",
    );
    if cve.cpe.high_critical_fixed_version != cve.cpe.all_fixed_version {
        told += &to(
            &cve.cpe.high_critical_fixed_version,
            "修复高危以上漏洞的版本：",
            "Repairs what is high or critical:",
        );
    }
    told
}

fn components(page: &mut String, dossier: &Dossier) {
    title(page, "软件组成", "Components");
    if dossier.components.is_empty() {
        *page += &format!(
            "<p class=\"card\">{}</p>\n",
            both("未识别出组件。", "None was recognised.")
        );
        return;
    }
    *page += &format!(
        "<div class=\"card\"><table><thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr></thead><tbody>\n",
        both("名称", "Name"),
        both("版本", "Version"),
        both("许可证", "Licence"),
        both("识别方式", "Known by"),
        both("位置", "Where"),
    );
    for component in &dossier.components {
        let (chinese, english) = method(component.method);
        let version = match (&component.version, &component.revision) {
            (Some(version), Some(revision)) => format!("{version}-{revision}"),
            (Some(version), None) => version.clone(),
            (None, _) => "?".into(),
        };
        *page += &format!(
            "<tr><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td><td class=\"name\">{}</td></tr>\n",
            escaped(&component.name),
            escaped(&version),
            escaped(component.licence.as_deref().unwrap_or("–")),
            both(chinese, english),
            component
                .evidence
                .iter()
                .map(|e| escaped(&e.file))
                .collect::<Vec<_>>()
                .join("<br>")
        );
    }
    *page += "</tbody></table></div>\n";
}

fn protection(page: &mut String, dossier: &Dossier) {
    let verdicts = &dossier.report.detection_rule_result;
    let Some(first) = verdicts.first() else {
        return;
    };
    title(page, &first.detection_rule_name, "Graded protection 2.0");
    *page += "<div class=\"card\"><table><tbody>\n";
    for verdict in verdicts {
        let english = rules::english(&verdict.category_code);
        let (unit, demand, solution) = english.map_or(
            (
                &*verdict.detection_unit_name,
                &*verdict.description,
                &*verdict.solution,
            ),
            |e| (e.unit, e.description, e.solution),
        );
        let breaches = verdict.breaches();
        let kept = verdict.status == "1";
        let (class, word) = if kept {
            ("kept", both("符合", "kept"))
        } else {
            ("broken", both("不符合", "broken"))
        };
        let list: String = breaches
            .iter()
            .take(20)
            .map(|b| {
                format!(
                    "<div class=\"name\">{} — {}</div>",
                    escaped(&b.risk_name),
                    escaped(&b.filename)
                )
            })
            .collect();
        let more = match breaches.len() {
            n if n > 20 => format!("<div class=\"soft\">… {n}</div>"),
            _ => String::new(),
        };
        *page += &format!(
            "<tr><td class=\"{class}\">{word}</td><td><b>{} {}</b><div>{}</div>{}{list}{more}</td></tr>\n",
            escaped(&verdict.category_code),
            both(&verdict.detection_unit_name, unit),
            both(&verdict.description, demand),
            if kept {
                String::new()
            } else {
                format!(
                    "<div>{}{}</div>",
                    both("建议：", "What to do: "),
                    both(&verdict.solution, solution)
                )
            }
        );
    }
    *page += "</tbody></table>\n";
    if !dossier.undecided.is_empty() {
        *page += &format!(
            "<p><b>{}</b></p><ul>",
            both(
                "需现场测评（固件本身无法判定）",
                "To be assessed on site: an image cannot decide these"
            )
        );
        for (code, unit) in &dossier.undecided {
            let english = rules::english(code).map_or(unit.as_str(), |e| e.unit);
            *page += &format!("<li>{} {}</li>", escaped(code), both(unit, english));
        }
        *page += "</ul>";
    }
    *page += "</div>\n";
}

/// What could not be read, and what vulnerabilities were looked for with.
fn rest(page: &mut String, dossier: &Dossier) {
    if !dossier.faults.is_empty() {
        title(page, "无法读取的内容", "What could not be read");
        *page += "<div class=\"card\"><table><tbody>";
        for (place, why) in &dossier.faults {
            *page += &format!(
                "<tr><td class=\"name\">{}</td><td>{}</td></tr>",
                escaped(place),
                escaped(why)
            );
        }
        *page += "</tbody></table></div>\n";
    }
    title(page, "漏洞数据", "Vulnerability data");
    if dossier.sources.is_empty() {
        *page += &format!(
            "<p class=\"card\">{}</p>\n",
            both(
                "未导入漏洞数据，因此未检查已知漏洞。",
                "None was imported, so no known vulnerability was looked for."
            )
        );
        return;
    }
    *page += &format!(
        "<div class=\"card\"><p>{}</p><table><tbody>",
        both(
            &format!("共 {} 条漏洞记录", dossier.known),
            &format!("{} vulnerabilities known", dossier.known)
        )
    );
    for source in &dossier.sources {
        *page += &format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&source.name),
            escaped(&source.date),
            source.records
        );
    }
    *page += "</tbody></table></div>\n";
}
