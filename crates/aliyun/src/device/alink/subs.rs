//! Names, proofs and logins of sub-devices, as gateways send them (seed 001 §6.2 to §6.4;
//! spec/alink-wire.md §1 item 3, §6.2).

use crate::device::hello::marks;
use credential::alink::{Channel, ClientId, Signed, SignedError};
use hub::{admit::Claim, edge::Peer, rider::RiderClaim};
use model::id::DeviceKey;
use serde_json::{Map, Value};

/// Why a request about sub-devices cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread(pub(crate) &'static str);

/// A list of objects; one object stands for a list of one.
fn list(params: &Value) -> Result<Vec<&Map<String, Value>>, Unread> {
    const NONE: Unread = Unread("params is not a list of devices");
    match params {
        Value::Array(list) => {
            let objects = list.iter().map(|item| item.as_object().ok_or(NONE));
            objects.collect()
        }
        Value::Object(object) => Ok(vec![object]),
        _ => Err(NONE),
    }
}

fn device(object: &Map<String, Value>) -> Result<DeviceKey, Unread> {
    let text = |name: &str| object.get(name)?.as_str();
    text("productKey")
        .zip(text("deviceName"))
        .and_then(|(product, name)| DeviceKey::parse(product, name).ok())
        .ok_or(Unread("productKey or deviceName is missing or malformed"))
}

/// Reads a list of product keys and device names; an empty one is an error.
pub(crate) fn devices(params: &Value) -> Result<Vec<DeviceKey>, Unread> {
    let devices: Vec<_> = list(params)?
        .into_iter()
        .map(device)
        .collect::<Result<_, _>>()?;
    some(devices)
}

/// Reads the same without looking at what the names are.
pub(crate) fn names(params: &Value) -> Result<Vec<(String, String)>, Unread> {
    let text = |object: &Map<String, Value>, name: &str| {
        let text = object.get(name).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or(Unread("productKey or deviceName is missing"))
    };
    list(params)?
        .into_iter()
        .map(|object| Ok((text(object, "productKey")?, text(object, "deviceName")?)))
        .collect()
}

fn some<T>(list: Vec<T>) -> Result<Vec<T>, Unread> {
    match list.is_empty() {
        true => Err(Unread("the list is empty")),
        false => Ok(list),
    }
}

/// All that is signed, as text: numbers as they are written, since clients sign them so.
fn fields(object: &Map<String, Value>) -> Result<Vec<(String, String)>, Unread> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(Unread("a field is neither a text nor a number"))
        }
    };
    object
        .iter()
        .map(|(name, value)| Ok((name.clone(), text(value)?)))
        .collect()
}

/// Reads one device with the signature over it. `method` counts where the object names none.
fn claim(
    object: &Map<String, Value>,
    method: Option<&str>,
    channel: Channel,
    peer: Peer,
) -> Result<Claim, Unread> {
    let device = device(object)?;
    let fields = fields(object)?;
    let field = |name: &str| {
        let mut found = fields.iter();
        found.find_map(|(own, value)| own.eq_ignore_ascii_case(name).then_some(value.as_str()))
    };
    let given = field("sign").filter(|given| !given.is_empty());
    let given = given.ok_or(Unread("sign is missing"))?.to_owned();
    let method = field("signmethod").or(method).map(str::to_owned);
    let evidence =
        Signed::new(channel, method.as_deref(), fields, given).map_err(|error| match error {
            SignedError::UnknownMethod => Unread("the sign method is not supported"),
            SignedError::Missing(_) => Unread("a signed field is missing"),
        })?;
    Ok(Claim {
        device,
        evidence: Box::new(evidence),
        says_secure: None,
        peer,
    })
}

/// Reads `thing/topo/add`.
pub(crate) fn bindings(params: &Value, peer: Peer) -> Result<Vec<Claim>, Unread> {
    let claims = list(params)?
        .into_iter()
        .map(|object| claim(object, None, Channel::TopoAdd, peer));
    some(claims.collect::<Result<_, _>>()?)
}

/// Reads `thing/proxy/provisioning/product_register`.
pub(crate) fn registrations(params: &Value, peer: Peer) -> Result<Vec<Claim>, Unread> {
    let claims = list(&params["proxieds"])?
        .into_iter()
        .map(|object| claim(object, None, Channel::ProxyRegister, peer));
    some(claims.collect::<Result<_, _>>()?)
}

/// Reads `combine/login`.
pub(crate) fn login(params: &Value, peer: Peer) -> Result<Vec<RiderClaim>, Unread> {
    let object = params
        .as_object()
        .ok_or(Unread("params is not an object"))?;
    Ok(vec![rider(object, None, peer)?])
}

/// Reads `combine/batch_login`.
pub(crate) fn logins(params: &Value, peer: Peer) -> Result<Vec<RiderClaim>, Unread> {
    let method = params["signMethod"].as_str();
    let riders = list(&params["deviceList"])?
        .into_iter()
        .map(|object| rider(object, method, peer));
    some(riders.collect::<Result<_, _>>()?)
}

fn rider(
    object: &Map<String, Value>,
    method: Option<&str>,
    peer: Peer,
) -> Result<RiderClaim, Unread> {
    let claim = claim(object, method, Channel::SubDeviceLogin, peer)?;
    let id = object.get("clientId").and_then(Value::as_str);
    let id = id.and_then(|id| ClientId::parse(id).ok());
    Ok(RiderClaim {
        claim,
        marks: id.as_ref().map_or(0, marks),
        keeps: keeps(object),
    })
}

