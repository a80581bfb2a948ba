//! What monitoring asks for: readiness and counters.

use super::{AdminError, call::Call};
use crate::config::MetricsTo;
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use model::account::Resource;

/// Whether the server can do its work; in full for the owner of the data folder.
pub(crate) async fn readyz(call: Call) -> Response {
    let (ready, told) = call.admin.ready.answer(call.is_local()).await;
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(told)).into_response()
}

/// The counters, for those whom `metrics.to` names.
pub(crate) async fn metrics(call: Call) -> Result<Response, AdminError> {
    let to = call.admin.metrics_to;
    let allowed = match to {
        MetricsTo::Everybody => true,
        MetricsTo::Loopback => call.is_local() || call.is_loopback(),
        MetricsTo::Local => call.is_local(),
        MetricsTo::Keys => {
            call.allow("muster:ReadMetrics", Resource::Any, false)
                .await?;
            true
        }
    };
    if !allowed {
        return Err(AdminError::new(
            StatusCode::FORBIDDEN,
            "NotAllowed",
            "the counters are not for everybody here",
            "metrics.to in the server's configuration says who may read them",
        ));
    }
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let metrics = call.admin.hub.metrics();
    if let Some(sessions) = call.admin.sessions.get() {
        let totals = sessions.totals();
        metrics.mqtt_sessions(totals.connected, totals.away);
        metrics.mqtt_messages(totals.queued, totals.inflight, totals.bytes);
    }
    let page = metrics.encode();
    Ok(([(header::CONTENT_TYPE, form)], page).into_response())
}
