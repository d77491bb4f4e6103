//! One listener for both planes: `/model/…` is scored where the connection is, everything else is done on another runtime.

mod alarm;
mod control;
mod cores;
mod head_timer;
mod impatient;
mod linger;
mod request_body;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::data_plane::{Body, Caller, Cutoff, DataPlane};
use crate::telemetry::{Plane, Trails};
use alarm::Alarm;
use head_timer::HeadTimer;
use impatient::Impatient;
use linger::Lingering;

pub use control::ControlPlane;
pub use cores::Cores;

/// Connections cannot be taken, most likely for lack of file descriptors: some become free meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// hyper takes no smaller one.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// How connections are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Open connections; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long the head of a request may take, the time before its first byte included: a connection that is idle for
    /// longer is closed.
    pub header_read_timeout: Duration,
    /// Bytes of a request's line and headers.
    pub max_header_size: usize,
    /// How long a client may take no byte of an answer that is there for it; then its connection is cut.
    pub write_stall_timeout: Duration,
    /// How long requests in flight may take to end after shutdown was asked for.
    pub drain_deadline: Duration,
}

/// Serves HTTP/1.1 on one listener, on the runtime that runs it.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    /// `None` where nothing is scored.
    data_plane: Option<Arc<DataPlane>>,
    control_plane: ControlPlane,
    trails: Trails,
    /// Where connections are served; `None` where the server itself runs.
    cores: Option<Cores>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_read_timeout: Duration::from_secs(60),
            max_header_size: 64 * 1024,
            write_stall_timeout: Duration::from_secs(60),
            drain_deadline: Duration::from_secs(30),
        }
    }
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(
        config: ServerConfig,
        data_plane: Arc<DataPlane>,
        control_plane: ControlPlane,
    ) -> Self {
        Self {
            config,
            data_plane: Some(data_plane),
            control_plane,
            trails: Trails::default(),
            cores: None,
        }
    }

    /// A server for whoever looks after the gateway: it scores nothing, and tells of no request.
    pub fn without_scoring(config: ServerConfig, control_plane: ControlPlane) -> Self {
        Self {
            config,
            data_plane: None,
            control_plane,
            trails: Trails::default(),
            cores: None,
        }
    }

    /// The same, telling `trails` what requests did.
    #[must_use]
    pub fn telling(mut self, trails: Trails) -> Self {
        self.trails = trails;
        self
    }

    /// The same, serving connections on these `cores`.
    #[must_use]
    pub fn on(mut self, cores: Cores) -> Self {
        self.cores = Some(cores);
        self
    }

    /// Serves until `shutdown`, then stops accepting, lets requests in flight end within the drain deadline, and cuts
    /// what is left.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(self.config.max_connections));
        let server = Arc::new(self);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                (stream, peer, place) = accept(&listener, &places) => {
                    let server = Arc::clone(&server);
                    let shutdown = shutdown.clone();
                    let seat = server.cores.as_ref().and_then(Cores::seat);
                    let runtime = seat.as_ref().map_or_else(Handle::current, |seat| seat.handle.clone());
                    connections.spawn_on(async move {
                        server.serve(stream, peer, shutdown).await;
                        drop((seat, place));
                    }, &runtime);
                }
                // Finished connections are taken out as they come.
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        let drained = timeout(server.config.drain_deadline, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            warn!(
                connections = connections.len(),
                "cutting connections that did not end in time"
            );
            connections.shutdown().await;
        }
        server.control_plane.finish().await;
    }

    async fn serve(
        &self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        shutdown: CancellationToken,
    ) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(reason) => return debug!(%peer, %reason, "cannot serve a connection"),
        };
        let unread = Arc::new(AtomicBool::new(false));
        let cutoff = Cutoff::new();
        let stream = Impatient::new(stream, self.config.write_stall_timeout);
        let io = TokioIo::new(Lingering::new(stream, Arc::clone(&unread)));
        let service = service_fn(|request| self.answer(request, peer, &cutoff, &unread));
        let connection = http1::Builder::new()
            .timer(HeadTimer::default())
            .header_read_timeout(self.config.header_read_timeout)
            .max_header_size(self.config.max_header_size)
            .max_buf_size(self.config.max_header_size.max(SMALLEST_BUFFER))
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        // Whoever waits for a token takes a lock in it each time it looks, and a connection looks at all that it waits for
        // whenever anything happens to it: this looks only when the token is what happened.
        let mut stop = FuturesUnordered::from_iter([shutdown.cancelled()]);
        let mut alarm = Alarm::default();
        loop {
            let cut = poll_fn(|context| match cutoff.time() {
                Some(time) => alarm.poll_until(time, context),
                None => Poll::Pending,
            });
            tokio::select! {
                // An answer that ends at its deadline says so itself, before the connection is cut. And what the connection
                // does is what sets a time, which is looked at afterwards.
                biased;
                ended = connection.as_mut() => {
                    if let Err(reason) = ended {
                        debug!(%peer, %reason, "a connection broke");
                    }
                    return;
                }
                () = cut => {
                    debug!(%peer, "an answer was not read before its deadline");
                    return;
                }
                Some(()) = stop.next() => connection.as_mut().graceful_shutdown(),
            }
        }
    }

    /// No `async fn`, whose future has two places for each argument.
    fn answer<'a>(
        &'a self,
        request: Request<Incoming>,
        peer: SocketAddr,
        cutoff: &'a Cutoff,
        unread: &'a AtomicBool,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<'a> {
        let plane = self.plane(request.uri().path());
        let mut caller = Caller::new(peer, request.headers()).cut_at(cutoff);
        let under_way = self.trails.begin(&request, &caller, plane);
        if let Some(under_way) = &under_way {
            caller = caller.followed_on(under_way.trail());
        }
        let (head, body) = request.into_parts();
        let (body, progress) = request_body::follow(body, &caller.trail);
        async move {
            let mut response = match &self.data_plane {
                Some(data_plane) if plane == Plane::Data => {
                    data_plane.answer(&head, body, &caller).await
                }
                _ => {
                    let request = Request::from_parts(head, body);
                    // Boxed: scoring should not carry along what this takes.
                    Box::pin(self.control_plane.handle(request, &caller)).await
                }
            };
            if progress.leaves_much() {
                // More is coming than is worth reading for the sake of the connection.
                unread.store(true, Ordering::Release);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(match under_way {
                Some(under_way) => under_way.answered(response),
                None => response,
            })
        }
    }

    fn plane(&self, path: &str) -> Plane {
        match path {
            "/healthz" | "/readyz" => Plane::Probe,
            // Where nothing is scored, it asks for no credential.
            "/metrics" if self.data_plane.is_none() => Plane::Probe,
            "/metrics" => Plane::Guarded,
            _ if self.data_plane.is_some() && DataPlane::owns(path) => Plane::Data,
            _ => Plane::Control,
        }
    }
}

/// The next connection, once there is a place for one more.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (
    std::net::TcpStream,
    SocketAddr,
    Option<OwnedSemaphorePermit>,
) {
    // Nobody closes the semaphore: there is always a place some time.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(reason) = stream.set_nodelay(true) {
                    debug!(%peer, %reason, "cannot switch off delays");
                }
                match stream.into_std() {
                    Ok(stream) => return (stream, peer, place),
                    Err(reason) => debug!(%peer, %reason, "cannot hand a connection on"),
                }
            }
            Err(reason) => {
                warn!(%reason, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
