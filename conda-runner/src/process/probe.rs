//! Asks a worker something over its Unix socket: one connection, one request.

use std::io;
use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Bytes of an answer that are read; more is an error.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("nobody accepts connections")]
    Connect(#[source] io::Error),
    #[error("the request could not be made")]
    Request(#[from] http::Error),
    #[error("no complete answer")]
    Exchange(#[from] hyper::Error),
    #[error("the answer could not be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// `GET path`: status and body.
pub(crate) async fn get(socket: &Path, path: &str) -> Result<(StatusCode, Bytes), ProbeError> {
    let request = Request::builder().method(Method::GET).uri(path);
    exchange(socket, request, Bytes::new()).await
}

/// `POST path` with a body: status and body.
pub(crate) async fn post(
    socket: &Path,
    path: &str,
    content_type: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), ProbeError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, content_type);
    exchange(socket, request, body).await
}

async fn exchange(
    socket: &Path,
    request: http::request::Builder,
    body: Bytes,
) -> Result<(StatusCode, Bytes), ProbeError> {
    let request = request
        .header(header::HOST, "localhost")
        .body(Full::new(body))?;
    let stream = UnixStream::connect(socket)
        .await
        .map_err(ProbeError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driven = async {
        // Its trouble shows in the exchange, which is the one that has to end.
        let _ = connection.await;
        std::future::pending().await
    };
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER);
        let body = body.collect().await.map_err(ProbeError::Body)?.to_bytes();
        Ok((status, body))
    };
    tokio::select! {
        answer = answered => answer,
        never = driven => never,
    }
}
