//! Firmware campaigns and their devices.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    scan::ExceptionView,
    view::{parse_time, time},
};
use axum::{Json, extract::Path, http::StatusCode};
use hub::ota::{
    Campaign, CampaignKind, CampaignState, CampaignView as Seen, NewCampaign, Retry, Select,
    StopAt, Task, TaskState, Versions,
};
use model::{
    account::Resource,
    id::{DeviceName, ProductKey, Time},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{IntoParams, ToSchema};

/// What a campaign is for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// To try the package on named devices.
    Verify,
    /// For the devices that there are.
    #[default]
    Static,
    /// For devices that come later, too.
    Dynamic,
}

/// A campaign that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCampaignBody {
    firmware: String,
    product: String,
    #[serde(default)]
    kind: Kind,
    /// Names of devices; all devices when nothing chooses any.
    #[serde(default)]
    devices: Vec<String>,
    /// A share of all devices, in percent.
    gray_percent: Option<f64>,
    /// Tags that devices bear.
    #[serde(default)]
    device_tags: BTreeMap<String, String>,
    /// A group of devices.
    group: Option<String>,
    /// Only devices with one of these versions.
    #[serde(default)]
    versions: BTreeSet<String>,
    /// Only devices with this version or a later one.
    version_from: Option<String>,
    /// Only devices with a version before this one.
    version_below: Option<String>,
    /// RFC 3339, or milliseconds; at once when it is left out.
    start: Option<String>,
    /// Ends whatever is left then.
    end: Option<String>,
    /// Devices told in a minute, at most.
    per_minute: Option<u32>,
    /// How often a device is tried again.
    retries: Option<u32>,
    /// Minutes until it is tried again for the first time; each further pause is twice as long.
    retry_minutes: Option<u32>,
    /// Minutes until a device that was told has failed.
    timeout_minutes: Option<u32>,
    /// Stops when so many percent of the devices that are done failed.
    stop_percent: Option<u32>,
    /// Not before so many are done; 10 when it is left out.
    stop_least: Option<u64>,
    /// Takes devices from campaigns that have not begun with them.
    #[serde(default)]
    overrides: bool,
    /// Leaves out devices that there are already (dynamic campaigns).
    #[serde(default)]
    only_later: bool,
    /// Tells devices; else they ask. True when it is left out.
    push: Option<bool>,
    /// Waits for a yes for each device.
    #[serde(default)]
    confirm: bool,
    /// Devices fetch it over MQTT.
    #[serde(default)]
    over_mqtt: bool,
    /// Handed to devices along with it.
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// A campaign.
#[derive(Serialize, ToSchema)]
pub(super) struct CampaignView {
    id: String,
    firmware: String,
    product: String,
    module: String,
    version: String,
    kind: Kind,
    /// `planned`, `running`, `completed`, `canceled` or `stopped`.
    state: String,
    /// Why it stopped by itself.
    why: Option<String>,
    /// What of its package keeps it from beginning, where a policy does; left out in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
    /// The exception that let it begin all the same.
    exception: Option<ExceptionView>,
    per_minute: Option<u32>,
    timeout_minutes: Option<u32>,
    start: Option<String>,
    end: Option<String>,
    created: String,
    started: Option<String>,
    ended: Option<String>,
    /// Devices by where they stand; left out in lists.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<String, u64>,
    /// All of them; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl From<&Campaign> for CampaignView {
    fn from(campaign: &Campaign) -> Self {
        Self {
            id: campaign.id.clone(),
            firmware: campaign.firmware.clone(),
            product: campaign.product.to_string(),
            module: campaign.module.clone(),
            version: campaign.version.clone(),
            kind: match campaign.kind {
                CampaignKind::Verify => Kind::Verify,
                CampaignKind::Static => Kind::Static,
                CampaignKind::Dynamic => Kind::Dynamic,
            },
            state: campaign.state.name().to_owned(),
            why: match &campaign.state {
                CampaignState::Stopped(why) => Some(why.clone()),
                CampaignState::Planned
                | CampaignState::Running
                | CampaignState::Completed
                | CampaignState::Canceled => None,
            },
            held: Vec::new(),
            exception: campaign.excepted.clone().map(ExceptionView::from),
            per_minute: campaign.rate,
            timeout_minutes: campaign.timeout,
            start: campaign.start.map(time),
            end: campaign.end.map(time),
            created: time(campaign.created),
            started: campaign.started.map(time),
            ended: campaign.ended.map(time),
            counts: BTreeMap::new(),
            total: None,
        }
    }
}

