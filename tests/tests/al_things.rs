//! What is kept between devices and applications, with the vendor's SDKs on both sides: shadows,
//! desired properties, tags, remote configuration, calls.

use serde_json::{Value, json};
use tests::{
    Client, Server, eventually,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{ReasonCode, Version};

fn thermometer() -> String {
    let path = tests::root().join("examples/thermometer.json");
    path.to_string_lossy().into_owned()
}

/// The Python device SDK, connected and ready to post.
fn python(server: &Server, product: &str, secret: &str) -> Client {
    let mut device = Client::python("device.py");
    device.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": server.address("mqtt").port(),
        "product": product, "device": "kitchen", "secret": secret, "tsl": thermometer(),
    }));
    assert_eq!(device.wait("connect")["rc"], 0);
    device.wait("enable");
    device
}

/// A JavaScript device SDK, connected.
fn node(server: &Server, product: &str, secret: &str, sdk: &str, services: &[&str]) -> Client {
    let mut device = Client::node("device.js", None);
    device.order(&json!({
        "do": "start", "sdk": sdk, "services": services,
        "config": {
            "productKey": product, "deviceName": "kitchen", "deviceSecret": secret,
            "brokerUrl": format!("mqtt://localhost:{}", server.address("mqtt").port()),
        },
    }));
    device.wait("connect");
    device
}

