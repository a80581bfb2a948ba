//! Every kind of packet with every flag, length and property fault, byte by byte: what the codec
//! says of it, and what the server does.

pub(crate) mod table;

use bytes::BytesMut;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};
use table::{Case, Verdict, hello};
use tests::{PATIENCE, Server};
use wire::mqtt::{DecodeError, Decoder, Packet, Version};

/// The Topic Alias Maximum and the longest packet that the faults are made for.
const ALIASES: u16 = 10;
const LONGEST: usize = 64 * 1024;

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
    let (opening, behind) = table::all();
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

/// What the server sends for these bytes until it closes, when it is told that no more will come.
fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut line = TcpStream::connect(address).expect("the listener listens");
    line.set_read_timeout(Some(PATIENCE)).expect("a socket");
    _ = line.write_all(bytes);
    _ = line.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(e) = line.read_to_end(&mut answer) {
        let silent = matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!silent, "it stays open after {}", bytes.escape_ascii());
    }
    answer
}

/// The packets of an answer.
fn packets(version: Version, answer: &[u8]) -> Result<Vec<Packet>, String> {
    let mut line = BytesMut::from(answer);
    let mut decoder = Decoder::client(version, LONGEST);
    let mut packets = Vec::new();
    while let Some(packet) = decoder.decode(&mut line).map_err(|e| e.to_string())? {
        packets.push(packet);
    }
    if line.is_empty() {
        Ok(packets)
    } else {
        Err("half a packet".into())
    }
}

/// The last word of the server, against the table. A packet that is right is followed by a ping,
/// so that its answer shows that the connection went on.
fn served(case: &Case, answer: &[u8], opening: bool) -> Result<(), String> {
    let packets = packets(case.version, answer);
    let told = |packets: &[Packet]| {
        let last = packets.last();
        match (&case.verdict, last) {
            (Verdict::Fine, last) => matches!(last, Some(Packet::PingResp)),
            (Verdict::Ends, last) => matches!(last, Some(Packet::ConnAck(_))),
            (Verdict::Wrong(reasons), last) if case.version == Version::V5 => match last {
                Some(Packet::Disconnect(bye)) => reasons.contains(&bye.reason.byte()),
                Some(Packet::ConnAck(no)) if opening => reasons.contains(&no.reason.byte()),
                // A CONNECT that is none may be closed upon.
                last => opening && last.is_none(),
            },
            // 3.x: nothing, or CONNACK with the code for a client id.
            (Verdict::Wrong(_), None) => opening,
            (Verdict::Wrong(_), Some(Packet::ConnAck(verdict))) => {
                opening == verdict.reason.is_error()
            }
            (Verdict::Wrong(_), Some(_)) => false,
        }
    };
    if packets.as_deref().is_ok_and(told) {
        return Ok(());
    }
    let bytes = case.bytes.escape_ascii();
    Err(format!(
        "{:?} {}: {:?} wanted, {packets:?}: {bytes}",
        case.version, case.name, case.verdict
    ))
}

/// [MQTT-4.8.0-1] [MQTT-4.13.1-1] The same packets to a server, each on a connection of its own:
/// the right ones are taken, and the connection goes on; at a wrong one version 5 is told the
/// reason and 3.x nothing, and both are closed.
#[test]
fn the_server_goes_on_after_right_packets_and_closes_at_wrong_ones() {
    let server = Server::start_with(&[
        "listen.plain.off=false",
        "listen.plain.anonymous=true",
        &format!("listen.plain.topic_alias_maximum={ALIASES}"),
        &format!("listen.plain.maximum_packet_size={LONGEST}"),
        "sockets.failures=1000000000",
    ]);
    let address = server.address("plain");
    let (opening, behind) = table::all();
    let mut wrong = Vec::new();
    for case in &opening {
        let bytes = [&case.bytes[..], b"\xc0\0"].concat();
        wrong.extend(served(case, &answer(address, &bytes), true).err());
    }
    for case in &behind {
        let mut bytes = [&hello(case.version)[..], &case.bytes].concat();
        if case.verdict == Verdict::Fine {
            bytes.extend_from_slice(b"\xc0\0");
        }
        wrong.extend(served(case, &answer(address, &bytes), false).err());
    }
    let all = opening.len() + behind.len();
    assert!(
        wrong.is_empty(),
        "{} of {all}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
}
