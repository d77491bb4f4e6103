//! The manager: closes the difference between what is aspired and what is seen.
//!
//! It decides and it writes the routing table; it never builds, loads, drains or waits for anything but
//! the next change. Every pass looks at everything anew, so that a change that was missed, or came
//! twice, makes no difference.

mod life;
mod model;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::aspired::Aspired;
use crate::clock::Clock;
use crate::config::ManagerConfig;
use crate::event::{Event, Fact};
use crate::gate::Gate;
use crate::handle::{Ask, Handle};
use crate::id::{Generation, ModelName};
use crate::intent::Intents;
use crate::loader::Loader;
use crate::log::EventLog;
use crate::permits::{Permits, Urgency};
use crate::phase::Phase;
use crate::plan::{Action, plan};
use crate::replicas::{ReplicasWriter, StackSeed};
use crate::routing::{Router, RoutingTable};
use crate::snapshot::Snapshot;
use crate::spec::VersionSpec;
use crate::supervisor::{
    Ended, Equipment, Orders, STOP_DEADLINE, Status, StatusWriter, Supervisor, Workshop,
};
use crate::wanted::Wanted;
use life::Life;
use model::Model;

/// Starts that are possible beyond those of new versions, while these hang.
const RECOVERY_PERMITS: usize = 2;

/// What is wanted, from its two sides. Both values stand until they change.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// From the source of versions. `None` is not known yet: nothing happens before it is (law 2).
    pub aspired: watch::Receiver<Option<Arc<Aspired>>>,
    /// From people.
    pub intents: watch::Receiver<Arc<Intents>>,
}

/// Builds a version's own stack when the version first becomes ready. It runs in the manager's task: it
/// puts things together and waits for nothing.
pub type BuildStack<S, T> = Box<dyn Fn(StackSeed<S>) -> T + Send + Sync>;

