//! Every action of the table is called by a test of this folder, or from outside by an SDK.

/// [AL-7.1] An action that no test calls is an action that nobody knows to work.
#[test]
fn every_action_is_called_by_a_test() {
    let tests = [
        include_str!("call.rs"),
        include_str!("device.rs"),
        include_str!("id2.rs"),
        include_str!("message.rs"),
        include_str!("ota.rs"),
        include_str!("product.rs"),
        include_str!("property.rs"),
        include_str!("thing_model.rs"),
        include_str!("things.rs"),
        include_str!("topo.rs"),
        // Groups and resets are tried from outside alone.
        include_str!("../../../../tests/tests/al_things.rs"),
        include_str!("../../../../tests/tests/api_groups.rs"),
    ]
    .concat();
    let missing: Vec<_> = aliyun::iot::actions()
        .chain(aliyun::id2::ROWS)
        .map(|action| action.name)
        .filter(|name| !tests.contains(&format!("\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "no test calls {missing:?}");
}

/// The actions of the catalogue that this surface offers (spec/cloud-api.md §2): products,
/// devices, thing models, properties, services, events, messages, topic classes.
#[test]
fn the_table_has_what_the_catalogue_demands() {
    for name in [
        "CreateProduct",
        "QueryProduct",
        "QueryProductList",
        "UpdateProduct",
        "DeleteProduct",
        "RegisterDevice",
        "QueryDevice",
        "QueryDeviceInfo",
        "QueryDeviceDetail",
        "BatchQueryDeviceDetail",
        "DeleteDevice",
        "DisableThing",
        "EnableThing",
        "GetDeviceStatus",
        "BatchGetDeviceState",
        "BatchCheckDeviceNames",
        "BatchRegisterDevice",
        "BatchRegisterDeviceWithApplyId",
        "QueryBatchRegisterDeviceStatus",
        "QueryPageByApplyId",
        "QueryDeviceStatistics",
        "CreateThingModel",
        "UpdateThingModel",
        "QueryThingModel",
        "PublishThingModel",
        "DeleteThingModel",
        "GetThingModelTsl",
        "ImportThingModelTsl",
        "GetThingModelTslPublished",
        "QueryThingModelPublished",
        "ListThingModelVersion",
        "SetDeviceProperty",
        "SetDevicesProperty",
        "InvokeThingService",
        "InvokeThingsService",
        "QueryDevicePropertyData",
        "QueryDevicePropertiesData",
        "QueryDeviceEventData",
        "QueryDeviceServiceData",
        "QueryDevicePropertyStatus",
        "Pub",
        "RRpc",
        "AsyncRRpc",
        "SetDeviceDesiredProperty",
        "QueryDeviceDesiredProperty",
        "GetDeviceShadow",
        "UpdateDeviceShadow",
        "SaveDeviceProp",
        "QueryDeviceProp",
        "DeleteDeviceProp",
        "QueryDeviceByTags",
    ] {
        let found = aliyun::iot::find(aliyun::iot::VERSION, name);
        assert!(found.is_ok(), "{name}");
    }
}

/// The manual page says what the table says. `MUSTER_WRITE=1` writes the page again.
#[test]
fn the_manual_page_is_that_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/actions.md");
    let page = aliyun::iot::manual();
    if std::env::var_os("MUSTER_WRITE").is_some() {
        std::fs::write(path, &page).expect("the page is written");
    }
    let kept = std::fs::read_to_string(path).expect("docs/actions.md is there");
    assert!(
        kept == page,
        "run this test with MUSTER_WRITE=1 and commit docs/actions.md"
    );
}
