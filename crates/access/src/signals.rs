//! Words of other nodes, and of our own hub, to the connections that this node holds.

use crate::{door::Gate, seat::message};
use model::{
    error::Fault,
    port::{Audience, CloseReason, Signal, Word},
};
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tracing::{debug, error};

/// Passes signals on until the gate is closed for good.
pub(crate) async fn pass_on(gate: Arc<Gate>, mut words: Receiver<Word>) {
    loop {
        let word = tokio::select! {
            biased;
            () = gate.giving_up() => return,
            word = words.recv() => word,
        };
        match word {
            Some(word) => take(&gate, word),
            None => {
                error!("the bus is gone; connections do not hear of commands any more");
                return;
            }
        }
    }
}

/// Does what a word says, and answers it once that is on disk.
fn take(gate: &Arc<Gate>, word: Word) {
    let outcome = act(gate, word.signal);
    let Some(done) = word.done else { return };
    // Nobody may wait any more.
    match outcome {
        Err(fault) => drop(done.send(Err(fault))),
        Ok(0) => drop(done.send(Ok(()))),
        Ok(position) => {
            let gate = gate.clone();
            tokio::spawn(async move {
                gate.devices.on_disk(position).await;
                drop(done.send(Ok(())));
            });
        }
    }
}

/// Gives back up to which position the ledger has to be on disk before it is done.
fn act(gate: &Gate, signal: Signal) -> Result<u64, Fault> {
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
                    Ok((tally, position)) => {
                        gate.count(tally);
                        return Ok(position);
                    }
                    Err(reason) => {
                        debug!(?reason, "a message is not handed on");
                        let text = format!("a message finds no place to wait: {reason:?}");
                        return Err(Fault::passing(text));
                    }
                }
            }
            None => debug!("a message for a topic that cannot be"),
        },
    }
    Ok(0)
}

/// Who gets a message for a sub-device: whoever carries it.
fn carried(gate: &Gate, to: Audience) -> Audience {
    match &to {
        Audience::Device(id) => gate.desk.carrier(id).map_or(to, Audience::Device),
        Audience::Product(_) => to,
    }
}
