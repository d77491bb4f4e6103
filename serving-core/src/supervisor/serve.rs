//! Keeps the replicas of a version that became ready: as many as wanted, replaced where they died or
//! were given up, without closing the route.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::Fact;
use crate::gate::Gate;
use crate::id::ReplicaId;
use crate::loader::{Exit, Instance, LoadError, Prepared, Retry, Stop};
use crate::permits::Urgency;
use crate::phase::{Failure, FailureKind, Phase};
use crate::replicas::{Recycle, Replica, ReplicasWriter};
use crate::restart::CrashRecord;
use crate::supervisor::orders::Orders;
use crate::supervisor::renewal::Renewal;
use crate::supervisor::workshop::{Edition, Loaded, Workshop};
use crate::supervisor::{STOP_DEADLINE, Supervisor};

struct Serving<'a, S> {
    workshop: &'a Arc<Workshop<S>>,
    replicas: &'a ReplicasWriter<S>,
    gate: &'a Gate,
    clock: &'a dyn Clock,
    /// The newest orders that were seen.
    orders: Orders,
    /// What new replicas are loaded from.
    prepared: Arc<dyn Prepared<S>>,
    /// Counts what `prepared` has been.
    edition: u64,
    running: Vec<Running<S>>,
    loads: FuturesUnordered<BoxFuture<'static, LoadDone<S>>>,
    exits: FuturesUnordered<BoxFuture<'static, Option<(ReplicaId, Exit)>>>,
    stops: FuturesUnordered<BoxFuture<'static, ()>>,
    renewal: Renewal<S>,
    crashes: CrashRecord,
    /// No replica is loaded before.
    resume_at: Option<Instant>,
    /// Set once it is ordered to retire: when callers are cut off.
    cut_off_at: Option<Instant>,
    /// Whoever still waits for the callers of a replica stops waiting.
    hurry: CancellationToken,
}

struct Running<S> {
    replica: Arc<Replica<S>>,
    stop: Box<dyn Stop>,
    /// Why another one is to take its place, if so.
    replace: Option<Arc<str>>,
    /// Its exit is of no interest any more.
    gone: CancellationToken,
}

struct LoadDone<S> {
    edition: u64,
    replica: ReplicaId,
    result: Result<Loaded<S>, LoadError>,
}

impl<S: Send + Sync + 'static> Supervisor<S> {
    /// Serves until it is ordered to retire and the callers are gone, or the drain deadline has passed.
    /// Returns how many callers were cut off.
    pub(super) async fn serve(&mut self, first: Edition<S>, made_under: Orders) -> u64 {
        let Self {
            workshop,
            orders,
            replicas,
            recycles,
            gate,
            clock,
            ..
        } = self;
        let mut serving = Serving {
            workshop,
            replicas,
            gate,
            clock: clock.as_ref(),
            orders: made_under,
            prepared: first.prepared,
            edition: 0,
            running: Vec::new(),
            loads: FuturesUnordered::new(),
            exits: FuturesUnordered::new(),
            stops: FuturesUnordered::new(),
            renewal: Renewal::none(),
            crashes: CrashRecord::default(),
            resume_at: None,
            cut_off_at: None,
            hurry: CancellationToken::new(),
        };
        serving.adopt(0, first.first);
        loop {
            let newest = orders.borrow_and_update().clone();
            serving.obey(newest);
            serving.arrange();
            let renew_at = serving.renewal.retry_at();
            // Each branch only takes in what happened: what follows from it is decided above, in one place.
            tokio::select! {
                biased;
                Ok(()) = orders.changed() => {}
                () = gate.drained(), if serving.cut_off_at.is_some() => break,
                Some(exit) = serving.exits.next() => serving.exited(exit),
                Some(done) = serving.loads.next() => serving.loaded(done),
                made = serving.renewal.finished() => serving.renewed(made),
                Some(recycle) = recycles.recv() => serving.recycle(recycle),
                Some(()) = serving.stops.next() => {}
                () = until(serving.cut_off_at) => break,
                () = until(serving.resume_at) => serving.resume_at = None,
                () = until(renew_at) => {
                    serving.renewal.resume(workshop, &serving.orders.spec);
                }
            }
        }
        serving.end().await
    }
}

