//! Desired properties: values that applications want a device to take, each with a version
//! ([AL-6.8]; seed 001 §6.6).
//!
//! A value is kept until the device clears it. Besides, the device is ordered to set it; orders
//! that wait for a device that is away become one.

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put},
    edge::Session,
};
use model::{
    command::{Answer, CommandState, Order},
    device::Device,
    error::{DeviceError, Fault, PostError},
    id::{CommandId, DeviceKey, IotId, Time},
    port::Expect,
    thing::fit_settable,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Documents of what is wanted of a device, by its id.
pub(crate) const KIND: &str = "desired";

/// What is wanted of a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Wishes {
    properties: BTreeMap<String, Wish>,
    /// The last order that came of it.
    order: Option<CommandId>,
}

/// What is wanted of a property. One that was cleared keeps its version, so that a late word of
/// the device about an older one does not hit a newer one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wish {
    value: Option<Value>,
    version: u64,
    at: Time,
}

/// A property with what is wanted of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Identifier, as devices call it.
    pub identifier: String,
    /// Name in the thing model.
    pub name: String,
    /// Data type as the TSL spells it.
    pub data_type: String,
    /// Unit; empty for none.
    pub unit: String,
    /// The value and when it was given; none when nothing is wanted.
    pub value: Option<(Value, Time)>,
    /// 0 when nothing was ever wanted.
    pub version: u64,
}

/// Versions by property.
pub type Versions = BTreeMap<String, u64>;

