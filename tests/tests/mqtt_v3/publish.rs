//! PUBLISH and its acknowledgements (§3.3 to §3.7, §4.3, §4.6).

use crate::VERSIONS;
use std::collections::BTreeSet;
use tests::raw::{Case, Message, Packet, V311, kind};

/// [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-3.3.4-1] [MQTT-2.3.1-6] [MQTT-2.3.1-5]
/// [MQTT-3.8.4-6] [MQTT-3.3.2-3] Every level to every level.
#[test]
fn a_message_arrives_at_the_lower_of_both_levels() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut sender = case.client("sender");
        let mut client = case.client("client");
        for wanted in 0..3 {
            let topic = case.topic(&wanted.to_string());
            assert_eq!(client.subscribe(&[(&topic, wanted)]), [wanted]);
            for sent in 0..3 {
                let text = format!("{sent} to {wanted}");
                sender.publish(&Message::new(&topic, &text).qos(sent));
                let message = client.message();
                assert_eq!((message.text(), message.qos), (&*text, sent.min(wanted)));
                assert_eq!(message.topic, topic);
                assert!(!message.dup && !message.retain);
            }
        }
        client.quiet();
        sender.quiet();
    }
}

/// [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-3.3.4-1] [MQTT-2.3.1-6] Step by step, from both sides.
#[test]
fn qos_2_takes_four_packets_each_way() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut client = case.client("client");
        client.subscribe(&[(&topic, 2)]);
        let mut sender = case.client("sender");
        let message = Message::new(&topic, "x").qos(2).id(9);
        sender.send_publish(&message);
        sender.acknowledged(kind::PUBREC, 9);
        // The same again before the release is the same message.
        sender.send_publish(&message.dup());
        sender.acknowledged(kind::PUBREC, 9);
        sender.acknowledge(kind::PUBREL, 9);
        sender.acknowledged(kind::PUBCOMP, 9);
        let got = client.take();
        let id = got.id.unwrap();
        client.acknowledge(kind::PUBREC, id);
        client.acknowledged(kind::PUBREL, id);
        client.acknowledge(kind::PUBCOMP, id);
        client.quiet();
        sender.quiet();
    }
}

/// [MQTT-4.3.2-2] After PUBACK the identifier is free, whatever DUP says.
#[test]
fn after_its_acknowledgement_the_same_packet_is_another_message() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut client = case.client("client");
        client.subscribe(&[(&topic, 1)]);
        let mut sender = case.client("sender");
        let message = Message::new(&topic, "x").qos(1).id(5);
        sender.publish(&message);
        sender.publish(&message.dup());
        assert_eq!(client.message().text(), "x");
        assert_eq!(client.message().text(), "x");
        client.quiet();
    }
}

/// [MQTT-3.3.1-3] [MQTT-3.3.1-2] [MQTT-4.3.2-1]
#[test]
fn dup_of_the_publisher_is_not_passed_on() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut client = case.client("client");
        client.subscribe(&[(&topic, 2)]);
        let mut sender = case.client("sender");
        for qos in [1, 2] {
            sender.publish(&Message::new(&topic, "x").qos(qos).dup());
            assert!(!client.message().dup);
        }
    }
}

/// [MQTT-3.3.1-4] [MQTT-3.3.1-2] [MQTT-2.3.1-1] [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-3.3.2-1]
#[test]
fn a_publish_that_is_none_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        for (first, body) in [
            // QoS 3; DUP at QoS 0; identifier 0 at QoS 1 and 2.
            (0x36, &b"\x00\x01a\x00\x01x"[..]),
            (0x38, b"\x00\x01ax"),
            (0x32, b"\x00\x01a\x00\x00x"),
            (0x34, b"\x00\x01a\x00\x00x"),
            // Wildcards, no topic, a topic that is no text or not whole, nothing.
            (0x30, b"\x00\x03a/#x"),
            (0x30, b"\x00\x03a/+x"),
            (0x30, b"\x00\x00x"),
            (0x30, b"\x00\x02\xc3\x28x"),
            (0x30, b"\x00\x03a\x00bx"),
            (0x30, b"\x00\x05ab"),
            (0x32, b"\x00\x01a\x01"),
            (0x30, b""),
        ] {
            let mut client = case.client("bad");
            client.send_packet(first, body);
            client.closed();
        }
    }
}

