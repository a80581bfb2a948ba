//! Groups of devices.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    product::PageQuery,
    view::{DeviceView, time},
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::{
    account::Permit,
    group::{Group, Moved},
};
use model::{account::Resource, id::DeviceKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A group that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroupBody {
    /// 4 to 30 letters, digits and underscores; unlike any other of the account.
    name: String,
    #[serde(default)]
    description: String,
    /// Id of the group that it is to lie in.
    within: Option<String>,
}

/// What is to change of a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupBody {
    description: Option<String>,
    /// In place of those that it has.
    tags: Option<BTreeMap<String, String>>,
}

/// Which groups.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GroupQuery {
    /// Those that lie directly in this one.
    within: Option<String>,
    /// Those whose name has this in it.
    #[serde(default)]
    name: String,
    #[serde(default)]
    skip: u64,
    /// At most so many; 50 when it is left out, 200 at most.
    most: Option<usize>,
}

/// A device by its product and name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MemberBody {
    product: String,
    device: String,
}

/// Devices that are to be added or removed, at most 200.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MembersBody {
    devices: Vec<MemberBody>,
}

/// A group.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupView {
    id: String,
    name: String,
    description: String,
    /// Id of the group that it lies in.
    within: Option<String>,
    tags: BTreeMap<String, String>,
    created: String,
}

/// A group with how many devices it has.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupShown {
    #[serde(flatten)]
    group: GroupView,
    devices: u64,
    /// Of those, the ones that connected at least once.
    active: u64,
    online: u64,
}

/// Some groups, newest first, and how many there are.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupPage {
    items: Vec<GroupView>,
    total: u64,
}

/// Some devices of a group, and how many it has.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberPage {
    items: Vec<DeviceView>,
    total: u64,
}

/// What became of the devices.
#[derive(Serialize, ToSchema)]
pub(super) struct MovedView {
    /// That were added, or removed.
    moved: u64,
    /// That were in the group before.
    already: u64,
    /// That are in as many groups as a device may be in.
    exceeding: u64,
    /// That there are not.
    unknown: u64,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self {
            id: group.id,
            name: group.name,
            description: group.description,
            within: group.parent,
            tags: group.tags,
            created: time(group.created),
        }
    }
}

async fn any(call: &Call, action: &str, changing: bool) -> Result<Permit, AdminError> {
    call.allow(action, Resource::Any, changing).await
}

/// The devices that are named, each of which the caller may touch.
async fn named(call: &Call, action: &str) -> Result<Vec<DeviceKey>, AdminError> {
    let body: MembersBody = call.read()?;
    let mut keys = Vec::with_capacity(body.devices.len());
    for one in body.devices {
        let key = DeviceKey::parse(&one.product, &one.device)?;
        let resource = Resource::Device(key.clone());
        call.allow(action, resource, true).await?;
        keys.push(key);
    }
    Ok(keys)
}

fn moved(asked: usize, moved: Moved) -> MovedView {
    MovedView {
        moved: moved.done,
        already: moved.already,
        exceeding: moved.exceeding,
        unknown: (asked as u64).saturating_sub(moved.valid),
    }
}

/// Makes a group of devices.
#[utoipa::path(post, path = "/groups", tag = "group", request_body = NewGroupBody,
    responses((status = 201, body = GroupView), (status = "4XX", body = ErrorView)))]
