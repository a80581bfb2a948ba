//! Tasks: one device in one campaign. Every change of a task goes through [`Hub::task_change`],
//! which rests on what the task was: of two that want to change it, one does.
//!
//! Beside the task stand its places: by state (what a campaign has left to do, and its counts), by
//! time (what is due), by device and module (there is one open task for each), and by device. They
//! change together with the task or not at all.

use super::{campaign::Campaign, package::Package};
use crate::{
    Hub,
    document::{TRIES, busy, put, remove},
};
use model::{
    command::{Answer, Order},
    device::Device,
    error::Fault,
    fact::What,
    id::{DeviceKey, IotId, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tasks, by `campaign/iot_id`.
pub(super) const TASK: &str = "upgrade";
/// By `campaign/state/iot_id`.
pub(super) const BY_STATE: &str = "upgrade-state";
/// By `time/campaign/iot_id`.
pub(super) const BY_TIME: &str = "upgrade-due";
/// The campaign of the open task, by `iot_id/module`.
pub(super) const OPEN_OF: &str = "upgrade-open";
/// By `iot_id/campaign`.
pub(super) const BY_DEVICE: &str = "upgrade-of";
/// Commands of a device that are looked through.
const COMMANDS: usize = 200;
/// Open tasks of one device that are looked at.
const OPEN_MOST: usize = 100;
/// Tasks that are made in one transaction.
const AT_ONCE: usize = 50;

/// Where a device stands in a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Somebody must say yes first.
    Confirm,
    /// Its turn comes.
    Queued,
    /// Its turn was there and the device was not; or the device comes by itself.
    Away,
    /// It failed, and is tried again later.
    Waiting,
    /// The device was told.
    Notified,
    /// The device said that it is at it.
    InProgress,
    /// The device reported the version.
    Succeeded,
    /// It did not, and is not tried again.
    Failed,
    /// It was called off.
    Canceled,
}

/// The states from which a task goes on.
pub const OPEN: [TaskState; 6] = [
    TaskState::Confirm,
    TaskState::Queued,
    TaskState::Away,
    TaskState::Waiting,
    TaskState::Notified,
    TaskState::InProgress,
];

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Confirm,
        Self::Queued,
        Self::Away,
        Self::Waiting,
        Self::Notified,
        Self::InProgress,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Queued => "queued",
            Self::Away => "away",
            Self::Waiting => "waiting",
            Self::Notified => "notified",
            Self::InProgress => "in-progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether a task in it goes on.
    pub fn is_open(self) -> bool {
        OPEN.contains(&self)
    }

    /// Whether the device knows of it.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Notified | Self::InProgress)
    }
}

/// One device in one campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The campaign.
    pub campaign: String,
    /// The package.
    pub firmware: String,
    /// The device.
    pub device: DeviceKey,
    /// The device.
    pub iot_id: IotId,
    /// The module.
    pub module: String,
    /// The version that the device had last said when it was told; empty when it said none.
    pub from: String,
    /// The version that it is to become.
    pub version: String,
    /// Where it stands.
    pub state: TaskState,
    /// Percent, or the negative number with which it failed.
    pub step: i64,
    /// In words.
    pub why: String,
    /// How often it was begun.
    pub attempt: u32,
    /// How often the device was told in this attempt.
    pub told: u32,
    /// The connection that the device had when it was told last.
    pub session: Option<u64>,
    /// When it is tried again (`Waiting`), or has lasted too long (`Notified`, `InProgress`).
    pub due: Option<Time>,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub modified: Time,
}

impl Task {
    /// Its name over all campaigns.
    pub fn id(&self) -> String {
        format!("{}-{}", self.campaign, self.iot_id)
    }

    /// Campaign and device of a name.
    pub(super) fn parse_id(id: &str) -> Option<(String, IotId)> {
        let (campaign, device) = id.split_once('-')?;
        Some((campaign.to_owned(), IotId::parse(device).ok()?))
    }

    /// It stands elsewhere now.
    pub(super) fn to(mut self, state: TaskState, step: i64, why: &str) -> Self {
        self.state = state;
        self.step = step;
        why.clone_into(&mut self.why);
        if !state.is_told() {
            self.due = None;
        }
        self
    }
}

pub(super) fn task_key(campaign: &str, id: &IotId) -> String {
    format!("{campaign}/{id}")
}

pub(super) fn state_prefix(campaign: &str, state: TaskState) -> String {
    format!("{campaign}/{}/", state.name())
}

fn places(task: &Task) -> Vec<(&'static str, String)> {
    let Task {
        campaign, iot_id, ..
    } = task;
    let mut places = vec![
        (
            BY_STATE,
            format!("{}{iot_id}", state_prefix(campaign, task.state)),
        ),
        (BY_DEVICE, format!("{iot_id}/{campaign}")),
    ];
    if let Some(due) = task.due {
        places.push((BY_TIME, format!("{:015}/{campaign}/{iot_id}", due.0)));
    }
    if task.state.is_open() {
        places.push((OPEN_OF, format!("{iot_id}/{}", task.module)));
    }
    places
}

