//! What is encoded is decoded as the same packet; what has no form is refused.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::fuzz::HELLOS;
use crate::mqtt::{
    Auth, Binary, ConnAck, Decoder, Disconnect, RetainHandling, Secret, SubAck, Subscribe,
    SubscribeFilter, Text, TopicFilter, TopicName, UnsubAck, Unsubscribe, UserProperty, Will,
};

const MAX: usize = 1 << 29;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::try_from(name).unwrap()
}

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

/// Decodes as the end that may receive such a packet.
fn decode(kind: PacketType, version: Version, bytes: &[u8]) -> Packet {
    use PacketType as P;
    let to_server = matches!(
        kind,
        P::Connect | P::Subscribe | P::Unsubscribe | P::PingReq | P::Disconnect
    );
    let mut line = BytesMut::new();
    let mut decoder = if to_server {
        Decoder::server(MAX)
    } else {
        Decoder::client(version, MAX)
    };
    match kind {
        P::Connect | P::ConnAck => {}
        _ if to_server => {
            line.extend_from_slice(HELLOS.iter().find(|(of, _)| *of == version).unwrap().1);
        }
        _ => line.extend_from_slice(if version.is_v5() {
            b"\x20\x03\0\0\0"
        } else {
            b"\x20\x02\0\0"
        }),
    }
    if !line.is_empty() {
        decoder.decode(&mut line).unwrap().unwrap();
    }
    line.extend_from_slice(bytes);
    let packet = decoder.decode(&mut line).unwrap().unwrap();
    assert!(line.is_empty());
    packet
}

/// Every property once, the repeatable one twice, but the alias, which the decoder takes away.
fn pool(place: Place) -> Vec<Property> {
    use Property as P;
    let pair = |name, value| {
        P::UserProperty(UserProperty {
            name: text(name),
            value: text(value),
        })
    };
    let mut all = vec![
        P::PayloadFormatIndicator(true),
        P::MessageExpiryInterval(0),
        P::ContentType(text("text/plain")),
        P::ResponseTopic(topic("answer/here")),
        P::CorrelationData(Binary::new(&b"\0\xff"[..]).unwrap()),
        P::SubscriptionIdentifier(SubscriptionId::new(268_435_455).unwrap()),
        P::SessionExpiryInterval(u32::MAX),
        P::AssignedClientIdentifier(text("auto-1")),
        P::ServerKeepAlive(0),
        P::AuthenticationMethod(text("SCRAM")),
        P::AuthenticationData(Secret::new(&b"nonce"[..]).unwrap()),
        P::RequestProblemInformation(false),
        P::WillDelayInterval(7),
        P::RequestResponseInformation(true),
        P::ResponseInformation(text("answers/")),
        P::ServerReference(text("other:1883")),
        P::ReasonString(text("because")),
        P::ReceiveMaximum(NonZeroU16::MIN),
        P::TopicAliasMaximum(0),
        P::MaximumQoS(true),
        P::RetainAvailable(false),
        pair("a", "b"),
        pair("a", ""),
        P::MaximumPacketSize(NonZeroU32::MAX),
        P::WildcardSubscriptionAvailable(true),
        P::SubscriptionIdentifierAvailable(true),
        P::SharedSubscriptionAvailable(true),
    ];
    all.retain(|property| property.fits(place));
    all
}

fn properties(version: Version, place: Place) -> BoxedStrategy<Properties> {
    if !version.is_v5() {
        return Just(Properties::new()).boxed();
    }
    let pool = pool(place);
    subsequence(pool.clone(), 0..=pool.len())
        .prop_shuffle()
        .prop_map(|list| {
            let mut properties = Properties::from_iter(list);
            if properties.authentication_method().is_none() {
                properties.retain(|property| !matches!(property, Property::AuthenticationData(_)));
            }
            properties
        })
        .boxed()
}

