//! Conversations with a client, packet by packet.

mod broken_line;
mod durable;

use std::sync::Arc;

use bytes::BytesMut;

use super::*;
use crate::mqtt::{
    Ack, Decoder, PacketId, Property, QoS, RetainHandling, SubscribeFilter, TopicName,
};

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn limits() -> Limits {
    let few = NonZeroU16::new(2).unwrap();
    Limits {
        inflight: few,
        receive_maximum: few,
        queued: 3,
        ..Limits::default()
    }
}

fn link(version: Version) -> Link {
    Link {
        version,
        receive_maximum: NonZeroU16::MAX,
        maximum_packet_size: None,
        expiry: Expiry::Never,
    }
}

fn message(payload: &str, qos: QoS) -> Arc<Message> {
    let mut publish = Publish::new(TopicName::try_from("a/b").unwrap(), payload.to_owned());
    publish.qos = qos;
    Arc::new(Message::new(publish, 0))
}

fn delivery(payload: &str, qos: QoS) -> Delivery {
    let message = message(payload, qos);
    Delivery {
        message,
        qos,
        retain: false,
        subscription_ids: Vec::new(),
        mark: 0,
    }
}

fn publish(number: u16, qos: QoS, dup: bool) -> Packet {
    let mut publish = Publish::new(TopicName::try_from("a/b").unwrap(), "up");
    (publish.qos, publish.packet_id, publish.dup) = (qos, PacketId::new(number), dup);
    Packet::Publish(publish)
}

/// A session with a version attached at once.
struct Line {
    session: Session,
    now: Millis,
}

impl Line {
    fn new(version: Version, limits: Limits) -> Self {
        let mut line = Self {
            session: Session::new(limits),
            now: 0,
        };
        assert_eq!(line.attach(link(version)), [""; 0]);
        line
    }

    /// Effects as words.
    fn say(effects: &[Effect]) -> Vec<String> {
        let packet = |packet: &Packet| match packet {
            Packet::PubAck(ack) => format!("puback {} {:?}", ack.packet_id, ack.reason),
            Packet::PubRec(ack) => format!("pubrec {} {:?}", ack.packet_id, ack.reason),
            Packet::PubRel(ack) => format!("pubrel {} {:?}", ack.packet_id, ack.reason),
            Packet::PubComp(ack) => format!("pubcomp {} {:?}", ack.packet_id, ack.reason),
            Packet::SubAck(ack) => format!("suback {} {:?}", ack.packet_id, ack.reasons),
            Packet::UnsubAck(ack) => format!("unsuback {} {:?}", ack.packet_id, ack.reasons),
            other => format!("{:?}", other.kind()),
        };
        let word = |effect: &Effect| match effect {
            Effect::Send(it) => packet(it),
            Effect::Publish(it) => format!(
                "{}publish {} {}",
                if it.dup { "again " } else { "" },
                it.packet_id.map_or(0, PacketId::get),
                it.delivery.message.payload.escape_ascii()
            ),
            Effect::Deliver(publish, _) => {
                format!("deliver {}", publish.packet_id.map_or(0, PacketId::get))
            }
            Effect::Close(reason) => format!("close {reason:?}"),
            other => format!("{other:?}"),
        };
        effects.iter().map(word).collect()
    }

    fn attach(&mut self, link: Link) -> Vec<String> {
        let mut out = Vec::new();
        self.session.attach(link, self.now, &mut out);
        Self::say(&out)
    }

    fn offer(&mut self, delivery: Delivery) -> (Offer, Vec<String>) {
        let mut out = Vec::new();
        let offer = self.session.publish(delivery, self.now, &mut out);
        (offer, Self::say(&out))
    }

    fn receive(&mut self, packet: Packet) -> Vec<String> {
        let mut out = Vec::new();
        self.session.receive(packet, self.now, &mut out);
        Self::say(&out)
    }

    /// Receives a packet that is handed out with a ticket.
    fn ticket(&mut self, packet: Packet) -> Ticket {
        let mut out = Vec::new();
        self.session.receive(packet, self.now, &mut out);
        match &out[..] {
            [Effect::Deliver(_, Some(ticket))] => *ticket,
            other => panic!("{other:?}"),
        }
    }

    fn acknowledge(&mut self, ticket: Ticket, reason: ReasonCode) -> Vec<String> {
        let mut out = Vec::new();
        self.session.acknowledge(ticket, reason, &mut out);
        Self::say(&out)
    }
}

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode::Success;
use Version::{V5, V31, V311};

