//! Reads the attempts of a version line by line, from a place that can be written down and gone on from.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use serving_core::ServableId;

use super::log_files::{self, BLOCK, Filter, Wanted};
use super::log_line::cut;
use crate::api::LogAttempt;
use crate::ports::{Attempt, AttemptOutcome, LogKind, WorkerFiles};

/// How much is read back from the end to find the last lines, at most.
const LONGEST_TAIL: u64 = 4 << 20;
/// The same when they are searched for.
const LONGEST_SEARCH: u64 = 64 << 20;
/// Attempts that a written place may speak of.
const MOST_PLACES: usize = 1000;
/// Lines that one step gives, shared by the attempts that are read: each of them carries the place behind it.
const MOST_LINES: usize = 2000;

/// Which log is read.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) files: Arc<dyn WorkerFiles>,
    pub(super) id: ServableId,
    pub(super) kind: LogKind,
    /// `None` for all attempts, and those that are yet to begin.
    pub(super) attempt: Option<u64>,
}

/// A place in the logs of all attempts: for each that is being read, how many of its bytes were. Those before the first
/// are read, those after the last are yet to begin. Never empty once there was an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(BTreeMap<u64, u64>);

/// A written place that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a log: {0:?} (hand back the id of the last event as it was)")]
pub(super) struct NoPlace(String);

/// Reads on from a place.
pub(super) struct Reader {
    source: Source,
    place: Place,
    /// Where to end; `None` reads on for ever.
    until: Option<Place>,
    filter: Filter,
    /// The attempt that the last line was of.
    last: Option<u64>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// What follows is of this attempt.
    Attempt {
        attempt: LogAttempt,
        /// Whether it is read from its beginning.
        begins: bool,
    },
    /// So many bytes of it were removed before they could be read.
    Lost { attempt: u64, bytes: u64 },
    /// A line, or a piece of one.
    Line {
        text: Vec<u8>,
        /// Whether the line ends here.
        is_whole: bool,
        /// Where to go on.
        next: Place,
    },
}

/// What one step gave.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) items: Vec<Item>,
    /// Whether nothing can follow.
    pub(super) has_ended: bool,
    /// Whether there is more to be read at once.
    pub(super) has_more: bool,
}

impl Source {
    /// The attempts that it speaks of, oldest first. Blocks on the disk.
    pub(super) fn attempts(&self) -> io::Result<Vec<Attempt>> {
        let mut attempts = self.files.attempts(&self.id, self.kind)?;
        if let Some(wanted) = self.attempt {
            attempts.retain(|attempt| attempt.number == wanted);
        }
        Ok(attempts)
    }
}

impl Place {
    /// Where the last `lines` lines begin. Of several attempts that go on, each has its share of them.
    pub(super) fn before_last(
        attempts: &[Attempt],
        lines: usize,
        filter: &Filter,
    ) -> io::Result<Self> {
        let mut budget = if filter.is_open() {
            LONGEST_TAIL
        } else {
            LONGEST_SEARCH
        };
        let goes_on = |attempt: &&Attempt| attempt.outcome == AttemptOutcome::Running;
        let share = lines.div_ceil(attempts.iter().filter(goes_on).count().max(1));
        let mut place = Self::default();
        let mut left = lines;
        let ended = |attempt: &&Attempt| !goes_on(attempt);
        let in_turn = attempts.iter().rev().filter(goes_on);
        for attempt in in_turn.chain(attempts.iter().rev().filter(ended)) {
            let mut wanted = Wanted {
                lines: if goes_on(&attempt) {
                    share.min(left)
                } else {
                    left
                },
                filter,
                budget: &mut budget,
            };
            let (offset, found) = log_files::last_lines(&attempt.pieces, &mut wanted)?;
            left -= found.min(left);
            // The newest one also with nothing of it: what is yet to begin comes after it.
            let is_newest = attempts
                .last()
                .is_some_and(|last| last.number == attempt.number);
            if found > 0 || is_newest || goes_on(&attempt) {
                place.0.insert(attempt.number, offset);
            }
        }
        Ok(place)
    }

    /// The beginning of all that is kept.
    pub(super) fn beginning(attempts: &[Attempt]) -> Self {
        Self(attempts.iter().map(|attempt| (attempt.number, 0)).collect())
    }

    /// The end of all that is there now.
    fn end(attempts: &[Attempt]) -> io::Result<Self> {
        let ends = attempts
            .iter()
            .map(|attempt| Ok((attempt.number, log_files::end(&attempt.pieces)?)));
        Ok(Self(ends.collect::<io::Result<_>>()?))
    }

    fn newest(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(number, _)| *number)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, (attempt, offset)) in self.0.iter().enumerate() {
            let comma = if count > 0 { "," } else { "" };
            write!(formatter, "{comma}{attempt}:{offset}")?;
        }
        Ok(())
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let part = |part: &str| -> Option<(u64, u64)> {
            let (attempt, offset) = part.split_once(':')?;
            Some((attempt.parse().ok()?, offset.parse().ok()?))
        };
        let places: Option<BTreeMap<u64, u64>> =
            text.split(',').take(MOST_PLACES).map(part).collect();
        places
            .map(Self)
            .ok_or_else(|| NoPlace(text.chars().take(100).collect()))
    }
}

