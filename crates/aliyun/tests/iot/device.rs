//! Devices, one by one and in batches ([AL-2.1], [AL-2.6]).

use crate::stage::{START, Stage, join, numbered, text};
use serde_json::json;

#[tokio::test]
async fn al_2_1_a_device_is_registered_read_and_deleted() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    let params = join(&device, &[]);
    let nickname = [params.as_slice(), &[("Nickname", "Hall lamp")]].concat();
    let made = stage.ok("RegisterDevice", &nickname).await;
    let data = &made["Data"];
    assert_eq!(
        (&data["ProductKey"], &data["DeviceName"]),
        (&json!(key), &json!("lamp1"))
    );
    let (id, secret) = (text(&data["IotId"]), text(&data["DeviceSecret"]));
    for params in [
        device.to_vec(),
        vec![("IotId", id.as_str())],
        vec![
            ("IotId", id.as_str()),
            ("ProductKey", "other"),
            ("DeviceName", "other"),
        ],
    ] {
        let tree = stage.ok("QueryDeviceInfo", &params).await;
        assert_eq!(tree["Data"]["DeviceSecret"], secret.as_str());
        assert_eq!(tree["Data"]["Nickname"], "Hall lamp");
    }
    let tree = stage.ok("QueryDeviceDetail", &device).await;
    let data = &tree["Data"];
    for (name, value) in [
        ("Status", "UNACTIVE"),
        ("ProductName", "Lamp"),
        ("UtcCreate", "2021-02-22T08:00:00.000Z"),
        ("GmtCreate", "2021-02-22 08:00:00"),
        ("UtcActive", ""),
        ("UtcOnline", ""),
        ("IotId", &id),
        ("DeviceSecret", &secret),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert_eq!(
        (&data["NodeType"], &data["Owner"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(
        stage.code("RegisterDevice", &device).await,
        "iot.device.AlreadyExistedDeviceName"
    );
    let bad = [device[0], ("DeviceName", "a b")];
    assert_eq!(
        stage.code("RegisterDevice", &bad).await,
        "iot.device.InvalidFormattedDeviceName"
    );
    stage.ok("DeleteDevice", &device).await;
    for params in [device.to_vec(), vec![("IotId", id.as_str())]] {
        let code = stage.code("QueryDeviceInfo", &params).await;
        assert_eq!(code, "iot.device.NotExistedDevice");
    }
    for (params, code) in [
        (vec![], "iot.prod.NullProductKey"),
        (vec![device[0]], "iot.device.NullDeviceName"),
        (vec![("IotId", "a b")], "iot.device.InvalidIoTId"),
    ] {
        assert_eq!(stage.code("QueryDeviceInfo", &params).await, code);
    }
    let made = stage.ok("RegisterDevice", &device[..1]).await;
    assert!(
        text(&made["Data"]["DeviceName"]).len() >= 4,
        "a name is made up"
    );
}

#[tokio::test]
async fn al_2_1_states_are_told_in_the_vendors_words() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    let mut sessions = Vec::new();
    for name in ["fresh", "online", "offline", "disabled"] {
        let secret = stage.device(&key, name).await;
        if name != "fresh" {
            sessions.push(stage.connect(&key, name, &secret).await);
        }
    }
    stage.clock.move_by(1000);
    stage.disconnect(&sessions[1]).await;
    let of = |name| [("ProductKey", key.as_str()), ("DeviceName", name)];
    stage.ok("DisableThing", &of("disabled")).await;
    // Its connection is told to end, and does.
    stage.disconnect(&sessions[2]).await;
    let states = [
        ("fresh", "UNACTIVE", "0"),
        ("online", "ONLINE", "1"),
        ("offline", "OFFLINE", "3"),
        ("disabled", "DISABLE", "8"),
    ];
    for (name, word, number) in states {
        let tree = stage.ok("GetDeviceStatus", &of(name)).await;
        assert_eq!(tree["Data"]["Status"], word, "{name}");
        assert!(tree["Data"]["Timestamp"].as_i64().expect("a number") >= START);
        let by_status = [("ProductKey", key.as_str()), ("Status", number)];
        for params in [&by_status[..], &by_status[1..]] {
            let tree = stage.ok("QueryDeviceByStatus", params).await;
            assert_eq!(tree["Total"], 1, "{name}");
            let row = &tree["Data"]["SimpleDeviceInfo"][0];
            assert_eq!(
                (&row["DeviceName"], &row["Status"]),
                (&json!(name), &json!(word))
            );
        }
    }
    // When a device came is noted behind its login.
    let one = [("ProductKey", key.as_str()), ("DeviceName.1", "online")];
    let noted = async {
        loop {
            let tree = stage.ok("BatchGetDeviceState", &one).await;
            let row = &tree["DeviceStatusList"]["DeviceStatus"][0];
            if row["LastOnlineTime"] != "" {
                break;
            }
        }
    };
    let noted = tokio::time::timeout(std::time::Duration::from_secs(10), noted).await;
    noted.expect("it is noted soon");
    let names: Vec<_> = states.iter().map(|state| state.0).collect();
    let names = numbered("DeviceName", &[&names[..], &["nobody"]].concat());
    let product = [("ProductKey", key.as_str())];
    let tree = stage
        .ok("BatchGetDeviceState", &join(&product, &names))
        .await;
    let rows = tree["DeviceStatusList"]["DeviceStatus"].as_array();
    let rows = rows.expect("a list");
    assert_eq!(rows.len(), 4, "names that are not there are left out");
    let online = rows.iter().find(|row| row["DeviceName"] == "online");
    let online = online.expect("it is listed");
    assert_eq!(online["Status"], "ONLINE");
    assert_eq!(online["LastOnlineTime"], "2021-02-22 08:00:00");
    assert_eq!(online["AsAddress"], "192.0.2.7");
    let ids = numbered(
        "IotId",
        &[online["IotId"].as_str().expect("a text"), "gone"],
    );
    let tree = stage.ok("BatchGetDeviceState", &join(&[], &ids)).await;
    assert_eq!(
        tree["DeviceStatusList"]["DeviceStatus"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        stage.code("BatchGetDeviceState", &product).await,
        "iot.device.NoneDeviceNameElement"
    );
    let tree = stage.ok("QueryDeviceStatistics", &product).await;
    let counts = json!({ "deviceCount": 4, "activeCount": 3, "onlineCount": 1 });
    assert_eq!(tree["Data"], counts);
    stage.ok("EnableThing", &of("disabled")).await;
    let tree = stage.ok("GetDeviceStatus", &of("disabled")).await;
    assert_eq!(tree["Data"]["Status"], "OFFLINE");
}

#[tokio::test]
async fn al_7_1_devices_are_listed_page_by_page() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    for name in ["lamp1", "lamp2", "lamp3"] {
        stage.device(&key, name).await;
        stage.clock.move_by(1);
    }
    let product = ("ProductKey", key.as_str());
    let first = [product, ("PageSize", "2")];
    let tree = stage.ok("QueryDevice", &first).await;
    assert_eq!(
        [
            &tree["Total"],
            &tree["PageCount"],
            &tree["Page"],
            &tree["PageSize"]
        ],
        [3, 2, 1, 2]
    );
    let row = &tree["Data"]["DeviceInfo"][0];
    assert_eq!(row["DeviceName"], "lamp3");
    assert_eq!(row["DeviceStatus"], "UNACTIVE");
    assert_eq!(row["DeviceId"], row["IotId"]);
    assert_eq!(row["GmtCreate"], "Mon, 22-Feb-2021 08:00:00 GMT");
    assert!(!text(&row["DeviceSecret"]).is_empty());
    let token = text(&tree["NextToken"]);
    for second in [("CurrentPage", "2"), ("NextToken", token.as_str())] {
        let params = [product, ("PageSize", "2"), second];
        let tree = stage.ok("QueryDevice", &params).await;
        let rows = tree["Data"]["DeviceInfo"].as_array().expect("a list");
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["DeviceName"], "lamp1");
        assert!(tree.get("NextToken").is_none());
    }
    for bad in [("PageSize", "51"), ("CurrentPage", "0"), ("NextToken", "x")] {
        let code = stage.code("QueryDevice", &[product, bad]).await;
        assert_eq!(code, "iot.common.InvalidPageParams");
    }
    let names = numbered("DeviceName", &["lamp1", "lamp3", "gone"]);
    let params = join(&[product], &names);
    let tree = stage.ok("BatchQueryDeviceDetail", &params).await;
    assert_eq!(tree["Data"]["Data"].as_array().map(Vec::len), Some(2));
    let params = [
        ("DeviceNicknameInfo.1.ProductKey", key.as_str()),
        ("DeviceNicknameInfo.1.DeviceName", "lamp1"),
        ("DeviceNicknameInfo.1.Nickname", "Hall lamp"),
    ];
    stage.ok("BatchUpdateDeviceNickname", &params).await;
    let device = [product, ("DeviceName", "lamp1")];
    let tree = stage.ok("QueryDeviceInfo", &device).await;
    assert_eq!(tree["Data"]["Nickname"], "Hall lamp");
}

#[tokio::test]
async fn al_2_1_devices_are_made_in_batches() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    stage.device(&key, "taken").await;
    let product = ("ProductKey", key.as_str());
    let names = numbered("DeviceName", &["good1", "taken", "a b", "twice", "twice"]);
    let tree = stage
        .ok("BatchCheckDeviceNames", &join(&[product], &names))
        .await;
    let data = &tree["Data"];
    let invalid = data["InvalidDeviceNameList"]["InvalidDeviceName"].as_array();
    let invalid = invalid.expect("a list");
    assert!(invalid.contains(&json!("a b")) && invalid.contains(&json!("taken")));
    assert_eq!(
        data["RepeatedDeviceNameList"]["RepeatDevieNameList"],
        json!(["twice"])
    );
    let details = data["InvalidDetailList"]["InvalidDetailList"].as_array();
    assert!(
        details
            .expect("a list")
            .iter()
            .all(|row| row["ErrorMsg"].is_string())
    );
    let id = data["ApplyId"].as_u64().expect("a number").to_string();
    let batch = [product, ("ApplyId", id.as_str())];
    let tree = stage.ok("QueryBatchRegisterDeviceStatus", &batch).await;
    assert_eq!(tree["Data"]["Status"], "CHECK_FAILED");
    assert!(tree["Data"]["InvalidDetailList"]["invalidDetailList"].is_array());

    let params = [
        product,
        ("DeviceNameList.1.DeviceName", "new1"),
        ("DeviceNameList.1.DeviceNickname", "New one"),
        ("DeviceNameList.2.DeviceName", "new2"),
    ];
    let tree = stage.ok("BatchCheckDeviceNames", &params).await;
    let id = tree["Data"]["ApplyId"]
        .as_u64()
        .expect("a number")
        .to_string();
    let batch = [product, ("ApplyId", id.as_str())];
    let tree = stage.ok("QueryBatchRegisterDeviceStatus", &batch).await;
    assert_eq!(tree["Data"]["Status"], "CHECK_SUCCESS");
    let tree = stage.ok("BatchRegisterDeviceWithApplyId", &batch).await;
    assert_eq!(tree["Data"]["ApplyId"].to_string(), id);
    let tree = stage.ok("QueryBatchRegisterDeviceStatus", &batch).await;
    assert_eq!(tree["Data"]["Status"], "CREATE_SUCCESS");
    assert_eq!(tree["Data"]["ValidList"]["Name"], json!(["new1", "new2"]));
    let tree = stage.ok("QueryPageByApplyId", &batch[1..]).await;
    assert_eq!((&tree["Total"], &tree["Page"]), (&json!(2), &json!(1)));
    let row = &tree["ApplyDeviceList"]["ApplyDeviceInfo"][0];
    assert_eq!(row["DeviceName"], "new1");
    let secret = text(&row["DeviceSecret"]);
    stage.connect(&key, "new1", &secret).await;

    let count = [product, ("Count", "3")];
    let tree = stage.ok("BatchRegisterDevice", &count).await;
    let id = tree["Data"]["ApplyId"]
        .as_u64()
        .expect("a number")
        .to_string();
    let tree = stage.ok("QueryPageByApplyId", &[("ApplyId", &id)]).await;
    assert_eq!(tree["Total"], 3);

    for (action, params, code) in [
        (
            "BatchCheckDeviceNames",
            vec![product],
            "iot.device.NoneDeviceNameElement",
        ),
        (
            "BatchRegisterDevice",
            vec![product, ("Count", "0")],
            "iot.device.ApplyManyDevicesFailed",
        ),
        (
            "QueryPageByApplyId",
            vec![("ApplyId", "999999")],
            "iot.device.DeviceApplyIsNotFound",
        ),
        (
            "QueryPageByApplyId",
            vec![("ApplyId", "-1")],
            "iot.device.InvalidFormattedApplyId",
        ),
    ] {
        assert_eq!(stage.code(action, &params).await, code, "{action}");
    }
}
