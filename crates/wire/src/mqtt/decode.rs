//! Bytes to packets, strict as the OASIS texts.

use std::num::NonZeroU16;

use bytes::{Buf, Bytes, BytesMut};

use super::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketType, Publish, QoS, RetainHandling,
    SubAck, Subscribe, SubscribeFilter, SubscribeOptions, UnsubAck, Unsubscribe, Version, Will,
};
use super::property::{Place, Properties, Property};
use super::reader::{Reader, Varint};
use super::reason::ReasonCode;
use super::text::{Text, TextError};
use super::topic::TopicName;

/// What is wrong with a packet. All but [`DecodeError::ClientId`], [`DecodeError::Protocol`] and
/// [`DecodeError::Level`] end the connection without an answer in 3.x; [`DecodeError::reason`] is what MQTT 5 says
/// before it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A remaining length, property length or property number longer than four bytes, or longer than needed where
    /// that is forbidden.
    #[error("a variable byte integer is malformed")]
    Length,
    /// The packet is longer than the decoder takes.
    #[error("the packet has {size} bytes, {max} are taken")]
    TooLarge {
        /// Bytes of the packet, fixed header included.
        size: usize,
        /// The bound it broke.
        max: usize,
    },
    /// The first packet is none that may open a connection [MQTT-3.1.0-1], [MQTT-3.2.0-1].
    #[error("the first packet is neither CONNECT nor its answer")]
    First,
    /// A second CONNECT [MQTT-3.1.0-2].
    #[error("CONNECT came twice")]
    ConnectTwice,
    /// A kind of packet that is reserved, that the version has not, or that only the other end may send.
    #[error("the packet may not come from this side")]
    Unexpected,
    /// Reserved bits are set [MQTT-2.1.3-1], or flags contradict each other.
    #[error("flags of the packet are invalid")]
    Flags,
    /// QoS 3 [MQTT-3.3.1-4].
    #[error("QoS 3 does not exist")]
    QoS,
    /// The packet ends inside a field.
    #[error("the packet ends too early")]
    Truncated,
    /// The packet goes on behind its last field.
    #[error("the packet has bytes behind its last field")]
    TrailingBytes,
    /// A string is none.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Protocol name is neither `MQTT` nor `MQIsdp` [MQTT-3.1.2-1].
    #[error("the protocol is not MQTT")]
    Protocol,
    /// Protocol level is none we speak [MQTT-3.1.2-2].
    #[error("protocol level {0} is not supported")]
    Level(u8),
    /// An empty client id where there must be one [MQTT-3.1.3-8].
    #[error("the client id is empty")]
    ClientId,
    /// A packet identifier of zero [MQTT-2.2.1-3].
    #[error("the packet identifier is zero")]
    PacketId,
    /// A topic name that is empty or has a wildcard [MQTT-3.3.2-2].
    #[error("the topic name is invalid")]
    TopicName,
    /// A topic filter against §4.7 or §4.8.2.
    #[error("the topic filter is invalid")]
    TopicFilter,
    /// Neither a topic name nor an alias that stands for one (MQTT 5 §3.3.2.1, §3.3.2.3.4).
    #[error("the message has no topic")]
    NoTopic,
    /// A topic alias above the maximum, or zero [MQTT-3.3.2-8], [MQTT-3.3.2-9].
    #[error("the topic alias is invalid")]
    TopicAlias,
    /// SUBSCRIBE or UNSUBSCRIBE without a filter [MQTT-3.8.3-2], [MQTT-3.10.3-2].
    #[error("the packet names no topic filter")]
    NoFilter,
    /// Retain handling 3 (MQTT 5 §3.8.3.1).
    #[error("retain handling 3 does not exist")]
    RetainHandling,
    /// A shared subscription with No Local [MQTT-3.8.3-4].
    #[error("a shared subscription cannot be no-local")]
    SharedNoLocal,
    /// A property that does not exist, or not in this packet.
    #[error("the property does not belong here")]
    Property,
    /// A property that only the other end may send in this packet [MQTT-3.3.4-6], [MQTT-3.14.2-2].
    #[error("the property may not come from this side")]
    PropertySide,
    /// A property that may be there once is there twice.
    #[error("a property is there twice")]
    PropertyTwice,
    /// A property with a value out of its bounds.
    #[error("the value of a property is invalid")]
    PropertyValue,
    /// Authentication data without a method, or AUTH without one.
    #[error("the authentication method is missing")]
    AuthenticationMethod,
    /// A reason or return code that the packet cannot have.
    #[error("reason code {0:#04x} does not belong here")]
    Reason(u8),
}

