//! A small HTTP client for the admin API: over the server's socket, or over TLS.

use super::{Failure, REFUSED, UNREACHABLE, USAGE};
use crate::{admin, serve::SOCKET};
use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::stream;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    runtime::Runtime,
    task::JoinHandle,
};

/// Longest answer that is read, in bytes.
const ANSWER: usize = 256 * 1024 * 1024;
/// Longest refusal that is read of an answer that would have been a stream, in bytes.
const REFUSAL: usize = 64 * 1024;
/// How long an answer may take: a synchronous service call or a large batch, and then some.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a file that are read at once.
const PIECE: usize = 128 * 1024;
/// Bytes a second that an upload makes at least, or it has failed.
const SLOWEST: u64 = 16 * 1024;
/// Signs that need no escape in a segment of a path (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Which server.
pub(crate) enum Target {
    /// The one that has this data folder open.
    Local(PathBuf),
    /// One that is told by its address.
    Remote {
        secure: bool,
        host: String,
        port: u16,
        ca: Option<PathBuf>,
        authorization: Option<String>,
    },
}

impl Target {
    pub(crate) fn remote(
        url: &str,
        ca: Option<PathBuf>,
        id: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(
                USAGE,
                format!("--url {url}: that is not the address of a server"),
                "write https://host:port, such as https://iot.example:8443",
            )
        };
        let parsed: hyper::Uri = url.parse().map_err(|_| wrong())?;
        let secure = match parsed.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let host = parsed.host().ok_or_else(wrong)?;
        let authorization = match (id, secret) {
            (Some(id), Some(secret)) => Some(format!(
                "Basic {}",
                STANDARD.encode(format!("{id}:{secret}"))
            )),
            (None, None) => None,
            _ => {
                return Err(Failure::new(
                    USAGE,
                    "an access key has two halves",
                    "set MUSTER_ACCESS_KEY_ID and MUSTER_ACCESS_KEY_SECRET",
                ));
            }
        };
        if !secure && authorization.is_some() {
            tracing::warn!("the access key's secret goes over the network in clear");
        }
        Ok(Self::Remote {
            secure,
            host: host.trim_matches(['[', ']']).into(),
            port: parsed
                .port_u16()
                .unwrap_or(if secure { 8443 } else { 8080 }),
            ca,
            authorization,
        })
    }
}

/// Speaks with one server.
pub(crate) struct Client {
    target: Target,
    runtime: Runtime,
}

