//! Topology through the application API ([AL-6.1]).

use crate::stage::{Stage, text};
use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use model::port::Signal;
use serde_json::json;

impl Stage {
    async fn gateway(&self) -> String {
        let params = [
            ("ProductName", "Gateway"),
            ("NodeType", "1"),
            ("DataFormat", "1"),
            ("AliyunCommodityCode", "iothub_senior"),
        ];
        text(&self.ok("CreateProduct", &params).await["ProductKey"])
    }
}

/// [AL-6.1] [AL-7.1] An application binds a device to a gateway with the device's proof, sees it,
/// and unbinds it; the gateway hears of both.
#[tokio::test]
async fn al_6_1_an_application_binds_and_unbinds() {
    let mut stage = Stage::set().await;
    let (gateways, lamps) = (stage.gateway().await, stage.product().await);
    let gateway_secret = stage.device(&gateways, "gate").await;
    let secret = stage.device(&lamps, "lamp1").await;
    let _gateway = stage.connect(&gateways, "gate", &gateway_secret).await;
    let sign = sign(
        &Secret::new(secret.into_bytes()),
        SignMethod::HmacSha1,
        Channel::TopoAdd,
        &[
            ("clientId", "c"),
            ("deviceName", "lamp1"),
            ("productKey", lamps.as_str()),
            ("timestamp", "7"),
        ],
    );
    let params = |sign: &str| -> Vec<(String, String)> {
        [
            ("GwProductKey", gateways.as_str()),
            ("GwDeviceName", "gate"),
            ("TopoAddItem.1.ProductKey", lamps.as_str()),
            ("TopoAddItem.1.DeviceName", "lamp1"),
            ("TopoAddItem.1.ClientId", "c"),
            ("TopoAddItem.1.Timestamp", "7"),
            ("TopoAddItem.1.SignMethod", "hmacSha1"),
            ("TopoAddItem.1.Sign", sign),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    };
    let forged = params("00");
    let forged: Vec<_> = forged
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        stage.code("BatchAddThingTopo", &forged).await,
        "iot.device.AddTopoRelationFailed"
    );
    let good = params(&sign);
    let good: Vec<_> = good.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    stage.ok("BatchAddThingTopo", &good).await;
    let notice = stage
        .word(|word| match word {
            Signal::Notice { notice, .. } => Some(notice),
            _ => None,
        })
        .await;
    assert_eq!(notice.subs.len(), 1);

    let gateway = [("ProductKey", gateways.as_str()), ("DeviceName", "gate")];
    let page = [&gateway[..], &[("PageNo", "1"), ("PageSize", "10")]].concat();
    let tree = stage.ok("GetThingTopo", &page).await;
    let data = &tree["Data"];
    assert_eq!((&data["Total"], &data["PageCount"]), (&json!(1), &json!(1)));
    let row = &data["List"]["deviceInfo"][0];
    assert_eq!(
        (&row["ProductKey"], &row["DeviceName"]),
        (&json!(lamps), &json!("lamp1"))
    );
    let far = [&gateway[..], &[("PageNo", "1"), ("PageSize", "51")]].concat();
    assert_eq!(
        stage.code("GetThingTopo", &far).await,
        "iot.common.InvalidPageParams"
    );
    let lamp = [("ProductKey", lamps.as_str()), ("DeviceName", "lamp1")];
    let tree = stage.ok("GetGatewayBySubDevice", &lamp).await;
    let data = &tree["Data"];
    assert_eq!(
        (&data["DeviceName"], &data["NodeType"], &data["Status"]),
        (&json!("gate"), &json!(1), &json!("ONLINE"))
    );
    assert!(data["iotId"].is_string() && data["region"].is_string());

    let tree = stage.ok("RemoveThingTopo", &lamp).await;
    assert_eq!(tree["Data"], true);
    for (action, code) in [
        ("RemoveThingTopo", "iot.device.RemoveTopoRelationFailed"),
        (
            "GetGatewayBySubDevice",
            "iot.device.QueryTopoRelationFailed",
        ),
    ] {
        assert_eq!(stage.code(action, &lamp).await, code);
    }
}

/// [AL-6.1] An application asks a gateway to bind a device; what cannot be bound is refused.
#[tokio::test]
async fn al_6_1_an_application_asks_a_gateway_to_bind() {
    let stage = Stage::set().await;
    let (gateways, lamps) = (stage.gateway().await, stage.product().await);
    stage.device(&gateways, "gate").await;
    stage.device(&gateways, "gate2").await;
    stage.device(&lamps, "lamp1").await;
    let list = |product: &str, name: &str| {
        json!([{ "productKey": product, "deviceName": name }]).to_string()
    };
    let good = list(&lamps, "lamp1");
    let gateway = [
        ("GwProductKey", gateways.as_str()),
        ("GwDeviceName", "gate"),
    ];
    let params = [&gateway[..], &[("DeviceListStr", good.as_str())]].concat();
    let tree = stage.ok("NotifyAddThingTopo", &params).await;
    let id = text(&tree["Data"]["MessageId"]);
    assert!(id.parse::<u32>().is_ok(), "{id}");
    for bad in [
        list(&gateways, "gate"),
        list(&gateways, "gate2"),
        "[]".to_owned(),
        "7".to_owned(),
    ] {
        let params = [&gateway[..], &[("DeviceListStr", bad.as_str())]].concat();
        assert_eq!(
            stage.code("NotifyAddThingTopo", &params).await,
            "iot.device.AddTopoRelationFailed",
            "{bad}"
        );
    }
    let lamp = [
        ("GwProductKey", lamps.as_str()),
        ("GwDeviceName", "lamp1"),
        ("DeviceListStr", good.as_str()),
    ];
    assert_eq!(
        stage.code("NotifyAddThingTopo", &lamp).await,
        "iot.device.AddTopoRelationFailed"
    );
}
