//! The signature of Alink devices: sorted names and values run together, HMAC, hex.
//!
//! What goes into the signature differs by channel, and every document tells it anew. [`Channel`]
//! holds all of it in one table; `spec/alink-wire.md` names the clients each row was checked with.

pub mod client_id;
pub mod password;
pub mod psk;

use crate::{
    crypto::{
        digest::Hash,
        hmac::{hmac, hmac_hex, same_hex},
        secret::Secret,
    },
    evidence::{Evidence, Want},
};
use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

pub use client_id::{ClientId, ClientIdError};
pub use psk::{PskError, PskIdentity};

/// How a device signs. The first two are there because devices in the field use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignMethod {
    /// HMAC-MD5; what a missing method means on every channel that lets it be missing.
    HmacMd5,
    /// HMAC-SHA1.
    HmacSha1,
    /// HMAC-SHA256, also spelled `Sha256` by seed 001 section 6.3: the text there demands the
    /// device secret for each method, so it cannot be the bare digest.
    HmacSha256,
}

impl SignMethod {
    /// Reads the name in any case, as clients spell it `hmacsha1`, `hmacSha1` and `HmacSHA1`.
    ///
    /// # Errors
    /// [`SignedError::UnknownMethod`] for every other text.
    pub fn parse(text: &str) -> Result<SignMethod, SignedError> {
        match () {
            () if text.eq_ignore_ascii_case("hmacmd5") => Ok(SignMethod::HmacMd5),
            () if text.eq_ignore_ascii_case("hmacsha1") => Ok(SignMethod::HmacSha1),
            () if text.eq_ignore_ascii_case("hmacsha256") => Ok(SignMethod::HmacSha256),
            () if text.eq_ignore_ascii_case("sha256") => Ok(SignMethod::HmacSha256),
            () => Err(SignedError::UnknownMethod),
        }
    }

    /// The name in lower case, as MQTT clients send it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SignMethod::HmacMd5 => "hmacmd5",
            SignMethod::HmacSha1 => "hmacsha1",
            SignMethod::HmacSha256 => "hmacsha256",
        }
    }

    pub(crate) fn hash(self) -> Hash {
        match self {
            SignMethod::HmacMd5 => Hash::Md5,
            SignMethod::HmacSha1 => Hash::Sha1,
            SignMethod::HmacSha256 => Hash::Sha256,
        }
    }
}

/// Where a signature was sent, which decides what it covers and which secret made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// MQTT CONNECT with the device secret (seed 001 section 3.2).
    MqttDirect,
    /// MQTT CONNECT with `authType=register` or `regnwl` (`spec/alink-wire.md` section 2.6).
    MqttRegister,
    /// HTTPS `/auth/devicename` (seed 001 section 3.2).
    AuthDevicename,
    /// HTTPS `/auth/register/device` (seed 001 section 6.2).
    AuthRegister,
    /// `POST /auth` of the HTTP data channel (seed 001 section 3.8).
    Http,
    /// `/auth` over CoAP (seed 001 section 3.6).
    Coap,
    /// Login of a sub-device through its gateway, single or batch (seed 001 section 6.4).
    SubDeviceLogin,
    /// `thing/topo/add` (seed 001 section 6.3).
    TopoAdd,
    /// `thing/proxy/provisioning/product_register` (`spec/alink-wire.md` section 6).
    ProxyRegister,
}

/// What a signature covers.
enum Covers {
    /// These fields and no others, when they are there.
    Only(&'static [&'static str]),
    /// Everything that was sent but these fields. Their case differs by client (`signMethod`,
    /// `signmethod`), hence it does not matter.
    AllBut(&'static [&'static str]),
}