/// [MQTT-3.3.5-1]
#[test]
fn overlapping_subscriptions_deliver_at_the_highest_level() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut client = case.client("client");
        client.subscribe(&[
            (&case.topic("#"), 1),
            (&case.topic("+/b"), 2),
            (&case.topic("a/b"), 0),
        ]);
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&case.topic("a/b"), "x").qos(2));
        // One copy or several; the best at level 2, and none above its subscription.
        let first = client.message();
        assert_eq!((first.text(), first.qos), ("x", 2));
        client.quiet();
    }
}

/// [MQTT-3.3.5-2] 3.x has no word for a refusal: it is acknowledged, and goes nowhere.
#[test]
fn a_message_that_may_not_be_published_is_acknowledged_or_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = case.client("watcher");
        watcher.subscribe(&[("test/#", 2)]);
        let mut client = case.client("client");
        client.send_publish(&Message::new("test/nosubscribe", "x").qos(1).id(3));
        match client.packet() {
            None => {}
            Some(Packet::Ack {
                kind: kind::PUBACK,
                id: 3,
                ..
            }) => client.quiet(),
            other => panic!("{other:?}"),
        }
        watcher.quiet();
    }
}

/// [MQTT-4.6.0-6] [MQTT-4.6.0-5] [MQTT-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
#[test]
fn messages_of_one_publisher_arrive_in_their_order() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        for qos in 0..3 {
            let mut client = case.client("client");
            client.subscribe(&[(&topic, qos)]);
            let mut sender = case.client("sender");
            for from in (0..200).step_by(20) {
                for n in from..from + 20 {
                    sender.send_publish(&Message::new(&topic, n.to_string()).qos(qos));
                }
                let mut used = BTreeSet::new();
                let got: Vec<_> = (0..20).map(|_| client.publication()).collect();
                for (n, message) in (from..).zip(&got) {
                    assert_eq!(message.text(), n.to_string());
                    assert!(message.id.is_none_or(|id| used.insert(id)), "in use");
                }
                for message in &got {
                    client.complete(message);
                }
            }
        }
    }
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3] The server keeps to the order that it asks of clients.
#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    let case = Case::new(V311);
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    for n in 1..=40 {
        let qos = if n % 3 == 0 { 2 } else { 1 };
        sender.send_publish(&Message::new(&topic, "x").qos(qos).id(n));
    }
    let mut last = [0; 2];
    for _ in 1..=40 {
        let Some(Packet::Ack { kind, id, .. }) = sender.packet() else {
            panic!("no acknowledgement")
        };
        let last = &mut last[usize::from(kind == kind::PUBREC)];
        assert!(id > *last, "{id} after {last}");
        *last = id;
    }
    assert_eq!(last, [40, 39]);
}

/// [MQTT-4.5.0-2] [MQTT-4.3.2-1] Nothing is sent again on a line that holds.
#[test]
fn an_answer_to_nothing_does_no_harm() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut client = case.client("client");
        client.acknowledge(kind::PUBACK, 1234);
        client.acknowledge(kind::PUBCOMP, 1235);
        client.quiet();
        // A release of what was never published is completed.
        client.acknowledge(kind::PUBREL, 1236);
        client.acknowledged(kind::PUBCOMP, 1236);
        client.quiet();
    }
}

/// [MQTT-3.3.4-1] Payloads of any size and content pass unchanged.
#[test]
fn a_payload_passes_unchanged() {
    let case = Case::new(V311);
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    for size in [0, 1, 127, 128, 16_383, 16_384, 200_000] {
        let payload: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        sender.publish(&Message::new(&topic, &payload).qos(1));
        assert_eq!(client.message().payload, payload);
    }
}
