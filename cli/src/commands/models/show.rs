//! `models show`: versions, stages, aliases, settings of one model.

use gateway::api::{
    BatchingDetail, FailureDetail, LabelDetail, ModelDetail, Settings, VersionDetail,
};

use crate::client::Client;
use crate::commands::failures;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(client: &Client, name: &str, format: Format) -> Result<(), CommandError> {
    let model = client.model(name).await?;
    match format {
        Format::Json => output::json(&model),
        Format::Table => output::line(&text(&model)),
    }
}

fn text(model: &ModelDetail) -> String {
    let mut blocks = vec![head(model)];
    if !model.versions.is_empty() {
        let rows = model.versions.iter().map(version_row);
        blocks.push(output::table(
            &[
                "VERSION", "STATE", "SINCE", "STAGE", "ALIASES", "WORKERS", "BATCHING",
            ],
            rows,
        ));
    }
    if !model.labels.is_empty() {
        let rows = model.labels.iter().map(label_row);
        blocks.push(output::table(&["LABEL", "ANSWERS", "URL"], rows));
    }
    let failures = model.versions.iter();
    blocks.extend(failures.filter_map(|version| failure_text(&model.name, version)));
    let renewals = model.versions.iter();
    blocks.extend(renewals.filter_map(|version| renewal_failure_text(&model.name, version)));
    if let Some(settings) = &model.settings {
        blocks.push(settings_table(model, settings));
    }
    blocks.join("\n\n")
}

fn head(model: &ModelDetail) -> String {
    let state = match model.state {
        Some(state) => format!("serving: {state}"),
        None => "serving: not enabled".to_owned(),
    };
    let reason = model.state_reason.as_deref().map(|why| format!(" ({why})"));
    let description = match model.description.trim() {
        "" => String::new(),
        text => format!("\n{text}"),
    };
    let name = &model.name;
    format!("{name}{description}\n{state}{}", reason.unwrap_or_default())
}

fn version_row(version: &VersionDetail) -> Vec<String> {
    let state = match (&version.step, version.renewing) {
        (Some(step), _) => format!("{}: {step}", version.state),
        (None, true) => format!("{}: workers are being replaced", version.state),
        (None, false) if version.asleep => format!("{}, asleep", version.state),
        (None, false) => version.state.to_string(),
    };
    let workers = match (version.replicas, version.memory_bytes) {
        (replicas, Some(bytes)) => format!("{replicas} ({} MB)", bytes / (1 << 20)),
        (replicas, None) => replicas.to_string(),
    };
    vec![
        version.version.to_string(),
        state,
        version.since.to_string(),
        version.stage.clone().unwrap_or_else(|| "-".to_owned()),
        or_dash(&version.aliases.join(", ")),
        workers,
        version
            .batching
            .as_ref()
            .map_or_else(|| "-".to_owned(), batching),
    ]
}

/// `on, 12.3 rows a call`, `off: the model was logged without an input example`.
fn batching(batching: &BatchingDetail) -> String {
    match (batching.on, batching.mean_rows, &batching.reason) {
        (true, Some(rows), _) => format!("on, {rows:.1} rows a call"),
        (true, None, _) => "on".to_owned(),
        (false, _, Some(reason)) => format!("off: {reason}"),
        (false, _, None) => "off".to_owned(),
    }
}

fn label_row(label: &LabelDetail) -> Vec<String> {
    let answers = match (label.current, label.aspired) {
        (current, Some(aspired)) if label.reason.is_some() => {
            let now = current.map_or_else(|| "nobody".to_owned(), |current| current.to_string());
            format!("{now} (versions leaves out {aspired})")
        }
        (Some(current), Some(aspired)) if current != aspired => {
            format!("{current}, then {aspired}")
        }
        (Some(current), _) => current.to_string(),
        (None, Some(aspired)) => format!("nobody yet, then {aspired}"),
        (None, None) => "nobody".to_owned(),
    };
    vec![label.label.clone(), answers, label.uri.clone()]
}

/// Why a version is not served, with the last lines that it printed.
fn failure_text(model: &str, version: &VersionDetail) -> Option<String> {
    let failure = version.last_error.as_ref()?;
    let number = version.version;
    let text = failures::text(
        failure.code.as_deref(),
        &failure.message,
        &failure.last_lines,
    );
    let next_try = next_try(failure);
    let log = failures::log_command(model, number, Some(failure));
    Some(format!("version {number}: {text}{next_try}\n  {log}"))
}

