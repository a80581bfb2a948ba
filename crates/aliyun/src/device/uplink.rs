//! What becomes of a device's message: topic to verb, result to reply.

use super::{
    alink::{self, Unreadable, answer, config, desired, firmware, log, ntp, shadow, tags},
    gateway,
    topics::{self, Ask, Up},
};
use crate::codes::alink as codes;
use bytes::Bytes;
use hub::{
    Hub,
    configuration::ConfigurationError,
    edge::{Inbound, Outbound, Session, Uplink},
    ota::PieceError,
    trace::Way,
};
use model::{
    command::Answer,
    error::{Fault, PostError},
    id::CommandId,
};
use serde_json::{Map, Value};

/// Takes a message whose topic the device may use.
///
/// # Errors
/// A fault when what must be kept could not be, and the message is one that is acknowledged. At
/// QoS 0 the device learns it from the reply, as there is no other way.
pub(crate) async fn take(hub: &Hub, session: &Session, inbound: &Inbound) -> Result<Uplink, Fault> {
    hub.trace(session, Way::Up, &inbound.topic, &inbound.payload);
    let taken = work(hub, session, inbound).await;
    match &taken {
        Ok(uplink) => {
            for reply in &uplink.replies {
                hub.trace(session, Way::Down, &reply.topic, &reply.payload);
            }
        }
        Err(fault) => hub.trace_note(session, &inbound.topic, &format!("not kept: {fault}")),
    }
    taken
}

async fn work(hub: &Hub, session: &Session, inbound: &Inbound) -> Result<Uplink, Fault> {
    let Some(route) = topics::route(&session.device, &inbound.topic) else {
        return message(hub, session, inbound).await;
    };
    let mut came = false;
    let reply = match route.up {
        Up::Ask(Ask::Gateway(what)) => {
            let (reply, let_in) = for_gateway(hub, session, inbound, what).await;
            came = let_in;
            reply
        }
        Up::Ask(what) => ask(hub, session, inbound, what, route.variable).await?,
        Up::Answer => {
            let read = answer::read(&inbound.payload);
            let read = read.and_then(|(id, answer)| Some((id?, answer)));
            answered(hub, session, inbound, read).await?;
            None
        }
        Up::CallAnswer => {
            remote(hub, session, inbound, answer::extended(&inbound.topic)).await?;
            None
        }
        Up::RpcAnswer => {
            remote(hub, session, inbound, route.variable).await?;
            None
        }
        Up::Firmware => {
            firmware_report(hub, session, inbound).await?;
            None
        }
        Up::Progress => {
            firmware_progress(hub, session, inbound).await?;
            None
        }
        Up::Time => {
            let answer = ntp::answer(&inbound.payload, hub.now());
            if answer.is_none() {
                dropped(hub, session, inbound, "unreadable");
            }
            answer
        }
        Up::Shadow => match shadow::take(hub, session, &inbound.payload).await {
            Ok(answer) => Some(answer),
            Err(fault) if inbound.qos > 0 => return Err(fault),
            Err(_) => Some(shadow::trouble(hub.now())),
        },
        Up::Notice => None,
    };
    let topic = route.reply_topic(&session.device, &inbound.topic);
    let replies = topic.zip(reply).map(|(topic, payload)| Outbound {
        topic,
        payload,
        qos: inbound.qos.min(1),
        system: true,
    });
    Ok(Uplink {
        replies: replies.into_iter().collect(),
        fan_out: false,
        came,
    })
}

/// What a gateway asks for its sub-devices: the payload of the reply, and whether somebody came in.
async fn for_gateway(
    hub: &Hub,
    session: &Session,
    inbound: &Inbound,
    what: topics::Gateway,
) -> (Option<Bytes>, bool) {
    match alink::read(&inbound.payload, hub.limits().payload) {
        Ok(request) => {
            let answered = gateway::ask(hub, session, what, request.id, &request.params);
            let (reply, came) = Box::pin(answered).await;
            (request.wants_reply.then_some(reply), came)
        }
        Err(Unreadable(None)) => {
            dropped(hub, session, inbound, "unreadable");
            (None, false)
        }
        Err(Unreadable(Some(id))) => {
            let why = "the message is not a JSON object, or it is too long";
            (Some(alink::failed(id, codes::PARAMETER, Some(why))), false)
        }
    }
}

