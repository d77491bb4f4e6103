//! What may be typed after `environments`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gateway::api::{ByteSize, EnvManager, HumaneDuration};

use super::connection::ConnectionArgs;

/// `environments`.
#[derive(Debug, Args)]
pub(crate) struct EnvironmentsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(flatten)]
    pub(crate) host: HostArgs,

    #[command(subcommand)]
    pub(crate) verb: EnvironmentsVerb,
}

/// The way past the gateway, for whoever may write its data folder.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HostArgs {
    /// Work on the data folder itself: on the gateway's host, with or without a running gateway, without a token.
    #[arg(long, global = true, display_order = super::LAST)]
    pub(crate) local: bool,

    /// The data folder, with --local [default: the platform's data folder].
    #[arg(long, global = true, value_name = "DIR", display_order = super::LAST)]
    pub(crate) data_dir: Option<PathBuf>,

    /// The gateway's configuration file (TOML), with --local.
    #[arg(long, global = true, value_name = "FILE", display_order = super::LAST)]
    pub(crate) config: Option<PathBuf>,
}

/// The verbs of `environments`.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentsVerb {
    /// List the environments that were built: how large, used by whom, when last.
    List,
    /// Show one environment: its packages, and how long each step of its build took.
    Show {
        /// Its key, as `environments list` shows it; a beginning of it is enough.
        key: String,

        /// Print the log of its build instead.
        #[arg(long)]
        log: bool,
    },
    /// Build an environment before somebody waits for it: of a registered version, or of a model's folder.
    Build(BuildArgs),
    /// Remove environments that nobody uses.
    Prune(PruneArgs),
    /// Pack an environment of this host into a file, for hosts without a network.
    Export {
        /// Its key, as `environments list --local` shows it; a beginning of it is enough.
        key: String,

        /// The new file.
        file: PathBuf,
    },
    /// Take in an environment that `environments export` packed on a host of the same platform.
    Import {
        /// The file.
        file: PathBuf,
    },
}

/// `environments build`.
#[derive(Clone, Debug, Args)]
pub(crate) struct BuildArgs {
    /// Folder with an MLmodel, conda.yaml or python_env.yaml; built on this host, without a gateway.
    #[arg(required_unless_present = "model")]
    pub(crate) folder: Option<PathBuf>,

    /// Build for this registered model, by the gateway; it need not be enabled.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "folder",
        requires = "version"
    )]
    pub(crate) model: Option<String>,

    /// Number of the version, with --model.
    #[arg(long, value_name = "V", requires = "model")]
    pub(crate) version: Option<u64>,

    /// Who builds: conda, uv or virtualenv [default: the model's setting, else the configuration].
    #[arg(long, value_name = "MANAGER")]
    pub(crate) env_manager: Option<EnvManager>,

    /// Forget which packages were chosen before, and choose anew.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Fetch nothing: what is cached has to do. Only with a folder.
    #[arg(long, conflicts_with = "model")]
    pub(crate) offline: bool,
}

/// `environments prune`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PruneArgs {
    /// Only these: keys, or beginnings of them. Without any, all that nobody uses.
    pub(crate) keys: Vec<String>,

    /// Only those that nobody has used for so long, for example 30d.
    #[arg(long, value_name = "DURATION")]
    pub(crate) unused_for: Option<HumaneDuration>,

    /// Least recently used first, until what is left is no larger, for example 20GB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) to_size: Option<ByteSize>,

    /// Only tell what would go.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
