//! Properties of MQTT 5 (§2.2.2.2).

/// Identifiers of properties.
#[expect(missing_docs, reason = "the names are the ones of the standard")]
pub mod id {
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0b;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTH_METHOD: u8 = 0x15;
    pub const AUTH_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM: u8 = 0x17;
    pub const WILL_DELAY: u8 = 0x18;
    pub const REQUEST_RESPONSE: u8 = 0x19;
    pub const RESPONSE_INFORMATION: u8 = 0x1a;
    pub const SERVER_REFERENCE: u8 = 0x1c;
    pub const REASON_STRING: u8 = 0x1f;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub const WILDCARD_AVAILABLE: u8 = 0x28;
    pub const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
    pub const SHARED_AVAILABLE: u8 = 0x2a;
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(u32),
    Text(String),
    Data(Vec<u8>),
    Pair(String, String),
}

enum Form {
    Byte,
    Two,
    Four,
    Variable,
    Text,
    Data,
    Pair,
}

/// The form of a property, and the kinds of packets a server may send it in.
fn form(property: u8) -> Option<(Form, &'static [u8])> {
    use super::kind::*;
    const ANSWERS: &[u8] = &[
        CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH,
    ];
    const ANY: &[u8] = &[
        CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH,
    ];
    Some(match property {
        id::PAYLOAD_FORMAT => (Form::Byte, &[PUBLISH]),
        id::MESSAGE_EXPIRY => (Form::Four, &[PUBLISH]),
        id::CONTENT_TYPE | id::RESPONSE_TOPIC => (Form::Text, &[PUBLISH]),
        id::CORRELATION => (Form::Data, &[PUBLISH]),
        id::SUBSCRIPTION_ID => (Form::Variable, &[PUBLISH]),
        // A server never sends it in DISCONNECT.
        id::SESSION_EXPIRY => (Form::Four, &[CONNACK]),
        id::ASSIGNED_CLIENT_ID | id::RESPONSE_INFORMATION => (Form::Text, &[CONNACK]),
        id::SERVER_KEEP_ALIVE | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM => {
            (Form::Two, &[CONNACK])
        }
        id::AUTH_METHOD => (Form::Text, &[CONNACK, AUTH]),
        id::AUTH_DATA => (Form::Data, &[CONNACK, AUTH]),
        id::REQUEST_PROBLEM | id::REQUEST_RESPONSE => (Form::Byte, &[]),
        id::WILL_DELAY => (Form::Four, &[]),
        id::SERVER_REFERENCE => (Form::Text, &[CONNACK, DISCONNECT]),
        id::REASON_STRING => (Form::Text, ANSWERS),
        id::TOPIC_ALIAS => (Form::Two, &[PUBLISH]),
        id::MAXIMUM_QOS
        | id::RETAIN_AVAILABLE
        | id::WILDCARD_AVAILABLE
        | id::SUBSCRIPTION_ID_AVAILABLE
        | id::SHARED_AVAILABLE => (Form::Byte, &[CONNACK]),
        id::USER => (Form::Pair, ANY),
        id::MAXIMUM_PACKET_SIZE => (Form::Four, &[CONNACK]),
        _ => return None,
    })
}

/// Properties in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Props(Vec<(u8, Value)>);

