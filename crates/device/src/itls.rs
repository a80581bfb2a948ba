//! The handshake of iTLS with the identity of [`id2::Client`](crate::id2::Client), or, for a device
//! that has none yet, with the request for one: what the machine of the room `itls` asks, the client
//! answers. Sockets and time are the caller's.

use crate::{
    holder::KeyHolder,
    id2::{Client, ClientError},
};
pub use ::itls::{
    Alert, Kind, Receiver, Sender, Suites,
    client::OUT_MAX,
    message::MESSAGE_MAX,
    record::{BODY_MAX, HEAD, Head, Said},
};
use ::itls::{
    client::{self, Event},
    message::CODE_MAX,
};
use credential::id2::{
    device::Fresh,
    otp::{self, FINGERPRINT_MAX},
};
use zeroize::Zeroizing;

/// What a handshake needs of the board. Errors are results of the C functions.
pub trait Board {
    /// Fills `out` with bytes that nobody can guess.
    ///
    /// # Errors
    /// Why there are none.
    fn random(&mut self, out: &mut [u8]) -> Result<(), i32>;

    /// What tells this device from all others; its length.
    ///
    /// # Errors
    /// Why there is none.
    fn fingerprint(&mut self, out: &mut [u8; FINGERPRINT_MAX]) -> Result<usize, i32>;
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShakeError {
    /// Of the identity, its key or the server's proof.
    Id2(ClientError),
    /// Of the board.
    Board(i32),
    /// What the server sent cannot be; it is to be told.
    Alert(Alert),
    /// The server said so.
    Told(Alert),
}

impl From<ClientError> for ShakeError {
    fn from(error: ClientError) -> Self {
        ShakeError::Id2(error)
    }
}

impl From<Alert> for ShakeError {
    fn from(alert: Alert) -> Self {
        ShakeError::Alert(alert)
    }
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To take another record.
    More,
    /// To send so many bytes of `out`.
    Send(usize),
    /// The device has got an identity; [`Shake::begin`] goes on with it.
    Provisioned,
    /// [`Shake::ends`] has the keys.
    Done,
}

/// One handshake.
pub struct Shake<'a> {
    machine: client::Client,
    token: &'a [u8],
}

impl<'a> Shake<'a> {
    /// A handshake of a device of this product; a device without an identity asks for one with the
    /// product's token.
    ///
    /// # Errors
    /// [`ShakeError::Alert`] for a product key that is none.
    pub fn new(product: &[u8], token: &'a [u8]) -> Result<Self, ShakeError> {
        let machine = client::Client::new(product, Suites::Both)?;
        Ok(Shake { machine, token })
    }

    /// Writes the first message; so many bytes of `out` are to be sent. `out` has [`OUT_MAX`].
    ///
    /// # Errors
    /// [`ShakeError`].
    pub fn begin<H: KeyHolder>(
        &mut self,
        id2: &mut Client<H>,
        board: &mut impl Board,
        out: &mut [u8],
    ) -> Result<usize, ShakeError> {
        let random = *bytes(board)?;
        if id2.is_provisioned()? {
            let id = id2.id()?;
            return Ok(self.machine.hello(Ok(&id), random, out)?);
        }
        let mut print = [0; FINGERPRINT_MAX];
        let len = board.fingerprint(&mut print).map_err(ShakeError::Board)?;
        let session = bytes(board)?;
        let mut request = [0; otp::CODE_MAX];
        let print = print.get(..len).ok_or(Alert::InternalError)?;
        let len = id2.otp_auth_code(self.token, print, session, &mut request)?;
        Ok(self.machine.hello(Err(&request[..len]), random, out)?)
    }

    /// Takes a record. `out` has [`OUT_MAX`] bytes.
    ///
    /// # Errors
    /// [`ShakeError`]; but for `Told` the server waits for [`Shake::refuse`].
    pub fn take<H: KeyHolder>(
        &mut self,
        id2: &mut Client<H>,
        board: &mut impl Board,
        (kind, body): (Kind, &mut [u8]),
        out: &mut [u8],
    ) -> Result<Next, ShakeError> {
        let internal = Alert::InternalError;
        Ok(match self.machine.take(kind, body)? {
            Event::More => Next::More,
            Event::End(alert) => return Err(ShakeError::Told(alert)),
            Event::Done => Next::Done,
            Event::Provision => {
                let data = self.machine.provision().ok_or(internal)?;
                id2.load_otp_data(data, &*bytes(board)?)?;
                Next::Provisioned
            }
            Event::Challenge => {
                let id = id2.id()?;
                let challenge = self.machine.challenge().ok_or(internal)?;
                let mut code = [0; CODE_MAX];
                let fresh = Fresh::Challenge(challenge);
                let len = id2.auth_code(fresh, None, *bytes(board)?, &mut code)?;
                let random = *bytes(board)?;
                Next::Send(self.machine.prove(&id, &code[..len], random, out)?)
            }
            Event::Greeting => {
                let challenge = self.machine.device_challenge();
                let (code, sealed) = self.machine.greeting().ok_or(internal)?;
                id2.verify_server(code, Some(&challenge), None)?;
                let mut secret = Zeroizing::new([0; 256]);
                let len = id2.decrypt(sealed, &mut secret[..])?;
                let secret = secret[..len].try_into().map_err(|_| Alert::DecryptError)?;
                Next::Send(self.machine.accept(secret, &*bytes(board)?, out)?)
            }
        })
    }

    /// Writes why the device leaves; so many bytes of `out` are to be sent.
    ///
    /// # Errors
    /// [`ShakeError`].
    pub fn refuse(
        &mut self,
        error: ShakeError,
        board: &mut impl Board,
        out: &mut [u8],
    ) -> Result<usize, ShakeError> {
        let alert = match error {
            ShakeError::Alert(alert) => alert,
            ShakeError::Id2(ClientError::Device(_)) => Alert::BadCode,
            ShakeError::Id2(_) | ShakeError::Board(_) => Alert::InternalError,
            ShakeError::Told(_) => return Ok(0),
        };
        Ok(self.machine.refuse(alert, &*bytes(board)?, out)?)
    }

    /// The keys of the connection, once it is [`Next::Done`].
    #[must_use]
    pub fn ends(self) -> Option<(Sender, Receiver)> {
        self.machine.ends()
    }
}

fn bytes<const N: usize>(board: &mut impl Board) -> Result<Zeroizing<[u8; N]>, ShakeError> {
    let mut bytes = Zeroizing::new([0; N]);
    board.random(&mut bytes[..]).map_err(ShakeError::Board)?;
    Ok(bytes)
}
