//! The decisions: from what is wanted and what is seen of one model to what is to be done. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aspired::Source;
use crate::id::{Label, Version};
use crate::policy;
use crate::routing::LabelRoute;
use crate::spec::VersionSpec;
use crate::wanted::WantedModel;

/// One model as it is seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenModel {
    pub(crate) versions: BTreeMap<Version, SeenVersion>,
    /// Where the labels point in the routing table.
    pub(crate) labels: BTreeMap<Label, LabelRoute>,
}

/// One life of a version as it is seen.
#[derive(Clone, Debug)]
pub(crate) struct SeenVersion {
    pub(crate) spec: Arc<VersionSpec>,
    pub(crate) standing: Standing,
}

/// How far callers get with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not at all yet.
    Unserved,
    /// All the way.
    Ready,
    /// It was ready and has no live replica now; its route stays.
    Faltering,
    /// No more: it is on its way out, whatever is wanted (law 7).
    Draining,
}

/// What is to be done about one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In the order in which they are worth doing.
    pub(crate) actions: Vec<Action>,
    /// Where the labels point from now on.
    pub(crate) labels: BTreeMap<Label, LabelRoute>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Take a version out of reach, let its callers end, stop it.
    Retire(Version),
    /// Tell a life what is wanted of it now; it stays the same servable.
    Update(Arc<VersionSpec>),
    /// Begin a life.
    Start(Arc<VersionSpec>),
}

/// Plans one model; `wanted` is `None` if it is not enabled.
pub(crate) fn plan(wanted: Option<&WantedModel>, seen: &SeenModel) -> Plan {
    let retained = wanted.map_or_else(BTreeSet::new, |wanted| policy::retained(wanted, seen));
    let labels = wanted.map_or_else(BTreeMap::new, |wanted| {
        policy::labels(wanted, seen, &retained)
    });
    let stops_first = wanted.is_some_and(|wanted| wanted.settings.takeover.stops_first());
    let protected: BTreeSet<Version> = [&seen.labels, &labels]
        .into_iter()
        .flatten()
        .filter(|(label, _)| labels.contains_key(*label) && !stops_first)
        .filter_map(|(_, route)| route.current)
        .chain(retained)
        .collect();

    let mut actions = Vec::new();
    for (version, life) in &seen.versions {
        if life.standing == Standing::Draining {
            continue;
        }
        match wanted.and_then(|wanted| future_of(life, *version, wanted, &protected)) {
            None => actions.push(Action::Retire(*version)),
            Some(spec) if *spec != *life.spec => actions.push(Action::Update(spec)),
            Some(_) => {}
        }
    }
    let going = |(version, life): (&Version, &SeenVersion)| {
        life.standing == Standing::Draining || actions.contains(&Action::Retire(*version))
    };
    let waits = stops_first && seen.versions.iter().any(going);
    if let Some(wanted) = wanted.filter(|_| !waits) {
        let missing = |version: &Version| !seen.versions.contains_key(version);
        let starts = policy::order_of_starts(wanted).filter(|spec| missing(&spec.id.version));
        actions.extend(starts.map(|spec| Action::Start(Arc::clone(spec))));
    }
    Plan { actions, labels }
}

/// What a life is to be from now on; `None` if it is to end.
fn future_of(
    life: &SeenVersion,
    version: Version,
    wanted: &WantedModel,
    protected: &BTreeSet<Version>,
) -> Option<Arc<VersionSpec>> {
    let Some(spec) = wanted.versions.get(&version) else {
        let same_model = wanted.incarnation.as_ref() == Some(&life.spec.model_incarnation);
        let kept = same_model && protected.contains(&version);
        return kept.then(|| with_settings_of(wanted, &life.spec));
    };
    if !spec.same_servable(&life.spec) {
        return None;
    }
    let unreadable = matches!(spec.source, Source::Unreadable(_));
    if unreadable && life.standing != Standing::Unserved {
        // What runs proves that it could be read (law 3).
        return Some(with_settings_of(wanted, &life.spec));
    }
    Some(Arc::clone(spec))
}

fn with_settings_of(wanted: &WantedModel, spec: &VersionSpec) -> Arc<VersionSpec> {
    Arc::new(VersionSpec {
        settings: Arc::clone(&wanted.settings),
        ..spec.clone()
    })
}

#[cfg(test)]
mod tests;
