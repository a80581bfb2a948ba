//! TLS and DTLS with a pre-shared key, as C devices of this vendor do it: the identity names the
//! device, the key is the text of a signature (`spec/alink-wire.md` section 2.7).

use super::SignMethod;
use crate::crypto::{hmac::hmac_hex, secret::Secret};
use alloc::{borrow::ToOwned, format, string::String};
use core::fmt;

/// Longest identity that is read, in bytes.
pub const IDENTITY_MAX: usize = 256;

/// Who wants to shake hands: `devicename|hmacsha256|{pk}&{dn}|{timestamp}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PskIdentity {
    /// How the key is made.
    pub method: SignMethod,
    /// The product key.
    pub product_key: String,
    /// The device name.
    pub device_name: String,
    /// The text of the time stamp; a constant in all known clients, so no window is checked.
    pub timestamp: String,
}

/// The identity is not of the form above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PskError;

impl fmt::Display for PskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the PSK identity is malformed")
    }
}

impl core::error::Error for PskError {}

impl PskIdentity {
    /// Reads an identity.
    ///
    /// # Errors
    /// [`PskError`] when it is too long, has other than four parts, or names another method.
    pub fn parse(text: &str) -> Result<PskIdentity, PskError> {
        if text.len() > IDENTITY_MAX {
            return Err(PskError);
        }
        let mut parts = text.split('|');
        let (Some("devicename"), Some(method), Some(id), Some(timestamp), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(PskError);
        };
        let method = SignMethod::parse(method).map_err(|_| PskError)?;
        let (product_key, device_name) = id.split_once('&').ok_or(PskError)?;
        Ok(PskIdentity {
            method,
            product_key: product_key.to_owned(),
            device_name: device_name.to_owned(),
            timestamp: timestamp.to_owned(),
        })
    }

    /// The identity as a client sends it.
    #[must_use]
    pub fn text(&self) -> String {
        let PskIdentity {
            method,
            product_key,
            device_name,
            timestamp,
        } = self;
        format!(
            "devicename|{}|{product_key}&{device_name}|{timestamp}",
            method.name()
        )
    }

    /// The key of the handshake: the upper-case hex text itself, not the bytes it spells.
    #[must_use]
    pub fn key(&self, device_secret: &Secret) -> Secret {
        let PskIdentity {
            method,
            product_key,
            device_name,
            timestamp,
        } = self;
        let content = format!("id{product_key}&{device_name}timestamp{timestamp}");
        let mut hex = hmac_hex(method.hash(), device_secret, content.as_bytes());
        hex.make_ascii_uppercase();
        Secret::new(hex.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/alink-wire.md` section 9. [AL-3.2]
    #[test]
    fn al_3_2_the_key_of_a_psk_handshake_is_the_hex_text() {
        let text = "devicename|hmacsha256|a1MZxOdcBnO&example1|2524608000000";
        let identity = PskIdentity::parse(text).unwrap();
        assert_eq!(identity.text(), text);
        let secret = Secret::new(b"jiPvZkVO9lhNj2Q9f2KdP4Yln7ACJI3X".to_vec());
        assert_eq!(
            identity.key(&secret).expose(),
            b"5E664BB2A2EE3D52520832268C0FBAA87428E92EB282D1242BC84ECC5754174B"
        );
    }

    #[test]
    fn other_identities_are_refused() {
        for wrong in [
            "",
            "devicename|hmacsha256|pk&dn",
            "devicename|hmacsha256|pk&dn|1|2",
            "devicename|hmacsha256|pkdn|1",
            "devicename|none|pk&dn|1",
            "productkey|hmacsha256|pk&dn|1",
            &"x".repeat(IDENTITY_MAX + 1),
        ] {
            assert_eq!(PskIdentity::parse(wrong), Err(PskError), "{wrong}");
        }
    }
}
