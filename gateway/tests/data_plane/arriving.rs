//! Large bodies: sent to the worker while they arrive, and what becomes of them when something goes wrong meanwhile.

mod raw_workers;

use std::fmt::Write as _;
use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::fixture::{Answer, Gateway, INVOCATIONS, MIB, Setup, peer, read};
use crate::server::Running;
use crate::worker::{FakeWorker, gated};

/// For what has to happen some time.
const SOON: Duration = Duration::from_secs(30);
const HALF: usize = MIB / 2;

/// The client's side of a body.
type Sending = mpsc::Sender<io::Result<Bytes>>;

/// JSON that goes to a worker as it is.
fn inputs(length: usize) -> Bytes {
    let mut text = "{\"inputs\": [0".to_owned();
    let mut number = 1;
    while text.len() + 20 < length {
        write!(text, ", {number}").unwrap();
        number += 1;
    }
    text.push_str(&" ".repeat(length - text.len() - 2));
    text.push_str("]}");
    text.into()
}

/// A request of that many bytes, and where a test puts them.
fn slow(
    length: usize,
) -> (
    Sending,
    Request<impl http_body::Body<Data = Bytes, Error = io::Error> + Send + 'static>,
) {
    let (sending, receiver) = mpsc::channel(64);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let piece: io::Result<Bytes> = receiver.recv().await?;
        Some((piece.map(Frame::data), receiver))
    });
    let request = Request::post(INVOCATIONS)
        .header("content-type", "application/json")
        .header("content-length", length)
        .body(StreamBody::new(frames))
        .unwrap();
    (sending, request)
}

/// Puts `pieces` where the gateway finds them.
async fn put(sending: &Sending, pieces: &[Bytes]) {
    for piece in pieces {
        timeout(SOON, sending.send(Ok(piece.clone())))
            .await
            .unwrap()
            .unwrap();
    }
}

/// Lets `request` go on until `happens`.
async fn until(
    mut request: impl Future<Output = Answer> + Unpin,
    happens: impl Future<Output = ()>,
) {
    tokio::select! {
        answer = &mut request => panic!("{}", answer.text()),
        happened = timeout(SOON, happens) => happened.unwrap(),
    }
}

/// Lets `request` go as far as it can without anything new: it has no answer yet.
async fn waits(mut request: impl Future<Output = Answer> + Unpin) {
    for _ in 0..10 {
        if let Some(answer) = (&mut request).now_or_never() {
            panic!("{}", answer.text());
        }
        tokio::task::yield_now().await;
    }
}

/// A body of one MiB of which the worker has the first half: the request, and what sends the rest.
macro_rules! half_sent {
    ($gateway:expr, $worker:expr, $body:expr) => {{
        let (sending, request) = slow($body.len());
        put(&sending, &[$body.slice(..HALF)]).await;
        let plane = Arc::clone(&$gateway.plane);
        let mut answer = Box::pin(async move { read(plane.handle(request, peer()).await).await });
        until(&mut answer, $worker.has_received(HALF)).await;
        waits(&mut answer).await;
        (answer, sending)
    }};
}

