//! Messages from the client: which wait to be stored, and which QoS 2 identifiers are taken (MQTT 5 §4.3, §4.6).

use std::collections::{BTreeMap, VecDeque};
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
    /// How many of the arrivals are of QoS 2.
    doubly: usize,
    receipts: BTreeMap<PacketId, Receipt>,
}

impl Incoming {
    pub(super) const fn new() -> Self {
        Self {
            arrivals: VecDeque::new(),
            first: 0,
            doubly: 0,
            receipts: BTreeMap::new(),
        }
    }

    /// The connection is gone: what it had not answered, the client will send again.
    pub(super) fn cut(&mut self) {
        self.first += self.arrivals.len() as u64;
        self.arrivals.clear();
        self.doubly = 0;
        for receipt in self.receipts.values_mut() {
            if let Stage::Pending { again } = &mut receipt.stage {
                *again = false;
            }
        }
    }

    /// Messages the client has begun and we have not finished: those of this connection that wait for a verdict, and
    /// the identifiers that are taken beside them.
    fn outstanding(&self) -> usize {
        self.arrivals.len() + self.receipts.len().saturating_sub(self.doubly)
    }

    /// Whether as many wait for a verdict, or are unfinished in all, as may.
    pub(super) fn is_saturated(&self, waiting: NonZeroU16, unfinished: NonZeroU16) -> bool {
        let arrivals = self.arrivals.len();
        arrivals >= usize::from(waiting.get())
            || arrivals > 0 && self.outstanding() >= usize::from(unfinished.get())
    }

    pub(super) fn publish(&mut self, publish: Publish, maximum: NonZeroU16, out: &mut Vec<Effect>) {
        let (QoS::AtLeastOnce | QoS::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id)
        else {
            return out.push(Effect::Deliver(publish, None));
        };
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        if exactly_once && let Some(receipt) = self.receipts.get_mut(&id) {
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
            let stage = Stage::Pending { again: false };
            self.doubly += 1;
            self.receipts.insert(id, Receipt { ticket, stage });
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
        let found = self.receipt_of(ticket);
        let at = self.place_of(ticket);
        let late = at.is_none();
        let silent = reason.is_error() && version.is_some_and(|version| !version.is_v5());
        if let Some(arrival) = at.and_then(|at| self.arrivals.get_mut(at)) {
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
        if let Some(id) = found
            && let Some(receipt) = self.receipts.get_mut(&id)
            && let Stage::Pending { again } = receipt.stage
        {
            if reason.is_error() {
                self.receipts.remove(&id);
            } else {
                receipt.stage = Stage::Stored;
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
                QoS::ExactlyOnce => {
                    self.doubly -= 1;
                    received(*id, *reason)
                }
                _ => Effect::Send(Packet::PubAck(Ack::new(*id, *reason))),
            });
            self.arrivals.pop_front();
            self.first += 1;
        }
    }

    /// Where the message of a ticket stands among the arrivals, if it is of this connection.
    fn place_of(&self, ticket: Ticket) -> Option<usize> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        (at < self.arrivals.len()).then_some(at)
    }

    /// The receipt of a ticket. Only those of former connections have to be looked for.
    fn receipt_of(&self, ticket: Ticket) -> Option<PacketId> {
        let id = match self.place_of(ticket) {
            Some(at) => self.arrivals[at].id,
            None => *self.receipts.iter().find(|it| it.1.ticket == ticket)?.0,
        };
        let receipt = self.receipts.get(&id)?;
        (receipt.ticket == ticket).then_some(id)
    }

    /// QoS 2 identifiers of messages that are stored and not released.
    pub(super) fn receipts(&self) -> impl Iterator<Item = PacketId> {
        let stored = |it: &(&PacketId, &Receipt)| it.1.stage == Stage::Stored;
        self.receipts.iter().filter(stored).map(|(id, _)| *id)
    }

    /// Takes back an identifier that `receipts` gave.
    pub(super) fn restore(&mut self, id: PacketId) {
        // A ticket that was never given.
        self.first = self.first.max(1);
        let receipt = Receipt {
            ticket: Ticket(0),
            stage: Stage::Stored,
        };
        self.receipts.insert(id, receipt);
    }

    /// The QoS 2 identifier that the ticket stands for, if a verdict on it is still awaited.
    pub(super) fn awaited(&self, ticket: Ticket) -> Option<PacketId> {
        let id = self.receipt_of(ticket)?;
        (self.receipts.get(&id)?.stage != Stage::Stored).then_some(id)
    }

    /// PUBREL, which is always answered: PUBCOMP may have been lost.
    pub(super) fn release(
        &mut self,
        id: PacketId,
        version: Version,
        durable: bool,
        out: &mut Vec<Effect>,
    ) {
        let stored = |receipt: &Receipt| receipt.stage == Stage::Stored;
        let reason = match self.receipts.get(&id).is_some_and(stored) {
            true => {
                self.receipts.remove(&id);
                if durable {
                    out.push(Effect::Note(Note::Forgotten(id)));
                }
                ReasonCode::Success
            }
            false if version.is_v5() => ReasonCode::PacketIdNotFound,
            false => ReasonCode::Success,
        };
        out.push(Effect::Send(Packet::PubComp(Ack::new(id, reason))));
    }
}

fn received(id: PacketId, reason: ReasonCode) -> Effect {
    Effect::Send(Packet::PubRec(Ack::new(id, reason)))
}
