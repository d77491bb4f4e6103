//! Follows the settings in the registry's tags: first the intents heed them, then the manager is told what is aspired,
//! so that no version is begun with settings that are about to change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serving_core::{Aspired, Clock, ModelName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::intent_book::{IntentBook, Tags};
use crate::api::{TagProblem, TagSettings};
use crate::store::{ControlFact, Store};

/// Who has changed a setting, in the words of the event log.
const BY_TAGS: &str = "the registry's tags";

type Known = Option<Arc<Aspired>>;

/// Stands between the registry and the manager.
pub struct TagFollower {
    book: Arc<IntentBook>,
    store: Store,
    clock: Arc<dyn Clock>,
    registry: watch::Receiver<Known>,
    heeded: watch::Sender<Known>,
}

impl TagFollower {
    /// Heeds the tags of what is known already, which are no news.
    pub async fn new(
        book: Arc<IntentBook>,
        store: Store,
        mut registry: watch::Receiver<Known>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let known = registry.borrow_and_update().clone();
        book.heed(read(known.as_deref())).await;
        let heeded = watch::Sender::new(known);
        book.is_followed(registry.clone(), heeded.clone());
        Self {
            book,
            store,
            clock,
            registry,
            heeded,
        }
    }

    /// What is aspired, each value as soon as its tags are in the intents.
    pub fn aspired(&self) -> watch::Receiver<Known> {
        self.heeded.subscribe()
    }

    /// Works until `shutdown`. When the registry's end is gone, the last value stands.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.registry.changed() => if changed.is_err() {
                    return shutdown.cancelled().await;
                },
            }
            let known = self.registry.borrow_and_update().clone();
            let tags = read(known.as_deref());
            let before = self.book.heed(tags.clone()).await;
            self.heeded.send_replace(known.clone());
            let news = known.iter().flat_map(|aspired| aspired.models.keys());
            for model in news {
                self.tell(model, before.get(model), tags.get(model)).await;
            }
        }
    }

    /// Writes down what is new about one model that is served.
    async fn tell(
        &self,
        model: &ModelName,
        before: Option<&TagSettings>,
        now: Option<&TagSettings>,
    ) {
        if before == now || self.book.settings(model.as_str()).is_none() {
            return;
        }
        let nothing = TagSettings::default();
        let (before, now) = (before.unwrap_or(&nothing), now.unwrap_or(&nothing));
        let mut facts = Vec::new();
        let keys = self
            .book
            .differences_in_effect(model, &before.settings, &now.settings);
        if !keys.is_empty() {
            let by = BY_TAGS.to_owned();
            facts.push(ControlFact::SettingsChanged { by, keys });
        }
        let new = now.problems.iter();
        for TagProblem { key, problem } in new.filter(|one| !before.problems.contains(one)) {
            let (key, problem) = (key.clone(), problem.clone());
            facts.push(ControlFact::TagRefused { key, problem });
        }
        for fact in facts {
            let at = self.clock.now();
            if let Err(error) = self.store.append_fact(at, model, None, fact).await {
                warn!(%error, %model, "what the registry's tags changed could not be logged");
            }
        }
    }
}

impl fmt::Debug for TagFollower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TagFollower")
            .finish_non_exhaustive()
    }
}

/// The settings in the tags of each model that has some.
fn read(known: Option<&Aspired>) -> Tags {
    let models = known.into_iter().flat_map(|aspired| &aspired.models);
    let tagged = models.filter(|(_, model)| !model.tags.is_empty());
    let read = tagged.map(|(name, model)| (name.clone(), TagSettings::read(&model.tags)));
    read.collect::<BTreeMap<_, _>>()
}