/// Asks until there is a place.
async fn score_when_there_is_a_place(gateway: &Gateway) -> Answer {
    let asking = async {
        loop {
            let answer = gateway.score("[1]").await;
            if answer.status != 429 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, asking).await.unwrap()
}

/// Lets `time` pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_worker_has_the_first_half_before_the_client_has_sent_the_second() {
    let worker = FakeWorker::predicting();
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let body = inputs(MIB);
    let (answer, sending) = half_sent!(gateway, worker, body);
    gateway.score("[1]").await.is(429, "RESOURCE_EXHAUSTED");
    put(&sending, &[body.slice(HALF..)]).await;
    let answer = timeout(SOON, answer).await.unwrap();
    assert_eq!(answer.text(), "{\"predictions\": [0, 2]}");
    let seen = worker.last();
    assert_eq!(seen.body, body);
    assert_eq!(seen.headers["content-length"], MIB.to_string());
    assert_eq!(seen.content_type(), "application/json");
    assert!(seen.path.starts_with("/invocations?request_id="));
    let metrics = gateway.metrics();
    for line in [
        format!("request_size_bytes_sum{{model=\"iris\",version=\"7\"}} {MIB}.0"),
        "in_flight{model=\"iris\",version=\"7\"} 0".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    // Its connection takes the next one.
    assert_eq!(gateway.score("{\"inputs\": [1]}").await.status, 200);
    assert_eq!(worker.connections(), 1);
}

#[tokio::test]
async fn however_it_is_cut_the_worker_gets_the_same_bytes() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let body = inputs(300 << 10);
    let lengths = [
        700, 4_095, 8_191, 8_192, 8_193, 65_535, 65_536, 100_000, 153_599, 153_600, 153_601,
        307_199, 307_200,
    ];
    for length in lengths {
        let (sending, request) = slow(body.len());
        let pieces = (0..body.len())
            .step_by(length)
            .map(|begin| body.slice(begin..body.len().min(begin + length)))
            .collect::<Vec<_>>();
        let answer = async { read(gateway.plane.handle(request, peer()).await).await };
        let ((), answer) = tokio::join!(put(&sending, &pieces), answer);
        assert_eq!(answer.text(), "{\"predictions\": [0, 2]}", "{length}");
        assert_eq!(worker.last().body, body, "{length}");
    }
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_is_followed_by_one_that_gets_it_from_the_start() {
    let mut dying = FakeWorker::predicting();
    let heir = FakeWorker::predicting();
    let mut gateway = Setup::default().places(1, 0).over([dying.upstream()]);
    let body = inputs(MIB);
    let (mut answer, sending) = half_sent!(gateway, dying, body);
    gateway.replicas.add(heir.upstream());
    dying.kill().await;
    assert!(answer.as_mut().now_or_never().is_none());
    put(&sending, &[body.slice(HALF..)]).await;
    let answer = timeout(SOON, answer).await.unwrap();
    assert_eq!(answer.text(), "{\"predictions\": [0, 2]}");
    assert_eq!(heir.seen().len(), 1);
    assert_eq!(heir.last().body, body);
    assert!(dying.seen().is_empty());
}

#[tokio::test]
async fn who_lost_a_worker_is_not_refused_however_full_the_queue_is() {
    let mut dying = FakeWorker::predicting();
    let (heir, go, mut arrivals) = gated();
    let mut gateway = Setup::default().places(1, 0).over([]);
    let dead = gateway.replicas.add(dying.upstream());
    let body = inputs(MIB);
    let (mut answer, sending) = half_sent!(gateway, dying, body);
    dying.kill().await;
    gateway.replicas.remove(dead);
    gateway.replicas.add(heir.upstream());
    let mut first = Box::pin(score_when_there_is_a_place(&gateway));
    until(&mut answer, async {
        tokio::select! {
            _ = &mut first => panic!("it was not allowed to answer"),
            arrived = arrivals.recv() => arrived.unwrap(),
        }
    })
    .await;
    put(&sending, &[body.slice(HALF..)]).await;
    assert!(answer.as_mut().now_or_never().is_none());
    go.add_permits(2);
    assert_eq!(first.await.status, 200);
    assert_eq!(timeout(SOON, answer).await.unwrap().status, 200);
    assert_eq!(heir.last().body, body);
}

#[tokio::test]
async fn a_request_that_kills_workers_does_not_go_through_more_of_them() {
    let mut dying = FakeWorker::predicting();
    let mut gateway = Setup::default().over([dying.upstream()]);
    let body = inputs(MIB);
    let (answer, sending) = half_sent!(gateway, dying, body);
    let heir = FakeWorker::start(|_| async { Err(crate::worker::Died) });
    gateway.replicas.add(heir.upstream());
    dying.kill().await;
    put(&sending, &[body.slice(HALF..)]).await;
    let message = timeout(SOON, answer).await.unwrap().is(502, "WORKER_DIED");
    assert!(message.contains("3 times"), "{message}");
    assert_eq!(heir.seen().len(), 2);
}

#[tokio::test]
async fn a_client_that_breaks_off_is_told_so_and_its_place_is_free() {
    let worker = FakeWorker::predicting();
    let mut gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let body = inputs(MIB);
    for error in [true, false] {
        let (answer, sending) = half_sent!(gateway, worker, body);
        if error {
            let reset = io::Error::other("connection reset");
            sending.send(Err(reset)).await.unwrap();
        }
        drop(sending);
        let message = timeout(SOON, answer).await.unwrap().is(400, "BAD_REQUEST");
        if error {
            assert_eq!(
                message,
                "the request's body did not arrive whole: connection reset"
            );
        }
        assert_eq!(gateway.score("[1]").await.status, 200);
    }
    // What the worker has seen are the two small ones: nothing was put to it again.
    assert_eq!(worker.seen().len(), 2);
    assert_eq!(gateway.replicas.recycle_asked(), None);
    let counted = "request_size_bytes_count{model=\"iris\",version=\"7\"} 2";
    assert!(gateway.metrics().contains(counted));
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_at_once() {
    let worker = FakeWorker::predicting();
    let mut setup = Setup::default().places(1, 0);
    setup.config.body_memory = MIB;
    let mut gateway = setup.over([worker.upstream()]);
    let body = inputs(MIB);
    for _ in 0..3 {
        // Without its memory, the next one would find none.
        let (answer, sending) = half_sent!(gateway, worker, body);
        drop(answer);
        assert!(sending.is_closed());
        assert_eq!(score_when_there_is_a_place(&gateway).await.status, 200);
    }
    assert_eq!(gateway.replicas.recycle_asked(), None);
}

#[tokio::test]
async fn a_client_that_stalls_loses_the_worker_and_is_answered_in_the_end() {
    let worker = FakeWorker::predicting();
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let body = inputs(MIB);
    let (mut answer, sending) = half_sent!(gateway, worker, body);
    pass(Duration::from_secs(1)).await;
    waits(&mut answer).await;
    put(&sending, &[body.slice(HALF..=HALF)]).await;
    waits(&mut answer).await;
    gateway.score("[1]").await.is(429, "RESOURCE_EXHAUSTED");
    pass(Duration::from_millis(1_100)).await;
    // One byte is not what a worker waits for.
    waits(&mut answer).await;
    assert_eq!(gateway.score("[1]").await.status, 200);
    assert_eq!(worker.last().text(), "{\"dataframe_records\": [1]}");
    put(&sending, &[body.slice(HALF + 1..)]).await;
    let answer = timeout(SOON, answer).await.unwrap();
    assert_eq!(answer.text(), "{\"predictions\": [0, 2]}");
    assert_eq!(worker.last().body, body);
}

#[tokio::test]
async fn who_stalled_queues_as_if_it_had_come_now() {
    let (worker, _go, mut arrivals) = gated();
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let body = inputs(MIB);
    let (mut answer, sending) = half_sent!(gateway, worker, body);
    pass(Duration::from_millis(2_100)).await;
    waits(&mut answer).await;
    let mut other = Box::pin(gateway.score("[1]"));
    tokio::select! {
        _ = &mut other => panic!("it was not allowed to answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    put(&sending, &[body.slice(HALF..)]).await;
    let refused = timeout(SOON, answer).await.unwrap();
    refused.is(429, "RESOURCE_EXHAUSTED");
}

#[tokio::test]
async fn a_client_that_trickles_does_not_keep_a_place_until_its_deadline() {
    let worker = FakeWorker::predicting();
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let body = inputs(2 * MIB);
    let (mut answer, sending) = half_sent!(gateway, worker, body);
    // Each time just before the worker would be taken away, and a piece that is worth sending.
    let (pause, piece) = (Duration::from_millis(1_300), 256 << 10);
    let mut sent = HALF;
    for _ in 0..3 {
        pass(pause).await;
        put(&sending, &[body.slice(sent..sent + piece)]).await;
        sent += piece;
        until(&mut answer, worker.has_received(sent)).await;
        waits(&mut answer).await;
    }
    pass(pause).await;
    waits(&mut answer).await;
    assert_eq!(gateway.score("[1]").await.status, 200);
    put(&sending, &[body.slice(sent..)]).await;
    assert_eq!(timeout(SOON, answer).await.unwrap().status, 200);
    assert_eq!(worker.last().body, body);
}

#[tokio::test]
async fn who_finds_no_place_at_once_is_read_whole_first() {
    let (worker, go, mut arrivals) = gated();
    let gateway = Setup::default().places(1, 1).over([worker.upstream()]);
    let mut first = Box::pin(gateway.score("[1]"));
    tokio::select! {
        _ = &mut first => panic!("it was not allowed to answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    let body = inputs(MIB);
    let (sending, request) = slow(body.len());
    put(&sending, &[body.slice(..HALF)]).await;
    let answer = async { read(gateway.plane.handle(request, peer()).await).await };
    let mut answer = pin!(answer);
    assert!(answer.as_mut().now_or_never().is_none());
    go.add_permits(2);
    assert_eq!(first.await.status, 200);
    // A place that comes free now is for those who are all there.
    assert!(answer.as_mut().now_or_never().is_none());
    assert_eq!(gateway.score("[2]").await.status, 200);
    go.add_permits(1);
    put(&sending, &[body.slice(HALF..)]).await;
    assert_eq!(timeout(SOON, answer).await.unwrap().status, 200);
    assert_eq!(worker.last().body, body);
}

#[tokio::test]
async fn small_encoded_and_translated_bodies_and_slow_clients_take_no_place_before_they_are_whole()
{
    let worker = FakeWorker::predicting();
    let mut gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let large = inputs(MIB);
    let list = Bytes::from(format!("[{}1]", " ".repeat(MIB)));
    let bare = Bytes::from(format!(
        "{{\"columns\": [], \"data\": [{}]}}",
        " ".repeat(MIB)
    ));
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(&large).unwrap();
    let stored = stored.finish().unwrap();
    let cases = [
        ("application/json", None, inputs(200 << 10)),
        ("application/json", Some("gzip"), stored.into()),
        ("application/json", None, list.clone()),
        ("application/json", None, bare),
        ("application/json; format=pandas-records", None, list),
        ("application/json-numpy-split", None, large.clone()),
    ];
    for (content_type, encoding, body) in cases {
        let (sending, mut request) = slow(body.len());
        let headers = request.headers_mut();
        headers.insert("content-type", content_type.parse().unwrap());
        if let Some(encoding) = encoding {
            headers.insert("content-encoding", encoding.parse().unwrap());
        }
        put(&sending, &[body.slice(..body.len() * 3 / 4)]).await;
        let answer = gateway.plane.handle(request, peer());
        let mut answer = pin!(answer);
        assert!(answer.as_mut().now_or_never().is_none());
        assert_eq!(gateway.score("[1]").await.status, 200, "{content_type}");
    }
    // A large one that comes slowly from the start.
    let (sending, request) = slow(large.len());
    let answer = gateway.plane.handle(request, peer());
    let mut answer = pin!(answer);
    assert!(answer.as_mut().now_or_never().is_none());
    pass(Duration::from_secs(3)).await;
    put(&sending, &[large.slice(..HALF)]).await;
    assert!(answer.as_mut().now_or_never().is_none());
    assert_eq!(gateway.score("[1]").await.status, 200);
    drop((sending, gateway.replicas.recycle_asked()));
}

#[tokio::test]
async fn what_finds_no_memory_in_the_middle_is_429() {
    let worker = FakeWorker::predicting();
    let mut setup = Setup::default().places(1, 0);
    setup.config.body_memory = HALF + 100;
    let gateway = setup.over([worker.upstream()]);
    let body = inputs(MIB);
    let (answer, sending) = half_sent!(gateway, worker, body);
    put(&sending, &[body.slice(HALF..)]).await;
    let refused = timeout(SOON, answer).await.unwrap();
    let message = refused.is(429, "RESOURCE_EXHAUSTED");
    assert!(message.contains("bytes"), "{message}");
    assert_eq!(gateway.score("[1]").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_before_the_deadline_is_504_and_says_nothing_of_the_worker() {
    let worker = FakeWorker::predicting();
    let mut gateway = Setup::default()
        .places(1, 0)
        .timeout(1_500)
        .over([worker.upstream()]);
    let body = inputs(MIB);
    let (answer, _sending) = half_sent!(gateway, worker, body);
    pass(Duration::from_millis(1_500)).await;
    let message = timeout(SOON, answer).await.unwrap();
    let message = message.is(504, "DEADLINE_EXCEEDED");
    assert!(message.contains("body"), "{message}");
    assert_eq!(gateway.score("[1]").await.status, 200);
    assert_eq!(gateway.replicas.recycle_asked(), None);
}

#[tokio::test]
async fn a_body_of_another_length_than_its_head_says_is_refused() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let body = inputs(MIB);
    let (answer, sending) = half_sent!(gateway, worker, body);
    put(&sending, &[body.slice(HALF - 1..)]).await;
    let message = timeout(SOON, answer).await.unwrap().is(400, "BAD_REQUEST");
    assert!(
        message.contains("should have 1048576 bytes and has 1048577"),
        "{message}"
    );
}

#[tokio::test]
async fn over_a_socket_large_bodies_follow_each_other_and_clients_hang_up() {
    let worker = FakeWorker::predicting();
    let server = Running::over_places(&worker, 1, 0).await;
    let body = inputs(4 * MIB);
    let head = format!(
        "POST {INVOCATIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut received = 0;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&body[..3 * MIB]).await.unwrap();
        timeout(SOON, worker.has_received(received + 2 * MIB))
            .await
            .unwrap();
        client.write_all(&body[3 * MIB..]).await.unwrap();
        crate::server::read_until(&mut client, "[0, 2]}").await;
        received += body.len();
        assert_eq!(worker.last().body, body);
    }
    assert_eq!(worker.connections(), 1);
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body[..3 * MIB]).await.unwrap();
    timeout(SOON, worker.has_received(received + 2 * MIB))
        .await
        .unwrap();
    drop(client);
    // The only place comes free.
    let small = crate::server::scoring("Connection: close\r\n", "[1]");
    let answered = async {
        while !server.talk(&small).await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, answered).await.unwrap();
    server.stop().await;
}
