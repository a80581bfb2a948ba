//! OTA jobs and their tasks (spec/cloud-api.md §2, OTA). A job is a campaign.

use super::{
    Action, Answer, Ask, Refusal, device_key, fields, firmware,
    group::only_static,
    nothing,
    page::Sheet,
    parameter::{
        DEVICE_NAME, IOT_ID, PRODUCT_KEY, Parameter, Record, boolean, integer, list, records, text,
    },
    time::utc,
};
use crate::{
    codes::business::{Business, Family},
    pop::upload,
};
use hub::{
    account::Permit,
    ota::{
        Campaign, CampaignKind, CampaignState, NewCampaign, OPEN, Retry, Select, Task, TaskState,
    },
};
use model::{
    account::Resource,
    id::{BadId, DeviceName, ProductKey, Time},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const JOB: Parameter = text("JobId");
const FIRMWARE: Parameter = text("FirmwareId");
/// The vendor's fields of a tag.
const TAG: &[&str] = &["Key", "Value"];

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "CreateOTAVerifyJob",
        Family::Firmware,
        &[
            FIRMWARE.needed(),
            PRODUCT_KEY.needed(),
            list("TargetDeviceName", 10).needed(),
            integer("TimeoutInMinutes"),
            boolean("NeedPush"),
            boolean("NeedConfirm"),
            text("DownloadProtocol"),
            records("Tag", TAG, 20),
        ],
        |ask| Box::pin(verify(ask)),
    ),
    Action::changes(
        "CreateOTAStaticUpgradeJob",
        Family::Firmware,
        &[
            FIRMWARE.needed(),
            PRODUCT_KEY.needed(),
            text("TargetSelection").needed(),
            integer("ScheduleTime"),
            integer("RetryInterval"),
            integer("RetryCount"),
            integer("TimeoutInMinutes"),
            integer("MaximumPerMinute"),
            text("GrayPercent"),
            integer("ScheduleFinishTime"),
            integer("OverwriteMode"),
            text("DnListFileUrl"),
            boolean("NeedPush"),
            boolean("NeedConfirm"),
            text("GroupId"),
            text("GroupType"),
            text("DownloadProtocol"),
            boolean("MultiModuleMode"),
            list("SrcVersion", 20),
            list("TargetDeviceName", 200),
            records("Tag", TAG, 20),
        ],
        |ask| Box::pin(batch(ask)),
    ),
    Action::changes(
        "CreateOTADynamicUpgradeJob",
        Family::Firmware,
        &[
            FIRMWARE.needed(),
            PRODUCT_KEY.needed(),
            integer("RetryInterval"),
            integer("RetryCount"),
            integer("TimeoutInMinutes"),
            integer("MaximumPerMinute"),
            integer("OverwriteMode"),
            integer("DynamicMode"),
            boolean("NeedPush"),
            boolean("NeedConfirm"),
            text("GroupId"),
            text("GroupType"),
            text("DownloadProtocol"),
            boolean("MultiModuleMode"),
            list("SrcVersion", 50),
            records("Tag", TAG, 10),
        ],
        |ask| Box::pin(dynamic(ask)),
    ),
    Action::reads("QueryOTAJob", Family::Firmware, &[JOB.needed()], |ask| {
        Box::pin(query(ask))
    }),
    Action::changes(
        "UpdateOTAJob",
        Family::Firmware,
        &[
            integer("MaximumPerMinute").needed(),
            JOB.needed(),
            text("UpgradeType").needed(),
            text("TargetSelection").needed(),
            integer("TimeoutInMinutes"),
            list("SrcVersionList", 30),
            records("Tags", TAG, 10),
        ],
        |ask| Box::pin(update(ask)),
    ),
    Action::reads(
        "ListOTAJobByFirmware",
        Family::Firmware,
        &[
            FIRMWARE.needed(),
            integer("PageSize").needed(),
            integer("CurrentPage").needed(),
        ],
        |ask| Box::pin(by_firmware(ask)),
    ),
    Action::reads(
        "ListOTAJobByDevice",
        Family::Firmware,
        &[
            FIRMWARE.needed(),
            integer("PageSize").needed(),
            PRODUCT_KEY.needed(),
            DEVICE_NAME.needed(),
            integer("CurrentPage").needed(),
        ],
        |ask| Box::pin(by_device(ask)),
    ),
    Action::reads(
        "ListOTATaskByJob",
        Family::Firmware,
        &[
            JOB.needed(),
            integer("PageSize"),
            text("TaskStatus"),
            integer("CurrentPage"),
            list("DeviceNames", 50),
        ],
        |ask| Box::pin(tasks(ask)),
    ),
    Action::reads(
        "ListOTAUnfinishedTaskByDevice",
        Family::Firmware,
        &[
            text("ModuleName"),
            PRODUCT_KEY,
            DEVICE_NAME,
            text("TaskStatus"),
            IOT_ID,
            list("TaskStatusList", 4),
        ],
        |ask| Box::pin(unfinished(ask)),
    ),
    Action::changes(
        "CancelOTATaskByJob",
        Family::Firmware,
        &[
            JOB.needed(),
            boolean("CancelScheduledTask"),
            boolean("CancelQueuedTask"),
            boolean("CancelInProgressTask"),
            boolean("CancelNotifiedTask"),
            boolean("CancelUnconfirmedTask"),
        ],
        |ask| Box::pin(cancel(ask)),
    ),
    Action::changes(
        "CancelOTATaskByDevice",
        Family::Firmware,
        &[
            FIRMWARE.needed(),
            PRODUCT_KEY.needed(),
            list("DeviceName", 200).needed(),
            JOB,
        ],
        |ask| Box::pin(cancel_devices(ask)),
    ),
    Action::changes(
        "CancelOTAStrategyByJob",
        Family::Firmware,
        &[JOB.needed()],
        |ask| Box::pin(no_more(ask)),
    ),
    Action::changes(
        "ConfirmOTATask",
        Family::Firmware,
        &[list("TaskId", 10).needed()],
        |ask| Box::pin(confirm(ask)),
    ),
    Action::changes(
        "ReupgradeOTATask",
        Family::Firmware,
        &[JOB.needed(), list("TaskId", 10).needed()],
        |ask| Box::pin(again(ask)),
    ),
];

