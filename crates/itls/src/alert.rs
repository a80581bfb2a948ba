//! Why an end ends: the alerts of TLS that can occur here (RFC 5246 section 7.2), and the vendor's own.

use core::fmt;

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// 0: nothing more comes.
    CloseNotify,
    /// 10: a message that cannot come now.
    UnexpectedMessage,
    /// 20: a record that is not of these keys.
    BadRecord,
    /// 22: a record that is too long.
    RecordOverflow,
    /// 40: no suite that both ends know.
    HandshakeFailure,
    /// 47: a field with a value that cannot be.
    IllegalParameter,
    /// 50: a message that cannot be read.
    DecodeError,
    /// 51: the proof over the handshake is wrong.
    DecryptError,
    /// 70: not version 1.2.
    ProtocolVersion,
    /// 80: our own trouble.
    InternalError,
    /// 160: any other reason.
    Generic,
    /// 161: the product may issue no more identities.
    NoQuota,
    /// 162: there is no such identity.
    NoSuchIdentity,
    /// 163: the code of the device is wrong.
    BadCode,
    /// 164: the identity is not activated.
    NotActivated,
    /// 165: the timestamp is too old.
    TimeExpired,
    /// 166: the challenge is not the one that was given.
    BadChallenge,
    /// 167: keys of this type cannot do that.
    NotSupported,
    /// 168: the identity is suspended.
    Suspended,
    /// 169: the identity is discarded.
    Discarded,
    /// 170: the identity is of another product.
    OtherProduct,
    /// 171: the product key is none.
    BadProduct,
    /// 172: there is no such product.
    NoSuchProduct,
    /// 173: too much to do.
    Busy,
    /// 174: the fingerprint tells no devices apart.
    BadFingerprint,
    /// 175: a device with this fingerprint has an identity.
    FingerprintTaken,
    /// 176: the server's random cannot be.
    BadServerRandom,
    /// 177: the code is hashed with something else.
    BadHash,
    /// 178: a key of another type.
    BadKeyType,
    /// Any other number.
    Other(u8),
}

impl Alert {
    /// All that have a name.
    pub const NAMED: [Alert; 29] = [
        Alert::CloseNotify,
        Alert::UnexpectedMessage,
        Alert::BadRecord,
        Alert::RecordOverflow,
        Alert::HandshakeFailure,
        Alert::IllegalParameter,
        Alert::DecodeError,
        Alert::DecryptError,
        Alert::ProtocolVersion,
        Alert::InternalError,
        Alert::Generic,
        Alert::NoQuota,
        Alert::NoSuchIdentity,
        Alert::BadCode,
        Alert::NotActivated,
        Alert::TimeExpired,
        Alert::BadChallenge,
        Alert::NotSupported,
        Alert::Suspended,
        Alert::Discarded,
        Alert::OtherProduct,
        Alert::BadProduct,
        Alert::NoSuchProduct,
        Alert::Busy,
        Alert::BadFingerprint,
        Alert::FingerprintTaken,
        Alert::BadServerRandom,
        Alert::BadHash,
        Alert::BadKeyType,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Alert::CloseNotify => 0,
            Alert::UnexpectedMessage => 10,
            Alert::BadRecord => 20,
            Alert::RecordOverflow => 22,
            Alert::HandshakeFailure => 40,
            Alert::IllegalParameter => 47,
            Alert::DecodeError => 50,
            Alert::DecryptError => 51,
            Alert::ProtocolVersion => 70,
            Alert::InternalError => 80,
            Alert::Generic => 160,
            Alert::NoQuota => 161,
            Alert::NoSuchIdentity => 162,
            Alert::BadCode => 163,
            Alert::NotActivated => 164,
            Alert::TimeExpired => 165,
            Alert::BadChallenge => 166,
            Alert::NotSupported => 167,
            Alert::Suspended => 168,
            Alert::Discarded => 169,
            Alert::OtherProduct => 170,
            Alert::BadProduct => 171,
            Alert::NoSuchProduct => 172,
            Alert::Busy => 173,
            Alert::BadFingerprint => 174,
            Alert::FingerprintTaken => 175,
            Alert::BadServerRandom => 176,
            Alert::BadHash => 177,
            Alert::BadKeyType => 178,
            Alert::Other(number) => number,
        }
    }

    /// The alert of that number.
    #[must_use]
    pub fn of(number: u8) -> Alert {
        Self::NAMED
            .into_iter()
            .find(|alert| alert.number() == number)
            .unwrap_or(Alert::Other(number))
    }

    /// The two bytes of an alert: all but the last word of an end are fatal.
    #[must_use]
    pub fn bytes(self) -> [u8; 2] {
        let level = if self == Alert::CloseNotify { 1 } else { 2 };
        [level, self.number()]
    }

    /// Reads an alert; one that is no fatal one and not the last word is of no consequence: `None`.
    ///
    /// # Errors
    /// [`Alert::DecodeError`] for anything but two bytes.
    pub fn read(bytes: &[u8]) -> Result<Option<Alert>, Alert> {
        match bytes {
            [_, 0] => Ok(Some(Alert::CloseNotify)),
            [2, number] => Ok(Some(Alert::of(*number))),
            [1, _] => Ok(None),
            _ => Err(Alert::DecodeError),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alert::Other(number) => write!(f, "alert {number}"),
            named => write!(f, "alert {} ({named:?})", named.number()),
        }
    }
}

impl core::error::Error for Alert {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of wire §7 and of RFC 5246, none twice.
    #[test]
    fn numbers_are_read_again() {
        for (n, alert) in Alert::NAMED.into_iter().enumerate() {
            assert_eq!(Alert::of(alert.number()), alert);
            let twice = Alert::NAMED[..n]
                .iter()
                .any(|other| other.number() == alert.number());
            assert!(!twice, "{alert}");
        }
        for number in 160..=178 {
            assert!(!matches!(Alert::of(number), Alert::Other(_)), "{number}");
        }
        assert_eq!(Alert::of(99), Alert::Other(99));
        assert_eq!(Alert::Other(99).number(), 99);
    }

    #[test]
    fn the_last_word_is_a_warning_and_all_else_is_fatal() {
        assert_eq!(Alert::CloseNotify.bytes(), [1, 0]);
        assert_eq!(Alert::BadCode.bytes(), [2, 163]);
        assert_eq!(Alert::read(&[1, 0]), Ok(Some(Alert::CloseNotify)));
        assert_eq!(Alert::read(&[2, 163]), Ok(Some(Alert::BadCode)));
        assert_eq!(Alert::read(&[1, 90]), Ok(None));
        for wrong in [&[][..], &[2], &[3, 1], &[2, 40, 0]] {
            assert_eq!(Alert::read(wrong), Err(Alert::DecodeError));
        }
    }
}
