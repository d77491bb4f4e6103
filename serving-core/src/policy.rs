//! Availability before novelty: where labels point, and what is begun first. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{Label, Version};
use crate::plan::{SeenModel, SeenVersion, Standing};
use crate::routing::LabelRoute;
use crate::spec::VersionSpec;
use crate::version_policy::VersionPolicy;
use crate::wanted::WantedModel;

/// Where each wanted label points now (law 6).
///
/// A label moves to its target only when that is ready. Until then it stays where callers get an answer,
/// unless that answer would be of something that no longer exists: a version or a model that was made
/// anew under the same name, or, where memory is short, anything that is not wanted any more. A version that the
/// settings leave out keeps it only while the target is to come, or while it is `retained` anyway.
pub(crate) fn labels(
    wanted: &WantedModel,
    seen: &SeenModel,
    retained: &BTreeSet<Version>,
) -> BTreeMap<Label, LabelRoute> {
    let stops_first = wanted.settings.takeover.stops_first();
    let point = |label: &Label, aspired: Version| {
        let comes = wanted.versions.contains_key(&aspired);
        let stays = |version: &Version| {
            let left_out = wanted.left_out.contains_key(version);
            retained.contains(version) || (!stops_first && (comes || !left_out))
        };
        let answers = |version: &Version| {
            answers(*version, wanted, seen)
                && (wanted.versions.contains_key(version) || stays(version))
        };
        let before = seen.labels.get(label).and_then(|route| route.current);
        let current = before.filter(answers);
        let target = wanted
            .versions
            .get(&aspired)
            .filter(|_| answers(&aspired))
            .and_then(|_| seen.versions.get(&aspired))
            // A label that points nowhere has nothing to lose.
            .filter(|life| life.standing == Standing::Ready || current.is_none())
            .map(|_| aspired);
        LabelRoute {
            aspired: Some(aspired),
            current: target.or(current),
        }
    };
    wanted
        .labels
        .iter()
        .map(|(label, aspired)| (label.clone(), point(label, *aspired)))
        .collect()
}

/// The versions that the settings leave out and that answer until enough of what they choose does: the newest ones.
///
/// So a new version that cannot be started never ends the one whose place it was to take. Where memory is short they go
/// at once.
pub(crate) fn retained(wanted: &WantedModel, seen: &SeenModel) -> BTreeSet<Version> {
    if wanted.settings.takeover.stops_first() {
        return BTreeSet::new();
    }
    let answering = |(version, spec): &(&Version, &Arc<VersionSpec>)| {
        let life = seen.versions.get(*version);
        life.is_some_and(|life| reachable(life) && spec.same_servable(&life.spec))
    };
    let policy = &wanted.settings.versions;
    let newest = wanted.versions.iter().rev();
    let there = match policy {
        VersionPolicy::Latest(_) => newest.take(policy.goal()).filter(answering).count(),
        VersionPolicy::All | VersionPolicy::Listed(_) => newest.filter(answering).count(),
    };
    let left_out = wanted.left_out.iter().rev().filter(answering);
    left_out
        .take(policy.goal().saturating_sub(there))
        .map(|(version, _)| *version)
        .collect()
}

/// The wanted versions in the order in which they are worth starting: those with a label, whose
/// callers are known to exist, then the newest.
pub(crate) fn order_of_starts(wanted: &WantedModel) -> impl Iterator<Item = &Arc<VersionSpec>> {
    let labelled: BTreeSet<&Version> = wanted.labels.values().collect();
    let (first, then): (Vec<_>, Vec<_>) = wanted
        .versions
        .iter()
        .rev()
        .partition(|(version, _)| labelled.contains(version));
    first.into_iter().chain(then).map(|(_, spec)| spec)
}

/// Whether callers of `version` get the answers of what is wanted under that number, or of what was
/// wanted last.
fn answers(version: Version, wanted: &WantedModel, seen: &SeenModel) -> bool {
    let Some(life) = seen.versions.get(&version) else {
        return false;
    };
    let wanted_now = wanted.versions.get(&version);
    reachable(life)
        && wanted.incarnation.as_ref() == Some(&life.spec.model_incarnation)
        && wanted_now
            .or_else(|| wanted.left_out.get(&version))
            .is_none_or(|spec| spec.same_servable(&life.spec))
}

fn reachable(life: &SeenVersion) -> bool {
    matches!(life.standing, Standing::Ready | Standing::Faltering)
}
