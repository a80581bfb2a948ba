//! `muster simulate`: who is to be played, where they connect, and how it goes.

use super::{
    Client, Desk, Failure, REFUSED, UNREACHABLE, USAGE, ask::Progress, run::more_files, table::card,
};
use crate::serve::INFO;
use clap::Args;
use credential::Secret;
use openssl::ssl::{SslConnector, SslMethod};
use parking_lot::Mutex;
use serde_json::{Value, json};
use simulate::{Board, Device, Door, Faults, Key, Model, Party, Plan, Tally};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Devices that are registered in one call.
const STEP: usize = 500;
/// How often it is shown how it goes.
const LOOK: Duration = Duration::from_secs(1);
/// The longest time that can be named, in seconds: a year.
const LONG: f64 = 366.0 * 24.0 * 3_600.0;
/// Ports of devices where nothing else is said.
const PORTS: (u16, u16) = (1883, 8883);

#[derive(Args)]
#[command(after_help = "\
Examples:
  muster simulate PRODUCT_KEY                              ten devices, until Ctrl-C
  muster simulate PRODUCT_KEY --devices 2000 --every 60 --churn 600
  muster simulate PRODUCT_KEY --devices 2000 --fail-download 1 --fail-check 2 --drop 10 --json
  muster simulate GATEWAYS_KEY --gateways 2 --subs 100 --sub-product SUBS_KEY
  muster --url https://iot.example:8443 --ca ca.pem simulate PRODUCT_KEY --tls
  muster simulate PRODUCT_KEY --credentials devices.json --mqtt iot.example:8883 --tls

Devices that are not there yet are registered; those of a former run are taken again. They stay
when it ends. Run it only against a server whose devices you may play.

Exit codes: 0 all was well, 1 somebody never came in or was upgraded twice to the same version,
2 wrong command line, 3 no server reached.")]
pub(super) struct Simulate {
    /// Product key of those who connect: devices, or gateways.
    product: String,
    /// How many devices.
    #[arg(long, default_value_t = 10, conflicts_with = "gateways")]
    devices: usize,
    /// How many gateways, in place of devices.
    #[arg(long, requires = "sub_product")]
    gateways: Option<usize>,
    /// Sub-devices of each gateway.
    #[arg(long, default_value_t = 10, requires = "gateways")]
    subs: usize,
    /// Product key of the sub-devices.
    #[arg(long, value_name = "PRODUCT_KEY", requires = "gateways")]
    sub_product: Option<String>,
    /// What names begin with; several runs at once take one each.
    #[arg(long, default_value = "sim-")]
    prefix: String,
    /// Names and secrets from this file instead of the server: what `muster device batch --json`
    /// printed, or lines of NAME,SECRET.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gateways", "product_secret"])]
    credentials: Option<PathBuf>,
    /// Let devices register by themselves with their product's secret (over TLS).
    #[arg(
        long,
        env = "MUSTER_PRODUCT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        requires = "save",
        conflicts_with = "gateways"
    )]
    product_secret: Option<String>,
    /// Add the secrets of devices that registered to this file, which --credentials takes.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Where devices connect [default: where the server listens].
    #[arg(long, value_name = "HOST:PORT")]
    mqtt: Option<String>,
    /// Connect over TLS.
    #[arg(long)]
    tls: bool,
    /// The thing model from this file instead of the server.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Seconds between two posts of a device; 0 for none.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    every: f64,
    /// Seconds between two events of a device; 0 for none.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    events: f64,
    /// Seconds, about, that a device stays connected before it leaves for a while; 0 for ever.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    churn: f64,
    /// Connections that are opened in a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 200.0)]
    arrivals: f64,
    /// The firmware version that devices have at first.
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    firmware: String,
    /// A module with its version (may be given several times).
    #[arg(long, value_name = "NAME=VERSION")]
    module: Vec<String>,
    /// Seconds that it takes to install an upgrade and to start again.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    install: f64,
    /// Devices whose downloads break off.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    fail_download: f64,
    /// Devices to which files come altered, so that their digest is wrong.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    fail_check: f64,
    /// Devices that cannot write the file.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    fail_install: f64,
    /// Devices that come back with the version that they had.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    fail_boot: f64,
    /// Devices that never answer commands nor upgrade.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    silent: f64,
    /// Devices that lose their connections once in the middle of a download and go on with it.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    drop: f64,
    /// How many attempts of a device fail before one goes well [default: all].
    #[arg(long, value_name = "NUMBER")]
    fail_first: Option<u32>,
    /// Seconds until it ends [default: until Ctrl-C].
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// What chance begins with: the same seed, the same fleet.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

