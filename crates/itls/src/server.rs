//! The server's end.
//!
//! [`Server::take`] takes each record that comes and says what is asked: to give an identity out, for
//! a challenge, or to judge a proof; the answer comes with the next call, and is the caller's to find.
//! After any error the caller tells the client by [`Server::refuse`] and leaves.

use crate::{
    Alert, Kind,
    client::{finished, hex, verify},
    message::{CHALLENGE, ClientHello, Gathered, PRODUCT_MAX, RANDOM, ServerHello, VerifyRequest},
    record::{self, Receiver, Sender},
    schedule::{End, Master, PRE_MASTER, VERIFY},
};
use core::str;
use credential::{
    crypto::{digest::Transcript, record::BLOCK},
    id2::Id,
};

/// Room for whatever this end writes.
pub const OUT_MAX: usize = crate::client::OUT_MAX;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To take the next record.
    More,
    /// An identity for the device of [`Server::hello`], whose code is its request; then
    /// [`Server::provision`].
    Provision,
    /// A challenge for the identity of [`Server::hello`]; then [`Server::challenge`].
    Challenge,
    /// Whether the code of [`Server::hello`] is right over [`Server::challenged`]; then
    /// [`Server::prove`].
    Prove,
    /// The client knew the secret: what stands in `out` goes to it, and [`Server::ends`] has the keys.
    Done(usize),
    /// The client ends, and says why.
    End(Alert),
}

/// What the server shows a client that has proven itself.
pub struct Greeting<'a> {
    /// The server's random.
    pub random: &'a [u8; RANDOM],
    /// Its code over [`Server::device_challenge`].
    pub code: &'a str,
    /// A secret of 48 random bytes.
    pub pre_master: &'a [u8; PRE_MASTER],
    /// The secret, encrypted for the client.
    pub sealed: &'a [u8],
}

/// One connection.
pub struct Server {
    gathered: Gathered,
    state: State,
    product: [u8; PRODUCT_MAX],
    product_len: usize,
}

enum State {
    /// Waits for a first hello; whether an identity was given out already.
    Hello {
        given: bool,
    },
    Provision,
    Challenge {
        id: Id,
    },
    /// Waits for the second hello.
    Challenged {
        id: Id,
        challenge: [u8; CHALLENGE],
    },
    Prove {
        challenge: [u8; CHALLENGE],
    },
    Finished {
        sender: Sender,
        receiver: Receiver,
        master: Master,
        transcript: Transcript,
    },
    Done(Sender, Receiver),
    Over,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            gathered: Gathered::new(),
            state: State::Hello { given: false },
            product: [0; PRODUCT_MAX],
            product_len: 0,
        }
    }
}

impl Server {
    /// Takes a record. `vector` is random, and used for nothing else; `out` has [`OUT_MAX`] bytes.
    ///
    /// # Errors
    /// What the client is to be told before it is left.
    pub fn take(
        &mut self,
        kind: Kind,
        body: &mut [u8],
        vector: &[u8; BLOCK],
        out: &mut [u8],
    ) -> Result<Step, Alert> {
        if let State::Finished { .. } = self.state {
            return self.finish(kind, body, vector, out);
        }
        match kind {
            Kind::Alert => return Ok(Alert::read(body)?.map_or(Step::More, Step::End)),
            Kind::Data => return Err(Alert::UnexpectedMessage),
            Kind::Handshake => {}
        }
        if !matches!(self.state, State::Hello { .. } | State::Challenged { .. }) {
            return Err(Alert::UnexpectedMessage);
        }
        if !self.gathered.take(body)? {
            return Ok(Step::More);
        }
        let hello = ClientHello::read(self.gathered.message())?;
        match self.state {
            State::Hello { given } => match hello.id {
                None if given => Err(Alert::UnexpectedMessage),
                None if hello.code.is_empty() => Err(Alert::BadCode),
                None => {
                    self.state = State::Provision;
                    Ok(Step::Provision)
                }
                // A code over a challenge that was not given.
                Some(_) if !hello.code.is_empty() => Err(Alert::BadChallenge),
                Some(id) => {
                    let product = hello.product.as_bytes();
                    self.product[..product.len()].copy_from_slice(product);
                    self.product_len = product.len();
                    self.state = State::Challenge { id };
                    Ok(Step::Challenge)
                }
            },
            State::Challenged { id, challenge } => {
                if hello.id != Some(id)
                    || hello.product.as_bytes() != &self.product[..self.product_len]
                {
                    return Err(Alert::IllegalParameter);
                }
                if hello.code.is_empty() || str::from_utf8(hello.code).is_err() {
                    return Err(Alert::BadCode);
                }
                self.state = State::Prove { challenge };
                Ok(Step::Prove)
            }
            State::Provision
            | State::Challenge { .. }
            | State::Prove { .. }
            | State::Finished { .. }
            | State::Done(..)
            | State::Over => Err(Alert::UnexpectedMessage),
        }
    }

