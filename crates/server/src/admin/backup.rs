//! Backups, as a stream of frames.

use super::{
    call::Call,
    error::{AdminError, ErrorView},
};
use crate::{
    admin::time,
    backup::{Order, give},
};
use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use model::account::Resource;
use std::convert::Infallible;
use tokio::sync::mpsc;

/// Frames that wait to be sent.
const FRAMES: usize = 8;

/// Sends a copy of everything on this node as of one moment (operators only; with keys only over
/// the local socket). The answer is frames: a kind (1 byte), a length (4 bytes, big-endian), bytes.
#[utoipa::path(post, path = "/backup", tag = "server", request_body = Order,
    responses((status = 200, content_type = "application/x-muster-backup"), (status = "4XX", body = ErrorView)))]
pub(super) async fn make(call: Call) -> Result<Response, AdminError> {
    let permit = call.allow("muster:Backup", Resource::Any, true).await?;
    if !permit.caller().operator {
        return Err(AdminError::new(
            StatusCode::FORBIDDEN,
            "NotAllowed",
            "only an operator's account makes backups",
            "ask the operator of this server",
        ));
    }
    let order: Order = call.read()?;
    if order.keys && !call.is_local() {
        return Err(AdminError::new(
            StatusCode::FORBIDDEN,
            "NotAllowed",
            "keys leave the server through its local socket only",
            "run `muster backup --with-keys` on the server's machine, or leave --with-keys out",
        ));
    }
    let Ok(turn) = call.admin.backup_turn.clone().try_acquire_owned() else {
        return Err(AdminError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Busy",
            "another backup is being made",
            "wait until it is done",
        ));
    };
    let (send, frames) = mpsc::channel(FRAMES);
    let source = call.admin.backup.clone();
    let made = time(call.admin.hub.now());
    // On a thread of its own: it reads the disk for as long as it takes.
    tokio::task::spawn_blocking(move || {
        give(&source, &order, made, &send);
        drop(turn);
    });
    let frames = stream::unfold(frames, async |mut frames| {
        let frame = frames.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame)), frames))
    });
    let form = [(header::CONTENT_TYPE, "application/x-muster-backup")];
    Ok((form, Body::from_stream(frames)).into_response())
}
