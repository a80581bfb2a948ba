//! What devices say: their versions, how far they are, that they want to know, and which piece of
//! a file they want.

use super::{
    campaign::{CampaignKind, DYNAMIC},
    choose::Select,
    is_name,
    pace::upgrade_of,
    task::{BY_DEVICE, OPEN_OF, Task, TaskState},
};
use crate::{Hub, edge::Session};
use bytes::Bytes;
use model::{
    error::{Fault, PostError},
    firmware::{FirmwareFile, Upgrade, WHOLE},
    id::{IotId, ProductKey},
    port::Change,
};

/// How often a row that others change meanwhile is tried.
const TRIES: usize = 8;
/// How often a device is told again in one attempt when it comes back as it was.
const TOLD_MOST: u32 = 10;
/// Bytes of a piece that is fetched over MQTT.
const PIECE: u64 = 128 * 1024;
/// Words of a device that are kept.
const WHY: usize = 256;
/// Files up to this size are fetched over MQTT.
const OVER_MQTT: u64 = 16 * 1024 * 1024;

/// A piece of a file.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The whole file.
    pub file: FirmwareFile,
    /// Where the piece begins.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why a piece is not given.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PieceError {
    /// The device is to fetch no such file.
    #[error("the device has no such file to fetch")]
    NoSuchFile,
    /// It begins past the file's end, or is too large.
    #[error("the piece is not part of the file or larger than 131072 bytes")]
    BadPiece,
    /// The file is too large for MQTT.
    #[error("file size has exceeded the limit 16 MB")]
    TooLarge,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

impl Hub {
    /// Takes the version that a device says it runs; when it returns `Ok`, that is on disk, and
    /// what follows from it: a task has succeeded, or failed, or the device is told again. One
    /// that says what is known costs a few reads.
    ///
    /// # Errors
    /// `NotAdmitted` when the device is gone, `BadRequest`, `Fault`.
    pub async fn firmware_report(
        &self,
        session: &Session,
        module: &str,
        version: &str,
    ) -> Result<(), PostError> {
        if !is_name(version) || !is_name(module) {
            let text = "a version and a module have 1 to 64 characters";
            return Err(PostError::BadRequest(text.into()));
        }
        let id = &session.iot_id;
        if module == WHOLE {
            self.firmware_row(id, version).await?;
        }
        self.version_note(id, module, version).await?;
        let key = format!("{id}/{module}");
        match self.document::<String>(OPEN_OF, &key).await? {
            Some(campaign) => self.task_report(&campaign.value, session, version).await?,
            None => {
                let product = &session.device.product;
                self.campaigns_join(id, product, Some(module)).await?;
            }
        }
        Ok(())
    }

    /// Takes how far a device is: percent, or -1 (it failed), -2 (the download), -3 (the check),
    /// -4 (the writing) (seed 001 §4).
    ///
    /// # Errors
    /// `Fault`.
    pub async fn firmware_progress(
        &self,
        session: &Session,
        module: Option<&str>,
        step: i64,
        why: &str,
    ) -> Result<(), PostError> {
        let id = &session.iot_id;
        let Some(campaign) = self.open_of(id, module).await? else {
            return Ok(());
        };
        let why: String = why.chars().take(WHY).collect();
        if step < 0 {
            self.task_fail(&campaign, id, step, &why).await?;
            return Ok(());
        }
        let due = match self.campaign(&campaign).await? {
            Some(campaign) => self.task_deadline(&campaign),
            None => None,
        };
        let step = step.min(100);
        let moved = self.task_change(&campaign, id, |task| {
            let begins = match task.state {
                TaskState::Notified | TaskState::Queued | TaskState::Away => true,
                TaskState::InProgress => false,
                TaskState::Confirm
                | TaskState::Waiting
                | TaskState::Succeeded
                | TaskState::Failed
                | TaskState::Canceled => return None,
            };
            if !begins && task.step == step && task.why == why {
                return None;
            }
            let mut new = task.clone().to(TaskState::InProgress, step, &why);
            if task.due.is_none() {
                new.due = due;
            }
            new.attempt = task.attempt.max(1);
            Some(new)
        });
        // A device that says how far it is needs not be told: what waits for its connection would
        // reach it when it comes back with the new version, and have it begin once more.
        if let Some(task) = moved.await? {
            self.upgrade_withdraw(&task).await?;
        }
        Ok(())
    }