impl<S: Send + Sync + 'static> Serving<'_, S> {
    fn obey(&mut self, newest: Orders) {
        let renew = newest.ask_for_new_replicas(&self.orders);
        let retire = newest.retire && self.cut_off_at.is_none();
        self.orders = newest;
        if retire {
            self.gate.close();
            self.cut_off_at = Some(Instant::now() + self.workshop.equipment.config.drain_deadline);
            self.renewal = Renewal::none();
        } else if renew && self.cut_off_at.is_none() {
            self.workshop.log(Fact::Restarting {});
            self.renewal = Renewal::begin(self.workshop, Arc::clone(&self.orders.spec));
        }
    }

    /// Starts and puts aside replicas until what runs is what is wanted.
    fn arrange(&mut self) {
        let wanted = self.orders.spec.settings.replicas.get() as usize;
        let retiring = self.cut_off_at.is_some();
        while self.running.len() > wanted && !retiring {
            self.put_aside_one();
        }
        if self.resume_at.is_some() {
            return;
        }
        let coming = self.running.len() + self.loads.len();
        if retiring {
            // For callers that are still inside, one is enough.
            if coming == 0 {
                self.load();
            }
        } else if coming < wanted {
            for _ in coming..wanted {
                self.load();
            }
        } else if self.loads.is_empty() && self.running.iter().any(|one| one.replace.is_some()) {
            // The new one comes before the old one goes, and one at a time: replicas can be large.
            self.load();
        }
    }

    fn load(&self) {
        let urgency = if self.running.is_empty() {
            Urgency::Awaited
        } else {
            Urgency::Housekeeping
        };
        let workshop = Arc::clone(self.workshop);
        let prepared = Arc::clone(&self.prepared);
        let edition = self.edition;
        let replica = workshop.next_replica();
        let load = async move {
            let result = workshop.load(replica, prepared.as_ref(), urgency).await;
            LoadDone {
                edition,
                replica,
                result,
            }
        };
        self.loads.push(load.boxed());
    }

    fn loaded(&mut self, done: LoadDone<S>) {
        match done.result {
            Ok(loaded) => self.adopt(done.edition, loaded),
            // It could be loaded before, so no error is final now: it counts as one more crash.
            Err(error) => self.crashed(
                done.replica,
                format!("could not be started: {error}").into(),
                error.last_lines,
            ),
        }
    }

    fn adopt(&mut self, edition: u64, loaded: Loaded<S>) {
        let Loaded { id, instance, took } = loaded;
        let Instance {
            servable,
            exit,
            stop,
        } = instance;
        let gone = CancellationToken::new();
        self.exits.push({
            let gone = gone.clone();
            async move { Some((id, gone.run_until_cancelled(exit).await?)) }.boxed()
        });
        let replica = self.replicas.add(id, servable);
        let replace = (edition < self.edition).then(|| NEWER_EDITION.into());
        self.running.push(Running {
            replica,
            stop,
            replace,
            gone,
        });
        self.workshop
            .log(Fact::ReplicaStarted { replica: id, took });
        let live = self.live();
        self.workshop.status.update(|status| {
            status.phase = Phase::Ready;
            status.served = true;
            status.live = live;
        });
    }

    fn exited(&mut self, exit: Option<(ReplicaId, Exit)>) {
        let Some((id, exit)) = exit else { return };
        // One that was put aside may die as it likes.
        let place = self.running.iter().position(|one| one.replica.id == id);
        if let Some(place) = place {
            let dead = self.running.remove(place);
            dead.replica.gate().close();
            self.crashed(id, exit.reason, exit.last_lines);
            // The process is gone, but what surrounds it has to be cleared away in good order too.
            self.stops.push(stop(dead.stop).boxed());
        }
    }

