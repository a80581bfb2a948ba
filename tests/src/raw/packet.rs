//! Control packets: those of a client as bytes, those of a server as values.

use super::{
    Props, V5, Verdict, id,
    property::{binary, read_string, string, take, two},
};

/// Kinds of packets: the upper half of the first byte.
#[expect(missing_docs, reason = "the names are the ones of the standard")]
pub mod kind {
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBACK: u8 = 9;
    pub const UNSUBACK: u8 = 11;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
    pub const AUTH: u8 = 15;
}

/// A PUBLISH.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// What it carries.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// DUP.
    pub dup: bool,
    /// Packet identifier; one is made for a message to send that has none.
    pub id: Option<u16>,
    /// Properties; none before MQTT 5.
    pub props: Props,
}

impl Message {
    /// A message at QoS 0.
    pub fn new(topic: &str, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.as_ref().into(),
            qos: 0,
            retain: false,
            dup: false,
            id: None,
            props: Props::new(),
        }
    }

    /// The same at this level.
    #[must_use]
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// The same with RETAIN.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same with DUP.
    #[must_use]
    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// The same with this packet identifier.
    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.id = Some(id);
        self
    }

    /// The same with properties.
    #[must_use]
    pub fn with(mut self, props: Props) -> Self {
        self.props = props;
        self
    }

    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("text")
    }
}

/// What a server may send.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are the ones of the standard")]
pub enum Packet {
    ConnAck(Verdict),
    Publish(Message),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, by `kind`.
    Ack {
        kind: u8,
        id: u16,
        code: u8,
        props: Props,
    },
    SubAck {
        id: u16,
        codes: Vec<u8>,
        props: Props,
    },
    UnsubAck {
        id: u16,
        codes: Vec<u8>,
        props: Props,
    },
    PingResp,
    Disconnect {
        code: u8,
        props: Props,
    },
}

impl Packet {
    /// Whether a Reason String or a User Property tells more than the code.
    pub fn explains(&self) -> bool {
        let props = match self {
            Self::ConnAck(verdict) => &verdict.props,
            Self::Publish(message) => &message.props,
            Self::Ack { props, .. }
            | Self::SubAck { props, .. }
            | Self::UnsubAck { props, .. }
            | Self::Disconnect { props, .. } => props,
            Self::PingResp => return false,
        };
        props.get_text(id::REASON_STRING).is_some() || !props.users().is_empty()
    }
}

/// Puts the fixed header before a body.
pub(super) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    variable(u32::try_from(body.len()).expect("a length"), &mut out);
    out.extend(body);
    out
}

/// Writes a Variable Byte Integer.
pub(super) fn variable(mut n: u32, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(n % 128).expect("seven bits");
        n /= 128;
        out.push(if n > 0 { low | 0x80 } else { low });
        if n == 0 {
            return;
        }
    }
}

/// Reads a Variable Byte Integer; `None` when bytes are missing.
pub(super) fn read_variable(input: &mut &[u8]) -> Option<u32> {
    let mut n = 0;
    for at in 0..4 {
        let byte = *input.get(at)?;
        n |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            assert!(at == 0 || byte > 0, "a number in more bytes than it needs");
            *input = &input[at + 1..];
            return Some(n);
        }
    }
    panic!("a number of more than four bytes");
}

pub(super) fn subscribe(version: u8, id: u16, filters: &[(&str, u8)], props: &Props) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == V5 {
        props.write(&mut body);
    }
    for (filter, options) in filters {
        string(filter, &mut body);
        body.push(*options);
    }
    frame(0x82, &body)
}

pub(super) fn unsubscribe(version: u8, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == V5 {
        body.push(0);
    }
    for filter in filters {
        string(filter, &mut body);
    }
    frame(0xa2, &body)
}

pub(super) fn publish(version: u8, message: &Message, id: u16) -> Vec<u8> {
    let mut body = Vec::new();
    string(&message.topic, &mut body);
    if message.qos > 0 {
        body.extend(id.to_be_bytes());
    }
    if version == V5 {
        message.props.write(&mut body);
    }
    body.extend(&message.payload);
    let flags = u8::from(message.dup) << 3 | message.qos << 1 | u8::from(message.retain);
    frame(0x30 | flags, &body)
}

