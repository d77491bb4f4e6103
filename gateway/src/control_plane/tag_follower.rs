//! Follows the settings in the registry's tags: first the intents heed them, then the manager is told what is aspired,
//! so that no version is begun with settings that are about to change.

mod news;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serving_core::{Aspired, Clock, ModelName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::intent_book::{IntentBook, Tags};
use crate::api::{TagProblem, TagSettings};
use crate::store::Store;
use news::{Changes, News};

type Known = Option<Arc<Aspired>>;

/// Stands between the registry and the manager.
pub struct TagFollower {
    book: Arc<IntentBook>,
    store: Store,
    clock: Arc<dyn Clock>,
    registry: watch::Receiver<Known>,
    heeded: watch::Sender<Known>,
    news: News,
}

impl TagFollower {
    /// Heeds the tags of what is known already, which are no news.
    pub fn new(
        book: Arc<IntentBook>,
        store: Store,
        mut registry: watch::Receiver<Known>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let known = registry.borrow_and_update().clone();
        book.heed(read(known.as_deref()));
        let heeded = watch::Sender::new(known);
        book.is_followed(registry.clone(), heeded.clone());
        Self {
            book,
            store,
            clock,
            registry,
            heeded,
            news: News::default(),
        }
    }

    /// What is aspired, each value as soon as its tags are in the intents.
    pub fn aspired(&self) -> watch::Receiver<Known> {
        self.heeded.subscribe()
    }

    /// Works until `shutdown`. When the registry's end is gone, the last value stands. The log is written beside the
    /// following: a slow disk must not hold up what is served.
    pub async fn run(self, shutdown: CancellationToken) {
        let (news, store) = (self.news.clone(), self.store.clone());
        let writing = news.write(&store, shutdown.cancelled());
        tokio::join!(self.follow(&shutdown), writing);
    }

    async fn follow(mut self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.registry.changed() => if changed.is_err() {
                    return shutdown.cancelled().await;
                },
            }
            let known = self.registry.borrow_and_update().clone();
            let tags = read(known.as_deref());
            let before = self.book.heed(tags.clone());
            self.heeded.send_replace(known.clone());
            let models = known.iter().flat_map(|aspired| aspired.models.keys());
            let untold = models
                .filter(|model| !self.tell(model, before.get(*model), tags.get(*model)))
                .count();
            if untold > 0 {
                warn!(
                    untold,
                    "the event log is too slow: it does not tell what the tags of some models changed"
                );
            }
        }
    }

    /// Hands on what is new about one model that is served; `false` if too much waits for the log already.
    fn tell(
        &self,
        model: &ModelName,
        before: Option<&TagSettings>,
        now: Option<&TagSettings>,
    ) -> bool {
        if before == now || self.book.settings(model.as_str()).is_none() {
            return true;
        }
        let nothing = TagSettings::default();
        let (before, now) = (before.unwrap_or(&nothing), now.unwrap_or(&nothing));
        let (keys, values) =
            self.book
                .differences_in_effect(model, &before.settings, &now.settings);
        let new = now.problems.iter();
        let refused: BTreeMap<_, _> = new
            .filter(|one| !before.problems.contains(one))
            .map(|TagProblem { key, problem }| (key.clone(), problem.clone()))
            .collect();
        if keys.is_empty() && refused.is_empty() {
            return true;
        }
        let changes = Changes {
            at: self.clock.now(),
            keys: keys.into_iter().collect(),
            values,
            refused,
        };
        self.news.add(model, changes)
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
