//! A blocking MQTT client over the product's own codec, for what the SDKs cannot be made to send.

use crate::PATIENCE;
use bytes::BytesMut;
use openssl::ssl::{SslConnector, SslMethod};
use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU16,
    path::Path,
};
use wire::mqtt::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Packet, Properties, Publish, QoS, ReasonCode,
    Subscribe, SubscribeFilter, SubscribeOptions, Text, TopicFilter, TopicName, Unsubscribe,
    Version, encode,
};

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What a device shows when it connects.
#[derive(Clone, Debug)]
pub struct Login {
    /// Client id with its parameters.
    pub client_id: String,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl Login {
    /// A login signed with the device's secret by HMAC-SHA1, without a timestamp.
    pub fn signed(product: &str, device: &str, secret: &str, parameters: &str) -> Self {
        use credential::{
            Secret,
            alink::{Channel, SignMethod, sign},
        };
        let base = format!("{product}.{device}");
        let fields = [
            ("clientId", base.as_str()),
            ("deviceName", device),
            ("productKey", product),
        ];
        let secret = Secret::new(secret.as_bytes().to_vec());
        let method = SignMethod::parse("hmacsha1").expect("a method");
        Self {
            client_id: format!("{base}|securemode=3,signmethod=hmacsha1{parameters}|"),
            user: format!("{device}&{product}"),
            password: sign(&secret, method, Channel::MqttDirect, &fields),
        }
    }
}

/// An open connection.
pub struct Mqtt {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: BytesMut,
    version: Version,
    next_id: u16,
    seen: VecDeque<Packet>,
}

impl Mqtt {
    /// Opens a TCP connection, and TLS in it when a CA is given.
    pub fn open(address: SocketAddr, ca: Option<&Path>, version: Version) -> Self {
        let tcp = TcpStream::connect(address).expect("the listener listens");
        Self::over(tcp, ca, version)
    }

    /// Opens a TCP connection to a server that may be away; `None` when it is.
    pub fn try_open(address: SocketAddr, version: Version) -> Option<Self> {
        let tcp = TcpStream::connect(address).ok()?;
        Some(Self::over(tcp, None, version))
    }

    fn over(tcp: TcpStream, ca: Option<&Path>, version: Version) -> Self {
        tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
        tcp.set_nodelay(true).expect("a socket");
        let stream: Box<dyn Stream> = match ca {
            None => Box::new(tcp),
            Some(ca) => {
                let mut tls = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
                tls.set_ca_file(ca).expect("a CA");
                Box::new(
                    tls.build()
                        .connect("localhost", tcp)
                        .expect("a TLS handshake"),
                )
            }
        };
        Self::on(stream, version)
    }

    /// Over a stream that is open already.
    pub fn through(stream: impl Read + Write + Send + 'static, version: Version) -> Self {
        Self::on(Box::new(stream), version)
    }

    fn on(stream: Box<dyn Stream>, version: Version) -> Self {
        Self {
            stream,
            decoder: Decoder::client(version, 1 << 20),
            buffer: BytesMut::new(),
            version,
            next_id: 0,
            seen: VecDeque::new(),
        }
    }

    /// Sends CONNECT and gives back the verdict.
    pub fn connect(&mut self, login: &Login, clean: bool, keep_alive: u16) -> ConnAck {
        self.hello(login, clean, keep_alive);
        match self.receive() {
            Some(Packet::ConnAck(verdict)) => verdict,
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    /// Sends CONNECT.
    pub fn hello(&mut self, login: &Login, clean: bool, keep_alive: u16) {
        let text = |text: &str| Text::new(text.to_owned()).expect("a text");
        self.send(&Packet::Connect(Box::new(Connect {
            version: self.version,
            clean_start: clean,
            keep_alive,
            client_id: text(&login.client_id),
            will: None,
            username: Some(text(&login.user)),
            password: Some(
                wire::mqtt::Secret::new(login.password.clone().into_bytes()).expect("a password"),
            ),
            properties: Properties::new(),
        })));
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).expect("a packet that can be written");
        // A server that refuses may close before all is sent.
        _ = self.stream.write_all(&bytes);
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        _ = self.stream.write_all(bytes);
    }

    /// The next packet; `None` once the server closed the connection.
    pub fn receive(&mut self) -> Option<Packet> {
        if let Some(packet) = self.seen.pop_front() {
            return Some(packet);
        }
        self.read()
    }

    fn read(&mut self) -> Option<Packet> {
        loop {
            let decoded = self
                .decoder
                .decode(&mut self.buffer)
                .expect("the server sends packets");
            if decoded.is_some() {
                return decoded;
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("the server is silent"),
                Err(_) => return None,
            }
        }
    }

    /// Waits for a packet that `wanted` likes; the others stay for later.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Packet) -> bool) -> Packet {
        if let Some(at) = self.seen.iter().position(&wanted) {
            return self.seen.remove(at).expect("it is there");
        }
        loop {
            match self.read() {
                Some(packet) if wanted(&packet) => return packet,
                Some(packet) => self.seen.push_back(packet),
                None => panic!("closed before {what}; seen: {:?}", self.seen),
            }
        }
    }

