//! How campaigns end: called off, whole or in parts, or over by themselves.

use super::{
    campaign::{
        CAMPAIGN, Campaign, CampaignKind, CampaignState, CampaignView, DYNAMIC, LIVE, OF, STEP,
    },
    task::{BY_STATE, OPEN, TaskState, state_prefix},
};
use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
};
use model::{
    error::{Fault, OtaError},
    id::{DeviceKey, IotId},
    port::{Expect, Put},
};
use std::collections::BTreeSet;

impl Hub {
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

    pub(super) async fn campaign_reopen(&self, id: &str) -> Result<(), Fault> {
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
}