/// A permit for a job, by its product.
async fn permit(ask: &Ask<'_>, id: &str) -> Result<Permit, Refusal> {
    let resource = ask.hub.campaign_resource(id).await?;
    ask.allow(&resource).await
}

fn whole(given: Option<i64>, what: &str) -> Result<Option<u32>, Business> {
    let read = given.map(u32::try_from).transpose();
    read.map_err(|_| Business::illegal(format!("{what} is not a number that can be")))
}

/// What all kinds of jobs have in common.
fn common(ask: &Ask<'_>, product: ProductKey, kind: CampaignKind) -> Result<NewCampaign, Business> {
    let params = &ask.params;
    let mut new = NewCampaign::of(params.needed("FirmwareId"), product, kind);
    new.timeout = whole(params.integer("TimeoutInMinutes"), "TimeoutInMinutes")?;
    new.push = params.boolean("NeedPush").unwrap_or(true);
    new.confirm = params.boolean("NeedConfirm").unwrap_or(false);
    new.over_mqtt = match params.text("DownloadProtocol") {
        None => false,
        Some(name) if name.eq_ignore_ascii_case("HTTPS") => false,
        Some(name) if name.eq_ignore_ascii_case("MQTT") => true,
        Some(_) => return Err(Business::illegal("DownloadProtocol is HTTPS or MQTT")),
    };
    new.tags = params.records("Tag").iter().map(tag).collect();
    Ok(new)
}

fn tag(record: &Record<'_>) -> (String, String) {
    let field = |name| record.get(name).copied().unwrap_or_default().to_owned();
    (field("Key"), field("Value"))
}

