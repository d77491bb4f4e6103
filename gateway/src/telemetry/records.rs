//! Records on standard error: text for people, or JSON for machines.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

use super::access_record::TARGET;
use super::standard_error::StandardError;
use crate::config::{Config, LogFormat};

/// The libraries that link conda packages tell of each step as if it were theirs alone to tell; builds have logs of their
/// own. What `log.level` says of them goes before this.
const QUIET: &str = "rattler=error";

/// Whether the records of this process go to standard error as lines of JSON.
static ARE_JSON: AtomicBool = AtomicBool::new(false);

/// Whether it was [`init`] that decided where records go, and they are lines of JSON.
pub(crate) fn are_json() -> bool {
    ARE_JSON.load(Ordering::Relaxed)
}

/// Sends the records of this process to standard error from now on. For binaries, once.
pub fn init(config: &Config) -> Result<(), InvalidLevel> {
    // Who wants fewer records of other things wants these all the same, unless the level names them.
    let told = if config.observing.access_log.enabled {
        format!("{QUIET},{TARGET}=info")
    } else {
        QUIET.to_owned()
    };
    let config = &config.log;
    let filter = EnvFilter::builder()
        .parse(format!("{told},{}", config.level))
        .map_err(|error| InvalidLevel {
            level: config.level.clone(),
            reason: error.to_string(),
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(StandardError)
        // It would be told on standard error too, by what panics where that cannot be written.
        .log_internal_errors(false);
    // Somebody who embeds the gateway may have a subscriber already: theirs stays.
    let _already_there = match config.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder
            .json()
            .try_init()
            .inspect(|()| ARE_JSON.store(true, Ordering::Relaxed)),
    };
    Ok(())
}

/// `log.level` is neither a level nor a list of directives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "log.level = {level:?} cannot be read: {reason}; write for example info, or info,gateway=debug"
)]
pub struct InvalidLevel {
    level: String,
    reason: String,
}
