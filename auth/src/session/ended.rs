//! Which sessions were ended before their time: as many as there is room for, each until its cookie would expire anyway.

use std::collections::HashMap;
use std::time::SystemTime;

use super::{SessionId, TooManyEnded};

/// More than people sign out within a session's lifetime; some 10 MB.
const MOST: usize = 100_000;
/// Fewer are not worth looking through for expired ones.
const FEW: usize = 1000;

/// Sessions, and when their cookies stop to hold.
#[derive(Debug, Default)]
pub(super) struct Ended {
    sessions: HashMap<SessionId, SystemTime>,
    /// How many there were after the last look for expired ones.
    held: usize,
}

impl Ended {
    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.sessions.contains_key(id)
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        self.sessions.remove(id);
    }

    /// Refuses one that there is no room for: to forget another would let that one hold again.
    pub(super) fn insert(
        &mut self,
        id: SessionId,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<(), TooManyEnded> {
        // Not each time: every request with a cookie would wait for that.
        if self.sessions.len() >= MOST.min(self.held * 2 + FEW) {
            self.sessions.retain(|_, until| *until > now);
            self.held = self.sessions.len();
        }
        if self.sessions.len() >= MOST && !self.contains(&id) {
            return Err(TooManyEnded);
        }
        self.sessions.insert(id, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn id(number: usize) -> SessionId {
        SessionId::from(number.to_string())
    }

    #[test]
    fn what_has_expired_makes_room_and_nothing_else_does() {
        let mut ended = Ended::default();
        for number in 0..MOST {
            ended.insert(id(number), at(100), at(1)).unwrap();
        }
        assert_eq!(ended.insert(id(MOST), at(100), at(99)), Err(TooManyEnded));
        assert_eq!(ended.insert(id(7), at(100), at(99)), Ok(()));
        assert!(ended.contains(&id(0)) && ended.contains(&id(MOST - 1)));
        assert_eq!(ended.insert(id(MOST), at(200), at(100)), Ok(()));
        assert_eq!(ended.sessions.len(), 1);
    }
}
