//! The end of sessions: each one that the hub opened is closed there exactly once, however its
//! connection ends, be it by a panic.

use crate::desk::Desk;
use futures_util::future::BoxFuture;
use hub::edge::Session;
use model::error::Fault;
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
            let desk = &farewell.desk;
            let closed = async {
                if persist(|| desk.leave(&session)).await? {
                    persist(|| desk.offline(&session, reason)).await?;
                }
                Ok::<(), Fault>(())
            };
            if let Err(fault) = closed.await {
                error!(device = %session.device, %fault, "a session was not closed");
            }
            drop(alive);
        });
    }
}

/// Does it again after a pause while the engine has passing trouble. What was done before is not
/// done again with it: a place that was given back once is nobody's to give back.
async fn persist<'a, T>(work: impl Fn() -> BoxFuture<'a, Result<T, Fault>>) -> Result<T, Fault> {
    for _ in 1..TRIES {
        match work().await {
            Err(fault) if fault.retry => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    work().await
}
