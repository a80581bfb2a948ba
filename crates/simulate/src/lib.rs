//! A fleet that is not there: devices and gateways that behave on the wire as real ones do, by the
//! thousand in one process, with faults where they are wanted. `muster simulate` plays it, tests
//! and trials of campaigns rest on it.
//!
//! Start with [`run`], which takes a [`Plan`]; a `line` is one connection with the device or the
//! gateway behind it, a `body` what a device is and does, `fetch` how it gets a file. What happened
//! is in the [`Board`]. The room knows a device's side of the wire and nothing else: no server, no
//! admin API, no command line. The same seed plays the same fleet: who fails, with what, and which
//! values are posted; what the network does in between is the network's.

mod board;
mod body;
mod chance;
mod fate;
mod fetch;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gateway;
mod line;
mod link;
mod login;
mod notice;
mod thing;

pub use board::{Board, Commands, Connections, Posts, Tally, Upgrades};
pub use fate::Faults;
pub use link::Door;
pub use login::Key;
pub use thing::Model;

use line::Line;
use openssl::ssl::SslConnector;
use parking_lot::Mutex;
use std::{collections::BTreeMap, io::Write, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// A device that is to be played.
pub struct Device {
    /// Its product's key.
    pub product: String,
    /// Its name.
    pub name: String,
    /// How it proves itself.
    pub key: Key,
    /// What it posts and answers.
    pub model: Arc<Model>,
}

/// A connection: a device, or a gateway with its sub-devices.
pub struct Party {
    /// Who connects.
    pub device: Device,
    /// Who comes through it.
    pub subs: Vec<Device>,
}

/// Where secrets of devices that registered by themselves are written down, a line each: they are
/// given out once.
pub type Keep = Mutex<Box<dyn Write + Send>>;

/// What is played.
pub struct Plan {
    /// Where devices connect.
    pub door: Door,
    /// Whom downloads over TLS trust.
    pub trust: SslConnector,
    /// Who plays.
    pub parties: Vec<Party>,
    /// What chance begins with.
    pub seed: u64,
    /// How many connections are opened in a second.
    pub arrivals: f64,
    /// How often a device posts its properties; never when there is none.
    pub every: Option<Duration>,
    /// How often a device posts an event.
    pub events: Option<Duration>,
    /// How long a connection lasts before the device leaves for a while.
    pub churn: Option<Duration>,
    /// How long it takes to install an upgrade and to start again.
    pub install: Duration,
    /// Modules and their versions; `default` is the whole device.
    pub versions: BTreeMap<String, String>,
    /// What goes wrong.
    pub faults: Faults,
    /// Where secrets of devices that register are kept.
    pub keep: Option<Keep>,
}

/// What all connections share.
pub(crate) struct Stage {
    door: Door,
    trust: SslConnector,
    every: Option<Duration>,
    events: Option<Duration>,
    churn: Option<Duration>,
    install: Duration,
    fails_first: Option<u32>,
    keep: Option<Keep>,
    board: Arc<Board>,
    stop: watch::Receiver<bool>,
}

/// Plays until `stop` says so. `board` tells how it goes meanwhile, and afterwards how it went.
pub async fn run(plan: Plan, board: Arc<Board>, stop: watch::Receiver<bool>) {
    let bodies: usize = plan.parties.iter().map(|party| 1 + party.subs.len()).sum();
    let mut fates = plan.faults.deal(bodies, plan.seed).into_iter();
    board.open(&plan, bodies);
    let stage = Arc::new(Stage {
        door: plan.door,
        trust: plan.trust,
        every: plan.every,
        events: plan.events,
        churn: plan.churn,
        install: plan.install,
        fails_first: plan.faults.first,
        keep: plan.keep,
        board,
        stop,
    });
    let mut lines = JoinSet::new();
    let began = Instant::now();
    for (at, party) in plan.parties.into_iter().enumerate() {
        let fates = fates.by_ref().take(1 + party.subs.len()).collect();
        let first = began + Duration::from_secs_f64(at as f64 / plan.arrivals);
        let seed = (plan.seed, at as u64);
        let line = Line::new(stage.clone(), party, fates, &plan.versions, seed);
        lines.spawn(line.run(first));
    }
    while lines.join_next().await.is_some() {}
}
