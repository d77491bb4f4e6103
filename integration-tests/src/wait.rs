//! Waiting for what must become true: polled, with a deadline that is generous because nothing here is timed.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How long a test waits for anything, on a busy machine: a worker started, an environment built (at low priority).
pub const PATIENCE: Duration = Duration::from_secs(420);

/// Polls `probe` until it gives a value.
///
/// `Ok(Err(why))` means "not yet"; the last such reason is told when [`PATIENCE`] ends. `Err` ends the wait at once.
pub async fn until<T, W: Display>(
    what: &str,
    probe: impl AsyncFnMut() -> Result<Result<T, W>>,
) -> Result<T> {
    until_within(PATIENCE, what, probe).await
}

/// The same for what takes no worker, and has a shorter time.
pub async fn until_within<T, W: Display>(
    patience: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<Result<T, W>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(why) if Instant::now() > deadline => {
                bail!("waited {patience:?} for this: {what}; last seen: {why}")
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
