//! Commands on their way to a device, and answers on their way back.

use crate::{Hub, edge::Session};
use model::{
    command::{Answer, Command},
    error::{Fault, PostError},
    id::CommandId,
};

/// Callers that wait for an answer.
#[derive(Default)]
pub struct Calls {}

impl Hub {
    /// Commands that wait for the session's device, oldest first, a bounded number at once.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn commands_waiting(&self, _session: &Session) -> Result<Vec<Command>, Fault> {
        todo!()
    }

    /// Notes that a command was handed to the device; false when it was so before.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn command_sent(
        &self,
        _session: &Session,
        _command: CommandId,
    ) -> Result<bool, Fault> {
        todo!()
    }

    /// Takes the device's answer: ends the command, journals it, wakes who waits. An answer to
    /// nothing is passed over (`Ok(false)`).
    ///
    /// # Errors
    /// `Fault`.
    pub async fn command_answered(
        &self,
        _session: &Session,
        _command: CommandId,
        _answer: Answer,
    ) -> Result<bool, PostError> {
        todo!()
    }
}
