//! Services: invoked by applications, answered by devices ([AL-6.5]).

use crate::{
    Hub,
    account::Permit,
    property::{Page, PageWanted},
};
use model::{
    command::Answer,
    error::DeviceError,
    id::{CommandId, DeviceKey},
};
use serde_json::{Map, Value};

/// What an invocation gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Invoked {
    /// The order is stored; the answer comes later.
    Accepted(CommandId),
    /// The device answered while the caller waited (synchronous services).
    Answered(CommandId, Answer),
}

impl Hub {
    /// Asks the device to run a service. A synchronous one is waited for.
    ///
    /// # Errors
    /// `NotFound`, `Misfit`, `NotModelled`, `TooMuch`; `Offline` and `TimedOut` for synchronous
    /// services.
    pub async fn service_invoke(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _identifier: &str,
        _input: Map<String, Value>,
    ) -> Result<Invoked, DeviceError> {
        todo!()
    }

    /// A page of the device's service calls, of one service where it is named; a point's value is
    /// `{"input": …, "output": …}`.
    ///
    /// # Errors
    /// `NotFound`, `BadPage`.
    pub async fn service_history(
        &self,
        _permit: &Permit,
        _device: &DeviceKey,
        _identifier: Option<&str>,
        _wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        todo!()
    }
}
