//! PUBLISH and its acknowledgements (§3.3 to §3.7, §4.3).

use crate::case;
use tests::raw::{Message, Packet, kind};

/// [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.2-4] [MQTT-4.3.3-2] [MQTT-4.3.3-8] [MQTT-3.3.4-1]
/// [MQTT-2.2.1-2] [MQTT-2.2.1-5] [MQTT-3.8.4-8] [MQTT-3.3.2-3]
#[test]
fn a_message_arrives_at_the_lower_of_both_levels() {
    let case = case();
    let mut sender = case.client("sender");
    let mut client = case.client("client");
    for wanted in 0..3 {
        let topic = case.topic(&wanted.to_string());
        assert_eq!(client.subscribe(&[(&topic, wanted)]), [wanted]);
        for sent in 0..3 {
            let text = format!("{sent} to {wanted}");
            assert_eq!(sender.publish(&Message::new(&topic, &text).qos(sent)), 0);
            let message = client.message();
            assert_eq!((message.text(), message.qos), (&*text, sent.min(wanted)));
            assert_eq!(message.topic, topic);
            assert!(!message.dup && !message.retain);
        }
    }
    client.quiet();
    sender.quiet();
}

/// [MQTT-4.3.3-4] [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-1] [MQTT-2.2.1-5]
/// [MQTT-4.3.3-3] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
#[test]
fn qos_2_takes_four_packets_each_way() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    let message = Message::new(&topic, "x").qos(2).id(9);
    sender.send_publish(&message);
    assert_eq!(sender.acknowledged(kind::PUBREC, 9), 0);
    // The same again before the release is the same message.
    sender.send_publish(&message.dup());
    let again = sender.acknowledged(kind::PUBREC, 9);
    assert!([0, 0x10].contains(&again), "{again:#x}");
    sender.acknowledge(kind::PUBREL, 9);
    assert_eq!(sender.acknowledged(kind::PUBCOMP, 9), 0);
    let number = client.take().id.unwrap();
    client.acknowledge(kind::PUBREC, number);
    assert_eq!(client.acknowledged(kind::PUBREL, number), 0);
    client.acknowledge(kind::PUBCOMP, number);
    client.quiet();
    sender.quiet();
}

/// [MQTT-3.7.2-1] [MQTT-3.6.2-1] [MQTT-4.3.3-11] Identifiers that mean nothing are told so.
#[test]
fn an_answer_to_nothing_is_told_so() {
    let case = case();
    let mut client = case.client("client");
    client.acknowledge(kind::PUBACK, 1234);
    client.acknowledge(kind::PUBCOMP, 1235);
    client.quiet();
    client.acknowledge(kind::PUBREL, 1236);
    assert_eq!(client.acknowledged(kind::PUBCOMP, 1236), 0x92);
    client.acknowledge(kind::PUBREC, 1237);
    assert_eq!(client.acknowledged(kind::PUBREL, 1237), 0x92);
    client.quiet();
}

/// [MQTT-4.3.2-5] [MQTT-4.3.3-12] After the last answer the identifier is free, whatever DUP says.
#[test]
fn after_its_acknowledgement_the_same_packet_is_another_message() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    for qos in [1, 2] {
        let message = Message::new(&topic, "x").qos(qos).id(5);
        sender.publish(&message);
        sender.publish(&message.dup());
        assert_eq!(client.message().text(), "x");
        assert_eq!(client.message().text(), "x");
        client.quiet();
    }
}

/// [MQTT-3.3.1-3] [MQTT-3.3.1-2] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
#[test]
fn dup_of_the_publisher_is_not_passed_on() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    for qos in [1, 2] {
        sender.publish(&Message::new(&topic, "x").qos(qos).dup());
        assert!(!client.message().dup);
    }
}

/// [MQTT-4.3.3-4] [MQTT-4.3.3-5] A PUBREC that refuses is not followed by a release.
#[test]
fn a_refused_delivery_of_qos_2_ends_with_the_refusal() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    case.client("sender")
        .publish(&Message::new(&topic, "x").qos(2));
    let number = client.take().id.unwrap().to_be_bytes();
    client.send_packet(0x50, &[number[0], number[1], 0x80]);
    client.quiet();
}

/// [MQTT-4.3.2-4] [MQTT-3.4.2-1] Acknowledgements of any length the standard has (§3.4.2.1).
#[test]
fn acknowledgements_may_leave_out_what_says_nothing() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    for tail in [
        &b""[..],
        b"\x00",
        b"\x00\x00",
        b"\x10",
        b"\x00\x04\x1f\x00\x01x",
    ] {
        sender.publish(&Message::new(&topic, "x").qos(1));
        let number = client.take().id.unwrap().to_be_bytes();
        client.send_packet(0x40, &[&number[..], tail].concat());
        client.quiet();
    }
}

/// [MQTT-4.3.2-4] [MQTT-4.3.3-8] A client that hears itself has its answer first, as clients that
/// read one packet after the other expect.
#[test]
fn a_client_that_hears_itself_is_answered_first() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    for (qos, answer) in [(1, kind::PUBACK), (2, kind::PUBREC)] {
        let id = client.send_publish(&Message::new(&topic, "x").qos(qos));
        let next = client.packet();
        let first =
            matches!(next, Some(Packet::Ack { kind, id: of, .. }) if (kind, of) == (answer, id));
        assert!(first, "{next:?}");
        if qos == 2 {
            client.acknowledge(kind::PUBREL, id);
            client.acknowledged(kind::PUBCOMP, id);
        }
        assert_eq!(client.message().text(), "x");
    }
}

/// [MQTT-4.5.0-1] [MQTT-4.5.0-2] Every subscriber gets its own copy, the sender among them.
#[test]
fn a_message_reaches_all_who_subscribed() {
    let case = case();
    let topic = case.topic("t");
    let mut clients: Vec<_> = (0..5)
        .map(|n| {
            let mut client = case.client(&n.to_string());
            client.subscribe(&[(&topic, n % 3)]);
            client
        })
        .collect();
    clients[0].publish(&Message::new(&topic, "x").qos(2));
    for client in &mut clients {
        assert_eq!(client.message().text(), "x");
        client.quiet();
    }
}

/// [MQTT-3.12.4-1]
#[test]
fn every_ping_is_answered() {
    let mut client = case().client("client");
    client.send(&[0xc0, 0].repeat(20));
    for _ in 0..20 {
        assert_eq!(client.packet(), Some(Packet::PingResp));
    }
}
