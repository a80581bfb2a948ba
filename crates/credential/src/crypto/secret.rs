//! Bytes that must not be seen: wiped when dropped, never printed, never copied by accident.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use subtle::ConstantTimeEq;
#[cfg(feature = "alloc")]
use zeroize::Zeroizing;

/// Owned secret bytes. There is no `Debug`, no `Clone` and no `PartialEq` on purpose; the memory
/// (the whole capacity of the vector) is overwritten when the value is dropped.
#[cfg(feature = "alloc")]
pub struct Secret(Zeroizing<Vec<u8>>);

#[cfg(feature = "alloc")]
impl Secret {
    /// Takes the bytes over. The caller should not have kept another copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The bytes, for a computation or for the one time an owner is shown them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `given` is this secret, in constant time for a given length.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        same(self.expose(), given)
    }
}

/// Compares in time that depends on the lengths only; different lengths are simply not the same.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_and_nothing_else() {
        let secret = Secret::new(b"abc".to_vec());
        assert!(secret.matches(b"abc"));
        for wrong in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!secret.matches(wrong));
        }
        assert!(Secret::new(Vec::new()).matches(b""));
    }
}
