//! Wills outlive `kill -9`: to its clients a server that was killed has lost their connections.

use std::time::{Duration, Instant};
use tests::{
    Server, eventually,
    mqtt::{Login, Mqtt},
    raw::{Connect, Packet, Props, Raw, V5, V31, V311, Will, id},
};
use wire::mqtt::{
    Binary, Packet as Own, Properties, QoS, ReasonCode, Text, TopicName, Version, Will as OwnWill,
};

fn server() -> Server {
    Server::start_with(&["listen.plain.off=false", "listen.plain.anonymous=true"])
}

fn restart(server: &mut Server) {
    server.kill();
    server.resume();
}

fn open(server: &Server, version: u8, connect: &Connect) -> Raw {
    let mut client = Raw::open(server.address("plain"), version);
    client.login(connect);
    client
}

/// A client of MQTT 5 whose session is kept.
fn lasting(name: &str) -> Connect {
    Connect::new(name).resume().expiry(600)
}

fn will(text: &str, delay: u32) -> Will {
    let will = Will::new("will/x", text).qos(1);
    match delay {
        0 => will,
        delay => will.with(Props::new().number(id::WILL_DELAY, delay)),
    }
}

/// Somebody whose session outlives the server, and who gets all wills.
fn heir(server: &Server) -> Raw {
    let mut heir = open(server, V5, &lasting("heir"));
    if !matches!(heir.subscribe(&[("will/#", 1)])[..], [1]) {
        panic!("no subscription");
    }
    heir
}

/// Returns when what the client acknowledged is on disk: its answer to this is held back until then.
fn settled(client: &mut Raw) {
    client.subscribe(&[("settled", 1)]);
}

fn messages(client: &mut Raw) -> Vec<String> {
    let mut got = Vec::new();
    for packet in client.ping() {
        let Packet::Publish(message) = packet else {
            panic!("{packet:?}")
        };
        client.complete(&message);
        got.push(message.text().to_owned());
    }
    got
}

/// [MQTT-3.1.2-8] The will of a client that was connected when the server was killed is published
/// after the next start, once, in every version, whether or not its session outlives it; that of a
/// client that had left in order is not [MQTT-3.1.2-10].
#[test]
fn the_wills_of_all_who_were_connected_are_published_once() {
    let mut server = server();
    drop(heir(&server));
    let mut clients = Vec::new();
    for (version, name) in [(V31, "a"), (V311, "b"), (V5, "c")] {
        let clean = Connect::new(name).will(will(name, 0));
        clients.push(open(&server, version, &clean));
        let name = format!("{name}, kept");
        let kept = Connect::new(&name).resume().will(will(&name, 0));
        clients.push(open(&server, version, &kept));
        let polite = Connect::new(format!("{name}, polite")).will(will("polite", 0));
        open(&server, version, &polite).leave();
    }
    // Properties come with it; the session ends with the connection, and the delay with that.
    let props = Props::new()
        .number(id::WILL_DELAY, 1_000)
        .number(id::MESSAGE_EXPIRY, 600)
        .user("a", "b");
    let full = Connect::new("d").will(Will::new("will/d", "d").qos(1).retain().with(props));
    clients.push(open(&server, V5, &full));
    restart(&mut server);
    let mut wills = std::collections::BTreeSet::new();
    let mut heir = open(&server, V5, &lasting("heir"));
    while wills.len() < 7 {
        let message = heir.message();
        if message.text() == "d" {
            assert_eq!(message.props.users(), [("a", "b")]);
            assert!(message.props.get(id::MESSAGE_EXPIRY) > Some(500));
            assert_eq!(message.props.get(id::WILL_DELAY), None);
        }
        assert!(wills.insert(message.text().to_owned()), "{message:?}");
    }
    assert!(!wills.contains("polite"));
    settled(&mut heir);
    drop(clients);
    restart(&mut server);
    let mut heir = open(&server, V5, &lasting("heir"));
    assert_eq!(messages(&mut heir), [""; 0]);
    // The retained one stays.
    let mut late = open(&server, V311, &Connect::new("late"));
    late.subscribe(&[("will/#", 0)]);
    assert_eq!(late.message().text(), "d");
    assert_eq!(messages(&mut late), [""; 0]);
}

