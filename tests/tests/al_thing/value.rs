//! Properties: every data type, blocks, and access modes.

use crate::House;
use serde_json::{Value, json};
use std::time::SystemTime;

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
/// Document: [001 6.5].
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
