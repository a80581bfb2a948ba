//! Chapter 6 of document 001 as the bytes of a device without any SDK: desired properties, notices,
//! tags, the template, firmware and configuration, with the codes that the document prints.

use serde_json::{Value, json};
use tests::{
    Server,
    http::{rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::{Key, scratch},
};
use wire::mqtt::{Packet, ReasonCode, Version};

/// A server with one device.
struct House {
    server: Server,
    key: Key,
    product: String,
    secret: String,
}

impl House {
    fn open() -> Self {
        let mut server = Server::start();
        let key = server.key();
        let (product, _) = server.product("thermometer");
        let secret = server.device(&product, "kitchen");
        Self {
            server,
            key,
            product,
            secret,
        }
    }

    /// The device, connected; it gets the vendor's topics without subscribing.
    fn device(&self) -> Device {
        self.device_with(",_ss=1", true)
    }

    fn device_with(&self, parameters: &str, clean: bool) -> Device {
        let mut line = Mqtt::open(self.server.address("mqtt"), None, Version::V311);
        let login = Login::signed(&self.product, "kitchen", &self.secret, parameters);
        assert_eq!(line.connect(&login, clean, 600).reason, ReasonCode::Success);
        Device {
            product: self.product.clone(),
            line,
            id: 0,
        }
    }

    /// Calls an action about the device, which must succeed.
    fn call(&self, action: &str) {
        let device = [
            ("ProductKey", self.product.as_str()),
            ("DeviceName", "kitchen"),
        ];
        let call = rpc_call(&self.key, "GET", action, &device);
        let told = send_rpc(self.server.address("http"), "GET", &call).json();
        assert_eq!(told["Success"], true, "{action}: {told}");
    }

    fn status(&self) -> Value {
        self.server
            .cli(&["device", "show", &self.product, "kitchen"])["state"]
            .clone()
    }
}

struct Device {
    product: String,
    line: Mqtt,
    id: u32,
}

impl Device {
    fn topic(&self, rest: &str) -> String {
        format!("/sys/{}/kitchen/{rest}", self.product)
    }

    /// Sends an Alink request and gives back the reply.
    fn ask(&mut self, rest: &str, params: &Value) -> Value {
        self.id += 1;
        let request = json!({"id": self.id.to_string(), "version": "1.0", "params": params});
        let reply = self.raw(rest, request.to_string().as_bytes());
        assert_eq!(reply["id"], self.id.to_string(), "{reply}");
        reply
    }

    fn raw(&mut self, rest: &str, payload: &[u8]) -> Value {
        let topic = self.topic(rest);
        self.line.publish_acknowledged(&topic, payload);
        self.heard(&format!("{topic}_reply"))
    }

    /// The next message on a topic.
    fn heard(&mut self, topic: &str) -> Value {
        serde_json::from_slice(&self.line.message(topic)).expect("JSON")
    }

    /// What comes until the server ends the connection: topics below the device's own, in order.
    fn last_words(&mut self) -> Vec<String> {
        let own = self.topic("");
        let mut heard = Vec::new();
        while let Some(packet) = self.line.receive() {
            if let Packet::Publish(message) = packet {
                heard.push(message.topic.replace(&own, ""));
            }
        }
        heard
    }
}

/// [AL-6.8] Desired properties are fetched with their versions and cleared by them; an old version
/// clears nothing. Document: [001 6.6].
#[test]
fn desired_properties_are_fetched_and_cleared() {
    let house = House::open();
    house
        .server
        .cli(&["device", "desired", &house.product, "kitchen", "target=24"]);
    let mut device = house.device();
    let get = "thing/property/desired/get";
    let delete = "thing/property/desired/delete";
    let reply = device.ask(get, &json!(["target", "temperature"]));
    let wanted = json!({"target": {"value": 24, "version": 1}});
    assert_eq!((&reply["code"], &reply["data"]), (&200.into(), &wanted));
    house
        .server
        .cli(&["device", "desired", &house.product, "kitchen", "target=25"]);
    let reply = device.ask(delete, &json!({"target": {"version": 1}}));
    assert_eq!(reply["code"], 200, "{reply}");
    let reply = device.ask(get, &json!(["target"]));
    assert_eq!(
        reply["data"]["target"]["version"], 2,
        "an old version: {reply}"
    );
    device.ask(delete, &json!({"target": {"version": 2}}));
    let reply = device.ask(get, &json!(["target"]));
    assert_eq!(reply["data"], json!({}), "{reply}");
    for (rest, params) in [(get, json!({})), (get, json!([7])), (delete, json!([]))] {
        let reply = device.ask(rest, &params);
        assert_eq!(reply["code"], 460, "{params}: {reply}");
    }
}

/// [AL-6.11] Tags are set and removed by the device; what breaks a rule is refused with 460 and
/// changes nothing. Document: [001 6.9].
#[test]
fn tags_are_set_and_removed_by_the_device() {
    let house = House::open();
    let mut device = house.device();
    let (update, delete) = ("thing/deviceinfo/update", "thing/deviceinfo/delete");
    let tags = || {
        house
            .server
            .cli(&["device", "show", &house.product, "kitchen"])["tags"]
            .clone()
    };
    let tag = |name: &str, value: &str| json!([{"attrKey": name, "attrValue": value}]);
    let reply = device.ask(update, &tag("Temperature", "36.8"));
    assert_eq!((&reply["code"], &reply["data"]), (&200.into(), &json!({})));
    assert_eq!(tags(), json!({"Temperature": "36.8"}));
    let listed = house.server.cli(&["device", "list", &house.product]);
    assert_eq!(listed[0]["device_name"], "kitchen");
    assert_eq!(listed[0].get("tags"), None, "not looked up for a list");
    for bad in [
        json!("x"),
        tag("9x", "1"),
        tag("a b", "1"),
        tag("a", ""),
        json!([{}]),
    ] {
        let reply = device.ask(update, &bad);
        assert_eq!(reply["code"], 460, "{bad}: {reply}");
    }
    for bad in [json!("x"), json!([{"attrKey": 7}])] {
        let reply = device.ask(delete, &bad);
        assert_eq!(reply["code"], 460, "{bad}: {reply}");
    }
    assert_eq!(tags(), json!({"Temperature": "36.8"}));
    let reply = device.ask(delete, &json!([{"attrKey": "Temperature"}]));
    assert_eq!(reply["code"], 200, "{reply}");
    assert_eq!(tags(), json!({}));
}

/// [AL-6.12] [AL-4.1] What cannot be read is told with 460 to a device that asks for its model, and
/// one for which there is no firmware hears 500. Document: [001 6.10] [001 6.11].
#[test]
fn a_device_learns_what_is_wrong_with_its_question() {
    let house = House::open();
    let mut device = house.device();
    let reply = device.raw("thing/dsltemplate/get", b"{\"id\":\"7\",\"params\":");
    assert_eq!((&reply["id"], &reply["code"]), (&json!("7"), &json!(460)));
    let reply = device.ask("thing/dsltemplate/get", &json!({}));
    assert_eq!(reply["code"], 200, "{reply}");
    let topic = format!("/ota/device/request/{}/kitchen", device.product);
    let request = json!({"id": "1", "version": "1.0", "params": {"version": "1.0"}});
    device
        .line
        .publish_acknowledged(&topic, request.to_string().as_bytes());
    let reply = device.heard(&topic);
    assert_eq!(reply["code"], 500, "{reply}");
    assert_eq!(reply["message"], "none upgrade operation of the device.");
}

/// [AL-6.13] Configuration is asked for and pushed: 6713 while it is off, 6710 while there is none.
/// Document: [001 6.12].
#[test]
fn configuration_is_asked_for_and_pushed() {
    let house = House::open();
    let (server, product) = (&house.server, house.product.as_str());
    let mut device = house.device();
    let wanted = json!({"configScope": "product", "getType": "file"});
    let get = "thing/config/get";
    assert_eq!(device.ask(get, &wanted)["code"], 6713);
    server.cli(&["product", "config", product, "on"]);
    assert_eq!(device.ask(get, &wanted)["code"], 6710);
    let file = scratch(
        &std::env::temp_dir(),
        "muster-al-alink.json",
        "{\"rate\":10}",
    );
    let file = file.to_string_lossy().into_owned();
    server.cli(&["product", "config", product, "--document", &file]);
    let reply = device.ask(get, &wanted);
    assert_eq!(reply["code"], 200, "{reply}");
    for field in [
        "configId",
        "configSize",
        "sign",
        "signMethod",
        "url",
        "getType",
    ] {
        assert!(!reply["data"][field].is_null(), "{field}: {reply}");
    }
    server.cli(&["product", "config", product, "--push", "kitchen"]);
    let topic = device.topic("thing/config/push");
    let pushed = device.heard(&topic);
    assert_eq!(pushed["params"]["configId"], reply["data"]["configId"]);
    let answer = json!({"id": pushed["id"], "code": 200, "data": {}});
    let reply = device.topic("thing/config/push_reply");
    device
        .line
        .publish_acknowledged(&reply, answer.to_string().as_bytes());
}

/// [AL-6.10] A device is told once that it is disabled and once that it is enabled, however often it
/// is asked for. Document: [001 6.8].
#[test]
fn a_device_is_told_of_its_fate_once() {
    let house = House::open();
    let mut device = house.device();
    house.call("DisableThing");
    house.call("DisableThing");
    assert_eq!(device.last_words(), ["thing/disable"]);
    assert_eq!(house.status(), "disabled");
    house
        .server
        .cli(&["device", "enable", &house.product, "kitchen"]);

    // A session that lasts: what it was told and acknowledged does not come again.
    let mut device = house.device_with("", false);
    for word in ["thing/disable", "thing/enable", "thing/delete"] {
        let topic = device.topic(word);
        device.line.subscribe(&topic);
    }
    house.call("DisableThing");
    let disabled = device.topic("thing/disable");
    assert_eq!(device.heard(&disabled)["method"], "thing.disable");
    assert_eq!(device.last_words(), [] as [&str; 0]);
    house.call("EnableThing");
    house.call("EnableThing");
    let mut device = house.device_with("", false);
    let enabled = device.topic("thing/enable");
    assert_eq!(device.heard(&enabled)["method"], "thing.enable");
    assert!(!device.line.has_message(&enabled), "once");
}
