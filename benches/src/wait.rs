//! Waiting for what must become true: polled, with a deadline.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::now;

const PAUSE: Duration = Duration::from_millis(20);

/// Polls `probe` until it gives a value.
///
/// `Ok(Err(why))` means "not yet"; the last such reason is told when `patience` ends. `Err` ends the wait at once.
pub fn until<T, W: Display>(
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<Result<T, W>>,
) -> Result<T> {
    let began = now();
    loop {
        match probe()? {
            Ok(value) => return Ok(value),
            Err(why) if began.elapsed() > patience => {
                bail!("waited {patience:?} for this: {what}; last seen: {why}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
