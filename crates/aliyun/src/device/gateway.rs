//! What gateways ask for their sub-devices, and whose words a message on a gateway's connection are
//! (seed 001 §5, §6.2 to §6.5).

use super::{
    alink::{self, Id, pack, subs, topology},
    rights, topics,
};
use crate::codes::{
    alink::{Code, PARAMETER},
    topology as codes,
};
use bytes::Bytes;
use hub::{
    Hub,
    edge::{Inbound, Outbound, Session, Uplink, Verb},
    pack::PackError,
    rider::RiderRefused,
};
use model::{
    error::{Fault, PostError, TopoError},
    id::{DeviceKey, ProductKey},
    product::NodeKind,
};
use serde_json::{Map, Value, json, value::RawValue};
use std::sync::Arc;
use topics::Gateway;

/// Whose topic it is, on a connection.
pub(crate) enum Whose {
    /// The device's that opened the connection, or nobody's.
    Own,
    /// A sub-device's that uses the connection.
    Rider(Arc<Session>),
    /// A device's that does not use the connection.
    Stranger(DeviceKey),
}

/// Whose a topic or filter is.
pub(crate) fn whose(hub: &Hub, session: &Session, topic: &str) -> Whose {
    if session.product.node != NodeKind::Gateway {
        return Whose::Own;
    }
    match topics::owner(topic) {
        Some(owner) if owner != session.device => match hub.rider(session, &owner) {
            Some(rider) => Whose::Rider(rider),
            None => Whose::Stranger(owner),
        },
        Some(_) | None => Whose::Own,
    }
}

/// Whether a gateway may use a topic of a device that does not use its connection: it may publish,
/// to hear that it is not heard (seed 001 table 5-4), and subscribe to where nothing comes.
pub(crate) fn stranger_may(owner: &DeviceKey, verb: Verb, topic: &str) -> bool {
    match verb {
        Verb::Subscribe => rights::gateway_session(topic),
        Verb::Publish => !topics::wild(topic) && rights::system(owner, verb, topic).unwrap_or(true),
    }
}

/// Whether it is a topic on which a product's devices are told something, and a sub-device of that
/// product uses the gateway's connection.
pub(crate) fn may_listen(hub: &Hub, session: &Session, topic: &str) -> bool {
    let product = topic.strip_prefix("/broadcast/").and_then(|rest| {
        let (product, _) = rest.split_once('/')?;
        ProductKey::parse(product).ok()
    });
    let rider = product.and_then(|product| hub.rider_of(session, &product));
    rider.is_some_and(|rider| rights::system(&rider.device, Verb::Subscribe, topic) == Some(true))
}

/// A message for a device that has no session through this gateway: an error (seed 001 table 5-4).
pub(crate) fn unheard(
    hub: &Hub,
    session: &Session,
    owner: &DeviceKey,
    inbound: &Inbound,
) -> Uplink {
    hub.metrics().publish_dropped("unauthorised");
    let id = match alink::read(&inbound.payload, hub.limits().payload) {
        Ok(request) => request.id.json(),
        Err(alink::Unreadable(Some(id))) => id.json(),
        Err(alink::Unreadable(None)) => topology::number(hub.now()).into(),
    };
    let error = topology::error(&session.device, owner, &id, codes::SESSION);
    Uplink {
        replies: vec![error],
        ..Uplink::default()
    }
}

