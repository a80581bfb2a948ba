//! Real sockets, a small dialect, and a hub that only takes notes.

use super::*;
use crate::{
    Bounds, BoxedStream, Listener, Security, Speaks,
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
    port::{Audience, CloseReason, Signal},
    product::{DataFormat, DynamicRegistration, NodeKind, Product, ProductState},
};
use openssl::ssl::{SslConnector, SslMethod};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
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
    closed: Mutex<Vec<(SessionId, String)>>,
    told: Notify,
    commands: Mutex<Vec<Command>>,
    dropped: AtomicU64,
}

#[async_trait]
impl Desk for Notes {
    async fn close(&self, session: &Session, reason: &str) -> Result<(), Fault> {
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
        Ok(before == CommandState::Waiting)
    }

    fn up(&self) {}

    fn down(&self, _: u64) {}

    fn dropped(&self, _: &'static str) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
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

struct Lines(Mutex<Option<Receiver<Signal>>>);

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

    fn receive(&self) -> Option<Receiver<Signal>> {
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
            },
            implicit: hello.client_id.contains("implicit"),
            profile: Self::profile(&hello.client_id),
        }))
    }

    fn may(&self, session: &Session, _: Verb, topic: &str) -> bool {
        let own = format!("{}/", session.device.name);
        topic.starts_with(&own) || topic.starts_with("all/")
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

/// A server with three listeners: everything, TLS only, MQTT only.
struct Server {
    running: Running,
    notes: Arc<Notes>,
    dialect: Arc<Simple>,
    bus: tokio::sync::mpsc::Sender<Signal>,
    folder: tempfile::TempDir,
}

fn server() -> Server {
    server_with(Bounds::default())
}

fn server_with(bounds: Bounds) -> Server {
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
    };
    let bare = Speaks {
        mqtt: true,
        websocket: false,
        http: false,
    };
    let http: crate::HttpService = Arc::new(|stream, peer| Box::pin(echo(stream, peer)));
    let settings = Settings {
        listeners: vec![
            listener(Security::Either(tls.clone()), all),
            listener(Security::Encrypted(tls), all),
            listener(Security::Clear, bare),
        ],
        http: Some(http),
        bounds,
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

    async fn client(&self, connect: Connect) -> Client {
        let mut client = Client::new(Box::new(self.tcp(0).await), connect.version);
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
                    self.send(&Packet::PubAck(ack)).await;
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

/// [AL-3.1] [AL-3.5] [AL-3.6] One port serves every channel, and MQTT works the same on each:
/// CONNECT, SUBSCRIBE, PUBLISH at QoS 1, PINGREQ, UNSUBSCRIBE, DISCONNECT.
#[tokio::test]
async fn every_channel_carries_mqtt() {
    let server = server();
    let streams: [BoxedStream; 6] = [
        Box::new(server.tcp(0).await),
        Box::new(server.tls(0).await),
        Box::new(server.tls(1).await),
        websocket(server.tcp(0).await, "/mqtt").await,
        websocket(server.tcp(0).await, "/").await,
        websocket(server.tls(0).await, "/mqtt?x=1").await,
    ];
    for (number, stream) in streams.into_iter().enumerate() {
        let mut client = Client::new(stream, Version::V311);
        let hello = connect(Version::V311, "c", &format!("lamp{number}"));
        client.send(&Packet::Connect(Box::new(hello))).await;
        assert_eq!(client.connack().await, ReasonCode::Success);
        let topic = format!("lamp{number}/x");
        assert_eq!(client.subscribe(&topic).await, ReasonCode::GrantedQoS1);
        client.publish(&topic, "hi", QoS::AtLeastOnce).await;
        assert_eq!(client.puback().await, ReasonCode::Success);
        assert_eq!(client.message().await, (topic.clone(), "hi".into()));
        client.unsubscribe(&topic).await;
        client.publish(&topic, "hi", QoS::AtMostOnce).await;
        client.quiet().await;
        let bye = Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::new(),
        };
        client.send(&Packet::Disconnect(bye)).await;
        assert_eq!(client.next().await, None);
        let closed = server.notes.closed(number + 1).await;
        assert_eq!(closed[number].1, "the device disconnected");
    }
}

/// [AL-3.1] All three versions; refusals have the code of the version.
#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_version() {
    let server = server();
    for (password, v3, v5) in [
        ("id", 2, ReasonCode::ClientIdNotValid),
        ("later", 3, ReasonCode::ServerUnavailable),
        ("form", 4, ReasonCode::BadUserNameOrPassword),
        ("wrong", 5, ReasonCode::NotAuthorized),
    ] {
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut hello = connect(version, "c", "lamp");
            hello.password = Some(Secret::new(password).unwrap());
            let mut client = Client::new(Box::new(server.tcp(0).await), version);
            client.send(&Packet::Connect(Box::new(hello))).await;
            let Some(Packet::ConnAck(ack)) = client.next().await else {
                panic!("no answer");
            };
            if version.is_v5() {
                assert_eq!(ack.reason, v5);
                assert_eq!(&**ack.properties.reason_string().unwrap(), "no");
            } else {
                assert_eq!(ack.reason.connect_return(), Some(v3));
            }
            assert_eq!(client.next().await, None);
        }
    }
    for version in [Version::V31, Version::V311, Version::V5] {
        server
            .client(connect(version, "c", "lamp"))
            .await
            .quiet()
            .await;
    }
}