impl DecodeError {
    /// The reason code for the CONNACK or DISCONNECT of MQTT 5. In 3.x [`ReasonCode::connect_return`] of it tells
    /// whether there is a CONNACK to send.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Length
            | Self::Flags
            | Self::QoS
            | Self::Truncated
            | Self::TrailingBytes
            | Self::Text(_)
            | Self::Property
            | Self::Reason(_) => ReasonCode::MalformedPacket,
            Self::First
            | Self::ConnectTwice
            | Self::Unexpected
            | Self::PacketId
            | Self::NoTopic
            | Self::NoFilter
            | Self::RetainHandling
            | Self::SharedNoLocal
            | Self::PropertySide
            | Self::PropertyTwice
            | Self::PropertyValue
            | Self::AuthenticationMethod => ReasonCode::ProtocolError,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::Protocol | Self::Level(_) => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientId => ReasonCode::ClientIdNotValid,
            Self::TopicName => ReasonCode::TopicNameInvalid,
            Self::TopicFilter => ReasonCode::TopicFilterInvalid,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
        }
    }
}

/// Which end of the line decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

/// Turns the bytes of one connection into packets.
///
/// Packets are slices of the buffer they came in; nothing is copied, and a PUBLISH without properties allocates
/// nothing. A packet that is too long is refused when its length is known, before it is collected. After an error the
/// decoder only repeats it: the connection has to be closed.
#[derive(Debug, Clone)]
pub struct Decoder {
    role: Role,
    version: Option<Version>,
    max_packet: usize,
    /// Whether the first packet has come.
    opened: bool,
    failed: Option<DecodeError>,
    alias_maximum: u16,
    /// Topic of alias n at n - 1; grows to the highest alias used.
    aliases: Vec<Option<TopicName>>,
}

impl Decoder {
    /// A decoder of what clients send. The first packet must be CONNECT and sets the version; packets longer than
    /// `max_packet` bytes, fixed header included, are refused.
    pub const fn server(max_packet: usize) -> Self {
        Self::new(Role::Server, None, max_packet)
    }

    /// A decoder of what a server sends to a client of `version`.
    pub const fn client(version: Version, max_packet: usize) -> Self {
        Self::new(Role::Client, Some(version), max_packet)
    }

    /// A decoder of packets that a server kept for itself, in the form that it sends to a client of `version`.
    pub const fn kept(version: Version) -> Self {
        let mut decoder = Self::new(Role::Client, Some(version), usize::MAX);
        decoder.opened = true;
        decoder
    }

    const fn new(role: Role, version: Option<Version>, max_packet: usize) -> Self {
        Self {
            role,
            version,
            max_packet,
            opened: false,
            failed: None,
            alias_maximum: 0,
            aliases: Vec::new(),
        }
    }

    /// The version of the connection; `None` before a CONNECT named one. Known also after a CONNECT that failed behind
    /// its protocol level, so that the refusal can be encoded.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Changes the longest packet, for example once the client has proved who it is.
    pub const fn set_max_packet(&mut self, max_packet: usize) {
        self.max_packet = max_packet;
    }

    /// Takes topic aliases up to `maximum`, the Topic Alias Maximum this side has announced; none before.
    pub const fn set_topic_alias_maximum(&mut self, maximum: u16) {
        self.alias_maximum = maximum;
    }

