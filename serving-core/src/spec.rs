//! What exactly is to be served under one servable id: the planner's unit of work.

use std::sync::Arc;

use crate::aspired::Source;
use crate::id::{Incarnation, ServableId};
use crate::settings::Settings;

/// One wanted version, complete: nothing is left to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSpec {
    /// Which version.
    pub id: ServableId,
    /// Of the model: a different one shares nothing with this one, not even labels.
    pub model_incarnation: Incarnation,
    /// Of the version.
    pub incarnation: Incarnation,
    /// Where it comes from.
    pub source: Source,
    /// How it is served.
    pub settings: Arc<Settings>,
}

impl VersionSpec {
    /// Whether `other` names the same thing, so that what runs for one may stand for the other.
    pub fn same_servable(&self, other: &Self) -> bool {
        self.id == other.id
            && self.model_incarnation == other.model_incarnation
            && self.incarnation == other.incarnation
    }
}
