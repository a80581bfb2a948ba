//! What gateways are told without having asked (seed 001 §5, §6.3, §6.8; spec/alink-wire.md §6.2).

use crate::codes::alink::Code;
use hub::edge::Outbound;
use model::{
    id::{DeviceKey, Time},
    topo::{Notice, Turn},
};
use serde_json::{Value, json};

/// Why a sub-device of `gateway` cannot go on, or was not heard. `id` is that of its message, as it
/// came, or a made-up one.
pub(crate) fn error(gateway: &DeviceKey, sub: &DeviceKey, id: &Value, code: Code) -> Outbound {
    let payload = json!({
        "id": id,
        "code": code.0,
        "message": code.1,
        "data": names(sub),
    });
    Outbound {
        topic: format!("/ext/error/{}/{}", gateway.product, gateway.name),
        payload: payload.to_string().into(),
        qos: 0,
        system: true,
    }
}

/// What became of sub-devices: the change of topology on the gateway's own topic, and what the
/// document sends to the sub-device itself.
pub(crate) fn write(gateway: &DeviceKey, notice: &Notice, now: Time) -> Vec<Outbound> {
    let (status, own) = match notice.turn {
        Turn::Bound => (0, None),
        Turn::Unbound => (1, None),
        Turn::Deleted => (1, Some("delete")),
        Turn::Enabled => (2, Some("enable")),
        Turn::Disabled => (8, Some("disable")),
    };
    let subs: Vec<Value> = notice.subs.iter().map(names).collect();
    let params = json!({ "status": status, "subList": subs });
    let mut words = vec![request(gateway, "topo.change", &params, now)];
    if let Some(own) = own {
        let none = json!({});
        words.extend(notice.subs.iter().map(|sub| request(sub, own, &none, now)));
    }
    words
}

fn request(device: &DeviceKey, what: &str, params: &Value, now: Time) -> Outbound {
    let payload = json!({
        "id": number(now),
        "version": "1.0",
        "params": params,
        "method": format!("thing.{what}"),
    });
    let what = what.replace('.', "/");
    Outbound {
        topic: format!("/sys/{}/{}/thing/{what}", device.product, device.name),
        payload: payload.to_string().into(),
        qos: 0,
        system: true,
    }
}

/// An id for a message that nobody answers: devices read a decimal number of 32 bits.
pub(crate) fn number(now: Time) -> String {
    now.0.rem_euclid(1 << 32).to_string()
}

pub(crate) fn names(device: &DeviceKey) -> Value {
    json!({ "productKey": device.product, "deviceName": device.name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> DeviceKey {
        DeviceKey::parse("pk", name).unwrap()
    }

    /// [AL-6.1] [AL-6.10] Changes of topology with their numbers, and the sub-device's own notices.
    #[test]
    fn gateways_are_told_as_the_document_shows() {
        for (turn, status, own) in [
            (Turn::Bound, 0, None),
            (Turn::Unbound, 1, None),
            (Turn::Deleted, 1, Some("delete")),
            (Turn::Enabled, 2, Some("enable")),
            (Turn::Disabled, 8, Some("disable")),
        ] {
            let notice = Notice {
                turn,
                subs: vec![key("sub1")],
            };
            let words = write(&key("gate"), &notice, Time(1_767_225_600_000));
            assert_eq!(words[0].topic, "/sys/pk/gate/thing/topo/change");
            let payload: Value = serde_json::from_slice(&words[0].payload).unwrap();
            let list = json!([{ "productKey": "pk", "deviceName": "sub1" }]);
            assert_eq!(
                payload["params"],
                json!({"status": status, "subList": list})
            );
            assert_eq!(payload["method"], "thing.topo.change");
            assert!(payload["id"].as_str().unwrap().parse::<u32>().is_ok());
            match own {
                None => assert_eq!(words.len(), 1),
                Some(own) => {
                    assert_eq!(words[1].topic, format!("/sys/pk/sub1/thing/{own}"));
                    let payload: Value = serde_json::from_slice(&words[1].payload).unwrap();
                    assert_eq!(payload["method"], format!("thing.{own}"));
                    assert_eq!(payload["params"], json!({}));
                }
            }
        }
    }

    /// [AL-5.1]
    #[test]
    fn errors_name_the_sub_device_on_the_gateways_topic() {
        let words = error(&key("gate"), &key("sub1"), &json!("7"), Code(520, "words"));
        assert_eq!(words.topic, "/ext/error/pk/gate");
        let payload: Value = serde_json::from_slice(&words.payload).unwrap();
        assert_eq!(
            payload,
            json!({
                "id": "7", "code": 520, "message": "words",
                "data": {"productKey": "pk", "deviceName": "sub1"},
            })
        );
    }
}
