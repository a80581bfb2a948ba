//! Groups of devices, of whatever products ([AL-7.1]; spec/cloud-api.md §2, "Device groups").
//!
//! A group knows its devices by entries of its own, and each device knows its groups, changed
//! together: neither question walks over what it is not about. Whoever adds devices changes the
//! group's document too, so that additions to one group follow each other, its quota holds, and
//! none is added to a group that is gone.

use crate::{
    Hub,
    account::Permit,
    document::{Document, TRIES, busy, put, remove},
    tag::Tags,
};
use futures_util::{StreamExt, stream};
use model::{
    device::Device,
    error::{Fault, GroupError},
    id::{AccountId, DeviceKey, IotId, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Groups by `{account}/{id}`.
const GROUP: &str = "group";
/// The id of a group by `{account}/{name}`.
const NAME: &str = "group-name";
/// `{group}/{device}`.
const MEMBER: &str = "group-member";
/// The ids of a device's groups, by its own.
const OF: &str = "group-of";

/// Groups that lie within each other, at most.
const DEPTH: usize = 3;
/// Groups directly within one, at most.
const WITHIN: usize = 100;
/// Tags of a group, at most.
const TAGS: usize = 100;
/// Characters of a name, a description and a tag, at most.
const NAME_MOST: usize = 30;
const NAME_WIDTH: usize = 4;
const DESCRIPTION: usize = 100;
const TAG: usize = 128;
/// Characters of an id.
const ID: usize = 16;
/// Devices that are added or removed at once, at most (spec/cloud-api.md §2).
pub const AT_ONCE: usize = 200;
/// Entries that are listed at once.
const PAGE: usize = 500;
/// Devices that are looked at beside each other.
const BESIDE: usize = 16;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub account: AccountId,
    /// Unlike any other of the account.
    pub name: String,
    /// For people.
    pub description: String,
    /// The group that it lies in.
    pub parent: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Time,
}

/// How many devices a group has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCount {
    /// In all.
    pub devices: u64,
    /// That connected at least once.
    pub active: u64,
    /// That are connected.
    pub online: u64,
}

/// What became of devices that were to be added to a group or removed from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Devices that there are.
    pub valid: u64,
    /// That were added, or removed.
    pub done: u64,
    /// That were in the group before.
    pub already: u64,
    /// That are in as many groups as a device may be in.
    pub exceeding: u64,
}

impl Hub {
    /// Makes a group, within another one where that is named.
    ///
    /// # Errors
    /// `NotFound` for the other one, `Taken`, `BadRequest`, `TooMany`.
    pub async fn group_create(
        &self,
        permit: &Permit,
        name: &str,
        description: &str,
        parent: Option<&str>,
    ) -> Result<Group, GroupError> {
        check_name(name)?;
        check_description(description)?;
        let account = permit.account();
        let all = self.group_all(account).await?;
        if all.len() as u64 >= self.limits.groups {
            return Err(GroupError::TooMany("groups"));
        }
        let mut puts = Vec::new();
        if let Some(parent) = parent {
            let found = self.group_document(account, parent).await?;
            if depth(&all, parent) >= DEPTH {
                return Err(GroupError::TooMany("levels of groups"));
            }
            let within = all.iter().filter(|g| g.parent.as_deref() == Some(parent));
            if within.count() >= WITHIN {
                return Err(GroupError::TooMany("groups within one"));
            }
            // Whoever removes the other one meanwhile sees that it changed.
            let key = key(account, parent);
            puts.push(put(GROUP, key, &found.value, found.expect())?);
        }
        let mut id = credential::text::iot_id(&self.seed());
        id.truncate(ID);
        let group = Group {
            id,
            account: account.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            parent: parent.map(str::to_owned),
            tags: Tags::new(),
            created: self.now(),
        };
        let by_name = format!("{account}/{name}");
        if self.ports.catalog.get(NAME, &by_name).await?.is_some() {
            return Err(GroupError::Taken);
        }
        puts.push(put(NAME, by_name, &group.id, Expect::Absent)?);
        let key = key(account, &group.id);
        puts.push(put(GROUP, key, &group, Expect::Absent)?);
        match self.document_put(puts).await? {
            true => Ok(group),
            false => Err(GroupError::Taken),
        }
    }

