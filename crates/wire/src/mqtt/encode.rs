//! Packets to bytes.

use std::num::NonZeroU16;

use bytes::{BufMut, BytesMut};

use super::packet::{
    Ack, Connect, Packet, PacketId, PacketType, Publish, QoS, SubscribeOptions, Version,
};
use super::property::{Place, Properties, Property, SubscriptionId};
use super::reader::{Field, VARINT_MAX, put_short, put_varint, varint_size};
use super::reason::ReasonCode;

/// Why a packet has no form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// QoS 1 or 2 without a packet identifier, or QoS 0 with one or with DUP.
    #[error("packet identifier and DUP do not go with the QoS")]
    PacketId,
    /// The topic is longer than 65,535 bytes, or empty without an alias.
    #[error("the topic has no form on the wire")]
    Topic,
    /// The packet is longer than 268,435,455 bytes.
    #[error("the packet is too long")]
    TooLong,
    /// The version does not know the packet, or the CONNECT is for another version.
    #[error("the packet does not exist in this version")]
    Version,
    /// The reason code is none of this packet, or 3.x cannot say it: most refusals of CONNECT, a failure in an
    /// acknowledgement, any reason in DISCONNECT.
    #[error("the packet cannot carry the reason code in this version")]
    Reason,
    /// A property that does not belong there, or is there twice.
    #[error("a property does not belong to the packet")]
    Property,
    /// SUBSCRIBE, SUBACK, UNSUBSCRIBE or UNSUBACK without an entry.
    #[error("the packet lists nothing")]
    Empty,
    /// Flags that contradict each other, as a password without user name in 3.x, or a CONNECT that needs a client id and
    /// has none.
    #[error("the flags of the packet contradict each other")]
    Flags,
}

/// The parts of a PUBLISH, borrowed: one message goes to many receivers with another QoS, packet identifier or
/// subscription identifiers for each, and is not cloned for it.
#[derive(Debug, Clone, Copy)]
pub struct PublishParts<'a> {
    /// Topic name, without wildcards; the caller has checked it. Empty only beside a topic alias.
    pub topic: &'a str,
    /// Topic alias; left out in 3.x, as are all properties.
    pub alias: Option<NonZeroU16>,
    /// The message.
    pub payload: &'a [u8],
    /// Level of this delivery.
    pub qos: QoS,
    /// Present exactly when `qos` is 1 or 2.
    pub packet_id: Option<PacketId>,
    /// Whether it was sent before.
    pub dup: bool,
    /// Retain flag.
    pub retain: bool,
    /// Properties of the message; left out in 3.x.
    pub properties: &'a Properties,
    /// Seconds to send as message expiry interval in place of the one in `properties`, which counts from when the
    /// message came [MQTT-3.3.2-6].
    pub expiry: Option<u32>,
    /// Subscription identifiers to add to those in `properties`.
    pub subscription_ids: &'a [SubscriptionId],
}

impl<'a> From<&'a Publish> for PublishParts<'a> {
    fn from(publish: &'a Publish) -> Self {
        Self {
            topic: &publish.topic,
            alias: None,
            payload: &publish.payload,
            qos: publish.qos,
            packet_id: publish.packet_id,
            dup: publish.dup,
            retain: publish.retain,
            properties: &publish.properties,
            expiry: None,
            subscription_ids: &[],
        }
    }
}

