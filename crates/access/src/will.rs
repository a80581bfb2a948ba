//! Wills (MQTT 3.1.1 §3.1.2.5, MQTT 5 §3.1.3.2.2): a client vows a message when it comes, which is
//! published when its connection is lost: at once, or when its delay or its session is over,
//! whichever comes first. It is void if the client leaves in order, or is back in its session while
//! it waits.
//!
//! A vow is written down with all else that has to outlive the process: to the clients of a server
//! that was killed their connections are lost as of its next start.

use crate::{
    client::{Client, Rules},
    conn,
    door::Gate,
    router::{Kept, Router},
    seat::{Owner, Seat},
};
use hub::edge::Session;
use model::id::IotId;
use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tracing::warn;
use wire::mqtt::{Message, Millis, Property, Publish, Will};

/// How long we wait before we try again what the disk, or the engine, refused.
const PAUSE: Duration = Duration::from_secs(1);

/// What a client vowed.
#[derive(Debug)]
pub(crate) struct Vow {
    /// The number under which it is written down; 0 when it ends with the process.
    pub(crate) number: u64,
    /// The number of the client's session, if that is written down.
    pub(crate) session: u64,
    /// The name of its seat.
    pub(crate) name: Arc<str>,
    pub(crate) promise: Promise,
    /// When it is due, once it waits; 0 before.
    until: AtomicU64,
}

/// What a client leaves as its will.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Promise {
    pub(crate) message: Arc<Message>,
    /// Seconds.
    pub(crate) delay: u32,
    pub(crate) owner: Owner,
    pub(crate) speaker: Speaker,
}

/// In whose words a device speaks: what of its session is known again after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Speaker {
    /// The name of the dialect; empty for a guest.
    pub(crate) dialect: Box<str>,
    /// What the dialect remembers of the login.
    pub(crate) marks: u32,
}

impl Speaker {
    pub(crate) fn of(client: &Client) -> Self {
        match client {
            Client::Device { session, dialect } => Self {
                dialect: dialect.name().into(),
                marks: session.marks,
            },
            Client::Guest { .. } => Self::default(),
        }
    }
}

impl Promise {
    /// Of a CONNECT; in memory of its own.
    pub(crate) fn new(will: Will, owner: Owner, speaker: Speaker) -> Self {
        let Will {
            topic,
            payload,
            qos,
            retain,
            mut properties,
        } = will;
        let delay = properties.will_delay_interval().copied().unwrap_or(0);
        properties.retain(|property| !matches!(property, Property::WillDelayInterval(_)));
        let message = Message {
            topic: topic.detached(),
            payload: bytes::Bytes::copy_from_slice(&payload.into_bytes()),
            qos,
            retain,
            properties,
            // Its life begins when it is published.
            expires: None,
        };
        Self {
            message: Arc::new(message),
            delay,
            owner,
            speaker,
        }
    }
}

impl Vow {
    pub(crate) fn new(
        number: u64,
        session: u64,
        name: Arc<str>,
        promise: Promise,
        until: Option<Millis>,
    ) -> Self {
        Self {
            number,
            session,
            name,
            promise,
            until: AtomicU64::new(until.unwrap_or(0)),
        }
    }

    /// When it is due, once it waits.
    pub(crate) fn until(&self) -> Option<Millis> {
        Some(self.until.load(Ordering::Relaxed)).filter(|until| *until > 0)
    }

    pub(crate) fn wait_until(&self, until: Millis) {
        self.until.store(until, Ordering::Relaxed);
    }

    /// Whether it is void when its client comes back.
    pub(crate) fn may_wait(&self) -> bool {
        self.promise.delay > 0
    }

    /// The message, once its time has come.
    pub(crate) fn publish(&self) -> Publish {
        let message = &self.promise.message;
        Publish {
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic: message.topic.clone(),
            packet_id: None,
            properties: message.properties.clone(),
            payload: message.payload.clone(),
        }
    }

