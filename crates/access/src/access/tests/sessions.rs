//! How connections and sessions begin and end.

use super::*;

/// [AL-3.4] Silence past one and a half intervals ends the connection; a PINGREQ in between does
/// not let it come to that.
#[tokio::test]
async fn silence_ends_a_connection() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    tokio::time::advance(Duration::from_secs(89)).await;
    client.quiet().await;
    assert_eq!(client.next().await, None);
    let silent = start.elapsed().as_secs();
    assert!((178..=181).contains(&silent), "{silent}");
    let closed = server.notes.closed(1).await;
    assert_eq!(closed[0].1, "the device was silent for too long");
}

/// [AL-3.4] A second connection with the same credentials closes the first, whatever its client
/// id; each session is closed once.
#[tokio::test]
async fn a_second_login_closes_the_first() {
    let server = server();
    let mut first = server.device("one", "lamp").await;
    let mut second = server.client(connect(Version::V5, "two", "lamp")).await;
    assert_eq!(first.next().await, None);
    let mut third = server.device("three", "lamp").await;
    let Some(Packet::Disconnect(bye)) = second.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::SessionTakenOver);
    drop(second);
    third.quiet().await;
    let mut closed = server.notes.closed(2).await;
    closed.sort();
    assert_eq!(
        closed[0],
        (SessionId(0), "the device connected again".into())
    );
    assert_eq!(
        closed[1],
        (SessionId(1), "the device connected again".into())
    );
    // The late word of the hub about the first session does not hit the third.
    let word = |session| Signal::Close {
        iot_id: IotId::parse("lamp").unwrap(),
        session,
        reason: CloseReason::TakenOver,
    };
    server
        .bus
        .send(word(Some(SessionId(0))).into())
        .await
        .unwrap();
    server
        .bus
        .send(word(Some(SessionId(2))).into())
        .await
        .unwrap();
    assert_eq!(third.next().await, None);
    assert_eq!(server.notes.closed(3).await.len(), 3);
}

/// That a device is offline is noted after passing trouble, too; its place is given back once.
#[tokio::test]
async fn passing_trouble_loses_no_end() {
    let server = server();
    server.notes.trouble.store(true, Ordering::SeqCst);
    let client = server.device("c", "lamp").await;
    drop(client);
    let closed = server.notes.closed(1).await;
    assert_eq!(closed, [(SessionId(0), "the connection was lost".into())]);
    assert_eq!(*server.notes.left.lock(), [SessionId(0)]);
}

/// Even a bug in a dialect leaves no session open in the hub.
#[tokio::test]
async fn a_panic_ends_one_connection_and_its_session() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    client.publish("lamp/panic", "x", QoS::AtLeastOnce).await;
    assert_eq!(client.next().await, None);
    let closed = server.notes.closed(1).await;
    assert_eq!(
        closed,
        [(SessionId(0), "the connection's task failed".into())]
    );
    server.device("c", "lamp").await.quiet().await;
}

/// A word to close a connection ends it at once, and one that is just coming in as well.
#[tokio::test]
async fn a_disabled_device_is_put_out() {
    let server = server();
    let mut client = server.client(connect(Version::V5, "c", "lamp")).await;
    let word = Signal::Close {
        iot_id: IotId::parse("lamp").unwrap(),
        session: None,
        reason: CloseReason::Disabled,
    };
    server.bus.send(word.into()).await.unwrap();
    let Some(Packet::Disconnect(bye)) = client.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::AdministrativeAction);
    assert_eq!(client.next().await, None);
    drop(client);
    assert_eq!(server.notes.closed(1).await[0].1, "the device was disabled");
}

/// The word to close may come while its device is still being admitted; it is not lost.
#[tokio::test]
async fn a_device_that_is_disabled_at_the_door_does_not_slip_in() {
    let server = server();
    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
    let hello = connect(Version::V311, "late", "lamp");
    client.send(&Packet::Connect(Box::new(hello))).await;
    while server.dialect.begun.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let word = Signal::Close {
        iot_id: IotId::parse("lamp").unwrap(),
        session: None,
        reason: CloseReason::Disabled,
    };
    server.bus.send(word.into()).await.unwrap();
    server.heard().await;
    server.dialect.slow.add_permits(1);
    assert_eq!(client.connack().await, ReasonCode::Success);
    assert_eq!(client.next().await, None);
    let closed = server.notes.closed(2).await;
    let why = |wanted| closed.iter().any(|(_, why)| why == wanted);
    assert!(why("the device was disabled"));
    // It holds for that login only.
    server.device("c", "lamp").await.quiet().await;
}

/// Nothing is kept for a device that was deleted, whether it was connected or away.
#[tokio::test]
async fn a_deleted_device_leaves_no_session() {
    for away in [false, true] {
        let server = server();
        let mut hello = connect(Version::V311, "c", "lamp");
        hello.clean_start = false;
        let mut client = server.client(hello.clone()).await;
        client.subscribe("all/#").await;
        let word = Signal::Close {
            iot_id: IotId::parse("lamp").unwrap(),
            session: None,
            reason: CloseReason::Deleted,
        };
        if away {
            drop(client);
            server.notes.closed(1).await;
            server.bus.send(word.into()).await.unwrap();
            server.heard().await;
        } else {
            server.bus.send(word.into()).await.unwrap();
            assert_eq!(client.next().await, None);
        }
        let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
        client.send(&Packet::Connect(Box::new(hello))).await;
        let Some(Packet::ConnAck(ack)) = client.next().await else {
            panic!("no CONNACK");
        };
        assert!(!ack.session_present);
    }
}

