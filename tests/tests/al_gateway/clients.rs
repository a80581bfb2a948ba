//! Gateways on the vendor's own SDKs, with an application SDK on the other side.

use crate::{Sub, Yard};
use serde_json::{Value, json};
use tests::{Client, eventually, server::App};

fn ok(app: &mut Client, action: &str, sub: &Sub, more: &Value) -> Value {
    let mut all = json!({"ProductKey": sub.product, "DeviceName": sub.name});
    let fields = all.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    let answer = app.call(action, &all);
    assert_eq!(answer["Success"], true, "{action}: {answer}");
    answer
}

fn becomes(app: &mut Client, sub: &Sub, status: &str) {
    eventually(&format!("{} {status}", sub.name), || {
        let told = ok(app, "GetDeviceStatus", sub, &json!({}));
        (told["Data"]["Status"] == status).then_some(())
    });
}

fn temperature(app: &mut Client, sub: &Sub) -> Value {
    let told = ok(app, "QueryDevicePropertyStatus", sub, &json!({}));
    let rows = told["Data"]["List"]["PropertyStatusInfo"].as_array();
    let mut rows = rows.expect("rows").iter();
    let row = rows.find(|row| row["Identifier"] == "temperature");
    row.expect("a row")["Value"].clone()
}

fn parsed(event: &Value) -> Value {
    let text = event["payload"].as_str().expect("a text");
    serde_json::from_str(text).expect("JSON")
}

/// [AL-2.4] [AL-6.1] [AL-6.2] The Python SDK, which logs sub-devices in by `batch_login` alone and
/// leaves their messages to its program.
#[test]
fn a_python_gateway_speaks_for_its_sub_device() {
    let mut yard = Yard::open();
    yard.server
        .cli(&["product", "registration", &yard.subs, "on", "--yes"]);
    let mut app = yard.server.app(App::Core, false);
    let sub = yard.sub("press1");
    let gate = Sub {
        product: yard.gateways.clone(),
        name: "gate".into(),
        secret: yard.server.device(&yard.gateways, "gate"),
    };
    let mut kit = Client::python("gateway_kit.py");
    kit.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": yard.server.address("mqtt").port(),
        "product": gate.product, "device": gate.name, "secret": gate.secret,
    }));
    assert_eq!(kit.wait("connect")["rc"], 0);
    let names = json!([[sub.product, sub.name]]);
    let ask = |kit: &mut Client, what: &str, subs: &Value| {
        kit.order(&json!({"do": what, "subs": subs}));
        let told = kit.wait(what);
        assert_eq!(told["code"], 200, "{what}: {told}");
        told["data"].clone()
    };
    let told = ask(&mut kit, "register", &names);
    let proven = json!([[sub.product, sub.name, told[0]["deviceSecret"]]]);
    ask(&mut kit, "add", &proven);
    ask(&mut kit, "login", &proven);
    becomes(&mut app, &sub, "ONLINE");

    let post = json!({"id": "9", "version": "1.0", "params": {"temperature": 23.5},
        "method": "thing.event.property.post"});
    let topic = sub.topic("/thing/event/property/post");
    kit.order(&json!({"do": "publish", "topic": topic, "payload": post.to_string()}));
    let heard = |kit: &mut Client, topic: String| {
        parsed(&kit.wait_for(&topic, |e| e["event"] == "message" && e["topic"] == topic))
    };
    let reply = heard(&mut kit, format!("{topic}_reply"));
    assert_eq!((&reply["id"], &reply["code"]), (&json!("9"), &json!(200)));
    assert_eq!(temperature(&mut app, &sub), "23.5");

    ok(
        &mut app,
        "SetDeviceProperty",
        &sub,
        &json!({"Items": "{\"target\":21}"}),
    );
    let topic = sub.topic("/thing/service/property/set");
    let order = heard(&mut kit, topic.clone());
    assert_eq!(order["params"], json!({"target": 21}));
    let answer = json!({"id": order["id"], "code": 200, "data": {}}).to_string();
    kit.order(&json!({"do": "publish", "topic": format!("{topic}_reply"), "payload": answer}));

    ask(&mut kit, "logout", &names);
    becomes(&mut app, &sub, "OFFLINE");
    ask(&mut kit, "login", &proven);
    becomes(&mut app, &sub, "ONLINE");
    ok(&mut app, "RemoveThingTopo", &sub, &json!({}));
    assert_eq!(kit.wait("change")["params"]["status"], 1);
    becomes(&mut app, &sub, "OFFLINE");
    ask(&mut kit, "add", &proven);
    ask(&mut kit, "login", &proven);
    becomes(&mut app, &sub, "ONLINE");
    drop(kit);
    becomes(&mut app, &sub, "OFFLINE");
    becomes(&mut app, &gate, "OFFLINE");
}

