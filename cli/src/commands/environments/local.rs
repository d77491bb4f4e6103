//! The data folder on this host, opened as a gateway of this environment would.

use gateway::config::{Config, LocalConfig, Overrides, process_environment};
use gateway::local_environments::{EnvironmentsError, LocalEnvironments};

use crate::args::environments::HostArgs;
use crate::commands::failures;
use crate::error::CommandError;

/// The environments in the data folder that `host` names, or in the platform's. For verbs that make none: a folder that
/// is not there is most likely a mistake.
pub(super) async fn open_existing(host: HostArgs) -> Result<LocalEnvironments, CommandError> {
    let config = config(host, Overrides::default())?;
    let opened = LocalEnvironments::open_existing(&config).await;
    opened.map_err(|error| cannot_open(&error))
}

/// The same for verbs that make the folder if need be.
pub(super) async fn open(host: HostArgs) -> Result<LocalEnvironments, CommandError> {
    let config = config(host, Overrides::default())?;
    open_with(&config).await
}

/// The environments in the data folder of `config`.
pub(super) async fn open_with(config: &LocalConfig) -> Result<LocalEnvironments, CommandError> {
    let opened = LocalEnvironments::open(config).await;
    opened.map_err(|error| cannot_open(&error))
}

fn cannot_open(error: &EnvironmentsError) -> CommandError {
    CommandError::failed(error.to_string())
        .next("run as the gateway's user, with the gateway's --data-dir")
}

/// What holds on this host, with `overrides` over it.
pub(super) fn config(host: HostArgs, overrides: Overrides) -> Result<LocalConfig, CommandError> {
    let overrides = Overrides {
        config: host.config,
        data_dir: host.data_dir,
        ..overrides
    };
    Config::load_local(overrides, process_environment()).map_err(|error| {
        CommandError::usage(error.to_string()).next(
            "`sluicegate config show` prints what holds; docs/configuration.md lists the keys",
        )
    })
}

/// Refuses what a gateway would not see.
pub(super) fn refuse(host: &HostArgs) -> Result<(), CommandError> {
    let flag = match host {
        HostArgs {
            data_dir: Some(_), ..
        } => "--data-dir",
        HostArgs {
            config: Some(_), ..
        } => "--config",
        _ => return Ok(()),
    };
    Err(
        CommandError::usage(format!("{flag} says nothing to a running gateway"))
            .next("add --local to work on this host's data folder itself"),
    )
}

/// What failed, and what to do.
pub(super) fn failed(error: EnvironmentsError) -> CommandError {
    match error {
        EnvironmentsError::Unknown(_) | EnvironmentsError::Unclear(_) => {
            CommandError::failed(error.to_string()).next(
                "`sluicegate environments list --local` shows them all, with --data-dir those of another folder",
            )
        }
        EnvironmentsError::Build(failure) => failures::of_build(&failure, None),
        EnvironmentsError::Unsuitable(_) | EnvironmentsError::Failed(_) => CommandError::failed(error.to_string()),
    }
}
