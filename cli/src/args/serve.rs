//! The flags of `serve`: over the variables, which are over the file.

use std::path::PathBuf;

use clap::Args;
use gateway::config::Overrides;

/// `serve`. The registry's credentials come from `MLFLOW_TRACKING_USERNAME`, `_PASSWORD`, `_TOKEN` or the file,
/// never from a flag.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// Address of the MLflow server whose registry is followed, for example http://mlflow:5000.
    #[arg(long, value_name = "URL")]
    pub(crate) registry: Option<String>,

    /// Address to accept requests on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,

    /// Folder of state, environments, models and logs [default: the platform's data folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Pause between two looks at the registry [default: 5s].
    #[arg(long, value_name = "DURATION")]
    pub(crate) poll_interval: Option<String>,

    /// Who builds the environments of model versions: conda, uv, virtualenv or local (none is built) [default: conda].
    #[arg(long, value_name = "MANAGER")]
    pub(crate) env_manager: Option<String>,

    /// Python interpreter of the environment manager `local`.
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// Build environments of what is cached, and fetch no package.
    #[arg(long)]
    pub(crate) offline: bool,

    /// Enable serving of this registered model at start; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) enable: Vec<String>,

    /// Serve every registered model that nobody disabled.
    #[arg(long)]
    pub(crate) enable_all: bool,

    /// Where rights come from: registry or grants.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) rights: Option<String>,
}

impl ServeArgs {
    /// The same for the gateway's configuration, which checks them together with the rest.
    pub(crate) fn overrides(self) -> Overrides {
        Overrides {
            config: self.config,
            registry: self.registry,
            listen: self.listen,
            data_dir: self.data_dir,
            poll_interval: self.poll_interval,
            env_manager: self.env_manager,
            python: self.python,
            offline: self.offline,
            enable: self.enable,
            enable_all: self.enable_all,
            rights: self.rights,
        }
    }
}
