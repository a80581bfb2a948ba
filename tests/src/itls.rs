//! A device's end of iTLS over the product's own machine, with a software key; what the vendor's
//! library does, and what it would never do.

use crate::PATIENCE;
use credential::id2::{
    Id, SoftKey,
    device::{self, Form, Fresh},
    otp::{self, Session, Token},
};
pub use itls::{Alert, Suite, Suites};
use itls::{
    Kind, Receiver, Sender,
    client::{Client, Event, OUT_MAX},
    record::{HEAD, Head, Said},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// `N` bytes that nobody can guess.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes).expect("OpenSSL");
    bytes
}

/// Who connects.
pub enum Who<'a> {
    /// A device with an identity and its key.
    Known(Id, SoftKey),
    /// One that has neither, with its product's token and its fingerprint.
    Asks(&'a Token, &'a [u8]),
}

/// How a handshake ended that was no success.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The server said why.
    Told(Alert),
    /// We would not go on.
    Ours(Alert),
    /// The server closed, or was silent for too long.
    Gone,
}

/// A socket on which records go to and fro.
pub struct Line {
    /// The socket.
    pub tcp: TcpStream,
}

impl Line {
    /// Connects.
    pub fn open(address: SocketAddr) -> Line {
        let tcp = TcpStream::connect(address).expect("the listener listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
        tcp.set_nodelay(true).expect("a socket");
        Line { tcp }
    }

    /// Sends bytes; a server that refuses may have closed.
    pub fn send(&mut self, bytes: &[u8]) {
        _ = self.tcp.write_all(bytes);
    }

    /// The next record; `None` once the server has closed.
    pub fn record(&mut self) -> Option<(Kind, Vec<u8>)> {
        let mut head = [0; HEAD];
        self.tcp.read_exact(&mut head).ok()?;
        let head = Head::read(head).expect("the server sends records");
        let mut body = vec![0; head.len];
        self.tcp.read_exact(&mut body).ok()?;
        Some((head.kind, body))
    }

    /// The alert that the server ends with, in clear; `None` when it closes without one.
    pub fn alert(&mut self) -> Option<Alert> {
        loop {
            match self.record()? {
                (Kind::Alert, body) => return Alert::read(&body).expect("an alert"),
                (Kind::Handshake | Kind::Data, _) => {}
            }
        }
    }
}

/// An open connection.
pub struct Itls {
    /// Below it.
    pub line: Line,
    /// This end's keys.
    pub sender: Sender,
    receiver: Receiver,
    text: Vec<u8>,
}

impl Itls {
    /// Shakes hands; gives back the connection with the identity and key, which may have come in it.
    ///
    /// # Errors
    /// `End`.
    pub fn shake(
        address: SocketAddr,
        product: &str,
        suites: Suites,
        who: Who<'_>,
    ) -> Result<(Itls, Id, SoftKey), End> {
        let mut line = Line::open(address);
        let mut client = Client::new(product.as_bytes(), suites).map_err(End::Ours)?;
        let mut out = [0; OUT_MAX];
        let session = Session::new(random());
        let (mut known, kind) = match who {
            Who::Known(id, key) => (Some((id, key)), None),
            Who::Asks(token, print) => {
                let mut request = [0; otp::CODE_MAX];
                let len = otp::auth_code(token, &session, print, &mut request).expect("a request");
                let request = Err(&request[..len]);
                let len = client.hello(request, random(), &mut out).expect("a hello");
                line.send(&out[..len]);
                (None, Some(token.key_type()))
            }
        };
        if let Some((id, _)) = &known {
            let len = client.hello(Ok(id), random(), &mut out).expect("a hello");
            line.send(&out[..len]);
        }
        loop {
            let (kind_of, mut body) = line.record().ok_or(End::Gone)?;
            let len = match client.take(kind_of, &mut body).map_err(End::Ours)? {
                Event::More => continue,
                Event::End(alert) => return Err(End::Told(alert)),
                Event::Provision => {
                    let data = client.provision().expect("it is there");
                    let kind = kind.expect("it was asked for");
                    let (id, key) = otp::load(kind, &session, data).expect("an identity");
                    let len = client.hello(Ok(&id), random(), &mut out).expect("a hello");
                    known = Some((id, key));
                    len
                }
                Event::Challenge => {
                    let (id, key) = known.as_ref().expect("it has said who it is");
                    let challenge = client.challenge().expect("it is there").to_owned();
                    let code = code(id, key, &challenge);
                    client
                        .prove(id, code.as_bytes(), random(), &mut out)
                        .expect("a proof")
                }
                Event::Greeting => {
                    let (id, key) = known.as_ref().expect("it has said who it is");
                    let (code, sealed) = client.greeting().expect("it is there");
                    let challenge = client.device_challenge();
                    device::check_server(key, id, Form::Plain, code, &challenge, None)
                        .expect("the server has the key");
                    let mut secret = [0; 64];
                    let len = device::decrypt(key, sealed, &mut secret).expect("a secret");
                    let secret = secret[..len].try_into().expect("48 bytes");
                    client.accept(&secret, &random(), &mut out).expect("room")
                }
                Event::Done => {
                    let (sender, receiver) = client.ends().expect("it is done");
                    let (id, key) = known.expect("it has proven itself");
                    let text = Vec::new();
                    let open = Itls {
                        line,
                        sender,
                        receiver,
                        text,
                    };
                    return Ok((open, id, key));
                }
            };
            line.send(&out[..len]);
        }
    }

    /// The next record, opened.
    pub fn hear(&mut self) -> Option<Result<Vec<u8>, Alert>> {
        loop {
            let (kind, mut body) = self.line.record()?;
            match self.receiver.take(kind, &mut body).expect("of our keys") {
                Said::Data { from, to } => {
                    assert!(to - from <= 1024, "the hello asked for no more");
                    return Some(Ok(body[from..to].to_vec()));
                }
                Said::Nothing => {}
                Said::End(alert) => return Some(Err(alert)),
            }
        }
    }
}

/// A device's code over a challenge.
pub fn code(id: &Id, key: &SoftKey, challenge: &str) -> String {
    let mut code = [0; 512];
    let fresh = Fresh::Challenge(challenge);
    let len = device::auth_code(key, id, Form::Plain, fresh, None, random(), &mut code);
    String::from_utf8(code[..len.expect("a code")].to_vec()).expect("text")
}

impl Read for Itls {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.text.is_empty() {
            match self.hear() {
                Some(Ok(text)) => self.text = text,
                None | Some(Err(Alert::CloseNotify)) => return Ok(0),
                Some(Err(alert)) => return Err(io::Error::other(alert)),
            }
        }
        let len = self.text.len().min(out.len());
        out[..len].copy_from_slice(&self.text[..len]);
        self.text.drain(..len);
        Ok(len)
    }
}

impl Write for Itls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(1024)];
        let mut out = vec![0; Sender::sealed_len(bytes.len())];
        let sealed = self.sender.seal(Kind::Data, bytes, &random(), &mut out);
        sealed.map_err(io::Error::other)?;
        self.line.tcp.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
