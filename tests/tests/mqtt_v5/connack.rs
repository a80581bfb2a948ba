//! CONNACK (§3.2): what a server announces, and what it does with those who do not care.

use crate::case;
use tests::raw::{Case, Message, Props, V5, Will, id};

/// [MQTT-3.2.2-9] [MQTT-3.2.2-15] [MQTT-3.2.2-17] Limits that an operator sets are told.
#[test]
fn limits_of_the_listener_are_told() {
    let case = Case::with(
        V5,
        &[
            "listen.plain.server_keep_alive=60",
            "listen.plain.receive_maximum=7",
            "listen.plain.topic_alias_maximum=5",
            "listen.plain.maximum_packet_size=1000",
        ],
    );
    let mut client = case.open();
    let verdict = client.hello(&case.connect("client").keep_alive(120));
    assert_eq!(verdict.code, 0);
    assert_eq!(verdict.props.get(id::SERVER_KEEP_ALIVE), Some(60));
    assert_eq!(verdict.props.get(id::RECEIVE_MAXIMUM), Some(7));
    assert_eq!(verdict.props.get(id::TOPIC_ALIAS_MAXIMUM), Some(5));
    assert_eq!(verdict.props.get(id::MAXIMUM_PACKET_SIZE), Some(1000));
    // A packet over the limit is refused, one at the limit is not.
    let topic = case.topic("t");
    let fits = 1000 - 3 - 2 - topic.len() - 2 - 1;
    client.publish(&Message::new(&topic, "x".repeat(fits)).qos(1));
    client.send_publish(&Message::new(&topic, "x".repeat(fits + 1)).qos(1));
    client.thrown_out(0x95);
}

/// [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-11] [MQTT-3.2.2-12] [MQTT-3.8.4-8]
#[test]
fn a_listener_without_qos_2_says_so_and_still_takes_subscriptions() {
    let case = Case::with(V5, &["listen.plain.maximum_qos=1"]);
    let topic = case.topic("t");
    let mut client = case.open();
    let verdict = client.hello(&case.connect("client"));
    assert_eq!(verdict.props.get(id::MAXIMUM_QOS), Some(1));
    assert_eq!(client.subscribe(&[(&topic, 2)]), [1]);
    client.publish(&Message::new(&topic, "x").qos(1));
    assert_eq!(client.message().qos, 1);
    client.send_publish(&Message::new(&topic, "x").qos(2));
    client.thrown_out(0x9b);
    let mut client = case.open();
    let will = Will::new(&topic, "x").qos(2);
    assert_eq!(client.hello(&case.connect("will").will(will)).code, 0x9b);
    client.closed();
}

/// [MQTT-3.2.2-13] [MQTT-3.2.2-14]
#[test]
fn a_listener_without_retained_messages_says_so_and_refuses_them() {
    let case = Case::with(V5, &["listen.plain.retain_available=false"]);
    let topic = case.topic("t");
    let mut client = case.open();
    let verdict = client.hello(&case.connect("client"));
    assert_eq!(verdict.props.get(id::RETAIN_AVAILABLE), Some(0));
    client.send_publish(&Message::new(&topic, "x").qos(1).retain());
    client.thrown_out(0x9a);
    let mut client = case.open();
    let will = Will::new(&topic, "x").retain();
    assert_eq!(client.hello(&case.connect("will").will(will)).code, 0x9a);
    client.closed();
}

/// [MQTT-3.2.2-9] A server that has it all does not say that it lacks something.
#[test]
fn nothing_is_missing_unless_it_is_said() {
    let case = case();
    let mut client = case.open();
    let props = client.hello(&case.connect("client")).props;
    assert_eq!(props.get(id::MAXIMUM_QOS), None);
    for optional in [
        id::RETAIN_AVAILABLE,
        id::WILDCARD_AVAILABLE,
        id::SUBSCRIPTION_ID_AVAILABLE,
        id::SHARED_AVAILABLE,
    ] {
        assert_ne!(props.get(optional), Some(0));
    }
}

/// [MQTT-3.1.2-28] Response Information only on request.
#[test]
fn response_information_is_not_sent_to_those_who_did_not_ask() {
    let case = case();
    for props in [Props::new(), Props::new().number(id::REQUEST_RESPONSE, 0)] {
        let mut client = case.open();
        let verdict = client.hello(&case.connect("client").with(props));
        assert_eq!(verdict.code, 0);
        assert_eq!(verdict.props.get_text(id::RESPONSE_INFORMATION), None);
    }
}

/// [MQTT-3.2.2-19] [MQTT-3.2.2-20] A refusal is cut to what the client takes.
#[test]
fn a_connack_leaves_its_reason_string_out_when_it_would_be_too_long() {
    let case = case();
    for size in 5..60 {
        let mut client = case.open();
        let props = Props::new()
            .text(id::AUTH_METHOD, "NONE")
            .number(id::MAXIMUM_PACKET_SIZE, size);
        client.send(&case.connect("small").with(props).bytes(V5));
        let verdict = client.verdict();
        assert_eq!(verdict.code, 0x8c);
        let text = verdict.props.get_text(id::REASON_STRING);
        let text = text.map_or(0, |text| text.len() + 3);
        assert!(5 + text <= size as usize, "{size}: {verdict:?}");
        client.closed();
    }
}

/// [MQTT-3.2.2-1] [MQTT-3.2.0-1] [MQTT-3.2.0-2] One CONNACK, first of all.
#[test]
fn connack_comes_first_and_once() {
    let case = case();
    let topic = case.topic("waits");
    let (mut client, _) = crate::lasting(&case, "sleeper");
    client.subscribe(&[(&topic, 2)]);
    client.drop_line();
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "x").qos(2));
    let (mut client, present) = crate::lasting(&case, "sleeper");
    assert!(present);
    assert_eq!(client.message().text(), "x");
    client.quiet();
}
