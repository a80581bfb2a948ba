//! What may be spoken, and over what.

use super::*;

/// [AL-3.1] [AL-3.5] [AL-3.6] One port serves every channel, and MQTT works the same on each:
/// CONNECT, SUBSCRIBE, PUBLISH at QoS 1, PINGREQ, UNSUBSCRIBE, DISCONNECT.
#[tokio::test]
async fn every_channel_carries_mqtt() {
    let server = server();
    let streams: [BoxedStream; 6] = [
        Box::new(server.tcp(0).await),
        Box::new(server.tls(0).await),
        Box::new(server.tls(1).await),
        websocket(server.tcp(0).await, "/mqtt").await,
        websocket(server.tcp(0).await, "/").await,
        websocket(server.tls(0).await, "/mqtt?x=1").await,
    ];
    for (number, stream) in streams.into_iter().enumerate() {
        let mut client = Client::new(stream, Version::V311);
        let hello = connect(Version::V311, "c", &format!("lamp{number}"));
        client.send(&Packet::Connect(Box::new(hello))).await;
        assert_eq!(client.connack().await, ReasonCode::Success);
        let topic = format!("lamp{number}/x");
        assert_eq!(client.subscribe(&topic).await, ReasonCode::GrantedQoS1);
        client.publish(&topic, "hi", QoS::AtLeastOnce).await;
        assert_eq!(client.puback().await, ReasonCode::Success);
        assert_eq!(client.message().await, (topic.clone(), "hi".into()));
        client.unsubscribe(&topic).await;
        client.publish(&topic, "hi", QoS::AtMostOnce).await;
        client.quiet().await;
        let bye = Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::new(),
        };
        client.send(&Packet::Disconnect(bye)).await;
        assert_eq!(client.next().await, None);
        let closed = server.notes.closed(number + 1).await;
        assert_eq!(closed[number].1, "the device disconnected");
    }
}

/// [AL-3.1] All three versions; refusals have the code of the version.
#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_version() {
    let server = server();
    for (password, v3, v5) in [
        ("id", 2, ReasonCode::ClientIdNotValid),
        ("later", 3, ReasonCode::ServerUnavailable),
        ("form", 4, ReasonCode::BadUserNameOrPassword),
        ("wrong", 5, ReasonCode::NotAuthorized),
    ] {
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut hello = connect(version, "c", "lamp");
            hello.password = Some(Secret::new(password).unwrap());
            let mut client = Client::new(Box::new(server.tcp(0).await), version);
            client.send(&Packet::Connect(Box::new(hello))).await;
            let Some(Packet::ConnAck(ack)) = client.next().await else {
                panic!("no answer");
            };
            if version.is_v5() {
                assert_eq!(ack.reason, v5);
                assert_eq!(&**ack.properties.reason_string().unwrap(), "no");
            } else {
                assert_eq!(ack.reason.connect_return(), Some(v3));
            }
            assert_eq!(client.next().await, None);
        }
    }
    for version in [Version::V31, Version::V311, Version::V5] {
        server
            .client(connect(version, "c", "lamp"))
            .await
            .quiet()
            .await;
    }
}

/// Messages are worked on side by side but answered in order [MQTT-4.6.0-2], and those that were
/// taken are finished when the connection is gone.
#[tokio::test]
pub(super) async fn answers_keep_the_order_of_messages() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    for (number, topic) in ["lamp/slow", "lamp/x"].into_iter().enumerate() {
        let mut publish = Publish::new(TopicName::try_from(topic).unwrap(), "");
        publish.qos = QoS::AtLeastOnce;
        publish.packet_id = Some(id(u16::try_from(number).unwrap() + 1));
        client.send(&Packet::Publish(publish)).await;
    }
    // The second has begun although the first is not done; PINGRESP overtakes both.
    client.quiet().await;
    assert_eq!(*server.dialect.begun.lock(), ["lamp/slow", "lamp/x"]);
    server.dialect.slow.add_permits(1);
    for number in [1, 2] {
        let Some(Packet::PubAck(ack)) = client.next().await else {
            panic!("no PUBACK");
        };
        assert_eq!(ack.packet_id, id(number));
    }
    client.publish("lamp/slow", "", QoS::AtMostOnce).await;
    client.quiet().await;
    drop(client);
    tokio::task::yield_now().await;
    assert!(server.notes.closed.lock().is_empty());
    server.dialect.slow.add_permits(1);
    assert_eq!(server.notes.closed(1).await.len(), 1);
}

