//! Digests. MD5 and SHA-1 are here because devices in the field speak them; SM3 is GB/T 32905.

#[cfg(feature = "alloc")]
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

/// A digest as bytes: as many as [`Hash::size`] says.
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; 32],
    size: usize,
}

impl Digest {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl Hash {
    /// Bytes of a digest.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Hash::Md5 => 16,
            Hash::Sha1 => 20,
            Hash::Sha256 | Hash::Sm3 => 32,
        }
    }

    /// The digest of the parts, one after the other; needs no heap.
    #[must_use]
    pub fn of(self, parts: &[&[u8]]) -> Digest {
        fn run<D: sha2::Digest>(parts: &[&[u8]], size: usize) -> Digest {
            let mut running = D::new();
            for part in parts {
                running.update(part);
            }
            let mut bytes = [0; 32];
            bytes[..size].copy_from_slice(&running.finalize());
            Digest { bytes, size }
        }
        match self {
            Hash::Md5 => run::<md5::Md5>(parts, self.size()),
            Hash::Sha1 => run::<sha1::Sha1>(parts, self.size()),
            Hash::Sha256 => run::<sha2::Sha256>(parts, self.size()),
            Hash::Sm3 => run::<sm3::Sm3>(parts, self.size()),
        }
    }

    /// The digest of `bytes`: 16, 20, 32 or 32 bytes.
    #[cfg(feature = "alloc")]
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
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn hex(self, bytes: &[u8]) -> String {
        hex::encode(self.digest(bytes))
    }
}

/// The SHA-256 of what has come so far, needs no heap.
#[derive(Clone, Default)]
pub struct Transcript(sha2::Sha256);

impl Transcript {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest as of now; more may come.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// The MD5 and the SHA-256 of bytes that come piece by piece, as firmware does.
#[cfg(feature = "alloc")]
#[derive(Default)]
pub struct FileDigests {
    md5: md5::Md5,
    sha256: sha2::Sha256,
}

#[cfg(feature = "alloc")]
impl FileDigests {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    /// Both, as lower-case hex.
    #[must_use]
    pub fn finish(self) -> (String, String) {
        (
            hex::encode(self.md5.finalize()),
            hex::encode(self.sha256.finalize()),
        )
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pieces_have_the_digests_of_the_whole() {
        let mut transcript = Transcript::default();
        transcript.update(b"ab");
        assert_eq!(transcript.digest()[..], Hash::Sha256.digest(b"ab"));
        transcript.update(b"c");
        assert_eq!(transcript.digest()[..], Hash::Sha256.digest(b"abc"));
        let mut pieces = FileDigests::default();
        for piece in [&b"a"[..], b"", b"bc"] {
            pieces.update(piece);
        }
        let (md5, sha256) = pieces.finish();
        assert_eq!(md5, Hash::Md5.hex(b"abc"));
        assert_eq!(sha256, Hash::Sha256.hex(b"abc"));
    }

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
            assert_eq!(
                hex::encode(hash.of(&[b"a", b"", b"bc"]).as_bytes()),
                expected
            );
        }
    }
}