    fn finish(
        &mut self,
        kind: Kind,
        body: &mut [u8],
        vector: &[u8; BLOCK],
        out: &mut [u8],
    ) -> Result<Step, Alert> {
        let State::Finished {
            sender,
            receiver,
            master,
            transcript,
        } = &mut self.state
        else {
            return Err(Alert::InternalError);
        };
        let (from, to) = receiver.open(kind, body)?;
        let text = &body[from..to];
        match kind {
            Kind::Alert => return Ok(Alert::read(text)?.map_or(Step::More, Step::End)),
            Kind::Data => return Err(Alert::UnexpectedMessage),
            Kind::Handshake => {}
        }
        let expected: [u8; VERIFY] = master.verify(End::Client, &transcript.digest());
        verify(text, &expected)?;
        transcript.update(text);
        let message = finished(master.verify(End::Server, &transcript.digest()));
        let len = sender.seal(Kind::Handshake, &message, vector, out)?;
        self.state = match core::mem::replace(&mut self.state, State::Over) {
            State::Finished {
                sender, receiver, ..
            } => State::Done(sender, receiver),
            other => other,
        };
        Ok(Step::Done(len))
    }

    /// What the client says of itself, while its hello waits for an answer.
    #[must_use]
    pub fn hello(&self) -> Option<ClientHello<'_>> {
        match self.state {
            State::Provision | State::Challenge { .. } | State::Prove { .. } => {
                ClientHello::read(self.gathered.message()).ok()
            }
            State::Hello { .. }
            | State::Challenged { .. }
            | State::Finished { .. }
            | State::Done(..)
            | State::Over => None,
        }
    }

    /// The challenge that the client's code must be over.
    #[must_use]
    pub fn challenged(&self) -> Option<&str> {
        match &self.state {
            State::Prove { challenge } => str::from_utf8(challenge).ok(),
            _ => None,
        }
    }

    /// What the server's code is over: the random of the client's last hello in upper-case hex.
    #[must_use]
    pub fn device_challenge(&self) -> Option<[u8; 2 * RANDOM]> {
        self.hello().map(|hello| hex(hello.random))
    }

    /// Writes identity and key for a device that asked for them; it begins anew then.
    ///
    /// # Errors
    /// `InternalError` when it is not the time for it, or there is no room.
    pub fn provision(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize, Alert> {
        let State::Provision = self.state else {
            return Err(Alert::InternalError);
        };
        self.state = State::Hello { given: true };
        self.gathered.clear();
        request(VerifyRequest::Provision(data), out)
    }

    /// Writes a challenge, which is good for this connection alone.
    ///
    /// # Errors
    /// As [`Server::provision`].
    pub fn challenge(&mut self, text: &[u8; CHALLENGE], out: &mut [u8]) -> Result<usize, Alert> {
        let State::Challenge { id } = self.state else {
            return Err(Alert::InternalError);
        };
        let shown = str::from_utf8(text).map_err(|_| Alert::InternalError)?;
        self.state = State::Challenged {
            id,
            challenge: *text,
        };
        self.gathered.clear();
        request(VerifyRequest::Challenge(shown), out)
    }

    /// Writes the server's proof for a client whose code was right. Whether it has the identity's key
    /// is known once it has answered that.
    ///
    /// # Errors
    /// As [`Server::provision`].
    pub fn prove(&mut self, greeting: &Greeting<'_>, out: &mut [u8]) -> Result<usize, Alert> {
        let State::Prove { .. } = self.state else {
            return Err(Alert::InternalError);
        };
        let message = self.gathered.message();
        let client = ClientHello::read(message)?;
        let server = ServerHello {
            random: greeting.random,
            suite: client.suite,
            code: greeting.code,
            sealed: greeting.sealed,
        };
        let (head, room) = out
            .split_first_chunk_mut::<{ record::HEAD }>()
            .ok_or(Alert::InternalError)?;
        let len = server.write(room)?;
        *head = record::Head::write(Kind::Handshake, len)?;
        let mut transcript = Transcript::default();
        transcript.update(message);
        transcript.update(&room[..len]);
        let master = Master::new(greeting.pre_master, client.random, greeting.random);
        let (mut sender, receiver) =
            master.directions(End::Server, client.suite, client.random, greeting.random)?;
        sender.limit(client.most.unwrap_or(record::TEXT_MAX));
        self.state = State::Finished {
            sender,
            receiver,
            master,
            transcript,
        };
        Ok(record::HEAD + len)
    }

    /// Writes why this end leaves, as far as the client can read it.
    ///
    /// # Errors
    /// `InternalError` when there is no room.
    pub fn refuse(
        &mut self,
        alert: Alert,
        vector: &[u8; BLOCK],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Finished { mut sender, .. } | State::Done(mut sender, _) => {
                sender.seal(Kind::Alert, &alert.bytes(), vector, out)
            }
            State::Hello { .. }
            | State::Provision
            | State::Challenge { .. }
            | State::Challenged { .. }
            | State::Prove { .. }
            | State::Over => record::clear(Kind::Alert, &alert.bytes(), out),
        }
    }

    /// The keys of the connection, once it is [`Step::Done`].
    #[must_use]
    pub fn ends(self) -> Option<(Sender, Receiver)> {
        match self.state {
            State::Done(sender, receiver) => Some((sender, receiver)),
            _ => None,
        }
    }
}

fn request(request: VerifyRequest<'_>, out: &mut [u8]) -> Result<usize, Alert> {
    let (head, room) = out
        .split_first_chunk_mut::<{ record::HEAD }>()
        .ok_or(Alert::InternalError)?;
    let len = request.write(room)?;
    *head = record::Head::write(Kind::Handshake, len)?;
    Ok(record::HEAD + len)
}

#[cfg(test)]
mod tests;
