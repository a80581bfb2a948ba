//! What keeps one client from harming the others.

use super::*;

/// A window full of messages makes the client wait; none is lost.
#[tokio::test]
async fn a_client_that_is_too_fast_is_slowed_down() {
    let server = server_with(Bounds {
        window: 2,
        ..Bounds::default()
    });
    let mut client = server.device("c", "lamp").await;
    for _ in 0..5 {
        client.publish("lamp/slow", "", QoS::AtMostOnce).await;
    }
    client.send(&Packet::PingReq).await;
    while server.dialect.begun.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    server.dialect.slow.add_permits(5);
    assert_eq!(client.next().await, Some(Packet::PingResp));
    assert_eq!(server.dialect.begun.lock().len(), 5);
}

/// Answers that are ready all at once, and are more than may wait for the client, come as fast as it
/// reads; none is lost, be it at QoS 0.
#[tokio::test]
async fn who_asks_for_much_at_once_gets_all_of_it() {
    let server = server_with(Bounds {
        outgoing: 16 * 1024,
        ..Bounds::default()
    });
    let mut client = server.device("implicit", "lamp").await;
    let payload: &'static str = "x".repeat(10_000).leak();
    client.publish("lamp/slow", "", QoS::AtMostOnce).await;
    for _ in 0..20 {
        client.publish("lamp/post", payload, QoS::AtMostOnce).await;
    }
    while server.dialect.begun.lock().len() < 21 {
        tokio::task::yield_now().await;
    }
    server.dialect.slow.add_permits(1);
    for _ in 0..20 {
        let (topic, answer) = client.message().await;
        assert_eq!((topic.as_str(), answer.len()), ("lamp/post_reply", 10_000));
    }
    assert_eq!(server.notes.dropped.load(Ordering::SeqCst), 0);
}

/// What is not spoken here ends the connection, and so does what is too large or malformed.
#[tokio::test]
async fn nonsense_is_shown_out() {
    let server = server();
    for (listener, bytes) in [
        (0, &b"\x00\x00"[..]),
        (0, b"\x30\x03\x00\x01a"),
        (0, b"hello"),
        (1, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d"),
        (2, b"GET / HTTP/1.1\r\n\r\n"),
        (2, b"\x16\x03\x01\x02\x00"),
        // A CONNECT that says it has 256 MB.
        (0, b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04"),
    ] {
        let answer = answer(server.tcp(listener).await, bytes).await;
        assert_eq!(answer, "", "{bytes:?}");
    }
    // A protocol level that nobody knows has an answer of its own (MQTT 3.1.1 §3.1.2.2).
    let unknown = b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01d";
    let told = answer(server.tcp(0).await, unknown).await;
    assert_eq!(told.as_bytes(), b"\x20\x02\x00\x01");

    let mut large = server.client(connect(Version::V5, "c", "lamp")).await;
    large.stream.write_all(b"\x30\xff\xff\x7f").await.unwrap();
    let Some(Packet::Disconnect(bye)) = large.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::PacketTooLarge);
    let mut twice = server.device("c", "lamp").await;
    let again = connect(Version::V311, "c", "lamp");
    twice.send(&Packet::Connect(Box::new(again))).await;
    assert_eq!(twice.next().await, None);
}

/// What came before the nonsense is answered before the door is closed, in the same breath as it
/// may have come; MQTT 5 forbids a DISCONNECT before CONNACK (§3.14).
#[tokio::test]
async fn nonsense_does_not_take_back_an_answer() {
    let server = server();
    for version in [Version::V311, Version::V5] {
        let mut bytes = BytesMut::new();
        let hello = Packet::Connect(Box::new(connect(version, "c", "lamp")));
        encode(&hello, version, &mut bytes).unwrap();
        encode(&Packet::PingReq, version, &mut bytes).unwrap();
        bytes.extend_from_slice(b"\x00\x00");
        let mut stream = server.tcp(0).await;
        stream.write_all(&bytes).await.unwrap();
        let mut answer = BytesMut::new();
        while stream.read_buf(&mut answer).await.unwrap() > 0 {}
        let mut decoder = Decoder::client(version, 1024);
        let mut next = || decoder.decode(&mut answer).unwrap();
        assert!(matches!(next(), Some(Packet::ConnAck(_))), "{version:?}");
        assert_eq!(next(), Some(Packet::PingResp), "{version:?}");
        let bye = next();
        assert_eq!(
            matches!(bye, Some(Packet::Disconnect(_))),
            version.is_v5(),
            "{bye:?}"
        );
    }
}

/// Who says nothing, or says it slowly, does not keep a place for long.
#[tokio::test]
async fn a_slow_hello_is_cut_off() {
    let server = server();
    let mut silent = server.tcp(0).await;
    let mut half = server.tcp(0).await;
    half.write_all(b"\x10\x0d\x00\x04MQ").await.unwrap();
    let mut head = server.tcp(0).await;
    head.write_all(b"GET /mqtt HTTP/1.1\r\n").await.unwrap();
    let mut shake = server.tcp(0).await;
    shake.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    let mut inside = server.tls(0).await;
    inside.write_all(b"\x10").await.unwrap();
    tokio::time::pause();
    let streams: [&mut dyn crate::Duplex; 5] =
        [&mut silent, &mut half, &mut head, &mut shake, &mut inside];
    for stream in streams {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}

/// A device that does not read is cut off after a while; until then nobody else notices.
#[tokio::test]
async fn a_device_that_does_not_read_is_cut_off() {
    let server = server_with(Bounds {
        outgoing: 64 * 1024,
        ..Bounds::default()
    });
    let mut stuck = server.device("c", "lamp").await;
    stuck.subscribe("all/#").await;
    let mut door = server.device("c", "door").await;
    let payload: &'static str = "x".repeat(100_000).leak();
    while server.notes.dropped.load(Ordering::SeqCst) == 0 {
        door.publish("all/x", payload, QoS::AtMostOnce).await;
        door.quiet().await;
    }
    tokio::time::pause();
    let closed = server.notes.closed(1).await;
    assert_eq!(closed[0].1, "the device did not read");
}

/// Beyond the bound clients are told that there is no room.
#[tokio::test]
async fn a_full_server_says_so() {
    let server = server_with(Bounds {
        connections: 1,
        ..Bounds::default()
    });
    let mut first = server.device("c", "lamp").await;
    for (version, code) in [
        (Version::V311, ReasonCode::ServerUnavailable),
        (Version::V5, ReasonCode::ServerBusy),
    ] {
        let mut client = Client::new(Box::new(server.tcp(0).await), version);
        let hello = connect(version, "c", "door");
        client.send(&Packet::Connect(Box::new(hello))).await;
        assert_eq!(client.connack().await, code);
    }
    let told = answer(server.tcp(0).await, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    first.quiet().await;
}

/// Wrong credentials are answered later and later; the right one is not made to wait for it.
#[tokio::test]
async fn guessing_is_slow_and_knowing_is_not() {
    let server = server_with(Bounds {
        failures: 1,
        ..Bounds::default()
    });
    let guess = async || {
        let mut hello = connect(Version::V311, "c", "lamp");
        hello.password = Some(Secret::new("wrong").unwrap());
        let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
        client.send(&Packet::Connect(Box::new(hello))).await;
        client
    };
    assert_eq!(guess().await.connack().await, ReasonCode::NotAuthorized);
    let mut late = guess().await;
    server.device("c", "lamp").await.quiet().await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(late.connack().await, ReasonCode::NotAuthorized);
    assert!(start.elapsed() > Duration::from_secs(5));
}