fn reason(version: Version, kind: PacketType) -> BoxedStrategy<ReasonCode> {
    let fits = |code: &&ReasonCode| {
        let plain = match kind {
            PacketType::ConnAck => {
                code.connect_return()
                    .and_then(ReasonCode::from_connect_return)
                    == Some(**code)
            }
            PacketType::SubAck => !code.is_error() || **code == ReasonCode::UnspecifiedError,
            _ => **code == ReasonCode::Success,
        };
        code.fits(kind) && (version.is_v5() || plain)
    };
    select(
        ReasonCode::ALL
            .iter()
            .filter(fits)
            .copied()
            .collect::<Vec<_>>(),
    )
    .boxed()
}

fn any_text() -> impl Strategy<Value = Text> {
    "[a-zé\n\u{feff}]{0,9}".prop_map(|string| text(&string))
}

fn any_topic() -> impl Strategy<Value = TopicName> {
    "[a-z/ $]{1,9}".prop_map(|string| topic(&string))
}

fn any_filter() -> impl Strategy<Value = TopicFilter> {
    select(&["a", "/", "+", "#", "a/+/b", "$share/g/a/#", "$SYS/#"][..])
        .prop_map(|string| TopicFilter::try_from(string).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(id)
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let will = (
        any_topic(),
        bytes(),
        qos(),
        any::<bool>(),
        properties(version, Place::Will),
    );
    let will = will.prop_map(|(topic, payload, qos, retain, properties)| {
        let payload = Binary::new(payload).unwrap();
        Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        }
    });
    let password = bytes().prop_map(|bytes| Secret::new(bytes).unwrap());
    let credentials = (prop::option::of(any_text()), prop::option::of(password));
    let who = (any::<bool>(), any::<u16>(), any_text());
    (
        who,
        prop::option::of(will),
        credentials,
        properties(version, Place::Connect),
    )
        .prop_map(
            move |(
                (clean_start, keep_alive, client_id),
                will,
                (username, password),
                properties,
            )| {
                let password = password.filter(|_| version.is_v5() || username.is_some());
                let mut connect = Connect {
                    version,
                    clean_start,
                    keep_alive,
                    client_id,
                    will,
                    username,
                    password,
                    properties,
                };
                if connect.client_id.is_empty() && connect.needs_client_id() {
                    connect.client_id = text("x");
                }
                Packet::Connect(Box::new(connect))
            },
        )
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    let flags = (any::<bool>(), qos(), any::<bool>(), packet_id());
    (
        flags,
        any_topic(),
        bytes(),
        properties(version, Place::Publish),
    )
        .prop_map(
            |((dup, qos, retain, packet_id), topic, payload, properties)| {
                let numbered = qos != QoS::AtMostOnce;
                Packet::Publish(Publish {
                    dup: dup && numbered,
                    qos,
                    retain,
                    topic,
                    packet_id: numbered.then_some(packet_id),
                    properties,
                    payload,
                })
            },
        )
}

fn acks(version: Version) -> BoxedStrategy<Packet> {
    let of = move |kind, place, make: fn(Ack) -> Packet| {
        (
            packet_id(),
            reason(version, kind),
            properties(version, place),
        )
            .prop_map(move |(packet_id, reason, properties)| {
                make(Ack {
                    packet_id,
                    reason,
                    properties,
                })
            })
    };
    prop_oneof![
        of(PacketType::PubAck, Place::PubAck, Packet::PubAck),
        of(PacketType::PubRec, Place::PubRec, Packet::PubRec),
        of(PacketType::PubRel, Place::PubRel, Packet::PubRel),
        of(PacketType::PubComp, Place::PubComp, Packet::PubComp),
    ]
    .boxed()
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet> {
    let handling = select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::Never,
    ]);
    let options = (qos(), any::<bool>(), any::<bool>(), handling);
    let line = (any_filter(), options).prop_map(
        move |(filter, (qos, no_local, retain_as_published, retain_handling))| {
            let no_local = no_local && filter.shared().is_none();
            let v5 = SubscribeOptions {
                qos,
                no_local,
                retain_as_published,
                retain_handling,
            };
            let options = if version.is_v5() {
                v5
            } else {
                SubscribeOptions::at(qos)
            };
            SubscribeFilter { filter, options }
        },
    );
    let lines = prop::collection::vec(line, 1..5);
    (packet_id(), lines, properties(version, Place::Subscribe)).prop_map(
        |(packet_id, filters, properties)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                filters,
                properties,
            })
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet> {
    let filters = prop::collection::vec(any_filter(), 1..5);
    (
        packet_id(),
        filters,
        properties(version, Place::Unsubscribe),
    )
        .prop_map(|(packet_id, filters, properties)| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                filters,
                properties,
            })
        })
}

