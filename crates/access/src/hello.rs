//! From the first bytes of an MQTT connection to a seat, a visit, or the door.

use crate::{
    conn::{self, Conn},
    door::Gate,
    listen::{Duplex, Hold},
    seat::{Arrival, RECEIVE_MAXIMUM, message},
    stream::poll_fill,
    throttle::Penalty,
};
use bytes::{Bytes, BytesMut};
use hub::edge::{Dialect, Greeting, Hello, Outbound, Peer, Profile, Refusal, RefusalCode, Welcome};
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
    pub(crate) async fn part(mut self, words: &[u8]) {
        let _ = timeout(PARTING, async {
            self.write(words).await?;
            self.stream.shutdown().await?;
            let mut ignored = [0; 512];
            while self.stream.read(&mut ignored).await? > 0 {}
            Ok::<(), io::Error>(())
        })
        .await;
    }
}

/// Serves an MQTT connection until its end.
pub(crate) async fn serve<S: Duplex + 'static>(
    gate: Arc<Gate>,
    stream: S,
    first: BytesMut,
    peer: Peer,
    hold: Hold,
    deadline: Instant,
) {
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
            if error != DecodeError::First {
                let answer = refusal(version, error.reason(), &error.to_string());
                line.part(&answer).await;
            }
            return;
        }
    };
    let version = connect.version;
    if connect.properties.authentication_method().is_some() {
        let why = "no enhanced authentication here";
        let answer = refusal(version, ReasonCode::BadAuthenticationMethod, why);
        return line.part(&answer).await;
    }
    let hello = read(&connect, peer);
    let since = Instant::now();
    // Not under any time limit: the dialect may be opening a session in the hub, which must not be
    // forgotten half-way.
    match greet(&gate, &hello).await {
        Greeted::Welcome(dialect, welcome) => {
            drop(hello);
            seat(gate, line, connect, dialect, *welcome, since, hold).await;
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
                "device refused"
            );
            let penalty = penalty(&gate, &refused, &hello);
            let served = tokio::select! {
                biased;
                () = gate.stopping() => return,
                served = gate.throttle.serve(penalty) => served,
            };
            if !served {
                return;
            }
            let answer = refusal(version, code(refused.code), &refused.reason);
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
        let answer = refusal(connect.version, busy, "the server is full");
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
    }
}

enum Greeted {
    Welcome(Arc<dyn Dialect>, Box<Welcome>),
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

/// Gives an admitted device its seat, and serves it.
async fn seat<S: Duplex + 'static>(
    gate: Arc<Gate>,
    mut line: Line<S>,
    connect: Box<Connect>,
    dialect: Arc<dyn Dialect>,
    welcome: Welcome,
    since: Instant,
    hold: Hold,
) {
    let Welcome {
        session,
        implicit,
        profile,
    } = welcome;
    let admitted = gate.farewell.guard(Arc::new(session));
    if let Some((reason, why)) = unwelcome_will(&connect, profile) {
        let answer = refusal(connect.version, reason, why);
        admitted.close(why);
        return line.part(&answer).await;
    }
    let session = admitted.session().clone();
    let arrival = Arrival {
        session: session.id,
        link: Link::of(&connect),
        implicit,
        connack: accepted(&gate, &connect, profile, &session),
    };
    let seated = gate
        .router
        .arrive(&session, connect.clean_start, since, arrival);
    line.decoder.set_max_packet(gate.bounds.packet);
    let conn = Conn::new(gate, line, seated, dialect, profile, admitted, connect);
    // In a task of its own, so that what the hello needed does not stay in memory with it.
    tokio::spawn(conn::run(hold, conn));
}

/// What is wrong with the will of a CONNECT, for this profile.
fn unwelcome_will(connect: &Connect, profile: Profile) -> Option<(ReasonCode, &'static str)> {
    let will = connect.will.as_ref()?;
    let v5 = connect.version.is_v5();
    let plain = |reason| {
        if v5 {
            reason
        } else {
            ReasonCode::NotAuthorized
        }
    };
    if !profile.will {
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
    } else {
        None
    }
}

/// CONNACK 0, with our bounds for a client that understands them (MQTT 5 §3.2.2.3).
fn accepted(
    gate: &Gate,
    connect: &Connect,
    profile: Profile,
    session: &hub::edge::Session,
) -> ConnAck {
    let mut properties = Properties::new();
    if connect.version.is_v5() {
        let longest = u32::try_from(gate.bounds.session_life.as_secs()).unwrap_or(u32::MAX);
        if connect.properties.session_expiry_interval() > Some(&longest) {
            properties.push(Property::SessionExpiryInterval(longest));
        }
        properties.push(Property::ReceiveMaximum(RECEIVE_MAXIMUM));
        if profile.qos < 2 {
            properties.push(Property::MaximumQoS(profile.qos == 1));
        }
        if !profile.retain {
            properties.push(Property::RetainAvailable(false));
        }
        let packet = u32::try_from(gate.bounds.packet)
            .ok()
            .and_then(NonZeroU32::new);
        if let Some(packet) = packet {
            properties.push(Property::MaximumPacketSize(packet));
        }
        if connect.client_id.is_empty()
            && let Ok(id) = Text::try_from(session.iot_id.as_str())
        {
            properties.push(Property::AssignedClientIdentifier(id));
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
                    Effect::Deliver(_, None) => {}
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

/// A text of a client for the log: its beginning, without line breaks.
struct Short<'a>(&'a str);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .chars()
            .take(128)
            .try_for_each(|c| write!(f, "{}", c.escape_debug()))
    }
}
