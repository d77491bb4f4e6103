//! A manager in a world that a test turns: registry, people and loader are all in its hands.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::testing::{Outcome, Script, ScriptedLoader, ScriptedServable, Step, Timeline};
use crate::{
    Aspired, AspiredModel, AspiredVersion, Entered, Event, Handle, Incarnation, Inputs, Intent,
    Intents, Label, Manager, ManagerConfig, Phase, Reference, Replicas, RestartPolicy,
    RuntimeClock, ServableId, Settings, Source, Unrouted, Version, VersionSnapshot,
};

/// A stack that only knows its replicas.
pub(super) struct Stack {
    pub(super) replicas: Replicas<ScriptedServable>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
}

pub(super) struct World {
    pub(super) aspired: watch::Sender<Option<Arc<Aspired>>>,
    pub(super) intents: watch::Sender<Arc<Intents>>,
    pub(super) loader: ScriptedLoader,
    pub(super) handle: Handle<Stack>,
    pub(super) timeline: Timeline,
    pub(super) shutdown: CancellationToken,
    pub(super) managers: JoinSet<()>,
}

pub(super) fn config() -> ManagerConfig {
    ManagerConfig {
        prepare_permits: 4,
        load_permits: 8,
        restart: RestartPolicy {
            jitter: 0.0,
            ..RestartPolicy::default()
        },
        ..ManagerConfig::default()
    }
}

pub(super) fn id(model: &str, version: u64) -> ServableId {
    ServableId::new(model, Version(version))
}

pub(super) fn number(version: u64) -> [Reference; 1] {
    [Reference::Version(Version(version))]
}

pub(super) fn label(label: &str) -> [Reference; 1] {
    [Reference::Label(Label::from(label))]
}

impl World {
    /// Nothing is known of the registry yet, nothing is enabled.
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: ManagerConfig) -> Self {
        Self::with_log(config, Timeline::new())
    }

    pub(super) fn with_log(config: ManagerConfig, log: (mpsc::Sender<Event>, Timeline)) -> Self {
        let (manager, mut world) = Self::without_manager(config, log);
        world.managers.spawn(manager.run(world.shutdown.clone()));
        world
    }

    /// The manager in the test's own hands.
    pub(super) fn without_manager(
        config: ManagerConfig,
        (events, timeline): (mpsc::Sender<Event>, Timeline),
    ) -> (Manager<ScriptedServable, Stack>, Self) {
        let loader = ScriptedLoader::new();
        let (aspired, aspired_seen) = watch::channel(None);
        let (intents, intents_seen) = watch::channel(Arc::default());
        let (manager, handle) = Manager::new(
            config,
            Arc::new(loader.clone()),
            Box::new(|seed| Stack {
                replicas: seed.replicas,
                settings: seed.settings,
            }),
            Inputs {
                aspired: aspired_seen,
                intents: intents_seen,
            },
            events,
            Arc::new(RuntimeClock::default()),
        );
        let world = Self {
            aspired,
            intents,
            loader,
            handle,
            timeline,
            shutdown: CancellationToken::new(),
            managers: JoinSet::new(),
        };
        (manager, world)
    }

    /// A world in which `iris` is enabled and the registry is known to be empty.
    pub(super) fn with_iris() -> Self {
        let world = Self::new();
        world.registry(|_| {});
        world.enable("iris");
        world
    }

    /// Lets time go by; everything that is due happens.
    pub(super) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub(super) fn registry(&self, change: impl FnOnce(&mut Aspired)) {
        self.aspired.send_modify(|aspired| {
            let mut next = aspired.as_deref().cloned().unwrap_or_default();
            change(&mut next);
            *aspired = Some(Arc::new(next));
        });
    }

    pub(super) fn model(&self, name: &str, change: impl FnOnce(&mut AspiredModel)) {
        self.registry(|aspired| {
            let model = aspired.models.entry(name.into()).or_insert(AspiredModel {
                incarnation: Incarnation::from("first"),
                versions: [].into(),
                labels: [].into(),
                tags: [].into(),
            });
            change(model);
        });
    }

    pub(super) fn register(&self, name: &str, version: u64) {
        self.register_as(name, version, "first", Source::Readable("files".into()));
    }

    pub(super) fn register_as(&self, name: &str, version: u64, incarnation: &str, source: Source) {
        let aspired = AspiredVersion {
            incarnation: incarnation.into(),
            source,
        };
        self.model(name, |model| {
            model.versions.insert(Version(version), aspired);
        });
    }

    pub(super) fn archive(&self, name: &str, version: u64) {
        self.model(name, |model| {
            model.versions.remove(&Version(version));
        });
    }

    pub(super) fn point(&self, name: &str, label: &str, version: u64) {
        self.model(name, |model| {
            model.labels.insert(label.into(), Version(version));
        });
    }

    pub(super) fn enable(&self, name: &str) {
        self.enable_with(name, Settings::default());
    }

    pub(super) fn enable_with(&self, name: &str, settings: Settings) {
        self.intend(name, Intent::Serve(Arc::new(settings)));
    }

    pub(super) fn disable(&self, name: &str) {
        self.intend(name, Intent::Rest);
    }

    fn intend(&self, name: &str, intent: Intent) {
        self.intents.send_modify(|intents| {
            let mut next = (**intents).clone();
            next.models.insert(name.into(), intent);
            *intents = Arc::new(next);
        });
    }

    pub(super) fn prepare(&self, id: &ServableId, step: Step) {
        let prepare = step;
        self.loader.script(
            id,
            Script {
                prepare,
                ..Script::default()
            },
        );
    }

    pub(super) fn load(&self, id: &ServableId, outcome: Outcome) {
        let load = Step::ends(outcome);
        self.loader.script(
            id,
            Script {
                load,
                ..Script::default()
            },
        );
    }

    pub(super) fn stop_takes(&self, id: &ServableId, seconds: u64) {
        let stop = Duration::from_secs(seconds);
        self.loader.script(
            id,
            Script {
                stop,
                ..Script::default()
            },
        );
    }

    pub(super) fn enter(
        &self,
        model: &str,
        references: &[Reference],
    ) -> Result<Entered<Stack>, Unrouted> {
        self.handle.router().enter(model, references)
    }

    /// Who answers: `iris@1 g1`, or why nobody does.
    pub(super) fn ask(&self, model: &str, references: &[Reference]) -> String {
        match self.enter(model, references) {
            Ok(entered) => format!("{} g{}", entered.id, entered.generation),
            Err(unrouted) => unrouted.to_string(),
        }
    }

    pub(super) fn seen(&self, id: &ServableId) -> Option<VersionSnapshot> {
        let snapshot = self.handle.snapshot().borrow().clone();
        let model = snapshot.models.get(&id.model)?;
        model.versions.get(&id.version).cloned()
    }

    pub(super) fn phase(&self, id: &ServableId) -> &'static str {
        self.seen(id).map_or("-", |seen| Phase::name(&seen.phase))
    }

    /// The event log since the last call, one line an event.
    pub(super) fn story(&mut self) -> Vec<String> {
        self.timeline.lines()
    }
}
