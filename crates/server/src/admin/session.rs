//! MQTT sessions: what waits for whom.

use super::{
    Answer,
    call::Call,
    device::one,
    error::{AdminError, ErrorView},
    view::time,
};
use access::SessionView as Seen;
use axum::{Json, extract::Path, http::StatusCode};
use model::account::Resource;
use serde::Serialize;
use utoipa::ToSchema;

/// An MQTT session.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    /// Whether a client is connected to it.
    connected: bool,
    /// Whether it outlives its connection, and the server's process.
    durable: bool,
    /// Seconds that it is kept once its client is gone, while the client is connected.
    life: Option<u64>,
    /// When it ends, while its client is away.
    until: Option<String>,
    /// Topic filters that it subscribes to.
    subscriptions: usize,
    /// QoS 1 and 2 messages that wait.
    queued: usize,
    /// QoS 1 and 2 messages that were sent and not acknowledged.
    inflight: usize,
    /// Bytes of these messages.
    bytes: usize,
    /// Messages that were dropped since the server started.
    dropped: DroppedView,
}

/// Messages of a session that were dropped since the server started, by the reason.
#[derive(Serialize, ToSchema)]
struct DroppedView {
    /// The queue was full.
    queue_full: u64,
    /// Their time was over before they were sent.
    expired: u64,
    /// They came at QoS 0 while the client was away.
    away: u64,
    /// They are larger than the client takes.
    too_large: u64,
}

impl From<Seen> for SessionView {
    fn from(seen: Seen) -> Self {
        Self {
            connected: seen.connected,
            durable: seen.durable,
            life: seen.life,
            until: seen.until.map(time),
            subscriptions: seen.subscriptions,
            queued: seen.queued,
            inflight: seen.inflight,
            bytes: seen.bytes,
            dropped: DroppedView {
                queue_full: seen.overflowed,
                expired: seen.expired,
                away: seen.offline,
                too_large: seen.oversized,
            },
        }
    }
}

fn shown(seen: Option<Seen>) -> Answer<SessionView> {
    let none = || {
        AdminError::new(
            StatusCode::NOT_FOUND,
            "NoSession",
            "there is no MQTT session",
            "one begins when the client connects; it is kept after that only if the client asked for it",
        )
    };
    seen.map(|seen| Json(seen.into())).ok_or_else(none)
}

/// Shows the MQTT session of a device: what waits for it, and what was dropped.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/session", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = SessionView), (status = "4XX", body = ErrorView)))]
pub(super) async fn device(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<SessionView> {
    let (key, permit) = one(&call, &product, &device, "iot:QueryDeviceDetail", false).await?;
    let device = call.admin.hub.device_find(&permit, &key).await?.device;
    let sessions = call.admin.sessions.get();
    shown(sessions.and_then(|sessions| sessions.of_device(&device.iot_id)))
}

/// Shows the MQTT session that a client of the plain listener has under a client id.
#[utoipa::path(get, path = "/plain/sessions/{client_id}", tag = "plain",
    params(("client_id" = String, Path)),
    responses((status = 200, body = SessionView), (status = "4XX", body = ErrorView)))]
pub(super) async fn plain(Path(client_id): Path<String>, call: Call) -> Answer<SessionView> {
    call.allow("muster:ReadPlainSession", Resource::Any, false)
        .await?;
    let sessions = call.admin.sessions.get();
    shown(sessions.and_then(|sessions| sessions.of_guest(&client_id)))
}
