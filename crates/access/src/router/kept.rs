//! What of a router outlives the process: taken back at the start, and written down anew when the
//! log has become long.

use super::{Route, Router, SHARDS, millis};
use crate::{
    ledger::{Ledger, Turn, change::Change, replay},
    seat::Seat,
};
use std::sync::{Arc, atomic::Ordering};
use wire::mqtt::{Expiry, Millis, Stage};

/// Retained messages that are written down in one turn.
const AT_ONCE: usize = 64;

impl Router {
    /// What the ledger calls it.
    pub(crate) fn hall(&self) -> &str {
        &self.hall
    }

    /// Takes back a session, be it one whose time is over by now: `sweep` ends it. Called before
    /// anybody is let in.
    pub(crate) fn restore(&self, mut kept: replay::Kept) {
        let now = self.now();
        let longest = now.saturating_add(millis(self.common.terms.session_life));
        // Who was connected when the process ended has been away since then.
        let until = match kept.until {
            Some(until) => until.min(longest),
            None => kept
                .expiry
                .deadline(now)
                .map_or(longest, |end| end.min(longest)),
        };
        if kept.until.is_none()
            && let Some(turn) = &mut self.turn()
        {
            let session = kept.session;
            turn.note(&Change::Detached { session, until });
        }
        let name: Arc<str> = (&*kept.name).into();
        let rest = kept.rest();
        let seat = Arc::new(self.seat(name.clone(), kept.owner, kept.session, rest));
        {
            let mut state = seat.lock();
            state.restore(kept.implicit, kept.off, until);
            let mut routes = self.routes.write();
            for subscription in state.mqtt.subscriptions() {
                let filter = &subscription.filter;
                routes.insert(filter, Route::new(&seat, filter), ());
            }
        }
        self.shard(&name).lock().insert(name, seat.clone());
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.away.lock().insert((until, number), seat);
    }

    /// Takes back a retained message.
    pub(crate) fn restore_retained(&self, message: Arc<wire::mqtt::Message>) {
        self.retained.lock().put(message);
    }

    /// Writes down all that is there.
    pub(crate) async fn renew(&self, ledger: &Ledger) {
        for shard in 0..SHARDS {
            let seats: Vec<_> = self.shards[shard].lock().values().cloned().collect();
            for seat in seats.iter().filter(|seat| seat.is_durable()) {
                {
                    let mut turn = ledger.turn();
                    // One that is over meanwhile must not come back.
                    let current = self.shards[shard].lock().get(&seat.name).cloned();
                    if current.is_some_and(|current| Arc::ptr_eq(&current, seat)) {
                        self.renew_seat(seat, &mut turn);
                    }
                }
                ledger.breathe().await;
            }
        }
        self.renew_vows(ledger).await;
        let mut after = None;
        loop {
            {
                let mut turn = ledger.turn();
                let retained = self.retained.lock();
                let next = |topic: &String| after.as_ref().is_none_or(|after| topic > after);
                let some: Vec<_> = match &after {
                    None => retained.messages.iter().take(AT_ONCE).collect(),
                    Some(after) => retained
                        .messages
                        .range::<String, _>(after..)
                        .filter(|(topic, _)| next(topic))
                        .take(AT_ONCE)
                        .collect(),
                };
                let Some((last, _)) = some.last() else {
                    return;
                };
                for (_, message) in &some {
                    turn.say(message);
                    turn.note(&Change::Retained {
                        hall: self.hall.clone(),
                    });
                }
                after = Some((*last).clone());
            }
            ledger.breathe().await;
        }
    }

    fn renew_seat(&self, seat: &Seat, turn: &mut Turn<'_>) {
        let state = seat.lock();
        let session = seat.session;
        let expiry = state.mqtt.link().map_or(Expiry::Never, |link| link.expiry);
        turn.note(&Change::Opened {
            session,
            hall: self.hall.clone(),
            name: (&*seat.name).into(),
            owner: seat.owner.clone(),
            expiry,
            implicit: state.is_implicit(),
        });
        let rest = state.mqtt.rest();
        for subscription in rest.subscriptions {
            turn.note(&Change::Subscribed {
                session,
                subscription,
            });
        }
        for filter in state.off() {
            turn.note(&Change::Switched {
                session,
                filter: filter.clone(),
                on: false,
            });
        }
        // Before what is due: what comes to somebody who is away was not sent.
        if let Some(until) = state.until {
            turn.note(&Change::Detached { session, until });
        }
        for due in rest.due {
            let (qos, retain, subscription_ids) = match &due.delivery {
                Some(delivery) => {
                    turn.say(&delivery.message);
                    let ids = delivery.subscription_ids.clone();
                    (delivery.qos, delivery.retain, ids)
                }
                None => (wire::mqtt::QoS::ExactlyOnce, false, Vec::new()),
            };
            debug_assert!(due.delivery.is_some() || due.stage == Stage::Released);
            turn.note(&Change::Due {
                session,
                id: due.id,
                stage: due.stage,
                qos,
                retain,
                subscription_ids,
            });
        }
        for id in rest.receipts {
            turn.note(&Change::Receipt { session, id });
        }
    }
}

/// The wall clock's time in the form of ours.
pub(crate) fn epoch(now: model::id::Time) -> Millis {
    u64::try_from(now.0).unwrap_or(0)
}

#[cfg(test)]
impl Router {
    /// All retained messages.
    pub(crate) fn all_retained(&self) -> Vec<Arc<wire::mqtt::Message>> {
        self.retained.lock().messages.values().cloned().collect()
    }

    /// All wills.
    pub(crate) fn all_vows(&self) -> Vec<Arc<crate::will::Vow>> {
        self.vows.lock().values().cloned().collect()
    }
}
