//! The device's end.
//!
//! [`Client::hello`] begins; [`Client::take`] takes each record that comes and says what is to be done;
//! what it does not know (the identity, its key, chance) comes with the next call. The caller writes
//! what stands in `out`, and leaves after any error, telling the server by [`Client::refuse`].

use crate::{
    Alert, Kind, Suites,
    message::{
        FINISHED, Gathered, HEAD, MESSAGE_MAX, PRODUCT_MAX, RANDOM, ServerHello, VerifyRequest,
        client_hello,
    },
    record::{self, Receiver, Sender},
    schedule::{End, Master, PRE_MASTER, VERIFY},
};
use credential::{
    crypto::{
        digest::Transcript,
        record::{BLOCK, same_proof},
    },
    id2::Id,
};

/// Room for whatever this end writes.
pub const OUT_MAX: usize = record::HEAD + MESSAGE_MAX;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// To take the next record.
    More,
    /// [`Client::provision`] has an identity; once it is kept, [`Client::hello`] begins again with it.
    Provision,
    /// To answer [`Client::challenge`] by [`Client::prove`].
    Challenge,
    /// To look whether [`Client::greeting`] is the server's, and go on by [`Client::accept`].
    Greeting,
    /// All is proven; [`Client::ends`] has the keys.
    Done,
    /// The server ends, and says why.
    End(Alert),
}

/// One connection.
pub struct Client {
    product: [u8; PRODUCT_MAX],
    product_len: usize,
    suites: Suites,
    random: [u8; RANDOM],
    gathered: Gathered,
    transcript: Transcript,
    state: State,
}

enum State {
    Start,
    /// The first hello is sent, maybe one that asks for an identity.
    Hello {
        asks: bool,
    },
    Provision,
    Challenge,
    /// The second hello is sent.
    Proof,
    Greeting,
    Finished {
        sender: Sender,
        receiver: Receiver,
        expected: [u8; VERIFY],
    },
    Done(Sender, Receiver),
    Over,
}

impl Client {
    /// A connection of a device of this product.
    ///
    /// # Errors
    /// `BadProduct` when the product key is empty or too long.
    pub fn new(product: &[u8], suites: Suites) -> Result<Client, Alert> {
        let mut client = Client {
            product: [0; PRODUCT_MAX],
            product_len: product.len(),
            suites,
            random: [0; RANDOM],
            gathered: Gathered::new(),
            transcript: Transcript::default(),
            state: State::Start,
        };
        let place = client.product.get_mut(..product.len());
        place.ok_or(Alert::BadProduct)?.copy_from_slice(product);
        match product.is_empty() {
            false => Ok(client),
            true => Err(Alert::BadProduct),
        }
    }

    /// Writes the first hello, of the device `id`, or of one that has no identity and asks for one
    /// with `request`.
    ///
    /// # Errors
    /// `InternalError` when it is not the time for it, or there is no room.
    pub fn hello(
        &mut self,
        who: Result<&Id, &[u8]>,
        random: [u8; RANDOM],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        if !matches!(self.state, State::Start | State::Provision) {
            return Err(Alert::InternalError);
        }
        let len = match who {
            Ok(id) => self.write(random, Some(id), b"", out),
            Err(request) => self.write(random, None, request, out),
        }?;
        self.state = State::Hello { asks: who.is_err() };
        Ok(len)
    }

    /// Writes the second hello, with the device's code over the challenge.
    ///
    /// # Errors
    /// As [`Client::hello`].
    pub fn prove(
        &mut self,
        id: &Id,
        code: &[u8],
        random: [u8; RANDOM],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        let State::Challenge = self.state else {
            return Err(Alert::InternalError);
        };
        let len = self.write(random, Some(id), code, out)?;
        self.transcript = Transcript::default();
        self.transcript.update(&out[record::HEAD..len]);
        self.state = State::Proof;
        Ok(len)
    }

    fn write(
        &mut self,
        random: [u8; RANDOM],
        id: Option<&Id>,
        code: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        self.random = random;
        self.gathered.clear();
        let (head, room) = out
            .split_first_chunk_mut::<{ record::HEAD }>()
            .ok_or(Alert::InternalError)?;
        let product = &self.product[..self.product_len];
        let len = client_hello(&self.random, self.suites, product, id, code, room)?;
        *head = record::Head::write(Kind::Handshake, len)?;
        Ok(record::HEAD + len)
    }

    /// Goes on with the secret that the greeting had for this device.
    ///
    /// # Errors
    /// As [`Client::hello`].
    pub fn accept(
        &mut self,
        pre_master: &[u8; PRE_MASTER],
        vector: &[u8; BLOCK],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        let State::Greeting = self.state else {
            return Err(Alert::InternalError);
        };
        let hello = ServerHello::read(self.gathered.message(), self.suites)?;
        let master = Master::new(pre_master, &self.random, hello.random);
        let (mut sender, receiver) =
            master.directions(End::Client, hello.suite, &self.random, hello.random)?;
        let finished = finished(master.verify(End::Client, &self.transcript.digest()));
        let len = sender.seal(Kind::Handshake, &finished, vector, out)?;
        self.transcript.update(&finished);
        let expected = master.verify(End::Server, &self.transcript.digest());
        self.gathered.clear();
        self.state = State::Finished {
            sender,
            receiver,
            expected,
        };
        Ok(len)
    }

    /// Takes a record.
    ///
    /// # Errors
    /// What the server is to be told before it is left.
    pub fn take(&mut self, kind: Kind, body: &mut [u8]) -> Result<Event, Alert> {
        let taken = self.took(kind, body);
        if !matches!(taken, Ok(event) if !matches!(event, Event::End(_))) {
            self.over();
        }
        taken
    }

