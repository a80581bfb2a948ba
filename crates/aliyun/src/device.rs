//! Devices that speak Alink (seed 001, spec/alink-wire.md).
//!
//! `hello` reads logins, `rights` says who may use which topic, `topics` is the table that both
//! rights and `uplink` derive from, `alink` reads and writes the messages, and `http` is the
//! authentication service that some devices call before they connect.

mod alink;
mod gateway;
mod hello;
pub mod http;
mod rights;
mod topics;
mod uplink;
pub mod wiring;

pub use alink::notice::tell_enabled;
pub(crate) use alink::shadow;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use hello::{MARK_EXT, MARK_EXTENDED_RPC, MARK_IMPLICIT};
pub use topics::TOPIC_MAX;

use crate::codes::alink as codes;
use async_trait::async_trait;
use gateway::Whose;
use hello::{Bounds, Form};
use hub::{
    Hub,
    admit::{Registered, Registration},
    edge::{
        Dialect, Greeting, Hello, Inbound, Outbound, Peer, Profile, Refusal, Session, Uplink, Verb,
        Welcome,
    },
    trace::Way,
};
use model::{
    account::AuditEntry,
    command::{Command, Order},
    error::{AdmitError, Fault},
    port::CloseReason,
    product::MqttExtras,
    topo::Notice,
};
use serde::Serialize;
use std::sync::Arc;

/// What devices of this dialect may use of MQTT (seed 001 §3.1).
pub const PROFILE: Profile = Profile {
    qos: 1,
    retain: false,
    will: false,
    lenient: true,
};

/// The same with what the product's owner allows beyond it.
fn profile(extras: MqttExtras) -> Profile {
    Profile {
        qos: if extras.exactly_once { 2 } else { PROFILE.qos },
        retain: extras.retain,
        will: extras.will,
        ..PROFILE
    }
}

/// Characters of an unproven name that the audit log shows; it may be anything of any length.
const NAME_SHOWN: usize = 96;

/// What the operator says about the device side.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host name at which devices find the MQTT port, for the answers of the authentication
    /// service; when none is set, the name under which the device found that service.
    pub host: Option<String>,
    /// The MQTT port beside it.
    pub mqtt_port: u16,
    /// Whether secrets and tokens are handed out on channels that others can read.
    pub insecure_http: bool,
}

/// The dialect.
pub struct Alink {
    hub: Arc<Hub>,
    settings: Settings,
}

impl Alink {
    /// Puts the dialect before the hub.
    pub fn new(hub: Arc<Hub>, settings: Settings) -> Self {
        Self { hub, settings }
    }

    async fn open(&self, hello: &Hello) -> Result<Greeting, Refusal> {
        let bounds = Bounds::of(self.hub.limits(), self.settings.insecure_http);
        let opening = match hello::read(hello, &bounds) {
            Ok(Some(opening)) => opening,
            Ok(None) => return Ok(Greeting::NotMine),
            Err(refusal) => {
                let user = hello.user.as_deref().unwrap_or("?");
                let (action, reason) = ("device.login", &refusal.reason);
                self.note(action, &hello.peer, user, reason).await;
                return Err(refusal);
            }
        };
        let marks = opening.marks;
        let admitted = match opening.form {
            Form::Prove(claim) => {
                if hello.will {
                    self.may_leave_will(hello, &claim.device.product).await?;
                }
                match &hello.shaken {
                    None => self.hub.device_admit(claim, marks).await,
                    Some(shaken) => self.hub.device_admit_shaken(claim, shaken, marks).await,
                }
            }
            Form::Token(id, token) => {
                let hub = &self.hub;
                hub.device_admit_token(&id, &token, hello.peer, marks).await
            }
            Form::Register(claim, how) => {
                let registered = self.hub.device_register_self(claim, how).await;
                let registered = registered.map_err(|error| refusal(&error))?;
                return Ok(Greeting::Visit(vec![credentials(&registered, how)]));
            }
        };
        let session = admitted.map_err(|error| refusal(&error))?;
        Ok(Greeting::Welcome(Box::new(Welcome {
            implicit: session.marks & MARK_IMPLICIT != 0,
            profile: profile(session.product.mqtt),
            session,
        })))
    }
}

impl Alink {
    /// Refuses a will where the product's owner allows none: before a session is opened, so that it
    /// ends no other one. A device that comes with a token is known only then, and refused later.
    async fn may_leave_will(
        &self,
        hello: &Hello,
        product: &model::id::ProductKey,
    ) -> Result<(), Refusal> {
        let extras = self.hub.product_extras(product).await;
        let extras = extras.map_err(|fault| refusal(&fault.into()))?;
        if extras.is_some_and(|extras| extras.will) {
            return Ok(());
        }
        let user = hello.user.as_deref().unwrap_or("?");
        let reason = "no will may be left here";
        self.note("device.login", &hello.peer, user, reason).await;
        Err(Refusal {
            code: hub::edge::RefusalCode::NotAuthorised,
            reason: reason.into(),
        })
    }

    fn traced(&self, session: &Session, messages: &[Outbound]) {
        for message in messages {
            self.hub
                .trace(session, Way::Down, &message.topic, &message.payload);
        }
    }

