//! Health, metrics, status, ids, and what is not there.

use std::io::Read;

use auth::Grant;
use axum::body::Body;
use flate2::read::GzDecoder;

use super::harness::{Caller, Plane};

#[tokio::test]
async fn alive_is_said_to_everybody() {
    let plane = Plane::new().await;
    let answer = plane.get(Caller::Anonymous, "/healthz").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn long_json_is_short_for_those_who_take_it_so_and_nothing_else_is() {
    let plane = Plane::new().await;
    let asked = async |path: &str, encodings: Option<&str>| {
        let mut request = plane.request(Caller::Admin, "GET", path);
        if let Some(encodings) = encodings {
            request = request.header("accept-encoding", encodings);
        }
        let request = request.body(Body::empty()).unwrap();
        plane.send(request).await
    };
    let path = "/api/openapi.json";
    let plain = asked(path, None).await;
    let short = asked(path, Some("gzip, br")).await;
    assert_eq!(short.headers["content-encoding"], "gzip");
    assert!(short.body.len() * 4 < plain.body.len());
    let mut read = Vec::new();
    GzDecoder::new(&*short.body).read_to_end(&mut read).unwrap();
    assert_eq!(read, plain.body);
    for path in ["/api/v1/session", "/metrics"] {
        let answer = asked(path, Some("gzip")).await;
        assert!(!answer.headers.contains_key("content-encoding"), "{path}");
    }
}

#[tokio::test]
async fn ready_waits_for_the_registry_the_manager_and_the_store() {
    let plane = Plane::new().await;
    let ready = async || {
        plane
            .get(Caller::Anonymous, "/readyz")
            .await
            .status
            .as_u16()
    };
    let known = plane.aspired.send_replace(None);
    assert_eq!(ready().await, 503);
    plane.aspired.send_replace(known);
    assert_eq!(ready().await, 200);
    plane.want("iris", &[1]);
    assert_eq!(ready().await, 200, "nobody enabled it");
    plane
        .call(Caller::Admin, "PUT", "/api/v1/models/iris/serving", "")
        .await;
    assert_eq!(ready().await, 503, "the manager has not taken it up");
    plane.serve("iris", &[(1, serving_core::Phase::Building)], &[]);
    assert_eq!(ready().await, 200);
    plane.store.close().await;
    assert_eq!(ready().await, 503);
}

#[tokio::test]
async fn metrics_are_for_those_who_may_see_every_model() {
    let plane = Plane::new().await;
    for (caller, status) in [
        (Caller::Anonymous, 401),
        (Caller::Stranger, 403),
        (Caller::Reader, 403),
        (Caller::Manager, 403),
        (Caller::Admin, 200),
    ] {
        let answer = plane.get(caller, "/metrics").await;
        assert_eq!(answer.status, status, "{caller:?}");
        let told = answer
            .text()
            .contains("sluicegate_build_info{version=\"1.2.3\"} 1");
        assert_eq!(told, status == 200, "{caller:?}: {}", answer.text());
    }
    let scraper = plane
        .token("prometheus", &[Grant::read("*".parse().unwrap())])
        .await;
    let answer = plane.get_with(&scraper, "/metrics").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_status_tells_how_the_gateway_is_doing() {
    let plane = Plane::new().await;
    plane
        .call(Caller::Admin, "PUT", "/api/v1/models/iris/serving", "")
        .await;
    plane.serve(
        "iris",
        &[
            (1, serving_core::Phase::Ready),
            (2, serving_core::Phase::Pending),
        ],
        &[],
    );
    let answer = plane.get(Caller::Reader, "/api/v1/status").await;
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn an_unknown_path_is_a_json_404_for_everybody() {
    let plane = Plane::new().await;
    for path in [
        "/nothing",
        "/ui/nothing.js",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/models/",
        "/api/2.0/token",
    ] {
        let answer = plane.get(Caller::Admin, path).await;
        assert_eq!(
            answer.refusal(),
            (404, "RESOURCE_DOES_NOT_EXIST".to_owned()),
            "{path}"
        );
    }
    let answer = plane
        .call(Caller::Admin, "PUT", "/api/v1/models//serving", "")
        .await;
    assert_eq!(answer.refusal().0, 404);
    let answer = plane.get(Caller::Anonymous, "/nothing").await;
    assert_eq!(answer.refusal().0, 404);
}

#[tokio::test]
async fn an_address_without_a_view_is_the_page_which_says_so() {
    let plane = Plane::new().await;
    let page = plane.get(Caller::Anonymous, "/ui/models/iris/events").await;
    for path in [
        "/",
        "/ui",
        "/ui/",
        "/ui/models/",
        "/ui/whatever",
        "/ui/models/a.b",
        "/ui/models/%ff",
    ] {
        let answer = plane.get(Caller::Anonymous, path).await;
        assert_eq!(
            (answer.status, &answer.body),
            (page.status, &page.body),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_json_405_that_says_which_are_right() {
    let plane = Plane::new().await;
    for (method, path, allowed) in [
        ("POST", "/api/v1/models", "GET,HEAD"),
        ("GET", "/api/v1/models/iris/serving", "PUT,DELETE"),
        ("PUT", "/api/2.0/token/create", "POST"),
        ("DELETE", "/healthz", "GET,HEAD"),
    ] {
        let answer = plane.call(Caller::Admin, method, path, "").await;
        assert_eq!(
            answer.refusal(),
            (405, "METHOD_NOT_ALLOWED".to_owned()),
            "{path}"
        );
        assert_eq!(answer.headers["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn an_id_is_taken_or_made_and_returned_with_every_answer() {
    let plane = Plane::new().await;
    let answer = plane.get(Caller::Admin, "/api/v1/models").await;
    assert_eq!(answer.headers["x-request-id"], "test-1");
    let request = http::Request::get("/healthz").header("x-request-id", "two words");
    let answer = plane
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(answer.headers["x-request-id"].len(), 32);
}

#[tokio::test]
async fn without_a_credential_the_ways_to_show_one_are_named() {
    let plane = Plane::new().await;
    let answer = plane.get(Caller::Anonymous, "/api/v1/models").await;
    assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.contains("Bearer") && challenge.contains("Basic"),
        "{challenge}"
    );
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_changes_nothing() {
    let plane = Plane::new().await;
    plane.store.close().await;
    let answer = plane
        .call(Caller::Admin, "PUT", "/api/v1/models/iris/serving", "")
        .await;
    assert_eq!(
        answer.refusal(),
        (503, "TEMPORARILY_UNAVAILABLE".to_owned())
    );
    assert!(plane.intents.enabled().is_empty());
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let plane = Plane::new().await;
    let path = "/api/v1/models/iris/serving";
    for (body, status) in [("[]", 400), ("{", 400), ("{\"a\": NaN}", 400)] {
        let answer = plane.call(Caller::Admin, "PUT", path, body).await;
        assert_eq!(
            answer.refusal(),
            (status, "INVALID_PARAMETER_VALUE".to_owned()),
            "{body}"
        );
    }
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    let answer = plane.call(Caller::Admin, "PUT", path, &large).await;
    assert_eq!(answer.refusal(), (413, "REQUEST_TOO_LARGE".to_owned()));
}

#[tokio::test]
async fn whoever_is_told_that_it_will_be_there_later_is_told_when_to_come_again() {
    let plane = Plane::new().await;
    let known = plane.aspired.send_replace(None);
    let answer = plane.get(Caller::Anonymous, "/readyz").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["retry-after"]),
        (503, &http::HeaderValue::from_static("5"))
    );
    plane.aspired.send_replace(known);
    plane.store.close().await;
    for (method, path) in [
        ("GET", "/readyz"),
        ("GET", "/api/v1/models/iris/events"),
        ("PUT", "/api/v1/models/iris/serving"),
        ("GET", "/api/v1/tokens"),
    ] {
        let answer = plane.call(Caller::Admin, method, path, "").await;
        assert_eq!(answer.status, 503, "{method} {path}");
        assert_eq!(answer.headers["retry-after"], "5", "{method} {path}");
    }
}