/// What batch jobs have in common.
fn paced(ask: &Ask<'_>, new: &mut NewCampaign) -> Result<(), Business> {
    let params = &ask.params;
    new.rate = whole(params.integer("MaximumPerMinute"), "MaximumPerMinute")?;
    let minutes = whole(params.integer("RetryInterval"), "RetryInterval")?;
    let times = whole(params.integer("RetryCount"), "RetryCount")?;
    new.retry = match (minutes, times) {
        (None, None) => None,
        (minutes, times) => Some(Retry {
            minutes: minutes.unwrap_or(0),
            times: times.unwrap_or(1),
        }),
    };
    new.overrides = match params.integer("OverwriteMode") {
        None | Some(1) => false,
        Some(2) => true,
        Some(_) => return Err(Business::illegal("OverwriteMode is 1 (no) or 2 (yes)")),
    };
    new.multi_module = params.boolean("MultiModuleMode").unwrap_or(false);
    let versions = params.list("SrcVersion").iter().map(ToString::to_string);
    new.versions.one_of = versions.collect();
    Ok(())
}

fn names(given: &[&str]) -> Result<BTreeSet<DeviceName>, Business> {
    let read: Result<_, BadId> = given.iter().map(|name| DeviceName::parse(name)).collect();
    read.map_err(|bad| Business::new("iot.device.InvalidFormattedDeviceName", bad.to_string()))
}

async fn made(ask: &Ask<'_>, permit: &Permit, new: NewCampaign) -> Answer {
    let campaign = ask.hub.campaign_create(permit, new).await?;
    fields(json!({ "Data": {
        "JobId": campaign.id,
        "UtcCreate": utc(Some(campaign.created)),
    }}))
}

async fn verify(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let mut new = common(ask, product, CampaignKind::Verify)?;
    new.select = Select::Names(names(ask.params.list("TargetDeviceName"))?);
    made(ask, &permit, new).await
}

async fn batch(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let params = &ask.params;
    let mut new = common(ask, product, CampaignKind::Static)?;
    paced(ask, &mut new)?;
    new.start = params.integer("ScheduleTime").map(Time);
    new.end = params.integer("ScheduleFinishTime").map(Time);
    new.select = match params.needed("TargetSelection") {
        "ALL" => Select::All,
        "SPECIFIC" => Select::Names(match params.text("DnListFileUrl") {
            None => names(params.list("TargetDeviceName"))?,
            Some(url) => {
                let key = upload::key(url).ok_or_else(|| {
                    Business::illegal(
                        "DnListFileUrl is the address that GenerateDeviceNameListURL gave",
                    )
                })?;
                let text = ask.hub.upload_text(&permit, key).await?;
                let lines: Vec<&str> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .collect();
                names(&lines)?
            }
        }),
        "GRAY" => {
            let percent: f64 = params
                .text("GrayPercent")
                .and_then(|text| text.trim_end_matches('%').parse().ok())
                .ok_or_else(|| Business::illegal("GrayPercent is a percentage such as 10.5"))?;
            // What is not a share becomes 0, which is refused.
            Select::Gray((percent * 100.0).round().clamp(0.0, 10_001.0) as u32)
        }
        "GROUP" => {
            only_static(params.text("GroupType"))?;
            Select::Group(params.text("GroupId").unwrap_or_default().to_owned())
        }
        _ => {
            let text = "TargetSelection is ALL, SPECIFIC, GRAY or GROUP";
            return Err(Business::illegal(text).into());
        }
    };
    made(ask, &permit, new).await
}

async fn dynamic(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let mut new = common(ask, product, CampaignKind::Dynamic)?;
    paced(ask, &mut new)?;
    new.only_later = match ask.params.integer("DynamicMode") {
        None | Some(1) => false,
        Some(2) => true,
        Some(_) => {
            let text = "DynamicMode is 1 (these devices and later ones) or 2 (later ones)";
            return Err(Business::illegal(text).into());
        }
    };
    if let Some(group) = ask.params.text("GroupId") {
        only_static(ask.params.text("GroupType"))?;
        new.select = Select::Group(group.to_owned());
    }
    made(ask, &permit, new).await
}

fn job_status(state: &CampaignState) -> &'static str {
    match state {
        CampaignState::Planned => "PLANNED",
        CampaignState::Running => "IN_PROGRESS",
        CampaignState::Completed => "COMPLETED",
        CampaignState::Canceled | CampaignState::Stopped(_) => "CANCELED",
    }
}