impl From<&Seen> for CampaignView {
    fn from(seen: &Seen) -> Self {
        let counts = seen.counts.iter();
        Self {
            counts: counts
                .map(|(state, count)| (state.name().to_owned(), *count))
                .collect(),
            total: Some(seen.counts.values().sum()),
            held: seen.held.clone(),
            ..Self::from(&seen.campaign)
        }
    }
}

/// Campaigns, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct CampaignList {
    items: Vec<CampaignView>,
}

/// Of which package.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    firmware: Option<String>,
}

/// A device in a campaign.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskView {
    id: String,
    device: String,
    from: String,
    version: String,
    state: String,
    /// Percent, or the negative number with which it failed.
    step: i64,
    why: String,
    attempt: u32,
    /// When it is tried again, or has failed.
    due: Option<String>,
    modified: String,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        Self {
            id: task.id(),
            device: task.device.name.to_string(),
            from: task.from.clone(),
            version: task.version.clone(),
            state: task.state.name().to_owned(),
            step: task.step,
            why: task.why.clone(),
            attempt: task.attempt,
            due: task.due.map(time),
            modified: time(task.modified),
        }
    }
}

/// Some devices of a campaign, and how many there are.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskPage {
    items: Vec<TaskView>,
    total: u64,
}

/// Which devices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TaskQuery {
    /// Only those that stand here: `confirm`, `queued`, `away`, `waiting`, `notified`,
    /// `in-progress`, `succeeded`, `failed` or `canceled`.
    state: Option<String>,
    #[serde(default)]
    skip: u64,
    /// At most so many; 50 when it is left out, 200 at most.
    most: Option<usize>,
}

/// What is called off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    /// Also for devices that were told of it already.
    #[serde(default)]
    told: bool,
}

/// How fast it goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaceBody {
    per_minute: Option<u32>,
    timeout_minutes: Option<u32>,
}

/// Tasks by their ids.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TasksBody {
    tasks: Vec<String>,
}

fn when(text: Option<&String>) -> Result<Option<Time>, AdminError> {
    text.map(|text| {
        let read = parse_time(text);
        read.ok_or_else(|| AdminError::bad_request(format!("{text:?} is no time")))
    })
    .transpose()
}

fn select(body: &NewCampaignBody) -> Result<Select, AdminError> {
    let mut chosen = Vec::new();
    if !body.devices.is_empty() {
        let names = body.devices.iter().map(|name| DeviceName::parse(name));
        chosen.push(Select::Names(names.collect::<Result<_, _>>()?));
    }
    if let Some(percent) = body.gray_percent {
        // What is not a share becomes 0, which is refused.
        let parts = (percent * 100.0).round().clamp(0.0, 10_001.0) as u32;
        chosen.push(Select::Gray(parts));
    }
    if !body.device_tags.is_empty() {
        chosen.push(Select::Tags(body.device_tags.clone()));
    }
    if let Some(group) = &body.group {
        chosen.push(Select::Group(group.clone()));
    }
    match chosen.len() {
        0 => Ok(Select::All),
        1 => Ok(chosen.remove(0)),
        _ => Err(AdminError::bad_request(
            "choose devices in one way: devices, gray_percent, device_tags or group",
        )),
    }
}

