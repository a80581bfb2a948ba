//! What the fuzzers run: parsers fed with anything, and what must then hold. A panic is a finding.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::BytesMut;

use crate::mqtt::{
    Ack, Decoder, Delivery, Effect, Expiry, Limits, Link, Message, Overflow, Packet, PacketId,
    Publish, QoS, ReasonCode, Session, TopicFilter, TopicName, Version, encode,
};

const MAX_PACKET: usize = 1 << 20;

/// A CONNECT of each version, to open a connection with.
pub const HELLOS: [(Version, &[u8]); 3] = [
    (
        Version::V31,
        b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01d",
    ),
    (
        Version::V311,
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d",
    ),
    (
        Version::V5,
        b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01d",
    ),
];

/// Decodes the bytes as what a client sends behind each CONNECT of [`HELLOS`], as what it sends first, and as what a
/// server of each version sends. What was decoded must survive being encoded and decoded, and it must not matter in
/// which pieces the bytes come.
pub fn mqtt_decode(data: &[u8]) {
    for (mut decoder, bytes) in lines(data) {
        let mut piecewise = decoder.clone();
        let mut fresh = decoder.clone();
        let (packets, version) = drain(&mut decoder, bytes.chunks(bytes.len().max(1)));
        let (again, _) = drain(&mut piecewise, bytes.chunks(3));
        assert_eq!(packets, again, "the cut of the bytes matters");
        let Some(version) = version else { continue };
        let mut line = BytesMut::new();
        for packet in &packets {
            encode(packet, version, &mut line).expect("what was decoded can be encoded");
        }
        let (again, _) = drain(&mut fresh, [&line[..]].into_iter());
        assert_eq!(packets, again, "the packets changed on their way");
    }
}

/// The bytes as each kind of line that may bring them.
fn lines(data: &[u8]) -> Vec<(Decoder, Vec<u8>)> {
    let servers = HELLOS.map(|(_, hello)| (Decoder::server(MAX_PACKET), [hello, data].concat()));
    let clients = HELLOS.map(|(version, _)| {
        let connack: &[u8] = if version.is_v5() {
            b"\x20\x03\0\0\0"
        } else {
            b"\x20\x02\0\0"
        };
        (
            Decoder::client(version, MAX_PACKET),
            [connack, data].concat(),
        )
    });
    let mut all = vec![(Decoder::server(MAX_PACKET), data.to_vec())];
    all.extend(servers.into_iter().chain(clients));
    for (decoder, _) in &mut all {
        decoder.set_topic_alias_maximum(8);
    }
    all
}

fn drain<'a>(
    decoder: &mut Decoder,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Packet>, Option<Version>) {
    let mut line = BytesMut::new();
    let mut packets = Vec::new();
    for chunk in chunks {
        line.extend_from_slice(chunk);
        while let Ok(Some(packet)) = decoder.decode(&mut line) {
            packets.push(packet);
        }
    }
    (packets, decoder.version())
}

