//! Why a gateway does not run.

use std::io;
use std::net::SocketAddr;

use crate::telemetry::TracesError;

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data folder, or the state in it, cannot be used.
    #[error("{0}")]
    Store(String),
    /// The registry cannot be followed at all; one that is merely down is no error.
    #[error("{0}")]
    Registry(String),
    /// Workers cannot be run.
    #[error("{0}")]
    Workers(String),
    /// The listen address is taken, or not ours.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The same for health and metrics.
    #[error(
        "cannot listen on {address} for health and metrics: {source}; choose another admin_listen"
    )]
    AdminListen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Traces cannot be sent at all; a collector that is merely down is no error.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The system refuses threads or signals.
    #[error("the gateway cannot start: {0}")]
    System(#[from] io::Error),
    /// A task that must not end has ended.
    #[error("the gateway has stopped because a part of it failed: {0}")]
    Failed(&'static str),
}
