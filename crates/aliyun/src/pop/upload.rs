//! Where applications hand in firmware: the form POST of an object store
//! (spec/cloud-api.md §2, OTA), with fields `key`, `policy`, `Signature`, `OSSAccessKeyId` and then
//! `file`. The policy says until when which key may be written, and is signed by us.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Multipart, State, multipart::Field},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hub::{Hub, ota::Ticket};
use model::{
    error::OtaError,
    id::{AccountId, Time},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Where files are handed in.
pub const PATH: &str = "/upload";
/// Under whose name; it is no key of anybody's.
pub(crate) const ACCESS_KEY: &str = "muster-upload";
/// Bytes of a field that is no file.
const FIELD_MOST: usize = 8 * 1024;
/// Fields before the file.
const FIELDS_MOST: usize = 32;

/// The route. Whoever serves it lets the body come as it is sent, piece by piece.
pub(super) fn routes(hub: Arc<Hub>) -> Router {
    Router::new()
        .route(PATH, post(take))
        .layer(DefaultBodyLimit::disable())
        .with_state(hub)
}

/// The policy of a ticket, as the field wants it.
pub(crate) fn policy(hub: &Hub, ticket: &Ticket) -> String {
    let policy = json!({
        "expiration": ticket.until.0,
        "conditions": [
            ["eq", "$key", ticket.key],
            ["eq", "$x-muster-account", ticket.account],
            ["content-length-range", 1, hub.limits().firmware],
        ],
    });
    STANDARD.encode(policy.to_string())
}

/// The address that a file will be known by.
pub(crate) fn address(base: &str, key: &str) -> String {
    format!("{base}{PATH}/{key}")
}

/// The key in such an address.
pub(crate) fn key(address: &str) -> Option<&str> {
    let (_, key) = address.split_once("/upload/")?;
    Some(key.split(['?', '#']).next().unwrap_or_default())
}

/// The ticket that a policy and its signature are of.
pub(super) fn ticket(policy: &str, signature: &str) -> Option<Ticket> {
    let text = STANDARD.decode(policy.trim()).ok()?;
    let policy: Value = serde_json::from_slice(&text).ok()?;
    let conditions = policy["conditions"].as_array()?;
    let equal = |name: &str| {
        let found = conditions
            .iter()
            .find(|one| one[0] == "eq" && one[1] == *name);
        found?[2].as_str()
    };
    Some(Ticket {
        key: equal("$key")?.to_owned(),
        account: AccountId::parse(equal("$x-muster-account")?).ok()?,
        until: Time(policy["expiration"].as_i64()?),
        signature: signature.trim().to_owned(),
    })
}

async fn take(State(hub): State<Arc<Hub>>, form: Result<Multipart, impl IntoResponse>) -> Response {
    let Ok(mut form) = form else {
        let text = "the body is not multipart/form-data";
        return refused(StatusCode::BAD_REQUEST, "MalformedPOSTRequest", text);
    };
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => {
                let text = "the form has no file, or it does not come last";
                return refused(StatusCode::BAD_REQUEST, "InvalidArgument", text);
            }
            Err(error) => return broken(&error.to_string()),
        };
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            return match store(&hub, &fields, field).await {
                Ok(()) => stored(&fields),
                Err(response) => response,
            };
        }
        match small(field).await {
            Some(text) if fields.len() < FIELDS_MOST => fields.insert(name, text),
            _ => return broken("a field is too long, or there are too many"),
        };
    }
}

async fn small(mut field: Field<'_>) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.ok()? {
        if bytes.len() + piece.len() > FIELD_MOST {
            return None;
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).ok()
}

async fn store(
    hub: &Hub,
    fields: &BTreeMap<String, String>,
    mut file: Field<'_>,
) -> Result<(), Response> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let ticket = ticket(field("policy"), field("signature"));
    let denied = |text: &str| refused(StatusCode::FORBIDDEN, "AccessDenied", text);
    let ticket = ticket.ok_or_else(|| denied("the policy cannot be read"))?;
    if field("key") != ticket.key {
        return Err(denied("the policy is for another key"));
    }
    let mut upload = hub.upload_by_ticket(&ticket).await.map_err(|e| told(&e))?;
    loop {
        match file.chunk().await {
            Ok(Some(piece)) => upload.write(piece).await.map_err(|e| told(&e))?,
            Ok(None) => break,
            Err(error) => return Err(broken(&error.to_string())),
        }
    }
    let done = hub.upload_finish(upload).await;
    done.map(|_| ()).map_err(|e| told(&e))
}

/// What the form itself asks to be answered.
fn stored(fields: &BTreeMap<String, String>) -> Response {
    let key = fields.get("key").map_or("", String::as_str);
    match fields.get("success_action_status").map(String::as_str) {
        Some("200") => StatusCode::OK.into_response(),
        Some("201") => {
            // A key is letters and digits, or there was no ticket for it.
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Bucket>muster</Bucket><Key>{key}</Key></PostResponse>"
            );
            let form = [(header::CONTENT_TYPE, "application/xml")];
            (StatusCode::CREATED, form, xml).into_response()
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

fn told(error: &OtaError) -> Response {
    let text = error.to_string();
    let (status, code) = match error {
        OtaError::BadTicket(_) => (StatusCode::FORBIDDEN, "AccessDenied"),
        OtaError::Taken(_) => (StatusCode::CONFLICT, "FileAlreadyExists"),
        OtaError::TooLarge(_) => (StatusCode::BAD_REQUEST, "EntityTooLarge"),
        OtaError::BadRequest(_)
        | OtaError::NotFound(_)
        | OtaError::NoSuchProduct
        | OtaError::NoSuchDevice(_)
        | OtaError::TooMany(_)
        | OtaError::NotVerified
        | OtaError::InUse(_) => (StatusCode::BAD_REQUEST, "InvalidArgument"),
        OtaError::Fault(fault) => {
            tracing::error!(%fault, "an upload failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
    };
    refused(status, code, &text)
}

fn broken(why: &str) -> Response {
    refused(StatusCode::BAD_REQUEST, "MalformedPOSTRequest", why)
}

/// An error in the form of the object store.
fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let message: String = message
        .chars()
        .map(|c| if c == '<' || c == '&' { ' ' } else { c })
        .collect();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_or_refused() {
        let good = json!({
            "expiration": 7,
            "conditions": [["eq", "$key", "k"], ["eq", "$x-muster-account", "a"]],
        });
        let read = |policy: &Value| ticket(&STANDARD.encode(policy.to_string()), " s ");
        let found = read(&good).unwrap();
        assert_eq!((found.key.as_str(), found.until.0), ("k", 7));
        assert_eq!(found.signature, "s");
        for bad in [
            json!({}),
            json!([]),
            json!({"expiration": "soon", "conditions": good["conditions"]}),
            json!({"expiration": 7, "conditions": [["eq", "$key", "k"]]}),
            json!({"expiration": 7, "conditions": [["eq", "$key", 7], ["eq", "$x-muster-account", "a"]]}),
            json!({"expiration": 7, "conditions": [["eq", "$key", "k"], ["eq", "$x-muster-account", "/"]]}),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
        assert_eq!(ticket("%%%", ""), None);
        assert_eq!(ticket(&STANDARD.encode("\0\0"), ""), None);
        assert_eq!(key(&address("https://m:1", "ota/0.bin")), Some("ota/0.bin"));
        assert_eq!(key("https://m/elsewhere"), None);
    }
}
