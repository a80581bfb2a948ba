//! Thing models ([AL-6.12]).

use crate::stage::{Stage, join, numbered, text};
use serde_json::{Value, json};

/// A model with one of each kind of function.
pub(crate) fn tsl() -> Value {
    let level =
        json!({ "type": "int", "specs": { "min": "0", "max": "100", "step": "1", "unit": "%" } });
    let note = json!({ "type": "text", "specs": { "length": "64" } });
    json!({
        "schema": "https://example.org/schema.json",
        "profile": { "productKey": "elsewhere" },
        "properties": [
            { "identifier": "Level", "name": "Fill level", "accessMode": "rw", "required": false, "dataType": level },
            { "identifier": "Note", "name": "Note", "accessMode": "r", "required": false, "dataType": note },
        ],
        "events": [
            { "identifier": "Alarm", "name": "Overflow alarm", "type": "alert", "required": false,
              "method": "thing.event.Alarm.post",
              "outputData": [{ "identifier": "Code", "name": "Code", "dataType": level }] },
        ],
        "services": [
            { "identifier": "Empty", "name": "Empty it", "required": false, "callType": "async",
              "method": "thing.service.Empty",
              "inputData": [{ "identifier": "To", "name": "To", "dataType": level }], "outputData": [] },
            { "identifier": "Weigh", "name": "Weigh it", "required": false, "callType": "sync",
              "method": "thing.service.Weigh", "inputData": [],
              "outputData": [{ "identifier": "Weight", "name": "Weight", "dataType": level }] },
        ],
    })
}

impl Stage {
    /// A product whose model is published, and its key.
    pub(crate) async fn modelled(&self) -> String {
        let key = self.product().await;
        let tsl = tsl().to_string();
        let import = [("ProductKey", key.as_str()), ("TslStr", tsl.as_str())];
        self.ok("ImportThingModelTsl", &import).await;
        self.ok("PublishThingModel", &import[..1]).await;
        key
    }
}

fn names(document: &Value, kind: &str) -> Vec<String> {
    let functions = document[kind].as_array().expect("a list");
    functions.iter().map(|f| text(&f["identifier"])).collect()
}

fn parsed(text: &Value) -> Value {
    let text = text.as_str().expect("a text");
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn al_6_12_a_model_is_imported_published_and_read() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    let product = [("ProductKey", key.as_str())];
    for action in ["GetThingModelTslPublished", "QueryThingModelPublished"] {
        assert_eq!(
            stage.code(action, &product).await,
            "iot.system.IllegalRequest"
        );
    }
    let tsl = tsl().to_string();
    let import = [product[0], ("TslStr", tsl.as_str())];
    stage.ok("ImportThingModelTsl", &import).await;
    let version = [product[0], ("ModelVersion", "v1"), ("Description", "first")];
    stage.ok("PublishThingModel", &version).await;
    let tree = stage.ok("ListThingModelVersion", &product).await;
    let row = &tree["Data"]["ModelVersions"][0];
    assert_eq!(
        (&row["ModelVersion"], &row["Description"]),
        (&json!("v1"), &json!("first"))
    );
    assert!(row["GmtCreate"].is_i64());
    for action in ["GetThingModelTsl", "GetThingModelTslPublished"] {
        let tree = stage.ok(action, &product).await;
        let document = parsed(&tree["Data"]["TslStr"]);
        assert!(names(&document, "properties").contains(&"Level".to_owned()));
        let simple = [product[0], ("Simple", "True")];
        let tree = stage.ok(action, &simple).await;
        let short = text(&tree["Data"]["TslStr"]);
        assert!(short.len() < document.to_string().len());
    }
    let tree = stage.ok("QueryThingModelPublished", &version[..2]).await;
    assert_eq!(tree["ProductKey"], key.as_str());
    let document = parsed(&tree["Data"]["ThingModelJson"]);
    assert_eq!(names(&document, "services"), ["Empty", "Weigh"]);
    let other = [product[0], ("ModelVersion", "v9")];
    assert_eq!(
        stage.code("GetThingModelTsl", &other).await,
        "iot.system.IllegalRequest"
    );
}

#[tokio::test]
async fn al_6_12_functions_are_added_replaced_and_removed() {
    let stage = Stage::set().await;
    let key = stage.modelled().await;
    let product = ("ProductKey", key.as_str());
    let draft = async || {
        let tree = stage.ok("QueryThingModel", &[product]).await;
        parsed(&tree["Data"]["ThingModelJson"])
    };
    let whole = draft().await;
    let gone = numbered("PropertyIdentifier", &["Level"]);
    stage.ok("DeleteThingModel", &join(&[product], &gone)).await;
    assert_eq!(names(&draft().await, "properties"), ["Note"]);
    let level = json!({ "properties": [whole["properties"][0]] }).to_string();
    let add = [product, ("ThingModelJson", level.as_str())];
    stage.ok("CreateThingModel", &add).await;
    assert_eq!(names(&draft().await, "properties").len(), 2);
    assert_eq!(
        stage.code("CreateThingModel", &add).await,
        "iot.system.IllegalRequest"
    );
    let mut renamed = whole["properties"][0].clone();
    renamed["name"] = "Renamed".into();
    let renamed = json!({ "properties": [renamed] }).to_string();
    let replace = [
        product,
        ("Identifier", "Level"),
        ("ThingModelJson", renamed.as_str()),
    ];
    stage.ok("UpdateThingModel", &replace).await;
    assert!(draft().await.to_string().contains("Renamed"));
    for (action, params, part) in [
        ("CreateThingModel", vec![product], "ThingModelJson"),
        (
            "CreateThingModel",
            vec![product, ("ThingModelJson", "{")],
            "JSON",
        ),
        ("UpdateThingModel", replace[..2].to_vec(), "ThingModelJson"),
        ("ImportThingModelTsl", vec![product], "TslStr"),
        (
            "ImportThingModelTsl",
            vec![product, ("TslUrl", "https://example.org")],
            "TslStr",
        ),
    ] {
        let (status, tree) = stage.call(action, &params).await;
        assert_eq!(
            (status, &tree["Code"]),
            (200, &json!("iot.system.IllegalRequest"))
        );
        assert!(text(&tree["ErrorMessage"]).contains(part), "{tree}");
    }
}

#[tokio::test]
async fn al_6_12_a_model_is_copied_to_another_product() {
    let stage = Stage::set().await;
    let source = stage.modelled().await;
    let params = [
        ("ProductName", "Copy"),
        ("NodeType", "0"),
        ("DataFormat", "1"),
        ("AliyunCommodityCode", "iothub_senior"),
    ];
    let tree = stage.ok("CreateProduct", &params).await;
    let target = text(&tree["ProductKey"]);
    let copy = [
        ("SourceProductKey", source.as_str()),
        ("TargetProductKey", target.as_str()),
    ];
    stage.ok("CopyThingModel", &copy).await;
    let tree = stage
        .ok("QueryThingModel", &[("ProductKey", &target)])
        .await;
    let document = parsed(&tree["Data"]["ThingModelJson"]);
    assert_eq!(names(&document, "events"), ["Alarm"]);
}
