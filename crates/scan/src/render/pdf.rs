//! The report as a PDF: what the page for a browser says, in one language, on A4. Text is text that
//! can be marked and searched, its typeface is in the file, and nothing in it acts; the only addresses
//! are those of the NVD.

mod face;
mod sheet;

use std::collections::BTreeMap;

use krilla::metadata::{DateTime, Metadata};
use time::OffsetDateTime;

use self::{
    face::Face,
    sheet::{BLACK, Cell, Ink, LEFT, LINE, Paragraph, ROOM, SOFT, Sheet, Span, Style},
};
use super::{Language, VERSION, address, began, evidence, method, shown, uuid};
use crate::{
    dossier::Dossier,
    report::{Cve, RiskGroup, VulnInfo},
    risks::RISKS,
    rules,
    vulns::{FixedVersion, Severity},
};

/// No report has more pages; what is left out is in the other documents, and said to be.
const PAGES: usize = 2_000;
const GOOD: Ink = (47, 133, 90);
const BODY: Style = Style {
    size: 9.0,
    ink: BLACK,
    bold: false,
};

fn tone(severity: Severity) -> Ink {
    match severity {
        Severity::Critical => (163, 18, 58),
        Severity::High => (217, 72, 15),
        Severity::Medium => (183, 121, 31),
        Severity::Low => (43, 108, 176),
        Severity::Notice => (104, 112, 127),
    }
}

pub(super) fn document(dossier: &Dossier, language: Language) -> Result<Vec<u8>, String> {
    let mut writer = Writer {
        sheet: Sheet::new(Face::read()?),
        dossier,
        language,
    };
    writer.head();
    writer.tiles();
    writer.bars();
    writer.findings();
    writer.components();
    writer.protection();
    writer.rest();
    let title = format!(
        "{} — {}",
        writer.say("固件安全检测报告", "Firmware security report"),
        shown(&dossier.name)
    );
    let metadata = Metadata::new()
        .title(title.clone())
        .creator(format!("muster {VERSION}"))
        .language(writer.say("zh-CN", "en").to_owned())
        .creation_date(date(dossier))
        .document_id(uuid(dossier));
    writer
        .sheet
        .paint(metadata, &format!("{title} · muster {VERSION}"))
}

fn date(dossier: &Dossier) -> DateTime {
    let seconds = dossier.report.fw_basic_info.scan_start_time / 1000;
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    DateTime::new(u16::try_from(at.year()).unwrap_or(1970))
        .month(at.month().into())
        .day(at.day())
        .hour(at.hour())
        .minute(at.minute())
        .second(at.second())
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

struct Writer<'a> {
    sheet: Sheet,
    dossier: &'a Dossier,
    language: Language,
}

/// A stranger's text of that look.
fn text(text: &str, style: Style) -> Span {
    Span::new(shown(text), style)
}

fn plain(words: &str) -> Paragraph {
    vec![text(words, BODY)]
}

fn soft(words: &str) -> Paragraph {
    vec![text(words, Style { ink: SOFT, ..BODY })]
}

fn bold(words: &str) -> Span {
    text(words, Style { bold: true, ..BODY })
}

