//! Makes replicas of one version: the loader's calls under permits and deadlines.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::config::ManagerConfig;
use crate::event::Fact;
use crate::id::{Generation, ReplicaId, ServableId};
use crate::loader::{Instance, LoadError, LoadJob, Loader, Prepared, Progress};
use crate::log::EventLog;
use crate::permits::{Permits, Ticket, Urgency};
use crate::phase::Phase;
use crate::spec::VersionSpec;
use crate::supervisor::status::StatusWriter;
use crate::work::WorkPermits;

/// Steps are for people: more often than this they are not passed on.
const STEP_INTERVAL: Duration = Duration::from_millis(200);

/// What is shown of a version that answers while a new replica of it starts.
const STARTING: &str = "starting a new worker";

/// What all versions share.
pub(crate) struct Equipment<S> {
    pub(crate) loader: Arc<dyn Loader<S>>,
    pub(crate) config: ManagerConfig,
    pub(crate) prepares: Arc<Permits>,
    pub(crate) loads: Arc<Permits>,
    pub(crate) log: EventLog,
}

/// What makes the replicas of one life of one version.
pub(crate) struct Workshop<S> {
    pub(crate) id: ServableId,
    pub(crate) generation: Generation,
    pub(crate) equipment: Arc<Equipment<S>>,
    pub(crate) status: StatusWriter,
    next_replica: AtomicU64,
}

/// A replica that answers.
pub(crate) struct Loaded<S> {
    pub(crate) id: ReplicaId,
    pub(crate) instance: Instance<S>,
    pub(crate) took: Duration,
}

/// A newly prepared version, and its first replica if that was to be started beside the old ones.
pub(crate) struct Renewed<S> {
    pub(crate) prepared: Arc<dyn Prepared<S>>,
    pub(crate) first: Option<Loaded<S>>,
}

/// A prepared version and its first replica.
pub(crate) struct Edition<S> {
    pub(crate) prepared: Arc<dyn Prepared<S>>,
    pub(crate) first: Loaded<S>,
}

impl<S> Workshop<S> {
    pub(crate) fn new(
        id: ServableId,
        generation: Generation,
        equipment: Arc<Equipment<S>>,
        status: StatusWriter,
    ) -> Self {
        Self {
            id,
            generation,
            equipment,
            status,
            next_replica: AtomicU64::new(0),
        }
    }

    /// Prepares the version and loads a first replica. `enter` is told each phase as it begins.
    pub(crate) async fn make(
        &self,
        spec: Arc<VersionSpec>,
        ticket: Ticket,
        enter: impl Fn(Phase),
    ) -> Result<Edition<S>, LoadError> {
        enter(Phase::Building);
        self.telling(async |progress| {
            let prepared = self.prepare(spec, ticket, progress).await?;
            enter(Phase::Starting);
            let first = self
                .load(self.next_replica(), prepared.as_ref(), ticket.urgency)
                .await?;
            Ok(Edition { prepared, first })
        })
        .await
    }

    /// Prepares the version anew while it serves. A first replica is not started yet where memory is short, because an
    /// old one has to be gone before; nor without `with_replica`.
    pub(crate) async fn remake(
        &self,
        spec: Arc<VersionSpec>,
        ticket: Ticket,
        with_replica: bool,
    ) -> Result<Renewed<S>, LoadError> {
        let with_replica = with_replica && !spec.settings.takeover.stops_first();
        self.telling(async |progress| {
            let words = progress.clone();
            let prepared = self.prepare(spec, ticket, progress).await?;
            if !with_replica {
                let first = None;
                return Ok(Renewed { prepared, first });
            }
            words.step(STARTING);
            let first = self
                .load(self.next_replica(), prepared.as_ref(), ticket.urgency)
                .await?;
            Ok(Renewed {
                prepared,
                first: Some(first),
            })
        })
        .await
    }

    /// Does `work` and passes on what it says about its progress, its notes to the log.
    async fn telling<R>(&self, work: impl AsyncFnOnce(Progress) -> R) -> R {
        let (progress, mut steps) = Progress::channel();
        let (log, id) = (self.equipment.log.clone(), self.id.clone());
        let progress = progress.with_notes(move |note| log.version(&id, Fact::Noted(note)));
        let done = tokio::select! {
            done = work(progress) => done,
            never = self.pass_on(&mut steps) => match never {},
        };
        self.status.update(|status| status.step = None);
        done
    }

    /// A number that no replica of this life has had.
    pub(crate) fn next_replica(&self) -> ReplicaId {
        ReplicaId(self.next_replica.fetch_add(1, Ordering::Relaxed))
    }

    /// Loads one more replica of a prepared version.
    pub(crate) async fn load(
        &self,
        id: ReplicaId,
        prepared: &dyn Prepared<S>,
        urgency: Urgency,
    ) -> Result<Loaded<S>, LoadError> {
        let loads = &self.equipment.loads;
        let _permit = loads.ask(loads.ticket(urgency)).granted().await;
        let started = Instant::now();
        let deadline = self.equipment.config.load_deadline;
        let instance = in_time(deadline, sleep(deadline), "start", prepared.load(id)).await?;
        let took = started.elapsed();
        Ok(Loaded { id, instance, took })
    }

    async fn prepare(
        &self,
        spec: Arc<VersionSpec>,
        ticket: Ticket,
        progress: Progress,
    ) -> Result<Arc<dyn Prepared<S>>, LoadError> {
        let started = Instant::now();
        let permits = Arc::clone(&self.equipment.prepares);
        let work = WorkPermits::of(permits, ticket, progress.clone());
        let job = LoadJob {
            spec,
            generation: self.generation,
            progress,
            work: work.clone(),
        };
        let deadline = self.equipment.config.prepare_deadline;
        let prepare = self.equipment.loader.prepare(job);
        let prepared = in_time(deadline, work.exhausted(deadline), "prepare", prepare).await?;
        let took = started.elapsed();
        self.log(Fact::Prepared { took });
        Ok(prepared)
    }

    pub(crate) fn log(&self, fact: Fact) {
        self.equipment.log.version(&self.id, fact);
    }

    async fn pass_on(
        &self,
        steps: &mut watch::Receiver<Option<Arc<str>>>,
    ) -> std::convert::Infallible {
        while steps.changed().await.is_ok() {
            let step = steps.borrow_and_update().clone();
            self.status.update(|status| status.step = step);
            sleep(STEP_INTERVAL).await;
        }
        // The loader has dropped its end: no more steps.
        std::future::pending().await
    }
}

/// Ends a call of the loader that is not done when `over` is. Its faults are the version's misfortune, not the supervisor's: a panic is
/// one more failure, and replicas that live go on.
async fn in_time<R>(
    deadline: Duration,
    over: impl Future<Output = ()>,
    work: &str,
    call: impl Future<Output = Result<R, LoadError>>,
) -> Result<R, LoadError> {
    tokio::select! {
        biased;
        result = AssertUnwindSafe(call).catch_unwind() => {
            result.unwrap_or_else(|panic| Err(internal_fault(panic.as_ref())))
        }
        () = over => Err(LoadError::transient(format!(
            "It took longer than {} s to {work}, and was given up.",
            deadline.as_secs_f64()
        ))),
    }
}

/// What a panic said, as an error that is worth another try.
pub(crate) fn internal_fault(panic: &(dyn Any + Send)) -> LoadError {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    LoadError::transient(format!("An internal fault: {text}"))
}
