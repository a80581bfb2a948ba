//! CONNECT and CONNACK (§3.1, §3.2).

use crate::VERSIONS;
use std::time::{Duration, Instant};
use tests::raw::{Case, Connect, Message, Packet, V5, V31, V311, Will};

/// [MQTT-3.1.0-1] [MQTT-3.2.0-1] What comes before CONNECT gets no answer but the end.
#[test]
fn the_first_packet_is_a_connect() {
    let case = Case::new(V311);
    for first in [
        &b"\xc0\x00"[..],
        b"\x30\x03\x00\x01a",
        b"\x82\x06\x00\x01\x00\x01a\x00",
        b"\xe0\x00",
        b"\x40\x02\x00\x01",
    ] {
        let mut client = case.open();
        client.send(first);
        client.closed();
    }
}

/// [MQTT-3.1.0-2] [MQTT-4.8.0-1]
#[test]
fn a_second_connect_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut client = case.client("twice");
        client.send(&case.connect("twice").bytes(version));
        client.closed();
    }
}

/// [MQTT-3.1.2-1]
#[test]
fn a_wrong_protocol_name_is_not_served() {
    let case = Case::new(V311);
    for name in ["mqtt", "MQTTX", "HTTP", ""] {
        let mut client = case.open();
        client.send(&case.connect("name").name(name).bytes(V311));
        client.closed();
    }
}

/// [MQTT-3.1.2-2] [MQTT-3.2.2-5] [MQTT-3.2.2-4]
#[test]
fn an_unknown_protocol_level_is_told_so() {
    let case = Case::new(V311);
    for level in [0, 2, 6, 0x7f, 0xff] {
        let mut client = case.open();
        let verdict = client.hello(&case.connect("level").level(level));
        assert!(!verdict.present);
        assert!([0x01, 0x84].contains(&verdict.code), "{verdict:?}");
        client.closed();
    }
}

/// [MQTT-3.1.2-3] [MQTT-3.1.4-1] [MQTT-3.2.2-6] No CONNACK for a CONNECT that is no CONNECT.
#[test]
fn the_reserved_flag_of_connect_must_be_zero() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut client = case.open();
        client.send(&case.connect("reserved").flags(0x03).bytes(version));
        client.closed();
    }
}

/// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.4-1]
#[test]
fn flags_of_a_will_that_is_not_there_or_has_no_such_level_are_refused() {
    let case = Case::new(V311);
    for flags in [0x0a, 0x12, 0x1a, 0x22] {
        let mut client = case.open();
        client.send(&case.connect("flags").flags(flags).bytes(V311));
        client.closed();
    }
    let mut client = case.open();
    let will = Will::new(&case.topic("will"), "x");
    client.send(&case.connect("level").will(will).flags(0x1e).bytes(V311));
    client.closed();
}

/// [MQTT-3.1.2-9] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21] [MQTT-3.1.2-11]
/// [MQTT-3.1.4-1]
#[test]
fn the_payload_of_connect_has_what_the_flags_say_and_no_more() {
    let case = Case::new(V311);
    let plain = case.connect("fields");
    let will = plain.clone().will(Will::new(&case.topic("w"), "x"));
    let user = plain.clone().user("u");
    let both = user.clone().password(b"p");
    for (connect, flags) in [
        // Announced and missing.
        (&plain, 0x06),
        (&plain, 0x82),
        (&user, 0xc2),
        // There and not announced.
        (&will, 0x02),
        (&user, 0x02),
        (&both, 0x82),
    ] {
        let mut client = case.open();
        client.send(&connect.clone().flags(flags).bytes(V311));
        client.closed();
    }
}

/// [MQTT-3.1.2-22]
#[test]
fn a_password_without_user_name_is_refused() {
    let case = Case::new(V311);
    let mut client = case.open();
    client.send(&case.connect("alone").password(b"p").bytes(V311));
    client.closed();
}

