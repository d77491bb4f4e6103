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
use super::verdict::{Check, Kind, Verdict};
use crate::protocol::merge::agree;

/// Requests of a call that are compared when it is one of a sample.
const COMPARED: usize = 4;

/// Whether the requests are of different rows. Equal ones show little of a model that looks at the others: a mean is
/// theirs, too.
fn differ(asked: &[Asked]) -> bool {
    asked
        .windows(2)
        .any(|two| !two[0].rows.has_rows_of(&two[1].rows))
}

/// What is to be done about a call of these.
pub(super) fn due(verdict: &Verdict, asked: &[Asked]) -> Check {
    let Some(first) = asked.first() else {
        return Check::Nothing;
    };
    verdict.check(verdict.kind(first.treatment()), differ(asked))
}

/// Tells callers what they are answered alone, and compares it with their `shares`.
pub(super) async fn on_probation(
    stack: &Arc<VersionStack>,
    callers: Vec<Caller>,
    asked: &[Asked],
    shares: &[Share],
    deadline: Instant,
    kind: Kind,
) {
    let alone = asked.iter().map(|one| alone(stack, one, deadline));
    let alone = join_all(alone).await;
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for ((caller, one), share) in callers.into_iter().zip(alone).zip(shares) {
        match one {
            Ok(one) => {
                expected.push(one.body.clone());
                seen.push(share.body.clone());
                caller.answer(Heard::Shared(one));
            }
            Err(failed) => {
                refuses_only_alone(stack, &failed);
                caller.answer(Heard::Again);
            }
        }
    }
    if expected.len() == asked.len() && agrees(stack, &expected, &seen) {
        stack.batcher().verdict.agreed(kind, differ(asked));
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
        let is_equal = match alone(stack, one, deadline).await {
            Ok(one) => agrees(stack, &[one.body], std::slice::from_ref(&share.body)),
            Err(failed) => !refuses_only_alone(stack, &failed),
        };
        if !is_equal {
            return;
        }
    }
}

/// Whether rows that were answered in company are refused alone, and not by chance: then nothing is shared any more.
fn refuses_only_alone(stack: &VersionStack, failed: &Failed) -> bool {
    let alone = match failed {
        Failed::Status(status) if status.is_client_error() => format!("{status}"),
        Failed::NotByRow => "something else than one item for each row".to_owned(),
        // A worker that dies, or is late, could have been so in company.
        Failed::Status(_) | Failed::Unasked | Failed::Unanswered => return false,
    };
    let reason = format!(
        "in service, a row was answered otherwise in company: alone, the model answers {alone}"
    );
    stack.decide(false, &reason);
    true
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
