//! RSA as devices use it: signatures and encryption after PKCS#1 v1.5 (RFC 8017), by OpenSSL.
//!
//! A decryption that fails must not be told apart by whoever sent the cipher text; OpenSSL 3 gives
//! no timing promise for it before 3.2, so no server of ours decrypts with these keys.

use super::{digest::Hash, secret::Secret};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use openssl::{
    bn::{BigNum, BigNumContext, BigNumRef},
    md::{Md, MdRef},
    pkey::{Id, PKey, Private, Public},
    pkey_ctx::PkeyCtx,
    rsa::{Padding, Rsa, RsaPrivateKeyBuilder, RsaRef},
};
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        Reader, SliceReader,
        asn1::{OctetStringRef, UintRef},
    },
};

/// RFC 8017, appendix C.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Bits of a modulus that is read: a larger one only makes a server work.
const SIZES: RangeInclusive<i32> = 512..=8_192;

/// OpenSSL refused: the key is none, the cipher text does not fit it, or its memory is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RsaError;

impl From<openssl::error::ErrorStack> for RsaError {
    fn from(_: openssl::error::ErrorStack) -> Self {
        RsaError
    }
}

impl From<spki::Error> for RsaError {
    fn from(_: spki::Error) -> Self {
        RsaError
    }
}

impl From<spki::der::Error> for RsaError {
    fn from(_: spki::der::Error) -> Self {
        RsaError
    }
}

/// A public key.
pub struct RsaPublic(PKey<Public>);

/// A private key; OpenSSL wipes it.
pub struct RsaPrivate(PKey<Private>);

impl RsaPublic {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280) in DER.
    ///
    /// # Errors
    /// [`RsaError`] when it is no RSA key.
    pub fn from_der(der: &[u8]) -> Result<Self, RsaError> {
        // Not by OpenSSL: its decoder takes 80 times as long as the signature that is then verified.
        let info = SubjectPublicKeyInfoRef::try_from(der)?;
        if info.algorithm.oid != RSA_ENCRYPTION {
            return Err(RsaError);
        }
        let bits = info.subject_public_key.as_bytes().ok_or(RsaError)?;
        let mut reader = SliceReader::new(bits)?;
        let (modulus, exponent) = reader.sequence(|key| {
            let modulus: UintRef<'_> = key.decode()?;
            let exponent: UintRef<'_> = key.decode()?;
            Ok::<_, spki::der::Error>((modulus, exponent))
        })?;
        reader.finish()?;
        let modulus = BigNum::from_slice(modulus.as_bytes())?;
        let exponent = BigNum::from_slice(exponent.as_bytes())?;
        check(&modulus, &exponent)?;
        let key = Rsa::from_public_components(modulus, exponent)?;
        Ok(Self(PKey::from_rsa(key)?))
    }

    /// Bytes of the modulus.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Whether `signature` is this key's over `digest`.
    #[must_use]
    pub fn verifies(&self, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
        let verify = || -> Result<bool, RsaError> {
            let mut context = PkeyCtx::new(&self.0)?;
            context.verify_init()?;
            context.set_rsa_padding(Padding::PKCS1)?;
            context.set_signature_md(md(hash).ok_or(RsaError)?)?;
            Ok(context.verify(digest, signature).unwrap_or(false))
        };
        verify().unwrap_or(false)
    }

    /// Encrypts at most [`RsaPublic::size`] minus 11 bytes.
    ///
    /// # Errors
    /// [`RsaError`] when it is more.
    pub fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, RsaError> {
        let mut context = PkeyCtx::new(&self.0)?;
        context.encrypt_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        let mut out = Vec::new();
        context.encrypt_to_vec(plain, &mut out)?;
        Ok(out)
    }
}

