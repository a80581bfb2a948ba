//! Real sockets, a small dialect, and a hub that only takes notes.

mod bounds;
mod channels;
mod guests;
mod log;
mod orders;
mod routing;
mod sessions;
mod wills;

use super::*;
use crate::{
    Bounds, BoxedStream, Listener, Plain, Porter, Security, Speaks, Terms,
    desk::Desk,
    tls::{self, Tls},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use hub::edge::{
    Greeting, Hello, Inbound, Outbound, Peer, Profile, Refusal, RefusalCode, Session, Uplink, Verb,
    Welcome,
};
use model::{
    command::{Command, CommandState, Order},
    error::Fault,
    id::{AccountId, CommandId, DeviceKey, IotId, NodeId, ProductKey, SessionId, Time},
    port::{Audience, CloseReason, Signal, Word},
    product::{DataFormat, DynamicRegistration, MqttExtras, NodeKind, Product, ProductState},
};
use openssl::ssl::{SslConnector, SslMethod};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::TcpStream,
    sync::{Notify, Semaphore, mpsc::Receiver},
};
use tokio_openssl::SslStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};
use wire::mqtt::{
    Ack, Connect, Decoder, Disconnect, Packet, PacketId, Properties, Property, Publish, QoS,
    ReasonCode, Secret, Subscribe, SubscribeFilter, SubscribeOptions, Text, TopicFilter, TopicName,
    Unsubscribe, Version, Will, encode,
};

/// What the hub was told.
#[derive(Default)]
struct Notes {
    left: Mutex<Vec<SessionId>>,
    /// Whether the next device that is offline cannot be noted.
    trouble: AtomicBool,
    closed: Mutex<Vec<(SessionId, String)>>,
    told: Notify,
    commands: Mutex<Vec<Command>>,
    /// Told of every command that is marked as sent.
    sent: Notify,
    dropped: AtomicU64,
}

#[async_trait]
impl Desk for Notes {
    async fn leave(&self, session: &Session) -> Result<bool, Fault> {
        let mut left = self.left.lock();
        let first = !left.contains(&session.id);
        left.push(session.id);
        Ok(first)
    }

    async fn offline(&self, session: &Session, reason: &str) -> Result<(), Fault> {
        if self.trouble.swap(false, Ordering::SeqCst) {
            return Err(Fault::passing("no room on the disk"));
        }
        self.closed.lock().push((session.id, reason.into()));
        self.told.notify_one();
        Ok(())
    }

    async fn waiting(&self, session: &Session) -> Result<Vec<Command>, Fault> {
        let commands = self.commands.lock();
        let waits = |command: &&Command| {
            command.iot_id == session.iot_id && command.state == CommandState::Waiting
        };
        Ok(commands.iter().filter(waits).cloned().collect())
    }

    async fn sent(&self, _: &Session, id: CommandId) -> Result<bool, Fault> {
        let mut commands = self.commands.lock();
        let command = commands
            .iter_mut()
            .find(|command| command.id == id)
            .unwrap();
        let before = std::mem::replace(&mut command.state, CommandState::Sent);
        self.sent.notify_one();
        Ok(before == CommandState::Waiting)
    }

    async fn recall(&self, _: &IotId, _: u32) -> Result<Option<Session>, Fault> {
        Ok(None)
    }

    fn up(&self) {}

    fn down(&self, _: u64) {}

    fn throttled(&self, _: &'static str) {}

    fn dropped(&self, _: &'static str, count: u64) {
        self.dropped.fetch_add(count, Ordering::SeqCst);
    }
}

impl Notes {
    /// The ends of sessions, once there are `count`.
    async fn closed(&self, count: usize) -> Vec<(SessionId, String)> {
        loop {
            let closed = self.closed.lock().clone();
            if closed.len() >= count {
                return closed;
            }
            self.told.notified().await;
        }
    }

    fn command(&self, device: &str, id: u32) {
        let (device, iot_id) = (key(device), IotId::parse(device).unwrap());
        self.commands.lock().push(Command {
            id: CommandId(id),
            device,
            iot_id,
            order: Order::SetProperties(serde_json::Map::new()),
            created: Time(0),
            until: Time(i64::MAX),
            state: CommandState::Waiting,
        });
    }
}

struct Lines(Mutex<Option<Receiver<Word>>>);

#[async_trait]
impl Bus for Lines {
    fn node(&self) -> NodeId {
        NodeId::parse("node").unwrap()
    }