/// [AL-3.4] Silence past one and a half intervals ends the connection; a PINGREQ in between does
/// not let it come to that.
#[tokio::test]
async fn silence_ends_a_connection() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    tokio::time::advance(Duration::from_secs(89)).await;
    client.quiet().await;
    assert_eq!(client.next().await, None);
    let silent = start.elapsed().as_secs();
    assert!((178..=181).contains(&silent), "{silent}");
    let closed = server.notes.closed(1).await;
    assert_eq!(closed[0].1, "the device was silent for too long");
}

/// [AL-3.4] A second connection with the same credentials closes the first, whatever its client
/// id; each session is closed once.
#[tokio::test]
async fn a_second_login_closes_the_first() {
    let server = server();
    let mut first = server.device("one", "lamp").await;
    let mut second = server.client(connect(Version::V5, "two", "lamp")).await;
    assert_eq!(first.next().await, None);
    let mut third = server.device("three", "lamp").await;
    let Some(Packet::Disconnect(bye)) = second.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::SessionTakenOver);
    drop(second);
    third.quiet().await;
    let mut closed = server.notes.closed(2).await;
    closed.sort();
    assert_eq!(
        closed[0],
        (SessionId(0), "the device connected again".into())
    );
    assert_eq!(
        closed[1],
        (SessionId(1), "the device connected again".into())
    );
    // The late word of the hub about the first session does not hit the third.
    let word = |session| Signal::Close {
        iot_id: IotId::parse("lamp").unwrap(),
        session,
        reason: CloseReason::TakenOver,
    };
    server.bus.send(word(Some(SessionId(0)))).await.unwrap();
    server.bus.send(word(Some(SessionId(2)))).await.unwrap();
    assert_eq!(third.next().await, None);
    assert_eq!(server.notes.closed(3).await.len(), 3);
}

/// spec/alink-wire.md §7: system topics come without a subscription; an explicit one on top does
/// not double them; UNSUBSCRIBE switches them off, SUBSCRIBE on again.
#[tokio::test]
async fn implicit_subscriptions_can_be_switched_off() {
    let server = server();
    let mut client = server.device("implicit", "lamp").await;
    client.publish("lamp/post", "1", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.1, "1");
    client.subscribe("lamp/+").await;
    client.publish("lamp/post", "2", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.1, "2");
    client.quiet().await;
    client.unsubscribe("lamp/+").await;
    client.publish("lamp/post", "3", QoS::AtMostOnce).await;
    client.quiet().await;
    client.subscribe("lamp/+").await;
    client.publish("lamp/post", "4", QoS::AtMostOnce).await;
    assert_eq!(client.message().await.1, "4");
    client.quiet().await;

    let mut explicit = server.device("c", "door").await;
    explicit.publish("door/post", "5", QoS::AtMostOnce).await;
    explicit.quiet().await;
}

