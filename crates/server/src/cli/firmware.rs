//! `muster firmware …` and `muster campaign …`

use super::{
    Desk, Failure, USAGE,
    ask::{Progress, confirm},
    table::{card, table},
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::{fs::File, path::PathBuf, thread, time::Duration};

/// How often a campaign is looked at while it is watched.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Subcommand)]
pub(super) enum Firmware {
    /// Upload files and make a package of them.
    #[command(after_help = "\
Examples:
  muster firmware upload PRODUCT_KEY 2.0.0 build/thermometer.bin
  muster firmware upload PRODUCT_KEY 7 modem.bin --module modem --sha256 --no-verify")]
    Upload {
        /// Product key.
        product: String,
        /// The version that devices have afterwards.
        version: String,
        /// One file, or several.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// For people [default: the first file's name and the version].
        #[arg(long)]
        name: Option<String>,
        /// The module; the whole device when it is left out.
        #[arg(long)]
        module: Option<String>,
        /// The version that it is a difference to.
        #[arg(long, value_name = "VERSION")]
        difference_to: Option<String>,
        /// Devices check it by SHA-256 instead of MD5.
        #[arg(long)]
        sha256: bool,
        /// It needs not be tried on chosen devices first.
        #[arg(long)]
        no_verify: bool,
    },
    /// List packages.
    List {
        /// Only of this product.
        product: Option<String>,
    },
    /// Show a package.
    Show {
        /// Its id.
        firmware: String,
    },
    /// Delete a package with its files.
    Delete {
        /// Its id.
        firmware: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show which versions a device reported.
    Versions {
        /// Product key.
        product: String,
        /// Device name.
        device: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Campaign {
    /// Bring a package to devices.
    #[command(after_help = "\
Examples:
  muster campaign create FIRMWARE PRODUCT_KEY --verify --device kitchen
  muster campaign create FIRMWARE PRODUCT_KEY --gray 5 --per-minute 60 --stop-percent 10 --watch
  muster campaign create FIRMWARE PRODUCT_KEY --dynamic --only-version 1.0.0")]
    Create(Box<NewCampaign>),
    /// List campaigns.
    List {
        /// Only of this package.
        firmware: Option<String>,
    },
    /// Show a campaign and how far it is.
    Show {
        /// Its id.
        campaign: String,
        /// Go on until it is over.
        #[arg(long)]
        watch: bool,
    },
    /// List devices of a campaign.
    Tasks {
        /// Its id.
        campaign: String,
        /// Only those that stand here, such as failed.
        #[arg(long)]
        state: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        most: u64,
    },
    /// Call a campaign off.
    Cancel {
        /// Its id.
        campaign: String,
        /// Also for devices that were told of it already.
        #[arg(long)]
        told: bool,
    },
    /// Change how fast a campaign goes.
    Pace {
        /// Its id.
        campaign: String,
        /// Devices a minute.
        #[arg(long)]
        per_minute: Option<u32>,
        /// Minutes until a device that was told has failed.
        #[arg(long)]
        timeout: Option<u32>,
    },
    /// Say yes to devices that wait for it.
    Confirm {
        /// The campaign's id.
        campaign: String,
        /// Ids of its tasks.
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// Try devices again that failed.
    Again {
        /// The campaign's id.
        campaign: String,
        /// Ids of its tasks.
        #[arg(required = true)]
        tasks: Vec<String>,
    },
}

#[derive(Args)]
pub(super) struct NewCampaign {
    /// The package's id.
    firmware: String,
    /// Product key.
    product: String,
    /// Try the package on the devices that are named.
    #[arg(long, requires = "device", conflicts_with = "dynamic")]
    verify: bool,
    /// Take devices that come later, too.
    #[arg(long)]
    dynamic: bool,
    /// With --dynamic: leave out devices that there are.
    #[arg(long, requires = "dynamic")]
    only_later: bool,
    /// This device (may be given several times).
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
    /// So many percent of all devices.
    #[arg(long, value_name = "PERCENT")]
    gray: Option<f64>,
    /// Devices that bear this tag (may be given several times).
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Devices of this group.
    #[arg(long)]
    group: Option<String>,
    /// Only devices with this version (may be given several times).
    #[arg(long, value_name = "VERSION")]
    only_version: Vec<String>,
    /// Only devices with this version or a later one.
    #[arg(long, value_name = "VERSION")]
    version_from: Option<String>,
    /// Only devices with a version before this one.
    #[arg(long, value_name = "VERSION")]
    version_below: Option<String>,
    /// When it begins: 2026-01-31T12:00:00Z or milliseconds.
    #[arg(long)]
    start: Option<String>,
    /// When it ends whatever is left.
    #[arg(long)]
    end: Option<String>,
    /// Devices told in a minute, at most.
    #[arg(long)]
    per_minute: Option<u32>,
    /// How often a device is tried again.
    #[arg(long)]
    retries: Option<u32>,
    /// Minutes until a device is tried again; twice as long each time.
    #[arg(long)]
    retry_minutes: Option<u32>,
    /// Minutes until a device that was told has failed.
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<u32>,
    /// Stop when so many percent of the devices that are done failed.
    #[arg(long, value_name = "PERCENT")]
    stop_percent: Option<u32>,
    /// Take devices from campaigns that have not begun with them.
    #[arg(long)]
    overrides: bool,
    /// Do not tell devices; they ask.
    #[arg(long)]
    no_push: bool,
    /// Wait for a yes for each device.
    #[arg(long)]
    confirm: bool,
    /// Devices fetch it over MQTT.
    #[arg(long)]
    over_mqtt: bool,
    /// Show how far it is until it is over.
    #[arg(long)]
    watch: bool,
}

const CARD: &[(&str, &str)] = &[
    ("Firmware", "id"),
    ("Product key", "product"),
    ("Name", "name"),
    ("Version", "version"),
    ("Module", "module"),
    ("Difference to", "difference_to"),
    ("Checked by", "method"),
    ("Verified", "verified"),
    ("Bytes", "size"),
    ("Created", "created"),
];

const CAMPAIGN: &[(&str, &str)] = &[
    ("Campaign", "id"),
    ("Firmware", "firmware"),
    ("Product key", "product"),
    ("Kind", "kind"),
    ("Version", "version"),
    ("Module", "module"),
    ("State", "state"),
    ("Why", "why"),
    ("Held by", "held"),
    ("Exception", "exception.reason"),
    ("Signed by", "exception.by"),
    ("Devices a minute", "per_minute"),
    ("Time-out, minutes", "timeout_minutes"),
    ("Created", "created"),
    ("Started", "started"),
    ("Ended", "ended"),
    ("Devices", "total"),
    ("Confirm", "counts.confirm"),
    ("Queued", "counts.queued"),
    ("Away", "counts.away"),
    ("Waiting", "counts.waiting"),
    ("Notified", "counts.notified"),
    ("In progress", "counts.in-progress"),
    ("Succeeded", "counts.succeeded"),
    ("Failed", "counts.failed"),
    ("Canceled", "counts.canceled"),
];

pub(super) fn run(desk: &mut Desk, command: Firmware) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Firmware::Upload {
            product,
            version,
            files,
            name,
            module,
            difference_to,
            sha256,
            no_verify,
        } => {
            let mut uploads = Vec::new();
            let mut progress = Progress::new(desk);
            for path in &files {
                let wrong = |error: std::io::Error| {
                    let text = format!("{}: {error}", path.display());
                    Failure::new(USAGE, text, "name a file that this user may read")
                };
                let file = File::open(path).map_err(wrong)?;
                let bytes = file.metadata().map_err(wrong)?.len();
                let called = path.file_name().unwrap_or_default().to_string_lossy();
                progress.show(&called);
                let query = [("name", called.clone().into_owned())];
                let told = client.upload(&["uploads"], &query, file, bytes)?;
                uploads.push(json!({"upload": told["upload"], "name": called}));
            }
            progress.end();
            let first = uploads[0]["name"].as_str().unwrap_or_default();
            let name = name.unwrap_or_else(|| format!("{first} {version}"));
            let mut body = json!({
                "product": product, "version": version, "name": name, "files": uploads,
                "method": if sha256 { "sha256" } else { "md5" }, "verify": !no_verify,
            });
            body["module"] = json!(module);
            body["difference_to"] = json!(difference_to);
            let made = client.post(&["firmware"], &body)?;
            desk.show(&made, |made| card(made, CARD))
        }
        Firmware::List { product } => {
            let query: Vec<_> = product.into_iter().map(|key| ("product", key)).collect();
            let told = client.get(&["firmware"], &query)?;
            desk.show(&told, |told| {
                table(
                    items(told),
                    &[
                        ("FIRMWARE", "id"),
                        ("PRODUCT", "product"),
                        ("NAME", "name"),
                        ("VERSION", "version"),
                        ("MODULE", "module"),
                        ("VERIFIED", "verified"),
                        ("BYTES", "size"),
                        ("CREATED", "created"),
                    ],
                )
            })
        }
        Firmware::Show { firmware } => {
            let told = client.get(&["firmware", &firmware], &[])?;
            desk.show(&told, |told| card(told, CARD))
        }
        Firmware::Delete { firmware, yes } => {
            let question = format!("delete firmware {firmware} with its files?");
            confirm(desk, yes, &question)?;
            client.delete(&["firmware", &firmware])?;
            let told = json!({"deleted": firmware});
            desk.show(&told, |_| "Deleted.\n".into())
        }
        Firmware::Versions { product, device } => {
            let path = ["products", &product, "devices", &device, "versions"];
            let told = client.get(&path, &[])?;
            desk.show(&told, |told| {
                let columns = [
                    ("MODULE", "module"),
                    ("VERSION", "version"),
                    ("SINCE", "since"),
                ];
                table(items(told), &columns)
            })
        }
    }
}

pub(super) fn run_campaign(desk: &mut Desk, command: Campaign) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Campaign::Create(new) => {
            let watch = new.watch;
            let made = client.post(&["campaigns"], &body_of(&new)?)?;
            match made["id"].as_str().filter(|_| watch) {
                Some(id) => shown(desk, id, true),
                None => desk.show(&made, |made| card(made, CAMPAIGN)),
            }
        }
        Campaign::List { firmware } => {
            let query: Vec<_> = firmware.into_iter().map(|id| ("firmware", id)).collect();
            let told = client.get(&["campaigns"], &query)?;
            desk.show(&told, |told| {
                table(
                    items(told),
                    &[
                        ("CAMPAIGN", "id"),
                        ("FIRMWARE", "firmware"),
                        ("PRODUCT", "product"),
                        ("KIND", "kind"),
                        ("VERSION", "version"),
                        ("STATE", "state"),
                        ("CREATED", "created"),
                    ],
                )
            })
        }
        Campaign::Show { campaign, watch } => shown(desk, &campaign, watch),
        Campaign::Tasks {
            campaign,
            state,
            most,
        } => {
            let mut all = Vec::new();
            let mut total = 0;
            while (all.len() as u64) < most {
                let step = (most - all.len() as u64).min(200);
                let mut query = vec![("skip", all.len().to_string()), ("most", step.to_string())];
                query.extend(state.clone().map(|state| ("state", state)));
                let page = client.get(&["campaigns", &campaign, "tasks"], &query)?;
                total = page["total"].as_u64().unwrap_or_default();
                if items(&page).is_empty() {
                    break;
                }
                all.extend_from_slice(items(&page));
            }
            let told = json!({"items": all, "total": total});
            desk.show(&told, |told| {
                let text = table(
                    items(told),
                    &[
                        ("TASK", "id"),
                        ("DEVICE", "device"),
                        ("FROM", "from"),
                        ("STATE", "state"),
                        ("STEP", "step"),
                        ("ATTEMPT", "attempt"),
                        ("WHY", "why"),
                        ("CHANGED", "modified"),
                    ],
                );
                format!("{text}{} of {total}\n", items(told).len())
            })
        }
        Campaign::Cancel { campaign, told } => {
            let path = ["campaigns", &campaign, "cancel"];
            let told = client.post(&path, &json!({"told": told}))?;
            desk.show(&told, |told| card(told, CAMPAIGN))
        }
        Campaign::Pace {
            campaign,
            per_minute,
            timeout,
        } => {
            let body = json!({"per_minute": per_minute, "timeout_minutes": timeout});
            let told = client.put(&["campaigns", &campaign, "pace"], &body)?;
            desk.show(&told, |told| card(told, CAMPAIGN))
        }
        Campaign::Confirm { campaign, tasks } => {
            client.post(
                &["campaigns", &campaign, "confirm"],
                &json!({"tasks": tasks}),
            )?;
            desk.show(&json!({"confirmed": tasks}), |_| "Confirmed.\n".into())
        }
        Campaign::Again { campaign, tasks } => {
            client.post(&["campaigns", &campaign, "again"], &json!({"tasks": tasks}))?;
            desk.show(&json!({"again": tasks}), |_| "Tried again.\n".into())
        }
    }
}

fn items(told: &Value) -> &[Value] {
    told["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Shows a campaign; with `watch`, how far it is until it is over.
fn shown(desk: &mut Desk, id: &str, watch: bool) -> Result<(), Failure> {
    let client = desk.client()?;
    let mut told = client.get(&["campaigns", id], &[])?;
    if watch {
        let mut progress = Progress::new(desk);
        while matches!(told["state"].as_str(), Some("planned" | "running")) {
            progress.show(&line(&told));
            thread::sleep(LOOK);
            told = client.get(&["campaigns", id], &[])?;
        }
        progress.end();
    }
    desk.show(&told, |told| card(told, CAMPAIGN))
}

/// How far a campaign is, in a line.
fn line(told: &Value) -> String {
    let count = |state: &str| told["counts"][state].as_u64().unwrap_or_default();
    let [good, bad] = ["succeeded", "failed"].map(count);
    let told_of = count("notified") + count("in-progress");
    let total = told["total"].as_u64().unwrap_or_default();
    let state = told["state"].as_str().unwrap_or_default();
    format!("{state}: {good} succeeded, {bad} failed, {told_of} at it, of {total}")
}

fn body_of(new: &NewCampaign) -> Result<Value, Failure> {
    let mut tags = Map::new();
    for tag in &new.tag {
        let Some((key, value)) = tag.split_once('=') else {
            let text = format!("{tag:?} is no tag");
            return Err(Failure::new(USAGE, text, "write --tag KEY=VALUE"));
        };
        tags.insert(key.into(), json!(value));
    }
    let kind = match (new.verify, new.dynamic) {
        (true, _) => "verify",
        (false, true) => "dynamic",
        (false, false) => "static",
    };
    Ok(json!({
        "firmware": new.firmware,
        "product": new.product,
        "kind": kind,
        "devices": new.device,
        "gray_percent": new.gray,
        "device_tags": tags,
        "group": new.group,
        "versions": new.only_version,
        "version_from": new.version_from,
        "version_below": new.version_below,
        "start": new.start,
        "end": new.end,
        "per_minute": new.per_minute,
        "retries": new.retries,
        "retry_minutes": new.retry_minutes,
        "timeout_minutes": new.timeout,
        "stop_percent": new.stop_percent,
        "overrides": new.overrides,
        "only_later": new.only_later,
        "push": !new.no_push,
        "confirm": new.confirm,
        "over_mqtt": new.over_mqtt,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_a_campaign_is() {
        let told = json!({
            "state": "running", "total": 9,
            "counts": {"succeeded": 4, "failed": 1, "notified": 2, "in-progress": 1},
        });
        let wanted = "running: 4 succeeded, 1 failed, 3 at it, of 9";
        assert_eq!(line(&told), wanted);
    }
}
