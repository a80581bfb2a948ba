//! Listening sockets: what a client wants is told from its first bytes.
//!
//! One port can serve TLS and clear text, MQTT, WebSocket and HTTP (spec/alink-wire.md §1, item
//! 10): 0x16 begins a TLS handshake, 0x10 a CONNECT, a letter an HTTP request; inside TLS the same
//! question is asked again.

use crate::{
    door::{Gate, Hall},
    hello,
    settings::{Listener, Security, Unwrapped, Wrap, Wrapped},
    stream::Prefixed,
    throttle::Penalty,
    tls::Tls,
    websocket,
    websocket::{HEAD, Head},
};
use bytes::BytesMut;
use futures_util::future::BoxFuture;
use hub::{
    edge::{Channel, Peer},
    id2::Shaken,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout_at},
};
use tokio_openssl::SslStream;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tracing::{debug, warn};

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;
/// How long we wait after the kernel refused to accept, most likely for lack of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// A stream of bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A stream whose kind does not matter any more.
pub type BoxedStream = Box<dyn Duplex>;

/// Serves HTTP on a stream from its first byte to its end; the channel of the peer tells whether
/// TLS is around it.
pub type HttpService = Arc<dyn Fn(BoxedStream, Peer) -> BoxFuture<'static, ()> + Send + Sync>;

/// Opens a listening socket.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until the gate closes. Every task that comes of it holds `alive`.
pub(crate) async fn accept(
    gate: Arc<Gate>,
    listener: Arc<Listener>,
    hall: Arc<Hall>,
    socket: TcpListener,
    alive: mpsc::Sender<Infallible>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = gate.stopping() => return,
            accepted = socket.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, address = %listener.address, "accept failed");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let gate = gate.clone();
        let listener = listener.clone();
        let hall = hall.clone();
        let alive = alive.clone();
        let address = from.ip().to_canonical();
        // A place is held until the connection ends. Beyond the places, and beyond the memory for
        // messages, there is a lobby, where clients are told so; beyond the lobby they find a
        // closed door.
        let place = (!gate.memory.is_full())
            .then(|| gate.places.clone().try_acquire_owned().ok())
            .flatten();
        if let Some(place) = place {
            let hold = Hold {
                _place: place,
                alive,
            };
            tokio::spawn(serve(gate, listener, hall, stream, address, hold));
        } else if let Ok(place) = gate.lobby.clone().try_acquire_owned() {
            tokio::spawn(async move {
                turn_away(gate, stream).await;
                drop((place, alive));
            });
        }
    }
}

/// What a connection holds until its end: a place, and the time of whoever waits for a stop.
pub(crate) struct Hold {
    _place: OwnedSemaphorePermit,
    alive: mpsc::Sender<Infallible>,
}

impl Hold {
    pub(crate) fn alive(&self) -> &mpsc::Sender<Infallible> {
        &self.alive
    }
}

/// Tells a client that the server is full, in its own words where that costs us little.
async fn turn_away(gate: Arc<Gate>, mut stream: TcpStream) {
    let deadline = Instant::now() + gate.bounds.hello;
    let told = timeout_at(deadline, async {
        match first_byte(&stream).await? {
            First::Mqtt => hello::turn_away(&gate, stream, BytesMut::new()).await,
            First::Http => {
                websocket::turn_away(
                    &mut stream,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server has as many connections as it may have",
                )
                .await
            }
            First::Tls | First::Other => Ok(()),
        }
    });
    tokio::select! {
        biased;
        () = gate.stopping() => {}
        _ = Box::pin(told) => {}
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Tls,
    Mqtt,
    Http,
    Other,
}

impl First {
    fn of(byte: u8) -> Self {
        match byte {
            0x16 => Self::Tls,
            0x10 => Self::Mqtt,
            b'A'..=b'Z' => Self::Http,
            _ => Self::Other,
        }
    }
}

async fn first_byte(stream: &TcpStream) -> io::Result<First> {
    let mut byte = [0];
    match stream.peek(&mut byte).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(First::of(byte[0])),
    }
}

