//! Altered packets by the million, in each version: `make hostile` sends a million for each, `make
//! test` a small part.

use crate::{
    Chance,
    mutation::spoil,
    packet::table::{self, VERSIONS, hello},
    resident,
};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    io::{ErrorKind, Read, Result, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tests::{
    PATIENCE, Server,
    line::{self, Line},
};
use wire::mqtt::{Packet, Version};

/// Altered packets of each version in `make test`.
const FEW: u64 = 20_000;
/// Connections at once.
const STRANGERS: u64 = 4;
/// How long the control client may wait for an answer.
const ANSWER: Duration = Duration::from_millis(100);
/// By how much, in KiB, the server's memory may grow once a tenth of the packets is through: what
/// an allocator's arenas move by, and no more for a million packets than for a few.
const FLAT: u64 = 8 * 1024;

/// Connects from an address of its own within 127.0.0.0/8, of which there are so many that ports
/// do not run out.
fn connect(address: SocketAddr, number: u64) -> Result<TcpStream> {
    let [_, a, b, c] = (number as u32 / 64).to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = SocketAddr::from(([127, 1 + a, b, c.clamp(1, 254)], 0));
    socket.bind(&SockAddr::from(source))?;
    socket.connect(&SockAddr::from(address))?;
    socket.set_tcp_nodelay(true)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Packets that are right, to be altered.
fn samples(version: Version) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (opening, behind) = table::all();
    let right = |cases: Vec<table::Case>| {
        cases
            .into_iter()
            .filter(|case| case.version == version && case.verdict == table::Verdict::Fine)
            .map(|case| case.bytes)
            .collect()
    };
    (right(opening), right(behind))
}

/// Sends one altered packet on a connection of its own: in one case of eight a CONNECT, else what
/// follows one. The connection must end once nothing more comes. Whether the server answered.
fn stranger(
    address: SocketAddr,
    version: Version,
    samples: &(Vec<Vec<u8>>, Vec<Vec<u8>>),
    number: u64,
    chance: &mut Chance,
) -> bool {
    let (opening, behind) = samples;
    let bytes = if chance.below(8) == 0 {
        let mut packet = opening[chance.below(opening.len())].clone();
        spoil(&mut packet, chance);
        packet
    } else {
        let mut packet = behind[chance.below(behind.len())].clone();
        spoil(&mut packet, chance);
        [hello(version), packet].concat()
    };
    let mut line = connect(address, number).expect("the listener listens");
    // A server that has seen enough may close before all is sent, and forget what it answered.
    _ = line.write_all(&bytes);
    _ = line.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match line.read_to_end(&mut answer) {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the connection does not end after {}", bytes.escape_ascii());
        }
        _ => !answer.is_empty(),
    }
}

/// One who does nothing wrong: how long the server takes to answer a ping.
struct Control(Line);

impl Control {
    fn open(server: &Server) -> Self {
        let hello = line::hello("control", Version::V311, false);
        let opened = Line::open(server.address("plain"), hello);
        Self(opened.expect("the server takes everybody").0)
    }

    fn ask(&mut self) -> Duration {
        let asked = Instant::now();
        self.0.send(&Packet::PingReq).expect("nobody closed this");
        let answer = self.0.receive(PATIENCE).expect("nobody closed this");
        assert_eq!(answer, Some(Packet::PingResp));
        asked.elapsed()
    }
}

/// [AL-3.1] A million altered packets of each version, each on a connection of its own: every
/// connection ends, a client beside them is answered within 100 ms, and memory stays flat.
#[test]
fn altered_packets_by_the_million_leave_the_server_as_it_was() {
    let count = std::env::var("MUTATIONS").map_or(FEW, |text| text.parse().expect("a number"));
    let server = Server::start_with(&[
        "listen.plain.off=false",
        "listen.plain.anonymous=true",
        "sockets.failures=1000000000",
    ]);
    let address = server.address("plain");
    let mut control = Control::open(&server);
    let chance = Mutex::new(Chance::new());
    for version in VERSIONS {
        let samples = samples(version);
        let (sent, answered) = (AtomicU64::new(0), AtomicU64::new(0));
        let done = AtomicBool::new(false);
        let warm = AtomicU64::new(0);
        let began = Instant::now();
        let mut answers = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut answers = Vec::new();
                while !done.load(Relaxed) {
                    answers.push(control.ask());
                    std::thread::yield_now();
                }
                answers
            });
            let strangers: Vec<_> = (0..STRANGERS)
                .map(|_| {
                    let mut chance = chance.lock().expect("nobody panicked").fork();
                    let (samples, sent, answered, warm) = (&samples, &sent, &answered, &warm);
                    let server = &server;
                    scope.spawn(move || {
                        loop {
                            let number = sent.fetch_add(1, Relaxed);
                            if number >= count {
                                return;
                            }
                            if number == count / 10 {
                                warm.store(resident(server), Relaxed);
                            }
                            let heard = stranger(address, version, samples, number, &mut chance);
                            answered.fetch_add(u64::from(heard), Relaxed);
                        }
                    })
                })
                .collect();
            for stranger in strangers {
                stranger.join().expect("a stranger");
            }
            done.store(true, Relaxed);
            asking.join().expect("the control client")
        });
        let took = began.elapsed();
        // What they left is done with: the best of three is the server's own.
        let after = (0..3).map(|_| control.ask()).min().expect("three");
        let (warm, end) = (warm.load(Relaxed), resident(&server));
        answers.sort_unstable();
        let of = |part: usize| answers[(answers.len() - 1) * part / 1_000];
        println!(
            "{version:?}: {count} altered packets in {:.0} s, {} answered; control client: {} pings, \
             median {:?}, 99.9 % {:?}, slowest {:?}, after {after:?}; memory {warm} KiB, then {end} KiB",
            took.as_secs_f64(),
            answered.load(Relaxed),
            answers.len(),
            of(500),
            of(999),
            of(1_000),
        );
        assert!(after < ANSWER, "{after:?} for an answer");
        // In the midst of it the machine is busy with the strangers as well.
        assert!(of(500) < ANSWER, "{:?} for an answer", of(500));
        assert!(end < warm + FLAT, "{warm} KiB, then {end} KiB");
        // In most cases the CONNECT in front was taken.
        assert!(
            answered.load(Relaxed) > count / 2,
            "{answered:?} of {count}"
        );
    }
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
}