    /// What a device is to fetch, when it asks; it counts as told.
    ///
    /// # Errors
    /// `Fault`.
    pub async fn firmware_wanted(
        &self,
        session: &Session,
        module: Option<&str>,
    ) -> Result<Option<Upgrade>, PostError> {
        let id = &session.iot_id;
        let Some(campaign) = self.open_of(id, module).await? else {
            return Ok(None);
        };
        let Some(campaign) = self.campaign(&campaign).await? else {
            return Ok(None);
        };
        let Some(package) = self.package(&campaign.firmware).await? else {
            return Ok(None);
        };
        let due = self.task_deadline(&campaign);
        self.pacer.hands(session);
        self.task_change(&campaign.id, id, |task| {
            let idle = matches!(task.state, TaskState::Queued | TaskState::Away);
            idle.then(|| Task {
                attempt: task.attempt + 1,
                told: 1,
                session: Some(session.id.0),
                due,
                ..task.clone().to(TaskState::Notified, 0, "")
            })
        })
        .await?;
        let task = self.task_find(&campaign.id, id).await?;
        let told = task.is_some_and(|task| task.state.is_told());
        Ok(told.then(|| upgrade_of(&campaign, &package)))
    }

    /// Notes that a connection hands an upgrade to its device. To be called before it does.
    pub fn firmware_hands(&self, session: &Session) {
        self.pacer.hands(session);
    }

    /// A piece of a file of the package that the device is to fetch: the `file`th (from 1) of
    /// `stream`, or of whatever it is to fetch, or by the file's name among ours.
    ///
    /// # Errors
    /// `PieceError`.
    pub async fn firmware_piece(
        &self,
        session: &Session,
        stream: Option<u64>,
        file: Option<u64>,
        token: Option<&str>,
        (offset, size): (u64, u64),
    ) -> Result<Piece, PieceError> {
        let id = &session.iot_id;
        let open: Vec<String> = self.documents(OPEN_OF, &format!("{id}/")).await?;
        for campaign in open {
            let Some(campaign) = self.campaign(&campaign).await? else {
                continue;
            };
            let task = self.task_find(&campaign.id, id).await?;
            let Some(package) = self.package(&campaign.firmware).await? else {
                continue;
            };
            // One whose turn comes again goes on with what it was handed.
            let told = task.is_some_and(|task| match task.state {
                TaskState::Queued => self.pacer.was_handed(id),
                state => state.is_told(),
            });
            if !told || stream.is_some_and(|stream| stream != package.number) {
                continue;
            }
            let at = file.unwrap_or(1).checked_sub(1);
            let at = at.and_then(|at| usize::try_from(at).ok());
            let found = match token.filter(|_| stream.is_none()) {
                Some(token) => package.files.iter().find(|file| file.blob == token),
                None => at.and_then(|at| package.files.get(at)),
            };
            let Some(file) = found else {
                continue;
            };
            if file.size > OVER_MQTT {
                return Err(PieceError::TooLarge);
            }
            if offset >= file.size || size == 0 || size > PIECE {
                return Err(PieceError::BadPiece);
            }
            let most = usize::try_from(size).unwrap_or(usize::MAX);
            let bytes = self.ports.blobs.read(&file.blob, offset, most).await?;
            return Ok(Piece {
                file: file.clone(),
                offset,
                bytes,
            });
        }
        Err(PieceError::NoSuchFile)
    }

    /// Forgets what campaigns know of a device that is deleted.
    pub(crate) async fn ota_forget(&self, id: &IotId) -> Result<(), Fault> {
        self.versions_forget(id).await?;
        let campaigns: Vec<String> = self.documents(BY_DEVICE, &format!("{id}/")).await?;
        for campaign in campaigns {
            self.task_forget(&campaign, id).await?;
        }
        Ok(())
    }

    /// The campaign of the open task of a module, or of any when none is named.
    async fn open_of(&self, id: &IotId, module: Option<&str>) -> Result<Option<String>, Fault> {
        let key = format!("{id}/{}", module.unwrap_or(WHOLE));
        if let Some(found) = self.document::<String>(OPEN_OF, &key).await? {
            return Ok(Some(found.value));
        }
        if module.is_some() {
            return Ok(None);
        }
        let open: Vec<String> = self.documents(OPEN_OF, &format!("{id}/")).await?;
        Ok(open.into_iter().next())
    }

    /// A device with an open task says which version it has.
    async fn task_report(
        &self,
        campaign: &str,
        session: &Session,
        version: &str,
    ) -> Result<(), Fault> {
        let id = &session.iot_id;
        // Before the look at the task: whoever changes it meanwhile sees this.
        self.pacer.reports(session);
        let Some(task) = self.task_find(campaign, id).await? else {
            return Ok(());
        };
        if task.version == version {
            self.task_change(campaign, id, |task| {
                let open = task.state.is_open();
                open.then(|| task.clone().to(TaskState::Succeeded, 100, ""))
            })
            .await?;
            return Ok(());
        }
        match task.state {
            TaskState::Away => {
                let found = self.campaign(campaign).await?;
                if found.is_some_and(|campaign| campaign.push) {
                    self.task_back(campaign, id).await?;
                }
            }
            TaskState::Notified | TaskState::InProgress => {
                self.task_returned(&task, session, version).await?;
            }
            // Its turn comes, or is over.
            TaskState::Confirm
            | TaskState::Queued
            | TaskState::Waiting
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Canceled => {}
        }
        Ok(())
    }

