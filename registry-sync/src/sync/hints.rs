//! Wishes for a look at single models: each model is wished for once, however often it is asked for.

use std::collections::BTreeSet;

use serving_core::ModelName;
use tokio::sync::watch;

/// So many models may wait for their look; who wants more wants everything.
const MOST: usize = 256;

/// The models that wait. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Hints(watch::Sender<BTreeSet<ModelName>>);

impl Default for Hints {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeSet::new()))
    }
}

impl Hints {
    /// Adds a model; `false` if too many wait already.
    pub(super) fn add(&self, model: ModelName) -> bool {
        let mut added = true;
        self.0.send_if_modified(|waiting| {
            added = waiting.len() < MOST || waiting.contains(&model);
            added && waiting.insert(model)
        });
        added
    }

    /// Takes the first model that `free` lets through.
    pub(super) fn take(&self, free: impl Fn(&ModelName) -> bool) -> Option<ModelName> {
        let mut taken = None;
        self.0.send_if_modified(|waiting| {
            taken = waiting.iter().find(|model| free(model)).cloned();
            if let Some(model) = &taken {
                waiting.remove(model);
            }
            false
        });
        taken
    }

    /// Tells when models are added.
    pub(super) fn added(&self) -> watch::Receiver<BTreeSet<ModelName>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_waits_once_however_often_it_is_hinted_at() {
        let hints = Hints::default();
        for _ in 0..3 {
            assert!(hints.add("iris".into()));
        }
        assert!(hints.add("wine".into()));
        let wine_only = |model: &ModelName| model.as_str() == "wine";
        assert_eq!(hints.take(wine_only), Some("wine".into()));
        assert_eq!(hints.take(wine_only), None);
        assert_eq!(hints.take(|_| true), Some("iris".into()));
        assert_eq!(hints.take(|_| true), None);
    }

    #[test]
    fn the_number_of_models_that_wait_is_bounded() {
        let hints = Hints::default();
        for number in 0..MOST {
            assert!(hints.add(format!("m{number}").into()));
        }
        assert!(!hints.add("one more".into()));
        assert!(hints.add("m1".into()), "it waits already");
    }
}
