//! A call as it arrives: who says to call, with which proof, and the body.

use super::{Admin, AdminError, error::Told};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use credential::{
    Evidence, Secret, Want,
    request::acs3::{self, Acs3Signed, Authorization},
};
use hub::{
    account::{CallerClaim, Permit},
    edge::Peer,
};
use model::{
    account::{AuditEntry, Caller, Resource},
    id::{AccessKeyId, Time},
};
use serde::de::DeserializeOwned;
use std::sync::{Arc, OnceLock};

/// Longest body that is read, in bytes: a thing model with room to spare.
const BODY: usize = 4 * 1024 * 1024;

/// The owner of the data folder, who came through its socket: put into the request by the socket's
/// server alone.
#[derive(Clone, Debug)]
pub(crate) struct Local(pub(crate) Arc<str>);

/// The right that a call asks for, once that is known.
#[derive(Clone, Default)]
struct Asked(Arc<OnceLock<String>>);

/// Counts every call once, with what became of it.
pub(super) async fn count(
    State(admin): State<Admin>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::default();
    request.extensions_mut().insert(asked.clone());
    let response = next.run(request).await;
    let outcome = match response.extensions().get::<Told>() {
        Some(told) => told.0,
        None if response.status().is_success() => "ok",
        None => "BadRequest",
    };
    let right = asked.0.get().map_or("muster:other", String::as_str);
    admin.hub.metrics().call(right, outcome);
    response
}

/// A call whose caller is not yet proven. [`Call::allow`] proves it and asks the policies.
pub(crate) struct Call {
    pub(crate) admin: Admin,
    head: Parts,
    body: Bytes,
}

impl FromRequest<Admin> for Call {
    type Rejection = AdminError;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, AdminError> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY).await.map_err(|_| {
            AdminError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "TooLarge",
                format!("a body has at most {BODY} bytes"),
                "send it in smaller parts",
            )
        })?;
        Ok(Self {
            admin: admin.clone(),
            head,
            body,
        })
    }
}

impl Call {
    /// Proves the caller and asks whether it may do `action` with `resource`.
    pub(crate) async fn allow(
        &self,
        action: &str,
        resource: Resource,
        changing: bool,
    ) -> Result<Permit, AdminError> {
        if let Some(asked) = self.head.extensions.get::<Asked>() {
            // Only the first question of a call counts it.
            let _ = asked.0.set(action.to_owned());
        }
        let hub = &self.admin.hub;
        let caller = self.caller(action).await?;
        let permit = hub
            .caller_allow(&caller, action, &resource, changing)
            .await?;
        Ok(permit)
    }

    /// The body of a call whose right depends on what the body says. Who shows no credential, or
    /// has no right to `action` at all, does not hear what is wrong with it.
    ///
    /// # Errors
    /// As `read`, and as `allow` before that.
    pub(crate) async fn read_before_right<T: DeserializeOwned>(
        &self,
        action: &str,
    ) -> Result<T, AdminError> {
        match self.read() {
            Ok(body) => Ok(body),
            Err(error) => {
                self.allow(action, Resource::Any, true).await?;
                Err(error)
            }
        }
    }

    /// A call whose body is a file and comes piece by piece, with that body. A signature of the
    /// body cannot be checked before the body is there, so only a key's secret itself counts.
    pub(crate) fn of_upload(admin: &Admin, request: Request) -> (Self, Body) {
        let (head, body) = request.into_parts();
        let call = Self {
            admin: admin.clone(),
            head,
            body: Bytes::new(),
        };
        (call, body)
    }

    /// Whether it came through the socket of the data folder.
    pub(crate) fn is_local(&self) -> bool {
        self.head.extensions.get::<Local>().is_some()
    }

    /// Whether it came from this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let peer = self.head.extensions.get::<Peer>();
        peer.is_some_and(|peer| peer.address.is_loopback())
    }

    async fn caller(&self, action: &str) -> Result<Caller, AdminError> {
        let hub = &self.admin.hub;
        if let Some(Local(who)) = self.head.extensions.get::<Local>() {
            return Ok(hub.caller_local(who).await?);
        }
        let Some(peer) = self.head.extensions.get::<Peer>().copied() else {
            return Err(AdminError::unauthorised(
                "it is not known from where this call comes",
                "call through a listener of the server",
            ));
        };
        match claim(&self.head, &self.body, peer, action, self.admin.insecure) {
            Ok(claim) => Ok(hub.caller_admit(claim).await?),
            Err(error) => {
                self.note(peer, action, &error).await;
                Err(error)
            }
        }
    }

    /// Notes a credential that was refused before the hub saw it in the audit log: it may be
    /// somebody who tampers.
    async fn note(&self, peer: Peer, action: &str, error: &AdminError) {
        if !self.head.headers.contains_key(header::AUTHORIZATION) {
            return;
        }
        let hub = &self.admin.hub;
        hub.audit_failure(AuditEntry {
            at: hub.now(),
            who: "?".into(),
            address: peer.address.to_string(),
            action: action.into(),
            resource: String::new(),
            outcome: error.code().into(),
            detail: error.message().into(),
        })
        .await;
    }

    /// The body as JSON; an empty one is `{}`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        let body = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body[..]
        };
        serde_json::from_slice(body)
            .map_err(|error| AdminError::bad_request(format!("the body: {error}")))
    }

    /// The query.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, AdminError> {
        axum::extract::Query::try_from_uri(&self.head.uri)
            .map(|axum::extract::Query(query)| query)
            .map_err(|error| AdminError::bad_request(error.body_text()))
    }
}

