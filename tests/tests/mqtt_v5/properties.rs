//! What a message says of itself is passed on (§3.3.2.3, §4.10).

use crate::{case, lasting};
use tests::raw::{Message, Packet, Props, V311, id};

fn full() -> Props {
    Props::new()
        .user("b", "1")
        .number(id::PAYLOAD_FORMAT, 1)
        .text(id::CONTENT_TYPE, "text/plain; charset=utf-8")
        .user("a", "2")
        .user("b", "1")
        .text(id::RESPONSE_TOPIC, "answers/\u{e9}")
        .data(id::CORRELATION, b"\x00\xff\x01")
        .user("", "")
        .user("b", "3")
}

fn check(props: &Props) {
    assert_eq!(
        props.users(),
        [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("b", "3")]
    );
    assert_eq!(props.get(id::PAYLOAD_FORMAT), Some(1));
    assert_eq!(
        props.get_text(id::CONTENT_TYPE),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(props.get_text(id::RESPONSE_TOPIC), Some("answers/\u{e9}"));
    assert_eq!(props.get_data(id::CORRELATION), Some(&b"\x00\xff\x01"[..]));
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
#[test]
fn properties_of_a_message_reach_every_subscriber_unchanged() {
    let case = case();
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    let (mut sleeper, _) = lasting(&case, "sleeper");
    sleeper.subscribe(&[(&topic, 2)]);
    sleeper.leave();
    for qos in 0..3 {
        sender.publish(&Message::new(&topic, "x").qos(qos).with(full()));
        check(&client.message().props);
    }
    // From a queue, and from the store of retained messages.
    sender.publish(&Message::new(&topic, "x").qos(1).retain().with(full()));
    let (mut sleeper, _) = lasting(&case, "sleeper");
    for _ in 0..3 {
        check(&sleeper.message().props);
    }
    let mut late = case.client("late");
    late.subscribe(&[(&topic, 1)]);
    check(&late.message().props);
}

/// [MQTT-3.3.2-4] What was not said is not made up.
#[test]
fn a_message_without_properties_gets_none() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "x").qos(1));
    assert!(client.message().props.is_empty());
    let mut old = case.open_as(V311);
    old.login(&case.connect("old"));
    old.publish(&Message::new(&topic, "x").qos(1));
    assert!(client.message().props.is_empty());
    // The other way round, a client of 3.1.1 gets the message without them.
    old.subscribe(&[(&topic, 1)]);
    sender.publish(&Message::new(&topic, "y").qos(1).with(full()));
    assert_eq!(old.message().text(), "y");
}

/// [MQTT-3.3.2-14] [MQTT-4.7.0-1] [MQTT-4.13.1-1]
#[test]
fn a_response_topic_has_no_wildcards() {
    let case = case();
    for topic in ["a/#", "+/a", ""] {
        let mut client = case.client("bad");
        let props = Props::new().text(id::RESPONSE_TOPIC, topic);
        client.send_publish(&Message::new(&case.topic("t"), "x").qos(1).with(props));
        match client.packet() {
            Some(Packet::Disconnect {
                code: 0x81 | 0x82 | 0x90,
                ..
            }) => {}
            other => panic!("{topic}: {other:?}"),
        }
        client.closed();
    }
}

/// [MQTT-3.3.2-15] [MQTT-3.3.2-16] A request finds its answer (§4.10.1).
#[test]
fn a_request_and_its_response_find_each_other() {
    let case = case();
    let (question, answer) = (case.topic("question"), case.topic("answer"));
    let mut asks = case.client("asks");
    asks.subscribe(&[(&answer, 1)]);
    let mut knows = case.client("knows");
    knows.subscribe(&[(&question, 1)]);
    let props = Props::new()
        .text(id::RESPONSE_TOPIC, &answer)
        .data(id::CORRELATION, b"42");
    asks.publish(&Message::new(&question, "?").qos(1).with(props));
    let asked = knows.message();
    let to = asked.props.get_text(id::RESPONSE_TOPIC).expect("a topic");
    let of = asked.props.get_data(id::CORRELATION).expect("a number");
    let props = Props::new().data(id::CORRELATION, of);
    knows.publish(&Message::new(to, "!").qos(1).with(props));
    let told = asks.message();
    assert_eq!(told.text(), "!");
    assert_eq!(told.props.get_data(id::CORRELATION), Some(&b"42"[..]));
}

/// [MQTT-3.3.2-4] The server does not judge what a payload is (§3.3.2.3.2 lets it).
#[test]
fn a_payload_that_is_not_what_it_says_passes_or_is_refused_by_its_reason() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    let props = Props::new().number(id::PAYLOAD_FORMAT, 1);
    let code = sender.publish(&Message::new(&topic, b"\xff").qos(1).with(props));
    if code == 0 {
        assert_eq!(client.message().payload, b"\xff");
    } else {
        assert_eq!(code, 0x99);
        client.quiet();
    }
}

/// [MQTT-3.3.2-17] User properties of other packets are for the server, and no harm.
#[test]
fn user_properties_are_taken_in_every_packet() {
    let case = case();
    let mut client = case.open();
    let props = Props::new().user("k", "v").user("k", "v");
    client.login(&case.connect("client").with(props.clone()));
    client.subscribe_with(&[(&case.topic("t"), 1)], &props);
    client.publish(&Message::new(&case.topic("t"), "x").qos(1).with(props));
    let id = client.take().id.unwrap().to_be_bytes();
    let ack = [&id[..], b"\x00\x07\x26\x00\x01k\x00\x01v"].concat();
    client.send_packet(0x40, &ack);
    client.quiet();
    client.leave();
}
