//! A PKCS#11 token (version 2.40) in which keys of identities are used: a hardware module, or what
//! stands in for one.
//!
//! The token has one AES-256 key of ours, labelled `muster-id2`, that never leaves it. Keys of
//! identities come wrapped (`CKM_AES_KEY_WRAP_PAD`, RFC 5649), are unwrapped to objects of the
//! session, used once and destroyed. Sessions are lent one by one; when the token is away, all that
//! was opened is given up, and who asks next opens it anew, not more often than once a second.

use crate::config::Pkcs11;
use credential::{
    Secret,
    crypto::{
        digest::Hash,
        ecb::{Cipher, Direction},
    },
    id2::{
        KeyError,
        keep::{Keeper, Name},
    },
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Library},
    error::{Error, RvError},
    mechanism::{Mechanism, MechanismType},
    object::{Attribute, AttributeType, KeyType as TokenKey, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// What the wrapping key is called in the token.
const LABEL: &[u8] = b"muster-id2";
/// Sessions that are open at once.
const SESSIONS: usize = 8;
/// How long one waits for a session.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after an attempt to open the token the next one is made.
const PAUSE: Duration = Duration::from_secs(1);
/// `DigestInfo` of SHA-256 up to the digest (RFC 8017 section 9.2, note 1).
const SHA256_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Why a token cannot be opened; each says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// The library.
    #[error("the library {} cannot be loaded: {why}", path.display())]
    Library {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No token has the label.
    #[error("there is no token {0:?}")]
    NoToken(String),
    /// The file of the PIN.
    #[error("the PIN file {}: {why}", path.display())]
    PinFile {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The PIN is not the token's. It is not tried again before the file says another.
    #[error("the token refuses the PIN")]
    Pin,
    /// The token cannot do what is needed.
    #[error("the token knows no CKM_AES_KEY_WRAP_PAD")]
    Mechanism,
    /// It was tried a moment ago, or is busy.
    #[error("the token does not answer")]
    Away,
    /// Anything else that it says.
    #[error("the token says: {0}")]
    Says(String),
}

/// Where a token is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    library: PathBuf,
    label: String,
    pin: PathBuf,
}

impl Place {
    /// The place that a configuration names; none when it names none.
    pub(crate) fn of(config: &Pkcs11) -> Option<Self> {
        Some(Self {
            library: config.module.clone()?,
            label: config.token.clone()?,
            pin: config.pin_file.clone()?,
        })
    }
}

/// A token, opened when it is first asked.
pub(crate) struct Token {
    place: Place,
    state: Mutex<State>,
    /// A session was given back.
    free: Condvar,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    idle: Vec<Session>,
    /// Sessions that are lent.
    out: usize,
    /// Nothing that is open is of use any more.
    stale: bool,
    tried: Option<Instant>,
    /// The digest of a PIN that was refused: tokens lock after a few.
    refused: Option<String>,
    keys: HashMap<Name, ObjectHandle>,
}

struct Open {
    library: Library,
    slot: Slot,
}

/// How an operation failed.
enum Trouble {
    /// The token, or the way to it: what is open is given up.
    Away(Error),
    /// It has no wrapping key of that name.
    NoKey,
    /// It said no for good.
    No(KeyError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        use RvError as Rv;
        match &error {
            Error::Pkcs11(
                Rv::MechanismInvalid
                | Rv::MechanismParamInvalid
                | Rv::FunctionNotSupported
                | Rv::KeyTypeInconsistent
                | Rv::KeySizeRange,
                _,
            )
            | Error::NotSupported
            | Error::NullFunctionPointer => Self::No(KeyError::NotSupported),
            Error::Pkcs11(
                Rv::WrappedKeyInvalid
                | Rv::WrappedKeyLenRange
                | Rv::DataLenRange
                | Rv::DataInvalid
                | Rv::EncryptedDataLenRange
                | Rv::EncryptedDataInvalid
                | Rv::TemplateInconsistent
                | Rv::TemplateIncomplete
                | Rv::AttributeValueInvalid
                | Rv::AttributeTypeInvalid
                | Rv::AttributeSensitive
                | Rv::KeyFunctionNotPermitted
                | Rv::KeyUnextractable
                | Rv::KeyNotWrappable,
                _,
            ) => {
                tracing::error!(%error, "the token refuses");
                Self::No(KeyError::Failed)
            }
            _ => Self::Away(error),
        }
    }
}

impl Token {
    /// A token that is opened when it is first asked.
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            state: Mutex::default(),
            free: Condvar::new(),
        }
    }

    /// Opens it now, to see whether that works.
    pub(crate) fn probe(&self) -> Result<(), TokenError> {
        let session = self.take()?;
        self.give(session);
        Ok(())
    }

    /// Does something with a session and the wrapping key of that name; once more with all anew when
    /// the token was away, which one that was unplugged and is back needs.
    fn with<T>(
        &self,
        name: &Name,
        work: impl Fn(&Session, ObjectHandle) -> Result<T, Trouble>,
    ) -> Result<T, KeyError> {
        self.session(|session| match self.key(session, name)? {
            Some(key) => work(session, key),
            None => Err(Trouble::NoKey),
        })
    }

    fn session<T>(&self, work: impl Fn(&Session) -> Result<T, Trouble>) -> Result<T, KeyError> {
        let mut last = None;
        for _ in 0..2 {
            let session = match self.take() {
                Ok(session) => session,
                Err(error) => {
                    if error != TokenError::Away {
                        tracing::error!(%error, "keys of identities cannot be used");
                    }
                    return Err(last.unwrap_or(KeyError::Communication));
                }
            };
            let trouble = match work(&session) {
                Ok(done) => {
                    self.give(session);
                    return Ok(done);
                }
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::No(error) => {
                    self.give(session);
                    return Err(error);
                }
                Trouble::NoKey if self.is_fresh() => {
                    tracing::error!("the token has not the wrapping key");
                    self.give(session);
                    return Err(KeyError::Failed);
                }
                // As a token looks that was taken out, too.
                Trouble::NoKey => last = Some(KeyError::Failed),
                Trouble::Away(error) => {
                    tracing::error!(%error, "the token is away");
                    last = Some(KeyError::Communication);
                }
            }
            self.abandon(session);
        }
        Err(last.unwrap_or(KeyError::Communication))
    }

    /// Whether what is open was opened a moment ago.
    fn is_fresh(&self) -> bool {
        let tried = self.state.lock().tried;
        tried.is_some_and(|tried| tried.elapsed() < PAUSE)
    }

    /// The wrapping key of that name.
    fn key(&self, session: &Session, name: &Name) -> Result<Option<ObjectHandle>, Error> {
        if let Some(key) = self.state.lock().keys.get(name) {
            return Ok(Some(*key));
        }
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Label(LABEL.to_vec()),
            Attribute::Id(name.to_vec()),
        ];
        let found = session.find_objects(&template)?.first().copied();
        if let Some(key) = found {
            self.state.lock().keys.insert(*name, key);
        }
        Ok(found)
    }

    fn take(&self) -> Result<Session, TokenError> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state.try_lock_for(PATIENCE).ok_or(TokenError::Away)?;
        loop {
            if state.stale {
                state.idle.clear();
                state.keys.clear();
                if state.out == 0 {
                    state.close();
                }
            }
            if !state.stale {
                self.opened(&mut state)?;
                if let Some(session) = state.idle.pop() {
                    state.out += 1;
                    return Ok(session);
                }
                if state.out < SESSIONS
                    && let Some(open) = &state.open
                {
                    match open.library.open_rw_session(open.slot) {
                        Ok(session) => {
                            state.out += 1;
                            return Ok(session);
                        }
                        Err(error) => {
                            state.stale = true;
                            return Err(TokenError::Says(error.to_string()));
                        }
                    }
                }
            }
            if self.free.wait_until(&mut state, until).timed_out() {
                return Err(TokenError::Away);
            }
        }
    }

    /// Opens library and token when they are not, with one session.
    fn opened(&self, state: &mut MutexGuard<'_, State>) -> Result<(), TokenError> {
        if state.open.is_some() {
            return Ok(());
        }
        if state.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return Err(TokenError::Away);
        }
        state.tried = Some(Instant::now());
        let says = |error: Error| TokenError::Says(error.to_string());
        let broken = |error: Error| TokenError::Library {
            path: self.place.library.clone(),
            why: error.to_string(),
        };
        let library = Library::new(&self.place.library).map_err(broken)?;
        let flags = CInitializeFlags::OS_LOCKING_OK;
        match library.initialize(CInitializeArgs::new(flags)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(broken(error)),
        }
        let entered = self.entered(&library, state);
        match entered {
            Ok((slot, session)) => {
                state.idle.push(session);
                state.open = Some(Open { library, slot });
                Ok(())
            }
            Err(error) => {
                // What is read of tokens at the beginning is read again at the next.
                library.finalize().map_err(says)?;
                Err(error)
            }
        }
    }

    fn entered(&self, library: &Library, state: &mut State) -> Result<(Slot, Session), TokenError> {
        let says = |error: Error| TokenError::Says(error.to_string());
        let label = &self.place.label;
        let slots = library.get_slots_with_token().map_err(says)?;
        let slot = slots.into_iter().find(|slot| {
            library
                .get_token_info(*slot)
                .is_ok_and(|info| info.label() == label)
        });
        let slot = slot.ok_or_else(|| TokenError::NoToken(label.clone()))?;
        library
            .get_mechanism_info(slot, MechanismType::AES_KEY_WRAP_PAD)
            .map_err(|_| TokenError::Mechanism)?;
        let unread = |error: std::io::Error| TokenError::PinFile {
            path: self.place.pin.clone(),
            why: error.to_string(),
        };
        let text = Secret::new(fs::read(&self.place.pin).map_err(unread)?);
        let pin = std::str::from_utf8(text.expose()).unwrap_or_default();
        let pin = pin.trim_end_matches(['\r', '\n']);
        let mark = Hash::Sha256.hex(pin.as_bytes());
        if state.refused.as_ref() == Some(&mark) {
            return Err(TokenError::Pin);
        }
        let session = library.open_rw_session(slot).map_err(says)?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok((slot, session)),
            Err(Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked,
                _,
            )) => {
                state.refused = Some(mark);
                Err(TokenError::Pin)
            }
            Err(error) => Err(says(error)),
        }
    }

    fn give(&self, session: Session) {
        let mut state = self.state.lock();
        state.out -= 1;
        if state.stale {
            drop(session);
        } else {
            state.idle.push(session);
        }
        self.free.notify_all();
    }

    /// Gives a session back that is of no use, and all others with it.
    fn abandon(&self, session: Session) {
        self.state.lock().stale = true;
        self.give(session);
    }
}

