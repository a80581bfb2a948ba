//! Fetches a file that somebody named, from allowed hosts alone ([FS-7]).
//!
//! An address is a stranger's wish to have this server speak with another machine. Each address on
//! the way, redirects included, must be of an allowed host (`limits.scan_hosts`); its name is looked
//! up once, and the connection goes to what was looked at; machines of private networks are spoken
//! with only where an operator named them exactly. Nothing of an answer but the file is told to
//! whoever asked.

use super::Pieces;
use axum::body::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty};
use hub::{Hub, link::PATH};
use hyper::{Request, Uri, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
    time::timeout,
};

/// How often an answer may point elsewhere.
const REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How long the next piece may take.
const STALL: Duration = Duration::from_secs(60);
/// Bytes of our own files that are read at once.
const PIECE: usize = 1 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Opens the file at `url`.
///
/// # Errors
/// In words.
pub(super) async fn open(hub: &Arc<Hub>, url: &str) -> Result<Box<dyn Pieces>, String> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        hub.scan_link_check(&url)
            .map_err(|error| error.to_string())?;
        if let Some(own) = own(hub, &url).await? {
            return Ok(Box::new(own));
        }
        let uri: Uri = url
            .parse()
            .map_err(|_| "that is not the address of a file".to_owned())?;
        match ask(hub, &uri).await? {
            Told::File(remote) => return Ok(Box::new(remote)),
            Told::Elsewhere(to) => url = resolved(&uri, &to),
        }
    }
    Err(format!(
        "the address led elsewhere more than {REDIRECTS} times"
    ))
}

enum Told {
    File(Remote),
    Elsewhere(String),
}

async fn ask(hub: &Hub, uri: &Uri) -> Result<Told, String> {
    let authority = uri.authority().ok_or("the address has no host")?;
    let secure = uri.scheme_str() == Some("https");
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority
        .port_u16()
        .unwrap_or(if secure { 443 } else { 80 });
    let named = hub.scan_host_named(authority.as_str());
    let address = resolve(&host, port, named).await?;
    let stream = connect(address, secure.then_some(host.as_str())).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no HTTP server answers: {error}"))?;
    let task = Connection(tokio::spawn(async move {
        // The body tells what broke.
        let _ = connection.await;
    }));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(
            header::USER_AGENT,
            concat!("muster/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = timeout(STALL, sender.send_request(request))
        .await
        .map_err(|_| "the server does not answer".to_owned())?
        .map_err(|error| format!("the server does not answer: {error}"))?;
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(header::LOCATION);
        let to = to.and_then(|to| to.to_str().ok());
        let to = to.ok_or_else(|| format!("the server answered {status} and nowhere to go"))?;
        return Ok(Told::Elsewhere(to.to_owned()));
    }
    if status != hyper::StatusCode::OK {
        return Err(format!("the server answered {status}"));
    }
    let length = answer.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let most = hub.limits().scan_file;
    if length.is_some_and(|length| length > most) {
        return Err(format!("the file has more than {most} bytes"));
    }
    Ok(Told::File(Remote {
        body: answer.into_body(),
        left: length,
        _connection: task,
    }))
}

/// Where a redirect leads, as an address of its own (RFC 3986, 5.2, for the forms that servers use).
fn resolved(from: &Uri, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    if let Some(rest) = to.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    if to.starts_with('/') {
        return format!("{scheme}://{authority}{to}");
    }
    let folder = from
        .path()
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    format!("{scheme}://{authority}{folder}/{to}")
}

async fn resolve(host: &str, port: u16, named: bool) -> Result<SocketAddr, String> {
    let found = timeout(CONNECT, lookup_host((host, port)))
        .await
        .map_err(|_| "the host's name cannot be looked up".to_owned())?
        .map_err(|_| "the host's name cannot be looked up".to_owned())?;
    let all: Vec<SocketAddr> = found.collect();
    // One of several that is private is enough to refuse: nobody tells which is meant.
    if !named && all.iter().any(|address| !is_public(address.ip())) {
        return Err(
            "the host is in a private network; limits.scan_hosts must name it exactly".into(),
        );
    }
    let first = all.into_iter().next();
    first.ok_or_else(|| "the host has no address".into())
}

async fn connect(address: SocketAddr, host: Option<&str>) -> Result<Pin<Box<dyn Stream>>, String> {
    let stream = timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| "the host cannot be reached".to_owned())?
        .map_err(|error| format!("the host cannot be reached: {error}"))?;
    let Some(host) = host else {
        return Ok(Box::pin(stream));
    };
    let wrong = |error: openssl::error::ErrorStack| format!("TLS: {error}");
    let connector = SslConnector::builder(SslMethod::tls())
        .map_err(wrong)?
        .build();
    let ssl = connector
        .configure()
        .and_then(|settings| settings.into_ssl(host))
        .map_err(wrong)?;
    let mut stream = tokio_openssl::SslStream::new(ssl, stream).map_err(wrong)?;
    timeout(CONNECT, Pin::new(&mut stream).connect())
        .await
        .map_err(|_| "TLS: the host does not answer".to_owned())?
        .map_err(|error| format!("TLS: {error}"))?;
    Ok(Box::pin(stream))
}

