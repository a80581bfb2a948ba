//! Digests. MD5 and SHA-1 are here because devices in the field speak them; SM3 is GB/T 32905.

use alloc::{string::String, vec::Vec};
use sha2::Digest as _;

/// The hash functions that some scheme of ours needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// RFC 1321. Broken for collisions; only where a device's protocol demands it.
    Md5,
    /// FIPS 180-4. Broken for collisions; only where a client's protocol demands it.
    Sha1,
    /// FIPS 180-4.
    Sha256,
    /// GB/T 32905-2016.
    Sm3,
}

impl Hash {
    /// The digest of `bytes`: 16, 20, 32 or 32 bytes.
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Md5 => md5::Md5::digest(bytes).to_vec(),
            Hash::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Hash::Sm3 => sm3::Sm3::digest(bytes).to_vec(),
        }
    }

    /// The digest of `bytes` as lower-case hex.
    #[must_use]
    pub fn hex(self, bytes: &[u8]) -> String {
        hex::encode(self.digest(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1321 A.5, FIPS 180-4 examples, GB/T 32905 A.1.
    #[test]
    fn published_digests_of_abc() {
        for (hash, expected) in [
            (Hash::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                Hash::Sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Hash::Sm3,
                "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
            ),
        ] {
            assert_eq!(hash.hex(b"abc"), expected);
        }
    }
}
