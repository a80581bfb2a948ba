//! Firmware packages, and the files that they are made of.

use super::{
    Admin, Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::time,
};
use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use futures_util::StreamExt;
use hub::ota::{NewFile, NewPackage, Package, Verified};
use model::{
    account::Resource,
    firmware::{FirmwareFile, SignMethod},
    id::{DeviceKey, ProductKey},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A file that was handed in.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadView {
    /// By this a package takes it, within a day.
    upload: String,
    /// Bytes.
    size: u64,
    md5: String,
    sha256: String,
}

/// What a file is called.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UploadQuery {
    /// Its name, for people and for packages of several files.
    #[serde(default)]
    name: Option<String>,
}

/// How devices check what they fetched.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    #[default]
    Md5,
    Sha256,
}

impl From<Method> for SignMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Md5 => Self::Md5,
            Method::Sha256 => Self::Sha256,
        }
    }
}

impl From<SignMethod> for Method {
    fn from(method: SignMethod) -> Self {
        match method {
            SignMethod::Md5 => Self::Md5,
            SignMethod::Sha256 => Self::Sha256,
        }
    }
}

/// A file of a package.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    /// What its upload answered.
    upload: String,
    /// Its name; the upload's when it is left out.
    name: Option<String>,
}

/// A package that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewFirmwareBody {
    /// The product that it is for; any when it is left out.
    product: Option<String>,
    /// For people; unlike any other of the product.
    name: String,
    #[serde(default)]
    description: String,
    /// The version that devices have afterwards.
    version: String,
    /// The module; the whole device when it is left out.
    module: Option<String>,
    /// The version that it is a difference to; a whole package when it is left out.
    difference_to: Option<String>,
    #[serde(default)]
    method: Method,
    /// 1 to 20.
    files: Vec<FileBody>,
    /// Handed to devices along with it.
    #[serde(default)]
    udi: String,
    /// Whether it must be tried on chosen devices before campaigns; true when it is left out.
    verify: Option<bool>,
}

/// A file of a package.
#[derive(Serialize, ToSchema)]
pub(super) struct FileView {
    name: String,
    size: u64,
    md5: String,
    sha256: String,
}

impl From<&FirmwareFile> for FileView {
    fn from(file: &FirmwareFile) -> Self {
        Self {
            name: file.name.clone(),
            size: file.size,
            md5: file.md5.clone(),
            sha256: file.sha256.clone(),
        }
    }
}

/// A package.
#[derive(Serialize, ToSchema)]
pub(super) struct FirmwareView {
    id: String,
    product: Option<String>,
    name: String,
    description: String,
    version: String,
    module: String,
    difference_to: Option<String>,
    method: Method,
    /// `not-needed`, `no`, `running`, `yes` or `failed`.
    #[schema(value_type = String)]
    verified: Verified,
    size: u64,
    files: Vec<FileView>,
    created: String,
}

impl From<&Package> for FirmwareView {
    fn from(package: &Package) -> Self {
        Self {
            id: package.id.clone(),
            product: package.product.as_ref().map(ToString::to_string),
            name: package.name.clone(),
            description: package.description.clone(),
            version: package.version.clone(),
            module: package.module.clone(),
            difference_to: package.differential.then(|| package.from.clone()),
            method: package.method.into(),
            verified: package.verified,
            size: package.files.iter().map(|file| file.size).sum(),
            files: package.files.iter().map(FileView::from).collect(),
            created: time(package.created),
        }
    }
}

/// Packages, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct FirmwareList {
    items: Vec<FirmwareView>,
}

/// Of which product.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    product: Option<String>,
}

/// A version that a device reported.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionView {
    module: String,
    version: String,
    since: String,
}

/// Versions that a device reported.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionList {
    items: Vec<VersionView>,
}

