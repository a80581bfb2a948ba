//! Packets that are none (§1.5, §2).

use crate::case;
use tests::raw::{Connect, Message, Packet, V5};

/// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
#[test]
fn reserved_flags_are_malformed() {
    let case = case();
    for (kind, right, body) in [
        (4, 0, &b"\x00\x01"[..]),
        (5, 0, b"\x00\x01"),
        (6, 2, b"\x00\x01"),
        (7, 0, b"\x00\x01"),
        (8, 2, b"\x00\x01\x00\x00\x01a\x00"),
        (10, 2, b"\x00\x01\x00\x00\x01a"),
        (12, 0, b""),
        (14, 0, b""),
        (15, 0, b""),
    ] {
        for flags in (0..16).filter(|flags| *flags != right) {
            let mut client = case.client("bad");
            client.send_packet(kind << 4 | flags, body);
            client.thrown_out(0x81);
        }
    }
}

/// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-3.3.2-1]
/// [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-4.7.3-2]
#[test]
fn text_that_is_no_utf_8_is_malformed() {
    let case = case();
    for text in [
        &b"\xff"[..],
        b"a\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"a\x00b",
    ] {
        let length = u8::try_from(text.len()).unwrap();
        let field = [&[0, length], text].concat();
        let good = b"\x00\x01a";
        let props = |id: u8, parts: &[&[u8]]| {
            let parts = parts.concat();
            let size = u8::try_from(parts.len() + 1).unwrap();
            [&[size, id], &parts[..]].concat()
        };
        for (first, body) in [
            (0x30, [&field[..], &[0]].concat()),
            (0x82, [&[0, 1, 0], &field[..], &[0]].concat()),
            (0xa2, [&[0, 1, 0], &field[..]].concat()),
            // Content type, response topic, name and value of a user property.
            (0x30, [&good[..], &props(0x03, &[&field])].concat()),
            (0x30, [&good[..], &props(0x08, &[&field])].concat()),
            (0x30, [&good[..], &props(0x26, &[&field, good])].concat()),
            (0x30, [&good[..], &props(0x26, &[good, &field])].concat()),
            (0xe0, [&[0][..], &props(0x1f, &[&field])].concat()),
        ] {
            let mut client = case.client("bad");
            client.send_packet(first, &body);
            match client.packet() {
                Some(Packet::Disconnect { code, .. }) => {
                    assert!([0x81, 0x90].contains(&code), "{code:#x} for {body:02x?}");
                }
                other => panic!("{other:?} for {body:02x?}"),
            }
            client.closed();
        }
        let mut client = case.open();
        let verdict = client.hello(&Connect::new(text));
        assert_eq!(verdict.code, 0x81);
        client.closed();
    }
}

/// [MQTT-1.5.4-3] [MQTT-4.7.3-4]
#[test]
fn a_mark_of_byte_order_is_a_character_like_others() {
    let case = case();
    let mut client = case.client("client");
    let topic = case.topic("\u{feff}x");
    client.subscribe(&[(&topic, 0)]);
    let mut sender = case.client("\u{feff}client");
    sender.publish(&Message::new(&case.topic("x"), "without"));
    sender.publish(&Message::new(&topic, "with"));
    let message = client.message();
    assert_eq!((message.text(), &message.topic), ("with", &topic));
    sender.quiet();
}

/// [MQTT-1.5.5-1] Numbers in more bytes than they need, or than there can be.
#[test]
fn a_number_takes_no_more_bytes_than_it_needs() {
    let case = case();
    for bytes in [
        &b"\xc0\x80\x00"[..],
        b"\x30\x84\x00\x00\x01a\x00",
        b"\x30\x05\x00\x01a\x80\x00",
        b"\x30\xff\xff\xff\xff\x7f",
        b"\x30\x80\x80\x80\x80\x01",
    ] {
        let mut client = case.client("bad");
        client.send(bytes);
        client.thrown_out(0x81);
    }
}

