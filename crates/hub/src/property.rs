//! Properties: posted by devices, set and read by applications ([AL-6.3]).

use crate::{Hub, account::Permit, edge::Session};
use model::{
    error::{DeviceError, PostError},
    id::{CommandId, DeviceKey, Time},
    port::Point,
};
use serde_json::{Map, Value};

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
    /// Where the next page begins in the order asked for, when there is one.
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
    /// Identifier.
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
        _session: &Session,
        _params: &Map<String, Value>,
    ) -> Result<Posted, PostError> {
        todo!()
    }

    /// Asks the device to set properties; its answer comes later.
    ///
    /// # Errors
    /// `NotFound`, `Misfit`, `NotModelled`, `TooMuch`.
    pub async fn property_set(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _items: Map<String, Value>,
    ) -> Result<CommandId, DeviceError> {
        todo!()
    }

    /// The latest values of all properties of the thing model (of one block, when it is named).
    ///
    /// # Errors
    /// `NotFound`, `NotModelled`.
    pub async fn property_latest(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _block: Option<&str>,
    ) -> Result<Vec<Latest>, DeviceError> {
        todo!()
    }

    /// A page of a property's history. All that was acknowledged before the call is in it.
    ///
    /// # Errors
    /// `NotFound`, `BadPage`, `Misfit` for a property that the model does not have.
    pub async fn property_history(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _identifier: &str,
        _wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        todo!()
    }
}
