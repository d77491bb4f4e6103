//! The book of intents: what people asked for, stored first and published to the manager after the commit.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use serving_core::{Aspired, Clock, Intent, Intents, ModelName};
use tokio::sync::{Mutex, watch};
use tokio_util::task::TaskTracker;

use crate::api::{InvalidSetting, ModelSettings, Origin, Settings, TagProblem, TagSettings};
use crate::store::{
    Change, ChangeError, ControlFact, SettingChange, Store, StoreError, StoredIntent,
};

type Stored = BTreeMap<ModelName, StoredIntent>;

/// What the registry's tags say, of each model that has some.
pub(super) type Tags = BTreeMap<ModelName, TagSettings>;

type Known = Option<Arc<Aspired>>;

/// The standing wishes. The stored ones are the truth: after a crash between commit and publication, the next start publishes.
#[derive(Debug)]
pub struct IntentBook {
    store: Store,
    defaults: Settings,
    /// Whether models that nobody spoke of are served.
    enable_all: bool,
    stored: ArcSwap<Stored>,
    /// Laid between the defaults and what people chose.
    tags: ArcSwap<Tags>,
    /// What the registry said last, and the part of that whose tags are published. Empty if nobody follows tags.
    followed: OnceLock<(watch::Receiver<Known>, watch::Sender<Known>)>,
    published: watch::Sender<Arc<Intents>>,
    /// Held from before the commit until after the publication, so that both have the same order.
    writing: Mutex<()>,
    /// Held while what is published is put together: never across an await, so that tags wait for nobody's commit.
    publishing: std::sync::Mutex<()>,
    tasks: TaskTracker,
}

/// How one model is served, and why so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Nothing left open.
    pub settings: Settings,
    /// Where each comes from.
    pub origins: BTreeMap<String, Origin>,
}

