//! The first story: a device that nobody re-flashed and an application that nobody rewrote meet
//! through Muster, over every SDK that the vendor publishes for it.

use postgres::cluster::Cluster;
use serde_json::{Value, json};
use tests::{Client, Server, eventually, server::App};

const SCHEMES: &[(App, bool)] = &[
    (App::Core, true),
    (App::Core, false),
    (App::Tea, true),
    (App::Tea, false),
    (App::TeaV2, true),
    (App::TeaV2, false),
    (App::Pop, true),
    (App::Pop, false),
];

fn thermometer() -> String {
    tests::root()
        .join("examples/thermometer.json")
        .to_string_lossy()
        .into_owned()
}

/// Starts the Python device SDK with a secret of its own, and waits until it may post.
fn device(server: &Server, product: &str, name: &str, secret: &str, secure: bool) -> Client {
    let address = server.address(if secure { "mqtts" } else { "mqtt" });
    let mut device = Client::python("device.py");
    device.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": address.port(), "product": product,
        "device": name, "secret": secret, "tsl": thermometer(),
        "ca": secure.then(|| server.ca()),
    }));
    assert_eq!(device.wait("connect")["rc"], 0);
    device.wait("enable");
    device
}

/// The latest values that an application sees, by identifier.
fn status(app: &mut Client, product: &str, name: &str) -> Value {
    let answer = app.call(
        "QueryDevicePropertyStatus",
        &json!({"ProductKey": product, "DeviceName": name}),
    );
    assert_eq!(answer["Success"], true, "{answer}");
    answer["Data"]["List"]["PropertyStatusInfo"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .map(|p| {
            (
                p["Identifier"].as_str().unwrap().to_owned(),
                p["Value"].clone(),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// [AL-2.3] [AL-2.2] [AL-3.2] [AL-6.3] [AL-6.4] [AL-6.5] [AL-7.1] [LK-1] The whole story, with the
/// device over TLS; after `kill -9` nothing that was acknowledged is missing.
#[test]
fn a_device_registers_itself_and_an_application_reads_sets_and_calls_it() {
    story(Server::start());
}

/// [LK-1] The same with the registry and the histories in PostgreSQL, by one line of configuration.
#[test]
fn the_story_is_the_same_with_a_database() {
    let cluster = Cluster::start();
    let store = format!("store={}", cluster.database());
    story(Server::start_with(&[&store]));
}

fn story(mut server: Server) {
    // 1. The operator.
    let (product, product_secret) = server.product("thermometer");
    server.cli(&["product", "registration", &product, "on", "--yes"]);
    server.cli(&["device", "create", &product, "kitchen"]);

    // 2. The device.
    let address = server.address("mqtts");
    let mut register = Client::python("device.py");
    register.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": address.port(), "ca": server.ca(),
        "product": product, "device": "kitchen", "product_secret": product_secret,
        "auth": "register",
    }));
    let registered = register.wait("registered");
    assert_eq!(registered["rc"], 0, "{registered}");
    let secret = registered["value"].as_str().expect("a secret").to_owned();
    drop(register);
    let mut kitchen = device(&server, &product, "kitchen", &secret, true);
    kitchen.order(&json!({"do": "answer", "code": 200, "data": {"count": 7}}));
    kitchen.order(&json!({"do": "post", "params": {"temperature": 21.5}}));
    let reply = kitchen.wait("prop_post");
    assert_eq!(
        (&reply["code"], &reply["message"]),
        (&json!(200), &json!("success"))
    );
    kitchen.order(&json!({"do": "event", "identifier": "overheated", "params": {"peak": 99.5}}));
    assert_eq!(kitchen.wait("event_post")["code"], 200);

    // 3. The applications.
    let all = json!({
        "ProductKey": product, "DeviceName": "kitchen", "StartTime": 0,
        "EndTime": 4_102_444_800_000_i64, "Asc": 1, "PageSize": 50,
    });
    let with = |more: Value| {
        let mut params = all.clone();
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        params
    };
    for (round, &(sdk, secure)) in SCHEMES.iter().enumerate() {
        let mut app = server.app(sdk, secure);
        assert_eq!(
            status(&mut app, &product, "kitchen")["temperature"],
            "21.5",
            "{sdk:?}"
        );

        let events = app.call(
            "QueryDeviceEventData",
            &with(json!({"Identifier": "overheated"})),
        );
        let events = &events["Data"]["List"]["EventInfo"];
        assert_eq!(
            events.as_array().map(Vec::len),
            Some(1),
            "{sdk:?}: {events}"
        );
        let output: Value =
            serde_json::from_str(events[0]["OutputData"].as_str().unwrap()).unwrap();
        assert_eq!(output["peak"], 99.5);

        let target = 20 + round;
        let device = json!({"ProductKey": product, "DeviceName": "kitchen"});
        let mut set = device.clone();
        set["Items"] = json!(json!({"target": target}).to_string());
        let answer = app.call("SetDeviceProperty", &set);
        assert_eq!(answer["Success"], true, "{sdk:?}: {answer}");
        assert!(answer["Data"]["MessageId"].is_string(), "{answer}");
        let changed = kitchen.wait("prop_changed");
        assert_eq!(changed["params"], json!({"target": target}), "{sdk:?}");
        kitchen.order(&json!({"do": "post", "params": changed["params"]}));
        assert_eq!(kitchen.wait("prop_post")["code"], 200);
        assert_eq!(
            status(&mut app, &product, "kitchen")["target"],
            target.to_string()
        );

        let mut call = device.clone();
        call["Identifier"] = json!("reboot");
        call["Args"] = json!(json!({"delay": round}).to_string());
        assert_eq!(app.call("InvokeThingService", &call)["Success"], true);
        let called = kitchen.wait("service");
        assert_eq!(called["params"], json!({"delay": round}), "{sdk:?}");
        let answered = eventually("the device's answer", || {
            let calls = app.call(
                "QueryDeviceServiceData",
                &with(json!({"Identifier": "reboot"})),
            );
            let calls = calls["Data"]["List"]["ServiceInfo"].as_array()?.clone();
            (calls.len() == round + 1).then(|| calls[round].clone())
        });
        let text = |field: &str| answered[field].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            serde_json::from_str::<Value>(&text("InputData")).unwrap(),
            json!({"delay": round}),
            "{answered}"
        );
        assert!(
            text("OutputData").contains("\"count\":7"),
            "{sdk:?}: {answered}"
        );
    }

    // 4. Nothing acknowledged is missing.
    server.kill();
    server.resume();
    let mut app = server.app(App::Core, true);
    let latest = status(&mut app, &product, "kitchen");
    assert_eq!(latest["temperature"], "21.5");
    assert_eq!(latest["target"], (20 + SCHEMES.len() - 1).to_string());
    let history = app.call(
        "QueryDevicePropertyData",
        &with(json!({"Identifier": "target"})),
    );
    let history = history["Data"]["List"]["PropertyInfo"]
        .as_array()
        .unwrap()
        .clone();
    let values: Vec<_> = history
        .iter()
        .map(|p| p["Value"].as_str().unwrap().to_owned())
        .collect();
    let wanted: Vec<_> = (0..SCHEMES.len())
        .map(|round| (20 + round).to_string())
        .collect();
    assert_eq!(values, wanted, "in order, none missing");
}

/// [AL-7.1] The same question in XML gives the same answer, as the Java SDK wants it.
#[test]
fn answers_come_in_xml_too() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    server.device(&product, "kitchen");
    let mut app = server.app(App::Core, true);
    let told = app.ask(&json!({
        "action": "QueryDeviceDetail", "format": "XML",
        "params": {"ProductKey": product, "DeviceName": "kitchen"},
    }));
    let xml = told["answer"].as_str().unwrap_or_else(|| panic!("{told}"));
    assert!(xml.contains("<QueryDeviceDetailResponse>"), "{xml}");
    assert!(xml.contains("<Success>true</Success>"), "{xml}");
    assert!(xml.contains("<Status>UNACTIVE</Status>"), "{xml}");
}
