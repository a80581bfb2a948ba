//! What a gateway is told of how to reach its sub-devices, and what it makes of it.

use crate::Yard;
use serde_json::{Value, json};
use tests::{Client, eventually, server::App};

/// [AL-6.9] [AL-6.1] [001 6.7] A gateway that knows nothing but the document, which it is told of on
/// `thing/model/config/push`, reads its sub-devices over Modbus/TCP and OPC UA as an operator said,
/// and posts for them; applications see the values.
#[test]
fn a_gateway_reads_its_sub_devices_as_it_was_told() {
    let mut yard = Yard::open();
    let mut plant = Client::python("plant.py");
    // 21.5 as a float in registers 4 and 5, the low one first and the bytes of each swapped.
    let holding = [0, 0, 0, 0, 0x0000, 0xac41, 0, 0];
    plant.order(&json!({
        "do": "start", "holding": holding, "input": [0, 0, 18, 0], "coils": vec![false; 16],
        "user": "reader", "password": "geheim", "ovens": {"Oven1": 98.5},
    }));
    let ports = plant.wait("started");
    let mut app = yard.server.app(App::Core, false);
    let server = &yard.server;
    let model = tests::root().join("examples/thermometer.json");
    let model = model.to_str().expect("a plain path");
    let oven = server.cli(&[
        "product",
        "create",
        "oven",
        "--node",
        "subdevice",
        "--model",
        model,
    ]);
    let ovens = oven["product_key"].as_str().expect("a key").to_owned();
    let (gateways, sensors) = (yard.gateways.clone(), yard.subs.clone());
    let gate_secret = server.device(&gateways, "gate");
    let press_secret = server.device(&sensors, "press1");
    let oven_secret = server.device(&ovens, "oven1");

    // The operator binds, and says where everything is.
    server.cli(&[
        "device", "topo", "add", &gateways, "gate", &sensors, "press1",
    ]);
    server.cli(&["device", "topo", "add", &gateways, "gate", &ovens, "oven1"]);
    let listed = server.cli(&["device", "topo", "list", &gateways, "gate"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let bound = server.cli(&["device", "topo", "gateway", &ovens, "oven1"]);
    assert_eq!(bound["gateway"]["device_name"], "gate");
    let channel = |words: &[&str]| {
        let all = [&["gateway", "channel", "add", &gateways, "gate"], words].concat();
        let made = server.cli(&all);
        made["id"].as_str().expect("an id").to_owned()
    };
    let scratch = |name: &str, text: &str| {
        let path = tests::server::scratch(&server.data(), name, text);
        path.to_string_lossy().into_owned()
    };
    let modbus = channel(&[
        "press",
        "--modbus-tcp",
        &format!("127.0.0.1:{}", ports["modbus"]),
    ]);
    let password = scratch("password.txt", "geheim\n");
    let url = format!("opc.tcp://127.0.0.1:{}", ports["opc"]);
    let line = [
        "hot",
        "--opc-ua",
        &url,
        "--user",
        "reader",
        "--password-file",
        &password,
    ];
    let opc = channel(&line);
    let serial = channel(&["spare", "--modbus-rtu", "/dev/ttyS0", "--parity", "even"]);
    let place = |product: &str, name: &str, words: &[&str]| {
        let all = [
            &["gateway", "place", "set", &gateways, "gate", product, name],
            words,
        ];
        server.cli(&all.concat());
    };
    place(&sensors, "press1", &["--channel", &modbus, "--slave", "7"]);
    place(
        &ovens,
        "oven1",
        &["--channel", &opc, "--path", "Ovens/Oven1"],
    );
    let registers = json!({"protocol": "modbus", "properties": [
        {"identifier": "temperature", "table": "holding-register", "address": 4, "data": "float",
            "count": 2, "swap_bytes": true, "swap_registers": true, "every": 1000},
        {"identifier": "target", "table": "input-register", "address": 2, "data": "int16",
            "every": 1000, "report": "changes"},
    ]});
    let nodes = json!({"protocol": "opc-ua", "properties": [
        {"identifier": "temperature", "name": "Actual"}]});
    let map = |product: &str, name: &str, mapping: &Value| {
        let file = scratch(name, &mapping.to_string());
        server.cli(&["gateway", "mapping", product, "--document", &file])
    };
    map(&sensors, "registers.json", &registers);
    assert_eq!(
        map(&ovens, "nodes.json", &nodes)["mapping"]["protocol"],
        "opc-ua"
    );

    // It is told when it comes.
    let told = server.cli(&["gateway", "push", &gateways, "gate"]);
    assert_eq!(told["state"], "waiting", "{told}");
    let mut gateway = Client::python("gateway.py");
    gateway.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": server.address("mqtt").port(),
        "ca": server.ca(), "product": gateways, "device": "gate", "secret": gate_secret,
        "subs": [{"product": sensors, "device": "press1", "secret": press_secret},
            {"product": ovens, "device": "oven1", "secret": oven_secret}],
    }));
    gateway.wait("ready");
    let wired = gateway.wait("wired");
    assert_eq!(wired["passwords"], json!(["geheim"]));
    let topic = format!("/sys/{gateways}/gate/thing/model/config/push");
    assert_eq!(wired["topic"], topic.as_str());
    let push = &wired["push"];
    assert_eq!(push["method"], "thing.model.config.push");
    assert_eq!(push["data"]["digest"], told["sha256"]);
    let servers = wired["document"]["serverList"].as_array().expect("a list");
    let line = servers.iter().find(|one| one["serverId"] == json!(serial));
    assert_eq!(line.expect("it is there")["parity"], 2);
    let models = wired["document"]["tslList"].as_array().map(Vec::len);
    assert_eq!(models, Some(2), "of both products");
    for _ in 0..2 {
        assert_eq!(gateway.wait("posted")["code"], 200);
    }
    let value = |app: &mut Client, product: &str, name: &str, property: &str| {
        let device = json!({"ProductKey": product, "DeviceName": name});
        let told = app.call("QueryDevicePropertyStatus", &device);
        let rows = told["Data"]["List"]["PropertyStatusInfo"].as_array();
        let mut rows = rows.expect("rows").iter();
        let row = rows.find(|row| row["Identifier"] == property);
        row.expect("a row")["Value"].clone()
    };
    assert_eq!(value(&mut app, &sensors, "press1", "temperature"), "21.5");
    assert_eq!(value(&mut app, &sensors, "press1", "target"), "18");
    assert_eq!(value(&mut app, &ovens, "oven1", "temperature"), "98.5");
    let answered = |code: u64| {
        eventually("the gateway's answer", || {
            let told = server.cli(&["gateway", "pushed", &gateways, "gate"]);
            let push = told["push"].clone();
            (push["state"] == "answered").then(|| assert_eq!(push["code"], code, "{push}"))
        });
    };
    answered(200);

    // With another password its server refuses it, and the operator hears so.
    let wrong = scratch("wrong.txt", "falsch\n");
    let set = ["gateway", "channel", "set", "--id", &opc, &gateways, "gate"];
    let line = [
        "hot",
        "--opc-ua",
        &url,
        "--user",
        "reader",
        "--password-file",
        &wrong,
    ];
    server.cli(&[&set[..], &line].concat());
    server.cli(&["gateway", "push", &gateways, "gate"]);
    assert_eq!(gateway.wait("wired")["passwords"], json!(["falsch"]));
    gateway.wait("trouble");
    answered(400);

    // What is used stays; what was unbound is not there any more, and frees its channel.
    let (done, _, err) = server.cli_raw(&["gateway", "channel", "remove", &gateways, "gate", &opc]);
    assert!(!done && err.contains("oven1"), "{err}");
    server.cli(&["device", "topo", "remove", &ovens, "oven1"]);
    server.cli(&["gateway", "channel", "remove", &gateways, "gate", &opc]);
    let places = server.cli(&["gateway", "place", "list", &gateways, "gate"]);
    assert_eq!(places[0]["device_name"], "press1");
    assert_eq!(places.as_array().map(Vec::len), Some(1), "{places}");
    server.cli(&["gateway", "push", &gateways, "gate"]);
    let wired = gateway.wait("wired");
    assert_eq!(
        wired["document"]["deviceList"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(wired["passwords"], json!([]));
}
