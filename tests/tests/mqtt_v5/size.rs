//! The longest packet that a client takes (§3.1.2.11.4).

use crate::case;
use tests::raw::{Case, Connect, Message, Packet, Props, id};

fn limited(case: &Case, size: u32) -> Connect {
    case.connect("client")
        .with(Props::new().number(id::MAXIMUM_PACKET_SIZE, size))
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25] To the byte.
#[test]
fn a_message_that_is_too_long_for_a_client_is_not_sent_to_it() {
    let case = case();
    let topic = case.topic("t");
    for qos in 0..3 {
        let mut client = case.open();
        client.login(&limited(&case, 100));
        client.subscribe(&[(&topic, qos)]);
        let mut others = case.client("others");
        others.subscribe(&[(&topic, qos)]);
        let mut sender = case.client("sender");
        let head = 2 + 2 + topic.len() + if qos > 0 { 2 } else { 0 } + 1;
        for size in [99 - head, 100 - head, 101 - head, 200] {
            sender.publish(&Message::new(&topic, "x".repeat(size)).qos(qos));
            assert_eq!(others.message().payload.len(), size);
        }
        sender.publish(&Message::new(&topic, "end").qos(qos));
        assert_eq!(client.message().payload.len(), 99 - head);
        assert_eq!(client.message().payload.len(), 100 - head);
        assert_eq!(client.message().text(), "end");
        client.quiet();
    }
}

/// [MQTT-3.1.2-25] [MQTT-4.9.0-2] What is not sent takes no place in flight.
#[test]
fn a_message_that_is_too_long_leaves_the_window_open() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.open();
    let props = Props::new()
        .number(id::MAXIMUM_PACKET_SIZE, 50)
        .number(id::RECEIVE_MAXIMUM, 1);
    client.login(&case.connect("client").with(props));
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    for _ in 0..3 {
        sender.publish(&Message::new(&topic, "x".repeat(60)).qos(1));
        sender.publish(&Message::new(&topic, "short").qos(1));
    }
    for _ in 0..3 {
        assert_eq!(client.message().text(), "short");
    }
    client.quiet();
}

/// [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3]
/// [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]
/// [MQTT-3.14.2-3] [MQTT-3.14.2-4] Refusals of every kind fit into what the client takes.
#[test]
fn answers_leave_their_reason_strings_out_when_they_would_be_too_long() {
    let case = case();
    for size in 8..40 {
        let login = |name: &str| {
            let mut client = case.open();
            let props = Props::new().number(id::MAXIMUM_PACKET_SIZE, size);
            client.send(&case.connect(name).with(props).bytes(5));
            client
        };
        // Too small for the CONNACK that it should get: that is told, if it can be.
        let mut client = login("client");
        let Some(first) = client.next_sized() else {
            continue;
        };
        assert!(first.1 <= size as usize, "{first:?}");
        if let Packet::ConnAck(verdict) = &first.0
            && verdict.code != 0
        {
            assert_eq!(verdict.code, 0x95);
            client.closed();
            continue;
        }
        client.send(b"\x82\x16\x00\x01\x00\x00\x10test/nosubscribe\x01");
        client.send(b"\xa2\x08\x00\x02\x00\x00\x03a/b");
        client.send(b"\x32\x16\x00\x10test/nosubscribe\x00\x03\x00x");
        client.send(b"\x34\x16\x00\x10test/nosubscribe\x00\x04\x00x");
        client.send(b"\x62\x02\x00\x05");
        client.send(b"\x50\x02\x00\x06");
        client.send(b"\x20\x00");
        let mut kinds = Vec::new();
        while let Some((packet, length)) = client.next_sized() {
            assert!(length <= size as usize, "{packet:?} takes {length}");
            kinds.push(packet);
        }
        assert_eq!(kinds.len(), 7, "{kinds:?}");
    }
}
