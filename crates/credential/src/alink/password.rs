//! Passwords that a gateway is told for servers of its own (seed 001 §6.7).
//!
//! AES in CBC with PKCS#5 padding under the gateway's DeviceSecret, whose first 16 bytes are the
//! initial vector too, in Base64. The document speaks of blocks of 128 bits; the length of the key is
//! that of the secret, which has 32 characters as a rule and makes it AES-256. Only because gateways
//! read nothing else: equal passwords look equal, and nothing keeps the text from being changed.

use crate::crypto::{
    ecb::{self, Cipher, Direction},
    secret::Secret,
};
use alloc::string::String;
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

const BLOCK: usize = 16;

/// A secret that is no key of AES: it has neither 16, 24 nor 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

/// Conceals a password for the device that has this secret.
///
/// # Errors
/// [`NoKey`].
pub fn conceal(secret: &Secret, password: &Secret) -> Result<String, NoKey> {
    let key = secret.expose();
    let cipher = match key.len() {
        16 => Cipher::Aes128,
        24 => Cipher::Aes192,
        32 => Cipher::Aes256,
        _ => return Err(NoKey),
    };
    let plain = password.expose();
    // As long as it will be, so that no copy of the password stays behind when it grows.
    let mut data = Zeroizing::new(alloc::vec![0; cipher.padded(plain.len())]);
    data[..plain.len()].copy_from_slice(plain);
    ecb::pad(BLOCK, &mut data, plain.len()).map_err(|_| NoKey)?;
    let mut last = [0; BLOCK];
    last.copy_from_slice(&key[..BLOCK]);
    for block in data.chunks_exact_mut(BLOCK) {
        for (byte, before) in block.iter_mut().zip(last) {
            *byte ^= before;
        }
        cipher
            .blocks(key, Direction::Encrypt, block)
            .map_err(|_| NoKey)?;
        last.copy_from_slice(block);
    }
    Ok(STANDARD.encode(&*data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-6.9] What `openssl enc -aes-256-cbc` (and `-aes-128-cbc`) makes of the same.
    #[test]
    fn passwords_are_concealed_as_the_document_shows() {
        let secret = |text: &str| Secret::new(text.into());
        let long = "abcdefghijklmnopqrstuvwxyz012345";
        for (key, password, expected) in [
            (long, "test123", "oOJdnRCGh/cCioKY+GNwiQ=="),
            (
                long,
                "sixteen letters!",
                "mmhV3bJTB13cWYwbSxiy0biDfyptuJosRvSXyQ17huM=",
            ),
            (&long[..16], "test123", "Z++xxU5bxB1Y4/e59/FCQw=="),
        ] {
            let concealed = conceal(&secret(key), &secret(password));
            assert_eq!(concealed.as_deref(), Ok(expected));
        }
        for length in [0, 15, 17, 31] {
            let refused = conceal(&secret(&long[..length]), &secret("test123"));
            assert_eq!(refused, Err(NoKey));
        }
    }
}
