//! CONNECT, the first packet of a client.

use super::*;

/// spec/alink-wire.md §9, vectors 1 and 2: how the CONNECT packets of two device SDKs start. This room does not know
/// what their fields say, only how long they are.
#[test]
fn the_connect_packets_of_real_sdks() {
    for (clean_start, keep_alive, client_id, password, start) in [
        (
            false,
            120,
            118,
            64,
            &b"\x10\xda\x01\x00\x04MQTT\x04\xc0\x00\x78\x00\x76"[..],
        ),
        (
            true,
            60,
            108,
            40,
            b"\x10\xb8\x01\x00\x04MQTT\x04\xc2\x00\x3c\x00\x6c",
        ),
    ] {
        let connect = Packet::Connect(Box::new(Connect {
            version: V311,
            clean_start,
            keep_alive,
            client_id: text(&"c".repeat(client_id)),
            will: None,
            username: Some(text("example1&a1MZxOdcBnO")),
            password: Some(Secret::new("p".repeat(password)).unwrap()),
            properties: Properties::new(),
        }));
        let mut line = BytesMut::new();
        encode(&connect, V311, &mut line).unwrap();
        assert_eq!(&line[..start.len()], start);
        assert_eq!(Decoder::server(MAX).decode(&mut line), Ok(Some(connect)));
        assert!(line.is_empty());
    }
}

#[test]
fn a_connect_with_everything() {
    // The example of MQTT 3.1.1 §3.1.2.3 figure 3.6 has these flags: user name, password, will QoS 1, clean session.
    let bytes = b"\x10\x24\x00\x04MQTT\x04\xce\x00\x0a\x00\x02id\x00\x01w\x00\x03bye\x00\x04user\x00\x06secret";
    let Ok(Some(Packet::Connect(it))) = first(bytes) else {
        panic!()
    };
    assert_eq!(
        (it.version, it.clean_start, it.keep_alive),
        (V311, true, 10)
    );
    let will = it.will.unwrap();
    assert_eq!(
        (&*will.topic, &will.payload[..], will.qos, will.retain),
        ("w", &b"bye"[..], QoS::AtLeastOnce, false)
    );
    assert_eq!(it.username.as_deref(), Some("user"));
    assert_eq!(it.password.unwrap().expose(), b"secret");
}

#[test]
fn mqtt_3_1_has_its_own_name_and_may_announce_a_user_name_that_is_missing() {
    let Ok(Some(Packet::Connect(it))) = first(b"\x10\x0f\x00\x06MQIsdp\x03\xc2\x00\x3c\x00\x01d")
    else {
        panic!()
    };
    assert_eq!((it.version, it.username, it.password), (V31, None, None));
    assert_eq!(
        first(b"\x10\x0d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01d"),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn faults_of_connect() {
    for (bytes, fault) in [
        // [MQTT-3.1.0-1]: first comes CONNECT; told from one byte.
        (&b"\xc0"[..], DecodeError::First),
        (b"GET / HTTP/1.1\r\n\r\n", DecodeError::First),
        (b"\x00", DecodeError::Flags),
        // [MQTT-2.1.3-1]: flags of the fixed header are zero.
        (b"\x11", DecodeError::Flags),
        // [MQTT-3.1.2-1], [MQTT-3.1.2-2]: name and level.
        (
            b"\x10\x0d\x00\x04mqtt\x04\x02\x00\x3c\x00\x01d",
            DecodeError::Protocol,
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01d",
            DecodeError::Level(6),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x03\x02\x00\x3c\x00\x01d",
            DecodeError::Level(3),
        ),
        // [MQTT-3.1.2-3]: the reserved flag is zero.
        (
            b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01d",
            DecodeError::Flags,
        ),
        // Will QoS and will retain without a will, and will QoS 3 [MQTT-3.1.2-14] of 3.1.1.
        (
            b"\x10\x0d\x00\x04MQTT\x04\x0a\x00\x3c\x00\x01d",
            DecodeError::Flags,
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x22\x00\x3c\x00\x01d",
            DecodeError::Flags,
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x1e\x00\x3c\x00\x01d",
            DecodeError::QoS,
        ),
        // [MQTT-3.1.2-22] of 3.1.1: no password without a user name; MQTT 5 allows it.
        (
            b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3c\x00\x01d\x00\x01p",
            DecodeError::Flags,
        ),
        // [MQTT-3.1.3-8] of 3.1.1: an empty client id needs clean session; 3.1 wants one always.
        (
            b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00",
            DecodeError::ClientId,
        ),
        (
            b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00",
            DecodeError::ClientId,
        ),
        // Half a field, and a byte too much.
        (
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x02d",
            DecodeError::Truncated,
        ),
        (
            b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x01dx",
            DecodeError::TrailingBytes,
        ),
        (b"\x10\x00", DecodeError::Truncated),
        // [MQTT-1.5.4-1], [MQTT-1.5.4-2]: strings.
        (
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\xff",
            DecodeError::Text(TextError::NotUtf8),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\x00",
            DecodeError::Text(TextError::Null),
        ),
        // A will topic is a topic name.
        (
            b"\x10\x12\x00\x04MQTT\x04\x06\x00\x3c\x00\x01d\x00\x01#\x00\x00",
            DecodeError::TopicName,
        ),
        // [MQTT-1.5.5-1]: MQTT 5 wants the shortest length.
        (
            b"\x10\x8e\x00\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01d",
            DecodeError::Length,
        ),
        (b"\x10\xff\xff\xff\xff", DecodeError::Length),
        // MQTT 5 properties: twice, of another packet, longer than the packet, data without a method.
        (
            b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x04\x17\x00\x17\x00\x00\x01d",
            DecodeError::PropertyTwice,
        ),
        (
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x02\x01\x00\x00\x01d",
            DecodeError::Property,
        ),
        (
            b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x09\x00\x01d",
            DecodeError::Truncated,
        ),
        (
            b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x04\x16\x00\x01x\x00\x01d",
            DecodeError::AuthenticationMethod,
        ),
    ] {
        assert_eq!(first(bytes), Err(fault), "{}", bytes.escape_ascii());
    }
    assert!(matches!(
        first(b"\x10\x8d\x00\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d"),
        Ok(Some(_))
    ));
    assert!(matches!(
        first(b"\x10\x11\x00\x04MQTT\x05\x42\x00\x3c\x00\x00\x01d\x00\x01p"),
        Ok(Some(_))
    ));
    assert!(matches!(
        first(b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x3c\x00\x00\x00"),
        Ok(Some(_))
    ));
    // [MQTT-3.1.0-2]: never twice.
    assert_eq!(
        from_client(V311, HELLOS[1].1),
        Err(DecodeError::ConnectTwice)
    );
}

#[test]
fn a_refused_connect_leaves_the_version_to_answer_in() {
    for (bytes, version, code) in [
        (
            &b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00"[..],
            Some(V311),
            Some(2),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01d",
            None,
            Some(1),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01d",
            Some(V311),
            None,
        ),
    ] {
        let mut decoder = Decoder::server(MAX);
        let error = decoder.decode(&mut BytesMut::from(bytes)).unwrap_err();
        assert_eq!(
            (decoder.version(), error.reason().connect_return()),
            (version, code)
        );
    }
}
