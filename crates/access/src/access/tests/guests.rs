//! Clients of the plain listener.

use super::*;
use model::port::Random;

struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        bytes[..8].copy_from_slice(&number.to_be_bytes());
    }
}

/// Lets in whoever says `right`.
struct Right;

#[async_trait]
impl Porter for Right {
    async fn admits(&self, _: &str, password: &[u8]) -> bool {
        password == b"right"
    }
}

pub(super) fn plain() -> Plain {
    Plain {
        name: "plain".into(),
        anonymous: true,
        porter: Some(Arc::new(Right)),
        refuse: vec!["refused/#".into()],
        qos: 2,
        retain: true,
        terms: Terms {
            topic_aliases: 4,
            response_information: Some("answers".into()),
            ..Terms::of(&Bounds::default())
        },
        random: Arc::new(Counted(AtomicU64::new(0))),
    }
}

pub(super) fn guests(plain: Plain) -> Server {
    server_of(Bounds::default(), Some(plain))
}

pub(super) fn nobody(version: Version, client_id: &str) -> Connect {
    Connect {
        username: None,
        password: None,
        ..connect(version, client_id, "")
    }
}

impl Server {
    pub(super) async fn guest(&self, version: Version, client_id: &str) -> Client {
        self.client_of(3, nobody(version, client_id)).await
    }

    /// The CONNACK of a CONNECT to the plain listener.
    pub(super) async fn verdict(&self, connect: Connect) -> wire::mqtt::ConnAck {
        let mut client = Client::new(Box::new(self.tcp(3).await), connect.version);
        client.send(&Packet::Connect(Box::new(connect))).await;
        match client.next().await {
            Some(Packet::ConnAck(ack)) => ack,
            other => panic!("{other:?}"),
        }
    }
}

/// A guest publishes and subscribes as it likes, at every QoS; nothing of it is in the journal.
#[tokio::test]
async fn guests_share_topics_of_their_own() {
    let server = guests(plain());
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut one = server.guest(version, "one").await;
        let mut two = server.guest(version, "two").await;
        assert_eq!(two.subscribe("any/#").await, ReasonCode::GrantedQoS2);
        one.publish("any/topic", "hello", QoS::AtLeastOnce).await;
        assert_eq!(two.message().await, ("any/topic".into(), "hello".into()));
        assert_eq!(one.puback().await, ReasonCode::Success);
        one.publish("any/topic", "twice", QoS::ExactlyOnce).await;
        assert_eq!(two.message().await.1, "twice");
        let Some(Packet::PubRec(_)) = one.next().await else {
            panic!("no PUBREC");
        };
    }
    assert!(server.notes.closed.lock().is_empty());
    assert!(server.notes.left.lock().is_empty());
}

/// Devices and guests do not hear each other, not even under the same names and topics, retained
/// messages and signals of the bus included.
#[tokio::test]
async fn no_message_passes_between_guests_and_devices() {
    let server = guests(plain());
    let mut device = server.device("lamp", "lamp").await;
    let mut guest = server.guest(Version::V311, "lamp").await;
    assert_eq!(device.subscribe("all/#").await, ReasonCode::GrantedQoS1);
    assert_eq!(guest.subscribe("#").await, ReasonCode::GrantedQoS2);
    device.publish("all/word", "device", QoS::AtMostOnce).await;
    assert_eq!(device.message().await.1, "device");
    let mut publish = Publish::new(TopicName::try_from("all/word").unwrap(), "guest");
    publish.retain = true;
    guest.send(&Packet::Publish(publish)).await;
    assert_eq!(guest.message().await.1, "guest");
    let word = Signal::Publish {
        to: Audience::Device(IotId::parse("lamp").unwrap()),
        topic: "all/word".into(),
        payload: "signal".into(),
        qos: 0,
        system: false,
    };
    server.bus.send(word.into()).await.unwrap();
    assert_eq!(device.message().await.1, "signal");
    guest.quiet().await;
    device.subscribe("all/word").await;
    device.quiet().await;
    let close = Signal::Close {
        iot_id: IotId::parse("lamp").unwrap(),
        session: None,
        reason: CloseReason::Disabled,
    };
    server.bus.send(close.into()).await.unwrap();
    assert_eq!(device.next().await, None);
    guest.quiet().await;
}

/// User names are checked where there is a porter; without one they mean nothing.
#[tokio::test]
async fn guests_show_who_they_are() {
    let server = guests(plain());
    let wrong = |version| Connect {
        password: Some(Secret::new("wrong").unwrap()),
        ..connect(version, "c", "somebody")
    };
    let verdict = server.verdict(wrong(Version::V5)).await.reason;
    assert_eq!(verdict, ReasonCode::BadUserNameOrPassword);
    let verdict = server.verdict(wrong(Version::V311)).await.reason;
    assert_eq!(verdict, ReasonCode::BadUserNameOrPassword);
    let right = connect(Version::V5, "c", "somebody");
    assert_eq!(server.verdict(right).await.reason, ReasonCode::Success);

    let closed = Plain {
        anonymous: false,
        ..plain()
    };
    let server = guests(closed);
    let verdict = server.verdict(nobody(Version::V5, "c")).await.reason;
    assert_eq!(verdict, ReasonCode::NotAuthorized);
    let verdict = server.verdict(nobody(Version::V311, "c")).await.reason;
    assert_eq!(verdict, ReasonCode::NotAuthorized);
}

