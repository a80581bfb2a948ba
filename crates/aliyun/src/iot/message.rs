//! Messages to devices on topics of the product's own ([AL-3.12]).

use super::{
    Action, Answer, Ask, Refusal, fields,
    parameter::{DEVICE_NAME, PRODUCT_KEY, Parameter, boolean, integer, list, records, text},
    product_key,
    property::{devices, parts, told},
    topic::{of_device, subscribed},
};
use crate::codes::business::{Business, Family};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use futures_util::future::join_all;
use hub::account::Permit;
use model::{
    account::Resource, device::DeviceState, id::DeviceKey, id::ProductKey, port::DeviceFilter,
};
use serde_json::json;

const USER_PROPERTIES: Parameter = records("UserProp", &["Key", "Value"], 20);

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "Pub",
        Family::Message,
        &[
            PRODUCT_KEY.needed(),
            text("TopicFullName").needed(),
            text("MessageContent").needed().in_body(),
            DEVICE_NAME,
            integer("Qos"),
            text("CorrelationData"),
            text("ContentType"),
            integer("PayloadFormatIndicator"),
            boolean("Retained"),
            integer("MessageExpiryInterval"),
            text("ResponseTopic"),
            integer("TopicAlias"),
            USER_PROPERTIES,
        ],
        |ask| Box::pin(publish(ask)),
    ),
    Action::changes(
        "BatchPub",
        Family::Message,
        &[
            PRODUCT_KEY.needed(),
            text("MessageContent").needed(),
            list("DeviceName", 100).needed(),
            integer("Qos"),
            text("TopicShortName"),
            text("TopicTemplateName"),
            text("ResponseTopicTemplateName"),
            text("CorrelationData"),
            integer("PayloadFormatIndicator"),
            text("ContentType"),
            integer("MessageExpiryInterval"),
            boolean("Retained"),
            USER_PROPERTIES,
        ],
        |ask| Box::pin(publish_many(ask)),
    ),
    Action::changes(
        "PubBroadcast",
        Family::Message,
        &[
            PRODUCT_KEY.needed(),
            text("MessageContent").needed(),
            text("TopicFullName"),
        ],
        |ask| Box::pin(broadcast(ask)),
    ),
];

/// Rows that are looked at in one go for those that are connected.
const SCAN: usize = 500;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn payload(ask: &Ask<'_>) -> Result<Bytes, Business> {
    let Some(text) = ask.params.text("MessageContent") else {
        let code = "iot.messagebroker.NullMessageContent";
        return Err(Business::new(code, "the MessageContent is empty"));
    };
    decode(text)
}

/// The bytes of a payload in base64.
pub(super) fn decode(text: &str) -> Result<Bytes, Business> {
    BASE64.decode(text.trim()).map(Bytes::from).map_err(|_| {
        let code = "iot.messagebroker.MessageContentIsNotBase64Encode";
        Business::new(code, "the payload is not base64")
    })
}

fn qos(ask: &Ask<'_>) -> Result<u8, Business> {
    match ask.params.integer("Qos") {
        None | Some(0) => Ok(0),
        Some(1) => Ok(1),
        Some(_) => Err(Business::illegal("Qos is 0 or 1")),
    }
}

fn bad_topic(message: &str) -> Refusal {
    Business::new("iot.messagebroker.InvalidFormattedTopicName", message).into()
}

async fn publish(ask: &Ask<'_>) -> Answer {
    let product = product_key(ask.params.text("ProductKey"))?;
    let Some(topic) = ask.params.text("TopicFullName") else {
        let code = "iot.messagebroker.NullTopicName";
        return Err(Business::new(code, "the TopicFullName is empty").into());
    };
    let (name, suffix) = of_device(&product, topic)?;
    if ask.params.text("DeviceName").is_some_and(|dn| dn != name) {
        return Err(bad_topic("the topic is not the one of DeviceName"));
    }
    let device = super::device_key(&product, Some(name))?;
    let permit = ask.permit(&device).await?;
    let view = ask.hub.product_find(&permit, &product).await?;
    subscribed(&view.product, suffix)?;
    let (payload, qos) = (payload(ask)?, qos(ask)?);
    let number = ask
        .hub
        .message_send(&permit, &device, topic, payload, qos)
        .await?;
    fields(json!({ "MessageId": number.to_string() }))
}

