//! Where labels pointed when the log was last written: a start of the gateway moves no label, whatever the engine, which
//! begins with none, says.

use std::collections::BTreeMap;

use serving_core::{Event, Fact, Label, ModelName, Snapshot, Version};

/// The labels of which the engine has said nothing in this process.
#[derive(Debug, Default)]
pub(super) struct LabelLedger {
    unheard: BTreeMap<(ModelName, Label), Version>,
}

impl LabelLedger {
    pub(super) fn new(labels: impl IntoIterator<Item = (ModelName, Label, Version)>) -> Self {
        let labels = labels.into_iter();
        Self {
            unheard: labels
                .map(|(model, label, version)| ((model, label), version))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unheard.is_empty()
    }

    /// The event as it has to stand in the log; `None` if it repeats what stands there.
    pub(super) fn correct(&mut self, mut event: Event) -> Option<Event> {
        let Fact::LabelMoved { label, from, to } = &mut event.fact else {
            return Some(event);
        };
        let known = self.unheard.remove(&(event.model.clone(), label.clone()));
        if from.is_none() && known.is_some() {
            if *to == known {
                return None;
            }
            *from = known;
        }
        Some(event)
    }

    /// The labels that were taken away while nobody wrote: they are not even wanted now.
    pub(super) fn vanished(&mut self, seen: &Snapshot) -> Vec<(ModelName, Fact)> {
        let wanted = |model: &ModelName, label: &Label| {
            let model = seen.models.get(model);
            model.is_some_and(|model| model.labels.contains_key(label))
        };
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.unheard)
            .into_iter()
            .partition(|((model, label), _)| wanted(model, label));
        self.unheard = kept;
        let gone = gone.into_iter();
        let facts = gone.map(|((model, label), version)| {
            let fact = Fact::LabelMoved {
                label,
                from: Some(version),
                to: None,
            };
            (model, fact)
        });
        facts.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serving_core::{LabelRoute, ModelSnapshot};

    use super::*;

    fn ledger() -> LabelLedger {
        LabelLedger::new([("iris".into(), "Production".into(), Version(1))])
    }

    fn moved(from: Option<u64>, to: Option<u64>) -> Event {
        Event {
            at: SystemTime::UNIX_EPOCH,
            model: "iris".into(),
            version: to.map(Version),
            fact: Fact::LabelMoved {
                label: "Production".into(),
                from: from.map(Version),
                to: to.map(Version),
            },
        }
    }

    #[test]
    fn a_label_that_points_where_it_did_was_not_moved() {
        let mut ledger = ledger();
        assert_eq!(ledger.correct(moved(None, Some(1))), None);
        // From here on the engine knows better.
        for event in [moved(Some(1), None), moved(None, Some(1))] {
            assert_eq!(ledger.correct(event.clone()), Some(event));
        }
    }

    #[test]
    fn a_label_that_points_elsewhere_was_moved_from_where_it_did() {
        let corrected = ledger().correct(moved(None, Some(2)));
        assert_eq!(corrected, Some(moved(Some(1), Some(2))));
    }

    #[test]
    fn a_label_that_is_still_wanted_has_not_vanished_and_one_that_is_not_has_once() {
        let mut ledger = ledger();
        let waiting = LabelRoute {
            aspired: Some(Version(1)),
            current: None,
        };
        let model = ModelSnapshot {
            labels: [("Production".into(), waiting)].into(),
            ..ModelSnapshot::default()
        };
        let seen = Snapshot {
            models: [("iris".into(), model)].into(),
        };
        assert_eq!(ledger.vanished(&seen), []);
        let gone = ledger.vanished(&Snapshot::default());
        assert_eq!(gone, [("iris".into(), moved(Some(1), None).fact)]);
        assert!(ledger.is_empty());
    }
}
