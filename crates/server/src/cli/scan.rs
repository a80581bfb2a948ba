//! `muster scan`: what a firmware image holds and what is wrong with it.
//! The work is done by this program as another process (`inspect`); `work` is what that one does.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use model::port::Clock;
use rustix::process::{Resource, Rlimit, setrlimit};
use scan::{
    Limits,
    dossier::Dossier,
    render::{Format, Language, render},
    report::{Options, Step, scan_told},
    rules::Level,
    yara::Yara,
};
use serde_json::{Value, json};

use super::{Desk, Failure, REFUSED, USAGE, table::table};
use crate::{
    engine::WallClock,
    feeds,
    inspect::{self, GRACE},
};

#[derive(Args)]
#[command(after_help = "\
Examples:
  muster scan image.bin
  muster scan image.bin --vulns feeds/ --level 3
  muster scan image.bin --format html --out report.html
  muster scan image.bin --vulns nvdcve-2.0-2025.json.gz --json > report.json

With --json (or --format json) the report is printed as the vendor's firmware scanning describes it (document 000,
1.2.9). Feeds are files of the NVD (2.0 or 1.1), CVE 5 records, OSV, KEV, EPSS, gzipped or not;
nothing is fetched from anywhere. Without --vulns, the folder `vulns` of the data folder is read;
without --yara, its folder `yara`.")]
pub(super) struct Scan {
    /// The image.
    image: PathBuf,
    /// Feeds of vulnerabilities, or a folder of them; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    vulns: Vec<PathBuf>,
    /// YARA rules (`.yar`, `.yara`), or a folder of them; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    yara: Vec<PathBuf>,
    /// Judge graded protection 2.0 of level 2 or 3.
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=3))]
    level: Option<u8>,
    /// What to write.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Judgements of vulnerabilities, as OpenVEX: such as a scan before wrote, with what was found out.
    #[arg(long, value_name = "FILE")]
    vex: Vec<PathBuf>,
    /// Where to write it; without, it is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Which language a page shows first and a PDF is in.
    #[arg(long, value_enum, default_value = "zh")]
    lang: Tongue,
    /// Seconds after which what was found until then is reported.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// MiB of memory that the scan may take.
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(128..=1_048_576))]
    memory: u64,
    /// Do the work in this process; the program calls itself so.
    #[arg(long, hide = true)]
    worker: bool,
    /// What the image is called, when it comes as `-`.
    #[arg(long, hide = true)]
    name: Option<String>,
    /// Match a dossier that comes as `-` with other feeds.
    #[arg(long, hide = true, requires = "worker")]
    again: bool,
}

/// What to write.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For the terminal.
    Text,
    /// As the vendor's firmware scanning describes it.
    Json,
    /// One page for a browser, in both languages.
    Html,
    /// The same on paper, in one language.
    Pdf,
    /// CycloneDX 1.6: components and their vulnerabilities.
    Cyclonedx,
    /// SPDX 2.3: components.
    Spdx,
    /// OpenVEX: which vulnerabilities matter.
    Vex,
    /// SARIF 2.1.0, for collectors of findings.
    Sarif,
    /// For a spreadsheet.
    Csv,
}

