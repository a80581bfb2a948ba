//! Measures the server beside Debian's mosquitto, on the same work, in the same run.
//!
//! `make bench` runs it. What is counted is the server's own CPU time and memory, read from /proc,
//! not the time of this program, because both share the machine. Start with `broker` (the two
//! servers) and `load` (the clients); each file of `scene` is one row or two of the table.

mod broker;
mod load;
mod report;
mod scene;

use broker::{Mosquitto, Muster};
use report::Report;

/// Devices that are registered while all is measured.
const DEVICES: usize = 5_000;

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| name.starts_with(o.as_str()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio");
    let mut report = Report::new();
    runtime.block_on(async {
        // Memory first, each time of a server that has done nothing else: what an allocator keeps
        // of former work would hide what a connection takes.
        if wanted("idle") {
            for channel in scene::IDLE {
                let muster = Muster::start(DEVICES);
                let mosquitto = Mosquitto::start(&muster);
                scene::idle(&muster, &mosquitto, channel, &mut report).await;
            }
        }
        let muster = Muster::start(DEVICES);
        let mosquitto = Mosquitto::start(&muster);
        if wanted("message") {
            scene::message(&muster, &mosquitto, &mut report).await;
        }
        if wanted("login") {
            scene::login(&muster, &mosquitto, &mut report).await;
        }
        if wanted("post") {
            scene::post(&muster, &mut report).await;
        }
    });
    report.print();
    report.write();
}
