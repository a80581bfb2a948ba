//! Shared subscriptions (§4.8.2).

use crate::{case, lasting};
use tests::raw::{Case, Message, Packet, Raw, kind};

fn share(case: &Case, group: &str, name: &str) -> String {
    format!("$share/{group}/{}", case.topic(name))
}

/// All messages that wait for a client, each acknowledged.
fn drain(client: &mut Raw) -> Vec<String> {
    let mut got = Vec::new();
    loop {
        let waiting = client.ping();
        if waiting.is_empty() {
            return got;
        }
        for packet in waiting {
            let Packet::Publish(message) = packet else {
                panic!("{packet:?}")
            };
            client.complete(&message);
            got.push(message.text().to_owned());
        }
    }
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-3] Each message goes to one of each group, and to all the others.
#[test]
fn a_message_goes_to_one_member_of_each_group() {
    let case = case();
    let mut sender = case.client("sender");
    let join = |name: &str, filter: &str, qos| {
        let mut client = case.client(name);
        assert_eq!(client.subscribe(&[(filter, qos)]), [qos]);
        client
    };
    let mut red: Vec<_> = (0..3)
        .map(|n| join(&format!("red{n}"), &share(&case, "red", "+"), 1))
        .collect();
    let mut blue: Vec<_> = (0..2)
        .map(|n| join(&format!("blue{n}"), &share(&case, "blue", "t"), 0))
        .collect();
    let mut own = join("own", &case.topic("t"), 2);
    for n in 0..30 {
        sender.publish(&Message::new(&case.topic("t"), n.to_string()).qos(2));
    }
    let all: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(drain(&mut own), all);
    for group in [&mut red, &mut blue] {
        let mut got = Vec::new();
        for client in group {
            let part = drain(client);
            assert!(!part.is_empty(), "one member got nothing");
            got.extend(part);
        }
        got.sort_by_key(|n| n.parse::<u32>().expect("a number"));
        assert_eq!(got, all);
    }
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn a_filter_that_shares_nothing_is_refused() {
    let case = case();
    for filter in [
        "$share//a",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share/g+/a",
        "$share/#/a",
        "$share/+/a",
    ] {
        let mut client = case.client("bad");
        let id = client.fresh();
        let mut body = id.to_be_bytes().to_vec();
        body.extend([0, 0, u8::try_from(filter.len()).unwrap()]);
        body.extend(filter.as_bytes());
        body.push(1);
        client.send_packet(0x82, &body);
        match client.packet() {
            Some(Packet::SubAck { codes, .. }) => assert_eq!(codes, [0x8f], "{filter}"),
            Some(Packet::Disconnect { code, .. }) => {
                assert!([0x81, 0x82, 0x8f].contains(&code), "{filter}: {code:#x}");
            }
            other => panic!("{filter}: {other:?}"),
        }
    }
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_cannot_be_asked_of_a_shared_subscription() {
    let case = case();
    let mut client = case.client("bad");
    let filter = share(&case, "g", "t");
    let mut body = vec![0, 1, 0, 0, u8::try_from(filter.len()).unwrap()];
    body.extend(filter.as_bytes());
    body.push(0x05);
    client.send_packet(0x82, &body);
    client.thrown_out(0x82);
}

/// [MQTT-3.3.1-9] [MQTT-4.8.2-3] Retained messages are not for groups (§4.8.2).
#[test]
fn a_shared_subscription_brings_no_retained_messages() {
    let case = case();
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&topic, "kept").qos(1).retain());
    let mut client = case.client("client");
    assert_eq!(client.subscribe(&[(&share(&case, "g", "t"), 1)]), [1]);
    client.quiet();
    // The sender may be a member like others.
    client.publish(&Message::new(&topic, "live").qos(1));
    assert_eq!(client.message().text(), "live");
}

/// [MQTT-4.8.2-4] [MQTT-4.8.2-5] A delivery at QoS 2 that has begun stays with its member.
#[test]
fn a_member_that_comes_back_finishes_what_it_began() {
    let case = case();
    let (mut member, _) = lasting(&case, "member");
    member.subscribe(&[(&share(&case, "g", "t"), 2)]);
    let mut sender = case.client("sender");
    sender.publish(&Message::new(&case.topic("t"), "x").qos(2));
    let message = member.take();
    let number = message.id.unwrap();
    member.acknowledge(kind::PUBREC, number);
    member.acknowledged(kind::PUBREL, number);
    let mut other = case.client("other");
    other.subscribe(&[(&share(&case, "g", "t"), 2)]);
    member.drop_line();
    let (mut member, _) = lasting(&case, "member");
    member.acknowledged(kind::PUBREL, number);
    member.acknowledge(kind::PUBCOMP, number);
    member.quiet();
    other.quiet();
    // And one whose session ends takes what it began with it.
    for n in 0..12 {
        sender.publish(&Message::new(&case.topic("t"), n.to_string()).qos(2));
    }
    let begun = member.ping().len();
    assert!(begun > 0, "the member got nothing");
    member.drop_line();
    let mut member = case.client("member");
    member.quiet();
    assert_eq!(drain(&mut other).len(), 12 - begun);
}

/// [MQTT-4.8.2-6] A member that refuses a message refuses it for the group.
#[test]
fn a_message_that_a_member_refused_goes_to_no_other() {
    let case = case();
    let mut members: Vec<_> = (0..2)
        .map(|n| {
            let mut member = case.client(&n.to_string());
            member.subscribe(&[(&share(&case, "g", "t"), 2)]);
            member
        })
        .collect();
    let mut sender = case.client("sender");
    for (qos, answer) in [(1, 0x40), (2, 0x50)] {
        for _ in 0..4 {
            sender.publish(&Message::new(&case.topic("t"), "x").qos(qos));
        }
        let mut got = 0;
        for member in &mut members {
            for packet in member.ping() {
                let Packet::Publish(message) = packet else {
                    panic!("{packet:?}")
                };
                let number = message.id.unwrap().to_be_bytes();
                member.send_packet(answer, &[number[0], number[1], 0x97]);
                got += 1;
            }
        }
        assert_eq!(got, 4);
        for member in &mut members {
            member.quiet();
        }
    }
}

/// [MQTT-4.5.0-1] [MQTT-4.8.2-3] Members that are there come before those that are away.
#[test]
fn a_group_goes_on_without_a_member_that_left() {
    let case = case();
    let mut stays = case.client("stays");
    let mut leaves = case.client("leaves");
    for member in [&mut stays, &mut leaves] {
        member.subscribe(&[(&share(&case, "g", "t"), 1)]);
    }
    leaves.leave();
    let mut sender = case.client("sender");
    for n in 0..6 {
        sender.publish(&Message::new(&case.topic("t"), n.to_string()).qos(1));
    }
    assert_eq!(drain(&mut stays).len(), 6);
}

/// [MQTT-3.10.4-1] [MQTT-3.8.4-3] A share and the filter alone are two subscriptions.
#[test]
fn a_share_is_left_by_its_own_name() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    client.subscribe(&[(&topic, 1), (&share(&case, "g", "t"), 1)]);
    assert_eq!(client.unsubscribe(&[&share(&case, "h", "t")]), [0x11]);
    assert_eq!(client.unsubscribe(&[&share(&case, "g", "t")]), [0]);
    case.client("sender")
        .publish(&Message::new(&topic, "x").qos(1));
    assert_eq!(client.message().text(), "x");
    client.quiet();
}
