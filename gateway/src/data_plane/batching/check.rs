//! Whether rows that shared a call were answered as they are alone.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::super::admission::Place;
use super::super::stack::VersionStack;
use super::pull::Caller;
use super::together::{Failed, together};
use super::turn::{Asked, Heard, Share};
use crate::protocol::merge::agree;

/// Requests of a call that are compared when it is one of a sample.
const COMPARED: usize = 4;

/// Whether the requests are of different rows. Equal ones cannot show that a model looks at the others: whatever a call of
/// copies answers, the trial has seen.
pub(super) fn differ(asked: &[Asked]) -> bool {
    asked
        .windows(2)
        .any(|two| two[0].rows.rows_as_bytes() != two[1].rows.rows_as_bytes())
}

/// Tells callers what they are answered alone, and compares it with their `shares`.
pub(super) async fn on_probation(
    stack: &Arc<VersionStack>,
    callers: Vec<Caller>,
    asked: &[Asked],
    shares: &[Share],
    deadline: Instant,
) {
    let alone = asked.iter().map(|one| alone(stack, one, deadline));
    let alone = join_all(alone).await;
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for ((caller, one), share) in callers.into_iter().zip(alone).zip(shares) {
        let Ok(one) = one else {
            // It fails alone, too, or could not be asked: nothing is compared.
            caller.answer(Heard::Again);
            continue;
        };
        expected.push(one.body.clone());
        seen.push(share.body.clone());
        caller.answer(Heard::Shared(one));
    }
    if expected.len() == asked.len() && agrees(stack, &expected, &seen) {
        stack.batcher().verdict.agreed();
    }
}

/// Compares some of the `shares` that callers have been told.
pub(super) async fn sample(stack: &Arc<VersionStack>, asked: &[Asked], shares: &[Share]) {
    let deadline = Instant::now() + stack.settings().timeout;
    let step = (asked.len() / COMPARED).max(1);
    let some = asked
        .iter()
        .zip(shares)
        .skip(step - 1)
        .step_by(step)
        .take(COMPARED);
    for (one, share) in some {
        if let Ok(one) = alone(stack, one, deadline).await
            && !agrees(stack, &[one.body], std::slice::from_ref(&share.body))
        {
            return;
        }
    }
}

/// Asks about one request's rows alone, in its turn.
pub(super) async fn alone(
    stack: &Arc<VersionStack>,
    asked: &Asked,
    deadline: Instant,
) -> Result<Share, Failed> {
    let permit = stack.admit_again(deadline).await;
    let permit = permit.map_err(|_| Failed::Unasked)?;
    let place = Place::new(permit, None);
    let mut shares = together(stack, std::slice::from_ref(asked), place, deadline).await?;
    shares.pop().ok_or(Failed::NotByRow)
}

/// Compares answers; if they differ, nothing is shared any more.
fn agrees(stack: &VersionStack, alone: &[Bytes], shared: &[Bytes]) -> bool {
    let Some(difference) = difference(alone, shared) else {
        return true;
    };
    let reason = format!("in service, a row was answered otherwise in company: {difference}");
    stack.decide(false, &reason);
    false
}

/// What the first difference is. Not the values: what a model told a caller is not for all who may see its events.
pub(super) fn difference(alone: &[Bytes], shared: &[Bytes]) -> Option<String> {
    agree(alone, shared)
        .err()
        .map(|disagreement| disagreement.without_values())
}