fn ack(number: u16) -> Ack {
    Ack::new(id(number), Success)
}

#[test]
fn qos_0_goes_at_once_or_not_at_all() {
    let mut line = Line::new(V311, limits());
    assert_eq!(
        line.offer(delivery("x", AtMostOnce)),
        (Offer::Sent, vec!["publish 0 x".into()])
    );
    line.session.detach(0);
    assert_eq!(
        line.offer(delivery("x", AtMostOnce)),
        (Offer::Dropped, vec![])
    );
    assert_eq!(line.session.counts().offline, 1);
}

#[test]
fn qos_1_keeps_to_its_window_and_order() {
    let mut line = Line::new(V311, limits());
    for (payload, offer, effects) in [
        ("1", Offer::Sent, vec!["publish 1 1".to_owned()]),
        ("2", Offer::Sent, vec!["publish 2 2".to_owned()]),
        ("3", Offer::Queued, vec![]),
        ("4", Offer::Queued, vec![]),
    ] {
        assert_eq!(line.offer(delivery(payload, AtLeastOnce)), (offer, effects));
    }
    assert_eq!(line.receive(Packet::PubAck(ack(2))), ["publish 3 3"]);
    assert_eq!(line.receive(Packet::PubAck(ack(1))), ["publish 4 4"]);
    assert_eq!(line.receive(Packet::PubAck(ack(3))), [""; 0]);
    assert_eq!((line.session.inflight(), line.session.queued()), (1, 0));
}

#[test]
fn a_puback_for_nothing_in_flight_is_ignored() {
    for version in [V31, V311, V5] {
        let mut line = Line::new(version, limits());
        assert_eq!(line.receive(Packet::PubAck(ack(9))), [""; 0]);
        assert_eq!(line.receive(Packet::PubComp(ack(9))), [""; 0]);
    }
}

#[test]
fn an_answer_of_the_wrong_kind_breaks_the_protocol() {
    for version in [V31, V311, V5] {
        for (qos, packet) in [
            (AtLeastOnce, Packet::PubRec(ack(1))),
            (AtLeastOnce, Packet::PubComp(ack(1))),
            (ExactlyOnce, Packet::PubAck(ack(1))),
            (ExactlyOnce, Packet::PubComp(ack(1))),
        ] {
            let mut line = Line::new(version, limits());
            let _ = line.offer(delivery("x", qos));
            assert_eq!(line.receive(packet), ["close ProtocolError"]);
            assert_eq!(line.session.inflight(), 1);
        }
    }
}

#[test]
fn what_was_not_acknowledged_is_sent_again_with_dup_and_in_order() {
    // [MQTT-4.4.0-1]
    let mut line = Line::new(V311, limits());
    for payload in ["1", "2", "3"] {
        let _ = line.offer(delivery(payload, AtLeastOnce));
    }
    assert_eq!(line.session.detach(0), None);
    assert_eq!(
        line.receive(Packet::PubAck(ack(1))),
        [""; 0],
        "nobody is there to say it"
    );
    assert_eq!(
        line.attach(link(V311)),
        ["again publish 1 1", "again publish 2 2"]
    );
    assert_eq!(line.receive(Packet::PubAck(ack(1))), ["publish 3 3"]);
}

#[test]
fn a_smaller_window_after_a_reconnect_is_kept_to() {
    let mut line = Line::new(V5, limits());
    for payload in ["1", "2", "3"] {
        let _ = line.offer(delivery(payload, AtLeastOnce));
    }
    let one = Link {
        receive_maximum: NonZeroU16::MIN,
        ..link(V5)
    };
    assert_eq!(line.attach(one), ["again publish 1 1"]);
    assert_eq!(line.receive(Packet::PubAck(ack(1))), ["again publish 2 2"]);
    assert_eq!(line.receive(Packet::PubAck(ack(2))), ["publish 3 3"]);
}