/// [AL-3.12] Rights: SUBSCRIBE is answered 0x80 (0x87 in MQTT 5), a publish is dropped and
/// counted and acknowledged where the profile is lenient, and ends the connection elsewhere.
#[tokio::test]
async fn foreign_topics_are_out_of_reach() {
    let server = server();
    let mut door = server.device("c", "door").await;
    door.subscribe("door/#").await;
    let mut old = server.device("c", "lamp").await;
    assert_eq!(old.subscribe("door/x").await, ReasonCode::UnspecifiedError);
    old.publish("door/x", "boo", QoS::AtLeastOnce).await;
    assert_eq!(old.puback().await, ReasonCode::Success);
    assert_eq!(server.notes.dropped.load(Ordering::SeqCst), 1);
    let mut new = server.client(connect(Version::V5, "c", "lamp")).await;
    assert_eq!(new.subscribe("door/x").await, ReasonCode::NotAuthorized);
    new.publish("door/x", "boo", QoS::AtLeastOnce).await;
    assert_eq!(new.puback().await, ReasonCode::NotAuthorized);
    let mut strict = server.device("strict", "bell").await;
    strict.publish("door/x", "boo", QoS::AtLeastOnce).await;
    assert_eq!(strict.next().await, None);
    door.quiet().await;
}

/// What was not stored is not acknowledged: the connection ends, and the device tries again.
#[tokio::test]
async fn a_fault_is_no_acknowledgement() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    client.publish("lamp/fault", "x", QoS::AtLeastOnce).await;
    assert_eq!(client.next().await, None);
    let mut client = server.client(connect(Version::V5, "c", "lamp")).await;
    client.publish("lamp/fault", "x", QoS::AtLeastOnce).await;
    let Some(Packet::Disconnect(bye)) = client.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::UnspecifiedError);
}

/// Even a bug in a dialect leaves no session open in the hub.
#[tokio::test]
async fn a_panic_ends_one_connection_and_its_session() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    client.publish("lamp/panic", "x", QoS::AtLeastOnce).await;
    assert_eq!(client.next().await, None);
    let closed = server.notes.closed(1).await;
    assert_eq!(
        closed,
        [(SessionId(0), "the connection's task failed".into())]
    );
    server.device("c", "lamp").await.quiet().await;
}

/// Messages are worked on side by side but answered in order [MQTT-4.6.0-2], and those that were
/// taken are finished when the connection is gone.
#[tokio::test]
async fn answers_keep_the_order_of_messages() {
    let server = server();
    let mut client = server.device("c", "lamp").await;
    for (number, topic) in ["lamp/slow", "lamp/x"].into_iter().enumerate() {
        let mut publish = Publish::new(TopicName::try_from(topic).unwrap(), "");
        publish.qos = QoS::AtLeastOnce;
        publish.packet_id = Some(id(u16::try_from(number).unwrap() + 1));
        client.send(&Packet::Publish(publish)).await;
    }
    // The second has begun although the first is not done; PINGRESP overtakes both.
    client.quiet().await;
    assert_eq!(*server.dialect.begun.lock(), ["lamp/slow", "lamp/x"]);
    server.dialect.slow.add_permits(1);
    for number in [1, 2] {
        let Some(Packet::PubAck(ack)) = client.next().await else {
            panic!("no PUBACK");
        };
        assert_eq!(ack.packet_id, id(number));
    }
    client.publish("lamp/slow", "", QoS::AtMostOnce).await;
    client.quiet().await;
    drop(client);
    tokio::task::yield_now().await;
    assert!(server.notes.closed.lock().is_empty());
    server.dialect.slow.add_permits(1);
    assert_eq!(server.notes.closed(1).await.len(), 1);
}