/// [AL-3.1] Clean session off: subscriptions and QoS 1 messages outlive the connection; with it on
/// they do not.
#[tokio::test]
async fn a_session_outlives_its_connection() {
    let server = server();
    let mut hello = connect(Version::V311, "c", "lamp");
    hello.clean_start = false;
    let mut client = server.client(hello.clone()).await;
    client.subscribe("all/#").await;
    drop(client);
    server.notes.closed(1).await;
    let mut door = server.device("c", "door").await;
    door.publish("all/0", "lost", QoS::AtMostOnce).await;
    door.publish("all/1", "kept", QoS::AtLeastOnce).await;
    door.puback().await;

    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
    client.send(&Packet::Connect(Box::new(hello.clone()))).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else {
        panic!("no CONNACK");
    };
    assert!(ack.session_present);
    assert_eq!(client.message().await, ("all/1".into(), "kept".into()));
    client.quiet().await;

    let mut client = server.device("c", "lamp").await;
    door.publish("all/2", "gone", QoS::AtLeastOnce).await;
    door.puback().await;
    client.quiet().await;
    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
    client.send(&Packet::Connect(Box::new(hello))).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else {
        panic!("no CONNACK");
    };
    assert!(!ack.session_present);
}

/// The queue of a device that is away is bounded; the oldest messages go first. Sessions beyond
/// their bound and their time are forgotten.
#[tokio::test]
async fn what_is_kept_for_those_away_is_bounded() {
    let server = server_with(Bounds {
        queue: 2,
        sessions: 1,
        ..Bounds::default()
    });
    for (number, user) in ["lamp", "bell"].into_iter().enumerate() {
        let mut hello = connect(Version::V311, "c", user);
        hello.clean_start = false;
        let mut client = server.client(hello).await;
        client.subscribe("all/#").await;
        drop(client);
        server.notes.closed(number + 1).await;
    }
    let mut door = server.device("c", "door").await;
    for payload in ["1", "2", "3"] {
        door.publish("all/x", payload, QoS::AtLeastOnce).await;
        door.puback().await;
    }
    let mut hello = connect(Version::V311, "c", "bell");
    hello.clean_start = false;
    let mut bell = server.client(hello).await;
    assert_eq!(bell.message().await.1, "2");
    assert_eq!(bell.message().await.1, "3");
    bell.quiet().await;
    let mut hello = connect(Version::V311, "c", "lamp");
    hello.clean_start = false;
    server.client(hello).await.quiet().await;
}

/// A stop tells devices, closes every session in the hub, and then returns.
#[tokio::test]
async fn a_stop_leaves_nothing_open() {
    let server = server();
    let mut old = server.device("c", "lamp").await;
    let mut new = server.client(connect(Version::V5, "c", "door")).await;
    let _silent = server.tcp(0).await;
    let address = server.running.addresses()[0];
    let clients = async {
        assert_eq!(old.next().await, None);
        let Some(Packet::Disconnect(bye)) = new.next().await else {
            panic!("no DISCONNECT");
        };
        assert_eq!(bye.reason, ReasonCode::ServerShuttingDown);
        drop((old, new));
    };
    let started = tokio::time::Instant::now();
    tokio::join!(server.running.stop(), clients);
    assert!(started.elapsed() < Duration::from_secs(5));
    let closed = server.notes.closed.lock().clone();
    assert_eq!(closed.len(), 2);
    assert!(closed.iter().all(|(_, why)| why == "the server stops"));
    assert!(TcpStream::connect(address).await.is_err());
}

/// [AL-3.4] What a profile allows beyond QoS 1 holds for the topics that the dialect says.
#[tokio::test]
async fn the_vendors_own_topics_have_no_extras() {
    let server = server();
    for (topic, qos, retain, reason) in [
        ("lamp/free", QoS::ExactlyOnce, true, None),
        (
            "lamp/post",
            QoS::ExactlyOnce,
            false,
            Some(ReasonCode::QoSNotSupported),
        ),
        (
            "lamp/post",
            QoS::AtLeastOnce,
            true,
            Some(ReasonCode::RetainNotSupported),
        ),
    ] {
        let mut client = server.client(connect(Version::V5, "full", "lamp")).await;
        let mut publish = Publish::new(TopicName::try_from(topic).unwrap(), "x");
        (publish.qos, publish.retain, publish.packet_id) = (qos, retain, Some(id(1)));
        client.send(&Packet::Publish(publish)).await;
        let answer = client.next().await;
        match reason {
            None => assert!(matches!(answer, Some(Packet::PubRec(_)))),
            Some(reason) => {
                assert!(matches!(answer, Some(Packet::Disconnect(bye)) if bye.reason == reason));
            }
        }
    }
}
