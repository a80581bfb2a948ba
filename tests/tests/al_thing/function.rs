//! Events, the template, services with what devices answer, and time.

use crate::{House, model};
use serde_json::{Map, Value, json};
use std::time::SystemTime;
use tests::{
    http::{rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::scratch,
};
use wire::mqtt::{ReasonCode, Version};

/// [AL-6.4] Events of each kind are kept whole or refused whole, and read back by kind.
/// Document: [001 6.5].
#[test]
fn events_of_each_kind_are_kept_or_refused() {
    let mut house = House::open();
    let events = |house: &House, kind: &str| -> Vec<Value> {
        let told = house.call(
            "QueryDeviceEventData",
            &[
                ("EventType", kind),
                ("StartTime", "0"),
                ("EndTime", "9999999999999"),
            ],
        );
        told["Data"]["List"]["EventInfo"]
            .as_array()
            .expect("rows")
            .clone()
    };
    for (event, kind, good, bad) in [
        (
            "Noted",
            "info",
            json!({"text": "hello"}),
            vec![
                json!({"text": "far too long"}),
                json!({"text": 7}),
                json!({"more": 1}),
                json!([]),
                json!("x"),
            ],
        ),
        (
            "Alarm",
            "alert",
            json!({"code": 255, "sample": {"n": 1, "on": 1}}),
            vec![
                json!({"code": 256}),
                json!({"sample": {"n": 10}}),
                json!({"code": 1, "nobody": 1}),
            ],
        ),
        (
            "Broken",
            "error",
            json!({}),
            vec![json!({"code": 1}), json!(7)],
        ),
    ] {
        let topic = format!("/thing/event/{event}/post");
        for output in bad {
            let reply = house.ask(&topic, &json!({"value": output}));
            assert_eq!(reply["code"], 460, "{event} {output}: {reply}");
        }
        let reply = house.ask(&topic, &json!({"value": good, "time": "yesterday"}));
        assert_eq!(reply["code"], 460, "{event} with a wrong time: {reply}");
        assert_eq!(
            events(&house, kind),
            Vec::<Value>::new(),
            "nothing of these is kept"
        );
        let reply = house.ask(&topic, &json!({"value": good}));
        assert_eq!(
            (&reply["code"], &reply["data"]),
            (&json!(200), &json!({})),
            "{reply}"
        );
        let rows = events(&house, kind);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(
            (&rows[0]["Identifier"], &rows[0]["EventType"]),
            (&json!(event), &json!(kind))
        );
        let output: Value =
            serde_json::from_str(rows[0]["OutputData"].as_str().expect("text")).expect("JSON");
        assert_eq!(output, good);
    }
    let reply = house.ask("/thing/event/Nobody/post", &json!({"value": {}}));
    assert_eq!(reply["code"], 460, "{reply}");
}

/// [AL-6.12] A device fetches its own thing model, by the name of the document and by that of the
/// SDKs; a product without one has none to give.
/// Document: [001 6.5] [001 6.10].
#[test]
fn a_device_fetches_its_thing_model() {
    let mut house = House::open();
    let imported = model();
    for topic in ["/thing/dsltemplate/get", "/thing/dynamicTsl/get"] {
        let reply = house.ask(topic, &json!({}));
        assert_eq!(reply["code"], 200, "{topic}: {reply}");
        let document = &reply["data"];
        assert_eq!(document["profile"]["productKey"], house.product.as_str());
        let types = |document: &Value| -> Map<String, Value> {
            let list = document["properties"].as_array().expect("properties");
            let row = |p: &Value| {
                let name = p["identifier"].as_str().expect("a name").to_owned();
                (name, json!([p["dataType"]["type"], p["accessMode"]]))
            };
            list.iter().map(row).collect()
        };
        assert_eq!(types(document), types(&imported), "{topic}");
        for property in document["properties"].as_array().expect("properties") {
            let specs = &property["dataType"]["specs"];
            match property["dataType"]["type"].as_str().expect("a type") {
                "int" | "float" | "double" => {
                    assert!(
                        specs["min"].is_string() && specs["max"].is_string(),
                        "{property}"
                    );
                }
                "enum" | "bool" => assert!(specs["0"].is_string(), "{property}"),
                "text" => assert_eq!(specs["length"], "8"),
                "struct" => assert_eq!(specs.as_array().map(Vec::len), Some(5), "{property}"),
                "array" => assert!(specs["item"]["type"].is_string(), "{property}"),
                "date" => {}
                other => panic!("an unknown type {other}"),
            }
        }
        for event in ["Noted", "Alarm", "Broken"] {
            let events = document["events"].as_array().expect("events");
            assert!(
                events.iter().any(|e| e["identifier"] == event),
                "{topic}: no {event}"
            );
        }
        for service in ["Weigh", "Tare"] {
            let services = document["services"].as_array().expect("services");
            assert!(
                services.iter().any(|s| s["identifier"] == service),
                "{topic}: no {service}"
            );
        }
    }
    // What was exported can be imported again, and says the same.
    let reply = house.ask("/thing/dsltemplate/get", &json!({}));
    let folder = tempfile::tempdir().expect("a folder");
    let file = scratch(folder.path(), "again.json", &reply["data"].to_string());
    let file = file.to_str().expect("a plain path");
    house
        .server
        .cli(&["product", "model", &house.product, "--import", file]);
    let again = house.ask("/thing/dsltemplate/get", &json!({}));
    for part in ["properties", "events", "services", "functionBlocks"] {
        assert_eq!(again["data"][part], reply["data"][part], "{part}");
    }

    let made = house.server.cli(&["product", "create", "plain"]);
    let plain = made["product_key"].as_str().expect("a key").to_owned();
    let secret = house.server.device(&plain, "kitchen");
    let login = Login::signed(&plain, "kitchen", &secret, ",_ss=1");
    let mut device = Mqtt::open(house.server.address("mqtt"), None, Version::V311);
    assert_eq!(
        device.connect(&login, true, 600).reason,
        ReasonCode::Success
    );
    for topic in ["dsltemplate/get", "event/property/post"] {
        let topic = format!("/sys/{plain}/kitchen/thing/{topic}");
        device.publish_acknowledged(&topic, b"{\"id\":\"1\",\"params\":{\"a\":1}}");
        let reply: Value =
            serde_json::from_slice(&device.message(&format!("{topic}_reply"))).expect("JSON");
        assert_eq!(reply["code"], 6313, "{topic}: {reply}");
    }
}

/// [AL-6.14] [AL-6.5] What a device answers is its answer, whatever its code: the caller of a
/// synchronous service gets the code, the data and the message as they are.
/// Document: [001 6.13].
#[test]
fn codes_of_devices_reach_the_caller() {
    let mut house = House::open();
    let rrpc = format!("{}/rrpc/request/", house.own);
    assert_eq!(
        house.device.subscribe(&format!("{rrpc}+")),
        ReasonCode::GrantedQoS1
    );
    for (code, data, message) in [
        (200, json!({"mass": 1.5}), "success"),
        (400, json!({}), "request error"),
        (429, json!({}), "too many requests"),
        (460, json!({}), "request parameter error"),
        (100_000, json!({"why": [1, null]}), "mine"),
        (110_000, json!({}), ""),
        (-1, json!({}), "negative"),
        (7, json!({}), "nobody's"),
    ] {
        let (address, key, product) = (
            house.server.address("http"),
            house.key.clone(),
            house.product.clone(),
        );
        let caller = std::thread::spawn(move || {
            let params = [
                ("ProductKey", product.as_str()),
                ("DeviceName", "kitchen"),
                ("Identifier", "Weigh"),
                ("Args", r#"{"unit":"kg"}"#),
            ];
            send_rpc(
                address,
                "GET",
                &rpc_call(&key, "GET", "InvokeThingService", &params),
            )
            .json()
        });
        let (id, request) = house.request(&rrpc);
        assert_eq!(request["method"], "thing.service.Weigh");
        assert_eq!(request["params"], json!({"unit": "kg"}));
        let answer = json!({"id": request["id"], "code": code, "data": data, "message": message});
        let topic = format!("{}/rrpc/response/{id}", house.own);
        house
            .device
            .publish_acknowledged(&topic, answer.to_string().as_bytes());
        let told = caller.join().expect("the caller");
        assert_eq!(told["Success"], true, "{code}: {told}");
        assert_eq!(told["Data"]["MessageId"], id.as_str());
        let result: Value =
            serde_json::from_str(told["Data"]["Result"].as_str().expect("text")).expect("JSON");
        assert_eq!(result["code"], code, "{told}");
        assert_eq!(result["data"], data, "{told}");
        assert_eq!(result["message"], message, "{told}");
    }
}

/// [AL-6.14] [AL-6.5] The same for asynchronous services, whose answers are read from the history.
/// Document: [001 6.5] [001 6.13].
#[test]
fn answers_to_asynchronous_services_are_kept_whatever_their_code() {
    let mut house = House::open();
    for (n, code) in [200, 400, 429, 460, 100_000, 110_000]
        .into_iter()
        .enumerate()
    {
        let args = json!({"to": n}).to_string();
        let told = house.call(
            "InvokeThingService",
            &[("Identifier", "Tare"), ("Args", &args)],
        );
        let topic = format!("{}/thing/service/Tare", house.own);
        let (_, request) = house.request(&topic);
        assert_eq!(request["id"], told["Data"]["MessageId"]);
        let answer = json!({"id": request["id"], "code": code, "data": {"was": n}, "message": "m"});
        house
            .device
            .publish_acknowledged(&format!("{topic}_reply"), answer.to_string().as_bytes());
        let told = house.call(
            "QueryDeviceServiceData",
            &[
                ("Identifier", "Tare"),
                ("StartTime", "0"),
                ("EndTime", "9999999999999"),
                ("Asc", "1"),
            ],
        );
        let rows = told["Data"]["List"]["ServiceInfo"]
            .as_array()
            .expect("rows");
        assert_eq!(rows.len(), n + 1, "{code} is kept: {told}");
        let json = |field: &str| -> Value {
            serde_json::from_str(rows[n][field].as_str().expect("text")).expect("JSON")
        };
        assert_eq!(json("InputData")["to"].as_f64(), Some(n as f64), "{told}");
        assert!(
            rows[n]["OutputData"]
                .as_str()
                .expect("text")
                .contains("was"),
            "{code}: {told}"
        );
    }
    // An answer to nothing is nobody's, and harms nobody.
    let topic = format!("{}/thing/service/Tare_reply", house.own);
    house
        .device
        .publish_acknowledged(&topic, br#"{"id":"4000000000","code":200,"data":{}}"#);
    house.device.ping();
}

/// [AL-6.12] spec/alink-wire.md §6.2: a device without a clock asks for the time, and gets texts.
#[test]
fn a_device_asks_for_the_time() {
    let mut house = House::open();
    let topic = format!("/ext/ntp/{}/kitchen", house.product);
    house.device.subscribe(&format!("{topic}/response"));
    let now = || {
        SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_millis() as i64
    };
    let before = now();
    house.device.publish_acknowledged(
        &format!("{topic}/request"),
        br#"{"deviceSendTime":"1571724098000"}"#,
    );
    let reply = house.device.message(&format!("{topic}/response"));
    let reply: Value = serde_json::from_slice(&reply).expect("JSON");
    assert_eq!(reply["deviceSendTime"], "1571724098000");
    for field in ["serverRecvTime", "serverSendTime"] {
        let time: i64 = reply[field]
            .as_str()
            .expect("text")
            .parse()
            .expect("a number");
        assert!((before..=now()).contains(&time), "{field}: {reply}");
    }
}
