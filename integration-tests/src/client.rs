//! Who scores and operates: HTTP calls to a gateway with a token.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::users::Account;
use crate::wait::{PATIENCE, until};

/// A caller.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    login: Option<Account>,
}

/// An answer that was read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// `/model/{name}/{reference}/invocations`, percent-encoded.
pub fn score_path(model: &str, reference: &str) -> String {
    format!(
        "/model/{}/{}/invocations",
        encoded(model),
        encoded(reference)
    )
}

impl Client {
    /// A caller of the gateway at a base URL.
    pub fn new(base: impl Into<String>, token: Option<String>) -> Self {
        Self {
            // Far beyond every deadline of the gateway: a request that ends only with this one hangs.
            http: reqwest::Client::builder()
                .timeout(PATIENCE * 3)
                .build()
                .unwrap_or_default(),
            base: base.into(),
            token,
            login: None,
        }
    }

    /// The same caller with another token, or without one.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            login: None,
            ..self.clone()
        }
    }

    /// The same gateway, called with a user name and a password.
    #[must_use]
    pub fn with_login(&self, account: &Account) -> Self {
        Self {
            token: None,
            login: Some(account.clone()),
            ..self.clone()
        }
    }

    /// The base URL of the gateway.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token, if it has one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A request with the token, to be completed and sent with [`Answer::of`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match (&self.token, &self.login) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(Account { user, password })) => request.basic_auth(user, Some(password)),
            (None, None) => request,
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Any method with a JSON body.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> Result<Answer> {
        Answer::of(self.request(method, path).json(&body)).await
    }

    /// Scores.
    pub async fn score(
        &self,
        model: &str,
        reference: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let request = self
            .request(Method::POST, &score_path(model, reference))
            .header("Content-Type", content_type)
            .body(body.into());
        Answer::of(request).await
    }

    /// Has a scripted model do something.
    pub async fn script(
        &self,
        model: &str,
        reference: &str,
        action: &str,
        value: impl Into<Value>,
    ) -> Result<Answer> {
        let rows = json!({ "dataframe_records": [{ "do": action, "value": value.into() }] });
        self.score(model, reference, "application/json", rows.to_string())
            .await
    }

    /// The tag of the scripted model that answers.
    pub async fn which(&self, model: &str, reference: &str) -> Result<String> {
        let answer = self.script(model, reference, "which", Value::Null).await?;
        let value = answer.succeeded()?.predictions()?;
        Ok(value[0].as_str().context("a tag")?.to_owned())
    }

    /// Waits until a scripted model's reference is answered by this tag.
    pub async fn until_answered_by(&self, model: &str, reference: &str, tag: &str) -> Result<()> {
        until(
            &format!("{model}/{reference} is answered by {tag}"),
            async || {
                let answer = self.script(model, reference, "which", Value::Null).await?;
                let text = answer.text();
                let right = answer.status == 200 && answer.predictions()?[0] == tag;
                Ok(if right { Ok(()) } else { Err(text) })
            },
        )
        .await
    }

    /// The process id of a scripted model's worker.
    pub async fn worker(&self, model: &str, reference: &str) -> Result<u32> {
        let answer = self
            .script(model, reference, "process", Value::Null)
            .await?;
        let id = answer.succeeded()?.predictions()?.as_u64();
        Ok(id.context("a process id")?.try_into()?)
    }

    /// Enables serving of a model, or changes its settings.
    pub async fn enable(&self, model: &str, settings: Value) -> Result<()> {
        let path = format!("/api/v1/models/{}/serving", encoded(model));
        self.send(Method::PUT, &path, settings).await?.succeeded()?;
        Ok(())
    }

    /// Changes settings of a model that is served, and waits until they hold.
    pub async fn set(&self, model: &str, settings: Value) -> Result<()> {
        let path = format!(
            "/api/v1/models/{}/serving?wait=ready&timeout=5m",
            encoded(model)
        );
        self.send(Method::PUT, &path, settings).await?.succeeded()?;
        Ok(())
    }

    /// Disables serving of a model.
    pub async fn disable(&self, model: &str) -> Result<()> {
        let path = format!("/api/v1/models/{}/serving", encoded(model));
        Answer::of(self.request(Method::DELETE, &path))
            .await?
            .succeeded()?;
        Ok(())
    }

    /// A model with its versions, as the control plane shows it.
    pub async fn model(&self, model: &str) -> Result<Value> {
        let path = format!("/api/v1/models/{}", encoded(model));
        self.get(&path).await?.succeeded()?.json()
    }

    /// One version of it; null if the control plane shows none.
    pub async fn version(&self, model: &str, version: u64) -> Result<Value> {
        let detail = self.model(model).await?;
        let versions = detail["versions"].as_array().into_iter().flatten();
        Ok(versions
            .into_iter()
            .find(|one| one["version"] == version)
            .cloned()
            .unwrap_or_default())
    }

    /// Waits until a version is in a state, and gives it.
    pub async fn until_state(&self, model: &str, version: u64, state: &str) -> Result<Value> {
        until(&format!("{model} {version} is {state}"), async || {
            let seen = self.version(model, version).await?;
            Ok(if seen["state"] == state {
                Ok(seen)
            } else {
                Err(seen)
            })
        })
        .await
    }

    /// Waits until a version is Ready.
    pub async fn until_ready(&self, model: &str, version: u64) -> Result<Value> {
        self.until_state(model, version, "READY").await
    }

    /// Why a version failed, once it did.
    pub async fn until_failed(&self, model: &str, version: u64) -> Result<Value> {
        until(&format!("{model} {version} fails"), async || {
            let seen = self.version(model, version).await?;
            Ok(if seen["last_error"].is_object() {
                Ok(seen["last_error"].clone())
            } else {
                Err(seen)
            })
        })
        .await
    }

    /// The log of a version's build, oldest lines first.
    pub async fn build_log(&self, model: &str, version: u64) -> Result<String> {
        let path = format!(
            "/api/v1/models/{}/versions/{version}/logs?kind=build",
            encoded(model)
        );
        Ok(self.get(&path).await?.succeeded()?.text())
    }

    /// All environments, most recently used first.
    pub async fn environments(&self) -> Result<Vec<Value>> {
        let page = self.get("/api/v1/environments").await?;
        let page = page.succeeded()?.json()?;
        Ok(page["environments"].as_array().cloned().unwrap_or_default())
    }

    /// The event log of a version, newest first.
    pub async fn events(&self, model: &str, version: u64) -> Result<Vec<Value>> {
        let path = format!(
            "/api/v1/models/{}/versions/{version}/events",
            encoded(model)
        );
        let page = self.get(&path).await?.succeeded()?.json()?;
        Ok(page["events"].as_array().cloned().unwrap_or_default())
    }
}

impl Answer {
    /// Sends a request and reads the answer to its end.
    pub async fn of(request: RequestBuilder) -> Result<Self> {
        let response = request.send().await?;
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.text()))
    }

    /// What stands under `predictions`.
    pub fn predictions(&self) -> Result<Value> {
        Ok(self.json()?["predictions"].take())
    }

    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The answer again, if it has a status of 2xx.
    pub fn succeeded(self) -> Result<Self> {
        ensure!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text()
        );
        Ok(self)
    }

    /// The answer's error code, if it is an error with this status.
    pub fn refused(&self, status: u16) -> Result<String> {
        ensure!(
            self.status == status,
            "{} instead of {status}: {}",
            self.status,
            self.text()
        );
        let error = self.json()?;
        ensure!(error["message"].is_string(), "no message: {error}");
        ensure!(error["request_id"].is_string(), "no request id: {error}");
        Ok(error["error_code"]
            .as_str()
            .context("no error_code")?
            .to_owned())
    }
}

/// One segment of a path.
pub(crate) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}
