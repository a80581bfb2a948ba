//! Measures the server beside Debian's mosquitto and rumqttd, on the same work, in the same run.
//!
//! `make bench` runs it; `bench SCENE...` runs some scenes alone, and `bench list` names them. What
//! is counted is the server's own CPU time and memory, read from /proc, not the time of this
//! program, because both share the machine. Start with `broker` (the servers) and `load` (the
//! clients); each file of `scene` makes some rows of the table.

mod broker;
mod load;
mod report;
mod scene;

use broker::{Broker, Door, Mosquitto, Muster, Rumqttd};
use report::Report;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Devices that are registered where their number does not matter.
const FEW: usize = 5_000;
/// Devices that are registered where it does.
const MANY: usize = 1_000_000;
/// Devices that come back at once. A process may often have no more than 20,000 descriptors.
const STORM: usize = 15_000;
/// The same over TLS.
const TLS_STORM: usize = 3_000;

const SCENES: [&str; 16] = [
    "idle",
    "flood",
    "pairs",
    "loop",
    "post",
    "paced",
    "rrpc",
    "gateway",
    "campaign",
    "login",
    "ticket",
    "scale",
    "start-storm",
    "id2",
    "vulns",
    "scan",
];

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = only.iter().find(|o| !SCENES.contains(&o.as_str())) {
        println!("{unknown} is none of the scenes: {}", SCENES.join(" "));
        return;
    }
    let wanted =
        |names: &[&str]| only.is_empty() || names.iter().any(|n| only.iter().any(|o| o == n));
    more_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio");
    let mut report = Report::new();
    runtime.block_on(async {
        // Memory first, each time of a server that has done nothing else: what an allocator keeps
        // of former work would hide what a connection takes.
        if wanted(&["idle"]) {
            for channel in scene::IDLE {
                let muster = Muster::start(FEW, FEW);
                let (mosquitto, rumqttd) = (Mosquitto::start(&muster), Rumqttd::start());
                let rumqttd = rumqttd.filter(|_| channel.door == Door::Device);
                scene::idle(
                    &muster,
                    &peers(&mosquitto, rumqttd.as_ref()),
                    &channel,
                    &mut report,
                )
                .await;
            }
        }
        if wanted(&["flood", "pairs", "loop", "post", "paced"]) {
            let muster = Muster::start(FEW, FEW);
            let (mosquitto, rumqttd) = (Mosquitto::start(&muster), Rumqttd::start());
            let peers = peers(&mosquitto, rumqttd.as_ref());
            if wanted(&["flood"]) {
                scene::flood(&muster, &peers, &mut report).await;
            }
            if wanted(&["pairs"]) {
                scene::pairs(&muster, &peers, &mut report).await;
            }
            if wanted(&["loop"]) {
                scene::looped(&muster, &peers[..1], &mut report).await;
            }
            if wanted(&["paced"]) {
                scene::paced(&muster, &mut report).await;
            }
            if wanted(&["post"]) {
                scene::post(&muster, &mut report).await;
            }
        }
        if wanted(&["id2"]) {
            scene::id2(&mut Muster::start(1, 1), &mut report).await;
        }
        if wanted(&["rrpc", "gateway", "campaign"]) {
            let mut muster = Muster::start(FEW, FEW);
            if wanted(&["rrpc"]) {
                scene::rrpc(&mut muster, &mut report).await;
            }
            if wanted(&["gateway"]) {
                scene::gateway(&muster, &mut report).await;
            }
            if wanted(&["campaign"]) {
                scene::campaign(&muster, &mut report).await;
            }
        }
        if wanted(&["login", "ticket", "scale", "start-storm"]) {
            let mut muster = Muster::start(many(), STORM);
            let (mosquitto, rumqttd) = (Mosquitto::start(&muster), Rumqttd::start());
            if wanted(&["login"]) {
                let peers = peers(&mosquitto, rumqttd.as_ref());
                scene::login(&muster, &peers, &mut report).await;
            }
            if wanted(&["ticket"]) {
                scene::ticket(&muster, &mut report).await;
            }
            if wanted(&["scale"]) {
                scene::scale(&muster, &mut report).await;
            }
            if wanted(&["start-storm"]) {
                scene::start(&mut muster, &mut report).await;
                scene::storm(&mut muster, Door::Device, STORM, &mut report).await;
                scene::storm(&mut muster, Door::DeviceTls, TLS_STORM, &mut report).await;
            }
        }
    });
    if wanted(&["vulns"]) {
        scene::vulns(&mut report);
    }
    if wanted(&["scan"]) {
        scene::scan(&mut report);
    }
    report.print();
    report.write();
}

/// Devices that are registered where their number matters; `BENCH_DEVICES` makes it another for a
/// profile that wants no million, and then the rows' names do not say so.
fn many() -> usize {
    let set = std::env::var("BENCH_DEVICES").ok();
    let set = set.map(|set| set.parse().expect("BENCH_DEVICES is a number"));
    set.unwrap_or(MANY).max(STORM)
}

/// mosquitto first: goals are in parts of what it takes.
fn peers<'a>(mosquitto: &'a Mosquitto, rumqttd: Option<&'a Rumqttd>) -> Vec<&'a dyn Broker> {
    let mut peers: Vec<&dyn Broker> = vec![mosquitto];
    peers.extend(rumqttd.map(|peer| peer as &dyn Broker));
    peers
}

/// Lets this process open as many sockets as it may.
fn more_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        eprintln!(
            "bench: the limit of open files stays at {:?}",
            limit.current
        );
    }
}