fn parsed(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_else(|| panic!("{text} is no text"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn ok(app: &mut Client, action: &str, params: &Value) -> Value {
    let answer = app.call(action, params);
    assert_eq!(answer["Success"], true, "{action}: {answer}");
    answer
}

/// [AL-3.11] [AL-6.8] [AL-6.11] The Python SDK, which subscribes to nothing of the vendor's.
#[test]
fn python_devices_and_applications_keep_things_of_each_other() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let mut device = python(&server, &product, &secret);
    let mut app = server.app(App::Core, false);
    let kitchen = json!({"ProductKey": product, "DeviceName": "kitchen"});
    let with = |more: Value| {
        let mut all = kitchen.clone();
        let fields = all.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        all
    };

    // Shadow.
    device.order(&json!({"do": "shadow", "reported": {"color": "red"}, "version": 1}));
    let told = device.wait("shadow")["payload"].clone();
    assert_eq!(told["payload"], json!({"status": "success", "version": 1}));
    let message =
        json!({"method": "update", "state": {"desired": {"color": "green"}}, "version": 2});
    ok(
        &mut app,
        "UpdateDeviceShadow",
        &with(json!({"ShadowMessage": message.to_string()})),
    );
    let told = device.wait("shadow")["payload"].clone();
    assert_eq!(
        (&told["method"], &told["version"]),
        (&json!("control"), &json!(2))
    );
    let state = json!({"reported": {"color": "red"}, "desired": {"color": "green"}});
    assert_eq!(told["payload"]["state"], state);
    device.order(&json!({"do": "get_shadow"}));
    let told = device.wait("shadow")["payload"].clone();
    assert_eq!(
        (&told["method"], &told["payload"]["state"]),
        (&json!("reply"), &state)
    );
    let shadow = ok(&mut app, "GetDeviceShadow", &kitchen);
    assert_eq!(parsed(&shadow["ShadowMessage"])["state"], state);

    // Tags.
    device.order(&json!({"do": "tag", "tags": {"room": "kitchen", "floor": "2"}}));
    assert_eq!(device.wait("tagged")["code"], 200);
    let found = ok(
        &mut app,
        "QueryDeviceByTags",
        &json!({"Tags": [{"TagKey": "room", "TagValue": "kitchen"}]}),
    );
    assert_eq!(
        found["Data"]["SimpleDeviceInfo"][0]["DeviceName"], "kitchen",
        "{found}"
    );
    device.order(&json!({"do": "untag", "names": ["room"]}));
    assert_eq!(device.wait("untagged")["code"], 200);
    let props = ok(&mut app, "QueryDeviceProp", &kitchen);
    assert_eq!(parsed(&props["Props"]), json!({"floor": "2"}));

    // Calls, on the application's own topic.
    device.order(&json!({"do": "calls", "topic": "/a/b"}));
    assert_eq!(device.wait("subscribing")["rc"], 0);
    let call = with(json!({
        "Timeout": 8000, "RequestBase64Byte": "aGVsbG8=", "Topic": "/a/b",
    }));
    let answer = eventually("the subscription", || {
        let answer = ok(&mut app, "RRpc", &call);
        (answer["RrpcCode"] == "SUCCESS").then_some(answer)
    });
    assert_eq!(
        answer["PayloadBase64Byte"], "aGVhcmQgaGVsbG8=",
        "heard hello"
    );

    // Desired: at once, and once more for a device that was away.
    let want = |app: &mut Client, value: u64| {
        let items = json!({"target": value}).to_string();
        ok(
            app,
            "SetDeviceDesiredProperty",
            &with(json!({"Items": items, "Versions": "{}"})),
        )
    };
    let told = want(&mut app, 19);
    assert_eq!(parsed(&told["Data"]["Versions"]), json!({"target": 1}));
    assert_eq!(device.wait("prop_changed")["params"], json!({"target": 19}));
    device.order(&json!({"do": "stop"}));
    device.wait("stopped");
    drop(device);
    eventually("the device's leave", || {
        let status = ok(&mut app, "GetDeviceStatus", &kitchen);
        (status["Data"]["Status"] == "OFFLINE").then_some(())
    });
    want(&mut app, 20);
    want(&mut app, 21);
    let call = with(json!({"Timeout": 1000, "RequestBase64Byte": "aGVsbG8="}));
    assert_eq!(ok(&mut app, "RRpc", &call)["RrpcCode"], "OFFLINE");
    let mut device = python(&server, &product, &secret);
    assert_eq!(device.wait("prop_changed")["params"], json!({"target": 21}));
    let wanted = ok(&mut app, "QueryDeviceDesiredProperty", &kitchen);
    let rows = wanted["Data"]["List"]["DesiredPropertyInfo"]
        .as_array()
        .expect("a list");
    let row = rows.iter().find(|row| row["Identifier"] == "target");
    let row = row.expect("it is in the model");
    assert_eq!((&row["Value"], &row["Version"]), (&json!("21"), &json!(3)));
}

/// [AL-3.11] [AL-6.5] Devices on the vendor's SDKs answer synchronous services, and their answers
/// reach the caller: the Python SDK, which hears them on `/ext/rrpc/…` alone, and the JavaScript SDK,
/// which hears them on `…/rrpc/request/…`.
#[test]
fn devices_of_the_sdks_answer_synchronous_services() {
    let mut server = Server::start();
    let model = std::fs::read_to_string(thermometer()).expect("the example");
    let mut model: Value = serde_json::from_str(&model).expect("JSON");
    let services = model["services"].as_array_mut().expect("a list");
    let reboot = services
        .iter_mut()
        .find(|one| one["identifier"] == "reboot");
    let reboot = reboot.expect("it is in the example");
    reboot["callType"] = "sync".into();
    let folder = tempfile::tempdir().expect("a folder");
    let file = tests::server::scratch(folder.path(), "model.json", &model.to_string());
    let file = file.to_str().expect("a plain path");
    let mut app = server.app(App::Core, false);
    for sdk in ["python", "alibabacloud-iot-device-sdk"] {
        let made = server.cli(&["product", "create", &sdk[..6], "--model", file]);
        let product = made["product_key"].as_str().expect("a key").to_owned();
        let secret = server.device(&product, "kitchen");
        let mut device = match sdk {
            "python" => {
                let mut device = python(&server, &product, &secret);
                device.order(&json!({"do": "answer", "code": 200, "data": {}}));
                device
            }
            _ => {
                let mut device = node(&server, &product, &secret, sdk, &["reboot"]);
                let answer = json!({"code": 200, "data": {}});
                device.order(&json!({"do": "answer", "data": answer, "kind": "sync"}));
                device
            }
        };
        device.wait("answering");
        let call = json!({"ProductKey": product, "DeviceName": "kitchen",
            "Identifier": "reboot", "Args": "{\"delay\":7}"});
        // The JavaScript SDK is connected before its subscriptions are there.
        let told = eventually(&format!("an answer of {sdk}"), || {
            let told = app.call("InvokeThingService", &call);
            (told["Success"] == true).then_some(told)
        });
        let heard = device.wait("service");
        assert_eq!(heard["identifier"], "reboot", "{sdk}: {heard}");
        let params = match sdk {
            "python" => &heard["params"],
            _ => &heard["message"]["params"],
        };
        assert_eq!(params, &json!({"delay": 7}), "{sdk}: {heard}");
        let result = parsed(&told["Data"]["Result"]);
        assert_eq!(result["code"], 200, "{sdk}: {told}");
    }
}

/// [AL-6.10] [AL-6.11] [AL-6.13] The JavaScript SDK, which subscribes to everything.
#[test]
fn javascript_devices_fetch_and_are_told() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let file = tests::server::scratch(&std::env::temp_dir(), "muster-al-things.json", "{\"a\":1}");
    let mut device = node(
        &server,
        &product,
        &secret,
        "alibabacloud-iot-device-sdk",
        &[],
    );

    // Remote configuration.
    device.order(&json!({"do": "config"}));
    assert_eq!(device.wait("config")["reply"]["code"], 6713);
    server.cli(&["product", "config", &product, "on"]);
    device.order(&json!({"do": "config"}));
    assert_eq!(device.wait("config")["reply"]["code"], 6710);
    let file = file.to_string_lossy().into_owned();
    server.cli(&["product", "config", &product, "--document", &file]);
    device.order(&json!({"do": "config"}));
    let reply = device.wait("config")["reply"].clone();
    assert_eq!(
        (&reply["code"], &reply["data"]["configSize"]),
        (&json!(200), &json!(7))
    );
    assert_eq!(
        server.cli(&["product", "config", &product, "--push"])["devices"],
        1
    );
    let pushed = device.wait("config_pushed")["message"].clone();
    assert_eq!(pushed["params"]["configId"], reply["data"]["configId"]);

    // Tags, and what an operator sees of it.
    server.cli(&["device", "trace", &product, "kitchen", "on"]);
    device.order(&json!({"do": "tags", "tags": [{"attrKey": "room", "attrValue": "hall"}]}));
    assert_eq!(device.wait("tagged")["reply"]["code"], 200);
    let mut app = server.app(App::Pop, false);
    let kitchen = json!({"ProductKey": product, "DeviceName": "kitchen"});
    let props = ok(&mut app, "QueryDeviceProp", &kitchen);
    assert_eq!(parsed(&props["Props"]), json!({"room": "hall"}));
    let trace = server.cli(&["device", "trace", &product, "kitchen"]);
    let lines = trace["items"].as_array().expect("a list");
    let tells = |way: &str, part: &str| {
        let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        lines
            .iter()
            .any(|line| line["way"] == way && text(line, "text").contains(part))
    };
    assert!(
        tells("up", "\"hall\"") && tells("down", "\"code\":200"),
        "{trace}"
    );

    // Shadow.
    device.order(&json!({"do": "shadow"}));
    let told = device.wait("shadow")["message"].clone();
    assert_eq!(told["payload"]["status"], "success", "{told}");
}

/// [AL-6.8] [AL-6.11] [AL-6.13] The older JavaScript SDK, as far as it goes: configuration that it
/// asks for, tags, and the shadow.
#[test]
fn older_javascript_devices_fetch_and_keep_a_shadow() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let name = "muster-al-things-older.json";
    let file = tests::server::scratch(&std::env::temp_dir(), name, "{\"a\":1}");
    let file = file.to_string_lossy().into_owned();
    let mut device = node(&server, &product, &secret, "aliyun-iot-device-sdk", &[]);
    device.order(&json!({"do": "config"}));
    assert_eq!(device.wait("config")["reply"]["code"], 6713);
    server.cli(&["product", "config", &product, "on"]);
    server.cli(&["product", "config", &product, "--document", &file]);
    device.order(&json!({"do": "config"}));
    let reply = device.wait("config")["reply"].clone();
    assert_eq!(
        (&reply["code"], &reply["data"]["configSize"]),
        (&json!(200), &json!(7))
    );
    let mut app = server.app(App::Pop, false);
    let kitchen = json!({"ProductKey": product, "DeviceName": "kitchen"});
    let tags = json!([
        {"attrKey": "room", "attrValue": "hall"}, {"attrKey": "floor", "attrValue": "2"},
    ]);
    device.order(&json!({"do": "tags", "tags": tags}));
    assert_eq!(device.wait("tagged")["reply"]["code"], 200);
    device.order(&json!({"do": "untag", "names": ["floor"]}));
    assert_eq!(device.wait("untagged")["reply"]["code"], 200);
    let props = ok(&mut app, "QueryDeviceProp", &kitchen);
    assert_eq!(parsed(&props["Props"]), json!({"room": "hall"}));

    device.order(&json!({"do": "reported", "state": {"color": "red"}}));
    let told = device.wait("shadow")["message"].clone();
    assert_eq!(told["payload"]["status"], "success", "{told}");
    device.order(&json!({"do": "shadow"}));
    let told = device.wait("shadow")["message"].clone();
    let reported = &told["payload"]["state"]["reported"];
    assert_eq!(reported, &json!({"color": "red"}), "{told}");
    let shadow = ok(&mut app, "GetDeviceShadow", &kitchen);
    let shadow = parsed(&shadow["ShadowMessage"]);
    assert_eq!(shadow["state"]["reported"], json!({"color": "red"}));
}

