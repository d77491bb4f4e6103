//! What people do in a model registry, over MLflow's REST API.

use std::fmt;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::models::Logged;
use crate::users::Account;

/// The registry of one MLflow server.
#[derive(Clone, Debug)]
pub struct Registry {
    url: String,
    http: reqwest::Client,
    account: Option<Account>,
}

/// MLflow's four stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No stage.
    None,
    /// Being tried.
    Staging,
    /// In use.
    Production,
    /// Out of use.
    Archived,
}

impl Registry {
    /// The registry at a base URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            http: reqwest::Client::new(),
            account: None,
        }
    }

    /// The same registry, used by somebody it knows.
    #[must_use]
    pub fn signed_in(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A new registered model without a version.
    pub async fn create_model(&self, name: &str) -> Result<()> {
        self.post("registered-models/create", json!({ "name": name }))
            .await?;
        Ok(())
    }

    /// A new version of a registered model; gives its number.
    pub async fn create_version(&self, name: &str, logged: &Logged) -> Result<u64> {
        let mut body = json!({ "name": name, "source": logged.source, "run_id": logged.run_id });
        if let Some(model_id) = &logged.model_id {
            body["model_id"] = json!(model_id);
        }
        let answer = self.post("model-versions/create", body).await?;
        let version = answer["model_version"]["version"].as_str();
        Ok(version.context("a version has a number")?.parse()?)
    }

    /// A new registered model with these versions, numbered from 1.
    pub async fn register(&self, name: &str, versions: &[&Logged]) -> Result<()> {
        self.create_model(name).await?;
        for logged in versions {
            self.create_version(name, logged).await?;
        }
        Ok(())
    }

    /// Moves a version to a stage; others in that stage stay there.
    pub async fn transition(&self, name: &str, version: u64, stage: Stage) -> Result<()> {
        self.move_to(name, version, stage, false).await
    }

    /// Moves a version to a stage and archives those that were there.
    pub async fn replace(&self, name: &str, version: u64, stage: Stage) -> Result<()> {
        self.move_to(name, version, stage, true).await
    }

    /// Sets or moves an alias.
    pub async fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<()> {
        let body = json!({ "name": name, "alias": alias, "version": version.to_string() });
        self.post("registered-models/alias", body).await?;
        Ok(())
    }

    /// Takes an alias away.
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<()> {
        let body = json!({ "name": name, "alias": alias });
        self.call(Method::DELETE, "registered-models/alias", body)
            .await?;
        Ok(())
    }

    /// Describes a registered model.
    pub async fn describe(&self, name: &str, description: &str) -> Result<()> {
        let body = json!({ "name": name, "description": description });
        self.call(Method::PATCH, "registered-models/update", body)
            .await?;
        Ok(())
    }

    /// Sets a tag of a registered model.
    pub async fn set_tag(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let body = json!({ "name": name, "key": key, "value": value });
        self.post("registered-models/set-tag", body).await?;
        Ok(())
    }

    /// Deletes a version.
    pub async fn delete_version(&self, name: &str, version: u64) -> Result<()> {
        let body = json!({ "name": name, "version": version.to_string() });
        self.call(Method::DELETE, "model-versions/delete", body)
            .await?;
        Ok(())
    }

    /// Deletes a registered model with its versions.
    pub async fn delete_model(&self, name: &str) -> Result<()> {
        let body = json!({ "name": name });
        self.call(Method::DELETE, "registered-models/delete", body)
            .await?;
        Ok(())
    }

    /// Gives a registered model another name.
    pub async fn rename_model(&self, name: &str, new_name: &str) -> Result<()> {
        let body = json!({ "name": name, "new_name": new_name });
        self.post("registered-models/rename", body).await?;
        Ok(())
    }

    async fn move_to(&self, name: &str, version: u64, stage: Stage, archive: bool) -> Result<()> {
        let body = json!({
            "name": name,
            "version": version.to_string(),
            "stage": stage.to_string(),
            "archive_existing_versions": archive,
        });
        self.post("model-versions/transition-stage", body).await?;
        Ok(())
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let url = format!("{}/api/2.0/mlflow/{path}", self.url);
        let mut request = self.http.request(method, url).json(&body);
        if let Some(Account { user, password }) = &self.account {
            request = request.basic_auth(user, Some(password));
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} {body}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        })
    }
}