fn answers(version: Version) -> BoxedStrategy<Packet> {
    let connack = (
        any::<bool>(),
        reason(version, PacketType::ConnAck),
        properties(version, Place::ConnAck),
    )
        .prop_map(move |(present, reason, properties)| {
            let session_present = present && !reason.is_error() && version != Version::V31;
            Packet::ConnAck(ConnAck {
                session_present,
                reason,
                properties,
            })
        });
    let codes = prop::collection::vec(reason(version, PacketType::SubAck), 1..5);
    let suback = (packet_id(), codes, properties(version, Place::SubAck)).prop_map(
        |(packet_id, reasons, properties)| {
            Packet::SubAck(SubAck {
                packet_id,
                reasons,
                properties,
            })
        },
    );
    let codes = prop::collection::vec(reason(version, PacketType::UnsubAck), 1..5);
    let unsuback = (packet_id(), codes, properties(version, Place::UnsubAck)).prop_map(
        move |(packet_id, reasons, properties)| {
            let reasons = if version.is_v5() { reasons } else { Vec::new() };
            Packet::UnsubAck(UnsubAck {
                packet_id,
                reasons,
                properties,
            })
        },
    );
    let disconnect = (
        reason(version, PacketType::Disconnect),
        properties(version, Place::Disconnect),
    )
        .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }));
    let plain = select(vec![Packet::PingReq, Packet::PingResp]);
    prop_oneof![connack, suback, unsuback, disconnect, plain].boxed()
}

fn auth() -> impl Strategy<Value = Packet> {
    (
        reason(Version::V5, PacketType::Auth),
        properties(Version::V5, Place::Auth),
    )
        .prop_map(|(reason, mut properties)| {
            if properties.authentication_method().is_none() {
                properties.push(Property::AuthenticationMethod(text("SCRAM")));
            }
            Packet::Auth(Auth { reason, properties })
        })
}

fn packet(version: Version) -> BoxedStrategy<Packet> {
    let all = prop_oneof![
        connect(version),
        publish(version),
        acks(version),
        subscribe(version),
        unsubscribe(version),
        answers(version),
    ];
    if version.is_v5() {
        prop_oneof![6 => all, 1 => auth()].boxed()
    } else {
        all.boxed()
    }
}

fn any_packet() -> impl Strategy<Value = (Version, Packet)> {
    select(vec![Version::V31, Version::V311, Version::V5])
        .prop_flat_map(|version| packet(version).prop_map(move |packet| (version, packet)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_encoded_is_decoded_as_the_same((version, packet) in any_packet()) {
        let mut line = BytesMut::from(&b"before"[..]);
        prop_assert_eq!(encode(&packet, version, &mut line), Ok(()));
        prop_assert_eq!(&line[..6], b"before");
        if let Packet::Publish(it) = &packet {
            prop_assert_eq!(publish_size(&it.into(), version), line.len() - 6);
        }
        prop_assert_eq!(decode(packet.kind(), version, &line[6..]), packet);
    }
}

#[test]
fn the_remaining_length_is_as_short_as_it_can_be() {
    for (payload, header) in [
        (0, &b"\x30\x03"[..]),
        (124, b"\x30\x7f"),
        (125, b"\x30\x80\x01"),
        (16_380, b"\x30\xff\x7f"),
        (16_381, b"\x30\x80\x80\x01"),
        (2_097_149, b"\x30\x80\x80\x80\x01"),
    ] {
        let packet = Packet::Publish(Publish::new(topic("a"), vec![7; payload]));
        let mut line = BytesMut::new();
        encode(&packet, Version::V311, &mut line).unwrap();
        assert_eq!(&line[..header.len()], header);
        assert_eq!(decode(PacketType::Publish, Version::V311, &line), packet);
    }
}

#[test]
fn packets_of_other_kinds_may_be_long_too() {
    for filters in [15, 16, 17, 2_000, 300_000] {
        let filters = vec![TopicFilter::try_from("a/b/c").unwrap(); filters];
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: id(1),
            filters,
            properties: Properties::new(),
        });
        let mut line = BytesMut::new();
        encode(&packet, Version::V311, &mut line).unwrap();
        assert_eq!(
            decode(PacketType::Unsubscribe, Version::V311, &line),
            packet
        );
    }
}

