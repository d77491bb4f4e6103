//! Logs as text: their end, and as they grow.

use std::fs;
use std::io::Write;

use http_body_util::BodyExt;
use serving_core::Phase;

use super::harness::{Caller, Plane};

const LOGS: &str = "/api/v1/models/iris/versions/1/logs";

#[tokio::test]
async fn the_end_of_a_log_is_read_across_its_rotation() {
    let plane = Plane::new().await;
    fs::write(plane.files.0.join("worker-1.1.log"), "one\ntwo\n").unwrap();
    fs::write(plane.files.0.join("worker-1.log"), "three\nfour\n").unwrap();
    fs::write(plane.files.0.join("build-1.log"), "Resolved 12 packages\n").unwrap();
    let text = async |query: &str| {
        plane
            .get(Caller::Reader, &format!("{LOGS}{query}"))
            .await
            .text()
            .to_owned()
    };
    assert_eq!(text("").await, "one\ntwo\nthree\nfour\n");
    assert_eq!(text("?kind=worker&tail=3").await, "two\nthree\nfour\n");
    assert_eq!(text("?kind=build").await, "Resolved 12 packages\n");
    let answer = plane.get(Caller::Reader, LOGS).await;
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_version_without_a_log_has_an_empty_one_and_an_unknown_version_none() {
    let plane = Plane::new().await;
    assert_eq!(plane.get(Caller::Reader, LOGS).await.refusal().0, 404);
    plane.serve("iris", &[(1, Phase::Pending)], &[]);
    let answer = plane.get(Caller::Reader, LOGS).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
    for query in ["?kind=access", "?tail=-1", "?follow=maybe"] {
        assert_eq!(
            plane
                .get(Caller::Reader, &format!("{LOGS}{query}"))
                .await
                .refusal()
                .0,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_log_is_followed_through_a_rotation_until_the_gateway_stops() {
    let plane = Plane::new().await;
    let path = plane.files.0.join("worker-1.log");
    fs::write(&path, "old\nnew\n").unwrap();
    let request = plane.request(Caller::Reader, "GET", &format!("{LOGS}?follow=true&tail=1"));
    let response = plane
        .begin(request.body(axum::body::Body::empty()).unwrap())
        .await;
    let mut body = response.into_body();
    let mut next = async || {
        let frame = body.frame().await?;
        Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
    };
    assert_eq!(next().await.unwrap(), "new\n");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"newer\n").unwrap();
    assert_eq!(next().await.unwrap(), "newer\n");
    fs::rename(&path, plane.files.0.join("worker-1.1.log")).unwrap();
    fs::write(&path, "newest\n").unwrap();
    assert_eq!(next().await.unwrap(), "newest\n");
    plane.shutdown.cancel();
    assert_eq!(next().await, None);
}