/// What a caller shows: an access key's secret itself, or a signature made with it.
pub(crate) fn claim(
    head: &Parts,
    body: &[u8],
    peer: Peer,
    action: &str,
    insecure: bool,
) -> Result<CallerClaim, AdminError> {
    let malformed = || {
        AdminError::unauthorised(
            "the Authorization header cannot be read",
            "send `Basic base64(AccessKeyId:AccessKeySecret)`, or sign as the vendor's SDKs do (ACS3)",
        )
    };
    let Some(value) = head.headers.get(header::AUTHORIZATION) else {
        return Err(AdminError::unauthorised(
            "no credential was sent",
            "send `Authorization: Basic base64(AccessKeyId:AccessKeySecret)` over HTTPS",
        ));
    };
    let value = value.to_str().map_err(|_| malformed())?;
    if Authorization::is_acs3(value) {
        return signed(head, body, peer, action, value);
    }
    if !peer.channel.secure() && !insecure {
        return Err(AdminError::new(
            StatusCode::FORBIDDEN,
            "NotSecure",
            "a secret is not taken over HTTP in clear",
            "use https://, or sign as the vendor's SDKs do (ACS3); in a closed lab, set security.insecure_admin_http = true",
        ));
    }
    let (scheme, text) = value.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let shown = Secret::new(STANDARD.decode(text.trim()).map_err(|_| malformed())?);
    let at = shown
        .expose()
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(malformed)?;
    let (id, secret) = (&shown.expose()[..at], &shown.expose()[at + 1..]);
    let id = std::str::from_utf8(id).map_err(|_| malformed())?;
    Ok(CallerClaim {
        key: AccessKeyId::parse(id).map_err(|_| malformed())?,
        evidence: Box::new(Shown(Secret::new(secret.to_vec()))),
        at: None,
        nonce: None,
        peer,
        action: action.into(),
    })
}

fn signed(
    head: &Parts,
    body: &[u8],
    peer: Peer,
    action: &str,
    value: &str,
) -> Result<CallerClaim, AdminError> {
    let refused = |error: acs3::Acs3Error| {
        AdminError::unauthorised(
            error.to_string(),
            "sign the request as the vendor's SDKs do; x-acs-date and x-acs-signature-nonce must be signed",
        )
    };
    let authorization = Authorization::parse(value).map_err(refused)?;
    let query: Vec<(String, String)> = axum::extract::Query::try_from_uri(&head.uri)
        .map(|axum::extract::Query(query)| query)
        .map_err(|error| AdminError::bad_request(error.body_text()))?;
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    // The API may be nested; what was signed is the path that was sent.
    let path = head
        .extensions
        .get::<axum::extract::OriginalUri>()
        .map_or_else(|| head.uri.path(), |original| original.path());
    let request = acs3::Request {
        method: head.method.as_str(),
        path,
        query: &query,
        headers: &headers,
        body_hash: &authorization.algorithm.body_hash(body),
    };
    let evidence = Acs3Signed::new(&authorization, &request).map_err(refused)?;
    let nonce = text(&head.headers, "x-acs-signature-nonce").filter(|nonce| !nonce.is_empty());
    let at = text(&head.headers, "x-acs-date").and_then(|date| {
        use time::{OffsetDateTime, format_description::well_known::Iso8601};
        let date = OffsetDateTime::parse(date, &Iso8601::DEFAULT).ok()?;
        Some(Time(date.unix_timestamp().saturating_mul(1000)))
    });
    // Without both, a request that was overheard could be sent again.
    let (Some(nonce), Some(at)) = (nonce, at) else {
        return Err(AdminError::unauthorised(
            "x-acs-date or x-acs-signature-nonce is missing or cannot be read",
            "send and sign both, the date as 2026-01-31T12:00:00Z",
        ));
    };
    Ok(CallerClaim {
        key: AccessKeyId::parse(&authorization.credential)?,
        evidence: Box::new(evidence),
        at: Some(at),
        nonce: Some(nonce.to_owned()),
        peer,
        action: action.into(),
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The secret itself as its own proof.
struct Shown(Secret);

impl Evidence for Shown {
    fn wants(&self) -> &[Want] {
        &[Want::AccessKeySecret]
    }

    fn check(&self, secret: &Secret) -> bool {
        secret.matches(self.0.expose())
    }

    fn scheme(&self) -> &'static str {
        "basic"
    }
}