const CARD: &[(&str, &str)] = &[
    ("Seconds", "seconds"),
    ("Devices", "devices"),
    ("Gateways", "gateways"),
    ("Sub-devices", "sub_devices"),
    ("Online at the end", "online"),
    ("Online at most", "most_online"),
    ("Connections", "connections.opened"),
    ("Refused", "connections.refused"),
    ("Lost", "connections.lost"),
    ("Left", "connections.left"),
    ("Registered", "connections.registered"),
    ("Property posts", "posts.properties"),
    ("Event posts", "posts.events"),
    ("Acknowledged", "posts.acknowledged"),
    ("Replied: taken", "posts.taken"),
    ("Replied: refused", "posts.refused"),
    ("Property commands", "commands.properties"),
    ("Service calls", "commands.services"),
    ("Answered", "commands.answered"),
    ("Upgrade notices", "upgrades.told"),
    ("Upgrades begun", "upgrades.begun"),
    ("Upgrades done", "upgrades.done"),
    ("Upgrades done again", "upgrades.done_again"),
    ("Upgrades failed", "upgrades.failed"),
    ("Downloads resumed", "upgrades.resumed"),
    ("Bytes fetched", "upgrades.bytes"),
    ("Versions", "versions"),
];

fn usage(text: impl Into<String>, help: &str) -> Failure {
    Failure::new(USAGE, text, help)
}

pub(super) fn run(desk: &mut Desk, order: &Simulate) -> Result<ExitCode, Failure> {
    let plan = order.plan(desk)?;
    // Every device is a connection, and a second one while it downloads.
    let files = more_files();
    let wanted = plan.parties.len() as u64 * 2 + 50;
    if files.is_some_and(|files| files < wanted) {
        let text = format!(
            "this process may open {} files, and {wanted} may be needed",
            files.unwrap_or_default()
        );
        let help = "raise the limit (`ulimit -n`), or play fewer devices";
        return Err(Failure::new(REFUSED, text, help));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(REFUSED, format!("starting: {error}"), ""))?;
    let board = Arc::new(Board::default());
    let began = Instant::now();
    let mut progress = Progress::new(desk);
    let seconds = order.seconds.map(|n| span("seconds", n)).transpose()?;
    let tally = runtime.block_on(async {
        let failed = |error| Failure::new(REFUSED, format!("signals: {error}"), "");
        let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        let (tell, stop) = watch::channel(false);
        let playing = tokio::spawn(simulate::run(plan, board.clone(), stop));
        let mut look = tokio::time::interval(LOOK);
        let end = seconds.flatten().map(|time| began + time);
        let mut posts = 0;
        loop {
            let end = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = int.recv() => break,
                _ = term.recv() => break,
                () = end => break,
                _ = look.tick() => {
                    let tally = board.tally();
                    let all = tally.posts.properties + tally.posts.events;
                    progress.show(&line(&tally, all - posts));
                    posts = all;
                }
            }
        }
        // As it was before everybody left.
        let tally = board.tally();
        let _ = tell.send(true);
        tokio::select! {
            _ = playing => {}
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        Ok::<Tally, Failure>(tally)
    });
    progress.end();
    let tally = tally?;
    let mut told = serde_json::to_value(&tally).unwrap_or_default();
    told["seconds"] = json!(began.elapsed().as_secs());
    desk.show(&told, |told| card(told, CARD))?;
    let well = tally.most_online >= tally.all() && tally.upgrades.done_again == 0;
    Ok(match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(REFUSED),
    })
}

