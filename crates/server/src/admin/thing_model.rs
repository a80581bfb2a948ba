//! Thing models of products: a draft that is imported, and versions that are published.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view,
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::thing_model::{Edit, ModelVersion, Which};
use model::{account::Resource, id::ProductKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which model is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ModelQuery {
    /// `draft`, `published` (when it is left out), or the name of a version.
    version: Option<String>,
    /// A custom block; the default block when it is left out.
    block: Option<String>,
    /// Whether to leave out what devices do not need.
    #[serde(default)]
    simple: bool,
}

/// Where an imported document goes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BlockQuery {
    /// A custom block; the default block when it is left out.
    block: Option<String>,
}

/// How a version is to be called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PublishBody {
    /// Its name; the time of publication when it is left out.
    version: Option<String>,
    #[serde(default)]
    description: String,
}

/// A published version.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionView {
    version: String,
    description: String,
    created: String,
}

impl From<ModelVersion> for VersionView {
    fn from(version: ModelVersion) -> Self {
        Self {
            version: version.version,
            description: version.description,
            created: view::time(version.created),
        }
    }
}

/// Published versions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionList {
    items: Vec<VersionView>,
}

/// Shows a thing model as its TSL document.
#[utoipa::path(get, path = "/products/{product}/model", tag = "thing model",
    params(("product" = String, Path), ModelQuery),
    responses((status = 200, body = Object), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(product): Path<String>, call: Call) -> Answer<Value> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:GetThingModelTsl", resource, false).await?;
    let query: ModelQuery = call.query()?;
    let which = match query.version.as_deref() {
        None | Some("published") => Which::Published,
        Some("draft") => Which::Draft,
        Some(name) => Which::Version(name.into()),
    };
    let hub = &call.admin.hub;
    let tsl = hub
        .model_tsl(&permit, &key, &which, query.block.as_deref(), query.simple)
        .await?;
    Ok(Json(tsl))
}

/// Replaces the draft by a TSL document.
#[utoipa::path(put, path = "/products/{product}/model", tag = "thing model",
    params(("product" = String, Path), BlockQuery), request_body = Object,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn import(
    Path(product): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call
        .allow("iot:ImportThingModelTsl", resource, true)
        .await?;
    let query: BlockQuery = call.query()?;
    let edit = Edit::Import(call.read()?);
    let hub = &call.admin.hub;
    hub.model_edit(&permit, &key, query.block.as_deref(), edit)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the draft the model that devices are held to from now on.
#[utoipa::path(post, path = "/products/{product}/model/publish", tag = "thing model",
    params(("product" = String, Path)), request_body = PublishBody,
    responses((status = 200, body = VersionView), (status = "4XX", body = ErrorView)))]
pub(super) async fn publish(Path(product): Path<String>, call: Call) -> Answer<VersionView> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow("iot:PublishThingModel", resource, true).await?;
    let body: PublishBody = call.read()?;
    let hub = &call.admin.hub;
    let version = hub
        .model_publish(&permit, &key, body.version.as_deref(), &body.description)
        .await?;
    Ok(Json(version.into()))
}

/// Lists published versions.
#[utoipa::path(get, path = "/products/{product}/model/versions", tag = "thing model",
    params(("product" = String, Path)),
    responses((status = 200, body = VersionList), (status = "4XX", body = ErrorView)))]
pub(super) async fn versions(Path(product): Path<String>, call: Call) -> Answer<VersionList> {
    let key = ProductKey::parse(&product)?;
    let resource = Resource::Product(key.clone());
    let permit = call
        .allow("iot:ListThingModelVersion", resource, false)
        .await?;
    let versions = call.admin.hub.model_versions(&permit, &key).await?;
    let items = versions.into_iter().map(Into::into).collect();
    Ok(Json(VersionList { items }))
}
