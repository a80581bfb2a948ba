//! Keys on elliptic curves: ECDSA on P-256 (FIPS 186-5) and SM2 (GB/T 32918), with signatures as
//! `r` and `s` of 32 bytes each.

use super::digest::Hash;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};

/// The user id of every SM2 signature (GB/T 35276's default).
const USER: &str = "1234567812345678";
/// Bytes of a signature.
pub const SIGNATURE: usize = 64;
/// Bytes of a private key.
pub const PRIVATE: usize = 32;

/// The key is none, or the text does not fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurveError;

/// The P-256 signature of the key `private` over a SHA-256 digest; the nonce is that of RFC 6979.
///
/// # Errors
/// [`CurveError`] when `private` is no key.
pub fn p256_sign(private: &[u8], digest: &[u8]) -> Result<[u8; SIGNATURE], CurveError> {
    let key = p256::ecdsa::SigningKey::from_slice(private).map_err(|_| CurveError)?;
    let signature: p256::ecdsa::Signature = key.sign_prehash(digest).map_err(|_| CurveError)?;
    Ok(signature.to_bytes().into())
}

/// Whether a P-256 signature is of the key whose point (SEC 1) is `public`.
///
/// # Errors
/// [`CurveError`] when `public` is no key.
pub fn p256_verifies(public: &[u8], digest: &[u8], signature: &[u8]) -> Result<bool, CurveError> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(public).map_err(|_| CurveError)?;
    Ok(p256::ecdsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()))
}

/// The point (SEC 1, not compressed) of a private P-256 key.
///
/// # Errors
/// [`CurveError`] when `private` is no key.
pub fn p256_public(private: &[u8]) -> Result<[u8; 65], CurveError> {
    let key = p256::ecdsa::SigningKey::from_slice(private).map_err(|_| CurveError)?;
    let point = key.verifying_key().to_sec1_point(false);
    point.as_bytes().try_into().map_err(|_| CurveError)
}

/// `Z` of an SM2 key (GB/T 32918.2 section 5.5): hashed before every message that it signs.
///
/// # Errors
/// [`CurveError`] when `public` is no point.
pub fn sm2_z(public: &[u8]) -> Result<[u8; 32], CurveError> {
    const CURVE: [[u8; 32]; 4] = [
        // a, b, xG, yG of GB/T 32918.5.
        [
            0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xfc,
        ],
        [
            0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65,
            0x09, 0xa7, 0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41,
            0x4d, 0x94, 0x0e, 0x93,
        ],
        [
            0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39,
            0xc9, 0x94, 0x8f, 0xe3, 0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89,
            0x33, 0x4c, 0x74, 0xc7,
        ],
        [
            0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69,
            0x21, 0x53, 0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5,
            0x21, 0x39, 0xf0, 0xa0,
        ],
    ];
    let [4, point @ ..] = public else {
        return Err(CurveError);
    };
    sm2::PublicKey::from_sec1_bytes(public).map_err(|_| CurveError)?;
    let bits = u16::try_from(USER.len() * 8).map_err(|_| CurveError)?;
    let [a, b, x, y] = &CURVE;
    let digest = Hash::Sm3.of(&[&bits.to_be_bytes(), USER.as_bytes(), a, b, x, y, point]);
    digest.as_bytes().try_into().map_err(|_| CurveError)
}

/// The SM2 signature of the key `private` over `SM3(Z, message)`; the nonce is deterministic, as in
/// RFC 6979.
///
/// # Errors
/// [`CurveError`] when `private` is no key.
pub fn sm2_sign(private: &[u8], digest: &[u8]) -> Result<[u8; SIGNATURE], CurveError> {
    let key = sm2::dsa::SigningKey::from_slice(USER, private).map_err(|_| CurveError)?;
    let signature = key.sign_prehash(digest).map_err(|_| CurveError)?;
    Ok(signature.to_bytes().into())
}

/// Whether an SM2 signature is of the key whose point is `public`.
///
/// # Errors
/// [`CurveError`] when `public` is no key.
pub fn sm2_verifies(public: &[u8], digest: &[u8], signature: &[u8]) -> Result<bool, CurveError> {
    let key = sm2::dsa::VerifyingKey::from_sec1_bytes(USER, public).map_err(|_| CurveError)?;
    Ok(sm2::dsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()))
}

/// The point (SEC 1, not compressed) of a private SM2 key.
///
/// # Errors
/// [`CurveError`] when `private` is no key.
pub fn sm2_public(private: &[u8]) -> Result<[u8; 65], CurveError> {
    use sm2::elliptic_curve::sec1::ToSec1Point;
    let key = sm2::SecretKey::from_slice(private).map_err(|_| CurveError)?;
    let point = key.public_key().to_sec1_point(false);
    point.as_bytes().try_into().map_err(|_| CurveError)
}

/// Random bytes that the caller made, given out once: encryption of SM2 wants them.
#[cfg(feature = "alloc")]
struct Given<'a>(&'a [u8]);

