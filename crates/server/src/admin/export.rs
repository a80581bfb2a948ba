//! The registry as a file, as a stream of lines.

use super::{
    call::Call,
    error::{AdminError, ErrorView},
};
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use credential::Secret;
use futures_util::stream;
use hub::transfer::{Content, Lock};
use model::account::Resource;
use serde::Deserialize;
use std::convert::Infallible;
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// Pieces that wait to be sent.
const PIECES: usize = 8;

/// What is asked for. One of `passphrase`, `key` and `plain_secrets`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportBody {
    /// Close the secrets with this passphrase.
    passphrase: Option<String>,
    /// Close the secrets with this key of 64 hex digits.
    key: Option<String>,
    /// Leave the secrets in clear. Over the local socket only.
    #[serde(default)]
    plain_secrets: bool,
    /// Send the histories of the devices, too.
    #[serde(default)]
    histories: bool,
}

/// Sends the whole registry, secrets included, in the form of docs/guide/export.md (operators
/// only).
#[utoipa::path(post, path = "/export", tag = "server", request_body = ExportBody,
    responses((status = 200, content_type = "application/jsonl"), (status = "4XX", body = ErrorView)))]
pub(super) async fn export(call: Call) -> Result<Response, AdminError> {
    let permit = call.allow("muster:Export", Resource::Any, true).await?;
    let forbidden =
        |message, help| AdminError::new(StatusCode::FORBIDDEN, "NotAllowed", message, help);
    if !permit.caller().operator {
        return Err(forbidden(
            "only an operator's account exports the registry",
            "ask the operator of this server",
        ));
    }
    let body: ExportBody = call.read()?;
    if body.plain_secrets && !call.is_local() {
        return Err(forbidden(
            "secrets leave the server in clear through its local socket only",
            "give a passphrase or a key, or run `muster export` on the server's machine",
        ));
    }
    let hub = call.admin.hub.clone();
    let random = call.admin.ports.random.clone();
    let lock = tokio::task::spawn_blocking(move || {
        let secret = |text: String| Secret::new(text.into_bytes());
        match (body.passphrase, body.key, body.plain_secrets) {
            (Some(passphrase), None, false) => Lock::with_passphrase(&secret(passphrase), &*random)
                .map_err(|error| error.to_string()),
            (None, Some(key), false) => {
                let key = hex::decode(key.trim()).unwrap_or_default();
                Lock::with_key(Secret::new(key), &*random).map_err(|error| error.to_string())
            }
            (None, None, true) => Ok(Lock::open()),
            _ => Err("give one of passphrase, key and plain_secrets".into()),
        }
    });
    let lock = lock.await.unwrap_or_else(|error| Err(error.to_string()));
    let lock = lock.map_err(AdminError::bad_request)?;
    let content = if body.histories {
        Content::WithHistories
    } else {
        Content::Registry
    };
    let (send, pieces) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        match hub.export(&lock, content, send).await {
            Ok(lines) => tracing::info!(lines, "the registry was exported"),
            // Without its last line the receiver knows that it is not whole.
            Err(fault) => tracing::error!(%fault, "the registry could not be exported"),
        }
    });
    let pieces = stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), pieces))
    });
    let form = [(header::CONTENT_TYPE, "application/jsonl")];
    Ok((form, Body::from_stream(pieces)).into_response())
}
