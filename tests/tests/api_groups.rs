//! Groups of devices, through the vendor's application SDKs and the command line.

use serde_json::{Value, json};
use tests::{Client, Server, server::App};

fn good(app: &mut Client, action: &str, params: Value) -> Value {
    let answer = app.call(action, &params);
    assert_eq!(answer["Success"], true, "{action}: {answer}");
    answer
}

fn code(app: &mut Client, action: &str, params: Value) -> Value {
    let answer = app.call(action, &params);
    assert_eq!(answer["Success"], false, "{action}: {answer}");
    answer["Code"].clone()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// [AL-7.1] A group's life: made within another, filled, counted, tagged, found, emptied, removed.
#[test]
fn a_group_is_made_filled_found_and_removed() {
    let mut server = Server::start();
    let (product, _) = server.product("grouped");
    for name in ["dev-1", "dev-2", "dev-3"] {
        server.device(&product, name);
    }
    let mut app = server.app(App::Core, false);
    let made = good(
        &mut app,
        "CreateDeviceGroup",
        json!({"GroupName": "north", "GroupDesc": "up there"}),
    );
    let north = text(&made["Data"]["GroupId"]);
    assert_eq!(made["Data"]["GroupDesc"], "up there");
    assert!(text(&made["Data"]["UtcCreate"]).ends_with('Z'));
    let within = json!({"GroupName": "hall_1", "SuperGroupId": north});
    let made = good(&mut app, "CreateDeviceGroup", within.clone());
    let hall = text(&made["Data"]["GroupId"]);
    let twice = code(&mut app, "CreateDeviceGroup", within);
    assert_eq!(twice, "iot.system.IllegalRequest");
    let above = good(&mut app, "QuerySuperDeviceGroup", json!({"GroupId": hall}));
    assert_eq!(above["Data"]["GroupInfo"][0]["GroupName"], "north");
    let listed = json!({"SuperGroupId": north, "CurrentPage": 1, "PageSize": 10});
    let listed = good(&mut app, "QueryDeviceGroupList", listed);
    assert_eq!(listed["Total"], 1, "{listed}");
    assert_eq!(listed["Data"]["GroupInfo"][0]["GroupId"], hall);
    let group = |more: Value| {
        let mut all = json!({ "GroupId": hall });
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let device = |name: &str| json!({"ProductKey": product, "DeviceName": name});

    let devices = json!({"Devices": [device("dev-1"), device("dev-2"), device("nobody")]});
    let told = good(&mut app, "BatchAddDeviceGroupRelations", group(devices));
    assert_eq!(told["ValidDeviceCount"], 2, "{told}");
    assert_eq!(told["SuccessAddedDeviceCount"], 2);
    assert_eq!(told["ExceedTenGroupDeviceCount"], 0);
    let told = good(
        &mut app,
        "BatchAddDeviceGroupRelations",
        group(json!({"Devices": [device("dev-1")]})),
    );
    assert_eq!(told["AlreadyRelatedGroupDeviceCount"], 1);
    let told = good(&mut app, "QueryDeviceGroupInfo", group(json!({})));
    assert_eq!(told["Data"]["DeviceCount"], 2);
    assert_eq!(told["Data"]["DeviceOnline"], 0);
    let told = good(&mut app, "QueryDeviceStatistics", group(json!({})));
    assert_eq!(told["Data"]["deviceCount"], 2);
    let page = group(json!({"CurrentPage": 2, "PageSize": 1}));
    let told = good(&mut app, "QueryDeviceListByDeviceGroup", page);
    assert_eq!(told["Total"], 2, "{told}");
    let row = &told["Data"]["SimpleDeviceInfo"][0];
    assert_eq!(row["ProductName"], "grouped");
    let told = good(&mut app, "QueryDeviceGroupByDevice", device("dev-1"));
    assert_eq!(told["GroupInfos"]["GroupInfo"][0]["GroupName"], "hall_1");

    let tags = json!({"TagString": "[{\"tagKey\":\"floor\",\"tagValue\":\"1\"}]"});
    good(&mut app, "SetDeviceGroupTags", group(tags));
    let told = good(&mut app, "QueryDeviceGroupTagList", group(json!({})));
    let tag = &told["Data"]["GroupTagInfo"][0];
    assert_eq!(tag, &json!({"TagKey": "floor", "TagValue": "1"}));
    let by = json!({"Tags": [{"TagKey": "floor", "TagValue": "1"}]});
    let told = good(&mut app, "QueryDeviceGroupByTags", by);
    assert_eq!(told["Data"]["DeviceGroup"][0]["GroupId"], hall);
    let none = json!({"Tags": [{"TagKey": "floor", "TagValue": "2"}]});
    let told = good(&mut app, "QueryDeviceGroupByTags", none);
    assert_eq!(told["Total"], 0);
    let words = json!({"GroupDesc": "new words"});
    good(&mut app, "UpdateDeviceGroup", group(words));

    // Groups outlive the process, and the command line shows the same.
    server.kill();
    server.resume();
    let mut app = server.app(App::Core, false);
    let shown = server.cli(&["group", "show", &hall]);
    assert_eq!(shown["description"], "new words");
    assert_eq!(
        (&shown["devices"], &shown["within"]),
        (&2.into(), &json!(north))
    );
    let told = server.cli(&["group", "add", &hall, &product, "dev-3", "dev-2"]);
    assert_eq!((&told["moved"], &told["already"]), (&1.into(), &1.into()));
    let told = server.cli(&["group", "remove", &hall, &product, "dev-3"]);
    assert_eq!(told["moved"], 1);
    let devices = server.cli(&["group", "devices", &hall]);
    assert_eq!(devices.as_array().map(Vec::len), Some(2));
    let shown = server.cli(&["group", "tag", &hall, "floor=2", "wing=east"]);
    assert_eq!(shown["tags"], json!({"floor": "2", "wing": "east"}));
    let second = server.cli(&["group", "create", "south", "--description", "down there"]);
    let listed = server.cli(&["group", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    server.cli(&["group", "delete", second["id"].as_str().unwrap(), "--yes"]);

    let told = good(
        &mut app,
        "BatchDeleteDeviceGroupRelations",
        group(json!({"Devices": [device("dev-1"), device("dev-3")]})),
    );
    assert_eq!(told["SuccessDeviceCount"], 1, "{told}");
    let north = json!({ "GroupId": north });
    let told = code(&mut app, "DeleteDeviceGroup", north.clone());
    assert_eq!(told, "iot.system.IllegalRequest", "a group lies in it");
    good(&mut app, "DeleteDeviceGroup", group(json!({})));
    good(&mut app, "DeleteDeviceGroup", north);
    let told = good(&mut app, "QueryDeviceGroupByDevice", device("dev-2"));
    assert_eq!(told["GroupInfos"]["GroupInfo"], json!([]));
}
