//! Chapters 2.3 and 6.2 of document 001 and document 004: a device that has only its product's
//! secret gets one of its own; HTTPS pre-authentication; the activation centre.

use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use serde_json::{Value, json};
use std::process::Command;
use tests::{
    Client, Server,
    mqtt::{Login, Mqtt},
};
use wire::mqtt::{ReasonCode, Version};

const AUTH_HOST: &str = "iot-auth.cn-shanghai.aliyuncs.com";

struct House {
    server: Server,
    product: String,
    product_secret: String,
}

impl House {
    fn open() -> Self {
        let server = Server::start_with(&[&format!("tls.names=[\"{AUTH_HOST}\"]")]);
        let (product, product_secret) = server.product("thermometer");
        Self {
            server,
            product,
            product_secret,
        }
    }

    fn switch(&self, to: &str) {
        self.server
            .cli(&["product", "registration", &self.product, to, "--yes"]);
    }

    fn name(&self, device: &str) {
        self.server
            .cli(&["device", "create", &self.product, device]);
    }

    /// Starts the Python SDK with the product's secret.
    fn python(&self, device: &str, auth: Option<&str>) -> Client {
        let mut client = Client::python("device.py");
        client.order(&json!({
            "do": "start", "host": "127.0.0.1", "port": self.server.address("mqtts").port(),
            "https": self.server.address("https").port(), "ca": self.server.ca(),
            "region": "cn-shanghai", "names": [AUTH_HOST],
            "product": self.product, "device": device,
            "product_secret": self.product_secret, "auth": auth,
        }));
        client
    }

