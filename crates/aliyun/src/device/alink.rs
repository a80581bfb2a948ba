//! Alink messages: JSON requests and replies with an id (spec/alink-wire.md §6).
//!
//! Reading is tolerant where devices in the field are careless, and replies have exactly the form
//! that the hand-made parsers of those devices need: `id` as it came, then `code`, `data`,
//! `message`, without blanks.

pub(crate) mod answer;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod desired;
pub(crate) mod firmware;
pub(crate) mod log;
pub(crate) mod notice;
pub(crate) mod ntp;
pub(crate) mod pack;
pub(crate) mod shadow;
pub(crate) mod subs;
pub(crate) mod tags;
pub(crate) mod topology;

use crate::codes::alink::{Code, SUCCESS};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// Longest id that is taken from a message that cannot be read otherwise, in bytes.
const SALVAGED_ID: usize = 256;

/// The id of a request as its JSON text, so that it goes back byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id<'a>(&'a str);

impl Id<'_> {
    /// For requests without an id: clients that wait for a reply always send one, and a reply
    /// must have one.
    pub(crate) const NONE: Id<'static> = Id("\"0\"");

    /// Its JSON text.
    pub(crate) fn raw(&self) -> &RawValue {
        serde_json::from_str(self.0).expect("an id is JSON text")
    }
}

/// A request of a device.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Its id.
    pub(crate) id: Id<'a>,
    /// Its parameters; null when there are none.
    pub(crate) params: Value,
    /// Whether the device wants a reply (`sys.ack`).
    pub(crate) wants_reply: bool,
}

/// A payload that is no Alink request, with its id where one can be made out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable<'a>(pub(crate) Option<Id<'a>>);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    sys: Value,
}

/// Reads a request. `version` and `method` are not looked at: clients leave them out or empty, and
/// the topic says what is meant. How deep the JSON nests is bounded by `serde_json` at 128.
///
/// # Errors
/// What is not a JSON object, and what is longer than `most` bytes.
pub(crate) fn read(payload: &[u8], most: usize) -> Result<Request<'_>, Unreadable<'_>> {
    let unreadable = || Unreadable(salvage(payload));
    if payload.len() > most {
        return Err(unreadable());
    }
    let envelope: Envelope<'_> = object(trim(payload)).ok_or_else(unreadable)?;
    Ok(Request {
        id: envelope
            .id
            .and_then(|id| id_of(id.get()))
            .unwrap_or(Id::NONE),
        params: envelope.params,
        wants_reply: !matches!(&envelope.sys["ack"], Value::Number(n) if n.as_f64() == Some(0.0)),
    })
}

/// Some devices send the rest of their buffer along (spec/alink-wire.md §6.1).
pub(crate) fn trim(payload: &[u8]) -> &[u8] {
    let end = payload.iter().rposition(|byte| *byte != 0);
    &payload[..end.map_or(0, |end| end + 1)]
}

/// Reads an object; a list is none, though it could fill the fields in order.
fn object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    let first = payload.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

fn id_of(raw: &str) -> Option<Id<'_>> {
    raw.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
        .then_some(Id(raw))
}

/// Finds the first `"id":` with a text or a number in what is not JSON, so that the device hears
/// that its message was not understood.
fn salvage(payload: &[u8]) -> Option<Id<'_>> {
    const KEY: &[u8] = b"\"id\"";
    let key = payload
        .windows(KEY.len())
        .position(|window| window == KEY)?;
    let rest = payload[key + KEY.len()..].trim_ascii_start();
    let value = rest.strip_prefix(b":")?.trim_ascii_start();
    let value = &value[..value.len().min(SALVAGED_ID)];
    let length = match value.first()? {
        b'"' => {
            let mut escaped = false;
            let end = value[1..].iter().position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            })?;
            end + 2
        }
        _ => value
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(value.len()),
    };
    let text = std::str::from_utf8(&value[..length]).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    id_of(raw.get())
}

#[derive(Serialize)]
struct Reply<'a, T> {
    id: &'a RawValue,
    code: u32,
    data: &'a T,
    message: &'a str,
}

/// Writes a reply.
pub(crate) fn reply<T: Serialize>(id: Id<'_>, code: u32, message: &str, data: &T) -> Bytes {
    let id: &RawValue = serde_json::from_str(id.0).expect("an id is JSON text");
    let reply = Reply {
        id,
        code,
        data,
        message,
    };
    serde_json::to_vec(&reply)
        .expect("a reply has text keys and no numbers that JSON lacks")
        .into()
}

/// A reply that says that all went well.
pub(crate) fn done(id: Id<'_>, data: &impl Serialize) -> Bytes {
    reply(id, SUCCESS.0, SUCCESS.1, data)
}

