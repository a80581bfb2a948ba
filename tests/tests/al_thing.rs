//! Chapter 6 of document 001 around the thing model: every data type with its specifications,
//! access modes, events of each kind, services and what devices answer, the template, and time.

use serde_json::{Map, Value, json};
use std::time::SystemTime;
use tests::{
    Server,
    http::{rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::{Key, scratch},
};
use wire::mqtt::{Ack, Packet, QoS, ReasonCode, Version};

/// A property of a type; `more` are its specifications.
fn property(identifier: &str, access: &str, data: &Value) -> Value {
    json!({
        "identifier": identifier, "name": identifier, "accessMode": access, "required": false,
        "dataType": data,
    })
}

fn field(identifier: &str, data: &Value) -> Value {
    json!({"identifier": identifier, "name": identifier, "dataType": data})
}

/// A thing model with everything in it.
fn model() -> Value {
    let int = |min: &str, max: &str| json!({"type": "int", "specs": {"min": min, "max": max, "step": "1"}});
    let float = json!({"type": "float", "specs": {"min": "-0.5", "max": "1.5", "step": "0.1"}});
    let double =
        json!({"type": "double", "specs": {"min": "0", "max": "1000000000", "unit": "kg"}});
    let mode = json!({"type": "enum", "specs": {"0": "off", "1": "slow", "12": "fast"}});
    let power = json!({"type": "bool", "specs": {"0": "off", "1": "on"}});
    let text = json!({"type": "text", "specs": {"length": "8"}});
    let date = json!({"type": "date", "specs": {}});
    let sample = json!({"type": "struct", "specs": [
        field("n", &int("0", "9")), field("label", &text), field("on", &power),
        field("at", &date), field("mode", &mode),
    ]});
    let fans = json!({"type": "array", "specs": {"size": "3", "item": {"type": "int"}}});
    let path = json!({"type": "array", "specs": {"size": "2", "item": {"type": "struct", "specs": [
        field("x", &double), field("label", &text),
    ]}}});
    let names = json!({"type": "array", "specs": {"size": "2", "item": {"type": "text"}}});
    json!({
        "schema": "https://iot.example/schema.json",
        "profile": {"productKey": ""},
        "properties": [
            property("Level", "rw", &int("0", "100")),
            property("Ratio", "r", &float),
            property("Mass", "r", &double),
            property("Mode", "rw", &mode),
            property("Power", "rw", &power),
            property("Label", "rw", &text),
            property("When", "r", &date),
            property("Sample", "rw", &sample),
            property("Fans", "r", &fans),
            property("Path", "rw", &path),
            property("Names", "r", &names),
            property("Code", "w", &text),
        ],
        "events": [
            {"identifier": "Noted", "name": "Noted", "type": "info", "required": false,
             "method": "thing.event.Noted.post", "outputData": [field("text", &text)]},
            {"identifier": "Alarm", "name": "Alarm", "type": "alert", "required": false,
             "method": "thing.event.Alarm.post",
             "outputData": [field("code", &int("0", "255")), field("sample", &sample)]},
            {"identifier": "Broken", "name": "Broken", "type": "error", "required": false,
             "method": "thing.event.Broken.post", "outputData": []},
        ],
        "services": [
            {"identifier": "Weigh", "name": "Weigh", "callType": "sync", "required": false,
             "method": "thing.service.Weigh",
             "inputData": [field("unit", &text)], "outputData": [field("mass", &double)]},
            {"identifier": "Tare", "name": "Tare", "callType": "async", "required": false,
             "method": "thing.service.Tare",
             "inputData": [field("to", &double)], "outputData": [field("was", &double)]},
        ],
        "functionBlocks": [{
            "functionBlockId": "room_1", "functionBlockName": "Room one",
            "properties": [property("Heat", "rw", &float)],
            "events": [{"identifier": "Opened", "name": "Opened", "type": "info", "required": false,
                        "method": "thing.event.Opened.post", "outputData": []}],
            "services": [],
        }],
    })
}

struct House {
    server: Server,
    key: Key,
    product: String,
    own: String,
    device: Mqtt,
    id: u32,
}

impl House {
    fn open() -> Self {
        let mut server = Server::start();
        let key = server.key();
        let folder = tempfile::tempdir().expect("a folder");
        let file = scratch(folder.path(), "model.json", &model().to_string());
        let file = file.to_str().expect("a plain path");
        let made = server.cli(&["product", "create", "scales", "--model", file]);
        let product = made["product_key"].as_str().expect("a key").to_owned();
        let secret = server.device(&product, "kitchen");
        let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
        let login = Login::signed(&product, "kitchen", &secret, ",_ss=1");
        assert_eq!(
            device.connect(&login, true, 600).reason,
            ReasonCode::Success
        );
        Self {
            server,
            key,
            own: format!("/sys/{product}/kitchen"),
            product,
            device,
            id: 0,
        }
    }

    /// Calls an action for the device; its answer, whatever it is.
    fn told(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let device = [
            ("ProductKey", self.product.as_str()),
            ("DeviceName", "kitchen"),
        ];
        let all = [&device, params].concat();
        let call = rpc_call(&self.key, "GET", action, &all);
        send_rpc(self.server.address("http"), "GET", &call).json()
    }

    /// Calls an action that must succeed.
    fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let told = self.told(action, params);
        assert_eq!(told["Success"], true, "{action} {params:?}: {told}");
        told
    }

    /// Sends an Alink request and gives back the reply.
    fn ask(&mut self, rest: &str, params: &Value) -> Value {
        self.id += 1;
        let topic = format!("{}{rest}", self.own);
        let request = json!({"id": self.id.to_string(), "version": "1.0", "params": params});
        self.device
            .publish_acknowledged(&topic, request.to_string().as_bytes());
        let reply = self.device.message(&format!("{topic}_reply"));
        let reply: Value = serde_json::from_slice(&reply).expect("JSON");
        assert_eq!(reply["id"], self.id.to_string(), "{reply}");
        reply
    }

    /// Posts a property; a post is done well whether its value is kept or dropped.
    fn post(&mut self, identifier: &str, value: &Value) {
        let reply = self.ask("/thing/event/property/post", &json!({identifier: value}));
        assert_eq!(
            (&reply["code"], &reply["data"]),
            (&json!(200), &json!({})),
            "{value}"
        );
    }

    /// The latest value of a property, as the application sees it; empty when there is none.
    fn latest(&self, identifier: &str) -> String {
        let told = self.call("QueryDevicePropertyStatus", &[]);
        let rows = told["Data"]["List"]["PropertyStatusInfo"]
            .as_array()
            .expect("rows");
        let row = rows.iter().find(|row| row["Identifier"] == identifier);
        let row = row.unwrap_or_else(|| panic!("no {identifier} in {told}"));
        row["Value"]
            .as_str()
            .unwrap_or_else(|| panic!("{row}"))
            .to_owned()
    }

    /// The next message on a topic that begins so: the rest of the topic, and the payload.
    fn request(&mut self, beginning: &str) -> (String, Value) {
        let what = format!("a message on {beginning}…");
        let packet = self.device.wait(
            &what,
            |p| matches!(p, Packet::Publish(p) if p.topic.starts_with(beginning)),
        );
        let Packet::Publish(message) = packet else {
            unreachable!("it was asked for")
        };
        if let (QoS::AtLeastOnce, Some(id)) = (message.qos, message.packet_id) {
            self.device
                .send(&Packet::PubAck(Ack::new(id, ReasonCode::Success)));
        }
        let rest = message.topic[beginning.len()..].to_owned();
        (
            rest,
            serde_json::from_slice(&message.payload).expect("JSON"),
        )
    }
}

