//! What may be typed: raw flags as clap reads them. Commands turn them into checked values.

pub(crate) mod connection;
pub(crate) mod environment;
pub(crate) mod environments;
pub(crate) mod models;
pub(crate) mod moment;
pub(crate) mod quickstart;
pub(crate) mod serve;
pub(crate) mod tokens;
pub(crate) mod webhooks;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::output::Format;

/// Where a command's help lists what all commands have.
pub(crate) const LAST: usize = 900;

/// Hosts the models of an MLflow Model Registry as REST endpoints that follow the registry by themselves.
#[derive(Debug, Parser)]
#[command(
    name = "sluicegate",
    version,
    after_help = "Client commands read SLUICEGATE_URL and SLUICEGATE_TOKEN, or url and token from ~/.config/sluicegate/cli.toml.\n\
                  Exit codes: 0 done, 1 refused or failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    /// How results are printed.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub(crate) output: Format,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the models of a registry until SIGTERM or Ctrl-C.
    Serve(serve::ServeArgs),
    /// Try everything on a real model: registry, training, gateway, scoring, promotion.
    Quickstart(quickstart::QuickstartArgs),
    /// See and operate models, and score them.
    Models(models::ModelsArgs),
    /// See the environments that models run in, build them ahead of time, and make room.
    Environments(environments::EnvironmentsArgs),
    /// Make, list and revoke tokens.
    Tokens(tokens::TokensArgs),
    /// Have the registry tell of changes at once, instead of at the next poll.
    Webhooks(webhooks::WebhooksArgs),
    /// Check that the gateway and what it stands on are well, and say what to do where they are not.
    Doctor(DoctorArgs),
    /// Check a gateway's configuration, or show what holds.
    Config(ConfigArgs),
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) connection: connection::ConnectionArgs,

    /// Look at this data folder [default: the platform's data folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The gateway's configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

/// The verbs of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Say whether the configuration is sound; every mistake with its nearest remedy.
    Check(serve::ServeArgs),
    /// Print what holds after file, variables and flags, secrets hidden.
    Show(serve::ServeArgs),
}

#[cfg(test)]
mod tests;
