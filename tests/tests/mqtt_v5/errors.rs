//! Reasons (§2.4, §4.13) and what the server says with them.

use crate::case;
use std::{
    io::Write,
    process::{Command, Stdio},
};
use tests::raw::{Case, Message, Packet, Props, V5, id};

/// [MQTT-4.13.1-1] [MQTT-3.14.4-1] [MQTT-3.14.4-2] Nothing follows the reason but the end.
#[test]
fn each_breach_gets_its_reason() {
    let case = case();
    for (bytes, reason) in [
        // Kinds that are none, or that servers send.
        (&b"\x00\x00"[..], 0x81),
        (b"\x20\x03\x00\x00\x00", 0x82),
        (b"\x90\x04\x00\x01\x00\x00", 0x82),
        (b"\xb0\x04\x00\x01\x00\x00", 0x82),
        (b"\xd0\x00", 0x82),
        // PUBLISH with QoS 3, without topic and alias, with a wildcard, with another's number.
        (b"\x36\x06\x00\x01a\x00\x01\x00", 0x81),
        (b"\x30\x03\x00\x00\x00", 0x82),
        (b"\x30\x06\x00\x03a/#\x00", 0x90),
        (b"\x30\x06\x00\x01a\x02\x0b\x01", 0x82),
        // SUBSCRIBE and UNSUBSCRIBE without filters, with reserved bits.
        (b"\x82\x03\x00\x01\x00", 0x82),
        (b"\xa2\x03\x00\x01\x00", 0x82),
        (b"\x82\x07\x00\x01\x00\x00\x01a\xc0", 0x81),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x03", 0x81),
        // Retain Handling 3; No Local on a shared subscription.
        (b"\x82\x07\x00\x01\x00\x00\x01a\x30", 0x82),
        (b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", 0x82),
        // Too long for any packet.
        (b"\x30\xff\xff\xff\x7f", 0x95),
    ] {
        let mut client = case.client("bad");
        client.send(bytes);
        match client.packet() {
            Some(Packet::Disconnect { code, .. }) => {
                assert_eq!(code, reason, "{bytes:02x?}: {code:#x}");
            }
            other => panic!("{bytes:02x?}: {other:?}"),
        }
        client.closed();
    }
}

/// [MQTT-3.3.4-6] A subscription identifier is for servers to send.
#[test]
fn a_client_publishes_without_subscription_identifier() {
    let case = case();
    let mut client = case.client("bad");
    let props = Props::new().number(id::SUBSCRIPTION_ID, 1);
    client.send_publish(&Message::new(&case.topic("t"), "x").with(props));
    client.thrown_out(0x82);
}

/// [MQTT-3.14.2-1] [MQTT-3.14.1-1] [MQTT-2.1.3-1]
#[test]
fn a_disconnect_that_is_none_is_malformed() {
    let case = case();
    for flags in [0xe1, 0xe2, 0xe4, 0xe8] {
        let mut client = case.client("bad");
        client.send(&[flags, 0]);
        client.thrown_out(0x81);
    }
    for code in [0x01, 0x03, 0x7f, 0xff] {
        let mut client = case.client("bad");
        client.send(&[0xe0, 2, code, 0]);
        assert!(matches!(
            client.packet(),
            Some(Packet::Disconnect {
                code: 0x81 | 0x82,
                ..
            })
        ));
        client.closed();
    }
}

/// [MQTT-3.1.2-29] Who asks for no problem information gets codes alone.
#[test]
fn problem_information_is_left_out_on_request() {
    let case = case();
    for wanted in [0, 1] {
        let mut client = case.open();
        let props = Props::new().number(id::REQUEST_PROBLEM, wanted);
        client.login(&case.connect("client").with(props));
        for bytes in [
            &b"\x82\x16\x00\x01\x00\x00\x10test/nosubscribe\x01"[..],
            b"\xa2\x08\x00\x02\x00\x00\x03a/b",
            b"\x32\x16\x00\x10test/nosubscribe\x00\x03\x00x",
            b"\x34\x16\x00\x10test/nosubscribe\x00\x04\x00x",
            b"\x62\x02\x00\x05",
            b"\x50\x02\x00\x06",
        ] {
            client.send(bytes);
            let answer = client.packet().expect("an answer");
            assert!(wanted == 1 || !answer.explains(), "{answer:?}");
        }
    }
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-4.3.3-9] [MQTT-4.4.0-2]
#[test]
fn a_message_that_may_not_be_published_is_refused_by_its_reason() {
    let case = case();
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[("test/#", 2)]);
    let mut client = case.client("client");
    for qos in [1, 2] {
        for _ in 0..2 {
            let message = Message::new("test/nosubscribe", "x").qos(qos).id(5);
            assert_eq!(client.publish(&message), 0x87);
        }
    }
    client.publish(&Message::new("test/nosubscribe", "x"));
    client.quiet();
    watcher.quiet();
    // The identifier is free again.
    let topic = case.topic("t");
    watcher.subscribe(&[(&topic, 2)]);
    assert_eq!(client.publish(&Message::new(&topic, "x").qos(2).id(5)), 0);
    assert_eq!(watcher.message().text(), "x");
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] Nobody listens, and the sender may know.
#[test]
fn a_message_without_receivers_is_a_success() {
    let case = case();
    let mut client = case.client("client");
    for qos in [1, 2] {
        let code = client.publish(&Message::new(&case.topic("t"), "x").qos(qos));
        assert!([0, 0x10].contains(&code), "{code:#x}");
    }
}

/// [MQTT-3.14.0-1] [MQTT-4.13.2-1] The server that stops says so.
#[test]
fn a_server_that_stops_takes_leave() {
    let mut server =
        tests::Server::start_with(&["listen.plain.off=false", "listen.plain.anonymous=true"]);
    let mut client = tests::raw::Raw::open(server.address("plain"), V5);
    client.login(&tests::raw::Connect::new("client"));
    let asked = std::thread::spawn(move || server.stop());
    client.thrown_out(0x8b);
    assert!(asked.join().expect("it stopped").success());
}

/// Writes a user into a password file, as an operator does.
fn password(file: &str, user: &str, password: &str) {
    let mut child = Command::new(tests::program("muster"))
        .args(["plain", "passwd", file, user])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{password}").expect("a pipe");
    drop(stdin);
    assert!(child.wait().expect("a child").success());
}

/// [MQTT-3.2.2-8] [MQTT-3.1.4-2] A wrong password is told by its own reason, in each version.
#[test]
fn wrong_credentials_have_a_reason() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("passwords");
    let path = file.to_str().expect("a plain path").to_owned();
    password(&path, "somebody", "right");
    let file = format!("listen.plain.password_file=\"{path}\"");
    let case = Case::with(V5, &["listen.plain.anonymous=false", &file]);
    let right = case.connect("client").user("somebody").password(b"right");
    assert_eq!(case.open().hello(&right).code, 0);
    for connect in [
        case.connect("client").user("somebody").password(b"wrong"),
        case.connect("client").user("nobody").password(b"right"),
        case.connect("client").user("somebody"),
        case.connect("client"),
    ] {
        let mut client = case.open();
        let code = client.hello(&connect).code;
        assert!([0x86, 0x87].contains(&code), "{code:#x}");
        client.closed();
        let mut client = case.open_as(tests::raw::V311);
        let code = client.hello(&connect).code;
        assert!([4, 5].contains(&code), "{code:#x}");
        client.closed();
    }
}