/// One row of the table: which fields, whose secret, and whether some clients sign the client id
/// with its `|...|` block and others without (`spec/alink-wire.md` section 1, item 3).
struct Row(Covers, &'static [Want], Block);

#[derive(PartialEq)]
enum Block {
    AsSent,
    AsSentOrBare,
}

const DEVICE: &[Want] = &[Want::DeviceSecret];
const PRODUCT: &[Want] = &[Want::ProductSecret];

impl Channel {
    #[rustfmt::skip]
    fn row(self) -> Row {
        use Block::{AsSent, AsSentOrBare};
        use Covers::{AllBut, Only};
        match self {
            Channel::MqttDirect =>     Row(Only(&["clientId", "deviceName", "productKey", "timestamp"]), DEVICE, AsSent),
            Channel::MqttRegister =>   Row(Only(&["deviceName", "productKey", "random"]), PRODUCT, AsSent),
            Channel::AuthDevicename => Row(AllBut(&["version", "sign", "resources", "signmethod"]), DEVICE, AsSent),
            Channel::AuthRegister =>   Row(AllBut(&["sign", "signmethod"]), PRODUCT, AsSent),
            Channel::Http =>           Row(AllBut(&["version", "sign", "signmethod"]), DEVICE, AsSent),
            Channel::Coap =>           Row(AllBut(&["version", "sign", "resources", "signmethod"]), DEVICE, AsSent),
            Channel::SubDeviceLogin => Row(AllBut(&["sign", "signmethod", "cleansession"]), DEVICE, AsSentOrBare),
            Channel::TopoAdd =>        Row(AllBut(&["sign", "signmethod"]), DEVICE, AsSentOrBare),
            Channel::ProxyRegister =>  Row(AllBut(&["sign", "signmethod"]), PRODUCT, AsSent),
        }
    }

    /// Whose secret signs on this channel.
    #[must_use]
    pub fn wants(self) -> &'static [Want] {
        self.row().1
    }

    /// The text that is signed: names and values of the covered fields in the order of the bytes
    /// of the names, without separators.
    fn content<K: AsRef<str>, V: AsRef<str>>(self, fields: &[(K, V)]) -> String {
        let Row(covers, ..) = self.row();
        let mut signed: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .filter(|(name, _)| match &covers {
                Covers::Only(names) => names.contains(name),
                Covers::AllBut(names) => !names.iter().any(|n| n.eq_ignore_ascii_case(name)),
            })
            .collect();
        signed.sort_by_key(|(name, _)| *name);
        let mut content = String::new();
        for (name, value) in signed {
            content.push_str(name);
            content.push_str(value);
        }
        content
    }
}

/// Outcome of a comparison; a word instead of a `bool`, so that no caller turns it around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The signature was made with this secret over these fields.
    Genuine,
    /// It was not, or it is no hex of the right length.
    Forged,
}

/// Signs `fields` as a device does: lower-case hex. Fields that the channel leaves out may be given.
#[must_use]
pub fn sign<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    method: SignMethod,
    channel: Channel,
    fields: &[(K, V)],
) -> String {
    hmac_hex(method.hash(), secret, channel.content(fields).as_bytes())
}

/// Checks a signature given as hex in any case, in constant time. Where clients differ in signing the
/// `|...|` block of the client id, both forms are accepted.
#[must_use]
pub fn check<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    method: SignMethod,
    channel: Channel,
    fields: &[(K, V)],
    given_hex: &str,
) -> Verdict {
    let equal =
        |content: String| same_hex(&hmac(method.hash(), secret, content.as_bytes()), given_hex);
    let bare = || {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| match (name.as_ref(), value.as_ref()) {
                ("clientId", id) => ("clientId", id.split_once('|').map_or(id, |(base, _)| base)),
                other => other,
            })
            .collect();
        channel.content(&fields)
    };
    let genuine =
        equal(channel.content(fields)) || (channel.row().2 == Block::AsSentOrBare && equal(bare()));
    if genuine {
        Verdict::Genuine
    } else {
        Verdict::Forged
    }
}

/// Why something cannot be evidence at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedError {
    /// The sign method is none of those in [`SignMethod`].
    UnknownMethod,
    /// A field that this channel must sign is missing.
    Missing(&'static str),
}

impl fmt::Display for SignedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignedError::UnknownMethod => f.write_str("the sign method is not supported"),
            SignedError::Missing(name) => write!(f, "the field {name} is missing"),
        }
    }
}

impl core::error::Error for SignedError {}

/// A signature as it arrived, with what it should cover. No `Debug`: without a time window, as on
/// MQTT, the signature is as good as a password.
pub struct Signed {
    channel: Channel,
    method: SignMethod,
    fields: Vec<(String, String)>,
    given: String,
}

impl Signed {
    /// The evidence of a request that carries its fields by name. `method` is the text of the field
    /// `signmethod`, `None` when it was not sent.
    ///
    /// # Errors
    /// [`SignedError::UnknownMethod`].
    pub fn new(
        channel: Channel,
        method: Option<&str>,
        fields: Vec<(String, String)>,
        given_hex: String,
    ) -> Result<Signed, SignedError> {
        let method = method.map_or(Ok(SignMethod::HmacMd5), SignMethod::parse)?;
        Ok(Signed {
            channel,
            method,
            fields,
            given: given_hex,
        })
    }

