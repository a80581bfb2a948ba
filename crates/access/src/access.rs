//! Start and stop.

use crate::{
    client::Rules,
    desk::Desk,
    door::{Gate, Hall, Stage},
    farewell::Farewell,
    ledger::{Ledger, replay::Replay},
    listen,
    router::{Keeping, SessionView, Totals, epoch},
    settings::{Bounds, Keep, Settings},
    signals,
    will::{Waiting, Who},
};
use hub::{Hub, edge::Dialect};
use model::{id::IotId, port::Bus};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

/// How often sessions of devices that stay away are looked through.
const SWEEP: Duration = Duration::from_secs(10);
/// How often it is looked whether the log of sessions has become long.
const LOOK: Duration = Duration::from_secs(1);

/// Device access.
pub struct Access;

/// Device access that is open.
pub struct Running {
    gate: Arc<Gate>,
    addresses: Vec<SocketAddr>,
    gone: mpsc::Receiver<Infallible>,
}

impl Access {
    /// Opens all listeners, or none. A hello is shown to the dialects in their order. Must be
    /// called within a Tokio runtime.
    ///
    /// # Errors
    /// `AddrInUse` and the like, with the address in its text; `AlreadyExists` when somebody else
    /// receives from the bus.
    pub fn start(
        hub: Arc<Hub>,
        bus: &dyn Bus,
        dialects: Vec<Arc<dyn Dialect>>,
        settings: Settings,
    ) -> io::Result<Running> {
        Self::open(hub, bus, dialects, settings)
    }

    pub(crate) fn open(
        desk: Arc<dyn Desk>,
        bus: &dyn Bus,
        dialects: Vec<Arc<dyn Dialect>>,
        settings: Settings,
    ) -> io::Result<Running> {
        let Settings {
            listeners,
            http,
            bounds,
            keep,
        } = settings;
        let (keeping, mut replay) = read_ledger(keep, &bounds)?;
        let mut sockets = Vec::new();
        let mut addresses = Vec::new();
        let devices = Hall::of_devices(&bounds, keeping.clone(), &desk);
        let mut halls = vec![devices.clone()];
        for mut listener in listeners {
            let hall = match listener.plain.take() {
                None => devices.clone(),
                Some(plain) => {
                    let keeping = Keeping {
                        hall: plain.name.clone(),
                        ..keeping.clone()
                    };
                    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
                    if halls.iter().any(|hall| *hall.router.hall() == *plain.name) {
                        return Err(invalid(format!("two listeners are named {}", plain.name)));
                    }
                    let rules = Rules::new(plain).map_err(invalid)?;
                    let hall = Hall::of_guests(&bounds, rules, keeping, &desk);
                    halls.push(hall.clone());
                    hall
                }
            };
            let socket = listen::bind(listener.address).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", listener.address))
            })?;
            addresses.push(socket.local_addr()?);
            sockets.push((Arc::new(listener), hall, socket));
        }
        let signals = bus.receive().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::AlreadyExists,
                "somebody else receives from the bus",
            )
        })?;
        let wills = restore(&halls, &mut replay);
        let (alive, gone) = mpsc::channel(1);
        let farewell = Farewell::new(desk.clone(), alive.downgrade());
        let gate = Arc::new(Gate::new(
            desk, dialects, halls, &devices, http, bounds, farewell,
        ));
        tokio::spawn(signals::pass_on(gate.clone(), signals));
        tokio::spawn(sweep(gate.clone()));
        for will in wills {
            will.begin(gate.clone(), alive.clone());
        }
        if let Some(ledger) = keeping.ledger {
            tokio::spawn(keep_ledger(gate.clone(), ledger));
        }
        for ((listener, hall, socket), address) in sockets.into_iter().zip(&addresses) {
            match hall.rules {
                None => info!(%address, "listening for devices"),
                Some(_) => info!(%address, "listening for plain MQTT clients"),
            }
            let gate = gate.clone();
            tokio::spawn(listen::accept(gate, listener, hall, socket, alive.clone()));
        }
        Ok(Running {
            gate,
            addresses,
            gone,
        })
    }
}

