//! What callers can reach: one immutable table, swapped as a whole, and the router that reads it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::gate::{Gate, GateGuard};
use crate::id::{Generation, Label, ModelName, ServableId, Version};
use crate::phase::Phase;

/// Everything that callers can reach at one moment. Written by the manager alone.
pub struct RoutingTable<T> {
    /// The models that are served, also those without a version.
    pub models: HashMap<ModelName, Arc<ModelRoutes<T>>>,
}

/// One model's versions and labels. Shared between successive tables while nothing of it changes.
pub struct ModelRoutes<T> {
    /// The versions that are wanted or still serve.
    pub versions: BTreeMap<Version, VersionRoute<T>>,
    /// The labels that are wanted.
    pub labels: BTreeMap<Label, LabelRoute>,
}

/// How far callers get with one version.
pub enum VersionRoute<T> {
    /// It became ready once; since then the route stays, also while its replicas are replaced.
    Reachable(Arc<Route<T>>),
    /// It was never ready yet: pending, building, starting or failed.
    Unreachable(Phase),
}

/// Where a label points and where it should point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelRoute {
    /// Where it should point; may be a version that nobody knows here.
    pub aspired: Option<Version>,
    /// Where callers get; only ever a reachable version.
    pub current: Option<Version>,
}

/// The way to one version that answers.
pub struct Route<T> {
    /// Which version.
    pub id: ServableId,
    /// Which life of it.
    pub generation: Generation,
    /// The version's own stack.
    pub target: T,
    gate: Arc<Gate>,
}

/// How a caller names a version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By its number.
    Version(Version),
    /// By a label, compared exactly.
    Label(Label),
    /// The largest reachable version.
    Latest,
}

/// Lets callers in. Cloning it is cheap, and all clones see the same table.
pub struct Router<T> {
    table: Arc<ArcSwap<RoutingTable<T>>>,
}

/// A caller inside a version. The version's replicas are not stopped before it is dropped (or the
/// drain deadline has passed), so it has to live until the answer's last byte is sent.
pub struct Entered<T> {
    route: Arc<Route<T>>,
    _guard: GateGuard,
}

/// Why a caller was not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrouted {
    /// The model is not served, or not known.
    #[error("the model is not served")]
    UnknownModel,
    /// The model is served, but none of the references names anything in it.
    #[error("the model has no such version or label")]
    UnknownReference,
    /// The version is wanted, but was never ready yet.
    #[error("version {version} is not ready: {}", phase.name())]
    NotReady {
        /// Which version the reference led to.
        version: Version,
        /// How far it is.
        phase: Phase,
    },
}

impl<T> RoutingTable<T> {
    /// The way to the first of `references` that names something known.
    fn resolve(&self, model: &str, references: &[Reference]) -> Result<&Arc<Route<T>>, Unrouted> {
        let routes = self.models.get(model).ok_or(Unrouted::UnknownModel)?;
        references
            .iter()
            .find_map(|reference| routes.resolve(reference))
            .unwrap_or(Err(Unrouted::UnknownReference))
    }
}

impl<T> ModelRoutes<T> {
    /// `None` if nothing here has that name.
    fn resolve(&self, reference: &Reference) -> Option<Result<&Arc<Route<T>>, Unrouted>> {
        match reference {
            Reference::Version(version) => self.version(*version),
            Reference::Label(label) => {
                let label = self.labels.get(label)?;
                self.version(label.current.or(label.aspired)?)
            }
            Reference::Latest => {
                let newest_first = || self.versions.iter().rev();
                newest_first()
                    .find(|(_, route)| matches!(route, VersionRoute::Reachable(_)))
                    .or_else(|| newest_first().next())
                    .and_then(|(version, _)| self.version(*version))
            }
        }
    }