    /// The evidence of an MQTT CONNECT with the device secret.
    ///
    /// # Errors
    /// [`SignedError::UnknownMethod`].
    pub fn connect(
        client_id: &ClientId,
        device_name: &str,
        product_key: &str,
        password: &str,
    ) -> Result<Signed, SignedError> {
        let mut fields = pairs(device_name, product_key);
        fields.push(("clientId".to_string(), client_id.base().to_owned()));
        if let Some(timestamp) = client_id.get("timestamp") {
            fields.push(("timestamp".to_string(), timestamp.to_owned()));
        }
        let method = client_id.get("signmethod");
        Signed::new(Channel::MqttDirect, method, fields, password.to_owned())
    }

    /// The evidence of an MQTT CONNECT with `authType=register` or `regnwl`.
    ///
    /// # Errors
    /// [`SignedError::UnknownMethod`], [`SignedError::Missing`] without `random`.
    pub fn register(
        client_id: &ClientId,
        device_name: &str,
        product_key: &str,
        password: &str,
    ) -> Result<Signed, SignedError> {
        let mut fields = pairs(device_name, product_key);
        let random = client_id
            .get("random")
            .ok_or(SignedError::Missing("random"))?;
        fields.push(("random".to_string(), random.to_owned()));
        let method = client_id.get("signmethod");
        Signed::new(Channel::MqttRegister, method, fields, password.to_owned())
    }
}

fn pairs(device_name: &str, product_key: &str) -> Vec<(String, String)> {
    Vec::from([
        ("deviceName".to_string(), device_name.to_owned()),
        ("productKey".to_string(), product_key.to_owned()),
    ])
}

impl Evidence for Signed {
    fn wants(&self) -> &[Want] {
        self.channel.wants()
    }

    fn check(&self, secret: &Secret) -> bool {
        check(secret, self.method, self.channel, &self.fields, &self.given) == Verdict::Genuine
    }

    fn scheme(&self) -> &'static str {
        self.method.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PK: &str = "a1MZxOdcBnO";
    const DN: &str = "example1";
    const DS: &str = "jiPvZkVO9lhNj2Q9f2KdP4Yln7ACJI3X";
    const PS: &str = "h4I4dneEFp7EImTv";

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    /// Captured CONNECTs of five client generations, `spec/alink-wire.md` section 9, 1 to 5.
    const CONNECTS: [(&str, &str); 5] = [
        (
            "a1MZxOdcBnO.example1|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2,signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0|",
            "E157285389659C45DDB66E19B5C2385377E3CE627C712129DEB32263D3ACB227",
        ),
        (
            "a1MZxOdcBnO&example1|securemode=2,signmethod=hmacsha1,ext=1,_ss=1,lan=Python,_v=1.2.13,timestamp=1795352331|",
            "f305fdef3a924ea2b2ff3f5463d69d7596981cea",
        ),
        (
            "a1MZxOdcBnO&example1|securemode=2,signmethod=hmacsha1,timestamp=1795352514954,lan=NodeJS,_v=1.2.8|",
            "f4a16c0875b0ef3d131caca173e69beafc0e4110",
        ),
        (
            "a1MZxOdcBnO&example1_aliyun-iot-device-sdk-js|securemode=3,\n        signmethod=hmacsha1,\n        timestamp=1795352524601|",
            "bab40a8a1c55d2db723447f2f346b6e37d4efdd2",
        ),
        (
            "a1MZxOdcBnO.example1|securemode=2,_v=sdk-c-2.3.0,timestamp=2524608000000,signmethod=hmacsha1,lan=C,gw=0,ext=0,pid=example.demo.partner-id,mid=example.demo.module-id|",
            "017b4d39516095cb654962912d374c76fdbcd32f",
        ),
    ];

    #[test]
    fn al_3_2_connects_of_all_clients_are_genuine() {
        for (client_id, password) in CONNECTS {
            let id = ClientId::parse(client_id).unwrap();
            for password in [password.to_lowercase(), password.to_uppercase()] {
                let signed = Signed::connect(&id, DN, PK, &password).unwrap();
                assert_eq!(signed.wants(), [Want::DeviceSecret]);
                assert!(signed.check(&secret(DS)), "{client_id}");
                assert_eq!(Some(signed.scheme()), id.get("signmethod"));
                assert!(!signed.check(&secret(PS)));
                assert!(!signed.check(&secret("")));
            }
        }
    }

