//! The polling loop: what to do with each reading, and when to take the next one.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use serving_core::Aspired;
use tokio::sync::watch;
use tokio::time::Instant;

use super::board::Board;
use super::catalog::Catalog;
use super::hints::Hints;
use super::pace::Pace;
use super::{Interest, SyncStatus};
use crate::client::Usage;
use crate::error::RegistryError;
use crate::select::Selection;

/// Something that can be polled: an MLflow server, or a script in the tests of the loop.
pub(super) trait Registry: Send + Sync {
    /// Everything of `interest`, or an error. `known` is the value that a change is told from.
    fn read(
        &self,
        interest: &Interest,
        known: Option<&Aspired>,
        usage: &Usage,
    ) -> impl Future<Output = Result<Reading, RegistryError>> + Send;
}

/// What a poll found.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) selection: Selection,
    /// All registered models, if the poll saw them.
    pub(super) catalog: Option<Catalog>,
}

/// Polls, and publishes what changed.
#[derive(Debug)]
pub(super) struct Follower<R> {
    pub(super) registry: R,
    pub(super) pace: Pace,
    pub(super) interest: watch::Receiver<Interest>,
    pub(super) nudged: watch::Receiver<u64>,
    /// How far in `nudged` a poll has come that saw everything and is published.
    pub(super) answered: watch::Sender<u64>,
    pub(super) board: Board,
    /// Models to be looked at once more.
    pub(super) hints: Hints,
    pub(super) catalog: watch::Sender<Arc<Catalog>>,
    pub(super) status: watch::Sender<SyncStatus>,
}

impl<R: Registry> Follower<R> {
    pub(super) async fn run(mut self) {
        let mut oddities = BTreeSet::new();
        loop {
            let wishes = *self.nudged.borrow_and_update();
            let interest = self.interest.borrow_and_update().clone();
            let known = self.board.current();
            self.board.begin_whole();
            let usage = Usage::default();
            let start = Instant::now();
            let reading = self
                .registry
                .read(&interest, known.as_deref(), &usage)
                .await;
            match reading {
                Ok(reading) => {
                    self.pace.succeeded(start.elapsed());
                    for oddity in reading.selection.oddities.difference(&oddities) {
                        tracing::warn!("{oddity}");
                    }
                    oddities.clone_from(&reading.selection.oddities);
                    let published = self.publish(reading);
                    self.report(start, &usage, None);
                    if published {
                        self.answered.send_replace(wishes);
                    }
                }
                Err(error) => {
                    self.pace.failed(&error);
                    self.report(start, &usage, Some(&error));
                }
            }
            self.pace.wait(&mut self.nudged, &mut self.interest).await;
        }
    }

    /// Returns whether what was read still holds.
    fn publish(&self, reading: Reading) -> bool {
        if let Some(catalog) = reading.catalog {
            catalog.publish(&self.catalog);
        }
        // What was read for another interest may lack a model that is of interest now, which would retire it.
        if self.interest.has_changed().unwrap_or(false) {
            return false;
        }
        let interest = self.interest.borrow();
        let aspired = reading.selection.aspired;
        for model in self.board.publish_whole(aspired, &interest) {
            self.hints.add(model);
        }
        true
    }

    fn report(&self, start: Instant, usage: &Usage, error: Option<&RegistryError>) {
        self.status.send_modify(|status| {
            if error.is_none() {
                status.last_success = Some(SystemTime::now());
            }
            status.polls += 1;
            status.failed_polls += u64::from(error.is_some());
            status.consecutive_failures = self.pace.failures();
            status.error = error.map(ToString::to_string);
            status.took = start.elapsed();
            status.calls = usage.calls();
            status.bytes = usage.bytes();
        });
    }
}
