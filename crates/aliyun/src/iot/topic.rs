//! Topic classes of products ([AL-3.12]), and what may be published to which topic.

use super::{
    Action, Answer, Ask, Refusal, fields, nothing,
    parameter::{PRODUCT_KEY, boolean, text},
};
use crate::codes::business::{Business, Family};
use hub::account::Permit;
use model::{
    account::Resource,
    id::ProductKey,
    product::{Product, TopicRight},
};
use serde_json::json;

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "CreateProductTopic",
        Family::Topic,
        &[
            PRODUCT_KEY.needed(),
            text("TopicShortName").needed(),
            text("Operation").needed(),
            text("Desc"),
            boolean("EnableProxySubscribe"),
            text("Codec"),
        ],
        |ask| Box::pin(create(ask)),
    ),
    Action::changes(
        "UpdateProductTopic",
        Family::Topic,
        &[
            text("TopicId").needed(),
            text("TopicShortName").needed(),
            text("Operation").needed(),
            text("Desc"),
            boolean("EnableProxySubscribe"),
            text("Codec"),
        ],
        |ask| Box::pin(update(ask)),
    ),
    Action::reads(
        "QueryProductTopic",
        Family::Topic,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(query(ask)),
    ),
    Action::changes(
        "DeleteProductTopic",
        Family::Topic,
        &[text("TopicId").needed()],
        |ask| Box::pin(delete(ask)),
    ),
];

/// What devices may do, as calls write it.
fn right(ask: &Ask<'_>) -> Result<TopicRight, Business> {
    match ask.params.needed("Operation") {
        "PUB" => Ok(TopicRight::Publish),
        "SUB" => Ok(TopicRight::Subscribe),
        "ALL" => Ok(TopicRight::Both),
        _ => {
            let code = "iot.messagebroker.InvalidTopicTemplateOperationValue";
            Err(Business::new(code, "Operation is PUB, SUB or ALL"))
        }
    }
}

/// The part of a topic class behind product and device.
fn suffix<'a>(ask: &Ask<'a>) -> Result<&'a str, Business> {
    match ask.params.text("TopicShortName") {
        Some(name) => Ok(name.strip_prefix('/').unwrap_or(name)),
        None => {
            let code = "iot.messagebroker.NullTopicName";
            Err(Business::new(code, "the TopicShortName is empty"))
        }
    }
}

async fn create(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let description = ask.params.text("Desc").unwrap_or_default();
    let (suffix, right) = (suffix(ask)?, right(ask)?);
    let class = ask
        .hub
        .topic_create(&permit, &key, suffix, right, description)
        .await?;
    fields(json!({ "TopicId": class.id }))
}

/// The number in `TopicId`, with a permit for the product that the class belongs to.
async fn class(ask: &Ask<'_>) -> Result<(Permit, u64), Refusal> {
    let id = ask.params.needed("TopicId").parse().map_err(|_| {
        let code = "iot.messagebroker.TopicTemplateIsNotFound";
        Business::new(code, "the TopicId is not a number")
    })?;
    let product = ask.hub.topic_product(id).await?;
    let permit = ask.allow(&Resource::Product(product)).await?;
    Ok((permit, id))
}

async fn update(ask: &Ask<'_>) -> Answer {
    let (permit, id) = class(ask).await?;
    let (suffix, right) = (suffix(ask)?, right(ask)?);
    let description = ask.params.given_text("Desc");
    ask.hub
        .topic_update(&permit, id, suffix, right, description)
        .await?;
    nothing()
}

async fn query(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let view = ask.hub.product_find(&permit, &key).await?;
    let rows: Vec<_> = view
        .product
        .topics
        .iter()
        .map(|class| {
            // Written as numbers, although calls write words.
            let operation = match class.right {
                TopicRight::Publish => "0",
                TopicRight::Subscribe => "1",
                TopicRight::Both => "2",
            };
            json!({
                "Id": class.id.to_string(),
                "ProductKey": key,
                "TopicShortName": format!("/{key}/${{deviceName}}/{}", class.suffix),
                "Operation": operation,
                "Desc": class.description,
                "EnableProxySubscribe": false,
            })
        })
        .collect();
    fields(json!({ "Data": { "ProductTopicInfo": rows } }))
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (permit, id) = class(ask).await?;
    ask.hub.topic_delete(&permit, id).await?;
    nothing()
}

/// A topic of one device, taken apart: the device's name, and what follows it.
pub(super) fn of_device<'a>(
    product: &ProductKey,
    topic: &'a str,
) -> Result<(&'a str, &'a str), Business> {
    let bad = |message: &str| {
        let code = "iot.messagebroker.InvalidFormattedTopicName";
        Err(Business::new(code, message))
    };
    if topic.contains(['+', '#', '\0']) || topic.len() > 512 {
        return bad("the topic has a wildcard or is too long");
    }
    let rest = topic
        .strip_prefix('/')
        .and_then(|rest| rest.strip_prefix(product.as_str()))
        .and_then(|rest| rest.strip_prefix('/'));
    match rest.and_then(|rest| rest.split_once('/')) {
        Some((name, suffix)) if !suffix.is_empty() => Ok((name, suffix)),
        _ => bad("the topic is not /{ProductKey}/{DeviceName}/… of this product"),
    }
}

/// Refuses a topic whose class does not exist, or to which devices may not subscribe.
pub(super) fn subscribed(product: &Product, suffix: &str) -> Result<(), Business> {
    let class = product.topics.iter().any(|class| {
        matches!(class.right, TopicRight::Subscribe | TopicRight::Both)
            && covers(&class.suffix, suffix)
    });
    if class {
        return Ok(());
    }
    let code = "iot.messagebroker.TopicTemplateIsNotFound";
    let message = "the product has no topic class of this name that devices may subscribe to";
    Err(Business::new(code, message))
}

/// Whether a class, which may have wildcard levels, covers a suffix (MQTT 3.1.1 §4.7).
fn covers(class: &str, suffix: &str) -> bool {
    let mut levels = suffix.split('/');
    for pattern in class.split('/') {
        match (pattern, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (pattern, Some(level)) if pattern == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn al_3_12_a_topic_belongs_to_its_product_and_device() {
        let product = ProductKey::parse("pk").expect("it is good");
        assert_eq!(
            of_device(&product, "/pk/lamp/user/get").expect("it is good"),
            ("lamp", "user/get")
        );
        for bad in [
            "",
            "/pk",
            "/pk/lamp",
            "/pk/lamp/",
            "/pkk/lamp/user/get",
            "pk/lamp/user/get",
            "/other/lamp/user/get",
            "/sys/pk/lamp/thing/service/property/set",
            "/pk/lamp/user/#",
            "/pk/+/user/get",
        ] {
            assert!(of_device(&product, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn al_3_12_classes_cover_their_topics() {
        assert!(covers("user/get", "user/get"));
        assert!(covers("user/+", "user/get"));
        assert!(covers("user/#", "user/get/more") && covers("#", "user"));
        for (class, suffix) in [
            ("user/get", "user/get/more"),
            ("user/get", "user"),
            ("user/+", "user/get/more"),
        ] {
            assert!(!covers(class, suffix), "{class} {suffix}");
        }
    }
}
