//! How models are, told whenever it is another way, but not too often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auth::Right;
use http::HeaderMap;
use serving_core::{Aspired, Intents, ModelName, Snapshot};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::access::Access;
use super::super::event_stream::Frames;
use super::super::{Refused, models};
use super::summaries::Line;

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
        if let Some(line) = Line::of(&detail) {
            self.tell(model, &line, frames);
        }
    }

    /// Tells of each model that is served, or was until now, how it is, if that is not what was told last.
    pub(super) async fn of_all(
        &mut self,
        access: &Access,
        frames: &mut Frames,
    ) -> Result<(), Refused> {
        self.look();
        let state = &access.state;
        let look = state.summaries.look(state);
        let mut gone = BTreeMap::new();
        for name in self
            .told
            .keys()
            .filter(|name| !look.models.contains_key(*name))
        {
            if let Some(summary) = look.of_gone(state, name) {
                gone.insert(name.clone(), summary);
            }
        }
        let names: Vec<_> = look.models.keys().chain(gone.keys()).cloned().collect();
        // Of all, not only of those that are another way: what the caller may do can be what has changed.
        for (name, right) in access.rights(names).await? {
            if let Some(written) = look.models.get(&name).or_else(|| gone.get(&name)) {
                self.tell(&name, written.to(right), frames);
            }
        }
        for name in gone.keys() {
            self.told.remove(name);
        }
        Ok(())
    }

    /// What is seen now; what changes from here on is waited for.
    fn look(&mut self) {
        self.changed = false;
        self.not_before = Instant::now() + PAUSE;
        self.intents.mark_unchanged();
        self.aspired.mark_unchanged();
        self.snapshot.mark_unchanged();
    }

    fn tell(&mut self, model: &ModelName, line: &Line, frames: &mut Frames) {
        let Line { json, digest } = line;
        if self.told.insert(model.clone(), *digest) != Some(*digest) {
            frames.line(Some("status"), None, json);
        }
    }
}