/// Reads what former processes wrote down of sessions.
fn read_ledger(keep: Option<Keep>, bounds: &Bounds) -> io::Result<(Keeping, Replay)> {
    let Some(Keep { log, clock, renew }) = keep else {
        return Ok(Default::default());
    };
    let (ledger, replay) = Ledger::open(log, bounds.sessions_bytes, renew)
        .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault.to_string()))?;
    let keeping = Keeping {
        ledger: Some(Arc::new(ledger)),
        hall: "devices".into(),
        // Read late, as it takes time to read the log.
        epoch: epoch(clock.now()),
    };
    Ok((keeping, replay))
}

/// Gives each hall its sessions and retained messages back; what comes back are wills that are to be
/// published. Those of a listener that is no more stay in the log until it is written anew.
fn restore(halls: &[Arc<Hall>], replay: &mut Replay) -> Vec<Waiting> {
    let mut sessions = 0_u64;
    for kept in replay.sessions() {
        let hall = halls.iter().find(|hall| *hall.router.hall() == *kept.hall);
        if let Some(hall) = hall {
            hall.router.restore(kept);
            sessions += 1;
        }
    }
    for hall in halls {
        for message in replay.retained(hall.router.hall()) {
            hall.router.restore_retained(message);
        }
    }
    let mut wills = Vec::new();
    for kept in replay.vows() {
        let hall = halls.iter().find(|hall| *hall.router.hall() == *kept.hall);
        let Some(Hall { router, rules }) = hall.map(|hall| &**hall) else {
            continue;
        };
        let (seat, vow, due) = router.restore_vow(kept);
        let who = Who::of(&vow, router, rules.as_ref());
        if due > router.now() && vow.may_wait() {
            wills.extend(Waiting::for_return(router, &seat, who, &vow, due));
        } else {
            let router = router.clone();
            let back = None;
            wills.push(Waiting {
                router,
                seat,
                who,
                vow,
                due,
                back,
            });
        }
    }
    halls.iter().for_each(|hall| hall.router.sweep());
    if sessions > 0 {
        info!(sessions, "sessions go on");
    }
    wills
}

/// Lets go of what waits for the disk, and writes the log anew when it has become long.
async fn keep_ledger(gate: Arc<Gate>, ledger: Arc<Ledger>) {
    let renew = async {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !ledger.is_long() {
                continue;
            }
            let renewal = ledger.begin_renewal();
            for hall in &gate.halls {
                hall.router.renew(&ledger).await;
            }
            if let Err(fault) = ledger.end_renewal(renewal).await {
                warn!(%fault, "the log of sessions stays long");
            }
        }
    };
    tokio::select! {
        () = gate.giving_up() => {}
        () = ledger.run() => {}
        () = renew => {}
    }
}

async fn sweep(gate: Arc<Gate>) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = gate.giving_up() => return,
            _ = tick.tick() => gate.halls.iter().for_each(|hall| hall.router.sweep()),
        }
    }
}

impl Running {
    /// The addresses of the listeners, in the order of the settings, with the ports that they got.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What there is of sessions, for as long as access is open.
    pub fn sessions(&self) -> Sessions {
        Sessions(Arc::downgrade(&self.gate))
    }

    /// Stops: nobody is let in any more, devices are told, their sessions are closed in the hub.
    /// Returns when that is done, or when the time that the settings give for it is over.
    pub async fn stop(self) {
        let Self { gate, mut gone, .. } = self;
        gate.advance(Stage::Stopping);
        gate.halls.iter().for_each(|hall| hall.router.stop());
        let patience = gate.bounds.stop;
        // Every task holds a sender; when the last one is gone there is nothing more to receive.
        if timeout(patience, gone.recv()).await.is_err() {
            warn!("some connections did not end in time");
        }
        gate.advance(Stage::GivingUp);
    }
}

/// A view of all sessions.
#[derive(Clone)]
pub struct Sessions(Weak<Gate>);

impl Sessions {
    /// What there is of the session of a device.
    pub fn of_device(&self, device: &IotId) -> Option<SessionView> {
        self.0.upgrade()?.devices.view(device.as_str())
    }

    /// What there is of the session that a client of a plain listener has under this client id.
    pub fn of_guest(&self, client_id: &str) -> Option<SessionView> {
        let gate = self.0.upgrade()?;
        let guests = gate.halls.iter().filter(|hall| hall.rules.is_some());
        guests
            .map(|hall| hall.router.view(client_id))
            .find_map(|view| view)
    }

    /// Sums over all sessions.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        if let Some(gate) = self.0.upgrade() {
            for hall in &gate.halls {
                totals += hall.router.totals();
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests;
