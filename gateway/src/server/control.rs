//! The control plane behind the common listener: its handlers and its bodies run on its own runtime.
//!
//! A request goes over as a task, the answer comes back through channels: a slow page, a slow disk or a busy handler
//! never holds a thread that scores.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::request_body::RequestBody;
use crate::data_plane::{Body, BodyError, Caller, full};
use crate::error::{ApiError, ErrorCode};
use crate::request_id::X_REQUEST_ID;

/// Chunks of an answer on their way from one runtime to the other.
const CHUNKS: usize = 8;
/// For handlers to notice that nobody waits for them any more.
const FINISH: Duration = Duration::from_secs(1);

/// `None` is the end of the body: a channel that just closes is a body that broke off.
type Chunk = Option<Result<Frame<Bytes>, BodyError>>;

/// The other runtime stopped in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control plane stopped before the answer had ended")]
struct BrokeOff;

/// The control plane's routes and where they run.
#[derive(Debug)]
pub struct ControlPlane {
    routes: axum::Router,
    runtime: Handle,
    tasks: TaskTracker,
}

/// An answer's body, received from the other runtime.
#[derive(Debug)]
struct Received {
    chunks: mpsc::Receiver<Chunk>,
    ended: bool,
    size: SizeHint,
}

impl ControlPlane {
    /// `routes`, run on `runtime`. Handlers find the peer's address as `ConnectInfo<SocketAddr>`.
    pub fn new(routes: axum::Router, runtime: Handle) -> Self {
        Self {
            routes,
            runtime,
            tasks: TaskTracker::new(),
        }
    }

    /// Answers one request. Dropping the future cancels the handler.
    pub(super) async fn handle(
        &self,
        mut request: Request<RequestBody>,
        caller: &Caller<'_>,
    ) -> Response<Body> {
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(caller.peer));
        extensions.insert(caller.trail.clone());
        request
            .headers_mut()
            .insert(X_REQUEST_ID, caller.id.header());
        let request = request.map(axum::body::Body::new);
        let routes = TowerToHyperService::new(self.routes.clone());
        let (answer, answered) = oneshot::channel();
        let task = perform(routes, request, answer);
        self.tasks.spawn_on(task, &self.runtime);
        answered.await.unwrap_or_else(|_| {
            // The handler panicked, or its runtime is gone.
            let error = ApiError::new(ErrorCode::InternalError, "the request was not answered");
            let mut response = Response::new(full(error.body("").to_string()));
            *response.status_mut() = error.code.status();
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        })
    }

    /// Waits a little for tasks whose connections are gone.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        // Who does not notice in time ends with its runtime.
        let _ = timeout(FINISH, self.tasks.wait()).await;
    }
}

async fn perform(
    routes: TowerToHyperService<axum::Router>,
    request: Request<axum::body::Body>,
    mut answer: oneshot::Sender<Response<Body>>,
) {
    let response = tokio::select! {
        response = routes.call(request) => response,
        () = answer.closed() => return,
    };
    let Ok(response) = response;
    let (parts, mut body) = response.into_parts();
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let received = Received {
        chunks,
        ended: false,
        size: body.size_hint(),
    };
    let response = Response::from_parts(parts, received.boxed_unsync());
    if answer.send(response).is_err() {
        return;
    }
    loop {
        let chunk = tokio::select! {
            chunk = body.frame() => chunk,
            () = sender.closed() => return,
        };
        let is_last = chunk.is_none();
        let chunk = chunk.map(|chunk| chunk.map_err(Into::into));
        if sender.send(chunk).await.is_err() || is_last {
            return;
        }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Chunk> {
        if self.ended {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.chunks.poll_recv(context)).unwrap_or(Some(Err(BrokeOff.into())));
        self.ended = !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk)
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
