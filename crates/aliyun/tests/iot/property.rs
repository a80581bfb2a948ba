//! Properties, events and services ([AL-6.3], [AL-6.4], [AL-6.5]).

use crate::stage::{START, Stage, join, numbered, text};
use hub::edge::Session;
use model::{
    command::{Answer, Order},
    port::Signal,
};
use serde_json::{Value, json};

impl Stage {
    /// A connected device of a product with a model.
    pub(crate) async fn lamp(&self, name: &str) -> (String, Session) {
        let key = self.modelled().await;
        let secret = self.device(&key, name).await;
        let session = self.connect(&key, name, &secret).await;
        (key, session)
    }

    async fn post(&self, session: &Session, values: Value) {
        let values = values.as_object().expect("an object");
        let posted = self.hub.property_post(session, values).await;
        let dropped = posted.expect("it is kept").dropped;
        assert!(dropped.is_empty(), "{dropped:?}");
    }

    /// Waits for the next command to a device.
    async fn command(&mut self, session: &Session) -> model::command::Command {
        self.word(|word| matches!(word, Signal::CommandsWait { .. }).then_some(()))
            .await;
        let mut waiting = self.hub.commands_waiting(session).await.expect("there");
        let command = waiting.pop().expect("one waits");
        self.hub
            .command_sent(session, command.id)
            .await
            .expect("noted");
        command
    }
}

fn span<'a>(device: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let range = [("StartTime", "0"), ("EndTime", "9999999999999")];
    [device, &range[..], more].concat()
}

#[tokio::test]
async fn al_6_3_histories_are_read_both_ways_page_by_page() {
    let stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let tree = stage.ok("QueryDevicePropertyStatus", &device).await;
    let rows = tree["Data"]["List"]["PropertyStatusInfo"].as_array();
    assert_eq!(
        rows.expect("a list").len(),
        2,
        "those that were never posted too"
    );
    for level in 1..=5 {
        stage.clock.move_by(1000);
        stage.post(&session, json!({ "Level": level })).await;
    }
    stage.post(&session, json!({ "Note": "full" })).await;
    for (asc, expected) in [("0", [5, 4, 3, 2, 1]), ("1", [1, 2, 3, 4, 5])] {
        let (mut seen, mut start, mut end) =
            (Vec::new(), "0".to_owned(), "9999999999999".to_owned());
        loop {
            let params = [
                ("Identifier", "Level"),
                ("Asc", asc),
                ("PageSize", "2"),
                ("StartTime", &start),
                ("EndTime", &end),
            ];
            let params = [&device[..], &params].concat();
            let tree = stage.ok("QueryDevicePropertyData", &params).await;
            let data = &tree["Data"];
            let rows = data["List"]["PropertyInfo"].as_array().expect("a list");
            for row in rows {
                let value: i64 = text(&row["Value"]).parse().expect("a number");
                assert_eq!(text(&row["Time"]), (START + value * 1000).to_string());
                seen.push(value);
            }
            let next = data["NextTime"].as_i64().expect("a number").to_string();
            match (data["NextValid"].as_bool().expect("a truth"), asc) {
                (false, _) => break,
                (true, "1") => start = next,
                (true, _) => end = next,
            }
        }
        assert_eq!(seen, expected, "Asc {asc}");
    }
    let identifiers = numbered("Identifier", &["Level", "Note"]);
    let params = span(&device, &[("Asc", "1"), ("PageSize", "100")]);
    let params = join(&params, &identifiers);
    let tree = stage.ok("QueryDevicePropertiesData", &params).await;
    assert_eq!(tree["NextValid"], false);
    let lists = &tree["PropertyDataInfos"]["PropertyDataInfo"];
    assert_eq!(lists[0]["Identifier"], "Level");
    assert_eq!(
        lists[0]["List"]["PropertyInfo"].as_array().map(Vec::len),
        Some(5)
    );
    assert_eq!(
        lists[1]["List"]["PropertyInfo"],
        json!([{ "Time": START + 5000, "Value": "full" }])
    );
    let tree = stage.ok("QueryDevicePropertyStatus", &device).await;
    let rows = tree["Data"]["List"]["PropertyStatusInfo"].as_array();
    let level = rows
        .expect("a list")
        .iter()
        .find(|row| row["Identifier"] == "Level");
    assert_eq!(
        level.expect("it is listed"),
        &json!({
            "Identifier": "Level",
            "Name": "Fill level",
            "DataType": "int",
            "Unit": "%",
            "Value": "5",
            "Time": (START + 5000).to_string(),
        })
    );
    for (more, code) in [
        (("PageSize", "51"), "iot.common.InvalidPageParams"),
        (("Asc", "2"), "iot.common.InvalidPageParams"),
        (("EndTime", "-1"), "iot.device.InvalidTimeBucket"),
        (
            ("Identifier", "Other"),
            "iot.device.QueryDeviceAttrDataHistoryFailed",
        ),
    ] {
        let mut params = span(
            &device,
            &[("Identifier", "Level"), ("Asc", "1"), ("PageSize", "10")],
        );
        params.retain(|(name, _)| *name != more.0);
        params.push(more);
        assert_eq!(
            stage.code("QueryDevicePropertyData", &params).await,
            code,
            "{more:?}"
        );
    }
}