/// [MQTT-2.2.1-2] [MQTT-2.2.1-3] [MQTT-4.13.1-1]
#[test]
fn packet_identifier_zero_is_none() {
    let case = case();
    for (first, body) in [
        (0x32, &b"\x00\x01a\x00\x00\x00x"[..]),
        (0x34, b"\x00\x01a\x00\x00\x00x"),
        (0x82, b"\x00\x00\x00\x00\x01a\x00"),
        (0xa2, b"\x00\x00\x00\x00\x01a"),
        (0x40, b"\x00\x00"),
        (0x62, b"\x00\x00"),
    ] {
        let mut client = case.client("bad");
        client.send_packet(first, body);
        match client.packet() {
            Some(Packet::Disconnect { code, .. }) => {
                assert!([0x81, 0x82].contains(&code), "{code:#x}");
            }
            other => panic!("{other:?}"),
        }
        client.closed();
    }
}

/// [MQTT-2.2.2-1] [MQTT-4.13.1-1] Properties must be whole, known, in place, and once.
#[test]
fn properties_out_of_place_end_the_connection() {
    let case = case();
    for (first, before, props, after) in [
        // None at all where their length should be.
        (0x30, &b"\x00\x01a"[..], &b""[..], &b""[..]),
        (0x82, b"\x00\x01", b"", b""),
        // Longer than the packet; cut in the middle; unknown.
        (0x30, b"\x00\x01a", b"\x7f\x01\x01", b""),
        (0x30, b"\x00\x01a", b"\x02\x02\x00", b""),
        (0x30, b"\x00\x01a", b"\x02\x7e\x00", b""),
        // Of other packets.
        (0x30, b"\x00\x01a", b"\x05\x11\x00\x00\x00\x01", b""),
        (0x82, b"\x00\x01", b"\x02\x01\x01", b"\x00\x01a\x00"),
        (0xe0, b"\x00", b"\x03\x21\x00\x01", b""),
        // Twice.
        (0x30, b"\x00\x01a", b"\x04\x01\x01\x01\x01", b""),
        (0x30, b"\x00\x01a", b"\x06\x23\x00\x01\x23\x00\x01", b""),
        (0x82, b"\x00\x01", b"\x04\x0b\x01\x0b\x02", b"\x00\x01a\x00"),
        // Values that are none.
        (0x30, b"\x00\x01a", b"\x02\x01\x02", b""),
        (0x82, b"\x00\x01", b"\x02\x0b\x00", b"\x00\x01a\x00"),
    ] {
        let body = [before, props, after].concat();
        let mut client = case.client("bad");
        client.send_packet(first, &body);
        match client.packet() {
            Some(Packet::Disconnect { code, .. }) => {
                assert!([0x81, 0x82].contains(&code), "{code:#x} for {body:02x?}");
            }
            other => panic!("{other:?} for {body:02x?}"),
        }
        client.closed();
    }
}

/// [MQTT-3.3.1-4] [MQTT-3.3.1-2] [MQTT-4.13.1-1]
#[test]
fn a_publish_with_impossible_flags_is_malformed() {
    let case = case();
    for first in [0x36, 0x37, 0x3e, 0x38] {
        let mut client = case.client("bad");
        client.send_packet(first, b"\x00\x01a\x00\x01\x00");
        client.thrown_out(0x81);
    }
}

/// [MQTT-4.13.1-1] The fault of one client is nobody else's.
#[test]
fn a_breach_harms_only_the_one_who_commits_it() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1)]);
    for _ in 0..20 {
        let mut bad = case.client("bad");
        bad.send(b"\x00\x00");
        bad.thrown_out(0x81);
    }
    assert_eq!(
        case.client("sender")
            .publish(&Message::new(&topic, "x").qos(1)),
        0
    );
    assert_eq!(client.message().text(), "x");
    // And a stranger's fault before CONNECT is told to nobody.
    let mut stranger = case.open();
    stranger.send(&Connect::new("x").flags(0xff).bytes(V5)[..4]);
    stranger.drop_line();
    client.quiet();
}
