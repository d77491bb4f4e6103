//! The binary `sluicegate`: the gateway (`serve`), a first try of everything (`quickstart`), and a client of a gateway.
//!
//! What is typed becomes raw flags (`args`), which `commands` turns into calls (`client`) and results (`output`,
//! `progress`). An error says what failed and the next step.

mod args;
mod client;
mod commands;
mod error;
mod output;
mod progress;
mod quickstart;
mod terminal_text;

use std::process::ExitCode;

use clap::Parser;

/// A request allocates and frees on one thread, some of it larger than the system's allocator keeps at hand.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(args::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_quiet() {
                output::note(&error.to_string());
            }
            error.exit_code()
        }
    }
}