/// Refused topics are neither subscribed to nor published to, and no will is left there.
#[tokio::test]
async fn refused_topics_are_refused() {
    let server = guests(plain());
    let mut old = server.guest(Version::V311, "old").await;
    assert_eq!(
        old.subscribe("refused/a").await,
        ReasonCode::UnspecifiedError
    );
    let mut new = server.guest(Version::V5, "new").await;
    assert_eq!(new.subscribe("refused/+").await, ReasonCode::NotAuthorized);
    assert_eq!(new.subscribe("#").await, ReasonCode::GrantedQoS2);
    new.publish("refused/a", "x", QoS::AtLeastOnce).await;
    assert_eq!(new.puback().await, ReasonCode::NotAuthorized);
    old.publish("refused/a", "x", QoS::AtLeastOnce).await;
    assert_eq!(old.puback().await, ReasonCode::Success);
    new.quiet().await;
    let mut will = nobody(Version::V5, "w");
    will.will = Some(Will {
        topic: TopicName::try_from("refused/will").unwrap(),
        payload: wire::mqtt::Binary::new("x").unwrap(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::new(),
    });
    let verdict = server.verdict(will).await.reason;
    assert_eq!(verdict, ReasonCode::NotAuthorized);
}

/// [MQTT-3.1.3-6], [MQTT-3.1.3-7] A client without an id gets one of its own, and is told it; where
/// that is switched off it is refused.
#[tokio::test]
async fn a_guest_without_an_id_gets_one() {
    let server = guests(plain());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let ack = server.verdict(nobody(Version::V5, "")).await;
        assert_eq!(ack.reason, ReasonCode::Success);
        let id = ack.properties.assigned_client_identifier().unwrap();
        ids.push(id.to_string());
    }
    assert_ne!(ids[0], ids[1]);
    server.guest(Version::V311, "").await;

    let mut strict = plain();
    strict.terms.assign_ids = false;
    let server = guests(strict);
    for version in [Version::V311, Version::V5] {
        let ack = server.verdict(nobody(version, "")).await;
        assert_eq!(ack.reason, ReasonCode::ClientIdNotValid);
    }
}

/// MQTT 5 §3.2.2.3: what the listener offers is what CONNACK says.
#[tokio::test]
async fn connack_tells_the_terms() {
    let mut narrow = plain();
    narrow.qos = 1;
    narrow.retain = false;
    narrow.terms = Terms {
        receive_maximum: id(7),
        packet: 1000,
        topic_aliases: 3,
        keep_alive: 20,
        session_life: Duration::from_secs(100),
        assign_ids: true,
        response_information: Some("answers".into()),
        wildcards: false,
        identifiers: false,
        shared: false,
    };
    let server = guests(narrow);
    let mut hello = nobody(Version::V5, "c");
    hello.properties.push(Property::SessionExpiryInterval(1000));
    hello
        .properties
        .push(Property::RequestResponseInformation(true));
    let told = server.verdict(hello).await.properties;
    assert_eq!(told.session_expiry_interval(), Some(&100));
    assert_eq!(told.receive_maximum(), Some(&id(7)));
    assert_eq!(told.maximum_qos(), Some(&true));
    assert_eq!(told.retain_available(), Some(&false));
    assert_eq!(told.maximum_packet_size().unwrap().get(), 1000);
    assert_eq!(told.topic_alias_maximum(), Some(&3));
    assert_eq!(told.server_keep_alive(), Some(&20));
    assert_eq!(told.wildcard_subscription_available(), Some(&false));
    assert_eq!(told.subscription_identifier_available(), Some(&false));
    assert_eq!(told.shared_subscription_available(), Some(&false));
    assert_eq!(&**told.response_information().unwrap(), "answers");
    let mut client = server.guest(Version::V5, "d").await;
    for (filter, verdict) in [
        ("a", ReasonCode::GrantedQoS1),
        ("a/#", ReasonCode::WildcardSubscriptionsNotSupported),
        ("$share/g/a", ReasonCode::SharedSubscriptionsNotSupported),
    ] {
        assert_eq!(client.subscribe(filter).await, verdict, "{filter}");
    }
}

/// [MQTT-3.1.4-3] A second connection under the same client id takes the first one's place; the
/// session goes on for the same user, and not for another.
#[tokio::test]
async fn a_client_id_is_taken_over() {
    let server = guests(plain());
    let kept = |user: &str| Connect {
        clean_start: false,
        ..connect(Version::V311, "c", user)
    };
    let mut first = server.client_of(3, kept("one")).await;
    first.subscribe("a").await;
    let ack = server.verdict(kept("one")).await;
    assert!(ack.session_present);
    assert_eq!(first.next().await, None);
    let ack = server.verdict(kept("two")).await;
    assert_eq!(ack.reason, ReasonCode::Success);
    assert!(!ack.session_present);
}