impl Client {
    pub(crate) fn new(target: Target) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(REFUSED, format!("starting: {error}"), ""))?;
        Ok(Self { target, runtime })
    }

    pub(crate) fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None)
    }

    pub(crate) fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], Some(body))
    }

    pub(crate) fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, &[], Some(body))
    }

    pub(crate) fn put_with(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &Value,
    ) -> Result<Value, Failure> {
        self.call(Method::PUT, path, query, Some(body))
    }

    pub(crate) fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, &[], None)
    }

    /// Posts a file of so many bytes, piece by piece.
    pub(crate) fn upload(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        file: File,
        bytes: u64,
    ) -> Result<Value, Failure> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query);
        let uri = format!("{}/{}?{}", admin::PATH, path.join("/"), text.finish());
        let pieces = stream::unfold(file, async |mut file| {
            let mut piece = vec![0; PIECE];
            match file.read(&mut piece) {
                Ok(0) => None,
                Ok(many) => {
                    piece.truncate(many);
                    Some((Ok(Bytes::from(piece)), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        });
        let body = Body::from_stream(pieces);
        // A line that carries less would take days for what is usual.
        let patience = PATIENCE + Duration::from_secs(bytes / SLOWEST);
        let (status, value) = self.send(Method::POST, &uri, body, patience)?;
        if (200..300).contains(&status) {
            Ok(value)
        } else {
            Err(Failure::of_server(status, &value))
        }
    }

    /// All items of a list that comes in pages, at most `most` of them, and how many there are.
    pub(crate) fn all(&self, path: &[&str], most: usize) -> Result<(Vec<Value>, u64), Failure> {
        let mut items = Vec::new();
        loop {
            let page = (most - items.len()).min(200);
            let query = [
                ("skip", items.len().to_string()),
                ("most", page.to_string()),
            ];
            let mut answer = self.get(path, &query)?;
            let total = answer["total"].as_u64().unwrap_or_default();
            let found = match answer["items"].take() {
                Value::Array(found) => found,
                _ => Vec::new(),
            };
            let end = found.is_empty();
            items.extend(found);
            if end || items.len() >= most || items.len() as u64 >= total {
                return Ok((items, total));
            }
        }
    }

    /// Posts and hands on the answer as it arrives; an answer that is an error is told as such.
    pub(crate) fn stream(
        &self,
        path: &[&str],
        body: &Value,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let uri = format!("{}/{}", admin::PATH, path.join("/"));
        let body: Bytes = body.to_string().into();
        self.runtime.block_on(async {
            let silent = |_| {
                Failure::new(
                    UNREACHABLE,
                    "the server fell silent",
                    "look into its log, and try again",
                )
            };
            let asked = Box::pin(self.ask(Method::POST, &uri, body.into()));
            let asked = tokio::time::timeout(PATIENCE, asked).await;
            let (response, pump) = asked.map_err(silent)??;
            let status = response.status().as_u16();
            let mut body = response.into_body();
            let mut refusal = Vec::new();
            while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame())
                .await
                .map_err(silent)?
            {
                let frame = frame.map_err(|error| broke_off(&error))?;
                let Some(bytes) = frame.data_ref() else {
                    continue;
                };
                if (200..300).contains(&status) {
                    take(bytes)?;
                } else if refusal.len() < REFUSAL {
                    refusal.extend_from_slice(bytes);
                }
            }
            pump.abort();
            if (200..300).contains(&status) {
                return Ok(());
            }
            let value = serde_json::from_slice(&refusal).unwrap_or(Value::Null);
            Err(Failure::of_server(status, &value))
        })
    }

    /// Asks for something beside the admin API, such as `/readyz`: status and answer.
    pub(crate) fn probe(&self, uri: &str) -> Result<(u16, Value), Failure> {
        self.send(Method::GET, uri, Body::empty(), PATIENCE)
    }

    fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut uri = String::from(admin::PATH);
        for segment in path {
            uri.push('/');
            uri.extend(utf8_percent_encode(segment, SEGMENT));
        }
        if !query.is_empty() {
            uri.push('?');
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(query);
            uri.push_str(&text.finish());
        }
        let body = body.map_or_else(Body::empty, |body| body.to_string().into());
        let (status, value) = self.send(method, &uri, body, PATIENCE)?;
        if (200..300).contains(&status) {
            Ok(value)
        } else {
            Err(Failure::of_server(status, &value))
        }
    }

    fn send(
        &self,
        method: Method,
        uri: &str,
        body: Body,
        patience: Duration,
    ) -> Result<(u16, Value), Failure> {
        let answered = self.runtime.block_on(async {
            let exchange = Box::pin(self.exchange(method, uri, body));
            tokio::time::timeout(patience, exchange).await
        });
        let (status, bytes) = answered.map_err(|_| {
            Failure::new(
                UNREACHABLE,
                "the server does not answer",
                "look into its log, and run `muster doctor`",
            )
        })??;
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok((status, value))
    }

    async fn exchange(
        &self,
        method: Method,
        uri: &str,
        body: Body,
    ) -> Result<(u16, Bytes), Failure> {
        let (response, pump) = self.ask(method, uri, body).await?;
        let status = response.status().as_u16();
        let bytes = Limited::new(response.into_body(), ANSWER)
            .collect()
            .await
            .map_err(|error| broke_off(&*error))?
            .to_bytes();
        pump.abort();
        Ok((status, bytes))
    }

    /// Sends a request; the answer's head is there, and its body comes for as long as the task
    /// runs.
    async fn ask(
        &self,
        method: Method,
        uri: &str,
        body: Body,
    ) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), Failure> {
        let stream = self.connect().await?;
        let lost = |error: hyper::Error| {
            Failure::new(
                UNREACHABLE,
                format!("the connection to the server was lost: {error}"),
                "look into its log, and try again",
            )
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let pump = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(uri);
        request = match &self.target {
            Target::Local(_) => request.header(header::HOST, "localhost"),
            Target::Remote {
                host,
                port,
                authorization,
                ..
            } => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                let request = request.header(header::HOST, format!("{host}:{port}"));
                match authorization {
                    Some(value) => request.header(header::AUTHORIZATION, value),
                    None => request,
                }
            }
        };
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| Failure::new(USAGE, format!("the request: {error}"), ""))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        Ok((response, pump))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        match &self.target {
            Target::Local(data) => {
                let path = data.join(SOCKET);
                let stream = UnixStream::connect(&path).await;
                let stream = stream.map_err(|error| not_here(data, &path, &error))?;
                Ok(Box::new(stream))
            }
            Target::Remote {
                secure,
                host,
                port,
                ca,
                ..
            } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(|error| {
                    Failure::new(
                        UNREACHABLE,
                        format!("no server answers at {host}:{port}: {error}"),
                        "check the address, and that the server runs and no firewall is between",
                    )
                })?;
                if *secure {
                    Ok(Box::new(encrypt(stream, host, ca.as_deref()).await?))
                } else {
                    Ok(Box::new(stream))
                }
            }
        }
    }
}