#[test]
fn one_message_is_encoded_for_receivers_that_differ() {
    let properties = Properties::new()
        .with(Property::MessageExpiryInterval(60))
        .with(Property::ContentType(text("t")));
    let ids = [
        SubscriptionId::new(1).unwrap(),
        SubscriptionId::new(200).unwrap(),
    ];
    let parts = PublishParts {
        alias: None,
        topic: "a",
        payload: b"x",
        qos: QoS::AtLeastOnce,
        packet_id: Some(id(10)),
        dup: false,
        retain: false,
        properties: &properties,
        expiry: Some(50),
        subscription_ids: &ids,
    };
    let mut line = BytesMut::new();
    encode_publish(&parts, Version::V5, &mut line).unwrap();
    assert_eq!(
        &line[..],
        b"\x32\x15\x00\x01a\x00\x0a\x0e\x03\x00\x01t\x02\x00\x00\x00\x32\x0b\x01\x0b\xc8\x01x"
    );
    assert_eq!(publish_size(&parts, Version::V5), line.len());
    line.clear();
    encode_publish(&parts, Version::V311, &mut line).unwrap();
    assert_eq!(&line[..], b"\x32\x06\x00\x01a\x00\x0ax");
}

#[test]
fn what_has_no_form_is_refused_and_leaves_nothing_behind() {
    let publish = Publish::new(topic("a"), "");
    let expiry = Properties::new().with(Property::SessionExpiryInterval(1));
    let connect = |version, client_id: &str, username: Option<Text>| {
        Packet::Connect(Box::new(Connect {
            version,
            clean_start: false,
            keep_alive: 0,
            client_id: text(client_id),
            will: None,
            username,
            password: Some(Secret::new("p").unwrap()),
            properties: Properties::new(),
        }))
    };
    let connack = |reason| {
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason,
            properties: Properties::new(),
        })
    };
    let disconnect = |reason| {
        Packet::Disconnect(Disconnect {
            reason,
            properties: Properties::new(),
        })
    };
    for (packet, version, fault) in [
        (
            Packet::PubAck(Ack::new(id(1), ReasonCode::QuotaExceeded)),
            Version::V311,
            EncodeError::Reason,
        ),
        (
            disconnect(ReasonCode::DisconnectWithWill),
            Version::V311,
            EncodeError::Reason,
        ),
        (
            Packet::Publish(Publish {
                qos: QoS::AtLeastOnce,
                ..publish.clone()
            }),
            Version::V311,
            EncodeError::PacketId,
        ),
        (
            Packet::Publish(Publish {
                packet_id: Some(id(1)),
                ..publish.clone()
            }),
            Version::V311,
            EncodeError::PacketId,
        ),
        (
            Packet::Publish(Publish {
                dup: true,
                ..publish.clone()
            }),
            Version::V311,
            EncodeError::PacketId,
        ),
        (
            Packet::Publish(Publish {
                properties: expiry.clone(),
                ..publish
            }),
            Version::V5,
            EncodeError::Property,
        ),
        (
            connect(Version::V311, "d", None),
            Version::V311,
            EncodeError::Flags,
        ),
        (
            connect(Version::V311, "", Some(text("u"))),
            Version::V311,
            EncodeError::Flags,
        ),
        (
            connect(Version::V5, "d", None),
            Version::V311,
            EncodeError::Version,
        ),
        (
            connack(ReasonCode::MalformedPacket),
            Version::V311,
            EncodeError::Reason,
        ),
        (
            connack(ReasonCode::KeepAliveTimeout),
            Version::V5,
            EncodeError::Reason,
        ),
        (
            Packet::PubAck(Ack::new(id(1), ReasonCode::PacketIdNotFound)),
            Version::V5,
            EncodeError::Reason,
        ),
        (
            Packet::Subscribe(Subscribe {
                packet_id: id(1),
                filters: vec![],
                properties: Properties::new(),
            }),
            Version::V311,
            EncodeError::Empty,
        ),
        (
            Packet::SubAck(SubAck {
                packet_id: id(1),
                reasons: vec![],
                properties: Properties::new(),
            }),
            Version::V311,
            EncodeError::Empty,
        ),
        (
            Packet::Auth(Auth {
                reason: ReasonCode::Success,
                properties: Properties::new(),
            }),
            Version::V311,
            EncodeError::Version,
        ),
        (
            Packet::Auth(Auth {
                reason: ReasonCode::ReAuthenticate,
                properties: Properties::new(),
            }),
            Version::V5,
            EncodeError::Property,
        ),
        (
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: expiry.clone().with(Property::SessionExpiryInterval(2)),
            }),
            Version::V5,
            EncodeError::Property,
        ),
    ] {
        let mut line = BytesMut::from(&b"before"[..]);
        assert_eq!(
            encode(&packet, version, &mut line),
            Err(fault),
            "{packet:?}"
        );
        assert_eq!(&line[..], b"before");
    }
}

