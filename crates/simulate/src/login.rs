//! How devices prove themselves: at login, as sub-devices, and when they have nothing but their
//! product's secret (seed 001 §3.2, §6.2 to §6.4; spec/alink-wire.md §2).

use crate::{Device, chance::Chance};
use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use serde_json::{Value, json};
use std::sync::Arc;

const METHOD: SignMethod = SignMethod::HmacSha256;
const VERSION: &str = concat!("muster-", env!("CARGO_PKG_VERSION"));

/// How a device proves itself.
pub enum Key {
    /// With a secret of its own.
    Secret(Secret),
    /// With its product's, once, for one of its own.
    Register(Arc<Secret>),
}

/// What CONNECT carries.
pub(crate) struct Login {
    pub(crate) client_id: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Device {
    fn base(&self) -> String {
        format!("{}.{}", self.product, self.name)
    }

    fn fields<'a>(&'a self, more: (&'a str, &'a str)) -> [(&'a str, &'a str); 3] {
        [
            ("deviceName", self.name.as_str()),
            ("productKey", self.product.as_str()),
            more,
        ]
    }

    /// The login with the device's own secret; none while it has none.
    pub(crate) fn login(&self, secure: bool, gateway: bool) -> Option<Login> {
        let Key::Secret(secret) = &self.key else {
            return None;
        };
        let base = self.base();
        let mode = if secure { 2 } else { 3 };
        let gateway = u8::from(gateway);
        Some(Login {
            client_id: format!(
                "{base}|securemode={mode},signmethod={},_ss=1,ext=1,gw={gateway},_v={VERSION},lan=Rust|",
                METHOD.name()
            ),
            user: format!("{}&{}", self.name, self.product),
            password: sign(
                secret,
                METHOD,
                Channel::MqttDirect,
                &self.fields(("clientId", &base)),
            ),
        })
    }

    /// What asks for a secret; none for who has one. The server takes it over TLS alone.
    pub(crate) fn registration(&self, chance: &mut Chance) -> Option<Login> {
        let Key::Register(secret) = &self.key else {
            return None;
        };
        let random = format!("{:016x}", chance.next());
        Some(Login {
            client_id: format!(
                "{}|random={random},authType=register,securemode=2,signmethod={}|",
                self.base(),
                METHOD.name()
            ),
            user: format!("{}&{}", self.name, self.product),
            password: sign(
                secret,
                METHOD,
                Channel::MqttRegister,
                &self.fields(("random", &random)),
            ),
        })
    }

    /// How a gateway proves a sub-device: that it may speak for it (`TopoAdd`), or that it is there
    /// (`SubDeviceLogin`). None for who has no secret.
    pub(crate) fn proof(&self, channel: Channel, now: u64) -> Option<Value> {
        let Key::Secret(secret) = &self.key else {
            return None;
        };
        let client_id = format!("{}|_ss=1|", self.base());
        let timestamp = now.to_string();
        let fields = [
            ("clientId", client_id.as_str()),
            ("deviceName", &self.name),
            ("productKey", &self.product),
            ("timestamp", &timestamp),
        ];
        let mut proof = json!({
            "productKey": self.product, "deviceName": self.name, "clientId": client_id,
            "timestamp": timestamp, "sign": sign(secret, METHOD, channel, &fields),
        });
        match channel {
            Channel::TopoAdd => proof["signmethod"] = json!(METHOD.name()),
            _ => proof["cleanSession"] = json!("true"),
        }
        Some(proof)
    }
}

/// The sign method's name where a list of sub-devices names it once.
pub(crate) fn method() -> &'static str {
    METHOD.name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use credential::alink::{ClientId, Signed};
    use credential::evidence::Evidence;

    fn device(key: Key) -> Device {
        Device {
            product: "a1MZxOdcBnO".into(),
            name: "example1".into(),
            key,
            model: Arc::new(Model::default()),
        }
    }

    fn secret() -> Secret {
        Secret::new(b"jiPvZkVO9lhNj2Q9f2KdP4Yln7ACJI3X".to_vec())
    }

    /// [AL-3.2] What a device shows is what a server checks.
    #[test]
    fn a_login_is_what_the_server_wants() {
        let device = device(Key::Secret(secret()));
        let login = device.login(true, false).unwrap();
        let id = ClientId::parse(&login.client_id).unwrap();
        assert_eq!(id.get("securemode"), Some("2"));
        assert_eq!(id.get("_ss"), Some("1"));
        let signed = Signed::connect(&id, "example1", "a1MZxOdcBnO", &login.password);
        assert!(signed.unwrap().check(&secret()));
        assert_eq!(login.user, "example1&a1MZxOdcBnO");
        assert!(device.registration(&mut Chance::new(0, 0)).is_none());
    }

    #[test]
    fn a_device_without_a_secret_asks_for_one() {
        let device = device(Key::Register(Arc::new(secret())));
        assert!(device.login(true, false).is_none());
        assert!(device.proof(Channel::TopoAdd, 1).is_none());
        let login = device.registration(&mut Chance::new(0, 0)).unwrap();
        let id = ClientId::parse(&login.client_id).unwrap();
        let signed = Signed::register(&id, "example1", "a1MZxOdcBnO", &login.password);
        assert!(signed.unwrap().check(&secret()));
    }

    #[test]
    fn a_sub_device_is_proven_both_ways() {
        let device = device(Key::Secret(secret()));
        for channel in [Channel::TopoAdd, Channel::SubDeviceLogin] {
            let proof = device.proof(channel, 1_000).unwrap();
            let fields = proof.as_object().unwrap().iter();
            let fields = fields.map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()));
            let given = proof["sign"].as_str().unwrap().to_owned();
            let signed = Signed::new(channel, Some(method()), fields.collect(), given);
            assert!(signed.unwrap().check(&secret()));
        }
    }
}
