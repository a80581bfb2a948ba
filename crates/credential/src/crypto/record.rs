//! Records of TLS 1.2 with AES in CBC and HMAC-SHA-256 (RFC 5246 sections 5 and 6.2.3.2), and its
//! function for deriving keys; in place and without a heap.
//!
//! Such a record is proven first and padded then, so whoever opens it works on a padding that
//! nobody has proven yet. How long that takes must not tell what stood there ("Lucky Thirteen",
//! AlFardan and Paterson, 2013): below the record's own length, nothing here branches, stops or looks
//! somewhere else because of what was decrypted, until one verdict falls.

use super::{ecb::BadLength, hmac::hmac_sha256};
use aes::cipher::{Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use sha2::block_api::compress256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

/// Bytes of a block, and of the initial vector before each record.
pub const BLOCK: usize = 16;
/// Bytes of a proof, and of its key.
pub const PROOF: usize = 32;
/// Bytes before the text that the proof covers: a number of 8, type, version, and the text's length.
pub const HEAD: usize = 13;
/// Bytes that SHA-256 takes at a time.
const CHUNK: usize = 64;
/// SHA-256 before its first byte (FIPS 180-4 section 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The keys of one direction.
pub struct RecordKeys {
    cipher: Cipher,
    /// HMAC's two digests behind the first chunk of each, which depends on the key alone.
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

enum Cipher {
    Aes128(aes::Aes128),
    Aes256(aes::Aes256),
}

impl RecordKeys {
    /// Takes a key of 16 or 32 bytes for the cipher, and one for the proofs.
    ///
    /// # Errors
    /// [`BadLength`] for a key of another length.
    pub fn new(cipher: &[u8], proof: &[u8; PROOF]) -> Result<RecordKeys, BadLength> {
        let cipher = match cipher.len() {
            16 => aes::Aes128::new_from_slice(cipher).map(Cipher::Aes128),
            _ => aes::Aes256::new_from_slice(cipher).map(Cipher::Aes256),
        };
        let begun = |with: u8| {
            let mut chunk = Zeroizing::new([with; CHUNK]);
            for (byte, key) in chunk.iter_mut().zip(proof) {
                *byte ^= key;
            }
            let mut state = Zeroizing::new(START);
            compress256(&mut state, core::slice::from_ref(&*chunk));
            state
        };
        Ok(RecordKeys {
            cipher: cipher.map_err(|_| BadLength)?,
            inner: begun(0x36),
            outer: begun(0x5c),
        })
    }

    /// Bytes of a record with so many of text.
    #[must_use]
    pub const fn sealed_len(text: usize) -> usize {
        BLOCK + ((text + PROOF) / BLOCK + 1) * BLOCK
    }

    /// Seals the `len` bytes that stand in `room` behind the place of the initial vector; gives the
    /// record's length. The vector is random, and used for nothing else. `head` has the length too.
    ///
    /// # Errors
    /// [`BadLength`] when `room` is shorter than [`RecordKeys::sealed_len`].
    pub fn seal(
        &self,
        head: &[u8; HEAD],
        vector: &[u8; BLOCK],
        room: &mut [u8],
        len: usize,
    ) -> Result<usize, BadLength> {
        let need = Self::sealed_len(len);
        let (place, data) = room
            .get_mut(..need)
            .and_then(<[u8]>::split_first_chunk_mut::<BLOCK>)
            .ok_or(BadLength)?;
        *place = *vector;
        let proof = self.proof(head, &data[..len], len, len);
        data[len..len + PROOF].copy_from_slice(&proof);
        let padding = data.len() - len - PROOF;
        data[len + PROOF..].fill(u8::try_from(padding - 1).map_err(|_| BadLength)?);
        match &self.cipher {
            Cipher::Aes128(cipher) => encrypt(cipher, vector, data),
            Cipher::Aes256(cipher) => encrypt(cipher, vector, data),
        }
        Ok(need)
    }

    /// Opens a record in place: gives the length of the text, which stands behind the place of the
    /// initial vector; `None` when it is not of these keys, with no word on what was wrong. `head`
    /// is that of the proof without the length.
    #[must_use]
    pub fn open(&self, head: &[u8; HEAD - 2], record: &mut [u8]) -> Option<usize> {
        let (vector, data) = record.split_first_chunk_mut::<BLOCK>()?;
        if data.len() <= PROOF || !data.len().is_multiple_of(BLOCK) || data.len() > 1 << 16 {
            return None;
        }
        match &self.cipher {
            Cipher::Aes128(cipher) => decrypt(cipher, vector, data),
            Cipher::Aes256(cipher) => decrypt(cipher, vector, data),
        }
        // Text, proof, padding, and the padding's length in each of its bytes and once more.
        let most = data.len() - PROOF - 1;
        let padding = u32::from(data[data.len() - 1]);
        let mut good = !(most as u32).ct_lt(&padding);
        let padding = u32::conditional_select(&0, &padding, good);
        for (n, byte) in data.iter().rev().take(256).enumerate() {
            let is_padding = !padding.ct_lt(&(n as u32));
            good &= !is_padding | u32::from(*byte).ct_eq(&padding);
        }
        // With a wrong padding, as if there were none (section 6.2.3.2).
        let padding = u32::conditional_select(&0, &padding, good);
        let len = most - padding as usize;
        let least = most.saturating_sub(255);

        let mut whole = [0; HEAD];
        whole[..HEAD - 2].copy_from_slice(head);
        whole[HEAD - 2..].copy_from_slice(&(len as u16).to_be_bytes());
        let own = self.proof(&whole, &data[..most], len, least);
        let mut given = [0; PROOF];
        for at in least..=most {
            let here = (at as u32).ct_eq(&(len as u32));
            for (byte, found) in given.iter_mut().zip(&data[at..]) {
                *byte |= u8::conditional_select(&0, found, here);
            }
        }
        good &= own.ct_eq(&given);
        bool::from(good).then_some(len)
    }

    /// HMAC over the head and the first `len` bytes of `data`, in a time that depends on `least` and
    /// on the length of `data` alone, between which `len` is.
    fn proof(&self, head: &[u8; HEAD], data: &[u8], len: usize, least: usize) -> [u8; PROOF] {
        let covered = HEAD + len;
        // Both digests begin with a chunk that is the key's.
        let bits = ((CHUNK + covered) as u64 * 8).to_be_bytes();
        let last = ((covered + 8) / CHUNK) as u32;
        // These chunks are full of text, whatever the length is.
        let full = (HEAD + least) / CHUNK;
        let chunks = (HEAD + data.len() + 8) / CHUNK + 1;
        let mut state = self.inner.clone();
        let mut digest = [0; 8];
        for n in 0..chunks {
            let mut chunk = [0; CHUNK];
            for (at, byte) in (n * CHUNK..).zip(&mut chunk) {
                let found = match at.checked_sub(HEAD) {
                    None => head.get(at),
                    Some(at) => data.get(at),
                };
                *byte = found.copied().unwrap_or_default();
            }
            if n >= full {
                let covered = covered as u32;
                for (at, byte) in ((n * CHUNK) as u32..).zip(&mut chunk) {
                    *byte = u8::conditional_select(&0, byte, at.ct_lt(&covered));
                    *byte |= u8::conditional_select(&0, &0x80, at.ct_eq(&covered));
                }
                let is_last = (n as u32).ct_eq(&last);
                for (byte, bits) in chunk[CHUNK - 8..].iter_mut().zip(bits) {
                    *byte |= u8::conditional_select(&0, &bits, is_last);
                }
                compress256(&mut state, &[chunk]);
                for (word, found) in digest.iter_mut().zip(state.iter()) {
                    *word |= u32::conditional_select(&0, found, is_last);
                }
            } else {
                compress256(&mut state, &[chunk]);
            }
        }
        let mut chunk = [0; CHUNK];
        words(&digest, &mut chunk);
        chunk[PROOF] = 0x80;
        chunk[CHUNK - 8..].copy_from_slice(&((CHUNK + PROOF) as u64 * 8).to_be_bytes());
        let mut state = self.outer.clone();
        compress256(&mut state, &[chunk]);
        let mut proof = [0; PROOF];
        words(&state, &mut proof);
        proof
    }
}

fn words(words: &[u32; 8], out: &mut [u8]) {
    for (place, word) in out.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

fn encrypt<C: BlockCipherEncrypt>(cipher: &C, vector: &[u8; BLOCK], data: &mut [u8]) {
    let mut before = *vector;
    let (blocks, _) = Array::slice_as_chunks_mut(data);
    let blocks: &mut [Block<C>] = blocks;
    for block in blocks {
        for (byte, other) in block.iter_mut().zip(&before) {
            *byte ^= other;
        }
        cipher.encrypt_block(block);
        before.copy_from_slice(block);
    }
}

fn decrypt<C: BlockCipherDecrypt>(cipher: &C, vector: &[u8; BLOCK], data: &mut [u8]) {
    let mut before = *vector;
    let (blocks, _) = Array::slice_as_chunks_mut(data);
    let blocks: &mut [Block<C>] = blocks;
    for block in blocks {
        let mut closed = [0; BLOCK];
        closed.copy_from_slice(block);
        cipher.decrypt_block(block);
        for (byte, other) in block.iter_mut().zip(&before) {
            *byte ^= other;
        }
        before = closed;
    }
}

/// `P_SHA256` over a label and a seed of two parts, into `out` (RFC 5246 section 5).
pub fn prf(secret: &[u8], label: &[u8], seed: [&[u8]; 2], out: &mut [u8]) {
    let [one, two] = seed;
    let mut a = Zeroizing::new(hmac_sha256(secret, &[label, one, two]));
    for place in out.chunks_mut(PROOF) {
        let made = Zeroizing::new(hmac_sha256(secret, &[&a[..], label, one, two]));
        place.copy_from_slice(&made[..place.len()]);
        *a = hmac_sha256(secret, &[&a[..]]);
    }
}

/// Whether two proofs are the same, in constant time.
#[must_use]
pub fn same_proof(one: &[u8; 12], other: &[u8; 12]) -> bool {
    let same: Choice = one.ct_eq(other);
    same.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// The vector for P_SHA256 that was sent to the TLS working group for RFC 5246, again with
    /// `openssl kdf TLS1-PRF` of OpenSSL 3.
    #[test]
    fn the_published_bytes_are_derived() {
        let secret = hex::decode("9bbe436ba940f017b17652849a71db35").unwrap();
        let seed = hex::decode("a0ba9f936cda311827a6f796ffd5198c").unwrap();
        let mut out = [0; 100];
        let (one, two) = seed.split_at(5);
        prf(&secret, b"test label", [one, two], &mut out);
        assert_eq!(
            hex::encode(out),
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9\
             c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789ba\
             a48082d122ee42c5a72e5a5110fff70187347b66"
        );
    }

    fn head(len: usize) -> [u8; HEAD] {
        let mut head = *b"\0\0\0\0\0\0\0\x07\x17\x03\x03\0\0";
        head[HEAD - 2..].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        head
    }

    fn keys(len: usize) -> RecordKeys {
        RecordKeys::new(&[0x11; 32][..len], &[0x22; PROOF])
            .ok()
            .unwrap()
    }

    /// What OpenSSL makes of the same bytes (`openssl dgst -mac HMAC`, `openssl enc -aes-256-cbc
    /// -nopad`).
    #[test]
    fn a_record_is_what_another_library_makes_of_it() {
        for (len, expected) in VECTORS {
            let mut room = vec![0; RecordKeys::sealed_len(5)];
            room[BLOCK..BLOCK + 5].copy_from_slice(b"hello");
            let sealed = keys(*len)
                .seal(&head(5), &[0x33; BLOCK], &mut room, 5)
                .unwrap();
            assert_eq!(sealed, room.len());
            assert_eq!(hex::encode(&room), *expected);
        }
    }

    const VECTORS: &[(usize, &str)] = &[
        (
            16,
            "33333333333333333333333333333333992683d08d51b0477c20091bee585240da62efb8a43c6022bde761ae8d909f5beb717897dfdb7a10e0f9ca2da2ab30ef",
        ),
        (
            32,
            "33333333333333333333333333333333e660ac35820c814376cba5a8bf98e1bc40c79e99f23dcdac91f786080ed005ea96974a3454a3dd5e4a6f2194cea3bb5f",
        ),
    ];

    /// A record with as much padding as is asked for.
    fn padded(keys: &RecordKeys, text: &[u8], padding: usize) -> Vec<u8> {
        let proof = keys.proof(&head(text.len()), text, text.len(), text.len());
        let mut data = [text, &proof, &vec![(padding - 1) as u8; padding]].concat();
        let Cipher::Aes256(cipher) = &keys.cipher else {
            unreachable!()
        };
        encrypt(cipher, &[0x33; BLOCK], &mut data);
        [&[0x33; BLOCK][..], &data].concat()
    }

    #[test]
    fn the_proof_is_hmac_whatever_is_known_of_the_length() {
        let keys = keys(32);
        let data: Vec<u8> = (0..=255).chain(0..=255).collect();
        for len in (0..300).chain([511, 512]) {
            let expected = hmac_sha256(&[0x22; PROOF], &[&head(len), &data[..len]]);
            for (most, least) in [(len, len), (data.len(), 0), (data.len(), len)] {
                let made = keys.proof(&head(len), &data[..most], len, least);
                assert_eq!(made, expected, "{len} {most} {least}");
            }
        }
    }

    #[test]
    fn every_length_and_every_padding_is_opened() {
        let keys = keys(32);
        let head: [u8; HEAD - 2] = head(0)[..HEAD - 2].try_into().unwrap();
        let text: Vec<u8> = (0..=255).cycle().take(600).collect();
        for len in (0..80).chain([255, 256, 511, 600]) {
            for padding in 1..=256 {
                if !(len + PROOF + padding).is_multiple_of(BLOCK) {
                    continue;
                }
                let mut record = padded(&keys, &text[..len], padding);
                assert_eq!(keys.open(&head, &mut record), Some(len), "{len} {padding}");
                assert_eq!(record[BLOCK..BLOCK + len], text[..len]);
            }
        }
    }

    /// RFC 5246 section 6.2.3.2: every byte of padding, proof, text and vector counts.
    #[test]
    fn what_was_altered_is_not_opened() {
        let keys = keys(32);
        let (head, whole) = (head(0)[..HEAD - 2].try_into().unwrap(), head(20));
        let other: [u8; HEAD - 2] = whole[..HEAD - 2].try_into().unwrap();
        assert_eq!(head, other);
        let mut record = padded(&keys, &[7; 20], 12 + 48);
        for at in 0..record.len() {
            record[at] ^= 1;
            assert_eq!(keys.open(&head, &mut record.clone()), None, "{at}");
            record[at] ^= 1;
        }
        let mut next = head;
        next[7] += 1;
        assert_eq!(keys.open(&next, &mut record.clone()), None);
        for cut in 0..record.len() {
            assert_eq!(keys.open(&head, &mut record.clone()[..cut]), None, "{cut}");
        }
        assert_eq!(keys.open(&head, &mut record), Some(20));
        // Padding alone, longer than the record.
        let mut data = [0xff; 64];
        let Cipher::Aes256(cipher) = &keys.cipher else {
            unreachable!()
        };
        encrypt(cipher, &[0; BLOCK], &mut data);
        let mut record = [&[0; BLOCK][..], &data].concat();
        assert_eq!(keys.open(&head, &mut record), None);
    }

    #[test]
    fn keys_and_places_that_cannot_be_are_refused() {
        assert!(RecordKeys::new(&[0; 24], &[0; PROOF]).is_err());
        assert!(RecordKeys::new(&[], &[0; PROOF]).is_err());
        let mut room = [0; RecordKeys::sealed_len(5) - 1];
        let done = keys(16).seal(&head(5), &[0; BLOCK], &mut room, 5);
        assert_eq!(done, Err(BadLength));
        let (one, mut other) = ([1; 12], [1; 12]);
        assert!(same_proof(&one, &other));
        other[11] = 2;
        assert!(!same_proof(&one, &other));
    }
}
