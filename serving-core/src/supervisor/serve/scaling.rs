//! What follows from what callers do: more replicas, fewer, none, and one again.

use tokio::time::Instant;

use super::Serving;
use crate::event::Fact;
use crate::phase::Phase;
use crate::supervisor::scale::{Change, Rules, Sight};

impl<S: Send + Sync + 'static> Serving<'_, S> {
    /// Decides how many replicas there are to be from now on.
    pub(super) fn scale(&mut self) {
        if self.cut_off_at.is_some() {
            return;
        }
        let settings = &self.orders.spec.settings;
        let rules = Rules {
            range: settings.replicas,
            places: settings.max_concurrency.get(),
            scale_down_after: settings.scale_down_after,
        };
        let demand = self.replicas.demand();
        let sight = Sight {
            waiting: demand.waiting(),
            inside: self.gate.inside(),
            has_come: demand.has_come(),
            is_missed: demand.is_missed(),
            live: self.live(),
        };
        let was_asleep = self.scale.is_asleep();
        match self.scale.look(&rules, &sight, Instant::now()) {
            None | Some(Change::Woken) => {}
            Some(Change::Scaled { from, to, reason }) => {
                let reason = reason.into();
                self.workshop.log(Fact::Scaled { from, to, reason });
            }
            Some(Change::Asleep { idle }) => {
                self.loads.clear();
                demand.forget_who_found_nobody();
                self.replicas.rest();
                self.workshop.status.update(|status| status.asleep = true);
                self.workshop.log(Fact::Asleep { idle });
            }
        }
        if self.scale.listens(&rules, &sight) {
            demand.listen();
            // Who began to wait before that was not heard.
            if demand.waiting() > 0 {
                self.scale.look_soon(Instant::now());
            }
        }
        if was_asleep && !self.scale.is_asleep() {
            self.woken_at = Some(Instant::now());
        }
    }

    /// When `scale` should be called. On the way out there is nothing left to decide.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let next = self.scale.next_look();
        next.filter(|_| self.cut_off_at.is_none())
    }

    /// The pause after a failed start is over. If that was to wake the version, and nobody has come since, it goes on
    /// sleeping, as one that failed, and whoever comes next wakes it.
    pub(super) fn resume(&mut self) {
        self.resume_at = None;
        let wakes = self.woken_at.is_some() && self.running.is_empty();
        let may_sleep = self.orders.spec.settings.replicas.may_sleep();
        let is_wanted = self.replicas.demand().is_missed() || self.cut_off_at.is_some();
        if wakes && may_sleep && !is_wanted {
            self.woken_at = None;
            self.scale.rest();
            self.replicas.rest();
            self.workshop.status.update(|status| {
                status.asleep = true;
                if let Phase::Failed(failure) = &mut status.phase {
                    failure.next_try = None;
                }
            });
        }
    }

    /// A replica answers: if the version was asleep it is not any more.
    pub(super) fn awake(&mut self) {
        if let Some(took) = self.woken_at.take().map(|at| at.elapsed()) {
            self.workshop.log(Fact::Woken { took });
        }
    }

    /// Whether there are fewer or more replicas than the settings allow. What callers alone ask for is no lack.
    pub(super) fn lacks_replicas(&self) -> bool {
        let range = self.orders.spec.settings.replicas;
        let least = if range.may_sleep() && (self.scale.is_asleep() || self.woken_at.is_some()) {
            0
        } else {
            range.least_awake()
        };
        !(least..=range.most()).contains(&self.live())
    }
}
