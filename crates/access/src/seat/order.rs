//! Orders for the device at a seat: which it is given, and what its packets say of them.

use super::{Gave, Handed, State, message};
use crate::{
    ledger::Turn,
    orders::{Orders, Room, Stage, same},
};
use hub::edge::Outbound;
use model::id::CommandId;
use std::sync::Arc;
use wire::mqtt::{Message, Millis, Packet};

impl State {
    /// Gives away what is known of orders here.
    pub(crate) fn leave_orders(&mut self) -> Option<Box<Orders>> {
        self.orders.take()
    }

    #[cfg(test)]
    pub(crate) fn remembers_orders(&self) -> bool {
        self.orders.is_some()
    }

    /// Takes over from a seat that is no more what is known of orders there.
    pub(crate) fn inherit(&mut self, former: Option<Box<Orders>>) {
        self.orders = Orders::new(false, former);
    }

    /// A packet came: what it says of orders.
    pub(super) fn heard(&mut self, packet: &Packet) {
        let Some(orders) = &mut self.orders else {
            return;
        };
        let (mut taken, mut room) = (orders.heard(), false);
        if let Packet::PubAck(ack) = packet
            && let Some(message) = self.mqtt.in_flight_as(ack.packet_id)
        {
            taken |= orders.acknowledged(message);
            room = orders.make(Room::Acknowledgement);
        }
        if room && let Some(live) = &mut self.live {
            live.commands_wait = true;
            live.wake();
        }
        if taken && let Some(live) = &mut self.live {
            live.orders_taken = true;
            live.wake();
        }
    }

    pub(super) fn give(
        &mut self,
        id: CommandId,
        outbound: Vec<Outbound>,
        now: Millis,
        book: &mut Option<Turn<'_>>,
    ) -> Gave {
        let orders = self.orders.get_or_insert_default();
        if orders.has(id) {
            return Gave::Known;
        }
        let mut messages = Vec::with_capacity(outbound.len());
        for outbound in outbound {
            let system = outbound.system;
            match message(outbound.topic, outbound.payload, outbound.qos) {
                Some(message) => messages.push((Arc::new(message), system)),
                None => return Gave::Unwanted,
            }
        }
        if messages.is_empty() {
            return Gave::Unwanted;
        }
        let mut early = true;
        for (message, _) in &messages {
            early &= orders.take_early(message);
        }
        let orders = &*orders;
        let held = |message: &Arc<Message>| {
            self.mqtt.holds(|other| same(other, message)) > orders.held(message)
        };
        if early || messages.iter().any(|(message, _)| held(message)) {
            // A former connection was given it, and its session goes on.
            let step = |message: &Arc<Message>| match held(message) {
                true => Stage::Held,
                false => Stage::Taken,
            };
            let parts = messages.into_iter();
            let parts = parts.map(|(message, _)| (message.clone(), step(&message)));
            let parts = parts.collect::<Vec<_>>();
            self.orders.get_or_insert_default().give(id, parts);
            return Gave::Known;
        }
        let most = self.common.bounds.outgoing;
        if self.live.as_ref().is_some_and(|live| live.out.len() > most) {
            let orders = self.orders.get_or_insert_default();
            orders.set_crowded(Room::Flush);
            return Gave::NoRoom;
        }
        let wanted = |(message, system): &(Arc<Message>, bool)| self.wants(&message.topic, *system);
        if !messages.iter().all(wanted) {
            return Gave::Unwanted;
        }
        let mut parts = Vec::with_capacity(messages.len());
        let mut total = Handed::On;
        for (message, system) in messages {
            total = self.deliver(&message, system, None, now, book);
            if total != Handed::On {
                break;
            }
            let known = self.orders.as_ref().map_or(0, |own| own.held(&message));
            let step = match self.mqtt.holds(|other| same(other, &message)) > known {
                true => Stage::Held,
                false => Stage::Written(false),
            };
            parts.push((message, step));
        }
        let orders = self.orders.get_or_insert_default();
        if total != Handed::On && parts.is_empty() {
            orders.set_crowded(Room::Acknowledgement);
            return Gave::NoRoom;
        }
        orders.give(id, parts);
        Gave::Handed(total)
    }
}
