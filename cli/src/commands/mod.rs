//! One file a verb.

mod completions;
mod config;
mod doctor;
mod environments;
pub(crate) mod failures;
pub(crate) mod models;
mod serve;
pub(crate) mod tokens;
mod webhooks;

use std::future::Future;

use crate::args::environment::Environment;
use crate::args::{Cli, Command};
use crate::error::CommandError;
use crate::quickstart;

/// Does what was typed.
pub(crate) fn run(cli: Cli) -> Result<(), CommandError> {
    let environment = Environment::read();
    let format = cli.output;
    match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Quickstart(args) => wait_for(quickstart::run(args, environment)),
        Command::Models(args) => wait_for(models::run(args, &environment, format)),
        Command::Environments(args) => wait_for(environments::run(args, &environment, format)),
        Command::Tokens(args) => wait_for(tokens::run(args, &environment, format)),
        Command::Webhooks(args) => wait_for(webhooks::run(args, &environment, format)),
        Command::Doctor(args) => wait_for(doctor::run(args, &environment, format)),
        Command::Config(args) => config::run(args.verb),
        Command::Completions { shell } => completions::run(shell),
    }
}

/// One thread is enough for a client.
fn wait_for<F>(work: F) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed(format!("cannot start a runtime: {error}")))?
        .block_on(work)
}