/// Takes a file. The body is the file; nothing is kept of one that breaks off.
#[utoipa::path(post, path = "/uploads", tag = "firmware", params(UploadQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = UploadView), (status = "4XX", body = ErrorView)))]
pub(super) async fn upload(
    State(admin): State<Admin>,
    request: Request,
) -> Result<(StatusCode, Json<UploadView>), AdminError> {
    let (call, body) = Call::of_upload(&admin, request);
    let permit = call
        .allow("iot:CreateOTAFirmware", Resource::Any, true)
        .await?;
    let name = call.query::<UploadQuery>()?.name;
    let hub = &admin.hub;
    let name = name.as_deref().unwrap_or("firmware.bin");
    let mut upload = hub.upload_begin(&permit, name).await?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece
            .map_err(|error| AdminError::bad_request(format!("the body broke off: {error}")))?;
        upload.write(piece).await?;
    }
    let file = hub.upload_finish(upload).await?;
    let view = UploadView {
        upload: file.blob,
        size: file.size,
        md5: file.md5,
        sha256: file.sha256,
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Makes a package of files that were handed in.
#[utoipa::path(post, path = "/firmware", tag = "firmware", request_body = NewFirmwareBody,
    responses((status = 201, body = FirmwareView), (status = "4XX", body = ErrorView)))]
pub(super) async fn create(call: Call) -> Result<(StatusCode, Json<FirmwareView>), AdminError> {
    let body: NewFirmwareBody = call.read_before_right("iot:CreateOTAFirmware").await?;
    let product = body.product.as_deref().map(ProductKey::parse).transpose()?;
    let resource = product.clone().map_or(Resource::Any, Resource::Product);
    let permit = call.allow("iot:CreateOTAFirmware", resource, true).await?;
    let files = body.files.into_iter().map(|file| NewFile {
        upload: file.upload,
        name: file.name,
        ..NewFile::default()
    });
    let new = NewPackage {
        product,
        name: body.name,
        description: body.description,
        module: body.module,
        version: body.version,
        differential: body.difference_to.is_some(),
        from: body.difference_to.unwrap_or_default(),
        method: body.method.into(),
        files: files.collect(),
        udi: body.udi,
        verify: body.verify.unwrap_or(true),
    };
    let package = call.admin.hub.firmware_create(&permit, new).await?;
    Ok((StatusCode::CREATED, Json((&package).into())))
}

/// Lists packages.
#[utoipa::path(get, path = "/firmware", tag = "firmware", params(ListQuery),
    responses((status = 200, body = FirmwareList), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(call: Call) -> Answer<FirmwareList> {
    let query: ListQuery = call.query()?;
    let product = query
        .product
        .as_deref()
        .map(ProductKey::parse)
        .transpose()?;
    let resource = product.clone().map_or(Resource::Any, Resource::Product);
    let permit = call.allow("iot:ListOTAFirmware", resource, false).await?;
    let all = call
        .admin
        .hub
        .firmware_list(&permit, product.as_ref(), None)
        .await?;
    let items = all.iter().map(FirmwareView::from).collect();
    Ok(Json(FirmwareList { items }))
}

/// Shows a package.
#[utoipa::path(get, path = "/firmware/{firmware}", tag = "firmware", params(("firmware" = String, Path)),
    responses((status = 200, body = FirmwareView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(id): Path<String>, call: Call) -> Answer<FirmwareView> {
    let hub = call.admin.hub.clone();
    let resource = hub.firmware_resource(&id).await?;
    let permit = call.allow("iot:QueryOTAFirmware", resource, false).await?;
    let package = hub.firmware_find(&permit, &id).await?;
    Ok(Json((&package).into()))
}

/// Deletes a package with its files.
#[utoipa::path(delete, path = "/firmware/{firmware}", tag = "firmware", params(("firmware" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn delete(Path(id): Path<String>, call: Call) -> Result<StatusCode, AdminError> {
    let hub = call.admin.hub.clone();
    let resource = hub.firmware_resource(&id).await?;
    let permit = call.allow("iot:DeleteOTAFirmware", resource, true).await?;
    hub.firmware_delete(&permit, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the versions that a device reported, by module.
#[utoipa::path(get, path = "/products/{product}/devices/{device}/versions", tag = "firmware",
    params(("product" = String, Path), ("device" = String, Path)),
    responses((status = 200, body = VersionList), (status = "4XX", body = ErrorView)))]
pub(super) async fn versions(
    Path((product, device)): Path<(String, String)>,
    call: Call,
) -> Answer<VersionList> {
    let key = DeviceKey::parse(&product, &device)?;
    let resource = Resource::Device(key.clone());
    let permit = call
        .allow("iot:ListOTAModuleVersionsByDevice", resource, false)
        .await?;
    let all = call.admin.hub.module_versions(&permit, &key).await?;
    let items = all.into_iter().map(|said| VersionView {
        module: said.module,
        version: said.version,
        since: time(said.since),
    });
    Ok(Json(VersionList {
        items: items.collect(),
    }))
}
