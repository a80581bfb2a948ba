//! RSA as devices use it: signatures and encryption after PKCS#1 v1.5 (RFC 8017), by OpenSSL.
//!
//! A decryption that fails must not be told apart by whoever sent the cipher text; OpenSSL 3 gives
//! no timing promise for it before 3.2, so no server of ours decrypts with these keys.

use super::{digest::Hash, secret::Secret};
use alloc::vec::Vec;
use openssl::{
    md::{Md, MdRef},
    pkey::{PKey, Private, Public},
    pkey_ctx::PkeyCtx,
    rsa::{Padding, Rsa},
};

/// OpenSSL refused: the key is none, the cipher text does not fit it, or its memory is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RsaError;

impl From<openssl::error::ErrorStack> for RsaError {
    fn from(_: openssl::error::ErrorStack) -> Self {
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
        Ok(Self(PKey::from_rsa(Rsa::public_key_from_der(der)?)?))
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
    /// Reads a PKCS#8 or PKCS#1 private key in DER.
    ///
    /// # Errors
    /// [`RsaError`] when it is no RSA key.
    pub fn from_der(der: &[u8]) -> Result<Self, RsaError> {
        let key = PKey::private_key_from_der(der)?;
        key.rsa()?;
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

/// `None`: no RSA scheme of ours uses it.
fn md(hash: Hash) -> Option<&'static MdRef> {
    match hash {
        Hash::Md5 => Some(Md::md5()),
        Hash::Sha1 => Some(Md::sha1()),
        Hash::Sha256 => Some(Md::sha256()),
        Hash::Sm3 => None,
    }
}
