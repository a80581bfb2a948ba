//! A start with many sessions that last.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tests::{
    Server,
    raw::{Connect, Message, Raw, V311},
};

/// Clients that come at once.
const AT_ONCE: usize = 48;
/// The longest that a start may take, whatever waits for whom.
const START: Duration = Duration::from_secs(5);

fn join(server: &Server, number: usize) -> (Raw, bool) {
    let mut client = Raw::open(server.address("plain"), V311);
    let present = client.login(&Connect::new(format!("client {number}")).resume());
    (client, present)
}

/// `SESSIONS` sessions (100,000 is what was promised), each with a subscription and a message that
/// waits: after a kill the server serves within 5 s, and each session that is looked at is whole.
#[test]
fn a_start_with_many_sessions_is_quick() {
    let sessions = std::env::var("SESSIONS").map_or(3_000, |n| n.parse().expect("a number"));
    let mut server = Server::start_with(&[
        "listen.plain.off=false",
        "listen.plain.anonymous=true",
        "sockets.sessions=200000",
    ]);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= sessions {
                        return;
                    }
                    let (mut client, _) = join(&server, number);
                    client.subscribe(&[("all", 1), (&format!("own/{number}"), 1)]);
                    client.leave();
                }
            });
        }
    });
    let mut writer = Raw::open(server.address("plain"), V311);
    writer.login(&Connect::new("writer"));
    writer.publish(&Message::new("all", "for everybody").qos(1));
    server.kill();
    let start = Instant::now();
    server.resume();
    let took = start.elapsed();
    println!("{sessions} sessions: a start took {took:?}");
    for number in [0, sessions / 2, sessions - 1] {
        let (mut client, present) = join(&server, number);
        assert!(present, "the session of {number}");
        assert_eq!(client.message().text(), "for everybody");
    }
    assert!(took < START, "{took:?}");
}