/// How it goes, in a line.
fn line(tally: &Tally, posts: u64) -> String {
    let (online, all) = (tally.online, tally.all());
    let refused: u64 = tally.connections.refused.values().sum();
    let upgrades = &tally.upgrades;
    let failed: u64 = upgrades.failed.values().sum();
    let mut text = format!("{online} of {all} online, {posts} posts/s");
    if refused > 0 {
        text.push_str(&format!(", {refused} refused"));
    }
    if upgrades.told > 0 {
        let (at_it, done) = (upgrades.at_it, upgrades.done);
        text.push_str(&format!(
            "; {at_it} at an upgrade, {done} done, {failed} failed"
        ));
    }
    text
}

/// Seconds that were named; none for 0.
fn span(name: &str, seconds: f64) -> Result<Option<Duration>, Failure> {
    match seconds {
        0.0 => Ok(None),
        some if some.is_finite() && (0.001..=LONG).contains(&some) => {
            Ok(Some(Duration::from_secs_f64(some)))
        }
        _ => Err(usage(
            format!("--{name} {seconds}: that is no time"),
            "name seconds, 0.001 to a year, or 0 for none",
        )),
    }
}

impl Simulate {
    fn plan(&self, desk: &Desk) -> Result<Plan, Failure> {
        let faults = Faults {
            download: self.fail_download,
            check: self.fail_check,
            install: self.fail_install,
            boot: self.fail_boot,
            silent: self.silent,
            drop: self.drop,
            first: self.fail_first,
        };
        let wrong = |text: &str| usage(text, "see `muster simulate --help`");
        faults.check().map_err(wrong)?;
        if !(self.arrivals.is_finite() && self.arrivals > 0.0) {
            return Err(wrong("--arrivals is more than 0"));
        }
        let mut versions = BTreeMap::from([("default".to_owned(), self.firmware.clone())]);
        for module in &self.module {
            let (name, version) = module
                .split_once('=')
                .ok_or_else(|| usage(format!("{module:?} has no ="), "write NAME=VERSION"))?;
            versions.insert(name.to_owned(), version.to_owned());
        }
        let install = span("install", self.install)?.unwrap_or_default();
        let (every, events, churn) = (
            span("every", self.every)?,
            span("events", self.events)?,
            span("churn", self.churn)?,
        );
        let trust = self.trust(desk)?;
        let door = self.door(desk, &trust)?;
        Ok(Plan {
            door,
            trust,
            parties: self.parties(desk)?,
            seed: self.seed,
            arrivals: self.arrivals,
            every,
            events,
            churn,
            install,
            versions,
            faults,
            keep: self.keep()?,
        })
    }

    fn trust(&self, desk: &Desk) -> Result<SslConnector, Failure> {
        let failed = |error: openssl::error::ErrorStack| {
            Failure::new(REFUSED, format!("TLS: {error}"), "check the file of --ca")
        };
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(failed)?;
        let local = match desk.globals.url {
            Some(_) => None,
            None => Some(desk.loaded()?.config.data.join("tls/ca.pem")),
        };
        let local = local.filter(|path| path.exists());
        if let Some(ca) = desk.globals.ca.clone().or(local) {
            builder.set_ca_file(ca).map_err(failed)?;
        }
        Ok(builder.build())
    }

    fn door(&self, desk: &Desk, trust: &SslConnector) -> Result<Door, Failure> {
        // Secrets of registrations are given over TLS alone.
        let secure = self.tls || self.product_secret.is_some();
        let (host, port) = match (&self.mqtt, &desk.globals.url) {
            (Some(address), _) => {
                let read = address.rsplit_once(':').and_then(|(host, port)| {
                    let host = host.trim_matches(['[', ']']);
                    (!host.is_empty()).then_some(())?;
                    Some((host.to_owned(), port.parse().ok()?))
                });
                let wrong = || {
                    let text = format!("--mqtt {address}: that is no address");
                    usage(text, "write HOST:PORT")
                };
                read.ok_or_else(wrong)?
            }
            (None, Some(url)) => {
                let host = url.parse::<hyper::Uri>().ok();
                let host = host.and_then(|uri| uri.host().map(str::to_owned));
                let host = host.unwrap_or_default().trim_matches(['[', ']']).to_owned();
                (host, if secure { PORTS.1 } else { PORTS.0 })
            }
            (None, None) => {
                let data = desk.loaded()?.config.data;
                let listener = if secure { "mqtts" } else { "mqtt" };
                let address = listens(&data, listener).ok_or_else(|| {
                    let text = format!("no server listens for devices ({listener})");
                    let help = "start `muster serve`, or say where devices connect with --mqtt";
                    Failure::new(UNREACHABLE, text, help)
                })?;
                let here = address.ip().is_unspecified() || address.ip().is_loopback();
                let host = match (here, secure) {
                    // The name that the server's certificate bears.
                    (true, true) => "localhost".to_owned(),
                    (true, false) if address.is_ipv6() => "::1".to_owned(),
                    (true, false) => "127.0.0.1".to_owned(),
                    (false, _) => address.ip().to_string(),
                };
                (host, address.port())
            }
        };
        Ok(Door {
            host,
            port,
            tls: secure.then(|| trust.clone()),
        })
    }

