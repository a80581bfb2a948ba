//! AES-256-GCM (SP 800-38D) in place and without a heap, for what a device keeps in its flash.

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInOut};

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 16;

/// Encrypts `data` in place; gives the tag, which also covers `bound`. A nonce is used once for a
/// key.
///
/// # Panics
/// Never: GCM takes 64 GiB.
#[must_use]
pub fn wrap(key: &[u8; KEY], nonce: &[u8; NONCE], bound: &[u8], data: &mut [u8]) -> [u8; TAG] {
    Aes256Gcm::new(key.into())
        .encrypt_inout_detached(nonce.into(), bound, data.into())
        .expect("GCM takes 64 GiB")
        .into()
}

/// Decrypts `data` in place when the tag is right; otherwise says no, and `data` is of no use.
#[must_use]
pub fn unwrap(
    key: &[u8; KEY],
    nonce: &[u8; NONCE],
    bound: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(nonce.into(), bound, data.into(), tag.into())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 14 of "The Galois/Counter Mode of Operation" (McGrew, Viega): zeros throughout.
    #[test]
    fn the_published_text_and_no_other_comes_back() {
        let (key, nonce) = ([0; KEY], [0; NONCE]);
        let mut data = [0; 16];
        let tag = wrap(&key, &nonce, b"", &mut data);
        assert_eq!(hex::encode(data), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(hex::encode(tag), "d0d1c8a799996bf0265b98b5d48ab919");
        for (bound, tag) in [(&b"x"[..], tag), (b"", [0; TAG])] {
            assert!(!unwrap(&key, &nonce, bound, &mut data.clone(), &tag));
        }
        assert!(unwrap(&key, &nonce, b"", &mut data, &tag));
        assert_eq!(data, [0; 16]);
    }
}
