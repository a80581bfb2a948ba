//! The walk over campaigns: lets tasks be made, tells devices whose turn it is, ends what is over.
//!
//! [`Hub::ota_run`] walks every second and whenever something changed. Nothing is kept here but
//! how fast each campaign may go on; a server that starts anew goes on where the catalog stands.

use super::{
    campaign::{Campaign, CampaignKind, CampaignState, LIVE},
    choose::Share,
    package::{Package, Verified},
    task::{BY_STATE, BY_TIME, OPEN, Task, TaskState, state_prefix},
};
use crate::{Hub, edge::Session, scan::Verdict};
use futures_util::{StreamExt, stream};
use model::{
    command::Order,
    device::Device,
    error::{DeviceError, Fault},
    firmware::Upgrade,
    id::{IotId, SessionId, Time},
};
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::sync::{Notify, watch};

/// Devices of a product that are looked at in one step.
const PAGE: usize = 1_000;
/// Devices that a campaign without a rate tells in one walk.
const TELL: usize = 500;
/// Devices that are told at the same time.
const BESIDE: usize = 32;
/// Tasks that are due and looked at in one walk.
const DUE: usize = 1_000;
/// How often campaigns are walked over.
const TICK: Duration = Duration::from_secs(1);
/// How often at least walks follow each other while there is much to do.
const REST: Duration = Duration::from_millis(100);
const MINUTE: i64 = 60_000;
/// How long devices have after a start to come back and say what became of them, before one that
/// was told is taken for silent: while the server was away nobody could.
const RETURN: i64 = 2 * MINUTE;
const DAY: i64 = 24 * 60 * MINUTE;

/// How far campaigns are in this process.
#[derive(Default)]
pub(crate) struct Pacer {
    paces: Mutex<HashMap<String, Pace>>,
    /// The connections that handed an upgrade over, of devices that are at one.
    handed: Mutex<HashMap<IotId, SessionId>>,
    /// The connection on which a device with an open task last said which version it has, and the
    /// one that had handed it an upgrade by then.
    reported: Mutex<HashMap<IotId, (SessionId, Option<SessionId>)>>,
    /// When this process first walked.
    since: Mutex<Option<Time>>,
    news: Notify,
}

#[derive(Clone)]
struct Pace {
    /// Devices that may be told now.
    left: f64,
    /// As of when.
    at: Time,
    /// Where the making of tasks is, in the list of the product's devices.
    cursor: u64,
    /// Where it is in the list of a group's or of tagged devices.
    after: Option<String>,
    /// How far the share of a gray campaign is.
    share: Share,
}

impl Pacer {
    /// Something changed; the next walk comes soon.
    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    /// How many devices a campaign may tell at `now`.
    fn allowance(&self, campaign: &Campaign, now: Time) -> usize {
        let Some(rate) = campaign.rate else {
            return TELL;
        };
        let mut paces = self.paces.lock();
        let pace = paces.entry(campaign.id.clone()).or_insert(Pace::new(now));
        let per_milli = f64::from(rate) / MINUTE as f64;
        let passed = now.since(pace.at).max(0) as f64;
        // Never more than a second's worth at once (or one), so that a minute has no more than
        // its number, whenever it begins.
        let most = (per_milli * 1000.0).max(1.0);
        pace.left = (pace.left + passed * per_milli).min(most);
        pace.at = now;
        pace.left.floor() as usize
    }

    fn told(&self, campaign: &str, many: usize) {
        if let Some(pace) = self.paces.lock().get_mut(campaign) {
            pace.left -= many as f64;
        }
    }

    pub(super) fn cursor(&self, campaign: &str, now: Time) -> (u64, Share) {
        let mut paces = self.paces.lock();
        let pace = paces.entry(campaign.to_owned()).or_insert(Pace::new(now));
        (pace.cursor, pace.share)
    }

    pub(super) fn moved(&self, campaign: &str, cursor: u64, share: Share) {
        if let Some(pace) = self.paces.lock().get_mut(campaign) {
            (pace.cursor, pace.share) = (cursor, share);
        }
    }

    /// Whether devices had time to come back since the first walk of this process.
    fn settled(&self, now: Time) -> bool {
        let since = *self.since.lock().get_or_insert(now);
        now.since(since) >= RETURN
    }

