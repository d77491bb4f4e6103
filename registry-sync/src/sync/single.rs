//! Looks at single models at once, beside the polls of everything and without touching their pace.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serving_core::{Aspired, ModelName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::board::{Board, Outcome};
use super::follow::Registry;
use super::hints::Hints;
use super::{Interest, changed, nudge};
use crate::client::Usage;
use crate::error::RegistryError;

/// Models that are looked at at the same time.
const AT_ONCE: usize = 4;

/// Between two looks at one model there is at least this much, however many hints come.
const SPACING: Duration = Duration::from_millis(200);

/// How often one model is looked at for one hint, while polls of everything overtake the look.
const LOOKS: usize = 3;

/// Looks at the models that `hints` names.
#[derive(Debug)]
pub(super) struct SingleLooks<R> {
    pub(super) registry: R,
    pub(super) interest: watch::Receiver<Interest>,
    pub(super) hints: Hints,
    pub(super) board: Board,
    /// Asks for a poll of everything: where a look fails, that one tries again in its own pace.
    pub(super) nudges: watch::Sender<u64>,
}

impl<R: Registry> SingleLooks<R> {
    pub(super) async fn run(self) {
        let mut added = self.hints.added();
        let mut busy: BTreeSet<ModelName> = BTreeSet::new();
        let mut looks = FuturesUnordered::new();
        loop {
            added.borrow_and_update();
            while busy.len() < AT_ONCE
                && let Some(model) = self.hints.take(|model| !busy.contains(model))
            {
                busy.insert(model.clone());
                looks.push(self.look_and_rest(model));
            }
            tokio::select! {
                () = changed(&mut added) => {}
                Some(model) = looks.next() => {
                    busy.remove(&model);
                }
            }
        }
    }

    /// Looks at a model, then leaves it alone for a while: as long as it took, so that the registry is busy with it half
    /// of the time at most.
    async fn look_and_rest(&self, model: ModelName) -> ModelName {
        let start = Instant::now();
        match self.look(&model).await {
            Ok(Outcome::TooEarly) => {
                tracing::debug!(%model, "nothing is published yet; everything is polled once more");
                nudge(&self.nudges);
            }
            Ok(outcome) => tracing::debug!(%model, ?outcome, "looked at one model"),
            Err(error) => {
                tracing::debug!(%model, %error, "one model could not be looked at; everything is polled instead");
                nudge(&self.nudges);
            }
        }
        sleep(start.elapsed().max(SPACING)).await;
        model
    }

    async fn look(&self, model: &ModelName) -> Result<Outcome, RegistryError> {
        let only = Interest::Models([model.clone()].into());
        for _ in 0..LOOKS {
            if !self.interest.borrow().contains(model.as_str()) {
                return Ok(Outcome::Unwanted);
            }
            let begun = self.board.begin_one();
            let Some(known) = self.board.current() else {
                // The poll that is under way may have read this model before it changed.
                return Ok(Outcome::TooEarly);
            };
            let (known, usage) = (part(&known, model), Usage::default());
            let reading = self.registry.read(&only, Some(&known), &usage).await?;
            let aspired = reading.selection.aspired;
            let outcome = {
                let interest = self.interest.borrow();
                self.board.publish_one(begun, model, aspired, &interest)
            };
            if outcome != Outcome::Overtaken {
                return Ok(outcome);
            }
        }
        Err(RegistryError::Unsettled)
    }
}

/// What is known of one model.
fn part(known: &Arc<Aspired>, model: &ModelName) -> Aspired {
    let found = known.models.get(model);
    Aspired {
        models: found
            .map(|found| (model.clone(), found.clone()))
            .into_iter()
            .collect(),
    }
}