    /// Gives a group another description.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn group_describe(
        &self,
        permit: &Permit,
        id: &str,
        description: &str,
    ) -> Result<Group, GroupError> {
        check_description(description)?;
        self.group_change(permit, id, |group| {
            description.clone_into(&mut group.description);
        })
        .await
    }

    /// Gives a group these tags in place of those that it had.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`.
    pub async fn group_tag(
        &self,
        permit: &Permit,
        id: &str,
        tags: &Tags,
    ) -> Result<Group, GroupError> {
        if tags.len() > TAGS {
            return Err(GroupError::TooMany("tags of a group"));
        }
        let odd = |text: &String| text.is_empty() || text.chars().count() > TAG;
        if let Some((name, _)) = tags.iter().find(|(name, value)| odd(name) || odd(value)) {
            let shown: String = name.chars().take(TAG).collect();
            let text = format!("tag {shown:?}: a name and a value have 1 to {TAG} characters");
            return Err(GroupError::BadRequest(text));
        }
        self.group_change(permit, id, |group| group.tags.clone_from(tags))
            .await
    }

    /// Removes a group in which no other lies; its devices stay.
    ///
    /// # Errors
    /// `NotFound`, `HasGroups`.
    pub async fn group_delete(&self, permit: &Permit, id: &str) -> Result<(), GroupError> {
        let account = permit.account();
        for _ in 0..TRIES {
            let found = self.group_document(account, id).await?;
            let all = self.group_all(account).await?;
            if all.iter().any(|group| group.parent.as_deref() == Some(id)) {
                return Err(GroupError::HasGroups);
            }
            // First its devices, so that a crash leaves a group that somebody can delete again;
            // then itself, if none were added meanwhile.
            self.group_empty(id).await?;
            let puts = vec![
                remove(GROUP, key(account, id), found.expect()),
                remove(
                    NAME,
                    format!("{account}/{}", found.value.name),
                    Expect::Anything,
                ),
            ];
            if self.document_put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(GROUP).into())
    }

    /// A group of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn group_find(&self, permit: &Permit, id: &str) -> Result<Group, GroupError> {
        let found = self.group_document(permit.account(), id).await?;
        Ok(found.value)
    }

    /// How many devices a group has. Looks at every one of them.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn group_count(&self, permit: &Permit, id: &str) -> Result<GroupCount, GroupError> {
        self.group_find(permit, id).await?;
        let mut count = GroupCount::default();
        let mut after: Option<String> = None;
        loop {
            let (ids, next) = self.group_page(id, after.as_deref(), PAGE).await?;
            let seen: Vec<Result<Option<(bool, bool)>, Fault>> = stream::iter(ids)
                .map(async |id| {
                    let Some(device) = self.ports.devices.find_id(&id).await? else {
                        return Ok(None);
                    };
                    let online = self.ports.presence.find(&id).await?.is_some();
                    Ok(Some((device.activated.is_some(), online)))
                })
                .buffer_unordered(BESIDE)
                .collect()
                .await;
            for one in seen {
                if let Some((active, online)) = one? {
                    count.devices += 1;
                    count.active += u64::from(active);
                    count.online += u64::from(online);
                }
            }
            match next {
                Some(_) => after = next,
                None => return Ok(count),
            }
        }
    }

    /// Groups of the caller's account, newest first: those within one where that is named, those
    /// whose name has `part` in it.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn group_list(
        &self,
        permit: &Permit,
        within: Option<&str>,
        part: &str,
    ) -> Result<Vec<Group>, GroupError> {
        let mut all = self.group_all(permit.account()).await?;
        all.retain(|group| {
            within.is_none_or(|id| group.parent.as_deref() == Some(id)) && group.name.contains(part)
        });
        all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
        Ok(all)
    }

    /// Groups that bear all of these tags; a tag without a value stands for any value.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn group_tagged(
        &self,
        permit: &Permit,
        tags: &[crate::tag::TagChange<'_>],
    ) -> Result<Vec<Group>, GroupError> {
        let mut all = self.group_list(permit, None, "").await?;
        all.retain(|group| crate::tag::bears(&group.tags, tags));
        Ok(all)
    }

    /// Adds devices of the caller's account to a group; those that there are not are passed over.
    ///
    /// # Errors
    /// `NotFound`, `TooMany` when the group would have more than it may (none is added then),
    /// `BadRequest` for more than 200 devices at once.
    pub async fn group_add(
        &self,
        permit: &Permit,
        id: &str,
        devices: &[DeviceKey],
    ) -> Result<Moved, GroupError> {
        let devices = self.group_valid(permit, devices).await?;
        let account = permit.account();
        for _ in 0..TRIES {
            let found = self.group_document(account, id).await?;
            let mut moved = Moved {
                valid: devices.len() as u64,
                ..Moved::default()
            };
            let mut puts = vec![put(GROUP, key(account, id), &found.value, found.expect())?];
            let mut added = Vec::new();
            for device in &devices {
                let of = self.document::<BTreeSet<String>>(OF, device.iot_id.as_str());
                let of = of.await?;
                let expect = of.as_ref().map_or(Expect::Absent, Document::expect);
                let mut groups = of.map(|of| of.value).unwrap_or_default();
                if groups.contains(id) {
                    moved.already += 1;
                } else if groups.len() >= self.limits.device_groups {
                    moved.exceeding += 1;
                } else {
                    groups.insert(id.to_owned());
                    let own = device.iot_id.as_str().to_owned();
                    puts.push(put(OF, own, &groups, expect)?);
                    puts.push(put(
                        MEMBER,
                        member(id, &device.iot_id),
                        &(),
                        Expect::Anything,
                    )?);
                    added.push(device);
                }
            }
            moved.done = added.len() as u64;
            if added.is_empty() {
                return Ok(moved);
            }
            let catalog = &self.ports.catalog;
            let has = catalog.count(MEMBER, &format!("{id}/")).await?;
            if has + moved.done > self.limits.group_devices {
                return Err(GroupError::TooMany("devices in the group"));
            }
            if !self.document_put(puts).await? {
                continue;
            }
            for device in added {
                // One of the two sees the other: this, or whoever deletes the device.
                if self.ports.devices.find_id(&device.iot_id).await?.is_none() {
                    let gone = self.groups_gone(&device.iot_id).await?;
                    self.document_put(gone).await?;
                    moved.done -= 1;
                    moved.valid -= 1;
                    continue;
                }
                self.campaigns_meet(&device.iot_id).await?;
            }
            return Ok(moved);
        }
        Err(busy(GROUP).into())
    }

    /// Removes devices from a group; those that are not in it are passed over.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for more than 200 devices at once.
    pub async fn group_remove(
        &self,
        permit: &Permit,
        id: &str,
        devices: &[DeviceKey],
    ) -> Result<Moved, GroupError> {
        self.group_find(permit, id).await?;
        let devices = self.group_valid(permit, devices).await?;
        let mut moved = Moved {
            valid: devices.len() as u64,
            ..Moved::default()
        };
        for device in devices {
            moved.done += u64::from(self.group_leave(id, &device.iot_id).await?);
        }
        moved.already = moved.done;
        Ok(moved)
    }

    /// Devices of a group in the order of their ids, from the `skip`th on, and how many it has.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn group_devices(
        &self,
        permit: &Permit,
        id: &str,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Device>, u64), GroupError> {
        self.group_find(permit, id).await?;
        let total = self.ports.catalog.count(MEMBER, &format!("{id}/")).await?;
        let mut left = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut devices = Vec::new();
        let mut after: Option<String> = None;
        while devices.len() < most {
            let (ids, next) = self.group_page(id, after.as_deref(), PAGE).await?;
            let here = ids.len();
            for id in ids.iter().skip(left).take(most - devices.len()) {
                devices.extend(self.ports.devices.find_id(id).await?);
            }
            left = left.saturating_sub(here);
            match next {
                Some(_) => after = next,
                None => break,
            }
        }
        Ok((devices, total))
    }

    /// The groups that a device is in.
    ///
    /// # Errors
    /// `NoSuchDevice`.
    pub async fn groups_of(
        &self,
        permit: &Permit,
        device: &DeviceKey,
    ) -> Result<Vec<Group>, GroupError> {
        let row = self.ports.devices.find(device).await?;
        let row = row.filter(|row| row.account == *permit.account());
        let row = row.ok_or_else(|| GroupError::NoSuchDevice(device.to_string()))?;
        let of = self
            .document::<BTreeSet<String>>(OF, row.iot_id.as_str())
            .await?;
        let mut groups = Vec::new();
        for id in of.map(|of| of.value).unwrap_or_default() {
            let key = key(&row.account, &id);
            let found = self.document::<Group>(GROUP, &key).await?;
            groups.extend(found.map(|found| found.value));
        }
        Ok(groups)
    }

    /// The next ids of a group's devices, and after what to go on; none when these are the last.
    pub(crate) async fn group_page(
        &self,
        group: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<IotId>, Option<String>), Fault> {
        let catalog = &self.ports.catalog;
        let page = catalog
            .list(MEMBER, &format!("{group}/"), after, most)
            .await?;
        let next = page.last().filter(|_| page.len() == most);
        let next = next.map(|last| last.key.clone());
        let ids = page.iter().filter_map(|entry| {
            let id = entry.key.rsplit('/').next().unwrap_or_default();
            IotId::parse(id).ok()
        });
        Ok((ids.collect(), next))
    }

    /// Whether a device is in a group.
    pub(crate) async fn group_has(&self, group: &str, id: &IotId) -> Result<bool, Fault> {
        let entry = self.ports.catalog.get(MEMBER, &member(group, id)).await?;
        Ok(entry.is_some())
    }

    /// Whether the account has such a group.
    pub(crate) async fn group_is(&self, account: &AccountId, id: &str) -> Result<bool, Fault> {
        let entry = self.ports.catalog.get(GROUP, &key(account, id)).await?;
        Ok(entry.is_some())
    }

    /// What has to go with a device that is deleted.
    pub(crate) async fn groups_gone(&self, id: &IotId) -> Result<Vec<Put>, Fault> {
        let of = self.document::<BTreeSet<String>>(OF, id.as_str()).await?;
        let groups = of.map(|of| of.value).unwrap_or_default();
        let mut puts: Vec<Put> = groups
            .iter()
            .map(|group| remove(MEMBER, member(group, id), Expect::Anything))
            .collect();
        puts.push(remove(OF, id.as_str().to_owned(), Expect::Anything));
        Ok(puts)
    }

    async fn group_document(
        &self,
        account: &AccountId,
        id: &str,
    ) -> Result<Document<Group>, GroupError> {
        if id.is_empty() || id.contains('/') {
            return Err(GroupError::NotFound);
        }
        let found = self.document::<Group>(GROUP, &key(account, id)).await?;
        found.ok_or(GroupError::NotFound)
    }

    /// All groups of an account, of which a limit keeps few.
    async fn group_all(&self, account: &AccountId) -> Result<Vec<Group>, Fault> {
        self.documents(GROUP, &format!("{account}/")).await
    }

    async fn group_change(
        &self,
        permit: &Permit,
        id: &str,
        change: impl Fn(&mut Group) + Send + Sync,
    ) -> Result<Group, GroupError> {
        self.group_find(permit, id).await?;
        let key = key(permit.account(), id);
        let changed = self.document_change::<Group>(GROUP, &key, change).await?;
        changed.ok_or(GroupError::NotFound)
    }

    /// Devices of the caller's account, each once; those that there are not are left out.
    async fn group_valid(
        &self,
        permit: &Permit,
        devices: &[DeviceKey],
    ) -> Result<Vec<Device>, GroupError> {
        if devices.len() > AT_ONCE {
            let text = format!("more than {AT_ONCE} devices at once");
            return Err(GroupError::BadRequest(text));
        }
        let mut found = Vec::with_capacity(devices.len());
        for device in devices.iter().collect::<BTreeSet<_>>() {
            let row = self.ports.devices.find(device).await?;
            found.extend(row.filter(|row| row.account == *permit.account()));
        }
        Ok(found)
    }

    /// Takes one device out of a group; false when it was not in it.
    async fn group_leave(&self, group: &str, id: &IotId) -> Result<bool, Fault> {
        for _ in 0..TRIES {
            let of = self.document::<BTreeSet<String>>(OF, id.as_str()).await?;
            let Some(mut of) = of else {
                // Nothing says that it is in any; then no group may say so either.
                let put = remove(MEMBER, member(group, id), Expect::Anything);
                self.document_put(vec![put]).await?;
                return Ok(false);
            };
            let expect = of.expect();
            let was = of.value.remove(group);
            let own = id.as_str().to_owned();
            let puts = vec![
                remove(MEMBER, member(group, id), Expect::Anything),
                match of.value.is_empty() {
                    true => remove(OF, own, expect),
                    false => put(OF, own, &of.value, expect)?,
                },
            ];
            if self.document_put(puts).await? {
                return Ok(was);
            }
        }
        Err(busy(OF))
    }

    /// Takes all devices out of a group.
    async fn group_empty(&self, group: &str) -> Result<(), Fault> {
        loop {
            let (ids, _) = self.group_page(group, None, PAGE).await?;
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                self.group_leave(group, &id).await?;
            }
        }
    }
}