    /// Where the making of tasks is in a list of ids.
    pub(super) fn after(&self, campaign: &str, now: Time) -> Option<String> {
        let mut paces = self.paces.lock();
        let pace = paces.entry(campaign.to_owned()).or_insert(Pace::new(now));
        pace.after.clone()
    }

    pub(super) fn went(&self, campaign: &str, after: Option<String>) {
        if let Some(pace) = self.paces.lock().get_mut(campaign) {
            pace.after = after;
        }
    }

    /// A connection hands an upgrade to its device.
    pub(super) fn hands(&self, session: &Session) {
        let mut handed = self.handed.lock();
        handed.insert(session.iot_id.clone(), session.id);
    }

    /// Whether this connection handed an upgrade to its device.
    pub(super) fn handed(&self, session: &Session) -> bool {
        self.handed.lock().get(&session.iot_id) == Some(&session.id)
    }

    /// Whether any connection handed an upgrade to a device that is at one.
    pub(super) fn was_handed(&self, id: &IotId) -> bool {
        self.handed.lock().contains_key(id)
    }

    /// A device with an open task says on this connection which version it has.
    pub(super) fn reports(&self, session: &Session) {
        let id = &session.iot_id;
        let handed = self.handed.lock().get(id).copied();
        let mut reported = self.reported.lock();
        reported.insert(id.clone(), (session.id, handed));
    }

    /// Whether a device that was to be told on the connection `to`, and has the connection `now`,
    /// hears of it on neither: it said on the newer one which version it has, before there was
    /// anything to be told. A device that was told before it said so was looked at when it did.
    fn missed(&self, id: &IotId, to: SessionId, now: SessionId) -> bool {
        if to == now || self.handed.lock().get(id) == Some(&now) {
            return false;
        }
        let reported = self.reported.lock();
        let said = reported.get(id).filter(|(session, _)| *session == now);
        said.is_some_and(|(_, handed)| *handed != Some(to))
    }

    /// A device is at no upgrade any more.
    pub(super) fn over(&self, id: &IotId) {
        self.handed.lock().remove(id);
        self.reported.lock().remove(id);
    }

    fn forget(&self, campaign: &str) {
        self.paces.lock().remove(campaign);
    }
}

impl Pace {
    fn new(at: Time) -> Self {
        Self {
            left: 1.0,
            at,
            cursor: 0,
            after: None,
            share: Share::default(),
        }
    }
}