/// What turns `old` into `new`, the places included.
fn turn(old: Option<(&Task, u64)>, new: Option<&Task>) -> Result<Vec<Put>, Fault> {
    let before = old.map_or_else(Vec::new, |(task, _)| places(task));
    let after = new.map_or_else(Vec::new, places);
    let mut puts = Vec::new();
    for (kind, key) in before.iter().filter(|place| !after.contains(place)) {
        puts.push(remove(kind, key.clone(), Expect::Anything));
    }
    for (kind, key) in after.iter().filter(|place| !before.contains(place)) {
        // Nobody else has a task of this device and module open.
        let expect = match *kind {
            OPEN_OF => Expect::Absent,
            _ => Expect::Anything,
        };
        let campaign = new.map_or("", |task| &task.campaign);
        puts.push(put(kind, key.clone(), &campaign, expect)?);
    }
    let expect = old.map_or(Expect::Absent, |(_, version)| Expect::Version(version));
    match (old, new) {
        (_, Some(task)) => {
            let key = task_key(&task.campaign, &task.iot_id);
            puts.push(put(TASK, key, task, expect)?);
        }
        (Some((task, _)), None) => {
            let key = task_key(&task.campaign, &task.iot_id);
            puts.push(remove(TASK, key, expect));
        }
        (None, None) => {}
    }
    Ok(puts)
}

impl Hub {
    /// Changes a task as often as needed for the change to be of what it is. `change` gives none
    /// to leave it as it is; then, and when there is no such task, none is given back.
    pub(super) async fn task_change(
        &self,
        campaign: &str,
        id: &IotId,
        change: impl Fn(&Task) -> Option<Task> + Send + Sync,
    ) -> Result<Option<Task>, Fault> {
        let key = task_key(campaign, id);
        for _ in 0..TRIES {
            let Some(found) = self.document::<Task>(TASK, &key).await? else {
                return Ok(None);
            };
            let old = found.value;
            let Some(mut new) = change(&old) else {
                return Ok(None);
            };
            new.modified = self.now();
            let puts = turn(Some((&old, found.version)), Some(&new))?;
            if self.document_put(puts).await? {
                self.task_moved(&old, &new).await?;
                return Ok(Some(new));
            }
        }
        Err(busy(TASK))
    }