#[test]
fn qos_2_to_the_client() {
    let mut line = Line::new(V311, limits());
    assert_eq!(line.offer(delivery("x", ExactlyOnce)).1, ["publish 1 x"]);
    assert_eq!(line.attach(link(V311)), ["again publish 1 x"]);
    assert_eq!(line.receive(Packet::PubRec(ack(1))), ["pubrel 1 Success"]);
    assert_eq!(line.receive(Packet::PubRec(ack(1))), ["pubrel 1 Success"]);
    assert_eq!(line.attach(link(V311)), ["pubrel 1 Success"]);
    assert_eq!(line.receive(Packet::PubComp(ack(1))), [""; 0]);
    assert_eq!(line.session.inflight(), 0);
    assert_eq!(line.receive(Packet::PubRec(ack(1))), ["pubrel 1 Success"]);

    let mut line = Line::new(V5, limits());
    let _ = line.offer(delivery("x", ExactlyOnce));
    let refused = Ack::new(id(1), ReasonCode::QuotaExceeded);
    assert_eq!(line.receive(Packet::PubRec(refused)), [""; 0]);
    assert_eq!(line.session.inflight(), 0);
    assert_eq!(
        line.receive(Packet::PubRec(ack(1))),
        ["pubrel 1 PacketIdNotFound"]
    );
}

#[test]
fn packet_identifiers_in_flight_are_not_given_again() {
    // [MQTT-2.2.1-4]
    let mut line = Line::new(V311, limits());
    assert_eq!(
        line.offer(delivery("stays", AtLeastOnce)).1,
        ["publish 1 stays"]
    );
    for round in 0..3 {
        let ids = (2..=u16::MAX).chain((round == 2).then_some(2));
        for number in ids {
            let expected = vec![format!("publish {number} x")];
            assert_eq!(
                line.offer(delivery("x", AtLeastOnce)),
                (Offer::Sent, expected)
            );
            assert_eq!(line.receive(Packet::PubAck(ack(number))), [""; 0]);
        }
    }
}

#[test]
fn every_packet_identifier_can_be_in_flight() {
    let inflight = NonZeroU16::MAX;
    let mut line = Line::new(
        V311,
        Limits {
            inflight,
            ..limits()
        },
    );
    for _ in 1..=u16::MAX {
        assert_eq!(line.offer(delivery("x", AtLeastOnce)).0, Offer::Sent);
    }
    // A message has its identifier from when it is taken.
    assert_eq!(line.offer(delivery("y", AtLeastOnce)).0, Offer::Dropped);
    assert_eq!(line.receive(Packet::PubAck(ack(777))), [""; 0]);
    let sent = vec!["publish 777 y".to_owned()];
    assert_eq!(line.offer(delivery("y", AtLeastOnce)), (Offer::Sent, sent));
}

#[test]
fn among_many_messages_identifiers_are_unique_however_often_they_went_round() {
    // [MQTT-2.2.1-4]
    let mut line = Line::new(
        V311,
        Limits {
            overflow: Overflow::DropOldest,
            queued: 1_000,
            queued_bytes: usize::MAX,
            ..limits()
        },
    );
    assert_eq!(line.offer(delivery("stays", AtLeastOnce)).0, Offer::Sent);
    line.session.detach(0);
    for _ in 0..200_000 {
        let _ = line.offer(delivery("x", AtLeastOnce));
    }
    let ids: std::collections::BTreeSet<_> =
        line.session.outgoing.due().map(|due| due.id).collect();
    assert_eq!(ids.len(), 1_001);
    assert!(ids.contains(&PacketId::MIN));
}

#[test]
fn a_full_queue_does_what_its_policy_says() {
    for (overflow, offer, left, overflowed) in [
        (Overflow::Refuse, Offer::Refused, ["1", "2", "3"], 0),
        (Overflow::DropNewest, Offer::Dropped, ["1", "2", "3"], 1),
        (
            Overflow::DropOldest,
            Offer::Displaced(1),
            ["2", "3", "4"],
            1,
        ),
    ] {
        let inflight = NonZeroU16::new(9).unwrap();
        let mut line = Line::new(
            V311,
            Limits {
                overflow,
                inflight,
                ..limits()
            },
        );
        line.session.detach(0);
        for payload in ["1", "2", "3"] {
            assert_eq!(
                line.offer(delivery(payload, AtLeastOnce)),
                (Offer::Queued, vec![])
            );
        }
        assert_eq!(line.offer(delivery("4", AtLeastOnce)), (offer, vec![]));
        assert_eq!(line.session.counts().overflowed, overflowed);
        let sent = line.attach(link(V311));
        assert_eq!(
            sent,
            left.map(|payload| format!("publish {payload} {payload}")),
            "a message has its identifier from when it is taken"
        );
    }
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let queued_bytes = 1_000;
    let mut line = Line::new(
        V311,
        Limits {
            queued_bytes,
            ..limits()
        },
    );
    line.session.detach(0);
    let long = "x".repeat(800);
    assert_eq!(line.offer(delivery(&long, AtLeastOnce)).0, Offer::Queued);
    assert_eq!(
        line.offer(delivery(&long, AtLeastOnce)).0,
        Offer::Displaced(1)
    );
    let longer = "x".repeat(1_000);
    assert_eq!(line.offer(delivery(&longer, AtLeastOnce)).0, Offer::Dropped);
    assert_eq!(
        line.session.queued(),
        1,
        "what could never fit displaces nothing"
    );
}

