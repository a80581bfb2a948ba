//! SUBSCRIBE, UNSUBSCRIBE, PINGREQ and DISCONNECT (§3.8 to §3.14).

use crate::VERSIONS;
use tests::raw::{Case, Message, Packet, V31, V311, kind};

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-2.3.1-7]
#[test]
fn one_answer_has_a_code_for_each_filter_in_their_order() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut client = case.client("client");
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| case.topic(name));
        assert_eq!(
            client.subscribe(&[(&a, 2), (&b, 0), (&c, 1), (&d, 2)]),
            [2, 0, 1, 2]
        );
        let mut sender = case.client("sender");
        for (topic, qos) in [(&a, 2), (&b, 0), (&c, 1), (&d, 2)] {
            sender.publish(&Message::new(topic, "x").qos(2));
            let message = client.message();
            assert_eq!((&message.topic, message.qos), (topic, qos));
        }
    }
}

/// [MQTT-3.8.4-5] [MQTT-3.9.3-2] [MQTT-3.9.3-1] A refusal is a code, and harms no other filter.
#[test]
fn a_filter_that_is_refused_is_told_so_beside_the_others() {
    let case = Case::new(V311);
    let mut client = case.client("client");
    let [a, b] = ["a", "b"].map(|name| case.topic(name));
    assert_eq!(
        client.subscribe(&[(&a, 1), ("test/nosubscribe", 2), (&b, 0)]),
        [1, 0x80, 0]
    );
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&b, "x").qos(1));
    assert_eq!(client.message().topic, b);
    client.quiet();
}

/// [MQTT-3.8.4-3]
#[test]
fn a_filter_that_is_there_already_is_replaced() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "kept").qos(2).retain());
        let mut client = case.client("client");
        for qos in [2, 0, 1] {
            client.subscribe(&[(&topic, qos)]);
            // The retained message comes again with every SUBSCRIBE.
            let message = client.message();
            assert_eq!((message.text(), message.qos), ("kept", qos));
            sender.publish(&Message::new(&topic, "live").qos(2));
            let message = client.message();
            assert_eq!((message.text(), message.qos), ("live", qos));
            client.quiet();
        }
    }
}

/// [MQTT-3.8.1-1] [MQTT-3.8.3-3] [MQTT-3.8.3-4] [MQTT-3.8.3-1] [MQTT-2.3.1-1]
#[test]
fn a_subscribe_that_is_none_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        for (first, body) in [
            (0x80, &b"\x00\x01\x00\x01a\x00"[..]),
            (0x83, b"\x00\x01\x00\x01a\x00"),
            // No filter; QoS 3; reserved bits; identifier 0; no text; empty; half.
            (0x82, b"\x00\x01"),
            (0x82, b"\x00\x01\x00\x01a\x03"),
            (0x82, b"\x00\x01\x00\x01a\x04"),
            (0x82, b"\x00\x01\x00\x01a\x80"),
            (0x82, b"\x00\x00\x00\x01a\x00"),
            (0x82, b"\x00\x01\x00\x02\xff\xffa\x00"),
            (0x82, b"\x00\x01\x00\x00\x00"),
            (0x82, b"\x00\x01\x00\x01a"),
        ] {
            let mut client = case.client("bad");
            client.send_packet(first, body);
            client.closed();
        }
    }
}

/// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-2.3.1-7]
#[test]
fn unsubscribe_takes_back_exactly_the_filters_it_names() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut client = case.client("client");
        let [a, b, all] = ["a", "b", "+"].map(|name| case.topic(name));
        client.subscribe(&[(&a, 1), (&b, 1), (&all, 0)]);
        let mut sender = case.client("sender");
        assert!(client.unsubscribe(&[&a, "not/there", &all]).is_empty());
        sender.publish(&Message::new(&a, "x").qos(1));
        client.quiet();
        sender.publish(&Message::new(&b, "x").qos(1));
        assert_eq!(client.message().topic, b);
        // Nothing to take back is answered as well; a filter that matches is not the same filter.
        assert!(client.unsubscribe(&[&a]).is_empty());
        assert!(client.unsubscribe(&[&case.topic("#")]).is_empty());
        sender.publish(&Message::new(&b, "y").qos(1));
        assert_eq!(client.message().text(), "y");
    }
}

/// [MQTT-3.10.4-3]
#[test]
fn a_delivery_that_began_before_unsubscribe_is_completed() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut client = case.open();
        client.login(&case.lasting("client"));
        client.subscribe(&[(&topic, 2)]);
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "1").qos(1));
        sender.publish(&Message::new(&topic, "2").qos(2));
        let (one, two) = (client.take(), client.take());
        client.unsubscribe(&[&topic]);
        client.acknowledge(kind::PUBREC, two.id.unwrap());
        client.acknowledged(kind::PUBREL, two.id.unwrap());
        client.drop_line();
        let mut client = case.open();
        client.login(&case.lasting("client"));
        let again = client.take();
        assert_eq!((again.text(), again.id, again.dup), ("1", one.id, true));
        client.complete(&again);
        client.acknowledged(kind::PUBREL, two.id.unwrap());
        client.acknowledge(kind::PUBCOMP, two.id.unwrap());
        client.quiet();
    }
}

/// [MQTT-3.10.1-1] [MQTT-3.10.3-1] [MQTT-3.10.3-2] [MQTT-2.3.1-1]
#[test]
fn an_unsubscribe_that_is_none_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        for (first, body) in [
            (0xa0, &b"\x00\x01\x00\x01a"[..]),
            (0xa3, b"\x00\x01\x00\x01a"),
            (0xa2, b"\x00\x01"),
            (0xa2, b"\x00\x00\x00\x01a"),
            (0xa2, b"\x00\x01\x00\x02\xff\xff"),
            (0xa2, b"\x00\x01\x00\x05a"),
            (0xa2, b"\x00\x01\x00\x00"),
        ] {
            let mut client = case.client("bad");
            client.send_packet(first, body);
            client.closed();
        }
    }
}

/// [MQTT-3.12.4-1]
#[test]
fn every_ping_is_answered() {
    for version in VERSIONS {
        let mut client = Case::new(version).client("client");
        client.send(&[0xc0, 0].repeat(20));
        for _ in 0..20 {
            assert_eq!(client.packet(), Some(Packet::PingResp));
        }
    }
}

/// [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.14.1-1] The server closes, and hears nothing after it.
#[test]
fn disconnect_is_the_last_word() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut watcher = case.client("watcher");
        watcher.subscribe(&[(&topic, 0)]);
        let mut client = case.client("client");
        let mut bytes = vec![0xe0, 0, 0x30];
        bytes.push(u8::try_from(topic.len() + 3).unwrap());
        bytes.extend([0, u8::try_from(topic.len()).unwrap()]);
        bytes.extend(topic.as_bytes());
        bytes.push(b'x');
        client.send(&bytes);
        client.closed();
        watcher.quiet();
        for flags in [0xe1, 0xe2, 0xe8] {
            let mut client = case.client("client");
            client.send(&[flags, 0]);
            client.closed();
        }
    }
}

/// [MQTT-3.9.3-2] 3.1 has no code for a refusal; it gets the one of 3.1.1.
#[test]
fn a_client_of_3_1_learns_of_a_refusal_too() {
    let case = Case::new(V31);
    let mut client = case.client("client");
    assert_eq!(client.subscribe(&[("test/nosubscribe", 1)]), [0x80]);
}
