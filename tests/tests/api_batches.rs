//! Section 2 of spec/cloud-api.md, where it is about many: tags of products, several devices at
//! once, and parts of thing models. Called raw, so that lists have the names of the RPC style.

use serde_json::{Value, json};
use tests::{
    Server,
    http::{rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::Key,
};
use wire::mqtt::{ReasonCode, Version};

struct House {
    server: Server,
    key: Key,
    product: String,
}

impl House {
    fn open() -> Self {
        let mut server = Server::start();
        let key = server.key();
        let (product, _) = server.product("thermometer");
        Self {
            server,
            key,
            product,
        }
    }

    /// Calls an action; its answer, whatever it is.
    fn told(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let call = rpc_call(&self.key, "POST", action, params);
        send_rpc(self.server.address("http"), "POST", &call).json()
    }

    fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let told = self.told(action, params);
        assert_eq!(told["Success"], true, "{action} {params:?}: {told}");
        told
    }

    fn connect(&self, device: &str) -> Mqtt {
        let secret = self.server.device(&self.product, device);
        let login = Login::signed(&self.product, device, &secret, ",_ss=1");
        let mut line = Mqtt::open(self.server.address("mqtt"), None, Version::V311);
        assert_eq!(line.connect(&login, true, 600).reason, ReasonCode::Success);
        line
    }
}

