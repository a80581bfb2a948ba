//! Groups of devices (spec/cloud-api.md §2, "Device groups").

use super::{
    Action, Answer, Ask, Refusal, device_key,
    device_tag::simple,
    fields, nothing,
    page::Sheet,
    parameter::{DEVICE_NAME, PRODUCT_KEY, Parameter, integer, list, records, text},
    product_key, time,
};
use crate::codes::business::{Business, Family};
use hub::group::{AT_ONCE, Group};
use model::id::DeviceKey;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const GROUP: Parameter = text("GroupId").needed();
const KIND: Parameter = text("GroupType");
const DEVICES: Parameter = records("Device", &["ProductKey", "DeviceName"], AT_ONCE);
/// Groups whose devices are named one by one; the vendor's other kind follows a search.
const STATIC: &str = "LINK_PLATFORM";

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "CreateDeviceGroup",
        Family::DeviceChange,
        &[
            text("GroupName").needed(),
            text("SuperGroupId"),
            text("GroupDesc"),
            KIND,
            text("DynamicGroupExpression"),
        ],
        |ask| Box::pin(create(ask)),
    ),
    Action::changes(
        "UpdateDeviceGroup",
        Family::DeviceChange,
        &[GROUP, text("GroupDesc"), KIND],
        |ask| Box::pin(update(ask)),
    ),
    Action::changes(
        "DeleteDeviceGroup",
        Family::DeviceChange,
        &[GROUP, KIND, text("DynamicGroupExpression")],
        |ask| Box::pin(delete(ask)),
    ),
    Action::reads(
        "QueryDeviceGroupInfo",
        Family::DeviceRead,
        &[GROUP, KIND],
        |ask| Box::pin(info(ask)),
    ),
    Action::reads(
        "QueryDeviceGroupList",
        Family::DeviceRead,
        &[
            integer("PageSize"),
            text("SuperGroupId"),
            text("GroupName"),
            integer("CurrentPage"),
            list("GroupTypes", 2),
        ],
        |ask| Box::pin(list_of(ask)),
    ),
    Action::changes(
        "BatchAddDeviceGroupRelations",
        Family::DeviceChange,
        &[GROUP, DEVICES],
        |ask| Box::pin(add(ask)),
    ),
    Action::changes(
        "BatchDeleteDeviceGroupRelations",
        Family::DeviceChange,
        &[GROUP, DEVICES],
        |ask| Box::pin(take(ask)),
    ),
    Action::reads(
        "QueryDeviceListByDeviceGroup",
        Family::DeviceRead,
        &[GROUP, integer("PageSize"), integer("CurrentPage")],
        |ask| Box::pin(devices(ask)),
    ),
    Action::reads(
        "QueryDeviceGroupByDevice",
        Family::DeviceRead,
        &[PRODUCT_KEY.needed(), DEVICE_NAME.needed()],
        |ask| Box::pin(of_device(ask)),
    ),
    Action::changes(
        "SetDeviceGroupTags",
        Family::DeviceChange,
        &[GROUP, text("TagString"), KIND],
        |ask| Box::pin(tag(ask)),
    ),
    Action::reads(
        "QueryDeviceGroupTagList",
        Family::DeviceRead,
        &[GROUP, KIND],
        |ask| Box::pin(tags(ask)),
    ),
    Action::reads(
        "QueryDeviceGroupByTags",
        Family::DeviceRead,
        &[
            integer("CurrentPage"),
            integer("PageSize"),
            records("Tag", &["TagKey", "TagValue"], 10),
        ],
        |ask| Box::pin(by_tags(ask)),
    ),
    Action::reads(
        "QuerySuperDeviceGroup",
        Family::DeviceRead,
        &[GROUP],
        |ask| Box::pin(above(ask)),
    ),
];

/// Refuses groups that follow a search, which there are none of.
pub(super) fn only_static(kind: Option<&str>) -> Result<(), Business> {
    match kind {
        None | Some(STATIC) => Ok(()),
        Some(_) => Err(Business::illegal(
            "GroupType is LINK_PLATFORM; groups that follow a search are not served",
        )),
    }
}

