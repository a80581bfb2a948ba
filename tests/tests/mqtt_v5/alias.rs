//! Topic aliases, both ways (§3.3.2.3.4).

use crate::{case, lasting};
use tests::raw::{Case, Message, Props, V5, id};

fn alias(n: u32) -> Props {
    Props::new().number(id::TOPIC_ALIAS, n)
}

fn maximum(case: &Case) -> u32 {
    let verdict = case.open().hello(&case.connect("asks"));
    verdict.props.get(id::TOPIC_ALIAS_MAXIMUM).unwrap_or(0)
}

/// [MQTT-3.3.2-12] [MQTT-3.2.2-17] Every alias up to the server's maximum, for any topic, again.
#[test]
fn the_server_takes_every_alias_up_to_its_maximum() {
    let case = case();
    let most = maximum(&case);
    assert!(most > 0, "no aliases at all");
    let mut watcher = case.client("watcher");
    watcher.subscribe(&[(&case.topic("#"), 1)]);
    let mut sender = case.client("sender");
    for n in [1, most] {
        for topic in ["a", "b"] {
            let topic = case.topic(topic);
            sender.publish(&Message::new(&topic, "set").qos(1).with(alias(n)));
            let message = watcher.message();
            assert_eq!(message.topic, topic);
            assert_eq!(message.props.get(id::TOPIC_ALIAS), None);
            for qos in 0..3 {
                sender.publish(&Message::new("", "used").qos(qos).with(alias(n)));
                assert_eq!(watcher.message().topic, topic);
            }
        }
    }
}

/// [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.2.2-18] [MQTT-4.13.1-1]
#[test]
fn an_alias_that_cannot_be_ends_the_connection() {
    let case = case();
    let most = maximum(&case);
    let topic = case.topic("t");
    for props in [alias(0), alias(most + 1)] {
        let mut client = case.client("bad");
        client.send_publish(&Message::new(&topic, "x").qos(1).with(props));
        client.thrown_out(0x94);
    }
    // One that was never set; and no topic at all.
    for (props, reason) in [(alias(1), 0x82), (Props::new(), 0x82)] {
        let mut client = case.client("bad");
        client.send_publish(&Message::new("", "x").qos(1).with(props));
        client.thrown_out(reason);
    }
    let case = Case::with(V5, &["listen.plain.topic_alias_maximum=0"]);
    let mut client = case.open();
    let verdict = client.hello(&case.connect("none"));
    assert_eq!(verdict.props.get(id::TOPIC_ALIAS_MAXIMUM).unwrap_or(0), 0);
    client.send_publish(&Message::new(&topic, "x").with(alias(1)));
    client.thrown_out(0x94);
}

/// [MQTT-3.3.2-7]
#[test]
fn aliases_end_with_their_connection() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "client");
    client.publish(&Message::new(&topic, "x").qos(1).with(alias(1)));
    client.drop_line();
    let (mut client, present) = lasting(&case, "client");
    assert!(present);
    client.send_publish(&Message::new("", "x").qos(1).with(alias(1)));
    client.thrown_out(0x82);
}

/// [MQTT-3.1.2-27] [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8]
#[test]
fn the_server_uses_no_more_aliases_than_the_client_allows() {
    let case = case();
    let mut sender = case.client("sender");
    for most in [None, Some(0), Some(2)] {
        let mut client = case.open();
        let props = most.map_or(Props::new(), |most| {
            Props::new().number(id::TOPIC_ALIAS_MAXIMUM, most)
        });
        client.login(&case.connect("client").with(props));
        client.subscribe(&[(&case.topic("#"), 0)]);
        let mut known = std::collections::BTreeMap::new();
        for round in 0..3 {
            for topic in ["a", "b", "c", "d"] {
                let topic = case.topic(topic);
                sender.publish(&Message::new(&topic, round.to_string()));
                let message = client.message();
                match message.props.get(id::TOPIC_ALIAS) {
                    None => assert_eq!(message.topic, topic),
                    Some(n) => {
                        assert!(
                            (1..=most.unwrap_or(0)).contains(&n),
                            "alias {n} of {most:?}"
                        );
                        if !message.topic.is_empty() {
                            known.insert(n, message.topic);
                        }
                        assert_eq!(known.get(&n), Some(&topic));
                    }
                }
            }
        }
        assert_eq!(known.is_empty(), most.unwrap_or(0) == 0, "{most:?}");
    }
}

/// [MQTT-3.3.2-7] [MQTT-3.3.2-11] A message that is sent again has its topic.
#[test]
fn what_is_sent_again_relies_on_no_alias_of_the_former_connection() {
    let case = case();
    let topic = case.topic("t");
    let connect = case.lasting("client").with(
        Props::new()
            .number(id::TOPIC_ALIAS_MAXIMUM, 5)
            .number(id::SESSION_EXPIRY, 600),
    );
    let mut client = case.open();
    client.login(&connect);
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    for _ in 0..3 {
        sender.publish(&Message::new(&topic, "x").qos(1));
        client.take();
    }
    client.drop_line();
    let mut client = case.open();
    client.login(&connect);
    let first = client.take();
    assert_eq!((&first.topic, first.dup), (&topic, true));
}
