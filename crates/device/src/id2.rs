//! The client of ID² as a machine: it is started, knows whether it has an identity, proves it,
//! decrypts, or gets one over the air (seed 000 section 1.1.7).
//!
//! Randomness comes with every call that needs some, and every result goes into the caller's
//! buffer. The numbers that the C functions return are in [`ClientError::code`].

pub mod given;

use crate::holder::KeyHolder;
use credential::{
    crypto::wrap::NONCE,
    id2::{
        Id, KeyError, KeyType, SoftKey,
        device::{self, DeviceError, Form, Fresh},
        otp::{self, OtpError, Session, Token},
    },
};
use zeroize::Zeroizing;

/// Why the client does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientError {
    /// The client was not started, or the step before this one is missing.
    Order,
    /// There is no identity yet.
    NoIdentity,
    /// A proof, a cipher text or an argument of it.
    Device(DeviceError),
    /// Provisioning.
    Otp(OtpError),
}

/// The results of the C functions (seed 000 section 1.1.8).
pub mod result {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// `IROT_ERROR_GENERIC`
    pub const GENERIC: i32 = -1;
    /// `IROT_ERROR_BAD_PARAMETERS`
    pub const BAD_PARAMETERS: i32 = -2;
    /// `IROT_ERROR_SHORT_BUFFER`
    pub const SHORT_BUFFER: i32 = -3;
    /// `IROT_ERROR_EXCESS_DATA`
    pub const EXCESS_DATA: i32 = -4;
    /// `IROT_ERROR_OUT_OF_MEMORY`
    pub const OUT_OF_MEMORY: i32 = -5;
    /// `IROT_ERROR_COMMUNICATION`
    pub const COMMUNICATION: i32 = -7;
    /// `IROT_ERROR_NOT_SUPPORTED`
    pub const NOT_SUPPORTED: i32 = -8;
    /// `IROT_ERROR_NOT_IMPLEMENTED`
    pub const NOT_IMPLEMENTED: i32 = -9;
    /// `IROT_ERROR_TIMEOUT`
    pub const TIMEOUT: i32 = -10;
    /// `IROT_ERROR_ITEM_NOT_FOUND`
    pub const ITEM_NOT_FOUND: i32 = -11;
}

impl ClientError {
    /// The result of the C function.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            ClientError::Order => result::GENERIC,
            ClientError::NoIdentity => result::ITEM_NOT_FOUND,
            ClientError::Device(error) => match error {
                DeviceError::Key(error) => key_code(error),
                DeviceError::Freshness | DeviceError::Challenge => result::BAD_PARAMETERS,
                DeviceError::Excess => result::EXCESS_DATA,
                DeviceError::ShortBuffer(_) => result::SHORT_BUFFER,
                DeviceError::Form(_) | DeviceError::NotTheServer => result::GENERIC,
            },
            ClientError::Otp(error) => match error {
                OtpError::TokenKind | OtpError::KeyType => result::NOT_SUPPORTED,
                OtpError::ShortBuffer(_) => result::SHORT_BUFFER,
                OtpError::Fingerprint => result::BAD_PARAMETERS,
                OtpError::Token | OtpError::Form | OtpError::Proof => result::GENERIC,
            },
        }
    }

    /// How long the buffer should have been, where that was what was wrong.
    #[must_use]
    pub fn need(self) -> Option<usize> {
        match self {
            ClientError::Device(DeviceError::ShortBuffer(need))
            | ClientError::Otp(OtpError::ShortBuffer(need)) => Some(need),
            ClientError::Order
            | ClientError::NoIdentity
            | ClientError::Device(_)
            | ClientError::Otp(_) => None,
        }
    }
}

fn key_code(error: KeyError) -> i32 {
    match error {
        KeyError::NotSupported => result::NOT_SUPPORTED,
        KeyError::BadLength => result::BAD_PARAMETERS,
        KeyError::Communication => result::COMMUNICATION,
        KeyError::BadCipher | KeyError::Failed => result::GENERIC,
    }
}

impl From<DeviceError> for ClientError {
    fn from(error: DeviceError) -> Self {
        ClientError::Device(error)
    }
}

impl From<KeyError> for ClientError {
    fn from(error: KeyError) -> Self {
        ClientError::Device(DeviceError::Key(error))
    }
}

impl From<OtpError> for ClientError {
    fn from(error: OtpError) -> Self {
        ClientError::Otp(error)
    }
}

/// What a running client remembers: nothing that must outlive the power.
#[derive(Default)]
struct Running {
    /// Of the exchange that waits for its provision data.
    session: Option<(KeyType, Session)>,
    /// The challenge that the server shall repeat.
    challenge: Option<[u8; 16]>,
}

/// The client, over a carrier.
pub struct Client<H> {
    holder: H,
    form: Form,
    running: Option<Running>,
}

impl<H: KeyHolder> Client<H> {
    /// A client that is not started. The form is a choice of the product's, as in the vendor's
    /// build.
    pub const fn new(holder: H, form: Form) -> Self {
        Client {
            holder,
            form,
            running: None,
        }
    }

    /// Starts; harmless when it runs. The carrier is asked, so that one that cannot be reached is
    /// known early; one without an identity is no error.
    ///
    /// # Errors
    /// [`ClientError`] of the carrier.
    pub fn init(&mut self) -> Result<(), ClientError> {
        self.holder.open()?;
        self.running.get_or_insert_default();
        Ok(())
    }

