//! Packets that are none (§1.5, §2, §4.8).

use crate::VERSIONS;
use tests::raw::{Case, Message, V311, kind};

/// [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
/// Every value of the reserved bits but the right one.
#[test]
fn reserved_flags_end_the_connection() {
    let case = Case::new(V311);
    for (kind, right, body) in [
        (4, 0, &b"\x00\x01"[..]),
        (5, 0, b"\x00\x01"),
        (6, 2, b"\x00\x01"),
        (7, 0, b"\x00\x01"),
        (8, 2, b"\x00\x01\x00\x01a\x00"),
        (10, 2, b"\x00\x01\x00\x01a"),
        (12, 0, b""),
        (14, 0, b""),
    ] {
        for flags in (0..16).filter(|flags| *flags != right) {
            let mut client = case.client("bad");
            client.send_packet(kind << 4 | flags, body);
            client.closed();
        }
    }
    let connect = case.connect("bad").bytes(V311);
    for flags in 1..16 {
        let mut client = case.open();
        client.send(&[&[0x10 | flags], &connect[1..]].concat());
        client.closed();
    }
}

/// [MQTT-4.8.0-1] [MQTT-2.2.2-2]
#[test]
fn packets_of_no_kind_or_of_servers_end_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        for bytes in [
            &b"\x00\x00"[..],
            b"\xf0\x00",
            b"\x20\x02\x00\x00",
            b"\x90\x03\x00\x01\x00",
            b"\xb0\x02\x00\x01",
            b"\xd0\x00",
            // Bytes left over, bytes missing, a length of five bytes.
            b"\xc0\x01\x00",
            b"\xe0\x01\x00",
            b"\x40\x03\x00\x01\x00",
            b"\x40\x01\x00",
            b"\x40\x02\x00\x00",
            b"\x62\x02\x00\x00",
            b"\x30\xff\xff\xff\xff\x7f",
        ] {
            let mut client = case.client("bad");
            client.send(bytes);
            client.closed();
        }
    }
}

/// [MQTT-4.8.0-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1] QoS 1 is answered with PUBACK, QoS 2 with PUBREC.
#[test]
fn an_answer_of_the_wrong_kind_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut sender = case.client("sender");
        for (qos, answer) in [
            (1, kind::PUBREC),
            (1, kind::PUBCOMP),
            (2, kind::PUBACK),
            (2, kind::PUBCOMP),
        ] {
            let mut client = case.client("bad");
            client.subscribe(&[(&topic, qos)]);
            sender.publish(&Message::new(&topic, "x").qos(qos));
            let id = client.take().id.unwrap();
            client.acknowledge(answer, id);
            client.closed();
        }
    }
}

/// [MQTT-1.5.3-1] [MQTT-1.5.3-2]
#[test]
fn text_that_is_no_utf_8_ends_the_connection() {
    let case = Case::new(V311);
    for text in [
        &b"\xff"[..],
        b"a\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"a\x00b",
    ] {
        let length = u8::try_from(text.len()).unwrap();
        let field = [&[0, length], text].concat();
        let mut client = case.client("bad");
        client.send_packet(0x30, &field);
        client.closed();
        let mut client = case.client("bad");
        client.send_packet(0x82, &[&[0, 1], &field[..], &[0]].concat());
        client.closed();
        let mut client = case.open();
        client.send(&tests::raw::Connect::new(text).bytes(V311));
        client.closed();
    }
}

/// [MQTT-1.5.3-3]
#[test]
fn a_mark_of_byte_order_is_a_character_like_others() {
    let case = Case::new(V311);
    let mut client = case.client("client");
    let topic = case.topic("\u{feff}x");
    client.subscribe(&[(&topic, 0)]);
    let mut sender = case.client("\u{feff}sender");
    sender.publish(&Message::new(&case.topic("x"), "without"));
    sender.publish(&Message::new(&topic, "with"));
    let message = client.message();
    assert_eq!((message.text(), &message.topic), ("with", &topic));
    // And a client id with it is another id.
    let mut other = case.client("sender");
    other.quiet();
    sender.quiet();
}

/// [MQTT-4.8.0-1] The fault of one client is nobody else's.
#[test]
fn a_breach_harms_only_the_one_who_commits_it() {
    let case = Case::new(V311);
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1)]);
    for _ in 0..20 {
        let mut bad = case.client("bad");
        bad.send(b"\xf0\x00");
        bad.closed();
    }
    case.client("sender")
        .publish(&Message::new(&topic, "x").qos(1));
    assert_eq!(client.message().text(), "x");
}
