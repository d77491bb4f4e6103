//! Traces: which spans a collector is sent, and what a worker is told of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use auth::{Authenticator, AuthenticatorConfig, MemoryTokenStore};
use gateway::config::TracesConfig;
use gateway::telemetry::{Traces, Trails};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use url::Url;

use crate::collector::Collector;
use crate::fixture::Setup;
use crate::server::{Running, read_until, scoring};
use crate::worker::{Died, FakeWorker, answer, streamed};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const SPAN: &str = "POST /model/{name}/{reference}/invocations";

fn traces(collector: Url, sample: f64) -> Traces {
    let config = TracesConfig {
        endpoint: Some(collector),
        sample,
    };
    Traces::open(&config, Handle::current()).unwrap().unwrap()
}

async fn traced(collector: &Collector, sample: f64, worker: &FakeWorker) -> Running {
    let traces = traces(collector.url(), sample);
    let trails = Trails::new(None, Some(traces));
    Running::telling(Setup::default(), vec![worker.upstream()], trails).await
}

async fn score(server: &Running, headers: &str) {
    let headers = format!("Connection: close\r\n{headers}");
    let answer = server.talk(&scoring(&headers, "[1]")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The trace, the span and the flags that the worker was told last.
fn told(worker: &FakeWorker) -> (String, String, String) {
    let headers = worker.last().headers;
    let parent = headers["traceparent"].to_str().unwrap().to_owned();
    let parts: Vec<&str> = parent.split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        panic!("{parent}")
    };
    assert_eq!(version, "00");
    (trace.to_owned(), span.to_owned(), flags.to_owned())
}

#[tokio::test]
async fn a_trace_goes_from_the_caller_through_the_gateway_to_the_worker() {
    let (collector, worker) = (Collector::start().await, FakeWorker::predicting());
    let server = traced(&collector, 0.0, &worker).await;
    let headers = format!(
        "traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1,b=2\r\nX-Request-Id: r-1\r\nUser-Agent: test/1\r\n"
    );
    score(&server, &headers).await;
    let kept = collector.spans(3).await;
    let (request, queue, call) = (kept.only(SPAN), kept.only("queue"), kept.only("worker"));

    assert_eq!(request.parent, PARENT);
    assert_eq!((&queue.parent, &call.parent), (&request.id, &request.id));
    assert!(
        kept.spans.iter().all(|span| span.trace == TRACE),
        "{:?}",
        kept.spans
    );
    // Kinds of spans: internal, server, client.
    assert_eq!((queue.kind, request.kind, call.kind), (1, 2, 3));
    assert!(request.begin <= queue.begin && queue.end <= call.end && call.end <= request.end);
    assert!(!request.failed && !call.failed);

    assert_eq!(
        told(&worker),
        (TRACE.to_owned(), call.id.clone(), "01".to_owned())
    );
    assert_eq!(worker.last().headers["tracestate"], "a=1,b=2");

    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/model/{name}/{reference}/invocations"),
        ("url.path", "/model/iris/7/invocations"),
        ("http.response.status_code", "200"),
        ("http.request.body.size", "3"),
        ("http.response.body.size", "6"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "test/1"),
        ("sluicegate.model", "iris"),
        ("sluicegate.reference", "7"),
        ("sluicegate.version", "7"),
        ("sluicegate.request_id", "r-1"),
        ("sluicegate.outcome", "answered"),
    ] {
        assert_eq!(request.attribute(key), value, "{key}");
    }
    assert_eq!(call.attribute("http.response.status_code"), "200");
    assert_eq!(kept.resource["service.name"], "sluicegate");
    assert_eq!(kept.resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(kept.paths[0], "/v1/traces");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_is_not_sampled_leaves_no_span() {
    let (collector, worker) = (Collector::start().await, FakeWorker::predicting());
    let server = traced(&collector, 1.0, &worker).await;
    score(&server, &format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n")).await;
    let (trace, span, flags) = told(&worker);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
    assert_ne!(span, "0".repeat(16));
    // The spans of a later request are there, those of this one are not.
    score(&server, "").await;
    let kept = collector.spans(3).await;
    assert!(
        kept.spans.iter().all(|span| span.trace != TRACE),
        "{:?}",
        kept.spans
    );
    assert_eq!(kept.only(SPAN).parent, "");
    assert_eq!(told(&worker).2, "01");
    server.stop().await;
}

#[tokio::test]
async fn without_a_caller_s_decision_the_sample_decides() {
    let (collector, worker) = (Collector::start().await, FakeWorker::predicting());
    let server = traced(&collector, 0.0, &worker).await;
    score(&server, "").await;
    assert_eq!(told(&worker).2, "00");
    // What is no parent decides nothing.
    score(&server, "traceparent: nonsense-01\r\n").await;
    assert_eq!(told(&worker).2, "00");
    assert!(collector.spans(0).await.spans.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn without_traces_the_worker_is_told_what_the_client_said() {
    let worker = FakeWorker::predicting();
    let trails = Trails::default();
    let server = Running::telling(Setup::default(), vec![worker.upstream()], trails).await;
    for parent in [
        format!("00-{TRACE}-{PARENT}-01"),
        "anything at all".to_owned(),
    ] {
        let headers = format!("traceparent: {parent}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
        score(&server, &headers).await;
        let headers = worker.last().headers;
        assert_eq!(headers["traceparent"], parent);
        let state: Vec<_> = headers.get_all("tracestate").iter().collect();
        assert_eq!(state, ["a=1", "b=2"]);
    }
    score(&server, "").await;
    assert!(!worker.last().headers.contains_key("traceparent"));
    server.stop().await;
}

#[tokio::test]
async fn each_worker_that_has_a_request_has_a_span() {
    let collector = Collector::start().await;
    let count = Arc::new(AtomicUsize::new(0));
    let worker = FakeWorker::start(move |_| {
        let before = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match before {
                0 => Err(Died),
                _ => Ok(answer(200, "application/json", "{\"predictions\": [1]}")),
            }
        }
    });
    let server = traced(&collector, 1.0, &worker).await;
    score(&server, "").await;
    let kept = collector.spans(4).await;
    let request = kept.only(SPAN);
    let mut calls: Vec<_> = kept
        .spans
        .iter()
        .filter(|span| span.name == "worker")
        .collect();
    calls.sort_by_key(|span| span.begin);
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|span| span.parent == request.id));
    assert!(calls[0].failed && !calls[1].failed && !request.failed);
    assert_eq!(calls[0].attribute("error.type"), "unanswered");
    assert_eq!(calls[1].attribute("http.request.resend_count"), "1");
    assert_eq!(told(&worker).1, calls[1].id);
    server.stop().await;
}

#[tokio::test]
async fn errors_of_ours_are_marked_and_refusals_are_not() {
    let collector = Collector::start().await;
    let worker = FakeWorker::start(|_| async { Err(Died) });
    let server = traced(&collector, 1.0, &worker).await;
    let answer = server.talk(&scoring("Connection: close\r\n", "[1]")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let request =
        b"GET /model/nothing/1/invocations?token=x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = server.talk(request).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let kept = collector.spans(6).await;
    let failed = kept.only(SPAN);
    assert!(failed.failed);
    assert_eq!(failed.attribute("error.type"), "WORKER_DIED");
    let refused = kept.only("GET /model/{name}/{reference}/invocations");
    assert!(!refused.failed);
    let path = refused.attribute("url.path");
    assert_eq!(path, "/model/nothing/1/invocations");
    server.stop().await;
}

#[tokio::test]
async fn what_a_stranger_says_about_traces_decides_nothing_here() {
    let collector = Collector::start().await;
    let stranger = || async {
        let store = Arc::new(MemoryTokenStore::default());
        let config = AuthenticatorConfig::default();
        let clock = Arc::new(SystemTime::now);
        Setup {
            authenticator: Authenticator::open(store, clock, config).await.unwrap(),
            ..Setup::default()
        }
    };
    let headers = format!("Connection: close\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n");
    // Nothing is in the sample, then everything.
    for sample in [0.0, 1.0] {
        let trails = Trails::new(None, Some(traces(collector.url(), sample)));
        let worker = FakeWorker::predicting();
        let server = Running::telling(stranger().await, vec![worker.upstream()], trails).await;
        let answer = server.talk(&scoring(&headers, "[1]")).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        server.stop().await;
    }
    let kept = collector.spans(1).await;
    let refused = kept.only(SPAN);
    assert_eq!(refused.parent, "");
    assert_ne!(refused.trace, TRACE);
}

#[tokio::test]
async fn a_stream_that_its_client_closes_is_no_error_and_paths_are_cut() {
    let collector = Collector::start().await;
    let (arrived, mut arrivals) = mpsc::channel(1);
    let worker = FakeWorker::start(move |_| {
        let arrived = arrived.clone();
        async move {
            let (pieces, response) = streamed("text/event-stream");
            pieces.send(Ok("data: one\n\n")).await.unwrap();
            arrived.send(pieces).await.unwrap();
            Ok(response)
        }
    });
    let server = traced(&collector, 1.0, &worker).await;
    let mut stream = server.connect().await;
    let request = scoring("", "{\"messages\": \"stream\"}");
    stream.write_all(&request).await.unwrap();
    let pieces = arrivals.recv().await.unwrap();
    read_until(&mut stream, "data: one").await;
    drop(stream);
    let kept = collector.spans(3).await;
    let closed = kept.only(SPAN);
    assert_eq!(closed.attribute("sluicegate.outcome"), "client_gone");
    assert!(!closed.failed);
    drop(pieces);

    let path = format!("/{}", "x".repeat(5000));
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    server.talk(request.as_bytes()).await;
    let kept = collector.spans(4).await;
    assert_eq!(kept.only("GET").attribute("url.path"), &path[..1024]);
    server.stop().await;
}

#[tokio::test]
async fn a_collector_that_is_dead_or_deaf_costs_spans_and_nothing_else() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}", silent.local_addr().unwrap());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    for collector in [deaf, dead] {
        let worker = FakeWorker::predicting();
        let traces = traces(collector.parse().unwrap(), 1.0);
        let trails = Trails::new(None, Some(traces.clone()));
        let server = Running::telling(Setup::default(), vec![worker.upstream()], trails).await;
        let began = tokio::time::Instant::now();
        for _ in 0..50 {
            score(&server, "").await;
        }
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
        server.stop().await;
        // It gives up within its deadline.
        let closed = tokio::time::timeout(Duration::from_secs(15), traces.close());
        assert!(closed.await.is_ok(), "{collector}");
    }
}
