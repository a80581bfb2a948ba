//! A line that breaks anywhere, between a server and a client that keeps to the standard.

use std::collections::VecDeque;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

/// What may happen next between a server, a client that keeps to the standard, and a line that breaks.
#[derive(Debug, Clone)]
enum Step {
    /// The server has a message for the client.
    Down(QoS),
    /// The client has one for the server.
    Up,
    /// The server reads a packet.
    Server,
    /// The client reads a packet.
    Client,
    /// The server has stored the oldest message it was given.
    Stored,
    /// All that is under way is lost.
    Break,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Down(ExactlyOnce)),
        1 => Just(Step::Down(AtLeastOnce)),
        2 => Just(Step::Up),
        6 => Just(Step::Server),
        6 => Just(Step::Client),
        3 => Just(Step::Stored),
        1 => Just(Step::Break),
    ];
    prop::collection::vec(step, 0..200)
}

/// A client of MQTT 3.1.1 that sends at QoS 2.
#[derive(Default)]
struct Client {
    /// Sent and not completed: identifier, payload, whether PUBREC came.
    begun: Vec<(PacketId, usize, bool)>,
    next: u16,
    /// QoS 2 identifiers between PUBLISH and PUBREL.
    taken: Vec<PacketId>,
    got: Vec<usize>,
}

impl Client {
    fn publish(&self, at: usize, dup: bool) -> Packet {
        let (id, payload, _) = self.begun[at];
        let mut it = Publish::new(TopicName::try_from("up").unwrap(), payload.to_string());
        (it.qos, it.packet_id, it.dup) = (ExactlyOnce, Some(id), dup);
        Packet::Publish(it)
    }

    fn again(&self) -> Vec<Packet> {
        let packet = |at: usize| match self.begun[at] {
            (id, _, true) => Packet::PubRel(Ack::new(id, Success)),
            _ => self.publish(at, true),
        };
        (0..self.begun.len()).map(packet).collect()
    }

    fn receive(&mut self, packet: Packet) -> Option<Packet> {
        match packet {
            Packet::Publish(it) => {
                let id = it.packet_id.unwrap();
                let number = std::str::from_utf8(&it.payload).unwrap().parse().unwrap();
                if it.qos == AtLeastOnce {
                    self.got.push(number);
                    return Some(Packet::PubAck(Ack::new(id, Success)));
                }
                if !self.taken.contains(&id) {
                    self.taken.push(id);
                    self.got.push(number);
                }
                Some(Packet::PubRec(Ack::new(id, Success)))
            }
            Packet::PubRel(ack) => {
                self.taken.retain(|id| *id != ack.packet_id);
                Some(Packet::PubComp(ack))
            }
            Packet::PubRec(ack) => {
                let it = self.begun.iter_mut().find(|it| it.0 == ack.packet_id)?;
                it.2 = true;
                Some(Packet::PubRel(ack))
            }
            Packet::PubComp(ack) => {
                self.begun.retain(|it| it.0 != ack.packet_id);
                None
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    /// However often the line breaks, QoS 2 brings every message once, in order, both ways; QoS 1 loses none.
    #[test]
    fn qos_2_is_exactly_once(steps in steps()) {
        let maximum = NonZeroU16::new(8).unwrap();
        let limits = Limits { receive_maximum: maximum, queued: 1_000, ..limits() };
        let mut session = Session::new(limits);
        let mut client = Client::default();
        let (mut to_client, mut to_server) = (VecDeque::new(), VecDeque::new());
        let (mut down, mut once, mut up) = (0, Vec::new(), 0);
        let (mut given, mut stored) = (VecDeque::new(), Vec::new());
        let mut out = Vec::new();
        session.attach(link(V311), 0, &mut out);
        let quiet = [Step::Break].into_iter().chain(
            std::iter::repeat_n([Step::Stored, Step::Server, Step::Client], 2_000).flatten(),
        );
        for step in steps.into_iter().chain(quiet) {
            match step {
                Step::Down(qos) => {
                    let offer = session.publish(delivery(&down.to_string(), qos), 0, &mut out);
                    prop_assert!(matches!(offer, Offer::Sent | Offer::Queued));
                    if qos == ExactlyOnce {
                        once.push(down);
                    }
                    down += 1;
                }
                Step::Up if client.begun.len() < 8 => {
                    client.next += 1;
                    client.begun.push((id(client.next), up, false));
                    up += 1;
                    to_server.push_back(client.publish(client.begun.len() - 1, false));
                }
                Step::Server if !session.is_saturated() => {
                    if let Some(packet) = to_server.pop_front() {
                        session.receive(packet, 0, &mut out);
                    }
                }
                Step::Client => {
                    if let Some(packet) = to_client.pop_front() {
                        to_server.extend(client.receive(packet));
                    }
                }
                Step::Stored => {
                    if let Some((publish, ticket)) = given.pop_front() {
                        stored.push(publish);
                        session.acknowledge(ticket, Success, &mut out);
                    }
                }
                Step::Break => {
                    session.detach(0);
                    to_client.clear();
                    to_server.clear();
                    to_server.extend(client.again());
                    session.attach(link(V311), 0, &mut out);
                }
                Step::Up | Step::Server => {}
            }
            for effect in out.drain(..) {
                match effect {
                    Effect::Send(packet) => to_client.push_back(packet),
                    Effect::Publish(it) => {
                        let mut wire = BytesMut::from(&b"\x20\x02\0\0"[..]);
                        it.encode(V311, &mut wire).unwrap();
                        let mut decoder = Decoder::client(V311, 1_000);
                        decoder.decode(&mut wire).unwrap();
                        to_client.push_back(decoder.decode(&mut wire).unwrap().unwrap());
                    }
                    Effect::Deliver(it, Some(ticket)) => {
                        let number: i32 = std::str::from_utf8(&it.payload).unwrap().parse().unwrap();
                        given.push_back((number, ticket));
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        prop_assert_eq!(stored, Vec::from_iter(0..up as i32));
        let got: Vec<_> = client.got.iter().copied().filter(|it| once.contains(it)).collect();
        prop_assert_eq!(got, once);
        for number in 0..down {
            prop_assert!(client.got.contains(&number));
        }
        prop_assert_eq!((session.inflight(), session.queued()), (0, 0));
    }
}
