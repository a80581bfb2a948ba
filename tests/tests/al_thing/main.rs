//! Chapter 6 of document 001 around the thing model: every data type with its specifications,
//! access modes, events of each kind, services and what devices answer, the template, and time.

mod function;
mod silent;
mod value;

use serde_json::{Value, json};
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
        Self::open_with(&[])
    }

    fn open_with(settings: &[&str]) -> Self {
        let mut server = Server::start_with(settings);
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
