//! `muster fleet …`: what scans found, and which devices run it. `muster vulns …`: the feeds.

use super::{
    Desk, Failure, REFUSED, USAGE,
    ask::confirm,
    table::{card, table},
};
use crate::feeds;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Subcommand;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

#[derive(Subcommand)]
pub(super) enum Fleet {
    /// Say which firmware has a vulnerability, and which devices run it.
    #[command(after_help = "Example:\n  muster fleet cve CVE-2014-0160")]
    Cve {
        /// Its number.
        cve: String,
    },
    /// Say which firmware holds a component, and how many devices run it.
    #[command(after_help = "Example:\n  muster fleet component openssl --version 1.0.1f")]
    Component {
        /// Its name, as reports tell it.
        component: String,
        /// This version of it alone.
        #[arg(long)]
        version: Option<String>,
    },
    /// List what became known of firmware after it was scanned, newest first.
    News,
    /// List scans.
    Scans,
    /// Have the server scan a file.
    Scan {
        /// The file.
        image: PathBuf,
        /// For people [default: the file's name].
        #[arg(long)]
        name: Option<String>,
        /// Judge graded protection 2.0 of level 2 or 3.
        #[arg(long, value_parser = clap::value_parser!(u8).range(2..=3))]
        level: Option<u8>,
        /// Who is written to when it is over (`mail.server`).
        #[arg(long)]
        email: Option<String>,
    },
    /// Show a scan.
    Show {
        /// Its id.
        scan: String,
    },
    /// Write the report of a scan.
    #[command(after_help = "Example:\n  muster fleet report SCAN --format html --out report.html")]
    Report {
        /// Its id.
        scan: String,
        /// json, html, pdf, cyclonedx, spdx, vex, sarif or csv.
        #[arg(long, default_value = "json")]
        format: String,
        /// Which language a page shows first and a PDF is in: zh or en.
        #[arg(long, default_value = "zh")]
        lang: String,
        /// Where to; without, it is printed. A PDF needs one.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Forget a scan with its report.
    Delete {
        /// Its id.
        scan: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Write down what a finding comes to, for this scan and later ones.
    #[command(
        after_help = "Example:\n  muster fleet judge MARK not_affected \"the function is not built in\""
    )]
    Judge {
        /// Its fingerprint, as SARIF and CSV reports tell it.
        mark: String,
        /// not_affected, affected, fixed or under_investigation.
        status: String,
        /// Why.
        note: String,
    },
    /// Show or set what firmware must keep before campaigns bring it to devices.
    #[command(after_help = "\
Examples:
  muster fleet policy
  muster fleet policy --severity critical --exploited --secrets
  muster fleet policy --none")]
    Policy {
        /// No finding this bad or worse: critical, high, medium, low or notice.
        #[arg(long)]
        severity: Option<String>,
        /// No vulnerability that is being exploited.
        #[arg(long)]
        exploited: bool,
        /// No secret and no key.
        #[arg(long)]
        secrets: bool,
        /// No broken rule of graded protection 2.0 of level 2 or 3.
        #[arg(long, value_parser = clap::value_parser!(u8).range(2..=3))]
        level: Option<u8>,
        /// Nothing at all.
        #[arg(long, conflicts_with_all = ["severity", "exploited", "secrets", "level"])]
        none: bool,
    },
    /// Say whether a firmware package may go out, and what its scans found.
    Firmware {
        /// Its id.
        firmware: String,
        /// Scan its files again.
        #[arg(long)]
        again: bool,
    },
    /// Let a package go out although the policy holds it.
    Except {
        /// The package's id.
        firmware: String,
        /// Why.
        #[arg(long, required_unless_present = "withdraw")]
        reason: Option<String>,
        /// For so many days.
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Take it back.
        #[arg(long)]
        withdraw: bool,
    },
    /// Match what all scans found with the feeds as they are now.
    Rematch,
}

#[derive(Subcommand)]
pub(super) enum Vulns {
    /// Take feeds into the data folder: NVD, CVE 5, OSV, KEV, EPSS, gzipped or not.
    #[command(after_help = "\
Examples:
  muster vulns import nvdcve-2.0-2025.json.gz known_exploited_vulnerabilities.json
  muster fleet news

A feed replaces the one of the same name; of one CVE, what comes later by the order of names counts.
A server of this data folder matches what its scans found with them by itself.")]
    Import {
        /// The files.
        #[arg(required = true)]
        feeds: Vec<PathBuf>,
    },
    /// List feeds with their dates.
    List,
    /// Remove a feed.
    Remove {
        /// Its name.
        feed: String,
    },
}

const SCAN: &[(&str, &str)] = &[
    ("Scan", "id"),
    ("Name", "name"),
    ("Version", "version"),
    ("Firmware", "firmware"),
    ("State", "state"),
    ("Percent", "progress"),
    ("Why", "why"),
    ("Bytes", "size"),
    ("SHA-256", "sha256"),
    ("Critical", "found.critical"),
    ("High", "found.high"),
    ("Medium", "found.medium"),
    ("Low", "found.low"),
    ("Notice", "found.notice"),
    ("Exploited", "found.exploited"),
    ("Secrets", "found.secrets"),
    ("Components", "found.components"),
    ("Broken rules", "found.broken_rules"),
    ("Created", "created"),
    ("Ended", "ended"),
];

