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

    /// The pause after a crash or a failed start is over. A version that may sleep does so if nobody has come since,
    /// and that start was to wake it or nobody had come for long before: whoever comes next wakes it. One that failed
    /// is shown as failed.
    pub(super) fn resume(&mut self) {
        self.resume_at = None;
        let settings = &self.orders.spec.settings;
        let may_sleep = settings.replicas.may_sleep() && self.running.is_empty();
        let is_wanted = self.replicas.demand().is_missed()
            || self.gate.inside() > 0
            || self.cut_off_at.is_some();
        let idle = self.scale.deserted_for(Instant::now());
        let is_deserted = self.loads.is_empty() && idle >= settings.scale_down_after;
        let wakes = self.woken_at.take_if(|_| may_sleep && !is_wanted).is_some();
        if may_sleep && !is_wanted && (wakes || is_deserted) {
            if !wakes {
                self.workshop.log(Fact::Asleep { idle });
            }
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
