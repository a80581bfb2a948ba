//! The shadow document as devices speak of it (spec/alink-wire.md §6.2, `/shadow/update`).

use super::{object, trim};
use crate::codes::shadow::{self as codes, Code};
use bytes::Bytes;
use hub::{
    Hub,
    edge::Session,
    shadow::{Half, Part, Shadow, is_null},
};
use model::{
    error::Fault,
    id::{DeviceKey, Time},
};
use serde_json::{Map, Value, json};

/// Longest `clientToken` that is sent back, in bytes.
const TOKEN_MAX: usize = 256;

/// The topic on which a device hears of its shadow.
pub(crate) fn topic(device: &DeviceKey) -> String {
    format!("/shadow/get/{}/{}", device.product, device.name)
}

/// What a device asks of its shadow.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    /// To read it.
    Get,
    /// To change both halves, at this version.
    Change(Part, Part, i64),
}

/// Reads a message of a device: the token by which it finds the answer, and what it asks or what
/// is wrong with it.
pub(crate) fn read(payload: &[u8]) -> (Value, Result<Asked, Code>) {
    let Some(message) = object::<Map<String, Value>>(trim(payload)) else {
        return (Value::Null, Err(codes::NOT_JSON));
    };
    let token = match message.get("clientToken") {
        Some(Value::String(token)) if token.len() <= TOKEN_MAX => token.as_str().into(),
        _ => Value::Null,
    };
    (token, asked(&message))
}

fn asked(message: &Map<String, Value>) -> Result<Asked, Code> {
    let method = match message.get("method") {
        None | Some(Value::Null) => return Err(codes::NO_METHOD),
        Some(method) => method.as_str().unwrap_or_default(),
    };
    let (reported, desired) = match method {
        "get" => return Ok(Asked::Get),
        "update" => updated(message)?,
        "delete" => deleted(message)?,
        _ => return Err(codes::BAD_METHOD),
    };
    let version = message.get("version").and_then(Value::as_i64);
    Ok(Asked::Change(
        reported,
        desired,
        version.ok_or(codes::BAD_VERSION)?,
    ))
}

/// Does what a message of a device asks for, and answers it.
///
/// # Errors
/// Engine trouble.
pub(crate) async fn take(hub: &Hub, session: &Session, payload: &[u8]) -> Result<Bytes, Fault> {
    let now = hub.now();
    let (token, asked) = read(payload);
    let (reported, desired, version) = match asked {
        Ok(Asked::Change(reported, desired, version)) => (reported, desired, version),
        Ok(Asked::Get) => {
            let shadow = hub.shadow_for_device(session).await?;
            return Ok(reply(&full(&shadow), shadow.version, token, now));
        }
        Err(code) => return Ok(refused(code, token, now)),
    };
    let changed = hub
        .shadow_report(session, &reported, &desired, version)
        .await;
    match changed {
        Ok(shadow) => {
            let payload = json!({ "status": "success", "version": shadow.version });
            Ok(reply(&payload, shadow.version, token, now))
        }
        Err(error) => Ok(refused(codes::shadow(error)?, token, now)),
    }
}

/// What an application's change of a shadow tells the device.
pub(crate) fn control(shadow: &Shadow, now: Time) -> Bytes {
    let told = json!({
        "method": "control",
        "payload": full(shadow),
        "version": shadow.version,
        "timestamp": seconds(now),
    });
    told.to_string().into()
}

/// The shadow as applications read it.
pub(crate) fn document(shadow: &Shadow) -> Value {
    let mut document = full(shadow);
    if let Value::Object(fields) = &mut document {
        fields.remove("status");
        fields.insert("version".into(), shadow.version.into());
        fields.insert("timestamp".into(), shadow.at.map_or(0, seconds).into());
    }
    document
}

/// An answer to what could not be done for trouble of our own.
pub(crate) fn trouble(now: Time) -> Bytes {
    refused(codes::SERVER, Value::Null, now)
}

fn state(message: &Map<String, Value>) -> Result<&Map<String, Value>, Code> {
    match message.get("state") {
        None | Some(Value::Null) => Err(codes::NO_STATE),
        Some(Value::Object(state)) if state.is_empty() => Err(codes::EMPTY),
        Some(Value::Object(state)) => Ok(state),
        Some(_) => Err(codes::NO_STATE),
    }
}

/// A device reports its state, or is done with what was wanted of it (`"desired":"null"`).
fn updated(message: &Map<String, Value>) -> Result<(Part, Part), Code> {
    let state = state(message)?;
    let part = |half: &str| match state.get(half) {
        None => Ok(Part::Keep),
        Some(value) if is_null(value) => Ok(Part::Clear),
        Some(Value::Object(attributes)) if attributes.is_empty() => Err(codes::NO_ATTRIBUTES),
        Some(Value::Object(attributes)) => Ok(Part::Merge(attributes.clone())),
        Some(_) => Err(codes::NO_ATTRIBUTES),
    };
    let (reported, desired) = (part("reported")?, part("desired")?);
    if (&reported, &desired) == (&Part::Keep, &Part::Keep) {
        return Err(codes::NO_REPORTED);
    }
    Ok((reported, desired))
}

/// A device takes away all that it reported (`"reported":"null"`), or some of it.
fn deleted(message: &Map<String, Value>) -> Result<(Part, Part), Code> {
    let reported = match state(message)?.get("reported") {
        None => return Err(codes::NO_REPORTED),
        Some(value) if is_null(value) => Part::Clear,
        Some(Value::Object(attributes)) if !attributes.is_empty() => {
            let gone = attributes.iter().filter(|(_, value)| is_null(value));
            Part::Remove(gone.map(|(name, _)| name.clone()).collect())
        }
        Some(_) => return Err(codes::NO_ATTRIBUTES),
    };
    Ok((reported, Part::Keep))
}

fn full(shadow: &Shadow) -> Value {
    let mut state = Map::new();
    let mut metadata = Map::new();
    for (name, half) in [("reported", &shadow.reported), ("desired", &shadow.desired)] {
        // Clients look for what was reported even when nothing was.
        if name == "reported" || !half.state.is_empty() {
            state.insert(name.into(), half.state.clone().into());
            metadata.insert(name.into(), times(half));
        }
    }
    json!({ "status": "success", "state": state, "metadata": metadata })
}

fn times(half: &Half) -> Value {
    let time = |at: &Time| json!({ "timestamp": seconds(*at) });
    let times = half.set.iter();
    Value::Object(times.map(|(name, at)| (name.clone(), time(at))).collect())
}

fn seconds(at: Time) -> i64 {
    at.0.div_euclid(1000)
}

fn reply(payload: &Value, version: i64, token: Value, now: Time) -> Bytes {
    let mut reply = json!({
        "method": "reply",
        "payload": payload,
        "version": version,
        "timestamp": seconds(now),
    });
    if !token.is_null() {
        reply["clientToken"] = token;
    }
    reply.to_string().into()
}

fn refused(code: Code, token: Value, now: Time) -> Bytes {
    let mut reply = json!({
        "method": "reply",
        "payload": {
            "status": "error",
            "content": { "errorcode": code.0, "errormessage": code.1 },
        },
        "timestamp": seconds(now),
    });
    if !token.is_null() {
        reply["clientToken"] = token;
    }
    reply.to_string().into()
}