impl Hub {
    /// Wants a device to take these values; a null wants nothing any more. A property named in
    /// `versions` must have that version, 0 standing for one of which nothing is wanted. Gives the
    /// order that came of it, if there was anything to order, and the new versions.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `Misfit`, `BadRequest` for no property at all and for another
    /// version, `TooMuch`.
    pub async fn desired_set(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        items: Map<String, Value>,
        versions: &Versions,
    ) -> Result<(Option<CommandId>, Versions), DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        if items.is_empty() {
            return Err(DeviceError::BadRequest("no property is given".into()));
        }
        if items.len() > self.limits.properties {
            let text = format!("more than {} properties at once", self.limits.properties);
            return Err(DeviceError::TooMuch(text));
        }
        let (cleared, given): (Map<_, _>, Map<_, _>) =
            items.into_iter().partition(|(_, value)| value.is_null());
        let given = fit_settable(&model.tsl, &given)
            .map_err(|error| DeviceError::Misfit(error.to_string()))?;
        let cleared: Vec<String> = cleared.into_iter().map(|(name, _)| name).collect();
        let now = self.now();
        let (new, former) = self
            .wishes_change(&device.iot_id, |wishes| {
                check_versions(wishes, versions)?;
                let mut new = Versions::new();
                let wanted = given
                    .iter()
                    .map(|(name, value)| (name, Some(value.clone())));
                for (name, value) in wanted.chain(cleared.iter().map(|name| (name, None))) {
                    new.insert(name.clone(), wishes.want(name, value, now));
                }
                Ok((new, wishes.order))
            })
            .await?;
        if given.is_empty() {
            return Ok((None, new));
        }
        let order = self.desired_order(&device, given, former).await?;
        self.wishes_change(&device.iot_id, |wishes| {
            wishes.order = Some(order);
            Ok(())
        })
        .await?;
        Ok((Some(order), new))
    }

    /// What is wanted of a device's properties: of all in its thing model, or of those named.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`.
    pub async fn desired_of(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        identifiers: &[&str],
    ) -> Result<Vec<Desired>, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        let mut wishes = self.wishes(&device.iot_id).await?;
        let asked = |name: &str| identifiers.is_empty() || identifiers.contains(&name);
        let properties = model.tsl.properties().filter(|(name, _)| asked(name));
        Ok(properties
            .map(|(identifier, property)| {
                let wish = wishes.properties.remove(&identifier);
                Desired {
                    name: property.name.clone(),
                    data_type: property.data.word().to_owned(),
                    unit: property.data.unit().to_owned(),
                    version: wish.as_ref().map_or(0, |wish| wish.version),
                    value: wish.and_then(|wish| Some((wish.value?, wish.at))),
                    identifier,
                }
            })
            .collect())
    }

    /// Wants nothing any more of these properties, or of all. Gives their versions.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn desired_clear(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        identifiers: &[&str],
    ) -> Result<Versions, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let now = self.now();
        self.wishes_change(&device.iot_id, |wishes| {
            let mut versions = Versions::new();
            for (name, wish) in &mut wishes.properties {
                if identifiers.is_empty() || identifiers.contains(&name.as_str()) {
                    wish.clear(now);
                    versions.insert(name.clone(), wish.version);
                }
            }
            Ok(versions)
        })
        .await
    }

    /// What is wanted of the session's device, for the properties that it names: value and version.
    ///
    /// # Errors
    /// `TooManyProperties`, `Fault`.
    pub async fn desired_for_device(
        &self,
        session: &Session,
        identifiers: &[&str],
    ) -> Result<Vec<(String, Value, u64)>, PostError> {
        if identifiers.len() > self.limits.properties {
            return Err(PostError::TooManyProperties);
        }
        let wishes = self.wishes(&session.iot_id).await?;
        let wanted = wishes.properties.into_iter();
        Ok(wanted
            .filter(|(name, _)| identifiers.contains(&name.as_str()))
            .filter_map(|(name, wish)| Some((name, wish.value?, wish.version)))
            .collect())
    }

    /// The session's device is done with these wishes; one that names another version than the
    /// newest is passed over.
    ///
    /// # Errors
    /// `TooManyProperties`, `Fault`.
    pub async fn desired_done(
        &self,
        session: &Session,
        done: &[(&str, Option<u64>)],
    ) -> Result<(), PostError> {
        if done.len() > self.limits.properties {
            return Err(PostError::TooManyProperties);
        }
        let now = self.now();
        let changed = self.wishes_change(&session.iot_id, |wishes| {
            for (name, version) in done {
                if let Some(wish) = wishes.properties.get_mut(*name)
                    && version.is_none_or(|version| version == wish.version)
                {
                    wish.clear(now);
                }
            }
            Ok(())
        });
        changed.await.map_err(|error| match error {
            DeviceError::Fault(fault) => PostError::Fault(fault),
            other => PostError::BadRequest(other.to_string()),
        })
    }

    /// Orders the device to take the values. What an order of before says that waits for a device
    /// which is away becomes part of this one, and it is taken back once this one is stored: a crash
    /// in between leaves both, of which the device takes the newer values last.
    async fn desired_order(
        &self,
        device: &Device,
        given: Map<String, Value>,
        former: Option<CommandId>,
    ) -> Result<CommandId, DeviceError> {
        let mut items = Map::new();
        let mut replaced = None;
        let (commands, id) = (&self.ports.commands, &device.iot_id);
        if let Some(former) = former
            && self.ports.presence.find(id).await?.is_none()
            && let Some(found) = commands.find(id, former).await?
            && found.state == CommandState::Waiting
            && let Order::SetProperties(waiting) = found.order
        {
            (items, replaced) = (waiting, Some(former));
        }
        items.extend(given);
        let until = self.now().plus(self.limits.command_life);
        let order = Order::SetProperties(items);
        let sent = self.command_send(device, order, until).await?.id;
        if let Some(former) = replaced {
            let void = Answer {
                code: 0,
                data: Value::Null,
                message: "replaced".into(),
            };
            commands.done(id, former, &void).await?;
        }
        Ok(sent)
    }

    async fn wishes(&self, id: &IotId) -> Result<Wishes, Fault> {
        let found = self.document::<Wishes>(KIND, id.as_str()).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    async fn wishes_change<T>(
        &self,
        id: &IotId,
        change: impl Fn(&mut Wishes) -> Result<T, DeviceError> + Send + Sync,
    ) -> Result<T, DeviceError> {
        for _ in 0..TRIES {
            let found = self.document::<Wishes>(KIND, id.as_str()).await?;
            let expect = found
                .as_ref()
                .map_or(Expect::Absent, |found| found.expect());
            let mut wishes = found.map(|found| found.value).unwrap_or_default();
            let done = change(&mut wishes)?;
            let puts = vec![put(KIND, id.as_str().to_owned(), &wishes, expect)?];
            if self.document_put(puts).await? {
                return Ok(done);
            }
        }
        Err(busy(KIND).into())
    }
}

