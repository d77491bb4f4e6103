//! Environments of a data folder, on its host and without asking a gateway: for images, for hosts without a network, and
//! for the quickstart.
//!
//! A gateway that runs in the folder shares them: what one builds the other finds, and what one uses the other does not
//! remove.

use std::path::{Path, PathBuf};

use serving_core::Progress;
use tokio::task::spawn_blocking;

use crate::api::{
    EnvManager, EnvironmentDetail, EnvironmentSummary, PruneEnvironments, PrunedEnvironments,
};
use crate::assemble::EnvironmentRoom;
use crate::config::LocalConfig;

pub use crate::ports::EnvironmentsError;

/// The environments in a data folder.
pub struct LocalEnvironments {
    room: EnvironmentRoom,
}

/// An environment that is there, whether it was built now or before.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltEnvironment {
    /// Its interpreter.
    pub python: PathBuf,
    /// All about it.
    pub detail: EnvironmentDetail,
}

impl LocalEnvironments {
    /// Those of the data folder of `config`, which is made if need be.
    pub async fn open(config: &LocalConfig) -> Result<Self, EnvironmentsError> {
        let config = config.clone();
        let room = spawn_blocking(move || EnvironmentRoom::open(&config)).await;
        let room = room.map_err(|stopped| EnvironmentsError::Failed(stopped.to_string()))??;
        Ok(Self { room })
    }

    /// The same for who only looks or removes: a data folder that is not there is not made.
    pub async fn open_existing(config: &LocalConfig) -> Result<Self, EnvironmentsError> {
        let config = config.clone();
        let room = spawn_blocking(move || EnvironmentRoom::open_existing(&config)).await;
        let room = room.map_err(|stopped| EnvironmentsError::Failed(stopped.to_string()))??;
        Ok(Self { room })
    }

    /// All of them, most recently used first.
    pub async fn list(&self) -> Result<Vec<EnvironmentSummary>, EnvironmentsError> {
        self.room.list().await
    }

    /// The one whose key is, or begins with, `key`.
    pub async fn find(&self, key: &str) -> Result<EnvironmentDetail, EnvironmentsError> {
        self.room.find(key).await
    }

    /// What its build wrote, oldest lines first; empty if that is gone.
    pub async fn build_log(&self, key: &str) -> Result<String, EnvironmentsError> {
        self.room.build_log(key).await
    }

    /// Builds what the `conda.yaml` or `python_env.yaml` in `folder` declares, or finds it built. `fresh` forgets which
    /// packages were chosen before. `on_step` is told what is being done; steps that pass quickly may be left out.
    /// Dropping the future abandons the build.
    pub async fn build(
        &self,
        folder: &Path,
        manager: EnvManager,
        fresh: bool,
        mut on_step: impl FnMut(&str),
    ) -> Result<BuiltEnvironment, EnvironmentsError> {
        // The programs of a build work in other folders.
        let folder = std::path::absolute(folder)
            .map_err(|error| EnvironmentsError::Failed(format!("{}: {error}", folder.display())))?;
        let (progress, mut steps) = Progress::channel();
        let built = self.room.build_folder(&folder, manager, fresh, &progress);
        tokio::pin!(built);
        let detail = loop {
            tokio::select! {
                biased;
                built = &mut built => break built?,
                Ok(()) = steps.changed() => {
                    let step = steps.borrow_and_update().clone();
                    if let Some(step) = step {
                        on_step(&step);
                    }
                }
            }
        };
        let path = detail.path.as_deref().unwrap_or_default();
        Ok(BuiltEnvironment {
            python: Path::new(path).join("bin").join("python"),
            detail,
        })
    }

    /// Ends the work in good order: what was built is compiled, what was removed is gone. Without it, the first start in a
    /// new environment takes longer, and leftovers stay until the next one who opens the folder.
    pub async fn close(self) {
        self.room.idle().await;
    }

    /// Removes environments that nobody uses.
    pub async fn prune(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, EnvironmentsError> {
        self.room.prune(wish).await
    }

    /// Packs an environment into one new file.
    pub async fn export(&self, key: &str, into: &Path) -> Result<(), EnvironmentsError> {
        self.room.export(key, into).await
    }

    /// Takes in what [`LocalEnvironments::export`] wrote, on this host or another of the same platform.
    pub async fn import(&self, from: &Path) -> Result<EnvironmentDetail, EnvironmentsError> {
        self.room.import(from).await
    }
}

/// An environment that is used here: nobody removes it for as long as this lives, and what was built of it now is compiled
/// in the background.
pub struct EnvironmentInUse {
    _hold: Option<Box<dyn Send + Sync>>,
    _environments: LocalEnvironments,
}

/// Opens the data folder of `config` and builds what `folder` declares with the manager of `config`, to be used at once:
/// see [`LocalEnvironments::build`].
pub async fn build_to_use(
    config: &LocalConfig,
    folder: &Path,
    on_step: impl FnMut(&str),
) -> Result<(BuiltEnvironment, EnvironmentInUse), EnvironmentsError> {
    let environments = LocalEnvironments::open(config).await?;
    let manager = config.env_manager;
    let built = environments.build(folder, manager, false, on_step).await?;
    let hold = environments.room.hold(&built.detail.summary.key).await;
    let in_use = EnvironmentInUse {
        _hold: hold.map(|hold| Box::new(hold) as _),
        _environments: environments,
    };
    Ok((built, in_use))
}

impl std::fmt::Debug for EnvironmentInUse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EnvironmentInUse")
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LocalEnvironments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LocalEnvironments")
            .finish_non_exhaustive()
    }
}