    fn keep(&self) -> Result<Option<simulate::Keep>, Failure> {
        use std::os::unix::fs::OpenOptionsExt;
        let Some(path) = &self.save else {
            return Ok(None);
        };
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(path);
        let file = file.map_err(|error| {
            let text = format!("{}: {error}", path.display());
            usage(text, "name a file that this user may write")
        })?;
        let file: Box<dyn Write + Send> = Box::new(file);
        Ok(Some(Mutex::new(file)))
    }

    fn parties(&self, desk: &Desk) -> Result<Vec<Party>, Failure> {
        let model = self.model(desk, &self.product)?;
        let device = |product: &str, model: &Arc<Model>, (name, key): (String, Key)| Device {
            product: product.to_owned(),
            name,
            key,
            model: model.clone(),
        };
        let alone = |named| Party {
            device: device(&self.product, &model, named),
            subs: Vec::new(),
        };
        if let Some(path) = &self.credentials {
            let text = fs::read_to_string(path)
                .map_err(|error| usage(format!("{}: {error}", path.display()), "name a file"))?;
            let named = credentials(&text).map_err(|wrong| {
                let text = format!("{}: {wrong}", path.display());
                usage(
                    text,
                    "give it lines of NAME,SECRET, or what `muster device batch --json` prints",
                )
            })?;
            return Ok(named.into_iter().map(alone).collect());
        }
        let names: Vec<String> = match self.gateways {
            Some(many) => (0..many)
                .map(|n| format!("{}gw-{n:03}", self.prefix))
                .collect(),
            None => (0..self.devices)
                .map(|n| format!("{}{n:05}", self.prefix))
                .collect(),
        };
        if let Some(secret) = &self.product_secret {
            let secret = Arc::new(Secret::new(secret.clone().into_bytes()));
            let keys = names.into_iter();
            let keys = keys.map(|name| (name, Key::Register(secret.clone())));
            return Ok(keys.map(alone).collect());
        }
        let client = desk.client()?;
        let mut parties = enrolled(&client, &self.product, &names)?
            .into_iter()
            .map(alone)
            .collect::<Vec<_>>();
        if let Some(sub_product) = &self.sub_product {
            let model = self.model(desk, sub_product)?;
            for (at, party) in parties.iter_mut().enumerate() {
                let names = (0..self.subs).map(|n| format!("{}{at:03}-{n:04}", self.prefix));
                let names: Vec<String> = names.collect();
                let subs = enrolled(&client, sub_product, &names)?;
                let subs = subs.into_iter();
                party.subs = subs
                    .map(|named| device(sub_product, &model, named))
                    .collect();
            }
        }
        Ok(parties)
    }

    /// The thing model of a product: from the file, or the server that is asked anyhow; one who has
    /// neither posts nothing.
    fn model(&self, desk: &Desk, product: &str) -> Result<Arc<Model>, Failure> {
        let tsl = match &self.model {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| error.to_string());
                let read =
                    text.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()));
                read.map_err(|wrong| {
                    let text = format!("{}: {wrong}", path.display());
                    usage(text, "name a file with a TSL document")
                })?
            }
            None => {
                let asked = desk
                    .client()
                    .and_then(|client| client.get(&["products", product, "model"], &[]));
                let alone = self.credentials.is_some() || self.product_secret.is_some();
                match asked {
                    Ok(tsl) => tsl,
                    Err(failure) if failure.code == REFUSED || alone => Value::Null,
                    Err(failure) => return Err(failure),
                }
            }
        };
        Ok(Arc::new(Model::of(&tsl)))
    }
}

