//! Products, their tags and topic classes ([AL-2.1], [AL-3.12]).

use crate::stage::{START, Stage, join, numbered, text};
use serde_json::json;

#[tokio::test]
async fn al_2_1_a_product_is_made_read_changed_and_deleted() {
    let stage = Stage::set().await;
    let params = [
        ("ProductName", "Lamp"),
        ("NodeType", "1"),
        ("DataFormat", "1"),
        ("AliyunCommodityCode", "iothub_senior"),
        ("Description", "for <people> & others"),
        ("NetType", "WIFI"),
        ("ValidateType", "1"),
        ("CategoryKey", "Lighting"),
        ("Id2", "False"),
    ];
    let made = stage.ok("CreateProduct", &params).await;
    let key = text(&made["ProductKey"]);
    assert_eq!(made["Data"]["ProductKey"], key.as_str());
    assert_eq!(made["Data"]["NodeType"], 1);
    assert_eq!(made["Data"]["DataFormat"], 1);
    assert_eq!(made["Data"]["AuthType"], "secret");
    assert_eq!(made["Data"]["Id2"], false);
    let product = [("ProductKey", key.as_str())];
    let read = stage.ok("QueryProduct", &product).await;
    let data = &read["Data"];
    for (name, value) in [
        ("ProductName", json!("Lamp")),
        ("ProductSecret", made["Data"]["ProductSecret"].clone()),
        ("Description", json!("for <people> & others")),
        ("ProductStatus", json!("DEVELOPMENT_STATUS")),
        ("AliyunCommodityCode", json!("iothub_senior")),
        ("Owner", json!(true)),
        ("NetType", json!(3)),
        ("ValidateType", json!(1)),
        ("CategoryKey", json!("Lighting")),
        ("DeviceCount", json!(0)),
        ("GmtCreate", json!(START)),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    let renamed = [("ProductKey", key.as_str()), ("ProductName", "Bulb")];
    stage.ok("UpdateProduct", &renamed).await;
    stage.ok("ReleaseProduct", &product).await;
    let read = stage.ok("QueryProduct", &product).await;
    assert_eq!(read["Data"]["ProductName"], "Bulb");
    assert_eq!(read["Data"]["ProductStatus"], "RELEASE_STATUS");
    assert_eq!(
        stage.code("DeleteProduct", &product).await,
        "iot.system.IllegalRequest"
    );
    stage.ok("CancelReleaseProduct", &product).await;
    stage.device(&key, "lamp1").await;
    assert_eq!(
        stage.code("DeleteProduct", &product).await,
        "iot.system.IllegalRequest"
    );
    let device = [("ProductKey", key.as_str()), ("DeviceName", "lamp1")];
    stage.ok("DeleteDevice", &device).await;
    stage.ok("DeleteProduct", &product).await;
    assert_eq!(
        stage.code("QueryProduct", &product).await,
        "iot.prod.NotExistedProduct"
    );
}

#[tokio::test]
async fn al_2_1_a_product_that_makes_no_sense_is_refused() {
    let stage = Stage::set().await;
    stage.product().await;
    let senior = ("AliyunCommodityCode", "iothub_senior");
    for (params, code) in [
        (vec![("NodeType", "0")], "MissingProductName"),
        (vec![("ProductName", "P")], "MissingNodeType"),
        (
            vec![("ProductName", "P"), ("NodeType", "0"), senior],
            "MissingDataFormat",
        ),
        (
            vec![("ProductName", ""), ("NodeType", "0")],
            "iot.prod.NullProductName",
        ),
        (
            vec![("ProductName", "P"), ("NodeType", "2")],
            "iot.prod.InvalidNodeType",
        ),
        (
            vec![
                ("ProductName", "P"),
                ("NodeType", "0"),
                ("AuthType", "id2"),
                ("Id2", "false"),
            ],
            "InvalidParameter",
        ),
        (
            vec![
                ("ProductName", "P"),
                ("NodeType", "0"),
                ("AuthType", "x509"),
            ],
            "iot.prod.CreateProductFailed",
        ),
        (
            vec![("ProductName", "Lamp"), ("NodeType", "0")],
            "iot.prod.AlreadyExistedProductName",
        ),
    ] {
        assert_eq!(
            stage.code("CreateProduct", &params).await,
            code,
            "{params:?}"
        );
    }
    let code = stage.code("QueryProduct", &[("ProductKey", "a b")]).await;
    assert_eq!(code, "iot.prod.InvalidFormattedProductkey");
}

#[tokio::test]
async fn al_7_1_products_are_listed_page_by_page() {
    let stage = Stage::set().await;
    stage.product().await;
    for name in ["One", "Two", "Three"] {
        stage.clock.move_by(1);
        let params = [("ProductName", name), ("NodeType", "0")];
        stage.ok("CreateProduct", &params).await;
    }
    let page = [("PageSize", "3"), ("CurrentPage", "2")];
    let tree = stage.ok("QueryProductList", &page).await;
    let data = &tree["Data"];
    assert_eq!(
        [
            &data["Total"],
            &data["PageCount"],
            &data["CurrentPage"],
            &data["PageSize"]
        ],
        [4, 2, 2, 3]
    );
    let rows = data["List"]["ProductInfo"].as_array().expect("a list");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["ProductName"], "Lamp");
    let senior = [
        ("PageSize", "3"),
        ("CurrentPage", "1"),
        ("AliyunCommodityCode", "iothub_senior"),
    ];
    let tree = stage.ok("QueryProductList", &senior).await;
    assert_eq!(tree["Data"]["Total"], 1);
    for bad in [("201", "1"), ("0", "1"), ("10", "0")] {
        let page = [("PageSize", bad.0), ("CurrentPage", bad.1)];
        let code = stage.code("QueryProductList", &page).await;
        assert_eq!(code, "iot.common.InvalidPageParams");
    }
}

