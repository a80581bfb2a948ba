//! What the server computes: it checks codes, proves itself, encrypts for a device.
//!
//! The caller has parsed the code with [`AuthCode::parse`], knows the device's key, and keeps
//! challenges and timestamps; it calls [`DeviceKey::verify`] before it spends one.

use super::{
    EXTRA_MAX, Id,
    code::{AuthCode, HARDENED, HashType, is_device_challenge},
    device::{self, DeviceError, Form, HARDENED_MAX},
    keep::{Keeper, KeptKey, Name},
    key::{self, Key, KeyError, KeyType, SIGNATURE_MAX, SoftKey},
    keyed::{self, KEYED},
};
use crate::crypto::{
    ecb::{self, Direction},
    secret::{Secret, same},
    wrap::NONCE,
};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};

#[cfg(feature = "curves")]
use crate::crypto::curve;
#[cfg(feature = "openssl")]
use crate::crypto::rsa::{RsaPrivate, RsaPublic};

/// Why a device's code is not believed. Freshness is the caller's to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// The hash is not the one of the device's key.
    Hash,
    /// Extra came with a mode that has none, or is longer than [`EXTRA_MAX`].
    Extra,
    /// The signature is not of this key over these words.
    Signature,
    /// The key cannot be used.
    Key(KeyError),
}

/// Why data is not encrypted for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptError {
    /// Empty, longer than [`KeyType::plain_max`], or with control characters.
    Data,
    /// The key cannot be used, or its type cannot decrypt.
    Key(KeyError),
}

/// Why the server cannot prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProveError {
    /// The device's challenge is empty, longer than 128 characters or has one that cannot be.
    Challenge,
    /// The server's extra is longer than [`EXTRA_MAX`].
    Extra,
    /// The key cannot be used; `NotSupported` when the server has the public half alone, or its type
    /// signs differently every time, so that no device could check it.
    Key(KeyError),
}

/// A device's key as the server holds it.
pub struct DeviceKey {
    kind: KeyType,
    /// Absent where the device alone has it.
    own: Option<Box<dyn Key + Send + Sync>>,
    public: Public,
    /// Whether using it asks a token.
    kept: bool,
}

enum Public {
    /// The key is symmetric: the server signs the same and compares.
    Same,
    #[cfg(feature = "openssl")]
    Rsa(RsaPublic),
    #[cfg(feature = "curves")]
    Point(Box<[u8; 65]>),
}

impl DeviceKey {
    /// A key from what the store keeps: the bytes of a symmetric key; of RSA a PKCS#8 private or
    /// `SubjectPublicKeyInfo` public key in DER; of the curves 32 bytes of a private or 65 of a
    /// public key (SEC 1, not compressed).
    ///
    /// # Errors
    /// [`KeyError::BadLength`] when it is no key of this type, [`KeyError::NotSupported`] when this
    /// build has no RSA or no curves.
    pub fn new(kind: KeyType, material: &Secret) -> Result<DeviceKey, KeyError> {
        match kind {
            KeyType::Aes128
            | KeyType::Aes192
            | KeyType::Aes256
            | KeyType::TripleDes112
            | KeyType::TripleDes168
            | KeyType::Sm4 => Ok(DeviceKey {
                kind,
                own: Some(Box::new(SoftKey::new(kind, material.expose())?)),
                public: Public::Same,
                kept: false,
            }),
            KeyType::Rsa1024 | KeyType::Rsa2048 => Self::rsa(kind, material),
            KeyType::P256 | KeyType::Sm2 => Self::point(kind, material),
        }
    }

    /// A key that is used inside a token of the server. `public` is the public half of a key that is
    /// not symmetric, as [`DeviceKey::new`] takes it: checking its codes asks no token.
    ///
    /// # Errors
    /// As [`DeviceKey::new`].
    pub fn kept(
        kind: KeyType,
        keeper: Arc<dyn Keeper>,
        name: Name,
        wrapped: Vec<u8>,
        public: Option<&Secret>,
    ) -> Result<DeviceKey, KeyError> {
        let mut key = match (kind.cipher(), public) {
            (Some(_), _) => DeviceKey {
                kind,
                own: None,
                public: Public::Same,
                kept: true,
            },
            (None, Some(public)) => Self::new(kind, public)?,
            (None, None) => return Err(KeyError::BadLength),
        };
        // A curve's key signs anew every time, so that no device could check the server by it.
        if !matches!(kind, KeyType::P256 | KeyType::Sm2) {
            key.kept = true;
            key.own = Some(Box::new(KeptKey {
                keeper,
                name,
                kind,
                wrapped,
            }));
        }
        Ok(key)
    }