/// An intent cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// A setting is wrong.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntentBook {
    /// Reads the stored intents and publishes them.
    pub async fn open(
        store: Store,
        defaults: Settings,
        enable_all: bool,
    ) -> Result<Arc<Self>, StoreError> {
        let stored = store.intents().await?;
        let published = watch::Sender::new(Arc::new(to_engine(
            &stored,
            &Tags::new(),
            &defaults,
            enable_all,
        )));
        Ok(Arc::new(Self {
            store,
            defaults,
            enable_all,
            stored: ArcSwap::from_pointee(stored),
            tags: ArcSwap::default(),
            followed: OnceLock::new(),
            published,
            writing: Mutex::default(),
            publishing: std::sync::Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The intents as the manager reads them.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Intents>> {
        self.published.subscribe()
    }

    /// How `model` is served; `None` if it is not.
    pub fn settings(&self, model: &str) -> Option<Settings> {
        let person = self.choices(model)?;
        Some(person.or(&self.defaults_of(model)))
    }

    /// The same, with where each setting comes from.
    pub fn standing(&self, model: &str) -> Option<Standing> {
        let person = self.choices(model)?;
        let tags = self.tags.load().get(model).cloned().unwrap_or_default();
        Some(Standing {
            settings: person.or(&tags.settings.or(&self.defaults)),
            origins: Origin::of_all(&person, &tags.settings),
        })
    }

    /// The registry's tags of `model` that change nothing.
    pub fn tag_problems(&self, model: &str) -> Vec<TagProblem> {
        let tags = self.tags.load();
        tags.get(model)
            .map(|tags| tags.problems.clone())
            .unwrap_or_default()
    }

    /// What somebody chose for `model`; `None` if it is not served.
    fn choices(&self, model: &str) -> Option<ModelSettings> {
        match self.stored.load().get(model) {
            Some(intent) => intent.serve.then(|| intent.settings.clone()),
            None => self.enable_all.then(ModelSettings::default),
        }
    }

    /// What holds for `model` where nobody chose.
    fn defaults_of(&self, model: &str) -> Settings {
        match self.tags.load().get(model) {
            Some(tags) => tags.settings.or(&self.defaults),
            None => self.defaults.clone(),
        }
    }

    /// How `model` is served, or would be if it were enabled now.
    pub fn settings_if_served(&self, model: &str) -> Settings {
        match self.stored.load().get(model) {
            Some(intent) => intent.settings.or(&self.defaults_of(model)),
            None => self.defaults_of(model),
        }
    }

    /// Settings as the engine is told them.
    pub fn to_engine(&self, settings: &Settings) -> serving_core::Settings {
        settings.to_engine(&self.defaults)
    }

    /// Models that somebody enabled by name.
    pub fn enabled(&self) -> Vec<ModelName> {
        let stored = self.stored.load();
        let served = stored.iter().filter(|(_, intent)| intent.serve);
        served.map(|(name, _)| name.clone()).collect()
    }

    /// Serves `model` with `changes` laid over its settings. Enabling it again changes nothing.
    pub async fn enable(
        self: &Arc<Self>,
        model: &ModelName,
        changes: Map<String, Value>,
        by: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), IntentError> {
        let by = by.to_owned();
        let defaults = self.defaults_of(model.as_str());
        self.change(model, clock, move |current| {
            let before = current
                .map(|intent| intent.settings.clone())
                .unwrap_or_default();
            let after = before.apply(&changes)?;
            let mut facts = Vec::new();
            if !current.is_some_and(|intent| intent.serve) {
                facts.push(ControlFact::Enabled { by: by.clone() });
            }
            let keys = differences(&before, &after);
            if !keys.is_empty() {
                let changes = setting_changes(&keys, &before.or(&defaults), &after.or(&defaults));
                facts.push(ControlFact::SettingsChanged {
                    by: by.clone(),
                    keys,
                    changes,
                });
            }
            Ok(put(true, after, facts, by))
        })
        .await
    }

    /// Stops serving `model`; its settings are kept for the next time. Disabling it again changes nothing.
    pub async fn disable(
        self: &Arc<Self>,
        model: &ModelName,
        by: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), IntentError> {
        let by = by.to_owned();
        let enable_all = self.enable_all;
        self.change(model, clock, move |current| {
            let served = current.map_or(enable_all, |intent| intent.serve);
            let settings = current
                .map(|intent| intent.settings.clone())
                .unwrap_or_default();
            let facts = if served {
                vec![ControlFact::Disabled { by: by.clone() }]
            } else {
                Vec::new()
            };
            Ok(put(false, settings, facts, by))
        })
        .await
    }

    /// Enables the models that the configuration names, apart from those that somebody disabled: a person's choice wins.
    /// Returns these.
    pub async fn enable_configured(
        self: &Arc<Self>,
        models: &[String],
        clock: &Arc<dyn Clock>,
    ) -> Result<Vec<ModelName>, IntentError> {
        let mut disabled = Vec::new();
        for model in models {
            let model = ModelName::from(model.as_str());
            let stored = self.stored.load().get(&model).map(|intent| intent.serve);
            match stored {
                Some(true) => {}
                Some(false) => disabled.push(model),
                None => {
                    self.enable(&model, Map::new(), "configuration", clock)
                        .await?;
                }
            }
        }
        Ok(disabled)
    }

    /// Lays other tags between the defaults and what people chose, and publishes what follows. Returns those before.
    pub(super) fn heed(&self, tags: Tags) -> Arc<Tags> {
        let _publishing = self.publishing();
        let before = self.tags.load_full();
        if *before != tags {
            self.tags.store(Arc::new(tags));
            self.publish_all();
        }
        before
    }

    /// Says who follows the tags: what the registry said, and as far as it is heeded.
    pub(super) fn is_followed(
        &self,
        registry: watch::Receiver<Known>,
        heeded: watch::Sender<Known>,
    ) {
        // Whoever came first stays.
        let _ = self.followed.set((registry, heeded));
    }

    /// Resolves when the tags of what the registry said last are published; at once if nobody follows them.
    pub(super) async fn has_heeded(&self) {
        let Some((registry, heeded)) = self.followed.get() else {
            return;
        };
        let is_newest = |heeded: &Known| match (heeded, &*registry.borrow()) {
            (Some(heeded), Some(said)) => Arc::ptr_eq(heeded, said),
            (None, None) => true,
            _ => false,
        };
        // The sender lives as long as this book.
        let _ = heeded.subscribe().wait_for(is_newest).await;
    }

    /// The keys by which `before` and `after` differ and which nobody chose for `model`.
    pub(super) fn differences_in_effect(
        &self,
        model: &ModelName,
        before: &ModelSettings,
        after: &ModelSettings,
    ) -> (Vec<String>, BTreeMap<String, SettingChange>) {
        let chosen = serde_json::json!(self.choices(model.as_str()));
        let mut keys = differences(before, after);
        keys.retain(|key| chosen.get(key).is_none());
        let (before, after) = (before.or(&self.defaults), after.or(&self.defaults));
        let changes = setting_changes(&keys, &before, &after);
        (keys, changes)
    }

    /// In a task of its own: a caller who hangs up must not leave a committed intent unpublished.
    async fn change(
        self: &Arc<Self>,
        model: &ModelName,
        clock: &Arc<dyn Clock>,
        decide: impl FnOnce(Option<&StoredIntent>) -> Result<Change, InvalidSetting> + Send + 'static,
    ) -> Result<(), IntentError> {
        let (book, model, at) = (Arc::clone(self), model.clone(), clock.now());
        let task = self.tasks.spawn(async move {
            let _writing = book.writing.lock().await;
            let changed = book.store.change_intent(&model, at, decide).await;
            match changed {
                Ok(Some(intent)) => book.publish(model, intent),
                Ok(None) => {}
                Err(ChangeError::Refused(reason)) => return Err(reason.into()),
                Err(ChangeError::Store(reason)) => return Err(reason.into()),
            }
            Ok(())
        });
        task.await.unwrap_or_else(|stopped| {
            let reason = format!("the change was cut off: {stopped}");
            Err(StoreError::Other(reason).into())
        })
    }

    fn publish(&self, model: ModelName, intent: StoredIntent) {
        let _publishing = self.publishing();
        let mut stored = Stored::clone(&self.stored.load());
        stored.insert(model, intent);
        self.stored.store(Arc::new(stored));
        self.publish_all();
    }

    /// Called while `publishing` is held.
    fn publish_all(&self) {
        let (stored, tags) = (self.stored.load(), self.tags.load());
        let intents = to_engine(&stored, &tags, &self.defaults, self.enable_all);
        self.published.send_replace(Arc::new(intents));
    }

    fn publishing(&self) -> MutexGuard<'_, ()> {
        // It guards an order, no value.
        self.publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a fact nothing has changed, and nothing is written.
fn put(serve: bool, settings: ModelSettings, facts: Vec<ControlFact>, by: String) -> Change {
    if facts.is_empty() {
        return Change::Keep;
    }
    let intent = Box::new(StoredIntent { serve, settings });
    Change::Put { intent, facts, by }
}

fn to_engine(stored: &Stored, tags: &Tags, defaults: &Settings, enable_all: bool) -> Intents {
    let serve = |name: &ModelName, person: &ModelSettings| {
        let settings = match tags.get(name) {
            Some(tags) => person.or(&tags.settings.or(defaults)),
            None => person.or(defaults),
        };
        Intent::Serve(Arc::new(settings.to_engine(defaults)))
    };
    let spoken_of = stored.iter().map(|(name, intent)| {
        let wish = if intent.serve {
            serve(name, &intent.settings)
        } else {
            Intent::Rest
        };
        (name.clone(), wish)
    });
    let tagged = tags
        .keys()
        .filter(|name| enable_all && !stored.contains_key(*name))
        .map(|name| (name.clone(), serve(name, &ModelSettings::default())));
    Intents {
        models: spoken_of.chain(tagged).collect(),
        otherwise: enable_all.then(|| Arc::new(defaults.to_engine(defaults))),
    }
}

/// What each of `keys` was and is. Not of the workers' environment: it may hold secrets. Nothing of a choice that makes no
/// difference, such as that of the default.
fn setting_changes(
    keys: &[String],
    before: &Settings,
    after: &Settings,
) -> BTreeMap<String, SettingChange> {
    let (before, after) = (serde_json::json!(before), serde_json::json!(after));
    let told = keys.iter().filter(|key| *key != "environment");
    let changes = told.map(|key| {
        let (from, to) = (before[key].clone(), after[key].clone());
        (key.clone(), SettingChange { from, to })
    });
    changes
        .filter(|(_, change)| change.from != change.to)
        .collect()
}

fn differences(before: &ModelSettings, after: &ModelSettings) -> Vec<String> {
    let (before, after) = (serde_json::json!(before), serde_json::json!(after));
    let keys = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .map(|object| object.keys().cloned().collect())
            .unwrap_or_default()
    };
    let mut changed: Vec<String> = keys(&before)
        .into_iter()
        .chain(keys(&after))
        .filter(|key| before.get(key) != after.get(key))
        .collect();
    changed.sort();
    changed.dedup();
    changed
}
