//! Secrets at rest: AES-256-GCM envelopes, and the two steps of keys above them.
//!
//! A master key (from a file, an environment variable or a token; never stored beside the data)
//! wraps one data key per class of rows, and a data key seals the secrets of that class. Replacing
//! the master key therefore rewraps a handful of keys and touches no row.
//!
//! Envelope, version 1:
//!
//! ```text
//! 0  u8   version = 1
//! 1  u8   kind: 1 = a row sealed by a data key, 2 = a data key wrapped by a master key
//! 2  u32  id of the key that sealed, big endian
//! 6  [12] nonce
//! 18 ..   ciphertext, then the 16 bytes of the tag
//! ```
//!
//! The tag also covers the first six bytes and the caller's associated data, so that a row cannot be
//! moved to another owner and a wrapped key cannot be read as a row.

use super::secret::Secret;
use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of a nonce. A nonce must never be used twice with one key; random ones are good for 2^32
/// envelopes of one key (NIST SP 800-38D, 8.3).
pub const NONCE_LEN: usize = 12;

const VERSION: u8 = 1;
const KIND_ROW: u8 = 1;
const KIND_KEY: u8 = 2;
const HEAD_LEN: usize = 6;
const TAG_LEN: usize = 16;

/// Why a key or an envelope was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// A key must be 32 bytes (64 hex digits as text).
    BadKey,
    /// The envelope is cut off, or of a version or kind that is not known here.
    Malformed,
    /// The envelope was sealed by the key with this id, not by the one that was given.
    OtherKey(u32),
    /// The key, the associated data or the envelope is not the one that was sealed with.
    Forged,
    /// The plaintext is beyond what one envelope can hold (2^36 bytes).
    TooLong,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::BadKey => f.write_str("a sealing key must be 32 bytes"),
            SealError::Malformed => f.write_str("the envelope is cut off or of an unknown version"),
            SealError::OtherKey(id) => write!(f, "the envelope was sealed by key {id}"),
            SealError::Forged => f.write_str("the envelope does not open with this key"),
            SealError::TooLong => f.write_str("the secret is too long to seal"),
        }
    }
}

impl core::error::Error for SealError {}

/// A key that seals, with the id that envelopes name it by. Serves as master and as data key.
pub struct SealKey {
    id: u32,
    key: Secret,
    /// The same, expanded once; wiped when it goes, too.
    cipher: Box<Aes256Gcm>,
}

impl SealKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// [`SealError::BadKey`] when it has another length.
    pub fn new(id: u32, key: Secret) -> Result<SealKey, SealError> {
        let cipher = Aes256Gcm::new_from_slice(key.expose());
        let cipher = Box::new(cipher.map_err(|_| SealError::BadKey)?);
        Ok(SealKey { id, key, cipher })
    }

    /// A key from 64 hex digits with blanks around, as a key file or a variable holds it.
    ///
    /// # Errors
    /// [`SealError::BadKey`] for anything else.
    pub fn from_hex(id: u32, text: &str) -> Result<SealKey, SealError> {
        let bytes = hex::decode(text.trim()).map_err(|_| SealError::BadKey)?;
        SealKey::new(id, Secret::new(bytes))
    }

    /// The id that envelopes carry.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

/// Seals `plain` under a data key. `associated` says whose secret it is (for example class, owner
/// and slot) and must be given again to open; it is not stored. `nonce` must be fresh.
///
/// # Errors
/// [`SealError::TooLong`] beyond the limit of the cipher.
pub fn seal(
    key: &SealKey,
    nonce: [u8; NONCE_LEN],
    associated: &[u8],
    plain: &Secret,
) -> Result<Vec<u8>, SealError> {
    close(key, KIND_ROW, nonce, associated, plain.expose())
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`SealError::Malformed`], [`SealError::OtherKey`] or [`SealError::Forged`].
pub fn open(key: &SealKey, associated: &[u8], envelope: &[u8]) -> Result<Secret, SealError> {
    reveal(key, KIND_ROW, associated, envelope)
}

/// Wraps a data key of the row class `class` under a master key. `nonce` must be fresh.
///
/// # Errors
/// None that can happen: a key is far below the limit of [`SealError::TooLong`].
pub fn wrap(
    master: &SealKey,
    nonce: [u8; NONCE_LEN],
    class: &str,
    data: &SealKey,
) -> Result<Vec<u8>, SealError> {
    let mut plain = Vec::with_capacity(4 + KEY_LEN);
    plain.extend_from_slice(&data.id.to_be_bytes());
    plain.extend_from_slice(data.key.expose());
    close(
        master,
        KIND_KEY,
        nonce,
        class.as_bytes(),
        Secret::new(plain).expose(),
    )
}

/// Unwraps the data key of `class` that [`wrap`] wrapped.
///
/// # Errors
/// [`SealError::Malformed`], [`SealError::OtherKey`] or [`SealError::Forged`].
pub fn unwrap(master: &SealKey, class: &str, envelope: &[u8]) -> Result<SealKey, SealError> {
    let plain = reveal(master, KIND_KEY, class.as_bytes(), envelope)?;
    let (id, key) = plain
        .expose()
        .split_first_chunk::<4>()
        .ok_or(SealError::Malformed)?;
    SealKey::new(u32::from_be_bytes(*id), Secret::new(key.to_vec()))
}

