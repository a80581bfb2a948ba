//! How far the devices of a campaign are, and what people say to single ones of them.

use super::{
    campaign::{Campaign, CampaignState, STEP},
    task::{BY_STATE, TASK, Task, TaskState, state_prefix, task_key},
};
use crate::{Hub, account::Permit};
use model::{
    error::{Fault, OtaError},
    id::{DeviceKey, DeviceName, IotId},
};

impl Hub {
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

    pub(super) async fn task_find(
        &self,
        campaign: &str,
        id: &IotId,
    ) -> Result<Option<Task>, Fault> {
        let found = self.document::<Task>(TASK, &task_key(campaign, id)).await?;
        Ok(found.map(|found| found.value))
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
}
