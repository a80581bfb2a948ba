//! Who is bound to which gateway.

use crate::Yard;
use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use serde_json::{Value, json};

/// [AL-6.1] A gateway binds, lists and unbinds, and learns what is wrong with what it asks: 460,
/// 401, 6100, 6402, 6250, 6280.
/// Document: [001 6.3].
#[test]
fn a_gateway_binds_lists_and_unbinds() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let (one, two) = (yard.sub("one1"), yard.sub("two2"));
    let reply = gateway.ask("/thing/topo/add", &json!([one.binding(), two.binding()]));
    assert_eq!(reply["code"], 200, "{reply}");
    assert_eq!(reply["data"], json!([one.names(), two.names()]));
    let reply = gateway.ask("/thing/topo/get", &json!({}));
    let mut listed = reply["data"].as_array().expect("a list").clone();
    listed.sort_by_key(|row| row["deviceName"].as_str().map(str::to_owned));
    assert_eq!(listed, [one.names(), two.names()]);
    let reply = gateway.ask("/thing/topo/get", &json!("all"));
    assert_eq!(reply["code"], 460, "{reply}");

    let mut forged = two.binding();
    forged["sign"] = "00".into();
    let own = gateway.names.binding();
    let mut nobody = two.binding();
    nobody["deviceName"] = "nobody".into();
    for (params, code) in [
        (json!([forged]), 401),
        (json!([own]), 6402),
        (json!([nobody]), 6100),
        (json!([]), 460),
        (json!([{"productKey": yard.subs}]), 460),
        (json!("x"), 460),
    ] {
        let reply = gateway.ask("/thing/topo/add", &params);
        assert_eq!(reply["code"], code, "{params}: {reply}");
        assert_eq!(reply["data"], json!({}));
    }
    let reply = gateway.ask("/thing/topo/delete", &json!([one.names()]));
    assert_eq!(reply["code"], 200, "{reply}");
    let reply = gateway.ask("/thing/topo/get", &json!({}));
    assert_eq!(reply["data"], json!([two.names()]));
    let unknown = json!([{"productKey": yard.subs, "deviceName": "nobody"}]);
    for (params, code) in [(unknown, 6100), (json!([]), 460), (json!({}), 460)] {
        let reply = gateway.ask("/thing/topo/delete", &params);
        assert_eq!(reply["code"], code, "{params}: {reply}");
    }
    let found = |product: &str, name: &str| json!([{"productKey": product, "deviceName": name}]);
    for (params, code) in [
        (found(&yard.subs, "newcomer"), 200),
        (json!([]), 200),
        (json!(7), 460),
        (found("nowhere", "newcomer"), 6250),
        (found(&yard.subs, "n"), 6280),
    ] {
        let reply = gateway.ask("/thing/list/found", &params);
        assert_eq!(reply["code"], code, "{params}: {reply}");
    }
    // A device that is no gateway has no sub-devices.
    let mut sensor = yard.connect(two.clone(), ",_ss=1");
    let reply = sensor.ask("/thing/topo/add", &json!([one.binding()]));
    assert_eq!(reply["code"], 460, "{reply}");
}