/// The reply to what a gateway asks, and whether somebody came in by it.
pub(crate) async fn ask(
    hub: &Hub,
    session: &Session,
    what: Gateway,
    id: Id<'_>,
    params: &Value,
) -> (Bytes, bool) {
    let peer = session.peer;
    let read = |unread: subs::Unread| failed(id, PARAMETER, Some(unread.0));
    let refuse = |error: TopoError| {
        let detail = matches!(
            error,
            TopoError::BadRequest(_) | TopoError::NotGateway | TopoError::NotSub
        );
        let detail = detail.then(|| error.to_string());
        failed(id, codes::topology(&error), detail.as_deref())
    };
    let list =
        |devices: &[DeviceKey]| -> Vec<Value> { devices.iter().map(topology::names).collect() };
    let done = |data: &Value| alink::done(id, data);
    let reply = match what {
        Gateway::Add => match subs::bindings(params, peer) {
            Err(unread) => read(unread),
            Ok(claims) => match hub.topo_add(session, &claims).await {
                Ok(bound) => done(&list(&bound).into()),
                Err(error) => refuse(error),
            },
        },
        Gateway::Delete => match subs::devices(params) {
            Err(unread) => read(unread),
            Ok(devices) => match hub.topo_delete(session, &devices).await {
                Ok(()) => done(&list(&devices).into()),
                Err(error) => refuse(error),
            },
        },
        Gateway::Get => match params {
            Value::Null | Value::Object(_) | Value::Array(_) => match hub.topo_get(session).await {
                Ok(devices) => done(&list(&devices).into()),
                Err(error) => refuse(error),
            },
            _ => failed(id, PARAMETER, Some("params is not an object")),
        },
        Gateway::Found => match subs::names(params) {
            Err(unread) => read(unread),
            Ok(names) => match hub.topo_found(session, &names).await {
                Ok(()) => done(&json!({})),
                Err(error) => refuse(error),
            },
        },
        Gateway::Register => match subs::devices(params) {
            Err(unread) => read(unread),
            Ok(devices) => match hub.sub_register(session, &devices).await {
                Ok(all) => {
                    let rows = all.iter().map(|one| {
                        json!({
                            "iotId": one.device.iot_id,
                            "productKey": one.device.key.product,
                            "deviceName": one.device.key.name,
                            "deviceSecret": one.secret,
                        })
                    });
                    done(&rows.collect::<Vec<_>>().into())
                }
                Err(error) => refuse(error),
            },
        },
        Gateway::RegisterProven => match subs::registrations(params, peer) {
            Err(unread) => read(unread),
            Ok(claims) => match hub.sub_register_proven(session, claims).await {
                Ok(all) => done(&proxied(all)),
                Err(error) => refuse(error),
            },
        },
        Gateway::Unregister => match subs::devices(params) {
            Err(unread) => read(unread),
            Ok(devices) => match hub.sub_unregister(session, &devices).await {
                Ok(()) => done(&json!({})),
                Err(error) => refuse(error),
            },
        },
        Gateway::Login | Gateway::LoginMany => {
            let claims = match what {
                Gateway::Login => subs::login(params, peer),
                _ => subs::logins(params, peer),
            };
            match claims {
                Err(unread) => read(unread),
                Ok(claims) => match hub.rider_admit(session, claims).await {
                    Ok(riders) => {
                        let devices = riders.into_iter().map(|rider| rider.device);
                        let devices = list(&devices.collect::<Vec<_>>());
                        return (done(&one_or_all(what, devices)), true);
                    }
                    Err(error) => refused(id, &error),
                },
            }
        }
        Gateway::Logout | Gateway::LogoutMany => match subs::devices(params) {
            Err(unread) => read(unread),
            Ok(devices) => match hub.rider_logout(session, &devices).await {
                Ok(()) => done(&one_or_all(what, list(&devices))),
                Err(error) => refused(id, &error),
            },
        },
    };
    (reply, false)
}

fn failed(id: Id<'_>, code: Code, detail: Option<&str>) -> Bytes {
    alink::failed(id, code, detail)
}

/// A single login is answered with an object, several with a list.
fn one_or_all(what: Gateway, mut devices: Vec<Value>) -> Value {
    match what {
        Gateway::Login | Gateway::Logout => devices.pop().unwrap_or(Value::Null),
        _ => devices.into(),
    }
}

/// A login or logout that was refused: the words of the document, and which device it was.
fn refused(id: Id<'_>, refused: &RiderRefused) -> Bytes {
    let code = codes::login(&refused.error);
    alink::reply(id, code.0, code.1, &topology::names(&refused.device))
}

fn proxied(all: Vec<hub::topo::Proxied>) -> Value {
    let (mut successes, mut failures) = (Vec::new(), Vec::new());
    for one in all {
        let mut row = topology::names(&one.device);
        match one.outcome {
            Ok(secret) => {
                row["deviceSecret"] = secret.into();
                successes.push(row);
            }
            Err(error) => {
                let code = codes::topology(&error);
                row["errorDetail"] = json!({ "code": code.0, "message": code.1 });
                failures.push(row);
            }
        }
    }
    json!({ "successes": successes, "failures": failures })
}

/// A batch of a gateway, or of the past, and the payload of its reply.
pub(crate) async fn batch(
    hub: &Hub,
    session: &Session,
    inbound: &Inbound,
    past: bool,
    id: Id<'_>,
    params: &Value,
) -> Result<Bytes, Fault> {
    let kept = match past {
        true => match pack::read_history(params) {
            Ok(parcels) => hub.history_post(session, parcels).await,
            Err(why) => Err(PostError::BadRequest(why.into()).into()),
        },
        false => match pack::read(params) {
            Ok((own, subs)) => hub.pack_post(session, own, subs).await,
            Err(why) => Err(PostError::BadRequest(why.into()).into()),
        },
    };
    match kept {
        Ok(()) => Ok(alink::done(id, &Map::new())),
        Err(
            PackError::Post(PostError::Fault(fault)) | PackError::Topo(TopoError::Fault(fault)),
        ) if inbound.qos > 0 => Err(fault),
        Err(error) => {
            let why = match &error {
                PackError::Post(PostError::Misfit(why) | PostError::BadRequest(why)) => {
                    Some(why.clone())
                }
                PackError::Post(_) => None,
                PackError::Topo(TopoError::NotGateway) => Some(error.to_string()),
                PackError::Topo(_) => None,
            };
            Ok(failed(id, codes::pack(&error), why.as_deref()))
        }
    }
}

/// What a gateway is told when a sub-device is sent off.
pub(crate) fn parted(
    hub: &Hub,
    gateway: &Session,
    sub: &Session,
    reason: model::port::CloseReason,
) -> Vec<Outbound> {
    let id = topology::number(hub.now()).into();
    let error = topology::error(&gateway.device, &sub.device, &id, codes::parted(reason));
    vec![error]
}

impl Id<'_> {
    /// The id as a value, for messages that are not replies.
    fn json(&self) -> Value {
        let raw: &RawValue = self.raw();
        serde_json::from_str(raw.get()).unwrap_or(Value::Null)
    }
}
