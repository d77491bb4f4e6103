//! A version's own stack: its queue, its replicas, its figures. It outlives its workers.

use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use rand::RngExt;
use serving_core::{
    Demand, Failure, Replica, ReplicaGuard, ReplicaId, ReplicaSet, Replicas, ServableId, Settings,
    StackSeed,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::about::About;
use super::admission::{Admission, Admitted, Permit, Waiting};
use super::batching::Batcher;
use super::metrics::{Counted, DataPlaneMetrics, VersionMetrics};
use super::reply::Signed;
use super::upstream::Upstream;
use crate::error::{ApiError, ErrorCode};
use crate::ports::BatchingEvents;
use crate::protocol::Dialect;

/// When to come again after the queue was full: places come free all the time.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);
/// When to come again while a worker is being replaced: about as long as one takes to start.
const WORKER_PAUSE: Duration = Duration::from_secs(5);

/// Built once, when the version first becomes ready; lives until it is retired.
pub struct VersionStack {
    id: ServableId,
    signed: Signed,
    replicas: Replicas<Upstream>,
    settings: watch::Receiver<Arc<Settings>>,
    admission: Arc<Admission>,
    about: OnceLock<Arc<About>>,
    metrics: VersionMetrics,
    batcher: Batcher,
    events: Arc<dyn BatchingEvents>,
    /// Work that no request waits for in person: it listens to workers for clients that have gone, and asks about the rows
    /// of several. Ends with the version.
    tasks: Mutex<JoinSet<()>>,
}

/// A live replica with a request of ours on it, until it is dropped.
#[derive(Debug)]
pub(super) struct Chosen {
    replica: Arc<Replica<Upstream>>,
    /// `None` where nobody waits for the answer: the replica need not wait either when it is to be stopped.
    guard: Option<ReplicaGuard>,
}

impl VersionStack {
    /// The stack over `seed`, with its figures among `metrics`.
    pub fn new(seed: StackSeed<Upstream>, metrics: &Arc<DataPlaneMetrics>) -> Self {
        let stack = Self {
            metrics: metrics.version(&seed.id),
            signed: Signed::of(&seed.id),
            id: seed.id,
            replicas: seed.replicas,
            settings: seed.settings,
            admission: Admission::new(),
            about: OnceLock::new(),
            batcher: Batcher::new(),
            events: Arc::new(()),
            tasks: Mutex::default(),
        };
        stack.metrics.may_wait(stack.settings().max_queue);
        // All replicas of a version tell the same; kept for when there is none.
        stack.about();
        stack
    }

    /// The same, telling `events` what is decided about sharing calls.
    #[must_use]
    pub fn telling(mut self, events: Arc<dyn BatchingEvents>) -> Self {
        self.events = events;
        self
    }

    /// Facts about the version, once one replica was seen.
    pub fn about(&self) -> Option<Arc<About>> {
        if let Some(about) = self.about.get() {
            return Some(Arc::clone(about));
        }
        let set = self.replicas.current();
        let about = set.live.first()?.servable.about();
        Some(Arc::clone(self.about.get_or_init(|| Arc::clone(about))))
    }

    /// Replicas that answer now.
    pub fn live(&self) -> usize {
        self.replicas.current().live.len()
    }

    pub(super) fn id(&self) -> &ServableId {
        &self.id
    }

    /// What says that this version answered.
    pub(super) fn signed(&self) -> &Signed {
        &self.signed
    }

    pub(super) fn metrics(&self) -> &VersionMetrics {
        &self.metrics
    }

    pub(super) fn batcher(&self) -> &Batcher {
        &self.batcher
    }

    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Where its callers say that they wait.
    pub(super) fn demand(&self) -> &Arc<Demand> {
        self.replicas.demand()
    }

    /// What the version's workers speak, while one lives.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        let set = self.replicas.look();
        Some(set.live.first()?.servable.dialect())
    }

    /// Tells that it was decided whether requests share calls.
    pub(super) fn tell(&self, on: bool, reason: &str) {
        info!(version = %self.id, on, reason, "whether requests share calls");
        self.events.decided(&self.id, on, reason);
    }

    /// How long a request that comes now may take.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.borrow().timeout
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Why no request gets an answer now, if that is so.
    pub(super) fn unavailable(&self) -> Option<ApiError> {
        let set = self.replicas.current();
        match &set.failure {
            Some(failure) => Some(self.given_up(failure)),
            None if set.live.is_empty() && !set.asleep => Some(self.between_workers()),
            None => None,
        }
    }

    /// Whether [`Self::admit`] would refuse a request that came now. One whose body arrives later may find it otherwise.
    pub(super) fn refuses_now(&self) -> Result<(), ApiError> {
        let max_queue = self.resize()?;
        if self.admission.is_full(max_queue) {
            return Err(self.queue_full(max_queue));
        }
        Ok(())
    }

    /// Waits for one of `max_concurrency × replicas` places, in a queue of `max_queue`. Both follow the settings, and
    /// the replicas as they come and go; while there is none, there are places as for one.
    pub(super) async fn admit(&self, deadline: Instant) -> Result<Permit, ApiError> {
        let max_queue = self.resize()?;
        match self.admission.enter(max_queue) {
            Admitted::Now(permit) => Ok(permit),
            Admitted::Later(waiting) => Box::pin(self.admit_in_turn(waiting, deadline)).await,
            Admitted::Refused => Err(self.queue_full(max_queue)),
        }
    }

    /// The same for a request that has been let in before, however many wait now.
    pub(super) async fn admit_again(&self, deadline: Instant) -> Result<Permit, ApiError> {
        self.resize()?;
        match self.admission.enter(usize::MAX) {
            Admitted::Now(permit) => Ok(permit),
            Admitted::Later(waiting) => Box::pin(self.admit_in_turn(waiting, deadline)).await,
            Admitted::Refused => Err(self.queue_full(usize::MAX)),
        }
    }

    async fn admit_in_turn(&self, waiting: Waiting, deadline: Instant) -> Result<Permit, ApiError> {
        let _queued = Counted::up(&self.metrics.queue_length);
        let _waiting = self.replicas.demand().waits();
        let mut turn = std::pin::pin!(waiting.turn());
        // Nobody has marked anything as seen on ours, so what changed since the first look is heard too.
        let mut replicas = self.replicas.subscribe();
        let mut settings = self.settings.clone();
        loop {
            let changed = tokio::select! {
                biased;
                permit = &mut turn => return permit.ok_or_else(|| self.retired()),
                changed = replicas.changed() => changed,
                changed = settings.changed() => changed,
                () = sleep_until(deadline) => return Err(self.late()),
            };
            changed.map_err(|_| self.retired())?;
            self.resize()?;
        }
    }

    /// Waits for one of the places of `admission`, whose number changes meanwhile. `None` if the version is retired.
    pub(super) async fn permit_of(&self, admission: &Arc<Admission>) -> Option<Permit> {
        let mut turn = std::pin::pin!(admission.turn());
        let mut replicas = self.replicas.subscribe();
        let mut settings = self.settings.clone();
        loop {
            tokio::select! {
                biased;
                permit = &mut turn => return permit,
                changed = replicas.changed() => changed.ok()?,
                changed = settings.changed() => changed.ok()?,
            }
            // A version that was given up keeps the places that it has.
            let _ = self.resize();
        }
    }

    /// Waits until a replica lives, or the version is given up. `None` if it is retired.
    pub(super) async fn can_answer(&self) -> Option<()> {
        let mut replicas = self.replicas.subscribe();
        let can = |set: &Arc<ReplicaSet<Upstream>>| !set.live.is_empty() || set.failure.is_some();
        replicas.wait_for(can).await.ok().map(drop)
    }

    /// Waits until the version is retired.
    pub(super) async fn is_retired(&self) {
        let mut replicas = self.replicas.subscribe();
        // An error means that nobody is left to change them.
        drop(replicas.wait_for(|_| false).await);
    }

    /// Fits the number of places to replicas and settings. Returns how many may wait.
    pub(super) fn resize(&self) -> Result<usize, ApiError> {
        let set = self.replicas.look();
        self.is_called(&set);
        if let Some(failure) = &set.failure {
            return Err(self.given_up(failure));
        }
        let settings = self.settings.borrow();
        self.admission.resize(places(&settings, &set));
        self.batcher.resize(set.live.len().max(1));
        self.metrics.may_wait(settings.max_queue);
        Ok(usize::try_from(settings.max_queue).unwrap_or(usize::MAX))
    }

    /// Waits for a live replica: the less busy one of two, and not the one to `avoid` if there is another.
    pub(super) async fn choose(
        &self,
        deadline: Instant,
        avoid: Option<ReplicaId>,
    ) -> Result<Chosen, ApiError> {
        let mut replicas = None;
        loop {
            if let Some(chosen) = self.choose_now(avoid)? {
                return Ok(chosen);
            }
            // Only who has to wait listens; the first change may be one that was seen already.
            let replicas = replicas.get_or_insert_with(|| self.replicas.subscribe());
            tokio::select! {
                changed = replicas.changed() => changed.map_err(|_| self.retired())?,
                () = sleep_until(deadline) => return Err(self.late()),
            }
        }
    }

    /// The same without waiting; `None` if nobody is there who takes a request.
    pub(super) fn choose_now(&self, avoid: Option<ReplicaId>) -> Result<Option<Chosen>, ApiError> {
        let set = self.replicas.look();
        if let Some(failure) = &set.failure {
            return Err(self.given_up(failure));
        }
        let chosen = pick(&set, avoid);
        if chosen.is_none() {
            self.is_called(&set);
        }
        Ok(chosen)
    }

    /// Waits until the replicas have changed, for `pause` at most.
    pub(super) async fn changed(&self, since: &Arc<ReplicaSet<Upstream>>, pause: Duration) {
        let mut replicas = self.replicas.subscribe();
        let is_other = |set: &Arc<ReplicaSet<Upstream>>| !Arc::ptr_eq(since, set);
        // Whether it changed, the time is over, or nobody is left to change it: the caller looks again.
        let _ = tokio::time::timeout(pause, replicas.wait_for(is_other)).await;
    }

    /// Runs what no request waits for in person. Every such task has an end of its own, and a place or a count that bounds
    /// how many there are.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime, nothing will ever be heard.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &runtime);
    }

    /// Lets the supervisor know that a request is there, and wakes the version if `set` sleeps.
    fn is_called(&self, set: &ReplicaSet<Upstream>) {
        let demand = self.replicas.demand();
        demand.came();
        if set.live.is_empty() {
            demand.found_nobody();
        }
    }

    /// Whether the version has no worker because nobody called it for long; the next request wakes it.
    pub(super) fn is_asleep(&self) -> bool {
        self.replicas.current().asleep
    }

    pub(super) fn replicas(&self) -> Arc<ReplicaSet<Upstream>> {
        self.replicas.current()
    }

    /// The deadline passed before a worker had the request.
    pub(super) fn late(&self) -> ApiError {
        self.unavailable().unwrap_or_else(|| {
            if self.is_asleep() {
                return self.still_asleep();
            }
            let message = format!("{} had no free place before the deadline", self.name());
            ApiError::new(ErrorCode::DeadlineExceeded, message)
        })
    }

    /// "version 3 of model x", as errors call it.
    pub(super) fn name(&self) -> String {
        format!(
            "version {} of model {:?}",
            self.id.version,
            self.id.model.as_str()
        )
    }

    fn queue_full(&self, max_queue: usize) -> ApiError {
        let message = format!(
            "{} has no free place, and its queue of {max_queue} is full",
            self.name()
        );
        ApiError::new(ErrorCode::ResourceExhausted, message).retry_after(QUEUE_PAUSE)
    }

    pub(super) fn between_workers(&self) -> ApiError {
        let message = format!("{} is waiting for a new worker", self.name());
        ApiError::new(ErrorCode::TemporarilyUnavailable, message).retry_after(WORKER_PAUSE)
    }

    fn still_asleep(&self) -> ApiError {
        let message = format!(
            "{} was asleep, and its worker did not come up before the deadline",
            self.name()
        );
        ApiError::new(ErrorCode::TemporarilyUnavailable, message).retry_after(WORKER_PAUSE)
    }

    fn given_up(&self, failure: &Failure) -> ApiError {
        let pause = failure.retry_after(SystemTime::now());
        let message = format!("{} has no worker: {}", self.name(), failure.message);
        ApiError::new(ErrorCode::TemporarilyUnavailable, message)
            .retry_after(pause.unwrap_or(WORKER_PAUSE))
    }

    fn retired(&self) -> ApiError {
        let message = format!("{} is being stopped", self.name());
        ApiError::new(ErrorCode::TemporarilyUnavailable, message).retry_after(WORKER_PAUSE)
    }
}