impl State {
    /// Ends what is open; nothing of it is lent.
    fn close(&mut self) {
        self.idle.clear();
        self.keys.clear();
        self.stale = false;
        if let Some(open) = self.open.take()
            && let Err(error) = open.library.finalize()
        {
            tracing::warn!(%error, "a token was not left in order");
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.state.get_mut().close();
    }
}

/// An object of the session, wiped from the token when its work is done.
struct Passing<'a> {
    session: &'a Session,
    object: ObjectHandle,
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        // It ends with its session at the latest.
        let _ = self.session.destroy_object(self.object);
    }
}

/// What every object that passes through has.
fn passing(class: ObjectClass, kind: TokenKey) -> Vec<Attribute> {
    vec![
        Attribute::Class(class),
        Attribute::KeyType(kind),
        Attribute::Token(false),
        Attribute::Private(true),
    ]
}

fn unwrapped<'a>(
    session: &'a Session,
    with: ObjectHandle,
    wrapped: &[u8],
    template: &[Attribute],
) -> Result<Passing<'a>, Error> {
    let object = session.unwrap_key(&Mechanism::AesKeyWrapPad, with, wrapped, template)?;
    Ok(Passing { session, object })
}

impl Keeper for Token {
    fn has(&self, name: &Name) -> Result<bool, KeyError> {
        self.session(|session| Ok(self.key(session, name)?.is_some()))
    }

