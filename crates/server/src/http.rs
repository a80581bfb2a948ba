//! HTTP on streams that were accepted elsewhere: bounded in time and memory, and nobody's panic
//! reaches a neighbour.

use crate::admin::AdminError;
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode, request::Parts},
    response::IntoResponse,
};
use futures_util::{FutureExt, stream};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    time::timeout,
};
use tower::ServiceExt;

/// Longest body that is read, in bytes. A thing model of 2 MiB grows to this in a form.
const BODY: usize = 8 * 1024 * 1024;
/// Body memory is counted in pieces of this many bytes.
const PIECE: usize = 1024;
/// How long a connection may be silent between two requests, or take for a request's head.
const HEAD: Duration = Duration::from_secs(30);
/// Longest head, in bytes.
const HEAD_MOST: usize = 64 * 1024;

/// Returns when a stop is told (or nobody is left who could tell it).
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await;
}

/// Serves one router on any number of connections.
pub(crate) struct Front {
    router: Router,
    uploads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    body: Duration,
    stop: watch::Sender<bool>,
}

impl Front {
    /// `memory` bounds the bytes of bodies over all connections, `body` the time of one body.
    /// `uploads` bodies at once of requests whose bodies are handed on as they come.
    pub(crate) fn new(router: Router, memory: usize, body: Duration, uploads: usize) -> Arc<Self> {
        let pieces = (memory / PIECE).clamp(BODY / PIECE, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            router,
            uploads: Arc::new(Semaphore::new(uploads.min(Semaphore::MAX_PERMITS))),
            memory: Arc::new(Semaphore::new(pieces)),
            body,
            stop: watch::Sender::new(false),
        })
    }

    /// Lets requests that were begun come to their end, and takes no further ones.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Serves a connection to its end; `mark` becomes an extension of every request.
    pub(crate) async fn serve<S, M>(self: Arc<Self>, stream: S, mark: M)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        M: Clone + Send + Sync + 'static,
    {
        let mut stop = self.stop.subscribe();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(mark.clone());
            let front = self.clone();
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_MOST)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let answered = AssertUnwindSafe(self.route(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            tracing::error!("a request made a handler panic; this is a bug, please report it");
            AdminError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServerTrouble",
                "the server could not do it",
                "look into the server's log",
            )
            .into_response()
        })
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if is_upload(head.uri.path()) {
            return self.upload(head, body).await;
        }
        let mut held = Vec::new();
        let body = match timeout(self.body, self.read(body, &mut held)).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return error.into_response(),
            Err(_) => {
                let (status, help) = if self.memory.available_permits() == 0 {
                    (StatusCode::SERVICE_UNAVAILABLE, "try again in a while")
                } else {
                    (StatusCode::REQUEST_TIMEOUT, "send the body without pauses")
                };
                let message = "the body did not arrive in time";
                return AdminError::new(status, "TooSlow", message, help).into_response();
            }
        };
        let request = Request::from_parts(head, Body::from(body));
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }

    /// A body that is too long to be held: it is handed on piece by piece, and each piece has the
    /// time that other bodies have as a whole.
    async fn upload(&self, head: Parts, body: Incoming) -> Response<Body> {
        let Ok(place) = self.uploads.clone().try_acquire_owned() else {
            return AdminError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Busy",
                "too many uploads at once",
                "try again in a while",
            )
            .into_response();
        };
        let patience = self.body;
        let pieces = stream::unfold(Some(body), move |body| async move {
            let mut body = body?;
            match timeout(patience, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    Some((Ok(data), Some(body)))
                }
                Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
                Ok(None) => None,
                Err(_) => {
                    let late = io::Error::new(io::ErrorKind::TimedOut, "the body stopped");
                    Some((Err(late), None))
                }
            }
        });
        let request = Request::from_parts(head, Body::from_stream(pieces));
        let Ok(response) = self.router.clone().oneshot(request).await;
        drop(place);
        response
    }

    /// The whole body; memory is taken as it arrives, not as it is announced.
    async fn read(
        &self,
        body: Incoming,
        held: &mut Vec<tokio::sync::OwnedSemaphorePermit>,
    ) -> Result<Bytes, AdminError> {
        let too_large = || {
            AdminError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "TooLarge",
                format!("a body has at most {BODY} bytes"),
                "send it in smaller parts",
            )
        };
        let broken = || AdminError::bad_request("the body ended early or is malformed");
        let mut body = http_body_util::Limited::new(body, BODY);
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    too_large()
                } else {
                    broken()
                }
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let pieces = u32::try_from(data.len().div_ceil(PIECE)).unwrap_or(u32::MAX);
            if let Ok(permit) = self.memory.clone().acquire_many_owned(pieces).await {
                held.push(permit);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    }
}

/// Whether the body of a request to this path is a file.
fn is_upload(path: &str) -> bool {
    path == aliyun::pop::UPLOAD_PATH
        || path.strip_prefix(crate::admin::PATH) == Some(crate::admin::UPLOADS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::request;
    use axum::routing::get;

    /// A handler that panics answers 500, and the next request is served.
    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let router = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("a bug") }))
            .route("/fine", get(async || "fine"));
        let front = Front::new(router, 0, Duration::from_secs(5), 1);
        for (path, status) in [("/panic", 500), ("/fine", 200)] {
            let (client, server) = tokio::io::duplex(4096);
            tokio::spawn(front.clone().serve(server, ()));
            let told = request(Box::new(client), "GET", path, "", "").await;
            assert_eq!(told.status, status, "{path}");
        }
    }

    /// After a stop, the request that was begun is answered and the connection ends.
    #[tokio::test]
    async fn a_stop_lets_a_request_come_to_its_end() {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let once = parking_lot::Mutex::new(Some((begun, gone)));
        let once = Arc::new(once);
        let router = Router::new().route(
            "/slow",
            get(async move || {
                let (begun, gone) = once.lock().take().unwrap();
                begun.send(()).unwrap();
                gone.await.unwrap();
                "done"
            }),
        );
        let front = Front::new(router, 0, Duration::from_secs(5), 1);
        let (client, server) = tokio::io::duplex(4096);
        let served = tokio::spawn(front.clone().serve(server, ()));
        let asked = tokio::spawn(request(Box::new(client), "GET", "/slow", "", ""));
        begins.await.unwrap();
        front.stop();
        go.send(()).unwrap();
        assert_eq!(asked.await.unwrap().text, "done");
        served.await.unwrap();
    }
}
