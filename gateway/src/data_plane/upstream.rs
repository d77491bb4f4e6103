//! One worker as the data plane uses it: a place to send requests to, over connections that are kept and used again.
//!
//! There is no task per connection. Whoever holds a connection drives it: the sender until the answer begins, the
//! answer's body until it ends. An idle connection is driven by nobody, and asked whether it still lives before its
//! next use. Dropping the holder closes the connection.

mod answer;
mod connection;
mod outgoing;
mod pool;
#[cfg(test)]
mod tests;
mod wire;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;

pub(super) use answer::WorkerBody;
pub(super) use connection::Connection;
use outgoing::Answering;
pub(super) use outgoing::Outgoing;
use pool::Pool;
use wire::Garbled;
pub(super) use wire::{BrokenOff, RequestHead};

use super::about::About;
use super::body::BodyError;
use crate::protocol::Dialect;

/// Where a worker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A port of this host.
    Tcp(std::net::SocketAddr),
}

/// What is known of a worker when it is ready.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it says of itself (`GET /version`).
    pub mlflow_version: String,
    /// How long it leaves an idle connection open; zero if it closes each one.
    pub keep_alive: Duration,
    /// Facts about the version that it serves.
    pub about: Arc<About>,
}

/// A live worker.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    dialect: Dialect,
    pool: Arc<Pool>,
    in_flight: AtomicUsize,
    /// Requests past their deadline whose work has not ended.
    abandoned: AtomicU32,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The connection ended before the answer began. Perhaps the worker has the request, perhaps it is dead.
    #[error("the worker closed the connection without an answer: {0}")]
    Unanswered(#[source] io::Error),
    /// Something was answered that is no HTTP.
    #[error("the worker's answer is no HTTP: {0}")]
    Garbled(#[source] Garbled),
    /// The request's own body broke off. Nothing is wrong with the worker, which has a part of it.
    #[error("the request's body broke off on its way to the worker: {0}")]
    Body(#[source] BodyError),
}

/// Whether a connection that was used before may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    /// After a failure on one: the next may be as stale.
    Never,
}

impl Upstream {
    /// An upstream without a connection yet.
    pub fn new(config: UpstreamConfig) -> Self {
        Self {
            dialect: Dialect::of_worker(&config.mlflow_version),
            pool: Pool::new(config.keep_alive),
            in_flight: AtomicUsize::new(0),
            abandoned: AtomicU32::new(0),
            config,
        }
    }

    /// Facts about the version that it serves.
    pub fn about(&self) -> &Arc<About> {
        &self.config.about
    }

    /// What the worker says of itself.
    pub fn mlflow_version(&self) -> &str {
        &self.config.mlflow_version
    }

    /// What the worker speaks.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether a request whose body ends early is no request for it. Servers that close each connection (gunicorn, with MLflow
    /// 1.x) take what has come for all there is, and compute on it.
    pub(super) fn wants_whole_bodies(&self) -> bool {
        !self.config.keep_alive.is_zero()
    }

    /// A connection to send a request over.
    pub(super) async fn connect(&self, reuse: Reuse) -> io::Result<Connection> {
        let kept = match reuse {
            Reuse::Allowed => self.pool.take(),
            Reuse::Never => None,
        };
        match kept {
            Some(connection) => Ok(connection),
            None => Connection::open(&self.config.endpoint).await,
        }
    }

    /// Sends one request and waits for the head of its answer. Dropping the future closes the connection.
    pub(super) fn send<B>(
        &self,
        request: Outgoing,
        body: B,
    ) -> impl Future<Output = Result<Response<WorkerBody>, SendError>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<BodyError>,
    {
        let pool = Arc::clone(&self.pool);
        async move {
            let Answering { head, connection } = request.send(body).await?;
            let body = WorkerBody::new(head.body, connection, head.keeps_open, pool);
            let mut answer = Response::new(body);
            *answer.status_mut() = head.status;
            *answer.headers_mut() = head.headers;
            Ok(answer)
        }
    }

    /// Requests that it is working on.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many requests were given up that the worker still computes: Python's threads cannot be cancelled. Returns how
    /// many such there are now.
    pub(super) fn abandon(&self, requests: u32) -> u32 {
        self.abandoned.fetch_add(requests, Ordering::Relaxed) + requests
    }

    /// Abandoned requests were finished after all: their thread is free. That others are finished says nothing about it.
    pub(super) fn came_back(&self, requests: u32) {
        self.abandoned.fetch_sub(requests, Ordering::Relaxed);
    }
}
