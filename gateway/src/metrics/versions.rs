//! Where each version is in its life, and how many workers it has.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use serving_core::{ModelName, Snapshot, Version, VersionSnapshot};
use tokio::sync::watch;

use super::sample::gauge;
use crate::control_plane::version_state;

#[derive(Debug)]
pub(super) struct VersionStates {
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl Collector for VersionStates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let help = "1 for the state that a version is in; it has no other series.";
        let mut states = gauge(&mut encoder, "version_state", help)?;
        for (model, version, seen) in versions(&snapshot) {
            let (version, state) = (version.to_string(), seen.phase.name());
            let labels = [
                ("model", model.as_str()),
                ("version", &version),
                ("state", state),
            ];
            states.is(&labels, 1_u64)?;
        }
        let help = "Workers of a version that answer.";
        let mut replicas = gauge(&mut encoder, "version_replicas", help)?;
        for (model, version, seen) in versions(&snapshot) {
            let version = version.to_string();
            let labels = [("model", model.as_str()), ("version", &version)];
            replicas.is(&labels, u64::from(seen.replicas))?;
        }
        let help = "Workers that a version is to have now.";
        let mut wanted = gauge(&mut encoder, "version_replicas_wanted", help)?;
        for (model, version, seen) in versions(&snapshot) {
            let version = version.to_string();
            let labels = [("model", model.as_str()), ("version", &version)];
            wanted.is(&labels, u64::from(seen.replicas_wanted))?;
        }
        Ok(())
    }
}

/// All that there is something to show of.
pub(super) fn versions(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&ModelName, Version, &VersionSnapshot)> {
    let all = snapshot.models.iter().flat_map(|(name, model)| {
        let versions = model.versions.iter();
        versions.map(move |(version, seen)| (name, *version, seen))
    });
    all.filter(|(_, _, seen)| version_state(&seen.phase).is_some())
}
