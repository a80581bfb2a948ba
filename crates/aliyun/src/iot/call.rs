//! Calls of devices with payloads of the application's own ([AL-3.11]; seed 001 §3.1, §6.5).

use super::{
    Action, Answer, Ask, Refusal, fields,
    message::{decode, payload},
    parameter::{DEVICE_NAME, PRODUCT_KEY, integer, text},
};
use crate::codes::business::{Business, Family};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hub::call::Called;
use model::{error::DeviceError, id::DeviceKey};
use serde_json::json;
use std::time::Duration;

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "RRpc",
        Family::Call,
        &[
            PRODUCT_KEY.needed(),
            DEVICE_NAME.needed(),
            integer("Timeout").needed(),
            text("RequestBase64Byte").needed().in_body(),
            text("ContentType"),
            text("Topic"),
        ],
        |ask| Box::pin(call(ask)),
    ),
    Action::changes(
        "AsyncRRpc",
        Family::Call,
        &[
            PRODUCT_KEY.needed(),
            DEVICE_NAME.needed(),
            text("MessageContent").needed().in_body(),
            text("ExtInfo"),
            text("TopicFullName"),
        ],
        |ask| Box::pin(call_later(ask)),
    ),
];

/// Milliseconds that a caller may wait (spec/cloud-api.md §2).
const WAIT: std::ops::RangeInclusive<i64> = 1_000..=8_000;
/// Longest topic behind the number of a call, in bytes.
const TOPIC_MAX: usize = 128;

/// The topics of a call: the device's own one, or with a topic of the application the extended one.
/// Clients put one slash before the latter or two, and are called the way they subscribe
/// (spec/alink-wire.md §6.2).
fn topics(device: &DeviceKey, topic: Option<&str>, number: u64) -> Vec<String> {
    let Some(topic) = topic else {
        let DeviceKey { product, name } = device;
        return vec![format!("/sys/{product}/{name}/rrpc/request/{number}")];
    };
    let topic = topic.trim_start_matches('/');
    vec![
        format!("/ext/rrpc/{number}/{topic}"),
        format!("/ext/rrpc/{number}//{topic}"),
    ]
}

fn topic<'a>(ask: &'a Ask<'_>, name: &str) -> Result<Option<&'a str>, Refusal> {
    let topic = ask.params.text(name);
    let bad = |topic: &str| {
        topic.trim_start_matches('/').is_empty()
            || topic.len() > TOPIC_MAX
            || topic.contains(['+', '#', '\0'])
    };
    if topic.is_some_and(bad) {
        let message = format!("{name} is no topic, or longer than {TOPIC_MAX} bytes");
        return Err(Business::new("iot.messagebroker.InvalidFormattedTopicName", message).into());
    }
    Ok(topic)
}

async fn call(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.named().await?;
    let wait = ask.params.integer("Timeout").unwrap_or_default();
    let wait = u64::try_from(wait).ok().filter(|_| WAIT.contains(&wait));
    let Some(wait) = wait else {
        let code = "iot.messagebroker.InvalidTimeoutValue";
        return Err(Business::new(code, "Timeout is from 1000 to 8000 milliseconds").into());
    };
    let Some(request) = ask.params.text("RequestBase64Byte") else {
        let code = "iot.messagebroker.NullMessageContent";
        return Err(Business::new(code, "RequestBase64Byte is empty").into());
    };
    let request = decode(request)?;
    let topic = topic(ask, "Topic")?;
    let names = |number| topics(&device, topic, number);
    let wait = Duration::from_millis(wait);
    let (number, called) = ask
        .hub
        .device_call(&permit, &device, names, request, wait)
        .await?;
    let (word, answer) = match called {
        Called::Answered(payload) => ("SUCCESS", Some(payload)),
        Called::Offline => ("OFFLINE", None),
        Called::TimedOut => ("TIMEOUT", None),
        Called::Broken => ("HALFCONN", None),
    };
    let mut told = json!({ "MessageId": number, "RrpcCode": word });
    if let Some(answer) = answer {
        told["PayloadBase64Byte"] = STANDARD.encode(answer).into();
    }
    fields(told)
}

async fn call_later(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.named().await?;
    let request = payload(ask)?;
    let topic = topic(ask, "TopicFullName")?;
    let names = |number| topics(&device, topic, number);
    let number = ask
        .hub
        .device_call_later(&permit, &device, names, request)
        .await;
    match number {
        Ok(number) => fields(json!({ "MessageId": number })),
        Err(DeviceError::Offline) => {
            let message = "the device is not connected";
            Err(Business::new("iot.messagebroker.OFFLINE", message).into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-3.11]
    #[test]
    fn a_call_goes_to_the_topics_that_clients_listen_to() {
        let device = DeviceKey::parse("pk", "dev1").expect("it is good");
        assert_eq!(topics(&device, None, 7), ["/sys/pk/dev1/rrpc/request/7"]);
        for topic in ["/a/b", "a/b"] {
            let expected = ["/ext/rrpc/7/a/b", "/ext/rrpc/7//a/b"];
            assert_eq!(topics(&device, Some(topic), 7), expected);
        }
    }
}
