//! Calls about models and their versions.

use std::time::Duration;

use gateway::api::{ModelDetail, ModelPage, ModelSummary, Status};
use reqwest::{Method, StatusCode};
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
}
