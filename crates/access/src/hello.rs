//! From the first bytes of an MQTT connection to a seat, a visit, or the door.

use crate::{
    client::{Client, Rules, Short},
    conn::{Conn, Entered, Serving},
    door::{Gate, Hall},
    farewell::Admitted,
    listen::{Duplex, Hold},
    seat::{Arrival, Owner, message},
    settings::Terms,
    stream::poll_fill,
    throttle::Penalty,
    will::{Promise, Speaker},
};
use bytes::{Bytes, BytesMut};
use hub::{
    edge::{
        Dialect, Greeting, Hello, Outbound, Peer, Profile, Refusal, RefusalCode, Verb, Welcome,
    },
    id2::Shaken,
};
use std::{future::poll_fn, io, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};
use tracing::debug;
use wire::mqtt::{
    ConnAck, Connect, DecodeError, Decoder, Delivery, Disconnect, Effect, Limits, Link, Packet,
    Properties, Property, QoS, ReasonCode, Session, Text, Version, encode,
};

/// How long a client may take to read our last words and close.
const PARTING: Duration = Duration::from_secs(2);

/// A stream with a decoder on it.
pub(crate) struct Line<S> {
    pub(crate) stream: S,
    pub(crate) decoder: Decoder,
    pub(crate) input: BytesMut,
}

/// Why there is no next packet.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(io::Error),
    Malformed(DecodeError),
}

impl<S: Duplex> Line<S> {
    fn new(stream: S, first: BytesMut, packet: usize) -> Self {
        Self {
            stream,
            decoder: Decoder::server(packet),
            input: first,
        }
    }

    async fn next(&mut self) -> Result<Packet, Broken> {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => {}
                Err(error) => return Err(Broken::Malformed(error)),
            }
            let Self { stream, input, .. } = self;
            match poll_fn(|cx| poll_fill(stream, cx, input)).await {
                Ok(0) => return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(Broken::Io(error)),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says the last words and lets the client read them: a socket that is closed over unread
    /// bytes would be reset, and the words lost.
    pub(crate) async fn part(self, words: &[u8]) {
        part(self.stream, words).await;
    }
}

/// As [`Line::part`], of a stream.
pub(crate) async fn part<S: Duplex>(mut stream: S, words: &[u8]) {
    let _ = timeout(PARTING, async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let mut ignored = [0; 512];
        while stream.read(&mut ignored).await? > 0 {}
        Ok::<(), io::Error>(())
    })
    .await;
}

/// What is known of a client before its first packet.
pub(crate) struct Whence {
    pub(crate) peer: Peer,
    pub(crate) shaken: Option<Shaken>,
}