    /// Posts a form as it is, over HTTPS; gives back the body.
    fn post(&self, path: &str, body: &str) -> String {
        let url = format!(
            "https://localhost:{}{path}",
            self.server.address("https").port()
        );
        let output = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(self.server.ca())
            .args([
                "-H",
                "Content-Type: application/x-www-form-urlencoded;charset=utf-8",
            ])
            .args(["--data-binary", body, &url])
            .output()
            .expect("curl is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// The form of `/auth/register/device`.
    fn register_form(&self, device: &str, method: &str) -> Vec<(&'static str, String)> {
        let random = "8Ygb7ULYh53B6OA";
        let fields = [
            ("deviceName", device),
            ("productKey", &self.product),
            ("random", random),
        ];
        let secret = Secret::new(self.product_secret.as_bytes().to_vec());
        let digest = SignMethod::parse(method).expect("a method");
        vec![
            ("productKey", self.product.clone()),
            ("deviceName", device.into()),
            ("random", random.into()),
            (
                "sign",
                sign(&secret, digest, Channel::AuthRegister, &fields),
            ),
            ("signMethod", method.into()),
        ]
    }

    fn register(&self, form: &[(&str, String)]) -> Value {
        serde_json::from_str(&self.post("/auth/register/device", &body(form))).expect("JSON")
    }

    /// A device that has a secret of its own connects with it.
    fn activate(&self, device: &str, secret: &str) -> ReasonCode {
        let login = Login::signed(&self.product, device, secret, "");
        Mqtt::open(self.server.address("mqtt"), None, Version::V311)
            .connect(&login, true, 60)
            .reason
    }
}

fn body(form: &[(&str, String)]) -> String {
    form.iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect::<Vec<_>>()
        .join("&")
}

/// [AL-2.3] The switch is off at first; turning it on asks the operator a second time.
#[test]
fn the_switch_is_off_and_asks_twice() {
    let house = House::open();
    house.name("kitchen");
    let form = house.register_form("kitchen", "hmacsha256");
    assert_eq!(house.register(&form)["code"], 6288, "off");
    let (turned, _, said) =
        house
            .server
            .cli_raw(&["product", "registration", &house.product, "on"]);
    assert!(!turned, "without a second confirmation");
    assert!(said.contains("--yes"), "it says how to confirm: {said}");
    assert_eq!(house.register(&form)["code"], 6288, "still off");
    house.switch("on");
    assert_eq!(house.register(&form)["code"], 200);
}

/// [AL-2.5] [AL-2.3] [LK-1] Over HTTPS, with each digest, in exactly the shape that the C SDK's
/// parser takes: code first, no blanks, at most 256 bytes (spec/alink-wire.md §1.6); as often as it
/// is not activated, each time with a new secret; then 6289.
#[test]
fn a_device_registers_over_https_until_it_is_active() {
    let house = House::open();
    house.switch("on");
    house.name("kitchen");
    let mut secrets = Vec::new();
    for method in ["hmacmd5", "hmacsha1", "hmacsha256", "HmacSHA256"] {
        let mut form = house.register_form("kitchen", method);
        form[3].1 = form[3].1.to_uppercase();
        let text = house.post("/auth/register/device", &body(&form));
        assert!(text.starts_with("{\"code\":200,\"data\":{"), "{text}");
        assert!(text.len() <= 256 && !text.contains("\": "), "{text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["data"]["deviceName"], "kitchen");
        assert_eq!(answer["data"]["productKey"], house.product);
        secrets.push(
            answer["data"]["deviceSecret"]
                .as_str()
                .expect("a secret")
                .to_owned(),
        );
    }
    let newest = secrets.pop().expect("four");
    assert!(!secrets.contains(&newest), "a new secret each time");
    for old in &secrets {
        assert_eq!(
            house.activate("kitchen", old),
            ReasonCode::NotAuthorized,
            "an older secret"
        );
    }
    assert_eq!(house.activate("kitchen", &newest), ReasonCode::Success);
    let again = house.register(&house.register_form("kitchen", "hmacsha256"));
    assert_eq!(again["code"], 6289);
    assert_eq!(again["message"], "device is already active");
    assert!(again.get("data").is_none());

    // Turned off, it refuses new devices and leaves active ones alone.
    house.name("cellar");
    house.switch("off");
    assert_eq!(
        house.register(&house.register_form("cellar", "hmacsha1"))["code"],
        6288
    );
    assert_eq!(house.activate("kitchen", &newest), ReasonCode::Success);

    // Deleted and made again, it may register again.
    house.switch("on");
    house
        .server
        .cli(&["device", "delete", &house.product, "kitchen", "--yes"]);
    house.name("kitchen");
    assert_eq!(
        house.register(&house.register_form("kitchen", "hmacsha1"))["code"],
        200
    );
    assert_eq!(
        house.activate("kitchen", &newest),
        ReasonCode::NotAuthorized,
        "its former secret"
    );
}

/// [AL-2.5] Every signed field altered once is refused.
#[test]
fn a_registration_with_an_altered_field_is_refused() {
    let house = House::open();
    house.switch("on");
    house.name("kitchen");
    house.name("cellar");
    let good = house.register_form("kitchen", "hmacsha1");
    let other = house.server.product("other").0;
    for (field, to) in [
        (0, other),
        (1, "cellar".to_owned()),
        (2, "another".to_owned()),
        (3, "00".repeat(20)),
        (4, "hmacmd5".to_owned()),
    ] {
        let mut form = good.clone();
        form[field].1 = to;
        let code = house.register(&form)["code"].as_i64().expect("a number");
        assert!(
            matches!(code, 401 | 6288 | 6600),
            "{}: {code}",
            form[field].0
        );
    }
    let mut unknown = good.clone();
    unknown[4].1 = "rot13".into();
    assert_eq!(house.register(&unknown)["code"], 6292);
    assert_eq!(house.register(&good[..3])["code"], 460);
    assert_eq!(
        house.register(&house.register_form("stranger", "hmacsha1"))["code"],
        6100
    );
    assert_eq!(house.register(&good)["code"], 200);
}

/// [AL-2.3] [AL-2.5] The Python SDK registers itself over HTTPS, as shipped.
#[test]
fn the_python_sdk_registers_over_https() {
    let house = House::open();
    house.switch("on");
    house.name("kitchen");
    let mut device = house.python("kitchen", None);
    let told = device.wait("registered");
    assert_eq!(told["rc"], 0, "{told}");
    assert_eq!(device.wait("connect")["rc"], 0, "it goes on to connect");
    drop(device);
    let mut again = house.python("kitchen", None);
    let told = again.wait("registered");
    assert_eq!(
        (&told["rc"], &told["value"]),
        (&json!(1), &json!("device is already active"))
    );
}

/// [AL-2.3] [AL-2.5] The JavaScript SDK registers itself over HTTPS, as shipped.
#[test]
fn the_javascript_sdk_registers_over_https() {
    let house = House::open();
    house.switch("on");
    house.name("kitchen");
    let ca = house.server.ca();
    let mut device = Client::node("device.js", Some(&ca));
    let port = house.server.address("https").port();
    device.order(&json!({
        "do": "register",
        "config": {
            "productKey": house.product, "deviceName": "kitchen",
            "productSecret": house.product_secret,
            "registerURL": format!("https://localhost:{port}/auth/register/device"),
        },
    }));
    let reply = device.wait("registered")["reply"].take();
    assert_eq!(reply["code"], 200, "{reply}");
    let secret = reply["data"]["deviceSecret"].as_str().expect("a secret");
    assert_eq!(house.activate("kitchen", secret), ReasonCode::Success);
}

/// [AL-2.3] spec/alink-wire.md §2.6: over MQTT under a registered name; refused once active.
#[test]
fn a_device_registers_over_mqtt() {
    let house = House::open();
    house.switch("on");
    house.name("kitchen");
    let mut first = house.python("kitchen", Some("register"));
    let told = first.wait("registered");
    assert_eq!(told["rc"], 0, "{told}");
    let secret = told["value"].as_str().expect("a secret");
    assert_eq!(house.activate("kitchen", secret), ReasonCode::Success);
    let mut again = house.python("kitchen", Some("register"));
    assert_eq!(
        again.wait("registered")["rc"],
        -0x301,
        "refused, and the SDK stops"
    );
}

/// [AL-2.3] spec/alink-wire.md §2.6: without a registered name, where the product is open to that;
/// the token that it gets is its way in from then on.
#[test]
fn a_device_registers_over_mqtt_without_a_registered_name() {
    let house = House::open();
    house.switch("on");
    let mut refused = house.python("stranger", Some("regnwl"));
    assert_eq!(
        refused.wait("registered_open")["code"],
        -0x302,
        "names must be registered"
    );
    house.switch("open");
    let mut device = house.python("stranger", Some("regnwl"));
    let told = device.wait("registered_open");
    assert_eq!(told["code"], 0, "{told}");
    drop(device);
    let mut device = Client::python("device.py");
    device.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": house.server.address("mqtts").port(),
        "ca": house.server.ca(), "product": house.product, "device": "stranger",
        "client_id": told["client_id"], "username": told["username"],
        "password": told["password"],
    }));
    assert_eq!(device.wait("connect")["rc"], 0);
}

