//! Commands that wait for a device, and what else its connection is to be told, handed over when
//! it can take them; for a gateway, those of its sub-devices with its own.

use crate::{
    door::Gate,
    router::{Router, Tally},
    seat::{Gave, Seat},
};
use hub::{
    edge::{Dialect, Outbound, Session, Verb},
    rider::Due,
};
use model::port::CloseReason;
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

/// How handing over came to its end.
enum End {
    /// All was looked at.
    Looked,
    /// What follows has to wait for room.
    Crowded,
    /// Nothing more can be done on this connection now.
    Over,
}

/// Does an errand. What the device does not listen to now goes on waiting for it to subscribe.
pub(crate) async fn run(
    errand: Errand,
    gate: Arc<Gate>,
    router: Arc<Router>,
    seat: Arc<Seat>,
    session: Arc<Session>,
    dialect: Arc<dyn Dialect>,
) {
    mark(&gate, &seat, &session).await;
    if errand == Errand::Mark {
        return;
    }
    let line = Line {
        gate,
        router,
        seat,
        session,
        dialect,
    };
    match line.look(&line.session).await {
        End::Looked | End::Crowded => {}
        End::Over => return,
    }
    line.riders().await;
    line.seat.looked(line.session.id);
    mark(&line.gate, &line.seat, &line.session).await;
}

/// A connection that hands over.
struct Line {
    gate: Arc<Gate>,
    router: Arc<Router>,
    seat: Arc<Seat>,
    session: Arc<Session>,
    dialect: Arc<dyn Dialect>,
}

impl Line {
    /// Hands over what waits for a device: the one that opened the connection, or a sub-device.
    async fn look(&self, device: &Arc<Session>) -> End {
        let gate = &self.gate;
        let waiting = loop {
            // They are stored; what would wait for the disk in memory had no bound.
            if self.seat.is_durable() && gate.devices.is_troubled() {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            match gate.desk.waiting(device).await {
                Ok(waiting) => break waiting,
                Err(fault) => {
                    warn!(device = %device.device, %fault, "waiting commands cannot be read");
                    if !fault.retry {
                        return End::Over;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let rides = device.id != self.session.id;
        let mut tally = Tally::default();
        let mut end = End::Looked;
        for command in waiting {
            let messages = self.dialect.downlink(device, &command);
            if rides {
                gate.desk.rider_given(&self.session, device, command.id);
            }
            let mut book = self.seat.turn();
            let gave = self.seat.give(
                self.session.id,
                command.id,
                messages,
                gate.devices.now(),
                &mut book,
            );
            match gave {
                Gave::Handed(handed) => tally.add(handed),
                Gave::Known | Gave::Unwanted => {}
                // What follows has to keep its order.
                Gave::NoRoom => {
                    end = End::Crowded;
                    break;
                }
                Gave::NoConnection => return End::Over,
            }
        }
        gate.count(tally);
        end
    }

    /// Does what is due for the sub-devices on the connection.
    async fn riders(&self) {
        loop {
            let dues = self.gate.desk.riders_due(&self.session);
            if dues.is_empty() {
                return;
            }
            let mut crowded = false;
            for due in dues {
                match due {
                    Due::Commands(rider) if crowded => {
                        self.gate.desk.rider_due(&rider.iot_id);
                    }
                    Due::Commands(rider) => match self.look(&rider).await {
                        End::Looked => {}
                        End::Crowded => {
                            crowded = true;
                            self.gate.desk.rider_due(&rider.iot_id);
                        }
                        End::Over => {}
                    },
                    Due::Parted(rider, reason) => self.part(rider, reason),
                    Due::Notice(notice) => {
                        self.send(self.dialect.notice(&self.session, &notice));
                    }
                }
            }
            if crowded {
                // The connection looks again when there is room.
                return;
            }
        }
    }

    fn part(&self, rider: Arc<Session>, reason: CloseReason) {
        let words = self.dialect.parted(&self.session, &rider, reason);
        // Closed in the hub when the guard goes.
        let guard = self.gate.farewell.guard(rider);
        self.send(words);
        guard.close(crate::conn::told(reason));
        let for_good = match reason {
            CloseReason::Unbound | CloseReason::Deleted | CloseReason::TakenOver => true,
            CloseReason::Disabled | CloseReason::CredentialReset | CloseReason::Stopping => false,
        };
        if for_good {
            self.router.review(&self.seat, self.session.id, &|filter| {
                self.dialect.may(&self.session, Verb::Subscribe, filter)
            });
        }
    }

    fn send(&self, messages: Vec<Outbound>) {
        let mut tally = Tally::default();
        {
            let mut book = self.seat.turn();
            for outbound in messages {
                tally.add(
                    self.seat
                        .deliver(outbound, self.gate.devices.now(), &mut book),
                );
            }
        }
        self.gate.count(tally);
    }
}

/// Marks the commands that the device has, or a sub-device on its connection, so that no other
/// connection is given them.
pub(crate) async fn mark(gate: &Gate, seat: &Seat, session: &Session) {
    for command in seat.taken(session.id) {
        let rider = gate.desk.rider_whose(session, command);
        let device = rider.as_deref().unwrap_or(session);
        match gate.desk.sent(device, command).await {
            Ok(_) => seat.marked(session.id, command),
            Err(fault) => {
                warn!(device = %device.device, %fault, "a command cannot be marked as sent");
                return;
            }
        }
    }
}
