//! HMAC (RFC 2104) over the digests of [`super::digest`].

#[cfg(feature = "alloc")]
use super::{
    digest::Hash,
    secret::{Secret, same},
};
#[cfg(feature = "alloc")]
use alloc::{string::String, vec::Vec};
use hmac::{Hmac, KeyInit, Mac};

/// HMAC-SHA256 of the parts, one after the other, under `key`; needs no heap.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The HMAC of `message` under `key`; as many bytes as `hash` has. Any key length is fine.
#[cfg(feature = "alloc")]
#[must_use]
pub fn hmac(hash: Hash, key: &Secret, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Md5 => finish(Hmac::<md5::Md5>::new_from_slice(key.expose()), message),
        Hash::Sha1 => finish(Hmac::<sha1::Sha1>::new_from_slice(key.expose()), message),
        Hash::Sha256 => finish(Hmac::<sha2::Sha256>::new_from_slice(key.expose()), message),
        Hash::Sm3 => finish(Hmac::<sm3::Sm3>::new_from_slice(key.expose()), message),
    }
}

/// [`hmac()`] as lower-case hex.
#[cfg(feature = "alloc")]
#[must_use]
pub fn hmac_hex(hash: Hash, key: &Secret, message: &[u8]) -> String {
    hex::encode(hmac(hash, key, message))
}

/// Whether `given` is the hex, in any case, of `expected`. What is no hex is simply not equal; the
/// comparison of the bytes is constant-time.
#[cfg(feature = "alloc")]
#[must_use]
pub fn same_hex(expected: &[u8], given: &str) -> bool {
    // The length is public, and testing it first keeps a huge text from being decoded.
    given.len() == expected.len() * 2
        && hex::decode(given).is_ok_and(|bytes| same(expected, &bytes))
}

#[cfg(feature = "alloc")]
fn finish<M: Mac, E: core::fmt::Debug>(mac: Result<M, E>, message: &[u8]) -> Vec<u8> {
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 (MD5, SHA-1) case 2 and RFC 4231 (SHA-256) case 2. The SM3 value was computed with
    /// OpenSSL 3 (`openssl dgst -sm3 -hmac Jefe`).
    #[test]
    fn published_macs_of_the_key_jefe() {
        let key = Secret::new(b"Jefe".to_vec());
        for (hash, expected) in [
            (Hash::Md5, "750c783e6ab0b503eaa86e310a5db738"),
            (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                Hash::Sha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Hash::Sm3,
                "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882",
            ),
        ] {
            assert_eq!(
                hmac_hex(hash, &key, b"what do ya want for nothing?"),
                expected
            );
        }
        assert_eq!(
            hmac_sha256(key.expose(), &[b"what do ya want ", b"for nothing?"]).as_slice(),
            hmac(Hash::Sha256, &key, b"what do ya want for nothing?"),
        );
    }

    #[test]
    fn hex_is_compared_in_any_case_and_garbage_is_unequal() {
        assert!(same_hex(&[0xab, 0x01], "ab01"));
        assert!(same_hex(&[0xab, 0x01], "Ab01"));
        for wrong in ["", "ab0", "ab02", "ab0100", "zz01", "\u{e4}\u{e4}", "0xab"] {
            assert!(!same_hex(&[0xab, 0x01], wrong), "{wrong}");
        }
    }
}
