//! The edges: as many sub-devices as there may be, names that are used again, products with devices
//! left, quotas.

use crate::{Sub, Yard};
use serde_json::{Value, json};

/// A step of a gateway with many sub-devices; one message holds at most 256 KiB.
const STEP: usize = 500;

/// Devices without a gateway yet.
pub(super) fn batch(yard: &Yard, many: usize) -> Vec<Sub> {
    let made = yard
        .server
        .cli(&["device", "batch", &yard.subs, "--count", &many.to_string()]);
    let made = made["devices"].as_array().expect("a list");
    let sub = |row: &Value| Sub {
        product: yard.subs.clone(),
        name: row["device_name"].as_str().expect("a name").to_owned(),
        secret: row["device_secret"].as_str().expect("a secret").to_owned(),
    };
    made.iter().map(sub).collect()
}

fn logins(subs: &[Sub]) -> Value {
    let list: Vec<Value> = subs.iter().map(Sub::login).collect();
    json!({"signMethod": "hmacSha256", "deviceList": list})
}

/// [AL-2.6] [AL-6.2] 1,500 sub-devices are bound to one gateway and online through it, all of them
/// heard; the 1,501st is refused with 428, and comes in once another one made room.
#[test]
fn a_gateway_bears_1500_sub_devices_and_no_more() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let subs = batch(&yard, 1_501);
    let (last, most) = subs.split_last().expect("devices");
    for step in most.chunks(STEP) {
        let proofs: Vec<Value> = step.iter().map(Sub::binding).collect();
        let reply = gateway.ask("/thing/topo/add", &json!(proofs));
        assert_eq!(reply["code"], 200, "{reply}");
        let reply = gateway.combine("batch_login", &logins(step));
        assert_eq!(reply["code"], 200, "{reply}");
    }
    for sub in [&most[0], &most[750], &most[1_499]] {
        yard.becomes(sub, "ONLINE");
        let topic = sub.topic("/thing/event/property/post");
        let reply = gateway.ask_on(&topic, &json!({"temperature": 21.5}));
        assert_eq!(reply["code"], 200, "{reply}");
        assert_eq!(yard.temperature(sub), "21.5");
    }
    let reply = gateway.ask("/thing/topo/add", &json!([last.binding()]));
    assert_eq!(reply["code"], 428, "{reply}");
    let told = yard.server.cli_raw(&[
        "device",
        "topo",
        "add",
        &yard.gateways,
        "gate",
        &yard.subs,
        &last.name,
    ]);
    assert!(!told.0 && told.2.contains("1500"), "{told:?}");
    let reply = gateway.ask("/thing/topo/delete", &json!([most[0].names()]));
    assert_eq!(reply["code"], 200, "{reply}");
    assert_eq!(gateway.error()["code"], 6401);
    gateway.bind(last);
    gateway.login(last);
    let counted = yard.call(
        "GetThingTopo",
        &gateway.names,
        &[("PageNo", "1"), ("PageSize", "10")],
    );
    assert_eq!(counted["Data"]["Total"], 1_500, "{counted}");
}

/// [AL-5.1] [AL-2.6] Where the operator lowered the limit, sub-devices that are bound already are
/// refused at their login: 428.
#[test]
fn logins_over_the_limit_are_refused() {
    let mut yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let subs: Vec<_> = ["one1", "two2", "three3"].map(|name| yard.sub(name)).into();
    for sub in &subs {
        gateway.bind(sub);
    }
    let names = gateway.names.clone();
    drop(gateway);
    yard.server.stop();
    yard.server.add_setting("limits.sub_devices=2");
    yard.server.resume();
    let mut gateway = yard.connect(names, ",_ss=1");
    gateway.login(&subs[0]);
    gateway.login(&subs[1]);
    let reply = gateway.combine("login", &subs[2].login());
    assert_eq!(
        (&reply["code"], &reply["message"]),
        (&json!(428), &json!("too many subdevices under gateway"))
    );
    // One that is in already may log in anew.
    gateway.login(&subs[1]);
    let reply = gateway.combine("logout", &subs[0].names());
    assert_eq!(reply["code"], 200, "{reply}");
    gateway.login(&subs[2]);
}

