//! A fleet that comes back in one moment.

use crate::fleet::{counted, register};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Instant,
};
use tests::{
    Server,
    mqtt::{Login, Mqtt},
};
use wire::mqtt::{Packet, ReasonCode, Version};

/// Devices in `make test`; STORM sets another number.
const FEW: usize = 1_000;
/// One of so many comes over TLS.
const SECURE: usize = 10;
/// Threads that play the devices.
const THREADS: usize = 4;
/// Threads in which TLS handshakes wait for their turns.
const HANDS: usize = 32;
/// What each device promises, in seconds.
const KEEP_ALIVE: u16 = 600;

/// [AL-3.1] Devices are connected, plain and over TLS; the server is killed and started again on
/// the same ports, and all come at once: everybody is let in at the first try, and is served.
#[test]
fn a_fleet_that_comes_back_at_once_is_let_in() {
    let many = std::env::var("STORM").map_or(FEW, |text| text.parse().expect("a number"));
    raise_descriptors();
    let [mqtt, mqtts] = free_ports();
    let mut server = Server::start_with(&[
        &format!("listen.mqtt.address=\"127.0.0.1:{mqtt}\""),
        &format!("listen.mqtts.address=\"127.0.0.1:{mqtts}\""),
    ]);
    let logins = register(&mut server, many);
    let fleet = come(&server, &logins);
    assert_eq!(counted(&server, "muster_sessions", ""), many as u64);

    server.kill();
    for mut line in fleet {
        line.closed();
    }
    server.resume();
    assert_eq!(server.address("mqtt").port(), mqtt);
    assert_eq!(server.address("mqtts").port(), mqtts);
    let began = Instant::now();
    let fleet = come(&server, &logins);
    println!("{many} devices came back in {:?}", began.elapsed());

    for mut line in fleet {
        line.ping();
    }
    let logins = "muster_device_logins_total";
    let (all, right) = (
        counted(&server, logins, ""),
        counted(&server, logins, "outcome=\"ok\""),
    );
    assert_eq!((all, right), (many as u64, many as u64), "each came once");
    assert_eq!(counted(&server, "muster_throttled_logins_total", ""), 0);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// All connect at once: every CONNECT is on its way before anybody waits for an answer, but for
/// those over TLS, who wait for their handshakes.
fn come(server: &Server, logins: &[Login]) -> Vec<Mqtt> {
    let (secure, plain) = logins.split_at(logins.len() / SECURE);
    let (mqtt, mqtts, ca) = (server.address("mqtt"), server.address("mqtts"), server.ca());
    let (ca, mqtts) = (&ca, &mqtts);
    std::thread::scope(|threads| {
        let mut hands = Vec::new();
        for part in secure.chunks(secure.len().div_ceil(HANDS).max(1)) {
            hands.push(threads.spawn(move || greet(part, *mqtts, Some(ca))));
        }
        for part in plain.chunks(plain.len().div_ceil(THREADS).max(1)) {
            hands.push(threads.spawn(move || greet(part, mqtt, None)));
        }
        let join = |hand: std::thread::ScopedJoinHandle<'_, Vec<Mqtt>>| {
            hand.join().expect("everybody is let in")
        };
        hands.into_iter().flat_map(join).collect()
    })
}

fn greet(logins: &[Login], address: SocketAddr, ca: Option<&Path>) -> Vec<Mqtt> {
    let hello = |login| {
        let mut line = Mqtt::open(address, ca, Version::V311);
        line.hello(login, true, KEEP_ALIVE);
        line
    };
    let mut lines: Vec<_> = logins.iter().map(hello).collect();
    for line in &mut lines {
        match line.receive() {
            Some(Packet::ConnAck(verdict)) => assert_eq!(verdict.reason, ReasonCode::Success),
            other => panic!("no CONNACK but {other:?}"),
        }
    }
    lines
}

/// Two ports outside of those that the kernel gives to whoever connects, so that nobody takes them
/// while the server is away.
fn free_ports() -> [u16; 2] {
    let from = 10_000 + (std::process::id() % 20_000) as u16;
    let mut free = (from..32_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    [(); 2].map(|()| free.next().expect("a free port"))
}

/// Each device is an open file of this process: as many as the system allows.
fn raise_descriptors() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"));
    let hard = line
        .and_then(|l| l.split_whitespace().nth(1))
        .expect("a limit");
    let raised = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string()])
        .arg(format!("--nofile={hard}:{hard}"))
        .status();
    assert!(raised.expect("prlimit is there").success());
}
