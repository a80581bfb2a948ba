//! A connection: TCP or TLS, and MQTT 3.1.1 in it.

use crate::login::Login;
use bytes::{Bytes, BytesMut};
use openssl::ssl::SslConnector;
use std::{
    collections::{HashMap, VecDeque},
    io,
    num::NonZeroU16,
    pin::Pin,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_openssl::SslStream;
use wire::mqtt::{
    Ack, Connect, Decoder, Disconnect, Packet, Properties, Publish, QoS, ReasonCode, Secret, Text,
    TopicName, Version, encode,
};

/// Longest packet that is read, in bytes.
const PACKET: usize = 1 << 20;
/// Bytes that are read at once.
const READ: usize = 4 * 1024;
/// How long a connection may take to stand, and an answer to CONNECT.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds; a server pings nobody, so devices do.
pub(crate) const KEEP_ALIVE: u16 = 300;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where devices connect.
#[derive(Clone)]
pub struct Door {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// With TLS, and whom it trusts.
    pub tls: Option<SslConnector>,
}

/// What a message that was sent is to us when it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Post,
    /// That an upgrade of this body failed.
    Failure(usize),
    Other,
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NoLink {
    #[error("cannot be reached: {0}")]
    Away(String),
    #[error("refused: {0}")]
    Refused(String),
}

impl From<io::Error> for NoLink {
    fn from(error: io::Error) -> Self {
        Self::Away(error.kind().to_string())
    }
}

pub(crate) struct Link {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: BytesMut,
    out: BytesMut,
    last: u16,
    words: u64,
    waiting: HashMap<u16, Sent>,
    /// Came while something else was waited for.
    pub(crate) kept: VecDeque<Packet>,
}

/// Opens a stream, with TLS when there is a connector.
pub(crate) async fn reach(
    host: &str,
    port: u16,
    tls: Option<&SslConnector>,
) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(Box::new(tcp));
    };
    let ssl = tls.configure().and_then(|config| config.into_ssl(host));
    let mut stream = SslStream::new(ssl.map_err(io::Error::other)?, tcp)?;
    let shaken = Pin::new(&mut stream).connect().await;
    shaken.map_err(io::Error::other)?;
    Ok(Box::new(stream))
}

fn text(text: &str) -> Result<Text, NoLink> {
    Text::new(text.to_owned()).map_err(|error| NoLink::Refused(error.to_string()))
}

impl Link {
    /// Connects and logs in.
    pub(crate) async fn open(door: &Door, login: &Login) -> Result<Self, NoLink> {
        let opened = timeout(PATIENCE, Box::pin(Self::greet(door, login))).await;
        opened.unwrap_or_else(|_| Err(NoLink::Away("no answer".into())))
    }

    async fn greet(door: &Door, login: &Login) -> Result<Self, NoLink> {
        let stream = reach(&door.host, door.port, door.tls.as_ref()).await?;
        let mut link = Self {
            stream,
            decoder: Decoder::client(Version::V311, PACKET),
            buffer: BytesMut::new(),
            out: BytesMut::new(),
            last: 0,
            words: 0,
            waiting: HashMap::new(),
            kept: VecDeque::new(),
        };
        let password = Secret::new(login.password.clone().into_bytes());
        let password = password.map_err(|error| NoLink::Refused(error.to_string()))?;
        link.put(&Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: KEEP_ALIVE,
            client_id: text(&login.client_id)?,
            will: None,
            username: Some(text(&login.user)?),
            password: Some(password),
            properties: Properties::new(),
        })));
        link.flush().await?;
        match link.next().await {
            Some(Packet::ConnAck(verdict)) => match verdict.reason {
                ReasonCode::Success => Ok(link),
                reason => Err(NoLink::Refused(format!("{reason:?}"))),
            },
            Some(_) => Err(NoLink::Refused("no CONNACK".into())),
            None => Err(NoLink::Away("closed".into())),
        }
    }

    fn put(&mut self, packet: &Packet) {
        // What is too large to be written is not sent, as a device's buffer would have it.
        let _ = encode(packet, Version::V311, &mut self.out);
    }

    /// The number of the next request.
    pub(crate) fn word(&mut self) -> String {
        self.words += 1;
        self.words.to_string()
    }

    /// Appends a QoS 0 message to what the next flush sends.
    pub(crate) fn say(&mut self, topic: &str, payload: impl Into<Bytes>) {
        if let Ok(topic) = TopicName::new(topic.to_owned()) {
            self.put(&Packet::Publish(Publish::new(topic, payload)));
        }
    }

    /// Appends a QoS 1 message.
    pub(crate) fn tell(&mut self, topic: &str, payload: impl Into<Bytes>, what: Sent) {
        // With all numbers in use, nothing was acknowledged for long: it is not sent.
        if self.waiting.len() >= usize::from(u16::MAX) / 2 {
            return;
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.waiting.contains_key(&self.last) {
                break;
            }
        }
        if let Ok(topic) = TopicName::new(topic.to_owned()) {
            let mut message = Publish::new(topic, payload);
            message.qos = QoS::AtLeastOnce;
            message.packet_id = NonZeroU16::new(self.last);
            self.put(&Packet::Publish(message));
            self.waiting.insert(self.last, what);
        }
    }

    /// What was acknowledged by this.
    pub(crate) fn acknowledged(&mut self, ack: &Ack) -> Option<Sent> {
        self.waiting.remove(&ack.packet_id.get())
    }

    pub(crate) fn ping(&mut self) {
        self.put(&Packet::PingReq);
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = self.out.split();
        let sent = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, sent)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Leaves in order.
    pub(crate) async fn leave(mut self) {
        self.put(&Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::new(),
        }));
        if self.flush().await.is_ok() {
            let _ = timeout(PATIENCE, self.stream.shutdown()).await;
        }
    }

    /// The next packet; `None` at the end. May be dropped while it waits without losing anything.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            match self.ready() {
                Ok(Some(packet)) => return Some(packet),
                Ok(None) => {}
                Err(()) => return None,
            }
            self.buffer.reserve(READ);
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// A packet that came already; an error when it is none. The acknowledgement that it wants goes
    /// out with the next flush, also when it is only looked at later: a server waits with further
    /// messages when too many of them are not acknowledged.
    pub(crate) fn ready(&mut self) -> Result<Option<Packet>, ()> {
        let packet = self.decoder.decode(&mut self.buffer).map_err(|_| ())?;
        if let Some(Packet::Publish(message)) = &packet
            && let Some(id) = message.packet_id
        {
            self.put(&Packet::PubAck(Ack::new(id, ReasonCode::Success)));
        }
        Ok(packet)
    }
}