    /// Cuts the next packet off the front of `buf`. `None` asks for more bytes.
    ///
    /// # Errors
    /// The first fault of the packet; see [`DecodeError`].
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.next(buf)
            .inspect_err(|&error| self.failed = Some(error))
    }

    fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(&first) = buf.first() else {
            return Ok(None);
        };
        let kind = self.admit(first)?;
        let Some(length) = Varint::peek(&buf[1..])? else {
            return Ok(None);
        };
        let header = 1 + length.width;
        let size = header + length.value;
        if size > self.max_packet {
            return Err(DecodeError::TooLarge {
                size,
                max: self.max_packet,
            });
        }
        if buf.len() < size {
            return Ok(None);
        }
        let mut body = buf.split_to(size).freeze();
        body.advance(header);
        let packet = self.body(kind, first & 0x0f, body)?;
        if length.is_padded() && self.version == Some(Version::V5) {
            return Err(DecodeError::Length);
        }
        self.opened = true;
        Ok(Some(packet))
    }

    /// Says from its first byte alone whether a packet may come now.
    fn admit(&self, first: u8) -> Result<PacketType, DecodeError> {
        use PacketType as P;
        let kind = P::from_first_byte(first).ok_or(DecodeError::Flags)?;
        let v5 = self.version == Some(Version::V5);
        if !self.opened {
            let opens = match self.role {
                Role::Server => kind == P::Connect,
                Role::Client => kind == P::ConnAck || (v5 && kind == P::Auth),
            };
            if !opens {
                return Err(DecodeError::First);
            }
        } else if kind == P::Connect && self.role == Role::Server {
            return Err(DecodeError::ConnectTwice);
        }
        let expected = match kind {
            P::Publish | P::PubAck | P::PubRec | P::PubRel | P::PubComp => true,
            P::Connect | P::Subscribe | P::Unsubscribe | P::PingReq => self.role == Role::Server,
            P::ConnAck | P::SubAck | P::UnsubAck | P::PingResp => self.role == Role::Client,
            P::Disconnect => v5 || self.role == Role::Server,
            P::Auth => v5,
        };
        if !expected {
            return Err(DecodeError::Unexpected);
        }
        let flags = first & 0x0f;
        let reserved = kind.reserved_flags();
        // MQTT 3.1 §2.1: packets of QoS 1 that come again have DUP set, and these three are of QoS 1.
        let again = self.version == Some(Version::V31) && reserved != 0 && flags == reserved | 0x08;
        if kind != P::Publish && flags != reserved && !again {
            return Err(DecodeError::Flags);
        }
        Ok(kind)
    }

    fn body(&mut self, kind: PacketType, flags: u8, body: Bytes) -> Result<Packet, DecodeError> {
        use PacketType as P;
        let mut reader = Reader::new(body);
        if kind == P::Connect {
            let version = version(&mut reader)?;
            self.version = Some(version);
            return Ok(Packet::Connect(Box::new(connect(version, reader)?)));
        }
        let v5 = self.version == Some(Version::V5);
        Ok(match kind {
            P::Publish => Packet::Publish(self.publish(flags, reader, v5)?),
            P::PubAck => Packet::PubAck(ack(kind, Place::PubAck, reader, v5)?),
            P::PubRec => Packet::PubRec(ack(kind, Place::PubRec, reader, v5)?),
            P::PubRel => Packet::PubRel(ack(kind, Place::PubRel, reader, v5)?),
            P::PubComp => Packet::PubComp(ack(kind, Place::PubComp, reader, v5)?),
            P::Subscribe => Packet::Subscribe(subscribe(reader, v5)?),
            P::SubAck => Packet::SubAck(suback(reader, v5)?),
            P::Unsubscribe => Packet::Unsubscribe(unsubscribe(reader, v5)?),
            P::UnsubAck => Packet::UnsubAck(unsuback(reader, v5)?),
            P::Connect | P::ConnAck => Packet::ConnAck(connack(reader, self.version)?),
            P::Disconnect => Packet::Disconnect(self.disconnect(reader, v5)?),
            P::Auth => Packet::Auth(auth(reader)?),
            P::PingReq => {
                reader.finish()?;
                Packet::PingReq
            }
            P::PingResp => {
                reader.finish()?;
                Packet::PingResp
            }
        })
    }

    fn publish(&mut self, flags: u8, mut reader: Reader, v5: bool) -> Result<Publish, DecodeError> {
        let dup = flags & 0b1000 != 0;
        let qos = QoS::from_bits(flags >> 1 & 0b11).ok_or(DecodeError::QoS)?;
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::Flags); // [MQTT-3.3.1-2]
        }
        let name: Text = reader.field()?;
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let mut properties = Properties::new();
        if v5 {
            properties = Properties::read(&mut reader, Place::Publish)?;
            if self.role == Role::Server && properties.subscription_identifier().is_some() {
                return Err(DecodeError::PropertySide); // [MQTT-3.3.4-6]
            }
        }
        let topic = match properties.topic_alias().copied() {
            None if v5 && name.is_empty() => return Err(DecodeError::NoTopic),
            None => TopicName::from_text(name).map_err(|_| DecodeError::TopicName)?,
            Some(alias) => {
                properties.retain(|property| !matches!(property, Property::TopicAlias(_)));
                self.resolve(alias, name)?
            }
        };
        let retain = flags & 1 != 0;
        Ok(Publish {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
        })
    }

    /// The topic of an alias; a name beside the alias sets it (MQTT 5 §3.3.2.3.4).
    fn resolve(&mut self, alias: NonZeroU16, name: Text) -> Result<TopicName, DecodeError> {
        if alias.get() > self.alias_maximum {
            return Err(DecodeError::TopicAlias);
        }
        let at = usize::from(alias.get() - 1);
        if name.is_empty() {
            return self
                .aliases
                .get(at)
                .cloned()
                .flatten()
                .ok_or(DecodeError::NoTopic);
        }
        let topic = TopicName::from_text(name).map_err(|_| DecodeError::TopicName)?;
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, None);
        }
        self.aliases[at] = Some(topic.detached());
        Ok(topic)
    }

    fn disconnect(&self, mut reader: Reader, v5: bool) -> Result<Disconnect, DecodeError> {
        let mut reason = ReasonCode::Success;
        let mut properties = Properties::new();
        if v5 && !reader.is_empty() {
            reason = self::reason(&mut reader, PacketType::Disconnect)?;
            if !reader.is_empty() {
                properties = Properties::read(&mut reader, Place::Disconnect)?;
            }
            if self.role == Role::Client && properties.session_expiry_interval().is_some() {
                return Err(DecodeError::PropertySide); // [MQTT-3.14.2-2]
            }
        }
        reader.finish()?;
        Ok(Disconnect { reason, properties })
    }
}