    /// Waits for a message on a topic, acknowledges it, and gives its payload back.
    pub fn message(&mut self, topic: &str) -> Vec<u8> {
        let what = format!("a message on {topic}");
        let packet = self.wait(
            &what,
            |p| matches!(p, Packet::Publish(p) if &*p.topic == topic),
        );
        let Packet::Publish(message) = packet else {
            unreachable!("it was asked for")
        };
        if let (QoS::AtLeastOnce, Some(id)) = (message.qos, message.packet_id) {
            self.send(&Packet::PubAck(Ack::new(id, ReasonCode::Success)));
        }
        message.payload.to_vec()
    }

    fn id(&mut self) -> NonZeroU16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        NonZeroU16::new(self.next_id).expect("from 1")
    }

    /// Publishes at QoS 1 without waiting; gives back the packet id.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> NonZeroU16 {
        let id = self.id();
        let mut message = Publish::new(
            TopicName::new(topic.to_owned()).expect("a topic"),
            payload.to_vec(),
        );
        message.qos = QoS::AtLeastOnce;
        message.packet_id = Some(id);
        self.send(&Packet::Publish(message));
        id
    }

    /// Publishes at QoS 1 and waits for the acknowledgement.
    pub fn publish_acknowledged(&mut self, topic: &str, payload: &[u8]) {
        let id = self.publish(topic, payload);
        self.wait(
            "PUBACK",
            |p| matches!(p, Packet::PubAck(ack) if ack.packet_id == id),
        );
    }

    /// Subscribes at QoS 1 and gives back the verdict.
    pub fn subscribe(&mut self, filter: &str) -> ReasonCode {
        let id = self.id();
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: id,
            filters: vec![SubscribeFilter {
                filter: TopicFilter::new(filter.to_owned()).expect("a filter"),
                options: SubscribeOptions::at(QoS::AtLeastOnce),
            }],
            properties: Properties::new(),
        }));
        match self.wait(
            "SUBACK",
            |p| matches!(p, Packet::SubAck(a) if a.packet_id == id),
        ) {
            Packet::SubAck(ack) => ack.reasons[0],
            _ => unreachable!("it was asked for"),
        }
    }

    /// Unsubscribes and waits for the answer.
    pub fn unsubscribe(&mut self, filter: &str) {
        let id = self.id();
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: id,
            filters: vec![TopicFilter::new(filter.to_owned()).expect("a filter")],
            properties: Properties::new(),
        }));
        self.wait(
            "UNSUBACK",
            |p| matches!(p, Packet::UnsubAck(a) if a.packet_id == id),
        );
    }

    /// Asks whether the server is there; what it sent before the answer stays for later.
    pub fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.wait("PINGRESP", |p| matches!(p, Packet::PingResp));
    }

    /// Whether a message on the topic came before the answer to a ping.
    pub fn has_message(&mut self, topic: &str) -> bool {
        self.ping();
        self.seen
            .iter()
            .any(|p| matches!(p, Packet::Publish(p) if &*p.topic == topic))
    }

    /// Waits until the server closes the connection.
    pub fn closed(&mut self) {
        while self.read().is_some() {}
    }

    /// Says good-bye.
    pub fn disconnect(mut self) {
        self.send(&Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::new(),
        }));
    }
}
