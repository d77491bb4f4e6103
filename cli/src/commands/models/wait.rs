//! Waits until the versions of a model are decided, and shows what each of them is doing.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::api::{ModelDetail, ModelState, VersionDetail, VersionState};
use tokio::time::{Instant, sleep};

use crate::client::{Client, Waited};
use crate::commands::failures;
use crate::error::CommandError;
use crate::progress::{Progress, Step, seconds};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// The longest that a gateway is asked to wait; proxies cut what stays silent for long.
const ONCE: Duration = Duration::from_secs(45);

/// Enables `name` and waits until each of its versions is ready.
///
/// # Errors
/// When one failed, when somebody disabled it meanwhile, or when `timeout` is over first.
pub(crate) async fn until_ready(
    client: &Client,
    name: &str,
    timeout: Duration,
    progress: &Progress,
) -> Result<ModelDetail, CommandError> {
    let mut board = Board::default();
    let end = Instant::now() + timeout;
    // The gateway knows best when all that the registry wants is decided, so it is asked to wait first. Only once: each
    // such call enables the model again, and somebody may have disabled it for a reason.
    let waited = client.wait_for_model(name, timeout.min(ONCE));
    tokio::pin!(waited);
    let (mut model, mut settled) = loop {
        tokio::select! {
            waited = &mut waited => break match waited? {
                Waited::Settled(model) => (model, true),
                Waited::NotYet => (client.model(name).await?, false),
            },
            () = sleep(LOOK) => {
                let model = client.model(name).await?;
                board.show(&model, progress);
                if let Some(error) = hopeless(&model) {
                    return Err(error);
                }
            }
        }
    };
    loop {
        board.show(&model, progress);
        if let Some(error) = hopeless(&model).or_else(|| disabled(&model)) {
            return Err(error);
        }
        settled |= is_settled(&model);
        if settled {
            break;
        }
        if Instant::now() >= end {
            return Err(too_late(name, timeout));
        }
        sleep(LOOK).await;
        model = client.model(name).await?;
    }
    let failed_version = model
        .versions
        .iter()
        .find(|version| version.state == VersionState::Failed);
    match failed_version {
        Some(version) => Err(failed(name, version)),
        None => Ok(model),
    }
}

/// Every version that is shown is decided; one that drains may make room for its successor.
fn is_settled(model: &ModelDetail) -> bool {
    let decided = [VersionState::Ready, VersionState::Failed];
    let mut versions = model.versions.iter();
    model.state == Some(ModelState::Ready)
        && versions.all(|version| decided.contains(&version.state))
}

fn too_late(name: &str, timeout: Duration) -> CommandError {
    let waited = seconds(timeout);
    CommandError::failed(format!(
        "{name} is not ready after {waited}; the gateway goes on with it"
    ))
    .next(format!(
        "`sluicegate models show {name}` tells how far it is"
    ))
}

fn disabled(model: &ModelDetail) -> Option<CommandError> {
    let name = &model.name;
    model.state.is_none().then(|| {
        CommandError::failed(format!("serving of {name} was disabled meanwhile"))
            .next(format!("`sluicegate models events {name}` tells by whom"))
    })
}

/// Waiting longer would not help.
fn hopeless(model: &ModelDetail) -> Option<CommandError> {
    if model.state != Some(ModelState::Failed) {
        return None;
    }
    let name = &model.name;
    let why = model
        .state_reason
        .as_deref()
        .unwrap_or("no reason was given");
    Some(
        CommandError::failed(format!("{name} is enabled and cannot be served: {why}"))
            .next("`sluicegate doctor` looks for the reason"),
    )
}

fn failed(name: &str, version: &VersionDetail) -> CommandError {
    let number = version.version;
    let failure = version.last_error.as_ref();
    let message = failure.map_or("no reason was given", |failure| &failure.message);
    let last_lines = failure.map_or(&[][..], |failure| &failure.last_lines);
    let code = failure.and_then(|failure| failure.code.as_deref());
    let text = failures::text(code, message, last_lines);
    CommandError::failed(format!("version {number} of {name} failed: {text}"))
        .next(failures::log_command(name, number, failure))
}

/// One step of the display for each version.
#[derive(Default)]
struct Board {
    open: BTreeMap<u64, Step>,
    closed: BTreeMap<u64, VersionState>,
}

impl Board {
    fn show(&mut self, model: &ModelDetail, progress: &Progress) {
        for version in model.versions.iter().rev() {
            let number = version.version;
            if self.closed.get(&number) == Some(&version.state) {
                continue;
            }
            let id = format!("{}@{number}", model.name);
            let open = self.open.remove(&number);
            match version.state {
                VersionState::Pending | VersionState::Building | VersionState::Starting => {
                    let mut step = open.unwrap_or_else(|| progress.step(id));
                    step.detail(doing(version));
                    self.open.insert(number, step);
                    self.closed.remove(&number);
                    continue;
                }
                VersionState::Ready => {
                    let step = open.unwrap_or_else(|| progress.step(id.clone()));
                    step.done(&format!("{id} ready"));
                }
                // Dropped, it counts as failed.
                VersionState::Failed => drop(open.unwrap_or_else(|| progress.step(id))),
                VersionState::Draining => drop(open),
            }
            self.closed.insert(number, version.state);
        }
    }
}

fn doing(version: &VersionDetail) -> String {
    let state = version.state.to_string().to_lowercase();
    match &version.step {
        Some(step) => format!("{state}: {step}"),
        None => state,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_version_is_told_with_its_reason_and_the_next_step() {
        let version = serde_json::from_value(json!({
            "version": 2, "state": "FAILED", "since": "2026-03-01T12:00:00Z",
            "uris": [], "replicas": 0, "crashes": 0,
            "last_error": {
                "kind": "permanent", "message": "it raises on load", "last_lines": ["Traceback", "ValueError"]
            },
        }))
        .unwrap();
        insta::assert_snapshot!(failed("iris", &version));
    }

    #[test]
    fn a_failed_build_is_told_with_its_code_and_the_log_of_the_build_alone() {
        let version = serde_json::from_value(json!({
            "version": 2, "state": "FAILED", "since": "2026-03-01T12:00:00Z",
            "uris": [], "replicas": 0, "crashes": 0,
            "last_error": {
                "kind": "permanent", "code": "PACKAGE_NOT_FOUND", "message": "no channel has skikit-learn", "last_lines": []
            },
        }))
        .unwrap();
        insta::assert_snapshot!(failed("iris", &version));
    }

    #[test]
    fn only_a_machine_side_that_cannot_come_up_is_hopeless() {
        let model = |state: &str| {
            serde_json::from_value(json!({
                "name": "iris", "state": state, "state_reason": "the registry cannot be asked: refused",
                "permission": "MANAGE", "settings": null, "versions": [], "labels": []
            }))
            .unwrap()
        };
        assert!(hopeless(&model("PENDING")).is_none());
        assert!(hopeless(&model("READY")).is_none());
        let error = hopeless(&model("FAILED")).unwrap().to_string();
        assert!(error.contains("the registry cannot be asked"), "{error}");
    }
}