/// Makes a campaign; it begins at once or at its time.
#[utoipa::path(post, path = "/campaigns", tag = "firmware", request_body = NewCampaignBody,
    responses((status = 201, body = CampaignView), (status = "4XX", body = ErrorView)))]
pub(super) async fn create(call: Call) -> Result<(StatusCode, Json<CampaignView>), AdminError> {
    let body: NewCampaignBody = call
        .read_before_right("iot:CreateOTAStaticUpgradeJob")
        .await?;
    let product = ProductKey::parse(&body.product)?;
    let (kind, right) = match body.kind {
        Kind::Verify => (CampaignKind::Verify, "iot:CreateOTAVerifyJob"),
        Kind::Static => (CampaignKind::Static, "iot:CreateOTAStaticUpgradeJob"),
        Kind::Dynamic => (CampaignKind::Dynamic, "iot:CreateOTADynamicUpgradeJob"),
    };
    let permit = call
        .allow(right, Resource::Product(product.clone()), true)
        .await?;
    let mut new = NewCampaign::of(&body.firmware, product, kind);
    new.select = select(&body)?;
    new.start = when(body.start.as_ref())?;
    new.end = when(body.end.as_ref())?;
    new.versions = Versions {
        one_of: body.versions,
        least: body.version_from,
        below: body.version_below,
    };
    new.rate = body.per_minute;
    new.retry = body.retries.map(|times| Retry {
        times,
        minutes: body.retry_minutes.unwrap_or(10),
    });
    new.timeout = body.timeout_minutes;
    new.stop_at = body.stop_percent.map(|percent| StopAt {
        percent,
        least: body.stop_least.unwrap_or(10),
    });
    new.overrides = body.overrides;
    new.only_later = body.only_later;
    new.push = body.push.unwrap_or(true);
    new.confirm = body.confirm;
    new.over_mqtt = body.over_mqtt;
    new.tags = body.tags;
    let campaign = call.admin.hub.campaign_create(&permit, new).await?;
    Ok((StatusCode::CREATED, Json((&campaign).into())))
}

/// Lists campaigns.
#[utoipa::path(get, path = "/campaigns", tag = "firmware", params(ListQuery),
    responses((status = 200, body = CampaignList), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(call: Call) -> Answer<CampaignList> {
    let query: ListQuery = call.query()?;
    let hub = call.admin.hub.clone();
    let resource = match &query.firmware {
        Some(firmware) => hub.firmware_resource(firmware).await?,
        None => Resource::Any,
    };
    let permit = call
        .allow("iot:ListOTAJobByFirmware", resource, false)
        .await?;
    let all = hub
        .campaign_list(&permit, query.firmware.as_deref())
        .await?;
    let items = all.iter().map(CampaignView::from).collect();
    Ok(Json(CampaignList { items }))
}

/// Shows a campaign with how far it is.
#[utoipa::path(get, path = "/campaigns/{campaign}", tag = "firmware", params(("campaign" = String, Path)),
    responses((status = 200, body = CampaignView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(id): Path<String>, call: Call) -> Answer<CampaignView> {
    let hub = call.admin.hub.clone();
    let resource = hub.campaign_resource(&id).await?;
    let permit = call.allow("iot:QueryOTAJob", resource, false).await?;
    let seen = hub.campaign_find(&permit, &id).await?;
    Ok(Json((&seen).into()))
}

/// Lists devices of a campaign.
#[utoipa::path(get, path = "/campaigns/{campaign}/tasks", tag = "firmware",
    params(("campaign" = String, Path), TaskQuery),
    responses((status = 200, body = TaskPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn tasks(Path(id): Path<String>, call: Call) -> Answer<TaskPage> {
    let hub = call.admin.hub.clone();
    let resource = hub.campaign_resource(&id).await?;
    let permit = call.allow("iot:ListOTATaskByJob", resource, false).await?;
    let query: TaskQuery = call.query()?;
    let most = query.most.unwrap_or(50);
    if !(1..=200).contains(&most) {
        return Err(AdminError::bad_request("most is 1 to 200"));
    }
    let states = match &query.state {
        None => Vec::new(),
        Some(name) => {
            let found = TaskState::ALL
                .into_iter()
                .find(|state| state.name() == name);
            let wrong = || AdminError::bad_request(format!("{name:?} is no state"));
            vec![found.ok_or_else(wrong)?]
        }
    };
    let (found, total) = hub
        .task_page(&permit, &id, &states, query.skip, most)
        .await?;
    let items = found.iter().map(TaskView::from).collect();
    Ok(Json(TaskPage { items, total }))
}

/// Calls a campaign off.
#[utoipa::path(post, path = "/campaigns/{campaign}/cancel", tag = "firmware",
    params(("campaign" = String, Path)), request_body = CancelBody,
    responses((status = 200, body = CampaignView), (status = "4XX", body = ErrorView)))]
pub(super) async fn cancel(Path(id): Path<String>, call: Call) -> Answer<CampaignView> {
    let hub = call.admin.hub.clone();
    let resource = hub.campaign_resource(&id).await?;
    let permit = call.allow("iot:CancelOTATaskByJob", resource, true).await?;
    let body: CancelBody = call.read()?;
    let seen = hub.campaign_cancel(&permit, &id, body.told).await?;
    Ok(Json((&seen).into()))
}

/// Changes how fast a campaign goes.
#[utoipa::path(put, path = "/campaigns/{campaign}/pace", tag = "firmware",
    params(("campaign" = String, Path)), request_body = PaceBody,
    responses((status = 200, body = CampaignView), (status = "4XX", body = ErrorView)))]
