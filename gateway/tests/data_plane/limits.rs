//! Sizes, places and deadlines.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use http::Request;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serving_core::Settings;

use crate::fixture::{Gateway, INVOCATIONS, MIB, Setup, failure, peer, post, read};
use crate::worker::{FakeWorker, gated};

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap().into()
}

fn encoded(encoding: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = post(INVOCATIONS, body);
    let headers = request.headers_mut();
    headers.insert("content-encoding", encoding.parse().unwrap());
    request
}

#[tokio::test]
async fn a_body_that_says_that_it_is_too_long_is_not_read() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let never = StreamBody::new(futures_util::stream::pending::<
        Result<Frame<Bytes>, std::io::Error>,
    >());
    let request = Request::post(INVOCATIONS)
        .header("content-type", "application/json")
        .header("content-length", 17 * MIB)
        .body(never)
        .unwrap();
    read(gateway.plane.handle(request, peer()).await)
        .await
        .is(413, "REQUEST_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_is_read_to_the_limit_only() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    // One that never ends.
    let chunk = || {
        Some((
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'1'; MIB]))),
            (),
        ))
    };
    let endless = StreamBody::new(futures_util::stream::unfold((), move |()| async move {
        chunk()
    }));
    let request = Request::post(INVOCATIONS)
        .header("content-type", "application/json")
        .body(Box::pin(endless))
        .unwrap();
    read(gateway.plane.handle(request, peer()).await)
        .await
        .is(413, "REQUEST_TOO_LARGE");
}

#[tokio::test]
async fn encoded_bodies_reach_the_worker_decoded() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let body = b"{\"inputs\": [1, 2, 3]}";
    for (encoding, bytes) in [
        ("gzip", gzip(body)),
        ("zstd", zstd::encode_all(&body[..], 3).unwrap().into()),
        ("identity", Bytes::from_static(body)),
    ] {
        assert_eq!(
            gateway.send(encoded(encoding, bytes)).await.status,
            200,
            "{encoding}"
        );
        let seen = worker.last();
        assert_eq!(seen.text().as_bytes(), body);
        assert!(!seen.headers.contains_key("content-encoding"));
    }
}

#[tokio::test]
async fn the_limit_holds_for_the_decoded_body() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let zeros = vec![b'0'; 64 * MIB];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("zstd", zstd::encode_all(&zeros[..], 19).unwrap().into()),
    ];
    for (encoding, bomb) in bombs {
        assert!(bomb.len() < MIB / 4);
        gateway
            .send(encoded(encoding, bomb))
            .await
            .is(413, "REQUEST_TOO_LARGE");
    }
    let broken = gateway
        .send(encoded("gzip", Bytes::from_static(b"[1]")))
        .await;
    assert_eq!(broken.is(400, "BAD_REQUEST"), "the body is not valid gzip");
    assert!(worker.seen().is_empty());
}

