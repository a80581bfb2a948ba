//! Topic names and filters (§4.7).

use crate::VERSIONS;
use tests::raw::{Case, Message, V311};

/// [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-3.8.3-2] [MQTT-3.3.2-3]
#[test]
fn wildcards_match_as_the_standard_says() {
    let topics = [
        "s/t", "s/t/p", "s/t/p/r", "s", "s/", "/s", "s//p", "S/T", "s/tt",
    ];
    let table: [(&str, &[&str]); 9] = [
        ("s/t/#", &["s/t", "s/t/p", "s/t/p/r"]),
        (
            "s/#",
            &["s/t", "s/t/p", "s/t/p/r", "s", "s/", "s//p", "s/tt"],
        ),
        ("s/+", &["s/t", "s/", "s/tt"]),
        ("s/+/p", &["s/t/p", "s//p"]),
        ("+/+", &["s/t", "s/", "/s", "S/T", "s/tt"]),
        ("/+", &["/s"]),
        ("+", &["s"]),
        ("s/t", &["s/t"]),
        ("+/t/#", &["s/t", "s/t/p", "s/t/p/r"]),
    ];
    for version in VERSIONS {
        let case = Case::new(version);
        let mut sender = case.client("sender");
        let mut client = case.client("client");
        for (filter, matching) in table {
            let filter = case.topic(filter);
            client.subscribe(&[(&filter, 0)]);
            for topic in topics {
                sender.publish(&Message::new(&case.topic(topic), topic));
            }
            let got = client.ping();
            let got: Vec<_> = got
                .iter()
                .map(|packet| match packet {
                    tests::raw::Packet::Publish(message) => message.text(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(got, matching, "{filter}");
            client.unsubscribe(&[&filter]);
        }
    }
}

/// [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
#[test]
fn a_filter_that_is_none_ends_the_connection() {
    for version in VERSIONS {
        let case = Case::new(version);
        for filter in [
            "a/b#", "a/#/c", "#a", "##", "a+", "+a", "a/b+/c", "a/++", "", "a\0b",
        ] {
            let mut client = case.client("bad");
            let mut body = vec![0, 1, 0, u8::try_from(filter.len()).unwrap()];
            body.extend(filter.as_bytes());
            body.push(0);
            client.send_packet(0x82, &body);
            client.closed();
        }
    }
}

/// [MQTT-4.7.2-1]
#[test]
fn filters_that_begin_with_a_wildcard_do_not_match_dollar_topics() {
    for version in VERSIONS {
        let case = Case::new(version);
        let name = case.id("dollar");
        let topic = format!("$TEST/{name}");
        let mut client = case.client("client");
        client.subscribe(&[(&format!("+/{name}"), 0)]);
        let mut all = case.client("all");
        all.subscribe(&[("#", 0)]);
        let mut named = case.client("named");
        named.subscribe(&[("$TEST/#", 0)]);
        let mut sender = case.client("sender");
        sender.publish(&Message::new(&topic, "x").qos(1));
        assert_eq!(named.message().topic, topic);
        client.quiet();
        assert!(
            all.ping().iter().all(
                |packet| !matches!(packet, tests::raw::Packet::Publish(m) if m.topic == topic)
            )
        );
    }
}

/// [MQTT-4.7.3-4] [MQTT-1.5.3-3] [MQTT-4.7.3-1]
#[test]
fn topics_are_compared_byte_for_byte() {
    let case = Case::new(V311);
    let mut sender = case.client("sender");
    // Space, case, composed and decomposed, a mark of byte order, the empty level, one of each
    // length of UTF-8.
    let topics = [
        "a b",
        "A B",
        "\u{e9}",
        "e\u{301}",
        "\u{feff}a",
        "a",
        "/",
        "//",
        "\u{7fff}",
        "\u{1f600}",
    ];
    for topic in topics {
        let mut client = case.client("client");
        client.subscribe(&[(&case.topic(topic), 1)]);
        for other in topics {
            sender.publish(&Message::new(&case.topic(other), other).qos(1));
        }
        let message = client.message();
        assert_eq!(
            (message.text(), &message.topic),
            (topic, &case.topic(topic))
        );
        client.quiet();
    }
}

/// [MQTT-4.7.3-3] A topic may have all the bytes that its length can say.
#[test]
fn a_topic_may_be_as_long_as_the_standard_allows_and_as_its_levels_are_few() {
    let case = Case::new(V311);
    let topic = case.topic(&"x".repeat(65_000));
    let mut client = case.client("client");
    assert_eq!(client.subscribe(&[(&topic, 1)]), [1]);
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "long").qos(1));
    assert_eq!(client.message().topic, topic);
}
