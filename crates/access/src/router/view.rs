//! What an operator sees of sessions.

use super::{Router, millis};
use model::id::Time;
use std::ops::AddAssign;
use wire::mqtt::Millis;

/// What there is of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionView {
    /// Whether a client is connected to it.
    pub connected: bool,
    /// Whether it outlives the process.
    pub durable: bool,
    /// Seconds that it is kept once its client is gone; none while it is away.
    pub life: Option<u64>,
    /// When it ends, while its client is away.
    pub until: Option<Time>,
    /// Subscriptions.
    pub subscriptions: usize,
    /// QoS 1 and 2 messages that wait for a place in flight, or for the client to come back.
    pub queued: usize,
    /// QoS 1 and 2 messages on their way.
    pub inflight: usize,
    /// Bytes of those that wait, and of a session that outlives the process of those on their way.
    pub bytes: usize,
    /// Messages that were dropped because the queue was full.
    pub overflowed: u64,
    /// Messages whose time was over before they were sent.
    pub expired: u64,
    /// Messages at QoS 0 that came while the client was away.
    pub offline: u64,
    /// Messages that were larger than the client takes.
    pub oversized: u64,
}

/// Sums over all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions with a client.
    pub connected: u64,
    /// Sessions whose client is away.
    pub away: u64,
    /// QoS 1 and 2 messages that wait.
    pub queued: u64,
    /// QoS 1 and 2 messages on their way.
    pub inflight: u64,
    /// Their bytes, see `SessionView::bytes`.
    pub bytes: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.connected += other.connected;
        self.away += other.away;
        self.queued += other.queued;
        self.inflight += other.inflight;
        self.bytes += other.bytes;
    }
}

impl Router {
    /// What there is of the session of this client.
    pub(crate) fn view(&self, name: &str) -> Option<SessionView> {
        let seat = self.find(name)?;
        let state = seat.lock();
        let counts = *state.mqtt.counts();
        let connected = state.live_session().is_some();
        let longest = millis(self.common.terms.session_life);
        let life = state.mqtt.link().filter(|_| connected).map(|link| {
            let asked = link.expiry.deadline(0).unwrap_or(Millis::MAX);
            asked.min(longest) / 1_000
        });
        Some(SessionView {
            connected,
            durable: seat.is_durable(),
            life,
            until: state
                .until
                .map(|until| Time(i64::try_from(until).unwrap_or(i64::MAX))),
            subscriptions: state.mqtt.subscriptions().len(),
            queued: state.mqtt.queued(),
            inflight: state.mqtt.inflight(),
            bytes: state.mqtt.bytes(),
            overflowed: counts.overflowed,
            expired: counts.expired,
            offline: counts.offline,
            oversized: counts.oversized,
        })
    }

    /// Sums over all sessions here. Takes every seat's lock once.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            for seat in shard.lock().values() {
                let state = seat.lock();
                let connected = state.live_session().is_some();
                totals += Totals {
                    connected: u64::from(connected),
                    away: u64::from(!connected),
                    queued: state.mqtt.queued() as u64,
                    inflight: state.mqtt.inflight() as u64,
                    bytes: state.mqtt.bytes() as u64,
                };
            }
        }
        totals
    }
}