    /// Each signed field altered once is refused; each unsigned one may change. [AL-3.2]
    #[test]
    fn al_3_2_a_connect_covers_client_id_names_and_timestamp_and_nothing_else() {
        let (client_id, password) = CONNECTS[0];
        let genuine = |client_id: &str, dn: &str, pk: &str, password: &str| {
            let id = ClientId::parse(client_id).unwrap();
            Signed::connect(&id, dn, pk, password)
                .unwrap()
                .check(&secret(DS))
        };
        let altered = |from: &str, to: &str| {
            assert!(client_id.contains(from));
            genuine(&client_id.replace(from, to), DN, PK, password)
        };
        assert!(genuine(client_id, DN, PK, password));
        assert!(!genuine(client_id, "example2", PK, password));
        assert!(!genuine(client_id, DN, "a1MZxOdcBnP", password));
        assert!(!altered("a1MZxOdcBnO.", "a1MZxOdcBnP."));
        assert!(!altered(
            "timestamp=2524608000000",
            "timestamp=2524608000001"
        ));
        assert!(!altered("timestamp=2524608000000,", ""));
        assert!(!altered("hmacsha256", "hmacsha1"));
        assert!(altered("securemode=2", "securemode=3"));
        assert!(altered(",_ss=1", ",unknown"));
        for wrong in [
            "",
            "E1",
            &password[2..],
            &password.replace('E', "G"),
            "no hex at all",
        ] {
            assert!(!genuine(client_id, DN, PK, wrong));
        }
    }

    #[test]
    fn al_3_2_example_of_the_document() {
        let id = ClientId::parse("12345|securemode=2,signmethod=hmacsha1,timestamp=789|").unwrap();
        let password = "FAFD82A3D602B37FB0FA8B7892F24A477F851A14";
        let signed = Signed::connect(&id, "device", "pk", password).unwrap();
        assert!(signed.check(&secret("secret")));
    }

    /// Seed 001 section 3.2: hmacmd5 is what a missing method means; section 6.3 spells others.
    #[test]
    fn methods_are_read_in_any_case_and_default_to_hmacmd5() {
        for (text, method) in [
            ("hmacmd5", SignMethod::HmacMd5),
            ("HmacMD5", SignMethod::HmacMd5),
            ("hmacSha1", SignMethod::HmacSha1),
            ("hmacSha256", SignMethod::HmacSha256),
            ("Sha256", SignMethod::HmacSha256),
        ] {
            assert_eq!(SignMethod::parse(text), Ok(method));
        }
        for wrong in ["", "md5", "hmacsha512", "hmacsha1 ", "none"] {
            assert_eq!(SignMethod::parse(wrong), Err(SignedError::UnknownMethod));
        }
        let id = ClientId::parse("12345|securemode=3|").unwrap();
        assert_eq!(
            Signed::connect(&id, "d", "p", "").unwrap().scheme(),
            "hmacmd5"
        );
        let id = ClientId::parse("12345|signmethod=none|").unwrap();
        assert_eq!(
            Signed::connect(&id, "d", "p", "").err(),
            Some(SignedError::UnknownMethod)
        );
    }

    /// Captured CONNECTs, `spec/alink-wire.md` section 9, 6 and 7.
    #[test]
    fn al_2_3_registration_over_mqtt_signs_with_the_product_secret() {
        for (client_id, password) in [
            (
                "example1.a1MZxOdcBnO|random=jHb8W985QcdG3i8,authType=register,securemode=2,signmethod=hmacsha256|",
                "2255192de892435c24c011c70d17012678763b75fb92745299192f8aef465918",
            ),
            (
                "example1.a1MZxOdcBnO|random=VXXef2gZLYIZiMg,authType=regnwl,securemode=2,signmethod=hmacsha256|",
                "0d40ff7c6a67aeba60d1008db911bb36016cd1bd1eaba2020f13cd356234e09a",
            ),
        ] {
            let id = ClientId::parse(client_id).unwrap();
            let genuine = |id: &ClientId, dn, pk, secret: &Secret| {
                Signed::register(id, dn, pk, password)
                    .unwrap()
                    .check(secret)
            };
            assert_eq!(
                Signed::register(&id, DN, PK, password).unwrap().wants(),
                [Want::ProductSecret]
            );
            assert!(genuine(&id, DN, PK, &secret(PS)));
            assert!(!genuine(&id, DN, PK, &secret(DS)));
            assert!(!genuine(&id, "example2", PK, &secret(PS)));
            assert!(!genuine(&id, DN, "a1", &secret(PS)));
            let other = ClientId::parse(&client_id.replace("random=", "random=x")).unwrap();
            assert!(!genuine(&other, DN, PK, &secret(PS)));
        }
        let id = ClientId::parse("a|authType=register|").unwrap();
        assert_eq!(
            Signed::register(&id, DN, PK, "").err(),
            Some(SignedError::Missing("random"))
        );
    }

