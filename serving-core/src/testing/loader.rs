//! A loader that does what a script says, and keeps an eye on how it is called.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::aspired::Source;
use crate::event::Note;
use crate::id::{Generation, ReplicaId, ServableId};
use crate::loader::{Exit, Instance, LoadError, LoadJob, Loader, Prepared, Stop};
use crate::spec::VersionSpec;

/// What happens to one version. Read anew at each call, so that a test can change it at any time.
#[derive(Clone, Debug)]
pub struct Script {
    /// Preparing it.
    pub prepare: Step,
    /// Whether all of that is found done: then it takes no permit.
    pub cached: bool,
    /// What is worth keeping once it is prepared.
    pub note: Option<Note>,
    /// Starting a replica of it.
    pub load: Step,
    /// How long a replica takes to stop.
    pub stop: Duration,
}

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// How long it takes.
    pub takes: Duration,
    /// How it ends.
    pub outcome: Outcome,
}

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Works,
    /// With an error that waits for a change.
    FailsForGood,
    /// With an error that is worth another try.
    FailsForNow,
    /// Never.
    Hangs,
    /// With a panic.
    Panics,
}

/// A call that the loader got, in the order of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Of `prepare`.
    Prepare(Arc<VersionSpec>, Generation),
    /// Of `load`.
    Load(ServableId, Generation, ReplicaId),
    /// Of `stop`.
    Stop(ServableId, Generation, ReplicaId),
}

/// What a scripted replica offers: its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedServable {
    /// The spec it was prepared from.
    pub spec: Arc<VersionSpec>,
    /// The life it belongs to.
    pub generation: Generation,
    /// Which replica it is.
    pub replica: ReplicaId,
}

/// Versions without a script take one second to prepare, one to start, none to stop.
#[derive(Clone, Default)]
pub struct ScriptedLoader {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    scripts: HashMap<ServableId, Script>,
    calls: Vec<Call>,
    live: Vec<Live>,
    violations: Vec<String>,
}

struct Live {
    servable: ScriptedServable,
    exit: Option<oneshot::Sender<Result<Exit, Panic>>>,
    give_up: Option<oneshot::Sender<Arc<str>>>,
}

struct Panic;

struct ScriptedVersion {
    loader: ScriptedLoader,
    spec: Arc<VersionSpec>,
    generation: Generation,
}

/// Dropping it kills the replica.
struct ScriptedStop {
    loader: ScriptedLoader,
    servable: ScriptedServable,
}

impl ScriptedLoader {
    /// A loader without scripts.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `id` does this.
    pub fn script(&self, id: &ServableId, script: Script) {
        self.state().scripts.insert(id.clone(), script);
    }

    /// Kills the oldest live replica of `id`. Returns whether there was one.
    pub fn crash(&self, id: &ServableId, reason: &str) -> bool {
        let exit = Exit {
            reason: reason.into(),
            last_lines: Vec::new(),
        };
        self.end_of(id, Ok(exit))
    }

    /// Lets the oldest live replica of `id` panic in the future that tells of its exit. Returns whether
    /// there was one.
    pub fn panic(&self, id: &ServableId) -> bool {
        self.end_of(id, Err(Panic))
    }

    /// Has the oldest live replica of `id` that did not ask for it yet ask for another one in its place. Returns whether
    /// there was one.
    pub fn give_up(&self, id: &ServableId, reason: &str) -> bool {
        let mut state = self.state();
        let give_up = state
            .live
            .iter_mut()
            .filter(|live| live.servable.spec.id == *id)
            .find_map(|live| live.give_up.take());
        give_up.is_some_and(|give_up| give_up.send(reason.into()).is_ok())
    }

    fn end_of(&self, id: &ServableId, end: Result<Exit, Panic>) -> bool {
        let mut state = self.state();
        let exit = state
            .live
            .iter_mut()
            .filter(|live| live.servable.spec.id == *id)
            .find_map(|live| live.exit.take());
        exit.is_some_and(|exit| exit.send(end).is_ok())
    }

    /// The replicas that live, oldest first.
    pub fn live(&self) -> Vec<ScriptedServable> {
        let state = self.state();
        let alive = state.live.iter().filter(|live| live.exit.is_some());
        alive.map(|live| live.servable.clone()).collect()
    }

