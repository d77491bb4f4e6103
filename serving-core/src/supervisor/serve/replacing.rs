//! Replicas that are given up while they live: which of them, when, and how they go.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{Serving, stop};
use crate::event::Fact;
use crate::replicas::Recycle;
impl<S: Send + Sync + 'static> Serving<'_, S> {
    pub(super) fn wished(&mut self, wish: Option<Recycle>) {
        let Some(Recycle { replica, reason }) = wish else {
            return;
        };
        let mut running = self.running.iter_mut();
        if let Some(one) = running.find(|one| one.replica.id == replica && one.replace.is_none()) {
            let policy = &self.workshop.equipment.config.restart;
            let postponed = self.given_up.one_more(&reason, policy, Instant::now());
            one.postponed = Some(postponed);
            self.replace_postponed();
        }
    }

    /// When `replace_postponed` should be called.
    pub(super) fn postponed_until(&self) -> Option<Instant> {
        let postponed = self.running.iter().filter_map(|one| one.postponed.as_ref());
        postponed.map(|one| one.until).min()
    }

    /// Has those replaced whose time has come.
    pub(super) fn replace_postponed(&mut self) {
        let now = Instant::now();
        for one in &mut self.running {
            if let Some(due) = one.postponed.take_if(|postponed| postponed.until <= now) {
                one.replace.get_or_insert(due.reason);
            }
        }
    }

    pub(super) fn recycle(&mut self, recycle: Recycle) {
        let mut running = self.running.iter_mut();
        if let Some(one) = running.find(|one| one.replica.id == recycle.replica) {
            one.replace = Some(recycle.reason);
        }
    }

    /// Takes one replica out: one that is to be replaced, or else the least busy one, the newest of several.
    pub(super) fn put_aside_one(&mut self) {
        let replaced = self.running.iter().position(|one| one.replace.is_some());
        let idle_first = self.running.iter().enumerate().rev();
        let idlest = idle_first.min_by_key(|(_, one)| one.replica.gate().inside());
        let place = replaced.unwrap_or(idlest.map_or(0, |(place, _)| place));
        let aside = self.running.remove(place);
        let id = aside.replica.id;
        if self.scale.is_asleep() {
            self.replicas.rest();
        } else {
            self.replicas.remove(id);
        }
        aside.replica.gate().close();
        let (live, asleep) = (self.live(), self.scale.is_asleep());
        self.workshop.status.update(|status| {
            status.live = live;
            status.asleep = asleep;
        });
        let mut patience = self.workshop.equipment.config.drain_deadline;
        if aside.replace.is_none() {
            // Nobody waits for its going: it answers whoever it has begun to.
            patience = patience.max(self.orders.spec.settings.timeout);
        }
        if let Some(reason) = aside.replace {
            self.workshop.log(Fact::ReplicaReplaced {
                replica: id,
                reason,
            });
        }
        let hurry = self.hurry.clone();
        let workshop = Arc::clone(self.workshop);
        let end = async move {
            let drained = timeout(patience, aside.replica.gate().drained());
            if let Some(Err(_)) = hurry.run_until_cancelled(drained).await {
                let abandoned = aside.replica.gate().inside();
                tracing::warn!(servable = %workshop.id, replica = %id, abandoned, "callers of a replaced replica were cut off");
            }
            stop(aside.stop).await;
            aside.gone.cancel();
        };
        self.stops.push(end.boxed());
    }
}
