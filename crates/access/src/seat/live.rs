//! The connection that sits at a seat: the bytes that wait to be written to it, and those that must
//! not leave before the ledger is on disk.

use bytes::BytesMut;
use model::{id::SessionId, port::CloseReason};
use std::{
    collections::{HashMap, VecDeque},
    num::{NonZeroU16, NonZeroU32},
    task::Waker,
};
use wire::mqtt::{
    EncodeError, Packet, Property, ReasonCode, Text, TopicName, Transmit, Version, encode_publish,
    publish_size,
};

/// Topic aliases of ours on one connection at most.
const ALIASES: u16 = 32;

/// The connection that sits here.
pub(super) struct Live {
    pub(super) session: SessionId,
    pub(super) version: Version,
    pub(super) out: BytesMut,
    /// Whether it wants to read what was wrong (MQTT 5 §3.1.2.11.7).
    pub(super) explains: bool,
    /// There only if the client takes any.
    pub(super) aliases: Option<Box<Aliases>>,
    /// What must not leave before the ledger is on disk up to a position.
    #[expect(clippy::box_collection, reason = "most connections have none")]
    pub(super) held: Option<Box<VecDeque<(u64, BytesMut)>>>,
    /// Whether anything has been written.
    pub(super) greeted: bool,
    pub(super) waker: Option<Waker>,
    pub(super) closing: Option<Closing>,
    pub(super) commands_wait: bool,
    /// The device has orders that are not marked so.
    pub(super) orders_taken: bool,
}

/// Topic aliases of ours on one connection (MQTT 5 §3.3.2.3.4): the first topics get one each.
pub(super) struct Aliases {
    most: u16,
    /// The longest packet that the client takes.
    packet: Option<NonZeroU32>,
    known: HashMap<TopicName, NonZeroU16>,
}

impl Aliases {
    /// For a client that takes so many, and packets of at most that size.
    pub(super) fn new(taken: u16, packet: Option<NonZeroU32>) -> Self {
        Self {
            most: taken.min(ALIASES),
            packet,
            known: HashMap::new(),
        }
    }

    pub(super) fn encode(
        &mut self,
        transmit: &Transmit,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let mut parts = transmit.parts();
        let topic = &transmit.delivery.message.topic;
        if let Some(alias) = self.known.get(topic) {
            parts.topic = "";
            parts.alias = Some(*alias);
            return encode_publish(&parts, Version::V5, out);
        }
        let next = u16::try_from(self.known.len() + 1).unwrap_or(u16::MAX);
        parts.alias = NonZeroU16::new(next).filter(|next| next.get() <= self.most);
        let size = publish_size(&parts, Version::V5) as u64;
        if self.packet.is_some_and(|most| size > most.get().into()) {
            parts.alias = None;
        }
        encode_publish(&parts, Version::V5, out)?;
        if let Some(alias) = parts.alias {
            self.known.insert(topic.detached(), alias);
        }
        Ok(())
    }
}

/// Answers that a connection may have held back before no more of its packets are taken.
pub(super) const HELD: usize = 64;

/// Why the connection at a seat has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The server says so.
    Told(CloseReason),
    /// It left too much unread.
    Slow,
    /// It broke the protocol.
    Broken(ReasonCode),
    /// What it waits for cannot be written down.
    Failed,
}

impl Live {
    pub(super) fn new(
        session: SessionId,
        version: Version,
        explains: bool,
        aliases: Option<Box<Aliases>>,
    ) -> Self {
        Self {
            session,
            version,
            out: BytesMut::new(),
            explains,
            aliases,
            held: None,
            greeted: false,
            waker: None,
            closing: None,
            commands_wait: false,
            orders_taken: false,
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn close(&mut self, closing: Closing) {
        self.closing.get_or_insert(closing);
        self.wake();
    }

    /// Where bytes go that may leave when the ledger is on disk up to `position`, and not before
    /// those that were there first.
    pub(super) fn buffer(&mut self, position: u64) -> &mut BytesMut {
        if position == 0 && self.held.is_none() {
            return &mut self.out;
        }
        let held = self.held.get_or_insert_default();
        if held.back().is_none_or(|(last, _)| *last < position) {
            held.push_back((position, BytesMut::new()));
        }
        let (_, bytes) = held.back_mut().expect("one was pushed if there was none");
        bytes
    }

    pub(super) fn first_held(&self) -> Option<u64> {
        let (position, _) = self.held.as_ref()?.front()?;
        Some(*position)
    }

    pub(super) fn last_held(&self) -> Option<u64> {
        let (position, _) = self.held.as_ref()?.back()?;
        Some(*position)
    }

    /// Lets go of what the disk has caught up with.
    pub(super) fn let_go(&mut self, synced: u64) {
        let Some(held) = &mut self.held else { return };
        while let Some((_, bytes)) = held.pop_front_if(|(position, _)| *position <= synced) {
            if self.out.is_empty() {
                self.out = bytes;
            } else {
                self.out.extend_from_slice(&bytes);
            }
        }
        if held.is_empty() {
            self.held = None;
        }
    }
}

/// Adds to an answer that tells of a failure what it means, as far as the client takes packets of
/// that size [MQTT-3.4.2-2].
pub(super) fn explain(packet: &mut Packet, most: Option<NonZeroU32>) {
    /// Of an answer without words to one filter, at most, and of words with their frame.
    const FRAME: usize = 16;
    let failed = |reason: &&ReasonCode| reason.is_error();
    let (reason, size, properties) = match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) => {
            (Some(&ack.reason).filter(failed), 0, &mut ack.properties)
        }
        Packet::SubAck(ack) => {
            let size = ack.reasons.len();
            (ack.reasons.iter().find(failed), size, &mut ack.properties)
        }
        _ => return,
    };
    let Some(words) = reason.map(|reason| reason.words()) else {
        return;
    };
    if most.is_some_and(|most| FRAME + size + words.len() > most.get() as usize) {
        return;
    }
    if let Ok(words) = Text::try_from(words) {
        properties.push(Property::ReasonString(words));
    }
}
