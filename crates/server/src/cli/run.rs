//! `muster serve`: logs, signals, and what is told at the first start.

use super::{Desk, Failure, REFUSED};
use crate::{
    Running,
    config::{Config, Log, LogFormat},
    notify::{Manager, News},
};
use clap::Args;
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// A stop that did not end all work in time, or was cut short by a second signal.
const UNFINISHED: u8 = 4;
/// For a tick that nobody waits for.
const FOREVER: Duration = Duration::from_secs(3600);

/// Changes what is logged.
type Filter = reload::Handle<EnvFilter, Registry>;

/// Files that the server needs beside its connections: those of the store (a hundred and fifty with
/// large histories), clients that are being refused, the operator's calls.
const FILES: u64 = 320;

#[derive(Args)]
#[command(after_help = "\
Examples:
  muster serve
  muster serve --data /var/lib/muster --set listen.mqtt.address=0.0.0.0:1884
  muster serve --log-format json --log-level info,access=debug

The first start makes a certificate authority, an account and an access key, and prints the
secret once. `muster config print` shows everything that can be set.

SIGTERM or SIGINT stops it in order; a second one at once. SIGHUP reads certificates, keys and the
log level again. Exit codes: 0 stopped in order, 1 not started, 4 some work did not end in time.")]
pub(super) struct Serve {
    /// `text` or `json`; the same as --set log.format=….
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// `info`, `debug`, …, or by room: `info,access=debug`; the same as --set log.level=….
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Name or address at which devices reach this server; the same as --set public.host=….
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

pub(super) fn run(desk: &mut Desk, serve: &Serve) -> Result<ExitCode, Failure> {
    for (key, value) in [
        ("log.format", &serve.log_format),
        ("log.level", &serve.log_level),
        ("public.host", &serve.host),
    ] {
        if let Some(value) = value {
            desk.globals.set.push(format!("{key}={value}"));
        }
    }
    let mut config = desk.loaded()?.config;
    let asked = config.clone();
    let filter = log(&config.log);
    if let Some(files) = more_files() {
        let places = places(files);
        if places < config.sockets.connections {
            tracing::warn!(
                files,
                connections = places,
                "the system allows fewer open files than sockets.connections needs; further \
                 clients will be told that the server is busy"
            );
            config.sockets.connections = places;
        }
    }
    let failed = |error: std::io::Error| Failure::new(REFUSED, format!("starting: {error}"), "");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        // Before the start, so that a signal during it is not lost.
        let mut signals = Signals {
            term: signal(SignalKind::terminate()).map_err(failed)?,
            int: signal(SignalKind::interrupt()).map_err(failed)?,
        };
        let mut hup = signal(SignalKind::hangup()).map_err(failed)?;
        let manager = Manager::of_process();
        let running = tokio::select! {
            started = Box::pin(crate::start(config)) => started.map_err(|error| {
                Failure::new(
                    REFUSED,
                    format!("the server does not start: {error}"),
                    "`muster doctor` looks for what is wrong",
                )
            })?,
            () = signals.stop() => return Ok(ExitCode::SUCCESS),
        };
        if let Some(first) = &running.first_start {
            desk.say(&first.text())?;
        }
        let tell = |news, status: &str| {
            if let Some(manager) = &manager {
                manager.tell(news, status);
            }
        };
        tell(News::Ready, "serving");
        let every = manager.as_ref().and_then(Manager::watchdog);
        // Twice as often as it is waited for; without a watchdog, hardly ever.
        let mut alive = tokio::time::interval(every.map_or(FOREVER, |every| every / 2));
        loop {
            tokio::select! {
                () = signals.stop() => break,
                _ = hup.recv() => {
                    tell(News::Reloading, "");
                    reload(desk, &asked, &running, filter.as_ref());
                    tell(News::Ready, "serving");
                }
                _ = alive.tick() => {
                    if every.is_some() {
                        tell(News::Alive, "");
                    }
                }
            }
        }
        tell(News::Stopping, "stopping");
        tokio::select! {
            orderly = Box::pin(running.stop()) => Ok(match orderly {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(UNFINISHED),
            }),
            () = signals.stop() => {
                tracing::warn!("stopped at once by a second signal; what was acknowledged is on disk");
                std::process::exit(UNFINISHED.into());
            }
        }
    })
}

/// What the system tells this process.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Waits until somebody wants it to end.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Takes what can change while it runs from the configuration as it is now: certificates, keys,
/// TLS versions and the log level. A failure leaves what was.
fn reload(desk: &Desk, former: &Config, running: &Running, filter: Option<&Filter>) {
    let config = match desk.loaded() {
        Ok(loaded) => loaded.config,
        Err(failure) => {
            tracing::error!(%failure, "the configuration cannot be taken; all stays as it was");
            return;
        }
    };
    match running.reload(&config) {
        Ok(()) => tracing::info!("certificates were read again"),
        Err(error) => {
            tracing::error!(error, "certificates cannot be taken; the former ones stay");
        }
    }
    if let (Some(filter), Ok(level)) = (filter, EnvFilter::try_new(&config.log.level)) {
        match filter.reload(level) {
            Ok(()) => tracing::info!(level = config.log.level, "the log level was taken"),
            Err(error) => tracing::error!(%error, "the log level stays"),
        }
    }
    let rest = Config {
        tls: former.tls.clone(),
        log: former.log.clone(),
        ..config
    };
    if rest != *former {
        tracing::warn!("other values of the configuration changed too; they wait for a restart");
    }
}

fn log(log: &Log) -> Option<Filter> {
    // The level was checked with the rest of the configuration.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // A second subscriber is refused; then the first one goes on.
    let taken = match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    taken.is_ok().then_some(handle)
}

/// How many connections there may be when so many files may be open: never so many that a client
/// takes the file that the store, the operator's socket or a refusal needs.
fn places(files: u64) -> usize {
    let places = files.saturating_sub(FILES).max(files / 2);
    usize::try_from(places).unwrap_or(usize::MAX)
}

/// Takes as many open files as the system lets this user have; every connection is one.
pub(super) fn more_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // What we have is enough to begin with; `muster doctor` tells when it is little.
    let _ = setrlimit(Resource::Nofile, all);
    getrlimit(Resource::Nofile).current
}
