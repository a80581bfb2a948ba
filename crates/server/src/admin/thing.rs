//! What is kept between a device and its applications: desired properties, log, trace.

use super::{
    Answer,
    call::Call,
    device::one,
    error::{AdminError, ErrorView},
    view::time,
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::{
    desired::{Desired, Versions},
    device_log::LogLine,
    trace::Line,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Properties that a device is to take.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WishBody {
    /// Values by property; null for nothing any more.
    items: Map<String, Value>,
    /// Versions that the properties named here must have; 0 for one of which nothing is wanted.
    #[serde(default)]
    versions: Versions,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct WishedView {
    /// Number of the order; none when nothing is to be ordered.
    order: Option<String>,
    /// The new versions.
    versions: Versions,
}

/// A property with what is wanted of it.
#[derive(Serialize, ToSchema)]
struct WishView {
    identifier: String,
    name: String,
    data_type: String,
    unit: String,
    /// None when nothing is wanted.
    value: Option<Value>,
    /// 0 when nothing was ever wanted.
    version: u64,
    /// When it was given.
    at: Option<String>,
}

/// What is wanted of a device.
#[derive(Serialize, ToSchema)]
pub(super) struct WishList {
    items: Vec<WishView>,
}

impl From<Desired> for WishView {
    fn from(desired: Desired) -> Self {
        let (value, at) = desired.value.unzip();
        Self {
            identifier: desired.identifier,
            name: desired.name,
            data_type: desired.data_type,
            unit: desired.unit,
            value,
            version: desired.version,
            at: at.map(time),
        }
    }
}

/// A switch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SwitchBody {
    on: bool,
}

/// A line of a device's log.
#[derive(Serialize, ToSchema)]
struct LogLineView {
    at: String,
    time: String,
    level: String,
    module: String,
    code: String,
    trace: String,
    text: String,
}

impl From<LogLine> for LogLineView {
    fn from(line: LogLine) -> Self {
        Self {
            at: time(line.at),
            time: line.time,
            level: line.level,
            module: line.module,
            code: line.code,
            trace: line.trace,
            text: line.text,
        }
    }
}

/// The log of a device.
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceLogView {
    /// Whether the device is to send it.
    on: bool,
    /// Oldest first.
    items: Vec<LogLineView>,
}

/// A line of a trace.
#[derive(Serialize, ToSchema)]
struct TraceLineView {
    at: String,
    /// `up`, `down`, or `note`.
    way: &'static str,
    topic: String,
    /// The beginning of the payload, or the words of a note.
    text: String,
}

impl From<Line> for TraceLineView {
    fn from(line: Line) -> Self {
        Self {
            at: time(line.at),
            way: line.way.word(),
            topic: line.topic,
            text: line.text,
        }
    }
}

/// The trace of a device.
#[derive(Serialize, ToSchema)]
pub(super) struct TraceView {
    /// Whether it is on.
    on: bool,
    /// Oldest first.
    items: Vec<TraceLineView>,
}

/// Shows what is wanted of a device's properties.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/desired", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = WishList), (status = "4XX", body = ErrorView)))]
pub(super) async fn wishes(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<WishList> {
    let action = "iot:QueryDeviceDesiredProperty";
    let (key, permit) = one(&call, &product, &device, action, false).await?;
    let wanted = call.admin.hub.desired_of(&permit, &key, &[]).await?;
    let items = wanted.into_iter().map(Into::into).collect();
    Ok(Json(WishList { items }))
}

/// Wants a device to take these values, at once or when it is there.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/desired", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)), request_body = WishBody,
    responses((status = 200, body = WishedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn wish(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<WishedView> {
    let action = "iot:SetDeviceDesiredProperty";
    let (key, permit) = one(&call, &product, &device, action, true).await?;
    let body: WishBody = call.read()?;
    let hub = &call.admin.hub;
    let (order, versions) = hub
        .desired_set(&permit, &key, body.items, &body.versions)
        .await?;
    let order = order.map(|order| order.to_string());
    Ok(Json(WishedView { order, versions }))
}

/// Shows the log that a device sent.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/log", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = DeviceLogView), (status = "4XX", body = ErrorView)))]
pub(super) async fn log(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<DeviceLogView> {
    let (key, permit) = one(&call, &product, &device, "muster:ReadDeviceLog", false).await?;
    let log = call.admin.hub.device_log(&permit, &key).await?;
    Ok(Json(DeviceLogView {
        on: log.on,
        items: log.lines.into_iter().map(Into::into).collect(),
    }))
}

/// Says whether a device is to send its log, and tells it.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/log", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)), request_body = SwitchBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn log_switch(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, "muster:SetDeviceLog", true).await?;
    let body: SwitchBody = call.read()?;
    let hub = &call.admin.hub;
    hub.device_log_switch(&permit, &key, body.on).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what a device said, what it was answered, and why something was refused.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/trace", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = TraceView), (status = "4XX", body = ErrorView)))]
pub(super) async fn trace(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<TraceView> {
    let (key, permit) = one(&call, &product, &device, "muster:TraceDevice", true).await?;
    let lines = call.admin.hub.trace_of(&permit, &key).await?;
    Ok(Json(TraceView {
        on: lines.is_some(),
        items: lines
            .unwrap_or_default()
            .into_iter()
            .map(Into::into)
            .collect(),
    }))
}

/// Turns the trace of a device on, for a day at most, or off, which forgets it.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/trace", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)), request_body = SwitchBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn trace_switch(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, "muster:TraceDevice", true).await?;
    let body: SwitchBody = call.read()?;
    call.admin.hub.trace_switch(&permit, &key, body.on).await?;
    Ok(StatusCode::NO_CONTENT)
}
