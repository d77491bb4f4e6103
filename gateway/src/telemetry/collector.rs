//! How spans get to a collector: HTTP on the runtime of the control plane, and one record when that begins or ceases to fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;
use tracing::{info, warn};
use url::Url;

/// From the connection to the end of the answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// A collector's answer is a few bytes; more of one is not read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A collector as the exporter sees it.
#[derive(Debug)]
pub(super) struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    /// Without a path, for records.
    address: String,
    fails: AtomicBool,
}

impl Collector {
    pub(super) fn new(url: &Url, runtime: Handle) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(DEADLINE)
                .redirect(Policy::none())
                .build()?,
            runtime,
            address: url.origin().ascii_serialization(),
            fails: AtomicBool::new(false),
        })
    }

    fn note(&self, trouble: Option<String>) {
        let failed = self.fails.swap(trouble.is_some(), Ordering::Relaxed);
        let collector = &self.address;
        match trouble {
            Some(reason) if !failed => {
                warn!(%collector, reason, "the collector of traces takes no spans: they are lost");
            }
            None if failed => info!(%collector, "the collector of traces takes spans again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Called on the exporter's own thread, which has no runtime.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let sending = exchange(self.http.clone(), request);
        // Awaited here, and ended by its own deadline if this is not waited for.
        let sent = self.runtime.spawn(sending).await?;
        self.note(match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(reason) => Some(with_causes(reason)),
        });
        Ok(sent?)
    }
}

async fn exchange(
    http: reqwest::Client,
    request: reqwest::Request,
) -> Result<Response<Bytes>, reqwest::Error> {
    let mut answer = http.execute(request).await?;
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > LONGEST_ANSWER {
            break;
        }
        body.extend_from_slice(&piece);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}

/// The cause of what a request failed for is the part that helps.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
