//! Chapter 3.2 of document 001: how a device comes in, and how it is kept out.

use serde_json::json;
use std::io::Read;
use tests::{
    Client, Server,
    http::{rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{Packet, ReasonCode, Version};

const ALL: [Version; 3] = [Version::V31, Version::V311, Version::V5];

struct House {
    server: Server,
    product: String,
    secret: String,
}

impl House {
    fn open() -> Self {
        Self::open_with(&[])
    }

    fn open_with(settings: &[&str]) -> Self {
        let server = Server::start_with(settings);
        let (product, _) = server.product("thermometer");
        let secret = server.device(&product, "kitchen");
        Self {
            server,
            product,
            secret,
        }
    }

    fn login(&self) -> Login {
        Login::signed(&self.product, "kitchen", &self.secret, "")
    }

    fn connect(&self, login: &Login, version: Version) -> (Mqtt, ReasonCode) {
        let mut device = Mqtt::open(self.server.address("mqtt"), None, version);
        let verdict = device.connect(login, true, 60);
        (device, verdict.reason)
    }

    fn accepted(&self, login: &Login) -> bool {
        self.connect(login, Version::V311).1 == ReasonCode::Success
    }
}

/// [AL-3.1] [AL-3.2] [AL-2.2] MQTT 3.1, 3.1.1 and 5 all sign in the same way, and the first
/// connection activates the device.
#[test]
fn a_signed_connect_is_accepted_in_every_version() {
    let house = House::open();
    let state = || {
        let shown = house
            .server
            .cli(&["device", "show", &house.product, "kitchen"]);
        shown["state"]
            .as_str()
            .unwrap_or_else(|| panic!("{shown}"))
            .to_owned()
    };
    assert_eq!(state(), "unactivated");
    for version in ALL {
        let (mut device, reason) = house.connect(&house.login(), version);
        assert_eq!(reason, ReasonCode::Success, "{version:?}");
        device.ping();
        assert_eq!(state(), "online");
    }
}

/// [AL-3.2] [AL-3.5] One port takes TLS, MQTT and WebSocket, and looks again inside TLS.
#[test]
fn one_port_recognises_tls_mqtt_and_websocket() {
    let house = House::open();
    let port = house.server.address("mqtt");
    let ca = house.server.ca();
    let (mut plain, reason) = house.connect(&house.login(), Version::V311);
    assert_eq!(reason, ReasonCode::Success);
    plain.ping();
    let mut tls = Mqtt::open(port, Some(&ca), Version::V311);
    assert_eq!(
        tls.connect(&house.login(), true, 60).reason,
        ReasonCode::Success
    );
    for (scheme, listener) in [
        ("ws", "mqtt"),
        ("wss", "mqtt"),
        ("wss", "mqtts"),
        ("ws", "http"),
        ("wss", "https"),
    ] {
        let port = house.server.address(listener).port();
        for path in ["/mqtt", "/"] {
            let mut client = Client::node("mqtt.js", Some(&ca));
            let login = house.login();
            client.order(&json!({
                "do": "connect", "url": format!("{scheme}://localhost:{port}{path}"), "ca": ca,
                "options": {
                    "clientId": login.client_id, "username": login.user,
                    "password": login.password,
                },
            }));
            assert_eq!(
                client.wait("connect")["code"],
                0,
                "{scheme} at {listener}{path}"
            );
        }
    }
}

/// [AL-3.6] [AL-3.1] The vendor's JavaScript device SDKs over TCP, TLS, ws and wss: post, are set,
/// and are called.
#[test]
fn the_javascript_sdks_work_over_tcp_tls_ws_and_wss() {
    let mut house = House::open();
    let ca = house.server.ca();
    for (sdk, scheme, listener) in [
        ("alibabacloud-iot-device-sdk", "mqtt", "mqtt"),
        ("alibabacloud-iot-device-sdk", "mqtts", "mqtts"),
        ("alibabacloud-iot-device-sdk", "ws", "http"),
        ("alibabacloud-iot-device-sdk", "wss", "https"),
        ("aliyun-iot-device-sdk", "mqtt", "mqtt"),
        ("aliyun-iot-device-sdk", "mqtts", "mqtts"),
    ] {
        let what = format!("{sdk} over {scheme}");
        let port = house.server.address(listener).port();
        let path = if scheme.starts_with("ws") {
            "/mqtt"
        } else {
            ""
        };
        let mut device = Client::node("device.js", Some(&ca));
        device.order(&json!({
            "do": "start", "sdk": sdk, "services": ["reboot"],
            "config": {
                "productKey": house.product, "deviceName": "kitchen",
                "deviceSecret": house.secret,
                "brokerUrl": format!("{scheme}://localhost:{port}{path}"),
            },
        }));
        device.wait("connect");
        device.order(&json!({"do": "post", "params": {"temperature": 20.5}}));
        let reply = device.wait("prop_post");
        assert_eq!(reply["reply"]["code"], 200, "{what}: {reply}");
        device.order(&json!({"do": "answer", "data": {"count": 3}}));
        let mut app = house.server.app(App::Pop, false);
        let mut params = json!({
            "ProductKey": house.product, "DeviceName": "kitchen", "Identifier": "reboot",
            "Args": "{\"delay\": 1}",
        });
        assert_eq!(
            app.call("InvokeThingService", &params)["Success"],
            true,
            "{what}"
        );
        assert_eq!(device.wait("service")["identifier"], "reboot", "{what}");
        params["Items"] = json!("{\"target\": 19}");
        assert_eq!(
            app.call("SetDeviceProperty", &params)["Success"],
            true,
            "{what}"
        );
        if sdk == "alibabacloud-iot-device-sdk" {
            let set = device.wait("prop_changed");
            assert_eq!(
                set["message"]["params"],
                json!({"target": 19}),
                "{what}: {set}"
            );
        }
    }
}

/// [AL-3.2] Digests by name in any case, the signature in any case, blanks and line feeds between
/// parameters, any order of keys, keys that nobody knows (spec/alink-wire.md §1.4, §2.1).
#[test]
fn what_real_sdks_write_differently_is_understood() {
    let house = House::open();
    let good = house.login();
    let base = format!("{}.kitchen", house.product);
    let with = |block: &str| Login {
        client_id: format!("{base}{block}"),
        ..good.clone()
    };
    for block in [
        "|securemode=3,signmethod=hmacsha1|",
        "|signmethod=HmacSHA1,securemode=3|",
        "|securemode=3,\n        signmethod=hmacsha1,\n        lan=JS|Ali|",
        "|signmethod = hmacsha1 , securemode = 3 , nobody=knows,_v=,gw=0,ext=0|",
        "|securemode=2,signmethod=hmacsha1|",
    ] {
        assert!(house.accepted(&with(block)), "{block}");
    }
    let upper = Login {
        password: good.password.to_uppercase(),
        ..good.clone()
    };
    assert!(house.accepted(&upper));
}

/// [AL-3.2] Each signed field altered once is refused, counted, and noted in the audit log.
#[test]
fn every_signed_field_that_is_altered_is_refused_counted_and_audited() {
    let house = House::open();
    house.server.device(&house.product, "cellar");
    let (other, _) = house.server.product("other");
    house.server.device(&other, "kitchen");
    let good = house.login();
    let altered = [
        (
            "clientId",
            Login {
                client_id: good.client_id.replacen("kitchen", "kitchin", 1),
                ..good.clone()
            },
        ),
        (
            "deviceName",
            Login {
                user: format!("cellar&{}", house.product),
                ..good.clone()
            },
        ),
        (
            "productKey",
            Login {
                user: format!("kitchen&{other}"),
                ..good.clone()
            },
        ),
        (
            "timestamp",
            Login {
                client_id: good
                    .client_id
                    .replace("|securemode", "|timestamp=1,securemode"),
                ..good.clone()
            },
        ),
        (
            "signmethod",
            Login {
                client_id: good.client_id.replace("hmacsha1", "hmacmd5"),
                ..good.clone()
            },
        ),
        (
            "password",
            Login {
                password: flip(&good.password),
                ..good.clone()
            },
        ),
    ];
    assert!(house.accepted(&good));
    for (field, login) in altered {
        let (counted, audited) = (refused(&house.server), lines(&house.server));
        let (mut device, reason) = house.connect(&login, Version::V311);
        assert_ne!(reason, ReasonCode::Success, "{field}");
        device.closed();
        assert_eq!(refused(&house.server), counted + 1, "{field} is counted");
        assert_eq!(lines(&house.server), audited + 1, "{field} is audited");
    }
    assert!(house.accepted(&good), "the right one is still accepted");
}

fn flip(hex: &str) -> String {
    let last = if hex.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &hex[..hex.len() - 1])
}

/// Logins refused so far, by the server's metrics.
fn refused(server: &Server) -> u64 {
    metrics(server)
        .lines()
        .filter(|l| l.starts_with("muster_device_logins_total") && !l.contains("outcome=\"ok\""))
        .filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

fn metrics(server: &Server) -> String {
    let output = std::process::Command::new("curl")
        .args(["-sS", &format!("http://{}/metrics", server.address("http"))])
        .output()
        .expect("curl is there");
    String::from_utf8(output.stdout).expect("text")
}

/// Lines of failed logins in the audit log.
fn lines(server: &Server) -> usize {
    let listed = server.cli(&["audit", "list", "--most", "1000"]);
    listed
        .as_array()
        .unwrap_or_else(|| panic!("{listed}"))
        .iter()
        .filter(|line| {
            line["entry"]["action"] == "device.login" && line["entry"]["outcome"] != "ok"
        })
        .count()
}

/// [AL-3.2] spec/alink-wire.md §2.5: which refusal says what.
#[test]
fn a_refusal_says_what_kind_it_is() {
    let house = House::open();
    let good = house.login();
    for (login, code) in [
        (
            Login {
                user: "nobody".into(),
                ..good.clone()
            },
            ReasonCode::BadUserNameOrPassword,
        ),
        (
            Login {
                password: "not hex".into(),
                ..good.clone()
            },
            ReasonCode::BadUserNameOrPassword,
        ),
        (
            Login {
                password: flip(&good.password),
                ..good.clone()
            },
            ReasonCode::NotAuthorized,
        ),
        (
            Login {
                user: format!("stranger&{}", house.product),
                ..good.clone()
            },
            ReasonCode::NotAuthorized,
        ),
        (
            Login {
                client_id: "x".repeat(65) + "|securemode=3,signmethod=hmacsha1|",
                ..good.clone()
            },
            ReasonCode::ClientIdNotValid,
        ),
    ] {
        let (mut device, reason) = house.connect(&login, Version::V311);
        assert_eq!(reason, code, "{login:?}");
        device.closed();
    }
    house
        .server
        .cli(&["device", "disable", &house.product, "kitchen"]);
    assert_eq!(
        house.connect(&good, Version::V311).1,
        ReasonCode::NotAuthorized
    );
    house
        .server
        .cli(&["device", "enable", &house.product, "kitchen"]);
    assert!(house.accepted(&good));
}

/// [AL-3.4] Keep alive is 30 to 1,200 seconds; others are refused.
#[test]
fn a_keep_alive_outside_its_bounds_is_refused() {
    let house = House::open();
    for (keep_alive, code) in [
        (0, ReasonCode::ClientIdNotValid),
        (29, ReasonCode::ClientIdNotValid),
        (30, ReasonCode::Success),
        (1200, ReasonCode::Success),
        (1201, ReasonCode::ClientIdNotValid),
    ] {
        let mut device = Mqtt::open(house.server.address("mqtt"), None, Version::V311);
        assert_eq!(
            device.connect(&house.login(), true, keep_alive).reason,
            code,
            "{keep_alive}"
        );
    }
}

/// [AL-3.4] A second connection of the device closes the first; MQTT 5 is told why.
#[test]
fn a_second_login_closes_the_first() {
    let house = House::open();
    let (mut first, _) = house.connect(&house.login(), Version::V311);
    let (mut second, reason) = house.connect(&house.login(), Version::V5);
    assert_eq!(reason, ReasonCode::Success);
    first.closed();
    let (mut third, _) = house.connect(&house.login(), Version::V311);
    let told = second.wait("DISCONNECT", |p| matches!(p, Packet::Disconnect(_)));
    assert!(matches!(told, Packet::Disconnect(d) if d.reason == ReasonCode::SessionTakenOver));
    third.ping();
    let shown = house
        .server
        .cli(&["device", "show", &house.product, "kitchen"]);
    assert_eq!(
        shown["state"], "online",
        "the first one's end is not the device's"
    );
}

/// Promise 2: a disabled, reset or deleted credential stops working on a live connection too.
#[test]
fn a_live_session_ends_with_its_credential() {
    let house = House::open();
    let end = |words: &[&str], login: &Login| {
        let (mut device, reason) = house.connect(login, Version::V311);
        assert_eq!(reason, ReasonCode::Success);
        house.server.cli(words);
        let began = std::time::Instant::now();
        device.closed();
        assert!(began.elapsed().as_secs_f64() < 1.0, "{words:?}");
        assert!(!house.accepted(login), "{words:?}");
    };
    end(
        &["device", "disable", &house.product, "kitchen"],
        &house.login(),
    );
    house
        .server
        .cli(&["device", "enable", &house.product, "kitchen"]);
    end(
        &["device", "reset-secret", &house.product, "kitchen", "--yes"],
        &house.login(),
    );
    let secret = house
        .server
        .cli(&["device", "secret", &house.product, "kitchen"]);
    let secret = secret["device_secret"].as_str().expect("a secret");
    let login = Login::signed(&house.product, "kitchen", secret, "");
    end(
        &["device", "delete", &house.product, "kitchen", "--yes"],
        &login,
    );
}

/// [AL-3.12] A device uses its own topics alone: subscriptions are answered 0x80, publishes are
/// acknowledged, dropped and counted.
#[test]
fn a_device_may_use_its_own_topics_alone() {
    let house = House::open();
    house.server.device(&house.product, "cellar");
    let (mut device, _) = house.connect(&house.login(), Version::V311);
    let product = &house.product;
    for (filter, code) in [
        (
            format!("/sys/{product}/kitchen/thing/service/property/set"),
            ReasonCode::GrantedQoS1,
        ),
        (
            format!("/sys/{product}/kitchen/thing/event/+/post_reply"),
            ReasonCode::GrantedQoS1,
        ),
        (
            format!("/{product}/kitchen/user/get"),
            ReasonCode::GrantedQoS1,
        ),
        (
            format!("/{product}/cellar/user/get"),
            ReasonCode::UnspecifiedError,
        ),
        (
            format!("/sys/{product}/cellar/thing/service/property/set"),
            ReasonCode::UnspecifiedError,
        ),
        (
            format!("/sys/{product}/+/thing/service/property/set"),
            ReasonCode::UnspecifiedError,
        ),
        (format!("/sys/{product}/#"), ReasonCode::UnspecifiedError),
        ("#".into(), ReasonCode::UnspecifiedError),
        (
            format!("/{product}/kitchen/user/update"),
            ReasonCode::UnspecifiedError,
        ),
    ] {
        assert_eq!(device.subscribe(&filter), code, "{filter}");
    }
    device.publish_acknowledged(&format!("/{product}/cellar/user/update"), b"not mine");
    device.publish_acknowledged(&format!("/{product}/kitchen/user/get"), b"not to publish");
    let dropped: u64 = metrics(&house.server)
        .lines()
        .filter(|l| l.starts_with("muster_dropped_publishes_total"))
        .filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(dropped, 2);
    device.publish_acknowledged(&format!("/{product}/kitchen/user/update"), b"mine");
}

/// [AL-6.3] spec/alink-wire.md §1.1, §1.2, §7: `_ss=1` brings replies without SUBSCRIBE, UNSUBSCRIBE
/// switches them off, and a SUBSCRIBE on top does not bring them twice.
#[test]
fn implicit_subscriptions_are_there_and_can_be_switched_off() {
    let house = House::open();
    let login = Login::signed(&house.product, "kitchen", &house.secret, ",_ss=1");
    let post = format!("/sys/{}/kitchen/thing/event/property/post", house.product);
    let reply = format!("{post}_reply");
    let body = br#"{"id":"1","version":"1.0","params":{"temperature":20},"method":"thing.event.property.post"}"#;

    let (mut device, _) = house.connect(&login, Version::V311);
    device.publish_acknowledged(&post, body);
    device.message(&reply);
    assert_eq!(device.subscribe(&reply), ReasonCode::GrantedQoS1);
    device.publish_acknowledged(&post, body);
    device.message(&reply);
    assert!(!device.has_message(&reply), "delivered twice");
    let filter = format!("/sys/{}/kitchen/thing/event/+/post_reply", house.product);
    device.unsubscribe(&reply);
    device.unsubscribe(&filter);
    device.publish_acknowledged(&post, body);
    assert!(!device.has_message(&reply), "delivered after UNSUBSCRIBE");

    let (mut silent, _) = house.connect(&house.login(), Version::V311);
    silent.publish_acknowledged(&post, body);
    assert!(
        !silent.has_message(&reply),
        "without _ss=1 a device subscribes by itself"
    );
}

/// [AL-3.5] The cut-down TLS of the C SDK offers static RSA with CBC over TLS 1.2 and nothing else;
/// TLS 1.0 is refused unless the operator turned it on (spec/alink-wire.md §2.7).
#[test]
fn the_tls_of_the_c_sdk_is_spoken_and_older_only_by_choice() {
    let house = House::open();
    let port = house.server.address("mqtts").port();
    for suite in ["AES256-SHA256", "AES128-SHA256", "AES256-SHA", "AES128-SHA"] {
        assert!(handshake(port, &["-tls1_2", "-cipher", suite]), "{suite}");
    }
    assert!(handshake(port, &["-tls1_3"]));
    let old = ["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"];
    assert!(!handshake(port, &old));
    let older = House::open_with(&["tls.min_version=\"1.0\""]);
    assert!(handshake(older.server.address("mqtts").port(), &old));
}

fn handshake(port: u16, options: &[&str]) -> bool {
    std::process::Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-brief",
        ])
        .args(options)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl is there")
        .status
        .success()
}

