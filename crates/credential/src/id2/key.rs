//! The kinds of keys, the trait behind which a key may live in software or in a chip, and the one
//! computation that both ends of a code share.

use super::code::HashType;
use crate::crypto::{
    digest::Digest,
    ecb::{self, Cipher, Direction},
};
use zeroize::Zeroizing;

/// Longest signature: RSA-2048.
pub const SIGNATURE_MAX: usize = 256;

/// A kind of key. SM1 is missing: its cipher is not published (wire §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// AES with 16 bytes.
    Aes128,
    /// AES with 24 bytes.
    Aes192,
    /// AES with 32 bytes.
    Aes256,
    /// Triple DES with two keys, 16 bytes.
    TripleDes112,
    /// Triple DES with three keys, 24 bytes.
    TripleDes168,
    /// SM4, 16 bytes; everything is hashed with SM3.
    Sm4,
    /// RSA with 1024 bits: only because secure elements in the field have no other.
    Rsa1024,
    /// RSA with 2048 bits.
    Rsa2048,
    /// ECDSA on P-256. It signs and does nothing else.
    P256,
    /// SM2; everything is hashed with SM3. It signs and decrypts.
    Sm2,
}

/// How a carrier failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// A key of this type cannot do this.
    NotSupported,
    /// The key or the data has a length that cannot be.
    BadLength,
    /// The cipher text is not of this key.
    BadCipher,
    /// The carrier cannot be reached.
    Communication,
    /// The carrier refused, or is broken.
    Failed,
}

impl From<ecb::BadLength> for KeyError {
    fn from(_: ecb::BadLength) -> Self {
        KeyError::BadLength
    }
}

/// A device's key, wherever it lives. A symmetric one needs [`Key::blocks`] alone, which is what
/// PKCS#11 calls `CKM_AES_ECB` and `CKM_DES3_ECB`; another needs [`Key::sign`] and, where its type
/// can, [`Key::open`].
pub trait Key {
    /// The kind of the key.
    fn key_type(&self) -> KeyType;

    /// Runs whole blocks through the cipher, in place.
    ///
    /// # Errors
    /// [`KeyError`]; `NotSupported` for a key that is not symmetric.
    fn blocks(&self, direction: Direction, data: &mut [u8]) -> Result<(), KeyError> {
        let _ = (direction, data);
        Err(KeyError::NotSupported)
    }

    /// The signature over a digest, into `out`; gives its length. RSA pads after PKCS#1 v1.5, the
    /// curves give `r` and `s`.
    ///
    /// # Errors
    /// [`KeyError`]; `NotSupported` for a symmetric key.
    fn sign(&self, hash: HashType, digest: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        let _ = (hash, digest, out);
        Err(KeyError::NotSupported)
    }

    /// The plain text of data that was encrypted to this key, into `out`; gives its length.
    ///
    /// # Errors
    /// [`KeyError`]; `NotSupported` for a key that is symmetric or can only sign.
    fn open(&self, data: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        let _ = (data, out);
        Err(KeyError::NotSupported)
    }

    /// What is hashed before every message: `Z` of an SM2 key, nothing for the others.
    ///
    /// # Errors
    /// [`KeyError`].
    fn prefix(&self) -> Result<Option<[u8; 32]>, KeyError> {
        Ok(None)
    }
}

impl KeyType {
    /// All of them.
    pub const ALL: [KeyType; 10] = [
        KeyType::Aes128,
        KeyType::Aes192,
        KeyType::Aes256,
        KeyType::TripleDes112,
        KeyType::TripleDes168,
        KeyType::Sm4,
        KeyType::Rsa1024,
        KeyType::Rsa2048,
        KeyType::P256,
        KeyType::Sm2,
    ];

    /// Our name of it, for configuration, files and the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Aes128 => "aes-128",
            KeyType::Aes192 => "aes-192",
            KeyType::Aes256 => "aes-256",
            KeyType::TripleDes112 => "3des-112",
            KeyType::TripleDes168 => "3des-168",
            KeyType::Sm4 => "sm4",
            KeyType::Rsa1024 => "rsa-1024",
            KeyType::Rsa2048 => "rsa-2048",
            KeyType::P256 => "p-256",
            KeyType::Sm2 => "sm2",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<KeyType> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The cipher of a symmetric key.
    #[must_use]
    pub fn cipher(self) -> Option<Cipher> {
        match self {
            KeyType::Aes128 => Some(Cipher::Aes128),
            KeyType::Aes192 => Some(Cipher::Aes192),
            KeyType::Aes256 => Some(Cipher::Aes256),
            KeyType::TripleDes112 => Some(Cipher::TripleDes112),
            KeyType::TripleDes168 => Some(Cipher::TripleDes168),
            KeyType::Sm4 => Some(Cipher::Sm4),
            KeyType::Rsa1024 | KeyType::Rsa2048 | KeyType::P256 | KeyType::Sm2 => None,
        }
    }

