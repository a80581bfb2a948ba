//! Enhanced authentication, of which this server has none (§4.12).

use crate::case;
use tests::raw::{Props, id};

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-3.1.2-30] [MQTT-4.13.2-1]
#[test]
fn a_method_that_is_not_supported_is_refused() {
    let case = case();
    for data in [None, Some(&b"first words"[..])] {
        let mut props = Props::new().text(id::AUTH_METHOD, "SCRAM-SHA-1");
        if let Some(data) = data {
            props = props.data(id::AUTH_DATA, data);
        }
        let mut client = case.open();
        let verdict = client.hello(&case.connect("scram").with(props));
        assert_eq!((verdict.code, verdict.present), (0x8c, false));
        client.closed();
    }
}

/// [MQTT-4.12.0-6] [MQTT-4.12.0-7] [MQTT-4.12.1-1]
#[test]
fn auth_without_a_method_in_connect_is_a_protocol_error() {
    let case = case();
    let mut client = case.open();
    let verdict = client.hello(&case.connect("client"));
    assert_eq!(verdict.props.get_text(id::AUTH_METHOD), None);
    // Again, with a method; and a bare one.
    client.send(b"\xf0\x07\x19\x05\x15\x00\x02XY");
    client.thrown_out(0x82);
    let mut client = case.client("client");
    client.send(b"\xf0\x00");
    client.thrown_out(0x82);
}

/// [MQTT-3.15.1-1] [MQTT-3.15.2-1]
#[test]
fn an_auth_that_is_none_is_malformed() {
    let case = case();
    for bytes in [&b"\xf1\x00"[..], b"\xf2\x00", b"\xf8\x00"] {
        let mut client = case.client("client");
        client.send(bytes);
        client.thrown_out(0x81);
    }
    for code in [0x01, 0x17, 0x80, 0xff] {
        let mut client = case.client("client");
        client.send(&[0xf0, 7, code, 5, 0x15, 0, 2, b'X', b'Y']);
        assert!(matches!(
            client.packet(),
            Some(tests::raw::Packet::Disconnect {
                code: 0x81 | 0x82,
                ..
            })
        ));
        client.closed();
    }
}