pub(super) async fn pace(Path(id): Path<String>, call: Call) -> Answer<CampaignView> {
    let hub = call.admin.hub.clone();
    let resource = hub.campaign_resource(&id).await?;
    let permit = call.allow("iot:UpdateOTAJob", resource, true).await?;
    let body: PaceBody = call.read()?;
    let changed = hub
        .campaign_pace(&permit, &id, body.per_minute, body.timeout_minutes)
        .await?;
    Ok(Json((&changed).into()))
}

/// Says yes to devices that wait for it.
#[utoipa::path(post, path = "/campaigns/{campaign}/confirm", tag = "firmware",
    params(("campaign" = String, Path)), request_body = TasksBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn confirm(Path(id): Path<String>, call: Call) -> Result<StatusCode, AdminError> {
    let hub = call.admin.hub.clone();
    let resource = hub.campaign_resource(&id).await?;
    let permit = call.allow("iot:ConfirmOTATask", resource, true).await?;
    let body: TasksBody = call.read()?;
    let ids = of(&id, &body)?;
    hub.task_confirm(&permit, &ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries devices again.
#[utoipa::path(post, path = "/campaigns/{campaign}/again", tag = "firmware",
    params(("campaign" = String, Path)), request_body = TasksBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn again(Path(id): Path<String>, call: Call) -> Result<StatusCode, AdminError> {
    let hub = call.admin.hub.clone();
    let resource = hub.campaign_resource(&id).await?;
    let permit = call.allow("iot:ReupgradeOTATask", resource, true).await?;
    let body: TasksBody = call.read()?;
    let ids = of(&id, &body)?;
    hub.task_again(&permit, &id, &ids).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tasks of this campaign; others would be another permit's.
fn of<'a>(campaign: &str, body: &'a TasksBody) -> Result<Vec<&'a str>, AdminError> {
    let prefix = format!("{campaign}-");
    let ids: Vec<&str> = body.tasks.iter().map(String::as_str).collect();
    match ids.iter().find(|id| !id.starts_with(&prefix)) {
        Some(id) => Err(AdminError::bad_request(format!(
            "{id} is no task of campaign {campaign}"
        ))),
        None => Ok(ids),
    }
}