fn broke_off(error: &dyn std::error::Error) -> Failure {
    Failure::new(
        UNREACHABLE,
        format!("the answer broke off: {error}"),
        "try again",
    )
}

fn not_here(data: &Path, path: &Path, error: &io::Error) -> Failure {
    let shown = data.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            UNREACHABLE,
            format!("no server runs on the data folder {shown}"),
            format!(
                "start it with `muster serve --data {shown}`, name another folder with --data, or a server with --url"
            ),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            UNREACHABLE,
            format!("this user may not use {}", path.display()),
            "run it as the user that the server runs as, or use --url with an access key",
        ),
        _ => Failure::new(
            UNREACHABLE,
            format!("{}: {error}", path.display()),
            "check the path of the data folder (--data)",
        ),
    }
}

async fn encrypt(
    stream: TcpStream,
    host: &str,
    ca: Option<&Path>,
) -> Result<tokio_openssl::SslStream<TcpStream>, Failure> {
    let failed = |error: String| {
        let help = match ca {
            None => {
                "name the server's CA certificate with --ca (muster-data/tls/ca.pem on the server)"
            }
            Some(_) => {
                "check that --ca is the server's CA certificate and that its certificate bears this name (tls.names)"
            }
        };
        Failure::new(
            UNREACHABLE,
            format!("the server at {host} cannot be trusted: {error}"),
            help,
        )
    };
    let mut builder = SslConnector::builder(SslMethod::tls_client())
        .map_err(|error| failed(error.to_string()))?;
    if let Some(ca) = ca {
        builder
            .set_ca_file(ca)
            .map_err(|error| failed(format!("{}: {error}", ca.display())))?;
    }
    let ssl = builder
        .build()
        .configure()
        .and_then(|connect| connect.into_ssl(host))
        .map_err(|error| failed(error.to_string()))?;
    let mut stream =
        tokio_openssl::SslStream::new(ssl, stream).map_err(|error| failed(error.to_string()))?;
    Pin::new(&mut stream)
        .connect()
        .await
        .map_err(|error| failed(error.to_string()))?;
    Ok(stream)
}
