//! Message expiry (§3.3.2.3.3).

use crate::{case, lasting};
use tests::raw::{Case, Message, Props, Raw, Will, id, kind};

fn expiry(seconds: u32) -> Props {
    Props::new().number(id::MESSAGE_EXPIRY, seconds)
}

/// Waits until so many seconds are over, by the server's own clock: a will with that delay.
fn pass(case: &Case, seconds: u32) {
    let topic = case.topic("clock");
    let mut watcher = case.client("clock-watcher");
    watcher.subscribe(&[(&topic, 0)]);
    let will = Will::new(&topic, "tick").with(Props::new().number(id::WILL_DELAY, seconds));
    let mut clock = case.open();
    clock.login(&case.lasting("clock").will(will));
    clock.drop_line();
    watcher.message();
}

fn left(client: &mut Raw) -> Option<u32> {
    client.message().props.get(id::MESSAGE_EXPIRY)
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
#[test]
fn a_message_that_waited_has_less_time_left_or_is_gone() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "sleeper");
    client.subscribe(&[(&topic, 2)]);
    client.leave();
    let mut sender = case.client("sender");
    for (text, props) in [
        ("gone", expiry(1)),
        ("shorter", expiry(100)),
        ("for ever", Props::new()),
        ("gone as well", expiry(1)),
    ] {
        sender.publish(&Message::new(&topic, text).qos(1).with(props));
    }
    sender.publish(&Message::new(&topic, "gone too").qos(2).with(expiry(1)));
    pass(&case, 2);
    let (mut client, _) = lasting(&case, "sleeper");
    let message = client.message();
    assert_eq!(message.text(), "shorter");
    let left = message.props.get(id::MESSAGE_EXPIRY).expect("a lifetime");
    assert!((50..=98).contains(&left), "{left}");
    let message = client.message();
    assert_eq!(message.text(), "for ever");
    assert_eq!(message.props.get(id::MESSAGE_EXPIRY), None);
    client.quiet();
}

/// [MQTT-3.3.2-6] A message that did not wait has the time that it came with.
#[test]
fn a_message_that_goes_on_at_once_keeps_its_lifetime() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    for qos in 0..3 {
        sender.publish(&Message::new(&topic, "x").qos(qos).with(expiry(1_000)));
        let left = left(&mut client).expect("a lifetime");
        assert!((990..=1_000).contains(&left), "{left}");
    }
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] [MQTT-3.3.1-9] Retained messages grow old as well.
#[test]
fn a_retained_message_expires() {
    let case = case();
    let mut sender = case.client("sender");
    for (topic, seconds) in [("short", 1), ("long", 100)] {
        sender.publish(
            &Message::new(&case.topic(topic), topic)
                .qos(1)
                .retain()
                .with(expiry(seconds)),
        );
    }
    pass(&case, 2);
    let mut client = case.client("client");
    client.subscribe(&[(&case.topic("+"), 1)]);
    let message = client.message();
    assert_eq!(message.text(), "long");
    let left = message.props.get(id::MESSAGE_EXPIRY).expect("a lifetime");
    assert!((50..=98).contains(&left), "{left}");
    client.quiet();
}

/// [MQTT-4.3.3-7] [MQTT-4.3.3-13] [MQTT-4.3.3-6] What has begun is brought to its end.
#[test]
fn a_delivery_that_began_is_completed_though_its_message_expired() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "client");
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    // The sender's side: the release comes after the message's time.
    let message = Message::new(&topic, "x").qos(2).id(3).with(expiry(1));
    sender.send_publish(&message);
    assert_eq!(sender.acknowledged(kind::PUBREC, 3), 0);
    let got = client.take();
    pass(&case, 2);
    sender.acknowledge(kind::PUBREL, 3);
    assert_eq!(sender.acknowledged(kind::PUBCOMP, 3), 0);
    // The receiver's side, over a broken line.
    client.drop_line();
    let (mut client, _) = lasting(&case, "client");
    let again = client.take();
    assert_eq!((again.id, again.dup), (got.id, true));
    client.complete(&again);
    client.quiet();
}