/// [AL-3.1] `mosquitto_pub`, `mosquitto_sub` and paho-mqtt are MQTT clients like any other.
#[test]
fn mosquitto_and_paho_meet_on_a_topic_of_the_device() {
    let mut house = House::open();
    let key = house.server.key();
    let product = &house.product;
    house.server.cli(&[
        "product",
        "topic",
        "create",
        product,
        "user/loop",
        "--right",
        "both",
    ]);
    let topic = format!("/{product}/kitchen/user/loop");
    let login = house.login();
    let ca = house.server.ca();
    for (transport, listener, secure) in [
        ("tcp", "mqtt", false),
        ("tcp", "mqtts", true),
        ("websockets", "http", false),
        ("websockets", "https", true),
    ] {
        let mut paho = Client::python("mqtt_client.py");
        paho.order(&json!({
            "do": "connect", "host": "localhost", "port": house.server.address(listener).port(),
            "transport": transport, "ca": secure.then_some(&ca),
            "client_id": login.client_id, "username": login.user, "password": login.password,
        }));
        assert_eq!(paho.wait("connect")["rc"], 0, "{transport} at {listener}");
        paho.order(&json!({"do": "subscribe", "topic": topic}));
        assert_eq!(paho.wait("subscribed")["granted"], json!([1]));
        paho.order(&json!({"do": "publish", "topic": topic, "payload": "round"}));
        paho.wait("published");
        assert_eq!(paho.wait("message")["payload"], "round");
    }

    // mosquitto_rr publishes a request and prints the answer: here, its own message.
    let port = house.server.address("mqtts").port().to_string();
    let options = [
        "-h",
        "localhost",
        "-p",
        &port,
        "--cafile",
        ca.to_str().expect("a path"),
        "-q",
        "1",
        "-i",
        &login.client_id,
        "-u",
        &login.user,
        "-P",
        &login.password,
    ];
    let mut subscriber = std::process::Command::new("mosquitto_sub")
        .args(options)
        .args(["-c", "-t", &topic, "-E"])
        .spawn()
        .expect("mosquitto_sub is there");
    assert!(
        subscriber.wait().expect("it ends").success(),
        "subscribed, in a session that is kept"
    );
    // Not by mosquitto_pub in the same session, which might take the message itself.
    let call = rpc_call(
        &key,
        "POST",
        "Pub",
        &[
            ("ProductKey", product),
            ("TopicFullName", &topic),
            ("MessageContent", "a2VwdCBmb3IgbGF0ZXI="),
            ("Qos", "1"),
        ],
    );
    let sent = send_rpc(house.server.address("http"), "POST", &call);
    assert_eq!(sent.json()["Success"], true);
    let mut subscriber = std::process::Command::new("mosquitto_sub")
        .args(options)
        .args(["-c", "-t", &topic, "-C", "1", "-W", "30"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("mosquitto_sub is there");
    let mut text = String::new();
    subscriber
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("text");
    assert!(subscriber.wait().expect("it ends").success());
    assert_eq!(text.trim(), "kept for later");
}

/// [AL-3.5] A device that comes back shows its session ticket and needs no full handshake.
#[test]
fn a_device_that_comes_back_shows_its_session_ticket() {
    let house = House::open();
    let folder = tempfile::tempdir().expect("a folder");
    let ticket = folder.path().join("session");
    let ticket = ticket.to_str().expect("a path");
    let to = house.server.address("mqtts").to_string();
    let shake = |option: &str| {
        let output = std::process::Command::new("openssl")
            .args(["s_client", "-connect", &to, "-tls1_2", option, ticket])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("openssl is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(shake("-sess_out").contains("New, TLSv1.2"));
    assert!(shake("-sess_in").contains("Reused, TLSv1.2"));
}
