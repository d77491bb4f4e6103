//! How many replicas a version is to have: from what its callers do to a number, within the range of its settings. Pure.
//!
//! It grows by one when callers have waited for a place at every look for [`PATIENCE`], all replicas being there. It
//! shrinks to what the busiest look of a whole `scale_down_after` needed, counted anew from each change: whatever was
//! added stays at least that long, and goes only if it would not have been missed. That is what keeps it from flapping.
//! A version that may have none sleeps when nobody has come for that long, and wakes for the first who comes.

use std::time::Duration;

use tokio::time::Instant;

use crate::replica_range::ReplicaRange;

/// How long callers wait for a place before there is to be one replica more.
const PATIENCE: Duration = Duration::from_millis(250);

/// Between two looks while callers wait.
const CLOSE_LOOK: Duration = Duration::from_millis(50);

/// Looks in one `scale_down_after`.
const LOOKS: u32 = 50;

/// The bounds of the time between two looks while nobody waits.
const CALM_LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The number, and what was seen that it may change for.
#[derive(Debug)]
pub(super) struct Scale {
    target: u32,
    /// The range and the places of one replica under which all below was seen.
    seen_under: (ReplicaRange, u32),
    /// Callers have waited at every look since.
    pressed_since: Option<Instant>,
    /// Fewer replicas would have done at every look since.
    roomy_since: Instant,
    /// As many would have done in all that time.
    enough: u32,
    /// Somebody came last, or could not have been answered.
    quiet_since: Instant,
    /// Somebody came last.
    came_at: Instant,
    next_look: Option<Instant>,
}

/// What the settings say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) range: ReplicaRange,
    /// Requests that one replica works on at a time.
    pub(super) places: u32,
    pub(super) scale_down_after: Duration,
}

/// What is seen of a version and its callers at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight {
    /// Callers that wait for a place.
    pub(super) waiting: u64,
    /// All callers, those that wait included.
    pub(super) inside: u64,
    /// Whether somebody has come since the last look.
    pub(super) has_come: bool,
    /// Whether somebody has found no replica.
    pub(super) is_missed: bool,
    /// Replicas that answer.
    pub(super) live: u32,
}

/// What is to be different from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Another number of replicas.
    Scaled { from: u32, to: u32, reason: String },
    /// None at all: nobody has come for so long.
    Asleep { idle: Duration },
    /// One, because somebody came.
    Woken,
}

impl Scale {
    /// For a version whose first replica has come up.
    pub(super) fn new(range: ReplicaRange, now: Instant) -> Self {
        Self {
            target: range.least_awake(),
            seen_under: (range, 0),
            pressed_since: None,
            roomy_since: now,
            enough: 0,
            quiet_since: now,
            came_at: now,
            next_look: None,
        }
    }

    /// As many as there are to be.
    pub(super) fn target(&self) -> u32 {
        self.target
    }

    /// Whether there is to be none.
    pub(super) fn is_asleep(&self) -> bool {
        self.target == 0
    }

    /// There is to be none until somebody comes: what was started again would be for nobody.
    pub(super) fn rest(&mut self) {
        self.target = 0;
    }

    /// For how long nobody has come, whether or not anybody would have been answered.
    pub(super) fn deserted_for(&self, now: Instant) -> Duration {
        now.duration_since(self.came_at)
    }

    /// When to look again; `None` if time alone changes nothing.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Whether it is to be told of the next one who begins to wait: nobody does, and one replica more could follow. While
    /// somebody waits it looks by itself, and while a replica comes up that one's coming is the next to know.
    pub(super) fn listens(&self, rules: &Rules, sight: &Sight) -> bool {
        let could_grow = !self.is_asleep() && self.target < rules.range.most();
        could_grow && sight.waiting == 0 && sight.live >= self.target
    }

    /// To look again at once.
    pub(super) fn look_soon(&mut self, now: Instant) {
        self.next_look = Some(now);
    }

