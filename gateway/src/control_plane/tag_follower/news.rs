//! What the registry's tags changed and the event log does not tell yet: one entry a model, however often its tags change.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serving_core::ModelName;
use tokio::sync::watch;
use tracing::warn;

use crate::store::{ControlFact, SettingChange, Store};

/// Who has changed a setting, in the words of the event log.
const BY_TAGS: &str = "the registry's tags";

/// So many models may wait for the log; of more, nothing is told. More than a registry's tags change while a disk is slow.
const MOST: usize = 4096;

/// The models that wait for the log. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct News(watch::Sender<BTreeMap<ModelName, Changes>>);

/// What the tags of one model changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// When it was last seen to change.
    pub(super) at: SystemTime,
    /// Settings that have changed.
    pub(super) keys: BTreeSet<String>,
    /// What some of them were and are.
    pub(super) values: BTreeMap<String, SettingChange>,
    /// Tags that change nothing, and why.
    pub(super) refused: BTreeMap<String, String>,
}

impl Default for News {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl News {
    /// Adds what changed to what waits; `false` if too many models wait already. Never blocks.
    pub(super) fn add(&self, model: &ModelName, changes: Changes) -> bool {
        let mut added = true;
        self.0.send_if_modified(|waiting| {
            if let Some(known) = waiting.get_mut(model) {
                known.at = changes.at;
                known.keys.extend(changes.keys);
                for (key, change) in changes.values {
                    match known.values.entry(key) {
                        // From what it was at first.
                        Entry::Occupied(mut known) => known.get_mut().to = change.to,
                        Entry::Vacant(place) => {
                            place.insert(change);
                        }
                    }
                }
                known.refused.extend(changes.refused);
            } else if waiting.len() < MOST {
                waiting.insert(model.clone(), changes);
            } else {
                added = false;
            }
            added
        });
        added
    }

    /// Writes them down until `ended` resolves, and what waits then.
    pub(super) async fn write(&self, store: &Store, ended: impl Future<Output = ()>) {
        let mut added = self.0.subscribe();
        let mut ended = std::pin::pin!(ended);
        loop {
            added.borrow_and_update();
            while let Some((model, changes)) = self.take() {
                log(store, &model, changes).await;
            }
            tokio::select! {
                // Its sender is `self`.
                _ = added.changed() => {}
                () = &mut ended => break,
            }
        }
        while let Some((model, changes)) = self.take() {
            log(store, &model, changes).await;
        }
    }

    fn take(&self) -> Option<(ModelName, Changes)> {
        let mut taken = None;
        self.0.send_if_modified(|waiting| {
            taken = waiting.pop_first();
            false
        });
        taken
    }
}

async fn log(store: &Store, model: &ModelName, changes: Changes) {
    let Changes {
        at,
        keys,
        mut values,
        refused,
    } = changes;
    values.retain(|_, change| change.from != change.to);
    let changed = (!keys.is_empty()).then(|| ControlFact::SettingsChanged {
        by: BY_TAGS.to_owned(),
        keys: keys.into_iter().collect(),
        changes: values,
    });
    let refused = refused
        .into_iter()
        .map(|(key, problem)| ControlFact::TagRefused { key, problem });
    for fact in changed.into_iter().chain(refused) {
        if let Err(error) = store.append_fact(at, model, None, fact).await {
            warn!(%error, %model, "what the registry's tags changed could not be logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(key: &str) -> Changes {
        Changes {
            at: SystemTime::UNIX_EPOCH,
            keys: [key.to_owned()].into(),
            values: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    #[test]
    fn a_model_waits_once_with_all_that_changed() {
        let news = News::default();
        assert!(news.add(&"iris".into(), changes("replicas")));
        assert!(news.add(&"iris".into(), changes("timeout")));
        let (model, told) = news.take().unwrap();
        assert_eq!(model, "iris".into());
        assert_eq!(told.keys, ["replicas".into(), "timeout".into()].into());
        assert_eq!(news.take(), None);
    }

    #[test]
    fn a_setting_that_changed_twice_is_told_from_the_first_to_the_last() {
        let news = News::default();
        let timeout = |from: &str, to: &str| Changes {
            values: [(
                "timeout".to_owned(),
                SettingChange {
                    from: from.into(),
                    to: to.into(),
                },
            )]
            .into(),
            ..changes("timeout")
        };
        news.add(&"iris".into(), timeout("60s", "30s"));
        news.add(&"iris".into(), timeout("30s", "5s"));
        let (_, told) = news.take().unwrap();
        assert_eq!(told.values, timeout("60s", "5s").values);
    }

    #[test]
    fn the_number_of_models_that_wait_is_bounded() {
        let news = News::default();
        for number in 0..MOST {
            assert!(news.add(&format!("m{number}").into(), changes("replicas")));
        }
        assert!(!news.add(&"one more".into(), changes("replicas")));
        assert!(
            news.add(&"m1".into(), changes("timeout")),
            "it waits already"
        );
    }
}
