//! Every kind of packet with every flag, length and property fault, byte by byte: what the codec
//! says of it.

mod table;

use bytes::BytesMut;
use table::{Case, Verdict, hello};
use wire::mqtt::{DecodeError, Decoder, Packet, Version};

/// The Topic Alias Maximum and the longest packet that the faults are made for.
const ALIASES: u16 = 10;
const LONGEST: usize = 64 * 1024;

/// What is sent first, and what is sent behind a CONNECT.
fn cases() -> (Vec<Case>, Vec<Case>) {
    let (mut opening, mut behind) = table::properties();
    opening.extend(table::connect_flags());
    opening.extend(table::connect_bodies());
    behind.extend(table::first_bytes());
    behind.extend(table::lengths());
    behind.extend(table::cuts());
    behind.extend(table::reasons());
    behind.extend(table::options());
    behind.extend(table::texts());
    (opening, behind)
}

/// What the codec makes of the packet, against the table; what only a server can refuse passes.
fn judge(case: &Case, decoded: &Result<Option<Packet>, DecodeError>) -> Result<(), String> {
    let right = match (&case.verdict, decoded) {
        (Verdict::Fine, Ok(Some(_))) => true,
        (Verdict::Ends, Ok(Some(packet))) => matches!(packet, Packet::Disconnect(_)),
        (Verdict::Wrong(_), Ok(Some(Packet::Auth(_)))) => true,
        (Verdict::Wrong([0x8c]), Ok(Some(Packet::Connect(_)))) => true,
        (Verdict::Wrong(reasons), Err(fault)) => {
            case.version != Version::V5 || reasons.contains(&fault.reason().byte())
        }
        _ => false,
    };
    if right {
        return Ok(());
    }
    let bytes = case.bytes.escape_ascii();
    Err(format!(
        "{:?} {}: {:?} wanted, {decoded:?}: {bytes}",
        case.version, case.name, case.verdict
    ))
}

/// [MQTT-2.1.3-1] [MQTT-2.2.2-1] The codec alone: some ten thousand packets, each right or with one
/// fault, are taken or refused with the reason that the standard has for it.
#[test]
fn the_codec_takes_right_packets_and_names_the_fault_of_wrong_ones() {
    let (opening, behind) = cases();
    let mut wrong = Vec::new();
    for case in &opening {
        let mut line = BytesMut::from(&case.bytes[..]);
        wrong.extend(judge(case, &Decoder::server(LONGEST).decode(&mut line)).err());
    }
    for case in &behind {
        let mut line = BytesMut::from(&hello(case.version)[..]);
        let mut decoder = Decoder::server(LONGEST);
        decoder.set_topic_alias_maximum(ALIASES);
        let opened = decoder.decode(&mut line);
        assert!(matches!(opened, Ok(Some(Packet::Connect(_)))), "{opened:?}");
        line.extend_from_slice(&case.bytes);
        wrong.extend(judge(case, &decoder.decode(&mut line)).err());
    }
    assert!(
        opening.len() > 1_000 && behind.len() > 5_000,
        "{} and {}",
        opening.len(),
        behind.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        opening.len() + behind.len(),
        wrong.join("\n")
    );
}
