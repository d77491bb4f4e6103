//! The access log: what is told of a request, and what never is.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use auth::{Authenticator, AuthenticatorConfig, MemoryTokenStore};
use gateway::config::AccessLogConfig;
use gateway::server::ServerConfig;
use gateway::telemetry::{AccessLog, AccessRecord, Trails, emit};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt;

use crate::fixture::Setup;
use crate::server::{Running, read_until, scoring};
use crate::worker::{Died, FakeWorker, answer, streamed};

/// A server with an access log.
struct Logged {
    server: Running,
    records: mpsc::Receiver<AccessRecord>,
    _writer: JoinSet<()>,
}

impl Logged {
    async fn over(worker: &FakeWorker) -> Self {
        Self::with(Setup::default(), worker).await
    }

    async fn with(setup: Setup, worker: &FakeWorker) -> Self {
        Self::beside(axum::Router::new(), setup, worker).await
    }

    async fn beside(routes: axum::Router, setup: Setup, worker: &FakeWorker) -> Self {
        let (log, writer) = AccessLog::new(AccessLogConfig {
            enabled: true,
            sample: 1.0,
            control_plane: true,
        });
        let (sender, records) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(
            writer.run(CancellationToken::new(), move |record: &AccessRecord| {
                sender.blocking_send(record.clone()).unwrap();
            }),
        );
        let trails = Trails::new(Some(log), None);
        Self {
            server: Running::run(
                setup,
                vec![worker.upstream()],
                ServerConfig::default(),
                routes,
                trails,
            )
            .await,
            records,
            _writer: tasks,
        }
    }

    /// Sends a request to its end, and gives what was told of it.
    async fn ask(&mut self, request: &[u8]) -> AccessRecord {
        self.server.talk(request).await;
        self.told().await
    }

    async fn told(&mut self) -> AccessRecord {
        let told = tokio::time::timeout(std::time::Duration::from_secs(20), self.records.recv());
        told.await.unwrap().unwrap()
    }
}

/// What the record looks like in the log, as JSON and as text.
fn lines(record: &AccessRecord) -> (String, String) {
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let taken = |buffer: &Buffer| String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let (json, text) = (Buffer::default(), Buffer::default());
    let buffer = json.clone();
    let as_json = fmt().json().with_writer(move || buffer.clone()).finish();
    tracing::subscriber::with_default(as_json, || emit(record));
    let buffer = text.clone();
    let as_text = fmt()
        .with_ansi(false)
        .with_writer(move || buffer.clone())
        .finish();
    tracing::subscriber::with_default(as_text, || emit(record));
    (taken(&json), taken(&text))
}

/// The record in the log, without what differs from run to run.
fn golden(record: &AccessRecord) -> Value {
    let mut line: Value = serde_json::from_str(&lines(record).0).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "access");
    let mut fields = line["fields"].take();
    let total = fields["total_ms"].as_f64().unwrap();
    for part in ["queue_ms", "worker_ms"] {
        if let Some(time) = fields[part].as_f64() {
            assert!((0.0..=total).contains(&time), "{fields}");
        }
    }
    for (key, shown) in [
        ("time", "[time]"),
        ("peer", "[peer]"),
        ("total_ms", "[ms]"),
        ("queue_ms", "[ms]"),
        ("worker_ms", "[ms]"),
    ] {
        if let Some(value) = fields.get_mut(key) {
            *value = shown.into();
        }
    }
    fields
}

