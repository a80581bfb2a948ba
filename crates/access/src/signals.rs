//! Words of other nodes, and of our own hub, to the connections that this node holds.

use crate::{door::Gate, seat::message};
use model::port::Signal;
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
        Signal::CommandsWait { iot_id } => gate.devices.commands_wait(&iot_id),
        Signal::Close {
            iot_id,
            session,
            reason,
        } => gate.devices.close(&iot_id, session, reason),
        Signal::Call {
            iot_id,
            topics,
            payload,
        } => gate.count(gate.devices.call(&iot_id, topics, &payload)),
        Signal::Publish {
            to,
            topic,
            payload,
            qos,
            system,
        } => match message(topic, payload, qos) {
            Some(message) => match gate.devices.announce(&to, &Arc::new(message), system) {
                Ok((tally, _)) => gate.count(tally),
                Err(reason) => debug!(?reason, "a message is not handed on"),
            },
            None => debug!("a message for a topic that cannot be"),
        },
    }
}
