//! Packets that were right before chance altered them.

use crate::{Chance, House, OUT};
use bytes::BytesMut;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    num::NonZeroU16,
    time::Duration,
};
use tests::mqtt::Login;
use wire::mqtt::{
    Connect, Disconnect, Packet, Properties, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscribeOptions, Text, TopicFilter, TopicName, Version, encode,
};

/// How many connections chance plays.
const ROUNDS: usize = 3_000;

fn bytes(packet: &Packet, version: Version) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    encode(packet, version, &mut bytes).expect("a packet that can be written");
    bytes.to_vec()
}

fn connect(login: &Login, version: Version) -> Vec<u8> {
    let text = |text: &str| Text::new(text.to_owned()).expect("a text");
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id: text(&login.client_id),
        will: None,
        username: Some(text(&login.user)),
        password: Some(
            wire::mqtt::Secret::new(login.password.clone().into_bytes()).expect("a password"),
        ),
        properties: Properties::new(),
    };
    bytes(&Packet::Connect(Box::new(connect)), version)
}

fn publish(topic: &str, payload: &[u8], version: Version) -> Vec<u8> {
    let topic = TopicName::new(topic.to_owned()).expect("a topic");
    let mut message = Publish::new(topic, payload.to_vec());
    message.qos = QoS::AtLeastOnce;
    message.packet_id = NonZeroU16::new(7);
    bytes(&Packet::Publish(message), version)
}

fn subscribe(filter: &str, version: Version) -> Vec<u8> {
    let request = Subscribe {
        packet_id: NonZeroU16::new(8).expect("not 0"),
        filters: vec![SubscribeFilter {
            filter: TopicFilter::new(filter.to_owned()).expect("a filter"),
            options: SubscribeOptions::at(QoS::AtLeastOnce),
        }],
        properties: Properties::new(),
    };
    bytes(&Packet::Subscribe(request), version)
}

/// One to four alterations: a bit, a byte, a piece gone, doubled, or strange.
pub(crate) fn spoil(bytes: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let until = (at + 1 + chance.below(16)).min(bytes.len());
        match chance.below(6) {
            _ if bytes.is_empty() => bytes.push(chance.below(256) as u8),
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'+', b'#', b'/'][chance.below(8)],
            2 => {
                bytes.drain(at..until);
            }
            3 => {
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            _ => bytes.insert(at, chance.below(256) as u8),
        }
    }
}

/// What the server says until it closes or is silent for so long; whether it closed.
fn read(line: &mut TcpStream, patience: Duration) -> (Vec<u8>, bool) {
    line.set_read_timeout(Some(patience)).expect("a socket");
    let mut answer = Vec::new();
    let ended = match line.read_to_end(&mut answer) {
        Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        Ok(_) => true,
    };
    (answer, ended)
}

/// [AL-3.1] Thousands of altered CONNECT, PUBLISH and SUBSCRIBE packets against a live server:
/// each connection comes to its end, and nobody else notices.
#[test]
fn altered_packets_harm_nobody() {
    let mut house = House::open();
    let mut chance = Chance::new();
    let product = house.product.clone();
    let secret = house.server.device(&product, "kitchen");
    let login = Login::signed(&product, "kitchen", &secret, ",_ss=1");
    let post = format!("/sys/{product}/kitchen/thing/event/property/post");
    let body = br#"{"id":"1","version":"1.0","params":{"temperature":{"value":20.5,"time":1524448722000}},"method":"thing.event.property.post"}"#;
    let good_bye = Packet::Disconnect(Disconnect {
        reason: ReasonCode::Success,
        properties: Properties::new(),
    });
    let mut let_in = 0;
    for round in 0..ROUNDS {
        let version = [Version::V31, Version::V311, Version::V5][round % 3];
        let hello = connect(&login, version);
        let mut packets = [
            hello,
            publish(&post, body, version),
            subscribe(&format!("/{product}/kitchen/user/get"), version),
            publish(
                &format!("/{product}/kitchen/user/update"),
                b"hello",
                version,
            ),
            bytes(&good_bye, version),
        ];
        // Half of the rounds get in and spoil what follows.
        let which = if round % 2 == 0 {
            0
        } else {
            1 + chance.below(3)
        };
        spoil(&mut packets[which], &mut chance);
        let mut line = TcpStream::connect(house.server.address("mqtt")).expect("it listens");
        _ = line.write_all(&packets.concat());
        // A packet that became longer waits for more: that it does is seen by its silence.
        let mut answer = read(&mut line, Duration::from_millis(100)).0;
        _ = line.shutdown(Shutdown::Write);
        let (rest, ended) = read(&mut line, OUT);
        assert!(
            ended,
            "round {round}: the connection does not end after {:02x?}",
            packets[which]
        );
        answer.extend_from_slice(&rest);
        let_in += usize::from(answer.len() > 3 && answer[0] == 0x20 && answer[3] == 0);
        if round % 500 == 499 {
            house.unharmed(&format!("{round} rounds"));
        }
    }
    assert!(
        let_in > ROUNDS / 3,
        "{let_in}: too few came far enough to spoil anything"
    );
    house.unharmed("all rounds");
}