/// The id of the key that sealed `envelope`, to find that key among several.
///
/// # Errors
/// [`SealError::Malformed`] when it is no envelope of this version.
pub fn key_id(envelope: &[u8]) -> Result<u32, SealError> {
    match envelope.split_first_chunk::<HEAD_LEN>() {
        Some(([VERSION, KIND_ROW | KIND_KEY, id @ ..], _)) => Ok(u32::from_be_bytes(*id)),
        _ => Err(SealError::Malformed),
    }
}

fn close(
    key: &SealKey,
    kind: u8,
    nonce: [u8; NONCE_LEN],
    associated: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut envelope = Vec::with_capacity(HEAD_LEN + NONCE_LEN + plain.len() + TAG_LEN);
    envelope.extend_from_slice(&[VERSION, kind]);
    envelope.extend_from_slice(&key.id.to_be_bytes());
    let aad = [&envelope[..], associated].concat();
    let body = key
        .cipher
        .encrypt(
            &Nonce::from(nonce),
            Payload {
                msg: plain,
                aad: &aad,
            },
        )
        .map_err(|_| SealError::TooLong)?;
    envelope.extend_from_slice(&nonce);
    envelope.extend_from_slice(&body);
    Ok(envelope)
}

fn reveal(
    key: &SealKey,
    kind: u8,
    associated: &[u8],
    envelope: &[u8],
) -> Result<Secret, SealError> {
    let id = key_id(envelope)?;
    let (head, rest) = envelope.split_at(HEAD_LEN);
    let (nonce, body) = rest
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(SealError::Malformed)?;
    if head[1] != kind || body.len() < TAG_LEN {
        return Err(SealError::Malformed);
    }
    if id != key.id {
        return Err(SealError::OtherKey(id));
    }
    let aad = [head, associated].concat();
    key.cipher
        .decrypt(
            &Nonce::from(*nonce),
            Payload {
                msg: body,
                aad: &aad,
            },
        )
        .map(Secret::new)
        .map_err(|_| SealError::Forged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32, fill: u8) -> SealKey {
        SealKey::new(id, Secret::new([fill; KEY_LEN].to_vec())).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    /// Test case 13 of the GCM specification (McGrew, Viega): zero key, zero nonce, nothing to
    /// seal. The tag here differs because our header is associated data, so the cipher is asked.
    #[test]
    fn the_cipher_is_aes_256_gcm() {
        let tag = key(0, 0)
            .cipher
            .encrypt(&Nonce::from([0; NONCE_LEN]), Payload { msg: b"", aad: b"" })
            .unwrap();
        assert_eq!(hex::encode(tag), "530f8afbc74536b9a963b4f1c4cb738b");
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_key_and_owner_only() {
        let envelope = seal(&key(7, 1), [9; 12], b"device/a", &secret("hush")).unwrap();
        assert_eq!(envelope[..6], [1, 1, 0, 0, 0, 7]);
        assert_eq!(key_id(&envelope), Ok(7));
        assert!(!envelope.windows(4).any(|w| w == b"hush"));
        assert_eq!(
            open(&key(7, 1), b"device/a", &envelope).unwrap().expose(),
            b"hush"
        );
        let refused = |key, owner: &[u8]| open(&key, owner, &envelope).err();
        assert_eq!(refused(key(7, 1), b"device/b"), Some(SealError::Forged));
        assert_eq!(refused(key(7, 2), b"device/a"), Some(SealError::Forged));
        assert_eq!(
            refused(key(8, 1), b"device/a"),
            Some(SealError::OtherKey(7))
        );
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let envelope = seal(&key(7, 1), [9; 12], b"d", &secret("hush")).unwrap();
        for i in 0..envelope.len() {
            let mut changed = envelope.clone();
            changed[i] ^= 1;
            assert!(open(&key(7, 1), b"d", &changed).is_err(), "byte {i}");
            assert!(
                open(&key(7, 1), b"d", &envelope[..i]).is_err(),
                "cut at {i}"
            );
        }
        assert_eq!(
            open(&key(7, 1), b"d", b"").err(),
            Some(SealError::Malformed)
        );
    }

    #[test]
    fn a_data_key_is_wrapped_by_class_and_is_no_row() {
        let (master, data) = (key(1, 1), key(5, 2));
        let wrapped = wrap(&master, [3; 12], "device", &data).unwrap();
        let back = unwrap(&master, "device", &wrapped).unwrap();
        assert_eq!(back.id(), 5);
        assert!(back.key.matches(data.key.expose()));
        assert_eq!(
            unwrap(&master, "product", &wrapped).err(),
            Some(SealError::Forged)
        );
        assert_eq!(
            open(&master, b"device", &wrapped).err(),
            Some(SealError::Malformed)
        );
        let row = seal(&master, [4; 12], b"device", &secret("x")).unwrap();
        assert_eq!(
            unwrap(&master, "device", &row).err(),
            Some(SealError::Malformed)
        );
    }

    #[test]
    fn a_key_has_32_bytes_in_hex_or_it_is_refused() {
        let text = "00".repeat(32);
        assert!(SealKey::from_hex(1, &text).is_ok());
        assert!(SealKey::from_hex(1, &alloc::format!(" {text}\n")).is_ok());
        for wrong in ["", "00", &text[1..], &"zz".repeat(32), &"00".repeat(33)] {
            assert_eq!(SealKey::from_hex(1, wrong).err(), Some(SealError::BadKey));
        }
    }
}