/// A device over MQTT without any SDK, connected.
fn raw(server: &Server, product: &str, name: &str, secret: &str) -> Mqtt {
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    let login = Login::signed(product, name, secret, "");
    let told = device.connect(&login, true, 60);
    assert_eq!(told.reason, ReasonCode::Success);
    device
}

/// [AL-6.3] [AL-2.3] [AL-7.1] A connected device is asked for a value, and what it answers is kept;
/// it says that it was set back; an application lets it register itself once more.
#[test]
fn a_device_is_asked_and_begins_anew() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let (fine, _, error) = server.cli_raw(&["device", "ask", &product, "kitchen"]);
    assert!(!fine && error.contains("offline"), "{error}");
    let mut device = raw(&server, &product, "kitchen", &secret);
    let own = |rest: &str| format!("/sys/{product}/kitchen/{rest}");
    let asked = own("thing/service/property/get");
    device.subscribe(&asked);
    std::thread::scope(|scope| {
        let told = scope.spawn(|| server.cli(&["device", "ask", &product, "kitchen", "target"]));
        let request: Value = serde_json::from_slice(&device.message(&asked)).expect("JSON");
        assert_eq!(request["params"], json!(["target"]));
        assert_eq!(request["method"], "thing.service.property.get");
        let answer = json!({"id": request["id"], "code": 200, "data": {"target": 23}});
        let reply = own("thing/service/property/get_reply");
        device.publish_acknowledged(&reply, answer.to_string().as_bytes());
        let told = told.join().expect("no panic");
        assert_eq!(
            (&told["code"], &told["data"]["target"]),
            (&200.into(), &23.into())
        );
    });
    let shown = server.cli(&["device", "properties", &product, "kitchen"]);
    let rows = shown.as_array().expect("a list");
    let row = rows.iter().find(|row| row["identifier"] == "target");
    assert_eq!(row.expect("it is in the model")["value"], 23);

    let reply = own("thing/reset_reply");
    device.subscribe(&reply);
    device.publish(&own("thing/reset"), b"{\"id\":2,\"params\":{}}");
    let told: Value = serde_json::from_slice(&device.message(&reply)).expect("JSON");
    assert_eq!((&told["id"], &told["code"]), (&json!(2), &json!(200)));

    let mut app = server.app(App::Core, false);
    let kitchen = json!({"ProductKey": product, "DeviceName": "kitchen"});
    let told = ok(&mut app, "ResetThing", &kitchen);
    assert!(told.get("JobId").is_none_or(Value::is_null), "{told}");
    device.ping();
    server.cli(&["device", "reset", &product, "kitchen", "--yes"]);
}