impl Writer<'_> {
    /// The words of the language that is written.
    fn say<'w>(&self, chinese: &'w str, english: &'w str) -> &'w str {
        match self.language {
            Language::Chinese => chinese,
            Language::English => english,
        }
    }

    fn severity(&self, severity: Severity) -> &'static str {
        match self.language {
            Language::Chinese => severity.name(),
            Language::English => severity.english(),
        }
    }

    fn title(&mut self, chinese: &str, english: &str) {
        let words = self.say(chinese, english).to_owned();
        self.sheet.down(12.0);
        let style = Style {
            size: 13.0,
            ink: BLACK,
            bold: true,
        };
        self.sheet.title(text(&words, style));
        self.sheet.down(3.0);
    }

    fn line(&mut self, paragraph: Paragraph) {
        self.sheet.row(&[(ROOM, vec![paragraph])], None);
    }

    fn head(&mut self) {
        let dossier = self.dossier;
        let basic = &dossier.report.fw_basic_info;
        let large = Style {
            size: 19.0,
            ink: BLACK,
            bold: true,
        };
        let words = self.say("固件安全检测报告", "Firmware security report");
        let (first, name) = (
            text(words, large),
            text(
                &dossier.name,
                Style {
                    size: 12.0,
                    ink: SOFT,
                    bold: false,
                },
            ),
        );
        self.sheet.title(first);
        self.line(vec![name]);
        self.sheet.down(6.0);
        self.sheet.rule();
        let unknown = |value: &str| match value {
            "" => self.say("未知", "unknown").to_owned(),
            value => value.to_owned(),
        };
        let (volumes, files) = (dossier.volumes, dossier.files);
        let parts = dossier.components.len();
        let rows = [
            (("文件大小", "Size"), format!("{} B", basic.fw_file_size)),
            (("SHA-256", "SHA-256"), basic.fw_sha256.clone()),
            (("处理器架构", "Machine"), unknown(&basic.arch)),
            (("文件系统", "File systems"), unknown(&basic.filesystem)),
            (("检测时间", "Scanned"), began(dossier)),
            (
                ("内容", "Content"),
                match self.language {
                    Language::Chinese => {
                        format!("{volumes} 个容器，{files} 个文件，{parts} 个组件")
                    }
                    Language::English => {
                        format!("{volumes} containers, {files} files, {parts} components")
                    }
                },
            ),
        ];
        for ((chinese, english), value) in rows {
            let name = self.say(chinese, english);
            let cells: [Cell; 2] = [(84.0, vec![soft(name)]), (ROOM - 84.0, vec![plain(&value)])];
            self.sheet.row(&cells, None);
        }
        if let Some(limit) = &dossier.stopped {
            let words = match self.language {
                Language::Chinese => format!("注意：达到限制（{limit}），并非全部内容都已检测。"),
                Language::English => {
                    format!("Not everything was seen: the limit of {limit} was reached.")
                }
            };
            let ink = tone(Severity::Critical);
            self.line(vec![text(&words, Style { ink, ..BODY })]);
        }
    }

    /// How many of each severity.
    fn tiles(&mut self) {
        self.sheet.down(10.0);
        self.sheet.need(60.0);
        let wide = (ROOM - 4.0 * 8.0) / 5.0;
        for (n, count) in self
            .dossier
            .report
            .risk_statistics
            .severity_statistics
            .iter()
            .enumerate()
        {
            let x = LEFT + n as f32 * (wide + 8.0);
            let ink = tone(count.name);
            self.sheet.bar(x, 0.0, wide, 46.0, (246, 247, 250));
            self.sheet.bar(x, 0.0, wide, 2.5, ink);
            let number = Style {
                size: 18.0,
                ink,
                bold: true,
            };
            let name = Style {
                size: 8.5,
                ink: SOFT,
                bold: false,
            };
            for (down, span) in [
                (8.0, Span::new(count.count.to_string(), number)),
                (31.0, text(self.severity(count.name), name)),
            ] {
                let free = (wide - self.sheet.width(&span)).max(0.0);
                self.sheet.put(x + free / 2.0, down, wide, span);
            }
        }
        self.sheet.down(56.0);
    }

    /// How many of each severity in each group of risks, as bars to one scale.
    fn bars(&mut self) {
        let mut groups: BTreeMap<(&str, &str), [usize; 5]> = BTreeMap::new();
        for (group, info) in self.dossier.findings() {
            let counts = groups
                .entry((&group.en_category, &group.category))
                .or_default();
            counts[info.severity as usize] += 1;
        }
        let most = groups.values().map(|c| c.iter().sum::<usize>()).max();
        let Some(most) = most.filter(|most| *most > 0) else {
            let words = self.say("未发现风险。", "No risk was found.");
            self.line(plain(words));
            return;
        };
        self.title("风险分布", "Where the risks lie");
        for ((english, chinese), counts) in groups {
            self.sheet.need(16.0);
            let english = super::group_name(english);
            let name = text(self.say(chinese, english), BODY);
            self.sheet.put(LEFT, 1.0, 104.0, name);
            let room = ROOM - 110.0 - 40.0;
            self.sheet.bar(LEFT + 110.0, 2.5, room, 9.0, LINE);
            let mut x = LEFT + 110.0;
            for (severity, count) in Severity::ALL.into_iter().zip(counts) {
                let wide = room * count as f32 / most as f32;
                if count > 0 {
                    self.sheet.bar(x, 2.5, wide, 9.0, tone(severity));
                    x += wide;
                }
            }
            let all = Span::new(counts.iter().sum::<usize>().to_string(), BODY);
            let free = 40.0 - self.sheet.width(&all);
            self.sheet.put(LEFT + ROOM - 40.0 + free, 1.0, 40.0, all);
            self.sheet.down(15.0);
        }
    }

    fn findings(&mut self) {
        self.title("风险详情", "Findings");
        for group in &self.dossier.report.risks {
            let known = RISKS.iter().find(|risk| risk.code == group.code);
            let english = known.map_or(
                (&*group.name, &*group.description, &*group.suggestion),
                |risk| (risk.en, risk.description.1, risk.suggestion.1),
            );
            self.sheet.down(7.0);
            self.sheet.need(80.0);
            let name = self.say(&group.name, english.0);
            let style = Style {
                size: 10.5,
                ink: BLACK,
                bold: true,
            };
            let title = format!("{name} ({})", group.vuln_infos.len());
            self.line(vec![text(&title, style)]);
            let about = self.say(&group.description, english.1).to_owned();
            self.line(soft(&about));
            let what = self.say("建议：", "What to do: ").to_owned();
            let what = what + self.say(&group.suggestion, english.2);
            self.line(soft(&what));
            self.sheet.down(3.0);
            for info in &group.vuln_infos {
                if self.sheet.pages() >= PAGES {
                    let words = self.say(
                        "其余发现未列入本文档，请查看其他格式的报告。",
                        "What is left is not in this document; see the report in another format.",
                    );
                    self.line(vec![bold(words)]);
                    return;
                }
                self.finding(group, info);
            }
        }
    }

    fn finding(&mut self, group: &RiskGroup, info: &VulnInfo) {
        let dossier = self.dossier;
        let exploited = info
            .cve
            .as_ref()
            .is_some_and(|cve| dossier.exploited.contains(&cve.cve_id));
        let mut told: Vec<Paragraph> = match &info.cve {
            Some(cve) => self.known(cve, exploited),
            None => evidence(info)
                .map(|d| {
                    let name = self.say(&d.cn_name, &d.en_name);
                    plain(&format!("{name}: {}", d.value.join(", ")))
                })
                .collect(),
        };
        if let Some(judgement) = dossier.judgement(group, info) {
            told.push(soft(&format!(
                "{}: {} — {} ({})",
                self.say("研判", "Judged"),
                judgement.status.name(),
                judgement.note,
                judgement.by
            )));
        }
        let ink = tone(info.severity);
        let badge = Style {
            ink,
            bold: true,
            ..BODY
        };
        let place = Style {
            size: 8.0,
            ink: SOFT,
            bold: false,
        };
        let cells: [Cell; 3] = [
            (46.0, vec![vec![text(self.severity(info.severity), badge)]]),
            (300.0, told),
            (ROOM - 346.0, vec![vec![text(&info.filename, place)]]),
        ];
        self.sheet.row(&cells, Some(ink));
        self.sheet.rule();
    }

    fn known(&self, cve: &Cve, exploited: bool) -> Vec<Paragraph> {
        let grey = Style { ink: SOFT, ..BODY };
        let id = match address(&cve.cve_id) {
            Some(to) => {
                let ink = tone(Severity::Low);
                let style = Style {
                    ink,
                    bold: true,
                    ..BODY
                };
                text(&cve.cve_id, style).to(to)
            }
            None => bold(&cve.cve_id),
        };
        let score = match cve.impact.base_score {
            Some(score) => format!(" CVSS {} {score:.1} ", cve.impact.version),
            None => format!(" {} ", self.say("未评分", "unscored")),
        };
        let mut first = vec![id, text(&score, BODY)];
        if exploited {
            let ink = tone(Severity::Critical);
            let words = self.say("在野利用 ", "exploited ");
            first.push(text(
                words,
                Style {
                    ink,
                    bold: true,
                    ..BODY
                },
            ));
        }
        first.push(text(&cve.cwe_id, grey));
        let mut told = vec![first, soft(&cve.cpe.cpe_name), plain(&cve.description)];
        let mut to = |fixed: &FixedVersion, words: &str| {
            if !fixed.version.is_empty() {
                let version = format!("{} {}", fixed.expression, fixed.version);
                told.push(vec![text(&format!("{words} "), BODY), bold(&version)]);
            }
        };
        to(
            &cve.cpe.all_fixed_version,
            self.say("修复全部漏洞的版本：", "Repairs everything known:"),
        );
        if cve.cpe.high_critical_fixed_version != cve.cpe.all_fixed_version {
            to(
                &cve.cpe.high_critical_fixed_version,
                self.say(
                    "修复高危以上漏洞的版本：",
                    "Repairs what is high or critical:",
                ),
            );
        }
        told.retain(|paragraph| !paragraph.is_empty());
        told
    }

    /// A row of a table whose columns have these widths.
    fn table(&mut self, widths: &[f32], cells: Vec<Vec<Paragraph>>) {
        let cells: Vec<Cell> = widths.iter().copied().zip(cells).collect();
        self.sheet.row(&cells, None);
        self.sheet.rule();
    }

    fn components(&mut self) {
        self.title("软件组成", "Components");
        let dossier = self.dossier;
        if dossier.components.is_empty() {
            let words = self.say("未识别出组件。", "None was recognised.");
            self.line(plain(words));
            return;
        }
        let widths = [105.0, 90.0, 86.0, 80.0, ROOM - 361.0];
        let heads = [
            ("名称", "Name"),
            ("版本", "Version"),
            ("许可证", "Licence"),
            ("识别方式", "Known by"),
            ("位置", "Where"),
        ];
        let heads = heads.map(|(chinese, english)| vec![soft(self.say(chinese, english))]);
        self.table(&widths, heads.into());
        let place = Style {
            size: 8.0,
            ink: SOFT,
            bold: false,
        };
        for component in &dossier.components {
            let (chinese, english) = method(component.method);
            let version = match (&component.version, &component.revision) {
                (Some(version), Some(revision)) => format!("{version}-{revision}"),
                (Some(version), None) => version.clone(),
                (None, _) => "?".into(),
            };
            let by = self.say(chinese, english);
            let places = component.evidence.iter();
            let cells = vec![
                vec![vec![bold(&component.name)]],
                vec![plain(&version)],
                vec![plain(component.licence.as_deref().unwrap_or("–"))],
                vec![plain(by)],
                places.map(|e| vec![text(&e.file, place)]).collect(),
            ];
            self.table(&widths, cells);
        }
    }

    fn protection(&mut self) {
        let dossier = self.dossier;
        let verdicts = &dossier.report.detection_rule_result;
        let Some(first) = verdicts.first() else {
            return;
        };
        // The title stays with the first verdict, which may be long.
        self.sheet.need(260.0);
        self.title(&first.detection_rule_name, "Graded protection 2.0");
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
            let kept = verdict.status == "1";
            let (ink, word) = if kept {
                (GOOD, self.say("符合", "kept"))
            } else {
                (tone(Severity::Critical), self.say("不符合", "broken"))
            };
            let name = self.say(&verdict.detection_unit_name, unit);
            let name = format!("{} {name}", verdict.category_code);
            let mut told = vec![
                vec![bold(&name)],
                plain(self.say(&verdict.description, demand)),
            ];
            if !kept {
                let what = self.say("建议：", "What to do: ").to_owned();
                told.push(plain(&(what + self.say(&verdict.solution, solution))));
            }
            let breaches = verdict.breaches();
            for breach in breaches.iter().take(20) {
                told.push(soft(&format!("{} — {}", breach.risk_name, breach.filename)));
            }
            if breaches.len() > 20 {
                told.push(soft(&format!("… {}", breaches.len())));
            }
            let status = vec![vec![text(
                word,
                Style {
                    ink,
                    bold: true,
                    ..BODY
                },
            )]];
            self.table(&[54.0, ROOM - 54.0], vec![status, told]);
        }
        if !dossier.undecided.is_empty() {
            let words = self.say(
                "需现场测评（固件本身无法判定）",
                "To be assessed on site: an image cannot decide these",
            );
            self.sheet.need(60.0);
            self.line(vec![bold(words)]);
            for (code, unit) in &dossier.undecided {
                let english = rules::english(code).map_or(unit.as_str(), |e| e.unit);
                let words = format!("• {code} {}", self.say(unit, english));
                self.line(plain(&words));
            }
        }
    }

    /// What could not be read, and what vulnerabilities were looked for with.
    fn rest(&mut self) {
        let dossier = self.dossier;
        if !dossier.faults.is_empty() {
            self.title("无法读取的内容", "What could not be read");
            for (place, why) in &dossier.faults {
                let cells = vec![vec![plain(place)], vec![soft(why)]];
                self.table(&[ROOM / 2.0, ROOM / 2.0], cells);
            }
        }
        self.title("漏洞数据", "Vulnerability data");
        if dossier.sources.is_empty() {
            let words = self.say(
                "未导入漏洞数据，因此未检查已知漏洞。",
                "None was imported, so no known vulnerability was looked for.",
            );
            self.line(plain(words));
            return;
        }
        let words = match self.language {
            Language::Chinese => format!("共 {} 条漏洞记录", dossier.known),
            Language::English => format!("{} vulnerabilities known", dossier.known),
        };
        self.line(plain(&words));
        self.sheet.rule();
        for source in &dossier.sources {
            let cells = vec![
                vec![plain(&source.name)],
                vec![plain(&source.date)],
                vec![plain(&source.records.to_string())],
            ];
            self.table(&[ROOM - 230.0, 160.0, 70.0], cells);
        }
    }
}
