//! Ids and secrets as text, in the shapes that devices and SDKs of the vendor have room for.
//!
//! Each is drawn from 32 random bytes of the caller, stretched with HMAC-SHA256 and taken by
//! rejection, so that every character of the alphabet is equally likely.

use crate::crypto::{digest::Hash, hmac::hmac, secret::Secret};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use zeroize::Zeroizing;

/// Fresh random bytes, to be used for one text only.
pub type Seed = [u8; 32];

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The largest multiple of 62 that a byte can hold; bytes from here on would favour some characters.
const FAIR: u8 = 248;

/// A device secret: 32 characters `[A-Za-z0-9]`.
#[must_use]
pub fn device_secret(seed: &Seed) -> Secret {
    draw("device secret", seed, 32)
}

/// A product secret: 16 characters `[A-Za-z0-9]`.
#[must_use]
pub fn product_secret(seed: &Seed) -> Secret {
    draw("product secret", seed, 16)
}

/// The secret of an API key: 30 characters `[A-Za-z0-9]`.
#[must_use]
pub fn access_key_secret(seed: &Seed) -> Secret {
    draw("access key secret", seed, 30)
}

/// A product key: 11 characters, `a1` in front.
#[must_use]
pub fn product_key(seed: &Seed) -> String {
    public("a1", "product key", seed, 9)
}

/// The id of an API key: 24 characters, `LTAI` in front.
#[must_use]
pub fn access_key_id(seed: &Seed) -> String {
    public("LTAI", "access key id", seed, 20)
}

/// An iot id: 30 characters `[A-Za-z0-9]`.
#[must_use]
pub fn iot_id(seed: &Seed) -> String {
    public("", "iot id", seed, 30)
}

fn public(prefix: &str, label: &str, seed: &Seed, len: usize) -> String {
    let drawn = draw(label, seed, len);
    let mut text = prefix.to_string();
    text.extend(drawn.expose().iter().map(|byte| char::from(*byte)));
    text
}

fn draw(label: &str, seed: &Seed, len: usize) -> Secret {
    let key = Secret::new(seed.to_vec());
    let mut text = Vec::with_capacity(len);
    for block in 0_u32.. {
        let message = [label.as_bytes(), &block.to_be_bytes()].concat();
        let bytes = Zeroizing::new(hmac(Hash::Sha256, &key, &message));
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        text.extend(
            fair.map(|byte| ALPHABET[usize::from(byte % 62)])
                .take(len - text.len()),
        );
        if text.len() == len {
            break;
        }
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(n: u32) -> Seed {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        seed
    }

    /// Shapes of [AL-2.1].
    #[test]
    fn al_2_1_texts_have_the_shapes_that_clients_expect() {
        for n in 0..500 {
            let seed = seed(n);
            for (text, len) in [
                (device_secret(&seed), 32),
                (product_secret(&seed), 16),
                (access_key_secret(&seed), 30),
            ] {
                assert_eq!(text.expose().len(), len);
                assert!(text.expose().iter().all(u8::is_ascii_alphanumeric));
            }
            for (text, prefix, len) in [
                (product_key(&seed), "a1", 11),
                (access_key_id(&seed), "LTAI", 24),
                (iot_id(&seed), "", 30),
            ] {
                assert_eq!(text.len(), len);
                assert!(text.starts_with(prefix));
                assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
            }
        }
    }

    #[test]
    fn every_character_is_equally_likely() {
        let mut seen = [0_u32; 256];
        for n in 0..4_000 {
            for byte in device_secret(&seed(n)).expose() {
                seen[usize::from(*byte)] += 1;
            }
        }
        // 128,000 characters, about 2,065 of each: five standard deviations are about 225.
        for byte in ALPHABET {
            assert!((1_840..2_290).contains(&seen[usize::from(*byte)]), "{byte}");
        }
    }

    #[test]
    fn one_seed_gives_unrelated_texts_of_different_kinds() {
        let seed = seed(1);
        assert_ne!(iot_id(&seed).as_bytes(), access_key_secret(&seed).expose());
        assert_eq!(iot_id(&seed), iot_id(&seed));
        assert_ne!(iot_id(&seed), iot_id(&super::tests::seed(2)));
    }
}
