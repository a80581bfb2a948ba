//! Files in an object store of the S3 kind instead of the data folder.
//!
//! Firmware, documents for devices and scan reports go there; what was in the data folder before
//! stays readable. Downloads are served by this server all the same, so links, their rates and their
//! ends are as ever, and devices need no way to the store.

use crate::config::Bucket as Settings;
use async_trait::async_trait;
use axum::body::Bytes;
use credential::{
    crypto::secret::Secret,
    request::{
        query,
        sigv4::{self, Scope},
    },
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use model::{
    error::Fault,
    port::{BlobWriter, Blobs, Clock},
};
use openssl::ssl::{SslConnector, SslMethod};
use parking_lot::Mutex;
use std::{pin::Pin, sync::Arc, time::Duration};
use time::{OffsetDateTime, macros::format_description};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// Bytes of a file that are sent at once; stores take no smaller parts than 5 MiB but the last.
const PART: usize = 8 << 20;
/// Parts of one file, as many as stores take.
const PARTS: usize = 10_000;
/// Connections that are kept open while nobody needs them.
const IDLE: usize = 8;
/// Longest answer that is not a file, in bytes.
const ANSWER: usize = 64 << 10;
/// Longest name.
const NAME_MOST: usize = 64;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An object store.
pub(crate) struct Bucket(Arc<Store>);

struct Store {
    secure: bool,
    /// Host, and port where it is named.
    authority: String,
    host: String,
    port: u16,
    /// The bucket, and what the names of all files begin with.
    path: String,
    region: String,
    key_id: String,
    secret: Secret,
    patience: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    clock: Arc<dyn Clock>,
    /// Where files were kept before.
    former: Arc<dyn Blobs>,
}

/// A request to the store.
#[derive(Clone, Default)]
struct Ask<'a> {
    method: &'static str,
    name: &'a str,
    query: Vec<(String, String)>,
    range: Option<String>,
    body: Bytes,
    /// Longest answer that is of use.
    most: usize,
}

/// What the store answered.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Told {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Why the store did not do it.
    fn refusal(&self, doing: &str) -> Fault {
        let code = element(&self.text(), "Code").unwrap_or_default();
        let text = format!("{doing}: the object store answered {} {code}", self.status);
        let passing = self.status.is_server_error() || self.status == 429;
        match passing {
            true => Fault::passing(text),
            false => Fault::lasting(text),
        }
    }
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}

impl Bucket {
    /// The store that the configuration names, if it names one; `former` has the files of before.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub(crate) fn of(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        former: Arc<dyn Blobs>,
    ) -> Result<Option<Self>, Fault> {
        let Some(url) = &settings.url else {
            return Ok(None);
        };
        let lost = |what: &str| Fault::lasting(format!("bucket: {what}"));
        let uri: Uri = url.parse().map_err(|_| lost("url cannot be read"))?;
        let authority = uri.authority().ok_or_else(|| lost("url names no host"))?;
        let secure = uri.scheme_str() == Some("https");
        let file = settings.secret_file.as_ref();
        let file = file.ok_or_else(|| lost("secret_file is not set"))?;
        let text = std::fs::read(file);
        let text = text.map_err(|error| lost(&format!("{}: {error}", file.display())))?;
        let key_id = settings.key_id.clone();
        Ok(Some(Self(Arc::new(Store {
            secure,
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
            region: settings.region.clone(),
            key_id: key_id.ok_or_else(|| lost("key_id is not set"))?,
            secret: Secret::new(text.trim_ascii_end().to_vec()),
            patience: Duration::from_millis(settings.timeout),
            idle: Mutex::new(Vec::new()),
            clock,
            former,
        }))))
    }

    /// Looks whether the store is there and knows us, so that an operator learns it at the start.
    pub(crate) fn look(&self) -> impl Future<Output = ()> + Send + use<> {
        let store = self.0.clone();
        async move {
            match store.size("nothing").await {
                Ok(_) => tracing::info!(bucket = %store, "files are kept in an object store"),
                Err(fault) => tracing::warn!(bucket = %store, %fault, "no files can be kept now"),
            }
        }
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.authority, self.path)
    }
}

