//! What people asked for: which models are served and how. `overlay` lays it over what is aspired.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::aspired::{Aspired, AspiredModel};
use crate::id::ModelName;
use crate::settings::Settings;
use crate::version_policy::VersionPolicy;

/// The standing wishes, newest value only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intents {
    /// By model. A model without an entry follows `otherwise`.
    pub models: BTreeMap<ModelName, Intent>,
    /// For every other model; `None` serves nothing that nobody enabled.
    pub otherwise: Option<Arc<Settings>>,
}

/// The wish about one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Serve it like this.
    Serve(Arc<Settings>),
    /// Do not serve it, whatever `otherwise` says.
    Rest,
}

impl Intents {
    /// How `model` is to be served, or `None` if it is not.
    pub fn settings(&self, model: &ModelName) -> Option<&Arc<Settings>> {
        match self.models.get(model) {
            Some(Intent::Serve(settings)) => Some(settings),
            Some(Intent::Rest) => None,
            None => self.otherwise.as_ref(),
        }
    }
}

/// Keeps of `aspired` what `intents` wants served: the models, and of each the versions that its settings choose. The
/// labels stay, also those that should point at a version that is left out. The settings are looked up again where
/// they are used.
pub fn overlay(aspired: &Aspired, intents: &Intents) -> Aspired {
    let kept = |(name, model): (&ModelName, &AspiredModel)| {
        let settings = intents.settings(name)?;
        Some((name.clone(), chosen(model, settings)))
    };
    Aspired {
        models: aspired.models.iter().filter_map(kept).collect(),
    }
}

fn chosen(model: &AspiredModel, settings: &Settings) -> AspiredModel {
    let mut model = model.clone();
    if settings.versions != VersionPolicy::All {
        let chosen = settings.versions.choose(&model);
        model.versions.retain(|version, _| chosen.contains(version));
    }
    model
}
