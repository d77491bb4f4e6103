//! Which of a model's versions are served: all, the newest few, or listed ones. Pure.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::aspired::AspiredModel;
use crate::id::Version;

/// What a model's settings leave of the versions that its source has. TensorFlow Serving's three policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionPolicy {
    /// Every version.
    #[default]
    All,
    /// The newest so many, and besides those every version that a label should point at: a label never loses its
    /// target by this.
    Latest(NonZeroU32),
    /// Exactly these. One that the source does not have may come later; a label that should point at another one
    /// does not move there.
    Listed(BTreeSet<Version>),
}

impl VersionPolicy {
    /// The versions of `model` that are served.
    pub fn choose(&self, model: &AspiredModel) -> BTreeSet<Version> {
        let all = model.versions.keys().copied();
        match self {
            Self::All => all.collect(),
            Self::Latest(count) => {
                let newest = all.rev().take(count.get() as usize);
                let labelled = model.labels.values().copied();
                newest
                    .chain(labelled.filter(|version| model.versions.contains_key(version)))
                    .collect()
            }
            Self::Listed(listed) => all.filter(|version| listed.contains(version)).collect(),
        }
    }

    /// How many of the newest versions it chooses have to answer before one that it leaves out may go.
    pub(crate) fn goal(&self) -> usize {
        match self {
            Self::All | Self::Listed(_) => 1,
            Self::Latest(count) => count.get() as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::Strategy;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::{AspiredVersion, Label, Source};

    fn models() -> impl Strategy<Value = AspiredModel> {
        let versions = btree_set(1..12_u64, 0..8);
        let labels = btree_map("[a-c]", 1..12_u64, 0..3);
        (versions, labels).prop_map(|(versions, labels)| AspiredModel {
            incarnation: "model".into(),
            versions: versions
                .into_iter()
                .map(|number| {
                    let version = AspiredVersion {
                        incarnation: "version".into(),
                        source: Source::Readable("files".into()),
                    };
                    (Version(number), version)
                })
                .collect(),
            labels: labels
                .into_iter()
                .map(|(label, number)| (Label::from(label), Version(number)))
                .collect(),
            tags: BTreeMap::new(),
        })
    }

    proptest! {
        #[test]
        fn the_latest_are_the_newest_and_what_labels_point_at(model in models(), count in 1..5_u32) {
            let chosen = VersionPolicy::Latest(NonZeroU32::new(count).unwrap()).choose(&model);
            let newest: BTreeSet<_> = model.versions.keys().rev().take(count as usize).copied().collect();
            prop_assert!(newest.is_subset(&chosen));
            for version in &chosen {
                prop_assert!(model.versions.contains_key(version));
                let labelled = model.labels.values().any(|target| target == version);
                prop_assert!(newest.contains(version) || labelled);
            }
            for target in model.labels.values().filter(|target| model.versions.contains_key(target)) {
                prop_assert!(chosen.contains(target));
            }
        }

        #[test]
        fn listed_are_exactly_those_that_there_are(model in models(), listed in btree_set(1..12_u64, 1..4)) {
            let listed: BTreeSet<Version> = listed.into_iter().map(Version).collect();
            let chosen = VersionPolicy::Listed(listed.clone()).choose(&model);
            let there = model.versions.keys().copied().collect();
            prop_assert_eq!(chosen, listed.intersection(&there).copied().collect());
        }
    }
}