const SCANS: &[(&str, &str)] = &[
    ("SCAN", "id"),
    ("NAME", "name"),
    ("VERSION", "version"),
    ("FIRMWARE", "firmware"),
    ("STATE", "state"),
    ("CRITICAL", "found.critical"),
    ("HIGH", "found.high"),
    ("EXPLOITED", "found.exploited"),
    ("SECRETS", "found.secrets"),
    ("CREATED", "created"),
];

fn items(told: &Value) -> &[Value] {
    told["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(super) fn run(desk: &mut Desk, command: Fleet) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Fleet::Cve { cve } => {
            let told = client.get(&["cves", &cve], &[])?;
            desk.show(&told, |told| {
                let columns = [
                    ("FIRMWARE", "firmware"),
                    ("NAME", "name"),
                    ("PRODUCT", "product"),
                    ("VERSION", "version"),
                    ("COMPONENT", "component"),
                    ("ITS VERSION", "component_version"),
                    ("SEVERITY", "severity"),
                    ("EXPLOITED", "exploited"),
                    ("HARMLESS", "settled"),
                    ("DEVICES", "devices"),
                ];
                let mut text = table(items(told), &columns);
                for item in items(told) {
                    let names = item["names"].as_array().cloned().unwrap_or_default();
                    let rows: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
                    if !rows.is_empty() {
                        text += "\n";
                        text += &table(&rows, &[("RUN BY", "name")]);
                    }
                }
                text
            })
        }
        Fleet::Component { component, version } => {
            let query: Vec<_> = version
                .map(|version| ("version", version))
                .into_iter()
                .collect();
            let told = client.get(&["components", &component], &query)?;
            desk.show(&told, |told| {
                let columns = [
                    ("FIRMWARE", "firmware"),
                    ("NAME", "name"),
                    ("PRODUCT", "product"),
                    ("VERSION", "version"),
                    ("ITS VERSION", "component_version"),
                    ("DEVICES", "devices"),
                ];
                table(items(told), &columns)
            })
        }
        Fleet::News => {
            let told = client.get(&["scan-news"], &[])?;
            desk.show(&told, |told| {
                let rows: Vec<Value> = items(told)
                    .iter()
                    .map(|item| {
                        let mut item = item.clone();
                        item["worst"] = item["vulnerabilities"][0]["cve"].clone();
                        item["severity"] = item["vulnerabilities"][0]["severity"].clone();
                        item
                    })
                    .collect();
                let columns = [
                    ("AT", "at"),
                    ("FIRMWARE", "firmware"),
                    ("PRODUCT", "product"),
                    ("VERSION", "version"),
                    ("NEW", "count"),
                    ("THE WORST", "worst"),
                    ("SEVERITY", "severity"),
                    ("DEVICES", "devices"),
                ];
                table(&rows, &columns)
            })
        }
        Fleet::Scans => {
            let told = client.get(&["scans"], &[])?;
            desk.show(&told, |told| table(items(told), SCANS))
        }
        Fleet::Scan {
            image,
            name,
            level,
            email,
        } => {
            let wrong = |error: std::io::Error| {
                let text = format!("{}: {error}", image.display());
                Failure::new(USAGE, text, "name a file that this user may read")
            };
            let file = File::open(&image).map_err(wrong)?;
            let bytes = file.metadata().map_err(wrong)?.len();
            let called = image.file_name().unwrap_or_default().to_string_lossy();
            let query = [("name", called.clone().into_owned())];
            let upload = client.upload(&["uploads"], &query, file, bytes)?;
            let body = json!({
                "upload": upload["upload"], "name": name.unwrap_or_else(|| called.into_owned()), "level": level,
                "email": email,
            });
            let told = client.post(&["scans"], &body)?;
            desk.show(&told, |told| card(told, SCAN))
        }
        Fleet::Show { scan } => {
            let told = client.get(&["scans", &scan], &[])?;
            desk.show(&told, |told| card(told, SCAN))
        }
        Fleet::Report {
            scan,
            format,
            lang,
            out,
        } => {
            let pdf = format == "pdf";
            if pdf && out.is_none() {
                let text = "a PDF is not for a terminal";
                return Err(Failure::new(USAGE, text, "name a file with --out"));
            }
            let query = [("format", format), ("lang", lang)];
            let told = client.get(&["scans", &scan, "report"], &query)?;
            let text = told["content"].as_str().unwrap_or_default();
            let bytes = match pdf {
                true => STANDARD.decode(text).map_err(|error| {
                    let text = format!("the server's answer is no PDF: {error}");
                    Failure::new(REFUSED, text, "use a client of the server's version")
                })?,
                false => text.as_bytes().to_vec(),
            };
            match out {
                Some(path) => fs::write(&path, bytes).map_err(|error| {
                    let text = format!("{}: {error}", path.display());
                    Failure::new(REFUSED, text, "name a file that this user may write")
                }),
                None => desk.say(&format!("{text}\n")),
            }
        }
        Fleet::Delete { scan, yes } => {
            confirm(desk, yes, &format!("forget scan {scan} with its report?"))?;
            client.delete(&["scans", &scan])?;
            desk.show(&json!({"deleted": scan}), |_| "Deleted.\n".into())
        }
        Fleet::Judge { mark, status, note } => {
            let body = json!({"mark": mark, "status": status, "note": note});
            client.post(&["scans", "judgements"], &body)?;
            desk.show(&body, |_| "Written down.\n".into())
        }
        Fleet::Policy {
            severity,
            exploited,
            secrets,
            level,
            none,
        } => {
            let asked = severity.is_some() || exploited || secrets || level.is_some() || none;
            let told = match asked {
                false => client.get(&["scan-policy"], &[])?,
                true => {
                    let body = json!({
                        "severity": severity, "exploited": exploited, "secrets": secrets, "level": level,
                    });
                    client.put(&["scan-policy"], &body)?
                }
            };
            desk.show(&told, |told| {
                let fields = [
                    ("No finding that is", "severity"),
                    ("None that is exploited", "exploited"),
                    ("No secrets", "secrets"),
                    ("Rules of level", "level"),
                ];
                card(told, &fields)
            })
        }
        Fleet::Firmware { firmware, again } => {
            let path = ["firmware", firmware.as_str(), "scans"];
            let told = match again {
                true => client.post(&path, &json!({}))?,
                false => client.get(&path, &[])?,
            };
            desk.show(&told, |told| {
                let fields = [
                    ("Verdict", "verdict"),
                    ("Why", "why"),
                    ("Exception", "exception.reason"),
                    ("Signed by", "exception.by"),
                    ("Until", "exception.until"),
                ];
                let scans = told["scans"].as_array().map(Vec::as_slice);
                card(told, &fields) + "\n" + &table(scans.unwrap_or_default(), SCANS)
            })
        }
        Fleet::Except {
            firmware,
            reason,
            days,
            withdraw,
        } => {
            let path = ["firmware", firmware.as_str(), "exception"];
            if withdraw {
                client.delete(&path)?;
                return desk.show(&json!({"withdrawn": firmware}), |_| "Withdrawn.\n".into());
            }
            let told = client.put(&path, &json!({"reason": reason, "days": days}))?;
            desk.show(&told, |told| {
                card(
                    told,
                    &[
                        ("Reason", "reason"),
                        ("Signed by", "by"),
                        ("Until", "until"),
                    ],
                )
            })
        }
        Fleet::Rematch => {
            let told = client.post(&["scans", "rematch"], &json!({}))?;
            desk.show(&told, |told| {
                let columns = [
                    ("SCAN", "scan"),
                    ("NAME", "name"),
                    ("FIRMWARE", "firmware"),
                    ("NEW", "new"),
                ];
                format!(
                    "{} scans matched.\n\n{}",
                    told["scans"],
                    table(items(told), &columns)
                )
            })
        }
    }
}