impl std::fmt::Debug for VersionStack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("VersionStack")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Chosen {
    /// The same replica, which may be stopped with the request on it.
    pub(super) fn unguarded(mut self) -> Self {
        self.guard = None;
        self
    }

    /// So many requests were given up that the worker still computes. Once as many were as it can work on, it may have no
    /// thread left that works, however well it answers otherwise. Returns how many were.
    pub(super) fn abandon(&self, requests: u32, max_concurrency: u32) -> u32 {
        let abandoned = self.replica.servable.abandon(requests);
        if abandoned >= max_concurrency {
            let reason =
                format!("{abandoned} requests passed their deadline, and their work has not ended");
            self.replica.recycle(&reason);
        }
        abandoned
    }

    /// Requests that were given up have been worked off.
    pub(super) fn came_back(&self, requests: u32) {
        self.replica.servable.came_back(requests);
    }
}

impl Deref for Chosen {
    type Target = Replica<Upstream>;

    fn deref(&self) -> &Self::Target {
        &self.replica
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.replica.servable.end();
    }
}

fn places(settings: &Settings, set: &ReplicaSet<Upstream>) -> usize {
    let each = usize::try_from(settings.max_concurrency.get()).unwrap_or(usize::MAX);
    each.saturating_mul(set.live.len().max(1))
}

/// Two at random, the less busy one first, then whoever takes a request at all.
fn pick(set: &ReplicaSet<Upstream>, avoid: Option<ReplicaId>) -> Option<Chosen> {
    let enter = |replica: &Arc<Replica<Upstream>>| {
        let guard = replica.enter()?;
        replica.servable.begin();
        Some(Chosen {
            replica: Arc::clone(replica),
            guard: Some(guard),
        })
    };
    if let [only] = set.live.as_slice() {
        return enter(only);
    }
    let others: Vec<_> = set
        .live
        .iter()
        .filter(|replica| Some(replica.id) != avoid)
        .collect();
    if others.len() > 1 {
        let mut random = rand::rng();
        let first = random.random_range(0..others.len());
        let second = (first + random.random_range(1..others.len())) % others.len();
        let less_busy = [others[first], others[second]]
            .into_iter()
            .min_by_key(|replica| replica.servable.in_flight());
        if let Some(chosen) = less_busy.and_then(enter) {
            return Some(chosen);
        }
    }
    others.into_iter().chain(&set.live).find_map(enter)
}
