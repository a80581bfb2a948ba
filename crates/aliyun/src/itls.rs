//! The server's end of iTLS over any stream of bytes: what the machine of `itls` asks, the hub
//! answers.

mod stream;

pub use stream::Stream;

use crate::codes;
use hub::{
    Hub,
    edge::Peer,
    id2::{Shaken, Shows},
};
use itls::{
    Alert,
    message::MESSAGE_MAX,
    record::{HEAD, Head},
    server::{Greeting, OUT_MAX, Server, Step},
};
use model::{
    error::{Fault, Id2Error},
    id::ProductKey,
    port::Random,
};
use std::{io, sync::Arc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// Records of a handshake; a client that says everything in pieces needs a few hundred.
const RECORDS: usize = 4096;

/// What all connections share.
pub struct Itls {
    hub: Arc<Hub>,
    random: Arc<dyn Random>,
}

/// A connection whose handshake failed.
pub struct Refused<S> {
    /// The connection.
    pub stream: S,
    /// The record that tells the client why; empty when it is gone, or has said so itself.
    pub words: Vec<u8>,
    /// Who it said it is.
    pub who: String,
    /// For the log.
    pub why: String,
}

/// Why a handshake ends.
enum End {
    Gone(io::Error),
    /// The client said so.
    Left(Alert),
    /// The hub does not believe it, and has noted that.
    Unbelieved(Alert),
    /// What it sent cannot be.
    Broken(Alert),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Gone(error)
    }
}

impl From<Alert> for End {
    fn from(alert: Alert) -> Self {
        End::Broken(alert)
    }
}

fn unbelieved(error: &Id2Error) -> End {
    End::Unbelieved(codes::itls::alert(error))
}

/// What this end writes, and who it speaks with.
struct Talk {
    server: Server,
    out: [u8; OUT_MAX],
    who: String,
    whose: Option<Shaken>,
}

impl Itls {
    /// Puts the handshake before the hub.
    pub fn new(hub: Arc<Hub>, random: Arc<dyn Random>) -> Self {
        Self { hub, random }
    }

    /// Shakes hands with a client that has just connected. May be dropped at any point: what the hub
    /// does in it is done whole or not, and may be asked for again.
    ///
    /// # Errors
    /// What the client is to be told, with the stream to tell it on.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        mut stream: S,
        peer: Peer,
    ) -> Result<(Stream<S>, Shaken), Refused<S>> {
        let mut talk = Box::new(Talk {
            server: Server::default(),
            out: [0; OUT_MAX],
            who: "?".into(),
            whose: None,
        });
        let ended = self.shake(&mut stream, &mut talk, peer).await;
        let end = match ended {
            Ok(shaken) => match talk.server.ends() {
                Some(ends) => return Ok((Stream::new(stream, ends, self.random.clone()), shaken)),
                None => return Err(refused(stream, Vec::new(), talk.who, "no keys".into())),
            },
            Err(end) => end,
        };
        let (alert, why) = match end {
            End::Gone(error) => (None, error.to_string()),
            End::Left(alert) => (None, format!("the client left: {alert}")),
            End::Unbelieved(alert) => (Some(alert), alert.to_string()),
            End::Broken(alert) => {
                let why = alert.to_string();
                self.hub.id2_shake_broken(peer, "BadRequest", &why).await;
                (Some(alert), why)
            }
        };
        let words = alert.map(|alert| {
            let vector = self.random_bytes();
            let len = talk.server.refuse(alert, &vector, &mut talk.out);
            talk.out[..len.unwrap_or(0)].to_vec()
        });
        Err(refused(stream, words.unwrap_or_default(), talk.who, why))
    }

    async fn shake<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        stream: &mut S,
        talk: &mut Talk,
        peer: Peer,
    ) -> Result<Shaken, End> {
        let mut body = [0; MESSAGE_MAX];
        for _ in 0..RECORDS {
            let mut head = [0; HEAD];
            stream.read_exact(&mut head).await?;
            let head = Head::read(head)?;
            let body = body.get_mut(..head.len).ok_or(Alert::RecordOverflow)?;
            stream.read_exact(body).await?;
            let vector = self.random_bytes();
            let step = talk.server.take(head.kind, body, &vector, &mut talk.out)?;
            let len = match step {
                Step::More => continue,
                Step::End(alert) => return Err(End::Left(alert)),
                Step::Provision => self.provision(talk, peer).await?,
                Step::Challenge => self.challenge(talk, peer).await?,
                Step::Prove => self.prove(talk, peer).await?,
                Step::Done(len) => {
                    stream.write_all(&talk.out[..len]).await?;
                    stream.flush().await?;
                    return talk.whose.take().ok_or(Alert::InternalError.into());
                }
            };
            stream.write_all(&talk.out[..len]).await?;
            stream.flush().await?;
        }
        Err(Alert::UnexpectedMessage.into())
    }

    async fn provision(&self, talk: &mut Talk, peer: Peer) -> Result<usize, End> {
        let hello = talk.server.hello().ok_or(Alert::InternalError)?;
        let product = ProductKey::parse(hello.product).map_err(|_| Alert::BadProduct)?;
        let request = hello.code.to_vec();
        talk.who = product.to_string();
        let given = self.hub.id2_shake_provision(&product, &request, peer).await;
        let data = given.map_err(|error| unbelieved(&error))?;
        Ok(talk.server.provision(&data, &mut talk.out)?)
    }

    async fn challenge(&self, talk: &mut Talk, peer: Peer) -> Result<usize, End> {
        let hello = talk.server.hello().ok_or(Alert::InternalError)?;
        let product = ProductKey::parse(hello.product).map_err(|_| Alert::BadProduct)?;
        let id = hello.id.ok_or(Alert::InternalError)?;
        talk.who = id.to_string();
        let whose = talk.whose.insert(Shaken { product, id });
        let text = self.hub.id2_shake_begin(whose, peer).await;
        let text = text.map_err(|error| unbelieved(&error))?;
        Ok(talk.server.challenge(&text, &mut talk.out)?)
    }

    async fn prove(&self, talk: &mut Talk, peer: Peer) -> Result<usize, End> {
        let internal = Alert::InternalError;
        let whose = talk.whose.as_ref().ok_or(internal)?;
        let hello = talk.server.hello().ok_or(internal)?;
        let code = str::from_utf8(hello.code).map_err(|_| Alert::BadCode)?;
        let challenge = talk.server.challenged().ok_or(internal)?.to_owned();
        let device_challenge = talk.server.device_challenge().ok_or(internal)?;
        let shows = Shows {
            code,
            challenge: &challenge,
            device_challenge: str::from_utf8(&device_challenge).map_err(|_| internal)?,
            peer,
        };
        let shown = self.hub.id2_shake(whose, shows).await;
        let shown = shown.map_err(|error| unbelieved(&error))?;
        let mut random = [0; 32];
        self.random.fill(&mut random);
        let mut pre_master = Zeroizing::new([0; 48]);
        let secret = shown.secret.expose();
        if secret.len() != pre_master.len() {
            let fault = Fault::lasting("a secret of another length");
            return Err(unbelieved(&fault.into()));
        }
        pre_master.copy_from_slice(secret);
        let greeting = Greeting {
            random: &random,
            code: &shown.code,
            pre_master: &pre_master,
            sealed: &shown.sealed,
        };
        Ok(talk.server.prove(&greeting, &mut talk.out)?)
    }

    fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

fn refused<S>(stream: S, words: Vec<u8>, who: String, why: String) -> Refused<S> {
    Refused {
        stream,
        words,
        who,
        why,
    }
}
