//! What devices posted, and what is asked of them.

use super::{
    Answer,
    call::Call,
    device::one,
    error::{AdminError, ErrorView},
    view,
};
use axum::{Json, extract::Path};
use hub::{
    property::{Latest, Page, PageWanted},
    service::Invoked,
};
use model::{id::Time, thing::EventKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// How far back a history is shown when nothing is said.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A part of a history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// From this time on: RFC 3339 or milliseconds; a day before `to` when it is left out.
    from: Option<String>,
    /// Up to this time; now when it is left out.
    to: Option<String>,
    /// Whether the oldest comes first.
    #[serde(default)]
    oldest_first: bool,
    /// At most so many points; 50 when it is left out.
    most: Option<usize>,
    /// Only of this event or service.
    identifier: Option<String>,
    /// Only events of this kind: `info`, `alert` or `error`.
    kind: Option<String>,
}

impl HistoryQuery {
    fn wanted(&self, now: Time, most: usize) -> Result<PageWanted, AdminError> {
        let read = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => view::parse_time(text).map(Some).ok_or_else(|| {
                AdminError::bad_request(format!(
                    "{text:?} is no time; write 2026-01-31T12:00:00Z, or milliseconds since 1970"
                ))
            }),
        };
        let to = read(&self.to)?.unwrap_or(now);
        let from = read(&self.from)?.unwrap_or(to.plus(-DAY));
        Ok(PageWanted {
            from,
            to,
            oldest_first: self.oldest_first,
            most: self.most.unwrap_or(most.min(50)),
        })
    }

    fn kind(&self) -> Result<Option<EventKind>, AdminError> {
        let Some(word) = &self.kind else {
            return Ok(None);
        };
        [EventKind::Info, EventKind::Alert, EventKind::Error]
            .into_iter()
            .find(|kind| kind.word() == word)
            .map(Some)
            .ok_or_else(|| AdminError::bad_request("kind is info, alert or error"))
    }
}

/// The latest value of a property.
#[derive(Serialize, ToSchema)]
struct LatestView {
    identifier: String,
    name: String,
    data_type: String,
    unit: String,
    /// The value; none while the device never posted it.
    value: Option<Value>,
    /// The time that it is of.
    at: Option<String>,
}

impl From<Latest> for LatestView {
    fn from(latest: Latest) -> Self {
        let (value, at) = latest.value.unzip();
        Self {
            identifier: latest.identifier,
            name: latest.name,
            data_type: latest.data_type,
            unit: latest.unit,
            value,
            at: at.map(view::time),
        }
    }
}

/// Latest values.
#[derive(Serialize, ToSchema)]
pub(super) struct LatestList {
    items: Vec<LatestView>,
}

/// A point of a history.
#[derive(Serialize, ToSchema)]
struct PointView {
    at: String,
    identifier: String,
    /// The kind, for events.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    value: Value,
}

/// A part of a history.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryPage {
    items: Vec<PointView>,
    /// Where the next page begins in the same order, when there is one.
    next: Option<String>,
}

impl From<Page> for HistoryPage {
    fn from(page: Page) -> Self {
        let items = page.points.into_iter().map(|point| PointView {
            at: view::time(point.at),
            identifier: point.identifier,
            kind: point.kind.map(EventKind::word),
            value: point.value,
        });
        Self {
            items: items.collect(),
            next: page.next.map(view::time),
        }
    }
}

/// An order to a device.
#[derive(Serialize, ToSchema)]
pub(super) struct CommandView {
    /// Its number.
    command: u32,
    /// Whether the device has answered.
    answered: bool,
    /// 200 when the device did it; else its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// Its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Shows the latest values of a device's properties.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/properties", tag = "data",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = LatestList), (status = "4XX", body = ErrorView)))]
pub(super) async fn latest(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<LatestList> {
    let action = "iot:QueryDevicePropertyStatus";
    let (key, permit) = one(&call, &product, &device, action, false).await?;
    let latest = call.admin.hub.property_latest(&permit, &key, None).await?;
    let items = latest.into_iter().map(Into::into).collect();
    Ok(Json(LatestList { items }))
}

/// Asks a device to set properties; its answer comes later.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/properties", tag = "data",
    params(("product" = String, Path), ("device" = String, Path)), request_body = Object,
    responses((status = 200, body = CommandView), (status = "4XX", body = ErrorView)))]