fn job(campaign: &Campaign) -> Map<String, Value> {
    let tags: Vec<Value> = campaign
        .tags
        .iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    let shown = json!({
        "JobId": campaign.id,
        "FirmwareId": campaign.firmware,
        "ProductKey": campaign.product,
        "JobStatus": job_status(&campaign.state),
        "JobType": match campaign.kind {
            CampaignKind::Verify => "VERIFY_FIRMWARE",
            CampaignKind::Static | CampaignKind::Dynamic => "UPGRADE_FIRMWARE",
        },
        "SelectionType": match campaign.kind {
            CampaignKind::Verify | CampaignKind::Static => "STATIC",
            CampaignKind::Dynamic => "DYNAMIC",
        },
        "TargetSelection": match campaign.select {
            Select::All | Select::Tags(_) => "ALL",
            Select::Names(_) => "SPECIFIC",
            Select::Gray(_) => "GRAY",
            Select::Group(_) => "GROUP",
        },
        "UtcCreate": utc(Some(campaign.created)),
        "UtcModified": utc(Some(campaign.modified)),
        "UtcStartTime": utc(campaign.started),
        "UtcEndTime": utc(campaign.ended),
        "Tags": { "OtaTagDTO": tags },
    });
    match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    }
}

async fn query(ask: &Ask<'_>) -> Answer {
    let id = ask.params.needed("JobId");
    let permit = permit(ask, id).await?;
    let campaign = ask.hub.campaign_find(&permit, id).await?.campaign;
    let mut data = job(&campaign);
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            data.insert(name.to_owned(), value);
        }
    };
    add("Name", json!(campaign.id));
    add("DestVersion", json!(campaign.version));
    add("RetryInterval", json!(campaign.retry.map(|r| r.minutes)));
    add("RetryCount", json!(campaign.retry.map(|r| r.times)));
    add("TimeoutInMinutes", json!(campaign.timeout));
    add("MaximumPerMinute", json!(campaign.rate));
    add("OverwriteMode", json!(i32::from(campaign.overrides) + 1));
    add("NeedPush", json!(campaign.push));
    add("NeedConfirm", json!(campaign.confirm));
    add("MultiModuleMode", json!(campaign.multi_module));
    let protocol = if campaign.over_mqtt { "MQTT" } else { "HTTPS" };
    add("DownloadProtocol", json!(protocol));
    add("UtcScheduleTime", json!(utc(campaign.start)));
    add("UtcScheduleFinishTime", json!(utc(campaign.end)));
    if campaign.kind == CampaignKind::Dynamic {
        add("DynamicMode", json!(i32::from(campaign.only_later) + 1));
    }
    if let CampaignState::Stopped(why) = &campaign.state {
        add("JobDesc", json!(why));
    }
    match &campaign.select {
        Select::Gray(parts) => add("GrayPercent", json!(percent(*parts))),
        Select::Group(group) => add("GroupId", json!(group)),
        Select::All | Select::Names(_) | Select::Tags(_) => {}
    }
    let versions = json!({ "SrcVersion": campaign.versions.one_of });
    add("SrcVersions", versions);
    fields(json!({ "Data": data }))
}

fn percent(parts: u32) -> String {
    format!("{}.{:02}", parts / 100, parts % 100)
}

async fn update(ask: &Ask<'_>) -> Answer {
    let params = &ask.params;
    let id = params.needed("JobId");
    let permit = permit(ask, id).await?;
    if !params.list("SrcVersionList").is_empty() || !params.records("Tags").is_empty() {
        let text = "of a job, MaximumPerMinute and TimeoutInMinutes change; for other versions or tags make a new one";
        return Err(Business::illegal(text).into());
    }
    let rate = whole(params.integer("MaximumPerMinute"), "MaximumPerMinute")?;
    let timeout = whole(params.integer("TimeoutInMinutes"), "TimeoutInMinutes")?;
    ask.hub.campaign_pace(&permit, id, rate, timeout).await?;
    nothing()
}

fn page_of(sheet: Sheet, total: u64, kind: &str, rows: &[Value]) -> Answer {
    fields(json!({
        "CurrentPage": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "Data": { kind: rows },
    }))
}

fn jobs(sheet: Sheet, all: Vec<Campaign>) -> Answer {
    let total = all.len() as u64;
    let rows: Vec<_> = sheet
        .cut(all)
        .iter()
        .map(|one| Value::Object(job(one)))
        .collect();
    page_of(sheet, total, "SimpleOTAJobInfo", &rows)
}

