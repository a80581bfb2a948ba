//! Events: posted by devices, read by applications ([AL-6.4]).

use crate::{
    Hub,
    account::Permit,
    edge::Session,
    property::{Page, PageWanted},
};
use model::{
    error::{DeviceError, PostError},
    id::DeviceKey,
    thing::EventKind,
};
use serde_json::Value;

impl Hub {
    /// Keeps an event that fits the thing model; when it returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// `NoSuchFunction`, `Misfit`, `NotModelled`, `Fault`.
    pub async fn event_post(
        &self,
        _session: &Session,
        _identifier: &str,
        _params: &Value,
    ) -> Result<(), PostError> {
        todo!()
    }

    /// A page of the device's events, of one identifier and kind where they are named.
    ///
    /// # Errors
    /// `NotFound`, `BadPage`.
    pub async fn event_history(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _identifier: Option<&str>,
        _kind: Option<EventKind>,
        _wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        todo!()
    }

    /// Names of functions in the device's published model, by identifier (empty when unknown).
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn function_name(
        &self,
        _device: &DeviceKey,
        _identifier: &str,
    ) -> Result<String, DeviceError> {
        todo!()
    }
}
