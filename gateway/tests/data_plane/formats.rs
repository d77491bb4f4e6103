//! Every row of the contract's format table, from the client's bytes to the worker's and back.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::fixture::{Answer, Gateway, INVOCATIONS};
use crate::worker::{FakeWorker, Seen};

const RECORDS: &str = "application/json; format=pandas-records";
const SPLIT: &str = "application/json; format=pandas-split";
const LIST: &str = "[{\"a\": 1.10, \"b\": \"\\u00e9\"}, {\"a\":NaN}]";
const COLUMNS: &str = "{\"columns\":[\"a\"],\"data\":[[1],[2.50]]}";

async fn exchange(
    mlflow_version: &str,
    worker_answers: &'static str,
    content_type: Option<&str>,
    body: &str,
) -> (Seen, Answer) {
    let worker = FakeWorker::answering(200, "application/json", worker_answers);
    let gateway = Gateway::over(worker.upstream_of(mlflow_version, Duration::from_secs(5)));
    let mut request = Request::post(INVOCATIONS);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let request = request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (worker.last(), answer)
}

#[tokio::test]
async fn legacy_requests_reach_a_current_worker_and_get_a_bare_list() {
    for (content_type, body, field) in [
        (Some(RECORDS), LIST, "dataframe_records"),
        (
            Some("Application/JSON; Format=pandas-records; charset=utf-8"),
            LIST,
            "dataframe_records",
        ),
        (Some("application/json"), LIST, "dataframe_records"),
        (None, LIST, "dataframe_records"),
        (Some(SPLIT), COLUMNS, "dataframe_split"),
        (Some("application/json"), COLUMNS, "dataframe_split"),
        (
            Some("application/json-numpy-split"),
            COLUMNS,
            "dataframe_split",
        ),
    ] {
        let answers = "{\"predictions\": [0, NaN, 1.50]}";
        for version in ["3.17.2", "2.22.5"] {
            let (seen, answer) = exchange(version, answers, content_type, body).await;
            assert_eq!(seen.text(), format!("{{\"{field}\": {body}}}"));
            assert_eq!(seen.content_type(), "application/json");
            assert_eq!(answer.text(), "[0, NaN, 1.50]");
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }
}

#[tokio::test]
async fn legacy_requests_reach_an_old_worker_as_they_are() {
    for (content_type, body) in [
        (RECORDS, LIST),
        ("application/json", LIST),
        (SPLIT, COLUMNS),
        ("application/json", COLUMNS),
        ("application/json-numpy-split", COLUMNS),
    ] {
        let (seen, answer) = exchange("1.30.1", "[0, 2]", Some(content_type), body).await;
        assert_eq!(seen.text(), body);
        assert_eq!(seen.content_type(), content_type);
        assert_eq!(answer.text(), "[0, 2]");
    }
}

#[tokio::test]
async fn current_requests_reach_a_current_worker_as_they_are() {
    for body in [
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": {\"t\": 0.50}}",
        "{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1]]}, \"extra\": 1}",
        "{\"instances\": [[1e400]]}",
        "{\"inputs\": {\"a\": [1]}, \"params\": null}",
        "{\"messages\": [{\"role\": \"user\"}]}",
        "{\"prompt\": \"x\"}",
        "{\"input\": \"x\"}",
        "not json",
    ] {
        let answers = "{\"predictions\": [Infinity]}";
        let (seen, answer) = exchange("3.17.2", answers, Some("application/json"), body).await;
        assert_eq!(seen.text(), body);
        assert_eq!(answer.text(), answers);
    }
}

#[tokio::test]
async fn current_requests_reach_an_old_worker_unwrapped_and_get_predictions() {
    for (body, unwrapped, content_type) in [
        (
            "{\"dataframe_records\": [{\"a\": 1.10}]}",
            "[{\"a\": 1.10}]",
            RECORDS,
        ),
        (
            "{\"params\": null, \"dataframe_split\":{\"data\": []}}",
            "{\"data\": []}",
            SPLIT,
        ),
    ] {
        let (seen, answer) = exchange("1.30.1", "[NaN, 2]", Some("application/json"), body).await;
        assert_eq!(seen.text(), unwrapped);
        assert_eq!(seen.content_type(), content_type);
        assert_eq!(answer.text(), "{\"predictions\": [NaN, 2]}");
    }
    for body in [
        "{\"instances\": [[1]], \"params\": {}}",
        "{\"inputs\": [1]}",
    ] {
        let (seen, answer) = exchange("1.30.1", "[1]", Some("application/json"), body).await;
        assert_eq!(seen.text(), body);
        assert_eq!(answer.text(), "[1]");
    }
}

#[tokio::test]
async fn csv_reaches_every_worker_and_is_answered_as_the_worker_does() {
    for (version, answers) in [("3.17.2", "{\"predictions\": [0]}"), ("1.30.1", "[0]")] {
        let (seen, answer) =
            exchange(version, answers, Some("Text/CSV; charset=UTF-8"), "a\n1\n").await;
        assert_eq!(seen.text(), "a\n1\n");
        assert_eq!(seen.content_type(), "text/csv");
        assert_eq!(answer.text(), answers);
    }
}

#[tokio::test]
async fn a_legacy_answer_of_another_shape_passes_as_it_is() {
    for answers in ["[1, 2]", "{\"predictions\": [1], \"more\": 2}", "\"text\""] {
        let (_, answer) = exchange("3.17.2", answers, Some(RECORDS), LIST).await;
        assert_eq!(answer.text(), answers);
    }
}

#[tokio::test]
async fn params_for_an_old_worker_are_refused_clearly() {
    let worker = FakeWorker::answering(200, "application/json", "[1]");
    let gateway = Gateway::over(worker.upstream_of("1.30.1", Duration::from_secs(5)));
    let body = "{\"dataframe_records\": [], \"params\": {\"a\": 1}}";
    let message = gateway.score(body).await.is(400, "BAD_REQUEST");
    assert!(message.contains("params"), "{message}");
    assert!(worker.seen().is_empty());
}

#[tokio::test]
async fn a_worker_is_told_what_it_needs_and_no_more() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let request = Request::post("/model/iris/7/invocations?debug=1")
        .header("authorization", "Bearer sgp_secret")
        .header("cookie", "a=b")
        .header("connection", "x-mine")
        .header("x-mine", "1")
        .header("accept", "application/json")
        .header("traceparent", "00-1-2-01")
        .header("x-request-id", "abc")
        .header("host", "10.1.2.3")
        .body(Full::new(Bytes::from_static(b"[1]")))
        .unwrap();
    assert_eq!(gateway.send(request).await.status, 200);
    let seen = worker.last();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/invocations?request_id=abc")
    );
    let mut headers: Vec<_> = seen
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    assert_eq!(
        headers,
        [
            "accept: application/json",
            "content-length: 26",
            "content-type: application/json",
            "host: localhost",
            "traceparent: 00-1-2-01",
            "x-request-id: abc",
        ]
    );
}
