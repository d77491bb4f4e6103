//! `serve`: the gateway, until SIGTERM or Ctrl-C.

use gateway::config::{Config, process_environment};

use crate::args::serve::ServeArgs;
use crate::error::CommandError;

pub(super) fn run(args: ServeArgs) -> Result<(), CommandError> {
    let config = Config::load(args.overrides(), process_environment()).map_err(|error| {
        CommandError::usage(error.to_string()).next(
            "`sluicegate serve --help` lists the flags, `sluicegate config show` prints what holds",
        )
    })?;
    gateway::telemetry::init(&config).map_err(|error| CommandError::usage(error.to_string()))?;
    gateway::run(config).map_err(|error| CommandError::failed(error.to_string()))
}
