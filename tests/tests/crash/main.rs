//! Promise 1: acknowledged means stored.

mod orders;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::{
    Server,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{Packet, Version};

const KILLS: usize = 20;
const IN_FLIGHT: usize = 16;

/// [AL-6.3] The server is killed 20 times at random points under QoS 1 property posts; every post
/// that was acknowledged is in the history, and none is there that was never sent.
#[test]
fn no_acknowledged_post_is_lost_when_the_server_is_killed() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let topic = format!("/sys/{product}/kitchen/thing/event/property/post");
    let login = Login::signed(&product, "kitchen", &secret, ",_ss=1");

    let started = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis() as i64;
    let mut chance = seed();
    let mut sent = 0_i64;
    let mut acknowledged = BTreeSet::new();
    for _ in 0..KILLS {
        let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
        device.connect(&login, true, 60);
        let goal = acknowledged.len() + 1 + random(&mut chance) as usize % 200;
        let mut in_flight = BTreeMap::new();
        while acknowledged.len() < goal {
            while in_flight.len() < IN_FLIGHT {
                // Each post bears a time of its own, by which it is found again.
                let post = json!({
                    "id": sent.to_string(), "version": "1.0",
                    "method": "thing.event.property.post",
                    "params": {"target": {"value": 5 + sent % 30, "time": started + sent}},
                });
                in_flight.insert(device.publish(&topic, post.to_string().as_bytes()), sent);
                sent += 1;
            }
            match device.receive() {
                Some(Packet::PubAck(ack)) => {
                    let number = in_flight.remove(&ack.packet_id).expect("it was sent");
                    acknowledged.insert(number);
                }
                Some(_) => {}
                None => panic!("the server closed the connection"),
            }
        }
        // The rest is in flight: kill at a random point of it.
        for _ in 0..random(&mut chance) % 100_000 {
            std::hint::spin_loop();
        }
        server.kill();
        server.resume();
    }

    let mut app = server.app(App::Core, false);
    let mut kept = BTreeSet::new();
    let mut from = started;
    loop {
        let answer = app.call(
            "QueryDevicePropertyData",
            &json!({
                "ProductKey": product, "DeviceName": "kitchen", "Identifier": "target",
                "StartTime": from, "EndTime": started + sent, "Asc": 1, "PageSize": 50,
            }),
        );
        assert_eq!(answer["Success"], true, "{answer}");
        for point in answer["Data"]["List"]["PropertyInfo"]
            .as_array()
            .expect("a list")
        {
            let number = number(&point["Time"]) - started;
            assert_eq!(point["Value"], (5 + number % 30).to_string());
            kept.insert(number);
        }
        if answer["Data"]["NextValid"] != true {
            break;
        }
        from = number(&answer["Data"]["NextTime"]);
    }
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(
        kept.iter().all(|number| (0..sent).contains(number)),
        "kept and never sent"
    );
    println!(
        "{KILLS} kills: {sent} posts sent, {} acknowledged, {} kept, none lost",
        acknowledged.len(),
        kept.len()
    );
}

fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// A seed that a failing run prints, so that it can be had again.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("MUSTER_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) | 1);
    println!("MUSTER_TEST_SEED={seed}");
    seed
}

/// xorshift64: chance enough for a test, and the same for the same seed.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
