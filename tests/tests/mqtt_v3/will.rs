//! Wills (§3.1.2.5 to §3.1.2.7).

use crate::VERSIONS;
use tests::raw::{Case, Message, Raw, Will};

fn watcher(case: &Case) -> Raw {
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&case.topic("#"), 2)]);
    watcher
}

/// [MQTT-3.1.2-8] [MQTT-3.1.2-9] [MQTT-3.1.2-14] [MQTT-3.1.2-16] [MQTT-3.1.2-10]
#[test]
fn a_will_is_published_at_its_level_when_the_line_breaks() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = watcher(&case);
        for qos in 0..3 {
            let mut client = case.open();
            let will = Will::new(&case.topic("will"), format!("{qos}")).qos(qos);
            client.login(&case.connect("dying").will(will));
            client.drop_line();
            let message = watcher.message();
            assert_eq!((message.text(), message.qos), (&*format!("{qos}"), qos));
            assert!(!message.retain);
        }
        // It was published once, and it was not retained.
        watcher.quiet();
        let mut late = case.client("late");
        late.subscribe(&[(&case.topic("will"), 2)]);
        late.quiet();
    }
}

/// [MQTT-3.1.2-17]
#[test]
fn a_retained_will_is_there_for_those_who_come_later() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = watcher(&case);
        let mut client = case.open();
        let will = Will::new(&case.topic("will"), "left").qos(1).retain();
        client.login(&case.connect("dying").will(will));
        client.drop_line();
        assert_eq!(watcher.message().text(), "left");
        let mut late = case.client("late");
        late.subscribe(&[(&case.topic("will"), 1)]);
        let message = late.message();
        assert_eq!((message.text(), message.retain), ("left", true));
    }
}

/// [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT-3.1.2-12]
#[test]
fn no_will_comes_from_a_client_that_says_good_bye_or_left_none() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = watcher(&case);
        let mut client = case.open();
        let will = Will::new(&case.topic("will"), "void");
        client.login(&case.lasting("polite").will(will));
        client.leave();
        let mut client = case.open();
        client.login(&case.lasting("polite"));
        client.drop_line();
        // A third connection of the client takes the place of the second for certain.
        let mut client = case.open();
        client.login(&case.lasting("polite"));
        client.publish(&Message::new(&case.topic("end"), "end").qos(1));
        assert_eq!(watcher.message().text(), "end");
        watcher.quiet();
    }
}

/// [MQTT-3.1.2-8] [MQTT-4.8.0-1] Also when the server ends the connection.
#[test]
fn a_will_is_published_after_a_breach_of_the_protocol_and_after_a_takeover() {
    for version in VERSIONS {
        let case = Case::new(version);
        let mut watcher = watcher(&case);
        let mut client = case.open();
        let will = Will::new(&case.topic("will"), "breach");
        client.login(&case.connect("bad").will(will));
        client.send(b"\x00\x00");
        client.closed();
        assert_eq!(watcher.message().text(), "breach");
        let mut former = case.open();
        let will = Will::new(&case.topic("will"), "taken over");
        former.login(&case.connect("twin").will(will));
        let mut latter = case.client("twin");
        former.closed();
        assert_eq!(watcher.message().text(), "taken over");
        latter.quiet();
        watcher.quiet();
    }
}

/// [MQTT-3.1.2-8] An empty will is a message as well.
#[test]
fn a_will_may_be_empty() {
    let case = Case::new(tests::raw::V311);
    let mut watcher = watcher(&case);
    let mut client = case.open();
    client.login(
        &case
            .connect("empty")
            .will(Will::new(&case.topic("will"), "")),
    );
    client.drop_line();
    assert!(watcher.message().payload.is_empty());
}