    /// The hash that a key of this type signs with (wire §1.3).
    #[must_use]
    pub fn hash(self) -> HashType {
        match self {
            KeyType::Sm4 | KeyType::Sm2 => HashType::Sm3,
            KeyType::Aes128
            | KeyType::Aes192
            | KeyType::Aes256
            | KeyType::TripleDes112
            | KeyType::TripleDes168
            | KeyType::Rsa1024
            | KeyType::Rsa2048
            | KeyType::P256 => HashType::Sha256,
        }
    }

    /// Bytes of a signature (wire §2.2).
    #[must_use]
    pub fn signature_len(self) -> usize {
        match self {
            KeyType::TripleDes112 | KeyType::TripleDes168 => 40,
            KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 | KeyType::Sm4 => 48,
            KeyType::Rsa1024 => 128,
            KeyType::Rsa2048 => 256,
            KeyType::P256 | KeyType::Sm2 => 64,
        }
    }

    /// Most bytes that the server may encrypt for a device at once, so that the cipher text has at
    /// most 512 and RSA needs one block (wire §4). `None`: the type cannot decrypt.
    #[must_use]
    pub fn plain_max(self) -> Option<usize> {
        match self {
            KeyType::Aes128
            | KeyType::Aes192
            | KeyType::Aes256
            | KeyType::TripleDes112
            | KeyType::TripleDes168
            | KeyType::Sm4 => Some(511),
            KeyType::Rsa1024 => Some(117),
            KeyType::Rsa2048 => Some(245),
            KeyType::Sm2 => Some(512 - 97),
            KeyType::P256 => None,
        }
    }

    /// The number of the type in a token and in provision data (wire §1.2).
    #[must_use]
    pub fn otp_number(self) -> Option<u8> {
        match self {
            KeyType::Aes128 => Some(1),
            KeyType::Aes192 => Some(2),
            KeyType::Aes256 => Some(3),
            KeyType::TripleDes112 => Some(4),
            KeyType::TripleDes168 => Some(5),
            KeyType::Sm4 | KeyType::Rsa1024 | KeyType::Rsa2048 | KeyType::P256 | KeyType::Sm2 => {
                None
            }
        }
    }

    /// The type of that number.
    #[must_use]
    pub fn of_otp_number(number: u8) -> Option<KeyType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.otp_number() == Some(number))
    }
}

/// A symmetric key in memory, which is wiped when dropped.
pub struct SoftKey {
    kind: KeyType,
    cipher: Cipher,
    bytes: Zeroizing<[u8; 32]>,
}

impl SoftKey {
    /// Takes a key.
    ///
    /// # Errors
    /// [`KeyError::NotSupported`] for a type that is not symmetric, [`KeyError::BadLength`].
    pub fn new(kind: KeyType, key: &[u8]) -> Result<SoftKey, KeyError> {
        let cipher = kind.cipher().ok_or(KeyError::NotSupported)?;
        if key.len() != cipher.key_len() {
            return Err(KeyError::BadLength);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        bytes[..key.len()].copy_from_slice(key);
        Ok(SoftKey {
            kind,
            cipher,
            bytes,
        })
    }

    /// The bytes of the key, to be stored or sent sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..self.cipher.key_len()]
    }
}

impl Key for SoftKey {
    fn key_type(&self) -> KeyType {
        self.kind
    }

    fn blocks(&self, direction: Direction, data: &mut [u8]) -> Result<(), KeyError> {
        Ok(self.cipher.blocks(self.expose(), direction, data)?)
    }
}

/// An RSA key in memory, by OpenSSL.
#[cfg(feature = "openssl")]
pub struct RsaKey(KeyType, crate::crypto::rsa::RsaPrivate);

#[cfg(feature = "openssl")]
impl RsaKey {
    /// Takes a key.
    ///
    /// # Errors
    /// [`KeyError::NotSupported`] for a type that is not RSA, [`KeyError::BadLength`].
    pub fn new(kind: KeyType, key: crate::crypto::rsa::RsaPrivate) -> Result<RsaKey, KeyError> {
        if !matches!(kind, KeyType::Rsa1024 | KeyType::Rsa2048) {
            return Err(KeyError::NotSupported);
        }
        if key.size() != kind.signature_len() {
            return Err(KeyError::BadLength);
        }
        Ok(RsaKey(kind, key))
    }
}

#[cfg(feature = "openssl")]
impl Key for RsaKey {
    fn key_type(&self) -> KeyType {
        self.0
    }

    fn sign(&self, hash: HashType, digest: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        self.1
            .sign(hash.hash(), digest, out)
            .map_err(|_| KeyError::Failed)
    }

    fn open(&self, data: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        self.1.decrypt(data, out).map_err(|_| KeyError::BadCipher)
    }
}