impl Form {
    fn format(self) -> Option<Format> {
        Some(match self {
            Form::Text => return None,
            Form::Json => Format::Json,
            Form::Html => Format::Html,
            Form::Pdf => Format::Pdf,
            Form::Cyclonedx => Format::CycloneDx,
            Form::Spdx => Format::Spdx,
            Form::Vex => Format::Vex,
            Form::Sarif => Format::Sarif,
            Form::Csv => Format::Csv,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tongue {
    Zh,
    En,
}

pub(super) fn run(desk: &mut Desk, mut order: Scan) -> Result<ExitCode, Failure> {
    if order.worker {
        let answer = serde_json::to_string(&work(&order)?)
            .map_err(|error| refused(format!("writing the answer: {error}"), ""))?;
        desk.say(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (named, own) in [(&mut order.vulns, "vulns"), (&mut order.yara, "yara")] {
        if named.is_empty() {
            let own = desk.loaded()?.config.data.join(own);
            named.extend(own.is_dir().then_some(own));
        }
    }
    let wanted = inspect::Order {
        level: order.level,
        timeout: order.timeout,
        memory: order.memory,
        vulns: order.vulns.clone(),
        yara: order.yara.clone(),
    };
    let image = inspect::Image::File(&order.image);
    let mut dossier = inspect::inspect(&wanted, image, &mut |_| {}, &AtomicBool::new(false))
        .map_err(|broken| refused(broken.why, &broken.help))?;
    for path in &order.vex {
        let wrong = |why: String| refused(format!("{}: {why}", path.display()), "");
        let vex = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        dossier.judge(&vex).map_err(wrong)?;
    }
    let format = match order.format {
        Form::Text if desk.globals.json => Some(Format::Json),
        form => form.format(),
    };
    let language = match order.lang {
        Tongue::Zh => Language::Chinese,
        Tongue::En => Language::English,
    };
    if format == Some(Format::Pdf) && order.out.is_none() {
        let text = "a PDF is not for a terminal";
        return Err(Failure::new(USAGE, text, "name a file with --out"));
    }
    let made = match format {
        Some(format) => {
            let mut made = render(&dossier, format, language)
                .map_err(|error| refused(format!("writing the report: {error}"), ""))?;
            if format != Format::Pdf && !made.ends_with(b"\n") {
                made.push(b'\n');
            }
            made
        }
        None => {
            let answer = serde_json::to_value(&dossier)
                .map_err(|error| refused(format!("writing the report: {error}"), ""))?;
            people(&order.image, &answer["report"], &answer).into_bytes()
        }
    };
    match &order.out {
        Some(path) => fs::write(path, made)
            .map_err(|error| refused(format!("{}: {error}", path.display()), ""))?,
        None => desk.say(&String::from_utf8_lossy(&made))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(why: impl Into<String>, help: &str) -> Failure {
    Failure::new(REFUSED, why, help)
}

/// The work itself, in the worker's process.
fn work(order: &Scan) -> Result<Dossier, Failure> {
    let limit = |what, most: u64| {
        let both = Some(most);
        setrlimit(
            what,
            Rlimit {
                current: both,
                maximum: both,
            },
        )
        .map_err(|error| refused(format!("limiting the scan: {error}"), ""))
    };
    limit(Resource::As, order.memory << 20)?;
    limit(Resource::Cpu, order.timeout + GRACE.as_secs())?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    let until = Instant::now() + Duration::from_secs(order.timeout);
    let shelf = feeds::open(&order.vulns).map_err(|why| refused(why, "import the feed anew"))?;
    let yara = rules_of(&order.yara).map_err(|why| refused(why, "mend or remove the rule"))?;
    let bytes = match order.image.as_os_str() == "-" {
        true => given(order.memory << 19)?,
        false => image(&order.image, order.memory << 19)?,
    };
    // From here on nothing can be opened: no file, no connection.
    limit(Resource::Nofile, 3)?;
    if order.again {
        let dossier: Dossier = serde_json::from_slice(&bytes)
            .map_err(|error| refused(format!("reading the dossier: {error}"), ""))?;
        return Ok(dossier.matched(&shelf));
    }
    let name = match &order.name {
        Some(name) => name.as_str().into(),
        None => order
            .image
            .file_name()
            .map_or_else(|| "image".into(), |name| name.to_string_lossy()),
    };
    let memory = order.memory << 20;
    let options = Options {
        limits: Limits {
            total: memory / 2,
            file: memory / 4,
            ..Limits::default()
        },
        database: &shelf,
        level: order.level.map(|level| match level {
            2 => Level::Two,
            _ => Level::Three,
        }),
        now: WallClock.now().0,
        yara: yara.as_ref(),
    };
    let stop = || Instant::now() > until;
    let found = scan_told(&name, bytes.into(), &options, &stop, &tell);
    Ok(Dossier::of(&name, &found, options.level))
}

/// The YARA rules of files and folders; none where there are none.
fn rules_of(paths: &[PathBuf]) -> Result<Option<Yara>, String> {
    let wrong = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        for entry in fs::read_dir(path).map_err(|error| wrong(path, error))? {
            let file = entry.map_err(|error| wrong(path, error))?.path();
            let ends = ["yar", "yara"];
            if file
                .extension()
                .is_some_and(|end| ends.iter().any(|known| end == *known))
            {
                files.push(file);
            }
        }
    }
    files.sort();
    let mut texts = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).map_err(|error| wrong(file, error))?;
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        texts.push((name, text));
    }
    if texts.is_empty() {
        return Ok(None);
    }
    Yara::compile(texts.iter().map(|(name, text)| (&**name, &**text))).map(Some)
}

/// Tells whoever started this process how far it is.
fn tell(step: Step) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{}{}", inspect::STEP, step.name());
}

/// The bytes that this process is given.
fn given(most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(format!("reading the image: {error}"), ""))?;
    if bytes.len() as u64 > most {
        return Err(refused(
            "the image is larger than half of the memory that the scan may take",
            "give it more: --memory",
        ));
    }
    Ok(bytes)
}

fn image(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| refused(format!("{}: {why}", path.display()), "");
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let about = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if !about.is_file() {
        return Err(wrong("not a file".into()));
    }
    if about.len() > most {
        return Err(refused(
            format!(
                "{}: larger than half of the memory that the scan may take",
                path.display()
            ),
            "give it more: --memory",
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(error.to_string()))?;
    if bytes.is_empty() {
        return Err(wrong("empty".into()));
    }
    Ok(bytes)
}

/// The answer for people: what it is, what is in it, what is wrong, worst first.
fn people(path: &Path, report: &Value, answer: &Value) -> String {
    let basic = &report["fwBasicInfo"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut text = format!(
        "{}: {} bytes, SHA-256 {}\n",
        path.display(),
        basic["fwFileSize"],
        word(&basic["fwSha256"])
    );
    let arch = word(&basic["arch"]);
    let systems = word(&basic["filesystem"]);
    let or = |text: String| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text
        }
    };
    text += &format!(
        "Machine {}, file systems {}; {} containers opened, {} files.\n",
        or(arch),
        or(systems),
        answer["volumes"],
        answer["files"]
    );
    if let Some(limit) = answer["stopped"].as_str() {
        text += &format!("NOT everything was seen: the limit of {limit} was reached.\n");
    }
    let faults: Vec<Value> = list(&answer["faults"])
        .iter()
        .map(|fault| json!({"at": fault[0], "why": fault[1]}))
        .collect();
    if !faults.is_empty() {
        text += &format!("\nNot readable ({})\n", faults.len());
        text += &table(
            &faults[..faults.len().min(10)],
            &[("AT", "at"), ("WHY", "why")],
        );
    }
    let components: Vec<Value> = list(&answer["components"])
        .into_iter()
        .map(|c| {
            let mut c = c;
            let place = c["evidence"][0]["file"].clone();
            c["place"] = place;
            c
        })
        .collect();
    text += &format!("\nComponents ({})\n", components.len());
    text += &table(
        &components,
        &[
            ("NAME", "name"),
            ("VERSION", "version"),
            ("KNOWN BY", "method"),
            ("SURE", "confidence"),
            ("AT", "place"),
        ],
    );
    let mut rows = Vec::new();
    let mut worst = Vec::new();
    for brief in list(&report["riskStatistics"]["riskBrief"]) {
        for risk in list(&brief["risks"]) {
            rows.push(json!({"severity": brief["name"], "name": risk["riskType"], "count": risk["count"], "urgency": risk["suggestion"]}));
        }
    }
    for group in list(&report["risks"]) {
        for info in list(&group["vulnInfos"]) {
            let rank = ["严重", "高危"].iter().position(|s| info["severity"] == *s);
            let Some(rank) = rank else { continue };
            let what = match info["cve"]["cveId"].as_str() {
                Some(id) => json!(id),
                None => info["detail"][0]["value"].clone(),
            };
            let fixed = &info["cve"]["cpe"]["allFixedVersion"];
            let fixed = match fixed["version"].as_str() {
                Some(version) if !version.is_empty() => {
                    format!("{} {version}", word(&fixed["expression"]))
                }
                _ => String::new(),
            };
            worst.push((rank, json!({"severity": info["severity"], "code": group["code"], "what": what, "repaired": fixed, "at": info["filename"]})));
        }
    }
    text += "\nRisks\n";
    text += &table(
        &rows,
        &[
            ("SEVERITY", "severity"),
            ("KIND", "name"),
            ("COUNT", "count"),
            ("URGENCY", "urgency"),
        ],
    );
    worst.sort_by_key(|(rank, _)| *rank);
    let all = worst.len();
    let worst: Vec<Value> = worst.into_iter().take(40).map(|(_, row)| row).collect();
    if !worst.is_empty() {
        text += &format!("\nThe worst ({} of {all}; --json has all)\n", worst.len());
        text += &table(
            &worst,
            &[
                ("SEVERITY", "severity"),
                ("KIND", "code"),
                ("WHAT", "what"),
                ("REPAIRED", "repaired"),
                ("AT", "at"),
            ],
        );
    }
    let verdicts: Vec<Value> = list(&report["detectionRuleResult"])
        .into_iter()
        .map(|mut v| {
            v["kept"] = json!(v["status"] == "1");
            v
        })
        .collect();
    if !verdicts.is_empty() {
        text += "\nGraded protection\n";
        text += &table(
            &verdicts,
            &[
                ("RULE", "categoryCode"),
                ("CONTROL POINT", "detectionUnitName"),
                ("KEPT", "kept"),
            ],
        );
        let open: Vec<String> = list(&answer["undecided"])
            .iter()
            .map(|row| word(&row[0]))
            .collect();
        text += &format!("Not decidable from an image: {}\n", open.join(", "));
    }
    let sources = list(&answer["sources"]);
    if sources.is_empty() {
        text += "\nNo known vulnerabilities were looked for: there was no feed (--vulns).\n";
    } else {
        text += &format!("\nKnown vulnerabilities: {} from\n", answer["known"]);
        text += &table(
            &sources,
            &[("FEED", "name"), ("DATE", "date"), ("RECORDS", "records")],
        );
    }
    text
}
