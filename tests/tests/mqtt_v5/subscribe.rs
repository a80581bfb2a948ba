//! SUBSCRIBE and UNSUBSCRIBE (§3.8 to §3.11).

use crate::{case, lasting};
use tests::raw::{Message, Packet, Props, id, kind};

const NO_LOCAL: u8 = 0x04;

fn number(n: u32) -> Props {
    Props::new().number(id::SUBSCRIPTION_ID, n)
}

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
/// [MQTT-3.9.3-2] [MQTT-2.2.1-6]
#[test]
fn one_answer_has_a_code_for_each_filter_in_their_order() {
    let case = case();
    let mut client = case.client("client");
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| case.topic(name));
    assert_eq!(
        client.subscribe(&[(&a, 2), (&b, 0), ("test/nosubscribe", 2), (&c, 1), (&d, 2)]),
        [2, 0, 0x87, 1, 2]
    );
    let mut sender = case.client("sender");
    for (topic, qos) in [(&a, 2), (&b, 0), (&c, 1), (&d, 2)] {
        sender.publish(&Message::new(topic, "x").qos(2));
        let message = client.message();
        assert_eq!((&message.topic, message.qos), (topic, qos));
    }
    client.quiet();
}

/// [MQTT-3.8.4-3] [MQTT-3.8.4-4] With its options and its number.
#[test]
fn a_filter_that_is_there_already_is_replaced() {
    let case = case();
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "kept").qos(2).retain());
    let mut client = case.client("client");
    for (qos, n) in [(2, 1), (0, 2), (1, 3)] {
        client.subscribe_with(&[(&topic, qos)], &number(n));
        let message = client.message();
        assert_eq!((message.text(), message.qos), ("kept", qos));
        sender.publish(&Message::new(&topic, "live").qos(2));
        let message = client.message();
        assert_eq!((message.text(), message.qos), ("live", qos));
        assert_eq!(message.props.numbers(id::SUBSCRIPTION_ID), [n]);
        client.quiet();
    }
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_a_client_from_hearing_itself() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "client");
    client.subscribe(&[(&topic, 2 | NO_LOCAL)]);
    let mut other = case.client("other");
    other.subscribe(&[(&topic, 2)]);
    for qos in 0..3 {
        client.publish(&Message::new(&topic, "own").qos(qos));
        assert_eq!(other.message().text(), "own");
        client.quiet();
        other.publish(&Message::new(&topic, "other's").qos(qos));
        assert_eq!(other.message().text(), "other's");
        assert_eq!(client.message().text(), "other's");
    }
    // It goes by the client id, so a new connection makes no difference.
    client.quiet();
    client.drop_line();
    let (mut client, _) = lasting(&case, "client");
    client.publish(&Message::new(&topic, "own").qos(1));
    client.quiet();
    // Without it, a client does hear itself.
    client.subscribe(&[(&topic, 2)]);
    client.publish(&Message::new(&topic, "own").qos(1));
    assert_eq!(client.message().text(), "own");
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
#[test]
fn a_message_names_all_subscriptions_that_it_is_for() {
    let case = case();
    let mut client = case.client("client");
    client.subscribe_with(&[(&case.topic("#"), 1)], &number(1));
    client.subscribe_with(&[(&case.topic("+/b"), 2)], &number(268_435_455));
    client.subscribe(&[(&case.topic("a/+"), 0)]);
    client.subscribe_with(&[(&case.topic("a/b"), 0)], &number(1));
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&case.topic("a/b"), "x").qos(2));
    let message = client.message();
    assert_eq!((message.text(), message.qos), ("x", 2));
    let mut numbers = message.props.numbers(id::SUBSCRIPTION_ID);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, [1, 268_435_455]);
    client.quiet();
    sender.publish(&Message::new(&case.topic("c"), "y").qos(1));
    let message = client.message();
    assert_eq!(message.props.numbers(id::SUBSCRIPTION_ID), [1]);
    // A subscription without a number has none.
    client.unsubscribe(&[&case.topic("#"), &case.topic("+/b"), &case.topic("a/b")]);
    sender.publish(&Message::new(&case.topic("a/b"), "z").qos(1));
    assert!(
        client
            .message()
            .props
            .numbers(id::SUBSCRIPTION_ID)
            .is_empty()
    );
}

/// [MQTT-3.3.4-2] Overlapping subscriptions of one client, one of them No Local.
#[test]
fn options_of_overlapping_subscriptions_count_each_for_itself() {
    let case = case();
    let topic = case.topic("a/b");
    let mut client = case.client("client");
    client.subscribe_with(&[(&case.topic("#"), 2 | NO_LOCAL)], &number(1));
    client.subscribe_with(&[(&topic, 1)], &number(2));
    client.publish(&Message::new(&topic, "own").qos(2));
    let message = client.message();
    assert_eq!(message.qos, 1);
    assert_eq!(message.props.numbers(id::SUBSCRIPTION_ID), [2]);
    client.quiet();
}