    /// A device that was told is back with another version than the one it was to become.
    async fn task_returned(
        &self,
        task: &Task,
        session: &Session,
        version: &str,
    ) -> Result<(), Fault> {
        let Task {
            campaign, iot_id, ..
        } = task;
        let same = task.from.is_empty() || task.from == version;
        if !same || task.step >= 100 || task.told >= TOLD_MOST {
            let why = format!("the device reports {version} and not {}", task.version);
            return self.task_fail(campaign, iot_id, -1, &why).await;
        }
        let Some(found) = self.campaign(campaign).await? else {
            return Ok(());
        };
        // A campaign that is over tells nobody any more.
        if !found.push || !found.state.is_live() {
            return Ok(());
        }
        let decided = self.now();
        // It has come back once more since it said this, and says on that connection what it has.
        let Some(since) = self.connected_since(session).await? else {
            return Ok(());
        };
        // What waits for this connection reaches it without us; what waits for a former one, never.
        let waits = self.upgrade_waits(task).await?;
        if waits.is_some_and(|created| created >= since) {
            return Ok(());
        }
        // Only who comes back is told again: a report that comes on the connection over which the
        // device was told was under way meanwhile. (After the look at what waits: whatever is
        // handed over between the two is seen here.)
        if task.session == Some(session.id.0) || self.pacer.handed(session) {
            return Ok(());
        }
        let package = self.package(&found.firmware).await?;
        let device = self.ports.devices.find_id(iot_id).await?;
        let (Some(package), Some(device)) = (package, device) else {
            return Ok(());
        };
        self.upgrade_withdraw(task).await?;
        // What it was not handed, it was not told.
        let again = u32::from(waits.is_none());
        let told = self
            .task_change(campaign, iot_id, |task| {
                task.state.is_told().then(|| Task {
                    told: task.told + again,
                    session: Some(session.id.0),
                    from: version.to_owned(),
                    ..task.clone()
                })
            })
            .await?;
        if let Some(task) = told {
            self.upgrade_send(&found, &package, &device, &task, decided)
                .await?;
        }
        Ok(())
    }

    /// Lets campaigns that take devices later look at one that was given a tag or joined a group.
    pub(crate) async fn campaigns_meet(&self, id: &IotId) -> Result<(), Fault> {
        // Most servers have none, and then nobody has to know the device.
        let some = self.ports.catalog.list(DYNAMIC, "", None, 1).await?;
        if some.is_empty() {
            return Ok(());
        }
        match self.ports.devices.find_id(id).await? {
            Some(device) => self.campaigns_join(id, &device.key.product, None).await,
            None => Ok(()),
        }
    }

    /// Lets campaigns that take devices later look at this one: those for a module, or all whose
    /// choice of devices may change.
    async fn campaigns_join(
        &self,
        id: &IotId,
        product: &ProductKey,
        module: Option<&str>,
    ) -> Result<(), Fault> {
        let prefix = format!("{product}/");
        let catalog = &self.ports.catalog;
        for entry in catalog.list(DYNAMIC, &prefix, None, 1_000).await? {
            let campaign = entry.key.trim_start_matches(&prefix);
            let Some(campaign) = self.campaign(campaign).await? else {
                continue;
            };
            let meant = match module {
                Some(module) => campaign.module == module,
                None => matches!(campaign.select, Select::Tags(_) | Select::Group(_)),
            };
            if campaign.kind != CampaignKind::Dynamic
                || !meant
                || campaign.started.is_none()
                || !campaign.state.is_live()
            {
                continue;
            }
            let Some(device) = self.ports.devices.find_id(id).await? else {
                return Ok(());
            };
            let Some(package) = self.package(&campaign.firmware).await? else {
                continue;
            };
            if let Some(version) = self.campaign_wants(&campaign, &device).await? {
                let one = [(device, version)];
                // The first one has it; the others would take it from each other.
                if self.tasks_make(&campaign, &package, &one).await? > 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Notes the version of the whole device in its row.
    async fn firmware_row(&self, id: &IotId, version: &str) -> Result<(), PostError> {
        for _ in 0..TRIES {
            let row = self.ports.devices.find_id(id).await?;
            let mut device = row.ok_or(PostError::NotAdmitted)?;
            if device.firmware == version {
                return Ok(());
            }
            version.clone_into(&mut device.firmware);
            match self.ports.devices.change(&device).await? {
                Change::Done(_) => return Ok(()),
                Change::Conflict => {}
            }
        }
        Err(Fault::passing("the device's row kept changing").into())
    }
}