/// spec/alink-wire.md §2.6: a device that comes to register is let in, gets what it came for, and
/// leaves by itself or is shown out.
#[tokio::test]
async fn a_visitor_gets_its_messages() {
    let server = server();
    for version in [Version::V311, Version::V5] {
        let mut client = server.client(connect(version, "visit", "lamp")).await;
        assert_eq!(client.message().await, ("secret".into(), "42".into()));
        assert_eq!(client.message().await, ("other".into(), "43".into()));
        client.publish("lamp/x", "ignored", QoS::AtLeastOnce).await;
        assert_eq!(client.puback().await, ReasonCode::Success);
        client.quiet().await;
    }
    let mut client = server.device("visit", "lamp").await;
    client.message().await;
    client.message().await;
    client.quiet().await;
    tokio::time::pause();
    assert_eq!(client.next().await, None);
    assert!(server.dialect.begun.lock().is_empty());
    assert!(server.notes.closed.lock().is_empty());
}

/// [AL-3.6] Frames may hold several packets; text is not MQTT; other paths and broken requests are
/// told why.
#[tokio::test]
async fn websocket_frames_are_binary_and_free_of_packet_bounds() {
    let server = server();
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    let offer = HeaderValue::from_static("mqttv3.1");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offer);
    let (mut socket, response) = client_async(request, server.tcp(0).await).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqttv3.1");
    let mut bytes = BytesMut::new();
    let hello = connect(Version::V311, "c", "lamp");
    encode(&Packet::Connect(Box::new(hello)), Version::V311, &mut bytes).unwrap();
    encode(&Packet::PingReq, Version::V311, &mut bytes).unwrap();
    socket.send(Message::Binary(bytes.freeze())).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 6 {
        got.extend(socket.next().await.unwrap().unwrap().into_data());
    }
    assert_eq!(got, b"\x20\x02\x00\x00\xd0\x00");
    socket.send(Message::text("hello")).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(matches!(message, Message::Close(_)));
    }

    for (request, status) in [
        (
            "GET /elsewhere HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "404",
        ),
        (
            "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "400",
        ),
        (
            "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "400",
        ),
    ] {
        let answer = answer(server.tcp(0).await, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

/// spec/alink-wire.md §1, item 10: other requests on the same port are HTTP's, in clear or not.
#[tokio::test]
async fn http_shares_the_port() {
    let server = server();
    let request = b"POST /auth HTTP/1.1\r\nHost: x\r\n\r\n";
    let plain = answer(server.tcp(0).await, request).await;
    assert_eq!(plain, "http POST /auth HTTP/1.1");
    let secure = answer(server.tls(0).await, request).await;
    assert_eq!(secure, "https POST /auth HTTP/1.1");
    // What is no HTTP after all is HTTP's to refuse.
    let long = [b"GET /".as_slice(), &[b'x'; 20_000]].concat();
    assert!(
        answer(server.tcp(0).await, &long)
            .await
            .starts_with("http GET /xxx")
    );
    let clear = answer(server.tcp(1).await, request).await;
    assert!(clear.starts_with("HTTP/1.1 400"), "{clear}");
}

/// MQTT 5 clients learn the bounds of their profile.
#[tokio::test]
async fn connack_names_the_bounds() {
    let server = server();
    let mut hello = connect(Version::V5, "", "lamp");
    hello.properties = Properties::new().with(Property::SessionExpiryInterval(u32::MAX));
    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V5);
    client.send(&Packet::Connect(Box::new(hello))).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else {
        panic!("no CONNACK");
    };
    let told = &ack.properties;
    assert_eq!(told.maximum_qos(), Some(&true));
    assert_eq!(told.retain_available(), Some(&false));
    assert_eq!(told.session_expiry_interval(), Some(&86_400));
    assert_eq!(told.maximum_packet_size().unwrap().get(), 320 * 1024);
    assert_eq!(&**told.assigned_client_identifier().unwrap(), "lamp");
}
