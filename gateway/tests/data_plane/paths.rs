//! What can be asked besides scoring, and what every answer says.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::fixture::{Gateway, Setup, get, post};
use crate::worker::FakeWorker;

#[tokio::test]
async fn every_way_to_name_a_version_leads_to_it() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for reference in [
        "7",
        "Production",
        "production",
        "champion",
        "@champion",
        "%40champion",
        "latest",
    ] {
        let answer = gateway
            .send(post(
                &format!("/model/iris/{reference}/invocations/"),
                "[1]",
            ))
            .await;
        assert_eq!(answer.status, 200, "{reference}");
        assert_eq!(answer.header("served-model-name"), "iris-7");
        assert_eq!(answer.header("x-sluicegate-version"), "7");
    }
}

#[tokio::test]
async fn a_name_may_hold_anything() {
    let worker = FakeWorker::predicting();
    let setup = Setup {
        name: "a b/c%\u{e9}",
        ..Setup::default()
    };
    let gateway = setup.over([worker.upstream()]);
    let path = "/model/a%20b%2Fc%25%C3%A9/Production";
    let answer = gateway
        .send(post(&format!("{path}/invocations"), "[1]"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("served-model-name"), "a b/c%%C3%A9-7");
    let described = gateway.send(get(path)).await.json();
    assert_eq!(described["name"], "a b/c%\u{e9}");
    assert_eq!(
        described["uris"]["version"],
        "/model/a%20b%2Fc%25%C3%A9/7/invocations"
    );
    let answer = gateway
        .send(post(
            "/model/a b/c/7/invocations".replace(' ', "%20").as_str(),
            "[1]",
        ))
        .await;
    answer.is(404, "RESOURCE_DOES_NOT_EXIST");
    let answer = gateway.send(post("/model/%ff/7/invocations", "[1]")).await;
    answer.is(400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for (method, path, allow) in [
        (Method::GET, "/model/iris/7/invocations", "POST"),
        (Method::POST, "/model/iris/7/ping", "GET, HEAD"),
        (Method::DELETE, "/model/iris/7", "GET, HEAD"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::default())
            .unwrap();
        let answer = gateway.send(request).await;
        answer.is(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), allow);
    }
}

#[tokio::test]
async fn a_sane_request_id_comes_back_and_others_are_replaced() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for path in [
        "/model/iris/7/invocations",
        "/model/nil/7/invocations",
        "/model/x",
    ] {
        for (sent, kept) in [("abc-1", true), ("with space", false)] {
            let mut request = post(path, "[1]");
            request
                .headers_mut()
                .insert("x-request-id", sent.parse().unwrap());
            let answer = gateway.send(request).await;
            assert_eq!(answer.header("x-request-id") == sent, kept, "{path}");
        }
    }
}

#[tokio::test]
async fn ping_tells_whether_a_worker_is_live() {
    let worker = FakeWorker::predicting();
    let mut gateway = Setup::default().over([]);
    gateway
        .send(get("/model/iris/7/ping"))
        .await
        .is(503, "TEMPORARILY_UNAVAILABLE");
    gateway.replicas.add(worker.upstream());
    assert_eq!(
        gateway
            .send(get("/model/iris/Production/ping"))
            .await
            .status,
        200
    );
    let head = Request::head("/model/iris/7/ping")
        .body(Full::default())
        .unwrap();
    assert_eq!(gateway.send(head).await.status, 200);
    let building = gateway.send(get("/model/iris/8/ping")).await;
    building.is(503, "TEMPORARILY_UNAVAILABLE");
    assert!(building.retry_after() >= 1);
    gateway
        .send(get("/model/iris/nil/ping"))
        .await
        .is(404, "RESOURCE_DOES_NOT_EXIST");
    assert!(worker.seen().is_empty());
}

#[tokio::test]
async fn a_reference_describes_what_it_resolves_to() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let described = gateway.send(get("/model/iris/production")).await;
    assert_eq!(
        described.json(),
        json!({
            "name": "iris",
            "version": 7,
            "reference": "production",
            "state": "READY",
            "replicas": 1,
            "stages": ["Production"],
            "aliases": ["champion"],
            "signature": null,
            "example": null,
            "mlflow_version": null,
            "uris": {
                "version": "/model/iris/7/invocations",
                "Production": "/model/iris/Production/invocations",
                "@champion": "/model/iris/@champion/invocations",
            },
        })
    );
    let building = gateway.send(get("/model/iris/8")).await.json();
    assert_eq!(building["state"], "BUILDING");
    assert_eq!(building["replicas"], 0);
    let failed = gateway.send(get("/model/iris/9")).await.json();
    assert_eq!(
        (&failed["state"], &failed["message"]),
        (&json!("FAILED"), &json!("no module named skops"))
    );
    gateway
        .send(get("/model/iris/nil"))
        .await
        .is(404, "RESOURCE_DOES_NOT_EXIST");
    gateway
        .send(get("/model/nil/7"))
        .await
        .is(404, "RESOURCE_DOES_NOT_EXIST");
}

#[tokio::test]
async fn figures_have_labels_of_known_versions_only() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    gateway.score("[1]").await;
    gateway.score("[1]").await;
    gateway.send(post("/model/nil/7/invocations", "[1]")).await;
    gateway
        .send(post("/model/iris/nil/invocations", "[1]"))
        .await;
    let mut request = post("/model/iris/7/invocations", "[1]");
    request
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    gateway.send(request).await;
    let metrics = gateway.metrics();
    for line in [
        r#"requests_total{model="iris",version="7",code="200"} 2"#,
        r#"requests_total{model="iris",version="7",code="415"} 1"#,
        r#"requests_total{model="",version="",code="404"} 2"#,
        r#"request_duration_seconds_count{model="iris",version="7"} 3"#,
        r#"in_flight{model="iris",version="7"} 0"#,
        r#"queue_length{model="iris",version="7"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("nil"));
    let left = gateway.retire();
    assert!(!left.contains("iris"), "{left}");
}
