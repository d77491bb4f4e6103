//! Names with odd characters go through every URL unharmed.

use serde_json::json;
use serving_core::Phase;

use super::harness::{Caller, Plane};

/// A name, and how a URL writes it.
const NAMES: [(&str, &str); 6] = [
    ("odd name", "odd%20name"),
    ("odd/slash", "odd%2Fslash"),
    ("odd%2F", "odd%252F"),
    ("odd 100%", "odd%20100%25"),
    ("oddé€😀", "odd%C3%A9%E2%82%AC%F0%9F%98%80"),
    ("odd?a=b&c#d+e", "odd%3Fa%3Db%26c%23d%2Be"),
];

#[tokio::test]
async fn every_url_takes_every_name() {
    let plane = Plane::new().await;
    for (name, encoded) in NAMES {
        plane.register(&[name]);
        plane.serve(name, &[(1, Phase::Ready)], &[("@höhe", Some(1), Some(1))]);
        let call = async |method: &str, rest: &str| {
            let path = format!("/api/v1/models/{encoded}{rest}");
            plane.call(Caller::Manager, method, &path, "").await
        };
        let enabled = call("PUT", "/serving").await;
        assert_eq!(enabled.status, 200, "{name}");
        assert!(
            plane.store.intents().await.unwrap().contains_key(name),
            "{name}"
        );
        let detail = call("GET", "").await.json();
        assert_eq!(detail["name"], name);
        let uris = json!([
            format!("http://gate.example:8080/model/{encoded}/1/invocations"),
            format!("http://gate.example:8080/model/{encoded}/@h%C3%B6he/invocations"),
        ]);
        assert_eq!(detail["versions"][0]["uris"], uris);
        let events = call("GET", "/events").await.json();
        assert_eq!(events["events"][0]["model"], name);
        for (method, rest, status) in [
            ("GET", "/versions/1/events", 200),
            ("GET", "/versions/1/logs", 200),
            ("POST", "/versions/1/restart", 202),
            ("GET", "/versions/1/example", 404),
            ("DELETE", "/serving", 204),
        ] {
            assert_eq!(call(method, rest).await.status, status, "{name} {rest}");
        }
        assert!(plane.intents.settings(name).is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_text_is_refused() {
    let plane = Plane::new().await;
    let answer = plane.get(Caller::Admin, "/api/v1/models/%FF").await;
    assert_eq!(answer.refusal().0, 400);
}
