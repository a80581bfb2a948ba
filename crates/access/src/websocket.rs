//! MQTT in WebSocket (RFC 6455; MQTT 5 §6; [AL-3.6]).
//!
//! A socket with frames on it becomes a stream of bytes, so that the connection behind it does not
//! know the difference: packets may span frames, and a frame may hold several [MQTT-6.0.0-2].

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::{
            machine::TryParse,
            server::{Request, create_response, write_response},
        },
        http::{HeaderValue, StatusCode, header},
        protocol::{Role, WebSocketConfig},
    },
};

/// Longest request head that is taken, in bytes.
pub(crate) const HEAD: usize = 16 * 1024;

/// Paths at which devices look for us.
const PATHS: [&str; 2] = ["/mqtt", "/"];

/// Sub-protocols that mean MQTT: the registered one, and what clients of MQTT 3.1 offer.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Bytes of the read buffer that each WebSocket holds all the time.
const READ_BUFFER: usize = 2048;

/// What a request head asks for.
pub(crate) enum Head {
    /// More bytes are needed.
    Half,
    /// A WebSocket; the head has so many bytes.
    Upgrade(Box<Request>, usize),
    /// Something else, or nonsense.
    Other,
}

/// Reads a request head.
pub(crate) fn head(bytes: &[u8]) -> Head {
    match Request::try_parse(bytes) {
        Ok(None) if bytes.len() < HEAD => Head::Half,
        Ok(Some((size, request))) if wants_websocket(&request) => {
            Head::Upgrade(Box::new(request), size)
        }
        Ok(_) | Err(_) => Head::Other,
    }
}

fn wants_websocket(request: &Request) -> bool {
    tokens(request, header::UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

fn tokens(request: &Request, name: header::HeaderName) -> impl Iterator<Item = &str> {
    request
        .headers()
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Answers an upgrade. `rest` is what came behind the head, `packet` the longest MQTT packet.
///
/// # Errors
/// `InvalidData` after an answer that says why, when the request is not right; else the socket's.
pub(crate) async fn accept<S>(
    mut stream: S,
    request: &Request,
    rest: Vec<u8>,
    packet: usize,
) -> io::Result<Frames<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !PATHS.contains(&request.uri().path()) {
        turn_away(&mut stream, StatusCode::NOT_FOUND, "MQTT is at /mqtt").await?;
        return Err(invalid("no such path"));
    }
    let mut response = match create_response(request) {
        Ok(response) => response,
        Err(error) => {
            turn_away(&mut stream, StatusCode::BAD_REQUEST, &error.to_string()).await?;
            return Err(invalid(&error.to_string()));
        }
    };
    // A client that offers no protocol at all gets none and is let in: the vendor's browser build
    // asks for `mqtt`, older ones do not.
    let offered = tokens(request, header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(protocol) = offered
        .filter_map(|token| PROTOCOLS.into_iter().find(|known| *known == token))
        .next()
    {
        response.headers_mut().insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(protocol),
        );
    }
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(as_io)?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(packet + HEAD))
        .max_frame_size(Some(packet + HEAD));
    let socket =
        WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await;
    Ok(Frames {
        socket,
        rest: Bytes::new(),
        ended: false,
    })
}

/// Answers a request that nobody here serves, and says why.
pub(crate) async fn turn_away<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: StatusCode,
    why: &str,
) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{why}\n",
        why.len() + 1
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn as_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => invalid(&other.to_string()),
    }
}

/// A WebSocket as a stream of bytes. What is written at once goes in one binary frame.
pub(crate) struct Frames<S> {
    socket: WebSocketStream<S>,
    /// What is left of the last frame.
    rest: Bytes,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // [MQTT-6.0.0-1]: MQTT goes in binary frames.
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(invalid("a text frame"))),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => self.ended = true,
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => self.ended = true,
                Some(Err(error)) => return Poll::Ready(Err(as_io(error))),
            }
        }
        let size = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..size]);
        self.rest.advance(size);
        if self.rest.is_empty() {
            // Lets go of the frame's memory while the connection is idle.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(as_io)?;
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket)
            .start_send(frame)
            .map_err(as_io)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(as_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(as_io(error))),
        }
    }
}