/// Serves an MQTT connection until its end.
pub(crate) async fn serve<S: Duplex + 'static>(
    gate: Arc<Gate>,
    hall: Arc<Hall>,
    stream: S,
    first: BytesMut,
    whence: Whence,
    hold: Hold,
    deadline: Instant,
) {
    let Whence { peer, shaken } = whence;
    let mut line = Line::new(stream, first, gate.bounds.hello_packet);
    let first = tokio::select! {
        biased;
        () = gate.stopping() => return,
        first = timeout_at(deadline, line.next()) => first,
    };
    let connect = match first {
        Ok(Ok(Packet::Connect(connect))) => connect,
        // The decoder lets nothing else through as first packet.
        Ok(Ok(_)) | Err(_) => return,
        Ok(Err(Broken::Io(error))) => {
            debug!(address = %peer.address, %error, "connection ended before CONNECT");
            return;
        }
        Ok(Err(Broken::Malformed(error))) => {
            debug!(address = %peer.address, %error, "no CONNECT");
            let version = line.decoder.version().unwrap_or(Version::V311);
            // Who does not speak MQTT would not understand an answer in it [MQTT-3.1.2-1].
            if !matches!(error, DecodeError::First | DecodeError::Protocol) {
                let answer = refusal(version, error.reason(), &error.to_string());
                line.part(&answer).await;
            }
            return;
        }
    };
    let version = connect.version;
    if connect.properties.authentication_method().is_some() {
        let why = "no enhanced authentication here";
        let answer = refusal_to(&connect, ReasonCode::BadAuthenticationMethod, why);
        return line.part(&answer).await;
    }
    let hello = Hello {
        shaken,
        ..read(&connect, peer)
    };
    let since = Instant::now();
    // Not under any time limit: the dialect may be opening a session in the hub, which must not be
    // forgotten half-way.
    let greeted = match &hall.rules {
        None => greet(&gate, &hello).await,
        Some(rules) => meet(rules, &hello).await,
    };
    match greeted {
        Greeted::Welcome(dialect, welcome) => {
            drop(hello);
            let visitor = device(&gate, dialect, *welcome);
            seat(gate, hall, line, connect, visitor, since, hold).await;
        }
        Greeted::Guest(rules) => {
            let visitor = guest(&hall, rules, hello);
            seat(gate, hall, line, connect, visitor, since, hold).await;
        }
        Greeted::Visit(messages) => {
            tokio::select! {
                biased;
                () = gate.stopping() => {}
                _ = Box::pin(timeout(
                    gate.bounds.visit,
                    visit(&mut line, &connect, messages),
                )) => {}
            }
            let mut words = BytesMut::new();
            if version.is_v5() {
                disconnect(ReasonCode::Success, &mut words);
            }
            line.part(&words).await;
        }
        Greeted::Refuse(refused) => {
            debug!(
                address = %peer.address,
                channel = peer.channel.name(),
                client = %Short(&hello.client_id),
                reason = %refused.reason,
                "client refused"
            );
            let penalty = penalty(&gate, &refused, &hello);
            let served = tokio::select! {
                biased;
                () = gate.stopping() => return,
                served = gate.throttle.serve(penalty) => served,
            };
            if penalty != Penalty::None {
                gate.desk.throttled(if served { "late" } else { "none" });
            }
            if !served {
                return;
            }
            let answer = refusal_to(&connect, code(refused.code), &refused.reason);
            line.part(&answer).await;
        }
    }
}

/// Tells a client that there is no room for it.
pub(crate) async fn turn_away<S: Duplex>(
    gate: &Gate,
    stream: S,
    first: BytesMut,
) -> io::Result<()> {
    let mut line = Line::new(stream, first, gate.bounds.hello_packet);
    if let Ok(Packet::Connect(connect)) = line.next().await {
        let busy = if connect.version.is_v5() {
            ReasonCode::ServerBusy
        } else {
            ReasonCode::ServerUnavailable
        };
        let answer = refusal_to(&connect, busy, "the server is full");
        line.part(&answer).await;
    }
    Ok(())
}

fn read(connect: &Connect, peer: Peer) -> Hello {
    Hello {
        client_id: connect.client_id.to_string(),
        user: connect.username.as_ref().map(ToString::to_string),
        password: connect
            .password
            .as_ref()
            .map(|password| Bytes::copy_from_slice(password.expose())),
        level: connect.version.level(),
        clean: connect.clean_start,
        keep_alive: connect.keep_alive,
        will: connect.will.is_some(),
        peer,
        shaken: None,
    }
}

enum Greeted {
    Welcome(Arc<dyn Dialect>, Box<Welcome>),
    Guest(Arc<Rules>),
    Visit(Vec<Outbound>),
    Refuse(Refusal),
}

/// Asks the dialects in their order; the first one that knows the words decides.
async fn greet(gate: &Gate, hello: &Hello) -> Greeted {
    for dialect in &gate.dialects {
        match dialect.greet(hello).await {
            Greeting::NotMine => {}
            Greeting::Welcome(welcome) => return Greeted::Welcome(dialect.clone(), welcome),
            Greeting::Visit(messages) => return Greeted::Visit(messages),
            Greeting::Refuse(refusal) => return Greeted::Refuse(refusal),
        }
    }
    Greeted::Refuse(Refusal {
        code: RefusalCode::NotAuthorised,
        reason: "client id and user name are of no known form".into(),
    })
}

/// Proves a client of a plain listener.
async fn meet(rules: &Arc<Rules>, hello: &Hello) -> Greeted {
    let refuse = |code, reason: &str| {
        let reason = reason.into();
        Greeted::Refuse(Refusal { code, reason })
    };
    let plain = &rules.plain;
    if hello.client_id.is_empty() && !plain.terms.assign_ids {
        return refuse(RefusalCode::ClientId, "a client id is needed here");
    }
    let admitted = match (&plain.porter, &hello.user) {
        (Some(porter), Some(user)) => {
            let password = hello.password.as_deref().unwrap_or_default();
            porter.admits(user, password).await
        }
        (None, Some(_)) | (_, None) => plain.anonymous,
    };
    if admitted {
        Greeted::Guest(rules.clone())
    } else if hello.user.is_some() {
        refuse(RefusalCode::Credentials, "wrong user name or password")
    } else {
        refuse(RefusalCode::NotAuthorised, "a user name is needed here")
    }
}