fn shown(group: &Group) -> Value {
    json!({
        "GroupId": group.id,
        "GroupName": group.name,
        "GroupType": STATIC,
        "GroupDesc": group.description,
        "UtcCreate": time::utc(Some(group.created)),
    })
}

async fn create(ask: &Ask<'_>) -> Answer {
    let params = &ask.params;
    only_static(params.text("GroupType"))?;
    let permit = ask.any().await?;
    let (name, parent) = (params.needed("GroupName"), params.text("SuperGroupId"));
    let description = params.text("GroupDesc").unwrap_or_default();
    let made = ask
        .hub
        .group_create(&permit, name, description, parent)
        .await?;
    fields(json!({ "Data": shown(&made) }))
}

async fn update(ask: &Ask<'_>) -> Answer {
    only_static(ask.params.text("GroupType"))?;
    let permit = ask.any().await?;
    let description = ask.params.given_text("GroupDesc").unwrap_or_default();
    ask.hub
        .group_describe(&permit, ask.params.needed("GroupId"), description)
        .await?;
    nothing()
}

async fn delete(ask: &Ask<'_>) -> Answer {
    only_static(ask.params.text("GroupType"))?;
    let permit = ask.any().await?;
    ask.hub
        .group_delete(&permit, ask.params.needed("GroupId"))
        .await?;
    nothing()
}

async fn info(ask: &Ask<'_>) -> Answer {
    only_static(ask.params.text("GroupType"))?;
    let permit = ask.any().await?;
    let id = ask.params.needed("GroupId");
    let group = ask.hub.group_find(&permit, id).await?;
    let count = ask.hub.group_count(&permit, id).await?;
    let mut data = shown(&group);
    data["DeviceCount"] = count.devices.into();
    data["DeviceActive"] = count.active.into();
    data["DeviceOnline"] = count.online.into();
    fields(json!({ "Data": data }))
}

async fn list_of(ask: &Ask<'_>) -> Answer {
    let params = &ask.params;
    let sheet = Sheet::read(params, 10, 200)?;
    let permit = ask.any().await?;
    let part = params.text("GroupName").unwrap_or_default();
    let within = params.text("SuperGroupId");
    let mut found = ask.hub.group_list(&permit, within, part).await?;
    let kinds = params.list("GroupTypes");
    if !kinds.is_empty() && !kinds.contains(&STATIC) {
        found.clear();
    }
    let total = found.len() as u64;
    let rows: Vec<_> = sheet.cut(found).iter().map(shown).collect();
    fields(json!({
        "CurrentPage": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "Data": { "GroupInfo": rows },
    }))
}

/// The devices that are named, each of which the caller may touch.
async fn named(ask: &Ask<'_>) -> Result<Vec<DeviceKey>, Refusal> {
    let mut keys = Vec::new();
    for record in ask.params.records("Device") {
        let field = |name| record.get(name).copied().filter(|text| !text.is_empty());
        let key = device_key(&product_key(field("ProductKey"))?, field("DeviceName"))?;
        ask.permit(&key).await?;
        keys.push(key);
    }
    match keys.is_empty() {
        true => Err(Business::illegal("at least one Device is needed").into()),
        false => Ok(keys),
    }
}

async fn add(ask: &Ask<'_>) -> Answer {
    let permit = ask.any().await?;
    let keys = named(ask).await?;
    let id = ask.params.needed("GroupId");
    let moved = ask.hub.group_add(&permit, id, &keys).await?;
    fields(json!({
        "ValidDeviceCount": moved.valid,
        "SuccessAddedDeviceCount": moved.done,
        "AlreadyRelatedGroupDeviceCount": moved.already,
        "ExceedTenGroupDeviceCount": moved.exceeding,
    }))
}

async fn take(ask: &Ask<'_>) -> Answer {
    let permit = ask.any().await?;
    let keys = named(ask).await?;
    let id = ask.params.needed("GroupId");
    let moved = ask.hub.group_remove(&permit, id, &keys).await?;
    fields(json!({
        "ValidDeviceCount": moved.valid,
        "SuccessDeviceCount": moved.done,
        "AlreadyRelatedGroupDeviceCount": moved.already,
    }))
}

