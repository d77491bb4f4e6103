//! The flags of `quickstart`.

use std::path::PathBuf;

use clap::Args;
use gateway::api::EnvManager;

/// `quickstart`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct QuickstartArgs {
    /// Stop everything after the last step, instead of staying up until Ctrl-C.
    #[arg(long)]
    pub(crate) once: bool,

    /// Folder for the state of this run; it is emptied at start [default: a folder in the user's cache].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Port of the gateway; 0 takes a free one [default: 8080, or a free one if that is taken].
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// Port of the MLflow server; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) registry_port: u16,

    /// Python 3.10 or later to build the environment with [default: python3 on the PATH, else one from conda packages].
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// Who builds the environments of the model's versions: conda, uv or virtualenv build what the model declares, local
    /// takes the environment of the training, which is there already [default: local].
    #[arg(long, value_name = "MANAGER")]
    pub(crate) env_manager: Option<EnvManager>,
}
