//! A gateway's batch: properties and events of itself and of its sub-devices in one message
//! ([AL-6.7]).

use crate::{Hub, edge::Session, topo::gateway_only};
use model::{
    device::Device,
    error::{Fault, PostError, TopoError},
    fact::What,
    id::{DeviceKey, IotId, Time},
    thing::{fit_event, sift_properties},
};
use serde_json::{Map, Value};

/// Values of one property, or occurrences of one event, each as a device posts it.
pub type Items = Vec<(String, Value)>;

/// What one device says in a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Parcel {
    /// Properties.
    pub properties: Items,
    /// Events.
    pub events: Items,
}

/// Why a batch is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Because of what it says.
    #[error(transparent)]
    Post(#[from] PostError),
    /// Because of whom it speaks for.
    #[error(transparent)]
    Topo(#[from] TopoError),
}

impl From<Fault> for PackError {
    fn from(fault: Fault) -> Self {
        Self::Post(fault.into())
    }
}

impl Hub {
    /// Keeps a batch of the gateway itself and of sub-devices that are bound to it. All of it is
    /// checked before anything is kept: one value that does not fit refuses the whole (seed 001
    /// table 6-11). When it returns `Ok`, all is on disk; after a crash before that the gateway
    /// sends it again.
    ///
    /// # Errors
    /// `PackError`.
    pub async fn pack_post(
        &self,
        gateway: &Session,
        own: Parcel,
        subs: Vec<(DeviceKey, Parcel)>,
    ) -> Result<(), PackError> {
        gateway_only(gateway)?;
        if subs.len() > self.limits.pack_subs {
            let text = format!("more than {} sub-devices", self.limits.pack_subs);
            return Err(PostError::BadRequest(text).into());
        }
        let mut facts = self
            .parcel_facts(&gateway.device, &gateway.iot_id, own)
            .await?;
        for (key, parcel) in subs {
            let device = self.pack_sub(gateway, &key).await?;
            facts.extend(self.parcel_facts(&key, &device.iot_id, parcel).await?);
        }
        self.parcels_keep(facts).await
    }

    /// Keeps a history that a device, or its gateway for it, gathered while it was away.
    ///
    /// # Errors
    /// As `pack_post`.
    pub async fn history_post(
        &self,
        session: &Session,
        parcels: Vec<(DeviceKey, Parcel)>,
    ) -> Result<(), PackError> {
        if parcels.len() > self.limits.pack_subs {
            let text = format!("more than {} devices", self.limits.pack_subs);
            return Err(PostError::BadRequest(text).into());
        }
        let mut facts = Vec::new();
        for (key, parcel) in parcels {
            let id = if key == session.device {
                session.iot_id.clone()
            } else {
                gateway_only(session)?;
                self.pack_sub(session, &key).await?.iot_id
            };
            facts.extend(self.parcel_facts(&key, &id, parcel).await?);
        }
        self.parcels_keep(facts).await
    }

    async fn parcels_keep(&self, facts: Vec<(DeviceKey, IotId, What)>) -> Result<(), PackError> {
        // Together, so that they share the way to the disk.
        let kept = facts
            .into_iter()
            .map(async |(key, id, what)| self.fact(&key, &id, what).await);
        futures_util::future::try_join_all(kept).await?;
        Ok(())
    }

    async fn pack_sub(&self, gateway: &Session, key: &DeviceKey) -> Result<Device, TopoError> {
        let device = self.ports.devices.find(key).await?;
        let device = device.ok_or(TopoError::NoSuchDevice)?;
        self.rider_bound(&gateway.iot_id, &device.iot_id).await?;
        if device.disabled {
            return Err(TopoError::Disabled);
        }
        Ok(device)
    }

    async fn parcel_facts(
        &self,
        key: &DeviceKey,
        id: &IotId,
        parcel: Parcel,
    ) -> Result<Vec<(DeviceKey, IotId, What)>, PostError> {
        if parcel.properties.len() > self.limits.properties {
            return Err(PostError::TooManyProperties);
        }
        if parcel.events.len() > self.limits.pack_events {
            let text = format!("more than {} events", self.limits.pack_events);
            return Err(PostError::BadRequest(text));
        }
        if parcel.properties.is_empty() && parcel.events.is_empty() {
            return Ok(Vec::new());
        }
        let model = self.shelf_model(&key.product).await?;
        let tsl = &model.ok_or(PostError::NotModelled)?.tsl;
        let now = self.now();
        let mut facts = Vec::new();
        let mut values = Vec::with_capacity(parcel.properties.len());
        for (name, value) in parcel.properties {
            let post = Map::from_iter([(name, value)]);
            let mut sifted = sift_properties(tsl, &post, now.0);
            if let Some((name, misfit)) = sifted.dropped.pop() {
                return Err(PostError::Misfit(format!("property {name} {misfit}")));
            }
            for kept in sifted.kept {
                let time = self.time_told(Time(kept.time_ms), now);
                values.push((kept.identifier, kept.value, time));
            }
        }
        if !values.is_empty() {
            let what = What::PropertiesPosted { values };
            facts.push((key.clone(), id.clone(), what));
        }
        for (identifier, sent) in parcel.events {
            if tsl.event(&identifier).is_none() {
                return Err(PostError::NoSuchFunction("event"));
            }
            let event = fit_event(tsl, &identifier, &sent, now.0)
                .map_err(|misfit| PostError::Misfit(format!("event {identifier} {misfit}")))?;
            let what = What::EventPosted {
                kind: event.kind,
                output: Value::Object(event.output),
                time: self.time_told(Time(event.time_ms), now),
                identifier,
            };
            facts.push((key.clone(), id.clone(), what));
        }
        Ok(facts)
    }
}
