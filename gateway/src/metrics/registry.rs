//! How following the model registry goes.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::process::seconds;
use super::sample::{counter, gauge};
use crate::ports::Registry;

pub(super) struct RegistryMetrics {
    pub(super) registry: Arc<dyn Registry>,
}

impl Collector for RegistryMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.registry.status();
        let help = "When the registry last answered a poll; absent until it has.";
        let name = "registry_last_success_timestamp_seconds";
        let mut last = gauge(&mut encoder, name, help)?;
        if let Some(at) = status.last_success {
            last.is(&[], seconds(at))?;
        }
        let help = "Polls of the registry.";
        counter(&mut encoder, "registry_polls", help)?.counts(&[], status.polls)?;
        let help = "Polls of the registry that failed.";
        counter(&mut encoder, "registry_poll_failures", help)?.counts(&[], status.failed_polls)
    }
}

impl std::fmt::Debug for RegistryMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RegistryMetrics")
            .finish_non_exhaustive()
    }
}