    /// Takes in what is seen now, at most one change a look.
    pub(super) fn look(&mut self, rules: &Rules, sight: &Sight, now: Instant) -> Option<Change> {
        let range = rules.range;
        if self.seen_under != (range, rules.places) {
            // Without a choice nobody looked at what was needed, and with other places something else was.
            self.seen_under = (range, rules.places);
            self.forget(now);
        }
        let least = if self.is_asleep() && range.may_sleep() {
            0
        } else {
            range.least_awake()
        };
        // Settings need no reason.
        self.target = self.target.clamp(least, range.most());
        if sight.has_come || sight.inside > 0 {
            self.came_at = now;
        }
        // Time in which nobody could be answered is no sign that nobody wants to be.
        if sight.has_come || sight.live == 0 {
            self.quiet_since = now;
        }
        let change = if range.is_fixed() {
            None
        } else {
            self.decide(rules, sight, now)
        };
        if change.is_some() {
            self.forget(now);
        }
        let interval = if self.pressed_since.is_some() {
            CLOSE_LOOK
        } else {
            let (shortest, longest) = CALM_LOOK;
            (rules.scale_down_after / LOOKS).clamp(shortest, longest)
        };
        // With as few as there may be there is nothing to take back; who waits is heard.
        let may_shrink = range.may_sleep() || self.target > range.least();
        let is_at_rest = self.pressed_since.is_none() && (self.is_asleep() || !may_shrink);
        self.next_look = (!is_at_rest).then(|| now + interval);
        change
    }

    fn decide(&mut self, rules: &Rules, sight: &Sight, now: Instant) -> Option<Change> {
        let (range, from) = (rules.range, self.target);
        if self.is_asleep() {
            return sight.is_missed.then(|| {
                self.target = 1;
                self.quiet_since = now;
                Change::Woken
            });
        }
        let idle = now.duration_since(self.quiet_since);
        if range.may_sleep() && sight.inside == 0 && idle >= rules.scale_down_after {
            self.target = 0;
            return Some(Change::Asleep { idle });
        }
        if self.is_pressed(sight, now) && from < range.most() {
            self.target += 1;
            let reason = match sight.waiting {
                1 => "1 request waited, and no place came free".to_owned(),
                more => format!("{more} requests waited, and all places stayed taken"),
            };
            return Some(Change::Scaled {
                from,
                to: self.target,
                reason,
            });
        }
        self.fewer_will_do(rules, sight, now).map(|to| {
            self.target = to;
            let time = rules.scale_down_after.as_secs_f64();
            let reason = format!("{to} would have had places enough for the last {time} s");
            Change::Scaled { from, to, reason }
        })
    }

    /// Whether callers wait, and those replicas that are to be there already do not change that.
    fn is_pressed(&mut self, sight: &Sight, now: Instant) -> bool {
        if sight.waiting == 0 || sight.live < self.target {
            self.pressed_since = None;
            return false;
        }
        let since = *self.pressed_since.get_or_insert(now);
        now.duration_since(since) >= PATIENCE
    }

    /// Fewer, if that would have been enough for long enough.
    fn fewer_will_do(&mut self, rules: &Rules, sight: &Sight, now: Instant) -> Option<u32> {
        let needed = sight.inside.div_ceil(u64::from(rules.places.max(1)));
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        let needed = needed.max(rules.range.least_awake());
        if sight.waiting > 0 || needed >= self.target {
            (self.roomy_since, self.enough) = (now, 0);
            return None;
        }
        self.enough = self.enough.max(needed);
        let long_enough = now.duration_since(self.roomy_since) >= rules.scale_down_after;
        long_enough.then_some(self.enough)
    }

    /// What was seen was of another number.
    fn forget(&mut self, now: Instant) {
        self.pressed_since = None;
        (self.roomy_since, self.enough) = (now, 0);
    }
}

#[cfg(test)]
mod tests;