/// Closes the difference between what is aspired and what is seen.
///
/// `S` is what a live replica offers, `T` the stack that callers of a version reach.
pub struct Manager<S, T> {
    inputs: Inputs,
    asks: mpsc::Receiver<Ask>,
    /// Who waits for the next pass.
    onlookers: Vec<oneshot::Sender<()>>,
    /// Notified whenever a supervisor has something to report, and when another pass is due.
    wake: Arc<Notify>,
    equipment: Arc<Equipment<S>>,
    stack: BuildStack<S, T>,
    log: EventLog,
    clock: Arc<dyn Clock>,
    /// The inputs that `wanted` was made from.
    looked_at: Option<(Arc<Aspired>, Arc<Intents>)>,
    /// `None` as long as it is not known.
    wanted: Option<Arc<Wanted>>,
    models: BTreeMap<ModelName, Model<S, T>>,
    /// The last generation that was given out.
    generation: u64,
    supervisors: JoinSet<Ended>,
    table: Arc<ArcSwap<RoutingTable<T>>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl<S: Send + Sync + 'static, T: Send + Sync + 'static> Manager<S, T> {
    /// A manager and its outside. Nothing happens before `run`.
    pub fn new(
        config: ManagerConfig,
        loader: Arc<dyn Loader<S>>,
        stack: BuildStack<S, T>,
        inputs: Inputs,
        events: mpsc::Sender<Event>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Handle<T>) {
        const ASK_QUEUE: usize = 16;
        let (ask, asks) = mpsc::channel(ASK_QUEUE);
        let (snapshot, seen) = watch::channel(Arc::default());
        let table = Arc::new(ArcSwap::from_pointee(RoutingTable::default()));
        let log = EventLog::new(events, Arc::clone(&clock));
        let handle = Handle {
            router: Router::over(Arc::clone(&table)),
            snapshot: seen,
            asks: ask,
            dropped_events: log.dropped(),
        };
        let equipment = Equipment {
            loader,
            prepares: Permits::new(config.prepare_permits, 0),
            loads: Permits::new(config.load_permits, RECOVERY_PERMITS),
            log: log.clone(),
            config,
        };
        let manager = Self {
            inputs,
            asks,
            onlookers: Vec::new(),
            wake: Arc::default(),
            equipment: Arc::new(equipment),
            stack,
            log,
            clock,
            looked_at: None,
            wanted: None,
            models: BTreeMap::new(),
            generation: 0,
            supervisors: JoinSet::new(),
            table,
            snapshot,
        };
        (manager, handle)
    }

    /// Works until `shutdown`; then drains and stops everything, and returns.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = interval(self.equipment.config.tick.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_cancelled() {
            self.reconcile();
            for onlooker in self.onlookers.drain(..) {
                // Whoever asked may have gone.
                let _ = onlooker.send(());
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                Some(ask) = self.asks.recv() => self.accept(ask),
                Some(ended) = self.supervisors.join_next() => self.bury_all(ended),
                Ok(()) = self.inputs.aspired.changed() => {}
                Ok(()) = self.inputs.intents.changed() => {}
                () = self.wake.notified() => {}
                _ = tick.tick() => self.look_at_all(),
            }
        }
        self.end().await;
    }

    /// One pass: decide, show what goes, swap the table, show what has come (law 5).
    fn reconcile(&mut self) {
        self.look_at_inputs();
        let Some(wanted) = self.wanted.clone() else {
            return;
        };
        let retiring = self.decide(&wanted);
        if retiring {
            self.publish();
        }
        let swapped = self.swap_table(&wanted);
        self.dismiss();
        self.announce();
        let seen_anew = self.models.values().any(|model| model.due);
        self.models
            .retain(|name, model| wanted.models.contains_key(name) || !model.lives.is_empty());
        if seen_anew {
            self.publish();
        }
        for model in self.models.values_mut() {
            // What was held back until now, a protected version for one, is due for another look.
            model.due = model.swapped;
        }
        if swapped {
            self.wake.notify_one();
        }
    }

    fn look_at_inputs(&mut self) {
        let Some(aspired) = self.inputs.aspired.borrow_and_update().clone() else {
            return;
        };
        let intents = Arc::clone(&self.inputs.intents.borrow_and_update());
        let known = self.looked_at.as_ref().is_some_and(|(known, knew)| {
            Arc::ptr_eq(known, &aspired) && Arc::ptr_eq(knew, &intents)
        });
        if known {
            return;
        }
        let wanted = Wanted::new(&aspired, &intents);
        for name in wanted.models.keys() {
            // Not `entry`: nearly all of them are there.
            if !self.models.contains_key(name) {
                self.models.insert(name.clone(), Model::default());
            }
        }
        // At start-up everything is housekeeping.
        if let Some(earlier) = &self.wanted {
            for name in wanted.asked_since(earlier, &intents) {
                self.models.entry(name).or_default().asked = true;
            }
        }
        self.look_at_all();
        self.looked_at = Some((aspired, intents));
        self.wanted = Some(Arc::new(wanted));
    }

    /// Lets the next pass look at every model, not only at those of which something was heard.
    fn look_at_all(&mut self) {
        for model in self.models.values_mut() {
            model.due = true;
        }
    }

    /// Decides about each model and does it, as far as it is not the table's business. Returns whether
    /// something is to get out of reach.
    fn decide(&mut self, wanted: &Wanted) -> bool {
        let mut retiring = false;
        let now = self.clock.now();
        let mut models = std::mem::take(&mut self.models);
        for (name, model) in &mut models {
            if !model.look_at_lives(now) {
                continue;
            }
            let plan = plan(wanted.models.get(name), &model.seen());
            let started = model.asked
                && plan
                    .actions
                    .iter()
                    .any(|action| matches!(action, Action::Start(_)));
            for action in plan.actions {
                retiring |= matches!(action, Action::Retire(_));
                self.perform(action, name, model, now);
            }
            model.asked &= !started;
            model.planned = plan.labels;
        }
        self.models = models;
        retiring
    }

    fn perform(
        &mut self,
        action: Action,
        name: &ModelName,
        model: &mut Model<S, T>,
        now: SystemTime,
    ) {
        match action {
            Action::Retire(version) => {
                if let Some(life) = model.lives.get_mut(&version) {
                    life.show(Phase::Draining, now);
                    self.log.write(name, Some(version), Fact::Draining {});
                }
            }
            Action::Update(spec) => {
                if let Some(life) = model.lives.get_mut(&spec.id.version) {
                    life.update(spec);
                }
            }
            Action::Start(spec) => {
                let urgency = if model.asked {
                    Urgency::Awaited
                } else {
                    Urgency::Housekeeping
                };
                let life = self.start(spec, urgency, now);
                model.lives.insert(life.spec.id.version, life);
            }
        }
    }

    fn start(&mut self, spec: Arc<VersionSpec>, urgency: Urgency, now: SystemTime) -> Life<S, T> {
        self.generation += 1;
        let generation = Generation(self.generation);
        self.log.version(&spec.id, Fact::Discovered { generation });
        let (orders, watched_orders) = watch::channel(Orders::new(Arc::clone(&spec)));
        let (settings, _) = watch::channel(Arc::clone(&spec.settings));
        let (status, reports) = StatusWriter::new(Arc::clone(&self.wake));
        let (writer, replicas, recycles) = ReplicasWriter::new();
        let gate = Arc::<Gate>::default();
        // The ticket is drawn in the order of the decisions, not of the tasks' first steps (law 9).
        let ticket = self.equipment.prepares.ticket(urgency);
        let equipment = Arc::clone(&self.equipment);
        let supervisor = Supervisor {
            workshop: Arc::new(Workshop::new(
                spec.id.clone(),
                generation,
                equipment,
                status,
            )),
            orders: watched_orders,
            replicas: writer,
            recycles,
            gate: Arc::clone(&gate),
            clock: Arc::clone(&self.clock),
            ticket,
        };
        let task = self.supervisors.spawn(supervisor.run());
        Life {
            spec,
            generation,
            discovered: Instant::now(),
            gate,
            orders,
            settings,
            replicas,
            reports,
            status: Status::default(),
            route: None,
            phase: Phase::Pending,
            since: now,
            step_since: now,
            task,
        }
    }

    /// Makes all that was decided true for callers in one step. Returns whether anything is new to them.
    fn swap_table(&mut self, wanted: &Wanted) -> bool {
        let mut changed = false;
        for (name, model) in self.models.iter_mut().filter(|(_, model)| model.due) {
            model.open_routes(&self.stack);
            changed |= model.route(wanted.models.get(name));
        }
        if changed {
            let routes = |(name, model): (&ModelName, &Model<S, T>)| {
                Some((name.clone(), Arc::clone(model.routes.as_ref()?)))
            };
            let models = self.models.iter().filter_map(routes).collect();
            self.table.store(Arc::new(RoutingTable { models }));
        }
        changed
    }

    /// Lets the lives that callers cannot reach any more come to their end.
    fn dismiss(&self) {
        let due = self.models.values().filter(|model| model.due);
        for life in due.flat_map(|model| model.lives.values()) {
            if life.draining() {
                life.orders
                    .send_if_modified(|orders| !std::mem::replace(&mut orders.retire, true));
            }
        }
    }

    /// Says what callers can reach from now on.
    fn announce(&mut self) {
        let now = self.clock.now();
        for (name, model) in self.models.iter_mut().filter(|(_, model)| model.due) {
            for (version, life) in &mut model.lives {
                if life.becomes_ready() {
                    life.show(Phase::Ready, now);
                    let took = life.discovered.elapsed();
                    self.log.write(name, Some(*version), Fact::Ready { took });
                }
            }
            for (label, from, to) in std::mem::take(&mut model.moved) {
                let fact = Fact::LabelMoved { label, from, to };
                self.log.write(name, to, fact);
            }
        }
    }

    fn publish(&self) {
        let models = self
            .models
            .iter()
            .map(|(name, model)| (name.clone(), model.snapshot()))
            .collect();
        let seen = Snapshot { models };
        self.snapshot.send_if_modified(|snapshot| {
            let changed = **snapshot != seen;
            if changed {
                *snapshot = Arc::new(seen);
            }
            changed
        });
    }

    fn accept(&mut self, ask: Ask) {
        let (id, accepted) = match ask {
            Ask::Restart { id, accepted } => (id, accepted),
            Ask::CatchUp { done } => {
                self.onlookers.push(done);
                return;
            }
        };
        let model = self.models.get_mut(&id.model);
        let ordered = model.is_some_and(|model| model.restart(id.version));
        // Whoever asked may have gone; the order stands.
        let _ = accepted.send(ordered);
    }

    /// Buries all whose end has come by now: what is published after a burial costs as much as there are versions.
    fn bury_all(&mut self, first: Result<Ended, JoinError>) {
        self.bury(first);
        while let Some(ended) = self.supervisors.try_join_next() {
            self.bury(ended);
        }
    }

    /// Takes a life that is over off the record. What is wanted of its successor is the next pass's business.
    fn bury(&mut self, ended: Result<Ended, JoinError>) {
        let (id, generation, abandoned) = match ended {
            Ok(ended) => (ended.id, ended.generation, ended.abandoned),
            Err(error) => {
                // Panics of loaders are caught earlier: this is a fault of the engine itself.
                tracing::error!(%error, "a supervisor's task failed");
                let mut lives = self.models.values().flat_map(|model| model.lives.values());
                let Some(life) = lives.find(|life| life.task.id() == error.id()) else {
                    return;
                };
                life.gate.close();
                (life.spec.id.clone(), life.generation, life.gate.inside())
            }
        };
        let Some(model) = self.models.get_mut(&id.model) else {
            return;
        };
        let lives = &mut model.lives;
        // What an older generation reports is nobody's business any more (law 7).
        if lives
            .get(&id.version)
            .is_some_and(|life| life.generation == generation)
        {
            lives.remove(&id.version);
            model.due = true;
            self.log.version(&id, Fact::Retired { abandoned });
        }
    }

    /// Drains and stops everything at once.
    async fn end(mut self) {
        // Nothing can be restarted any more; whoever asks is told so at once.
        self.asks.close();
        while self.asks.try_recv().is_ok() {}
        let nothing = Wanted::default();
        self.wanted = None;
        self.look_at_all();
        self.decide(&nothing);
        self.publish();
        self.swap_table(&nothing);
        self.dismiss();
        self.publish();
        let patience =
            self.equipment.config.drain_deadline + STOP_DEADLINE + Duration::from_secs(1);
        let all = async {
            while let Some(ended) = self.supervisors.join_next().await {
                self.bury_all(ended);
                self.models.retain(|_, model| !model.lives.is_empty());
                self.publish();
            }
        };
        if timeout(patience, all).await.is_err() {
            tracing::error!("versions did not end in time and are dropped");
            self.supervisors.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests;
