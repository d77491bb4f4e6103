//! Ctrl-C and the signals that ask a program to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;

/// Hears SIGINT, SIGTERM and SIGHUP.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// From now on.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let hear = |kind| {
            signal(kind).map_err(|error| {
                CommandError::failed(format!("cannot listen for signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
            hangup: hear(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Ending because of it is no failure.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
