//! `completions`: a script that teaches a shell our words.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CommandError;
use crate::output;

pub(super) fn run(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sluicegate", &mut script);
    output::bytes(&script)
}