/// The first packet of the input and its length, once it is complete.
pub(super) fn read(input: &[u8], version: u8) -> Option<(Packet, usize)> {
    let (&first, mut rest) = input.split_first()?;
    let length = read_variable(&mut rest)? as usize;
    let body = rest.get(..length)?;
    let used = input.len() - rest.len() + length;
    Some((parse(first, body, version), used))
}

fn parse(first: u8, mut body: &[u8], version: u8) -> Packet {
    let (kind, flags) = (first >> 4, first & 0x0f);
    let v5 = version == V5;
    if kind != kind::PUBLISH {
        let reserved = if kind == kind::PUBREL { 2 } else { 0 };
        assert_eq!(flags, reserved, "flags of packet {kind}");
    }
    let body = &mut body;
    let props = |body: &mut &[u8]| {
        if v5 {
            Props::read(body, kind)
        } else {
            Props::new()
        }
    };
    let packet = match kind {
        kind::CONNACK => {
            let head = take(body, 2);
            assert!(head[0] < 2, "flags of CONNACK {:#x}", head[0]);
            assert!(
                head[0] == 0 || head[1] == 0,
                "a session in a refusal: {head:?}"
            );
            // To a version that it does not know a server answers as 3.1.1 has it.
            let old = !v5 || (body.is_empty() && head[1] == 1);
            let props = if old { Props::new() } else { props(body) };
            let valid = if !old {
                connect_codes().contains(&head[1])
            } else {
                head[1] <= 5
            };
            assert!(valid, "CONNACK {:#x}", head[1]);
            Packet::ConnAck(Verdict {
                present: head[0] == 1,
                code: head[1],
                props,
            })
        }
        kind::PUBLISH => {
            let qos = flags >> 1 & 3;
            assert!(qos < 3, "QoS 3");
            let topic = read_string(body);
            let id = (qos > 0).then(|| two(body));
            assert_ne!(id, Some(0), "packet identifier 0");
            let dup = flags & 8 != 0;
            assert!(!dup || qos > 0, "DUP at QoS 0");
            let props = props(body);
            Packet::Publish(Message {
                topic,
                payload: std::mem::take(body).to_vec(),
                qos,
                retain: flags & 1 != 0,
                dup,
                id,
                props,
            })
        }
        kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP => {
            let id = two(body);
            let code = if v5 && !body.is_empty() {
                take(body, 1)[0]
            } else {
                0
            };
            let props = if body.is_empty() {
                Props::new()
            } else {
                props(body)
            };
            let valid: &[u8] = if kind == kind::PUBACK || kind == kind::PUBREC {
                &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
            } else {
                &[0, 0x92]
            };
            assert!(valid.contains(&code), "packet {kind} with {code:#x}");
            Packet::Ack {
                kind,
                id,
                code,
                props,
            }
        }
        kind::SUBACK | kind::UNSUBACK => {
            let id = two(body);
            let props = props(body);
            let codes = std::mem::take(body).to_vec();
            let valid: &[u8] = match (kind, v5) {
                (kind::SUBACK, false) => &[0, 1, 2, 0x80],
                (kind::SUBACK, true) => &[
                    0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
                ],
                (_, false) => &[],
                (_, true) => &[0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
            };
            assert!(
                codes.iter().all(|code| valid.contains(code)),
                "packet {kind} with {codes:?}"
            );
            if kind == kind::SUBACK {
                Packet::SubAck { id, codes, props }
            } else {
                Packet::UnsubAck { id, codes, props }
            }
        }
        kind::PINGRESP => Packet::PingResp,
        kind::DISCONNECT => {
            assert!(v5, "a server of 3.x sends no DISCONNECT");
            let code = if body.is_empty() { 0 } else { take(body, 1)[0] };
            let props = if body.is_empty() {
                Props::new()
            } else {
                props(body)
            };
            assert!(
                code == 0 || code != 4 && code != 0x8a && (0x80..=0xa2).contains(&code),
                "DISCONNECT {code:#x}"
            );
            Packet::Disconnect { code, props }
        }
        _ => panic!("a server sends no packet {kind}"),
    };
    assert!(body.is_empty(), "{packet:?} has bytes left: {body:?}");
    packet
}

/// Reason codes of a CONNACK (MQTT 5 §3.2.2.2).
fn connect_codes() -> Vec<u8> {
    let mut codes = vec![
        0, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
    ];
    codes.extend(0x80..=0x8a);
    codes
}

/// Writes a text or data with its length, for packets that are put together by hand.
pub(super) fn field(data: &[u8], out: &mut Vec<u8>) {
    binary(data, out);
}