/// [AL-2.1] [AL-7.1] Tags are added, changed, searched by, and removed.
#[test]
fn tags_are_changed_searched_and_removed() {
    let house = House::open();
    let product = ("ProductKey", house.product.as_str());
    let tag = |value: &'static str| {
        [
            ("ProductTag.1.TagKey", "room"),
            ("ProductTag.1.TagValue", value),
        ]
    };
    let with = |value| [&[product], &tag(value)[..]].concat();
    house.call("CreateProductTags", &with("hall"));
    house.call("UpdateProductTags", &with("kitchen"));
    let listed = house.call("ListProductTags", &[product]);
    assert_eq!(
        listed["Data"]["ProductTag"],
        json!([{"TagKey": "room", "TagValue": "kitchen"}])
    );
    let found = |value| {
        let page = [("CurrentPage", "1"), ("PageSize", "10")];
        let told = house.call("ListProductByTags", &[&tag(value)[..], &page].concat());
        told["ProductInfos"]["ProductInfo"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!((found("kitchen"), found("hall")), (1, 0));
    house.call("DeleteProductTags", &[product, ("ProductTagKey.1", "room")]);
    assert_eq!(found("kitchen"), 0);
    let told = house.told("UpdateProductTags", &with("hall"));
    assert_eq!(told["Success"], false, "there is none to change: {told}");
}

/// [AL-2.1] [AL-6.3] [AL-6.5] [AL-7.1] Several devices are named, found by state, set, called and
/// written to at once; one that is not there fails the call by name.
#[test]
fn several_devices_are_worked_on_at_once() {
    let house = House::open();
    let product = ("ProductKey", house.product.as_str());
    let (mut kitchen, mut cellar) = (house.connect("kitchen"), house.connect("cellar"));
    house.server.device(&house.product, "fresh");
    let both = [("DeviceName.1", "kitchen"), ("DeviceName.2", "cellar")];
    let strange = [("DeviceName.1", "kitchen"), ("DeviceName.2", "stranger")];

    house.call(
        "BatchUpdateDeviceNickname",
        &[
            ("DeviceNicknameInfo.1.ProductKey", &house.product),
            ("DeviceNicknameInfo.1.DeviceName", "kitchen"),
            ("DeviceNicknameInfo.1.Nickname", "Hot place"),
            ("DeviceNicknameInfo.2.ProductKey", &house.product),
            ("DeviceNicknameInfo.2.DeviceName", "cellar"),
            ("DeviceNicknameInfo.2.Nickname", "Cold place"),
        ],
    );
    for (name, nickname) in [("kitchen", "Hot place"), ("cellar", "Cold place")] {
        let told = house.call("QueryDeviceInfo", &[product, ("DeviceName", name)]);
        assert_eq!(told["Data"]["Nickname"], nickname);
    }
    for (status, count) in [("0", 1), ("1", 2), ("3", 0), ("8", 0)] {
        let told = house.call("QueryDeviceByStatus", &[product, ("Status", status)]);
        assert_eq!(told["Total"], count, "{status}: {told}");
    }

    let set = |names: &[(&str, &str)]| {
        house.told(
            "SetDevicesProperty",
            &[&[product, ("Items", r#"{"target":21}"#)], names].concat(),
        )
    };
    assert_eq!(set(&both)["Success"], true);
    let invoke = |names: &[(&str, &str)]| {
        let what = [
            product,
            ("Identifier", "reboot"),
            ("Args", r#"{"delay":5}"#),
        ];
        house.told("InvokeThingsService", &[&what, names].concat())
    };
    assert_eq!(invoke(&both)["Success"], true);
    let publish = |names: &[(&str, &str)]| {
        let what = [
            product,
            ("MessageContent", "aGVsbG8="),
            ("TopicShortName", "user/get"),
        ];
        house.told("BatchPub", &[&what, names].concat())
    };
    for (name, line) in [("kitchen", &mut kitchen), ("cellar", &mut cellar)] {
        let own = format!("/sys/{}/{name}", house.product);
        let message = line.message(&format!("{own}/thing/service/property/set"));
        let message: Value = serde_json::from_slice(&message).expect("JSON");
        assert_eq!(message["params"], json!({"target": 21}), "{name}");
        let message = line.message(&format!("{own}/thing/service/reboot"));
        let message: Value = serde_json::from_slice(&message).expect("JSON");
        assert_eq!(message["params"], json!({"delay": 5}), "{name}");
        line.subscribe(&format!("/{}/{name}/user/get", house.product));
    }
    assert_eq!(publish(&both)["Success"], true);
    for (name, line) in [("kitchen", &mut kitchen), ("cellar", &mut cellar)] {
        assert_eq!(
            line.message(&format!("/{}/{name}/user/get", house.product)),
            b"hello"
        );
    }
    for told in [set(&strange), invoke(&strange)] {
        assert_eq!(told["Success"], false, "{told}");
        let why = told["ErrorMessage"].as_str().expect("text");
        assert!(why.contains("stranger"), "{told}");
    }
}

/// [AL-6.12] [AL-7.1] A function of a draft is replaced, and a model is copied to another product.
#[test]
fn a_function_is_replaced_and_a_model_is_copied() {
    let house = House::open();
    let product = ("ProductKey", house.product.as_str());
    let draft = |product: &str| -> Value {
        let told = house.call("QueryThingModel", &[("ProductKey", product)]);
        let text = told["Data"]["ThingModelJson"].as_str().expect("text");
        serde_json::from_str(text).expect("JSON")
    };
    let whole = draft(&house.product);
    let properties = whole["properties"].as_array().expect("properties");
    let mut target = properties
        .iter()
        .find(|p| p["identifier"] == "target")
        .expect("it is there")
        .clone();
    target["name"] = "Goal".into();
    let model = json!({"properties": [target]}).to_string();
    house.call(
        "UpdateThingModel",
        &[
            product,
            ("Identifier", "target"),
            ("ThingModelJson", &model),
        ],
    );
    let now = draft(&house.product);
    assert_eq!(
        now["properties"].as_array().map(Vec::len),
        Some(properties.len())
    );
    assert!(now.to_string().contains("Goal"), "{now}");
    let told = house.told(
        "UpdateThingModel",
        &[
            product,
            ("Identifier", "nobody"),
            ("ThingModelJson", &model),
        ],
    );
    assert_eq!(told["Success"], false, "{told}");

    let made = house.call(
        "CreateProduct",
        &[
            ("ProductName", "copy"),
            ("NodeType", "0"),
            ("DataFormat", "1"),
            ("AliyunCommodityCode", "iothub_senior"),
        ],
    );
    let copy = made["ProductKey"].as_str().expect("a key");
    house.call(
        "CopyThingModel",
        &[
            ("SourceProductKey", &house.product),
            ("TargetProductKey", copy),
        ],
    );
    let names = |model: &Value| -> Vec<Value> {
        let list = model["properties"].as_array().expect("properties");
        list.iter().map(|p| p["identifier"].clone()).collect()
    };
    assert_eq!(names(&draft(copy)), names(&whole));
}