#[test]
fn mqtt_3_leaves_out_what_it_has_no_place_for() {
    let properties = Properties::new().with(Property::ReasonString(text("because")));
    let reason = ReasonCode::QuotaExceeded;
    for (packet, bytes) in [
        (
            Packet::PubAck(Ack {
                packet_id: id(1),
                reason: ReasonCode::Success,
                properties: properties.clone(),
            }),
            &b"\x40\x02\x00\x01"[..],
        ),
        (
            Packet::SubAck(SubAck {
                packet_id: id(1),
                reasons: vec![reason],
                properties: properties.clone(),
            }),
            b"\x90\x03\x00\x01\x80",
        ),
        (
            Packet::ConnAck(ConnAck {
                session_present: true,
                reason,
                properties: properties.clone(),
            }),
            b"\x20\x02\x00\x03",
        ),
        (
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties,
            }),
            b"\xe0\x00",
        ),
    ] {
        let mut line = BytesMut::new();
        encode(&packet, Version::V311, &mut line).unwrap();
        assert_eq!(&line[..], bytes);
    }
}

/// MQTT 5 §3.3.2.3.4: an alias goes with the topic first, and in its place afterwards.
#[test]
fn an_alias_stands_for_its_topic() {
    let publish = Publish::new(TopicName::try_from("a/long/topic").unwrap(), "x");
    let mut decoder = Decoder::client(Version::V5, 1024);
    decoder.set_topic_alias_maximum(4);
    let mut line = BytesMut::from(&b"\x20\x03\x00\x00\x00"[..]);
    decoder.decode(&mut line).unwrap();
    let alias = NonZeroU16::new(4);
    let mut parts = PublishParts {
        alias,
        ..PublishParts::from(&publish)
    };
    let mut size = 0;
    for topic in ["a/long/topic", ""] {
        parts.topic = topic;
        encode_publish(&parts, Version::V5, &mut line).unwrap();
        assert_eq!(line.len(), publish_size(&parts, Version::V5));
        assert_ne!(line.len(), std::mem::replace(&mut size, line.len()));
        let decoded = decoder.decode(&mut line).unwrap();
        assert_eq!(decoded, Some(Packet::Publish(publish.clone())));
    }
    let refused = encode_publish(&parts, Version::V311, &mut line);
    assert_eq!(refused, Err(EncodeError::Topic));
}