impl Hub {
    /// Walks over campaigns until it is told to stop.
    pub async fn ota_run(self: std::sync::Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(fault) = self.ota_walk(self.now()).await {
                tracing::warn!(%fault, "campaigns wait; they are looked at again in a second");
                tokio::time::sleep(TICK).await;
            }
            let rest = async {
                tokio::time::sleep(REST).await;
                let _ = tokio::time::timeout(TICK, self.pacer.news.notified()).await;
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = rest => {}
            }
        }
    }

    /// One walk over all campaigns that are not over; does a bounded amount of work for each.
    ///
    /// # Errors
    /// Engine trouble; what was not done is done by a later walk.
    pub async fn ota_walk(&self, now: Time) -> Result<(), Fault> {
        self.ota_due(now).await?;
        let mut after: Option<String> = None;
        loop {
            let catalog = &self.ports.catalog;
            let page = catalog.list(LIVE, "", after.as_deref(), PAGE).await?;
            for entry in &page {
                match self.campaign(&entry.key).await? {
                    Some(campaign) => self.campaign_walk(campaign, now).await?,
                    None => tracing::warn!(campaign = entry.key, "a campaign is not there"),
                }
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(()),
            }
        }
    }

    async fn campaign_walk(&self, campaign: Campaign, now: Time) -> Result<(), Fault> {
        let id = campaign.id.clone();
        if !campaign.state.is_live() {
            if self.campaign_close(&campaign).await? {
                self.pacer.forget(&id);
            }
            return Ok(());
        }
        if campaign.state == CampaignState::Planned && campaign.start.is_some_and(|at| at > now) {
            return Ok(());
        }
        let Some(package) = self.package(&campaign.firmware).await? else {
            return self.campaign_stop(&id, "the package was deleted").await;
        };
        if campaign.state == CampaignState::Planned {
            if let Err(error) = self.campaign_may_start(campaign.kind, &package) {
                return self.campaign_stop(&id, &error.to_string()).await;
            }
            // Until it passes, or somebody signs an exception.
            let excepted = match self.campaign_held(campaign.kind, &package).await? {
                Verdict::Held(_) => return Ok(()),
                Verdict::Passes => None,
                Verdict::Excepted(exception) => Some(exception),
            };
            let begun = self.campaign_change(&id, |campaign| {
                if campaign.state == CampaignState::Planned {
                    campaign.state = CampaignState::Running;
                    campaign.started = Some(now);
                    campaign.excepted.clone_from(&excepted);
                }
            });
            begun.await?;
        }
        if campaign.end.is_some_and(|end| end <= now) {
            let all = OPEN.into_iter().collect();
            self.campaign_over(&id, CampaignState::Completed, all)
                .await?;
            return Ok(());
        }
        if !campaign.made {
            self.campaign_make(&campaign, &package, now).await?;
        }
        if self.campaign_failing(&campaign).await? {
            return Ok(());
        }
        self.campaign_tell(&campaign, &package, now).await?;
        // As it was before this walk: tasks may have been made meanwhile.
        if campaign.made
            && campaign.kind != CampaignKind::Dynamic
            && !self.campaign_has_open(&id).await?
        {
            self.campaign_done(&campaign).await?;
        }
        Ok(())
    }

    async fn campaign_stop(&self, id: &str, why: &str) -> Result<(), Fault> {
        tracing::warn!(campaign = id, why, "a campaign stops");
        let left = OPEN.into_iter().filter(|state| !state.is_told()).collect();
        self.campaign_over(id, CampaignState::Stopped(why.to_owned()), left)
            .await?;
        Ok(())
    }

    async fn campaign_done(&self, campaign: &Campaign) -> Result<(), Fault> {
        if campaign.kind == CampaignKind::Verify {
            let prefix = state_prefix(&campaign.id, TaskState::Succeeded);
            let good = self.ports.catalog.count(BY_STATE, &prefix).await? > 0;
            let verified = match good {
                true => Verified::Yes,
                false => Verified::Failed,
            };
            self.package_verified(&campaign.firmware, verified).await?;
        }
        let none = std::collections::BTreeSet::new();
        self.campaign_over(&campaign.id, CampaignState::Completed, none)
            .await?;
        Ok(())
    }

    /// Whether so much failed that the campaign stopped.
    async fn campaign_failing(&self, campaign: &Campaign) -> Result<bool, Fault> {
        let Some(at) = campaign.stop_at else {
            return Ok(false);
        };
        let count = async |state| {
            let prefix = state_prefix(&campaign.id, state);
            self.ports.catalog.count(BY_STATE, &prefix).await
        };
        let failed = count(TaskState::Failed).await?;
        let done = failed + count(TaskState::Succeeded).await?;
        if failed == 0 || done < at.least || failed * 100 < done * u64::from(at.percent) {
            return Ok(false);
        }
        let why = format!(
            "{failed} of {done} devices failed, which is at least {} percent",
            at.percent
        );
        self.campaign_stop(&campaign.id, &why).await?;
        Ok(true)
    }

    /// Tells the next devices, as many as may be told now.
    async fn campaign_tell(
        &self,
        campaign: &Campaign,
        package: &Package,
        now: Time,
    ) -> Result<(), Fault> {
        let allowed = self.pacer.allowance(campaign, now);
        if allowed == 0 {
            return Ok(());
        }
        let prefix = state_prefix(&campaign.id, TaskState::Queued);
        let mut told = 0;
        let mut after: Option<String> = None;
        // Devices that are away leave the queue without using up the allowance.
        for _ in 0..10 {
            let most = (allowed - told).min(TELL);
            let catalog = &self.ports.catalog;
            let page = catalog
                .list(BY_STATE, &prefix, after.as_deref(), most)
                .await?;
            let full = page.len() == most;
            after = page.last().map(|last| last.key.clone());
            let tasks = page.into_iter().filter_map(|entry| {
                let device = entry.key.rsplit('/').next()?;
                IotId::parse(device).ok()
            });
            let done: Vec<Result<bool, Fault>> = stream::iter(tasks)
                .map(|device| self.task_tell(campaign, package, device))
                .buffer_unordered(BESIDE)
                .collect()
                .await;
            for one in done {
                told += usize::from(one?);
            }
            if told >= allowed || !full {
                break;
            }
        }
        self.pacer.told(&campaign.id, told);
        Ok(())
    }

    /// Tells one device, if it is there; true when it was told.
    async fn task_tell(
        &self,
        campaign: &Campaign,
        package: &Package,
        id: IotId,
    ) -> Result<bool, Fault> {
        let Some(device) = self.ports.devices.find_id(&id).await? else {
            self.task_forget(&campaign.id, &id).await?;
            return Ok(false);
        };
        let presence = &self.ports.presence;
        let decided = self.now();
        let place = presence.find(&id).await?.filter(|_| !device.disabled);
        let Some(place) = place else {
            self.task_change(&campaign.id, &id, |task| {
                let queued = task.state == TaskState::Queued;
                queued.then(|| task.clone().to(TaskState::Away, 0, ""))
            })
            .await?;
            // It may have come, and spoken, between the look and the change.
            if presence.find(&id).await?.is_some() && !device.disabled {
                self.task_back(&campaign.id, &id).await?;
            }
            return Ok(false);
        };
        let due = self.task_deadline(campaign);
        let told = self
            .task_change(&campaign.id, &id, |task| {
                let queued = task.state == TaskState::Queued;
                queued.then(|| Task {
                    attempt: task.attempt + 1,
                    told: 1,
                    session: Some(place.session.0),
                    due,
                    ..task.clone().to(TaskState::Notified, 0, "")
                })
            })
            .await?;
        match told {
            Some(task) => {
                let sent = self.upgrade_send(campaign, package, &device, &task, decided);
                if !sent.await? {
                    return Ok(false);
                }
            }
            None => return Ok(false),
        }
        // On another connection it is not told of this. It is when it says there which version it
        // has; if it did already, its turn comes again.
        let now = presence.find(&id).await?;
        if now.is_some_and(|now| self.pacer.missed(&id, place.session, now.session)) {
            self.task_change(&campaign.id, &id, |task| {
                let untold = task.state == TaskState::Notified
                    && task.session == Some(place.session.0)
                    && task.told == 1;
                untold.then(|| Task {
                    attempt: task.attempt.saturating_sub(1),
                    ..task.clone().to(TaskState::Queued, 0, "")
                })
            })
            .await?;
        }
        Ok(true)
    }

    /// A device that was away is there.
    pub(super) async fn task_back(&self, campaign: &str, id: &IotId) -> Result<(), Fault> {
        self.task_change(campaign, id, |task| {
            let away = task.state == TaskState::Away;
            away.then(|| task.clone().to(TaskState::Queued, 0, ""))
        })
        .await?;
        Ok(())
    }

    pub(super) fn task_deadline(&self, campaign: &Campaign) -> Option<Time> {
        let timeout = campaign.timeout?;
        Some(self.now().plus(i64::from(timeout) * MINUTE))
    }

    /// Hands the upgrade to the connection that the device had when that was `decided`. The task
    /// says that the device was told already: a crash in between is mended by the device's next
    /// report, or by the time-out.
    pub(super) async fn upgrade_send(
        &self,
        campaign: &Campaign,
        package: &Package,
        device: &Device,
        task: &Task,
        decided: Time,
    ) -> Result<bool, Fault> {
        let order = Order::Upgrade(Box::new(upgrade_of(campaign, package)));
        let life = self.now().plus(self.limits.link_life);
        let until = task.due.map_or(life, |due| due.min(life));
        let sent = self.command_send_as_of(device, order, decided, until);
        match sent.await {
            Ok(_) => Ok(true),
            Err(DeviceError::Fault(fault)) => Err(fault),
            Err(error) => {
                let id = &task.iot_id;
                self.task_fail(&campaign.id, id, -1, &error.to_string())
                    .await?;
                Ok(false)
            }
        }
    }

    /// An attempt failed: the task waits for the next one, or is over.
    pub(super) async fn task_fail(
        &self,
        campaign: &str,
        id: &IotId,
        step: i64,
        why: &str,
    ) -> Result<(), Fault> {
        let Some(campaign) = self.campaign(campaign).await? else {
            return Ok(());
        };
        let now = self.now();
        let retry = campaign.retry.filter(|_| campaign.state.is_live());
        self.task_change(&campaign.id, id, |task| {
            if !task.state.is_told() {
                return None;
            }
            let again = retry.filter(|retry| task.attempt <= retry.times);
            Some(match again {
                None => task.clone().to(TaskState::Failed, step, why),
                Some(retry) if retry.minutes == 0 => task.clone().to(TaskState::Queued, step, why),
                Some(retry) => {
                    let doubled = 1_i64 << (task.attempt.clamp(1, 16) - 1);
                    let pause = (i64::from(retry.minutes) * MINUTE * doubled).min(DAY);
                    let mut waiting = task.clone().to(TaskState::Waiting, step, why);
                    waiting.due = Some(now.plus(pause));
                    waiting
                }
            })
        })
        .await?;
        Ok(())
    }

    /// Tasks whose time has come: to be tried again, or to have failed.
    async fn ota_due(&self, now: Time) -> Result<(), Fault> {
        let catalog = &self.ports.catalog;
        let settled = self.pacer.settled(now);
        for entry in catalog.list(BY_TIME, "", None, DUE).await? {
            let mut parts = entry.key.split('/');
            let time = parts.next().and_then(|time| time.parse().ok()).map(Time);
            let campaign = parts.next().unwrap_or_default();
            let id = parts.next().and_then(|id| IotId::parse(id).ok());
            let (Some(time), Some(id)) = (time, id) else {
                continue;
            };
            if time > now {
                break;
            }
            let waited = self
                .task_change(campaign, &id, |task| {
                    let waits = task.state == TaskState::Waiting && task.due == Some(time);
                    waits.then(|| task.clone().to(TaskState::Queued, task.step, &task.why))
                })
                .await?;
            if waited.is_none() && settled {
                self.task_fail(campaign, &id, -1, "the device took too long")
                    .await?;
            }
        }
        Ok(())
    }
}

