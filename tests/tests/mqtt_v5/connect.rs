//! CONNECT (§3.1).

use crate::case;
use std::time::{Duration, Instant};
use tests::raw::{Case, Connect, Message, Packet, Props, V5, Will, id};

/// What a refused CONNECT gets: a CONNACK with this reason, and the end.
fn refused(case: &Case, bytes: &[u8], reason: u8) {
    let mut client = case.open();
    client.send(bytes);
    let verdict = client.verdict();
    assert_eq!(verdict.code, reason, "{bytes:02x?}: {verdict:?}");
    assert!(!verdict.present);
    client.closed();
}

/// [MQTT-3.1.0-1] [MQTT-3.14.0-1] Not even a DISCONNECT answers what comes before CONNECT.
#[test]
fn the_first_packet_is_a_connect() {
    let case = case();
    for first in [
        &b"\xc0\x00"[..],
        b"\x30\x04\x00\x01a\x00",
        b"\x82\x07\x00\x01\x00\x00\x01a\x00",
        b"\xe0\x00",
        b"\xf0\x00",
    ] {
        let mut client = case.open();
        client.send(first);
        client.closed();
    }
}

/// [MQTT-3.1.0-2] [MQTT-4.13.1-1] [MQTT-3.2.0-2]
#[test]
fn a_second_connect_is_a_protocol_error() {
    let case = case();
    let mut client = case.client("twice");
    client.send(&case.connect("twice").bytes(V5));
    client.thrown_out(0x82);
}

/// [MQTT-3.1.2-1]
#[test]
fn a_wrong_protocol_name_is_not_served() {
    let case = case();
    for name in ["mqtt", "MQTTX", "HTTP", ""] {
        let mut client = case.open();
        client.send(&case.connect("name").name(name).bytes(V5));
        match client.packet() {
            None => {}
            Some(Packet::ConnAck(verdict)) => {
                assert_eq!(verdict.code, 0x84);
                client.closed();
            }
            other => panic!("{other:?}"),
        }
    }
}

/// [MQTT-3.1.2-2] [MQTT-3.2.2-7] [MQTT-4.13.2-1]
#[test]
fn an_unknown_protocol_version_is_told_so() {
    let case = case();
    for level in [6, 7, 0x7f, 0xff] {
        let mut client = case.open();
        let verdict = client.hello(&case.connect("level").level(level));
        assert!([0x84, 0x01].contains(&verdict.code), "{verdict:?}");
        client.closed();
    }
}

/// [MQTT-3.1.2-3] [MQTT-3.1.4-1] [MQTT-3.2.2-6]
#[test]
fn the_reserved_flag_of_connect_must_be_zero() {
    let case = case();
    refused(&case, &case.connect("reserved").flags(0x03).bytes(V5), 0x81);
}

/// [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
#[test]
fn flags_of_a_will_that_is_not_there_or_has_no_such_level_are_malformed() {
    let case = case();
    for flags in [0x0a, 0x12, 0x1a, 0x22] {
        refused(&case, &case.connect("flags").flags(flags).bytes(V5), 0x81);
    }
    let will = case.connect("w").will(Will::new(&case.topic("w"), "x"));
    refused(&case, &will.flags(0x1e).bytes(V5), 0x81);
}

/// [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19]
#[test]
fn the_payload_of_connect_has_what_the_flags_say_and_no_more() {
    let case = case();
    let plain = case.connect("fields");
    let will = plain.clone().will(Will::new(&case.topic("w"), "x"));
    let user = plain.clone().user("u");
    let both = user.clone().password(b"p");
    for (connect, flags) in [
        (&plain, 0x06),
        (&plain, 0x82),
        (&plain, 0x42),
        (&user, 0xc2),
        (&will, 0x02),
        (&user, 0x02),
        (&both, 0x82),
    ] {
        refused(&case, &connect.clone().flags(flags).bytes(V5), 0x81);
    }
}

/// [MQTT-3.1.2-19] [MQTT-3.1.4-5] MQTT 5 allows a password without a user name.
#[test]
fn a_password_may_come_alone() {
    let case = case();
    let mut client = case.open();
    let verdict = client.hello(&case.connect("alone").password(b"p"));
    assert_eq!(verdict.code, 0);
}