fn request(line: &str, headers: &str) -> Vec<u8> {
    format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: r-1\r\nUser-Agent: test/1\r\n{headers}\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_record_tells_how_a_request_went() {
    let worker = FakeWorker::start(|seen| async move {
        Ok(match seen.text() {
            text if text.contains("400") => {
                answer(400, "application/json", "{\"message\": \"no such column\"}")
            }
            _ => answer(200, "application/json", "{\"predictions\": [0, 2]}"),
        })
    });
    let mut logged = Logged::over(&worker).await;
    let with_id = "Connection: close\r\nX-Request-Id: r-1\r\nUser-Agent: test/1\r\n";
    let mut told = Vec::new();
    for sent in [
        scoring(with_id, "[1]"),
        scoring(with_id, "[400]"),
        request(
            "POST /model/iris/Production/invocations?x=1",
            "Content-Type: text/plain\r\nContent-Length: 0\r\n",
        ),
        request("GET /model/iris/7/ping", ""),
        request("HEAD /model/iris/Production", ""),
        request("POST /model/iris/8/invocations", "Content-Length: 0\r\n"),
        request("DELETE /model/nobody%27s/1/invocations", ""),
        request("GET /model/not/a/path/of/ours", ""),
    ] {
        told.push(golden(&logged.ask(&sent).await));
    }
    insta::assert_json_snapshot!(told);
    logged.server.stop().await;
}

#[tokio::test]
async fn a_caller_without_a_credential_is_nobody() {
    let worker = FakeWorker::predicting();
    let (store, clock) = (
        Arc::new(MemoryTokenStore::default()),
        Arc::new(SystemTime::now),
    );
    let config = AuthenticatorConfig::default();
    let setup = Setup {
        authenticator: Authenticator::open(store, clock, config).await.unwrap(),
        ..Setup::default()
    };
    let mut logged = Logged::with(setup, &worker).await;
    let record = logged.ask(&scoring("Connection: close\r\n", "[1]")).await;
    assert_eq!(record.status, Some(401));
    assert_eq!(record.error_code.as_deref(), Some("UNAUTHENTICATED"));
    assert_eq!(record.principal, None);
    // An id of ours, where the client sent none.
    assert_eq!(record.request_id.len(), 32);
    logged.server.stop().await;
}

#[tokio::test]
async fn of_scrapes_only_those_that_were_refused_are_told() {
    let routes = axum::Router::new().route(
        "/metrics",
        axum::routing::get(|headers: HeaderMap| async move {
            if headers.contains_key("authorization") {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            }
        }),
    );
    let worker = FakeWorker::predicting();
    let mut logged = Logged::beside(routes, Setup::default(), &worker).await;
    let scrape = request("GET /metrics", "Authorization: Bearer x\r\n");
    let answer = logged.server.talk(&scrape).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let record = logged.ask(&request("GET /metrics", "")).await;
    assert_eq!(record.status, Some(401));
    logged.server.stop().await;
}

#[tokio::test]
async fn secrets_are_in_no_record() {
    const SECRET: &str = "s3cr3t-0f-s0mebody";
    let worker = FakeWorker::start(|seen| async move {
        Ok(match seen.text() {
            body if body.contains("fail") => answer(
                400,
                "application/json",
                format!(
                    "{{\"error_code\": \"BAD_REQUEST\", \"message\": \"{SECRET}\", \"stack_trace\": \"{SECRET}\"}}"
                ),
            ),
            _ => answer(
                200,
                "application/json",
                format!("{{\"predictions\": [\"{SECRET}\"]}}"),
            ),
        })
    });
    let mut logged = Logged::over(&worker).await;
    let path = format!("/model/iris/7/invocations?token={SECRET}&{SECRET}");
    for body in ["[\"SECRET\"]", "[\"SECRET fail\"]", "\"SECRET"] {
        let body = body.replace("SECRET", SECRET);
        let mut headers = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        for name in [
            "Authorization: Bearer",
            "Cookie: session=",
            "Referer:",
            "X-Api-Key:",
            "X-Databricks-Token:",
            "traceparent:",
            "tracestate:",
            "X-Forwarded-For:",
            "Accept:",
        ] {
            headers = format!("{headers}{name} {SECRET}\r\n");
        }
        let mut sent = request(&format!("POST {path}"), &headers);
        sent.extend_from_slice(body.as_bytes());
        let record = logged.ask(&sent).await;
        let (json, text) = lines(&record);
        assert!(json.contains("r-1") && text.contains("r-1"), "{json}{text}");
        for told in [json, text, format!("{record:?}")] {
            assert!(!told.contains(SECRET), "{told}");
        }
    }
    logged.server.stop().await;
}

#[tokio::test]
async fn what_a_client_sends_cannot_break_a_line() {
    let worker = FakeWorker::predicting();
    let mut logged = Logged::over(&worker).await;
    let path = format!("GET /model/a%0D%0Ab%1B%5B31m%00{}/%0A", "x".repeat(5000));
    let agent = format!("User-Agent: a\t{}\r\n", "y".repeat(5000));
    let sent = format!("{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{agent}\r\n");
    let record = logged.ask(sent.as_bytes()).await;
    assert_eq!(record.user_agent.as_ref().map(String::len), Some(256));
    assert_eq!(record.model.as_deref().map(str::len), Some(256));
    let (json, text) = lines(&record);
    for told in [json, text] {
        let line = told.strip_suffix('\n').unwrap();
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    logged.server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_told_of_before_and_within_the_answer() {
    let places = Arc::new(Semaphore::new(0));
    let (arrived, mut arrivals) = mpsc::channel(1);
    let wait = Arc::clone(&places);
    let worker = FakeWorker::start(move |seen| {
        let (arrived, wait) = (arrived.clone(), Arc::clone(&wait));
        async move {
            if seen.text().contains("stream") {
                let (pieces, response) = streamed("text/event-stream");
                pieces.send(Ok("data: one\n\n")).await.unwrap();
                arrived.send(Some(pieces)).await.unwrap();
                return Ok(response);
            }
            arrived.send(None).await.unwrap();
            wait.acquire().await.unwrap().forget();
            Ok::<_, Died>(answer(200, "application/json", "{\"predictions\": [1]}"))
        }
    });
    let mut logged = Logged::over(&worker).await;

    let mut stream = logged.server.connect().await;
    stream.write_all(&scoring("", "[1]")).await.unwrap();
    arrivals.recv().await.unwrap();
    drop(stream);
    let record = logged.told().await;
    assert_eq!(
        (record.status, record.outcome.as_str()),
        (None, "client_gone")
    );
    assert_eq!((record.version, record.attempts), (Some(7), 1));
    assert!(record.worked.is_some() && record.bytes_in == 3);
    places.add_permits(1);

    let mut stream = logged.server.connect().await;
    let streamed = scoring("", "{\"messages\": \"stream\"}");
    stream.write_all(&streamed).await.unwrap();
    let pieces = arrivals.recv().await.unwrap().unwrap();
    read_until(&mut stream, "data: one").await;
    drop(stream);
    let record = logged.told().await;
    assert_eq!(
        (record.status, record.outcome.as_str()),
        (Some(200), "client_gone")
    );
    assert_eq!(record.bytes_out, 11);
    drop(pieces);
    logged.server.stop().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_as_such_with_its_time_at_the_worker() {
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
    // By the worker, and by the deadline.
    for (timeout, dies) in [(20_000, true), (300, false)] {
        let setup = Setup::default().timeout(timeout);
        let mut logged = Logged::with(setup, &worker).await;
        let mut stream = logged.server.connect().await;
        let request = scoring("", "{\"messages\": []}");
        stream.write_all(&request).await.unwrap();
        let pieces = arrivals.recv().await.unwrap();
        read_until(&mut stream, "data: one").await;
        if dies {
            pieces.send(Err(Died)).await.unwrap();
        }
        let record = logged.told().await;
        assert_eq!(
            (record.status, record.outcome.as_str()),
            (Some(200), "broken_off")
        );
        assert!(
            record.worked.is_some_and(|worked| worked <= record.took),
            "{record:?}"
        );
        drop(pieces);
        logged.server.stop().await;
    }
}
