//! MQTT clients by the hundred, on one thread.

use bytes::BytesMut;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslVerifyMode};
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    pin::Pin,
    sync::atomic::{AtomicU8, Ordering},
};
use tests::mqtt::Login;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpSocket,
};
use tokio_openssl::SslStream;
use wire::mqtt::{
    Ack, Connect, Decoder, Packet, Properties, Publish, QoS, ReasonCode, Secret, Subscribe,
    SubscribeFilter, SubscribeOptions, Text, TopicFilter, TopicName, Version, encode,
};

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One client.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: BytesMut,
    out: BytesMut,
}

/// How to make TLS connections, without checking whom they lead to: it is this machine.
pub(crate) fn tls() -> SslConnector {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
    builder.set_verify(SslVerifyMode::NONE);
    builder.build()
}

/// Many short connections from one address use up its ports; 127.0.0.0/8 has more.
fn source() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let last = NEXT.fetch_add(1, Ordering::Relaxed) % 64 + 1;
    (Ipv4Addr::new(127, 0, 1, last), 0).into()
}

impl Client {
    /// Connects and logs in.
    pub(crate) async fn open(
        address: SocketAddr,
        tls: Option<&SslConnector>,
        login: &Login,
    ) -> Self {
        let verdict = Self::try_open(address, tls, login).await;
        verdict.unwrap_or_else(|why| panic!("no welcome but {why}"))
    }

    /// Connects and logs in; an answer that is no welcome, or none, is told.
    pub(crate) async fn try_open(
        address: SocketAddr,
        tls: Option<&SslConnector>,
        login: &Login,
    ) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(source()).expect("a local port");
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let tcp = socket.connect(address).await.map_err(|e| told(&e))?;
        tcp.set_nodelay(true).expect("a socket");
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some(tls) => {
                let config = tls.configure().expect("OpenSSL").verify_hostname(false);
                let ssl: Ssl = config.into_ssl("localhost").expect("OpenSSL");
                let mut stream = SslStream::new(ssl, tcp).expect("OpenSSL");
                let shaken = Pin::new(&mut stream).connect().await;
                shaken.map_err(|e| told(&e))?;
                Box::new(stream)
            }
        };
        let mut client = Self {
            stream,
            decoder: Decoder::client(Version::V311, 1 << 20),
            buffer: BytesMut::new(),
            out: BytesMut::new(),
        };
        let text = |text: &str| Text::new(text.to_owned()).expect("a text");
        client.put(&Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: 1200,
            client_id: text(&login.client_id),
            will: None,
            username: Some(text(&login.user)),
            password: Some(Secret::new(login.password.clone().into_bytes()).expect("a password")),
            properties: Properties::new(),
        })));
        let hello = client.out.split();
        let sent = client.stream.write_all(&hello).await;
        sent.map_err(|e| told(&e))?;
        match client.next().await {
            Some(Packet::ConnAck(verdict)) if verdict.reason == ReasonCode::Success => Ok(client),
            other => Err(format!("{other:?}")),
        }
    }

    /// Appends a packet to what the next flush sends.
    pub(crate) fn put(&mut self, packet: &Packet) {
        encode(packet, Version::V311, &mut self.out).expect("a packet that can be written");
    }

    /// Appends a QoS 1 message.
    pub(crate) fn put_message(&mut self, topic: &TopicName, id: NonZeroU16, payload: &[u8]) {
        let mut message = Publish::new(topic.clone(), payload.to_vec());
        message.qos = QoS::AtLeastOnce;
        message.packet_id = Some(id);
        self.put(&Packet::Publish(message));
    }

    /// Appends the acknowledgement of a QoS 1 message.
    pub(crate) fn put_ack(&mut self, id: NonZeroU16) {
        self.put(&Packet::PubAck(Ack::new(id, ReasonCode::Success)));
    }

    pub(crate) async fn flush(&mut self) {
        if !self.out.is_empty() {
            self.stream
                .write_all(&self.out)
                .await
                .expect("the server listens");
            self.stream.flush().await.expect("the server listens");
            self.out.clear();
        }
    }

    /// Subscribes at QoS 1.
    pub(crate) async fn subscribe(&mut self, filter: &str) {
        self.put(&Packet::Subscribe(Subscribe {
            packet_id: NonZeroU16::MAX,
            filters: vec![SubscribeFilter {
                filter: TopicFilter::new(filter.to_owned()).expect("a filter"),
                options: SubscribeOptions::at(QoS::AtLeastOnce),
            }],
            properties: Properties::new(),
        }));
        self.flush().await;
        match self.next().await {
            Some(Packet::SubAck(ack)) => {
                assert_eq!(ack.reasons, [ReasonCode::GrantedQoS1], "{filter}");
            }
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    /// The next packet; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.ready() {
                return Some(packet);
            }
            self.buffer.reserve(8 * 1024);
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// A packet that came already.
    pub(crate) fn ready(&mut self) -> Option<Packet> {
        self.decoder
            .decode(&mut self.buffer)
            .expect("the server sends packets")
    }
}