pub(super) fn run_vulns(desk: &mut Desk, command: Vulns) -> Result<(), Failure> {
    let folder = desk.loaded()?.config.data.join("vulns");
    let failed =
        |path: &Path, why: String| Failure::new(REFUSED, format!("{}: {why}", path.display()), "");
    match command {
        Vulns::Import { feeds: named } => {
            let mut taken = Vec::new();
            for feed in named {
                let name = feed
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let file = File::open(&feed).map_err(|error| failed(&feed, error.to_string()))?;
                taken.push(feeds::take(&folder, &name, file).map_err(|why| failed(&feed, why))?);
            }
            sources(desk, &taken)
        }
        Vulns::List => {
            let folders: Vec<PathBuf> = folder.is_dir().then_some(folder).into_iter().collect();
            let shelf = feeds::open(&folders);
            let shelf = shelf.map_err(|why| Failure::new(REFUSED, why, "import the feed anew"))?;
            sources(desk, &shelf.sources())
        }
        Vulns::Remove { feed } => {
            let removed = feeds::remove(&folder, &feed);
            if !removed.map_err(|why| failed(&folder, why))? {
                let text = format!("there is no feed {feed}");
                return Err(Failure::new(
                    REFUSED,
                    text,
                    "`muster vulns list` names them",
                ));
            }
            desk.show(&json!({"removed": feed}), |_| "Removed.\n".into())
        }
    }
}

fn sources(desk: &mut Desk, all: &[scan::vulns::Source]) -> Result<(), Failure> {
    let told = json!({"items": all});
    desk.show(&told, |told| {
        table(
            items(told),
            &[("FEED", "name"), ("DATE", "date"), ("RECORDS", "records")],
        )
    })
}
