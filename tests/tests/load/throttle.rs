//! Wrong credentials beside right ones, from one address.

use crate::fleet::{counted, register};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tests::{
    Server, eventually,
    mqtt::{Login, Mqtt},
};
use wire::mqtt::{Packet, ReasonCode, Version};

/// Devices behind the address.
const GOOD: usize = 300;
/// Failures a minute under one name that are answered at once, by default.
const FAILURES: u64 = 30;
/// After how long another failure of the minute's is.
const PAUSE: Duration = Duration::from_secs(60 / FAILURES);
/// How often the one who hammers shows its right secret.
const AGAIN: usize = 10;
/// A login that is let in at once takes less, on a busy machine too; those who guess wait longer.
const PROMPT: Duration = Duration::from_secs(5);
/// Clients that are made to wait at once.
const WAITING: usize = 1_024;

fn wrong(login: &Login) -> Login {
    let mut login = login.clone();
    login.password = "00".repeat(20);
    login
}

/// Ends the hammering, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// [AL-3.1] One device that tries wrong passwords as fast as it can is answered late, counted, and
/// told of in the audit log in few lines; hundreds behind the same address are let in at once, and
/// so is the device itself when it shows what is right.
#[test]
fn one_who_hammers_slows_nobody_but_itself() {
    let mut server = Server::start_with(&["limits.audit_failures=1"]);
    let mut logins = register(&mut server, GOOD + 1);
    let bad = logins.pop().expect("one more");
    let address = server.address("mqtt");
    let (done, late) = (AtomicBool::new(false), AtomicBool::new(false));
    let (tried, took) = std::thread::scope(|threads| {
        let hammer = threads.spawn(|| {
            let began = Instant::now();
            let mut tried = 0_u64;
            while !done.load(Relaxed) {
                let asked = Instant::now();
                let mut line = Mqtt::open(address, None, Version::V311);
                let verdict = line.connect(&wrong(&bad), true, 60);
                assert!(verdict.reason.is_error());
                tried += 1;
                if tried > FAILURES && asked.elapsed() > PAUSE / 2 {
                    late.store(true, Relaxed);
                }
            }
            (tried, began.elapsed())
        });
        let end = End(&done);
        // From here on it is known to be throttled.
        eventually("a late answer", || {
            (late.load(Relaxed) || hammer.is_finished()).then_some(())
        });
        let began = Instant::now();
        let again = std::iter::repeat_n(&bad, AGAIN);
        for login in logins.iter().chain(again) {
            let mut line = Mqtt::open(address, None, Version::V311);
            let verdict = line.connect(login, true, 60);
            assert_eq!(verdict.reason, ReasonCode::Success);
        }
        let each = began.elapsed() / (GOOD + AGAIN) as u32;
        drop(end);
        let hammered = hammer.join().expect("each try is answered");
        assert!(each < PAUSE / 4, "a right login took {each:?}");
        hammered
    });

    // Each pause lets one more through at once, and one wait for it.
    let most = FAILURES + 2 * (took.as_secs() / PAUSE.as_secs() + 1);
    assert!(tried <= most, "{tried} tries in {took:?}");
    let late = counted(&server, "muster_throttled_logins_total", "answer=\"late\"");
    assert!((1..=tried - FAILURES).contains(&late), "{late} of {tried}");
    let none = counted(&server, "muster_throttled_logins_total", "answer=\"none\"");
    assert_eq!(none, 0);
    audited(&server, tried, &logins);
}

/// So many failures are in the audit log: one line a second, and lines that sum up the others. A
/// sum is written with the first failure of a later second, so there are some more.
fn audited(server: &Server, mut failures: u64, others: &[Login]) {
    let mut others = others.iter().cycle();
    eventually("all failures in the audit log", || {
        let other = others.next().expect("some");
        let mut line = Mqtt::open(server.address("mqtt"), None, Version::V311);
        line.connect(&wrong(other), true, 60);
        failures += 1;
        let listed = server.cli(&["audit", "list", "--most", "1000"]);
        let (mut single, mut summed, mut sums) = (0, 0, 0);
        for line in listed.as_array().expect("a list") {
            let entry = &line["entry"];
            let action = entry["action"].as_str().unwrap_or_default();
            if action == "audit.held" {
                let detail = entry["detail"].as_str().unwrap_or_default();
                let count = detail.split(' ').next().and_then(|n| n.parse::<u64>().ok());
                summed += count.unwrap_or_else(|| panic!("no number: {entry}"));
                sums += 1;
            } else if action.starts_with("device.") && entry["outcome"] != "ok" {
                single += 1;
            }
        }
        assert!(single + summed <= failures, "{single} and {summed}");
        (single + summed == failures && sums > 0 && single < failures).then_some(())
    });
}

/// [AL-3.1] More guessers at once than are made to wait: those beyond are closed without an answer,
/// and who shows what is right is let in at once.
#[test]
fn guessers_beyond_those_who_wait_are_cut() {
    // The second failure of a name waits for the longest time that there is.
    let mut server = Server::start_with(&["sockets.failures=1", "limits.audit_failures=1"]);
    let logins = register(&mut server, 2);
    let guess = wrong(&logins[0]);
    let address = server.address("mqtt");
    let mut first = Mqtt::open(address, None, Version::V311);
    first.connect(&guess, true, 60);
    let mut waiting = Vec::new();
    let cut = || counted(&server, "muster_throttled_logins_total", "answer=\"none\"");
    let began = Instant::now();
    while cut() == 0 {
        assert!(began.elapsed() < tests::PATIENCE, "nobody is cut");
        for _ in 0..WAITING / 4 {
            let mut line = Mqtt::open(address, None, Version::V311);
            line.hello(&guess, true, 60);
            waiting.push(line);
        }
    }
    assert!(waiting.len() > WAITING, "{} are too many", waiting.len());

    let asked = Instant::now();
    let mut line = Mqtt::open(address, None, Version::V311);
    let verdict = line.connect(&logins[1], true, 60);
    assert_eq!(verdict.reason, ReasonCode::Success);
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    let last = waiting.last_mut().expect("many");
    let answer = last.receive();
    assert!(
        !matches!(&answer, Some(Packet::ConnAck(verdict)) if !verdict.reason.is_error()),
        "{answer:?}"
    );
}
