//! Wills that wait (MQTT 5 §3.1.3.2.2): one is void if its client is back in its session in time,
//! and published when its delay or the session is over, whichever comes first.

use crate::{
    client::Client,
    conn,
    door::Gate,
    router::{Kept, Router},
    seat::Seat,
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use wire::mqtt::{Millis, Publish, Will};

/// The message, once its time has come.
pub(crate) fn message(will: Will) -> Publish {
    let Will {
        topic,
        payload,
        qos,
        retain,
        mut properties,
    } = will;
    properties.retain(|property| !matches!(property, wire::mqtt::Property::WillDelayInterval(_)));
    Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id: None,
        properties,
        payload: payload.into_bytes(),
    }
}

/// How long a will waits, for what became of the session: `None` is not at all.
pub(crate) fn delay(will: &Will, kept: Kept, now: Millis) -> Option<Duration> {
    let seconds = will.properties.will_delay_interval().copied().unwrap_or(0);
    let left = match kept {
        Kept::Until(until) => Duration::from_millis(until.saturating_sub(now)),
        Kept::Not | Kept::TakenOver => return None,
    };
    Some(Duration::from_secs(seconds.into()).min(left)).filter(|delay| !delay.is_zero())
}

/// A will that waits for its time.
pub(crate) struct Waiting {
    pub(crate) gate: Arc<Gate>,
    pub(crate) router: Arc<Router>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) client: Client,
    pub(crate) publish: Publish,
    pub(crate) delay: Duration,
    /// Whoever waits for a stop waits for it, too.
    pub(crate) alive: mpsc::Sender<Infallible>,
}

impl Waiting {
    /// Waits. The seat sends a word when the client is back, and drops the sender when the session
    /// ends.
    pub(crate) fn begin(self) {
        let (void, back) = oneshot::channel();
        if !self.seat.lock().await_will(void) {
            // The client was faster.
            return;
        }
        tokio::spawn(async move {
            tokio::select! {
                biased;
                word = back => if word.is_ok() { return },
                () = self.gate.stopping() => {}
                () = sleep(self.delay) => {}
            }
            let Self {
                gate,
                router,
                seat,
                client,
                publish,
                ..
            } = &self;
            conn::publish_will(gate, router, seat, client, publish.clone()).await;
            drop(self.alive);
        });
    }
}
