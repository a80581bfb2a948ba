//! Flow control (§4.9) and the order of messages (§4.6).

use crate::{case, lasting};
use std::collections::BTreeSet;
use tests::raw::{Case, Message, Packet, Props, V5, id, kind};

/// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3] [MQTT-3.3.4-10]
#[test]
fn no_more_messages_are_in_flight_than_the_client_takes() {
    let case = case();
    let topic = case.topic("t");
    let mut sender = case.client("sender");
    for most in [1, 2, 5] {
        for qos in [1, 2] {
            let mut client = case.open();
            let props = Props::new().number(id::RECEIVE_MAXIMUM, most);
            client.login(&case.connect("client").with(props));
            client.subscribe(&[(&topic, qos)]);
            for n in 0..12 {
                sender.publish(&Message::new(&topic, n.to_string()).qos(qos));
            }
            let most = usize::try_from(most).unwrap();
            let mut open: Vec<_> = (0..most).map(|_| client.take()).collect();
            // The quota is used up; all else goes on, messages of QoS 0 among it.
            client.quiet();
            sender.publish(&Message::new(&topic, "passes"));
            assert_eq!(client.take().text(), "passes");
            assert_eq!(client.unsubscribe(&["nothing"]), [0x11]);
            for n in 0..12 {
                let message = open.remove(0);
                assert_eq!(message.text(), n.to_string());
                client.complete(&message);
                if n + most < 12 {
                    open.push(client.take());
                }
                client.quiet();
            }
        }
    }
}

/// [MQTT-4.9.0-2] [MQTT-4.4.0-2] A PUBREC that refuses gives the place back; one that takes does not.
#[test]
fn a_place_in_flight_is_free_at_the_end_of_the_exchange() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.open();
    let props = Props::new().number(id::RECEIVE_MAXIMUM, 1);
    client.login(&case.connect("client").with(props));
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    for n in 0..3 {
        sender.publish(&Message::new(&topic, n.to_string()).qos(2));
    }
    let first = client.take().id.unwrap();
    client.acknowledge(kind::PUBREC, first);
    client.acknowledged(kind::PUBREL, first);
    client.quiet();
    client.acknowledge(kind::PUBCOMP, first);
    let second = client.take();
    assert_eq!(second.text(), "1");
    let number = second.id.unwrap().to_be_bytes();
    client.send_packet(0x50, &[number[0], number[1], 0x83]);
    assert_eq!(client.take().text(), "2");
}

/// [MQTT-3.3.4-9] The window of a session that comes back is that of the new connection.
#[test]
fn the_window_is_the_one_of_the_connection() {
    let case = case();
    let topic = case.topic("t");
    let (mut client, _) = lasting(&case, "client");
    client.subscribe(&[(&topic, 1)]);
    let mut sender = case.client("sender");
    for n in 0..4 {
        sender.publish(&Message::new(&topic, n.to_string()).qos(1));
        client.take();
    }
    client.drop_line();
    let mut client = case.open();
    let props = Props::new().number(id::RECEIVE_MAXIMUM, 2);
    client.login(
        &case
            .connect("client")
            .resume()
            .with(props.number(id::SESSION_EXPIRY, 600)),
    );
    let (one, two) = (client.take(), client.take());
    assert_eq!((one.text(), two.text()), ("0", "1"));
    client.quiet();
    client.complete(&one);
    assert_eq!(client.take().text(), "2");
    client.quiet();
}

/// [MQTT-3.3.4-7] [MQTT-4.13.1-1] A client that sends more than it may is told so.
#[test]
fn more_messages_than_the_server_takes_end_the_connection() {
    let case = Case::with(V5, &["listen.plain.receive_maximum=3"]);
    let topic = case.topic("t");
    let mut client = case.open();
    let verdict = client.hello(&case.connect("client"));
    assert_eq!(verdict.props.get(id::RECEIVE_MAXIMUM), Some(3));
    // QoS 2 stays open until the release, so that three fill the window for certain.
    for n in 1..=3 {
        client.send_publish(&Message::new(&topic, "x").qos(2).id(n));
        assert_eq!(client.acknowledged(kind::PUBREC, n) & 0x80, 0);
    }
    client.send_publish(&Message::new(&topic, "x").qos(2).id(4));
    client.thrown_out(0x93);
}

/// [MQTT-3.3.4-8] [MQTT-3.3.4-7] All that is no QoS 1 or 2 goes on with a full window.
#[test]
fn a_full_window_stops_nothing_else() {
    let case = Case::with(V5, &["listen.plain.receive_maximum=3"]);
    let topic = case.topic("t");
    let mut client = case.client("client");
    for round in 0..3 {
        for n in 1..=3 {
            client.send_publish(&Message::new(&topic, "x").qos(2).id(n));
            assert_eq!(client.acknowledged(kind::PUBREC, n) & 0x80, 0);
        }
        client.publish(&Message::new(&topic, "x"));
        assert_eq!(client.subscribe(&[(&format!("other/{round}"), 0)]), [0]);
        for n in 1..=3 {
            client.acknowledge(kind::PUBREL, n);
            assert_eq!(client.acknowledged(kind::PUBCOMP, n), 0);
        }
    }
    client.quiet();
}

/// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
#[test]
fn messages_of_one_publisher_arrive_in_their_order() {
    let case = case();
    let topic = case.topic("t");
    for qos in 0..3 {
        let mut client = case.client("client");
        client.subscribe(&[(&topic, qos)]);
        let mut sender = case.client("sender");
        let window = 10;
        for n in 0..200_u32 {
            sender.publish(&Message::new(&topic, n.to_string()).qos(qos));
            if n % window == window - 1 {
                let mut used = BTreeSet::new();
                let from = n + 1 - window;
                let got: Vec<_> = (0..window).map(|_| client.publication()).collect();
                for (n, message) in (from..).zip(&got) {
                    assert_eq!(message.text(), n.to_string());
                    assert!(message.id.is_none_or(|id| used.insert(id)), "in use");
                }
                for message in &got {
                    client.complete(message);
                }
            }
        }
    }
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] The server keeps to the order that it asks of clients.
#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    let case = case();
    let topic = case.topic("t");
    let mut client = case.client("client");
    for n in 1..=20 {
        let qos = if n % 3 == 0 { 2 } else { 1 };
        client.send_publish(&Message::new(&topic, "x").qos(qos).id(n));
    }
    let mut last = [0; 2];
    for _ in 1..=20 {
        let Some(Packet::Ack { kind, id, .. }) = client.packet() else {
            panic!("no acknowledgement")
        };
        let last = &mut last[usize::from(kind == kind::PUBREC)];
        assert!(id > *last, "{id} after {last}");
        *last = id;
    }
    assert_eq!(last, [20, 18]);
    // Releases follow in the order in which the client received.
    client.subscribe(&[(&topic, 2)]);
    let mut sender = case.client("sender");
    let mut ids = Vec::new();
    for _ in 0..5 {
        sender.publish(&Message::new(&topic, "x").qos(2));
        ids.push(client.take().id.unwrap());
    }
    for id in &ids {
        client.acknowledge(kind::PUBREC, *id);
    }
    for id in ids {
        let next = client.packet();
        assert!(
            matches!(next, Some(Packet::Ack { kind: kind::PUBREL, id: of, .. }) if of == id),
            "{next:?}"
        );
    }
}
