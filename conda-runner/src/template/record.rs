//! What is held against a template: failures in a row that were its own.

/// So many in a row, and a template is not tried again.
pub(super) const PATIENCE: u32 = 3;

/// The failures of a template, and what is known of those of its starts that may be some.
///
/// A start that fails is the template's failure only if a worker that waited for it was ready without it: where nothing
/// starts at all, something else is wrong. Either may be known first, since a start goes on when nobody waits any more.
#[derive(Debug, Default)]
pub(super) struct Record {
    in_a_row: u32,
    /// The newest start, counted from 1.
    newest: u64,
    /// The newest that failed.
    failed: u64,
    /// The newest without which a worker was ready.
    spared: u64,
    /// The newest that counts as a failure.
    counted: u64,
}

impl Record {
    pub(super) fn is_given_up(&self) -> bool {
        self.in_a_row >= PATIENCE
    }

    /// Its number.
    pub(super) fn begin_start(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    pub(super) fn newest_start(&self) -> u64 {
        self.newest
    }

    /// This start ended without a template, or took longer than any may.
    pub(super) fn start_failed(&mut self, number: u64) {
        self.failed = self.failed.max(number);
        self.judge();
    }

    /// A worker that waited for this start was ready without it.
    pub(super) fn was_spared(&mut self, number: u64) {
        self.spared = self.spared.max(number);
        self.judge();
    }

    /// A worker was ready without a fork where the fork was not.
    pub(super) fn fork_failed(&mut self) {
        self.in_a_row += 1;
    }

    /// A fork was ready.
    pub(super) fn was_of_use(&mut self) {
        self.in_a_row = 0;
    }

    /// However many waited for a start, it fails once.
    fn judge(&mut self) {
        if self.failed == self.spared && self.failed > self.counted {
            self.counted = self.failed;
            self.in_a_row += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers that did without start after start, and what came of each.
    fn after(starts: &[bool]) -> Record {
        let mut record = Record::default();
        for fails in starts {
            let number = record.begin_start();
            record.was_spared(number);
            record.was_spared(number);
            if *fails {
                record.start_failed(number);
            }
        }
        record
    }

    #[test]
    fn slow_starts_are_no_failures_and_starts_that_fail_later_are() {
        assert!(!after(&[false; 10]).is_given_up());
        assert!(!after(&[true, true]).is_given_up());
        assert!(after(&[true, false, true, true]).is_given_up());
    }

    #[test]
    fn a_start_fails_once_however_many_waited_and_only_if_one_was_ready_without() {
        let mut record = Record::default();
        for _ in 0..PATIENCE {
            let number = record.begin_start();
            record.start_failed(number);
        }
        assert!(!record.is_given_up());
        for _ in 0..PATIENCE {
            record.was_spared(record.newest_start());
        }
        assert_eq!(record.in_a_row, 1);
    }

    #[test]
    fn a_fork_that_is_ready_makes_up_for_what_was_before() {
        let mut record = after(&[true, true]);
        record.was_of_use();
        record.fork_failed();
        record.fork_failed();
        assert!(!record.is_given_up());
        record.fork_failed();
        assert!(record.is_given_up());
    }
}
