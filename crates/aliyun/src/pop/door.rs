//! The way of a request: read, find the action, prove the caller, read the parameters, do it,
//! answer.
//!
//! Version and action are looked up before the caller is proven, as the vendor's gateway does;
//! they say nothing that the documentation does not. Parameters are read after that, so that
//! nobody unknown learns what a call would need.

use super::{
    BODY_MOST, render,
    request::{self, Arrived, Request},
};
use crate::{
    codes::{
        business::Business,
        gateway::{self, GatewayError},
    },
    iot::{self, Action, Ask, Params},
};
use axum::{
    body::{Bytes, to_bytes},
    extract::State,
    http::{header::CONTENT_LENGTH, request::Parts},
    response::Response,
};
use hub::{Hub, account::CallerClaim, edge::Peer};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// Answers any request at the door.
pub(crate) async fn open(State(hub): State<Arc<Hub>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let body = take(&parts, body).await;
    let arrived = Arrived {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body: body.as_deref().unwrap_or_default(),
    };
    let (format, request) = request::read(&arrived);
    let request = body.as_ref().map_err(Clone::clone).and(request);
    let id = Uuid::new_v4().to_string().to_uppercase();
    let mut root = "Error".to_owned();
    let (status, tree) = match act(&hub, &parts, &arrived, request).await {
        Ok((action, outcome)) => {
            root = format!("{}Response", action.name);
            let tree = match outcome {
                Ok(fields) => render::done(&id, fields),
                Err(error) => render::failed(&id, &error),
            };
            (200, tree)
        }
        Err(error) => (
            error.status(),
            render::refused(&id, &arrived.host(), &error),
        ),
    };
    render::response(format, status, &id, &root, &tree)
}

/// Answers a method that is neither GET nor POST; clients want a body even then.
pub(crate) async fn method() -> Response {
    let id = Uuid::new_v4().to_string().to_uppercase();
    let error = GatewayError::Method;
    let tree = render::refused(&id, "", &error);
    render::response(request::Format::Json, error.status(), &id, "Error", &tree)
}

async fn take(parts: &Parts, body: axum::body::Body) -> Result<Bytes, GatewayError> {
    let told = parts.headers.get(CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > BODY_MOST) {
        return Err(GatewayError::TooLarge);
    }
    match tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_MOST)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Either more than is taken came without saying so, or the client went away and hears
        // nothing of it.
        Ok(Err(_)) => Err(GatewayError::TooLarge),
        Err(_) => Err(GatewayError::TooSlow),
    }
}

/// What became of an action that was found, or why it was not even tried.
type Acted = Result<(&'static Action, Result<Map<String, Value>, Business>), GatewayError>;

async fn act(
    hub: &Hub,
    parts: &Parts,
    arrived: &Arrived<'_>,
    request: Result<Request, GatewayError>,
) -> Acted {
    let request = request?;
    let action = iot::find(&request.version, &request.action)?;
    let peer = parts.extensions.get::<Peer>();
    match call(hub, peer, arrived, &request, action).await {
        Ok(fields) => Ok((action, Ok(fields))),
        Err(refusal) => Ok((action, Err(refusal.told(action.family)?))),
    }
}

async fn call(
    hub: &Hub,
    peer: Option<&Peer>,
    arrived: &Arrived<'_>,
    request: &Request,
    action: &'static Action,
) -> iot::Answer {
    let Some(peer) = peer.copied() else {
        tracing::error!("the server did not say where a request came from");
        return Err(GatewayError::Internal.into());
    };
    let proof = request.proof(arrived)?;
    let caller = hub
        .caller_admit(CallerClaim {
            key: proof.key,
            evidence: proof.evidence,
            at: Some(proof.at),
            nonce: Some(proof.nonce),
            peer,
            action: action.right(),
        })
        .await
        .map_err(|error| gateway::caller(&error, &proof.text))?;
    if proof.token {
        return Err(GatewayError::TokenMismatch.into());
    }
    let params = Params::read(action, &request.pairs)?;
    let region = request.find("RegionId").unwrap_or("local");
    let ask = Ask {
        hub,
        caller: &caller,
        action,
        params,
        region,
    };
    (action.handler)(&ask).await
}
