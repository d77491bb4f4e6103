//! How all models are, in a line each: worked out once whenever it may have changed, for all who follow.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use auth::Right;
use serde::Serialize;
use serving_core::{Aspired, Intents, ModelName, Snapshot};

use super::super::{ControlState, models};
use crate::ports::{Catalog, RegistryStatus};

/// The last look that somebody took.
#[derive(Debug, Default)]
pub struct Summaries {
    last: Mutex<Option<Arc<Look>>>,
    looks: AtomicU64,
}

/// How all models were, for whoever may see them.
#[derive(Debug)]
pub(super) struct Look {
    sources: Sources,
    /// Of each that is served or wanted.
    pub(super) models: BTreeMap<ModelName, Written>,
}

/// How one model is, for each right that a caller may have on it.
#[derive(Debug)]
pub(super) struct Written {
    read: Line,
    manage: Line,
}

/// How a model is, as it is sent.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) json: String,
    /// Tells two of them apart.
    pub(super) digest: u64,
}

/// All that a look depends on, held so that no other value can take its place in memory.
#[derive(Debug)]
struct Sources {
    snapshot: Arc<Snapshot>,
    intents: Arc<Intents>,
    aspired: Option<Arc<Aspired>>,
    catalog: Arc<Catalog>,
    /// Asked only while nothing is aspired.
    registry: Option<RegistryStatus>,
}

impl Summaries {
    /// How often it was worked out.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// How all models are now. Who comes while somebody works it out waits for that.
    pub(super) fn look(&self, state: &ControlState) -> Arc<Look> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Read first: what changes from here on is another value than the one that is remembered.
        let sources = Sources::now(state);
        if let Some(last) = last.as_ref().filter(|last| last.sources.is(&sources)) {
            return Arc::clone(last);
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        let look = Arc::new(Look::new(state, sources));
        *last = Some(Arc::clone(&look));
        look
    }
}

impl Look {
    fn new(state: &ControlState, sources: Sources) -> Self {
        let mut names: BTreeSet<ModelName> = sources.snapshot.models.keys().cloned().collect();
        names.extend(state.intents.enabled());
        let summaries = names.into_iter().filter_map(|name| {
            let summary = sources.summary(state, &name)?;
            Some((name, summary))
        });
        Self {
            models: summaries.collect(),
            sources,
        }
    }

    /// One that is in no look any more.
    pub(super) fn of_gone(&self, state: &ControlState, name: &ModelName) -> Option<Written> {
        self.sources.summary(state, name)
    }
}

impl Sources {
    fn now(state: &ControlState) -> Self {
        let aspired = state.aspired.borrow().clone();
        Self {
            snapshot: Arc::clone(&state.engine.snapshot().borrow()),
            intents: Arc::clone(&state.intents.subscribe().borrow()),
            registry: aspired.is_none().then(|| state.registry.status()),
            aspired,
            catalog: state.registry.catalog(),
        }
    }

    /// Whether both are of the same values; equal ones may be two.
    fn is(&self, other: &Self) -> bool {
        let is_aspired = match (&self.aspired, &other.aspired) {
            (Some(one), Some(another)) => Arc::ptr_eq(one, another),
            (None, None) => self.registry == other.registry,
            _ => false,
        };
        is_aspired
            && Arc::ptr_eq(&self.snapshot, &other.snapshot)
            && Arc::ptr_eq(&self.intents, &other.intents)
            && Arc::ptr_eq(&self.catalog, &other.catalog)
    }

    fn summary(&self, state: &ControlState, name: &ModelName) -> Option<Written> {
        let line = |right| {
            let summary = models::summary(state, name, right, &self.catalog, &self.snapshot);
            Line::of(&summary)
        };
        Some(Written {
            read: line(Right::Read)?,
            manage: line(Right::Manage)?,
        })
    }
}

impl Written {
    /// As it is sent to a caller who has `right`.
    pub(super) fn to(&self, right: Right) -> &Line {
        match right {
            Right::Read => &self.read,
            Right::Manage => &self.manage,
        }
    }
}

impl Line {
    pub(super) fn of(what: &impl Serialize) -> Option<Self> {
        let json = serde_json::to_string(what).ok()?;
        let mut hasher = DefaultHasher::new();
        json.hash(&mut hasher);
        let digest = hasher.finish();
        Some(Self { json, digest })
    }
}