    /// One captured request of a channel that carries its fields by name.
    struct Case {
        channel: Channel,
        method: &'static str,
        secret: &'static str,
        fields: &'static [(&'static str, &'static str)],
        unsigned: &'static [(&'static str, &'static str)],
        sign: &'static str,
    }

    const CASES: [Case; 9] = [
        Case {
            channel: Channel::AuthRegister,
            method: "hmacsha1",
            secret: PS,
            fields: &[
                ("productKey", PK),
                ("deviceName", DN),
                ("random", "q2bymq6yxz"),
            ],
            unsigned: &[("sign", "x"), ("signMethod", "hmacsha1")],
            sign: "bc701a17d5e8c103f3d0185c454ddc3c16bf33b3",
        },
        Case {
            channel: Channel::AuthRegister,
            method: "hmacsha256",
            secret: PS,
            fields: &[
                ("deviceName", DN),
                ("productKey", PK),
                ("random", "LWZ5jWCtdyyDdvD"),
            ],
            unsigned: &[],
            sign: "6fb0f036f47f5ad3c7667b2344b67df4914343d6b859491124c97ccec9d20bd2",
        },
        Case {
            channel: Channel::AuthRegister,
            method: "hmacsha256",
            secret: "L68wCVXYUaNg1Ey9",
            fields: &[
                ("deviceName", DN),
                ("productKey", "a1ZETBPbycq"),
                ("random", "8Ygb7ULYh53B6OA"),
            ],
            unsigned: &[("signMethod", "hmacsha256")],
            sign: "0315E2909AF44A30A0F6E02A7C1759225AE10C9D1D473331B4EBDEF51E0D6EE4",
        },
        Case {
            channel: Channel::Http,
            method: "hmacsha1",
            secret: "5gme06iFl3W1g8non2ksVs5e8Qlus4Hw",
            fields: &[
                ("clientId", "a1KqSriAwh0.basic_test_01"),
                ("productKey", "a1KqSriAwh0"),
                ("deviceName", "basic_test_01"),
            ],
            unsigned: &[
                ("version", "default"),
                ("signmethod", "hmacsha1"),
                ("sign", "x"),
            ],
            sign: "76913d145fc41cc36d7719f43d87fc817fd1331a",
        },
        Case {
            channel: Channel::Coap,
            method: "hmacmd5",
            secret: "RDXf67itLqZCwdMCRrw0N5FHbv5D7jrE",
            fields: &[
                ("productKey", "a1RIsMLz2BJ"),
                ("deviceName", DN),
                ("clientId", "a1RIsMLz2BJ.example1"),
                ("seq", "9355"),
            ],
            unsigned: &[("sign", "x")],
            sign: "7c281030a1155308748b272fa542275a",
        },
        Case {
            channel: Channel::SubDeviceLogin,
            method: "hmacSha256",
            secret: "dsS",
            fields: &[
                ("productKey", "pkS"),
                ("deviceName", "dnS"),
                ("clientId", "pkS.dnS|lan=Python,_v=2.2.1,_ss=1|"),
                ("timestamp", "1795352333831"),
            ],
            unsigned: &[("cleanSession", "false"), ("sign", "x")],
            sign: "391550b203efe92ef5b32a262665e0150ffc86bc6bfeca903fdfc4c69e8f18ed",
        },
        Case {
            channel: Channel::SubDeviceLogin,
            method: "hmacsha256",
            secret: "eglNFNJiRuR0yncB9RP05sSTY4FrUIoe",
            fields: &[
                ("productKey", "a13Npv1vjZ4"),
                ("deviceName", "example_sub1"),
                ("clientId", "a13Npv1vjZ4.example_sub1|_ss=1,_v=sdk-c-3.2.0|"),
                ("timestamp", "1881328"),
            ],
            unsigned: &[("cleanSession", "true"), ("signMethod", "hmacSha256")],
            sign: "CD0FA90266B67A54D78CE139778328981BD6D2593D781422B7083AFEB1C138B6",
        },
        Case {
            channel: Channel::TopoAdd,
            method: "Sha256",
            secret: "dsS",
            fields: &[
                ("productKey", "pkS"),
                ("deviceName", "dnS"),
                ("clientId", "pkS.dnS"),
                ("timestamp", "1795352333830"),
            ],
            unsigned: &[("sign", "x"), ("signmethod", "hmacSha256")],
            sign: "8a34c961c03defb9c76594e0e303c27fec650136f196d7c36f080954ad5e4434",
        },
        // Recomputed with Python's hmac: `spec/alink-wire.md` has a 5 for the 7 in `2547acc`.
        Case {
            channel: Channel::ProxyRegister,
            method: "hmacSha256",
            secret: "psS",
            fields: &[
                ("productKey", "pkS"),
                ("deviceName", "dnS"),
                ("random", "lFfMlxIGECuewPe"),
            ],
            unsigned: &[("signMethod", "hmacSha256"), ("sign", "x")],
            sign: "b3d79356dbf7407ffd66b514e5912c1602547acc24be2e674757fafcacbe60f7",
        },
    ];

