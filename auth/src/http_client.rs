//! Calls to a registry over reqwest: a deadline each, no redirects, small answers, errors without addresses that hold secrets.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use url::Url;

use crate::http_call::{Credentials, HttpCall, HttpCalls, HttpReply, NoReply};

/// More than a page of 1,000 models with their latest versions takes.
const LARGEST_BODY: usize = 16 << 20;

/// Shorter than any MLflow server keeps an idle connection (gunicorn 2 s, uvicorn 5 s), so that no call is sent into a
/// connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_millis(1500);

/// A client of one registry.
#[derive(Clone, Debug)]
pub struct HttpClient {
    http: reqwest::Client,
    base: Url,
    deadline: Duration,
}

/// The client cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not http or https, or with a user, a query or a fragment.
    #[error(
        "the registry's address must be http://… or https://… without user name, password, ? and #"
    )]
    NotABase,
    /// For example because the system has no TLS certificates.
    #[error("no HTTP client for the registry: {0}")]
    Client(String),
}

impl HttpClient {
    /// A client of the server at `base`, whose calls take at most `deadline` each.
    pub fn new(base: Url, deadline: Duration) -> Result<Self, InvalidAddress> {
        let is_http = matches!(base.scheme(), "http" | "https") && base.has_host();
        let is_bare = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !is_http || !is_bare {
            return Err(InvalidAddress::NotABase);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(|error| InvalidAddress::Client(error.to_string()))?;
        Ok(Self {
            http,
            base,
            deadline,
        })
    }

    /// Scheme, host and port, for errors.
    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn no_reply(&self, error: reqwest::Error) -> NoReply {
        let origin = self.origin();
        if error.is_timeout() {
            return NoReply(format!("the registry at {origin} did not answer in time"));
        }
        let mut reason = String::new();
        let error = error.without_url();
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = next {
            let text = error.to_string();
            if !reason.contains(&text) {
                reason = [reason, text].join(if next.is_some() { ": " } else { "" });
            }
            next = error.source();
        }
        let reason = reason.trim_start_matches(": ");
        NoReply(format!(
            "the registry at {origin} does not answer: {reason}"
        ))
    }
}

#[async_trait]
impl HttpCalls for HttpClient {
    async fn get(&self, call: HttpCall<'_>) -> Result<HttpReply, NoReply> {
        let mut url = self.base.clone();
        // An HTTP URL always has path segments, so there is nothing to do in the other case.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(call.path.split('/'));
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let request = self.http.get(url).timeout(self.deadline);
        let request = match call.credentials {
            Credentials::Basic { user, password } => {
                request.basic_auth(user, Some(password.expose()))
            }
            Credentials::Bearer(token) => request.bearer_auth(token.expose()),
        };
        let mut response = request.send().await.map_err(|error| self.no_reply(error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(NoReply(format!(
                "the registry at {} redirects to another address ({}): set the registry's address to that one",
                self.origin(),
                status.as_u16()
            )));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.no_reply(error))?
        {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(NoReply(format!(
                    "the registry at {} answered more than {LARGEST_BODY} bytes to {}",
                    self.origin(),
                    call.path
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpReply {
            status: status.as_u16(),
            body,
        })
    }
}

#[cfg(test)]
mod tests;
