//! The book of intents: what people asked for, stored first and published to the manager after the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use serving_core::{Clock, Intent, Intents, ModelName};
use tokio::sync::{Mutex, watch};
use tokio_util::task::TaskTracker;

use crate::api::{InvalidSetting, ModelSettings, Settings};
use crate::store::{Change, ChangeError, ControlFact, Store, StoreError, StoredIntent};

type Stored = BTreeMap<ModelName, StoredIntent>;

/// The standing wishes. The stored ones are the truth: after a crash between commit and publication, the next start publishes.
#[derive(Debug)]
pub struct IntentBook {
    store: Store,
    defaults: Settings,
    /// Whether models that nobody spoke of are served.
    enable_all: bool,
    stored: ArcSwap<Stored>,
    published: watch::Sender<Arc<Intents>>,
    /// Held from before the commit until after the publication, so that both have the same order.
    writing: Mutex<()>,
    tasks: TaskTracker,
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
        let published = watch::Sender::new(Arc::new(to_engine(&stored, &defaults, enable_all)));
        Ok(Arc::new(Self {
            store,
            defaults,
            enable_all,
            stored: ArcSwap::from_pointee(stored),
            published,
            writing: Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The intents as the manager reads them.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Intents>> {
        self.published.subscribe()
    }

    /// How `model` is served; `None` if it is not.
    pub fn settings(&self, model: &str) -> Option<Settings> {
        match self.stored.load().get(model) {
            Some(intent) if intent.serve => Some(intent.settings.or(&self.defaults)),
            Some(_) => None,
            None => self.enable_all.then(|| self.defaults.clone()),
        }
    }

    /// How `model` is served, or would be if it were enabled now.
    pub fn settings_if_served(&self, model: &str) -> Settings {
        match self.stored.load().get(model) {
            Some(intent) => intent.settings.or(&self.defaults),
            None => self.defaults.clone(),
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
                facts.push(ControlFact::SettingsChanged {
                    by: by.clone(),
                    keys,
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
        let mut stored = Stored::clone(&self.stored.load());
        stored.insert(model, intent);
        let intents = to_engine(&stored, &self.defaults, self.enable_all);
        self.stored.store(Arc::new(stored));
        self.published.send_replace(Arc::new(intents));
    }
}

/// Without a fact nothing has changed, and nothing is written.
fn put(serve: bool, settings: ModelSettings, facts: Vec<ControlFact>, by: String) -> Change {
    if facts.is_empty() {
        return Change::Keep;
    }
    let intent = StoredIntent { serve, settings };
    Change::Put { intent, facts, by }
}

fn to_engine(stored: &Stored, defaults: &Settings, enable_all: bool) -> Intents {
    let models = stored.iter().map(|(name, intent)| {
        let wish = if intent.serve {
            let settings = intent.settings.or(defaults);
            Intent::Serve(Arc::new(settings.to_engine(defaults)))
        } else {
            Intent::Rest
        };
        (name.clone(), wish)
    });
    Intents {
        models: models.collect(),
        otherwise: enable_all.then(|| Arc::new(defaults.to_engine(defaults))),
    }
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
