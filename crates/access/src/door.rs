//! What all connections share, and how all of them come to an end.

use crate::{
    desk::Desk,
    farewell::Farewell,
    listen::HttpService,
    router::{Router, Tally},
    settings::Bounds,
    throttle::Throttle,
};
use hub::edge::Dialect;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Clients that are told at once that there is no room for them.
const LOBBY: usize = 64;

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Open,
    /// Nobody is let in any more; sessions end.
    Stopping,
    /// Who is still here is cut off.
    GivingUp,
}

pub(crate) struct Gate {
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) dialects: Vec<Arc<dyn Dialect>>,
    pub(crate) router: Router,
    pub(crate) http: Option<HttpService>,
    pub(crate) bounds: Bounds,
    pub(crate) throttle: Throttle,
    pub(crate) farewell: Arc<Farewell>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) lobby: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
}

impl Gate {
    pub(crate) fn new(
        desk: Arc<dyn Desk>,
        dialects: Vec<Arc<dyn Dialect>>,
        http: Option<HttpService>,
        bounds: Bounds,
        farewell: Farewell,
    ) -> Self {
        Self {
            desk,
            dialects,
            router: Router::new(&bounds),
            http,
            throttle: Throttle::new(bounds.failures),
            farewell: Arc::new(farewell),
            places: Arc::new(Semaphore::new(
                bounds.connections.min(Semaphore::MAX_PERMITS),
            )),
            lobby: Arc::new(Semaphore::new(LOBBY)),
            stage: watch::Sender::new(Stage::Open),
            bounds,
        }
    }

    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Counts what became of messages to devices.
    pub(crate) fn count(&self, tally: Tally) {
        if tally.on > 0 {
            self.desk.down(tally.on);
        }
        for _ in 0..tally.dropped {
            self.desk.dropped("not taken");
        }
    }

    /// Returns when a stop has begun.
    pub(crate) async fn stopping(&self) {
        self.reached(Stage::Stopping).await;
    }

    /// Returns when a stop waits no longer.
    pub(crate) async fn giving_up(&self) {
        self.reached(Stage::GivingUp).await;
    }

    async fn reached(&self, stage: Stage) {
        let mut now = self.stage.subscribe();
        // Fails only without a sender, and we are it.
        let _ = now.wait_for(|now| *now >= stage).await;
    }
}
