//! Sessions, and what is sent again (§3.1.2.4, §4.1, §4.4).

use crate::VERSIONS;
use tests::raw::{Case, Message, Packet, Raw, V311, kind};

/// A lasting client that comes.
fn arrive(case: &Case, name: &str) -> (Raw, bool) {
    let mut client = case.open();
    let present = client.login(&case.lasting(name));
    (client, present)
}

/// [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-4.1.0-1] [MQTT-4.5.0-1]
#[test]
fn a_session_keeps_subscriptions_and_messages_for_its_client() {
    for version in VERSIONS {
        let case = Case::new(version);
        let (mut client, present) = arrive(&case, "keeper");
        assert!(!present);
        assert_eq!(
            client.subscribe(&[(&case.topic("+"), 2), (&case.topic("x/#"), 1)]),
            [2, 1]
        );
        client.leave();
        let mut sender = case.client("sender");
        for (topic, qos) in [("a", 1), ("b", 2), ("x/y", 1), ("elsewhere/z", 1)] {
            sender.publish(&Message::new(&case.topic(topic), topic).qos(qos));
        }
        let (mut client, present) = arrive(&case, "keeper");
        assert_eq!(present, version == V311);
        for (topic, qos) in [("a", 1), ("b", 2), ("x/y", 1)] {
            let message = client.message();
            assert_eq!((message.text(), message.qos), (topic, qos));
            assert!(!message.dup && !message.retain);
        }
        client.quiet();
        sender.publish(&Message::new(&case.topic("c"), "live"));
        assert_eq!(client.message().text(), "live");
    }
}

/// [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-1] [MQTT-3.2.2-3]
#[test]
fn a_clean_session_forgets_what_was_before_and_what_comes_after() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let (mut client, _) = arrive(&case, "clean");
        client.subscribe(&[(&topic, 1)]);
        client.leave();
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "waits").qos(1));
        let mut client = case.open();
        assert!(!client.login(&case.connect("clean")));
        sender.publish(&Message::new(&topic, "live").qos(1));
        client.quiet();
        client.subscribe(&[(&topic, 1)]);
        client.leave();
        // The clean session ended with its connection.
        let (mut client, present) = arrive(&case, "clean");
        assert!(!present);
        sender.publish(&Message::new(&topic, "later").qos(1));
        client.quiet();
    }
}

/// [MQTT-4.1.0-2] [MQTT-3.1.4-2] A session outlives a takeover.
#[test]
fn a_session_moves_to_the_new_connection_of_its_client() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let (mut former, _) = arrive(&case, "mover");
        former.subscribe(&[(&topic, 1)]);
        let (mut latter, present) = arrive(&case, "mover");
        assert_eq!(present, version == V311);
        former.closed();
        case.client("sender")
            .publish(&Message::new(&topic, "x").qos(1));
        assert_eq!(latter.message().text(), "x");
    }
}

/// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.6.0-1] [MQTT-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
#[test]
fn messages_that_were_not_acknowledged_come_again_in_their_order() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let (mut client, _) = arrive(&case, "again");
        client.subscribe(&[(&topic, 2)]);
        let mut sender = case.client("sender");
        for (text, qos) in [("1", 1), ("2", 2), ("3", 1), ("4", 2)] {
            sender.publish(&Message::new(&topic, text).qos(qos));
        }
        let first: Vec<_> = (0..4).map(|_| client.take()).collect();
        let texts: Vec<_> = first.iter().map(Message::text).collect();
        assert_eq!(texts, ["1", "2", "3", "4"]);
        assert!(first.iter().all(|message| !message.dup));
        // The third is done; the others are not.
        client.acknowledge(kind::PUBACK, first[2].id.unwrap());
        client.quiet();
        client.drop_line();
        let (mut client, _) = arrive(&case, "again");
        for before in [&first[0], &first[1], &first[3]] {
            let again = client.take();
            assert_eq!((again.text(), again.id), (before.text(), before.id));
            assert!(again.dup);
            client.complete(&again);
        }
        client.quiet();
        client.drop_line();
        let (mut client, _) = arrive(&case, "again");
        client.quiet();
    }
}

/// [MQTT-4.4.0-1] [MQTT-4.3.3-1] PUBREL comes again, and the message does not.
#[test]
fn a_release_that_was_not_completed_comes_again() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let (mut client, _) = arrive(&case, "release");
        client.subscribe(&[(&topic, 2)]);
        case.client("sender")
            .publish(&Message::new(&topic, "once").qos(2));
        let id = client.take().id.unwrap();
        client.acknowledge(kind::PUBREC, id);
        client.acknowledged(kind::PUBREL, id);
        client.drop_line();
        for _ in 0..2 {
            let (mut client, _) = arrive(&case, "release");
            let next = client.packet();
            assert!(
                matches!(next, Some(Packet::Ack { kind: kind::PUBREL, id: of, .. }) if of == id),
                "{next:?}"
            );
            client.quiet();
            client.drop_line();
        }
        let (mut client, _) = arrive(&case, "release");
        client.acknowledged(kind::PUBREL, id);
        client.acknowledge(kind::PUBCOMP, id);
        client.quiet();
        client.drop_line();
        let (mut client, _) = arrive(&case, "release");
        client.quiet();
    }
}

/// [MQTT-4.3.3-2] [MQTT-4.1.0-1] [MQTT-2.3.1-3] A publisher's receipt outlives its connection.
#[test]
fn a_message_sent_again_after_a_broken_line_is_delivered_once() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut watcher = case.client("watcher");
        watcher.subscribe(&[(&topic, 2)]);
        let message = Message::new(&topic, "once").qos(2).id(77);
        let (mut sender, _) = arrive(&case, "sender");
        sender.send_publish(&message);
        sender.acknowledged(kind::PUBREC, 77);
        sender.drop_line();
        let (mut sender, _) = arrive(&case, "sender");
        sender.send_publish(&message.clone().dup());
        sender.acknowledged(kind::PUBREC, 77);
        sender.acknowledge(kind::PUBREL, 77);
        sender.acknowledged(kind::PUBCOMP, 77);
        // A release that got lost is answered again.
        sender.drop_line();
        let (mut sender, _) = arrive(&case, "sender");
        sender.acknowledge(kind::PUBREL, 77);
        sender.acknowledged(kind::PUBCOMP, 77);
        assert_eq!(watcher.message().text(), "once");
        watcher.quiet();
        // Now the identifier is free, and the same bytes are another message.
        sender.publish(&message);
        assert_eq!(watcher.message().text(), "once");
    }
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-6]
#[test]
fn a_retained_message_outlives_the_session_of_its_publisher() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "stays").qos(1).retain());
        sender.leave();
        let mut client = case.client("sender");
        client.subscribe(&[(&topic, 1)]);
        assert_eq!(client.message().text(), "stays");
    }
}
