//! One life of one version, from its discovery to its end, as one task: rise, serve, retire.

mod given_up;
mod orders;
mod renewal;
mod scale;
mod serve;
mod status;
mod workshop;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

pub(crate) use orders::Orders;
pub(crate) use status::{Status, StatusWriter};
pub(crate) use workshop::{Equipment, Workshop};

use crate::aspired::Source;
use crate::clock::Clock;
use crate::event::Fact;
use crate::gate::Gate;
use crate::id::{Generation, ServableId};
use crate::loader::{LoadError, Retry};
use crate::permits::{Ticket, Urgency};
use crate::phase::{Failure, FailureKind, Phase};
use crate::replicas::{Recycle, ReplicasWriter};
use orders::ordered;
use workshop::{Edition, internal_fault};

/// A replica that has not stopped in good order by then is dropped, which kills it.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// The one who brings a version up, keeps its replicas alive, and ends it when it is ordered to.
pub(crate) struct Supervisor<S> {
    pub(crate) workshop: Arc<Workshop<S>>,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) replicas: ReplicasWriter<S>,
    pub(crate) recycles: mpsc::Receiver<Recycle>,
    /// The version's own gate. Its route closes with it.
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The place in the order of decisions, first that of this life, then that of the next try.
    pub(crate) ticket: Ticket,
}

/// A life that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) id: ServableId,
    pub(crate) generation: Generation,
    /// Callers that were cut off.
    pub(crate) abandoned: u64,
}

impl<S: Send + Sync + 'static> Supervisor<S> {
    /// Lives until it is ordered to retire.
    pub(crate) async fn run(mut self) -> Ended {
        let mut panics = 0;
        loop {
            // Whatever goes wrong in here, an instance's own futures included, stays in here: the
            // replicas are dropped with the future, the route and its callers stay.
            match AssertUnwindSafe(self.live()).catch_unwind().await {
                Ok(abandoned) => {
                    return Ended {
                        id: self.workshop.id.clone(),
                        generation: self.workshop.generation,
                        abandoned,
                    };
                }
                Err(panic) => {
                    panics += 1;
                    self.recover(internal_fault(panic.as_ref()), panics).await;
                }
            }
        }
    }

    async fn live(&mut self) -> u64 {
        match self.rise().await {
            Some((edition, made_under)) => self.serve(edition, made_under).await,
            None => self.close().await,
        }
    }

    /// Tries until a first replica lives. `None` if it is ordered to retire first.
    async fn rise(&mut self) -> Option<(Edition<S>, Orders)> {
        let mut failures = 0;
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let taken = orders.clone();
            self.workshop
                .status
                .update(|status| status.taken = Some(taken));
            if orders.retire {
                return None;
            }
            let mut newer = self.orders.clone();
            let made = tokio::select! {
                biased;
                () = ordered(&mut newer, |newer| newer.overtake(&orders)) => {
                    failures = 0;
                    continue;
                }
                made = self.attempt(&orders) => made,
            };
            let error = match made {
                Ok(edition) => {
                    // Whoever asked for new replicas while the first one was made has got them.
                    let restarts = self.orders.borrow().restarts;
                    return Some((edition, Orders { restarts, ..orders }));
                }
                Err(error) => error,
            };
            failures += 1;
            let pause = self.report(error, failures);
            let urgency = tokio::select! {
                biased;
                () = ordered(&mut newer, |newer| newer.give_another_chance(&orders)) => {
                    failures = 0;
                    Urgency::Awaited
                }
                () = passed(pause) => Urgency::Housekeeping,
            };
            self.ticket = self.workshop.equipment.prepares.ticket(urgency);
        }
    }

    async fn attempt(&self, orders: &Orders) -> Result<Edition<S>, LoadError> {
        if let Source::Unreadable(why) = &orders.spec.source {
            return Err(LoadError::permanent(Arc::clone(why)));
        }
        let workshop = &self.workshop;
        let enter = |phase| workshop.status.phase(phase);
        let spec = Arc::clone(&orders.spec);
        workshop.make(spec, self.ticket, enter).await
    }

    /// Says that it failed. Returns the pause before the next try, if time alone gives it another chance.
    fn report(&self, error: LoadError, attempts: u32) -> Option<Duration> {
        let policy = &self.workshop.equipment.config.restart;
        let (kind, pause) = match error.retry {
            Retry::Never => (FailureKind::Permanent, None),
            Retry::Later => (FailureKind::Transient, Some(policy.pause(attempts))),
        };
        let failure = Failure {
            kind,
            code: error.code,
            message: error.message,
            last_lines: error.last_lines,
            next_try: pause.map(|pause| self.clock.now() + pause),
            attempts,
        };
        self.replicas.clear(Some(failure.clone()));
        self.workshop.status.phase(Phase::Failed(failure.clone()));
        self.workshop.log(Fact::Failed { failure });
        pause
    }

    async fn recover(&mut self, error: LoadError, panics: u32) {
        tracing::error!(servable = %self.workshop.id, %error, "a supervisor panicked");
        self.workshop.status.update(|status| {
            status.live = 0;
            status.asleep = false;
        });
        // It is instances that panic: the version has served.
        let urgency = if panics == 1 {
            Urgency::Recovery
        } else {
            Urgency::RepeatedRecovery
        };
        self.ticket = self.workshop.equipment.prepares.ticket(urgency);
        let pause = self.report(error, panics);
        let orders = self.orders.borrow().clone();
        tokio::select! {
            biased;
            () = ordered(&mut self.orders, |newer| newer.give_another_chance(&orders)) => {}
            () = passed(pause) => {}
        }
    }

    /// Lets nobody in any more and waits for those inside. Returns how many were still there at the deadline.
    async fn close(&self) -> u64 {
        self.gate.close();
        let deadline = self.workshop.equipment.config.drain_deadline;
        match timeout(deadline, self.gate.drained()).await {
            Ok(()) => 0,
            Err(_) => self.gate.inside(),
        }
    }
}

async fn passed(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}