impl Wishes {
    fn want(&mut self, name: &str, value: Option<Value>, now: Time) -> u64 {
        let none = || Wish {
            value: None,
            version: 0,
            at: now,
        };
        let wish = self.properties.entry(name.to_owned()).or_insert_with(none);
        match value {
            None => wish.clear(now),
            Some(value) => {
                wish.value = Some(value);
                wish.version += 1;
                wish.at = now;
            }
        }
        wish.version
    }
}

impl Wish {
    fn clear(&mut self, now: Time) {
        if self.value.take().is_some() {
            self.at = now;
        }
    }
}

fn check_versions(wishes: &Wishes, versions: &Versions) -> Result<(), DeviceError> {
    for (name, asked) in versions {
        let wish = wishes.properties.get(name);
        let is = wish.map_or(0, |wish| wish.version);
        let none = wish.is_none_or(|wish| wish.value.is_none());
        if *asked != is && !(*asked == 0 && none) {
            let text = format!("the version of {name} is {is}, not {asked}");
            return Err(DeviceError::BadRequest(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::tests::lamp, stage::Stage};
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    /// [AL-6.8] Versions begin with 1 and grow, and a change must be of the version that it names.
    #[tokio::test]
    async fn every_wish_has_a_version() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let set = async |items, version| {
            let versions = Versions::from([("bright".to_owned(), version)]);
            hub.desired_set(&lamp.permit, &session.device, object(items), &versions)
                .await
        };
        for version in 0..3 {
            let (order, new) = set(json!({"bright": 5}), version).await.unwrap();
            assert!(order.is_some());
            assert_eq!(new["bright"], version + 1);
        }
        for stale in [0, 2, 4] {
            let refused = set(json!({"bright": 6}), stale).await;
            assert!(matches!(refused, Err(DeviceError::BadRequest(_))));
        }
        let refused = set(json!({"hue": "red"}), 3).await;
        assert!(matches!(refused, Err(DeviceError::Misfit(_))), "read only");
        let asked = ["bright", "hue"];
        let wanted = hub.desired_for_device(session, &asked).await.unwrap();
        assert_eq!(wanted, [("bright".into(), json!(5), 3)]);
        hub.desired_done(session, &[("bright", Some(2))])
            .await
            .unwrap();
        assert_eq!(
            hub.desired_for_device(session, &asked).await.unwrap().len(),
            1
        );
        hub.desired_done(session, &[("bright", Some(3))])
            .await
            .unwrap();
        assert!(
            hub.desired_for_device(session, &asked)
                .await
                .unwrap()
                .is_empty()
        );
        let told = hub
            .desired_of(&lamp.permit, &session.device, &["bright"])
            .await;
        let told = told.unwrap().remove(0);
        assert_eq!((told.value, told.version), (None, 3));
        // Nothing is wanted: 0 will do, and an older word does not hit the new wish.
        assert_eq!(set(json!({"bright": 7}), 0).await.unwrap().1["bright"], 4);
        hub.desired_done(session, &[("bright", Some(3))])
            .await
            .unwrap();
        assert_eq!(
            hub.desired_for_device(session, &asked).await.unwrap().len(),
            1
        );
        assert_eq!(set(json!({"bright": null}), 4).await.unwrap().0, None);
        assert!(
            hub.desired_for_device(session, &asked)
                .await
                .unwrap()
                .is_empty()
        );
    }

    /// [AL-6.8] A device that is away finds one order with the newest of all that was wanted.
    #[tokio::test]
    async fn what_was_wanted_of_a_device_that_is_away_is_one_order() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let set = async |items| {
            let none = Versions::new();
            let set = hub.desired_set(&lamp.permit, &session.device, object(items), &none);
            set.await.unwrap().0.expect("an order")
        };
        set(json!({"bright": 1})).await;
        set(json!({"bright": 2})).await;
        assert_eq!(hub.commands_waiting(session).await.unwrap().len(), 2);
        hub.session_leave(session).await.unwrap();
        for value in 3..200 {
            set(json!({"bright": value % 100})).await;
        }
        let last = set(json!({"bright": 9})).await;
        let waiting = hub.commands_waiting(session).await.unwrap();
        let newest = waiting.last().expect("one");
        assert_eq!(newest.id, last);
        assert_eq!(
            newest.order,
            Order::SetProperties(object(json!({"bright": 9})))
        );
        assert_eq!(waiting.len(), 2, "the first one, and all the others");
    }
}
