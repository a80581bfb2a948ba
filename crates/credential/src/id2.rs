//! ID²: a device proves itself by an identity of 24 characters and a key that never leaves it
//! (seed 000 chapter 1.1; the bytes are those of `spec/id2.md`, cited below as "wire §…").
//!
//! Start reading at [`key`] (the kinds of keys, and the trait [`Key`] behind which any carrier may
//! stand), then [`code`] (how a code is written), [`device`] (what the device does) and, with the
//! feature `alloc`, [`server`] (what the server does). [`otp`] brings an identity to a device that
//! has none; `keep` is for servers whose keys are used inside a token. Device and server share the
//! one computation of [`key::signature`].
//!
//! Nothing here remembers: that a challenge is used once and a timestamp is not repeated is the
//! caller's work, and so is everything about states, quotas and who may ask.
//!
//! What the scheme is worth (wire §2.2, §4): signature and encryption share one key in ECB, the
//! last block of all codes of one key is the same, cipher texts carry no proof of who made them.
//! It is here because devices speak it. The form "99" hides the codes, and changes nothing else.
//! The form of [`keyed`] has none of that, and is ours.

pub mod code;
pub mod device;
#[cfg(feature = "alloc")]
pub mod keep;
pub mod key;
pub mod keyed;
pub mod otp;
#[cfg(feature = "alloc")]
pub mod server;

pub use code::{AuthCode, FormError, HashType, Mode, ServerCode};
pub use key::{Key, KeyError, KeyType, SoftKey};

use core::fmt;

/// Bytes of an identity.
pub const ID_LEN: usize = 24;
/// Most bytes of `extra`, of either side (seed 1.1.7).
pub const EXTRA_MAX: usize = 512;
/// Most characters of a challenge or timestamp (wire §2).
pub const FRESHNESS_MAX: usize = 32;
/// Most characters of a device's challenge to the server (wire §3).
pub const DEVICE_CHALLENGE_MAX: usize = 128;

/// An identity: 24 upper-case hex digits, used as text in everything that is signed (wire §1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; ID_LEN]);

impl Id {
    /// Reads an identity; `None` for anything but 24 characters `[0-9A-F]`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Id> {
        let bytes: [u8; ID_LEN] = text.try_into().ok()?;
        bytes
            .iter()
            .all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
            .then_some(Id(bytes))
    }

    /// The identity in the shape that was seen in the field (wire §1.1): `00`, 6 hex digits of the
    /// vendor, 6 of the product, 8 of a serial number, `00`.
    #[must_use]
    pub fn issue(vendor: [u8; 3], product: [u8; 3], serial: u32) -> Id {
        let [v0, v1, v2] = vendor;
        let [p0, p1, p2] = product;
        let [s0, s1, s2, s3] = serial.to_be_bytes();
        let raw = [0, v0, v1, v2, p0, p1, p2, s0, s1, s2, s3, 0];
        let mut text = [0; ID_LEN];
        hex_upper(&raw, &mut text);
        Id(text)
    }

    /// The 24 characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }

    /// The 24 characters as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Every digit `d` replaced by `F` − `d`: what stands for the identity in a server's code
    /// (wire §3).
    #[must_use]
    pub fn inverse(&self) -> Id {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        Id(self.0.map(|digit| match digit {
            b'0'..=b'9' => DIGITS[usize::from(15 - (digit - b'0'))],
            _ => DIGITS[usize::from(5 - (digit - b'A').min(5))],
        }))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes `bytes` as upper-case hex digits; `out` has twice as many bytes.
pub(crate) fn hex_upper(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_24_upper_case_hex_digits() {
        let id = Id::parse(b"2122232425262728292A2B2C").unwrap();
        assert_eq!(id.inverse().as_str(), "DEDDDCDBDAD9D8D7D6D5D4D3");
        assert_eq!(id.inverse().inverse(), id);
        for wrong in [
            &b""[..],
            b"2122232425262728292A2B2",
            b"2122232425262728292A2B2C0",
            b"2122232425262728292a2b2c",
            b"2122232425262728292A2B2G",
            b"2122232425262728292A2B2~",
        ] {
            assert_eq!(Id::parse(wrong), None);
        }
    }

    #[test]
    fn an_issued_identity_has_the_shape_of_the_field() {
        let id = Id::issue([0xaa; 3], [0xbb; 3], 0x48b6_9cd2);
        assert_eq!(id.as_str(), "00AAAAAABBBBBB48B69CD200");
        assert_eq!(Id::parse(id.as_bytes()), Some(id));
    }
}
