//! Work of many callers, handed out in batches of like with like.
//!
//! Callers [`offer`](BatchQueue::offer) items and wait for their answers. Whoever has a slot free, a worker that can take one
//! more call, [pulls](BatchQueue::next) a [`Batch`] and answers its [`Member`]s. Nothing is pushed and nothing runs in the
//! background: batches form while all slots are busy, by themselves, and a caller who comes to a free slot waits for nobody.
//!
//! - **Like with like.** Items of equal keys share a batch, in the order in which they came; an item without a key goes alone.
//! - **Fair.** Of all batches that could be handed out, the one with the oldest item is next, whatever its key.
//! - **Bounded.** So many items wait and no more; a batch weighs no more than its limit, unless its only item does.
//! - **Company is a choice.** With a `max_delay` a batch waits for more until its oldest item is that old, but not when it is
//!   full, when one of its items would expire meanwhile, when nothing more can come, or when it could have no company.
//! - **Gone is gone.** A caller who has stopped waiting and an item whose deadline has passed are in no batch.
//! - **Each caller hears once**: an answer, or why there is none ([`Unanswered`]).
//! - **Closing drains.** Nothing more is let in, and what waits is handed out before `next` ends.
//!
//! A lock is held for the bookkeeping alone, never across an await, and never while an item is dropped. An offer wakes one
//! puller at most; of pullers that wait for a batch to come of age, only one has a timer.

mod groups;
mod member;
mod queue;
#[cfg(test)]
mod tests;

pub use groups::BatchLimits;
pub use member::{Batch, Member, Unanswered};
pub use queue::{BatchQueue, Refused, RefusedBecause, Waiting};
