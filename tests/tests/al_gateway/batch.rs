//! A gateway's batches.

use crate::{Sub, Yard, edges::batch};
use serde_json::{Value, json};

fn parcel(sub: &Sub, more: &Value) -> Value {
    let mut parcel = json!({"identity": sub.names()});
    let object = parcel.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    parcel
}

/// [AL-6.7] A gateway posts for itself and for its sub-devices in one message: all of it is kept,
/// or nothing.
/// Document: [001 6.5].
#[test]
fn a_pack_is_kept_whole_or_not_at_all() {
    let yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1", "two2"]);
    let post = "/thing/event/property/pack/post";
    let value = |value: f64| json!({"temperature": {"value": value, "time": 1524448722000_u64}});
    let pack = json!({
        "properties": value(20.0),
        "events": {"overheated": {"value": {"peak": 99.5}, "time": 1524448722000_u64}},
        "subDevices": [
            parcel(&subs[0], &json!({"properties": value(21.0)})),
            parcel(&subs[1], &json!({"properties": value(22.0), "events": {}})),
        ],
    });
    let reply = gateway.ask(post, &pack);
    assert_eq!(
        (&reply["code"], &reply["data"]),
        (&json!(200), &json!({})),
        "{reply}"
    );
    let again = gateway.ask("/thing/event/property/ack/post", &pack);
    assert_eq!(again["code"], 200, "as the document prints it: {again}");
    assert_eq!(yard.temperature(&gateway.names), "20.0");
    assert_eq!(yard.temperature(&subs[0]), "21.0");
    assert_eq!(yard.temperature(&subs[1]), "22.0");

    let stranger = yard.sub("stranger");
    let with = |more: Value| {
        let mut pack = json!({"properties": value(30.0)});
        let object = pack.as_object_mut().expect("an object");
        object.extend(more.as_object().expect("an object").clone());
        pack
    };
    let subs_of = |parcels: Vec<Value>| with(json!({ "subDevices": parcels }));
    let many: serde_json::Map<String, Value> = (0..201)
        .map(|n| (format!("p{n}"), json!({"value": 1})))
        .collect();
    let events: Vec<Value> = (0..21)
        .map(|_| json!({"overheated": {"value": {"peak": 1.0}}}))
        .collect();
    for (pack, code) in [
        (
            subs_of(vec![parcel(&stranger, &json!({"properties": value(1.0)}))]),
            6401,
        ),
        (
            subs_of(vec![
                json!({"identity": {"productKey": yard.subs, "deviceName": "nobody"}}),
            ]),
            6100,
        ),
        (
            subs_of(vec![parcel(
                &subs[0],
                &json!({"properties": {"nothing": {"value": 1}}}),
            )]),
            460,
        ),
        (
            subs_of(vec![parcel(
                &subs[0],
                &json!({"events": {"nothing": {"value": {}}}}),
            )]),
            460,
        ),
        (subs_of(vec![parcel(&subs[0], &json!({})); 21]), 460),
        (
            subs_of(vec![parcel(&subs[0], &json!({ "properties": many }))]),
            6106,
        ),
        (with(json!({ "events": events })), 460),
        (json!([]), 460),
    ] {
        let reply = gateway.ask(post, &pack);
        assert_eq!(reply["code"], code, "{pack}: {reply}");
    }
    assert_eq!(
        yard.temperature(&gateway.names),
        "20.0",
        "nothing of these is kept"
    );
    // A device that is no gateway posts no packs.
    let mut plain = yard.connect(yard.sub("plain"), ",_ss=1");
    let reply = plain.ask(post, &json!({"properties": value(1.0)}));
    assert_eq!(reply["code"], 460, "{reply}");
}

