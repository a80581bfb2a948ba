//! Campaigns: what somebody wants to be done with a package, when, how fast, and when it is enough.

use super::{
    choose::{Select, Versions},
    package::{Package, Verified, id_of},
    task::{BY_DEVICE, BY_STATE, Task, TaskState, state_prefix},
};
use crate::{
    Hub,
    account::Permit,
    document::{busy, put},
    scan::{Exception, Verdict},
};
use model::{
    account::Resource,
    error::{Fault, OtaError},
    id::{AccountId, DeviceKey, ProductKey, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CAMPAIGN: &str = "campaign";
/// Campaigns that are not over.
pub(super) const LIVE: &str = "campaign-live";
/// Campaigns of a package, by `firmware/campaign`.
pub(super) const OF: &str = "campaign-of";
/// Campaigns that take devices that come later, by `product/campaign`.
pub(super) const DYNAMIC: &str = "campaign-dynamic";
/// Names of devices that a campaign is for.
const NAMES: usize = 10_000;
const VERSIONS: usize = 50;
const TAGS: usize = 20;
/// Rows that are taken in one call.
pub(super) const STEP: usize = 500;

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
    /// The exception that let it begin although a policy held its package.
    #[serde(default)]
    pub excepted: Option<Exception>,
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
    /// What of its package keeps it from beginning.
    pub held: Vec<String>,
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

    /// Whether what was found in a package keeps a campaign from its devices.
    /// Trying it on chosen devices is always allowed.
    pub(super) async fn campaign_held(
        &self,
        kind: CampaignKind,
        package: &Package,
    ) -> Result<Verdict, Fault> {
        match kind {
            CampaignKind::Verify => Ok(Verdict::Passes),
            CampaignKind::Static | CampaignKind::Dynamic => self.package_verdict(package).await,
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
        let is_held = matches!(held, Verdict::Held(_));
        let starts = new.start.is_some_and(|start| start > now) || is_held;
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
            excepted: match held {
                Verdict::Excepted(exception) if !starts => Some(exception),
                Verdict::Excepted(_) | Verdict::Passes | Verdict::Held(_) => None,
            },
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

    pub(super) async fn campaign(&self, id: &str) -> Result<Option<Campaign>, Fault> {
        let found = self.document::<Campaign>(CAMPAIGN, id).await?;
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

    pub(super) async fn campaign_owned(
        &self,
        permit: &Permit,
        id: &str,
    ) -> Result<Campaign, OtaError> {
        let found = self.campaign(id).await?;
        found
            .filter(|campaign| campaign.account == *permit.account())
            .ok_or(OtaError::NotFound("campaign"))
    }

    pub(super) async fn campaign_view(&self, campaign: Campaign) -> Result<CampaignView, Fault> {
        let mut counts = BTreeMap::new();
        for state in TaskState::ALL {
            let prefix = state_prefix(&campaign.id, state);
            let count = self.ports.catalog.count(BY_STATE, &prefix).await?;
            if count > 0 {
                counts.insert(state, count);
            }
        }
        let held = match (&campaign.state, self.package(&campaign.firmware).await?) {
            (CampaignState::Planned, Some(package)) => {
                match self.campaign_held(campaign.kind, &package).await? {
                    Verdict::Held(why) => why,
                    Verdict::Passes | Verdict::Excepted(_) => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        Ok(CampaignView {
            campaign,
            counts,
            held,
        })
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
