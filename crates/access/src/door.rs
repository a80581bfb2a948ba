//! What all connections share, and how all of them come to an end.

use crate::{
    client::Rules,
    desk::Desk,
    farewell::Farewell,
    listen::HttpService,
    memory::Memory,
    router::{Keeping, Router, Tally},
    settings::{Bounds, Terms},
    throttle::Throttle,
};
use hub::edge::Dialect;
use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism};
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

/// A tree of topics and those who meet there.
pub(crate) struct Hall {
    pub(crate) router: Arc<Router>,
    /// The rules of a plain listener; none where devices meet.
    pub(crate) rules: Option<Arc<Rules>>,
}

impl Hall {
    pub(crate) fn of_devices(bounds: &Bounds, keeping: Keeping, desk: &Arc<dyn Desk>) -> Arc<Self> {
        let router = Router::new(bounds, Terms::of(bounds), keeping, desk.clone());
        Arc::new(Self {
            router: Arc::new(router),
            rules: None,
        })
    }

    pub(crate) fn of_guests(
        bounds: &Bounds,
        rules: Rules,
        keeping: Keeping,
        desk: &Arc<dyn Desk>,
    ) -> Arc<Self> {
        let router = Router::new(bounds, rules.plain.terms.clone(), keeping, desk.clone());
        Arc::new(Self {
            router: Arc::new(router),
            rules: Some(Arc::new(rules)),
        })
    }
}

pub(crate) struct Gate {
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) dialects: Vec<Arc<dyn Dialect>>,
    /// The hall of devices first, then those of plain listeners.
    pub(crate) halls: Vec<Arc<Hall>>,
    /// The router of devices, for whom the bus has words.
    pub(crate) devices: Arc<Router>,
    pub(crate) http: Option<HttpService>,
    pub(crate) bounds: Bounds,
    pub(crate) throttle: Throttle,
    pub(crate) farewell: Arc<Farewell>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) lobby: Arc<Semaphore>,
    pub(crate) memory: Arc<Memory>,
    /// Turns of TLS handshakes at their costly step.
    pub(crate) handshakes: Semaphore,
    stage: watch::Sender<Stage>,
}

impl Gate {
    pub(crate) fn new(
        desk: Arc<dyn Desk>,
        dialects: Vec<Arc<dyn Dialect>>,
        halls: Vec<Arc<Hall>>,
        devices: &Hall,
        http: Option<HttpService>,
        bounds: Bounds,
        farewell: Farewell,
    ) -> Self {
        Self {
            desk,
            dialects,
            halls,
            devices: devices.router.clone(),
            http,
            throttle: Throttle::new(bounds.failures, bounds.address_failures),
            farewell: Arc::new(farewell),
            places: Arc::new(Semaphore::new(
                bounds.connections.min(Semaphore::MAX_PERMITS),
            )),
            lobby: Arc::new(Semaphore::new(LOBBY)),
            memory: Memory::new(bounds.memory),
            handshakes: Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get)),
            stage: watch::Sender::new(Stage::Open),
            bounds,
        }
    }

    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Counts messages that went to their receivers; those that were dropped are counted there.
    pub(crate) fn count(&self, tally: Tally) {
        if tally.on > 0 {
            self.desk.down(tally.on);
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