fn penalty(gate: &Gate, refusal: &Refusal, hello: &Hello) -> Penalty {
    match refusal.code {
        // Not the device's fault, mostly; it will come again.
        RefusalCode::Unavailable if hello.password.is_none() => Penalty::None,
        RefusalCode::ClientId
        | RefusalCode::Unavailable
        | RefusalCode::Credentials
        | RefusalCode::NotAuthorised => {
            let identity = hello.user.as_deref().unwrap_or(&hello.client_id);
            gate.throttle.failed(hello.peer.address, identity)
        }
    }
}

fn code(code: RefusalCode) -> ReasonCode {
    match code {
        RefusalCode::ClientId => ReasonCode::ClientIdNotValid,
        RefusalCode::Unavailable => ReasonCode::ServerUnavailable,
        RefusalCode::Credentials => ReasonCode::BadUserNameOrPassword,
        RefusalCode::NotAuthorised => ReasonCode::NotAuthorized,
    }
}

/// CONNACK with an error for a client that told what it takes: without the reason in words if it
/// would be too long with it [MQTT-3.2.2-19], and empty if it is too long at all.
fn refusal_to(connect: &Connect, reason: ReasonCode, why: &str) -> BytesMut {
    let told = refusal(connect.version, reason, why);
    if fits(connect, &told) {
        return told;
    }
    let mut bare = BytesMut::new();
    let packet = Packet::ConnAck(ConnAck {
        session_present: false,
        reason,
        properties: Properties::new(),
    });
    let _ = encode(&packet, connect.version, &mut bare);
    if fits(connect, &bare) {
        bare
    } else {
        BytesMut::new()
    }
}

/// What is wrong with a client that does not take the CONNACK it should get.
fn unspeakable(connect: &Connect, connack: &ConnAck) -> Option<(ReasonCode, &'static str)> {
    connect.properties.maximum_packet_size()?;
    let mut packet = BytesMut::new();
    // Our own packet, of the right version.
    let _ = encode(
        &Packet::ConnAck(connack.clone()),
        connect.version,
        &mut packet,
    );
    let why = "the client takes no packet as long as its CONNACK";
    (!fits(connect, &packet)).then_some((ReasonCode::PacketTooLarge, why))
}

/// Whether the client takes a packet of that length [MQTT-3.1.2-24].
fn fits(connect: &Connect, packet: &BytesMut) -> bool {
    let most = connect.properties.maximum_packet_size();
    most.is_none_or(|most| u32::try_from(packet.len()).is_ok_and(|size| size <= most.get()))
}

/// CONNACK with an error; empty where the version has no code for it.
fn refusal(version: Version, reason: ReasonCode, why: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    let mut properties = Properties::new();
    if version.is_v5()
        && let Ok(why) = Text::try_from(why)
    {
        properties.push(Property::ReasonString(why));
    }
    let packet = Packet::ConnAck(ConnAck {
        session_present: false,
        reason,
        properties,
    });
    let _ = encode(&packet, version, &mut bytes);
    bytes
}

pub(crate) fn disconnect(reason: ReasonCode, bytes: &mut BytesMut) {
    let packet = Packet::Disconnect(Disconnect {
        reason,
        properties: Properties::new(),
    });
    let _ = encode(&packet, Version::V5, bytes);
}

/// Who is to be seated.
struct Visitor {
    client: Client,
    admitted: Option<Admitted>,
    /// Under which the seat is found.
    name: Arc<str>,
    owner: Owner,
    implicit: bool,
    profile: Profile,
}

fn device(gate: &Gate, dialect: Arc<dyn Dialect>, welcome: Welcome) -> Visitor {
    let Welcome {
        session,
        implicit,
        profile,
    } = welcome;
    let session = Arc::new(session);
    Visitor {
        admitted: Some(gate.farewell.guard(session.clone())),
        name: session.iot_id.as_str().into(),
        owner: Owner::Device(session.device.product.clone()),
        client: Client::Device { session, dialect },
        implicit,
        profile,
    }
}

