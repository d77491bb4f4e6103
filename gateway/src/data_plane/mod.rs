//! The data plane: scores. No lock across a wait, no SQL, no registry, no file: everything it needs is in memory.
//! (Where rights come from the registry, a caller about whom nothing is known yet waits until it has been asked.)
//!
//! A request goes through these modules in this order: `target` (what does the path name), [`auth`] (who is it, and may
//! it), [`serving_core::Router`] (which version is that now), `intake` and `decode` (its body, limited; `arriving`: a large one goes on while it comes), `stack` and
//! `admission` (a place to work, and a replica), perhaps `batching` (in whose company), `attempt`, `exchange` and `upstream` (the worker), `answer` (and back).

mod about;
mod admission;
mod answer;
mod arriving;
mod attempt;
mod batching;
mod body;
mod body_memory;
mod caller;
mod cutoff;
mod decode;
mod describe;
mod document;
mod exchange;
mod intake;
mod measured;
mod metrics;
mod reply;
mod score;
mod stack;
mod target;
mod upstream;
mod worker_error;

use std::net::SocketAddr;
use std::sync::Arc;

use auth::{Authenticator, Rights};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, header};
use serving_core::Router;
use url::Url;

use crate::error::{ApiError, ErrorCode};
use crate::ports::WorkerFiles;
use crate::request_id::RequestId;
use body_memory::BodyMemory;
use reply::Refusal;
use target::{InvalidTarget, Operation, Target};

pub use about::{About, Example, Signature};
pub use batching::BatchingState;
pub use body::{Body, BodyError, full};
pub use caller::Caller;
pub use cutoff::Cutoff;
#[doc(hidden)]
pub use measured::read_path;
pub use metrics::DataPlaneMetrics;
pub use stack::VersionStack;
pub use upstream::{Endpoint, Upstream, UpstreamConfig};

/// What can be set about scoring as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPlaneConfig {
    /// Bytes of a request body after decoding.
    pub max_body: usize,
    /// Bytes of request bodies that are held at a time, over all requests; decoded, too.
    pub body_memory: usize,
    /// Whether clients are shown the stack traces of models that raise.
    pub show_stack_traces: bool,
}

/// Answers requests under `/model/`.
pub struct DataPlane {
    router: Router<Arc<VersionStack>>,
    authenticator: Arc<Authenticator>,
    rights: Arc<dyn Rights>,
    files: Arc<dyn WorkerFiles>,
    config: DataPlaneConfig,
    memory: Arc<BodyMemory>,
    metrics: Arc<DataPlaneMetrics>,
    public_url: Option<Url>,
}

impl Default for DataPlaneConfig {
    fn default() -> Self {
        Self {
            max_body: 16 << 20,
            body_memory: 1 << 30,
            show_stack_traces: false,
        }
    }
}

impl DataPlane {
    /// The data plane over what `router` reaches.
    pub fn new(
        router: Router<Arc<VersionStack>>,
        authenticator: Arc<Authenticator>,
        rights: Arc<dyn Rights>,
        files: Arc<dyn WorkerFiles>,
        config: DataPlaneConfig,
        metrics: Arc<DataPlaneMetrics>,
    ) -> Self {
        Self {
            router,
            authenticator,
            rights,
            files,
            memory: BodyMemory::new(config.body_memory),
            config,
            metrics,
            public_url: None,
        }
    }

    /// The same for clients that reach the gateway under this address; otherwise the request's `Host` tells.
    #[must_use]
    pub fn reached_at(mut self, public_url: Option<Url>) -> Self {
        self.public_url = public_url;
        self
    }

    /// Whether a path is answered here.
    pub fn owns(path: &str) -> bool {
        path.starts_with("/model/")
    }

    /// Answers one request from `peer`. Dropping the future gives everything back that the request held.
    /// A body whose length is not that of its `Content-Length` may be refused.
    pub async fn handle<B>(&self, request: Request<B>, peer: SocketAddr) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let (head, body) = request.into_parts();
        let caller = Caller::new(peer, &head.headers);
        self.answer(&head, body, &caller).await
    }

    /// The same for a `caller` of whom more is known. Head and body come apart, so that what works for the request looks at its
    /// head where it is and does not hand it on: a future is moved with all that it holds.
    pub async fn answer<B>(&self, head: &Parts, body: B, caller: &Caller<'_>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let Caller { id, trail, .. } = caller;
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let target = Target::parse(head.uri.path());
        if let Ok(target) = &target {
            let route = target.operation.route();
            trail.asked_for(route, &target.model, &target.reference);
        }
        let is_score = matches!(&target, Ok(target) if target.operation == Operation::Score);
        let answered = match target {
            Ok(target) if !target.operation.takes(&head.method) => {
                Ok(method_not_allowed(target.operation, id))
            }
            Ok(target) => self.perform(head, body, &target, caller).await,
            Err(reason) => Err(no_target(reason)),
        };
        let mut response = answered.unwrap_or_else(|refusal| {
            if is_score {
                self.metrics.answered_unrouted(refusal.status);
            }
            refusal.into_response(id)
        });
        reply::stamp(response.headers_mut(), id);
        if is_read {
            reply::keep_out_of_caches(response.headers_mut());
        }
        response
    }

    /// An error means that no version was reached.
    async fn perform<B>(
        &self,
        head: &Parts,
        body: B,
        target: &Target,
        caller: &Caller<'_>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let authorised = self.authorise(head, target, caller).await;
        authorised.map_err(|refusal| refusal.challenging(&head.headers))?;
        let references = target::references(&target.reference);
        match target.operation {
            Operation::Score => self.score(head, body, target, &references, caller).await,
            Operation::Ping => self.ping(target, &references),
            Operation::Describe => self.describe(target, &references),
            Operation::Document => self.document(target, &references),
        }
    }

    /// Any right on the model is enough: the least one is to score it.
    async fn authorise(
        &self,
        head: &Parts,
        target: &Target,
        caller: &Caller<'_>,
    ) -> Result<(), Refusal> {
        let (method, headers) = (&head.method, &head.headers);
        let peer = caller.peer.ip();
        let admitted = self.authenticator.admit(method, headers);
        admitted.map_err(ApiError::from)?;
        let principal = if let Some(principal) = self.authenticator.at_hand(headers, peer) {
            principal
        } else {
            // Boxed: requests with a token that is known are not to make room for it.
            let asking = self
                .authenticator
                .authenticate_request(method, headers, peer);
            Box::pin(asking).await.map_err(ApiError::from)?
        };
        caller.trail.called_by(&principal);
        let right = if let Ok(right) = self.rights.at_hand(&principal, &target.model) {
            right
        } else {
            let right = self.rights.right(&principal, &target.model).await;
            right.map_err(ApiError::from)?
        };
        match right {
            Some(_) => Ok(()),
            None => Err(score::unknown_model(target)),
        }
    }
}

fn method_not_allowed(operation: Operation, id: &RequestId) -> Response<Body> {
    let message = format!("this path takes {}", operation.allow());
    let refusal = Refusal::new(ErrorCode::MethodNotAllowed, message);
    let mut response = refusal.into_response(id);
    let allow = HeaderValue::from_static(operation.allow());
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

fn no_target(reason: InvalidTarget) -> Refusal {
    let code = match reason {
        InvalidTarget::UnknownPath => ErrorCode::ResourceDoesNotExist,
        InvalidTarget::Encoding => ErrorCode::BadRequest,
    };
    Refusal::new(code, reason.to_string())
}

impl std::fmt::Debug for DataPlane {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DataPlane")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
