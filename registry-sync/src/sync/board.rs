//! What is published, by polls of everything and by polls of one model: what was read earlier never overwrites what was
//! read later.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serving_core::{Aspired, ModelName};
use tokio::sync::watch;

use super::Interest;

/// The published value, and who may replace which part of it.
#[derive(Clone, Debug)]
pub(super) struct Board {
    aspired: watch::Sender<Option<Arc<Aspired>>>,
    history: Arc<Mutex<History>>,
}

#[derive(Debug, Default)]
struct History {
    /// Whole polls that were published.
    whole: u64,
    /// Models that were read alone since the whole poll that is under way has begun.
    alone: BTreeSet<ModelName>,
}

/// What became of a reading of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is what is published now.
    Published,
    /// A whole poll that saw something else was published meanwhile: nobody knows which of the two is newer.
    Overtaken,
    /// Nothing was published yet, which one model must not be the first of.
    TooEarly,
    /// The model is not of interest any more.
    Unwanted,
}

impl Board {
    /// Publishes through `aspired`.
    pub(super) fn new(aspired: watch::Sender<Option<Arc<Aspired>>>) -> Self {
        Self {
            aspired,
            history: Arc::default(),
        }
    }

    /// The published value.
    pub(super) fn current(&self) -> Option<Arc<Aspired>> {
        self.aspired.borrow().clone()
    }

    /// A whole poll begins.
    pub(super) fn begin_whole(&self) {
        self.history().alone.clear();
    }

    /// Publishes what the whole poll saw, but for models that were read alone after it had begun: those stay as they are.
    /// Returns them where the two differ, to be read once more.
    pub(super) fn publish_whole(
        &self,
        mut read: Aspired,
        interest: &Interest,
    ) -> BTreeSet<ModelName> {
        let mut history = self.history();
        history.whole = history.whole.wrapping_add(1);
        let mut doubtful = BTreeSet::new();
        self.aspired.send_if_modified(|current| {
            if let Some(current) = current.as_deref() {
                for name in &history.alone {
                    let known = current.models.get(name);
                    if known == read.models.get(name) || !interest.contains(name.as_str()) {
                        continue;
                    }
                    doubtful.insert(name.clone());
                    put(&mut read, name, known.cloned());
                }
            }
            let differs = current.as_deref() != Some(&read);
            if differs {
                *current = Some(Arc::new(read));
            }
            differs
        });
        doubtful
    }

    /// A reading of one model begins: how many whole polls there were, for [`Board::publish_one`].
    pub(super) fn begin_one(&self) -> u64 {
        self.history().whole
    }

