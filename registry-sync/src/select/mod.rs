//! From what the registry shows to what should be served. Pure.
//!
//! A version is *active* if its stage is not `Archived` (in any case) and its registration has ended:
//!
//! | `status` | becomes |
//! |---|---|
//! | `READY`, or none (servers that have no such field) | [`Source::Readable`] |
//! | `PENDING_REGISTRATION` | left out: its files are still being copied, and it was never served |
//! | `FAILED_REGISTRATION`, or a word that is not known here | [`Source::Unreadable`] with the registry's message |
//!
//! Labels point into the active versions only, so a caller can never be sent to an archived one:
//! - `Production` and `Staging`: the largest active number in the stage, as MLflow's own clients choose;
//! - `@alias`: the version that the registry names (MLflow 2.3 and later).
//!
//! Tags of a registered model that begin with `sluicegate.` are passed on without it, unread.
//!
//! Left out, and never a reason to lose the others: prompts, versions whose number is not one, and versions of
//! a model that is not in the view (it appeared or went between two calls; the next poll knows).

mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serving_core::{
    Aspired, AspiredModel, AspiredVersion, Incarnation, Label, ModelName, Source, Version,
};

use crate::client::{ModelRow, TagRow, VersionRow};
use crate::sync::Interest;

pub(crate) use source::VersionSource;

/// Tags of a registered model that begin like this are settings of its serving.
const SETTING: &str = "sluicegate.";

/// What one poll saw. `models` is read before `versions`, so that the target of each alias is among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegistryView {
    pub(crate) models: Vec<ModelRow>,
    pub(crate) versions: Vec<VersionRow>,
}

/// What follows from a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// What should be served.
    pub(crate) aspired: Aspired,
    /// What is not as it should be, for the log.
    pub(crate) oddities: BTreeSet<String>,
}

/// One version as the registry shows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVersion {
    /// Of its model.
    pub model_incarnation: Incarnation,
    /// As it would be aspired if it were wanted.
    pub version: AspiredVersion,
}

/// What a stage means for serving.
enum Stage {
    Archived,
    Labelled(&'static str),
    Unlabelled,
}

/// What should be served of `view`, as far as it is of `interest`. The order of rows does not matter.
pub(crate) fn select(view: &RegistryView, interest: &Interest) -> Selection {
    let mut selection = Selection::default();
    let models = &mut selection.aspired.models;
    for row in &view.models {
        if !row.is_prompt() && interest.contains(&row.name) {
            models.insert(ModelName::from(row.name.as_str()), model(row));
        }
    }
    for row in &view.versions {
        let Some(model) = models.get_mut(row.name.as_str()) else {
            continue;
        };
        let stage = stage(&row.current_stage);
        if matches!(stage, Stage::Archived) {
            continue;
        }
        let Ok(number) = row.version.parse::<Version>() else {
            selection.oddities.insert(format!(
                "version '{}' of '{}' is skipped: it is not a number",
                row.version, row.name
            ));
            continue;
        };
        let Some(version) = version(row) else {
            continue;
        };
        model.versions.insert(number, version);
        if let Stage::Labelled(label) = stage {
            let target = model.labels.entry(Label::from(label)).or_insert(number);
            *target = number.max(*target);
        }
    }
    let aliases = view
        .models
        .iter()
        .map(|row| (row.name.as_str(), &row.aliases));
    for (name, aliases) in aliases {
        let Some(model) = models.get_mut(name) else {
            continue;
        };
        for alias in aliases {
            if let Ok(target) = alias.version.parse::<Version>()
                && model.versions.contains_key(&target)
            {
                let label = Label::from(format!("@{}", alias.alias));
                model.labels.insert(label, target);
            }
        }
    }
    selection
}

/// One version by itself, in whichever stage, as [`select`] would give it.
pub(crate) fn single(model_row: &ModelRow, row: &VersionRow) -> FoundVersion {
    let pending = || AspiredVersion {
        incarnation: incarnation(row),
        source: Source::Unreadable(
            "its files are still being copied (PENDING_REGISTRATION); try again shortly".into(),
        ),
    };
    FoundVersion {
        model_incarnation: model(model_row).incarnation,
        version: version(row).unwrap_or_else(pending),
    }
}

/// When each model was made: differs between two views if one of them saw a model before it was deleted and
/// registered again, so that its aliases and versions may not belong together.
pub(crate) fn births(view: &RegistryView) -> BTreeMap<&str, u64> {
    let births = view.models.iter();
    births
        .map(|row| (row.name.as_str(), row.creation_timestamp))
        .collect()
}

fn model(row: &ModelRow) -> AspiredModel {
    AspiredModel {
        incarnation: Incarnation::from(row.creation_timestamp.to_string()),
        versions: BTreeMap::new(),
        labels: BTreeMap::new(),
        tags: row.tags.iter().filter_map(setting).collect(),
    }
}

/// The setting that a tag of a registered model is about, and what it says; every other tag is others' business.
fn setting(tag: &TagRow) -> Option<(String, String)> {
    let key = tag.key.strip_prefix(SETTING)?;
    (!key.is_empty()).then(|| (key.to_owned(), tag.value.clone()))
}

fn version(row: &VersionRow) -> Option<AspiredVersion> {
    let source = match row.status.as_str() {
        "PENDING_REGISTRATION" => return None,
        "READY" | "" => Source::Readable(VersionSource::of(row).to_text()),
        status => {
            let reason = if row.status_message.is_empty() {
                "no reason given"
            } else {
                &row.status_message
            };
            Source::Unreadable(format!("the registry says {status}: {reason}").into())
        }
    };
    Some(AspiredVersion {
        incarnation: incarnation(row),
        source,
    })
}

/// Numbers start again at 1 when a model is deleted and registered again.
fn incarnation(row: &VersionRow) -> Incarnation {
    format!("{}/{}/{}", row.creation_timestamp, row.run_id, row.source).into()
}

fn stage(stage: &str) -> Stage {
    let is = |name: &str| stage.eq_ignore_ascii_case(name);
    if is("Archived") {
        Stage::Archived
    } else if is("Production") {
        Stage::Labelled("Production")
    } else if is("Staging") {
        Stage::Labelled("Staging")
    } else {
        Stage::Unlabelled
    }
}
