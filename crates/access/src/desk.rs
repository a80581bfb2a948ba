//! What connections ask of the hub once a dialect has let a device in.

use async_trait::async_trait;
use hub::{Hub, edge::Session, rider::Due};
use model::{
    command::Command,
    error::Fault,
    id::{CommandId, IotId, ProductKey, SessionId},
    port::CloseReason,
    topo::Notice,
};
use std::{collections::HashSet, sync::Arc};

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
    /// `Hub::rider_carrier`.
    fn carrier(&self, _sub: &IotId) -> Option<IotId> {
        None
    }
    /// `Hub::rider_carriers`.
    fn carriers(&self, _product: &ProductKey) -> HashSet<IotId> {
        HashSet::new()
    }
    /// `Hub::rider_due`.
    fn rider_due(&self, _sub: &IotId) -> Option<IotId> {
        None
    }
    /// `Hub::rider_part`.
    fn rider_part(
        &self,
        _sub: &IotId,
        _session: Option<SessionId>,
        _reason: CloseReason,
    ) -> Option<IotId> {
        None
    }
    /// `Hub::rider_notice`.
    fn notice(&self, _gateway: &IotId, _notice: Notice) -> bool {
        false
    }
    /// `Hub::rider_given`.
    fn rider_given(&self, _gateway: &Session, _rider: &Arc<Session>, _command: CommandId) {}
    /// `Hub::rider_whose`.
    fn rider_whose(&self, _gateway: &Session, _command: CommandId) -> Option<Arc<Session>> {
        None
    }
    /// `Hub::riders_due`.
    fn riders_due(&self, _gateway: &Session) -> Vec<Due> {
        Vec::new()
    }
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

    fn carrier(&self, sub: &IotId) -> Option<IotId> {
        self.rider_carrier(sub)
    }

    fn carriers(&self, product: &ProductKey) -> HashSet<IotId> {
        self.rider_carriers(product)
    }

    fn rider_due(&self, sub: &IotId) -> Option<IotId> {
        Hub::rider_due(self, sub)
    }

    fn rider_part(
        &self,
        sub: &IotId,
        session: Option<SessionId>,
        reason: CloseReason,
    ) -> Option<IotId> {
        Hub::rider_part(self, sub, session, reason)
    }

    fn notice(&self, gateway: &IotId, notice: Notice) -> bool {
        self.rider_notice(gateway, notice)
    }

    fn rider_given(&self, gateway: &Session, rider: &Arc<Session>, command: CommandId) {
        Hub::rider_given(self, gateway, rider, command);
    }

    fn rider_whose(&self, gateway: &Session, command: CommandId) -> Option<Arc<Session>> {
        Hub::rider_whose(self, gateway, command)
    }

    fn riders_due(&self, gateway: &Session) -> Vec<Due> {
        Hub::riders_due(self, gateway)
    }
}