pub(super) async fn create(call: Call) -> Result<(StatusCode, Json<GroupView>), AdminError> {
    let permit = any(&call, "iot:CreateDeviceGroup", true).await?;
    let body: NewGroupBody = call.read()?;
    let hub = &call.admin.hub;
    let made = hub
        .group_create(
            &permit,
            &body.name,
            &body.description,
            body.within.as_deref(),
        )
        .await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists groups, newest first.
#[utoipa::path(get, path = "/groups", tag = "group", params(GroupQuery),
    responses((status = 200, body = GroupPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(call: Call) -> Answer<GroupPage> {
    let permit = any(&call, "iot:QueryDeviceGroupList", false).await?;
    let query: GroupQuery = call.query()?;
    let most = query.most.unwrap_or(50);
    if !(1..=200).contains(&most) {
        return Err(AdminError::bad_request("most is 1 to 200"));
    }
    let hub = &call.admin.hub;
    let found = hub
        .group_list(&permit, query.within.as_deref(), &query.name)
        .await?;
    let total = found.len() as u64;
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let items = found.into_iter().skip(skip).take(most);
    Ok(Json(GroupPage {
        items: items.map(Into::into).collect(),
        total,
    }))
}

/// Shows a group and how many devices it has.
#[utoipa::path(get, path = "/groups/{group}", tag = "group", params(("group" = String, Path)),
    responses((status = 200, body = GroupShown), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(group): Path<String>, call: Call) -> Answer<GroupShown> {
    let permit = any(&call, "iot:QueryDeviceGroupInfo", false).await?;
    let hub = &call.admin.hub;
    let found = hub.group_find(&permit, &group).await?;
    let count = hub.group_count(&permit, &group).await?;
    Ok(Json(GroupShown {
        group: found.into(),
        devices: count.devices,
        active: count.active,
        online: count.online,
    }))
}

/// Gives a group another description or other tags.
#[utoipa::path(post, path = "/groups/{group}", tag = "group", params(("group" = String, Path)),
    request_body = GroupBody,
    responses((status = 200, body = GroupView), (status = "4XX", body = ErrorView)))]
pub(super) async fn change(Path(group): Path<String>, call: Call) -> Answer<GroupView> {
    let permit = any(&call, "iot:UpdateDeviceGroup", true).await?;
    let body: GroupBody = call.read()?;
    let hub = &call.admin.hub;
    let mut changed = None;
    if let Some(text) = &body.description {
        changed = Some(hub.group_describe(&permit, &group, text).await?);
    }
    if let Some(tags) = &body.tags {
        changed = Some(hub.group_tag(&permit, &group, tags).await?);
    }
    let nothing = || AdminError::bad_request("give a description or tags");
    Ok(Json(changed.ok_or_else(nothing)?.into()))
}

/// Removes a group in which no other lies; its devices stay.
#[utoipa::path(delete, path = "/groups/{group}", tag = "group", params(("group" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn delete(
    Path(group): Path<String>,
    call: Call,
) -> Result<StatusCode, AdminError> {
    let permit = any(&call, "iot:DeleteDeviceGroup", true).await?;
    call.admin.hub.group_delete(&permit, &group).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the devices of a group.
#[utoipa::path(get, path = "/groups/{group}/devices", tag = "group",
    params(("group" = String, Path), PageQuery),
    responses((status = 200, body = MemberPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn devices(Path(group): Path<String>, call: Call) -> Answer<MemberPage> {
    let permit = any(&call, "iot:QueryDeviceListByDeviceGroup", false).await?;
    let (skip, most) = call.query::<PageQuery>()?.bounds()?;
    let hub = &call.admin.hub;
    let (found, total) = hub.group_devices(&permit, &group, skip, most).await?;
    let mut items = Vec::with_capacity(found.len());
    for device in found {
        // One that is deleted meanwhile is left out.
        if let Ok(seen) = hub.device_find(&permit, &device.key).await {
            items.push((&seen).into());
        }
    }
    Ok(Json(MemberPage { items, total }))
}

/// Adds devices to a group.
#[utoipa::path(post, path = "/groups/{group}/devices", tag = "group",
    params(("group" = String, Path)), request_body = MembersBody,
    responses((status = 200, body = MovedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn add(Path(group): Path<String>, call: Call) -> Answer<MovedView> {
    let action = "iot:BatchAddDeviceGroupRelations";
    let permit = any(&call, action, true).await?;
    let keys = named(&call, action).await?;
    let done = call.admin.hub.group_add(&permit, &group, &keys).await?;
    Ok(Json(moved(keys.len(), done)))
}

/// Removes devices from a group.
#[utoipa::path(post, path = "/groups/{group}/devices/remove", tag = "group",
    params(("group" = String, Path)), request_body = MembersBody,
    responses((status = 200, body = MovedView), (status = "4XX", body = ErrorView)))]
pub(super) async fn remove(Path(group): Path<String>, call: Call) -> Answer<MovedView> {
    let action = "iot:BatchDeleteDeviceGroupRelations";
    let permit = any(&call, action, true).await?;
    let keys = named(&call, action).await?;
    let done = call.admin.hub.group_remove(&permit, &group, &keys).await?;
    Ok(Json(moved(keys.len(), done)))
}