/// [MQTT-3.1.3-1] [MQTT-3.1.4-4] [MQTT-3.1.2-19] [MQTT-3.1.2-21]
#[test]
fn the_fields_of_connect_are_read_in_their_order() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = case.client("watcher");
        watcher.subscribe(&[(&case.topic("will"), 0)]);
        let mut client = case.open();
        let will = Will::new(&case.topic("will"), "gone");
        let all = case
            .connect("all")
            .will(will)
            .user("somebody")
            .password(b"\x00\xffnot text");
        let verdict = client.hello(&all);
        assert_eq!((verdict.code, verdict.present), (0, false));
        client.drop_line();
        assert_eq!(watcher.message().text(), "gone");
    }
}

/// [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] [MQTT-1.5.3-1]
#[test]
fn texts_of_connect_must_be_there_and_be_text() {
    let case = Case::new(V311);
    let mut client = case.open();
    // The packet ends before the client id.
    client.send(b"\x10\x0a\x00\x04MQTT\x04\x02\x00\x00");
    client.closed();
    let mut client = case.open();
    client.send(&Connect::new(b"\xc3\x28").bytes(V311));
    client.closed();
    for tail in [
        // Will topic, user name.
        &b"\x06\x00\x00\x00\x01c\x00\x02\xff\xfe\x00\x01x"[..],
        b"\x82\x00\x00\x00\x01c\x00\x02\xed\xa0",
        b"\x82\x00\x00\x00\x01c\x00\x03\xed\xa0\x80",
    ] {
        let mut client = case.open();
        let body = [&b"\x00\x04MQTT\x04"[..], tail].concat();
        client.send_packet(0x10, &body);
        client.closed();
    }
}

/// [MQTT-3.1.3-5] [MQTT-3.1.3-2]
#[test]
fn client_ids_of_1_to_23_letters_and_digits_are_taken() {
    let case = Case::new(V311);
    let long = "0123456789abcdefghijABC";
    for version in VERSIONS {
        for id in ["Z", long] {
            let mut client = case.open_as(version);
            assert!(!client.login(&Connect::new(id)));
            client.quiet();
            client.leave();
        }
    }
    // And longer ones, as clients in the field send.
    let mut client = case.client(&"x".repeat(100));
    client.quiet();
}

/// [MQTT-3.1.3-6] Clients without an id are clients apart.
#[test]
fn an_empty_client_id_gets_an_id_of_its_own() {
    let case = Case::new(V311);
    let mut one = case.open();
    assert!(!one.login(&Connect::new("")));
    let mut other = case.open();
    assert!(!other.login(&Connect::new("")));
    one.quiet();
    other.quiet();
}

/// [MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.1.3-9] [MQTT-3.2.2-4] [MQTT-3.2.2-5]
#[test]
fn an_empty_client_id_cannot_keep_a_session() {
    let case = Case::new(V311);
    let mut client = case.open();
    let verdict = client.hello(&Connect::new("").resume());
    assert_eq!((verdict.code, verdict.present), (2, false));
    client.closed();
    // 3.1 knows no empty ids at all.
    let mut client = case.open_as(V31);
    let verdict = client.hello(&Connect::new(""));
    assert_eq!(verdict.code, 2);
    client.closed();
}

/// [MQTT-3.1.4-2] [MQTT-3.1.3-2]
#[test]
fn a_client_that_comes_again_ends_its_former_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut former = case.client("same");
        let mut other = case.client("other");
        let mut latter = case.client("same");
        former.closed();
        latter.quiet();
        other.quiet();
    }
}

/// [MQTT-3.1.4-5] [MQTT-3.2.2-5]
#[test]
fn nothing_is_done_for_a_client_that_was_refused() {
    let case = Case::new(V311);
    let topic = case.topic("refused");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 0)]);
    let mut client = case.open();
    let mut bytes = Connect::new("").resume().bytes(V311);
    bytes.extend(b"\x30");
    bytes.push(u8::try_from(topic.len() + 3).unwrap());
    bytes.extend(b"\x00");
    bytes.push(u8::try_from(topic.len()).unwrap());
    bytes.extend(topic.as_bytes());
    bytes.extend(b"x\xc0\x00");
    client.send(&bytes);
    assert_eq!(client.verdict().code, 2);
    client.closed();
    watcher.quiet();
}

