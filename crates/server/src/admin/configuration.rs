//! Remote configuration of a product.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::time,
};
use axum::{Json, extract::Path};
use hub::{
    account::Permit,
    configuration::{Configurations, Version},
};
use model::{
    account::Resource,
    id::{DeviceKey, ProductKey},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfigurationBody {
    /// Whether devices get the document.
    on: Option<bool>,
    /// The new document.
    content: Option<String>,
}

/// Who is to be told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PushBody {
    /// This device; all that were ever connected when none is named.
    device: Option<String>,
}

/// How many were told.
#[derive(Serialize, ToSchema)]
pub(super) struct PushedView {
    devices: u64,
}

/// A document.
#[derive(Serialize, ToSchema)]
struct VersionView {
    id: String,
    /// Bytes.
    size: u64,
    /// In hexadecimal digits.
    sha256: String,
    at: String,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self {
            id: version.document.id,
            size: version.document.size,
            sha256: version.document.sha256,
            at: time(version.at),
        }
    }
}

/// Remote configuration of a product.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigurationView {
    /// Whether devices get the document.
    on: bool,
    /// Newest first; devices get the first.
    versions: Vec<VersionView>,
}

impl From<Configurations> for ConfigurationView {
    fn from(all: Configurations) -> Self {
        Self {
            on: all.on,
            versions: all.versions.into_iter().map(Into::into).collect(),
        }
    }
}

async fn of(
    call: &Call,
    product: &str,
    action: &str,
    changing: bool,
) -> Result<(ProductKey, Permit), AdminError> {
    let key = ProductKey::parse(product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow(action, resource, changing).await?;
    Ok((key, permit))
}

/// Shows a product's remote configuration.
#[utoipa::path(get, path = "/products/{product}/configuration", tag = "product",
    params(("product" = String, Path)),
    responses((status = 200, body = ConfigurationView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(product): Path<String>, call: Call) -> Answer<ConfigurationView> {
    let (key, permit) = of(&call, &product, "muster:ReadConfiguration", false).await?;
    let all = call.admin.hub.configuration_of(&permit, &key).await?;
    Ok(Json(all.into()))
}

/// Turns a product's remote configuration on or off, or gives it another document.
#[utoipa::path(post, path = "/products/{product}/configuration", tag = "product",
    params(("product" = String, Path)), request_body = ConfigurationBody,
    responses((status = 200, body = ConfigurationView), (status = "4XX", body = ErrorView)))]
pub(super) async fn set(Path(product): Path<String>, call: Call) -> Answer<ConfigurationView> {
    let (key, permit) = of(&call, &product, "muster:SetConfiguration", true).await?;
    let body: ConfigurationBody = call.read()?;
    let hub = &call.admin.hub;
    let mut all = None;
    if let Some(content) = body.content {
        let put = hub.configuration_put(&permit, &key, content.into());
        all = Some(put.await?);
    }
    if let Some(on) = body.on {
        all = Some(hub.configuration_switch(&permit, &key, on).await?);
    }
    let nothing = || AdminError::bad_request("give a document, or say on or off");
    Ok(Json(all.ok_or_else(nothing)?.into()))
}

/// Tells one device, or all that were ever connected, of the product's document.
#[utoipa::path(post, path = "/products/{product}/configuration/push", tag = "product",
    params(("product" = String, Path)), request_body = PushBody,
    responses((status = 200, body = PushedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn push(Path(product): Path<String>, call: Call) -> Answer<PushedView> {
    let (key, permit) = of(&call, &product, "muster:PushConfiguration", true).await?;
    let body: PushBody = call.read()?;
    let hub = &call.admin.hub;
    let devices = match body.device {
        Some(name) => {
            let device = DeviceKey::parse(key.as_str(), &name)?;
            hub.configuration_push(&permit, &device).await?;
            1
        }
        None => hub.configuration_push_all(&permit, &key).await?,
    };
    Ok(Json(PushedView { devices }))
}