    fn crashed(&mut self, replica: ReplicaId, reason: Arc<str>, last_lines: Vec<String>) {
        let policy = &self.workshop.equipment.config.restart;
        let now = Instant::now();
        let verdict = self.crashes.crashed(policy, now);
        self.resume_at = Some(now + verdict.pause);
        self.workshop.status.update(|status| status.crashes += 1);
        self.workshop.log(Fact::ReplicaCrashed {
            replica,
            reason: Arc::clone(&reason),
            last_lines: last_lines.clone(),
            restart_in: verdict.pause,
        });
        let failure = (verdict.loops && self.running.is_empty()).then(|| Failure {
            kind: FailureKind::CrashLoop,
            message: format!(
                "It died {} times in a short time. {reason}",
                verdict.crashes
            )
            .into(),
            last_lines,
            next_try: Some(self.clock.now() + verdict.pause),
            attempts: verdict.crashes,
        });
        self.replicas.remove(replica, failure.clone());
        let live = self.live();
        self.workshop.status.update(|status| status.live = live);
        if let Some(failure) = failure {
            self.workshop.status.phase(Phase::Failed(failure.clone()));
            self.workshop.log(Fact::Failed { failure });
        }
    }

    fn renewed(&mut self, made: Result<Edition<S>, LoadError>) {
        match made {
            Ok(edition) => {
                self.prepared = edition.prepared;
                self.edition += 1;
                for old in &mut self.running {
                    old.replace = Some(NEWER_EDITION.into());
                }
                self.crashes.forget();
                self.resume_at = None;
                self.adopt(self.edition, edition.first);
            }
            Err(error) => {
                let policy = &self.workshop.equipment.config.restart;
                let attempts = self.renewal.failed(error.retry, policy);
                let pause = self
                    .renewal
                    .retry_at()
                    .map(|at| at.duration_since(Instant::now()));
                let kind = match error.retry {
                    Retry::Never => FailureKind::Permanent,
                    Retry::Later => FailureKind::Transient,
                };
                // The old replicas serve on, so the phase stays what it is.
                self.workshop.log(Fact::Failed {
                    failure: Failure {
                        kind,
                        message: error.message,
                        last_lines: error.last_lines,
                        next_try: pause.map(|pause| self.clock.now() + pause),
                        attempts,
                    },
                });
            }
        }
    }

    fn recycle(&mut self, recycle: Recycle) {
        let mut running = self.running.iter_mut();
        if let Some(one) = running.find(|one| one.replica.id == recycle.replica) {
            one.replace = Some(recycle.reason);
        }
    }

    /// Takes one replica out: one that is to be replaced, or else the newest.
    fn put_aside_one(&mut self) {
        let replaced = self.running.iter().position(|one| one.replace.is_some());
        let place = replaced.unwrap_or(self.running.len().saturating_sub(1));
        let aside = self.running.remove(place);
        let id = aside.replica.id;
        self.replicas.remove(id, None);
        aside.replica.gate().close();
        let live = self.live();
        self.workshop.status.update(|status| status.live = live);
        if let Some(reason) = aside.replace {
            self.workshop.log(Fact::ReplicaReplaced {
                replica: id,
                reason,
            });
        }
        let hurry = self.hurry.clone();
        let patience = self.workshop.equipment.config.drain_deadline;
        let workshop = Arc::clone(self.workshop);
        let end = async move {
            let drained = timeout(patience, aside.replica.gate().drained());
            if let Some(Err(_)) = hurry.run_until_cancelled(drained).await {
                let abandoned = aside.replica.gate().inside();
                tracing::warn!(servable = %workshop.id, replica = %id, abandoned, "callers of a replaced replica were cut off");
            }
            stop(aside.stop).await;
            aside.gone.cancel();
        };
        self.stops.push(end.boxed());
    }

    async fn end(mut self) -> u64 {
        let abandoned = self.gate.inside();
        self.loads.clear();
        self.hurry.cancel();
        self.replicas.clear(None);
        let running = std::mem::take(&mut self.running);
        self.workshop.status.update(|status| status.live = 0);
        for one in running {
            one.replica.gate().close();
            self.stops.push(stop(one.stop).boxed());
        }
        while self.stops.next().await.is_some() {}
        abandoned
    }

    fn live(&self) -> u32 {
        u32::try_from(self.running.len()).unwrap_or(u32::MAX)
    }
}

/// Why a replica of an older edition is replaced.
const NEWER_EDITION: &str = "newly prepared workers take over";

/// Stops it, or drops it after the deadline, which kills it.
async fn stop(handle: Box<dyn Stop>) {
    if timeout(STOP_DEADLINE, handle.stop()).await.is_err() {
        tracing::warn!("a replica did not stop in time and was dropped");
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
