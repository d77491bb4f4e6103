//! Availability before novelty: where labels point, and what is begun first. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{Label, Version};
use crate::plan::{SeenModel, SeenVersion, Standing};
use crate::routing::LabelRoute;
use crate::spec::VersionSpec;
use crate::wanted::WantedModel;

/// Where each wanted label points now (law 6).
///
/// A label moves to its target only when that is ready. Until then it stays where callers get an answer,
/// unless that answer would be of something that no longer exists: a version or a model that was made
/// anew under the same name.
pub(crate) fn labels(wanted: &WantedModel, seen: &SeenModel) -> BTreeMap<Label, LabelRoute> {
    let point = |label: &Label, aspired: Version| {
        let before = seen.labels.get(label).and_then(|route| route.current);
        let current = before.filter(|version| answers(*version, wanted, seen));
        let target = wanted
            .versions
            .get(&aspired)
            .filter(|_| answers(aspired, wanted, seen))
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
    reachable(life)
        && wanted.incarnation.as_ref() == Some(&life.spec.model_incarnation)
        && wanted
            .versions
            .get(&version)
            .is_none_or(|spec| spec.same_servable(&life.spec))
}

fn reachable(life: &SeenVersion) -> bool {
    matches!(life.standing, Standing::Ready | Standing::Faltering)
}