fn reason(reader: &mut Reader, kind: PacketType) -> Result<ReasonCode, DecodeError> {
    let byte = reader.u8()?;
    ReasonCode::from_byte(byte)
        .filter(|code| code.fits(kind))
        .ok_or(DecodeError::Reason(byte))
}

/// Properties where the version has them.
fn properties(reader: &mut Reader, place: Place, v5: bool) -> Result<Properties, DecodeError> {
    if v5 {
        Properties::read(reader, place)
    } else {
        Ok(Properties::new())
    }
}

fn version(reader: &mut Reader) -> Result<Version, DecodeError> {
    let size = reader.u16()?;
    let name = reader.take(size.into())?;
    let level = reader.u8()?;
    match (&name[..], level) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT" | b"MQIsdp", level) => Err(DecodeError::Level(level)),
        _ => Err(DecodeError::Protocol),
    }
}

fn connect(version: Version, mut reader: Reader) -> Result<Connect, DecodeError> {
    let v5 = version.is_v5();
    let flags = reader.u8()?;
    let has_will = flags & 0b0000_0100 != 0;
    let will_qos = QoS::from_bits(flags >> 3 & 0b11).ok_or(DecodeError::QoS)?; // [MQTT-3.1.2-14]
    let will_retain = flags & 0b0010_0000 != 0;
    let has_password = flags & 0b0100_0000 != 0;
    let has_username = flags & 0b1000_0000 != 0;
    let clean_start = flags & 0b0000_0010 != 0;
    let reserved = flags & 1 != 0; // [MQTT-3.1.2-3]
    let idle_will = !has_will && (will_retain || will_qos != QoS::AtMostOnce); // [MQTT-3.1.2-13], [MQTT-3.1.2-15]
    let lone_password = has_password && !has_username && !v5; // [MQTT-3.1.2-22] of 3.1.1
    if reserved || idle_will || lone_password {
        return Err(DecodeError::Flags);
    }
    let keep_alive = reader.u16()?;
    let connect_properties = properties(&mut reader, Place::Connect, v5)?;
    if connect_properties.authentication_data().is_some()
        && connect_properties.authentication_method().is_none()
    {
        return Err(DecodeError::AuthenticationMethod);
    }
    let client_id: Text = reader.field()?;
    let will = if has_will {
        Some(Will {
            properties: properties(&mut reader, Place::Will, v5)?,
            topic: reader.field()?,
            payload: reader.field()?,
            qos: will_qos,
            retain: will_retain,
        })
    } else {
        None
    };
    // MQTT 3.1 §3.1: the remaining length takes precedence over the user name and password flags.
    let present = |reader: &Reader| version != Version::V31 || !reader.is_empty();
    let username = if has_username && present(&reader) {
        Some(reader.field()?)
    } else {
        None
    };
    let password = if has_password && present(&reader) {
        Some(reader.field()?)
    } else {
        None
    };
    reader.finish()?;
    let connect = Connect {
        version,
        clean_start,
        keep_alive,
        client_id,
        will,
        username,
        password,
        properties: connect_properties,
    };
    // Last, so that the refusal with return code 2 answers a CONNECT that is otherwise well formed.
    if connect.client_id.is_empty() && connect.needs_client_id() {
        return Err(DecodeError::ClientId);
    }
    Ok(connect)
}