async fn publish_many(ask: &Ask<'_>) -> Answer {
    let product = product_key(ask.params.text("ProductKey"))?;
    let suffix = template(ask, &product)?;
    let (payload, qos) = (payload(ask)?, qos(ask)?);
    let permit = ask.allow(&Resource::Product(product.clone())).await?;
    let view = ask.hub.product_find(&permit, &product).await?;
    subscribed(&view.product, &suffix)?;
    let devices = devices(ask).await?;
    let send = async |(permit, key): (&Permit, &DeviceKey)| {
        let topic = format!("/{product}/{}/{suffix}", key.name);
        let payload = payload.clone();
        ask.hub
            .message_send(permit, key, &topic, payload, qos)
            .await
    };
    let done = join_all(devices.iter().map(parts).map(send)).await;
    told(&devices, done, ask.action.family)
}

/// The part of the topics behind product and device: of `TopicTemplateName`, which has both
/// spelled out or as `${…}`, or else `TopicShortName`.
fn template(ask: &Ask<'_>, product: &ProductKey) -> Result<String, Refusal> {
    let short = ask.params.text("TopicShortName");
    let Some(template) = ask.params.text("TopicTemplateName") else {
        let Some(short) = short else {
            let code = "iot.messagebroker.NullTopicName";
            return Err(Business::new(code, "the TopicShortName is empty").into());
        };
        return Ok(short.strip_prefix('/').unwrap_or(short).into());
    };
    let topic = template
        .replace("${productKey}", product.as_str())
        .replace("${deviceName}", "-");
    Ok(of_device(product, &topic)?.1.to_owned())
}

async fn broadcast(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let payload = payload(ask)?;
    let number = match ask.params.text("TopicFullName") {
        Some(topic) => {
            let own = topic
                .strip_prefix("/broadcast/")
                .and_then(|rest| rest.strip_prefix(product.as_str()))
                .and_then(|rest| rest.strip_prefix('/'));
            if own.is_none_or(str::is_empty) || topic.contains(['+', '#', '\0']) {
                let message = "the topic is not /broadcast/{ProductKey}/… of this product";
                return Err(bad_topic(message));
            }
            ask.hub
                .message_broadcast(&permit, &product, topic, payload)
                .await?
        }
        None => to_each(ask, &permit, &product, &payload).await?,
    };
    fields(json!({ "MessageId": number }))
}

/// Sends to every connected device on the topic that bears the device's name and the message's
/// number.
async fn to_each(
    ask: &Ask<'_>,
    permit: &Permit,
    product: &ProductKey,
    payload: &Bytes,
) -> Result<u64, Refusal> {
    let number = ask.hub.message_number().await?;
    let filter = DeviceFilter {
        activated: Some(true),
        disabled: Some(false),
    };
    let mut skip = 0;
    loop {
        let (page, total) = ask
            .hub
            .device_page(permit, product, &filter, skip, SCAN)
            .await?;
        skip += page.len() as u64;
        let last = page.is_empty() || skip >= total;
        let online = |state| state == DeviceState::Online;
        for view in page.into_iter().filter(|view| online(view.state)) {
            let device: DeviceKey = view.device.key;
            let name = &device.name;
            let topic = format!("/sys/{product}/{name}/broadcast/request/{number}");
            ask.hub
                .message_tell(permit, &device, &topic, payload.clone(), 0)
                .await?;
        }
        if last {
            return Ok(number);
        }
    }
}