/// [MQTT-3.3.4-3] [MQTT-3.3.1-9] Retained messages are for the subscription that brought them.
#[test]
fn a_retained_message_names_the_subscription() {
    let case = case();
    let topic = case.topic("t");
    case.client("sender")
        .publish(&Message::new(&topic, "kept").qos(1).retain());
    let mut client = case.client("client");
    client.subscribe_with(&[(&topic, 1)], &number(77));
    let message = client.message();
    assert_eq!(message.props.numbers(id::SUBSCRIPTION_ID), [77]);
}

/// [MQTT-3.8.1-1] [MQTT-3.8.3-2] [MQTT-3.8.3-5] [MQTT-3.8.3-1] [MQTT-4.13.1-1]
#[test]
fn a_subscribe_that_is_none_ends_the_connection() {
    let case = case();
    for (first, body, reason) in [
        (0x80, &b"\x00\x01\x00\x00\x01a\x00"[..], 0x81),
        (0x82, b"\x00\x01\x00", 0x82),
        (0x82, b"\x00\x01\x00\x00\x01a\x40", 0x81),
        (0x82, b"\x00\x01\x00\x00\x01a\x80", 0x81),
        (0x82, b"\x00\x01\x00\x00\x01a", 0x81),
        (0x82, b"\x00\x01\x00\x00\x02\xff\xffa\x00", 0x81),
    ] {
        let mut client = case.client("bad");
        client.send_packet(first, body);
        client.thrown_out(reason);
    }
}

/// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6]
/// [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6]
#[test]
fn unsubscribe_takes_back_exactly_the_filters_it_names() {
    let case = case();
    let mut client = case.client("client");
    let [a, b, all] = ["a", "b", "+"].map(|name| case.topic(name));
    client.subscribe(&[(&a, 1), (&b, 1), (&all, 0)]);
    let mut sender = case.client("sender");
    assert_eq!(
        client.unsubscribe(&[&a, "not/there", &all, &a]),
        [0, 0x11, 0, 0x11]
    );
    sender.publish(&Message::new(&a, "x").qos(1));
    client.quiet();
    assert_eq!(client.unsubscribe(&[&case.topic("#")]), [0x11]);
    sender.publish(&Message::new(&b, "x").qos(1));
    assert_eq!(client.message().topic, b);
}

/// [MQTT-3.10.4-3]
#[test]
fn a_delivery_that_began_before_unsubscribe_is_completed() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "client");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "1").qos(1));
    sender.publish(&Message::new(&topic, "2").qos(2));
    let (one, two) = (client.take(), client.take());
    assert_eq!(client.unsubscribe(&[&topic]), [0]);
    client.acknowledge(kind::PUBREC, two.id.unwrap());
    client.acknowledged(kind::PUBREL, two.id.unwrap());
    client.drop_line();
    let (mut client, _) = lasting(&case, "client");
    let again = client.take();
    assert_eq!((again.text(), again.id, again.dup), ("1", one.id, true));
    client.complete(&again);
    client.acknowledged(kind::PUBREL, two.id.unwrap());
    client.acknowledge(kind::PUBCOMP, two.id.unwrap());
    client.quiet();
}

/// [MQTT-3.10.1-1] [MQTT-3.10.3-1] [MQTT-3.10.3-2]
#[test]
fn an_unsubscribe_that_is_none_ends_the_connection() {
    let case = case();
    for (first, body, reason) in [
        (0xa0, &b"\x00\x01\x00\x00\x01a"[..], 0x81),
        (0xa2, b"\x00\x01\x00", 0x82),
        (0xa2, b"\x00\x01\x00\x00\x02\xff\xff", 0x81),
        (0xa2, b"\x00\x01\x00\x00\x05a", 0x81),
    ] {
        let mut client = case.client("bad");
        client.send_packet(first, body);
        client.thrown_out(reason);
    }
}

/// [MQTT-3.8.4-7] [MQTT-3.8.4-5] Many filters in one packet.
#[test]
fn a_subscribe_may_have_many_filters() {
    let case = case();
    let mut client = case.client("client");
    let topics: Vec<_> = (0..100).map(|n| case.topic(&n.to_string())).collect();
    let filters: Vec<_> = topics.iter().map(|topic| (topic.as_str(), 1)).collect();
    assert_eq!(client.subscribe(&filters), [1; 100]);
    let mut sender = case.client("sender");
    for topic in &topics {
        sender.publish(&Message::new(topic, "x").qos(1));
        assert_eq!(&client.message().topic, topic);
    }
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    assert_eq!(client.unsubscribe(&names), [0; 100]);
    assert!(client.ping().iter().all(|p| *p == Packet::PingResp));
}
