//! Device shadows, which are not served: clients wait for an answer and get an error.

use super::{object, trim};
use crate::codes::alink::SERVER;
use bytes::Bytes;
use model::id::Time;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "clientToken", default)]
    token: Value,
}

/// The answer to whatever is asked of a shadow, with the token by which clients find their request
/// again (spec/alink-wire.md §6.2, `/shadow/update`).
pub(crate) fn answer(payload: &[u8], now: Time) -> Bytes {
    let request: Option<Request> = object(trim(payload));
    let mut answer = json!({
        "method": "reply",
        "payload": {
            "status": "error",
            "content": {
                "errorcode": SERVER.0.to_string(),
                "errormessage": "this server does not serve device shadows",
            },
        },
        "timestamp": now.0 / 1000,
    });
    if let Some(Request {
        token: token @ Value::String(_),
    }) = request
    {
        answer["clientToken"] = token;
    }
    answer.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_wait_are_told() {
        for (payload, token) in [
            ("{\"method\":\"get\",\"clientToken\":\"t\"}", json!("t")),
            (
                "{\"method\":\"delete\",,\"clientToken\":\"t\"}",
                Value::Null,
            ),
            ("{\"clientToken\":{}}", Value::Null),
        ] {
            let answer: Value =
                serde_json::from_slice(&answer(payload.as_bytes(), Time(2_000))).unwrap();
            assert_eq!(answer["payload"]["status"], "error");
            assert_eq!(answer["payload"]["content"]["errorcode"], "500");
            assert_eq!(answer["clientToken"], token, "{payload}");
            assert_eq!(answer["timestamp"], 2);
        }
    }
}
