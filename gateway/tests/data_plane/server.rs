//! The server on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::data_plane::Upstream;
use gateway::server::{ControlPlane, Cores, Server, ServerConfig};
use gateway::telemetry::Trails;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Gateway, MIB, Setup};
use crate::worker::{FakeWorker, answer, streamed};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    async fn start(setup: Setup, workers: Vec<Upstream>, config: ServerConfig) -> Self {
        let routes = axum::Router::new()
            .route("/healthz", axum::routing::get(|| async { "fine" }))
            .route(
                "/echo",
                axum::routing::post(|body: axum::body::Bytes| async { body }),
            );
        Self::with_routes(setup, workers, config, routes).await
    }

    async fn with_routes(
        setup: Setup,
        workers: Vec<Upstream>,
        config: ServerConfig,
        routes: axum::Router,
    ) -> Self {
        Self::run(setup, workers, config, routes, Trails::default()).await
    }

    /// With somebody who wants to know what requests did.
    pub(crate) async fn telling(setup: Setup, workers: Vec<Upstream>, trails: Trails) -> Self {
        let config = ServerConfig::default();
        Self::run(setup, workers, config, axum::Router::new(), trails).await
    }

    pub(crate) async fn run(
        setup: Setup,
        workers: Vec<Upstream>,
        config: ServerConfig,
        routes: axum::Router,
        trails: Trails,
    ) -> Self {
        let gateway = setup.over(workers);
        let control = ControlPlane::new(routes, tokio::runtime::Handle::current());
        let server = Server::new(config, Arc::clone(&gateway.plane), control);
        Self::serve(server.telling(trails), gateway).await
    }

    async fn serve(server: Server, gateway: Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stop = shutdown.clone();
        tasks.spawn(async move {
            server.run(listener, stop).await;
            // The replicas live as long as the server.
            drop(gateway);
        });
        Self {
            address,
            shutdown,
            tasks,
        }
    }

    async fn over(worker: &FakeWorker) -> Self {
        Self::start(
            Setup::default(),
            vec![worker.upstream()],
            ServerConfig::default(),
        )
        .await
    }

    /// With so many places and so many that may wait.
    pub(crate) async fn over_places(worker: &FakeWorker, places: u32, queue: u32) -> Self {
        let setup = Setup::default().places(places, queue);
        Self::start(setup, vec![worker.upstream()], ServerConfig::default()).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` and reads until the server closes.
    pub(crate) async fn talk(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_all(&mut stream).await
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        self.tasks.join_next().await.unwrap().unwrap();
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text
}

pub(crate) fn scoring(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /model/iris/7/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test]
async fn connections_have_cores_of_their_own_and_end_with_the_server() {
    let worker = FakeWorker::predicting();
    let gateway = Setup::default().over([worker.upstream()]);
    let control = ControlPlane::new(axum::Router::new(), tokio::runtime::Handle::current());
    let config = ServerConfig::default();
    let server = Server::new(config, Arc::clone(&gateway.plane), control);
    let server = Running::serve(server.on(Cores::start().unwrap()), gateway).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(server.connect().await);
    }
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(&scoring("", "[1]")).await.unwrap();
        }
        for stream in &mut streams {
            let answer = read_until(stream, "[0, 2]").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        }
    }
    assert_eq!(worker.seen().len(), 48);
    server.stop().await;
    for stream in &mut streams {
        assert_eq!(read_all(stream).await, "");
    }
}

#[tokio::test]
async fn both_planes_answer_on_one_connection() {
    let worker = FakeWorker::predicting();
    let server = Running::over(&worker).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(&scoring("", "[1]")).await.unwrap();
        let answer = read_until(&mut stream, "[0, 2]").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-length: 6\r\n"), "{answer}");
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert!(
            read_until(&mut stream, "fine")
                .await
                .starts_with("HTTP/1.1 200 OK\r\n")
        );
    }
    let echo =
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert!(server.talk(echo).await.ends_with("hello"));
    let missing = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(server.talk(missing).await.starts_with("HTTP/1.1 404"));
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_all_of_17_mib_still_reads_its_413() {
    let worker = FakeWorker::predicting();
    let server = Running::over(&worker).await;
    let body = vec![b'1'; 17 * MIB];
    let with_length = format!(
        "POST /model/iris/7/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let chunked = "POST /model/iris/7/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n1100000\r\n";
    for (head, end) in [(with_length.as_str(), ""), (chunked, "\r\n0\r\n\r\n")] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        // As most HTTP libraries do: everything is written before anything is read.
        stream.write_all(&body).await.unwrap();
        stream.write_all(end.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.contains("REQUEST_TOO_LARGE"), "{answer}");
    }
    assert!(worker.seen().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn who_asks_first_is_told_to_continue_or_not_to() {
    let worker = FakeWorker::predicting();
    let server = Running::over(&worker).await;
    let mut stream = server.connect().await;
    let request = scoring("Expect: 100-continue\r\n", "[1]");
    let (head, body) = request.split_at(request.len() - 3);
    stream.write_all(head).await.unwrap();
    assert_eq!(
        read_until(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(body).await.unwrap();
    assert!(
        read_until(&mut stream, "[0, 2]")
            .await
            .starts_with("HTTP/1.1 200")
    );

    let refused = "POST /model/iris/7/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 17825792\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(refused.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn requests_in_flight_end_before_the_server_does() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let (go, wait) = tokio::sync::watch::channel(false);
    let worker = FakeWorker::start(move |_| {
        let (arrived, mut wait) = (arrived.clone(), wait.clone());
        async move {
            arrived.send(()).await.unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            Ok(answer(200, "application/json", "{\"predictions\": [1]}"))
        }
    });
    let mut server = Running::over(&worker).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "fine").await;
    let mut stream = server.connect().await;
    stream.write_all(&scoring("", "[1]")).await.unwrap();
    arrivals.recv().await.unwrap();
    server.shutdown.cancel();
    // An idle connection is closed, and nobody new is let in.
    assert_eq!(read_all(&mut idle).await, "");
    go.send_replace(true);
    let answer = read_all(&mut stream).await;
    assert!(answer.ends_with("[1]"), "{answer}");
    server.tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let worker = FakeWorker::start(|_| std::future::pending());
    let config = ServerConfig {
        drain_deadline: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let server = Running::start(Setup::default(), vec![worker.upstream()], config).await;
    let mut stream = server.connect().await;
    stream.write_all(&scoring("", "[1]")).await.unwrap();
    while worker.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    server.stop().await;
    let mut rest = Vec::new();
    // Closed or reset: no answer in either case.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_sent_away() {
    let worker = FakeWorker::predicting();
    let config = ServerConfig {
        header_read_timeout: Duration::from_millis(50),
        max_header_size: 8192,
        ..ServerConfig::default()
    };
    let server = Running::start(Setup::default(), vec![worker.upstream()], config).await;
    let answer = server.talk(b"GET /healthz HTTP/1.1\r\nHost:").await;
    assert!(!answer.contains("200"), "{answer}");
    let long = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(9000)
    );
    assert!(
        server
            .talk(long.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_idle_or_slow_after_an_answer_is_closed_without_a_word() {
    let worker = FakeWorker::predicting();
    let config = ServerConfig {
        header_read_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let server = Running::start(Setup::default(), vec![worker.upstream()], config).await;
    for begun in ["", "GET /healthz HTTP/1.1\r\nHost:"] {
        let mut stream = server.connect().await;
        stream.write_all(&scoring("", "[1]")).await.unwrap();
        let answer = read_until(&mut stream, "[0, 2]").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(read_all(&mut stream).await, "");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_place() {
    let (arrived, mut arrivals) = mpsc::channel(4);
    let worker = FakeWorker::start(move |_| {
        let arrived = arrived.clone();
        async move {
            let (pieces, response) = streamed("text/event-stream");
            arrived.send(pieces).await.unwrap();
            Ok(response)
        }
    });
    let server = Running::start(
        Setup::default().places(1, 0),
        vec![worker.upstream()],
        ServerConfig::default(),
    )
    .await;
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream
            .write_all(&scoring("", "{\"messages\": []}"))
            .await
            .unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let pieces = arrivals.recv().await.unwrap();
        pieces.send(Ok("data: one\n\n")).await.unwrap();
        read_until(&mut stream, "data: one").await;
        drop(stream);
        // The gateway lets go of the worker when the client has gone.
        pieces.closed().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_the_deadline() {
    let body = "x".repeat(64 * MIB);
    let body: bytes::Bytes = body.into();
    let worker = FakeWorker::start(move |_| {
        let body = body.clone();
        async move { Ok(answer(200, "text/plain", body)) }
    });
    let setup = Setup::default().places(1, 0).timeout(300);
    let server = Running::start(setup, vec![worker.upstream()], ServerConfig::default()).await;
    let mut lazy = server.connect().await;
    lazy.write_all(&scoring("", "{\"inputs\": []}"))
        .await
        .unwrap();
    lazy.readable().await.unwrap();
    // Its place is taken until then, and free afterwards.
    let place_is_free = async {
        loop {
            let mut stream = server.connect().await;
            let request = scoring("", "{\"inputs\": []}");
            stream.write_all(&request).await.unwrap();
            let head = read_until(&mut stream, "\r\n").await;
            if head.starts_with("HTTP/1.1 200") {
                return;
            }
            assert!(head.starts_with("HTTP/1.1 429"), "{head}");
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), place_is_free);
    assert!(in_time.await.is_ok(), "the place was never free again");
    let mut rest = Vec::new();
    let _ = lazy.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 * MIB);
}

/// An answer under way: counted until it is dropped.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_for_a_while_is_cut() {
    let (count, mut answers) = watch::channel(0);
    let count = Arc::new(count);
    let piece = bytes::Bytes::from(vec![b'x'; 65_536]);
    let endless = axum::routing::get(move || {
        let (answer, piece) = (UnderWay::new(&count), piece.clone());
        let chunk = move || {
            let _ = &answer;
            Ok::<_, std::io::Error>(piece.clone())
        };
        let chunks = futures_util::stream::repeat_with(chunk);
        async move { axum::body::Body::from_stream(chunks) }
    });
    let routes = axum::Router::new().route("/endless", endless);
    let config = ServerConfig {
        write_stall_timeout: Duration::from_millis(100),
        ..ServerConfig::default()
    };
    let server = Running::with_routes(Setup::default(), Vec::new(), config, routes).await;
    let mut reading = server.connect().await;
    let mut lazy = server.connect().await;
    for stream in [&mut lazy, &mut reading] {
        let request = b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
    }
    answers.wait_for(|count| *count == 2).await.unwrap();
    let one_was_cut = answers.wait_for(|count| *count < 2);
    let mut one_was_cut = Box::pin(tokio::time::timeout(Duration::from_secs(30), one_was_cut));
    let mut space = vec![0; MIB];
    loop {
        tokio::select! {
            cut = &mut one_was_cut => break assert!(cut.is_ok(), "nobody was ever cut"),
            read = reading.read(&mut space) => assert!(read.unwrap() > 0, "who reads was cut"),
        }
    }
    assert!(reading.read(&mut space).await.unwrap() > 0);
    // What the kernel has taken is all that comes.
    let mut rest = Vec::new();
    let _ = lazy.read_to_end(&mut rest).await;
    assert!(rest.starts_with(b"HTTP/1.1 200"));
    drop(one_was_cut);
    drop(reading);
    server.stop().await;
}
