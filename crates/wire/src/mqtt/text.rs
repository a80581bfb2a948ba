//! Strings and binary fields of a packet, checked once and held as slices of it.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;
use subtle::ConstantTimeEq;

/// Longest string or binary field: its length is a two byte integer (MQTT 5 §1.5.4, §1.5.6).
const LONGEST: usize = u16::MAX as usize;

/// Why bytes are no MQTT string or binary field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Not UTF-8, surrogate halves included [MQTT-1.5.4-1].
    #[error("the string is not valid UTF-8")]
    NotUtf8,
    /// Contains U+0000 [MQTT-1.5.4-2].
    #[error("the string contains U+0000")]
    Null,
    /// Longer than 65,535 bytes.
    #[error("the field is longer than 65535 bytes")]
    TooLong,
}

/// Gives a checked string type the traits of a string: it derefs to `str`, compares and hashes like one.
macro_rules! string_traits {
    ($name:ident, $error:ty) => {
        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                **self == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                **self == **other
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                Self::new(ByteString::from(text))
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                Self::new(ByteString::from(text))
            }
        }
    };
}
pub(super) use string_traits;

/// A UTF-8 string as MQTT defines it: at most 65,535 bytes and no U+0000 (MQTT 3.1.1 §1.5.3, MQTT 5 §1.5.4).
///
/// Control characters and non-characters may be in it, a receiver is free to take them and real device SDKs send line
/// feeds. A clone shares the bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(ByteString);

impl Text {
    /// Checks a string.
    ///
    /// # Errors
    /// [`TextError::TooLong`] or [`TextError::Null`].
    pub fn new(text: impl Into<ByteString>) -> Result<Self, TextError> {
        let text = text.into();
        match text.len() {
            0..=LONGEST if text.as_bytes().contains(&0) => Err(TextError::Null),
            0..=LONGEST => Ok(Self(text)),
            _ => Err(TextError::TooLong),
        }
    }

    /// Checks the bytes of a string without copying them.
    ///
    /// # Errors
    /// Any [`TextError`].
    pub fn from_utf8(bytes: Bytes) -> Result<Self, TextError> {
        Self::new(ByteString::try_from(bytes).map_err(|_| TextError::NotUtf8)?)
    }

    /// The bytes of the string, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }

    /// The same string in memory of its own, so that it no longer keeps the read buffer alive it was cut from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(ByteString::from(&**self))
    }
}

string_traits!(Text, TextError);

/// Binary data of at most 65,535 bytes (MQTT 5 §1.5.6). A clone shares the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(Bytes);

impl Binary {
    /// Checks the length.
    ///
    /// # Errors
    /// [`TextError::TooLong`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, TextError> {
        let bytes = bytes.into();
        if bytes.len() > LONGEST {
            return Err(TextError::TooLong);
        }
        Ok(Self(bytes))
    }

    /// The bytes, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Binary data that proves something: a password, authentication data. `Debug` hides it and `==` takes the same time
/// wherever two of one length differ. A clone shares the bytes, it makes no second copy of the secret.
#[derive(Clone)]
pub struct Secret(Binary);

impl Secret {
    /// Checks the length.
    ///
    /// # Errors
    /// [`TextError::TooLong`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, TextError> {
        Binary::new(bytes).map(Self)
    }

    /// The secret itself, for its one comparison.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Binary> for Secret {
    fn from(binary: Binary) -> Self {
        Self(binary)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_utf8_without_null_and_at_most_65535_bytes() {
        // [MQTT-1.5.4-1]: a surrogate half is not UTF-8. [MQTT-1.5.4-2]: no U+0000.
        assert_eq!(
            Text::from_utf8(Bytes::from_static(b"\xed\xa0\x80")),
            Err(TextError::NotUtf8)
        );
        assert_eq!(
            Text::from_utf8(Bytes::from_static(b"\xc0\x80")),
            Err(TextError::NotUtf8)
        );
        assert_eq!(Text::try_from("a\0"), Err(TextError::Null));
        assert_eq!(Text::try_from("x".repeat(65_536)), Err(TextError::TooLong));
        assert_eq!(Text::try_from("x".repeat(65_535)).unwrap().len(), 65_535);
    }

    #[test]
    fn a_byte_order_mark_and_control_characters_stay() {
        // [MQTT-1.5.4-3]: U+FEFF is a character wherever it appears.
        assert_eq!(Text::try_from("\u{feff}a\n").unwrap(), "\u{feff}a\n");
    }

    #[test]
    fn a_secret_shows_itself_only_when_asked() {
        let secret = Secret::new("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret, Secret::new("hunter2").unwrap());
        assert_ne!(secret, Secret::new("hunter3").unwrap());
        assert_eq!(secret.expose(), b"hunter2");
    }
}