/// Where a listener of the server on this data folder listens.
fn listens(data: &Path, listener: &str) -> Option<SocketAddr> {
    let text = fs::read_to_string(data.join(INFO)).ok()?;
    let info: Value = serde_json::from_str(&text).ok()?;
    info["listen"][listener].as_str()?.parse().ok()
}

fn secret_of(device: &Value) -> Option<(String, Key)> {
    let text = |name: &str| device[name].as_str().map(str::to_owned);
    let secret = Secret::new(text("device_secret")?.into_bytes());
    Some((text("device_name")?, Key::Secret(secret)))
}

/// Names and secrets of devices by these names, which are registered if they are not there.
fn enrolled(
    client: &Client,
    product: &str,
    names: &[String],
) -> Result<Vec<(String, Key)>, Failure> {
    let odd = || Failure::new(REFUSED, "the server gives no secret", "look into its log");
    let mut all = Vec::with_capacity(names.len());
    for some in names.chunks(STEP) {
        let wanted: Vec<Value> = some
            .iter()
            .map(|name| json!({"device_name": name}))
            .collect();
        let path = ["products", product, "devices", "batch"];
        match client.post(&path, &json!({"devices": wanted})) {
            Ok(made) => {
                let made = made["devices"].as_array().map_or(&[][..], Vec::as_slice);
                for device in made {
                    all.push(secret_of(device).ok_or_else(odd)?);
                }
            }
            Err(failure) if failure.code != REFUSED => return Err(failure),
            // Some of them are there from a former run.
            Err(_) => {
                for name in some {
                    let path = ["products", product, "devices", name, "secret"];
                    let device = client.get(&path, &[]).or_else(|_| {
                        let body = json!({"device_name": name});
                        client.post(&["products", product, "devices"], &body)
                    })?;
                    all.push(secret_of(&device).ok_or_else(odd)?);
                }
            }
        }
    }
    Ok(all)
}

/// Reads a file of names and secrets: the list that `muster device batch --json` prints, lines of
/// JSON objects, or lines of NAME,SECRET.
fn credentials(text: &str) -> Result<Vec<(String, Key)>, String> {
    if let Ok(whole) = serde_json::from_str::<Value>(text)
        && let Some(devices) = whole["devices"].as_array()
    {
        let all = devices.iter().map(secret_of);
        return all
            .collect::<Option<_>>()
            .ok_or_else(|| "a device has no name or no secret".into());
    }
    let lines = text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty());
    let all = lines.map(|(line, number)| {
        let read = match serde_json::from_str::<Value>(line) {
            Ok(device) => secret_of(&device),
            Err(_) => line.split_once(',').map(|(name, secret)| {
                let secret = Secret::new(secret.trim().as_bytes().to_vec());
                (name.trim().to_owned(), Key::Secret(secret))
            }),
        };
        read.filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("line {number} has no name and secret"))
    });
    let all = all.collect::<Result<Vec<_>, _>>()?;
    match all.is_empty() {
        true => Err("there is nobody in it".into()),
        false => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let read = credentials(text).unwrap();
        read.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn credentials_are_read_as_they_are_printed_or_listed() {
        let printed = r#"{"devices": [{"device_name": "a", "device_secret": "s"}]}"#;
        assert_eq!(names(printed), ["a"]);
        let lines = "{\"device_name\":\"a\",\"device_secret\":\"s\"}\n\nb, t\n";
        assert_eq!(names(lines), ["a", "b"]);
        for bad in [
            "",
            "nobody",
            "{\"devices\": [{}]}",
            "{\"device_name\":\"a\"}",
            ",s",
        ] {
            assert!(credentials(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_seconds_or_none() {
        assert_eq!(span("every", 0.0).unwrap(), None);
        assert_eq!(
            span("every", 0.5).unwrap(),
            Some(Duration::from_millis(500))
        );
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert!(span("every", bad).is_err(), "{bad}");
        }
    }
}
