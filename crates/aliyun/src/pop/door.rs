//! The way of a request: read, find the action, prove the caller, read the parameters, do it,
//! answer.
//!
//! Version and action are looked up before the caller is proven, as the vendor's gateway does;
//! they say nothing that the documentation does not. Parameters are read after that, so that
//! nobody unknown learns what a call would need.

use super::{
    BODY_MOST, Door, render,
    request::{self, Arrived, Proof, Request},
};
use crate::{
    codes::{
        business::Business,
        fss,
        gateway::{self, GatewayError},
        id2,
    },
    iot::{self, Action, Ask, Effect, Params, Service},
};
use axum::{
    body::{Bytes, to_bytes},
    extract::State,
    http::{header::CONTENT_LENGTH, request::Parts},
    response::Response,
};
use hub::{Hub, account::CallerClaim, edge::Peer};
use model::account::{AuditEntry, Caller};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// Answers any request at the door.
pub(crate) async fn open(
    State(Door { hub, scalars }): State<Door>,
    request: axum::extract::Request,
) -> Response {
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
    let id = format!("{:X}", Uuid::new_v4().as_hyphenated());
    let mut root = "Error".to_owned();
    let named = request.as_ref().ok().and_then(|r| known(r).ok());
    let acted = act(&hub, &parts, &arrived, request).await;
    let right = named.map_or("iot:other".to_owned(), Action::right);
    hub.metrics().call(&right, outcome(&acted));
    let (status, tree) = match acted {
        Ok((action, outcome)) => {
            root = format!("{}Response", action.name);
            let tree = match (action.service, outcome) {
                (Service::Iot, Ok(fields)) => render::done(&id, fields),
                (Service::Iot, Err(error)) => render::failed(&id, &error),
                (Service::Id2, Ok(fields)) => render::done_numbered(&id, fields, scalars),
                (Service::Id2, Err(error)) => render::failed_numbered(&id, &error, scalars),
                (Service::Fss, Ok(fields)) => render::done_told(&id, fields),
                (Service::Fss, Err(error)) => render::failed_told(&id, &error),
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
    let id = format!("{:X}", Uuid::new_v4().as_hyphenated());
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
    let Some(peer) = parts.extensions.get::<Peer>().copied() else {
        tracing::error!("the server did not say where a request came from");
        return Err(GatewayError::Internal);
    };
    let named = request.as_ref().ok().and_then(|r| known(r).ok());
    let proven = request.and_then(|request| {
        let action = known(&request)?;
        let proof = request.proof(arrived)?;
        Ok((request, action, proof))
    });
    let (request, action, proof) = match proven {
        Ok(proven) => proven,
        Err(error) => {
            note(hub, peer, arrived, named, &error).await;
            return Err(error);
        }
    };
    match call(hub, peer, &request, action, proof).await {
        Ok(fields) => Ok((action, Ok(fields))),
        Err(refusal) => Ok((action, Err(refusal.told(action.family)?))),
    }
}

/// What became of a request, for the counter.
fn outcome(acted: &Acted) -> &'static str {
    match acted {
        Ok((_, Ok(_))) => "ok",
        Ok((_, Err(error))) => error.code,
        Err(error) => error.kind(),
    }
}

fn known(request: &Request) -> Result<&'static Action, GatewayError> {
    iot::find(&request.version, &request.action)
}

/// Notes a request that was refused before the hub saw it in the audit log when it names a key:
/// it may be the signature that somebody tampers with.
async fn note(
    hub: &Hub,
    peer: Peer,
    arrived: &Arrived<'_>,
    action: Option<&Action>,
    error: &GatewayError,
) {
    let action = action.map_or("iot:other".to_owned(), Action::right);
    if let Some(key) = arrived.key() {
        hub.audit_failure(AuditEntry {
            at: hub.now(),
            who: "?".into(),
            address: peer.address.to_string(),
            action,
            resource: format!("access-key/{key}"),
            outcome: error.kind().into(),
            detail: String::new(),
        })
        .await;
    }
}

async fn call(
    hub: &Hub,
    peer: Peer,
    request: &Request,
    action: &'static Action,
    proof: Proof,
) -> iot::Answer {
    let admitted = hub
        .caller_admit_ahead(CallerClaim {
            key: proof.key,
            evidence: proof.evidence,
            at: Some(proof.at),
            nonce: Some(proof.nonce),
            peer,
            action: action.right(),
        })
        .await
        .map_err(|error| gateway::caller(&error, &proof.text))?;
    let settled = async || {
        let settled = hub.caller_settled(&admitted).await;
        settled.map_err(|error| gateway::caller(&error, &proof.text))
    };
    // Whoever only reads need not wait before it does, and mostly need not wait at all: what it
    // writes down itself comes to the disk behind the nonce.
    let reads = action.effect == Effect::Reads;
    if !reads {
        settled().await?;
    }
    let answer = match proof.token {
        true => Err(GatewayError::TokenMismatch.into()),
        false => act_for(hub, request, action, admitted.caller()).await,
    };
    if reads {
        settled().await?;
    }
    answer
}

async fn act_for(
    hub: &Hub,
    request: &Request,
    action: &'static Action,
    caller: &Caller,
) -> iot::Answer {
    let params = match Params::read(action, &request.pairs) {
        // These tell it with a number, too.
        Err(error) if action.service == Service::Id2 => {
            return Err(id2::bad_request(error.message()).into());
        }
        Err(error) if action.service == Service::Fss => {
            return Err(fss::bad_request(&error.message()).into());
        }
        read => read,
    }?;
    let region = request.find("RegionId").unwrap_or("local");
    let ask = Ask {
        hub,
        caller,
        action,
        params,
        region,
    };
    (action.handler)(&ask).await
}
