//! Bearer tokens that need no table: what they say is in them, under a MAC of the server's key.
//!
//! Text: base64 (URL alphabet, no padding) of
//!
//! ```text
//! 0   u8    version = 1
//! 1   u64   expiry, milliseconds since 1970, big endian
//! 9   u64   generation of the credential, big endian
//! 17  ..    iot id, UTF-8
//! end [32]  HMAC-SHA256 over a fixed label and everything before
//! ```
//!
//! The generation is how a token dies early: whoever resets, disables or deletes a device raises the
//! number, and the hub compares it after [`check`].

use crate::crypto::{
    digest::Hash,
    hmac::hmac,
    secret::{Secret, same},
};
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use core::{fmt, str};

/// Longest token that is read, in characters. C devices store at most 192, which an iot id of up to
/// 95 bytes stays within.
pub const TOKEN_MAX: usize = 512;

const VERSION: u8 = 1;
const FIXED_LEN: usize = 17;
const MAC_LEN: usize = 32;
/// Keeps a MAC made here from meaning anything elsewhere, should the key be used twice.
const LABEL: &[u8] = b"bearer token\0";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The device it was given to.
    pub iot_id: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
    /// The generation of the device's credential when it was given.
    pub generation: u64,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is no text that [`mint`] could have made.
    Malformed,
    /// Its MAC is not of this key.
    Forged,
    /// It was genuine and its time is over.
    Expired,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Malformed => "the token is malformed",
            TokenError::Forged => "the token is not genuine",
            TokenError::Expired => "the token has expired",
        })
    }
}

impl core::error::Error for TokenError {}

/// Makes a token that says `claims`. An iot id longer than 335 bytes makes a token that [`check`]
/// refuses as [`TokenError::Malformed`].
#[must_use]
pub fn mint(key: &Secret, claims: &Claims) -> String {
    let mut bytes = Vec::with_capacity(FIXED_LEN + claims.iot_id.len() + MAC_LEN);
    bytes.push(VERSION);
    bytes.extend_from_slice(&claims.expires_ms.to_be_bytes());
    bytes.extend_from_slice(&claims.generation.to_be_bytes());
    bytes.extend_from_slice(claims.iot_id.as_bytes());
    let mac = mac(key, &bytes);
    bytes.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token at the time `now_ms`. Nothing of it is believed before its MAC is compared, in
/// constant time.
///
/// # Errors
/// [`TokenError`]; `Expired` from the very millisecond that [`Claims::expires_ms`] names.
pub fn check(key: &Secret, text: &str, now_ms: u64) -> Result<Claims, TokenError> {
    if text.len() > TOKEN_MAX {
        return Err(TokenError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Malformed)?;
    let (body, given) = bytes
        .split_last_chunk::<MAC_LEN>()
        .ok_or(TokenError::Malformed)?;
    let (&[VERSION, ref numbers @ ..], iot_id) = body
        .split_first_chunk::<FIXED_LEN>()
        .ok_or(TokenError::Malformed)?
    else {
        return Err(TokenError::Malformed);
    };
    if !same(&mac(key, body), given) {
        return Err(TokenError::Forged);
    }
    let (expiry, generation) = numbers.split_at(8);
    let claims = Claims {
        iot_id: str::from_utf8(iot_id)
            .map_err(|_| TokenError::Malformed)?
            .to_owned(),
        expires_ms: number(expiry),
        generation: number(generation),
    };
    if now_ms >= claims.expires_ms {
        Err(TokenError::Expired)
    } else {
        Ok(claims)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn mac(key: &Secret, body: &[u8]) -> Vec<u8> {
    hmac(Hash::Sha256, key, &[LABEL, body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn key(fill: u8) -> Secret {
        Secret::new([fill; 32].to_vec())
    }

    fn claims() -> Claims {
        Claims {
            iot_id: "4z819VQHk6VSLmmBJfrf".to_string(),
            expires_ms: 1_000,
            generation: 258,
        }
    }

    /// The iotToken of seed 001 section 3.2 lives until its time is over and no longer. [AL-3.2]
    #[test]
    fn a_token_says_what_it_was_made_with_until_it_expires() {
        let text = mint(&key(1), &claims());
        assert!(text.len() <= 192);
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(check(&key(1), &text, 999), Ok(claims()));
        assert_eq!(check(&key(1), &text, 1_000), Err(TokenError::Expired));
        assert_eq!(check(&key(2), &text, 0), Err(TokenError::Forged));
        assert_eq!(check(&key(2), &text, 5_000), Err(TokenError::Forged));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = mint(&key(1), &claims());
        for i in 0..text.len() {
            let other = if text.as_bytes()[i] == b'A' { "B" } else { "A" };
            let mut changed = text.clone();
            changed.replace_range(i..=i, other);
            assert!(check(&key(1), &changed, 0).is_err(), "{i}");
            assert!(check(&key(1), &text[..i], 0).is_err(), "cut at {i}");
        }
    }

    #[test]
    fn other_texts_are_malformed() {
        let short = URL_SAFE_NO_PAD.encode([1; FIXED_LEN + MAC_LEN - 1]);
        let version = URL_SAFE_NO_PAD.encode([2; FIXED_LEN + MAC_LEN]);
        for text in [
            "",
            "=",
            "a b",
            "\u{e9}",
            &short,
            &version,
            &"A".repeat(TOKEN_MAX + 1),
        ] {
            assert_eq!(
                check(&key(1), text, 0),
                Err(TokenError::Malformed),
                "{text}"
            );
        }
    }
}