    /// Publishes what a reading saw of `name`, which began at `begun` and was made for `interest`.
    pub(super) fn publish_one(
        &self,
        begun: u64,
        name: &ModelName,
        mut read: Aspired,
        interest: &Interest,
    ) -> Outcome {
        let mut history = self.history();
        if !interest.contains(name.as_str()) {
            return Outcome::Unwanted;
        }
        let model = read.models.remove(name);
        let mut outcome = Outcome::Published;
        self.aspired.send_if_modified(|current| {
            let Some(known) = current.as_deref() else {
                outcome = Outcome::TooEarly;
                return false;
            };
            if known.models.get(name) == model.as_ref() {
                return false;
            }
            if history.whole != begun {
                outcome = Outcome::Overtaken;
                return false;
            }
            let mut next = known.clone();
            put(&mut next, name, model);
            *current = Some(Arc::new(next));
            true
        });
        if outcome == Outcome::Published {
            history.alone.insert(name.clone());
        }
        outcome
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // Each change of it is one statement: a panic leaves nothing half done.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(aspired: &mut Aspired, name: &ModelName, model: Option<serving_core::AspiredModel>) {
    match model {
        Some(model) => aspired.models.insert(name.clone(), model),
        None => aspired.models.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serving_core::{AspiredModel, Incarnation};

    use super::*;

    fn aspired(models: &[(&str, u32)]) -> Aspired {
        let models = models.iter().map(|(name, state)| {
            let model = AspiredModel {
                tags: BTreeMap::new(),
                incarnation: Incarnation::from(state.to_string()),
                versions: BTreeMap::new(),
                labels: BTreeMap::new(),
            };
            (ModelName::from(*name), model)
        });
        Aspired {
            models: models.collect(),
        }
    }

    fn board(models: &[(&str, u32)]) -> Board {
        Board::new(watch::Sender::new(Some(Arc::new(aspired(models)))))
    }

    fn shown(board: &Board) -> Aspired {
        board.current().map(|current| (*current).clone()).unwrap()
    }

    #[test]
    fn an_older_whole_poll_does_not_overwrite_a_newer_answer_about_one_model() {
        let board = board(&[("iris", 1), ("wine", 1)]);
        board.begin_whole();
        let begun = board.begin_one();
        let iris = ModelName::from("iris");
        let read = aspired(&[("iris", 2)]);
        assert_eq!(
            board.publish_one(begun, &iris, read, &Interest::All),
            Outcome::Published
        );
        let doubtful = board.publish_whole(aspired(&[("iris", 1), ("wine", 2)]), &Interest::All);
        assert_eq!(shown(&board), aspired(&[("iris", 2), ("wine", 2)]));
        assert_eq!(doubtful, BTreeSet::from([iris]), "it is read once more");
        // The next whole poll began later than both.
        board.begin_whole();
        let doubtful = board.publish_whole(aspired(&[("iris", 3), ("wine", 2)]), &Interest::All);
        assert_eq!(shown(&board), aspired(&[("iris", 3), ("wine", 2)]));
        assert!(doubtful.is_empty());
    }

    #[test]
    fn an_answer_about_one_model_does_not_overwrite_a_whole_poll_that_may_be_newer() {
        let board = board(&[("iris", 1)]);
        let begun = board.begin_one();
        board.begin_whole();
        board.publish_whole(aspired(&[("iris", 2)]), &Interest::All);
        let iris = ModelName::from("iris");
        let outcome = board.publish_one(begun, &iris, aspired(&[("iris", 1)]), &Interest::All);
        assert_eq!(outcome, Outcome::Overtaken);
        assert_eq!(shown(&board), aspired(&[("iris", 2)]));
    }

    #[test]
    fn one_model_is_never_the_first_value_and_never_one_of_no_interest() {
        let board = Board::new(watch::Sender::new(None));
        let iris = ModelName::from("iris");
        let read = aspired(&[("iris", 1)]);
        let outcome = board.publish_one(0, &iris, read.clone(), &Interest::All);
        assert_eq!(outcome, Outcome::TooEarly);
        assert_eq!(board.current(), None);

        board.publish_whole(Aspired::default(), &Interest::All);
        let nothing = Interest::Models(BTreeSet::new());
        let outcome = board.publish_one(1, &iris, read, &nothing);
        assert_eq!(outcome, Outcome::Unwanted);
        assert_eq!(shown(&board), Aspired::default());
    }

    #[test]
    fn a_model_that_is_of_no_interest_any_more_is_not_kept() {
        let board = board(&[("iris", 1)]);
        board.begin_whole();
        let iris = ModelName::from("iris");
        let read = aspired(&[("iris", 2)]);
        board.publish_one(board.begin_one(), &iris, read, &Interest::All);
        let nothing = Interest::Models(BTreeSet::new());
        board.publish_whole(Aspired::default(), &nothing);
        assert_eq!(shown(&board), Aspired::default());
    }

    /// One step of a history of one model whose state in the registry only grows.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Change,
        BeginWhole,
        LookWhole,
        PublishWhole,
        BeginOne,
        LookOne,
        PublishOne,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        use Step::*;
        let step = prop::sample::select(vec![
            Change,
            BeginWhole,
            LookWhole,
            PublishWhole,
            BeginOne,
            LookOne,
            PublishOne,
        ]);
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// Whatever overlaps: what is shown never goes back in time.
        #[test]
        fn what_is_shown_never_goes_back(steps in steps()) {
            let board = board(&[("iris", 0)]);
            let iris = ModelName::from("iris");
            let mut registry = 0;
            // Begun, and what was seen since.
            let mut whole: Option<Option<u32>> = None;
            let mut one: Option<(u64, Option<u32>)> = None;
            let mut newest = 0;
            for step in steps {
                match step {
                    Step::Change => registry += 1,
                    Step::BeginWhole if whole.is_none() => {
                        board.begin_whole();
                        whole = Some(None);
                    }
                    Step::LookWhole if whole == Some(None) => whole = Some(Some(registry)),
                    Step::PublishWhole => if let Some(Some(seen)) = whole {
                        board.publish_whole(aspired(&[("iris", seen)]), &Interest::All);
                        whole = None;
                    },
                    Step::BeginOne if one.is_none() => one = Some((board.begin_one(), None)),
                    Step::LookOne => if let Some((begun, None)) = one {
                        one = Some((begun, Some(registry)));
                    },
                    Step::PublishOne => if let Some((begun, Some(seen))) = one {
                        board.publish_one(begun, &iris, aspired(&[("iris", seen)]), &Interest::All);
                        one = None;
                    },
                    _ => {}
                }
                let current = shown(&board);
                let now: u32 = current.models[&iris].incarnation.as_str().parse().unwrap();
                prop_assert!(now >= newest, "{now} after {newest}");
                newest = now;
            }
        }
    }
}
