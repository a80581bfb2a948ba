//! `muster serve`: logs, signals, and what is told at the first start.

use super::{Desk, Failure, REFUSED};
use crate::config::{Log, LogFormat};
use clap::Args;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
secret once. `muster config print` shows everything that can be set.")]
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
    log(&config.log);
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
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
        let running = tokio::select! {
            started = Box::pin(crate::start(config)) => started.map_err(|error| {
                Failure::new(
                    REFUSED,
                    format!("the server does not start: {error}"),
                    "`muster doctor` looks for what is wrong",
                )
            })?,
            _ = term.recv() => return Ok(ExitCode::SUCCESS),
            _ = int.recv() => return Ok(ExitCode::SUCCESS),
        };
        if let Some(first) = &running.first_start {
            desk.say(&first.text())?;
        }
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn log(log: &Log) {
    // The level was checked with the rest of the configuration.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber is refused; then the first one goes on.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// How many connections there may be when so many files may be open: never so many that a client
/// takes the file that the store, the operator's socket or a refusal needs.
fn places(files: u64) -> usize {
    let places = files.saturating_sub(FILES).max(files / 2);
    usize::try_from(places).unwrap_or(usize::MAX)
}

/// Takes as many open files as the system lets this user have; every connection is one.
fn more_files() -> Option<u64> {
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