#[cfg(feature = "alloc")]
impl sm2::elliptic_curve::rand_core::TryRng for Given<'_> {
    type Error = BytesUsedUp;

    fn try_next_u32(&mut self) -> Result<u32, BytesUsedUp> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, BytesUsedUp> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), BytesUsedUp> {
        let (taken, rest) = self.0.split_at_checked(out.len()).ok_or(BytesUsedUp)?;
        out.copy_from_slice(taken);
        self.0 = rest;
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl sm2::elliptic_curve::rand_core::TryCryptoRng for Given<'_> {}

/// More random bytes were asked for than were given.
#[cfg(feature = "alloc")]
#[derive(Debug)]
struct BytesUsedUp;

#[cfg(feature = "alloc")]
impl core::fmt::Display for BytesUsedUp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the random bytes are used up")
    }
}

#[cfg(feature = "alloc")]
impl core::error::Error for BytesUsedUp {}

/// SM2 encryption (GB/T 32918.4) as C1, C3, C2 with C1 not compressed: 97 bytes more than `plain`.
/// `random` is used for nothing else; 32 bytes are enough in all but 2^-32 of cases.
///
/// # Errors
/// [`CurveError`] when `public` is no key or the random bytes are used up.
#[cfg(feature = "alloc")]
pub fn sm2_encrypt(public: &[u8], plain: &[u8], random: &[u8]) -> Result<Vec<u8>, CurveError> {
    sm2::pke::EncryptingKey::from_sec1_bytes(public)
        .and_then(|key| key.encrypt(&mut Given(random), plain))
        .map_err(|_| CurveError)
}

/// Longest cipher text that [`sm2_decrypt`] takes.
pub const SM2_CIPHER_MAX: usize = 1024;

/// The plain text of SM2 encryption into `out`; gives its length. C1 may come without its leading
/// 4, as some key modules write it.
///
/// # Errors
/// [`CurveError`] when it is not of this key or `out` has no room.
pub fn sm2_decrypt(private: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize, CurveError> {
    use sm2::pke::{Cipher, DecryptingKey, Mode};
    let key = DecryptingKey::from_slice(private).map_err(|_| CurveError)?;
    let mut whole = [4; SM2_CIPHER_MAX + 1];
    let data = if data.first() == Some(&4) {
        data
    } else {
        let whole = whole.get_mut(..=data.len()).ok_or(CurveError)?;
        whole[1..].copy_from_slice(data);
        whole
    };
    let size = data.len().checked_sub(97).ok_or(CurveError)?;
    let out = out.get_mut(..size).ok_or(CurveError)?;
    let cipher =
        Cipher::<sm2::Sm2, sm3::Sm3>::from_slice(data, Mode::C1C3C2).map_err(|_| CurveError)?;
    key.decrypt_cipher_with_buf(&cipher, out)
        .map_err(|_| CurveError)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6979 A.2.5, SHA-256 of `sample`.
    #[test]
    fn the_published_p_256_signature() {
        let private =
            hex::decode("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
                .unwrap();
        let digest = Hash::Sha256.digest(b"sample");
        let signature = p256_sign(&private, &digest).unwrap();
        assert_eq!(
            hex::encode(signature),
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        );
        let public = p256_public(&private).unwrap();
        assert_eq!(p256_verifies(&public, &digest, &signature), Ok(true));
        assert_eq!(p256_verifies(&public, &[0; 32], &signature), Ok(false));
        assert_eq!(p256_verifies(&public, &digest, &signature[1..]), Ok(false));
        assert_eq!(p256_verifies(b"\x04", &digest, &signature), Err(CurveError));
    }

    #[test]
    fn sm2_signs_and_decrypts_for_its_own_key_only() {
        let private = [7; 32];
        let public = sm2_public(&private).unwrap();
        let z = sm2_z(&public).unwrap();
        let digest = Hash::Sm3.of(&[&z, b"message"]);
        let signature = sm2_sign(&private, digest.as_bytes()).unwrap();
        assert_eq!(
            sm2_verifies(&public, digest.as_bytes(), &signature),
            Ok(true)
        );
        assert_eq!(sm2_verifies(&public, &[0; 32], &signature), Ok(false));
        // The library's own computation of Z and digest is the same.
        let key = sm2::dsa::VerifyingKey::from_sec1_bytes(USER, &public).unwrap();
        let read = sm2::dsa::Signature::from_slice(&signature).unwrap();
        sm2::dsa::signature::Verifier::verify(&key, b"message", &read).unwrap();

        let sealed = sm2_encrypt(&public, b"hello id2", &[9; 64]).unwrap();
        assert_eq!(sealed.len(), 97 + 9);
        let mut out = [0; 64];
        assert_eq!(sm2_decrypt(&private, &sealed, &mut out), Ok(9));
        assert_eq!(&out[..9], b"hello id2");
        assert_ne!(sealed[1], 4, "or the next lines prove nothing");
        assert_eq!(sm2_decrypt(&private, &sealed[1..], &mut out), Ok(9));
        assert_eq!(
            sm2_decrypt(&private, &sealed, &mut out[..8]),
            Err(CurveError)
        );
        assert_eq!(sm2_decrypt(&[8; 32], &sealed, &mut out), Err(CurveError));
        for cut in 2..sealed.len() {
            assert!(sm2_decrypt(&private, &sealed[..cut], &mut out).is_err());
            assert!(sm2_decrypt(&private, &sealed[cut..], &mut out).is_err());
        }
        assert!(sm2_encrypt(&public, b"x", b"short").is_err());
    }
}
