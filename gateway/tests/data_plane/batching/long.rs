//! Long shares of an answer, and clients who are in no hurry to read them.

use std::time::Duration;

use futures_util::FutureExt;
use gateway::data_plane::{Body, Caller, Cutoff};
use http::Response;
use http_body_util::BodyExt;
use tokio::time::{sleep_until, timeout};

use super::laws::{on, taken};
use super::scorer::{Scorer, much};
use crate::fixture::{Gateway, INVOCATIONS, peer, post};

const SOON: Duration = Duration::from_secs(30);

/// The heads of answers to a row of 1 and one of 2, which share a call, each with the time of its connection.
async fn shared(scorer: &mut Scorer, gateway: &Gateway) -> [(Response<Body>, Cutoff); 2] {
    let working = taken(scorer, gateway).await;
    let ask = |row: u32| async move {
        let cutoff = Cutoff::new();
        let request = post(INVOCATIONS, format!("{{\"inputs\": [{row}]}}"));
        let caller = Caller::new(peer(), request.headers()).cut_at(&cutoff);
        let answer = {
            let (head, body) = request.into_parts();
            gateway.plane.answer(&head, body, &caller).await
        };
        (answer, cutoff)
    };
    let mut asking = Box::pin(async { tokio::join!(ask(1), ask(2)) });
    assert!((&mut asking).now_or_never().is_none());
    scorer.release();
    let (_, (short, long)) = tokio::join!(working, asking);
    assert_eq!(scorer.worker.last().text(), "{\"inputs\": [1, 2]}");
    [short, long]
}

#[tokio::test]
async fn a_long_share_that_is_not_read_ends_with_its_connection_at_the_deadline() {
    let mut scorer = Scorer::of(much);
    let gateway = on().timeout(1000).over([scorer.worker.upstream()]);
    let [(short, unhurried), (long, cutoff)] = shared(&mut scorer, &gateway).await;
    assert_eq!([short.status(), long.status()], [200; 2]);
    let end = cutoff.time().expect("its connection is cut some time");
    timeout(SOON, sleep_until(end)).await.unwrap();
    assert!(long.into_body().collect().await.is_err());
    // What is short has left the gateway long ago.
    assert_eq!(unhurried.time(), None);
    let short = short.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(short, "{\"predictions\": [\"xxx\"]}");
}

#[tokio::test]
async fn a_long_share_that_is_read_is_whole() {
    let mut scorer = Scorer::of(much);
    let gateway = on().over([scorer.worker.upstream()]);
    let [_, (long, _)] = shared(&mut scorer, &gateway).await;
    let length = long.headers()["content-length"].to_str().unwrap();
    let length: usize = length.parse().unwrap();
    let long = long.into_body().collect().await.unwrap().to_bytes();
    let expected = format!("{{\"predictions\": [\"{}\"]}}", "x".repeat(300_000));
    assert_eq!(long, expected);
    assert_eq!(long.len(), length);
}