/// Why the old workers are still there.
pub(super) fn renewal_failure_text(model: &str, version: &VersionDetail) -> Option<String> {
    let failure = version.last_renewal_failure.as_ref()?;
    let number = version.version;
    let text = failures::text(
        failure.code.as_deref(),
        &failure.message,
        &failure.last_lines,
    );
    let next_try = next_try(failure);
    let log = failures::log_command(model, number, Some(failure));
    Some(format!(
        "version {number}: the old workers answer, new ones cannot be had: {text}{next_try}\n  {log}"
    ))
}

fn next_try(failure: &FailureDetail) -> String {
    match (failure.next_try, failure.attempts) {
        (Some(at), attempts) => format!("\n  tried {attempts} times, next at {at}"),
        (None, _) => "\n  waits for a change of the version or of the settings".to_owned(),
    }
}

/// Settings, where they come from, and tags that change nothing.
pub(super) fn settings_table(model: &ModelDetail, settings: &Settings) -> String {
    let from = |key: &String| {
        let origin = model.settings_from.get(key);
        origin.map_or("-", |origin| origin.as_str()).to_owned()
    };
    let rows = settings_rows(settings).into_iter().map(|mut row| {
        row.push(from(&row[0]));
        row
    });
    let table = output::table(&["SETTING", "VALUE", "FROM"], rows);
    let problems = model.tag_problems.iter().map(|tag| {
        let (key, problem) = (&tag.key, &tag.problem);
        format!("\nthe registry's tag sluicegate.{key} changes nothing: {problem}")
    });
    std::iter::once(table).chain(problems).collect()
}

fn settings_rows(settings: &Settings) -> Vec<Vec<String>> {
    let environment: Vec<String> = settings
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    [
        ("replicas", settings.replicas.to_string()),
        ("scale_down_after", settings.scale_down_after.to_string()),
        ("max_concurrency", settings.max_concurrency.to_string()),
        ("max_queue", settings.max_queue.to_string()),
        ("timeout", settings.timeout.to_string()),
        ("batching", settings.batching.to_string()),
        ("max_batch_rows", settings.max_batch_rows.to_string()),
        ("max_batch_delay", settings.max_batch_delay.to_string()),
        ("env_manager", settings.env_manager.to_string()),
        ("environment", or_dash(&environment.join(" "))),
        ("warm_up", settings.warm_up.to_string()),
        (
            "memory_limit",
            settings
                .memory_limit
                .map_or_else(|| "-".to_owned(), |limit| limit.to_string()),
        ),
        ("versions", settings.versions.to_string()),
        ("takeover", settings.takeover.to_string()),
    ]
    .map(|(name, value)| vec![name.to_owned(), value])
    .into()
}

fn or_dash(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_is_shown_with_its_versions_labels_failures_and_settings() {
        let model: ModelDetail = serde_json::from_value(json!({
            "name": "iris",
            "description": "Species of flowers",
            "state": "READY",
            "permission": "MANAGE",
            "settings": Settings::default(),
            "settings_from": {"replicas": "person", "timeout": "tag"},
            "tag_problems": [{"key": "replicsa", "problem": "unknown setting"}],
            "versions": [
                {
                    "version": 3, "state": "FAILED", "since": "2026-03-01T12:00:02Z", "uris": [], "replicas": 0, "crashes": 0,
                    "last_error": {
                        "kind": "permanent", "code": "UNSATISFIABLE", "message": "its requirements cannot be met",
                        "last_lines": ["no solution found", "because nosuch==1 does not exist"], "attempts": 1
                    }
                },
                {
                    "version": 2, "state": "BUILDING", "step": "installing 12 packages", "since": "2026-03-01T12:00:01Z",
                    "stage": "Production", "uris": [], "replicas": 0, "crashes": 0
                },
                {
                    "version": 1, "state": "READY", "since": "2026-03-01T12:00:00Z", "aliases": ["champion", "old"],
                    "uris": ["http://gateway/model/iris/1/invocations"], "replicas": 2, "memory_bytes": 524_288_000, "crashes": 0,
                    "renewing": true, "batching": {"on": true, "reason": "it answered the example alike", "mean_rows": 12.34},
                    "last_renewal_failure": {
                        "kind": "transient", "message": "the disk is full", "last_lines": [], "attempts": 2,
                        "next_try": "2026-03-01T12:01:00Z"
                    }
                }
            ],
            "labels": [
                {"label": "Production", "current": 1, "aspired": 2, "uri": "http://gateway/model/iris/Production/invocations"},
                {
                    "label": "Staging", "aspired": 4, "reason": "the setting versions leaves out version 4",
                    "uri": "http://gateway/model/iris/Staging/invocations"
                },
                {"label": "@champion", "current": 1, "aspired": 1, "uri": "http://gateway/model/iris/@champion/invocations"}
            ]
        }))
        .unwrap();
        insta::assert_snapshot!(text(&model));
    }
}
