//! A carrier behind PKCS#11 (version 2.40): a secure element, a smart card or a hardware module.
//!
//! The device's key is an object of the token whose label is `id2_key` and whose `CKA_ID` is the
//! identity's 24 characters: a secret key of AES or triple DES with `CKA_ENCRYPT` and `CKA_DECRYPT`,
//! or a private key of RSA or P-256. It may have been made at the token's maker; [`KeyHolder::install`]
//! makes one of a symmetric key that never leaves the token again. Keys that we install are named
//! `id2_key#<count>#<type>`, and the one with the highest count is in force, because PKCS#11 cannot
//! replace an object: a power cut between making the new one and removing the old leaves both.

use crate::holder::KeyHolder;
use credential::{
    crypto::{ecb::Direction, wrap::NONCE},
    id2::{HashType, Id, Key, KeyError, KeyType, SoftKey},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType as TokenKey, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use std::{format, path::Path, string::String, vec, vec::Vec};

/// What an object's label begins with.
pub const LABEL: &str = "id2_key";

/// The object identifier of P-256 (`prime256v1`) in DER, as `CKA_EC_PARAMS` has it.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// `DigestInfo` of SHA-256 up to the digest (RFC 8017 section 9.2, note 1).
const SHA256_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A carrier behind PKCS#11, logged in.
pub struct Token {
    // Dropped first: a session ends before its library does.
    session: Session,
    _library: Pkcs11,
}

impl Token {
    /// Opens the token with that label and logs in as its user.
    ///
    /// # Errors
    /// [`KeyError::Communication`] when library or token are not there, [`KeyError::Failed`] when the
    /// PIN is refused.
    pub fn open(library: &Path, label: &str, pin: &str) -> Result<Token, KeyError> {
        let library = Pkcs11::new(library).map_err(|_| KeyError::Communication)?;
        let flags = CInitializeFlags::OS_LOCKING_OK;
        match library.initialize(CInitializeArgs::new(flags)) {
            Ok(()) => {}
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(told(&error)),
        }
        let slots = library
            .get_slots_with_token()
            .map_err(|error| told(&error))?;
        let slot = slots.into_iter().find(|slot| {
            library
                .get_token_info(*slot)
                .is_ok_and(|info| info.label() == label)
        });
        let session = library
            .open_rw_session(slot.ok_or(KeyError::Communication)?)
            .map_err(|error| told(&error))?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Token {
                session,
                _library: library,
            }),
            Err(error) => Err(told(&error)),
        }
    }

    /// All keys of ours, the one in force last.
    fn keys(&self) -> Result<Vec<Found>, KeyError> {
        let mut found = Vec::new();
        for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
            let template = [Attribute::Class(class), Attribute::Token(true)];
            let objects = self.session.find_objects(&template);
            for object in objects.map_err(|error| told(&error))? {
                found.extend(self.found(object)?);
            }
        }
        found.sort_by_key(|found| found.count);
        Ok(found)
    }

    /// What an object is; `None` when it is not an identity's key.
    fn found(&self, object: ObjectHandle) -> Result<Option<Found>, KeyError> {
        let wanted = [
            AttributeType::Label,
            AttributeType::Id,
            AttributeType::KeyType,
        ];
        let mut label = String::new();
        let mut id = None;
        let mut kind = None;
        for attribute in self.attributes(object, &wanted)? {
            match attribute {
                Attribute::Label(bytes) => label = String::from_utf8(bytes).unwrap_or_default(),
                Attribute::Id(bytes) => id = Id::parse(&bytes),
                Attribute::KeyType(of_token) => kind = Some(of_token),
                _ => {}
            }
        }
        let Some(rest) = label.strip_prefix(LABEL) else {
            return Ok(None);
        };
        let (count, named) = match rest.strip_prefix('#').map(|rest| rest.split_once('#')) {
            None if rest.is_empty() => (0, None),
            Some(Some((count, name))) => match count.parse::<u32>() {
                Ok(count) => (count, KeyType::parse(name)),
                Err(_) => return Ok(None),
            },
            _ => return Ok(None),
        };
        let (Some(id), Some(of_token)) = (id, kind) else {
            return Ok(None);
        };
        let kind = match named {
            Some(kind) => Some(kind),
            None => self.kind(object, of_token)?,
        };
        Ok(kind.map(|kind| Found {
            object,
            count,
            id,
            kind,
        }))
    }

    /// The kind of a key that others made.
    fn kind(&self, object: ObjectHandle, of_token: TokenKey) -> Result<Option<KeyType>, KeyError> {
        if of_token == TokenKey::DES2 {
            return Ok(Some(KeyType::TripleDes112));
        }
        if of_token == TokenKey::DES3 {
            return Ok(Some(KeyType::TripleDes168));
        }
        let wanted = if of_token == TokenKey::AES {
            AttributeType::ValueLen
        } else if of_token == TokenKey::RSA {
            AttributeType::Modulus
        } else if of_token == TokenKey::EC {
            AttributeType::EcParams
        } else {
            return Ok(None);
        };
        let read = self.attributes(object, &[wanted])?;
        Ok(read.first().and_then(|attribute| match attribute {
            Attribute::ValueLen(len) => match **len {
                16 => Some(KeyType::Aes128),
                24 => Some(KeyType::Aes192),
                32 => Some(KeyType::Aes256),
                _ => None,
            },
            Attribute::Modulus(modulus) => match modulus.len() {
                128 => Some(KeyType::Rsa1024),
                256 => Some(KeyType::Rsa2048),
                _ => None,
            },
            Attribute::EcParams(curve) if curve == P256 => Some(KeyType::P256),
            _ => None,
        }))
    }

    fn attributes(
        &self,
        object: ObjectHandle,
        wanted: &[AttributeType],
    ) -> Result<Vec<Attribute>, KeyError> {
        self.session
            .get_attributes(object, wanted)
            .map_err(|error| told(&error))
    }
}