    fn took(&mut self, kind: Kind, body: &mut [u8]) -> Result<Event, Alert> {
        if let State::Finished {
            receiver, expected, ..
        } = &mut self.state
        {
            let (from, to) = receiver.open(kind, body)?;
            let text = &body[from..to];
            return match kind {
                Kind::Alert => Ok(heard(text)?),
                Kind::Handshake => {
                    verify(text, expected)?;
                    self.state = match core::mem::replace(&mut self.state, State::Over) {
                        State::Finished {
                            sender, receiver, ..
                        } => State::Done(sender, receiver),
                        other => other,
                    };
                    Ok(Event::Done)
                }
                Kind::Data => Err(Alert::UnexpectedMessage),
            };
        }
        match kind {
            Kind::Alert => return heard(body),
            Kind::Data => return Err(Alert::UnexpectedMessage),
            Kind::Handshake => {}
        }
        let asks = match self.state {
            State::Hello { asks } => Some(asks),
            State::Proof => None,
            State::Start
            | State::Provision
            | State::Challenge
            | State::Greeting
            | State::Finished { .. }
            | State::Done(..)
            | State::Over => return Err(Alert::UnexpectedMessage),
        };
        if !self.gathered.take(body)? {
            return Ok(Event::More);
        }
        let message = self.gathered.message();
        let Some(asks) = asks else {
            ServerHello::read(message, self.suites)?;
            self.transcript.update(message);
            self.state = State::Greeting;
            return Ok(Event::Greeting);
        };
        match VerifyRequest::read(message)? {
            VerifyRequest::Provision(_) if asks => {
                self.state = State::Provision;
                Ok(Event::Provision)
            }
            VerifyRequest::Challenge(_) if !asks => {
                self.state = State::Challenge;
                Ok(Event::Challenge)
            }
            VerifyRequest::Provision(_) | VerifyRequest::Challenge(_) => {
                Err(Alert::UnexpectedMessage)
            }
        }
    }

    /// The identity and key that came, under the session key of the request.
    #[must_use]
    pub fn provision(&self) -> Option<&[u8]> {
        match (&self.state, VerifyRequest::read(self.gathered.message())) {
            (State::Provision, Ok(VerifyRequest::Provision(data))) => Some(data),
            _ => None,
        }
    }

    /// The challenge that the device's code shall be over.
    #[must_use]
    pub fn challenge(&self) -> Option<&str> {
        match (&self.state, VerifyRequest::read(self.gathered.message())) {
            (State::Challenge, Ok(VerifyRequest::Challenge(text))) => Some(text),
            _ => None,
        }
    }

    /// The server's code, and the secret encrypted for this device. The code is over
    /// [`Client::device_challenge`]; nobody but the caller looks whether it is right.
    #[must_use]
    pub fn greeting(&self) -> Option<(&str, &[u8])> {
        let State::Greeting = self.state else {
            return None;
        };
        let hello = ServerHello::read(self.gathered.message(), self.suites).ok()?;
        Some((hello.code, hello.sealed))
    }

    /// What the server's code is over: the random of the last hello in upper-case hex.
    #[must_use]
    pub fn device_challenge(&self) -> [u8; 2 * RANDOM] {
        hex(&self.random)
    }

    /// Writes why this end leaves, as far as the server can read it.
    ///
    /// # Errors
    /// `InternalError` when there is no room.
    pub fn refuse(
        &mut self,
        alert: Alert,
        vector: &[u8; BLOCK],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        let state = core::mem::replace(&mut self.state, State::Over);
        self.over();
        match state {
            State::Finished { mut sender, .. } | State::Done(mut sender, _) => {
                sender.seal(Kind::Alert, &alert.bytes(), vector, out)
            }
            State::Start
            | State::Hello { .. }
            | State::Provision
            | State::Challenge
            | State::Proof
            | State::Greeting
            | State::Over => record::clear(Kind::Alert, &alert.bytes(), out),
        }
    }

    /// The keys of the connection, once it is [`Event::Done`].
    #[must_use]
    pub fn ends(self) -> Option<(Sender, Receiver)> {
        match self.state {
            State::Done(sender, receiver) => Some((sender, receiver)),
            _ => None,
        }
    }

    fn over(&mut self) {
        // The sender stays: the server is to read why.
        if !matches!(self.state, State::Finished { .. } | State::Done(..)) {
            self.state = State::Over;
        }
    }
}

fn heard(bytes: &[u8]) -> Result<Event, Alert> {
    Ok(Alert::read(bytes)?.map_or(Event::More, Event::End))
}

/// The message by which an end proves the handshake.
pub(crate) fn finished(verify: [u8; VERIFY]) -> [u8; HEAD + VERIFY] {
    let mut message = [0; HEAD + VERIFY];
    message[0] = FINISHED;
    message[HEAD - 1] = VERIFY as u8;
    message[HEAD..].copy_from_slice(&verify);
    message
}

/// Whether a text is that message with the expected proof.
pub(crate) fn verify(text: &[u8], expected: &[u8; VERIFY]) -> Result<(), Alert> {
    let whole = text.split_first_chunk::<HEAD>();
    let (head, proof) = whole.ok_or(Alert::DecodeError)?;
    if head != &[FINISHED, 0, 0, VERIFY as u8] {
        return Err(Alert::UnexpectedMessage);
    }
    let proof: &[u8; VERIFY] = proof.try_into().map_err(|_| Alert::DecodeError)?;
    match same_proof(proof, expected) {
        true => Ok(()),
        false => Err(Alert::DecryptError),
    }
}

pub(crate) fn hex(bytes: &[u8; RANDOM]) -> [u8; 2 * RANDOM] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = [0; 2 * RANDOM];
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
