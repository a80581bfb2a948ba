//! A client that knows MQTT from the OASIS texts alone: it shares no code with the product, so
//! that a slip in the product's codec cannot hide itself, and it can send what no client should.
//!
//! Start with `Case`, which has a running server and names that no other test uses. What the
//! server sends is read strictly: a packet with a wrong flag, a property out of place or a byte
//! too many fails the test.

mod case;
mod connect;
mod packet;
mod property;

pub use case::Case;
pub use connect::{Connect, Will};
pub use packet::{Message, Packet, kind};
pub use property::{Props, id};

use crate::{PATIENCE, server::Server};
use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

/// Level of the protocol in CONNECT: 3.1.
pub const V31: u8 = 3;
/// Level of the protocol in CONNECT: 3.1.1.
pub const V311: u8 = 4;
/// Level of the protocol in CONNECT: 5.
pub const V5: u8 = 5;

/// Verdict of the server on a CONNECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Session Present.
    pub present: bool,
    /// Return code or reason code.
    pub code: u8,
    /// Properties; none before MQTT 5.
    pub props: Props,
}

/// A connection.
pub struct Raw {
    /// The server runs for as long as one of its clients is held.
    _server: Option<Arc<Server>>,
    stream: TcpStream,
    version: u8,
    input: Vec<u8>,
    seen: VecDeque<Packet>,
    last_id: u16,
}

impl Raw {
    /// Opens a TCP connection to speak this version.
    pub fn open(address: SocketAddr, version: u8) -> Self {
        let stream = TcpStream::connect(address).expect("the listener listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self {
            _server: None,
            stream,
            version,
            input: Vec::new(),
            seen: VecDeque::new(),
            last_id: 0,
        }
    }

    /// Sends bytes as they are. A server that closes meanwhile is no fault here.
    pub fn send(&mut self, bytes: &[u8]) {
        _ = self.stream.write_all(bytes);
    }

    /// Sends a packet of this first byte around this body.
    pub fn send_packet(&mut self, first: u8, body: &[u8]) {
        self.send(&packet::frame(first, body));
    }

