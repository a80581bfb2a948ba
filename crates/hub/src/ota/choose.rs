//! Which devices a campaign is for: what it says of them, and the walk that makes their tasks.

use super::{campaign::Campaign, package::Package, task::TASK};
use crate::Hub;
use model::{
    device::Device,
    error::Fault,
    firmware::WHOLE,
    id::{DeviceKey, DeviceName, Time},
    port::DeviceFilter,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Devices of a product that are looked at in one step; in this room's tests a few, so that they
/// see what lies between steps.
const PAGE: usize = if cfg!(test) { 20 } else { 1_000 };

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

impl Hub {
    /// Makes tasks for the next devices of the product.
    pub(super) async fn campaign_make(
        &self,
        campaign: &Campaign,
        package: &Package,
        now: Time,
    ) -> Result<(), Fault> {
        let id = &campaign.id;
        let (cursor, mut share) = self.pacer.cursor(id, now);
        if cursor == 0
            && let Select::Gray(_) = &campaign.select
        {
            // A former process may have been here: its devices are part of the share.
            let prefix = format!("{id}/");
            share = Share {
                fit: 0,
                chosen: self.ports.catalog.count(TASK, &prefix).await?,
            };
        }
        let (devices, next, last) = match &campaign.select {
            Select::Names(names) => {
                let mut devices = Vec::with_capacity(names.len());
                for name in names {
                    let key = DeviceKey {
                        product: campaign.product.clone(),
                        name: name.clone(),
                    };
                    devices.extend(self.ports.devices.find(&key).await?);
                }
                (devices, 0, true)
            }
            Select::Tags(_) | Select::Group(_) => {
                let (devices, last) = self.campaign_listed(campaign, now).await?;
                (devices, 0, last)
            }
            Select::All | Select::Gray(_) => {
                let all = DeviceFilter::default();
                let page = self
                    .ports
                    .devices
                    .page(&campaign.product, &all, cursor, PAGE);
                let (devices, _) = page.await?;
                // A device that goes moves the rest up by one. Looking at the last few again
                // costs nothing: whoever has a task gets no second one.
                let next = cursor + (devices.len() as u64).saturating_sub(PAGE as u64 / 20);
                let last = devices.len() < PAGE;
                (devices, next, last)
            }
        };
        // Of the page, those that were on the former one.
        let seen_before = match cursor {
            0 => 0,
            _ => PAGE / 20,
        };
        let mut chosen = Vec::new();
        for (at, device) in devices.into_iter().enumerate() {
            if device.created > campaign.created {
                continue;
            }
            let wanted = self.campaign_wants(campaign, &device).await?;
            if let Select::Gray(parts) = campaign.select {
                // Those that were looked at before are not counted again.
                if at < seen_before && share.fit > 0 {
                    continue;
                }
                // Whoever was chosen may fit no more, as it has the version now.
                if self.task_find(id, &device.iot_id).await?.is_some() {
                    share.fit += 1;
                    continue;
                }
                if wanted.is_none() || !share.takes(parts) {
                    continue;
                }
            }
            if let Some(version) = wanted {
                chosen.push((device, version));
            }
        }
        self.tasks_make(campaign, package, &chosen).await?;
        self.pacer.moved(id, next, share);
        if last {
            self.campaign_change(id, |campaign| campaign.made = true)
                .await?;
        }
        self.pacer.wake();
        Ok(())
    }

    /// The next devices that bear the campaign's tags or are in its group, and whether these are
    /// the last. No other device of the product is looked at.
    async fn campaign_listed(
        &self,
        campaign: &Campaign,
        now: Time,
    ) -> Result<(Vec<Device>, bool), Fault> {
        let after = self.pacer.after(&campaign.id, now);
        let (ids, next) = match &campaign.select {
            Select::Group(group) => self.group_page(group, after.as_deref(), PAGE).await?,
            Select::Tags(tags) => {
                let tags: Vec<_> = tags
                    .iter()
                    .map(|(name, value)| (name.as_str(), Some(value.as_str())))
                    .collect();
                self.tagged_page(&campaign.account, &tags, after.as_deref(), PAGE)
                    .await?
            }
            Select::All | Select::Gray(_) | Select::Names(_) => (Vec::new(), None),
        };
        let mut devices = Vec::with_capacity(ids.len());
        for id in &ids {
            let device = self.ports.devices.find_id(id).await?;
            devices.extend(device.filter(|device| device.key.product == campaign.product));
        }
        let last = next.is_none();
        self.pacer.went(&campaign.id, next);
        Ok((devices, last))
    }

    /// The version that a device has of the campaign's module, if the campaign is for it.
    pub(super) async fn campaign_wants(
        &self,
        campaign: &Campaign,
        device: &Device,
    ) -> Result<Option<String>, Fault> {
        let meant = match &campaign.select {
            Select::All | Select::Gray(_) => true,
            Select::Names(names) => names.contains(&device.key.name),
            Select::Tags(tags) => {
                let has = self.tags(&device.iot_id).await?;
                tags.iter().all(|(key, value)| has.get(key) == Some(value))
            }
            Select::Group(group) => self.group_has(group, &device.iot_id).await?,
        };
        if !meant {
            return Ok(None);
        }
        let version = match campaign.module.as_str() {
            WHOLE => device.firmware.clone(),
            module => self.version_of(&device.iot_id, module).await?,
        };
        let named = matches!(campaign.select, Select::Names(_));
        // Who has it already is left out, unless it was asked for by name.
        let fits = campaign.versions.take(&version) && version != campaign.version;
        Ok((fits || named && version == campaign.version).then_some(version))
    }
}

/// How much of a gray campaign's share was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Devices that fit, among those that were looked at.
    fit: u64,
    /// Devices that were chosen, in this process or a former one.
    chosen: u64,
}

impl Share {
    /// Another device fits: whether it is chosen, as one of so many in ten thousand.
    fn takes(&mut self, parts: u32) -> bool {
        self.fit += 1;
        let takes = self.chosen < (self.fit * u64::from(parts)).div_ceil(10_000);
        self.chosen += u64::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_so_many_of_all_whatever_was_chosen_before() {
        let count = |before: u64, parts: u32, all: usize| {
            let mut share = Share {
                fit: 0,
                chosen: before,
            };
            for _ in 0..all {
                share.takes(parts);
            }
            share.chosen
        };
        assert_eq!(count(0, 1_000, 30), 3);
        assert_eq!(count(0, 1, 30), 1, "at least one");
        assert_eq!(count(0, 10_000, 30), 30);
        for before in 0..=3 {
            assert_eq!(count(before, 1_000, 30), 3, "{before}");
        }
        assert_eq!(count(5, 1_000, 30), 5, "and none more");
    }

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