#[test]
fn a_message_expires_while_it_waits_and_ages_until_it_is_sent() {
    // [MQTT-3.3.2-5], [MQTT-3.3.2-6]
    let expiring = |seconds| {
        let mut publish = Publish::new(TopicName::try_from("a").unwrap(), "x");
        publish.properties = Properties::new().with(Property::MessageExpiryInterval(seconds));
        let message = Arc::new(Message::new(publish, 0));
        Delivery {
            message,
            qos: AtLeastOnce,
            retain: false,
            subscription_ids: Vec::new(),
            mark: 0,
        }
    };
    let mut session = Session::new(limits());
    let mut out = Vec::new();
    for seconds in [10, 60] {
        assert_eq!(
            session.publish(expiring(seconds), 0, &mut out),
            Offer::Queued
        );
    }
    session.attach(link(V5), 10_001, &mut out);
    let [Effect::Publish(it)] = &out[..] else {
        panic!("{out:?}")
    };
    let mut wire = BytesMut::from(&b"\x20\x03\0\0\0"[..]);
    it.encode(V5, &mut wire).unwrap();
    let mut decoder = Decoder::client(V5, 1_000);
    decoder.decode(&mut wire).unwrap();
    let Ok(Some(Packet::Publish(it))) = decoder.decode(&mut wire) else {
        panic!()
    };
    assert_eq!(it.properties.message_expiry_interval(), Some(&50));
    assert_eq!(session.counts().expired, 1);
    assert_eq!(
        session.publish(expiring(10), 10_000, &mut out),
        Offer::Dropped
    );
}

#[test]
fn a_packet_that_the_client_does_not_take_is_dropped() {
    // [MQTT-3.1.2-24], [MQTT-3.1.2-25]: a/b, identifier, no properties and "x" are 11 bytes.
    let small = |most| Link {
        maximum_packet_size: NonZeroU32::new(most),
        ..link(V5)
    };
    let mut line = Line::new(V5, limits());
    line.attach(small(11));
    assert_eq!(line.offer(delivery("x", AtLeastOnce)).0, Offer::Sent);
    assert_eq!(line.offer(delivery("xy", AtLeastOnce)).0, Offer::Dropped);
    assert_eq!(line.offer(delivery("wxyz", AtMostOnce)).0, Offer::Dropped);
    assert_eq!(line.attach(small(10)), [""; 0]);
    assert_eq!(
        (line.session.inflight(), line.session.counts().oversized),
        (0, 3)
    );
}

#[test]
fn answers_leave_in_the_order_of_arrival() {
    let mut line = Line::new(V311, limits());
    let first = line.ticket(publish(7, AtLeastOnce, false));
    let second = line.ticket(publish(8, AtLeastOnce, false));
    assert!(line.session.is_saturated());
    assert_eq!(line.acknowledge(second, Success), [""; 0]);
    assert_eq!(
        line.acknowledge(first, Success),
        ["puback 7 Success", "puback 8 Success"]
    );
    assert_eq!(line.acknowledge(first, Success), [""; 0], "once is enough");
    assert!(!line.session.is_saturated());
    assert_eq!(line.receive(publish(0, AtMostOnce, false)), ["deliver 0"]);
}

#[test]
fn more_than_the_receive_maximum_ends_the_connection() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let mut line = Line::new(V5, limits());
        for number in [1, 2] {
            line.ticket(publish(number, qos, false));
        }
        assert_eq!(
            line.receive(publish(3, qos, false)),
            ["close ReceiveMaximumExceeded"]
        );
    }
}

