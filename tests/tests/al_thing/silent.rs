//! Devices that do not answer.

use crate::House;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::{
    Client,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{ReasonCode, Version};

/// [AL-3.11] [AL-6.5] Whoever calls a device that keeps silent is told so when the time is over, and
/// neither before nor much later; what the device says afterwards answers no other call. A
/// connection that breaks meanwhile, and a device that is away, are told apart from it.
#[test]
fn calls_that_nobody_answers_end_in_time() {
    let mut house = House::open_with(&["limits.call_wait=2000"]);
    let mut app = house.server.app(App::Core, false);
    let product = house.product.clone();
    let with = |more: Value| {
        let mut all = json!({"ProductKey": product, "DeviceName": "kitchen"});
        let fields = all.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        all
    };
    let timed = |app: &mut Client, action: &str, params: &Value, least: u64| {
        let began = Instant::now();
        let told = app.call(action, params);
        let time = began.elapsed();
        assert!(time >= Duration::from_millis(least), "{time:?}: {told}");
        told
    };
    let rrpc = format!("{}/rrpc/request/", house.own);
    let call = |say: &str| with(json!({"Timeout": 1000, "RequestBase64Byte": say}));

    // {"n":1}, then {"n":2}, which the answer to the first one does not answer.
    let told = timed(&mut app, "RRpc", &call("eyJuIjoxfQ=="), 1_000);
    assert_eq!(
        (&told["Success"], &told["RrpcCode"]),
        (&json!(true), &json!("TIMEOUT")),
        "{told}"
    );
    let (first, asked) = house.request(&rrpc);
    assert_eq!(asked, json!({"n": 1}));
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| app.call("RRpc", &call("eyJuIjoyfQ==")));
        let (second, asked) = house.request(&rrpc);
        assert_eq!(asked, json!({"n": 2}));
        for (id, say) in [(&first, b"late"), (&second, b"fine")] {
            let topic = format!("{}/rrpc/response/{id}", house.own);
            house.device.publish_acknowledged(&topic, say);
        }
        told.join().expect("a call")
    });
    assert_eq!(told["RrpcCode"], "SUCCESS", "{told}");
    assert_eq!(told["PayloadBase64Byte"], "ZmluZQ==", "the second one");

    let weigh = with(json!({"Identifier": "Weigh", "Args": "{\"unit\":\"kg\"}"}));
    let told = timed(&mut app, "InvokeThingService", &weigh, 2_000);
    assert_eq!(
        (&told["Success"], &told["Code"]),
        (&json!(false), &json!("iot.messagebroker.TIMEOUT")),
        "{told}"
    );
    let (_, asked) = house.request(&rrpc);
    assert_eq!(asked["method"], "thing.service.Weigh");

    // A call that nobody waits for is taken, and so is its answer.
    let say = json!({"MessageContent": "eyJuIjozfQ=="});
    let told = app.call("AsyncRRpc", &with(say.clone()));
    assert_eq!(told["Success"], true, "{told}");
    let (third, asked) = house.request(&rrpc);
    assert_eq!(asked, json!({"n": 3}));
    assert_eq!(told["MessageId"].to_string().trim_matches('"'), third);
    let topic = format!("{}/rrpc/response/{third}", house.own);
    house.device.publish_acknowledged(&topic, b"heard");

    // The device goes in the middle of a call, and stays away.
    let call = with(json!({"Timeout": 8000, "RequestBase64Byte": "eyJuIjo0fQ=="}));
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| app.call("RRpc", &call));
        house.request(&rrpc);
        let secret =
            house.server.cli(&["device", "secret", &product, "kitchen"])["device_secret"].clone();
        let login = Login::signed(&product, "kitchen", secret.as_str().expect("one"), "");
        let mut other = Mqtt::open(house.server.address("mqtt"), None, Version::V311);
        assert_eq!(other.connect(&login, true, 600).reason, ReasonCode::Success);
        house.device.closed();
        drop(other);
        told.join().expect("a call")
    });
    assert_eq!(told["RrpcCode"], "HALFCONN", "{told}");
    tests::eventually("the device's leave", || {
        let told = house.call("GetDeviceStatus", &[]);
        (told["Data"]["Status"] == "OFFLINE").then_some(())
    });
    assert_eq!(app.call("RRpc", &call)["RrpcCode"], "OFFLINE");
    let told = app.call("AsyncRRpc", &with(say));
    assert_eq!(told["Code"], "iot.messagebroker.OFFLINE", "{told}");
}
