//! Turns of builds ahead of time: some run, some wait, and whoever comes then is told to come again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refused;
use crate::error::{ApiError, ErrorCode};

/// Builds ahead of time at a time; what versions wait for has permits of its own.
const RUNNING: usize = 2;
/// Callers that wait for one of them to end.
const WAITING: usize = 16;
/// Builds take minutes.
const PAUSE: Duration = Duration::from_secs(60);

/// Who builds ahead of time, and who waits for it.
#[derive(Clone, Debug)]
pub struct BuildTurns {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// A place among those who build or wait. Free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    running: Arc<Semaphore>,
}

/// The turn of one who waited. Over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _place: Place,
    _running: Option<OwnedSemaphorePermit>,
}

impl Default for BuildTurns {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(RUNNING + WAITING)),
            running: Arc::new(Semaphore::new(RUNNING)),
        }
    }
}

impl BuildTurns {
    /// A place, unless too many wait already.
    pub(super) fn place(&self) -> Result<Place, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            let message = format!(
                "{RUNNING} environments are being built ahead of time, and {WAITING} more wait for their turn: come again later"
            );
            ApiError::new(ErrorCode::ResourceExhausted, message).retry_after(PAUSE)
        })?;
        Ok(Place {
            _place: place,
            running: Arc::clone(&self.running),
        })
    }
}

impl Place {
    /// Waits for the turn.
    pub(super) async fn turn(self) -> Turn {
        let running = Arc::clone(&self.running).acquire_owned().await;
        Turn {
            _place: self,
            // It is never closed.
            _running: running.ok(),
        }
    }
}
