//! Every entrance, and strangers of every kind at it.

use crate::{HELLO, House, OUT};
use openssl::ssl::{SslConnector, SslMethod};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Where one can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    Mqtt,
    Mqtts,
    Http,
    Https,
    /// The operator's socket in the data folder.
    Local,
}

pub(crate) const ALL: [Entrance; 5] = [
    Entrance::Mqtt,
    Entrance::Mqtts,
    Entrance::Http,
    Entrance::Https,
    Entrance::Local,
];

impl Entrance {
    fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Http => "http",
            Self::Https => "https",
            Self::Local => "admin.sock",
        }
    }

    /// Until when strangers are put out: the operator's socket is as patient as HTTP is.
    fn patience(self) -> Duration {
        match self {
            Self::Mqtt | Self::Mqtts | Self::Http | Self::Https => OUT,
            Self::Local => 3 * OUT,
        }
    }

    fn secure(self) -> bool {
        matches!(self, Self::Mqtts | Self::Https)
    }

    /// Opens a connection without a word of TLS.
    fn open_bare(self, house: &House) -> Line {
        if self == Self::Local {
            let path = house.server.data().join("admin.sock");
            let stream = UnixStream::connect(path).expect("the socket is there");
            stream
                .set_read_timeout(Some(self.patience()))
                .expect("a socket");
            stream.set_write_timeout(Some(OUT)).expect("a socket");
            return Line::Unix(stream);
        }
        let stream = TcpStream::connect(house.server.address(self.name())).expect("it listens");
        stream.set_read_timeout(Some(OUT)).expect("a socket");
        stream.set_write_timeout(Some(OUT)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Line::Tcp(stream)
    }

    /// Opens a connection, with TLS where the entrance has it.
    pub(crate) fn open(self, house: &House) -> Line {
        match self.open_bare(house) {
            Line::Tcp(stream) if self.secure() => {
                let mut tls = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
                tls.set_ca_file(house.server.ca()).expect("a CA");
                let stream = tls.build().connect("localhost", stream);
                Line::Tls(Box::new(stream.expect("a TLS handshake")))
            }
            line => line,
        }
    }
}

/// A connection.
pub(crate) enum Line {
    Tcp(TcpStream),
    Tls(Box<openssl::ssl::SslStream<TcpStream>>),
    Unix(UnixStream),
}

impl Line {
    /// Sends as much as the server takes.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = match self {
            Self::Tcp(s) => s.write_all(bytes),
            Self::Tls(s) => s.write_all(bytes),
            Self::Unix(s) => s.write_all(bytes),
        };
        sent.is_ok()
    }

    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(piece),
            Self::Tls(s) => s.read(piece),
            Self::Unix(s) => s.read(piece),
        }
    }

    fn set_patience(&self, patience: Duration) {
        match self {
            Self::Tcp(s) => s.set_read_timeout(Some(patience)),
            Self::Tls(s) => s.get_ref().set_read_timeout(Some(patience)),
            Self::Unix(s) => s.set_read_timeout(Some(patience)),
        }
        .expect("a socket");
    }

    /// Says that nothing more will come.
    fn half_close(&mut self) {
        _ = match self {
            Self::Tcp(s) => s.shutdown(Shutdown::Write),
            Self::Tls(s) => {
                _ = s.shutdown();
                s.get_ref().shutdown(Shutdown::Write)
            }
            Self::Unix(s) => s.shutdown(Shutdown::Write),
        };
    }

    /// All that the server says until it closes.
    fn rest(&mut self, what: &str) -> Vec<u8> {
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        let began = Instant::now();
        loop {
            match self.read(&mut piece) {
                Ok(0) => return answer,
                Ok(n) => answer.extend_from_slice(&piece[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!(
                        "{what} is not put out after {:?}; it said {answer:?}",
                        began.elapsed()
                    )
                }
                Err(_) => return answer,
            }
            assert!(began.elapsed() < 3 * OUT, "{what} is not put out in time");
        }
    }

    /// Sends bytes and gives back all that the server says until it closes.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes);
        self.rest("a request")
    }
}

/// A dialect's own way to refuse: an HTTP status, a CONNACK with a code, a TLS alert, or nothing
/// but the close. A dialect that the entrance does not speak gets nothing.
fn refuses(answer: &[u8]) -> bool {
    let http = |text: &[u8]| text.starts_with(b"HTTP/1.1 4") || text.starts_with(b"HTTP/1.1 5");
    match answer {
        [] => true,
        [0x15, ..] => true,
        // CONNACK of 3.1.1 and of 5.
        [0x20, _, 0, code, ..] => *code != 0,
        text => http(text),
    }
}