    /// Ends the sending half only.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a socket");
    }

    /// The network fails: no DISCONNECT.
    pub fn drop_line(self) {
        _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The next packet of the server; `None` once it closed the connection.
    pub fn packet(&mut self) -> Option<Packet> {
        self.seen.pop_front().or_else(|| self.read())
    }

    fn read(&mut self) -> Option<Packet> {
        self.next_sized().map(|(packet, _)| packet)
    }

    /// The next packet that is not put aside, and how many bytes it took.
    pub fn next_sized(&mut self) -> Option<(Packet, usize)> {
        loop {
            if let Some((packet, used)) = packet::read(&self.input, self.version) {
                self.input.drain(..used);
                return Some((packet, used));
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    assert!(self.input.is_empty(), "half a packet: {:?}", self.input);
                    return None;
                }
                Ok(n) => self.input.extend_from_slice(&piece[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the server is silent; seen: {:?}", self.seen)
                }
                Err(_) => return None,
            }
        }
    }

    /// Waits for a packet that `wanted` likes; the others stay for later.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Packet) -> bool) -> Packet {
        if let Some(at) = self.seen.iter().position(&wanted) {
            return self.seen.remove(at).expect("it is there");
        }
        loop {
            match self.read() {
                Some(packet) if wanted(&packet) => return packet,
                Some(packet) => self.seen.push_back(packet),
                None => panic!("closed before {what}; seen: {:?}", self.seen),
            }
        }
    }

    /// Sends CONNECT and gives the verdict back.
    pub fn hello(&mut self, connect: &Connect) -> Verdict {
        self.send(&connect.bytes(self.version));
        self.verdict()
    }

    /// The next packet, which must be a CONNACK.
    pub fn verdict(&mut self) -> Verdict {
        match self.packet() {
            Some(Packet::ConnAck(verdict)) => verdict,
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    /// Sends CONNECT, which must be accepted; gives Session Present back.
    pub fn login(&mut self, connect: &Connect) -> bool {
        let verdict = self.hello(connect);
        assert_eq!(verdict.code, 0, "{verdict:?}");
        verdict.present
    }

    /// Nothing comes but the end of the connection.
    pub fn closed(&mut self) {
        let next = self.packet();
        assert!(next.is_none(), "not closed but {next:?}");
    }

    /// The server takes leave with this reason, and closes. Before MQTT 5 it just closes.
    pub fn thrown_out(&mut self, reason: u8) {
        if self.version == V5 {
            match self.packet() {
                Some(Packet::Disconnect { code, .. }) => {
                    assert_eq!(code, reason, "DISCONNECT {code:#x} instead of {reason:#x}");
                }
                other => panic!("no DISCONNECT {reason:#x} but {other:?}"),
            }
        }
        self.closed();
    }

    /// Asks whether the server is there; gives back what came before its answer.
    pub fn ping(&mut self) -> Vec<Packet> {
        self.send_packet(0xc0, &[]);
        let mut before: Vec<_> = self.seen.drain(..).collect();
        loop {
            match self.read() {
                Some(Packet::PingResp) => return before,
                Some(packet) => before.push(packet),
                None => panic!("closed before PINGRESP; seen: {before:?}"),
            }
        }
    }

    /// Nothing waits for this client: nothing came before the answer to a ping.
    pub fn quiet(&mut self) {
        let before = self.ping();
        assert!(before.is_empty(), "{before:?}");
    }

    /// A packet identifier that was not used yet.
    pub fn fresh(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// Subscribes to filters, each with its options byte; gives the codes back.
    pub fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.subscribe_with(filters, &Props::new())
    }

    /// Subscribes with properties.
    pub fn subscribe_with(&mut self, filters: &[(&str, u8)], props: &Props) -> Vec<u8> {
        let id = self.fresh();
        let bytes = packet::subscribe(self.version, id, filters, props);
        self.send(&bytes);
        match self.wait("SUBACK", |p| matches!(p, Packet::SubAck { .. })) {
            Packet::SubAck { id: of, codes, .. } => {
                assert_eq!(of, id, "SUBACK of another SUBSCRIBE");
                codes
            }
            _ => unreachable!("it was asked for"),
        }
    }

    /// Unsubscribes; gives the codes back, of which 3.x has none.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let id = self.fresh();
        let bytes = packet::unsubscribe(self.version, id, filters);
        self.send(&bytes);
        match self.wait("UNSUBACK", |p| matches!(p, Packet::UnsubAck { .. })) {
            Packet::UnsubAck { id: of, codes, .. } => {
                assert_eq!(of, id, "UNSUBACK of another UNSUBSCRIBE");
                codes
            }
            _ => unreachable!("it was asked for"),
        }
    }

    /// Sends a PUBLISH and nothing else; gives the packet identifier back, 0 for none.
    pub fn send_publish(&mut self, message: &Message) -> u16 {
        let id = match (message.qos, message.id) {
            (0, _) => 0,
            (_, Some(id)) => id,
            _ => self.fresh(),
        };
        let bytes = packet::publish(self.version, message, id);
        self.send(&bytes);
        id
    }

    /// Publishes and waits until the server has the message; gives back the reason that it had,
    /// 0 before MQTT 5.
    pub fn publish(&mut self, message: &Message) -> u8 {
        let id = self.send_publish(message);
        match message.qos {
            0 => {
                // Whatever comes before the answer to this ping stays.
                self.send_packet(0xc0, &[]);
                self.wait("PINGRESP", |p| *p == Packet::PingResp);
                0
            }
            1 => self.acknowledged(kind::PUBACK, id),
            _ => {
                let code = self.acknowledged(kind::PUBREC, id);
                if code < 0x80 {
                    self.acknowledge(kind::PUBREL, id);
                    let done = self.acknowledged(kind::PUBCOMP, id);
                    assert_eq!(done, 0, "PUBCOMP {done:#x}");
                }
                code
            }
        }
    }

    /// Waits for an acknowledgement of this kind and identifier; gives its reason back.
    pub fn acknowledged(&mut self, kind: u8, id: u16) -> u8 {
        let what = format!("acknowledgement {kind} of {id}");
        let wanted =
            |p: &Packet| matches!(p, Packet::Ack { kind: k, id: i, .. } if (*k, *i) == (kind, id));
        match self.wait(&what, wanted) {
            Packet::Ack { code, .. } => code,
            _ => unreachable!("it was asked for"),
        }
    }

    /// Sends an acknowledgement of this kind.
    pub fn acknowledge(&mut self, kind: u8, id: u16) {
        let flags = if kind == kind::PUBREL { 2 } else { 0 };
        self.send_packet(kind << 4 | flags, &id.to_be_bytes());
    }

    /// The next packet, which must be a PUBLISH; it is not acknowledged.
    pub fn take(&mut self) -> Message {
        match self.packet() {
            Some(Packet::Publish(message)) => message,
            other => panic!("no PUBLISH but {other:?}"),
        }
    }

    /// The next PUBLISH, not acknowledged; what comes before it stays for later.
    pub fn publication(&mut self) -> Message {
        match self.wait("PUBLISH", |p| matches!(p, Packet::Publish(_))) {
            Packet::Publish(message) => message,
            _ => unreachable!("it was asked for"),
        }
    }

    /// The next message, with all that its level asks for.
    pub fn message(&mut self) -> Message {
        let message = self.publication();
        self.complete(&message);
        message
    }

    /// Acknowledges a message to the end.
    pub fn complete(&mut self, message: &Message) {
        let Some(id) = message.id else { return };
        if message.qos == 1 {
            self.acknowledge(kind::PUBACK, id);
        } else {
            self.acknowledge(kind::PUBREC, id);
            self.acknowledged(kind::PUBREL, id);
            self.acknowledge(kind::PUBCOMP, id);
        }
    }

    /// Says good-bye and waits until the server has closed.
    pub fn leave(mut self) {
        self.send_packet(0xe0, &[]);
        while self.packet().is_some() {}
    }

    /// Says good-bye in MQTT 5 with a reason and properties, and waits until the server has closed.
    pub fn leave_with(mut self, reason: u8, props: &Props) {
        let mut body = vec![reason];
        props.write(&mut body);
        self.send_packet(0xe0, &body);
        while self.packet().is_some() {}
    }
}
