//! Campaigns: which devices a package is for, when, how fast, and when it is enough.

use super::{
    package::{Package, Verified, id_of},
    task::{BY_DEVICE, BY_STATE, OPEN, TASK, Task, TaskState, state_prefix, task_key},
};
use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    scan::Verdict,
};
use model::{
    account::Resource,
    error::{Fault, OtaError},
    id::{AccountId, DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CAMPAIGN: &str = "campaign";
/// Campaigns that are not over.
pub(super) const LIVE: &str = "campaign-live";
/// Campaigns of a package, by `firmware/campaign`.
const OF: &str = "campaign-of";
/// Campaigns that take devices that come later, by `product/campaign`.
pub(super) const DYNAMIC: &str = "campaign-dynamic";
/// Names of devices that a campaign is for.
const NAMES: usize = 10_000;
const VERSIONS: usize = 50;
const TAGS: usize = 20;
/// Tasks that are ended in one call.
const STEP: usize = 500;

/// What a campaign is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CampaignKind {
    /// To try a package on chosen devices.
    Verify,
    /// For the devices that there are when it begins.
    Static,
    /// For devices that come later, too.
    Dynamic,
}

/// Where a campaign stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CampaignState {
    /// Its time has not come.
    Planned,
    /// It goes on.
    Running,
    /// All its tasks are over, or its time is.
    Completed,
    /// It was called off.
    Canceled,
    /// It stopped by itself, for this reason.
    Stopped(String),
}

impl CampaignState {
    /// Whether it goes on, or will.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Planned | Self::Running)
    }

    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
            Self::Stopped(_) => "stopped",
        }
    }
}

/// Which devices of the product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// All.
    #[default]
    All,
    /// These.
    Names(BTreeSet<DeviceName>),
    /// So many in ten thousand of all, and at least one.
    Gray(u32),
    /// Those that bear all of these tags.
    Tags(BTreeMap<String, String>),
    /// Those of this group.
    Group(String),
}

/// Which versions a device may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// One of these; any when there are none.
    pub one_of: BTreeSet<String>,
    /// This one or a later one.
    pub least: Option<String>,
    /// One before this.
    pub below: Option<String>,
}

impl Versions {
    /// Whether a device that reported `version` (empty for none) is meant.
    pub fn take(&self, version: &str) -> bool {
        let at_least = |least: &String| version_parts(version) >= version_parts(least);
        let before = |below: &String| version_parts(version) < version_parts(below);
        (self.one_of.is_empty() || self.one_of.contains(version))
            && (version.is_empty() && self.least.is_none() && self.below.is_none()
                || !version.is_empty()
                    && self.least.as_ref().is_none_or(at_least)
                    && self.below.as_ref().is_none_or(before))
    }
}

/// A version as numbers and words that are compared one by one; 1.10 is after 1.9, and 1.2 is
/// before 1.2.1.
fn version_parts(version: &str) -> Vec<(u64, &str)> {
    let parts = version.split(['.', '-', '_', '+']);
    let number = |part: &str| part.trim_start_matches(['v', 'V']).parse::<u64>();
    parts
        .map(|part| number(part).map_or((0, part), |number| (number, "")))
        .collect()
}

/// What becomes of a device on which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it is tried again.
    pub times: u32,
    /// Minutes until the first time; each further time it is twice as long as before, a day at
    /// most. 0 tries again at once.
    pub minutes: u32,
}

