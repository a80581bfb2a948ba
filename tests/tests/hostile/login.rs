//! Every signed field of every form of a login, altered once: refused, counted, one audit line.
//! (The signed CONNECT is in `al_connect`, the application API in `api_door`.)

use crate::House;
use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use serde_json::Value;
use tests::{
    http::{form, pairs},
    mqtt::{Login, Mqtt},
};
use wire::mqtt::{Packet, ReasonCode, Version};

type Form = Vec<(String, String)>;

fn signature(secret: &str, channel: Channel, fields: &[(&str, &str)]) -> String {
    let method = SignMethod::parse("hmacsha256").expect("a method");
    sign(
        &Secret::new(secret.as_bytes().to_vec()),
        method,
        channel,
        fields,
    )
}

/// The same text with another last character of its own kind.
fn other(text: &str) -> String {
    let last = if text.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &text[..text.len() - 1])
}

impl House {
    /// Posts a form over HTTPS and gives back the code of the answer.
    fn auth(&self, path: &str, form_fields: &Form) -> i64 {
        let answer: Value = serde_json::from_str(&self.auth_text(path, &form(form_fields)))
            .unwrap_or_else(|e| panic!("{form_fields:?}: {e}"));
        let code = answer["code"].as_i64();
        code.unwrap_or_else(|| panic!("{form_fields:?}: {answer}"))
    }

    fn auth_text(&self, path: &str, body: &str) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut line = crate::entrance::Entrance::Https.open(self);
        let answer = line.exchange(&[head.as_bytes(), body.as_bytes()].concat());
        let text = String::from_utf8_lossy(&answer).into_owned();
        match text.split_once("\r\n\r\n") {
            Some((_, body)) => body.to_owned(),
            None => panic!("no answer: {text}"),
        }
    }

    /// Does what must be refused, counted once and noted once.
    fn noted_once(&self, what: &str, attempt: impl FnOnce() -> bool) {
        let (counted, audited) = self.refused();
        assert!(!attempt(), "{what} is refused");
        assert_eq!(
            self.refused(),
            (counted + 1, audited + 1),
            "{what}: counted and noted once"
        );
    }

    /// Every field altered by `spoil`, and every field left out.
    fn spoil_form(&self, path: &str, good: &Form, spoil: &[(&str, &str)]) {
        for (name, to) in spoil {
            let mut altered = good.clone();
            match altered.iter_mut().find(|(known, _)| known == name) {
                Some((_, value)) => *value = (*to).to_owned(),
                None => altered.push(((*name).into(), (*to).into())),
            }
            self.noted_once(&format!("{path}: {name}={to}"), || {
                self.auth(path, &altered) == 200
            });
        }
        for (name, _) in spoil {
            let mut less = good.clone();
            less.retain(|(known, _)| known != name);
            if less.len() < good.len() {
                self.noted_once(&format!("{path}: no {name}"), || {
                    self.auth(path, &less) == 200
                });
            }
        }
    }

    /// The verdict on a login over TLS, and what the server sent after it.
    fn login(&self, login: &Login) -> (ReasonCode, Option<Packet>) {
        let ca = self.server.ca();
        let mut line = Mqtt::open(self.server.address("mqtts"), Some(&ca), Version::V311);
        let reason = line.connect(login, true, 60).reason;
        let gift = (reason == ReasonCode::Success)
            .then(|| line.receive())
            .flatten();
        (reason, gift)
    }

    fn spoil_login(&self, altered: &[(&str, Login)]) {
        let ca = self.server.ca();
        for (what, login) in altered {
            self.noted_once(what, || {
                let mut line = Mqtt::open(self.server.address("mqtts"), Some(&ca), Version::V311);
                let verdict = line.connect(login, true, 60).reason;
                if verdict != ReasonCode::Success {
                    line.closed();
                }
                verdict == ReasonCode::Success
            });
        }
    }
}

