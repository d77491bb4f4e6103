//! How long a call keeps its slot.

use futures_util::FutureExt;

use super::laws::{on, taken};
use super::scorer::{Scorer, numbers};
use crate::fixture::{INVOCATIONS, peer, post};
use crate::worker::streaming;

#[tokio::test]
async fn an_answer_that_its_client_does_not_read_keeps_no_slot() {
    let (worker, mut pieces) = streaming("application/json");
    let gateway = on().over([worker.upstream()]);
    let request = post(INVOCATIONS, "{\"inputs\": [1]}".to_owned());
    // The head and a beginning are there, and the end is not.
    let begin = async {
        let piece = pieces.recv().await.unwrap();
        piece.send(Ok("{\"predictions\": [1")).await.unwrap();
        piece
    };
    let _unread = tokio::join!(gateway.plane.handle(request, peer()), begin);
    let mut second = Box::pin(gateway.score("{\"inputs\": [3]}"));
    assert!((&mut second).now_or_never().is_none());
    let metrics = gateway.metrics();
    assert!(
        metrics.contains(r#"queue_length{model="iris",version="7"} 0"#),
        "{metrics}"
    );
    let piece = tokio::select! {
        _ = &mut second => panic!("it has no answer yet"),
        piece = pieces.recv() => piece.unwrap(),
    };
    piece.send(Ok("{\"predictions\": [6]}")).await.unwrap();
    drop(piece);
    assert_eq!(second.await.text(), "{\"predictions\": [6]}");
}

#[tokio::test]
async fn calls_that_do_not_end_hold_nobody_up_while_there_are_places() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let mut second = Box::pin(gateway.score("{\"inputs\": [3]}"));
    tokio::select! {
        _ = &mut second => panic!("it was not allowed to answer"),
        () = scorer.arrival() => {}
    }
    scorer.release();
    let (_, second) = tokio::join!(working, second);
    assert_eq!(second.text(), "{\"predictions\": [6]}");
}