/// A window full of messages makes the client wait; none is lost.
#[tokio::test]
async fn a_client_that_is_too_fast_is_slowed_down() {
    let server = server_with(Bounds {
        window: 2,
        ..Bounds::default()
    });
    let mut client = server.device("c", "lamp").await;
    for _ in 0..5 {
        client.publish("lamp/slow", "", QoS::AtMostOnce).await;
    }
    client.send(&Packet::PingReq).await;
    while server.dialect.begun.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    server.dialect.slow.add_permits(5);
    assert_eq!(client.next().await, Some(Packet::PingResp));
    assert_eq!(server.dialect.begun.lock().len(), 5);
}

/// Commands wait until the device listens to their topic, whether it subscribes or is told so by
/// the hub, and are marked as sent once.
#[tokio::test]
async fn commands_wait_for_a_device_that_listens() {
    let server = server();
    server.notes.command("lamp", 1);
    let mut client = server.device("c", "lamp").await;
    client.subscribe("lamp/other").await;
    client.quiet().await;
    client.subscribe("lamp/set").await;
    assert_eq!(client.message().await, ("lamp/set".into(), "1".into()));
    server.notes.command("lamp", 2);
    let iot_id = IotId::parse("lamp").unwrap();
    let word = Signal::CommandsWait { iot_id };
    server.bus.send(word).await.unwrap();
    assert_eq!(client.message().await, ("lamp/set".into(), "2".into()));

    server.notes.command("door", 3);
    let mut implicit = server.device("implicit", "door").await;
    assert_eq!(implicit.message().await, ("door/set".into(), "3".into()));
    let commands = server.notes.commands.lock();
    assert!(
        commands
            .iter()
            .all(|command| command.state == CommandState::Sent)
    );
}

/// Messages of applications reach one device, or those of a product who subscribe.
#[tokio::test]
async fn the_bus_reaches_subscribers() {
    let server = server();
    let mut lamp = server.device("c", "lamp").await;
    let mut door = server.device("c", "door").await;
    lamp.subscribe("all/#").await;
    door.subscribe("all/x").await;
    let publish = |to, topic: &str| Signal::Publish {
        to,
        topic: topic.into(),
        payload: "news".into(),
        qos: 1,
    };
    let product = |key| Audience::Product(ProductKey::parse(key).unwrap());
    let device = Audience::Device(IotId::parse("lamp").unwrap());
    for signal in [
        publish(product("other"), "all/x"),
        publish(product("pk"), "all/+"),
        publish(device, "all/y"),
        publish(product("pk"), "all/x"),
    ] {
        server.bus.send(signal).await.unwrap();
    }
    assert_eq!(lamp.message().await.0, "all/y");
    assert_eq!(lamp.message().await.0, "all/x");
    assert_eq!(door.message().await.0, "all/x");
    lamp.quiet().await;
    door.quiet().await;
}

/// A word to close a connection ends it at once, and one that is just coming in as well.
#[tokio::test]
async fn a_disabled_device_is_put_out() {
    let server = server();
    let mut client = server.client(connect(Version::V5, "c", "lamp")).await;
    let word = Signal::Close {
        iot_id: IotId::parse("lamp").unwrap(),
        session: None,
        reason: CloseReason::Disabled,
    };
    server.bus.send(word).await.unwrap();
    let Some(Packet::Disconnect(bye)) = client.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::AdministrativeAction);
    assert_eq!(client.next().await, None);
    drop(client);
    assert_eq!(server.notes.closed(1).await[0].1, "the device was disabled");
}

