//! Which sub-devices are bound to which gateways.

use super::{
    Answer,
    call::Call,
    device::one,
    error::{AdminError, ErrorView},
    product::PageQuery,
    view::time,
};
use axum::{Json, extract::Path, http::StatusCode};
use model::{id::DeviceKey, topo::Relation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A device by its names.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NamesBody {
    product_key: String,
    device_name: String,
}

impl NamesBody {
    pub(super) fn new(product_key: String, device_name: String) -> Self {
        Self {
            product_key,
            device_name,
        }
    }

    pub(super) fn key(&self) -> Result<DeviceKey, AdminError> {
        Ok(DeviceKey::parse(&self.product_key, &self.device_name)?)
    }
}

impl From<DeviceKey> for NamesBody {
    fn from(key: DeviceKey) -> Self {
        Self {
            product_key: key.product.to_string(),
            device_name: key.name.to_string(),
        }
    }
}

/// Sub-devices.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubsBody {
    devices: Vec<NamesBody>,
}

/// A sub-device of a gateway.
#[derive(Serialize, ToSchema)]
struct SubView {
    product_key: String,
    device_name: String,
    /// When it was bound.
    since: String,
}

impl From<Relation> for SubView {
    fn from(relation: Relation) -> Self {
        Self {
            product_key: relation.sub.product.to_string(),
            device_name: relation.sub.name.to_string(),
            since: time(relation.since),
        }
    }
}

/// Some sub-devices of a gateway, and how many it has.
#[derive(Serialize, ToSchema)]
pub(super) struct SubPage {
    items: Vec<SubView>,
    total: u64,
}

/// What a gateway was asked.
#[derive(Serialize, ToSchema)]
pub(super) struct AskedView {
    /// Number of the command.
    command: String,
}

/// To which gateway a sub-device is bound.
#[derive(Serialize, ToSchema)]
pub(super) struct GatewayView {
    /// None when it is bound to none.
    gateway: Option<NamesBody>,
}

fn keys(body: &SubsBody) -> Result<Vec<DeviceKey>, AdminError> {
    body.devices.iter().map(NamesBody::key).collect()
}

/// Lists the sub-devices of a gateway.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/topology", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path), PageQuery),
    responses((status = 200, body = SubPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn page(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<SubPage> {
    let (key, permit) = one(&call, &product, &device, "iot:GetThingTopo", false).await?;
    let (skip, most) = call.query::<PageQuery>()?.bounds()?;
    let page = call.admin.hub.topo_page(&permit, &key, skip, most);
    let (items, total) = page.await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(Json(SubPage { items, total }))
}

/// Binds sub-devices to a gateway, all or none, and tells the gateway.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/topology", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)), request_body = SubsBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn bind(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let action = "muster:AddThingTopo";
    let (key, permit) = one(&call, &product, &device, action, true).await?;
    let subs = keys(&call.read()?)?;
    call.admin.hub.topo_bind_for(&permit, &key, &subs).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks a gateway to bind sub-devices by itself, with their proofs.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/topology/ask", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)), request_body = SubsBody,
    responses((status = 200, body = AskedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn ask(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<AskedView> {
    let (key, permit) = one(&call, &product, &device, "iot:NotifyAddThingTopo", true).await?;
    let subs = keys(&call.read()?)?;
    let command = call.admin.hub.topo_ask(&permit, &key, subs).await?;
    let command = command.to_string();
    Ok(Json(AskedView { command }))
}

/// Shows to which gateway a sub-device is bound.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/gateway", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = GatewayView), (status = "4XX", body = ErrorView)))]
pub(super) async fn gateway(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<GatewayView> {
    let (key, permit) = one(&call, &product, &device, "iot:GetGatewayBySubDevice", false).await?;
    let found = call.admin.hub.topo_gateway(&permit, &key).await?;
    let gateway = found.map(|found| found.device.key.into());
    Ok(Json(GatewayView { gateway }))
}

/// Unbinds a sub-device from its gateway, and tells that.
#[utoipa::path(delete, path = "/products/{product}/devices/{device}/gateway", tag = "gateway",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn unbind(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, "iot:RemoveThingTopo", true).await?;
    match call.admin.hub.topo_remove(&permit, &key).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(AdminError::bad_request("it is bound to no gateway")),
    }
}
