//! Products ([AL-2.1]).

use super::{
    Action, Answer, Ask, Refusal, fields, nothing,
    page::Sheet,
    parameter::{PRODUCT_KEY, boolean, integer, text},
};
use crate::codes::{
    business::{Business, Family},
    gateway::GatewayError,
};
use hub::{
    account::Permit,
    id2::Change,
    product::{NewProduct, ProductView},
};
use model::{
    account::Resource,
    error::{Id2Error, ProductError},
    id::ProductKey,
    product::{DataFormat, NodeKind, Product, ProductState},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The code of products with a thing model.
const SENIOR: &str = "iothub_senior";

/// What callers say of a product only to read it again.
const LABELS: [&str; 7] = [
    "AliyunCommodityCode",
    "AuthType",
    "CategoryKey",
    "JoinPermissionId",
    "NetType",
    "ProtocolType",
    "ResourceGroupId",
];

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "CreateProduct",
        Family::ProductCreate,
        &[
            text("ProductName").needed(),
            integer("NodeType").needed(),
            integer("DataFormat"),
            text("Description"),
            text("AliyunCommodityCode"),
            boolean("Id2"),
            text("ProtocolType"),
            text("NetType"),
            text("JoinPermissionId"),
            text("ResourceGroupId"),
            text("AuthType"),
            text("CategoryKey"),
            boolean("PublishAuto"),
            integer("ValidateType"),
        ],
        |ask| Box::pin(create(ask)),
    ),
    Action::reads(
        "QueryProduct",
        Family::ProductRead,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(query(ask)),
    ),
    Action::reads(
        "QueryProductList",
        Family::ProductRead,
        &[
            integer("PageSize").needed(),
            integer("CurrentPage").needed(),
            text("ResourceGroupId"),
            text("AliyunCommodityCode"),
        ],
        |ask| Box::pin(list(ask)),
    ),
    Action::changes(
        "UpdateProduct",
        Family::ProductChange,
        &[
            PRODUCT_KEY.needed(),
            text("ProductName").needed(),
            text("Description"),
        ],
        |ask| Box::pin(update(ask)),
    ),
    Action::changes(
        "DeleteProduct",
        Family::ProductChange,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(delete(ask)),
    ),
    Action::changes(
        "ReleaseProduct",
        Family::ProductChange,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(release(ask, true)),
    ),
    Action::changes(
        "CancelReleaseProduct",
        Family::ProductChange,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(release(ask, false)),
    ),
];

async fn create(ask: &Ask<'_>) -> Answer {
    let permit = ask.any().await?;
    let (wanted, id2) = (wanted(ask)?, wants_id2(ask)?);
    let (product, secret) = ask.hub.product_create(&permit, wanted).await?;
    if id2 && let Err(error) = enable_id2(ask, &permit, &product.key).await {
        // A product without the identities that were asked for would be in the way of the next try.
        ask.hub.product_delete(&permit, &product.key).await?;
        return Err(error);
    }
    let mut data = described(&product);
    data.insert("ProductSecret".into(), secret.into());
    data.insert("Id2".into(), id2.into());
    fields(json!({ "ProductKey": product.key, "Data": data }))
}