impl Reader {
    pub(super) fn new(source: Source, place: Place, filter: Filter) -> Self {
        Self {
            source,
            place,
            until: None,
            filter,
            last: None,
        }
    }

    /// The same, but only as far as it is written now. Blocks on the disk.
    pub(super) fn until_now(mut self) -> io::Result<Self> {
        self.until = Some(Place::end(&self.source.attempts()?)?);
        Ok(self)
    }

    /// Whether it goes on with what is yet to be written.
    pub(super) fn follows(&self) -> bool {
        self.until.is_none()
    }

    /// What was written since, a block of each attempt at most. Blocks on the disk.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        // Looked at before its log is read: behind the word that it has ended, nothing is written.
        let attempts = self.source.attempts()?;
        self.come_to_terms(&attempts);
        let mut step = Step::default();
        let mut all_ended = true;
        for attempt in attempts {
            if !self.place.0.contains_key(&attempt.number) {
                continue;
            }
            let goes_on = attempt.outcome == AttemptOutcome::Running;
            let is_read = self.read(&attempt, &mut step)?;
            all_ended &= is_read && !goes_on;
            // One after the other, where one has ended before the next began.
            if !goes_on && !is_read {
                step.has_more = true;
                break;
            }
        }
        let is_one = self.source.attempt.is_some();
        step.has_ended = !step.has_more && (self.until.is_some() || (is_one && all_ended));
        Ok(step)
    }

    /// Takes up attempts that have begun, and lets go of those that are read or gone.
    fn come_to_terms(&mut self, attempts: &[Attempt]) {
        let known = |number: u64| attempts.iter().any(|attempt| attempt.number == number);
        let newest = attempts.last().map_or(0, |attempt| attempt.number);
        if newest < self.place.newest() && newest > 0 {
            // All logs were removed, and counting began anew.
            self.place = Place::default();
        }
        let seen = self.place.newest();
        for attempt in attempts.iter().filter(|attempt| attempt.number > seen) {
            if self
                .until
                .as_ref()
                .is_none_or(|until| until.0.contains_key(&attempt.number))
            {
                self.place.0.insert(attempt.number, 0);
            }
        }
        let newest = self.place.newest();
        self.place
            .0
            .retain(|number, _| *number == newest || known(*number));
    }

    /// Reads a block of one attempt; says whether it is read to its end.
    fn read(&mut self, attempt: &Attempt, step: &mut Step) -> io::Result<bool> {
        let number = attempt.number;
        let goes_on = attempt.outcome == AttemptOutcome::Running;
        let offset = self.place.0.get(&number).copied().unwrap_or(0);
        let (mut place, mut block) = log_files::read_at(&attempt.pieces, offset)?;
        if let Some(until) = &self.until {
            let room = until
                .0
                .get(&number)
                .map_or(0, |until| until.saturating_sub(place));
            block.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        }
        if block.is_empty() {
            self.read_through(number, goes_on);
            return Ok(true);
        }
        if self.last != Some(number) {
            self.last = Some(number);
            step.items.push(Item::Attempt {
                attempt: shown(attempt, self.source.kind),
                begins: offset == 0,
            });
        }
        if place > offset {
            let bytes = place - offset;
            step.items.push(Item::Lost {
                attempt: number,
                bytes,
            });
        }
        let is_full = block.len() as u64 == BLOCK;
        let most = step.items.len() + (MOST_LINES / self.place.0.len().max(1)).max(1);
        let mut rest = block.as_slice();
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            place += at as u64 + 1;
            self.line(&rest[..at], true, number, place, step);
            rest = &rest[at + 1..];
            if step.items.len() >= most {
                step.has_more = true;
                return Ok(false);
            }
        }
        let is_nothing_but_one_line = rest.len() == block.len();
        if is_full && is_nothing_but_one_line {
            let end = cut(rest);
            self.line(&rest[..end], false, number, place + end as u64, step);
        } else if !is_full && !rest.is_empty() && (!goes_on || self.until.is_some()) {
            let is_whole = !goes_on;
            self.line(rest, is_whole, number, place + rest.len() as u64, step);
        }
        step.has_more |= is_full;
        if !is_full {
            self.read_through(number, goes_on);
        }
        Ok(!is_full)
    }

    fn line(&mut self, text: &[u8], is_whole: bool, number: u64, offset: u64, step: &mut Step) {
        self.place.0.insert(number, offset);
        if self.filter.takes(text) {
            step.items.push(Item::Line {
                text: text.to_vec(),
                is_whole,
                next: self.place.clone(),
            });
        }
    }

    /// Nothing more comes of an attempt that has ended; the newest one stays as the place before those to come.
    fn read_through(&mut self, number: u64, goes_on: bool) {
        if !goes_on && number != self.place.newest() {
            self.place.0.remove(&number);
        }
    }
}

/// An attempt in the words of the API. Blocks on the disk for as long as it takes to learn the sizes of three files.
pub(super) fn shown(attempt: &Attempt, kind: LogKind) -> LogAttempt {
    let first = attempt.pieces.first().map_or(0, |piece| piece.start);
    let end = log_files::end(&attempt.pieces).unwrap_or(first);
    LogAttempt {
        attempt: attempt.number,
        kind,
        started: attempt.started.into(),
        ended: attempt.ended.map(Into::into),
        outcome: attempt.outcome,
        bytes: end.saturating_sub(first),
        current: attempt.outcome == AttemptOutcome::Running,
    }
}
