//! Retained messages (§3.3.1.3) and the options of a subscription about them (§3.8.3.1).

use crate::case;
use tests::raw::{Case, Message, Raw};

/// Retain Handling 1 and 2, and Retain As Published, in the options byte.
const IF_NEW: u8 = 0x10;
const NEVER: u8 = 0x20;
const AS_PUBLISHED: u8 = 0x08;

fn newcomer(case: &Case, filter: &str) -> Raw {
    let mut client = case.client("newcomer");
    client.subscribe(&[(filter, 2)]);
    client
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT-3.3.1-12] [MQTT-3.8.4-4]
#[test]
fn the_last_retained_message_of_each_topic_meets_new_subscriptions() {
    let case = case();
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&case.topic("#"), 2)]);
    let mut sender = case.client("sender");
    for qos in 0..3 {
        let topic = case.topic(&qos.to_string());
        for text in ["old", "new"] {
            sender.publish(&Message::new(&topic, text).qos(qos).retain());
            assert!(!watcher.message().retain);
        }
        let mut client = newcomer(&case, &topic);
        let message = client.message();
        assert_eq!((message.text(), message.qos), ("new", qos));
        assert!(message.retain && !message.dup);
        client.quiet();
        client.subscribe(&[(&topic, 0)]);
        let message = client.message();
        assert_eq!((message.qos, message.retain), (0, true));
    }
    let mut client = newcomer(&case, &case.topic("+"));
    let mut got: Vec<_> = (0..3).map(|_| client.message().topic).collect();
    got.sort();
    assert_eq!(got, [case.topic("0"), case.topic("1"), case.topic("2")]);
    client.quiet();
}

/// [MQTT-3.3.1-6] [MQTT-3.3.1-7]
#[test]
fn an_empty_retained_message_is_delivered_and_clears_the_topic() {
    let case = case();
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    for qos in 0..3 {
        sender.publish(&Message::new(&topic, "there").qos(qos).retain());
        let mut watcher = newcomer(&case, &topic);
        assert_eq!(watcher.message().text(), "there");
        watcher.leave();
        let mut watcher = case.client("watcher");
        watcher.subscribe(&[(&topic, 2 | AS_PUBLISHED)]);
        assert_eq!(watcher.message().text(), "there");
        sender.publish(&Message::new(&topic, "").qos(qos).retain());
        let message = watcher.message();
        assert!(message.payload.is_empty() && message.retain);
        newcomer(&case, &topic).quiet();
        watcher.leave();
    }
}

/// [MQTT-3.3.1-8]
#[test]
fn a_message_without_retain_leaves_the_retained_one_alone() {
    let case = case();
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "passing").qos(1));
    newcomer(&case, &topic).quiet();
    sender.publish(&Message::new(&topic, "kept").qos(1).retain());
    sender.publish(&Message::new(&topic, "").qos(1));
    assert_eq!(newcomer(&case, &topic).message().text(), "kept");
}

/// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
#[test]
fn retain_handling_says_when_retained_messages_come() {
    let case = case();
    let topic = case.topic("t");
    case.client("sender")
        .publish(&Message::new(&topic, "kept").qos(1).retain());
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1 | NEVER)]);
    client.quiet();
    // It exists already.
    client.subscribe(&[(&topic, 1 | IF_NEW)]);
    client.quiet();
    client.subscribe(&[(&topic, 1)]);
    assert_eq!(client.message().text(), "kept");
    client.subscribe(&[(&topic, 1 | NEVER)]);
    client.quiet();
    client.unsubscribe(&[&topic]);
    client.subscribe(&[(&topic, 1 | IF_NEW)]);
    assert_eq!(client.message().text(), "kept");
    client.subscribe(&[(&topic, 1 | IF_NEW)]);
    client.quiet();
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13]
#[test]
fn retain_as_published_says_what_becomes_of_the_flag() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    let mut sender = case.client("sender");
    for (options, kept) in [(1, false), (1 | AS_PUBLISHED, true)] {
        client.subscribe(&[(&topic, options | NEVER)]);
        for retain in [true, false] {
            let message = Message::new(&topic, "x").qos(1);
            sender.publish(&if retain { message.retain() } else { message });
            assert_eq!(client.message().retain, retain && kept);
        }
        // Those that a subscription brings are marked in any case.
        client.subscribe(&[(&topic, options)]);
        assert!(client.message().retain);
    }
}

/// [MQTT-3.3.1-9] A session that comes back gets no retained messages for what it had.
#[test]
fn a_session_that_goes_on_is_no_new_subscription() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = crate::lasting(&case, "client");
    client.subscribe(&[(&topic, 1)]);
    client.leave();
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "kept").retain());
    let (mut client, present) = crate::lasting(&case, "client");
    assert!(present);
    client.quiet();
}
