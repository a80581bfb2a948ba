//! Who may say what, and who gets it.

use super::*;

/// spec/alink-wire.md §7: system topics come without a subscription; an explicit one on top does
/// not double them; UNSUBSCRIBE switches them off, SUBSCRIBE on again.
#[tokio::test]
async fn implicit_subscriptions_can_be_switched_off() {
    let server = server();
    let mut client = server.device("implicit", "lamp").await;
    client.publish("lamp/post", "1", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.1, "1");
    client.subscribe("lamp/+").await;
    client.publish("lamp/post", "2", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.1, "2");
    client.quiet().await;
    client.unsubscribe("lamp/+").await;
    client.publish("lamp/post", "3", QoS::AtMostOnce).await;
    client.quiet().await;
    client.subscribe("lamp/+").await;
    client.publish("lamp/post", "4", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.1, "4");
    client.quiet().await;

    let mut explicit = server.device("c", "door").await;
    explicit.publish("door/post", "5", QoS::AtMostOnce).await;
    explicit.quiet().await;
}

/// [AL-3.12] Rights: SUBSCRIBE is answered 0x80 (0x87 in MQTT 5), a publish is dropped and
/// counted and acknowledged where the profile is lenient, and ends the connection elsewhere.
#[tokio::test]
async fn foreign_topics_are_out_of_reach() {
    let server = server();
    let mut door = server.device("c", "door").await;
    door.subscribe("door/#").await;
    let mut old = server.device("c", "lamp").await;
    assert_eq!(old.subscribe("door/x").await, ReasonCode::UnspecifiedError);
    old.publish("door/x", "boo", QoS::AtLeastOnce).await;
    assert_eq!(old.puback().await, ReasonCode::Success);
    assert_eq!(server.notes.dropped.load(Ordering::SeqCst), 1);
    let mut new = server.client(connect(Version::V5, "c", "lamp")).await;
    assert_eq!(new.subscribe("door/x").await, ReasonCode::NotAuthorized);
    new.publish("door/x", "boo", QoS::AtLeastOnce).await;
    assert_eq!(new.puback().await, ReasonCode::NotAuthorized);
    let mut strict = server.device("strict", "bell").await;
    strict.publish("door/x", "boo", QoS::AtLeastOnce).await;
    assert_eq!(strict.next().await, None);
    door.quiet().await;
}

/// [MQTT-4.8.0-2] What was not stored is not acknowledged: the connection ends, and the device
/// tries again.
#[tokio::test]
async fn a_fault_is_no_acknowledgement() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    client.publish("lamp/fault", "x", QoS::AtLeastOnce).await;
    assert_eq!(client.next().await, None);
    let mut client = server.client(connect(Version::V5, "c", "lamp")).await;
    client.publish("lamp/fault", "x", QoS::AtLeastOnce).await;
    let Some(Packet::Disconnect(bye)) = client.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::UnspecifiedError);
}

/// Commands wait until the device listens to their topic, whether it subscribes or is told so by
/// the hub, once.
#[tokio::test]
async fn commands_wait_for_a_device_that_listens() {
    let server = server();
    server.notes.command("lamp", 1);
    let mut client = server.device("c", "lamp").await;
    client.subscribe("lamp/other").await;
    client.quiet().await;
    client.subscribe("lamp/set").await;
    assert_eq!(client.message().await, ("lamp/set".into(), "1".into()));
    server.notes.command("lamp", 2);
    let iot_id = IotId::parse("lamp").unwrap();
    let word = Signal::CommandsWait { iot_id };
    server.bus.send(word.into()).await.unwrap();
    assert_eq!(client.message().await, ("lamp/set".into(), "2".into()));

    server.notes.command("door", 3);
    let mut implicit = server.device("implicit", "door").await;
    assert_eq!(implicit.message().await, ("door/set".into(), "3".into()));
}

/// Messages of applications reach one device, or those of a product who subscribe.
#[tokio::test]
async fn the_bus_reaches_subscribers() {
    let server = server();
    let mut lamp = server.device("c", "lamp").await;
    let mut door = server.device("c", "door").await;
    lamp.subscribe("all/#").await;
    door.subscribe("all/x").await;
    let publish = |to, topic: &str| Signal::Publish {
        to,
        topic: topic.into(),
        payload: "news".into(),
        qos: 1,
        system: false,
    };
    let product = |key| Audience::Product(ProductKey::parse(key).unwrap());
    let device = Audience::Device(IotId::parse("lamp").unwrap());
    for signal in [
        publish(product("other"), "all/x"),
        publish(product("pk"), "all/+"),
        publish(device, "all/y"),
        publish(product("pk"), "all/x"),
    ] {
        server.bus.send(signal.into()).await.unwrap();
    }
    assert_eq!(lamp.message().await.0, "all/y");
    assert_eq!(lamp.message().await.0, "all/x");
    assert_eq!(door.message().await.0, "all/x");
    lamp.quiet().await;
    door.quiet().await;
}

