//! What is handed out, and how its callers hear of it.

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Items to be worked on in one call, at least one, in the order in which they came.
#[derive(Debug)]
pub struct Batch<I, A> {
    /// The items and their callers.
    pub members: Vec<Member<I, A>>,
    /// What they weigh together.
    pub weight: usize,
}

/// One item, and the way back to its caller. If it is dropped, the caller hears that it was [lost](Unanswered::Lost).
#[derive(Debug)]
pub struct Member<I, A> {
    /// What the caller offered.
    pub item: I,
    /// As it was offered.
    pub weight: usize,
    /// As it was offered.
    pub deadline: Instant,
    /// When it was offered.
    pub arrival: Instant,
    pub(super) reply: oneshot::Sender<Result<A, Unanswered>>,
}

/// Why a caller got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Its deadline passed while it waited to be handed out: nobody has worked on it.
    #[error("the deadline passed before the work began")]
    Expired,
    /// Its deadline passed after it was handed out: somebody may be working on it.
    #[error("the deadline passed before there was an answer")]
    Late,
    /// Whoever worked on it gave up without an answer, or the queue was dropped.
    #[error("the work was given up")]
    Lost,
}

impl<I, A> Batch<I, A> {
    /// What each item weighs.
    pub fn weights(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.weight).collect()
    }

    /// The latest deadline: after it nobody waits for the batch any more.
    pub fn deadline(&self) -> Option<Instant> {
        self.members.iter().map(|member| member.deadline).max()
    }
}

impl<I, A> Member<I, A> {
    /// Tells the caller. False if it has stopped waiting.
    pub fn answer(self, answer: A) -> bool {
        self.reply.send(Ok(answer)).is_ok()
    }

    /// Whether the caller has stopped waiting since it was handed out.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}
