//! From what is seen to what is shown: pure, no handler in it.

use serving_core::{
    Failure, FailureKind, ModelName, ModelSnapshot, Phase, ServableId, Version, VersionSnapshot,
};

use super::uris::Uris;
use super::{ControlState, Engine};
use crate::api::{
    BatchingDetail, FailureDetail, LabelDetail, LabelSummary, ModelState, ReplicaDetail,
    VersionDetail, VersionState, Versions,
};
use crate::data_plane::BatchingState;
use crate::ports::WorkerProcess;

/// How serving of `model` stands, and why it is not READY; `None` if it is not enabled.
pub(crate) fn model_state(
    state: &ControlState,
    model: &str,
) -> Option<(ModelState, Option<String>)> {
    state.intents.settings(model)?;
    if state.aspired.borrow().is_none() {
        let status = state.registry.status();
        let seen = match (status.error, status.last_success) {
            (Some(error), None) => (
                ModelState::Failed,
                format!("the registry cannot be asked: {error}"),
            ),
            _ => (
                ModelState::Pending,
                "waiting for the registry's first answer".to_owned(),
            ),
        };
        return Some((seen.0, Some(seen.1)));
    }
    if state.engine.snapshot().borrow().models.contains_key(model) {
        Some((ModelState::Ready, None))
    } else {
        Some((
            ModelState::Pending,
            Some("waiting for its versions".to_owned()),
        ))
    }
}

/// A version's state; `None` if there is nothing left to show.
pub(crate) fn version_state(phase: &Phase) -> Option<VersionState> {
    match phase {
        Phase::Pending => Some(VersionState::Pending),
        Phase::Building => Some(VersionState::Building),
        Phase::Starting => Some(VersionState::Starting),
        Phase::Ready => Some(VersionState::Ready),
        Phase::Draining => Some(VersionState::Draining),
        Phase::Failed(_) => Some(VersionState::Failed),
        Phase::Retired => None,
    }
}

/// The versions of a model, newest first.
pub(super) fn versions(
    name: &str,
    model: &ModelSnapshot,
    engine: &dyn Engine,
    workers: &[WorkerProcess],
    uris: &Uris,
) -> Vec<VersionDetail> {
    let model_name = ModelName::from(name);
    let shown = model.versions.iter().rev();
    shown
        .filter_map(|(number, version)| {
            let workers = workers.iter();
            let own = workers
                .filter(|worker| worker.id.model.as_str() == name && worker.id.version == *number);
            let mut detail = version_detail(name, *number, version, model, uris)?;
            if detail.state == VersionState::Ready {
                let id = ServableId {
                    model: model_name.clone(),
                    version: *number,
                };
                detail.batching = engine.batching(&id).map(batching);
            }
            detail.replicas_detail = own.map(replica_detail).collect();
            // A sum that leaves one out would look like less than it is.
            let known: Option<Vec<u64>> = detail
                .replicas_detail
                .iter()
                .map(|replica| replica.memory_bytes)
                .collect();
            detail.memory_bytes = known
                .filter(|known| !known.is_empty())
                .map(|known| known.iter().sum());
            Some(detail)
        })
        .collect()
}

/// The labels of a model, of which these versions are served, and where they point.
pub(super) fn labels(
    name: &str,
    model: &ModelSnapshot,
    served: &Versions,
    uris: &Uris,
) -> Vec<LabelDetail> {
    let reason = |target: u64| {
        let reason = || format!("the setting versions leaves out version {target}");
        served.leaves_out(target).then(reason)
    };
    let shown = model.labels.iter();
    shown
        .map(|(label, route)| LabelDetail {
            label: label.to_string(),
            current: route.current.map(|version| version.0),
            aspired: route.aspired.map(|version| version.0),
            reason: route.aspired.and_then(|version| reason(version.0)),
            uri: uris.scoring(name, label.as_str()),
        })
        .collect()
}

/// The labels of a model as lists show them.
pub(super) fn label_summaries(model: &ModelSnapshot) -> Vec<LabelSummary> {
    let shown = model.labels.iter();
    shown
        .map(|(label, route)| LabelSummary {
            label: label.to_string(),
            current: route.current.map(|version| version.0),
            aspired: route.aspired.map(|version| version.0),
        })
        .collect()
}

fn version_detail(
    name: &str,
    number: Version,
    version: &VersionSnapshot,
    model: &ModelSnapshot,
    uris: &Uris,
) -> Option<VersionDetail> {
    let wanted = model
        .labels
        .iter()
        .filter(|(_, route)| route.aspired == Some(number));
    let (aliases, stages): (Vec<_>, Vec<_>) = wanted
        .map(|(label, _)| label.as_str())
        .partition(|label| label.starts_with('@'));
    let reached = model
        .labels
        .iter()
        .filter(|(_, route)| route.current == Some(number));
    let references = reached.map(|(label, _)| uris.scoring(name, label.as_str()));
    Some(VersionDetail {
        version: number.0,
        state: version_state(&version.phase)?,
        step: version.step.as_ref().map(ToString::to_string),
        step_since: version.step_since.map(Into::into),
        since: version.since.into(),
        stage: stages.first().map(ToString::to_string),
        aliases: aliases.iter().map(|alias| alias[1..].to_owned()).collect(),
        uris: std::iter::once(uris.scoring(name, &number.to_string()))
            .chain(references)
            .collect(),
        replicas: version.replicas,
        replicas_wanted: version.replicas_wanted,
        asleep: version.asleep,
        memory_bytes: None,
        renewing: version.renewing,
        batching: None,
        last_renewal_failure: version.renewal_failure.as_ref().map(failure_detail),
        crashes: version.crashes,
        last_error: match &version.phase {
            Phase::Failed(failure) => Some(failure_detail(failure)),
            _ => None,
        },
        replicas_detail: Vec::new(),
    })
}

fn replica_detail(worker: &WorkerProcess) -> ReplicaDetail {
    ReplicaDetail {
        replica: worker.replica.0,
        process_id: worker.process,
        since: worker.since.into(),
        memory_bytes: worker.memory_bytes,
        cpu_seconds: worker.cpu.map(|cpu| cpu.as_secs_f64()),
    }
}

fn batching(state: BatchingState) -> BatchingDetail {
    BatchingDetail {
        on: state.on,
        reason: Some(state.reason.to_string()).filter(|reason| !reason.is_empty()),
        // As closely as anybody looks: who follows a model is not told of every request.
        mean_rows: state.mean_rows.map(|rows| (rows * 10.0).round() / 10.0),
    }
}

/// A failure as it is shown.
pub(super) fn failure_detail(failure: &Failure) -> FailureDetail {
    let kind = match failure.kind {
        FailureKind::Permanent => "permanent",
        FailureKind::Transient => "transient",
        FailureKind::CrashLoop => "crash_loop",
    };
    FailureDetail {
        kind: kind.to_owned(),
        code: failure.code.as_deref().map(str::to_owned),
        message: failure.message.to_string(),
        last_lines: failure.last_lines.clone(),
        next_try: failure.next_try.map(Into::into),
        attempts: failure.attempts,
    }
}
