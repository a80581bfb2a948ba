//! Services of devices: run, and read with their history ([AL-6.5]).

use super::{
    Action, Answer, Ask,
    event::Names,
    fields,
    page::{next, span},
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, integer, list, text},
    property::{devices, parts, told as batch},
};
use crate::codes::business::{Business, Family};
use futures_util::future::join_all;
use hub::service::Invoked;
use serde_json::{Map, Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "InvokeThingService",
        Family::ServiceInvoke,
        &[
            text("Identifier").needed(),
            text("Args").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
            integer("Qos"),
        ],
        |ask| Box::pin(invoke(ask)),
    ),
    Action::changes(
        "InvokeThingsService",
        Family::ServiceInvoke,
        &[
            PRODUCT_KEY.needed(),
            text("Identifier").needed(),
            text("Args").needed(),
            list("DeviceName", 500).needed(),
            integer("Qos"),
        ],
        |ask| Box::pin(invoke_many(ask)),
    ),
    Action::reads(
        "QueryDeviceServiceData",
        Family::ServiceRead,
        &[
            integer("StartTime").needed(),
            integer("EndTime").needed(),
            integer("PageSize"),
            integer("Asc"),
            text("Identifier"),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
        ],
        |ask| Box::pin(history(ask)),
    ),
];

fn input(ask: &Ask<'_>) -> Result<Map<String, Value>, Business> {
    serde_json::from_str(ask.params.needed("Args")).map_err(|error| {
        let code = "iot.device.InvokeThingServiceFailed";
        Business::new(code, format!("Args is not a JSON object: {error}"))
    })
}

async fn invoke(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let service = ask.params.needed("Identifier");
    let invoked = ask
        .hub
        .service_invoke(&permit, &device, service, input(ask)?)
        .await?;
    fields(json!({ "Data": told(&invoked) }))
}

/// The number of the call, and the device's reply as text when it was waited for.
fn told(invoked: &Invoked) -> Value {
    match invoked {
        Invoked::Accepted(command) => json!({ "MessageId": command.to_string() }),
        Invoked::Answered(command, answer) => {
            let id = command.to_string();
            let reply = json!({
                "id": id,
                "code": answer.code,
                "data": answer.data,
                "message": answer.message,
            });
            json!({ "MessageId": id, "Result": reply.to_string() })
        }
    }
}

async fn invoke_many(ask: &Ask<'_>) -> Answer {
    let service = ask.params.needed("Identifier");
    let input = input(ask)?;
    let devices = devices(ask).await?;
    let invoke = |(permit, key)| ask.hub.service_invoke(permit, key, service, input.clone());
    let done = join_all(devices.iter().map(parts).map(invoke)).await;
    batch(&devices, done, ask.action.family)
}

async fn history(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let wanted = span(ask, 10, 50)?;
    let page = ask
        .hub
        .service_history(&permit, &device, ask.params.text("Identifier"), wanted)
        .await?;
    let (more, at) = next(&page, &wanted);
    let mut names = Names::default();
    let mut rows = Vec::new();
    for point in &page.points {
        rows.push(json!({
            "Identifier": point.identifier,
            "Name": names.find(ask, &device, &point.identifier).await?,
            "InputData": point.value["input"].to_string(),
            "OutputData": point.value["output"].to_string(),
            "Time": point.at.0.to_string(),
        }));
    }
    fields(json!({ "Data": {
        "NextValid": more,
        "NextTime": at,
        "List": { "ServiceInfo": rows },
    }}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{command::Answer, id::CommandId};

    /// [AL-6.5] A synchronous call gives the device's reply back as JSON text.
    #[test]
    fn a_reply_is_given_back_as_text() {
        let accepted = told(&Invoked::Accepted(CommandId(7)));
        assert_eq!(accepted, json!({ "MessageId": "7" }));
        let answer = Answer {
            code: 200,
            data: json!({ "done": 1 }),
            message: "success".into(),
        };
        let answered = told(&Invoked::Answered(CommandId(7), answer));
        let reply = answered["Result"].as_str().expect("it is a text");
        let reply: Value = serde_json::from_str(reply).expect("it is JSON");
        assert_eq!(
            reply,
            json!({ "id": "7", "code": 200, "data": { "done": 1 }, "message": "success" })
        );
    }
}
