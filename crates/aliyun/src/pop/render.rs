//! Writes answers: one tree, as JSON or as XML (spec/cloud-api.md §1.6).

use super::{Scalars, request::Format, xml};
use crate::codes::{business::Business, gateway::GatewayError};
use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, HeaderName},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// A result: the envelope around the action's own fields. `Code` is left out, because one client
/// takes any code for an error.
pub(crate) fn done(id: &str, fields: Map<String, Value>) -> Value {
    let mut tree = fields;
    tree.insert("RequestId".into(), id.into());
    tree.insert("Success".into(), true.into());
    Value::Object(tree)
}

/// An action that was not done.
pub(crate) fn failed(id: &str, error: &Business) -> Value {
    json!({
        "RequestId": id,
        "Success": false,
        "Code": error.code,
        "ErrorMessage": error.message,
    })
}

/// A result of an API that tells with numbers what became of a call (seed 000 §1.1.2).
pub(crate) fn done_numbered(id: &str, fields: Map<String, Value>, scalars: Scalars) -> Value {
    let mut tree = fields;
    tree.insert("RequestId".into(), id.into());
    tree.insert("Code".into(), 200.into());
    tree.insert("Success".into(), true.into());
    formed(Value::Object(tree), scalars)
}

/// What such an API did not do. `Message` is ours.
pub(crate) fn failed_numbered(id: &str, error: &Business, scalars: Scalars) -> Value {
    let tree = json!({
        "RequestId": id,
        "Success": false,
        "Code": error.code.parse().unwrap_or(700),
        "Message": error.message,
    });
    formed(tree, scalars)
}

/// A result of the API of firmware scanning (seed 000 §1.2.2): a number and words, no `Success`.
pub(crate) fn done_told(id: &str, fields: Map<String, Value>) -> Value {
    let mut tree = fields;
    tree.insert("Code".into(), 200.into());
    tree.insert("Message".into(), "成功".into());
    tree.insert("RequestId".into(), id.into());
    Value::Object(tree)
}

/// What that API did not do.
pub(crate) fn failed_told(id: &str, error: &Business) -> Value {
    json!({
        "Code": error.code.parse().unwrap_or(900),
        "Message": error.message,
        "RequestId": id,
    })
}

fn formed(tree: Value, scalars: Scalars) -> Value {
    match (scalars, tree) {
        (Scalars::Native, tree) => tree,
        (Scalars::Text, Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| (name, formed(value, scalars)))
            .collect(),
        (Scalars::Text, scalar @ (Value::Bool(_) | Value::Number(_))) => scalar.to_string().into(),
        (Scalars::Text, other) => other,
    }
}

/// A request that the gateway refused.
pub(crate) fn refused(id: &str, host: &str, error: &GatewayError) -> Value {
    json!({
        "RequestId": id,
        "HostId": host,
        "Code": error.code(),
        "Message": error.message(),
        "Recommend": "",
    })
}

/// The bytes of an answer.
pub(crate) fn body(format: Format, root: &str, tree: &Value) -> String {
    match format {
        Format::Json => serde_json::to_string(tree).expect("its names are texts"),
        Format::Xml => xml::write(root, tree),
    }
}

/// The answer as HTTP.
pub(crate) fn response(
    format: Format,
    status: u16,
    id: &str,
    root: &str,
    tree: &Value,
) -> Response {
    let kind = match format {
        Format::Json => "application/json;charset=utf-8",
        Format::Xml => "text/xml;charset=utf-8",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body(format, root, tree)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-acs-request-id"), id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A success bears no code: one SDK throws on any but 200 or "Success".
    #[test]
    fn a_success_bears_no_code() {
        let fields = json!({"Data": {"MessageId": "1"}});
        let tree = done("ID", fields.as_object().cloned().unwrap_or_default());
        assert_eq!(
            tree,
            json!({"RequestId": "ID", "Success": true, "Data": {"MessageId": "1"}})
        );
    }

    #[test]
    fn both_kinds_of_errors_have_their_own_fields() {
        let tree = failed("ID", &Business::illegal("no"));
        assert_eq!(tree["Success"], false);
        assert_eq!(tree["Code"], "iot.system.IllegalRequest");
        assert_eq!(tree["ErrorMessage"], "no");
        let tree = refused("ID", "host:1", &GatewayError::NoSuchAction);
        assert_eq!(tree["HostId"], "host:1");
        assert_eq!(tree["Code"], "InvalidAction.NotFound");
        assert!(tree.get("Success").is_none());
        assert!(body(Format::Xml, "Error", &tree).contains("<Error><Code>InvalidAction.NotFound"));
    }

    #[test]
    fn the_content_type_is_the_one_that_clients_compare() {
        let tree = json!({});
        for (format, kind) in [
            (Format::Json, "application/json;charset=utf-8"),
            (Format::Xml, "text/xml;charset=utf-8"),
        ] {
            let response = response(format, 404, "ID", "R", &tree);
            assert_eq!(response.status(), 404);
            assert_eq!(response.headers()["content-type"], kind);
            assert_eq!(response.headers()["x-acs-request-id"], "ID");
        }
    }
}