/// An Alink request, and the payload of its reply.
async fn ask(
    hub: &Hub,
    session: &Session,
    inbound: &Inbound,
    what: Ask,
    variable: &str,
) -> Result<Option<Bytes>, Fault> {
    let request = match alink::read(&inbound.payload, hub.limits().payload) {
        Ok(request) => request,
        Err(Unreadable(None)) => {
            dropped(hub, session, inbound, "unreadable");
            return Ok(None);
        }
        Err(Unreadable(Some(id))) => {
            let why = "the message is not a JSON object, or it is too long";
            return Ok(Some(alink::failed(id, codes::PARAMETER, Some(why))));
        }
    };
    let id = request.id;
    let reply = match what {
        Ask::Properties => {
            let posted = match &request.params {
                Value::Object(params) => hub.property_post(session, params).await.map(|posted| {
                    for (identifier, why) in &posted.dropped {
                        tracing::debug!(device = %session.device, identifier, why, "dropped");
                    }
                }),
                _ => Err(PostError::BadRequest("params is not an object".into())),
            };
            kept(id, inbound, posted)?
        }
        Ask::Event => {
            let posted = hub.event_post(session, variable, &request.params).await;
            kept(id, inbound, posted)?
        }
        Ask::Template => match hub.model_for_device(session).await {
            Ok(template) => alink::done(id, &template),
            Err(error) => alink::failed(id, codes::template(&error), None),
        },
        Ask::Tags | Ask::TagsGone => {
            let posted = match tags::changes(&request.params, what == Ask::Tags) {
                Some(changes) if changes.is_empty() => Ok(()),
                Some(changes) => hub.tags_post(session, &changes).await,
                None => {
                    let why = "params is not a list of attrKey and attrValue";
                    Err(PostError::BadRequest(why.into()))
                }
            };
            told(id, inbound, posted.map(|()| Map::new()), codes::about)?
        }
        Ask::Desired => {
            let wanted = match desired::names(&request.params) {
                Some(names) => hub.desired_for_device(session, &names).await,
                None => Err(PostError::BadRequest(
                    "params is not a list of names".into(),
                )),
            };
            told(id, inbound, wanted.map(desired::told), codes::about)?
        }
        Ask::DesiredDone => {
            let done = match desired::done(&request.params) {
                Some(done) => hub.desired_done(session, &done).await,
                None => {
                    let why = "params does not name properties with versions";
                    Err(PostError::BadRequest(why.into()))
                }
            };
            told(id, inbound, done.map(|()| Map::new()), codes::about)?
        }
        Ask::Upgrade | Ask::FirmwareNews => {
            let module = firmware::module(&request.params);
            let news = what == Ask::FirmwareNews;
            let link = |blob: &str| hub.link(blob);
            match hub.firmware_wanted(session, module).await {
                Ok(Some(upgrade)) if news => alink::done(id, &firmware::data(&link, &upgrade)),
                Ok(Some(upgrade)) => firmware::answer(&link, id, &upgrade),
                Ok(None) if news => alink::done(id, &Map::new()),
                Ok(None) => alink::failed(id, codes::NO_UPGRADE, None),
                Err(PostError::Fault(fault)) if inbound.qos > 0 => return Err(fault),
                Err(_) => alink::failed(id, codes::SERVER, None),
            }
        }
        Ask::FilePiece => {
            let piece = match firmware::wanted(&request.params) {
                Some(wanted) => {
                    let range = (wanted.offset, wanted.size);
                    hub.firmware_piece(session, wanted.stream, wanted.file, wanted.token, range)
                        .await
                }
                None => Err(PieceError::BadPiece),
            };
            firmware::piece(id, &piece)
        }
        Ask::Reset => {
            let noted = hub.reset_report(session).await;
            told(id, inbound, noted.map(|()| Map::new()), codes::about)?
        }
        Ask::Config => match config::wanted(&request.params) {
            false => {
                let why = "only the file of the product is served";
                alink::failed(id, codes::PARAMETER, Some(why))
            }
            true => match hub.configuration_for_device(session).await {
                Ok(document) => {
                    let link = hub.link(&document.blob);
                    alink::done(id, &config::about(&document, &link))
                }
                Err(ConfigurationError::Off) => alink::failed(id, codes::NO_CONFIG, None),
                Err(ConfigurationError::None) => alink::failed(id, codes::NO_DATA, None),
                Err(ConfigurationError::Fault(fault)) if inbound.qos > 0 => return Err(fault),
                Err(ConfigurationError::Fault(_)) => alink::failed(id, codes::SERVER, None),
            },
        },
        Ask::LogSettings => match hub.device_log_wanted(session).await {
            Ok(on) => alink::done(id, &config::log(on)),
            Err(fault) if inbound.qos > 0 => return Err(fault),
            Err(_) => alink::failed(id, codes::SERVER, None),
        },
        Ask::Log => {
            let posted = match log::lines(&request.params) {
                Some(lines) => hub.device_log_post(session, lines).await,
                None => Err(PostError::BadRequest(
                    "params is not a list of lines".into(),
                )),
            };
            told(id, inbound, posted.map(|()| Map::new()), codes::about)?
        }
        Ask::Pack => gateway::batch(hub, session, inbound, false, id, &request.params).await?,
        Ask::History => gateway::batch(hub, session, inbound, true, id, &request.params).await?,
        Ask::Gateway(_) | Ask::Unserved => alink::failed(id, codes::NOT_SERVED, None),
    };
    Ok(request.wants_reply.then_some(reply))
}

/// The reply to a post. The document wants `{}` as data even when properties were dropped.
fn kept(
    id: alink::Id<'_>,
    inbound: &Inbound,
    posted: Result<(), PostError>,
) -> Result<Bytes, Fault> {
    told(id, inbound, posted.map(|()| Map::new()), codes::post)
}

