//! Retained messages (§3.3.1.3).

use crate::VERSIONS;
use tests::raw::{Case, Message, Raw};

fn newcomer(case: &Case, filter: &str) -> Raw {
    let mut client = case.client("newcomer");
    client.subscribe(&[(filter, 2)]);
    client
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] [MQTT-3.3.1-7] [MQTT-3.3.1-9]
#[test]
fn the_last_retained_message_of_each_topic_meets_new_subscriptions() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = case.client("watcher");
        watcher.subscribe(&[(&case.topic("#"), 2)]);
        let mut sender = case.client("sender");
        for qos in 0..3 {
            let topic = case.topic(&qos.to_string());
            for text in ["old", "new"] {
                sender.publish(&Message::new(&topic, text).qos(qos).retain());
                // To those who had subscribed it is a message like others.
                assert!(!watcher.message().retain);
            }
            let mut client = newcomer(&case, &topic);
            let message = client.message();
            assert_eq!((message.text(), message.qos), ("new", qos));
            assert!(message.retain && !message.dup);
            client.quiet();
            // Every SUBSCRIBE brings it, at the level asked for.
            client.subscribe(&[(&topic, 0)]);
            assert_eq!(client.message().qos, 0);
        }
        // Each matching topic has its own.
        let mut client = newcomer(&case, &case.topic("+"));
        let mut got: Vec<_> = (0..3).map(|_| client.message().topic).collect();
        got.sort();
        assert_eq!(got, [case.topic("0"), case.topic("1"), case.topic("2")]);
        client.quiet();
    }
}

/// [MQTT-3.3.1-10] [MQTT-3.3.1-11]
#[test]
fn an_empty_retained_message_is_delivered_and_clears_the_topic() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut sender = case.client("sender");
        let mut watcher = case.client("watcher");
        for qos in 0..3 {
            sender.publish(&Message::new(&topic, "there").qos(qos).retain());
            watcher.subscribe(&[(&topic, 2)]);
            assert_eq!(watcher.message().text(), "there");
            sender.publish(&Message::new(&topic, "").qos(qos).retain());
            let message = watcher.message();
            assert!(message.payload.is_empty() && !message.retain);
            newcomer(&case, &topic).quiet();
            watcher.unsubscribe(&[&topic]);
        }
    }
}

/// [MQTT-3.3.1-12]
#[test]
fn a_message_without_retain_leaves_the_retained_one_alone() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "passing").qos(1));
        newcomer(&case, &topic).quiet();
        sender.publish(&Message::new(&topic, "kept").qos(1).retain());
        sender.publish(&Message::new(&topic, "passing").qos(1));
        sender.publish(&Message::new(&topic, "").qos(1));
        assert_eq!(newcomer(&case, &topic).message().text(), "kept");
    }
}

/// [MQTT-3.3.1-7]
#[test]
fn a_retained_message_of_qos_0_takes_the_place_of_another() {
    for version in VERSIONS {
        let case = Case::new(version);
        let topic = case.topic("t");
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "old").qos(2).retain());
        sender.publish(&Message::new(&topic, "new").retain());
        let message = newcomer(&case, &topic).message();
        assert_eq!((message.text(), message.qos), ("new", 0));
    }
}