/// MQTT 5 §3.4.2.1: a publisher learns that nobody subscribes to its topic.
#[tokio::test]
async fn a_publisher_learns_that_nobody_listens() {
    let server = guests(plain());
    let mut new = server.guest(Version::V5, "new").await;
    new.publish("alone", "x", QoS::AtLeastOnce).await;
    assert_eq!(new.puback().await, ReasonCode::NoMatchingSubscribers);
    let mut old = server.guest(Version::V311, "old").await;
    old.subscribe("alone").await;
    new.publish("alone", "x", QoS::AtLeastOnce).await;
    assert_eq!(new.puback().await, ReasonCode::Success);
}

/// A client that closes its half of the connection right behind its packets is still answered.
#[tokio::test]
async fn a_half_closed_client_gets_its_answers() {
    let server = guests(plain());
    let mut client = Client::new(Box::new(server.tcp(3).await), Version::V5);
    let mut bytes = BytesMut::new();
    let hello = Packet::Connect(Box::new(nobody(Version::V5, "c")));
    encode(&hello, Version::V5, &mut bytes).unwrap();
    encode(&Packet::PingReq, Version::V5, &mut bytes).unwrap();
    client.stream.write_all(&bytes).await.unwrap();
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.connack().await, ReasonCode::Success);
    assert_eq!(client.next().await, Some(Packet::PingResp));
    assert_eq!(client.next().await, None);
}

/// [MQTT-3.15.1-1] and MQTT 5 §4.12: there is no enhanced authentication here.
#[tokio::test]
async fn enhanced_authentication_is_refused() {
    let server = guests(plain());
    let mut hello = nobody(Version::V5, "c");
    let method = Text::try_from("SCRAM-SHA-1").unwrap();
    hello
        .properties
        .push(Property::AuthenticationMethod(method));
    let verdict = server.verdict(hello).await.reason;
    assert_eq!(verdict, ReasonCode::BadAuthenticationMethod);
    let mut client = server.guest(Version::V5, "c").await;
    client.stream.write_all(b"\xf0\x00").await.unwrap();
    let Some(Packet::Disconnect(bye)) = client.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::ProtocolError);
}

/// [MQTT-3.1.2-26] We use aliases as far as the client takes them.
#[tokio::test]
async fn topics_get_aliases_as_far_as_the_client_takes_them() {
    let server = guests(plain());
    let mut hello = nobody(Version::V5, "c");
    hello.properties.push(Property::TopicAliasMaximum(1));
    let size = std::num::NonZeroU32::new(18).unwrap();
    hello.properties.push(Property::MaximumPacketSize(size));
    let mut client = server.client_of(3, hello).await;
    client.subscribe("a/#").await;
    let mut other = server.guest(Version::V5, "d").await;
    for (topic, payload) in [
        ("a/t", "exactly"),
        ("a/t", "x"),
        ("a/t", "x"),
        ("a/t", "exactly10!"),
        ("a/u", "x"),
    ] {
        other.publish(topic, payload, QoS::AtMostOnce).await;
    }
    for expected in [
        &b"\x30\x10\0\x03a/t\x03\x23\0\x01exactly"[..],
        b"\x30\x07\0\0\x03\x23\0\x01x",
        b"\x30\x07\0\0\x03\x23\0\x01x",
        b"\x30\x10\0\0\x03\x23\0\x01exactly10!",
        b"\x30\x07\0\x03a/u\0x",
    ] {
        let mut bytes = vec![0; expected.len()];
        client.stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, expected);
    }
}

/// [MQTT-3.1.2-29] What was wrong is told in words, unless the client wants none.
#[tokio::test]
async fn failures_are_explained_to_those_who_want_it() {
    let server = guests(plain());
    for (wants, size, told) in [
        (None, 100, Some("Not authorized.")),
        (Some(true), 100, Some("Not authorized.")),
        (Some(false), 100, None),
        (None, 20, None),
    ] {
        let mut hello = nobody(Version::V5, "c");
        let properties = &mut hello.properties;
        let size = std::num::NonZeroU32::new(size).unwrap();
        properties.push(Property::MaximumPacketSize(size));
        if let Some(wants) = wants {
            properties.push(Property::RequestProblemInformation(wants));
        }
        let mut client = server.client_of(3, hello).await;
        client.publish("refused/a", "x", QoS::AtLeastOnce).await;
        let Some(Packet::PubAck(ack)) = client.next().await else {
            panic!("no PUBACK");
        };
        assert_eq!(ack.reason, ReasonCode::NotAuthorized);
        let words = ack.properties.reason_string().map(|words| &**words);
        assert_eq!(words, told);
        let ask = Packet::Subscribe(Subscribe {
            packet_id: id(9),
            filters: vec![SubscribeFilter {
                filter: TopicFilter::try_from("refused/a").unwrap(),
                options: SubscribeOptions::at(QoS::AtMostOnce),
            }],
            properties: Properties::new(),
        });
        client.send(&ask).await;
        let Some(Packet::SubAck(ack)) = client.next().await else {
            panic!("no SUBACK");
        };
        let words = ack.properties.reason_string().map(|words| &**words);
        assert_eq!(words, told);
    }
}