impl PublishParts<'_> {
    fn overrides(&self, property: &Property) -> bool {
        self.expiry.is_some() && matches!(property, Property::MessageExpiryInterval(_))
    }

    fn properties_size(&self) -> usize {
        let alias = if self.alias.is_some() { 3 } else { 0 };
        if self.properties.is_empty() && self.expiry.is_none() && self.subscription_ids.is_empty() {
            return alias;
        }
        let expiry = if self.expiry.is_some() {
            5 - self.properties.message_expiry_interval().map_or(0, |_| 5)
        } else {
            0
        };
        let ids: usize = self.subscription_ids.iter().map(|id| 1 + id.size()).sum();
        self.properties.body_size() + expiry + ids + alias
    }

    fn write_properties(&self, size: usize, buf: &mut BytesMut) {
        put_varint(size, buf);
        if size == 0 {
            return;
        }
        for property in self.properties {
            if !self.overrides(property) {
                property.write(buf);
            }
        }
        if let Some(expiry) = self.expiry {
            Property::MessageExpiryInterval(expiry).write(buf);
        }
        if let Some(alias) = self.alias {
            Property::TopicAlias(alias).write(buf);
        }
        for &id in self.subscription_ids {
            Property::SubscriptionIdentifier(id).write(buf);
        }
    }

    /// Bytes behind the fixed header, and those of the properties.
    fn sizes(&self, version: Version) -> (usize, usize) {
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let body = 2 + self.topic.len() + id + self.payload.len();
        if !version.is_v5() {
            return (body, 0);
        }
        let properties = self.properties_size();
        (body + varint_size(properties) + properties, properties)
    }
}

/// Bytes of the PUBLISH that [`encode_publish`] writes, fixed header included: to be compared with the receiver's
/// Maximum Packet Size [MQTT-3.1.2-24].
pub fn publish_size(parts: &PublishParts<'_>, version: Version) -> usize {
    let (body, _) = parts.sizes(version);
    1 + varint_size(body) + body
}

/// Writes a PUBLISH from its parts. Nothing is written on an error.
///
/// # Errors
/// [`EncodeError::PacketId`], [`EncodeError::Topic`], [`EncodeError::Property`], [`EncodeError::TooLong`].
pub fn encode_publish(
    parts: &PublishParts<'_>,
    version: Version,
    buf: &mut BytesMut,
) -> Result<(), EncodeError> {
    let level0 = parts.qos == QoS::AtMostOnce;
    if parts.packet_id.is_some() == level0 || (level0 && parts.dup) {
        return Err(EncodeError::PacketId);
    }
    let own = parts.properties.topic_alias().is_some();
    if own && parts.alias.is_some() {
        return Err(EncodeError::Property);
    }
    let aliased = version.is_v5() && (own || parts.alias.is_some());
    if parts.topic.len() > usize::from(u16::MAX) || (parts.topic.is_empty() && !aliased) {
        return Err(EncodeError::Topic);
    }
    if version.is_v5() {
        parts.properties.check(Place::Publish)?;
    }
    let (body, properties) = parts.sizes(version);
    if body > VARINT_MAX {
        return Err(EncodeError::TooLong);
    }
    buf.reserve(5 + body);
    let flags = u8::from(parts.dup) << 3 | parts.qos.bits() << 1 | u8::from(parts.retain);
    buf.put_u8((PacketType::Publish as u8) << 4 | flags);
    put_varint(body, buf);
    put_short(parts.topic.as_bytes(), buf);
    if let Some(id) = parts.packet_id {
        buf.put_u16(id.get());
    }
    if version.is_v5() {
        parts.write_properties(properties, buf);
    }
    buf.put_slice(parts.payload);
    Ok(())
}

/// Writes a packet as the version has it; 3.x leaves out properties and subscription options. Nothing is
/// written on an error.
///
/// # Errors
/// [`EncodeError`]; what is written without one can be decoded again.
pub fn encode(packet: &Packet, version: Version, buf: &mut BytesMut) -> Result<(), EncodeError> {
    let v5 = version.is_v5();
    match packet {
        Packet::Publish(publish) => return encode_publish(&publish.into(), version, buf),
        Packet::PingReq | Packet::PingResp => {
            buf.put_slice(&[(packet.kind() as u8) << 4, 0]);
            return Ok(());
        }
        Packet::Auth(_) if !v5 => return Err(EncodeError::Version),
        Packet::Connect(connect) if connect.version != version => return Err(EncodeError::Version),
        _ => {}
    }
    let start = buf.len();
    buf.put_u8((packet.kind() as u8) << 4 | packet.kind().reserved_flags());
    buf.put_bytes(0, LENGTH_ROOM);
    let result = body(packet, version, buf).and_then(|()| close(start, buf));
    if result.is_err() {
        buf.truncate(start);
    }
    result
}

