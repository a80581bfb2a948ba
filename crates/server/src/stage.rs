//! A server in the test's own process, and a client that writes requests by hand.

use crate::{Config, Running, start};
use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::ssl::{SslConnector, SslMethod};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf, pin::Pin};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// A running server in a folder of its own.
pub(crate) struct Stage {
    folder: TempDir,
    pub(crate) config: Config,
    running: Option<Running>,
    /// The first account's key, as the owner was told.
    pub(crate) key: Key,
}

/// An access key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Key {
    pub(crate) fn basic(&self) -> String {
        let text = format!("{}:{}", self.id, self.secret);
        format!("Authorization: Basic {}\r\n", STANDARD.encode(text))
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    /// The name of the error.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::on_free_ports(folder.path().join("data"));
        change(&mut config);
        let running = start(config.clone()).await.unwrap();
        let first = running.first_start.as_ref().unwrap();
        let key = Key {
            id: first.access_key_id.clone(),
            secret: first.access_key_secret.clone(),
        };
        Self {
            folder,
            config,
            running: Some(running),
            key,
        }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    pub(crate) async fn resume(&mut self) {
        self.running = Some(start(self.config.clone()).await.unwrap());
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.running().addresses().http.unwrap()
    }

    pub(crate) async fn clear(&self) -> Box<dyn Stream> {
        Box::new(TcpStream::connect(self.http()).await.unwrap())
    }

    pub(crate) async fn tls(&self) -> Box<dyn Stream> {
        let address = self.running().addresses().https.unwrap();
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector
            .set_ca_file(self.data().join("tls/ca.pem"))
            .unwrap();
        let ssl = connector
            .build()
            .configure()
            .unwrap()
            .into_ssl("localhost")
            .unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = tokio_openssl::SslStream::new(ssl, stream).unwrap();
        Pin::new(&mut stream).connect().await.unwrap();
        Box::new(stream)
    }

    /// As the owner of the data folder.
    pub(crate) async fn local(&self, method: &str, path: &str, body: Value) -> Reply {
        let stream = UnixStream::connect(self.data().join("admin.sock")).await;
        request(
            Box::new(stream.unwrap()),
            method,
            path,
            "",
            &body.to_string(),
        )
        .await
    }

    /// With a key over TLS.
    pub(crate) async fn with(&self, key: &Key, method: &str, path: &str, body: Value) -> Reply {
        let stream = self.tls().await;
        request(stream, method, path, &key.basic(), &body.to_string()).await
    }

    /// A product made by the owner: its key.
    pub(crate) async fn product(&self, name: &str) -> String {
        let made = self
            .local(
                "POST",
                "/api/v1/products",
                serde_json::json!({"name": name}),
            )
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["product_key"].as_str().unwrap().to_owned()
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    stream: Box<dyn Stream>,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Reply {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    exchange(stream, text.as_bytes()).await
}

/// Sends bytes and reads to the end.
pub(crate) async fn exchange(mut stream: Box<dyn Stream>, bytes: &[u8]) -> Reply {
    // A server that has seen enough may close before all is sent; what it said counts.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Reply {
        status: status.unwrap_or_default(),
        body: serde_json::from_str(body).unwrap_or_default(),
        text: body.to_owned(),
    }
}