/// Values that fit, with what is kept of them, and values that do not.
type Cases = (&'static str, Vec<(Value, &'static str)>, Vec<Value>);

fn cases() -> Vec<Cases> {
    vec![
        (
            "Level",
            vec![
                (json!(0), "0"),
                (json!(100), "100"),
                (json!("30"), "30"),
                (json!(31.0), "31"),
            ],
            vec![
                json!(-1),
                json!(101),
                json!(1.5),
                json!("x"),
                json!(true),
                json!(null),
                json!([]),
                json!({}),
                json!(3_000_000_000_u64),
                json!(""),
            ],
        ),
        (
            "Ratio",
            vec![
                (json!(-0.5), "-0.5"),
                (json!(1.5), "1.5"),
                (json!("0.25"), "0.25"),
                (json!(1), "1"),
            ],
            vec![
                json!(-0.6),
                json!(1.6),
                json!("NaN"),
                json!("inf"),
                json!(1e39),
                json!(false),
                json!([1]),
            ],
        ),
        (
            "Mass",
            vec![
                (json!(0), "0"),
                (json!(123_456.789), "123456.789"),
                (json!(1_000_000_000), "1000000000"),
            ],
            vec![
                json!(-0.001),
                json!(1_000_000_001),
                json!("heavy"),
                json!({}),
                json!(null),
            ],
        ),
        (
            "Mode",
            vec![(json!(0), "0"), (json!("1"), "1"), (json!(12), "12")],
            vec![json!(2), json!(-1), json!("fast"), json!(0.5), json!([0])],
        ),
        (
            "Power",
            vec![
                (json!(0), "0"),
                (json!(1), "1"),
                (json!(false), "0"),
                (json!(true), "1"),
            ],
            vec![json!(2), json!(-1), json!("on"), json!(null), json!({})],
        ),
        (
            "Label",
            vec![
                (json!("eight ch"), "eight ch"),
                (json!("水位水位水位水位"), "水位水位水位水位"),
                (json!("12"), "12"),
            ],
            vec![
                json!("nine char"),
                json!("水位水位水位水位水"),
                json!(12),
                json!(null),
                json!(["a"]),
            ],
        ),
        (
            "When",
            vec![
                (json!("1524448722000"), "1524448722000"),
                (json!(1_524_448_722_001_i64), "1524448722001"),
            ],
            vec![
                json!("yesterday"),
                json!(-1),
                json!("2020-01-01"),
                json!(1.5),
                json!(""),
            ],
        ),
        (
            "Sample",
            vec![
                (
                    json!({"n": 3, "label": "a", "on": true, "at": "5", "mode": 12}),
                    r#"{"n":3,"label":"a","on":1,"at":"5","mode":12}"#,
                ),
                (json!({"n": "9"}), r#"{"n":9}"#),
            ],
            vec![
                json!({"n": 10}),
                json!({"nobody": 1}),
                json!({"n": 3, "label": 123}),
                json!({"mode": 2}),
                json!(7),
                json!([3]),
                json!("{}"),
            ],
        ),
        (
            "Fans",
            vec![
                (json!([]), "[]"),
                (json!([1, 2, 3]), "[1,2,3]"),
                (json!([-2_147_483_648_i64]), "[-2147483648]"),
            ],
            vec![
                json!([1, 2, 3, 4]),
                json!(["x"]),
                json!([1, null]),
                json!(7),
                json!({"0": 1}),
                json!([2_147_483_648_i64]),
            ],
        ),
        (
            "Path",
            vec![(
                json!([{"x": 0.5, "label": "a"}, {"x": 1}]),
                r#"[{"x":0.5,"label":"a"},{"x":1}]"#,
            )],
            vec![
                json!([{"x": -1}]),
                json!([{"y": 1}]),
                json!([[1]]),
                json!([{}, {}, {}]),
                json!({"x": 1}),
            ],
        ),
        (
            "Names",
            vec![(json!(["a", "b"]), r#"["a","b"]"#)],
            vec![json!(["a", 1]), json!(["a", "b", "c"]), json!("a")],
        ),
        (
            "room_1:Heat",
            vec![(json!(1.25), "1.25"), (json!("0.5"), "0.5")],
            vec![json!(2), json!("warm"), json!({})],
        ),
    ]
}

/// [AL-6.12] [AL-6.3] Every data type, bare and with a time: what fits is kept, what does not is
/// dropped, and both are a success to the device.
#[test]
fn every_data_type_is_kept_or_dropped_by_its_specifications() {
    let mut house = House::open();
    for (identifier, good, bad) in cases() {
        let mut last = String::new();
        for value in &bad {
            house.post(identifier, value);
            assert_eq!(
                house.latest(identifier),
                last,
                "{identifier} {value} is dropped"
            );
        }
        for (value, kept) in &good {
            house.post(identifier, value);
            last = house.latest(identifier);
            let same = last == *kept
                || (kept.starts_with(['{', '['])
                    && serde_json::from_str::<Value>(&last).ok()
                        == serde_json::from_str(kept).ok());
            assert!(same, "{identifier} {value} is kept as {kept}, not {last}");
        }
        for value in &bad {
            house.post(identifier, value);
            assert_eq!(
                house.latest(identifier),
                last,
                "{identifier} {value} is dropped"
            );
        }
        // With the time at which it was so, of which a wrong one makes the value doubtful.
        let now = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_millis() as i64;
        let (value, kept) = &good[0];
        house.post(identifier, &json!({"value": value, "time": "yesterday"}));
        assert_eq!(
            house.latest(identifier),
            last,
            "{identifier} with a wrong time is dropped"
        );
        house.post(identifier, &json!({"value": value, "time": now + 1}));
        let told = house.latest(identifier);
        assert!(
            told == *kept
                || serde_json::from_str::<Value>(&told).ok() == serde_json::from_str(kept).ok(),
            "{identifier} with a time: {told}"
        );
    }
    // In one message, what fits is kept beside what does not.
    let mixed = json!({"Level": 77, "Ratio": 9, "Nobody": 1, "room_1:Heat": 1, "room_2:Heat": 1, "Heat": 1});
    let reply = house.ask("/thing/event/property/post", &mixed);
    assert_eq!(reply["code"], 200);
    assert_eq!(house.latest("Level"), "77");
    assert_eq!(house.latest("room_1:Heat"), "1");
    assert_ne!(house.latest("Ratio"), "9");
}

/// [AL-6.12] A block's properties are asked for by the block.
#[test]
fn a_block_has_properties_of_its_own() {
    let mut house = House::open();
    house.post("room_1:Heat", &json!(0.5));
    let told = house.call(
        "QueryDevicePropertyStatus",
        &[("FunctionBlockId", "room_1")],
    );
    let rows = told["Data"]["List"]["PropertyStatusInfo"]
        .as_array()
        .expect("rows");
    assert_eq!(rows.len(), 1, "{told}");
    assert_eq!(rows[0]["Identifier"], "room_1:Heat");
    assert_eq!(rows[0]["Value"], "0.5");
    let reply = house.ask("/thing/event/room_1:Opened/post", &json!({"value": {}}));
    assert_eq!(reply["code"], 200, "{reply}");
    let told = house.call(
        "QueryDeviceEventData",
        &[
            ("Identifier", "room_1:Opened"),
            ("StartTime", "0"),
            ("EndTime", "9999999999999"),
        ],
    );
    let rows = told["Data"]["List"]["EventInfo"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{told}");
    house.call("SetDeviceProperty", &[("Items", r#"{"room_1:Heat":0.75}"#)]);
    let topic = format!("{}/thing/service/property/set", house.own);
    let (_, request) = house.request(&topic);
    assert_eq!(request["params"], json!({"room_1:Heat": 0.75}));
}

/// [AL-6.12] [AL-6.3] The cloud sets what may be written, in range, all or nothing; a device
/// reports what may be read.
#[test]
fn access_modes_hold_in_both_directions() {
    let mut house = House::open();
    house.post("Code", &json!("1234"));
    assert_eq!(house.latest("Code"), "", "write-only: not reported");
    house.post("Ratio", &json!(0.5));
    assert_eq!(house.latest("Ratio"), "0.5", "read-only: reported");
    for (items, code) in [
        (r#"{"Ratio":1}"#, "iot.device.SetDevicePropertyFailed"),
        (r#"{"Level":101}"#, "iot.device.SetDevicePropertyFailed"),
        (
            r#"{"Level":50,"Ratio":1}"#,
            "iot.device.SetDevicePropertyFailed",
        ),
        (r#"{"Nobody":1}"#, "iot.device.SetDevicePropertyFailed"),
        (
            r#"{"Sample":{"n":10}}"#,
            "iot.device.SetDevicePropertyFailed",
        ),
        (
            r#"{"Path":[{"x":1},{"x":1},{"x":1}]}"#,
            "iot.device.SetDevicePropertyFailed",
        ),
        ("{}", "iot.device.NoneDeviceProperties"),
        ("[]", "iot.device.InvalidFormattedDevicePropertiesString"),
        ("{", "iot.device.InvalidFormattedDevicePropertiesString"),
    ] {
        let told = house.told("SetDeviceProperty", &[("Items", items)]);
        assert_eq!(
            (&told["Success"], &told["Code"]),
            (&json!(false), &json!(code)),
            "{items}: {told}"
        );
    }
    let items = json!({
        "Level": 50, "Mode": 12, "Power": 1, "Label": "a", "Code": "1234",
        "Sample": {"n": 1, "on": 0}, "Path": [{"x": 1.5, "label": "b"}],
    });
    let told = house.call("SetDeviceProperty", &[("Items", &items.to_string())]);
    let topic = format!("{}/thing/service/property/set", house.own);
    let (_, request) = house.request(&topic);
    assert_eq!(
        request["params"], items,
        "what was refused was not sent, and this was"
    );
    assert_eq!(request["id"], told["Data"]["MessageId"]);
    assert_eq!(request["method"], "thing.service.property.set");
}

/// [AL-6.4] Events of each kind are kept whole or refused whole, and read back by kind.
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