/// [AL-6.7] Values of the past, of a device itself and of sub-devices, come with their times.
#[test]
fn a_history_is_kept_with_its_times() {
    let yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1"]);
    let post = "/thing/event/property/history/post";
    let of = |sub: &Sub| {
        parcel(
            sub,
            &json!({"properties": [
                {"temperature": {"value": 11.0, "time": 1_767_225_600_000_u64}},
                {"temperature": {"value": 12.0, "time": 1_767_225_601_000_u64}},
            ]}),
        )
    };
    let reply = gateway.ask(post, &json!([of(&subs[0]), of(&gateway.names)]));
    assert_eq!(reply["code"], 200, "{reply}");
    for sub in [&subs[0], &gateway.names] {
        let told = yard.call(
            "QueryDevicePropertyData",
            sub,
            &[
                ("Identifier", "temperature"),
                ("StartTime", "0"),
                ("EndTime", "9999999999999"),
                ("Asc", "1"),
                ("PageSize", "10"),
            ],
        );
        let rows = &told["Data"]["List"]["PropertyInfo"];
        assert_eq!(
            (&rows[0]["Value"], &rows[1]["Time"]),
            (&json!("11.0"), &json!("1767225601000")),
            "{told}"
        );
    }
    let stranger = yard.sub("stranger");
    let reply = gateway.ask(post, &json!([of(&stranger)]));
    assert_eq!(reply["code"], 6401, "{reply}");
    let reply = gateway.ask(post, &json!({}));
    assert_eq!(reply["code"], 460, "{reply}");
}

/// [AL-6.7] As much as a pack may have is taken: 200 values and 20 events of the gateway, and as many
/// of each of 20 sub-devices, which are bound and need not be logged in.
#[test]
fn a_pack_may_have_as_much_as_the_document_says() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let subs = batch(&yard, 20);
    let proofs: Vec<Value> = subs.iter().map(Sub::binding).collect();
    let reply = gateway.ask("/thing/topo/add", &json!(proofs));
    assert_eq!(reply["code"], 200, "{reply}");
    let began = 1_767_225_600_000_u64;
    let content = |many: u64| {
        let values: Vec<Value> = (0..many)
            .map(|n| json!({"value": n % 50, "time": began + n}))
            .collect();
        let events: Vec<Value> = (0..20)
            .map(|n| json!({"value": {"peak": n}, "time": began + n}))
            .collect();
        json!({"properties": {"temperature": values}, "events": {"overheated": events}})
    };
    let pack = |many: u64| {
        let mut pack = content(200);
        let parcels: Vec<Value> = subs.iter().map(|sub| parcel(sub, &content(many))).collect();
        pack["subDevices"] = json!(parcels);
        pack
    };
    let post = "/thing/event/property/pack/post";
    let reply = gateway.ask(post, &pack(201));
    assert_eq!(reply["code"], 6106, "one value too many: {reply}");
    assert_eq!(yard.temperature(&gateway.names), "", "nothing is kept");
    let reply = gateway.ask(post, &pack(200));
    assert_eq!(reply["code"], 200, "{reply}");
    let range = [
        ("StartTime", "0"),
        ("EndTime", "9999999999999"),
        ("Asc", "0"),
    ];
    for sub in [&gateway.names, &subs[0], &subs[19]] {
        let more = [("Identifier", "temperature"), ("PageSize", "50")];
        let told = yard.call(
            "QueryDevicePropertyData",
            sub,
            &[&range[..], &more].concat(),
        );
        let rows = told["Data"]["List"]["PropertyInfo"]
            .as_array()
            .expect("rows");
        assert_eq!(
            (rows.len(), &rows[0]["Value"]),
            (50, &json!("49")),
            "{told}"
        );
        let last = (began + 199).to_string();
        assert_eq!(rows[0]["Time"], last.as_str(), "all of them: {told}");
        let more = [("Identifier", "overheated"), ("PageSize", "50")];
        let told = yard.call("QueryDeviceEventData", sub, &[&range[..], &more].concat());
        let rows = told["Data"]["List"]["EventInfo"].as_array().expect("rows");
        assert_eq!(rows.len(), 20, "{told}");
    }
}