fn key(account: &AccountId, id: &str) -> String {
    format!("{account}/{id}")
}

fn member(group: &str, id: &IotId) -> String {
    format!("{group}/{id}")
}

/// How many groups lie around a device in `id`, itself included.
fn depth(all: &[Group], id: &str) -> usize {
    let mut depth = 0;
    let mut at = Some(id);
    while let Some(id) = at
        && depth <= DEPTH
    {
        depth += 1;
        let group = all.iter().find(|group| group.id == id);
        at = group.and_then(|group| group.parent.as_deref());
    }
    depth
}

fn check_name(name: &str) -> Result<(), GroupError> {
    let width = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 });
    let fits = |c: char| c.is_alphanumeric() || c == '_';
    if width.sum::<usize>() < NAME_WIDTH
        || name.chars().count() > NAME_MOST
        || !name.chars().all(fits)
    {
        let text = format!(
            "a group's name has {NAME_WIDTH} to {NAME_MOST} letters, digits and underscores; a \
             Chinese character counts as two of the least"
        );
        return Err(GroupError::BadRequest(text));
    }
    Ok(())
}

fn check_description(text: &str) -> Result<(), GroupError> {
    if text.chars().count() > DESCRIPTION || text.chars().any(char::is_control) {
        let text = format!("a description has at most {DESCRIPTION} characters");
        return Err(GroupError::BadRequest(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limits, stage::Stage};
    use model::product::DynamicRegistration;

    fn names(groups: &[Group]) -> Vec<&str> {
        groups.iter().map(|group| group.name.as_str()).collect()
    }

    async fn stage() -> Stage {
        let limits = Limits {
            groups: 5,
            group_devices: 3,
            device_groups: 2,
            ..Limits::default()
        };
        Stage::set_with(limits, |ports| ports).await
    }

    /// [AL-7.1] Groups lie within each other three deep, are found by name, parent and tag, and go
    /// when nothing lies in them.
    #[tokio::test]
    async fn groups_are_made_found_and_removed() {
        let stage = stage().await;
        let (hub, permit) = (&stage.hub, stage.permit().await);
        let top = hub
            .group_create(&permit, "north", "all up there", None)
            .await
            .unwrap();
        let within = async |name: &str, parent: &Group| {
            hub.group_create(&permit, name, "", Some(&parent.id)).await
        };
        let mid = within("hall_1", &top).await.unwrap();
        let low = within("房间", &mid).await.unwrap();
        let deep = within("deeper", &low).await;
        assert!(matches!(deep, Err(GroupError::TooMany(_))));
        for bad in ["abc", "房", "a b c d", "a/b/c", &"x".repeat(31), ""] {
            let made = hub.group_create(&permit, bad, "", None).await;
            assert!(matches!(made, Err(GroupError::BadRequest(_))), "{bad}");
        }
        let twice = hub.group_create(&permit, "north", "", None).await;
        assert!(matches!(twice, Err(GroupError::Taken)));
        let nowhere = hub.group_create(&permit, "south", "", Some("none")).await;
        assert!(matches!(nowhere, Err(GroupError::NotFound)));

        let found = hub.group_list(&permit, Some(&top.id), "").await.unwrap();
        assert_eq!(names(&found), ["hall_1"]);
        let found = hub.group_list(&permit, None, "or").await.unwrap();
        assert_eq!(names(&found), ["north"]);
        let tags = Tags::from([("floor".into(), "1".into())]);
        hub.group_tag(&permit, &mid.id, &tags).await.unwrap();
        let tagged = async |value| {
            let tags = [("floor", value)];
            hub.group_tagged(&permit, &tags).await.unwrap().len()
        };
        assert_eq!(tagged(Some("1")).await, 1);
        assert_eq!(tagged(None).await, 1);
        assert_eq!(tagged(Some("2")).await, 0);
        hub.group_describe(&permit, &top.id, "new").await.unwrap();
        let shown = hub.group_find(&permit, &top.id).await.unwrap();
        assert_eq!(shown.description, "new");

        let other = stage.other_permit().await;
        let theirs = hub.group_find(&other, &top.id).await;
        assert!(matches!(theirs, Err(GroupError::NotFound)));
        let deleted = hub.group_delete(&permit, &top.id).await;
        assert!(matches!(deleted, Err(GroupError::HasGroups)));
        for group in [&low, &mid, &top] {
            hub.group_delete(&permit, &group.id).await.unwrap();
        }
        assert!(hub.group_list(&permit, None, "").await.unwrap().is_empty());
        hub.group_create(&permit, "north", "", None).await.unwrap();
        for i in 1..5 {
            let name = format!("more_{i}");
            hub.group_create(&permit, &name, "", None).await.unwrap();
        }
        let full = hub.group_create(&permit, "one_more", "", None).await;
        assert!(matches!(full, Err(GroupError::TooMany("groups"))));
    }

    /// [AL-7.1] A device is in so many groups and a group has so many devices; a device that is
    /// deleted, and one of the same name that follows it, is in none.
    #[tokio::test]
    async fn devices_join_and_leave() {
        let stage = stage().await;
        let (hub, permit) = (&stage.hub, stage.permit().await);
        let (product, _) = stage.product(DynamicRegistration::Off).await;
        let mut keys = Vec::new();
        for i in 0..4 {
            let (device, _) = stage.device(&product, &format!("dev{i}")).await;
            keys.push(device.key);
        }
        let mut groups = Vec::new();
        for i in 0..3 {
            let name = format!("group_{i}");
            groups.push(hub.group_create(&permit, &name, "", None).await.unwrap());
        }
        let nobody = DeviceKey::parse(product.key.as_str(), "nobody").unwrap();
        let some = [keys[0].clone(), keys[1].clone(), nobody, keys[0].clone()];
        let moved = hub.group_add(&permit, &groups[0].id, &some).await.unwrap();
        let all = Moved {
            valid: 2,
            done: 2,
            ..Moved::default()
        };
        assert_eq!(moved, all);
        let moved = hub.group_add(&permit, &groups[0].id, &keys[..3]).await;
        let moved = moved.unwrap();
        assert_eq!((moved.valid, moved.done, moved.already), (3, 1, 2));
        let full = hub.group_add(&permit, &groups[0].id, &keys[3..]).await;
        assert!(matches!(full, Err(GroupError::TooMany(_))));

        hub.group_add(&permit, &groups[1].id, &keys[..1])
            .await
            .unwrap();
        let third = hub.group_add(&permit, &groups[2].id, &keys[..1]).await;
        let third = third.unwrap();
        assert_eq!((third.done, third.exceeding), (0, 1));
        let of = hub.groups_of(&permit, &keys[0]).await.unwrap();
        assert_eq!(of.len(), 2);
        let (page, total) = hub
            .group_devices(&permit, &groups[0].id, 1, 1)
            .await
            .unwrap();
        assert_eq!((page.len(), total), (1, 3));
        let count = hub.group_count(&permit, &groups[0].id).await.unwrap();
        assert_eq!((count.devices, count.online), (3, 0));

        let moved = hub.group_remove(&permit, &groups[0].id, &keys).await;
        let moved = moved.unwrap();
        assert_eq!((moved.valid, moved.done), (4, 3));
        hub.group_add(&permit, &groups[2].id, &keys[..1])
            .await
            .unwrap();

        hub.device_delete(&permit, &keys[0]).await.unwrap();
        let gone = hub.groups_of(&permit, &keys[0]).await;
        assert!(matches!(gone, Err(GroupError::NoSuchDevice(_))));
        stage.device(&product, "dev0").await;
        assert!(hub.groups_of(&permit, &keys[0]).await.unwrap().is_empty());
        hub.group_add(&permit, &groups[2].id, &keys[..2])
            .await
            .unwrap();
        hub.group_delete(&permit, &groups[2].id).await.unwrap();
        hub.group_delete(&permit, &groups[1].id).await.unwrap();
        for kind in [MEMBER, OF] {
            assert_eq!(stage.ports.catalog.count(kind, "").await.unwrap(), 0);
        }
    }
}