pub(super) async fn set(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<CommandView> {
    let (key, permit) = one(&call, &product, &device, "iot:SetDeviceProperty", true).await?;
    let items: Map<String, Value> = call.read()?;
    let command = call.admin.hub.property_set(&permit, &key, items).await?;
    Ok(Json(CommandView {
        command: command.0,
        answered: false,
        code: None,
        data: None,
        message: None,
    }))
}

/// Names of properties.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NamesBody {
    /// All when none is named.
    #[serde(default)]
    properties: Vec<String>,
}

/// Asks a connected device for values of its properties, and waits for its answer.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/ask", tag = "data",
    params(("product" = String, Path), ("device" = String, Path)), request_body = NamesBody,
    responses((status = 200, body = AskedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn ask(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<AskedView> {
    let (key, permit) = one(&call, &product, &device, "muster:AskDevice", true).await?;
    let body: NamesBody = call.read()?;
    let hub = &call.admin.hub;
    let answer = hub.property_ask(&permit, &key, body.properties).await?;
    Ok(Json(AskedView {
        code: answer.code,
        data: answer.data,
        message: answer.message,
    }))
}

/// What a device answered.
#[derive(Serialize, ToSchema)]
pub(super) struct AskedView {
    /// 200 when the device did it; else its code.
    code: i64,
    /// What it answered.
    data: Value,
    /// Its words.
    message: String,
}

/// Shows a property's history.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/properties/{property}", tag = "data",
    params(("product" = String, Path), ("device" = String, Path), ("property" = String, Path), HistoryQuery),
    responses((status = 200, body = HistoryPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn property(
    Path((product, device, property)): Path<(String, String, String)>,
    call: Call,
) -> Answer<HistoryPage> {
    let action = "iot:QueryDevicePropertyData";
    let (key, permit) = one(&call, &product, &device, action, false).await?;
    let hub = &call.admin.hub;
    let query: HistoryQuery = call.query()?;
    let wanted = query.wanted(hub.now(), hub.limits().history_page)?;
    let page = hub
        .property_history(&permit, &key, &property, wanted)
        .await?;
    Ok(Json(page.into()))
}

/// Shows a device's events.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/events", tag = "data",
    params(("product" = String, Path), ("device" = String, Path), HistoryQuery),
    responses((status = 200, body = HistoryPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn events(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<HistoryPage> {
    let (key, permit) = one(&call, &product, &device, "iot:QueryDeviceEventData", false).await?;
    let hub = &call.admin.hub;
    let query: HistoryQuery = call.query()?;
    let wanted = query.wanted(hub.now(), hub.limits().history_page)?;
    let (identifier, kind) = (query.identifier.as_deref(), query.kind()?);
    let page = hub
        .event_history(&permit, &key, identifier, kind, wanted)
        .await?;
    Ok(Json(page.into()))
}

/// Shows what was asked of a device's services, with the answers.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/services", tag = "data",
    params(("product" = String, Path), ("device" = String, Path), HistoryQuery),
    responses((status = 200, body = HistoryPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn services(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<HistoryPage> {
    let action = "iot:QueryDeviceServiceData";
    let (key, permit) = one(&call, &product, &device, action, false).await?;
    let hub = &call.admin.hub;
    let query: HistoryQuery = call.query()?;
    let wanted = query.wanted(hub.now(), hub.limits().history_page)?;
    let page = hub
        .service_history(&permit, &key, query.identifier.as_deref(), wanted)
        .await?;
    Ok(Json(page.into()))
}

/// Asks a device to run a service. A synchronous one is waited for.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/services/{service}", tag = "data",
    params(("product" = String, Path), ("device" = String, Path), ("service" = String, Path)),
    request_body = Object,
    responses((status = 200, body = CommandView), (status = "4XX", body = ErrorView)))]
pub(super) async fn invoke(
    Path((product, device, service)): Path<(String, String, String)>,
    call: Call,
) -> Answer<CommandView> {
    let (key, permit) = one(&call, &product, &device, "iot:InvokeThingService", true).await?;
    let input: Map<String, Value> = call.read()?;
    let hub = &call.admin.hub;
    let invoked = hub.service_invoke(&permit, &key, &service, input).await?;
    Ok(Json(match invoked {
        Invoked::Accepted(command) => CommandView {
            command: command.0,
            answered: false,
            code: None,
            data: None,
            message: None,
        },
        Invoked::Answered(command, answer) => CommandView {
            command: command.0,
            answered: true,
            code: Some(answer.code),
            data: Some(answer.data),
            message: Some(answer.message),
        },
    }))
}
