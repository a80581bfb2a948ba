//! Devices: registered, shown, kept out, removed.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    product::PageQuery,
    view::{DeviceSecretView, DeviceView},
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::{account::Permit, device::WantedName};
use model::{
    account::Resource,
    id::{DeviceKey, ProductKey},
    port::DeviceFilter,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Secrets read in one step from an application for a batch.
const STEP: usize = 100;

/// A device that is to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDeviceBody {
    /// 4 to 32 letters, digits and `-_@.:`; one is made up when it is left out.
    device_name: Option<String>,
    nickname: Option<String>,
}

/// Devices that are to be registered: these, or so many with made-up names.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDevicesBody {
    #[serde(default)]
    devices: Vec<NewNameBody>,
    count: Option<u64>,
}

/// A name in a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNameBody {
    device_name: String,
    #[serde(default)]
    nickname: String,
}

/// Registered devices with their secrets.
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceSecretList {
    devices: Vec<DeviceSecretView>,
}

/// Some devices, newest first, and how many there are.
#[derive(Serialize, ToSchema)]
pub(super) struct DevicePage {
    items: Vec<DeviceView>,
    total: u64,
}

/// Proves and allows a call about one device.
pub(super) async fn one(
    call: &Call,
    product: &str,
    name: &str,
    action: &str,
    changing: bool,
) -> Result<(DeviceKey, Permit), AdminError> {
    let key = DeviceKey::parse(product, name)?;
    let permit = call
        .allow(action, Resource::Device(key.clone()), changing)
        .await?;
    Ok((key, permit))
}

/// Registers a device and shows its secret.
#[utoipa::path(post, path = "/products/{product}/devices", tag = "device",
    params(("product" = String, Path)), request_body = NewDeviceBody,
    responses((status = 201, body = DeviceSecretView), (status = "4XX", body = ErrorView)))]
pub(super) async fn register(
    Path(product): Path<String>,
    call: Call,
) -> Result<(StatusCode, Json<DeviceSecretView>), AdminError> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:RegisterDevice", resource, true).await?;
    let body: NewDeviceBody = call.read()?;
    let (name, nickname) = (body.device_name.as_deref(), body.nickname.as_deref());
    let hub = &call.admin.hub;
    let made = hub.device_register(&permit, &key, name, nickname).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Registers many devices, all or none, and shows their secrets.
#[utoipa::path(post, path = "/products/{product}/devices/batch", tag = "device",
    params(("product" = String, Path)), request_body = NewDevicesBody,
    responses((status = 201, body = DeviceSecretList), (status = "4XX", body = ErrorView)))]
pub(super) async fn register_many(
    Path(product): Path<String>,
    call: Call,
) -> Result<(StatusCode, Json<DeviceSecretList>), AdminError> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call
        .allow("iot:BatchRegisterDevice", resource, true)
        .await?;
    let body: NewDevicesBody = call.read()?;
    let hub = &call.admin.hub;
    let made = match (body.count, body.devices.is_empty()) {
        (None, false) => {
            let wanted = |new: NewNameBody| WantedName {
                name: new.device_name,
                nickname: new.nickname,
            };
            let names = body.devices.into_iter().map(wanted).collect();
            hub.device_register_many(&permit, &key, names).await?
        }
        (Some(count), true) => {
            let batch = hub.batch_create(&permit, &key, count).await?;
            let mut made = Vec::new();
            loop {
                let skip = made.len() as u64;
                let (page, total) = hub.batch_page(&permit, batch.id, skip, STEP).await?;
                let end = page.is_empty();
                let secrets = hub.device_secrets(&permit, &page).await?;
                let devices = page.into_iter().map(|view| view.device);
                made.extend(devices.zip(secrets));
                if end || made.len() as u64 >= total {
                    break made;
                }
            }
        }
        _ => {
            return Err(AdminError::bad_request(
                "give either devices or a count of devices with made-up names",
            ));
        }
    };
    let devices = made.into_iter().map(Into::into).collect();
    Ok((StatusCode::CREATED, Json(DeviceSecretList { devices })))
}

/// Lists a product's devices.
#[utoipa::path(get, path = "/products/{product}/devices", tag = "device",
    params(("product" = String, Path), PageQuery),
    responses((status = 200, body = DevicePage), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(Path(product): Path<String>, call: Call) -> Answer<DevicePage> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:QueryDevice", resource, false).await?;
    let (skip, most) = call.query::<PageQuery>()?.bounds()?;
    let filter = DeviceFilter::default();
    let hub = &call.admin.hub;
    let (devices, total) = hub.device_page(&permit, &key, &filter, skip, most).await?;
    let items = devices.iter().map(Into::into).collect();
    Ok(Json(DevicePage { items, total }))
}

/// Shows a device.
#[utoipa::path(get, path = "/products/{product}/devices/{device}", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = DeviceView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<DeviceView> {
    let (key, permit) = one(&call, &product, &device, "iot:QueryDeviceDetail", false).await?;
    let hub = &call.admin.hub;
    let mut view = DeviceView::from(&hub.device_find(&permit, &key).await?);
    view.tags = Some(hub.tags_of(&permit, &key).await?);
    Ok(Json(view))
}

/// Lets a device that registered itself do so once more, and undoes its topology.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/reset", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn reset(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, "iot:ResetThing", true).await?;
    call.admin.hub.device_reset(&permit, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a device, its secret, its commands and its history, and ends its session.
#[utoipa::path(delete, path = "/products/{product}/devices/{device}", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn delete(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let (key, permit) = one(&call, &product, &device, "iot:DeleteDevice", true).await?;
    call.admin.hub.device_delete(&permit, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows a device's secret; the read is audited.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/secret", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = DeviceSecretView), (status = "4XX", body = ErrorView)))]
pub(super) async fn secret(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<DeviceSecretView> {
    let (key, permit) = one(&call, &product, &device, "muster:ReadDeviceSecret", true).await?;
    let hub = &call.admin.hub;
    let secret = hub.device_secret(&permit, &key).await?;
    let device = hub.device_find(&permit, &key).await?.device;
    Ok(Json((device, secret).into()))
}

/// Gives a device a new secret and ends its session.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/reset-secret", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = DeviceSecretView), (status = "4XX", body = ErrorView)))]
pub(super) async fn reset_secret(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<DeviceSecretView> {
    let (key, permit) = one(&call, &product, &device, "muster:ResetDeviceSecret", true).await?;
    let hub = &call.admin.hub;
    let secret = hub.device_reset_secret(&permit, &key).await?;
    let device = hub.device_find(&permit, &key).await?.device;
    Ok(Json((device, secret).into()))
}

/// Lets a device connect again.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/enable", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = DeviceView), (status = "4XX", body = ErrorView)))]
pub(super) async fn enable(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<DeviceView> {
    let (key, permit) = one(&call, &product, &device, "iot:EnableThing", true).await?;
    let hub = &call.admin.hub;
    let (device, turned) = hub.device_disable(&permit, &key, false).await?;
    if turned {
        aliyun::device::tell_enabled(hub, &permit, &key).await?;
    }
    Ok(Json((&device).into()))
}

/// Keeps a device from connecting and ends its session.
#[utoipa::path(post, path = "/products/{product}/devices/{device}/disable", tag = "device",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = DeviceView), (status = "4XX", body = ErrorView)))]
pub(super) async fn disable(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<DeviceView> {
    let (key, permit) = one(&call, &product, &device, "iot:DisableThing", true).await?;
    let hub = &call.admin.hub;
    let (device, _) = hub.device_disable(&permit, &key, true).await?;
    Ok(Json((&device).into()))
}