    /// The public half of a private key that is not symmetric, as [`DeviceKey::new`] takes it; none
    /// of a symmetric key, and of what is a public half already.
    ///
    /// # Errors
    /// [`KeyError::BadLength`] when it is no key of this type.
    pub fn public_half(kind: KeyType, material: &Secret) -> Result<Option<Secret>, KeyError> {
        let key = DeviceKey::new(kind, material)?;
        Ok(match key.public {
            Public::Same => None,
            #[cfg(feature = "openssl")]
            Public::Rsa(_) => RsaPrivate::from_der(material.expose())
                .and_then(|own| own.public_der())
                .ok()
                .map(Secret::new),
            #[cfg(feature = "curves")]
            Public::Point(point) => {
                let private = material.expose().len() == curve::PRIVATE;
                private.then(|| Secret::new(point.to_vec()))
            }
        })
    }

    /// Whether using it may ask a token, and so takes its time.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    #[cfg(feature = "openssl")]
    fn rsa(kind: KeyType, material: &Secret) -> Result<DeviceKey, KeyError> {
        let (own, public) = match RsaPublic::from_der(material.expose()) {
            Ok(public) => (None, public),
            Err(_) => {
                let private = RsaPrivate::from_der(material.expose());
                let private = private.map_err(|_| KeyError::BadLength)?;
                let public = private.public().map_err(|_| KeyError::Failed)?;
                let own: Box<dyn Key + Send + Sync> = Box::new(key::RsaKey::new(kind, private)?);
                (Some(own), public)
            }
        };
        if public.size() != kind.signature_len() {
            return Err(KeyError::BadLength);
        }
        Ok(DeviceKey {
            kind,
            own,
            public: Public::Rsa(public),
            kept: false,
        })
    }

    #[cfg(not(feature = "openssl"))]
    fn rsa(_: KeyType, _: &Secret) -> Result<DeviceKey, KeyError> {
        Err(KeyError::NotSupported)
    }

    #[cfg(feature = "curves")]
    fn point(kind: KeyType, material: &Secret) -> Result<DeviceKey, KeyError> {
        let bytes = material.expose();
        let point: [u8; 65] = match (bytes.len(), kind) {
            (65, _) => bytes.try_into().map_err(|_| KeyError::BadLength)?,
            (curve::PRIVATE, KeyType::Sm2) => {
                curve::sm2_public(bytes).map_err(|_| KeyError::BadLength)?
            }
            (curve::PRIVATE, _) => curve::p256_public(bytes).map_err(|_| KeyError::BadLength)?,
            _ => return Err(KeyError::BadLength),
        };
        let none = [1; curve::SIGNATURE];
        match kind {
            KeyType::Sm2 => curve::sm2_verifies(&point, &[0; 32], &none),
            _ => curve::p256_verifies(&point, &[0; 32], &none),
        }
        .map_err(|_| KeyError::BadLength)?;
        Ok(DeviceKey {
            kind,
            own: None,
            public: Public::Point(Box::new(point)),
            kept: false,
        })
    }

    #[cfg(not(feature = "curves"))]
    fn point(_: KeyType, _: &Secret) -> Result<DeviceKey, KeyError> {
        Err(KeyError::NotSupported)
    }

