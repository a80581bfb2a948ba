//! A disk that takes its time.

use crate::{orders::Orders, scene::Scene};
use std::time::{Duration, Instant};
use tests::Server;
use wire::mqtt::Version;

/// How long each sync takes.
const SYNC: Duration = Duration::from_millis(1_500);
/// What does not need the disk is not held up by it.
const PROMPT: Duration = Duration::from_millis(1_000);

/// While each sync takes a second and a half, posts are acknowledged late and never early, and
/// whoever needs no sync is served as ever.
#[test]
fn a_slow_disk_holds_up_nobody_who_does_not_write() {
    let mut server = Server::prepare(&[]);
    let orders = Orders::of(&mut server);
    server.resume();
    let mut scene = Scene::open(server, &["first", "idle"]);
    let pid = scene.server.pid();
    let mut one = scene.connect("first", Version::V311);
    let mut idle = scene.connect("idle", Version::V5);
    scene.post_all(&mut one, 10);
    let known = [
        ("ProductKey", scene.product.clone()),
        ("DeviceName", "first".to_owned()),
    ];
    let known = known
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    // The first call begins the file of what was used up.
    scene.call("QueryDeviceDetail", &known);

    orders.sync_delay_ms(SYNC.as_millis() as i64);
    std::thread::scope(|threads| {
        let posts = threads.spawn(|| {
            let begun = Instant::now();
            scene.post_all(&mut one, 3);
            (begun.elapsed(), &mut scene)
        });
        let mut slowest = Duration::ZERO;
        while !posts.is_finished() {
            let asked = Instant::now();
            idle.line.ping();
            slowest = slowest.max(asked.elapsed());
        }
        assert!(slowest < PROMPT, "a ping took {slowest:?}");
        let (took, scene) = posts.join().expect("posts are stored");
        assert!(took >= 3 * SYNC, "three posts were stored in {took:?}");
        let asked = Instant::now();
        let shown = scene.call("QueryDeviceDetail", &known).json();
        assert_eq!(shown["Success"], true, "{shown}");
        // A call burns its nonce, which is a write of its own.
        assert!(asked.elapsed() < PROMPT + 2 * SYNC, "{:?}", asked.elapsed());
    });
    // A login waits for its facts and succeeds.
    scene.connect("idle", Version::V311);

    orders.sync_delay_ms(0);
    let mut one = scene.recovers("first");
    scene.post_all(&mut one, 50);
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
}