#[tokio::test]
async fn one_more_than_places_and_queue_is_429() {
    let (worker, go, mut arrivals) = gated();
    let gateway = Setup::default().places(2, 1).over([worker.upstream()]);
    let mut first = Box::pin(gateway.score("[1]"));
    let mut second = Box::pin(gateway.score("[2]"));
    let mut third = Box::pin(gateway.score("[3]"));
    for working in [&mut first, &mut second] {
        tokio::select! {
            _ = working => panic!("it was not allowed to answer"),
            arrived = arrivals.recv() => arrived.unwrap(),
        }
    }
    assert!(third.as_mut().now_or_never().is_none());
    assert!(
        gateway
            .metrics()
            .contains(r#"queue_length{model="iris",version="7"} 1"#)
    );
    let refused = gateway.score("[4]").await;
    refused.is(429, "RESOURCE_EXHAUSTED");
    assert!(refused.retry_after() >= 1);
    go.add_permits(3);
    let answers = tokio::join!(first, second, third);
    assert_eq!(
        [answers.0.status, answers.1.status, answers.2.status],
        [200; 3]
    );
}

#[tokio::test]
async fn more_places_by_settings_or_replicas_hold_at_once() {
    let (worker, go, mut arrivals) = gated();
    let mut gateway = Setup::default().places(1, 8).over([worker.upstream()]);
    let plane = Arc::clone(&gateway.plane);
    let send = || {
        let plane = Arc::clone(&plane);
        Box::pin(async move { read(plane.handle(post(INVOCATIONS, "[1]"), peer()).await).await })
    };
    let mut all = futures_util::future::join_all([send(), send(), send()]);
    let mut next_arrival = async || {
        tokio::select! {
            _ = &mut all => panic!("they were not allowed to answer"),
            arrived = arrivals.recv() => arrived.unwrap(),
        }
    };
    next_arrival().await;
    gateway.replicas.set(Settings {
        max_concurrency: 2.try_into().unwrap(),
        max_queue: 8,
        ..Settings::default()
    });
    next_arrival().await;
    gateway.replicas.add(worker.upstream());
    next_arrival().await;
    go.add_permits(3);
    assert!(all.await.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn who_waits_in_the_queue_past_the_deadline_is_504() {
    let (worker, _go, mut arrivals) = gated();
    let gateway = Setup::default()
        .places(1, 8)
        .timeout(100)
        .over([worker.upstream()]);
    let mut first = Box::pin(gateway.score("[1]"));
    tokio::select! {
        _ = &mut first => panic!("it was not allowed to answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    let message = gateway.score("[2]").await.is(504, "DEADLINE_EXCEEDED");
    assert!(message.contains("free place"), "{message}");
    first.await.is(504, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_before_the_deadline_is_504() {
    let worker = FakeWorker::predicting();
    let gateway = Setup::default().timeout(50).over([worker.upstream()]);
    let answer = read(gateway.plane.handle(bodiless(), peer()).await).await;
    answer.is(504, "DEADLINE_EXCEEDED");
}

/// A request whose body never comes.
fn bodiless() -> Request<impl http_body::Body<Data = Bytes, Error = std::io::Error>> {
    let never = StreamBody::new(futures_util::stream::pending::<
        Result<Frame<Bytes>, std::io::Error>,
    >());
    Request::post(INVOCATIONS).body(never).unwrap()
}

#[tokio::test]
async fn a_body_that_would_be_refused_anyway_is_not_read() {
    let (worker, _go, mut arrivals) = gated();
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let mut working = Box::pin(gateway.score("[1]"));
    tokio::select! {
        _ = &mut working => panic!("it was not allowed to answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    let refused = read(gateway.plane.handle(bodiless(), peer()).await).await;
    refused.is(429, "RESOURCE_EXHAUSTED");
    gateway.replicas.give_up(failure("it crashed 5 times"));
    let refused = read(gateway.plane.handle(bodiless(), peer()).await).await;
    refused.is(503, "TEMPORARILY_UNAVAILABLE");
}

#[tokio::test]
async fn bodies_of_all_requests_share_one_memory() {
    let (worker, go, mut arrivals) = gated();
    let mut setup = Setup::default().places(1, 8);
    setup.config.body_memory = 3 * MIB;
    let gateway = setup.over([worker.upstream()]);
    let mut large = vec![b' '; 2 * MIB];
    large[0] = b'[';
    *large.last_mut().unwrap() = b']';
    let mut working = Box::pin(gateway.score(large.clone()));
    tokio::select! {
        _ = &mut working => panic!("it was not allowed to answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    // Neither as it is nor as something that becomes as large.
    for request in [
        post(INVOCATIONS, large.clone()),
        encoded("gzip", gzip(&large)),
    ] {
        let refused = gateway.send(request).await;
        let message = refused.is(429, "RESOURCE_EXHAUSTED");
        assert!(message.contains("bytes"), "{message}");
        assert!(refused.retry_after() >= 1);
    }
    go.add_permits(3);
    // Small ones go on.
    let (first, second) = tokio::join!(working, gateway.score("[1]"));
    assert_eq!([first.status, second.status], [200; 2]);
    assert_eq!(gateway.score(large).await.status, 200);
}
