//! Wills (§3.1.2.5 to §3.1.2.7, §3.1.3.2).

use crate::{case, lasting};
use std::time::{Duration, Instant};
use tests::raw::{Case, Message, Props, Raw, Will, id};

fn watcher(case: &Case) -> Raw {
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&case.topic("#"), 2)]);
    watcher
}

fn delay(seconds: u32) -> Props {
    Props::new().number(id::WILL_DELAY, seconds)
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-12] [MQTT-3.1.2-14] [MQTT-3.1.2-10]
#[test]
fn a_will_is_published_at_its_level_when_the_line_breaks() {
    let case = case();
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
    watcher.quiet();
    let mut late = case.client("late");
    late.subscribe(&[(&case.topic("will"), 2)]);
    late.quiet();
}

/// [MQTT-3.1.2-15]
#[test]
fn a_retained_will_is_there_for_those_who_come_later() {
    let case = case();
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

/// [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT-3.1.2-8]
#[test]
fn a_normal_disconnect_makes_the_will_void_and_another_does_not() {
    let case = case();
    let mut watcher = watcher(&case);
    for (reason, published) in [(0, false), (4, true), (0x80, true), (0x99, true)] {
        let mut client = case.open();
        let will = Will::new(&case.topic("will"), format!("{reason}"));
        client.login(&case.connect("polite").will(will));
        client.leave_with(reason, &Props::new());
        if published {
            assert_eq!(watcher.message().text(), format!("{reason}"));
        }
        let mut client = case.client("polite");
        client.publish(&Message::new(&case.topic("end"), "end").qos(1));
        assert_eq!(watcher.message().text(), "end");
        client.leave();
    }
    watcher.quiet();
}

/// [MQTT-3.1.2-8] [MQTT-4.13.1-1]
#[test]
fn a_will_is_published_after_a_breach_of_the_protocol() {
    let case = case();
    let mut watcher = watcher(&case);
    let mut client = case.open();
    let will = Will::new(&case.topic("will"), "breach");
    client.login(&case.connect("bad").will(will));
    client.send(b"\x00\x00");
    client.thrown_out(0x81);
    assert_eq!(watcher.message().text(), "breach");
}

/// [MQTT-3.1.4-3] [MQTT-3.1.2-8] A takeover that ends the session publishes the will at once.
#[test]
fn a_will_without_delay_is_published_at_a_takeover() {
    let case = case();
    let mut watcher = watcher(&case);
    let mut former = case.open();
    let will = Will::new(&case.topic("will"), "taken over");
    former.login(&case.connect("twin").will(will));
    let mut latter = case.client("twin");
    former.thrown_out(0x8e);
    assert_eq!(watcher.message().text(), "taken over");
    latter.quiet();
    // With a delay as well, when the new connection starts a new session.
    let mut former = case.open();
    let will = Will::new(&case.topic("will"), "clean start").with(delay(1_000));
    former.login(&case.lasting("other").will(will));
    let mut latter = case.client("other");
    former.thrown_out(0x8e);
    assert_eq!(watcher.message().text(), "clean start");
    latter.quiet();
}

/// [MQTT-3.1.3-9] A client that comes back in time was never gone.
#[test]
fn a_will_is_not_published_when_the_client_is_back_before_its_delay() {
    let case = case();
    let mut watcher = watcher(&case);
    let mut client = case.open();
    let will = Will::new(&case.topic("will"), "too late").with(delay(1));
    client.login(&case.lasting("back").will(will));
    client.drop_line();
    let (mut client, present) = lasting(&case, "back");
    assert!(present);
    // Another will with the same delay is the clock of this test.
    let mut clock = case.open();
    let will = Will::new(&case.topic("will"), "clock").with(delay(1));
    clock.login(&case.lasting("clock").will(will));
    clock.drop_line();
    assert_eq!(watcher.message().text(), "clock");
    client.quiet();
    watcher.quiet();
}

/// [MQTT-3.1.2-8] Neither before its delay nor long after.
#[test]
fn a_will_waits_for_its_delay() {
    let case = case();
    let mut watcher = watcher(&case);
    let mut client = case.open();
    let will = Will::new(&case.topic("will"), "late")
        .qos(1)
        .with(delay(2).number(id::MESSAGE_EXPIRY, 600));
    client.login(&case.lasting("dying").will(will));
    client.drop_line();
    let since = Instant::now();
    let message = watcher.message();
    let after = since.elapsed();
    assert_eq!(message.text(), "late");
    assert!(after > Duration::from_millis(1_900), "{after:?}");
    assert!(after < Duration::from_secs(20), "{after:?}");
    // The delay is the server's business; the message's lifetime begins when it is published.
    let left = message.props.get(id::MESSAGE_EXPIRY).expect("a lifetime");
    assert!((599..=600).contains(&left), "{left}");
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9] The session's end comes before the delay's.
#[test]
fn a_will_does_not_wait_longer_than_its_session() {
    let case = case();
    let mut watcher = watcher(&case);
    for connect in [
        // It ends with the connection, in the first case.
        case.connect("brief"),
        case.connect("short").expiry(1),
    ] {
        let mut client = case.open();
        let will = Will::new(&case.topic("will"), "end").with(delay(1_000));
        client.login(&connect.will(will));
        client.drop_line();
        assert_eq!(watcher.message().text(), "end");
    }
}

/// [MQTT-3.1.2-8] [MQTT-3.14.4-3] A DISCONNECT that ends the session ends the delay.
#[test]
fn a_disconnect_with_will_may_end_the_session_and_with_it_the_delay() {
    let case = case();
    let mut watcher = watcher(&case);
    let mut client = case.open();
    let will = Will::new(&case.topic("will"), "now").with(delay(1_000));
    client.login(&case.lasting("leaver").will(will));
    client.leave_with(4, &Props::new().number(id::SESSION_EXPIRY, 0));
    assert_eq!(watcher.message().text(), "now");
}

/// [MQTT-3.1.3-10] [MQTT-3.3.2-4] What the will says of itself is passed on, but not its delay.
#[test]
fn properties_of_a_will_are_those_of_its_message() {
    let case = case();
    let mut watcher = watcher(&case);
    let mut client = case.open();
    let props = delay(0)
        .user("b", "1")
        .user("a", "1")
        .user("b", "2")
        .number(id::PAYLOAD_FORMAT, 1)
        .number(id::MESSAGE_EXPIRY, 100)
        .text(id::CONTENT_TYPE, "t")
        .text(id::RESPONSE_TOPIC, "r")
        .data(id::CORRELATION, b"c");
    client.login(
        &case
            .connect("dying")
            .will(Will::new(&case.topic("will"), "x").with(props)),
    );
    client.drop_line();
    let props = watcher.message().props;
    assert_eq!(props.users(), [("b", "1"), ("a", "1"), ("b", "2")]);
    assert_eq!(props.get(id::PAYLOAD_FORMAT), Some(1));
    assert_eq!(props.get_text(id::CONTENT_TYPE), Some("t"));
    assert_eq!(props.get_text(id::RESPONSE_TOPIC), Some("r"));
    assert_eq!(props.get_data(id::CORRELATION), Some(&b"c"[..]));
    assert!((99..=100).contains(&props.get(id::MESSAGE_EXPIRY).expect("a lifetime")));
}
