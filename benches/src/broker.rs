//! The servers that are measured, each a process of its own.

mod mosquitto;
mod muster;
mod rumqttd;

pub(crate) use mosquitto::Mosquitto;
pub(crate) use muster::Muster;
pub(crate) use rumqttd::Rumqttd;

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};
use tests::mqtt::Login;

/// How a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// As a device (or as the peer's ordinary user), in clear.
    Device,
    /// The same over TLS.
    DeviceTls,
    /// As a user of a password file, on topics of its choice.
    Free,
}

/// What all servers are to the scenes.
pub(crate) trait Broker {
    fn name(&self) -> &'static str;
    fn pid(&self) -> u32;
    fn address(&self, door: Door) -> SocketAddr;
    /// What the `n`th client shows at login.
    fn login(&self, door: Door, n: usize) -> Login;
    /// A topic on which the `n`th client of the door of devices both publishes and subscribes.
    fn topic(&self, n: usize) -> String;
}

/// Users in the password file; checking a password costs the same for any number.
const USERS: usize = 500;

/// What the `n`th user of the password file shows.
fn user(n: usize) -> Login {
    let user = n % USERS;
    Login {
        client_id: format!("client{n}"),
        user: format!("user{user}"),
        password: format!("secret{user}"),
    }
}

/// Lines of names and passwords in clear.
fn users(between: &str, quote: &str) -> String {
    (0..USERS)
        .map(|n| format!("user{n}{between}{quote}secret{n}{quote}\n"))
        .collect()
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// Waits until somebody listens there.
fn wait_for(address: SocketAddr, who: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "{who} does not listen");
        std::thread::yield_now();
    }
}

/// CPU time of a process so far, user and system, in microseconds.
pub(crate) fn cpu(pid: u32) -> f64 {
    // Of each task, nanoseconds on a CPU: finer than the ticks of /proc/<pid>/stat, which a task
    // that has ended keeps and schedstat forgets; neither server ends its threads.
    let mut total = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .expect("a running server")
        .flatten()
    {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let spent = text
            .split(' ')
            .next()
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0);
        total += spent / 1_000.0;
    }
    total
}

/// Memory of a process that no other process has, in bytes.
pub(crate) fn memory(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a running server");
    let kilobytes = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_whitespace().nth(1))
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (kilobytes("Private_Dirty:") + kilobytes("Private_Clean:")) * 1024.0
}
