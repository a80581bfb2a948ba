//! The lines that carry MQTT (§4.2, §6).

use std::{
    io::{Read, Write},
    net::TcpStream,
};
use tests::{
    PATIENCE,
    raw::{Case, V5},
};

/// Opens a WebSocket and gives the head of the answer back.
fn upgrade(case: &Case, protocols: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(case.server().address("plain")).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!(
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{protocols}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a socket");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).expect("an answer") == 0 {
            break;
        }
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).expect("text"))
}

/// A frame of a client: masked, by zeros.
fn frame(opcode: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).expect("a short frame");
    assert!(length < 126);
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], data].concat()
}

/// What the binary frames of the server carry after a CONNACK, so many bytes of it.
fn after_connack(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < 2 || got.len() < 2 + usize::from(got[1]) + bytes {
        let mut head = [0; 2];
        stream.read_exact(&mut head).expect("a frame");
        assert_eq!(head[0], 0x82, "a whole binary frame");
        let mut data = vec![0; head[1].into()];
        stream.read_exact(&mut data).expect("a frame");
        got.extend(data);
    }
    assert_eq!((got[0], got[2], got[3]), (0x20, 0, 0), "CONNACK");
    got.split_off(2 + usize::from(got[1]))
}

/// [MQTT-6.0.0-1] [MQTT-6.0.0-2] [MQTT-6.0.0-4]
#[test]
fn packets_cross_a_web_socket_in_binary_frames_cut_anywhere() {
    let case = Case::new(V5);
    let (mut stream, head) = upgrade(&case, "Sec-WebSocket-Protocol: mqtt\r\n");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let lower = head.to_lowercase();
    assert!(lower.contains("sec-websocket-protocol: mqtt\r\n"), "{head}");
    let mut bytes = case.connect("ws").bytes(V5);
    bytes.extend(b"\xc0\x00\xc0");
    // One frame with more than a packet, and the rest of that in another.
    stream.write_all(&frame(2, &bytes)).expect("a socket");
    stream.write_all(&frame(2, &[0])).expect("a socket");
    assert_eq!(after_connack(&mut stream, 4), b"\xd0\x00\xd0\x00");
}

/// [MQTT-6.0.0-1]
#[test]
fn a_text_frame_ends_the_connection() {
    let case = Case::new(V5);
    let (mut stream, _) = upgrade(&case, "Sec-WebSocket-Protocol: mqtt\r\n");
    stream
        .write_all(&frame(2, &case.connect("ws").bytes(V5)))
        .expect("a socket");
    after_connack(&mut stream, 0);
    stream.write_all(&frame(1, b"\xc0\x00")).expect("a socket");
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest);
    assert!(!rest.windows(2).any(|two| two == b"\xd0\x00"), "{rest:?}");
}

/// [MQTT-6.0.0-3] Among several protocols the server chooses `mqtt`.
#[test]
fn the_sub_protocol_is_mqtt() {
    let case = Case::new(V5);
    let (_, head) = upgrade(&case, "Sec-WebSocket-Protocol: soap, mqtt, wamp\r\n");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.to_lowercase()
            .contains("sec-websocket-protocol: mqtt\r\n"),
        "{head}"
    );
}

/// [MQTT-4.2.0-1] TCP, and nothing more.
#[test]
fn tcp_and_a_connect_are_enough() {
    let mut client = Case::new(V5).client("bare");
    client.quiet();
}