    async fn send(&self, _: &NodeId, _: Signal) -> Result<(), Fault> {
        Ok(())
    }

    async fn send_all(&self, _: Signal) -> Result<(), Fault> {
        Ok(())
    }

    async fn send_and_wait(&self, _: Option<&NodeId>, _: Signal) -> Result<(), Fault> {
        Ok(())
    }

    fn receive(&self) -> Option<Receiver<Word>> {
        self.0.lock().take()
    }
}

fn key(device: &str) -> DeviceKey {
    DeviceKey::parse("pk", device).unwrap()
}

/// A device may use topics under its user name. `.../post` is answered on `.../post_reply`, a
/// system topic; `.../fault` fails; `.../slow` waits for a permit; the rest goes to subscribers.
struct Simple {
    sessions: AtomicU64,
    slow: Semaphore,
    /// Told of every message that begins to be worked on.
    begun: Mutex<Vec<String>>,
}

impl Simple {
    fn profile(client_id: &str) -> Profile {
        let full = client_id.contains("full");
        Profile {
            qos: if full { 2 } else { 1 },
            retain: full,
            will: full,
            lenient: !client_id.contains("strict"),
        }
    }
}

#[async_trait]
impl Dialect for Simple {
    fn name(&self) -> &'static str {
        "simple"
    }

    async fn greet(&self, hello: &Hello) -> Greeting {
        let Some(user) = &hello.user else {
            return Greeting::NotMine;
        };
        if hello.client_id.contains("late") {
            self.begun.lock().push("late".into());
            self.slow.acquire().await.unwrap().forget();
        }
        if hello.client_id.contains("visit") {
            return Greeting::Visit(vec![to("secret", "42", 0), to("other", "43", 1)]);
        }
        let code = match hello.password.as_deref() {
            Some(b"right") => None,
            Some(b"id") => Some(RefusalCode::ClientId),
            Some(b"later") => Some(RefusalCode::Unavailable),
            Some(b"form") => Some(RefusalCode::Credentials),
            _ => Some(RefusalCode::NotAuthorised),
        };
        if let Some(code) = code {
            return Greeting::Refuse(Refusal {
                code,
                reason: "no".into(),
            });
        }
        let product = Product {
            key: ProductKey::parse("pk").unwrap(),
            account: AccountId::parse("a").unwrap(),
            name: String::new(),
            description: String::new(),
            node: NodeKind::Device,
            format: DataFormat::Alink,
            modelled: false,
            state: ProductState::Development,
            registration: DynamicRegistration::Off,
            strict_channel: false,
            mqtt: MqttExtras::default(),
            created: Time(0),
            labels: BTreeMap::new(),
            topics: Vec::new(),
            tags: BTreeMap::new(),
        };
        Greeting::Welcome(Box::new(Welcome {
            session: Session {
                id: SessionId(self.sessions.fetch_add(1, Ordering::SeqCst)),
                device: key(user),
                iot_id: IotId::parse(user).unwrap(),
                product: Arc::new(product),
                peer: hello.peer,
                marks: 0,
                via: None,
            },
            implicit: hello.client_id.contains("implicit"),
            profile: Self::profile(&hello.client_id),
        }))
    }

    fn may(&self, session: &Session, _: Verb, topic: &str) -> bool {
        let own = format!("{}/", session.device.name);
        topic.starts_with(&own) || topic.starts_with("all/")
    }

    fn extras(&self, _: &Session, topic: &str) -> bool {
        !topic.ends_with("/post")
    }

    async fn uplink(&self, session: &Session, inbound: Inbound) -> Result<Uplink, Fault> {
        self.begun.lock().push(inbound.topic.clone());
        match inbound.topic.rsplit('/').next() {
            Some("post") => Ok(Uplink {
                replies: vec![Outbound {
                    topic: format!("{}/post_reply", session.device.name),
                    payload: inbound.payload,
                    qos: 1,
                    system: true,
                }],
                fan_out: false,
                came: false,
            }),
            Some("fault") => Err(Fault::passing("no disk")),
            Some("slow") => {
                self.slow.acquire().await.unwrap().forget();
                Ok(Uplink::default())
            }
            Some("panic") => panic!("a bug"),
            _ => Ok(Uplink {
                replies: Vec::new(),
                fan_out: true,
                came: false,
            }),
        }
    }

    fn downlink(&self, session: &Session, command: &Command) -> Vec<Outbound> {
        vec![Outbound {
            topic: format!("{}/set", session.device.name),
            payload: command.id.to_string().into(),
            qos: 1,
            system: true,
        }]
    }
}

