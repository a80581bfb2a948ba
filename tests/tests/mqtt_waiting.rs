//! Messages that wait for MQTT sessions: what an operator sees of them, what happens when no more
//! may wait, and who gets those of a member of a group that is gone.

use serde_json::Value;
use tests::{
    Server,
    http::{request, rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    raw::{Case, Message, Raw, V5, V311},
};
use wire::mqtt::{ReasonCode, Version};

/// Publisher and reader of 3.1.1, and of 5.
const VERSIONS: [u8; 2] = [V311, V5];

fn metric(server: &Server, line: &str) -> u64 {
    let page = request(server.address("http"), "GET", "/metrics", &[], b"").body;
    let value = page.lines().find_map(|l| l.strip_prefix(line));
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}

fn dropped(server: &Server, reason: &str) -> u64 {
    let line = format!("muster_dropped_publishes_total{{reason=\"{reason}\"}}");
    metric(server, &line)
}

fn session(case: &Case, name: &str) -> Value {
    case.server().cli(&["plain", "session", &case.id(name)])
}

/// A client that subscribes, leaves, and has a session that stays.
fn sleeper(case: &Case, name: &str, filter: &str, qos: u8) {
    let mut client = case.open();
    client.login(&case.lasting(name));
    assert_eq!(client.subscribe(&[(filter, qos)]), [qos]);
    client.leave();
}

fn awake(case: &Case, name: &str) -> Raw {
    let mut client = case.open();
    assert!(client.login(&case.lasting(name)), "its session is gone");
    client
}

/// All that waited for a session, in its order.
fn waited(case: &Case, name: &str) -> Vec<String> {
    let mut client = awake(case, name);
    let mut got = Vec::new();
    loop {
        let waiting = client.ping();
        if waiting.is_empty() {
            return got;
        }
        for packet in waiting {
            let tests::raw::Packet::Publish(message) = packet else {
                panic!("{packet:?}")
            };
            client.complete(&message);
            got.push(message.text().to_owned());
        }
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// How many messages wait, of what size, and how many are in flight is seen for each client, and in
/// sum; a client without a session has none to show.
#[test]
fn an_operator_sees_what_waits_for_a_client() {
    for version in VERSIONS {
        let case = Case::with(version, &["sockets.stop=5001"]);
        let topic = case.topic("t");
        let mut reader = case.open();
        reader.login(&case.lasting("a reader/1"));
        reader.subscribe(&[(&topic, 1), (&case.topic("other"), 0)]);
        let mut writer = case.client("writer");
        for n in 0..3 {
            writer.publish(&Message::new(&topic, n.to_string()).qos(1));
        }
        let seen = session(&case, "a reader/1");
        assert_eq!(seen["connected"], true, "{seen}");
        assert_eq!(seen["durable"], true, "{seen}");
        assert_eq!(seen["subscriptions"], 2, "{seen}");
        assert_eq!((&seen["queued"], &seen["inflight"]), (&0.into(), &3.into()));
        let life = seen["life"].as_u64().expect("seconds");
        assert_eq!(life, if version == V5 { 600 } else { 86_400 });
        assert!(seen["until"].is_null(), "{seen}");
        let messages: Vec<_> = (0..3).map(|_| reader.take()).collect();
        for message in &messages {
            reader.complete(message);
        }
        reader.quiet();
        reader.leave();
        for n in 0..40 {
            writer.publish(&Message::new(&topic, n.to_string()).qos(1));
        }
        writer.publish(&Message::new(&topic, "at most once"));
        let seen = session(&case, "a reader/1");
        assert_eq!(seen["connected"], false, "{seen}");
        assert_eq!(
            (&seen["queued"], &seen["inflight"]),
            (&40.into(), &0.into())
        );
        assert!(seen["bytes"].as_u64() > Some(40 * 64), "{seen}");
        assert_eq!(seen["dropped"]["away"], 1, "{seen}");
        assert!(
            seen["until"].is_string() && seen["life"].is_null(),
            "{seen}"
        );
        let server = case.server();
        assert_eq!(metric(server, "muster_mqtt_messages{state=\"queued\"}"), 40);
        assert_eq!(metric(server, "muster_mqtt_sessions{state=\"away\"}"), 1);
        assert!(metric(server, "muster_mqtt_messages_bytes") > 40 * 64);
        assert_eq!(waited(&case, "a reader/1"), numbers(0..40));
        assert_eq!(metric(server, "muster_mqtt_messages{state=\"queued\"}"), 0);
        let (done, _, why) = server.cli_raw(&["plain", "session", "nobody"]);
        assert!(!done && why.contains("NoSession"), "{why}");
    }
}

/// The same of a device, for which an application published while it was away; who may not look at
/// the device does not see its session either.
#[test]
fn an_operator_sees_what_waits_for_a_device() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let (done, _, why) = server.cli_raw(&["device", "session", &product, "kitchen"]);
    assert!(!done && why.contains("NoSession"), "{why}");
    let topic = format!("/{product}/kitchen/user/get");
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    let login = Login::signed(&product, "kitchen", &secret, "");
    assert_eq!(
        device.connect(&login, false, 60).reason,
        ReasonCode::Success
    );
    device.subscribe(&topic);
    let seen = server.cli(&["device", "session", &product, "kitchen"]);
    assert_eq!(seen["connected"], true, "{seen}");
    device.disconnect();
    tests::eventually("the device's leave", || {
        let seen = server.cli(&["device", "session", &product, "kitchen"]);
        (seen["connected"] == false).then_some(())
    });
    let key = server.key();
    for _ in 0..3 {
        let params = [
            ("ProductKey", &*product),
            ("TopicFullName", &topic),
            ("MessageContent", "aGk="),
            ("Qos", "1"),
        ];
        let call = rpc_call(&key, "POST", "Pub", &params);
        let told = send_rpc(server.address("http"), "POST", &call).json();
        assert_eq!(told["Success"], true, "{told}");
    }
    let seen = server.cli(&["device", "session", &product, "kitchen"]);
    assert_eq!(seen["queued"], 3, "{seen}");
    let (done, _, why) = server.cli_raw(&["device", "session", &product, "cellar"]);
    assert!(!done && why.contains("NoSuchDevice"), "{why}");
}

/// `drop-oldest`: the latest messages are there, and each older one is counted.
#[test]
fn the_oldest_message_makes_room() {
    for version in VERSIONS {
        let case = Case::with(version, &["sockets.queue=5"]);
        let topic = case.topic("t");
        sleeper(&case, "reader", &topic, 2);
        let mut writer = case.client("writer");
        for n in 0..8_u8 {
            let message = Message::new(&topic, n.to_string()).qos(1 + n % 2);
            assert_eq!(writer.publish(&message), 0);
        }
        let seen = session(&case, "reader");
        assert_eq!(
            (&seen["queued"], &seen["dropped"]["queue_full"]),
            (&5.into(), &3.into())
        );
        assert_eq!(dropped(case.server(), "queue full"), 3);
        assert_eq!(waited(&case, "reader"), numbers(3..8));
    }
}

/// `drop-newest`: the first messages are there, and each later one is counted.
#[test]
fn the_newest_message_finds_no_room() {
    for version in VERSIONS {
        let case = Case::with(
            version,
            &["sockets.queue=5", "sockets.overflow=\"drop-newest\""],
        );
        let topic = case.topic("t");
        sleeper(&case, "reader", &topic, 2);
        let mut writer = case.client("writer");
        for n in 0..8_u8 {
            let message = Message::new(&topic, n.to_string()).qos(1 + n % 2);
            assert_eq!(writer.publish(&message), 0);
        }
        let seen = session(&case, "reader");
        assert_eq!(
            (&seen["queued"], &seen["dropped"]["queue_full"]),
            (&5.into(), &3.into())
        );
        assert_eq!(dropped(case.server(), "queue full"), 3);
        assert_eq!(waited(&case, "reader"), numbers(0..5));
    }
}

/// `refuse`: the publisher is told in the words of its version, nobody gets the message, and all
/// goes on once there is room.
#[test]
fn a_message_without_room_is_refused() {
    for version in VERSIONS {
        let case = Case::with(version, &["sockets.queue=5", "sockets.overflow=\"refuse\""]);
        let topic = case.topic("t");
        sleeper(&case, "reader", &topic, 2);
        let mut witness = case.client("witness");
        witness.subscribe(&[(&topic, 1)]);
        let mut writer = case.client("writer");
        for n in 0..5_u8 {
            let message = Message::new(&topic, n.to_string()).qos(1 + n % 2);
            assert_eq!(writer.publish(&message), 0);
            assert_eq!(witness.message().text(), n.to_string());
        }
        for qos in [1, 2] {
            let message = Message::new(&topic, "too much").qos(qos);
            if version == V5 {
                assert_eq!(writer.publish(&message), 0x97);
            } else {
                writer.send_publish(&message);
                writer.closed();
                writer = case.client("writer");
            }
        }
        // At QoS 0 nothing has to wait.
        writer.publish(&Message::new(&topic, "passes"));
        assert_eq!(witness.message().text(), "passes");
        witness.quiet();
        assert_eq!(dropped(case.server(), "refused"), 2);
        let seen = session(&case, "reader");
        assert_eq!(
            (&seen["queued"], &seen["dropped"]["queue_full"]),
            (&5.into(), &0.into())
        );
        assert_eq!(waited(&case, "reader"), numbers(0..5));
        assert_eq!(writer.publish(&Message::new(&topic, "5").qos(1)), 0);
        assert_eq!(waited(&case, "reader"), ["5"]);
    }
}

/// Under `refuse` a group takes a message as long as one member has room for it.
#[test]
fn a_group_refuses_when_all_its_members_are_full() {
    let case = Case::with(V5, &["sockets.queue=3", "sockets.overflow=\"refuse\""]);
    let (topic, group) = (case.topic("t"), format!("$share/g/{}", case.topic("t")));
    sleeper(&case, "one", &group, 1);
    let mut writer = case.client("writer");
    for n in 0..3 {
        assert_eq!(
            writer.publish(&Message::new(&topic, n.to_string()).qos(1)),
            0
        );
    }
    assert_eq!(writer.publish(&Message::new(&topic, "no").qos(1)), 0x97);
    // Whose turn it is does not matter while only the other one has room.
    sleeper(&case, "other", &group, 1);
    for n in 3..6 {
        assert_eq!(
            writer.publish(&Message::new(&topic, n.to_string()).qos(1)),
            0
        );
    }
    assert_eq!(writer.publish(&Message::new(&topic, "no").qos(1)), 0x97);
    assert_eq!(waited(&case, "one"), numbers(0..3));
    assert_eq!(waited(&case, "other"), numbers(3..6));
}

/// MQTT 5 §4.8.2: what a member was sent at QoS 1 and did not acknowledge, and what only waited for
/// it, goes to others of its group when its session ends; be they away.
#[test]
fn what_a_gone_member_left_goes_to_another() {
    for version in VERSIONS {
        let case = Case::new(version);
        let (topic, group) = (case.topic("t"), format!("$share/g/{}", case.topic("t")));
        let mut member = case.open();
        member.login(&case.lasting("member"));
        member.subscribe(&[(&group, 2), (&case.topic("own"), 1)]);
        let mut writer = case.client("writer");
        for n in 0..3 {
            writer.publish(&Message::new(&topic, n.to_string()).qos(1));
        }
        writer.publish(&Message::new(&case.topic("own"), "own").qos(1));
        let first = member.take();
        member.complete(&first);
        // The answer to this comes after the acknowledgement was taken.
        member.ping();
        member.leave();
        writer.publish(&Message::new(&topic, "waits").qos(2));
        sleeper(&case, "heir", &group, 2);
        // A clean session of the same client ends the former one.
        case.client("member").quiet();
        assert_eq!(waited(&case, "heir"), ["1", "2", "waits"]);
    }
}