    /// The kind of the key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.kind
    }

    /// Whether a text is of the form "99", which [`DeviceKey::unharden`] unwraps.
    #[must_use]
    pub fn is_hardened(text: &str) -> bool {
        text.starts_with(HARDENED)
    }

    /// The code inside the keyed form, which [`DeviceKey::verify_keyed`] judges; none when it is of
    /// another form.
    #[must_use]
    pub fn unkeyed(text: &str) -> Option<&str> {
        text.strip_prefix(KEYED)
    }

    /// As [`DeviceKey::verify`], of a code that stood inside the keyed form.
    ///
    /// # Errors
    /// [`VerifyError`]; `Key(NotSupported)` for keys that have no such form.
    pub fn verify_keyed(
        &self,
        id: &Id,
        code: &AuthCode<'_>,
        extra: Option<&[u8]>,
    ) -> Result<(), VerifyError> {
        if (extra.is_some() && !code.mode.has_extra())
            || extra.is_some_and(|extra| extra.len() > EXTRA_MAX)
        {
            return Err(VerifyError::Extra);
        }
        if code.hash != HashType::Sha256 {
            return Err(VerifyError::Hash);
        }
        let own = self.symmetric().map_err(VerifyError::Key)?;
        let parts = [
            &[code.mode.digit()][..],
            id.as_bytes(),
            code.random.as_bytes(),
            code.freshness.as_bytes(),
            extra.unwrap_or_default(),
        ];
        let proof = keyed::proof(own, keyed::Use::Device, parts).map_err(VerifyError::Key)?;
        match same(&proof, code.signature.as_bytes()) {
            true => Ok(()),
            false => Err(VerifyError::Signature),
        }
    }

    fn symmetric(&self) -> Result<&(dyn Key + Send + Sync), KeyError> {
        let own = self.own.as_deref().ok_or(KeyError::NotSupported)?;
        self.kind.cipher().ok_or(KeyError::NotSupported)?;
        Ok(own)
    }

    /// The code inside the form "99" (wire §2.3). Whoever sent such a code is answered in the same
    /// form.
    ///
    /// # Errors
    /// [`KeyError::NotSupported`] for keys that have no such form, else [`KeyError::BadCipher`].
    pub fn unharden(&self, text: &str) -> Result<String, KeyError> {
        let own = self.own.as_deref().ok_or(KeyError::NotSupported)?;
        let mut room = [0; HARDENED_MAX];
        match device::unharden(own, text, &mut room) {
            Ok(inner) => Ok(inner.into()),
            Err(DeviceError::Key(error)) => Err(error),
            Err(_) => Err(KeyError::BadCipher),
        }
    }

    /// Whether a code was made by the device `id` with this key, over `extra`.
    ///
    /// An absent extra stands for an empty one where the mode has an extra, because devices may
    /// pass an empty one. `legacy` lets RSA devices with old secure elements hash with MD5 or SHA-1
    /// (wire §1.3).
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(
        &self,
        id: &Id,
        code: &AuthCode<'_>,
        extra: Option<&[u8]>,
        legacy: bool,
    ) -> Result<(), VerifyError> {
        if (extra.is_some() && !code.mode.has_extra())
            || extra.is_some_and(|extra| extra.len() > EXTRA_MAX)
        {
            return Err(VerifyError::Extra);
        }
        let is_rsa = matches!(self.kind, KeyType::Rsa1024 | KeyType::Rsa2048);
        let old = matches!(code.hash, HashType::Md5 | HashType::Sha1);
        if code.hash != self.kind.hash() && !(legacy && is_rsa && old) {
            return Err(VerifyError::Hash);
        }
        let parts = [
            id.as_bytes(),
            code.random.as_bytes(),
            code.freshness.as_bytes(),
            extra.unwrap_or_default(),
        ];
        let given = code.signature.as_bytes();
        let good = match &self.public {
            Public::Same => {
                let own = self
                    .own
                    .as_deref()
                    .ok_or(VerifyError::Key(KeyError::Failed))?;
                let mut room = [0; SIGNATURE_MAX];
                let len = key::signature(own, parts, &mut room).map_err(VerifyError::Key)?;
                same(&room[..len], given)
            }
            #[cfg(feature = "openssl")]
            Public::Rsa(public) => {
                let hash = code.hash.hash();
                public.verifies(hash, hash.of(&parts).as_bytes(), given)
            }
            #[cfg(feature = "curves")]
            Public::Point(point) => {
                let [a, b, c, d] = parts;
                let failed = |_| VerifyError::Key(KeyError::Failed);
                let hash = code.hash.hash();
                if self.kind == KeyType::Sm2 {
                    let z = curve::sm2_z(&**point).map_err(failed)?;
                    let digest = hash.of(&[&z, a, b, c, d]);
                    curve::sm2_verifies(&**point, digest.as_bytes(), given).map_err(failed)?
                } else {
                    let digest = hash.of(&parts);
                    curve::p256_verifies(&**point, digest.as_bytes(), given).map_err(failed)?
                }
            }
        };
        if good {
            Ok(())
        } else {
            Err(VerifyError::Signature)
        }
    }

    /// The server's code to this device (wire §3). Its hash is the key's; a device refuses another.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn server_code(
        &self,
        id: &Id,
        form: Form,
        challenge: &str,
        extra: Option<&[u8]>,
    ) -> Result<String, ProveError> {
        if !is_device_challenge(challenge.as_bytes()) {
            return Err(ProveError::Challenge);
        }
        if extra.is_some_and(|extra| extra.len() > EXTRA_MAX) {
            return Err(ProveError::Extra);
        }
        if form == Form::Keyed {
            let own = self.symmetric().map_err(ProveError::Key)?;
            let proof = keyed::server_proof(own, id, challenge.as_bytes(), extra);
            let proof = STANDARD.encode(proof.map_err(ProveError::Key)?);
            let mode = if extra.is_some() { 11 } else { 10 };
            return Ok(format!("{KEYED}{mode}~2~{challenge}~{proof}"));
        }
        let own = self
            .own
            .as_deref()
            .ok_or(ProveError::Key(KeyError::NotSupported))?;
        let mut room = [0; SIGNATURE_MAX];
        let len = key::signature(
            own,
            [
                id.inverse().as_bytes(),
                challenge.as_bytes(),
                extra.unwrap_or_default(),
                &[],
            ],
            &mut room,
        )
        .map_err(ProveError::Key)?;
        let code = format!(
            "{}~{}~{challenge}~{}",
            if extra.is_some() { 11 } else { 10 },
            char::from(self.kind.hash().digit()),
            STANDARD.encode(&room[..len])
        );
        match form {
            Form::Plain | Form::Keyed => Ok(code),
            Form::Hardened => {
                let len = code.len();
                let mut inner = code.into_bytes();
                inner.resize(len + 16, 0);
                let mut out = vec![0; HARDENED.len() + (inner.len() / 3 + 1) * 4];
                let len = device::harden(own, &mut inner, len, &mut out).map_err(|error| {
                    ProveError::Key(match error {
                        DeviceError::Key(error) => error,
                        _ => KeyError::Failed,
                    })
                })?;
                out.truncate(len);
                String::from_utf8(out).map_err(|_| ProveError::Key(KeyError::Failed))
            }
        }
    }

    /// `data` encrypted for this device alone (wire §4), as it stands under the base64. Text with
    /// control characters is refused: whoever may have chosen bytes encrypted could have a
    /// signature made. `random` is for SM2, and used for nothing else.
    ///
    /// # Errors
    /// [`EncryptError`].
    pub fn encrypt(&self, data: &str, random: &[u8; 64]) -> Result<Vec<u8>, EncryptError> {
        let most = self
            .kind
            .plain_max()
            .ok_or(EncryptError::Key(KeyError::NotSupported))?;
        if !(1..=most).contains(&data.len()) || data.chars().any(char::is_control) {
            return Err(EncryptError::Data);
        }
        self.encrypt_bytes(data.as_bytes(), random)
            .map_err(EncryptError::Key)
    }

    /// As [`DeviceKey::encrypt`], in the keyed form: nonce, cipher text and tag. `nonce` is random,
    /// and used for nothing else.
    ///
    /// # Errors
    /// [`EncryptError`].
    pub fn encrypt_keyed(
        &self,
        id: &Id,
        data: &str,
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, EncryptError> {
        if !(1..=keyed::PLAIN_MAX).contains(&data.len()) || data.chars().any(char::is_control) {
            return Err(EncryptError::Data);
        }
        self.encrypt_bytes_keyed(id, data.as_bytes(), nonce)
            .map_err(EncryptError::Key)
    }

    /// As [`DeviceKey::encrypt_keyed`], for bytes that the server itself chose.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn encrypt_bytes_keyed(
        &self,
        id: &Id,
        data: &[u8],
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, KeyError> {
        if data.len() > keyed::PLAIN_MAX {
            return Err(KeyError::BadLength);
        }
        let own = self.symmetric()?;
        let mut text = data.to_vec();
        let tag = keyed::seal(own, id, nonce, &mut text)?;
        Ok([&nonce[..], &text, &tag].concat())
    }

    /// As [`DeviceKey::encrypt`], for bytes that the server itself chose, such as a session key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn encrypt_bytes(&self, data: &[u8], random: &[u8; 64]) -> Result<Vec<u8>, KeyError> {
        // Only SM2 wants it, which a build may be without.
        let _ = random;
        let most = self.kind.plain_max().ok_or(KeyError::NotSupported)?;
        if data.len() > most {
            return Err(KeyError::BadLength);
        }
        match &self.public {
            Public::Same => {
                let own = self.own.as_deref().ok_or(KeyError::Failed)?;
                let cipher = self.kind.cipher().ok_or(KeyError::Failed)?;
                let mut out = vec![0; cipher.padded(data.len())];
                out[..data.len()].copy_from_slice(data);
                ecb::pad(cipher.block(), &mut out, data.len())?;
                own.blocks(Direction::Encrypt, &mut out)?;
                Ok(out)
            }
            #[cfg(feature = "openssl")]
            Public::Rsa(public) => public.encrypt(data).map_err(|_| KeyError::Failed),
            #[cfg(feature = "curves")]
            Public::Point(point) => {
                curve::sm2_encrypt(&**point, data, random).map_err(|_| KeyError::Failed)
            }
        }
    }
}

#[cfg(test)]
mod tests;
