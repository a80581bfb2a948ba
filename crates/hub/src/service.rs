//! Services: invoked by applications, answered by devices ([AL-6.5]).

use crate::{
    Hub,
    account::Permit,
    property::{Page, PageWanted},
};
use model::{
    command::{Answer, Order},
    device::Device,
    error::DeviceError,
    id::{CommandId, DeviceKey},
    port::Stream,
    thing::{CallType, fit_service_input},
};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time;

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
        permit: &Permit,
        device: &DeviceKey,
        identifier: &str,
        input: Map<String, Value>,
    ) -> Result<Invoked, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let model = self.model_of(&device.key.product).await?;
        let (call, input) = fit_service_input(&model.tsl, identifier, &Value::Object(input))
            .map_err(|misfit| DeviceError::Misfit(format!("service {identifier} {misfit}")))?;
        let order = |sync| Order::Invoke {
            identifier: identifier.to_owned(),
            input,
            sync,
        };
        match call {
            CallType::Async => {
                let until = self.now().plus(self.limits.command_life);
                let command = self.command_send(&device, order(false), until).await?;
                Ok(Invoked::Accepted(command.id))
            }
            CallType::Sync => self.call(&device, order(true)).await,
        }
    }

    /// Gives a device that is connected an order and waits for its answer.
    pub(crate) async fn call(&self, device: &Device, order: Order) -> Result<Invoked, DeviceError> {
        if self.ports.presence.find(&device.iot_id).await?.is_none() {
            return Err(DeviceError::Offline);
        }
        let wait = self.limits.call_wait;
        // Listens before the order is stored, so that no answer is too fast.
        let mut call = self.calls.listen(&device.iot_id);
        // Nobody wants the answer to an order that is handed over after the caller has left.
        let until = self.now().plus(wait);
        let command = self.command_send(device, order, until).await?;
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or_default());
        match time::timeout(wait, call.answer(command.id)).await {
            Ok(Some(answer)) => Ok(Invoked::Answered(command.id, answer)),
            Ok(None) | Err(_) => Err(DeviceError::TimedOut),
        }
    }

    /// A page of the device's service calls, of one service where it is named; a point's value is
    /// `{"input": …, "output": …, "code": …, "message": …}`, and its time that of the answer. A
    /// call is in it once it was answered.
    ///
    /// # Errors
    /// `NotFound`, `BadPage`.
    pub async fn service_history(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        identifier: Option<&str>,
        wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.history_page(&device.iot_id, Stream::Service, identifier, None, wanted)
            .await
    }
}

#[cfg(test)]
mod tests;
