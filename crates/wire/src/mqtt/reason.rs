//! Reason codes of MQTT 5 (§2.4) as names; the return codes of 3.x are seen through them.

use super::packet::PacketType;

/// One table: the byte, the name, and the packets that may carry it (MQTT 5 §2.4 table 2-6).
macro_rules! reasons {
    ($(#[doc = $doc:literal] $byte:literal $name:ident in [$($packet:ident)+])+) => {
        /// Why, or how well, something went (MQTT 5 §2.4). From 0x80 on it went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = $doc] $name = $byte,)+
        }

        impl ReasonCode {
            /// The name of a byte, if it has one.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// What it means, in words for a Reason String.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $doc.trim_ascii(),)+
                }
            }

            /// Whether a packet of this kind may carry the code.
            pub const fn fits(self, packet: PacketType) -> bool {
                match self {
                    $(Self::$name => matches!(packet, $(PacketType::$packet)|+),)+
                }
            }

            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

reasons! {
    /// Success, Normal disconnection, Granted QoS 0.
    0x00 Success in [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth]
    /// Granted QoS 1.
    0x01 GrantedQoS1 in [SubAck]
    /// Granted QoS 2.
    0x02 GrantedQoS2 in [SubAck]
    /// Disconnect with Will Message.
    0x04 DisconnectWithWill in [Disconnect]
    /// No matching subscribers.
    0x10 NoMatchingSubscribers in [PubAck PubRec]
    /// No subscription existed.
    0x11 NoSubscriptionExisted in [UnsubAck]
    /// Continue authentication.
    0x18 ContinueAuthentication in [Auth]
    /// Re-authenticate.
    0x19 ReAuthenticate in [Auth]
    /// Unspecified error; every refusal in a 3.x SUBACK.
    0x80 UnspecifiedError in [ConnAck PubAck PubRec SubAck UnsubAck Disconnect]
    /// Malformed Packet.
    0x81 MalformedPacket in [ConnAck Disconnect]
    /// Protocol Error.
    0x82 ProtocolError in [ConnAck Disconnect]
    /// Implementation specific error.
    0x83 ImplementationSpecificError in [ConnAck PubAck PubRec SubAck UnsubAck Disconnect]
    /// Unsupported Protocol Version.
    0x84 UnsupportedProtocolVersion in [ConnAck]
    /// Client Identifier not valid.
    0x85 ClientIdNotValid in [ConnAck]
    /// Bad User Name or Password.
    0x86 BadUserNameOrPassword in [ConnAck]
    /// Not authorized.
    0x87 NotAuthorized in [ConnAck PubAck PubRec SubAck UnsubAck Disconnect]
    /// Server unavailable.
    0x88 ServerUnavailable in [ConnAck]
    /// Server busy.
    0x89 ServerBusy in [ConnAck Disconnect]
    /// Banned.
    0x8a Banned in [ConnAck]
    /// Server shutting down.
    0x8b ServerShuttingDown in [Disconnect]
    /// Bad authentication method.
    0x8c BadAuthenticationMethod in [ConnAck Disconnect]
    /// Keep Alive timeout.
    0x8d KeepAliveTimeout in [Disconnect]
    /// Session taken over.
    0x8e SessionTakenOver in [Disconnect]
    /// Topic Filter invalid.
    0x8f TopicFilterInvalid in [SubAck UnsubAck Disconnect]
    /// Topic Name invalid.
    0x90 TopicNameInvalid in [ConnAck PubAck PubRec Disconnect]
    /// Packet Identifier in use.
    0x91 PacketIdInUse in [PubAck PubRec SubAck UnsubAck]
    /// Packet Identifier not found.
    0x92 PacketIdNotFound in [PubRel PubComp]
    /// Receive Maximum exceeded.
    0x93 ReceiveMaximumExceeded in [Disconnect]
    /// Topic Alias invalid.
    0x94 TopicAliasInvalid in [Disconnect]
    /// Packet too large.
    0x95 PacketTooLarge in [ConnAck Disconnect]
    /// Message rate too high.
    0x96 MessageRateTooHigh in [Disconnect]
    /// Quota exceeded.
    0x97 QuotaExceeded in [ConnAck PubAck PubRec SubAck Disconnect]
    /// Administrative action.
    0x98 AdministrativeAction in [Disconnect]
    /// Payload format invalid.
    0x99 PayloadFormatInvalid in [ConnAck PubAck PubRec Disconnect]
    /// Retain not supported.
    0x9a RetainNotSupported in [ConnAck Disconnect]
    /// QoS not supported.
    0x9b QoSNotSupported in [ConnAck Disconnect]
    /// Use another server.
    0x9c UseAnotherServer in [ConnAck Disconnect]
    /// Server moved.
    0x9d ServerMoved in [ConnAck Disconnect]
    /// Shared Subscriptions not supported.
    0x9e SharedSubscriptionsNotSupported in [SubAck Disconnect]
    /// Connection rate exceeded.
    0x9f ConnectionRateExceeded in [ConnAck Disconnect]
    /// Maximum connect time.
    0xa0 MaximumConnectTime in [Disconnect]
    /// Subscription Identifiers not supported.
    0xa1 SubscriptionIdsNotSupported in [SubAck Disconnect]
    /// Wildcard Subscriptions not supported.
    0xa2 WildcardSubscriptionsNotSupported in [SubAck Disconnect]
}

impl ReasonCode {
    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Whether the code tells of a failure (MQTT 5 §2.4).
    pub const fn is_error(self) -> bool {
        self.byte() >= 0x80
    }

    /// The code with which a SUBACK grants a level.
    pub const fn granted(qos: super::QoS) -> Self {
        match qos {
            super::QoS::AtMostOnce => Self::Success,
            super::QoS::AtLeastOnce => Self::GrantedQoS1,
            super::QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// The level that the code grants in a SUBACK.
    pub const fn granted_qos(self) -> Option<super::QoS> {
        match self {
            Self::Success => Some(super::QoS::AtMostOnce),
            Self::GrantedQoS1 => Some(super::QoS::AtLeastOnce),
            Self::GrantedQoS2 => Some(super::QoS::ExactlyOnce),
            _ => None,
        }
    }

    /// The CONNACK return code of MQTT 3.1.1 (§3.2.2.3 table 3.1) that says this best. `None` where 3.1.1 has no word
    /// for it: then the server closes the connection without CONNACK.
    pub const fn connect_return(self) -> Option<u8> {
        Some(match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdNotValid => 2,
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::UnspecifiedError
            | Self::ImplementationSpecificError
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => 3,
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => 4,
            Self::NotAuthorized | Self::Banned => 5,
            Self::GrantedQoS1
            | Self::GrantedQoS2
            | Self::DisconnectWithWill
            | Self::NoMatchingSubscribers
            | Self::NoSubscriptionExisted
            | Self::ContinueAuthentication
            | Self::ReAuthenticate
            | Self::MalformedPacket
            | Self::ProtocolError
            | Self::KeepAliveTimeout
            | Self::SessionTakenOver
            | Self::TopicFilterInvalid
            | Self::TopicNameInvalid
            | Self::PacketIdInUse
            | Self::PacketIdNotFound
            | Self::ReceiveMaximumExceeded
            | Self::TopicAliasInvalid
            | Self::PacketTooLarge
            | Self::MessageRateTooHigh
            | Self::AdministrativeAction
            | Self::PayloadFormatInvalid
            | Self::RetainNotSupported
            | Self::QoSNotSupported
            | Self::SharedSubscriptionsNotSupported
            | Self::MaximumConnectTime
            | Self::SubscriptionIdsNotSupported
            | Self::WildcardSubscriptionsNotSupported => return None,
        })
    }

    /// The meaning of a 3.1.1 CONNACK return code; 6 and above are reserved.
    pub const fn from_connect_return(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::UnsupportedProtocolVersion),
            2 => Some(Self::ClientIdNotValid),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_byte() {
        for &code in ReasonCode::ALL {
            assert_eq!(ReasonCode::from_byte(code.byte()), Some(code));
        }
        assert_eq!(ReasonCode::ALL.len(), 43);
        assert_eq!(ReasonCode::from_byte(0x03), None);
        assert_eq!(ReasonCode::from_byte(0xff), None);
    }

    #[test]
    fn the_six_return_codes_of_3_1_1_go_there_and_back() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connect_return(code).unwrap();
            assert_eq!(reason.connect_return(), Some(code));
        }
        assert_eq!(ReasonCode::from_connect_return(6), None);
        assert_eq!(ReasonCode::MalformedPacket.connect_return(), None);
    }
}