/// What a device of the campaign is told.
pub(super) fn upgrade_of(campaign: &Campaign, package: &Package) -> Upgrade {
    Upgrade {
        campaign: campaign.id.clone(),
        stream: package.number,
        module: package.module.clone(),
        version: package.version.clone(),
        method: package.method,
        files: package.files.clone(),
        differential: package.differential,
        over_mqtt: campaign.over_mqtt,
        udi: package.udi.clone(),
        tags: campaign.tags.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Stage, claim};
    use credential::Want;
    use model::product::DynamicRegistration;

    /// Issue 4: a device is told on the connection that it has, and once: who comes back meanwhile
    /// has its turn again only when the upgrade reached it on neither connection.
    #[tokio::test]
    async fn who_comes_back_meanwhile_is_told_once() {
        let stage = Stage::set().await;
        let (product, _) = stage.product(DynamicRegistration::Off).await;
        let (device, secret) = stage.device(&product, "dev000").await;
        let online = async || {
            let claim = claim(&device.key, &secret, Want::DeviceSecret);
            stage.hub.device_admit(claim, 0).await.unwrap()
        };
        let (former, now) = (online().await, online().await);
        let id = &former.iot_id;
        let missed = |pacer: &Pacer| pacer.missed(id, former.id, now.id);

        let pacer = Pacer::default();
        assert!(!missed(&pacer), "it has said nothing yet");
        pacer.reports(&former);
        assert!(!missed(&pacer), "it has said nothing there yet");
        pacer.reports(&now);
        assert!(missed(&pacer));
        assert!(!pacer.missed(id, now.id, now.id));
        pacer.hands(&former);
        assert!(missed(&pacer), "nobody reads that any more");
        pacer.hands(&now);
        assert!(!missed(&pacer));

        let pacer = Pacer::default();
        pacer.hands(&former);
        pacer.reports(&now);
        assert!(!missed(&pacer), "it was looked at when it said so");
    }
}
