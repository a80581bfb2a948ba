//! What devices answer to commands (seed 001 §6.1, §6.13).

use super::{object, trim};
use model::{command::Answer, id::CommandId};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    code: Value,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    message: Value,
}

/// Reads an answer with the command that its `id` names, which may be none of ours. `None` when
/// there is no answer to be made out, because a code is missing or the payload is no JSON object.
pub(crate) fn read(payload: &[u8]) -> Option<(Option<CommandId>, Answer)> {
    let reply: Reply = object(trim(payload))?;
    let answer = Answer {
        code: number(&reply.code)?,
        data: data(reply.data),
        message: reply.message.as_str().unwrap_or_default().to_owned(),
    };
    let id = number(&reply.id).and_then(|id| u32::try_from(id).ok());
    Some((id.map(CommandId), answer))
}

/// Reads the number of a command out of a topic.
pub(crate) fn command(text: &str) -> Option<CommandId> {
    text.parse().ok().map(CommandId)
}

/// Reads the number of a call out of a topic; those of commands are below them.
pub(crate) fn call(text: &str) -> Option<u64> {
    let number = text.parse().ok();
    number.filter(|number| *number > u64::from(u32::MAX))
}

/// The number of a call, or of a command, in the extended topic that it came on, and that its answer
/// goes to; empty when there is none.
pub(crate) fn extended(topic: &str) -> &str {
    let rest = topic.strip_prefix("/ext/rrpc/");
    let number = rest.and_then(|rest| rest.split_once('/'));
    number.map_or("", |(number, _)| number)
}

/// Some clients put their numbers into quotes.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Some clients put their data into quotes (`"{}"`), or leave it out.
fn data(data: Value) -> Value {
    match data {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Value::Object(object),
            Ok(_) | Err(_) => Value::String(text),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// [AL-6.5] The forms of four clients (spec/alink-wire.md §6.1).
    #[test]
    fn answers_of_real_clients_are_read() {
        for (payload, data) in [
            (
                "{\"id\":\"7\",\"code\":200,\"data\":{\"a\":1}}",
                json!({"a": 1}),
            ),
            ("{\"id\":7,\"code\":\"200\",\"data\":{}}\0", json!({})),
            ("{\"id\":\"7\",\"code\":200,\"data\":\"{}\"}", json!({})),
            (
                "{\"id\":\"7\",\"code\":200,\"data\":\"text\"}",
                json!("text"),
            ),
            ("{\"id\":\"7\",\"code\":200,\"data\":[1]}", json!([1])),
            ("{\"id\":\"7\",\"code\":200,\"message\":\"\"}", json!({})),
        ] {
            let (id, answer) = read(payload.as_bytes()).expect(payload);
            assert_eq!(id, Some(CommandId(7)));
            let expected = Answer {
                code: 200,
                data,
                message: String::new(),
            };
            assert_eq!(answer, expected, "{payload}");
        }
    }

    /// [AL-6.14] The codes of devices pass as they are.
    #[test]
    fn codes_of_devices_are_kept() {
        for code in [200, 400, 429, 460, 100_000, 110_000] {
            let payload =
                format!("{{\"id\":\"1\",\"code\":{code},\"data\":{{}},\"message\":\"m\"}}");
            let (_, answer) = read(payload.as_bytes()).unwrap();
            assert_eq!((answer.code, answer.message.as_str()), (code, "m"));
        }
    }

    #[test]
    fn what_is_no_answer_is_passed_over() {
        for payload in [
            "",
            "[]",
            "{}",
            "text",
            "{\"id\":\"1\"}",
            "{\"id\":\"1\",\"code\":1.5}",
            "{\"id\":\"1\",\"code\":true}",
        ] {
            assert_eq!(read(payload.as_bytes()), None, "{payload}");
        }
        for id in ["-1", "4294967296", "\"x\"", "null", "{}"] {
            let payload = format!("{{\"id\":{id},\"code\":200}}");
            assert_eq!(read(payload.as_bytes()).unwrap().0, None, "{id}");
        }
        assert_eq!(command("4294967295"), Some(CommandId(u32::MAX)));
        assert_eq!(command("4294967296"), None);
        assert_eq!(command(""), None);
        assert_eq!(call("4294967295"), None);
        assert_eq!(call("4294967296"), Some(1 << 32));
        for (topic, number) in [
            ("/ext/rrpc/4294967296/a/b", "4294967296"),
            ("/ext/rrpc/4294967296//a", "4294967296"),
            ("/ext/rrpc/7/sys/pk/dev1/thing/service/a", "7"),
            ("/ext/rrpc/4294967296", ""),
            ("/ext/rrpc//a", ""),
            ("/ext/rrpc", ""),
        ] {
            assert_eq!(extended(topic), number, "{topic}");
        }
        for text in ["", "-4294967296", "99999999999999999999", "7 "] {
            assert_eq!(call(text), None, "{text}");
        }
    }
}
