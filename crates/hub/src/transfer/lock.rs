//! What secrets are closed with in a file.

use super::line::Closing;
use credential::{
    Secret,
    crypto::{
        digest::Hash,
        hmac::hmac,
        seal::{self, KEY_LEN, NONCE_LEN, SealKey},
        secret::same,
        stretch::stretch,
    },
};
use model::{error::Fault, port::Random};

/// Rounds of PBKDF2 for a passphrase.
const ROUNDS: u32 = 600_000;
/// A file may ask for no more than this, so that a strange one does not keep us busy for hours.
const ROUNDS_MOST: u32 = 10_000_000;
/// The id that envelopes of a file bear.
const KEY_ID: u32 = 1;
/// What is closed in the head, to see whether the key is the one.
const PROBE: &[u8] = b"muster";

/// Why a file's secrets cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The key of the file is not the one that was given.
    #[error("the passphrase or the key is not the one that the file was closed with")]
    OtherKey,
    /// The file wants one and none was given, or the other way round.
    #[error("{0}")]
    OtherKind(&'static str),
    /// What was given cannot be a key.
    #[error("{0}")]
    BadKey(&'static str),
}

/// A key for the secrets in a file, or none when they stand there in clear.
pub struct Lock {
    key: Option<SealKey>,
    /// For the seal over the lines; all know it when secrets are in clear.
    mark: Secret,
    closing: Closing,
}

impl Lock {
    /// Leaves secrets in clear: whoever reads the file has them.
    pub fn open() -> Self {
        Self {
            key: None,
            mark: Secret::new(b"muster export".to_vec()),
            closing: Closing::Open,
        }
    }

    /// Closes secrets with a passphrase, which is stretched first. Takes a second of work.
    ///
    /// # Errors
    /// `BadKey` when it is shorter than eight bytes.
    pub fn with_passphrase(passphrase: &Secret, random: &dyn Random) -> Result<Self, LockError> {
        if passphrase.expose().len() < 8 {
            return Err(LockError::BadKey("a passphrase has at least 8 characters"));
        }
        let mut salt = [0; 16];
        random.fill(&mut salt);
        let key = stretch(passphrase, &salt, ROUNDS);
        let closing = |probe| Closing::Passphrase {
            salt: salt.to_vec(),
            rounds: ROUNDS,
            probe,
        };
        Self::with(key, random, closing)
    }

    /// Closes secrets with a key of 32 bytes.
    ///
    /// # Errors
    /// `BadKey` when it has another length.
    pub fn with_key(key: Secret, random: &dyn Random) -> Result<Self, LockError> {
        Self::with(key, random, |probe| Closing::Key { probe })
    }

    fn with(
        key: Secret,
        random: &dyn Random,
        closing: impl FnOnce(Vec<u8>) -> Closing,
    ) -> Result<Self, LockError> {
        let mut lock = Self::of(key, Closing::Open)?;
        let probe = lock.close("probe", &Secret::new(PROBE.to_vec()), random);
        lock.closing = closing(probe.map_err(|_| BAD_LENGTH)?);
        Ok(lock)
    }

    fn of(key: Secret, closing: Closing) -> Result<Self, LockError> {
        if key.expose().len() != KEY_LEN {
            return Err(BAD_LENGTH);
        }
        let mark = Secret::new(hmac(Hash::Sha256, &key, b"muster export: lines"));
        Ok(Self {
            key: Some(SealKey::new(KEY_ID, key).map_err(|_| BAD_LENGTH)?),
            mark,
            closing,
        })
    }

    /// The lock of a file, opened with what the caller has: a passphrase, a key, or nothing.
    pub(super) fn again(
        closing: &Closing,
        passphrase: Option<&Secret>,
        key: Option<Secret>,
    ) -> Result<Self, LockError> {
        let (key, probe) = match (closing, passphrase, key) {
            (Closing::Open, None, None) => return Ok(Self::open()),
            (
                Closing::Passphrase {
                    salt,
                    rounds,
                    probe,
                },
                Some(passphrase),
                None,
            ) => {
                if *rounds > ROUNDS_MOST {
                    return Err(LockError::BadKey("the file asks for too many rounds"));
                }
                (stretch(passphrase, salt, *rounds), probe)
            }
            (Closing::Key { probe }, None, Some(key)) => (key, probe),
            (Closing::Open, ..) => {
                return Err(LockError::OtherKind("the secrets in the file are in clear"));
            }
            (Closing::Passphrase { .. }, ..) => {
                return Err(LockError::OtherKind(
                    "the file was closed with a passphrase",
                ));
            }
            (Closing::Key { .. }, ..) => {
                return Err(LockError::OtherKind("the file was closed with a key file"));
            }
        };
        let lock = Self::of(key, closing.clone())?;
        match lock.reveal("probe", probe) {
            Ok(found) if same(found.expose(), PROBE) => Ok(lock),
            Ok(_) | Err(_) => Err(LockError::OtherKey),
        }
    }

    pub(super) fn closing(&self) -> &Closing {
        &self.closing
    }

    /// What stands in the file for a secret of `owner`.
    pub(super) fn close(
        &self,
        owner: &str,
        secret: &Secret,
        random: &dyn Random,
    ) -> Result<Vec<u8>, Fault> {
        let Some(key) = &self.key else {
            return Ok(secret.expose().to_vec());
        };
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        seal::seal(key, nonce, owner.as_bytes(), secret)
            .map_err(|error| Fault::lasting(format!("closing the secret of {owner}: {error}")))
    }

    /// The secret that stands in the file.
    pub(super) fn reveal(&self, owner: &str, text: &[u8]) -> Result<Secret, Fault> {
        let Some(key) = &self.key else {
            return Ok(Secret::new(text.to_vec()));
        };
        seal::open(key, owner.as_bytes(), text)
            .map_err(|error| Fault::lasting(format!("opening the secret of {owner}: {error}")))
    }

    /// The seal over a line and all before it.
    pub(super) fn mark(&self, before: &[u8], line: &[u8]) -> Vec<u8> {
        hmac(Hash::Sha256, &self.mark, &[before, line].concat())
    }
}

const BAD_LENGTH: LockError = LockError::BadKey("a key has 32 bytes, written as 64 hex digits");