/// [AL-6.13] [AL-3.12] A device is asked for its log, and sends it; and an operator sees what it
/// sent, what it was answered, and what was refused and why.
#[test]
fn a_device_is_looked_into() {
    let server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    let login = Login::signed(&product, "kitchen", &secret, ",_ss=1");
    let told = device.connect(&login, true, 600);
    assert_eq!(told.reason, ReasonCode::Success);
    let own = |rest: &str| format!("/sys/{product}/kitchen/{rest}");
    let ask = |device: &mut Mqtt, rest: &str, params: Value| -> Value {
        let topic = own(rest);
        let request = json!({"id": "1", "version": "1.0", "params": params});
        device.publish_acknowledged(&topic, request.to_string().as_bytes());
        let reply = device.message(&format!("{topic}_reply"));
        serde_json::from_slice(&reply).expect("JSON")
    };
    let switch = |what: &str, to: &str| server.cli(&["device", what, &product, "kitchen", to]);
    let shown = |what: &str| server.cli(&["device", what, &product, "kitchen"]);

    // Its log: wanted or not, told at once and when it asks.
    let wanted = |device: &mut Mqtt| {
        let params = json!({"configScope": "device", "getType": "content"});
        let reply = ask(device, "thing/config/log/get", params);
        assert_eq!(reply["code"], 200, "{reply}");
        reply["data"]["content"]["mode"].clone()
    };
    assert_eq!(wanted(&mut device), 0);
    for (to, mode) in [("on", 1), ("off", 0), ("on", 1)] {
        switch("log", to);
        let pushed = device.message(&own("thing/config/log/push"));
        let pushed: Value = serde_json::from_slice(&pushed).expect("JSON");
        assert_eq!(pushed["params"]["content"]["mode"], mode, "{pushed}");
        let answer = json!({"id": pushed["id"], "code": 200, "data": {}}).to_string();
        device.publish_acknowledged(&own("thing/config/log/push_reply"), answer.as_bytes());
        assert_eq!(wanted(&mut device), mode);
    }
    for (rest, level) in [
        ("thing/log/post", "WARN"),
        ("thing/config/log/post", "ERROR"),
    ] {
        let line = json!([{"utcTime": "2026-01-02T03:04:05.678+0000", "logLevel": level,
            "module": "battery", "code": "7", "traceContext": "t", "logContent": "low"}]);
        assert_eq!(ask(&mut device, rest, line)["code"], 200);
        assert_eq!(ask(&mut device, rest, json!("x"))["code"], 460);
    }
    let log = shown("log");
    let rows: Vec<_> = log["items"].as_array().expect("a list").iter().collect();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let levels: Vec<_> = rows.iter().map(|row| text(row, "level")).collect();
    assert_eq!(levels, ["WARN", "ERROR"], "{log}");
    assert_eq!(
        (text(rows[0], "module"), text(rows[0], "text")),
        ("battery".to_owned(), "low".to_owned()),
        "{log}"
    );

    // A trace.
    switch("trace", "on");
    let strange = format!("/sys/{product}/cellar/thing/event/property/post");
    device.publish_acknowledged(&strange, b"{\"id\":\"1\",\"params\":{\"temperature\":1}}");
    assert!(device.subscribe(&format!("{strange}_reply")).is_error());
    let post = json!({"target": 99});
    let reply = ask(&mut device, "thing/event/property/post", post);
    assert_eq!(reply["code"], 200, "{reply}");
    let trace = shown("trace");
    let rows = trace["items"].as_array().expect("a list");
    let tells = |way: &str, topic: &str, part: &str| {
        let row = |row: &&Value| {
            row["way"] == way && row["topic"] == topic && text(row, "text").contains(part)
        };
        assert!(
            rows.iter().any(|one| row(&one)),
            "{way} {topic} {part}: {trace}"
        );
    };
    tells("note", &strange, "no right to publish");
    tells("note", &format!("{strange}_reply"), "no right to subscribe");
    let topic = own("thing/event/property/post");
    tells("up", &topic, "99");
    tells("down", &format!("{topic}_reply"), "\"code\":200");
    switch("trace", "off");
    assert_eq!(shown("trace")["items"], json!([]));
}
