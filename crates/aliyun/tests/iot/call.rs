//! Calls of devices ([AL-3.11]).

use crate::stage::Stage;
use hub::edge::{Dialect, Inbound, Session};
use model::port::Signal;

impl Stage {
    /// The topics and the payload of the next call.
    async fn called(&mut self) -> (Vec<String>, Vec<u8>) {
        self.word(|word| match word {
            Signal::Call {
                topics, payload, ..
            } => Some((topics, payload.to_vec())),
            Signal::Publish { .. }
            | Signal::CommandsWait { .. }
            | Signal::Close { .. }
            | Signal::Notice { .. } => None,
        })
        .await
    }

    /// Takes a message of a device.
    async fn says(&self, session: &Session, topic: &str, payload: &'static str) {
        let settings = aliyun::device::Settings {
            host: None,
            mqtt_port: 1883,
            insecure_http: true,
        };
        let dialect = aliyun::device::Alink::new(self.hub.clone(), settings);
        let inbound = Inbound {
            topic: topic.into(),
            payload: payload.into(),
            qos: 0,
        };
        let done = dialect.uplink(session, inbound).await;
        assert_eq!(done.expect("it is taken").replies, []);
    }
}

/// [AL-3.11] The answer comes back as it was sent, whatever bytes it is, on the device's own topic
/// and on one of the application's.
#[tokio::test]
async fn al_3_11_a_device_answers_a_call() {
    let mut stage = Stage::set().await;
    let key = stage.product().await;
    let secret = stage.device(&key, "lamp1").await;
    let session = stage.connect(&key, "lamp1", &secret).await;
    let own = format!("/sys/{key}/lamp1/rrpc/request/");
    for (topic, prefix) in [(None, own.as_str()), (Some("/a/b"), "/ext/rrpc/")] {
        let mut params = vec![
            ("Action", "RRpc"),
            ("ProductKey", key.as_str()),
            ("DeviceName", "lamp1"),
            ("Timeout", "8000"),
            ("RequestBase64Byte", "aGVsbG8="),
        ];
        params.remove(0);
        params.extend(topic.map(|topic| ("Topic", topic)));
        let pairs = stage.signed(&stage.key, "RRpc", &params);
        let door = stage.door.clone();
        let uri = format!("/?{}", credential::request::query::canonical(&pairs));
        let mut request = axum::http::Request::get(uri)
            .header("Host", "127.0.0.1")
            .body(axum::body::Body::empty())
            .expect("it is good");
        request.extensions_mut().insert(crate::stage::PEER);
        let asked = tokio::spawn(tower::ServiceExt::oneshot(door, request));
        let (topics, payload) = stage.called().await;
        assert_eq!(payload, b"hello");
        let number = topics[0][prefix.len()..].split('/').next().expect("one");
        let answer = match topic {
            None => format!("/sys/{key}/lamp1/rrpc/response/{number}"),
            Some(_) => topics[1].clone(),
        };
        stage.says(&session, &answer, "not JSON").await;
        let response = asked.await.expect("it ends").expect("it is answered");
        let (_, tree) = crate::stage::json_of(response).await;
        assert_eq!(tree["RrpcCode"], "SUCCESS", "{tree}");
        assert_eq!(tree["PayloadBase64Byte"], "bm90IEpTT04=");
        assert_eq!(tree["MessageId"].to_string(), number);
    }
}

/// [AL-3.11] What goes wrong is told by its code.
#[tokio::test]
async fn al_3_11_calls_fail_with_the_codes_of_the_document() {
    let mut stage = Stage::set().await;
    let key = stage.product().await;
    let secret = stage.device(&key, "lamp1").await;
    let product = key.as_str();
    fn of<'a>(
        product: &'a str,
        timeout: &'a str,
        content: &'a str,
        topic: &'a str,
    ) -> Vec<(&'a str, &'a str)> {
        let mut params = vec![
            ("ProductKey", product),
            ("DeviceName", "lamp1"),
            ("Timeout", timeout),
            ("RequestBase64Byte", content),
        ];
        if !topic.is_empty() {
            params.push(("Topic", topic));
        }
        params
    }
    let tree = stage.ok("RRpc", &of(product, "1000", "aGk=", "")).await;
    assert_eq!(tree["RrpcCode"], "OFFLINE");
    let session = stage.connect(&key, "lamp1", &secret).await;
    let tree = stage.ok("RRpc", &of(product, "1000", "aGk=", "")).await;
    assert_eq!(tree["RrpcCode"], "TIMEOUT");
    for (timeout, content, topic, code) in [
        ("999", "aGk=", "", "InvalidTimeoutValue"),
        ("8001", "aGk=", "", "InvalidTimeoutValue"),
        ("1000", "?", "", "MessageContentIsNotBase64Encode"),
        ("1000", "", "", "NullMessageContent"),
        ("1000", "aGk=", "/a/+", "InvalidFormattedTopicName"),
        ("1000", "aGk=", "//", "InvalidFormattedTopicName"),
    ] {
        let params = of(product, timeout, content, topic);
        let code = format!("iot.messagebroker.{code}");
        assert_eq!(stage.code("RRpc", &params).await, code);
    }
    while stage.words.try_recv().is_ok() {}
    let call = [
        ("ProductKey", key.as_str()),
        ("DeviceName", "lamp1"),
        ("MessageContent", "aGk="),
    ];
    let tree = stage.ok("AsyncRRpc", &call).await;
    let number = &tree["MessageId"];
    let (topics, _) = stage.called().await;
    assert_eq!(topics, [format!("/sys/{key}/lamp1/rrpc/request/{number}")]);
    stage.disconnect(&session).await;
    assert_eq!(
        stage.code("AsyncRRpc", &call).await,
        "iot.messagebroker.OFFLINE"
    );
}