/// When too much failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAt {
    /// Percent of the devices that are done, one way or the other.
    pub percent: u32,
    /// Not before so many are done.
    pub least: u64,
}

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub account: AccountId,
    /// The package.
    pub firmware: String,
    /// The product.
    pub product: ProductKey,
    /// The module.
    pub module: String,
    /// The version that devices are to have.
    pub version: String,
    /// What it is for.
    pub kind: CampaignKind,
    /// Which devices.
    pub select: Select,
    /// With which versions.
    pub versions: Versions,
    /// When it begins; at once when that is not said.
    pub start: Option<Time>,
    /// When it ends whatever is left.
    pub end: Option<Time>,
    /// Devices that are told in a minute, at most.
    pub rate: Option<u32>,
    /// What becomes of a device on which it failed.
    pub retry: Option<Retry>,
    /// Minutes from when a device is told to when it has failed.
    pub timeout: Option<u32>,
    /// Whether it takes devices from other campaigns that have not begun with them.
    pub overrides: bool,
    /// Whether devices that there are when it begins are left out (dynamic campaigns).
    pub only_later: bool,
    /// Whether devices are told; else they ask.
    pub push: bool,
    /// Whether somebody must say yes for each device.
    pub confirm: bool,
    /// Whether devices fetch it over MQTT.
    pub over_mqtt: bool,
    /// Whether a device may get several modules at once.
    pub multi_module: bool,
    /// When too much failed.
    pub stop_at: Option<StopAt>,
    /// Handed to devices along with it.
    pub tags: BTreeMap<String, String>,
    /// Where it stands.
    pub state: CampaignState,
    /// Whether tasks were made for all devices that there were.
    pub made: bool,
    /// States whose tasks are to be called off.
    pub closing: BTreeSet<TaskState>,
    /// When it was made.
    pub created: Time,
    /// When it began.
    pub started: Option<Time>,
    /// When it was over.
    pub ended: Option<Time>,
    /// When it last changed.
    pub modified: Time,
}

/// A campaign that is to be made; what is not said is as in `default`.
#[derive(Clone, Debug)]
pub struct NewCampaign {
    /// The package.
    pub firmware: String,
    /// The product.
    pub product: ProductKey,
    /// What it is for.
    pub kind: CampaignKind,
    /// Which devices.
    pub select: Select,
    /// With which versions.
    pub versions: Versions,
    /// When it begins.
    pub start: Option<Time>,
    /// When it ends.
    pub end: Option<Time>,
    /// Devices a minute.
    pub rate: Option<u32>,
    /// What becomes of a device on which it failed.
    pub retry: Option<Retry>,
    /// Minutes.
    pub timeout: Option<u32>,
    /// Whether it takes devices from other campaigns.
    pub overrides: bool,
    /// Whether devices that there are are left out.
    pub only_later: bool,
    /// Whether devices are told.
    pub push: bool,
    /// Whether somebody must say yes.
    pub confirm: bool,
    /// Whether devices fetch it over MQTT.
    pub over_mqtt: bool,
    /// Whether a device may get several modules at once.
    pub multi_module: bool,
    /// When too much failed.
    pub stop_at: Option<StopAt>,
    /// Handed to devices along with it.
    pub tags: BTreeMap<String, String>,
}

impl NewCampaign {
    /// A campaign for all devices of a product, at once and without bounds.
    pub fn of(firmware: &str, product: ProductKey, kind: CampaignKind) -> Self {
        Self {
            firmware: firmware.to_owned(),
            product,
            kind,
            select: Select::All,
            versions: Versions::default(),
            start: None,
            end: None,
            rate: None,
            retry: None,
            timeout: None,
            overrides: false,
            only_later: false,
            push: true,
            confirm: false,
            over_mqtt: false,
            multi_module: false,
            stop_at: None,
            tags: BTreeMap::new(),
        }
    }
}

/// A campaign with how many of its devices stand where.
#[derive(Clone, Debug)]
pub struct CampaignView {
    /// The campaign.
    pub campaign: Campaign,
    /// How many tasks are in which state; states without any are left out.
    pub counts: BTreeMap<TaskState, u64>,
}

impl Hub {
    /// The one place that says whether a campaign may begin with a package. A verification always
    /// may; others need a package that was verified or needs not be. (Whoever wants further
    /// conditions, such as a passed scan, adds them here: it is asked when a campaign is made and
    /// again when it begins.)
    pub(super) fn campaign_may_start(
        &self,
        kind: CampaignKind,
        package: &Package,
    ) -> Result<(), OtaError> {
        match (kind, package.verified) {
            (CampaignKind::Verify, _) | (_, Verified::NotNeeded | Verified::Yes) => Ok(()),
            (
                CampaignKind::Static | CampaignKind::Dynamic,
                Verified::No | Verified::Running | Verified::Failed,
            ) => Err(OtaError::NotVerified),
        }
    }

