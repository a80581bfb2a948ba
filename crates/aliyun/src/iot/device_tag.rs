//! Tags of devices ([AL-6.11]; seed 001 §6.9).

use super::{
    Action, Answer, Ask, fields, nothing,
    page::Sheet,
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, integer, records, text},
};
use crate::codes::business::{Business, Family};
use model::device::Device;
use serde_json::{Map, Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "SaveDeviceProp",
        Family::DeviceChange,
        &[text("Props").needed(), PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(save(ask)),
    ),
    Action::reads(
        "QueryDeviceProp",
        Family::DeviceRead,
        &[PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(query(ask)),
    ),
    Action::changes(
        "DeleteDeviceProp",
        Family::DeviceChange,
        &[text("PropKey").needed(), PRODUCT_KEY, DEVICE_NAME, IOT_ID],
        |ask| Box::pin(delete(ask)),
    ),
    Action::reads(
        "QueryDeviceByTags",
        Family::DeviceRead,
        &[
            integer("CurrentPage"),
            integer("PageSize"),
            records("Tag", &["TagKey", "TagValue"], 10),
        ],
        |ask| Box::pin(find(ask)),
    ),
];

async fn save(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let text = ask.params.text("Props").unwrap_or_default();
    let props: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        let code = "iot.device.InvalidFormattedDevicePropertiesString";
        Business::new(code, format!("Props is not a JSON object: {error}"))
    })?;
    if props.is_empty() {
        let code = "iot.device.NoneDeviceProperties";
        return Err(Business::new(code, "Props has no tag").into());
    }
    let mut tags = Vec::with_capacity(props.len());
    for (name, value) in &props {
        match value {
            Value::String(value) => tags.push((name.as_str(), value.clone())),
            Value::Number(_) | Value::Bool(_) => tags.push((name.as_str(), value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let code = "iot.device.InvalidFormattedDevicePropertiesString";
                let message = format!("the value of {name} is not a text");
                return Err(Business::new(code, message).into());
            }
        }
    }
    let changes: Vec<_> = tags
        .iter()
        .map(|(name, value)| (*name, Some(value.as_str())))
        .collect();
    ask.hub.tags_change(&permit, &device, &changes).await?;
    nothing()
}

async fn query(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let tags = ask.hub.tags_of(&permit, &device).await?;
    fields(json!({ "Props": json!(tags).to_string() }))
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let Some(name) = ask.params.text("PropKey") else {
        let code = "iot.device.NullDevicePropertyKey";
        return Err(Business::new(code, "PropKey is empty").into());
    };
    ask.hub
        .tags_change(&permit, &device, &[(name, None)])
        .await?;
    nothing()
}

/// Devices that bear all of the tags; a tag without a value matches any.
async fn find(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let permit = ask.any().await?;
    let records = ask.params.records("Tag").iter();
    let tags: Vec<_> = records
        .map(|tag| {
            let value = tag.get("TagValue").copied();
            let name = tag.get("TagKey").copied().unwrap_or_default();
            (name, value.filter(|value| !value.is_empty()))
        })
        .collect();
    if tags.is_empty() || tags.iter().any(|(name, _)| name.is_empty()) {
        return Err(Business::illegal("at least one Tag with a TagKey is needed").into());
    }
    let (devices, total) = ask
        .hub
        .tagged(&permit, &tags, sheet.skip(), sheet.most())
        .await?;
    let mut rows = Vec::with_capacity(devices.len());
    for device in &devices {
        rows.push(simple(ask, device).await?);
    }
    fields(json!({
        "Total": total,
        "Page": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Data": { "SimpleDeviceInfo": rows },
    }))
}

/// A device in a list of those that were searched.
pub(super) async fn simple(ask: &Ask<'_>, device: &Device) -> Result<Value, super::Refusal> {
    let permit = ask.any().await?;
    let product = ask.hub.product_find(&permit, &device.key.product).await?;
    Ok(json!({
        "ProductKey": device.key.product,
        "ProductName": product.product.name,
        "DeviceName": device.key.name,
        "IotId": device.iot_id,
    }))
}