#[tokio::test]
async fn al_7_1_products_bear_tags() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    let product = ("ProductKey", key.as_str());
    let tag = |value| {
        [
            product,
            ("ProductTag.1.TagKey", "room"),
            ("ProductTag.1.TagValue", value),
        ]
    };
    let illegal = "iot.system.IllegalRequest";
    assert_eq!(stage.code("UpdateProductTags", &tag("hall")).await, illegal);
    stage.ok("CreateProductTags", &tag("hall")).await;
    assert_eq!(stage.code("CreateProductTags", &tag("hall")).await, illegal);
    stage.ok("UpdateProductTags", &tag("kitchen")).await;
    let tree = stage.ok("ListProductTags", &[product]).await;
    let tags = json!([{ "TagKey": "room", "TagValue": "kitchen" }]);
    assert_eq!(tree["Data"]["ProductTag"], tags);
    let found = stage.ok("ListProductByTags", &tag("kitchen")[1..]).await;
    assert_eq!(
        found["ProductInfos"]["ProductInfo"][0]["ProductKey"],
        key.as_str()
    );
    let found = stage.ok("ListProductByTags", &tag("hall")[1..]).await;
    assert_eq!(found["ProductInfos"]["ProductInfo"], json!([]));
    let gone = numbered("ProductTagKey", &["room"]);
    stage
        .ok("DeleteProductTags", &join(&[product], &gone))
        .await;
    let tree = stage.ok("ListProductTags", &[product]).await;
    assert_eq!(tree["Data"]["ProductTag"], json!([]));
}

#[tokio::test]
async fn al_3_12_topic_classes_are_made_changed_and_deleted() {
    let stage = Stage::set().await;
    let key = stage.product().await;
    let product = ("ProductKey", key.as_str());
    let class = [
        product,
        ("TopicShortName", "user/alarm"),
        ("Operation", "PUB"),
    ];
    let made = stage.ok("CreateProductTopic", &class).await;
    let id = made["TopicId"].as_u64().expect("a number").to_string();
    let change = [
        ("TopicId", id.as_str()),
        ("TopicShortName", "user/call"),
        ("Operation", "ALL"),
        ("Desc", "both ways"),
    ];
    assert_eq!(
        stage.code("CreateProductTopic", &class).await,
        "iot.messagebroker.TopicAlreadyFound"
    );
    stage.ok("UpdateProductTopic", &change).await;
    let tree = stage.ok("QueryProductTopic", &[product]).await;
    let rows = tree["Data"]["ProductTopicInfo"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["Id"] == id.as_str());
    assert_eq!(
        row.expect("it is listed"),
        &json!({
            "Id": id,
            "ProductKey": key,
            "TopicShortName": format!("/{key}/${{deviceName}}/user/call"),
            "Operation": "2",
            "Desc": "both ways",
            "EnableProxySubscribe": false,
        })
    );
    let odd = [product, ("TopicShortName", "user/x"), ("Operation", "READ")];
    assert_eq!(
        stage.code("CreateProductTopic", &odd).await,
        "iot.messagebroker.InvalidTopicTemplateOperationValue"
    );
    stage.ok("DeleteProductTopic", &[("TopicId", &id)]).await;
    for id in [id.as_str(), "x"] {
        assert_eq!(
            stage.code("DeleteProductTopic", &[("TopicId", id)]).await,
            "iot.messagebroker.TopicTemplateIsNotFound"
        );
    }
}
