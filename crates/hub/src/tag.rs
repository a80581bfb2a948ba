//! Tags of devices: names with values, set by the device or by applications, and searched by them
//! ([AL-6.11]; seed 001 §6.9).
//!
//! Beside the tags of a device stands an entry for each of them under its name and value, changed
//! with them, so that a search reads no device that lacks the tag.

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    edge::Session,
};
use model::{
    device::Device,
    error::{DeviceError, Fault, PostError},
    id::{AccountId, DeviceKey, IotId},
    port::{Expect, Put},
};
use std::collections::BTreeMap;

/// Tags by the id of their device.
pub(crate) const KIND: &str = "device-tag";
/// `{account}/{name}/{value}/{device}`; none of the parts has a `/`.
const INDEX: &str = "device-tag-index";

/// Bytes of a name at most (seed 001 §6.9).
const NAME: usize = 64;
/// Characters of a value at most.
const VALUE: usize = 128;
/// Tags of a device, and in one message, at most (seed 001 §6.9).
pub const MOST: usize = 200;
/// Entries that are listed at once.
const PAGE: usize = 500;

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

/// What becomes of a tag: a value, or nothing.
pub type TagChange<'a> = (&'a str, Option<&'a str>);

impl Hub {
    /// The tags of a device.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn tags_of(&self, permit: &Permit, device: &DeviceKey) -> Result<Tags, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        Ok(self.tags(&device.iot_id).await?)
    }

    /// Sets and removes tags of a device, all or none.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for a name or value that breaks its rule, `TooMuch`.
    pub async fn tags_change(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        changes: &[TagChange<'_>],
    ) -> Result<(), DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.tags_write(&device.account, &device.iot_id, changes)
            .await
    }

    /// Sets and removes tags of the session's device, all or none.
    ///
    /// # Errors
    /// `BadRequest` for a name or value that breaks its rule and for too many, `Fault`.
    pub async fn tags_post(
        &self,
        session: &Session,
        changes: &[TagChange<'_>],
    ) -> Result<(), PostError> {
        let odd = changes.iter().find(|(name, _)| name.contains(['.', '-']));
        if let Some((name, _)) = odd {
            return Err(PostError::BadRequest(bad_name(name)));
        }
        self.tags_write(&session.product.account, &session.iot_id, changes)
            .await
            .map_err(|error| match error {
                DeviceError::Fault(fault) => PostError::Fault(fault),
                DeviceError::NotFound => PostError::NotAdmitted,
                other => PostError::BadRequest(other.to_string()),
            })
    }

    /// Devices that bear all of these tags, from the `skip`th on, and how many there are; a tag
    /// without a value stands for any value.
    ///
    /// # Errors
    /// `BadRequest` for no tag at all, engine trouble.
    pub async fn tagged(
        &self,
        permit: &Permit,
        tags: &[TagChange<'_>],
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Device>, u64), DeviceError> {
        let ids = self.tagged_ids(permit.account(), tags).await?;
        let total = ids.len() as u64;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut devices = Vec::new();
        for id in ids.iter().skip(skip).take(most) {
            devices.extend(self.ports.devices.find_id(id).await?);
        }
        Ok((devices, total))
    }

    /// The ids of devices that bear all of these tags.
    pub(crate) async fn tagged_ids(
        &self,
        account: &AccountId,
        tags: &[TagChange<'_>],
    ) -> Result<Vec<IotId>, DeviceError> {
        if tags.is_empty() {
            return Err(DeviceError::BadRequest("no tag is given".into()));
        }
        let mut ids = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let (page, next) = self
                .tagged_page(account, tags, after.as_deref(), PAGE)
                .await?;
            ids.extend(page);
            match next {
                Some(_) => after = next,
                None => return Ok(ids),
            }
        }
    }

    /// The next ids of devices that bear all of these tags, out of `most` that bear the rarest of
    /// them, and after what to go on; none when these are the last.
    pub(crate) async fn tagged_page(
        &self,
        account: &AccountId,
        tags: &[TagChange<'_>],
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<IotId>, Option<String>), Fault> {
        let catalog = &self.ports.catalog;
        let mut rarest: Option<(u64, String)> = None;
        for (name, value) in tags {
            let prefix = match value {
                Some(value) => format!("{account}/{name}/{value}/"),
                None => format!("{account}/{name}/"),
            };
            // One who goes on goes on with the tag that he began with, however rare it is now.
            if after.is_some_and(|after| after.starts_with(&prefix)) || tags.len() == 1 {
                rarest = Some((0, prefix));
                break;
            }
            let many = catalog.count(INDEX, &prefix).await?;
            if rarest.as_ref().is_none_or(|(least, _)| many < *least) {
                rarest = Some((many, prefix));
            }
        }
        let Some((_, prefix)) = rarest else {
            return Ok((Vec::new(), None));
        };
        let page = catalog.list(INDEX, &prefix, after, most).await?;
        let mut ids = Vec::new();
        for entry in &page {
            let id = entry.key.rsplit('/').next().unwrap_or_default();
            let Ok(id) = IotId::parse(id) else { continue };
            if tags.len() == 1 || bears(&self.tags(&id).await?, tags) {
                ids.push(id);
            }
        }
        let next = page.last().filter(|_| page.len() == most);
        Ok((ids, next.map(|last| last.key.clone())))
    }

    /// What has to go with a device that is deleted.
    pub(crate) async fn tags_gone(
        &self,
        account: &AccountId,
        id: &IotId,
    ) -> Result<Vec<Put>, Fault> {
        let tags = self.tags(id).await?;
        let entries = tags.iter();
        let mut puts: Vec<Put> = entries
            .map(|(name, value)| remove(INDEX, index(account, name, value, id), Expect::Anything))
            .collect();
        puts.push(remove(KIND, id.as_str().to_owned(), Expect::Anything));
        Ok(puts)
    }

    pub(crate) async fn tags(&self, id: &IotId) -> Result<Tags, Fault> {
        let found = self.document::<Tags>(KIND, id.as_str()).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    async fn tags_write(
        &self,
        account: &AccountId,
        id: &IotId,
        changes: &[TagChange<'_>],
    ) -> Result<(), DeviceError> {
        if changes.len() > MOST {
            return Err(DeviceError::TooMuch(format!("more than {MOST} tags")));
        }
        for (name, value) in changes {
            check(name, *value)?;
        }
        for _ in 0..TRIES {
            let found = self.document::<Tags>(KIND, id.as_str()).await?;
            let expect = found
                .as_ref()
                .map_or(Expect::Absent, |found| found.expect());
            let former = found.map(|found| found.value).unwrap_or_default();
            let mut tags = former.clone();
            for (name, value) in changes {
                match value {
                    Some(value) => tags.insert((*name).to_owned(), (*value).to_owned()),
                    None => tags.remove(*name),
                };
            }
            if tags.len() > MOST {
                let text = format!("a device has at most {MOST} tags");
                return Err(DeviceError::TooMuch(text));
            }
            if tags == former {
                return Ok(());
            }
            let mut puts = vec![put(KIND, id.as_str().to_owned(), &tags, expect)?];
            for (name, value) in &former {
                if tags.get(name) != Some(value) {
                    let key = index(account, name, value, id);
                    puts.push(remove(INDEX, key, Expect::Anything));
                }
            }
            for (name, value) in &tags {
                if former.get(name) != Some(value) {
                    let key = index(account, name, value, id);
                    puts.push(put(INDEX, key, &(), Expect::Anything)?);
                }
            }
            if self.document_put(puts).await? {
                // One of the two sees the other: this, or whoever deletes the device.
                if self.ports.devices.find_id(id).await?.is_none() {
                    let gone = self.tags_gone(account, id).await?;
                    self.document_put(gone).await?;
                    return Err(DeviceError::NotFound);
                }
                self.campaigns_meet(id).await?;
                return Ok(());
            }
        }
        Err(busy(KIND).into())
    }
}

fn index(account: &AccountId, name: &str, value: &str, id: &IotId) -> String {
    format!("{account}/{name}/{value}/{id}")
}

pub(crate) fn bears(tags: &Tags, wanted: &[TagChange<'_>]) -> bool {
    wanted.iter().all(|(name, value)| {
        tags.get(*name)
            .is_some_and(|is| value.is_none_or(|value| value == is))
    })
}

fn bad_name(name: &str) -> String {
    let shown: String = name.chars().take(NAME).collect();
    format!(
        "{shown:?} is no name of a tag: at most {NAME} letters, digits and underscores, a letter \
         or an underscore first"
    )
}

fn check(name: &str, value: Option<&str>) -> Result<(), DeviceError> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let other = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.starts_with(first) || name.len() > NAME || !name.chars().all(other) {
        return Err(DeviceError::BadRequest(bad_name(name)));
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    match value {
        Some(value)
            if value.is_empty() || value.chars().count() > VALUE || !value.chars().all(fits) =>
        {
            Err(DeviceError::BadRequest(format!(
                "the value of {name} is not 1 to {VALUE} letters, digits, underscores, hyphens \
                 and dots"
            )))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::tests::lamp, stage::Stage};

    /// [AL-6.11] Tags are found by name and value, and go with their device.
    #[tokio::test]
    async fn devices_are_found_by_their_tags() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let other =
            crate::history::tests::connect(&stage, &lamp.permit, &lamp.product, "lamp-2").await;
        let tags = [("room", Some("kitchen")), ("floor", Some("一"))];
        hub.tags_post(session, &tags).await.unwrap();
        hub.tags_post(&other, &[("room", Some("kitchen-2"))])
            .await
            .unwrap();
        let find = async |tags: &[TagChange<'_>]| {
            let found = hub.tagged(&lamp.permit, tags, 0, 10).await.unwrap();
            let names = found
                .0
                .into_iter()
                .map(|device| device.key.name.to_string());
            (names.collect::<Vec<_>>(), found.1)
        };
        assert_eq!(
            find(&[("room", Some("kitchen"))]).await,
            (vec!["lamp-1".into()], 1)
        );
        assert_eq!(find(&[("room", None)]).await.1, 2);
        assert_eq!(find(&[("room", None), ("floor", Some("一"))]).await.1, 1);
        assert_eq!(find(&[("room", None), ("floor", Some("2"))]).await.1, 0);
        hub.tags_change(
            &lamp.permit,
            &session.device,
            &[("room", Some("hall")), ("floor", None)],
        )
        .await
        .unwrap();
        assert_eq!(find(&[("room", Some("kitchen"))]).await.1, 0);
        assert_eq!(find(&[("floor", None)]).await.1, 0);
        assert_eq!(find(&[("room", Some("hall"))]).await.1, 1);
        let foreign = stage.other_permit().await;
        assert_eq!(
            hub.tagged(&foreign, &[("room", None)], 0, 9)
                .await
                .unwrap()
                .1,
            0
        );
        hub.device_delete(&lamp.permit, &session.device)
            .await
            .unwrap();
        assert_eq!(find(&[("room", Some("hall"))]).await.1, 0);
        let late = hub.tags_post(session, &[("room", Some("hall"))]).await;
        assert!(matches!(late, Err(PostError::NotAdmitted)), "{late:?}");
        assert_eq!(find(&[("room", Some("hall"))]).await.1, 0);
    }

    /// [AL-6.11] The rules of seed 001 §6.9.
    #[tokio::test]
    async fn a_tag_that_breaks_a_rule_changes_nothing() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let long = "x".repeat(NAME + 1);
        let wide = "值".repeat(VALUE + 1);
        for (name, value) in [
            ("", "v"),
            ("1a", "v"),
            ("a b", "v"),
            ("a.b", "v"),
            ("名", "v"),
            (&long, "v"),
            ("a", ""),
            ("a", "a/b"),
            ("a", "a b"),
            ("a", &wide),
        ] {
            let tags = [("good", Some("1")), (name, Some(value))];
            let refused = hub.tags_post(session, &tags).await;
            assert!(
                matches!(refused, Err(PostError::BadRequest(_))),
                "{name} {value}"
            );
        }
        let names: Vec<String> = (0..=MOST).map(|number| format!("t{number}")).collect();
        let many: Vec<TagChange<'_>> = names.iter().map(|n| (n.as_str(), Some("v"))).collect();
        assert!(hub.tags_post(session, &many).await.is_err());
        assert_eq!(
            hub.tags_of(&lamp.permit, &session.device).await.unwrap(),
            Tags::new()
        );
        hub.tags_post(session, &many[..MOST]).await.unwrap();
        assert!(
            hub.tags_post(session, &[("more", Some("1"))])
                .await
                .is_err()
        );
        hub.tags_post(session, &[("t0", None), ("more", Some("1"))])
            .await
            .unwrap();
    }
}
