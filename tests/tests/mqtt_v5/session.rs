//! Sessions, their expiry, and what is sent again (§3.1.2.4, §3.1.2.11.2, §4.1, §4.4).

use crate::{case, lasting};
use tests::raw::{Case, Message, Packet, Props, Raw, V5, Will, id, kind};

/// Waits until the session of a client that is away has ended: then its will is published, long
/// before the delay of that will.
fn ended(watcher: &mut Raw) {
    assert_eq!(watcher.message().text(), "the session ended");
}

fn watch(case: &Case) -> (Raw, Will) {
    let topic = case.topic("end");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 1)]);
    let delay = Props::new().number(id::WILL_DELAY, 1_000);
    (watcher, Will::new(&topic, "the session ended").with(delay))
}

/// [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.2.2-3] [MQTT-3.1.4-4] [MQTT-4.5.0-1]
#[test]
fn a_session_keeps_subscriptions_and_messages_for_its_client() {
    let case = case();
    let (mut client, present) = lasting(&case, "keeper");
    assert!(!present);
    let number = Props::new().number(id::SUBSCRIPTION_ID, 9);
    client.subscribe_with(&[(&case.topic("+"), 2)], &number);
    client.subscribe(&[(&case.topic("x/#"), 1)]);
    client.leave();
    let mut sender = case.client("sender");
    for (topic, qos) in [("a", 1), ("b", 2), ("x/y", 1)] {
        sender.publish(&Message::new(&case.topic(topic), topic).qos(qos));
    }
    let (mut client, present) = lasting(&case, "keeper");
    assert!(present);
    for (topic, qos, number) in [("a", 1, Some(9)), ("b", 2, Some(9)), ("x/y", 1, None)] {
        let message = client.message();
        assert_eq!((message.text(), message.qos), (topic, qos));
        assert_eq!(message.props.get(id::SUBSCRIPTION_ID), number);
        assert!(!message.dup && !message.retain);
    }
    client.quiet();
    sender.publish(&Message::new(&case.topic("c"), "live"));
    assert_eq!(client.message().text(), "live");
}

/// [MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.1.4-4]
#[test]
fn clean_start_forgets_what_was_before() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "clean");
    client.subscribe(&[(&topic, 1)]);
    client.leave();
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "waits").qos(1));
    let mut client = case.open();
    assert!(!client.login(&case.connect("clean").expiry(600)));
    sender.publish(&Message::new(&topic, "live").qos(1));
    client.quiet();
    client.subscribe(&[(&topic, 1)]);
    client.drop_line();
    // Clean start says nothing of the session's end: this one lasts.
    let (mut client, present) = lasting(&case, "clean");
    assert!(present);
    sender.publish(&Message::new(&topic, "again").qos(1));
    assert_eq!(client.message().text(), "again");
}

/// [MQTT-4.1.0-2] [MQTT-3.1.2-23] Absent or 0: with the connection.
#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    let case = case();
    for connect in [
        case.connect("brief").resume(),
        case.connect("brief").resume().expiry(0),
    ] {
        let mut client = case.open();
        client.login(&connect);
        client.subscribe(&[(&case.topic("t"), 1)]);
        client.drop_line();
        // Whether the server has seen that already or not, it is the end of that session.
        let mut client = case.open();
        assert!(!client.login(&connect));
    }
}

/// [MQTT-4.1.0-2] [MQTT-3.1.3-9] Its will comes at its end, whatever the delay.
#[test]
fn a_session_ends_when_its_expiry_interval_has_passed() {
    let case = case();
    let (mut watcher, will) = watch(&case);
    let mut client = case.open();
    client.login(&case.connect("short").expiry(1).will(will));
    client.drop_line();
    ended(&mut watcher);
    let (_, present) = lasting(&case, "short");
    assert!(!present);
}

/// [MQTT-4.1.0-1] The interval counts from the end of the connection, not from its beginning.
#[test]
fn a_session_does_not_end_under_its_connection() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.open();
    client.login(&case.connect("present").expiry(1));
    client.subscribe(&[(&topic, 1)]);
    let (mut watcher, will) = watch(&case);
    let mut clock = case.open();
    clock.login(&case.connect("clock").expiry(2).will(will));
    clock.drop_line();
    ended(&mut watcher);
    case.client("sender")
        .publish(&Message::new(&topic, "x").qos(1));
    assert_eq!(client.message().text(), "x");
    client.drop_line();
    let (_, present) = lasting(&case, "present");
    assert!(present);
}

/// [MQTT-4.1.0-2] [MQTT-3.14.2-2] DISCONNECT may shorten the session, and lengthen it.
#[test]
fn disconnect_may_change_the_expiry() {
    let case = case();
    let (client, _) = lasting(&case, "shortened");
    client.leave_with(0, &Props::new().number(id::SESSION_EXPIRY, 0));
    let (_, present) = lasting(&case, "shortened");
    assert!(!present);

    let (mut watcher, will) = watch(&case);
    let mut client = case.open();
    client.login(&case.connect("longer").expiry(1));
    client.leave_with(0, &Props::new().number(id::SESSION_EXPIRY, 600));
    let mut clock = case.open();
    clock.login(&case.connect("clock").expiry(2).will(will));
    clock.drop_line();
    ended(&mut watcher);
    let (_, present) = lasting(&case, "longer");
    assert!(present);
}

