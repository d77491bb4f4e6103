//! Who was turned away, and what is remembered of the registry's rights.

use std::sync::Arc;

use auth::{Authenticator, InheritedRights, RightsFigures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sample::{counter, gauge};

/// Whoever remembers what the registry says about rights.
pub trait RightsCache: Send + Sync {
    /// What it did so far.
    fn figures(&self) -> RightsFigures;
}

impl RightsCache for InheritedRights {
    fn figures(&self) -> RightsFigures {
        Self::figures(self)
    }
}

pub(super) struct CallerMetrics {
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) rights: Option<Arc<dyn RightsCache>>,
}

impl Collector for CallerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Credentials that were refused; requests without any are not counted.";
        let mut refused = counter(&mut encoder, "authentication_failures", help)?;
        refused.counts(&[], self.authenticator.refused())?;
        let Some(rights) = &self.rights else {
            return Ok(());
        };
        let figures = rights.figures();
        let help = "Answers of the registry about rights that are remembered.";
        gauge(&mut encoder, "rights_cache_entries", help)?.is(&[], figures.entries)?;
        let help = "Questions about rights, by how they were answered: hit (from memory), miss (the caller waited for the \
                    registry), refresh (asked again while nobody waited), failure (the registry gave no answer).";
        let mut questions = counter(&mut encoder, "rights_questions", help)?;
        for (outcome, count) in [
            ("hit", figures.hits),
            ("miss", figures.misses),
            ("refresh", figures.refreshes),
            ("failure", figures.failures),
        ] {
            questions.counts(&[("outcome", outcome)], count)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for CallerMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CallerMetrics")
            .finish_non_exhaustive()
    }
}
