//! What applications and devices keep of each other: desired properties, shadows, tags; each from
//! both sides.

use crate::stage::{Stage, join};
use aliyun::device::Alink;
use hub::{
    account::Permit,
    edge::{Dialect, Inbound, Session},
};
use model::{
    account::{Caller, Resource},
    id::ProductKey,
    port::{CloseReason, Signal},
};
use serde_json::{Value, json};

impl Stage {
    pub(crate) fn dialect(&self) -> Alink {
        let settings = aliyun::device::Settings {
            host: None,
            mqtt_port: 1883,
            insecure_http: true,
        };
        Alink::new(self.hub.clone(), settings)
    }

    /// What the account itself may do with a product.
    async fn permit(&self, product: &ProductKey) -> Permit {
        let caller = Caller {
            account: self.key.key.account.clone(),
            operator: false,
            user: None,
            key: Some(self.key.key.id.clone()),
            address: String::new(),
        };
        let resource = Resource::Product(product.clone());
        let permit = self
            .hub
            .caller_allow(&caller, "muster:Test", &resource, false);
        permit.await.expect("it is allowed")
    }

    /// The last order that waits for a device, in the vendor's words; it is handed over.
    async fn down(&self, session: &Session) -> (String, Value) {
        let waiting = self.hub.commands_waiting(session).await.expect("there");
        let command = waiting.last().expect("one waits");
        let told = self.dialect().downlink(session, command).remove(0);
        let sent = self.hub.command_sent(session, command.id).await;
        assert!(sent.expect("noted"));
        (
            told.topic,
            serde_json::from_slice(&told.payload).expect("JSON"),
        )
    }

    /// A device says something that is not answered.
    async fn quiet(&self, session: &Session, topic: &str, payload: &Value) {
        let inbound = Inbound {
            topic: topic.into(),
            payload: payload.to_string().into(),
            qos: 0,
        };
        let done = self.dialect().uplink(session, inbound).await;
        assert_eq!(done.expect("it is taken").replies, []);
    }

    /// A device says something; gives its reply, with the reply's topic.
    pub(crate) async fn said(
        &self,
        session: &Session,
        topic: &str,
        payload: &str,
    ) -> (String, Value) {
        let inbound = Inbound {
            topic: topic.into(),
            payload: payload.to_owned().into(),
            qos: 0,
        };
        let done = self.dialect().uplink(session, inbound).await;
        let mut replies = done.expect("it is taken").replies;
        assert_eq!(replies.len(), 1, "{topic} {payload}");
        let reply = replies.remove(0);
        let payload = serde_json::from_slice(&reply.payload).expect("JSON");
        (reply.topic, payload)
    }

    /// The reply to a request below the device's `/sys`.
    pub(crate) async fn asked(&self, session: &Session, rest: &str, params: Value) -> Value {
        let device = &session.device;
        let topic = format!("/sys/{}/{}/{rest}", device.product, device.name);
        let request = json!({"id": "1", "version": "1.0", "params": params}).to_string();
        let (reply_topic, reply) = self.said(session, &topic, &request).await;
        assert_eq!(reply_topic, format!("{topic}_reply"));
        assert_eq!(reply["id"], "1");
        reply
    }

    /// The next message of the server's own to a device.
    pub(crate) async fn told(&mut self) -> (String, Value) {
        self.word(|word| match word {
            Signal::Publish {
                topic,
                payload,
                system: true,
                ..
            } => Some((topic, serde_json::from_slice(&payload).expect("JSON"))),
            Signal::Publish { .. }
            | Signal::Call { .. }
            | Signal::CommandsWait { .. }
            | Signal::Close { .. }
            | Signal::Notice { .. } => None,
        })
        .await
    }
}