/// [MQTT-3.1.3-1] [MQTT-3.1.3-10] [MQTT-3.1.2-8] [MQTT-3.1.2-9] [MQTT-3.1.2-17]
#[test]
fn the_fields_of_connect_are_read_in_their_order() {
    let case = case();
    let topic = case.topic("will");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 1)]);
    let props = Props::new()
        .user("z", "1")
        .text(id::CONTENT_TYPE, "text/plain")
        .user("a", "2")
        .number(id::PAYLOAD_FORMAT, 1)
        .user("z", "0")
        .text(id::RESPONSE_TOPIC, "answer/here")
        .data(id::CORRELATION, b"\x00\x01");
    let mut client = case.open();
    let will = Will::new(&topic, "gone").qos(1).with(props);
    client.login(
        &case
            .connect("all")
            .will(will)
            .user("somebody")
            .password(b"\x00\xffnot text"),
    );
    client.drop_line();
    let message = watcher.message();
    assert_eq!(message.text(), "gone");
    assert_eq!(message.props.users(), [("z", "1"), ("a", "2"), ("z", "0")]);
    assert_eq!(message.props.get_text(id::CONTENT_TYPE), Some("text/plain"));
    assert_eq!(
        message.props.get_text(id::RESPONSE_TOPIC),
        Some("answer/here")
    );
    assert_eq!(
        message.props.get_data(id::CORRELATION),
        Some(&b"\x00\x01"[..])
    );
    assert_eq!(message.props.get(id::PAYLOAD_FORMAT), Some(1));
}

/// [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-1.5.4-1] [MQTT-3.1.4-1]
#[test]
fn texts_of_connect_must_be_there_and_be_text() {
    let case = case();
    refused(&case, b"\x10\x0b\x00\x04MQTT\x05\x02\x00\x00\x00", 0x81);
    refused(&case, &Connect::new(b"\xc3\x28").bytes(V5), 0x81);
    for tail in [
        &b"\x06\x00\x00\x00\x00\x01c\x00\x00\x02\xff\xfe\x00\x01x"[..],
        b"\x82\x00\x00\x00\x00\x01c\x00\x02\xed\xa0",
        b"\x82\x00\x00\x00\x00\x01c\x00\x03\xed\xa0\x80",
    ] {
        let mut client = case.open();
        client.send_packet(0x10, &[&b"\x00\x04MQTT\x05"[..], tail].concat());
        assert_eq!(client.verdict().code, 0x81, "{tail:02x?}");
        client.closed();
    }
}

/// [MQTT-3.1.4-1] [MQTT-3.2.2-8] Properties of CONNECT that break the rules of their table.
#[test]
fn properties_that_connect_may_not_have_are_refused() {
    let case = case();
    for (props, reasons) in [
        // Zero where none may be.
        (&b"\x21\x00\x00"[..], [0x82, 0x81]),
        (b"\x27\x00\x00\x00\x00", [0x82, 0x81]),
        // Twice.
        (b"\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", [0x82, 0x81]),
        (b"\x22\x00\x01\x22\x00\x01", [0x82, 0x81]),
        (b"\x17\x01\x17\x01", [0x82, 0x81]),
        // Neither 0 nor 1.
        (b"\x17\x02", [0x82, 0x81]),
        (b"\x19\x02", [0x82, 0x81]),
        // Data of a method that is not named.
        (b"\x16\x00\x01x", [0x82, 0x81]),
        // Of other packets, or of none.
        (b"\x23\x00\x01", [0x81, 0x82]),
        (b"\x24\x01", [0x81, 0x82]),
        (b"\x18\x00\x00\x00\x01", [0x81, 0x82]),
        (b"\x7f\x00", [0x81, 0x82]),
        // Half.
        (b"\x11\x00\x00", [0x81, 0x81]),
    ] {
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x00".to_vec();
        body.push(u8::try_from(props.len()).unwrap());
        body.extend(props);
        body.extend(b"\x00\x01c");
        let mut client = case.open();
        client.send_packet(0x10, &body);
        let code = client.verdict().code;
        assert!(reasons.contains(&code), "{props:02x?}: {code:#x}");
        client.closed();
    }
}

/// [MQTT-3.1.3-5] [MQTT-3.1.3-2]
#[test]
fn client_ids_of_1_to_23_letters_and_digits_are_taken() {
    let case = case();
    for id in [
        "Z",
        "0123456789abcdefghijABC",
        "with-dash/and.more",
        "\u{4e2d}\u{6587}",
    ] {
        let mut client = case.open();
        assert!(!client.login(&Connect::new(id)));
        client.quiet();
        client.leave();
    }
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] The id that was given is the client's from then on.
#[test]
fn an_empty_client_id_is_replaced_by_one_that_the_client_is_told() {
    let case = case();
    let mut ids = Vec::new();
    for connect in [
        Connect::new(""),
        Connect::new(""),
        Connect::new("").resume().expiry(600),
    ] {
        let mut client = case.open();
        let verdict = client.hello(&connect);
        assert_eq!((verdict.code, verdict.present), (0, false));
        let name = verdict.props.get_text(id::ASSIGNED_CLIENT_ID);
        let name = name.expect("an id").to_owned();
        assert!(!name.is_empty() && !ids.contains(&name));
        ids.push(name);
        client.quiet();
        client.drop_line();
    }
    let mut client = case.open();
    let verdict = client.hello(&Connect::new(&ids[2]).resume().expiry(600));
    assert_eq!((verdict.code, verdict.present), (0, true));
    assert_eq!(verdict.props.get_text(id::ASSIGNED_CLIENT_ID), None);
}

