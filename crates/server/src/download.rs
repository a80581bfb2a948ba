//! Files behind signed links: whole or in parts, no faster than they may, a bounded number at once.

use crate::config::Sockets;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use hub::{
    Hub,
    link::{LinkError, PATH},
};
use parking_lot::Mutex;
use serde::Deserialize;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until, timeout},
};

/// Bytes that are read at once.
const CHUNK: usize = 128 * 1024;
/// What a download may take at once without being slowed down.
const BURST: Duration = Duration::from_millis(200);

/// Serves links.
struct Downloads {
    hub: Arc<Hub>,
    places: Arc<Semaphore>,
    all: Pace,
    one: u64,
    stall: Duration,
}

/// The routes of links.
pub(crate) fn routes(hub: Arc<Hub>, sockets: &Sockets) -> Router {
    let downloads = Downloads {
        hub,
        places: Arc::new(Semaphore::new(
            sockets.downloads.min(Semaphore::MAX_PERMITS),
        )),
        all: Pace::new(sockets.downloads_rate),
        one: sockets.download_rate,
        stall: Duration::from_millis(sockets.stall),
    };
    Router::new()
        .route(&format!("{PATH}/{{file}}"), get(give))
        .with_state(Arc::new(downloads))
}

/// So many bytes a second, after a short burst.
struct Pace {
    rate: f64,
    free: Mutex<Instant>,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self {
            rate: rate as f64,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Takes `bytes`, and says when they may go.
    fn take(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut free = self.free.lock();
        let from = now.checked_sub(BURST).unwrap_or(now).max(*free);
        *free = from + Duration::from_secs_f64(bytes as f64 / self.rate);
        *free
    }
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "Expires")]
    expires: i64,
    #[serde(rename = "Signature")]
    signature: String,
}

async fn give(
    State(downloads): State<Arc<Downloads>>,
    method: Method,
    Path(file): Path<String>,
    query: Result<Query<Signed>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let hub = &downloads.hub;
    let opened = match query {
        Ok(Query(signed)) => {
            hub.link_open(&file, signed.expires, &signed.signature)
                .await
        }
        Err(_) => Err(LinkError::Forged),
    };
    let size = match opened {
        Ok(size) => size,
        Err(error) => return refused(hub, &error),
    };
    let etag = format!("\"{file}\"");
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A part of another file than the client began with is of no use to it.
    let same = text(header::IF_RANGE).is_none_or(|known| known == etag);
    let part = text(header::RANGE).filter(|_| same);
    let (status, from, to) = match part.map_or(Part::Whole, |part| read_range(part, size)) {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Of(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::None => {
            hub.metrics().download("range");
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response();
        }
    };
    let mut head = vec![
        (header::CONTENT_TYPE, kind(&file).to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, etag),
        (header::CONTENT_LENGTH, (to - from).to_string()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        // A report is a page without scripts; nothing in it may become more.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned(),
        ),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{size}", to - 1);
        head.push((header::CONTENT_RANGE, range));
    }
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let Ok(place) = downloads.places.clone().try_acquire_owned() else {
            hub.metrics().download("busy");
            let later = [(header::RETRY_AFTER, "5")];
            let text = "too many downloads at once; try again\n";
            return (StatusCode::SERVICE_UNAVAILABLE, later, text).into_response();
        };
        let (send, chunks) = mpsc::channel(1);
        tokio::spawn(downloads.clone().send(file, from, to, send, place));
        Body::from_stream(stream::unfold(chunks, async |mut chunks| {
            let chunk = chunks.recv().await?;
            Some((chunk, chunks))
        }))
    };
    let mut response = (status, body).into_response();
    for (name, value) in head {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What a file is, as far as its name tells: reports are to be looked at, the rest to be kept.
fn kind(file: &str) -> &'static str {
    if !file.starts_with("scan-") {
        return "application/octet-stream";
    }
    match file.rsplit_once('-') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "json")) => "application/json",
        Some((_, "pdf")) => "application/pdf",
        _ => "application/octet-stream",
    }
}

