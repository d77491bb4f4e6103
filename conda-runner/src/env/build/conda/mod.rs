//! conda packages without conda: solved, downloaded, verified and linked by the rattler crates.
//!
//! ```text
//! conda.yaml -> specs, channels -> lists -> solve -> Solved <-> lock
//!                                   |         |        |
//!                                 client   explain     +-> install: room, archive, progress -> prefix -> activation
//! ```
//!
//! [`Conda`] is only what the operator said. Each call makes its client, its lists and its threads, and leaves nothing
//! of them: a gateway that builds nothing pays nothing, and one that has built holds no lists of packages in memory.

mod activation;
mod address;
mod archive;
mod channels;
mod client;
mod explain;
mod failures;
mod install;
mod lists;
mod lock;
mod machine;
mod mirrors;
mod progress;
mod room;
mod settings;
mod solve;
mod specs;
#[cfg(test)]
mod tests;
mod threads;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serving_core::LoadError;

pub(crate) use activation::activation;
pub(crate) use lock::Solved;
use settings::Settings;
use specs::Specs;
use threads::gently;

use super::{CondaWanted, Report, Site};
use crate::config::CondaConfig;
use crate::error::RunnerError;

/// Builds from channels. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Conda {
    settings: Arc<Settings>,
}

impl Conda {
    /// Caches are below `cache`, which is made when it is needed. Credentials are looked for below `home`, unless the
    /// configuration names their file.
    pub(crate) fn new(
        config: &CondaConfig,
        cache: &Path,
        offline: bool,
        home: Option<&Path>,
    ) -> Result<Self, RunnerError> {
        let settings = Settings::new(config, cache, offline, home)?;
        Ok(Self { settings })
    }

    /// Chooses packages that fit what is wanted, and one another, and this machine.
    pub(crate) async fn solve(
        &self,
        wanted: &CondaWanted,
        report: &Report,
    ) -> Result<Solved, LoadError> {
        let specs = Specs::new(wanted, &self.settings.channels)?;
        let credentials = specs.channels.credentials.clone().into();
        let (settings, report) = (Arc::clone(&self.settings), report.clone());
        let solving = async move { solve::solve(&settings, specs, &report).await };
        Ok(Solved {
            records: gently(solving).await?.into(),
            credentials,
        })
    }

    /// What was chosen before, from what [`Solved::lock`] gave. A lock holds no credentials: they are taken from where
    /// they are for what is `wanted`, as they are now.
    pub(crate) fn locked(
        &self,
        lock: &serde_json::Value,
        wanted: &CondaWanted,
    ) -> Result<Solved, LoadError> {
        let specs = Specs::new(wanted, &self.settings.channels)?;
        Ok(Solved {
            credentials: specs.channels.credentials.into(),
            ..Solved::from_lock(lock)?
        })
    }

    /// Downloads what is not cached, verifies it, and links it into the site's prefix, for its place.
    pub(crate) async fn install(&self, solved: &Solved, site: &Site) -> Result<(), LoadError> {
        let settings = Arc::clone(&self.settings);
        let (solved, site) = (solved.clone(), site.clone());
        gently(async move { install::install(&settings, &solved, &site).await }).await
    }
}

/// Shows no setting: some hold secrets.
impl fmt::Debug for Conda {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Conda").finish_non_exhaustive()
    }
}