/// [AL-3.3] [LK-2] `/auth/devicename`.
#[test]
fn pre_authentication_with_an_altered_field_is_refused_and_noted() {
    let mut house = House::open();
    let product = house.product.clone();
    let secret = house.server.device(&product, "kitchen");
    house.server.device(&product, "cellar");
    let (elsewhere, _) = house.server.product("elsewhere");
    house.server.device(&elsewhere, "kitchen");
    let client = format!("{product}.kitchen");
    let signed = [
        ("clientId", client.as_str()),
        ("deviceName", "kitchen"),
        ("productKey", product.as_str()),
        ("timestamp", "2524608000000"),
    ];
    let sign = signature(&secret, Channel::AuthDevicename, &signed);
    let mut good = pairs(&signed);
    good.extend(pairs(&[
        ("signmethod", "hmacsha256"),
        ("sign", &sign),
        ("version", "default"),
        ("resources", "mqtt"),
    ]));
    let path = "/auth/devicename";
    assert_eq!(house.auth(path, &good), 200);
    house.spoil_form(
        path,
        &good,
        &[
            ("productKey", &elsewhere),
            ("productKey", "a1nobody000"),
            ("productKey", "not a key"),
            ("deviceName", "cellar"),
            ("deviceName", "stranger"),
            ("deviceName", "x"),
            ("clientId", "another"),
            ("clientId", &"x".repeat(65)),
            ("timestamp", "2524608000001"),
            ("signmethod", "hmacsha1"),
            ("signmethod", "rot13"),
            ("sign", &other(&sign)),
            ("sign", "not hex"),
            ("one more", "1"),
        ],
    );
    assert_eq!(
        house.auth(path, &good),
        200,
        "the right one is still answered"
    );
    house.unharmed("spoilt pre-authentications");
}

/// [AL-2.5] [LK-1] `/auth/register/device`.
#[test]
fn registration_with_an_altered_field_is_refused_and_noted() {
    let mut house = House::open();
    let product = house.product.clone();
    house
        .server
        .cli(&["product", "registration", &product, "on", "--yes"]);
    house.server.device(&product, "kitchen");
    house.server.device(&product, "cellar");
    let (elsewhere, _) = house.server.product("elsewhere");
    let signed = [
        ("deviceName", "kitchen"),
        ("productKey", product.as_str()),
        ("random", "8Ygb7ULYh53B6OA"),
    ];
    let sign = signature(&house.product_secret, Channel::AuthRegister, &signed);
    let mut good = pairs(&signed);
    good.extend(pairs(&[("signMethod", "hmacsha256"), ("sign", &sign)]));
    let path = "/auth/register/device";
    house.spoil_form(
        path,
        &good,
        &[
            ("productKey", &elsewhere),
            ("productKey", "not a key"),
            ("deviceName", "cellar"),
            ("deviceName", "x"),
            ("random", "another"),
            ("signMethod", "hmacmd5"),
            ("signMethod", "rot13"),
            ("sign", &other(&sign)),
            ("sign", "not hex"),
            ("one more", "1"),
        ],
    );
    assert_eq!(house.auth(path, &good), 200, "the right one is answered");
    house.unharmed("spoilt registrations");
}

/// [AL-2.3] Registration over MQTT with and without a registered name, and the token of the latter.
#[test]
fn registration_over_mqtt_with_an_altered_field_is_refused_and_noted() {
    let mut house = House::open();
    let product = house.product.clone();
    let turn = |to: &str| {
        house
            .server
            .cli(&["product", "registration", &product, to, "--yes"])
    };
    let (elsewhere, _) = house.server.product("elsewhere");
    let login = |auth: &str, device: &str| {
        let fields = [
            ("deviceName", device),
            ("productKey", product.as_str()),
            ("random", "jHb8W985QcdG3i8"),
        ];
        Login {
            client_id: format!(
                "{device}.{product}|random=jHb8W985QcdG3i8,authType={auth},securemode=2,signmethod=hmacsha256|"
            ),
            user: format!("{device}&{product}"),
            password: signature(&house.product_secret, Channel::MqttRegister, &fields),
        }
    };
    let altered = |good: &Login, auth: &str, into: &str| {
        let client = |from: &str, to: &str| Login {
            client_id: good.client_id.replace(from, to),
            ..good.clone()
        };
        let user = |user: String| Login {
            user,
            ..good.clone()
        };
        let password = |password: String| Login {
            password,
            ..good.clone()
        };
        vec![
            ("deviceName", user(format!("cellar&{product}"))),
            ("deviceName, malformed", user(format!("x&{product}"))),
            ("productKey", user(good.user.replace(&product, &elsewhere))),
            ("random", client("random=j", "random=J")),
            ("no random", client("random=", "rondam=")),
            ("signmethod", client("hmacsha256", "hmacsha1")),
            ("signmethod, unknown", client("hmacsha256", "rot13")),
            ("authType", client(auth, into)),
            ("authType, unknown", client(auth, "whoever")),
            ("password", password(other(&good.password))),
            ("password, malformed", password("not hex".into())),
            ("no password", password(String::new())),
        ]
    };
    house.server.device(&product, "kitchen");
    house.server.device(&product, "cellar");
    turn("on");
    let good = login("register", "kitchen");
    house.spoil_login(&altered(&good, "register", "regnwl"));
    let (reason, gift) = house.login(&good);
    assert!(
        matches!(gift, Some(Packet::Publish(_))),
        "the right one is answered: {reason:?}"
    );

    turn("open");
    let good = login("regnwl", "stranger");
    house.spoil_login(&altered(&good, "regnwl", "register"));
    let (_, gift) = house.login(&good);
    let Some(Packet::Publish(gift)) = gift else {
        panic!("the right one is answered");
    };
    let gift: Value = serde_json::from_slice(&gift.payload).expect("JSON");
    let field = |name: &str| {
        gift[name]
            .as_str()
            .unwrap_or_else(|| panic!("{gift}"))
            .to_owned()
    };
    let token = Login {
        client_id: format!(
            "{}|authType=connwl,securemode=-2,_ss=1,lan=C|",
            field("clientId")
        ),
        user: format!("stranger&{product}"),
        password: field("deviceToken"),
    };
    house.spoil_login(&[
        (
            "connwl: deviceName",
            Login {
                user: format!("cellar&{product}"),
                ..token.clone()
            },
        ),
        (
            "connwl: productKey",
            Login {
                user: format!("stranger&{elsewhere}"),
                ..token.clone()
            },
        ),
        (
            "connwl: authType",
            Login {
                client_id: token.client_id.replace("connwl", "register"),
                ..token.clone()
            },
        ),
        (
            "connwl: the token",
            Login {
                password: other(&token.password),
                ..token.clone()
            },
        ),
        (
            "connwl: half a token",
            Login {
                password: token.password[..16].into(),
                ..token.clone()
            },
        ),
        (
            "connwl: no token",
            Login {
                password: String::new(),
                ..token.clone()
            },
        ),
    ]);
    let ca = house.server.ca();
    let mut line = Mqtt::open(house.server.address("mqtts"), Some(&ca), Version::V311);
    assert_eq!(line.connect(&token, true, 60).reason, ReasonCode::Success);
    line.ping();
    house.unharmed("spoilt registrations over MQTT");
}