/// Whether a login wants what came while the sub-device was away: clients say so with a text; one
/// that says nothing wants nothing of the past, as it has no way to know of it.
fn keeps(object: &Map<String, Value>) -> bool {
    match object.get("cleanSession") {
        Some(Value::Bool(clean)) => !clean,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::{
        Secret,
        alink::{SignMethod, sign},
    };
    use hub::edge;
    use serde_json::json;

    fn peer() -> Peer {
        Peer {
            address: [127, 0, 0, 1].into(),
            channel: edge::Channel::Tls,
        }
    }

    fn holds(claim: &Claim, secret: &str) -> bool {
        let secret = Secret::new(secret.as_bytes().to_vec());
        claim.evidence.check(&secret)
    }

    /// What a client makes of these fields, which it signs as text whatever it sends.
    fn signed(channel: Channel, secret: &str, fields: &[(&str, &str)]) -> String {
        let secret = Secret::new(secret.as_bytes().to_vec());
        sign(&secret, SignMethod::HmacSha256, channel, fields)
    }

    /// [AL-6.2] A captured login, spec/alink-wire.md §9, and the form of the Python client: both
    /// sign the whole client id.
    #[test]
    fn logins_of_real_clients_are_genuine() {
        let c = json!({
            "productKey": "a13Npv1vjZ4", "deviceName": "example_sub1",
            "clientId": "a13Npv1vjZ4.example_sub1|_ss=1,_v=sdk-c-3.2.0|", "timestamp": "1881328",
            "signMethod": "hmacSha256", "cleanSession": "true",
            "sign": "CD0FA90266B67A54D78CE139778328981BD6D2593D781422B7083AFEB1C138B6",
        });
        let riders = login(&c, peer()).unwrap();
        assert!(holds(&riders[0].claim, "eglNFNJiRuR0yncB9RP05sSTY4FrUIoe"));
        assert!(!holds(&riders[0].claim, "another"));
        assert_eq!(riders[0].marks, crate::device::MARK_IMPLICIT);
        assert!(!riders[0].keeps);
        let id = "pkS.dnSu|lan=Python,_v=2.2.1,_ss=1|";
        let fields = [
            ("clientId", id),
            ("deviceName", "dnSu"),
            ("productKey", "pkS"),
            ("timestamp", "1795352333831"),
        ];
        let sign = signed(Channel::SubDeviceLogin, "dsS", &fields);
        let python = json!({"signMethod": "hmacSha256", "deviceList": [{
            "productKey": "pkS", "deviceName": "dnSu", "clientId": id,
            "timestamp": "1795352333831", "cleanSession": "false", "sign": sign,
        }]});
        let riders = logins(&python, peer()).unwrap();
        assert!(holds(&riders[0].claim, "dsS"));
        assert!(riders[0].keeps);
    }

    /// [AL-6.1] Both spellings of the method, and a timestamp as a number.
    #[test]
    fn bindings_of_real_clients_are_genuine() {
        let fields = [
            ("clientId", "pkS.dnSu"),
            ("deviceName", "dnSu"),
            ("productKey", "pkS"),
            ("timestamp", "1795352333830"),
        ];
        let sign = signed(Channel::TopoAdd, "dsS", &fields);
        for (method, timestamp) in [
            ("signmethod", json!("1795352333830")),
            ("signMethod", json!(1795352333830_u64)),
        ] {
            let params = json!([{
                "productKey": "pkS", "deviceName": "dnSu", "clientId": "pkS.dnSu",
                "timestamp": timestamp, method: "hmacSha256", "sign": sign,
            }]);
            let claims = bindings(&params, peer()).unwrap();
            assert!(holds(&claims[0], "dsS"));
        }
    }

    /// [AL-2.4]
    #[test]
    fn a_registration_is_signed_with_the_products_secret() {
        let params = json!({"proxieds": [{
            "productKey": "pkS", "deviceName": "dnSu", "random": "lFfMlxIGECuewPe",
            "signMethod": "hmacSha256", "sign": "00",
        }]});
        let claims = registrations(&params, peer()).unwrap();
        assert_eq!(
            claims[0].evidence.wants(),
            [credential::Want::ProductSecret]
        );
    }

    /// [AL-5.1] Code 460.
    #[test]
    fn what_cannot_be_read_is_told() {
        for bad in [
            json!(null),
            json!([]),
            json!([7]),
            json!([{"productKey": "pk"}]),
            json!([{"productKey": "pk", "deviceName": 7}]),
        ] {
            assert!(devices(&bad).is_err(), "{bad}");
            assert!(bindings(&bad, peer()).is_err(), "{bad}");
            assert!(login(&bad, peer()).is_err(), "{bad}");
            assert!(logins(&json!({ "deviceList": bad }), peer()).is_err());
            assert!(registrations(&json!({ "proxieds": bad }), peer()).is_err());
        }
        let unsigned = json!([{"productKey": "pk", "deviceName": "dn12", "clientId": "c"}]);
        assert!(bindings(&unsigned, peer()).is_err());
        let odd = json!([{"productKey": "pk", "deviceName": "dn12", "sign": "00",
            "signmethod": "hmacSha512"}]);
        assert!(bindings(&odd, peer()).is_err());
    }
}
