//! Properties (MQTT 5 §2.2.2): what a packet says beside its fixed fields.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{BufMut, BytesMut};

use super::decode::DecodeError;
use super::encode::EncodeError;
use super::reader::{Field, Reader, VARINT_MAX, put_varint};
use super::text::{Binary, Secret, Text};
use super::topic::TopicName;

/// Where properties stand: in which packet, or in the will of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the ones of the standard")]
pub enum Place {
    Connect,
    Will,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth,
}

/// The number a subscription is known by to its client: 1 to 268,435,455 (MQTT 5 §3.8.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// The identifier for a number in range.
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value)
            .filter(|value| value.get() as usize <= VARINT_MAX)
            .map(Self)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A name and a value of the application's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserProperty {
    /// Its name; may repeat.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

/// One table: identifier, name, type, and the places that may have it (MQTT 5 §2.2.2.2 table 2-4).
macro_rules! properties {
    ($($(#[$doc:meta])* $id:literal $name:ident($type:ty) $getter:ident in [$($place:ident)+])+) => {
        /// A property (MQTT 5 §2.2.2.2).
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Property {
            $($(#[$doc])* $name($type),)+
        }

        impl Property {
            /// The identifier on the wire.
            pub const fn id(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $id,)+
                }
            }

            /// Whether the standard allows the property there.
            pub const fn fits(&self, place: Place) -> bool {
                match self {
                    $(Self::$name(_) => matches!(place, $(Place::$place)|+),)+
                }
            }

            fn read(id: usize, reader: &mut Reader) -> Result<Self, DecodeError> {
                match id {
                    $($id => reader.field().map(Self::$name),)+
                    _ => Err(DecodeError::Property),
                }
            }

            fn size(&self) -> usize {
                1 + match self {
                    $(Self::$name(value) => value.size(),)+
                }
            }

            pub(super) fn write(&self, buf: &mut BytesMut) {
                buf.put_u8(self.id());
                match self {
                    $(Self::$name(value) => value.write(buf),)+
                }
            }
        }

        impl Properties {
            $(
                $(#[$doc])*
                ///
                /// This is the first such property of the packet.
                pub fn $getter(&self) -> Option<&$type> {
                    self.0.iter().find_map(|property| match property {
                        Property::$name(value) => Some(value),
                        _ => None,
                    })
                }
            )+
        }
    };
}

properties! {
    /// Whether the payload says it is UTF-8.
    0x01 PayloadFormatIndicator(bool) payload_format_indicator in [Publish Will]
    /// Seconds until the message is worth nothing.
    0x02 MessageExpiryInterval(u32) message_expiry_interval in [Publish Will]
    /// Media type of the payload.
    0x03 ContentType(Text) content_type in [Publish Will]
    /// Where to answer a request.
    0x08 ResponseTopic(TopicName) response_topic in [Publish Will]
    /// By what to know the answer of a request.
    0x09 CorrelationData(Binary) correlation_data in [Publish Will]
    /// Which subscription of the receiver the message is for.
    0x0b SubscriptionIdentifier(SubscriptionId) subscription_identifier in [Publish Subscribe]
    /// Seconds the session outlives its connection; 0xFFFF_FFFF is for ever.
    0x11 SessionExpiryInterval(u32) session_expiry_interval in [Connect ConnAck Disconnect]
    /// The client id the server gave.
    0x12 AssignedClientIdentifier(Text) assigned_client_identifier in [ConnAck]
    /// Seconds of keep alive the server wants instead.
    0x13 ServerKeepAlive(u16) server_keep_alive in [ConnAck]
    /// Name of the method of enhanced authentication.
    0x15 AuthenticationMethod(Text) authentication_method in [Connect ConnAck Auth]
    /// Data of enhanced authentication.
    0x16 AuthenticationData(Secret) authentication_data in [Connect ConnAck Auth]
    /// Whether the client wants reason strings and user properties with errors.
    0x17 RequestProblemInformation(bool) request_problem_information in [Connect]
    /// Seconds to wait before the will is published.
    0x18 WillDelayInterval(u32) will_delay_interval in [Will]
    /// Whether the client wants response information.
    0x19 RequestResponseInformation(bool) request_response_information in [Connect]
    /// On what to build response topics.
    0x1a ResponseInformation(Text) response_information in [ConnAck]
    /// Another server to use.
    0x1c ServerReference(Text) server_reference in [ConnAck Disconnect]
    /// The reason, for people to read.
    0x1f ReasonString(Text) reason_string
        in [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth]
    /// How many QoS 1 and 2 messages the sender of this takes at once.
    0x21 ReceiveMaximum(NonZeroU16) receive_maximum in [Connect ConnAck]
    /// Highest topic alias the sender of this takes.
    0x22 TopicAliasMaximum(u16) topic_alias_maximum in [Connect ConnAck]
    /// Short for the topic of the message.
    0x23 TopicAlias(NonZeroU16) topic_alias in [Publish]
    /// Highest level the server supports, when it is not 2: `false` is QoS 0, `true` is QoS 1.
    0x24 MaximumQoS(bool) maximum_qos in [ConnAck]
    /// Whether the server has retained messages.
    0x25 RetainAvailable(bool) retain_available in [ConnAck]
    /// A name and a value of the application's own.
    0x26 UserProperty(UserProperty) user_property
        in [Connect Will ConnAck Publish PubAck PubRec PubRel PubComp Subscribe SubAck Unsubscribe
            UnsubAck Disconnect Auth]
    /// Longest packet the sender of this takes, in bytes, fixed header included.
    0x27 MaximumPacketSize(NonZeroU32) maximum_packet_size in [Connect ConnAck]
    /// Whether the server has wildcard subscriptions.
    0x28 WildcardSubscriptionAvailable(bool) wildcard_subscription_available in [ConnAck]
    /// Whether the server has subscription identifiers.
    0x29 SubscriptionIdentifierAvailable(bool) subscription_identifier_available in [ConnAck]
    /// Whether the server has shared subscriptions.
    0x2a SharedSubscriptionAvailable(bool) shared_subscription_available in [ConnAck]
}

impl Property {
    /// Whether one packet may hold several: user properties may repeat anywhere, subscription identifiers in PUBLISH
    /// (MQTT 5 §3.3.2.3.8).
    const fn may_repeat(&self, place: Place) -> bool {
        match self {
            Self::UserProperty(_) => true,
            Self::SubscriptionIdentifier(_) => matches!(place, Place::Publish),
            _ => false,
        }
    }
}

/// The properties of a packet, in the order of the wire. Empty ones take no memory; 3.x packets have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<Property>);

/// What was seen of a list of properties.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    /// Whether `property` may follow at `place`: `None` if the standard has no such property there, `Some(false)` if
    /// it was there before.
    fn admit(&mut self, property: &Property, place: Place) -> Option<bool> {
        if !property.fits(place) {
            return None;
        }
        let bit = 1 << property.id();
        let again = self.0 & bit != 0;
        self.0 |= bit;
        Some(!again || property.may_repeat(place))
    }
}

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one at the end.
    pub fn push(&mut self, property: Property) {
        self.0.push(property);
    }

    /// Adds one at the end.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.push(property);
        self
    }

    /// Keeps those that `keep` is true for.
    pub fn retain(&mut self, keep: impl FnMut(&Property) -> bool) {
        self.0.retain(keep);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// The user properties, in order.
    pub fn user_properties(&self) -> impl Iterator<Item = &UserProperty> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(pair) => Some(pair),
            _ => None,
        })
    }

    /// The subscription identifiers, in order.
    pub fn subscription_ids(&self) -> impl Iterator<Item = SubscriptionId> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(*id),
            _ => None,
        })
    }

    /// Reads length and properties (MQTT 5 §2.2.2).
    pub(super) fn read(reader: &mut Reader, place: Place) -> Result<Self, DecodeError> {
        let size = reader.varint()?;
        if size == 0 {
            return Ok(Self::new());
        }
        let mut reader = Reader::new(reader.take(size)?);
        let mut seen = Seen::default();
        let mut all = Vec::new();
        while !reader.is_empty() {
            let id = reader.varint()?;
            let property = Property::read(id, &mut reader).map_err(|error| match (id, error) {
                (0x23, DecodeError::PropertyValue) => DecodeError::TopicAlias, // [MQTT-3.3.2-8]
                _ => error,
            })?;
            match seen.admit(&property, place) {
                Some(true) => all.push(property),
                Some(false) => return Err(DecodeError::PropertyTwice),
                None => return Err(DecodeError::Property),
            }
        }
        Ok(Self(all))
    }

    /// Checks that they may stand there.
    pub(super) fn check(&self, place: Place) -> Result<(), EncodeError> {
        let mut seen = Seen::default();
        for property in &self.0 {
            if seen.admit(property, place) != Some(true) {
                return Err(EncodeError::Property);
            }
        }
        Ok(())
    }

    /// Bytes of the properties without the length before them.
    pub(super) fn body_size(&self) -> usize {
        self.0.iter().map(Property::size).sum()
    }

    /// Writes length and properties.
    pub(super) fn write(&self, buf: &mut BytesMut) {
        put_varint(self.body_size(), buf);
        for property in &self.0 {
            property.write(buf);
        }
    }
}