/// [AL-3.3] [LK-2] HTTPS pre-authentication gives an id, a token and where to go; the token lets
/// the device in, a wrong one gets return code 3, and a reset credential voids it.
#[test]
fn pre_authentication_gives_a_token_that_lets_a_device_in() {
    let house = House::open();
    let secret = house.server.device(&house.product, "kitchen");
    let form = |sign_with: &str, name: &str| {
        let client = format!("{}.{name}", house.product);
        let fields = [
            ("clientId", client.as_str()),
            ("deviceName", name),
            ("productKey", house.product.as_str()),
            ("timestamp", "2524608000000"),
        ];
        let key = Secret::new(sign_with.as_bytes().to_vec());
        let method = SignMethod::parse("hmacsha1").expect("a method");
        let signature = sign(&key, method, Channel::AuthDevicename, &fields);
        format!(
            "productKey={}&deviceName={name}&signmethod=hmacsha1&sign={signature}\
             &version=default&clientId={client}&timestamp=2524608000000&resources=mqtt",
            house.product
        )
    };
    let ask = |form: &str| -> Value {
        serde_json::from_str(&house.post("/auth/devicename", form)).expect("JSON")
    };
    let answer = ask(&form(&secret, "kitchen"));
    assert_eq!(answer["code"], 200, "{answer}");
    let data = &answer["data"];
    assert!(data["resources"]["mqtt"]["host"].is_string(), "{answer}");
    assert_eq!(
        data["resources"]["mqtt"]["port"]
            .to_string()
            .trim_matches('"'),
        house.server.address("mqtts").port().to_string()
    );
    let login = Login {
        client_id: format!("{}.kitchen|securemode=-1,_v=sdk-c-2.3.0|", house.product),
        user: data["iotId"].as_str().expect("an id").into(),
        password: data["iotToken"].as_str().expect("a token").into(),
    };
    let connect = |login: &Login| {
        Mqtt::open(
            house.server.address("mqtts"),
            Some(&house.server.ca()),
            Version::V311,
        )
        .connect(login, true, 60)
        .reason
    };
    assert_eq!(connect(&login), ReasonCode::Success);
    let wrong = Login {
        password: format!("{}x", login.password),
        ..login.clone()
    };
    assert_eq!(connect(&wrong), ReasonCode::ServerUnavailable);
    let wrong = Login {
        user: "nobody".into(),
        ..login.clone()
    };
    assert_eq!(connect(&wrong), ReasonCode::ServerUnavailable);

    assert_eq!(ask(&form("another secret", "kitchen"))["code"], 401);
    assert_eq!(ask(&form(&secret, "stranger"))["code"], 5001);
    assert_eq!(ask("productKey=1")["code"], 460);
    assert_eq!(ask("")["code"], 460);

    house
        .server
        .cli(&["device", "reset-secret", &house.product, "kitchen", "--yes"]);
    assert_eq!(
        connect(&login),
        ReasonCode::ServerUnavailable,
        "made before the reset"
    );
}

/// [AL-3.13] The activation centre answers with the data node, in a shape that the C SDK finds.
#[test]
fn bootstrap_answers_with_the_data_node() {
    let house = House::open();
    house.name("kitchen");
    let form = format!(
        "productKey={0}&deviceName=kitchen&clientId={0}.kitchen&resources=mqtt",
        house.product
    );
    let text = house.post("/auth/bootstrap", &form);
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["code"], 200, "{text}");
    assert!(
        answer["data"]["resources"]["mqtt"]["host"].is_string(),
        "{text}"
    );
    assert!(text.len() <= 300, "the C SDK reads 300 bytes");
}

/// The authentication service is refused in clear, in a form that a device understands.
#[test]
fn secrets_are_not_given_over_clear_http() {
    let house = House::open();
    house.switch("on");
    house.name("kitchen");
    let url = format!(
        "http://{}/auth/register/device",
        house.server.address("http")
    );
    let output = Command::new("curl")
        .args([
            "-sS",
            "--data-binary",
            &body(&house.register_form("kitchen", "hmacsha1")),
            &url,
        ])
        .output()
        .expect("curl is there");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_ne!(answer["code"], 200, "{answer}");
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|m| m.contains("HTTPS")),
        "{answer}"
    );
}
