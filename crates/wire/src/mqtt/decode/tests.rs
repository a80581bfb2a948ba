//! Packets byte by byte: what they mean, and what is wrong with the broken ones.

mod connect;

use bytes::BytesMut;

use super::*;
use crate::fuzz::HELLOS;
use crate::mqtt::{PacketId, Secret, TopicFilter, encode};

const MAX: usize = 64 * 1024;

/// What a client of `version` sends, behind its CONNECT.
fn from_client(version: Version, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    let hello = HELLOS.iter().find(|(of, _)| *of == version).unwrap().1;
    let mut line = BytesMut::from(hello);
    let mut decoder = Decoder::server(MAX);
    assert!(matches!(
        decoder.decode(&mut line),
        Ok(Some(Packet::Connect(_)))
    ));
    line.extend_from_slice(bytes);
    decoder.decode(&mut line)
}

/// What a server sends to a client of `version`, behind its CONNACK.
fn from_server(version: Version, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    let mut decoder = Decoder::client(version, MAX);
    let connack: &[u8] = if version.is_v5() {
        b"\x20\x03\0\0\0"
    } else {
        b"\x20\x02\0\0"
    };
    let mut line = BytesMut::from(connack);
    assert!(matches!(
        decoder.decode(&mut line),
        Ok(Some(Packet::ConnAck(_)))
    ));
    line.extend_from_slice(bytes);
    decoder.decode(&mut line)
}

