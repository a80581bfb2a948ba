//! Products: made, shown, switched.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::{Format, MqttView, Node, ProductView, Registration, Right, TopicView},
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::product::NewProduct;
use model::{account::Resource, error::ProductError, id::ProductKey, product::TopicRight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many to pass over.
    #[serde(default)]
    skip: u64,
    /// At most so many; 50 when it is left out, 200 at most.
    most: Option<usize>,
}

impl PageQuery {
    /// Where the page begins and how long it is.
    pub(super) fn bounds(&self) -> Result<(u64, usize), AdminError> {
        match self.most.unwrap_or(50) {
            most @ 1..=200 => Ok((self.skip, most)),
            _ => Err(AdminError::bad_request("most is 1 to 200")),
        }
    }
}

/// What a new product is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProductBody {
    /// For people; unlike any other of the account.
    name: String,
    #[serde(default)]
    description: String,
    /// Place in the topology; `device` when it is left out.
    node: Option<Node>,
    /// Form of payloads; `alink` when it is left out.
    format: Option<Format>,
    /// Whether it has a thing model; true when it is left out.
    modelled: Option<bool>,
}

/// A new product with its secret, which devices that register themselves prove themselves with.
#[derive(Serialize, ToSchema)]
pub(super) struct NewProductView {
    #[serde(flatten)]
    product: ProductView,
    product_secret: String,
}

/// Some products, newest first, and how many there are.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductPage {
    items: Vec<ProductView>,
    total: u64,
}

/// A product's secret.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductSecretView {
    product_key: String,
    product_secret: String,
}

/// How the dynamic-registration switch is to stand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegistrationBody {
    to: Registration,
    /// The second confirmation that turning it on needs: whoever knows the product secret can
    /// then get secrets of devices.
    #[serde(default)]
    confirmed: bool,
}

/// How a switch is to stand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SwitchBody {
    on: bool,
}

/// Makes a product with a key and a secret.
#[utoipa::path(post, path = "/products", tag = "product", request_body = NewProductBody,
    responses((status = 201, body = NewProductView), (status = "4XX", body = ErrorView)))]
pub(super) async fn create(call: Call) -> Result<(StatusCode, Json<NewProductView>), AdminError> {
    let permit = call.allow("iot:CreateProduct", Resource::Any, true).await?;
    let body: NewProductBody = call.read()?;
    let new = NewProduct {
        name: body.name,
        description: body.description,
        node: body.node.unwrap_or(Node::Device).into(),
        format: body.format.unwrap_or(Format::Alink).into(),
        modelled: body.modelled.unwrap_or(true),
        labels: BTreeMap::new(),
    };
    let (product, product_secret) = call.admin.hub.product_create(&permit, new).await?;
    let product = ProductView::from(&*product);
    let view = NewProductView {
        product,
        product_secret,
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Lists products.
#[utoipa::path(get, path = "/products", tag = "product", params(PageQuery),
    responses((status = 200, body = ProductPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(call: Call) -> Answer<ProductPage> {
    let permit = call
        .allow("iot:QueryProductList", Resource::Any, false)
        .await?;
    let (skip, most) = call.query::<PageQuery>()?.bounds()?;
    let (products, total) = call.admin.hub.product_page(&permit, skip, most).await?;
    let items = products.iter().map(ProductView::from).collect();
    Ok(Json(ProductPage { items, total }))
}

/// Shows a product.
#[utoipa::path(get, path = "/products/{product}", tag = "product", params(("product" = String, Path)),
    responses((status = 200, body = ProductView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(product): Path<String>, call: Call) -> Answer<ProductView> {
    let key = ProductKey::parse(&product)?;
    let permit = call
        .allow("iot:QueryProduct", Resource::Product(key.clone()), false)
        .await?;
    let product = call.admin.hub.product_find(&permit, &key).await?;
    Ok(Json((&product).into()))
}

/// Removes a product that has no devices.
#[utoipa::path(delete, path = "/products/{product}", tag = "product", params(("product" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn delete(
    Path(product): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let key = ProductKey::parse(&product)?;
    let permit = call
        .allow("iot:DeleteProduct", Resource::Product(key.clone()), true)
        .await?;
    call.admin.hub.product_delete(&permit, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows a product's secret; the read is audited.
#[utoipa::path(get, path = "/products/{product}/secret", tag = "product", params(("product" = String, Path)),
    responses((status = 200, body = ProductSecretView), (status = "4XX", body = ErrorView)))]
pub(super) async fn secret(Path(product): Path<String>, call: Call) -> Answer<ProductSecretView> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call
        .allow("muster:ReadProductSecret", resource, true)
        .await?;
    let product_secret = call.admin.hub.product_secret(&permit, &key).await?;
    Ok(Json(ProductSecretView {
        product_key: key.to_string(),
        product_secret,
    }))
}

/// Turns the dynamic-registration switch. Turning it on needs `confirmed`; without it the answer
/// is 409 `Unconfirmed` and nothing changes.
#[utoipa::path(post, path = "/products/{product}/registration", tag = "product",
    params(("product" = String, Path)), request_body = RegistrationBody,
    responses((status = 200, body = ProductView), (status = "4XX", body = ErrorView)))]
pub(super) async fn registration(Path(product): Path<String>, call: Call) -> Answer<ProductView> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call
        .allow("muster:SetDynamicRegistration", resource, true)
        .await?;
    let body: RegistrationBody = call.read()?;
    let hub = &call.admin.hub;
    let product = hub
        .product_registration(&permit, &key, body.to.into(), body.confirmed)
        .await?;
    Ok(Json((&*product).into()))
}