    /// HTTPS and proxied registration, HTTP and CoAP channels, sub-device login and topology.
    #[test]
    fn al_2_5_every_channel_signs_its_own_set_of_fields() {
        for case in &CASES {
            let method = SignMethod::parse(case.method).unwrap();
            let key = secret(case.secret);
            let judge =
                |fields: &[(&str, &str)]| check(&key, method, case.channel, fields, case.sign);
            let all = [case.unsigned, case.fields].concat();
            assert_eq!(judge(&all), Verdict::Genuine, "{:?}", case.channel);
            assert_eq!(judge(case.fields), Verdict::Genuine);
            assert!(sign(&key, method, case.channel, &all).eq_ignore_ascii_case(case.sign));
            for i in 0..case.fields.len() {
                let mut altered = case.fields.to_vec();
                let value = alloc::format!("{}0", altered[i].1);
                altered[i].1 = &value;
                assert_eq!(judge(&altered), Verdict::Forged, "{:?} {i}", case.channel);
                altered.remove(i);
                assert_eq!(judge(&altered), Verdict::Forged, "{:?} {i}", case.channel);
            }
        }
    }

    /// Seed 001 section 3.2: all that is sent is signed, so the `ext` of one C build is as well.
    #[test]
    fn al_3_2_auth_devicename_signs_all_that_is_sent() {
        let fields = [
            ("productKey", "123"),
            ("deviceName", "test"),
            ("signmethod", "hmacmd5"),
            ("sign", "123"),
            ("version", "default"),
            ("clientId", "123"),
            ("timestamp", "123"),
            ("resources", "mqtt"),
        ];
        assert_eq!(
            Channel::AuthDevicename.content(&fields),
            "clientId123deviceNametestproductKey123timestamp123"
        );
        let more = [&fields[..], &[("ext", "1")]].concat();
        assert_eq!(
            Channel::AuthDevicename.content(&more),
            "clientId123deviceNametestext1productKey123timestamp123"
        );
    }

    /// Some gateways sign the client id of a sub-device without its block. [AL-3.2]
    #[test]
    fn a_sub_device_may_sign_its_client_id_with_or_without_the_block() {
        let key = secret("dsS");
        let bare = [
            ("clientId", "pkS.dnS"),
            ("deviceName", "dnS"),
            ("productKey", "pkS"),
        ];
        let sent = [
            ("clientId", "pkS.dnS|_ss=1|"),
            ("deviceName", "dnS"),
            ("productKey", "pkS"),
        ];
        let method = SignMethod::HmacSha1;
        for channel in [Channel::SubDeviceLogin, Channel::TopoAdd] {
            for signed in [bare, sent] {
                let text = sign(&key, method, channel, &signed);
                assert_eq!(check(&key, method, channel, &sent, &text), Verdict::Genuine);
            }
        }
        let text = sign(&key, method, Channel::Http, &bare);
        assert_eq!(
            check(&key, method, Channel::Http, &sent, &text),
            Verdict::Forged
        );
    }
}
