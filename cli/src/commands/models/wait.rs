//! Waits until the versions of a model are decided, and shows what each of them is doing.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::api::{ModelDetail, ModelState, VersionDetail, VersionState};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::show::renewal_failure_text;
use crate::client::{Client, Waited};
use crate::commands::failures;
use crate::error::CommandError;
use crate::progress::{Progress, Step, seconds};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// The longest that a gateway is asked to wait; proxies cut what stays silent for long.
const ONCE: Duration = Duration::from_secs(45);

/// Enables `name`, or changes the settings that `changes` names, and waits until each of its versions is ready with
/// workers as they are wanted then.
///
/// # Errors
/// When one failed, when one cannot get other workers, when somebody disabled it meanwhile, or when `timeout` is over first.
pub(crate) async fn until_ready(
    client: &Client,
    name: &str,
    changes: &Map<String, Value>,
    timeout: Duration,
    progress: &Progress,
) -> Result<ModelDetail, CommandError> {
    let mut board = Board::default();
    let end = Instant::now() + timeout;
    let answered = client.status().await?.registry.last_success;
    // The gateway knows best when all that the registry wants is decided, so it is asked to wait first. Only once: each
    // such call enables the model again, and somebody may have disabled it for a reason.
    let waited = client.wait_for_model(name, changes, timeout.min(ONCE));
    tokio::pin!(waited);
    let (mut model, mut settled) = loop {
        tokio::select! {
            waited = &mut waited => break match waited? {
                Waited::Settled(model) => (*model, true),
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
    let mut silence = None;
    loop {
        board.show(&model, progress);
        if let Some(error) = hopeless(&model).or_else(|| disabled(&model)) {
            return Err(error);
        }
        if !settled && is_settled(&model) {
            // What is ready may be what the registry wanted before: it has to have been asked since.
            let registry = client.status().await?.registry;
            settled = registry.last_success != answered;
            silence = Some(silent(registry.error.as_deref()));
        }
        if settled {
            break;
        }
        if Instant::now() >= end {
            return Err(too_late(name, timeout, silence.as_deref()));
        }
        sleep(LOOK).await;
        model = client.model(name).await?;
    }
    match model
        .versions
        .iter()
        .find_map(|version| trouble(name, version))
    {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

/// Waits until the workers of a version that were asked for are there.
///
/// # Errors
/// When they cannot be had, when the version failed or is not served any more, or when `timeout` is over first.
pub(crate) async fn until_renewed(
    client: &Client,
    name: &str,
    number: u64,
    timeout: Duration,
    progress: &Progress,
) -> Result<(), CommandError> {
    let mut board = Board::default();
    let end = Instant::now() + timeout;
    loop {
        let mut model = client.model(name).await?;
        model.versions.retain(|version| version.version == number);
        board.show(&model, progress);
        let Some(version) = model.versions.first() else {
            return Err(
                CommandError::failed(format!("{name}@{number} is not served any more"))
                    .next(format!("`sluicegate models events {name}` tells why")),
            );
        };
        if is_decided(version) {
            return trouble(name, version).map_or(Ok(()), Err);
        }
        if Instant::now() >= end {
            return Err(too_late(name, timeout, None));
        }
        sleep(LOOK).await;
    }
}

/// Every version that is shown is decided; one that drains may make room for its successor.
fn is_settled(model: &ModelDetail) -> bool {
    model.state == Some(ModelState::Ready) && model.versions.iter().all(is_decided)
}

fn is_decided(version: &VersionDetail) -> bool {
    match version.state {
        VersionState::Ready => !version.renewing || version.last_renewal_failure.is_some(),
        VersionState::Failed => !version.renewing,
        _ => false,
    }
}

/// Why a decided version is not as it was wanted.
fn trouble(name: &str, version: &VersionDetail) -> Option<CommandError> {
    if version.state == VersionState::Failed {
        return Some(failed(name, version));
    }
    let number = version.version;
    let text = renewal_failure_text(name, version)?;
    Some(CommandError::failed(text).next(format!(
        "`sluicegate models settings {name}` shows what is wanted of {name}@{number}"
    )))
}

/// Why nobody knows what the registry wants.
fn silent(error: Option<&str>) -> String {
    match error {
        Some(error) => format!("the registry cannot be asked: {error}"),
        None => "the registry has not answered yet".to_owned(),
    }
}

fn too_late(name: &str, timeout: Duration, silence: Option<&str>) -> CommandError {
    let waited = seconds(timeout);
    let silence = silence.map(|text| format!(": {text}")).unwrap_or_default();
    CommandError::failed(format!(
        "{name} is not ready after {waited}{silence}; the gateway goes on with it"
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
    closed: BTreeMap<u64, (VersionState, bool)>,
}

impl Board {
    fn show(&mut self, model: &ModelDetail, progress: &Progress) {
        for version in model.versions.iter().rev() {
            let number = version.version;
            let seen = (version.state, version.renewing);
            if self.closed.get(&number) == Some(&seen) {
                continue;
            }
            let id = format!("{}@{number}", model.name);
            let open = self.open.remove(&number);
            match version.state {
                state if state.is_coming() || version.renewing => {
                    let mut step = open.unwrap_or_else(|| progress.step(id));
                    step.detail(doing(version));
                    self.open.insert(number, step);
                    self.closed.remove(&number);
                    continue;
                }
                // The old workers answer, and new ones cannot be had.
                VersionState::Ready if version.last_renewal_failure.is_some() => drop(open),
                VersionState::Ready => {
                    let step = open.unwrap_or_else(|| progress.step(id.clone()));
                    step.done(&format!("{id} ready"));
                }
                // Dropped, it counts as failed.
                VersionState::Failed => drop(open.unwrap_or_else(|| progress.step(id))),
                _ => drop(open),
            }
            self.closed.insert(number, seen);
        }
    }
}

fn doing(version: &VersionDetail) -> String {
    let state = version.state.to_string().to_lowercase();
    match &version.step {
        Some(step) => format!("{state}: {step}"),
        None if version.renewing => format!("{state}: replacing workers"),
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
    fn a_ready_version_whose_new_workers_cannot_be_had_is_told_with_the_reason() {
        let version: VersionDetail = serde_json::from_value(json!({
            "version": 2, "state": "READY", "since": "2026-03-01T12:00:00Z",
            "uris": [], "replicas": 1, "crashes": 0, "renewing": true,
        }))
        .unwrap();
        assert!(!is_decided(&version));
        let failure = serde_json::from_value(json!({
            "kind": "permanent", "message": "no such interpreter", "last_lines": []
        }));
        let version = VersionDetail {
            last_renewal_failure: failure.unwrap(),
            ..version
        };
        assert!(is_decided(&version));
        let error = trouble("iris", &version).unwrap().to_string();
        assert!(error.contains("no such interpreter"), "{error}");
        assert!(error.contains("the old workers answer"), "{error}");
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
