//! A key that a program gives as text, in place of one that the server issued.

use super::result;
use credential::id2::{KeyType, SoftKey};
use zeroize::Zeroizing;

/// The most hexadecimal digits that a key has.
pub const DIGITS_MAX: usize = 64;

/// The key in `digits`, two to a byte, of the kind whose number a program writes: 1 is 3DES, 2 AES,
/// 3 SM4; their lengths say which of the kind (seed 000 section 1.1.7).
///
/// # Errors
/// `IROT_ERROR_BAD_PARAMETERS` for digits that are none or no key of the kind,
/// `IROT_ERROR_NOT_SUPPORTED` for another kind.
pub fn read(kind: i32, digits: &[u8]) -> Result<SoftKey, i32> {
    let mut bytes = Zeroizing::new([0; DIGITS_MAX / 2]);
    let key = from_hex(digits, &mut bytes).ok_or(result::BAD_PARAMETERS)?;
    let kind = match (kind, key.len()) {
        (1, 16) => KeyType::TripleDes112,
        (1, 24) => KeyType::TripleDes168,
        (2, 16) => KeyType::Aes128,
        (2, 24) => KeyType::Aes192,
        (2, 32) => KeyType::Aes256,
        (3, 16) => KeyType::Sm4,
        (1..=3, _) => return Err(result::BAD_PARAMETERS),
        _ => return Err(result::NOT_SUPPORTED),
    };
    SoftKey::new(kind, key).map_err(|_| result::BAD_PARAMETERS)
}

fn from_hex<'a>(digits: &[u8], out: &'a mut [u8; DIGITS_MAX / 2]) -> Option<&'a [u8]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !digits.len().is_multiple_of(2) || digits.len() > DIGITS_MAX {
        return None;
    }
    for (pair, byte) in digits.chunks_exact(2).zip(out.iter_mut()) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(&out[..digits.len() / 2])
}
