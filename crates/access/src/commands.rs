//! Commands that wait for a device, handed over when it can take them.

use crate::{door::Gate, router::Tally, seat::Seat};
use hub::edge::{Dialect, Session};
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// How long we wait before we ask again, when the engine has passing trouble.
const PAUSE: Duration = Duration::from_secs(5);

/// Hands over what waits for a device, as far as it listens to it now; the rest goes on waiting
/// for it to subscribe.
pub(crate) async fn hand_over(
    gate: Arc<Gate>,
    seat: Arc<Seat>,
    session: Arc<Session>,
    dialect: Arc<dyn Dialect>,
) {
    // The hub gives a bounded number at once; after some were sent there may be more.
    loop {
        let waiting = match gate.desk.waiting(&session).await {
            Ok(waiting) => waiting,
            Err(fault) => {
                warn!(device = %session.device, %fault, "waiting commands cannot be read");
                if !fault.retry {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let mut sent = false;
        for command in waiting {
            let messages = dialect.downlink(&session, &command);
            let wanted = |outbound| seat.wants(session.id, outbound);
            if messages.is_empty() || !messages.iter().all(wanted) {
                continue;
            }
            // Marked before it is handed over, so that no command is carried out twice because
            // two connections of a device overlap.
            match gate.desk.sent(&session, command.id).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(fault) => {
                    warn!(device = %session.device, %fault, "a command cannot be marked as sent");
                    return;
                }
            }
            sent = true;
            let mut tally = Tally::default();
            {
                let mut book = seat.turn();
                for outbound in messages {
                    tally.add(seat.deliver(outbound, gate.devices.now(), &mut book));
                }
            }
            gate.count(tally);
        }
        if !sent {
            return;
        }
    }
}