/// The reply with what came of a request, or with why nothing did, by a table of codes.
fn told(
    id: alink::Id<'_>,
    inbound: &Inbound,
    done: Result<Map<String, Value>, PostError>,
    code: fn(&PostError) -> codes::Code,
) -> Result<Bytes, Fault> {
    match done {
        Ok(data) => Ok(alink::done(id, &data)),
        Err(PostError::Fault(fault)) if inbound.qos > 0 => Err(fault),
        Err(error) => {
            let why = match &error {
                PostError::Misfit(why) | PostError::BadRequest(why) => Some(why.clone()),
                PostError::NoSuchFunction(_) => Some(error.to_string()),
                PostError::TooManyProperties
                | PostError::NotModelled
                | PostError::NotAdmitted
                | PostError::Fault(_) => None,
            };
            Ok(alink::failed(id, code(&error), why.as_deref()))
        }
    }
}

async fn answered(
    hub: &Hub,
    session: &Session,
    inbound: &Inbound,
    read: Option<(CommandId, Answer)>,
) -> Result<(), Fault> {
    let Some((id, answer)) = read else {
        dropped(hub, session, inbound, "unreadable");
        return Ok(());
    };
    let taken = hub.command_answered(session, id, answer).await;
    unreplied(hub, session, inbound, taken.map(|_| ()))
}

/// The answer to a call, or to a command that went out as one, by the number in its topic.
async fn remote(
    hub: &Hub,
    session: &Session,
    inbound: &Inbound,
    number: &str,
) -> Result<(), Fault> {
    let Some(number) = answer::call(number) else {
        let id = answer::command(number);
        let read = answer::read(&inbound.payload);
        let read = read.and_then(|(_, answer)| Some((id?, answer)));
        return answered(hub, session, inbound, read).await;
    };
    let payload = inbound.payload.clone();
    let taken = hub
        .device_call_answered(session, number, &inbound.topic, payload)
        .await;
    unreplied(hub, session, inbound, taken)
}

async fn firmware_report(hub: &Hub, session: &Session, inbound: &Inbound) -> Result<(), Fault> {
    let Ok(request) = alink::read(&inbound.payload, hub.limits().payload) else {
        dropped(hub, session, inbound, "unreadable");
        return Ok(());
    };
    match firmware::version(&request.params) {
        Some((module, version)) => {
            let noted = hub.firmware_report(session, module, version).await;
            unreplied(hub, session, inbound, noted)
        }
        None => {
            dropped(hub, session, inbound, "unreadable");
            Ok(())
        }
    }
}

async fn firmware_progress(hub: &Hub, session: &Session, inbound: &Inbound) -> Result<(), Fault> {
    let request = alink::read(&inbound.payload, hub.limits().payload);
    let params = request.map(|request| request.params).unwrap_or_default();
    let Some((step, why)) = firmware::progress(&params) else {
        dropped(hub, session, inbound, "unreadable");
        return Ok(());
    };
    let module = firmware::module(&params);
    let noted = hub.firmware_progress(session, module, step, why).await;
    unreplied(hub, session, inbound, noted)
}

/// A message on a topic of the product's own.
async fn message(hub: &Hub, session: &Session, inbound: &Inbound) -> Result<Uplink, Fault> {
    let payload = inbound.payload.clone();
    let posted = hub.message_post(session, &inbound.topic, payload).await;
    let fan_out = posted.is_ok();
    unreplied(hub, session, inbound, posted)?;
    Ok(Uplink {
        replies: Vec::new(),
        fan_out,
        came: false,
    })
}

/// What a message without a reply leads to: its acknowledgement is all that the device sees.
fn unreplied(
    hub: &Hub,
    session: &Session,
    inbound: &Inbound,
    done: Result<(), PostError>,
) -> Result<(), Fault> {
    match done {
        Ok(()) => Ok(()),
        Err(PostError::Fault(fault)) if inbound.qos > 0 => Err(fault),
        Err(error) => {
            tracing::debug!(device = %session.device, %error, "a message was refused");
            dropped(hub, session, inbound, "refused");
            Ok(())
        }
    }
}

fn dropped(hub: &Hub, session: &Session, inbound: &Inbound, reason: &'static str) {
    hub.metrics().publish_dropped(reason);
    hub.trace_note(session, &inbound.topic, &format!("dropped: {reason}"));
    tracing::debug!(device = %session.device, topic = inbound.topic, reason, "dropped");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-6.3] What could not be kept is never acknowledged: no reply and no PUBACK at QoS 1, an
    /// error at QoS 0.
    #[test]
    fn our_own_trouble_is_never_told_as_success() {
        let inbound = |qos| Inbound {
            topic: String::new(),
            payload: Bytes::new(),
            qos,
        };
        let fault = || Err(PostError::Fault(Fault::passing("disk")));
        assert!(kept(alink::Id::NONE, &inbound(1), fault()).is_err());
        let reply = kept(alink::Id::NONE, &inbound(0), fault()).unwrap();
        assert_eq!(
            reply,
            "{\"id\":\"0\",\"code\":6313,\"data\":{},\"message\":\"tsl service not available\"}"
        );
    }
}
