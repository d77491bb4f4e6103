//! Calls about environments.

use gateway::api::{
    BuildEnvironment, BuildFailure, BuildLine, EnvironmentDetail, EnvironmentPage,
    EnvironmentSummary, PruneEnvironments, PrunedEnvironments,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use super::{Client, failure};
use crate::error::CommandError;

/// A line of a build that is longer is none.
const LONGEST_LINE: usize = 16 << 20;

const ALL: &str = "`sluicegate environments list` shows them all";

impl Client {
    /// All of them, most recently used first.
    pub(crate) async fn list_environments(&self) -> Result<Vec<EnvironmentSummary>, CommandError> {
        let page: EnvironmentPage = self.get(&["environments"], &()).await?;
        Ok(page.environments)
    }

    /// Everything about one.
    pub(crate) async fn environment(&self, key: &str) -> Result<EnvironmentDetail, CommandError> {
        let request = self.api(Method::GET, &["environments", key]);
        self.read(self.send_by_key(request).await?).await
    }

    /// The log of its build.
    pub(crate) async fn environment_log(&self, key: &str) -> Result<String, CommandError> {
        let request = self.api(Method::GET, &["environments", key, "log"]);
        let text = self.send_by_key(request).await?.text().await;
        text.map_err(|error| failure::no_answer(&self.url, error))
    }

    /// Removes those that nobody uses.
    pub(crate) async fn prune_environments(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, CommandError> {
        let request = self.api(Method::POST, &["environments", "prune"]);
        let request = request.json(wish).timeout(super::LONGEST_ANSWER);
        self.read(self.send_by_key(request).await?).await
    }

    /// Has one built for a version, and tells each step. The gateway gives the build up when this is dropped.
    pub(crate) async fn build_environment(
        &self,
        wish: &BuildEnvironment,
        mut on_step: impl FnMut(&str),
    ) -> Result<Result<EnvironmentDetail, BuildFailure>, CommandError> {
        let request = self.api(Method::POST, &["environments"]);
        let request = request.json(wish).timeout(super::LONGEST_ANSWER);
        let mut response = self.send(request).await?;
        let mut text = Vec::new();
        while let Some(line) = self.line(&mut response, &mut text).await? {
            let line: BuildLine = serde_json::from_slice(&line)
                .map_err(|error| failure::not_ours(&self.url, &error))?;
            match line {
                BuildLine::Step(step) => on_step(&step),
                BuildLine::Environment(built) => return Ok(Ok(*built)),
                BuildLine::Error(failure) => return Ok(Err(failure)),
            }
        }
        Err(
            CommandError::failed("the gateway broke off before the build had ended")
                .next("try again: what was downloaded is kept"),
        )
    }

    async fn send_by_key(&self, request: RequestBuilder) -> Result<Response, CommandError> {
        let response = self.answer(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(self.refusal(response).await.next(ALL));
        }
        self.accept(response).await
    }

    /// The next line of an answer; `text` holds what has arrived of those after it.
    async fn line(
        &self,
        response: &mut Response,
        text: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        loop {
            if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let rest = text.split_off(end + 1);
                return Ok(Some(std::mem::replace(text, rest)));
            }
            let chunk = response.chunk().await;
            match chunk.map_err(|error| failure::no_answer(&self.url, error))? {
                Some(chunk) if text.len() + chunk.len() <= LONGEST_LINE => {
                    text.extend_from_slice(&chunk);
                }
                Some(_) => return Err(CommandError::failed("the gateway's answer has no end")),
                None => return Ok(None),
            }
        }
    }
}