impl Store {
    fn check(name: &str) -> Result<(), Fault> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match name.is_empty() || name.len() > NAME_MOST || !name.bytes().all(plain) {
            true => Err(Fault::lasting(format!("{name:?} is no name of a file"))),
            false => Ok(()),
        }
    }

    /// Sends a request and reads the whole answer.
    async fn call(&self, ask: Ask<'_>) -> Result<Told, Fault> {
        Self::check(ask.name)?;
        let away = |why: &dyn std::fmt::Display| {
            Fault::passing(format!("the object store {self} does not answer: {why}"))
        };
        // One that was open may have been closed by the store, which nobody told us.
        let kept = self.idle.lock().pop().filter(SendRequest::is_ready);
        if let Some(mut open) = kept {
            let told = timeout(self.patience, self.exchange(&mut open, &ask)).await;
            if let Ok(Ok(told)) = told {
                self.put_back(open);
                return Ok(told);
            }
        }
        let asking = async {
            let mut open = self.connect().await.map_err(|error| away(&error))?;
            let told = self.exchange(&mut open, &ask).await;
            let told = told.map_err(|error| away(&error))?;
            self.put_back(open);
            Ok(told)
        };
        timeout(self.patience, asking)
            .await
            .map_err(|_| away(&"it is too slow"))?
    }

    fn put_back(&self, open: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(open);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(|error| wrong(&error))?;
        // A request goes out whole.
        let _ = tcp.set_nodelay(true);
        let stream: Pin<Box<dyn Stream>> = match self.secure {
            false => Box::pin(tcp),
            true => {
                let connector = SslConnector::builder(SslMethod::tls());
                let connector = connector.map_err(|error| wrong(&error))?.build();
                let ssl = connector
                    .configure()
                    .and_then(|settings| settings.into_ssl(&self.host))
                    .map_err(|error| wrong(&error))?;
                let stream = tokio_openssl::SslStream::new(ssl, tcp);
                let mut stream = stream.map_err(|error| wrong(&error))?;
                let shaken = Pin::new(&mut stream).connect().await;
                shaken.map_err(|error| wrong(&error))?;
                Box::pin(stream)
            }
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| wrong(&error))?;
        // It ends with the sender; what broke is told there.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn exchange(
        &self,
        open: &mut SendRequest<Full<Bytes>>,
        ask: &Ask<'_>,
    ) -> Result<Told, String> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        open.ready().await.map_err(|error| wrong(&error))?;
        let request = self.signed(ask)?;
        let answer = open.send_request(request).await;
        let answer = answer.map_err(|error| wrong(&error))?;
        let (head, body) = answer.into_parts();
        let most = match head.status.is_success() {
            true => ask.most.max(ANSWER),
            false => ANSWER,
        };
        let body = Limited::new(body, most).collect().await;
        Ok(Told {
            status: head.status,
            headers: head.headers,
            body: body.map_err(|error| wrong(&error))?.to_bytes(),
        })
    }

    fn signed(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, String> {
        let now = self.clock.now().0.div_euclid(1_000);
        let now = OffsetDateTime::from_unix_timestamp(now).map_err(|error| error.to_string())?;
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time = now.format(form).map_err(|error| error.to_string())?;
        let body_hash = sigv4::body_hash(&ask.body);
        let path = format!("{}/{}", self.path, ask.name);
        let mut headers = vec![("host", self.authority.as_str())];
        if let Some(range) = &ask.range {
            headers.push(("range", range.as_str()));
        }
        headers.push(("x-amz-content-sha256", body_hash.as_str()));
        headers.push(("x-amz-date", time.as_str()));
        let scope = Scope {
            time: &time,
            region: &self.region,
        };
        let signing = sigv4::Request {
            method: ask.method,
            path: &path,
            query: &ask.query,
            headers: &headers,
            body_hash: &body_hash,
        };
        let proof = sigv4::authorization(&self.key_id, &self.secret, scope, &signing);
        let target = match ask.query.is_empty() {
            true => path,
            false => format!("{path}?{}", query::canonical(&ask.query)),
        };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(target)
            .header(header::AUTHORIZATION, proof);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = Full::new(ask.body.clone());
        request.body(body).map_err(|error| error.to_string())
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, Fault> {
        let ask = Ask {
            method: "HEAD",
            name,
            ..Ask::default()
        };
        let told = self.call(ask).await?;
        match told.status {
            StatusCode::OK => {
                let length = told.headers.get(header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                let none = || Fault::passing("the object store does not say how long a file is");
                length.ok_or_else(none).map(Some)
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(told.refusal("looking at a file")),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), Fault> {
        let ask = Ask {
            method: "DELETE",
            name,
            ..Ask::default()
        };
        let told = self.call(ask).await?;
        match told.status.is_success() || told.status == StatusCode::NOT_FOUND {
            true => Ok(()),
            false => Err(told.refusal("removing a file")),
        }
    }

    async fn abort(&self, name: &str, upload: &str) {
        let ask = Ask {
            method: "DELETE",
            name,
            query: vec![("uploadId".into(), upload.into())],
            ..Ask::default()
        };
        if let Err(fault) = self.call(ask).await {
            tracing::warn!(%fault, name, "parts of a file stay in the object store");
        }
    }
}

#[async_trait]
impl Blobs for Bucket {
    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, Fault> {
        Store::check(name)?;
        Ok(Box::new(Writing {
            store: self.0.clone(),
            name: name.to_owned(),
            waiting: Vec::new(),
            upload: None,
            parts: Vec::new(),
        }))
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, Fault> {
        match self.0.size(name).await? {
            Some(size) => Ok(Some(size)),
            None => self.0.former.size(name).await,
        }
    }

    async fn read(&self, name: &str, from: u64, most: usize) -> Result<Bytes, Fault> {
        if most == 0 {
            return Ok(Bytes::new());
        }
        let to = from.saturating_add(most as u64 - 1);
        let ask = Ask {
            method: "GET",
            name,
            range: Some(format!("bytes={from}-{to}")),
            most,
            ..Ask::default()
        };
        let told = self.0.call(ask).await?;
        match told.status {
            StatusCode::PARTIAL_CONTENT => Ok(told.body),
            // A store that knows no parts gives the whole.
            StatusCode::OK if from == 0 && told.body.len() <= most => Ok(told.body),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Bytes::new()),
            StatusCode::NOT_FOUND => self.0.former.read(name, from, most).await,
            _ => Err(told.refusal("reading a file")),
        }
    }

    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        let there = self.0.size(name).await?.is_some();
        if there {
            self.0.remove(name).await?;
        }
        let former = self.0.former.remove(name).await?;
        Ok(there || former)
    }
}

/// A file on its way: in one piece when it is small, else in parts that become one at the end.
struct Writing {
    store: Arc<Store>,
    name: String,
    waiting: Vec<u8>,
    /// The store's name of the parts.
    upload: Option<String>,
    /// What the store calls each of them.
    parts: Vec<String>,
}

impl Writing {
    async fn send(&mut self, part: Vec<u8>) -> Result<(), Fault> {
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => self.begin().await?,
        };
        if self.parts.len() >= PARTS {
            return Err(Fault::lasting("the file is too long for the object store"));
        }
        let number = self.parts.len() + 1;
        let ask = Ask {
            method: "PUT",
            name: &self.name,
            query: vec![
                ("partNumber".into(), number.to_string()),
                ("uploadId".into(), upload),
            ],
            body: part.into(),
            ..Ask::default()
        };
        let told = self.store.call(ask).await?;
        let tag = told.headers.get(header::ETAG);
        let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        match (told.status.is_success(), tag) {
            (true, Some(tag)) => {
                self.parts.push(tag);
                Ok(())
            }
            _ => Err(told.refusal("writing a file")),
        }
    }

    async fn begin(&mut self) -> Result<String, Fault> {
        let ask = Ask {
            method: "POST",
            name: &self.name,
            query: vec![("uploads".into(), String::new())],
            ..Ask::default()
        };
        let told = self.store.call(ask).await?;
        let id = element(&told.text(), "UploadId").filter(|_| told.status.is_success());
        let id = id.ok_or_else(|| told.refusal("writing a file"))?;
        self.upload = Some(id.clone());
        Ok(id)
    }
}

#[async_trait]
impl BlobWriter for Writing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Fault> {
        self.waiting.extend_from_slice(&bytes);
        while self.waiting.len() >= PART {
            let rest = self.waiting.split_off(PART);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.send(part).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Fault> {
        let last = std::mem::take(&mut self.waiting);
        let Some(upload) = self.upload.clone() else {
            let ask = Ask {
                method: "PUT",
                name: &self.name,
                body: last.into(),
                ..Ask::default()
            };
            let told = self.store.call(ask).await?;
            return match told.status.is_success() {
                true => Ok(()),
                false => Err(told.refusal("writing a file")),
            };
        };
        if !last.is_empty() {
            self.send(last).await?;
        }
        let parts = self.parts.iter().enumerate().map(|(at, tag)| {
            let tag = tag.replace('&', "&amp;").replace('<', "&lt;");
            let number = at + 1;
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        });
        let list: String = parts.collect();
        let text = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let ask = Ask {
            method: "POST",
            name: &self.name,
            query: vec![("uploadId".into(), upload)],
            body: text.into(),
            ..Ask::default()
        };
        let told = self.store.call(ask).await?;
        // It may find out that it cannot after it has begun to answer with 200.
        if !told.status.is_success() || told.text().contains("<Error>") {
            return Err(told.refusal("finishing a file"));
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (store, name) = (self.store.clone(), std::mem::take(&mut self.name));
            runtime.spawn(async move { store.abort(&name, &upload).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_says_is_found_in_its_words() {
        let told = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code></Error>";
        assert_eq!(element(told, "Code").as_deref(), Some("NoSuchBucket"));
        for odd in ["", "<Code>", "</Code><Code>", "\u{0}", "<Code", "Code>"] {
            assert_eq!(element(odd, "Code"), None, "{odd}");
        }
    }
}