#[test]
fn a_client_of_3_x_may_begin_more_exchanges_than_the_receive_maximum_says() {
    let mut line = Line::new(V311, limits());
    for number in 1..=200 {
        let ticket = line.ticket(publish(number, ExactlyOnce, false));
        let pubrec = format!("pubrec {number} Success");
        assert_eq!(line.acknowledge(ticket, ReasonCode::Success), [pubrec]);
    }
    assert!(!line.session.is_saturated());
    // What waits for a verdict is bounded as ever.
    line.ticket(publish(201, ExactlyOnce, false));
    line.ticket(publish(202, ExactlyOnce, false));
    assert!(line.session.is_saturated());
    for number in 1..=200 {
        let release = Packet::PubRel(ack(number));
        assert_eq!(line.receive(release), [format!("pubcomp {number} Success")]);
    }
}

#[test]
fn a_failure_is_told_in_mqtt_5_and_ends_a_3_x_connection() {
    for (version, qos, effects) in [
        (V5, AtLeastOnce, "puback 7 NotAuthorized"),
        (V5, ExactlyOnce, "pubrec 7 NotAuthorized"),
        (V311, AtLeastOnce, "close NotAuthorized"),
        (V311, ExactlyOnce, "close NotAuthorized"),
    ] {
        let mut line = Line::new(version, limits());
        let ticket = line.ticket(publish(7, qos, false));
        assert_eq!(
            line.acknowledge(ticket, ReasonCode::NotAuthorized),
            [effects]
        );
        line.attach(link(version));
        line.ticket(publish(7, qos, true));
    }
}

#[test]
fn a_ticket_of_a_former_connection_answers_nothing_on_this_one() {
    let mut line = Line::new(V311, limits());
    let old = line.ticket(publish(7, AtLeastOnce, false));
    line.attach(link(V311));
    let new = line.ticket(publish(7, AtLeastOnce, true));
    assert_eq!(line.acknowledge(old, Success), [""; 0]);
    assert_eq!(line.acknowledge(new, Success), ["puback 7 Success"]);
}

#[test]
fn qos_2_from_the_client() {
    let mut line = Line::new(V311, limits());
    let ticket = line.ticket(publish(7, ExactlyOnce, false));
    assert_eq!(
        line.receive(publish(7, ExactlyOnce, true)),
        [""; 0],
        "PUBREC will come"
    );
    assert_eq!(line.acknowledge(ticket, Success), ["pubrec 7 Success"]);
    assert_eq!(
        line.receive(publish(7, ExactlyOnce, true)),
        ["pubrec 7 Success"]
    );
    line.attach(link(V311));
    assert_eq!(
        line.receive(publish(7, ExactlyOnce, true)),
        ["pubrec 7 Success"]
    );
    assert_eq!(line.receive(Packet::PubRel(ack(7))), ["pubcomp 7 Success"]);
    assert_eq!(line.receive(Packet::PubRel(ack(7))), ["pubcomp 7 Success"]);
    line.ticket(publish(7, ExactlyOnce, false));
    let mut line = Line::new(V5, limits());
    assert_eq!(
        line.receive(Packet::PubRel(ack(7))),
        ["pubcomp 7 PacketIdNotFound"]
    );
}

#[test]
fn qos_2_stored_after_the_line_broke_is_not_delivered_twice() {
    let mut line = Line::new(V311, limits());
    let ticket = line.ticket(publish(7, ExactlyOnce, false));
    line.session.detach(0);
    assert_eq!(line.acknowledge(ticket, Success), [""; 0]);
    line.attach(link(V311));
    assert_eq!(
        line.receive(publish(7, ExactlyOnce, true)),
        ["pubrec 7 Success"]
    );

    let mut line = Line::new(V311, limits());
    let ticket = line.ticket(publish(7, ExactlyOnce, false));
    line.attach(link(V311));
    assert_eq!(line.receive(publish(7, ExactlyOnce, true)), [""; 0]);
    assert_eq!(line.acknowledge(ticket, Success), ["pubrec 7 Success"]);
}