/// [AL-3.1] Clean session off: subscriptions and QoS 1 messages outlive the connection; with it on
/// they do not.
#[tokio::test]
async fn a_session_outlives_its_connection() {
    let server = server();
    let mut hello = connect(Version::V311, "c", "lamp");
    hello.clean_start = false;
    let mut client = server.client(hello.clone()).await;
    client.subscribe("all/#").await;
    drop(client);
    server.notes.closed(1).await;
    let mut door = server.device("c", "door").await;
    door.publish("all/0", "lost", QoS::AtMostOnce).await;
    door.publish("all/1", "kept", QoS::AtLeastOnce).await;
    door.puback().await;

    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
    client.send(&Packet::Connect(Box::new(hello.clone()))).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else {
        panic!("no CONNACK");
    };
    assert!(ack.session_present);
    assert_eq!(client.message().await, ("all/1".into(), "kept".into()));
    client.quiet().await;

    let mut client = server.device("c", "lamp").await;
    door.publish("all/2", "gone", QoS::AtLeastOnce).await;
    door.puback().await;
    client.quiet().await;
    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
    client.send(&Packet::Connect(Box::new(hello))).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else {
        panic!("no CONNACK");
    };
    assert!(!ack.session_present);
}

/// The queue of a device that is away is bounded; the oldest messages go first. Sessions beyond
/// their bound and their time are forgotten.
#[tokio::test]
async fn what_is_kept_for_those_away_is_bounded() {
    let server = server_with(Bounds {
        queue: 2,
        sessions: 1,
        ..Bounds::default()
    });
    for (number, user) in ["lamp", "bell"].into_iter().enumerate() {
        let mut hello = connect(Version::V311, "c", user);
        hello.clean_start = false;
        let mut client = server.client(hello).await;
        client.subscribe("all/#").await;
        drop(client);
        server.notes.closed(number + 1).await;
    }
    let mut door = server.device("c", "door").await;
    for payload in ["1", "2", "3"] {
        door.publish("all/x", payload, QoS::AtLeastOnce).await;
        door.puback().await;
    }
    let mut hello = connect(Version::V311, "c", "bell");
    hello.clean_start = false;
    let mut bell = server.client(hello).await;
    assert_eq!(bell.message().await.1, "2");
    assert_eq!(bell.message().await.1, "3");
    bell.quiet().await;
    let mut hello = connect(Version::V311, "c", "lamp");
    hello.clean_start = false;
    server.client(hello).await.quiet().await;
}

