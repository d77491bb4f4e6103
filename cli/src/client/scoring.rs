//! Scoring, and the logged input example.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::{Client, failure};
use crate::error::CommandError;

/// A request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// What it is.
    pub(crate) content_type: String,
    /// Its bytes.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Scores `rows`; the answer may still be under way.
    pub(crate) async fn score(
        &self,
        name: &str,
        reference: &str,
        rows: Rows,
    ) -> Result<Response, CommandError> {
        let url = self.address(["model", name, reference, "invocations"]);
        let request = self
            .request(Method::POST, url)
            .timeout(super::LONGEST_ANSWER)
            .header(CONTENT_TYPE, rows.content_type)
            .body(rows.body);
        self.send(request).await
    }

    /// The next piece of an answer; `None` at its end.
    pub(crate) async fn piece(
        &self,
        answer: &mut Response,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let piece = answer
            .chunk()
            .await
            .map_err(|error| failure::no_answer(&self.url, error))?;
        Ok(piece.map(Vec::from))
    }

    /// The version that a reference names now.
    pub(crate) async fn resolve(&self, name: &str, reference: &str) -> Result<u64, CommandError> {
        #[derive(Deserialize)]
        struct Resolved {
            version: u64,
        }

        let url = self.address(["model", name, reference]);
        let resolved: Resolved = self.receive(self.request(Method::GET, url)).await?;
        Ok(resolved.version)
    }

    /// The input example that was logged with a version, as a request body.
    pub(crate) async fn example(&self, name: &str, version: u64) -> Result<Rows, CommandError> {
        let version = version.to_string();
        let path = ["models", name, "versions", &version, "example"];
        let response = self.send(self.api(Method::GET, &path)).await?;
        let content_type = content_type(response.headers());
        let body = response
            .bytes()
            .await
            .map_err(|error| failure::no_answer(&self.url, error))?;
        Ok(Rows {
            content_type,
            body: body.into(),
        })
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json")
        .to_owned()
}