/// [AL-2.4] [AL-6.1] The name of a sub-device that was deleted is free: its successor has nothing of
/// it, neither its gateway nor its secret, values, tags or settings.
#[test]
fn a_name_that_is_used_again_is_another_device() {
    let yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1"]);
    let former = &subs[0];
    let topic = former.topic("/thing/event/property/post");
    assert_eq!(
        gateway.ask_on(&topic, &json!({"temperature": 30}))["code"],
        200
    );
    let tags = json!([{"attrKey": "room", "attrValue": "hall"}]);
    let reply = gateway.ask_on(&former.topic("/thing/deviceinfo/update"), &tags);
    assert_eq!(reply["code"], 200, "{reply}");
    yard.server.cli(&[
        "gateway",
        "place",
        "set",
        &yard.gateways,
        "gate",
        &yard.subs,
        "one1",
        "--settings",
        "{\"bus\": 1}",
    ]);
    yard.call("DeleteDevice", former, &[]);
    assert_eq!(gateway.error()["code"], 521);
    let reply = gateway.combine("login", &former.login());
    assert_eq!(reply["code"], 521, "{reply}");

    let heir = yard.sub("one1");
    assert_ne!(heir.secret, former.secret);
    assert_eq!(yard.temperature(&heir), "");
    let props = yard.call("QueryDeviceProp", &heir, &[]);
    assert_eq!(props["Props"], "{}", "{props}");
    let bound = yard
        .server
        .cli(&["device", "topo", "gateway", &yard.subs, "one1"]);
    assert_eq!(bound["gateway"], Value::Null);
    let places = yard
        .server
        .cli(&["gateway", "place", "list", &yard.gateways, "gate"]);
    assert_eq!(places, json!([]));
    let reply = gateway.combine("login", &heir.login());
    assert_eq!(reply["code"], 6401, "{reply}");
    let reply = gateway.ask("/thing/topo/add", &json!([former.binding()]));
    assert_eq!(reply["code"], 401, "the former one's secret: {reply}");
    gateway.bind(&heir);
    gateway.login(&heir);
    yard.becomes(&heir, "ONLINE");
}

/// [AL-2.1] [AL-6.1] A product with devices left is not deleted; without them it goes, and a gateway
/// that was deleted leaves its sub-devices free for another one.
#[test]
fn products_and_gateways_leave_in_order() {
    let yard = Yard::open();
    let (gateway, subs) = yard.set("gate", &["one1", "two2"]);
    let product = [("ProductKey", yard.subs.as_str())];
    let told = yard.told("DeleteProduct", &product);
    assert_eq!(told["Success"], false, "{told}");
    yard.becomes(&subs[0], "ONLINE");

    let names = gateway.names.clone();
    yard.call("DeleteDevice", &names, &[]);
    for sub in &subs {
        yard.becomes(sub, "OFFLINE");
        let bound = yard
            .server
            .cli(&["device", "topo", "gateway", &sub.product, &sub.name]);
        assert_eq!(bound["gateway"], Value::Null);
    }
    drop(gateway);
    let mut other = yard.gateway("gate2");
    other.bind(&subs[0]);
    other.login(&subs[0]);
    for sub in &subs {
        yard.call("DeleteDevice", sub, &[]);
    }
    assert_eq!(other.error()["code"], 521);
    let told = yard.told("DeleteProduct", &product);
    assert_eq!(told["Success"], true, "{told}");
    let found = json!([{"productKey": yard.subs, "deviceName": "newcomer"}]);
    let reply = other.ask("/thing/list/found", &found);
    assert_eq!(reply["code"], 6250, "{reply}");
    let reply = other.ask("/thing/topo/add", &json!([subs[1].binding()]));
    assert_eq!(reply["code"], 6250, "{reply}");
}

/// [AL-2.6] A product has as many devices as the quota says: one more is refused on every way, and
/// one that leaves makes room.
#[test]
fn a_product_that_is_full_takes_no_more() {
    let yard = Yard::open_with(&["limits.devices=2"]);
    let (one, _) = (yard.sub("one1"), yard.sub("two2"));
    let words = ["device", "create", yard.subs.as_str(), "three3"];
    let (done, _, err) = yard.server.cli_raw(&words);
    assert!(!done && err.contains("TooManyDevices"), "{err}");
    let told = yard.told(
        "RegisterDevice",
        &[("ProductKey", yard.subs.as_str()), ("DeviceName", "three3")],
    );
    assert_eq!(told["Success"], false, "{told}");
    yard.call("DeleteDevice", &one, &[]);
    yard.server.cli(&words);
}