/// QoS 2, retained messages and wills work where the profile has them.
#[tokio::test]
async fn a_full_profile_has_all_of_mqtt() {
    let server = server();
    let mut hello = connect(Version::V311, "full", "lamp");
    hello.will = Some(Will {
        topic: TopicName::try_from("all/will").unwrap(),
        payload: wire::mqtt::Binary::new("farewell").unwrap(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::new(),
    });
    let mut lamp = server.client(hello).await;
    let mut door = server.device("c", "door").await;
    door.subscribe("all/#").await;
    lamp.publish("all/2", "twice", QoS::ExactlyOnce).await;
    assert!(matches!(lamp.next().await, Some(Packet::PubRec(_))));
    lamp.publish("all/2", "twice", QoS::ExactlyOnce).await;
    assert!(matches!(lamp.next().await, Some(Packet::PubRec(_))));
    let release = Ack::new(id(7), ReasonCode::Success);
    lamp.send(&Packet::PubRel(release)).await;
    assert!(matches!(lamp.next().await, Some(Packet::PubComp(_))));
    let mut kept = Publish::new(TopicName::try_from("all/kept").unwrap(), "last");
    kept.retain = true;
    lamp.send(&Packet::Publish(kept)).await;
    assert_eq!(door.message().await, ("all/2".into(), "twice".into()));
    assert_eq!(door.message().await, ("all/kept".into(), "last".into()));
    drop(lamp);
    assert_eq!(door.message().await, ("all/will".into(), "farewell".into()));
    let mut late = server.device("c", "bell").await;
    late.subscribe("all/+").await;
    assert_eq!(late.message().await, ("all/kept".into(), "last".into()));
}

/// Without them in the profile they end the connection, and a will does not begin one.
#[tokio::test]
async fn a_profile_keeps_its_bounds() {
    let server = server();
    for version in [Version::V311, Version::V5] {
        let mut client = server.client(connect(version, "c", "lamp")).await;
        client.publish("lamp/x", "", QoS::ExactlyOnce).await;
        let end = client.next().await;
        if version.is_v5() {
            let Some(Packet::Disconnect(bye)) = end else {
                panic!("{end:?}");
            };
            assert_eq!(bye.reason, ReasonCode::QoSNotSupported);
        } else {
            assert_eq!(end, None);
        }
        let mut client = server.client(connect(version, "c", "lamp")).await;
        let mut kept = Publish::new(TopicName::try_from("lamp/x").unwrap(), "");
        kept.retain = true;
        client.send(&Packet::Publish(kept)).await;
        assert_ne!(client.next().await, Some(Packet::PingResp));
        let mut hello = connect(version, "c", "bell");
        hello.will = Some(Will {
            topic: TopicName::try_from("bell/x").unwrap(),
            payload: wire::mqtt::Binary::default(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::new(),
        });
        let mut client = Client::new(Box::new(server.tcp(0).await), version);
        client.send(&Packet::Connect(Box::new(hello))).await;
        assert!(client.connack().await.is_error());
    }
    // The session that the hub had opened for it is closed.
    let closed = server.notes.closed(6).await;
    let will = closed
        .iter()
        .filter(|(_, why)| why == "no will may be left here");
    assert_eq!(will.count(), 2);
}

/// A member of a group gets what the others do not.
#[tokio::test]
async fn shared_subscriptions_take_turns() {
    let server = server();
    let mut members = Vec::new();
    for user in ["lamp", "door"] {
        let mut member = server.device("c", user).await;
        // The dialect is asked for the filter without the group.
        assert_eq!(
            member.subscribe("$share/g/all/x").await,
            ReasonCode::GrantedQoS1
        );
        members.push(member);
    }
    let mut bell = server.device("c", "bell").await;
    for _ in 0..4 {
        bell.publish("all/x", "turn", QoS::AtLeastOnce).await;
        bell.puback().await;
    }
    for mut member in members {
        assert_eq!(member.message().await.1, "turn");
        assert_eq!(member.message().await.1, "turn");
        member.quiet().await;
    }
}
