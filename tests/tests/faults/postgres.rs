//! A database that is gone for a while.

use crate::scene::{Post, Scene};
use postgres::cluster::Cluster;
use std::time::{Duration, Instant};
use tests::{Server, eventually};
use wire::mqtt::{ReasonCode, Version};

/// How long it is gone, in seconds; `make test` has no minute for it.
const GONE: &str = "MUSTER_TEST_GONE_SECONDS";

/// While PostgreSQL is gone, what needs it is refused in time and in everybody's own words, what
/// the node keeps by itself (connections, and the journal of posts) goes on, and when it is back
/// all does, without a restart ([LK-1]).
#[test]
fn a_database_that_is_gone_for_a_while_costs_nothing_that_was_acknowledged() {
    let seconds = std::env::var(GONE).ok().and_then(|text| text.parse().ok());
    let gone = Duration::from_secs(seconds.unwrap_or(5));
    let cluster = Cluster::start();
    let store = format!("store={}", cluster.database());
    let mut scene = Scene::open(Server::start_with(&[&store]), &["older", "newer", "idle"]);
    let pid = scene.server.pid();
    let mut older = scene.connect("older", Version::V311);
    let mut idle = scene.connect("idle", Version::V5);
    scene.post_all(&mut older, 20);
    assert_eq!(scene.unready(), None);

    cluster.stop();
    let begun = Instant::now();
    let why = eventually("a server that is not ready", || scene.unready());
    assert!(why.contains("registry"), "{why}");
    let mut rounds = 0;
    while begun.elapsed() < gone || rounds == 0 {
        rounds += 1;
        // Who is in stays in, and what is acknowledged is in the history afterwards.
        idle.line.ping();
        assert_eq!(scene.post(&mut older), Post::Stored);
        assert_eq!(scene.post(&mut idle), Post::Stored);
        // Who comes is told that it is not their credentials.
        for version in [Version::V311, Version::V5] {
            let verdict = scene.try_connect("newer", version).err();
            assert_eq!(verdict, Some(Some(ReasonCode::ServerUnavailable)));
        }
        let call = scene.call(
            "QueryProductList",
            &[("CurrentPage", "1"), ("PageSize", "10")],
        );
        assert_eq!(call.status, 503, "{call:?}");
        assert_eq!(call.text("Code"), "ServiceUnavailable", "{call:?}");
        assert!(scene.unready().is_some());
    }
    let (shown, _, why) = scene.server.cli_raw(&["product", "list"]);
    assert!(!shown && !why.is_empty());

    cluster.resume();
    scene.is_ready_again();
    // The connections of before go on, and so does who was refused.
    idle.line.ping();
    scene.post_all(&mut older, 20);
    scene.post_all(&mut idle, 20);
    scene.recovers("newer");
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
}