impl RsaPrivate {
    /// Reads a PKCS#8 (RFC 5208) or PKCS#1 (RFC 8017 A.1.2) private key of two primes in DER.
    ///
    /// # Errors
    /// [`RsaError`] when it is no RSA key.
    pub fn from_der(der: &[u8]) -> Result<Self, RsaError> {
        // OpenSSL is asked last, as above, for what is written otherwise: tokens do.
        let own = private(der).or_else(|_| pkcs8(der));
        let key = match own {
            Ok(key) => PKey::from_rsa(key)?,
            Err(_) => {
                let key = PKey::private_key_from_der(der)?;
                // It also takes keys for another scheme, and those whose numbers do not fit each other.
                if key.id() != Id::RSA {
                    return Err(RsaError);
                }
                sound(&*key.rsa()?)?;
                key
            }
        };
        Ok(Self(key))
    }

    /// A new key; takes tenths of a second and more.
    ///
    /// # Errors
    /// [`RsaError`].
    pub fn generate(bits: u32) -> Result<Self, RsaError> {
        Ok(Self(PKey::from_rsa(Rsa::generate(bits)?)?))
    }

    /// The key as PKCS#8 in DER.
    ///
    /// # Errors
    /// [`RsaError`].
    pub fn to_der(&self) -> Result<Secret, RsaError> {
        Ok(Secret::new(self.0.private_key_to_pkcs8()?))
    }

    /// The public half.
    ///
    /// # Errors
    /// [`RsaError`].
    pub fn public(&self) -> Result<RsaPublic, RsaError> {
        let own = self.0.rsa()?;
        let public = Rsa::from_public_components(own.n().to_owned()?, own.e().to_owned()?)?;
        Ok(RsaPublic(PKey::from_rsa(public)?))
    }

    /// The public half as `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`RsaError`].
    pub fn public_der(&self) -> Result<Vec<u8>, RsaError> {
        Ok(self.0.public_key_to_der()?)
    }

    /// Bytes of the modulus.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// The signature over a digest, into `out`; gives its length.
    ///
    /// # Errors
    /// [`RsaError`] when `out` has no room.
    pub fn sign(&self, hash: Hash, digest: &[u8], out: &mut [u8]) -> Result<usize, RsaError> {
        let mut context = PkeyCtx::new(&self.0)?;
        context.sign_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        context.set_signature_md(md(hash).ok_or(RsaError)?)?;
        let out = out.get_mut(..self.size()).ok_or(RsaError)?;
        Ok(context.sign(digest, Some(out))?)
    }

    /// Decrypts one block into `out`; gives the plain text's length.
    ///
    /// # Errors
    /// [`RsaError`] when it is not of this key or `out` has no room.
    pub fn decrypt(&self, data: &[u8], out: &mut [u8]) -> Result<usize, RsaError> {
        let mut context = PkeyCtx::new(&self.0)?;
        context.decrypt_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        let mut plain = zeroize::Zeroizing::new(Vec::new());
        context.decrypt_to_vec(data, &mut plain)?;
        out.get_mut(..plain.len())
            .ok_or(RsaError)?
            .copy_from_slice(&plain);
        Ok(plain.len())
    }
}

/// A `PrivateKeyInfo` (RFC 5208).
fn pkcs8(der: &[u8]) -> Result<Rsa<Private>, RsaError> {
    let mut reader = SliceReader::new(der)?;
    let key = reader.sequence(|info| {
        let _version: u8 = info.decode()?;
        let algorithm: AlgorithmIdentifierRef<'_> = info.decode()?;
        algorithm.assert_algorithm_oid(RSA_ENCRYPTION)?;
        let key: &OctetStringRef = info.decode()?;
        // Attributes tell nothing of the key.
        info.read_slice(info.remaining_len())?;
        Ok::<_, spki::Error>(key)
    })?;
    reader.finish()?;
    private(key.as_bytes())
}