    /// Why what was found in a package keeps a campaign from its devices; nothing when it does not.
    /// Trying it on chosen devices is always allowed.
    pub(super) async fn campaign_held(
        &self,
        kind: CampaignKind,
        package: &Package,
    ) -> Result<Vec<String>, Fault> {
        match kind {
            CampaignKind::Verify => Ok(Vec::new()),
            CampaignKind::Static | CampaignKind::Dynamic => {
                match self.package_verdict(package).await? {
                    Verdict::Held(why) => Ok(why),
                    Verdict::Passes | Verdict::Excepted(_) => Ok(Vec::new()),
                }
            }
        }
    }

    /// Makes a campaign. It begins at once or at its time; devices are told from then on.
    ///
    /// # Errors
    /// `NotFound`, `NoSuchProduct`, `NoSuchDevice`, `BadRequest`, `NotVerified`, `TooMany`.
    pub async fn campaign_create(
        &self,
        permit: &Permit,
        new: NewCampaign,
    ) -> Result<Campaign, OtaError> {
        let package = self.firmware_find(permit, &new.firmware).await?;
        let product = self.product_owned(permit, &new.product).await?;
        product.ok_or(OtaError::NoSuchProduct)?;
        if package.product.as_ref().is_some_and(|p| *p != new.product) {
            let text = "the package is for another product";
            return Err(OtaError::BadRequest(text.into()));
        }
        let now = self.now();
        check(&new, now)?;
        self.campaign_may_start(new.kind, &package)?;
        if let Select::Names(names) = &new.select {
            for name in names {
                let key = DeviceKey {
                    product: new.product.clone(),
                    name: name.clone(),
                };
                let device = self.device_owned(permit, &key).await;
                device.map_err(|_| OtaError::NoSuchDevice(key.to_string()))?;
            }
        }
        if let Select::Group(group) = &new.select
            && !self.group_is(permit.account(), group).await?
        {
            return Err(OtaError::NotFound("group"));
        }
        let live = self.ports.catalog.count(CAMPAIGN, "").await?;
        if live >= self.limits.campaigns {
            return Err(OtaError::TooMany("campaigns"));
        }
        if new.kind == CampaignKind::Dynamic {
            let others = self.campaigns_of(&package.id).await?;
            let dynamic =
                |other: &Campaign| other.kind == CampaignKind::Dynamic && other.state.is_live();
            if others.iter().any(dynamic) {
                return Err(OtaError::Taken("dynamic campaign of the package"));
            }
        }
        let mut versions = new.versions;
        if package.differential && versions == Versions::default() {
            versions.one_of.insert(package.from.clone());
        }
        let number = self.ports.catalog.next("ota").await?;
        let held = self.campaign_held(new.kind, &package).await?;
        let starts = new.start.is_some_and(|start| start > now) || !held.is_empty();
        let campaign = Campaign {
            id: id_of(number),
            account: permit.account().clone(),
            firmware: package.id.clone(),
            product: new.product,
            module: package.module.clone(),
            version: package.version.clone(),
            kind: new.kind,
            select: new.select,
            versions,
            start: new.start,
            end: new.end,
            rate: new.rate,
            retry: new.retry,
            timeout: new.timeout,
            overrides: new.overrides || new.kind == CampaignKind::Verify,
            only_later: new.only_later,
            push: new.push,
            confirm: new.confirm,
            over_mqtt: new.over_mqtt,
            multi_module: new.multi_module,
            stop_at: new.stop_at,
            tags: new.tags,
            state: match starts {
                true => CampaignState::Planned,
                false => CampaignState::Running,
            },
            made: new.only_later,
            closing: BTreeSet::new(),
            created: now,
            started: (!starts).then_some(now),
            ended: None,
            modified: now,
        };
        let id = campaign.id.clone();
        let of = format!("{}/{id}", package.id);
        let mut puts = vec![
            put(CAMPAIGN, id.clone(), &campaign, Expect::Absent)?,
            put(LIVE, id.clone(), &(), Expect::Absent)?,
            put(OF, of, &(), Expect::Absent)?,
        ];
        if campaign.kind == CampaignKind::Dynamic {
            let key = format!("{}/{id}", campaign.product);
            puts.push(put(DYNAMIC, key, &(), Expect::Absent)?);
        }
        if !self.document_put(puts).await? {
            return Err(busy(CAMPAIGN).into());
        }
        if campaign.kind == CampaignKind::Verify {
            self.package_verified(&package.id, Verified::Running)
                .await?;
        }
        self.pacer.wake();
        Ok(campaign)
    }

