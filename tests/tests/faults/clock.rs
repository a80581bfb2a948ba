//! Clocks that jump by a day.

use crate::{orders::Orders, scene::Scene};
use tests::{
    Server,
    http::{rpc_call, send_rpc, sign_rpc, timestamp},
    mqtt::{Login, Mqtt},
};
use wire::mqtt::Version;

const DAY: i64 = 24 * 60 * 60;

/// Whatever the clock says, connections stay, sessions last as long as they were promised, devices
/// log in and post; callers whose clock is another one are told so; and the right time mends all.
#[test]
fn a_clock_that_jumps_by_a_day_costs_no_connection_and_no_session() {
    // Posts are found again by the devices' times, which are right; a server whose clock is a day
    // behind would take them as of their arrival.
    let mut server = Server::prepare(&["limits.device_ahead=200000000"]);
    let orders = Orders::of(&mut server);
    server.resume();
    let mut scene = Scene::open(server, &["first", "idle", "away"]);
    let pid = scene.server.pid();
    let mut one = scene.connect("first", Version::V311);
    let mut idle = scene.connect("idle", Version::V5);
    let away = scene.secret_login("away");
    let come = |scene: &Scene, away: &Login| {
        let mut line = Mqtt::open(scene.server.address("mqtt"), None, Version::V311);
        let verdict = line.connect(away, false, 60);
        assert!(!verdict.reason.is_error(), "{:?}", verdict.reason);
        let present = verdict.session_present;
        line.disconnect();
        present
    };
    assert!(!come(&scene, &away));

    for jump in [DAY + 3_600, -DAY - 3_600] {
        orders.clock_s(jump);
        one.line.ping();
        idle.line.ping();
        scene.post_all(&mut one, 20);
        assert!(
            come(&scene, &away),
            "the session outlives a jump by {jump} s"
        );
        scene.connect("idle", Version::V311);
        idle = scene.connect("idle", Version::V5);

        // The application's clock is right and the server's is not, which nobody can know here.
        let refused = scene.call(
            "QueryProductList",
            &[("CurrentPage", "1"), ("PageSize", "10")],
        );
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.text("Code").contains("TimeStamp"), "{refused:?}");
        // One that goes with the server's is served.
        let params = [("CurrentPage", "1"), ("PageSize", "10")];
        let mut call = rpc_call(&scene.key, "POST", "QueryProductList", &params);
        call.retain(|(name, _)| name != "Timestamp");
        call.push(("Timestamp".into(), timestamp(jump)));
        sign_rpc(&scene.key, "POST", &mut call);
        let served = send_rpc(scene.server.address("http"), "POST", &call).json();
        assert_eq!(served["Success"], true, "{served}");
        scene.server.cli(&["product", "list"]);
    }

    orders.clock_s(0);
    one.line.ping();
    idle.line.ping();
    scene.post_all(&mut one, 20);
    scene.post_all(&mut idle, 20);
    assert!(come(&scene, &away));
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
}