/// [AL-6.8] Set by the application, ordered, fetched and cleared by the device.
#[tokio::test]
async fn al_6_8_a_desired_property_goes_its_way() {
    let stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let set = [("Items", r#"{"Level":7}"#), ("Versions", r#"{"Level":0}"#)];
    let tree = stage
        .ok("SetDeviceDesiredProperty", &[&device[..], &set].concat())
        .await;
    assert_eq!(tree["Data"]["Versions"], r#"{"Level":1}"#);
    let number = tree["Data"]["MessageId"].as_str().expect("a text");
    let waiting = stage.hub.commands_waiting(&session).await.expect("there");
    assert_eq!(waiting[0].id.to_string(), number);
    let reply = stage
        .asked(
            &session,
            "thing/property/desired/get",
            json!(["Level", "x"]),
        )
        .await;
    assert_eq!(reply["code"], 200);
    assert_eq!(reply["data"], json!({"Level": {"value": 7, "version": 1}}));
    let stale = [("Items", r#"{"Level":8}"#), ("Versions", r#"{"Level":0}"#)];
    let stale = [&device[..], &stale].concat();
    assert_eq!(
        stage.code("SetDeviceDesiredProperty", &stale).await,
        "iot.device.SetDevicePropertyFailed"
    );
    let rows = async || {
        let tree = stage.ok("QueryDeviceDesiredProperty", &device).await;
        tree["Data"]["List"]["DesiredPropertyInfo"].clone()
    };
    let of = |rows: &Value| {
        let mut rows = rows.as_array().expect("a list").iter();
        rows.find(|row| row["Identifier"] == "Level").cloned()
    };
    let row = of(&rows().await).expect("it is in the model");
    assert_eq!((&row["Value"], &row["Version"]), (&json!("7"), &json!(1)));
    let clear = async |params| {
        let reply = stage
            .asked(&session, "thing/property/desired/delete", params)
            .await;
        (reply["code"].clone(), reply["data"].clone())
    };
    let done = (json!(200), json!({}));
    assert_eq!(clear(json!({"Level": {"version": 9}})).await, done);
    assert_eq!(of(&rows().await).expect("there")["Value"], "7");
    assert_eq!(clear(json!({"Level": {}})).await, done);
    assert_eq!(of(&rows().await).expect("there").get("Value"), None);
    assert_eq!(clear(json!([])).await.0, 460);
    let reply = stage
        .asked(&session, "thing/property/desired/get", json!({"a": 1}))
        .await;
    assert_eq!(reply["code"], 460);
    let set = [("Items", r#"{"Level":3}"#), ("Versions", "{}")];
    stage
        .ok("SetDeviceDesiredProperty", &[&device[..], &set].concat())
        .await;
    let names = [("Identifies.1", "Level")];
    let tree = stage
        .ok(
            "ClearDeviceDesiredProperty",
            &join(&device, &[(names[0].0.into(), names[0].1.into())]),
        )
        .await;
    assert_eq!(tree["Data"]["Versions"], r#"{"Level":2}"#);
    let many: Value = (0..11).map(|n| (format!("p{n}"), json!(1))).collect();
    let many = many.to_string();
    for (items, versions, code) in [
        (many.as_str(), "{}", "TooManyDevicePropertiesPerTime"),
        ("{}", "{}", "NoneDeviceProperties"),
        ("[]", "{}", "InvalidFormattedDevicePropertiesString"),
        (
            r#"{"Level":1}"#,
            "[]",
            "InvalidFormattedDevicePropertiesString",
        ),
        (r#"{"Level":"x"}"#, "{}", "SetDevicePropertyFailed"),
    ] {
        let set = [("Items", items), ("Versions", versions)];
        let set = [&device[..], &set].concat();
        let code = format!("iot.device.{code}");
        assert_eq!(stage.code("SetDeviceDesiredProperty", &set).await, code);
    }
}

/// The shadow: reported by the device, wanted by the application, told to the device, with every
/// code of the vendor's client.
#[tokio::test]
async fn a_shadow_is_kept_between_device_and_application() {
    let mut stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let topic = format!("/shadow/update/{key}/lamp1");
    let get = format!("/shadow/get/{key}/lamp1");
    let say = async |stage: &Stage, payload: &str| {
        let (topic, reply) = stage.said(&session, &topic, payload).await;
        assert_eq!(topic, get);
        assert_eq!(reply["method"], "reply");
        reply
    };
    let reply = say(
        &stage,
        r#"{"method":"update","state":{"reported":{"color":"red"}},"version":1,"clientToken":"t1"}"#,
    )
    .await;
    assert_eq!(reply["payload"], json!({"status": "success", "version": 1}));
    assert_eq!(reply["clientToken"], "t1");
    let message = r#"{"method":"update","state":{"desired":{"color":"green","on":1}},"version":2}"#;
    let update = [&device[..], &[("ShadowMessage", message)]].concat();
    stage.ok("UpdateDeviceShadow", &update).await;
    let (told_on, told) = stage.told().await;
    assert_eq!((told_on, &told["method"]), (get.clone(), &json!("control")));
    assert_eq!(told["version"], 2);
    let state = json!({"reported": {"color": "red"}, "desired": {"color": "green", "on": 1}});
    assert_eq!(told["payload"]["state"], state);
    assert!(told["payload"]["metadata"]["desired"]["color"]["timestamp"].is_u64());
    let reply = say(&stage, r#"{"method":"get"}"#).await;
    assert_eq!(reply["payload"]["state"], state);
    assert_eq!(reply["version"], 2);
    let tree = stage.ok("GetDeviceShadow", &device).await;
    let shadow: Value =
        serde_json::from_str(tree["ShadowMessage"].as_str().expect("a text")).expect("JSON");
    assert_eq!((&shadow["state"], &shadow["version"]), (&state, &json!(2)));
    // Only what is new, where the application says so.
    let message = r#"{"method":"update","state":{"desired":{"on":"null"}},"version":3}"#;
    let delta = [
        &device[..],
        &[("ShadowMessage", message), ("DeltaUpdate", "true")],
    ]
    .concat();
    stage.ok("UpdateDeviceShadow", &delta).await;
    let wanted = &stage.told().await.1["payload"]["state"]["desired"];
    assert_eq!(wanted, &json!({"color": "green"}));
    let done = r#"{"method":"update","state":{"desired":"null","reported":{"color":"green"}},"version":4}"#;
    assert_eq!(say(&stage, done).await["payload"]["version"], 4);
    let some = r#"{"method":"delete","state":{"reported":{"color":"null"}},"version":5}"#;
    assert_eq!(say(&stage, some).await["payload"]["status"], "success");
    let reply = say(&stage, r#"{"method":"get"}"#).await;
    assert_eq!(reply["payload"]["state"], json!({"reported": {}}));
    let reset = r#"{"method":"update","state":{"reported":{"a":1}},"version":-1}"#;
    assert_eq!(say(&stage, reset).await["payload"]["version"], 0);

    let many: Value = (0..129).map(|n| (format!("a{n}"), json!(1))).collect();
    let many = json!({"method": "update", "version": 9, "state": {"reported": many}}).to_string();
    for (payload, code) in [
        (r#"{"method":"delete",,"state":{}}"#, "400"),
        ("[]", "400"),
        (r#"{"state":{}}"#, "401"),
        (r#"{"method":"update","version":9}"#, "402"),
        (
            r#"{"method":"update","version":"9","state":{"reported":{"a":1}}}"#,
            "403",
        ),
        (r#"{"method":"update","state":{"reported":{"a":1}}}"#, "403"),
        (
            r#"{"method":"update","version":9,"state":{"other":{"a":1}}}"#,
            "404",
        ),
        (
            r#"{"method":"delete","version":9,"state":{"desired":"null"}}"#,
            "404",
        ),
        (
            r#"{"method":"update","version":9,"state":{"reported":{}}}"#,
            "405",
        ),
        (
            r#"{"method":"put","version":9,"state":{"reported":{"a":1}}}"#,
            "406",
        ),
        (r#"{"method":"update","version":9,"state":{}}"#, "407"),
        (many.as_str(), "408"),
        (
            r#"{"method":"update","version":0,"state":{"reported":{"a":1}}}"#,
            "409",
        ),
    ] {
        let reply = say(&stage, payload).await;
        assert_eq!(reply["payload"]["status"], "error", "{payload}");
        assert_eq!(reply["payload"]["content"]["errorcode"], code, "{payload}");
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(16 * 1024));
    for (message, code) in [
        ("", "NullShadowMessage"),
        ("[]", "ShadowMessageIsNotJson"),
        (large.as_str(), "ShadowMessageLengthIsLarge"),
        (r#"{"state":{}}"#, "NotFoundMethodInShadowMessage"),
        (r#"{"method":"get"}"#, "MethodValueIsNotUpdate"),
        (
            r#"{"method":"update"}"#,
            "NotFoundVersionOrNullVersionValue",
        ),
        (
            r#"{"method":"update","version":"x"}"#,
            "InvalidVersionValueInShadowMessage",
        ),
        (
            r#"{"method":"update","version":9}"#,
            "NotFoundStateInShadowMessage",
        ),
        (
            r#"{"method":"update","version":0,"state":{"desired":{"a":1}}}"#,
            "InvalidVersionValueInShadowMessage",
        ),
    ] {
        let update = [&device[..], &[("ShadowMessage", message)]].concat();
        let code = format!("iot.messagebroker.{code}");
        assert_eq!(stage.code("UpdateDeviceShadow", &update).await, code);
    }
    let nobody = [("ProductKey", key.as_str()), ("DeviceName", "nobody")];
    let code = stage.code("GetDeviceShadow", &nobody).await;
    assert_eq!(code, "iot.device.NotExistedDevice");
}

/// [AL-6.13] A document is given, asked for and pushed, with the codes of the document before there
/// is one.
#[tokio::test]
async fn al_6_13_a_configuration_reaches_its_devices() {
    let stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let product = ProductKey::parse(&key).expect("it is good");
    let permit = stage.permit(&product).await;
    let hub = &stage.hub;
    let get = async |params| stage.asked(&session, "thing/config/get", params).await;
    let usual = || json!({"configScope": "product", "getType": "file"});
    let reply = get(usual()).await;
    assert_eq!(
        (&reply["code"], &reply["message"]),
        (
            &json!(6713),
            &json!("thing config function is not available")
        )
    );
    hub.configuration_switch(&permit, &product, true)
        .await
        .expect("on");
    let reply = get(usual()).await;
    assert_eq!(
        (&reply["code"], &reply["message"]),
        (&json!(6710), &json!("no data"))
    );
    let put = hub.configuration_put(&permit, &product, "{\"a\":1}".into());
    put.await.expect("it is kept");
    let reply = get(usual()).await;
    assert_eq!(reply["code"], 200);
    let data = &reply["data"];
    assert_eq!(
        (&data["configSize"], &data["signMethod"]),
        (&json!(7), &json!("Sha256"))
    );
    assert_eq!(data["getType"], "file");
    let digest = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
    assert_eq!(data["sign"], digest);
    assert!(data["url"].as_str().expect("a text").contains("Expires="));
    assert_eq!(get(json!({"configScope": "device"})).await["code"], 460);

    let number = hub
        .configuration_push(&permit, &session.device)
        .await
        .expect("told");
    let (topic, told) = stage.down(&session).await;
    assert_eq!(topic, format!("/sys/{key}/lamp1/thing/config/push"));
    assert_eq!(
        (&told["id"], &told["method"]),
        (&json!(number.to_string()), &json!("thing.config.push"))
    );
    assert_eq!(told["params"]["configId"], data["configId"]);
    stage
        .quiet(
            &session,
            &format!("{topic}_reply"),
            &json!({"id": told["id"], "code": 200, "data": {}}),
        )
        .await;
    assert!(
        hub.commands_waiting(&session)
            .await
            .expect("there")
            .is_empty()
    );
}

/// What a device writes into its log, and what an operator sees of it; and the trace of both.
#[tokio::test]
async fn a_device_is_looked_into() {
    let stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let permit = stage
        .permit(&ProductKey::parse(&key).expect("it is good"))
        .await;
    let (hub, device) = (&stage.hub, &session.device);
    let mode = async || {
        let params = json!({"configScope": "device", "getType": "content"});
        let reply = stage.asked(&session, "thing/config/log/get", params).await;
        reply["data"].clone()
    };
    assert_eq!(
        mode().await,
        json!({"getType": "content", "content": {"mode": 0}})
    );
    hub.device_log_switch(&permit, device, true)
        .await
        .expect("on");
    let (topic, told) = stage.down(&session).await;
    assert_eq!(topic, format!("/sys/{key}/lamp1/thing/config/log/push"));
    assert_eq!(told["params"]["content"]["mode"], 1);
    assert_eq!(mode().await["content"]["mode"], 1);
    hub.trace_switch(&permit, device, true).await.expect("on");
    for rest in ["thing/log/post", "thing/config/log/post"] {
        let line = json!([{"utcTime": "2020", "logLevel": "WARN", "logContent": "low"}]);
        assert_eq!(stage.asked(&session, rest, line).await["code"], 200);
        assert_eq!(stage.asked(&session, rest, json!({})).await["code"], 460);
    }
    let log = hub.device_log(&permit, device).await.expect("there");
    assert_eq!(log.lines.len(), 2);
    assert_eq!(
        (log.lines[0].level.as_str(), log.lines[0].text.as_str()),
        ("WARN", "low")
    );
    let dialect = stage.dialect();
    assert!(!dialect.may(&session, hub::edge::Verb::Publish, "/sys/other/lamp1/x"));
    let trace = hub
        .trace_of(&permit, device)
        .await
        .expect("there")
        .expect("on");
    let ways: Vec<_> = trace.iter().map(|line| line.way.word()).collect();
    assert_eq!(ways[..2], ["up", "down"]);
    assert!(trace[1].text.contains("\"code\":200"));
    let last = trace.last().expect("some");
    assert_eq!(
        (last.way.word(), last.text.as_str()),
        ("note", "no right to publish there")
    );
}

/// [AL-6.10] A device hears why its connection ends.
#[tokio::test]
async fn al_6_10_a_device_is_told_that_it_is_disabled_or_deleted() {
    let mut stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let dialect = stage.dialect();
    for (reason, word) in [
        (CloseReason::Disabled, Some("disable")),
        (CloseReason::Deleted, Some("delete")),
        (CloseReason::TakenOver, None),
        (CloseReason::Stopping, None),
    ] {
        let told = dialect.farewell(&session, reason);
        let topics: Vec<_> = told.into_iter().map(|told| told.topic).collect();
        let expected: Vec<_> = word
            .map(|word| format!("/sys/{key}/lamp1/thing/{word}"))
            .into_iter()
            .collect();
        assert_eq!(topics, expected);
    }
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    stage.ok("DisableThing", &device).await;
    stage.ok("EnableThing", &device).await;
    let (topic, told) = stage.told().await;
    assert_eq!(topic, format!("/sys/{key}/lamp1/thing/enable"));
    assert_eq!(told["method"], "thing.enable");
}

/// [AL-6.11] Tags from both sides, and devices found by them.
#[tokio::test]
async fn al_6_11_tags_are_set_from_both_sides() {
    let stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let update = async |params| {
        let reply = stage
            .asked(&session, "thing/deviceinfo/update", params)
            .await;
        reply["code"].clone()
    };
    let tag = json!([{"attrKey": "Temperature", "attrValue": "36.8"}]);
    assert_eq!(update(tag).await, 200);
    let system = json!([{"attrKey": "SYS_SDK", "attrValue": "C", "domain": "SYSTEM"}]);
    assert_eq!(update(system).await, 200);
    for bad in [
        json!([{"attrKey": "1", "attrValue": "x"}]),
        json!([{"attrKey": "x".repeat(65), "attrValue": "x"}]),
        json!([{"attrKey": "x", "attrValue": "a b"}]),
        json!(
            (0..201)
                .map(|n| json!({"attrKey": format!("k{n}"), "attrValue": "v"}))
                .collect::<Vec<_>>()
        ),
        json!([{"attrKey": "x"}]),
    ] {
        assert_eq!(update(bad).await, 460);
    }
    let save = [&device[..], &[("Props", r#"{"room":"厨房","floor":2}"#)]].concat();
    stage.ok("SaveDeviceProp", &save).await;
    let tags = async || {
        let tree = stage.ok("QueryDeviceProp", &device).await;
        let text = tree["Props"].as_str().expect("a text").to_owned();
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let all = json!({"Temperature": "36.8", "room": "厨房", "floor": "2"});
    assert_eq!(tags().await, all);
    let find = async |tags: &[(&str, &str)]| {
        let tree = stage.ok("QueryDeviceByTags", tags).await;
        assert_eq!(tree["Page"], 1);
        let rows = tree["Data"]["SimpleDeviceInfo"].as_array().expect("a list");
        (
            tree["Total"].clone(),
            rows.first().map(|row| row["DeviceName"].clone()),
        )
    };
    let found = (json!(1), Some(json!("lamp1")));
    assert_eq!(
        find(&[
            ("Tag.1.TagKey", "room"),
            ("Tag.1.TagValue", "厨房"),
            ("Tag.2.TagKey", "floor")
        ])
        .await,
        found
    );
    assert_eq!(
        find(&[("Tag.1.TagKey", "room"), ("Tag.1.TagValue", "x")])
            .await
            .0,
        0
    );
    let gone = json!([{"attrKey": "Temperature"}]);
    let reply = stage.asked(&session, "thing/deviceinfo/delete", gone).await;
    assert_eq!(reply["code"], 200);
    let delete = [&device[..], &[("PropKey", "floor")]].concat();
    stage.ok("DeleteDeviceProp", &delete).await;
    assert_eq!(tags().await, json!({"room": "厨房"}));
    for (action, more, code) in [
        (
            "SaveDeviceProp",
            ("Props", "x"),
            "iot.device.InvalidFormattedDevicePropertiesString",
        ),
        (
            "SaveDeviceProp",
            ("Props", "{}"),
            "iot.device.NoneDeviceProperties",
        ),
        (
            "SaveDeviceProp",
            ("Props", r#"{"a b":"c"}"#),
            "iot.system.IllegalRequest",
        ),
        (
            "DeleteDeviceProp",
            ("PropKey", ""),
            "iot.device.NullDevicePropertyKey",
        ),
        (
            "QueryDeviceByTags",
            ("PageSize", "10"),
            "iot.system.IllegalRequest",
        ),
    ] {
        let params = match action {
            "QueryDeviceByTags" => vec![more],
            _ => [&device[..], &[more]].concat(),
        };
        assert_eq!(stage.code(action, &params).await, code, "{action} {more:?}");
    }
    // A device that is deleted takes all this with it; one of the same name begins anew.
    stage.ok("DeleteDevice", &device).await;
    let update = stage.asked(
        &session,
        "thing/deviceinfo/update",
        json!([{"attrKey": "a", "attrValue": "b"}]),
    );
    assert_eq!(update.await["code"], 6100);
    stage.device(&key, "lamp1").await;
    assert_eq!(tags().await, json!({}));
    assert_eq!(find(&[("Tag.1.TagKey", "room")]).await.0, 0);
}
