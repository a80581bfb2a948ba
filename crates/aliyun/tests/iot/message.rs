//! Messages on topics of the product's own ([AL-3.12]).

use crate::stage::{Stage, join, numbered};
use model::port::{Audience, Signal};

/// Who a message is for, with its topic, payload and QoS.
type Message = (Audience, String, Vec<u8>, u8);

impl Stage {
    async fn message(&mut self) -> Message {
        self.word(|word| match word {
            Signal::Publish {
                to,
                topic,
                payload,
                qos,
                ..
            } => Some((to, topic, payload.to_vec(), qos)),
            Signal::Call { .. }
            | Signal::CommandsWait { .. }
            | Signal::Close { .. }
            | Signal::Notice { .. } => None,
        })
        .await
    }
}

#[tokio::test]
async fn al_3_12_a_message_reaches_its_device() {
    let mut stage = Stage::set().await;
    let key = stage.product().await;
    let secret = stage.device(&key, "lamp1").await;
    let session = stage.connect(&key, "lamp1", &secret).await;
    let topic = format!("/{key}/lamp1/user/get");
    let product = ("ProductKey", key.as_str());
    let message = ("MessageContent", "aGVsbG8=");
    let params = [product, ("TopicFullName", &topic), message, ("Qos", "1")];
    let tree = stage.ok("Pub", &params).await;
    assert!(tree["MessageId"].is_string());
    let (to, sent, payload, qos) = stage.message().await;
    assert_eq!(to, Audience::Device(session.iot_id.clone()));
    assert_eq!((sent, payload, qos), (topic.clone(), b"hello".to_vec(), 1));
    let unknown = format!("/{key}/lamp1/user/unknown");
    let upward = format!("/{key}/lamp1/user/update");
    let nobody = format!("/{key}/nobody/user/get");
    for (topic, content, code) in [
        (
            topic.as_str(),
            "not base64!",
            "MessageContentIsNotBase64Encode",
        ),
        (&topic, "", "NullMessageContent"),
        ("", "aGVsbG8=", "NullTopicName"),
        (
            "/other/lamp1/user/get",
            "aGVsbG8=",
            "InvalidFormattedTopicName",
        ),
        (&unknown, "aGVsbG8=", "TopicTemplateIsNotFound"),
        (&upward, "aGVsbG8=", "TopicTemplateIsNotFound"),
    ] {
        let params = [
            product,
            ("TopicFullName", topic),
            ("MessageContent", content),
        ];
        let code = format!("iot.messagebroker.{code}");
        assert_eq!(stage.code("Pub", &params).await, code, "{topic} {content}");
    }
    let params = [product, ("TopicFullName", nobody.as_str()), message];
    assert_eq!(
        stage.code("Pub", &params).await,
        "iot.device.NotExistedDevice"
    );
    let params = [
        product,
        ("TopicFullName", &topic),
        message,
        ("DeviceName", "lamp2"),
    ];
    assert_eq!(
        stage.code("Pub", &params).await,
        "iot.messagebroker.InvalidFormattedTopicName"
    );
    let params = [product, ("TopicFullName", &topic), message, ("Qos", "2")];
    assert_eq!(
        stage.code("Pub", &params).await,
        "iot.system.IllegalRequest"
    );
}

#[tokio::test]
async fn al_3_12_a_message_reaches_many_devices() {
    let mut stage = Stage::set().await;
    let key = stage.product().await;
    for name in ["lamp1", "lamp2", "lamp3"] {
        let secret = stage.device(&key, name).await;
        if name != "lamp3" {
            stage.connect(&key, name, &secret).await;
        }
    }
    let product = ("ProductKey", key.as_str());
    let message = ("MessageContent", "aGVsbG8");
    let names = numbered("DeviceName", &["lamp1", "lamp2"]);
    for name in [
        ("TopicShortName", "user/get"),
        ("TopicTemplateName", "/${productKey}/${deviceName}/user/get"),
    ] {
        stage
            .ok("BatchPub", &join(&[product, message, name], &names))
            .await;
        let mut topics = [stage.message().await.1, stage.message().await.1];
        topics.sort();
        assert_eq!(
            topics,
            ["lamp1", "lamp2"].map(|d| format!("/{key}/{d}/user/get"))
        );
    }
    let short = ("TopicShortName", "user/update");
    let code = stage
        .code("BatchPub", &join(&[product, message, short], &names))
        .await;
    assert_eq!(code, "iot.messagebroker.TopicTemplateIsNotFound");

    let topic = format!("/broadcast/{key}/news");
    let params = [product, message, ("TopicFullName", &topic)];
    let tree = stage.ok("PubBroadcast", &params).await;
    assert!(tree["MessageId"].is_u64());
    let (to, sent, ..) = stage.message().await;
    assert!(matches!(to, Audience::Product(_)));
    assert_eq!(sent, topic);
    let params = [product, message, ("TopicFullName", "/broadcast/other/news")];
    assert_eq!(
        stage.code("PubBroadcast", &params).await,
        "iot.messagebroker.InvalidFormattedTopicName"
    );
    let tree = stage.ok("PubBroadcast", &[product, message]).await;
    let number = &tree["MessageId"];
    let mut topics = [stage.message().await.1, stage.message().await.1];
    topics.sort();
    let expected = ["lamp1", "lamp2"];
    let expected = expected.map(|d| format!("/sys/{key}/{d}/broadcast/request/{number}"));
    assert_eq!(topics, expected, "only those that are connected");
}