/// [MQTT-4.13.1-1] A session that was to end with its connection cannot be kept at the last moment
/// (§3.14.2.2.2).
#[test]
fn disconnect_cannot_keep_a_session_that_had_no_expiry() {
    let case = case();
    let mut client = case.client("late");
    client.send(b"\xe0\x07\x00\x05\x11\x00\x00\x00\x0a");
    client.thrown_out(0x82);
    let (_, present) = lasting(&case, "late");
    assert!(!present);
}

/// [MQTT-3.1.2-23] A connection has the expiry that it came with, not that of the one before.
#[test]
fn each_connect_sets_the_expiry_anew() {
    let case = case();
    let (client, _) = lasting(&case, "client");
    client.drop_line();
    let mut client = case.open();
    assert!(client.login(&case.connect("client").resume()));
    client.drop_line();
    let (_, present) = lasting(&case, "client");
    assert!(!present);
}

/// [MQTT-3.1.2-23] The longest interval is for ever; what a server shortens, it tells.
#[test]
fn the_longest_interval_is_kept_or_told() {
    let case = Case::with(V5, &["listen.plain.session_expiry_maximum=600"]);
    let mut client = case.open();
    let connect = case.connect("client").expiry(u32::MAX);
    let verdict = client.hello(&connect);
    assert_eq!(verdict.props.get(id::SESSION_EXPIRY), Some(600));
    client.drop_line();
    let mut client = case.open();
    assert!(client.login(&connect.resume()));
}

/// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-2.2.1-4] [MQTT-4.3.2-3] [MQTT-4.3.3-3]
#[test]
fn messages_that_were_not_acknowledged_come_again_in_their_order() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "again");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    for (text, qos) in [("1", 1), ("2", 2), ("3", 1), ("4", 2)] {
        sender.publish(&Message::new(&topic, text).qos(qos));
    }
    let first: Vec<_> = (0..4).map(|_| client.take()).collect();
    client.acknowledge(kind::PUBACK, first[2].id.unwrap());
    // On a line that holds nothing comes twice.
    client.quiet();
    client.drop_line();
    let (mut client, _) = lasting(&case, "again");
    for before in [&first[0], &first[1], &first[3]] {
        let again = client.take();
        assert_eq!((again.text(), again.id), (before.text(), before.id));
        assert!(again.dup && !before.dup);
        client.complete(&again);
    }
    client.quiet();
    client.drop_line();
    let (mut client, _) = lasting(&case, "again");
    client.quiet();
}

/// [MQTT-4.4.0-1] [MQTT-4.3.3-5] [MQTT-4.3.3-6]
#[test]
fn a_release_that_was_not_completed_comes_again_and_its_message_does_not() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "release");
    client.subscribe(&[(&topic, 2)]);
    case.client("sender")
        .publish(&Message::new(&topic, "once").qos(2));
    let number = client.take().id.unwrap();
    client.acknowledge(kind::PUBREC, number);
    client.acknowledged(kind::PUBREL, number);
    client.drop_line();
    let (mut client, _) = lasting(&case, "release");
    let next = client.packet();
    assert!(
        matches!(next, Some(Packet::Ack { kind: kind::PUBREL, id, .. }) if id == number),
        "{next:?}"
    );
    client.acknowledge(kind::PUBCOMP, number);
    client.quiet();
    client.drop_line();
    let (mut client, _) = lasting(&case, "release");
    client.quiet();
}

/// [MQTT-4.3.3-10] [MQTT-4.1.0-1] [MQTT-4.3.3-12]
#[test]
fn a_message_sent_again_after_a_broken_line_is_delivered_once() {
    let case = case();
    let topic = case.topic("t");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&topic, 2)]);
    let message = Message::new(&topic, "once").qos(2).id(77);
    let (mut sender, _) = lasting(&case, "sender");
    sender.send_publish(&message);
    assert_eq!(sender.acknowledged(kind::PUBREC, 77), 0);
    sender.drop_line();
    let (mut sender, _) = lasting(&case, "sender");
    sender.send_publish(&message.clone().dup());
    assert!(sender.acknowledged(kind::PUBREC, 77) < 0x80);
    sender.acknowledge(kind::PUBREL, 77);
    assert_eq!(sender.acknowledged(kind::PUBCOMP, 77), 0);
    assert_eq!(watcher.message().text(), "once");
    watcher.quiet();
    sender.publish(&message);
    assert_eq!(watcher.message().text(), "once");
}

/// [MQTT-4.4.0-2] A message that the client refused is not sent again.
#[test]
fn a_message_that_the_client_refused_is_done() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "refuses");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    for (qos, answer) in [(1, 0x40), (2, 0x50)] {
        sender.publish(&Message::new(&topic, "x").qos(qos));
        let number = client.take().id.unwrap().to_be_bytes();
        client.send_packet(answer, &[number[0], number[1], 0x97]);
        client.quiet();
    }
    client.drop_line();
    let (mut client, _) = lasting(&case, "refuses");
    client.quiet();
}
