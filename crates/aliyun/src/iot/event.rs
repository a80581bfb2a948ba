//! Events that devices posted ([AL-6.4]).

use super::{
    Action, Answer, Ask, Refusal, fields,
    page::{next, span},
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, integer, text},
};
use crate::codes::business::{Business, Family};
use model::{id::DeviceKey, thing::EventKind};
use serde_json::json;
use std::collections::HashMap;

pub(super) const ROWS: &[Action] = &[Action::reads(
    "QueryDeviceEventData",
    Family::EventRead,
    &[
        integer("StartTime").needed(),
        integer("EndTime").needed(),
        integer("PageSize"),
        integer("Asc"),
        text("Identifier"),
        text("EventType"),
        PRODUCT_KEY,
        DEVICE_NAME,
        IOT_ID,
    ],
    |ask| Box::pin(history(ask)),
)];

async fn history(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.device().await?;
    let wanted = span(ask, 10, 50)?;
    let page = ask
        .hub
        .event_history(
            &permit,
            &device,
            ask.params.text("Identifier"),
            kind(ask)?,
            wanted,
        )
        .await?;
    let (more, at) = next(&page, &wanted);
    let mut names = Names::default();
    let mut rows = Vec::new();
    for point in &page.points {
        rows.push(json!({
            "Identifier": point.identifier,
            "Name": names.find(ask, &device, &point.identifier).await?,
            "EventType": point.kind.map_or("", word),
            "OutputData": point.value.to_string(),
            "Time": point.at.0.to_string(),
        }));
    }
    fields(json!({ "Data": {
        "NextValid": more,
        "NextTime": at,
        "List": { "EventInfo": rows },
    }}))
}

fn kind(ask: &Ask<'_>) -> Result<Option<EventKind>, Business> {
    match ask.params.text("EventType") {
        None => Ok(None),
        Some("info") => Ok(Some(EventKind::Info)),
        Some("alert") => Ok(Some(EventKind::Alert)),
        Some("error") => Ok(Some(EventKind::Error)),
        Some(_) => Err(Business::illegal("EventType is info, alert or error")),
    }
}

fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Info => "info",
        EventKind::Alert => "alert",
        EventKind::Error => "error",
    }
}

/// Names of functions, each looked up once for a page.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    pub(super) async fn find(
        &mut self,
        ask: &Ask<'_>,
        device: &DeviceKey,
        identifier: &str,
    ) -> Result<String, Refusal> {
        if let Some(name) = self.0.get(identifier) {
            return Ok(name.clone());
        }
        let name = ask.hub.function_name(device, identifier).await?;
        self.0.insert(identifier.into(), name.clone());
        Ok(name)
    }
}