    /// How many replicas there are, those that are being stopped included.
    pub fn alive(&self) -> usize {
        self.state().live.len()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Calls that no manager may make: a replica beside one of another life, an unreadable version.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    fn script_of(&self, id: &ServableId) -> Script {
        self.state().scripts.get(id).cloned().unwrap_or_default()
    }

    fn begin(&self, servable: ScriptedServable) -> Instance<ScriptedServable> {
        let (exit, exited) = oneshot::channel();
        let (give_up, given_up) = oneshot::channel();
        let mut state = self.state();
        let other = state.live.iter().find(|live| {
            live.servable.spec.id == servable.spec.id
                && live.servable.generation != servable.generation
        });
        if let Some(other) = other {
            let violation = format!("{servable:?} began beside {:?}", other.servable);
            state.violations.push(violation);
        }
        state.live.push(Live {
            servable: servable.clone(),
            exit: Some(exit),
            give_up: Some(give_up),
        });
        Instance {
            servable: servable.clone(),
            exit: Box::pin(async move {
                match exited.await {
                    Ok(Ok(exit)) => exit,
                    #[expect(clippy::panic, reason = "the test says so")]
                    Ok(Err(Panic)) => panic!("the exit panicked"),
                    // Stopped: an exit that was asked for is none.
                    Err(_) => std::future::pending().await,
                }
            }),
            give_up: Box::pin(async move {
                match given_up.await {
                    Ok(reason) => reason,
                    Err(_) => std::future::pending().await,
                }
            }),
            stop: Box::new(ScriptedStop {
                loader: self.clone(),
                servable,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    /// Works after `seconds`.
    pub fn works(seconds: u64) -> Self {
        Self {
            takes: Duration::from_secs(seconds),
            outcome: Outcome::Works,
        }
    }

    /// Ends like this after one second.
    pub fn ends(outcome: Outcome) -> Self {
        Self {
            takes: Duration::from_secs(1),
            outcome,
        }
    }

    async fn play(self, what: &str) -> Result<(), LoadError> {
        sleep(self.takes).await;
        match self.outcome {
            Outcome::Works => Ok(()),
            Outcome::FailsForGood => Err(LoadError::permanent(format!("{what} cannot work"))),
            Outcome::FailsForNow => Err(LoadError::transient(format!("{what} did not work"))),
            Outcome::Hangs => std::future::pending().await,
            #[expect(clippy::panic, reason = "the script says so")]
            Outcome::Panics => panic!("{what} panicked"),
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            prepare: Step::works(1),
            cached: false,
            note: None,
            load: Step::works(1),
            stop: Duration::ZERO,
        }
    }
}

#[async_trait]
impl Loader<ScriptedServable> for ScriptedLoader {
    async fn prepare(
        &self,
        job: LoadJob,
    ) -> Result<Arc<dyn Prepared<ScriptedServable>>, LoadError> {
        let call = Call::Prepare(Arc::clone(&job.spec), job.generation);
        self.state().calls.push(call);
        if let Source::Unreadable(_) = job.spec.source {
            let violation = format!("{} was prepared though unreadable", job.spec.id);
            self.state().violations.push(violation);
        }
        let script = self.script_of(&job.spec.id);
        let _permit = if script.cached {
            None
        } else {
            Some(job.work.permit().await)
        };
        job.progress.step("building");
        script.prepare.play("preparing").await?;
        if let Some(note) = script.note {
            job.progress.note(note);
        }
        Ok(Arc::new(ScriptedVersion {
            loader: self.clone(),
            spec: job.spec,
            generation: job.generation,
        }))
    }
}

#[async_trait]
impl Prepared<ScriptedServable> for ScriptedVersion {
    async fn load(&self, replica: ReplicaId) -> Result<Instance<ScriptedServable>, LoadError> {
        let id = self.spec.id.clone();
        let step = self.loader.script_of(&id).load;
        let call = Call::Load(id, self.generation, replica);
        self.loader.state().calls.push(call);
        step.play("starting").await?;
        Ok(self.loader.begin(ScriptedServable {
            spec: Arc::clone(&self.spec),
            generation: self.generation,
            replica,
        }))
    }
}

#[async_trait]
impl Stop for ScriptedStop {
    async fn stop(self: Box<Self>) {
        let ScriptedServable {
            spec,
            generation,
            replica,
        } = self.servable.clone();
        let script = self.loader.script_of(&spec.id);
        let call = Call::Stop(spec.id.clone(), generation, replica);
        self.loader.state().calls.push(call);
        sleep(script.stop).await;
    }
}

impl Drop for ScriptedStop {
    fn drop(&mut self) {
        let ours = |live: &Live| live.servable == self.servable;
        self.loader.state().live.retain(|live| !ours(live));
    }
}
