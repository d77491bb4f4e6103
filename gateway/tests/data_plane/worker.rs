//! A worker that does what a test says, on a Unix socket of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway::data_plane::{About, Endpoint, Upstream, UpstreamConfig};
use http::{HeaderMap, Request, Response, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Dies with the request in hand.
#[derive(Debug)]
pub(crate) struct Died;

impl std::fmt::Display for Died {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("died")
    }
}

impl std::error::Error for Died {}

pub(crate) type WorkerResponse = Response<BoxBody<Bytes, Died>>;
/// An answer as its worker makes it; `Err` breaks it off, dropping it ends it.
pub(crate) type Pieces = mpsc::Sender<Result<&'static str, Died>>;
type Answering = Pin<Box<dyn Future<Output = Result<WorkerResponse, Died>> + Send>>;
type Script = dyn Fn(Seen) -> Answering + Send + Sync;

/// A request as the worker saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many requests came over this connection before.
    pub(crate) before: usize,
}

impl Seen {
    pub(crate) fn content_type(&self) -> &str {
        self.headers[header::CONTENT_TYPE].to_str().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Listens until it is dropped.
pub(crate) struct FakeWorker {
    folder: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    received: watch::Receiver<usize>,
    tasks: JoinSet<()>,
}

impl FakeWorker {
    /// A worker that treats every request by `script`.
    pub(crate) fn start<F, A>(script: F) -> Self
    where
        F: Fn(Seen) -> A + Send + Sync + 'static,
        A: Future<Output = Result<WorkerResponse, Died>> + Send + 'static,
    {
        let script: Arc<Script> = Arc::new(move |seen| -> Answering { Box::pin(script(seen)) });
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (receives, received) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            script,
            Arc::clone(&seen),
            Arc::clone(&connections),
            Arc::new(receives),
        ));
        Self {
            folder,
            seen,
            connections,
            received,
            tasks,
        }
    }

    /// A worker that always answers the same.
    pub(crate) fn answering(status: u16, content_type: &'static str, body: &'static str) -> Self {
        Self::start(move |_| async move { Ok(answer(status, content_type, body)) })
    }

    /// A worker that predicts.
    pub(crate) fn predicting() -> Self {
        Self::answering(200, "application/json", "{\"predictions\": [0, 2]}")
    }

    pub(crate) fn upstream(&self) -> Upstream {
        self.upstream_of("3.17.2", Duration::from_secs(5))
    }

    /// A worker of a version that says this about itself.
    pub(crate) fn upstream_about(&self, about: About) -> Upstream {
        Upstream::new(UpstreamConfig {
            endpoint: Endpoint::Unix(self.folder.path().join("s")),
            mlflow_version: "3.17.2".to_owned(),
            keep_alive: Duration::from_secs(5),
            about: Arc::new(about),
        })
    }

    pub(crate) fn upstream_of(&self, mlflow_version: &str, keep_alive: Duration) -> Upstream {
        Upstream::new(UpstreamConfig {
            endpoint: Endpoint::Unix(self.folder.path().join("s")),
            mlflow_version: mlflow_version.to_owned(),
            keep_alive,
            about: Arc::new(About::default()),
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many bytes of bodies have come, over all requests, whole or not.
    pub(crate) async fn has_received(&self, bytes: usize) {
        let mut received = self.received.clone();
        received.wait_for(|count| *count >= bytes).await.unwrap();
    }

    /// All connections end, and the socket refuses new ones.
    pub(crate) async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(
    listener: UnixListener,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    receives: Arc<watch::Sender<usize>>,
) {
    let mut served = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        let receives = Arc::clone(&receives);
        served.spawn(async move {
            let count = AtomicUsize::new(0);
            let service = service_fn(|request: Request<hyper::body::Incoming>| {
                let before = count.fetch_add(1, Ordering::SeqCst);
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                let receives = Arc::clone(&receives);
                async move {
                    let (parts, body) = request.into_parts();
                    if !parts.headers.contains_key(header::HOST) {
                        // As uvicorn does.
                        return Ok(answer(400, "text/plain", "Missing Host header."));
                    }
                    let body = body.map_frame(|frame| {
                        let length = frame.data_ref().map_or(0, Bytes::len);
                        receives.send_modify(|count| *count += length);
                        frame
                    });
                    let Ok(body) = body.collect().await else {
                        return Err(Died);
                    };
                    let request = Seen {
                        method: parts.method.to_string(),
                        path: parts.uri.to_string(),
                        headers: parts.headers,
                        body: body.to_bytes(),
                        before,
                    };
                    seen.lock().unwrap().push(request.clone());
                    script(request).await
                }
            });
            // A connection that breaks is what some tests are about.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A whole answer.
pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> WorkerResponse {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::SERVER, "uvicorn")
        .body(
            Full::new(body.into())
                .map_err(|never| match never {})
                .boxed(),
        )
        .unwrap()
}

/// An answer that a test gives piece by piece; `Err` breaks it off, dropping the sender ends it.
pub(crate) fn streamed(content_type: &str) -> (Pieces, WorkerResponse) {
    let (sender, receiver) = mpsc::channel::<Result<&'static str, Died>>(8);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        let frame = piece.map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
        Some((frame, receiver))
    });
    let response = Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(BodyExt::boxed(StreamBody::new(frames)))
        .unwrap();
    (sender, response)
}

/// A worker that answers only when it is allowed to, and the permits that allow it.
pub(crate) fn gated() -> (FakeWorker, Arc<Semaphore>, mpsc::Receiver<()>) {
    let go = Arc::new(Semaphore::new(0));
    let (arrived, arrivals) = mpsc::channel(64);
    let waiting = Arc::clone(&go);
    let worker = FakeWorker::start(move |_| {
        let (waiting, arrived) = (Arc::clone(&waiting), arrived.clone());
        async move {
            arrived.send(()).await.unwrap();
            waiting.acquire().await.unwrap().forget();
            Ok(answer(200, "application/json", "{\"predictions\": [1]}"))
        }
    });
    (worker, go, arrivals)
}

/// A worker whose answers a test gives piece by piece.
pub(crate) fn streaming(content_type: &'static str) -> (FakeWorker, mpsc::Receiver<Pieces>) {
    let (handed_over, pieces) = mpsc::channel(8);
    let worker = FakeWorker::start(move |_| {
        let handed_over = handed_over.clone();
        async move {
            let (sender, response) = streamed(content_type);
            handed_over.send(sender).await.unwrap();
            Ok(response)
        }
    });
    (worker, pieces)
}
