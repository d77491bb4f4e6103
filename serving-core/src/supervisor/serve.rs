//! Keeps the replicas of a version that became ready: as many as wanted, replaced where they died or
//! were given up, without closing the route.

mod renewing;
mod replacing;
mod scaling;

use std::sync::Arc;
use std::time::Duration;

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
use crate::supervisor::given_up::{GivenUp, Postponed};
use crate::supervisor::orders::Orders;
use crate::supervisor::renewal::Renewal;
use crate::supervisor::scale::Scale;
use crate::supervisor::workshop::{Edition, Loaded, Workshop};
use crate::supervisor::{STOP_DEADLINE, Supervisor};

struct Serving<'a, S> {
    workshop: &'a Arc<Workshop<S>>,
    replicas: &'a ReplicasWriter<S>,
    gate: &'a Gate,
    clock: &'a dyn Clock,
    /// As many replicas as there are to be.
    scale: Scale,
    /// When the first caller came who woke the version that is not awake yet.
    woken_at: Option<Instant>,
    /// The newest orders that were seen.
    orders: Orders,
    /// The orders that `prepared` was made under, or that ask for nothing else.
    made_under: Orders,
    /// What new replicas are loaded from.
    prepared: Arc<dyn Prepared<S>>,
    /// Counts what `prepared` has been.
    edition: u64,
    running: Vec<Running<S>>,
    loads: FuturesUnordered<BoxFuture<'static, LoadDone<S>>>,
    exits: FuturesUnordered<BoxFuture<'static, Option<(ReplicaId, Exit)>>>,
    /// The loader's own wishes to have a replica replaced.
    wishes: FuturesUnordered<BoxFuture<'static, Option<Recycle>>>,
    stops: FuturesUnordered<BoxFuture<'static, ()>>,
    renewal: Renewal<S>,
    crashes: CrashRecord,
    given_up: GivenUp,
    /// Failed starts in a row, since a replica last came up.
    failed_starts: u32,
    /// What `prepared` stands for may be gone or broken: the next try begins with preparing.
    doubtful: bool,
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
    /// The same, for later.
    postponed: Option<Postponed>,
    /// Its exit and its loader's wishes are of no interest any more.
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
            scale: Scale::new(made_under.spec.settings.replicas, Instant::now()),
            woken_at: None,
            orders: made_under.clone(),
            made_under,
            prepared: first.prepared,
            edition: 0,
            running: Vec::new(),
            loads: FuturesUnordered::new(),
            exits: FuturesUnordered::new(),
            wishes: FuturesUnordered::new(),
            stops: FuturesUnordered::new(),
            renewal: Renewal::none(),
            crashes: CrashRecord::default(),
            given_up: GivenUp::default(),
            failed_starts: 0,
            doubtful: false,
            resume_at: None,
            cut_off_at: None,
            hurry: CancellationToken::new(),
        };
        serving.adopt(0, first.first);
        loop {
            let newest = orders.borrow_and_update().clone();
            serving.obey(newest);
            serving.scale();
            serving.arrange();
            serving.report();
            let renew_at = serving.renewal.retry_at();
            let replace_at = serving.postponed_until();
            let look_at = serving.look_at();
            let demand = Arc::clone(replicas.demand());
            // Each branch only takes in what happened: what follows from it is decided above, in one place.
            tokio::select! {
                biased;
                Ok(()) = orders.changed() => {}
                () = gate.drained(), if serving.cut_off_at.is_some() => break,
                Some(exit) = serving.exits.next() => serving.exited(exit),
                Some(done) = serving.loads.next() => serving.loaded(done),
                made = serving.renewal.finished() => serving.renewed(made),
                Some(recycle) = recycles.recv() => serving.recycle(recycle),
                Some(wish) = serving.wishes.next() => serving.wished(wish),
                Some(()) = serving.stops.next() => {}
                () = demand.news() => {}
                () = until(look_at) => {}
                () = until(serving.cut_off_at) => break,
                () = until(serving.resume_at) => serving.resume(),
                () = until(replace_at) => serving.replace_postponed(),
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
        let resized = newest.want_other_replicas(&self.orders);
        let retire = newest.retire && self.cut_off_at.is_none();
        self.orders = newest;
        if retire {
            self.gate.close();
            self.cut_off_at = Some(Instant::now() + self.workshop.equipment.config.drain_deadline);
            self.renewal = Renewal::none();
        } else if renew && self.cut_off_at.is_none() {
            self.workshop.log(Fact::Restarting {});
            let is_missing = self.running.is_empty() && !self.scale.is_asleep();
            let urgency = if is_missing {
                self.recovery()
            } else {
                Urgency::Awaited
            };
            self.renew(urgency);
        } else if resized && self.cut_off_at.is_none() {
            self.resized();
        }
    }

    /// How urgent it is to get a replica while there is none.
    fn recovery(&self) -> Urgency {
        if self.failed_starts == 0 {
            Urgency::Recovery
        } else {
            Urgency::RepeatedRecovery
        }
    }

    /// Starts and puts aside replicas until what runs is what is wanted.
    fn arrange(&mut self) {
        let wanted = self.wanted();
        let retiring = self.cut_off_at.is_some();
        // What stops still has its memory.
        let stops_first = self.orders.spec.settings.takeover.stops_first() && !retiring;
        while self.running.len() > wanted && !retiring {
            self.put_aside_one();
        }
        if self.running.len() >= wanted {
            self.crashes.whole(Instant::now());
        }
        if self.running.iter().all(|one| one.postponed.is_none()) {
            self.given_up.none(Instant::now());
        }
        if wanted == 0 && !retiring {
            self.resume_at = None;
        }
        if self.resume_at.is_some() || (wanted == 0 && !retiring) {
            return;
        }
        let outdated = self.running.iter().any(|one| one.replace.is_some());
        let at_rest = self.loads.is_empty() && self.stops.is_empty();
        if stops_first && outdated && at_rest && self.running.len() >= wanted {
            self.put_aside_one();
        }
        let leaving = if stops_first { self.stops.len() } else { 0 };
        let coming = self.running.len() + self.loads.len() + leaving;
        if retiring {
            // For callers that are still inside, one is enough.
            if coming == 0 {
                self.load();
            }
        } else if coming == 0 && self.doubtful {
            // Preparing is cheap if everything is still there, and brings back what is not.
            if !self.renewal.under_way() {
                self.renew(self.recovery());
            }
        } else if coming < wanted {
            for _ in coming..wanted {
                self.load();
            }
        } else if self.loads.is_empty() && outdated && !stops_first {
            // The new one comes before the old one goes, and one at a time: replicas can be large.
            self.load();
        }
    }

    fn wanted(&self) -> usize {
        self.scale.target() as usize
    }

    /// Tells the manager how far what runs is from what is ordered.
    fn report(&self) {
        let under_way = self.renewal.under_way();
        let differs = self.lacks_replicas()
            || self.running.iter().any(|one| one.replace.is_some())
            || self.renewal.retry_at().is_some();
        let taken = self.orders.clone();
        let wanted = self.scale.target();
        // One that failed and wakes is not told to have failed before it is known whether it does again.
        let wakes = self.woken_at.is_some() && !self.loads.is_empty();
        self.workshop.status.update(|status| {
            status.wanted = wanted;
            status.taken = Some(taken);
            status.renewing = match status.phase {
                Phase::Ready => under_way || differs,
                _ => under_way || wakes,
            };
        });
    }

    fn load(&self) {
        let urgency = if self.running.is_empty() {
            self.recovery()
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
            Err(error) => {
                self.failed_starts += 1;
                let policy = &self.workshop.equipment.config.restart;
                let pause = policy.pause(self.failed_starts);
                let hopeless = error.retry == Retry::Never || self.failed_starts > policy.crashes;
                self.doubtful |= hopeless && self.running.is_empty();
                let reason = format!("could not be started: {error}").into();
                self.log_crash(done.replica, reason, error.last_lines.clone(), pause);
                self.pause(pause, error);
            }
        }
    }

    /// Waits before the next start. If there is no replica, callers are told why.
    fn pause(&mut self, pause: Duration, error: LoadError) {
        self.resume_at = Some(Instant::now() + pause);
        let failure = Failure {
            // It could be started before: no error is final now.
            kind: FailureKind::Transient,
            code: error.code,
            message: error.message,
            last_lines: error.last_lines,
            next_try: Some(self.clock.now() + pause),
            attempts: self.failed_starts,
        };
        if self.running.is_empty() {
            self.give_up_for_now(failure);
        } else {
            self.fail_renewal(Some(failure));
        }
    }

    fn give_up_for_now(&self, failure: Failure) {
        // Those who waited are told; whoever comes from now on wants another try.
        self.replicas.demand().forget_who_found_nobody();
        self.replicas.clear(Some(failure.clone()));
        self.workshop.status.update(|status| status.asleep = false);
        self.workshop.status.phase(Phase::Failed(failure.clone()));
        self.workshop.log(Fact::Failed { failure });
    }

    fn log_crash(
        &self,
        replica: ReplicaId,
        reason: Arc<str>,
        last_lines: Vec<String>,
        restart_in: Duration,
    ) {
        self.workshop.status.update(|status| status.crashes += 1);
        self.workshop.log(Fact::ReplicaCrashed {
            replica,
            reason,
            last_lines,
            restart_in,
        });
    }

    fn adopt(&mut self, edition: u64, loaded: Loaded<S>) {
        let Loaded { id, instance, took } = loaded;
        let Instance {
            servable,
            exit,
            give_up,
            stop,
        } = instance;
        let gone = CancellationToken::new();
        self.exits.push({
            let gone = gone.clone();
            async move { Some((id, gone.run_until_cancelled(exit).await?)) }.boxed()
        });
        self.wishes.push({
            let gone = gone.clone();
            let replica = id;
            async move {
                let reason = gone.run_until_cancelled(give_up).await?;
                Some(Recycle { replica, reason })
            }
            .boxed()
        });
        let replica = self.replicas.add(id, servable);
        let replace = (edition < self.edition).then(|| NEWER_EDITION.into());
        self.running.push(Running {
            replica,
            stop,
            replace,
            postponed: None,
            gone,
        });
        self.failed_starts = 0;
        self.doubtful = false;
        if !self.orders.ask_for_new_replicas(&self.made_under) {
            self.fail_renewal(None);
        }
        self.workshop
            .log(Fact::ReplicaStarted { replica: id, took });
        let live = self.live();
        self.workshop.status.update(|status| {
            status.phase = Phase::Ready;
            status.served = true;
            status.live = live;
            status.asleep = false;
        });
        self.awake();
    }

    fn exited(&mut self, exit: Option<(ReplicaId, Exit)>) {
        let Some((id, exit)) = exit else { return };
        // One that was put aside may die as it likes.
        let place = self.running.iter().position(|one| one.replica.id == id);
        if let Some(place) = place {
            let dead = self.running.remove(place);
            dead.replica.gate().close();
            dead.gone.cancel();
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
        let lines = last_lines.clone();
        self.log_crash(replica, Arc::clone(&reason), lines, verdict.pause);
        if self.running.is_empty() {
            // Whoever found nobody did so before this one came up; whoever does from now on wants another one.
            self.replicas.demand().forget_who_found_nobody();
        }
        self.replicas.remove(replica);
        let live = self.live();
        self.workshop.status.update(|status| status.live = live);
        if verdict.loops && self.running.is_empty() {
            self.doubtful = true;
            let times = verdict.crashes;
            self.give_up_for_now(Failure {
                kind: FailureKind::CrashLoop,
                code: None,
                message: format!("It died {times} times, with no healthy run between. {reason}")
                    .into(),
                last_lines,
                next_try: Some(self.clock.now() + verdict.pause),
                attempts: times,
            });
        }
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