#[tokio::test]
async fn al_6_3_a_property_is_set_and_the_device_told() {
    let mut stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let set = [&device[..], &[("Items", "{\"Level\":7}")]].concat();
    let tree = stage.ok("SetDeviceProperty", &set).await;
    let command = stage.command(&session).await;
    assert_eq!(text(&tree["Data"]["MessageId"]), command.id.to_string());
    let items = json!({ "Level": 7 });
    let Order::SetProperties(asked) = command.order else {
        panic!("another order");
    };
    assert_eq!(Value::Object(asked), items);
    for (items, code) in [
        ("[]", "iot.device.InvalidFormattedDevicePropertiesString"),
        ("{", "iot.device.InvalidFormattedDevicePropertiesString"),
        ("{}", "iot.device.NoneDeviceProperties"),
        ("{\"Level\":101}", "iot.device.SetDevicePropertyFailed"),
        (
            "{\"Note\":\"read only\"}",
            "iot.device.SetDevicePropertyFailed",
        ),
    ] {
        let set = [&device[..], &[("Items", items)]].concat();
        assert_eq!(stage.code("SetDeviceProperty", &set).await, code, "{items}");
    }
    // A device that is away gets the order when it comes back.
    stage.device(&key, "lamp2").await;
    let names = numbered("DeviceName", &["lamp1", "lamp2"]);
    let plain = [("ProductKey", key.as_str()), ("Items", "{\"Level\":8}")];
    stage.ok("SetDevicesProperty", &join(&plain, &names)).await;
    let names = numbered("DeviceName", &["lamp1", "nobody"]);
    let (_, tree) = stage
        .call("SetDevicesProperty", &join(&plain, &names))
        .await;
    assert_eq!(tree["Code"], "iot.device.NotExistedDevice");
    assert!(text(&tree["ErrorMessage"]).contains("nobody"));
}

#[tokio::test]
async fn al_6_4_events_are_read_back() {
    let stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let output = json!({ "Code": 3 });
    let posted = stage.hub.event_post(&session, "Alarm", &output).await;
    posted.expect("it fits");
    for more in [
        vec![],
        vec![("Identifier", "Alarm")],
        vec![("EventType", "alert"), ("Asc", "1")],
    ] {
        let tree = stage
            .ok("QueryDeviceEventData", &span(&device, &more))
            .await;
        let row = &tree["Data"]["List"]["EventInfo"][0];
        assert_eq!(row["Identifier"], "Alarm");
        assert_eq!(row["Name"], "Overflow alarm");
        assert_eq!(row["EventType"], "alert");
        assert_eq!(row["Time"], START.to_string());
        let data: Value = serde_json::from_str(&text(&row["OutputData"])).expect("JSON");
        assert_eq!(data, output);
    }
    let more = [("EventType", "error")];
    let tree = stage
        .ok("QueryDeviceEventData", &span(&device, &more))
        .await;
    assert_eq!(tree["Data"]["List"]["EventInfo"], json!([]));
    let more = [("EventType", "loud")];
    let code = stage
        .code("QueryDeviceEventData", &span(&device, &more))
        .await;
    assert_eq!(code, "iot.system.IllegalRequest");
}