async fn by_firmware(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 200)?;
    let id = ask.params.needed("FirmwareId");
    let permit = firmware::permit(ask, id).await?;
    let all = ask.hub.campaign_list(&permit, Some(id)).await?;
    jobs(sheet, all)
}

async fn by_device(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 200)?;
    let (permit, product) = ask.product().await?;
    let key = device_key(&product, ask.params.text("DeviceName"))?;
    let id = ask.params.needed("FirmwareId");
    let found = ask.hub.campaigns_of_device(&permit, &key).await?;
    let of = found.into_iter().map(|(campaign, _)| campaign);
    let all = of.filter(|campaign| campaign.firmware == id).collect();
    jobs(sheet, all)
}

/// The vendor's words for states; several of ours have one.
fn states(word: &str) -> Result<&'static [TaskState], Business> {
    Ok(match word {
        "CONFIRM" => &[TaskState::Confirm],
        "QUEUED" => &[TaskState::Queued, TaskState::Away, TaskState::Waiting],
        "NOTIFIED" => &[TaskState::Notified],
        "IN_PROGRESS" => &[TaskState::InProgress],
        "SUCCEEDED" => &[TaskState::Succeeded],
        "FAILED" => &[TaskState::Failed],
        "CANCELED" => &[TaskState::Canceled],
        _ => {
            let text = "TaskStatus is CONFIRM, QUEUED, NOTIFIED, IN_PROGRESS, SUCCEEDED, FAILED or CANCELED";
            return Err(Business::illegal(text));
        }
    })
}

fn word(state: TaskState) -> &'static str {
    match state {
        TaskState::Confirm => "CONFIRM",
        TaskState::Queued | TaskState::Away | TaskState::Waiting => "QUEUED",
        TaskState::Notified => "NOTIFIED",
        TaskState::InProgress => "IN_PROGRESS",
        TaskState::Succeeded => "SUCCEEDED",
        TaskState::Failed => "FAILED",
        TaskState::Canceled => "CANCELED",
    }
}

fn task(task: &Task, product: &str) -> Value {
    json!({
        "TaskId": task.id(),
        "JobId": task.campaign,
        "FirmwareId": task.firmware,
        "ProductKey": task.device.product,
        "ProductName": product,
        "DeviceName": task.device.name,
        "IotId": task.iot_id,
        "ModuleName": task.module,
        "SrcVersion": task.from,
        "DestVersion": task.version,
        "TaskStatus": word(task.state),
        "TaskDesc": task.why,
        "Progress": task.step.to_string(),
        "UtcCreate": utc(Some(task.created)),
        "UtcModified": utc(Some(task.modified)),
    })
}

async fn product_name(ask: &Ask<'_>, permit: &Permit, key: &ProductKey) -> String {
    let found = ask.hub.product_find(permit, key).await;
    found.map_or_else(|_| String::new(), |view| view.product.name.clone())
}

async fn tasks(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 200)?;
    let id = ask.params.needed("JobId");
    let permit = permit(ask, id).await?;
    let wanted = match ask.params.text("TaskStatus") {
        Some(word) => states(word)?,
        None => &[],
    };
    let campaign = ask.hub.campaign_find(&permit, id).await?.campaign;
    let named = ask.params.list("DeviceNames");
    let (found, total) = if named.is_empty() {
        ask.hub
            .task_page(&permit, id, wanted, sheet.skip(), sheet.most())
            .await?
    } else {
        let names: Vec<DeviceName> = names(named)?.into_iter().collect();
        let mut all = ask.hub.task_find_many(&permit, id, &names).await?;
        all.retain(|task| wanted.is_empty() || wanted.contains(&task.state));
        let total = all.len() as u64;
        (sheet.cut(all), total)
    };
    let product = product_name(ask, &permit, &campaign.product).await;
    let rows: Vec<Value> = found
        .iter()
        .map(|found| {
            let mut row = task(found, &product);
            row["Timeout"] = json!(campaign.timeout.map_or(String::new(), |t| t.to_string()));
            row
        })
        .collect();
    page_of(sheet, total, "SimpleOTATaskInfo", &rows)
}

