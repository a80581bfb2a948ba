//! Commands in the vendor's words (seed 001 §6.1, §6.5).

use super::{
    config,
    firmware::{self, Link},
    topology::names,
};
use bytes::Bytes;
use hub::edge::Outbound;
use model::{
    command::{Command, Configuration, Order},
    id::DeviceKey,
};
use serde::Serialize;
use serde_json::json;

/// Asks for the values of properties; the parameters are their names.
const PROPERTY_GET: &str = "thing.service.property.get";

#[derive(Serialize)]
struct Request<'a, P> {
    method: &'a str,
    /// Devices read a text with a decimal number and nothing else (spec/alink-wire.md §6.1).
    id: String,
    params: &'a P,
    version: &'static str,
}

/// Writes a command: a property or an asynchronous service on a topic of its own, a synchronous
/// service as a remote call whose topic carries the number. For a device that knows remote calls on
/// other topics (`extended`) that one holds the topic of the service: the vendor's Python SDK listens
/// to no other (spec/alink-wire.md §6.2).
pub(crate) fn write(link: Link<'_>, command: &Command, extended: bool) -> Outbound {
    let (method, params, sync) = match &command.order {
        Order::Configure(document) => {
            let params = config::about(document, &link(&document.blob));
            return request(command, "thing.config.push", &params, false);
        }
        Order::SendLog(on) => {
            let params = config::log(*on);
            return request(command, "thing.config.log.push", &params, false);
        }
        Order::Upgrade(upgrade) => return firmware::push(link, command, upgrade),
        Order::SetProperties(items) => ("thing.service.property.set".to_owned(), items, false),
        Order::Invoke {
            identifier,
            input,
            sync,
        } => (format!("thing.service.{identifier}"), input, *sync),
        Order::BindSubs(subs) => return ask_to_bind(command, subs),
        Order::GetProperties(names) => return request(command, PROPERTY_GET, names, false),
        Order::Wire(document) => return wire(link, command, document),
        Order::Hear(letter) => {
            return Outbound {
                topic: letter.topic.clone(),
                payload: letter.payload.clone(),
                qos: 1,
                system: letter.system,
            };
        }
    };
    let mut outbound = request(command, &method, params, sync);
    if sync && extended {
        let DeviceKey { product, name } = &command.device;
        let service = method.replace('.', "/");
        outbound.topic = format!("/ext/rrpc/{}/sys/{product}/{name}/{service}", command.id);
    }
    outbound
}

fn request<P: Serialize>(command: &Command, method: &str, params: &P, sync: bool) -> Outbound {
    let own = format!("/sys/{}/{}", command.device.product, command.device.name);
    let topic = if sync {
        format!("{own}/rrpc/request/{}", command.id)
    } else {
        format!("{own}/{}", method.replace('.', "/"))
    };
    let request = Request {
        method,
        id: command.id.to_string(),
        params,
        version: "1.0",
    };
    let payload = serde_json::to_vec(&request).expect("a request has text keys");
    Outbound {
        topic,
        payload: Bytes::from(payload),
        qos: 1,
        system: true,
    }
}

#[derive(Serialize)]
struct Pushed<'a> {
    id: String,
    version: &'static str,
    method: &'static str,
    data: PushedData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushedData<'a> {
    digest: &'a str,
    digest_method: &'static str,
    url: String,
}

/// Tells a gateway how to reach its sub-devices (seed 001 §6.7). What others have as `params` is
/// `data` here.
fn wire(link: Link<'_>, command: &Command, document: &Configuration) -> Outbound {
    let pushed = Pushed {
        id: command.id.to_string(),
        version: "1.0",
        method: "thing.model.config.push",
        data: PushedData {
            digest: &document.sha256,
            digest_method: "sha256",
            url: link(&document.blob),
        },
    };
    let payload = serde_json::to_vec(&pushed).expect("it has text keys");
    let device = &command.device;
    Outbound {
        topic: format!(
            "/sys/{}/{}/thing/model/config/push",
            device.product, device.name
        ),
        payload: payload.into(),
        qos: 1,
        system: true,
    }
}

