//! A key from a passphrase that a person chose.

use super::{seal::KEY_LEN, secret::Secret};
use alloc::vec;

/// PBKDF2 (RFC 8018 §5.2) with HMAC-SHA-512. `rounds` are what make guessing slow: 210,000 are
/// the least that OWASP's Password Storage Cheat Sheet (2023) asks for.
pub fn stretch(passphrase: &Secret, salt: &[u8], rounds: u32) -> Secret {
    let mut key = vec![0; KEY_LEN];
    pbkdf2::pbkdf2_hmac::<sha2::Sha512>(passphrase.expose(), salt, rounds, &mut key);
    Secret::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python: `hashlib.pbkdf2_hmac('sha512', b'password', b'salt', 2, 32).hex()`.
    #[test]
    fn it_is_pbkdf2_with_sha_512() {
        let key = stretch(&Secret::new(b"password".to_vec()), b"salt", 2);
        assert_eq!(
            hex::encode(key.expose()),
            "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53c"
        );
    }
}
