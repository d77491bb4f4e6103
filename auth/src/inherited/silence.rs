//! Whether the registry has stopped answering, as all questions together tell it: one question may queue too long to
//! find that out by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When the registry last answered and last did not.
#[derive(Debug, Default)]
pub(crate) struct Silence(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    answer: Option<Instant>,
    failure: Option<Instant>,
}

impl Silence {
    /// A question was answered.
    pub(crate) fn ended(&self) {
        self.heard().answer = Some(Instant::now());
    }

    /// A question was asked and not answered.
    pub(crate) fn noticed(&self) {
        self.heard().failure = Some(Instant::now());
    }

    /// Whether nothing was answered for `shortest`, and that was last noticed within `recent`. A single question that the
    /// registry cannot answer is no silence while it answers others.
    pub(crate) fn lasts(&self, shortest: Duration, recent: Duration) -> bool {
        let now = Instant::now();
        let heard = self.heard();
        heard.failure.is_some_and(|failure| {
            let answered = |answer| answer > failure || now < answer + shortest;
            now < failure + recent && !heard.answer.is_some_and(answered)
        })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        // Nothing panics under the lock, and either time is soon a newer one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SHORTEST: Duration = Duration::from_secs(10);
    const RECENT: Duration = Duration::from_secs(22);

    #[tokio::test(start_paused = true)]
    async fn silence_starts_with_failures_alone_and_ends_with_an_answer_or_with_time() {
        let silence = Silence::default();
        let lasts = || silence.lasts(SHORTEST, RECENT);
        assert!(!lasts());
        silence.ended();
        advance(Duration::from_secs(1)).await;
        silence.noticed();
        // A second ago it answered something else.
        assert!(!lasts());
        advance(SHORTEST).await;
        assert!(lasts());
        advance(RECENT).await;
        // Nobody has tried for long.
        assert!(!lasts());
        silence.noticed();
        assert!(lasts());
        advance(Duration::from_secs(1)).await;
        silence.ended();
        assert!(!lasts());
    }
}
