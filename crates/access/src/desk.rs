//! What connections ask of the hub once a dialect has let a device in.

use async_trait::async_trait;
use hub::{Hub, edge::Session};
use model::{
    command::Command,
    error::Fault,
    id::{CommandId, IotId},
};

/// The hub's verbs that are the same for every dialect. A trait, so that tests of sockets need no
/// store.
#[async_trait]
pub(crate) trait Desk: Send + Sync {
    /// `Hub::session_leave`.
    async fn leave(&self, session: &Session) -> Result<bool, Fault>;
    /// `Hub::session_offline`.
    async fn offline(&self, session: &Session, reason: &str) -> Result<(), Fault>;
    /// `Hub::commands_waiting`.
    async fn waiting(&self, session: &Session) -> Result<Vec<Command>, Fault>;
    /// `Hub::command_sent`.
    async fn sent(&self, session: &Session, command: CommandId) -> Result<bool, Fault>;
    /// `Hub::session_recall`.
    async fn recall(&self, device: &IotId, marks: u32) -> Result<Option<Session>, Fault>;
    /// Counts a message from a device.
    fn up(&self);
    /// Counts messages to devices.
    fn down(&self, count: u64);
    /// Counts messages that were dropped.
    fn dropped(&self, reason: &'static str, count: u64);
    /// Counts a login that failed too often to be answered at once.
    fn throttled(&self, answer: &'static str);
}

#[async_trait]
impl Desk for Hub {
    async fn leave(&self, session: &Session) -> Result<bool, Fault> {
        self.session_leave(session).await
    }

    async fn offline(&self, session: &Session, reason: &str) -> Result<(), Fault> {
        self.session_offline(session, reason).await
    }

    async fn waiting(&self, session: &Session) -> Result<Vec<Command>, Fault> {
        self.commands_waiting(session).await
    }

    async fn sent(&self, session: &Session, command: CommandId) -> Result<bool, Fault> {
        self.command_sent(session, command).await
    }

    async fn recall(&self, device: &IotId, marks: u32) -> Result<Option<Session>, Fault> {
        self.session_recall(device, marks).await
    }

    fn up(&self) {
        self.metrics().message_up();
    }

    fn down(&self, count: u64) {
        self.metrics().messages_down(count);
    }

    fn dropped(&self, reason: &'static str, count: u64) {
        self.metrics().publishes_dropped(reason, count);
    }

    fn throttled(&self, answer: &'static str) {
        self.metrics().login_throttled(answer);
    }
}