    fn version(&self, version: Version) -> Option<Result<&Arc<Route<T>>, Unrouted>> {
        Some(match self.versions.get(&version)? {
            VersionRoute::Reachable(route) => Ok(route),
            VersionRoute::Unreachable(phase) => Err(Unrouted::NotReady {
                version,
                phase: phase.clone(),
            }),
        })
    }
}

impl<T> Route<T> {
    /// A way to `target`, open until the process ends. The manager's own routes end with their version.
    pub fn new(id: ServableId, generation: Generation, target: T) -> Self {
        Self::behind(Arc::default(), id, generation, target)
    }

    /// A way to `target` that ends when `gate` closes.
    pub(crate) fn behind(
        gate: Arc<Gate>,
        id: ServableId,
        generation: Generation,
        target: T,
    ) -> Self {
        Self {
            id,
            generation,
            target,
            gate,
        }
    }
}

impl<T> Router<T> {
    /// A router over a table that stays as it is, for those who have no manager.
    pub fn fixed(table: RoutingTable<T>) -> Self {
        Self::over(Arc::new(ArcSwap::from_pointee(table)))
    }

    /// A router over a table that somebody else swaps.
    pub(crate) fn over(table: Arc<ArcSwap<RoutingTable<T>>>) -> Self {
        Self { table }
    }

    /// The table as it is now.
    pub fn table(&self) -> Arc<RoutingTable<T>> {
        self.table.load_full()
    }

    /// Enters a version. The references are tried in order: the first one that names something known
    /// decides, even if what it names is not ready. Never waits, takes no lock.
    pub fn enter(&self, model: &str, references: &[Reference]) -> Result<Entered<T>, Unrouted> {
        let mut table = self.table.load();
        loop {
            let route = table.resolve(model, references)?;
            if let Some(guard) = route.gate.enter() {
                return Ok(Entered {
                    route: Arc::clone(route),
                    _guard: guard,
                });
            }
            // The gate has closed between the two steps. Closing comes after swapping, so there is a
            // newer table already that does not hold this route.
            let newer = self.table.load();
            if Arc::ptr_eq(&table, &newer) {
                return Err(Unrouted::UnknownReference);
            }
            table = newer;
        }
    }
}

impl<T> Deref for Entered<T> {
    type Target = Route<T>;

    fn deref(&self) -> &Route<T> {
        &self.route
    }
}

impl<T> Default for RoutingTable<T> {
    fn default() -> Self {
        Self {
            models: HashMap::new(),
        }
    }
}

impl<T> Default for ModelRoutes<T> {
    fn default() -> Self {
        Self {
            versions: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// Equal when callers get to the same places: the same routes, not equal ones.
impl<T> PartialEq for ModelRoutes<T> {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels && self.versions == other.versions
    }
}

impl<T> PartialEq for VersionRoute<T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reachable(one), Self::Reachable(other)) => Arc::ptr_eq(one, other),
            (Self::Unreachable(one), Self::Unreachable(other)) => one == other,
            _ => false,
        }
    }
}

impl<T> Clone for RoutingTable<T> {
    fn clone(&self) -> Self {
        Self {
            models: self.models.clone(),
        }
    }
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self::over(Arc::clone(&self.table))
    }
}

impl<T> fmt::Debug for RoutingTable<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(&self.models).finish()
    }
}

impl<T> fmt::Debug for ModelRoutes<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ModelRoutes")
            .field("versions", &self.versions)
            .field("labels", &self.labels)
            .finish()
    }
}

impl<T> fmt::Debug for VersionRoute<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reachable(route) => formatter.debug_tuple("Reachable").field(route).finish(),
            Self::Unreachable(phase) => formatter.debug_tuple("Unreachable").field(phase).finish(),
        }
    }
}

impl<T> fmt::Debug for Route<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of generation {}", self.id, self.generation)
    }
}

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Router").field(&self.table).finish()
    }
}

impl<T> fmt::Debug for Entered<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Entered").field(&self.route).finish()
    }
}

#[cfg(test)]
mod tests;
