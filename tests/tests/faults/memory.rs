//! Clients that together want more memory than there is.

use crate::scene::{Post, Scene};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tests::{PATIENCE, Server, eventually};
use wire::mqtt::{ReasonCode, Version};

/// What messages may take in all, in bytes.
const BOUND: usize = 8 * 1024 * 1024;
/// What there is of a message of 300,000 bytes that is never finished.
const PIECE: usize = 290_000;
/// Guests with such a message, more than fit.
const GUESTS: usize = 200;
/// What the process may grow by: the bound, what an allocator keeps beside it, and connections.
const COST_KIB: u64 = (BOUND / 1024 + 32 * 1024) as u64;

/// Guests that leave messages half sent take the memory that is meant for messages, and no more:
/// who wants too much is told so, devices go on, and when the guests go there is room again.
#[test]
fn half_sent_messages_fill_what_is_theirs_and_no_more() {
    let server = Server::start_with(&[
        &format!("sockets.memory={BOUND}"),
        "sockets.stall=600000",
        "listen.plain.off=false",
        "listen.plain.anonymous=true",
    ]);
    let mut scene = Scene::open(server, &["first", "second"]);
    let pid = scene.server.pid();
    let mut device = scene.connect("first", Version::V311);
    scene.post_all(&mut device, 20);
    let before = resident_kib(pid);

    let plain = scene.server.address("plain");
    let mut guests = Vec::new();
    for number in 0..GUESTS {
        if let Some(mut guest) = Guest::come(plain, number) {
            guest.send(PIECE);
            guests.push(guest);
        }
        if number % 20 == 0 {
            assert_eq!(scene.post(&mut device), Post::Stored);
        }
    }
    eventually("the end of all that are too many", || {
        guests.retain_mut(|guest| guest.word(Duration::from_millis(1)).is_none());
        (guests.len() <= BOUND / PIECE).then_some(())
    });
    assert!(guests.len() > BOUND / PIECE / 4, "{} stay", guests.len());

    // Who sends slowly hears why it has to go.
    let mut told = Vec::new();
    for number in 0..10 {
        if let Some(mut guest) = Guest::come(plain, GUESTS + number) {
            let mut pieces = PIECE / 10_000;
            let word = loop {
                guest.send(10_000);
                pieces -= 1;
                let patience = if pieces == 0 { 1_000 } else { 20 };
                match guest.word(Duration::from_millis(patience)) {
                    None if pieces > 0 => {}
                    word => break word,
                }
            };
            match word {
                Some(word) => told.push(word),
                // There was room for this one still.
                None => guests.push(guest),
            }
        }
    }
    assert!(told.contains(&Some(ReasonCode::QuotaExceeded)), "{told:?}");

    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown < COST_KIB, "{grown} KiB for {BOUND} bytes");
    scene.post_all(&mut device, 20);
    drop(guests);
    scene.recovers("second");
    let mut guest = Guest::come(plain, 0).expect("there is room");
    guest.send(PIECE);
    assert_eq!(guest.word(Duration::from_millis(500)), None);
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
}

/// A client of the plain listener that sends the beginning of a message.
struct Guest {
    stream: TcpStream,
    begun: bool,
}

impl Guest {
    /// None when it is told that the server is busy.
    fn come(address: SocketAddr, number: usize) -> Option<Self> {
        let mut stream = TcpStream::connect(address).expect("the listener listens");
        let id = format!("guest-{number:04}");
        let mut hello = vec![0x10, 23, 0, 4];
        hello.extend(b"MQTT\x05\x02\x02\x58\0\0\x0a");
        hello.extend(id.as_bytes());
        stream.write_all(&hello).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut head = [0; 4];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(head[0], 0x20, "a CONNACK");
        if head[3] != 0 {
            assert_eq!(head[3], 0x89, "server busy");
            return None;
        }
        let mut rest = vec![0; usize::from(head[1]) - 2];
        stream.read_exact(&mut rest).expect("the properties");
        Some(Self {
            stream,
            begun: false,
        })
    }

    /// Sends so many bytes of its message; the server may have closed meanwhile.
    fn send(&mut self, many: usize) {
        let mut bytes = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            // QoS 0, 300,000 bytes long.
            bytes.extend([0x30, 0xe0, 0xa7, 0x12]);
        }
        bytes.resize(bytes.len() + many, 0);
        _ = self.stream.write_all(&bytes);
    }

    /// None while the server says nothing; else the end, with its reason where that came through.
    fn word(&mut self, patience: Duration) -> Option<Option<ReasonCode>> {
        let timeout = self.stream.set_read_timeout(Some(patience));
        timeout.expect("a socket");
        let mut word = [0; 64];
        match self.stream.read(&mut word) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Ok(size) if size > 2 && word[0] == 0xe0 => Some(ReasonCode::from_byte(word[2])),
            Ok(_) | Err(_) => Some(None),
        }
    }
}

/// The memory that a process has, in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|n| n.parse().ok()).expect("a number")
}