    /// Forgets a task of a device that is gone.
    pub(super) async fn task_forget(&self, campaign: &str, id: &IotId) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let key = task_key(campaign, id);
            let Some(found) = self.document::<Task>(TASK, &key).await? else {
                return Ok(());
            };
            let puts = turn(Some((&found.value, found.version)), None)?;
            if self.document_put(puts).await? {
                self.pacer.wake();
                return Ok(());
            }
        }
        Err(busy(TASK))
    }

    /// Makes tasks for devices that have none in the campaign. A device with an open task of the
    /// module in another campaign gets one if the campaign overrides others and the device is not
    /// at it already. Gives back how many were made.
    pub(super) async fn tasks_make(
        &self,
        campaign: &Campaign,
        package: &Package,
        devices: &[(Device, String)],
    ) -> Result<u64, Fault> {
        let mut made = 0;
        for some in devices.chunks(AT_ONCE) {
            let tasks: Vec<Task> = some
                .iter()
                .map(|(device, from)| self.task_of(campaign, package, device, from))
                .collect();
            let (mut puts, mut free, mut rest) = (Vec::new(), 0, Vec::new());
            for task in &tasks {
                if self.task_rivals(campaign, task).await?.is_empty() {
                    puts.extend(turn(None, Some(task))?);
                    free += 1;
                } else {
                    rest.push(task);
                }
            }
            if self.document_put(puts).await? {
                made += free;
            } else {
                rest = tasks.iter().collect();
            }
            for task in rest {
                made += u64::from(self.task_make(campaign, task).await?);
            }
        }
        self.pacer.wake();
        Ok(made)
    }

    /// Campaigns with an open task for another module of the device that cannot be beside this one:
    /// a device gets one module at a time, unless both campaigns are for devices that take several.
    async fn task_rivals(&self, campaign: &Campaign, task: &Task) -> Result<Vec<String>, Fault> {
        let mut rivals = Vec::new();
        if !task.state.is_open() {
            return Ok(rivals);
        }
        let prefix = format!("{}/", task.iot_id);
        let open = self.ports.catalog.list(OPEN_OF, &prefix, None, OPEN_MOST);
        for entry in open.await? {
            if entry.key.strip_prefix(&prefix) == Some(&task.module) {
                continue;
            }
            let Some(other) = self.document::<String>(OPEN_OF, &entry.key).await? else {
                continue;
            };
            let beside = campaign.multi_module
                && self
                    .campaign(&other.value)
                    .await?
                    .is_none_or(|other| other.multi_module);
            if !beside {
                rivals.push(other.value);
            }
        }
        Ok(rivals)
    }

    /// Ends a task of another campaign that its device is not at yet.
    async fn task_displace(&self, other: &str, by: &Task) -> Result<(), Fault> {
        let why = format!("campaign {} took its place", by.campaign);
        self.task_change(other, &by.iot_id, |old| {
            let may = old.state.is_open() && old.state != TaskState::InProgress;
            may.then(|| old.clone().to(TaskState::Canceled, old.step, &why))
        })
        .await?;
        Ok(())
    }

    async fn task_make(&self, campaign: &Campaign, task: &Task) -> Result<bool, Fault> {
        if campaign.overrides {
            for rival in self.task_rivals(campaign, task).await? {
                self.task_displace(&rival, task).await?;
            }
        }
        if !self.task_rivals(campaign, task).await?.is_empty() {
            return Ok(false);
        }
        if self.document_put(turn(None, Some(task))?).await? {
            return Ok(true);
        }
        let open = format!("{}/{}", task.iot_id, task.module);
        let other = self.document::<String>(OPEN_OF, &open).await?;
        let other = other.filter(|other| campaign.overrides && other.value != task.campaign);
        let Some(other) = other else {
            return Ok(false);
        };
        self.task_displace(&other.value, task).await?;
        self.document_put(turn(None, Some(task))?).await
    }

    fn task_of(&self, campaign: &Campaign, package: &Package, device: &Device, from: &str) -> Task {
        let now = self.now();
        let ready = from == package.version;
        Task {
            campaign: campaign.id.clone(),
            firmware: package.id.clone(),
            device: device.key.clone(),
            iot_id: device.iot_id.clone(),
            module: package.module.clone(),
            from: from.to_owned(),
            version: package.version.clone(),
            state: match (ready, campaign.confirm, campaign.push) {
                (true, _, _) => TaskState::Succeeded,
                (false, true, _) => TaskState::Confirm,
                (false, false, true) => TaskState::Queued,
                (false, false, false) => TaskState::Away,
            },
            step: 0,
            why: match ready {
                true => "the device had the version already".into(),
                false => String::new(),
            },
            attempt: 0,
            told: 0,
            session: None,
            due: None,
            created: now,
            modified: now,
        }
    }

    /// Tells of a change, and takes back what the device was to be told when that is over.
    async fn task_moved(&self, old: &Task, new: &Task) -> Result<(), Fault> {
        if old.state == new.state {
            return Ok(());
        }
        self.metrics.upgrade(new.state.name(), 1);
        if old.state.is_told() && !new.state.is_told() {
            self.pacer.over(&new.iot_id);
            self.upgrade_withdraw(new).await?;
        }
        self.pacer.wake();
        let told = match new.state {
            TaskState::Notified
            | TaskState::InProgress
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Canceled => true,
            TaskState::Confirm | TaskState::Queued | TaskState::Away | TaskState::Waiting => false,
        };
        if !told {
            return Ok(());
        }
        let what = What::UpgradeMoved {
            campaign: new.campaign.clone(),
            module: new.module.clone(),
            version: new.version.clone(),
            state: new.state.name().to_owned(),
            step: new.step,
            why: new.why.clone(),
        };
        self.fact_note(&new.device, &new.iot_id, what).await
    }

    /// Ends the command of a task that no connection has handed over yet.
    pub(super) async fn upgrade_withdraw(&self, task: &Task) -> Result<(), Fault> {
        let commands = &self.ports.commands;
        let waiting = commands.waiting(&task.iot_id, self.now(), COMMANDS).await?;
        for command in waiting {
            if let Order::Upgrade(upgrade) = &command.order
                && upgrade.campaign == task.campaign
            {
                let answer = Answer {
                    code: 0,
                    data: Value::Null,
                    message: "withdrawn".into(),
                };
                commands.done(&task.iot_id, command.id, &answer).await?;
            }
        }
        Ok(())
    }

    /// When the device was told what it is still to be handed, if there is such a thing.
    pub(super) async fn upgrade_waits(&self, task: &Task) -> Result<Option<Time>, Fault> {
        let commands = &self.ports.commands;
        let waiting = commands.waiting(&task.iot_id, self.now(), COMMANDS).await?;
        let mine = waiting.iter().rev().find(|command| {
            matches!(&command.order, Order::Upgrade(upgrade) if upgrade.campaign == task.campaign)
        });
        Ok(mine.map(|command| command.created))
    }
}