fn wanted(ask: &Ask<'_>) -> Result<NewProduct, Refusal> {
    let params = &ask.params;
    let name = params.needed("ProductName");
    if name.is_empty() {
        let code = "iot.prod.NullProductName";
        return Err(Business::new(code, "the ProductName is empty").into());
    }
    let modelled = params.text("AliyunCommodityCode") == Some(SENIOR);
    let node = match (params.integer("NodeType"), params.text("ProtocolType")) {
        (Some(0), None) => NodeKind::Device,
        (Some(0), Some(_)) => NodeKind::SubDevice,
        (Some(1), _) => NodeKind::Gateway,
        _ => {
            let message = "NodeType is 0 for a device, 1 for a gateway";
            return Err(Business::new("iot.prod.InvalidNodeType", message).into());
        }
    };
    let format = match params.integer("DataFormat") {
        Some(1) => DataFormat::Alink,
        Some(0) => DataFormat::Passthrough,
        None if modelled => return Err(GatewayError::Missing("DataFormat".into()).into()),
        None => DataFormat::Passthrough,
        Some(_) => {
            let rule = "is 0 for the product's own format, 1 for Alink JSON";
            return Err(GatewayError::Invalid {
                name: "DataFormat".into(),
                rule: rule.into(),
            }
            .into());
        }
    };
    let mut labels: BTreeMap<String, String> = LABELS
        .iter()
        .filter_map(|label| Some(((*label).to_owned(), params.text(label)?.to_owned())))
        .collect();
    if let Some(validate) = params.integer("ValidateType") {
        labels.insert("ValidateType".into(), validate.to_string());
    }
    Ok(NewProduct {
        name: name.into(),
        description: params.text("Description").unwrap_or_default().into(),
        node,
        format,
        modelled,
        labels,
    })
}

/// Whether devices of the product may have identities; a product whose devices prove themselves by
/// them alone has them.
fn wants_id2(ask: &Ask<'_>) -> Result<bool, Refusal> {
    let said = ask.params.boolean("Id2");
    match ask.params.text("AuthType").unwrap_or("secret") {
        "secret" => Ok(said == Some(true)),
        "id2" if said != Some(false) => Ok(true),
        "id2" => {
            let rule = "is false, but the AuthType is id2";
            Err(GatewayError::Invalid {
                name: "Id2".into(),
                rule: rule.into(),
            }
            .into())
        }
        other => {
            let message = format!("devices cannot prove themselves with {other} here");
            Err(Business::new("iot.prod.CreateProductFailed", message).into())
        }
    }
}

async fn enable_id2(ask: &Ask<'_>, permit: &Permit, key: &ProductKey) -> Result<(), Refusal> {
    let on = Change {
        on: Some(true),
        ..Change::default()
    };
    match ask.hub.id2_set(permit, key, &on).await {
        Ok(_) => Ok(()),
        Err(Id2Error::Fault(fault)) => Err(ProductError::Fault(fault).into()),
        Err(error) => {
            let code = "iot.prod.NotOpenID2Service";
            Err(Business::new(code, error.to_string()).into())
        }
    }
}

async fn query(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let view = ask.hub.product_find(&permit, &key).await?;
    // A right of its own: with this secret anybody's device can register itself.
    let resource = Resource::Product(key.clone());
    let secret = match ask.may("iot:ReadProductSecret", &resource).await? {
        true => ask.hub.product_secret(&permit, &key).await?,
        false => String::new(),
    };
    let product = &view.product;
    let mut data = summary(&view);
    data.append(&mut described(product));
    let state = match product.state {
        ProductState::Development => "DEVELOPMENT_STATUS",
        ProductState::Released => "RELEASE_STATUS",
    };
    let id2 = ask.hub.id2_is_on(&key).await;
    let id2 = id2.map_err(ProductError::from)?;
    for (name, value) in [
        ("Owner", true.into()),
        ("Id2", id2.into()),
        ("ProductSecret", secret.into()),
        ("ProductStatus", state.into()),
        ("CategoryName", Value::Null),
        ("CategoryKey", label(product, "CategoryKey")),
        ("NetType", net_type(product)),
        ("ValidateType", number(product, "ValidateType")),
    ] {
        if !value.is_null() {
            data.insert(name.into(), value);
        }
    }
    fields(json!({ "Data": data }))
}

