//! Passwords of people at rest: PBKDF2 (RFC 8018 §5.2) with HMAC-SHA-512, written as MQTT brokers
//! write it, `$7$iterations$salt$hash` with salt and hash in base64.

use super::secret::{Secret, same};
use alloc::{format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Bytes of a hash.
const SIZE: usize = 64;
/// Bytes of salt that are taken; ours has 16.
const SALT: core::ops::RangeInclusive<usize> = 8..=64;
/// Iterations of a hash that we make.
pub const ITERATIONS: u32 = 100_000;
/// Most iterations of a hash that we check: a foreign file shall not stop the house.
const ITERATIONS_MOST: u32 = 2_000_000;

/// A password at rest.
#[derive(Clone)]
pub struct PasswordHash {
    iterations: u32,
    salt: Vec<u8>,
    hash: [u8; SIZE],
}

/// Why a text is no [`PasswordHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashError {
    /// It is of another scheme than `$7$`.
    Scheme,
    /// Its parts are not as they should be.
    Form,
}

impl core::fmt::Display for HashError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the hash is not of the scheme $7$ (PBKDF2 with SHA-512)",
            Self::Form => "the hash is not written as $7$iterations$salt$hash",
        })
    }
}

impl core::error::Error for HashError {}

impl PasswordHash {
    /// The hash of a password. The salt must be of no other password.
    #[must_use]
    pub fn new(password: &Secret, salt: [u8; 16], iterations: u32) -> Self {
        Self {
            iterations,
            salt: salt.to_vec(),
            hash: *derive(password.expose(), &salt, iterations),
        }
    }

    /// Reads `$7$iterations$salt$hash`.
    ///
    /// # Errors
    /// [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let rest = text.strip_prefix("$7$").ok_or(HashError::Scheme)?;
        let mut parts = rest.split('$');
        let (Some(iterations), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HashError::Form);
        };
        let iterations = iterations
            .parse()
            .ok()
            .filter(|count| (1..=ITERATIONS_MOST).contains(count))
            .ok_or(HashError::Form)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| HashError::Form);
        let salt = decode(salt)?;
        if !SALT.contains(&salt.len()) {
            return Err(HashError::Form);
        }
        Ok(Self {
            iterations,
            salt,
            hash: decode(hash)?.try_into().map_err(|_| HashError::Form)?,
        })
    }

    /// As [`PasswordHash::parse`] reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let salt = STANDARD.encode(&self.salt);
        format!(
            "$7${}${salt}${}",
            self.iterations,
            STANDARD.encode(self.hash)
        )
    }

    /// Whether this is the password. Takes as long as the iterations say.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        let hash = derive(password, &self.salt, self.iterations);
        same(&self.hash, &*hash)
    }
}

fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; SIZE]> {
    let mut hash = Zeroizing::new([0; SIZE]);
    pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, salt, iterations, &mut *hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hashlib.pbkdf2_hmac("sha512", b"pencil", b"0123456789ab", 101)`.
    const FOREIGN: &str = "$7$101$MDEyMzQ1Njc4OWFi$YzVegm3JE2wwo33oBs3P8TIdYw6KayfhEX7L\
        qm1ZOP9vZeN+zMZ4GnicRW9mJMk634XWrkzd+LUd8LPBiMO9pw==";

    #[test]
    fn a_hash_of_another_program_is_checked() {
        let hash = PasswordHash::parse(FOREIGN).unwrap();
        assert!(hash.is_of(b"pencil"));
        assert!(!hash.is_of(b"Pencil"));
        assert!(!hash.is_of(b""));
        assert_eq!(hash.to_text(), FOREIGN);
    }

    #[test]
    fn a_hash_of_ours_is_read_again() {
        let password = Secret::new(b"right".to_vec());
        let text = PasswordHash::new(&password, [7; 16], 3).to_text();
        assert!(text.starts_with("$7$3$"), "{text}");
        assert!(PasswordHash::parse(&text).unwrap().is_of(b"right"));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        assert_eq!(
            PasswordHash::parse("$6$salt$hash").err(),
            Some(HashError::Scheme)
        );
        let salt = "MDEyMzQ1Njc4OWFi";
        let hash = STANDARD.encode([0; 64]);
        for wrong in [
            String::from("$7$"),
            format!("$7$0${salt}${hash}"),
            format!("$7$99999999${salt}${hash}"),
            format!("$7$x${salt}${hash}"),
            format!("$7$1$?${hash}"),
            format!("$7$1$MDE=${hash}"),
            format!("$7$1${salt}$MDE="),
            format!("$7$1${salt}${hash}$"),
        ] {
            assert_eq!(
                PasswordHash::parse(&wrong).err(),
                Some(HashError::Form),
                "{wrong}"
            );
        }
    }
}
