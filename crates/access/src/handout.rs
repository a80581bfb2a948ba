//! What comes of a message of a client: it is answered and handed out, in one turn of the ledger
//! where something of that has to outlive the process.

use crate::{
    door::Gate,
    ledger::{Turn, change::Change},
    router::{Router, Tally},
    seat::{Handed, Seat, published},
    will::Vow,
};
use hub::edge::Uplink;
use std::sync::Arc;
use wire::mqtt::{Publish, QoS, ReasonCode, Ticket};

/// How a message of a client is answered.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) ticket: Option<Ticket>,
    /// Whether it matters to the client who else heard it (MQTT 5 §3.4.2.1).
    pub(crate) tells_of_others: bool,
    /// The will that is published with that.
    pub(crate) vow: Option<&'a Vow>,
}

impl Answer<'_> {
    /// Nobody waits for one.
    pub(crate) const NONE: Self = Self {
        ticket: None,
        tells_of_others: false,
        vow: None,
    };
}

/// Hands out what came of a message, and answers it.
pub(crate) fn hand_out(
    gate: &Gate,
    router: &Router,
    seat: &Arc<Seat>,
    answer: Answer<'_>,
    publish: Publish,
    uplink: Uplink,
) {
    let now = router.now();
    let tell = |reason, position| {
        if let Some(ticket) = answer.ticket {
            seat.acknowledge(ticket, reason, position);
        }
    };
    let exactly_once = publish.qos == QoS::ExactlyOnce && answer.ticket.is_some();
    let answers = uplink.replies.iter().any(|reply| reply.qos > 0);
    let message = uplink.fan_out.then(|| published(publish, now));
    let receivers = message
        .as_ref()
        .map(|message| router.receivers(message, None))
        .unwrap_or_default();
    let lasts = answer.vow.is_some_and(|vow| vow.number != 0)
        || seat.is_durable() && (exactly_once || answers)
        || message
            .as_ref()
            .is_some_and(|message| message.retain || receivers.last_for(message));
    let mut book = if lasts { router.turn() } else { None };
    if book.is_some()
        && let Some(reason) = router.objection(message.as_ref(), &receivers)
    {
        gate.desk.dropped("refused", 1);
        // What cannot be written down now is published after the next start.
        if let Some(vow) = answer.vow.filter(|_| reason == ReasonCode::QuotaExceeded) {
            router.end_vow(vow, &mut book);
        }
        return tell(reason, 0);
    }
    // It is answered first, unless that has to wait for what becomes of it: a client that hears
    // itself may take an answer for granted as the next packet.
    let known = !answer.tells_of_others
        || message
            .as_ref()
            .is_some_and(|message| !message.retain && receivers.some_for(message, seat));
    let at_once = book.is_none() && known;
    if at_once {
        tell(ReasonCode::Success, 0);
    }
    let mut tally = Tally::default();
    for reply in uplink.replies {
        tally.add(seat.deliver(reply, now, &mut book));
    }
    let mut reason = ReasonCode::Success;
    if let Some(message) = message {
        let heard = router.hand_round(&message, Some(seat), receivers, &mut book);
        if answer.tells_of_others && heard == Tally::default() {
            reason = ReasonCode::NoMatchingSubscribers;
        }
        tally += heard;
        if message.retain && !router.retain(&message, &mut book) {
            gate.desk.dropped("not retained", 1);
            tally.add(Handed::Dropped);
            if answer.tells_of_others {
                reason = ReasonCode::QuotaExceeded;
            }
        }
    }
    if let Some(vow) = answer.vow {
        router.end_vow(vow, &mut book);
    }
    if let (Some(turn), Some(ticket)) = (&mut book, answer.ticket)
        && let Some((session, id)) = seat.awaited(ticket)
        && !reason.is_error()
    {
        turn.note(&Change::Receipt { session, id });
    }
    if !at_once {
        tell(reason, book.as_ref().map_or(0, Turn::reach));
    }
    drop(book);
    gate.count(tally);
}
