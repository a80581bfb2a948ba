//! The server's time for devices without a clock (spec/alink-wire.md §6.2, `/ext/ntp`).

use super::{object, trim};
use bytes::Bytes;
use model::id::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "deviceSendTime")]
    sent: Value,
}

/// All times are texts, since that is what one client's parser insists on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    device_send_time: String,
    server_recv_time: String,
    server_send_time: String,
}

/// Answers a request; `None` for what is none.
pub(crate) fn answer(payload: &[u8], now: Time) -> Option<Bytes> {
    let request: Request = object(trim(payload))?;
    let device_send_time = match request.sent {
        Value::String(text) if text.len() <= 32 => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let response = Response {
        device_send_time,
        server_recv_time: now.0.to_string(),
        server_send_time: now.0.to_string(),
    };
    let payload = serde_json::to_vec(&response).expect("texts are JSON");
    Some(payload.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_texts() {
        for sent in ["\"1571724098000\"", "1571724098000"] {
            let payload = format!("{{\"deviceSendTime\":{sent}}}\0");
            assert_eq!(
                answer(payload.as_bytes(), Time(5)).unwrap(),
                "{\"deviceSendTime\":\"1571724098000\",\"serverRecvTime\":\"5\",\"serverSendTime\":\"5\"}"
            );
        }
        for payload in ["", "{}", "[1]", "{\"deviceSendTime\":null}"] {
            assert_eq!(answer(payload.as_bytes(), Time(5)), None);
        }
    }
}
