//! What requests leave in the figures that charts show.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use gateway::api::Series;
use gateway::figures::{History, Sampler, Window};
use gateway::ports::{GatewayProcess, Processes, WorkerProcess};
use serving_core::{ServableId, Version};

use super::fixture::{Gateway, INVOCATIONS, Setup, post};
use super::worker::{FakeWorker, gated};

const STEP: Duration = Duration::from_secs(10);

struct NoProcesses;

impl Processes for NoProcesses {
    fn workers(&self) -> Vec<WorkerProcess> {
        Vec::new()
    }

    fn gateway(&self) -> Option<GatewayProcess> {
        None
    }
}

fn sampling(gateway: &Gateway) -> (Sampler, Arc<History>) {
    let history = Arc::new(History::default());
    let counted = Arc::clone(&gateway.counted);
    let sampler = Sampler::new(Arc::clone(&history), counted, Arc::new(NoProcesses));
    (sampler, history)
}

fn last_step(history: &History) -> Series {
    let id = ServableId::new("iris", Version(7));
    history.of_version(&id, Window::try_from(STEP).unwrap())
}

#[tokio::test]
async fn a_scored_request_is_in_the_figures_of_its_version_and_model_once() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let (sampler, history) = sampling(&gateway);
    for _ in 0..3 {
        assert_eq!(gateway.score("[1]").await.status, 200);
    }
    let mut refused = post(INVOCATIONS, "[1]");
    let content_type = "text/plain".parse().unwrap();
    refused.headers_mut().insert("content-type", content_type);
    assert_eq!(gateway.send(refused).await.status, 415);
    for nowhere in ["/model/iris/8/invocations", "/model/nil/7/invocations"] {
        assert_eq!(gateway.send(post(nowhere, "[1]")).await.status, 404);
    }
    sampler.sample(STEP);
    let series = last_step(&history);
    assert_eq!(series.requests, [Some(0.4)]);
    assert_eq!(series.errors, [Some(0.1)]);
    assert_eq!(series.in_flight, [Some(0.0)]);
    assert!(series.p50[0].is_some_and(|seconds| seconds > 0.0 && seconds < 20.0));
    assert!(series.p50[0] <= series.p95[0] && series.p95[0] <= series.p99[0]);
    assert_eq!(
        history.of_model("iris", Window::try_from(STEP).unwrap()),
        series
    );
    assert_eq!(history.models(), ["iris".into()]);

    sampler.sample(STEP);
    let series = last_step(&history);
    assert_eq!((series.requests, series.p50), (vec![Some(0.0)], vec![None]));
}

#[tokio::test]
async fn requests_inside_and_waiting_are_seen_and_count_as_answered_when_they_are() {
    let (worker, go, mut arrivals) = gated();
    let gateway = Setup::default().places(1, 2).over([worker.upstream()]);
    let (sampler, history) = sampling(&gateway);
    let mut first = Box::pin(gateway.score("[1]"));
    tokio::select! {
        _ = &mut first => panic!("it was not allowed to answer"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    let mut second = Box::pin(gateway.score("[2]"));
    assert!(second.as_mut().now_or_never().is_none());
    sampler.sample(STEP);
    let series = last_step(&history);
    assert_eq!(series.in_flight, [Some(2.0)]);
    assert_eq!(series.queue, [Some(1.0)]);
    assert_eq!((series.requests, series.p99), (vec![Some(0.0)], vec![None]));
    go.add_permits(2);
    let answers = tokio::join!(first, second);
    assert_eq!([answers.0.status, answers.1.status], [200; 2]);
    sampler.sample(STEP);
    let series = last_step(&history);
    assert_eq!(series.requests, [Some(0.2)]);
    assert_eq!(
        (series.in_flight, series.queue),
        (vec![Some(0.0)], vec![Some(0.0)])
    );
}

#[tokio::test]
async fn the_last_requests_of_a_version_are_seen_when_it_is_gone() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let (sampler, history) = sampling(&gateway);
    gateway.score("[1]").await;
    gateway.retire();
    sampler.sample(STEP);
    assert_eq!(last_step(&history).requests, [Some(0.1)]);
    sampler.sample(STEP);
    assert_eq!(last_step(&history).requests, [Some(0.0)]);
}
