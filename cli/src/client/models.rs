//! Calls about models and their versions.

use std::time::Duration;

use gateway::api::{Event, EventPage, ModelDetail, ModelPage, ModelSummary, Status};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Client;
use crate::error::CommandError;

/// Which models to list.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ModelQuery<'a> {
    /// Text that the name contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<&'a str>,
    /// Only those whose serving is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) served: Option<bool>,
}

/// Which part of a log.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LogQuery {
    /// `build` or `worker`.
    pub(crate) kind: &'static str,
    /// So many lines at most; the gateway decides without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tail: Option<u32>,
    /// Whether to go on with what is written from now on.
    pub(crate) follow: bool,
}

/// What happened, oldest first.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    /// Whether older ones were left out.
    pub(crate) cut: bool,
}

/// Events that are asked for at a time.
const EVENTS_A_PAGE: usize = 500;

/// More events at once are of no use to anybody; a gateway keeps 10,000 of each model.
const MOST_EVENTS: usize = 10 * EVENTS_A_PAGE;

/// What came of waiting for a model.
pub(crate) enum Waited {
    /// No version is on its way any more: each is ready or has failed.
    Settled(Box<ModelDetail>),
    /// The time was over first.
    NotYet,
}

impl Client {
    /// Asks whether anything answers; needs no token.
    pub(crate) async fn is_alive(&self) -> Result<(), CommandError> {
        let request = self.request(Method::GET, self.address(["healthz"]));
        self.send(request.timeout(super::API_DEADLINE))
            .await
            .map(drop)
    }

    /// How the gateway is doing.
    pub(crate) async fn status(&self) -> Result<Status, CommandError> {
        self.get(&["status"], &()).await
    }

    /// All registered models that match, page after page.
    pub(crate) async fn list_models(
        &self,
        query: ModelQuery<'_>,
    ) -> Result<Vec<ModelSummary>, CommandError> {
        #[derive(Serialize)]
        struct Page<'a> {
            #[serde(flatten)]
            query: ModelQuery<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            page_token: Option<String>,
        }

        let mut models = Vec::new();
        let mut page_token = None;
        loop {
            let page: ModelPage = self.get(&["models"], &Page { query, page_token }).await?;
            models.extend(page.models);
            page_token = page.next_page_token;
            if page_token.is_none() {
                return Ok(models);
            }
        }
    }

    /// Everything about a model.
    pub(crate) async fn model(&self, name: &str) -> Result<ModelDetail, CommandError> {
        self.get(&["models", name], &()).await
    }

    /// Enables serving, or changes the settings that `changes` names (`null` goes back to the default).
    pub(crate) async fn serve_model(
        &self,
        name: &str,
        changes: &Map<String, Value>,
    ) -> Result<ModelDetail, CommandError> {
        let request = self.api(Method::PUT, &["models", name, "serving"]);
        self.receive(request.json(changes)).await
    }

    /// Enables serving, if it is not, or changes the settings that `changes` names, and waits up to `limit` (at most an
    /// hour) until its versions are decided.
    pub(crate) async fn wait_for_model(
        &self,
        name: &str,
        changes: &Map<String, Value>,
        limit: Duration,
    ) -> Result<Waited, CommandError> {
        let timeout = format!("{}ms", limit.as_millis());
        let request = self
            .api(Method::PUT, &["models", name, "serving"])
            .query(&[("wait", "ready"), ("timeout", &timeout)])
            .json(changes)
            .timeout(limit + super::API_DEADLINE);
        let response = self.answer(request).await?;
        if response.status() == StatusCode::GATEWAY_TIMEOUT {
            return Ok(Waited::NotYet);
        }
        let model = self.read(self.accept(response).await?).await?;
        Ok(Waited::Settled(Box::new(model)))
    }

    /// Disables serving.
    pub(crate) async fn rest_model(&self, name: &str) -> Result<(), CommandError> {
        let request = self.api(Method::DELETE, &["models", name, "serving"]);
        self.send(request).await.map(drop)
    }

    /// Replaces the workers of a version; accepted when this returns.
    pub(crate) async fn restart(&self, name: &str, version: u64) -> Result<(), CommandError> {
        let version = version.to_string();
        let path = ["models", name, "versions", &version, "restart"];
        self.send(self.api(Method::POST, &path)).await.map(drop)
    }

    /// The events of a model or of one version of it that came after the one of the id `after`, oldest first; the newest
    /// [`MOST_EVENTS`] of them.
    pub(crate) async fn events(
        &self,
        name: &str,
        version: Option<u64>,
        after: Option<i64>,
    ) -> Result<Events, CommandError> {
        let version = version.map(|version| version.to_string());
        let path = match &version {
            Some(version) => vec!["models", name, "versions", version, "events"],
            None => vec!["models", name, "events"],
        };
        let mut events = Vec::new();
        let mut query = vec![("max_results", EVENTS_A_PAGE.to_string())];
        let cut = loop {
            let page: EventPage = self.get(&path, &query).await?;
            let reaches_back = page
                .events
                .last()
                .is_none_or(|oldest| Some(oldest.id) <= after);
            let new = page.events.into_iter();
            events.extend(new.take_while(|event| Some(event.id) > after));
            match page.next_page_token {
                None => break false,
                Some(_) if reaches_back => break false,
                Some(_) if events.len() >= MOST_EVENTS => break true,
                Some(token) => {
                    query.truncate(1);
                    query.push(("page_token", token));
                }
            }
        };
        events.reverse();
        Ok(Events { events, cut })
    }

    /// The last lines of a version's log, or, when following, also all that is written from now on.
    pub(crate) async fn logs(
        &self,
        name: &str,
        version: u64,
        query: &LogQuery,
    ) -> Result<Response, CommandError> {
        let version = version.to_string();
        let path = ["models", name, "versions", &version, "logs"];
        let mut request = self.api(Method::GET, &path).query(query);
        if query.follow {
            request = request.timeout(super::LONGEST_ANSWER);
        }
        self.send(request).await
    }
}