async fn devices(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let permit = ask.any().await?;
    let id = ask.params.needed("GroupId");
    let page = ask
        .hub
        .group_devices(&permit, id, sheet.skip(), sheet.most());
    let (found, total) = page.await?;
    let mut rows = Vec::with_capacity(found.len());
    for device in &found {
        rows.push(simple(ask, device).await?);
    }
    fields(json!({
        "Total": total,
        "Page": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Data": { "SimpleDeviceInfo": rows },
    }))
}

async fn of_device(ask: &Ask<'_>) -> Answer {
    let (permit, device) = ask.named().await?;
    let found = ask.hub.groups_of(&permit, &device).await?;
    let rows: Vec<_> = found.iter().map(shown).collect();
    fields(json!({ "GroupInfos": { "GroupInfo": rows } }))
}

/// A tag in `TagString`; clients write the names of the fields in either way.
#[derive(Deserialize)]
struct Tag {
    #[serde(alias = "TagKey", rename = "tagKey")]
    key: String,
    #[serde(alias = "TagValue", rename = "tagValue")]
    value: String,
}

async fn tag(ask: &Ask<'_>) -> Answer {
    only_static(ask.params.text("GroupType"))?;
    let permit = ask.any().await?;
    let text = ask.params.text("TagString").unwrap_or("[]");
    let tags: Vec<Tag> = serde_json::from_str(text).map_err(|error| {
        Business::illegal(format!(
            "TagString is a JSON list of {{\"tagKey\", \"tagValue\"}}: {error}"
        ))
    })?;
    let tags: BTreeMap<_, _> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    ask.hub
        .group_tag(&permit, ask.params.needed("GroupId"), &tags)
        .await?;
    nothing()
}

async fn tags(ask: &Ask<'_>) -> Answer {
    only_static(ask.params.text("GroupType"))?;
    let permit = ask.any().await?;
    let group = ask
        .hub
        .group_find(&permit, ask.params.needed("GroupId"))
        .await?;
    let rows: Vec<_> = group
        .tags
        .iter()
        .map(|(name, value)| json!({ "TagKey": name, "TagValue": value }))
        .collect();
    fields(json!({ "Data": { "GroupTagInfo": rows } }))
}

/// Groups that bear all of the tags; a tag without a value matches any.
async fn by_tags(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let permit = ask.any().await?;
    let wanted: Vec<_> = ask
        .params
        .records("Tag")
        .iter()
        .map(|tag| {
            let value = tag.get("TagValue").copied();
            let name = tag.get("TagKey").copied().unwrap_or_default();
            (name, value.filter(|value| !value.is_empty()))
        })
        .collect();
    if wanted.is_empty() || wanted.iter().any(|(name, _)| name.is_empty()) {
        return Err(Business::illegal("at least one Tag with a TagKey is needed").into());
    }
    let found = ask.hub.group_tagged(&permit, &wanted).await?;
    let total = found.len() as u64;
    let rows: Vec<_> = sheet
        .cut(found)
        .iter()
        .map(|group| json!({ "GroupId": group.id, "GroupName": group.name }))
        .collect();
    fields(json!({
        "Total": total,
        "Page": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Data": { "DeviceGroup": rows },
    }))
}

/// The group in which this one lies, if there is one.
async fn above(ask: &Ask<'_>) -> Answer {
    let permit = ask.any().await?;
    let group = ask
        .hub
        .group_find(&permit, ask.params.needed("GroupId"))
        .await?;
    let mut rows = Vec::new();
    if let Some(parent) = &group.parent {
        let parent = ask.hub.group_find(&permit, parent).await?;
        rows.push(json!({
            "GroupId": parent.id,
            "GroupName": parent.name,
            "GroupDesc": parent.description,
        }));
    }
    fields(json!({ "Data": { "GroupInfo": rows } }))
}