    /// Counts and audits what was tried and could not be read: it does not get as far as the hub,
    /// which does it for others. `resource` is what the sender says it is, of any length.
    async fn note(&self, action: &str, peer: &Peer, resource: &str, reason: &str) {
        let channel = peer.channel.name();
        let outcome = "BadRequest";
        self.hub.metrics().login(channel, "none", outcome);
        let entry = AuditEntry {
            at: self.hub.now(),
            who: "?".to_owned(),
            address: peer.address.to_string(),
            action: action.to_owned(),
            resource: resource.chars().take(NAME_SHOWN).collect(),
            outcome: outcome.to_owned(),
            detail: format!("{channel} {reason}"),
        };
        self.hub.audit_failure(entry).await;
    }
}

fn refusal(error: &AdmitError) -> Refusal {
    Refusal {
        code: codes::refusal(error),
        reason: error.to_string(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    product_key: &'a str,
    device_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<&'a str>,
}

/// What a device that registered itself over MQTT gets (spec/alink-wire.md §2.6).
fn credentials(registered: &Registered, how: Registration) -> Outbound {
    let device = &registered.device;
    let (secret, open) = (registered.secret.as_str(), how == Registration::Open);
    let payload = serde_json::to_vec(&Credentials {
        client_id: open.then_some(device.iot_id.as_str()),
        product_key: device.key.product.as_str(),
        device_name: device.key.name.as_str(),
        device_secret: (!open).then_some(secret),
        device_token: open.then_some(secret),
    });
    let topic = if open { "/ext/regnwl" } else { "/ext/register" };
    Outbound {
        topic: topic.to_owned(),
        payload: payload.expect("texts are JSON").into(),
        qos: 0,
        system: true,
    }
}

#[async_trait]
impl Dialect for Alink {
    fn name(&self) -> &'static str {
        "alink"
    }

    async fn greet(&self, hello: &Hello) -> Greeting {
        self.open(hello).await.unwrap_or_else(Greeting::Refuse)
    }

    fn may(&self, session: &Session, verb: Verb, topic: &str) -> bool {
        let rider;
        let session = match gateway::whose(&self.hub, session, topic) {
            Whose::Own => session,
            Whose::Rider(found) => {
                rider = found;
                &*rider
            }
            Whose::Stranger(owner) => return gateway::stranger_may(&owner, verb, topic),
        };
        let may = rights::system(&session.device, verb, topic).unwrap_or_else(|| {
            let now = self.hub.product_now(&session.device.product);
            let product = now.as_ref().unwrap_or(&session.product);
            rights::custom(&session.device, &product.topics, verb, topic)
        });
        let may = may || verb == Verb::Subscribe && gateway::may_listen(&self.hub, session, topic);
        if !may {
            let words = match verb {
                Verb::Publish => "no right to publish there",
                Verb::Subscribe => "no right to subscribe there",
            };
            self.hub.trace_note(session, topic, words);
        }
        may
    }

    fn extras(&self, session: &Session, topic: &str) -> bool {
        let system = |device| rights::system(device, Verb::Publish, topic).is_some();
        match gateway::whose(&self.hub, session, topic) {
            Whose::Own => !system(&session.device),
            Whose::Rider(rider) => !system(&rider.device),
            Whose::Stranger(_) => false,
        }
    }

    async fn uplink(&self, session: &Session, inbound: Inbound) -> Result<Uplink, Fault> {
        match gateway::whose(&self.hub, session, &inbound.topic) {
            Whose::Own => uplink::take(&self.hub, session, &inbound).await,
            Whose::Rider(rider) => uplink::take(&self.hub, &rider, &inbound).await,
            Whose::Stranger(owner) => Ok(gateway::unheard(&self.hub, session, &owner, &inbound)),
        }
    }

    fn rider(&self, session: &Session, topic: &str) -> Option<Arc<Session>> {
        match gateway::whose(&self.hub, session, topic) {
            Whose::Rider(rider) => Some(rider),
            Whose::Own | Whose::Stranger(_) => None,
        }
    }

    fn parted(&self, gateway: &Session, sub: &Session, reason: CloseReason) -> Vec<Outbound> {
        gateway::parted(&self.hub, gateway, sub, reason)
    }

    fn notice(&self, gateway: &Session, notice: &Notice) -> Vec<Outbound> {
        alink::topology::write(&gateway.device, notice, self.hub.now())
    }

    fn farewell(&self, session: &Session, reason: CloseReason) -> Vec<Outbound> {
        let word = alink::notice::word(reason).into_iter();
        let number = u32::try_from(self.hub.now().0 & 0x7fff_ffff).unwrap_or_default();
        let notices: Vec<_> = word
            .map(|word| alink::notice::write(&session.device, word, number))
            .collect();
        self.traced(session, &notices);
        notices
    }

    fn downlink(&self, session: &Session, command: &Command) -> Vec<Outbound> {
        if matches!(command.order, Order::Upgrade(_)) {
            self.hub.firmware_hands(session);
        }
        // A device that subscribes by itself is called where it listens, which may be the other topic.
        let knows = MARK_EXTENDED_RPC | MARK_IMPLICIT;
        let extended = session.via.is_none() && session.marks & knows == knows;
        let link = |blob: &str| self.hub.link(blob);
        let messages = vec![alink::command::write(&link, command, extended)];
        self.traced(session, &messages);
        messages
    }
}

#[cfg(test)]
mod tests;