/// A P-256 or SM2 key in memory, which is wiped when dropped.
#[cfg(feature = "curves")]
pub struct CurveKey {
    kind: KeyType,
    bytes: Zeroizing<[u8; 32]>,
    public: [u8; 65],
}

#[cfg(feature = "curves")]
impl CurveKey {
    /// Takes a private key.
    ///
    /// # Errors
    /// [`KeyError::NotSupported`] for a type that is of no curve, [`KeyError::BadLength`] when it is
    /// no key.
    pub fn new(kind: KeyType, key: &[u8]) -> Result<CurveKey, KeyError> {
        use crate::crypto::curve;
        let public = match kind {
            KeyType::P256 => curve::p256_public(key),
            KeyType::Sm2 => curve::sm2_public(key),
            KeyType::Aes128
            | KeyType::Aes192
            | KeyType::Aes256
            | KeyType::TripleDes112
            | KeyType::TripleDes168
            | KeyType::Sm4
            | KeyType::Rsa1024
            | KeyType::Rsa2048 => return Err(KeyError::NotSupported),
        }
        .map_err(|_| KeyError::BadLength)?;
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(key.get(..32).ok_or(KeyError::BadLength)?);
        Ok(CurveKey {
            kind,
            bytes,
            public,
        })
    }

    /// The point of the key (SEC 1, not compressed), which the server needs.
    #[must_use]
    pub fn public(&self) -> &[u8; 65] {
        &self.public
    }
}

#[cfg(feature = "curves")]
impl Key for CurveKey {
    fn key_type(&self) -> KeyType {
        self.kind
    }

    fn sign(&self, _: HashType, digest: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        use crate::crypto::curve;
        let signature = if self.kind == KeyType::Sm2 {
            curve::sm2_sign(&*self.bytes, digest)
        } else {
            curve::p256_sign(&*self.bytes, digest)
        }
        .map_err(|_| KeyError::Failed)?;
        out.get_mut(..signature.len())
            .ok_or(KeyError::BadLength)?
            .copy_from_slice(&signature);
        Ok(signature.len())
    }

    fn open(&self, data: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        if self.kind != KeyType::Sm2 {
            return Err(KeyError::NotSupported);
        }
        crate::crypto::curve::sm2_decrypt(&*self.bytes, data, out).map_err(|_| KeyError::BadCipher)
    }

    fn prefix(&self) -> Result<Option<[u8; 32]>, KeyError> {
        if self.kind != KeyType::Sm2 {
            return Ok(None);
        }
        crate::crypto::curve::sm2_z(&self.public)
            .map(Some)
            .map_err(|_| KeyError::Failed)
    }
}

/// The digest that a key signs: of its prefix and the parts.
///
/// # Errors
/// [`KeyError`] of the key.
pub fn digest(key: &(impl Key + ?Sized), parts: [&[u8]; 4]) -> Result<Digest, KeyError> {
    let prefix = key.prefix()?;
    let prefix = prefix.as_ref().map_or(&[][..], |prefix| &prefix[..]);
    let [a, b, c, d] = parts;
    Ok(key.key_type().hash().hash().of(&[prefix, a, b, c, d]))
}

/// The signature over four parts, one after the other (wire §2.2): of a symmetric key the padded
/// digest in ECB, of another its own. Gives the length of what stands in `out`.
///
/// # Errors
/// [`KeyError`] of the key.
pub fn signature(
    key: &(impl Key + ?Sized),
    parts: [&[u8]; 4],
    out: &mut [u8; SIGNATURE_MAX],
) -> Result<usize, KeyError> {
    let kind = key.key_type();
    let digest = digest(key, parts)?;
    let digest = digest.as_bytes();
    let len = if let Some(cipher) = kind.cipher() {
        out[..digest.len()].copy_from_slice(digest);
        let len = ecb::pad(cipher.block(), out, digest.len())?;
        key.blocks(Direction::Encrypt, &mut out[..len])?;
        len
    } else {
        key.sign(kind.hash(), digest, out)?
    };
    if len == kind.signature_len() {
        Ok(len)
    } else {
        Err(KeyError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_again() {
        for kind in KeyType::ALL {
            assert_eq!(KeyType::parse(kind.name()), Some(kind));
            if let Some(number) = kind.otp_number() {
                assert_eq!(KeyType::of_otp_number(number), Some(kind));
            }
        }
        assert_eq!(KeyType::parse("sm1"), None);
        assert_eq!(KeyType::of_otp_number(0), None);
        assert_eq!(KeyType::of_otp_number(6), None);
    }

    #[test]
    fn a_key_of_another_length_or_type_is_none() {
        assert_eq!(
            SoftKey::new(KeyType::Aes128, &[0; 24]).err(),
            Some(KeyError::BadLength)
        );
        assert_eq!(
            SoftKey::new(KeyType::Rsa2048, &[0; 32]).err(),
            Some(KeyError::NotSupported)
        );
    }
}
