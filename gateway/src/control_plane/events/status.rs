//! How models are, told whenever it is another way, but not too often.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use auth::Right;
use http::HeaderMap;
use serving_core::{Aspired, Intents, ModelName, Snapshot};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::access::Access;
use super::super::{Refused, models};
use super::frames::Frames;

/// Between two looks; what changes more often is told once.
const PAUSE: Duration = Duration::from_millis(250);

/// What one stream has told.
pub(super) struct Statuses {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    intents: watch::Receiver<Arc<Intents>>,
    aspired: watch::Receiver<Option<Arc<Aspired>>>,
    /// Digests of what was told last.
    told: BTreeMap<ModelName, u64>,
    changed: bool,
    not_before: Instant,
}

impl Statuses {
    pub(super) fn new(access: &Access) -> Self {
        let state = &access.state;
        Self {
            snapshot: state.engine.snapshot(),
            intents: state.intents.subscribe(),
            aspired: state.aspired.clone(),
            told: BTreeMap::new(),
            changed: true,
            not_before: Instant::now(),
        }
    }

    /// Lets the next look be soon, whether or not anything has changed that can be waited for.
    pub(super) fn look_again(&mut self) {
        self.changed = true;
    }

    /// Resolves when it is time to look.
    pub(super) async fn due(&mut self) {
        if !self.changed {
            tokio::select! {
                Ok(()) = self.snapshot.changed() => {}
                Ok(()) = self.intents.changed() => {}
                Ok(()) = self.aspired.changed() => {}
                else => std::future::pending().await,
            }
            self.changed = true;
        }
        sleep_until(self.not_before).await;
    }

    /// Tells of one model all that there is, if it is not what was told last.
    pub(super) fn of_model(
        &mut self,
        access: &Access,
        model: &ModelName,
        right: Right,
        headers: &HeaderMap,
        frames: &mut Frames,
    ) {
        self.look();
        let detail = models::detail(access, model.as_str(), right, headers);
        if let Ok(json) = serde_json::to_string(&detail) {
            self.tell(model, &json, frames);
        }
    }

    /// Tells of each model that is served, or was until now, how it is, if that is not what was told last.
    pub(super) async fn of_all(
        &mut self,
        access: &Access,
        frames: &mut Frames,
    ) -> Result<(), Refused> {
        let snapshot = self.look();
        let catalog = access.state.registry.catalog();
        let mut names: BTreeSet<ModelName> = snapshot.models.keys().cloned().collect();
        names.extend(access.state.intents.enabled());
        let gone: Vec<ModelName> = {
            let told = self.told.keys();
            told.filter(|name| !names.contains(*name))
                .cloned()
                .collect()
        };
        names.extend(gone.iter().cloned());
        // Of all, not only of those that are another way: what the caller may do can be what has changed.
        for (name, right) in access.rights(names).await? {
            let summary = models::summary(access, &name, right, &catalog, &snapshot);
            if let Ok(json) = serde_json::to_string(&summary) {
                self.tell(&name, &json, frames);
            }
        }
        for name in &gone {
            self.told.remove(name);
        }
        Ok(())
    }

    /// What is seen now; what changes from here on is waited for.
    fn look(&mut self) -> Arc<Snapshot> {
        self.changed = false;
        self.not_before = Instant::now() + PAUSE;
        self.intents.mark_unchanged();
        self.aspired.mark_unchanged();
        Arc::clone(&self.snapshot.borrow_and_update())
    }

    fn tell(&mut self, model: &ModelName, json: &str, frames: &mut Frames) {
        let digest = digest(json);
        if self.told.insert(model.clone(), digest) != Some(digest) {
            frames.json("status", None, json);
        }
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