fn refused(hub: &Hub, error: &LinkError) -> Response {
    let (status, outcome) = match error {
        LinkError::Forged => (StatusCode::FORBIDDEN, "forged"),
        LinkError::Expired => (StatusCode::FORBIDDEN, "expired"),
        LinkError::Gone => (StatusCode::NOT_FOUND, "gone"),
        LinkError::Fault(fault) => {
            tracing::error!(%fault, "a download failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "fault")
        }
    };
    hub.metrics().download(outcome);
    (status, format!("{error}\n")).into_response()
}

impl Downloads {
    /// Hands the bytes over as the client takes them; one that takes none for long loses its
    /// place.
    async fn send(
        self: Arc<Self>,
        file: String,
        from: u64,
        to: u64,
        send: mpsc::Sender<io::Result<Bytes>>,
        place: OwnedSemaphorePermit,
    ) {
        let one = Pace::new(self.one);
        let mut at = from;
        let mut outcome = "ok";
        while at < to {
            let most = usize::try_from(to - at).unwrap_or(usize::MAX).min(CHUNK);
            let chunk = match self.hub.link_read(&file, at, most).await {
                Ok(chunk) if !chunk.is_empty() => Ok(chunk),
                Ok(_) => Err(io::Error::other("the file ended early")),
                Err(fault) => {
                    tracing::error!(%fault, "a download broke off");
                    Err(io::Error::other("the server could not read the file"))
                }
            };
            let many = chunk.as_ref().map_or(0, Bytes::len);
            if many > 0 {
                let due = self.all.take(many).max(one.take(many));
                sleep_until(due).await;
            }
            at += many as u64;
            if !matches!(timeout(self.stall, send.send(chunk)).await, Ok(Ok(()))) || many == 0 {
                outcome = "broken";
                break;
            }
        }
        self.hub.metrics().download(outcome);
        drop(place);
    }
}

/// What a Range header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything: it asks for nothing that we serve in parts.
    Whole,
    /// From here on, up to and without there.
    Of(u64, u64),
    /// Nothing that is there.
    None,
}