/// An `RSAPrivateKey` (RFC 8017 A.1.2).
fn private(der: &[u8]) -> Result<Rsa<Private>, RsaError> {
    let mut reader = SliceReader::new(der)?;
    let [n, e, d, p, q, dp, dq, inverse] = reader.sequence(|key| {
        if key.decode::<u8>()? != 0 {
            return Err(spki::der::ErrorKind::Failed.into());
        }
        let mut numbers = [UintRef::new(&[1])?; 8];
        for number in &mut numbers {
            *number = key.decode()?;
        }
        Ok::<_, spki::der::Error>(numbers)
    })?;
    reader.finish()?;
    let number = |number: UintRef<'_>| BigNum::from_slice(number.as_bytes());
    let (modulus, exponent) = (number(n)?, number(e)?);
    let key = RsaPrivateKeyBuilder::new(modulus, exponent, number(d)?)?
        .set_factors(number(p)?, number(q)?)?
        .set_crt_params(number(dp)?, number(dq)?, number(inverse)?)?
        .build();
    sound(&key)?;
    Ok(key)
}

/// Whether the public half is one that is read, and the primes are those of the modulus.
fn sound(key: &RsaRef<Private>) -> Result<(), RsaError> {
    check(key.n(), key.e())?;
    let (p, q) = (key.p().ok_or(RsaError)?, key.q().ok_or(RsaError)?);
    let mut product = BigNum::new()?;
    product.checked_mul(p, q, &mut *BigNumContext::new()?)?;
    match product == *key.n() {
        true => Ok(()),
        false => Err(RsaError),
    }
}

/// What makes OpenSSL's answer to a key of a stranger foreseeable.
fn check(modulus: &BigNumRef, exponent: &BigNumRef) -> Result<(), RsaError> {
    let sound = SIZES.contains(&modulus.num_bits()) && modulus.is_bit_set(0);
    match sound && exponent.is_bit_set(0) && (2..=64).contains(&exponent.num_bits()) {
        true => Ok(()),
        false => Err(RsaError),
    }
}