struct Found {
    object: ObjectHandle,
    count: u32,
    id: Id,
    kind: KeyType,
}

/// A key that stays in its token.
pub struct TokenHeld<'a> {
    session: &'a Session,
    object: ObjectHandle,
    kind: KeyType,
}

impl KeyHolder for Token {
    type Key<'a> = TokenHeld<'a>;

    fn open(&mut self) -> Result<Option<(Id, TokenHeld<'_>)>, KeyError> {
        Ok(self.keys()?.pop().map(|found| {
            let held = TokenHeld {
                session: &self.session,
                object: found.object,
                kind: found.kind,
            };
            (found.id, held)
        }))
    }

    fn install(&mut self, id: &Id, key: &SoftKey, _: &[u8; NONCE]) -> Result<(), KeyError> {
        let kind = key.key_type();
        let mut value = zeroize::Zeroizing::new(key.expose().to_vec());
        let of_token = match kind {
            KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 => TokenKey::AES,
            KeyType::TripleDes168 => TokenKey::DES3,
            KeyType::TripleDes112 => {
                // Tokens that know two-key triple DES at all run it as three keys.
                let first = zeroize::Zeroizing::new(value[..8].to_vec());
                value.extend_from_slice(&first);
                TokenKey::DES3
            }
            KeyType::Sm4 | KeyType::Rsa1024 | KeyType::Rsa2048 | KeyType::P256 | KeyType::Sm2 => {
                return Err(KeyError::NotSupported);
            }
        };
        let before = self.keys()?;
        let count = before.last().map_or(0, |found| found.count);
        let count = count.checked_add(1).ok_or(KeyError::Failed)?;
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(of_token),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Label(format!("{LABEL}#{count}#{}", kind.name()).into_bytes()),
            Attribute::Id(id.as_bytes().to_vec()),
            Attribute::Value(value.to_vec()),
        ];
        let made = self.session.create_object(&template);
        for attribute in template {
            if let Attribute::Value(bytes) = attribute {
                drop(zeroize::Zeroizing::new(bytes));
            }
        }
        made.map_err(|error| told(&error))?;
        for found in before {
            self.session
                .destroy_object(found.object)
                .map_err(|error| told(&error))?;
        }
        Ok(())
    }
}

impl Key for TokenHeld<'_> {
    fn key_type(&self) -> KeyType {
        self.kind
    }

    fn blocks(&self, direction: Direction, data: &mut [u8]) -> Result<(), KeyError> {
        let mechanism = match self.kind {
            KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 => Mechanism::AesEcb,
            KeyType::TripleDes112 | KeyType::TripleDes168 => Mechanism::Des3Ecb,
            KeyType::Sm4 | KeyType::Rsa1024 | KeyType::Rsa2048 | KeyType::P256 | KeyType::Sm2 => {
                return Err(KeyError::NotSupported);
            }
        };
        // Tokens refuse to do nothing.
        if data.is_empty() {
            return Ok(());
        }
        let done = match direction {
            Direction::Encrypt => self.session.encrypt(&mechanism, self.object, data),
            Direction::Decrypt => self.session.decrypt(&mechanism, self.object, data),
        };
        let done = zeroize::Zeroizing::new(done.map_err(|error| told(&error))?);
        if done.len() != data.len() {
            return Err(KeyError::Failed);
        }
        data.copy_from_slice(&done);
        Ok(())
    }

    fn sign(&self, hash: HashType, digest: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        let (mechanism, message) = match self.kind {
            KeyType::Rsa1024 | KeyType::Rsa2048 if hash == HashType::Sha256 => {
                let mut info = vec![0; SHA256_INFO.len()];
                info.copy_from_slice(SHA256_INFO);
                info.extend_from_slice(digest);
                (Mechanism::RsaPkcs, info)
            }
            KeyType::P256 => (Mechanism::Ecdsa, digest.to_vec()),
            _ => return Err(KeyError::NotSupported),
        };
        let signature = self
            .session
            .sign(&mechanism, self.object, &message)
            .map_err(|error| told(&error))?;
        out.get_mut(..signature.len())
            .ok_or(KeyError::BadLength)?
            .copy_from_slice(&signature);
        Ok(signature.len())
    }

    fn open(&self, data: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        if !matches!(self.kind, KeyType::Rsa1024 | KeyType::Rsa2048) {
            return Err(KeyError::NotSupported);
        }
        let plain = self.session.decrypt(&Mechanism::RsaPkcs, self.object, data);
        let plain = zeroize::Zeroizing::new(plain.map_err(|error| match told(&error) {
            KeyError::Communication => KeyError::Communication,
            _ => KeyError::BadCipher,
        })?);
        out.get_mut(..plain.len())
            .ok_or(KeyError::BadLength)?
            .copy_from_slice(&plain);
        Ok(plain.len())
    }
}

/// Whether the token is away, or said no.
fn told(error: &Error) -> KeyError {
    match error {
        Error::Pkcs11(
            RvError::DeviceRemoved
            | RvError::DeviceError
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::SlotIdInvalid,
            _,
        ) => KeyError::Communication,
        Error::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _) => {
            KeyError::NotSupported
        }
        Error::Pkcs11(RvError::DataLenRange | RvError::EncryptedDataLenRange, _) => {
            KeyError::BadLength
        }
        _ => KeyError::Failed,
    }
}