/// Reads a Range header for a file of `size` bytes (RFC 9110 §14.1.2). What is not understood, and
/// several ranges at once, ask for the whole file, which §14.2 allows.
pub(crate) fn read_range(header: &str, size: u64) -> Part {
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        // What is too large to be a number is past the end of every file.
        true if !text.is_empty() => Some(text.parse().unwrap_or(u64::MAX)),
        _ => None,
    };
    let range = header
        .split_once('=')
        .filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
        .and_then(|(_, range)| range.trim().split_once('-'));
    match range {
        Some(("", last)) => match number(last) {
            Some(0) => Part::None,
            Some(_) if size == 0 => Part::None,
            Some(last) => Part::Of(size.saturating_sub(last), size),
            None => Part::Whole,
        },
        Some((first, last)) => {
            let to = if last.is_empty() {
                Some(size)
            } else {
                number(last).map(|last| last.saturating_add(1))
            };
            match (number(first), to) {
                (Some(from), Some(to)) if from < to || last.is_empty() => {
                    let to = to.min(size);
                    match from < to {
                        true => Part::Of(from, to),
                        false => Part::None,
                    }
                }
                _ => Part::Whole,
            }
        }
        None => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Stage, exchange, request};

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, size, wanted) in [
            ("bytes=0-4", 10, Part::Of(0, 5)),
            ("bytes=5-", 10, Part::Of(5, 10)),
            ("bytes=9-9", 10, Part::Of(9, 10)),
            ("bytes=9-100", 10, Part::Of(9, 10)),
            ("bytes=-3", 10, Part::Of(7, 10)),
            ("bytes=-30", 10, Part::Of(0, 10)),
            (" Bytes = 1-2", 10, Part::Of(1, 3)),
            ("bytes=10-", 10, Part::None),
            ("bytes=10-20", 10, Part::None),
            ("bytes=-0", 10, Part::None),
            ("bytes=0-", 0, Part::None),
            ("bytes=99999999999999999999999-", 10, Part::None),
            ("bytes=0-99999999999999999999999", 10, Part::Of(0, 10)),
            ("bytes=4-3", 10, Part::Whole),
            ("bytes=0-1,4-5", 10, Part::Whole),
            ("bytes=a-b", 10, Part::Whole),
            ("bytes=--1", 10, Part::Whole),
            ("bytes=", 10, Part::Whole),
            ("lines=0-1", 10, Part::Whole),
            ("", 10, Part::Whole),
        ] {
            assert_eq!(read_range(header, size), wanted, "{header}");
        }
    }

    async fn staged(size: usize) -> (Stage, String) {
        let stage = Stage::open_with(|config| {
            config.sockets.downloads = 2;
            config.sockets.download_rate = 4 << 20;
        })
        .await;
        let hub = stage.running().hub();
        let content: Vec<u8> = (0..size).map(|i| b'a' + (i % 23) as u8).collect();
        let mut writer = hub.blob_create("firmware").await.unwrap();
        writer.write(content.into()).await.unwrap();
        writer.finish().await.unwrap();
        let link = hub.link("firmware");
        let path = link[link.find("/download").unwrap()..].to_owned();
        (stage, path)
    }

    /// [AL-4.2] A download that broke off goes on where it was, and only of the same file.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_comes_whole_and_in_parts() {
        let (stage, path) = staged(300_000).await;
        let get = async |method: &str, headers: &str| {
            request(stage.clear().await, method, &path, headers, "").await
        };
        let whole = get("GET", "").await;
        assert_eq!((whole.status, whole.text.len()), (200, 300_000));
        let part = get("GET", "Range: bytes=150000-\r\n").await;
        assert_eq!(part.status, 206);
        assert_eq!(part.text, whole.text[150_000..]);
        let part = get("GET", "Range: bytes=0-9\r\nIf-Range: \"firmware\"\r\n").await;
        assert_eq!((part.status, part.text.as_str()), (206, &whole.text[..10]));
        let other = get("GET", "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n").await;
        assert_eq!((other.status, other.text.len()), (200, 300_000));
        let past = get("GET", "Range: bytes=300000-\r\n").await;
        assert_eq!((past.status, past.text.as_str()), (416, ""));
        let head = get("HEAD", "").await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        let posted = get("POST", "").await;
        assert_eq!(posted.status, 405);

        // Over TLS as well.
        let whole = request(stage.tls().await, "GET", &path, "", "").await;
        assert_eq!((whole.status, whole.text.len()), (200, 300_000));
    }

    /// [AL-4.2] Only what this server signed opens a file.
    #[tokio::test(flavor = "multi_thread")]
    async fn links_that_are_not_ours_are_refused() {
        let (stage, path) = staged(10).await;
        let (head, tail) = path.split_at(path.len() - 1);
        let turned = if tail == "0" { "1" } else { "0" };
        for (path, status) in [
            (format!("{head}{turned}"), 403),
            (path.replace("/firmware", "/master"), 403),
            (path.replace("/firmware", "/..%2Fmaster.key"), 403),
            (path.split('?').next().unwrap().to_owned(), 403),
            ("/download/firmware?Expires=x&Signature=y".to_owned(), 403),
            ("/download/".to_owned(), 404),
        ] {
            let told = request(stage.clear().await, "GET", &path, "", "").await;
            assert_eq!(told.status, status, "{path}");
        }
    }

    /// Whoever takes more than its share waits, and more clients than allowed are told to.
    #[tokio::test(flavor = "multi_thread")]
    async fn downloads_keep_their_pace_and_number() {
        let (stage, path) = staged(8 << 20).await;
        let begun = std::time::Instant::now();
        let whole = request(stage.clear().await, "GET", &path, "", "").await;
        assert_eq!((whole.status, whole.text.len()), (200, 8 << 20));
        // Two seconds' worth, less the burst.
        assert!(begun.elapsed() > Duration::from_millis(1_500));

        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = stage.clear().await;
            tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes())
                .await
                .unwrap();
            let mut first = [0; 12];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first)
                .await
                .unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            held.push(stream);
        }
        let third = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let third = exchange(stage.clear().await, third.as_bytes()).await;
        assert_eq!(third.status, 503);
    }
}