/// From an accepted socket to its end.
async fn serve(
    gate: Arc<Gate>,
    listener: Arc<Listener>,
    hall: Arc<Hall>,
    stream: TcpStream,
    address: IpAddr,
    hold: Hold,
) {
    // Answers are small and each is waited for.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + gate.bounds.hello;
    let shaken = tokio::select! {
        biased;
        () = gate.stopping() => return,
        shaken = Box::pin(shake(&gate, &listener, stream, address, deadline)) => shaken,
    };
    let whence = |around| Whence { address, around };
    let ended = match shaken {
        Ok(Secured::Clear(stream)) => {
            let whence = whence(Around::Nothing);
            speak(&gate, &listener, &hall, stream, whence, hold, deadline).await
        }
        Ok(Secured::Encrypted(stream, deadline)) => {
            let whence = whence(Around::Tls);
            speak(&gate, &listener, &hall, stream, whence, hold, deadline).await
        }
        Ok(Secured::Wrapped(wrapped)) => {
            let Wrapped { stream, shaken } = wrapped;
            let whence = whence(Around::Own(shaken));
            speak(&gate, &listener, &hall, stream, whence, hold, deadline).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        debug!(%address, %error, "connection ended before its hello");
    }
}

/// Where a connection comes from, and what is around it.
struct Whence {
    address: IpAddr,
    around: Around,
}

/// What encrypts a connection.
enum Around {
    Nothing,
    Tls,
    Own(Shaken),
}

enum Secured {
    Clear(TcpStream),
    /// With the time by which the hello must be there.
    Encrypted(SslStream<TcpStream>, Instant),
    Wrapped(Wrapped),
}

async fn shake(
    gate: &Gate,
    listener: &Listener,
    mut stream: TcpStream,
    address: IpAddr,
    deadline: Instant,
) -> io::Result<Secured> {
    let first = timeout_at(deadline, first_byte(&stream)).await??;
    if let (First::Tls, Security::Own(own)) = (first, &listener.security) {
        return wrap(gate, &**own, stream, address, deadline).await;
    }
    match (first, listener.security.tls()) {
        (First::Tls, Some(tls)) => handshake(gate, tls, stream).await,
        (First::Mqtt | First::Http, _) if listener.security.allows_clear() => {
            Ok(Secured::Clear(stream))
        }
        (First::Http, _) => {
            let why = "this port speaks TLS only";
            let told = websocket::turn_away(&mut stream, StatusCode::BAD_REQUEST, why);
            timeout_at(deadline, told).await??;
            Err(io::Error::other(why))
        }
        _ => Err(io::Error::other("neither TLS, MQTT nor HTTP, or not here")),
    }
}

/// A handshake costs as much as hundreds of messages, nearly all of it in its first step, the
/// answer to the client's first words. So first steps are done in turn, in the order in which
/// clients came, no more of them at once than the machine has cores: when a whole fleet comes back,
/// each device is served whole when it is served, and whoever is connected already waits for a few
/// steps at most and not for thousands. The turn lasts for that step alone, so nobody can sit on
/// it. A client's time counts from its turn.
async fn handshake(gate: &Gate, tls: &Tls, stream: TcpStream) -> io::Result<Secured> {
    let turn = gate.handshakes.acquire().await.map_err(io::Error::other)?;
    if stream.ready(Interest::READABLE).await?.is_read_closed() {
        // It grew tired of waiting.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let deadline = Instant::now() + gate.bounds.hello;
    let ssl = tls.handshake().map_err(io::Error::other)?;
    let mut stream = SslStream::new(ssl, stream).map_err(io::Error::other)?;
    let mut turn = Some(turn);
    let accept = poll_fn(|cx| {
        let accepted = Pin::new(&mut stream).poll_accept(cx);
        turn = None;
        accepted
    });
    let accepted = timeout_at(deadline, accept).await?;
    accepted.map_err(io::Error::other)?;
    Ok(Secured::Encrypted(stream, deadline))
}

/// A handshake that is a vendor's own. It costs no more than a login, so that nobody waits for a turn;
/// who fails too often waits for the verdict, as those do whose login fails.
async fn wrap(
    gate: &Gate,
    own: &dyn Wrap,
    stream: TcpStream,
    address: IpAddr,
    deadline: Instant,
) -> io::Result<Secured> {
    let channel = Channel::Itls;
    let wrapped = own.wrap(Box::new(stream), Peer { address, channel });
    let Unwrapped {
        stream,
        words,
        who,
        why,
    } = match timeout_at(deadline, wrapped).await? {
        Ok(wrapped) => return Ok(Secured::Wrapped(wrapped)),
        Err(unwrapped) => unwrapped,
    };
    if !words.is_empty() {
        let penalty = gate.throttle.failed(address, &who);
        let served = gate.throttle.serve(penalty).await;
        if penalty != Penalty::None {
            gate.desk.throttled(if served { "late" } else { "none" });
        }
        if served {
            hello::part(stream, &words).await;
        }
    }
    Err(io::Error::other(why))
}

/// What the bytes behind a possible handshake turned out to be.
enum Asked<S> {
    Mqtt(S, BytesMut),
    Upgraded(Box<websocket::Frames<S>>),
    Http(Prefixed<S>),
}

async fn speak<S: Duplex + 'static>(
    gate: &Arc<Gate>,
    listener: &Listener,
    hall: &Arc<Hall>,
    stream: S,
    whence: Whence,
    hold: Hold,
    deadline: Instant,
) -> io::Result<()> {
    let asked = tokio::select! {
        biased;
        () = gate.stopping() => return Ok(()),
        asked = Box::pin(timeout_at(deadline, ask(gate, listener, hall, stream))) => asked??,
    };
    let Whence { address, around } = whence;
    let peer = |clear, encrypted| Peer {
        address,
        channel: match around {
            Around::Nothing => clear,
            Around::Tls => encrypted,
            Around::Own(_) => Channel::Itls,
        },
    };
    match asked {
        Asked::Mqtt(stream, first) => {
            let whence = hello::Whence {
                peer: peer(Channel::Tcp, Channel::Tls),
                shaken: match around {
                    Around::Own(shaken) => Some(shaken),
                    Around::Nothing | Around::Tls => None,
                },
            };
            Box::pin(hello::serve(
                gate.clone(),
                hall.clone(),
                stream,
                first,
                whence,
                hold,
                deadline,
            ))
            .await;
        }
        Asked::Upgraded(frames) => {
            let whence = hello::Whence {
                peer: peer(Channel::Ws, Channel::Wss),
                shaken: None,
            };
            let first = BytesMut::new();
            Box::pin(hello::serve(
                gate.clone(),
                hall.clone(),
                frames,
                first,
                whence,
                hold,
                deadline,
            ))
            .await;
        }
        Asked::Http(stream) => {
            if let Some(service) = &gate.http {
                let peer = peer(Channel::Http, Channel::Https);
                let served = service(Box::new(stream), peer);
                tokio::select! {
                    biased;
                    () = gate.giving_up() => {}
                    () = served => {}
                }
            }
            drop(hold);
        }
    }
    Ok(())
}

async fn ask<S: Duplex>(
    gate: &Gate,
    listener: &Listener,
    hall: &Hall,
    mut stream: S,
) -> io::Result<Asked<S>> {
    let speaks = listener.speaks;
    let mut first = BytesMut::new();
    loop {
        first.reserve(512);
        if stream.read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let kind = First::of(first[0]);
        if kind == First::Mqtt && speaks.mqtt {
            return Ok(Asked::Mqtt(stream, first));
        }
        if kind != First::Http || !(speaks.http || speaks.websocket) {
            return Err(io::Error::other("a protocol that is not spoken here"));
        }
        match websocket::head(&first) {
            Head::Half if first.len() < HEAD => {}
            Head::Upgrade(request, size) if speaks.websocket => {
                let rest = first.split_off(size).to_vec();
                let packet = hall.router.terms().packet;
                let frames = websocket::accept(stream, &request, rest, packet).await?;
                return Ok(Asked::Upgraded(Box::new(frames)));
            }
            _ if speaks.http && gate.http.is_some() => {
                return Ok(Asked::Http(Prefixed::new(first.freeze(), stream)));
            }
            _ => {
                let why = "this port speaks MQTT, also over WebSocket";
                websocket::turn_away(&mut stream, StatusCode::NOT_FOUND, why).await?;
                return Err(io::Error::other("HTTP where it is not spoken"));
            }
        }
    }
}