/// Bytes kept free for the remaining length while the body is written.
const LENGTH_ROOM: usize = 4;

/// Puts the remaining length before the body that starts behind its room, and closes the gap.
fn close(start: usize, buf: &mut BytesMut) -> Result<(), EncodeError> {
    let body = start + 1 + LENGTH_ROOM;
    let size = buf.len() - body;
    if size > VARINT_MAX {
        return Err(EncodeError::TooLong);
    }
    let mut length = BytesMut::with_capacity(LENGTH_ROOM);
    put_varint(size, &mut length);
    let moved = start + 1 + length.len();
    buf[start + 1..moved].copy_from_slice(&length);
    buf.copy_within(body.., moved);
    buf.truncate(moved + size);
    Ok(())
}

fn body(packet: &Packet, version: Version, buf: &mut BytesMut) -> Result<(), EncodeError> {
    let v5 = version.is_v5();
    match packet {
        Packet::Connect(it) => connect(it, buf),
        Packet::ConnAck(it) => {
            let present = it.session_present && !it.reason.is_error() && version != Version::V31;
            buf.put_u8(u8::from(present));
            if v5 {
                put_reason(it.reason, PacketType::ConnAck, buf)?;
            } else {
                buf.put_u8(it.reason.connect_return().ok_or(EncodeError::Reason)?);
            }
            put_properties(&it.properties, Place::ConnAck, v5, buf)
        }
        Packet::PubAck(it) => ack(it, PacketType::PubAck, Place::PubAck, v5, buf),
        Packet::PubRec(it) => ack(it, PacketType::PubRec, Place::PubRec, v5, buf),
        Packet::PubRel(it) => ack(it, PacketType::PubRel, Place::PubRel, v5, buf),
        Packet::PubComp(it) => ack(it, PacketType::PubComp, Place::PubComp, v5, buf),
        Packet::Subscribe(it) => {
            buf.put_u16(it.packet_id.get());
            put_properties(&it.properties, Place::Subscribe, v5, buf)?;
            for line in &it.filters {
                if v5 && line.options.no_local && line.filter.shared().is_some() {
                    return Err(EncodeError::Flags);
                }
                line.filter.write(buf);
                buf.put_u8(options(line.options, v5));
            }
            nonempty(&it.filters)
        }
        Packet::SubAck(it) => {
            buf.put_u16(it.packet_id.get());
            put_properties(&it.properties, Place::SubAck, v5, buf)?;
            for &reason in &it.reasons {
                let plain = if reason.is_error() {
                    ReasonCode::UnspecifiedError
                } else {
                    reason
                };
                put_reason(if v5 { reason } else { plain }, PacketType::SubAck, buf)?;
            }
            nonempty(&it.reasons)
        }
        Packet::Unsubscribe(it) => {
            buf.put_u16(it.packet_id.get());
            put_properties(&it.properties, Place::Unsubscribe, v5, buf)?;
            for filter in &it.filters {
                filter.write(buf);
            }
            nonempty(&it.filters)
        }
        Packet::UnsubAck(it) => {
            buf.put_u16(it.packet_id.get());
            if !v5 {
                return Ok(());
            }
            put_properties(&it.properties, Place::UnsubAck, v5, buf)?;
            for &reason in &it.reasons {
                put_reason(reason, PacketType::UnsubAck, buf)?;
            }
            nonempty(&it.reasons)
        }
        Packet::Disconnect(it) => {
            if !v5 && it.reason != ReasonCode::Success {
                return Err(EncodeError::Reason);
            }
            if !v5 || (it.reason == ReasonCode::Success && it.properties.is_empty()) {
                return Ok(());
            }
            put_reason(it.reason, PacketType::Disconnect, buf)?;
            put_properties_if_any(&it.properties, Place::Disconnect, buf)
        }
        Packet::Auth(it) => {
            if it.reason == ReasonCode::Success && it.properties.is_empty() {
                return Ok(());
            }
            if it.properties.authentication_method().is_none() {
                return Err(EncodeError::Property);
            }
            put_reason(it.reason, PacketType::Auth, buf)?;
            put_properties(&it.properties, Place::Auth, v5, buf)
        }
        // `encode` has written these.
        Packet::Publish(_) | Packet::PingReq | Packet::PingResp => Ok(()),
    }
}

