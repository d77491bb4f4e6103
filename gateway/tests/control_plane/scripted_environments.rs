//! Environments that are built by a script.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gateway::api::{
    BuildFailure, EnvironmentDetail, EnvironmentSummary, KeptEnvironment, PruneEnvironments,
    PrunedEnvironments,
};
use gateway::ports::{Environments, EnvironmentsError};
use serving_core::{Progress, VersionSpec};
use tokio::sync::watch;

/// A host with the environments in `all`. Builds tell the steps that they are given, and end with the first failure that
/// is left, or with the first environment of `all`.
#[derive(Default)]
pub(crate) struct ScriptedEnvironments {
    pub(crate) all: Mutex<Vec<EnvironmentDetail>>,
    pub(crate) failures: Mutex<Vec<BuildFailure>>,
    /// What was to be built.
    pub(crate) built: Mutex<Vec<Arc<VersionSpec>>>,
    /// The step that builds stand at; they end when it is empty.
    pub(crate) step: watch::Sender<&'static str>,
    /// Builds that are under way.
    pub(crate) running: watch::Sender<u32>,
    /// What lists fail with.
    pub(crate) trouble: Mutex<Option<EnvironmentsError>>,
    pub(crate) pruned: Mutex<Vec<PruneEnvironments>>,
}

#[async_trait]
impl Environments for ScriptedEnvironments {
    async fn list(&self) -> Result<Vec<EnvironmentSummary>, EnvironmentsError> {
        if let Some(trouble) = self.trouble.lock().unwrap().clone() {
            return Err(trouble);
        }
        let all = self.all.lock().unwrap();
        Ok(all.iter().map(|detail| detail.summary.clone()).collect())
    }

    async fn find(&self, key: &str) -> Result<EnvironmentDetail, EnvironmentsError> {
        let all = self.all.lock().unwrap();
        let mut found = all
            .iter()
            .filter(|detail| detail.summary.key.starts_with(key));
        match (found.next(), found.next()) {
            (Some(found), None) => Ok(found.clone()),
            (None, _) => Err(EnvironmentsError::Unknown(format!("no environment {key}"))),
            _ => Err(EnvironmentsError::Unclear(format!("{key} is ambiguous"))),
        }
    }

    async fn build_log(&self, key: &str) -> Result<String, EnvironmentsError> {
        self.find(key).await.map(|_| "[solving]\n".to_owned())
    }

    async fn build(
        &self,
        spec: Arc<VersionSpec>,
        progress: Progress,
    ) -> Result<EnvironmentDetail, BuildFailure> {
        struct Running<'a>(&'a watch::Sender<u32>);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.send_modify(|running| *running -= 1);
            }
        }

        self.running.send_modify(|running| *running += 1);
        let _running = Running(&self.running);
        self.built.lock().unwrap().push(spec);
        let mut steps = self.step.subscribe();
        loop {
            let step = *steps.borrow_and_update();
            if step.is_empty() {
                break;
            }
            progress.step(step);
            steps.changed().await.unwrap();
        }
        match self.failures.lock().unwrap().pop() {
            Some(failure) => Err(failure),
            None => Ok(self.all.lock().unwrap()[0].clone()),
        }
    }

    async fn prune(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, EnvironmentsError> {
        self.pruned.lock().unwrap().push(wish.clone());
        Ok(PrunedEnvironments {
            environments: vec!["0123".to_owned()],
            freed_bytes: 1 << 30,
            in_use: vec![KeptEnvironment {
                key: "0124".to_owned(),
                reasons: vec!["used by iris@3".to_owned()],
            }],
        })
    }
}