/// Sets whether a device's login must say truly whether its channel is secure.
#[utoipa::path(post, path = "/products/{product}/strict-channel", tag = "product",
    params(("product" = String, Path)), request_body = SwitchBody,
    responses((status = 200, body = ProductView), (status = "4XX", body = ErrorView)))]
pub(super) async fn strict_channel(Path(product): Path<String>, call: Call) -> Answer<ProductView> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call
        .allow("muster:SetStrictChannel", resource, true)
        .await?;
    let body: SwitchBody = call.read()?;
    let hub = &call.admin.hub;
    let product = hub.product_strict_channel(&permit, &key, body.on).await?;
    Ok(Json((&*product).into()))
}

/// Sets what devices may use of MQTT on custom topics, from their next login on.
#[utoipa::path(post, path = "/products/{product}/mqtt", tag = "product",
    params(("product" = String, Path)), request_body = MqttView,
    responses((status = 200, body = ProductView), (status = "4XX", body = ErrorView)))]
pub(super) async fn mqtt(Path(product): Path<String>, call: Call) -> Answer<ProductView> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("muster:SetMqtt", resource, true).await?;
    let body: MqttView = call.read()?;
    let hub = &call.admin.hub;
    let product = hub.product_mqtt(&permit, &key, body.into()).await?;
    Ok(Json((&*product).into()))
}

/// Freezes a product's thing model and topics, or lets them change again.
#[utoipa::path(post, path = "/products/{product}/release", tag = "product",
    params(("product" = String, Path)), request_body = SwitchBody,
    responses((status = 200, body = ProductView), (status = "4XX", body = ErrorView)))]
pub(super) async fn release(Path(product): Path<String>, call: Call) -> Answer<ProductView> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:ReleaseProduct", resource, true).await?;
    let body: SwitchBody = call.read()?;
    let hub = &call.admin.hub;
    let product = hub.product_release(&permit, &key, body.on).await?;
    Ok(Json((&*product).into()))
}

/// A new topic class.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTopicBody {
    /// What follows product and device, such as `user/loop`.
    suffix: String,
    /// What devices may do with it.
    right: Right,
    #[serde(default)]
    description: String,
}

/// Makes a topic class of the product's own.
#[utoipa::path(post, path = "/products/{product}/topics", tag = "product",
    params(("product" = String, Path)), request_body = NewTopicBody,
    responses((status = 201, body = TopicView), (status = "4XX", body = ErrorView)))]
pub(super) async fn topic_create(
    Path(product): Path<String>,
    call: Call,
) -> Result<(StatusCode, Json<TopicView>), AdminError> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:CreateProductTopic", resource, true).await?;
    let body: NewTopicBody = call.read()?;
    let right = TopicRight::from(body.right);
    let topic = call
        .admin
        .hub
        .topic_create(&permit, &key, &body.suffix, right, &body.description)
        .await?;
    Ok((StatusCode::CREATED, Json((&topic).into())))
}

/// Removes a topic class.
#[utoipa::path(delete, path = "/products/{product}/topics/{topic}", tag = "product",
    params(("product" = String, Path), ("topic" = u64, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn topic_delete(
    Path((product, topic)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:DeleteProductTopic", resource, true).await?;
    let hub = &call.admin.hub;
    // What was allowed is a change of this product, so the number must be one of its topics.
    let found = hub.product_find(&permit, &key).await?.product;
    let topic = found
        .topics
        .iter()
        .find(|known| known.id.to_string() == topic)
        .ok_or(ProductError::NoSuchPart("topic class"))?;
    hub.topic_delete(&permit, topic.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
