//! The manager's record of one model: the lives of its versions, and its part of the routing table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::id::{Label, Version};
use crate::manager::BuildStack;
use crate::manager::life::Life;
use crate::phase::Phase;
use crate::plan::SeenModel;
use crate::routing::{LabelRoute, ModelRoutes, VersionRoute};
use crate::snapshot::ModelSnapshot;
use crate::wanted::WantedModel;

pub(super) struct Model<S, T> {
    pub(super) lives: BTreeMap<Version, Life<S, T>>,
    /// As the routing table has them.
    pub(super) labels: BTreeMap<Label, LabelRoute>,
    /// Where the labels point after the next swap.
    pub(super) planned: BTreeMap<Label, LabelRoute>,
    /// Labels that the last swap has moved: which, from where, to where.
    pub(super) moved: Vec<Move>,
    /// As the routing table has them; `None` if it does not have the model.
    pub(super) routes: Option<Arc<ModelRoutes<T>>>,
    /// Whether its part of the table was changed by the last pass that looked at it.
    pub(super) swapped: bool,
    /// Something of it may have changed since the last pass looked at it.
    pub(super) due: bool,
    /// A person has enabled it, and none of its versions was started yet.
    pub(super) asked: bool,
}

type Move = (Label, Option<Version>, Option<Version>);

impl<S, T> Model<S, T> {
    /// Takes in what the supervisors have reported. Returns whether the model is due for a look. That a version is ready is not shown yet: first the
    /// table has to hold it (law 5).
    pub(super) fn look_at_lives(&mut self, now: SystemTime) -> bool {
        for life in self.lives.values_mut() {
            if !life.reports.has_changed().unwrap_or(false) {
                continue;
            }
            self.due = true;
            let status = life.reports.borrow_and_update().clone();
            life.take(status, now);
        }
        self.due
    }

    /// Orders new replicas of a version. Returns whether there is one to have them.
    pub(super) fn restart(&mut self, version: Version) -> bool {
        let life = self.lives.get(&version).filter(|life| !life.draining());
        if let Some(life) = life {
            life.orders.send_modify(|orders| orders.restarts += 1);
            // Whoever looks next sees that it is under way.
            self.due = true;
        }
        life.is_some()
    }

    pub(super) fn seen(&self) -> SeenModel {
        SeenModel {
            versions: self
                .lives
                .iter()
                .map(|(version, life)| (*version, life.seen()))
                .collect(),
            labels: self.labels.clone(),
        }
    }

    /// Opens a way to each version whose first replica has come up.
    pub(super) fn open_routes(&mut self, stack: &BuildStack<S, T>) {
        for life in self.lives.values_mut() {
            if life.status.served && life.route.is_none() && !life.draining() {
                let target = stack(life.stack_seed());
                life.open_route(target);
            }
        }
    }

    /// Brings the model's part of the table up to date. Returns whether it is another one now.
    pub(super) fn route(&mut self, wanted: Option<&WantedModel>) -> bool {
        let planned = std::mem::take(&mut self.planned);
        let before = std::mem::replace(&mut self.labels, planned);
        self.moved = moves(&before, &self.labels);
        let routes = wanted.map(|wanted| self.routes_for(wanted));
        self.swapped = routes.as_ref() != self.routes.as_deref();
        if self.swapped {
            self.routes = routes.map(Arc::new);
        }
        self.swapped
    }

    pub(super) fn snapshot(&self) -> ModelSnapshot {
        ModelSnapshot {
            versions: self
                .lives
                .iter()
                .map(|(version, life)| (*version, life.snapshot()))
                .collect(),
            labels: self.labels.clone(),
        }
    }

    fn routes_for(&self, wanted: &WantedModel) -> ModelRoutes<T> {
        // Wanted, but its predecessor is not gone yet.
        let waiting = wanted
            .versions
            .keys()
            .map(|version| (*version, VersionRoute::Unreachable(Phase::Pending)));
        let living =
            self.lives
                .iter()
                .filter(|(_, life)| !life.draining())
                .map(|(version, life)| {
                    let route = match &life.route {
                        Some(route) => VersionRoute::Reachable(Arc::clone(route)),
                        None => VersionRoute::Unreachable(life.phase.clone()),
                    };
                    (*version, route)
                });
        ModelRoutes {
            versions: waiting.chain(living).collect(),
            labels: self.labels.clone(),
        }
    }
}

fn moves(before: &BTreeMap<Label, LabelRoute>, after: &BTreeMap<Label, LabelRoute>) -> Vec<Move> {
    let current = |labels: &BTreeMap<Label, LabelRoute>, label| {
        labels
            .get(label)
            .and_then(|route: &LabelRoute| route.current)
    };
    let labels: BTreeSet<&Label> = before.keys().chain(after.keys()).collect();
    labels
        .into_iter()
        .map(|label| (label.clone(), current(before, label), current(after, label)))
        .filter(|(_, from, to)| from != to)
        .collect()
}

impl<S, T> Default for Model<S, T> {
    fn default() -> Self {
        Self {
            lives: BTreeMap::new(),
            labels: BTreeMap::new(),
            planned: BTreeMap::new(),
            moved: Vec::new(),
            routes: None,
            swapped: false,
            due: true,
            asked: false,
        }
    }
}
