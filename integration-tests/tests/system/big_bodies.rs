//! Bodies around the limit of 16 MB, in all the ways in which they can come, and answers without a limit.

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use integration_tests::{Answer, Client, Test, World, score_path, tests};
use reqwest::{Body, Method};

const MEBIBYTE: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_body_just_below_the_limit_is_scored,
        a_body_of_17_mb_is_refused_with_and_without_content_length,
        compressed_bodies_are_read_and_limited_by_their_full_size,
        a_large_answer_comes_whole,
    ]
}

async fn a_body_just_below_the_limit_is_scored(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let body = row_of(16 * MEBIBYTE - 1024);
    let counted = post(client, Body::from(body.clone()), None).await?;
    assert_eq!(counted.succeeded()?.text(), r#"{"predictions": ["a"]}"#);
    let streamed = post(client, chunked(&body), None).await?;
    assert_eq!(streamed.succeeded()?.text(), r#"{"predictions": ["a"]}"#);
    Ok(())
}

async fn a_body_of_17_mb_is_refused_with_and_without_content_length(
    world: Arc<World>,
) -> Result<()> {
    let client = world.scripted().await?;
    let body = row_of(17 * MEBIBYTE);
    for body in [Body::from(body.clone()), chunked(&body)] {
        let answer = post(client, body, None).await?;
        assert_eq!(answer.refused(413)?, "REQUEST_TOO_LARGE");
    }
    // The connection's fate is the caller's business; the model's is not.
    assert_eq!(client.which("scripted", "1").await?, "a");
    Ok(())
}

async fn compressed_bodies_are_read_and_limited_by_their_full_size(
    world: Arc<World>,
) -> Result<()> {
    let client = world.scripted().await?;
    let small = gzip(&row_of(MEBIBYTE))?;
    let answer = post(client, Body::from(small), Some("gzip")).await?;
    assert_eq!(answer.succeeded()?.text(), r#"{"predictions": ["a"]}"#);
    // A few kilobytes on the line.
    let bomb = gzip(&row_of(17 * MEBIBYTE))?;
    assert!(bomb.len() < MEBIBYTE);
    let answer = post(client, Body::from(bomb), Some("gzip")).await?;
    assert_eq!(answer.refused(413)?, "REQUEST_TOO_LARGE");
    let answer = post(client, Body::from("x"), Some("br")).await?;
    assert_eq!(answer.refused(415)?, "UNSUPPORTED_MEDIA_TYPE");
    Ok(())
}

async fn a_large_answer_comes_whole(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let rows = 20_000;
    let answer = client
        .script("scripted", "1", "big", rows)
        .await?
        .succeeded()?;
    // Each row is 1,023 characters in quotes, and `, ` stands between two.
    let expected = r#"{"predictions": []}"#.len() + rows * 1025 + (rows - 1) * 2;
    assert_eq!(answer.body.len(), expected);
    Ok(())
}

/// A request body of this many bytes.
fn row_of(length: usize) -> Bytes {
    let (before, after) = (
        r#"{"dataframe_records": [{"do": "which", "value": ""#,
        r#""}]}"#,
    );
    let filling = "x".repeat(length - before.len() - after.len());
    Bytes::from(format!("{before}{filling}{after}"))
}

/// The same without a `Content-Length`.
fn chunked(body: &Bytes) -> Body {
    let pieces: Vec<std::io::Result<Bytes>> = (0..body.len())
        .step_by(64 * 1024)
        .map(|start| Ok(body.slice(start..body.len().min(start + 64 * 1024))))
        .collect();
    Body::wrap_stream(stream::iter(pieces))
}

fn gzip(body: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}

async fn post(client: &Client, body: Body, encoding: Option<&str>) -> Result<Answer> {
    let mut request = client
        .request(Method::POST, &score_path("scripted", "1"))
        .header("Content-Type", "application/json");
    if let Some(encoding) = encoding {
        request = request.header("Content-Encoding", encoding);
    }
    Answer::of(request.body(body)).await
}