    /// A campaign of the caller's account, with how far it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn campaign_find(&self, permit: &Permit, id: &str) -> Result<CampaignView, OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        Ok(self.campaign_view(campaign).await?)
    }

    /// What a policy is asked about for a campaign or one of its tasks, of whatever account: its
    /// product.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn campaign_resource(&self, id: &str) -> Result<Resource, OtaError> {
        let campaign = self.campaign(id.split('-').next().unwrap_or_default());
        let product = campaign.await?.map(|campaign| campaign.product);
        Ok(product.map_or(Resource::Any, Resource::Product))
    }

    /// Campaigns of the caller's account, newest first; of one package when one is named.
    ///
    /// # Errors
    /// `NotFound` for the package.
    pub async fn campaign_list(
        &self,
        permit: &Permit,
        firmware: Option<&str>,
    ) -> Result<Vec<Campaign>, OtaError> {
        let mut all = match firmware {
            Some(firmware) => {
                let package = self.firmware_find(permit, firmware).await?;
                self.campaigns_of(&package.id).await?
            }
            None => self.documents(CAMPAIGN, "").await?,
        };
        all.retain(|campaign| campaign.account == *permit.account());
        all.reverse();
        Ok(all)
    }

    /// Campaigns that have or had a task for a device, newest first.
    ///
    /// # Errors
    /// `NoSuchDevice`.
    pub async fn campaigns_of_device(
        &self,
        permit: &Permit,
        key: &DeviceKey,
    ) -> Result<Vec<(Campaign, Task)>, OtaError> {
        let device = self.device_owned(permit, key).await;
        let device = device.map_err(|_| OtaError::NoSuchDevice(key.to_string()))?;
        let prefix = format!("{}/", device.iot_id);
        let ids: Vec<String> = self.documents(BY_DEVICE, &prefix).await?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids.iter().rev() {
            let campaign = self.campaign(id).await?;
            let task = self.task_find(id, &device.iot_id).await?;
            found.extend(campaign.zip(task));
        }
        Ok(found)
    }

    /// Calls off a campaign: tasks that the device was not told of end, and those that it was told
    /// of as well if `told`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn campaign_cancel(
        &self,
        permit: &Permit,
        id: &str,
        told: bool,
    ) -> Result<CampaignView, OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        let closing: BTreeSet<TaskState> = OPEN
            .into_iter()
            .filter(|state| told || !state.is_told())
            .collect();
        let campaign = self
            .campaign_over(&campaign.id, CampaignState::Canceled, closing)
            .await?
            .ok_or(OtaError::NotFound("campaign"))?;
        self.campaign_close(&campaign).await?;
        Ok(self.campaign_view(campaign).await?)
    }

    /// Makes no further tasks for devices that there were when the campaign began, so that what is
    /// called off now stays so.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn campaign_hold(&self, permit: &Permit, id: &str) -> Result<(), OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        self.campaign_change(&campaign.id, |campaign| campaign.made = true)
            .await?;
        Ok(())
    }

    /// Ends the tasks of a campaign that are in one of these states now; the campaign goes on with
    /// the others.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn campaign_cancel_tasks(
        &self,
        permit: &Permit,
        id: &str,
        states: &[TaskState],
    ) -> Result<(), OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        for state in states {
            while self.tasks_end(&campaign.id, *state, "called off").await? {}
        }
        Ok(())
    }

    /// Lets a dynamic campaign take no more devices; those that it has go on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn campaign_no_more(&self, permit: &Permit, id: &str) -> Result<(), OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        let changed = self.campaign_change(&campaign.id, |campaign| {
            campaign.kind = CampaignKind::Static;
        });
        changed.await?;
        let key = format!("{}/{id}", campaign.product);
        let puts = vec![remove(DYNAMIC, key, Expect::Anything)];
        self.document_put(puts).await?;
        self.pacer.wake();
        Ok(())
    }

    /// Ends the open tasks of some devices for a package, in one campaign or in all.
    ///
    /// # Errors
    /// `NotFound`, `NoSuchDevice`.
    pub async fn campaign_cancel_devices(
        &self,
        permit: &Permit,
        firmware: &str,
        devices: &[DeviceKey],
        only: Option<&str>,
    ) -> Result<(), OtaError> {
        let package = self.firmware_find(permit, firmware).await?;
        for key in devices {
            let found = self.campaigns_of_device(permit, key).await?;
            for (campaign, task) in found {
                if campaign.firmware == package.id && only.is_none_or(|id| id == campaign.id) {
                    self.task_change(&campaign.id, &task.iot_id, |task| {
                        let open = task.state.is_open();
                        open.then(|| {
                            task.clone()
                                .to(TaskState::Canceled, task.step, "called off")
                        })
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Changes how fast a campaign goes and how long a device has, while it goes on.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn campaign_pace(
        &self,
        permit: &Permit,
        id: &str,
        rate: Option<u32>,
        timeout: Option<u32>,
    ) -> Result<Campaign, OtaError> {
        check_rates(rate, timeout)?;
        let campaign = self.campaign_owned(permit, id).await?;
        if !campaign.state.is_live() {
            return Err(OtaError::BadRequest("the campaign is over".into()));
        }
        let changed = self.campaign_change(&campaign.id, |campaign| {
            campaign.rate = rate.or(campaign.rate);
            campaign.timeout = timeout.or(campaign.timeout);
        });
        changed.await?.ok_or(OtaError::NotFound("campaign"))
    }

    /// Tasks of a campaign in the order of their devices' ids, from the `skip`th on: in these
    /// states, where some are named. How many there are in all, too.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn task_page(
        &self,
        permit: &Permit,
        id: &str,
        states: &[TaskState],
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Task>, u64), OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        let prefixes: Vec<(&'static str, String)> = match states {
            [] => vec![(TASK, format!("{}/", campaign.id))],
            some => some
                .iter()
                .map(|state| (BY_STATE, state_prefix(&campaign.id, *state)))
                .collect(),
        };
        let mut total = 0;
        let mut left = skip;
        let mut tasks = Vec::new();
        for (kind, prefix) in prefixes {
            let count = self.ports.catalog.count(kind, &prefix).await?;
            total += count;
            if left >= count {
                left -= count;
                continue;
            }
            let mut after: Option<String> = None;
            while tasks.len() < most {
                let catalog = &self.ports.catalog;
                let page = catalog.list(kind, &prefix, after.as_deref(), STEP).await?;
                for entry in &page {
                    if left > 0 {
                        left -= 1;
                    } else if tasks.len() < most {
                        let device = entry.key.rsplit('/').next().unwrap_or_default();
                        if let Ok(device) = IotId::parse(device) {
                            tasks.extend(self.task_find(&campaign.id, &device).await?);
                        }
                    }
                }
                match page.into_iter().last() {
                    Some(last) => after = Some(last.key),
                    None => break,
                }
            }
        }
        Ok((tasks, total))
    }

    /// Tasks of a campaign for these devices; devices without one are left out.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn task_find_many(
        &self,
        permit: &Permit,
        id: &str,
        names: &[DeviceName],
    ) -> Result<Vec<Task>, OtaError> {
        let campaign = self.campaign_owned(permit, id).await?;
        let mut tasks = Vec::new();
        for name in names {
            let key = DeviceKey {
                product: campaign.product.clone(),
                name: name.clone(),
            };
            if let Some(device) = self.ports.devices.find(&key).await? {
                tasks.extend(self.task_find(&campaign.id, &device.iot_id).await?);
            }
        }
        Ok(tasks)
    }

    /// Says yes to tasks that wait for it.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for one that does not wait for it.
    pub async fn task_confirm(&self, permit: &Permit, ids: &[&str]) -> Result<(), OtaError> {
        for id in ids {
            let (campaign, device) = self.task_owned(permit, id).await?;
            let changed = self
                .task_change(&campaign.id, &device, |task| {
                    let to = match campaign.push {
                        true => TaskState::Queued,
                        false => TaskState::Away,
                    };
                    let waits = task.state == TaskState::Confirm;
                    waits.then(|| task.clone().to(to, 0, ""))
                })
                .await?;
            if changed.is_none() {
                let text = format!("task {id} does not wait to be confirmed");
                return Err(OtaError::BadRequest(text));
            }
        }
        Ok(())
    }

    /// Tries tasks again that failed or were called off; a campaign that was completed goes on
    /// with them.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for one that is not over, or whose campaign was called off.
    pub async fn task_again(
        &self,
        permit: &Permit,
        campaign: &str,
        ids: &[&str],
    ) -> Result<(), OtaError> {
        for id in ids {
            let (of, device) = self.task_owned(permit, id).await?;
            if of.id != campaign {
                return Err(OtaError::NotFound("task in the campaign"));
            }
            if !matches!(of.state, CampaignState::Running | CampaignState::Completed) {
                let text = "the campaign was called off or has not begun";
                return Err(OtaError::BadRequest(text.into()));
            }
            if of.end.is_some_and(|end| end <= self.now()) {
                return Err(OtaError::BadRequest("the campaign's time is over".into()));
            }
            // Live first: an open task of a campaign that nobody looks after would wait for ever.
            self.campaign_reopen(&of.id).await?;
            let changed = self
                .task_change(&of.id, &device, |task| {
                    let over = matches!(task.state, TaskState::Failed | TaskState::Canceled);
                    over.then(|| Task {
                        attempt: 0,
                        ..task.clone().to(TaskState::Queued, 0, "")
                    })
                })
                .await?;
            if changed.is_none() {
                let text = format!("task {id} has not failed");
                return Err(OtaError::BadRequest(text));
            }
        }
        Ok(())
    }

    pub(super) async fn campaign(&self, id: &str) -> Result<Option<Campaign>, Fault> {
        let found = self.document::<Campaign>(CAMPAIGN, id).await?;
        Ok(found.map(|found| found.value))
    }

    pub(super) async fn task_find(
        &self,
        campaign: &str,
        id: &IotId,
    ) -> Result<Option<Task>, Fault> {
        let found = self.document::<Task>(TASK, &task_key(campaign, id)).await?;
        Ok(found.map(|found| found.value))
    }

    /// Campaigns of a package, oldest first.
    pub(super) async fn campaigns_of(&self, firmware: &str) -> Result<Vec<Campaign>, Fault> {
        let prefix = format!("{firmware}/");
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let catalog = &self.ports.catalog;
            let page = catalog.list(OF, &prefix, after.as_deref(), STEP).await?;
            for entry in &page {
                let id = entry.key.trim_start_matches(&prefix);
                found.extend(self.campaign(id).await?);
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(found),
            }
        }
    }

    pub(super) async fn campaign_change(
        &self,
        id: &str,
        change: impl Fn(&mut Campaign) + Send + Sync,
    ) -> Result<Option<Campaign>, Fault> {
        let now = self.now();
        self.document_change::<Campaign>(CAMPAIGN, id, |campaign| {
            change(campaign);
            campaign.modified = now;
        })
        .await
    }

    /// Ends a campaign that is live; tasks of the states `closing` end with it, over time. What it
    /// was already stays.
    pub(super) async fn campaign_over(
        &self,
        id: &str,
        state: CampaignState,
        closing: BTreeSet<TaskState>,
    ) -> Result<Option<Campaign>, Fault> {
        let now = self.now();
        let changed = self.campaign_change(id, |campaign| {
            if campaign.state.is_live() {
                campaign.state = state.clone();
                campaign.ended = Some(now);
            }
            campaign.closing.extend(&closing);
        });
        let Some(campaign) = changed.await? else {
            return Ok(None);
        };
        let key = format!("{}/{id}", campaign.product);
        self.document_put(vec![remove(DYNAMIC, key, Expect::Anything)])
            .await?;
        self.pacer.wake();
        Ok(Some(campaign))
    }

    /// Removes a campaign whose devices are all gone, and their tasks with them.
    pub(super) async fn campaign_remove(&self, campaign: &Campaign) -> Result<(), Fault> {
        let id = &campaign.id;
        let puts = vec![
            remove(LIVE, id.clone(), Expect::Anything),
            remove(
                DYNAMIC,
                format!("{}/{id}", campaign.product),
                Expect::Anything,
            ),
            remove(OF, format!("{}/{id}", campaign.firmware), Expect::Anything),
            remove(CAMPAIGN, id.clone(), Expect::Anything),
        ];
        self.document_put(puts).await?;
        Ok(())
    }

    /// Goes on ending the tasks of a campaign that is over; true when none are left. A campaign
    /// without open tasks leaves the list of those that are looked after.
    pub(super) async fn campaign_close(&self, campaign: &Campaign) -> Result<bool, Fault> {
        for state in &campaign.closing {
            if self.tasks_end(&campaign.id, *state, "called off").await? {
                return Ok(false);
            }
        }
        if self.campaign_has_open(&campaign.id).await? {
            return Ok(false);
        }
        let id = campaign.id.clone();
        self.document_put(vec![remove(LIVE, id, Expect::Anything)])
            .await?;
        Ok(true)
    }

    /// Whether any task of the campaign goes on.
    pub(super) async fn campaign_has_open(&self, id: &str) -> Result<bool, Fault> {
        for state in OPEN {
            let catalog = &self.ports.catalog;
            let prefix = state_prefix(id, state);
            if !catalog.list(BY_STATE, &prefix, None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends some tasks that are in a state; true when there may be more of them.
    async fn tasks_end(&self, id: &str, state: TaskState, why: &str) -> Result<bool, Fault> {
        let catalog = &self.ports.catalog;
        let prefix = state_prefix(id, state);
        let page = catalog.list(BY_STATE, &prefix, None, STEP).await?;
        let many = page.len();
        for entry in page {
            let device = entry.key.rsplit('/').next().unwrap_or_default();
            let Ok(device) = IotId::parse(device) else {
                continue;
            };
            self.task_change(id, &device, |task| {
                let still = task.state == state;
                still.then(|| task.clone().to(TaskState::Canceled, task.step, why))
            })
            .await?;
        }
        Ok(many == STEP)
    }

    async fn campaign_reopen(&self, id: &str) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(found) = self.document::<Campaign>(CAMPAIGN, id).await? else {
                return Ok(());
            };
            let expect = found.expect();
            let mut campaign = found.value;
            campaign.state = CampaignState::Running;
            campaign.ended = None;
            campaign.modified = self.now();
            let puts: Vec<Put> = vec![
                put(CAMPAIGN, id.to_owned(), &campaign, expect)?,
                put(LIVE, id.to_owned(), &(), Expect::Anything)?,
            ];
            if self.document_put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(CAMPAIGN))
    }

    async fn campaign_owned(&self, permit: &Permit, id: &str) -> Result<Campaign, OtaError> {
        let found = self.campaign(id).await?;
        found
            .filter(|campaign| campaign.account == *permit.account())
            .ok_or(OtaError::NotFound("campaign"))
    }

    async fn task_owned(&self, permit: &Permit, id: &str) -> Result<(Campaign, IotId), OtaError> {
        let (campaign, device) = Task::parse_id(id).ok_or(OtaError::NotFound("task"))?;
        let campaign = self.campaign_owned(permit, &campaign).await;
        let campaign = campaign.map_err(|error| match error {
            OtaError::NotFound(_) => OtaError::NotFound("task"),
            other => other,
        })?;
        let task = self.task_find(&campaign.id, &device).await?;
        task.ok_or(OtaError::NotFound("task"))?;
        Ok((campaign, device))
    }

    async fn campaign_view(&self, campaign: Campaign) -> Result<CampaignView, Fault> {
        let mut counts = BTreeMap::new();
        for state in TaskState::ALL {
            let prefix = state_prefix(&campaign.id, state);
            let count = self.ports.catalog.count(BY_STATE, &prefix).await?;
            if count > 0 {
                counts.insert(state, count);
            }
        }
        Ok(CampaignView { campaign, counts })
    }
}

fn check_rates(rate: Option<u32>, timeout: Option<u32>) -> Result<(), OtaError> {
    let bad = |text: &str| Err(OtaError::BadRequest(text.into()));
    if rate.is_some_and(|rate| !(1..=100_000).contains(&rate)) {
        return bad("the rate is 1 to 100000 devices a minute");
    }
    if timeout.is_some_and(|timeout| !(1..=43_200).contains(&timeout)) {
        return bad("the time-out is 1 to 43200 minutes");
    }
    Ok(())
}

fn check(new: &NewCampaign, now: Time) -> Result<(), OtaError> {
    let bad = |text: &str| Err(OtaError::BadRequest(text.into()));
    check_rates(new.rate, new.timeout)?;
    let names = match &new.select {
        Select::Names(names) => names.len(),
        Select::Gray(parts) if !(1..=10_000).contains(parts) => {
            return bad("a gray campaign is for more than 0 and at most 100 percent");
        }
        Select::Tags(tags) if tags.is_empty() || tags.len() > TAGS => {
            return bad("a campaign by tags names 1 to 20 of them");
        }
        Select::All | Select::Gray(_) | Select::Tags(_) | Select::Group(_) => 1,
    };
    if names == 0 || names > NAMES {
        return bad("a campaign names 1 to 10000 devices");
    }
    if new.versions.one_of.len() > VERSIONS {
        return bad("a campaign names at most 50 versions");
    }
    if new.tags.len() > TAGS
        || new
            .tags
            .iter()
            .any(|(key, value)| key.len() > 128 || value.len() > 1_024)
    {
        return bad("a campaign has at most 20 tags, of 128 and 1024 bytes");
    }
    if new
        .retry
        .is_some_and(|retry| retry.times > 10 || retry.minutes > 1_440)
    {
        return bad("a device is tried again at most 10 times, and first within 1440 minutes");
    }
    if new
        .stop_at
        .is_some_and(|at| !(1..=100).contains(&at.percent))
    {
        return bad("a campaign stops at 1 to 100 percent of failures");
    }
    let start = new.start.map_or(now, |start| start.max(now));
    if new.end.is_some_and(|end| end <= start) {
        return bad("the campaign ends before it begins");
    }
    if new.kind == CampaignKind::Verify && !matches!(&new.select, Select::Names(_)) {
        return bad("a verification names its devices");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_part_by_part() {
        for (less, more) in [
            ("1.9", "1.10"),
            ("1.2", "1.2.1"),
            ("v1.0.9", "v1.1.0"),
            ("1.0", "2"),
            ("1.0-rc1", "1.0-rc2"),
        ] {
            assert!(version_parts(less) < version_parts(more), "{less} {more}");
        }
        let versions = Versions {
            one_of: BTreeSet::new(),
            least: Some("1.2".into()),
            below: Some("2.0".into()),
        };
        for (version, taken) in [
            ("1.1.9", false),
            ("1.2", true),
            ("1.10.3", true),
            ("2.0", false),
            ("", false),
        ] {
            assert_eq!(versions.take(version), taken, "{version}");
        }
        assert!(Versions::default().take(""));
        let one = Versions {
            one_of: ["1.0".to_owned()].into(),
            ..Versions::default()
        };
        assert!(one.take("1.0") && !one.take("1.0.0") && !one.take(""));
    }
}
