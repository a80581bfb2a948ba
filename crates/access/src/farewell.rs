//! The end of sessions: each one that the hub opened is closed there exactly once, however its
//! connection ends, be it by a panic.

use crate::desk::Desk;
use hub::edge::Session;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};
use tracing::error;

/// Sessions that are being closed at once; after the fall of a network there are many.
const AT_ONCE: usize = 64;
/// How often a close is tried when the engine has passing trouble.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Closes sessions, a bounded number at once.
pub(crate) struct Farewell {
    desk: Arc<dyn Desk>,
    turns: Semaphore,
    alive: mpsc::WeakSender<Infallible>,
}

impl Farewell {
    /// Whoever listens to the other end of `alive`, which every connection's task holds, knows
    /// when the last session is closed.
    pub(crate) fn new(desk: Arc<dyn Desk>, alive: mpsc::WeakSender<Infallible>) -> Self {
        Self {
            desk,
            turns: Semaphore::new(AT_ONCE),
            alive,
        }
    }

    /// Takes a session into care; it is closed when the guard is dropped.
    pub(crate) fn guard(self: &Arc<Self>, session: Arc<Session>) -> Admitted {
        Admitted {
            farewell: self.clone(),
            session,
            reason: "the connection's task failed",
        }
    }
}

/// A session that is open in the hub.
pub(crate) struct Admitted {
    farewell: Arc<Farewell>,
    session: Arc<Session>,
    reason: &'static str,
}

impl Admitted {
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Ends the session for this reason.
    pub(crate) fn close(mut self, reason: &'static str) {
        self.reason = reason;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // Outside of a runtime there is no engine to tell either.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let farewell = self.farewell.clone();
        let alive = farewell.alive.upgrade();
        let (session, reason) = (self.session.clone(), self.reason);
        runtime.spawn(async move {
            let _turn = farewell.turns.acquire().await;
            for left in (0..TRIES).rev() {
                match farewell.desk.close(&session, reason).await {
                    Ok(()) => break,
                    Err(fault) if fault.retry && left > 0 => tokio::time::sleep(PAUSE).await,
                    Err(fault) => {
                        error!(device = %session.device, %fault, "a session was not closed");
                        break;
                    }
                }
            }
            drop(alive);
        });
    }
}