async fn unfinished(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.device().await?;
    let params = &ask.params;
    let mut wanted: Vec<TaskState> = Vec::new();
    for word in params
        .text("TaskStatus")
        .iter()
        .chain(params.list("TaskStatusList"))
    {
        wanted.extend(states(word)?);
    }
    if wanted.is_empty() {
        wanted.extend(OPEN);
    }
    let module = params.text("ModuleName");
    let product = product_name(ask, &permit, &key.product).await;
    let found = ask.hub.campaigns_of_device(&permit, &key).await?;
    let rows: Vec<Value> = found
        .iter()
        .map(|(_, task)| task)
        .filter(|task| task.state.is_open() && wanted.contains(&task.state))
        .filter(|task| module.is_none_or(|module| task.module == module))
        .map(|found| task(found, &product))
        .collect();
    fields(json!({ "Data": { "SimpleOTATaskInfo": rows } }))
}

async fn cancel(ask: &Ask<'_>) -> Answer {
    let id = ask.params.needed("JobId");
    let permit = permit(ask, id).await?;
    let says = |name| ask.params.boolean(name).unwrap_or(false);
    let mut closing: Vec<TaskState> = Vec::new();
    if says("CancelQueuedTask") {
        closing.extend(states("QUEUED")?);
    }
    if says("CancelUnconfirmedTask") {
        closing.push(TaskState::Confirm);
    }
    if says("CancelNotifiedTask") {
        closing.push(TaskState::Notified);
    }
    if says("CancelInProgressTask") {
        closing.push(TaskState::InProgress);
    }
    let scheduled = says("CancelScheduledTask");
    if closing.is_empty() && !scheduled {
        let text = "say which tasks are to be called off, such as CancelQueuedTask=true";
        return Err(Business::illegal(text).into());
    }
    let campaign = ask.hub.campaign_find(&permit, id).await?.campaign;
    if scheduled && campaign.state == CampaignState::Planned {
        ask.hub.campaign_cancel(&permit, id, true).await?;
        return nothing();
    }
    // With nothing left that could be told, the job is over.
    if closing.contains(&TaskState::Queued) && campaign.state == CampaignState::Running {
        let told = closing.contains(&TaskState::InProgress);
        if told || campaign.kind == CampaignKind::Static {
            ask.hub.campaign_hold(&permit, id).await?;
        }
    }
    ask.hub.campaign_cancel_tasks(&permit, id, &closing).await?;
    nothing()
}

async fn cancel_devices(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let mut keys = Vec::new();
    for name in ask.params.list("DeviceName") {
        keys.push(device_key(&product, Some(name))?);
    }
    let id = ask.params.needed("FirmwareId");
    let only = ask.params.text("JobId");
    ask.hub
        .campaign_cancel_devices(&permit, id, &keys, only)
        .await?;
    nothing()
}

async fn no_more(ask: &Ask<'_>) -> Answer {
    let id = ask.params.needed("JobId");
    let permit = permit(ask, id).await?;
    ask.hub.campaign_no_more(&permit, id).await?;
    nothing()
}

async fn confirm(ask: &Ask<'_>) -> Answer {
    let ids = ask.params.list("TaskId");
    let resource = match ids.first() {
        Some(id) => ask.hub.campaign_resource(id).await?,
        None => Resource::Any,
    };
    let permit = ask.allow(&resource).await?;
    let products: BTreeMap<&str, ()> = ids
        .iter()
        .map(|id| (id.split('-').next().unwrap_or_default(), ()))
        .collect();
    for id in products.keys() {
        let other = ask.hub.campaign_resource(id).await?;
        ask.allow(&other).await?;
    }
    ask.hub.task_confirm(&permit, ids).await?;
    nothing()
}

async fn again(ask: &Ask<'_>) -> Answer {
    let id = ask.params.needed("JobId");
    let permit = permit(ask, id).await?;
    let ids = ask.params.list("TaskId");
    ask.hub.task_again(&permit, id, ids).await?;
    nothing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_that_finds_it() {
        for state in TaskState::ALL {
            assert!(states(word(state)).unwrap().contains(&state));
        }
        assert!(states("queued").is_err());
        assert_eq!(percent(1_050), "10.50");
    }
}