fn guest(hall: &Hall, rules: Arc<Rules>, hello: Hello) -> Visitor {
    let name = if hello.client_id.is_empty() {
        let mut chance = [0; 16];
        rules.plain.random.fill(&mut chance);
        format!("auto-{:032x}", u128::from_be_bytes(chance))
    } else {
        hello.client_id
    };
    let name: Arc<str> = name.into();
    Visitor {
        admitted: None,
        name: name.clone(),
        owner: Owner::Guest(hello.user.map(String::into_boxed_str)),
        implicit: false,
        profile: Profile {
            qos: rules.plain.qos,
            retain: rules.plain.retain,
            will: true,
            lenient: true,
        },
        client: Client::Guest {
            id: hall.router.number(),
            name,
            rules,
        },
    }
}

/// Gives a client its seat, and serves it.
async fn seat<S: Duplex + 'static>(
    gate: Arc<Gate>,
    hall: Arc<Hall>,
    mut line: Line<S>,
    mut connect: Box<Connect>,
    visitor: Visitor,
    since: Instant,
    hold: Hold,
) {
    let Visitor {
        client,
        admitted,
        name,
        owner,
        implicit,
        profile,
    } = visitor;
    let terms = hall.router.terms().clone();
    let keep_alive = keep_alive(&connect, &terms);
    let connack = accepted(&connect, profile, &terms, &name, keep_alive);
    let unwelcome =
        unwelcome_will(&connect, profile, &client).or_else(|| unspeakable(&connect, &connack));
    if let Some((reason, why)) = unwelcome {
        let answer = refusal_to(&connect, reason, why);
        if let Some(admitted) = admitted {
            admitted.close(why);
        }
        return line.part(&answer).await;
    }
    let router = hall.router.clone();
    let speaker = Speaker::of(&client);
    let promise = connect.will.take();
    let promise = promise.map(|will| Promise::new(will, owner.clone(), speaker));
    let taken = connect.properties.topic_alias_maximum().copied();
    let arrival = Arrival {
        aliases: taken.unwrap_or(0),
        explains: connect.properties.request_problem_information() != Some(&false),
        session: client.id(),
        link: Link::of(&connect),
        implicit,
        connack,
        promise,
    };
    if router.refuses(&arrival.link, arrival.promise.is_some()) {
        let why = "sessions cannot be written down";
        let unavailable = ReasonCode::ServerUnavailable;
        return line.part(&refusal(connect.version, unavailable, why)).await;
    }
    let clean = connect.clean_start;
    let seated = router.arrive(&name, owner, clean, since, arrival);
    line.decoder.set_max_packet(terms.packet);
    line.decoder.set_topic_alias_maximum(terms.topic_aliases);
    let entered = Entered {
        client,
        admitted,
        profile,
        keep_alive,
    };
    let conn = Conn::new(gate, router, line, seated, entered, connect.version);
    // In a task of its own, so that what the hello needed does not stay in memory with it.
    tokio::spawn(Serving::new(conn, hold));
}

/// The keep alive that holds. Only MQTT 5 lets us choose a shorter one (§3.2.2.3.14).
fn keep_alive(connect: &Connect, terms: &Terms) -> u16 {
    let asked = connect.keep_alive;
    if connect.version.is_v5() && terms.keep_alive > 0 && (asked == 0 || asked > terms.keep_alive) {
        terms.keep_alive
    } else {
        asked
    }
}

/// What is wrong with the will of a CONNECT, for this profile.
fn unwelcome_will(
    connect: &Connect,
    profile: Profile,
    client: &Client,
) -> Option<(ReasonCode, &'static str)> {
    let will = connect.will.as_ref()?;
    let v5 = connect.version.is_v5();
    let plain = |reason| {
        if v5 {
            reason
        } else {
            ReasonCode::NotAuthorized
        }
    };
    if !profile.will || !client.extras(&will.topic) {
        Some((
            plain(ReasonCode::ImplementationSpecificError),
            "no will may be left here",
        ))
    } else if will.qos.bits() > profile.qos {
        Some((
            plain(ReasonCode::QoSNotSupported),
            "the will has too high a QoS",
        ))
    } else if will.retain && !profile.retain {
        Some((
            plain(ReasonCode::RetainNotSupported),
            "the will may not be retained",
        ))
    } else if matches!(client, Client::Guest { .. }) && !client.may(Verb::Publish, &will.topic) {
        let why = "nobody may publish to the topic of the will";
        Some((ReasonCode::NotAuthorized, why))
    } else {
        None
    }
}