/// The JavaScript gateway, connected, with a sub-device that it registered and bound.
fn node(yard: &Yard, sdk: &str, gate: &Sub, sub: &Sub) -> (Client, Value) {
    yard.server
        .cli(&["product", "registration", &yard.subs, "on", "--yes"]);
    let broker = format!("mqtt://localhost:{}", yard.server.address("mqtt").port());
    let mut kit = Client::node("gateway.js", None);
    kit.order(&json!({"do": "start", "sdk": sdk, "config": {
        "productKey": gate.product, "deviceName": gate.name, "deviceSecret": gate.secret,
        "brokerUrl": broker,
    }}));
    kit.wait("connect");
    kit.order(&json!({"do": "register", "subs": [sub.names()]}));
    let reply = kit.wait("register")["reply"].clone();
    assert_eq!(reply["code"], 200, "{reply}");
    let proven = json!({
        "productKey": sub.product, "deviceName": sub.name,
        "deviceSecret": reply["data"][0]["deviceSecret"], "brokerUrl": broker,
    });
    kit.order(&json!({"do": "add", "subs": [proven]}));
    let reply = kit.wait("add")["reply"].clone();
    assert_eq!(reply["code"], 200, "{reply}");
    kit.order(&json!({"do": "topo"}));
    let reply = kit.wait("topo")["reply"].clone();
    assert_eq!(reply["data"], json!([sub.names()]), "{reply}");
    (kit, proven)
}

/// [AL-2.4] [AL-6.1] [AL-6.2] The JavaScript SDK, which subscribes for a sub-device once it is in.
#[test]
fn a_javascript_gateway_speaks_for_its_sub_device() {
    let mut yard = Yard::open();
    let mut app = yard.server.app(App::Pop, false);
    let sub = yard.sub("press1");
    let gate = Sub {
        product: yard.gateways.clone(),
        name: "gate".into(),
        secret: yard.server.device(&yard.gateways, "gate"),
    };
    let (mut kit, proven) = node(&yard, "alibabacloud-iot-device-sdk", &gate, &sub);
    let login = |kit: &mut Client| {
        kit.order(&json!({"do": "login", "sub": proven}));
        let reply = kit.wait("login")["reply"].clone();
        assert_eq!(reply["code"], 200, "{reply}");
        kit.wait("sub_connect");
    };
    login(&mut kit);
    becomes(&mut app, &sub, "ONLINE");
    // Its subscriptions are on their way when it is connected; a reply shows that they are there.
    eventually("a reply to a post", || {
        kit.order(&json!({"do": "post", "name": "press1", "params": {"temperature": 19.5}}));
        kit.order(&json!({"do": "topo"}));
        kit.wait("topo");
        let told = kit.seen(|event| event["event"] == "prop_post")?;
        assert_eq!(told["reply"]["code"], 200, "{told}");
        Some(())
    });
    assert_eq!(temperature(&mut app, &sub), "19.5");
    ok(
        &mut app,
        "SetDeviceProperty",
        &sub,
        &json!({"Items": "{\"target\":22}"}),
    );
    let set = kit.wait("prop_changed");
    assert_eq!(set["message"]["params"], json!({"target": 22}), "{set}");
    kit.order(&json!({"do": "logout", "sub": sub.names()}));
    assert_eq!(kit.wait("logout")["reply"]["code"], 200);
    becomes(&mut app, &sub, "OFFLINE");
    login(&mut kit);
    becomes(&mut app, &sub, "ONLINE");
    drop(kit);
    becomes(&mut app, &sub, "OFFLINE");
    becomes(&mut app, &gate, "OFFLINE");
}

/// [AL-2.4] [AL-6.1] [AL-6.2] [AL-5.1] The older JavaScript SDK gives a sub-device that it logged in
/// a connection of its own: 427 on the gateway, and the sub-device speaks for itself.
#[test]
fn an_older_javascript_gateway_lets_its_sub_device_connect() {
    let mut yard = Yard::open();
    let mut app = yard.server.app(App::Pop, false);
    let sub = yard.sub("press1");
    let gate = Sub {
        product: yard.gateways.clone(),
        name: "gate".into(),
        secret: yard.server.device(&yard.gateways, "gate"),
    };
    let (mut kit, proven) = node(&yard, "aliyun-iot-device-sdk", &gate, &sub);
    let errors = format!("/ext/error/{}/{}", gate.product, gate.name);
    kit.order(&json!({"do": "listen", "topic": errors}));
    kit.wait("listening");
    kit.order(&json!({"do": "login", "sub": proven}));
    let reply = kit.wait("login")["reply"].clone();
    assert_eq!(reply["code"], 200, "{reply}");
    kit.wait("sub_connect");
    let told = kit.wait_for("an error", |e| {
        e["event"] == "message" && e["topic"] == errors
    });
    let told = parsed(&told);
    assert_eq!((&told["code"], &told["data"]), (&json!(427), &sub.names()));
    kit.order(&json!({"do": "post", "name": "press1", "params": {"temperature": 18.5}}));
    eventually("the value", || {
        (temperature(&mut app, &sub) == "18.5").then_some(())
    });
    becomes(&mut app, &sub, "ONLINE");
    kit.order(&json!({"do": "remove", "subs": [sub.names()]}));
    assert_eq!(kit.wait("remove")["reply"]["code"], 200);
    drop(kit);
    becomes(&mut app, &sub, "OFFLINE");
    becomes(&mut app, &gate, "OFFLINE");
}