impl Extend<Property> for Properties {
    fn extend<I: IntoIterator<Item = Property>>(&mut self, properties: I) {
        self.0.extend(properties);
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        Self(Vec::from_iter(properties))
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(bytes: &'static [u8], place: Place) -> Result<Properties, DecodeError> {
        let mut reader = Reader::new(Bytes::from_static(bytes));
        let properties = Properties::read(&mut reader, place)?;
        reader.finish()?;
        Ok(properties)
    }

    #[test]
    fn each_value_has_its_type_and_its_bounds() {
        use DecodeError::{Length, Property as Unknown, PropertyValue, TopicName, Truncated};
        for (bytes, place, fault) in [
            (&b"\x02\x01\x02"[..], Place::Publish, PropertyValue),
            (b"\x03\x21\x00\x00", Place::Connect, PropertyValue),
            (b"\x05\x27\x00\x00\x00\x00", Place::Connect, PropertyValue),
            (b"\x03\x23\x00\x00", Place::Publish, DecodeError::TopicAlias),
            (b"\x02\x0b\x00", Place::Subscribe, PropertyValue),
            (b"\x03\x0b\x81\x00", Place::Subscribe, Length),
            (b"\x05\x0b\x80\x80\x80\x80", Place::Subscribe, Length),
            (b"\x06\x08\x00\x03a/#", Place::Publish, TopicName),
            (b"\x02\x04\x00", Place::Publish, Unknown),
            (b"\x02\x2b\x00", Place::ConnAck, Unknown),
            (b"\x02\x24\x01", Place::Connect, Unknown),
            (b"\x04\x02\x00\x00\x00", Place::Publish, Truncated),
            (b"\x05\x02\x00\x00\x00", Place::Publish, Truncated),
            (b"\x05\x26\x00\x01a\x00", Place::Publish, Truncated),
            (b"", Place::Publish, Truncated),
        ] {
            assert_eq!(read(bytes, place), Err(fault), "{bytes:?}");
        }
    }

    #[test]
    fn only_user_properties_and_the_subscription_ids_of_publish_repeat() {
        assert_eq!(
            read(b"\x04\x19\x00\x19\x00", Place::Connect),
            Err(DecodeError::PropertyTwice)
        );
        assert_eq!(
            read(b"\x04\x0b\x01\x0b\x02", Place::Subscribe),
            Err(DecodeError::PropertyTwice)
        );
        let ids = read(b"\x05\x0b\x01\x0b\x80\x01", Place::Publish).unwrap();
        assert_eq!(
            ids.subscription_ids()
                .map(SubscriptionId::get)
                .collect::<Vec<_>>(),
            [1, 128]
        );
        let pairs = read(
            b"\x0e\x26\x00\x01a\x00\x01b\x26\x00\x01a\x00\x01c",
            Place::Auth,
        )
        .unwrap();
        assert_eq!(
            pairs
                .user_properties()
                .map(|pair| &*pair.value)
                .collect::<Vec<_>>(),
            ["b", "c"]
        );
    }

    #[test]
    fn properties_are_written_as_they_were_read() {
        let bytes = b"\x18\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01t\x08\x00\x01r\x09\x00\x01c\x23\x00\x07\x0b\x7f";
        let properties = read(bytes, Place::Publish).unwrap();
        assert_eq!(properties.payload_format_indicator(), Some(&true));
        assert_eq!(properties.message_expiry_interval(), Some(&60));
        assert_eq!(properties.topic_alias().map(|alias| alias.get()), Some(7));
        assert_eq!(properties.content_type().map(|text| &**text), Some("t"));
        let mut buf = BytesMut::new();
        properties.write(&mut buf);
        assert_eq!(&buf[..], bytes);
        assert_eq!(1 + properties.body_size(), bytes.len());
        assert_eq!(properties.check(Place::Publish), Ok(()));
        assert_eq!(properties.check(Place::Will), Err(EncodeError::Property));
    }
}