    /// Stops, and forgets what is not in the carrier.
    pub fn cleanup(&mut self) {
        self.running = None;
    }

    /// Whether the device has an identity.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn is_provisioned(&mut self) -> Result<bool, ClientError> {
        self.running.as_ref().ok_or(ClientError::Order)?;
        Ok(self.holder.open()?.is_some())
    }

    /// The identity.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn id(&mut self) -> Result<Id, ClientError> {
        Ok(self.opened()?.0)
    }

    /// A code that proves the identity (seed 1.1.7, `…_auth_code`); its length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn auth_code(
        &mut self,
        fresh: Fresh<'_>,
        extra: Option<&[u8]>,
        random: [u8; 8],
        out: &mut [u8],
    ) -> Result<usize, ClientError> {
        let form = self.form;
        let (id, key) = self.opened()?;
        Ok(device::auth_code(
            &key, &id, form, fresh, extra, random, out,
        )?)
    }

    /// Decrypts what was encrypted for this device; the length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn decrypt(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize, ClientError> {
        let form = self.form;
        let (id, key) = self.opened()?;
        Ok(match form {
            Form::Plain | Form::Hardened => device::decrypt(&key, data, out)?,
            Form::Keyed => device::decrypt_keyed(&key, &id, data, out)?,
        })
    }

    /// As [`Client::decrypt`], in place.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn decrypt_in_place(&mut self, data: &mut [u8]) -> Result<usize, ClientError> {
        let form = self.form;
        let (id, key) = self.opened()?;
        Ok(match form {
            Form::Plain | Form::Hardened => device::decrypt_in_place(&key, data)?,
            Form::Keyed => device::decrypt_keyed_in_place(&key, &id, data)?,
        })
    }

    /// A challenge for the server, which [`Client::verify_server`] remembers.
    ///
    /// # Errors
    /// [`ClientError::Order`].
    pub fn device_challenge(&mut self, random: [u8; 8]) -> Result<[u8; 16], ClientError> {
        let running = self.running.as_mut().ok_or(ClientError::Order)?;
        Ok(*running.challenge.insert(device::random_text(random)))
    }

    /// Whether a code is of the server, over `challenge`, or over the last of
    /// [`Client::device_challenge`], which is good once.
    ///
    /// # Errors
    /// [`ClientError`]; `Order` when there is no challenge.
    pub fn verify_server(
        &mut self,
        code: &str,
        challenge: Option<&[u8]>,
        extra: Option<&[u8]>,
    ) -> Result<(), ClientError> {
        let form = self.form;
        let running = self.running.as_mut().ok_or(ClientError::Order)?;
        let own;
        let challenge = match challenge {
            Some(challenge) => challenge,
            None => {
                own = running.challenge.take().ok_or(ClientError::Order)?;
                &own
            }
        };
        let (id, key) = self.opened()?;
        Ok(device::check_server(
            &key, &id, form, code, challenge, extra,
        )?)
    }

    /// A secret derived from a seed: 64 hex digits.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn secret(
        &mut self,
        seed: &[u8],
    ) -> Result<Zeroizing<[u8; device::SECRET_LEN]>, ClientError> {
        let (_, key) = self.opened()?;
        Ok(device::secret(&key, seed)?)
    }

    /// The bytes of such a secret.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn derive_key(&mut self, seed: &[u8]) -> Result<Zeroizing<[u8; 32]>, ClientError> {
        let (_, key) = self.opened()?;
        Ok(device::derive(&key, seed)?)
    }

    /// A code that asks for an identity over the air (binary); its length. `session` is random, and
    /// remembered until [`Client::load_otp_data`] or the power's end.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn otp_auth_code(
        &mut self,
        token: &[u8],
        fingerprint: &[u8],
        session: Session,
        out: &mut [u8],
    ) -> Result<usize, ClientError> {
        let running = self.running.as_mut().ok_or(ClientError::Order)?;
        let token = Token::parse(token)?;
        let len = otp::auth_code(&token, &session, fingerprint, out)?;
        running.session = Some((token.key_type(), session));
        Ok(len)
    }

    /// Stores the identity and key that came for the last [`Client::otp_auth_code`]. When the data
    /// is not what was asked for, nothing changes, and other data may be loaded.
    ///
    /// # Errors
    /// [`ClientError`]; `Order` when nothing was asked for.
    pub fn load_otp_data(&mut self, data: &[u8], nonce: &[u8; NONCE]) -> Result<(), ClientError> {
        let running = self.running.as_mut().ok_or(ClientError::Order)?;
        let (kind, session) = running.session.as_ref().ok_or(ClientError::Order)?;
        let (id, key) = otp::load(*kind, session, data)?;
        self.holder.install(&id, &key, nonce)?;
        running.session = None;
        Ok(())
    }

    /// Stores an identity and key that came another way, such as from the production line's file.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn install(
        &mut self,
        id: &Id,
        key: &SoftKey,
        nonce: &[u8; NONCE],
    ) -> Result<(), ClientError> {
        self.running.as_ref().ok_or(ClientError::Order)?;
        Ok(self.holder.install(id, key, nonce)?)
    }

    fn opened(&mut self) -> Result<(Id, H::Key<'_>), ClientError> {
        self.running.as_ref().ok_or(ClientError::Order)?;
        self.holder.open()?.ok_or(ClientError::NoIdentity)
    }
}

#[cfg(test)]
mod tests;
