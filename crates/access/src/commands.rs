//! Commands that wait for a device, handed over when it can take them.

use crate::{
    door::Gate,
    router::Tally,
    seat::{Gave, Seat},
};
use hub::edge::{Dialect, Session};
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// How long we wait before we ask again, when the engine has passing trouble.
const PAUSE: Duration = Duration::from_secs(5);

/// What is to be done for the commands of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    /// Mark those that the device has.
    Mark,
    /// The same, and hand over those that wait.
    Look,
}

/// Does an errand. What the device does not listen to now goes on waiting for it to subscribe.
pub(crate) async fn run(
    errand: Errand,
    gate: Arc<Gate>,
    seat: Arc<Seat>,
    session: Arc<Session>,
    dialect: Arc<dyn Dialect>,
) {
    mark(&gate, &seat, &session).await;
    if errand == Errand::Mark {
        return;
    }
    let waiting = loop {
        // They are stored; what would wait for the disk in memory had no bound.
        if seat.is_durable() && gate.devices.is_troubled() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        match gate.desk.waiting(&session).await {
            Ok(waiting) => break waiting,
            Err(fault) => {
                warn!(device = %session.device, %fault, "waiting commands cannot be read");
                if !fault.retry {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let mut tally = Tally::default();
    for command in waiting {
        let messages = dialect.downlink(&session, &command);
        let mut book = seat.turn();
        let gave = seat.give(
            session.id,
            command.id,
            messages,
            gate.devices.now(),
            &mut book,
        );
        match gave {
            Gave::Handed(handed) => tally.add(handed),
            Gave::Known | Gave::Unwanted => {}
            // What follows has to keep its order.
            Gave::NoRoom => break,
            Gave::NoConnection => return,
        }
    }
    gate.count(tally);
    seat.looked(session.id);
    mark(&gate, &seat, &session).await;
}

/// Marks the commands that the device has, so that no other connection is given them.
pub(crate) async fn mark(gate: &Gate, seat: &Seat, session: &Session) {
    for command in seat.taken(session.id) {
        match gate.desk.sent(session, command).await {
            Ok(_) => seat.marked(session.id, command),
            Err(fault) => {
                warn!(device = %session.device, %fault, "a command cannot be marked as sent");
                return;
            }
        }
    }
}
