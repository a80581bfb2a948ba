//! Events: posted by devices, read by applications ([AL-6.4]).

use crate::{
    Hub,
    account::Permit,
    edge::Session,
    property::{Page, PageWanted},
};
use model::{
    error::{DeviceError, PostError},
    fact::What,
    id::{DeviceKey, Time},
    port::Stream,
    thing::{EventKind, fit_event},
};
use serde_json::Value;

impl Hub {
    /// Keeps an event that fits the thing model; when it returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// `NoSuchFunction`, `Misfit`, `NotModelled`, `Fault`.
    pub async fn event_post(
        &self,
        session: &Session,
        identifier: &str,
        params: &Value,
    ) -> Result<(), PostError> {
        let model = self.shelf_model(&session.device.product).await?;
        let model = model.ok_or(PostError::NotModelled)?;
        if model.tsl.event(identifier).is_none() {
            return Err(PostError::NoSuchFunction("event"));
        }
        let now = self.now();
        let event = fit_event(&model.tsl, identifier, params, now.0)
            .map_err(|misfit| PostError::Misfit(format!("event {identifier} {misfit}")))?;
        let what = What::EventPosted {
            identifier: identifier.to_owned(),
            kind: event.kind,
            output: Value::Object(event.output),
            time: self.time_told(Time(event.time_ms), now),
        };
        self.fact(&session.device, &session.iot_id, what).await?;
        Ok(())
    }

    /// A page of the device's events, of one identifier and kind where they are named. All that
    /// was acknowledged before the call is in it.
    ///
    /// # Errors
    /// `NotFound`, `BadPage`.
    pub async fn event_history(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        identifier: Option<&str>,
        kind: Option<EventKind>,
        wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.history_page(&device.iot_id, Stream::Event, identifier, kind, wanted)
            .await
    }

    /// Names of functions in the device's published model, by identifier (empty when unknown).
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn function_name(
        &self,
        device: &DeviceKey,
        identifier: &str,
    ) -> Result<String, DeviceError> {
        let Some(model) = self.shelf_model(&device.product).await? else {
            return Ok(String::new());
        };
        let tsl = &model.tsl;
        let name = tsl
            .property(identifier)
            .map(|property| &property.name)
            .or_else(|| tsl.event(identifier).map(|event| &event.name))
            .or_else(|| tsl.service(identifier).map(|service| &service.name));
        Ok(name.cloned().unwrap_or_default())
    }
}
