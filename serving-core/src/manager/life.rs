//! The manager's record of one life of a version, from its start until its supervisor has ended.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::gate::Gate;
use crate::id::Generation;
use crate::phase::Phase;
use crate::plan::{SeenVersion, Standing};
use crate::replicas::{Replicas, StackSeed};
use crate::routing::Route;
use crate::settings::Settings;
use crate::snapshot::VersionSnapshot;
use crate::spec::VersionSpec;
use crate::supervisor::{Orders, Status};

pub(super) struct Life<S, T> {
    pub(super) spec: Arc<VersionSpec>,
    pub(super) generation: Generation,
    pub(super) discovered: Instant,
    pub(super) gate: Arc<Gate>,
    pub(super) orders: watch::Sender<Orders>,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) replicas: Replicas<S>,
    pub(super) reports: watch::Receiver<Status>,
    /// The last report that was taken in.
    pub(super) status: Status,
    /// The way to it, from its first replica on.
    pub(super) route: Option<Arc<Route<T>>>,
    /// As the snapshot shows it.
    pub(super) phase: Phase,
    pub(super) since: SystemTime,
    /// When the step in `status` began.
    pub(super) step_since: SystemTime,
    pub(super) task: AbortHandle,
}

impl<S, T> Life<S, T> {
    pub(super) fn draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    pub(super) fn standing(&self) -> Standing {
        if self.draining() {
            Standing::Draining
        } else if !self.status.served {
            Standing::Unserved
        } else if self.status.phase == Phase::Ready && (self.status.live > 0 || self.status.asleep)
        {
            Standing::Ready
        } else {
            Standing::Faltering
        }
    }

    /// Whether it is ready, and that is not shown yet.
    pub(super) fn becomes_ready(&self) -> bool {
        self.standing() == Standing::Ready && self.phase != Phase::Ready
    }

    pub(super) fn stack_seed(&self) -> StackSeed<S> {
        StackSeed {
            id: self.spec.id.clone(),
            replicas: self.replicas.clone(),
            settings: self.settings.subscribe(),
        }
    }

    /// The way to the version, once its stack is built.
    pub(super) fn open_route(&mut self, target: T) {
        let gate = Arc::clone(&self.gate);
        let route = Route::behind(gate, self.spec.id.clone(), self.generation, target);
        self.route = Some(Arc::new(route));
    }

    pub(super) fn seen(&self) -> SeenVersion {
        SeenVersion {
            spec: Arc::clone(&self.spec),
            standing: self.standing(),
        }
    }

    /// Shows `phase` from now on.
    pub(super) fn show(&mut self, phase: Phase, now: SystemTime) {
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
    }

    /// Tells the supervisor and the stack what is wanted now.
    pub(super) fn update(&mut self, spec: Arc<VersionSpec>) {
        self.settings.send_if_modified(|settings| {
            let changed = **settings != *spec.settings;
            *settings = Arc::clone(&spec.settings);
            changed
        });
        self.orders
            .send_modify(|orders| orders.spec = Arc::clone(&spec));
        self.spec = spec;
    }

    /// Takes in what its supervisor has reported.
    pub(super) fn take(&mut self, status: Status, now: SystemTime) {
        if status.step != self.status.step {
            self.step_since = now;
        }
        self.status = status;
        if !self.draining() && self.status.phase != Phase::Ready {
            self.show(self.status.phase.clone(), now);
        }
    }

    /// Whether orders that change workers were not taken up yet, so that the status tells of what was before. How many
    /// workers are wanted changes nothing for one that has failed: it stays what it is, and takes up no such order.
    fn lags(&self) -> bool {
        let Some(taken) = &self.status.taken else {
            return true;
        };
        let orders = self.orders.borrow();
        let serves = self.status.phase == Phase::Ready;
        orders.give_another_chance(taken) || (serves && orders.want_other_replicas(taken))
    }

    /// Before it has served, that is what it begins with.
    fn wanted_replicas(&self) -> u32 {
        if self.draining() {
            0
        } else if self.status.served {
            self.status.wanted
        } else {
            self.spec.settings.replicas.least_awake()
        }
    }

    pub(super) fn snapshot(&self) -> VersionSnapshot {
        let lags = self.lags();
        let decided = matches!(self.phase, Phase::Ready | Phase::Failed(_));
        VersionSnapshot {
            generation: self.generation,
            phase: self.phase.clone(),
            since: self.since,
            step: self.status.step.clone(),
            step_since: self.status.step.as_ref().map(|_| self.step_since),
            replicas: self.status.live,
            replicas_wanted: self.wanted_replicas(),
            asleep: decided && self.status.asleep,
            crashes: self.status.crashes,
            renewing: decided && (lags || self.status.renewing),
            renewal_failure: self.status.renewal_failure.clone().filter(|_| !lags),
        }
    }
}