fn to(topic: &str, payload: &'static str, qos: u8) -> Outbound {
    Outbound {
        topic: topic.into(),
        payload: payload.into(),
        qos,
        system: true,
    }
}

/// A server with three listeners: everything, TLS only, MQTT only; and perhaps a plain one.
struct Server {
    running: Running,
    notes: Arc<Notes>,
    dialect: Arc<Simple>,
    bus: tokio::sync::mpsc::Sender<Word>,
    folder: tempfile::TempDir,
}

fn server() -> Server {
    server_with(Bounds::default())
}

fn server_with(bounds: Bounds) -> Server {
    server_of(bounds, None)
}

/// A server with a plain listener behind the others, at index 3.
fn server_of(bounds: Bounds, plain: Option<Plain>) -> Server {
    let (folder, settings) = tls::tests::sample();
    let tls = Arc::new(Tls::new(&settings).unwrap());
    let address = "127.0.0.1:0".parse().unwrap();
    let all = Speaks {
        mqtt: true,
        websocket: true,
        http: true,
    };
    let listener = |security, speaks| Listener {
        address,
        security,
        speaks,
        plain: None,
    };
    let bare = Speaks {
        mqtt: true,
        websocket: false,
        http: false,
    };
    let http: crate::HttpService = Arc::new(|stream, peer| Box::pin(echo(stream, peer)));
    let mut listeners = vec![
        listener(Security::Either(tls.clone()), all),
        listener(Security::Encrypted(tls.clone()), all),
        listener(Security::Clear, bare),
    ];
    listeners.extend(plain.map(|plain| Listener {
        plain: Some(plain),
        ..listener(Security::Either(tls), Speaks { http: false, ..all })
    }));
    let settings = Settings {
        listeners,
        http: Some(http),
        bounds,
        keep: None,
    };
    let notes = Arc::new(Notes::default());
    let dialect = Arc::new(Simple {
        sessions: AtomicU64::new(0),
        slow: Semaphore::new(0),
        begun: Mutex::default(),
    });
    let (bus, signals) = tokio::sync::mpsc::channel(8);
    let lines = Lines(Mutex::new(Some(signals)));
    let running = Access::open(notes.clone(), &lines, vec![dialect.clone()], settings).unwrap();
    Server {
        running,
        notes,
        dialect,
        bus,
        folder,
    }
}

/// Serves HTTP: tells what came, and over which channel.
async fn echo(mut stream: BoxedStream, peer: Peer) {
    let mut bytes = vec![0; 1024];
    let size = stream.read(&mut bytes).await.unwrap();
    let line = String::from_utf8_lossy(&bytes[..size]);
    let answer = format!("{} {}", peer.channel.name(), line.lines().next().unwrap());
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

impl Server {
    async fn tcp(&self, listener: usize) -> TcpStream {
        TcpStream::connect(self.running.addresses()[listener])
            .await
            .unwrap()
    }

    async fn tls(&self, listener: usize) -> SslStream<TcpStream> {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder
            .set_ca_file(self.folder.path().join("ca.pem"))
            .unwrap();
        let ssl = builder.build().configure().unwrap();
        let ssl = ssl
            .use_server_name_indication(false)
            .into_ssl("localhost")
            .unwrap();
        let mut stream = SslStream::new(ssl, self.tcp(listener).await).unwrap();
        Pin::new(&mut stream).connect().await.unwrap();
        stream
    }

    /// A plain MQTT 3.1.1 client that is let in.
    async fn device(&self, client_id: &str, user: &str) -> Client {
        self.client(connect(Version::V311, client_id, user)).await
    }

    /// Returns when the signals that were sent so far have been passed on, in their order.
    async fn heard(&self) {
        let mut listener = self.device("c", "listener").await;
        listener.subscribe("all/heard").await;
        let word = Signal::Publish {
            to: Audience::Device(IotId::parse("listener").unwrap()),
            topic: "all/heard".into(),
            payload: Bytes::new(),
            qos: 0,
            system: false,
        };
        self.bus.send(word.into()).await.unwrap();
        listener.message().await;
    }

    async fn client(&self, connect: Connect) -> Client {
        self.client_of(0, connect).await
    }

    /// A client of a listener that is let in.
    async fn client_of(&self, listener: usize, connect: Connect) -> Client {
        let mut client = Client::new(Box::new(self.tcp(listener).await), connect.version);
        client.send(&Packet::Connect(Box::new(connect))).await;
        assert_eq!(client.connack().await, ReasonCode::Success);
        client
    }
}

/// Frames on one side, bytes on the other.
async fn websocket<S: crate::Duplex + 'static>(stream: S, path: &str) -> BoxedStream {
    let mut request = format!("ws://localhost{path}")
        .into_client_request()
        .unwrap();
    request.headers_mut().insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("other, mqtt"),
    );
    let (socket, response) = client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(carry(socket, far));
    Box::new(near)
}