/// [MQTT-3.1.3-9] The delay of a will counts from the loss of the connection, and from the start of
/// the server where a kill was the loss.
#[test]
fn a_delay_goes_on_over_a_kill() {
    let mut server = server();
    drop(heir(&server));
    // Lost before the kill: its delay is over soon after the start.
    let lost = lasting("lost").will(will("lost", 4));
    let client = open(&server, V5, &lost);
    let from = Instant::now();
    client.drop_line();
    eventually("the loss", || {
        let seen = server.cli(&["plain", "session", "lost"]);
        (seen["connected"] == false).then_some(())
    });
    let killed = lasting("killed").will(will("killed", 3));
    let client = open(&server, V5, &killed);
    server.kill();
    let start = Instant::now();
    server.resume();
    drop(client);
    let mut heir = open(&server, V5, &lasting("heir"));
    for _ in 0..2 {
        let message = heir.message();
        let (since, delay) = match message.text() {
            "lost" => (from, 4_000),
            _ => (start, 3_000),
        };
        let after = since.elapsed();
        assert!(
            after > Duration::from_millis(delay - 100),
            "{message:?} after {after:?}"
        );
        assert!(
            after < Duration::from_secs(30),
            "{message:?} after {after:?}"
        );
    }
    settled(&mut heir);
    restart(&mut server);
    let mut heir = open(&server, V5, &lasting("heir"));
    assert_eq!(messages(&mut heir), [""; 0]);
}

/// [MQTT-3.1.3-9] A client that is back before its delay is over leaves no will, however often the
/// server is killed; nor does one that the kill of the server came too late for.
#[test]
fn a_client_that_is_back_in_time_leaves_no_will() {
    let mut server = server();
    drop(heir(&server));
    let hello = lasting("client").will(will("void", 1_000));
    let client = open(&server, V5, &hello);
    restart(&mut server);
    drop(client);
    let mut client = open(&server, V5, &lasting("client"));
    client.ping();
    restart(&mut server);
    drop(client);
    // The end of the session would be the end of the wait.
    open(&server, V5, &Connect::new("client")).leave();
    let mut heir = open(&server, V5, &lasting("heir"));
    assert_eq!(messages(&mut heir), [""; 0]);
    // And that is so for one that waits still.
    let client = open(&server, V5, &hello);
    restart(&mut server);
    drop(client);
    let mut heir = open(&server, V5, &lasting("heir"));
    heir.quiet();
    open(&server, V5, &Connect::new("client")).leave();
    assert_eq!(heir.message().text(), "void");
}

/// A device whose product's owner allows wills leaves one as well; it is on the topic's history as
/// any message of the device.
#[test]
fn a_device_leaves_its_will() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    server.cli(&["product", "mqtt", &product, "--will"]);
    let secret = server.device(&product, "kitchen");
    let topic = format!("/{product}/kitchen/user/bye");
    let class = ["product", "topic", "create", &product, "user/bye"];
    server.cli(&[&class[..], &["--right", "both"]].concat());
    let login = Login::signed(&product, "kitchen", &secret, "");
    let connect = |server: &Server, leaves: bool| {
        let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
        let text = |text: &str| Text::new(text.to_owned()).expect("a text");
        device.send(&Own::Connect(Box::new(wire::mqtt::Connect {
            version: Version::V311,
            clean_start: false,
            keep_alive: 60,
            client_id: text(&login.client_id),
            will: leaves.then(|| OwnWill {
                topic: TopicName::new(topic.clone()).expect("a topic"),
                payload: Binary::new("bye").expect("a payload"),
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Properties::new(),
            }),
            username: Some(text(&login.user)),
            password: wire::mqtt::Secret::new(login.password.clone().into_bytes()).ok(),
            properties: Properties::new(),
        })));
        match device.receive() {
            Some(Own::ConnAck(verdict)) => assert_eq!(verdict.reason, ReasonCode::Success),
            other => panic!("{other:?}"),
        }
        device
    };
    let mut device = connect(&server, true);
    assert!(!device.subscribe(&topic).is_error());
    restart(&mut server);
    let mut device = connect(&server, false);
    assert_eq!(device.message(&topic), b"bye");
    // Answered when its acknowledgement is on disk.
    device.subscribe(&format!("/{product}/kitchen/user/get"));
    device.disconnect();
    restart(&mut server);
    let mut device = connect(&server, false);
    assert!(!device.has_message(&topic));
}