/// [MQTT-3.1.4-3] [MQTT-3.1.3-2] [MQTT-3.14.4-2]
#[test]
fn a_client_that_comes_again_ends_its_former_connection() {
    let case = case();
    let mut former = case.client("same");
    let mut other = case.client("other");
    let mut latter = case.client("same");
    former.thrown_out(0x8e);
    latter.quiet();
    other.quiet();
}

/// [MQTT-3.1.4-6] [MQTT-3.2.2-7] [MQTT-3.1.3-8]
#[test]
fn nothing_is_done_for_a_client_that_was_refused() {
    let case = case();
    let topic = case.topic("refused");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 0)]);
    let mut bytes = case
        .connect("refused")
        .with(Props::new().text(id::AUTH_METHOD, "NONE"))
        .bytes(V5);
    bytes.push(0x30);
    bytes.push(u8::try_from(topic.len() + 4).unwrap());
    bytes.extend([0, u8::try_from(topic.len()).unwrap()]);
    bytes.extend(topic.as_bytes());
    bytes.extend(b"\x00x\xc0\x00");
    refused(&case, &bytes, 0x8c);
    watcher.quiet();
}

/// [MQTT-3.1.4-5] [MQTT-3.2.0-1] The stream may be cut anywhere.
#[test]
fn packets_behind_connect_are_served_after_its_answer() {
    let case = case();
    let mut bytes = case.connect("pieces").bytes(V5);
    bytes.extend(b"\xc0\x00\xc0\x00");
    for piece in [1, 3, bytes.len()] {
        let mut client = case.open();
        for piece in bytes.chunks(piece) {
            client.send(piece);
        }
        assert_eq!(client.verdict().code, 0);
        assert_eq!(client.packet(), Some(Packet::PingResp));
        assert_eq!(client.packet(), Some(Packet::PingResp));
    }
}

/// [MQTT-3.1.4-5]
#[test]
fn a_client_that_closed_its_sending_half_gets_its_connack() {
    let case = case();
    let mut client = case.open();
    client.send(&case.connect("half").bytes(V5));
    client.half_close();
    assert_eq!(client.verdict().code, 0);
    client.closed();
}

/// [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT-3.1.2-8]
#[test]
fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let case = case();
    let topic = case.topic("will");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 0)]);
    let mut client = case.open();
    let will = Will::new(&topic, "silent");
    client.login(&case.connect("silent").keep_alive(1).will(will));
    let since = Instant::now();
    client.thrown_out(0x8d);
    let after = since.elapsed();
    assert!(after >= Duration::from_millis(1_400), "{after:?}");
    assert!(after < Duration::from_secs(10), "{after:?}");
    assert_eq!(watcher.message().text(), "silent");
}

/// [MQTT-3.1.2-20] [MQTT-3.2.2-22] [MQTT-3.12.4-1] Any packet counts, and 0 is no keep alive.
#[test]
fn a_client_that_pings_stays_connected() {
    let case = case();
    let mut client = case.open();
    client.login(&case.connect("alive").keep_alive(2));
    let mut forever = case.client("forever");
    for _ in 0..3 {
        let mut clock = case.open();
        clock.login(&case.connect("clock").keep_alive(1));
        clock.thrown_out(0x8d);
        client.publish(&Message::new(&case.topic("t"), "alive").qos(1));
    }
    forever.quiet();
}

/// [MQTT-3.1.2-21] [MQTT-3.2.2-21] [MQTT-3.1.2-22] What the server sets is what counts.
#[test]
fn the_keep_alive_of_the_server_is_told_and_counts() {
    let case = Case::with(V5, &["listen.plain.server_keep_alive=1"]);
    for wanted in [0, 600] {
        let mut client = case.open();
        let verdict = client.hello(&case.connect("silent").keep_alive(wanted));
        assert_eq!(verdict.props.get(id::SERVER_KEEP_ALIVE), Some(1));
        client.thrown_out(0x8d);
    }
}