fn connect(it: &Connect, buf: &mut BytesMut) -> Result<(), EncodeError> {
    let v5 = it.version.is_v5();
    let lone_password = it.password.is_some() && it.username.is_none() && !v5;
    if lone_password || (it.client_id.is_empty() && it.needs_client_id()) {
        return Err(EncodeError::Flags);
    }
    put_short(it.version.name().as_bytes(), buf);
    buf.put_u8(it.version.level());
    let will = it.will.as_ref().map_or(0, |will| {
        0b100 | will.qos.bits() << 3 | u8::from(will.retain) << 5
    });
    let credentials = u8::from(it.username.is_some()) << 7 | u8::from(it.password.is_some()) << 6;
    buf.put_u8(credentials | will | u8::from(it.clean_start) << 1);
    buf.put_u16(it.keep_alive);
    if it.properties.authentication_data().is_some()
        && it.properties.authentication_method().is_none()
    {
        return Err(EncodeError::Property);
    }
    put_properties(&it.properties, Place::Connect, v5, buf)?;
    it.client_id.write(buf);
    if let Some(will) = &it.will {
        put_properties(&will.properties, Place::Will, v5, buf)?;
        will.topic.write(buf);
        will.payload.write(buf);
    }
    if let Some(username) = &it.username {
        username.write(buf);
    }
    if let Some(password) = &it.password {
        password.write(buf);
    }
    Ok(())
}

fn ack(
    it: &Ack,
    kind: PacketType,
    place: Place,
    v5: bool,
    buf: &mut BytesMut,
) -> Result<(), EncodeError> {
    buf.put_u16(it.packet_id.get());
    if !v5 && it.reason.is_error() {
        return Err(EncodeError::Reason); // without its reason it would say the opposite
    }
    if !v5 || (it.reason == ReasonCode::Success && it.properties.is_empty()) {
        return Ok(());
    }
    put_reason(it.reason, kind, buf)?;
    put_properties_if_any(&it.properties, place, buf)
}

fn options(options: SubscribeOptions, v5: bool) -> u8 {
    if !v5 {
        return options.qos.bits();
    }
    options.qos.bits()
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4
}

fn put_reason(reason: ReasonCode, kind: PacketType, buf: &mut BytesMut) -> Result<(), EncodeError> {
    if !reason.fits(kind) {
        return Err(EncodeError::Reason);
    }
    buf.put_u8(reason.byte());
    Ok(())
}

fn put_properties(
    properties: &Properties,
    place: Place,
    v5: bool,
    buf: &mut BytesMut,
) -> Result<(), EncodeError> {
    if v5 {
        properties.check(place)?;
        properties.write(buf);
    }
    Ok(())
}

/// The length of no properties may be left out at the end of a packet (MQTT 5 §3.4.2.2.1, §3.14.2.2.1).
fn put_properties_if_any(
    properties: &Properties,
    place: Place,
    buf: &mut BytesMut,
) -> Result<(), EncodeError> {
    put_properties(properties, place, !properties.is_empty(), buf)
}

fn nonempty<T>(list: &[T]) -> Result<(), EncodeError> {
    if list.is_empty() {
        Err(EncodeError::Empty)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