async fn list(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 200)?;
    let (views, total) = match ask.params.text("AliyunCommodityCode") {
        None => {
            let permit = ask.any().await?;
            ask.hub
                .product_page(&permit, sheet.skip(), sheet.most())
                .await?
        }
        Some(code) => {
            let mut views = all(ask).await?;
            views.retain(|view| view.product.modelled == (code == SENIOR));
            let total = views.len() as u64;
            (sheet.cut(views), total)
        }
    };
    let rows: Vec<_> = views.iter().map(summary).collect();
    fields(json!({ "Data": {
        "CurrentPage": sheet.number,
        "PageSize": sheet.size,
        "Total": total,
        "PageCount": sheet.pages(total),
        "List": { "ProductInfo": rows },
    }}))
}

/// All products of the account, of which there are at most `Limits::products`.
pub(super) async fn all(ask: &Ask<'_>) -> Result<Vec<ProductView>, Refusal> {
    let permit = ask.any().await?;
    let mut views: Vec<ProductView> = Vec::new();
    loop {
        let skip = views.len() as u64;
        let (mut page, total) = ask.hub.product_page(&permit, skip, 200).await?;
        let last = page.is_empty();
        views.append(&mut page);
        if last || views.len() as u64 >= total {
            return Ok(views);
        }
    }
}

async fn update(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let name = ask.params.needed("ProductName");
    let description = ask.params.given_text("Description");
    ask.hub
        .product_update(&permit, &key, Some(name), description)
        .await?;
    nothing()
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    ask.hub.product_delete(&permit, &key).await?;
    nothing()
}

async fn release(ask: &Ask<'_>, released: bool) -> Answer {
    let (permit, key) = ask.product().await?;
    ask.hub.product_release(&permit, &key, released).await?;
    nothing()
}

/// What every description of a product has.
fn described(product: &Product) -> Map<String, Value> {
    let mut data = Map::new();
    for (name, value) in [
        ("ProductKey", product.key.as_str().into()),
        ("ProductName", product.name.as_str().into()),
        ("Description", product.description.as_str().into()),
        ("NodeType", node_type(product.node).into()),
        ("DataFormat", data_format(product.format).into()),
        ("AuthType", auth_type(product).into()),
        ("ProtocolType", label(product, "ProtocolType")),
        ("AliyunCommodityCode", commodity(product)),
    ] {
        if !value.is_null() {
            data.insert(name.into(), value);
        }
    }
    data
}

fn summary(view: &ProductView) -> Map<String, Value> {
    let product = &view.product;
    let row = json!({
        "ProductKey": product.key,
        "ProductName": product.name,
        "Description": product.description,
        "NodeType": node_type(product.node),
        "DataFormat": data_format(product.format),
        "AuthType": auth_type(product),
        "DeviceCount": view.devices,
        "GmtCreate": product.created.0,
    });
    row.as_object().cloned().unwrap_or_default()
}

/// 0 for devices and sub-devices, 1 for gateways.
pub(super) fn node_type(node: NodeKind) -> u8 {
    match node {
        NodeKind::Device | NodeKind::SubDevice => 0,
        NodeKind::Gateway => 1,
    }
}

fn data_format(format: DataFormat) -> u8 {
    match format {
        DataFormat::Passthrough => 0,
        DataFormat::Alink => 1,
    }
}

fn auth_type(product: &Product) -> &str {
    product.labels.get("AuthType").map_or("secret", |t| t)
}

fn commodity(product: &Product) -> Value {
    if product.modelled {
        SENIOR.into()
    } else {
        label(product, "AliyunCommodityCode")
    }
}

fn label(product: &Product, name: &str) -> Value {
    let label = product.labels.get(name);
    label.map_or(Value::Null, |text| text.as_str().into())
}

fn number(product: &Product, name: &str) -> Value {
    let label = product.labels.get(name).and_then(|text| text.parse().ok());
    label.map_or(Value::Null, |number: i64| number.into())
}

/// The number for the network type that was given as a word.
fn net_type(product: &Product) -> Value {
    let Some(word) = product.labels.get("NetType") else {
        return Value::Null;
    };
    match word.as_str() {
        "WIFI" => 3.into(),
        "CELLULAR" => 6.into(),
        "ETHERNET" => 7.into(),
        _ => 8.into(),
    }
}