impl Props {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, id: u8, value: u32) -> Self {
        self.0.push((id, Value::Number(value)));
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, id: u8, value: &str) -> Self {
        self.0.push((id, Value::Text(value.into())));
        self
    }

    /// Adds binary data.
    #[must_use]
    pub fn data(mut self, id: u8, value: &[u8]) -> Self {
        self.0.push((id, Value::Data(value.into())));
        self
    }

    /// Adds a user property.
    #[must_use]
    pub fn user(mut self, name: &str, value: &str) -> Self {
        self.0
            .push((id::USER, Value::Pair(name.into(), value.into())));
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of a property.
    pub fn get(&self, id: u8) -> Option<u32> {
        self.numbers(id).first().copied()
    }

    /// All numbers of a property.
    pub fn numbers(&self, id: u8) -> Vec<u32> {
        let of = |(i, value): &(u8, Value)| match value {
            Value::Number(n) if *i == id => Some(*n),
            _ => None,
        };
        self.0.iter().filter_map(of).collect()
    }

    /// The text of a property.
    pub fn get_text(&self, id: u8) -> Option<&str> {
        self.0.iter().find_map(|(i, value)| match value {
            Value::Text(text) if *i == id => Some(text.as_str()),
            _ => None,
        })
    }

    /// The data of a property.
    pub fn get_data(&self, id: u8) -> Option<&[u8]> {
        self.0.iter().find_map(|(i, value)| match value {
            Value::Data(data) if *i == id => Some(data.as_slice()),
            _ => None,
        })
    }

    /// The user properties in their order.
    pub fn users(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .filter_map(|(_, value)| match value {
                Value::Pair(name, value) => Some((name.as_str(), value.as_str())),
                _ => None,
            })
            .collect()
    }

    /// Writes length and properties.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        for (id, value) in &self.0 {
            body.push(*id);
            match (value, form(*id).expect("a property").0) {
                (Value::Number(n), Form::Byte) => body.push(u8::try_from(*n).expect("a byte")),
                (Value::Number(n), Form::Two) => {
                    body.extend(u16::try_from(*n).expect("two bytes").to_be_bytes());
                }
                (Value::Number(n), Form::Four) => body.extend(n.to_be_bytes()),
                (Value::Number(n), Form::Variable) => super::packet::variable(*n, &mut body),
                (Value::Text(text), Form::Text) => string(text, &mut body),
                (Value::Data(data), Form::Data) => binary(data, &mut body),
                (Value::Pair(name, value), Form::Pair) => {
                    string(name, &mut body);
                    string(value, &mut body);
                }
                _ => panic!("property {id:#x} has another form"),
            }
        }
        super::packet::variable(u32::try_from(body.len()).expect("a length"), out);
        out.extend(body);
    }

    /// Reads length and properties of a packet of this kind.
    pub(super) fn read(input: &mut &[u8], kind: u8) -> Self {
        let length = super::packet::read_variable(input).expect("a property length") as usize;
        let (mut body, rest) = input.split_at(length);
        *input = rest;
        let mut all = Vec::new();
        while let Some((&id, rest)) = body.split_first() {
            body = rest;
            let (form, kinds) = form(id).unwrap_or_else(|| panic!("property {id:#x}"));
            assert!(kinds.contains(&kind), "property {id:#x} in packet {kind}");
            let again = all.iter().any(|(other, _)| *other == id);
            let may_repeat = id == id::USER || (id == id::SUBSCRIPTION_ID && kind == 3);
            assert!(!again || may_repeat, "property {id:#x} twice");
            let value = match form {
                Form::Byte => {
                    let value = take(&mut body, 1)[0];
                    assert!(value < 2, "property {id:#x} is {value}");
                    Value::Number(value.into())
                }
                Form::Two => Value::Number(two(&mut body).into()),
                Form::Four => {
                    let bytes = take(&mut body, 4).try_into().expect("four bytes");
                    Value::Number(u32::from_be_bytes(bytes))
                }
                Form::Variable => {
                    Value::Number(super::packet::read_variable(&mut body).expect("a number"))
                }
                Form::Text => Value::Text(read_string(&mut body)),
                Form::Data => {
                    let length = two(&mut body).into();
                    Value::Data(take(&mut body, length).into())
                }
                Form::Pair => Value::Pair(read_string(&mut body), read_string(&mut body)),
            };
            let forbids_zero = [
                id::RECEIVE_MAXIMUM,
                id::TOPIC_ALIAS,
                id::SUBSCRIPTION_ID,
                id::MAXIMUM_PACKET_SIZE,
            ];
            assert!(
                !forbids_zero.contains(&id) || value != Value::Number(0),
                "property {id:#x} is 0"
            );
            all.push((id, value));
        }
        Self(all)
    }
}

/// Writes a length of two bytes and the text.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    binary(text.as_bytes(), out);
}

/// Writes a length of two bytes and the data.
pub(super) fn binary(data: &[u8], out: &mut Vec<u8>) {
    out.extend(
        u16::try_from(data.len())
            .expect("a short text")
            .to_be_bytes(),
    );
    out.extend(data);
}

pub(super) fn take<'a>(input: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(n);
    *input = rest;
    taken
}

pub(super) fn two(input: &mut &[u8]) -> u16 {
    u16::from_be_bytes(take(input, 2).try_into().expect("two bytes"))
}

pub(super) fn read_string(input: &mut &[u8]) -> String {
    let length = two(input).into();
    String::from_utf8(take(input, length).to_vec()).expect("UTF-8")
}
