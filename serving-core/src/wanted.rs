//! What is aspired and what people asked for, laid over each other: complete specs, ready to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aspired::{Aspired, AspiredModel, AspiredVersion};
use crate::id::{Incarnation, Label, ModelName, ServableId, Version};
use crate::intent::{Intent, Intents, overlay};
use crate::settings::Settings;
use crate::spec::VersionSpec;

/// Everything that is wanted now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The models that are enabled, also those that the source does not know.
    pub(crate) models: BTreeMap<ModelName, WantedModel>,
}

/// One model that is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedModel {
    /// `None` if the source does not know the model.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) versions: BTreeMap<Version, Arc<VersionSpec>>,
    /// What the source has and the settings leave out: not wanted, but not gone either.
    pub(crate) left_out: BTreeMap<Version, Arc<VersionSpec>>,
    pub(crate) labels: BTreeMap<Label, Version>,
}

impl Wanted {
    /// The specs of what is both aspired and enabled.
    pub(crate) fn new(aspired: &Aspired, intents: &Intents) -> Self {
        let enabled = overlay(aspired, intents);
        let mut models: BTreeMap<_, _> = enabled
            .models
            .into_iter()
            .filter_map(|(name, model)| {
                let settings = Arc::clone(intents.settings(&name)?);
                let all = &aspired.models.get(&name)?.versions;
                let wanted = WantedModel::new(&name, model, all, settings);
                Some((name, wanted))
            })
            .collect();
        for (name, intent) in &intents.models {
            if let Intent::Serve(settings) = intent {
                models
                    .entry(name.clone())
                    .or_insert_with(|| WantedModel::unknown(Arc::clone(settings)));
            }
        }
        Self { models }
    }

    /// The models that a person has enabled since `earlier`.
    pub(crate) fn asked_since(&self, earlier: &Self, intents: &Intents) -> BTreeSet<ModelName> {
        intents
            .models
            .keys()
            .filter(|name| self.models.contains_key(*name) && !earlier.models.contains_key(*name))
            .cloned()
            .collect()
    }
}

impl WantedModel {
    fn new(
        name: &ModelName,
        model: AspiredModel,
        all: &BTreeMap<Version, AspiredVersion>,
        settings: Arc<Settings>,
    ) -> Self {
        let spec = |(number, version): (&Version, &AspiredVersion)| {
            let spec = VersionSpec {
                id: ServableId::new(name.clone(), *number),
                model_incarnation: model.incarnation.clone(),
                incarnation: version.incarnation.clone(),
                source: version.source.clone(),
                settings: Arc::clone(&settings),
            };
            (*number, Arc::new(spec))
        };
        let left_out =
            |(number, _): &(&Version, &AspiredVersion)| !model.versions.contains_key(*number);
        Self {
            versions: model.versions.iter().map(spec).collect(),
            left_out: all.iter().filter(left_out).map(spec).collect(),
            labels: model.labels,
            incarnation: Some(model.incarnation),
            settings,
        }
    }

    fn unknown(settings: Arc<Settings>) -> Self {
        Self {
            incarnation: None,
            settings,
            versions: BTreeMap::new(),
            left_out: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }
}
