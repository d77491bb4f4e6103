//! `config check` and `config show`: what `serve` would take, without serving.

use gateway::config::{Config, process_environment};

use crate::args::ConfigVerb;
use crate::error::CommandError;
use crate::output;

pub(super) fn run(verb: ConfigVerb) -> Result<(), CommandError> {
    match verb {
        ConfigVerb::Check(args) => {
            Config::load(args.overrides(), process_environment())
                .map_err(|error| CommandError::failed(error.to_string()))?;
            output::note("the configuration is sound");
            Ok(())
        }
        ConfigVerb::Show(args) => {
            let config = Config::load(args.overrides(), process_environment())
                .map_err(|error| CommandError::failed(error.to_string()))?;
            output::line(config.render().trim_end())
        }
    }
}
