//! The thin server binary: `sluicegate serve` without the client commands. Configured by a file and variables only.

use std::io::{self, Write};
use std::process::ExitCode;

use gateway::config::{Config, Overrides, process_environment};

/// A request allocates and frees on one thread, some of it larger than the system's allocator keeps at hand.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refused { message, code }) => {
            say(&message);
            ExitCode::from(code)
        }
    }
}

struct Refused {
    message: String,
    code: u8,
}

fn start() -> Result<(), Refused> {
    let usage = |error: &dyn std::fmt::Display| Refused {
        message: error.to_string(),
        code: 2,
    };
    let config =
        Config::load(Overrides::default(), process_environment()).map_err(|error| usage(&error))?;
    gateway::telemetry::init(&config).map_err(|error| usage(&error))?;
    gateway::run(config).map_err(|error| Refused {
        message: error.to_string(),
        code: 1,
    })
}

/// Says why it does not run; that nobody reads it changes nothing.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "sluicegate-gateway: {message}");
}
