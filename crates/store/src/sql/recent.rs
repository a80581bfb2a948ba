//! Rows of devices that were read lately, so that a device that comes again and again costs no
//! look into a registry of a million.
//!
//! There is one process and one writer, so the copies here are true: the writer removes what a
//! group of writes may have changed after the group's commit and before anybody is answered, and a
//! row that was read before that is not put in afterwards.

use bytes::Bytes;
use model::{
    device::Device,
    error::Fault,
    id::{DeviceKey, IotId},
};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Devices of one generation; two are kept. About 600 bytes each.
const GENERATION: usize = 1 << 15;

/// Which rows a write may change.
#[derive(Clone, Debug)]
pub(crate) enum Voids {
    /// None that are kept here.
    Nothing,
    /// The device's own, and its secret.
    Device(IotId),
    /// Documents, by kind and key; they are kept in `entries`.
    Entries(Vec<(&'static str, String)>),
    /// Any.
    All,
}

/// The rows.
#[derive(Default)]
pub(crate) struct Recent {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows with every removal.
    epoch: u64,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    rows: HashMap<IotId, Rows>,
    names: HashMap<DeviceKey, IotId>,
}

#[derive(Clone, Default)]
struct Rows {
    device: Option<Device>,
    secret: Option<Bytes>,
}

impl Recent {
    /// The row by name: from here, or as `read` finds it.
    pub(super) fn find(
        &self,
        key: &DeviceKey,
        read: impl FnOnce() -> Result<Option<Device>, Fault>,
    ) -> Result<Option<Device>, Fault> {
        let look = |state: &mut State| {
            let names = [&state.young, &state.old];
            let id = names.iter().find_map(|g| g.names.get(key)).cloned()?;
            state.rows(&id)?.device.clone()
        };
        self.take(look, read)
    }

    /// The row by id: from here, or as `read` finds it.
    pub(super) fn find_id(
        &self,
        id: &IotId,
        read: impl FnOnce() -> Result<Option<Device>, Fault>,
    ) -> Result<Option<Device>, Fault> {
        let look = |state: &mut State| state.rows(id)?.device.clone();
        self.take(look, read)
    }

    /// The device's sealed secret: from here, or as `read` finds it. Kept only of devices whose
    /// rows are.
    pub(super) fn secret(
        &self,
        id: &IotId,
        read: impl FnOnce() -> Result<Option<Bytes>, Fault>,
    ) -> Result<Option<Bytes>, Fault> {
        let epoch = {
            let mut state = self.state.lock();
            if let Some(secret) = state.rows(id).and_then(|rows| rows.secret.clone()) {
                return Ok(Some(secret));
            }
            state.epoch
        };
        let found = read()?;
        let mut state = self.state.lock();
        if state.epoch == epoch
            && let Some(rows) = state.rows(id)
        {
            rows.secret.clone_from(&found);
        }
        Ok(found)
    }

    fn take(
        &self,
        look: impl FnOnce(&mut State) -> Option<Device>,
        read: impl FnOnce() -> Result<Option<Device>, Fault>,
    ) -> Result<Option<Device>, Fault> {
        let epoch = {
            let mut state = self.state.lock();
            if let Some(device) = look(&mut state) {
                return Ok(Some(device));
            }
            state.epoch
        };
        let found = read()?;
        let mut state = self.state.lock();
        if let Some(device) = &found
            && state.epoch == epoch
        {
            state.enter(device).device = Some(device.clone());
        }
        Ok(found)
    }

    /// Removes what a write may have changed. To be called between its commit and its answer.
    pub(super) fn void(&self, voids: &[Voids]) {
        let none = |voids: &Voids| matches!(voids, Voids::Nothing | Voids::Entries(_));
        if voids.iter().all(none) {
            return;
        }
        let mut state = self.state.lock();
        state.epoch += 1;
        for voids in voids {
            match voids {
                Voids::Nothing | Voids::Entries(_) => {}
                Voids::Device(id) => {
                    state.young.remove(id);
                    state.old.remove(id);
                }
                Voids::All => {
                    state.young = Generation::default();
                    state.old = Generation::default();
                }
            }
        }
    }
}

impl State {
    /// The rows of a device, which are young again from now on.
    fn rows(&mut self, id: &IotId) -> Option<&mut Rows> {
        if !self.young.rows.contains_key(id) {
            let (rows, name) = self.old.remove(id)?;
            self.put(id.clone(), rows, name);
        }
        self.young.rows.get_mut(id)
    }

    fn enter(&mut self, device: &Device) -> &mut Rows {
        let id = &device.iot_id;
        if self.rows(id).is_none() {
            self.put(id.clone(), Rows::default(), Some(device.key.clone()));
        }
        self.young.rows.entry(id.clone()).or_default()
    }

    fn put(&mut self, id: IotId, rows: Rows, name: Option<DeviceKey>) {
        if self.young.rows.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        if let Some(name) = name {
            self.young.names.insert(name, id.clone());
        }
        self.young.rows.insert(id, rows);
    }
}

impl Generation {
    fn remove(&mut self, id: &IotId) -> Option<(Rows, Option<DeviceKey>)> {
        let rows = self.rows.remove(id)?;
        let name = rows.device.as_ref().map(|device| device.key.clone());
        if let Some(name) = &name {
            self.names.remove(name);
        }
        Some((rows, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::{AccountId, Time};

    fn device(number: usize, version: u64) -> Device {
        Device {
            key: DeviceKey::parse("pk", &format!("lamp{number}")).unwrap(),
            iot_id: IotId::parse(&format!("id{number}")).unwrap(),
            account: AccountId::parse("1").unwrap(),
            nickname: String::new(),
            created: Time(0),
            activated: None,
            disabled: false,
            online: None,
            offline: None,
            address: String::new(),
            firmware: String::new(),
            tags: std::collections::BTreeMap::new(),
            credential: 0,
            version,
        }
    }

    fn read(recent: &Recent, number: usize, version: u64) -> u64 {
        let device = device(number, version);
        let found = recent.find(&device.key, || Ok(Some(device.clone())));
        found.unwrap().unwrap().version
    }

    /// What was read is given again, by name and by id, until a write may have changed it.
    #[test]
    fn a_row_is_kept_until_it_may_have_changed() {
        let recent = Recent::default();
        let never = || -> Result<Option<Device>, Fault> { panic!("it is kept") };
        assert_eq!(read(&recent, 1, 1), 1);
        assert_eq!(read(&recent, 1, 2), 1);
        let id = device(1, 1).iot_id;
        assert_eq!(recent.find_id(&id, never).unwrap(), Some(device(1, 1)));
        let secret = || Ok(Some(Bytes::from_static(b"sealed")));
        assert_eq!(recent.secret(&id, secret).unwrap().unwrap(), "sealed");
        let kept = recent.secret(&id, || panic!("it is kept"));
        assert_eq!(kept.unwrap().unwrap(), "sealed");

        recent.void(&[Voids::Nothing, Voids::Device(device(2, 1).iot_id)]);
        assert_eq!(read(&recent, 1, 2), 1);
        recent.void(&[Voids::Device(id.clone())]);
        assert_eq!(recent.secret(&id, || Ok(None)).unwrap(), None);
        assert_eq!(read(&recent, 1, 2), 2);
        recent.void(&[Voids::All]);
        assert_eq!(read(&recent, 1, 3), 3);
        let nobody = recent.find_id(&device(9, 1).iot_id, || Ok(None));
        assert_eq!(nobody.unwrap(), None);
    }

    /// A reader that began before a write does not put back what the write changed.
    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let recent = Recent::default();
        let (key, id) = (device(1, 1).key, device(1, 1).iot_id);
        let late = recent.find(&key, || {
            recent.void(&[Voids::Device(id.clone())]);
            Ok(Some(device(1, 1)))
        });
        assert_eq!(late.unwrap().unwrap().version, 1);
        assert_eq!(read(&recent, 1, 2), 2);
        let late = recent.secret(&id, || {
            recent.void(&[Voids::Device(id.clone())]);
            Ok(Some(Bytes::from_static(b"former")))
        });
        assert_eq!(late.unwrap().unwrap(), "former");
        let now = recent.secret(&id, || Ok(Some(Bytes::from_static(b"new"))));
        assert_eq!(now.unwrap().unwrap(), "new");
    }

    /// However many devices come by, a bounded number of rows is kept: those that came last.
    #[test]
    fn the_number_of_rows_is_bounded() {
        let recent = Recent::default();
        for number in 0..5 * GENERATION {
            read(&recent, number, 1);
            // One that comes again and again stays.
            assert_eq!(read(&recent, 0, 2), 1);
        }
        let state = recent.state.lock();
        for generation in [&state.young, &state.old] {
            assert!(generation.rows.len() <= GENERATION);
            assert!(generation.names.len() <= GENERATION);
        }
    }
}
