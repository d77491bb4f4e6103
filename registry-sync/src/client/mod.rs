//! Calls to the registry: credentials, limits, and errors that say what to do.

mod pages;
mod refusal;
mod types;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::redirect;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use url::Url;

use crate::config::{ConfigError, RegistryConfig, RegistryCredentials};
use crate::error::RegistryError;

use types::ModelReply;

pub(crate) use pages::{Models, Versions, by_name};
#[cfg(test)]
pub(crate) use types::AliasRow;
pub(crate) use types::{
    ArtifactListing, ArtifactRow, DownloadUriReply, ModelRow, TagRow, VersionReply, VersionRow,
};
pub use webhooks::{Webhook, WebhookEvent, WebhookTrial, WebhookWish};

/// More than the largest answer of a sane registry: 10,000 versions are about 5 MB.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// More than any refusal that is worth reading.
const MAX_REFUSAL: u64 = 64 * 1024;

/// Shorter than any MLflow server keeps an idle connection (gunicorn 2 s, uvicorn 5 s), so that no call is
/// sent into a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_millis(1500);

/// How long nothing of a file may arrive, at least. MLflow before 3 gives each of its few workers to one
/// download at a time, so a small file may have to wait for somebody's large one.
const FILE_PATIENCE: Duration = Duration::from_secs(300);

/// Redirects within the registry's origin that are followed.
const MAX_REDIRECTS: usize = 5;

/// Asks one registry. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    http: reqwest::Client,
    base: Url,
    credentials: RegistryCredentials,
    request_timeout: Duration,
    models_were_paged: AtomicBool,
    versions_were_paged: AtomicBool,
}

/// What calls cost.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    calls: AtomicU32,
    bytes: AtomicU64,
}

/// Whether a call carries the registry's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// The registry itself: yes.
    Registry,
    /// Somebody else: no.
    Stranger,
}