/// CONNACK 0, with our bounds for a client that understands them (MQTT 5 §3.2.2.3).
fn accepted(
    connect: &Connect,
    profile: Profile,
    terms: &Terms,
    name: &str,
    keep_alive: u16,
) -> ConnAck {
    let mut properties = Properties::new();
    if connect.version.is_v5() {
        let mut say = |property| properties.push(property);
        let longest = u32::try_from(terms.session_life.as_secs()).unwrap_or(u32::MAX);
        if connect.properties.session_expiry_interval() > Some(&longest) {
            say(Property::SessionExpiryInterval(longest));
        }
        say(Property::ReceiveMaximum(terms.receive_maximum));
        if profile.qos < 2 {
            say(Property::MaximumQoS(profile.qos == 1));
        }
        if !profile.retain {
            say(Property::RetainAvailable(false));
        }
        let packet = u32::try_from(terms.packet).ok().and_then(NonZeroU32::new);
        if let Some(packet) = packet {
            say(Property::MaximumPacketSize(packet));
        }
        if connect.client_id.is_empty()
            && let Ok(id) = Text::try_from(name)
        {
            say(Property::AssignedClientIdentifier(id));
        }
        if terms.topic_aliases > 0 {
            say(Property::TopicAliasMaximum(terms.topic_aliases));
        }
        if !terms.wildcards {
            say(Property::WildcardSubscriptionAvailable(false));
        }
        if !terms.identifiers {
            say(Property::SubscriptionIdentifierAvailable(false));
        }
        if !terms.shared {
            say(Property::SharedSubscriptionAvailable(false));
        }
        if keep_alive != connect.keep_alive {
            say(Property::ServerKeepAlive(keep_alive));
        }
        if connect.properties.request_response_information() == Some(&true)
            && let Some(told) = &terms.response_information
            && let Ok(told) = Text::try_from(told.as_str())
        {
            say(Property::ResponseInformation(told));
        }
    }
    ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties,
    }
}

/// Hands messages to a device that came for nothing else, and waits until it leaves.
async fn visit<S: Duplex>(
    line: &mut Line<S>,
    connect: &Connect,
    messages: Vec<Outbound>,
) -> Result<(), Broken> {
    let version = connect.version;
    let mut session = Session::new(Limits {
        subscriptions: 0,
        ..Limits::default()
    });
    let mut bytes = BytesMut::new();
    let welcome = Packet::ConnAck(ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: Properties::new(),
    });
    let _ = encode(&welcome, version, &mut bytes);
    let mut effects = Vec::new();
    session.attach(Link::of(connect), 0, &mut effects);
    for outbound in messages {
        let Some(message) = message(outbound.topic, outbound.payload, outbound.qos) else {
            continue;
        };
        let delivery = Delivery {
            qos: message.qos.min(QoS::AtLeastOnce),
            retain: false,
            subscription_ids: Vec::new(),
            mark: 0,
            message: Arc::new(message),
        };
        let _ = session.publish(delivery, 0, &mut effects);
    }
    loop {
        let mut leaves = false;
        // Answers to some effects are effects themselves.
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    Effect::Send(packet) => drop(encode(&packet, version, &mut bytes)),
                    Effect::Publish(transmit) => drop(transmit.encode(version, &mut bytes)),
                    Effect::Deliver(_, Some(ticket)) => {
                        session.acknowledge(ticket, ReasonCode::Success, &mut effects);
                    }
                    Effect::Deliver(_, None) | Effect::Note(_) => {}
                    Effect::Subscribe(request) => {
                        let refused = vec![ReasonCode::NotAuthorized; request.filters.len()];
                        session.subscribe(&request, &refused, &mut effects);
                    }
                    Effect::Unsubscribe(request) => {
                        session.unsubscribe(&request, &mut effects);
                    }
                    Effect::Auth(_) | Effect::Disconnected(_) | Effect::Close(_) => leaves = true,
                }
            }
        }
        line.write(&bytes).await.map_err(Broken::Io)?;
        bytes.clear();
        if leaves {
            return Ok(());
        }
        let packet = line.next().await?;
        session.receive(packet, 0, &mut effects);
    }
}
