//! Device shadows.

use super::{
    Action, Answer, Ask, Refusal, fields, nothing,
    parameter::{DEVICE_NAME, PRODUCT_KEY, boolean, text},
};
use crate::{
    codes::business::{Business, Family},
    device::shadow,
};
use hub::shadow::{Part, RESET, SIZE, ShadowError, is_null};
use model::error::DeviceError;
use serde_json::{Map, Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::reads(
        "GetDeviceShadow",
        Family::Message,
        &[PRODUCT_KEY.needed(), DEVICE_NAME.needed()],
        |ask| Box::pin(get(ask)),
    ),
    Action::changes(
        "UpdateDeviceShadow",
        Family::Message,
        &[
            PRODUCT_KEY.needed(),
            DEVICE_NAME.needed(),
            text("ShadowMessage").needed(),
            boolean("DeltaUpdate"),
        ],
        |ask| Box::pin(update(ask)),
    ),
];

async fn get(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.named().await?;
    let shadow = ask.hub.shadow_find(&permit, &device).await?;
    fields(json!({ "ShadowMessage": shadow::document(&shadow).to_string() }))
}

async fn update(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.named().await?;
    let (desired, version) = read(ask)?;
    let shadow = ask
        .hub
        .shadow_desire(&permit, &device, &desired, version)
        .await
        .map_err(|error| refusal(&error))?;
    let told = shadow::control(&shadow, ask.hub.now());
    let topic = shadow::topic(&device);
    ask.hub
        .message_tell(&permit, &device, &topic, told, 1)
        .await?;
    nothing()
}

/// What the message says becomes of the desired half, and its version.
fn read(ask: &Ask<'_>) -> Result<(Part, i64), Business> {
    let error = |code: &'static str, message: &str| Business::new(code, message);
    let Some(text) = ask.params.text("ShadowMessage") else {
        let code = "iot.messagebroker.NullShadowMessage";
        return Err(error(code, "the ShadowMessage is empty"));
    };
    if text.len() > SIZE {
        let code = "iot.messagebroker.ShadowMessageLengthIsLarge";
        let message = format!("the ShadowMessage has more than {SIZE} bytes");
        return Err(error(code, &message));
    }
    let Ok(message) = serde_json::from_str::<Map<String, Value>>(text) else {
        let code = "iot.messagebroker.ShadowMessageIsNotJson";
        return Err(error(code, "the ShadowMessage is not a JSON object"));
    };
    match message.get("method") {
        Some(method) if method == "update" => {}
        None => {
            let code = "iot.messagebroker.NotFoundMethodInShadowMessage";
            return Err(error(code, "the ShadowMessage has no method"));
        }
        Some(_) => {
            let code = "iot.messagebroker.MethodValueIsNotUpdate";
            return Err(error(code, "the method of a ShadowMessage is update"));
        }
    }
    let version = match message.get("version") {
        None | Some(Value::Null) => {
            let code = "iot.messagebroker.NotFoundVersionOrNullVersionValue";
            return Err(error(code, "the ShadowMessage has no version"));
        }
        Some(version) => version.as_i64().filter(|version| *version >= RESET),
    };
    let Some(version) = version else {
        let code = "iot.messagebroker.InvalidVersionValueInShadowMessage";
        return Err(error(code, "the version is not a number from -1 on"));
    };
    let state = message.get("state").and_then(Value::as_object);
    let delta = ask.params.boolean("DeltaUpdate").unwrap_or_default();
    let desired = match state.and_then(|state| state.get("desired")) {
        Some(value) if is_null(value) => Part::Clear,
        Some(Value::Object(desired)) if delta => Part::Merge(desired.clone()),
        Some(Value::Object(desired)) => Part::Replace(desired.clone()),
        // A reset needs nothing to set.
        None if version == RESET => Part::Keep,
        Some(_) | None => {
            let code = "iot.messagebroker.NotFoundStateInShadowMessage";
            return Err(error(code, "the ShadowMessage has no state.desired"));
        }
    };
    Ok((desired, version))
}

fn refusal(error: &ShadowError) -> Refusal {
    let code = match error {
        ShadowError::NotFound => return Refusal::Device(DeviceError::NotFound),
        ShadowError::Fault(fault) => return Refusal::Device(fault.clone().into()),
        ShadowError::Version(_) => "iot.messagebroker.InvalidVersionValueInShadowMessage",
        ShadowError::TooManyAttributes => "iot.messagebroker.TooManyElementInDesire",
        ShadowError::TooLarge => "iot.messagebroker.ShadowMessageLengthIsLarge",
    };
    Business::new(code, error.to_string()).into()
}