    fn make(&self, name: &Name) -> Result<(), KeyError> {
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
            Attribute::ValueLen(32.into()),
            Attribute::Label(LABEL.to_vec()),
            Attribute::Id(name.to_vec()),
        ];
        self.session(|session| {
            let made = session.generate_key(&Mechanism::AesKeyGen, &template);
            made.map(drop).map_err(Trouble::from)
        })
    }

    fn wrap(&self, name: &Name, bytes: &Secret) -> Result<Vec<u8>, KeyError> {
        self.with(name, |session, with| {
            let mut template = passing(ObjectClass::SECRET_KEY, TokenKey::GENERIC_SECRET);
            template.push(Attribute::Sensitive(true));
            template.push(Attribute::Extractable(true));
            template.push(Attribute::Value(bytes.expose().to_vec()));
            let made = session.create_object(&template);
            if let Some(Attribute::Value(copy)) = template.pop() {
                drop(Secret::new(copy));
            }
            let object = Passing {
                session,
                object: made?,
            };
            Ok(session.wrap_key(&Mechanism::AesKeyWrapPad, with, object.object)?)
        })
    }

    fn unwrap(&self, name: &Name, wrapped: &[u8]) -> Result<Secret, KeyError> {
        self.with(name, |session, with| {
            let mut template = passing(ObjectClass::SECRET_KEY, TokenKey::GENERIC_SECRET);
            template.push(Attribute::Sensitive(false));
            template.push(Attribute::Extractable(true));
            let object = unwrapped(session, with, wrapped, &template)?;
            let read = session.get_attributes(object.object, &[AttributeType::Value])?;
            match read.into_iter().next() {
                Some(Attribute::Value(value)) => Ok(Secret::new(value)),
                _ => Err(Trouble::No(KeyError::Failed)),
            }
        })
    }

    fn blocks(
        &self,
        name: &Name,
        wrapped: &[u8],
        cipher: Cipher,
        direction: Direction,
        data: &mut [u8],
    ) -> Result<(), KeyError> {
        let (kind, mechanism) = match cipher {
            Cipher::Aes128 | Cipher::Aes192 | Cipher::Aes256 => (TokenKey::AES, Mechanism::AesEcb),
            Cipher::TripleDes112 | Cipher::TripleDes168 => (TokenKey::DES3, Mechanism::Des3Ecb),
            Cipher::Sm4 => return Err(KeyError::NotSupported),
        };
        // Tokens refuse to do nothing.
        if data.is_empty() {
            return Ok(());
        }
        let done = self.with(name, |session, with| {
            let mut template = passing(ObjectClass::SECRET_KEY, kind);
            template.push(Attribute::Sensitive(true));
            template.push(Attribute::Extractable(false));
            template.push(Attribute::Encrypt(true));
            template.push(Attribute::Decrypt(true));
            let object = unwrapped(session, with, wrapped, &template)?;
            let done = match direction {
                Direction::Encrypt => session.encrypt(&mechanism, object.object, data),
                Direction::Decrypt => session.decrypt(&mechanism, object.object, data),
            };
            Ok(Secret::new(done?))
        })?;
        if done.expose().len() != data.len() {
            return Err(KeyError::Failed);
        }
        data.copy_from_slice(done.expose());
        Ok(())
    }

    fn sign_rsa(
        &self,
        name: &Name,
        wrapped: &[u8],
        hash: Hash,
        digest: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        if hash != Hash::Sha256 {
            return Err(KeyError::NotSupported);
        }
        let message = [SHA256_INFO, digest].concat();
        self.with(name, |session, with| {
            let mut template = passing(ObjectClass::PRIVATE_KEY, TokenKey::RSA);
            template.push(Attribute::Sensitive(true));
            template.push(Attribute::Extractable(false));
            template.push(Attribute::Sign(true));
            let object = unwrapped(session, with, wrapped, &template)?;
            Ok(session.sign(&Mechanism::RsaPkcs, object.object, &message)?)
        })
    }
}