fn mqtt(first: u8, remaining: &[u8], body: &[u8]) -> Vec<u8> {
    [&[first], remaining, body].concat()
}

/// What strangers say.
fn sayings() -> Vec<(&'static str, Vec<u8>)> {
    let connect_head = b"\x00\x04MQTT\x04\xc2\x00\x3c";
    let long = "x".repeat(200_000);
    let mut nul_client = connect_head.to_vec();
    nul_client.extend_from_slice(b"\x00\x02a\x00\x00\x01u\x00\x01p");
    let http = |text: &str| text.replace('\n', "\r\n").into_bytes();
    vec![
        ("nothing", Vec::new()),
        ("one byte", vec![0x10]),
        ("zeros", vec![0; 4_096]),
        ("ones", vec![0xff; 4_096]),
        (
            "garbage",
            (0..4_096_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect(),
        ),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("SMTP", b"EHLO stranger.example\r\n".to_vec()),
        (
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec(),
        ),
        // MQTT
        ("half a CONNECT", mqtt(0x10, &[0x40], connect_head)),
        (
            "a CONNECT that declares 256 MiB",
            mqtt(0x10, &[0xff, 0xff, 0xff, 0x7f], connect_head),
        ),
        (
            "a length without end",
            mqtt(0x10, &[0xff, 0xff, 0xff, 0xff, 0xff], &[]),
        ),
        (
            "a CONNECT of 200 kB",
            mqtt(0x10, &[0xc0, 0x9a, 0x0c], long.as_bytes()),
        ),
        (
            "a CONNECT with a NUL",
            mqtt(0x10, &[nul_client.len() as u8], &nul_client),
        ),
        (
            "a CONNECT of MQTT 9",
            mqtt(0x10, &[13], b"\x00\x04MQTT\x09\x02\x00\x3c\x00\x01a"),
        ),
        (
            "a CONNECT of nobody",
            mqtt(0x10, &[13], b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"),
        ),
        (
            "a PUBLISH before CONNECT",
            mqtt(0x30, &[5], b"\x00\x03a/bx"),
        ),
        (
            "a SUBSCRIBE before CONNECT",
            mqtt(0x82, &[8], b"\x00\x01\x00\x03a/b\x00"),
        ),
        ("a packet of type 0", vec![0x00, 0x00]),
        // HTTP and WebSocket
        ("half a head", http("POST / HTTP/1.1\nHost: x\nContent-")),
        (
            "half a body",
            http(
                "POST /api/v1/products HTTP/1.1\nHost: x\nContent-Length: 100\nConnection: close\n\n{\"na",
            ),
        ),
        (
            "a body that declares 1 TiB",
            http(
                "POST /api/v1/products HTTP/1.1\nHost: x\nContent-Length: 1099511627776\nConnection: close\n\n{}",
            ),
        ),
        (
            "a length that is none",
            http("POST / HTTP/1.1\nHost: x\nContent-Length: -1\n\n"),
        ),
        (
            "two lengths",
            http("POST / HTTP/1.1\nHost: x\nContent-Length: 1\nContent-Length: 2\n\nx"),
        ),
        (
            "a length and chunks",
            http(
                "POST /nowhere HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 3\nTransfer-Encoding: chunked\n\nzz\n\n",
            ),
        ),
        (
            "a huge header",
            http(&format!("GET / HTTP/1.1\nHost: x\nX: {long}\n\n")),
        ),
        (
            "many headers",
            http(&format!(
                "GET / HTTP/1.1\nHost: x\n{}\n",
                "a: b\n".repeat(5_000)
            )),
        ),
        (
            "an upgrade without a key",
            http(
                "GET /mqtt HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Protocol: mqtt\n\n",
            ),
        ),
        (
            "an upgrade of another kind",
            http("GET /mqtt HTTP/1.1\nHost: x\nConnection: Upgrade, close\nUpgrade: h2c\n\n"),
        ),
        (
            "a path that escapes",
            http("GET /api/v1/../../etc/passwd HTTP/1.1\nHost: x\nConnection: close\n\n"),
        ),
        (
            "CONNECT of a proxy",
            http("CONNECT 127.0.0.1:22 HTTP/1.1\nHost: x\nConnection: close\n\n"),
        ),
        // TLS
        (
            "half a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "a TLS record that is none",
            mqtt(0x16, b"\x03\x01\x40\x00", &[0; 0x4000]),
        ),
        ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x28".to_vec()),
    ]
}

/// Every saying at every entrance, then silence, and then a close: refused in the dialect's way or
/// put out within the bound, and nobody else notices.
#[test]
fn strangers_are_refused_or_put_out_at_every_entrance() {
    let mut house = House::open();
    for entrance in ALL {
        let sayings = sayings();
        for half_close in [false, true] {
            // Together, so that those who stay silent wait out the bound at once.
            let mut strangers: Vec<_> = sayings
                .iter()
                .map(|(what, bytes)| {
                    let mut line = entrance.open(&house);
                    line.send(bytes);
                    if half_close {
                        line.half_close();
                    }
                    (*what, line)
                })
                .collect();
            house.unharmed("strangers came");
            for (what, line) in &mut strangers {
                let answer = line.rest(&format!("{what} at {entrance:?}"));
                assert!(
                    refuses(&answer),
                    "{what} at {entrance:?}: {:?}",
                    String::from_utf8_lossy(&answer)
                );
            }
        }
        house.unharmed(entrance.name());
    }
}

/// Where TLS is spoken, those who do not speak it are put out as well.
#[test]
fn strangers_without_tls_are_put_out() {
    let mut house = House::open();
    for entrance in [Entrance::Mqtts, Entrance::Https] {
        let mut strangers: Vec<_> = sayings()
            .into_iter()
            .map(|(what, bytes)| {
                let mut line = entrance.open_bare(&house);
                line.send(&bytes);
                (what, line)
            })
            .collect();
        for (what, line) in &mut strangers {
            let answer = line.rest(&format!("{what} at {entrance:?}"));
            assert!(refuses(&answer), "{what} at {entrance:?}: {answer:?}");
        }
        house.unharmed(entrance.name());
    }
}

/// [AL-3.6] Inside a WebSocket, frames that are none, that are of the wrong kind, too long, half
/// sent, or full of what is no MQTT: the connection is ended in time.
#[test]
fn strangers_inside_a_websocket_are_put_out() {
    let mut house = House::open();
    let upgrade = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // Frames of clients are masked (RFC 6455 §5.3); a mask of zeros leaves the bytes as they are.
    let frame = |first: u8, payload: &[u8]| {
        let length = payload.len() as u16;
        let [high, low] = length.to_be_bytes();
        [&[first, 0xfe, high, low, 0, 0, 0, 0], payload].concat()
    };
    let nobody = mqtt(0x10, &[13], b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a");
    let frames = [
        ("nothing", Vec::new()),
        ("garbage", vec![0xff; 4_096]),
        ("half a frame", frame(0x82, &nobody)[..12].to_vec()),
        ("a frame without mask", [&[0x82, 15], &nobody[..]].concat()),
        ("a text frame", frame(0x81, &nobody)),
        ("a text that is none", frame(0x81, b"\xff\xfe")),
        ("reserved bits", frame(0xf2, &nobody)),
        ("a kind that nobody knows", frame(0x83, &nobody)),
        ("a continuation of nothing", frame(0x80, &nobody)),
        ("a message without end", frame(0x02, &nobody[..5])),
        ("a long ping", frame(0x89, &[0; 1_000])),
        (
            "a frame that declares 8 EiB",
            [&[0x82, 0xff, 0x7f][..], &[0xff; 7], &[0; 64]].concat(),
        ),
        ("60 kB that are no MQTT", frame(0x82, &[0; 60_000])),
        ("a CONNECT of nobody", frame(0x82, &nobody)),
        ("half a CONNECT", frame(0x82, &nobody[..8])),
        ("a close", frame(0x88, b"")),
    ];
    for entrance in [
        Entrance::Mqtt,
        Entrance::Mqtts,
        Entrance::Http,
        Entrance::Https,
    ] {
        let mut strangers: Vec<_> = frames
            .iter()
            .map(|(what, bytes)| {
                let mut line = entrance.open(&house);
                line.send(upgrade);
                line.send(bytes);
                (what, line)
            })
            .collect();
        for (what, line) in &mut strangers {
            let answer = line.rest(&format!("{what} inside a WebSocket at {entrance:?}"));
            let text = String::from_utf8_lossy(&answer);
            assert!(
                text.starts_with("HTTP/1.1 101"),
                "{what} at {entrance:?}: {text}"
            );
            let accepted = [0x20, 2, 0, 0];
            assert!(
                !answer.windows(4).any(|window| window == accepted),
                "{what} at {entrance:?} is let in"
            );
        }
        house.unharmed(entrance.name());
    }
}

/// A byte now and then keeps no connection open beyond its bound: of a CONNECT, of a head, of a
/// body, of a TLS hello.
#[test]
fn slow_strangers_are_put_out() {
    let mut house = House::open();
    let connect = mqtt(0x10, &[0xff, 0x01], b"\x00\x04MQTT\x04\xc2\x00\x3c");
    let head = b"GET /api/v1/products?";
    let body = b"POST /api/v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    for entrance in ALL {
        let mqtt_too = entrance != Entrance::Local;
        let beginnings = [
            mqtt_too.then_some(("CONNECT", &connect[..])),
            (entrance != Entrance::Local).then_some(("a head", &head[..])),
            (!matches!(entrance, Entrance::Mqtt | Entrance::Mqtts))
                .then_some(("a body", &body[..])),
        ];
        for (what, beginning) in beginnings.into_iter().flatten() {
            let mut line = entrance.open(&house);
            line.send(beginning);
            // Waiting for the close is what paces the bytes.
            line.set_patience(HELLO / 15);
            let (began, mut piece) = (Instant::now(), [0; 4096]);
            loop {
                match line.read(&mut piece) {
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        _ = line.send(b"x");
                    }
                    // An answer is one that refuses; then the close.
                    Ok(n) if n > 0 => assert!(refuses(&piece[..n]), "{what} at {entrance:?}"),
                    Ok(_) | Err(_) => break,
                }
                assert!(
                    began.elapsed() < OUT,
                    "slow {what} at {entrance:?} is not put out"
                );
            }
        }
    }
    house.unharmed("slow strangers");
}

/// Bodies that really are too long, on many connections at once: refused, in bounded memory.
#[test]
fn real_floods_are_bounded() {
    let mut house = House::open();
    for entrance in [Entrance::Http, Entrance::Https, Entrance::Local] {
        for path in [
            "/",
            "/api/v1/products",
            "/auth/devicename",
            "/auth/register/device",
        ] {
            let body = vec![b'a'; 9 << 20];
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = entrance
                .open(&house)
                .exchange(&[head.as_bytes(), &body].concat());
            assert!(refuses(&answer), "{path} at {entrance:?}");
        }
    }
    house.unharmed("long bodies");
    // A device that is let in may not send more than a packet's bound either.
    let secret = house.server.device(&house.product.clone(), "kitchen");
    let login = tests::mqtt::Login::signed(&house.product, "kitchen", &secret, "");
    for length in [&[0xff, 0xff, 0xff, 0x7f][..], &[0x80, 0x80, 0x80, 0x02]] {
        let address = house.server.address("mqtt");
        let mut line = tests::mqtt::Mqtt::open(address, None, wire::mqtt::Version::V311);
        line.connect(&login, true, 60);
        line.send_raw(&[&[0x32], length].concat());
        line.send_raw(&vec![0; 4 << 20]);
        line.closed();
    }
    house.unharmed("long packets");
}

/// [FS-8] The admin API takes no call without a right credential: it says so with 401 or 403 in
/// JSON, with what to do, and changes nothing.
#[test]
fn the_admin_api_is_closed_to_strangers() {
    let mut house = House::open();
    let before = house.server.cli(&["product", "list"]);
    let local = |text: &str| openssl::base64::encode_block(text.as_bytes());
    let right = format!("{}:{}", house.key.id, house.key.secret);
    let credentials = [
        None,
        Some(String::new()),
        Some("Basic".to_owned()),
        Some("Basic !!!".to_owned()),
        Some(format!("Basic {}", local("nobody:nothing"))),
        Some(format!(
            "Basic {}",
            local(&format!("{}:wrong", house.key.id))
        )),
        Some(format!("Basic {}", local(&format!("{right}x")))),
        Some(format!("Basic {}", local(&house.key.id))),
        Some(format!("Bearer {}", house.key.secret)),
        Some("ACS3-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature=00".to_owned()),
        Some("x".repeat(10_000)),
    ];
    for entrance in [Entrance::Http, Entrance::Https] {
        for (method, path) in [
            ("GET", "/api/v1/products"),
            ("POST", "/api/v1/products"),
            ("GET", "/api/v1/audit"),
        ] {
            for credential in &credentials {
                let header = credential
                    .as_ref()
                    .map_or(String::new(), |c| format!("Authorization: {c}\r\n"));
                let body = if method == "POST" {
                    "{\"name\":\"taken\"}"
                } else {
                    ""
                };
                let text = format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let answer = entrance.open(&house).exchange(text.as_bytes());
                let answer = String::from_utf8_lossy(&answer);
                assert!(
                    answer.starts_with("HTTP/1.1 401") || answer.starts_with("HTTP/1.1 403"),
                    "{method} {path} at {entrance:?} with {credential:?}: {answer}"
                );
                let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                let told: serde_json::Value =
                    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
                assert!(told.is_object(), "{answer}");
                assert!(!answer.contains(&house.key.secret), "a secret comes back");
            }
        }
    }
    assert_eq!(
        house.server.cli(&["product", "list"]),
        before,
        "nothing was made"
    );
    house.unharmed("strangers at the admin API");
}
