//! [AL-6.12] Thing models over the embedded engine.

use super::*;
use crate::{product::NewProduct, stage::Stage};
use model::product::{DataFormat, NodeKind};
use serde_json::json;

async fn product(stage: &Stage, permit: &Permit, modelled: bool) -> ProductKey {
    let new = NewProduct {
        name: format!("lamp {modelled}"),
        description: String::new(),
        node: NodeKind::Device,
        format: DataFormat::Alink,
        modelled,
        labels: Default::default(),
    };
    stage
        .hub
        .product_create(permit, new)
        .await
        .unwrap()
        .0
        .key
        .clone()
}

fn property(identifier: &str) -> Value {
    json!({"properties": [{
        "identifier": identifier, "name": identifier, "rwFlag": "READ_WRITE", "dataType": "INT",
        "dataSpecs": {"dataType": "INT", "min": "0", "max": "9", "step": "1"},
    }]})
}

fn identifiers(document: &Value) -> Vec<&str> {
    let list = document["properties"].as_array().unwrap().iter();
    list.map(|property| property["identifier"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_draft_is_edited_and_devices_are_held_to_what_is_published() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let key = product(&stage, &permit, true).await;
    let edit = |edit| hub.model_edit(&permit, &key, None, edit);
    let tsl = async |which| hub.model_tsl(&permit, &key, &which, None, false).await;
    assert!(identifiers(&tsl(Which::Draft).await.unwrap()).is_empty());
    assert!(matches!(
        tsl(Which::Published).await,
        Err(ProductError::NoSuchPart(_))
    ));
    assert!(hub.shelf_model(&key).await.unwrap().is_none());

    edit(Edit::Add(property("bright"))).await.unwrap();
    let again = edit(Edit::Add(property("bright"))).await;
    assert!(matches!(again, Err(ProductError::PartTaken(_))));
    edit(Edit::Add(property("hue"))).await.unwrap();
    assert!(hub.shelf_model(&key).await.unwrap().is_none());

    let first = hub.model_publish(&permit, &key, None, "one").await.unwrap();
    assert_eq!(first.version, hub.now().0.to_string());
    let model = hub.shelf_model(&key).await.unwrap().unwrap();
    assert!(model.tsl.property("hue").is_some());

    edit(Edit::Remove {
        properties: vec!["hue".into()],
        services: vec![],
        events: vec![],
    })
    .await
    .unwrap();
    assert!(
        hub.shelf_model(&key)
            .await
            .unwrap()
            .unwrap()
            .tsl
            .property("hue")
            .is_some()
    );
    let second = hub
        .model_publish(&permit, &key, Some("v2"), "two")
        .await
        .unwrap();
    assert!(
        hub.shelf_model(&key)
            .await
            .unwrap()
            .unwrap()
            .tsl
            .property("hue")
            .is_none()
    );
    let taken = hub.model_publish(&permit, &key, Some("v2"), "").await;
    assert!(matches!(taken, Err(ProductError::PartTaken("version"))));
    let third = hub.model_publish(&permit, &key, None, "").await.unwrap();
    assert_ne!(third.version, first.version);

    let versions = hub.model_versions(&permit, &key).await.unwrap();
    assert_eq!(versions, [third, second, first.clone()]);
    let old = tsl(Which::Version(first.version.clone())).await.unwrap();
    assert_eq!(identifiers(&old), ["bright", "hue"]);
    let old = Which::Version(first.version);
    let json = hub.model_json(&permit, &key, &old, None).await.unwrap();
    assert_eq!(identifiers(&json), ["bright", "hue"]);
    let none = tsl(Which::Version("nothing".into())).await;
    assert!(matches!(none, Err(ProductError::NoSuchPart(_))));
}

#[tokio::test]
async fn a_document_is_imported_whole_and_bad_ones_change_nothing() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let key = product(&stage, &permit, true).await;
    hub.model_edit(&permit, &key, None, Edit::Add(property("bright")))
        .await
        .unwrap();
    let document = hub
        .model_tsl(&permit, &key, &Which::Draft, None, false)
        .await
        .unwrap();
    hub.model_edit(&permit, &key, None, Edit::Add(property("hue")))
        .await
        .unwrap();
    hub.model_edit(&permit, &key, None, Edit::Import(document.clone()))
        .await
        .unwrap();
    let draft = hub
        .model_tsl(&permit, &key, &Which::Draft, None, false)
        .await
        .unwrap();
    assert_eq!(draft, document);

    let mut bad = document.clone();
    bad["properties"][0]["dataType"]["type"] = "colour".into();
    for bad in [
        bad,
        json!(null),
        json!([]),
        json!("x"),
        json!({"properties": 1}),
    ] {
        let refused = hub.model_edit(&permit, &key, None, Edit::Import(bad)).await;
        assert!(
            matches!(refused, Err(ProductError::BadModel(_))),
            "{refused:?}"
        );
    }
    let draft = hub
        .model_tsl(&permit, &key, &Which::Draft, None, false)
        .await
        .unwrap();
    assert_eq!(draft, document);
}

#[tokio::test]
async fn blocks_have_functions_and_names_of_their_own() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let key = product(&stage, &permit, true).await;
    let block = Some("motor");
    hub.model_edit(&permit, &key, block, Edit::Add(property("speed")))
        .await
        .unwrap();
    let name = Edit::NameBlock {
        name: "Motor".into(),
    };
    hub.model_edit(&permit, &key, block, name).await.unwrap();
    let json = hub
        .model_json(&permit, &key, &Which::Draft, block)
        .await
        .unwrap();
    assert_eq!(
        (identifiers(&json), &json["name"]),
        (vec!["speed"], &json!("Motor"))
    );
    let other = hub
        .model_json(&permit, &key, &Which::Draft, Some("lid"))
        .await;
    assert!(matches!(other, Err(ProductError::NoSuchPart("block"))));
    let all = || Edit::Remove {
        properties: vec![],
        services: vec![],
        events: vec![],
    };
    hub.model_edit(&permit, &key, None, all()).await.unwrap();
    assert!(
        hub.model_json(&permit, &key, &Which::Draft, block)
            .await
            .is_ok()
    );
    hub.model_edit(&permit, &key, block, all()).await.unwrap();
    assert!(
        hub.model_json(&permit, &key, &Which::Draft, block)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn only_modelled_products_in_development_have_a_model_to_change() {
    let stage = Stage::set().await;
    let (permit, other) = (stage.permit().await, stage.other_permit().await);
    let hub = &stage.hub;
    let key = product(&stage, &permit, true).await;
    let edit = |permit, key| hub.model_edit(permit, key, None, Edit::Add(property("bright")));
    assert!(matches!(
        edit(&other, &key).await,
        Err(ProductError::NotFound)
    ));
    hub.product_release(&permit, &key, true).await.unwrap();
    assert!(matches!(
        edit(&permit, &key).await,
        Err(ProductError::Released)
    ));
    let publish = hub.model_publish(&permit, &key, None, "").await;
    assert!(matches!(publish, Err(ProductError::Released)));
    let bare = product(&stage, &permit, false).await;
    assert!(matches!(
        edit(&permit, &bare).await,
        Err(ProductError::NotModelled)
    ));
    let versions = hub.model_versions(&permit, &bare).await;
    assert!(matches!(versions, Err(ProductError::NotModelled)));
}

/// A model is never lost to another one's edit, and old versions make room.
#[tokio::test]
async fn racing_edits_are_all_kept_and_old_versions_are_forgotten() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let key = product(&stage, &permit, true).await;
    let names: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    let edits = names
        .iter()
        .map(|name| hub.model_edit(&permit, &key, None, Edit::Add(property(name))));
    let edited = futures_util::future::join_all(edits).await;
    assert!(edited.iter().all(Result::is_ok));
    let draft = hub
        .model_tsl(&permit, &key, &Which::Draft, None, true)
        .await
        .unwrap();
    assert_eq!(identifiers(&draft).len(), 8);
    for n in 0..VERSIONS + 5 {
        let version = format!("v{n}");
        hub.model_publish(&permit, &key, Some(&version), "")
            .await
            .unwrap();
    }
    assert_eq!(
        hub.model_versions(&permit, &key).await.unwrap().len(),
        VERSIONS
    );
    assert_eq!(
        stage.ports.catalog.count(MODEL, "").await.unwrap(),
        VERSIONS as u64
    );
    for bad in ["", "a/b", "a b", &"x".repeat(33)] {
        let refused = hub.model_publish(&permit, &key, Some(bad), "").await;
        assert!(matches!(refused, Err(ProductError::BadRequest(_))), "{bad}");
    }
}