fn first(bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    Decoder::server(MAX).decode(&mut BytesMut::from(bytes))
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

use Version::{V5, V31, V311};

#[test]
fn connack() {
    let connack =
        |version, bytes: &[u8]| Decoder::client(version, MAX).decode(&mut BytesMut::from(bytes));
    let verdict = |session_present, reason| {
        Ok(Some(Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties: Properties::new(),
        })))
    };
    assert_eq!(
        connack(V311, b"\x20\x02\x01\x00"),
        verdict(true, ReasonCode::Success)
    );
    assert_eq!(
        connack(V311, b"\x20\x02\x00\x05"),
        verdict(false, ReasonCode::NotAuthorized)
    );
    assert_eq!(
        connack(V31, b"\x20\x02\x01\x00"),
        verdict(false, ReasonCode::Success)
    );
    assert_eq!(
        connack(V5, b"\x20\x03\x00\x87\x00"),
        verdict(false, ReasonCode::NotAuthorized)
    );
    for (version, bytes, fault) in [
        (V311, &b"\x20\x02\x02\x00"[..], DecodeError::Flags), // [MQTT-3.2.2-1]
        (V311, b"\x20\x02\x01\x05", DecodeError::Flags),      // [MQTT-3.2.2-4] of 3.1.1
        (V311, b"\x20\x02\x00\x06", DecodeError::Reason(6)),
        (V311, b"\x20\x03\x00\x00\x00", DecodeError::TrailingBytes),
        (V5, b"\x20\x02\x00\x00", DecodeError::Truncated),
        (V5, b"\x20\x03\x00\x01\x00", DecodeError::Reason(1)),
        (
            V5,
            b"\x20\x05\x00\x00\x02\x24\x02",
            DecodeError::PropertyValue,
        ),
        (V5, b"\xd0\x00", DecodeError::First), // [MQTT-3.2.0-1]
    ] {
        assert_eq!(
            connack(version, bytes),
            Err(fault),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn publish() {
    let Ok(Some(Packet::Publish(it))) = from_client(V311, b"\x3b\x0a\x00\x03a/b\x00\x0ahey") else {
        panic!()
    };
    assert_eq!(
        (&*it.topic, &it.payload[..], it.packet_id),
        ("a/b", &b"hey"[..], Some(id(10)))
    );
    assert_eq!((it.qos, it.dup, it.retain), (QoS::AtLeastOnce, true, true));
    let Ok(Some(Packet::Publish(it))) = from_client(V311, b"\x30\x03\x00\x01a") else {
        panic!()
    };
    assert!(it.payload.is_empty() && it.packet_id.is_none());
    for (version, bytes, fault) in [
        (V311, &b"\x36\x05\x00\x01a\x00\x01"[..], DecodeError::QoS), // [MQTT-3.3.1-4]
        (V311, b"\x38\x03\x00\x01a", DecodeError::Flags),            // [MQTT-3.3.1-2]
        (V311, b"\x32\x05\x00\x01a\x00\x00", DecodeError::PacketId), // [MQTT-2.2.1-3]
        (V311, b"\x32\x04\x00\x01a\x00", DecodeError::Truncated),
        (V311, b"\x30\x01\x00", DecodeError::Truncated),
        (V311, b"\x30\x02\x00\x00", DecodeError::TopicName), // [MQTT-4.7.3-1]
        (V311, b"\x30\x03\x00\x01+", DecodeError::TopicName), // [MQTT-3.3.2-2]
        (V311, b"\x30\x05\x00\x03a/#", DecodeError::TopicName),
        (
            V311,
            b"\x30\x03\x00\x01\x00",
            DecodeError::Text(TextError::Null),
        ),
        (
            V311,
            b"\x30\x03\x00\x01\xff",
            DecodeError::Text(TextError::NotUtf8),
        ),
        (V5, b"\x30\x03\x00\x01a", DecodeError::Truncated),
        (
            V5,
            b"\x30\x07\x00\x01a\x03\x23\x00\x01",
            DecodeError::TopicAlias,
        ), // none announced
        (
            V5,
            b"\x30\x06\x00\x01a\x02\x0b\x01",
            DecodeError::PropertySide,
        ), // [MQTT-3.3.4-6]
        (
            V5,
            b"\x30\x07\x00\x01a\x03\x23\x00\x00",
            DecodeError::TopicAlias,
        ), // [MQTT-3.3.2-8]
        (V5, b"\x30\x05\x00\x01a\x80\x00", DecodeError::Length),
    ] {
        assert_eq!(
            from_client(version, bytes),
            Err(fault),
            "{}",
            bytes.escape_ascii()
        );
    }
    assert!(from_server(V5, b"\x30\x06\x00\x01a\x02\x0b\x01").is_ok());
}

#[test]
fn topic_aliases_are_resolved_for_the_reader() {
    let mut decoder = Decoder::server(MAX);
    decoder.set_topic_alias_maximum(2);
    let mut line = BytesMut::from(HELLOS[2].1);
    decoder.decode(&mut line).unwrap();
    for (bytes, topic) in [
        (&b"\x30\x07\x00\x01a\x03\x23\x00\x02"[..], "a"),
        (b"\x30\x06\x00\x00\x03\x23\x00\x02", "a"),
        (b"\x30\x07\x00\x01b\x03\x23\x00\x02", "b"),
        (b"\x30\x06\x00\x00\x03\x23\x00\x02", "b"),
    ] {
        line.extend_from_slice(bytes);
        let Ok(Some(Packet::Publish(it))) = decoder.decode(&mut line) else {
            panic!()
        };
        assert_eq!((&*it.topic, it.properties.is_empty()), (topic, true));
    }
    for (bytes, fault) in [
        (
            &b"\x30\x06\x00\x00\x03\x23\x00\x01"[..],
            DecodeError::NoTopic,
        ),
        (b"\x30\x03\x00\x00\x00", DecodeError::NoTopic),
        (
            b"\x30\x07\x00\x01a\x03\x23\x00\x03",
            DecodeError::TopicAlias,
        ),
    ] {
        let mut decoder = decoder.clone();
        assert_eq!(decoder.decode(&mut BytesMut::from(bytes)), Err(fault));
    }
}

#[test]
fn the_four_acknowledgements() {
    let success = Ack::new(id(258), ReasonCode::Success);
    for (first, packet) in [
        (0x40, Packet::PubAck(success.clone())),
        (0x50, Packet::PubRec(success.clone())),
        (0x62, Packet::PubRel(success.clone())),
        (0x70, Packet::PubComp(success)),
    ] {
        for version in [V31, V311, V5] {
            let short = [first, 2, 1, 2];
            assert_eq!(from_client(version, &short), Ok(Some(packet.clone())));
            assert_eq!(from_server(version, &short), Ok(Some(packet.clone())));
            assert_eq!(
                from_client(version, &[first, 2, 0, 0]),
                Err(DecodeError::PacketId)
            );
            assert_eq!(
                from_client(version, &[first, 1, 1]),
                Err(DecodeError::Truncated)
            );
            assert_eq!(
                from_client(version, &[first ^ 1, 2, 1, 2]),
                Err(DecodeError::Flags)
            );
        }
        assert_eq!(
            from_client(V5, &[first, 3, 1, 2, 0]),
            Ok(Some(packet.clone()))
        );
        assert_eq!(from_client(V5, &[first, 4, 1, 2, 0, 0]), Ok(Some(packet)));
        assert_eq!(
            from_client(V5, &[first, 3, 1, 2, 1]),
            Err(DecodeError::Reason(1))
        );
        assert_eq!(
            from_client(V5, &[first, 5, 1, 2, 0, 0, 0]),
            Err(DecodeError::TrailingBytes)
        );
        assert_eq!(
            from_client(V5, &[first, 6, 1, 2, 0, 2, 1, 0]),
            Err(DecodeError::Property)
        );
        assert_eq!(
            from_client(V311, &[first, 3, 1, 2, 0]),
            Err(DecodeError::TrailingBytes)
        );
    }
    // MQTT 3.1 §2.1: PUBREL sent again has DUP; [MQTT-3.6.1-1] of 3.1.1 forbids it.
    assert!(from_client(V31, b"\x6a\x02\x01\x02").is_ok());
    assert_eq!(
        from_client(V311, b"\x6a\x02\x01\x02"),
        Err(DecodeError::Flags)
    );
}

#[test]
fn subscribe() {
    let Ok(Some(Packet::Subscribe(it))) =
        from_client(V311, b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/+\x02")
    else {
        panic!()
    };
    assert_eq!(it.packet_id, id(10));
    let lines: Vec<_> = it
        .filters
        .iter()
        .map(|line| (&*line.filter, line.options.qos))
        .collect();
    assert_eq!(
        lines,
        [("a/b", QoS::AtLeastOnce), ("c/+", QoS::ExactlyOnce)]
    );
    let Ok(Some(Packet::Subscribe(it))) =
        from_client(V5, b"\x82\x09\x00\x0a\x02\x0b\x07\x00\x01#\x2d")
    else {
        panic!()
    };
    assert_eq!(
        it.properties
            .subscription_ids()
            .map(|id| id.get())
            .collect::<Vec<_>>(),
        [7]
    );
    let expected = SubscribeOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    assert_eq!(it.filters[0].options, expected);
    for (version, bytes, fault) in [
        (V311, &b"\x80"[..], DecodeError::Flags), // [MQTT-3.8.1-1]
        (V311, b"\x82\x02\x00\x0a", DecodeError::NoFilter), // [MQTT-3.8.3-2]
        (
            V311,
            b"\x82\x06\x00\x00\x00\x01a\x01",
            DecodeError::PacketId,
        ),
        (V311, b"\x82\x06\x00\x0a\x00\x01a\x03", DecodeError::QoS),
        (V311, b"\x82\x06\x00\x0a\x00\x01a\x04", DecodeError::Flags),
        (V311, b"\x82\x05\x00\x0a\x00\x01a", DecodeError::Truncated),
        (
            V311,
            b"\x82\x05\x00\x0a\x00\x00\x01",
            DecodeError::TopicFilter,
        ),
        (
            V311,
            b"\x82\x07\x00\x0a\x00\x02a#\x01",
            DecodeError::TopicFilter,
        ), // [MQTT-4.7.1-1]
        (V5, b"\x82\x07\x00\x0a\x00\x00\x01a\x40", DecodeError::Flags), // [MQTT-3.8.3-5]
        (
            V5,
            b"\x82\x07\x00\x0a\x00\x00\x01a\x30",
            DecodeError::RetainHandling,
        ),
        (
            V5,
            b"\x82\x10\x00\x0a\x00\x00\x0a$share/g/a\x04",
            DecodeError::SharedNoLocal,
        ),
        (
            V5,
            b"\x82\x0f\x00\x0a\x00\x00\x09$share//a\x04",
            DecodeError::TopicFilter,
        ),
    ] {
        assert_eq!(
            from_client(version, bytes),
            Err(fault),
            "{}",
            bytes.escape_ascii()
        );
    }
    assert_eq!(from_server(V311, b"\x82"), Err(DecodeError::Unexpected));
    assert!(from_client(V31, b"\x8a\x06\x00\x0a\x00\x01a\x01").is_ok());
}

#[test]
fn suback() {
    let codes = |version, bytes| match from_server(version, bytes) {
        Ok(Some(Packet::SubAck(it))) => Ok(it.reasons),
        other => Err(other),
    };
    use ReasonCode as R;
    let granted = vec![
        R::Success,
        R::GrantedQoS1,
        R::GrantedQoS2,
        R::UnspecifiedError,
    ];
    assert_eq!(
        codes(V311, b"\x90\x06\x00\x0a\x00\x01\x02\x80"),
        Ok(granted)
    );
    assert_eq!(
        codes(V5, b"\x90\x04\x00\x0a\x00\x8f"),
        Ok(vec![R::TopicFilterInvalid])
    );
    for (version, bytes, fault) in [
        (V311, &b"\x90\x03\x00\x0a\x03"[..], DecodeError::Reason(3)), // [MQTT-3.9.3-2] of 3.1.1
        (V311, b"\x90\x03\x00\x0a\x87", DecodeError::Reason(0x87)),
        (V311, b"\x90\x02\x00\x0a", DecodeError::Truncated),
        (V311, b"\x90\x03\x00\x00\x00", DecodeError::PacketId),
        (
            V5,
            b"\x90\x06\x00\x0a\x02\x0b\x01\x00",
            DecodeError::Property,
        ),
    ] {
        assert_eq!(
            from_server(version, bytes),
            Err(fault),
            "{}",
            bytes.escape_ascii()
        );
    }
    assert_eq!(
        from_client(V311, b"\x90\x03\x00\x0a\x00"),
        Err(DecodeError::Unexpected)
    );
}

#[test]
fn unsubscribe_and_unsuback() {
    let filters = vec![
        TopicFilter::try_from("a/b").unwrap(),
        TopicFilter::try_from("#").unwrap(),
    ];
    let it = Unsubscribe {
        packet_id: id(10),
        filters,
        properties: Properties::new(),
    };
    assert_eq!(
        from_client(V311, b"\xa2\x0a\x00\x0a\x00\x03a/b\x00\x01#"),
        Ok(Some(Packet::Unsubscribe(it)))
    );
    for (version, bytes, fault) in [
        (V311, &b"\xa0"[..], DecodeError::Flags), // [MQTT-3.10.1-1]
        (V311, b"\xa2\x02\x00\x0a", DecodeError::NoFilter), // [MQTT-3.10.3-2]
        (V311, b"\xa2\x04\x00\x0a\x00\x00", DecodeError::TopicFilter),
        (V5, b"\xa2\x06\x00\x0a\x00\x00\x02a", DecodeError::Truncated),
    ] {
        assert_eq!(
            from_client(version, bytes),
            Err(fault),
            "{}",
            bytes.escape_ascii()
        );
    }
    let codes = |version, bytes| match from_server(version, bytes) {
        Ok(Some(Packet::UnsubAck(it))) => Ok(it.reasons),
        other => other.map(|_| vec![]),
    };
    assert_eq!(codes(V311, b"\xb0\x02\x00\x0a"), Ok(vec![]));
    assert_eq!(
        codes(V311, b"\xb0\x03\x00\x0a\x00"),
        Err(DecodeError::TrailingBytes)
    );
    assert_eq!(
        codes(V5, b"\xb0\x04\x00\x0a\x00\x11"),
        Ok(vec![ReasonCode::NoSubscriptionExisted])
    );
    assert_eq!(
        codes(V5, b"\xb0\x03\x00\x0a\x00"),
        Err(DecodeError::Truncated)
    );
    assert_eq!(
        codes(V5, b"\xb0\x04\x00\x0a\x00\x01"),
        Err(DecodeError::Reason(1))
    );
}

#[test]
fn pings_are_two_bytes() {
    assert_eq!(from_client(V311, b"\xc0\x00"), Ok(Some(Packet::PingReq)));
    assert_eq!(from_server(V311, b"\xd0\x00"), Ok(Some(Packet::PingResp)));
    assert_eq!(from_client(V311, b"\xc1\x00"), Err(DecodeError::Flags));
    assert_eq!(
        from_client(V311, b"\xc0\x01x"),
        Err(DecodeError::TrailingBytes)
    );
    assert_eq!(from_client(V311, b"\xd0\x00"), Err(DecodeError::Unexpected));
    assert_eq!(from_server(V311, b"\xc0\x00"), Err(DecodeError::Unexpected));
}

#[test]
fn disconnect() {
    let reason = |packet| match packet {
        Ok(Some(Packet::Disconnect(it))) => Ok(it.reason),
        other => other.map(|_| ReasonCode::UnspecifiedError),
    };
    assert_eq!(
        reason(from_client(V311, b"\xe0\x00")),
        Ok(ReasonCode::Success)
    );
    assert_eq!(
        reason(from_client(V5, b"\xe0\x00")),
        Ok(ReasonCode::Success)
    );
    assert_eq!(
        reason(from_client(V5, b"\xe0\x01\x04")),
        Ok(ReasonCode::DisconnectWithWill)
    );
    assert_eq!(
        reason(from_server(V5, b"\xe0\x02\x8e\x00")),
        Ok(ReasonCode::SessionTakenOver)
    );
    assert_eq!(
        reason(from_client(V5, b"\xe0\x07\x00\x05\x11\x00\x00\x00\x0a")),
        Ok(ReasonCode::Success)
    );
    for (packet, fault) in [
        (from_client(V311, b"\xe1\x00"), DecodeError::Flags), // [MQTT-3.14.1-1]
        (
            from_client(V311, b"\xe0\x01\x00"),
            DecodeError::TrailingBytes,
        ),
        (from_client(V5, b"\xe0\x01\x01"), DecodeError::Reason(1)),
        (
            from_server(V5, b"\xe0\x07\x00\x05\x11\x00\x00\x00\x0a"),
            DecodeError::PropertySide,
        ), // [MQTT-3.14.2-2]
        (from_server(V311, b"\xe0\x00"), DecodeError::Unexpected),
    ] {
        assert_eq!(packet, Err(fault));
    }
}

#[test]
fn auth_is_of_mqtt_5_and_names_its_method() {
    let Ok(Some(Packet::Auth(it))) = from_client(V5, b"\xf0\x07\x18\x05\x15\x00\x02me") else {
        panic!()
    };
    assert_eq!(it.reason, ReasonCode::ContinueAuthentication);
    assert_eq!(
        it.properties
            .authentication_method()
            .map(|method| &**method),
        Some("me")
    );
    assert!(from_client(V5, b"\xf0\x00").is_ok());
    assert_eq!(
        from_client(V5, b"\xf0\x01\x18"),
        Err(DecodeError::Truncated)
    );
    assert_eq!(
        from_client(V5, b"\xf0\x02\x18\x00"),
        Err(DecodeError::AuthenticationMethod)
    );
    assert_eq!(
        from_client(V5, b"\xf0\x02\x80\x00"),
        Err(DecodeError::Reason(0x80))
    );
    assert_eq!(from_client(V5, b"\xf1"), Err(DecodeError::Flags)); // [MQTT-3.15.1-1]
    assert_eq!(from_client(V311, b"\xf0\x00"), Err(DecodeError::Unexpected));
}

#[test]
fn bytes_may_come_one_by_one_and_packets_together() {
    let bytes = [
        HELLOS[1].1,
        b"\x32\x09\x00\x03a/b\x00\x0ahi\xc0\x00\xe0\x00",
    ]
    .concat();
    let mut decoder = Decoder::server(MAX);
    let mut line = BytesMut::new();
    let mut kinds = Vec::new();
    for byte in bytes {
        line.extend_from_slice(&[byte]);
        while let Some(packet) = decoder.decode(&mut line).unwrap() {
            kinds.push(packet.kind());
        }
    }
    use PacketType::{Connect, Disconnect, PingReq, Publish};
    assert_eq!(kinds, [Connect, Publish, PingReq, Disconnect]);
    assert!(line.is_empty());
}

#[test]
fn a_packet_too_large_is_refused_by_its_length() {
    let mut decoder = Decoder::server(100);
    let too_large = DecodeError::TooLarge {
        size: 101,
        max: 100,
    };
    assert_eq!(
        decoder.decode(&mut BytesMut::from(&b"\x10\x63"[..])),
        Err(too_large)
    );
    let hello = &mut BytesMut::from(HELLOS[1].1);
    assert_eq!(decoder.decode(hello), Err(too_large), "an error stays");
    let mut decoder = Decoder::server(100);
    assert_eq!(
        decoder.decode(&mut BytesMut::from(&b"\x10\x62"[..])),
        Ok(None)
    );
    assert_eq!(too_large.reason(), ReasonCode::PacketTooLarge);
}

#[test]
fn a_publish_is_a_slice_of_the_buffer() {
    let mut decoder = Decoder::server(MAX);
    let mut line = BytesMut::from(HELLOS[1].1);
    decoder.decode(&mut line).unwrap();
    line.extend_from_slice(b"\x30\x05\x00\x03a/bxx");
    let buffer = line.as_ptr_range();
    let Ok(Some(Packet::Publish(it))) = decoder.decode(&mut line) else {
        panic!()
    };
    assert!(buffer.contains(&it.topic.as_ptr()));
    assert!(!buffer.contains(&it.detached().topic.as_ptr()));
}