/// `None`: no RSA scheme of ours uses it.
fn md(hash: Hash) -> Option<&'static MdRef> {
    match hash {
        Hash::Md5 => Some(Md::md5()),
        Hash::Sha1 => Some(Md::sha1()),
        Hash::Sha256 => Some(Md::sha256()),
        Hash::Sm3 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [ID-7] What OpenSSL writes is read, and verifies what its private half signed.
    #[test]
    fn a_public_key_is_read_as_openssl_writes_it() {
        let own = RsaPrivate::generate(1_024).expect("a key");
        let public = own.public_der().expect("its public half");
        let key = RsaPublic::from_der(&public).expect("it is read");
        assert_eq!(key.size(), 128);
        let digest = Hash::Sha256.of(&[b"said"]);
        let mut signature = [0; 128];
        own.sign(Hash::Sha256, digest.as_bytes(), &mut signature)
            .expect("it signs");
        assert!(key.verifies(Hash::Sha256, digest.as_bytes(), &signature));
        signature[127] ^= 1;
        assert!(!key.verifies(Hash::Sha256, digest.as_bytes(), &signature));
        let cipher = key.encrypt(b"plain").expect("it encrypts");
        let mut plain = [0; 128];
        assert_eq!(own.decrypt(&cipher, &mut plain), Ok(5));
    }

    /// [ID-7] Both forms in which OpenSSL writes a private key are read, and sign alike.
    #[test]
    fn a_private_key_is_read_as_openssl_writes_it() {
        let own = Rsa::generate(1_024).expect("a key");
        let bare = own.private_key_to_der().expect("its bytes");
        let own = RsaPrivate(PKey::from_rsa(own).expect("a key"));
        let whole = own.to_der().expect("its bytes");
        let digest = Hash::Sha256.of(&[b"said"]);
        let signature = |key: &RsaPrivate| {
            let mut out = [0; 128];
            let signed = key.sign(Hash::Sha256, digest.as_bytes(), &mut out);
            signed.map(|_| out)
        };
        for der in [whole.expose(), &bare] {
            let key = RsaPrivate::from_der(der).expect("it is read");
            assert_eq!(signature(&key), signature(&own));
            let public = key.public().expect("its public half");
            let signed = signature(&own).expect("it signs");
            assert!(public.verifies(Hash::Sha256, digest.as_bytes(), &signed));
            for len in 0..der.len() {
                assert!(RsaPrivate::from_der(&der[..len]).is_err(), "{len}");
            }
            for at in 0..der.len() {
                let mut altered = der.to_vec();
                altered[at] ^= 0x41;
                if let Ok(key) = RsaPrivate::from_der(&altered) {
                    let _ = signature(&key);
                }
            }
        }
    }

    /// OpenSSL reads keys whose numbers do not fit each other, and public halves that are never read
    /// again; so does nobody who asks it.
    #[test]
    fn numbers_that_do_not_fit_each_other_are_no_key() {
        let own = Rsa::generate(1_024).expect("a key");
        let written = |n: &BigNumRef, e: &BigNumRef| {
            let copy = |number: &BigNumRef| number.to_owned().expect("a number");
            let key = RsaPrivateKeyBuilder::new(copy(n), copy(e), copy(own.d()))
                .and_then(|key| {
                    let [p, q] = [own.p(), own.q()].map(|own| copy(own.expect("a prime")));
                    key.set_factors(p, q)
                })
                .and_then(|key| {
                    let all = [own.dmp1(), own.dmq1(), own.iqmp()];
                    let [dp, dq, qi] = all.map(|own| copy(own.expect("a number")));
                    key.set_crt_params(dp, dq, qi)
                });
            let key = PKey::from_rsa(key.expect("numbers").build()).expect("numbers");
            key.private_key_to_pkcs8().expect("its bytes")
        };
        assert!(RsaPrivate::from_der(&written(own.n(), own.e())).is_ok());
        let two = BigNum::from_u32(2).expect("a number");
        let other = own.n() + &two;
        assert!(RsaPrivate::from_der(&written(&other, own.e())).is_err());
        assert!(RsaPrivate::from_der(&written(own.n(), &two)).is_err());
    }

    /// A key that says that it is for RSASSA-PSS (RFC 4055) alone does not sign as devices do.
    #[test]
    fn a_key_for_another_scheme_is_none() {
        let own = RsaPrivate::generate(1_024).expect("a key");
        let mut der = own.to_der().expect("its bytes").expose().to_vec();
        // The algorithm: its last byte, its parameters gone, and the lengths of what holds it.
        assert_eq!(der[4..9], [2, 1, 0, 0x30, 0x0d]);
        der.drain(20..22);
        (der[8], der[19]) = (0x0b, 10);
        let whole = u16::from_be_bytes([der[2], der[3]]) - 2;
        der[2..4].copy_from_slice(&whole.to_be_bytes());
        assert!(PKey::private_key_from_der(&der).is_ok(), "OpenSSL takes it");
        assert!(RsaPrivate::from_der(&der).is_err());
    }

    #[test]
    fn what_is_no_rsa_key_is_refused() {
        let own = RsaPrivate::generate(1_024).expect("a key");
        let whole = own.public_der().expect("its public half");
        for len in 0..whole.len() {
            assert!(RsaPublic::from_der(&whole[..len]).is_err(), "{len}");
        }
        assert!(RsaPublic::from_der(&[&whole[..], b"\0"].concat()).is_err());
        // Every byte altered: an error or another key, never a panic.
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 0x41;
            let _ = RsaPublic::from_der(&altered);
        }
        let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1)
            .and_then(|group| openssl::ec::EcKey::generate(&group))
            .and_then(|key| key.public_key_to_der())
            .expect("a key of a curve");
        assert!(RsaPublic::from_der(&curve).is_err());
    }
}