/// [MQTT-3.2.0-1] [MQTT-3.2.2-2] What waited comes after CONNACK.
#[test]
fn connack_is_the_first_packet_even_when_messages_wait() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("waits");
        let mut client = case.open();
        client.login(&case.lasting("sleeper"));
        client.subscribe(&[(&topic, 1)]);
        client.leave();
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "x").qos(1));
        let mut client = case.open();
        // 3.1 has no word for it.
        assert_eq!(client.login(&case.lasting("sleeper")), version == V311);
        assert_eq!(client.take().text(), "x");
    }
}

/// [MQTT-3.1.4-4] Packets right behind CONNECT are served, and so is a CONNECT that comes in pieces.
#[test]
fn the_stream_may_be_cut_anywhere() {
    let case = Case::new(V311);
    let mut bytes = case.connect("pieces").bytes(V311);
    bytes.extend(b"\xc0\x00\xc0\x00");
    let mut client = case.open();
    client.send(&bytes);
    assert_eq!(client.verdict().code, 0);
    assert_eq!(client.packet(), Some(Packet::PingResp));
    assert_eq!(client.packet(), Some(Packet::PingResp));
    let mut client = case.open();
    for byte in bytes {
        client.send(&[byte]);
    }
    assert_eq!(client.verdict().code, 0);
    assert_eq!(client.packet(), Some(Packet::PingResp));
}

/// [MQTT-3.1.4-4] A client that sends no more still hears.
#[test]
fn a_client_that_closed_its_sending_half_gets_its_connack() {
    let case = Case::new(V311);
    let mut client = case.open();
    client.send(&case.connect("half").bytes(V311));
    client.half_close();
    assert_eq!(client.verdict().code, 0);
    client.closed();
}

/// [MQTT-3.1.2-24] After one and a half times the keep alive, and not before.
#[test]
fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let case = Case::new(V311);
    let topic = case.topic("will");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 0)]);
    let mut client = case.open();
    let will = Will::new(&topic, "silent");
    client.login(&case.connect("silent").keep_alive(1).will(will));
    let since = Instant::now();
    client.closed();
    let after = since.elapsed();
    assert!(after >= Duration::from_millis(1_400), "{after:?}");
    assert!(after < Duration::from_secs(10), "{after:?}");
    // As if the network had failed: with its will.
    assert_eq!(watcher.message().text(), "silent");
}

/// [MQTT-3.1.2-23] [MQTT-3.12.4-1] Any packet counts, and 0 is no keep alive.
#[test]
fn a_client_that_pings_stays_connected() {
    let case = Case::new(V311);
    let mut client = case.open();
    client.login(&case.connect("alive").keep_alive(2));
    let mut forever = case.client("forever");
    // The keep alives of other clients are the clock of this test: a second and a half each.
    for _ in 0..3 {
        let mut clock = case.open();
        clock.login(&case.connect("clock").keep_alive(1));
        clock.closed();
        client.quiet();
    }
    forever.quiet();
}

/// [MQTT-3.1.2-2] The same listener serves all versions side by side.
#[test]
fn each_version_is_served_as_it_asks() {
    let case = Case::new(V311);
    let topic = case.topic("versions");
    let mut clients: Vec<_> = [V31, V311, V5]
        .into_iter()
        .map(|version| {
            let mut client = case.open_as(version);
            client.login(&case.connect(&format!("v{version}")));
            assert_eq!(client.subscribe(&[(&topic, 2)]), [2]);
            client
        })
        .collect();
    for sender in 0..clients.len() {
        clients[sender].publish(&Message::new(&topic, sender.to_string()).qos(2));
        for client in &mut clients {
            assert_eq!(client.message().text(), sender.to_string());
        }
    }
}