fn answer(data: Value) -> Answer {
    Answer {
        code: 200,
        data,
        message: "success".into(),
    }
}

#[tokio::test]
async fn al_6_5_services_are_invoked_and_read_back() {
    let mut stage = Stage::set().await;
    let (key, session) = stage.lamp("lamp1").await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let invoke = |service, args| [&device[..], &[("Identifier", service), ("Args", args)]].concat();
    let tree = stage
        .ok("InvokeThingService", &invoke("Empty", "{\"To\":5}"))
        .await;
    let command = stage.command(&session).await;
    assert_eq!(text(&tree["Data"]["MessageId"]), command.id.to_string());
    assert!(tree["Data"].get("Result").is_none());
    let answered = stage
        .hub
        .command_answered(&session, command.id, answer(json!({})));
    assert!(answered.await.expect("it is kept"));

    // A synchronous one is waited for.
    let pairs = stage.signed(&stage.key, "InvokeThingService", &invoke("Weigh", "{}"));
    let (door, hub) = (stage.door.clone(), stage.hub.clone());
    let uri = format!("/?{}", credential::request::query::canonical(&pairs));
    let mut request = axum::http::Request::get(uri)
        .body(axum::body::Body::empty())
        .expect("good");
    request.extensions_mut().insert(crate::stage::PEER);
    let call = tokio::spawn(tower::ServiceExt::oneshot(door, request));
    let command = stage.command(&session).await;
    let answered = hub.command_answered(&session, command.id, answer(json!({ "Weight": 42 })));
    assert!(answered.await.expect("it is kept"));
    let answer = call.await.expect("it ends").expect("the door answers");
    let (_, tree) = crate::stage::json_of(answer).await;
    let result: Value = serde_json::from_str(&text(&tree["Data"]["Result"])).expect("JSON");
    assert_eq!(
        (&result["code"], &result["data"]["Weight"]),
        (&json!(200), &json!(42))
    );

    let tree = stage
        .ok("QueryDeviceServiceData", &span(&device, &[("Asc", "1")]))
        .await;
    let rows = tree["Data"]["List"]["ServiceInfo"]
        .as_array()
        .expect("a list");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["Identifier"], "Empty");
    assert_eq!(rows[0]["Name"], "Empty it");
    assert_eq!(rows[0]["InputData"], "{\"To\":5}");
    assert!(text(&rows[1]["OutputData"]).contains("42"));

    stage.device(&key, "lamp2").await;
    let away = [("ProductKey", key.as_str()), ("DeviceName", "lamp2")];
    for (device, service, args, code) in [
        (
            &device,
            "Other",
            "{}",
            "iot.device.InvokeThingServiceFailed",
        ),
        (
            &device,
            "Empty",
            "[]",
            "iot.device.InvokeThingServiceFailed",
        ),
        (
            &device,
            "Empty",
            "{\"To\":101}",
            "iot.device.InvokeThingServiceFailed",
        ),
        (&away, "Weigh", "{}", "iot.messagebroker.OFFLINE"),
    ] {
        let params = [&device[..], &[("Identifier", service), ("Args", args)]].concat();
        assert_eq!(
            stage.code("InvokeThingService", &params).await,
            code,
            "{service} {args}"
        );
    }
    let names = numbered("DeviceName", &["lamp1", "lamp2"]);
    let plain = [
        ("ProductKey", key.as_str()),
        ("Identifier", "Empty"),
        ("Args", "{\"To\":1}"),
    ];
    stage.ok("InvokeThingsService", &join(&plain, &names)).await;
}
