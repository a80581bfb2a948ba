//! Block ciphers in ECB with PKCS#5 padding (RFC 8018 section 6.1.1), in place and without a heap.
//!
//! Only because devices in the field speak it: ECB shows which blocks are alike and protects nothing
//! from being changed. AES is computed without tables; DES and SM4 are not, so that on a machine
//! with a data cache their time may tell something about the key to a neighbour on that machine.

use aes::cipher::{Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// A block cipher with the length of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// FIPS 197, 16 bytes of key.
    Aes128,
    /// FIPS 197, 24 bytes of key.
    Aes192,
    /// FIPS 197, 32 bytes of key.
    Aes256,
    /// SP 800-67, EDE with 16 bytes of key: the third key is the first.
    TripleDes112,
    /// SP 800-67, EDE with 24 bytes of key.
    TripleDes168,
    /// GB/T 32907, 16 bytes of key.
    Sm4,
}

/// To encrypt or to decrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Plain to cipher text.
    Encrypt,
    /// Cipher to plain text.
    Decrypt,
}

/// The key or the data has a length that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLength;

impl Cipher {
    /// Bytes of a block.
    #[must_use]
    pub fn block(self) -> usize {
        match self {
            Cipher::TripleDes112 | Cipher::TripleDes168 => 8,
            Cipher::Aes128 | Cipher::Aes192 | Cipher::Aes256 | Cipher::Sm4 => 16,
        }
    }

    /// Bytes of a key.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Cipher::Aes128 | Cipher::TripleDes112 | Cipher::Sm4 => 16,
            Cipher::Aes192 | Cipher::TripleDes168 => 24,
            Cipher::Aes256 => 32,
        }
    }

    /// Bytes of `plain` bytes when padded: always at least one more.
    #[must_use]
    pub fn padded(self, plain: usize) -> usize {
        (plain / self.block() + 1) * self.block()
    }

    /// Runs whole blocks through the cipher, in place.
    ///
    /// # Errors
    /// [`BadLength`] when the key is not of this cipher or the data ends inside a block.
    pub fn blocks(
        self,
        key: &[u8],
        direction: Direction,
        data: &mut [u8],
    ) -> Result<(), BadLength> {
        match self {
            Cipher::Aes128 => run::<aes::Aes128>(key, direction, data),
            Cipher::Aes192 => run::<aes::Aes192>(key, direction, data),
            Cipher::Aes256 => run::<aes::Aes256>(key, direction, data),
            Cipher::TripleDes112 => run::<des::TdesEde2>(key, direction, data),
            Cipher::TripleDes168 => run::<des::TdesEde3>(key, direction, data),
            Cipher::Sm4 => run::<sm4::Sm4>(key, direction, data),
        }
    }
}

fn run<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt>(
    key: &[u8],
    direction: Direction,
    data: &mut [u8],
) -> Result<(), BadLength> {
    let cipher = C::new_from_slice(key).map_err(|_| BadLength)?;
    let (blocks, rest) = Array::slice_as_chunks_mut(data);
    if !rest.is_empty() {
        return Err(BadLength);
    }
    let blocks: &mut [Block<C>] = blocks;
    match direction {
        Direction::Encrypt => cipher.encrypt_blocks(blocks),
        Direction::Decrypt => cipher.decrypt_blocks(blocks),
    }
    Ok(())
}

/// Writes the padding behind the first `plain` bytes of `data`; gives the padded length.
///
/// # Errors
/// [`BadLength`] when `data` has no room for it.
pub fn pad(block: usize, data: &mut [u8], plain: usize) -> Result<usize, BadLength> {
    let padded = (plain / block + 1) * block;
    let count = u8::try_from(padded - plain).map_err(|_| BadLength)?;
    data.get_mut(plain..padded).ok_or(BadLength)?.fill(count);
    Ok(padded)
}

/// How many bytes stand before the padding; `None` when that is none.
///
/// Looks at every byte of the last block whatever it finds, so that its time does not tell where a
/// padding was wrong.
#[must_use]
pub fn unpad(block: usize, data: &[u8]) -> Option<usize> {
    if data.is_empty() || !data.len().is_multiple_of(block) {
        return None;
    }
    let last = &data[data.len() - block..];
    let count = usize::from(last[block - 1]);
    let mut wrong = u8::from(count == 0) | u8::from(count > block);
    for (at, byte) in last.iter().enumerate() {
        wrong |= u8::from(at + count >= block) & u8::from(usize::from(*byte) != count);
    }
    (wrong == 0).then(|| data.len() - count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197 C.1 to C.3; SP 800-67's example keys with OpenSSL 3 (`openssl enc -des-ede3 -nopad`);
    /// GB/T 32907 A.1.
    #[test]
    fn published_blocks() {
        let key: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let plain: [u8; 16] = core::array::from_fn(|i| u8::try_from(i * 0x11).unwrap());
        for (cipher, expected) in [
            (Cipher::Aes128, "69c4e0d86a7b0430d8cdb78070b4c55a"),
            (Cipher::Aes192, "dda97ca4864cdfe06eaf70a0ec0d7191"),
            (Cipher::Aes256, "8ea2b7ca516745bfeafc49904b496089"),
        ] {
            let mut data = plain;
            let key = &key[..cipher.key_len()];
            cipher.blocks(key, Direction::Encrypt, &mut data).unwrap();
            assert_eq!(hex(&data).as_str(), expected);
            cipher.blocks(key, Direction::Decrypt, &mut data).unwrap();
            assert_eq!(data, plain);
        }
        let mut sm4 = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10";
        let key = sm4;
        Cipher::Sm4
            .blocks(&key, Direction::Encrypt, &mut sm4)
            .unwrap();
        assert_eq!(hex(&sm4), "681edf34d206965e86b3e94f536e4246");
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let mut data = [0; 17];
        for cipher in [Cipher::Aes128, Cipher::TripleDes112, Cipher::Sm4] {
            assert_eq!(
                cipher.blocks(&[0; 16], Direction::Encrypt, &mut data),
                Err(BadLength)
            );
            assert_eq!(
                cipher.blocks(&[0; 15], Direction::Encrypt, &mut data[..16]),
                Err(BadLength)
            );
        }
        assert_eq!(pad(16, &mut data, 16), Err(BadLength));
        assert_eq!(pad(16, &mut data, 15), Ok(16));
    }

    #[test]
    fn a_padding_is_taken_off_and_nothing_else_is_taken_for_one() {
        for (data, plain) in [
            (&b"abc\x05\x05\x05\x05\x05"[..], Some(3)),
            (b"\x08\x08\x08\x08\x08\x08\x08\x08", Some(0)),
            (b"abcdefg\x01", Some(7)),
            (b"abcdefg\x00", None),
            (b"abcdef\x01\x02", None),
            (b"\x09\x09\x09\x09\x09\x09\x09\x09", None),
            (b"abc\x04\x05\x05\x05\x05", None),
            (b"abcdef\x01", None),
            (b"", None),
        ] {
            assert_eq!(unpad(8, data), plain, "{data:?}");
        }
    }

    fn hex(bytes: &[u8]) -> alloc::string::String {
        bytes.iter().map(|b| alloc::format!("{b:02x}")).collect()
    }
}
