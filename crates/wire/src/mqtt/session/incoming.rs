//! Messages from the client: which wait to be stored, and which QoS 2 identifiers are taken (MQTT 5 §4.3, §4.6).

use std::collections::VecDeque;
use std::num::NonZeroU16;

use super::{Effect, Note};
use crate::mqtt::packet::{Ack, Packet, PacketId, Publish, QoS, Version};
use crate::mqtt::reason::ReasonCode;

/// Stands for one message that was handed out and must be answered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A message of this connection that is not answered yet.
#[derive(Debug)]
struct Arrival {
    id: PacketId,
    qos: QoS,
    verdict: Option<ReasonCode>,
}

/// A QoS 2 identifier between its PUBLISH and its PUBREL; outlives the connection.
#[derive(Debug)]
struct Receipt {
    id: PacketId,
    ticket: Ticket,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Not stored yet. `again` if the client sent it on this connection too, having begun on a former one.
    Pending { again: bool },
    /// Stored; the client may send the PUBLISH again but not have it delivered again.
    Stored,
}

#[derive(Debug)]
pub(super) struct Incoming {
    /// In order of arrival; the front one has ticket `first`.
    arrivals: VecDeque<Arrival>,
    first: u64,
    receipts: Vec<Receipt>,
}

impl Incoming {
    pub(super) const fn new() -> Self {
        Self {
            arrivals: VecDeque::new(),
            first: 0,
            receipts: Vec::new(),
        }
    }

    /// The connection is gone: what it had not answered, the client will send again.
    pub(super) fn cut(&mut self) {
        self.first += self.arrivals.len() as u64;
        self.arrivals.clear();
        for receipt in &mut self.receipts {
            if let Stage::Pending { again } = &mut receipt.stage {
                *again = false;
            }
        }
    }

    /// Messages the client has begun and we have not finished: those of this connection that wait for a verdict, and
    /// the identifiers that are taken beside them.
    fn outstanding(&self) -> usize {
        let beside = self
            .receipts
            .iter()
            .filter(|receipt| receipt.ticket.0 < self.first);
        self.arrivals.len() + beside.count()
    }

    pub(super) fn is_saturated(&self, maximum: NonZeroU16) -> bool {
        !self.arrivals.is_empty() && self.outstanding() >= usize::from(maximum.get())
    }

    pub(super) fn publish(&mut self, publish: Publish, maximum: NonZeroU16, out: &mut Vec<Effect>) {
        let (QoS::AtLeastOnce | QoS::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id)
        else {
            return out.push(Effect::Deliver(publish, None));
        };
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        if exactly_once && let Some(receipt) = self.receipts.iter_mut().find(|it| it.id == id) {
            match &mut receipt.stage {
                Stage::Stored => out.push(received(id, ReasonCode::Success)),
                Stage::Pending { again } => *again = true,
            }
            return;
        }
        if self.outstanding() >= usize::from(maximum.get()) {
            return out.push(Effect::Close(ReasonCode::ReceiveMaximumExceeded));
        }
        let ticket = Ticket(self.first + self.arrivals.len() as u64);
        self.arrivals.push_back(Arrival {
            id,
            qos: publish.qos,
            verdict: None,
        });
        if exactly_once {
            self.receipts.push(Receipt {
                id,
                ticket,
                stage: Stage::Pending { again: false },
            });
        }
        out.push(Effect::Deliver(publish, Some(ticket)));
    }

    pub(super) fn acknowledge(
        &mut self,
        ticket: Ticket,
        reason: ReasonCode,
        version: Option<Version>,
        out: &mut Vec<Effect>,
    ) {
        let arrival = ticket
            .0
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok());
        let arrival = arrival.and_then(|at| self.arrivals.get_mut(at));
        let late = arrival.is_none();
        let silent = reason.is_error() && version.is_some_and(|version| !version.is_v5());
        if let Some(arrival) = arrival {
            if arrival.verdict.is_some() {
                return;
            }
            // 3.x has no negative answer: the message stays unanswered and the connection ends.
            if silent {
                out.push(Effect::Close(reason));
            } else {
                arrival.verdict = Some(reason);
            }
        }
        if let Some(at) = self
            .receipts
            .iter()
            .position(|receipt| receipt.ticket == ticket)
            && let Stage::Pending { again } = self.receipts[at].stage
        {
            let id = self.receipts[at].id;
            if reason.is_error() {
                self.receipts.swap_remove(at);
            } else {
                self.receipts[at].stage = Stage::Stored;
            }
            if late && again {
                out.push(if silent {
                    Effect::Close(reason)
                } else {
                    received(id, reason)
                });
            }
        }
        while let Some(Arrival {
            id,
            qos,
            verdict: Some(reason),
        }) = self.arrivals.front()
        {
            out.push(match qos {
                QoS::ExactlyOnce => received(*id, *reason),
                _ => Effect::Send(Packet::PubAck(Ack::new(*id, *reason))),
            });
            self.arrivals.pop_front();
            self.first += 1;
        }
    }

    /// QoS 2 identifiers of messages that are stored and not released.
    pub(super) fn receipts(&self) -> impl Iterator<Item = PacketId> {
        let stored = self.receipts.iter().filter(|it| it.stage == Stage::Stored);
        stored.map(|receipt| receipt.id)
    }

    /// Takes back an identifier that `receipts` gave.
    pub(super) fn restore(&mut self, id: PacketId) {
        // A ticket that was never given.
        self.first = self.first.max(1);
        self.receipts.push(Receipt {
            id,
            ticket: Ticket(0),
            stage: Stage::Stored,
        });
    }

    /// The QoS 2 identifier that the ticket stands for, if a verdict on it is still awaited.
    pub(super) fn awaited(&self, ticket: Ticket) -> Option<PacketId> {
        let found = self.receipts.iter().find(|it| it.ticket == ticket)?;
        (found.stage != Stage::Stored).then_some(found.id)
    }

    /// PUBREL, which is always answered: PUBCOMP may have been lost.
    pub(super) fn release(
        &mut self,
        id: PacketId,
        version: Version,
        durable: bool,
        out: &mut Vec<Effect>,
    ) {
        let stored = |receipt: &Receipt| receipt.id == id && receipt.stage == Stage::Stored;
        let reason = match self.receipts.iter().position(stored) {
            Some(at) => {
                self.receipts.swap_remove(at);
                if durable {
                    out.push(Effect::Note(Note::Forgotten(id)));
                }
                ReasonCode::Success
            }
            None if version.is_v5() => ReasonCode::PacketIdNotFound,
            None => ReasonCode::Success,
        };
        out.push(Effect::Send(Packet::PubComp(Ack::new(id, reason))));
    }
}

fn received(id: PacketId, reason: ReasonCode) -> Effect {
    Effect::Send(Packet::PubRec(Ack::new(id, reason)))
}
