//! Promotes a version while somebody keeps asking, and measures what the caller saw.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::registry::Registry;
use super::scoring::{self, Answer};
use super::training::MODEL;
use crate::client::Client;
use crate::error::CommandError;

/// Between two requests of the caller.
const PAUSE: Duration = Duration::from_millis(20);

/// Requests to the new version that end the measurement.
const ENOUGH: u32 = 25;

const DEADLINE: Duration = Duration::from_secs(60);

/// What the caller saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    /// From asking for the promotion to the first answer of the new version.
    pub(super) took: Duration,
    /// Requests in all.
    pub(super) requests: u32,
    /// The new version's answer.
    pub(super) answer: Answer,
}

/// Promotes `version`, scoring through the Production URL all the while.
///
/// # Errors
/// When a single request fails, or the new version does not answer in time.
pub(super) async fn promote_under_traffic(
    client: &Client,
    registry: &Registry,
    version: u64,
) -> Result<Switch, CommandError> {
    let new = format!("{MODEL}-{version}");
    let started = Instant::now();
    let caller = async {
        let mut requests = 0;
        let mut of_new = 0;
        let mut first = None;
        loop {
            let answer = scoring::score(client, "Production").await?;
            requests += 1;
            if answer.served_by == new {
                of_new += 1;
                let took = *first.get_or_insert_with(|| started.elapsed());
                if of_new == ENOUGH {
                    return Ok(Switch {
                        took,
                        requests,
                        answer,
                    });
                }
            }
            sleep(PAUSE).await;
        }
    };
    let both = async {
        tokio::try_join!(registry.promote(MODEL, version), caller).map(|((), switch)| switch)
    };
    timeout(DEADLINE, both).await.unwrap_or_else(|_| {
        Err(CommandError::failed(format!(
            "the Production URL did not answer from {MODEL}@{version} within {} s",
            DEADLINE.as_secs()
        )))
    })
}
