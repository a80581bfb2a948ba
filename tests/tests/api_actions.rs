//! Section 2 of spec/cloud-api.md: what applications do with products, thing models, topics,
//! devices, properties, events, services and messages, through the vendor's SDKs.

use serde_json::{Value, json};
use tests::{
    Client, Server, eventually,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{ReasonCode, Version};

const APPS: [App; 3] = [App::Core, App::Tea, App::Pop];

/// Calls an action that must succeed.
fn good(app: &mut Client, action: &str, params: Value) -> Value {
    let answer = app.call(action, &params);
    assert_eq!(answer["Success"], true, "{action}: {answer}");
    assert!(answer["RequestId"].is_string(), "{action}: {answer}");
    answer
}

/// Calls an action that must be refused with a business code. The vendor's Node.js SDK raises what
/// the others hand on.
fn bad(app: &mut Client, action: &str, params: Value, code: &str) {
    let told = app.ask(&json!({"action": action, "params": params}));
    let answer = if told.get("error").is_some() {
        &told["data"]
    } else {
        &told["answer"]
    };
    assert_eq!(answer["Success"], false, "{action}: {told}");
    assert_eq!(answer["Code"], code, "{action}: {told}");
    assert!(answer["ErrorMessage"].is_string(), "{action}: {told}");
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// [AL-2.1] [AL-7.1] A product's life: made, listed, renamed, tagged, frozen, removed.
#[test]
fn a_product_is_made_listed_changed_and_removed() {
    let mut server = Server::start();
    for sdk in APPS {
        let mut app = server.app(sdk, false);
        let made = good(
            &mut app,
            "CreateProduct",
            json!({
                "ProductName": format!("meter-{sdk:?}"), "NodeType": 0, "DataFormat": 1,
                "AliyunCommodityCode": "iothub_senior", "NetType": "WIFI", "Description": "first",
            }),
        );
        let key = text(&made["ProductKey"]);
        assert_eq!(made["Data"]["ProductKey"], key);
        assert_eq!(text(&made["Data"]["ProductSecret"]).len(), 16);
        assert_eq!(made["Data"]["NodeType"], 0);
        bad(
            &mut app,
            "CreateProduct",
            json!({
                "ProductName": format!("meter-{sdk:?}"), "NodeType": 0,
            }),
            "iot.prod.AlreadyExistedProductName",
        );

        let found = good(&mut app, "QueryProduct", json!({"ProductKey": key}));
        assert_eq!(
            found["Data"]["ProductStatus"], "DEVELOPMENT_STATUS",
            "{found}"
        );
        assert_eq!(found["Data"]["DeviceCount"], 0);
        assert!(found["Data"]["GmtCreate"].is_i64());
        let listed = good(
            &mut app,
            "QueryProductList",
            json!({"PageSize": 10, "CurrentPage": 1}),
        );
        assert_eq!(
            listed["Data"]["List"]["ProductInfo"][0]["ProductKey"], key,
            "newest first"
        );
        bad(
            &mut app,
            "QueryProductList",
            json!({"PageSize": 201, "CurrentPage": 1}),
            "iot.common.InvalidPageParams",
        );

        good(
            &mut app,
            "UpdateProduct",
            json!({"ProductKey": key, "ProductName": format!("renamed-{sdk:?}")}),
        );
        let found = good(&mut app, "QueryProduct", json!({"ProductKey": key}));
        assert_eq!(found["Data"]["ProductName"], format!("renamed-{sdk:?}"));

        if sdk == App::Core {
            good(
                &mut app,
                "CreateProductTags",
                json!({
                    "ProductKey": key, "ProductTags": [{"TagKey": "room", "TagValue": "kitchen"}],
                }),
            );
            let tags = good(&mut app, "ListProductTags", json!({"ProductKey": key}));
            assert_eq!(tags["Data"]["ProductTag"][0]["TagKey"], "room", "{tags}");
        }
        good(&mut app, "ReleaseProduct", json!({"ProductKey": key}));
        let found = good(&mut app, "QueryProduct", json!({"ProductKey": key}));
        assert_eq!(found["Data"]["ProductStatus"], "RELEASE_STATUS");
        good(&mut app, "CancelReleaseProduct", json!({"ProductKey": key}));
        good(&mut app, "DeleteProduct", json!({"ProductKey": key}));
        bad(
            &mut app,
            "QueryProduct",
            json!({"ProductKey": key}),
            "iot.prod.NotExistedProduct",
        );
    }
}

/// [AL-6.12] [AL-7.1] A thing model is drafted, published in versions, exported and imported.
#[test]
fn a_thing_model_is_drafted_published_and_exported() {
    let mut server = Server::start();
    let mut app = server.app(App::Core, false);
    let made = good(
        &mut app,
        "CreateProduct",
        json!({
            "ProductName": "modelled", "NodeType": 0, "DataFormat": 1,
            "AliyunCommodityCode": "iothub_senior",
        }),
    );
    let key = text(&made["ProductKey"]);
    let tsl = std::fs::read_to_string(tests::root().join("examples/thermometer.json")).unwrap();
    good(
        &mut app,
        "ImportThingModelTsl",
        json!({"ProductKey": key, "TslStr": tsl}),
    );
    let model = json!({"properties": [{
        "identifier": "humidity", "name": "Humidity", "required": false, "rwFlag": "READ_ONLY",
        "dataType": "INT", "dataSpecs": {"dataType": "INT", "min": "0", "max": "100", "step": "1"},
    }]});
    good(
        &mut app,
        "CreateThingModel",
        json!({"ProductKey": key, "ThingModelJson": model.to_string()}),
    );
    let draft = good(&mut app, "GetThingModelTsl", json!({"ProductKey": key}));
    let draft: Value = serde_json::from_str(&text(&draft["Data"]["TslStr"])).unwrap();
    let names = |tsl: &Value| -> Vec<String> {
        tsl["properties"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| text(&p["identifier"]))
            .collect()
    };
    assert!(names(&draft).contains(&"humidity".to_owned()), "{draft}");
    good(
        &mut app,
        "PublishThingModel",
        json!({"ProductKey": key, "ModelVersion": "v1"}),
    );
    good(
        &mut app,
        "DeleteThingModel",
        json!({
            "ProductKey": key, "PropertyIdentifiers": ["humidity"],
        }),
    );
    let published = good(
        &mut app,
        "GetThingModelTslPublished",
        json!({"ProductKey": key}),
    );
    let published: Value = serde_json::from_str(&text(&published["Data"]["TslStr"])).unwrap();
    assert!(
        names(&published).contains(&"humidity".to_owned()),
        "a draft changes no version"
    );
    good(
        &mut app,
        "PublishThingModel",
        json!({"ProductKey": key, "ModelVersion": "v2"}),
    );
    let versions = good(
        &mut app,
        "ListThingModelVersion",
        json!({"ProductKey": key}),
    );
    let versions: Vec<_> = versions["Data"]["ModelVersions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| text(&v["ModelVersion"]))
        .collect();
    assert_eq!(versions, ["v2", "v1"]);
    let first = good(
        &mut app,
        "QueryThingModelPublished",
        json!({"ProductKey": key, "ModelVersion": "v1"}),
    );
    assert!(
        text(&first["Data"]["ThingModelJson"]).contains("humidity"),
        "{first}"
    );
    let now = good(&mut app, "QueryThingModel", json!({"ProductKey": key}));
    assert!(
        !text(&now["Data"]["ThingModelJson"]).contains("humidity"),
        "{now}"
    );
}

/// [AL-2.1] [AL-2.6] [AL-7.1] Devices one by one: registered, read, disabled, enabled, removed.
#[test]
fn a_device_is_registered_read_disabled_and_removed() {
    let mut server = Server::start_with(&["limits.devices=2"]);
    for sdk in APPS {
        let (product, _) = server.product(&format!("product-{sdk:?}"));
        let mut app = server.app(sdk, false);
        let made = good(
            &mut app,
            "RegisterDevice",
            json!({
                "ProductKey": product, "DeviceName": "kitchen", "Nickname": "Küche 1",
            }),
        );
        let secret = text(&made["Data"]["DeviceSecret"]);
        let id = text(&made["Data"]["IotId"]);
        assert_eq!(secret.len(), 32);
        bad(
            &mut app,
            "RegisterDevice",
            json!({"ProductKey": product, "DeviceName": "kitchen"}),
            "iot.device.AlreadyExistedDeviceName",
        );
        bad(
            &mut app,
            "RegisterDevice",
            json!({"ProductKey": product, "DeviceName": "no/name"}),
            "iot.device.InvalidFormattedDeviceName",
        );
        let named = good(&mut app, "RegisterDevice", json!({"ProductKey": product}));
        assert!(
            !text(&named["Data"]["DeviceName"]).is_empty(),
            "a name is made up"
        );
        bad(
            &mut app,
            "RegisterDevice",
            json!({"ProductKey": product, "DeviceName": "third"}),
            "iot.device.DeviceCountExceeded",
        );

        let by_id = json!({"IotId": id});
        let device = json!({"ProductKey": product, "DeviceName": "kitchen"});
        let detail = good(&mut app, "QueryDeviceDetail", by_id.clone());
        assert_eq!(detail["Data"]["Status"], "UNACTIVE");
        assert_eq!(detail["Data"]["Nickname"], "Küche 1");
        assert_eq!(detail["Data"]["DeviceSecret"], secret);
        let info = good(&mut app, "QueryDeviceInfo", device.clone());
        assert_eq!(info["Data"]["IotId"], id);

        let login = Login::signed(&product, "kitchen", &secret, "");
        let mut live = Mqtt::open(server.address("mqtt"), None, Version::V311);
        assert_eq!(live.connect(&login, true, 60).reason, ReasonCode::Success);
        let status = good(&mut app, "GetDeviceStatus", device.clone());
        assert_eq!(status["Data"]["Status"], "ONLINE", "{status}");
        assert!(status["Data"]["Timestamp"].as_i64().is_some_and(|t| t > 0));
        let counted = good(
            &mut app,
            "QueryDeviceStatistics",
            json!({"ProductKey": product}),
        );
        assert_eq!(
            (
                &counted["Data"]["deviceCount"],
                &counted["Data"]["activeCount"],
                &counted["Data"]["onlineCount"]
            ),
            (&json!(2), &json!(1), &json!(1))
        );

        good(&mut app, "DisableThing", device.clone());
        live.closed();
        assert_eq!(
            good(&mut app, "GetDeviceStatus", device.clone())["Data"]["Status"],
            "DISABLE"
        );
        good(&mut app, "EnableThing", by_id.clone());
        assert_eq!(
            good(&mut app, "GetDeviceStatus", device.clone())["Data"]["Status"],
            "OFFLINE"
        );
        good(&mut app, "DeleteDevice", device.clone());
        bad(
            &mut app,
            "QueryDeviceDetail",
            device,
            "iot.device.NotExistedDevice",
        );
        bad(
            &mut app,
            "QueryDeviceDetail",
            by_id,
            "iot.device.NotExistedDevice",
        );
    }
}

/// [AL-2.1] [AL-7.1] A batch: names checked, applied, followed, listed with their secrets; and a
/// batch of made-up names.
#[test]
fn a_batch_is_checked_applied_and_listed() {
    let mut server = Server::start();
    let (product, _) = server.product("batch");
    server.device(&product, "taken");
    for sdk in APPS {
        let mut app = server.app(sdk, false);
        let param = |names: Value| match sdk {
            App::Core => json!({"ProductKey": product, "DeviceNames": names}),
            App::Pop => {
                let mut all = json!({"ProductKey": product});
                for (n, name) in names.as_array().unwrap().iter().enumerate() {
                    all[format!("DeviceName.{}", n + 1)] = name.clone();
                }
                all
            }
            App::Tea | App::TeaV2 => json!({"ProductKey": product, "DeviceName": names}),
        };
        let checked = good(
            &mut app,
            "BatchCheckDeviceNames",
            param(json!(["taken", "no/name", "fine"])),
        );
        let batch = checked["Data"]["ApplyId"].clone();
        let invalid = checked["Data"]["InvalidDeviceNameList"]["InvalidDeviceName"].clone();
        assert!(invalid.to_string().contains("no/name"), "{checked}");
        let status = eventually("the check", || {
            let answer = good(
                &mut app,
                "QueryBatchRegisterDeviceStatus",
                json!({"ProductKey": product, "ApplyId": batch}),
            );
            (answer["Data"]["Status"] != "CHECK").then_some(answer)
        });
        assert_eq!(status["Data"]["Status"], "CHECK_FAILED", "{status}");

        let names: Vec<_> = (0..12).map(|n| format!("{sdk:?}-{n}")).collect();
        let checked = good(&mut app, "BatchCheckDeviceNames", param(json!(names)));
        let batch = checked["Data"]["ApplyId"].clone();
        assert!(batch.is_i64(), "{checked}");
        let applied = good(
            &mut app,
            "BatchRegisterDeviceWithApplyId",
            json!({"ProductKey": product, "ApplyId": batch}),
        );
        assert_eq!(applied["Data"]["ApplyId"], batch);
        eventually("the batch", || {
            let answer = good(
                &mut app,
                "QueryBatchRegisterDeviceStatus",
                json!({"ProductKey": product, "ApplyId": batch}),
            );
            (answer["Data"]["Status"] == "CREATE_SUCCESS").then_some(())
        });
        let page = good(
            &mut app,
            "QueryPageByApplyId",
            json!({"ApplyId": batch, "PageSize": 10, "CurrentPage": 2}),
        );
        assert_eq!(
            (&page["Total"], &page["PageCount"], &page["Page"]),
            (&json!(12), &json!(2), &json!(2))
        );
        let devices = page["ApplyDeviceList"]["ApplyDeviceInfo"]
            .as_array()
            .unwrap();
        assert_eq!(devices.len(), 2);
        let login = Login::signed(
            &product,
            &text(&devices[0]["DeviceName"]),
            &text(&devices[0]["DeviceSecret"]),
            "",
        );
        let mut live = Mqtt::open(server.address("mqtt"), None, Version::V311);
        assert_eq!(live.connect(&login, true, 60).reason, ReasonCode::Success);

        let random = good(
            &mut app,
            "BatchRegisterDevice",
            json!({"ProductKey": product, "Count": 5}),
        );
        let batch = random["Data"]["ApplyId"].clone();
        eventually("five devices", || {
            let page = good(&mut app, "QueryPageByApplyId", json!({"ApplyId": batch}));
            (page["Total"] == 5).then_some(())
        });
    }
    let mut app = server.app(App::Core, false);
    let total = 1 + APPS.len() * 17;
    let page = good(
        &mut app,
        "QueryDevice",
        json!({"ProductKey": product, "PageSize": 50, "CurrentPage": 1}),
    );
    assert_eq!((&page["Total"], &page["Page"]), (&json!(total), &json!(1)));
    let statuses = good(
        &mut app,
        "BatchGetDeviceState",
        json!({"ProductKey": product, "DeviceNames": ["taken", "Core-1"]}),
    );
    assert_eq!(
        statuses["DeviceStatusList"]["DeviceStatus"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let details = good(
        &mut app,
        "BatchQueryDeviceDetail",
        json!({"ProductKey": product, "DeviceNames": ["taken", "Core-1"]}),
    );
    assert_eq!(details["Data"]["Data"].as_array().unwrap().len(), 2);
    bad(
        &mut app,
        "QueryPageByApplyId",
        json!({"ApplyId": 999_999}),
        "iot.device.DeviceApplyIsNotFound",
    );
}

/// [AL-6.3] [AL-6.4] [AL-7.1] Histories in both orders, page by page, single and batch; values out
/// of range are dropped, and events that do not fit are refused.
#[test]
fn histories_are_paged_in_both_orders() {
    let mut server = Server::start();
    let (product, _) = server.product("history");
    let secret = server.device(&product, "kitchen");
    let login = Login::signed(&product, "kitchen", &secret, ",_ss=1");
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    device.connect(&login, true, 60);
    let base = format!("/sys/{product}/kitchen/thing/event");
    let now = i64::try_from(
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_millis(),
    )
    .unwrap();
    let began = now - 100_000;
    for n in 0..25 {
        let post = json!({"id": n.to_string(), "version": "1.0", "params": {
            "temperature": {"value": n, "time": began + n}, "target": {"value": 5 + n, "time": began + n},
            "nonsense": 1,
        }});
        device.publish_acknowledged(
            &format!("{base}/property/post"),
            post.to_string().as_bytes(),
        );
        let reply: Value =
            serde_json::from_slice(&device.message(&format!("{base}/property/post_reply")))
                .unwrap();
        assert_eq!(
            (&reply["code"], &reply["id"]),
            (&json!(200), &json!(n.to_string())),
            "{reply}"
        );
    }
    let out_of_range = json!({"id": "r", "version": "1.0", "params": {"target": 99}});
    device.publish_acknowledged(
        &format!("{base}/property/post"),
        out_of_range.to_string().as_bytes(),
    );
    let many: serde_json::Map<_, _> = (0..201).map(|n| (format!("p{n}"), json!(n))).collect();
    let many = json!({"id": "m", "version": "1.0", "params": many});
    device.publish_acknowledged(
        &format!("{base}/property/post"),
        many.to_string().as_bytes(),
    );
    let replies = format!("{base}/property/post_reply");
    let first: Value = serde_json::from_slice(&device.message(&replies)).unwrap();
    assert_eq!(first["code"], 200, "dropped, and still a success");
    let second: Value = serde_json::from_slice(&device.message(&replies)).unwrap();
    assert_eq!(second["code"], 6106, "more than 200");
    for (event, params, code) in [
        ("overheated", json!({"peak": 99.5}), 200),
        ("overheated", json!({"value": {"peak": 98.5}}), 200),
        ("overheated", json!({"peak": "hot"}), 0),
        ("unheard", json!({"peak": 1}), 0),
    ] {
        let post = json!({"id": "e", "version": "1.0", "params": params});
        device.publish_acknowledged(&format!("{base}/{event}/post"), post.to_string().as_bytes());
        let reply: Value =
            serde_json::from_slice(&device.message(&format!("{base}/{event}/post_reply"))).unwrap();
        assert_eq!(
            reply["code"] == 200,
            code == 200,
            "{event} {params}: {reply}"
        );
    }

    for sdk in APPS {
        let mut app = server.app(sdk, false);
        for (asc, first) in [(1, "0"), (0, "24")] {
            let (mut from, mut to) = (began, began + 1_000);
            let mut values = Vec::new();
            loop {
                let page = good(
                    &mut app,
                    "QueryDevicePropertyData",
                    json!({
                        "ProductKey": product, "DeviceName": "kitchen", "Identifier": "temperature",
                        "StartTime": from, "EndTime": to, "Asc": asc, "PageSize": 10,
                    }),
                );
                let points = page["Data"]["List"]["PropertyInfo"]
                    .as_array()
                    .unwrap()
                    .clone();
                assert!(points.len() <= 10, "{page}");
                values.extend(points.iter().map(|p| text(&p["Value"])));
                if page["Data"]["NextValid"] != true {
                    break;
                }
                let next = page["Data"]["NextTime"].as_i64().unwrap();
                if asc == 1 { from = next } else { to = next }
            }
            assert_eq!(values[0], first, "{sdk:?} asc {asc}");
            let mut sorted: Vec<f64> = values.iter().map(|v| v.parse().unwrap()).collect();
            sorted.sort_by(f64::total_cmp);
            sorted.dedup();
            assert_eq!(sorted.len(), 25, "{sdk:?} asc {asc}: {values:?}");
        }
        bad(
            &mut app,
            "QueryDevicePropertyData",
            json!({
                "ProductKey": product, "DeviceName": "kitchen", "Identifier": "temperature",
                "StartTime": 0, "EndTime": now, "Asc": 1, "PageSize": 51,
            }),
            "iot.common.InvalidPageParams",
        );
        let events = good(
            &mut app,
            "QueryDeviceEventData",
            json!({
                "ProductKey": product, "DeviceName": "kitchen", "EventType": "alert",
                "StartTime": 0, "EndTime": now + 1_000_000, "Asc": 1,
            }),
        );
        assert_eq!(
            events["Data"]["List"]["EventInfo"]
                .as_array()
                .unwrap()
                .len(),
            2,
            "{events}"
        );
    }
    let mut app = server.app(App::Core, false);
    let both = good(
        &mut app,
        "QueryDevicePropertiesData",
        json!({
            "ProductKey": product, "DeviceName": "kitchen", "Identifiers": ["temperature", "target"],
            "StartTime": began, "EndTime": began + 1_000, "Asc": 1, "PageSize": 100,
        }),
    );
    let infos = both["PropertyDataInfos"]["PropertyDataInfo"]
        .as_array()
        .unwrap();
    assert_eq!(infos.len(), 2, "{both}");
    assert!(
        infos[0]["List"]["PropertyInfo"][0]["Time"].is_i64(),
        "{both}"
    );
}

/// [AL-6.3] [AL-6.5] [AL-7.1] What does not fit the thing model is refused before it reaches a
/// device; an order for a device that is away waits for it.
#[test]
fn orders_are_checked_and_wait_for_the_device() {
    let mut server = Server::start();
    let (product, _) = server.product("orders");
    let secret = server.device(&product, "kitchen");
    let mut app = server.app(App::Tea, false);
    let device = |more: Value| {
        let mut all = json!({"ProductKey": product, "DeviceName": "kitchen"});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    for items in [
        "{\"target\": 99}",
        "{\"temperature\": 1}",
        "{\"nobody\": 1}",
        "not JSON",
        "[]",
    ] {
        let told = app.call("SetDeviceProperty", &device(json!({"Items": items})));
        assert_eq!(told["Success"], false, "{items}: {told}");
    }
    for args in ["{\"delay\": 61}", "{\"delay\": \"soon\"}", "nothing"] {
        let told = app.call(
            "InvokeThingService",
            &device(json!({"Identifier": "reboot", "Args": args})),
        );
        assert_eq!(told["Success"], false, "{args}: {told}");
    }
    good(
        &mut app,
        "SetDeviceProperty",
        device(json!({"Items": "{\"target\": 21}"})),
    );
    good(
        &mut app,
        "InvokeThingService",
        device(json!({"Identifier": "reboot", "Args": "{}"})),
    );

    server.kill();
    server.resume();
    let login = Login::signed(&product, "kitchen", &secret, "");
    let mut live = Mqtt::open(server.address("mqtt"), None, Version::V311);
    live.connect(&login, true, 60);
    let set = format!("/sys/{product}/kitchen/thing/service/property/set");
    let reboot = format!("/sys/{product}/kitchen/thing/service/reboot");
    assert!(
        !live.has_message(&set),
        "a device that has not subscribed yet is waited for"
    );
    live.subscribe(&set);
    let order: Value = serde_json::from_slice(&live.message(&set)).unwrap();
    assert_eq!(order["params"], json!({"target": 21}));
    assert_eq!(
        (&order["method"], &order["version"]),
        (&json!("thing.service.property.set"), &json!("1.0"))
    );
    assert!(text(&order["id"]).parse::<u32>().is_ok(), "{order}");
    live.subscribe(&reboot);
    live.message(&reboot);
    drop(live);
    let mut again = Mqtt::open(server.address("mqtt"), None, Version::V311);
    again.connect(&login, true, 60);
    again.subscribe(&set);
    assert!(!again.has_message(&set), "delivered once");
}

/// [AL-6.8] [AL-6.11] [AL-3.11] [AL-7.1] Tags and desired properties of a device that is away are
/// kept, changed and removed; a call that nobody waits for is refused while it is away.
#[test]
fn tags_and_wishes_are_kept_for_a_device_that_is_away() {
    let mut server = Server::start();
    let (product, _) = server.product("things");
    server.device(&product, "kitchen");
    let mut app = server.app(App::Core, false);
    let device = |more: Value| {
        let mut all = json!({"ProductKey": product, "DeviceName": "kitchen"});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let save = device(json!({"Props": "{\"room\":\"4\",\"floor\":\"2\"}"}));
    good(&mut app, "SaveDeviceProp", save);
    let delete = device(json!({"PropKey": "floor"}));
    good(&mut app, "DeleteDeviceProp", delete);
    let told = good(&mut app, "QueryDeviceProp", device(json!({})));
    let tags: Value = serde_json::from_str(told["Props"].as_str().unwrap()).unwrap();
    assert_eq!(tags, json!({"room": "4"}));

    let wish = json!({"Items": "{\"target\": 21}", "Versions": "{\"target\": 0}"});
    good(&mut app, "SetDeviceDesiredProperty", device(wish.clone()));
    let again = app.call("SetDeviceDesiredProperty", &device(wish));
    assert_eq!(again["Success"], false, "the version is 1 now: {again}");
    let clear = device(json!({"Identifies": ["target"]}));
    good(&mut app, "ClearDeviceDesiredProperty", clear);

    let call = json!({
        "ProductKey": product, "DeviceName": "kitchen", "MessageContent": "aGk=",
    });
    let told = app.call("AsyncRRpc", &call);
    assert_eq!(told["Success"], false, "{told}");
}

/// [AL-3.12] [AL-7.1] Topic classes are made, changed and removed, and decide what a device may do;
/// applications publish to a device and to all of a product.
#[test]
fn topic_classes_decide_and_messages_reach_devices() {
    let mut server = Server::start();
    let (product, _) = server.product("topics");
    let secret = server.device(&product, "kitchen");
    let login = Login::signed(&product, "kitchen", &secret, "");
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    device.connect(&login, true, 60);
    let topic = format!("/{product}/kitchen/user/news");
    assert_eq!(
        device.subscribe(&topic),
        ReasonCode::UnspecifiedError,
        "no such class yet"
    );
    let mut app = server.app(App::Core, false);
    let made = good(
        &mut app,
        "CreateProductTopic",
        json!({
            "ProductKey": product, "TopicShortName": "user/news", "Operation": "SUB", "Desc": "news",
        }),
    );
    assert_eq!(device.subscribe(&topic), ReasonCode::GrantedQoS1);
    for sdk in APPS {
        let mut app = server.app(sdk, false);
        let sent = good(
            &mut app,
            "Pub",
            json!({
                "ProductKey": product, "TopicFullName": topic, "MessageContent": "aGVsbG8=", "Qos": 1,
            }),
        );
        assert!(!sent["MessageId"].is_null(), "{sent}");
        assert_eq!(device.message(&topic), b"hello", "{sdk:?}");
    }
    bad(
        &mut app,
        "Pub",
        json!({
            "ProductKey": product, "TopicFullName": topic, "MessageContent": "not base64!",
        }),
        "iot.messagebroker.MessageContentIsNotBase64Encode",
    );
    let listed = good(
        &mut app,
        "QueryProductTopic",
        json!({"ProductKey": product}),
    );
    let classes = listed["Data"]["ProductTopicInfo"].as_array().unwrap();
    assert_eq!(classes.len(), 4, "three defaults and ours: {listed}");
    good(
        &mut app,
        "UpdateProductTopic",
        json!({
            "TopicId": made["TopicId"], "TopicShortName": "user/news", "Operation": "PUB",
        }),
    );
    assert_eq!(device.subscribe(&topic), ReasonCode::UnspecifiedError);
    device.publish_acknowledged(&topic, b"from the device");
    good(
        &mut app,
        "DeleteProductTopic",
        json!({"TopicId": made["TopicId"]}),
    );

    let broadcast = format!("/broadcast/{product}/all");
    assert_eq!(device.subscribe(&broadcast), ReasonCode::GrantedQoS1);
    good(
        &mut app,
        "PubBroadcast",
        json!({
            "ProductKey": product, "TopicFullName": broadcast, "MessageContent": "aGVsbG8=",
        }),
    );
    assert_eq!(device.message(&broadcast), b"hello");
}