async fn carry<S: crate::Duplex>(socket: WebSocketStream<S>, bytes: tokio::io::DuplexStream) {
    let (mut sink, mut source) = socket.split();
    let (mut read, mut write) = tokio::io::split(bytes);
    let up = async {
        let mut byte = [0];
        // A frame for every byte: packets span frames.
        while read.read_exact(&mut byte).await.is_ok() {
            let frame = Message::Binary(Bytes::copy_from_slice(&byte));
            if sink.send(frame).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(bytes) = message {
                write.write_all(&bytes).await.unwrap();
            }
        }
        write.shutdown().await.unwrap();
    };
    tokio::join!(up, down);
}

fn connect(version: Version, client_id: &str, user: &str) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id: Text::try_from(client_id).unwrap(),
        will: None,
        username: Some(Text::try_from(user).unwrap()),
        password: Some(Secret::new("right").unwrap()),
        properties: Properties::new(),
    }
}

struct Client {
    stream: BoxedStream,
    decoder: Decoder,
    input: BytesMut,
    version: Version,
}

impl Client {
    fn new(stream: BoxedStream, version: Version) -> Self {
        Self {
            stream,
            decoder: Decoder::client(version, 1 << 20),
            input: BytesMut::new(),
            version,
        }
    }

    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next packet, or `None` at the end of the connection.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(packet);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn connack(&mut self) -> ReasonCode {
        match self.next().await {
            Some(Packet::ConnAck(ack)) => ack.reason,
            other => panic!("{other:?}"),
        }
    }

    async fn publish(&mut self, topic: &str, payload: &'static str, qos: QoS) {
        let mut publish = Publish::new(TopicName::try_from(topic).unwrap(), payload);
        publish.qos = qos;
        publish.packet_id = (qos != QoS::AtMostOnce).then(|| id(7));
        self.send(&Packet::Publish(publish)).await;
    }

    /// The verdict on one filter.
    async fn subscribe(&mut self, filter: &str) -> ReasonCode {
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: id(9),
            filters: vec![SubscribeFilter {
                filter: TopicFilter::try_from(filter).unwrap(),
                options: SubscribeOptions::at(QoS::ExactlyOnce),
            }],
            properties: Properties::new(),
        }))
        .await;
        match self.next().await {
            Some(Packet::SubAck(ack)) => ack.reasons[0],
            other => panic!("{other:?}"),
        }
    }

    async fn unsubscribe(&mut self, filter: &str) {
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: id(11),
            filters: vec![TopicFilter::try_from(filter).unwrap()],
            properties: Properties::new(),
        }))
        .await;
        assert!(matches!(self.next().await, Some(Packet::UnsubAck(_))));
    }

    /// The next message, which is acknowledged.
    async fn message(&mut self) -> (String, String) {
        match self.next().await {
            Some(Packet::Publish(publish)) => {
                if let Some(id) = publish.packet_id {
                    let ack = Ack::new(id, ReasonCode::Success);
                    if publish.qos == QoS::ExactlyOnce {
                        self.send(&Packet::PubRec(ack.clone())).await;
                        assert!(matches!(self.next().await, Some(Packet::PubRel(_))));
                        self.send(&Packet::PubComp(ack)).await;
                    } else {
                        self.send(&Packet::PubAck(ack)).await;
                    }
                }
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                (publish.topic.to_string(), payload)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Nothing else is on its way: the answer to PINGREQ comes next.
    async fn quiet(&mut self) {
        self.send(&Packet::PingReq).await;
        assert_eq!(self.next().await, Some(Packet::PingResp));
    }

    async fn puback(&mut self) -> ReasonCode {
        match self.next().await {
            Some(Packet::PubAck(ack)) => ack.reason,
            other => panic!("{other:?}"),
        }
    }
}

fn id(id: u16) -> PacketId {
    NonZeroU16::new(id).unwrap()
}

/// All that a server says to these bytes until it closes.
async fn answer(stream: impl crate::Duplex, bytes: &[u8]) -> String {
    let mut stream = stream;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