impl Client {
    /// A client of the registry that `config` names.
    pub(crate) fn new(config: &RegistryConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::custom(within_origin))
            .referer(false)
            .connect_timeout(config.request_timeout.min(Duration::from_secs(10)))
            .read_timeout(config.request_timeout.max(FILE_PATIENCE))
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(|error| ConfigError::Client(chain(&error)))?;
        Ok(Self(Arc::new(Inner {
            http,
            base: config.url.clone(),
            credentials: config.credentials.clone(),
            request_timeout: config.request_timeout,
            models_were_paged: AtomicBool::new(false),
            versions_were_paged: AtomicBool::new(false),
        })))
    }

    /// The registry's address as it was configured, without a trailing slash.
    pub(crate) fn base(&self) -> &str {
        self.0.base.as_str().trim_end_matches('/')
    }

    /// The registry's address, parsed.
    pub(crate) fn base_url(&self) -> &Url {
        &self.0.base
    }

    /// As whom the registry is asked.
    pub(crate) fn credentials(&self) -> &RegistryCredentials {
        &self.0.credentials
    }

    /// `GET /api/2.0/mlflow/{path}` as JSON.
    pub(crate) async fn registry<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        usage: &Usage,
    ) -> Result<T, RegistryError> {
        let segments = ["api", "2.0", "mlflow"].into_iter().chain(path.split('/'));
        let url = below(&self.0.base, segments);
        self.json(Authority::Registry, url, query, path, usage)
            .await
    }

    /// Whether there is a registered model of exactly this name. A prompt is not a model.
    pub(crate) async fn is_registered(
        &self,
        name: &str,
        usage: &Usage,
    ) -> Result<bool, RegistryError> {
        Ok(self.registered_model(name, usage).await?.is_some())
    }

    /// The registered model of exactly this name. A prompt is not a model.
    pub(crate) async fn registered_model(
        &self,
        name: &str,
        usage: &Usage,
    ) -> Result<Option<ModelRow>, RegistryError> {
        let query = [("name", name)];
        match self.registry("registered-models/get", &query, usage).await {
            Ok(ModelReply { registered_model }) => Ok(Some(registered_model)
                // Databases that compare without case answer with the other one.
                .filter(|model| model.name == name && !model.is_prompt())),
            Err(RegistryError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The version of exactly this name and number.
    pub(crate) async fn model_version(
        &self,
        name: &str,
        version: &str,
        usage: &Usage,
    ) -> Result<Option<VersionRow>, RegistryError> {
        let query = [("name", name), ("version", version)];
        match self.registry("model-versions/get", &query, usage).await {
            Ok(VersionReply { model_version }) => {
                Ok(Some(model_version)
                    .filter(|found| found.name == name && found.version == version))
            }
            Err(RegistryError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET url` as JSON; `what` names the call in errors.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        authority: Authority,
        url: Url,
        query: &[(&str, &str)],
        what: &str,
        usage: &Usage,
    ) -> Result<T, RegistryError> {
        let request = self.request(authority, Method::GET, url).query(query);
        self.answer(request, what, usage).await
    }

    /// The answer to `request` as JSON.
    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        what: &str,
        usage: &Usage,
    ) -> Result<T, RegistryError> {
        let request = request.timeout(self.0.request_timeout);
        let response = self.send(request, what, usage).await?;
        let content_type = refusal::content_type(&response);
        let body = self.body(response, MAX_ANSWER, what).await?;
        usage.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        serde_json::from_slice(&body).map_err(|error| RegistryError::NotMlflow {
            url: self.base().to_owned(),
            reason: format!("{what} answered {content_type}: {error}"),
        })
    }

    /// `GET url` as a stream of bytes, with no limit on its length but on each pause.
    pub(crate) async fn stream(
        &self,
        authority: Authority,
        url: Url,
        query: &[(&str, &str)],
        what: &str,
    ) -> Result<Response, RegistryError> {
        let request = self.request(authority, Method::GET, url).query(query);
        self.send(request, what, &Usage::default()).await
    }

    /// What the network said, for errors while a stream is read.
    pub(crate) fn unreachable(&self, error: reqwest::Error) -> RegistryError {
        let reason = if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            chain(&error.without_url())
        };
        RegistryError::Unreachable {
            url: self.base().to_owned(),
            reason,
        }
    }

    fn request(&self, authority: Authority, method: Method, url: Url) -> RequestBuilder {
        let request = self.0.http.request(method, url);
        match (authority, &self.0.credentials) {
            (Authority::Stranger, _) | (_, RegistryCredentials::None) => request,
            (Authority::Registry, RegistryCredentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password))
            }
            (Authority::Registry, RegistryCredentials::Bearer(token)) => request.bearer_auth(token),
        }
    }

    async fn send(
        &self,
        request: RequestBuilder,
        what: &str,
        usage: &Usage,
    ) -> Result<Response, RegistryError> {
        usage.calls.fetch_add(1, Ordering::Relaxed);
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        if let Some(to) = refusal::redirect_target(&response) {
            return Err(RegistryError::Redirected { to });
        }
        let status = response.status();
        let body = self.body(response, MAX_REFUSAL, what).await;
        let body = body.unwrap_or_default();
        Err(refusal::error(status, &body, what, self.base()))
    }

    async fn body(
        &self,
        mut response: Response,
        limit: u64,
        what: &str,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if (body.len() + chunk.len()) as u64 > limit {
                let what = what.to_owned();
                return Err(RegistryError::TooLarge { what, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Usage {
    /// Calls made.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes of JSON received.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// `base` with `segments` appended, each percent-encoded as one segment.
pub(crate) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // An HTTP URL always has path segments, so there is nothing to do in the other case.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Follows a redirect only to where the credentials may go: the same scheme, host and port.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same_origin = attempt
        .previous()
        .first()
        .is_some_and(|first| first.origin() == attempt.url().origin());
    if same_origin && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_to_a_prefix_and_encoded_once() {
        for base in ["https://host/mlflow", "https://host/mlflow/"] {
            let url = below(&Url::parse(base).unwrap(), ["a", "b c%2F/d"]);
            assert_eq!(url.as_str(), "https://host/mlflow/a/b%20c%252F%2Fd");
        }
        let url = below(&Url::parse("http://host:5000").unwrap(), ["api"]);
        assert_eq!(url.as_str(), "http://host:5000/api");
    }
}
