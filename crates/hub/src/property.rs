//! Properties: posted by devices, set and read by applications ([AL-6.3]).

use crate::{Hub, account::Permit, edge::Session, service::Invoked, shelf::ShelvedModel};
use model::{
    command::{Answer, Order},
    error::{DeviceError, PostError},
    fact::What,
    id::{CommandId, DeviceKey, ProductKey, Time},
    port::{Point, Stream},
    thing::{fit_settable, sift_properties},
};
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};

/// What was kept of a post.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// Identifiers of what was kept.
    pub kept: Vec<String>,
    /// What was dropped because it does not fit the thing model, with the reason.
    pub dropped: Vec<(String, String)>,
}

/// A page of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The points.
    pub points: Vec<Point>,
    /// Where the next page begins in the order asked for, when there is one: the time to give as
    /// `from` (oldest first) or as `to` (newest first). No point is lost or told twice so, since
    /// a page has all points of a millisecond or none; it may therefore be shorter than asked
    /// for, or longer where one millisecond has more points than a page.
    pub next: Option<Time>,
}

/// What page of a history is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWanted {
    /// From this time on (inclusive).
    pub from: Time,
    /// Up to this time (inclusive).
    pub to: Time,
    /// Oldest first, or newest first.
    pub oldest_first: bool,
    /// At most so many points.
    pub most: usize,
}

/// The latest value of a property beside its definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Latest {
    /// Identifier, as devices call it (`block:identifier` outside the default block).
    pub identifier: String,
    /// Name in the thing model.
    pub name: String,
    /// Data type as the TSL spells it, such as `int`.
    pub data_type: String,
    /// Unit; empty for none.
    pub unit: String,
    /// The value and its time; none while the device never posted it.
    pub value: Option<(Value, Time)>,
}

impl Hub {
    /// Keeps what fits the thing model; when it returns `Ok`, that is on disk.
    ///
    /// # Errors
    /// `TooManyProperties`, `NotModelled`, `Fault`.
    pub async fn property_post(
        &self,
        session: &Session,
        params: &Map<String, Value>,
    ) -> Result<Posted, PostError> {
        if params.len() > self.limits.properties {
            return Err(PostError::TooManyProperties);
        }
        let model = self.shelf_model(&session.device.product).await?;
        let model = model.ok_or(PostError::NotModelled)?;
        let now = self.now();
        let sifted = sift_properties(&model.tsl, params, now.0);
        let dropped = sifted
            .dropped
            .into_iter()
            .map(|(name, misfit)| (name, misfit.to_string()))
            .collect();
        let mut kept = Vec::with_capacity(sifted.kept.len());
        let mut values = Vec::with_capacity(sifted.kept.len());
        for property in sifted.kept {
            kept.push(property.identifier.clone());
            let time = self.time_told(Time(property.time_ms), now);
            values.push((property.identifier, property.value, time));
        }
        if !values.is_empty() {
            let what = What::PropertiesPosted { values };
            self.fact(&session.device, &session.iot_id, what).await?;
        }
        Ok(Posted { kept, dropped })
    }

    /// The time that a device gave, unless its clock is ahead: then its latest value would hide what
    /// it posts after its clock was set right.
    pub(crate) fn time_told(&self, told: Time, now: Time) -> Time {
        let latest = now.plus(self.limits.device_ahead);
        if told > latest { now } else { told }
    }

    /// Asks the device to set properties; its answer comes later.
    ///
    /// # Errors
    /// `NotFound`, `Misfit`, `NotModelled`, `BadRequest` for no property at all, `TooMuch`.
    pub async fn property_set(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        items: Map<String, Value>,
    ) -> Result<CommandId, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        if items.is_empty() {
            return Err(DeviceError::BadRequest("no property is given".into()));
        }
        if items.len() > self.limits.properties {
            let text = format!("more than {} properties at once", self.limits.properties);
            return Err(DeviceError::TooMuch(text));
        }
        let items = fit_settable(&model.tsl, &items)
            .map_err(|error| DeviceError::Misfit(error.to_string()))?;
        let until = self.now().plus(self.limits.command_life);
        let order = Order::SetProperties(items);
        Ok(self.command_send(&device, order, until).await?.id)
    }

    /// Asks a device that is connected for values of its properties (of all when none is named),
    /// and waits for its answer. What it answers is kept like what it posts.
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`, `Misfit` for a property that the model does not have, `TooMuch`,
    /// `Offline`, `TimedOut`.
    pub async fn property_ask(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        names: Vec<String>,
    ) -> Result<Answer, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        if names.len() > self.limits.properties {
            let text = format!("more than {} properties at once", self.limits.properties);
            return Err(DeviceError::TooMuch(text));
        }
        let unknown = |name: &&String| model.tsl.property(name).is_none();
        if let Some(name) = names.iter().find(unknown) {
            let text = format!("there is no property {name} in the thing model");
            return Err(DeviceError::Misfit(text));
        }
        match self.call(&device, Order::GetProperties(names)).await? {
            Invoked::Answered(_, answer) => Ok(answer),
            Invoked::Accepted(_) => Err(DeviceError::TimedOut),
        }
    }

    /// Keeps what a device answered when it was asked for its properties.
    pub(crate) async fn property_told(
        &self,
        session: &Session,
        answer: &Answer,
    ) -> Result<(), PostError> {
        let Value::Object(values) = &answer.data else {
            return Ok(());
        };
        if answer.code != 200 {
            return Ok(());
        }
        match self.property_post(session, values).await {
            // The answer itself is journalled all the same.
            Ok(_) | Err(PostError::TooManyProperties | PostError::NotModelled) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The latest values of all properties of the thing model (of one block, when it is named).
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`.
    pub async fn property_latest(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        block: Option<&str>,
    ) -> Result<Vec<Latest>, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        self.history_caught_up().await?;
        let latest = self.ports.series.latest(&device.iot_id).await?;
        let mut values: HashMap<String, (Value, Time)> = latest
            .into_iter()
            .map(|point| (point.identifier, (point.value, point.at)))
            .collect();
        let of_block = |name: &str| match block {
            None => true,
            Some(block) => name.split_once(':').is_some_and(|(id, _)| id == block),
        };
        let properties = model.tsl.properties().filter(|(name, _)| of_block(name));
        Ok(properties
            .map(|(identifier, property)| Latest {
                name: property.name.clone(),
                data_type: property.data.word().to_owned(),
                unit: property.data.unit().to_owned(),
                value: values.remove(&identifier),
                identifier,
            })
            .collect())
    }

    /// A page of a property's history. All that was acknowledged before the call is in it.
    ///
    /// # Errors
    /// `NotFound`, `BadPage`, `NotModelled`, `Misfit` for a property that the model does not have.
    pub async fn property_history(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        identifier: &str,
        wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        if model.tsl.property(identifier).is_none() {
            let text = "there is no such property in the thing model";
            return Err(DeviceError::Misfit(text.into()));
        }
        let stream = Stream::Property;
        self.history_page(&device.iot_id, stream, Some(identifier), None, wanted)
            .await
    }

    /// The model that devices of a product are held to.
    pub(crate) async fn model_of(
        &self,
        product: &ProductKey,
    ) -> Result<Arc<ShelvedModel>, DeviceError> {
        let model = self.shelf_model(product).await?;
        model.ok_or(DeviceError::NotModelled)
    }
}