/// Takes the bytes as a filter and a topic with a zero byte between, and compares them with each other.
pub fn topic_parse(data: &[u8]) {
    let (filter, name) = match data.iter().position(|&byte| byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let (Ok(filter), Ok(name)) = (std::str::from_utf8(filter), std::str::from_utf8(name)) else {
        return;
    };
    let (filter, name) = (TopicFilter::try_from(filter), TopicName::try_from(name));
    let (Ok(filter), Ok(name)) = (filter, name) else {
        return;
    };
    let matched = filter.matches(&name);
    if !filter.has_wildcard() {
        assert_eq!(matched, filter.pattern() == &*name);
    }
    if let Ok(exact) = TopicFilter::exact(&name)
        && exact.shared().is_none()
    {
        assert!(exact.matches(&name), "a name matches itself");
    }
}

/// Takes the bytes, three by three, as what a client without manners does to a session, and what happens around it. The
/// session must keep to its bounds, and all it wants sent must have a form on the wire.
pub fn mqtt_session(data: &[u8]) {
    const FEW: NonZeroU16 = NonZeroU16::new(3).expect("3 is not zero");
    let limits = Limits {
        inflight: FEW,
        receive_maximum: FEW,
        queued: 4,
        overflow: Overflow::DropOldest,
        ..Limits::default()
    };
    let mut version = Version::V311;
    let mut session = Session::new(limits);
    let mut tickets = Vec::new();
    let mut out = Vec::new();
    let topic = TopicName::try_from("a/b").expect("it has no wildcard");
    for (step, script) in data.chunks_exact(3).enumerate() {
        let [what, a, b] = [script[0], script[1], script[2]];
        let now = step as u64;
        let qos = QoS::from_bits(a % 3).expect("three levels");
        let id = PacketId::new(u16::from(b % 6) + 1).expect("not zero");
        let failed = if version.is_v5() {
            ReasonCode::QuotaExceeded
        } else {
            ReasonCode::Success
        };
        let ack = Ack::new(
            id,
            if a & 1 == 0 {
                ReasonCode::Success
            } else {
                failed
            },
        );
        let mut publish = Publish::new(topic.clone(), "x");
        (publish.qos, publish.packet_id) = (qos, (qos != QoS::AtMostOnce).then_some(id));
        match what % 9 {
            0 | 1 => {
                let message = Arc::new(Message::new(publish, now));
                let delivery = Delivery {
                    message,
                    qos,
                    retain: false,
                    subscription_ids: vec![],
                    mark: 0,
                };
                let _ = session.publish(delivery, now, &mut out);
            }
            2 => session.receive(Packet::Publish(publish), now, &mut out),
            3 => session.receive(Packet::PubAck(ack), now, &mut out),
            4 => session.receive(Packet::PubRec(ack), now, &mut out),
            5 => session.receive(Packet::PubRel(ack), now, &mut out),
            6 => session.receive(Packet::PubComp(ack), now, &mut out),
            7 if !tickets.is_empty() => {
                let ticket = tickets[usize::from(b) % tickets.len()];
                let failed = if a < 32 {
                    ReasonCode::NotAuthorized
                } else {
                    ReasonCode::Success
                };
                session.acknowledge(ticket, failed, &mut out);
            }
            _ => {
                session.detach(now);
                version = HELLOS[usize::from(a) % HELLOS.len()].0;
                let receive_maximum = NonZeroU16::new(u16::from(b % 4) + 1).expect("not zero");
                let expiry = Expiry::Never;
                let link = Link {
                    version,
                    receive_maximum,
                    maximum_packet_size: None,
                    expiry,
                };
                session.attach(link, now, &mut out);
            }
        }
        for effect in out.drain(..) {
            let mut line = BytesMut::new();
            match effect {
                Effect::Send(packet) => encode(&packet, version, &mut line).expect("it has a form"),
                Effect::Publish(it) => it.encode(version, &mut line).expect("it has a form"),
                Effect::Deliver(_, ticket) => tickets.extend(ticket),
                Effect::Close(_) => drop(session.detach(now)),
                other => unreachable!("{other:?}"),
            }
        }
        assert!(
            session.inflight() <= 3 && session.queued() <= 4,
            "{session:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packets of both directions, to be broken by [`mutations`].
    const SAMPLES: &[&[u8]] = &[
        b"\x10\x24\x00\x04MQTT\x04\xee\x00\x3c\x00\x02id\x00\x01w\x00\x03bye\x00\x04user\x00\x06secret\
          \xe0\x00",
        b"\x10\x1a\x00\x04MQTT\x05\x02\x00\x3c\x0b\x11\x00\x00\x00\x0a\x21\x00\x14\x22\x00\x02\x00\x02id\
          \xf0\x09\x19\x07\x15\x00\x04SCRM",
        b"\x20\x02\x01\x00\x90\x04\x00\x01\x01\x80\xb0\x02\x00\x02\xd0\x00",
        b"\x20\x0c\x00\x00\x09\x22\x00\x08\x12\x00\x03abc\x90\x05\x00\x01\x00\x01\x87\xb0\x05\x00\x02\x00\x11\x00\
          \xe0\x02\x8b\x00",
        b"\x32\x09\x00\x03a/b\x00\x0ahi\x40\x02\x00\x0a\x50\x02\x00\x01\x62\x02\x00\x01\x70\x02\x00\x01",
        b"\x33\x0d\x00\x03a/b\x00\x0a\x03\x23\x00\x01hi\x32\x0a\x00\x00\x00\x0b\x03\x23\x00\x01yo\
          \x40\x04\x00\x0a\x10\x00",
        b"\x82\x08\x00\x01\x00\x03a/#\x01\xa2\x07\x00\x02\x00\x03a/#\xc0\x00\xe0\x00",
        b"\x82\x0b\x00\x01\x02\x0b\x05\x00\x03a/#\x2d\xa2\x08\x00\x02\x00\x00\x03a/#\xc0\x00\xe0\x01\x04",
    ];

    #[test]
    fn every_sample_is_taken_whole_on_some_line() {
        for sample in SAMPLES {
            mqtt_decode(sample);
            assert!(
                lines(sample).into_iter().any(|(mut decoder, bytes)| {
                    let mut line = BytesMut::from(&bytes[..]);
                    while let Ok(Some(_)) = decoder.decode(&mut line) {}
                    line.is_empty()
                }),
                "{}",
                sample.escape_ascii()
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn broken_packets_never_panic(
            sample in proptest::sample::select(SAMPLES),
            breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
        ) {
            let mut bytes = sample.to_vec();
            for (at, byte, how) in breaks {
                let at = at.index(bytes.len().max(1));
                match how {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 if at < bytes.len() => { bytes.remove(at); }
                    _ => bytes.insert(at.min(bytes.len()), byte),
                }
            }
            mqtt_decode(&bytes);
        }

        #[test]
        fn any_client_leaves_a_session_within_its_bounds(script in prop::collection::vec(any::<u8>(), 0..600)) {
            mqtt_session(&script);
        }

        #[test]
        fn any_topics_never_panic(text in "[a+#/$\0é]{0,24}|\\$share/[a+#/\0]{0,12}") {
            topic_parse(text.as_bytes());
        }
    }
}
