//! Keys of devices that the server keeps in a token of its own, such as a hardware module.
//!
//! What is stored is the key under a wrapping key that never leaves the token; the token unwraps it
//! for one operation and forgets it. Whoever has the database and its master key has nothing
//! without the token. The store may hold any number of keys, tokens hold few.

use super::key::{Key, KeyError, KeyType, SoftKey};
use crate::crypto::{
    digest::Hash,
    ecb::{Cipher, Direction},
    secret::Secret,
};
use alloc::{sync::Arc, vec::Vec};

use super::code::HashType;

/// By which a wrapping key is found in its token.
pub type Name = [u8; 16];

/// A token with a wrapping key. Calls may take as long as the token does.
pub trait Keeper: Send + Sync {
    /// Whether the token has the wrapping key of this name.
    ///
    /// # Errors
    /// [`KeyError::Communication`] when the token is away, as in all that follows.
    fn has(&self, name: &Name) -> Result<bool, KeyError>;

    /// Makes a wrapping key that never leaves the token.
    ///
    /// # Errors
    /// [`KeyError`].
    fn make(&self, name: &Name) -> Result<(), KeyError>;

    /// Bytes under a wrapping key.
    ///
    /// # Errors
    /// [`KeyError`]; `Failed` when the token has no such key.
    fn wrap(&self, name: &Name, bytes: &Secret) -> Result<Vec<u8>, KeyError>;

    /// The bytes again.
    ///
    /// # Errors
    /// [`KeyError`]; `Failed` also when they were not wrapped by this key.
    fn unwrap(&self, name: &Name, wrapped: &[u8]) -> Result<Secret, KeyError>;

    /// Runs whole blocks through the cipher with a wrapped key, in place and inside the token. A
    /// key of [`Cipher::TripleDes112`] was wrapped as three.
    ///
    /// # Errors
    /// [`KeyError`]; `NotSupported` when the token does not know the cipher.
    fn blocks(
        &self,
        name: &Name,
        wrapped: &[u8],
        cipher: Cipher,
        direction: Direction,
        data: &mut [u8],
    ) -> Result<(), KeyError>;

    /// The signature of a wrapped RSA key over a digest (PKCS#1 v1.5), made inside the token.
    ///
    /// # Errors
    /// [`KeyError`]; `NotSupported` for another hash than SHA-256.
    fn sign_rsa(
        &self,
        name: &Name,
        wrapped: &[u8],
        hash: Hash,
        digest: &[u8],
    ) -> Result<Vec<u8>, KeyError>;
}

/// A key as `DeviceKey::new` takes it, wrapped for the store.
///
/// # Errors
/// [`KeyError`].
pub fn close(
    keeper: &dyn Keeper,
    name: &Name,
    kind: KeyType,
    material: &Secret,
) -> Result<Vec<u8>, KeyError> {
    #[cfg(feature = "openssl")]
    if matches!(kind, KeyType::Rsa1024 | KeyType::Rsa2048) {
        // Tokens take PKCS#8 alone.
        let own = crate::crypto::rsa::RsaPrivate::from_der(material.expose());
        let der = own.and_then(|own| own.to_der());
        return keeper.wrap(name, &der.map_err(|_| KeyError::BadLength)?);
    }
    if kind != KeyType::TripleDes112 {
        return keeper.wrap(name, material);
    }
    // Tokens that know triple DES with two keys at all run it as three.
    let bytes = material.expose();
    let first = bytes.get(..8).ok_or(KeyError::BadLength)?;
    keeper.wrap(name, &Secret::new([bytes, first].concat()))
}

/// The key again, for the one who is to be given it.
///
/// # Errors
/// [`KeyError`].
pub fn open(
    keeper: &dyn Keeper,
    name: &Name,
    kind: KeyType,
    wrapped: &[u8],
) -> Result<Secret, KeyError> {
    let bytes = keeper.unwrap(name, wrapped)?;
    if kind != KeyType::TripleDes112 {
        return Ok(bytes);
    }
    let two = bytes.expose().get(..16).ok_or(KeyError::Failed)?;
    Ok(Secret::new(two.to_vec()))
}

/// A key that is used inside its token.
pub(super) struct KeptKey {
    pub(super) keeper: Arc<dyn Keeper>,
    pub(super) name: Name,
    pub(super) kind: KeyType,
    pub(super) wrapped: Vec<u8>,
}

impl Key for KeptKey {
    fn key_type(&self) -> KeyType {
        self.kind
    }

    fn blocks(&self, direction: Direction, data: &mut [u8]) -> Result<(), KeyError> {
        let cipher = self.kind.cipher().ok_or(KeyError::NotSupported)?;
        let (name, wrapped) = (&self.name, &self.wrapped);
        match self.keeper.blocks(name, wrapped, cipher, direction, data) {
            // SM4, mostly: the token guards the key, and we compute.
            Err(KeyError::NotSupported) => {
                let bytes = open(&*self.keeper, name, self.kind, wrapped)?;
                SoftKey::new(self.kind, bytes.expose())?.blocks(direction, data)
            }
            done => done,
        }
    }

    fn sign(&self, hash: HashType, digest: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        let (name, wrapped) = (&self.name, &self.wrapped);
        let signed = self.keeper.sign_rsa(name, wrapped, hash.hash(), digest)?;
        out.get_mut(..signed.len())
            .ok_or(KeyError::BadLength)?
            .copy_from_slice(&signed);
        Ok(signed.len())
    }
}