/// A reply that says what went wrong, in the document's words and, where it helps, in ours.
pub(crate) fn failed(id: Id<'_>, code: Code, detail: Option<&str>) -> Bytes {
    let none = serde_json::Map::new();
    match detail {
        None => reply(id, code.0, code.1, &none),
        Some(detail) => reply(id, code.0, &format!("{}: {detail}", code.1), &none),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    /// [AL-6.3] The request of seed 001 §6.5, and what C, Python and JavaScript make of it.
    #[test]
    fn ids_go_back_as_they_came() {
        for id in [
            "\"123\"",
            "123",
            "\"1|exp-topic|/sys/a/b/thing/event/property/post\"",
            "\"\\u0041\\\"\"",
            "4294967295123456789012",
            "1.50",
            "-1",
            "6e666666",
        ] {
            let payload = format!("{{\"params\":{{}},\"id\" : {id} ,\"version\":\"1.0\"}}");
            let request = read(payload.as_bytes(), 1024).unwrap();
            assert!(request.wants_reply);
            assert_eq!(
                text(&done(request.id, &json!({}))),
                format!("{{\"id\":{id},\"code\":200,\"data\":{{}},\"message\":\"success\"}}")
            );
        }
    }

    /// [AL-6.3] Version and method may be missing, blanks and NULs may follow.
    #[test]
    fn careless_requests_are_read() {
        for payload in [
            &b"{\"id\":\"7\",\"params\":{\"a\":1}}"[..],
            b" {\"id\":\"7\",\"method\":\"\",\"params\":{\"a\":1}} \r\n",
            b"{\"id\":\"7\",\"params\":{\"a\":1}}\0\0\0\0",
            b"{\"id\":\"7\",\"params\":{\"a\":1},\"sys\":{\"ack\":1},\"unknown\":[{}]}",
            b"{\"id\":\"7\",\"params\":{\"a\":1},\"sys\":null}",
        ] {
            let request = read(payload, usize::MAX).unwrap();
            assert_eq!(request.id, Id("\"7\""));
            assert_eq!(request.params, json!({"a": 1}));
            assert!(request.wants_reply);
        }
        let quiet = read(b"{\"id\":\"7\",\"sys\":{\"ack\":0}}", 1024).unwrap();
        assert!(!quiet.wants_reply);
        assert_eq!(quiet.params, Value::Null);
        for without in ["{}", "{\"id\":null}", "{\"id\":[1]}", "{\"id\":true}"] {
            assert_eq!(read(without.as_bytes(), 1024).unwrap().id, Id::NONE);
        }
    }

    /// The malformed shadow message of one client (spec/alink-wire.md §6.1), and worse.
    #[test]
    fn an_id_is_made_out_in_what_is_not_json() {
        let deep = format!("{{\"id\":\"1\",\"params\":{}", "[".repeat(100_000));
        for (payload, id) in [
            (&b"{\"method\":\"delete\",,\"id\":\"5\"}"[..], Some("\"5\"")),
            (b"{\"id\":12,,}", Some("12")),
            (b"{\"id\" : \"a\\\"b\",", Some("\"a\\\"b\"")),
            (b"{\"id\":\"1\",\"id\":\"2\"}", Some("\"1\"")),
            (b"[{\"id\":3}]", Some("3")),
            (b"{\"id\":\"half", None),
            (b"{\"id\":{},", None),
            (b"{\"id\":", None),
            (b"{\"id\"", None),
            (b"{\"id\":\"\xff\",", None),
            (b"\xff\xfe\x00", None),
            (b"\0\0\0", None),
            (b"", None),
            (b"null", None),
            (b"7", None),
            (deep.as_bytes(), Some("\"1\"")),
        ] {
            let found = read(payload, usize::MAX).unwrap_err().0;
            assert_eq!(found.map(|id| id.0), id);
        }
    }

    #[test]
    fn huge_requests_are_not_parsed() {
        let payload = b"{\"id\":\"1\",\"params\":{}}";
        assert!(read(payload, payload.len()).is_ok());
        let Unreadable(id) = read(payload, payload.len() - 1).unwrap_err();
        assert_eq!(id, Some(Id("\"1\"")));
    }

    #[test]
    fn a_failure_says_the_number_and_why() {
        let code = Code(460, "request parameter error");
        assert_eq!(
            text(&failed(Id("\"1\""), code, Some("no \"params\""))),
            "{\"id\":\"1\",\"code\":460,\"data\":{},\"message\":\"request parameter error: no \\\"params\\\"\"}"
        );
        assert_eq!(
            text(&failed(Id("2"), code, None)),
            "{\"id\":2,\"code\":460,\"data\":{},\"message\":\"request parameter error\"}"
        );
    }
}
