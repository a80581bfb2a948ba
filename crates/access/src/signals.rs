//! Words of other nodes, and of our own hub, to the connections that this node holds.

use crate::{door::Gate, seat::message};
use model::port::{Audience, CloseReason, Signal};
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tracing::{debug, error};

/// Passes signals on until the gate is closed for good.
pub(crate) async fn pass_on(gate: Arc<Gate>, mut signals: Receiver<Signal>) {
    loop {
        let signal = tokio::select! {
            biased;
            () = gate.giving_up() => return,
            signal = signals.recv() => signal,
        };
        match signal {
            Some(signal) => act(&gate, signal),
            None => {
                error!("the bus is gone; connections do not hear of commands any more");
                return;
            }
        }
    }
}

fn act(gate: &Gate, signal: Signal) {
    match signal {
        // A sub-device has no seat: its gateway's connection does it.
        Signal::CommandsWait { iot_id } => {
            let whose = gate.desk.rider_due(&iot_id).unwrap_or(iot_id);
            gate.devices.commands_wait(&whose);
        }
        Signal::Close {
            iot_id,
            session,
            reason,
        } => {
            if let Some(gateway) = gate.desk.rider_part(&iot_id, session, reason) {
                gate.devices.commands_wait(&gateway);
            }
            // The device may sit here by itself as well, or be about to; unless it is only its
            // gateway that it loses.
            if reason != CloseReason::Unbound {
                gate.devices.close(&iot_id, session, reason);
            }
        }
        Signal::Notice { iot_id, notice } => {
            if gate.desk.notice(&iot_id, notice) {
                gate.devices.commands_wait(&iot_id);
            }
        }
        Signal::Call {
            iot_id,
            topics,
            payload,
        } => {
            let whose = gate.desk.carrier(&iot_id).unwrap_or(iot_id);
            gate.count(gate.devices.call(&whose, topics, &payload));
        }
        Signal::Publish {
            to,
            topic,
            payload,
            qos,
            system,
        } => match message(topic, payload, qos) {
            Some(message) => {
                let to = carried(gate, to);
                match gate.devices.announce(&to, &Arc::new(message), system) {
                    Ok((tally, _)) => gate.count(tally),
                    Err(reason) => debug!(?reason, "a message is not handed on"),
                }
            }
            None => debug!("a message for a topic that cannot be"),
        },
    }
}

/// Who gets a message for a sub-device: whoever carries it.
fn carried(gate: &Gate, to: Audience) -> Audience {
    match &to {
        Audience::Device(id) => gate.desk.carrier(id).map_or(to, Audience::Device),
        Audience::Product(_) => to,
    }
}