/// [AL-3.3] iotId and iotToken: each altered, in each of the token's parts, and with one device's
/// token shown for another.
#[test]
fn a_login_with_an_altered_token_is_refused_and_noted() {
    let mut house = House::open();
    let product = house.product.clone();
    let ask = |device: &str| {
        let secret = house.server.device(&product, device);
        let fields = [
            ("clientId", "client"),
            ("deviceName", device),
            ("productKey", product.as_str()),
        ];
        let sign = signature(&secret, Channel::AuthDevicename, &fields);
        let mut good = pairs(&fields);
        good.extend(pairs(&[("signmethod", "hmacsha256"), ("sign", &sign)]));
        let text = house.auth_text("/auth/devicename", &form(&good));
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let field = |name: &str| {
            let field = answer["data"][name].as_str();
            field.unwrap_or_else(|| panic!("{answer}")).to_owned()
        };
        Login {
            client_id: "client|securemode=-1,_v=sdk-c-2.3.0|".into(),
            user: field("iotId"),
            password: field("iotToken"),
        }
    };
    let (good, cellar) = (ask("kitchen"), ask("cellar"));
    let mut altered = vec![
        (
            "iotId".to_owned(),
            Login {
                user: other(&good.user),
                ..good.clone()
            },
        ),
        (
            "iotId of another".into(),
            Login {
                user: cellar.user.clone(),
                ..good.clone()
            },
        ),
        (
            "token of another".into(),
            Login {
                password: cellar.password,
                ..good.clone()
            },
        ),
        (
            "no token".into(),
            Login {
                password: String::new(),
                ..good.clone()
            },
        ),
        (
            "no iotId".into(),
            Login {
                user: String::new(),
                ..good.clone()
            },
        ),
        (
            "huge token".into(),
            Login {
                password: "A".repeat(8_000),
                ..good.clone()
            },
        ),
        (
            "securemode".into(),
            Login {
                client_id: good.client_id.replace("-1", "2"),
                ..good.clone()
            },
        ),
    ];
    // A character of each part: version, expiry, generation, id, MAC.
    for at in [
        0,
        1,
        5,
        11,
        13,
        20,
        24,
        good.password.len() - 40,
        good.password.len() - 2,
    ] {
        let mut token = good.password.clone().into_bytes();
        token[at] = if token[at] == b'A' { b'B' } else { b'A' };
        let password = String::from_utf8(token).expect("ASCII");
        altered.push((
            format!("token at {at}"),
            Login {
                password,
                ..good.clone()
            },
        ));
    }
    let altered: Vec<_> = altered
        .iter()
        .map(|(what, login)| (what.as_str(), login.clone()))
        .collect();
    house.spoil_login(&altered);
    let ca = house.server.ca();
    let mut line = Mqtt::open(house.server.address("mqtts"), Some(&ca), Version::V311);
    assert_eq!(line.connect(&good, true, 60).reason, ReasonCode::Success);
    line.ping();
    house.unharmed("spoilt tokens");
}