#[test]
fn subscriptions_are_taken_replaced_and_given_back() {
    let filter = |text: &str| TopicFilter::try_from(text).unwrap();
    let request = |filters: &[&str], properties| Subscribe {
        packet_id: id(5),
        filters: filters
            .iter()
            .map(|text| SubscribeFilter {
                filter: filter(text),
                options: SubscribeOptions {
                    retain_handling: RetainHandling::SendIfNew,
                    ..SubscribeOptions::at(ExactlyOnce)
                },
            })
            .collect(),
        properties,
    };
    let mut session = Session::new(Limits {
        subscriptions: 2,
        ..limits()
    });
    let mut out = Vec::new();
    let seven = SubscriptionId::new(7).unwrap();
    let properties = Properties::new().with(Property::SubscriptionIdentifier(seven));
    let first = request(&["a", "b", "c"], properties);
    let verdicts = [ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized, Success];
    let grants = session.subscribe(&first, &verdicts, &mut out);
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[0].subscription.options.qos, AtLeastOnce);
    assert_eq!(
        (grants[0].subscription.id, grants[0].replaced),
        (Some(seven), false)
    );
    let second = request(&["a", "d", "e"], Properties::new());
    let grants = session.subscribe(&second, &[Success, Success], &mut out);
    assert_eq!(grants.len(), 1);
    assert!(grants[0].replaced);
    assert_eq!(session.subscriptions().len(), 2);
    assert_eq!(session.subscriptions()[0].id, None);
    let filters = vec![filter("a"), filter("x")];
    let request = Unsubscribe {
        packet_id: id(6),
        filters,
        properties: Properties::new(),
    };
    assert_eq!(session.unsubscribe(&request, &mut out)[0].filter, "a");
    assert_eq!(session.subscriptions().len(), 1);
    assert_eq!(
        Line::say(&out),
        [
            "suback 5 [GrantedQoS1, NotAuthorized, Success]",
            "suback 5 [Success, QuotaExceeded, UnspecifiedError]",
            "unsuback 6 [Success, NoSubscriptionExisted]",
        ]
    );
}

#[test]
fn one_message_for_overlapping_subscriptions_has_the_highest_level_and_all_identifiers() {
    // [MQTT-3.3.4-2], [MQTT-3.3.4-4]
    let subscription = |qos, number| Subscription {
        filter: TopicFilter::try_from("a/#").unwrap(),
        options: SubscribeOptions::at(qos),
        id: SubscriptionId::new(number),
    };
    let mut both = Delivery::new(message("x", AtLeastOnce), &subscription(AtMostOnce, 3));
    assert_eq!(both.qos, AtMostOnce);
    both.also(&subscription(ExactlyOnce, 4));
    both.also(&subscription(AtMostOnce, 0));
    assert_eq!(both.qos, AtLeastOnce);
    assert_eq!(
        both.subscription_ids
            .iter()
            .map(|id| id.get())
            .collect::<Vec<_>>(),
        [3, 4]
    );
}

#[test]
fn a_session_outlives_its_connection_as_long_as_agreed() {
    for (hello, expiry) in [
        (
            &b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d"[..],
            Some(5_000),
        ),
        (b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x3c\x00\x01d", None),
        (
            b"\x10\x0e\x00\x04MQTT\x05\x00\x00\x3c\x00\x00\x01d",
            Some(5_000),
        ),
        (
            b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x0a\x00\x01d",
            Some(15_000),
        ),
        (
            b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\xff\xff\xff\xff\x00\x01d",
            None,
        ),
    ] {
        let Ok(Some(Packet::Connect(connect))) =
            Decoder::server(100).decode(&mut BytesMut::from(hello))
        else {
            panic!()
        };
        let mut session = Session::new(limits());
        session.attach(Link::of(&connect), 0, &mut Vec::new());
        assert_eq!(session.detach(5_000), expiry);
    }
}

#[test]
fn a_disconnect_may_change_the_expiry_but_not_invent_one() {
    let goodbye = |seconds| {
        let properties = Properties::new().with(Property::SessionExpiryInterval(seconds));
        Packet::Disconnect(Disconnect {
            reason: Success,
            properties,
        })
    };
    let mut line = Line::new(V5, limits());
    line.receive(goodbye(3));
    assert_eq!(line.session.detach(1_000), Some(4_000));
    line.attach(Link {
        expiry: Expiry::WithConnection,
        ..link(V5)
    });
    assert_eq!(line.receive(goodbye(3)), ["close ProtocolError"]);
}

#[test]
fn pings_are_answered_and_a_servers_packets_refused() {
    let mut line = Line::new(V311, limits());
    assert_eq!(line.receive(Packet::PingReq), ["PingResp"]);
    assert_eq!(line.receive(Packet::PingResp), ["close ProtocolError"]);
}
