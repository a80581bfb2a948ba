//! Wills as they are written down.

use super::Router;
use crate::{
    ledger::{Ledger, Turn, change::Change, replay},
    seat::{Seat, State},
    will::{Promise, Speaker, Vow},
};
use std::sync::Arc;
use tokio::sync::oneshot;
use wire::mqtt::{Millis, Rest};

impl Router {
    /// Writes down what a client vows, in the turn in which it arrives.
    pub(super) fn vow(
        &self,
        promise: Promise,
        seat: &Seat,
        book: &mut Option<Turn<'_>>,
    ) -> Arc<Vow> {
        let number = book.as_mut().map_or(0, Turn::generation);
        let vow = Vow::new(number, seat.session, seat.name.clone(), promise, None);
        let vow = Arc::new(vow);
        if let Some(turn) = book {
            self.note_vow(&vow, turn);
            self.vows.lock().insert(number, vow.clone());
        }
        vow
    }

    fn note_vow(&self, vow: &Vow, turn: &mut Turn<'_>) {
        let Promise {
            message,
            delay,
            owner,
            speaker,
        } = &vow.promise;
        turn.say(message);
        turn.note(&Change::Vowed {
            will: vow.number,
            session: vow.session,
            hall: self.hall.clone(),
            name: (&*vow.name).into(),
            owner: owner.clone(),
            delay: *delay,
            dialect: speaker.dialect.clone(),
            marks: speaker.marks,
        });
        if let Some(until) = vow.until() {
            let will = vow.number;
            turn.note(&Change::Deferred { will, until });
        }
    }

    /// The will is published or void, in this turn.
    pub(crate) fn end_vow(&self, vow: &Vow, book: &mut Option<Turn<'_>>) {
        if vow.number == 0 {
            return;
        }
        let known = self.vows.lock().remove(&vow.number).is_some();
        if let Some(turn) = book.as_mut().filter(|_| known) {
            turn.note(&Change::Unvowed { will: vow.number });
        }
    }

    /// The will is void.
    pub(crate) fn forget_vow(&self, vow: &Vow) {
        if vow.number != 0 {
            self.end_vow(vow, &mut self.turn());
        }
    }

    /// Lets a will wait; a word to `void` makes it void. False, and it is void, when its client is
    /// back already.
    pub(crate) fn wait(
        &self,
        seat: &Seat,
        vow: &Arc<Vow>,
        due: Millis,
        void: oneshot::Sender<()>,
    ) -> bool {
        let mut book = self.turn().filter(|_| vow.number != 0);
        let waits = seat.lock().await_will(vow.clone(), void);
        if !waits {
            self.end_vow(vow, &mut book);
        } else if vow.until() != Some(due) {
            vow.wait_until(due);
            if let Some(turn) = &mut book {
                let will = vow.number;
                turn.note(&Change::Deferred { will, until: due });
            }
        }
        waits
    }

    /// Takes back a will of a former process, after all sessions: the seat of its client, and what
    /// is due when. One that was not waiting is as if its client's connection had been lost now.
    pub(crate) fn restore_vow(&self, kept: replay::KeptVow) -> (Arc<Seat>, Arc<Vow>, Millis) {
        let now = self.now();
        let name: Arc<str> = (&*kept.name).into();
        let seat = self
            .find(&name)
            .filter(|seat| seat.is_durable() && seat.session == kept.session);
        let delay = u64::from(kept.delay).saturating_mul(1_000);
        let due = match &seat {
            Some(seat) => {
                let end = seat.lock().until.unwrap_or(now);
                let until = kept.until.unwrap_or(now.saturating_add(delay));
                until.min(end).max(now)
            }
            None => now,
        };
        let promise = Promise {
            message: kept.message,
            delay: kept.delay,
            owner: kept.owner,
            speaker: Speaker {
                dialect: kept.dialect,
                marks: kept.marks,
            },
        };
        let seat = seat.unwrap_or_else(|| {
            let owner = promise.owner.clone();
            Arc::new(self.seat(name.clone(), owner, 0, Rest::default()))
        });
        let vow = Vow::new(kept.will, kept.session, name, promise, kept.until);
        let vow = Arc::new(vow);
        self.vows.lock().insert(vow.number, vow.clone());
        (seat, vow, due)
    }

    /// Writes down all wills anew.
    pub(super) async fn renew_vows(&self, ledger: &Ledger) {
        let numbers: Vec<u64> = self.vows.lock().keys().copied().collect();
        for number in numbers {
            {
                let mut turn = ledger.turn();
                let vow = self.vows.lock().get(&number).cloned();
                if let Some(vow) = vow {
                    self.note_vow(&vow, &mut turn);
                }
            }
            ledger.breathe().await;
        }
    }
}

impl State {
    /// Keeps the means to make a will void; false when the client is back already.
    fn await_will(&mut self, vow: Arc<Vow>, void: oneshot::Sender<()>) -> bool {
        if self.live_session().is_some() {
            return false;
        }
        // A session that ended meanwhile is nobody's to come back to.
        self.will = self.until.is_some().then_some((vow, void));
        true
    }
}