fn connack(mut reader: Reader, version: Option<Version>) -> Result<ConnAck, DecodeError> {
    let v5 = version == Some(Version::V5);
    // MQTT 3.1 §3.2 does not use the byte.
    let flags = reader.u8()? * u8::from(version != Some(Version::V31));
    if flags > 1 {
        return Err(DecodeError::Flags); // [MQTT-3.2.2-1] of MQTT 5
    }
    let reason = if v5 {
        reason(&mut reader, PacketType::ConnAck)?
    } else {
        let code = reader.u8()?;
        ReasonCode::from_connect_return(code).ok_or(DecodeError::Reason(code))?
    };
    let session_present = flags == 1;
    if session_present && reason != ReasonCode::Success {
        return Err(DecodeError::Flags); // [MQTT-3.2.2-6] of MQTT 5, [MQTT-3.2.2-4] of 3.1.1
    }
    let properties = properties(&mut reader, Place::ConnAck, v5)?;
    reader.finish()?;
    Ok(ConnAck {
        session_present,
        reason,
        properties,
    })
}

fn ack(kind: PacketType, place: Place, mut reader: Reader, v5: bool) -> Result<Ack, DecodeError> {
    let packet_id = reader.packet_id()?;
    let mut answer = Ack::new(packet_id, ReasonCode::Success);
    if v5 && !reader.is_empty() {
        answer.reason = reason(&mut reader, kind)?;
        if !reader.is_empty() {
            answer.properties = Properties::read(&mut reader, place)?;
        }
    }
    reader.finish()?;
    Ok(answer)
}

fn subscribe(mut reader: Reader, v5: bool) -> Result<Subscribe, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, Place::Subscribe, v5)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        let line = SubscribeFilter {
            filter: reader.field()?,
            options: options(reader.u8()?, v5)?,
        };
        if line.options.no_local && line.filter.shared().is_some() {
            return Err(DecodeError::SharedNoLocal);
        }
        filters.push(line);
    }
    if filters.is_empty() {
        return Err(DecodeError::NoFilter);
    }
    Ok(Subscribe {
        packet_id,
        filters,
        properties,
    })
}

fn options(byte: u8, v5: bool) -> Result<SubscribeOptions, DecodeError> {
    let known = if v5 { 0b0011_1111 } else { 0b0000_0011 };
    if byte & !known != 0 {
        return Err(DecodeError::Flags); // [MQTT-3.8.3-4] of 3.1.1, [MQTT-3.8.3-5] of MQTT 5
    }
    Ok(SubscribeOptions {
        qos: QoS::from_bits(byte & 0b11).ok_or(DecodeError::QoS)?,
        no_local: byte & 0b0100 != 0,
        retain_as_published: byte & 0b1000 != 0,
        retain_handling: match byte >> 4 & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::Never,
            _ => return Err(DecodeError::RetainHandling),
        },
    })
}

fn suback(mut reader: Reader, v5: bool) -> Result<SubAck, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, Place::SubAck, v5)?;
    let mut reasons = Vec::new();
    while !reader.is_empty() {
        let code = reason(&mut reader, PacketType::SubAck)?;
        if !v5 && code.is_error() && code != ReasonCode::UnspecifiedError {
            return Err(DecodeError::Reason(code.byte())); // [MQTT-3.9.3-2] of 3.1.1
        }
        reasons.push(code);
    }
    if reasons.is_empty() {
        return Err(DecodeError::Truncated);
    }
    Ok(SubAck {
        packet_id,
        reasons,
        properties,
    })
}

fn unsubscribe(mut reader: Reader, v5: bool) -> Result<Unsubscribe, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, Place::Unsubscribe, v5)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(reader.field()?);
    }
    if filters.is_empty() {
        return Err(DecodeError::NoFilter);
    }
    Ok(Unsubscribe {
        packet_id,
        filters,
        properties,
    })
}

fn unsuback(mut reader: Reader, v5: bool) -> Result<UnsubAck, DecodeError> {
    let packet_id = reader.packet_id()?;
    let properties = properties(&mut reader, Place::UnsubAck, v5)?;
    let mut reasons = Vec::new();
    if v5 {
        while !reader.is_empty() {
            reasons.push(reason(&mut reader, PacketType::UnsubAck)?);
        }
        if reasons.is_empty() {
            return Err(DecodeError::Truncated);
        }
    }
    reader.finish()?;
    Ok(UnsubAck {
        packet_id,
        reasons,
        properties,
    })
}

fn auth(mut reader: Reader) -> Result<Auth, DecodeError> {
    if reader.is_empty() {
        return Ok(Auth {
            reason: ReasonCode::Success,
            properties: Properties::new(),
        });
    }
    let reason = reason(&mut reader, PacketType::Auth)?;
    let properties = Properties::read(&mut reader, Place::Auth)?;
    reader.finish()?;
    if properties.authentication_method().is_none() {
        return Err(DecodeError::AuthenticationMethod);
    }
    Ok(Auth { reason, properties })
}

#[cfg(test)]
mod tests;