/// Whether an address is of the open internet (RFC 6890 and the registries that follow it).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && c == 0
        || a == 198 && (18..20).contains(&b))
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let parts = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        // Translated, and tunnelled: what counts is behind.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Only 2000::/3 is given out; documentation and benchmarks are in it, and others.
        [0x2001, 0x0db8, ..] | [0x2001, 0..=0x1ff, ..] | [0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Remote {
    body: Incoming,
    left: Option<u64>,
    _connection: Connection,
}

impl Pieces for Remote {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, String>> {
        Box::pin(async {
            loop {
                let frame = timeout(STALL, self.body.frame())
                    .await
                    .map_err(|_| "the file stopped coming".to_owned())?;
                let Some(frame) = frame else {
                    return match self.left {
                        Some(left) if left > 0 => Err("the file broke off".into()),
                        _ => Ok(None),
                    };
                };
                let frame = frame.map_err(|error| format!("the file broke off: {error}"))?;
                if let Ok(piece) = frame.into_data() {
                    let length = piece.len() as u64;
                    self.left = self.left.map(|left| left.saturating_sub(length));
                    return Ok(Some(piece));
                }
            }
        })
    }
}

/// A file of ours, behind one of our own links: no connection to ourselves is needed.
struct Own {
    hub: Arc<Hub>,
    blob: String,
    at: u64,
}

async fn own(hub: &Arc<Hub>, url: &str) -> Result<Option<Own>, String> {
    let here = hub.links_from();
    let Some(rest) = url.strip_prefix(here).filter(|_| !here.is_empty()) else {
        return Ok(None);
    };
    let Some(rest) = rest
        .strip_prefix(PATH)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Ok(None);
    };
    let (blob, query) = rest.split_once('?').unwrap_or((rest, ""));
    let find = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let expires = find("Expires").parse().unwrap_or_default();
    hub.link_open(blob, expires, &find("Signature"))
        .await
        .map_err(|error| error.to_string())?;
    Ok(Some(Own {
        hub: hub.clone(),
        blob: blob.to_owned(),
        at: 0,
    }))
}

impl Pieces for Own {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, String>> {
        Box::pin(async {
            let piece = self.hub.link_read(&self.blob, self.at, PIECE).await;
            let piece = piece.map_err(|fault| fault.to_string())?;
            self.at += piece.len() as u64;
            Ok((!piece.is_empty()).then_some(piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [FS-7] Addresses through which this machine or its neighbours would be reached.
    #[test]
    fn private_addresses_are_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.100.100.200",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "203.0.113.5",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "8.8.8.8",
            "47.110.23.1",
            "2400:3200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_redirect_leads_where_it_says() {
        let from: Uri = "https://a.cn:8443/x/y?z=1".parse().unwrap();
        for (to, wanted) in [
            ("http://b.cn/", "http://b.cn/"),
            ("//b.cn/q", "https://b.cn/q"),
            ("/q?r", "https://a.cn:8443/q?r"),
            ("q", "https://a.cn:8443/x/q"),
        ] {
            assert_eq!(resolved(&from, to), wanted);
        }
    }
}