/// QoS 2, retained messages and wills work where the profile has them.
#[tokio::test]
async fn a_full_profile_has_all_of_mqtt() {
    let server = server();
    let mut hello = connect(Version::V311, "full", "lamp");
    hello.will = Some(Will {
        topic: TopicName::try_from("all/will").unwrap(),
        payload: wire::mqtt::Binary::new("farewell").unwrap(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::new(),
    });
    let mut lamp = server.client(hello).await;
    let mut door = server.device("c", "door").await;
    door.subscribe("all/#").await;
    lamp.publish("all/2", "twice", QoS::ExactlyOnce).await;
    assert!(matches!(lamp.next().await, Some(Packet::PubRec(_))));
    lamp.publish("all/2", "twice", QoS::ExactlyOnce).await;
    assert!(matches!(lamp.next().await, Some(Packet::PubRec(_))));
    let release = Ack::new(id(7), ReasonCode::Success);
    lamp.send(&Packet::PubRel(release)).await;
    assert!(matches!(lamp.next().await, Some(Packet::PubComp(_))));
    let mut kept = Publish::new(TopicName::try_from("all/kept").unwrap(), "last");
    kept.retain = true;
    lamp.send(&Packet::Publish(kept)).await;
    assert_eq!(door.message().await, ("all/2".into(), "twice".into()));
    assert_eq!(door.message().await, ("all/kept".into(), "last".into()));
    drop(lamp);
    assert_eq!(door.message().await, ("all/will".into(), "farewell".into()));
    let mut late = server.device("c", "bell").await;
    late.subscribe("all/+").await;
    assert_eq!(late.message().await, ("all/kept".into(), "last".into()));
}

/// Without them in the profile they end the connection, and a will does not begin one.
#[tokio::test]
async fn a_profile_keeps_its_bounds() {
    let server = server();
    for version in [Version::V311, Version::V5] {
        let mut client = server.client(connect(version, "c", "lamp")).await;
        client.publish("lamp/x", "", QoS::ExactlyOnce).await;
        let end = client.next().await;
        if version.is_v5() {
            let Some(Packet::Disconnect(bye)) = end else {
                panic!("{end:?}");
            };
            assert_eq!(bye.reason, ReasonCode::QoSNotSupported);
        } else {
            assert_eq!(end, None);
        }
        let mut client = server.client(connect(version, "c", "lamp")).await;
        let mut kept = Publish::new(TopicName::try_from("lamp/x").unwrap(), "");
        kept.retain = true;
        client.send(&Packet::Publish(kept)).await;
        assert_ne!(client.next().await, Some(Packet::PingResp));
        let mut hello = connect(version, "c", "bell");
        hello.will = Some(Will {
            topic: TopicName::try_from("bell/x").unwrap(),
            payload: wire::mqtt::Binary::default(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::new(),
        });
        let mut client = Client::new(Box::new(server.tcp(0).await), version);
        client.send(&Packet::Connect(Box::new(hello))).await;
        assert!(client.connack().await.is_error());
    }
    // The session that the hub had opened for it is closed.
    let closed = server.notes.closed(6).await;
    let will = closed
        .iter()
        .filter(|(_, why)| why == "no will may be left here");
    assert_eq!(will.count(), 2);
}

/// A member of a group gets what the others do not.
#[tokio::test]
async fn shared_subscriptions_take_turns() {
    let server = server();
    let mut members = Vec::new();
    for user in ["lamp", "door"] {
        let mut member = server.device("c", user).await;
        // The dialect is asked for the filter without the group.
        assert_eq!(
            member.subscribe("$share/g/all/x").await,
            ReasonCode::GrantedQoS1
        );
        members.push(member);
    }
    let mut bell = server.device("c", "bell").await;
    for _ in 0..4 {
        bell.publish("all/x", "turn", QoS::AtLeastOnce).await;
        bell.puback().await;
    }
    for mut member in members {
        assert_eq!(member.message().await.1, "turn");
        assert_eq!(member.message().await.1, "turn");
        member.quiet().await;
    }
}

/// spec/alink-wire.md §2.6: a device that comes to register is let in, gets what it came for, and
/// leaves by itself or is shown out.
#[tokio::test]
async fn a_visitor_gets_its_messages() {
    let server = server();
    for version in [Version::V311, Version::V5] {
        let mut client = server.client(connect(version, "visit", "lamp")).await;
        assert_eq!(client.message().await, ("secret".into(), "42".into()));
        assert_eq!(client.message().await, ("other".into(), "43".into()));
        client.publish("lamp/x", "ignored", QoS::AtLeastOnce).await;
        assert_eq!(client.puback().await, ReasonCode::Success);
        client.quiet().await;
    }
    let mut client = server.device("visit", "lamp").await;
    client.message().await;
    client.message().await;
    client.quiet().await;
    tokio::time::pause();
    assert_eq!(client.next().await, None);
    assert!(server.dialect.begun.lock().is_empty());
    assert!(server.notes.closed.lock().is_empty());
}

/// [AL-3.6] Frames may hold several packets; text is not MQTT; other paths and broken requests are
/// told why.
#[tokio::test]
async fn websocket_frames_are_binary_and_free_of_packet_bounds() {
    let server = server();
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    let offer = HeaderValue::from_static("mqttv3.1");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offer);
    let (mut socket, response) = client_async(request, server.tcp(0).await).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqttv3.1");
    let mut bytes = BytesMut::new();
    let hello = connect(Version::V311, "c", "lamp");
    encode(&Packet::Connect(Box::new(hello)), Version::V311, &mut bytes).unwrap();
    encode(&Packet::PingReq, Version::V311, &mut bytes).unwrap();
    socket.send(Message::Binary(bytes.freeze())).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 6 {
        got.extend(socket.next().await.unwrap().unwrap().into_data());
    }
    assert_eq!(got, b"\x20\x02\x00\x00\xd0\x00");
    socket.send(Message::text("hello")).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(matches!(message, Message::Close(_)));
    }

    for (request, status) in [
        (
            "GET /elsewhere HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "404",
        ),
        (
            "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "400",
        ),
        (
            "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "400",
        ),
    ] {
        let answer = answer(server.tcp(0).await, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

/// All that a server says to these bytes until it closes.
async fn answer(stream: impl crate::Duplex, bytes: &[u8]) -> String {
    let mut stream = stream;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// spec/alink-wire.md §1, item 10: other requests on the same port are HTTP's, in clear or not.
#[tokio::test]
async fn http_shares_the_port() {
    let server = server();
    let request = b"POST /auth HTTP/1.1\r\nHost: x\r\n\r\n";
    let plain = answer(server.tcp(0).await, request).await;
    assert_eq!(plain, "http POST /auth HTTP/1.1");
    let secure = answer(server.tls(0).await, request).await;
    assert_eq!(secure, "https POST /auth HTTP/1.1");
    // What is no HTTP after all is HTTP's to refuse.
    let long = [b"GET /".as_slice(), &[b'x'; 20_000]].concat();
    assert!(
        answer(server.tcp(0).await, &long)
            .await
            .starts_with("http GET /xxx")
    );
    let clear = answer(server.tcp(1).await, request).await;
    assert!(clear.starts_with("HTTP/1.1 400"), "{clear}");
}

/// What is not spoken here ends the connection, and so does what is too large or malformed.
#[tokio::test]
async fn nonsense_is_shown_out() {
    let server = server();
    for (listener, bytes) in [
        (0, &b"\x00\x00"[..]),
        (0, b"\x30\x03\x00\x01a"),
        (0, b"hello"),
        (1, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d"),
        (2, b"GET / HTTP/1.1\r\n\r\n"),
        (2, b"\x16\x03\x01\x02\x00"),
        // A CONNECT that says it has 256 MB.
        (0, b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04"),
    ] {
        let answer = answer(server.tcp(listener).await, bytes).await;
        assert_eq!(answer, "", "{bytes:?}");
    }
    // A protocol level that nobody knows has an answer of its own (MQTT 3.1.1 §3.1.2.2).
    let unknown = b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01d";
    let told = answer(server.tcp(0).await, unknown).await;
    assert_eq!(told.as_bytes(), b"\x20\x02\x00\x01");

    let mut large = server.client(connect(Version::V5, "c", "lamp")).await;
    large.stream.write_all(b"\x30\xff\xff\x7f").await.unwrap();
    let Some(Packet::Disconnect(bye)) = large.next().await else {
        panic!("no DISCONNECT");
    };
    assert_eq!(bye.reason, ReasonCode::PacketTooLarge);
    let mut twice = server.device("c", "lamp").await;
    let again = connect(Version::V311, "c", "lamp");
    twice.send(&Packet::Connect(Box::new(again))).await;
    assert_eq!(twice.next().await, None);
}

/// Who says nothing, or says it slowly, does not keep a place for long.
#[tokio::test]
async fn a_slow_hello_is_cut_off() {
    let server = server();
    let mut silent = server.tcp(0).await;
    let mut half = server.tcp(0).await;
    half.write_all(b"\x10\x0d\x00\x04MQ").await.unwrap();
    let mut head = server.tcp(0).await;
    head.write_all(b"GET /mqtt HTTP/1.1\r\n").await.unwrap();
    let mut shake = server.tcp(0).await;
    shake.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    let mut inside = server.tls(0).await;
    inside.write_all(b"\x10").await.unwrap();
    tokio::time::pause();
    let streams: [&mut dyn crate::Duplex; 5] =
        [&mut silent, &mut half, &mut head, &mut shake, &mut inside];
    for stream in streams {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}

/// A device that does not read is cut off after a while; until then nobody else notices.
#[tokio::test]
async fn a_device_that_does_not_read_is_cut_off() {
    let server = server_with(Bounds {
        outgoing: 64 * 1024,
        ..Bounds::default()
    });
    let mut stuck = server.device("c", "lamp").await;
    stuck.subscribe("all/#").await;
    let mut door = server.device("c", "door").await;
    let payload: &'static str = "x".repeat(100_000).leak();
    while server.notes.dropped.load(Ordering::SeqCst) == 0 {
        door.publish("all/x", payload, QoS::AtMostOnce).await;
        door.quiet().await;
    }
    tokio::time::pause();
    let closed = server.notes.closed(1).await;
    assert_eq!(closed[0].1, "the device did not read");
}

/// Beyond the bound clients are told that there is no room.
#[tokio::test]
async fn a_full_server_says_so() {
    let server = server_with(Bounds {
        connections: 1,
        ..Bounds::default()
    });
    let mut first = server.device("c", "lamp").await;
    for (version, code) in [
        (Version::V311, ReasonCode::ServerUnavailable),
        (Version::V5, ReasonCode::ServerBusy),
    ] {
        let mut client = Client::new(Box::new(server.tcp(0).await), version);
        let hello = connect(version, "c", "door");
        client.send(&Packet::Connect(Box::new(hello))).await;
        assert_eq!(client.connack().await, code);
    }
    let told = answer(server.tcp(0).await, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    first.quiet().await;
}

/// Wrong credentials are answered later and later; the right one is not made to wait for it.
#[tokio::test]
async fn guessing_is_slow_and_knowing_is_not() {
    let server = server_with(Bounds {
        failures: 1,
        ..Bounds::default()
    });
    let guess = async || {
        let mut hello = connect(Version::V311, "c", "lamp");
        hello.password = Some(Secret::new("wrong").unwrap());
        let mut client = Client::new(Box::new(server.tcp(0).await), Version::V311);
        client.send(&Packet::Connect(Box::new(hello))).await;
        client
    };
    assert_eq!(guess().await.connack().await, ReasonCode::NotAuthorized);
    let mut late = guess().await;
    server.device("c", "lamp").await.quiet().await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(late.connack().await, ReasonCode::NotAuthorized);
    assert!(start.elapsed() > Duration::from_secs(5));
}

/// A stop tells devices, closes every session in the hub, and then returns.
#[tokio::test]
async fn a_stop_leaves_nothing_open() {
    let server = server();
    let mut old = server.device("c", "lamp").await;
    let mut new = server.client(connect(Version::V5, "c", "door")).await;
    let _silent = server.tcp(0).await;
    let address = server.running.addresses()[0];
    let clients = async {
        assert_eq!(old.next().await, None);
        let Some(Packet::Disconnect(bye)) = new.next().await else {
            panic!("no DISCONNECT");
        };
        assert_eq!(bye.reason, ReasonCode::ServerShuttingDown);
        drop((old, new));
    };
    let started = tokio::time::Instant::now();
    tokio::join!(server.running.stop(), clients);
    assert!(started.elapsed() < Duration::from_secs(5));
    let closed = server.notes.closed.lock().clone();
    assert_eq!(closed.len(), 2);
    assert!(closed.iter().all(|(_, why)| why == "the server stops"));
    assert!(TcpStream::connect(address).await.is_err());
}

/// MQTT 5 clients learn the bounds of their profile.
#[tokio::test]
async fn connack_names_the_bounds() {
    let server = server();
    let mut hello = connect(Version::V5, "", "lamp");
    hello.properties = Properties::new().with(Property::SessionExpiryInterval(u32::MAX));
    let mut client = Client::new(Box::new(server.tcp(0).await), Version::V5);
    client.send(&Packet::Connect(Box::new(hello))).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else {
        panic!("no CONNACK");
    };
    let told = &ack.properties;
    assert_eq!(told.maximum_qos(), Some(&true));
    assert_eq!(told.retain_available(), Some(&false));
    assert_eq!(told.session_expiry_interval(), Some(&86_400));
    assert_eq!(told.maximum_packet_size().unwrap().get(), 320 * 1024);
    assert_eq!(&**told.assigned_client_identifier().unwrap(), "lamp");
}
