//! Exchanges over real sockets, with a worker that says and hears bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::data_plane::body::SegmentsBody;
use crate::protocol::Segments;

/// For what has to happen some time.
const SOON: Duration = Duration::from_secs(30);
const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A worker's socket, and who asks it.
struct Street {
    _folder: TempDir,
    listener: UnixListener,
    upstream: Upstream,
}

/// A body that arrives as a test gives it.
struct Arriving(mpsc::Receiver<Result<Bytes, &'static str>>);

impl Body for Arriving {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

fn upstream(endpoint: Endpoint) -> Upstream {
    Upstream::new(UpstreamConfig {
        endpoint,
        mlflow_version: "3.17.2".to_owned(),
        keep_alive: Duration::from_secs(60),
        about: Arc::new(About::default()),
    })
}

impl Street {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        Self {
            _folder: folder,
            listener,
            upstream: upstream(Endpoint::Unix(path)),
        }
    }

    /// A request with a body of so many bytes, and the worker's end of its connection.
    async fn outgoing(&self, length: u64) -> (Outgoing, UnixStream) {
        let connection = self.upstream.connect(Reuse::Never).await.unwrap();
        let (worker, _) = self.listener.accept().await.unwrap();
        (post(connection, length), worker)
    }

    /// Asks with a body, and hears whatever the worker says once it has the request; then it closes the connection.
    async fn ask(&self, says: &str) -> Result<Response<WorkerBody>, SendError> {
        let (outgoing, mut worker) = self.outgoing(2).await;
        let sending = self.upstream.send(outgoing, Full::new(Bytes::from("[]")));
        let answering = async move {
            hear(&mut worker, "[]").await;
            worker.write_all(says.as_bytes()).await.unwrap();
        };
        timeout(SOON, async { tokio::join!(sending, answering).0 })
            .await
            .unwrap()
    }
}

fn post(connection: Connection, length: u64) -> Outgoing {
    let accept = HeaderValue::from_static("*/*");
    let write = |head: &mut RequestHead<'_>| head.header(&header::ACCEPT, &accept);
    connection.post(["/invocations"], write, "application/json", length)
}

/// Reads until a request has come that ends with `end`.
async fn hear(worker: &mut UnixStream, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let read = timeout(SOON, worker.read_buf(&mut heard)).await.unwrap();
        assert!(read.unwrap() > 0, "{}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8(heard).unwrap()
}

async fn text(answer: Response<WorkerBody>) -> Result<String, BrokenOff> {
    let body = timeout(SOON, answer.into_body().collect()).await.unwrap()?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

/// Whether a connection was kept.
fn is_kept(upstream: &Upstream) -> bool {
    upstream.pool.take().is_some()
}

#[tokio::test]
async fn requests_and_answers_go_over_one_connection_in_turn() {
    let street = Street::new();
    let (mut outgoing, mut worker) = street.outgoing(4).await;
    for _ in 0..3 {
        let sending = street
            .upstream
            .send(outgoing, Full::new(Bytes::from("[10]")));
        let answering = async {
            let head = "POST /invocations HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\
                content-type: application/json\r\ncontent-length: 4\r\n\r\n[10]";
            assert_eq!(hear(&mut worker, "[10]").await, head);
            worker.write_all(HELLO.as_bytes()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(sending, answering);
        assert_eq!(text(answer.unwrap()).await.unwrap(), "hello");
        outgoing = post(street.upstream.pool.take().unwrap(), 4);
    }
}

#[tokio::test]
async fn the_buffer_of_short_answers_is_used_again() {
    let street = Street::new();
    let (mut outgoing, mut worker) = street.outgoing(0).await;
    let mut buffers = Vec::new();
    for _ in 0..200 {
        let sending = street.upstream.send(outgoing, Full::new(Bytes::new()));
        let says = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{:1000}", 1);
        let answering = async {
            hear(&mut worker, "\r\n\r\n").await;
            worker.write_all(says.as_bytes()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(sending, answering);
        assert_eq!(text(answer.unwrap()).await.unwrap().len(), 1000);
        let mut connection = street.upstream.pool.take().unwrap();
        // As the next read would do.
        connection.incoming.reserve(8 * 1024);
        buffers.push((
            connection.incoming.as_ptr() as usize,
            connection.head.as_ptr() as usize,
        ));
        outgoing = post(connection, 0);
    }
    buffers.dedup();
    assert_eq!(buffers.len(), 1);
}

#[tokio::test]
async fn long_answers_come_whole_and_leave_no_long_buffer() {
    let street = Street::new();
    let (mut outgoing, mut worker) = street.outgoing(0).await;
    for length in [60_000, 5_000_000, 10] {
        let body = "0123456789".repeat(length / 10);
        for head in [
            format!("content-length: {length}\r\n\r\n{body}"),
            format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
        ] {
            let says = format!("HTTP/1.1 200 OK\r\n{head}");
            let asking = async {
                let sending = street.upstream.send(outgoing, Full::new(Bytes::new()));
                text(sending.await.unwrap()).await.unwrap()
            };
            let answering = async {
                hear(&mut worker, "\r\n\r\n").await;
                worker.write_all(says.as_bytes()).await.unwrap();
            };
            let (heard, ()) = tokio::join!(asking, answering);
            assert!(heard == body, "{length}");
            let connection = street.upstream.pool.take().unwrap();
            assert!(connection.incoming.capacity() <= 16 * 1024);
            outgoing = post(connection, 0);
        }
    }
}

#[tokio::test]
async fn a_body_of_thousands_of_pieces_arrives_in_order() {
    let street = Street::new();
    let pieces: Segments = (0..20_000)
        .map(|n| Bytes::from(format!("{n:07},")))
        .collect();
    let expected = String::from_utf8(pieces.to_vec()).unwrap();
    let (outgoing, mut worker) = street.outgoing(pieces.len() as u64).await;
    let sending = street.upstream.send(outgoing, SegmentsBody::new(pieces));
    let answering = async {
        let heard = hear(&mut worker, "0019999,").await;
        worker.write_all(HELLO.as_bytes()).await.unwrap();
        heard
    };
    let (answer, heard) = tokio::join!(sending, answering);
    assert!(heard.ends_with(&format!("\r\n\r\n{expected}")));
    assert_eq!(text(answer.unwrap()).await.unwrap(), "hello");
    assert!(is_kept(&street.upstream));
}

#[tokio::test]
async fn a_body_is_sent_as_it_arrives() {
    let street = Street::new();
    let (outgoing, mut worker) = street.outgoing(6).await;
    let (give, arriving) = mpsc::channel(1);
    let sending = street.upstream.send(outgoing, Arriving(arriving));
    let answering = async {
        for piece in ["ab", "", "cd", "ef"] {
            give.send(Ok(Bytes::from(piece))).await.unwrap();
            if !piece.is_empty() {
                hear(&mut worker, piece).await;
            }
        }
        worker.write_all(HELLO.as_bytes()).await.unwrap();
        // The last byte is known by the length: nobody waits for the body to say so.
        give
    };
    let (answer, give) = tokio::join!(sending, answering);
    assert_eq!(text(answer.unwrap()).await.unwrap(), "hello");
    assert!(is_kept(&street.upstream));
    drop(give);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_delivered_and_the_connection_is_not_kept() {
    let street = Street::new();
    let (outgoing, mut worker) = street.outgoing(6).await;
    let (give, arriving) = mpsc::channel(1);
    give.send(Ok(Bytes::from("ab"))).await.unwrap();
    let sending = street.upstream.send(outgoing, Arriving(arriving));
    let answering = async {
        hear(&mut worker, "ab").await;
        worker.write_all(HELLO.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(sending, answering);
    // The rest is not asked for.
    assert!(give.is_closed());
    assert_eq!(text(answer.unwrap()).await.unwrap(), "hello");
    assert!(!is_kept(&street.upstream));
    assert_eq!(worker.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_answer_that_comes_while_the_worker_takes_no_more_is_delivered() {
    let street = Street::new();
    let body = Bytes::from(vec![b'a'; 64 << 20]);
    let (outgoing, mut worker) = street.outgoing(body.len() as u64).await;
    let sending = street.upstream.send(outgoing, Full::new(body));
    let answering = async {
        // Reads nothing, so that what was sent is in the system's buffers.
        worker.readable().await.unwrap();
        worker.write_all(HELLO.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(sending, answering);
    assert_eq!(text(answer.unwrap()).await.unwrap(), "hello");
    assert!(!is_kept(&street.upstream));
}

#[tokio::test]
async fn an_answer_that_came_before_the_worker_closed_is_delivered_although_sending_failed() {
    let street = Street::new();
    let body = Bytes::from(vec![b'a'; 64 << 20]);
    let (outgoing, mut worker) = street.outgoing(body.len() as u64).await;
    let says = "HTTP/1.1 413 Too much\r\nconnection: close\r\n\r\ntoo much";
    worker.write_all(says.as_bytes()).await.unwrap();
    drop(worker);
    let answer = street.upstream.send(outgoing, Full::new(body)).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(text(answer).await.unwrap(), "too much");
}

#[tokio::test]
async fn a_body_that_breaks_off_closes_the_connection_and_is_told_as_such() {
    let street = Street::new();
    for (length, pieces, expected) in [
        (
            6,
            [Ok("ab"), Err("the client has gone")],
            "the client has gone",
        ),
        (6, [Ok("ab"), Ok("cdefg")], "not as long as it says"),
        (6, [Ok("ab"), Ok("cde")], "not as long as it says"),
    ] {
        let (outgoing, mut worker) = street.outgoing(length).await;
        let (give, arriving) = mpsc::channel(2);
        for piece in pieces {
            give.send(piece.map(Bytes::from)).await.unwrap();
        }
        drop(give);
        let sent = street.upstream.send(outgoing, Arriving(arriving)).await;
        let Err(SendError::Body(reason)) = sent else {
            panic!("{sent:?}")
        };
        assert!(reason.to_string().contains(expected), "{reason}");
        // Nothing that looks like a whole request.
        let mut heard = Vec::new();
        worker.read_to_end(&mut heard).await.unwrap();
        assert!(heard.len() < 110, "{}", String::from_utf8_lossy(&heard));
    }
}

#[tokio::test]
async fn a_connection_is_kept_only_if_nothing_is_left_of_its_exchange() {
    for (says, body, kept) in [
        (HELLO, "hello", true),
        ("HTTP/1.1 204 No\r\n\r\n", "", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "a",
            true,
        ),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na",
            "a",
            true,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", "a", false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\na",
            "a",
            false,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", "a", false),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\r\n",
            "",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "a",
            false,
        ),
    ] {
        let street = Street::new();
        let (outgoing, mut worker) = street.outgoing(0).await;
        let sending = street.upstream.send(outgoing, Full::new(Bytes::new()));
        let answering = async {
            hear(&mut worker, "\r\n\r\n").await;
            worker.write_all(says.as_bytes()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(sending, answering);
        assert_eq!(text(answer.unwrap()).await.unwrap(), body, "{says:?}");
        assert_eq!(is_kept(&street.upstream), kept, "{says:?}");
        drop(worker);
    }
}

#[tokio::test]
async fn an_idle_connection_that_says_something_or_ends_is_not_used() {
    for says in ["", "HTTP/1.1 408 Late\r\n\r\n"] {
        let (worker, ours) = UnixStream::pair().unwrap();
        let connection = Connection::over(tokio_util::either::Either::Left(ours));
        assert!(connection.is_free());
        let mut worker = worker;
        worker.write_all(says.as_bytes()).await.unwrap();
        if says.is_empty() {
            drop(worker);
        }
        let noticed = async {
            while connection.is_free() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, noticed).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_head_leaves_the_request_unanswered() {
    for says in [
        "",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
    ] {
        let answer = Street::new().ask(says).await;
        assert!(
            matches!(answer, Err(SendError::Unanswered(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn whatever_is_no_answer_is_garbled() {
    for says in ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 101 Other\r\n\r\n", "hello"] {
        let answer = Street::new().ask(says).await;
        assert!(matches!(answer, Err(SendError::Garbled(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_its_length_is_known_as_long_as_it_is() {
    let says = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello";
    let answer = Street::new().ask(says).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(body.size_hint().exact(), Some(9));
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece, "hello");
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(!body.is_end_stream());
    let reason = body.frame().await.unwrap().unwrap_err();
    assert!(matches!(reason, BrokenOff::Closed), "{reason}");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_closes_its_connection() {
    let street = Street::new();
    let (outgoing, mut worker) = street.outgoing(2).await;
    let mut sending = Box::pin(street.upstream.send(outgoing, Full::new(Bytes::from("[]"))));
    tokio::select! {
        answer = &mut sending => panic!("{answer:?}"),
        _ = hear(&mut worker, "[]") => {}
    }
    drop(sending);
    let read = timeout(SOON, worker.read(&mut [0])).await.unwrap();
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn a_worker_on_a_port_is_asked_as_one_on_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(Endpoint::Tcp(listener.local_addr().unwrap()));
    let connection = upstream.connect(Reuse::Allowed).await.unwrap();
    let (mut worker, _) = listener.accept().await.unwrap();
    worker.write_all(HELLO.as_bytes()).await.unwrap();
    let body: Full<Bytes> = Full::new(Bytes::from("[]"));
    let body = body.map_err(|never: Infallible| never);
    let answer = upstream.send(post(connection, 2), body).await.unwrap();
    assert_eq!(text(answer).await.unwrap(), "hello");
    assert!(is_kept(&upstream));
}
