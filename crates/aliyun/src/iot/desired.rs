//! Desired properties ([AL-6.8]; seed 001 §6.6).

use super::{
    Action, Answer, Ask, fields,
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, list, text},
    property::items,
    shown,
};
use crate::codes::business::{Business, Family};
use hub::desired::Versions;
use serde_json::json;

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "SetDeviceDesiredProperty",
        Family::PropertySet,
        &[
            text("Items").needed(),
            text("Versions").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
        ],
        |ask| Box::pin(set(ask)),
    ),
    Action::reads(
        "QueryDeviceDesiredProperty",
        Family::PropertyRead,
        &[
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
            text("FunctionBlockId"),
            list("Identifier", MOST),
        ],
        |ask| Box::pin(query(ask)),
    ),
    Action::changes(
        "ClearDeviceDesiredProperty",
        Family::PropertySet,
        &[
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
            list("Identifies", MOST).in_body(),
        ],
        |ask| Box::pin(clear(ask)),
    ),
];

/// Properties in one call (spec/cloud-api.md §2).
const MOST: usize = 10;

async fn set(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let items = items(ask)?;
    if items.len() > MOST {
        let code = "iot.device.TooManyDevicePropertiesPerTime";
        return Err(Business::new(code, format!("Items has more than {MOST} properties")).into());
    }
    let versions: Versions = match ask.params.text("Versions") {
        None => Versions::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let message = format!("Versions is not a JSON object of numbers: {error}");
            Business::new("iot.device.InvalidFormattedDevicePropertiesString", message)
        })?,
    };
    let (order, versions) = ask
        .hub
        .desired_set(&permit, &device, items, &versions)
        .await?;
    // Of a wish that was only taken back nothing was sent.
    let number = order.map_or("0".into(), |order| order.to_string());
    fields(json!({ "Data": { "MessageId": number, "Versions": json!(versions).to_string() } }))
}

async fn query(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let block = ask.params.text("FunctionBlockId");
    let of_block = |name: &str| match block {
        None => true,
        Some(block) => name.split_once(':').is_some_and(|(id, _)| id == block),
    };
    let rows: Vec<_> = ask
        .hub
        .desired_of(&permit, &device, ask.params.list("Identifier"))
        .await?
        .into_iter()
        .filter(|desired| of_block(&desired.identifier))
        .map(|desired| {
            let mut row = json!({
                "Identifier": desired.identifier,
                "Name": desired.name,
                "DataType": desired.data_type,
                "Unit": desired.unit,
                "Version": desired.version,
            });
            if let Some((value, at)) = desired.value {
                row["Value"] = shown(&value).into();
                row["Time"] = at.0.to_string().into();
            }
            row
        })
        .collect();
    fields(json!({ "Data": { "List": { "DesiredPropertyInfo": rows } } }))
}

async fn clear(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let versions = ask
        .hub
        .desired_clear(&permit, &device, ask.params.list("Identifies"))
        .await?;
    fields(json!({ "Data": { "Versions": json!(versions).to_string() } }))
}