/// [AL-6.1] An application asks a gateway to bind, and binds and unbinds itself; the gateway is
/// told.
/// Document: [001 6.3].
#[test]
fn an_application_works_on_the_topology() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let sub = yard.sub("one1");
    let list = json!([sub.names()]).to_string();
    let gate = [
        ("GwProductKey", yard.gateways.as_str()),
        ("GwDeviceName", "gate"),
    ];
    let told = yard.told(
        "NotifyAddThingTopo",
        &[&gate[..], &[("DeviceListStr", list.as_str())]].concat(),
    );
    assert_eq!(told["Success"], true, "{told}");
    let topic = gateway.names.topic("/thing/topo/add/notify");
    let asked: Value = serde_json::from_slice(&gateway.line.message(&topic)).expect("JSON");
    assert_eq!(asked["method"], "thing.topo.add.notify");
    assert_eq!(asked["params"], json!([sub.names()]));
    assert_eq!(asked["id"], told["Data"]["MessageId"]);
    let answer = json!({"id": asked["id"], "code": 200, "data": {}});
    gateway
        .line
        .publish_acknowledged(&format!("{topic}_reply"), answer.to_string().as_bytes());

    let binding = sub.binding();
    let item = |name: &str| binding[name].as_str().expect("text").to_owned();
    let params = [
        ("TopoAddItem.1.ProductKey", item("productKey")),
        ("TopoAddItem.1.DeviceName", item("deviceName")),
        ("TopoAddItem.1.ClientId", item("clientId")),
        ("TopoAddItem.1.Timestamp", item("timestamp")),
        ("TopoAddItem.1.SignMethod", item("signMethod")),
        ("TopoAddItem.1.Sign", item("sign")),
    ];
    let params: Vec<_> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let told = yard.told("BatchAddThingTopo", &[&gate[..], &params].concat());
    assert_eq!(told["Success"], true, "{told}");
    assert_eq!(
        gateway.change(),
        json!({"status": 0, "subList": [sub.names()]})
    );
    let pages = [("PageNo", "1"), ("PageSize", "10")];
    let told = yard.call("GetThingTopo", &gateway.names, &pages);
    assert_eq!(told["Data"]["List"]["deviceInfo"][0]["DeviceName"], "one1");
    let told = yard.call("GetGatewayBySubDevice", &sub, &[]);
    assert_eq!(told["Data"]["DeviceName"], "gate");
    gateway.login(&sub);
    yard.call("RemoveThingTopo", &sub, &[]);
    assert_eq!(
        gateway.change(),
        json!({"status": 1, "subList": [sub.names()]})
    );
    let error = gateway.error();
    assert_eq!(
        (&error["code"], &error["message"], &error["data"]),
        (
            &json!(6401),
            &json!("topo relation not exist"),
            &sub.names()
        )
    );
    yard.becomes(&sub, "OFFLINE");
}

/// [AL-2.4] Secrets for sub-devices: by name, and with a proof of the product's secret.
/// Document: [001 6.2].
#[test]
fn a_gateway_registers_sub_devices() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let sub = yard.sub("one1");
    let reply = gateway.ask("/thing/sub/register", &json!([sub.names()]));
    assert_eq!(reply["code"], 6288, "registration is off: {reply}");
    yard.server
        .cli(&["product", "registration", &yard.subs, "on", "--yes"]);
    let reply = gateway.ask("/thing/sub/register", &json!([sub.names()]));
    assert_eq!(reply["code"], 200, "{reply}");
    let row = &reply["data"][0];
    assert_eq!(
        (&row["productKey"], &row["deviceName"], &row["deviceSecret"]),
        (&json!(sub.product), &json!(sub.name), &json!(sub.secret))
    );
    assert!(row["iotId"].is_string());
    let own = gateway.names.names();
    let nobody = json!({"productKey": yard.subs, "deviceName": "nobody"});
    for (params, code) in [
        (json!([own]), 6402),
        (json!([nobody]), 6100),
        (json!({}), 460),
        (json!([]), 460),
    ] {
        let reply = gateway.ask("/thing/sub/register", &params);
        assert_eq!(reply["code"], code, "{params}: {reply}");
    }

    let shown = yard.server.cli(&["product", "secret", &yard.subs]);
    let secret = shown["product_secret"].as_str().expect("a secret");
    let secret = Secret::new(secret.as_bytes().to_vec());
    let two = yard.sub("two2");
    let fields = [
        ("deviceName", "two2"),
        ("productKey", yard.subs.as_str()),
        ("random", "lFfMlxIGECuewPe"),
    ];
    let method = SignMethod::HmacSha256;
    let good = sign(&secret, method, Channel::ProxyRegister, &fields);
    let proxied = |name: &str, sign: &str| {
        json!({"productKey": yard.subs, "deviceName": name, "random": "lFfMlxIGECuewPe",
            "signMethod": "hmacSha256", "sign": sign})
    };
    let params = json!({"proxieds": [proxied("two2", &good), proxied("one1", "00")]});
    let reply = gateway.ask("/thing/proxy/provisioning/product_register", &params);
    assert_eq!(reply["code"], 200, "{reply}");
    let success = &reply["data"]["successes"][0];
    assert_eq!(success["deviceName"], "two2");
    let mut two = two;
    two.secret = success["deviceSecret"].as_str().expect("it").to_owned();
    let failure = &reply["data"]["failures"][0];
    assert_eq!(
        (&failure["deviceName"], &failure["errorDetail"]["code"]),
        (&json!("one1"), &json!(401))
    );
    gateway.bind(&two);
    gateway.login(&two);
    let reply = gateway.ask("/thing/sub/unregister", &json!([two.names()]));
    assert_eq!(reply["code"], 200, "{reply}");
    assert_eq!(gateway.error()["code"], 6401);
    let reply = gateway.ask("/thing/sub/unregister", &json!([two.names()]));
    assert_eq!(reply["code"], 6401, "{reply}");
}