    /// When it is due, for what became of the session: `None` is at once.
    pub(crate) fn due(&self, kept: Kept, now: Millis) -> Option<Millis> {
        let Kept::Until(end) = kept else { return None };
        let delay = u64::from(self.promise.delay).saturating_mul(1_000);
        Some(now.saturating_add(delay).min(end)).filter(|due| *due > now)
    }
}

/// Who vowed.
pub(crate) enum Who {
    Known(Client),
    /// A device that connected to a former process.
    Device,
}

impl Who {
    /// Of a vow of a former process.
    pub(crate) fn of(vow: &Vow, router: &Router, rules: Option<&Arc<Rules>>) -> Self {
        match (&vow.promise.owner, rules) {
            (Owner::Guest(_), Some(rules)) => Self::Known(Client::Guest {
                id: router.number(),
                name: vow.name.clone(),
                rules: rules.clone(),
            }),
            _ => Self::Device,
        }
    }
}

/// A will that waits for its time.
pub(crate) struct Waiting {
    pub(crate) router: Arc<Router>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) who: Who,
    pub(crate) vow: Arc<Vow>,
    pub(crate) due: Millis,
    /// The seat sends a word when the client is back, which makes the will void, and drops the
    /// sender when the session ends. None when nothing makes it void.
    pub(crate) back: Option<oneshot::Receiver<()>>,
}

impl Waiting {
    /// A will that its client makes void by coming back; none when the client was faster.
    pub(crate) fn for_return(
        router: &Arc<Router>,
        seat: &Arc<Seat>,
        who: Who,
        vow: &Arc<Vow>,
        due: Millis,
    ) -> Option<Self> {
        let (void, back) = oneshot::channel();
        router.wait(seat, vow, due, void).then(|| Self {
            router: router.clone(),
            seat: seat.clone(),
            who,
            vow: vow.clone(),
            due,
            back: Some(back),
        })
    }

    /// Waits, and publishes it. Whoever waits for a stop of the server waits for `alive`.
    pub(crate) fn begin(self, gate: Arc<Gate>, alive: mpsc::Sender<Infallible>) {
        tokio::spawn(async move {
            self.run(&gate).await;
            drop(alive);
        });
    }

    async fn run(mut self, gate: &Arc<Gate>) {
        let left = Duration::from_millis(self.due.saturating_sub(self.router.now()));
        let back = async {
            match self.back.take() {
                Some(back) => back.await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            word = back => if word.is_ok() { return },
            () = gate.stopping() => {}
            () = sleep(left) => {}
        }
        while self.vow.number != 0 && self.router.is_troubled() {
            tokio::select! {
                biased;
                // It is written down, and published after the next start.
                () = gate.stopping() => return,
                () = sleep(PAUSE) => {}
            }
        }
        let Self {
            router, seat, vow, ..
        } = &self;
        match self.client(gate).await {
            Some(client) => conn::publish_will(gate, router, seat, &client, vow).await,
            None => router.forget_vow(vow),
        }
    }

    /// The client, if it still may be one.
    async fn client(&self, gate: &Gate) -> Option<Client> {
        if let Who::Known(client) = &self.who {
            return Some(client.clone());
        }
        let speaker = &self.vow.promise.speaker;
        let dialect = gate
            .dialects
            .iter()
            .find(|dialect| *dialect.name() == *speaker.dialect)?
            .clone();
        let session = recall(gate, &self.vow.name, speaker.marks).await?;
        let session = Arc::new(session);
        Some(Client::Device { session, dialect })
    }
}

/// A session as the device had it, as far as the device is registered still.
async fn recall(gate: &Gate, name: &str, marks: u32) -> Option<Session> {
    let iot_id = IotId::parse(name).ok()?;
    loop {
        match gate.desk.recall(&iot_id, marks).await {
            Ok(session) => return session,
            Err(fault) => warn!(device = name, %fault, "a will waits for the registry"),
        }
        tokio::select! {
            biased;
            () = gate.stopping() => return None,
            () = sleep(PAUSE) => {}
        }
    }
}
