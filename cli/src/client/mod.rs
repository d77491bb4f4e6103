//! A thin typed client of a gateway: one method per call of `/api/v1`, errors that name the next step.

mod environments;
mod event_stream;
mod events;
mod failure;
mod logs;
mod models;
mod scoring;
mod tokens;
mod webhooks;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::args::connection::Connection;
use crate::error::CommandError;

pub(crate) use events::{EventWish, Events};
pub(crate) use logs::{Followed, LogQuery};
pub(crate) use models::{ModelQuery, Waited};
pub(crate) use scoring::Rows;

/// For a connection to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// For a call of the API to be answered.
const API_DEADLINE: Duration = Duration::from_secs(60);

/// For an answer that may take long: a score (a day is the longest that a model may be given) or a log that is followed.
const LONGEST_ANSWER: Duration = Duration::from_secs(86_400);

/// A gateway, as one caller sees it.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    token: Option<String>,
}

impl Client {
    /// A client of the gateway at `connection`; connects with the first call.
    pub(crate) fn new(connection: Connection) -> Result<Self, CommandError> {
        let http = http_client(&connection.url)
            .map_err(|error| CommandError::failed(format!("cannot set up HTTP: {error}")))?;
        Ok(Self {
            http,
            url: connection.url,
            token: connection.token,
        })
    }

    /// The gateway's address.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a token goes with the calls.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The address of `segments`, each of them encoded, below the gateway's own.
    pub(crate) fn address<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn api(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        let prefix = ["api", "v1"].into_iter();
        let url = self.address(prefix.chain(segments.iter().copied()));
        self.request(method, url).timeout(API_DEADLINE)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Whatever is answered, refusals too.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, CommandError> {
        let answer = request.send().await;
        answer.map_err(|error| failure::no_answer(&self.url, error))
    }

    async fn accept(&self, response: Response) -> Result<Response, CommandError> {
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refusal(response).await)
        }
    }

    async fn refusal(&self, response: Response) -> CommandError {
        failure::refusal(response, self.has_token()).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CommandError> {
        self.accept(self.answer(request).await?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, CommandError> {
        let body = response
            .bytes()
            .await
            .map_err(|error| failure::no_answer(&self.url, error))?;
        serde_json::from_slice(&body).map_err(|error| failure::not_ours(&self.url, &error))
    }

    async fn receive<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, CommandError> {
        self.read(self.send(request).await?).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &impl Serialize,
    ) -> Result<T, CommandError> {
        self.receive(self.api(Method::GET, segments).query(query))
            .await
    }
}

/// An HTTP client for `url`. Proxies are for far hosts: this host is always asked directly.
pub(crate) fn http_client(url: &Url) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
    if is_this_host(url) {
        builder.no_proxy().build()
    } else {
        builder.build()
    }
}

fn is_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        Client::new(Connection {
            url: url.parse().unwrap(),
            token: None,
        })
        .unwrap()
    }

    #[test]
    fn a_name_is_one_segment_of_the_address_whatever_it_holds() {
        let client = client("http://gateway:8080");
        let address = client.address(["model", "a b/ü%?#", "@champion", "invocations"]);
        assert_eq!(
            address.as_str(),
            "http://gateway:8080/model/a%20b%2F%C3%BC%25%3F%23/@champion/invocations"
        );
    }

    #[test]
    fn a_gateway_may_live_below_a_path() {
        for url in ["https://host/serving", "https://host/serving/"] {
            let address = client(url).address(["model", "iris"]);
            assert_eq!(address.as_str(), "https://host/serving/model/iris");
        }
    }

    #[test]
    fn this_host_is_asked_without_a_proxy() {
        for (url, here) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://gateway", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_this_host(&url.parse().unwrap()), here, "{url}");
        }
    }
}