/// Asks a gateway to bind sub-devices (seed 001 §6.3).
fn ask_to_bind(command: &Command, subs: &[DeviceKey]) -> Outbound {
    let payload = json!({
        "id": command.id.to_string(),
        "version": "1.0",
        "params": subs.iter().map(names).collect::<Vec<_>>(),
        "method": "thing.topo.add.notify",
    });
    let device = &command.device;
    Outbound {
        topic: format!(
            "/sys/{}/{}/thing/topo/add/notify",
            device.product, device.name
        ),
        payload: payload.to_string().into(),
        qos: 1,
        system: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{
        command::CommandState,
        id::{CommandId, DeviceKey, IotId, Time},
    };
    use serde_json::{Map, Value, json};

    fn written(order: Order) -> (String, String) {
        written_as(order, false)
    }

    fn written_as(order: Order, extended: bool) -> (String, String) {
        let command = Command {
            id: CommandId(u32::MAX),
            device: DeviceKey::parse("pk", "dev1").unwrap(),
            iot_id: IotId::parse("id").unwrap(),
            order,
            created: Time(0),
            until: Time(1),
            state: CommandState::Waiting,
        };
        let outbound = write(&|blob| format!("link to {blob}"), &command, extended);
        assert!(outbound.system);
        let payload = String::from_utf8(outbound.payload.to_vec()).unwrap();
        (outbound.topic, payload)
    }

    fn input() -> Map<String, Value> {
        json!({"Weight": 2}).as_object().unwrap().clone()
    }

    /// [AL-6.3]
    #[test]
    fn properties_are_set_as_the_document_shows() {
        let (topic, payload) = written(Order::SetProperties(input()));
        assert_eq!(topic, "/sys/pk/dev1/thing/service/property/set");
        assert_eq!(
            payload,
            "{\"method\":\"thing.service.property.set\",\"id\":\"4294967295\",\"params\":{\"Weight\":2},\"version\":\"1.0\"}"
        );
    }

    /// [AL-6.3] Properties are asked for by their names.
    #[test]
    fn properties_are_asked_for_by_name() {
        let (topic, payload) = written(Order::GetProperties(vec!["Weight".into()]));
        assert_eq!(topic, "/sys/pk/dev1/thing/service/property/get");
        let payload: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(payload["params"], json!(["Weight"]));
        assert_eq!(payload["method"], "thing.service.property.get");
    }

    /// [AL-6.9]
    #[test]
    fn a_gateways_wiring_is_told_as_the_document_shows() {
        let (topic, payload) = written(Order::Wire(Box::new(Configuration {
            id: "w1".into(),
            size: 7,
            sha256: "ab".into(),
            blob: "wiring-1".into(),
        })));
        assert_eq!(topic, "/sys/pk/dev1/thing/model/config/push");
        assert_eq!(
            payload,
            "{\"id\":\"4294967295\",\"version\":\"1.0\",\"method\":\"thing.model.config.push\",\"data\":{\"digest\":\"ab\",\"digestMethod\":\"sha256\",\"url\":\"link to wiring-1\"}}"
        );
    }

    /// [AL-3.11] [AL-6.5] A synchronous service, and nothing else, goes another way to a device that
    /// knows extended remote calls.
    #[test]
    fn synchronous_services_are_called_by_extended_remote_call() {
        let invoke = |sync| Order::Invoke {
            identifier: "SetWeight".into(),
            input: input(),
            sync,
        };
        let (topic, payload) = written_as(invoke(true), true);
        assert_eq!(
            topic,
            "/ext/rrpc/4294967295/sys/pk/dev1/thing/service/SetWeight"
        );
        assert_eq!(payload, written(invoke(true)).1);
        for order in [invoke(false), Order::SetProperties(input())] {
            assert_eq!(written_as(order.clone(), true), written(order));
        }
    }

    /// [AL-6.5] Asynchronous and synchronous, of the default block and of another.
    #[test]
    fn services_are_called_on_their_topic_or_by_remote_call() {
        for (identifier, sync, topic, method) in [
            (
                "SetWeight",
                false,
                "/sys/pk/dev1/thing/service/SetWeight",
                "thing.service.SetWeight",
            ),
            (
                "block:SetWeight",
                false,
                "/sys/pk/dev1/thing/service/block:SetWeight",
                "thing.service.block:SetWeight",
            ),
            (
                "SetWeight",
                true,
                "/sys/pk/dev1/rrpc/request/4294967295",
                "thing.service.SetWeight",
            ),
        ] {
            let (found, payload) = written(Order::Invoke {
                identifier: identifier.into(),
                input: input(),
                sync,
            });
            assert_eq!(found, topic);
            let payload: Value = serde_json::from_str(&payload).unwrap();
            assert_eq!(payload["method"], method);
            assert_eq!(payload["id"], "4294967295");
            assert_eq!(payload["params"], json!({"Weight": 2}));
            assert_eq!(payload["version"], "1.0");
        }
    }
}
